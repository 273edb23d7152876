//! Who waits on one shard for keys to hold something, first come first served on each key.
//!
//! A waiter is known by the reply that its client's core owes. Whether it is served, has timed out or is gone is decided there, once;
//! here it only waits in line. It knows keys by database and bytes. It does not know values.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::queue::EntryId;
use crate::event::CoreId;
use crate::message::{Request, Token};
use crate::mutant::planted;
use crate::time::Instant;

/// Names a waiter: the client's core, and the reply it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaitId {
    /// The client's core.
    pub core: CoreId,
    /// The reply.
    pub token: Token,
}

/// What somebody waits for under a key, as a number: who waits for a value of one type is not behind who waits for one of another.
pub type Kind = u8;

/// A key in a database, and what is to lie there.
pub type WaitedKey = (u16, Vec<u8>, Kind);

/// How far a waiter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Progress {
    /// In line.
    Waiting,
    /// Its core was told that there is something; the key is held until it has answered.
    Woken(EntryId),
    /// Its core tries again with a transaction; its place in line is kept.
    Trying,
}

/// One waiter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Waiter {
    /// What is done when it is served.
    pub request: Request,
    /// It cannot be served by this shard alone: it is woken to try again.
    pub tries: bool,
    /// See [`Progress`].
    pub progress: Progress,
    keys: Vec<WaitedKey>,
}

/// All waiters of a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Waiters {
    waiters: BTreeMap<WaitId, Waiter>,
    lines: BTreeMap<WaitedKey, VecDeque<WaitId>>,
    /// Keys that have changed while somebody waits for them, in the order of the changes.
    ready: VecDeque<WaitedKey>,
    /// Keys that are to be looked at when a moment has come, though they do not change; and the same, the first moment first.
    later: BTreeMap<WaitedKey, Instant>,
    looks: BTreeSet<(Instant, WaitedKey)>,
}

impl Waiters {
    /// True if nobody waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// Waiters.
    pub fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Keys that somebody waits for.
    pub fn keys(&self) -> usize {
        let same = |one: &WaitedKey, other: &WaitedKey| (one.0, &one.1) == (other.0, &other.1);
        let again = self.lines.keys().zip(self.lines.keys().skip(1)).filter(|(one, other)| same(one, other));
        self.lines.len() - again.count()
    }

    /// Somebody waits from now on, behind those who do. Who is in line already keeps its place.
    pub fn wait(&mut self, id: WaitId, request: Request, tries: bool, keys: Vec<WaitedKey>) {
        for key in &keys {
            // There may be something already: it is looked at once.
            self.ready.push_back(key.clone());
        }
        if let Some(waiter) = self.waiters.get_mut(&id) {
            waiter.progress = Progress::Waiting;
            return;
        }
        for key in &keys {
            let line = self.lines.entry(key.clone()).or_default();
            if planted("who comes last stands first in line") {
                line.push_front(id);
            } else if line.back() != Some(&id) {
                line.push_back(id);
            }
        }
        self.waiters.insert(id, Waiter { request, tries, progress: Progress::Waiting, keys });
    }

    /// Who was woken is in line again, in its place, or is being tried; its keys are looked at once more.
    pub fn again(&mut self, id: WaitId, progress: Progress) {
        if let Some(waiter) = self.waiters.get_mut(&id) {
            waiter.progress = progress;
            self.ready.extend(waiter.keys.iter().cloned());
        }
    }

    /// Somebody waits no more. Who stands behind may be next.
    pub fn leave(&mut self, id: WaitId) -> Option<Waiter> {
        let waiter = self.waiters.remove(&id)?;
        for key in &waiter.keys {
            if let Some(line) = self.lines.get_mut(key) {
                line.retain(|other| *other != id);
                match line.is_empty() {
                    true => {
                        self.lines.remove(key);
                        self.look_no_more(key);
                    }
                    false if planted("the next in line is not looked at when one leaves") => {}
                    false => self.ready.push_back(key.clone()),
                }
            }
        }
        Some(waiter)
    }

    /// A waiter.
    pub fn get_mut(&mut self, id: WaitId) -> Option<&mut Waiter> {
        self.waiters.get_mut(&id)
    }

    /// All of them with how far they are and the keys they wait for, to be printed.
    pub fn ids(&self) -> Vec<(u16, u32, u64, Progress, Vec<String>)> {
        self.waiters
            .iter()
            .map(|(id, w)| {
                (
                    id.core.0,
                    id.token.conn.index,
                    id.token.sequence,
                    w.progress,
                    w.keys.iter().map(|k| String::from_utf8_lossy(&k.1).into_owned()).collect(),
                )
            })
            .collect()
    }

    /// True if somebody is in line.
    pub fn is_in_line(&self, id: WaitId) -> bool {
        self.waiters.contains_key(&id)
    }

