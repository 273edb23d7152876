//! Which clients watch which keys of one shard, and whose have changed since.
//!
//! A client watches in rounds: WATCH adds to the round, EXEC, DISCARD and UNWATCH end it. What comes late for a round that has ended
//! finds nothing. It knows keys by database and bytes. It does not know values.

use std::collections::BTreeMap;

use crate::mutant::planted;
use crate::session::ClientId;

/// A client's round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Watcher {
    /// Who.
    pub client: ClientId,
    /// Which of its rounds.
    pub round: u64,
}

/// What a watcher watches here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Watched {
    /// Database, key, and whether its time had come already when the watch began.
    keys: Vec<(u16, Vec<u8>, bool)>,
    touched: bool,
}

/// All watchers of a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Watches {
    watchers: BTreeMap<Watcher, Watched>,
    keys: BTreeMap<(u16, Vec<u8>), Vec<Watcher>>,
}

impl Watches {
    /// True if nobody watches.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.watchers.is_empty()
    }

    /// Watchers.
    pub fn len(&self) -> usize {
        self.watchers.len()
    }

    /// Keys that somebody watches.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// From now on a change of this key counts.
    pub fn watch(&mut self, watcher: Watcher, database: u16, key: &[u8], is_due: bool) {
        let watched = self.watchers.entry(watcher).or_default();
        if !watched.keys.iter().any(|(db, bytes, _)| *db == database && bytes == key) {
            watched.keys.push((database, key.to_vec(), is_due));
            self.keys.entry((database, key.to_vec())).or_default().push(watcher);
        }
    }

    /// A key has changed.
    #[inline]
    pub fn changed(&mut self, database: u16, key: &[u8]) {
        if !self.keys.is_empty() {
            self.touch(database, key, false);
        }
    }

    /// A key was removed because its time had come; whoever found it so when the watch began has seen nothing change.
    #[inline]
    pub fn expired(&mut self, database: u16, key: &[u8]) {
        if !self.keys.is_empty() && !planted("expiry does not count for those who watch") {
            self.touch(database, key, true);
        }
    }

    fn touch(&mut self, database: u16, key: &[u8], by_time: bool) {
        let Some(watchers) = self.keys.get(&(database, key.to_vec())) else { return };
        for watcher in watchers {
            let Some(watched) = self.watchers.get_mut(watcher) else { continue };
            let mut own = watched.keys.iter_mut();
            let known = own.find(|(db, bytes, _)| *db == database && bytes == key);
            let was_due = known.map(|(_, _, was_due)| std::mem::take(was_due));
            watched.touched |= !(by_time && was_due == Some(true));
        }
    }

    /// The watched keys of a database.
    pub fn keys_of(&self, database: u16) -> Vec<Vec<u8>> {
        let of = (database, Vec::new())..;
        self.keys.range(of).take_while(|(key, _)| key.0 == database).map(|(key, _)| key.1.clone()).collect()
    }

    /// The keys that a watcher watches.
    pub fn keys_watched_by(&self, watcher: Watcher) -> Vec<(u16, Vec<u8>, bool)> {
        self.watchers.get(&watcher).map(|watched| watched.keys.clone()).unwrap_or_default()
    }

    /// What happens from now on does not count. Only for a planted fault.
    pub(crate) fn look_once(&mut self, watcher: Watcher) {
        if self.watchers.get(&watcher).is_some_and(|watched| !watched.touched) {
            self.end(watcher);
        }
    }

    /// Ends a round; true if something it watched has changed.
    pub fn end(&mut self, watcher: Watcher) -> bool {
        let Some(watched) = self.watchers.remove(&watcher) else { return false };
        for (database, key, _) in watched.keys {
            let key = (database, key);
            if let Some(watchers) = self.keys.get_mut(&key) {
                watchers.retain(|other| *other != watcher);
                if watchers.is_empty() {
                    self.keys.remove(&key);
                }
            }
        }
        watched.touched
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_counts_for_those_who_watch_the_key_in_its_database() {
        let watcher = |client, round| Watcher { client: ClientId(client), round };
        let mut watches = Watches::default();
        watches.watch(watcher(1, 1), 0, b"a", false);
        watches.watch(watcher(1, 1), 0, b"a", false);
        watches.watch(watcher(2, 1), 0, b"b", false);
        watches.watch(watcher(3, 7), 1, b"a", false);
        watches.changed(0, b"a");
        assert_eq!(watches.keys_of(0), [b"a".to_vec(), b"b".to_vec()]);
        assert!(watches.end(watcher(1, 1)));
        assert!(!watches.end(watcher(1, 1)), "a round ends once");
        assert!(!watches.end(watcher(2, 1)));
        assert!(!watches.end(watcher(3, 6)), "another round");
        watches.changed(1, b"a");
        assert_eq!(watches.keys_watched_by(watcher(3, 7)), [(1, b"a".to_vec(), false)]);
        assert!(watches.end(watcher(3, 7)));
        assert!(watches.is_empty() && watches.keys_of(1).is_empty());
    }
}
