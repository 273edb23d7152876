//! A bucket: the entries of a few keys in one block of memory, found by fingerprints that are compared eight at a time.
//!
//! ```text
//! bytes of entries 4 | [list of large entries 8] | entries, one behind the other, in the order in which they came | free | pairs, the first one last
//! pair: fingerprint 1 | bytes of its entry 1, or `LARGE`: the entry lies in a block of its own
//! ```
//!
//! A small hash or set is one bucket, a large one is many. It knows bytes and fingerprints. It does not know what an entry means, but for the
//! key in it, which a [`Form`] tells.

use super::block::block_size;
use super::thin::Thin;

/// How entries are made.
pub trait Form {
    /// The key of an entry, by which it is found.
    fn key(entry: &[u8]) -> &[u8];
}

/// The number of bytes.
const HEAD: usize = 4;
/// The address of the list of large entries, if there are any.
const ADDRESS: usize = 8;
const PAIR: usize = 2;
/// Pairs that are looked at together, and their bytes.
const GROUP: usize = 8;
const GROUP_BYTES: usize = GROUP * PAIR;
/// Instead of a length.
const LARGE: u8 = 255;
/// A longer entry lies in a block of its own, so that a bucket stays small.
pub(super) const INLINE_MAX: usize = 160;

/// Entries in one block. Small, since there is one in the record of every small hash and set.
#[derive(Default)]
pub(super) struct Bucket {
    block: Thin,
    count: u32,
    kind: Kind,
}

/// Whether the block begins with the address of a list of large entries, which is the bucket's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Plain,
    WithLarge,
}

/// Long entries, in the order of their pairs.
type Large = Vec<Box<[u8]>>;

/// Where an entry lies. It holds as long as the bucket is not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    slot: usize,
    /// Of its first byte behind the head, or how many large ones stand before it.
    at: usize,
    /// `LARGE` or its length.
    len: u8,
}

/// The bytes of each 16-bit lane, and a one in each.
const LOW_BYTES: u64 = 0x00ff_00ff_00ff_00ff;
const ONES: u64 = 0x0001_0001_0001_0001;

/// A bit at the top of the low byte's left neighbour for each of four lanes that are zero; lanes are below 256.
#[inline]
fn zero_lanes(lanes: u64) -> u64 {
    ((ONES << 8) - lanes) & (ONES << 8)
}

#[inline]
fn sum_lanes(lanes: u64) -> usize {
    (lanes.wrapping_mul(ONES) >> 48) as usize
}

