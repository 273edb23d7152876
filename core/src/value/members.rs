//! Entries found by their keys, as many as there are: one bucket while they are few, else buckets that split one at a time.
//!
//! Many buckets are those of linear hashing (Litwin 1980): there is always one that is split next, whichever is full. So growing and
//! shrinking move the entries of one bucket or two, however many there are, and nothing is ever moved at once. A bucket's block has the
//! size of what is in it, and so bytes per entry do not move in waves. Buckets lie in pages, lest a long row of them is copied.
//!
//! A walk goes in the order of reversed hashes, in which a bucket is one stretch whatever its depth: a cursor is a place in that order, and
//! no entry is ever moved from behind it to before it.
//!
//! It knows keys, bytes and lower bounds of deadlines that it is told. It does not know what entries mean.

use std::marker::PhantomData;

use super::block::block_size;
use super::bucket::{Bucket, Entry, Form, Place, Shape};
use crate::random::Draws;
use crate::table::{Bound, Tournament};

/// Buckets in a page.
const PAGE: usize = 64;
/// What an entry weighs besides its bytes, so that neither bytes nor entries of a bucket become many.
const ENTRY_WEIGHT: usize = 16;
/// A long entry weighs as much as its place.
const LARGE_WEIGHT: usize = 32;
/// The average weight above which a bucket is split.
const WEIGHT_MAX: usize = 640;
/// The average weight below which two are merged.
const WEIGHT_MIN: usize = 400;
/// Bytes of entries in one bucket, whatever is configured.
const ONE_MAX: usize = 64 << 20;
/// Bits of a cursor.
const CURSOR_BITS: u32 = 48;

/// Seeds of the hashes of large values: the same for all of a shard, so that the same commands give the same order.
pub type Seeds = [u64; 4];

/// Entries of a form.
#[derive(Clone)]
pub(super) struct Members<F> {
    layout: Layout,
    form: PhantomData<F>,
}

#[derive(Clone)]
enum Layout {
    One(Bucket),
    Many(Box<Many>),
}

struct Many {
    pages: Vec<Vec<Bucket>>,
    buckets: usize,
    /// There are at least `1 << level` buckets, and fewer than twice as many.
    level: u32,
    len: usize,
    weight: usize,
    /// What the buckets' blocks take.
    block_bytes: usize,
    /// Entries in blocks of their own.
    large: usize,
    /// How many buckets have so many entries: whoever chooses at random must know the fullest.
    sizes: Vec<u32>,
    hasher: ahash::RandomState,
    /// Before which moment nothing in a bucket is due.
    bounds: Tournament,
}

/// Where an entry lies, as long as nothing is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    bucket: usize,
    place: Place,
}

impl<F> Default for Members<F> {
    fn default() -> Self {
        Members { layout: Layout::One(Bucket::default()), form: PhantomData }
    }
}

impl<F: Form> Members<F> {
    /// How many entries.
    #[inline]
    pub(super) fn len(&self) -> usize {
        match &self.layout {
            Layout::One(bucket) => bucket.len(),
            Layout::Many(many) => many.len,
        }
    }

    /// True while they lie in one bucket.
    #[inline]
    pub(super) fn is_one(&self) -> bool {
        matches!(self.layout, Layout::One(_))
    }

    /// True if one bucket has become longer than any should be, whatever is configured.
    pub(super) fn is_too_long_for_one(&self) -> bool {
        matches!(&self.layout, Layout::One(bucket) if bucket.used() > ONE_MAX)
    }

    /// Blocks to be freed.
    pub(super) fn blocks(&self) -> usize {
        match &self.layout {
            Layout::One(bucket) => 1 + bucket.large(),
            Layout::Many(many) => many.buckets + many.large,
        }
    }

    /// Bytes of memory that it owns besides itself.
    #[inline]
    pub(super) fn owned_bytes(&self) -> usize {
        match &self.layout {
            Layout::One(bucket) => bucket.owned_bytes(),
            Layout::Many(many) => many.owned_bytes(),
        }
    }

