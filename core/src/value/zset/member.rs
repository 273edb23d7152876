//! A member of a large sorted set: its score and its bytes in one small block of memory.
//!
//! ```text
//! score 8 | length 1 or 5 | bytes
//! ```
//!
//! The set's table owns the members; its tree has handles to them, which are nothing but addresses. It knows one member. It does not know
//! what order means.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

use crate::table::Entry;
use crate::value::block::block_size;

const LENGTH_AT: usize = 8;

/// Owns its block.
pub(super) struct Member(NonNull<u8>);

/// The address of a member. Who has one sees to it that the member lives: see [`super::large::Large`], the only one who makes them.
#[derive(Clone, Copy)]
pub(super) struct Handle(NonNull<u8>);

// SAFETY: a member owns its block alone; through a shared reference it is only read.
unsafe impl Send for Member {}
// SAFETY: the same.
unsafe impl Sync for Member {}
// SAFETY: a handle lies beside the member that it leads to, in the same set, and goes where that goes.
unsafe impl Send for Handle {}
// SAFETY: the same; the member is only changed through `&mut` of the set.
unsafe impl Sync for Handle {}

fn layout(used: usize) -> Layout {
    // A length has 32 bits, so the sum cannot overflow.
    Layout::from_size_align(block_size(used), LENGTH_AT)
        .expect("a member is far smaller than the address space")
}

fn prefix_len(len: usize) -> usize {
    if len < 255 { 1 } else { 5 }
}

impl Member {
    pub(super) fn new(score: f64, bytes: &[u8]) -> Member {
        let len = u32::try_from(bytes.len()).expect("an argument, and so a member, is below four gigabytes");
        let prefix = prefix_len(bytes.len());
        let used = LENGTH_AT + prefix + bytes.len();
        let layout = layout(used);
        // SAFETY: the layout's size is not zero: there is a score.
        let block = unsafe { alloc(layout) };
        let Some(block) = NonNull::new(block) else { handle_alloc_error(layout) };
        let mut head = [255; 5];
        if prefix == 1 {
            head[0] = len as u8;
        } else {
            head[1..].copy_from_slice(&len.to_le_bytes());
        }
        // SAFETY: the block has room for a score, aligned, then for `prefix` bytes of the head, then for the member's bytes.
        unsafe {
            block.cast::<f64>().write(score);
            std::ptr::copy_nonoverlapping(head.as_ptr(), block.as_ptr().add(LENGTH_AT), prefix);
            std::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                block.as_ptr().add(LENGTH_AT + prefix),
                bytes.len(),
            );
        }
        Member(block)
    }

    pub(super) fn handle(&self) -> Handle {
        Handle(self.0)
    }

    #[inline]
    pub(super) fn score(&self) -> f64 {
        self.handle().score()
    }

    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: `&self` keeps the block as long as what is returned.
        unsafe { bytes_of(self.0) }
    }

    pub(super) fn set_score(&mut self, score: f64) {
        // SAFETY: the block begins with a score; `&mut self` excludes readers.
        unsafe { self.0.cast::<f64>().write(score) }
    }

    fn used(&self) -> usize {
        let len = self.bytes().len();
        LENGTH_AT + prefix_len(len) + len
    }

    /// Bytes of memory that its block takes.
    pub(super) fn owned_bytes(&self) -> usize {
        block_size(self.used())
    }
}

impl Handle {
    #[inline]
    pub(super) fn score(&self) -> f64 {
        // SAFETY: handles are made by the set that owns the member, and are taken out of its tree before the member is freed.
        unsafe { self.0.cast::<f64>().read() }
    }

    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: the same. Whoever calls has borrowed the tree in which the handle lies, and with it the set.
        unsafe { bytes_of(self.0) }
    }

    /// The member's bytes for as long as its set is borrowed, by whom the handle was lent.
    ///
    /// # Safety
    /// The set must be borrowed for `'a`.
    #[inline]
    pub(super) unsafe fn lent<'a>(self) -> &'a [u8] {
        // SAFETY: as the caller promises.
        unsafe { bytes_of(self.0) }
    }
}

/// # Safety
/// The block must be one that [`Member::new`] has made, and live as long as what is returned.
#[inline]
unsafe fn bytes_of<'a>(block: NonNull<u8>) -> &'a [u8] {
    // SAFETY: `Member::new` has written a head behind the score and as many bytes behind that as the head says.
    unsafe {
        let head = block.as_ptr().add(LENGTH_AT);
        match head.read() {
            255 => {
                let len = head.add(1).cast::<u32>().read_unaligned();
                std::slice::from_raw_parts(head.add(5), u32::from_le(len) as usize)
            }
            len => std::slice::from_raw_parts(head.add(1), usize::from(len)),
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let layout = layout(self.used());
        // SAFETY: the block was allocated by `new` with this layout.
        unsafe { dealloc(self.0.as_ptr(), layout) }
    }
}

impl Clone for Member {
    fn clone(&self) -> Member {
        Member::new(self.score(), self.bytes())
    }
}

impl Entry for Member {
    #[inline]
    fn key(&self) -> &[u8] {
        self.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_keeps_what_it_was_given() {
        for len in [0, 1, 7, 8, 254, 255, 256, 70_000] {
            let bytes: Vec<u8> = (0..len).map(|n| n as u8).collect();
            let mut member = Member::new(1.5, &bytes);
            assert_eq!(
                (member.score(), member.bytes(), member.handle().bytes()),
                (1.5, &bytes[..], &bytes[..])
            );
            member.set_score(-2.5);
            let copy = member.clone();
            assert_eq!((copy.score(), copy.bytes(), copy.handle().score()), (-2.5, &bytes[..], -2.5));
            assert_eq!(copy.owned_bytes(), member.owned_bytes());
        }
        assert_eq!(Member::new(0.0, b"member:123456").owned_bytes(), 24);
        assert_eq!(size_of::<Option<Member>>(), 8);
    }
}
