//! One state of a world of cores that interleave at every access to what they share, and what a step changes.
//!
//! It does what a driver does: it presents bytes, keeps what is to be sent until the flush, pushes, drains, draws tickets, and tells what is
//! stable, one access at a time. What engines make of it, [`super::recall`] knows.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use darter_core::event::CoreId;
use darter_core::limits::ring_places;
use darter_core::message::Message;
use darter_core::mutant::planted;
use darter_core::node::Applied;
use darter_core::time::Now;
use darter_core::txn::stability::{Announcement, Observation, SingleThreaded, Tickets};
use darter_core::txn::turn::{Flush, Learn};
use darter_core::txn::work::TxId;

use super::expiry::Instants;
use super::history::{History, PARTS, bits};
use super::met::Situation;
use super::program::{Keys, Kind, Op, Program, compile};
use super::recall::{EngineId, Input, MOMENTS, MessageId, Outcome, Recall, TextId};
use super::replay::{Whole, config, contents, replies};
use super::waits::Lines;

/// A ring overflowed, or an assertion of the engine does not hold.
pub const BOUNDS: &str = "bounds and assertions hold";
/// Nothing can happen, and something is not done.
pub const STUCK: &str = "if nothing can happen everybody is done and nothing is left";
/// Somebody has heard something else, or more, than the order that was found would say.
pub const REPLIES: &str = "replies and contents are those of that order, each request answered once";
/// Somebody got credits before one who has waited longer for the same.
pub const TURNS: &str = "who has waited longer for a credit goes first";
/// A finished history: the order that was found, the replies, the engines.
type Ending = (Vec<usize>, Vec<TextId>, Vec<EngineId>);

/// What does not change, and what is known.
pub struct World {
    /// How many cores.
    pub cores: u16,
    /// Credits at each other core.
    pub credits: usize,
    /// Cores take turns also when there is nothing to be learned.
    pub spins: bool,
    /// How often the clock moves on, at any time: see [`super::recall::MOMENTS`].
    pub ticks: u8,
    /// By client.
    pub programs: Vec<Program>,
    /// Everything that is said.
    pub ops: Arc<[Op]>,
    /// Of each client, the numbers of what it says.
    pub of: Vec<Vec<usize>>,
    /// What engines do.
    pub recall: Recall,
    /// Each key has a value when it begins; else there is nothing, as who waits for elements needs it.
    pub is_filled: bool,
    /// Orders that were run on a store of one piece, with what was heard and what lies there.
    judged: Mutex<HashMap<Ending, bool>>,
    /// What clients have heard when everything was over.
    endings: Mutex<BTreeSet<Vec<TextId>>>,
    /// Pairs of spread requests that conflict and stood in this order.
    orders: Mutex<BTreeSet<(usize, usize)>>,
}

/// What a core is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Nothing that others could see.
    Idle,
    /// It learns what is stable.
    Learning {
        /// Which step of [`Learn::order`].
        step: u8,
        /// At which core it looks next, or whose ring it drains.
        next: u8,
        /// What it has seen.
        seen: Option<Observation>,
    },
    /// It flushes.
    Flushing {
        /// Which step of [`Flush::order`].
        step: u8,
        /// What it is about to say.
        word: Option<Announcement>,
    },
}

/// A core.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Core {
    /// Its engine.
    pub engine: EngineId,
    /// What it is doing.
    pub phase: Phase,
    /// What it will push.
    pub out: Vec<(u8, MessageId)>,
    /// What its engine was told last of what is stable.
    pub below: u64,
    /// It was woken after the clock had moved on.
    pub woken: bool,
}

/// A client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Side {
    /// Which of its requests is the next.
    pub next: u8,
    /// It was said, and not all of it was taken.
    pub is_held: bool,
    /// How much of it was taken.
    pub taken: u16,
    /// Which of its requests await a reply or have awaited one: bits by place.
    pub awaited: u16,
    /// What it has heard.
    pub heard: TextId,
    /// Its rest is to be presented again.
    pub again: bool,
    /// It is gone.
    pub gone: bool,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A client's next request arrives.
    Say(u8),
    /// A client's rest is presented again.
    Again(u8),
    /// A client is gone.
    Gone(u8),
    /// The clock moves on.
    Tick,
    /// A core is woken.
    Wake(u8),
    /// A core begins a turn.
    Turn(u8),
    /// A core begins to flush what needs tickets.
    Flush(u8),
    /// A core pushes a message that needs none.
    Push(u8),
    /// A core goes on with what it is doing.
    Go(u8),
}