    /// Finds a key.
    #[inline]
    pub(super) fn find(&self, key: &[u8]) -> Option<Spot> {
        match &self.layout {
            Layout::One(bucket) => {
                bucket.find::<F>(small_fingerprint(key), key).map(|place| Spot { bucket: 0, place })
            }
            Layout::Many(many) => {
                let hash = many.hash(key);
                let n = many.address(hash);
                let bucket = many.bucket(n);
                bucket.prefetch();
                bucket.find::<F>(fingerprint(hash), key).map(|place| Spot { bucket: n, place })
            }
        }
    }

    /// The entry at a spot.
    #[inline]
    pub(super) fn entry(&self, spot: Spot) -> Entry<'_> {
        self.bucket(spot.bucket).entry(spot.place)
    }

    /// Adds an entry of a shape, which `write` fills, and whose key is not there.
    #[inline]
    pub(super) fn add(&mut self, key: &[u8], shape: Shape, write: impl FnOnce(&mut [u8])) {
        match &mut self.layout {
            Layout::One(bucket) => bucket.push(small_fingerprint(key), shape, write),
            Layout::Many(many) => {
                let hash = many.hash(key);
                many.edit(many.address(hash), |bucket| bucket.push(fingerprint(hash), shape, write));
                many.grow::<F>();
            }
        }
    }

    /// Puts an entry of a shape, which `write` fills, in the place of one with the same key.
    pub(super) fn replace(&mut self, spot: Spot, shape: Shape, write: impl FnOnce(&mut [u8])) {
        match &mut self.layout {
            Layout::One(bucket) => bucket.replace(spot.place, shape, write),
            Layout::Many(many) => {
                many.edit(spot.bucket, |bucket| bucket.replace(spot.place, shape, write));
                many.grow::<F>();
                many.shrink();
            }
        }
    }

    /// Removes an entry.
    pub(super) fn remove(&mut self, spot: Spot) {
        match &mut self.layout {
            Layout::One(bucket) => bucket.remove(spot.place),
            Layout::Many(many) => {
                many.edit(spot.bucket, |bucket| bucket.remove(spot.place));
                many.shrink();
            }
        }
    }

    /// Becomes many buckets, for good; the bounds of deadlines are to be told anew.
    pub(super) fn become_many(&mut self, seeds: Seeds) {
        let Layout::One(bucket) = &mut self.layout else { return };
        let bucket = std::mem::take(bucket);
        let [a, b, c, d] = seeds;
        let mut many = Box::new(Many {
            pages: vec![Vec::with_capacity(1)],
            buckets: 1,
            level: 0,
            len: 0,
            weight: 0,
            block_bytes: 0,
            large: 0,
            sizes: vec![1],
            hasher: ahash::RandomState::with_seeds(a, b, c, d),
            bounds: Tournament::default(),
        });
        many.pages[0].push(Bucket::default());
        for place in bucket.iter() {
            let entry = bucket.entry(place);
            let hash = F::with_key(entry, |key| many.hash(key));
            many.edit(many.address(hash), |bucket| {
                bucket.push(fingerprint(hash), entry.shape(), |to| to.copy_from_slice(entry.bytes));
            });
            many.grow::<F>();
        }
        self.layout = Layout::Many(many);
    }

    /// All entries.
    pub(super) fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        (0..self.buckets()).flat_map(move |n| self.entries(n))
    }

    /// The entries of one bucket.
    pub(super) fn entries(&self, n: usize) -> impl Iterator<Item = Entry<'_>> {
        let bucket = self.bucket(n);
        bucket.iter().map(|place| bucket.entry(place))
    }

    /// How many buckets there are.
    #[inline]
    pub(super) fn buckets(&self) -> usize {
        match &self.layout {
            Layout::One(_) => 1,
            Layout::Many(many) => many.buckets,
        }
    }

    #[inline]
    fn bucket(&self, n: usize) -> &Bucket {
        match &self.layout {
            Layout::One(bucket) => bucket,
            Layout::Many(many) => many.bucket(n),
        }
    }

    /// The entries of one bucket, each with its spot.
    pub(super) fn spots(&self, n: usize) -> impl Iterator<Item = Spot> {
        self.bucket(n).iter().map(move |place| Spot { bucket: n, place })
    }

    /// Any entry, each as likely as the others; `None` if there is none. The numbers tell it from every other.
    pub(super) fn random(&self, random: &mut Draws) -> Option<(Spot, (usize, usize))> {
        match &self.layout {
            Layout::One(bucket) if bucket.len() == 0 => None,
            Layout::One(bucket) => {
                let slot = random.below(bucket.len() as u64) as usize;
                Some((Spot { bucket: 0, place: bucket.place(slot) }, (0, slot)))
            }
            Layout::Many(many) if many.len == 0 => None,
            Layout::Many(many) => loop {
                // A draw that falls beyond what is in the bucket counts for nothing: so each entry has the same chance.
                let n = random.below(many.buckets as u64) as usize;
                let slot = random.below(many.sizes.len() as u64 - 1) as usize;
                let bucket = many.bucket(n);
                if slot < bucket.len() {
                    return Some((Spot { bucket: n, place: bucket.place(slot) }, (n, slot)));
                }
            },
        }
    }

    /// Visits the entries of the bucket at which a walk stands; where it stands then, 0 at the end. One bucket is visited at once.
    pub(super) fn scan(&self, cursor: u64, emit: &mut dyn FnMut(Entry<'_>)) -> u64 {
        let (n, next) = match &self.layout {
            Layout::One(_) => (0, 0),
            Layout::Many(many) => many.stretch(cursor),
        };
        let bucket = self.bucket(n);
        bucket.iter().for_each(|place| emit(bucket.entry(place)));
        next
    }

    /// Frees about `steps` blocks; how many steps that took. It is then fit for nothing but to be freed.
    pub(super) fn free_some(&mut self, steps: usize) -> usize {
        let Layout::Many(many) = &mut self.layout else {
            self.layout = Layout::One(Bucket::default());
            return 1;
        };
        let mut taken = 0;
        while taken < steps
            && let Some(page) = many.pages.last_mut()
        {
            let Some(bucket) = page.pop() else {
                many.pages.pop();
                taken += 1;
                continue;
            };
            taken += 1 + bucket.large();
            many.buckets -= 1;
            many.len -= bucket.len();
            many.large -= bucket.large();
            many.block_bytes -= bucket.owned_bytes();
        }
        if many.pages.is_empty() {
            self.layout = Layout::One(Bucket::default());
        }
        taken
    }

    /// Where the entry at a spot lies, something is due at this moment or later.
    pub(super) fn note_bound(&mut self, spot: Spot, bound: Bound) {
        if let Layout::Many(many) = &mut self.layout
            && bound < many.bounds.get(spot.bucket)
        {
            many.bounds.set(spot.bucket, bound);
        }
    }

    /// The lowest bound of all buckets; `None` of one bucket, which has none.
    pub(super) fn lowest_bound(&self) -> Option<Bound> {
        match &self.layout {
            Layout::One(_) => None,
            Layout::Many(many) => Some(many.bounds.lowest()),
        }
    }

    /// The first bucket from `from` on in which something may be due.
    pub(super) fn first_due(&self, from: usize, now: Bound) -> Option<usize> {
        match &self.layout {
            Layout::One(_) => (from == 0).then_some(0),
            Layout::Many(many) => many.bounds.first_due(from, now).filter(|n| *n < many.buckets),
        }
    }

    /// Before this moment nothing in a bucket is due.
    pub(super) fn set_bound(&mut self, n: usize, bound: Bound) {
        if let Layout::Many(many) = &mut self.layout {
            many.bounds.set(n, bound);
        }
    }

    /// Panics unless it is well formed; for tests.
    #[cfg(test)]
    pub(super) fn check(&self) {
        let Layout::Many(many) = &self.layout else { return self.bucket(0).check() };
        let (mut len, mut weight, mut bytes, mut large, mut fullest) = (0, 0, 0, 0, 0);
        for n in 0..many.buckets {
            let bucket = many.bucket(n);
            bucket.check();
            for (slot, place) in bucket.iter().enumerate() {
                let hash = F::with_key(bucket.entry(place), |key| many.hash(key));
                assert_eq!((many.address(hash), fingerprint(hash)), (n, bucket.fingerprint(slot)));
            }
            len += bucket.len();
            weight += weight_of(bucket);
            bytes += bucket.owned_bytes();
            large += bucket.large();
            fullest = fullest.max(bucket.len());
        }
        assert_eq!((many.len, many.weight, many.block_bytes, many.large), (len, weight, bytes, large));
        assert_eq!(many.sizes.len(), fullest + 1);
        assert_eq!(many.sizes.iter().sum::<u32>() as usize, many.buckets);
        assert!(1 << many.level <= many.buckets && many.buckets < 2 << many.level);
    }
}

