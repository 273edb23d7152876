//! A set of whole numbers: sorted, each of two, four or eight bytes, as wide as the widest needs.
//!
//! It knows numbers. It does not know how many there may be before a set takes another form.

use super::block::block_size;

/// Sorted numbers, each once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum IntSet {
    /// Two bytes each.
    Short(Numbers<i16>),
    /// Four.
    Middle(Numbers<i32>),
    /// Eight.
    Long(Numbers<i64>),
}

/// Numbers of one width.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Numbers<T>(Vec<T>);

impl<T: Clone> Clone for Numbers<T> {
    /// Owns as many bytes.
    fn clone(&self) -> Numbers<T> {
        let mut copy = Vec::with_capacity(self.0.capacity());
        copy.extend_from_slice(&self.0);
        Numbers(copy)
    }
}

impl<T: Copy + Ord + TryFrom<i64> + Into<i64>> Numbers<T> {
    fn wide<U: From<T>>(&self) -> Numbers<U> {
        let mut wide = Vec::with_capacity(room::<U>(self.0.len() + 1));
        wide.extend(self.0.iter().map(|number| U::from(*number)));
        Numbers(wide)
    }

    fn place(&self, number: i64) -> Option<Result<usize, usize>> {
        T::try_from(number).ok().map(|number| self.0.binary_search(&number))
    }

    fn insert(&mut self, at: usize, number: i64) {
        let Ok(number) = T::try_from(number) else { return };
        if self.0.len() == self.0.capacity() {
            let mut next = Vec::with_capacity(room::<T>(self.0.len() + 1));
            next.extend_from_slice(&self.0[..at]);
            next.push(number);
            next.extend_from_slice(&self.0[at..]);
            self.0 = next;
        } else {
            self.0.insert(at, number);
        }
    }

    fn remove(&mut self, at: usize) {
        self.0.remove(at);
        if room::<T>(self.0.len()) <= self.0.capacity() / 2 {
            let mut next = Vec::with_capacity(room::<T>(self.0.len()));
            next.extend_from_slice(&self.0);
            self.0 = next;
        }
    }
}

/// As many numbers as a block of the class has room for that so many need.
fn room<T>(numbers: usize) -> usize {
    block_size(numbers * size_of::<T>()) / size_of::<T>()
}

impl Default for IntSet {
    fn default() -> IntSet {
        IntSet::Short(Numbers(Vec::new()))
    }
}

/// The same of any width.
macro_rules! each {
    ($set:expr, $numbers:ident => $what:expr) => {
        match $set {
            IntSet::Short($numbers) => $what,
            IntSet::Middle($numbers) => $what,
            IntSet::Long($numbers) => $what,
        }
    };
}

impl IntSet {
    /// How many numbers.
    #[inline]
    pub fn len(&self) -> usize {
        each!(self, numbers => numbers.0.len())
    }

    /// True without numbers.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory that it owns besides itself.
    pub fn owned_bytes(&self) -> usize {
        match self {
            IntSet::Short(numbers) => block_size(numbers.0.capacity() * 2),
            IntSet::Middle(numbers) => block_size(numbers.0.capacity() * 4),
            IntSet::Long(numbers) => block_size(numbers.0.capacity() * 8),
        }
    }

    /// Bytes of each number.
    pub fn width(&self) -> usize {
        match self {
            IntSet::Short(_) => 2,
            IntSet::Middle(_) => 4,
            IntSet::Long(_) => 8,
        }
    }

    /// True if the number is in it.
    #[inline]
    pub fn has(&self, number: i64) -> bool {
        matches!(each!(self, numbers => numbers.place(number)), Some(Ok(_)))
    }

    /// The number with `n` lower ones.
    pub fn get(&self, n: usize) -> Option<i64> {
        match self {
            IntSet::Short(numbers) => numbers.0.get(n).map(|number| i64::from(*number)),
            IntSet::Middle(numbers) => numbers.0.get(n).map(|number| i64::from(*number)),
            IntSet::Long(numbers) => numbers.0.get(n).copied(),
        }
    }

    /// From the lowest on.
    pub fn iter(&self) -> impl Iterator<Item = i64> {
        (0..self.len()).filter_map(|n| self.get(n))
    }

    /// Adds a number; false if it was there.
    pub fn insert(&mut self, number: i64) -> bool {
        loop {
            match each!(self, numbers => numbers.place(number)) {
                Some(Ok(_)) => return false,
                Some(Err(at)) => {
                    each!(self, numbers => numbers.insert(at, number));
                    return true;
                }
                None => self.widen(),
            }
        }
    }

    /// Removes a number; false if it was not there. What has become wide stays so.
    pub fn remove(&mut self, number: i64) -> bool {
        let Some(Ok(at)) = each!(self, numbers => numbers.place(number)) else { return false };
        each!(self, numbers => numbers.remove(at));
        true
    }

    fn widen(&mut self) {
        *self = match self {
            IntSet::Short(numbers) => IntSet::Middle(numbers.wide()),
            IntSet::Middle(numbers) => IntSet::Long(numbers.wide()),
            IntSet::Long(_) => unreachable!("every number has eight bytes"),
        };
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
