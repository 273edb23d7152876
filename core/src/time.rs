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
