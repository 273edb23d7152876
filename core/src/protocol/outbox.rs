//! The output of one client: what is in flight never moves, what is being encoded stands beside it.
//!
//! The driver may have given the addresses of flying bytes to the kernel; they stay until it has reported them sent.

use super::chunks::{Chunk, Chunks};
use crate::mutant::planted;

/// A buffer larger than this is not kept for the next reply.
const BUFFER_KEPT: usize = 64 << 10;
/// Slices offered to the driver at once.
const SLICES_MAX: usize = 64;

/// Two halves of a client's output.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    /// Encoded, not given to the driver yet.
    pending: Chunks,
    /// Given to the driver, oldest first.
    flight: Vec<Chunk>,
    /// Bytes of `flight` that have left.
    flown: usize,
    flight_bytes: usize,
    /// Set while the driver knows that there is something to take.
    announced: bool,
    /// Total of all bytes that have left, for CLIENT LIST.
    sent_total: u64,
}

impl Outbox {
    /// Where replies are encoded.
    #[inline]
    pub fn pending(&mut self) -> &mut Chunks {
        &mut self.pending
    }

    /// What has not left, whatever the pieces.
    pub(crate) fn digest(&self, hasher: &mut impl std::hash::Hasher) {
        use std::hash::Hash;
        let flight: Vec<u8> = self.flight.iter().flat_map(|chunk| chunk.bytes()).copied().collect();
        (&flight[self.flown..], self.pending.to_vec(), self.announced).hash(hasher);
    }

    /// Bytes not sent yet.
    #[inline]
    pub fn len(&self) -> usize {
        self.pending.len() + self.flight_bytes - self.flown
    }

    /// True when everything has left.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that have left so far.
    pub fn sent_total(&self) -> u64 {
        self.sent_total
    }

    /// Bytes of memory held.
    pub fn held_bytes(&self) -> usize {
        self.pending.held_bytes() + self.flight_bytes
    }

    /// True if there is something that the driver does not know of.
    #[inline]
    pub fn has_news(&self) -> bool {
        !self.announced && !self.is_empty()
    }

    /// True while the driver has bytes that have not left.
    #[inline]
    pub fn is_flying(&self) -> bool {
        self.flown < self.flight_bytes
    }

    /// True exactly once when there is something new for the driver to take.
    #[inline]
    pub fn announce(&mut self) -> bool {
        let news = self.has_news();
        self.announced |= news;
        news
    }

    /// The bytes to send now, oldest first. The same again, less what has been reported, until all of them are.
    /// `spare` may lend a buffer for the next replies.
    pub fn take(&mut self, spare: &mut Vec<Vec<u8>>) -> Vec<&[u8]> {
        self.announced = false;
        if self.flown == self.flight_bytes {
            self.recycle(spare);
            let next = Chunks::with_buffer(if self.pending.is_empty() {
                Vec::new()
            } else {
                spare.pop().unwrap_or_default()
            });
            self.flight_bytes = self.pending.len();
            self.flight = std::mem::replace(&mut self.pending, next).into_pieces();
        }
        let mut skip =
            if planted("a partly sent output is sent from its beginning") { 0 } else { self.flown };
        let mut slices = Vec::with_capacity(self.flight.len().min(SLICES_MAX));
        for chunk in &self.flight {
            let bytes = chunk.bytes();
            if skip >= bytes.len() {
                skip -= bytes.len();
                continue;
            }
            slices.push(&bytes[skip..]);
            skip = 0;
            if slices.len() == SLICES_MAX {
                break;
            }
        }
        slices
    }

    /// The driver's word that `bytes` more have left. Buffers whose bytes have all left go to `spare`.
    pub fn sent(&mut self, bytes: usize, spare: &mut Vec<Vec<u8>>) {
        self.flown += bytes;
        self.sent_total += bytes as u64;
        assert!(self.flown <= self.flight_bytes, "no more is sent than was given to the driver");
        if self.flown == self.flight_bytes {
            self.recycle(spare);
        }
    }

    fn recycle(&mut self, spare: &mut Vec<Vec<u8>>) {
        for chunk in self.flight.drain(..) {
            if let Chunk::Owned(bytes) = chunk
                && bytes.capacity() <= BUFFER_KEPT
                && spare.len() < 64
            {
                spare.push(bytes);
            }
        }
        self.flight.shrink_to(4);
        self.flown = 0;
        self.flight_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn flying_bytes_stay_where_they_are() {
        let (mut outbox, mut spare) = (Outbox::default(), Vec::new());
        outbox.pending().tail().extend_from_slice(b"hello ");
        outbox.pending().push_shared(Arc::new(b"world".to_vec()));
        assert!(outbox.announce() && !outbox.announce());
        let first: Vec<*const u8> = outbox.take(&mut spare).iter().map(|s| s.as_ptr()).collect();
        for _ in 0..100 {
            outbox.pending().tail().extend_from_slice(b"more and more");
        }
        assert!(outbox.announce());
        let again: Vec<*const u8> = outbox.take(&mut spare).iter().map(|s| s.as_ptr()).collect();
        assert_eq!(first, again);
        outbox.sent(8, &mut spare);
        assert_eq!(outbox.take(&mut spare).concat(), b"rld");
        outbox.sent(3, &mut spare);
        assert_eq!(outbox.take(&mut spare).concat().len(), 1_300);
        outbox.sent(1_300, &mut spare);
        assert!(outbox.is_empty());
        assert_eq!(outbox.sent_total(), 1_311);
        assert!(outbox.take(&mut spare).is_empty());
    }
}