/// One bucket is found by a cheap sum: who could choose its keys to make it slow could as well make it large.
#[inline]
fn small_fingerprint(key: &[u8]) -> u8 {
    let last = key.last().copied().unwrap_or(0);
    let middle = key.get(key.len() / 2).copied().unwrap_or(0);
    let before = key.len().checked_sub(2).and_then(|at| key.get(at)).copied().unwrap_or(0);
    let mixed = u32::from(last) | u32::from(before) << 8 | u32::from(middle) << 16 | (key.len() as u32) << 24;
    (mixed.wrapping_mul(0x9e37_79b1) >> 24) as u8
}

/// Bits that no address uses.
#[inline]
fn fingerprint(hash: u64) -> u8 {
    (hash >> 56) as u8
}

#[inline]
fn weight_of(bucket: &Bucket) -> usize {
    bucket.used() + ENTRY_WEIGHT * bucket.len() + LARGE_WEIGHT * bucket.large()
}

impl Many {
    fn owned_bytes(&self) -> usize {
        // All pages have room for as many buckets, but the first before it is full.
        let first = self.pages.first().map_or(0, Vec::capacity);
        let pages = self.pages.len().saturating_sub(1) * block_size(PAGE * size_of::<Bucket>());
        block_size(size_of::<Many>())
            + block_size(self.pages.capacity() * size_of::<Vec<Bucket>>())
            + block_size(first * size_of::<Bucket>())
            + pages
            + self.block_bytes
            + block_size(self.sizes.capacity() * size_of::<u32>())
            + block_size(self.bounds.allocated_bytes())
    }

