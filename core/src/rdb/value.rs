//! Values of each type, written and read.
//!
//! Each type is written in its plain form, element by element: every version reads it, and with numbers as numbers it is about as short as a
//! packed block. It does not know keys or deadlines of keys.

use std::sync::Arc;

use super::packed::{Elements, intset, listpack, ziplist, zipmap};
use super::reader::{Read, Reader};
use super::slices::Slices;
use super::stream;
use super::writer::Writer;
use super::{VERSION, VERSION_OF_FIELD_DEADLINES, kind};
use crate::time::UnixMillis;
use crate::value::container::Container;
use crate::value::detached::Detached;
use crate::value::element::Element;
use crate::value::hash::{Hash, Packing};
use crate::value::list::{Fill, List};
use crate::value::pack::Side;
use crate::value::record::{EMBEDDED_MAX, Record};
use crate::value::set::{Set, SetLimits};
use crate::value::stream::Limits as PageLimits;
use crate::value::zset::{Limits, SortedSet};

/// The forms that values take in memory.
#[derive(Clone, Copy, Debug)]
pub struct Forms {
    /// Of lists.
    pub fill: Fill,
    /// Of hashes.
    pub packing: Packing,
    /// Of sets.
    pub sets: SetLimits,
    /// Of sorted sets.
    pub sorted: Limits,
    /// Of streams.
    pub pages: PageLimits,
}

/// The version that a reader must know.
pub fn version_of(record: &Record) -> u16 {
    match record.container() {
        Some(Container::Hash(hash)) if hash.soonest().is_some() => VERSION_OF_FIELD_DEADLINES,
        _ => VERSION,
    }
}

/// Writes how the value is written, its key if one is given, and the value.
pub fn write(record: &Record, key: Option<&[u8]>, writer: &mut Writer) {
    begin(record, key, writer);
    let is_over = Slices::default().go_on(record, usize::MAX, writer);
    debug_assert!(is_over, "nothing is enough");
}

/// Writes how the value is written, and its key if one is given.
pub fn begin(record: &Record, key: Option<&[u8]>, writer: &mut Writer) {
    writer.byte(match record.container() {
        None => kind::STRING,
        Some(Container::List(_)) => kind::LIST,
        Some(Container::Set(_)) => kind::SET,
        Some(Container::Hash(hash)) if hash.soonest().is_some() => kind::HASH_METADATA,
        Some(Container::Hash(_)) => kind::HASH,
        Some(Container::Stream(_)) => kind::STREAM_2,
        Some(Container::SortedSet(_)) => kind::ZSET_2,
    });
    if let Some(key) = key {
        writer.string(key);
    }
}

const DUPLICATE: &str = "an element is there twice";
const EMPTY: &str = "there are no elements";
const ODD: &str = "a field has no value";

/// Reads a value that is written in this way.
pub fn read(kind: u8, reader: &mut Reader<'_>, forms: &Forms) -> Read<Detached> {
    let start = reader.clone();
    let container = match kind {
        kind::STRING => return Ok(string(&reader.string()?)),
        kind::LIST | kind::LIST_ZIPLIST | kind::LIST_QUICKLIST | kind::LIST_QUICKLIST_2 => {
            Container::List(read_list(kind, reader, forms)?)
        }
        kind::SET | kind::SET_INTSET | kind::SET_LISTPACK => Container::Set(read_set(kind, reader, forms)?),
        kind::HASH | kind::HASH_ZIPMAP | kind::HASH_ZIPLIST | kind::HASH_LISTPACK => {
            Container::Hash(read_hash(kind, reader, forms)?)
        }
        kind::HASH_METADATA | kind::HASH_LISTPACK_EX => {
            Container::Hash(read_timed_hash(kind, reader, forms)?)
        }
        kind::ZSET | kind::ZSET_2 | kind::ZSET_ZIPLIST | kind::ZSET_LISTPACK => {
            Container::SortedSet(read_sorted(kind, reader, forms)?)
        }
        kind::STREAM | kind::STREAM_2 | kind::STREAM_3 => {
            Container::Stream(stream::read(kind, reader, forms.pages)?)
        }
        _ => return Err(reader.corrupt("a value of unknown type")),
    };
    match container {
        // A stream is a key even if there never was anything in it.
        Container::Stream(_) => {}
        _ if container.is_empty() => return Err(start.corrupt(EMPTY)),
        _ => {}
    }
    Ok(Detached::Container(Box::new(container)))
}

