//! By which instant a shard judges expiry.

use crate::mutant::planted;
use crate::time::UnixMillis;

/// The latest instant that a shard has judged by. Requests bring their coordinator's instant, and coordinators read their
/// clocks at different moments; a shard never goes back, so nobody sees a key come to life again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ExpiryClock {
    latest: UnixMillis,
    /// What runs now has judged by this before.
    pinned: Option<UnixMillis>,
    /// Nothing is due.
    stands: bool,
}

/// A wall clock that was set back by more than this is believed: keys would otherwise expire early until it has caught up.
const BELIEVED_STEP_BACK_MILLIS: u64 = 2_000;

impl ExpiryClock {
    /// The latest instant that was judged by; of what has judged before, the instant of then.
    pub fn latest(self) -> UnixMillis {
        self.pinned.unwrap_or(if self.stands { UnixMillis(0) } else { self.latest })
    }

    /// The core has read its wall clock. Only that can take the shard back, and only far: an instant that travels may simply be late.
    #[inline]
    pub fn read(&mut self, unix: UnixMillis) {
        if unix.0.saturating_add(BELIEVED_STEP_BACK_MILLIS) < self.latest.0 {
            self.latest = unix;
        }
    }

    /// The instant to judge by: the given one, or the latest so far if that is later.
    #[inline]
    pub fn advance(&mut self, unix: UnixMillis) -> UnixMillis {
        if let Some(pinned) = self.pinned {
            return pinned;
        }
        if self.stands {
            return UnixMillis(0);
        }
        if planted("a shard judges by an earlier instant") || unix > self.latest {
            self.latest = unix;
        }
        self.latest
    }

    /// From now on nothing is due, or by the clock again.
    pub fn stand(&mut self, stands: bool) {
        self.stands = stands;
    }

    /// True while nothing is due.
    pub fn is_standing(self) -> bool {
        self.stands && self.pinned.is_none()
    }

    /// What runs until this is said again judges by this instant: a transaction of several steps sees no key's time come between
    /// them, whoever else looks meanwhile.
    pub fn pin(&mut self, instant: Option<UnixMillis>) {
        self.pinned = instant.filter(|_| !planted("the steps of a transaction judge by different instants"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_steps_back_are_not_seen() {
        let mut clock = ExpiryClock::default();
        let mut judged = Vec::new();
        for unix in [5_000, 4_999, 5_001, 3_500, 1_000, 1_001] {
            clock.read(UnixMillis(unix));
            judged.push(clock.advance(UnixMillis(unix)).0);
        }
        assert_eq!(judged, [5_000, 5_000, 5_001, 5_001, 1_000, 1_001]);
    }

    #[test]
    fn what_was_long_on_its_way_takes_nobody_back() {
        let mut clock = ExpiryClock::default();
        clock.read(UnixMillis(9_000));
        assert_eq!(clock.advance(UnixMillis(9_000)), UnixMillis(9_000));
        assert_eq!(clock.advance(UnixMillis(1_000)), UnixMillis(9_000));
    }

    #[test]
    fn who_has_judged_before_judges_by_the_same_instant() {
        let mut clock = ExpiryClock::default();
        clock.advance(UnixMillis(10));
        clock.pin(Some(UnixMillis(5)));
        assert_eq!((clock.advance(UnixMillis(20)), clock.latest()), (UnixMillis(5), UnixMillis(5)));
        clock.pin(None);
        assert_eq!((clock.latest(), clock.advance(UnixMillis(9))), (UnixMillis(10), UnixMillis(10)));
    }
}
