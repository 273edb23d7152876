//! Replies that are awaited from other cores, and what follows each until it has come.
//!
//! Of a pipeline's commands some run elsewhere. What the others answer meanwhile stands behind the replies that are missing, all of it in one
//! buffer: a place knows where in it what follows begins. It knows the order of replies. It does not know who gives them, nor how they leave.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};

use crate::mutant::planted;
use crate::protocol::chunks::Chunks;

/// Bytes that have left are taken off the front once there are so many of them and they are half of all.
const GONE_MAX: u64 = 16 << 10;
/// A buffer larger than this is not kept for other replies.
const BUFFER_KEPT: usize = 64 << 10;
/// Buffers that are kept for other replies.
const SPARE_MAX: usize = 64;

/// A reply that is awaited.
#[derive(Clone, Debug)]
struct Place {
    /// It has come, but not those before it.
    reply: Option<Chunks>,
    /// The client has asked for silence (CLIENT REPLY).
    is_silent: bool,
    /// Where what follows it begins, counted from the first byte that ever followed one.
    at: u64,
}

/// The awaited replies of one client, in the order of its requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Awaited {
    places: VecDeque<Place>,
    /// Sequence of the first.
    first: u64,
    /// What was answered behind the first, without the gaps.
    later: Chunks,
    /// Where `later` begins, counted as places are.
    base: u64,
    /// What stands before this has left.
    gone: u64,
}

impl Awaited {
    /// How many.
    #[inline]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Where replies are encoded that follow the last one; nothing, if none is awaited.
    #[inline]
    pub fn end(&mut self) -> Option<&mut Chunks> {
        (!self.places.is_empty()).then_some(&mut self.later)
    }

    /// The sequence that the next one will have.
    #[inline]
    pub fn next_sequence(&self) -> u64 {
        self.first + self.places.len() as u64
    }

    /// One more; its sequence.
    #[inline]
    pub fn push(&mut self) -> u64 {
        debug_assert!(self.end_at() >= self.gone, "nobody asks others while what follows is taken out");
        let sequence = self.next_sequence();
        self.places.push_back(Place { reply: None, is_silent: false, at: self.end_at() });
        sequence
    }

    /// A buffer for what follows, unless there is one.
    #[inline]
    pub fn lend(&mut self, spare: &mut Vec<Vec<u8>>) {
        if self.later.tail().capacity() == 0
            && let Some(mut buffer) = spare.pop()
        {
            buffer.clear();
            *self.later.tail() = buffer;
        }
    }

    /// Gives the buffer back that is not needed now.
    pub fn give_back(&mut self, spare: &mut Vec<Vec<u8>>) {
        let buffer = self.later.tail();
        if self.places.is_empty() && buffer.capacity() > 0 {
            let buffer = std::mem::take(buffer);
            if spare.len() < SPARE_MAX {
                spare.push(buffer);
            }
        }
    }

    /// The last one will not be heard (CLIENT REPLY).
    pub fn silence_last(&mut self) {
        if let Some(last) = self.places.back_mut() {
            last.is_silent = true;
        }
    }

    /// The last one will never come, nor what follows it.
    pub fn forget_last(&mut self) {
        let last = self.places.pop_back();
        assert!(last.as_ref().is_some_and(|last| last.reply.is_none()), "it is awaited");
        if let Some(last) = last {
            self.later.truncate((last.at - self.base) as usize);
        }
    }

    /// True if one with this sequence is awaited.
    #[inline]
    pub fn has(&self, sequence: u64) -> bool {
        sequence
            .checked_sub(self.first)
            .and_then(|place| self.places.get(place as usize))
            .is_some_and(|place| place.reply.is_none())
    }

    /// It has come. What waits for no other any more goes to the end of `out`.
    pub fn arrived(&mut self, sequence: u64, reply: Chunks, out: &mut Chunks) {
        assert!(self.has(sequence), "every awaited reply comes once");
        let place = match planted("replies leave in the order of their arrival") {
            true => self.places.iter().position(|place| place.reply.is_none()).unwrap_or_default(),
            false => (sequence - self.first) as usize,
        };
        self.places[place].reply = Some(reply);
        self.let_go(out);
    }

