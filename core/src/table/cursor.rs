//! A place in the order of SCAN, packed into a number that clients carry around.
//!
//! The order is bucket-major: home bucket 0 of all segments in hash order, then home bucket 1, and so on. A
//! key's home bucket does not depend on the depth of its segment and neither does its place in hash order, so
//! splits and merges between two calls never move a key from behind the cursor to before it or back. This file
//! knows the packing only, not the segments.

/// Where a scan stands. It fits into 40 bits, so that callers can put a shard above it (they may rely on 42).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor(pub u64);

impl Cursor {
    /// Both the beginning of a scan and, when returned, its end.
    pub const START: Cursor = Cursor(0);

    /// The place of a home bucket in the segment that holds this position.
    pub(super) fn new(bucket: usize, position: u32) -> Cursor {
        debug_assert!(bucket < 256);
        Cursor((bucket as u64) << 32 | u64::from(position))
    }

    /// The home bucket to visit. A cursor of a client's own making can name one that does not exist.
    pub(super) fn bucket(self) -> u64 {
        self.0 >> 32
    }

    /// The position, in hash order, from which on that home bucket has yet to be visited.
    pub(super) fn position(self) -> u32 {
        self.0 as u32
    }

    /// What comes after a bucket of a segment that ends before `end`.
    pub(super) fn after(bucket: usize, end: u64, buckets: usize) -> Cursor {
        match u32::try_from(end) {
            Ok(position) => Cursor::new(bucket, position),
            Err(_) if bucket + 1 < buckets => Cursor::new(bucket + 1, 0),
            Err(_) => Cursor::START,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_and_unpacks() {
        let cursor = Cursor::new(255, u32::MAX);
        assert_eq!((cursor.bucket(), cursor.position()), (255, u32::MAX));
        assert!(cursor.0 < 1 << 42);
    }

    #[test]
    fn the_end_of_hash_order_leads_to_the_next_bucket_and_the_last_bucket_to_the_start() {
        assert_eq!(Cursor::after(3, 7 << 20, 64), Cursor::new(3, 7 << 20));
        assert_eq!(Cursor::after(3, 1 << 32, 64), Cursor::new(4, 0));
        assert_eq!(Cursor::after(63, 1 << 32, 64), Cursor::START);
    }
}
