//! One request on its way: what it names, whether it may run, where it runs.
//!
//! It knows the properties of rows. It does not know what any command does.

use smallvec::SmallVec;

use crate::admit::{admit, ends_writes, wrong_arity};
use crate::aof::adopt::READER;
use crate::args::{Args, Packed};
use crate::command::row::{Command, Flags, Group, Run};
use crate::command::table::CommandId;
use crate::directs::JOINED_MAX;
use crate::engine::Engine;
use crate::event::{CoreId, Effect, Effects, LogLevel};
use crate::eviction::room::need_of;
use crate::feed::monitor_line;
use crate::gather::Check;
use crate::hash::KeyHash;
use crate::hop::{Hop, run_hop};
use crate::limits;
use crate::message::{Message, Request, Token};
use crate::node::{Applied, Deferred, Local, Node};
use crate::protocol::chunks::Chunks;
use crate::protocol::reply::{Failure, Outcome, Reply, Resp};
use crate::serve::intents_of;
use crate::session::{Closing, Hold, ReplyMode, Session};
use crate::shard::KeyRef;
use crate::slowlog::SlowCall;
use crate::time::Now;
use crate::transact::{Draft, Phase};
use crate::txn::calls::{Calls, Shape};
use crate::txn::coordinator::Take;
use crate::txn::intent::{Fingerprint, Intents, Mode};
use crate::txn::work::{Bundle, Work};

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was answered, or will be.
    Done,
    /// It must wait and is looked at again.
    Held(Hold),
}

/// Where a request with keys runs.
enum Place {
    /// On this core's shard.
    Here,
    /// On another's.
    There(CoreId),
    /// Its keys lie on several.
    Several,
}

impl Engine {
    /// Begins one request. The session is lent and given back.
    pub(crate) fn dispatch(
        &mut self,
        mut session: Box<Session>,
        args: Args<'_>,
        now: Now,
        out: &mut Effects,
    ) -> (Box<Session>, Verdict) {
        if args.is_empty() {
            return (session, Verdict::Done);
        }
        if self.node.asleep_until > now.mono {
            return (session, Verdict::Held(Hold::Sleep(self.node.asleep_until)));
        }
        if session.in_flight() >= limits::IN_FLIGHT_MAX {
            return (session, Verdict::Held(Hold::InFlight));
        }
        if session.output_len() > limits::OUTPUT_HIGH {
            return (session, Verdict::Held(Hold::Output));
        }
        let id = match admit(&self.node, &session, args) {
            Ok(id) => id,
            Err((id, refusal)) => {
                self.refuse(&mut session, id, args, &refusal, out);
                self.node.note_applied(Applied::Taken { conn: session.conn, sequence: None });
                return (session, Verdict::Done);
            }
        };
        self.dispatch_admitted(session, id, args, now, out)
    }

    /// The same of a request whose row is known and that may run.
    pub(crate) fn dispatch_row(
        &mut self,
        session: Box<Session>,
        id: CommandId,
        args: Args<'_>,
        now: Now,
        out: &mut Effects,
    ) -> (Box<Session>, Verdict) {
        if self.node.asleep_until > now.mono {
            return (session, Verdict::Held(Hold::Sleep(self.node.asleep_until)));
        }
        if session.in_flight() >= limits::IN_FLIGHT_MAX {
            return (session, Verdict::Held(Hold::InFlight));
        }
        self.dispatch_admitted(session, id, args, now, out)
    }