    /// Those in line for a key, the first first.
    pub fn line<'a>(&'a self, key: &WaitedKey) -> impl Iterator<Item = (WaitId, &'a Waiter)> {
        let line = self.lines.get(key).into_iter().flatten();
        line.filter_map(|id| Some((*id, self.waiters.get(id)?)))
    }

    /// The first in line for a key.
    pub fn first(&self, key: &WaitedKey) -> Option<(WaitId, &Waiter)> {
        let id = *self.lines.get(key)?.front()?;
        Some((id, self.waiters.get(&id)?))
    }

    /// True if somebody else waits for the same under this key and stands ahead of this one, who may be in line or not.
    pub fn is_behind(&self, id: WaitId, database: u16, key: &[u8], kind: Kind) -> bool {
        let line = self.lines.get(&(database, key.to_vec(), kind));
        line.and_then(|line| line.front()).is_some_and(|first| *first != id)
    }

    /// The lines before this key.
    fn lines_of<'a>(&'a self, database: u16, key: &'a [u8]) -> impl Iterator<Item = &'a WaitedKey> {
        let from = self.lines.range((database, key.to_vec(), 0)..);
        from.map(|(line, _)| line).take_while(move |line| (line.0, &line.1[..]) == (database, key))
    }

    /// True if somebody waits for this key.
    pub fn is_waited_for(&self, database: u16, key: &[u8]) -> bool {
        !self.lines.is_empty() && self.lines_of(database, key).next().is_some()
    }

    /// A key has changed.
    #[inline]
    pub fn changed(&mut self, database: u16, key: &[u8]) {
        if !self.lines.is_empty() {
            self.note_change(database, key);
        }
    }

    fn note_change(&mut self, database: u16, key: &[u8]) {
        let lines: Vec<WaitedKey> = self.lines_of(database, key).cloned().collect();
        self.ready.extend(lines);
    }

    /// All keys of a database have changed.
    pub fn all_changed(&mut self, database: u16) {
        let of = self.lines.range((database, Vec::new(), 0)..);
        self.ready.extend(of.take_while(|(key, _)| key.0 == database).map(|(key, _)| key.clone()));
    }

    /// A key is to be looked at again at this moment, if it does not change before; what was said of it before is forgotten.
    pub fn look_again(&mut self, key: &WaitedKey, at: Instant) {
        if planted("who waits for time to pass is not looked at again") {
            return;
        }
        self.look_no_more(key);
        if self.lines.contains_key(key) {
            self.later.insert(key.clone(), at);
            self.looks.insert((at, key.clone()));
        }
    }

    fn look_no_more(&mut self, key: &WaitedKey) {
        if let Some(at) = self.later.remove(key) {
            self.looks.remove(&(at, key.clone()));
        }
    }

    /// The first moment at which a key is to be looked at.
    pub fn next_look(&self) -> Instant {
        self.looks.first().map_or(Instant::NEVER, |(at, _)| *at)
    }

    /// Keys whose moment has come are looked at.
    pub fn look_at_due(&mut self, now: Instant) {
        while self.next_look() <= now
            && let Some((_, key)) = self.looks.pop_first()
        {
            self.later.remove(&key);
            self.ready.push_back(key);
        }
    }

    /// True if a key has changed that somebody waits for.
    #[inline]
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The keys that have changed, oldest first.
    pub fn take_ready(&mut self) -> VecDeque<WaitedKey> {
        std::mem::take(&mut self.ready)
    }

    /// These could not be served yet.
    pub fn put_back(&mut self, mut later: VecDeque<WaitedKey>) {
        later.append(&mut self.ready);
        self.ready = later;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{OwnedArgs, Packed};
    use crate::command::CommandId;
    use crate::event::ConnId;
    use crate::hash::KeyHash;
    use crate::protocol::reply::Resp;
    use crate::session::ClientId;

    fn request() -> Request {
        Request {
            command: CommandId(0),
            database: 0,
            resp: Resp::V2,
            no_touch: false,
            client: ClientId(1),
            unix_micros: 0,
            clock: 0,
            first_hash: KeyHash(0),
            args: Packed::new(OwnedArgs::new(&["x"]).view()),
        }
    }

    fn id(sequence: u64) -> WaitId {
        WaitId { core: CoreId(0), token: Token { conn: ConnId::default(), sequence } }
    }

    #[test]
    fn each_key_has_a_line_of_its_own() {
        let key = |name: &str| (0, name.as_bytes().to_vec(), 1);
        let mut waiters = Waiters::default();
        waiters.wait(id(1), request(), false, vec![key("a"), key("b"), key("a")]);
        waiters.wait(id(2), request(), false, vec![key("b"), key("c")]);
        assert_eq!(waiters.take_ready().len(), 5, "all are looked at once");
        waiters.changed(0, b"c");
        waiters.changed(1, b"c");
        waiters.changed(0, b"d");
        assert_eq!(waiters.take_ready(), [key("c")]);
        assert_eq!(waiters.first(&key("b")).map(|(id, _)| id), Some(id(1)));
        assert!(waiters.is_behind(id(2), 0, b"b", 1) && waiters.is_behind(id(9), 0, b"b", 1));
        assert!(!waiters.is_behind(id(1), 0, b"b", 1) && !waiters.is_behind(id(9), 0, b"d", 1));
        assert!(!waiters.is_behind(id(9), 0, b"b", 2), "who waits for something else stands in another line");
        assert_eq!(waiters.keys(), 3);
        assert!(waiters.leave(id(1)).is_some() && waiters.leave(id(1)).is_none());
        assert_eq!(waiters.take_ready(), [key("b")], "who stands behind may be next");
        assert_eq!(waiters.first(&key("b")).map(|(id, _)| id), Some(id(2)));
        waiters.wait(id(3), request(), false, vec![key("b")]);
        waiters.wait(id(2), request(), true, vec![key("b")]);
        assert_eq!(waiters.first(&key("b")).map(|(id, _)| id), Some(id(2)), "the place in line is kept");
        waiters.all_changed(0);
        assert!(waiters.has_ready() && !waiters.is_waited_for(0, b"a"));
        assert!(waiters.leave(id(2)).is_some() && waiters.leave(id(3)).is_some());
        waiters.wait(id(4), request(), false, vec![key("b"), (0, b"b".to_vec(), 2)]);
        waiters.take_ready();
        waiters.changed(0, b"b");
        assert_eq!((waiters.take_ready().len(), waiters.keys()), (2, 1));
        assert!(waiters.leave(id(4)).is_some());
        assert!(waiters.is_empty() && waiters.first(&key("b")).is_none());
    }
}
