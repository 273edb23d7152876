//! What a step changes: engines, the queues between them, and each client's side.
//!
//! Effects are carried out as soon as they are there. It forwards messages and never looks into them.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use darter_core::config::Settings;
use darter_core::event::{ConnId, CoreId, Door, Effect, Effects, Event, Origin, Peer};
use darter_core::host::{Instruments, Process};
use darter_core::limits::ring_places;
use darter_core::message::Message;
use darter_core::time::Now;
use darter_core::txn::stability::{SingleThreaded, Tickets};
use darter_core::{Engine, EngineConfig};

use crate::script::Script;

/// Seeds of the key hash in every model.
pub const HASH_SEEDS: [u64; 4] = [1, 2, 3, 4];
/// The only instant there is.
const NOW: Now = Now { mono: darter_core::time::Instant(1_000_000_000), unix_micros: 1_700_000_000_000_000 };

/// A client's side, and what the driver remembers of its connection.
#[derive(Clone, Debug, Default, Hash)]
pub struct Side {
    /// Connected.
    pub open: bool,
    /// The engine was told that it is gone.
    pub gone: bool,
    /// Pieces that have arrived.
    pub arrived: usize,
    /// Arrived and not consumed.
    pub rest: Vec<u8>,
    /// The engine wants no more.
    pub paused: bool,
    /// The engine wants the rest again.
    pub again: bool,
    /// There is output.
    pub has_output: bool,
    /// It closes: nothing goes in or out.
    pub closing: bool,
    /// It has vanished.
    pub vanished: bool,
    /// The end of its sending half has arrived.
    pub ended: bool,
    /// What it has read.
    pub heard: Vec<u8>,
    /// Reads of one byte so far.
    pub small_reads: u8,
}

/// One state.
#[derive(Clone)]
pub struct State {
    /// By core.
    pub engines: Vec<Engine>,
    /// From, to.
    pub rings: Vec<Vec<VecDeque<Message>>>,
    /// By client.
    pub sides: Vec<Side>,
    /// The order of transactions.
    pub tickets: Tickets<SingleThreaded>,
    /// A bound or an assertion did not hold.
    pub wrong: Option<String>,
}

impl State {
    /// Engines without clients.
    pub fn new(cores: u16, credits: usize, clients: usize) -> State {
        let settings = Settings { databases: 1, latency_tracking: false, ..Settings::default() };
        let engine = |core| {
            Engine::new(EngineConfig {
                core: CoreId(core),
                cores,
                credits,
                hash_seeds: HASH_SEEDS,
                random_seed: [core as u8; 32],
                settings: settings.clone(),
                process: Arc::new(Process::default()),
                instruments: Instruments::still(),
                load: None,
                persists: false,
            })
        };
        let places = usize::from(cores);
        State {
            engines: (0..cores).map(engine).collect(),
            rings: vec![vec![VecDeque::new(); places]; places],
            sides: vec![Side::default(); clients],
            tickets: Tickets::new(cores),
            wrong: None,
        }
    }

    /// Lets a core handle an event and carries out its effects; what was consumed.
    pub fn handle(&mut self, core: CoreId, event: Event<'_>, world: &World) -> usize {
        let mut effects = Effects::default();
        let engine = &mut self.engines[core.index()];
        let handled = catch_unwind(AssertUnwindSafe(|| engine.handle(NOW, event, &mut effects)));
        let consumed = handled.unwrap_or_else(|_| {
            self.wrong = Some("an assertion does not hold".into());
            0
        });
        let engine = &mut self.engines[core.index()];
        let (mut first, undrawn) = (None, engine.undrawn());
        if undrawn > 0 && self.wrong.is_none() {
            self.tickets.announce(core);
            first = Some(self.tickets.draw(core, undrawn));
            engine.handle(NOW, Event::Tickets { first: first.unwrap_or_default() }, &mut effects);
            self.tickets.pushed(core);
        }
        for mut effect in effects.drain() {
            if let (Effect::Send { message, .. }, Some(first)) = (&mut effect, first) {
                message.stamp(first);
            }
            self.carry_out(core, effect, world);
        }
        consumed
    }

