//! The model: cores with a log and snapshots, clients, and at every state the question what would be there if everything ended now.
//!
//! A turn is one event: what it has changed is in the log before anything of it leaves. Operations on files take as long as they like.
//! It forwards messages and never looks into them.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use darter_core::Engine;
use darter_core::aof::pen::{LogFlush, SyncPolicy};
use darter_core::config::Settings;
use darter_core::event::{
    ConnId, CoreId, DiskRequest, Door, Effect, Effects, Event, OperationId, Origin, Peer,
};
use darter_core::message::Message;
use darter_core::time::{Instant, Now};
use darter_core::txn::stability::{SingleThreaded, Tickets};
use stateright::{Model, Property};

use crate::state::digest;

use super::files::{self, Content, Files, Recoveries, Verdict};

/// When cores start: no mark is due then.
pub const BEFORE: Now = Now { mono: Instant(500_000_000), unix_micros: 1_700_000_000_000_000 };
/// The only instant after that where one is due.
pub const NOW: Now = Now { mono: Instant(1_000_000_000), unix_micros: 1_700_000_000_000_000 };
/// When a core tries again what it could not write before.
const LATER: Now = Now { mono: Instant(2_000_000_000), unix_micros: 1_700_000_001_000_000 };
/// Why it could not.
const FULL: &str = "No space left on device";
/// How often a core looks because its deadline has come.
const WAKES_MAX: u8 = 1;
/// Buckets of a step of background work: a walk takes a few.
const SLICE_STEPS: u32 = 40;

/// What cores are told at the start: with a log or without.
pub fn settings(policy: Option<SyncPolicy>) -> Settings {
    let mut settings = Settings { databases: 1, latency_tracking: false, ..Settings::default() };
    settings.save.clear();
    settings.auto_aof_rewrite_percentage = 0;
    settings.appendonly = policy.is_some();
    settings.appendfsync = policy.unwrap_or_default();
    settings
}

/// What a client says, one request after the reply to the other.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its core.
    pub core: u16,
    /// Its requests.
    pub says: Vec<String>,
}

/// The model.
#[derive(Clone)]
pub struct Persistence {
    /// How many cores.
    pub cores: u16,
    /// The log, if there is one.
    pub policy: Option<SyncPolicy>,
    /// Who says what.
    pub clients: Vec<Client>,
    /// A mark is due from the beginning on.
    pub is_marked: bool,
    /// A core whose log cannot be written for a while.
    pub fails: Option<u16>,
    /// Situations that must be met.
    pub sometimes: Vec<&'static str>,
    /// What was read back before.
    pub recoveries: Arc<Recoveries>,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A client says what is next.
    Say(u8),
    /// A core handles the next message of another.
    Receive(u8, u8),
    /// A core learns what is stable.
    Settle(u8),
    /// A core's next operation on files is carried out.
    Operate(u8),
    /// A step of background work.
    Slice(u8),
    /// A core's deadline has come.
    Wake(u8),
    /// The log that may fail has no room any more, or has again, a second later.
    Turn(Room),
}

/// Room for a core's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Room {
    /// As much as is wanted, as yet.
    Enough,
    /// None.
    None,
    /// As much as is wanted again.
    Again,
}

/// One state.
#[derive(Clone)]
pub struct State {
    now: Now,
    engines: Vec<Engine>,
    /// To, from.
    rings: Vec<Vec<VecDeque<Message>>>,
    tickets: Tickets<SingleThreaded>,
    files: Files,
    operations: Vec<VecDeque<(OperationId, DiskRequest)>>,
    said: Vec<usize>,
    heard: Vec<Vec<Vec<u8>>>,
    wakes: Vec<u8>,
    room: Room,
    fails: Option<usize>,
    wrong: Option<String>,
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.engines.iter().for_each(|engine| engine.digest(hasher));
        (&self.rings, &self.tickets, &self.files, &self.operations).hash(hasher);
        (&self.said, &self.heard, &self.wakes, &self.room, &self.wrong).hash(hasher);
    }
}

impl PartialEq for State {
    fn eq(&self, other: &State) -> bool {
        digest(self) == digest(other)
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("said", &self.said).field("heard", &self.heard).finish_non_exhaustive()
    }
}

