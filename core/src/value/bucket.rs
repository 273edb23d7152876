//! A bucket: the entries of a few keys in one block of memory, found by fingerprints that are compared eight at a time.
//!
//! ```text
//! bytes of entries 4 | [list of large entries 8] | entries, one behind the other, in the order in which they came | free | pairs, the first one last
//! pair: fingerprint 1 | shape of its entry 1
//! shape: 0..=160 bytes | 11mmllll: mark m + 1, l bytes | 11000000: the entry lies in a block of its own
//! ```
//!
//! A small hash or set is one bucket, a large one is many. It knows bytes and fingerprints. It does not know what an entry means, nor its mark;
//! the key in it a [`Form`] tells.

use super::block::block_size;
use super::thin::Thin;

/// How entries are made.
pub trait Form {
    /// True if the entry has this key, by which it is found.
    fn has_key(entry: Entry<'_>, key: &[u8]) -> bool;
    /// Calls `use_it` with the entry's key.
    fn with_key<R>(entry: Entry<'_>, use_it: impl FnOnce(&[u8]) -> R) -> R;
}

/// An entry as it lies there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry<'a> {
    /// What its form wants to know besides the bytes; not zero only where these are few.
    pub(super) mark: u8,
    /// The entry.
    pub(super) bytes: &'a [u8],
}

/// How long an entry is, and its mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    mark: u8,
    len: usize,
}

impl Shape {
    /// Of an entry without a mark.
    #[inline]
    pub(super) fn plain(len: usize) -> Shape {
        Shape { mark: 0, len }
    }

    /// Of an entry with a mark from 1 to [`MARK_MAX`], and 1 to [`MARKED_MAX`] bytes.
    #[inline]
    pub(super) fn marked(mark: u8, len: usize) -> Shape {
        assert!((1..=MARK_MAX).contains(&mark) && (1..=MARKED_MAX).contains(&len), "there is a code for it");
        Shape { mark, len }
    }

    #[inline]
    fn code(self) -> u8 {
        match self.mark {
            0 if self.len > INLINE_MAX => LARGE,
            0 => self.len as u8,
            mark => MARKED | (mark - 1) << 4 | self.len as u8,
        }
    }

    #[inline]
    fn is_large(self) -> bool {
        self.len > INLINE_MAX
    }

    /// Bytes that it takes in the bucket's own block.
    #[inline]
    pub(super) fn inline_len(self) -> usize {
        if self.is_large() { 0 } else { self.len }
    }
}

impl Entry<'_> {
    #[inline]
    pub(super) fn shape(&self) -> Shape {
        Shape { mark: self.mark, len: self.bytes.len() }
    }
}

/// How many bytes of the bucket's own block an entry takes.
#[inline]
fn len_of(code: u8) -> usize {
    usize::from(if code < MARKED { code } else { code & MARKED_MAX as u8 })
}

/// The number of bytes.
const HEAD: usize = 4;
/// The address of the list of large entries, if there are any.
const ADDRESS: usize = 8;
const PAIR: usize = 2;
/// Pairs that are looked at together, and their bytes.
const GROUP: usize = 8;
const GROUP_BYTES: usize = GROUP * PAIR;
/// From this code on an entry is marked.
const MARKED: u8 = 0xc0;
/// The code of a marked one without bytes: an entry in a block of its own takes none of this one.
const LARGE: u8 = MARKED;
/// The highest mark.
pub(super) const MARK_MAX: u8 = 4;
/// The most bytes of a marked entry.
pub(super) const MARKED_MAX: usize = 15;
/// A longer entry lies in a block of its own, so that a bucket stays small.
const INLINE_MAX: usize = 160;

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
    /// Its shape.
    code: u8,
}

/// The bytes of each 16-bit lane, and a one in each.
const LOW_BYTES: u64 = 0x00ff_00ff_00ff_00ff;
const ONES: u64 = 0x0001_0001_0001_0001;

/// A bit at the top of the low byte's left neighbour for each of four lanes that are zero; lanes are below 256.
#[inline]
fn zero_lanes(lanes: u64) -> u64 {
    ((ONES << 8) - lanes) & (ONES << 8)
}