    fn carry_out(&mut self, core: CoreId, effect: Effect, world: &World) {
        match effect {
            Effect::Send { to, message } => {
                let ring = &mut self.rings[core.index()][to.index()];
                if ring.len() == ring_places(world.credits) {
                    self.wrong = Some(format!("no room from core {} to core {}", core.0, to.0));
                }
                ring.push_back(message);
            }
            Effect::TakeOutput { conn } => self.side_of(core, conn, world, |side| side.has_output = true),
            Effect::PauseRead { conn } => self.side_of(core, conn, world, |side| side.paused = true),
            Effect::ResumeRead { conn } => self.side_of(core, conn, world, |side| {
                side.paused = false;
                side.again = true;
            }),
            Effect::Close { conn } => self.side_of(core, conn, world, |side| side.closing = true),
            _ => {}
        }
    }

    fn side_of(&mut self, core: CoreId, conn: ConnId, world: &World, change: impl FnOnce(&mut Side)) {
        let client = (0..world.scripts.len()).find(|&client| world.conn(client) == (core, conn));
        if let Some(side) =
            client.map(|client| &mut self.sides[client]).filter(|side| side.open && !side.gone)
        {
            change(side);
        }
    }

    /// A client connects.
    pub fn open(&mut self, client: usize, world: &World) {
        let (core, conn) = world.conn(client);
        self.sides[client].open = true;
        let peer = Peer {
            address: format!("client:{client}"),
            local: "model:0".into(),
            origin: Origin::Loopback,
            descriptor: client as i32,
        };
        self.handle(
            core,
            Event::Opened { conn, peer, clients: world.scripts.len(), door: Door::Redis },
            world,
        );
    }

    /// Presents what is not consumed, and a new piece behind it.
    pub fn feed(&mut self, client: usize, piece: &[u8], world: &World) {
        let (core, conn) = world.conn(client);
        let side = &mut self.sides[client];
        side.again = false;
        let mut bytes = std::mem::take(&mut side.rest);
        bytes.extend_from_slice(piece);
        let consumed = self.handle(core, Event::Bytes { conn, bytes: &bytes }, world);
        bytes.drain(..consumed);
        self.sides[client].rest = bytes;
    }

    /// The client reads all that is there, or one byte of it.
    pub fn read(&mut self, client: usize, small: bool, world: &World) {
        let (core, conn) = world.conn(client);
        let mut bytes: Vec<u8> = self.engines[core.index()].output(conn).flatten().copied().collect();
        let given = bytes.len();
        bytes.truncate(if small { 1 } else { given });
        let side = &mut self.sides[client];
        side.has_output = bytes.len() < given;
        side.small_reads += u8::from(small);
        side.heard.extend_from_slice(&bytes);
        if !bytes.is_empty() {
            self.handle(core, Event::Sent { conn, bytes: bytes.len() }, world);
        }
    }

    /// True if nothing is under way anywhere.
    pub fn is_at_rest(&self) -> bool {
        self.engines.iter().all(|engine| engine.unfinished().is_none())
            && self.rings.iter().flatten().all(VecDeque::is_empty)
    }
}

/// By what states are told apart: engines say what they are to a hasher only.
pub fn digest(state: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.engines.iter().for_each(|engine| engine.digest(hasher));
        (&self.rings, &self.sides, &self.tickets, &self.wrong).hash(hasher);
    }
}

impl PartialEq for State {
    fn eq(&self, other: &State) -> bool {
        digest(self) == digest(other)
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("rings", &self.rings)
            .field("sides", &self.sides)
            .finish_non_exhaustive()
    }
}

/// What does not change.
#[derive(Clone, Debug)]
pub struct World {
    /// How many cores.
    pub cores: u16,
    /// Credits at each other core.
    pub credits: usize,
    /// By client.
    pub scripts: Vec<Script>,
}

impl World {
    /// A client's core, and its connection there.
    pub fn conn(&self, client: usize) -> (CoreId, ConnId) {
        let script = &self.scripts[client];
        let generation = u32::from(script.after.is_some());
        (CoreId(script.core), ConnId { index: script.index, generation })
    }
}
