//! mimalloc as the global allocator.
//!
//! The `mimalloc` crate asks for every block with its alignment. mimalloc 3 answers that from the next larger class, and by a longer way,
//! unless the block's size is a power of two: a block of 48 bytes took 64, one of 8,192 bytes 10,240. What is aligned to no more than a word
//! is aligned by any allocation, and is asked for without.

use std::alloc::{GlobalAlloc, Layout};

use libmimalloc_sys::{
    mi_free, mi_malloc, mi_malloc_aligned, mi_realloc, mi_realloc_aligned, mi_zalloc, mi_zalloc_aligned,
};

/// The allocator of the whole process.
pub struct Allocator;

/// To what every block is aligned.
const ALIGNED: usize = 8;

// SAFETY: mimalloc hands out blocks that are at least as large as asked, aligned to a word or as asked, and owned by nobody else until they are
// given back; it does not unwind.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: any size and any power of two may be asked for.
        unsafe {
            match layout.align() {
                ..=ALIGNED => mi_malloc(layout.size()),
                align => mi_malloc_aligned(layout.size(), align),
            }
            .cast()
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        unsafe {
            match layout.align() {
                ..=ALIGNED => mi_zalloc(layout.size()),
                align => mi_zalloc_aligned(layout.size(), align),
            }
            .cast()
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _layout: Layout) {
        // SAFETY: the caller gives back what was allocated here.
        unsafe { mi_free(block.cast()) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller has the block from here, with this layout.
        unsafe {
            match layout.align() {
                ..=ALIGNED => mi_realloc(block.cast(), size),
                align => mi_realloc_aligned(block.cast(), size, align),
            }
            .cast()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_takes_the_class_of_its_size_and_is_aligned() {
        for size in [16usize, 48, 54, 80, 112, 400, 1_500, 8_192, 100_000] {
            for align in [1, 8, 16, 64] {
                let layout = Layout::from_size_align(size, align).expect("a layout");
                // SAFETY: the blocks are given back with the layout with which they were allocated.
                let blocks: Vec<*mut u8> = (0..1_000).map(|_| unsafe { Allocator.alloc(layout) }).collect();
                for block in blocks {
                    assert!(!block.is_null() && (block as usize).is_multiple_of(align));
                    // SAFETY: the block is allocated.
                    let usable = unsafe { libmimalloc_sys::mi_usable_size(block.cast()) };
                    // SAFETY: any size may be asked about.
                    let good = unsafe { libmimalloc_sys::mi_good_size(size) };
                    assert!(usable >= size && (align > 8 || usable == good), "{usable} for {size}");
                    // SAFETY: as above.
                    unsafe { Allocator.dealloc(block, layout) };
                }
            }
        }
    }
}