/// [`len_of`] of four lanes.
#[inline]
fn len_lanes(codes: u64) -> u64 {
    let marked = codes & codes >> 1 & (ONES << 6);
    codes & !((marked >> 2) * 15)
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

    /// Brings entries and pairs towards the cache.
    #[inline]
    pub(super) fn prefetch(&self) {
        self.block.prefetch();
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

    /// Pairs from `8 * group` on: in each 16 bits, from the lowest, a fingerprint above a shape. Beyond the last pair stands anything.
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
                let codes = half & LOW_BYTES;
                let mut equal = zero_lanes((half >> 8 & LOW_BYTES) ^ wanted);
                while equal != 0 {
                    let lane = equal.trailing_zeros() / 16;
                    equal &= equal - 1;
                    let slot = first + lane as usize;
                    if slot >= count {
                        break;
                    }
                    let lower = codes & ((1 << (16 * lane)) - 1);
                    let place = before.and(lower).place(slot, (half >> (16 * lane)) as u8);
                    if F::has_key(self.entry(place), key) {
                        return Some(place);
                    }
                }
                before = before.and(codes);
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
                let (first, codes) = (group * GROUP + 4 * n, half & LOW_BYTES);
                if slot < first + 4 {
                    let lane = (slot - first) as u32;
                    let lower = codes & ((1 << (16 * lane)) - 1);
                    return before.and(lower).place(slot, (half >> (16 * lane)) as u8);
                }
                before = before.and(codes);
            }
        }
        unreachable!("a slot lies in one of the groups up to its own")
    }

    /// The entry at a place.
    #[inline]
    pub(super) fn entry(&self, place: Place) -> Entry<'_> {
        if place.code == LARGE
            && let Some(large) = self.large_entries()
        {
            return Entry { mark: 0, bytes: &large[place.at] };
        }
        let at = self.head() + place.at;
        let mark = if place.code < MARKED { 0 } else { (place.code >> 4 & 3) + 1 };
        Entry { mark, bytes: &self.block[at..at + len_of(place.code)] }
    }

    /// The same, to be changed without changing its shape.
    fn entry_mut(&mut self, place: Place) -> &mut [u8] {
        assert!(place.code != LARGE, "a large entry is not changed where it lies");
        let at = self.head() + place.at;
        &mut self.block[at..at + len_of(place.code)]
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

    /// Adds an entry of a shape, which `write` fills. Its key is not there.
    #[inline]
    pub(super) fn push(&mut self, fingerprint: u8, shape: Shape, write: impl FnOnce(&mut [u8])) {
        let (len, inline) = (shape.len, shape.inline_len());
        if shape.is_large() && self.kind == Kind::Plain {
            self.keep_large();
        }
        self.reserve(1, inline);
        let (count, used) = (self.len(), self.used());
        if let Some(large) = self.large_entries_mut().filter(|_| shape.is_large()) {
            let mut entry = vec![0; len].into_boxed_slice();
            write(&mut entry);
            large.push(entry);
        } else {
            let at = self.head() + used;
            write(&mut self.block[at..at + len]);
        }
        let at = self.pair_at(count);
        self.block[at] = fingerprint;
        self.block[at + 1] = shape.code();
        self.set_head(count + 1, used + inline);
    }

    /// Removes an entry; those behind it move up.
    pub(super) fn remove(&mut self, place: Place) {
        let (count, used) = (self.len(), self.used());
        self.take_bytes(place);
        // The pairs behind it lie before it.
        let (first, own) = (self.pair_at(count - 1), self.pair_at(place.slot));
        self.block.copy_within(first..own, first + PAIR);
        self.set_head(count - 1, used - len_of(place.code));
        self.tighten();
    }

    /// Puts an entry of a shape, which `write` fills, in the place of one with the same key.
    pub(super) fn replace(&mut self, place: Place, shape: Shape, write: impl FnOnce(&mut [u8])) {
        let (len, code) = (shape.len, shape.code());
        let was_large = place.code == LARGE;
        if !was_large && place.code == code {
            return write(self.entry_mut(place));
        }
        if was_large && shape.is_large() {
            let mut entry = vec![0; len].into_boxed_slice();
            write(&mut entry);
            if let Some(large) = self.large_entries_mut() {
                large[place.at] = entry;
            }
            return;
        }
        // All that is in the way of an entry that grows is the end of the block: the entries behind it make room.
        let (old, new) = (len_of(place.code), shape.inline_len());
        if shape.is_large() && self.kind == Kind::Plain {
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
        self.block[pair + 1] = code;
        if let Some(large) = self.large_entries_mut().filter(|_| shape.is_large()) {
            let mut entry = vec![0; len].into_boxed_slice();
            write(&mut entry);
            large.insert(rank, entry);
        } else {
            write(&mut self.block[from..from + new]);
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
            code => (offset + len_of(code), rank),
        })
    }

    fn take_bytes(&mut self, place: Place) {
        if place.code == LARGE {
            self.drop_large(place.at);
            return;
        }
        let used = self.used();
        let head = self.head();
        let end = head + place.at + len_of(place.code);
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
        let bytes: usize = self.iter().map(|place| self.entry(place).shape().inline_len()).sum();
        assert_eq!(bytes, self.used());
        assert_eq!(self.iter().filter(|place| place.code == LARGE).count(), self.large());
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
    /// The shapes of four more entries, one in each 16 bits; zeros where there are fewer.
    #[inline]
    fn and(self, codes: u64) -> Before {
        let large = sum_lanes(zero_lanes(codes ^ (u64::from(LARGE) * ONES)) >> 8);
        Before { bytes: self.bytes + sum_lanes(len_lanes(codes)), large: self.large + large }
    }

    #[inline]
    fn place(self, slot: usize, code: u8) -> Place {
        Place { slot, at: if code == LARGE { self.large } else { self.bytes }, code }
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
        let code = self.bucket.block[self.bucket.pair_at(self.slot) + 1];
        let place = self.before.place(self.slot, code);
        self.before.bytes += len_of(code);
        self.before.large += usize::from(code == LARGE);
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

    impl Zero {
        fn key<'a>(entry: &Entry<'a>) -> &'a [u8] {
            let len = entry.bytes.iter().position(|byte| *byte == 0).expect("an entry has a zero");
            &entry.bytes[..len]
        }
    }

    impl Form for Zero {
        fn has_key(entry: Entry<'_>, key: &[u8]) -> bool {
            Zero::key(&entry) == key
        }

        fn with_key<R>(entry: Entry<'_>, use_it: impl FnOnce(&[u8]) -> R) -> R {
            use_it(Zero::key(&entry))
        }
    }

    fn entry(key: u8, len: usize) -> (Vec<u8>, Vec<u8>) {
        let key = vec![b'a' + key; 1 + usize::from(key) % 3];
        (key.clone(), [key, vec![0], vec![b'v'; len]].concat())
    }

    /// Short ones are marked, if it is so wished.
    fn shape(mark: u8, bytes: &[u8]) -> Shape {
        match mark {
            1..=MARK_MAX if bytes.len() <= MARKED_MAX => Shape::marked(mark, bytes.len()),
            _ => Shape::plain(bytes.len()),
        }
    }

    #[test]
    fn lanes_hold_what_codes_say() {
        for code in 0..=255u8 {
            let lanes = u64::from(code) | 0x00ff_0000_00c0_0000;
            assert_eq!(len_lanes(lanes), len_of(code) as u64 | 0x000f_0000_0000_0000, "{code}");
            let before = Before::default().and(lanes);
            assert_eq!((before.bytes, before.large), (len_of(code) + 15, 1 + usize::from(code == LARGE)));
        }
    }

    proptest! {
        #[test]
        fn a_bucket_agrees_with_a_list(
            steps in prop::collection::vec(
                (0..4u8, 0..40u8, prop_oneof![0..30usize, 100..200usize, 300..400usize], 0..=MARK_MAX), 1..200),
        ) {
            let mut bucket = Bucket::default();
            let mut model: Vec<(Vec<u8>, Shape, Vec<u8>)> = Vec::new();
            for (what, key, len, mark) in steps {
                let (key, bytes) = entry(key, len);
                let shape = shape(mark, &bytes);
                // Few fingerprints, so that they meet.
                let fingerprint = key.len() as u8;
                let at = model.iter().position(|(other, _, _)| *other == key);
                let found = bucket.find::<Zero>(fingerprint, &key);
                let read = |place| {
                    let entry = bucket.entry(place);
                    (entry.shape(), entry.bytes.to_vec())
                };
                prop_assert_eq!(found.map(read), at.map(|at| (model[at].1, model[at].2.clone())));
                match (what, found, at) {
                    (0, Some(place), Some(at)) => {
                        bucket.remove(place);
                        model.remove(at);
                    }
                    (_, Some(place), Some(at)) => {
                        bucket.replace(place, shape, |to| to.copy_from_slice(&bytes));
                        (model[at].1, model[at].2) = (shape, bytes);
                    }
                    _ => {
                        bucket.push(fingerprint, shape, |to| to.copy_from_slice(&bytes));
                        model.push((key, shape, bytes));
                    }
                }
                bucket.check();
                let all: Vec<(Shape, Vec<u8>)> =
                    bucket.iter().map(|place| (bucket.entry(place).shape(), bucket.entry(place).bytes.to_vec())).collect();
                prop_assert_eq!(all, model.iter().map(|(_, shape, bytes)| (*shape, bytes.clone())).collect::<Vec<_>>());
                prop_assert_eq!(bucket.clone().owned_bytes(), bucket.owned_bytes());
            }
        }
    }
}
