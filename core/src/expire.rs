//! By which instant a shard judges expiry.

use crate::mutant::planted;
use crate::time::UnixMillis;

/// The latest instant that a shard has judged by. Requests bring their coordinator's instant, and coordinators read their
/// clocks at different moments; a shard never goes back, so nobody sees a key come to life again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ExpiryClock(UnixMillis);

/// A wall clock that was set back by more than this is believed: keys would otherwise expire early until it has caught up.
const BELIEVED_STEP_BACK_MILLIS: u64 = 2_000;

impl ExpiryClock {
    /// The latest instant that was judged by.
    pub fn latest(self) -> UnixMillis {
        self.0
    }

    /// The instant to judge by: the given one, or the latest so far if that is a little later.
    #[inline]
    pub fn advance(&mut self, unix: UnixMillis) -> UnixMillis {
        if planted("a shard judges by an earlier instant")
            || unix > self.0
            || self.0.0 - unix.0 > BELIEVED_STEP_BACK_MILLIS
        {
            self.0 = unix;
        }
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_steps_back_are_not_seen() {
        let mut clock = ExpiryClock::default();
        let judged: Vec<u64> = [5_000, 4_999, 5_001, 3_500, 1_000, 1_001]
            .into_iter()
            .map(|unix| clock.advance(UnixMillis(unix)).0)
            .collect();
        assert_eq!(judged, [5_000, 5_000, 5_001, 5_001, 1_000, 1_001]);
    }
}
