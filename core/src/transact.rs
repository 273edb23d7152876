//! A core as a coordinator: it begins transactions over several shards, tells them what to do, and makes one reply of what they answer.
//!
//! It routes between [`crate::txn::coordinator`], which keeps count, and the rooms that send and run. See `docs/TRANSACTIONS.md`.

use std::collections::VecDeque;

use smallvec::SmallVec;

use crate::aof::line::TxName;
use crate::args::{Args, Packed};
use crate::block::{empty_reply, settled};
use crate::command::row::{Merge, Next, Run};
use crate::command::table::CommandId;
use crate::dispatch::Verdict;
use crate::engine::Engine;
use crate::event::{CoreId, Effect, Effects};
use crate::hash::KeyHash;
use crate::message::{Message, Request, Token};
use crate::mutant::planted;
use crate::node::{Applied, Deferred};
use crate::part::Part;
use crate::protocol::chunks::Chunks;
use crate::protocol::reply::{Failure, Reply};
use crate::session::{Hold, Session};
use crate::snapshot::keeper::RELOADER;
use crate::time::Now;
use crate::txn::calls::{Calls, Shape};
use crate::txn::coordinator::{Stage, Take, Transaction};
use crate::txn::intent::{Fingerprint, Intents, Mode};
use crate::txn::pieces::ShortReply;
use crate::txn::queue::EntryId;
use crate::txn::work::{Body, Bundle, Circumstances, Finding, Order, PlanStep, Ran, TxId};

/// Stands for a shard that takes part in a plan without a key that was named.
const NO_PLACE: u32 = u32::MAX;

/// A transaction before it begins.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) cores: SmallVec<[CoreId; 2]>,
    pub(crate) intents: SmallVec<[Intents; 2]>,
    pub(crate) stages: VecDeque<Stage>,
    pub(crate) takes: SmallVec<[Take; 2]>,
    pub(crate) is_array: bool,
    pub(crate) calls: Calls,
    /// The client waits if there is nothing to be had.
    pub(crate) waits: bool,
    /// The reply that is owed already.
    pub(crate) token: Option<Token>,
    /// It may ask another server.
    pub(crate) is_abroad: bool,
}

impl Draft {
    /// The place of a core among the participants; it takes part from now on.
    pub(crate) fn participant(&mut self, core: CoreId) -> u16 {
        let place = self.cores.iter().position(|other| *other == core).unwrap_or_else(|| {
            self.cores.push(core);
            self.intents.push(Intents::default());
            self.cores.len() - 1
        });
        place as u16
    }

    /// These participants, each once, lowest first.
    fn distinct(&self, owners: &[u16]) -> SmallVec<[u16; 8]> {
        (0..self.cores.len() as u16).filter(|participant| owners.contains(participant)).collect()
    }

    /// A participant locks a key.
    pub(crate) fn lock(&mut self, participant: u16, key: Fingerprint, mode: Mode) {
        self.intents[usize::from(participant)].add(key, mode);
    }
}

impl Engine {
    /// For whom this client's commands run.
    pub(crate) fn circumstances(&self, session: &Session, now: Now) -> Circumstances {
        Circumstances {
            client: session.id,
            resp: session.resp,
            no_touch: session.no_touch,
            unix_micros: now.unix_micros,
            clock: self.node.clock,
            round: session.watch_round,
        }
    }

    /// A command whose keys lie on several shards; `self.keys` and `self.owners` tell where.
    pub(crate) fn begin_several(
        &mut self,
        session: &mut Session,
        id: CommandId,
        args: Args<'_>,
        now: Now,
        out: &mut Effects,
    ) -> Result<Verdict, Failure> {
        let circumstances = self.circumstances(session, now);
        let mut draft = Draft::default();
        let mut phase = Phase::default();
        let calls = match id.row().run {
            Run::Spread { check, .. } => {
                check(args)?;
                Calls::default()
            }
            _ => match id.row().plan() {
                Some(plan) => {
                    (plan.check)(args, &self.node.settings)?;
                    let mut calls = Calls::default();
                    calls.push(id, session.database, Shape::Whole, args.iter());
                    calls
                }
                None => Calls::default(),
            },
        };
        draft.calls = calls;
        self.draft_several(&mut draft, &mut phase, 0, id, &circumstances, session.database, args);
        phase.close(&mut draft, &circumstances);
        let verdict = self.begin(session, draft, circumstances, now, out);
        if verdict == Verdict::Done {
            self.show(session, id.row(), args, now, out);
            self.node.statistics.ran(id, 0, false, false);
        }
        Ok(verdict)
    }

