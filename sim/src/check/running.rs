//! What happens on a shard at its place in the order: something of a request runs, a key's time has come, memory is short.
//!
//! It knows which keys that touches and by which instant it is judged, and tells everybody who watches keys. It does not know whose turn it was.

use std::collections::BTreeMap;

use darter_core::Engine;
use darter_core::database::Key;
use darter_core::value::record::Record;

use super::expiry::Named;
use super::footprint::Footprint;
use super::replay::{Deed, Part};
use super::scan::living;
use super::serial::{Access, Op};
use super::under_way::Taking;
use super::witness::{Turn, Witness};
use crate::dialogue::{Expect, fingerprint, spoken};

impl Witness {
    /// Something of a request has run.
    pub(super) fn ran(
        &mut self,
        turn: &mut Turn<'_>,
        taking: Taking,
        judged: u64,
        is_step: bool,
    ) -> Result<(), String> {
        let (core, shard) = (turn.core(), usize::from(turn.core()));
        if taking.is_scan {
            let here = &mut self.dialogues[taking.dialogue];
            let keys = living(turn.engine, here.session.database);
            here.requests[taking.request].expect =
                Expect::ScanOf(keys.map(|(key, _)| fingerprint(key)).collect());
        }
        let Some(op) = taking.op else {
            if is_step {
                self.clocks.steps(shard, judged);
                return Ok(());
            }
            return self.clocks.ran(shard, judged, taking.at, turn.unix_millis, false);
        };
        let said = &self.dialogues[taking.dialogue].requests[taking.request].words;
        let cause = cause(&said[0]);
        let under_way = self.under_way.get_mut(&op).ok_or("something runs that is answered or gone")?;
        if under_way.instants.insert(core, judged).is_some_and(|before| before != judged) {
            return Err(format!("core {core} judges by {judged} in a later step of a transaction"));
        }
        let (mut looks, mut all) = (false, false);
        for (database, touch) in under_way.footprint.on(core) {
            looks |= !touch.reads.is_empty() || !touch.writes.is_empty();
            all |= touch.all.is_some();
            let part = Part { op, shard: core, database, unix_millis: judged };
            if let Some(access) = touch.all {
                self.replay.ran_on_all(part, access)?;
                self.waits.all_changed(core, database, cause);
            }
            for key in &touch.writes {
                let is_text = |record: &Record| record.string().is_some();
                if self.waits.changed(core, database, key, cause)
                    && is_so(turn.engine, database, key, is_text)
                {
                    turn.sometimes.met("a key that somebody waited for became a string");
                }
            }
            self.replay.ran(part, &touch.reads, &touch.writes)?;
        }
        under_way.ran.push(core);
        if judged > taking.at {
            turn.sometimes.met("a shard judged by a later instant than the request's");
        }
        let ran = match () {
            _ if under_way.ran.iter().filter(|other| **other == core).count() > 1 => Ok(()),
            _ => {
                self.clocks.ran(shard, judged, taking.at, turn.unix_millis, looks && !all && !self.lacks_room)
            }
        };
        let words = &self.dialogues[taking.dialogue].requests[taking.request].words;
        ran.map_err(|text| format!("{}: {text}", spoken(words)))
    }

    /// A shard has removed keys because memory was short: nobody's doing, but at this place in the order.
    pub(super) fn evicted(
        &mut self,
        turn: &mut Turn<'_>,
        keys: Vec<Named>,
        judged: u64,
    ) -> Result<(), String> {
        let core = turn.core();
        turn.sometimes.met("a key was evicted");
        if !self.under_way.is_empty() {
            turn.sometimes.met("a key was evicted while somebody's request was under way");
        }
        let said = self.nobodys();
        let op = self.replay.taken(said, 0, Deed::Evicted(keys.clone()), turn.moment);
        for (database, key) in &keys {
            let part = Part { op, shard: core, database: *database, unix_millis: judged };
            self.replay.ran(part, &[], std::slice::from_ref(key))?;
            self.waits.changed(core, *database, key, "another");
            self.clocks.forget(usize::from(core), &(*database, key.clone()));
            for scan in self.scans.values_mut() {
                scan.changed(turn.engine, &self.placement, *database, Some(key));
            }
        }
        self.replay.gone(op)
    }

    /// What these requests and the passing of time have done to keys, for those that ask the shards themselves.
    pub(super) fn follows(
        &mut self,
        turn: &mut Turn<'_>,
        ran: BTreeMap<Op, Footprint>,
    ) -> Result<(), String> {
        // Before anything else: a key that was touched may be gone because its time had come.
        let gone = self.expire(turn, &ran)?;
        let placement = &self.placement;
        let mut changed = |database: usize, key: Option<&[u8]>| {
            self.scans.values_mut().for_each(|scan| scan.changed(turn.engine, placement, database, key));
        };
        gone.iter().for_each(|(database, key)| changed(*database, Some(key)));
        for footprint in ran.values() {
            for (database, touch) in footprint.on(turn.core()) {
                self.clocks.touched(turn.engine, database, touch);
                touch.writes.iter().for_each(|key| changed(database, Some(key)));
                if touch.all == Some(Access::Writes) {
                    changed(database, None);
                }
            }
        }
        Ok(())
    }

    /// Keys that the event has removed because their time had come: each belongs to who is under way with it, or is nobody's doing.
    fn expire(&mut self, turn: &Turn<'_>, ran: &BTreeMap<Op, Footprint>) -> Result<Vec<Named>, String> {
        let core = turn.core();
        let touched = ran.values().flat_map(|footprint| footprint.keys(core));
        let gone = self.clocks.gone(turn.engine, touched);
        let mut left = Vec::new();
        for (database, key) in &gone {
            let mut under_way = self.under_way.iter();
            let owner = under_way.find(|(_, under_way)| {
                !under_way.done
                    && under_way.ran.contains(&core)
                    && under_way.footprint.touches(core, *database, key)
            });
            match owner {
                Some((op, _)) => self.replay.expired(*op, *database, key.clone()),
                None => left.push((*database, key.clone())),
            }
        }
        if !left.is_empty() {
            let said = self.nobodys();
            let op = self.replay.taken(said, 0, Deed::Expired(left.clone()), turn.moment);
            let unix_millis = turn.engine.node().shard.judged().0;
            for (database, key) in &left {
                let part = Part { op, shard: core, database: *database, unix_millis };
                self.replay.ran(part, &[], std::slice::from_ref(key))?;
            }
            self.replay.gone(op)?;
        }
        Ok(gone)
    }
}

/// The names of commands that may serve who waits.
const CAUSES: [&str; 11] = [
    "exec",
    "rename",
    "renamenx",
    "copy",
    "move",
    "swapdb",
    "lmove",
    "rpoplpush",
    "blmove",
    "brpoplpush",
    "rpush",
];

/// A command's name, if it is one that is told apart.
fn cause(name: &[u8]) -> &'static str {
    CAUSES.into_iter().find(|cause| name.eq_ignore_ascii_case(cause.as_bytes())).unwrap_or("another")
}

/// Whether a record lies under a key that is like this.
fn is_so(engine: &Engine, database: usize, key: &[u8], like: impl Fn(&Record) -> bool) -> bool {
    let shard = &engine.node().shard;
    let key = Key { bytes: key, hash: shard.hasher().hash(key) };
    shard.databases()[database].get(key).is_some_and(like)
}
