//! Numbers that name one state of one item: what `gets` gives and `cas` compares.
//!
//! A stamp is made when somebody asks for it and is kept in the item's note until the item changes. So an item that nobody asks costs
//! nothing, and a number never names two states: each is larger than all that its shard has made before, in this run (it counts) and in
//! earlier ones (it begins with the time). It does not know items.

use crate::time::UnixMillis;

/// Stamps per millisecond that no later run can repeat, however often the process is restarted.
const PER_MILLI: u64 = 1_024;
/// The beginning of 2025, so that stamps are short.
const EPOCH_MILLIS: u64 = 1_735_689_600_000;

/// Makes the stamps of one shard.
#[derive(Clone, Debug)]
pub struct Stamps {
    last: u64,
    shard: u64,
    shards: u64,
}

impl Default for Stamps {
    fn default() -> Self {
        Stamps::new(0, 1)
    }
}

impl Stamps {
    /// Of one shard of so many: no two of them make the same.
    pub fn new(shard: u16, shards: u16) -> Stamps {
        Stamps { last: 0, shard: shard.into(), shards: u64::from(shards).max(1) }
    }

    /// The next.
    pub fn next(&mut self, now: UnixMillis) -> u64 {
        let by_time = now.0.saturating_sub(EPOCH_MILLIS).saturating_mul(PER_MILLI);
        self.last = (self.last + 1).max(by_time);
        // 2^53 is reached in the year 2300 on one shard, in 2060 on eight.
        self.last.wrapping_mul(self.shards).wrapping_add(self.shard)
    }

    /// True for a stamp that was made before any that will be.
    pub fn is_earlier(&self, stamp: u64) -> bool {
        stamp / self.shards <= self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_stamp_is_made_twice() {
        let (mut one, mut other) = (Stamps::new(0, 2), Stamps::new(1, 2));
        let now = UnixMillis(EPOCH_MILLIS + 5);
        let mut made: Vec<u64> = (0..5_000).flat_map(|_| [one.next(now), other.next(now)]).collect();
        // A clock that goes back changes nothing.
        made.extend((0..100).flat_map(|_| [one.next(UnixMillis(0)), other.next(now)]));
        let last = made.len();
        made.sort_unstable();
        made.dedup();
        assert_eq!(made.len(), last);
        let mut later_run = Stamps::new(0, 2);
        assert!(
            later_run.next(UnixMillis(now.0 + 10)) > made[last - 1],
            "a later run goes on where this one ended"
        );
    }
}
