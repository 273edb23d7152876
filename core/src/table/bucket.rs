//! A bucket: fourteen slots and sixteen bytes that tell what lies in them.
//!
//! It knows fingerprints and flags. It does not know keys, hashes or which bucket of the segment it is.

/// As many fingerprints as fit into the header beside the flags.
pub(super) const SLOTS_MAX: usize = 14;

/// The two bits of the flags that stand above the fourteen displaced bits.
const OVERFLOWED: u16 = 1 << SLOTS_MAX;
const CONTINUED: u16 = 2 << SLOTS_MAX;

/// In production two cache lines: sixteen bytes of header and fourteen entries of eight bytes.
#[derive(Clone)]
#[repr(C, align(64))]
pub(super) struct Bucket<E, const SLOTS: usize> {
    /// A fingerprint for each slot, zero where it is empty.
    fingerprints: [u8; SLOTS_MAX],
    /// The lower fourteen bits say which entries are displaced, that is, at home in the bucket before. The upper
    /// two say of this bucket as a home that some of its entries are in the stash or in the next bucket.
    flags: u16,
    slots: [Option<E>; SLOTS],
}

const _: () = assert!(size_of::<Bucket<Box<u8>, SLOTS_MAX>>() == 128);

impl<E, const SLOTS: usize> Bucket<E, SLOTS> {
    const ALL: u16 = {
        assert!(SLOTS >= 1 && SLOTS <= SLOTS_MAX, "a bucket has one to fourteen slots");
        (1 << SLOTS) - 1
    };

    pub(super) const fn new() -> Self {
        Bucket { fingerprints: [0; SLOTS_MAX], flags: 0, slots: [const { None }; SLOTS] }
    }

    /// The slots with this fingerprint, which is not zero.
    #[inline]
    pub(super) fn matches(&self, fingerprint: u8) -> Slots {
        Slots(self.equal(fingerprint) & Self::ALL)
    }

    /// The empty slots.
    #[inline]
    pub(super) fn free(&self) -> Slots {
        Slots(self.equal(0) & Self::ALL)
    }

    /// The slots that hold an entry.
    #[inline]
    pub(super) fn occupied(&self) -> Slots {
        Slots(!self.equal(0) & Self::ALL)
    }

    /// The slots whose entry is at home in the bucket before this one.
    #[inline]
    pub(super) fn displaced(&self) -> Slots {
        Slots(self.flags & Self::ALL)
    }

    /// Whether entries of this home bucket lie in the stash or the spill.
    #[inline]
    pub(super) fn overflowed(&self) -> bool {
        self.flags & OVERFLOWED != 0
    }

    /// Whether entries of this home bucket lie in the next bucket.
    #[inline]
    pub(super) fn continued(&self) -> bool {
        self.flags & CONTINUED != 0
    }

    /// Whether all entries of this home bucket lie in it.
    #[inline]
    pub(super) fn is_all(&self) -> bool {
        self.flags & (CONTINUED | OVERFLOWED) == 0
    }

    pub(super) fn set_overflowed(&mut self, overflowed: bool) {
        self.flags = if overflowed { self.flags | OVERFLOWED } else { self.flags & !OVERFLOWED };
    }

    pub(super) fn set_continued(&mut self, continued: bool) {
        self.flags = if continued { self.flags | CONTINUED } else { self.flags & !CONTINUED };
    }

    #[inline]
    pub(super) fn get(&self, slot: usize) -> Option<&E> {
        self.slots[slot].as_ref()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, slot: usize) -> Option<&mut E> {
        self.slots[slot].as_mut()
    }

    #[inline]
    pub(super) fn fingerprint(&self, slot: usize) -> u8 {
        debug_assert!(slot < SLOTS);
        self.fingerprints[slot]
    }

    /// Fills an empty slot.
    pub(super) fn put(&mut self, slot: usize, fingerprint: u8, displaced: bool, entry: E) {
        debug_assert!(self.slots[slot].is_none() && fingerprint != 0);
        self.fingerprints[slot] = fingerprint;
        self.slots[slot] = Some(entry);
        if displaced {
            self.flags |= 1 << slot;
        }
    }