    /// The same of a reply that stands among others, from `start` to `end`.
    #[inline]
    pub fn arrived_among(
        &mut self,
        sequence: u64,
        replies: &Chunks,
        start: usize,
        end: usize,
        out: &mut Chunks,
    ) {
        let is_first = sequence == self.first && self.has(sequence);
        if !is_first || planted("replies leave in the order of their arrival") {
            let mut reply = Chunks::default();
            replies.copy_range(start, end, &mut reply);
            return self.arrived(sequence, reply, out);
        }
        if self.places.pop_front().is_some_and(|first| !first.is_silent) {
            replies.copy_range(start, end, out);
        }
        self.first_left(out);
        self.let_go(out);
    }

    /// Bytes that follow awaited replies; none, while a command that looks at its own client has taken them out to write behind them.
    #[inline]
    pub fn following(&self) -> usize {
        self.end_at().saturating_sub(self.gone) as usize
    }

    /// Bytes of memory held for them.
    pub fn held_bytes(&self) -> usize {
        self.later.held_bytes()
    }

    #[inline]
    fn end_at(&self) -> u64 {
        self.base + self.later.len() as u64
    }

    /// Replies that wait for no other leave.
    #[inline]
    fn let_go(&mut self, out: &mut Chunks) {
        while let Some(Place { reply: Some(_), .. }) = self.places.front() {
            let Some(first) = self.places.pop_front() else { break };
            if let (Some(reply), false) = (first.reply, first.is_silent) {
                out.append(reply);
            }
            self.first_left(out);
        }
    }

    /// The first has left: what follows it does, up to the next.
    #[inline]
    fn first_left(&mut self, out: &mut Chunks) {
        self.first += 1;
        let next = self.places.front().map_or(self.end_at(), |next| next.at);
        if next > self.gone {
            self.later.copy_range((self.gone - self.base) as usize, (next - self.base) as usize, out);
            self.gone = next;
        }
        if self.places.is_empty() {
            let buffer = std::mem::take(self.later.tail());
            self.later =
                Chunks::with_buffer(if buffer.capacity() > BUFFER_KEPT { Vec::new() } else { buffer });
            self.base = self.gone;
        } else if self.gone - self.base >= GONE_MAX && self.gone - self.base > self.end_at() - self.gone {
            self.base += self.later.forget_front((self.gone - self.base) as usize) as u64;
        }
    }
}

impl Hash for Awaited {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.first.hash(hasher);
        let places = self.places.iter().map(|place| (&place.reply, place.is_silent, place.at - self.gone));
        places.collect::<Vec<_>>().hash(hasher);
        self.later.to_vec()[(self.gone - self.base) as usize..].hash(hasher);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chunks(text: &[u8]) -> Chunks {
        let mut chunks = Chunks::default();
        chunks.tail().extend_from_slice(text);
        chunks
    }

    #[test]
    fn memory_of_what_has_left_is_used_again_while_others_are_awaited() {
        let (mut awaited, mut out) = (Awaited::default(), Chunks::default());
        awaited.push();
        for sequence in 0..10_000 {
            awaited.push();
            awaited.end().expect("some are awaited").tail().extend_from_slice(&[7; 100]);
            awaited.arrived(sequence, chunks(b"+"), &mut out);
            assert_eq!(awaited.len(), 1);
        }
        assert!(awaited.held_bytes() < 128 << 10, "{}", awaited.held_bytes());
        assert_eq!(out.len(), 10_000 + 9_999 * 100);
        awaited.arrived(10_000, chunks(b"+"), &mut out);
        assert_eq!((out.len(), awaited.following()), (10_001 + 10_000 * 100, 0));
    }

