//! The engine of one core: events in, effects out. It routes; the rooms decide.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem::MaybeUninit;
use std::sync::Arc;

use crate::ahead::{AHEAD_MAX, Ahead};
use crate::aof::adopt::READER;
use crate::aof::held::Held;
use crate::aof::pen::LogFlush;
use crate::aof::recover::Recovery;
use crate::args::Span;
use crate::block::Lent;
use crate::config::Settings;
use crate::directs::{Directs, Dones};
use crate::dispatch::Verdict;
use crate::errand::Errands;
use crate::event::{ConnId, CoreId, Door, Effect, Effects, Event, LogLevel, Origin, Peer};
use crate::eviction::room::BANK;
use crate::feed::Topics;
use crate::files::Files;
use crate::gather::Gather;
use crate::hash::KeyHash;
use crate::host::{Instruments, Process};
use crate::limits;
use crate::memcached::watch::Ending;
use crate::message::{Message, Token};
use crate::mutant::planted;
use crate::node::Node;
use crate::protocol::reply::{Failure, Reply};
use crate::protocol::request::{Parsed, RequestError, RequestLimits};
use crate::session::{Closing, Hold, Session, Sessions};
use crate::shard::KeyRef;
use crate::snapshot::keeper::Keeper;
use crate::snapshot::load::Loader;
use crate::time::{Instant, Now};
use crate::txn::coordinator::Coordinator;
use crate::txn::queue::EntryId;
use crate::txn::work::{Ran, TxId};

/// Everything an engine is told once.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Which core this is.
    pub core: CoreId,
    /// Of how many.
    pub cores: u16,
    /// Requests that may be unanswered at each other core: [`limits::credits`], or fewer to make a world small.
    pub credits: usize,
    /// Seeds of the key hash, the same on every core.
    pub hash_seeds: [u64; 4],
    /// Seed of all randomness of this core, different on every core.
    pub random_seed: [u8; 32],
    /// Settings at the start.
    pub settings: Settings,
    /// Facts of the process.
    pub process: Arc<Process>,
    /// Readings for statistics.
    pub instruments: Instruments,
    /// Bytes of the dump that is loaded at the start, if there is one.
    pub load: Option<u64>,
    /// Take snapshots when `save` says so, and at the end.
    pub persists: bool,
}

/// What one core does.
#[derive(Clone)]
pub struct Engine {
    pub(crate) node: Node,
    pub(crate) sessions: Sessions,
    /// Answers that all cores give, not complete yet.
    pub(crate) gathers: BTreeMap<Token, Gather>,
    /// Replies that leave at a later moment (DEBUG SLEEP).
    pub(crate) sleepers: Vec<(Instant, Token)>,
    pub(crate) files: Files,
    /// After [`Event::Stop`]: until when clients may take their last replies.
    pub(crate) stopping: Option<Instant>,
    exit_said: bool,
    next_cron: Instant,
    /// The last sweep found more to do than it was allowed.
    expiry_is_behind: bool,
    next_sweep: Instant,
    /// Reply buffers to be used again.
    pub(crate) spare: Vec<Vec<u8>>,
    pub(crate) spans: Vec<Span>,
    pub(crate) direct_spans: Vec<Span>,
    /// What is understood of the client that is served now.
    ahead: Ahead,
    /// The hash of the running request's first argument, if it is known.
    pub(crate) known_hash: Option<KeyHash>,
    pub(crate) keys: Vec<KeyRef>,
    /// The shards of those, where they may differ.
    pub(crate) owners: Vec<u16>,
    /// Transactions of this core's clients over several shards.
    pub(crate) transactions: Coordinator,
    /// Answers of this core's own shard to its own transactions.
    pub(crate) own_answers: VecDeque<(TxId, EntryId, Ran)>,
    /// The clients that wait, by the moment when their patience ends.
    pub(crate) patience: BTreeSet<(Instant, ConnId)>,
    /// Waiters that are to be tried again as soon as there are credits.
    pub(crate) tries_later: VecDeque<Token>,
    /// Messages to be used again, in the boxes in which they travel.
    #[expect(clippy::vec_box, reason = "it is the boxes that are used again")]
    pub(crate) spare_directs: Vec<Box<Directs>>,
    #[expect(clippy::vec_box, reason = "it is the boxes that are used again")]
    pub(crate) spare_dones: Vec<Box<Dones>>,
    /// The command that may wait and has its session now.
    pub(crate) lent: Option<(Token, Lent)>,
    /// Of the core that keeps snapshots.
    pub(crate) keeper: Keeper,
    /// The dump that it loads.
    pub(crate) loader: Option<Box<Loader>>,
    /// The log that it reads back.
    pub(crate) recovery: Option<Box<Recovery>>,
    /// What transactions of this core ask other servers.
    pub(crate) errands: Errands,
    /// What is said when the log has it.
    pub(crate) held: Held,
}