impl Bucket {
    /// How many entries.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.count as usize
    }

    /// Bytes of the entries that lie in the block.
    #[inline]
    pub(super) fn used(&self) -> usize {
        self.block.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize)
    }

    /// Where the entries begin.
    #[inline]
    fn head(&self) -> usize {
        match self.kind {
            Kind::Plain => HEAD,
            Kind::WithLarge => HEAD + ADDRESS,
        }
    }

    #[inline]
    fn address(&self) -> *mut Large {
        let mut word = [0; ADDRESS];
        word.copy_from_slice(&self.block[HEAD..HEAD + ADDRESS]);
        std::ptr::with_exposed_provenance_mut(usize::from_le_bytes(word))
    }

    #[inline]
    fn large_entries(&self) -> Option<&Large> {
        match self.kind {
            Kind::Plain => None,
            // SAFETY: the kind says that the address is one that `keep_large` has written, of a list that is this bucket's own until `forget_large`
            // takes the kind back; `&self` excludes changes.
            Kind::WithLarge => Some(unsafe { &*self.address() }),
        }
    }

    #[inline]
    fn large_entries_mut(&mut self) -> Option<&mut Large> {
        match self.kind {
            Kind::Plain => None,
            // SAFETY: as in `large_entries`; `&mut self` makes this the only reference.
            Kind::WithLarge => Some(unsafe { &mut *self.address() }),
        }
    }

    /// Begins a list of large entries.
    fn keep_large(&mut self) {
        assert!(self.kind == Kind::Plain, "a bucket has one list");
        let (count, used) = (self.len(), self.used());
        let needed = HEAD + ADDRESS + used + PAIR * count;
        if needed > self.block.len() {
            self.resize(needed);
        }
        self.block.copy_within(HEAD..HEAD + used, HEAD + ADDRESS);
        let address = Box::into_raw(Box::new(Large::new())).expose_provenance();
        self.block[HEAD..HEAD + ADDRESS].copy_from_slice(&address.to_le_bytes());
        self.kind = Kind::WithLarge;
    }

    /// Gives up the list of large entries.
    fn forget_large(&mut self) -> Large {
        if self.kind == Kind::Plain {
            return Large::new();
        }
        // SAFETY: as in `large_entries`: the list came out of a box; nobody finds it once the kind is another.
        let entries = unsafe { Box::from_raw(self.address()) };
        self.kind = Kind::Plain;
        let used = self.used();
        self.block.copy_within(HEAD + ADDRESS..HEAD + ADDRESS + used, HEAD);
        *entries
    }

    /// Entries that lie in blocks of their own.
    #[inline]
    pub(super) fn large(&self) -> usize {
        self.large_entries().map_or(0, Vec::len)
    }

    /// Bytes of memory that it owns besides itself.
    #[inline]
    pub(super) fn owned_bytes(&self) -> usize {
        self.block.owned_bytes() + self.large_entries().map_or(0, large_bytes)
    }

    #[inline]
    fn set_head(&mut self, count: usize, used: usize) {
        self.count = count as u32;
        self.block[..HEAD].copy_from_slice(&(used as u32).to_le_bytes());
    }

    /// Pairs from `8 * group` on: in each 16 bits, from the lowest, a fingerprint above a length. Beyond the last pair stands anything.
    #[inline]
    fn group(&self, group: usize) -> [u64; 2] {
        let end = self.block.len() - group * GROUP_BYTES;
        let bytes = match self.block[..end].last_chunk() {
            Some(bytes) => *bytes,
            None => {
                let mut bytes = [0; GROUP_BYTES];
                bytes[GROUP_BYTES - end..].copy_from_slice(&self.block[..end]);
                bytes
            }
        };
        let word = u128::from_be_bytes(bytes);
        [word as u64, (word >> 64) as u64]
    }

    /// Finds the entry of a key.
    #[inline]
    pub(super) fn find<F: Form>(&self, fingerprint: u8, key: &[u8]) -> Option<Place> {
        let count = self.len();
        let wanted = u64::from(fingerprint) * ONES;
        let (mut first, mut before) = (0, Before::default());
        while first < count {
            let halves = self.group(first / GROUP);
            for half in halves {
                let lens = half & LOW_BYTES;
                let mut equal = zero_lanes((half >> 8 & LOW_BYTES) ^ wanted);
                while equal != 0 {
                    let lane = equal.trailing_zeros() / 16;
                    equal &= equal - 1;
                    let slot = first + lane as usize;
                    if slot >= count {
                        break;
                    }
                    let lower = lens & ((1 << (16 * lane)) - 1);
                    let place = before.and(lower).place(slot, (half >> (16 * lane)) as u8);
                    if F::key(self.entry(place)) == key {
                        return Some(place);
                    }
                }
                before = before.and(lens);
                first += 4;
                if first >= count {
                    break;
                }
            }
        }
        None
    }

    /// The place of entry `slot`, which is there.
    pub(super) fn place(&self, slot: usize) -> Place {
        assert!(slot < self.len(), "a slot is below the count");
        let mut before = Before::default();
        for group in 0..=slot / GROUP {
            for (n, half) in self.group(group).into_iter().enumerate() {
                let (first, lens) = (group * GROUP + 4 * n, half & LOW_BYTES);
                if slot < first + 4 {
                    let lane = (slot - first) as u32;
                    let lower = lens & ((1 << (16 * lane)) - 1);
                    return before.and(lower).place(slot, (half >> (16 * lane)) as u8);
                }
                before = before.and(lens);
            }
        }
        unreachable!("a slot lies in one of the groups up to its own")
    }

    /// The entry at a place.
    #[inline]
    pub(super) fn entry(&self, place: Place) -> &[u8] {
        if place.len == LARGE
            && let Some(large) = self.large_entries()
        {
            return &large[place.at];
        }
        let at = self.head() + place.at;
        &self.block[at..at + usize::from(place.len)]
    }

    /// The same, to be changed without changing its length.
    fn entry_mut(&mut self, place: Place) -> &mut [u8] {
        assert!(place.len != LARGE, "a large entry is not changed where it lies");
        let at = self.head() + place.at;
        &mut self.block[at..at + usize::from(place.len)]
    }

    #[inline]
    fn pair_at(&self, slot: usize) -> usize {
        self.block.len() - PAIR * (slot + 1)
    }

    /// The fingerprint of entry `slot`.
    pub(super) fn fingerprint(&self, slot: usize) -> u8 {
        self.block[self.pair_at(slot)]
    }

    /// All entries, in the order in which they came.
    #[inline]
    pub(super) fn iter(&self) -> Entries<'_> {
        Entries { bucket: self, slot: 0, count: self.len(), before: Before::default() }
    }

    /// Makes room for so many more entries of so many bytes together.
    pub(super) fn reserve(&mut self, entries: usize, bytes: usize) {
        let (count, used) = (self.len(), self.used());
        let needed = self.head() + used + bytes + PAIR * (count + entries);
        if needed > self.block.len() {
            self.resize(needed);
        }
    }

    /// Adds an entry of `len` bytes, which `write` fills. Its key is not there.
    #[inline]
    pub(super) fn push(&mut self, fingerprint: u8, len: usize, write: impl FnOnce(&mut [u8])) {
        let inline = if len > INLINE_MAX { 0 } else { len };
        if len > INLINE_MAX && self.kind == Kind::Plain {
            self.keep_large();
        }
        self.reserve(1, inline);
        let (count, used) = (self.len(), self.used());
        if let Some(large) = self.large_entries_mut().filter(|_| len > INLINE_MAX) {
            let mut entry = vec![0; len].into_boxed_slice();
            write(&mut entry);
            large.push(entry);
        } else {
            let at = self.head() + used;
            write(&mut self.block[at..at + len]);
        }
        let at = self.pair_at(count);
        self.block[at] = fingerprint;
        self.block[at + 1] = if len > INLINE_MAX { LARGE } else { len as u8 };
        self.set_head(count + 1, used + inline);
    }

    /// Removes an entry; those behind it move up.
    pub(super) fn remove(&mut self, place: Place) {
        let (count, used) = (self.len(), self.used());
        let inline = if place.len == LARGE { 0 } else { usize::from(place.len) };
        self.take_bytes(place);
        // The pairs behind it lie before it.
        let (first, own) = (self.pair_at(count - 1), self.pair_at(place.slot));
        self.block.copy_within(first..own, first + PAIR);
        self.set_head(count - 1, used - inline);
        self.tighten();
    }

    /// Puts an entry of `len` bytes, which `write` fills, in the place of one with the same key.
    pub(super) fn replace(&mut self, place: Place, len: usize, write: impl FnOnce(&mut [u8])) {
        if place.len != LARGE && usize::from(place.len) == len {
            return write(self.entry_mut(place));
        }
        let was_large = place.len == LARGE;
        if was_large && len > INLINE_MAX {
            let mut entry = vec![0; len].into_boxed_slice();
            write(&mut entry);
            if let Some(large) = self.large_entries_mut() {
                large[place.at] = entry;
            }
            return;
        }
        // All that is in the way of an entry that grows is the end of the block: the entries behind it make room.
        let old = if was_large { 0 } else { usize::from(place.len) };
        let new = if len > INLINE_MAX { 0 } else { len };
        if len > INLINE_MAX && self.kind == Kind::Plain {
            self.keep_large();
        }
        self.reserve(0, new.saturating_sub(old));
        let (count, used) = (self.len(), self.used());
        let (offset, rank) = self.before(place.slot);
        let from = self.head() + offset;
        let end = self.head() + used;
        self.block.copy_within(from + old..end, from + new);
        self.set_head(count, used + new - old);
        let pair = self.pair_at(place.slot);
        if let Some(large) = self.large_entries_mut().filter(|_| len > INLINE_MAX) {
            let mut entry = vec![0; len].into_boxed_slice();
            write(&mut entry);
            large.insert(rank, entry);
            self.block[pair + 1] = LARGE;
        } else {
            write(&mut self.block[from..from + new]);
            self.block[pair + 1] = len as u8;
        }
        if was_large {
            self.drop_large(rank);
        }
        self.tighten();
    }

    /// Bytes and large entries before a slot.
    fn before(&self, slot: usize) -> (usize, usize) {
        (0..slot).fold((0, 0), |(offset, rank), slot| match self.block[self.pair_at(slot) + 1] {
            LARGE => (offset, rank + 1),
            len => (offset + usize::from(len), rank),
        })
    }

    fn take_bytes(&mut self, place: Place) {
        if place.len == LARGE {
            self.drop_large(place.at);
            return;
        }
        let used = self.used();
        let head = self.head();
        let end = head + place.at + usize::from(place.len);
        self.block.copy_within(end..head + used, head + place.at);
    }

    fn drop_large(&mut self, rank: usize) {
        if let Some(large) = self.large_entries_mut() {
            large.remove(rank);
            if large.is_empty() {
                self.forget_large();
            } else if large.len() <= large.capacity() / 4 {
                large.shrink_to(2 * large.len());
            }
        }
    }

    /// Takes a smaller block when a third of this one or more is free.
    fn tighten(&mut self) {
        let (count, used) = (self.len(), self.used());
        if count == 0 {
            *self = Bucket::default();
            return;
        }
        let needed = self.head() + used + PAIR * count;
        if 3 * Thin::room(needed) <= 2 * self.block.len() {
            self.resize(needed);
        }
    }

    /// Takes a block of the class of so many bytes.
    fn resize(&mut self, needed: usize) {
        let (count, used) = (self.len(), self.used());
        assert!(u32::try_from(needed).is_ok(), "a bucket is below four gigabytes");
        let mut block = Thin::zeros(needed);
        if !self.block.is_empty() {
            let (pairs, end) = (PAIR * count, self.head() + used);
            let (from, to) = (self.block.len() - pairs, block.len() - pairs);
            block[..end].copy_from_slice(&self.block[..end]);
            block[to..].copy_from_slice(&self.block[from..]);
        }
        self.block = block;
    }

    /// Panics unless it is well formed; for tests.
    #[cfg(test)]
    pub(super) fn check(&self) {
        let bytes: usize =
            self.iter().filter(|place| place.len != LARGE).map(|place| usize::from(place.len)).sum();
        assert_eq!(bytes, self.used());
        assert_eq!(self.iter().filter(|place| place.len == LARGE).count(), self.large());
        for (slot, place) in self.iter().enumerate() {
            assert_eq!(self.place(slot), place);
        }
        assert_eq!(self.kind == Kind::WithLarge, self.large() > 0);
        assert_eq!(self.block.is_empty(), self.len() == 0);
    }
}

