//! Receive buffers that the kernel chooses from: a provided-buffer ring.
//!
//! Idle connections hold none of them. The memory is reserved at once and becomes resident page by page as the kernel writes.
//! This file does not know connections. See io_uring_register_buf_ring(3).

use std::io;
use std::ptr;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

/// The group's name in the ring.
pub const GROUP: u16 = 0;
/// Bytes of one buffer.
pub const BUFFER_LEN: usize = 16 << 10;
/// How many there are; a power of two.
pub const BUFFER_COUNT: u16 = 128;

const _: () = assert!(BUFFER_COUNT.is_power_of_two());
const RING_BYTES: usize = BUFFER_COUNT as usize * size_of::<BufRingEntry>();
const POOL_BYTES: usize = BUFFER_COUNT as usize * BUFFER_LEN;

/// All receive buffers of a core. They live as long as the process, because the kernel may write to them until then.
pub struct Buffers {
    ring: *mut BufRingEntry,
    pool: *mut u8,
    tail: u16,
    /// Buffers that are ours at the moment, by number: what is not ours is never read nor given back.
    ours: [bool; BUFFER_COUNT as usize],
}

impl Buffers {
    /// Reserves and registers the buffers.
    pub fn register(submitter: &Submitter<'_>) -> io::Result<Buffers> {
        let ring = reserve(RING_BYTES)?.cast::<BufRingEntry>();
        let pool = reserve(POOL_BYTES)?;
        // SAFETY: `ring` is page-aligned, zeroed, large enough for BUFFER_COUNT entries and never unmapped.
        unsafe { submitter.register_buf_ring_with_flags(ring as u64, BUFFER_COUNT, GROUP, 0)? };
        let mut buffers = Buffers { ring, pool, tail: 0, ours: [true; BUFFER_COUNT as usize] };
        for id in 0..BUFFER_COUNT {
            buffers.give_back(id);
        }
        buffers.publish();
        Ok(buffers)
    }

    /// Notes that a completion has handed over buffer `id`.
    #[inline]
    pub fn taken(&mut self, id: u16) {
        assert!(!self.ours[usize::from(id)], "the kernel hands out a buffer once");
        self.ours[usize::from(id)] = true;
    }

    /// What the kernel wrote into a buffer that was handed over.
    #[inline]
    pub fn bytes(&self, id: u16, len: usize) -> &[u8] {
        assert!(self.ours[usize::from(id)] && len <= BUFFER_LEN, "only a buffer of ours is read");
        // SAFETY: `id` is below BUFFER_COUNT (it indexes `ours`), so the range lies in the pool, which is zeroed, never
        // unmapped, and not written by the kernel while the buffer is ours. The borrow of `self` keeps it from being given back.
        unsafe { std::slice::from_raw_parts(self.pool.add(usize::from(id) * BUFFER_LEN), len) }
    }

    /// Gives a buffer back; the kernel sees it after [`Buffers::publish`].
    #[inline]
    pub fn give_back(&mut self, id: u16) {
        assert!(
            std::mem::replace(&mut self.ours[usize::from(id)], false),
            "only a buffer of ours is given back"
        );
        let place = usize::from(self.tail & (BUFFER_COUNT - 1));
        // SAFETY: `place` is below BUFFER_COUNT. The entry is not read by the kernel before the tail passes it: at most
        // BUFFER_COUNT buffers exist, so an entry not yet consumed is never overwritten. The tail lies in a field of the
        // first entry that these setters do not touch.
        let entry = unsafe { &mut *self.ring.add(place) };
        entry.set_addr(self.pool as u64 + (usize::from(id) * BUFFER_LEN) as u64);
        entry.set_len(BUFFER_LEN as u32);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Shows the kernel all buffers given back so far.
    #[inline]
    pub fn publish(&mut self) {
        // SAFETY: `ring` is the address of the registered ring's first entry; its tail is a u16 that only we write and the
        // kernel reads, so an atomic store is how to write it.
        unsafe {
            let tail = BufRingEntry::tail(self.ring).cast_mut().cast::<AtomicU16>();
            (*tail).store(self.tail, Ordering::Release);
        }
    }
}

/// Zeroed memory, not resident until it is touched.
fn reserve(bytes: usize) -> io::Result<*mut u8> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a fresh anonymous mapping touches no memory of ours.
    let memory = unsafe { libc::mmap(ptr::null_mut(), bytes, access, kind, -1, 0) };
    if memory == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(memory.cast()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use io_uring::IoUring;

    #[test]
    fn buffers_are_handed_out_once_and_go_round() {
        let ring = IoUring::new(4).unwrap();
        let mut buffers = Buffers::register(&ring.submitter()).unwrap();
        for turn in 0..1_000u16 {
            let id = turn % BUFFER_COUNT;
            buffers.taken(id);
            assert_eq!(buffers.bytes(id, 3), [0, 0, 0]);
            buffers.give_back(id);
            buffers.publish();
        }
    }

    #[test]
    #[should_panic(expected = "only a buffer of ours")]
    fn the_kernels_buffer_is_not_read() {
        let ring = IoUring::new(4).unwrap();
        Buffers::register(&ring.submitter()).unwrap().bytes(0, 1);
    }
}
