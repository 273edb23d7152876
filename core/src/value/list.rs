//! A list: one pack while it is small, a queue of packs beyond. Ends cost O(1), places between them O(packs + one pack).
//!
//! It knows elements and how full a pack may be. It does not know keys, commands or what an element means.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};

use super::block::block_size;
use super::element::Element;
use super::pack::{Pack, Side};

/// How full a pack may be: `list-max-listpack-size`. Positive: elements; negative: 4, 8, 16, 32, 64 kilobytes for -1 to -5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fill(pub i32);

/// Bytes of a listpack that are no elements. Packs have none, but their bounds are told in bytes of a listpack.
const LISTPACK_FRAME: usize = 7;
/// However many elements a pack may have, it has no more bytes than this.
const COUNTED_BYTES_MAX: usize = 8 << 10;

impl Fill {
    /// Bytes of elements and their number that a pack may have. What is larger alone has a pack of its own.
    #[inline]
    fn limits(self) -> (usize, usize) {
        match self.0 {
            0.. => (COUNTED_BYTES_MAX - LISTPACK_FRAME, (self.0 as usize).max(1)),
            _ => (((4 << 10) << (-1 - self.0.max(-5))) - LISTPACK_FRAME, usize::MAX),
        }
    }

    #[inline]
    fn allows(self, bytes: usize, count: usize) -> bool {
        let (bytes_max, count_max) = self.limits();
        bytes <= bytes_max && count <= count_max
    }

    /// True if the pack may have one more element of this many bytes. What an element's head and tail take is a bound: integers take less.
    #[inline]
    fn has_room(self, pack: &Pack, len: usize) -> bool {
        let frame = match len {
            0..64 => 2,
            64..4_096 => 4,
            _ => 10,
        };
        self.allows(pack.used() + len + frame, pack.len() + 1)
    }
}

#[derive(Clone)]
enum Packs {
    One(Pack),
    /// In a box, since most lists are small.
    Many(Box<Queue>),
}

