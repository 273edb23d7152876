//! The policies: which keys may go when memory is short, and which of two goes first.
//!
//! It knows access bits and deadlines. It does not know where keys lie, nor how much memory there is.

use crate::time::{Now, UnixMillis};
use crate::value::access::{AccessRule, idle_seconds};
use crate::value::record::Record;

/// What `maxmemory-policy` says, under the names of Redis, and one that Redis does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Policy {
    /// Of the keys with a deadline, what was not used for longest.
    VolatileLru,
    /// Of the keys with a deadline, what is used least often.
    VolatileLfu,
    /// Any key with a deadline.
    VolatileRandom,
    /// What ends first.
    VolatileTtl,
    /// What was not used for longest.
    AllKeysLru,
    /// What is used least often.
    AllKeysLfu,
    /// Any key.
    AllKeysRandom,
    /// No key: commands that need more memory are refused.
    #[default]
    NoEviction,
    /// What has come and was not used again soon, then what was not used since the hand has passed it.
    AllKeysSieve,
}

impl Policy {
    /// All policies by name, in the order in which Redis lists them.
    pub const NAMES: &[(&str, Policy)] = &[
        ("volatile-lru", Policy::VolatileLru),
        ("volatile-lfu", Policy::VolatileLfu),
        ("volatile-random", Policy::VolatileRandom),
        ("volatile-ttl", Policy::VolatileTtl),
        ("allkeys-lru", Policy::AllKeysLru),
        ("allkeys-lfu", Policy::AllKeysLfu),
        ("allkeys-random", Policy::AllKeysRandom),
        ("noeviction", Policy::NoEviction),
        ("allkeys-sieve", Policy::AllKeysSieve),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, policy)| *policy == self).map_or("", |(name, _)| name)
    }

    /// True if it lets keys go.
    #[inline]
    pub fn evicts(self) -> bool {
        self != Policy::NoEviction
    }

    /// True if it lets only those go that have a deadline.
    #[inline]
    pub fn is_volatile(self) -> bool {
        use Policy::{VolatileLfu, VolatileLru, VolatileRandom, VolatileTtl};
        matches!(self, VolatileLru | VolatileLfu | VolatileRandom | VolatileTtl)
    }

    /// True if any key may go.
    pub fn is_for_all_keys(self) -> bool {
        self.evicts() && !self.is_volatile()
    }

    /// True if keys count how often they are used, and not when they were used last.
    #[inline]
    pub fn counts_uses(self) -> bool {
        matches!(self, Policy::VolatileLfu | Policy::AllKeysLfu)
    }
}

/// A policy at one instant.
#[derive(Clone, Copy, Debug)]
pub struct Judge {
    /// The policy.
    pub policy: Policy,
    /// Records that are looked at for each that goes: `maxmemory-samples`.
    pub samples: usize,
    /// How counters decay.
    pub rule: AccessRule,
    /// Of the wall clock.
    pub seconds: u64,
    /// By which expiry is judged: what is due goes before all others.
    pub unix: UnixMillis,
}

impl Judge {
    /// A policy now.
    pub fn new(policy: Policy, samples: u32, decay_minutes: u32, now: Now) -> Judge {
        let minutes = now.unix_micros / 60_000_000;
        Judge {
            policy,
            samples: samples.clamp(1, SAMPLES_MAX) as usize,
            rule: AccessRule::Frequency { minutes, log_factor: 0, decay_minutes, draw: 0 },
            seconds: now.unix_seconds(),
            unix: now.unix(),
        }
    }

    /// The higher, the sooner a record goes; `None`: it may not go.
    #[inline]
    pub fn score(&self, record: &Record) -> Option<u64> {
        if self.policy.is_volatile() && record.deadline().is_none() {
            return None;
        }
        if record.is_due(self.unix) {
            return Some(u64::MAX);
        }
        Some(match self.policy {
            Policy::NoEviction => return None,
            Policy::VolatileRandom | Policy::AllKeysRandom => 0,
            Policy::VolatileLru | Policy::AllKeysLru => idle_seconds(record.access(), self.seconds),
            Policy::VolatileLfu | Policy::AllKeysLfu => {
                255 - u64::from(self.rule.frequency(record.access()).min(255))
            }
            Policy::VolatileTtl => u64::MAX - record.deadline().map_or(u64::MAX, |at| at.0),
            Policy::AllKeysSieve => 0,
        })
    }
}

/// More samples than this make no better choice, and take time.
const SAMPLES_MAX: u32 = 64;
