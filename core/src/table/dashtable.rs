//! The table: a directory, its segments, and when they split and merge.
//!
//! It knows segments as a whole. It does not know buckets, slots or fingerprints.

use smallvec::SmallVec;

use super::cursor::Cursor;
use super::deadlines::{Bound, Tournament};
use super::directory::{Directory, position};
use super::segment::Segment;
use super::{Entry, KeyHashing};
use crate::hash::{KeyHash, KeyHasher};
use crate::time::UnixMillis;

/// A hash table of owned, pointer-sized entries that know their keys.
///
/// Each operation on a key takes the key's hash, which must be the one that [`Dashtable::hash`] gives. The
/// geometry is `HOME` home buckets and `STASH` stash buckets of `SLOTS` slots in a segment.
#[derive(Clone)]
pub struct Dashtable<
    E,
    const HOME: usize = 64,
    const STASH: usize = 4,
    const SLOTS: usize = 14,
    H = KeyHasher,
> {
    hasher: H,
    pub(super) directory: Directory,
    pub(super) segments: Vec<Box<Segment<E, HOME, STASH, SLOTS>>>,
    /// How many segments there are of each depth.
    pub(super) depths: [u32; Directory::DEPTH_MAX as usize + 1],
    pub(super) tournament: Tournament,
    pub(super) len: usize,
    /// What the segments have allocated beside themselves.
    pub(super) spill_bytes: usize,
    /// Where the next sweep goes on: the number of a segment times `HOME`, plus a home bucket.
    pub(super) sweep_at: usize,
    /// How many entries there will be, if somebody said so, else 0.
    pub(super) expected: usize,
}