struct Queue {
    packs: VecDeque<Pack>,
    /// Elements of all packs.
    len: usize,
    /// What the packs' blocks take.
    pack_bytes: usize,
}

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
    /// How many elements.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.packs {
            Packs::One(pack) => pack.len(),
            Packs::Many(queue) => queue.len,
        }
    }

    /// So many elements are about to come or have come. One pack counts its own.
    #[inline]
    fn count_in(&mut self, elements: usize) {
        if let Packs::Many(queue) = &mut self.packs {
            queue.len += elements;
        }
    }

    /// So many elements are about to go or have gone.
    #[inline]
    fn count_out(&mut self, elements: usize) {
        if let Packs::Many(queue) = &mut self.packs {
            queue.len -= elements;
        }
    }

    /// True without elements.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// OBJECT ENCODING's word, as Redis says it since 7.2.
    pub fn encoding(&self) -> &'static str {
        match self.packs {
            Packs::One(_) => "listpack",
            Packs::Many(_) => "quicklist",
        }
    }

    /// Bytes of memory that it owns besides itself.
    #[inline]
    pub fn owned_bytes(&self) -> usize {
        match &self.packs {
            Packs::One(pack) => pack.owned_bytes(),
            Packs::Many(queue) => {
                let places = block_size(queue.packs.capacity() * size_of::<Pack>());
                block_size(size_of::<Queue>()) + places + queue.pack_bytes
            }
        }
    }

    /// How many packs it has.
    #[inline]
    pub fn packs(&self) -> usize {
        match &self.packs {
            Packs::One(_) => 1,
            Packs::Many(queue) => queue.packs.len(),
        }
    }

    /// The packs' sizes in bytes, as listpacks.
    pub fn listpack_sizes(&self) -> impl Iterator<Item = usize> {
        (0..self.packs()).filter_map(|n| self.pack(n)).map(|pack| pack.used() + LISTPACK_FRAME)
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

    /// Becomes a queue of packs if so many more bytes and elements are too much for one: said before they are pushed, as Redis looks at
    /// all elements of a command at once. As there, the new elements' heads and tails do not count, so that a lone pack may go over its
    /// bound by those of one element.
    pub fn expect(&mut self, bytes: usize, count: usize, fill: Fill) {
        if let Packs::One(pack) = &mut self.packs
            && !fill.allows(pack.used().saturating_add(bytes), pack.len().saturating_add(count))
        {
            let pack = std::mem::take(pack);
            let mut queue = Queue { packs: VecDeque::new(), len: pack.len(), pack_bytes: pack.owned_bytes() };
            if !pack.is_empty() {
                queue.packs.push_back(pack);
            }
            self.packs = Packs::Many(Box::new(queue));
        }
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

    /// Frees about `steps` packs from the end; how many steps that took. What is left is well formed.
    pub fn free_some(&mut self, steps: usize) -> usize {
        let packs = self.packs();
        let taken = steps.min(packs);
        for n in packs - taken..packs {
            let gone = self.pack(n).map_or(0, Pack::len);
            self.count_out(gone);
        }
        self.discard(packs - taken, packs);
        taken
    }

    #[inline]
    fn pack(&self, n: usize) -> Option<&Pack> {
        match &self.packs {
            Packs::One(pack) => (n == 0).then_some(pack),
            Packs::Many(queue) => queue.packs.get(n),
        }
    }

    /// Changes a pack that is there; the accounts follow.
    #[inline]
    fn edit<R>(&mut self, n: usize, change: impl FnOnce(&mut Pack) -> R) -> R {
        match &mut self.packs {
            Packs::One(pack) => change(pack),
            Packs::Many(queue) => {
                let pack = &mut queue.packs[n];
                let before = pack.owned_bytes();
                let result = change(pack);
                queue.pack_bytes = queue.pack_bytes + pack.owned_bytes() - before;
                result
            }
        }
    }

    /// The pack that holds an element, and its place there; walked to from the nearer end.
    fn locate(&self, index: usize) -> (usize, usize) {
        assert!(index < self.len(), "a place is within the list");
        let Packs::Many(queue) = &self.packs else { return (0, index) };
        if index <= self.len() / 2 {
            let mut at = index;
            for (n, pack) in queue.packs.iter().enumerate() {
                match at.checked_sub(pack.len()) {
                    Some(rest) => at = rest,
                    None => return (n, at),
                }
            }
        } else {
            let mut behind = self.len() - index;
            for (n, pack) in queue.packs.iter().enumerate().rev() {
                match behind.checked_sub(pack.len()) {
                    Some(rest) if rest > 0 => behind = rest,
                    _ => return (n, pack.len() - behind),
                }
            }
        }
        unreachable!("the packs hold as many elements as the list has")
    }

    /// Removes packs.
    fn discard(&mut self, from: usize, to: usize) {
        match &mut self.packs {
            Packs::One(pack) if from < to => *pack = Pack::default(),
            Packs::One(_) => {}
            Packs::Many(queue) => {
                for pack in queue.packs.drain(from..to) {
                    queue.pack_bytes -= pack.owned_bytes();
                }
            }
        }
    }

    /// Puts a pack at place `n` of the queue.
    fn put_pack(&mut self, n: usize, pack: Pack) {
        match &mut self.packs {
            Packs::One(_) => {
                unreachable!("a list of one pack never gets a second one: it becomes a queue before")
            }
            Packs::Many(queue) => {
                queue.pack_bytes += pack.owned_bytes();
                queue.packs.insert(n, pack);
            }
        }
    }

    fn add_pack(&mut self, n: usize, bytes: &[u8]) {
        let mut pack = Pack::default();
        pack.push(Side::Right, bytes);
        self.put_pack(n, pack);
    }

    /// Makes one pack of two neighbours if they fit.
    fn join(&mut self, n: usize, fill: Fill) {
        let Packs::Many(queue) = &mut self.packs else { return };
        let (Some(left), Some(right)) = (queue.packs.get(n), queue.packs.get(n + 1)) else { return };
        if fill.allows(left.used() + right.used(), left.len() + right.len())
            && let Some(right) = queue.packs.remove(n + 1)
        {
            queue.pack_bytes -= right.owned_bytes();
            self.edit(n, |left| left.append(&right));
        }
    }

    /// Joins all neighbours that fit, and drops empty packs.
    fn join_all(&mut self, fill: Fill) {
        let Packs::Many(queue) = &mut self.packs else { return };
        let mut joined: VecDeque<Pack> = VecDeque::with_capacity(queue.packs.len());
        for pack in queue.packs.drain(..) {
            match joined.back_mut() {
                _ if pack.is_empty() => {}
                Some(left) if fill.allows(left.used() + pack.used(), left.len() + pack.len()) => {
                    left.append(&pack);
                }
                _ => joined.push_back(pack),
            }
        }
        queue.pack_bytes = joined.iter().map(Pack::owned_bytes).sum();
        queue.packs = joined;
    }

    /// After elements have gone: a queue of one pack that is half empty becomes one pack again, and a queue does not keep room for
    /// many times what it has.
    fn settle(&mut self, fill: Fill) {
        /// A queue's room below which nothing is given back.
        const QUEUE_KEPT: usize = 16;
        let Packs::Many(queue) = &mut self.packs else { return };
        let packs = &mut queue.packs;
        if packs.capacity() > QUEUE_KEPT && packs.len() < packs.capacity() / 4 {
            packs.shrink_to(packs.len() * 2);
        }
        if packs.len() > 1 {
            return;
        }
        let (bytes_max, count_max) = fill.limits();
        let fits = packs.front().is_none_or(|pack| {
            pack.used() + LISTPACK_FRAME <= (bytes_max + LISTPACK_FRAME) / 2 && pack.len() <= count_max / 2
        });
        if fits {
            self.packs = Packs::One(packs.pop_front().unwrap_or_default());
        }
    }
}

/// Elements of a list in either direction, borrowed.
#[derive(Clone)]
pub struct Elements<'a> {
    list: &'a List,
    pack: usize,
    /// Where the next element begins, or ends if the way leads to the head.
    offset: usize,
    left: usize,
    /// Where the way comes from.
    side: Side,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        self.left = self.left.checked_sub(1)?;
        loop {
            let pack = self.list.pack(self.pack)?;
            if self.side == Side::Left {
                if let Some((element, next)) = pack.at(self.offset) {
                    self.offset = next;
                    return Some(element);
                }
                self.pack += 1;
                self.offset = 0;
            } else {
                if let Some(before) = pack.before(self.offset) {
                    self.offset = before;
                    return pack.at(before).map(|(element, _)| element);
                }
                self.pack = self.pack.checked_sub(1)?;
                self.offset = self.list.pack(self.pack)?.used();
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Elements<'_> {}

impl Clone for Queue {
    /// Owns exactly as many bytes as the original: the accounts of a store that is cloned stay true.
    fn clone(&self) -> Queue {
        let mut packs = VecDeque::with_capacity(self.packs.capacity());
        packs.extend(self.packs.iter().cloned());
        Queue { packs, len: self.len, pack_bytes: self.pack_bytes }
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
    use super::*;
    use proptest::prelude::*;

    fn pack_bytes(list: &List) -> usize {
        match &list.packs {
            Packs::One(pack) => pack.owned_bytes(),
            Packs::Many(queue) => queue.pack_bytes,
        }
    }

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
        prop_assert_eq!(pack_bytes(list), recount);
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

    #[test]
    fn the_encoding_changes_at_the_bound_and_back_at_half_of_it() {
        let fill = Fill(-2);
        let mut list = List::default();
        let mut grown = 0;
        while list.encoding() == "listpack" {
            list.push(Side::Right, &[b'x'; 98], fill);
            grown += 1;
        }
        assert!((81..=83).contains(&grown), "{grown} elements of 101 bytes make eight kilobytes");
        while list.encoding() == "quicklist" {
            list.drop_end(Side::Right, fill);
        }
        assert_eq!(list.len(), 40);
        let mut counted = List::default();
        (0..4).for_each(|_| counted.push(Side::Left, b"1", Fill(4)));
        assert_eq!(counted.encoding(), "listpack");
        counted.push(Side::Left, b"1", Fill(4));
        assert_eq!((counted.encoding(), counted.packs()), ("quicklist", 2));
        let mut large = List::default();
        large.push(Side::Left, &[b'x'; 9_000], fill);
        assert_eq!(large.encoding(), "quicklist");
    }

    #[test]
    fn a_list_is_freed_in_steps() {
        let mut list = List::default();
        for n in 0..100_000 {
            list.push(Side::Right, format!("element:{n}").as_bytes(), Fill(-2));
        }
        let (packs, mut last, mut steps) = (list.packs(), list.owned_bytes(), 0);
        while !list.is_empty() {
            steps += list.free_some(10);
            assert!(list.owned_bytes() < last);
            last = list.owned_bytes();
        }
        assert_eq!((steps, pack_bytes(&list)), (packs, 0));
    }

    #[test]
    fn memory_stays_close_to_what_the_elements_take() {
        let mut list = List::default();
        for n in 0..10_000 {
            list.push(
                if n % 2 == 0 { Side::Left } else { Side::Right },
                format!("element:{n:08}").as_bytes(),
                Fill(-2),
            );
        }
        let elements = 10_000 * (16 + 2);
        assert!(list.owned_bytes() < elements + elements / 20, "{} bytes for {elements}", list.owned_bytes());
    }
}
