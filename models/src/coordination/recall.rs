//! What engines did: an engine that stands as one stood before, told the same, does the same, so it is asked once.
//!
//! A state of the model names engines, messages and texts by numbers; here they are. Everything that happens to an engine happens in
//! [`Recall::step`], by production code on a clone. It does not know what the model makes of it.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, RwLock};

use darter_core::event::{ConnId, CoreId, Door, Effect, Effects, Event, Origin, Peer};
use darter_core::message::Message;
use darter_core::node::Applied;
use darter_core::time::{Instant, Now, UnixMillis};
use darter_core::txn::intent::{Fingerprint, Intents, Mode};
use darter_core::{Engine, EngineConfig};

use super::met::{Met, Situation};
use super::program::{Keys, Op, Touched};

/// An engine, by its number.
pub type EngineId = u32;
/// A message, by its number.
pub type MessageId = u32;
/// What a client has heard, by its number.
pub type TextId = u32;

/// An engine, and what is asked of it often.
pub struct Known {
    /// The engine; nobody changes it.
    pub engine: Engine,
    /// Tickets that are to be drawn.
    pub undrawn: u64,
    /// It wants to learn what is stable.
    pub has_unstable: bool,
    /// Tickets of transactions that wait here, the lowest first.
    pub tickets: Vec<u64>,
    /// What is left of work that should be over.
    pub unfinished: Option<String>,
    /// Rounds of WATCH whose keys lie here.
    pub watchers: usize,
    /// What transactions touch that wait here.
    pub waiting: Vec<Touched>,
}

/// What an engine is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// A request of a client arrives, from a byte on.
    Say {
        /// Which request.
        op: u8,
        /// What of it was consumed before.
        from: u16,
    },
    /// A client is gone.
    Gone(u8),
    /// A message of another core.
    Message {
        /// The sender.
        from: u8,
        /// The message.
        message: MessageId,
    },
    /// Tickets were drawn.
    Tickets(u64),
    /// Everything below is stable.
    Stable(u64),
    /// Its deadline has come.
    Wake,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The engine from now on.
    pub engine: EngineId,
    /// What it sends.
    pub sends: Vec<(u8, MessageId)>,
    /// What clients hear.
    pub heard: Vec<(u8, Vec<u8>)>,
    /// Clients whose rest is to be presented again.
    pub resumed: Vec<u8>,
    /// What ran.
    pub applied: Vec<Applied>,
    /// By which instant the shard has judged expiry at each of those.
    pub judged: Vec<UnixMillis>,
    /// Bytes that were consumed.
    pub consumed: u16,
    /// The client waits for one more reply.
    pub awaits: bool,
    /// An assertion does not hold.
    pub broke: bool,
}

/// A table of things and their numbers.
struct Numbered<K, V> {
    numbers: HashMap<K, u32>,
    things: Vec<V>,
}

impl<K, V> Default for Numbered<K, V> {
    fn default() -> Self {
        Numbered { numbers: HashMap::new(), things: Vec::new() }
    }
}

impl<K: Hash + Eq, V> Numbered<K, V> {
    fn number(&mut self, key: K, thing: impl FnOnce() -> V) -> u32 {
        let next = self.things.len() as u32;
        *self.numbers.entry(key).or_insert_with(|| {
            self.things.push(thing());
            next
        })
    }
}

/// How the clocks stand before and after they have moved on; then the wall clock is set back a little.
pub const MOMENTS: [Now; 3] = [
    Now { mono: Instant(1_000_000_000), unix_micros: 1_700_000_000_000_000 },
    Now { mono: Instant(2_000_000_000), unix_micros: 1_700_000_001_000_000 },
    Now { mono: Instant(3_000_000_000), unix_micros: 1_700_000_000_400_000 },
];

/// Everything that is known.
pub struct Recall {
    keys: Keys,
    fingerprints: Vec<(u8, Fingerprint)>,
    ops: Arc<[Op]>,
    engines: RwLock<Numbered<u64, Arc<Known>>>,
    messages: RwLock<Numbered<Message, Arc<Message>>>,
    texts: RwLock<Numbered<Vec<u8>, Arc<Vec<u8>>>>,
    steps: RwLock<HashMap<(EngineId, u8, Input), Arc<Outcome>>>,
    /// Situations that were met.
    pub met: Met,
}

const POISON: &str = "nobody panics with the table in hand";

