//! The expiry index: lower bounds of deadlines and the tournament that finds the lowest.
//!
//! It knows moments and numbers of segments. It does not know entries, and it does not forget: a bound that has
//! become too low, because an entry left or got a later deadline, is put right when the sweep comes to it.

use crate::time::UnixMillis;

/// How coarse the index is, in milliseconds. A timer that is armed for the soonest deadline *plus this* finds
/// something due when it fires, unless a bound was out of date.
pub const BOUND_UNIT_MILLIS: u64 = 256;

/// 2020-01-01 00:00 UTC, where the units are counted from; they last until 2054.
const EPOCH: u64 = 1_577_836_800_000;

/// A moment before which nothing of a home bucket is due, in coarse units.
///
/// Moments before the epoch and beyond the last unit saturate, so that a bound is still a lower bound; such
/// buckets are looked at again and again once they seem due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bound(u32);

impl Bound {
    /// Nothing there has a deadline.
    pub(crate) const NEVER: Bound = Bound(u32::MAX);

    /// The latest of what has a deadline.
    pub(crate) const LAST: Bound = Bound(u32::MAX - 1);

    /// The unit in which a moment falls.
    pub(crate) fn of(moment: UnixMillis) -> Bound {
        let units = moment.0.saturating_sub(EPOCH) / BOUND_UNIT_MILLIS;
        Bound(u32::try_from(units).unwrap_or(u32::MAX).min(u32::MAX - 1))
    }

    /// The last unit that is over at this moment: what is due in it or before is due.
    pub(crate) fn over_at(moment: UnixMillis) -> Option<Bound> {
        Bound::of(moment).0.checked_sub(1).map(Bound)
    }

    /// The bound of what may or may not have a deadline.
    pub(crate) fn of_optional(moment: Option<UnixMillis>) -> Bound {
        moment.map_or(Bound::NEVER, Bound::of)
    }

    /// The earliest moment that falls into the unit.
    pub(crate) fn moment(self) -> Option<UnixMillis> {
        match self {
            Bound::NEVER => None,
            Bound(0) => Some(UnixMillis(0)),
            Bound(units) => Some(UnixMillis(EPOCH + u64::from(units) * BOUND_UNIT_MILLIS)),
        }
    }
}

/// A tournament tree over the segments: the lowest bound of each, and of each pair, up to the lowest of all.
/// It takes no memory as long as nothing has a deadline.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tournament {
    /// Node 1 is the root, the children of node n are 2n and 2n + 1, and the upper half are the segments.
    nodes: Vec<Bound>,
}

impl Tournament {
    fn leaves(&self) -> usize {
        self.nodes.len() / 2
    }

    /// The lowest bound of all.
    pub(crate) fn lowest(&self) -> Bound {
        self.nodes.get(1).copied().unwrap_or(Bound::NEVER)
    }

    /// The bound of one segment.
    pub(crate) fn get(&self, segment: usize) -> Bound {
        self.nodes.get(self.leaves() + segment).copied().unwrap_or(Bound::NEVER)
    }

    /// Gives a segment its bound.
    pub(crate) fn set(&mut self, segment: usize, bound: Bound) {
        if segment >= self.leaves() {
            if bound == Bound::NEVER {
                return;
            }
            self.resize((segment + 1).next_power_of_two());
        }
        let mut node = self.leaves() + segment;
        self.nodes[node] = bound;
        while node > 1 {
            node /= 2;
            let lower = self.nodes[2 * node].min(self.nodes[2 * node + 1]);
            if self.nodes[node] == lower {
                break;
            }
            self.nodes[node] = lower;
        }
    }

    /// Segment `gone` has left and the last one, `last`, has taken its number.
    pub(crate) fn swap_remove(&mut self, gone: usize, last: usize) {
        let moved = self.get(last);
        self.set(last, Bound::NEVER);
        if gone != last {
            self.set(gone, moved);
        }
        // A quarter, so that it does not shrink and grow by turns.
        if last < self.leaves() / 4 {
            self.resize(last.next_power_of_two());
        }
    }

    /// The first segment from `from` on whose bound is not later than `now`.
    pub(crate) fn first_due(&self, from: usize, now: Bound) -> Option<usize> {
        let leaves = self.leaves();
        if from >= leaves {
            return None;
        }
        let mut node = leaves + from;
        while self.nodes[node] > now {
            // On to the next subtree to the right: up as long as this is a right child.
            while node % 2 == 1 {
                node /= 2;
                if node <= 1 {
                    return None;
                }
            }
            node += 1;
        }
        while node < leaves {
            node *= 2;
            if self.nodes[node] > now {
                node += 1;
            }
        }
        Some(node - leaves)
    }

    fn resize(&mut self, leaves: usize) {
        let kept = self.leaves().min(leaves);
        let mut nodes = vec![Bound::NEVER; 2 * leaves];
        nodes[leaves..leaves + kept].copy_from_slice(&self.nodes[self.leaves()..self.leaves() + kept]);
        for node in (1..leaves).rev() {
            nodes[node] = nodes[2 * node].min(nodes[2 * node + 1]);
        }
        self.nodes = nodes;
    }

    pub(crate) fn allocated_bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Bound>()
    }

    /// Panics unless each node is the lower of its two children.
    pub(crate) fn check(&self) {
        for node in 1..self.leaves() {
            assert_eq!(self.nodes[node], self.nodes[2 * node].min(self.nodes[2 * node + 1]), "node {node}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_bound_is_never_later_than_its_moment() {
        let moments = [0, 1, EPOCH - 1, EPOCH, EPOCH + 255, EPOCH + 256, 1_800_000_000_123, u64::MAX];
        for moment in moments {
            let bound = Bound::of(UnixMillis(moment));
            assert!(bound < Bound::NEVER);
            assert!(bound.moment().is_some_and(|lower| lower.0 <= moment), "{moment}");
        }
        assert_eq!(Bound::of(UnixMillis(EPOCH + 511)).moment(), Some(UnixMillis(EPOCH + 256)));
        assert_eq!(Bound::of_optional(None).moment(), None);
    }

    proptest! {
        #[test]
        fn the_tournament_agrees_with_a_list(
            steps in prop::collection::vec((0..4u8, 0..40usize, 0..20u32), 1..80),
        ) {
            let mut tournament = Tournament::default();
            let mut list: Vec<Bound> = Vec::new();
            for (what, at, units) in steps {
                let bound = if units == 0 { Bound::NEVER } else { Bound(units) };
                match what {
                    0 | 1 => {
                        list.push(bound);
                        tournament.set(list.len() - 1, bound);
                    }
                    2 if !list.is_empty() => {
                        let at = at % list.len();
                        list[at] = bound;
                        tournament.set(at, bound);
                    }
                    3 if !list.is_empty() => {
                        let at = at % list.len();
                        list.swap_remove(at);
                        tournament.swap_remove(at, list.len());
                    }
                    _ => {}
                }
                tournament.check();
                prop_assert_eq!(tournament.lowest(), list.iter().copied().min().unwrap_or(Bound::NEVER));
                for from in 0..=list.len() {
                    let expected = (from..list.len()).find(|&at| list[at] <= Bound(units));
                    prop_assert_eq!(tournament.first_due(from, Bound(units)), expected);
                }
            }
        }
    }
}
