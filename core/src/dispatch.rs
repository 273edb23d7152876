//! One request on its way: what it names, whether it may run, where it runs.
//!
//! It knows the properties of rows. It does not know what any command does.

use crate::args::{Args, Packed};
use crate::command::row::{Command, Flags, Group, Run};
use crate::command::table::{self, CommandId, Found};
use crate::config::Access;
use crate::engine::Engine;
use crate::event::{CoreId, Effect, Effects, LogLevel, Origin};
use crate::feed::monitor_line;
use crate::hash::{KeyHash, placement_part};
use crate::limits;
use crate::message::{Message, Request, Token};
use crate::node::{Local, Node};
use crate::protocol::chunks::Chunks;
use crate::protocol::reply::{Failure, Outcome, Reply, Resp};
use crate::session::{Closing, Hold, ReplyMode, Session};
use crate::shard::{Cx, KeyRef};
use crate::slowlog::SlowCall;
use crate::time::{Now, UnixMillis};

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

/// How a command that ran on a shard went.
pub(crate) struct Ran {
    pub(crate) slow: Option<Box<SlowCall>>,
}

/// The circumstances of a hop besides its arguments.
pub(crate) struct Circumstances {
    pub(crate) id: CommandId,
    pub(crate) database: u16,
    pub(crate) resp: Resp,
    pub(crate) no_touch: bool,
    pub(crate) unix_micros: u64,
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
                return (session, Verdict::Done);
            }
        };
        let row = id.row();
        // Who administers connections may end the pause; everybody else waits, as in Redis.
        let may_end_it = row.group == Group::Connection && row.flags.has(Flags::ADMIN);
        if let Some(pause) = self.node.pause
            && (pause.all && !may_end_it || row.flags.has(Flags::WRITE))
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
        if verdict == Verdict::Done {
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
        let verdict = match row.run {
            Run::Local(run) => {
                self.show(&session, row, args, now, out);
                self.run_local(&mut session, id, args, now, out, |local, reply| run(local, args, reply));
                Verdict::Done
            }
            Run::Hop(_) => match self.place(row, args) {
                Place::Here => {
                    self.show(&session, row, args, now, out);
                    self.run_here(&mut session, id, args, now);
                    Verdict::Done
                }
                Place::There(core) => self.send_direct(&mut session, core, id, args, now, out),
                Place::Several => {
                    let failure = Failure::new("ERR keys on several shards are not supported yet");
                    self.refuse(&mut session, Some(id), args, &failure, out);
                    Verdict::Done
                }
            },
            Run::Visit { shard, .. } => match shard(args, self.node.cores) {
                Ok(shard) if shard == self.node.core.0 => {
                    self.keys.clear();
                    self.show(&session, row, args, now, out);
                    self.run_here(&mut session, id, args, now);
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
            Run::Gather { check, .. } => return self.begin_gather(session, id, args, check, now, out),
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
        let started = (self.node.instruments.stopwatch)();
        let resp = session.resp;
        let mut local = Local { node: &mut self.node, session, now, out, deferred: None };
        let outcome = run(&mut local, &mut Reply::new(&mut chunks, resp));
        let deferred = local.deferred.take();
        let failed = outcome.is_err();
        if let Err(failure) = outcome {
            chunks.truncate(start);
            Reply::new(&mut chunks, session.resp).error(&failure);
            self.node.statistics.error(failure.code());
        }
        let nanos = (self.node.instruments.stopwatch)().saturating_sub(started);
        let slow = self.node.ran(id, args, nanos, failed);
        if let Some(call) = slow {
            self.node.keep_slow(*call, session);
        }
        match deferred {
            Some(deferred) if !failed => {
                // What was written becomes a reply that is awaited.
                let mut reply = Chunks::default();
                reply.tail().extend_from_slice(&chunks.to_vec()[start..]);
                chunks.truncate(start);
                *session.reply_end() = chunks;
                let token = Token { conn: session.conn, sequence: session.await_reply() };
                self.defer(token, deferred, reply, out);
            }
            _ => *session.reply_end() = chunks,
        }
    }

    /// Runs a hop on this core's own shard; its keys are in `self.keys`.
    fn run_here(&mut self, session: &mut Session, id: CommandId, args: Args<'_>, now: Now) {
        let circumstances = Circumstances {
            id,
            database: session.database,
            resp: session.resp,
            no_touch: session.no_touch,
            unix_micros: now.unix_micros,
        };
        let ran = run_hop(&mut self.node, &self.keys, &circumstances, args, session.reply_end());
        if let Some(call) = ran.slow {
            self.node.keep_slow(*call, session);
        }
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
        if !self.node.links.take(to) {
            self.node.links.park(to, session.conn);
            return Verdict::Held(Hold::Credits);
        }
        self.show(session, id.row(), args, now, out);
        self.node.statistics.remote_requests += 1;
        let token = Token { conn: session.conn, sequence: session.await_reply() };
        let first_hash = self.keys.first().map_or(KeyHash(0), |key| key.hash);
        let request = request(session, id, args, now, first_hash);
        out.push(Effect::Send { to, message: Message::Direct { token, request } });
        Verdict::Done
    }

    /// Finds the keys and their shard.
    #[inline]
    fn place(&mut self, row: &Command, args: Args<'_>) -> Place {
        let (cores, me) = (self.node.cores, self.node.core);
        let hasher = self.node.shard.hasher().clone();
        self.keys.clear();
        let mut owner = None;
        for place in row.keys.places(args) {
            let key = args.at(place);
            let hash = hasher.hash(key);
            self.keys.push(KeyRef { place: place as u32, hash });
            if cores == 1 {
                continue;
            }
            let part = placement_part(key);
            let shard =
                if part.len() == key.len() { hash.shard(cores) } else { hasher.hash(part).shard(cores) };
            match owner {
                None => owner = Some(shard),
                Some(other) if other == shard => {}
                Some(_) => return Place::Several,
            }
        }
        match owner {
            Some(shard) if shard != me.0 => Place::There(CoreId(shard)),
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
        let silent = session.reply_mode == ReplyMode::Off || session.reply_mode == ReplyMode::SkipThis;
        if session.reply_mode == ReplyMode::SkipThis {
            session.reply_mode = ReplyMode::On;
        }
        if !silent {
            let resp = session.resp;
            Reply::new(session.reply_end(), resp).error(failure);
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
        if self.node.feed.is_watched() && !row.flags.has(Flags::SKIP_MONITOR) && !row.flags.has(Flags::ADMIN)
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

/// Runs one command on this core's shard and writes its reply, or why there is none, at the end of `chunks`.
#[inline]
pub(crate) fn run_hop(
    node: &mut Node,
    keys: &[KeyRef],
    circumstances: &Circumstances,
    args: Args<'_>,
    chunks: &mut Chunks,
) -> Ran {
    let row = circumstances.id.row();
    let started = (node.instruments.stopwatch)();
    let start = chunks.len();
    let access = node.access_rule(circumstances.no_touch, circumstances.unix_micros);
    let unix = node.shard.judge(UnixMillis(circumstances.unix_micros / 1_000));
    let outcome = if row.flags.has(Flags::DENYOOM) && node.is_out_of_memory() {
        Err(Failure::OUT_OF_MEMORY)
    } else {
        let apply = match row.run {
            Run::Hop(apply) | Run::Visit { apply, .. } => apply,
            _ => unreachable!("only commands with keys run on a shard"),
        };
        let mut cx = Cx {
            shard: &mut node.shard,
            database: usize::from(circumstances.database),
            now: unix,
            settings: &node.settings,
            keys,
            access,
            next_shard: Some(node.core.0 + 1).filter(|&next| next < node.cores),
        };
        let outcome = apply(&mut cx, args, &mut Reply::new(chunks, circumstances.resp));
        cx.remove_due(args);
        outcome
    };
    let failed = outcome.is_err();
    if let Err(failure) = outcome {
        chunks.truncate(start);
        Reply::new(chunks, circumstances.resp).error(&failure);
        node.statistics.error(failure.code());
    }
    let nanos = (node.instruments.stopwatch)().saturating_sub(started);
    Ran { slow: node.ran(circumstances.id, args, nanos, failed) }
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

/// Everything that can be said against a request before it runs, in the order in which Redis says it.
fn admit(node: &Node, session: &Session, args: Args<'_>) -> Result<CommandId, (Option<CommandId>, Failure)> {
    let id = match table::find(args) {
        Found::Command(id) => id,
        Found::UnknownSubcommand(id) => return Err((Some(id), unknown_subcommand(id, args))),
        Found::Unknown => return Err((None, unknown_command(args))),
    };
    let row = id.row();
    if !row.takes(args.len()) {
        let failure = if is_loose(id) { unknown_subcommand(id, args) } else { wrong_arity(id) };
        return Err((Some(id), failure));
    }
    if row.flags.has(Flags::PROTECTED) {
        let allowed = match node.settings.enable_debug_command {
            Access::Yes => true,
            Access::Local => session.peer.origin != Origin::Remote,
            Access::No => false,
        };
        if !allowed {
            return Err((Some(id), NOT_ALLOWED));
        }
    }
    if !session.authenticated && !row.flags.has(Flags::NO_AUTH) {
        return Err((Some(id), Failure::new("NOAUTH Authentication required.")));
    }
    Ok(id)
}

const NOT_ALLOWED: Failure = Failure::new(
    "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local connection, \
     otherwise you need to set this option in the configuration file, and then restart the server.",
);

fn wrong_arity(id: CommandId) -> Failure {
    Failure::text(format!("ERR wrong number of arguments for '{}' command", id.full_name()))
}

/// Bytes of a client's words that an error repeats.
const REPEATED_MAX: usize = 128;

fn unknown_command(args: Args<'_>) -> Failure {
    let mut beginning = String::new();
    for argument in args.skip(1).iter() {
        if beginning.len() >= REPEATED_MAX {
            break;
        }
        let room = REPEATED_MAX - beginning.len();
        beginning.push_str(&format!("'{}' ", shown(argument, room)));
    }
    Failure::text(format!(
        "ERR unknown command '{}', with args beginning with: {beginning}",
        shown(args.at(0), REPEATED_MAX)
    ))
}

/// True for the subcommands of DEBUG, which for Redis are no commands of their own: it does not tell a wrong word from a wrong number.
fn is_loose(id: CommandId) -> bool {
    id.row().flags.has(Flags::PROTECTED) && id.placed().parent.is_some()
}

fn unknown_subcommand(id: CommandId, args: Args<'_>) -> Failure {
    let container = id.placed().parent.unwrap_or(id).row();
    let or_number =
        if container.flags.has(Flags::PROTECTED) { " or wrong number of arguments for" } else { "" };
    Failure::text(format!(
        "ERR unknown subcommand{or_number} '{}'. Try {} HELP.",
        shown(args.at(1), REPEATED_MAX),
        container.name.to_uppercase()
    ))
}

fn shown(word: &[u8], max: usize) -> String {
    String::from_utf8_lossy(&word[..word.len().min(max)]).into_owned()
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
