//! How one world is made: each kind of fault and each family of commands is on or off, so that rare things meet often.

use darter_core::aof::pen::SyncPolicy;
use darter_core::config::{OutputLimit, Settings};
use darter_core::eviction::policy::Policy;
use darter_core::node::FIXED_BYTES;

use crate::dice::{Concern, Dice};
use crate::reference::streams::PAGE_ENTRIES;
use crate::workload::families::Families;

/// Logs are written anew from this size on, bytes.
const REWRITE_BYTES: u64 = 3_000;
/// Parts of snapshots are so short that one value in some ends within one, bytes.
const PART_BYTES: usize = 64;
/// Records of so many bytes are written in slices: many, and not all.
const LARGE_BYTES: usize = 80;

/// Kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Faults {
    /// Cores that stand still for a while.
    pub freeze: bool,
    /// Messages that take long, of each pair of cores differently.
    pub delay: bool,
    /// Input cut at any byte.
    pub cut_input: bool,
    /// Output that leaves in parts.
    pub cut_output: bool,
    /// Clients that vanish in the middle.
    pub vanish: bool,
    /// Clients that do not read for a while.
    pub stall: bool,
    /// Clients that end their sending half.
    pub half_close: bool,
    /// The wall clock steps a little.
    pub clock_step: bool,
    /// The wall clock jumps by many seconds.
    pub clock_jump: bool,
    /// Background work is withheld.
    pub no_slices: bool,
    /// Cores that stand still between two messages of one flush, while others wait for their tickets.
    pub stall_pushes: bool,
    /// Cores that stand still between reading how far tickets are stable and taking out what has come.
    pub late_limit: bool,
    /// One core is slow.
    pub slow: bool,
    /// The disk refuses operations.
    pub disk: bool,
    /// The log cannot be written now and then, or not be synced, or the disk is full.
    pub log: bool,
    /// The disk says that it has synced, and has not.
    pub lies: bool,
}

impl Faults {
    /// Nothing goes wrong.
    pub const NONE: Faults = Faults {
        freeze: false,
        delay: false,
        cut_input: false,
        cut_output: false,
        vanish: false,
        stall: false,
        half_close: false,
        clock_step: false,
        clock_jump: false,
        no_slices: false,
        stall_pushes: false,
        late_limit: false,
        slow: false,
        disk: false,
        log: false,
        lies: false,
    };
}

/// The configuration of one world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Swarm {
    /// Cores, 1 to 5.
    pub cores: u16,
    /// Clients.
    pub clients: usize,
    /// Requests that may be unanswered at another core.
    pub credits: usize,
    /// Keys that the workload chooses from.
    pub keys: u64,
    /// Most requests go to two of them.
    pub hot: bool,
    /// Databases; the last one belongs to the wild clients.
    pub databases: u16,
    /// Requests that a client sends ahead of its replies.
    pub depth: usize,
    /// Mean nanoseconds between two operations of the workload.
    pub gap: u64,
    /// Mean nanoseconds that a message between cores takes.
    pub hop: u64,
    /// `client-output-buffer-limit` of normal clients, bytes; 0: none.
    pub output_limit: u64,
    /// Sorted sets become large with the third member.
    pub tight: bool,
    /// Which keys go when memory is short.
    pub policy: Policy,
    /// Keys go again and again, however much memory there is.
    pub storms: bool,
    /// Bytes beside what a core takes anyway that each core has on average; 0: no limit.
    pub room: u64,
    /// What changes is written down, and when that is durable.
    pub log: Option<SyncPolicy>,
    /// What clients say.
    pub families: Families,
    /// What goes wrong.
    pub faults: Faults,
    /// Every second client speaks memcached's protocol.
    pub items: bool,
    /// The log is read back now and then while it is written.
    pub reloads: bool,
}

