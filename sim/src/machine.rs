//! One core as its driver sees it: the engine, what is ready for it, and its connections.
//!
//! It holds what a driver must remember. What happens in a turn stands in [`crate::turn`].

use std::collections::{BTreeMap, VecDeque};

use darter_core::errand::{LinkId, LinkNews};
use darter_core::event::{ConnId, CoreId, DiskOutcome, Effect, Effects, OperationId};
use darter_core::host::{Instruments, Process};
use darter_core::{Engine, EngineConfig};

use crate::dice::Dice;
use crate::swarm::Swarm;

/// Something that is ready for a core.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// A client connects.
    Open {
        /// Who.
        client: usize,
    },
    /// Bytes have come.
    Bytes {
        /// From where.
        conn: ConnId,
        /// What.
        bytes: Vec<u8>,
    },
    /// The client sends no more.
    End {
        /// Which connection.
        conn: ConnId,
    },
    /// The client is gone.
    Reset {
        /// Which connection.
        conn: ConnId,
    },
    /// A send operation has ended; `None`: it failed.
    Sent {
        /// Which connection.
        conn: ConnId,
        /// Bytes that have left.
        bytes: Option<usize>,
    },
    /// A server outside of the world has said something.
    Heard {
        /// On which connection.
        link: LinkId,
        /// What.
        news: LinkNews,
    },
    /// An operation on files has ended.
    Disk {
        /// Which.
        operation: OperationId,
        /// How.
        outcome: DiskOutcome,
    },
}

/// A send operation under way.
#[derive(Clone, Debug)]
pub struct Flight {
    /// What the engine gave.
    pub bytes: Vec<u8>,
    /// How much of it will leave.
    pub leaving: usize,
    /// Where the first byte that stays lies; only ever compared.
    pub next_address: Option<usize>,
}

/// One connection of a core.
#[derive(Debug)]
pub struct Connection {
    /// Its name.
    pub conn: ConnId,
    /// The client.
    pub client: usize,
    /// As the checkers call it.
    pub dialogue: usize,
    /// Input that the engine did not consume.
    pub rest: Vec<u8>,
    /// The engine wants no input.
    pub paused: bool,
    /// It wants its rest again.
    pub again: bool,
    /// It has output.
    pub has_output: bool,
    /// What is being sent.
    pub sending: Option<Flight>,
    /// Where the next output must begin, if it is the rest of an earlier one.
    pub next_address: Option<usize>,
    /// It is on its way to its end.
    pub closing: bool,
    /// The client is gone.
    pub broken: bool,
}

/// Names the machine's start in which a world begins.
pub const FIRST_START: &str = "first";

/// One core.
pub struct Machine {
    /// What is tested.
    pub engine: Engine,
    /// Reused.
    pub effects: Effects,
    /// Effects of the turn, to be carried out at its end.
    pub pending: Vec<Effect>,
    /// What is ready.
    pub inbox: VecDeque<Input>,
    /// By index.
    pub connections: BTreeMap<u32, Connection>,
    /// The next generation of each index.
    pub generations: Vec<u32>,
    /// Indices to be fed again.
    pub again: Vec<u32>,
    /// Indices that have output.
    pub outputs: Vec<u32>,
    /// Indices whose end is to be told.
    pub closed: Vec<u32>,
    /// Stands still until then.
    pub frozen_until: u64,
    /// Is busy until then.
    pub busy_until: u64,
    /// The next turn; `u64::MAX`: none is due.
    pub next_turn: u64,
    /// Turns in a row that only the deadline had asked for.
    pub idle_wakes: u32,
    /// It has said `Exit`.
    pub exited: bool,
    /// Accounted bytes without a key.
    pub bytes_at_start: usize,
    /// The most bytes that the tables of each database took.
    pub table_bytes: Vec<usize>,
    /// When its latest turn began, nanoseconds: whose time had come then was woken.
    pub turn_began: u64,
    /// In the middle of a turn: what it has read of the tickets.
    pub limit_read: Option<u64>,
    /// The highest ticket that has arrived.
    pub highest_ticket: u64,
}

impl Machine {
    /// A core of this world at its start.
    pub fn new(core: u16, swarm: &Swarm, hash_seeds: [u64; 4], dice: &mut Dice) -> Machine {
        let mut random_seed = [0; 32];
        random_seed.chunks_mut(8).for_each(|part| part.copy_from_slice(&dice.bits().to_le_bytes()));
        let engine = Engine::new(EngineConfig {
            core: CoreId(core),
            cores: swarm.cores,
            credits: swarm.credits,
            hash_seeds,
            random_seed,
            settings: swarm.settings(),
            process: std::sync::Arc::new(Process { boot: FIRST_START.into(), ..Process::default() }),
            instruments: Instruments::still(),
            load: swarm.log.map(|_| 0),
            persists: false,
        });
        Machine {
            bytes_at_start: engine.node().shard.used_bytes(),
            table_bytes: vec![0; usize::from(swarm.databases)],
            engine,
            effects: Effects::default(),
            pending: Vec::new(),
            inbox: VecDeque::new(),
            connections: BTreeMap::new(),
            generations: Vec::new(),
            again: Vec::new(),
            outputs: Vec::new(),
            closed: Vec::new(),
            frozen_until: 0,
            busy_until: 0,
            next_turn: u64::MAX,
            idle_wakes: 0,
            exited: false,
            turn_began: 0,
            limit_read: None,
            highest_ticket: 0,
        }
    }

    /// The connection of this name, if it is still there.
    pub fn connection(&mut self, conn: ConnId) -> Option<&mut Connection> {
        self.connections.get_mut(&conn.index).filter(|connection| connection.conn == conn)
    }

    /// A name for a new connection: the lowest free index, with a new generation.
    pub fn next_conn(&mut self) -> ConnId {
        let index = (0..).find(|index| !self.connections.contains_key(index)).unwrap_or(0);
        if self.generations.len() <= index as usize {
            self.generations.push(0);
        }
        let generation = self.generations[index as usize];
        self.generations[index as usize] += 1;
        ConnId { index, generation }
    }

    /// True if nothing is ready or under way on this side.
    pub fn is_idle(&self) -> bool {
        self.inbox.is_empty()
            && self.again.is_empty()
            && self.limit_read.is_none()
            && self.pending.is_empty()
            && self.outputs.is_empty()
            && self.closed.is_empty()
            && self.connections.values().all(|connection| connection.sending.is_none() && !connection.closing)
    }
}
