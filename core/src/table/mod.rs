//! The dashtable: extendible hashing over segments of small buckets, after Dash (Lu et al., VLDB 2020).
//!
//! This room knows where an entry lies and finds it again. It does not know what an entry means: not its value,
//! not its type, not its deadline other than through a function that the caller passes. It does not know
//! transactions or commands either, and it reads no clock and no entropy.
//!
//! A table is a directory of segments. The leading bits of a key's place in hash order choose the segment, eight
//! other bits choose the home bucket within it, and eight more are the fingerprint that a bucket compares all at
//! once. An entry lies in its home bucket, in the bucket after it (then it is *displaced*), in a stash bucket of
//! the segment, or, if nothing else helps, in the segment's spill. Only a full segment splits and only two
//! nearly empty ones merge, so growing and shrinking never touch more than a segment or two at a time.

mod bucket;
mod check;
mod cursor;
mod dashtable;
mod deadlines;
mod directory;
mod expect;
mod reshape;
mod sample;
mod segment;
mod sweep;
#[cfg(test)]
mod tests;

use crate::hash::{KeyHash, KeyHasher};

pub use cursor::Cursor;
pub use dashtable::Dashtable;
pub use deadlines::BOUND_UNIT_MILLIS;
pub(crate) use deadlines::{Bound, Tournament};

/// What a table stores: owned, pointer sized, knows its key.
///
/// `Option<Self>` must be as small as a pointer, which it is for everything that wraps a `Box` or a `NonNull`.
pub trait Entry {
    /// The key under which the entry is found. It must stay the same as long as the entry is in a table.
    fn key(&self) -> &[u8];

    /// Brings the entry towards the cache; reads nothing.
    fn prefetch(&self) {}

    /// Brings only its beginning towards the cache; reads nothing.
    fn prefetch_head(&self) {}
}

/// How a table hashes keys: seeded in production, degenerate in tests of the worst case.
pub trait KeyHashing {
    /// Hashes a whole key.
    fn hash(&self, key: &[u8]) -> KeyHash;
}

impl KeyHashing for KeyHasher {
    #[inline]
    fn hash(&self, key: &[u8]) -> KeyHash {
        KeyHasher::hash(self, key)
    }
}

/// A table whose segments hold a handful of entries, for models and simulations: splits, displacement, stash
/// and merges all happen within a dozen steps.
pub type TinyDashtable<E> = Dashtable<E, 2, 1, 3>;
