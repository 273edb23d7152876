//! The allocator of the whole process: small blocks from slabs of the thread, the rest from mimalloc.
//!
//! A key is one block, and mimalloc's classes are four to a doubling: of 24 bytes of key and 200 of value, a block of 228 bytes, 28 were nobody's.
//! Slabs have classes every eight bytes ([`darter_core::value::block`]). Where there is no slab to be had, mimalloc answers for small blocks as well;
//! a block's address tells whose it is.
//!
//! The `mimalloc` crate asks for every block with its alignment. mimalloc 3 answers that from the next larger class, and by a longer way,
//! unless the block's size is a power of two. What is aligned to no more than a word is aligned by any allocation, and is asked for without.

mod heap;
mod region;
mod slab;

use std::alloc::{GlobalAlloc, Layout};

use darter_core::value::block::{BLOCK_MAX, class_of};
use libmimalloc_sys::{
    mi_collect, mi_free, mi_malloc, mi_malloc_aligned, mi_realloc, mi_realloc_aligned, mi_zalloc,
    mi_zalloc_aligned,
};

use region::slab_of;

/// The allocator of the whole process.
pub struct Allocator;

/// To what every block is aligned.
const ALIGNED: usize = 8;

/// Gives unused memory back to the system.
pub fn purge() {
    heap::purge();
    // SAFETY: may be called at any time from any thread.
    unsafe { mi_collect(true) };
}

/// A small block from a slab; null for what is not small, and where there is no slab to be had.
#[inline]
fn small(layout: Layout) -> *mut u8 {
    match layout.size() <= BLOCK_MAX && layout.align() <= ALIGNED {
        true => heap::allocate(class_of(layout.size())),
        false => std::ptr::null_mut(),
    }
}

