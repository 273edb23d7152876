//! Boxes that are used again, and how they come back to whoever sends more of them than it gets.
//!
//! What travels in one direction more than in the other takes its empties along on the way back. It knows nothing of what lies in the
//! boxes, and two cores or messages that differ only in these are the same.

use std::hash::{Hash, Hasher};

/// Boxes of a kind that are kept at the most.
const KEPT_MAX: usize = 8;

/// Boxes whose content is not needed any more. A copy has none.
#[derive(Debug)]
pub struct Spare<T>(Vec<Box<T>>);

/// At most one such box, in a message.
#[derive(Debug)]
pub struct Empty<T>(Option<Box<T>>);

impl<T: Default> Spare<T> {
    /// Keeps a box, if there are not enough.
    pub fn keep(&mut self, unused: Box<T>) {
        if self.0.len() < KEPT_MAX {
            self.0.push(unused);
        }
    }

    /// Keeps what came along with a message.
    pub fn keep_empty(&mut self, empty: &mut Empty<T>) {
        if let Some(unused) = empty.0.take() {
            self.keep(unused);
        }
    }

    /// A box with whatever was in it last.
    pub fn take(&mut self) -> Box<T> {
        self.0.pop().unwrap_or_default()
    }

    /// What a message to somebody who may need it takes along.
    pub fn part_with(&mut self) -> Empty<T> {
        Empty(self.0.pop())
    }
}

impl<T> Default for Spare<T> {
    fn default() -> Spare<T> {
        Spare(Vec::new())
    }
}

impl<T> Clone for Spare<T> {
    fn clone(&self) -> Spare<T> {
        Spare::default()
    }
}

impl<T> Default for Empty<T> {
    fn default() -> Empty<T> {
        Empty(None)
    }
}

impl<T> Clone for Empty<T> {
    fn clone(&self) -> Empty<T> {
        Empty(None)
    }
}

impl<T> PartialEq for Empty<T> {
    fn eq(&self, _: &Empty<T>) -> bool {
        true
    }
}

impl<T> Eq for Empty<T> {}

impl<T> Hash for Empty<T> {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_goes_and_comes_back() {
        let (mut sender, mut receiver) = (Spare::default(), Spare::default());
        let mut sent: Box<Vec<u8>> = sender.take();
        sent.reserve(1_000);
        receiver.keep(sent);
        let mut empty = receiver.part_with();
        assert!(receiver.take().capacity() == 0, "it has parted with it");
        sender.keep_empty(&mut empty);
        sender.keep_empty(&mut empty);
        assert!(sender.take().capacity() >= 1_000);
        assert_eq!(sender.take().capacity(), 0, "there was one");
    }

    #[test]
    fn no_more_are_kept_than_are_needed() {
        let mut spare = Spare::default();
        (0..100).for_each(|_| spare.keep(Box::new(7_u64)));
        assert_eq!((0..100).filter(|_| *spare.take() == 7).count(), KEPT_MAX);
    }
}