fn string(bytes: &[u8]) -> Detached {
    match Element::of(bytes) {
        Element::Integer(number) => Detached::Integer(number),
        Element::Bytes(bytes) if bytes.len() <= EMBEDDED_MAX => Detached::Bytes(bytes.into()),
        Element::Bytes(bytes) => Detached::Large(Arc::new(bytes.to_vec())),
    }
}

/// What is wrong with a block, said of where the reader stands.
fn block<'a>(reader: &Reader<'_>, elements: Elements<'a>) -> Read<Vec<Element<'a>>> {
    elements.map_err(|why| reader.corrupt(why))
}

fn read_list(kind: u8, reader: &mut Reader<'_>, forms: &Forms) -> Read<List> {
    let mut list = List::default();
    let mut push = |element: &[u8]| list.push(Side::Right, element, forms.fill);
    let mut push_all =
        |elements: Vec<Element<'_>>| elements.iter().for_each(|element| element.with(&mut push));
    match kind {
        kind::LIST => {
            for _ in 0..reader.count()? {
                push_all(vec![Element::Bytes(&reader.string()?)]);
            }
        }
        kind::LIST_ZIPLIST => {
            let bytes = reader.string()?;
            push_all(block(reader, ziplist(&bytes))?);
        }
        kind::LIST_QUICKLIST => {
            for _ in 0..reader.count()? {
                let bytes = reader.string()?;
                push_all(block(reader, ziplist(&bytes))?);
            }
        }
        _ => {
            for _ in 0..reader.count()? {
                let form = reader.length()?;
                let bytes = reader.string()?;
                match form {
                    PLAIN => push_all(vec![Element::Bytes(&bytes)]),
                    PACKED => push_all(block(reader, listpack(&bytes))?),
                    _ => return Err(reader.corrupt("a node of a list is written in an unknown way")),
                }
            }
        }
    }
    Ok(list)
}

/// Forms of a node of a list.
const PLAIN: u64 = 1;
const PACKED: u64 = 2;

fn read_set(kind: u8, reader: &mut Reader<'_>, forms: &Forms) -> Read<Set> {
    let mut set = Set::default();
    let mut add = |reader: &Reader<'_>, member: &[u8]| match set.add(member, &forms.sets) {
        true => Ok(()),
        false => Err(reader.corrupt(DUPLICATE)),
    };
    if kind == kind::SET {
        for _ in 0..reader.count()? {
            let member = reader.string()?;
            add(reader, &member)?;
        }
        return Ok(set);
    }
    let bytes = reader.string()?;
    let members = if kind == kind::SET_INTSET { intset(&bytes) } else { listpack(&bytes) };
    for member in block(reader, members)? {
        member.with(|member| add(reader, member))?;
    }
    Ok(set)
}

/// Gives a hash a field that it does not have.
fn put(
    hash: &mut Hash,
    reader: &Reader<'_>,
    name: &[u8],
    value: &[u8],
    deadline: Option<UnixMillis>,
    forms: &Forms,
) -> Read<()> {
    match hash.set(name, value, deadline, &forms.packing) {
        true => Ok(()),
        false => Err(reader.corrupt(DUPLICATE)),
    }
}