// SAFETY: slabs and mimalloc hand out blocks that are at least as large as asked, aligned to a word or as asked, and owned by nobody else until
// they are given back; neither unwinds.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let block = small(layout);
        if !block.is_null() {
            return block;
        }
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
        let block = small(layout);
        // SAFETY: the block has that many bytes; any size and any power of two may be asked for.
        unsafe {
            if !block.is_null() {
                block.write_bytes(0, layout.size());
                return block;
            }
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
        unsafe {
            match slab_of(block) {
                Some(slab) => heap::free(slab, block),
                None => mi_free(block.cast()),
            }
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let is_small = size <= BLOCK_MAX && layout.align() <= ALIGNED;
        let slab = slab_of(block);
        // SAFETY: the caller has the block from here, with this layout; a slab with an allocated block has a class.
        unsafe {
            if slab.is_none() && !is_small {
                return match layout.align() {
                    ..=ALIGNED => mi_realloc(block.cast(), size),
                    align => mi_realloc_aligned(block.cast(), size, align),
                }
                .cast();
            }
            if let Some(slab) = slab
                && is_small
                && class_of(size) == usize::from((*slab).class)
            {
                return block;
            }
            let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                new.copy_from_nonoverlapping(block, layout.size().min(size));
                self.dealloc(block, layout);
            }
            new
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use darter_core::value::block::{block_size, class_bytes};

    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).expect("a layout")
    }

    /// A block whose bytes tell what it is, to be freed anywhere.
    struct Marked(*mut u8, usize);
    // SAFETY: it owns its block.
    unsafe impl Send for Marked {}

    impl Marked {
        fn new(size: usize) -> Marked {
            // SAFETY: sizes are not zero.
            let block = unsafe { Allocator.alloc(layout(size, 8)) };
            assert!(!block.is_null() && (block as usize).is_multiple_of(8));
            // SAFETY: the block has that many bytes.
            unsafe { block.write_bytes(size as u8, size) };
            Marked(block, size)
        }

        fn check(&self) {
            // SAFETY: the bytes were written by `new` or `resize`.
            let bytes = unsafe { std::slice::from_raw_parts(self.0, self.1) };
            assert!(
                bytes.iter().all(|byte| *byte == self.1 as u8),
                "somebody else has written to this block"
            );
        }

        fn resize(&mut self, size: usize) {
            // SAFETY: the block was allocated with this layout.
            self.0 = unsafe { Allocator.realloc(self.0, layout(self.1, 8), size) };
            let kept = self.1.min(size);
            // SAFETY: so many bytes were kept; then all of them are the block's.
            unsafe {
                let bytes = std::slice::from_raw_parts(self.0, kept);
                assert!(bytes.iter().all(|byte| *byte == self.1 as u8));
                self.0.write_bytes(size as u8, size);
            }
            self.1 = size;
        }
    }

    impl Drop for Marked {
        fn drop(&mut self) {
            self.check();
            // SAFETY: the block was allocated with this layout.
            unsafe { Allocator.dealloc(self.0, layout(self.1, 8)) };
        }
    }

    /// As many numbers as wanted, the same ones each time.
    fn numbers(seed: u64) -> impl FnMut(usize) -> usize {
        let mut state = seed;
        move |below| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        }
    }

    #[test]
    fn a_small_block_takes_the_class_of_its_size_and_is_aligned() {
        for size in [1usize, 16, 48, 54, 80, 112, 228, 400, 1_500, 4_096, 8_192, 8_193, 100_000] {
            for align in [1, 8, 16, 64] {
                let layout = layout(size, align);
                // SAFETY: the blocks are given back with the layout with which they were allocated.
                let blocks: Vec<*mut u8> = (0..1_000).map(|_| unsafe { Allocator.alloc(layout) }).collect();
                for block in blocks {
                    assert!(!block.is_null() && (block as usize).is_multiple_of(align));
                    match slab_of(block) {
                        Some(slab) => {
                            // SAFETY: a slab with an allocated block has a class.
                            let class = usize::from(unsafe { (*slab).class });
                            assert!(align <= 8 && class_bytes(class) == block_size(size), "{size}");
                        }
                        None => assert!(align > 8 || size > BLOCK_MAX, "{size} bytes are not from a slab"),
                    }
                    // SAFETY: as above.
                    unsafe { Allocator.dealloc(block, layout) };
                }
            }
        }
    }

    #[test]
    fn blocks_keep_what_is_written_to_them_whatever_comes_and_goes() {
        for seed in 0..20 {
            let (mut next, mut blocks) = (numbers(seed), Vec::new());
            let size = |next: &mut dyn FnMut(usize) -> usize| 1 + next([60, 600, 10_000][seed as usize % 3]);
            for _ in 0..20_000 {
                match next(8) {
                    0..=3 => blocks.push(Marked::new(size(&mut next))),
                    4 if !blocks.is_empty() => {
                        let at = next(blocks.len());
                        blocks[at].resize(size(&mut next));
                    }
                    5 if next(1_000) == 0 => purge(),
                    _ if !blocks.is_empty() => drop(blocks.swap_remove(next(blocks.len()))),
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn zeroed_blocks_are_zero_when_their_memory_was_used_before() {
        for size in [24, 100, 1_000, 4_000] {
            (0..1_000).map(|_| Marked::new(size)).collect::<Vec<_>>().clear();
            for _ in 0..1_000 {
                // SAFETY: the block has that many bytes, and is given back with its layout.
                unsafe {
                    let block = Allocator.alloc_zeroed(layout(size, 8));
                    assert!(std::slice::from_raw_parts(block, size).iter().all(|byte| *byte == 0));
                    block.write_bytes(255, size);
                    Allocator.dealloc(block, layout(size, 8));
                }
            }
        }
    }

    #[test]
    fn threads_give_back_each_others_blocks() {
        let (to, from): (Vec<_>, Vec<_>) = (0..4).map(|_| mpsc::sync_channel::<Marked>(1_000)).unzip();
        thread::scope(|scope| {
            for (thread, from) in from.into_iter().enumerate() {
                let to = to[(thread + 1) % 4].clone();
                scope.spawn(move || {
                    let mut next = numbers(thread as u64);
                    for _ in 0..50_000 {
                        // A neighbour that has no room for it yet gets the next one.
                        let _ = to.try_send(Marked::new(1 + next(300)));
                        from.try_iter().take(3).for_each(|block| block.check());
                    }
                    drop(to);
                    from.try_iter().for_each(drop);
                });
            }
            drop(to);
        });
    }

    #[test]
    fn what_a_thread_has_left_behind_is_used_by_the_next() {
        let mut heaps = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let block = thread::spawn(|| Marked::new(3_000)).join().expect("the thread ends well");
            let slab = slab_of(block.0).expect("a small block");
            // SAFETY: a slab with an allocated block has a heap.
            heaps.insert(unsafe { (*slab).heap });
        }
        // The threads of other tests come and go meanwhile.
        assert!(heaps.len() < 50, "{} heaps for one thread after the other", heaps.len());
    }

    #[test]
    fn memory_goes_back_when_all_is_given_back() {
        let resident = || {
            let pages = std::fs::read_to_string("/proc/self/statm").expect("the system tells of memory");
            pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("pages") * 4_096
        };
        let blocks: Vec<Marked> = (0..1_000_000).map(|_| Marked::new(200)).collect();
        let full = resident();
        drop(blocks);
        purge();
        assert!(resident() + 150_000_000 < full, "{} of {full} bytes are still there", resident());
    }
}
