//! The sweep: entries whose deadline has come leave, bucket by bucket, as far as the caller's steps reach.
//!
//! It knows bounds and home buckets. What deadline an entry has, it asks the caller.

use super::dashtable::Dashtable;
use super::deadlines::Bound;
use super::directory::position;
use super::{Entry, KeyHashing};
use crate::hash::KeyHash;
use crate::time::UnixMillis;

impl<E: Entry, const HOME: usize, const STASH: usize, const SLOTS: usize, H: KeyHashing>
    Dashtable<E, HOME, STASH, SLOTS, H>
{
    /// A moment before which no entry is due, `None` if nothing has a deadline. It lies up to
    /// [`BOUND_UNIT_MILLIS`](super::BOUND_UNIT_MILLIS) before the soonest deadline, or further if that entry has
    /// left since.
    pub fn soonest_deadline(&self) -> Option<UnixMillis> {
        self.tournament.lowest().moment()
    }

    /// Visits home buckets that may hold entries with a deadline of `now` or before, `steps` of them at the
    /// most, removes these entries but those that are `spared`, and hands them to `expired`. Returns how many buckets it visited; when that is
    /// less than `steps`, nothing else is left that is due. A later sweep goes on where this one has stopped.
    pub fn sweep(
        &mut self,
        now: UnixMillis,
        steps: usize,
        deadline_of: &dyn Fn(&E) -> Option<UnixMillis>,
        spared: &dyn Fn(&E) -> bool,
        expired: &mut dyn FnMut(E),
    ) -> usize {
        let bound_of = |entry: &E| match deadline_of(entry) {
            Some(deadline) if deadline <= now && !spared(entry) => None,
            deadline => Some(Bound::of_optional(deadline)),
        };
        // Once around: bounds that stay due, as those do in whose unit `now` falls, are not visited twice.
        let (mut start, mut at, mut around, mut used) = (self.sweep_at, self.sweep_at, false, 0);
        while used < steps {
            let due = self.next_due(at, Bound::of(now)).filter(|&place| !around || place < start);
            let Some(place) = due else {
                if around {
                    break;
                }
                (at, around) = (0, true);
                continue;
            };
            let segment = place / HOME;
            self.change(segment, |segment| segment.sweep_home(place % HOME, &bound_of, expired));
            self.tournament.set(segment, self.segments[segment].lowest_bound());
            at = place + 1;
            used += 1;
            if self.merge(segment) {
                // Some segments have got other numbers. Once around again from here, so that none is left out.
                (start, around) = (at, false);
            }
        }
        self.sweep_at = at;
        used
    }

    /// True if the segment where this hash belongs is so full that it may split before long, though something in it is due at `now`, as
    /// far as bounds of units that are over tell.
    #[inline]
    pub fn is_crowded(&self, hash: KeyHash, now: UnixMillis) -> bool {
        // Three quarters: a segment splits at about nine tenths, and what comes meanwhile has to find room.
        let crowd = Self::CAPACITY / 4 * 3;
        let (Some(index), Some(over)) = (self.directory.find(position(hash)), Bound::over_at(now)) else {
            return false;
        };
        self.tournament.get(index) <= over && self.segments[index].len() >= crowd
    }

    /// As [`Dashtable::sweep`] in the segment where this hash belongs, as far as the units of deadlines are over. Returns how many home buckets
    /// it visited: each of them has room then, or a bound that is right.
    pub fn sweep_near(
        &mut self,
        hash: KeyHash,
        now: UnixMillis,
        steps: usize,
        deadline_of: &dyn Fn(&E) -> Option<UnixMillis>,
        spared: &dyn Fn(&E) -> bool,
        expired: &mut dyn FnMut(E),
    ) -> usize {
        let (Some(index), Some(over)) = (self.directory.find(position(hash)), Bound::over_at(now)) else {
            return 0;
        };
        let bound_of = |entry: &E| match deadline_of(entry) {
            Some(deadline) if deadline <= now && !spared(entry) => None,
            deadline => Some(Bound::of_optional(deadline)),
        };
        // From the key's own home on and around: to begin with the first each time would leave the last ones full.
        let first = usize::from(hash.bucket_bits()) % HOME;
        let mut used = 0;
        for (mut at, end) in [(first, HOME), (0, first)] {
            while used < steps
                && let Some(home) = self.segments[index].first_due(at, over).filter(|home| *home < end)
            {
                self.change(index, |segment| segment.sweep_home(home, &bound_of, expired));
                (at, used) = (home + 1, used + 1);
            }
        }
        if used > 0 {
            self.tournament.set(index, self.segments[index].lowest_bound());
            self.merge(index);
        }
        used
    }

    /// The next home bucket whose bound is not later than `now`, counted as in `sweep_at`.
    fn next_due(&self, at: usize, now: Bound) -> Option<usize> {
        let (segment, home) = (at / HOME, at % HOME);
        let here = self.segments.get(segment).and_then(|segment| segment.first_due(home, now));
        if let Some(home) = here {
            return Some(segment * HOME + home);
        }
        let segment = self.tournament.first_due(segment + 1, now)?;
        let home = self.segments[segment].first_due(0, now)?;
        Some(segment * HOME + home)
    }
}