    fn dispatch_admitted(
        &mut self,
        mut session: Box<Session>,
        id: CommandId,
        args: Args<'_>,
        now: Now,
        out: &mut Effects,
    ) -> (Box<Session>, Verdict) {
        let row = id.row();
        if session.waits_for_all || row.flags.has(Flags::AFTER_ALL) {
            if session.in_flight() > 0 {
                return (session, Verdict::Held(Hold::Order));
            }
            session.waits_for_all = false;
        }
        // Who administers connections may end the pause; everybody else waits, as in Redis.
        let may_end_it = row.group == Group::Connection && row.flags.has(Flags::ADMIN);
        if let Some(pause) = self.node.pause
            && (pause.all && !may_end_it || row.flags.has(Flags::WRITE) || ends_writes(&session, row))
            && pause.until > now.mono
        {
            return (session, Verdict::Held(Hold::Pause));
        }
        session.last_command = Some(id);
        let before = session.reply_mode;
        let start = session.reply_end().len();
        let awaited = session.in_flight();
        let verdict;
        (session, verdict) = self.run(session, id, args, now, out);
        if self.node.shard.waiters.has_ready() && session.blocked.is_none() {
            // Whoever waits is served before the next command runs. A client that waits itself has no next one, and must be back in its
            // place to be served.
            self.serve_ready(now, out);
        }
        if verdict == Verdict::Done {
            let sequence = (session.in_flight() > awaited).then(|| session.last_awaited());
            self.node.note_applied(Applied::Taken { conn: session.conn, sequence });
            session.commands += 1;
            self.node.statistics.commands += 1;
            if before != ReplyMode::On {
                keep_silent(&mut session, before, start, awaited);
            }
            if session.reply_mode == ReplyMode::SkipNext {
                session.reply_mode = ReplyMode::SkipThis;
            }
        }
        (session, verdict)
    }

    fn run(
        &mut self,
        mut session: Box<Session>,
        id: CommandId,
        args: Args<'_>,
        now: Now,
        out: &mut Effects,
    ) -> (Box<Session>, Verdict) {
        let row = id.row();
        if session.queued.is_some() && !is_said_at_once(row) {
            self.enqueue_call(&mut session, id, args, out);
            return (session, Verdict::Done);
        }
        let strict = self.node.settings.pipeline_order_strict && !matches!(row.run, Run::Local(_));
        let target = if strict { self.target(row, args) } else { None };
        if strict && session.in_flight() > 0 && (target.is_none() || target != session.awaits_from) {
            return (session, Verdict::Held(Hold::Order));
        }
        session.awaits_from = target;
        let verdict = match row.run {
            Run::Local(run) => {
                self.show(&session, row, args, now, out);
                self.run_local(&mut session, id, args, now, out, |local, reply| run(local, args, reply));
                Verdict::Done
            }
            Run::Plan(_) if self.node.cores > 1 && (row.whole)(args).is_some() => {
                self.locate(row, args);
                self.run_several(&mut session, id, args, now, out)
            }
            Run::Block(block) if (block.waits)(args) => {
                let begun = match row.flags.has(Flags::DENYOOM) && self.node.lacks_room(need_of(args)) {
                    true => Err(Failure::OUT_OF_MEMORY),
                    false => self.begin_block(&mut session, id, block, args, now, out),
                };
                begun.unwrap_or_else(|failure| {
                    self.refuse(&mut session, Some(id), args, &failure, out);
                    Verdict::Done
                })
            }
            Run::Hop(_) | Run::Spread { .. } | Run::Plan(_) | Run::Block(_) => match self.place(row, args) {
                Place::Here => {
                    self.show(&session, row, args, now, out);
                    self.run_here(&mut session, id, args, now, out);
                    Verdict::Done
                }
                Place::There(core) => self.send_direct(&mut session, core, id, args, now, out),
                Place::Several => self.run_several(&mut session, id, args, now, out),
            },
            Run::Abroad(plan) => self.begin_abroad(&mut session, id, plan, args, now, out),
            Run::Exec => self.exec(&mut session, id, args, now, out),
            Run::Watch(_) => self.watch(&mut session, id, args, now, out),
            Run::Visit { shard, .. } => match shard(args, self.node.cores) {
                Ok(shard) if shard == self.node.core.0 => {
                    self.keys.clear();
                    self.show(&session, row, args, now, out);
                    self.run_here(&mut session, id, args, now, out);
                    Verdict::Done
                }
                Ok(shard) => {
                    self.keys.clear();
                    self.send_direct(&mut session, CoreId(shard), id, args, now, out)
                }
                Err(failure) => {
                    self.refuse(&mut session, Some(id), args, &failure, out);
                    Verdict::Done
                }
            },
            Run::Gather { whole, check, .. }
                if whole.is_none() || self.node.cores == 1 && self.node.queue.is_empty() =>
            {
                return self.begin_gather(session, id, args, check, now, out);
            }
            Run::Gather { whole, check, .. } => {
                self.begin_whole(&mut session, id, args, whole, check, now, out)
            }
            Run::Container => {
                let failure = wrong_arity(id);
                self.refuse(&mut session, Some(id), args, &failure, out);
                Verdict::Done
            }
        };
        (session, verdict)
    }

