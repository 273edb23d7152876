//! A page: entries of a stream that follow each other, packed into one block of memory.
//!
//! The fields of its first entry are written once, at the beginning; an entry with the same fields has only its values.
//!
//! ```text
//! page:   number of fields, fields | room of entries that are gone | entries
//! entry:  bytes of what follows | milliseconds since the page's id, doubled, 1 if it has fields of its own
//!         | number within the millisecond | [number of fields] | values, or fields and values by turns
//! ```
//!
//! Counts are varints, see [`super::field`]. It knows ids, fields and values. It does not know how pages follow each other: its own id is
//! told with each call.

use smallvec::SmallVec;

use super::super::block::block_size;
use super::super::element::Element;
use super::field::{is, put, put_count, take, take_count};
use super::id::StreamId;

/// Some entries.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Page {
    bytes: Vec<u8>,
    /// Where the fields end that many entries share.
    head: u32,
    /// Where the first entry begins.
    start: u32,
    count: u32,
}

/// An entry as it lies in a page.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its id.
    pub id: StreamId,
    /// How many fields it has.
    pub fields: usize,
    /// The fields, if they are not among the values.
    shared: Option<&'a [u8]>,
    body: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Fields and values.
    pub fn pairs(self) -> impl Iterator<Item = (Element<'a>, Element<'a>)> {
        let (mut shared, mut body) = (self.shared, self.body);
        (0..self.fields).map(move |_| {
            let field = match &mut shared {
                Some(shared) => take(shared),
                None => take(&mut body),
            };
            (field, take(&mut body))
        })
    }

    /// True if its fields are those that many entries of its page share.
    pub fn is_alike(self) -> bool {
        self.shared.is_some()
    }
}

/// The fields and values of an entry to be written, by turns.
pub trait Words<'a>: Iterator<Item = &'a [u8]> + Clone {}

impl<'a, T: Iterator<Item = &'a [u8]> + Clone> Words<'a> for T {}

/// Entries this many milliseconds behind their page's id lie in another page.
const SPAN_MAX: u64 = 1 << 62;
/// A page grows by doubling up to here, then by a part of its size; when it is closed, room is given back.
const DOUBLED_MAX: usize = 1_024;
const GROWTH: usize = 4;
/// Room of entries that are gone is kept up to this many bytes, or as many as are used.
const GONE_MAX: usize = 64;