    /// Empties a slot and returns its fingerprint and entry.
    pub(super) fn take(&mut self, slot: usize) -> Option<(u8, E)> {
        let entry = self.slots[slot].take()?;
        let fingerprint = std::mem::take(&mut self.fingerprints[slot]);
        self.flags &= !(1 << slot);
        Some((fingerprint, entry))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &E> {
        self.occupied().filter_map(|slot| self.get(slot))
    }

    /// Brings the bucket towards the cache; reads nothing.
    #[inline]
    pub(super) fn prefetch(&self) {
        const CACHE_LINE: usize = 64;
        let first = std::ptr::from_ref(self).cast::<u8>();
        (0..size_of::<Self>() / CACHE_LINE).for_each(|line| prefetch(first.wrapping_add(line * CACHE_LINE)));
    }

    /// Panics unless fingerprints and flags agree with the slots.
    pub(super) fn check(&self) {
        for (slot, entry) in self.slots.iter().enumerate() {
            assert_eq!(self.fingerprints[slot] != 0, entry.is_some(), "slot {slot}");
            assert!(entry.is_some() || !self.displaced().contains(slot), "slot {slot}");
        }
        assert!(self.fingerprints[SLOTS..].iter().all(|&byte| byte == 0));
        assert_eq!(self.flags & !(OVERFLOWED | CONTINUED | Self::ALL), 0);
    }

    /// Which fingerprints, and flags, are equal to a byte; the flags' two bits mean nothing.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    fn equal(&self, byte: u8) -> u16 {
        use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_load_si128, _mm_movemask_epi8, _mm_set1_epi8};
        // SAFETY: SSE2 belongs to every x86_64. The load takes the first sixteen bytes of the bucket, which are the
        // fingerprints and the flags (the layout is that of C) and always initialized; they are aligned as the
        // bucket is.
        unsafe {
            let header = _mm_load_si128(std::ptr::from_ref(self).cast());
            _mm_movemask_epi8(_mm_cmpeq_epi8(header, _mm_set1_epi8(byte as i8))) as u16
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    #[inline]
    fn equal(&self, byte: u8) -> u16 {
        self.equal_portable(byte)
    }

    /// The same without SIMD, eight bytes at a time.
    #[cfg(any(test, not(target_arch = "x86_64")))]
    fn equal_portable(&self, byte: u8) -> u16 {
        let mut header = [0; 16];
        header[..SLOTS_MAX].copy_from_slice(&self.fingerprints);
        equal_bytes(&header, byte)
    }
}

/// Brings the line in which something begins towards the cache; reads nothing.
#[inline]
pub(super) fn prefetch<T>(what: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch is a hint. It neither reads nor writes memory as far as the program can tell, and it cannot fault wherever it
        // points.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(what.cast()) };
    }
}

/// A set of slots, walked from the lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slots(u16);

impl Slots {
    #[inline]
    pub(super) fn and(self, other: Slots) -> Slots {
        Slots(self.0 & other.0)
    }

    #[inline]
    pub(super) fn without(self, other: Slots) -> Slots {
        Slots(self.0 & !other.0)
    }

    pub(super) fn contains(self, slot: usize) -> bool {
        self.0 >> slot & 1 == 1
    }

    #[inline]
    pub(super) fn count(self) -> usize {
        self.0.count_ones() as usize
    }

    #[inline]
    pub(super) fn first(self) -> Option<usize> {
        if self.0 == 0 { None } else { Some(self.0.trailing_zeros() as usize) }
    }

    /// The slot that has `rank` others below it.
    pub(super) fn nth(mut self, rank: usize) -> Option<usize> {
        Iterator::nth(&mut self, rank)
    }
}

impl Iterator for Slots {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let slot = self.first()?;
        self.0 &= self.0 - 1;
        Some(slot)
    }
}

/// Which of the first fourteen bytes are equal to a byte, for the list of homes in a stash bucket.
pub(super) fn equal_slots(bytes: &[u8; 16], byte: u8) -> Slots {
    Slots(equal_bytes(bytes, byte) & ((1 << SLOTS_MAX) - 1))
}

/// Which of sixteen bytes are equal to a byte.
fn equal_bytes(bytes: &[u8; 16], byte: u8) -> u16 {
    let word = u128::from_le_bytes(*bytes);
    u16::from(equal_in_word(word as u64, byte)) | u16::from(equal_in_word((word >> 64) as u64, byte)) << 8
}

fn equal_in_word(word: u64, byte: u8) -> u8 {
    const LOW_BITS: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let unequal = word ^ (u64::from(byte) * 0x0101_0101_0101_0101);
    // The top bit of each byte of `nonzero` is set if the byte of `unequal` has any bit set; no carry leaves a byte.
    let nonzero = ((unequal & LOW_BITS) + LOW_BITS) | unequal;
    let equal = (!nonzero & !LOW_BITS) >> 7;
    // The product brings the lowest bits of the eight bytes together in the top byte.
    (equal.wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_slot_is_free_until_put_and_again_after_take() {
        let mut bucket: Bucket<Box<u8>, 3> = Bucket::new();
        assert_eq!(bucket.free().count(), 3);
        bucket.put(1, 7, true, Box::new(42));
        bucket.set_overflowed(true);
        assert_eq!(bucket.matches(7).collect::<Vec<_>>(), [1]);
        assert_eq!(bucket.displaced().collect::<Vec<_>>(), [1]);
        assert_eq!(bucket.take(1), Some((7, Box::new(42))));
        assert_eq!(bucket.displaced().count() + bucket.occupied().count(), 0);
        assert!(bucket.overflowed());
        assert_eq!(bucket.take(1), None);
    }

    #[test]
    fn flags_are_not_taken_for_fingerprints() {
        let mut bucket: Bucket<Box<u8>, 14> = Bucket::new();
        bucket.set_overflowed(true);
        assert_eq!(bucket.matches(0x40).count(), 0);
        assert_eq!(bucket.free().count(), 14);
    }

    proptest! {
        #[test]
        fn every_way_to_compare_agrees(mut bytes: [u8; 14], flags: u16, byte: u8, planted: u16) {
            for (at, known) in bytes.iter_mut().enumerate() {
                if planted >> at & 1 == 1 {
                    *known = byte;
                }
            }
            let expected = (0..14).filter(|&at| bytes[at] == byte).fold(0, |mask, at| mask | 1 << at);
            let bucket = Bucket::<Box<u8>, 14> { fingerprints: bytes, flags, slots: [const { None }; 14] };
            prop_assert_eq!(bucket.matches(byte), Slots(expected));
            prop_assert_eq!(bucket.equal_portable(byte) & Bucket::<Box<u8>, 14>::ALL, expected);
        }
    }
}