    /// Runs something in the client's session and writes its reply, or why there is none.
    pub(crate) fn run_local(
        &mut self,
        session: &mut Session,
        id: CommandId,
        args: Args<'_>,
        now: Now,
        out: &mut Effects,
        run: impl FnOnce(&mut Local<'_>, &mut Reply<'_>) -> Outcome,
    ) {
        let mut chunks = std::mem::take(session.reply_end());
        let start = chunks.len();
        let resp = session.resp;
        let deferred = self.write_local(session, id, args, now, out, &mut chunks, resp, run);
        match deferred {
            Some(deferred) => {
                // What was written becomes a reply that is awaited.
                let mut reply = Chunks::default();
                reply.tail().extend_from_slice(&chunks.to_vec()[start..]);
                chunks.truncate(start);
                *session.reply_end() = chunks;
                let token = Token { conn: session.conn, sequence: session.await_reply() };
                self.defer(token, deferred, reply, out);
            }
            None => *session.reply_end() = chunks,
        }
    }

    /// The same, at the end of `chunks`, in the protocol that the session had when it asked; what the reply waits for, if it does not come at
    /// once.
    #[expect(clippy::too_many_arguments, reason = "a call has this many circumstances")]
    pub(crate) fn write_local(
        &mut self,
        session: &mut Session,
        id: CommandId,
        args: Args<'_>,
        now: Now,
        out: &mut Effects,
        chunks: &mut Chunks,
        resp: Resp,
        run: impl FnOnce(&mut Local<'_>, &mut Reply<'_>) -> Outcome,
    ) -> Option<Deferred> {
        let start = chunks.len();
        let started = (self.node.instruments.stopwatch)();
        let mut local = Local { node: &mut self.node, session, now, out, deferred: None };
        let outcome = run(&mut local, &mut Reply::new(chunks, resp));
        let deferred = local.deferred.take();
        let failed = outcome.is_err();
        if let Err(failure) = outcome {
            chunks.truncate(start);
            (id.row().tell)(args, &failure, &mut Reply::new(chunks, session.resp));
            self.node.statistics.error(failure.code());
        }
        let mut nanos = (self.node.instruments.stopwatch)().saturating_sub(started);
        if let Some(Deferred::Until(at)) = deferred {
            // Who sleeps runs: SLOWLOG and LATENCY are to see it.
            nanos = nanos.saturating_add(at.0.saturating_sub(now.mono.0));
        }
        let slow = self.node.ran(id, args, nanos, failed);
        if let Some(call) = slow {
            self.node.keep_slow(*call, session);
        }
        deferred.filter(|_| !failed)
    }

    /// Runs a hop on this core's own shard, at once if nothing stands in the way; its keys are in `self.keys`.
    fn run_here(
        &mut self,
        session: &mut Session,
        id: CommandId,
        args: Args<'_>,
        now: Now,
        out: &mut Effects,
    ) {
        if !self.node.queue.is_empty() {
            let mut intents = Intents::default();
            intents_of(id.row(), args, &self.keys, session.database, &mut intents);
            if !self.node.queue.is_free(session.id, &intents) {
                let token = Token { conn: session.conn, sequence: session.await_reply() };
                let first_hash = self.keys.first().map_or(KeyHash(0), |key| key.hash);
                let request = request(session, id, args, now, first_hash);
                let work = Work::Direct { from: self.node.core, token, request };
                self.enqueue(session.id, &intents, work, now, out);
                return;
            }
        }
        let circumstances = self.circumstances(session, now);
        let hop = Hop {
            command: id,
            database: session.database,
            circumstances: &circumstances,
            is_admitted: false,
            is_share: false,
        };
        let slow = run_hop(&mut self.node, &self.keys, &hop, args, session.reply_end(), None);
        self.node.note_applied(Applied::Here { conn: session.conn, refused: false });
        if let Some(call) = slow {
            self.node.keep_slow(*call, session);
        }
    }

