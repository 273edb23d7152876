//! A heap: the slabs of one thread.
//!
//! A thread allocates from slabs of its own and takes back what was allocated there without a word to any other. What another thread gives back
//! goes to the heap's list of returned blocks, which the heap looks at whenever the slab in use is exhausted or another becomes empty. A thread
//! that ends leaves its heap to the next that begins.

use std::cell::Cell;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, PoisonError};

use darter_core::value::block::{CLASSES, class_bytes};

use super::region::{CHUNK, region, slab_of};
use super::slab::{Block, List, PIECE, Place, Slab, WIDE, pieces};

/// Pieces of empty slabs that keep their memory, lest one that is filled and emptied in turn asks the system each time: 1 MB.
const KEPT: usize = 16;
/// Among so many slabs with blocks left the fullest is used, so that others become empty.
const CANDIDATES: usize = 4;
const _: () = assert!(CHUNK.is_multiple_of(WIDE), "a new chunk has room for a slab of any width");

/// The slabs of one thread.
#[repr(C, align(64))]
pub struct Heap {
    current: [*mut Slab; CLASSES],
    partial: [List; CLASSES],
    /// Slabs without a class of one piece, and of several.
    empty: [Empty; 2],
    /// Pieces of the last chunk that were not used yet.
    chunk: *mut Slab,
    chunk_len: usize,
    /// The next one without a thread.
    next_idle: *mut Heap,
    returned: Returned,
}

/// Slabs without a class, as many pieces each.
struct Empty {
    /// With memory, [`KEPT`] pieces at most.
    kept: List,
    kept_pieces: usize,
    /// Whose memory the system has.
    bare: List,
}

impl Empty {
    const NONE: Empty = Empty { kept: List::EMPTY, kept_pieces: 0, bare: List::EMPTY };
}

/// Blocks that other threads have given back, on a line of their own.
#[repr(align(64))]
struct Returned(AtomicPtr<Block>);

/// What a heap uses of a class of which it has no slab.
struct Nothing(Slab);
// SAFETY: nobody writes to it: it has no blocks, and a slab without one is not changed by `Slab::take`.
unsafe impl Sync for Nothing {}
static NOTHING: Nothing = Nothing(Slab::NONE);

/// The heaps whose thread has ended.
struct Idle(*mut Heap);
// SAFETY: who takes a heap from the list is the only one who uses it.
unsafe impl Send for Idle {}
static IDLE: Mutex<Idle> = Mutex::new(Idle(null_mut()));

/// Gives the heap back when its thread ends.
struct Leave;

thread_local! {
    static HEAP: Cell<*mut Heap> = const { Cell::new(null_mut()) };
    static LEAVE: Leave = const { Leave };
}

impl Drop for Leave {
    fn drop(&mut self) {
        leave();
    }
}

/// A block of a class; null if there is none to be had, and for a thread that is about to end.
#[inline]
pub fn allocate(class: usize) -> *mut u8 {
    let heap = HEAP.get();
    if heap.is_null() {
        return begin(class);
    }
    // SAFETY: the heap is this thread's, and so are its slabs.
    unsafe {
        let block = Slab::take((*heap).current[class]);
        if block.is_null() { Heap::next_slab(heap, class) } else { block }
    }
}

/// Takes a block back.
///
/// # Safety
/// The block is an allocated one of this slab's.
#[inline]
pub unsafe fn free(slab: *mut Slab, block: *mut u8) {
    // SAFETY: the slab has a block that is allocated, and so a heap; if that is this thread's, so is the slab.
    unsafe {
        let heap = (*slab).heap.cast_mut();
        if heap != HEAP.get() {
            return (*heap).returned.push(block.cast());
        }
        Slab::give(slab, block);
        if (*slab).place == Place::Out || (*slab).used == 0 {
            Heap::moved(heap, slab);
        }
    }
}

/// Gives back what this thread's heap holds and does not need.
pub fn purge() {
    let heap = HEAP.get();
    if !heap.is_null() {
        // SAFETY: the heap is this thread's.
        unsafe { Heap::purge(heap) };
    }
}