    #[expect(clippy::too_many_arguments, reason = "a command in a transaction has this many circumstances")]
    /// Adds a command to a draft: its locks, what its shards do, and where its reply comes from. `self.keys` and `self.owners` tell
    /// where its keys lie; `call`: its place among the draft's calls.
    pub(crate) fn draft_several(
        &mut self,
        draft: &mut Draft,
        phase: &mut Phase,
        call: usize,
        command: CommandId,
        circumstances: &Circumstances,
        database: u16,
        args: Args<'_>,
    ) {
        let row = command.row();
        let other = (row.other_database)(args);
        let mut owners: SmallVec<[u16; 16]> = SmallVec::new();
        for (n, (key, owner)) in self.keys.iter().zip(&self.owners).enumerate() {
            let participant = draft.participant(CoreId(*owner));
            owners.push(participant);
            draft.lock(participant, Fingerprint::new(database, key.hash), row.mode(n));
            if let Some(other) = other {
                draft.lock(participant, Fingerprint::new(other, key.hash), Mode::Exclusive);
            }
        }
        let places: SmallVec<[u32; 16]> = self.keys.iter().map(|key| key.place).collect();
        let mut plan_owners: Vec<(u32, u16)> = places.into_iter().zip(owners.iter().copied()).collect();
        if let Some(mode) = (row.whole)(args) {
            // With others in one EXEC its keys are locked for both.
            let mode = if draft.is_array { Mode::Exclusive } else { mode };
            for core in (0..self.node.cores).map(CoreId) {
                let participant = draft.participant(core);
                let whole = &mut draft.intents[usize::from(participant)].whole;
                *whole = (*whole).max(Some(mode));
                owners.push(participant);
                plan_owners.push((NO_PLACE, participant));
            }
        }
        if owners.is_empty() {
            // Without keys it runs where its client is, and says what is wrong.
            owners.push(draft.participant(self.node.core));
        }
        let distinct = draft.distinct(&owners);
        if let [only] = distinct[..] {
            phase.calls(only).push(command, database, Shape::Whole, args.iter());
            draft.takes.push(Take::One(only));
            return;
        }
        match row.run {
            Run::Plan(_) | Run::Block(_) => {
                phase.close(draft, circumstances);
                draft.stages.push_back(Stage::Plan { call, take: draft.takes.len(), owners: plan_owners });
                draft.takes.push(Take::Written(Chunks::default()));
            }
            _ => {
                let merge = match row.run {
                    Run::Spread { merge, .. } => merge,
                    _ => Merge::Same,
                };
                let (first, step) = row.keys.groups();
                for &participant in &distinct {
                    let mut words: SmallVec<[&[u8]; 24]> =
                        (0..first).filter_map(|place| args.get(place)).collect();
                    for (key, owner) in self.keys.iter().zip(&owners) {
                        if *owner == participant {
                            let group = key.place as usize..key.place as usize + step;
                            words.extend(group.filter_map(|place| args.get(place)));
                        }
                    }
                    let shape = match merge {
                        Merge::Elements | Merge::Items => Shape::Elements,
                        _ => Shape::Share,
                    };
                    phase.calls(participant).push(command, database, shape, words.iter().copied());
                }
                let from = if merge.is_of_elements() { owners.into_iter().collect() } else { distinct };
                draft.takes.push(Take::Merged(merge, from));
            }
        }
    }

    /// Begins what was drafted, or lets the client wait for credits.
    pub(crate) fn begin(
        &mut self,
        session: &mut Session,
        draft: Draft,
        circumstances: Circumstances,
        now: Now,
        out: &mut Effects,
    ) -> Verdict {
        let me = self.node.core;
        let others: SmallVec<[CoreId; 8]> = draft.cores.iter().copied().filter(|core| *core != me).collect();
        if !self.node.links.take_or_wait(session.conn, &others) {
            return Verdict::Held(Hold::Credits);
        }
        let token =
            draft.token.unwrap_or_else(|| Token { conn: session.conn, sequence: session.await_reply() });
        self.launch(token, draft, circumstances, now, out);
        Verdict::Done
    }

