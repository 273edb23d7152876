//! Time as an argument: it enters once at the engine's door and is never taken.

/// Nanoseconds of a clock that never goes back; its zero is the driver's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub u64);

impl Instant {
    /// A moment that does not come.
    pub const NEVER: Instant = Instant(u64::MAX);

    /// `millis` milliseconds later, or never.
    pub fn after_millis(self, millis: u64) -> Instant {
        Instant(self.0.saturating_add(millis.saturating_mul(1_000_000)))
    }

    /// Whole milliseconds since `earlier`, zero if that lies ahead.
    pub fn millis_since(self, earlier: Instant) -> u64 {
        self.0.saturating_sub(earlier.0) / 1_000_000
    }

    /// Seconds that have begun since `earlier`, which two readings of a clock of whole seconds differ by: what Redis and memcached say of a
    /// client's age and silence, where a second that a client counts by its own clock is never none.
    pub fn seconds_begun_since(self, earlier: Instant) -> u64 {
        (self.0 / 1_000_000_000).saturating_sub(earlier.0 / 1_000_000_000)
    }
}

/// Milliseconds since 1970-01-01 UTC: the unit of every deadline of a key. All 64 bits count, so no limit of
/// eight years or the like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub u64);

/// The instant of a turn: read after the turn's events were collected, the same for all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For durations, timeouts and timers.
    pub mono: Instant,
    /// Microseconds since 1970-01-01 UTC, for deadlines of keys and for TIME.
    pub unix_micros: u64,
}

impl Now {
    /// The wall clock in the unit of deadlines.
    #[inline]
    pub fn unix(self) -> UnixMillis {
        UnixMillis(self.unix_micros / 1_000)
    }

    /// The wall clock in whole seconds.
    pub fn unix_seconds(self) -> u64 {
        self.unix_micros / 1_000_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_by_the_clients_clock_is_never_none() {
        const SECOND: u64 = 1_000_000_000;
        // What was said at 5.0004 s came at 5.0009, and what was said a second later came at once.
        assert_eq!(Instant(6 * SECOND + 400_000).seconds_begun_since(Instant(5 * SECOND + 900_000)), 1);
        assert_eq!(Instant(6 * SECOND - 1).seconds_begun_since(Instant(5 * SECOND)), 0);
        assert_eq!(Instant(6 * SECOND).seconds_begun_since(Instant(6 * SECOND - 1)), 1);
        assert_eq!(Instant(0).seconds_begun_since(Instant(SECOND)), 0);
    }
}
