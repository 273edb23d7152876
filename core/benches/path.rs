//! The path of a command, from received bytes to bytes to send, on one core or on two, without any I/O.
//!
//! ```text
//! cargo bench -p darter-core --bench path                       # nanoseconds of each workload
//! cargo bench -p darter-core --bench path -- get-deep 20000     # this workload so many times, and nothing printed: for a profiler
//! ```
//! Turns are a driver's turns: everything that has arrived, then what the turn sends, then the output. `.ci/instructions` counts
//! the instructions of each and compares them with what is recorded.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a bench reads the clock and its arguments"
)]

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant as Stopwatch;

use darter_core::config::Settings;
use darter_core::event::{ConnId, CoreId, Door, Effect, Effects, Event, Origin, Peer};
use darter_core::eviction::policy::Policy;
use darter_core::host::{Instruments, Process};
use darter_core::message::Message;
use darter_core::time::{Instant, Now};
use darter_core::{Engine, EngineConfig, limits};

/// As in the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const KEYS: u64 = 10_000;
/// Keys of workloads that evict, and bytes for about two thirds of them.
const WIDE_KEYS: u64 = 60_000;
const WIDE_BYTES: u64 = 4 << 20;
const FILLED_AT_ONCE: usize = 100;
/// Different batches of each client.
const TURNS: usize = 4;

/// What is measured.
struct Workload {
    name: &'static str,
    cores: u16,
    /// Clients, all of the first core, each with one batch in every turn.
    clients: usize,
    /// Requests in a batch.
    depth: usize,
    /// Under this policy there is room for about two thirds of what is stored.
    evicts: Option<Policy>,
    /// Writes the request with this number.
    request: fn(&mut Vec<u8>, &mut Numbers, &Cores),
}

const WORKLOADS: &[Workload] = &[
    Workload {
        name: "get",
        cores: 1,
        clients: 1,
        depth: 1,
        evicts: None,
        request: |out, n, _| words(out, &["GET", &n.key()]),
    },
    Workload {
        name: "set",
        cores: 1,
        clients: 1,
        depth: 1,
        evicts: None,
        request: |out, n, _| words(out, &["SET", &n.key(), VALUE]),
    },
    Workload {
        name: "get-deep",
        cores: 1,
        clients: 50,
        depth: 30,
        evicts: None,
        request: |out, n, _| words(out, &["GET", &n.key()]),
    },
    Workload {
        name: "set-deep",
        cores: 1,
        clients: 50,
        depth: 30,
        evicts: None,
        request: |out, n, _| words(out, &["SET", &n.key(), VALUE]),
    },
    wide("set-wide", None),
    wide("set-evict-lru", Some(Policy::AllKeysLru)),
    wide("set-evict-lfu", Some(Policy::AllKeysLfu)),
    wide("set-evict-sieve", Some(Policy::AllKeysSieve)),
    Workload {
        name: "incr-deep",
        cores: 1,
        clients: 50,
        depth: 30,
        evicts: None,
        request: |out, n, _| words(out, &["INCR", &n.counter()]),
    },
    Workload {
        name: "mget",
        cores: 1,
        clients: 50,
        depth: 1,
        evicts: None,
        request: |out, n, _| many(out, n, "MGET", false),
    },
    Workload {
        name: "mset",
        cores: 1,
        clients: 50,
        depth: 1,
        evicts: None,
        request: |out, n, _| many(out, n, "MSET", true),
    },
    Workload {
        name: "exec-deep",
        cores: 1,
        clients: 1,
        depth: 100,
        evicts: None,
        request: |out, n, _| exec(out, n),
    },
    Workload {
        name: "remote-get",
        cores: 2,
        clients: 1,
        depth: 1,
        evicts: None,
        request: |out, n, cores| words(out, &["GET", &cores.remote_key(n)]),
    },
    Workload {
        name: "remote-get-deep",
        cores: 2,
        clients: 50,
        depth: 30,
        evicts: None,
        request: |out, n, cores| words(out, &["GET", &cores.remote_key(n)]),
    },
    Workload {
        name: "remote-set-deep",
        cores: 2,
        clients: 50,
        depth: 30,
        evicts: None,
        request: |out, n, cores| words(out, &["SET", &cores.remote_key(n), VALUE]),
    },
    Workload {
        name: "spread-mget",
        cores: 2,
        clients: 50,
        depth: 1,
        evicts: None,
        request: |out, n, _| many(out, n, "MGET", false),
    },
    Workload {
        name: "spread-mset",
        cores: 2,
        clients: 50,
        depth: 1,
        evicts: None,
        request: |out, n, _| many(out, n, "MSET", true),
    },
    Workload {
        name: "spread-exec",
        cores: 2,
        clients: 1,
        depth: 1,
        evicts: None,
        request: |out, n, _| exec(out, n),
    },
    Workload {
        name: "spread-exec-deep",
        cores: 2,
        clients: 1,
        depth: 100,
        evicts: None,
        request: |out, n, _| exec(out, n),
    },
];