    /// Begins what was drafted; the credits were taken.
    pub(crate) fn launch(
        &mut self,
        token: Token,
        mut draft: Draft,
        circumstances: Circumstances,
        now: Now,
        out: &mut Effects,
    ) -> TxId {
        let me = self.node.core;
        let mut transaction = Transaction::new(token, circumstances, draft.cores.iter().copied());
        transaction.takes = std::mem::take(&mut draft.takes);
        transaction.is_array = draft.is_array;
        transaction.waits = draft.waits;
        transaction.is_abroad = draft.is_abroad;
        self.errands.begun += usize::from(draft.is_abroad);
        transaction.calls = std::mem::take(&mut draft.calls);
        transaction.stages = std::mem::take(&mut draft.stages);
        let mut bodies = next_bodies(&mut transaction);
        let (tx, ticket) = self.transactions.begin(transaction);
        self.node.note_applied(Applied::Began { tx, token });
        self.node.statistics.transactions += 1;
        let client = circumstances.client;
        for (place, (core, intents)) in draft.cores.iter().zip(draft.intents).enumerate() {
            let body = bodies.iter().position(|(participant, _)| usize::from(*participant) == place);
            let body = body.map_or(Body::Lock, |at| bodies.swap_remove(at).1);
            if *core == me && !planted("an own entry is queued only at the flush") {
                self.schedule(me, tx, client, ticket, intents, body);
            } else {
                let message = Message::Schedule { tx, client, ticket, intents, body };
                out.push(Effect::Send { to: *core, message });
            }
        }
        let _ = now;
        tx
    }

    /// A participant has answered.
    pub(crate) fn heard(
        &mut self,
        from: CoreId,
        tx: TxId,
        entry: EntryId,
        mut ran: Ran,
        now: Now,
        out: &mut Effects,
    ) {
        let transaction = self.transactions.get_mut(tx).expect("a transaction ends after all answers");
        let report = ran.more.as_mut().and_then(|more| more.report.take());
        let is_whole = transaction.heard(from, entry, ran);
        if transaction.token.conn == RELOADER {
            // The keeper says what comes next, and when it is over.
            return self.shard_has_answered(from, report, now, out);
        }
        if !is_whole && !planted("a transaction ends before all have answered") {
            return;
        }
        let Some(mut transaction) = self.transactions.take(tx) else { return };
        if matches!(transaction.stage, Some(Stage::Plan { .. })) {
            let findings = transaction.take_findings();
            self.end_step(&mut transaction, findings);
        }
        self.go_on(tx, transaction, now, out);
    }

    /// Another server has answered what a transaction has asked it.
    pub(crate) fn asked_abroad(&mut self, tx: TxId, findings: Vec<Finding>, now: Now, out: &mut Effects) {
        let Some(mut transaction) = self.transactions.take(tx) else { return };
        self.end_step(&mut transaction, findings);
        self.go_on(tx, transaction, now, out);
    }

    /// What follows when all that was to be heard has been.
    fn go_on(&mut self, tx: TxId, mut transaction: Box<Transaction>, now: Now, out: &mut Effects) {
        if let Some(errand) = transaction.errand.take() {
            self.transactions.put_back(tx, transaction);
            return self.ask_abroad(tx, *errand, now, out);
        }
        while !transaction.touched {
            let bodies = next_bodies(&mut transaction);
            if transaction.stage.is_none() {
                break;
            }
            if bodies.is_empty() {
                continue;
            }
            for (participant, body) in bodies {
                transaction.expect(participant);
                let participant = &transaction.participants[usize::from(participant)];
                let entry = participant.entry.expect("who is told more has answered before");
                if participant.core == self.node.core {
                    self.step(self.node.core, tx, entry, body, now, out);
                } else {
                    out.push(Effect::Send {
                        to: participant.core,
                        message: Message::Step { tx, entry, body },
                    });
                }
            }
            self.transactions.put_back(tx, transaction);
            return;
        }
        self.end_when_written(tx, transaction, now, out);
    }

