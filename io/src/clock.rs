//! The one place of a core where time is read. It does not know what time is used for.

use std::time::{Instant as Moment, SystemTime, UNIX_EPOCH};

use darter_core::time::{Instant, Now};

/// Reads both clocks of the machine. All cores share the same start, so their instants can be compared.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Moment,
}

impl Clock {
    /// The zero of [`Now::mono`] is this moment.
    pub fn start() -> Clock {
        Clock { start: Moment::now() }
    }

    /// Both clocks.
    pub fn now(&self) -> Now {
        // A wall clock before 1970 reads as 1970.
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { mono: self.instant(), unix_micros: unix.as_micros() as u64 }
    }

    /// The monotonic clock alone.
    pub fn instant(&self) -> Instant {
        Instant(self.start.elapsed().as_nanos() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_forward_and_is_of_this_century() {
        let clock = Clock::start();
        let first = clock.now();
        let second = clock.now();
        assert!(second.mono >= first.mono);
        assert!(first.unix_seconds() > 1_600_000_000);
    }
}