/// One state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// By core.
    pub cores: Vec<Core>,
    /// By receiver and sender.
    rings: Vec<Vec<MessageId>>,
    tickets: Tickets<SingleThreaded>,
    /// By client.
    pub sides: Vec<Side>,
    /// What ran, and what was seen.
    pub history: History,
    /// Which request a transaction of a core is.
    transactions: Vec<(u8, TxId, u8)>,
    /// Clients that wait for credits, the longest first.
    waiting: Vec<u8>,
    pub(super) moment: u8,
    /// By which instants steps have judged.
    pub(super) instants: Instants,
    /// Who waits, and whom it may not overtake.
    pub(super) lines: Lines,
    /// What is wrong.
    pub wrong: Option<&'static str>,
}

impl World {
    /// A world of these clients.
    pub fn new(cores: u16, credits: usize, programs: Vec<Program>) -> World {
        let keys = Keys::new(cores);
        let (ops, of) = compile(&programs, &keys, cores);
        let ops: Arc<[Op]> = ops.into();
        let is_filled = ops.iter().all(|op| matches!(op.kind, Kind::Plain | Kind::Until { .. }));
        World {
            cores,
            credits,
            spins: false,
            ticks: 0,
            programs,
            recall: Recall::new(keys, Arc::clone(&ops)),
            ops,
            of,
            is_filled,
            judged: Mutex::default(),
            endings: Mutex::default(),
            orders: Mutex::default(),
        }
    }

    /// The beginning.
    pub fn start(&self) -> State {
        let core = |core: u16| {
            let clients: Vec<u8> = (0..self.programs.len() as u8)
                .filter(|client| self.programs[usize::from(*client)].core == core)
                .collect();
            Core {
                engine: self.recall.engine(config(core, self.cores, self.credits), &clients, self.is_filled),
                phase: Phase::Idle,
                out: Vec::new(),
                below: 0,
                woken: false,
            }
        };
        let nothing = self.recall.text_of(Vec::new());
        let places = usize::from(self.cores);
        State {
            cores: (0..self.cores).map(core).collect(),
            rings: vec![Vec::new(); places * places],
            tickets: Tickets::new(self.cores),
            sides: vec![Side { heard: nothing, ..Side::default() }; self.programs.len()],
            history: History::default(),
            transactions: Vec::new(),
            waiting: Vec::new(),
            moment: 0,
            instants: Instants::default(),
            lines: Lines::default(),
            wrong: None,
        }
    }

    /// What clients had heard when everything was over, in every course of things.
    pub fn endings(&self) -> Vec<Vec<Arc<Vec<u8>>>> {
        let endings = self.endings.lock().expect("nobody panics with it in hand");
        endings.iter().map(|texts| texts.iter().map(|text| self.recall.text(*text)).collect()).collect()
    }

    /// What clients have heard when everything was over.
    pub(super) fn note_ending(&self, heard: Vec<TextId>) {
        self.endings.lock().expect("nobody panics with it in hand").insert(heard);
    }

    pub(super) fn core_of(&self, client: u8) -> usize {
        usize::from(self.programs[usize::from(client)].core)
    }

    fn others(&self, core: usize) -> impl Iterator<Item = usize> + use<> {
        (0..usize::from(self.cores)).filter(move |other| *other != core)
    }
}