    /// All have answered: what follows from a plan's findings.
    fn end_step(&mut self, transaction: &mut Transaction, findings: Vec<Finding>) {
        let Some(Stage::Plan { call, take, owners }) = transaction.stage.clone() else { return };
        let mut spans = Vec::new();
        let (id, args) = transaction.calls.at(call, &mut spans);
        let Some(plan) = id.command.row().plan() else {
            unreachable!("only plans have steps");
        };
        let resp = transaction.circumstances.resp;
        let mut reply = Chunks::default();
        let settled = if transaction.waits { settled(id.command, args, &findings) } else { None };
        let next = (plan.next)(args, transaction.step, findings, &mut Reply::new(&mut reply, resp));
        match next {
            Next::Done => {}
            Next::Failed(failure) => {
                reply = Chunks::default();
                Reply::new(&mut reply, resp).error(&failure);
                self.node.statistics.error(failure.code());
            }
            Next::Wait if transaction.waits => {
                // Everybody gets in line before anybody lets go: nothing is missed.
                let (token, circumstances) = (transaction.token, transaction.circumstances);
                let request = Request {
                    command: id.command,
                    database: id.database,
                    resp,
                    no_touch: circumstances.no_touch,
                    client: circumstances.client,
                    unix_micros: circumstances.unix_micros,
                    clock: 0,
                    first_hash: KeyHash(0),
                    args: settled.unwrap_or_else(|| Packed::new(args)),
                };
                self.waits_with(token, &request.args);
                let places = 0..transaction.participants.len() as u16;
                let wait = |place| (place, Body::Wait(Box::new((token, request.clone()))));
                let bodies = places.map(wait).collect();
                transaction.in_vain = true;
                transaction.stages.push_front(Stage::Bodies(bodies));
                return;
            }
            Next::Ask(errand) => {
                transaction.step += 1;
                transaction.errand = Some(errand);
                return;
            }
            Next::Wait => reply = empty_reply(id.command, resp),
            Next::Step(orders) => {
                transaction.step += 1;
                let step = transaction.step;
                transaction.orders = orders.into_iter().map(|order| Order { step, ..order }).collect();
                transaction.stages.push_front(Stage::Plan { call, take, owners });
                return;
            }
        }
        transaction.takes[take] = Take::Written(reply);
        transaction.step = 0;
    }

    /// Everything is done: the reply, and everybody lets go.
    pub(crate) fn finish(
        &mut self,
        tx: TxId,
        mut transaction: Box<Transaction>,
        now: Now,
        out: &mut Effects,
    ) {
        let token = transaction.token;
        if transaction.in_vain {
            self.tried_in_vain(token, now, out);
        } else if self.sessions.get_mut(token.conn).is_some_and(|session| session.awaits(token.sequence)) {
            if let Some(session) = self.sessions.get_mut(token.conn) {
                for call in std::mem::take(&mut transaction.slow) {
                    self.node.keep_slow(call, session);
                }
            }
            let mut reply = Chunks::with_buffer(Vec::new());
            let deferred = self.put_together(&mut transaction, &mut reply, now, out);
            match deferred {
                Some(deferred) => self.defer(token, deferred, reply, out),
                None if transaction.waits => self.end_wait(token, reply, None, now, out),
                None => self.arrived(token, reply, now, out),
            }
        } else if transaction.waits {
            self.leave_lines_of(token);
        }
        for participant in &transaction.participants {
            let Some(entry) = participant.entry else { continue };
            if participant.core == self.node.core {
                self.release_entry(entry);
            } else {
                if !planted("a transaction gives its credits back before its release") {
                    self.node.links.give_back(participant.core);
                }
                if !planted("a release is forgotten after a failed check") || !transaction.touched {
                    out.push(Effect::Send { to: participant.core, message: Message::Release { entry } });
                }
            }
        }
        self.transactions.end(tx);
        if transaction.is_abroad {
            self.errand_is_over(out);
        }
        self.node.note_applied(Applied::Ended { tx, refused: transaction.touched });
    }

