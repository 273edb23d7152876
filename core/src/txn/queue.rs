//! What waits on one shard, and what is held: the order of tickets, and the locks by fingerprint.
//!
//! It decides what may run and when. It does not know what runs, nor tables, clients or messages. See `docs/TRANSACTIONS.md`.

use std::collections::VecDeque;
use std::hash::Hasher;

use smallvec::SmallVec;

use super::intent::{Fingerprint, Intent, Intents};
use super::locks::{Claim, Locks};
use crate::mutant::planted;
use crate::session::ClientId;

/// A ticket: the place of a transaction in the order of all of them.
pub type Ticket = u64;

/// From here on tickets are not drawn yet: the n-th transaction that its core has begun since the last draw.
pub const UNDRAWN: Ticket = 1 << 63;

/// A place in the queue: behind the transaction of this ticket, its Directs in the order of their arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Place {
    ticket: Ticket,
    /// 0: the transaction itself.
    behind: u64,
}

/// Names an entry until it is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(u32);

impl EntryId {
    /// Small and dense; used again after the release.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Something that waits or is held.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Entry<W> {
    place: Place,
    client: ClientId,
    intents: Intents,
    held: bool,
    /// What runs when its turn has come; a transaction's is gone once it is held.
    work: Option<W>,
    /// Those that it stands in the way of and that are looked at again when it does not any more. Who waits for several is here of one.
    followers: SmallVec<[(EntryId, Until); 2]>,
}

/// How long an entry stands in the way of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Until {
    /// Until it is held: the other is of the same client, and must not overtake it.
    Held,
    /// Until it is gone.
    Gone,
}

impl<W> Entry<W> {
    fn new(place: Place, client: ClientId, intents: Intents, work: Option<W>) -> Entry<W> {
        Entry { place, client, intents, held: false, work, followers: SmallVec::new() }
    }

    fn is_direct(&self) -> bool {
        self.place.behind > 0
    }
}

/// Whose turn has come.
#[derive(Debug, PartialEq, Eq)]
pub struct Granted<W> {
    /// Of a transaction, which stays until [`Queue::release`]; `None` for a Direct, which is gone.
    pub entry: Option<EntryId>,
    /// What runs now.
    pub work: W,
}

/// An entry as drivers see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown<'a> {
    /// Its ticket, a Direct's that of the transaction that it stands behind; `None`: not drawn yet.
    pub ticket: Option<Ticket>,
    /// Whose it is.
    pub client: ClientId,
    /// What it locks.
    pub intents: &'a Intents,
    /// Not a transaction.
    pub is_direct: bool,
    /// Granted, and not released.
    pub is_held: bool,
}

/// The queue and the lock table of a shard. `W`: what runs.
#[derive(Clone, Debug)]
pub struct Queue<W> {
    entries: Vec<Option<Entry<W>>>,
    free: Vec<EntryId>,
    len: usize,
    /// How many of them are held.
    held: usize,
    locks: Locks,
    /// Entries with an intent on the whole shard, in the order of their places.
    wholes: Vec<EntryId>,
    /// Transactions whose ticket may still be overtaken by a lower one.
    /// Lowest first: nearly all arrive in order.
    unstable: VecDeque<(Ticket, EntryId)>,
    /// This core's own transactions that have no ticket yet, by the number of their undrawn ticket.
    undrawn: Vec<(Ticket, EntryId)>,
    /// Directs that stand behind those.
    undrawn_directs: Vec<EntryId>,
    /// Every lower ticket has arrived.
    limit: Ticket,
    directs: u64,
    /// What may have become ready.
    candidates: Vec<EntryId>,
}

impl<W> Default for Queue<W> {
    fn default() -> Self {
        Queue {
            entries: Vec::new(),
            free: Vec::new(),
            len: 0,
            held: 0,
            locks: Locks::default(),
            wholes: Vec::new(),
            unstable: VecDeque::new(),
            undrawn: Vec::new(),
            undrawn_directs: Vec::new(),
            limit: 0,
            directs: 0,
            candidates: Vec::new(),
        }
    }
}

