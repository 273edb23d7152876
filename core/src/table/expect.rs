//! Growth that is known of: who says how many entries come has segments split while there is little in them.
//!
//! A full segment that splits looks at each of its keys, wherever in memory they lie. One that holds a sixteenth of that does so for a
//! sixteenth of the price, and where it is certain that it would fill up and split in the end, nothing is lost: the table is the same when all
//! have come. What was said is not believed further than entries come: at no time is there more than one segment for each few of those that
//! are there, and what was split for nothing merges again.
//!
//! It knows stretches and how many entries to expect in one. It does not know who says so.

use super::dashtable::Dashtable;
use super::directory::{Directory, Stretch, bent};
use super::{Entry, KeyHashing};

impl<E: Entry, const HOME: usize, const STASH: usize, const SLOTS: usize, H: KeyHashing>
    Dashtable<E, HOME, STASH, SLOTS, H>
{
    /// A segment that is to split early does so with so many entries.
    pub(super) const EARLY_LEN: usize = Self::CAPACITY / 16;
    /// Two that were split early for nothing hold no more than this together: one that was full when it split held more.
    const SPARSE_LEN: usize = Self::CAPACITY * 3 / 4;

    /// There will be so many entries in all, those included that are there: [`Dashtable::expect_no_more`] ends that.
    pub fn expect(&mut self, entries: usize) {
        self.expected = entries;
    }

    /// Whatever comes now was not expected. Segments that were split for entries that have not come merge.
    pub fn expect_no_more(&mut self) {
        if std::mem::take(&mut self.expected) <= self.len {
            return;
        }
        let mut end = 0;
        while let Some(index) = u32::try_from(end).ok().and_then(|start| self.directory.find(start)) {
            if !self.merge_up_to(Self::SPARSE_LEN, index) {
                end = self.segments[index].stretch().end();
            }
        }
    }

    /// True if a segment will certainly be full and have to split.
    #[cold]
    pub(super) fn splits_anyway(&self, index: usize) -> bool {
        let stretch = self.segments[index].stretch();
        if stretch.depth == Directory::DEPTH_MAX {
            return false;
        }
        // More than fit into it by a margin that chance does not make up for.
        let certain = Self::CAPACITY as u128 * 21 / 20;
        (u128::from(share(stretch)) * self.expected as u128) >> 32 > certain
    }
}

/// How many of 2^32 keys stand in a stretch.
fn share(stretch: Stretch) -> u64 {
    first_from(stretch.end()) - first_from(u64::from(stretch.start))
}

/// The first place in even order from which on keys stand at this position of the bent order or behind it.
fn first_from(position: u64) -> u64 {
    let (mut low, mut high) = (0, 1u64 << 32);
    while low < high {
        let middle = low.midpoint(high);
        if u64::from(bent(middle as u32)) < position { low = middle + 1 } else { high = middle }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::KeyHasher;

    struct Item(Box<[u8; 8]>);

    impl Entry for Item {
        fn key(&self) -> &[u8] {
            &*self.0
        }
    }

    type Table = Dashtable<Item>;

    fn filled(expected: usize, entries: u64) -> Table {
        let mut table = Table::new(KeyHasher::new([1, 2, 3, 4]));
        table.expect(expected);
        for n in 0..entries {
            let item = Item(Box::new(n.to_le_bytes()));
            let hash = table.hash(item.key());
            table.insert(item, hash);
            let most = 1 + table.len() / (Table::EARLY_LEN / 4);
            assert!(table.segments.len() <= most, "{} segments for {n}", table.segments.len());
        }
        table
    }

    fn stretches(table: &Table) -> Vec<(u32, u8)> {
        let mut all: Vec<_> =
            table.segments.iter().map(|segment| (segment.stretch().start, segment.stretch().depth)).collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn a_table_that_knew_is_the_one_that_grew() {
        for entries in [0, 1, 900, 1_000, 20_000, 70_000, 100_000, 150_000] {
            let grown = filled(0, entries);
            let mut knew = filled(entries as usize, entries);
            for _ in 0..2 {
                knew.check();
                assert_eq!(stretches(&knew), stretches(&grown), "{entries}");
                let bytes = knew.allocated_bytes() - knew.spill_bytes;
                assert_eq!(bytes, grown.allocated_bytes() - grown.spill_bytes, "{entries}");
                knew.expect_no_more();
            }
        }
    }

    #[test]
    fn what_does_not_come_is_not_paid_for() {
        for expected in [200_000, 1 << 40, usize::MAX] {
            for entries in [0, 1, 100, 5_000, 40_000] {
                let grown = filled(0, entries);
                let mut lied_to = filled(expected, entries);
                lied_to.check();
                lied_to.expect_no_more();
                lied_to.check();
                assert_eq!(lied_to.len(), entries as usize);
                assert!(lied_to.segments.len() <= 2 * grown.segments.len().max(1), "{expected} {entries}");
            }
        }
    }

    #[test]
    fn more_than_was_expected_finds_room() {
        let mut table = filled(1_000, 60_000);
        table.check();
        table.expect_no_more();
        assert_eq!(stretches(&table), stretches(&filled(0, 60_000)));
    }

    #[test]
    fn the_shares_of_stretches_are_all_there_is_and_grow_with_the_density() {
        assert_eq!(share(Stretch::WHOLE), 1 << 32);
        let eighth = |n: u32| share(Stretch { start: n << 29, depth: 3 });
        assert_eq!((0..8).map(eighth).sum::<u64>(), 1 << 32);
        assert!((1..8).all(|n| eighth(n - 1) < eighth(n)));
    }
}
