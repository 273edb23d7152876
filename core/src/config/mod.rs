//! What can be configured, typed: the one `Settings` of a core.
//!
//! Every core holds a copy. Names and units are those of redis.conf. This room reads no file and no
//! environment: it is given their text.
//!
//! | file | knows |
//! |---|---|
//! | `mod.rs` | the settings and their defaults |
//! | [`parameter`] | what a parameter is; lookup by name or environment variable |
//! | `applied.rs` | the parameters with effect, a row each |
//! | `accepted.rs`, `special.rs` | those of Redis 7.0 that are accepted without effect, and the odd ones' checks |
//! | [`value`] | the forms of values: memory, numbers, choices, limits |
//! | [`store`] | CONFIG SET and CONFIG GET |
//! | [`order`] | changes that reach cores in different orders |
//! | [`file`](mod@file) | redis.conf: lines, quoting, errors with line numbers |
//! | [`rewrite`](mod@rewrite) | CONFIG REWRITE |

mod accepted;
mod applied;
pub mod cron;
pub mod file;
pub mod order;
pub mod parameter;
pub mod rewrite;
mod special;
pub mod store;
pub mod value;

pub use file::{Directive, FileError, parse};
pub use parameter::{Parameter, from_environment_name};
pub use rewrite::rewrite;
pub use store::{ConfigError, SetError};

use self::cron::Cron;
use crate::aof::pen::SyncPolicy;
use crate::event::LogLevel;
use crate::eviction::policy::Policy;
use std::collections::BTreeMap;

/// Hard and soft bound of a class of clients' unsent output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct OutputLimit {
    /// Bytes at which the client is closed at once; 0: none.
    pub hard: u64,
    /// Bytes at which it is closed after `soft_seconds` above them; 0: none.
    pub soft: u64,
    /// See `soft`.
    pub soft_seconds: u64,
}

/// Who may use a command that is off by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Access {
    /// Nobody.
    #[default]
    No,
    /// Everybody.
    Yes,
    /// Clients on the machine itself.
    Local,
}