fn read_hash(kind: u8, reader: &mut Reader<'_>, forms: &Forms) -> Read<Hash> {
    let mut hash = Hash::default();
    if kind == kind::HASH {
        for _ in 0..reader.count()? {
            let (name, value) = (reader.string()?, reader.string()?);
            put(&mut hash, reader, &name, &value, None, forms)?;
        }
        return Ok(hash);
    }
    let bytes = reader.string()?;
    let elements = match kind {
        kind::HASH_ZIPMAP => zipmap(&bytes),
        kind::HASH_ZIPLIST => ziplist(&bytes),
        _ => listpack(&bytes),
    };
    let elements = block(reader, elements)?;
    for field in elements.chunks(2) {
        let [name, value] = field else { return Err(reader.corrupt(ODD)) };
        name.with(|name| value.with(|value| put(&mut hash, reader, name, value, None, forms)))?;
    }
    Ok(hash)
}

fn read_timed_hash(kind: u8, reader: &mut Reader<'_>, forms: &Forms) -> Read<Hash> {
    let mut hash = Hash::default();
    let soonest = reader.wide()?;
    if kind == kind::HASH_METADATA {
        for _ in 0..reader.count()? {
            let after = reader.length()?;
            let deadline = after.checked_sub(1).map(|after| UnixMillis(soonest.saturating_add(after)));
            let (name, value) = (reader.string()?, reader.string()?);
            put(&mut hash, reader, &name, &value, deadline, forms)?;
        }
        return Ok(hash);
    }
    let bytes = reader.string()?;
    let elements = block(reader, listpack(&bytes))?;
    for field in elements.chunks(3) {
        let [name, value, Element::Integer(at)] = field else { return Err(reader.corrupt(ODD)) };
        let at = u64::try_from(*at).map_err(|_| reader.corrupt("a field ends before time began"))?;
        let deadline = (at > 0).then_some(UnixMillis(at));
        name.with(|name| value.with(|value| put(&mut hash, reader, name, value, deadline, forms)))?;
    }
    Ok(hash)
}

