//! What one shard counts for the memcached protocol: the numbers that `stats` shows the sums of.

use std::collections::BTreeMap;

use super::stamp::Stamps;
use super::watch::Log;
use crate::time::UnixMillis;

macro_rules! counters {
    ($($(#[$doc:meta])* $variant:ident $name:literal,)*) => {
        /// What is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Counter {
            $($(#[$doc])* $variant,)*
        }

        impl Counter {
            /// All of them.
            pub const ALL: &[Counter] = &[$(Counter::$variant,)*];

            /// Its name in `stats`.
            pub fn name(self) -> &'static str {
                match self { $(Counter::$variant => $name,)* }
            }
        }
    };
}

counters! {
    /// Keys that were asked for.
    Gets "cmd_get",
    /// Values that came.
    Sets "cmd_set",
    /// Requests to forget everything.
    Flushes "cmd_flush",
    /// Keys that were touched, with or without being asked for.
    Touches "cmd_touch",
    /// Requests for what is known of an item.
    Metas "cmd_meta",
    /// Keys that were there.
    GetHits "get_hits",
    /// Keys that were not.
    GetMisses "get_misses",
    /// Deletions of what was not there.
    DeleteMisses "delete_misses",
    /// Deletions.
    DeleteHits "delete_hits",
    /// Additions to what was not there.
    IncrMisses "incr_misses",
    /// Additions.
    IncrHits "incr_hits",
    /// Subtractions from what was not there.
    DecrMisses "decr_misses",
    /// Subtractions.
    DecrHits "decr_hits",
    /// Comparisons with what was not there.
    CasMisses "cas_misses",
    /// Comparisons that held.
    CasHits "cas_hits",
    /// Comparisons that did not.
    CasBadval "cas_badval",
    /// Touches of what was there.
    TouchHits "touch_hits",
    /// Touches of what was not.
    TouchMisses "touch_misses",
    /// Values that were too large.
    TooLarge "store_too_large",
    /// Items stored since the start.
    Items "total_items",
}

/// How many there are.
pub const COUNT: usize = Counter::ALL.len();

/// Where the part of a key ends by which `stats detail` tells keys apart.
const PREFIX_END: u8 = b':';
/// Prefixes that are told apart; further ones are not counted.
const PREFIXES_MAX: usize = 10_000;

/// What `stats detail` shows of a prefix: gets, hits, sets, deletions.
pub type Detail = [u64; 4];

/// What a shard keeps for the protocol besides items.
#[derive(Clone, Debug)]
pub struct Ledger {
    counts: [u64; COUNT],
    /// By prefix, while `stats detail on` holds.
    details: BTreeMap<Vec<u8>, Detail>,
    is_detailed: bool,
    /// Makes stamps.
    pub stamps: Stamps,
    /// When everything is to be forgotten.
    pub flush_at: Option<UnixMillis>,
    /// What those who watch are to hear.
    pub log: Log,
    /// `lru_crawler enable` holds.
    pub crawls: bool,
}

impl Default for Ledger {
    fn default() -> Ledger {
        Ledger {
            counts: [0; COUNT],
            details: BTreeMap::new(),
            is_detailed: false,
            stamps: Stamps::default(),
            flush_at: None,
            log: Log::default(),
            crawls: true,
        }
    }
}

impl Ledger {
    /// Counts one.
    #[inline]
    pub fn count(&mut self, counter: Counter) {
        self.counts[counter as usize] += 1;
    }

    /// What was counted, in the order of [`Counter::ALL`].
    pub fn counts(&self) -> &[u64; COUNT] {
        &self.counts
    }

    /// Begins to count anew.
    pub fn reset(&mut self) {
        self.counts = [0; COUNT];
        self.details.clear();
    }

    /// From now on prefixes are told apart, or not.
    pub fn set_detailed(&mut self, on: bool) {
        self.is_detailed = on;
    }

    /// True if they are.
    pub fn is_detailed(&self) -> bool {
        self.is_detailed
    }

    /// What was counted by prefix.
    pub fn details(&self) -> &BTreeMap<Vec<u8>, Detail> {
        &self.details
    }

    /// Counts one of these for a key's prefix.
    #[inline]
    pub fn detail(&mut self, key: &[u8], what: impl IntoIterator<Item = usize>) {
        if !self.is_detailed {
            return;
        }
        let Some(end) = memchr::memchr(PREFIX_END, key) else { return };
        if self.details.len() >= PREFIXES_MAX && !self.details.contains_key(&key[..end]) {
            return;
        }
        let detail = self.details.entry(key[..end].to_vec()).or_default();
        what.into_iter().for_each(|which| detail[which] += 1);
    }
}