impl<W> Queue<W> {
    /// True if nothing waits and nothing is held.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// True if something waits for its turn.
    pub fn has_waiting(&self) -> bool {
        self.len > self.held
    }

    /// What waits and what is held.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if something of this client waits.
    pub fn has_waiting_of(&self, client: ClientId) -> bool {
        !self.is_empty() && self.iter().any(|(_, entry)| entry.client == client && !entry.held)
    }

    /// Fingerprints that somebody has an intent on, and whole shards.
    pub fn locks(&self) -> usize {
        self.locks.len() + self.wholes.len()
    }

    /// True if an entry waits for [`Queue::raise`], or for a ticket.
    #[inline]
    pub fn has_unstable(&self) -> bool {
        let has_any = !self.unstable.is_empty() || !self.undrawn.is_empty();
        has_any && !planted("nobody asks what is stable")
    }

    /// True if somebody has an intent on this key, or on everything.
    pub fn is_claimed(&self, key: Fingerprint) -> bool {
        self.locks.of(key).len() > 0 || !self.wholes.is_empty()
    }

    /// An operation whose keys all lie here. Given back, it may run at once; `None`: it waits for what stands ahead of it: an entry that
    /// is held and conflicts, or one of its own client's that is not granted yet and shares a key.
    pub fn direct(&mut self, client: ClientId, intents: &Intents, work: W) -> Option<W> {
        let Some(ahead) = self.last_ahead(client, intents) else { return Some(work) };
        let mut ticket = ahead.ticket;
        if planted("a direct waits at the tail") {
            ticket = self.iter().map(|(_, entry)| entry.place.ticket).max().unwrap_or(ticket);
        }
        self.directs += 1;
        let place = Place { ticket, behind: self.directs };
        let id = self.insert(Entry::new(place, client, intents.clone(), Some(work)));
        if ticket >= UNDRAWN {
            self.undrawn_directs.push(id);
        }
        if !self.follow(id) {
            self.candidates.push(id);
        }
        None
    }

    /// True if an operation whose keys all lie here may run at once.
    #[inline]
    pub fn is_free(&self, client: ClientId, intents: &Intents) -> bool {
        self.is_empty() || self.last_ahead(client, intents).is_none()
    }

    /// A transaction. With an undrawn ticket: one of this core's own, behind everything that is here.
    pub fn schedule(&mut self, ticket: Ticket, client: ClientId, intents: Intents, work: W) -> EntryId {
        let place = Place { ticket, behind: 0 };
        let entry = self.insert(Entry::new(place, client, intents, Some(work)));
        if ticket >= UNDRAWN {
            self.undrawn.push((ticket, entry));
        } else {
            assert!(
                ticket >= self.limit || self.limit_may_be_wrong(),
                "no ticket arrives below a limit that was reached"
            );
            self.await_stability(ticket, entry);
            if planted("a ticket is granted before it is stable") {
                self.candidates.push(entry);
            }
        }
        entry
    }

    fn limit_may_be_wrong(&self) -> bool {
        planted("a limit is raised before the rings are drained")
            || planted("the next ticket is read last")
            || planted("a ticket is announced after it was drawn")
            || planted("a core is silent before it has pushed")
            || planted("the rings are drained before the limit is observed")
    }

    /// This core has drawn tickets, from `first` on: each of its undrawn entries gets its own, where it stands.
    pub fn draw(&mut self, first: Ticket) {
        let undrawn = std::mem::take(&mut self.undrawn);
        for (number, id) in &undrawn {
            let ticket = first + (number - UNDRAWN);
            if let Some(entry) = self.entries[id.0 as usize].as_mut() {
                entry.place.ticket = ticket;
                self.await_stability(ticket, *id);
            }
        }
        for id in std::mem::take(&mut self.undrawn_directs) {
            // They wait for an undrawn entry, so they are still here.
            if let Some(entry) = self.entries[id.0 as usize].as_mut() {
                entry.place.ticket = first + (entry.place.ticket - UNDRAWN);
            }
        }
    }

