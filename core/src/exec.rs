//! What a client has queued since MULTI: queueing it, and finding out at EXEC where it runs, on one shard at once or on several as a
//! transaction.

use smallvec::SmallVec;

use crate::args::Args;
use crate::command::row::{Command, Flags, Run};
use crate::command::table::CommandId;
use crate::dispatch::Verdict;
use crate::engine::Engine;
use crate::event::{CoreId, Effect, Effects};
use crate::eviction::room::need_of;
use crate::gather::Asking;
use crate::hop::{Hop, run_hop};
use crate::message::{Message, Token};
use crate::node::Applied;
use crate::protocol::chunks::Chunks;
use crate::protocol::reply::{Failure, Reply};
use crate::session::{Hold, Session};
use crate::shard::KeyRef;
use crate::time::Now;
use crate::transact::{Draft, Phase};
use crate::txn::calls::{Calls, Shape};
use crate::txn::coordinator::{Stage, Take};
use crate::txn::intent::{Intents, Mode};
use crate::txn::work::{Body, Bundle, Circumstances, Work};

pub(crate) const NO_ROOM: Failure = Failure::new(
    "EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.",
);
const ABORTED: Failure = Failure::new("EXECABORT Transaction discarded because of previous errors.");
const NO_MULTI: Failure = Failure::new("ERR EXEC without MULTI");
const NOT_ALLOWED: Failure = Failure::new("ERR Command not allowed inside a transaction");

/// Where all of a body runs.
enum Home {
    /// On one shard; `true`: with commands that run in the client's session.
    One(CoreId, bool),
    /// On several.
    Several,
}

impl Engine {
    /// Queues a command of a client that has said MULTI, or refuses it.
    pub(crate) fn enqueue_call(
        &mut self,
        session: &mut Session,
        id: CommandId,
        args: Args<'_>,
        out: &mut Effects,
    ) {
        let row = id.row();
        let failure = if row.flags.has(Flags::NO_MULTI) || matches!(row.run, Run::Abroad(_)) {
            Some(NOT_ALLOWED)
        } else if row.flags.has(Flags::DENYOOM) && self.node.lacks_room(need_of(args)) {
            Some(Failure::OUT_OF_MEMORY)
        } else {
            None
        };
        if let Some(failure) = failure {
            self.refuse(session, Some(id), args, &failure, out);
            return;
        }
        let limit = self.node.settings.client_query_buffer_limit;
        let (resp, database) = (session.resp, session.database);
        let Some(queued) = &mut session.queued else { return };
        queued.writes |= row.flags.has(Flags::WRITE);
        queued.grows |= row.flags.has(Flags::DENYOOM);
        queued.calls.push(id, database, Shape::Whole, args.iter());
        if queued.calls.held_bytes() as u64 > limit {
            queued.failed = true;
            queued.calls = Calls::default();
            let failure = Failure::new("ERR the queued commands are larger than client-query-buffer-limit");
            self.refuse(session, Some(id), args, &failure, out);
            return;
        }
        Reply::new(session.reply_end(), resp).simple("QUEUED");
    }

    /// EXEC.
    pub(crate) fn exec(
        &mut self,
        session: &mut Session,
        id: CommandId,
        args: Args<'_>,
        now: Now,
        out: &mut Effects,
    ) -> Verdict {
        let Some(mut queued) = session.queued.take() else {
            self.refuse(session, Some(id), args, &NO_MULTI, out);
            return Verdict::Done;
        };
        if queued.failed {
            self.node.unwatch(session);
            self.refuse(session, Some(id), args, &ABORTED, out);
            return Verdict::Done;
        }
        if queued.grows && self.node.lacks_room(queued.calls.held_bytes()) {
            self.node.unwatch(session);
            self.refuse(session, Some(id), args, &NO_ROOM, out);
            return Verdict::Done;
        }
        let home = self.home_of(session, &mut queued.calls);
        let circumstances = self.circumstances(session, now);
        let verdict = match home {
            Home::One(core, in_session) if core == self.node.core => {
                let bundle = self.bundle(session, &circumstances, &mut queued.calls);
                let intents = match self.node.queue.is_empty() {
                    true => None,
                    false => Some(self.intents_of_bundle(&bundle)),
                };
                match intents {
                    None => {
                        self.show_all(session, &bundle.calls, now, out);
                        self.exec_here(session, &bundle, now, out);
                        Verdict::Done
                    }
                    Some(intents) if self.node.queue.is_free(session.id, &intents) => {
                        self.show_all(session, &bundle.calls, now, out);
                        self.exec_here(session, &bundle, now, out);
                        Verdict::Done
                    }
                    Some(intents) if !in_session => {
                        self.show_all(session, &bundle.calls, now, out);
                        let token = Token { conn: session.conn, sequence: session.await_reply() };
                        let work = Work::Batch { from: core, token, bundle: Box::new(bundle) };
                        self.enqueue(session.id, &intents, work, now, out);
                        Verdict::Done
                    }
                    Some(_) => {
                        queued.calls = bundle.calls;
                        self.exec_several(session, &mut queued.calls, circumstances, now, out)
                    }
                }
            }
            Home::One(core, false) => {
                if self.node.links.take_or_wait(session.conn, &[core]) {
                    let bundle = self.bundle(session, &circumstances, &mut queued.calls);
                    self.show_all(session, &bundle.calls, now, out);
                    self.node.statistics.remote_requests += 1;
                    let token = Token { conn: session.conn, sequence: session.await_reply() };
                    let message = Message::Batch { token, bundle: Box::new(bundle) };
                    out.push(Effect::Send { to: core, message });
                    Verdict::Done
                } else {
                    Verdict::Held(Hold::Credits)
                }
            }
            _ => self.exec_several(session, &mut queued.calls, circumstances, now, out),
        };
        if let Verdict::Held(_) = verdict {
            session.queued = Some(queued);
            return verdict;
        }
        session.watched.clear();
        session.watch_round += 1;
        self.node.statistics.ran(id, 0, false, false);
        verdict
    }

