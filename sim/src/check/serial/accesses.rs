//! Who touched what last, on each shard: the edges of keys, and the promises to a connection.
//!
//! Of each key it keeps the last writer and who has read since, which is enough: whoever wrote before that stands before the last writer. All
//! keys of a database together are one more thing that can be touched. What only those have touched that have their place in
//! the order is forgotten now and then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::graph::Graph;
use super::{Access, Op, Said, Why};

/// A later request of a connection was here while an earlier one had not run.
#[derive(Debug)]
struct Ahead {
    said: Said,
    wrote: bool,
    /// When, counted in touches.
    at: u64,
}

/// What is remembered of a key, or of all keys together.
#[derive(Debug, Default)]
struct Place {
    writer: Option<Op>,
    /// Since the writer.
    readers: Vec<Op>,
    /// When it was written last, counted in touches.
    written_at: u64,
    ahead: Vec<Ahead>,
}

/// A database of a shard.
#[derive(Debug, Default)]
struct Area {
    all: Place,
    keys: BTreeMap<Arc<[u8]>, Place>,
}

/// A part of a request at work.
#[derive(Clone, Copy)]
pub(super) struct Touch<'a> {
    pub op: Op,
    pub said: Said,
    pub shard: u16,
    pub database: usize,
    pub access: Access,
    /// Of each connection, the requests of which parts may still run.
    pub open: &'a BTreeMap<u64, BTreeSet<u64>>,
}

/// All databases of all shards.
#[derive(Debug, Default)]
pub(super) struct Accesses {
    areas: BTreeMap<(u16, usize), Area>,
    touches: u64,
    swept_at: u64,
    places: u64,
}

/// Touches between two sweeps, at least.
const SWEEP_EVERY: u64 = 1_000;

impl Place {
    /// Those that stand before a touch, and what they did.
    fn before(&self, access: Access) -> impl Iterator<Item = (Op, Access)> {
        let readers = if access == Access::Writes { &self.readers[..] } else { &[] };
        let readers = readers.iter().map(|op| (*op, Access::Reads));
        self.writer.map(|op| (op, Access::Writes)).into_iter().chain(readers)
    }

    fn note(&mut self, touch: &Touch<'_>, at: u64) {
        match touch.access {
            Access::Writes => {
                self.writer = Some(touch.op);
                self.readers.clear();
                self.written_at = at;
            }
            Access::Reads if self.readers.last() != Some(&touch.op) => self.readers.push(touch.op),
            Access::Reads => {}
        }
        if touch.overtakes(touch.said) {
            self.ahead.push(Ahead { said: touch.said, wrote: touch.access == Access::Writes, at });
        }
    }

    /// Whether a promise to the connection of `touch` is broken by those who were here before it. `written_at`: when what both have touched was
    /// written last.
    fn keeps_promises(&self, touch: &Touch<'_>, written_at: u64) -> Result<(), &'static str> {
        let own = self.ahead.iter().filter(|ahead| ahead.said.connection == touch.said.connection);
        for ahead in own.filter(|ahead| ahead.said.number > touch.said.number) {
            if ahead.wrote || touch.access == Access::Writes {
                return Err("runs after a later request of its connection that conflicts");
            }
            if written_at > ahead.at {
                return Err(
                    "sees a later write than a later request of its connection, which goes back in time",
                );
            }
        }
        Ok(())
    }

    fn forget(&mut self, graph: &Graph, touch_may_matter: impl Fn(Said) -> bool) {
        self.writer = self.writer.filter(|op| graph.waits(*op));
        self.readers.retain(|op| graph.waits(*op));
        self.ahead.retain(|ahead| touch_may_matter(ahead.said));
    }

    fn is_forgotten(&self) -> bool {
        self.writer.is_none() && self.readers.is_empty() && self.ahead.is_empty()
    }
}

/// True if an earlier request of the connection has not run everywhere.
fn overtakes(open: &BTreeMap<u64, BTreeSet<u64>>, said: Said) -> bool {
    let first = open.get(&said.connection).and_then(BTreeSet::first);
    first.is_some_and(|first| *first < said.number)
}

impl Touch<'_> {
    fn overtakes(&self, said: Said) -> bool {
        overtakes(self.open, said)
    }