    /// Every ticket below this has arrived.
    pub fn raise(&mut self, below: Ticket) {
        self.limit = if planted("the limit of tickets falls") { below } else { self.limit.max(below) };
        let stable = self.unstable.iter().take_while(|(ticket, _)| *ticket < self.limit).count();
        // The lowest is looked at first: what is behind it then finds it held.
        self.candidates.extend(self.unstable.drain(..stable).rev().map(|(_, entry)| entry));
    }

    fn await_stability(&mut self, ticket: Ticket, entry: EntryId) {
        let higher = self.unstable.iter().rev().take_while(|(other, _)| *other > ticket).count();
        self.unstable.insert(self.unstable.len() - higher, (ticket, entry));
    }

    /// The next whose turn has come. To be asked until there is none, after each change.
    pub fn next_granted(&mut self) -> Option<Granted<W>> {
        while let Some(id) = self.candidates.pop() {
            let Some(entry) = self.entries[id.0 as usize].as_ref() else { continue };
            if entry.held || !self.is_stable(entry) || self.follow(id) {
                continue;
            }
            if self.at(id).is_some_and(Entry::is_direct) {
                let entry = self.take(id);
                return entry.work.map(|work| Granted { entry: None, work });
            }
            let entry = self.entries[id.0 as usize].as_mut()?;
            entry.held = true;
            self.held += 1;
            entry.intents.keys().iter().for_each(|intent| self.locks.hold(intent.key, id));
            let work = entry.work.take();
            // Those of its own connection that only share a key with it wait no more.
            if entry.followers.iter().any(|(_, until)| *until == Until::Held) {
                let mut followers = entry.followers.clone();
                followers.retain(|(_, until)| *until == Until::Held);
                entry.followers.retain(|(_, until)| *until == Until::Gone);
                if !planted("who follows one of its own is not looked at when that is held") {
                    self.consider(followers);
                }
            }
            return work.map(|work| Granted { entry: Some(id), work });
        }
        None
    }

    /// Holds something at once, ahead of everything that waits; nobody else holds it.
    pub fn hold(&mut self, client: ClientId, intents: Intents) -> EntryId {
        self.directs += 1;
        let place = Place { ticket: 0, behind: self.directs };
        self.held += 1;
        self.insert(Entry { held: true, ..Entry::new(place, client, intents, None) })
    }

    /// A transaction is over.
    pub fn release(&mut self, id: EntryId) {
        self.take(id);
    }

    /// True while this is held.
    pub fn is_held(&self, id: EntryId) -> bool {
        self.entries.get(id.0 as usize).and_then(Option::as_ref).is_some_and(|entry| entry.held)
    }

    /// The intents of an entry.
    pub fn intents(&self, id: EntryId) -> Option<&Intents> {
        Some(&self.entries.get(id.0 as usize)?.as_ref()?.intents)
    }

    /// True if somebody else holds this key, or everything.
    pub fn is_held_by_another(&self, key: Fingerprint, mine: Option<EntryId>) -> bool {
        self.locks.of(key).held.iter().any(|claim| Some(claim.id) != mine)
            || self.wholes.iter().any(|id| Some(*id) != mine && self.is_held(*id))
    }

