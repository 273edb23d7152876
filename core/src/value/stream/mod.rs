//! A stream: entries in the order of their ids, what has been in it before, and the groups that read it.
//!
//! A stream without entries is still one. It knows ids, fields and values. It does not know keys, commands or clocks.

mod field;
mod group;
mod id;
mod idle;
mod log;
mod page;
mod past;
#[cfg(test)]
mod tests;
mod tree;

pub use group::{Consumer, ConsumerId, Group, Pending};
pub use id::{StreamId, unsigned};
pub use idle::Idle;
pub use log::{Bound, Limits};
pub use page::{Entry, Page, Words};
pub use past::Past;

use super::block::block_size;
use log::Log;

/// A stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stream(Box<Body>);

#[derive(Debug, Default, PartialEq, Eq, Hash)]
struct Body {
    log: Log,
    last_id: StreamId,
    max_deleted: StreamId,
    added: u64,
    /// By name.
    // Boxed, since each is large and its place in the list changes.
    #[allow(clippy::vec_box)]
    groups: Vec<Box<Group>>,
    /// Of all groups.
    group_bytes: usize,
}

impl Clone for Body {
    /// In blocks of the same sizes, so that a clone owns as many bytes.
    fn clone(&self) -> Body {
        let mut groups = Vec::with_capacity(self.groups.capacity());
        groups.extend_from_slice(&self.groups);
        Body { log: self.log.clone(), groups, ..*self }
    }
}

/// What becomes of groups that know an entry which is removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum References {
    /// They know it still.
    #[default]
    Keep,
    /// They forget it.
    Drop,
    /// It is removed only if all have read and acknowledged it.
    Acked,
}

/// What became of an entry that was to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Removal {
    /// There is none.
    Absent,
    /// It is gone.
    Done,
    /// Some group knows it still.
    Referenced,
}

/// How a stream is trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    /// What goes.
    pub bound: Bound,
    /// Only where it costs little.
    pub is_coarse: bool,
    /// Entries at the most; 0: any number.
    pub limit: u64,
    /// What becomes of groups that know them.
    pub references: References,
}

impl Stream {
    /// Entries.
    pub fn len(&self) -> u64 {
        self.0.log.len()
    }

    /// True without entries.
    pub fn is_empty(&self) -> bool {
        self.0.log.is_empty()
    }

    /// True if nothing was ever in it and nobody reads it: that is what is left of a stream that was freed.
    pub fn is_blank(&self) -> bool {
        self.is_empty() && self.0.groups.is_empty() && self.0.last_id == StreamId::MIN
    }

