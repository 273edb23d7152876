//! By which instant a shard judges: never an earlier one than before, unless the wall clock was set back far, and always one that a
//! core has really read. With the reference at the same instant every reply shows that no key is seen late and none goes early.
//!
//! It also tells which keys are gone because their time had come: when a clock is set back far, those live again that nobody has
//! removed, and only those.

use std::collections::{BTreeMap, BTreeSet};

use darter_core::Engine;
use darter_core::database::Key;

use super::footprint::Touch;
use super::serial::Access;
use crate::reference::believed;

/// A key of a database.
pub type Named = (usize, Vec<u8>);

/// One shard.
#[derive(Clone, Debug, Default)]
struct Clock {
    /// The instant by which it judges, Unix milliseconds.
    judged: u64,
    /// The latest of those before it.
    latest: u64,
    /// Keys with a deadline, as of what has run.
    dated: BTreeMap<Named, u64>,
    /// Keys removed because their time had come, as the engine counts them.
    expired: u64,
}

/// All shards.
#[derive(Clone, Debug)]
pub struct Clocks(Vec<Clock>);

impl Clocks {
    /// Before anything was judged.
    pub fn new(shards: u16) -> Clocks {
        Clocks(vec![Clock::default(); usize::from(shards)])
    }

    /// An event begins; true if its clock was set back far, so that keys may live again whose time had come.
    pub fn begins(&mut self, shard: usize, now: u64) -> bool {
        let clock = &mut self.0[shard];
        let before = clock.judged;
        clock.latest = clock.latest.max(before);
        clock.judged = believed(before, now);
        clock.judged < before
    }

    /// The latest instant by which a shard has judged, which is the one that it judges by now unless its clock was set back. Unix milliseconds.
    pub fn latest(&self, shard: usize) -> u64 {
        self.0[shard].latest.max(self.0[shard].judged)
    }

    /// Something has run that was taken at the instant `own`, while the core's clock stood at `now`; the shard judges by `judged` from then on. `strictly`:
    /// it looked at keys, and at nothing else than its own instant. Unix milliseconds.
    pub fn ran(
        &mut self,
        shard: usize,
        judged: u64,
        own: u64,
        now: u64,
        strictly: bool,
    ) -> Result<(), String> {
        let clock = &mut self.0[shard];
        let before = std::mem::replace(&mut clock.judged, judged);
        let strict = [before.max(own), before.max(now).max(own)];
        let loose = [before, before.max(now)];
        if strict.contains(&judged) || !strictly && loose.contains(&judged) {
            return Ok(());
        }
        Err(format!(
            "core {shard} judges by {judged}, before by {before}; the request's instant is {own}, the core's {now}"
        ))
    }

    /// A step of something that is not followed has run.
    pub fn steps(&mut self, shard: usize, judged: u64) {
        self.0[shard].judged = self.0[shard].judged.max(judged);
    }

    /// An event is over.
    pub fn rests(&mut self, engine: &Engine, now: u64) -> Result<(), String> {
        let (shard, judged) = (engine.node().core.index(), engine.node().shard.judged().0);
        let clock = &mut self.0[shard];
        let before = std::mem::replace(&mut clock.judged, judged);
        if judged == before || judged == before.max(now) {
            return Ok(());
        }
        Err(format!("core {shard} judges by {judged}, before by {before}; its clock stands at {now}"))
    }

    /// A key is gone for another reason.
    pub fn forget(&mut self, shard: usize, key: &Named) {
        self.0[shard].dated.remove(key);
    }

    /// Something has run that touches this.
    pub fn touched(&mut self, engine: &Engine, database: usize, touch: &Touch) {
        let shard = &engine.node().shard;
        let dated = &mut self.0[engine.node().core.index()].dated;
        let table = &shard.databases()[database];
        if touch.all == Some(Access::Writes) {
            dated.retain(|(other, _), _| *other != database);
            for record in table.iter() {
                if let Some(at) = record.deadline() {
                    dated.insert((database, record.key().to_vec()), at.0);
                }
            }
        }
        for key in &touch.writes {
            let record = table.get(Key { bytes: key, hash: shard.hasher().hash(key) });
            match record.and_then(|record| record.deadline()) {
                Some(at) => dated.insert((database, key.clone()), at.0),
                None => dated.remove(&(database, key.clone())),
            };
        }
    }

    /// The keys that are gone since the last time because their time had come, or may be so: of those that were touched meanwhile all that are
    /// not there.
    pub fn gone<'a>(
        &mut self,
        engine: &Engine,
        touched: impl Iterator<Item = (usize, &'a Vec<u8>)>,
    ) -> Vec<Named> {
        let shard = &engine.node().shard;
        let clock = &mut self.0[engine.node().core.index()];
        let expired = shard.counters().expired;
        if std::mem::replace(&mut clock.expired, expired) == expired {
            return Vec::new();
        }
        let is_there = |(database, key): &Named| {
            let key = Key { bytes: key, hash: shard.hasher().hash(key) };
            shard.databases()[*database].get(key).is_some()
        };
        let latest = clock.judged.max(shard.judged().0);
        let gone = clock.dated.iter().filter(|(key, at)| **at <= latest && !is_there(key));
        let mut gone: BTreeSet<Named> = gone.map(|(key, _)| key.clone()).collect();
        // They may have come and gone within one event.
        let touched = touched.map(|(database, key)| (database, key.clone()));
        gone.extend(touched.filter(|key| !is_there(key)));
        gone.iter().for_each(|key| {
            clock.dated.remove(key);
        });
        gone.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_shard_goes_back_and_none_invents_an_instant() {
        let ran = |before: u64, judged, own, now, strictly| {
            let mut clocks = Clocks::new(1);
            clocks.0[0].judged = before;
            clocks.ran(0, judged, own, now, strictly).is_ok()
        };
        assert!(ran(10, 20, 20, 30, true));
        assert!(ran(10, 10, 5, 30, true), "a little back is not believed");
        assert!(ran(10, 30, 20, 30, true), "it may have judged by its own clock before");
        assert!(!ran(10, 5, 5, 30, true) && !ran(10, 25, 20, 30, true) && !ran(10, 10, 20, 30, true));
        assert!(ran(10, 10, 20, 30, false));
        assert!(!ran(10_000, 5, 5, 10_000, true), "what was long on its way takes nobody back");
        let mut clocks = Clocks::new(1);
        clocks.0[0].judged = 10_000;
        clocks.begins(0, 9_000);
        assert_eq!(clocks.0[0].judged, 10_000);
        clocks.begins(0, 5);
        assert_eq!(clocks.0[0].judged, 5, "far back is believed");
    }
}