    #[inline]
    fn hash(&self, key: &[u8]) -> u64 {
        use std::hash::{BuildHasher, Hasher};
        let mut hasher = self.hasher.build_hasher();
        hasher.write(key);
        hasher.finish()
    }

    /// The bucket of a hash.
    #[inline]
    fn address(&self, hash: u64) -> usize {
        let low = hash as usize;
        let deep = low & ((2 << self.level) - 1);
        if deep < self.buckets { deep } else { low & ((1 << self.level) - 1) }
    }

    #[inline]
    fn bucket(&self, n: usize) -> &Bucket {
        &self.pages[n / PAGE][n % PAGE]
    }

    #[inline]
    fn bucket_mut(&mut self, n: usize) -> &mut Bucket {
        &mut self.pages[n / PAGE][n % PAGE]
    }

    /// Changes a bucket; the accounts follow.
    #[inline]
    fn edit(&mut self, n: usize, change: impl FnOnce(&mut Bucket)) {
        let bucket = &mut self.pages[n / PAGE][n % PAGE];
        let before = (bucket.len(), weight_of(bucket), bucket.owned_bytes(), bucket.large());
        change(bucket);
        let after = (bucket.len(), weight_of(bucket), bucket.owned_bytes(), bucket.large());
        self.len = self.len + after.0 - before.0;
        self.weight = self.weight + after.1 - before.1;
        self.block_bytes = self.block_bytes + after.2 - before.2;
        self.large = self.large + after.3 - before.3;
        if before.0 != after.0 {
            self.count_out(before.0);
            self.count_in(after.0);
        }
    }

    #[inline]
    fn count_in(&mut self, len: usize) {
        if len >= self.sizes.len() {
            self.sizes.resize(len + 1, 0);
        }
        self.sizes[len] += 1;
    }