    /// OBJECT ENCODING's word.
    pub fn encoding(&self) -> &'static str {
        "stream"
    }

    /// Blocks of entries.
    pub fn pages(&self) -> usize {
        self.0.log.pages()
    }

    /// Blocks of entries from an id on, each with its own.
    pub fn pages_from(&self, id: StreamId) -> impl Iterator<Item = (StreamId, &Page)> {
        self.0.log.pages_from(id)
    }

    /// About the bytes of all fields and values, names of groups and consumers, and ids, without what is around them.
    pub fn text_bytes(&self) -> usize {
        let ids = |group: &Group| group.pending().len() * size_of::<StreamId>();
        self.0.log.used() + self.groups().map(|group| group.name().len() + ids(group)).sum::<usize>()
    }

    /// The highest id that was ever in it.
    pub fn last_id(&self) -> StreamId {
        self.0.last_id
    }

    /// The highest id that was removed by name; the lowest of all if none was.
    pub fn max_deleted(&self) -> StreamId {
        self.0.max_deleted
    }

    /// Entries that were ever in it.
    pub fn added(&self) -> u64 {
        self.0.added
    }

    /// Bytes of memory that it owns.
    pub fn owned_bytes(&self) -> usize {
        block_size(size_of::<Body>())
            + self.0.log.bytes()
            + block_size(self.0.groups.capacity() * size_of::<Box<Group>>())
            + self.0.group_bytes
    }

    /// Blocks that it takes steps to free.
    pub fn blocks(&self) -> usize {
        self.pages() + self.0.groups.iter().map(|group| group.blocks() + 1).sum::<usize>()
    }

    /// Frees about `steps` of its blocks; how many steps that took, and at least one if anything was left.
    pub fn free_some(&mut self, steps: usize) -> usize {
        let body = &mut *self.0;
        let mut freed = body.log.free_some(steps);
        while freed < steps
            && let Some(group) = body.groups.last_mut()
        {
            let before = group.bytes();
            freed += group.free_some(steps - freed);
            body.group_bytes = body.group_bytes + group.bytes() - before;
            if group.is_freed()
                && let Some(group) = body.groups.pop()
            {
                body.group_bytes -= group.bytes();
            }
        }
        if body.log.is_empty() && body.groups.is_empty() {
            *body = Body::default();
        }
        freed.max(1)
    }

    /// The id that an entry gets which comes now; `None` if there are no more.
    pub fn next_id(&self, now: u64) -> Option<StreamId> {
        match now > self.0.last_id.ms {
            true => Some(StreamId { ms: now, seq: 0 }),
            false => self.0.last_id.next(),
        }
    }

    /// Adds an entry; its id is above all that were there.
    pub fn add<'a>(&mut self, id: StreamId, fields: usize, words: impl Words<'a>, limits: Limits) {
        let body = &mut *self.0;
        assert!(id > body.last_id, "ids only grow");
        body.log.push(id, fields, words, limits);
        body.last_id = id;
        body.added = body.added.wrapping_add(1);
    }

    /// The entry with this id.
    pub fn get(&self, id: StreamId) -> Option<Entry<'_>> {
        self.0.log.get(id)
    }

    /// The first entry.
    pub fn first(&self) -> Option<Entry<'_>> {
        self.0.log.first()
    }

    /// The last entry.
    pub fn last(&self) -> Option<Entry<'_>> {
        self.0.log.last()
    }

    /// The id of the first entry; the lowest of all if there is none.
    fn first_id(&self) -> StreamId {
        self.first().map_or(StreamId::MIN, |entry| entry.id)
    }

    /// Entries between two ids, both included.
    pub fn range(&self, from: StreamId, to: StreamId) -> impl Iterator<Item = Entry<'_>> {
        self.0.log.range(from, to)
    }

    /// The same, the last first.
    pub fn range_back(&self, from: StreamId, to: StreamId) -> impl Iterator<Item = Entry<'_>> {
        self.0.log.range_back(from, to)
    }

    /// How many entries lie between two ids, both included, and at most `max`.
    pub fn count(&self, from: StreamId, to: StreamId, max: usize) -> usize {
        self.0.log.count(from, to, max)
    }

    /// Takes an entry out.
    pub fn remove(&mut self, id: StreamId, references: References) -> Removal {
        if self.get(id).is_none() {
            return Removal::Absent;
        }
        match references {
            References::Acked if self.is_referenced(id) => return Removal::Referenced,
            References::Drop => self.forget(id),
            _ => {}
        }
        let body = &mut *self.0;
        body.log.remove(id);
        body.max_deleted = body.max_deleted.max(id);
        Removal::Done
    }

    /// True if some group has not read or not acknowledged an entry.
    pub fn is_referenced(&self, id: StreamId) -> bool {
        self.0.groups.iter().any(|group| group.refers_to(id))
    }

    /// All groups forget that an entry was delivered.
    fn forget(&mut self, id: StreamId) {
        let body = &mut *self.0;
        for group in &mut body.groups {
            let before = group.bytes();
            group.acknowledge(id);
            body.group_bytes = body.group_bytes + group.bytes() - before;
        }
    }

    /// Takes entries out at the beginning; how many.
    pub fn trim(&mut self, trim: Trim) -> u64 {
        let Trim { bound, is_coarse, limit, references } = trim;
        if self.0.groups.is_empty() || references == References::Keep {
            return self.0.log.trim(bound, is_coarse, limit, None);
        }
        if references == References::Drop {
            let mut gone = Vec::new();
            let trimmed = self.0.log.trim(bound, is_coarse, limit, Some(&mut |id| gone.push(id)));
            gone.into_iter().for_each(|id| self.forget(id));
            return trimmed;
        }
        // Of those that might go, those go that all groups have done with.
        let candidates = match bound {
            Bound::Len(len) => self.len().saturating_sub(len) as usize,
            Bound::Id(_) => usize::MAX,
        };
        let limit = if limit == 0 { usize::MAX } else { limit as usize };
        let is_above = |id: StreamId| matches!(bound, Bound::Id(bound) if id >= bound);
        let all = self.range(StreamId::MIN, StreamId::MAX).map(|entry| entry.id).take(candidates);
        let gone: Vec<StreamId> =
            all.take_while(|id| !is_above(*id)).filter(|id| !self.is_referenced(*id)).take(limit).collect();
        for id in &gone {
            self.0.log.remove(*id);
        }
        gone.len() as u64
    }

    /// XSETID: what has been in it before.
    pub fn set_history(&mut self, last_id: StreamId, added: Option<u64>, max_deleted: Option<StreamId>) {
        let body = &mut *self.0;
        body.last_id = last_id;
        body.added = added.unwrap_or(body.added);
        body.max_deleted = max_deleted.unwrap_or(body.max_deleted);
    }

    /// Its groups, by name.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = &Group> {
        self.0.groups.iter().map(|group| &**group)
    }

    /// The group at this place in the order of names.
    pub fn group_at(&self, at: usize) -> Option<&Group> {
        self.0.groups.get(at).map(|group| &**group)
    }

    fn place(&self, name: &[u8]) -> Result<usize, usize> {
        self.0.groups.binary_search_by(|group| group.name().cmp(name))
    }

    /// The group of this name.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.place(name).ok().map(|at| &*self.0.groups[at])
    }

    /// Lets `change` work on the group of this name.
    pub fn change_group<R>(&mut self, name: &[u8], change: impl FnOnce(&mut Group) -> R) -> Option<R> {
        let at = self.place(name).ok()?;
        let group = &mut self.0.groups[at];
        let before = group.bytes();
        let result = change(group);
        self.0.group_bytes = self.0.group_bytes + self.0.groups[at].bytes() - before;
        Some(result)
    }

    /// A new group; false if there is one of this name.
    pub fn add_group(&mut self, name: &[u8], last_id: StreamId, entries_read: Option<u64>) -> bool {
        let Err(at) = self.place(name) else { return false };
        let group = Box::new(Group::new(name, last_id, entries_read));
        self.0.group_bytes += group.bytes();
        self.0.groups.insert(at, group);
        true
    }

    /// Takes a group out, if it is there: in a stream without entries, to be freed as such, since much may be pending in it.
    pub fn remove_group(&mut self, name: &[u8]) -> Option<Stream> {
        let at = self.place(name).ok()?;
        let group = self.0.groups.remove(at);
        self.0.group_bytes -= group.bytes();
        if self.0.groups.is_empty() {
            self.0.groups = Vec::new();
        }
        let mut removed = Stream::default();
        removed.0.group_bytes = group.bytes();
        removed.0.groups = vec![group];
        Some(removed)
    }

    /// What it knows of its past.
    pub fn past(&self) -> Past {
        Past {
            len: self.len(),
            added: self.added(),
            first: self.first_id(),
            last: self.last_id(),
            deleted: self.max_deleted(),
        }
    }

    /// A group has got the next entries; they are pending with `to`, who gets them now, if they are to be acknowledged.
    pub fn deliver(&mut self, group: &[u8], entries: &[StreamId], to: Option<(ConsumerId, u64)>) {
        let past = self.past();
        self.change_group(group, |group| {
            for &id in entries {
                if past.added > 0 {
                    group.entries_read = past.read_up_to(group, id);
                }
                group.last_id = id;
                if let Some((consumer, delivered)) = to {
                    group.give(id, Pending { consumer, delivered, times: 1 });
                }
            }
        });
    }
}
