//! Moments that a loss of power may go back to: those that are marked in all logs, and the cuts at which logs are written anew.
//!
//! At each of them every shard is held, so what the cores hold then is one state of the order that explains everybody. Who lets go first, the keeper's
//! core, may go on within its turn, before anybody else: what it does then is part of the moment of a mark, as it is of the group. It keeps states, and where in
//! the logs they stand. It does not know what a loss of power leaves.

use std::collections::BTreeMap;

use darter_core::Engine;
use darter_core::message::Token;
use darter_core::node::{Applied, Noted};
use darter_core::snapshot::keeper::{MARKER, NOBODY};
use darter_core::txn::work::TxId;

use crate::disk::Disk;

/// What a moment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The beginning: there is nothing.
    Beginning,
    /// The mark of this number.
    Mark(u64),
    /// Where the logs of this generation begin.
    Cut(u32),
}

/// One of them.
pub struct Moment {
    /// What it is.
    pub kind: Kind,
    /// By core, as it was then.
    pub engines: Vec<Option<Engine>>,
    /// By core: which log it is marked in, and where the mark's group ends.
    places: Vec<Option<(String, usize)>>,
    /// Cores that have come to it in the turn that they are in.
    fresh: Vec<u16>,
}

impl Moment {
    /// Every core has come to it.
    pub fn is_complete(&self) -> bool {
        self.engines.iter().all(Option::is_some)
    }

    /// A loss of power does not take it away.
    fn is_durable(&self, disk: &Disk, manifest: &str) -> bool {
        match self.kind {
            Kind::Beginning => true,
            Kind::Cut(generation) => manifest.contains(&format!(".{generation}.base.rdb ")),
            Kind::Mark(_) => {
                self.places.iter().all(|place| {
                    let Some((path, end)) = place else { return false };
                    disk.is_durable(path, *end)
                }) && disk.logs_before(self.places.iter().flatten().map(|(path, _)| &path[..]).next())
            }
        }
    }
}

/// All that may matter, in order.
#[derive(Default)]
pub struct Moments {
    all: Vec<Moment>,
    transactions: BTreeMap<(u16, TxId), usize>,
    /// How many are forgotten.
    forgotten: usize,
    /// None is forgotten: a disk that lies may take any of them.
    keeps_all: bool,
    /// The last that could not be lost when that was last asked.
    floor: usize,
}

impl Moments {
    /// At the beginning, with these cores.
    pub fn new(engines: Vec<Engine>, keeps_all: bool) -> Moments {
        let beginning = Moment {
            kind: Kind::Beginning,
            places: vec![None; engines.len()],
            engines: engines.into_iter().map(Some).collect(),
            fresh: Vec::new(),
        };
        Moments { all: vec![beginning], keeps_all, ..Moments::default() }
    }

    /// A core has handled an event, of which these are the lines; so it is now.
    pub fn reads(&mut self, core: u16, lines: &[Noted], engine: &Engine) {
        for noted in lines {
            match noted.applied {
                Applied::Began { tx, token: Token { conn, sequence } }
                    if conn == MARKER || conn == NOBODY =>
                {
                    let kind = match conn == MARKER {
                        true => Kind::Mark(sequence),
                        false if sequence >> 32 == 0 => continue,
                        false => Kind::Cut((sequence >> 32) as u32),
                    };
                    let cores = self.all[0].engines.len();
                    self.transactions.insert((core, tx), self.forgotten + self.all.len());
                    let (engines, places) = (vec![None; cores], vec![None; cores]);
                    self.all.push(Moment { kind, engines, places, fresh: Vec::new() });
                }
                Applied::Part { from, tx, .. } => {
                    let Some(place) = self.transactions.get(&(from.0, tx)) else { continue };
                    let Some(moment) =
                        place.checked_sub(self.forgotten).and_then(|place| self.all.get_mut(place))
                    else {
                        continue;
                    };
                    moment.fresh.push(core);
                }
                Applied::Ended { tx, .. } => drop(self.transactions.remove(&(core, tx))),
                _ => {}
            }
        }
        // A log begins with the cut, not with the turn: what the turn does after it may be lost without it.
        let is_here =
            |moment: &&mut Moment| matches!(moment.kind, Kind::Cut(_)) && moment.fresh.contains(&core);
        for moment in self.all.iter_mut().filter(is_here) {
            moment.fresh.retain(|other| *other != core);
            moment.engines[usize::from(core)] = Some(engine.clone());
        }
    }

    /// What a core has changed is about to be written: at the end of its turn, and whenever that it was written has let something else run.
    pub fn ends_group(&mut self, core: u16, engine: &Engine, disk: &Disk) {
        for moment in self.all.iter_mut().filter(|moment| moment.fresh.contains(&core)) {
            moment.fresh.retain(|other| *other != core);
            let pen = &engine.node().pen;
            moment.places[usize::from(core)] =
                pen.path().map(|path| (path.to_string(), disk.len_of(path) + pen.pending_bytes()));
            moment.engines[usize::from(core)] = Some(engine.clone());
        }
    }

    /// The moments that a loss of power may go back to now; all that there were, if the disk lies.
    pub fn possible(&mut self, disk: &Disk) -> &[Moment] {
        let manifest = disk.durable_manifest();
        let durable =
            self.all.iter().rposition(|moment| moment.is_complete() && moment.is_durable(disk, &manifest));
        self.floor = self.floor.max(self.forgotten + durable.unwrap_or(0));
        if self.keeps_all {
            return &self.all;
        }
        let gone = self.floor - self.forgotten;
        self.forgotten += gone;
        // The first tells how many cores there are.
        self.all.drain(..gone);
        &self.all
    }

    /// True if a mark may still be lost, or never was made.
    pub fn may_lose(&self, mark: u64) -> bool {
        let place = self.all.iter().position(|moment| moment.kind == Kind::Mark(mark));
        place.is_some_and(|place| self.forgotten + place > self.floor)
    }
}