    /// All parts are in the logs: that they count is written down. False if there are none.
    pub(crate) fn commit(&mut self, id: TxId, transaction: &Transaction) -> bool {
        let generation = transaction.participants.iter().map(|participant| participant.logged).max();
        let Some(generation @ 1..) = generation else { return false };
        if planted("a transaction ends without its line in the log") {
            return false;
        }
        let wrote = transaction.participants.iter().filter(|participant| participant.logged > 0);
        let cores: SmallVec<[CoreId; 8]> = wrote.map(|participant| participant.core).collect();
        self.node.pen.commit(TxName { core: self.node.core, id }, &cores, generation);
        true
    }

    /// Makes one reply of all pieces.
    fn put_together(
        &mut self,
        transaction: &mut Transaction,
        reply: &mut Chunks,
        now: Now,
        out: &mut Effects,
    ) -> Option<Deferred> {
        let resp = transaction.circumstances.resp;
        if transaction.touched {
            Reply::new(reply, resp).null_array();
            return None;
        }
        let takes = std::mem::take(&mut transaction.takes);
        if transaction.is_array {
            Reply::new(reply, resp).array(takes.len());
        }
        let mut deferred = None;
        for take in takes {
            match take {
                Take::One(place) => transaction.participants[usize::from(place)].pieces.take_into(reply),
                Take::Written(chunks) => reply.append(chunks),
                Take::Merged(merge, from) => self.merge(transaction, merge, &from, reply),
                Take::Gathered(call) => {
                    let participants = transaction.participants.iter_mut();
                    let mut parts: Vec<(CoreId, Part)> =
                        participants.filter_map(|p| Some((p.core, p.parts.pop_front()?))).collect();
                    parts.sort_by_key(|(core, _)| *core);
                    let parts = parts.into_iter().map(|(_, part)| part).collect();
                    self.in_session(transaction, call, now, out, reply, &mut deferred, Some(parts));
                }
                Take::Local(call) => {
                    self.in_session(transaction, call, now, out, reply, &mut deferred, None);
                }
            }
        }
        deferred
    }

    /// Runs a call in the client's session, or makes its reply of all cores' parts there.
    #[expect(clippy::too_many_arguments, reason = "a call in a transaction has this many circumstances")]
    fn in_session(
        &mut self,
        transaction: &Transaction,
        call: usize,
        now: Now,
        out: &mut Effects,
        reply: &mut Chunks,
        deferred: &mut Option<Deferred>,
        parts: Option<Vec<Part>>,
    ) {
        let Some(mut session) = self.sessions.take(transaction.token.conn) else { return };
        let mut spans = Vec::new();
        let (call, args) = transaction.calls.at(call, &mut spans);
        // The client may have changed its protocol since; within EXEC that counts.
        let resp = if transaction.is_array { session.resp } else { transaction.circumstances.resp };
        let later = match (call.command.row().run, parts) {
            (Run::Local(run), None) => {
                self.write_local(&mut session, call.command, args, now, out, reply, resp, |local, reply| {
                    run(local, args, reply)
                })
            }
            (Run::Gather { merge, .. }, Some(parts)) => {
                self.write_local(&mut session, call.command, args, now, out, reply, resp, |local, reply| {
                    merge(local, args, parts, reply)
                })
            }
            _ => unreachable!("only these run in a session"),
        };
        *deferred = deferred.take().or(later);
        self.sessions.put_back(session);
    }

    fn merge(&mut self, transaction: &mut Transaction, merge: Merge, from: &[u16], reply: &mut Chunks) {
        let participants = &mut transaction.participants;
        if merge == Merge::Elements {
            Reply::new(reply, transaction.circumstances.resp).array(from.len());
            from.iter().for_each(|place| participants[usize::from(*place)].pieces.take_into(reply));
            return;
        }
        if merge == Merge::Items {
            let items = from.iter().map(|place| {
                let mut item = Chunks::default();
                participants[usize::from(*place)].pieces.take_into(&mut item);
                item
            });
            return crate::memcached::join_items(items, reply);
        }
        let pieces: SmallVec<[ShortReply; 4]> =
            from.iter().map(|place| participants[usize::from(*place)].pieces.take()).collect();
        let failed = pieces.iter().find(|piece| piece.first() == Some(&b'-'));
        match (failed, merge) {
            (Some(piece), _) => reply.tail().extend_from_slice(piece),
            (None, Merge::Sum) => {
                let number = |piece: &ShortReply| -> Option<i64> {
                    std::str::from_utf8(piece.get(1..piece.len().checked_sub(2)?)?).ok()?.parse().ok()
                };
                let sum = pieces.iter().filter_map(number).sum();
                Reply::new(reply, transaction.circumstances.resp).integer(sum);
            }
            (None, _) => reply.tail().extend_from_slice(pieces.first().map_or(&[][..], |piece| piece)),
        }
    }
}

