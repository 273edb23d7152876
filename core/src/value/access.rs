//! Recency and frequency of use: what the 24 access bits of a record mean under either rule.
//!
//! Recency: seconds of the wall clock. Frequency: 16 bits of minutes since the last decay and an 8-bit logarithmic counter, as
//! Redis keeps them (<https://redis.io/docs/latest/develop/reference/eviction/>).

use super::record::Access;
use crate::eviction::sieve;

/// The counter of a key that was just made, so that it is not the first to go.
const FREQUENCY_FRESH: u32 = 5;

/// How a use is written into a record, at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessRule {
    /// Uses do not count (CLIENT NO-TOUCH).
    Untouched,
    /// The seconds of the last use.
    Recency {
        /// Of the wall clock.
        seconds: u64,
    },
    /// A counter that grows ever more slowly and decays with time.
    Frequency {
        /// Of the wall clock.
        minutes: u64,
        /// `lfu-log-factor`.
        log_factor: u32,
        /// `lfu-decay-time`, minutes; 0: no decay.
        decay_minutes: u32,
        /// 32 random bits for the whole command.
        draw: u32,
    },
    /// What the hand of `allkeys-sieve` goes by.
    Sieved,
}

impl AccessRule {
    /// The bits of a key that was just made.
    #[inline]
    pub fn fresh(self) -> Access {
        match self {
            AccessRule::Untouched => Access(0),
            AccessRule::Recency { seconds } => Access(seconds as u32 & Access::MASK),
            AccessRule::Frequency { minutes, .. } => Access((minutes as u32 & 0xffff) << 8 | FREQUENCY_FRESH),
            AccessRule::Sieved => sieve::fresh(),
        }
    }

    /// The bits after a use.
    #[inline]
    pub fn used(self, before: Access) -> Access {
        match self {
            AccessRule::Untouched => before,
            AccessRule::Recency { .. } => self.fresh(),
            AccessRule::Sieved => sieve::used(before),
            AccessRule::Frequency { minutes, log_factor, draw, .. } => {
                let counter = self.frequency(before);
                let base = counter.saturating_sub(FREQUENCY_FRESH);
                let grows = u64::from(draw) * u64::from(base * log_factor + 1) < 1 << 32;
                Access((minutes as u32 & 0xffff) << 8 | (counter + u32::from(grows)).min(255))
            }
        }
    }

    /// The counter now, decay included.
    pub fn frequency(self, access: Access) -> u32 {
        let counter = access.0 & 0xff;
        let AccessRule::Frequency { minutes, decay_minutes, .. } = self else { return counter };
        if decay_minutes == 0 {
            return counter;
        }
        let passed = (minutes as u32).wrapping_sub(access.0 >> 8) & 0xffff;
        counter.saturating_sub(passed / decay_minutes)
    }
}

/// Seconds since the last use under the rule of recency; the 24 bits wrap after 194 days.
pub fn idle_seconds(access: Access, now_seconds: u64) -> u64 {
    u64::from((now_seconds as u32 & Access::MASK).wrapping_sub(access.0) & Access::MASK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recency_counts_seconds_through_the_wrap() {
        let early = AccessRule::Recency { seconds: 0x00ff_fff0 }.fresh();
        assert_eq!(idle_seconds(early, 0x0100_0010), 32);
        assert_eq!(AccessRule::Untouched.used(early), early);
    }

    #[test]
    fn frequency_grows_slowly_and_decays() {
        let rule = |minutes, draw| AccessRule::Frequency { minutes, log_factor: 10, decay_minutes: 1, draw };
        let mut access = rule(100, 0).fresh();
        assert_eq!(rule(100, 0).frequency(access), 5);
        for draw in (0..1_000u32).map(|n| n.wrapping_mul(0x9e37_79b9)) {
            access = rule(100, draw).used(access);
        }
        let counter = rule(100, 0).frequency(access);
        assert!((8..60).contains(&counter), "a thousand uses give {counter}");
        assert_eq!(rule(103, 0).frequency(access), counter - 3);
        assert_eq!(rule(100 + 1_000, 0).frequency(access), 0);
    }
}