/// SET of many keys, with room for all of them or for some.
const fn wide(name: &'static str, evicts: Option<Policy>) -> Workload {
    let request: fn(&mut Vec<u8>, &mut Numbers, &Cores) =
        |out, n, _| words(out, &["SET", &n.wide_key(), VALUE]);
    Workload { name, cores: 1, clients: 50, depth: 30, evicts, request }
}

const VALUE: &str = "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv";

fn words(out: &mut Vec<u8>, words: &[&str]) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
}

fn many(out: &mut Vec<u8>, numbers: &mut Numbers, name: &str, with_values: bool) {
    let keys: Vec<String> = (0..10).map(|_| numbers.key()).collect();
    let mut line = vec![name];
    for key in &keys {
        line.push(key);
        line.extend(with_values.then_some(VALUE));
    }
    words(out, &line);
}

fn exec(out: &mut Vec<u8>, numbers: &mut Numbers) {
    words(out, &["MULTI"]);
    (0..4).for_each(|_| words(out, &["SET", &numbers.key(), VALUE]));
    words(out, &["EXEC"]);
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn key(&mut self) -> String {
        format!("key:{}", self.next() % KEYS)
    }

    fn wide_key(&mut self) -> String {
        format!("wide:{:05}", self.next() % WIDE_KEYS)
    }

    fn counter(&mut self) -> String {
        format!("counter:{}", self.next() % KEYS)
    }
}

/// Cores, the rings between them, and clients of the first.
struct Cores {
    engines: Vec<Engine>,
    effects: Effects,
    rings: Vec<VecDeque<(CoreId, Message)>>,
    now: Now,
    next_ticket: u64,
    /// Bytes that have left.
    output: u64,
    outputs: Vec<ConnId>,
    /// How much of its batch each client has got rid of, and who may go on.
    taken: Vec<usize>,
    again: Vec<ConnId>,
}

impl Cores {
    fn new(cores: u16, clients: usize, evicts: Option<Policy>) -> Cores {
        let mut settings = Settings::default();
        if let Some(policy) = evicts {
            (settings.maxmemory, settings.maxmemory_policy) = (WIDE_BYTES, policy);
        }
        let engine = |core: u16| {
            Engine::new(EngineConfig {
                core: CoreId(core),
                cores,
                credits: limits::credits(cores),
                hash_seeds: [1, 2, 3, 4],
                random_seed: [core as u8; 32],
                settings: settings.clone(),
                process: Arc::new(Process::default()),
                instruments: Instruments::still(),
                load: None,
                persists: false,
            })
        };
        let mut world = Cores {
            engines: (0..cores).map(engine).collect(),
            effects: Effects::default(),
            rings: (0..cores).map(|_| VecDeque::with_capacity(1_024)).collect(),
            now: Now { mono: Instant(1_000_000_000), unix_micros: 1_700_000_000_000_000 },
            next_ticket: 1,
            output: 0,
            outputs: Vec::new(),
            taken: vec![0; clients],
            again: Vec::new(),
        };
        for index in 0..clients {
            let peer = Peer {
                address: format!("127.0.0.1:{}", 50_000 + index),
                local: "127.0.0.1:6379".into(),
                origin: Origin::Loopback,
                descriptor: 8,
            };
            let event = Event::Opened { conn: conn(index), peer, clients: index + 1, door: Door::Redis };
            world.engines[0].handle(world.now, event, &mut world.effects);
        }
        world.finish_turn(0);
        world
    }

    /// A key that the first core does not own.
    fn remote_key(&self, numbers: &mut Numbers) -> String {
        let cores = self.engines.len() as u16;
        loop {
            let key = numbers.key();
            if self.engines[0].node().shard.hasher().hash(key.as_bytes()).shard(cores) != 0 {
                return key;
            }
        }
    }

    /// Gives every client's batch to the first core in one turn; then turns until nobody has anything left to do.
    fn run(&mut self, batches: &[Vec<u8>]) {
        self.taken.fill(0);
        for (index, bytes) in batches.iter().enumerate() {
            self.feed(conn(index), bytes);
        }
        self.finish_turn(0);
        loop {
            let mut is_idle = true;
            for core in 0..self.engines.len() {
                let below = self.next_ticket;
                while let Some((from, message)) = self.rings[core].pop_front() {
                    is_idle = false;
                    self.engines[core].handle(self.now, Event::Message { from, message }, &mut self.effects);
                }
                if self.engines[core].has_unstable() {
                    is_idle = false;
                    self.engines[core].handle(self.now, Event::Stable { below }, &mut self.effects);
                }
                for conn in if core == 0 { std::mem::take(&mut self.again) } else { Vec::new() } {
                    is_idle = false;
                    self.feed(conn, &batches[conn.index as usize]);
                }
                self.finish_turn(core);
            }
            if is_idle {
                break;
            }
        }
        let all_taken = self.taken.iter().zip(batches).all(|(taken, batch)| *taken == batch.len());
        assert!(all_taken, "nobody waits for ever");
    }

