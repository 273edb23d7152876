//! Clients on threads against a server: records a history. Some are cut off in the middle of what they send.
//!
//! It knows sockets and the clock, and does not judge what it records.

use std::collections::BTreeMap;
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use super::carrier::{Carrier, Draft, encode_step, values};
use super::history::{History, Operation, Outcome, Transaction, Value};
use super::workload::{Keys, Mix};
use super::{Key, history};
use crate::Random;
use crate::reply::{Reply, encode};

/// One batch in so many ends with the connection cut off.
const CUT_EVERY: u64 = 60;
/// How long a reply may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long and with how many.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Where the server listens.
    pub server: SocketAddr,
    /// Threads, each with one connection.
    pub clients: u64,
    /// Ends after so many transactions,
    pub transactions: u64,
    /// or after this time.
    pub time: Duration,
    /// What is sent.
    pub mix: Mix,
    /// Of the choices. The interleaving is the machine's, so a seed does not replay a run.
    pub seed: u64,
}

/// What all clients share.
struct Shared {
    settings: Settings,
    prefix: String,
    keys: Keys,
    connections: AtomicU32,
    transactions: AtomicU64,
    stop: AtomicBool,
    began: Instant,
}

impl Shared {
    fn now(&self) -> history::Instant {
        self.began.elapsed().as_nanos() as history::Instant
    }
}

