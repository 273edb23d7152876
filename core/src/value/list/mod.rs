//! A list: one pack while it is small, a queue of packs beyond. Ends cost O(1), places between them O(packs + one pack).
//!
//! It knows elements and in which pack each lies. It does not know keys, commands or what an element means.

mod elements;
mod packs;

use std::hash::{Hash, Hasher};

pub use elements::Elements;
pub use packs::Fill;
use packs::Packs;

use super::element::Element;
use super::pack::{Pack, Side};

/// A list of byte strings.
#[derive(Clone)]
pub struct List {
    packs: Packs,
}

impl Default for List {
    fn default() -> List {
        List { packs: Packs::One(Pack::default()) }
    }
}

impl List {
    /// True without elements.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element at an end.
    pub fn end(&self, side: Side) -> Option<Element<'_>> {
        match side {
            Side::Left => self.pack(0)?.end(side),
            Side::Right => self.pack(self.packs().checked_sub(1)?)?.end(side),
        }
    }

    /// The element at a place.
    pub fn get(&self, index: usize) -> Option<Element<'_>> {
        self.range(index, index.saturating_add(1)).next()
    }

    /// The elements from `from` to before `to`, first to last.
    pub fn range(&self, from: usize, to: usize) -> Elements<'_> {
        let (from, to) = (from.min(self.len()), to.min(self.len()));
        let left = to.saturating_sub(from);
        if left == 0 {
            return Elements { list: self, pack: 0, offset: 0, left, side: Side::Left };
        }
        let (pack, at) = self.locate(from);
        let offset = self.pack(pack).map_or(0, |pack| pack.offset(at));
        Elements { list: self, pack, offset, left, side: Side::Left }
    }

    /// The same elements, last to first.
    pub fn range_back(&self, from: usize, to: usize) -> Elements<'_> {
        let (from, to) = (from.min(self.len()), to.min(self.len()));
        let left = to.saturating_sub(from);
        if left == 0 {
            return Elements { list: self, pack: 0, offset: 0, left, side: Side::Right };
        }
        let (pack, at) = self.locate(to - 1);
        let offset = self.pack(pack).map_or(0, |pack| pack.offset(at + 1));
        Elements { list: self, pack, offset, left, side: Side::Right }
    }

    /// All elements, first to last.
    pub fn iter(&self) -> Elements<'_> {
        self.range(0, self.len())
    }

    /// Adds an element at an end.
    pub fn push(&mut self, side: Side, bytes: &[u8], fill: Fill) {
        self.expect(bytes.len(), 1, fill);
        self.count_in(1);
        let end = match side {
            Side::Left => 0,
            Side::Right => self.packs().saturating_sub(1),
        };
        let is_one = matches!(self.packs, Packs::One(_));
        if self.pack(end).is_some_and(|pack| is_one || fill.has_room(pack, bytes.len())) {
            self.edit(end, |pack| pack.push(side, bytes));
            return;
        }
        if self.pack(end).is_some() {
            self.edit(end, Pack::fit);
        }
        self.add_pack(if side == Side::Left { 0 } else { self.packs() }, bytes);
    }

    /// Removes the element at an end, if there is one.
    pub fn drop_end(&mut self, side: Side, fill: Fill) {
        if self.is_empty() {
            return;
        }
        self.count_out(1);
        let end = if side == Side::Left { 0 } else { self.packs() - 1 };
        if self.edit(end, |pack| {
            pack.drop_end(side);
            pack.is_empty()
        }) {
            self.discard(end, end + 1);
        }
        self.settle(fill);
    }

    /// Removes `count` elements from `from` on, as many as there are.
    pub fn remove(&mut self, from: usize, count: usize, fill: Fill) {
        let count = count.min(self.len().saturating_sub(from));
        if count == 0 {
            return;
        }
        let (mut n, at) = self.locate(from);
        let mut left = count;
        if at > 0 {
            left -= self.edit(n, |pack| {
                let part = left.min(pack.len() - at);
                pack.remove(pack.offset(at), pack.offset(at + part), part);
                part
            });
            n += 1;
        }
        let mut whole = n;
        while let Some(len) = self.pack(whole).map(Pack::len).filter(|&len| 0 < len && len <= left) {
            left -= len;
            whole += 1;
        }
        self.discard(n, whole);
        if left > 0 {
            self.edit(n, |pack| pack.remove(0, pack.offset(left), left));
        }
        self.count_out(count);
        self.join(n, fill);
        self.join(n.saturating_sub(1), fill);
        self.settle(fill);
    }

    /// Keeps the elements from `from` to before `to`.
    pub fn trim(&mut self, from: usize, to: usize, fill: Fill) {
        self.remove(to.max(from), self.len(), fill);
        self.remove(0, from, fill);
    }

    /// Puts an element before the one at `index`, or at the end.
    pub fn insert(&mut self, index: usize, bytes: &[u8], fill: Fill) {
        if index == 0 {
            return self.push(Side::Left, bytes, fill);
        }
        if index >= self.len() {
            return self.push(Side::Right, bytes, fill);
        }
        self.expect(bytes.len(), 1, fill);
        let (n, at) = self.locate(index);
        self.count_in(1);
        let is_one = matches!(self.packs, Packs::One(_));
        let has_room = |list: &List, n: usize| {
            list.pack(n).is_some_and(|pack| is_one || fill.has_room(pack, bytes.len()))
        };
        if has_room(self, n) {
            self.edit(n, |pack| pack.insert(pack.offset(at), bytes));
            return;
        }
        if at == 0 {
            // The place lies between two packs, and there are two: the first place of all was seen to before.
            match has_room(self, n - 1) {
                true => self.edit(n - 1, |pack| pack.push(Side::Right, bytes)),
                false => self.add_pack(n, bytes),
            }
            return;
        }
        let right = self.edit(n, |pack| pack.split(pack.offset(at), at));
        self.put_pack(n + 1, right);
        if has_room(self, n) {
            self.edit(n, |pack| pack.push(Side::Right, bytes));
        } else if has_room(self, n + 1) {
            self.edit(n + 1, |pack| pack.push(Side::Left, bytes));
        } else {
            self.add_pack(n + 1, bytes);
        }
        for first in [n + 2, n + 1, n, n.saturating_sub(1)] {
            self.join(first, fill);
        }
    }

    /// Puts another element in the place of the one at `index`; false if there is none.
    pub fn set(&mut self, index: usize, bytes: &[u8], fill: Fill) -> bool {
        if index >= self.len() {
            return false;
        }
        self.expect(bytes.len(), 1, fill);
        let (n, at) = self.locate(index);
        let is_one = matches!(self.packs, Packs::One(_));
        let stays =
            self.pack(n).is_some_and(|pack| is_one || pack.len() == 1 || fill.has_room(pack, bytes.len()));
        if stays {
            self.edit(n, |pack| pack.replace(pack.offset(at), bytes));
        } else {
            self.edit(n, |pack| pack.remove(pack.offset(at), pack.offset(at + 1), 1));
            self.count_out(1);
            self.insert(index, bytes, fill);
        }
        self.settle(fill);
        true
    }

    /// Removes elements equal to `bytes`, at most `max`, those first that are nearer to `side`; how many.
    pub fn remove_equal(&mut self, side: Side, max: usize, bytes: &[u8], fill: Fill) -> usize {
        let sought = Element::of(bytes);
        let packs = self.packs();
        let mut removed = 0;
        for n in 0..packs {
            if removed == max {
                break;
            }
            let n = if side == Side::Left { n } else { packs - 1 - n };
            removed +=
                self.edit(n, |pack| pack.remove_matching(side, max - removed, &|element| element == sought));
        }
        if removed > 0 {
            self.count_out(removed);
            self.join_all(fill);
            self.settle(fill);
        }
        removed
    }
}

