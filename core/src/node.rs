//! What one core has besides its clients, and what commands see of it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::aof::pen::{Pen, SyncPolicy};
use crate::config::Settings;
use crate::config::order::ChangeOrder;
use crate::engine::EngineConfig;
use crate::event::{ConnId, CoreId, Effect, Effects, LogLevel};
use crate::eviction::budget::{Bank, Budget};
use crate::eviction::policy::Policy;
use crate::eviction::room::Shortness;
use crate::feed::{Feed, Topics};
use crate::hash::KeyHasher;
use crate::host::{Instruments, Process};
use crate::latency::LatencyMonitor;
use crate::links::Links;
use crate::memcached::stamp::Stamps;
use crate::memcached::watch::Log;
use crate::message::{Stamp, Token};
use crate::protocol::reply::Resp;
use crate::random::Random;
use crate::session::{ClientId, Closing, Session};
use crate::sessions::Sessions;
use crate::shard::Shard;
use crate::slowlog::{SlowCall, SlowEntry, Slowlog};
use crate::snapshot::asks::Asks;
use crate::snapshot::status::Status;
use crate::statistics::Statistics;
use crate::time::{Instant, Now, UnixMillis};
use crate::txn::coordinator::Coordinator;
use crate::txn::intent::Fingerprint;
use crate::txn::queue::Queue;
use crate::txn::watch::Watcher;
use crate::txn::work::{TxId, Work};
use crate::value::access::AccessRule;

/// Bytes that a core takes before it holds a key: counted, so that `maxmemory` means all that there is.
pub const FIXED_BYTES: usize = 256 << 10;

/// CLIENT PAUSE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pause {
    /// Until when.
    pub until: Instant,
    /// False: only commands that write.
    pub all: bool,
}

/// Why somebody who waited was not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unserved {
    /// Its time is up.
    TimedOut,
    /// CLIENT UNBLOCK.
    Unblocked {
        /// It hears an error, else the same as if its time were up.
        with_error: bool,
    },
    /// It is gone.
    Gone,
}

/// What a core has done, for drivers that check the order.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Applied {
    /// The next request of this core's client runs at once on its own shard; it is taken when it has.
    Here {
        /// The client's connection.
        conn: ConnId,
        /// It is an EXEC, and what was watched has changed: nothing was done.
        refused: bool,
    },
    /// The next request of this core's client was taken.
    Taken {
        /// The client's connection.
        conn: ConnId,
        /// Of its reply, if it is still awaited: [`Token::sequence`].
        sequence: Option<u64>,
    },
    /// A transaction of this core has begun; it will answer this. The request is taken after that.
    Began {
        /// The transaction.
        tx: TxId,
        /// The reply.
        token: Token,
    },
    /// Keys went because memory was short; [`crate::eviction::victims::Victims::take_told`] names them, in the order of these lines.
    Evicted {
        /// How many.
        keys: u32,
    },
    /// What is noted next has found no room, or could not be written down: nothing of it was done.
    NoRoom,
    /// A command of a client of core `from`, or several that take effect as one.
    Direct {
        /// Who asked.
        from: CoreId,
        /// The reply.
        token: Token,
    },
    /// A client of core `from` has found nothing and is in line here, or is so again; a transaction notes it when it gets in line.
    Waits {
        /// Whose client.
        from: CoreId,
        /// The reply.
        token: Token,
    },
    /// A client of core `from` is in line here no more. It was not served here.
    Left {
        /// Whose client.
        from: CoreId,
        /// The reply.
        token: Token,
    },
    /// A client of this core that waits is to be served, or tried again, and its wait ends in no other way meanwhile.
    Claimed {
        /// The reply.
        token: Token,
    },
    /// There was nothing for it any more: it waits on.
    Unclaimed {
        /// The reply.
        token: Token,
    },
    /// A client of core `from` that waited was served.
    Served {
        /// Whose client.
        from: CoreId,
        /// The reply.
        token: Token,
    },
    /// A client of this core waits no more and was not served.
    GaveUp {
        /// The reply.
        token: Token,
        /// Why.
        why: Unserved,
    },
    /// A step of a transaction that core `from` coordinates.
    Part {
        /// Who coordinates.
        from: CoreId,
        /// The transaction.
        tx: TxId,
        /// Of a plan, which step, from 0.
        step: u8,
    },
    /// A transaction of this core is over.
    Ended {
        /// The transaction.
        tx: TxId,
        /// What was watched has changed: nothing was done.
        refused: bool,
    },
}

/// A line of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Noted {
    /// What was done.
    pub applied: Applied,
    /// By which instant the shard judges expiry from then on.
    pub judged: UnixMillis,
}

