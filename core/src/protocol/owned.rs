//! A request with a large argument, taken in as it comes: the argument goes straight into the buffer that the value will lie in.
//!
//! It knows how far such a request has come. It does not know limits nor error texts: the parser judges every header.

use std::sync::Arc;

use crate::args::{Args, OwnedArgs};

/// An argument of at least this many bytes that is not here to its end makes its request an owned one, as in Redis.
pub const LARGE_MIN: usize = 32 << 10;
/// Room that is made at once; more comes when that is filled, so that a promise of bytes costs nothing.
const ROOM_MAX: usize = 1 << 20;

/// A request that owns what has come of it.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct OwnedRequest {
    args: OwnedArgs,
    /// Arguments that are not complete.
    missing: u32,
    /// Bytes of the large argument, once it has begun.
    large: Vec<u8>,
    /// How many it will be; `None` before and after.
    large_len: Option<usize>,
}

impl OwnedRequest {
    /// With the arguments that have come, of which `missing` more will; the next is a large one of `len` bytes.
    pub(super) fn new(args: Args<'_>, missing: u32, len: usize) -> OwnedRequest {
        let mut owned = OwnedRequest { missing, large_len: Some(len), ..OwnedRequest::default() };
        args.iter().for_each(|argument| owned.args.push(argument));
        owned
    }

    /// Arguments that are not complete.
    pub(super) fn missing(&self) -> u32 {
        self.missing
    }

    /// True while the large argument is on its way.
    pub(super) fn is_within_large(&self) -> bool {
        self.large_len.is_some()
    }

    /// Takes bytes of the large argument and the two that end it; how many.
    pub(super) fn take(&mut self, bytes: &[u8]) -> usize {
        let Some(len) = self.large_len else { return 0 };
        let taken = bytes.len().min(len - self.large.len());
        if self.large.capacity() < self.large.len() + taken {
            let more = self.large.len().max(ROOM_MAX).max(taken);
            self.large.reserve_exact(more.min(len - self.large.len()));
        }
        self.large.extend_from_slice(&bytes[..taken]);
        // The end of the line is taken when all of it is here.
        if self.large.len() < len || bytes.len() < taken + 2 {
            return taken;
        }
        self.args.push_large(Arc::new(std::mem::take(&mut self.large)));
        self.large_len = None;
        self.missing -= 1;
        taken + 2
    }

    /// One more argument, not a large one.
    pub(super) fn push(&mut self, argument: &[u8]) {
        self.args.push(argument);
        self.missing -= 1;
    }

    /// What has come.
    pub(super) fn view(&self) -> Args<'_> {
        self.args.view()
    }

    /// Bytes that it holds.
    pub(super) fn len(&self) -> usize {
        self.args.len() + self.large.capacity()
    }
}