impl<E: Entry, const HOME: usize, const STASH: usize, const SLOTS: usize, H: KeyHashing>
    Dashtable<E, HOME, STASH, SLOTS, H>
{
    pub(super) const CAPACITY: usize = Segment::<E, HOME, STASH, SLOTS>::CAPACITY;

    /// Two buddies of which one has lost an entry merge when they hold no more than this together. A segment that has just split holds about
    /// twice as much, so that no entry that comes and goes makes it split and merge by turns.
    const MERGE_LEN: usize = Self::CAPACITY * 9 / 20;

    /// How many directory slots there may be for each segment before a full segment spills instead of
    /// splitting. Keys that are spread as hashes are need four at the most; the limit is for those whose hashes
    /// agree in so many bits that splitting does not tell them apart.
    const SLOTS_PER_SEGMENT: usize = 16;

    /// One slot's share of a segment, in bytes: what an entry costs in a table that is full.
    pub const SLOT_BYTES: usize = size_of::<Segment<E, HOME, STASH, SLOTS>>().div_ceil(Self::CAPACITY);

    /// An empty table, which allocates nothing before the first insertion.
    pub fn new(hasher: H) -> Self {
        Dashtable {
            hasher,
            directory: Directory::default(),
            segments: Vec::new(),
            depths: [0; Directory::DEPTH_MAX as usize + 1],
            tournament: Tournament::default(),
            len: 0,
            spill_bytes: 0,
            sweep_at: 0,
            expected: 0,
        }
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The hash under which this table finds a key.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> KeyHash {
        self.hasher.hash(key)
    }

    /// Finds the entry of a key.
    #[inline]
    pub fn get(&self, key: &[u8], hash: KeyHash) -> Option<&E> {
        self.segment(hash)?.get_by_key(key, Self::tag(hash))
    }

    /// Finds the entry of a key to change it, or to replace it by another one with the same key. This counts as
    /// a change of its home bucket.
    pub fn get_mut(&mut self, key: &[u8], hash: KeyHash) -> Option<&mut E> {
        let index = self.directory.find(position(hash))?;
        let segment = &mut self.segments[index];
        let place = segment.find(key, Self::tag(hash))?;
        segment.get_mut(place, Self::tag(hash))
    }

    /// Brings the home bucket of a key towards the cache. Changes nothing that can be observed.
    #[inline]
    pub fn prefetch(&self, hash: KeyHash) {
        if let Some(segment) = self.segment(hash) {
            segment.prefetch(Self::tag(hash));
        }
    }

    /// Brings what inserting under this hash looks at towards the cache. Changes nothing that can be observed.
    #[inline]
    pub fn prefetch_to_insert(&self, hash: KeyHash) {
        if let Some(segment) = self.segment(hash) {
            segment.prefetch(Self::tag(hash));
            segment.prefetch_accounts(Self::tag(hash));
        }
    }

    /// Brings the entry of a key towards the cache, if its home bucket is there already. Changes nothing that can be observed.
    #[inline]
    pub fn prefetch_entry(&self, hash: KeyHash) {
        if let Some(segment) = self.segment(hash) {
            segment.prefetch_entry(Self::tag(hash));
        }
    }

    /// Adds an entry whose key is not in the table. Never fails: at the worst a segment grows a spill.
    pub fn insert(&mut self, entry: E, hash: KeyHash) {
        debug_assert_eq!(hash, self.hash(entry.key()));
        debug_assert!(self.get(entry.key(), hash).is_none(), "the key is already there");
        if self.segments.is_empty() {
            self.open();
        }
        let mut entry = entry;
        while let Some(index) = self.directory.find(position(hash)) {
            let is_early = self.expected > 0 && self.segments[index].len() == Self::EARLY_LEN;
            if is_early && self.splits_anyway(index) && self.split(index) {
                continue;
            }
            match self.change(index, |segment| segment.insert(entry, Self::tag(hash))) {
                Ok(()) => return,
                Err(back) => entry = back,
            }
            if !self.split(index) {
                self.change(index, |segment| segment.insert_spilled(entry, Self::tag(hash)));
                return;
            }
        }
        unreachable!("a table with segments has one for each position");
    }

    /// Removes the entry of a key.
    pub fn remove(&mut self, key: &[u8], hash: KeyHash) -> Option<E> {
        let index = self.directory.find(position(hash))?;
        let tag = Self::tag(hash);
        let place = self.segments[index].find(key, tag)?;
        let entry = self.change(index, |segment| segment.remove(place, tag));
        self.merge(index);
        entry
    }

    /// Drops all entries at once and gives all memory back.
    pub fn clear(&mut self) {
        self.directory = Directory::default();
        self.segments = Vec::new();
        self.depths.fill(0);
        self.tournament = Tournament::default();
        (self.len, self.spill_bytes, self.sweep_at, self.expected) = (0, 0, 0, 0);
    }

    /// Takes out the entries of one segment, so that a big table can be freed in slices. What is left in the
    /// table is still found. `None` when there is nothing left.
    pub fn take_segment(&mut self) -> Option<Vec<E>> {
        // From the end of hash order backwards: empty segments merge as soon as their buddies are empty too, so
        // that there are never more than a few of them to pass.
        let mut end = 1 << 32;
        while self.len > 0 {
            let index = self.directory.find((end - 1) as u32)?;
            let segment = &self.segments[index];
            end = u64::from(segment.stretch().start);
            if segment.len() > 0 {
                let entries = self.change(index, Segment::drain);
                self.tournament.set(index, Bound::NEVER);
                self.merge(index);
                return Some(entries);
            }
        }
        None
    }

    /// Emits all entries of one home bucket of one segment and returns where to go on, [`Cursor::START`] at the
    /// end. Whatever is in the table from the first call to the last is emitted at least once, however the table
    /// changes between the calls. A cursor of a client's own making does no harm.
    pub fn scan(&self, cursor: Cursor, emit: &mut dyn FnMut(&E)) -> Cursor {
        let bucket = match usize::try_from(cursor.bucket()) {
            Ok(bucket) if bucket < HOME => bucket,
            _ => return Cursor::START,
        };
        let Some(index) = self.directory.find(cursor.position()) else { return Cursor::START };
        let segment = &self.segments[index];
        segment.places_of(bucket).filter_map(|place| segment.get(place)).for_each(emit);
        Cursor::after(bucket, segment.stretch().end(), HOME)
    }

    /// The same for entries that may be changed as [`Dashtable::get_mut`] says, each with its own place in the order of
    /// scans. A walk that was begun when its bucket had other neighbours may see some of before its cursor again: their places tell.
    pub fn scan_mut(&mut self, cursor: Cursor, emit: &mut dyn FnMut(&mut E, Cursor)) -> Cursor {
        let bucket = match usize::try_from(cursor.bucket()) {
            Ok(bucket) if bucket < HOME => bucket,
            _ => return Cursor::START,
        };
        let Some(index) = self.directory.find(cursor.position()) else { return Cursor::START };
        let segment = &mut self.segments[index];
        let places: SmallVec<[_; 32]> = segment.places_of(bucket).collect();
        // A walk waits for memory more than for anything else: all of a bucket's entries are on their way before the first is looked at.
        places.iter().filter_map(|place| segment.get(*place)).for_each(Entry::prefetch);
        for place in places {
            let Some(hash) = segment.get(place).map(|entry| self.hasher.hash(entry.key())) else { continue };
            if let Some(entry) = segment.get_mut(place, Self::tag(hash)) {
                emit(entry, Cursor::new(bucket, position(hash)));
            }
        }
        let next = Cursor::after(bucket, segment.stretch().end(), HOME);
        if let Some(index) = self.directory.find(next.position()) {
            self.segments[index].prefetch_bucket(next.bucket() as usize);
        }
        next
    }

    /// A key's place in the order of scans, whether it is there or not: a scan whose cursor is above it has passed it.
    #[inline]
    pub fn place_in_scans(&self, hash: KeyHash) -> Cursor {
        Cursor::new(Segment::<E, HOME, STASH, SLOTS>::home(Self::tag(hash)), position(hash))
    }

    /// Picks an entry, each with the same probability unless the table has spilled. `random` gives 64 random
    /// bits at each call; it is called a bounded number of times.
    pub fn random(&self, random: &mut dyn FnMut() -> u64) -> Option<&E> {
        const TRIES: usize = 64;
        if self.len == 0 {
            return None;
        }
        let scale = |bits: u32, range: usize| ((u64::from(bits) * range as u64) >> 32) as usize;
        // Any slot of any segment, until there is something in it: one cache line or two for each try.
        for _ in 0..if self.spill_bytes == 0 { TRIES } else { 0 } {
            let bits = random();
            let segment = &self.segments[scale(bits as u32, self.segments.len())];
            let slot = scale((bits >> 32) as u32, Self::CAPACITY);
            if let Some(entry) = segment.nth_of_bucket(slot / SLOTS, slot % SLOTS) {
                return Some(entry);
            }
        }
        // A sparse table. Any segment, each with a probability in proportion to its entries.
        for _ in 0..TRIES {
            let bits = random();
            let segment = &self.segments[scale(bits as u32, self.segments.len())];
            if scale((bits >> 32) as u32, Self::CAPACITY) < segment.len() {
                return segment.nth(scale(random() as u32, segment.len()));
            }
        }
        // Sparser than merging lets it become, unless it is tiny: the next segment that has something.
        let start = scale(random() as u32, self.segments.len());
        let (before, after) = self.segments.split_at(start);
        let segment = after.iter().chain(before).find(|segment| segment.len() > 0)?;
        segment.nth(scale(random() as u32, segment.len()))
    }

    /// All entries, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &E> {
        self.segments.iter().flat_map(|segment| segment.iter())
    }

    /// What the table has allocated, in bytes, without what its entries own.
    pub fn allocated_bytes(&self) -> usize {
        self.directory.allocated_bytes()
            + self.segments.capacity() * size_of::<Box<Segment<E, HOME, STASH, SLOTS>>>()
            + self.segments.len() * size_of::<Segment<E, HOME, STASH, SLOTS>>()
            + self.spill_bytes
            + self.tournament.allocated_bytes()
    }

    /// A counter for the home bucket of a hash. It differs from an earlier reading if since then an entry of
    /// that home came, left, moved or was handed out to be changed. It wraps around.
    pub fn version(&self, hash: KeyHash) -> u32 {
        self.segment(hash).map_or(0, |segment| segment.version(Self::tag(hash)))
    }

    /// Tells the expiry index that the entry under this hash has got this deadline. Called after [`insert`] or
    /// [`get_mut`]; a deadline that is put off or taken away need not be told.
    ///
    /// [`insert`]: Dashtable::insert
    /// [`get_mut`]: Dashtable::get_mut
    pub fn note_deadline(&mut self, hash: KeyHash, deadline: UnixMillis) {
        let Some(index) = self.directory.find(position(hash)) else { return };
        let bound = Bound::of(deadline);
        if self.segments[index].lower_bound(Self::tag(hash), bound) && bound < self.tournament.get(index) {
            self.tournament.set(index, bound);
        }
    }

    #[inline]
    fn tag(hash: KeyHash) -> super::segment::Tag {
        Segment::<E, HOME, STASH, SLOTS>::tag(hash)
    }

    #[inline]
    fn segment(&self, hash: KeyHash) -> Option<&Segment<E, HOME, STASH, SLOTS>> {
        let index = self.directory.find(position(hash))?;
        Some(&self.segments[index])
    }

    /// Changes a segment and keeps the accounts.
    pub(super) fn change<R>(
        &mut self,
        index: usize,
        change: impl FnOnce(&mut Segment<E, HOME, STASH, SLOTS>) -> R,
    ) -> R {
        let segment = &mut self.segments[index];
        let (len, spill_bytes) = (segment.len(), segment.spill_bytes());
        let result = change(segment);
        self.len = self.len - len + segment.len();
        self.spill_bytes = self.spill_bytes - spill_bytes + segment.spill_bytes();
        result
    }

    /// Makes the first segment.
    fn open(&mut self) {
        self.directory.open();
        self.segments.push(Segment::new(super::directory::Stretch::WHOLE));
        self.depths[0] = 1;
    }

    /// Splits a segment in two, unless its directory slots are used up.
    fn split(&mut self, index: usize) -> bool {
        let depth = self.segments[index].stretch().depth;
        if depth == self.directory.depth() {
            let allowed = Self::SLOTS_PER_SEGMENT * self.segments.len();
            if depth == Directory::DEPTH_MAX || 2 * self.directory.len() > allowed {
                return false;
            }
            self.directory.double();
        }
        let segment = &mut self.segments[index];
        let spill_bytes = segment.spill_bytes();
        let sibling = segment.split(|entry| position(self.hasher.hash(entry.key())));
        self.spill_bytes = self.spill_bytes - spill_bytes + segment.spill_bytes() + sibling.spill_bytes();
        self.depths[usize::from(depth)] -= 1;
        self.depths[usize::from(depth) + 1] += 2;
        let number = self.segments.len();
        self.directory.point(sibling.stretch(), number);
        self.tournament.set(number, sibling.lowest_bound());
        self.segments.push(sibling);
        true
    }

    /// Merges a segment that has lost entries with its buddy if they have become few, and the outcome with its
    /// own buddy, and so on, as long as no more entries have to move than half a segment holds.
    /// Returns whether any did, for then segments have got other numbers.
    pub(super) fn merge(&mut self, index: usize) -> bool {
        self.merge_up_to(Self::MERGE_LEN, index)
    }

    /// The same for buddies that hold no more than so many entries together.
    pub(super) fn merge_up_to(&mut self, most: usize, mut index: usize) -> bool {
        let segments = self.segments.len();
        let mut budget = Self::CAPACITY / 2;
        while let Some(buddy) = self.buddy_to_merge(most, index) {
            let (more, fewer) = match self.segments[index].len() < self.segments[buddy].len() {
                true => (buddy, index),
                false => (index, buddy),
            };
            match budget.checked_sub(self.segments[fewer].len()) {
                Some(rest) => budget = rest,
                None => break,
            }
            index = self.merge_pair(more, fewer);
        }
        self.segments.len() < segments
    }

    /// The buddy of a segment if both together are few enough and none of their entries is away from home.
    fn buddy_to_merge(&self, most: usize, index: usize) -> Option<usize> {
        let segment = &self.segments[index];
        if segment.len() > most || segment.away() > 0 {
            return None;
        }
        let (_, stretch) = segment.stretch().parent_and_buddy()?;
        let number = self.directory.find(stretch.start)?;
        let buddy = &self.segments[number];
        let merges = buddy.stretch() == stretch && buddy.away() == 0 && segment.len() + buddy.len() <= most;
        merges.then_some(number)
    }

    /// Moves the entries of one segment to its buddy and returns the number that the buddy has then.
    fn merge_pair(&mut self, more: usize, fewer: usize) -> usize {
        let mut gone = self.segments.swap_remove(fewer);
        let last = self.segments.len();
        self.tournament.swap_remove(fewer, last);
        if fewer != last {
            self.directory.point(self.segments[fewer].stretch(), fewer);
        }
        let more = if more == last { fewer } else { more };
        let depth = usize::from(gone.stretch().depth);
        self.depths[depth] -= 2;
        self.depths[depth - 1] += 1;
        if let Some((parent, _)) = gone.stretch().parent_and_buddy() {
            self.directory.point(parent, more);
            self.len -= gone.len();
            self.change(more, |segment| segment.absorb(&mut gone, parent));
        }
        self.tournament.set(more, self.segments[more].lowest_bound());
        while self.depths[usize::from(self.directory.depth())] == 0 {
            self.directory.halve();
        }
        if self.segments.len() < self.segments.capacity() / 4 {
            self.segments.shrink_to(2 * self.segments.len());
        }
        more
    }
}