    /// A command whose keys lie on several shards; `self.keys` and `self.owners` tell where.
    fn run_several(
        &mut self,
        session: &mut Session,
        id: CommandId,
        args: Args<'_>,
        now: Now,
        out: &mut Effects,
    ) -> Verdict {
        let row = id.row();
        let outcome = if row.flags.has(Flags::DENYOOM) && self.node.lacks_room(need_of(args)) {
            Err(Failure::OUT_OF_MEMORY)
        } else {
            self.begin_several(session, id, args, now, out)
        };
        outcome.unwrap_or_else(|failure| {
            self.refuse(session, Some(id), args, &failure, out);
            Verdict::Done
        })
    }

    /// WATCH: each shard remembers its keys.
    fn watch(
        &mut self,
        session: &mut Session,
        id: CommandId,
        args: Args<'_>,
        now: Now,
        out: &mut Effects,
    ) -> Verdict {
        if session.queued.is_some() {
            // Redis does not let this refusal spoil the transaction.
            let failure = Failure::new("ERR WATCH inside MULTI is not allowed");
            self.node.statistics.error(failure.code());
            let resp = session.resp;
            Reply::new(session.reply_end(), resp).error(&failure);
            return Verdict::Done;
        }
        self.locate(id.row(), args);
        let watched: Vec<(CoreId, Fingerprint)> = self
            .keys
            .iter()
            .zip(&self.owners)
            .map(|(key, owner)| (CoreId(*owner), Fingerprint::new(session.database, key.hash)))
            .collect();
        let owners: SmallVec<[u16; 4]> = self.owners.iter().copied().collect();
        let is_one = owners.iter().all(|owner| *owner == owners[0]);
        let verdict = match owners[..] {
            [first, ..] if is_one && first == self.node.core.0 => {
                self.show(session, id.row(), args, now, out);
                let circumstances = self.circumstances(session, now);
                let mut calls = Calls::default();
                calls.push(id, session.database, Shape::Whole, args.iter());
                let bundle = Bundle { circumstances, watched: Vec::new(), is_array: false, calls };
                let intents = self.intents_of_bundle(&bundle);
                if self.node.queue.is_free(session.id, &intents) {
                    let hop = Hop {
                        command: id,
                        database: session.database,
                        circumstances: &circumstances,
                        is_admitted: true,
                        is_share: false,
                    };
                    run_hop(&mut self.node, &self.keys, &hop, args, session.reply_end(), None);
                    self.node.note_applied(Applied::Here { conn: session.conn, refused: false });
                } else {
                    let token = Token { conn: session.conn, sequence: session.await_reply() };
                    let work = Work::Batch { from: self.node.core, token, bundle: Box::new(bundle) };
                    self.enqueue(session.id, &intents, work, now, out);
                }
                Verdict::Done
            }
            [first, ..] if is_one => {
                let to = CoreId(first);
                if !self.node.links.take_or_wait(session.conn, &[to]) {
                    return Verdict::Held(Hold::Credits);
                }
                self.show(session, id.row(), args, now, out);
                let circumstances = self.circumstances(session, now);
                let mut calls = Calls::default();
                calls.push(id, session.database, Shape::Whole, args.iter());
                let bundle = Bundle { circumstances, watched: Vec::new(), is_array: false, calls };
                let token = Token { conn: session.conn, sequence: session.await_reply() };
                out.push(Effect::Send { to, message: Message::Batch { token, bundle: Box::new(bundle) } });
                Verdict::Done
            }
            _ => self.run_several(session, id, args, now, out),
        };
        if verdict == Verdict::Done {
            session.watched.extend(watched);
        }
        verdict
    }

    /// A command that every core answers, as of one moment.
    #[expect(clippy::too_many_arguments, reason = "a call has this many circumstances")]
    fn begin_whole(
        &mut self,
        session: &mut Session,
        id: CommandId,
        args: Args<'_>,
        whole: Option<Mode>,
        check: Check,
        now: Now,
        out: &mut Effects,
    ) -> Verdict {
        if let Err(failure) = self.check_gather(session, check, args, now, out) {
            self.node.ran(id, args, 0, true);
            self.node.statistics.error(failure.code());
            let resp = session.resp;
            Reply::new(session.reply_end(), resp).error(&failure);
            return Verdict::Done;
        }
        let circumstances = self.circumstances(session, now);
        let (mut draft, mut phase) = (Draft::default(), Phase::default());
        for core in (0..self.node.cores).map(CoreId) {
            let participant = draft.participant(core);
            draft.intents[usize::from(participant)].whole = whole;
            phase.calls(participant).push(id, session.database, Shape::Part, args.iter());
        }
        phase.close(&mut draft, &circumstances);
        draft.takes.push(Take::Gathered(0));
        draft.calls.push(id, session.database, Shape::Part, args.iter());
        let verdict = self.begin(session, draft, circumstances, now, out);
        if verdict == Verdict::Done {
            self.show(session, id.row(), args, now, out);
        }
        verdict
    }

