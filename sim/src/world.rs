//! One world: cores, clients, rings and a clock, driven by one heap of events until everything is said and has drained.
//!
//! It decides what comes next and how long it takes, and ends with the checks of [`crate::check`]. The rules of the store it does
//! not know.

use std::collections::BTreeMap;

use darter_core::event::{ConnId, Event};
use darter_core::hash::KeyHasher;
use darter_core::time::{Instant, Now};
use darter_core::txn::stability::{SingleThreaded, Tickets};

use crate::canary::{self, Canary, Tampering};
use crate::check::footprint::Placement;
use crate::check::witness::Witness;
use crate::check::{accounting, content, rest};
use crate::client::{Client, Op};
use crate::dice::{Concern, Dice};
use crate::disk::Disk;
use crate::endings::Armed;
use crate::machine::{Input, Machine};
use crate::moments::Moments;
use crate::plan::{Deed, Plan};
use crate::reboot;
use crate::ring::Ring;
use crate::sometimes::Sometimes;
use crate::swarm::Swarm;
use crate::text::Heard;
use crate::trace::Trace;

/// The wall clock at the beginning, Unix milliseconds.
pub const EPOCH_MILLIS: u64 = 1_700_000_000_000;
/// When faults have stopped, everything must be answered within this after the reply before it, nanoseconds.
const DRAIN_NANOS: u64 = 60_000_000_000;
/// Whoever waits for ever and for time alone has what he waits for after this, nanoseconds.
const PATIENCE_NANOS: u64 = 200_000_000;
/// After so many rounds those who wait for ever are only told to go on: pushing to what is no list helps nobody.
const ROUNDS_OF_CHOICE: u32 = 40;
/// Events between two recounts.
const RECOUNT_EVERY: u64 = 300;

/// What is in the heap.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    /// The plan's next step.
    Step(usize),
    /// A core looks at what is ready.
    Turn(usize),
    /// Something becomes ready for a core.
    Ready(usize, Input),
    /// Everything that a core has pushed with tickets can be seen.
    Pushed(usize),
    /// A client sends what it has to send.
    Tick(usize),
    /// A send operation of a core ends.
    SendEnds(usize, ConnId),
    /// A client sees the end of its connection.
    End(usize, usize),
}

/// What became of a world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The hash of everything that happened.
    pub hash: u64,
    /// Virtual nanoseconds.
    pub nanos: u64,
    /// Events.
    pub events: u64,
    /// Requests that ran.
    pub runs: u64,
    /// What was wrong, and the last events.
    pub failure: Option<String>,
    /// The last events as text, if that was asked for.
    pub lines: Vec<String>,
    /// Situations.
    pub sometimes: Sometimes,
}

/// One world.
pub struct World<'p> {
    pub(crate) plan: &'p Plan,
    pub(crate) swarm: Swarm,
    pub(crate) canary: Canary,
    pub(crate) tampering: Tampering,
    pub(crate) now: u64,
    /// Milliseconds that the wall clock was set by.
    wall_offset: i64,
    sequence: u64,
    heap: BTreeMap<(u64, u64), Happening>,
    pub(crate) machines: Vec<Machine>,
    /// From, to.
    pub(crate) rings: Vec<Vec<Ring>>,
    /// The order of transactions.
    pub(crate) tickets: Tickets<SingleThreaded>,
    /// By core: until when it pushes.
    pub(crate) pushing_until: Vec<u64>,
    pub(crate) clients: Vec<Client>,
    /// What memcached's clients have heard.
    pub(crate) stamps: Heard,
    pub(crate) schedule: Dice,
    pub(crate) trace: Trace,
    pub(crate) sometimes: Sometimes,
    pub(crate) witness: Witness,
    pub(crate) failure: Option<String>,
    /// When a client has heard a reply last.
    pub(crate) heard_at: u64,
    /// The highest that the wall clock has ever shown, Unix milliseconds: what was due by it may be gone, though it was set back.
    pub(crate) highest_clock: u64,
    /// Files.
    pub(crate) disk: Disk,
    /// Until then the disk is full.
    pub(crate) full_until: u64,
    /// What a loss of power may go back to.
    pub(crate) moments: Moments,
    /// What is to happen within a write.
    pub(crate) armed: Option<Armed>,
    /// The server has ended in the middle.
    pub(crate) is_dead: bool,
    /// Faults have stopped.
    pub(crate) calm: bool,
    /// The server was told to stop.
    pub(crate) stopping: bool,
}