fn large_bytes(large: &Large) -> usize {
    block_size(size_of::<Vec<Box<[u8]>>>())
        + block_size(large.capacity() * size_of::<Box<[u8]>>())
        + large.iter().map(|entry| block_size(entry.len())).sum::<usize>()
}

impl Clone for Bucket {
    /// Owns as many bytes.
    fn clone(&self) -> Bucket {
        let mut block = self.block.clone();
        if let Some(large) = self.large_entries() {
            let mut copy = Vec::with_capacity(large.capacity());
            copy.extend(large.iter().cloned());
            let address = Box::into_raw(Box::new(copy)).expose_provenance();
            block[HEAD..HEAD + ADDRESS].copy_from_slice(&address.to_le_bytes());
        }
        Bucket { block, count: self.count, kind: self.kind }
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        if self.kind == Kind::WithLarge {
            self.forget_large();
        }
    }
}

/// What lies before a slot.
#[derive(Clone, Copy, Debug, Default)]
struct Before {
    bytes: usize,
    large: usize,
}

impl Before {
    /// The lengths of four more entries, one in each 16 bits; zeros where there are fewer.
    #[inline]
    fn and(self, lens: u64) -> Before {
        let all = sum_lanes(lens);
        if all < usize::from(LARGE) {
            return Before { bytes: self.bytes + all, large: self.large };
        }
        let large = zero_lanes(lens ^ LOW_BYTES).count_ones() as usize;
        Before { bytes: self.bytes + all - large * usize::from(LARGE), large: self.large + large }
    }

