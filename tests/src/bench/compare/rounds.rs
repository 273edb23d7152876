//! Measures workloads on several servers in turn. It decides what runs when, and prints nothing.

use std::time::Duration;

use serde::Serialize;

use super::server::{Running, Spec};
use super::workload::{Common, Kind, Plans, Shape, Workload};
use crate::bench::cpus::Cpus;
use crate::bench::interrupt;
use crate::bench::observe::CpuTime;
use crate::bench::pace::Arrivals;
use crate::bench::perform::{filled, open_idle, show_progress};
use crate::bench::plan::{Extent, Load, Plan};
use crate::bench::run::{Figures, run};

/// So many requests show whether a server has an operation.
const PROBE: u64 = 100;

/// What one server has shown in one workload.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Cell {
    /// One for each round.
    pub rounds: Vec<Figures>,
    /// Why there are none.
    pub refused: Option<String>,
    /// Bytes resident for each idle connection.
    pub bytes_per_connection: Option<f64>,
    /// Microseconds of CPU in a second in which nothing was asked.
    pub idle_us_per_second: Option<f64>,
    /// Resident bytes per key.
    pub bytes_per_key: Option<f64>,
}

/// A workload on all servers.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The workload.
    pub name: String,
    /// What is told by it.
    pub kind: Kind,
    /// Bytes of a value.
    pub value: usize,
    /// In the order of the servers.
    pub cells: Vec<Cell>,
}

/// What servers are compared under.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// The servers.
    pub specs: Vec<Spec>,
    /// Where they run; one with a number of shards has so many of them.
    pub cpus: Cpus,
    /// Rounds of each workload.
    pub rounds: usize,
    /// Of workloads.
    pub common: Common,
    /// Idle connections.
    pub idle: usize,
}

impl Conditions {
    fn start(&self, spec: &Spec) -> Result<Running, String> {
        Running::start(spec, &self.cpus.first(spec.shards.unwrap_or(usize::MAX)))
    }

    /// Measures one workload on all servers. Each is started anew, so that no workload sees what another has left.
    pub fn measure(&self, workload: &Workload) -> Result<Row, String> {
        let cells = match workload.kind {
            Kind::Idle => self.one_by_one(workload)?,
            _ => self.in_turn(workload)?,
        };
        Ok(Row {
            name: workload.name.into(),
            kind: workload.kind,
            value: workload.value(&self.common),
            cells,
        })
    }

    fn in_turn(&self, workload: &Workload) -> Result<Vec<Cell>, String> {
        let mut cells: Vec<Cell> = self.specs.iter().map(|_| Cell::default()).collect();
        let mut running: Vec<Option<(Running, Plan)>> = Vec::new();
        for (spec, cell) in self.specs.iter().zip(&mut cells) {
            running.push(self.prepare(spec, workload, cell)?);
        }
        if workload.kind == Kind::Open {
            let Some((first, plan)) = running.iter().flatten().next() else { return Ok(cells) };
            let peak = measured(plan, first)?.per_second;
            for (_, plan) in running.iter_mut().flatten() {
                plan.load = Load::Open { rate: (peak / 2.0).max(1.0), arrivals: Arrivals::Poisson };
            }
        }
        let count = self.specs.len();
        for round in 0..self.rounds {
            // Another one begins each round: nobody always runs behind the same other.
            for at in (0..count).map(|at| (at + round) % count) {
                if interrupt::asked() {
                    return Ok(cells);
                }
                if let Some((server, plan)) = &mut running[at] {
                    plan.seed = round as u64 + 1;
                    cells[at].rounds.push(measured(plan, server)?);
                }
            }
        }
        Ok(cells)
    }

