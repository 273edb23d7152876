//! A segment: home buckets, stash buckets, and the spill behind them.
//!
//! It knows home buckets and fingerprints, and where else an entry of a home may lie. It does not hash, and it does
//! not know the directory or other segments.

use super::Entry;
use super::bucket::{Bucket, equal_slots, prefetch};
use super::deadlines::Bound;
use super::directory::Stretch;
use crate::hash::KeyHash;

/// What a segment needs to know of a key's hash: a home bucket that it has, and the fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) home: u8,
    pub(super) fingerprint: u8,
}

/// Where an entry lies in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Home { bucket: usize, slot: usize },
    Stash { bucket: usize, slot: usize },
    Spill { at: usize },
}

/// An entry for which neither its two buckets nor the stash had room, in a segment that could not split.
#[derive(Clone)]
pub(super) struct Spilled<E> {
    pub(super) tag: Tag,
    pub(super) entry: E,
}

/// `HOME` home buckets, a power of two, and `STASH` stash buckets of `SLOTS` slots each.
#[derive(Clone)]
pub(super) struct Segment<E, const HOME: usize, const STASH: usize, const SLOTS: usize> {
    pub(super) homes: [Bucket<E, SLOTS>; HOME],
    pub(super) stashes: [Bucket<E, SLOTS>; STASH],
    /// The home of each entry in the stash, so that nobody has to hash it again.
    pub(super) stash_homes: [[u8; 16]; STASH],
    /// Lower bounds of the deadlines of all entries of a home, wherever they lie.
    pub(super) bounds: [Bound; HOME],
    /// Counts the changes to the entries of a home, wherever they lie.
    pub(super) versions: [u32; HOME],
    pub(super) spill: Vec<Spilled<E>>,
    pub(super) stretch: Stretch,
    pub(super) len: u32,
    /// How many entries lie in the stash or the spill.
    pub(super) away: u32,
}

impl<E: Entry, const HOME: usize, const STASH: usize, const SLOTS: usize> Segment<E, HOME, STASH, SLOTS> {
    const GEOMETRY_HOLDS: () = {
        assert!(HOME.is_power_of_two() && HOME >= 2 && HOME <= 256, "2 to 256 home buckets, a power of two");
        assert!(size_of::<Option<E>>() == size_of::<usize>(), "entries are pointer sized and never null");
    };

    /// How many entries it holds at the very most without a spill.
    pub(super) const CAPACITY: usize = (HOME + STASH) * SLOTS;

