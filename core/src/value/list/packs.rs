//! The packs that a list is made of: one, or a queue of them. How full each may be, which of them holds a place, what they take together.
//!
//! It knows how many elements and bytes a pack has. It does not know what is sought, put or removed.

use std::collections::VecDeque;

use super::List;
use crate::value::block::block_size;
use crate::value::pack::{Pack, Side};

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
    pub(super) fn allows(self, bytes: usize, count: usize) -> bool {
        let (bytes_max, count_max) = self.limits();
        bytes <= bytes_max && count <= count_max
    }

    /// True if the pack may have one more element of this many bytes. What an element's head and tail take is a bound: integers take less.
    #[inline]
    pub(super) fn has_room(self, pack: &Pack, len: usize) -> bool {
        let frame = match len {
            0..64 => 2,
            64..4_096 => 4,
            _ => 10,
        };
        self.allows(pack.used() + len + frame, pack.len() + 1)
    }
}

#[derive(Clone)]
pub(super) enum Packs {
    One(Pack),
    /// In a box, since most lists are small.
    Many(Box<Queue>),
}

pub(super) struct Queue {
    packs: VecDeque<Pack>,
    /// Elements of all packs.
    len: usize,
    /// What the packs' blocks take.
    pack_bytes: usize,
}

impl Clone for Queue {
    /// Owns exactly as many bytes as the original: the accounts of a store that is cloned stay true.
    fn clone(&self) -> Queue {
        let mut packs = VecDeque::with_capacity(self.packs.capacity());
        packs.extend(self.packs.iter().cloned());
        Queue { packs, len: self.len, pack_bytes: self.pack_bytes }
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
    pub(super) fn count_in(&mut self, elements: usize) {
        if let Packs::Many(queue) = &mut self.packs {
            queue.len += elements;
        }
    }

    /// So many elements are about to go or have gone.
    #[inline]
    pub(super) fn count_out(&mut self, elements: usize) {
        if let Packs::Many(queue) = &mut self.packs {
            queue.len -= elements;
        }
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
    pub(super) fn pack(&self, n: usize) -> Option<&Pack> {
        match &self.packs {
            Packs::One(pack) => (n == 0).then_some(pack),
            Packs::Many(queue) => queue.packs.get(n),
        }
    }

    /// Changes a pack that is there; the accounts follow.
    #[inline]
    pub(super) fn edit<R>(&mut self, n: usize, change: impl FnOnce(&mut Pack) -> R) -> R {
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
    pub(super) fn locate(&self, index: usize) -> (usize, usize) {
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
    pub(super) fn discard(&mut self, from: usize, to: usize) {
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
    pub(super) fn put_pack(&mut self, n: usize, pack: Pack) {
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

    pub(super) fn add_pack(&mut self, n: usize, bytes: &[u8]) {
        let mut pack = Pack::default();
        pack.push(Side::Right, bytes);
        self.put_pack(n, pack);
    }

    /// Makes one pack of two neighbours if they fit.
    pub(super) fn join(&mut self, n: usize, fill: Fill) {
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
    pub(super) fn join_all(&mut self, fill: Fill) {
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
    pub(super) fn settle(&mut self, fill: Fill) {
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

    /// What the packs' blocks take, as it is counted.
    #[cfg(test)]
    pub(super) fn pack_bytes(&self) -> usize {
        match &self.packs {
            Packs::One(pack) => pack.owned_bytes(),
            Packs::Many(queue) => queue.pack_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!((steps, list.pack_bytes()), (packs, 0));
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