    fn send_direct(
        &mut self,
        session: &mut Session,
        to: CoreId,
        id: CommandId,
        args: Args<'_>,
        now: Now,
        out: &mut Effects,
    ) -> Verdict {
        if !self.node.links.take_or_wait(session.conn, &[to]) {
            return Verdict::Held(Hold::Credits);
        }
        self.show(session, id.row(), args, now, out);
        self.node.statistics.remote_requests += 1;
        let token = Token { conn: session.conn, sequence: session.await_reply_with(&mut self.spare) };
        let first_hash = self.keys.first().map_or(KeyHash(0), |key| key.hash);
        // What is long travels alone.
        let extent = args.extent();
        let fits = args.large_argument().is_none() && extent <= JOINED_MAX;
        match out.last_send(to) {
            Some(Message::Directs { directs })
                if directs.unix_micros() == now.unix_micros && fits && directs.has_room_for(extent) =>
            {
                directs.push(session, id, token, first_hash, args);
            }
            Some(message) if fits && may_be_joined(message, now) => {
                let mut directs = self.spare_directs.take();
                directs.begin(now.unix_micros, self.spare_dones.part_with());
                if let Message::Direct { token, request } = &*message {
                    directs.push_request(*token, request);
                }
                directs.push(session, id, token, first_hash, args);
                *message = Message::Directs { directs };
            }
            _ => {
                let request = request(session, id, args, now, first_hash);
                out.push(Effect::Send { to, message: Message::Direct { token, request } });
            }
        }
        Verdict::Done
    }

    /// The one other core where a request runs, if it does.
    fn target(&mut self, row: &Command, args: Args<'_>) -> Option<CoreId> {
        match row.run {
            Run::Plan(_) if (row.whole)(args).is_some() => None,
            Run::Hop(_) | Run::Spread { .. } | Run::Plan(_) => match self.place(row, args) {
                Place::There(core) => Some(core),
                _ => None,
            },
            _ => None,
        }
    }

    /// Finds the keys and their shards.
    #[inline]
    fn place(&mut self, row: &Command, args: Args<'_>) -> Place {
        let Engine { node, keys, owners, known_hash, .. } = self;
        let (cores, me, hasher) = (node.cores, node.core, node.shard.hasher());
        keys.clear();
        owners.clear();
        if let Some(place) = row.keys.only().filter(|place| *place < args.len()) {
            let (hash, owner) = hasher.place(args.at(place), known_hash.filter(|_| place == 1), cores);
            keys.push(KeyRef { place: place as u32, hash });
            owners.push(owner);
            return if owner == me.0 { Place::Here } else { Place::There(CoreId(owner)) };
        }
        let mut is_one = true;
        for place in row.keys.places(args) {
            let known = known_hash.filter(|_| place == 1);
            let (hash, owner) = hasher.place(args.at(place), known, cores);
            keys.push(KeyRef { place: place as u32, hash });
            is_one &= owners.last().is_none_or(|last| *last == owner);
            owners.push(owner);
        }
        match owners.first() {
            _ if !is_one => Place::Several,
            Some(&owner) if owner != me.0 => Place::There(CoreId(owner)),
            _ => Place::Here,
        }
    }