    #[inline]
    fn count_out(&mut self, len: usize) {
        self.sizes[len] -= 1;
        while self.sizes.len() > 1 && self.sizes.last() == Some(&0) {
            self.sizes.pop();
        }
    }

    /// Takes a bucket's content out.
    fn take(&mut self, n: usize) -> Bucket {
        let bucket = std::mem::take(self.bucket_mut(n));
        self.len -= bucket.len();
        self.weight -= weight_of(&bucket);
        self.block_bytes -= bucket.owned_bytes();
        self.large -= bucket.large();
        self.count_out(bucket.len());
        bucket
    }

    /// Puts content in where a bucket was emptied.
    fn put(&mut self, n: usize, bucket: Bucket) {
        self.len += bucket.len();
        self.weight += weight_of(&bucket);
        self.block_bytes += bucket.owned_bytes();
        self.large += bucket.large();
        self.count_in(bucket.len());
        *self.bucket_mut(n) = bucket;
    }

    /// Splits one bucket, or two, if all together weigh too much.
    #[inline]
    fn grow<F: Form>(&mut self) {
        // Twice, since one long entry weighs as much as several buckets' share.
        for _ in 0..2 {
            if self.weight > WEIGHT_MAX * self.buckets {
                self.split::<F>();
            }
        }
    }

    fn split<F: Form>(&mut self) {
        let (from, to, bit) = (self.buckets - (1 << self.level), self.buckets, 1u64 << self.level);
        let bucket = self.take(from);
        let goes = |place| F::with_key(bucket.entry(place), |key| self.hash(key)) & bit != 0;
        let goes: Vec<bool> = bucket.iter().map(goes).collect();
        let (mut stay, mut go) = ((0, 0), (0, 0));
        for (place, goes) in bucket.iter().zip(&goes) {
            let part = if *goes { &mut go } else { &mut stay };
            *part = (part.0 + 1, part.1 + bucket.entry(place).shape().inline_len());
        }
        let mut parts = [Bucket::default(), Bucket::default()];
        for (part, (entries, bytes)) in parts.iter_mut().zip([stay, go]) {
            if entries > 0 {
                part.reserve(entries, bytes);
            }
        }
        for (slot, (place, goes)) in bucket.iter().zip(&goes).enumerate() {
            let entry = bucket.entry(place);
            let write = |to: &mut [u8]| to.copy_from_slice(entry.bytes);
            parts[usize::from(*goes)].push(bucket.fingerprint(slot), entry.shape(), write);
        }
        self.open_bucket();
        let [stay, go] = parts;
        self.put(from, stay);
        self.put(to, go);
        // Of both it is known only what was known of the one.
        let bound = self.bounds.get(from);
        self.bounds.set(to, bound);
    }

    /// One more bucket at the end, to be filled by `put`.
    fn open_bucket(&mut self) {
        let n = self.buckets;
        if n.is_multiple_of(PAGE) {
            self.pages.push(Vec::with_capacity(PAGE));
        } else if n < PAGE {
            // A small value does not pay for a whole page.
            let page = &mut self.pages[0];
            if page.len() == page.capacity() {
                page.reserve_exact(page.len().min(PAGE - page.len()));
            }
        }
        self.pages[n / PAGE].push(Bucket::default());
        self.buckets += 1;
        if self.buckets == 2 << self.level {
            self.level += 1;
        }
    }

    /// Merges the last bucket, or two, with those that they were split from, if all together weigh little.
    #[inline]
    fn shrink(&mut self) {
        for _ in 0..2 {
            if self.buckets > 1 && self.weight < WEIGHT_MIN * (self.buckets - 1) {
                self.merge();
            }
        }
    }

