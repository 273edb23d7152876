//! One run from the first connection to the figures: it starts generators, changes their phases, and reads clocks and counters at the
//! edges of the measurement. It sees no request.

use std::io::{Error, Result};
use std::sync::atomic::Ordering;
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::address::Stream;
use super::generator::{Control, Found, Generator, Meter, Phase};
use super::interrupt;
use super::latency::{Latency, Percentiles, Point};
use super::observe::{CpuPerOperation, CpuTime};
use super::plan::{Extent, Load, Plan};
use super::tally::Tally;

/// How often the counters are looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How often they are shown.
const SHOW: Duration = Duration::from_millis(250);

/// What a run has found.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// How long it was measured.
    pub seconds: f64,
    /// Requests answered in that time. A request for ten keys is one.
    pub operations: u64,
    /// The same in a second.
    pub per_second: f64,
    /// The rate asked for, in an open loop.
    pub rate: Option<f64>,
    /// Microseconds from when a request was sent, or was due in an open loop, until its reply had come.
    pub latency: Percentiles,
    /// All percentiles.
    pub curve: Vec<Point>,
    /// Counts, of the time measured and of what was in flight at its end.
    pub tally: Tally,
    /// CPU of the server, if its process was found.
    pub server: Option<CpuPerOperation>,
    /// CPU of this process.
    pub generator: CpuPerOperation,
    /// How busy the generators were, 0 to 1: near 1, they and not the server are measured.
    pub generator_busy: f64,
    /// Whether it was ended by hand.
    pub interrupted: bool,
}

/// What is told while a run goes on.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Since it began.
    pub elapsed: Duration,
    /// Replies a second since the last time.
    pub per_second: f64,
    /// Replies since it began.
    pub replies: u64,
}

/// The clocks at an edge of the measurement.
struct Edge {
    at: Instant,
    replies: u64,
    server: Option<CpuTime>,
    generator: CpuTime,
}

impl Edge {
    fn now(meters: &[Meter], server: Option<u32>) -> Result<Edge> {
        Ok(Edge {
            at: Instant::now(),
            replies: replies(meters),
            // A server that has gone has no CPU time; that it closed its connections is told by the tally.
            server: server.and_then(|pid| CpuTime::of(pid).ok()),
            generator: CpuTime::of(std::process::id())?,
        })
    }
}

fn replies(meters: &[Meter]) -> u64 {
    meters.iter().map(|meter| meter.replies.load(Ordering::Relaxed)).sum()
}

/// Runs a plan. `server` is the process whose CPU time is read; `show` is called now and then.
pub fn run(plan: &Plan, server: Option<u32>, show: &mut dyn FnMut(Progress)) -> Result<Figures> {
    plan.check().map_err(Error::other)?;
    let mut streams: Vec<Vec<Stream>> = (0..plan.threads).map(|_| Vec::new()).collect();
    for at in 0..plan.connections {
        streams[at % plan.threads].push(plan.address.connect()?);
    }
    let control = Control::default();
    let meters: Vec<Meter> = (0..plan.threads).map(|_| Meter::default()).collect();
    let ready = Barrier::new(plan.threads + 1);
    let found: Mutex<Vec<Result<Found>>> = Mutex::default();
    let (before, after, interrupted) = std::thread::scope(|scope| {
        for (lane, streams) in streams.into_iter().enumerate() {
            let (control, meter, ready, found) = (&control, &meters[lane], &ready, &found);
            scope.spawn(move || {
                let generator = Generator::new(plan, control, meter, lane, streams);
                ready.wait();
                let outcome = generator.and_then(Generator::run);
                // Also after an error there is nothing to wait for.
                meter.finished.store(true, Ordering::Release);
                found.lock().expect("no generator panics").push(outcome);
            });
        }
        let measured = conduct(plan, &control, &meters, &ready, server, show);
        control.set(Phase::Stop);
        measured
    })?;
    let (mut latency, mut tally) = (Latency::new(), Tally::default());
    for outcome in found.into_inner().expect("no generator panics") {
        let found = outcome?;
        latency.add(&found.latency);
        tally.add(&found.tally);
    }
    let elapsed = after.at - before.at;
    let operations = after.replies - before.replies;
    let generator = after.generator.per_operation(&before.generator, operations, elapsed);
    Ok(Figures {
        seconds: elapsed.as_secs_f64(),
        operations,
        per_second: operations as f64 / elapsed.as_secs_f64().max(1e-9),
        rate: if let Load::Open { rate, .. } = plan.load { Some(rate) } else { None },
        latency: latency.percentiles(),
        curve: latency.curve(),
        tally,
        server: after
            .server
            .zip(before.server)
            .map(|(after, before)| after.per_operation(&before, operations, elapsed)),
        generator,
        generator_busy: generator.cpus / plan.threads as f64,
        interrupted,
    })
}

/// Takes the generators through their phases until the end; returns the edges of the measurement.
fn conduct(
    plan: &Plan,
    control: &Control,
    meters: &[Meter],
    ready: &Barrier,
    server: Option<u32>,
    show: &mut dyn FnMut(Progress),
) -> Result<(Edge, Edge, bool)> {
    let finished = || meters.iter().all(|meter| meter.finished.load(Ordering::Acquire));
    let began = Instant::now();
    let mut shown = (began, 0);
    let mut wait = |until: Option<Instant>| {
        loop {
            let now = Instant::now();
            if finished() || interrupt::asked() || until.is_some_and(|until| now >= until) {
                return;
            }
            if now - shown.0 >= SHOW {
                let replies = replies(meters);
                let per_second = (replies - shown.1) as f64 / (now - shown.0).as_secs_f64();
                show(Progress { elapsed: now - began, per_second, replies });
                shown = (now, replies);
            }
            // A run of few requests is over before the next look, so the first ones are short.
            let nap = LOOK.min((now - began) / 8 + Duration::from_micros(50));
            std::thread::park_timeout(until.map_or(nap, |until| (until - now).min(nap)));
        }
    };
    if plan.warm_up.is_zero() {
        control.set(Phase::Measure);
        let before = Edge::now(meters, server);
        ready.wait();
        return finish(plan, before?, &mut wait, || Edge::now(meters, server));
    }
    ready.wait();
    wait(Some(Instant::now() + plan.warm_up));
    let before = Edge::now(meters, server)?;
    control.set(Phase::Measure);
    finish(plan, before, &mut wait, || Edge::now(meters, server))
}

fn finish(
    plan: &Plan,
    before: Edge,
    wait: &mut dyn FnMut(Option<Instant>),
    edge: impl FnOnce() -> Result<Edge>,
) -> Result<(Edge, Edge, bool)> {
    match plan.extent {
        Extent::Time(time) => wait(Some(before.at + time)),
        Extent::Requests(_) => wait(None),
    }
    Ok((before, edge()?, interrupt::asked()))
}
