//! A request with a large argument, taken in as it comes: the argument goes straight into the buffer that the value will lie in.
//!
//! It knows how far such a request has come. It does not know limits nor error texts: the parser judges every header.

use std::mem::MaybeUninit;
use std::sync::Arc;

use crate::args::{Args, OwnedArgs};
use crate::mutant::planted;

/// An argument of at least this many bytes that is not here to its end makes its request an owned one, as in Redis.
pub const LARGE_MIN: usize = 32 << 10;
/// Room that is made at once; more comes when that is filled, so that a promise of bytes costs nothing.
const ROOM_MAX: usize = 1 << 20;

/// A request that owns what has come of it.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct OwnedRequest {
    args: OwnedArgs,
    /// Arguments that are not complete.
    missing: u32,
    /// Bytes of the large argument, once it has begun.
    large: Vec<u8>,
    /// How many it will be; `None` before and after.
    large_len: Option<usize>,
    /// Bytes behind it that belong to it and end it.
    end_len: usize,
    /// They were a line's end.
    ends_line: bool,
}

/// Bytes that end a bulk of Redis's protocol.
pub(crate) const LINE_END: usize = 2;

impl OwnedRequest {
    /// With the arguments that have come, of which `missing` more will; the next is a large one of `len` bytes, and `end_len` behind them.
    pub(crate) fn new(args: Args<'_>, missing: u32, len: usize, end_len: usize) -> OwnedRequest {
        let mut owned = OwnedRequest { missing, large_len: Some(len), end_len, ..OwnedRequest::default() };
        args.iter().for_each(|argument| owned.args.push(argument));
        owned
    }

    /// Arguments that are not complete.
    pub(crate) fn missing(&self) -> u32 {
        self.missing
    }

    /// True while the large argument is on its way.
    pub(crate) fn is_within_large(&self) -> bool {
        self.large_len.is_some()
    }

    /// True if what ended the large argument was a line's end.
    pub(crate) fn ends_line(&self) -> bool {
        self.ends_line
    }

    /// Takes bytes of the large argument and those that end it; how many.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> usize {
        let Some(len) = self.large_len else { return 0 };
        let taken = bytes.len().min(len - self.large.len());
        if self.large.capacity() < self.large.len() + taken {
            self.make_room(len, taken);
        }
        self.large.extend_from_slice(&bytes[..taken]);
        // The end of the line is taken when all of it is here.
        if self.large.len() < len || bytes.len() < taken + self.end_len {
            return taken;
        }
        self.args.push_large(Arc::new(std::mem::take(&mut self.large)));
        self.large_len = None;
        self.missing -= 1;
        self.ends_line = bytes[taken..taken + self.end_len] == *b"\r\n";
        taken + self.end_len
    }

    /// Where the next bytes of the large argument belong: what is there of its room. It stays where it is in memory until bytes are taken
    /// or [`OwnedRequest::filled`] is said.
    pub(crate) fn room(&mut self) -> &mut [MaybeUninit<u8>] {
        let missing = self.large_len.map_or(0, |len| len - self.large.len());
        if missing > 0 && self.large.capacity() == self.large.len() {
            self.make_room(self.large.len() + missing, 1);
        }
        let room = self.large.spare_capacity_mut();
        let len = room.len().min(missing);
        &mut room[..len]
    }

    /// The first `bytes` of the room were written.
    pub(crate) fn filled(&mut self, bytes: usize) {
        assert!(bytes <= self.room().len(), "no more was written than there was room for");
        let bytes =
            if planted("a byte that was received in place is not counted") { bytes - 1 } else { bytes };
        // SAFETY: the room begins behind the last byte and is as long, and whoever says this has written so many bytes of it.
        unsafe { self.large.set_len(self.large.len() + bytes) };
    }

    fn make_room(&mut self, len: usize, least: usize) {
        let more = self.large.len().max(ROOM_MAX).max(least);
        self.large.reserve_exact(more.min(len - self.large.len()));
    }

    /// One more argument, not a large one.
    pub(crate) fn push(&mut self, argument: &[u8]) {
        self.args.push(argument);
        self.missing -= 1;
    }

    /// What has come.
    pub(crate) fn view(&self) -> Args<'_> {
        self.args.view()
    }

    /// Bytes that it holds.
    pub(crate) fn len(&self) -> usize {
        self.args.len() + self.large.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_may_be_written_where_they_belong() {
        let (words, len) = (OwnedArgs::new(&["SET", "k"]), 3 * ROOM_MAX);
        let mut owned = OwnedRequest::new(words.view(), 1, len, LINE_END);
        assert_eq!(owned.take(b"first"), 5);
        let mut written = 5;
        while !owned.room().is_empty() {
            let room = owned.room();
            let bytes = room.len().min(700_000);
            room[..bytes].iter_mut().for_each(|byte| *byte = MaybeUninit::new(b'x'));
            owned.filled(bytes);
            written += bytes;
        }
        assert_eq!((written, owned.is_within_large()), (len, true));
        assert_eq!(owned.take(b"\r\n*1"), 2);
        let args = owned.view();
        assert_eq!((owned.missing(), args.len(), args.at(2).len()), (0, 3, len));
        assert!(args.at(2).starts_with(b"firstxxx") && args.at(2).ends_with(b"xx"));
        assert!(owned.room().is_empty());
    }
}
