//! The entries of a stream: pages in the order of their ids. What is new lies at the end.
//!
//! It does not know groups, nor what has been in the stream before.

use super::id::StreamId;
use super::page::{Entry, Page, Words};
use super::tree::Tree;

/// Entries in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Log {
    pages: Tree<Page>,
    len: u64,
    /// Of the pages' blocks.
    page_bytes: usize,
}

/// How much a page may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes; 0: as many as there may be.
    pub bytes: u64,
    /// Entries; 0: any number.
    pub entries: u64,
}

impl Limits {
    /// However they are configured, a page stays below this.
    const BYTES_MAX: u64 = 1 << 24;

    fn bytes(self) -> usize {
        let bytes = if self.bytes == 0 { Limits::BYTES_MAX } else { self.bytes };
        bytes.min(Limits::BYTES_MAX) as usize
    }

    fn entries(self) -> usize {
        if self.entries == 0 { usize::MAX } else { self.entries as usize }
    }
}

/// Which entries are trimmed: those at the beginning
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// that are more than so many.
    Len(u64),
    /// that are below an id.
    Id(StreamId),
}

impl Log {
    /// Entries.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// True without entries.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Pages.
    pub fn pages(&self) -> usize {
        self.pages.len()
    }

    /// Pages from an id on, each with its own.
    pub fn pages_from(&self, id: StreamId) -> impl Iterator<Item = (StreamId, &Page)> {
        self.pages.from(id)
    }

    /// Bytes of the pages that are in use.
    pub fn used(&self) -> usize {
        self.pages.from(StreamId::MIN).map(|(_, page)| page.used()).sum()
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.pages.bytes() + self.page_bytes
    }