    /// Answers a request that does not run.
    pub(crate) fn refuse(
        &mut self,
        session: &mut Session,
        id: Option<CommandId>,
        args: Args<'_>,
        failure: &Failure,
        out: &mut Effects,
    ) {
        if is_http(args) {
            out.push(Effect::Log {
                level: LogLevel::Warning,
                text: format!(
                    "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to Darter. \
                     Connection from {} aborted.",
                    session.peer.address
                ),
            });
            session.close(Closing::Now);
            return;
        }
        self.node.statistics.error(failure.code());
        if let Some(id) = id {
            self.node.statistics.rejected(id);
        }
        // What was queued since MULTI is spoiled, except by those that are answered at once.
        if let Some(queued) = &mut session.queued
            && id.is_none_or(|id| !is_said_at_once(id.row()) || !id.row().takes(args.len()))
        {
            queued.failed = true;
        }
        let silent = session.reply_mode == ReplyMode::Off || session.reply_mode == ReplyMode::SkipThis;
        if session.reply_mode == ReplyMode::SkipThis {
            session.reply_mode = ReplyMode::On;
        }
        if !silent {
            let resp = session.resp;
            let mut reply = Reply::new(session.reply_end(), resp);
            match id {
                Some(id) => (id.row().tell)(args, failure, &mut reply),
                None => reply.error(failure),
            }
        }
    }

    /// Shows a request to the monitors of all cores.
    #[inline]
    pub(crate) fn show(
        &mut self,
        session: &Session,
        row: &Command,
        args: Args<'_>,
        now: Now,
        out: &mut Effects,
    ) {
        if self.node.feed.is_monitored()
            && session.conn != READER
            && !row.flags.has(Flags::SKIP_MONITOR)
            && !row.flags.has(Flags::ADMIN)
        {
            let line = monitor_line(session, args, now.unix_micros, session.database);
            self.node.feed.push(&line);
            self.show_here(&line, now, out);
        }
    }
}

impl Node {
    /// Counts a command that ran; the call, if it was slow.
    pub(crate) fn ran(
        &mut self,
        id: CommandId,
        args: Args<'_>,
        nanos: u64,
        failed: bool,
    ) -> Option<Box<SlowCall>> {
        self.statistics.ran(id, nanos, failed, self.settings.latency_tracking);
        let flags = id.row().flags;
        let threshold = self.settings.latency_monitor_threshold;
        if threshold > 0 {
            let event = if flags.has(Flags::FAST) { "fast-command" } else { "command" };
            self.latency.note(event, self.now.unix_seconds(), nanos / 1_000_000, threshold);
        }
        let micros = nanos / 1_000;
        let slow_from = self.settings.slowlog_log_slower_than;
        (slow_from >= 0 && micros as i64 >= slow_from && !flags.has(Flags::SKIP_SLOWLOG))
            .then(|| Box::new(SlowCall::new(micros, args)))
    }
}

/// True for a command that was to travel alone and may travel with others.
fn may_be_joined(message: &Message, now: Now) -> bool {
    match message {
        Message::Direct { request, .. } => {
            request.unix_micros == now.unix_micros
                && !matches!(request.command.row().run, Run::Block(_))
                && !request.args.has_large()
                && request.args.block_bytes() <= JOINED_MAX
        }
        _ => false,
    }
}

/// A request as it travels.
pub(crate) fn request(
    session: &Session,
    command: CommandId,
    args: Args<'_>,
    now: Now,
    first_hash: KeyHash,
) -> Request {
    Request {
        command,
        database: session.database,
        resp: session.resp,
        no_touch: session.no_touch,
        client: session.id,
        unix_micros: now.unix_micros,
        clock: 0,
        first_hash,
        args: Packed::new(args),
    }
}

/// What MULTI does not queue: what ends it, and what ends the connection.
fn is_said_at_once(row: &Command) -> bool {
    match row.run {
        Run::Exec | Run::Watch(_) => true,
        _ => row.flags.has(Flags::AT_ONCE),
    }
}

/// A browser that was lured into talking to us says these words first.
fn is_http(args: Args<'_>) -> bool {
    args.is(0, "post") || args.is(0, "host:")
}

/// Takes a reply back that the client did not want (CLIENT REPLY).
fn keep_silent(session: &mut Session, before: ReplyMode, start: usize, awaited: usize) {
    let silent = before == ReplyMode::Off || before == ReplyMode::SkipThis;
    if silent && session.reply_mode == before {
        if session.in_flight() > awaited {
            session.silence_last();
        } else {
            session.reply_end().truncate(start);
        }
        if before == ReplyMode::SkipThis {
            session.reply_mode = ReplyMode::On;
        }
    }
}
