//! What more cores would give: production engines in a world without faults, whose time is made of measured costs.
//!
//! Real cores share caches, memory and a kernel with each other, and a machine with many of them is not at everybody's hand. Here each core has
//! a clock of its own that only its own work moves: a turn costs what its steps cost ([`Costs`]), and a message is seen when the turn that has sent
//! it is over. Engines, turns, credits and rings are those of production, so how many messages an operation takes, how many of them share a
//! batch, and who waits for whom is found, not assumed. What is assumed stands in one place and can be changed.
//!
//! It knows costs and counts. It does not know whether replies are right: that is for the worlds with faults.

use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use darter_core::config::Settings;
use darter_core::event::{ConnId, CoreId, Door, Effect, Effects, Event, Origin, Peer};
use darter_core::host::{Instruments, Process};
use darter_core::limits;
use darter_core::message::Message;
use darter_core::time::{Instant, Now};
use darter_core::txn::stability::Tickets;
use darter_core::{Engine, EngineConfig};

/// What the steps of a turn cost, nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Costs {
    /// Entering the kernel and looking around.
    pub turn: u64,
    /// Taking a client's bytes from the kernel.
    pub receive: u64,
    /// Giving a client's replies to the kernel.
    pub send: u64,
    /// Reading, running and answering one command.
    pub command: u64,
    /// What a command costs besides, on either side, if it runs on another shard.
    pub carried: u64,
    /// One message of a transaction, on either side.
    pub part: u64,
    /// A cache line that another core has written since: one for each batch of messages, one for each message.
    pub line: u64,
    /// A look at another core's ring in which nothing has changed.
    pub look: u64,
    /// Waking a core that sleeps, for who wakes it.
    pub bell: u64,
    /// The same for who is woken.
    pub wake: u64,
    /// How long a core that has nothing to do looks for messages before it sleeps.
    pub spin: u64,
    /// From a reply to the client's next request.
    pub wire: u64,
}

impl Default for Costs {
    /// What was measured on one machine (docs/PERFORMANCE.md): what a request costs with one shard and with two, taken apart by the instructions
    /// of `.ci/instructions` and the floor program of `darter-bench`. For lines: within one socket.
    fn default() -> Costs {
        Costs {
            turn: 500,
            receive: 1_900,
            send: 3_600,
            command: 350,
            carried: 150,
            part: 1_600,
            line: 60,
            look: 2,
            bell: 1_200,
            wake: 1_500,
            spin: 20_000,
            wire: 30_000,
        }
    }
}

/// What all clients say, over and over.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Its name in the table.
    pub name: &'static str,
    /// Requests that a client sends before it reads.
    pub depth: usize,
    /// Commands with one key each that a request comes to.
    keys: usize,
    /// Bytes of its reply: nothing is there, so that all replies are alike.
    reply: usize,
    write: fn(&mut Vec<u8>, &mut Numbers),
}

/// All workloads.
pub const WORKLOADS: [Workload; 4] = [
    Workload { name: "get", depth: 1, keys: 1, reply: 5, write: |out, n| words(out, "GET", n, 1, false) },
    Workload {
        name: "get, 30 deep",
        depth: 30,
        keys: 1,
        reply: 5,
        write: |out, n| words(out, "GET", n, 1, false),
    },
    Workload {
        name: "mget of 10",
        depth: 1,
        keys: 10,
        reply: 55,
        write: |out, n| words(out, "MGET", n, 10, false),
    },
    Workload {
        name: "mset of 10",
        depth: 1,
        keys: 10,
        reply: 5,
        write: |out, n| words(out, "MSET", n, 10, true),
    },
];

const VALUE: &str = "a value of sixty-four bytes, as in the tables of measured figures";

fn words(out: &mut Vec<u8>, name: &str, numbers: &mut Numbers, keys: usize, with_values: bool) {
    let count = 1 + keys * (1 + usize::from(with_values));
    out.extend_from_slice(format!("*{count}\r\n${}\r\n{name}\r\n", name.len()).as_bytes());
    for _ in 0..keys {
        let key = format!("key:{:08}", numbers.next() % 100_000_000);
        out.extend_from_slice(format!("${}\r\n{key}\r\n", key.len()).as_bytes());
        if with_values {
            out.extend_from_slice(format!("${}\r\n{VALUE}\r\n", VALUE.len()).as_bytes());
        }
    }
}