impl State {
    /// Everything that can happen.
    pub fn steps(&self, world: &World, steps: &mut Vec<Step>) {
        if self.wrong.is_some() {
            return;
        }
        let is_live = self
            .sides
            .iter()
            .zip(&world.of)
            .any(|(side, of)| !side.gone && of.iter().any(|op| self.history.replied >> op & 1 == 0));
        if self.moment < world.ticks {
            steps.push(Step::Tick);
        }
        for (n, core) in self.cores.iter().enumerate() {
            if core.phase != Phase::Idle {
                steps.push(Step::Go(n as u8));
                continue;
            }
            for client in (0..self.sides.len() as u8).filter(|client| world.core_of(*client) == n) {
                let side = &self.sides[usize::from(client)];
                if side.gone {
                    continue;
                }
                steps.extend(self.may_say(world, client).then_some(Step::Say(client)));
                steps.extend(side.again.then_some(Step::Again(client)));
                steps.extend(world.programs[usize::from(client)].may_vanish.then_some(Step::Gone(client)));
            }
            if world.recall.known(core.engine).undrawn > 0 {
                steps.push(Step::Flush(n as u8));
            } else if !core.out.is_empty() {
                steps.push(Step::Push(n as u8));
            }
            if self.moment > 0 && !core.woken {
                steps.push(Step::Wake(n as u8));
            }
            if world.spins && is_live || self.is_turn_useful(world, n) {
                steps.push(Step::Turn(n as u8));
            }
        }
    }

    fn may_say(&self, world: &World, client: u8) -> bool {
        let (side, of) = (&self.sides[usize::from(client)], &world.of[usize::from(client)]);
        let Some(op) = of.get(usize::from(side.next)) else { return false };
        let is_answered = |before: &usize| self.history.replied >> before & 1 == 1;
        !side.is_held && (!world.ops[*op].waits || of[..usize::from(side.next)].iter().all(is_answered))
    }

    fn is_turn_useful(&self, world: &World, core: usize) -> bool {
        if world.others(core).any(|from| !self.ring(from, core).is_empty()) {
            return true;
        }
        let known = world.recall.known(self.cores[core].engine);
        let (below, limit) = (self.cores[core].below, self.tickets.limit());
        known.has_unstable && known.tickets.iter().any(|ticket| (below..limit).contains(ticket))
    }

    /// How the clocks stand.
    pub(super) fn now(&self) -> Now {
        MOMENTS[usize::from(self.moment)]
    }

    fn ring(&self, from: usize, to: usize) -> &Vec<MessageId> {
        &self.rings[to * self.cores.len() + from]
    }

    /// What follows.
    pub fn after(&self, world: &World, step: Step) -> State {
        let mut next = self.clone();
        match step {
            Step::Say(client) => {
                let side = &next.sides[usize::from(client)];
                let op = world.of[usize::from(client)][usize::from(side.next)];
                next.history.say(&world.ops, op);
                next.stand_in_line(world, op);
                next.history.late |= u16::from(next.moment > 0) << op;
                next.feed(world, client);
            }
            Step::Again(client) => next.feed(world, client),
            Step::Gone(client) => {
                let side = &mut next.sides[usize::from(client)];
                side.gone = true;
                side.again = false;
                next.waiting.retain(|other| *other != client);
                next.tell(world, world.core_of(client), Input::Gone(client));
                if next
                    .transactions
                    .iter()
                    .any(|(.., op)| world.ops[usize::from(*op)].client == usize::from(client))
                {
                    world.recall.met.meet(Situation::GoneAmid);
                }
            }
            Step::Tick => next.moment += 1,
            Step::Wake(core) => {
                next.cores[usize::from(core)].woken = true;
                next.tell(world, usize::from(core), Input::Wake);
            }
            Step::Turn(core) => {
                next.cores[usize::from(core)].phase = Phase::Learning { step: 0, next: 0, seen: None };
                if Learn::order()[0] == Learn::Observe {
                    next.go(world, usize::from(core));
                }
            }
            Step::Flush(core) => {
                next.cores[usize::from(core)].phase = Phase::Flushing { step: 0, word: None };
                next.go(world, usize::from(core));
            }
            Step::Push(core) => next.push_next(world, usize::from(core)),
            Step::Go(core) => next.go(world, usize::from(core)),
        }
        if next.wrong.is_none() && next.is_quiet(world) {
            next.judge(world);
        }
        next
    }