impl Engine {
    /// A core without clients and keys.
    pub fn new(config: EngineConfig) -> Engine {
        Engine {
            node: Node::new(config),
            sessions: Sessions::default(),
            gathers: BTreeMap::new(),
            sleepers: Vec::new(),
            files: Files::default(),
            stopping: None,
            exit_said: false,
            next_cron: Instant(0),
            expiry_is_behind: false,
            next_sweep: Instant(0),
            spare: Vec::new(),
            spans: Vec::new(),
            direct_spans: Vec::new(),
            ahead: Ahead::default(),
            known_hash: None,
            keys: Vec::new(),
            owners: Vec::new(),
            transactions: Coordinator::default(),
            own_answers: VecDeque::new(),
            patience: BTreeSet::new(),
            tries_later: VecDeque::new(),
            spare_directs: Vec::new(),
            spare_dones: Vec::new(),
            lent: None,
            keeper: Keeper::default(),
            loader: None,
            recovery: None,
            errands: Errands::default(),
            held: Held::default(),
        }
    }

    /// Handles one event to completion, never waits. Returns how many of the bytes of [`Event::Bytes`] were consumed, else 0.
    pub fn handle(&mut self, now: Now, event: Event<'_>, out: &mut Effects) -> usize {
        self.node.now = now;
        self.node.shard.read_clock(now.unix());
        self.node.started_unix.get_or_insert(now.unix_seconds());
        if self.node.statistics.sample(now.mono) {
            self.node.note_peak();
        }
        let mut consumed = 0;
        match event {
            Event::Opened { conn, peer, clients, door } => self.opened(now, conn, peer, clients, door, out),
            Event::Bytes { conn, bytes } => consumed = self.bytes(now, conn, bytes, out),
            Event::Filled { conn, bytes } => self.filled(now, conn, bytes),
            Event::Ended { conn } => self.ended(now, conn, out),
            Event::Closed { conn } => self.closed(conn),
            Event::Message { from, message } => self.message(now, from, message, out),
            Event::Tickets { first } => {
                self.node.queue.draw(first);
                self.transactions.drawn();
                // Nothing begins now: it would have no ticket of those that were drawn.
                return 0;
            }
            Event::Stable { below } => self.node.queue.raise(below),
            Event::Sent { conn, bytes } => self.sent(now, conn, bytes, out),
            Event::Wake => self.wake(now, out),
            Event::Slice { steps } => self.slice(now, steps as usize, out),
            Event::Disk { operation, outcome } => self.disk(now, operation, outcome, out),
            Event::LogWritten { bytes, failure } => self.log_written(now, bytes, failure, out),
            Event::Asked => self.asked_to_stop(out),
            Event::Heard { link, news } => self.heard_abroad(link, news, now, out),
            Event::Start => self.start(now, out),
            Event::Stop => self.stop(now, out),
        }
        self.pump(now, out);
        self.speak(now, out);
        if self.stopping.is_some() && self.sessions.is_empty() && !self.exit_said && self.files.is_idle() {
            self.exit_said = true;
            out.push(Effect::Exit);
        }
        consumed
    }

    /// The bytes to write for `conn`, oldest first, in up to a few slices. While a part of them has not been reported by
    /// [`Event::Sent`], they stay where they are in memory, whatever else is handled, until [`Event::Closed`]: a driver may give their
    /// addresses to the kernel. It asks again only after it has reported everything it was given, or after a partial
    /// `Sent`, which gives the rest first.
    pub fn output(&mut self, conn: ConnId) -> impl Iterator<Item = &[u8]> {
        let spare = &mut self.spare;
        self.sessions.get_mut(conn).map(|session| session.outbox.take(spare)).into_iter().flatten()
    }

