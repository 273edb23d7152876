//! What a transaction locks on a shard: keys by fingerprint, or everything.
//!
//! It knows which intents conflict. It does not know who has them, nor what keys are.

use smallvec::SmallVec;

use crate::hash::KeyHash;

/// How something is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// To be read: others may read it too.
    Shared,
    /// To be changed.
    Exclusive,
}

impl Mode {
    /// True if both cannot be had at once.
    #[inline]
    pub fn conflicts(self, other: Mode) -> bool {
        self == Mode::Exclusive || other == Mode::Exclusive
    }
}

/// Names a key of a database in the lock table. Two keys may share one: then they are locked together, which is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u64);

impl Fingerprint {
    /// Of a key in a database.
    #[inline]
    pub fn new(database: u16, hash: KeyHash) -> Fingerprint {
        // An odd multiplier keeps keys of one database apart and moves those of another elsewhere.
        Fingerprint(hash.0.wrapping_add(u64::from(database).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }
}

/// One key that is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Intent {
    /// Which.
    pub key: Fingerprint,
    /// How.
    pub mode: Mode,
}

/// Everything that an operation locks on one shard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Intents {
    /// Each key once.
    keys: SmallVec<[Intent; 2]>,
    /// The whole shard.
    pub whole: Option<Mode>,
}

impl Intents {
    /// Locks every key of the shard.
    pub fn whole(mode: Mode) -> Intents {
        Intents { keys: SmallVec::new(), whole: Some(mode) }
    }

    /// Of keys that are read.
    pub fn shared(keys: &[Fingerprint]) -> Intents {
        let mut intents = Intents::default();
        keys.iter().for_each(|key| intents.add(*key, Mode::Shared));
        intents
    }

    /// Adds a key; what is there already keeps the stronger mode.
    #[inline]
    pub fn add(&mut self, key: Fingerprint, mode: Mode) {
        match self.keys.iter_mut().find(|intent| intent.key == key) {
            Some(intent) => intent.mode = intent.mode.max(mode),
            None => self.keys.push(Intent { key, mode }),
        }
    }

    /// The keys.
    #[inline]
    pub fn keys(&self) -> &[Intent] {
        &self.keys
    }

    /// The mode in which a key is locked.
    pub fn mode_of(&self, key: Fingerprint) -> Option<Mode> {
        self.keys.iter().find(|intent| intent.key == key).map(|intent| intent.mode)
    }

    /// True if anything is to be changed.
    pub fn writes(&self) -> bool {
        self.whole == Some(Mode::Exclusive) || self.keys.iter().any(|intent| intent.mode == Mode::Exclusive)
    }

    /// True if both lock something in common, whatever the modes.
    pub fn shares(&self, other: &Intents) -> bool {
        let is_anything = |intents: &Intents| intents.whole.is_some() || !intents.keys.is_empty();
        if self.whole.is_some() || other.whole.is_some() {
            return is_anything(self) && is_anything(other);
        }
        self.keys.iter().any(|intent| other.mode_of(intent.key).is_some())
    }

    /// True if both cannot be held at once.
    pub fn conflicts(&self, other: &Intents) -> bool {
        let against = |mode: Mode, other: &Intents| match other.whole {
            Some(whole) => mode.conflicts(whole),
            None => other.keys.iter().any(|intent| mode.conflicts(intent.mode)),
        };
        match (self.whole, other.whole) {
            (Some(mode), _) => against(mode, other),
            (None, Some(mode)) => against(mode, self),
            (None, None) => self
                .keys
                .iter()
                .any(|intent| other.mode_of(intent.key).is_some_and(|mode| mode.conflicts(intent.mode))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intents(keys: &[(u64, Mode)]) -> Intents {
        let mut intents = Intents::default();
        keys.iter().for_each(|(key, mode)| intents.add(Fingerprint(*key), *mode));
        intents
    }

    #[test]
    fn the_stronger_mode_stays() {
        let both =
            intents(&[(1, Mode::Shared), (2, Mode::Exclusive), (1, Mode::Exclusive), (2, Mode::Shared)]);
        assert_eq!(both, intents(&[(1, Mode::Exclusive), (2, Mode::Exclusive)]));
        assert!(both.writes() && !intents(&[(1, Mode::Shared)]).writes());
    }

    #[test]
    fn conflicts_are_mutual_and_as_the_modes_say() {
        let (read, write) = (intents(&[(1, Mode::Shared)]), intents(&[(1, Mode::Exclusive)]));
        let other = intents(&[(2, Mode::Exclusive)]);
        let (look, all) = (Intents::whole(Mode::Shared), Intents::whole(Mode::Exclusive));
        let none = Intents::default();
        let cases = [
            (&read, &read, false),
            (&read, &write, true),
            (&write, &write, true),
            (&write, &other, false),
            (&look, &read, false),
            (&look, &write, true),
            (&look, &look, false),
            (&all, &read, true),
            (&all, &look, true),
            (&all, &none, false),
        ];
        for (one, two, conflict) in cases {
            assert_eq!((one.conflicts(two), two.conflicts(one)), (conflict, conflict), "{one:?} {two:?}");
        }
        assert!(read.shares(&read) && read.shares(&look) && !read.shares(&other) && !none.shares(&all));
    }

    #[test]
    fn databases_have_fingerprints_of_their_own() {
        let hash = KeyHash(12_345);
        assert_ne!(Fingerprint::new(0, hash), Fingerprint::new(1, hash));
    }
}
