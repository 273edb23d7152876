//! The engine of one core: events in, effects out. It routes; the rooms decide.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem::MaybeUninit;
use std::sync::Arc;

use crate::ahead::{AHEAD_MAX, Ahead};
use crate::aof::held::Held;
use crate::aof::pen::LogFlush;
use crate::aof::recover::Recovery;
use crate::args::Span;
use crate::block::Lent;
use crate::clients::release;
use crate::config::Settings;
use crate::directs::{Directs, Dones};
use crate::errand::Errands;
use crate::event::{ConnId, CoreId, Effect, Effects, Event};
use crate::eviction::room::BANK;
use crate::files::Files;
use crate::gather::Gather;
use crate::hash::KeyHash;
use crate::host::{Instruments, Process};
use crate::message::{Message, Token};
use crate::mutant::planted;
use crate::node::Node;
use crate::session::Closing;
use crate::sessions::Sessions;
use crate::shard::KeyRef;
use crate::snapshot::keeper::Keeper;
use crate::snapshot::load::Loader;
use crate::spare::Spare;
use crate::time::{Instant, Now};
use crate::together::Together;
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
    pub(crate) exit_said: bool,
    pub(crate) next_cron: Instant,
    /// The last sweep found more to do than it was allowed.
    pub(crate) expiry_is_behind: bool,
    pub(crate) next_sweep: Instant,
    /// Reply buffers to be used again.
    pub(crate) spare: Vec<Vec<u8>>,
    pub(crate) spans: Vec<Span>,
    /// What is understood of the client that is served now.
    pub(crate) ahead: Ahead,
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
    pub(crate) spare_directs: Spare<Directs>,
    pub(crate) spare_dones: Spare<Dones>,
    /// Clients whose output waits for more.
    pub(crate) together: Together,
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
            ahead: Ahead::default(),
            known_hash: None,
            keys: Vec::new(),
            owners: Vec::new(),
            transactions: Coordinator::default(),
            own_answers: VecDeque::new(),
            patience: BTreeSet::new(),
            tries_later: VecDeque::new(),
            spare_directs: Spare::default(),
            spare_dones: Spare::default(),
            together: Together::default(),
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
        self.sessions.get_mut(conn).map(|session| session.take_output(spare)).into_iter().flatten()
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
}
