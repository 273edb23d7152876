//! The driver of one core: its turn.
//!
//! Collect everything that is ready, read the clock, let the engine handle each, carry out its effects in batches, submit, wait.
//! It knows the order of these steps and when to sleep, and leaves connections, files and rings to their rooms.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use darter_core::aof::pen::LogFlush;
use darter_core::errand::LinkNews;
use darter_core::event::{CoreId, Door, Effect, Effects, Event, LogLevel};
use darter_core::message::Message;
use darter_core::time::{Instant, Now};
use darter_core::{Engine, EngineConfig};

use crate::append::AppendFile;
use crate::clients::{Clients, Turn};
use crate::clock::Clock;
use crate::commons::{Commons, Parcel};
use crate::crowd::GATHERING;
use crate::dialer::Dialer;
use crate::disk::Disk;
use crate::listener::{self, Acceptor, Listener};
use crate::mesh::Mesh;
use crate::network::{Completion, Network, Token, Wait};
use crate::parking::Parking;
use crate::spin::{SPIN, Spin};

/// Steps of background work between two turns.
const SLICE_STEPS: u32 = 64;
/// A core that always has clients to serve gives background work its turn after so many of theirs.
const SLICE_EVERY: u32 = 4;
/// A busy core leaves its thread to glommio this often while that has file operations.
const GLOMMIO_NANOS: u64 = 1_000_000;
/// From the stop on, cores have so long to finish.
const STOP_MILLIS: u64 = 10_000;

/// What clients need of their driver, borrowed field by field.
macro_rules! turn {
    ($driver:expr) => {
        Turn {
            engine: &mut $driver.engine,
            network: &mut $driver.network,
            effects: &mut $driver.effects,
            commons: &$driver.commons,
            core: $driver.core,
            now: $driver.now,
        }
    };
}

/// What a driver is made of.
pub struct Parts {
    /// For the engine of this core.
    pub config: EngineConfig,
    /// Shared by all cores.
    pub clock: Clock,
    /// This core's ends.
    pub mesh: Mesh,
    /// Shared by all cores.
    pub commons: Arc<Commons>,
    /// Where clients come from, on the core that accepts them.
    pub listeners: Vec<Listener>,
    /// The eventfd that stops the process, on the core that listens to it.
    pub stop: Option<OwnedFd>,
    /// Look for messages for a moment before sleeping; wrong where cores share a CPU.
    pub spin: bool,
    /// Changes the threshold of the log.
    pub log_threshold: Arc<dyn Fn(LogLevel) + Send + Sync>,
}

/// The driver of one core.
pub struct Driver {
    core: CoreId,
    engine: Engine,
    effects: Effects,
    network: Network,
    clients: Clients,
    mesh: Mesh,
    commons: Arc<Commons>,
    clock: Clock,
    now: Now,
    disk: Disk,
    /// Connections to other servers, from the first on.
    dialer: Option<Dialer>,
    log: AppendFile,
    parking: Parking,
    acceptor: Option<Acceptor>,
    /// Not yet accepted from.
    listeners: Vec<Listener>,
    stop: Option<OwnedFd>,
    log_threshold: Arc<dyn Fn(LogLevel) + Send + Sync>,
    completions: Vec<Completion>,
    spin: bool,
    waits: Spin,
    /// Messages came or went in this turn.
    exchanged: bool,
    /// Turns since background work had its own.
    turns: u32,
    /// The engine has been told to stop, and when patience ends.
    stop_by: Option<Instant>,
    /// The engine has nothing left to do.
    exited: bool,
    /// When the timer in the ring runs out, if it is armed.
    timer: Instant,
    /// When glommio last had the thread.
    left_at: Instant,
}