    /// Everything that waits or is held, in the order of places, for drivers that check what they drive.
    pub fn shown(&self) -> Vec<Shown<'_>> {
        let mut order: Vec<(Place, &Entry<W>)> = self.iter().map(|(_, entry)| (entry.place, entry)).collect();
        order.sort_unstable_by_key(|(place, _)| *place);
        order
            .into_iter()
            .map(|(place, entry)| Shown {
                ticket: (place.ticket < UNDRAWN).then_some(place.ticket),
                client: entry.client,
                intents: &entry.intents,
                is_direct: entry.is_direct(),
                is_held: entry.held,
            })
            .collect()
    }

    fn iter(&self) -> impl Iterator<Item = (EntryId, &Entry<W>)> {
        self.entries.iter().enumerate().filter_map(|(n, entry)| Some((EntryId(n as u32), entry.as_ref()?)))
    }

    fn is_stable(&self, entry: &Entry<W>) -> bool {
        entry.is_direct()
            || entry.place.ticket < self.limit
            || entry.place.ticket < UNDRAWN && planted("a ticket is granted before it is stable")
    }

    /// The place of the last entry that an arriving Direct must wait for.
    fn last_ahead(&self, client: ClientId, intents: &Intents) -> Option<Place> {
        let mut last = None;
        for intent in intents.keys() {
            let line = self.locks.of(intent.key);
            let ahead = |claim: &Claim| {
                let entry = self.at(claim.id)?;
                is_ahead_of_direct(client, entry, claim.mode.conflicts(intent.mode)).then_some(entry.place)
            };
            // Of those that wait, the first that is found from the end is the last.
            last = last.max(line.held.iter().filter_map(ahead).max());
            last = last.max(line.waiting.iter().rev().find_map(ahead));
        }
        let others = self.beyond_keys(intents).filter_map(|(_, entry)| {
            let is_ahead = is_ahead_of_direct(client, entry, entry.intents.conflicts(intents));
            (is_ahead && (entry.held || entry.intents.shares(intents))).then_some(entry.place)
        });
        others.max().max(last)
    }

    /// If something stands in the way of an entry that waits, it is looked at again when that does not any more. True then.
    fn follow(&mut self, id: EntryId) -> bool {
        let Some((ahead, until)) = self.at(id).and_then(|entry| self.blocker(id, entry)) else {
            return false;
        };
        if let Some(ahead) = self.entries[ahead.0 as usize].as_mut() {
            ahead.followers.push((id, until));
        }
        true
    }

    /// What stands in the way of an entry that waits. On a key it is the nearest, so that of many that wait for it in line each has one behind it.
    fn blocker(&self, id: EntryId, entry: &Entry<W>) -> Option<(EntryId, Until)> {
        if self.is_alone(&entry.intents) {
            return None;
        }
        let on_keys = entry.intents.keys().iter().find_map(|intent| self.blocker_on(*intent, entry));
        on_keys.or_else(|| {
            let others = self
                .beyond_keys(&entry.intents)
                .filter(|(other, ahead)| *other != id && (ahead.held || ahead.place < entry.place));
            let blockers = others.filter_map(|(other, ahead)| {
                let conflicts = entry.intents.conflicts(&ahead.intents);
                let shares = conflicts || entry.intents.shares(&ahead.intents);
                Some((ahead.place, other, blocks(entry, ahead, conflicts).filter(|_| shares)?))
            });
            blockers.max_by_key(|(place, ..)| *place).map(|(_, other, until)| (other, until))
        })
    }

    /// The same of one of its keys.
    fn blocker_on(&self, intent: Intent, entry: &Entry<W>) -> Option<(EntryId, Until)> {
        let line = self.locks.of(intent.key);
        let is_ahead = |claim: &Claim| self.at(claim.id).is_some_and(|other| other.place < entry.place);
        let ahead = &line.waiting[..line.waiting.partition_point(is_ahead)];
        let blocker = |claim: &Claim| {
            let until = blocks(entry, self.at(claim.id)?, intent.mode.conflicts(claim.mode))?;
            Some((claim.id, until))
        };
        ahead.iter().rev().find_map(blocker).or_else(|| line.held.iter().find_map(blocker))
    }

    /// True if nobody but the entry that has these intents claims any of it.
    fn is_alone(&self, intents: &Intents) -> bool {
        intents.whole.is_none()
            && self.wholes.is_empty()
            && !intents.keys().iter().any(|intent| self.locks.of(intent.key).len() > 1)
    }

    /// Entries that may share something with these intents though not by a key: those on the whole shard, or for an intent on the whole shard all.
    fn beyond_keys<'a>(&'a self, intents: &Intents) -> impl Iterator<Item = (EntryId, &'a Entry<W>)> + 'a {
        let everything = intents.whole.is_some().then(|| self.iter());
        let wholes = if intents.whole.is_some() { &[][..] } else { &self.wholes };
        let wholes = wholes.iter().filter_map(|id| Some((*id, self.at(*id)?)));
        everything.into_iter().flatten().chain(wholes)
    }

    fn at(&self, id: EntryId) -> Option<&Entry<W>> {
        self.entries[id.0 as usize].as_ref()
    }

    fn insert(&mut self, entry: Entry<W>) -> EntryId {
        let id = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            EntryId(self.entries.len() as u32 - 1)
        });
        let (place, entries) = (entry.place, &self.entries);
        let is_ahead = |id: EntryId| entries[id.0 as usize].as_ref().is_some_and(|e| e.place < place);
        for intent in entry.intents.keys() {
            match entry.held {
                true => self.locks.take(*intent, id),
                false => self.locks.wait(*intent, id, is_ahead),
            }
        }
        if entry.intents.whole.is_some() {
            let behind = self.wholes.iter().rev().take_while(|id| !is_ahead(**id)).count();
            self.wholes.insert(self.wholes.len() - behind, id);
        }
        self.entries[id.0 as usize] = Some(entry);
        self.len += 1;
        id
    }

    /// Takes an entry out; what waited for it is looked at again.
    fn take(&mut self, id: EntryId) -> Entry<W> {
        let mut entry = self.entries[id.0 as usize].take().expect("an entry is released once");
        self.held -= usize::from(entry.held);
        for intent in entry.intents.keys() {
            self.locks.give_up(intent.key, id);
        }
        self.wholes.retain(|whole| *whole != id);
        self.free.push(id);
        self.len -= 1;
        if !entry.followers.is_empty() && !planted("who waits for one that leaves is not looked at again") {
            self.consider(std::mem::take(&mut entry.followers));
        }
        entry
    }

    /// These are to be looked at, the first in line first.
    fn consider(&mut self, mut followers: SmallVec<[(EntryId, Until); 2]>) {
        followers.sort_unstable_by_key(|(id, _)| std::cmp::Reverse(self.at(*id).map(|entry| entry.place)));
        self.candidates.extend(followers.into_iter().map(|(id, _)| id));
    }

    /// How much waits for its turn that nobody would look at again, for those who check what they drive: nothing, when [`Queue::next_granted`]
    /// has none.
    pub fn overlooked(&self) -> usize {
        let mut is_seen = vec![false; self.entries.len()];
        self.candidates.iter().for_each(|id| is_seen[id.index()] = true);
        let followers = self.iter().flat_map(|(_, entry)| &entry.followers);
        followers.for_each(|(id, _)| is_seen[id.index()] = true);
        let waits = |entry: &Entry<W>| !entry.held && self.is_stable(entry);
        self.iter().filter(|(id, entry)| waits(entry) && !is_seen[id.index()]).count()
    }
}

