//! Where slabs lie: one reserved range of addresses, cut into pieces that go to a heap a chunk at a time.
//!
//! A block's address alone tells whether it lies in a slab, and in which. Only addresses are reserved: memory is what is touched. What the
//! program knows of its slabs lies in a range of its own and not in the slabs: heads that are 64 KB apart would all want the same lines of the
//! processor's caches.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::slab::{PIECE, Slab};

/// Reserved addresses: 512 GB. Whoever has more small blocks than that gets the rest from mimalloc.
const PIECES: usize = 8 << 20;
/// Pieces that a heap gets at once: 4 MB of addresses.
pub const CHUNK: usize = 64;

/// The reserved ranges.
pub struct Region {
    slabs: *mut Slab,
    memory: *mut u8,
    /// Bytes of the memory's range; none if the system refused it.
    bytes: usize,
    /// The first piece that nobody has yet.
    next: AtomicUsize,
}

// SAFETY: the pointers are addresses that never change; what they lead to is used by the rules of `Slab`.
unsafe impl Send for Region {}
// SAFETY: the same.
unsafe impl Sync for Region {}

static REGION: OnceLock<Region> = OnceLock::new();

/// The region, reserved by who asks first.
pub fn region() -> &'static Region {
    REGION.get_or_init(Region::reserve)
}

/// The slab in which a block lies; nothing for what mimalloc has allocated.
#[inline]
pub fn slab_of(block: *mut u8) -> Option<*mut Slab> {
    let region = REGION.get()?;
    let offset = (block as usize).wrapping_sub(region.memory as usize);
    // SAFETY: the offset is within the region, which has a head for each of its pieces; what is behind a slab's first says how far.
    (offset < region.bytes).then(|| unsafe {
        let head = region.slabs.add(offset / PIECE);
        head.sub(usize::from((*head).back))
    })
}

impl Region {
    fn reserve() -> Region {
        let slabs = map(PIECES * size_of::<Slab>(), libc::PROT_READ | libc::PROT_WRITE).cast::<Slab>();
        let memory = map((PIECES + 1) * PIECE, libc::PROT_NONE);
        let bytes = if slabs.is_null() || memory.is_null() { 0 } else { PIECES * PIECE };
        // A piece more was asked for than is used, so that the first can begin at a multiple of its size.
        let memory = memory.wrapping_add(memory.align_offset(PIECE));
        Region { slabs, memory, bytes, next: AtomicUsize::new(0) }
    }

    /// Heads of [`CHUNK`] pieces in a row, all zero, for who asks; nothing if there are none left, or no memory.
    pub fn chunk(&self) -> Option<*mut Slab> {
        let first = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
            ((next + CHUNK) * PIECE <= self.bytes).then_some(next + CHUNK)
        });
        let first = first.ok()?;
        // SAFETY: the range lies within the region and belongs to the caller from now on.
        unsafe {
            let memory = self.memory.add(first * PIECE);
            let is_there =
                libc::mprotect(memory.cast(), CHUNK * PIECE, libc::PROT_READ | libc::PROT_WRITE) == 0;
            is_there.then(|| self.slabs.add(first))
        }
    }

    /// Where a slab's blocks begin.
    pub fn memory_of(&self, slab: *mut Slab) -> *mut u8 {
        // SAFETY: slabs are handed out by `chunk` alone, and lie in one row.
        unsafe { self.memory.add(slab.offset_from_unsigned(self.slabs) * PIECE) }
    }

    /// Gives a slab's memory back to the system. Its addresses stay, and are zero when they are touched next.
    pub fn give_back(&self, slab: *mut Slab) {
        // SAFETY: the range is a slab of the caller's in which no block is allocated. If the system refuses, the memory stays as it is.
        unsafe {
            let bytes = usize::from((*slab).pieces) * PIECE;
            libc::madvise(self.memory_of(slab).cast(), bytes, libc::MADV_DONTNEED);
        }
    }
}

/// Addresses, none of them touched; null if there are none.
fn map(bytes: usize, protection: i32) -> *mut u8 {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping at an address of the system's choice.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
    if start == libc::MAP_FAILED { std::ptr::null_mut() } else { start.cast() }
}