impl Driver {
    /// Builds the engine and the ring of a core; to be called on its own thread, in its executor.
    pub fn new(parts: Parts) -> io::Result<Driver> {
        let core = parts.config.core;
        let cores = parts.config.cores;
        let mut network = Network::new()?;
        let parking = Parking::new()?;
        network.register_eventfd(parking.descriptor())?;
        parts.commons.publish_ring(core, network.descriptor());
        Ok(Driver {
            core,
            engine: Engine::new(parts.config),
            effects: Effects::default(),
            network,
            clients: Clients::default(),
            mesh: parts.mesh,
            commons: parts.commons,
            clock: parts.clock,
            now: Now::default(),
            disk: Disk::default(),
            dialer: None,
            log: AppendFile::default(),
            parking,
            acceptor: None,
            listeners: parts.listeners,
            stop: parts.stop,
            log_threshold: parts.log_threshold,
            completions: Vec::new(),
            spin: parts.spin && cores > 1,
            waits: Spin::default(),
            exchanged: false,
            turns: 0,
            stop_by: None,
            exited: false,
            timer: Instant::NEVER,
            left_at: Instant(0),
        })
    }

    /// Serves until all cores have exited. To be called when all cores are ready.
    pub async fn run(mut self) {
        let listeners = std::mem::take(&mut self.listeners);
        if !listeners.is_empty() {
            self.acceptor = Some(Acceptor::start(listeners, &mut self.network));
        }
        if let Some(stop) = &self.stop {
            self.network.await_stop(stop.as_raw_fd());
        }
        self.network.enter(Wait::No);
        self.now = self.clock.now();
        self.engine.handle(self.now, Event::Start, &mut self.effects);
        self.carry_out();
        loop {
            self.turn();
            if self.commons.all_exited() || self.stop_by.is_some_and(|end| end <= self.now.mono) {
                // What the last turn has queued, such as waking the others, still leaves.
                return self.network.enter(Wait::No);
            }
            self.wait().await;
        }
    }

    /// Everything that is ready, once.
    fn turn(&mut self) {
        let mut completions = std::mem::take(&mut self.completions);
        self.network.collect(&mut completions);
        self.now = self.clock.now();
        self.clients.crowd.turn(self.now.mono);
        let busy = !completions.is_empty();
        if self.engine.deadline() <= self.now.mono {
            self.engine.handle(self.now, Event::Wake, &mut self.effects);
        }
        self.clients.tell_closed(&mut turn!(self));
        for completion in completions.drain(..) {
            self.complete(completion);
        }
        self.completions = completions;
        // Read before the rings are drained, applied after: see the stability rule.
        let waits = self.engine.has_unstable() || self.mesh.has_arrivals();
        let below = waits.then(|| self.commons.tickets().limit());
        let (engine, effects, now) = (&mut self.engine, &mut self.effects, self.now);
        let foresee = |engine: &mut &mut Engine, message: &Message| engine.foresee(message);
        self.exchanged = self.mesh.receive(&mut { engine }, foresee, |engine, from, message| {
            engine.handle(now, Event::Message { from, message }, effects);
        });
        if let Some(below) = below.filter(|_| self.engine.has_unstable()) {
            self.engine.handle(now, Event::Stable { below }, &mut self.effects);
        }
        if self.commons.has_parcels(self.core) {
            self.commons.take_parcels(self.core).into_iter().for_each(|parcel| self.unpack(parcel));
        }
        self.clients.feed_again(&mut turn!(self));
        for (operation, outcome) in self.disk.take_ended() {
            self.engine.handle(self.now, Event::Disk { operation, outcome }, &mut self.effects);
        }
        self.clients.expire(self.now.mono);
        if let Some(acceptor) = self.acceptor.as_mut().filter(|acceptor| acceptor.deadline() <= now.mono) {
            acceptor.retry(&mut self.network);
        }
        self.turns += 1;
        if self.engine.has_background() && (!busy && !self.exchanged || self.turns >= SLICE_EVERY) {
            self.turns = 0;
            self.engine.handle(self.now, Event::Slice { steps: SLICE_STEPS }, &mut self.effects);
        }
        self.write_log();
        self.carry_out();
        self.clients.send_outputs(&mut turn!(self));
        self.deliver();
        self.network.buffers.publish();
    }