fn read_sorted(kind: u8, reader: &mut Reader<'_>, forms: &Forms) -> Read<SortedSet> {
    let mut set = SortedSet::default();
    let mut add = |reader: &Reader<'_>, member: &[u8], score: f64| {
        if score.is_nan() {
            return Err(reader.corrupt("a score is no number"));
        }
        match set.insert(member, score, forms.sorted) {
            None => Ok(()),
            Some(_) => Err(reader.corrupt(DUPLICATE)),
        }
    };
    if kind == kind::ZSET || kind == kind::ZSET_2 {
        for _ in 0..reader.count()? {
            let member = reader.string()?;
            let score = if kind == kind::ZSET { reader.decimal()? } else { reader.double()? };
            add(reader, &member, score)?;
        }
        return Ok(set);
    }
    let bytes = reader.string()?;
    let elements = if kind == kind::ZSET_ZIPLIST { ziplist(&bytes) } else { listpack(&bytes) };
    for pair in block(reader, elements)?.chunks(2) {
        let [member, score] = pair else { return Err(reader.corrupt("a member has no score")) };
        let score = match score {
            Element::Integer(number) => Some(*number as f64),
            Element::Bytes(text) => std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()),
        };
        let score = score.ok_or(reader.corrupt("a score is no number"))?;
        member.with(|member| add(reader, member, score))?;
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::record::{Access, Value};
    use proptest::prelude::*;

    /// Packed while small, and spread.
    fn forms(entries: usize) -> Forms {
        let packing = Packing { entries, bytes: 64, seeds: Default::default() };
        let sorted = Limits { entries, value: 64 };
        Forms {
            fill: Fill(entries as i32),
            packing,
            sets: SetLimits { ints: entries, packing },
            sorted,
            pages: PageLimits { bytes: 4_096, entries: 100 },
        }
    }

    fn record(value: Detached) -> Record {
        value.store(|value| Record::new(b"key", value, None, Access(0)))
    }

    /// Writes it and reads it again; what is read is written the same.
    fn round(value: Detached, entries: usize, compresses: bool) -> Record {
        let record = record(value);
        let mut writer = Writer::new(compresses);
        write(&record, None, &mut writer);
        let mut reader = Reader::new(&writer.out[1..]);
        let again = read(writer.out[0], &mut reader, &forms(entries)).unwrap();
        assert_eq!((reader.left(), &again), (0, &record.copy()));
        self::record(again)
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            "-?[0-9]{1,12}".prop_map(String::into_bytes),
            "[ab]{0,80}".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..90),
        ]
    }

    proptest! {
        #[test]
        fn values_come_back(
            texts in prop::collection::vec((text(), text(), prop::option::of(1_000..2_000u64)), 1..40),
            entries in 1..50usize,
            compresses in any::<bool>(),
        ) {
            let forms = forms(entries);
            let (mut list, mut set, mut hash) = (List::default(), Set::default(), Hash::default());
            let mut sorted = SortedSet::default();
            for (one, other, deadline) in &texts {
                list.push(Side::Right, one, forms.fill);
                set.add(one, &forms.sets);
                let score = other.first().map_or(f64::INFINITY, |byte| f64::from(*byte) / 7.0);
                sorted.insert(one, score, forms.sorted);
                hash.set(one, other, deadline.map(UnixMillis), &forms.packing);
            }
            let string = round(string(&texts[0].0), entries, compresses);
            prop_assert_eq!(string.string().unwrap().to_vec(), &texts[0].0[..]);
            for container in
                [Container::List(list), Container::Set(set), Container::Hash(hash), Container::SortedSet(sorted)]
            {
                round(Detached::Container(Box::new(container)), entries, compresses);
            }
        }

        #[test]
        fn anything_is_read_or_refused(kind in 0..30u8, bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(value) = read(kind, &mut Reader::new(&bytes), &forms(4)) {
                let mut writer = Writer::new(true);
                write(&record(value), None, &mut writer);
                prop_assert!(!writer.out.is_empty());
            }
        }
    }

    #[test]
    fn old_forms_are_read() {
        let forms = forms(10);
        let blocks: [(u8, &[u8], &str); 5] = [
            (kind::ZSET, b"\x02\x01a\x031.5\x01b\xfe", "zset"),
            (kind::ZSET_LISTPACK, b"\x0c\x0c\0\0\0\x02\0\x81a\x02\x05\x01\xff", "zset"),
            (kind::SET_INTSET, b"\x0c\x02\0\0\0\x02\0\0\0\x05\0\xe8\x03", "set"),
            (kind::HASH_ZIPMAP, b"\x0b\x01\x03foo\x03\x00bar\xff", "hash"),
            (kind::LIST_QUICKLIST_2, b"\x02\x02\x09\x09\0\0\0\x01\0\x01\x01\xff\x01\x05plain", "list"),
        ];
        for (kind, bytes, name) in blocks {
            let mut reader = Reader::new(bytes);
            let value = read(kind, &mut reader, &forms).unwrap();
            assert_eq!((value.type_name(), reader.left()), (name, 0));
        }
        let twice = read(kind::SET, &mut Reader::new(b"\x02\x01a\x01a"), &forms);
        assert_eq!(twice.unwrap_err().why, DUPLICATE);
        assert_eq!(read(kind::LIST, &mut Reader::new(b"\0"), &forms).unwrap_err().why, EMPTY);
        assert_eq!(read(kind::STRING, &mut Reader::new(b"\x05ab"), &forms).unwrap_err().at, 1);
    }

    #[test]
    fn what_is_long_lies_in_a_buffer_of_its_own() {
        let long = vec![b'x'; EMBEDDED_MAX + 1];
        assert!(matches!(string(&long), Detached::Large(_)));
        assert!(matches!(string(b"12"), Detached::Integer(12)));
        let value = Value::of(b"short");
        assert_eq!(string(b"short"), Record::new(b"k", value, None, Access(0)).copy());
    }
}