/// True if an arriving Direct of a client must wait for an entry that it shares something with.
fn is_ahead_of_direct<W>(client: ClientId, entry: &Entry<W>, conflicts: bool) -> bool {
    if entry.held {
        return conflicts && !planted("a direct overtakes what is held");
    }
    let ordered = match conflicts {
        true => !(entry.is_direct() && planted("directs of one client overtake each other")),
        false => !planted("reads of one client overtake each other"),
    };
    let is_overtaken = entry.place.ticket >= UNDRAWN && planted("a direct overtakes its own undrawn ticket");
    let waits_for_others = conflicts
        && (entry.is_direct() && planted("a direct waits for the directs of others")
            || !entry.is_direct() && planted("a direct waits for transactions of others"));
    let is_seen = entry.is_direct() || !planted("a direct overtakes its own transaction");
    entry.client == client && ordered && !is_overtaken && is_seen || waits_for_others
}

/// How long another entry that it shares something with stands in the way of one that waits, if it does.
fn blocks<W>(entry: &Entry<W>, ahead: &Entry<W>, conflicts: bool) -> Option<Until> {
    if ahead.held {
        return conflicts.then_some(Until::Gone);
    }
    if ahead.place > entry.place {
        return None;
    }
    if conflicts {
        let is_overtaken = ahead.is_direct() && planted("a ticket goes before the directs of a lower one");
        let barges = is_overtaken || planted("a transaction barges past who waits");
        return (!barges || entry.is_direct()).then_some(Until::Gone);
    }
    let ordered = !planted("reads of one client overtake each other")
        && !planted("a transaction overtakes a read of its own client");
    (ahead.client == entry.client && ordered).then_some(Until::Held)
}

