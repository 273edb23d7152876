//! How a segment changes as a whole: it splits, takes in its buddy, or gives up all it has.
//!
//! It knows the places of a segment. When that is to happen, the table decides; where a key stands in hash order,
//! it asks the caller.

use super::Entry;
use super::deadlines::Bound;
use super::directory::Stretch;
use super::segment::{Segment, Spilled, Tag};

impl<E: Entry, const HOME: usize, const STASH: usize, const SLOTS: usize> Segment<E, HOME, STASH, SLOTS> {
    /// Takes all entries out and leaves the segment empty.
    pub(super) fn drain(&mut self) -> Vec<E> {
        let mut entries = Vec::with_capacity(self.len());
        for bucket in self.homes.iter_mut().chain(&mut self.stashes) {
            entries.extend(bucket.occupied().filter_map(|slot| bucket.take(slot)).map(|(_, entry)| entry));
            bucket.set_overflowed(false);
            bucket.set_continued(false);
        }
        entries.extend(std::mem::take(&mut self.spill).into_iter().map(|spilled| spilled.entry));
        self.bounds.fill(Bound::NEVER);
        (0..HOME).for_each(|home| self.touch(home));
        (self.len, self.away) = (0, 0);
        entries
    }

    /// Splits off the upper half of the stretch. Entries stay in the bucket and slot they had, in one half or
    /// the other, so that this cannot fail; then both halves bring home what they can.
    pub(super) fn split(&mut self, position: impl Fn(&E) -> u32) -> Box<Self> {
        let (lower, upper) = self.stretch.halves();
        let mut sibling = Self::new(upper);
        self.stretch = lower;
        (0..HOME).for_each(|home| self.touch(home));
        sibling.bounds = self.bounds;
        sibling.versions = self.versions;
        sibling.stash_homes = self.stash_homes;
        let goes = |entry: &E| position(entry) >= upper.start;
        let pairs = self.homes.iter_mut().zip(&mut sibling.homes);
        for (source, target) in pairs.chain(self.stashes.iter_mut().zip(&mut sibling.stashes)) {
            // Each key is looked at, wherever in memory it lies: all of a bucket are on their way before the first is.
            source.iter().for_each(Entry::prefetch);
            for slot in source.occupied() {
                if source.get(slot).is_some_and(goes) {
                    let displaced = source.displaced().contains(slot);
                    if let Some((fingerprint, entry)) = source.take(slot) {
                        target.put(slot, fingerprint, displaced, entry);
                    }
                }
            }
        }
        for spilled in std::mem::take(&mut self.spill) {
            let half = if goes(&spilled.entry) { &mut sibling.spill } else { &mut self.spill };
            half.push(spilled);
        }
        self.settle();
        sibling.settle();
        sibling
    }

    /// Counts again after entries have left, and brings home those that lie elsewhere for no reason.
    fn settle(&mut self) {
        let stashed: usize = self.stashes.iter().map(|stash| stash.occupied().count()).sum();
        let near: usize = self.homes.iter().map(|home| home.occupied().count()).sum();
        self.away = (stashed + self.spill.len()) as u32;
        self.len = near as u32 + self.away;
        for home in 0..HOME {
            self.judge_continued(home);
            let next = Self::next(home);
            for slot in self.homes[next].displaced() {
                let Some(free) = self.homes[home].free().first() else { break };
                self.shift(next, slot, home, free, false);
            }
        }
        // What was spilled moves up into the stash while that has room, and from there home.
        while let Some(Spilled { tag, entry }) = self.spill.pop() {
            self.away -= 1;
            if let Err(entry) = self.place_in_stash(entry, tag) {
                self.away += 1;
                self.spill.push(Spilled { tag, entry });
                break;
            }
        }
        self.tighten_spill();
        for home in 0..HOME {
            self.judge_overflow(home);
            self.refill(home);
        }
    }

    /// Takes all entries of its buddy and becomes the segment of their parent's stretch.
    pub(super) fn absorb(&mut self, buddy: &mut Self, parent: Stretch) {
        self.stretch = parent;
        for home in 0..HOME {
            self.bounds[home] = self.bounds[home].min(buddy.bounds[home]);
            self.versions[home] = self.versions[home].max(buddy.versions[home]);
            self.touch(home);
        }
        for bucket in 0..HOME {
            let displaced = buddy.homes[bucket].displaced();
            for slot in buddy.homes[bucket].occupied() {
                let home = if displaced.contains(slot) { Self::previous(bucket) } else { bucket } as u8;
                if let Some((fingerprint, entry)) = buddy.homes[bucket].take(slot) {
                    self.insert_anyhow(entry, Tag { home, fingerprint });
                }
            }
        }
        for (stash, homes) in buddy.stashes.iter_mut().zip(&buddy.stash_homes) {
            for slot in stash.occupied() {
                if let Some((fingerprint, entry)) = stash.take(slot) {
                    self.insert_anyhow(entry, Tag { home: homes[slot], fingerprint });
                }
            }
        }
        for Spilled { tag, entry } in std::mem::take(&mut buddy.spill) {
            self.insert_anyhow(entry, tag);
        }
    }

    fn insert_anyhow(&mut self, entry: E, tag: Tag) {
        if let Err(entry) = self.insert(entry, tag) {
            self.insert_spilled(entry, tag);
        }
    }
}
