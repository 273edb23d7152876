//! One hash per key: some bits choose the shard, others the segment, the bucket and the fingerprint.
//!
//! This file knows which bits serve whom. It does not know what is stored.

use std::hash::{BuildHasher, Hasher};

/// The hash of a whole key. Computed once per key and command, then carried along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub u64);

impl KeyHash {
    /// One byte, never zero, compared by SIMD within a bucket. Zero marks an empty slot.
    #[inline]
    pub fn fingerprint(self) -> u8 {
        let byte = (self.0 >> 16) as u8;
        if byte == 0 { 1 } else { byte }
    }

    /// Eight bits that choose the home bucket within a segment, whatever the segment's depth.
    #[inline]
    pub fn bucket_bits(self) -> u8 {
        (self.0 >> 24) as u8
    }

    /// The position of the key in hash order: the directory is indexed by its leading bits.
    #[inline]
    pub fn position(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Scales the lowest 16 bits, which nothing else uses, to `0..shards`.
    #[inline]
    pub fn shard(self, shards: u16) -> u16 {
        (((self.0 & 0xffff) * u64::from(shards)) >> 16) as u16
    }
}

/// Hashes keys with seeds that come from the configuration, so that a simulation can fix them.
#[derive(Clone, Debug)]
pub struct KeyHasher {
    state: ahash::RandomState,
    seeds: [u64; 4],
}

impl KeyHasher {
    /// The same seeds give the same hashes in every process on the same kind of machine.
    pub fn new(seeds: [u64; 4]) -> Self {
        KeyHasher { state: ahash::RandomState::with_seeds(seeds[0], seeds[1], seeds[2], seeds[3]), seeds }
    }

    /// Seeds for what is hashed within values: others, so that hashes of keys say nothing about them.
    pub fn seeds_within(&self) -> [u64; 4] {
        let [a, b, c, d] = self.seeds;
        [b.rotate_left(17) ^ 0x9e37_79b9_7f4a_7c15, d, a.rotate_left(31), c]
    }

    /// Hashes a whole key.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> KeyHash {
        let mut hasher = self.state.build_hasher();
        hasher.write(key);
        KeyHash(hasher.finish())
    }

    /// The hash of a key, which may be known already, and its shard: see [`placement_part`].
    #[inline]
    pub fn place(&self, key: &[u8], known: Option<KeyHash>, shards: u16) -> (KeyHash, u16) {
        let hash = known.unwrap_or_else(|| self.hash(key));
        debug_assert_eq!(hash, self.hash(key), "what is known is the key's");
        if shards == 1 {
            return (hash, 0);
        }
        let part = placement_part(key);
        let decides = if part.len() == key.len() { hash } else { self.hash(part) };
        (hash, decides.shard(shards))
    }
}

/// The part of a key that decides its shard: what stands between the first `{` and the next `}`, if that is
/// not empty, else the whole key. As in Redis Cluster, so that the keys of one user can be kept together.
#[inline]
pub fn placement_part(key: &[u8]) -> &[u8] {
    if key.len() <= SHORT && !has_brace(key) { key } else { tagged_part(key) }
}

/// A key of this length is looked through by words.
const SHORT: usize = 32;

/// True if there is a `{`, and perhaps if there is none.
#[inline]
fn has_brace(key: &[u8]) -> bool {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    // A byte that is zero is the lowest one of which this has the high bit set.
    let has_zero = |word: u64| word.wrapping_sub(ONES) & !word & (ONES << 7) != 0;
    let (words, rest) = key.as_chunks::<8>();
    let in_words = words.iter().any(|word| has_zero(u64::from_le_bytes(*word) ^ (ONES * u64::from(b'{'))));
    in_words || rest.contains(&b'{')
}

fn tagged_part(key: &[u8]) -> &[u8] {
    let Some(open) = memchr::memchr(b'{', key) else { return key };
    match memchr::memchr(b'}', &key[open + 1..]) {
        Some(len) if len > 0 => &key[open + 1..open + 1 + len],
        _ => key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placement_follows_the_cluster_rule() {
        let cases: [(&str, &str); 7] = [
            ("plain", "plain"),
            ("{user1}.following", "user1"),
            ("foo{}{bar}", "foo{}{bar}"),
            ("foo{{bar}}zap", "{bar"),
            ("foo{bar}{zap}", "bar"),
            ("foo{bar", "foo{bar"),
            ("}{a}", "a"),
        ];
        for (key, part) in cases {
            assert_eq!(placement_part(key.as_bytes()), part.as_bytes(), "{key}");
        }
    }

    #[test]
    fn every_shard_is_reached_and_none_beyond() {
        let hasher = KeyHasher::new([1, 2, 3, 4]);
        for shards in [1u16, 2, 3, 7, 64] {
            let mut seen = vec![0; usize::from(shards)];
            for n in 0..2_000u32 {
                seen[usize::from(hasher.hash(&n.to_le_bytes()).shard(shards))] += 1;
            }
            assert!(seen.iter().all(|&count| count > 0), "{shards}: {seen:?}");
        }
    }
}