/// Numbers that look random and are the same in every run.
#[derive(Debug)]
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}

/// What one run has shown.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// How many cores.
    pub cores: u16,
    /// Requests that were answered.
    pub requests: u64,
    /// Requests a second, of all cores.
    pub rate: f64,
    /// Processor time of a request, nanoseconds.
    pub cpu: f64,
    /// Messages between cores for each request.
    pub messages: f64,
    /// How many of them a core finds in a ring when it looks.
    pub batch: f64,
    /// Requests for each turn of a core.
    pub turn: f64,
    /// Which part of the processor time goes for looking at rings and waiting for lines of other cores.
    pub between: f64,
    /// Half of all requests are answered within this, nanoseconds.
    pub median: u64,
    /// 99 of 100 are.
    pub p99: u64,
}

struct Client {
    conn: ConnId,
    batch: Vec<u8>,
    taken: usize,
    sent_at: u64,
    /// Bytes of replies that are still to come.
    owed: usize,
}

struct Core {
    engine: Engine,
    effects: Effects,
    clients: Vec<Client>,
    /// Whose bytes have come, and when; in order.
    arrivals: VecDeque<(u64, u32)>,
    again: Vec<u32>,
    /// Its turn is over then.
    free_at: u64,
    /// When its next turn is; `u64::MAX`: it has nothing to wait for.
    planned: u64,
    /// Nanoseconds of work, and of that between cores.
    busy: u64,
    between: u64,
    turns: u64,
}

impl Core {
    fn handle(&mut self, now: Now, event: Event<'_>) {
        self.engine.handle(now, event, &mut self.effects);
    }
}

struct World {
    costs: Costs,
    workload: Workload,
    numbers: Numbers,
    cores: Vec<Core>,
    /// By receiver and sender: messages and when they can be seen.
    rings: Vec<Vec<VecDeque<(u64, Message)>>>,
    tickets: Tickets,
    /// The last message of each flush with tickets can be seen from a moment on; the lowest of its tickets.
    flushes: Vec<(u64, u64)>,
    /// When each planned turn begins, soonest first.
    plan: BinaryHeap<std::cmp::Reverse<(u64, usize)>>,
    messages: u64,
    batches: u64,
    latencies: Vec<u64>,
}

/// The first, if its moment has come.
fn due<T>(queue: &mut VecDeque<(u64, T)>, at: u64) -> Option<T> {
    if queue.front()?.0 > at {
        return None;
    }
    queue.pop_front().map(|(_, what)| what)
}

/// Lets `clients` clients of each core get `rounds` batches answered.
pub fn run(costs: Costs, workload: Workload, cores: u16, clients: usize, rounds: usize) -> Figures {
    let mut world = World::new(costs, workload, cores, clients);
    let wanted = usize::from(cores) * clients * rounds;
    // Until everybody has been answered twice the clients still move in step.
    let begun = world.run_until(usize::from(cores) * clients * 2);
    let before = (world.busy(), world.messages, world.batches, world.turns(), world.between());
    world.latencies.clear();
    let ended = world.run_until(wanted);
    let requests = world.latencies.len() * workload.depth;
    let per_request = |sum: u64| sum as f64 / requests as f64;
    let busy = world.busy() - before.0;
    world.latencies.sort_unstable();
    let at = |share: f64| world.latencies[((world.latencies.len() - 1) as f64 * share) as usize];
    Figures {
        cores,
        requests: requests as u64,
        rate: requests as f64 * 1e9 / (ended - begun) as f64,
        cpu: per_request(busy),
        messages: per_request(world.messages - before.1),
        batch: (world.messages - before.1) as f64 / ((world.batches - before.2).max(1)) as f64,
        turn: requests as f64 / (world.turns() - before.3) as f64,
        between: (world.between() - before.4) as f64 / busy as f64,
        median: at(0.5),
        p99: at(0.99),
    }
}

/// Bytes that the rings between so many cores take.
pub fn ring_bytes(cores: u16) -> usize {
    let pairs = usize::from(cores) * usize::from(cores).saturating_sub(1);
    pairs * limits::ring_len(cores) * size_of::<Message>()
}