    /// Finds out where everything runs, and in which database each command does.
    fn home_of(&mut self, session: &Session, calls: &mut Calls) -> Home {
        let mut cores: SmallVec<[u16; 4]> = session.watched.iter().map(|(core, _)| core.0).collect();
        let (mut in_session, mut spans) = (false, Vec::new());
        let mut database = session.database;
        for n in 0..calls.len() {
            calls.call_mut(n).database = database;
            let (call, args) = calls.at(n, &mut spans);
            let row = call.command.row();
            match row.run {
                Run::Local(_) => {
                    in_session = true;
                    let selected = (row.other_database)(args);
                    database = selected.filter(|db| *db < self.node.settings.databases).unwrap_or(database);
                }
                Run::Gather { .. } => {
                    in_session = true;
                    cores.extend(0..self.node.cores);
                }
                _ => {
                    self.locate(row, args);
                    cores.extend(self.owners.iter().copied());
                    if (row.whole)(args).is_some() {
                        cores.extend(0..self.node.cores);
                    }
                }
            }
        }
        cores.sort_unstable();
        cores.dedup();
        match cores[..] {
            [] => Home::One(self.node.core, in_session),
            [core] => Home::One(CoreId(core), in_session),
            _ => Home::Several,
        }
    }

    /// Fills `self.keys` and `self.owners` with a command's keys and their shards.
    pub(crate) fn locate(&mut self, row: &Command, args: Args<'_>) {
        self.keys.clear();
        self.owners.clear();
        if let Run::Visit { shard, .. } = row.run {
            // A cursor that makes no sense is refused on the client's own core.
            self.owners.push(shard(args, self.node.cores).unwrap_or(self.node.core.0));
            return;
        }
        for place in row.keys.places(args) {
            let (hash, owner) = self.node.shard.hasher().place(args.at(place), None, self.node.cores);
            self.keys.push(KeyRef { place: place as u32, hash });
            self.owners.push(owner);
        }
    }

    fn bundle(&self, session: &Session, circumstances: &Circumstances, calls: &mut Calls) -> Bundle {
        Bundle {
            circumstances: *circumstances,
            watched: session.watched.iter().map(|(_, key)| *key).collect(),
            is_array: true,
            calls: std::mem::take(calls),
        }
    }

    fn show_all(&mut self, session: &Session, calls: &Calls, now: Now, out: &mut Effects) {
        if !self.node.feed.is_monitored() {
            return;
        }
        let mut spans = Vec::new();
        for n in 0..calls.len() {
            let (call, args) = calls.at(n, &mut spans);
            self.show(session, call.command.row(), args, now, out);
        }
    }