    #[inline]
    fn place(self, slot: usize, len: u8) -> Place {
        Place { slot, at: if len == LARGE { self.large } else { self.bytes }, len }
    }
}

/// The places of all entries.
pub(super) struct Entries<'a> {
    bucket: &'a Bucket,
    slot: usize,
    count: usize,
    before: Before,
}

impl Iterator for Entries<'_> {
    type Item = Place;

    #[inline]
    fn next(&mut self) -> Option<Place> {
        if self.slot == self.count {
            return None;
        }
        let len = self.bucket.block[self.bucket.pair_at(self.slot) + 1];
        let place = self.before.place(self.slot, len);
        match len {
            LARGE => self.before.large += 1,
            _ => self.before.bytes += usize::from(len),
        }
        self.slot += 1;
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An entry is its key, a zero and anything.
    struct Zero;

    impl Form for Zero {
        fn key(entry: &[u8]) -> &[u8] {
            &entry[..entry.iter().position(|byte| *byte == 0).expect("an entry has a zero")]
        }
    }

    fn entry(key: u8, len: usize) -> (Vec<u8>, Vec<u8>) {
        let key = vec![b'a' + key; 1 + usize::from(key) % 3];
        (key.clone(), [key, vec![0], vec![b'v'; len]].concat())
    }

    proptest! {
        #[test]
        fn a_bucket_agrees_with_a_list(
            steps in prop::collection::vec((0..4u8, 0..40u8, prop_oneof![0..30usize, 100..200usize, 300..400usize]), 1..200),
        ) {
            let mut bucket = Bucket::default();
            let mut model: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
            for (what, key, len) in steps {
                let (key, bytes) = entry(key, len);
                // Few fingerprints, so that they meet.
                let fingerprint = key.len() as u8;
                let at = model.iter().position(|(other, _)| *other == key);
                let found = bucket.find::<Zero>(fingerprint, &key);
                prop_assert_eq!(found.map(|place| bucket.entry(place).to_vec()), at.map(|at| model[at].1.clone()));
                match (what, found, at) {
                    (0, Some(place), Some(at)) => {
                        bucket.remove(place);
                        model.remove(at);
                    }
                    (_, Some(place), Some(at)) => {
                        bucket.replace(place, bytes.len(), |to| to.copy_from_slice(&bytes));
                        model[at].1 = bytes;
                    }
                    _ => {
                        bucket.push(fingerprint, bytes.len(), |to| to.copy_from_slice(&bytes));
                        model.push((key, bytes));
                    }
                }
                bucket.check();
                let all: Vec<Vec<u8>> = bucket.iter().map(|place| bucket.entry(place).to_vec()).collect();
                prop_assert_eq!(all, model.iter().map(|(_, bytes)| bytes.clone()).collect::<Vec<_>>());
                prop_assert_eq!(bucket.clone().owned_bytes(), bucket.owned_bytes());
            }
        }
    }
}
