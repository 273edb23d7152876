//! What a command has changed on its shard, while somebody writes that down.
//!
//! Every change passes `Cx::changed`, which notes the key here. A command whose words would not do the same again to one key alone says in other
//! words what it did ([`Cx::say`]). It knows keys and words. It does not know how they are written.

use crate::database::Key;
use crate::mutant::planted;
use crate::shard::Cx;

/// What concerns more than what the running command says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Aside {
    /// A key went because memory was short or its time had come: whoever reads this back may judge by a clock that was set back.
    Gone(u16, Vec<u8>),
    /// A database was emptied, or all were.
    Flushed(Option<u16>),
    /// Two databases have changed their numbers.
    Swapped(u16, u16),
}

/// A command in other words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    database: u16,
    key: Vec<u8>,
    words: Vec<Vec<u8>>,
}

impl Said {
    pub(crate) fn database(&self) -> u16 {
        self.database
    }

    pub(crate) fn words(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.words.iter().map(Vec::as_slice)
    }
}

/// Among more keys than these nobody looks for one that is there twice: it is only written down twice.
const COMPARED_MAX: usize = 32;

/// What has changed since this was looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    is_wanted: bool,
    /// Keys, each with its database and where its bytes end.
    keys: Vec<(u16, usize)>,
    bytes: Vec<u8>,
    pub(crate) said: Vec<Said>,
    /// The command's own words do not tell what it did.
    pub(crate) is_beyond_words: bool,
    pub(crate) asides: Vec<Aside>,
}

impl Changes {
    /// From now on changes are noted, or not.
    pub(crate) fn want(&mut self, is_wanted: bool) {
        self.is_wanted = is_wanted;
        self.clear();
        self.asides.clear();
    }

    #[inline]
    pub(crate) fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    /// True if there is nothing to be written down.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.asides.is_empty() && self.said.is_empty()
    }

    /// A key has changed.
    #[inline]
    pub(crate) fn note(&mut self, database: u16, key: &[u8]) {
        if self.is_wanted && self.last() != Some((database, key)) {
            self.bytes.extend_from_slice(key);
            self.keys.push((database, self.bytes.len()));
        }
    }

    /// Something beside the running command has happened.
    #[inline]
    pub(crate) fn aside(&mut self, aside: impl FnOnce() -> Aside) {
        if self.is_wanted {
            self.asides.push(aside());
        }
    }

    fn last(&self) -> Option<(u16, &[u8])> {
        self.keys.len().checked_sub(1).map(|n| self.key(n))
    }

    /// True if a key has changed.
    pub(crate) fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// How many keys; one may be there twice.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The n-th of them, and its database.
    pub(crate) fn key(&self, n: usize) -> (u16, &[u8]) {
        let start = n.checked_sub(1).map_or(0, |before| self.keys[before].1);
        (self.keys[n].0, &self.bytes[start..self.keys[n].1])
    }

    /// True if the n-th was there before.
    pub(crate) fn is_again(&self, n: usize) -> bool {
        n <= COMPARED_MAX && (0..n).any(|earlier| self.key(earlier) == self.key(n))
    }

    /// True if the command has said in other words what it did to this key.
    pub(crate) fn is_said(&self, database: u16, key: &[u8]) -> bool {
        self.said.iter().any(|said| said.database == database && said.key == key)
    }

    /// What the command has changed is written down.
    pub(crate) fn clear(&mut self) {
        self.keys.clear();
        self.bytes.clear();
        self.said.clear();
        self.is_beyond_words = false;
    }
}

impl Cx<'_> {
    /// What the command does depends on more than its words: what its keys are then is written down.
    pub(crate) fn say_state(&mut self) {
        self.shard.changes.is_beyond_words = true;
    }

    /// True while what commands do is written down.
    pub(crate) fn is_written_down(&self) -> bool {
        self.shard.changes.is_wanted()
    }

    /// What the command has done to a key, in the words of a command that does the same to this key alone whatever else there is.
    pub(crate) fn say(&mut self, key: Key<'_>, words: &[&[u8]]) {
        if self.shard.changes.is_wanted() && !planted("what a command says in other words is forgotten") {
            let words = words.iter().map(|word| word.to_vec()).collect();
            let said = Said { database: self.database as u16, key: key.bytes.to_vec(), words };
            self.shard.changes.said.push(said);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_noted_where_somebody_wants_to_know() {
        let mut changes = Changes::default();
        changes.note(0, b"a");
        changes.aside(|| Aside::Flushed(None));
        assert!(changes.is_empty());
        changes.want(true);
        for (database, key) in [(0, "a"), (0, "a"), (1, "a"), (0, ""), (0, "bc"), (0, "a")] {
            changes.note(database, key.as_bytes());
        }
        let noted: Vec<(u16, &[u8])> = (0..changes.len()).map(|n| changes.key(n)).collect();
        assert_eq!(noted, [(0, &b"a"[..]), (1, b"a"), (0, b""), (0, b"bc"), (0, b"a")]);
        let again: Vec<bool> = (0..changes.len()).map(|n| changes.is_again(n)).collect();
        assert_eq!(again, [false, false, false, false, true]);
        changes.clear();
        assert!(changes.is_empty());
    }
}