impl PartialEq for List {
    /// The same elements; how they are divided into packs does not matter, but for the encoding that a client can see.
    fn eq(&self, other: &List) -> bool {
        self.len() == other.len() && self.encoding() == other.encoding() && self.iter().eq(other.iter())
    }
}

impl Eq for List {}

impl Hash for List {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.len(), self.encoding()).hash(state);
        self.iter().for_each(|element| element.hash(state));
    }
}

impl std::fmt::Debug for List {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |element: Element<'_>| element.with(|bytes| String::from_utf8_lossy(bytes).into_owned());
        f.debug_list().entries(self.iter().map(text)).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Push(bool, Vec<u8>),
        Pop(bool),
        Insert(usize, Vec<u8>),
        Set(usize, Vec<u8>),
        Remove(usize, usize),
        Trim(usize, usize),
        Equal(bool, usize, Vec<u8>),
        Many(bool, usize),
        Clone,
        Fill(i32),
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            6 => (0i64..12).prop_map(|n| n.to_string().into_bytes()),
            3 => proptest::collection::vec(any::<u8>(), 0..30),
            2 => any::<i64>().prop_map(|n| n.to_string().into_bytes()),
            2 => (0usize..12_000).prop_map(|len| vec![b'v'; len]),
        ]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (any::<bool>(), bytes()).prop_map(|(left, b)| Step::Push(left, b)),
            3 => any::<bool>().prop_map(Step::Pop),
            3 => (any::<usize>(), bytes()).prop_map(|(n, b)| Step::Insert(n, b)),
            3 => (any::<usize>(), bytes()).prop_map(|(n, b)| Step::Set(n, b)),
            1 => (any::<usize>(), any::<usize>()).prop_map(|(a, b)| Step::Remove(a, b)),
            1 => (any::<usize>(), any::<usize>()).prop_map(|(a, b)| Step::Trim(a, b)),
            2 => (any::<bool>(), 0usize..6, bytes()).prop_map(|(left, max, b)| Step::Equal(left, max, b)),
            2 => (any::<bool>(), 0usize..200).prop_map(|(left, n)| Step::Many(left, n)),
            1 => Just(Step::Clone),
            1 => fill().prop_map(Step::Fill),
        ]
    }

    fn fill() -> impl Strategy<Value = i32> {
        prop_oneof![Just(-2), Just(-1), Just(0), Just(1), Just(5), Just(128), -9i32..0]
    }

    fn side(left: bool) -> Side {
        if left { Side::Left } else { Side::Right }
    }

    fn put(model: &mut VecDeque<Vec<u8>>, left: bool, bytes: Vec<u8>) {
        if left { model.push_front(bytes) } else { model.push_back(bytes) }
    }

    /// Looks at everything that a list shows.
    fn check(list: &List, model: &VecDeque<Vec<u8>>, fill: Option<Fill>) -> Result<(), TestCaseError> {
        prop_assert_eq!(list.len(), model.len());
        let found: Vec<Vec<u8>> = list.iter().map(|e| e.to_vec()).collect();
        prop_assert_eq!(&found, &Vec::from(model.clone()));
        let mut back: Vec<Vec<u8>> = list.range_back(0, list.len()).map(|e| e.to_vec()).collect();
        back.reverse();
        prop_assert_eq!(&back, &found);
        prop_assert_eq!(list.end(Side::Left).map(|e| e.to_vec()), model.front().cloned());
        prop_assert_eq!(list.end(Side::Right).map(|e| e.to_vec()), model.back().cloned());
        for n in [0, 1, model.len() / 3, model.len() / 2, model.len() * 2 / 3, model.len().saturating_sub(1)]
        {
            prop_assert_eq!(list.get(n).map(|e| e.to_vec()), model.get(n).cloned());
        }
        prop_assert_eq!(list.get(model.len()), None);
        let recount: usize = (0..list.packs()).filter_map(|n| list.pack(n)).map(Pack::owned_bytes).sum();
        prop_assert_eq!(list.pack_bytes(), recount);
        for n in 0..list.packs() {
            let pack = list.pack(n).expect("a pack");
            // The heads and tails of one element do not count while there is one pack only: see `expect`.
            let bytes = pack.used().saturating_sub(10);
            let fits = fill.is_none_or(|fill| fill.allows(bytes, pack.len()));
            prop_assert!(pack.len() <= 1 || fits, "a pack is not too full");
            prop_assert!(!pack.is_empty() || list.is_empty(), "no pack is empty");
        }
        Ok(())
    }

    fn run(mut fill: Fill, steps: Vec<Step>) -> Result<(), TestCaseError> {
        // Packs that are there stay as full as they are when less is allowed.
        let mut is_first = true;
        let (mut list, mut model) = (List::default(), VecDeque::<Vec<u8>>::new());
        for step in steps {
            match step {
                Step::Push(left, bytes) => {
                    list.push(side(left), &bytes, fill);
                    put(&mut model, left, bytes);
                }
                Step::Many(left, count) => {
                    list.expect(16 * count, count, fill);
                    for n in 0..count {
                        let bytes = format!("element-{n:08}").into_bytes();
                        list.push(side(left), &bytes, fill);
                        put(&mut model, left, bytes);
                    }
                }
                Step::Pop(left) => {
                    list.drop_end(side(left), fill);
                    if left {
                        model.pop_front()
                    } else {
                        model.pop_back()
                    };
                }
                Step::Insert(n, bytes) => {
                    let n = n % (model.len() + 1);
                    list.insert(n, &bytes, fill);
                    model.insert(n, bytes);
                }
                Step::Set(n, bytes) => {
                    let n = n % (model.len() + 1);
                    prop_assert_eq!(list.set(n, &bytes, fill), n < model.len());
                    if n < model.len() {
                        model[n] = bytes;
                    }
                }
                Step::Remove(from, count) => {
                    let (from, count) = (from % (model.len() + 1), count % (model.len() / 2 + 2));
                    list.remove(from, count, fill);
                    model.drain(from..(from + count).min(model.len()));
                }
                Step::Trim(from, to) => {
                    let from = from % (model.len() / 4 + 1);
                    let to = model.len() - to % (model.len() / 4 + 1);
                    list.trim(from, to, fill);
                    model.truncate(to.max(from));
                    model.drain(..from.min(model.len()));
                }
                Step::Equal(left, max, bytes) => {
                    let mut places: Vec<usize> = (0..model.len()).filter(|&n| model[n] == bytes).collect();
                    if left {
                        places.truncate(max);
                    } else {
                        places.drain(..places.len().saturating_sub(max));
                    }
                    prop_assert_eq!(list.remove_equal(side(left), max, &bytes, fill), places.len());
                    places.into_iter().rev().for_each(|n| drop(model.remove(n)));
                }
                Step::Clone => {
                    let clone = list.clone();
                    prop_assert_eq!(&clone, &list);
                    prop_assert_eq!(clone.owned_bytes(), list.owned_bytes());
                    list = clone;
                }
                Step::Fill(next) => (fill, is_first) = (Fill(next), false),
            }
            check(&list, &model, is_first.then_some(fill))?;
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn a_list_is_a_queue_of_byte_strings(
            fill in fill(),
            steps in proptest::collection::vec(step(), 0..60),
        ) {
            run(Fill(fill), steps)?;
        }
    }
}
