//! What must be true of a table at any time, for tests and simulations: slow, and it panics.

use super::dashtable::Dashtable;
use super::deadlines::Bound;
use super::directory::{Stretch, position};
use super::segment::Segment;
use super::{Entry, KeyHashing};
use crate::time::UnixMillis;

impl<E: Entry, const HOME: usize, const STASH: usize, const SLOTS: usize, H: KeyHashing>
    Dashtable<E, HOME, STASH, SLOTS, H>
{
    /// Panics unless the table is well formed: the directory, each segment and the accounts.
    #[doc(hidden)]
    pub fn check(&self) {
        let mut end = 0;
        let mut depths = [0; 33];
        let mut spill_bytes = 0;
        while let Some(index) = u32::try_from(end).ok().and_then(|start| self.directory.find(start)) {
            let segment = &self.segments[index];
            let Stretch { start, depth } = segment.stretch();
            assert_eq!(u64::from(start), end, "segment {index} is not where the directory says");
            depths[usize::from(depth)] += 1;
            spill_bytes += segment.spill_bytes();
            segment.check();
            for entry in segment.iter() {
                let hash = self.hash(entry.key());
                assert!(
                    segment.stretch().contains(position(hash)),
                    "an entry in a segment that is not its own"
                );
                let found = self.get(entry.key(), hash);
                assert!(found.is_some_and(|found| std::ptr::eq(found, entry)), "an entry that is not found");
            }
            end = segment.stretch().end();
        }
        assert_eq!(end, if self.segments.is_empty() { 0 } else { 1 << 32 });
        assert_eq!(self.depths, depths);
        assert_eq!(depths.iter().sum::<u32>() as usize, self.segments.len());
        if let Some(deepest) = depths.iter().rposition(|&count| count > 0) {
            assert_eq!(
                deepest,
                usize::from(self.directory.depth()),
                "the directory is deeper than it need be"
            );
        }
        assert_eq!(self.spill_bytes, spill_bytes);
        assert_eq!(self.len, self.iter().count());
        self.tournament.check();
        for (index, segment) in self.segments.iter().enumerate() {
            assert_eq!(self.tournament.get(index), segment.lowest_bound());
        }
        assert_eq!(self.tournament.get(self.segments.len()), Bound::NEVER);
    }

    /// Panics unless all bounds are lower bounds of the deadlines.
    #[doc(hidden)]
    pub fn check_deadlines(&self, deadline_of: &dyn Fn(&E) -> Option<UnixMillis>) {
        for segment in &self.segments {
            segment.check_deadlines(deadline_of);
        }
    }
}

impl<E: Entry, const HOME: usize, const STASH: usize, const SLOTS: usize> Segment<E, HOME, STASH, SLOTS> {
    /// Panics unless flags and counts are right and each home finds all of its own.
    fn check(&self) {
        let places: Vec<usize> = (0..HOME).map(|home| self.places_of(home).count()).collect();
        assert_eq!(places.iter().sum::<usize>(), self.len(), "homes: {places:?}");
        assert_eq!(self.iter().count(), self.len());
        self.check_flags();
    }

    fn check_deadlines(&self, deadline_of: &dyn Fn(&E) -> Option<UnixMillis>) {
        for home in 0..HOME {
            for entry in self.places_of(home).filter_map(|place| self.get(place)) {
                assert!(self.bound_of_home(home) <= Bound::of_optional(deadline_of(entry)), "home {home}");
            }
        }
    }

    /// Panics unless displaced and overflow bits and the count of those away are exact.
    fn check_flags(&self) {
        for (home, bucket) in self.homes.iter().enumerate() {
            bucket.check();
            assert_eq!(bucket.overflowed(), self.away_of(home).next().is_some(), "home {home}");
            let displaced = self.homes[Self::next(home)].displaced();
            assert_eq!(bucket.continued(), displaced.first().is_some(), "home {home}");
            let room = bucket.free().count() + self.homes[Self::next(home)].free().count();
            assert!(!bucket.overflowed() || room == 0, "an entry of home {home} is away for no reason");
        }
        for stash in &self.stashes {
            stash.check();
            assert!(stash.displaced().first().is_none() && !stash.overflowed());
            assert!(
                self.spill.is_empty() || stash.free().first().is_none(),
                "a spill beside a free stash slot"
            );
        }
        let stashed: usize = self.stashes.iter().map(|stash| stash.occupied().count()).sum();
        assert_eq!(self.away(), stashed + self.spill.len());
    }
}