/// The first block of a thread.
#[cold]
fn begin(class: usize) -> *mut u8 {
    let heap = {
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        let heap = idle.0;
        if !heap.is_null() {
            // SAFETY: heaps are never freed; this one is taken from the list here.
            idle.0 = unsafe { (*heap).next_idle };
        }
        heap
    };
    let heap = if heap.is_null() { Heap::new() } else { heap };
    if heap.is_null() {
        return null_mut();
    }
    HEAP.set(heap);
    if LEAVE.try_with(|_| ()).is_err() {
        // Its end has begun, and nobody would give the heap back.
        leave();
        return null_mut();
    }
    // SAFETY: the heap is this thread's.
    unsafe { Heap::next_slab(heap, class) }
}

/// Leaves this thread's heap to another thread.
fn leave() {
    let heap = HEAP.replace(null_mut());
    if !heap.is_null() {
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the heap was this thread's, which does not know it any more.
        unsafe { (*heap).next_idle = idle.0 };
        idle.0 = heap;
    }
}

impl Heap {
    /// One without slabs; null without memory.
    fn new() -> *mut Heap {
        // SAFETY: any size and any power of two may be asked for.
        let heap = unsafe { libmimalloc_sys::mi_malloc_aligned(size_of::<Heap>(), align_of::<Heap>()) };
        let heap = heap.cast::<Heap>();
        if !heap.is_null() {
            let current = [(&raw const NOTHING.0).cast_mut(); CLASSES];
            let new = Heap {
                current,
                partial: [const { List::EMPTY }; CLASSES],
                empty: [const { Empty::NONE }; 2],
                chunk: null_mut(),
                chunk_len: 0,
                next_idle: null_mut(),
                returned: Returned(AtomicPtr::new(null_mut())),
            };
            // SAFETY: the memory is large enough, aligned, and nobody else's.
            unsafe { heap.write(new) };
        }
        heap
    }

    /// A block of another slab of the class than the current one, which has none.
    #[cold]
    unsafe fn next_slab(heap: *mut Heap, class: usize) -> *mut u8 {
        // SAFETY: the heap and all its slabs are this thread's.
        unsafe {
            Heap::take_returned(heap);
            let old = (*heap).current[class];
            let block = Slab::take(old);
            if !block.is_null() {
                return block;
            }
            let Some(slab) = Heap::fullest(heap, class).or_else(|| Heap::cut(heap, class)) else {
                return null_mut();
            };
            if (*old).place == Place::Current {
                (*old).place = Place::Out;
            }
            (*slab).place = Place::Current;
            (*heap).current[class] = slab;
            Slab::take(slab)
        }
    }

    /// Of the slabs of the class with blocks left one with few.
    unsafe fn fullest(heap: *mut Heap, class: usize) -> Option<*mut Slab> {
        // SAFETY: as in `next_slab`.
        unsafe {
            let list = &mut (*heap).partial[class];
            let (mut fullest, mut next) = (list.first, list.first);
            for _ in 0..CANDIDATES {
                if next.is_null() {
                    break;
                }
                if (*next).used > (*fullest).used {
                    fullest = next;
                }
                next = (*next).next;
            }
            if fullest.is_null() {
                return None;
            }
            list.remove(fullest);
            Some(fullest)
        }
    }

    /// A slab without a class, cut for this one.
    unsafe fn cut(heap: *mut Heap, class: usize) -> Option<*mut Slab> {
        // SAFETY: as in `next_slab`; the slab has no block that is allocated.
        unsafe {
            let pieces = pieces(class);
            let empty = &mut (*heap).empty[usize::from(pieces > 1)];
            let slab = match empty.kept.pop() {
                Some(slab) => {
                    empty.kept_pieces -= pieces;
                    slab
                }
                None => match empty.bare.pop() {
                    Some(slab) => slab,
                    None => Heap::new_slab(heap, pieces)?,
                },
            };
            let bytes = class_bytes(class);
            let memory = region().memory_of(slab);
            (*slab).free = null_mut();
            (*slab).fresh = memory;
            (*slab).end = memory.add(pieces * PIECE / bytes * bytes);
            (*slab).bytes = bytes as u32;
            (*slab).class = class as u8;
            Some(slab)
        }
    }