/// The typed settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// TCP port; 0: none.
    pub port: u16,
    /// Addresses to listen on; a leading `-` allows one to be unavailable; `*` means all of IPv4, `::*` all of IPv6.
    pub bind: Vec<String>,
    /// True once `bind` was given by the user.
    pub bind_given: bool,
    /// Refuse remote clients while there is no password and no `bind`.
    pub protected_mode: bool,
    /// The listening queue's length.
    pub tcp_backlog: u32,
    /// Path of the unix socket.
    pub unixsocket: Option<String>,
    /// Its mode, 0: as the umask says.
    pub unixsocketperm: u32,
    /// TCP port of memcached's protocol; 0: none.
    pub memcached_port: u16,
    /// Path of the unix socket of memcached's protocol.
    pub memcached_unixsocket: Option<String>,
    /// The largest item of memcached's protocol, bytes, with its key.
    pub memcached_max_item_size: u64,
    /// Seconds after which an idle client is closed; 0: never.
    pub timeout: u64,
    /// Seconds between TCP keepalive probes; 0: off.
    pub tcp_keepalive: u32,
    /// Run in the background.
    pub daemonize: bool,
    /// Where the process id is written; empty: nowhere.
    pub pidfile: String,
    /// The log's threshold.
    pub loglevel: LogLevel,
    /// The log's file; empty: standard output.
    pub logfile: String,
    /// How many databases SELECT knows.
    pub databases: u16,
    /// The working directory.
    pub dir: String,
    /// The default user's password; empty: none.
    pub requirepass: String,
    /// The most clients of the whole process.
    pub maxclients: u32,
    /// A connection's next request waits for its answers before it goes to another shard.
    pub pipeline_order_strict: bool,
    /// Bytes of the process; 0: no limit.
    pub maxmemory: u64,
    /// Bytes of memory of the machine or its control group, which percentages are of; a fact, not a parameter. 0: not known.
    pub machine_memory: u64,
    /// Which keys go when memory is short.
    pub maxmemory_policy: Policy,
    /// Records that are looked at for each that goes.
    pub maxmemory_samples: u32,
    /// How slowly counters of uses grow.
    pub lfu_log_factor: u32,
    /// Minutes in which a counter of uses loses one; 0: it loses nothing.
    pub lfu_decay_time: u32,
    /// The longest bulk argument, bytes.
    pub proto_max_bulk_len: u64,
    /// Strings of a dump are compressed where that makes them shorter.
    pub rdb_compression: bool,
    /// Bytes of a part of a snapshot on its way to the file, of which a step writes a 256th; not a parameter.
    pub snapshot_part_bytes: usize,
    /// From so many bytes on a record is written to a snapshot in slices; not a parameter.
    pub snapshot_large_bytes: usize,
    /// A dump ends with a checksum, which is looked at when it is loaded.
    pub rdb_checksum: bool,
    /// The name of the dump in the working directory.
    pub dbfilename: String,
    /// When a snapshot is taken by itself: after so many seconds, if there were so many changes.
    pub save: Vec<(u64, u64)>,
    /// At which minutes, UTC, a snapshot is taken besides.
    pub snapshot_cron: Cron,
    /// Nothing may be changed while snapshots fail that are to be taken.
    pub stop_writes_on_bgsave_error: bool,
    /// Changes are written down in a log before anybody hears of them.
    pub appendonly: bool,
    /// When that is durable.
    pub appendfsync: SyncPolicy,
    /// What names of its files begin with.
    pub append_filename: String,
    /// The directory, in the working directory, where they are.
    pub append_dirname: String,
    /// A log whose end is no whole group is read up to there; else it is refused.
    pub aof_load_truncated: bool,
    /// The log is written anew when it has grown by so many percent; 0: only when somebody says so.
    pub auto_aof_rewrite_percentage: u64,
    /// And is larger than this, bytes.
    pub auto_aof_rewrite_min_size: u64,
    /// The longest unparsed input of a client, bytes.
    pub client_query_buffer_limit: u64,
    /// Of normal, replica and pubsub clients.
    pub client_output_buffer_limit: [OutputLimit; 3],
    /// How often a second background work is looked at.
    pub hz: u32,
    /// How full a pack of a list may be: elements, or as -1 to -5 a size in bytes; see [`crate::value::list::Fill`].
    pub list_max_listpack_size: i32,
    /// Members that a sorted set may have in one pack; see [`crate::value::zset::Limits`].
    pub zset_max_listpack_entries: u64,
    /// Bytes that each of them may have.
    pub zset_max_listpack_value: u64,
    /// Fields that a hash of one block may have.
    pub hash_max_listpack_entries: u64,
    /// Bytes that its fields and values may have.
    pub hash_max_listpack_value: u64,
    /// Whole numbers that a set may keep in order.
    pub set_max_intset_entries: u64,
    /// Members that a set of one block may have.
    pub set_max_listpack_entries: u64,
    /// Bytes that they may have.
    pub set_max_listpack_value: u64,
    /// Bytes that a HyperLogLog may have while it is sparse.
    pub hll_sparse_max_bytes: u64,
    /// Bytes from which a block of a stream's entries is full; 0: never.
    pub stream_node_max_bytes: u64,
    /// Entries from which it is; 0: never.
    pub stream_node_max_entries: u64,
    /// Microseconds from which a command is slow; negative: never; 0: always.
    pub slowlog_log_slower_than: i64,
    /// Entries kept.
    pub slowlog_max_len: u64,
    /// Milliseconds from which an event is kept by LATENCY; 0: off.
    pub latency_monitor_threshold: u64,
    /// Keep a histogram for each command.
    pub latency_tracking: bool,
    /// Percentiles that INFO latencystats shows.
    pub latency_tracking_info_percentiles: Vec<f64>,
    /// Who may use DEBUG.
    pub enable_debug_command: Access,
    /// `auto` or how many shards; 0 is auto.
    pub shards: u16,
    /// Parameters without effect whose value is not Redis's default, by name, as CONFIG GET prints them.
    pub accepted: BTreeMap<&'static str, String>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            port: 6379,
            bind: vec!["127.0.0.1".into(), "-::1".into()],
            bind_given: false,
            protected_mode: true,
            tcp_backlog: 511,
            unixsocket: None,
            unixsocketperm: 0,
            memcached_port: 0,
            memcached_unixsocket: None,
            memcached_max_item_size: 1 << 20,
            timeout: 0,
            tcp_keepalive: 300,
            daemonize: false,
            pidfile: String::new(),
            loglevel: LogLevel::Notice,
            logfile: String::new(),
            databases: 16,
            dir: ".".into(),
            requirepass: String::new(),
            maxclients: 10_000,
            pipeline_order_strict: false,
            maxmemory: 0,
            machine_memory: 0,
            maxmemory_policy: Policy::NoEviction,
            maxmemory_samples: 5,
            lfu_log_factor: 10,
            lfu_decay_time: 1,
            proto_max_bulk_len: 512 << 20,
            rdb_compression: true,
            snapshot_part_bytes: 256 << 10,
            snapshot_large_bytes: 4 << 10,
            rdb_checksum: true,
            dbfilename: "dump.rdb".into(),
            save: vec![(3_600, 1), (300, 100), (60, 10_000)],
            snapshot_cron: Cron::default(),
            stop_writes_on_bgsave_error: true,
            appendonly: false,
            appendfsync: SyncPolicy::EverySecond,
            append_filename: "appendonly.aof".into(),
            append_dirname: "appendonlydir".into(),
            aof_load_truncated: true,
            auto_aof_rewrite_percentage: 100,
            auto_aof_rewrite_min_size: 64 << 20,
            client_query_buffer_limit: 1 << 30,
            client_output_buffer_limit: [
                OutputLimit::default(),
                OutputLimit { hard: 256 << 20, soft: 64 << 20, soft_seconds: 60 },
                OutputLimit { hard: 32 << 20, soft: 8 << 20, soft_seconds: 60 },
            ],
            hz: 10,
            list_max_listpack_size: -2,
            zset_max_listpack_entries: 128,
            zset_max_listpack_value: 64,
            hash_max_listpack_entries: 512,
            hash_max_listpack_value: 64,
            set_max_intset_entries: 512,
            set_max_listpack_entries: 128,
            set_max_listpack_value: 64,
            hll_sparse_max_bytes: 3_000,
            stream_node_max_bytes: 4_096,
            stream_node_max_entries: 100,
            slowlog_log_slower_than: 10_000,
            slowlog_max_len: 128,
            latency_monitor_threshold: 0,
            latency_tracking: true,
            latency_tracking_info_percentiles: vec![50.0, 99.0, 99.9],
            enable_debug_command: Access::No,
            shards: 0,
            accepted: BTreeMap::new(),
        }
    }
}

/// Sets the addresses; none at all means not to listen to TCP.
fn set_bind(settings: &mut Settings, addresses: &[&str]) -> Result<(), String> {
    // Redis's bound.
    const ADDRESSES_MAX: usize = 16;
    if addresses.len() > ADDRESSES_MAX {
        return Err("Too many bind addresses specified.".into());
    }
    if addresses.iter().any(|address| address.contains(char::is_whitespace)) {
        return Err("Invalid bind address.".into());
    }
    settings.bind = addresses.iter().map(|address| (*address).into()).collect();
    settings.bind_given = true;
    Ok(())
}

fn print_bind(settings: &Settings) -> String {
    settings.bind.join(" ")
}
