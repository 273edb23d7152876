//! A pack: elements one behind the other in one block of memory, walked from either end, with room at both.
//!
//! ```text
//! where the elements begin 4 | free | elements | free
//! ```
//!
//! It knows bytes and how many elements there are. It does not know how large a pack should become: that is for who owns it.

use super::block::BLOCK_MAX;
use super::element::{Element, Encoded, first, last_len};
use super::thin::Thin;

/// One end of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The head.
    Left,
    /// The tail.
    Right,
}

/// Where the elements begin, counted from what is behind it.
const HEAD: usize = 4;
/// A block that has become too small is followed by one with room for such a part of its elements more: that is what is copied for each byte
/// that is added, and a thirtieth of a pack that grew is free on average.
const GROWTH: usize = 16;
/// The elements' bytes in the largest block whose class is close to what is needed.
const FULL: usize = BLOCK_MAX - Thin::HEAD - HEAD;

/// Elements in one block. Offsets count from the first element's first byte. Small, since there is one in the record of every small value.
#[derive(Clone, Default)]
pub struct Pack {
    block: Thin,
    count: u32,
    /// Bytes of the elements. A request, and so what is larger than what a pack should become, is below four gigabytes.
    used: u32,
}

impl Pack {
    /// How many elements.
    #[inline]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// True without elements.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the elements.
    #[inline]
    pub fn used(&self) -> usize {
        self.used as usize
    }

    /// Bytes of memory that the block takes.
    #[inline]
    pub fn owned_bytes(&self) -> usize {
        self.block.owned_bytes()
    }

    /// Free bytes before the elements.
    #[inline]
    fn start(&self) -> usize {
        self.block.first_chunk().map_or(0, |start| u32::from_le_bytes(*start) as usize)
    }

    fn set_start(&mut self, start: usize) {
        let start = u32::try_from(start).expect("the room before the elements is below four gigabytes");
        if let Some(place) = self.block.first_chunk_mut() {
            *place = start.to_le_bytes();
        }
    }

    /// Bytes for elements, used or free.
    #[inline]
    fn room(&self) -> usize {
        self.block.len().saturating_sub(HEAD)
    }

    #[inline]
    fn elements(&self) -> &[u8] {
        let from = HEAD + self.start();
        self.block.get(from..from + self.used()).unwrap_or_default()
    }

    #[inline]
    fn elements_mut(&mut self) -> &mut [u8] {
        let (from, used) = (HEAD + self.start(), self.used());
        self.block.get_mut(from..from + used).unwrap_or_default()
    }

    fn set_used(&mut self, used: usize) {
        self.used =
            u32::try_from(used).expect("a request, and so what lies in a pack, is below four gigabytes");
    }

    /// The bytes of all elements from an offset on.
    #[inline]
    pub(super) fn rest(&self, offset: usize) -> &[u8] {
        &self.elements()[offset..]
    }

    /// The element that begins at an offset, and where the next begins; `None` at the end.
    #[inline]
    pub fn at(&self, offset: usize) -> Option<(Element<'_>, usize)> {
        let rest = &self.elements()[offset..];
        (!rest.is_empty()).then(|| {
            let (element, len) = first(rest);
            (element, offset + len)
        })
    }

    /// Where the element begins that ends at an offset; `None` at the beginning.
    #[inline]
    pub fn before(&self, offset: usize) -> Option<usize> {
        (offset > 0).then(|| offset - last_len(&self.elements()[..offset]))
    }