impl State {
    fn handle(&mut self, core: usize, event: Event<'_>) {
        let now = self.now;
        let mut effects = Effects::default();
        let is_full = self.room == Room::None && self.fails == Some(core);
        let engine = &mut self.engines[core];
        if catch_unwind(AssertUnwindSafe(|| engine.handle(now, event, &mut effects))).is_err() {
            self.wrong = Some("an assertion does not hold".into());
            return;
        }
        while let Some(LogFlush { path, bytes, durability }) = engine.log_flush() {
            if is_full {
                let failure = Some(FULL.to_string());
                engine.handle(now, Event::LogWritten { bytes: 0, failure }, &mut effects);
                break;
            }
            files::add(&mut self.files, path, bytes, durability);
            let bytes = bytes.len();
            engine.handle(now, Event::LogWritten { bytes, failure: None }, &mut effects);
        }
        let (id, undrawn) = (CoreId(core as u16), engine.undrawn());
        let first = (undrawn > 0).then(|| {
            self.tickets.announce(id);
            let first = self.tickets.draw(id, undrawn);
            engine.handle(now, Event::Tickets { first }, &mut effects);
            self.tickets.pushed(id);
            first
        });
        for effect in effects.drain() {
            match effect {
                Effect::Send { to, mut message } => {
                    if let Some(first) = first {
                        message.stamp(first);
                    }
                    self.rings[to.index()][core].push_back(message);
                }
                Effect::Disk { operation, request } => self.operations[core].push_back((operation, request)),
                Effect::Fail { text } | Effect::Abort { text } => self.wrong = Some(text),
                _ => {}
            }
        }
        for client in 0..self.heard.len() {
            let conn = conn(client);
            let said: Vec<u8> = self.engines[core].output(conn).flatten().copied().collect();
            if !said.is_empty() {
                let bytes = said.len();
                self.heard[client].push(said);
                self.handle(core, Event::Sent { conn, bytes });
            }
        }
    }

    fn is_over(&self) -> bool {
        self.engines.iter().all(|engine| engine.unfinished().is_none())
    }
}

fn conn(client: usize) -> ConnId {
    ConnId { index: client as u32, generation: 0 }
}

/// A snapshot is there.
pub const SAVED: &str = "a snapshot is there";
/// And holds what the clients have changed meanwhile.
pub const SAVED_LATE: &str = "a snapshot holds a change that came while it was asked for";
/// What was said is lost with the power, and nobody was promised anything else.
pub const LOST: &str = "a loss of power takes what was acknowledged";
/// The logs have been written anew.
pub const REWRITTEN: &str = "the manifest names a snapshot";
/// A part of a transaction is in a log, and does not count.
pub const PARTIAL: &str = "a kill takes a transaction whose parts are written";
/// A transaction is done, and nobody is told before the log has it.
pub const HELD: &str = "a core keeps back what its log does not have";
/// Everybody has heard everything and nothing is under way.
pub const OVER: &str = "everybody is done";

/// What a content tells of the requests of these scenarios: `x` and `y` are set at once, `z` to the same when that was heard.
fn number(content: &Content, key: &str) -> u64 {
    content
        .iter()
        .find(|(name, _)| name.starts_with(key))
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0)
}

/// The pair is whole, and what came later is not there without it.
fn is_one_moment(content: &Content) -> bool {
    number(content, "x") == number(content, "y") && number(content, "z") <= number(content, "x")
}

impl Persistence {
    /// Requests that count as acknowledged: `durable` ones only if somebody was told so.
    fn acknowledged(&self, state: &State, durable: bool) -> Content {
        let mut content = Content::new();
        let is_told = |client: usize| {
            let of = &self.clients[client].says;
            state.heard[client]
                .iter()
                .zip(of)
                .any(|(reply, says)| says.starts_with("WAITAOF") && reply.starts_with(b"*2\r\n:1"))
        };
        for (client, Client { says, .. }) in self.clients.iter().enumerate() {
            if durable && !is_told(client) {
                continue;
            }
            let until =
                says.iter().position(|says| durable && says.starts_with("WAITAOF")).unwrap_or(says.len());
            let heard = state.heard[client].iter();
            // Who was told that there is no room was promised nothing.
            let done = says[..until].iter().zip(heard).filter(|(_, reply)| !reply.starts_with(b"-MISCONF"));
            for (says, _) in done {
                let words: Vec<&str> = says.split(' ').collect();
                for pair in words[1..].chunks(2).filter(|_| matches!(words[0], "SET" | "MSET")) {
                    content.insert(pair[0].into(), pair[1].into());
                }
            }
        }
        content
    }