    /// Adds an entry behind all others.
    pub fn push<'a>(&mut self, id: StreamId, fields: usize, words: impl Words<'a>, limits: Limits) {
        self.len += 1;
        let size: usize = words.clone().map(|word| word.len() + 2).sum();
        let mut expected = size + 16;
        if let Some((base, page)) = self.pages.last_mut() {
            let before = page.owned_bytes();
            let fits = page.used() + size < limits.bytes() && page.len() < limits.entries();
            if fits && Page::reaches(base, id) {
                page.push(base, id, fields, words);
                self.page_bytes = self.page_bytes + page.owned_bytes() - before;
                return;
            }
            // The next page will be like this one.
            expected = expected.max(page.used().min(limits.bytes()));
            page.close();
            self.page_bytes = self.page_bytes + page.owned_bytes() - before;
        }
        let mut page = Page::new(fields, words.clone(), expected);
        page.push(id, id, fields, words);
        self.page_bytes += page.owned_bytes();
        self.pages.insert(id, page);
    }

    /// The entry with this id.
    pub fn get(&self, id: StreamId) -> Option<Entry<'_>> {
        let (base, page) = self.pages.at_or_before(id)?;
        page.entries(base).take_while(|entry| entry.id <= id).find(|entry| entry.id == id)
    }

    /// The first entry.
    pub fn first(&self) -> Option<Entry<'_>> {
        let (base, page) = self.pages.first()?;
        page.first(base)
    }

    /// The last entry.
    pub fn last(&self) -> Option<Entry<'_>> {
        let (base, page) = self.pages.last()?;
        page.last(base)
    }

    /// The page in which an id lies, or would lie.
    fn page_of(&self, id: StreamId) -> StreamId {
        self.pages.at_or_before(id).map_or(StreamId::MIN, |(base, _)| base)
    }

    /// Entries between two ids, both included.
    pub fn range(&self, from: StreamId, to: StreamId) -> impl Iterator<Item = Entry<'_>> {
        let pages = self.pages.from(self.page_of(from)).take_while(move |(base, _)| *base <= to);
        let entries = pages.flat_map(|(base, page)| page.entries(base));
        entries.skip_while(move |entry| entry.id < from).take_while(move |entry| entry.id <= to)
    }

    /// The same, the last first.
    pub fn range_back(&self, from: StreamId, to: StreamId) -> impl Iterator<Item = Entry<'_>> {
        let lowest = self.page_of(from);
        let pages = self.pages.back_from(to).take_while(move |(base, _)| *base >= lowest);
        let entries = pages.flat_map(|(base, page)| page.entries_back(base));
        entries.skip_while(move |entry| entry.id > to).take_while(move |entry| entry.id >= from)
    }

    /// How many entries lie between two ids, both included; it may stop to count at `max`.
    pub fn count(&self, from: StreamId, to: StreamId, max: usize) -> usize {
        let mut count = 0;
        let mut pages = self.pages.from(self.page_of(from)).take_while(|(base, _)| *base <= to).peekable();
        while let Some((base, page)) = pages.next()
            && count < max
        {
            let is_inner = base >= from && pages.peek().is_some();
            count += match is_inner {
                true => page.len(),
                false => {
                    let above = page.entries(base).skip_while(|entry| entry.id < from);
                    above.take_while(|entry| entry.id <= to).count()
                }
            };
        }
        count.min(max)
    }

    /// Takes an entry out; true if it was there.
    pub fn remove(&mut self, id: StreamId) -> bool {
        self.change_page(self.page_of(id), |base, page| usize::from(page.remove(base, id))) > 0
    }

    /// Lets `change` take entries out of a page, which goes if none are left; how many.
    fn change_page(&mut self, base: StreamId, change: impl FnOnce(StreamId, &mut Page) -> usize) -> usize {
        let Some(page) = self.pages.get_mut(base) else { return 0 };
        let before = page.owned_bytes();
        let removed = change(base, page);
        self.len -= removed as u64;
        self.page_bytes = self.page_bytes + page.owned_bytes() - before;
        if page.is_empty() {
            self.page_bytes -= page.owned_bytes();
            self.pages.remove(base);
        }
        removed
    }

    fn drop_page(&mut self, base: StreamId) -> u64 {
        let Some(page) = self.pages.remove(base) else { return 0 };
        self.page_bytes -= page.owned_bytes();
        self.len -= page.len() as u64;
        page.len() as u64
    }

    /// Takes entries out at the beginning, each of which is `told`; how many. Of the pages only whole ones if `is_coarse`, and not more
    /// than `limit` entries unless that is 0.
    pub fn trim(
        &mut self,
        bound: Bound,
        is_coarse: bool,
        limit: u64,
        mut told: Option<&mut dyn FnMut(StreamId)>,
    ) -> u64 {
        let mut trimmed = 0;
        while let Some((base, page)) = self.pages.first() {
            let held = page.len() as u64;
            let is_enough = match bound {
                Bound::Len(len) => self.len <= len,
                Bound::Id(id) => base >= id,
            };
            if is_enough || is_coarse && limit > 0 && trimmed + held > limit {
                break;
            }
            let is_whole = match bound {
                Bound::Len(len) => self.len - held >= len,
                Bound::Id(id) => page.last(base).is_some_and(|last| last.id < id),
            };
            if !is_whole && is_coarse {
                break;
            }
            if is_whole && told.is_none() {
                trimmed += self.drop_page(base);
                continue;
            }
            let mut left = match bound {
                Bound::Len(len) => self.len - len,
                Bound::Id(_) => held,
            };
            let is_gone = |id: StreamId| {
                let is_gone = left > 0 && !matches!(bound, Bound::Id(bound) if id >= bound);
                left = left.saturating_sub(1);
                if is_gone && let Some(told) = &mut told {
                    told(id);
                }
                is_gone
            };
            trimmed += self.change_page(base, |base, page| page.drop_first(base, is_gone)) as u64;
            if !is_whole {
                break;
            }
        }
        trimmed
    }

    /// Frees about `steps` pages; how many.
    pub fn free_some(&mut self, steps: usize) -> usize {
        let mut freed = 0;
        while freed < steps {
            let pages = self.pages.take_last();
            if pages.is_empty() {
                break;
            }
            freed += pages.len();
            for (_, page) in pages {
                self.len -= page.len() as u64;
                self.page_bytes -= page.owned_bytes();
            }
        }
        freed
    }
}

#[cfg(test)]
impl Log {
    /// Bytes counted anew.
    pub(super) fn recount(&self) -> usize {
        let pages = self.pages.from(StreamId::MIN).map(|(_, page)| page.owned_bytes());
        self.pages.bytes() + pages.sum::<usize>()
    }
}
