//! A small world for tests: cores that exchange messages until nothing moves, and clients that wait for their replies.
//!
//! It carries out what the engines ask for that concerns clients, messages and time. Everything else (files, the log) it
//! keeps, and a test may look at it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::aof::pen::LogFlush;
use crate::config::Settings;
use crate::engine::{Engine, EngineConfig};
use crate::errand::LinkNews;
use crate::event::{
    ConnId, CoreId, DiskOutcome, DiskRequest, Door, Effect, Effects, Event, OperationId, Origin, Peer,
};
use crate::host::{Instruments, Process};
use crate::limits;
use crate::quoting;
use crate::random::Random;
use crate::time::{Instant, Now};

/// The wall clock at the beginning: 2023-11-14, in microseconds.
const UNIX_MICROS: u64 = 1_700_000_000_000_000;
/// Effects that follow one event at the most: more means that two cores never come to rest.
const EFFECTS_MAX: usize = 1_000_000;

/// A client of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client(usize);

struct Wire {
    core: CoreId,
    conn: ConnId,
    /// Sent by the client, not consumed.
    input: Vec<u8>,
    /// Received by the client, not looked at.
    output: Vec<u8>,
    open: bool,
    /// It reads nothing for now, and its output waits.
    stalled: bool,
}

/// Cores and their clients.
pub(crate) struct World {
    pub(crate) engines: Vec<Engine>,
    wires: Vec<Wire>,
    /// Asked of the driver, not carried out yet, oldest first.
    queue: VecDeque<(CoreId, Effect)>,
    /// Asked of the driver, and nobody's business here.
    pub(crate) kept: Vec<(CoreId, Effect)>,
    pub(crate) now: Now,
    next_ticket: u64,
    /// Decides which effect comes next, if not the oldest.
    chance: Option<Random>,
    /// Bytes that are in logs.
    logged: usize,
    /// Files, with what is in them, as far as a test carries out operations on them.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Why no more can be.
    pub(crate) log_failure: Option<String>,
    /// It is so on one core only.
    pub(crate) fails_on: Option<u16>,
}

impl World {
    /// Without clients and keys.
    pub(crate) fn new(cores: u16) -> World {
        World::with(cores, |_| {})
    }

    /// The same with settings of the test's own.
    pub(crate) fn with(cores: u16, change: impl FnOnce(&mut Settings)) -> World {
        World::made(cores, None, change)
    }

    /// The same, and its cores wait for what is read at the start.
    pub(crate) fn starting(cores: u16, change: impl FnOnce(&mut Settings)) -> World {
        let mut world = World::made(cores, Some(0), change);
        world.give(CoreId(0), Event::Start);
        world
    }

    fn made(cores: u16, load: Option<u64>, change: impl FnOnce(&mut Settings)) -> World {
        let mut settings = Settings::default();
        change(&mut settings);
        let process = Arc::new(Process {
            pid: 4_711,
            run_id: "0123456789abcdef0123456789abcdef01234567".into(),
            os: "Linux 6.1 x86_64".into(),
            executable: "/usr/bin/darter".into(),
            config_file: "/etc/darter.conf".into(),
            directory: "/".into(),
            memory: 1 << 30,
            boot: "this start".into(),
        });
        let engine = |core: u16| {
            Engine::new(EngineConfig {
                core: CoreId(core),
                cores,
                credits: limits::credits(cores),
                hash_seeds: [1, 2, 3, 4],
                random_seed: [core as u8; 32],
                settings: settings.clone(),
                process: Arc::clone(&process),
                instruments: Instruments::still(),
                load,
                persists: false,
            })
        };
        World {
            engines: (0..cores).map(engine).collect(),
            wires: Vec::new(),
            queue: VecDeque::new(),
            kept: Vec::new(),
            now: Now { mono: Instant(1_000_000_000), unix_micros: UNIX_MICROS },
            next_ticket: 1,
            chance: None,
            logged: 0,
            files: BTreeMap::new(),
            log_failure: None,
            fails_on: None,
        }
    }

