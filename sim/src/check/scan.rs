//! A full scan returns every key that was there throughout. It may return a key twice; it may not invent one, which is held for each
//! reply by itself.
//!
//! What is there is asked of the shards themselves: a scan is no point in the order of requests, so the reference cannot tell. It does not know how
//! cursors go.

use std::collections::{BTreeMap, BTreeSet};

use darter_core::Engine;
use darter_core::database::Key;

use super::footprint::Placement;

/// A scan under way.
#[derive(Clone, Debug)]
pub struct Scan {
    /// COUNT.
    pub count: u64,
    /// The request whose reply continues it.
    pub awaited: usize,
    database: usize,
    /// Keys that were there from the beginning, and whether their time may come.
    throughout: BTreeMap<Vec<u8>, bool>,
    found: BTreeSet<Vec<u8>>,
    calls: u64,
    /// Something has changed meanwhile.
    pub met_a_change: bool,
}

/// The keys of a database that live on a shard, and whether they have a deadline.
pub fn living(engine: &Engine, database: usize) -> impl Iterator<Item = (&[u8], bool)> {
    let shard = &engine.node().shard;
    let judged = shard.judged();
    let lives = shard.databases()[database].iter().filter(move |r| !r.is_due(judged));
    lives.map(|record| (record.key(), record.soonest().is_some()))
}

impl Scan {
    /// Begins.
    pub fn new<'a>(count: u64, database: usize, engines: impl Iterator<Item = &'a Engine>) -> Scan {
        let keys = engines.flat_map(|engine| living(engine, database));
        Scan {
            count,
            awaited: 0,
            database,
            throughout: keys.map(|(key, is_dated)| (key.to_vec(), is_dated)).collect(),
            found: BTreeSet::new(),
            calls: 0,
            met_a_change: false,
        }
    }

    /// The words of its next call.
    pub fn call(&mut self, cursor: u64) -> Vec<Vec<u8>> {
        self.calls += 1;
        let words = ["SCAN".to_string(), cursor.to_string(), "COUNT".into(), self.count.to_string()];
        words.into_iter().map(String::into_bytes).collect()
    }

    /// A call has returned these keys.
    pub fn found(&mut self, keys: Vec<Vec<u8>>) {
        self.found.extend(keys);
    }

    /// A key may have changed, or all that lie on this shard.
    pub fn changed(&mut self, engine: &Engine, placement: &Placement, database: usize, key: Option<&[u8]>) {
        if database != self.database {
            return;
        }
        self.met_a_change = true;
        let shard = &engine.node().shard;
        let table = &shard.databases()[database];
        match key {
            None => {
                let me = engine.node().core.0;
                self.throughout.retain(|key, _| placement.home(key) != me);
            }
            Some(key) => {
                let Some(was_dated) = self.throughout.get_mut(key) else { return };
                // Whose time might have come may have been away in between.
                match table.get(Key { bytes: key, hash: shard.hasher().hash(key) }) {
                    Some(record) if !*was_dated => *was_dated = record.soonest().is_some(),
                    _ => {
                        self.throughout.remove(key);
                    }
                }
            }
        }
    }

    /// A clock was set back far: keys may live again that were away to the eye.
    pub fn went_back(&mut self) {
        self.throughout.retain(|_, is_dated| !*is_dated);
    }

    /// It has ended. Who was there from the beginning and lives was there throughout.
    pub fn check<'a>(&self, engines: impl Iterator<Item = &'a Engine>) -> Result<(), String> {
        for engine in engines {
            let mut missing = living(engine, self.database)
                .filter(|(key, _)| self.throughout.contains_key(*key) && !self.found.contains(*key));
            if let Some((key, _)) = missing.next() {
                return Err(format!(
                    "a scan of {} calls did not return {:?}, which was there throughout",
                    self.calls,
                    String::from_utf8_lossy(key)
                ));
            }
        }
        Ok(())
    }
}
