//! What a shard has answered to its part of a transaction: encoded replies and where each ends, so that the coordinator can put the
//! pieces of all shards together in the order of the request.

use smallvec::SmallVec;

use crate::protocol::chunks::Chunks;
use crate::protocol::reply::Ends;

/// A reply of one line.
pub type ShortReply = SmallVec<[u8; 32]>;

/// Replies one behind the other. A coordinator takes them out again one by one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pieces {
    chunks: Chunks,
    /// Where each ends, in bytes from the beginning.
    ends: Ends,
    /// The next to be taken.
    next: usize,
}

impl Pieces {
    /// Where to encode.
    pub fn chunks(&mut self) -> &mut Chunks {
        &mut self.chunks
    }

    /// Where to encode, and where to note the ends of elements.
    pub fn parts(&mut self) -> (&mut Chunks, &mut Ends) {
        (&mut self.chunks, &mut self.ends)
    }

    /// Here ends a piece.
    pub fn end(&mut self) {
        self.ends.push(self.chunks.len() as u32);
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True without any.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Adds another's pieces behind these.
    pub fn append(&mut self, other: Pieces) {
        if self.is_empty() && self.chunks.is_empty() {
            *self = other;
            return;
        }
        let before = self.chunks.len() as u32;
        self.chunks.append(other.chunks);
        self.ends.extend(other.ends.iter().map(|end| end + before));
    }

    /// The next piece goes to the end of `out`. Nothing happens if there is none.
    pub fn take_into(&mut self, out: &mut Chunks) {
        let (start, end) = self.advance();
        self.chunks.copy_range(start, end, out);
    }

    /// The next piece, to be looked at: status, number or error.
    pub fn take(&mut self) -> ShortReply {
        let (start, end) = self.advance();
        if let Some(bytes) = self.chunks.as_single() {
            return ShortReply::from_slice(&bytes[start..end]);
        }
        let mut out = Chunks::default();
        self.chunks.copy_range(start, end, &mut out);
        ShortReply::from_vec(out.to_vec())
    }

    fn advance(&mut self) -> (usize, usize) {
        let place = self.next;
        self.next += 1;
        let start = if place == 0 { 0 } else { self.ends.get(place - 1).copied().unwrap_or(0) };
        let end = self.ends.get(place).copied().unwrap_or(start);
        (start as usize, end as usize)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn pieces(texts: &[&str]) -> Pieces {
        let mut pieces = Pieces::default();
        for text in texts {
            pieces.chunks().tail().extend_from_slice(text.as_bytes());
            pieces.end();
        }
        pieces
    }

    #[test]
    fn pieces_come_out_one_by_one_also_when_values_are_shared() {
        let mut all = pieces(&["one", ""]);
        let mut more = pieces(&["three"]);
        more.chunks().tail().extend_from_slice(b"<");
        more.chunks().push_shared(Arc::new(b"large".to_vec()));
        more.chunks().tail().extend_from_slice(b">");
        more.end();
        all.append(more);
        all.append(pieces(&["five"]));
        assert_eq!(all.len(), 5);
        let mut out = Chunks::default();
        assert_eq!(all.take()[..], *b"one");
        assert_eq!(all.take()[..], *b"");
        for _ in 0..3 {
            all.take_into(&mut out);
        }
        assert_eq!(out.to_vec(), b"three<large>five");
        assert_eq!(out.clone().into_pieces().len(), 3, "the large value is still shared");
        assert_eq!(all.take()[..], *b"", "nothing comes behind the last");
    }
}