    /// From now on effects are carried out in an order of chance; those of one core that concern clients, and those to one other core, keep
    /// theirs.
    pub(crate) fn shuffle(&mut self, seed: u64) {
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        self.chance = Some(Random::new(bytes));
    }

    /// A number below this, of the chance that decides the order.
    pub(crate) fn choose(&mut self, below: u64) -> u64 {
        self.chance.as_mut().map_or(0, |chance| chance.draw() % below)
    }

    /// Sends bytes, and carries out so many effects.
    pub(crate) fn send_and_step(&mut self, client: Client, bytes: &[u8], effects: u64) {
        self.wires[client.0].input.extend_from_slice(bytes);
        self.present(client.0);
        for _ in 0..effects {
            let Some((core, effect)) = self.next_effect() else { return };
            self.carry_out(core, effect);
        }
    }

    fn next_effect(&mut self) -> Option<(CoreId, Effect)> {
        let Some(chance) = &mut self.chance else { return self.queue.pop_front() };
        if self.queue.is_empty() {
            return None;
        }
        let way = |(core, effect): &(CoreId, Effect)| match effect {
            Effect::Send { to, .. } => (*core, Some(*to)),
            _ => (*core, None),
        };
        let drawn = way(&self.queue[(chance.draw() % self.queue.len() as u64) as usize]);
        let first = self.queue.iter().position(|entry| way(entry) == drawn)?;
        self.queue.remove(first)
    }

    /// A new client of this core.
    pub(crate) fn connect(&mut self, core: u16) -> Client {
        self.connect_from(core, Origin::Loopback)
    }

    /// A new client of this core that speaks memcached's protocol.
    pub(crate) fn connect_memcached(&mut self, core: u16) -> Client {
        self.connect_to(core, Origin::Loopback, Door::Memcached)
    }

    /// The same from elsewhere.
    pub(crate) fn connect_from(&mut self, core: u16, origin: Origin) -> Client {
        self.connect_to(core, origin, Door::Redis)
    }

    fn connect_to(&mut self, core: u16, origin: Origin, door: Door) -> Client {
        let client = Client(self.wires.len());
        let conn = ConnId { index: client.0 as u32, generation: 0 };
        let peer = Peer {
            address: format!("127.0.0.1:{}", 50_001 + client.0),
            local: "127.0.0.1:6379".into(),
            origin,
            descriptor: 8 + client.0 as i32,
        };
        let core = CoreId(core);
        self.wires.push(Wire {
            core,
            conn,
            input: Vec::new(),
            output: Vec::new(),
            open: true,
            stalled: false,
        });
        let clients = self.wires.iter().filter(|wire| wire.open).count();
        self.give(core, Event::Opened { conn, peer, clients, door });
        client
    }

