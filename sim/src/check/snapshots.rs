//! Snapshots: what a file holds is what the store held at the place of its cut in the order that explains everybody.
//!
//! The file is loaded by an engine of its own, through the loader that serves production.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use darter_core::config::Settings;
use darter_core::event::{CoreId, DiskOutcome, DiskRequest, Effect, Effects, Event};
use darter_core::host::{Instruments, Process};
use darter_core::message::Token;
use darter_core::node::Applied;
use darter_core::snapshot::keeper::{MARKER, NOBODY, RELOADER};
use darter_core::time::{Instant, Now};
use darter_core::txn::work::TxId;
use darter_core::{Engine, EngineConfig};

use super::content;
use super::footprint::Placement;
use super::replay::{Deed, Part, Replay};
use super::serial::{Access, Op, Said};
use super::witness::{Turn, Witness};
use crate::decoder::Reply;
use crate::reference::Entry;

/// The keys of each database.
pub type Content = Vec<BTreeMap<Vec<u8>, Entry>>;

/// Files and cuts that have not been compared.
#[derive(Debug, Default)]
pub struct Snapshots {
    /// Cuts under way, by transaction.
    cuts: BTreeMap<(u16, TxId), (Op, u64)>,
    /// Marks under way.
    marks: BTreeSet<(u16, TxId)>,
    /// By a snapshot's number: the file, and an instant by which it may be loaded.
    files: BTreeMap<u64, (Vec<u8>, u64)>,
    /// Snapshots whose file is what it must be.
    pub compared: u64,
}

impl Snapshots {
    /// Reads a line about a cut; true if it is one.
    ///
    /// # Errors
    /// When the order does not allow it.
    pub fn reads(
        witness: &mut Witness,
        turn: &Turn<'_>,
        applied: &Applied,
        judged: u64,
    ) -> Result<bool, String> {
        let core = turn.core();
        match *applied {
            Applied::Began { tx, token: Token { conn: NOBODY, sequence } } => {
                let said = witness.keepers();
                let op = witness.replay.taken(said, 0, Deed::Cut(sequence), turn.moment);
                witness.snapshots.cuts.insert((core, tx), (op, sequence));
            }
            Applied::Part { from, tx, .. } if witness.snapshots.cuts.contains_key(&(from.0, tx)) => {
                let (op, _) = witness.snapshots.cuts[&(from.0, tx)];
                for database in 0..witness.databases {
                    let part = Part { op, shard: core, database, unix_millis: judged };
                    witness.replay.ran_on_all(part, Access::Reads)?;
                }
            }
            Applied::Ended { tx, .. } if witness.snapshots.cuts.contains_key(&(core, tx)) => {
                if let Some((op, _)) = witness.snapshots.cuts.remove(&(core, tx)) {
                    witness.replay.heard(op, Reply::ok(), turn.moment)?;
                }
            }
            // A mark in the log looks at nothing, and when it is read back nobody sees a difference.
            Applied::Began { tx, token: Token { conn: MARKER | RELOADER, .. } } => {
                witness.snapshots.marks.insert((core, tx));
            }
            Applied::Part { from, tx, .. } if witness.snapshots.marks.contains(&(from.0, tx)) => {}
            Applied::Ended { tx, .. } if witness.snapshots.marks.remove(&(core, tx)) => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// A file got its name; by this instant or later it may be loaded.
    pub fn published(&mut self, number: u64, file: Vec<u8>, unix_millis: u64) {
        self.files.insert(number, (file, unix_millis));
    }

    /// True if there is something to compare.
    pub fn has_files(&self) -> bool {
        !self.files.is_empty()
    }

    /// Compares those files whose cut has its place in the order by now.
    ///
    /// # Errors
    /// When a file cannot be loaded, or holds something else.
    pub fn compare(
        &mut self,
        replay: &mut Replay,
        databases: u16,
        placement: &Placement,
    ) -> Result<(), String> {
        let files = std::mem::take(&mut self.files);
        for (number, (file, unix_millis)) in files {
            let Some(content) = replay.cuts.remove(&number) else {
                self.files.insert(number, (file, unix_millis));
                continue;
            };
            let placement = Placement { shards: 1, ..placement.clone() };
            let engine =
                load(&file, databases, unix_millis).map_err(|why| format!("snapshot {number}: {why}"))?;
            let followed = usize::from(databases) - 1;
            content::check([&engine].into_iter(), &content, followed, &placement, true)
                .map_err(|why| format!("snapshot {number}: {why}"))?;
            self.compared += 1;
        }
        Ok(())
    }
}

/// What stands in a file, in an engine.
fn load(file: &[u8], databases: u16, unix_millis: u64) -> Result<Engine, String> {
    let mut engine = Engine::new(EngineConfig {
        core: CoreId(0),
        cores: 1,
        credits: 1,
        hash_seeds: [1, 2, 3, 4],
        random_seed: [0; 32],
        settings: Settings { databases, ..Settings::default() },
        process: Arc::new(Process::default()),
        instruments: Instruments::still(),
        load: Some(file.len() as u64),
        persists: false,
    });
    let now = Now { mono: Instant(1), unix_micros: unix_millis * 1_000 };
    let mut effects = Effects::default();
    engine.handle(now, Event::Start, &mut effects);
    while engine.node().status.is_loading {
        let mut asked: Vec<Effect> = effects.drain().collect();
        match asked.pop() {
            Some(Effect::Disk { operation, request: DiskRequest::ReadAt { at, len, mut into, .. } }) => {
                let rest = file.get(at as usize..).unwrap_or_default();
                // In pieces that cut things anywhere.
                into.extend_from_slice(&rest[..rest.len().min(len).min(997)]);
                let outcome = DiskOutcome::Content(into);
                engine.handle(now, Event::Disk { operation, outcome }, &mut effects);
            }
            Some(Effect::Fail { text }) => return Err(text),
            _ if engine.has_background() => {
                engine.handle(now, Event::Slice { steps: 1 }, &mut effects);
            }
            other => return Err(format!("loading stands still at {other:?}")),
        }
    }
    Ok(engine)
}

impl Witness {
    /// A name for what nobody has asked for.
    pub(super) fn nobodys(&mut self) -> Said {
        self.nobodys += 1;
        Said { connection: super::witness::NOBODY, number: self.nobodys }
    }

    /// A name for what the keeper of snapshots does, beside which keys may go because memory is short.
    fn keepers(&mut self) -> Said {
        self.nobodys += 1;
        Said { connection: super::witness::KEEPER, number: self.nobodys }
    }
}