impl World {
    fn new(costs: Costs, workload: Workload, cores: u16, clients: usize) -> World {
        let engine = |core: u16| {
            Engine::new(EngineConfig {
                core: CoreId(core),
                cores,
                credits: limits::credits(cores),
                hash_seeds: [1, 2, 3, 4],
                random_seed: [core as u8; 32],
                settings: Settings::default(),
                process: Arc::new(Process::default()),
                instruments: Instruments::still(),
                load: None,
                persists: false,
            })
        };
        let core = |core: u16| Core {
            engine: engine(core),
            effects: Effects::default(),
            clients: Vec::new(),
            arrivals: VecDeque::new(),
            again: Vec::new(),
            free_at: 0,
            planned: u64::MAX,
            busy: 0,
            between: 0,
            turns: 0,
        };
        let all = usize::from(cores);
        let mut world = World {
            costs,
            workload,
            numbers: Numbers(7),
            cores: (0..cores).map(core).collect(),
            rings: (0..all).map(|_| (0..all).map(|_| VecDeque::new()).collect()).collect(),
            tickets: Tickets::new(cores),
            flushes: Vec::new(),
            plan: BinaryHeap::new(),
            messages: 0,
            batches: 0,
            latencies: Vec::new(),
        };
        for core in 0..all {
            for index in 0..clients {
                world.open(core, index, all * clients);
            }
        }
        world
    }

    fn open(&mut self, core: usize, index: usize, clients: usize) {
        let conn = ConnId { index: index as u32, generation: 0 };
        let peer = Peer {
            address: format!("127.0.0.1:{}", 10_000 + index),
            local: "127.0.0.1:6379".into(),
            origin: Origin::Loopback,
            descriptor: 8,
        };
        let now = self.now(0);
        let event = Event::Opened { conn, peer, clients, door: Door::Redis };
        self.cores[core].handle(now, event);
        let client = Client { conn, batch: Vec::new(), taken: 0, sent_at: 0, owed: 0 };
        self.cores[core].clients.push(client);
        // They come one after the other, a little apart on each core.
        self.ask(core, index as u32, (index as u64 * 977 + core as u64 * 131) % self.costs.wire.max(1));
    }

    fn now(&self, at: u64) -> Now {
        Now { mono: Instant(1_000_000_000 + at), unix_micros: 1_700_000_000_000_000 + at / 1_000 }
    }

    fn busy(&self) -> u64 {
        self.cores.iter().map(|core| core.busy).sum()
    }

    fn between(&self) -> u64 {
        self.cores.iter().map(|core| core.between).sum()
    }

    fn turns(&self) -> u64 {
        self.cores.iter().map(|core| core.turns).sum()
    }

    /// A client writes its next batch, which is there at a moment.
    fn ask(&mut self, core: usize, index: u32, at: u64) {
        let client = &mut self.cores[core].clients[index as usize];
        client.batch.clear();
        client.taken = 0;
        (0..self.workload.depth).for_each(|_| (self.workload.write)(&mut client.batch, &mut self.numbers));
        client.sent_at = at;
        client.owed = self.workload.depth * self.workload.reply;
        let arrivals = &mut self.cores[core].arrivals;
        let place = arrivals.partition_point(|(other, _)| *other <= at);
        arrivals.insert(place, (at, index));
        self.plan_turn(core, at);
    }

    fn plan_turn(&mut self, core: usize, at: u64) {
        let at = at.max(self.cores[core].free_at);
        if at < self.cores[core].planned {
            self.cores[core].planned = at;
            self.plan.push(std::cmp::Reverse((at, core)));
        }
    }

    /// Goes on until so many batches more have been answered; the moment.
    fn run_until(&mut self, batches: usize) -> u64 {
        while self.latencies.len() < batches {
            let std::cmp::Reverse((at, core)) = self.plan.pop().expect("clients that are answered ask again");
            if self.cores[core].planned == at {
                self.cores[core].planned = u64::MAX;
                if self.cores[core].free_at > at {
                    // It was planned while the turn before it was not over.
                    self.plan_turn(core, at);
                } else {
                    self.turn(core, at);
                }
            }
        }
        self.cores.iter().map(|core| core.free_at).max().unwrap_or(0)
    }