    /// What the turn has changed is in the log before anybody hears of it.
    fn write_log(&mut self) {
        while let Some(LogFlush { path, bytes, durability }) = self.engine.log_flush() {
            let (bytes, failure) = self.log.add(path, bytes, durability);
            let failure = failure.map(|error| error.to_string());
            let is_over = failure.is_some();
            self.engine.handle(self.now, Event::LogWritten { bytes, failure }, &mut self.effects);
            if let Some(text) = self.effects.last_word() {
                end_now(text);
            }
            if is_over {
                break;
            }
        }
    }

    /// Pushes the turn's messages, with tickets for the transactions that began in it, and wakes who sleeps.
    fn deliver(&mut self) {
        let undrawn = self.engine.undrawn();
        if undrawn == 0 {
            self.exchanged |= self.mesh.deliver(None);
        } else {
            let tickets = self.commons.tickets();
            tickets.announce(self.core);
            let first = tickets.draw(self.core, undrawn);
            self.engine.handle(self.now, Event::Tickets { first }, &mut self.effects);
            self.exchanged |= self.mesh.deliver(Some(first));
            tickets.pushed(self.core);
        }
        let (commons, network) = (&self.commons, &mut self.network);
        self.mesh.ring(|to, only_releases| wake(commons, network, to, only_releases));
    }

    /// One operation of the ring has ended or goes on.
    fn complete(&mut self, completion: Completion) {
        match completion.token {
            Token::Receive(index) => self.clients.received(index, completion, &mut turn!(self)),
            Token::Fill(index) => self.clients.filled(index, completion, &mut turn!(self)),
            Token::Send(index) => self.clients.sent(index, completion, &mut turn!(self)),
            Token::Accept(index) => self.accepted(index, completion),
            Token::Stop => {
                self.engine.handle(self.now, Event::Asked, &mut self.effects);
                if let Some(stop) = self.stop.as_ref().filter(|_| self.stop_by.is_none()) {
                    self.network.await_stop(stop.as_raw_fd());
                }
            }
            Token::Timer => self.timer = Instant::NEVER,
            Token::News => self.hear(),
            // The core did not hear: it may have exited, else it is called again.
            Token::Ring(core) if self.stop_by.is_none() => {
                self.network.ring(self.commons.ring(core), core);
            }
            Token::Ring(_) | Token::Woken | Token::Ignored => {}
        }
    }

    /// A client has been accepted, or cannot be.
    fn accepted(&mut self, index: u32, completion: Completion) {
        if completion.result >= 0 {
            let socket = Network::adopt(completion.result);
            if self.stop_by.is_none() {
                let door = self.acceptor.as_ref().map_or(Door::default(), |acceptor| acceptor.door(index));
                let core = self.commons.admit();
                if core == self.core {
                    self.open(socket, door);
                } else {
                    self.commons.post(core, Parcel::Socket(socket, door));
                    wake(&self.commons, &mut self.network, core, false);
                }
            }
        }
        if let Some(acceptor) = &mut self.acceptor {
            acceptor.completed(index, completion, &mut self.network, self.now.mono);
        }
    }

    /// A client is this core's from now on.
    fn open(&mut self, socket: OwnedFd, door: Door) {
        match listener::greet(&socket, self.engine.settings().tcp_keepalive) {
            Ok(peer) => {
                let clients = self.commons.clients();
                self.clients.open(socket, peer, clients, door, &mut turn!(self));
            }
            // It has left before it was looked at.
            Err(_) => self.commons.dismiss(self.core),
        }
    }

    /// Another driver has sent something.
    fn unpack(&mut self, parcel: Parcel) {
        match parcel {
            Parcel::Socket(socket, door) if self.stop_by.is_none() => self.open(socket, door),
            Parcel::Socket(..) => self.commons.dismiss(self.core),
            Parcel::Stop => self.stop_here(),
        }
    }

    /// The process is to stop: this core learned it first.
    fn stop_all(&mut self) {
        if self.stop_by.is_some() {
            return;
        }
        for core in (0..self.commons.cores()).map(CoreId).filter(|core| *core != self.core) {
            self.commons.post(core, Parcel::Stop);
            wake(&self.commons, &mut self.network, core, false);
        }
        self.stop_here();
    }