    fn why(&self, key: Option<&Arc<[u8]>>, first: Access) -> Why {
        let (shard, database, then) = (self.shard, self.database, self.access);
        Why::Ran { shard, database, key: key.cloned(), first, then }
    }

    fn broken(&self, key: Option<&[u8]>, promise: &str) -> String {
        let what = key.map_or_else(|| "all keys".into(), |key| String::from_utf8_lossy(key).into_owned());
        let (shard, database) = (self.shard, self.database);
        format!("it {promise}: {what} of database {database}, shard {shard}")
    }
}

impl Accesses {
    /// A key is touched.
    pub fn key(&mut self, graph: &mut Graph, touch: Touch<'_>, key: &[u8]) -> Result<(), String> {
        self.touches += 1;
        let Area { all, keys } = self.areas.entry((touch.shard, touch.database)).or_default();
        if !keys.contains_key(key) {
            keys.insert(key.into(), Place::default());
            self.places += 1;
        }
        let shared = keys.get_key_value(key).expect("it is there now").0.clone();
        let place = keys.get_mut(key).expect("it is there now");
        let written_at = place.written_at.max(all.written_at);
        for earlier in [&*place, &*all] {
            let kept = earlier.keeps_promises(&touch, written_at);
            kept.map_err(|promise| touch.broken(Some(key), promise))?;
        }
        for (op, first) in place.before(touch.access) {
            graph.edge(op, touch.op, touch.why(Some(&shared), first));
        }
        for (op, first) in all.before(touch.access) {
            graph.edge(op, touch.op, touch.why(None, first));
        }
        place.note(&touch, self.touches);
        Ok(())
    }

    /// All keys of a database are touched, those that are not there included.
    pub fn all(&mut self, graph: &mut Graph, touch: Touch<'_>) -> Result<(), String> {
        self.touches += 1;
        let Area { all, keys } = self.areas.entry((touch.shard, touch.database)).or_default();
        let kept = all.keeps_promises(&touch, all.written_at);
        kept.map_err(|promise| touch.broken(None, promise))?;
        for (key, place) in &mut *keys {
            let kept = place.keeps_promises(&touch, place.written_at.max(all.written_at));
            kept.map_err(|promise| touch.broken(Some(key), promise))?;
            for (op, first) in place.before(touch.access) {
                graph.edge(op, touch.op, touch.why(None, first));
            }
            if touch.access == Access::Writes {
                place.writer = None;
                place.readers.clear();
            }
        }
        for (op, first) in all.before(touch.access) {
            graph.edge(op, touch.op, touch.why(None, first));
        }
        all.note(&touch, self.touches);
        Ok(())
    }

    /// Forgets what nobody can meet any more, if that is worth while.
    pub fn sweep(&mut self, graph: &Graph, open: &BTreeMap<u64, BTreeSet<u64>>) {
        if self.touches - self.swept_at < SWEEP_EVERY.max(self.places) {
            return;
        }
        self.swept_at = self.touches;
        for area in self.areas.values_mut() {
            area.all.forget(graph, |said| overtakes(open, said));
            let all_is_watched = !area.all.ahead.is_empty();
            area.keys.retain(|_, place| {
                place.forget(graph, |said| overtakes(open, said));
                all_is_watched || !place.is_forgotten()
            });
        }
        self.places = self.areas.values().map(|area| area.keys.len() as u64).sum();
    }

    /// Keys that are remembered.
    #[cfg(test)]
    pub fn remembered(&self) -> usize {
        self.areas.values().map(|area| area.keys.len()).sum()
    }
}