    /// The next access of what a core is doing.
    fn go(&mut self, world: &World, core: usize) {
        match self.cores[core].phase {
            Phase::Idle => {}
            Phase::Learning { step, next, seen } => self.learn(world, core, step, next, seen),
            Phase::Flushing { step, word } => self.flush(world, core, step, word),
        }
    }

    fn learn(
        &mut self,
        world: &World,
        core: usize,
        mut step: u8,
        mut next: u8,
        mut seen: Option<Observation>,
    ) {
        let order = Learn::order();
        let mut others = world.others(core).skip(usize::from(next));
        match (order[usize::from(step)], seen) {
            // Its own word is none while it takes a turn.
            (Learn::Observe, None) => {
                seen = Some(self.tickets.observe().look(&self.tickets, CoreId(core as u16)));
            }
            (Learn::Observe, Some(so_far)) => {
                let other = others.next().unwrap_or_default();
                seen = Some(so_far.look(&self.tickets, CoreId(other as u16)));
                next += 1;
            }
            (Learn::Drain, _) => {
                let from = others.next().unwrap_or_default();
                let places = self.cores.len();
                for message in std::mem::take(&mut self.rings[core * places + from]) {
                    self.tell(world, core, Input::Message { from: from as u8, message });
                }
                next += 1;
            }
            (Learn::Apply, _) => {}
        }
        if usize::from(next) == world.others(core).count() {
            (step, next) = (step + 1, 0);
        }
        while order.get(usize::from(step)) == Some(&Learn::Apply) {
            let below = seen.map_or(0, Observation::below);
            if world.recall.known(self.cores[core].engine).has_unstable {
                self.cores[core].below = self.cores[core].below.max(below);
                self.tell(world, core, Input::Stable(below));
            }
            step += 1;
        }
        let is_over = usize::from(step) == order.len();
        self.cores[core].phase = if is_over { Phase::Idle } else { Phase::Learning { step, next, seen } };
    }

    fn flush(&mut self, world: &World, core: usize, mut step: u8, mut word: Option<Announcement>) {
        let (order, id) = (Flush::order(), CoreId(core as u16));
        match (order[usize::from(step)], word) {
            (Flush::Announce, None) => word = Some(self.tickets.announcement()),
            (Flush::Announce, Some(announcement)) => {
                announcement.say(&self.tickets, id);
                (step, word) = (step + 1, None);
            }
            (Flush::Draw, _) => {
                self.draw(world, core);
                step += 1;
            }
            (Flush::Push, _) => {
                if !self.cores[core].out.is_empty() {
                    self.push_next(world, core);
                }
                step += u8::from(self.cores[core].out.is_empty());
            }
            (Flush::Withdraw, _) => {
                self.tickets.pushed(id);
                step += 1;
            }
        }
        if order.get(usize::from(step)) == Some(&Flush::Push) && self.cores[core].out.is_empty() {
            step += 1;
        }
        let is_over = usize::from(step) == order.len();
        self.cores[core].phase = if is_over { Phase::Idle } else { Phase::Flushing { step, word } };
    }

    fn draw(&mut self, world: &World, core: usize) {
        let undrawn = world.recall.known(self.cores[core].engine).undrawn;
        let first = self.tickets.draw(CoreId(core as u16), undrawn);
        self.tell(world, core, Input::Tickets(first));
        let (mut own, mut out) = (Vec::new(), Vec::new());
        for (to, message) in std::mem::take(&mut self.cores[core].out) {
            let mut stamped = Message::clone(&world.recall.message(message));
            stamped.stamp(first);
            let message = world.recall.number_of(stamped);
            if usize::from(to) == core { own.push(message) } else { out.push((to, message)) }
        }
        self.cores[core].out = out;
        // Only a planted fault sends to itself.
        for message in own {
            self.tell(world, core, Input::Message { from: core as u8, message });
        }
    }

    fn push_next(&mut self, world: &World, core: usize) {
        let (to, message) = self.cores[core].out.remove(0);
        self.push(world, core, usize::from(to), message);
    }