/// One core without its clients.
#[derive(Clone)]
pub struct Node {
    /// Which core.
    pub core: CoreId,
    /// Of how many.
    pub cores: u16,
    /// What is configured.
    pub settings: Settings,
    /// Which changes of the settings hold.
    pub changes: ChangeOrder,
    /// Counts the questions to all cores, its own and those that it has seen: see [`Stamp`].
    pub clock: u64,
    /// The data.
    pub shard: Shard,
    /// What waits for it and what is locked in it.
    pub queue: Queue<Work>,
    /// What it counts.
    pub statistics: Statistics,
    /// The slow calls of its clients.
    pub slowlog: Slowlog,
    /// The spikes it has seen.
    pub latency: LatencyMonitor,
    /// Credits at other cores.
    pub links: Links,
    /// What MONITOR shows.
    pub feed: Feed,
    /// How snapshots and loading stand.
    pub status: Status,
    /// What is written down of all changes.
    pub pen: Pen,
    /// What is asked of the keeper of snapshots.
    pub asks: Asks,
    /// Snapshots are taken by themselves, and at the end.
    pub(crate) persists: bool,
    /// Of [`Status::saves`], how many have been noticed here.
    pub(crate) saves_seen: u64,
    /// Some commands are refused now: see [`Node::gate`].
    pub(crate) is_gated: bool,
    /// Facts of the process.
    pub process: Arc<Process>,
    /// Readings for statistics.
    pub instruments: Instruments,
    /// Its randomness.
    pub random: Random,
    /// CLIENT PAUSE.
    pub pause: Option<Pause>,
    /// DEBUG SLEEP: nothing is begun before this moment.
    pub asleep_until: Instant,
    /// Wall clock of the first event, seconds.
    pub started_unix: Option<u64>,
    /// The latest `Now`.
    pub now: Now,
    /// The eviction policy by which keys were judged last.
    policy: Policy,
    /// This core's part of `maxmemory`.
    pub budget: Budget,
    /// The parts of all, on core 0.
    pub bank: Option<Box<Bank>>,
    /// Whether memory is short.
    pub shortness: Shortness,
    /// Bytes of clients: what they have said and not heard yet, and what is kept of each.
    pub client_bytes: usize,
    clients_made: u64,
    /// Rounds of WATCH that are over, to be told to their shards.
    pub(crate) unwatched: VecDeque<(CoreId, Watcher)>,
    /// Waiters that wait no more, to be told to the shards where they are in line.
    pub(crate) leaving: VecDeque<(CoreId, Token)>,
    /// Rounds of WATCH, and of which core's clients, that end here when nothing of their clients waits any more.
    pub(crate) late_rounds: Vec<(CoreId, Watcher)>,
    /// By which instant each transaction that is held here has judged, by its entry's index.
    pub(crate) instants: Vec<Option<UnixMillis>>,
    /// What ran, in order, if a driver wants to know.
    journal: Option<Vec<Noted>>,
}

impl Node {
    /// A core at its start.
    pub fn new(config: EngineConfig) -> Node {
        let hasher = KeyHasher::new(config.hash_seeds);
        let mut random = Random::new(config.random_seed);
        let mut shard_seed = [0; 32];
        shard_seed.chunks_mut(8).for_each(|part| part.copy_from_slice(&random.draw().to_le_bytes()));
        let mut shard = Shard::new(hasher, config.settings.databases, Random::new(shard_seed));
        shard.ledger.stamps = Stamps::new(config.core.0, config.cores);
        shard.ledger.log = Log::new(config.core.0, config.cores);
        let mut node = Node {
            core: config.core,
            cores: config.cores,
            shard,
            queue: Queue::default(),
            settings: config.settings,
            changes: ChangeOrder::default(),
            clock: 0,
            statistics: Statistics::default(),
            slowlog: Slowlog::default(),
            latency: LatencyMonitor::default(),
            links: Links::new(config.core, config.cores, config.credits),
            feed: Feed::new(config.core, config.cores),
            status: Status {
                is_loading: config.load.is_some(),
                loading_bytes: config.load.unwrap_or_default(),
                ..Status::default()
            },
            pen: Pen::default(),
            asks: Asks::default(),
            persists: config.persists,
            saves_seen: 0,
            is_gated: false,
            process: config.process,
            instruments: config.instruments,
            random,
            pause: None,
            asleep_until: Instant(0),
            started_unix: None,
            now: Now::default(),
            policy: Policy::NoEviction,
            budget: Budget::new(config.cores),
            bank: (config.core.0 == 0).then(|| Box::new(Bank::new(config.cores))),
            shortness: Shortness::default(),
            client_bytes: 0,
            clients_made: 0,
            unwatched: VecDeque::new(),
            leaving: VecDeque::new(),
            late_rounds: Vec::new(),
            instants: Vec::new(),
            journal: None,
        };
        // Who went while a log was written is told by the log.
        node.shard.judge_nothing(node.status.is_loading && node.settings.appendonly);
        node.settings_changed();
        node
    }

