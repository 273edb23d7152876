//! What waits on one shard, and what is held: the order of tickets, and the locks by fingerprint.
//!
//! It decides what may run and when. It does not know what runs, nor tables, clients or messages. See `docs/TRANSACTIONS.md`.

use std::collections::VecDeque;
use std::collections::hash_map::Entry as Lock;
use std::hash::{BuildHasherDefault, Hasher};

use smallvec::SmallVec;

use super::intent::{Fingerprint, Intents};
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
}

impl<W> Entry<W> {
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

/// Fingerprints are hashes already.
#[derive(Clone, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// Entries with an intent on one fingerprint, in the order of their places.
type Claims = SmallVec<[EntryId; 4]>;

/// The lock table. A look-up in constant time is worth more than an order here: nobody ever goes through it.
#[allow(clippy::disallowed_types, reason = "its hasher is fixed, and it is never iterated")]
type Locks = std::collections::HashMap<Fingerprint, Claims, BuildHasherDefault<AsItIs>>;

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
        self.locks.contains_key(&key) || !self.wholes.is_empty()
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
        let id =
            self.insert(Entry { place, client, intents: intents.clone(), held: false, work: Some(work) });
        if ticket >= UNDRAWN {
            self.undrawn_directs.push(id);
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
        let entry = self.insert(Entry { place, client, intents, held: false, work: Some(work) });
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
        while let Some((_, entry)) = self.unstable.front().copied().filter(|(ticket, _)| *ticket < self.limit)
        {
            self.unstable.pop_front();
            self.candidates.push(entry);
        }
    }

    fn await_stability(&mut self, ticket: Ticket, entry: EntryId) {
        let higher = self.unstable.iter().rev().take_while(|(other, _)| *other > ticket).count();
        self.unstable.insert(self.unstable.len() - higher, (ticket, entry));
    }

    /// The next whose turn has come. To be asked until there is none, after each change.
    pub fn next_granted(&mut self) -> Option<Granted<W>> {
        while let Some(id) = self.candidates.pop() {
            let Some(entry) = self.entries[id.0 as usize].as_ref() else { continue };
            if entry.held || !self.is_stable(entry) || self.is_blocked(id, entry) {
                continue;
            }
            if entry.is_direct() {
                let entry = self.take(id);
                return entry.work.map(|work| Granted { entry: None, work });
            }
            let entry = self.entries[id.0 as usize].as_mut()?;
            entry.held = true;
            self.held += 1;
            let work = entry.work.take();
            // Those of its own connection that only share a key with it wait no more.
            self.consider_neighbours(id);
            return work.map(|work| Granted { entry: Some(id), work });
        }
        None
    }

    /// Holds something at once, ahead of everything that waits; nobody else holds it.
    pub fn hold(&mut self, client: ClientId, intents: Intents) -> EntryId {
        self.directs += 1;
        let place = Place { ticket: 0, behind: self.directs };
        self.held += 1;
        self.insert(Entry { place, client, intents, held: true, work: None })
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
        let claims = self.locks.get(&key).map_or(&[][..], |claims| claims);
        claims.iter().chain(&self.wholes).any(|id| Some(*id) != mine && self.is_held(*id))
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
        let ahead = |entry: &Entry<W>| {
            let (conflicts, own) = (entry.intents.conflicts(intents), entry.client == client);
            if entry.held {
                return conflicts && !planted("a direct overtakes what is held");
            }
            let ordered = match conflicts {
                true => !(entry.is_direct() && planted("directs of one client overtake each other")),
                false => !planted("reads of one client overtake each other"),
            };
            let is_overtaken =
                entry.place.ticket >= UNDRAWN && planted("a direct overtakes its own undrawn ticket");
            let waits_for_others = conflicts
                && (entry.is_direct() && planted("a direct waits for the directs of others")
                    || !entry.is_direct() && planted("a direct waits for transactions of others"));
            let is_seen = entry.is_direct() || !planted("a direct overtakes its own transaction");
            let is_ahead = own && ordered && !is_overtaken && is_seen && entry.intents.shares(intents);
            is_ahead || waits_for_others
        };
        self.around(intents)
            .filter(|id| self.at(*id).is_some_and(ahead))
            .filter_map(|id| Some(self.at(id)?.place))
            .max()
    }

