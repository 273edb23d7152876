//! A value written in slices, so that a core can do something else between two of them. Nobody changes the value meanwhile.
//!
//! Lists and sorted sets go on at an element, hashes and sets at a bucket, long strings at a byte. A stream is written at once: how many blocks
//! of entries it has stands before the first of them.
//!
//! It does not know keys, nor who waits.

use super::stream;
use super::writer::Writer;
use crate::time::UnixMillis;
use crate::value::container::Container;
use crate::value::field::Field;
use crate::value::hash::Hash;
use crate::value::record::Record;

/// Longer strings are not compressed: that has to be done at once, and takes a millisecond for this much.
const COMPRESSED_MAX: usize = 512 << 10;
/// Bytes of a slice of a string.
const STRING_SLICE: usize = 64 << 10;

/// How far a value is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Slices {
    /// Elements, buckets or bytes that are written.
    at: usize,
}

impl Slices {
    /// Goes on until the writer holds `enough` bytes; true if the end is written.
    pub fn go_on(&mut self, record: &Record, enough: usize, writer: &mut Writer) -> bool {
        let Some(container) = record.container() else {
            return record.string().is_none_or(|view| view.with(|text| self.string(text, enough, writer)));
        };
        match container {
            Container::List(list) => {
                self.length(list.len(), writer);
                let elements = list.range(self.at, list.len());
                self.elements(elements, list.len(), enough, writer, |element, writer| writer.element(element))
            }
            Container::SortedSet(set) => {
                self.length(set.len(), writer);
                let members = set.range(self.at, set.len());
                self.elements(members, set.len(), enough, writer, |(member, score), writer| {
                    writer.element(member);
                    writer.double(score);
                })
            }
            Container::Set(set) => {
                self.length(set.len(), writer);
                self.elements(self.at..set.buckets(), set.buckets(), enough, writer, |bucket, writer| {
                    set.bucket(bucket).for_each(|member| writer.element(member));
                })
            }
            Container::Hash(hash) => self.hash(hash, enough, writer),
            Container::Stream(stream) => {
                stream::write(stream, writer);
                true
            }
        }
    }

    fn length(&self, len: usize, writer: &mut Writer) {
        if self.at == 0 {
            writer.length(len as u64);
        }
    }

    /// The items from here on, until it is enough.
    #[inline]
    fn elements<T>(
        &mut self,
        items: impl Iterator<Item = T>,
        len: usize,
        enough: usize,
        writer: &mut Writer,
        mut write: impl FnMut(T, &mut Writer),
    ) -> bool {
        for item in items {
            write(item, writer);
            self.at += 1;
            if writer.out.len() >= enough {
                break;
            }
        }
        self.at >= len
    }

    /// Fields whose time has come but that were not removed yet are written: whoever reads them finds them due.
    fn hash(&mut self, hash: &Hash, enough: usize, writer: &mut Writer) -> bool {
        let soonest = hash.soonest();
        if let Some(soonest) = soonest.filter(|_| self.at == 0) {
            writer.wide(soonest.0);
        }
        self.length(hash.len(), writer);
        self.elements(self.at..hash.buckets(), hash.buckets(), enough, writer, |bucket, writer| {
            hash.bucket(bucket).for_each(|field| write_field(field, soonest, writer));
        })
    }

    fn string(&mut self, text: &[u8], enough: usize, writer: &mut Writer) -> bool {
        if text.len() <= COMPRESSED_MAX {
            writer.string(text);
            return true;
        }
        self.length(text.len(), writer);
        while self.at < text.len() {
            let end = text.len().min(self.at + STRING_SLICE);
            writer.out.extend_from_slice(&text[self.at..end]);
            self.at = end;
            if writer.out.len() >= enough {
                break;
            }
        }
        self.at == text.len()
    }
}

fn write_field(field: Field<'_>, soonest: Option<UnixMillis>, writer: &mut Writer) {
    if let Some(soonest) = soonest {
        // From the soonest on, and zero is none.
        writer.length(field.deadline.map_or(0, |at| at.0.saturating_sub(soonest.0) + 1));
    }
    writer.element(field.name);
    writer.element(field.value);
}
