//! The lock table of a shard: for each fingerprint who holds it, and who waits for it in the order of their places.
//!
//! It knows claims. It does not know why somebody waits, nor who stands in whose way.

use std::collections::hash_map::Entry as Lock;
use std::hash::{BuildHasherDefault, Hasher};

use smallvec::SmallVec;

use super::intent::{Fingerprint, Intent, Mode};
use super::queue::EntryId;

/// An intent of an entry on one fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) id: EntryId,
    pub(super) mode: Mode,
}

/// What there is of one fingerprint.
#[derive(Clone, Debug, Default)]
struct Claims {
    held: SmallVec<[Claim; 2]>,
    waiting: SmallVec<[Claim; 2]>,
}

/// Who claims a fingerprint.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Line<'a> {
    /// Those that hold it, in any order.
    pub(super) held: &'a [Claim],
    /// Those that wait, the first in line first.
    pub(super) waiting: &'a [Claim],
}

impl Line<'_> {
    /// How many claim it.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.held.len() + self.waiting.len()
    }
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

/// A look-up in constant time is worth more than an order here: nobody ever goes through it.
#[allow(clippy::disallowed_types, reason = "its hasher is fixed, and it is never iterated")]
type Table = std::collections::HashMap<Fingerprint, Claims, BuildHasherDefault<AsItIs>>;

/// The lock table.
#[derive(Clone, Debug, Default)]
pub(super) struct Locks {
    table: Table,
}

impl Locks {
    /// Fingerprints that somebody claims.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Who claims a fingerprint.
    #[inline]
    pub(super) fn of(&self, key: Fingerprint) -> Line<'_> {
        self.table.get(&key).map_or(Line::default(), |Claims { held, waiting }| Line { held, waiting })
    }

    /// An entry holds it at once.
    pub(super) fn take(&mut self, intent: Intent, id: EntryId) {
        self.table.entry(intent.key).or_default().held.push(Claim { id, mode: intent.mode });
    }

    /// An entry waits for it, behind all that are ahead of it.
    pub(super) fn wait(&mut self, intent: Intent, id: EntryId, is_ahead: impl Fn(EntryId) -> bool) {
        let waiting = &mut self.table.entry(intent.key).or_default().waiting;
        let behind = waiting.iter().rev().take_while(|claim| !is_ahead(claim.id)).count();
        waiting.insert(waiting.len() - behind, Claim { id, mode: intent.mode });
    }

    /// One that has waited holds it from now on.
    pub(super) fn hold(&mut self, key: Fingerprint, id: EntryId) {
        let Some(Claims { held, waiting }) = self.table.get_mut(&key) else { return };
        if let Some(place) = waiting.iter().position(|claim| claim.id == id) {
            held.push(waiting.remove(place));
        }
    }

    /// An entry does not claim it any more.
    pub(super) fn give_up(&mut self, key: Fingerprint, id: EntryId) {
        let Lock::Occupied(mut lock) = self.table.entry(key) else { return };
        let Claims { held, waiting } = lock.get_mut();
        let of = |claims: &[Claim]| claims.iter().position(|claim| claim.id == id);
        if let Some(place) = of(held) {
            held.swap_remove(place);
        } else if let Some(place) = of(waiting) {
            waiting.remove(place);
        }
        if held.is_empty() && waiting.is_empty() {
            lock.remove();
        }
    }
}