    /// True if something stands in the way of an entry that waits.
    fn is_blocked(&self, id: EntryId, entry: &Entry<W>) -> bool {
        let blocks = |other: EntryId, ahead: &Entry<W>| {
            if other == id {
                return false;
            }
            let conflicts = entry.intents.conflicts(&ahead.intents);
            if ahead.held && conflicts {
                return true;
            }
            if ahead.place > entry.place || ahead.held {
                return false;
            }
            if conflicts {
                let is_overtaken = match ahead.is_direct() {
                    true => planted("a ticket goes before the directs of a lower one"),
                    false => false,
                };
                return !((is_overtaken || planted("a transaction barges past who waits"))
                    && !entry.is_direct());
            }
            let ordered = !planted("reads of one client overtake each other")
                && !planted("a transaction overtakes a read of its own client");
            ahead.client == entry.client && ordered && entry.intents.shares(&ahead.intents)
        };
        !self.is_alone(&entry.intents)
            && self
                .around(&entry.intents)
                .any(|other| self.at(other).is_some_and(|ahead| blocks(other, ahead)))
    }

    /// True if nobody but the entry that has these intents claims any of it.
    fn is_alone(&self, intents: &Intents) -> bool {
        let is_shared = |key| self.locks.get(key).is_some_and(|claims| claims.len() > 1);
        intents.whole.is_none()
            && self.wholes.is_empty()
            && !intents.keys().iter().any(|intent| is_shared(&intent.key))
    }

    /// All entries that may share something with these intents, some of them more than once.
    fn around<'a>(&'a self, intents: &'a Intents) -> impl Iterator<Item = EntryId> + 'a {
        let everything = intents.whole.is_some().then(|| self.iter().map(|(id, _)| id));
        let claims = intents.keys().iter().filter_map(|intent| self.locks.get(&intent.key)).flatten();
        let keys = claims.chain(&self.wholes).copied();
        everything.into_iter().flatten().chain(keys)
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
        let position = |claims: &[EntryId]| {
            let is_behind = |id: &&EntryId| entries[id.0 as usize].as_ref().is_some_and(|e| e.place < place);
            claims.len() - claims.iter().rev().take_while(|id| !is_behind(id)).count()
        };
        for intent in entry.intents.keys() {
            let claims = self.locks.entry(intent.key).or_default();
            claims.insert(position(claims), id);
        }
        if entry.intents.whole.is_some() {
            self.wholes.insert(position(&self.wholes), id);
        }
        self.entries[id.0 as usize] = Some(entry);
        self.len += 1;
        id
    }

    /// Takes an entry out; what waited for it is looked at again.
    fn take(&mut self, id: EntryId) -> Entry<W> {
        self.consider_neighbours(id);
        let entry = self.entries[id.0 as usize].take().expect("an entry is released once");
        self.held -= usize::from(entry.held);
        for intent in entry.intents.keys() {
            if let Lock::Occupied(mut lock) = self.locks.entry(intent.key) {
                lock.get_mut().retain(|claim| *claim != id);
                if lock.get().is_empty() {
                    lock.remove();
                }
            }
        }
        self.wholes.retain(|whole| *whole != id);
        self.free.push(id);
        self.len -= 1;
        entry
    }

    /// Who shares something with this entry and waits may have become ready; the first in line is looked at first.
    fn consider_neighbours(&mut self, id: EntryId) {
        let Some(entry) = self.at(id) else { return };
        if self.is_alone(&entry.intents) {
            return;
        }
        let mut waiting: SmallVec<[(Place, EntryId); 8]> = self
            .around(&entry.intents)
            .filter(|other| *other != id)
            .filter_map(|other| self.at(other).filter(|entry| !entry.held).map(|entry| (entry.place, other)))
            .collect();
        waiting.sort_unstable_by(|one, two| two.cmp(one));
        waiting.dedup();
        self.candidates.extend(waiting.into_iter().map(|(_, other)| other));
    }
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