    fn merge(&mut self) {
        let last = self.buckets - 1;
        let bound = self.bounds.get(last);
        let bucket = self.take(last);
        self.bounds.set(last, Bound::NEVER);
        self.pages[last / PAGE].pop();
        if self.pages[last / PAGE].is_empty() {
            self.pages.pop();
            // A quarter, so that it does not shrink and grow by turns.
            if self.pages.len() <= self.pages.capacity() / 4 {
                self.pages.shrink_to(2 * self.pages.len());
            }
        }
        self.buckets = last;
        if self.buckets < 1 << self.level {
            self.level -= 1;
        }
        let into = last - (1 << self.level);
        let bytes = bucket.used();
        self.edit(into, |target| {
            if bucket.len() > 0 {
                target.reserve(bucket.len(), bytes);
            }
            for (slot, place) in bucket.iter().enumerate() {
                let entry = bucket.entry(place);
                let write = |to: &mut [u8]| to.copy_from_slice(entry.bytes);
                target.push(bucket.fingerprint(slot), entry.shape(), write);
            }
        });
        if bound < self.bounds.get(into) {
            self.bounds.set(into, bound);
        }
    }

    /// The bucket at which a walk stands, and where it stands behind it.
    fn stretch(&self, cursor: u64) -> (usize, u64) {
        let position = cursor << (u64::BITS - CURSOR_BITS);
        let n = self.address(position.reverse_bits());
        let is_deep = n >= 1 << self.level || n + (1 << self.level) < self.buckets;
        let depth = self.level + u32::from(is_deep);
        let begin = if n == 0 { 0 } else { (n as u64).reverse_bits() };
        let len = 1u64.checked_shl(u64::BITS - depth).unwrap_or(0);
        (n, begin.wrapping_add(len) >> (u64::BITS - CURSOR_BITS))
    }
}