    fn push(&mut self, world: &World, core: usize, to: usize, message: MessageId) {
        let places = self.cores.len();
        let ring = &mut self.rings[to * places + core];
        ring.push(message);
        if ring.len() >= world.credits * 2 {
            world.recall.met.meet(Situation::Full);
        }
        if ring.len() > ring_places(world.credits) {
            self.wrong = Some(BOUNDS);
        }
    }

    /// Presents what is left of a client's request.
    fn feed(&mut self, world: &World, client: u8) {
        let (n, core) = (usize::from(client), world.core_of(client));
        let side = &mut self.sides[n];
        let op = world.of[n][usize::from(side.next)];
        let was_held = std::mem::replace(&mut side.again, false);
        let input = Input::Say { op: op as u8, from: side.taken };
        let Some(consumed) = self.tell(world, core, input) else { return };
        let side = &mut self.sides[n];
        side.taken += consumed;
        side.is_held = usize::from(side.taken) < world.ops[op].bytes.len();
        if side.is_held {
            world.recall.met.meet(Situation::Parked);
            if !self.waiting.contains(&client) {
                self.waiting.push(client);
            }
            return;
        }
        (side.next, side.taken) = (side.next + 1, 0);
        if was_held {
            world.recall.met.meet(Situation::Resumed);
        }
        self.history.taken |= 1 << op;
        self.check_turn(world, client, op);
    }

    /// With one credit at each core, whoever waits for a core is served before everybody who comes later.
    fn check_turn(&mut self, world: &World, client: u8, op: usize) {
        let core = world.core_of(client);
        let needs = |op: usize| {
            let shards = world.ops[op].parts.iter().map(|(shard, _)| usize::from(*shard));
            shards.filter(|shard| *shard != core).fold(0u8, |needs, shard| needs | 1 << shard)
        };
        let ahead = self.waiting.iter().take_while(|other| **other != client);
        let mut ahead = ahead.filter(|other| world.core_of(**other) == core);
        let is_passed = world.credits == 1
            && ahead.any(|other| {
                let side = &self.sides[usize::from(*other)];
                needs(world.of[usize::from(*other)][usize::from(side.next)]) & needs(op) != 0
            });
        if is_passed && self.wrong.is_none() {
            self.wrong = Some(TURNS);
        }
        self.waiting.retain(|other| *other != client);
    }

    /// Lets a core's engine handle something, and takes in what follows: how many bytes were consumed.
    fn tell(&mut self, world: &World, core: usize, input: Input) -> Option<u16> {
        if self.wrong.is_some() {
            return None;
        }
        let before = self.cores[core].engine;
        let outcome = world.recall.step(before, self.moment, input);
        if outcome.broke {
            self.wrong = Some(BOUNDS);
            return None;
        }
        self.cores[core].engine = outcome.engine;
        if let Input::Say { op: number, from } = input {
            let op = &world.ops[usize::from(number)];
            let is_taken = usize::from(from + outcome.consumed) == op.bytes.len();
            if outcome.awaits || is_taken && op.awaits() > 0 {
                self.sides[op.client].awaited |= 1 << op.place;
            } else if is_taken && !op.parts.is_empty() {
                // It ran at once, before whatever follows from it.
                self.runs_whole(world, core, usize::from(number), outcome.engine);
            }
        }
        self.note_waits(world, &outcome);
        for (applied, judged) in outcome.applied.iter().zip(&outcome.judged) {
            self.take_in(world, core, before, *applied, &outcome);
            if world.ticks > 0 {
                self.note_instant(core, *applied, *judged);
            }
        }
        for (to, message) in &outcome.sends {
            let is_early = planted("a direct is sent before the flush")
                && matches!(*world.recall.message(*message), Message::Direct { .. } | Message::Batch { .. });
            match is_early {
                true => self.push(world, core, usize::from(*to), *message),
                false => self.cores[core].out.push((*to, *message)),
            }
        }
        for client in &outcome.resumed {
            self.sides[usize::from(*client)].again = true;
        }
        for (client, bytes) in &outcome.heard {
            self.hear(world, usize::from(*client), bytes);
        }
        Some(outcome.consumed)
    }

