//! A slab: one piece of the region or a few in a row, cut into blocks of one class.

use std::ptr::null_mut;

use darter_core::value::block::class_of;

use super::heap::Heap;

/// The bytes of a piece. A slab of small blocks is one.
pub const PIECE: usize = 64 << 10;
/// How many pieces a slab of large blocks is, so that what is left over at its end is little.
pub const WIDE: usize = 4;
/// The first class of large blocks: above one kilobyte.
const WIDE_FIRST: usize = class_of(1_024) + 1;

/// How many pieces a slab of a class is.
pub const fn pieces(class: usize) -> usize {
    if class < WIDE_FIRST { 1 } else { WIDE }
}

/// A block that nobody has.
pub struct Block {
    pub next: *mut Block,
}

/// Where a slab is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Place {
    /// Nowhere: all its blocks are allocated, or it has none.
    Out = 0,
    /// Its heap takes blocks of its class from it.
    Current,
    /// Among those of its class that have blocks left.
    Partial,
    /// Among those without a class.
    Free,
}

/// What is known of a slab. Only the thread of its heap looks at it, but for `heap` and `back`, which never change, and `class`, which does not
/// as long as a block is allocated: these may be read by who has a block.
#[repr(C, align(64))]
pub struct Slab {
    /// Blocks that were given back.
    pub free: *mut Block,
    /// The first block that nobody has ever had since the slab has its class. Memory behind it was not touched.
    pub fresh: *mut u8,
    /// Behind the last block.
    pub end: *mut u8,
    /// How many blocks are allocated.
    pub used: u32,
    /// The bytes of a block.
    pub bytes: u32,
    pub heap: *const Heap,
    pub next: *mut Slab,
    pub last: *mut Slab,
    pub class: u8,
    pub place: Place,
    /// How many pieces it is; this never changes either.
    pub pieces: u8,
    /// Of a piece that is not a slab's first: how many heads before it the slab's is. It has nothing else.
    pub back: u8,
}

impl Slab {
    /// One without blocks.
    pub const NONE: Slab = Slab {
        free: null_mut(),
        fresh: null_mut(),
        end: null_mut(),
        used: 0,
        bytes: 0,
        heap: std::ptr::null(),
        next: null_mut(),
        last: null_mut(),
        class: 0,
        place: Place::Out,
        pieces: 0,
        back: 0,
    };

    /// One of its blocks; null if all are allocated.
    ///
    /// # Safety
    /// The slab belongs to the heap of this thread.
    #[inline]
    pub unsafe fn take(slab: *mut Slab) -> *mut u8 {
        // SAFETY: nobody else uses the slab's fields; its free blocks are nobody's, and begin with what `give` has written.
        unsafe {
            let block = (*slab).free;
            if !block.is_null() {
                let next = (*block).next;
                prefetch(next);
                (*slab).free = next;
                (*slab).used += 1;
                return block.cast();
            }
            let block = (*slab).fresh;
            if block == (*slab).end {
                return null_mut();
            }
            (*slab).fresh = block.add((*slab).bytes as usize);
            (*slab).used += 1;
            block
        }
    }

    /// Takes a block back.
    ///
    /// # Safety
    /// As in `take`; the block is one of this slab's, and allocated.
    #[inline]
    pub unsafe fn give(slab: *mut Slab, block: *mut u8) {
        let block = block.cast::<Block>();
        // SAFETY: the block is nobody's from now on, aligned to eight bytes, and has as many at least.
        unsafe {
            (*block).next = (*slab).free;
            (*slab).free = block;
            (*slab).used -= 1;
        }
    }
}

/// Brings a block towards the cache whose first word will be read when it is taken.
#[inline]
fn prefetch(block: *mut Block) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: any address may be prefetched.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(block.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = block;
}

/// Slabs in a row, each of them in one list at most.
pub struct List {
    pub first: *mut Slab,
}

impl List {
    pub const EMPTY: List = List { first: null_mut() };

    /// Puts a slab in front.
    ///
    /// # Safety
    /// The slab is in no list, and belongs to the heap that the list belongs to.
    pub unsafe fn push(&mut self, slab: *mut Slab) {
        // SAFETY: as said.
        unsafe {
            (*slab).last = null_mut();
            (*slab).next = self.first;
            if !self.first.is_null() {
                (*self.first).last = slab;
            }
        }
        self.first = slab;
    }

    /// Takes a slab out.
    ///
    /// # Safety
    /// The slab is in this list.
    pub unsafe fn remove(&mut self, slab: *mut Slab) {
        // SAFETY: as said; its neighbours are in the list, too.
        unsafe {
            let (last, next) = ((*slab).last, (*slab).next);
            match last.is_null() {
                true => self.first = next,
                false => (*last).next = next,
            }
            if !next.is_null() {
                (*next).last = last;
            }
        }
    }

    /// Takes out the first.
    ///
    /// # Safety
    /// The list's slabs belong to the heap of this thread.
    pub unsafe fn pop(&mut self) -> Option<*mut Slab> {
        let first = self.first;
        if first.is_null() {
            return None;
        }
        // SAFETY: it is in this list.
        unsafe { self.remove(first) };
        Some(first)
    }
}