impl<'p> World<'p> {
    /// A world at its beginning.
    pub fn new(plan: &'p Plan, swarm: Swarm, canary: Canary, trace: Trace) -> World<'p> {
        let mut dice = Dice::new(plan.seed, Concern::Engines);
        let hash_seeds = [dice.bits(), dice.bits(), dice.bits(), dice.bits()];
        let cores = usize::from(swarm.cores);
        let mut schedule = Dice::new(plan.seed, Concern::Schedule);
        let mut clients: Vec<Client> = (0..swarm.clients)
            .map(|n| Client {
                is_of_items: swarm.is_of_items(n),
                ..Client::new(schedule.below(cores as u64) as usize, swarm.is_wild(n))
            })
            .collect();
        // The last client makes order at the end.
        clients.push(Client::new(0, false));
        let mut world = World {
            machines: (0..swarm.cores)
                .map(|core| Machine::new(core, &swarm, hash_seeds, &mut dice))
                .collect(),
            tickets: Tickets::new(swarm.cores),
            pushing_until: vec![0; cores],
            rings: (0..cores).map(|_| (0..cores).map(|_| Ring::new(swarm.credits)).collect()).collect(),
            witness: Witness::new(
                swarm.databases,
                Placement { hasher: KeyHasher::new(hash_seeds), shards: swarm.cores },
            ),
            plan,
            swarm,
            canary,
            tampering: Tampering::default(),
            now: 0,
            wall_offset: 0,
            sequence: 0,
            heap: BTreeMap::new(),
            clients,
            stamps: Heard::default(),
            schedule,
            trace,
            sometimes: Sometimes::default(),
            failure: None,
            heard_at: 0,
            highest_clock: 0,
            disk: Disk::default(),
            full_until: 0,
            moments: Moments::default(),
            armed: None,
            is_dead: false,
            calm: false,
            stopping: false,
        };
        if world.swarm.log.is_some() {
            world.start_with_log();
        }
        world.machines.iter_mut().for_each(|machine| machine.engine.node_mut().keep_journal());
        match plan.steps.first() {
            Some(first) => world.at(first.at, Happening::Step(0)),
            None => world.calm = true,
        }
        world
    }

    /// The cores find no log, and begin one.
    fn start_with_log(&mut self) {
        let now = self.clocks();
        let mut engines: Vec<_> = self.machines.iter().map(|machine| machine.engine.clone()).collect();
        if let Err(text) = reboot::start(&mut engines, &mut self.disk, now) {
            self.fail(text);
        }
        for (machine, engine) in self.machines.iter_mut().zip(engines) {
            machine.engine = engine;
        }
        let engines = self.machines.iter().map(|machine| machine.engine.clone()).collect();
        self.moments = Moments::new(engines, self.swarm.faults.lies);
    }

    /// Lets everything happen and checks it.
    pub fn run(&mut self) {
        self.clients_speak();
        if self.failure.is_none() && !self.is_dead {
            self.make_order();
        }
    }

    /// What became of it; `panic`: the assertion that did not hold.
    pub fn into_outcome(self, panic: Option<String>) -> Outcome {
        let under_way = self.witness.under_way();
        let failure = panic.map(|text| format!("panic: {text}")).or(self.failure);
        let failure = failure.map(|failure| match under_way.is_empty() {
            true => failure,
            false => format!("{failure}\nunder way: {under_way:?}"),
        });
        Outcome {
            hash: self.trace.hash(),
            nanos: self.now,
            events: self.trace.events(),
            runs: self.witness.runs,
            failure,
            lines: self.trace.lines(),
            sometimes: self.sometimes,
        }
    }

    /// The plan, under faults; then without, until everything is answered.
    fn clients_speak(&mut self) {
        while self.failure.is_none() && !self.calm && !self.is_dead {
            let Some(((at, _), happening)) = self.heap.pop_first() else { break };
            self.now = at;
            self.happen(happening);
        }
        if self.is_dead {
            return;
        }
        self.settle("after the plan");
        if self.swarm.log.is_some() && self.failure.is_none() {
            self.ask_what_would_be_left();
        }
        let mut rounds = 0;
        while self.failure.is_none() && self.somebody_waits() {
            rounds += 1;
            self.end_waits(rounds);
            self.settle("after waits have ended");
        }
    }

    /// Compares the files of snapshots whose place in the order is known.
    pub(crate) fn compare_snapshots(&mut self) {
        let (witness, databases) = (&mut self.witness, self.swarm.databases);
        let before = witness.snapshots.compared;
        let placement = witness.placement().clone();
        let outcome = witness.snapshots.compare(&mut witness.replay, databases, &placement);
        if witness.snapshots.compared > before {
            self.sometimes.met("a snapshot was loaded");
        }
        if let Err(text) = outcome {
            self.fail(text);
        }
    }

    /// At rest: the shards hold what the reference holds, and whoever waits does so for what is not there.
    fn compare(&mut self) {
        self.compare_snapshots();
        if self.failure.is_none() {
            let engines = self.machines.iter().map(|machine| &machine.engine);
            let (witness, databases) = (&self.witness, self.swarm.wild_database());
            let same = match witness.replay.waiting() {
                0 => {
                    let expected = &witness.replay.store().all.databases;
                    // What was read back from the log (DEBUG LOADAOF) has lain in a file, too.
                    let was_loaded = self.machines[0].engine.node().status.reloads > 0;
                    content::check(engines, expected, databases, witness.placement(), was_loaded)
                }
                _ => witness
                    .replay
                    .has_an_order()
                    .and(Err(format!("without a place: {:?}", witness.replay.placeless()))),
            };
            let engines = self.machines.iter().map(|machine| &machine.engine);
            if let Err(text) = same.and_then(|()| witness.nobody_waits_in_vain(engines, self.clocks().unix()))
            {
                self.fail(text);
            }
        }
    }

    fn somebody_waits(&self) -> bool {
        self.clients.iter().any(|client| self.waits(client))
    }

    /// True for a client that waits for ever and whose every word has been said.
    fn waits(&self, client: &Client) -> bool {
        client.open.is_some_and(|(_, dialogue)| self.witness.waits_for_ever(dialogue))
    }

    /// Those who wait for ever get what they wait for, or are told to go on, or go.
    fn end_waits(&mut self, rounds: u32) {
        let admin = self.clients.len() - 1;
        self.sometimes.met("somebody waited for ever");
        for number in (0..admin).filter(|number| self.waits(&self.clients[*number])).collect::<Vec<_>>() {
            let Some((_, dialogue)) = self.clients[number].open else { continue };
            let Some(waiting) = self.witness.waiting(dialogue) else { continue };
            let (database, key) = (waiting.database.to_string(), waiting.keys[0].clone());
            let says = |words: &[&[u8]]| Op::Say(words.iter().map(|word| word.to_vec()).collect());
            let whom = format!("@{number}");
            match self.schedule.below(if rounds < ROUNDS_OF_CHOICE { 6 } else { 1 }) {
                0 => self.clients[admin].ops.push_back(says(&[b"CLIENT", b"UNBLOCK", whom.as_bytes()])),
                1 => self.clients[admin].ops.push_back(says(&[
                    b"CLIENT",
                    b"UNBLOCK",
                    whom.as_bytes(),
                    b"ERROR",
                ])),
                2 => self.vanish(number),
                _ => {
                    let element = rounds.to_string();
                    self.clients[admin].ops.extend([
                        says(&[b"SELECT", database.as_bytes()]),
                        says(&[b"RPUSH", &key, element.as_bytes()]),
                        says(&[b"SELECT", b"0"]),
                    ]);
                }
            }
        }
        self.tick(admin, 0);
    }

    /// Takes the world apart: no keys, then no clients, and nothing may be left of them.
    fn make_order(&mut self) {
        let admin = self.clients.len() - 1;
        self.clients[admin].ops.push_back(Op::Say(vec![b"FLUSHALL".to_vec()]));
        self.tick(admin, 0);
        self.drain(|world| world.machines.iter().all(|machine| !machine.engine.has_background()));
        self.settle("after FLUSHALL");
        for core in 0..self.machines.len() {
            let machine = &self.machines[core];
            if let Err(text) = rest::is_empty(&machine.engine, machine.bytes_at_start) {
                self.fail(text);
            }
        }
        // Who waits then is not waited for.
        if self.schedule.chance(300) {
            let tame: Vec<usize> = (0..admin).filter(|client| self.swarm.speaks_as_all_do(*client)).collect();
            for client in tame {
                let words: [&[u8]; 3] = [b"BLPOP", b"nothing", b"0"];
                self.clients[client].ops.push_back(Op::Say(words.map(<[u8]>::to_vec).to_vec()));
                self.tick(client, 0);
            }
            self.settle("while somebody waits");
        }
        if self.schedule.chance(500) {
            self.stopping = true;
            if self.somebody_waits() {
                self.sometimes.met("the server stopped while somebody waited");
            }
            let open = self.clients.iter().any(|client| client.open.is_some());
            self.sometimes.met(if open {
                "the server stopped with clients connected"
            } else {
                "a client vanished"
            });
            for core in 0..self.machines.len() {
                self.handle(core, Event::Stop);
                self.wake(core, self.now);
            }
            self.drain(|world| world.machines.iter().all(|machine| machine.exited));
        } else {
            for client in 0..self.clients.len() {
                self.vanish(client);
            }
            self.drain(|world| world.machines.iter().all(|machine| machine.connections.is_empty()));
        }
        for core in 0..self.machines.len() {
            if let Err(text) = rest::is_left(&self.machines[core].engine) {
                self.fail(text);
            }
        }
        let (replay, told) = (self.witness.replay.finish(), self.witness.unblocks_were_told());
        if self.failure.is_none()
            && let Err(text) = replay.and(told)
        {
            self.fail(text);
        }
    }

    /// Lets things happen until all is drained and `done`.
    fn drain(&mut self, done: impl Fn(&World<'_>) -> bool) {
        self.heard_at = self.now;
        (0..self.machines.len()).for_each(|core| self.wake(core, self.now));
        while self.failure.is_none() && !(self.is_drained() && done(self)) {
            match self.heap.pop_first() {
                Some(((at, _), happening)) if at <= self.heard_at + DRAIN_NANOS => {
                    self.now = at;
                    self.happen(happening);
                }
                _ => self.fail(self.stuck()),
            }
        }
    }

    /// Lets at least so much time pass in which nobody says anything, and every core look at its end.
    fn pass(&mut self, nanos: u64) {
        let awake = self.machines.iter().map(|machine| machine.frozen_until.max(machine.busy_until));
        let until = awake.fold(self.now + nanos, u64::max);
        self.happen_until(until);
        self.now = until;
        (0..self.machines.len()).for_each(|core| self.wake(core, until));
        self.happen_until(until);
    }

    fn happen_until(&mut self, until: u64) {
        while self.failure.is_none()
            && let Some(next) = self.heap.first_entry()
            && next.key().0 <= until
        {
            let ((at, _), happening) = next.remove_entry();
            self.now = at;
            self.happen(happening);
        }
    }

    /// Everything must drain in time, and then be at rest; whoever waits for time alone gets what he waits for.
    fn settle(&mut self, when: &str) {
        self.drain(|_| true);
        // Whoever has got what he waited for may wait for something else.
        let mut is_news = true;
        while is_news && self.failure.is_none() && self.somebody_waits() {
            let since = self.now;
            self.pass(PATIENCE_NANOS);
            is_news = self.heard_at > since;
            self.drain(|_| true);
        }
        if self.failure.is_some() {
            return;
        }
        for core in 0..self.machines.len() {
            let engine = &self.machines[core].engine;
            if let Err(text) = rest::is_quiet_beside_waits(engine).and_then(|()| accounting::check(engine)) {
                self.fail(format!("{when}: {text}"));
            }
        }
        let engines = self.machines.iter().map(|machine| &machine.engine);
        if let Err(text) = accounting::check_budget(engines) {
            self.fail(format!("{when}: {text}"));
        }
        self.compare();
        for (from, row) in self.rings.iter().enumerate() {
            for (to, ring) in row.iter().enumerate().filter(|(to, _)| *to != from) {
                let (longest, capacity) = ring.fill();
                if 2 * longest >= capacity {
                    self.sometimes.met("a ring was half full");
                }
                if longest == capacity {
                    self.sometimes.met("a ring was full");
                }
                assert!(ring.is_empty(), "a drained world has no message from {from} to {to}");
            }
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Step(n) => self.step(n),
            Happening::Turn(core) => {
                if self.machines[core].next_turn == self.now {
                    self.turn(core);
                }
            }
            Happening::Ready(core, input) => {
                self.machines[core].inbox.push_back(input);
                self.wake(core, self.now);
            }
            Happening::Pushed(core) => {
                self.tickets.pushed(darter_core::event::CoreId(core as u16));
                (0..self.machines.len()).for_each(|core| self.wake(core, self.now));
            }
            Happening::Tick(client) => self.client_tick(client),
            Happening::SendEnds(core, conn) => self.send_ends(core, conn),
            Happening::End(client, dialogue) => self.client_ends(client, dialogue),
        }
        if self.trace.events().is_multiple_of(RECOUNT_EVERY) {
            let core = (self.trace.events() / RECOUNT_EVERY) as usize % self.machines.len();
            if let Err(text) = accounting::check(&self.machines[core].engine) {
                self.fail(text);
            }
        }
    }

    /// The plan's next step, and the one after it.
    fn step(&mut self, n: usize) {
        let step = &self.plan.steps[n];
        self.trace.note(self.now, (n, &step.deed), || format!("plan: {:?}", ShownDeed(&step.deed)));
        let clients = self.clients.len() - 1;
        match &step.deed {
            Deed::Say { client, words } if !words.is_empty() => {
                self.clients[client % clients].ops.push_back(Op::Say(words.clone()));
                self.tick(client % clients, 0);
            }
            Deed::Say { .. } => {}
            Deed::Send { client, bytes } => {
                self.clients[client % clients].ops.push_back(Op::Send(bytes.clone()));
                self.tick(client % clients, 0);
            }
            Deed::Scan { client, count } => {
                self.clients[client % clients].ops.push_back(Op::Scan(*count));
                self.tick(client % clients, 0);
            }
            Deed::HalfClose { client } => self.clients[client % clients].ops.push_back(Op::HalfClose),
            Deed::Vanish { client } => self.vanish(client % clients),
            Deed::Stall { client, nanos } => self.clients[client % clients].stalled_until = self.now + nanos,
            Deed::Freeze { core, nanos } => {
                let cores = self.machines.len();
                self.machines[usize::from(*core) % cores].frozen_until = self.now + nanos;
                self.sometimes.met("a core stood still");
            }
            Deed::Clock { millis } => {
                self.wall_offset += millis;
                self.sometimes.met(if millis.abs() > 2_000 {
                    "the wall clock jumped"
                } else {
                    "the wall clock stepped back"
                });
            }
        }
        match self.plan.steps.get(n + 1) {
            Some(next) => self.at(next.at.max(self.now), Happening::Step(n + 1)),
            None => {
                self.calm = true;
                for core in 0..self.machines.len() {
                    self.machines[core].frozen_until = 0;
                    self.wake(core, self.now);
                }
                for client in 0..self.clients.len() {
                    self.clients[client].stalled_until = 0;
                    self.tick(client, 0);
                }
            }
        }
    }

    /// True if nobody has anything to say or to hear.
    fn is_drained(&self) -> bool {
        self.calm
            && self.machines.iter().all(Machine::is_idle)
            && self.rings.iter().flatten().all(Ring::is_empty)
            && self.clients.iter().all(|client| {
                let heard = client.open.is_none_or(|(_, dialogue)| {
                    let dialogue = &self.witness.dialogues[dialogue];
                    dialogue.over || dialogue.outstanding() == 0
                });
                let silent = client.ops.is_empty() && client.out.is_empty();
                let waits = self.waits(client) && client.out.is_empty() && !client.ticking;
                (heard && silent || waits) && !client.opening && !client.half_closed
            })
            // What clients have sent before they vanished, and what came of it.
            && self.machines.iter().all(|machine| rest::is_quiet_beside_waits(&machine.engine).is_ok())
            && !self.heap.values().any(|happening| matches!(happening, Happening::Ready(..)))
            && self.machines.iter().all(|machine| machine.engine.node().log_failure().is_none())
    }

    /// Why nothing goes on.
    fn stuck(&self) -> String {
        let mut text = String::from("not everything was answered in time:");
        for (n, client) in self.clients.iter().enumerate() {
            if let Some((conn, dialogue)) = client.open {
                let here = &self.witness.dialogues[dialogue];
                let (outstanding, ops) = (here.outstanding(), client.ops.len());
                if outstanding + ops > 0 {
                    text +=
                        &format!("\nclient {n} {conn:?} waits for {outstanding} replies, has {ops} to say");
                }
            }
        }
        for machine in &self.machines {
            let idle = machine.is_idle();
            text += &format!(
                "\ncore {}: {:?}, idle {idle}",
                machine.engine.node().core.0,
                machine.engine.unfinished()
            );
        }
        text
    }

    /// The first thing that was wrong.
    pub(crate) fn fail(&mut self, text: String) {
        self.failure.get_or_insert(text);
    }

    /// Puts something into the heap.
    pub(crate) fn at(&mut self, at: u64, happening: Happening) {
        self.sequence += 1;
        let at = at.max(self.now);
        self.heap.insert((at, self.sequence), happening);
    }

    /// A core has something to do at this moment, or as soon as it can.
    pub(crate) fn wake(&mut self, core: usize, at: u64) {
        let machine = &mut self.machines[core];
        let at = at.max(machine.busy_until).max(machine.frozen_until).max(self.now);
        if at < machine.next_turn || machine.next_turn < self.now {
            machine.next_turn = at;
            self.at(at, Happening::Turn(core));
        }
    }

    /// A client may have something to do in so many nanoseconds.
    pub(crate) fn tick(&mut self, client: usize, nanos: u64) {
        if !std::mem::replace(&mut self.clients[client].ticking, true) {
            self.at(self.now + nanos, Happening::Tick(client));
        }
    }

    /// The clocks of a core.
    pub(crate) fn clocks(&self) -> Now {
        let millis = (EPOCH_MILLIS as i64 + self.wall_offset) as u64;
        Now { mono: Instant(self.now), unix_micros: millis * 1_000 + self.now / 1_000 }
    }

    /// Nanoseconds between low and high.
    pub(crate) fn span(&mut self, low: u64, high: u64) -> u64 {
        let outside = if self.canary == Canary::Nondeterminism { canary::outside_nanos() } else { 0 };
        self.schedule.between(low, high) + outside
    }
}

/// A deed whose words are for people.
struct ShownDeed<'a>(&'a Deed);

impl std::fmt::Debug for ShownDeed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Deed::Say { client, words } => {
                write!(f, "client {client} says {}", crate::dialogue::spoken(words))
            }
            other => write!(f, "{other:?}"),
        }
    }
}