    /// The driver's turn, each of whose steps costs something.
    fn turn(&mut self, core: usize, at: u64) {
        let costs = self.costs;
        let now = self.now(at);
        let has_slept = at > self.cores[core].free_at + costs.spin;
        let (mut cost, mut between) = (costs.turn + if has_slept { costs.wake } else { 0 }, 0);
        if self.cores[core].engine.deadline() <= now.mono {
            self.cores[core].handle(now, Event::Wake);
        }
        while let Some(index) = due(&mut self.cores[core].arrivals, at) {
            cost += costs.receive + self.feed(core, index, now);
        }
        let waits = self.cores[core].engine.has_unstable() || self.has_messages(core, at);
        let below = waits.then(|| self.limit(at));
        // One line for each core's lowest ticket, another for the counter, if others have written them.
        between += if waits { self.cores.len() as u64 * costs.look + costs.line } else { 0 };
        between += self.cores.len() as u64 * costs.look;
        let (work, lines) = self.receive(core, at, now);
        cost += work;
        between += lines;
        if let Some(below) = below.filter(|_| self.cores[core].engine.has_unstable()) {
            self.cores[core].handle(now, Event::Stable { below });
        }
        for index in std::mem::take(&mut self.cores[core].again) {
            cost += self.feed(core, index, now);
        }
        cost += self.finish(core, at, at + cost + between, now);
        let own = &mut self.cores[core];
        own.turns += 1;
        own.busy += cost + between;
        own.between += between;
        own.free_at = at + cost + between;
        let has_more = !own.again.is_empty() || own.engine.has_unstable() || !own.effects.is_empty();
        let next = own.arrivals.front().map_or(u64::MAX, |(at, _)| *at);
        let seen = self.rings[core].iter().filter_map(|ring| ring.front()).map(|(at, _)| *at).min();
        let next = if has_more { at } else { next.min(seen.unwrap_or(u64::MAX)) };
        if next < u64::MAX {
            self.plan_turn(core, next);
        }
    }

    /// No ticket below this is in a message that cannot be seen yet.
    fn limit(&mut self, at: u64) -> u64 {
        self.flushes.retain(|(seen, _)| *seen > at);
        self.flushes.iter().map(|(_, first)| *first).fold(self.tickets.limit(), u64::min)
    }

    fn has_messages(&self, core: usize, at: u64) -> bool {
        self.rings[core].iter().any(|ring| ring.front().is_some_and(|(seen, _)| *seen <= at))
    }

    /// Gives the engine what it has not taken yet of a client's batch; what that costs.
    fn feed(&mut self, core: usize, index: u32, now: Now) -> u64 {
        let own = &mut self.cores[core];
        let client = &mut own.clients[index as usize];
        let bytes = &client.batch[client.taken..];
        let len = bytes.len();
        let taken = own.engine.handle(now, Event::Bytes { conn: client.conn, bytes }, &mut own.effects);
        client.taken += taken;
        // Requests of a batch are alike.
        let commands = self.workload.depth * self.workload.keys * taken;
        if len == 0 { 0 } else { self.costs.command * commands as u64 / client.batch.len() as u64 }
    }

    /// Takes what is in the rings; what the work costs, and the lines.
    fn receive(&mut self, core: usize, at: u64, now: Now) -> (u64, u64) {
        let (mut work, mut lines) = (0, 0);
        for from in 0..self.cores.len() {
            let mut any = false;
            while let Some(message) = due(&mut self.rings[core][from], at) {
                any = true;
                lines += self.costs.line;
                work += self.weight(&message);
                let event = Event::Message { from: CoreId(from as u16), message };
                self.cores[core].handle(now, event);
            }
            lines += if any { self.costs.line } else { 0 };
            self.batches += u64::from(any);
        }
        (work, lines)
    }

    /// What a message costs either side.
    fn weight(&self, message: &Message) -> u64 {
        let carried = |count: usize| self.costs.carried * count as u64;
        match message {
            Message::Direct { .. } | Message::Done { .. } => carried(1),
            Message::Directs { directs } => carried(directs.len()),
            Message::Dones { dones } => carried(dones.len()),
            Message::Release { .. } => self.costs.part / 4,
            _ => self.costs.part,
        }
    }