    /// What all endings of this state come to.
    fn verdict(&self, state: &State) -> Verdict {
        let acknowledged = self.acknowledged(state, false);
        let Some(policy) = self.policy else {
            return Verdict { is_readable: true, is_one_moment: true, is_kept: true, is_lossy: false };
        };
        let is_always = policy == SyncPolicy::Always;
        let promised = if is_always { acknowledged.clone() } else { self.acknowledged(state, true) };
        let (all, kept) = (acknowledged.clone(), promised.clone());
        self.recoveries.judge(&state.files, acknowledged, promised, || {
            let mut endings = vec![(self.recoveries.of(&state.files, true, true), &all)];
            for files in files::after_power_loss(&state.files) {
                endings.push((self.recoveries.of(&files, false, true), &kept));
            }
            let has = |back: &Content, kept: &Content| {
                kept.keys().all(|key| number(back, key) >= number(kept, key))
            };
            let each = |holds: &dyn Fn(&Content, &Content) -> bool| {
                endings.iter().all(|(back, kept)| back.as_ref().is_ok_and(|back| holds(back, kept)))
            };
            Verdict {
                is_readable: each(&|_, _| true),
                is_one_moment: each(&|back, _| is_one_moment(back)),
                is_kept: each(&|back, kept| has(back, kept)),
                is_lossy: !each(&|back, _| has(back, &all)),
            }
        })
    }

    fn dump(&self, state: &State) -> Option<Result<Content, String>> {
        state.files.contains_key("./dump.rdb").then(|| {
            let dump = state.files.iter().filter(|(path, _)| path.ends_with("dump.rdb"));
            let files = dump.map(|(path, file)| (path.clone(), file.clone())).collect();
            self.recoveries.of(&files, true, false)
        })
    }
}

