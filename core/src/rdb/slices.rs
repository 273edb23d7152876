//! A value written in slices, so that a core can do something else between two of them. Nobody changes the value meanwhile.
//!
//! Lists and sorted sets go on at an element, hashes and sets at a bucket, long strings at a byte, streams at a page of entries, at something
//! pending, or at a consumer.
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
    /// The same of a stream.
    next: stream::Next,
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
            Container::Stream(stream) => stream::go_on(stream, &mut self.next, enough, writer),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rdb::reader::Reader;
    use crate::value::record::{Access, Value};
    use crate::value::stream::{Group, Limits, References, Stream, StreamId};
    use proptest::prelude::*;

    /// A page is full at this many bytes.
    const PAGE_BYTES: usize = 100;
    const PAGES: Limits = Limits { bytes: PAGE_BYTES as u64, entries: 9 };
    const FIELDS: [&str; 3] = ["a field", "7", "another"];

    #[derive(Clone, Debug)]
    enum Act {
        /// An entry so many milliseconds later, with so many fields from one on.
        Add(u64, usize, usize, Vec<u8>),
        /// Entries that are there, by their place.
        Delete(usize),
        Group(u8, bool),
        /// A group's consumer gets the next entry, or only asks for it.
        Read(u8, u16, bool),
        Acknowledge(u8, usize),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            8 => (0..3u64, 0..3usize, 1..3usize, prop::collection::vec(any::<u8>(), 0..40))
                .prop_map(|(later, from, fields, text)| Act::Add(later, from, fields, text)),
            2 => (0..100usize).prop_map(Act::Delete),
            1 => (0..4u8, any::<bool>()).prop_map(|(group, knows)| Act::Group(group, knows)),
            6 => (0..4u8, 0..30u16, any::<bool>()).prop_map(|(group, who, gets)| Act::Read(group, who, gets)),
            1 => (0..4u8, 0..100usize).prop_map(|(group, at)| Act::Acknowledge(group, at)),
        ]
    }

    fn apply(stream: &mut Stream, act: &Act) {
        let name = |group: u8| vec![b'g', group];
        match act {
            Act::Add(later, from, fields, text) => {
                let last = stream.last_id();
                let id = stream.next_id(last.ms + later).expect("there are more ids");
                let words = (*from..from + fields).flat_map(|n| [FIELDS[n % 3].as_bytes(), &text[..]]);
                stream.add(id, *fields, words, PAGES);
            }
            Act::Delete(at) => {
                let id = stream.range(StreamId::MIN, StreamId::MAX).nth(*at).map(|entry| entry.id);
                id.into_iter().for_each(|id| _ = stream.remove(id, References::Keep));
            }
            Act::Group(group, knows) => {
                let read = knows.then_some(u64::from(*group));
                stream.add_group(&name(*group), StreamId::MIN, read);
            }
            Act::Read(group, who, gets) => {
                let Some(read) = stream.group(&name(*group)).map(|group| group.last_id) else { return };
                let now = 1_000 * u64::from(*who);
                let see = |group: &mut Group| group.see(format!("consumer {who}").as_bytes(), now).0;
                let Some(consumer) = stream.change_group(&name(*group), see) else { return };
                let next = read.next().and_then(|next| stream.range(next, StreamId::MAX).next());
                if let Some(id) = next.filter(|_| *gets).map(|entry| entry.id) {
                    stream.deliver(&name(*group), &[id], Some((consumer, now)));
                }
            }
            Act::Acknowledge(group, at) => {
                stream.change_group(&name(*group), |group| {
                    let id = group.pending().from(StreamId::MIN).nth(*at).map(|(id, _)| id);
                    id.into_iter().for_each(|id| _ = group.acknowledge(id));
                });
            }
        }
    }

    /// Everything that a file keeps of a stream.
    fn content(stream: &Stream) -> impl PartialEq + std::fmt::Debug {
        let entries: Vec<_> = stream
            .range(StreamId::MIN, StreamId::MAX)
            .map(|entry| (entry.id, entry.pairs().map(|(a, b)| (a.to_vec(), b.to_vec())).collect::<Vec<_>>()))
            .collect();
        let groups: Vec<_> = stream
            .groups()
            .map(|group| {
                let pending = group.pending().from(StreamId::MIN);
                let name_of = |consumer| group.consumer(consumer).name().to_vec();
                let pending =
                    pending.map(|(id, known)| (id, name_of(known.consumer), known.delivered, known.times));
                let consumers = group.consumers().map(|(_, consumer)| {
                    let held: Vec<_> = consumer.pending().from(StreamId::MIN).map(|(id, ())| id).collect();
                    (consumer.name().to_vec(), consumer.seen, held)
                });
                let known = (group.name().to_vec(), group.last_id, group.entries_read);
                (known, pending.collect::<Vec<_>>(), consumers.collect::<Vec<_>>())
            })
            .collect();
        (entries, groups, stream.last_id(), stream.max_deleted(), stream.added())
    }

    fn in_slices(record: &Record, enough: usize, writer: &mut Writer) -> Vec<usize> {
        let (mut slices, mut lens) = (Slices::default(), Vec::new());
        loop {
            let before = writer.out.len();
            let is_over = slices.go_on(record, before + enough, writer);
            lens.push(writer.out.len() - before);
            if is_over {
                return lens;
            }
        }
    }

    proptest! {
        /// Whether at once or in slices of any size, the same is written; and it is what was there.
        #[test]
        fn a_stream_is_written_in_slices_as_at_once(
            acts in prop::collection::vec(act(), 0..400),
            enough in 1..600usize,
            compresses in any::<bool>(),
        ) {
            let mut stream = Stream::default();
            acts.iter().for_each(|act| apply(&mut stream, act));
            let value = Value::Container(Box::new(Container::Stream(stream.clone())));
            let record = Record::new(b"key", value, None, Access(0));
            let [mut whole, mut sliced] = [(), ()].map(|()| Writer::new(compresses));
            prop_assert!(Slices::default().go_on(&record, usize::MAX, &mut whole));
            let lens = in_slices(&record, enough, &mut sliced);
            prop_assert_eq!(&whole.out, &sliced.out);
            // A page, with what is around its entries, comes to less than three times what may be in it; anything else is shorter.
            let longest = enough + 3 * PAGE_BYTES + 100;
            prop_assert!(lens.iter().all(|len| *len < longest), "{:?}", lens);
            let mut reader = Reader::new(&whole.out);
            let again = stream::read(super::super::kind::STREAM_2, &mut reader, PAGES).expect("it is whole");
            prop_assert_eq!((reader.left(), content(&again)), (0, content(&stream)));
        }
    }
}