    /// With connections that say nothing: one server at a time, because we and they have only so many descriptors.
    fn one_by_one(&self, workload: &Workload) -> Result<Vec<Cell>, String> {
        let mut cells: Vec<Cell> = self.specs.iter().map(|_| Cell::default()).collect();
        for (spec, cell) in self.specs.iter().zip(&mut cells) {
            let Some((server, mut plan)) = self.prepare(spec, workload, cell)? else { continue };
            let (streams, idle) = open_idle(&plan, self.idle, Some(server.pid()))?;
            cell.bytes_per_connection = idle.and_then(|idle| idle.bytes_per_connection);
            cell.idle_us_per_second = self.cpu_of_nothing(&server);
            for round in 0..self.rounds {
                if interrupt::asked() {
                    return Ok(cells);
                }
                plan.seed = round as u64 + 1;
                cell.rounds.push(measured(&plan, &server)?);
            }
            drop(streams);
        }
        Ok(cells)
    }

    fn cpu_of_nothing(&self, server: &Running) -> Option<f64> {
        let before = CpuTime::of(server.pid()).ok()?;
        let began = std::time::Instant::now();
        while began.elapsed() < self.common.time && !interrupt::asked() {
            std::thread::park_timeout(self.common.time.saturating_sub(began.elapsed()));
        }
        let used = CpuTime::of(server.pid()).ok()?.total.saturating_sub(before.total);
        Some(used.as_secs_f64() * 1e6 / began.elapsed().as_secs_f64())
    }

    /// Starts a server and fills it; none if it answers the operation with an error. Anything wrong is an error here.
    fn prepare(
        &self,
        spec: &Spec,
        workload: &Workload,
        cell: &mut Cell,
    ) -> Result<Option<(Running, Plan)>, String> {
        let server = self.start(spec)?;
        let Plans { fill, measure } =
            match workload.plans(spec.protocol, server.address.clone(), &self.common) {
                Ok(plans) => plans,
                Err(reason) => {
                    cell.refused = Some(reason);
                    return Ok(None);
                }
            };
        let probe = Plan { extent: Extent::Requests(PROBE), warm_up: Duration::ZERO, ..measure.clone() };
        for plan in [fill, probe] {
            let tally = measured(&plan, &server)?.tally;
            if tally.errors > 0 {
                cell.refused = Some(tally.error_samples.join("; "));
                return Ok(None);
            }
            if let Some(complaint) = tally.complaint(false) {
                return Err(format!("{}, {}: {complaint}", spec.name, workload.name));
            }
            if interrupt::asked() {
                return Ok(None);
            }
        }
        Ok(Some((server, measure)))
    }

    /// Resident bytes per key of every server.
    pub fn memory(
        &self,
        keys: u64,
        (key_len, value): (usize, usize),
        expiry: Option<u64>,
    ) -> Result<Row, String> {
        let mut cells = Vec::new();
        for spec in self.specs.iter().take_while(|_| !interrupt::asked()) {
            let mut cell = Cell::default();
            let server = self.start(spec)?;
            let shape = Shape { protocol: spec.protocol, keys, key_len, value, expiry };
            let names = shape.names()?;
            let command = shape.wording(&names).fill()?;
            let plan = shape.plan(server.address.clone(), command.clone(), &self.common)?.filling(command)?;
            let (fill, figures) = filled(&plan, Some(server.pid()), &mut |progress| show_progress(&progress))
                .map_err(|error| format!("{}: {error}", spec.name))?;
            let tally = figures.tally;
            match tally.errors {
                0 => cell.bytes_per_key = fill.bytes_per_key,
                _ => cell.refused = Some(tally.error_samples.join("; ")),
            }
            if let Some(complaint) = tally.complaint(true) {
                return Err(format!("{}: {complaint}", spec.name));
            }
            cells.push(cell);
        }
        let ttl = if expiry.is_some() { ", TTL" } else { "" };
        Ok(Row { name: format!("{keys} keys, {key_len}+{value}{ttl}"), kind: Kind::Bytes, value, cells })
    }
}

fn measured(plan: &Plan, server: &Running) -> Result<Figures, String> {
    let figures = run(plan, Some(server.pid()), &mut |progress| show_progress(&progress));
    figures.map_err(|error| format!("{}: {error}", server.address))
}
