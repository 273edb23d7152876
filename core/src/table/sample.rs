//! Samples: a few entries from anywhere in the table, as cheaply as they can be had.
//!
//! Which buckets a key lies in is decided by its hash, so that the entries of any bucket are a random sample. This room knows where to
//! look. It does not know what the sample is for.

use smallvec::SmallVec;

use super::dashtable::Dashtable;
use super::deadlines::Bound;
use super::segment::{Place, Segment};
use super::{Entry, KeyHashing};
use crate::hash::KeyHash;

/// Segments that are looked at before a sample is as large as it gets.
const SEGMENTS_MAX: usize = 4;

impl<E: Entry, const HOME: usize, const STASH: usize, const SLOTS: usize, H: KeyHashing>
    Dashtable<E, HOME, STASH, SLOTS, H>
{
    /// Emits entries of buckets that follow each other, from the one on that 64 random bits choose, until there are at least `wanted` or
    /// a few segments have been looked at. `timed`: only buckets in which something may have a deadline; of those an index knows, so that
    /// few among many are found. The entries of the first bucket are best prefetched: see [`Dashtable::prefetch_sampled`].
    pub fn sample(&self, bits: u64, wanted: usize, timed: bool, mut emit: impl FnMut(&E)) {
        let Some((mut number, start)) = self.first_of_sample(bits, timed) else { return };
        let buckets = Self::buckets_of_samples(timed);
        let mut found = 0;
        for n in 0..SEGMENTS_MAX.min(self.segments.len()) {
            if timed && n > 0 {
                let Some(next) = self.next_timed(number) else { return };
                number = next;
            }
            let segment = &self.segments[number];
            for step in 0..if segment.len() > 0 { buckets } else { 0 } {
                let bucket = (start + step) % buckets;
                found += match timed {
                    false => emit_all(segment.entries_of_bucket(bucket), &mut emit),
                    true if segment.bound_of_home(bucket) == Bound::NEVER => 0,
                    true => emit_all(segment.entries_of_home(bucket), &mut emit),
                };
                if found >= wanted {
                    return;
                }
            }
            number = (number + 1) % self.segments.len();
        }
    }

    /// Brings the first bucket of a sample towards the cache.
    #[inline]
    pub fn prefetch_sample(&self, bits: u64, timed: bool) {
        if let Some((number, bucket)) = self.first_of_sample(bits, timed) {
            self.segments[number].prefetch_bucket(bucket);
        }
    }

    /// Brings the entries of a sample's first bucket towards the cache, after the bucket.
    #[inline]
    pub fn prefetch_sampled(&self, bits: u64, timed: bool) {
        if let Some((number, bucket)) = self.first_of_sample(bits, timed) {
            self.segments[number].entries_of_bucket(bucket).for_each(Entry::prefetch_head);
        }
    }

    /// The segment and the bucket in it where a sample begins.
    #[inline]
    fn first_of_sample(&self, bits: u64, timed: bool) -> Option<(usize, usize)> {
        if self.len == 0 {
            return None;
        }
        let scale = |bits: u32, range: usize| ((u64::from(bits) * range as u64) >> 32) as usize;
        let number = scale(bits as u32, self.segments.len());
        let number = if timed { self.next_timed(number)? } else { number };
        Some((number, scale((bits >> 32) as u32, Self::buckets_of_samples(timed))))
    }

    /// Where it does not matter what is due, a bucket is looked at as it is, whatever home its entries have.
    #[inline]
    fn buckets_of_samples(timed: bool) -> usize {
        if timed { HOME } else { HOME + STASH }
    }

    /// The next segment around in which something has a deadline.
    fn next_timed(&self, number: usize) -> Option<usize> {
        let next = self.tournament.first_due(number, Bound::LAST);
        next.or_else(|| self.tournament.first_due(0, Bound::LAST))
    }

    /// Lets `visit` change the entries of one home bucket without that counting as a change, and brings those of the next towards the cache.
    /// Where to go on, 0 at the end of the table; whatever is in the table throughout is visited in each round, unless the table changes its
    /// form meanwhile.
    pub fn visit(&mut self, at: usize, visit: &mut dyn FnMut(&mut E)) -> usize {
        let (number, home) = (at / HOME, at % HOME);
        let Some(segment) = self.segments.get_mut(number) else { return 0 };
        let places: SmallVec<[Place; 24]> = segment.places_of(home).collect();
        for place in places {
            if let Some(entry) = segment.entry_mut(place) {
                visit(entry);
            }
        }
        let next = at + 1;
        match self.segments.get(next / HOME) {
            Some(segment) => {
                segment
                    .places_of(next % HOME)
                    .filter_map(|place| segment.get(place))
                    .for_each(Entry::prefetch);
                next
            }
            None => 0,
        }
    }

    /// Finds an entry by its hash alone; of several that share one, any.
    pub fn find_hashed(&self, hash: KeyHash) -> Option<&E> {
        let index = self.directory.find(super::directory::position(hash))?;
        let segment = &self.segments[index];
        let tag = Segment::<E, HOME, STASH, SLOTS>::tag(hash);
        let place = segment.find_by(tag, |entry| self.hash(entry.key()) == hash)?;
        segment.get(place)
    }

    /// Removes an entry that is found by its hash alone, if it `goes`; of several that share one, any.
    pub fn remove_hashed(&mut self, hash: KeyHash, goes: impl Fn(&E) -> bool) -> Option<E> {
        let index = self.directory.find(super::directory::position(hash))?;
        let segment = &self.segments[index];
        let tag = Segment::<E, HOME, STASH, SLOTS>::tag(hash);
        let place = segment.find_by(tag, |entry| self.hash(entry.key()) == hash)?;
        if !segment.get(place).is_some_and(goes) {
            return None;
        }
        let entry = self.change(index, |segment| segment.remove(place, tag));
        self.merge(index);
        entry
    }
}