impl<W: std::hash::Hash> std::hash::Hash for Queue<W> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        // Places are compared only, and how many Directs there were decides nothing.
        let mut order: Vec<(Place, u32)> = self.iter().map(|(id, entry)| (entry.place, id.0)).collect();
        order.sort_unstable();
        for (place, id) in order {
            let entry = self.entries[id as usize].as_ref();
            (place.ticket, id).hash(hasher);
            if let Some(entry) = entry {
                (entry.client, &entry.intents, entry.held, &entry.work, entry.is_direct()).hash(hasher);
            }
        }
        (self.limit, &self.free, &self.candidates).hash(hasher);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::txn::intent::Mode;

    fn intents(keys: &[u64], mode: Mode) -> Intents {
        let mut intents = Intents::default();
        keys.iter().for_each(|key| intents.add(Fingerprint(*key), mode));
        intents
    }

    /// Transactions of as many clients, each with its number for its work, all of which have arrived.
    fn queue(of: impl Iterator<Item = Intents>) -> Queue<u64> {
        let mut queue = Queue::default();
        for (number, intents) in (0..).zip(of) {
            queue.schedule(number, ClientId(number), intents, number);
        }
        queue.raise(Ticket::MAX >> 1);
        queue
    }

    /// Everything that is granted now.
    fn granted(queue: &mut Queue<u64>) -> Vec<(EntryId, u64)> {
        let grant = |granted: Granted<u64>| (granted.entry.expect("a transaction"), granted.work);
        let all = std::iter::from_fn(|| queue.next_granted().map(grant)).collect();
        assert_eq!(queue.overlooked(), 0);
        all
    }

    #[test]
    fn of_those_that_wait_in_line_one_is_looked_at_when_the_first_leaves() {
        // Each waits for the one before it, on one or two of three keys.
        let mut queue = queue((0..300).map(|n| intents(&[n % 3, (n + 1) % 3], Mode::Exclusive)));
        for number in 0..300 {
            let now = granted(&mut queue);
            let [(entry, work)] = now[..] else { panic!("one is granted: {now:?}") };
            assert_eq!(work, number);
            queue.release(entry);
            assert!(queue.candidates.len() <= 2, "{} are looked at", queue.candidates.len());
        }
        assert!(queue.is_empty() && queue.locks() == 0);
    }

    #[test]
    fn those_that_read_are_granted_together_and_who_writes_waits_for_the_last_of_them() {
        let mode = |n| if n % 100 == 0 { Mode::Exclusive } else { Mode::Shared };
        let mut queue = queue((0..300).map(|n| intents(&[7], mode(n))));
        for first in [0, 100, 200] {
            let [(writer, work)] = granted(&mut queue)[..] else { panic!("the one that writes is granted") };
            assert_eq!(work, first);
            queue.release(writer);
            let readers = granted(&mut queue);
            assert!(readers.iter().map(|(_, work)| *work).eq(first + 1..first + 100));
            for (reader, _) in readers {
                assert!(granted(&mut queue).is_empty());
                queue.release(reader);
            }
        }
        assert!(queue.is_empty() && queue.locks() == 0);
    }

    #[test]
    fn what_one_client_reads_is_granted_in_its_order_at_once() {
        let mut queue = Queue::default();
        (0..50).for_each(|n| _ = queue.schedule(n, ClientId(1), intents(&[7], Mode::Shared), n));
        queue.raise(50);
        assert!(granted(&mut queue).iter().map(|(_, work)| *work).eq(0..50));
    }
}
