//! Who waits for which keys, as the shards have said: the lines before each key in the order in which the shards found nothing for somebody, and how
//! each wait ends, which it does once.
//!
//! It knows no commands and no values: which keys somebody waits for it is told.

use std::collections::{BTreeMap, BTreeSet};

use darter_core::message::Token;

use super::serial::Op;
use super::under_way::Taking;
use crate::reference::waiting::{Kind, kind};

/// A waiter: the client's core, and the reply that it waits for.
pub type WaitId = (u16, Token);

/// A key of a database on a shard, and what is waited for there.
type Line = (u16, usize, Vec<u8>, Kind);

/// How far a wait is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Somebody looks whether there is something; perhaps not for the first time.
    Tried,
    /// In line.
    InLine,
    /// It is to be served or tried again, whatever comes.
    Claimed,
    /// Served, or not.
    Over,
}

/// One wait.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The request.
    pub taking: Taking,
    /// Its words.
    pub words: Vec<Vec<u8>>,
    /// Its database.
    pub database: usize,
    /// What it waits for.
    pub keys: Vec<Vec<u8>>,
    /// The shards where all its keys lie, the one included that it only writes.
    pub shards: Vec<u16>,
    /// Nanoseconds since the world's beginning; `None`: it waits for ever.
    pub deadline: Option<u64>,
    /// How far it is.
    pub state: State,
    /// What is under way of it.
    pub op: Option<Op>,
    /// What is under way has found nothing.
    pub in_vain: bool,
    /// It was in line at least once.
    pub has_waited: bool,
    /// Tries so far.
    pub tries: u64,
    /// The shards where it is in line.
    pub lines: BTreeSet<u16>,
}

/// A place in line.
#[derive(Clone, Debug)]
struct Place {
    id: WaitId,
    /// Somebody who stood before it, for this key alone, was served.
    after_another: bool,
}

/// How somebody stands before a key when it is served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Who waits longer.
    pub ahead: Option<WaitId>,
    /// What has changed the key last.
    pub cause: Option<&'static str>,
    /// Somebody before it was served.
    pub after_another: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Waits {
    waiting: BTreeMap<WaitId, Waiting>,
    lines: BTreeMap<Line, Vec<Place>>,
    causes: BTreeMap<Line, &'static str>,
    latest: BTreeMap<usize, WaitId>,
}

impl Waits {
    /// A request may have to wait.
    pub fn begins(&mut self, id: WaitId, waiting: Waiting) {
        self.latest.insert(waiting.taking.dialogue, id);
        self.waiting.insert(id, waiting);
    }

    /// A wait.
    pub fn get(&self, id: WaitId) -> Option<&Waiting> {
        self.waiting.get(&id)
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, id: WaitId) -> Option<&mut Waiting> {
        self.waiting.get_mut(&id)
    }

    /// The latest wait of a connection.
    pub fn latest_of(&self, dialogue: usize) -> Option<&Waiting> {
        self.waiting.get(self.latest.get(&dialogue)?)
    }

    /// Somebody gets in line before these of its keys, behind those who stand there; who stands there already keeps its place.
    pub fn gets_in_line(&mut self, shard: u16, id: WaitId, keys: Vec<Vec<u8>>) {
        let Some(waiting) = self.waiting.get_mut(&id) else { return };
        (waiting.has_waited, waiting.in_vain) = (true, true);
        waiting.lines.insert(shard);
        let kind = kind(&waiting.words);
        for key in keys {
            let line = self.lines.entry((shard, waiting.database, key, kind)).or_default();
            if !line.iter().any(|place| place.id == id) {
                line.push(Place { id, after_another: false });
            }
        }
    }

    /// Somebody is in line on a shard no more; false if it was not.
    pub fn leaves(&mut self, shard: u16, id: WaitId, is_served: bool) -> bool {
        let Some(waiting) = self.waiting.get_mut(&id) else { return false };
        let was_there = waiting.lines.remove(&shard);
        let marks = is_served && waiting.keys.len() == 1;
        for ((on, ..), line) in &mut self.lines {
            let Some(at) = line.iter().position(|place| place.id == id).filter(|_| *on == shard) else {
                continue;
            };
            line.remove(at);
            line[at..].iter_mut().for_each(|place| place.after_another |= marks);
        }
        self.lines.retain(|_, line| !line.is_empty());
        let Waits { lines, causes, .. } = self;
        causes.retain(|line, _| lines.contains_key(line));
        was_there
    }

    /// How somebody stands before its keys on a shard; who is not in line stands at the end.
    pub fn standing(
        &self,
        shard: u16,
        database: usize,
        keys: &[Vec<u8>],
        kind: Kind,
        id: Option<WaitId>,
    ) -> Vec<(Vec<u8>, Standing)> {
        let of = |key: &Vec<u8>| {
            let place = (shard, database, key.clone(), kind);
            let line = self.lines.get(&place)?;
            let own = line.iter().find(|place| Some(place.id) == id);
            let ahead = line.first().map(|place| place.id).filter(|first| Some(*first) != id);
            // Readers stand in nobody's way.
            let ahead = ahead.filter(|_| kind != Kind::Stream);
            let cause = self.causes.get(&place).copied();
            Some((
                key.clone(),
                Standing { ahead, cause, after_another: own.is_some_and(|own| own.after_another) },
            ))
        };
        keys.iter().filter_map(of).collect()
    }