    /// Sends words, split as redis-cli does, as one request; everything that comes back without time passing.
    pub(crate) fn call(&mut self, client: Client, line: &str) -> String {
        let words = quoting::split_args(line.as_bytes()).expect("a test's line is quoted well");
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            request.extend_from_slice(&word);
            request.extend_from_slice(b"\r\n");
        }
        self.send(client, &request);
        self.receive(client)
    }

    /// The same, printed as redis-cli prints it without a terminal, without the last line's end.
    pub(crate) fn say(&mut self, client: Client, line: &str) -> String {
        let reply = self.call(client, line);
        let mut rest = reply.as_str();
        let mut lines = Vec::new();
        while !rest.is_empty() {
            print(&mut rest, &mut lines);
        }
        lines.join("\n")
    }

    /// From now on a client reads nothing, or again everything that waits for it.
    pub(crate) fn stall(&mut self, client: Client, stalled: bool) {
        self.wires[client.0].stalled = stalled;
        if !stalled {
            let (core, conn) = (self.wires[client.0].core, self.wires[client.0].conn);
            self.take_output(core, conn);
            self.rest();
        }
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, client: Client, bytes: &[u8]) {
        self.wires[client.0].input.extend_from_slice(bytes);
        self.present(client.0);
        self.rest();
    }

    /// The same, and says no more, before the core has gone on.
    pub(crate) fn send_last(&mut self, client: Client, bytes: &[u8]) {
        let wire = &mut self.wires[client.0];
        wire.input.extend_from_slice(bytes);
        let (core, conn) = (wire.core, wire.conn);
        self.present(client.0);
        self.give(core, Event::Ended { conn });
    }

    /// What has come since the last look.
    pub(crate) fn receive(&mut self, client: Client) -> String {
        String::from_utf8_lossy(&self.receive_bytes(client)).into_owned()
    }

    /// The same, as bytes.
    pub(crate) fn receive_bytes(&mut self, client: Client) -> Vec<u8> {
        std::mem::take(&mut self.wires[client.0].output)
    }

    /// False once the server has closed the connection.
    pub(crate) fn is_open(&self, client: Client) -> bool {
        self.wires[client.0].open
    }

    /// The client hangs up.
    pub(crate) fn hang_up(&mut self, client: Client) {
        let wire = &mut self.wires[client.0];
        wire.open = false;
        let (core, conn) = (wire.core, wire.conn);
        self.give(core, Event::Closed { conn });
    }

    /// Background work of all cores, so many slices at the most.
    pub(crate) fn work(&mut self, slices: usize) {
        for n in 0..self.engines.len() {
            for _ in 0..slices {
                if self.engines[n].has_background() {
                    self.give(CoreId(n as u16), Event::Slice { steps: 16 });
                }
            }
        }
    }

    /// Lets time pass; whoever has a deadline within is woken at it.
    pub(crate) fn pass(&mut self, millis: u64) {
        let end = self.now.mono.after_millis(millis);
        for _ in 0..EFFECTS_MAX {
            let next = self.engines.iter().map(Engine::deadline).enumerate().min_by_key(|(_, at)| *at);
            let Some((core, at)) = next.filter(|(_, at)| *at <= end) else {
                self.advance(end);
                return;
            };
            self.advance(at.max(self.now.mono));
            self.give(CoreId(core as u16), Event::Wake);
        }
        panic!("a core wants to be woken again and again");
    }

    fn advance(&mut self, to: Instant) {
        self.now.unix_micros += (to.0 - self.now.mono.0) / 1_000;
        self.now.mono = to;
    }

    /// The operations on files that nobody has answered, in order.
    pub(crate) fn disk_requests(&mut self) -> Vec<(CoreId, OperationId, DiskRequest)> {
        let mut found = Vec::new();
        self.kept.retain(|(core, effect)| match effect {
            Effect::Disk { operation, request } => {
                found.push((*core, *operation, request.clone()));
                false
            }
            _ => true,
        });
        found
    }

    /// Carries out the operations on files that nobody has answered, one core after the other, until there is nothing to do.
    pub(crate) fn settle_files(&mut self) {
        for _ in 0..1_000 {
            let requests = self.disk_requests();
            if requests.is_empty() && !self.engines.iter().any(Engine::has_background) {
                return;
            }
            if requests.is_empty() {
                self.work(4);
            }
            for (core, operation, request) in requests {
                let outcome = self.touch_files(request);
                self.end_disk(core, operation, outcome);
            }
        }
        panic!("the cores never have done with files");
    }

    /// Carries out one of them.
    pub(crate) fn touch_files(&mut self, request: DiskRequest) -> DiskOutcome {
        let content = |path: &str, at: usize, len: usize, mut into: Vec<u8>| {
            let Some(file) = self.files.get(path) else { return DiskOutcome::Missing };
            let rest = file.get(at..).unwrap_or_default();
            into.extend_from_slice(&rest[..len.min(rest.len())]);
            DiskOutcome::Content(into)
        };
        match request {
            DiskRequest::Read { path } => return content(&path, 0, usize::MAX, Vec::new()),
            DiskRequest::ReadAt { path, at, len, into } => {
                return content(&path, at as usize, len, into);
            }
            DiskRequest::Replace { path, bytes } => drop(self.files.insert(path, bytes)),
            DiskRequest::Create { path, .. } => drop(self.files.insert(path, Vec::new())),
            DiskRequest::Append { path, parts } => {
                self.files.entry(path).or_default().extend_from_slice(&parts.concat());
            }
            DiskRequest::Publish { from, to } => {
                let file = self.files.remove(&from).unwrap_or_default();
                self.files.insert(to, file);
            }
            DiskRequest::Remove { path } => drop(self.files.remove(&path)),
            DiskRequest::Sync { .. } => {}
        }
        DiskOutcome::Done
    }

    /// The connection that was asked for last: to whom, and what is said.
    pub(crate) fn dialed(&mut self) -> Option<(String, Vec<u8>)> {
        self.kept.iter().rev().find_map(|(_, effect)| match effect {
            Effect::Dial { host, port, bytes, .. } => Some((format!("{host}:{port}"), bytes.clone())),
            _ => None,
        })
    }

    /// Something happens on the oldest connection that is still there.
    pub(crate) fn answer(&mut self, news: LinkNews) {
        let links = self.kept.iter().filter_map(|(core, effect)| match effect {
            Effect::Dial { link, .. } => Some((*core, *link)),
            _ => None,
        });
        let first = links.into_iter().next();
        if let Some((core, link)) = first {
            self.give(core, Event::Heard { link, news });
        }
    }

    /// Ends an operation on files.
    pub(crate) fn end_disk(&mut self, core: CoreId, operation: OperationId, outcome: DiskOutcome) {
        self.give(core, Event::Disk { operation, outcome });
    }

    /// Bytes that are in logs.
    pub(crate) fn logged(&self) -> usize {
        self.logged
    }

    /// At rest no core waits for anything; what does, in words.
    pub(crate) fn unfinished(&self) -> Vec<String> {
        self.engines.iter().filter_map(Engine::unfinished).collect()
    }

    fn give(&mut self, core: CoreId, event: Event<'_>) {
        self.handle(core, event);
        self.rest();
    }

    fn handle(&mut self, core: CoreId, event: Event<'_>) -> usize {
        let mut out = Effects::default();
        let engine = &mut self.engines[core.index()];
        let consumed = engine.handle(self.now, event, &mut out);
        while let Some(LogFlush { path, bytes, .. }) = engine.log_flush() {
            let fails = self.fails_on.is_none_or(|fails| fails == core.0);
            let failure = self.log_failure.clone().filter(|_| fails);
            let is_over = failure.is_some();
            if !is_over {
                self.files.entry(path.to_string()).or_default().extend_from_slice(bytes);
            }
            let bytes = if is_over { 0 } else { bytes.len() };
            self.logged += bytes;
            engine.handle(self.now, Event::LogWritten { bytes, failure }, &mut out);
            if is_over {
                break;
            }
        }
        // As in production: what follows from the writing of the log may be a transaction, too.
        let (first, undrawn) = (self.next_ticket, engine.undrawn());
        if undrawn > 0 {
            self.next_ticket += undrawn;
            engine.handle(self.now, Event::Tickets { first }, &mut out);
        }
        for mut effect in out.drain() {
            if let Effect::Send { message, .. } = &mut effect {
                message.stamp(first);
            }
            self.queue.push_back((core, effect));
        }
        consumed
    }

    /// Presents a client's bytes that are not consumed.
    fn present(&mut self, wire: usize) {
        if !self.wires[wire].open {
            return;
        }
        let (core, conn) = (self.wires[wire].core, self.wires[wire].conn);
        let input = std::mem::take(&mut self.wires[wire].input);
        let consumed = self.handle(core, Event::Bytes { conn, bytes: &input });
        self.wires[wire].input = input[consumed..].to_vec();
    }

    /// Carries out effects until there are none.
    pub(crate) fn rest(&mut self) {
        for _ in 0..EFFECTS_MAX {
            let Some((core, effect)) = self.next_effect() else {
                // Everything has arrived: whatever waits for that is stable.
                let Some(core) = self.engines.iter().position(Engine::has_unstable) else { return };
                self.handle(CoreId(core as u16), Event::Stable { below: self.next_ticket });
                continue;
            };
            self.carry_out(core, effect);
        }
        panic!("the cores never come to rest");
    }

    fn carry_out(&mut self, core: CoreId, effect: Effect) {
        match effect {
            Effect::TakeOutput { conn } => self.take_output(core, conn),
            Effect::PauseRead { .. } => {}
            Effect::ResumeRead { conn } => self.present(conn.index as usize),
            Effect::Close { conn } => {
                self.wires[conn.index as usize].open = false;
                self.handle(core, Event::Closed { conn });
            }
            Effect::Send { to, message } => {
                self.handle(to, Event::Message { from: core, message });
            }
            Effect::HangUp { link: over } => {
                let is_other =
                    |effect: &Effect| !matches!(effect, Effect::Dial { link, .. } if *link == over);
                self.kept.retain(|(on, effect)| *on != core || is_other(effect));
            }
            other => self.kept.push((core, other)),
        }
    }

    fn take_output(&mut self, core: CoreId, conn: ConnId) {
        let wire = &mut self.wires[conn.index as usize];
        if !wire.open || wire.stalled {
            return;
        }
        let before = wire.output.len();
        for slice in self.engines[core.index()].output(conn) {
            wire.output.extend_from_slice(slice);
        }
        let bytes = wire.output.len() - before;
        self.handle(core, Event::Sent { conn, bytes });
    }
}