impl Recall {
    /// Nothing yet.
    pub fn new(keys: Keys, ops: Arc<[Op]>) -> Recall {
        let hasher = darter_core::hash::KeyHasher::new(crate::state::HASH_SEEDS);
        let fingerprints = keys
            .all()
            .map(|key| (key, Fingerprint::new(0, hasher.hash(keys.name(key).as_bytes()))))
            .collect();
        Recall {
            keys,
            fingerprints,
            ops,
            engines: RwLock::default(),
            messages: RwLock::default(),
            texts: RwLock::default(),
            steps: RwLock::default(),
            met: Met::default(),
        }
    }

    /// A new engine with its clients, each by its number, and with a value under each of its keys.
    pub fn engine(&self, config: EngineConfig, clients: &[u8], is_filled: bool) -> EngineId {
        let mut engine = Engine::new(config);
        let mut out = Effects::default();
        let open = |engine: &mut Engine, client: u8, out: &mut Effects| {
            let peer = Peer {
                address: format!("client:{client}"),
                local: "model:0".into(),
                origin: Origin::Loopback,
                descriptor: i32::from(client),
            };
            let opened = Event::Opened { conn: conn_of(client), peer, clients: 1, door: Door::Redis };
            engine.handle(MOMENTS[0], opened, out);
        };
        clients.iter().for_each(|client| open(&mut engine, *client, &mut out));
        if is_filled {
            // Somebody who is gone again has left it.
            let filler = u8::MAX;
            open(&mut engine, filler, &mut out);
            let conn = conn_of(filler);
            let (me, is_alone) = (engine.node().core.0, engine.node().cores == 1);
            for key in self.keys.all().filter(|key| is_alone || self.keys.shard(*key) == me) {
                let request = first_value(&self.keys, key);
                engine.handle(MOMENTS[0], Event::Bytes { conn, bytes: &request }, &mut out);
            }
            engine.handle(MOMENTS[0], Event::Closed { conn }, &mut out);
        }
        engine.node_mut().keep_journal();
        self.keep(engine)
    }

    /// The keys of its world.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// An engine.
    pub fn known(&self, engine: EngineId) -> Arc<Known> {
        Arc::clone(&self.engines.read().expect(POISON).things[engine as usize])
    }

    /// How many different engines there were, and how many steps.
    pub fn counts(&self) -> (usize, usize) {
        (self.engines.read().expect(POISON).things.len(), self.steps.read().expect(POISON).len())
    }

    /// A message.
    pub fn message(&self, message: MessageId) -> Arc<Message> {
        Arc::clone(&self.messages.read().expect(POISON).things[message as usize])
    }

    /// A message's number.
    pub fn number_of(&self, message: Message) -> MessageId {
        if let Some(number) = self.messages.read().expect(POISON).numbers.get(&message) {
            return *number;
        }
        let shared = Arc::new(message.clone());
        self.messages.write().expect(POISON).number(message, || shared)
    }

    /// What a client has heard.
    pub fn text(&self, text: TextId) -> Arc<Vec<u8>> {
        Arc::clone(&self.texts.read().expect(POISON).things[text as usize])
    }

    /// The number of a text.
    pub fn text_of(&self, text: Vec<u8>) -> TextId {
        if let Some(number) = self.texts.read().expect(POISON).numbers.get(&text) {
            return *number;
        }
        let shared = Arc::new(text.clone());
        self.texts.write().expect(POISON).number(text, || shared)
    }

    /// Lets an engine handle an event, the effects for its clients included.
    pub fn step(&self, engine: EngineId, moment: u8, input: Input) -> Arc<Outcome> {
        let key = (engine, moment, input);
        if let Some(outcome) = self.steps.read().expect(POISON).get(&key) {
            return Arc::clone(outcome);
        }
        let outcome = Arc::new(self.run(engine, moment, input));
        let mut steps = self.steps.write().expect(POISON);
        Arc::clone(steps.entry(key).or_insert(outcome))
    }

    fn run(&self, id: EngineId, moment: u8, input: Input) -> Outcome {
        let before = self.known(id);
        let mut engine = before.engine.clone();
        let mut outcome = Outcome { engine: id, ..Outcome::default() };
        let ran = catch_unwind(AssertUnwindSafe(|| self.handle(&mut engine, moment, input, &mut outcome)));
        if ran.is_err() {
            outcome.broke = true;
            return outcome;
        }
        let journal = engine.node_mut().take_journal().into_iter();
        (outcome.applied, outcome.judged) = journal.map(|noted| (noted.applied, noted.judged)).unzip();
        if let Input::Message { .. } = input {
            self.met.compare(&before.engine, &engine);
        }
        if let Input::Say { .. } = input {
            self.met.compare(&before.engine, &engine);
        }
        outcome.engine = self.keep(engine);
        outcome
    }

