//! What one core contributes to an answer that all cores give.

use crate::latency::LatencyEvent;
use crate::memcached::Share;
use crate::protocol::reply::Failure;
use crate::session::ClientId;
use crate::slowlog::SlowEntry;
use crate::statistics::CoreStatistics;

/// One core's part. Data, so that it can travel, be printed, compared and replayed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Done, with nothing to tell.
    Done,
    /// Not done.
    Failed(Failure),
    /// A number.
    Count(u64),
    /// Encoded replies and how many they are, to stand one behind the other in an array.
    Elements {
        /// How many.
        count: usize,
        /// Their bytes, in the client's protocol.
        encoded: Vec<u8>,
    },
    /// Any one key of this core, and how many it has.
    Key {
        /// The key, if there is one.
        key: Option<Vec<u8>>,
        /// Keys to choose from.
        of: u64,
    },
    /// Lines of CLIENT LIST.
    Clients(Vec<(ClientId, String)>),
    /// Everything that INFO shows of a core.
    Statistics(Box<CoreStatistics>),
    /// Entries of SLOWLOG.
    Slow(Vec<SlowEntry>),
    /// Events of LATENCY.
    Latency(Vec<LatencyEvent>),
    /// A piece of a dump of all items: its lines, and where the shard goes on unless it has given everything.
    Crawled {
        /// As the client gets them.
        lines: Vec<u8>,
        /// A place in the order of scans.
        next: Option<u64>,
    },
    /// Everything that memcached's `stats` shows of a core.
    Memcached(Box<Share>),
}

impl Part {
    /// The sum of all counts.
    pub fn total(parts: &[Part]) -> i64 {
        parts.iter().map(|part| if let Part::Count(count) = part { *count as i64 } else { 0 }).sum()
    }

    /// The first failure of any core.
    pub fn failure(parts: &[Part]) -> Option<&Failure> {
        parts.iter().find_map(|part| if let Part::Failed(failure) = part { Some(failure) } else { None })
    }
}