    #[test]
    fn who_asks_while_it_is_written_behind_them_is_told_of_nothing() {
        let (mut awaited, mut out) = (Awaited::default(), Chunks::default());
        assert_eq!([awaited.push(), awaited.push()], [0, 1]);
        awaited.end().expect("some are awaited").tail().extend_from_slice(b"behind both");
        awaited.push();
        awaited.arrived(0, chunks(b"+"), &mut out);
        awaited.arrived(1, chunks(b"+"), &mut out);
        let taken = std::mem::take(awaited.end().expect("one is awaited"));
        assert_eq!((awaited.following(), out.len()), (0, 13));
        *awaited.end().expect("one is awaited") = taken;
        awaited.arrived(2, chunks(b"+"), &mut out);
        assert_eq!((awaited.following(), &out.to_vec()[..]), (0, &b"++behind both+"[..]));
    }

    #[test]
    fn buffers_are_lent_and_given_back() {
        let (mut awaited, mut out) = (Awaited::default(), Chunks::default());
        let mut spare = vec![Vec::with_capacity(1_000)];
        spare[0].extend_from_slice(b"what left long ago");
        awaited.lend(&mut spare);
        awaited.push();
        awaited.end().expect("one is awaited").tail().extend_from_slice(b"next");
        awaited.give_back(&mut spare);
        assert_eq!((spare.len(), awaited.held_bytes()), (0, 1_000));
        awaited.arrived(0, chunks(b"first "), &mut out);
        awaited.give_back(&mut spare);
        assert_eq!((spare.len(), awaited.held_bytes(), &out.to_vec()[..]), (1, 0, &b"first next"[..]));
    }

    /// What a client does to its replies.
    #[derive(Clone, Debug)]
    enum Act {
        /// Awaits one.
        Await,
        /// Writes behind it.
        Write(usize),
        /// One of the awaited comes, among others or alone.
        Arrives(usize, bool),
        /// The last is not to be heard.
        Silence,
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            Just(Act::Await),
            (1usize..3_000).prop_map(Act::Write),
            (any::<usize>(), any::<bool>()).prop_map(|(which, among)| Act::Arrives(which, among)),
            Just(Act::Silence),
        ]
    }

    proptest! {
        #[test]
        fn replies_leave_in_the_order_of_requests_whatever_comes_when(acts in prop::collection::vec(act(), 0..200)) {
            let (mut awaited, mut out) = (Awaited::default(), Chunks::default());
            // All that is said, in order, each with how it will be heard; and who is awaited.
            let mut said: Vec<Vec<u8>> = Vec::new();
            let mut missing: Vec<(u64, usize, bool)> = Vec::new();
            for (n, act) in acts.into_iter().enumerate() {
                let mark = n as u8;
                match act {
                    Act::Await => {
                        missing.push((awaited.push(), said.len(), false));
                        said.push(Vec::new());
                    }
                    Act::Write(len) => {
                        let end = awaited.end().unwrap_or(&mut out);
                        end.tail().extend(std::iter::repeat_n(mark, len));
                        said.push(vec![mark; len]);
                    }
                    Act::Arrives(which, among) if !missing.is_empty() => {
                        let (sequence, place, is_silent) = missing.remove(which % missing.len());
                        prop_assert!(awaited.has(sequence));
                        let reply = [mark; 20];
                        match among {
                            true => awaited.arrived_among(sequence, &chunks(&[[0; 20], reply, [1; 20]].concat()), 20, 40, &mut out),
                            false => awaited.arrived(sequence, chunks(&reply), &mut out),
                        }
                        prop_assert!(!awaited.has(sequence));
                        if !is_silent {
                            said[place] = reply.to_vec();
                        }
                    }
                    Act::Silence => {
                        if let (Some(last), true) = (missing.last_mut(), awaited.len() > 0) && last.0 + 1 == awaited.next_sequence() {
                            awaited.silence_last();
                            last.2 = true;
                        }
                    }
                    Act::Arrives(..) => {}
                }
                let heard = missing.first().map_or(said.len(), |(_, place, _)| *place);
                let first = missing.iter().map(|(_, place, _)| *place).min().unwrap_or(heard);
                prop_assert_eq!(&out.to_vec(), &said[..first].concat());
                let behind: usize = said[first..].iter().map(Vec::len).sum();
                prop_assert!(awaited.following() <= behind);
            }
        }
    }
}