    fn take_in(&mut self, world: &World, core: usize, before: EngineId, applied: Applied, outcome: &Outcome) {
        match applied {
            Applied::Began { tx, token } => {
                let Some(op) = self.op_of(world, token) else { return self.fail(PARTS) };
                self.transactions.push((core as u8, tx, op as u8));
            }
            Applied::Direct { token, .. } => {
                let Some(op) = self.op_of(world, token) else { return self.fail(PARTS) };
                self.runs_whole(world, core, op, before);
            }
            Applied::Served { token, .. } => {
                let Some(op) = self.op_of(world, token) else { return self.fail(PARTS) };
                self.is_served(world, core, op, outcome);
            }
            Applied::Part { from, tx, step } => {
                let of = |(core, id, _): &&(u8, TxId, u8)| (u16::from(*core), *id) == (from.0, tx);
                let Some(&(.., op)) = self.transactions.iter().find(of) else { return self.fail(PARTS) };
                if world.ops[usize::from(op)].awaits() > 0 {
                    // It looks as often as it is woken; what counts is what it takes.
                    if step > 0 {
                        self.runs_whole(world, core, usize::from(op), before);
                    }
                    return;
                }
                let ran = self.history.run_part(&world.ops, usize::from(op), core as u16);
                ran.unwrap_or_else(|wrong| self.fail(wrong));
            }
            Applied::Ended { tx, .. } => {
                let is_over = |(other, id, op): &(u8, TxId, u8)| {
                    (usize::from(*other), *id) == (core, tx) && world.ops[usize::from(*op)].awaits() > 0
                };
                self.transactions.retain(|entry| !is_over(entry));
            }
            _ => {}
        }
    }

    fn runs_whole(&mut self, world: &World, core: usize, op: usize, engine: EngineId) {
        if !world.recall.met.has(Situation::Overtook) {
            let own = world.ops[op].parts_on(core as u16).unwrap_or_default();
            let waiting = &world.recall.known(engine).waiting;
            if own.iter().any(|own| waiting.iter().any(|other| other.conflicts(*own))) {
                world.recall.met.meet(Situation::Overtook);
            }
        }
        let ran = self.history.run_whole(&world.ops, op, core as u16);
        ran.unwrap_or_else(|wrong| self.fail(wrong));
        if world.ops[op].awaits() > 0 {
            self.check_line(world, op, world.ops[op].awaits() & world.keys_of(core));
        }
    }

    pub(super) fn fail(&mut self, wrong: &'static str) {
        self.wrong.get_or_insert(wrong);
    }

    /// The request whose reply a token names: of those of its client that awaited one, the one at this place.
    pub(super) fn op_of(&self, world: &World, token: darter_core::message::Token) -> Option<usize> {
        let client = token.conn.index as usize;
        let place = bits(self.sides.get(client)?.awaited).nth(token.sequence as usize)?;
        world.of[client].get(place).copied()
    }

    fn hear(&mut self, world: &World, client: usize, bytes: &[u8]) {
        let side = &mut self.sides[client];
        if side.gone {
            return;
        }
        let mut text = world.recall.text(side.heard).to_vec();
        text.extend_from_slice(bytes);
        let mut whole = replies(&text);
        side.heard = world.recall.text_of(text);
        for op in &world.of[client] {
            let needed = world.ops[*op].replies;
            if whole < needed {
                return;
            }
            whole -= needed;
            if self.history.said >> op & 1 == 0 {
                return self.fail(REPLIES);
            }
            if self.history.replied >> op & 1 == 0 {
                self.history.replied |= 1 << op;
                self.history.seen_late |= u16::from(self.moment > 0) << op;
                self.transactions.retain(|(.., other)| usize::from(*other) != *op);
            }
        }
        if whole > 0 {
            self.fail(REPLIES);
        }
    }

    /// What is left on each core, in words, and what clients have heard.
    pub fn unfinished(&self, world: &World) -> Vec<String> {
        let left = self.cores.iter().filter_map(|core| world.recall.known(core.engine).unfinished.clone());
        let heard = self.sides.iter().map(|side| {
            let heard = world.recall.text(side.heard);
            format!("gone {}, heard {:?}", side.gone, String::from_utf8_lossy(&heard))
        });
        left.chain(heard).collect()
    }

