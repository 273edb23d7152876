//! One thread that asks and checks: the hot loop. It takes its phases from outside and allocates nothing while it is measured, once its
//! buffers have grown to what they need.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Result};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::address::Stream;
use super::check::{Outcome, Question};
use super::connection::{Connection, Pending};
use super::draw::{Dice, Keys};
use super::epoll::{Epoll, sharpen_timers};
use super::latency::Latency;
use super::pace::Pace;
use super::plan::{Extent, Load, Plan};
use super::protocol::Expect;
use super::tally::Tally;
use super::template::Source;

/// Bytes read at once.
const ROOM: usize = 128 * 1_024;
/// How long a generator may sleep without looking at the phase.
const NAP: Duration = Duration::from_millis(10);
/// How long replies are waited for at the end, or while nothing at all comes.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is done now, the same for all generators of a run.
#[derive(Debug, Default)]
pub struct Control {
    phase: AtomicU8,
}

/// A part of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Requests are sent, and nothing is measured.
    WarmUp,
    /// Requests are measured.
    Measure,
    /// None is sent; those in flight are waited for.
    Stop,
}

impl Control {
    /// Changes the phase.
    pub fn set(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    fn phase(&self) -> Phase {
        [Phase::WarmUp, Phase::Measure, Phase::Stop][usize::from(self.phase.load(Ordering::Acquire))]
    }
}

/// What a generator shows while it runs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Meter {
    /// Replies since it began.
    pub replies: AtomicU64,
    /// Whether it has nothing more to do.
    pub finished: AtomicBool,
}

/// What it has found, since the measurement began.
#[derive(Debug)]
pub struct Found {
    /// Latencies.
    pub latency: Latency,
    /// Counts.
    pub tally: Tally,
}

/// One generator.
pub struct Generator<'a> {
    plan: &'a Plan,
    control: &'a Control,
    meter: &'a Meter,
    lane: usize,
    epoll: Epoll,
    connections: Vec<Connection>,
    keys: Keys,
    dice: Dice,
    room: Vec<u8>,
    clock: Instant,
    phase: Phase,
    /// Of an open loop.
    pace: Option<Pace>,
    /// Connections that may send another request of an open loop, in turn.
    free: VecDeque<usize>,
    /// Requests that may still be sent.
    left: u64,
    in_flight: u64,
    replies: u64,
    open: usize,
    latency: Latency,
    tally: Tally,
}