/// Goes to the next stage, and what it has for each participant. No stage: all are done.
fn next_bodies(transaction: &mut Transaction) -> Vec<(u16, Body)> {
    let Some(mut stage) = transaction.stages.pop_front() else {
        transaction.stage = None;
        return Vec::new();
    };
    let bodies = match &mut stage {
        Stage::Check(bodies) | Stage::Bodies(bodies) => std::mem::take(bodies),
        Stage::Plan { call, owners, .. } => {
            let mut orders = std::mem::take(&mut transaction.orders);
            if orders.is_empty() {
                orders.push(Order { step: 0, key: None, given: Finding::Nothing });
            }
            let (call, owners) = (*call, std::mem::take(owners));
            let bodies = plan_bodies(transaction, call, &owners, orders);
            if let Stage::Plan { owners: place, .. } = &mut stage {
                *place = owners;
            }
            bodies
        }
    };
    transaction.stage = Some(stage);
    bodies
}

/// Deals the orders of a step to the owners of the keys.
fn plan_bodies(
    transaction: &mut Transaction,
    call: usize,
    owners: &[(u32, u16)],
    orders: Vec<Order>,
) -> Vec<(u16, Body)> {
    let mut spans = Vec::new();
    let (head, args) = transaction.calls.at(call, &mut spans);
    let packed = Packed::new(args);
    let mut dealt: Vec<(u16, SmallVec<[Order; 1]>)> = Vec::new();
    let mut ordered = Vec::new();
    for order in orders {
        let mut to: Vec<u16> = match order.key {
            Some(place) => {
                owners.iter().filter(|(key, _)| *key == place).map(|(_, owner)| *owner).take(1).collect()
            }
            None => owners.iter().map(|(_, owner)| *owner).collect(),
        };
        to.sort_unstable();
        to.dedup();
        for participant in to {
            ordered.push(participant);
            match dealt.iter_mut().find(|(other, _)| *other == participant) {
                Some((_, orders)) => orders.push(order.clone()),
                None => dealt.push((participant, SmallVec::from_iter([order.clone()]))),
            }
        }
    }
    let (command, database, circumstances) = (head.command, head.database, transaction.circumstances);
    let waits = transaction.waits.then_some(transaction.token);
    transaction.ordered = ordered;
    dealt
        .into_iter()
        .map(|(participant, orders)| {
            let step = PlanStep { circumstances, command, database, args: packed.clone(), orders, waits };
            (participant, Body::Plan(Box::new(step)))
        })
        .collect()
}

/// What the participants run between two plans.
#[derive(Debug, Default)]
pub(crate) struct Phase {
    calls: Vec<(u16, Calls)>,
}

impl Phase {
    /// A participant's calls so far.
    pub(crate) fn calls(&mut self, participant: u16) -> &mut Calls {
        let place = self.calls.iter().position(|(other, _)| *other == participant).unwrap_or_else(|| {
            self.calls.push((participant, Calls::default()));
            self.calls.len() - 1
        });
        &mut self.calls[place].1
    }

    /// What follows comes after all of it.
    pub(crate) fn close(&mut self, draft: &mut Draft, circumstances: &Circumstances) {
        if self.calls.is_empty() {
            return;
        }
        let bodies = self.calls.drain(..).map(|(participant, calls)| {
            let bundle =
                Bundle { circumstances: *circumstances, watched: Vec::new(), is_array: false, calls };
            (participant, Body::Calls(Box::new(bundle)))
        });
        draft.stages.push_back(Stage::Bodies(bodies.collect()));
    }
}