    fn handle(&self, engine: &mut Engine, moment: u8, input: Input, outcome: &mut Outcome) {
        let (now, mut out) = (MOMENTS[usize::from(moment)], Effects::default());
        match input {
            Input::Say { op, from } => {
                let op = &self.ops[usize::from(op)];
                let conn = conn_of(op.client as u8);
                let awaited = |engine: &Engine| {
                    let session = engine.sessions().iter().find(|session| session.conn == conn);
                    session.map_or(0, darter_core::session::Session::in_flight)
                };
                let before = awaited(engine);
                let bytes = &op.bytes[usize::from(from)..];
                outcome.consumed = engine.handle(now, Event::Bytes { conn, bytes }, &mut out) as u16;
                outcome.awaits = awaited(engine) > before;
            }
            Input::Gone(client) => {
                engine.handle(now, Event::Closed { conn: conn_of(client) }, &mut out);
            }
            Input::Message { from, message } => {
                let message = Message::clone(&self.message(message));
                let from = CoreId(u16::from(from));
                engine.handle(now, Event::Message { from, message }, &mut out);
            }
            Input::Tickets(first) => {
                engine.handle(now, Event::Tickets { first }, &mut out);
            }
            Input::Stable(below) => {
                engine.handle(now, Event::Stable { below }, &mut out);
            }
            Input::Wake => {
                engine.handle(now, Event::Wake, &mut out);
            }
        }
        loop {
            let effects: Vec<Effect> = out.drain().collect();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                match effect {
                    Effect::Send { to, message } => {
                        outcome.sends.push((to.0 as u8, self.number_of(message)));
                    }
                    // Whoever hears at once hears first: nobody could see more, nor say it earlier.
                    Effect::TakeOutput { conn } => {
                        let bytes: Vec<u8> = engine.output(conn).flatten().copied().collect();
                        engine.handle(now, Event::Sent { conn, bytes: bytes.len() }, &mut out);
                        outcome.heard.push((conn.index as u8, bytes));
                    }
                    Effect::ResumeRead { conn } => outcome.resumed.push(conn.index as u8),
                    Effect::PauseRead { .. } | Effect::Log { .. } => {}
                    other => panic!("nobody asks for {other:?} here"),
                }
            }
        }
    }

    fn keep(&self, engine: Engine) -> EngineId {
        let mut hasher = DefaultHasher::new();
        engine.node().core.hash(&mut hasher);
        engine.digest(&mut hasher);
        let digest = hasher.finish();
        if let Some(number) = self.engines.read().expect(POISON).numbers.get(&digest) {
            return *number;
        }
        let known = Arc::new(self.look(engine));
        self.engines.write().expect(POISON).number(digest, || known)
    }

    fn look(&self, engine: Engine) -> Known {
        let queue = &engine.node().queue;
        let shown = queue.shown();
        let transactions: Vec<_> = shown.iter().filter(|entry| !entry.is_direct).collect();
        let has_chain = transactions.iter().enumerate().any(|(n, last)| {
            let middles = transactions[..n]
                .iter()
                .enumerate()
                .filter(|(_, middle)| !middle.is_held && middle.intents.conflicts(last.intents));
            let mut middles = middles;
            !last.is_held
                && middles.any(|(m, middle)| {
                    transactions[..m].iter().any(|first| first.intents.conflicts(middle.intents))
                })
        });
        if has_chain {
            self.met.meet(Situation::Chain);
        }
        let waiting = transactions.iter().filter(|entry| !entry.is_held);
        let waiting = waiting.map(|entry| self.touched(entry.intents)).collect();
        Known {
            undrawn: engine.undrawn(),
            has_unstable: engine.has_unstable(),
            tickets: transactions.iter().filter(|entry| !entry.is_held).filter_map(|e| e.ticket).collect(),
            unfinished: engine.unfinished(),
            watchers: engine.node().shard.watchers(),
            waiting,
            engine,
        }
    }

    /// What intents are about, as far as keys of the world go.
    fn touched(&self, intents: &Intents) -> Touched {
        let mut touched = Touched::default();
        for (key, fingerprint) in &self.fingerprints {
            match intents.whole.or(intents.mode_of(*fingerprint)) {
                Some(Mode::Shared) => touched.reads |= 1 << key,
                Some(Mode::Exclusive) => touched.writes |= 1 << key,
                None => {}
            }
        }
        touched
    }
}

/// A client's connection: it has one, so that its number names it.
pub fn conn_of(client: u8) -> ConnId {
    ConnId { index: u32::from(client), generation: 0 }
}

/// How a key gets its first value.
pub fn first_value(keys: &Keys, key: u8) -> Vec<u8> {
    format!("SET {} {key}:\r\n", keys.name(key)).into_bytes()
}