/// Emits entries; how many.
#[inline]
fn emit_all<'a, E: Entry + 'a>(entries: impl Iterator<Item = &'a E>, emit: &mut impl FnMut(&E)) -> usize {
    entries.map(emit).count()
}

#[cfg(test)]
mod tests {
    use crate::database::{Database, Key};
    use crate::hash::KeyHasher;
    use crate::shard::Deadline;
    use crate::value::access::AccessRule;
    use crate::value::record::Value;

    #[test]
    fn what_is_sampled_is_found_by_its_hash_and_leaves_if_it_is_to() {
        let mut database = Database::new(KeyHasher::new([1, 2, 3, 4]));
        for n in 0..5_000 {
            let name = format!("key:{n}");
            let key = Key { bytes: name.as_bytes(), hash: database.hash(name.as_bytes()) };
            drop(database.store(key, Value::Bytes(b"v"), Deadline::Clear, None, AccessRule::Untouched));
        }
        let (mut bits, mut left) = (0x9e37_79b9_7f4a_7c15_u64, 5_000);
        while left > 100 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            database.prefetch_sample(bits, false);
            database.prefetch_sampled(bits, false);
            let mut names = Vec::new();
            database.sample(bits, 5, false, |record| names.push(record.key().to_vec()));
            assert!(names.len() >= 5);
            for name in names {
                let hash = database.hash(&name);
                assert!(database.remove_hashed(hash, |_| false).is_none(), "it may stay");
                let removed =
                    database.remove_hashed(hash, |record| record.key() == name).expect("it is there");
                assert_eq!(removed.key(), name);
                assert!(database.remove_hashed(hash, |_| true).is_none(), "it is gone");
                left -= 1;
            }
            assert_eq!(database.len(), left);
        }
        database.check();
        assert_eq!(database.recount(), Ok(()));
    }
}
