//! A set of whole numbers: sorted, each of two, four or eight bytes, as wide as the widest needs.
//!
//! ```text
//! count and width 4 | numbers
//! ```
//!
//! It knows numbers. It does not know how many there may be before a set takes another form.

use super::thin::Thin;

/// Count and width, in one word: the width's logarithm in its highest bits.
const HEAD: usize = 4;
const COUNT_BITS: u32 = 30;

/// Sorted numbers, each once, in one block.
#[derive(Clone, Default)]
pub struct IntSet(Thin);

/// Two bytes, four or eight.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Width {
    Short,
    Middle,
    Long,
}

impl Width {
    fn bytes(self) -> usize {
        2 << self as usize
    }

    fn of(number: i64) -> Width {
        match number {
            -0x8000..=0x7fff => Width::Short,
            -0x8000_0000..=0x7fff_ffff => Width::Middle,
            _ => Width::Long,
        }
    }
}

impl IntSet {
    #[inline]
    fn head(&self) -> (usize, Width) {
        let word = self.0.first_chunk().map_or(0, |head| u32::from_le_bytes(*head));
        let width = match word >> COUNT_BITS {
            0 => Width::Short,
            1 => Width::Middle,
            _ => Width::Long,
        };
        ((word & ((1 << COUNT_BITS) - 1)) as usize, width)
    }

    fn set_head(&mut self, count: usize, width: Width) {
        assert!(count < 1 << COUNT_BITS, "a set of so many numbers has taken another form long ago");
        if let Some(head) = self.0.first_chunk_mut() {
            *head = (count as u32 | (width as u32) << COUNT_BITS).to_le_bytes();
        }
    }

    /// How many numbers.
    #[inline]
    pub fn len(&self) -> usize {
        self.head().0
    }

    /// True without numbers.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory that it owns besides itself.
    pub fn owned_bytes(&self) -> usize {
        self.0.owned_bytes()
    }

    /// Bytes of each number.
    pub fn width(&self) -> usize {
        self.head().1.bytes()
    }

    /// Where the number stands, or where it would.
    #[inline]
    fn place(&self, number: i64) -> Result<usize, usize> {
        let (count, width) = self.head();
        let numbers = self.0.get(HEAD..HEAD + count * width.bytes()).unwrap_or_default();
        match width {
            Width::Short => numbers
                .as_chunks()
                .0
                .binary_search_by_key(&number, |word| i64::from(i16::from_le_bytes(*word))),
            Width::Middle => numbers
                .as_chunks()
                .0
                .binary_search_by_key(&number, |word| i64::from(i32::from_le_bytes(*word))),
            Width::Long => {
                numbers.as_chunks().0.binary_search_by_key(&number, |word| i64::from_le_bytes(*word))
            }
        }
    }

    /// True if the number is in it.
    #[inline]
    pub fn has(&self, number: i64) -> bool {
        self.place(number).is_ok()
    }

    /// The number with `n` lower ones.
    #[inline]
    pub fn get(&self, n: usize) -> Option<i64> {
        let (count, width) = self.head();
        if n >= count {
            return None;
        }
        let bytes = &self.0[HEAD + n * width.bytes()..];
        Some(match width {
            Width::Short => i64::from(i16::from_le_bytes(*bytes.first_chunk()?)),
            Width::Middle => i64::from(i32::from_le_bytes(*bytes.first_chunk()?)),
            Width::Long => i64::from_le_bytes(*bytes.first_chunk()?),
        })
    }

    fn put(&mut self, n: usize, number: i64, width: Width) {
        let (at, len) = (HEAD + n * width.bytes(), width.bytes());
        self.0[at..at + len].copy_from_slice(&number.to_le_bytes()[..len]);
    }

    /// From the lowest on.
    pub fn iter(&self) -> impl Iterator<Item = i64> {
        (0..self.len()).filter_map(|n| self.get(n))
    }

    /// Adds a number; false if it was there.
    pub fn insert(&mut self, number: i64) -> bool {
        let Err(at) = self.place(number) else { return false };
        let (count, before) = self.head();
        let width = if count == 0 { Width::of(number) } else { before.max(Width::of(number)) };
        let needed = HEAD + (count + 1) * width.bytes();
        if width != before || needed > self.0.len() {
            let mut next = IntSet(Thin::zeros(needed));
            next.set_head(count + 1, width);
            if width == before {
                let (split, end) = (HEAD + at * width.bytes(), HEAD + count * width.bytes());
                // An empty one has no head yet.
                let old = self.0.get(HEAD..end).unwrap_or_default();
                next.0[HEAD..split].copy_from_slice(&old[..split - HEAD]);
                next.0[split + width.bytes()..needed].copy_from_slice(&old[split - HEAD..]);
            } else {
                self.iter().enumerate().for_each(|(n, old)| next.put(n + usize::from(n >= at), old, width));
            }
            *self = next;
        } else {
            let (from, end) = (HEAD + at * width.bytes(), HEAD + count * width.bytes());
            self.0.copy_within(from..end, from + width.bytes());
            self.set_head(count + 1, width);
        }
        self.put(at, number, width);
        true
    }

    /// Removes a number; false if it was not there. What has become wide stays so.
    pub fn remove(&mut self, number: i64) -> bool {
        let Ok(at) = self.place(number) else { return false };
        let (count, width) = self.head();
        let (from, end) = (HEAD + at * width.bytes(), HEAD + count * width.bytes());
        self.0.copy_within(from + width.bytes()..end, from);
        self.set_head(count - 1, width);
        let needed = end - width.bytes();
        if 2 * Thin::room(needed) <= self.0.len() {
            let mut next = Thin::zeros(needed);
            next[..needed].copy_from_slice(&self.0[..needed]);
            self.0 = next;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn numbers_agree_with_a_model(steps in prop::collection::vec((any::<bool>(), any::<i64>(), 0u32..64, 0i64..30), 1..200)) {
            let (mut set, mut model) = (IntSet::default(), BTreeSet::new());
            for (adds, any, shift, few) in steps {
                let number = if shift < 8 { any >> (shift * 8) } else { few };
                match adds || model.len() < 3 {
                    true => prop_assert_eq!(set.insert(number), model.insert(number)),
                    false => prop_assert_eq!(set.remove(number), model.remove(&number)),
                }
                prop_assert_eq!(set.iter().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
                prop_assert_eq!(set.has(number), model.contains(&number));
                prop_assert!(!set.has(number.wrapping_add(1)) || model.contains(&number.wrapping_add(1)));
                prop_assert_eq!(set.clone().owned_bytes(), set.owned_bytes());
                prop_assert!(set.owned_bytes() >= set.len() * set.width());
                prop_assert!(set.owned_bytes() <= 32 + 5 * set.len() * set.width() / 2);
            }
        }
    }

    #[test]
    fn numbers_are_as_wide_as_the_widest_needs() {
        let mut set = IntSet::default();
        for (number, width) in [(1, 2), (-32_768, 2), (32_768, 4), (-2_147_483_649, 8), (i64::MAX, 8)] {
            set.insert(number);
            assert_eq!(set.width(), width, "{number}");
        }
        assert_eq!(set.iter().collect::<Vec<_>>(), [-2_147_483_649, -32_768, 1, 32_768, i64::MAX]);
    }
}