impl<'a> Generator<'a> {
    /// The lane `lane` of a plan, on these connections.
    pub fn new(
        plan: &'a Plan,
        control: &'a Control,
        meter: &'a Meter,
        lane: usize,
        streams: Vec<Stream>,
    ) -> Result<Generator<'a>> {
        let epoll = Epoll::new()?;
        for (token, stream) in streams.iter().enumerate() {
            stream.set_nonblocking()?;
            epoll.add(stream, token)?;
        }
        if let Some(cpus) = &plan.cpus {
            cpus.stay()?;
        }
        sharpen_timers();
        let open = streams.len();
        Ok(Generator {
            plan,
            control,
            meter,
            lane,
            epoll,
            connections: streams.into_iter().map(Connection::new).collect(),
            keys: Keys::new(plan.distribution, plan.keys, lane as u64, plan.threads as u64),
            dice: Dice::new(plan.seed.wrapping_mul(1_000).wrapping_add(lane as u64)),
            room: vec![0; ROOM],
            clock: Instant::now(),
            phase: Phase::WarmUp,
            pace: None,
            free: VecDeque::new(),
            left: u64::MAX,
            in_flight: 0,
            replies: 0,
            open,
            latency: Latency::new(),
            tally: Tally::default(),
        })
    }

    /// Asks until it is told to stop or has asked enough.
    pub fn run(mut self) -> Result<Found> {
        self.clock = Instant::now();
        self.follow_phase();
        match self.plan.load {
            Load::Closed => (0..self.connections.len()).for_each(|at| self.ask_next(at)),
            Load::Open { rate, arrivals } => {
                self.pace = Some(Pace::new(rate, arrivals, self.now(), self.lane, self.plan.threads));
                self.free.extend(0..self.connections.len());
            }
        }
        let (mut last_reply, mut last_replies) = (self.now(), 0);
        loop {
            self.follow_phase();
            let now = self.now();
            if self.replies != last_replies || self.in_flight == 0 {
                (last_reply, last_replies) = (now, self.replies);
            }
            let over = self.phase == Phase::Stop || self.left == 0;
            let silent = now - last_reply > PATIENCE.as_nanos() as u64;
            if over && self.in_flight == 0 || silent || self.open == 0 {
                break;
            }
            let timeout = self.ask_due(now);
            let count = self.epoll.wait(if self.plan.spin { Duration::ZERO } else { timeout })?;
            for at in 0..count {
                let ready = self.epoll.ready(at);
                if ready.writable {
                    self.flush(ready.token);
                }
                if ready.readable && !self.connections[ready.token].closed {
                    self.read(ready.token);
                }
            }
            self.meter.replies.store(self.replies, Ordering::Relaxed);
        }
        (0..self.connections.len()).for_each(|at| self.lose(at));
        self.meter.finished.store(true, Ordering::Release);
        Ok(Found { latency: self.latency, tally: self.tally })
    }

    fn now(&self) -> u64 {
        self.clock.elapsed().as_nanos() as u64
    }

    fn follow_phase(&mut self) {
        let phase = self.control.phase();
        if phase == self.phase {
            return;
        }
        if self.phase == Phase::WarmUp {
            self.latency.clear();
            // What is in flight will be answered while it is measured.
            self.tally = Tally { requests: self.in_flight, ..Tally::default() };
            if let Extent::Requests(requests) = self.plan.extent {
                let (lane, lanes) = (self.lane as u64, self.plan.threads as u64);
                self.left = requests / lanes + u64::from(lane < requests % lanes);
            }
        }
        if phase == Phase::Stop {
            self.count_late();
        }
        self.phase = phase;
    }

    /// At the end of an open loop: what was due and not sent has waited until now, at least.
    fn count_late(&mut self) {
        let now = self.now();
        let Some(pace) = &mut self.pace else { return };
        while self.left > 0
            && let Some(due) = pace.take(now, &mut self.dice)
        {
            self.left -= 1;
            self.tally.unsent += 1;
            self.latency.record(now - due, 1);
        }
    }

    /// Sends what is due in an open loop; returns how long nothing will be.
    fn ask_due(&mut self, now: u64) -> Duration {
        if self.phase == Phase::Stop || self.left == 0 {
            return NAP;
        }
        while let Some(at) = self.free.front().copied() {
            let Some(pace) = &mut self.pace else { return NAP };
            let Some(due) = pace.take(now, &mut self.dice) else {
                return Duration::from_nanos(pace.next() - now).min(NAP);
            };
            self.free.pop_front();
            self.ask(at, 1, due);
            if !self.connections[at].closed && self.connections[at].pending.len() < self.plan.pipeline {
                self.free.push_back(at);
            }
            if self.left == 0 {
                break;
            }
        }
        NAP
    }

    /// The next requests of a closed loop.
    fn ask_next(&mut self, at: usize) {
        if self.phase != Phase::Stop && self.left > 0 && self.pace.is_none() {
            self.ask(at, self.left.min(self.plan.pipeline as u64), 0);
        }
    }

    fn ask(&mut self, at: usize, count: u64, due: u64) {
        let connection = &mut self.connections[at];
        let rules = &self.plan.rules;
        let before = connection.out.bytes.len();
        for _ in 0..count {
            let number = self.plan.mix.choose(&mut self.dice);
            let command = &self.plan.mix.commands()[number];
            let mut source = Source {
                names: &rules.names,
                values: &rules.values,
                keys: &mut self.keys,
                dice: &mut self.dice,
            };
            let known = matches!(command.expect, Expect::Values { known: true, .. });
            command.template.render(
                &mut source,
                &mut connection.out.bytes,
                known.then_some(&mut connection.keys),
            );
            connection.pending.push_back(Pending { command: number as u16, due });
        }
        self.left -= count;
        self.in_flight += count;
        self.tally.requests += count;
        self.tally.bytes_sent += (connection.out.bytes.len() - before) as u64;
        self.connections[at].sent = self.now();
        self.flush(at);
    }

    fn flush(&mut self, at: usize) {
        if self.connections[at].flush(&self.epoll, at).is_err() {
            self.close(at);
        }
    }

    fn read(&mut self, at: usize) {
        let len = match self.connections[at].stream.read(&mut self.room) {
            Ok(0) => return self.close(at),
            Ok(len) => len,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return,
            Err(_) => return self.close(at),
        };
        self.tally.bytes_received += len as u64;
        let intact = self.take_replies(at, len);
        let connection = &self.connections[at];
        if !intact {
            self.close(at);
        } else if connection.pending.is_empty() && self.pace.is_none() {
            self.ask_next(at);
        }
    }

    /// Judges replies; false if the connection can be read no further.
    fn take_replies(&mut self, at: usize, len: usize) -> bool {
        let now = self.now();
        let plan = self.plan;
        let connection = &mut self.connections[at];
        let was_full = connection.pending.len() >= plan.pipeline;
        let mut input = &self.room[..len];
        // Requests that were sent at once have one latency and are recorded at once.
        let (mut since, mut count) = (connection.sent, 0);
        let mut taken = 0;
        let intact = loop {
            if input.is_empty() {
                break true;
            }
            let Some(pending) = connection.pending.front() else {
                self.tally.wrong(|| format!("more than was asked for: {}", input.escape_ascii()));
                break false;
            };
            let command = &plan.mix.commands()[usize::from(pending.command)];
            let question = Question { expect: &command.expect, keys: &connection.keys };
            match connection.reader.read(&mut input, question, &plan.rules, &mut self.tally) {
                Outcome::Begun => break true,
                Outcome::Broken => break false,
                Outcome::Ended => {}
            }
            if self.pace.is_some() && pending.due != since {
                self.latency.record(now.saturating_sub(since), count);
                (since, count) = (pending.due, 0);
            }
            count += 1;
            taken += 1;
            if let Expect::Values { keys, known: true, .. } = command.expect {
                connection.keys.drain(..keys);
            }
            connection.pending.pop_front();
        };
        self.latency.record(now.saturating_sub(since), count);
        self.in_flight -= taken;
        self.replies += taken;
        if intact && self.pace.is_some() && was_full && taken > 0 {
            self.free.push_back(at);
        }
        intact
    }

    fn close(&mut self, at: usize) {
        let connection = &mut self.connections[at];
        if connection.closed {
            return;
        }
        connection.closed = true;
        self.open -= 1;
        self.tally.closed += 1;
        // What was asked there is never answered. It is no longer in flight, so that the end need not wait for it.
        self.free.retain(|free| *free != at);
        self.epoll.remove(&connection.stream);
        self.lose(at);
    }

    /// Counts what was not answered. It has waited until now, at least.
    fn lose(&mut self, at: usize) {
        let now = self.now();
        let connection = &mut self.connections[at];
        let lost = connection.pending.len() as u64;
        for pending in connection.pending.drain(..).filter(|_| self.pace.is_some()) {
            self.latency.record(now.saturating_sub(pending.due), 1);
        }
        connection.keys.clear();
        connection.out.bytes.clear();
        self.in_flight -= lost;
        self.tally.unanswered += lost;
    }
}
