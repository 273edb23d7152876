//! What a stream knows of its past: how many entries there were, and where some are missing. From that follows how far a group has read.

use super::group::Group;
use super::id::StreamId;

/// Counts of a stream at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Past {
    /// Entries that are there.
    pub len: u64,
    /// Entries that ever were.
    pub added: u64,
    /// The id of the first entry; the lowest of all if there is none.
    pub first: StreamId,
    /// The highest id that ever was.
    pub last: StreamId,
    /// The highest id that was removed by name; the lowest of all if none was.
    pub deleted: StreamId,
}

impl Past {
    /// How many of all entries that ever were lie up to an id; `None` if nobody knows, since some were removed or it is not there yet.
    pub fn rank(self, id: StreamId) -> Option<u64> {
        let before = self.added.wrapping_sub(self.len);
        if self.added == 0 {
            return Some(0);
        }
        if self.len == 0 && id <= self.last {
            return Some(self.added);
        }
        if id != StreamId::MIN && id < self.deleted || id > self.last {
            return None;
        }
        if id == self.last {
            return Some(self.added);
        }
        // What was removed lies before all that is there: it is as if it had been trimmed.
        let is_whole = self.deleted == StreamId::MIN || self.deleted < self.first;
        match id.cmp(&self.first) {
            std::cmp::Ordering::Less if is_whole => Some(before),
            std::cmp::Ordering::Equal if is_whole => Some(before.wrapping_add(1)),
            _ => None,
        }
    }

    /// True if an entry from `id` on was removed by name.
    fn has_holes_from(self, id: StreamId) -> bool {
        self.len > 0 && self.deleted != StreamId::MIN && self.first <= self.deleted && id <= self.deleted
    }

    /// How many entries a group has before it; `None` if nobody knows.
    pub fn lag(self, group: &Group) -> Option<u64> {
        if self.added == 0 || self.len == 0 {
            return Some(0);
        }
        if group.last_id < self.first && self.deleted < self.first {
            return Some(self.len);
        }
        let read = match group.entries_read {
            Some(read) if !self.has_holes_from(group.last_id) => Some(read),
            _ => self.rank(group.last_id),
        };
        read.map(|read| self.added.wrapping_sub(read))
    }

    /// How many entries a group has read once it has read this one too, which is the next.
    pub fn read_up_to(self, group: &Group, id: StreamId) -> Option<u64> {
        match group.entries_read {
            Some(read) if group.last_id >= self.first && !self.has_holes_from(group.last_id) => {
                Some(read.wrapping_add(1))
            }
            _ => self.rank(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64) -> StreamId {
        StreamId { ms, seq: 0 }
    }

    #[test]
    fn a_lag_is_known_or_not() {
        // Entries 1 to 5; some were removed.
        let past =
            |first, deleted, len| Past { len, added: 5, first: id(first), last: id(5), deleted: id(deleted) };
        for (past, last, read, lag) in [
            (past(1, 0, 5), 0, None, Some(5)),
            (past(1, 0, 5), 2, Some(2), Some(3)),
            (past(1, 0, 5), 2, None, None),
            (past(1, 0, 5), 1, None, Some(4)),
            (past(1, 0, 5), 5, None, Some(0)),
            (past(1, 3, 4), 2, Some(2), None),
            (past(1, 3, 4), 4, Some(4), Some(1)),
            (past(3, 2, 3), 2, Some(2), Some(3)),
            (past(3, 0, 3), 1, Some(1), Some(3)),
            (past(0, 5, 0), 1, None, Some(0)),
        ] {
            let group = Group::new(b"g", id(last), read);
            assert_eq!(past.lag(&group), lag, "{past:?} {last} {read:?}");
        }
        let group = Group::new(b"g", id(2), Some(2));
        assert_eq!(past(1, 0, 5).read_up_to(&group, id(3)), Some(3));
        assert_eq!(past(1, 4, 4).read_up_to(&group, id(3)), None);
        assert_eq!(past(1, 4, 4).read_up_to(&group, id(5)), Some(5));
    }
}