    /// Accepts no more, tells the engine, and begins to lose patience.
    fn stop_here(&mut self) {
        if self.stop_by.is_some() {
            return;
        }
        self.stop_by = Some(self.now.mono.after_millis(STOP_MILLIS));
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.stop(&mut self.network);
        }
        self.engine.handle(self.now, Event::Stop, &mut self.effects);
    }

    /// Does what the engine has asked for in this turn, except that output and messages leave together afterwards.
    fn carry_out(&mut self) {
        while !self.effects.is_empty() {
            let mut effects = std::mem::take(&mut self.effects);
            effects.drain().for_each(|effect| self.carry_out_one(effect));
            // New effects come of a stop only; otherwise the emptied list is used again.
            if self.effects.is_empty() {
                self.effects = effects;
            }
        }
    }

    fn carry_out_one(&mut self, effect: Effect) {
        match effect {
            Effect::TakeOutput { conn } => self.clients.take_output(conn),
            Effect::Send { to, message } => self.mesh.push(to, message),
            Effect::PauseRead { conn } => self.clients.pause(conn),
            Effect::ResumeRead { conn } => self.clients.resume(conn),
            Effect::Close { conn } => self.clients.close(conn),
            Effect::Disk { operation, request } => {
                let bell = self.parking.bell();
                self.disk.begin(operation, request, move || bell.ring());
            }
            Effect::Dial { link, host, port, bytes, timeout_millis } => {
                let timeout = Duration::from_millis(timeout_millis);
                match self.dialer() {
                    Ok(dialer) => dialer.dial(link, host, port, bytes, timeout),
                    Err(_) => {
                        let event = Event::Heard { link, news: LinkNews::Ended };
                        self.engine.handle(self.now, event, &mut self.effects);
                    }
                }
            }
            Effect::HangUp { link } => {
                if let Some(dialer) = &self.dialer {
                    dialer.hang_up(link);
                }
            }
            Effect::Shutdown => self.stop_all(),
            Effect::Fail { text } => {
                self.commons.fail(text);
                self.stop_all();
            }
            Effect::Abort { text } => end_now(&text),
            Effect::Log { level, text } => log(level, &text),
            Effect::LogThreshold(level) => (self.log_threshold)(level),
            Effect::Exit => self.exit(),
        }
    }

    /// Who connects to other servers; made when it is first asked for.
    fn dialer(&mut self) -> io::Result<Dialer> {
        if let Some(dialer) = &self.dialer {
            return Ok(dialer.clone());
        }
        let dialer = Dialer::new()?;
        self.network.await_news(dialer.descriptor());
        self.dialer = Some(dialer.clone());
        Ok(dialer)
    }

    /// There is news of connections to other servers.
    fn hear(&mut self) {
        let Some(dialer) = &self.dialer else { return };
        // Asked for before it is looked: nothing is missed.
        self.network.await_news(dialer.descriptor());
        for (link, news) in dialer.take_news() {
            self.engine.handle(self.now, Event::Heard { link, news }, &mut self.effects);
        }
    }

    /// The engine has nothing left to do but to answer others. The last core wakes them all.
    fn exit(&mut self) {
        if std::mem::replace(&mut self.exited, true) || !self.commons.core_exits() {
            return;
        }
        for core in (0..self.commons.cores()).map(CoreId).filter(|core| *core != self.core) {
            wake(&self.commons, &mut self.network, core, false);
        }
    }

    /// Submits, and sleeps if nothing is ready.
    async fn wait(&mut self) {
        // What has begun must not wait for that: whose file is being written waits for it.
        let is_due = self.now.mono.0.saturating_sub(self.left_at.0) >= GLOMMIO_NANOS;
        if self.disk.is_busy() && (self.disk.take_begun() || is_due) {
            // Rung before it sleeps, it sleeps only until glommio has looked at everything.
            self.parking.bell().ring();
            self.parking.sleep().await.expect("an eventfd can be read");
            self.left_at = self.clock.instant();
        }
        if self.has_work() {
            return self.submit();
        }
        let several = if self.commons.cores() > 1 { self.clients.crowd.gathers() } else { 1 };
        let exchanges = self.spin && self.exchanged && several == 1;
        if exchanges && self.waits.pays() {
            self.submit();
            let start = self.clock.instant();
            while self.clock.instant().0 - start.0 < SPIN.as_nanos() as u64 {
                if self.network.has_completions() || self.mesh.has_arrivals() {
                    self.waits.looked(true);
                    return self.submit();
                }
                std::hint::spin_loop();
            }
            self.waits.looked(false);
        }
        let asleep_from = exchanges.then(|| self.clock.instant());
        let doorbell = self.commons.doorbell(self.core);
        doorbell.sleep_lightly(self.engine.wants_releases());
        doorbell.announce_sleep();
        if self.has_arrivals() {
            self.submit();
        } else if self.disk.is_busy() {
            self.sleep_beside_glommio().await;
        } else {
            let wait = self.patience();
            self.network.enter_for_several(wait, several, GATHERING);
        }
        self.commons.doorbell(self.core).awake();
        if let Some(from) = asleep_from.filter(|_| !self.waits.pays()) {
            self.waits.slept(Duration::from_nanos(self.clock.instant().0 - from.0));
        }
    }

    /// Leaves the thread to glommio until a completion, the end of a file operation or the deadline.
    async fn sleep_beside_glommio(&mut self) {
        if let Wait::Within(span) = self.patience() {
            let end = self.now.mono.0.saturating_add(span.as_nanos() as u64);
            if end < self.timer.0 {
                self.timer = Instant(end);
                self.network.arm_timer(span);
            }
        }
        self.network.signal_completions(true);
        self.submit();
        if !self.network.has_completions() && !self.disk.has_ended() {
            self.parking.sleep().await.expect("an eventfd can be read");
        }
        self.network.signal_completions(false);
        self.left_at = self.clock.instant();
        self.submit();
    }

    /// Enters the kernel if that has something to take or to give.
    fn submit(&mut self) {
        if self.network.wants_enter() {
            self.network.enter(Wait::No);
        }
    }

    /// True if the next turn has something to do that needs no waiting.
    fn has_work(&mut self) -> bool {
        self.clients.is_ready()
            || self.disk.has_ended()
            || self.engine.has_background()
            || self.engine.has_unstable()
            || self.has_arrivals()
    }

    /// True if another core has sent something. What it may sleep through is looked at here after the doorbell is set.
    fn has_arrivals(&self) -> bool {
        self.mesh.has_arrivals() || self.commons.has_parcels(self.core) || self.commons.all_exited()
    }

    /// How long to sleep.
    fn patience(&self) -> Wait {
        let accept = self.acceptor.as_ref().map_or(Instant::NEVER, Acceptor::deadline);
        let stop = self.stop_by.unwrap_or(Instant::NEVER);
        let deadline = self.engine.deadline().min(self.clients.deadline()).min(accept).min(stop);
        if deadline == Instant::NEVER {
            return Wait::Forever;
        }
        Wait::Within(Duration::from_nanos(deadline.0.saturating_sub(self.clock.instant().0)))
    }
}

/// Rings at a core, after something was pushed for it, if it sleeps.
///
/// `may_wait`: nothing but releases, for which a core gets up only if somebody waits for them there.
fn wake(commons: &Commons, network: &mut Network, core: CoreId, may_wait: bool) {
    let doorbell = commons.doorbell(core);
    if if may_wait { doorbell.must_ring_lightly() } else { doorbell.must_ring() } {
        network.ring(commons.ring(core), core);
    }
}

/// Redis's levels in the words of `tracing`: notice is `INFO`.
/// Nothing may leave any more, not even what lies in the buffers of connections: no thread goes on.
fn end_now(last_word: &str) -> ! {
    log(LogLevel::Warning, last_word);
    std::process::exit(1)
}

fn log(level: LogLevel, text: &str) {
    match level {
        LogLevel::Debug => tracing::trace!("{text}"),
        LogLevel::Verbose => tracing::debug!("{text}"),
        LogLevel::Notice => tracing::info!("{text}"),
        LogLevel::Warning => tracing::warn!("{text}"),
    }
}