    fn feed(&mut self, conn: ConnId, batch: &[u8]) {
        let bytes = &batch[self.taken[conn.index as usize]..];
        let consumed = self.engines[0].handle(self.now, Event::Bytes { conn, bytes }, &mut self.effects);
        self.taken[conn.index as usize] += consumed;
    }

    /// The end of a turn: tickets, messages, output.
    fn finish_turn(&mut self, core: usize) {
        let (first, undrawn) = (self.next_ticket, self.engines[core].undrawn());
        if undrawn > 0 {
            self.next_ticket += undrawn;
            self.engines[core].handle(self.now, Event::Tickets { first }, &mut self.effects);
        }
        for effect in self.effects.drain() {
            match effect {
                Effect::Send { to, mut message } => {
                    message.stamp(first);
                    self.rings[to.index()].push_back((CoreId(core as u16), message));
                }
                Effect::TakeOutput { conn } => self.outputs.push(conn),
                Effect::ResumeRead { conn } => self.again.push(conn),
                _ => {}
            }
        }
        let mut outputs = std::mem::take(&mut self.outputs);
        for conn in outputs.drain(..) {
            let bytes: usize = self.engines[core].output(conn).map(|slice| black_box(slice).len()).sum();
            self.output += bytes as u64;
            self.engines[core].handle(self.now, Event::Sent { conn, bytes }, &mut self.effects);
        }
        self.outputs = outputs;
    }
}

fn conn(index: usize) -> ConnId {
    ConnId { index: index as u32, generation: 0 }
}

/// Fills the store, then does at least so many operations; nanoseconds each.
fn run(workload: &Workload, operations: usize) -> f64 {
    let mut cores = Cores::new(workload.cores, workload.clients, workload.evicts);
    let mut numbers = Numbers(7);
    // In large batches, since it is not what is measured.
    let fill = |cores: &mut Cores, keys: u64, write: &dyn Fn(&mut Vec<u8>, u64)| {
        for start in (0..keys).step_by(FILLED_AT_ONCE) {
            let mut bytes = Vec::new();
            (start..keys.min(start + FILLED_AT_ONCE as u64)).for_each(|n| write(&mut bytes, n));
            cores.run(&[bytes]);
        }
    };
    fill(&mut cores, if workload.evicts.is_some() { 0 } else { KEYS }, &|bytes, n| {
        words(bytes, &["SET", &format!("key:{n}"), VALUE]);
        words(bytes, &["SET", &format!("counter:{n}"), "10"]);
    });
    let is_wide = workload.name.contains("wide") || workload.evicts.is_some();
    fill(&mut cores, if is_wide { WIDE_KEYS } else { 0 }, &|bytes, n| {
        words(bytes, &["SET", &format!("wide:{n:05}"), VALUE]);
    });
    let batch = |numbers: &mut Numbers, cores: &Cores| {
        let mut bytes = Vec::new();
        (0..workload.depth).for_each(|_| (workload.request)(&mut bytes, numbers, cores));
        bytes
    };
    let turns: Vec<Vec<Vec<u8>>> =
        (0..TURNS).map(|_| (0..workload.clients).map(|_| batch(&mut numbers, &cores)).collect()).collect();
    let each = workload.clients * workload.depth;
    let count = operations.div_ceil(each);
    let began = Stopwatch::now();
    (0..count).for_each(|turn| cores.run(&turns[turn % TURNS]));
    let took = began.elapsed();
    assert!(cores.output > 0);
    took.as_secs_f64() * 1e9 / (count * each) as f64
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    match &words[..] {
        [name, operations] => {
            let workload =
                WORKLOADS.iter().find(|workload| workload.name == name).expect("a workload's name");
            run(workload, operations.parse().expect("a number"));
        }
        [word] if word == "names" => WORKLOADS.iter().for_each(|workload| println!("{}", workload.name)),
        _ => {
            for workload in WORKLOADS {
                let mut rounds: Vec<f64> = (0..5).map(|_| run(workload, 100_000)).collect();
                rounds.sort_by(f64::total_cmp);
                println!("{:<18} {:>8.0} ns", workload.name, rounds[2]);
            }
        }
    }
}