    /// True if keys may go because their time has come: as in Redis not while clients are paused, nor while what follows in a log may give them
    /// another.
    #[inline]
    pub(crate) fn may_sweep(&self) -> bool {
        self.shard.active_expire && self.pause.is_none() && !self.is_loading()
    }

    /// Derives again what follows from the settings.
    pub fn settings_changed(&mut self) {
        self.gate();
        if !self.settings.appendonly && self.pen.is_on() {
            self.turn_page(None);
        }
        // That everything is synced is said with the next mark: what was written before may not be.
        if self.settings.appendfsync != SyncPolicy::Always {
            self.note_policy();
        }
        let policy = self.settings.maxmemory_policy;
        if std::mem::replace(&mut self.policy, policy) != policy {
            self.shard.victims.forget();
        }
        self.budget.set_limit(self.settings.maxmemory);
        self.shortness.in_vain_at = 0;
    }

    /// Finds out whether commands are refused because a dump is being loaded, because snapshots fail, or because a log cannot be written.
    pub(crate) fn gate(&mut self) {
        self.asks.tell_of_log(self.pen.failure());
        self.is_gated = self.status.is_loading || self.refuses_writes() || self.log_failure().is_some();
    }

    /// True while snapshots fail that are to be taken.
    pub(crate) fn refuses_writes(&self) -> bool {
        let settings = &self.settings;
        self.status.has_failed && settings.stop_writes_on_bgsave_error && !settings.save.is_empty()
    }

    /// From now on [`Node::take_journal`] tells what ran.
    pub fn keep_journal(&mut self) {
        self.journal = Some(Vec::new());
        self.shard.victims.tell();
    }

    /// What ran since the last time, in order.
    pub fn take_journal(&mut self) -> Vec<Noted> {
        self.journal.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The keys that went since the last time because memory was short, each with its database, in order.
    pub fn take_evicted(&mut self) -> Vec<(u16, Vec<u8>)> {
        self.shard.victims.take_told()
    }

    #[inline]
    pub(crate) fn note_applied(&mut self, applied: Applied) {
        if let Some(journal) = &mut self.journal {
            journal.push(Noted { applied, judged: self.shard.judged() });
        }
    }

    /// A client's round of WATCH is over: its shards will hear of it.
    pub fn unwatch(&mut self, session: &mut Session) {
        let watcher = Watcher { client: session.id, round: session.watch_round };
        let mut cores: Vec<CoreId> = session.watched.drain(..).map(|(core, _)| core).collect();
        if cores.is_empty() {
            return;
        }
        session.watch_round += 1;
        cores.sort_unstable();
        cores.dedup();
        for core in cores {
            if core == self.core {
                // What still waits may be a WATCH of this round.
                match self.queue.has_waiting_of(watcher.client) {
                    true => self.late_rounds.push((core, watcher)),
                    false => drop(self.shard.watches.end(watcher)),
                }
            } else {
                self.unwatched.push_back((core, watcher));
            }
        }
    }

    /// Removes keys whose time has come, in about `steps` steps, but those that a transaction may hold; true if more may be due now.
    pub(crate) fn expire_some(&mut self, unix: UnixMillis, steps: usize) -> bool {
        let hasher = self.shard.hasher().clone();
        let spared = spared(&self.queue, &hasher);
        self.shard.expire_some(unix, steps, &spared)
    }

    /// A client of this core begins to listen.
    pub fn listen(&mut self, topics: Topics) {
        self.feed.add(topics);
        self.shard.ledger.log.topics = self.feed.topics();
    }

    /// It ends.
    pub fn unlisten(&mut self, topics: Topics) {
        self.feed.remove(topics);
        self.shard.ledger.log.topics = self.feed.topics();
    }

    /// Another core's clients listen to these topics.
    pub fn hear_wish(&mut self, core: CoreId, topics: Topics) {
        self.feed.wished_by(core, topics);
        self.shard.ledger.log.topics = self.feed.topics();
    }

    /// A name for a new client, unlike that of any other on any core.
    pub fn next_client(&mut self) -> ClientId {
        self.clients_made += 1;
        ClientId((self.clients_made - 1) * u64::from(self.cores) + u64::from(self.core.0) + 1)
    }

    /// Bytes in use on this core, as `maxmemory` counts them: as in Redis without what is on its way to files, or keys would go because others
    /// went, which is written down. It is bounded, and it is resident, of which `maxmemory` takes account in the large.
    pub fn used_bytes(&self) -> usize {
        FIXED_BYTES + self.client_bytes + self.shard.used_bytes()
    }

    /// Remembers the most bytes that were ever in use, as far as somebody looks.
    pub fn note_peak(&mut self) {
        let used = self.used_bytes() as u64;
        self.statistics.peak_bytes = self.statistics.peak_bytes.max(used);
    }

    /// Bytes that may be in use on this core, [`usize::MAX`] without a limit.
    #[inline]
    pub fn ceiling(&self) -> usize {
        self.budget.ceiling()
    }

    /// How uses of keys are written, at this instant.
    #[inline]
    pub fn access_rule(&mut self, no_touch: bool, unix_micros: u64) -> AccessRule {
        if no_touch {
            return AccessRule::Untouched;
        }
        match self.policy {
            Policy::AllKeysSieve => AccessRule::Sieved,
            policy if policy.counts_uses() => AccessRule::Frequency {
                minutes: unix_micros / 60_000_000,
                log_factor: self.settings.lfu_log_factor,
                decay_minutes: self.settings.lfu_decay_time,
                draw: self.random.draw() as u32,
            },
            _ => AccessRule::Recency { seconds: unix_micros / 1_000_000 },
        }
    }

    /// Keeps a slow call of a client.
    pub fn keep_slow(&mut self, call: SlowCall, session: &Session) {
        let entry = SlowEntry {
            id: 0,
            unix_seconds: self.now.unix_seconds(),
            call,
            address: session.peer.address.clone(),
            name: session.name.clone(),
        };
        self.slowlog.push(entry, self.settings.slowlog_max_len, self.core.0, self.cores);
    }

    /// Unix seconds of the last snapshot that is in the file; before the first, of the start.
    pub fn last_save(&self) -> u64 {
        match self.status.last_save {
            0 => self.started_unix.unwrap_or_default(),
            seconds => seconds,
        }
    }

    /// Seconds since the start.
    pub fn uptime_seconds(&self) -> u64 {
        self.now.unix_seconds().saturating_sub(self.started_unix.unwrap_or_default())
    }
}

/// Which keys, each with its database, may not go by themselves: those that somebody in the queue has an intent on.
pub(crate) fn spared<'a>(queue: &'a Queue<Work>, hasher: &'a KeyHasher) -> impl Fn(u16, &[u8]) -> bool + 'a {
    |database, key| !queue.is_empty() && queue.is_claimed(Fingerprint::new(database, hasher.hash(key)))
}

/// A reply that does not come from the command itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deferred {
    /// The reply was written; it leaves at this moment.
    Until(Instant),
    /// The configuration file is rewritten first.
    Rewrite,
    /// It leaves when a snapshot is in the file.
    Saved,
    /// It leaves when what was changed before is durable in the log, or at this moment.
    Marked {
        /// At the latest.
        until: Instant,
    },
    /// It comes when the log was read back.
    Reloaded,
    /// The server stops when a snapshot is in the file; there is a reply only if it does not.
    Stopped {
        /// Even if the snapshot fails.
        force: bool,
    },
}