    /// True if nothing can happen but that somebody vanishes, or that a core looks and finds nothing.
    pub fn is_quiet(&self, world: &World) -> bool {
        self.cores.iter().all(|core| core.out.is_empty() && !matches!(core.phase, Phase::Flushing { .. }))
            && self.rings.iter().all(Vec::is_empty)
            && self.sides.iter().all(|side| side.gone || !side.again)
            && (0..self.sides.len() as u8)
                .all(|client| self.sides[usize::from(client)].gone || !self.may_say(world, client))
            && self.cores.iter().all(|core| world.recall.known(core.engine).undrawn == 0)
            && (0..self.cores.len()).all(|core| !self.is_turn_useful(world, core))
    }

    /// Nothing can happen: then all is done, and as the order says.
    fn judge(&mut self, world: &World) {
        let is_done = |(client, side): (usize, &Side)| {
            side.gone || world.of[client].iter().all(|op| self.history.replied >> op & 1 == 1)
        };
        let is_done = self.sides.iter().enumerate().all(is_done);
        let known: Vec<_> = self.cores.iter().map(|core| world.recall.known(core.engine)).collect();
        if !world.is_filled {
            return self.judge_waits(world, &known);
        }
        if !is_done || known.iter().any(|known| known.unfinished.is_some() || known.watchers > 0) {
            return self.fail(STUCK);
        }
        let order = self.history.order().unwrap_or_default();
        let order: Vec<usize> = order.into_iter().filter(|op| self.history.taken >> op & 1 == 1).collect();
        world.recall.met.meet(Situation::Over);
        self.note_orders(world);
        let heard: Vec<TextId> = self.sides.iter().map(|side| side.heard).collect();
        world.note_ending(heard.clone());
        if world.ticks > 0 {
            return self.judge_expiry(world);
        }
        let engines: Vec<EngineId> = self.cores.iter().map(|core| core.engine).collect();
        let key = (order, heard, engines);
        let judged = world.judged.lock().expect("nobody panics with it in hand").get(&key).copied();
        let is_right = judged.unwrap_or_else(|| self.agrees(world, &key.0));
        if judged.is_none() {
            world.judged.lock().expect("nobody panics with it in hand").insert(key, is_right);
        }
        if !is_right {
            self.fail(REPLIES);
        }
    }

    /// Runs the order on a store of one piece.
    fn agrees(&self, world: &World, order: &[usize]) -> bool {
        let mut whole = Whole::new(&world.recall, &world.ops, true);
        order.iter().for_each(|op| whole.run(*op, &world.ops[*op], &world.ops[*op].bytes));
        let heard_right = self.sides.iter().enumerate().all(|(client, side)| {
            let heard = world.recall.text(side.heard);
            let expected = whole.heard(&world.of[client]);
            // Who is gone has heard no end, or MULTI answered whose EXEC was never taken.
            match side.gone {
                true => expected.starts_with(&heard) || heard.starts_with(&expected),
                false => expected == *heard,
            }
        });
        let mut lies: Vec<_> =
            self.cores.iter().flat_map(|core| contents(&world.recall.known(core.engine).engine)).collect();
        let mut should_lie = whole.contents();
        lies.sort_unstable();
        should_lie.sort_unstable();
        let is_whole =
            order.iter().all(|op| world.ops[*op].is_watched || self.history.is_whole(&world.ops, *op));
        heard_right && lies == should_lie && is_whole
    }

    fn note_orders(&self, world: &World) {
        if world.recall.met.has(Situation::BothOrders) {
            return;
        }
        let spread: Vec<usize> = (0..world.ops.len()).filter(|op| world.ops[*op].is_spread()).collect();
        let mut orders = world.orders.lock().expect("nobody panics with it in hand");
        for one in &spread {
            for two in spread.iter().filter(|two| self.history.is_before(*one, **two)) {
                orders.insert((*one, *two));
                if orders.contains(&(*two, *one)) {
                    world.recall.met.meet(Situation::BothOrders);
                }
            }
        }
    }
}
