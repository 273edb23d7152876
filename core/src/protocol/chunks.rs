//! Reply bytes on their way: small ones gathered in one buffer, large values shared instead of copied.

use std::sync::Arc;

/// A value of at least this many bytes leaves as a shared chunk; below that a copy is cheaper than one more slice to send.
pub const SHARED_MIN: usize = 16 << 10;

/// Buffers that are kept to be used again.
const SPARE_MAX: usize = 64;

/// One piece of output.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Chunk {
    /// Bytes encoded for this client.
    Owned(Vec<u8>),
    /// A large value, shared with the table.
    Shared(Arc<Vec<u8>>),
}

impl Chunk {
    /// The bytes to send.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Chunk::Owned(bytes) => bytes,
            Chunk::Shared(bytes) => bytes,
        }
    }
}

/// Pieces of output in order. Empty, it owns no memory but what it may reuse.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Chunks {
    /// What stands before `tail`.
    full: Vec<Chunk>,
    full_bytes: usize,
    /// Where encoding goes on.
    tail: Vec<u8>,
}

impl Chunks {
    /// Goes on encoding in this buffer, whose content is dropped.
    pub fn with_buffer(mut buffer: Vec<u8>) -> Chunks {
        buffer.clear();
        Chunks { full: Vec::new(), full_bytes: 0, tail: buffer }
    }

    /// The buffer that encoders append to.
    #[inline]
    pub fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.tail
    }

    /// All bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.full_bytes + self.tail.len()
    }

    /// True without a byte.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a large value without copying it.
    pub fn push_shared(&mut self, value: Arc<Vec<u8>>) {
        self.close_tail();
        self.full_bytes += value.len();
        self.full.push(Chunk::Shared(value));
    }

    /// Adds another's pieces at the end.
    pub fn append(&mut self, mut other: Chunks) {
        if other.full.is_empty() {
            self.tail.extend_from_slice(&other.tail);
            return;
        }
        self.close_tail();
        self.full_bytes += other.full_bytes;
        self.full.append(&mut other.full);
        self.tail = other.tail;
    }

    /// Adds another's pieces at the end; a buffer that is not needed any more is kept to be used again.
    pub fn append_and_keep(&mut self, mut other: Chunks, spare: &mut Vec<Vec<u8>>) {
        if !other.full.is_empty() {
            return self.append(other);
        }
        self.tail.extend_from_slice(&other.tail);
        other.tail.clear();
        if other.tail.capacity() <= SHARED_MIN && spare.len() < SPARE_MAX {
            spare.push(other.tail);
        }
    }

    /// Copies the bytes from `start` to `end` to the end of another; large values that lie within are shared.
    #[inline]
    pub fn copy_range(&self, start: usize, end: usize, out: &mut Chunks) {
        match self.full.is_empty() {
            true => out.tail.extend_from_slice(&self.tail[start..end]),
            false => self.copy_pieces(start, end, out),
        }
    }

    fn copy_pieces(&self, start: usize, end: usize, out: &mut Chunks) {
        let mut at = 0;
        for chunk in &self.full {
            let len = chunk.bytes().len();
            let (from, to) = (start.max(at), end.min(at + len));
            if from < to {
                match chunk {
                    Chunk::Shared(value) if to - from == len => out.push_shared(Arc::clone(value)),
                    _ => out.tail().extend_from_slice(&chunk.bytes()[from - at..to - at]),
                }
            }
            at += len;
        }
        let (from, to) = (start.max(at), end.min(at + self.tail.len()));
        if from < to {
            out.tail().extend_from_slice(&self.tail[from - at..to - at]);
        }
    }

    /// Forgets as much of the first `bytes` bytes as stands in pieces of which nothing more is needed; how much.
    pub fn forget_front(&mut self, bytes: usize) -> usize {
        let mut forgotten = 0;
        let ends = self.full.iter().map(|chunk| {
            forgotten += chunk.bytes().len();
            forgotten
        });
        let whole = ends.take_while(|end| *end <= bytes).count();
        forgotten = self.full.drain(..whole).map(|chunk| chunk.bytes().len()).sum();
        self.full_bytes -= forgotten;
        if self.full.is_empty() {
            self.tail.drain(..bytes - forgotten);
            forgotten = bytes;
        }
        forgotten
    }

    /// Everything from byte `len` on is forgotten. Only ever called with a length that lies in the last piece written.
    pub fn truncate(&mut self, len: usize) {
        while self.full_bytes > len {
            let Some(chunk) = self.full.pop() else { break };
            self.full_bytes -= chunk.bytes().len();
            self.tail = match chunk {
                Chunk::Owned(bytes) => bytes,
                Chunk::Shared(_) => Vec::new(),
            };
        }
        self.tail.truncate(len - self.full_bytes);
    }

    /// The pieces, oldest first.
    pub fn into_pieces(mut self) -> Vec<Chunk> {
        self.close_tail();
        self.full
    }

    /// If everything stands in one buffer, that buffer.
    pub fn as_single(&self) -> Option<&[u8]> {
        self.full.is_empty().then_some(&self.tail[..])
    }

    /// All bytes in one block, for tests and for the simulator.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut all: Vec<u8> = self.full.iter().flat_map(|chunk| chunk.bytes()).copied().collect();
        all.extend_from_slice(&self.tail);
        all
    }

    /// Bytes of memory held for encoded replies; shared values are counted in full: they may be all that keeps a value alive.
    pub fn held_bytes(&self) -> usize {
        self.full_bytes + self.tail.capacity()
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            let tail = std::mem::take(&mut self.tail);
            self.full_bytes += tail.len();
            self.full.push(Chunk::Owned(tail));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_through_shared_pieces() {
        let mut chunks = Chunks::default();
        chunks.tail().extend_from_slice(b"ab");
        chunks.push_shared(Arc::new(b"CD".to_vec()));
        chunks.tail().extend_from_slice(b"ef");
        let mut other = Chunks::default();
        other.push_shared(Arc::new(b"GH".to_vec()));
        chunks.append(other);
        assert_eq!(chunks.to_vec(), b"abCDefGH");
        assert_eq!(chunks.len(), 8);
        assert_eq!(chunks.as_single(), None);
        let pieces: Vec<Vec<u8>> = chunks.into_pieces().iter().map(|c| c.bytes().to_vec()).collect();
        assert_eq!(pieces.concat(), b"abCDefGH");
    }

    #[test]
    fn truncation_reaches_back_over_pieces() {
        for keep in [0, 2, 4, 5] {
            let mut chunks = Chunks::default();
            chunks.tail().extend_from_slice(b"abcd");
            if keep <= 4 {
                chunks.push_shared(Arc::new(b"E".to_vec()));
                chunks.tail().push(b'f');
            } else {
                chunks.tail().extend_from_slice(b"ef");
            }
            chunks.truncate(keep);
            assert_eq!(chunks.to_vec(), b"abcde"[..keep].to_vec());
        }
    }
}