    /// Something has changed a key; true if somebody waits for it.
    pub fn changed(&mut self, shard: u16, database: usize, key: &[u8], cause: &'static str) -> bool {
        if self.lines.is_empty() {
            return false;
        }
        let mut is_waited_for = false;
        for kind in [Kind::List, Kind::SortedSet, Kind::Stream] {
            let place = (shard, database, key.to_vec(), kind);
            if self.lines.contains_key(&place) {
                is_waited_for = true;
                self.causes.insert(place, cause);
            }
        }
        is_waited_for
    }

    /// Something has changed all keys of a database on a shard.
    pub fn all_changed(&mut self, shard: u16, database: usize, cause: &'static str) {
        let places = self.lines.keys().filter(|(on, of, ..)| (*on, *of) == (shard, database));
        places.cloned().collect::<Vec<_>>().into_iter().for_each(|place| {
            self.causes.insert(place, cause);
        });
    }

    /// At rest: those who are in line, all of whom wait for ever, each on all its shards and nobody else.
    ///
    /// # Errors
    /// When it is otherwise.
    pub fn at_rest(&self, home: impl Fn(&[u8]) -> u16) -> Result<(), String> {
        for (id, waiting) in &self.waiting {
            let shards: BTreeSet<u16> = waiting.keys.iter().map(|key| home(key)).collect();
            match waiting.state {
                State::Over if waiting.lines.is_empty() => {}
                State::InLine if waiting.lines == shards && waiting.deadline.is_none() => {}
                _ => {
                    return Err(format!(
                        "at rest {id:?} is {:?}, in line on {:?}",
                        waiting.state, waiting.lines
                    ));
                }
            }
        }
        Ok(())
    }

    /// The keys that somebody waits for: shard, database, key, and what is to lie there.
    pub fn waited_for(&self) -> impl Iterator<Item = &(u16, usize, Vec<u8>, Kind)> {
        self.lines.keys()
    }

    /// How many are in line on a shard.
    pub fn in_line(&self, shard: u16) -> usize {
        self.waiting.values().filter(|waiting| waiting.lines.contains(&shard)).count()
    }

    /// Those who are in line.
    pub fn waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.waiting.values().filter(|waiting| waiting.state == State::InLine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use darter_core::event::ConnId;

    fn id(sequence: u64) -> WaitId {
        (0, Token { conn: ConnId::default(), sequence })
    }

    fn keys(names: &str) -> Vec<Vec<u8>> {
        names.split(' ').map(|name| name.as_bytes().to_vec()).collect()
    }

    fn waiting(dialogue: usize, names: &str) -> Waiting {
        Waiting {
            taking: Taking { dialogue, request: 0, at: 0, op: None, is_scan: false, is_over: false },
            words: Vec::new(),
            database: 0,
            keys: keys(names),
            shards: vec![1],
            deadline: None,
            state: State::InLine,
            op: None,
            in_vain: false,
            has_waited: false,
            tries: 0,
            lines: BTreeSet::new(),
        }
    }

    #[test]
    fn lines_keep_the_order_of_their_beginning() {
        let mut waits = Waits::default();
        for (n, names) in [(1, "a"), (2, "a b"), (3, "b")] {
            waits.begins(id(n), waiting(n as usize, names));
            waits.gets_in_line(1, id(n), keys(names));
        }
        let ahead = |waits: &Waits, n, name: &str| {
            let standing = waits.standing(1, 0, &keys(name), Kind::List, Some(id(n)));
            standing.first().and_then(|(_, standing)| standing.ahead)
        };
        assert_eq!((ahead(&waits, 1, "a"), ahead(&waits, 2, "a")), (None, Some(id(1))));
        assert_eq!((ahead(&waits, 3, "b"), ahead(&waits, 4, "b")), (Some(id(2)), Some(id(2))));
        assert_eq!(ahead(&waits, 4, "c"), None);
        assert!(waits.changed(1, 0, b"a", "rename") && !waits.changed(0, 0, b"a", "rename"));
        waits.gets_in_line(1, id(1), keys("a"));
        assert_eq!(ahead(&waits, 2, "a"), Some(id(1)), "the place in line is kept");
        assert!(waits.leaves(1, id(1), true) && !waits.leaves(1, id(1), true));
        let standing = waits.standing(1, 0, &keys("a"), Kind::List, Some(id(2)));
        let expected = Standing { ahead: None, cause: Some("rename"), after_another: true };
        assert_eq!(standing, [(b"a".to_vec(), expected)]);
        assert!(waits.at_rest(|_| 1).is_err(), "one is in line, but stands nowhere");
        waits.get_mut(id(1)).expect("it is known").state = State::Over;
        assert_eq!(waits.at_rest(|_| 1), Ok(()));
    }
}