    /// The element at an end.
    pub fn end(&self, side: Side) -> Option<Element<'_>> {
        let offset = match side {
            Side::Left => 0,
            Side::Right => self.before(self.used())?,
        };
        self.at(offset).map(|(element, _)| element)
    }

    /// Where element `index` begins, walked to from the nearer end; the end for what is beyond it.
    pub fn offset(&self, index: usize) -> usize {
        let count = self.len();
        if index >= count {
            return self.used();
        }
        if index <= count / 2 {
            return (0..index).fold(0, |offset, _| self.at(offset).map_or(offset, |(_, next)| next));
        }
        (index..count).fold(self.used(), |offset, _| self.before(offset).unwrap_or(0))
    }

    /// Adds an element at an end.
    #[inline]
    pub fn push(&mut self, side: Side, bytes: &[u8]) {
        let encoded = Encoded::of(bytes);
        let len = encoded.len();
        match side {
            Side::Left => {
                self.make_room(Side::Left, len);
                self.set_start(self.start() - len);
                self.set_used(self.used() + len);
                encoded.write(&mut self.elements_mut()[..len]);
            }
            Side::Right => {
                self.make_room(Side::Right, len);
                let end = self.used();
                self.set_used(end + len);
                encoded.write(&mut self.elements_mut()[end..]);
            }
        }
        self.count += 1;
    }

    /// Removes the element at an end, if there is one.
    pub fn drop_end(&mut self, side: Side) {
        let used = self.used();
        match side {
            Side::Left => {
                let Some((_, len)) = self.at(0) else { return };
                self.set_start(self.start() + len);
                self.set_used(used - len);
            }
            Side::Right => {
                let Some(last) = self.before(used) else { return };
                self.set_used(last);
            }
        }
        self.count -= 1;
        self.give_back();
    }

    /// Puts an element before the one that begins at an offset.
    pub fn insert(&mut self, offset: usize, bytes: &[u8]) {
        let encoded = Encoded::of(bytes);
        self.open(offset, 0, encoded.len());
        encoded.write(&mut self.elements_mut()[offset..offset + encoded.len()]);
        self.count += 1;
    }

    /// Puts `len` bytes that `write` writes, and that end with a tail as an element's do, before the element that begins at an offset.
    pub(super) fn insert_written(&mut self, offset: usize, len: usize, write: impl FnOnce(&mut [u8])) {
        self.open(offset, 0, len);
        write(&mut self.elements_mut()[offset..offset + len]);
        self.count += 1;
    }

    /// Puts another element in the place of the one that begins at an offset.
    pub fn replace(&mut self, offset: usize, bytes: &[u8]) {
        let Some((_, next)) = self.at(offset) else { return };
        let encoded = Encoded::of(bytes);
        self.open(offset, next - offset, encoded.len());
        encoded.write(&mut self.elements_mut()[offset..offset + encoded.len()]);
        self.give_back();
    }

    /// Removes `count` elements that lie between two offsets.
    pub fn remove(&mut self, from: usize, to: usize, count: usize) {
        if from == 0 {
            self.set_start(self.start() + to);
        } else {
            self.elements_mut().copy_within(to.., from);
        }
        self.set_used(self.used() - (to - from));
        self.count -= count as u32;
        self.give_back();
    }

    /// Takes out the elements from `offset` on, which are all but the first `keep`.
    pub fn split(&mut self, offset: usize, keep: usize) -> Pack {
        let rest = &self.elements()[offset..];
        let mut right = Pack { block: Pack::block_for(rest.len()), count: self.count - keep as u32, used: 0 };
        right.set_used(rest.len());
        right.elements_mut().copy_from_slice(rest);
        self.set_used(offset);
        self.count = keep as u32;
        self.give_back();
        right
    }

    /// Adds another's elements at the end.
    pub fn append(&mut self, other: &Pack) {
        self.make_room(Side::Right, other.used());
        let end = self.used();
        self.set_used(end + other.used());
        self.elements_mut()[end..].copy_from_slice(other.elements());
        self.count += other.count;
    }

    /// Removes elements that `is` says, at most `max` of them, those first that are nearer to `side`; how many.
    pub fn remove_matching(&mut self, side: Side, max: usize, is: &dyn Fn(Element<'_>) -> bool) -> usize {
        let mut found: Vec<(usize, usize)> = Vec::new();
        match side {
            Side::Left => {
                let mut offset = 0;
                while found.len() < max
                    && let Some((element, next)) = self.at(offset)
                {
                    if is(element) {
                        found.push((offset, next));
                    }
                    offset = next;
                }
            }
            Side::Right => {
                let mut end = self.used();
                while found.len() < max
                    && let Some(offset) = self.before(end)
                {
                    if self.at(offset).is_some_and(|(element, _)| is(element)) {
                        found.push((offset, end));
                    }
                    end = offset;
                }
                found.reverse();
            }
        }
        let Some(&(first, _)) = found.first() else { return 0 };
        let ends = found.iter().skip(1).map(|(offset, _)| *offset).chain([self.used()]);
        let mut to = first;
        for ((_, from), until) in found.iter().copied().zip(ends) {
            self.elements_mut().copy_within(from..until, to);
            to += until - from;
        }
        self.set_used(to);
        self.count -= found.len() as u32;
        self.give_back();
        found.len()
    }

    /// Makes `len` bytes of the `old` that lie at an offset.
    fn open(&mut self, offset: usize, old: usize, len: usize) {
        let used = self.used();
        if len > old {
            self.make_room(Side::Right, len - old);
            self.set_used(used + len - old);
        }
        self.elements_mut().copy_within(offset + old..used, offset + len);
        self.set_used(used + len - old);
    }

    /// A block for so many bytes of elements.
    fn block_for(bytes: usize) -> Thin {
        Thin::zeros(if bytes == 0 { 0 } else { HEAD + bytes })
    }

    /// Sees to it that `len` bytes are free at an end. What is moved for that is paid for by the pushes before or after: a block is
    /// moved within itself only if that gains a quarter of what is moved, and grows by a part of its size else.
    fn make_room(&mut self, side: Side, len: usize) {
        let (used, start) = (self.used(), self.start());
        let behind = self.room() - start - used;
        if len <= if side == Side::Left { start } else { behind } {
            return;
        }
        let free = start + behind;
        let other = if side == Side::Left { behind } else { start };
        if free >= len && free - len >= used / 4 {
            // The other end keeps a part, lest two ends that grow in turn move everything each time.
            let kept = ((free - len) / 4).min(other);
            let to = if side == Side::Left { free - kept } else { kept };
            self.block.copy_within(HEAD + start..HEAD + start + used, HEAD + to);
            self.set_start(to);
            return;
        }
        let needed = used + len;
        let block = Pack::block_for((needed + used / GROWTH).min(FULL.max(needed)));
        let start = if side == Side::Left { block.len() - HEAD - used } else { 0 };
        let start = start.min(u32::MAX as usize);
        self.move_to(block, start);
    }

    /// Takes another block, where the elements begin behind so many bytes.
    fn move_to(&mut self, mut block: Thin, start: usize) {
        let from = HEAD + start;
        block[from..from + self.used()].copy_from_slice(self.elements());
        self.block = block;
        self.set_start(start);
    }

    /// Takes the smallest block that is large enough: nothing will be added.
    pub(super) fn fit(&mut self) {
        let used = self.used();
        if used > 0 && Thin::room(HEAD + used) < self.block.len() {
            self.move_to(Pack::block_for(used), 0);
        }
    }

    /// Takes a smaller block when most of this one is free.
    fn give_back(&mut self) {
        let used = self.used();
        if used == 0 {
            *self = Pack::default();
        } else if self.owned_bytes() > 64 && Thin::room(HEAD + used) <= self.block.len() / 2 {
            self.move_to(Pack::block_for(used), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn elements(pack: &Pack) -> Vec<Vec<u8>> {
        let (mut offset, mut found) = (0, Vec::new());
        while let Some((element, next)) = pack.at(offset) {
            found.push(element.to_vec());
            offset = next;
        }
        let (mut end, mut back) = (pack.used(), Vec::new());
        while let Some(offset) = pack.before(end) {
            back.push(pack.at(offset).expect("an element begins here").0.to_vec());
            end = offset;
        }
        back.reverse();
        assert_eq!(found, back, "both ways lead along the same elements");
        assert_eq!(found.len(), pack.len());
        found
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push(bool, Vec<u8>),
        Drop(bool),
        Insert(usize, Vec<u8>),
        Replace(usize, Vec<u8>),
        Remove(usize, usize),
        Split(usize),
        Matching(bool, usize, u8),
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            (0i64..300).prop_map(|n| n.to_string().into_bytes()),
            proptest::collection::vec(any::<u8>(), 0..40),
            (0usize..6_000).prop_map(|len| vec![b'v'; len]),
        ]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (any::<bool>(), bytes()).prop_map(|(left, b)| Step::Push(left, b)),
            2 => any::<bool>().prop_map(Step::Drop),
            1 => (any::<usize>(), bytes()).prop_map(|(n, b)| Step::Insert(n, b)),
            1 => (any::<usize>(), bytes()).prop_map(|(n, b)| Step::Replace(n, b)),
            1 => (any::<usize>(), any::<usize>()).prop_map(|(a, b)| Step::Remove(a, b)),
            1 => any::<usize>().prop_map(Step::Split),
            1 => (any::<bool>(), 0usize..5, any::<u8>()).prop_map(|(left, max, b)| Step::Matching(left, max, b)),
        ]
    }

    fn side(left: bool) -> Side {
        if left { Side::Left } else { Side::Right }
    }

    proptest! {
        #[test]
        fn a_pack_is_a_sequence(steps in proptest::collection::vec(step(), 0..120)) {
            let (mut pack, mut model) = (Pack::default(), Vec::<Vec<u8>>::new());
            for step in steps {
                match step {
                    Step::Push(true, bytes) => { pack.push(Side::Left, &bytes); model.insert(0, bytes); }
                    Step::Push(false, bytes) => { pack.push(Side::Right, &bytes); model.push(bytes); }
                    Step::Drop(left) => {
                        pack.drop_end(side(left));
                        if !model.is_empty() { model.remove(if left { 0 } else { model.len() - 1 }); }
                    }
                    Step::Insert(n, bytes) => {
                        let n = n % (model.len() + 1);
                        pack.insert(pack.offset(n), &bytes);
                        model.insert(n, bytes);
                    }
                    Step::Replace(n, bytes) => if !model.is_empty() {
                        let n = n % model.len();
                        pack.replace(pack.offset(n), &bytes);
                        model[n] = bytes;
                    }
                    Step::Remove(a, b) => {
                        let (a, b) = (a % (model.len() + 1), b % (model.len() + 1));
                        let (a, b) = (a.min(b), a.max(b));
                        pack.remove(pack.offset(a), pack.offset(b), b - a);
                        model.drain(a..b);
                    }
                    Step::Split(n) => {
                        let n = n % (model.len() + 1);
                        let mut left = std::mem::take(&mut pack);
                        let right = left.split(left.offset(n), n);
                        prop_assert_eq!(elements(&right), model[n..].to_vec());
                        pack.append(&left);
                        pack.append(&right);
                    }
                    Step::Matching(left, max, byte) => {
                        let is = |bytes: &[u8]| bytes.first().is_some_and(|b| *b <= byte);
                        let removed = pack.remove_matching(side(left), max, &|e| e.with(is));
                        let mut places: Vec<usize> = (0..model.len()).filter(|&n| is(&model[n])).collect();
                        if left { places.truncate(max) } else { places.drain(..places.len().saturating_sub(max)); }
                        prop_assert_eq!(removed, places.len());
                        places.into_iter().rev().for_each(|n| { model.remove(n); });
                    }
                }
                prop_assert_eq!(elements(&pack), model.clone());
                prop_assert_eq!(pack.end(Side::Left).map(|e| e.to_vec()), model.first().cloned());
                prop_assert_eq!(pack.end(Side::Right).map(|e| e.to_vec()), model.last().cloned());
                prop_assert_eq!(pack.clone().owned_bytes(), pack.owned_bytes());
                prop_assert!(pack.owned_bytes() >= pack.used());
                // Sliding leaves up to a size class free at both ends.
                prop_assert!(pack.owned_bytes() <= 2 * pack.used() + 6_144 + 64 || pack.used() > 4_096);
            }
        }
    }

    #[test]
    fn growth_at_either_end_moves_little() {
        for side in [Side::Left, Side::Right] {
            let mut pack = Pack::default();
            let (mut blocks, mut last) = (0, 0);
            for n in 0..370 {
                pack.push(side, format!("element-number-{n:04}").as_bytes());
                blocks += usize::from(pack.owned_bytes() != last);
                last = pack.owned_bytes();
            }
            assert!(pack.used() > 7_000 && blocks < 60, "{blocks} blocks for {} bytes", pack.used());
        }
    }
}
