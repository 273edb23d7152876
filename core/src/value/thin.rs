//! Bytes in a block of memory that knows its own size, so that who owns it holds eight bytes and not sixteen.
//!
//! ```text
//! size of the block in units of 8 bytes: 4 | bytes
//! ```
//!
//! What is small is mostly overhead: a hash of three fields has a pointer for every few bytes. It knows memory. It does not know what lies in it.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use super::block::block_size;

/// Blocks are multiples of it.
const UNIT: usize = 8;
#[cfg(target_arch = "x86_64")]
const CACHE_LINE: usize = 64;
/// As many as most buckets' blocks have.
#[cfg(target_arch = "x86_64")]
const PREFETCHED_LINES: usize = 5;

/// Bytes, all of them initialised.
pub(super) struct Thin(NonNull<u32>);

/// What the pointer of an empty one leads to: a size of nothing.
static EMPTY: u32 = 0;

// SAFETY: it owns its block alone; through a shared reference it is only read.
unsafe impl Send for Thin {}
// SAFETY: the same.
unsafe impl Sync for Thin {}

impl Default for Thin {
    fn default() -> Thin {
        Thin(NonNull::from(&EMPTY))
    }
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, UNIT).expect("a block is far smaller than the address space")
}

impl Thin {
    /// Bytes of the size.
    pub(super) const HEAD: usize = 4;

    /// At least so many zeros: as many as the block's class has room for.
    pub(super) fn zeros(len: usize) -> Thin {
        if len == 0 {
            return Thin::default();
        }
        let size = block_size(len + Thin::HEAD);
        let units = u32::try_from(size / UNIT).expect("a block is below 32 gigabytes");
        let layout = layout(size);
        // SAFETY: the layout's size is not zero: there is a head.
        let block = unsafe { alloc_zeroed(layout) };
        let Some(block) = NonNull::new(block.cast::<u32>()) else { handle_alloc_error(layout) };
        // SAFETY: the block is larger than a head, and aligned for it.
        unsafe { block.write(units) };
        Thin(block)
    }

    /// How many bytes one has that was made for `len`.
    pub(super) fn room(len: usize) -> usize {
        if len == 0 { 0 } else { block_size(len + Thin::HEAD) - Thin::HEAD }
    }

    /// Brings the first lines of the block towards the cache: of a block that is not, its size would be waited for, then its end, then what
    /// lies between.
    #[inline]
    pub(super) fn prefetch(&self) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let first = self.0.as_ptr().cast::<i8>();
            for line in 0..PREFETCHED_LINES {
                // SAFETY: a prefetch is a hint. It neither reads nor writes memory as far as the program can tell, it never faults, and so the
                // address may be any; it is computed without the promise that it lies within the block.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(first.wrapping_add(line * CACHE_LINE)) };
            }
        }
    }

    /// Bytes of memory that the block takes.
    #[inline]
    pub(super) fn owned_bytes(&self) -> usize {
        // SAFETY: the pointer leads to a head: of the block that `zeros` has made, or the one of all that are empty.
        unsafe { self.0.read() as usize * UNIT }
    }
}

impl Deref for Thin {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        let len = self.owned_bytes().saturating_sub(Thin::HEAD);
        // SAFETY: behind the head lie as many bytes, all initialised by `zeros`; none if it is empty. `&self` excludes changes.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast::<u8>().add(Thin::HEAD), len) }
    }
}

impl DerefMut for Thin {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        let len = self.owned_bytes().saturating_sub(Thin::HEAD);
        // SAFETY: as in `deref`; `&mut self` makes this the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_ptr().cast::<u8>().add(Thin::HEAD), len) }
    }
}

impl Drop for Thin {
    fn drop(&mut self) {
        let size = self.owned_bytes();
        if size > 0 {
            // SAFETY: the block was allocated by `zeros` with the layout of this size, which nothing changes.
            unsafe { dealloc(self.0.as_ptr().cast(), layout(size)) }
        }
    }
}

impl Clone for Thin {
    /// In a block of the same size.
    fn clone(&self) -> Thin {
        let mut copy = Thin::zeros(self.len());
        copy.copy_from_slice(self);
        copy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_the_size_of_its_class_and_is_found_from_eight_bytes() {
        assert_eq!(size_of::<Option<Thin>>(), 8);
        assert!(Thin::default().is_empty() && Thin::zeros(0).clone().is_empty());
        for len in (1..300).chain([5_000, 100_000]) {
            let mut thin = Thin::zeros(len);
            assert_eq!((thin.owned_bytes(), thin.len()), (block_size(len + 4), block_size(len + 4) - 4));
            assert_eq!(Thin::room(len), thin.len());
            assert!(thin.iter().all(|byte| *byte == 0));
            thin[len - 1] = 7;
            let copy = thin.clone();
            assert_eq!((&copy[..], copy.owned_bytes()), (&thin[..], thin.owned_bytes()));
        }
    }
}