    pub(super) fn new(stretch: Stretch) -> Box<Self> {
        let () = Self::GEOMETRY_HOLDS;
        Box::new(Segment {
            homes: [const { Bucket::new() }; HOME],
            stashes: [const { Bucket::new() }; STASH],
            stash_homes: [[0; 16]; STASH],
            bounds: [Bound::NEVER; HOME],
            versions: [0; HOME],
            spill: Vec::new(),
            stretch,
            len: 0,
            away: 0,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    pub(super) fn stretch(&self) -> Stretch {
        self.stretch
    }

    /// How many entries lie in neither of their two buckets.
    pub(super) fn away(&self) -> usize {
        self.away as usize
    }

    /// What it has allocated beside itself.
    pub(super) fn spill_bytes(&self) -> usize {
        self.spill.capacity() * size_of::<Spilled<E>>()
    }

    #[inline]
    pub(super) fn tag(hash: KeyHash) -> Tag {
        Tag { home: hash.bucket_bits() & (HOME - 1) as u8, fingerprint: hash.fingerprint() }
    }

    /// The home bucket of a tag, as an index that needs no check.
    #[inline]
    pub(super) fn home(tag: Tag) -> usize {
        usize::from(tag.home) & (HOME - 1)
    }

    #[inline]
    pub(super) fn next(home: usize) -> usize {
        (home + 1) & (HOME - 1)
    }

    #[inline]
    pub(super) fn previous(home: usize) -> usize {
        home.wrapping_sub(1) & (HOME - 1)
    }

    /// Finds the entry of a key. As [`Self::find`], with a shorter road to what lies in its home bucket.
    #[inline]
    pub(super) fn get_by_key(&self, key: &[u8], tag: Tag) -> Option<&E> {
        let own = &self.homes[Self::home(tag)];
        for slot in own.matches(tag.fingerprint) {
            if let Some(entry) = own.get(slot).filter(|entry| entry.key() == key) {
                return Some(entry);
            }
        }
        if own.is_all() { None } else { self.get(self.find_elsewhere(tag, |entry| entry.key() == key)?) }
    }

    /// Finds a key.
    #[inline]
    pub(super) fn find(&self, key: &[u8], tag: Tag) -> Option<Place> {
        self.find_by(tag, |entry| entry.key() == key)
    }

    /// Finds the entry that is it, among those with this tag's fingerprint and home.
    #[inline]
    pub(super) fn find_by(&self, tag: Tag, is_it: impl Fn(&E) -> bool) -> Option<Place> {
        let bucket = Self::home(tag);
        let own = &self.homes[bucket];
        // No displaced entry is it, as it has another home: to leave those out is not worth the time.
        for slot in own.matches(tag.fingerprint) {
            if own.get(slot).is_some_and(&is_it) {
                return Some(Place::Home { bucket, slot });
            }
        }
        if own.is_all() { None } else { self.find_elsewhere(tag, is_it) }
    }

    /// Finds what is not in its home bucket.
    fn find_elsewhere(&self, tag: Tag, is_it: impl Fn(&E) -> bool) -> Option<Place> {
        let own = &self.homes[Self::home(tag)];
        let bucket = Self::next(Self::home(tag));
        let other = &self.homes[bucket];
        if own.continued() {
            for slot in other.matches(tag.fingerprint).and(other.displaced()) {
                if other.get(slot).is_some_and(&is_it) {
                    return Some(Place::Home { bucket, slot });
                }
            }
        }
        if own.overflowed() { self.find_away(tag, is_it) } else { None }
    }

    fn find_away(&self, tag: Tag, is_it: impl Fn(&E) -> bool) -> Option<Place> {
        for (bucket, stash) in self.stashes.iter().enumerate() {
            for slot in stash.matches(tag.fingerprint).and(equal_slots(&self.stash_homes[bucket], tag.home)) {
                if stash.get(slot).is_some_and(&is_it) {
                    return Some(Place::Stash { bucket, slot });
                }
            }
        }
        let here = |spilled: &Spilled<E>| spilled.tag == tag && is_it(&spilled.entry);
        self.spill.iter().position(here).map(|at| Place::Spill { at })
    }

    #[inline]
    pub(super) fn get(&self, place: Place) -> Option<&E> {
        match place {
            Place::Home { bucket, slot } => self.homes[bucket].get(slot),
            Place::Stash { bucket, slot } => self.stashes[bucket].get(slot),
            Place::Spill { at } => self.spill.get(at).map(|spilled| &spilled.entry),
        }
    }

    /// The entry at a place, to be changed: counts as a change of its home.
    pub(super) fn get_mut(&mut self, place: Place, tag: Tag) -> Option<&mut E> {
        self.touch(Self::home(tag));
        self.entry_mut(place)
    }

    /// The same, for what does not count.
    pub(super) fn entry_mut(&mut self, place: Place) -> Option<&mut E> {
        match place {
            Place::Home { bucket, slot } => self.homes[bucket].get_mut(slot),
            Place::Stash { bucket, slot } => self.stashes[bucket].get_mut(slot),
            Place::Spill { at } => self.spill.get_mut(at).map(|spilled| &mut spilled.entry),
        }
    }

    /// Adds an entry, or hands it back if the segment is too full for it.
    pub(super) fn insert(&mut self, entry: E, tag: Tag) -> Result<(), E> {
        let home = Self::home(tag);
        self.touch(home);
        let placed = self.place_near(entry, tag).or_else(|entry| {
            self.make_room(home);
            self.place_near(entry, tag)
        });
        let placed = placed.or_else(|entry| self.place_in_stash(entry, tag));
        self.len += u32::from(placed.is_ok());
        placed
    }

    /// Adds an entry behind everything else; never fails.
    pub(super) fn insert_spilled(&mut self, entry: E, tag: Tag) {
        let home = Self::home(tag);
        self.touch(home);
        self.homes[home].set_overflowed(true);
        self.spill.push(Spilled { tag, entry });
        self.len += 1;
        self.away += 1;
    }

    /// Puts an entry into its home bucket, or, if that is full, into the next one. To take the emptier of the two
    /// would fill a segment 2% further, but lookups would have to go on to the next bucket three times as often.
    fn place_near(&mut self, entry: E, tag: Tag) -> Result<(), E> {
        let home = Self::home(tag);
        for (bucket, displaced) in [(home, false), (Self::next(home), true)] {
            if let Some(slot) = self.homes[bucket].free().first() {
                self.homes[bucket].put(slot, tag.fingerprint, displaced, entry);
                if displaced {
                    self.homes[home].set_continued(true);
                }
                return Ok(());
            }
        }
        Err(entry)
    }

    /// Makes room in one of two full buckets, if an entry of theirs can go to its own other bucket.
    fn make_room(&mut self, home: usize) {
        let next = Self::next(home);
        let (before, after) = (Self::previous(home), Self::next(next));
        let onward = self.homes[next].occupied().without(self.homes[next].displaced()).first();
        let back = self.homes[home].displaced().first();
        if let (Some(slot), Some(free)) = (onward, self.homes[after].free().first()) {
            self.shift(next, slot, after, free, true);
            self.touch(next);
        } else if let (Some(slot), Some(free)) = (back, self.homes[before].free().first()) {
            self.shift(home, slot, before, free, false);
            self.touch(before);
        }
    }

    /// Moves an entry between its two buckets.
    pub(super) fn shift(&mut self, from: usize, slot: usize, to: usize, free: usize, displaced: bool) {
        if let Some((fingerprint, entry)) = self.homes[from].take(slot) {
            self.homes[to].put(free, fingerprint, displaced, entry);
        }
        self.judge_continued(if displaced { from } else { to });
    }

    pub(super) fn judge_continued(&mut self, home: usize) {
        let continued = self.homes[Self::next(home)].displaced().first().is_some();
        self.homes[home].set_continued(continued);
    }

    pub(super) fn place_in_stash(&mut self, entry: E, tag: Tag) -> Result<(), E> {
        let free = |stash: &Bucket<E, SLOTS>| stash.free().first();
        let Some((bucket, slot)) =
            self.stashes.iter().enumerate().find_map(|(at, stash)| Some((at, free(stash)?)))
        else {
            return Err(entry);
        };
        self.stashes[bucket].put(slot, tag.fingerprint, false, entry);
        self.stash_homes[bucket][slot] = tag.home;
        self.homes[Self::home(tag)].set_overflowed(true);
        self.away += 1;
        Ok(())
    }

    /// Removes the entry at a place that was just found for this tag.
    pub(super) fn remove(&mut self, place: Place, tag: Tag) -> Option<E> {
        let home = Self::home(tag);
        self.touch(home);
        let entry = self.take(place)?;
        match place {
            Place::Home { bucket, .. } if self.away > 0 => {
                self.refill(bucket);
                self.refill(Self::previous(bucket));
            }
            Place::Home { .. } => {}
            Place::Stash { .. } | Place::Spill { .. } => self.judge_overflow(home),
        }
        Some(entry)
    }

    /// Takes an entry out. If it lay away from home, the spill moves up and the overflow bit is still to be judged.
    fn take(&mut self, place: Place) -> Option<E> {
        let entry = match place {
            Place::Home { bucket, slot } => {
                let displaced = self.homes[bucket].displaced().contains(slot);
                let (_, entry) = self.homes[bucket].take(slot)?;
                if displaced {
                    self.judge_continued(Self::previous(bucket));
                }
                entry
            }
            Place::Stash { bucket, slot } => {
                let (_, entry) = self.stashes[bucket].take(slot)?;
                self.away -= 1;
                if let Some(spilled) = self.spill.pop() {
                    self.stashes[bucket].put(slot, spilled.tag.fingerprint, false, spilled.entry);
                    self.stash_homes[bucket][slot] = spilled.tag.home;
                    self.tighten_spill();
                }
                entry
            }
            Place::Spill { at } => {
                self.away -= 1;
                let entry = self.spill.swap_remove(at).entry;
                self.tighten_spill();
                entry
            }
        };
        self.len -= 1;
        Some(entry)
    }

    /// Gives memory back when the spill uses less than a quarter of it.
    pub(super) fn tighten_spill(&mut self) {
        if self.spill.len() <= self.spill.capacity() / 4 {
            self.spill.shrink_to(2 * self.spill.len());
        }
    }

    /// Brings entries of a home back from the stash and the spill while its two buckets have room.
    pub(super) fn refill(&mut self, home: usize) {
        if !self.homes[home].overflowed() {
            return;
        }
        while self.homes[home].free().count() + self.homes[Self::next(home)].free().count() > 0 {
            let Some(place) = self.away_of(home).next() else { break };
            let fingerprint = match place {
                Place::Home { .. } => break,
                Place::Stash { bucket, slot } => self.stashes[bucket].fingerprint(slot),
                Place::Spill { at } => self.spill[at].tag.fingerprint,
            };
            let Some(entry) = self.take(place) else { break };
            let placed = self.place_near(entry, Tag { home: home as u8, fingerprint });
            assert!(placed.is_ok(), "one of the two buckets had room");
            self.len += 1;
            self.touch(home);
        }
        self.judge_overflow(home);
    }

    pub(super) fn judge_overflow(&mut self, home: usize) {
        let overflowed = self.away_of(home).next().is_some();
        self.homes[home].set_overflowed(overflowed);
    }

    /// The places of a home's entries in the stash and the spill.
    pub(super) fn away_of(&self, home: usize) -> impl Iterator<Item = Place> {
        let home = home as u8;
        let stashed = self.stashes.iter().zip(&self.stash_homes).enumerate().flat_map(
            move |(bucket, (stash, homes))| {
                stash.occupied().and(equal_slots(homes, home)).map(move |slot| Place::Stash { bucket, slot })
            },
        );
        let spilled = self.spill.iter().enumerate().filter(move |(_, spilled)| spilled.tag.home == home);
        stashed.chain(spilled.map(|(at, _)| Place::Spill { at }))
    }

    /// The places of all entries of a home bucket.
    pub(super) fn places_of(&self, home: usize) -> impl Iterator<Item = Place> {
        let (own, bucket) = (&self.homes[home], Self::next(home));
        let other = &self.homes[bucket];
        let near =
            own.occupied().without(own.displaced()).map(move |slot| Place::Home { bucket: home, slot });
        let displaced = other.displaced().map(move |slot| Place::Home { bucket, slot });
        let away = own.overflowed().then(|| self.away_of(home));
        near.chain(displaced).chain(away.into_iter().flatten())
    }

    /// All entries, home buckets first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &E> {
        let slotted = self.homes.iter().chain(&self.stashes).flat_map(Bucket::iter);
        slotted.chain(self.spill.iter().map(|spilled| &spilled.entry))
    }

    /// The entries whose home bucket this is, wherever they lie.
    pub(super) fn entries_of_home(&self, home: usize) -> impl Iterator<Item = &E> {
        self.places_of(home).filter_map(|place| self.get(place))
    }

    /// The entries that lie in one of the buckets, stash buckets last, and the spill behind the last of them.
    pub(super) fn entries_of_bucket(&self, bucket: usize) -> impl Iterator<Item = &E> {
        let own = if bucket < HOME { &self.homes[bucket] } else { &self.stashes[bucket - HOME] };
        let spill = if bucket + 1 == HOME + STASH { &self.spill[..] } else { &[] };
        own.iter().chain(spill.iter().map(|spilled| &spilled.entry))
    }

    /// The entry with `rank` others before it in one of the buckets, stash buckets last.
    #[inline]
    pub(super) fn nth_of_bucket(&self, bucket: usize, rank: usize) -> Option<&E> {
        let bucket = if bucket < HOME { &self.homes[bucket] } else { &self.stashes[bucket - HOME] };
        bucket.occupied().nth(rank).and_then(|slot| bucket.get(slot))
    }

    /// The entry with `rank` others before it in the segment.
    pub(super) fn nth(&self, mut rank: usize) -> Option<&E> {
        for bucket in self.homes.iter().chain(&self.stashes) {
            let count = bucket.occupied().count();
            if rank < count {
                return bucket.occupied().nth(rank).and_then(|slot| bucket.get(slot));
            }
            rank -= count;
        }
        self.spill.get(rank).map(|spilled| &spilled.entry)
    }

    /// Counts a change of a home bucket.
    pub(super) fn touch(&mut self, home: usize) {
        self.versions[home] = self.versions[home].wrapping_add(1);
    }

    /// How often a home bucket has changed.
    pub(super) fn version(&self, tag: Tag) -> u32 {
        self.versions[Self::home(tag)]
    }

    /// Brings the home bucket towards the cache. Few entries lie elsewhere.
    #[inline]
    pub(super) fn prefetch(&self, tag: Tag) {
        self.prefetch_bucket(Self::home(tag));
    }

    /// Brings any bucket towards the cache, stash buckets last.
    #[inline]
    pub(super) fn prefetch_bucket(&self, bucket: usize) {
        match self.homes.get(bucket) {
            Some(home) => home.prefetch(),
            None => self.stashes.get(bucket - HOME).into_iter().for_each(|stash| stash.prefetch()),
        }
    }

    /// Brings towards the cache what putting an entry in looks at besides its home bucket.
    #[inline]
    pub(super) fn prefetch_accounts(&self, tag: Tag) {
        prefetch(&self.versions[Self::home(tag)]);
        prefetch(&self.len);
    }

    /// Brings the entries of the home bucket towards the cache that may be the one.
    #[inline]
    pub(super) fn prefetch_entry(&self, tag: Tag) {
        let home = &self.homes[Self::home(tag)];
        home.matches(tag.fingerprint).filter_map(|slot| home.get(slot)).for_each(Entry::prefetch);
    }

    /// Lowers the bound of a home. Returns whether it was higher.
    pub(super) fn lower_bound(&mut self, tag: Tag, bound: Bound) -> bool {
        let known = &mut self.bounds[Self::home(tag)];
        let lowers = bound < *known;
        *known = bound.min(*known);
        lowers
    }

    /// The lowest bound of all homes.
    pub(super) fn lowest_bound(&self) -> Bound {
        self.bounds.iter().copied().min().unwrap_or(Bound::NEVER)
    }

    /// The first home from `from` on whose bound is not later than `now`.
    pub(super) fn first_due(&self, from: usize, now: Bound) -> Option<usize> {
        (from..HOME).find(|&home| self.bounds[home] <= now)
    }

    /// Takes out what is due of a home bucket and sets its bound by what stays.
    ///
    /// `bound_of` tells the bound of an entry that stays and nothing of one that is due.
    pub(super) fn sweep_home(
        &mut self,
        home: usize,
        bound_of: &dyn Fn(&E) -> Option<Bound>,
        expired: &mut dyn FnMut(E),
    ) {
        let mut bound = Bound::NEVER;
        let mut due = Vec::new();
        for place in self.places_of(home) {
            match self.get(place).map(bound_of) {
                Some(Some(stays)) => bound = bound.min(stays),
                Some(None) => due.push(place),
                None => {}
            }
        }
        self.bounds[home] = bound;
        if due.is_empty() {
            return;
        }
        self.touch(home);
        // From the last place to the first: whatever a removal moves up comes from behind, out of places that
        // are already dealt with.
        for place in due.into_iter().rev() {
            if let Some(entry) = self.take(place) {
                expired(entry);
            }
        }
        self.judge_overflow(home);
        if self.away > 0 {
            for home in [home, Self::next(home), Self::previous(home)] {
                self.refill(home);
            }
        }
    }

    /// The bound of one home.
    pub(super) fn bound_of_home(&self, home: usize) -> Bound {
        self.bounds[home]
    }
}