/// Runs the workload and looks at all keys at the end. Errors are what no server may say, and lost connections.
pub fn run(settings: Settings) -> Result<History, String> {
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_nanos());
    let shared = Shared {
        settings,
        // Keys of their own: a server that others use may be checked too.
        prefix: format!("append:{unix}:"),
        keys: Keys::new(),
        connections: AtomicU32::new(0),
        transactions: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        began: Instant::now(),
    };
    let mut control = Connection::open(&shared)?;
    let strangers = control.connected()?;
    let parts: Vec<Result<Vec<Transaction>, String>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..settings.clients)
            .map(|n| {
                scope.spawn({
                    let shared = &shared;
                    move || client(shared, n)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a client does not panic")).collect()
    });
    let mut history = History::default();
    for part in parts {
        history.transactions.extend(part?);
    }
    history.last = Some(control.last(&shared, strangers)?);
    control.remove(&shared)?;
    Ok(history)
}

/// One client until the end of the run; connects again whenever it was cut off.
fn client(shared: &Shared, number: u64) -> Result<Vec<Transaction>, String> {
    let mut random = Random::new(shared.settings.seed.wrapping_mul(1_000).wrapping_add(number));
    let (mut connection, mut recorded) = (Connection::open(shared)?, Vec::new());
    while !shared.stop.load(Ordering::Relaxed) {
        let drafts = shared.keys.batch(shared.settings.mix, &mut random);
        let count = drafts.len() as u64;
        match connection.batch(shared, drafts, &mut random, &mut recorded) {
            Ok(true) => {}
            Ok(false) => connection = Connection::open(shared)?,
            Err(error) => {
                shared.stop.store(true, Ordering::Relaxed);
                return Err(error);
            }
        }
        let done = shared.transactions.fetch_add(count, Ordering::Relaxed) + count;
        if done >= shared.settings.transactions || shared.began.elapsed() >= shared.settings.time {
            shared.stop.store(true, Ordering::Relaxed);
        }
    }
    Ok(recorded)
}

struct Connection {
    stream: BufReader<TcpStream>,
    number: u32,
}

impl Connection {
    fn open(shared: &Shared) -> Result<Connection, String> {
        let stream = TcpStream::connect(shared.settings.server).map_err(text)?;
        stream.set_nodelay(true).map_err(text)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(text)?;
        let number = shared.connections.fetch_add(1, Ordering::Relaxed);
        Ok(Connection { stream: BufReader::new(stream), number })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.stream.get_mut().write_all(bytes).map_err(text)
    }

    fn read(&mut self, replies: usize) -> Result<Vec<Reply>, String> {
        (0..replies).map(|_| Reply::read(&mut self.stream).map_err(text)).collect()
    }

    /// Sends a batch and records it; false if the connection has been cut off on purpose.
    fn batch(
        &mut self,
        shared: &Shared,
        mut drafts: Vec<Draft>,
        random: &mut Random,
        recorded: &mut Vec<Transaction>,
    ) -> Result<bool, String> {
        let invoked = shared.now();
        let mut record = |draft: Draft, number, completed, outcome| {
            let carrier = draft.carrier.name();
            let operations = draft.operations;
            recorded.push(Transaction {
                connection: number,
                carrier,
                invoked,
                completed,
                outcome,
                operations,
            });
        };
        if drafts[0].carrier == Carrier::Torn {
            let mut draft = drafts.remove(0);
            let replies = self.one_by_one(shared, &draft)?;
            let outcome = draft.take(&replies)?;
            record(draft, self.number, shared.now(), outcome);
            return Ok(true);
        }
        let mut request = Vec::new();
        if drafts[0].carrier.watched() > 0 {
            drafts[0].encode_watch(&shared.prefix, &mut request);
            self.write(&request)?;
            let replies = self.read(1 + drafts[0].carrier.watched())?;
            drafts[0].take_watch(&replies)?;
            request.clear();
        }
        // Per transaction where its bytes end, and how many replies it has.
        let mut ends = Vec::new();
        for draft in &drafts {
            let replies = draft.encode(&shared.prefix, &mut request);
            ends.push((request.len(), replies));
        }
        let (mut sent, mut answered) = (request.len(), drafts.len());
        let cut = random.one_in(CUT_EVERY);
        if cut {
            // Half of the time everything is sent, so that what is unknown mostly happens.
            sent = if random.one_in(2) { sent } else { random.below(sent as u64 + 1) as usize };
            let whole = ends.iter().filter(|(end, _)| *end <= sent).count();
            answered = random.below(whole as u64 + 1) as usize;
        }
        self.write(&request[..sent])?;
        for (at, (mut draft, (end, replies))) in drafts.into_iter().zip(ends).enumerate() {
            if at < answered {
                let replies = self.read(replies)?;
                let outcome = draft.take(&replies)?;
                record(draft, self.number, shared.now(), outcome);
            } else {
                // Without its last byte a transaction cannot have been executed.
                let outcome = if end <= sent { Outcome::Unknown } else { Outcome::Failed };
                record(draft, self.number, history::Instant::MAX, outcome);
            }
        }
        Ok(!cut)
    }

    /// Every step waits for the reply to the one before.
    fn one_by_one(&mut self, shared: &Shared, draft: &Draft) -> Result<Vec<Reply>, String> {
        let mut replies = Vec::new();
        for step in &draft.operations {
            let mut request = Vec::new();
            encode_step(&shared.prefix, step, &mut request);
            self.write(&request)?;
            replies.extend(self.read(1)?);
        }
        Ok(replies)
    }

    /// How many connections the server has.
    fn connected(&mut self) -> Result<u64, String> {
        let mut request = Vec::new();
        encode(&mut request, &["INFO", "clients"]);
        self.write(&request)?;
        let reply = &self.read(1)?[0];
        let line = reply
            .text()
            .and_then(|text| text.lines().find_map(|line| line.strip_prefix("connected_clients:")));
        line.and_then(|count| count.trim().parse().ok()).ok_or_else(|| format!("INFO clients says {reply:?}"))
    }

    /// All keys when nothing can change any more: the server has seen all clients go, and two looks agree.
    fn last(&mut self, shared: &Shared, strangers: u64) -> Result<BTreeMap<Key, Vec<Value>>, String> {
        let until = Instant::now() + Duration::from_secs(10);
        while self.connected()? > strangers && Instant::now() < until {}
        let mut before = self.look(shared)?;
        loop {
            let after = self.look(shared)?;
            if before == after {
                return Ok(after);
            }
            before = after;
        }
    }

    fn look(&mut self, shared: &Shared) -> Result<BTreeMap<Key, Vec<Value>>, String> {
        let mut found = BTreeMap::new();
        for keys in shared.keys.all(shared.settings.mix).chunks(50) {
            let mut request = Vec::new();
            keys.iter().for_each(|key| {
                encode_step(&shared.prefix, &Operation::Read(*key, None), &mut request);
            });
            self.write(&request)?;
            for (key, reply) in keys.iter().zip(self.read(keys.len())?) {
                found.insert(*key, values(*key, &reply)?);
            }
        }
        Ok(found)
    }

    fn remove(&mut self, shared: &Shared) -> Result<(), String> {
        for key in shared.keys.all(shared.settings.mix) {
            let mut request = Vec::new();
            encode(&mut request, &["DEL".to_string(), format!("{}{key}", shared.prefix)]);
            self.write(&request)?;
            self.read(1)?;
        }
        Ok(())
    }
}

fn text(error: std::io::Error) -> String {
    format!("the connection was lost: {error}")
}