impl Page {
    /// A page for an entry with these words, with room for about `expected` bytes.
    pub fn new<'a>(fields: usize, words: impl Words<'a>, expected: usize) -> Page {
        let mut bytes = Vec::with_capacity(block_size(expected));
        put_count(&mut bytes, fields as u64);
        words.step_by(2).for_each(|field| put(&mut bytes, field));
        let head = bytes.len() as u32;
        Page { bytes, head, start: head, count: 0 }
    }

    /// Entries.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// True without entries.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes that are in use.
    pub fn used(&self) -> usize {
        self.bytes.len() - (self.start - self.head) as usize
    }

    /// Bytes of its block.
    pub fn owned_bytes(&self) -> usize {
        block_size(self.bytes.capacity())
    }

    /// The fields that many entries share.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = Element<'_>> {
        let mut head = &self.bytes[..self.head as usize];
        let count = take_count(&mut head) as usize;
        (0..count).map(move |_| take(&mut head))
    }

    /// True if an id is near enough.
    pub fn reaches(base: StreamId, id: StreamId) -> bool {
        id.ms - base.ms < SPAN_MAX
    }

    /// Adds an entry behind all others.
    pub fn push<'a>(&mut self, base: StreamId, id: StreamId, fields: usize, words: impl Words<'a>) {
        let is_shared = self.shares(fields, words.clone());
        let words = words.enumerate().filter(|(n, _)| !is_shared || n % 2 == 1).map(|(_, word)| word);
        let at_most = words.clone().map(|word| word.len() + 5).sum::<usize>() + 30;
        self.make_room(at_most);
        let at = self.bytes.len();
        let ms = id.ms - base.ms;
        self.bytes.push(0);
        put_count(&mut self.bytes, ms << 1 | u64::from(!is_shared));
        put_count(&mut self.bytes, if ms == 0 { id.seq - base.seq } else { id.seq });
        if !is_shared {
            put_count(&mut self.bytes, fields as u64);
        }
        words.for_each(|word| put(&mut self.bytes, word));
        let len = self.bytes.len() - at - 1;
        if len < 0x80 {
            self.bytes[at] = len as u8;
        } else {
            let mut prefix = Vec::with_capacity(10);
            put_count(&mut prefix, len as u64);
            self.bytes.splice(at..=at, prefix);
        }
        self.count += 1;
    }

    /// True if these are the fields at the beginning.
    fn shares<'a>(&self, fields: usize, words: impl Words<'a>) -> bool {
        let mut head = &self.bytes[..self.head as usize];
        take_count(&mut head) == fields as u64 && words.step_by(2).all(|field| is(take(&mut head), field))
    }

    fn make_room(&mut self, len: usize) {
        let (used, capacity) = (self.bytes.len(), self.bytes.capacity());
        if used + len <= capacity {
            return;
        }
        let grown = capacity + if capacity < DOUBLED_MAX { capacity } else { capacity / GROWTH };
        self.bytes.reserve_exact(block_size((used + len).max(grown)) - used);
    }

    /// No more will be added: room for more is given back.
    pub fn close(&mut self) {
        let fit = block_size(self.bytes.len());
        if fit < self.bytes.capacity() {
            self.bytes.shrink_to(fit);
        }
    }

    /// All entries in order.
    pub fn entries(&self, base: StreamId) -> Entries<'_> {
        Entries { page: self, base, at: self.start as usize }
    }

    /// All entries, the last first.
    pub fn entries_back(&self, base: StreamId) -> impl Iterator<Item = Entry<'_>> {
        let mut places: SmallVec<[u32; 128]> = SmallVec::new();
        let mut entries = self.entries(base);
        while entries.at < self.bytes.len() {
            places.push(entries.at as u32);
            entries.skip_one();
        }
        places.into_iter().rev().filter_map(move |at| Entries { page: self, base, at: at as usize }.next())
    }

    /// The first entry.
    pub fn first(&self, base: StreamId) -> Option<Entry<'_>> {
        self.entries(base).next()
    }

    /// The last entry.
    pub fn last(&self, base: StreamId) -> Option<Entry<'_>> {
        let mut entries = self.entries(base);
        let mut last = entries.clone();
        while entries.at < self.bytes.len() {
            last = entries.clone();
            entries.skip_one();
        }
        last.next()
    }

    /// Takes an entry out; true if it was there.
    pub fn remove(&mut self, base: StreamId, id: StreamId) -> bool {
        let mut entries = self.entries(base);
        loop {
            let from = entries.at;
            match entries.next() {
                Some(entry) if entry.id < id => {}
                Some(entry) if entry.id == id => {
                    let to = entries.at;
                    self.count -= 1;
                    match from == self.start as usize {
                        true => self.start = to as u32,
                        false => drop(self.bytes.drain(from..to)),
                    }
                    self.give_back();
                    return true;
                }
                _ => return false,
            }
        }
    }

    /// Takes the first entries out as long as there are some and `is_gone` says so; how many.
    pub fn drop_first(&mut self, base: StreamId, mut is_gone: impl FnMut(StreamId) -> bool) -> usize {
        let mut entries = self.entries(base);
        let mut start = entries.at;
        let mut gone = 0;
        while entries.next().is_some_and(|entry| is_gone(entry.id)) {
            start = entries.at;
            gone += 1;
        }
        self.start = start as u32;
        self.count -= gone;
        self.give_back();
        gone as usize
    }

    /// Room of what is gone is used again, or given back.
    fn give_back(&mut self) {
        let (head, start) = (self.head as usize, self.start as usize);
        if start - head > GONE_MAX.max(self.bytes.len() - start) {
            self.bytes.drain(head..start);
            self.start = self.head;
        }
        if self.bytes.capacity() > 64 && block_size(self.bytes.len()) <= self.bytes.capacity() / 2 {
            self.bytes.shrink_to(block_size(self.bytes.len()));
        }
    }
}

impl Clone for Page {
    /// In a block of the same size, so that a clone owns as many bytes.
    fn clone(&self) -> Page {
        let mut bytes = Vec::with_capacity(self.bytes.capacity());
        bytes.extend_from_slice(&self.bytes);
        Page { bytes, ..*self }
    }
}

/// See [`Page::entries`].
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    page: &'a Page,
    base: StreamId,
    at: usize,
}

impl Entries<'_> {
    fn skip_one(&mut self) {
        let mut rest = &self.page.bytes[self.at..];
        let len = take_count(&mut rest) as usize;
        self.at = self.page.bytes.len() - rest.len() + len;
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        let bytes = &self.page.bytes[..];
        let mut rest = bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
        let len = take_count(&mut rest) as usize;
        self.at = bytes.len() - rest.len() + len;
        let mut body = &rest[..len];
        let mark = take_count(&mut body);
        let (ms, seq) = (mark >> 1, take_count(&mut body));
        let seq = if ms == 0 { self.base.seq + seq } else { seq };
        let id = StreamId { ms: self.base.ms + ms, seq };
        if mark & 1 == 1 {
            let fields = take_count(&mut body) as usize;
            return Some(Entry { id, fields, shared: None, body });
        }
        let mut shared = &bytes[..self.page.head as usize];
        let fields = take_count(&mut shared) as usize;
        Some(Entry { id, fields, shared: Some(shared), body })
    }
}