/// What a command without keys sees: the client that calls it, and its core.
pub struct Local<'a> {
    /// The core.
    pub node: &'a mut Node,
    /// The client.
    pub session: &'a mut Session,
    /// The instant of the turn.
    pub now: Now,
    /// What the driver is asked to do.
    pub out: &'a mut Effects,
    /// Set where the reply does not come at once.
    pub deferred: Option<Deferred>,
}

/// What a core sees that is asked for its part of an answer.
pub struct Asked<'a> {
    /// The core.
    pub node: &'a mut Node,
    /// Its clients, the one included that asks.
    pub sessions: &'a mut Sessions,
    /// The transactions that it coordinates.
    pub transactions: &'a Coordinator,
    /// The instant of the turn.
    pub now: Now,
    /// What the driver is asked to do.
    pub out: &'a mut Effects,
    /// Who asks.
    pub client: ClientId,
    /// Its selected database.
    pub database: usize,
    /// Its protocol.
    pub resp: Resp,
    /// When, among all questions to all cores.
    pub stamp: Stamp,
    /// Clients to end when the part is given.
    pub(crate) ended: Vec<(ConnId, Closing)>,
    /// Clients whose wait is over.
    pub(crate) released: Vec<ConnId>,
    /// Clients whose wait ends, and whether with an error.
    pub(crate) unblocked: Vec<(ConnId, bool)>,
}

impl Asked<'_> {
    /// Ends a client of this core: the one that asks, after its reply; another, now.
    pub fn end(&mut self, conn: ConnId, is_caller: bool) {
        self.ended.push((conn, if is_caller { Closing::AfterReplies } else { Closing::Now }));
    }

    /// Ends a client's wait, with an error or as if its time were up.
    pub fn unblock(&mut self, conn: ConnId, with_error: bool) {
        self.unblocked.push((conn, with_error));
    }

    /// Lets a client's held request be looked at again.
    pub fn release(&mut self, conn: ConnId) {
        self.released.push(conn);
    }

    /// A line for the log.
    pub fn log(&mut self, level: LogLevel, text: String) {
        self.out.push(Effect::Log { level, text });
    }
}