    /// Everything lies here and nothing stands in the way.
    fn exec_here(&mut self, session: &mut Session, bundle: &Bundle, now: Now, out: &mut Effects) {
        let resp = session.resp;
        if !bundle.watched.is_empty() && self.node.end_watch(&bundle.circumstances) {
            Reply::new(session.reply_end(), resp).null_array();
            self.node.note_applied(Applied::Here { conn: session.conn, refused: true });
            return;
        }
        // Commands may end in other replies of this session, so that this one is written aside.
        let mut reply = Chunks::with_buffer(self.spare.pop().unwrap_or_default());
        Reply::new(&mut reply, resp).array(bundle.calls.len());
        let (mut spans, mut later) = (std::mem::take(&mut self.spans), None);
        for n in 0..bundle.calls.len() {
            let (call, args) = bundle.calls.at(n, &mut spans);
            match call.command.row().run {
                Run::Local(run) => {
                    let resp = session.resp;
                    let next = self.write_local(
                        session,
                        call.command,
                        args,
                        now,
                        out,
                        &mut reply,
                        resp,
                        |local, reply| run(local, args, reply),
                    );
                    later = later.or(next);
                }
                Run::Gather { check, merge, .. } => {
                    let asking = Asking {
                        command: call.command,
                        database: call.database,
                        client: session.id,
                        resp: session.resp,
                        clock: self.node.clock,
                    };
                    let (from, resp) = (self.node.core, session.resp);
                    let mut part = Vec::new();
                    let mut checked = Ok(());
                    self.write_local(
                        session,
                        call.command,
                        args,
                        now,
                        out,
                        &mut Chunks::default(),
                        resp,
                        |local, _| {
                            checked = check(local, args);
                            Ok(())
                        },
                    );
                    if checked.is_ok() {
                        part.push(self.give_part(from, &asking, args, now, out));
                    }
                    let next = self.write_local(
                        session,
                        call.command,
                        args,
                        now,
                        out,
                        &mut reply,
                        resp,
                        |local, reply| {
                            checked?;
                            merge(local, args, part, reply)
                        },
                    );
                    later = later.or(next);
                }
                _ => {
                    let hop = Hop {
                        command: call.command,
                        database: call.database,
                        circumstances: &bundle.circumstances,
                        is_admitted: true,
                        is_share: false,
                    };
                    let mut keys = std::mem::take(&mut self.keys);
                    self.node.find_keys(&hop, args, false, &mut keys);
                    let slow = run_hop(&mut self.node, &keys, &hop, args, &mut reply, None);
                    self.keys = keys;
                    if let Some(call) = slow {
                        self.node.keep_slow(*call, session);
                    }
                }
            }
        }
        self.spans = spans;
        self.node.note_applied(Applied::Here { conn: session.conn, refused: false });
        match later {
            Some(deferred) => {
                let token = Token { conn: session.conn, sequence: session.await_reply() };
                self.defer(token, deferred, reply, out);
            }
            None => session.reply_end().append_and_keep(reply, &mut self.spare),
        }
    }

    /// A transaction over several shards, or one that must wait here and has commands that run in the session.
    fn exec_several(
        &mut self,
        session: &mut Session,
        calls: &mut Calls,
        circumstances: Circumstances,
        now: Now,
        out: &mut Effects,
    ) -> Verdict {
        let mut draft = Draft { is_array: true, ..Draft::default() };
        let mut phase = Phase::default();
        let (mut spans, mut is_alone) = (Vec::new(), false);
        for n in 0..calls.len() {
            let (call, args) = calls.at(n, &mut spans);
            let row = call.command.row();
            match row.run {
                Run::Local(_) => {
                    is_alone = true;
                    draft.takes.push(Take::Local(n));
                }
                Run::Gather { check, .. } => {
                    is_alone = true;
                    if let Err(failure) = self.check_gather(session, check, args, now, out) {
                        let mut reply = Chunks::default();
                        Reply::new(&mut reply, session.resp).error(&failure);
                        draft.takes.push(Take::Written(reply));
                        continue;
                    }
                    for core in (0..self.node.cores).map(CoreId) {
                        let participant = draft.participant(core);
                        draft.intents[usize::from(participant)] = Intents::whole(Mode::Exclusive);
                        phase.calls(participant).push(call.command, call.database, Shape::Part, args.iter());
                    }
                    draft.takes.push(Take::Gathered(n));
                }
                _ => {
                    self.locate(row, args);
                    let checked = match row.run {
                        Run::Spread { check, .. } => check(args),
                        Run::Plan(plan) => (plan.check)(args, &self.node.settings),
                        Run::Block(block) => (block.plan.check)(args, &self.node.settings)
                            .and_then(|()| (block.timeout)(args).map(drop)),
                        _ => Ok(()),
                    };
                    if let Err(failure) = checked {
                        let mut reply = Chunks::default();
                        Reply::new(&mut reply, session.resp).error(&failure);
                        draft.takes.push(Take::Written(reply));
                        continue;
                    }
                    if let (Run::Visit { .. }, [owner]) = (row.run, &self.owners[..]) {
                        let participant = draft.participant(CoreId(*owner));
                        phase.calls(participant).push(call.command, call.database, Shape::Whole, args.iter());
                        draft.takes.push(Take::One(participant));
                        continue;
                    }
                    let database = call.database;
                    self.draft_several(
                        &mut draft,
                        &mut phase,
                        n,
                        call.command,
                        &circumstances,
                        database,
                        args,
                    );
                }
            }
        }
        phase.close(&mut draft, &circumstances);
        if !session.watched.is_empty() {
            let mut bodies: Vec<(u16, Body)> = Vec::new();
            for (core, key) in &session.watched {
                let participant = draft.participant(*core);
                draft.lock(participant, *key, Mode::Shared);
                if !bodies.iter().any(|(other, _)| *other == participant) {
                    bodies.push((participant, Body::Check(circumstances)));
                }
            }
            draft.stages.push_front(Stage::Check(bodies));
        }
        if draft.cores.is_empty() {
            // Nothing but commands of the session, behind what its own shard has locked.
            draft.participant(self.node.core);
        }
        self.show_all(session, calls, now, out);
        draft.calls = std::mem::take(calls);
        let kept = draft.calls.clone();
        let verdict = self.begin(session, draft, circumstances, now, out);
        match verdict {
            Verdict::Held(_) => *calls = kept,
            // Commands of the session may change how what follows is understood.
            Verdict::Done => session.waits_for_all |= is_alone,
        }
        verdict
    }
}