    /// A slab that was never used.
    unsafe fn new_slab(heap: *mut Heap, pieces: usize) -> Option<*mut Slab> {
        // SAFETY: as in `next_slab`; the chunk's pieces are the heap's, and nobody has looked at their heads yet.
        unsafe {
            // What is left of a chunk and too little for a wide slab is for narrow ones.
            while pieces > 1 && (1..pieces).contains(&(*heap).chunk_len) {
                let slab = Heap::new_slab(heap, 1)?;
                (*heap).empty[0].bare.push(slab);
            }
            if (*heap).chunk_len == 0 {
                (*heap).chunk = region().chunk()?;
                (*heap).chunk_len = CHUNK;
            }
            let slab = (*heap).chunk;
            (*heap).chunk = slab.add(pieces);
            (*heap).chunk_len -= pieces;
            slab.write(Slab { heap, pieces: pieces as u8, place: Place::Free, ..Slab::NONE });
            for back in 1..pieces {
                slab.add(back).write(Slab { back: back as u8, ..Slab::NONE });
            }
            Some(slab)
        }
    }

    /// After a block of a slab was given back that had none left, or that has all of them now.
    #[cold]
    unsafe fn moved(heap: *mut Heap, slab: *mut Slab) {
        // SAFETY: as in `next_slab`.
        unsafe {
            Heap::settle(heap, slab);
            if (*slab).place == Place::Free {
                Heap::take_returned(heap);
            }
        }
    }

    /// Puts a slab where it belongs: among those with blocks left, or those without a class.
    unsafe fn settle(heap: *mut Heap, slab: *mut Slab) {
        // SAFETY: as in `next_slab`.
        unsafe {
            let list = &mut (*heap).partial[usize::from((*slab).class)];
            if (*slab).place == Place::Out {
                (*slab).place = Place::Partial;
                list.push(slab);
            }
            if (*slab).place == Place::Partial && (*slab).used == 0 {
                list.remove(slab);
                Heap::keep(heap, slab);
            }
        }
    }

    /// Takes an empty slab that is in no list.
    unsafe fn keep(heap: *mut Heap, slab: *mut Slab) {
        // SAFETY: as in `next_slab`.
        unsafe {
            (*slab).place = Place::Free;
            let pieces = usize::from((*slab).pieces);
            let empty = &mut (*heap).empty[usize::from(pieces > 1)];
            if empty.kept_pieces + pieces <= KEPT {
                empty.kept_pieces += pieces;
                empty.kept.push(slab);
            } else {
                region().give_back(slab);
                empty.bare.push(slab);
            }
        }
    }

    /// Takes back what other threads have given back.
    unsafe fn take_returned(heap: *mut Heap) {
        // SAFETY: as in `next_slab`; who has pushed a block has given it up.
        unsafe {
            let mut block = (*heap).returned.take();
            while !block.is_null() {
                let next = (*block).next;
                if let Some(slab) = slab_of(block.cast()) {
                    Slab::give(slab, block.cast());
                    if (*slab).place == Place::Out || (*slab).used == 0 {
                        Heap::settle(heap, slab);
                    }
                }
                block = next;
            }
        }
    }

    unsafe fn purge(heap: *mut Heap) {
        // SAFETY: as in `next_slab`.
        unsafe {
            Heap::take_returned(heap);
            for class in 1..CLASSES {
                let slab = (*heap).current[class];
                if (*slab).place == Place::Current && (*slab).used == 0 {
                    (*heap).current[class] = (&raw const NOTHING.0).cast_mut();
                    Heap::keep(heap, slab);
                }
            }
            for empty in &mut (*heap).empty {
                while let Some(slab) = empty.kept.pop() {
                    region().give_back(slab);
                    empty.bare.push(slab);
                }
                empty.kept_pieces = 0;
            }
        }
    }
}

impl Returned {
    fn push(&self, block: *mut Block) {
        let mut first = self.0.load(Ordering::Relaxed);
        loop {
            // SAFETY: the caller gives the block up; nobody sees it before the exchange.
            unsafe { (*block).next = first };
            match self.0.compare_exchange_weak(first, block, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => first = now,
            }
        }
    }

    /// All of them, one behind the other.
    fn take(&self) -> *mut Block {
        if self.0.load(Ordering::Relaxed).is_null() {
            return null_mut();
        }
        self.0.swap(null_mut(), Ordering::Acquire)
    }
}