/// Prints one reply as redis-cli does without a terminal.
fn print(rest: &mut &str, lines: &mut Vec<String>) {
    let (head, tail) = rest.split_once("\r\n").expect("a reply begins with a line");
    *rest = tail;
    let (kind, value) = head.split_at(1);
    let number = || value.parse::<i64>().expect("a length or a number");
    match kind {
        "$" | "=" if number() >= 0 => {
            let (text, tail) = rest.split_at(number() as usize);
            *rest = tail.strip_prefix("\r\n").expect("bytes end with a line end");
            lines.push(if kind == "=" { text[4..].into() } else { text.into() });
        }
        "*" | "~" | ">" | "%" if number() > 0 => {
            let parts = if kind == "%" { 2 * number() } else { number() };
            (0..parts).for_each(|_| print(rest, lines));
        }
        "$" | "*" | "_" | "~" | "%" | ">" => lines.push(String::new()),
        "#" => lines.push(if value == "t" { "true".into() } else { "false".into() }),
        _ => lines.push(value.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_talk_to_cores_and_cores_to_each_other() {
        let mut world = World::new(3);
        let clients: Vec<Client> = (0..3).map(|core| world.connect(core)).collect();
        for n in 0..30 {
            assert_eq!(world.call(clients[n % 3], &format!("SET key:{n} {n}")), "+OK\r\n");
        }
        for n in 0..30 {
            assert_eq!(world.say(clients[(n + 1) % 3], &format!("GET key:{n}")), n.to_string());
        }
        assert_eq!(world.call(clients[0], "DBSIZE"), ":30\r\n");
        assert!(world.engines.iter().all(|engine| engine.node().shard.keys() > 0));
        assert_eq!(world.unfinished(), [""; 0]);
    }

    #[test]
    fn time_passes_and_connections_end() {
        let mut world = World::with(2, |settings| settings.timeout = 10);
        let (idle, leaving) = (world.connect_from(1, Origin::Unix), world.connect(0));
        assert_eq!(world.say(leaving, "SET {a}1 x PX 1500"), "OK");
        world.pass(1_400);
        assert_eq!(world.say(leaving, "MGET {a}1 {a}2"), "x\n");
        world.pass(200);
        assert_eq!(world.say(leaving, "GET {a}1"), "");
        world.send(leaving, b"PING\r\nPI");
        assert_eq!(world.receive(leaving), "+PONG\r\n");
        world.hang_up(leaving);
        assert!(world.is_open(idle));
        world.pass(20_000);
        assert!(!world.is_open(idle) && !world.is_open(leaving));
        assert!(world.disk_requests().is_empty());
    }
}
