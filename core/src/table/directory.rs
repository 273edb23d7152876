//! The directory: which segment holds which stretch of hash order.
//!
//! It knows positions and numbers of segments. It does not know what lies in a segment.

use crate::hash::KeyHash;

/// Where a key stands in hash order, as the directory and SCAN see it.
///
/// If keys were spread evenly over this order, all segments would fill and split at the same time, and the
/// bytes per key would swing by a factor of two with each doubling. So the order is bent: its density of keys
/// rises from one end to the other by a factor of two, evenly on a logarithmic scale. At any moment, then, the
/// segments stand in all phases between two splits. (The idea is that of Martin's spiral storage; the parabola
/// stands for the logarithm and is off by less than one percent.)
#[inline]
pub(super) fn position(hash: KeyHash) -> u32 {
    bent(hash.position())
}

/// Where in the bent order a place of the even one is.
#[inline]
pub(super) fn bent(even: u32) -> u32 {
    let even = u64::from(even);
    // x + c * x * (1 - x) with c = 11/32, in units of 2^-32.
    let slope = (1 << 32) + ((11 * ((1 << 32) - even)) >> 5);
    ((even * slope) >> 32) as u32
}

/// A stretch of hash order: all positions that begin with the same `depth` bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) start: u32,
    pub(super) depth: u8,
}

impl Stretch {
    /// All there is.
    pub(super) const WHOLE: Stretch = Stretch { start: 0, depth: 0 };

    /// How many positions there are in it.
    fn width(self) -> u64 {
        1 << (32 - u32::from(self.depth))
    }

    /// The first position after it, `2^32` for the last stretch.
    pub(super) fn end(self) -> u64 {
        u64::from(self.start) + self.width()
    }

    pub(super) fn contains(self, position: u32) -> bool {
        (u64::from(self.start)..self.end()).contains(&u64::from(position))
    }

    /// The first position of its upper half. The caller has made sure that there are two halves.
    pub(super) fn middle(self) -> u32 {
        debug_assert!(self.depth < Directory::DEPTH_MAX);
        self.start | (self.width() / 2) as u32
    }

    pub(super) fn halves(self) -> (Stretch, Stretch) {
        let depth = self.depth + 1;
        (Stretch { start: self.start, depth }, Stretch { start: self.middle(), depth })
    }

    /// The stretch it is one half of, and the other half.
    pub(super) fn parent_and_buddy(self) -> Option<(Stretch, Stretch)> {
        let depth = self.depth.checked_sub(1)?;
        let bit = self.width() as u32;
        Some((
            Stretch { start: self.start & !bit, depth },
            Stretch { start: self.start ^ bit, depth: self.depth },
        ))
    }
}

/// Numbers of segments, indexed by the leading bits of a position. Empty as long as the table is.
#[derive(Clone, Debug, Default)]
pub(super) struct Directory {
    slots: Vec<u32>,
    /// 32 less the number of leading bits that index the slots.
    shift: u32,
}

impl Directory {
    /// A position has no more bits.
    pub(super) const DEPTH_MAX: u8 = 32;

    /// The segment that holds a position; none if there are no segments yet.
    #[inline]
    pub(super) fn find(&self, position: u32) -> Option<usize> {
        let slot = u64::from(position) >> self.shift;
        self.slots.get(slot as usize).map(|&segment| segment as usize)
    }

    pub(super) fn depth(&self) -> u8 {
        32 - self.shift as u8
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Makes way for the first segment, which gets number 0.
    pub(super) fn open(&mut self) {
        debug_assert!(self.slots.is_empty());
        self.slots = vec![0];
        self.shift = 32;
    }

    /// Points a stretch at a segment.
    pub(super) fn point(&mut self, stretch: Stretch, segment: usize) {
        debug_assert!(stretch.depth <= self.depth());
        let first = (u64::from(stretch.start) >> self.shift) as usize;
        let count = 1 << (self.depth() - stretch.depth);
        self.slots[first..first + count].fill(segment as u32);
    }

    /// One more leading bit.
    pub(super) fn double(&mut self) {
        assert!(self.shift > 0, "the directory cannot tell apart more than 2^32 positions");
        let mut slots = Vec::with_capacity(2 * self.slots.len());
        slots.extend(self.slots.iter().flat_map(|&segment| [segment, segment]));
        self.slots = slots;
        self.shift -= 1;
    }

    /// One leading bit less. The caller has made sure that no segment needs it.
    pub(super) fn halve(&mut self) {
        debug_assert!(self.slots.chunks(2).all(|pair| pair[0] == pair[1]));
        self.slots = self.slots.iter().copied().step_by(2).collect();
        self.shift += 1;
    }

    pub(super) fn allocated_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bent_order_keeps_the_order_and_both_ends() {
        let at = |x: u32| position(KeyHash(u64::from(x) << 32));
        assert_eq!((at(0), at(u32::MAX)), (0, u32::MAX));
        for x in (0..u32::MAX - 70_000).step_by(65_537) {
            assert!(at(x) <= at(x + 1) && at(x + 1) <= at(x + 65_537), "{x}");
        }
    }

    #[test]
    fn the_density_of_keys_doubles_from_one_end_to_the_other() {
        let mut counts = [0u32; 64];
        for x in (0..=u32::MAX).step_by(1 << 12) {
            counts[(position(KeyHash(u64::from(x) << 32)) >> 26) as usize] += 1;
        }
        for (at, pair) in counts.windows(2).enumerate() {
            assert!(pair[0] <= pair[1] + pair[1] / 100, "{at}: {counts:?}");
        }
        let ratio = f64::from(counts[63]) / f64::from(counts[0]);
        assert!((1.9..2.1).contains(&ratio), "{ratio}");
    }

    #[test]
    fn halves_know_their_parent_and_buddy() {
        let (lower, upper) = Stretch { start: 1 << 31, depth: 1 }.halves();
        assert_eq!((lower.start, upper.start), (0x8000_0000, 0xc000_0000));
        assert_eq!(lower.parent_and_buddy(), Some((Stretch { start: 1 << 31, depth: 1 }, upper)));
        assert_eq!(upper.parent_and_buddy(), Some((Stretch { start: 1 << 31, depth: 1 }, lower)));
        assert_eq!(upper.end(), 1 << 32);
        assert_eq!(Stretch::WHOLE.parent_and_buddy(), None);
        assert!(lower.contains(0xbfff_ffff) && !lower.contains(0xc000_0000));
    }

    #[test]
    fn doubling_and_halving_keep_what_is_found() {
        let mut directory = Directory::default();
        assert_eq!(directory.find(7), None);
        directory.open();
        directory.double();
        let (lower, upper) = Stretch::WHOLE.halves();
        directory.point(upper, 1);
        directory.double();
        directory.double();
        assert_eq!((directory.len(), directory.depth()), (8, 3));
        assert_eq!((directory.find(lower.start), directory.find(upper.start - 1)), (Some(0), Some(0)));
        assert_eq!((directory.find(upper.start), directory.find(u32::MAX)), (Some(1), Some(1)));
        directory.halve();
        directory.halve();
        assert_eq!((directory.len(), directory.find(upper.start)), (2, Some(1)));
    }
}