impl Swarm {
    /// The configuration that a seed decides.
    pub fn of_seed(seed: u64) -> Swarm {
        let mut dice = Dice::new(seed, Concern::Configuration);
        let cores = *dice.pick(&[1, 2, 2, 3, 3, 4, 5]);
        let mut on = |per_mille| dice.chance(per_mille);
        let faults = Faults {
            freeze: on(400),
            delay: on(500),
            cut_input: on(500),
            cut_output: on(500),
            vanish: on(400),
            stall: on(300),
            half_close: on(250),
            clock_step: on(300),
            clock_jump: on(150),
            no_slices: on(200),
            stall_pushes: on(400),
            late_limit: on(300),
            slow: on(200),
            // Drawn last: what a seed had before stays.
            disk: false,
            log: false,
            lies: false,
        };
        let families = Families::of_seed(seed);
        let mut swarm = Swarm {
            cores,
            clients: dice.between(1, 8) as usize,
            credits: *dice.pick(&[1, 1, 2, 3, 8, 64]),
            keys: *dice.pick(&[2, 5, 12, 40]),
            databases: 3,
            depth: *dice.pick(&[1, 2, 5, 20, 100]),
            gap: *dice.pick(&[1_000, 20_000, 300_000, 3_000_000]),
            hop: *dice.pick(&[500, 5_000, 100_000]),
            hot: dice.chance(500),
            output_limit: if dice.chance(150) { *dice.pick(&[1_000, 20_000, 60_000]) } else { 0 },
            families,
            faults,
            log: None,
            items: false,
            reloads: false,
            tight: dice.chance(500),
            policy: dice.pick(Policy::NAMES).1,
            storms: dice.chance(300),
            // What a client hears that finds no room is no part of what MULTI and waiting mean here.
            room: match dice.chance(400) && !["transactions", "waiting"].iter().any(|name| families.has(name))
            {
                true => *dice.pick(&[40 << 10, 80 << 10, 160 << 10]),
                false => 0,
            },
        };
        swarm.faults.disk = dice.chance(300);
        swarm.items = dice.chance(300);
        swarm.log = match dice.below(10) {
            0 => Some(SyncPolicy::Always),
            1 | 2 => Some(SyncPolicy::EverySecond),
            3 => Some(SyncPolicy::No),
            _ => None,
        };
        // Many clients who wait for the same few lists, and little else.
        if dice.chance(100) {
            swarm.families = Families::of_names(&["strings", "waiting", "a crowd"]);
            swarm.clients = dice.between(4, 10) as usize;
            swarm.depth = *dice.pick(&[1, 2, 3]);
            swarm.gap = *dice.pick(&[20_000, 100_000, 300_000]);
            swarm.hop = *dice.pick(&[5_000, 20_000, 100_000]);
            swarm.cores = *dice.pick(&[2, 2, 3, 3]);
            swarm.faults.vanish = dice.chance(700);
            (swarm.hot, swarm.items, swarm.room) = (true, false, 0);
        }
        // What a client hears when nothing can be written down is no part of what MULTI and waiting mean here.
        let is_plain = !["transactions", "waiting"].iter().any(|name| swarm.families.has(name));
        swarm.faults.log =
            dice.chance(700) && (swarm.log == Some(SyncPolicy::Always) || swarm.log.is_some() && is_plain);
        // memcached's clients may hear of it though they want no answer.
        swarm.items &= !swarm.faults.log || swarm.log == Some(SyncPolicy::Always);
        swarm.faults.lies = swarm.log.is_some() && dice.chance(200);
        // Neither stamps of memcached's items are written down, nor fields whose time has come, which a jump of the clock shows.
        let is_told = !swarm.items && !swarm.faults.clock_jump;
        swarm.reloads = swarm.log.is_some() && is_told && dice.chance(500);
        swarm
    }

    /// A small world without faults, for sequences of commands that matter for themselves.
    pub fn calm(cores: u16) -> Swarm {
        let mut swarm = Swarm::of_seed(0);
        swarm.cores = cores;
        swarm.clients = 2;
        swarm.credits = 2;
        swarm.depth = 4;
        swarm.output_limit = 0;
        swarm.faults = Faults::NONE;
        (swarm.storms, swarm.room, swarm.items, swarm.log) = (false, 0, false, None);
        swarm.reloads = false;
        swarm.families = Families::default();
        swarm
    }

    /// The settings of its engines.
    pub fn settings(&self) -> Settings {
        let mut settings = Settings { databases: self.databases, ..Settings::default() };
        // Snapshots are taken when somebody asks for one.
        settings.save.clear();
        (settings.snapshot_part_bytes, settings.snapshot_large_bytes) = (PART_BYTES, LARGE_BYTES);
        // Where a page of a stream ends is told by entries alone.
        (settings.stream_node_max_bytes, settings.stream_node_max_entries) = (0, PAGE_ENTRIES as u64);
        if let Some(policy) = self.log {
            (settings.appendonly, settings.appendfsync) = (true, policy);
            settings.auto_aof_rewrite_min_size = REWRITE_BYTES;
        }
        settings.maxmemory_policy = self.policy;
        if self.room > 0 {
            settings.maxmemory = (FIXED_BYTES as u64 + self.room) * u64::from(self.cores);
        }
        if self.tight {
            settings.zset_max_listpack_entries = 2;
        }
        if self.clients % 2 == 1 {
            // Values that are still small take the form of large ones.
            settings.hash_max_listpack_entries = 4;
            settings.set_max_listpack_entries = 4;
            settings.set_max_intset_entries = 3;
        }
        settings.client_output_buffer_limit[0] =
            OutputLimit { hard: self.output_limit, soft: 0, soft_seconds: 0 };
        settings
    }

    /// Whether a client says whatever the command table knows, in a database of its own.
    pub fn is_wild(&self, client: usize) -> bool {
        self.families.has("wild") && client + 1 == self.clients && client > 0
    }

    /// Whether it is about many clients who wait for the same few lists.
    pub fn is_a_crowd(&self) -> bool {
        self.families.has("a crowd")
    }

    /// Whether a client speaks memcached's protocol.
    pub fn is_of_items(&self, client: usize) -> bool {
        self.items && client % 2 == 1 && !self.is_wild(client)
    }

    /// Whether a client is neither wild nor memcached's.
    pub fn speaks_as_all_do(&self, client: usize) -> bool {
        !self.is_wild(client) && !self.is_of_items(client)
    }

    /// The database of the wild clients.
    pub fn wild_database(&self) -> usize {
        usize::from(self.databases) - 1
    }
}
