//! The ring from one core to another: first in, first out, and never more than its bound.

use std::collections::VecDeque;

use darter_core::limits::ring_places;
use darter_core::message::Message;

/// One direction between two cores.
#[derive(Debug)]
pub struct Ring {
    /// Messages and the moment from which the receiver can see each; never earlier than that of the one before.
    queue: VecDeque<(u64, Message)>,
    capacity: usize,
    longest: usize,
}

impl Ring {
    /// A ring for so many credits on each side: the sender's requests and its answers to the receiver's.
    pub fn new(credits: usize) -> Ring {
        Ring { queue: VecDeque::new(), capacity: ring_places(credits), longest: 0 }
    }

    /// Pushes a message that can be seen from `at` on; an error if there is no room.
    pub fn push(&mut self, at: u64, message: Message) -> Result<(), String> {
        if self.queue.len() == self.capacity {
            return Err(format!("a ring of {} places has no room for {message:?}", self.capacity));
        }
        let at = self.queue.back().map_or(at, |(last, _)| at.max(*last));
        self.queue.push_back((at, message));
        self.longest = self.longest.max(self.queue.len());
        Ok(())
    }

    /// The next message that can be seen.
    pub fn pop(&mut self, now: u64) -> Option<Message> {
        if self.queue.front()?.0 > now {
            return None;
        }
        self.queue.pop_front().map(|(_, message)| message)
    }

    /// When the last message can be seen.
    pub fn last_at(&self) -> Option<u64> {
        self.queue.back().map(|(at, _)| *at)
    }

    /// When the next message can be seen.
    pub fn next_at(&self) -> Option<u64> {
        self.queue.front().map(|(at, _)| *at)
    }

    /// The message that was pushed last, for those who tamper with it.
    pub fn last_mut(&mut self) -> Option<&mut Message> {
        self.queue.back_mut().map(|(_, message)| message)
    }

    /// Takes the last message back out.
    pub fn pop_last(&mut self) -> Option<Message> {
        self.queue.pop_back().map(|(_, message)| message)
    }

    /// The two messages that were pushed last, the earlier one first.
    pub fn last_two_mut(&mut self) -> Option<(&mut Message, &mut Message)> {
        let mut back = self.queue.iter_mut().rev().map(|(_, message)| message);
        let last = back.next()?;
        Some((back.next()?, last))
    }

    /// True without messages.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The most messages it ever held, and its bound.
    pub fn fill(&self) -> (usize, usize) {
        (self.longest, self.capacity)
    }
}

#[cfg(test)]
mod tests {
    use darter_core::feed::Topics;

    use super::*;

    #[test]
    fn order_is_kept_and_the_bound_too() {
        let mut ring = Ring::new(1);
        ring.push(10, Message::Noted).expect("there is room");
        ring.push(5, Message::Listen { topics: Topics::REQUESTS }).expect("there is room");
        ring.push(5, Message::Received).expect("there is room");
        assert!(ring.push(6, Message::Noted).is_err());
        assert_eq!(ring.pop(9), None);
        assert_eq!(ring.pop(10), Some(Message::Noted));
        assert_eq!(
            ring.pop(10),
            Some(Message::Listen { topics: Topics::REQUESTS }),
            "later ones are not seen earlier"
        );
        assert_eq!(ring.pop(10), Some(Message::Received));
        assert!(ring.is_empty());
    }
}
