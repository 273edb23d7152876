//! A file on its way in: what was read of it and is not taken yet.
//!
//! It knows how many bytes are there and how many are needed. It does not know what they say, and asks for bytes instead of reading them.

/// Bytes that are read at once.
pub const READ_BYTES: usize = 1 << 20;

/// A file that comes in pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Inflow {
    /// Its path.
    pub path: String,
    /// Where the next read begins.
    pub read_to: u64,
    is_read: bool,
    buffer: Vec<u8>,
    start: usize,
    needs: usize,
}

impl Inflow {
    /// Before anything was read: what counts begins at byte `from`.
    pub fn new(path: String, from: u64) -> Inflow {
        Inflow { path, read_to: from, needs: 1, ..Inflow::default() }
    }

    /// Where what comes next begins.
    pub fn at(&self) -> u64 {
        self.read_to - self.rest().len() as u64
    }

    /// A piece was read; an empty one is the end.
    pub fn add(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.is_read |= bytes.is_empty();
        self.read_to += bytes.len() as u64;
        self.buffer.extend_from_slice(bytes);
    }

    /// What was read and is not passed yet.
    pub fn rest(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// True if it was read to its end.
    pub fn is_read(&self) -> bool {
        self.is_read
    }

    /// True if fewer bytes are there than are needed, and more may come.
    pub fn lacks(&self) -> bool {
        self.rest().len() < self.needs && !self.is_read
    }

    /// What comes next cannot be told from fewer bytes than these.
    pub fn need(&mut self, len: usize) {
        self.needs = len;
    }

    /// Passes what came next.
    pub fn pass(&mut self, len: usize) {
        self.start += len;
        self.needs = 1;
    }
}