impl Model for Persistence {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let settings = settings(self.policy);
        let mut engines: Vec<Engine> = (0..self.cores)
            .map(|core| files::engine(core, self.cores, &settings, files::FIRST, self.policy.is_some()))
            .collect();
        let mut files = Files::new();
        let wrong = self.policy.and_then(|_| files::start(&mut engines, &mut files).err());
        let cores = usize::from(self.cores);
        let mut state = State {
            now: if self.is_marked { NOW } else { BEFORE },
            engines,
            rings: vec![vec![VecDeque::new(); cores]; cores],
            tickets: Tickets::new(self.cores),
            files,
            operations: vec![VecDeque::new(); cores],
            said: vec![0; self.clients.len()],
            heard: vec![Vec::new(); self.clients.len()],
            wakes: vec![0; cores],
            room: Room::Enough,
            fails: self.fails.map(usize::from),
            wrong,
        };
        for (n, client) in self.clients.iter().enumerate() {
            let peer = Peer {
                address: format!("client:{n}"),
                local: "model:0".into(),
                origin: Origin::Loopback,
                descriptor: n as i32,
            };
            let opened =
                Event::Opened { conn: conn(n), peer, clients: self.clients.len(), door: Door::Redis };
            state.handle(usize::from(client.core), opened);
        }
        vec![state]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        if state.wrong.is_some() {
            return;
        }
        for (client, Client { says, .. }) in self.clients.iter().enumerate() {
            let (said, heard) = (state.said[client], state.heard[client].len());
            steps.extend((said < says.len() && heard == said).then_some(Step::Say(client as u8)));
        }
        for core in 0..self.cores as u8 {
            let here = usize::from(core);
            let engine = &state.engines[here];
            let ready =
                (0..self.cores as u8).filter(|from| !state.rings[here][usize::from(*from)].is_empty());
            steps.extend(ready.map(|from| Step::Receive(from, core)));
            let is_drained = state.rings[here].iter().all(VecDeque::is_empty);
            steps.extend((engine.has_unstable() && is_drained).then_some(Step::Settle(core)));
            steps.extend((!state.operations[here].is_empty()).then_some(Step::Operate(core)));
            steps.extend(engine.has_background().then_some(Step::Slice(core)));
            let is_due = engine.deadline() <= state.now.mono && state.wakes[here] < WAKES_MAX;
            steps.extend(is_due.then_some(Step::Wake(core)));
        }
        if self.fails.is_some() {
            steps.extend(match state.room {
                Room::Enough => Some(Step::Turn(Room::None)),
                Room::None => Some(Step::Turn(Room::Again)),
                Room::Again => None,
            });
        }
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let mut state = last.clone();
        match step {
            Step::Say(client) => {
                let n = usize::from(client);
                let text = format!("{}\r\n", self.clients[n].says[state.said[n]]);
                state.said[n] += 1;
                state.handle(
                    usize::from(self.clients[n].core),
                    Event::Bytes { conn: conn(n), bytes: text.as_bytes() },
                );
            }
            Step::Receive(from, to) => {
                let message = state.rings[usize::from(to)][usize::from(from)].pop_front()?;
                state.handle(usize::from(to), Event::Message { from: CoreId(u16::from(from)), message });
            }
            Step::Settle(core) => {
                let below = state.tickets.limit();
                state.handle(usize::from(core), Event::Stable { below });
            }
            Step::Operate(core) => {
                let (operation, request) = state.operations[usize::from(core)].pop_front()?;
                let outcome = files::carry_out(&mut state.files, request);
                state.handle(usize::from(core), Event::Disk { operation, outcome });
            }
            Step::Slice(core) => state.handle(usize::from(core), Event::Slice { steps: SLICE_STEPS }),
            Step::Wake(core) => {
                state.wakes[usize::from(core)] += 1;
                state.handle(usize::from(core), Event::Wake);
            }
            Step::Turn(room) => {
                state.room = room;
                if room == Room::Again {
                    state.now = LATER;
                    state.wakes.fill(0);
                }
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Persistence>> {
        let mut properties = vec![
            Property::always("assertions hold", |_, state: &State| state.wrong.is_none()),
            Property::always("what is left can always be read back", |model: &Persistence, state: &State| {
                model.verdict(state).is_readable && model.dump(state).is_none_or(|dump| dump.is_ok())
            }),
            Property::always("what is read back is one moment", |model: &Persistence, state: &State| {
                model.verdict(state).is_one_moment
            }),
            Property::always("what was promised is read back", |model: &Persistence, state: &State| {
                model.verdict(state).is_kept
            }),
            Property::always("a snapshot is one moment", |model: &Persistence, state: &State| {
                model.dump(state).is_none_or(|dump| dump.as_ref().is_ok_and(is_one_moment))
            }),
            Property::always(
                "if nothing can happen everybody is done",
                |model: &Persistence, state: &State| {
                    let mut steps = Vec::new();
                    model.actions(state, &mut steps);
                    let mut heard = model.clients.iter().zip(&state.heard);
                    let all_heard = heard.all(|(client, heard)| heard.len() == client.says.len());
                    // The next mark is due when time has passed.
                    let is_for_later = state.engines.iter().any(|engine| engine.deadline() < Instant::NEVER);
                    let may_wait = model.policy.is_some() && is_for_later;
                    !steps.is_empty() || state.wrong.is_some() || may_wait || all_heard && state.is_over()
                },
            ),
        ];
        let sometimes: [Property<Persistence>; 7] = [
            Property::sometimes(SAVED, |model, state: &State| model.dump(state).is_some()),
            Property::sometimes(SAVED_LATE, |model, state: &State| {
                model.dump(state).is_some_and(|dump| dump.is_ok_and(|dump| number(&dump, "x") > 1))
            }),
            Property::sometimes(LOST, |model, state: &State| model.verdict(state).is_lossy),
            Property::sometimes(REWRITTEN, |_, state: &State| {
                state.files.keys().any(|path| path.ends_with(".base.rdb")) && state.is_over()
            }),
            Property::sometimes(PARTIAL, |model, state: &State| {
                let there = files::content(state.engines.iter());
                let back = model.recoveries.of(&state.files, true, true);
                model.policy.is_some() && back.is_ok_and(|back| number(&back, "x") < number(&there, "x"))
            }),
            Property::sometimes(HELD, |_, state: &State| {
                state.engines.iter().any(Engine::holds_back) && state.room == Room::None
            }),
            Property::sometimes(OVER, |model, state: &State| {
                let heard = state.heard.iter().zip(&model.clients);
                heard.into_iter().all(|(heard, client)| heard.len() == client.says.len()) && state.is_over()
            }),
        ];
        properties.extend(sometimes.into_iter().filter(|property| self.sometimes.contains(&property.name)));
        properties
    }
}