    /// What the driver must put into the log, and in which file, before anything else of its turn leaves: asked for at the end of each turn until
    /// there is no more, and answered each time by [`Event::LogWritten`].
    #[inline]
    pub fn log_flush(&mut self) -> Option<LogFlush<'_>> {
        if !self.node.pen.is_in_use() {
            return None;
        }
        self.node.write_down_asides();
        let policy = self.node.settings.appendfsync;
        self.node.pen.flush(policy, self.node.now)
    }

    /// Where the next bytes of this client belong, if a large argument is on its way: a driver may receive them there and say so by
    /// [`Event::Filled`], instead of by [`Event::Bytes`]. The room stays where it is in memory until one of these is handled, or
    /// [`Event::Closed`]: a driver may give its address to the kernel. Empty, if there is none.
    pub fn room(&mut self, conn: ConnId) -> &mut [MaybeUninit<u8>] {
        match self.sessions.get_mut(conn) {
            Some(session) if session.closing == Closing::No && session.hold.is_none() => {
                match &mut session.memcached {
                    Some(parser) => parser.room(),
                    None => session.parser.room(),
                }
            }
            _ => &mut [],
        }
    }

    fn filled(&mut self, now: Now, conn: ConnId, bytes: usize) {
        if let Some(session) = self.sessions.get_mut(conn) {
            match &mut session.memcached {
                Some(parser) => parser.filled(bytes),
                None => session.parser.filled(bytes),
            }
            session.input_total += bytes as u64;
            session.last_active = now.mono;
            self.node.statistics.input_bytes += bytes as u64;
        }
    }

    /// When to call with [`Event::Wake`].
    pub fn deadline(&self) -> Instant {
        let node = &self.node;
        let mut next = Instant::NEVER;
        next = next.min(node.pause.map_or(Instant::NEVER, |pause| pause.until));
        next = next.min(self.sleepers.iter().map(|(at, _)| *at).min().unwrap_or(Instant::NEVER));
        next = next.min(self.stopping.filter(|_| !self.exit_said).unwrap_or(Instant::NEVER));
        if node.asleep_until > node.now.mono {
            next = next.min(node.asleep_until);
        }
        if let Some((until, _)) = self.patience.first() {
            next = next.min(*until);
        }
        if self.needs_cron() {
            next = next.min(self.next_cron);
        }
        next = next.min(self.errands.deadline()).min(self.next_walk());
        next = next.min(self.next_look()).min(self.next_log_deadline()).min(self.next_of_timetable());
        if self.stopping.is_none() {
            next = next.min(node.budget.deadline(node.used_bytes()));
        }
        if let Some(due) = self.flush_at() {
            next = next.min(node.now.mono.after_millis(due.0.saturating_sub(node.now.unix().0)));
        }
        let sweeps = node.may_sweep();
        if let (true, Some(due)) = (sweeps, node.shard.next_sweep()) {
            let wait = due.0.saturating_sub(node.now.unix().0);
            next = next.min(node.now.mono.after_millis(wait).max(self.next_sweep));
        }
        next
    }

    /// True while there is background work for [`Event::Slice`].
    pub fn has_background(&self) -> bool {
        self.expiry_is_behind
            || !self.node.shard.trash.is_empty()
            || self.node.is_behind()
            || self.walks_now()
            || self.loader.as_ref().is_some_and(|loader| loader.wants_step() || loader.wants_credits())
            || self.recovery.as_ref().is_some_and(|recovery| recovery.wants_step())
    }

    /// True while answers of other cores are outstanding: a driver may poll for them instead of sleeping.
    pub fn awaits_cores(&self) -> bool {
        self.node.links.outstanding() > 0
    }

    /// How many tickets the driver has to draw before it pushes what this engine has sent: see [`Event::Tickets`].
    #[inline]
    pub fn undrawn(&self) -> u64 {
        self.transactions.undrawn()
    }

    /// True while a transaction waits here for [`Event::Stable`]: the driver takes another turn instead of sleeping.
    #[inline]
    pub fn has_unstable(&self) -> bool {
        self.node.queue.has_unstable()
    }

    /// True if somebody waits here for a transaction to let go, or in line for keys: then this core is to be woken for releases. Else
    /// they may lie in its ring until it is awake for another reason.
    #[inline]
    pub fn wants_releases(&self) -> bool {
        self.node.queue.has_waiting() || !self.node.shard.waiters.is_empty()
    }

    /// Brings the memory towards the cache that a message will look at when it is handled. Changes nothing that can be observed.
    #[inline]
    pub fn foresee(&self, message: &Message) {
        let prefetch = |database: u16, hash| {
            if let Some(database) = self.node.shard.databases.get(usize::from(database)) {
                database.prefetch(hash);
            }
        };
        match message {
            Message::Direct { request, .. } => prefetch(request.database, request.first_hash),
            Message::Directs { directs } => {
                directs
                    .heads()
                    .iter()
                    .take(AHEAD_MAX)
                    .for_each(|head| prefetch(head.database, head.first_hash));
            }
            _ => {}
        }
    }

    /// Transactions of this core's clients that are not over.
    pub fn transactions(&self) -> &Coordinator {
        &self.transactions
    }

    /// The core without its clients, to be told what to keep.
    pub fn node_mut(&mut self) -> &mut Node {
        &mut self.node
    }

    /// The settings now in force on this core; the driver reads `tcp_keepalive` and the like when it needs them.
    pub fn settings(&self) -> &Settings {
        &self.node.settings
    }

    /// The core without its clients, for drivers that check what they drive.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The clients, for drivers that check what they drive.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    fn opened(&mut self, now: Now, conn: ConnId, peer: Peer, clients: usize, door: Door, out: &mut Effects) {
        let settings = &self.node.settings;
        let refusal = if clients as u64 > u64::from(settings.maxclients) {
            self.node.statistics.refused_connections += 1;
            Some(Failure::TOO_MANY_CLIENTS)
        } else if settings.protected_mode
            && !settings.bind_given
            && settings.requirepass.is_empty()
            && peer.origin == Origin::Remote
        {
            Some(Failure::new(PROTECTED))
        } else {
            None
        };
        let authenticated = settings.requirepass.is_empty();
        let id = self.node.next_client();
        let mut session = Session::new(conn, id, peer, now, authenticated);
        if door == Door::Memcached {
            session.memcached = Some(Box::default());
            self.node.shard.ledger.log.opened(&session);
        }
        self.node.statistics.connections += 1;
        if let Some(refusal) = refusal {
            session.tell(&refusal);
            session.close(Closing::AfterReplies);
        }
        if self.stopping.is_some() {
            session.close(Closing::Now);
        }
        self.sessions.add(session);
        self.settle(conn, now, out);
    }

    fn bytes(&mut self, now: Now, conn: ConnId, bytes: &[u8], out: &mut Effects) -> usize {
        let Some(mut session) = self.sessions.take(conn) else { return bytes.len() };
        if session.closing != Closing::No {
            self.node.links.forget(conn);
            self.sessions.put_back(session);
            return bytes.len();
        }
        session.again = false;
        let fresh = bytes.len().saturating_sub(session.unconsumed) as u64;
        session.input_total += fresh;
        self.node.statistics.input_bytes += fresh;
        if fresh > 0 {
            session.last_active = now.mono;
        }
        if session.memcached.is_some() {
            return self.memcached_bytes(session, now, bytes, out);
        }
        // The parser is taken out because arguments are read from it while the session changes.
        let mut parser = std::mem::take(&mut session.parser);
        let mut consumed = 0;
        let mut commands = 0;
        let mut ahead = std::mem::take(&mut self.ahead);
        ahead.clear();
        while session.hold.is_none() && session.closing == Closing::No {
            let limits = RequestLimits {
                bulk_max: self.node.settings.proto_max_bulk_len,
                authenticated: session.authenticated,
            };
            if ahead.is_over() && !parser.is_within_request() {
                let database = self.node.shard.databases.get(usize::from(session.database));
                let (cores, me) = (self.node.cores, self.node.core.0);
                let is_own = |hash: KeyHash| hash.shard(cores) == me;
                ahead.look(bytes, consumed, &limits, self.node.shard.hasher(), is_own, database);
            }
            let start = consumed;
            let (args, end, hash) = if let Some(next) = ahead.next(bytes) {
                (next.args, next.end, next.hash)
            } else {
                match parser.parse(&bytes[consumed..], &limits) {
                    Parsed::Incomplete => break,
                    Parsed::Error(error) => {
                        self.misunderstood(&mut session, error, out);
                        parser.reset();
                        break;
                    }
                    Parsed::Taken { len } => {
                        consumed += len;
                        break;
                    }
                    Parsed::Request { len } => {
                        // A request that the parser owns is kept there if it must wait.
                        consumed += if parser.owns() { len } else { 0 };
                        (parser.args(&bytes[start..]), start + len, None)
                    }
                }
            };
            if commands == limits::COMMANDS_PER_EVENT {
                if !parser.owns() {
                    parser.reset();
                }
                session.again = true;
                out.push(Effect::ResumeRead { conn });
                break;
            }
            session.unconsumed = bytes.len() - consumed;
            self.known_hash = hash;
            let verdict;
            (session, verdict) = self.dispatch(session, args, now, out);
            self.known_hash = None;
            if verdict == Verdict::Done || !parser.owns() {
                parser.reset();
            }
            if verdict != Verdict::Held(Hold::Credits) {
                self.node.links.forget(conn);
            }
            match verdict {
                Verdict::Done => {
                    consumed = end;
                    commands += 1;
                }
                Verdict::Held(hold) => session.hold = Some(hold),
            }
        }
        session.parser = parser;
        self.ahead = ahead;
        if session.closing != Closing::No {
            consumed = bytes.len();
        }
        session.unconsumed = bytes.len() - consumed;
        self.judge_input(&mut session, out);
        let waits = session.blocked.is_some();
        self.sessions.put_back(session);
        if waits {
            self.give_up_if_ended(conn);
        }
        self.settle(conn, now, out);
        consumed
    }

    /// A client is told what is wrong with its bytes, and closed.
    fn misunderstood(&mut self, session: &mut Session, error: RequestError, out: &mut Effects) {
        let failure = Failure::text(format!("ERR Protocol error: {}", error.text()));
        self.node.statistics.error(failure.code());
        let resp = session.resp;
        Reply::new(session.reply_end(), resp).error(&failure);
        out.push(Effect::Log {
            level: LogLevel::Verbose,
            text: format!("Protocol error ({}) from client {}", error.text(), session.peer.address),
        });
        session.close(Closing::AfterReplies);
    }

    /// Bounds what a client may send ahead.
    pub(crate) fn judge_input(&mut self, session: &mut Session, out: &mut Effects) {
        let limit = self.node.settings.client_query_buffer_limit;
        let taken = match &session.memcached {
            Some(parser) => parser.taken_bytes(),
            None => session.parser.taken_bytes(),
        };
        if (session.unconsumed + taken) as u64 > limit {
            self.node.statistics.query_limit_disconnections += 1;
            out.push(Effect::Log {
                level: LogLevel::Warning,
                text: format!("Closing client {} that reached max query buffer length", session.peer.address),
            });
            session.close(Closing::Now);
        } else if session.hold.is_some()
            && session.unconsumed > limits::HELD_INPUT_MAX
            && !session.read_paused
        {
            session.read_paused = true;
            out.push(Effect::PauseRead { conn: session.conn });
        }
    }

    fn sent(&mut self, now: Now, conn: ConnId, bytes: usize, out: &mut Effects) {
        self.node.statistics.output_bytes += bytes as u64;
        if let Some(session) = self.sessions.get_mut(conn) {
            session.outbox.sent(bytes, &mut self.spare);
            self.settle(conn, now, out);
        }
    }

    fn ended(&mut self, now: Now, conn: ConnId, out: &mut Effects) {
        if let Some(session) = self.sessions.get_mut(conn) {
            session.ended = true;
            self.give_up_if_ended(conn);
            self.settle(conn, now, out);
        }
    }

    fn closed(&mut self, conn: ConnId) {
        if let Some(mut session) = self.sessions.take(conn) {
            self.node.client_bytes -= session.counted_bytes();
            if !planted("close forgets the parked entry") {
                self.node.links.forget(conn);
            }
            self.end_listening(&session);
            if !planted("close forgets what the client watches") {
                self.node.unwatch(&mut session);
            }
            if !planted("close forgets that the client waits") {
                self.abandon_wait(&mut session);
            }
            self.sessions.end(session);
        }
    }

    /// After anything has happened to a client: tells the driver what follows.
    pub(crate) fn settle(&mut self, conn: ConnId, now: Now, out: &mut Effects) {
        if conn == READER {
            return self.command_is_answered(out);
        }
        let Some(session) = self.sessions.get_mut(conn) else { return };
        let (now_bytes, before) = session.recount();
        self.node.client_bytes = self.node.client_bytes + now_bytes - before;
        if session.close_said {
            return;
        }
        let class = self.node.settings.client_output_buffer_limit[0];
        let monitor_is_behind =
            session.listens.meets(Topics::REQUESTS) && session.output_len() > limits::OUTPUT_HIGH;
        if session.is_over(class, now.mono) || monitor_is_behind {
            self.node.statistics.output_limit_disconnections += 1;
            out.push(Effect::Log {
                level: LogLevel::Warning,
                text: format!(
                    "Client {} scheduled to be closed ASAP for overcoming of output buffer limits",
                    session.peer.address
                ),
            });
            session.close(Closing::Now);
        }
        if session.ended && session.hold.is_none() && !session.again {
            session.close(Closing::AfterReplies);
        }
        let loses = match session.ended {
            true => planted("a half-closed client loses replies under way"),
            false => planted("a client that quits loses replies under way"),
        };
        let is_awaiting = session.in_flight() > 0 && !loses;
        match session.closing {
            Closing::No => {}
            Closing::AfterReplies if is_awaiting || !session.outbox.is_empty() => {}
            Closing::AfterReplies | Closing::Now => {
                session.close_said = true;
                out.push(Effect::Close { conn });
                return;
            }
        }
        if session.outbox.announce() {
            out.push(Effect::TakeOutput { conn });
        }
        let over = match session.hold {
            Some(Hold::Output) => session.output_len() <= limits::OUTPUT_LOW,
            Some(Hold::Order) => session.in_flight() == 0,
            Some(Hold::Crawl) => {
                let room = session.crawl.is_none() || session.output_len() <= limits::CRAWL_OUTPUT_MAX;
                session.in_flight() == 0 && room
            }
            Some(Hold::InFlight) => session.in_flight() <= limits::IN_FLIGHT_MAX / 2,
            _ => false,
        };
        if over {
            release(session, out);
        }
    }

    /// Lets clients go on whose wait for a credit is over, and says to other cores what there is to say.
    fn speak(&mut self, now: Now, out: &mut Effects) {
        if self.node.links.may_resume() && !planted("a parked client is not resumed") {
            for conn in self.node.links.resume() {
                if let Some(session) = self.sessions.get_mut(conn) {
                    release(session, out);
                }
            }
        }
        if self.node.budget.is_due(now.mono)
            && self.stopping.is_none()
            && let Some(report) = self.node.tend_budget()
        {
            out.push(Effect::Send { to: BANK, message: Message::Budget { report } });
        }
        if self.node.shard.ledger.log.has_lines() {
            self.show_log(now, out);
        }
        if self.node.feed.has_news() {
            self.speak_feed(out);
        }
        self.speak_of_log(now, out);
        self.speak_of_snapshots(now, out);
        if !self.tries_later.is_empty() {
            self.try_those_left(now, out);
        }
        self.node.speak_of_leaving(out);
        while let Some((core, watcher)) = self.node.unwatched.front().copied() {
            if !self.node.links.take(core) {
                break;
            }
            self.node.unwatched.pop_front();
            out.push(Effect::Send { to: core, message: Message::Unwatch { watcher } });
        }
    }

    fn wake(&mut self, now: Now, out: &mut Effects) {
        if self.node.pause.is_some_and(|pause| pause.until <= now.mono) {
            self.node.pause = None;
        }
        self.time_out_due(now, out);
        self.flush_if_due(now, out);
        self.release_held(now, out);
        let due: Vec<Token> =
            self.sleepers.iter().filter(|(at, _)| *at <= now.mono).map(|(_, t)| *t).collect();
        self.sleepers.retain(|(at, _)| *at > now.mono);
        for token in due {
            self.wake_sleeper(token, now, out);
        }
        if now.mono >= self.next_cron {
            self.cron(now, out);
        }
        self.time_out_errands(now, out);
        self.look_at_changes(now, out);
        self.look_at_timetable(now, out);
        self.end_mark_waits(now, out);
        self.judge_log(now);
        if self.stopping.is_some_and(|until| until <= now.mono) {
            let conns: Vec<ConnId> = self.sessions.iter().map(|session| session.conn).collect();
            self.end_all(&conns, Closing::Now, now, out);
        }
        if self.node.may_sweep() && self.next_sweep <= now.mono {
            self.next_sweep = now.mono.after_millis(limits::SWEEP_PAUSE_MILLIS);
            self.sweep(now, limits::SWEEP_STEPS);
        }
    }

    /// Clients whose pause or sleep is over.
    pub(crate) fn release_held(&mut self, now: Now, out: &mut Effects) {
        let (pause, asleep_until) = (self.node.pause, self.node.asleep_until);
        for session in self.sessions.iter_mut() {
            let over = match session.hold {
                Some(Hold::Pause) => pause.is_none_or(|pause| !pause.all),
                Some(Hold::Sleep(_)) => asleep_until <= now.mono,
                _ => false,
            };
            if over {
                release(session, out);
            }
        }
    }

    fn needs_cron(&self) -> bool {
        !self.sessions.is_empty()
            && (self.node.settings.timeout > 0 || self.node.settings.client_output_buffer_limit[0].soft > 0)
    }

    /// Idle clients, and those that stay above the soft limit.
    fn cron(&mut self, now: Now, out: &mut Effects) {
        self.next_cron = now.mono.after_millis(limits::CRON_MILLIS);
        if !self.needs_cron() {
            return;
        }
        let timeout = self.node.settings.timeout;
        let mut idle = Vec::new();
        let mut above = Vec::new();
        for session in self.sessions.iter_mut() {
            let quiet = now.mono.millis_since(session.last_active) >= timeout.saturating_mul(1_000);
            let is_idle = quiet && session.listens.is_empty() && session.in_flight() == 0;
            if timeout > 0 && is_idle && session.hold.is_none() {
                session.ending = Ending::Idle;
                idle.push(session.conn);
            } else if session.above_soft_since.is_some() {
                above.push(session.conn);
            }
        }
        self.end_all(&idle, Closing::Now, now, out);
        for conn in above {
            self.settle(conn, now, out);
        }
    }

    fn slice(&mut self, now: Now, steps: usize, out: &mut Effects) {
        self.load_some(steps, now, out);
        self.recover_some(steps, now, out);
        self.walk_on(steps, now.mono);
        let left = self.node.shard.free_some(steps);
        if self.expiry_is_behind && left > 0 {
            self.sweep(now, left);
        }
        self.node.let_some_go(left);
    }

    fn sweep(&mut self, now: Now, steps: usize) {
        let started = (self.node.instruments.stopwatch)();
        self.expiry_is_behind = self.node.shard.active_expire && self.node.expire_some(now.unix(), steps);
        let millis = (self.node.instruments.stopwatch)().saturating_sub(started) / 1_000_000;
        let threshold = self.node.settings.latency_monitor_threshold;
        self.node.latency.note("expire-cycle", now.unix_seconds(), millis, threshold);
    }

    fn stop(&mut self, now: Now, out: &mut Effects) {
        if self.stopping.is_some() {
            return;
        }
        self.stopping = Some(now.mono.after_millis(limits::STOP_MILLIS));
        let conns: Vec<ConnId> = self.sessions.iter().map(|session| session.conn).collect();
        for &conn in &conns {
            // Who has sent something that is not answered is told; everybody else sees the end of the stream.
            if let Some(session) = self.sessions.get_mut(conn)
                && session.unconsumed > 0
                && session.closing == Closing::No
            {
                session.tell(&Failure::new("ERR the server is shutting down"));
            }
        }
        self.node.pen.is_ending = true;
        self.end_waits();
        self.end_asks(now, out);
        self.stop_keeping(out);
        self.end_all(&conns, Closing::AfterReplies, now, out);
    }

    pub(crate) fn end_all(&mut self, conns: &[ConnId], how: Closing, now: Now, out: &mut Effects) {
        for &conn in conns {
            if let Some(session) = self.sessions.get_mut(conn) {
                session.close(how);
                self.settle(conn, now, out);
            }
        }
    }
}

/// Lets a client's held request be looked at again.
pub(crate) fn release(session: &mut Session, out: &mut Effects) {
    if planted("a resumed client stays held") {
        return;
    }
    session.hold = None;
    session.read_paused = false;
    session.again = true;
    if planted("a resumed client is not fed again") || session.conn == READER {
        return;
    }
    out.push(Effect::ResumeRead { conn: session.conn });
}

const PROTECTED: &str = "DENIED Darter is running in protected mode because protected mode is enabled and no password is set for \
the default user. In this mode connections are only accepted from the loopback interface. If you want to connect from external \
computers, do one of these: 1) send 'CONFIG SET protected-mode no' from the loopback interface, and CONFIG REWRITE to make it \
permanent, but make sure that the server cannot be reached from the internet; 2) set protected-mode to 'no' in the configuration \
file and restart; 3) start the server with '--protected-mode no'; 4) set a password with requirepass, or an address with bind.";