impl Clone for Many {
    /// Owns as many bytes.
    fn clone(&self) -> Many {
        let mut pages = Vec::with_capacity(self.pages.capacity());
        for page in &self.pages {
            let mut copy = Vec::with_capacity(page.capacity());
            copy.extend(page.iter().cloned());
            pages.push(copy);
        }
        let mut sizes = Vec::with_capacity(self.sizes.capacity());
        sizes.extend_from_slice(&self.sizes);
        let (buckets, level, len, weight) = (self.buckets, self.level, self.len, self.weight);
        let (block_bytes, large) = (self.block_bytes, self.large);
        let (hasher, bounds) = (self.hasher.clone(), self.bounds.clone());
        Many { pages, buckets, level, len, weight, block_bytes, large, sizes, hasher, bounds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    /// An entry begins with its key of four bytes.
    #[derive(Clone)]
    struct Four;

    impl Form for Four {
        fn has_key(entry: Entry<'_>, key: &[u8]) -> bool {
            entry.bytes[..4] == *key
        }

        fn with_key<R>(entry: Entry<'_>, use_it: impl FnOnce(&[u8]) -> R) -> R {
            use_it(&entry.bytes[..4])
        }
    }

    fn add(members: &mut Members<Four>, number: u32, len: usize) {
        let key = number.to_le_bytes();
        let write = |to: &mut [u8]| to[..4].copy_from_slice(&key);
        // What a mark says is nobody's business here; some have one.
        let shape = if len % 3 == 1 && len < 10 { Shape::marked(2, 4 + len) } else { Shape::plain(4 + len) };
        match members.find(&key) {
            Some(spot) => members.replace(spot, shape, write),
            None => members.add(&key, shape, write),
        }
    }

    fn drop_one(members: &mut Members<Four>, number: u32) -> bool {
        let spot = members.find(&number.to_le_bytes());
        spot.inspect(|spot| members.remove(*spot)).is_some()
    }

    fn number(entry: Entry<'_>) -> u32 {
        u32::from_le_bytes(*entry.bytes.first_chunk().expect("a key has four bytes"))
    }

    proptest! {
        #[test]
        fn members_agree_with_a_model(
            steps in prop::collection::vec((0..6u8, 0..300u32, prop_oneof![0..20usize, 100..300usize]), 1..300),
            at in 0..200usize,
        ) {
            let (mut members, mut model) = (Members::<Four>::default(), BTreeMap::new());
            for (n, (what, key, len)) in steps.into_iter().enumerate() {
                match what {
                    0 | 1 => prop_assert_eq!(drop_one(&mut members, key), model.remove(&key).is_some()),
                    2 => for key in key..key + 50 {
                        add(&mut members, key, len);
                        model.insert(key, len);
                    },
                    3 => for key in key..key + 40 {
                        prop_assert_eq!(drop_one(&mut members, key), model.remove(&key).is_some());
                    },
                    _ => {
                        add(&mut members, key, len);
                        model.insert(key, len);
                    }
                }
                if n == at {
                    members.become_many([1, 2, 3, 4]);
                }
                if n % 16 == 0 {
                    members.check();
                    prop_assert_eq!(members.clone().owned_bytes(), members.owned_bytes());
                }
                prop_assert_eq!(members.len(), model.len());
            }
            members.check();
            let found: BTreeMap<u32, usize> = members.iter().map(|entry| (number(entry), entry.bytes.len() - 4)).collect();
            prop_assert_eq!(found, model);
        }

        #[test]
        fn a_walk_meets_what_is_there_all_the_time(grows: bool, count in 1..3_000u32, changes in 1..200u32) {
            let mut members = Members::<Four>::default();
            (0..count).for_each(|key| add(&mut members, key, 0));
            members.become_many([1, 2, 3, 4]);
            if !grows {
                (count..count + 10_000).for_each(|key| add(&mut members, key, 0));
            }
            let (mut met, mut cursor, mut calls) = (BTreeSet::new(), 0, 0);
            loop {
                cursor = members.scan(cursor, &mut |entry| { met.insert(number(entry)); });
                assert!(cursor < 1 << CURSOR_BITS);
                calls += 1;
                if cursor == 0 { break; }
                for key in calls * changes..(calls + 1) * changes {
                    if grows && calls < 50 { add(&mut members, count + key, 0) } else { drop_one(&mut members, count + key); }
                }
            }
            prop_assert!((0..count).all(|key| met.contains(&key)), "{} calls", calls);
        }
    }

    #[test]
    fn any_entry_is_as_likely_as_the_others() {
        let mut members = Members::<Four>::default();
        (0..2_000).for_each(|key| add(&mut members, key, 0));
        members.become_many([1, 2, 3, 4]);
        let (mut random, mut drawn) = (crate::random::Random::new([7; 32]).draws(), vec![0u32; 2_000]);
        for _ in 0..200_000 {
            let (spot, _) = members.random(&mut random).expect("there are some");
            drawn[number(members.entry(spot)) as usize] += 1;
        }
        // A hundred on average: five deviations of ten and a little.
        assert!(drawn.iter().all(|drawn| (45..160).contains(drawn)), "{:?}", drawn.iter().minmax());
    }

    trait MinMax {
        fn minmax(self) -> (u32, u32);
    }

    impl<'a, I: Iterator<Item = &'a u32> + Clone> MinMax for I {
        fn minmax(self) -> (u32, u32) {
            (self.clone().copied().min().unwrap_or(0), self.copied().max().unwrap_or(0))
        }
    }

    #[test]
    fn it_grows_and_shrinks_bucket_by_bucket_and_is_freed_in_steps() {
        let mut members = Members::<Four>::default();
        members.become_many([1, 2, 3, 4]);
        let mut most = 0;
        for key in 0..50_000 {
            let before = members.buckets();
            add(&mut members, key, 8);
            most = most.max(members.buckets() - before);
        }
        assert_eq!(most, 1, "one insertion splits no more than one bucket of such entries");
        let per_entry = members.owned_bytes() as f64 / 50_000.0;
        assert!(per_entry < 12.0 + 8.0, "{per_entry}");
        for key in 0..49_000 {
            drop_one(&mut members, key);
        }
        let per_entry = members.owned_bytes() as f64 / 1_000.0;
        assert!(per_entry < 12.0 + 14.0, "{per_entry}");
        members.check();
        let mut calls = 0;
        while members.len() > 0 {
            assert!(members.free_some(5) <= 6);
            calls += 1;
        }
        assert!(calls > 5, "{calls}");
        members.free_some(1_000);
        assert_eq!(members.owned_bytes(), 0);
    }
}