    /// The end of a turn: tickets, messages, replies; what that costs. Others see it from `end` on.
    fn finish(&mut self, core: usize, at: u64, end: u64, now: Now) -> u64 {
        let id = CoreId(core as u16);
        let mut cost = 0;
        let (mut outputs, mut sent) = (Vec::new(), Vec::new());
        let mut effects = std::mem::take(&mut self.cores[core].effects);
        for effect in effects.drain() {
            match effect {
                Effect::Send { to, message } => sent.push((to, message)),
                Effect::TakeOutput { conn } => outputs.push(conn),
                Effect::ResumeRead { conn } => self.cores[core].again.push(conn.index),
                _ => {}
            }
        }
        self.cores[core].effects = effects;
        // What comes of these two belongs to the next turn.
        let (mut first, undrawn) = (0, self.cores[core].engine.undrawn());
        if undrawn > 0 {
            self.tickets.announce(id);
            first = self.tickets.draw(id, undrawn);
            self.cores[core].handle(now, Event::Tickets { first });
            cost += self.costs.line;
        }
        for conn in outputs {
            cost += self.costs.send;
            self.answer(core, conn, end + cost, now);
        }
        let mut rung = Vec::new();
        for (to, mut message) in sent {
            message.stamp(first);
            cost += self.weight(&message);
            self.messages += 1;
            let receiver = &self.cores[to.index()];
            let sleeps = receiver.planned == u64::MAX && receiver.free_at + self.costs.spin < at;
            if sleeps && !rung.contains(&to) {
                rung.push(to);
                cost += self.costs.bell;
            }
            let seen = end + cost;
            self.rings[to.index()][core].push_back((seen, message));
            self.plan_turn(to.index(), seen);
        }
        if undrawn > 0 {
            self.tickets.pushed(id);
            self.flushes.push((end + cost, first));
        }
        cost
    }

    /// A client's replies leave; if that was all, its next batch is under way.
    fn answer(&mut self, core: usize, conn: ConnId, at: u64, now: Now) {
        let own = &mut self.cores[core];
        let bytes: usize = own.engine.output(conn).map(<[u8]>::len).sum();
        own.engine.handle(now, Event::Sent { conn, bytes }, &mut own.effects);
        let client = &mut own.clients[conn.index as usize];
        client.owed -= bytes;
        if client.owed == 0 {
            self.latencies.push(at - client.sent_at);
            self.ask(core, conn.index, at + self.costs.wire);
        }
    }
}

/// A table of all workloads on so many cores each, 50 clients to a core, as lines of Markdown.
pub fn table(cores: &[u16]) -> Vec<String> {
    const CLIENTS: usize = 50;
    const ROUNDS: usize = 40;
    let mut lines = vec![
        "| workload | cores | million requests/s | times one core | us of CPU | messages | in a batch | requests a turn | between cores | p50 us | p99 us | rings MB |".to_string(),
        "|---|---|---|---|---|---|---|---|---|---|---|---|".to_string(),
    ];
    for workload in WORKLOADS {
        let mut one = None;
        for &cores in cores {
            let figures = run(Costs::default(), workload, cores, CLIENTS, ROUNDS);
            let one = *one.get_or_insert(figures.rate / f64::from(cores));
            lines.push(format!(
                "| {} | {} | {:.2} | {:.1} | {:.2} | {:.2} | {:.1} | {:.1} | {:.0}% | {:.0} | {:.0} | {:.0} |",
                workload.name,
                cores,
                figures.rate / 1e6,
                figures.rate / one,
                figures.cpu / 1e3,
                figures.messages,
                figures.batch,
                figures.turn,
                figures.between * 100.0,
                figures.median as f64 / 1e3,
                figures.p99 as f64 / 1e3,
                ring_bytes(cores) as f64 / 1e6
            ));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_core_costs_what_its_steps_cost() {
        let costs = Costs { turn: 0, look: 0, wake: 0, ..Costs::default() };
        let figures = run(costs, WORKLOADS[0], 1, 10, 50);
        assert_eq!(figures.cpu, (costs.receive + costs.send + costs.command) as f64);
        assert_eq!((figures.messages, figures.between), (0.0, 0.0));
    }

    #[test]
    fn half_of_two_cores_commands_go_to_the_other_and_come_back() {
        // One client to a core: nothing to share a message with.
        let alone = run(Costs::default(), WORKLOADS[0], 2, 1, 1_000);
        assert!((0.9..1.1).contains(&alone.messages), "{alone:?}");
        let crowd = run(Costs::default(), WORKLOADS[0], 2, 20, 100);
        assert!((0.1..0.7).contains(&crowd.messages), "commands of a turn share a message: {crowd:?}");
        assert_eq!(crowd, run(Costs::default(), WORKLOADS[0], 2, 20, 100), "the same again");
    }

    #[test]
    fn rings_of_many_cores_stay_bounded() {
        assert_eq!(ring_bytes(1), 0);
        assert!(ring_bytes(128) < 1 << 30, "{}", ring_bytes(128));
    }
}
