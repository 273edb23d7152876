//! Streams, written as Redis 7.0 reads them, and read as Redis 5 to 7.4 write them.
//!
//! ```text
//! nodes: id of 16 bytes, greatest first | listpack                     entries, last id, [first id, deleted id, added,]
//! groups: name, last id, [read,] pending: id | time | count            consumers: name, seen, [active,] ids of what is pending
//! ```
//! A node's listpack: counts of entries and of deleted ones, the first entry's fields, 0; then of each entry its flags, its id less the node's, its
//! fields where they are others, its values, and how many elements that were (`t_stream.c` of Redis).

use super::kind;
use super::packed::{Listpack, listpack};
use super::reader::{Read, Reader};
use super::writer::Writer;
use crate::value::element::Element;
use crate::value::stream::{Limits, Page, Pending, Stream, StreamId};

const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;
/// As a length: it is not known.
const UNKNOWN: u64 = u64::MAX;

/// What of a stream is written next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Next {
    /// How many pages it has.
    #[default]
    Head,
    /// Pages from an id on.
    Pages(StreamId),
    /// Its past, and how many groups it has.
    Past,
    /// A group, up to what is pending in it.
    Group(usize),
    /// What is pending in a group, from an id on.
    Pending(usize, StreamId),
    /// A consumer of a group, up to what is pending with it.
    Consumer(usize, usize),
    /// What is pending with a consumer of a group, from an id on.
    Held(usize, usize, StreamId),
}

/// Goes on to write a stream until the writer holds `enough` bytes; true if the end is written.
pub(super) fn go_on(stream: &Stream, next: &mut Next, enough: usize, writer: &mut Writer) -> bool {
    while let Some(then) = step(stream, *next, enough, writer) {
        *next = then;
        if writer.out.len() >= enough {
            return false;
        }
    }
    true
}

/// Writes what is next, or some of it; what comes then.
fn step(stream: &Stream, next: Next, enough: usize, writer: &mut Writer) -> Option<Next> {
    Some(match next {
        Next::Head => {
            writer.length(stream.pages() as u64);
            Next::Pages(StreamId::MIN)
        }
        Next::Pages(from) => {
            let pages = stream.pages_from(from);
            some(pages, enough, writer, write_page).map_or(Next::Past, Next::Pages)
        }
        Next::Past => {
            write_past(stream, writer);
            Next::Group(0)
        }
        Next::Group(at) => {
            let group = stream.group_at(at)?;
            writer.string(group.name());
            writer.length(group.last_id.ms);
            writer.length(group.last_id.seq);
            writer.length(group.entries_read.unwrap_or(UNKNOWN));
            writer.length(group.pending().len() as u64);
            Next::Pending(at, StreamId::MIN)
        }
        Next::Pending(at, from) => {
            let group = stream.group_at(at)?;
            let left = some(group.pending().from(from), enough, writer, |id, pending, writer| {
                writer.out.extend_from_slice(&raw(id));
                writer.wide(pending.delivered);
                writer.length(pending.times);
            });
            match left {
                Some(from) => Next::Pending(at, from),
                None => {
                    writer.length(group.consumers().len() as u64);
                    Next::Consumer(at, 0)
                }
            }
        }
        Next::Consumer(at, place) => match stream.group_at(at)?.consumer_at(place) {
            Some(consumer) => {
                writer.string(consumer.name());
                writer.wide(consumer.seen);
                writer.length(consumer.pending().len() as u64);
                Next::Held(at, place, StreamId::MIN)
            }
            None => Next::Group(at + 1),
        },
        Next::Held(at, place, from) => {
            let held = stream.group_at(at)?.consumer_at(place)?.pending().from(from);
            let left = some(held, enough, writer, |id, (), writer| writer.out.extend_from_slice(&raw(id)));
            left.map_or(Next::Consumer(at, place + 1), |from| Next::Held(at, place, from))
        }
    })
}

/// Writes items until it is enough; from which id on there may be more.
fn some<T>(
    items: impl Iterator<Item = (StreamId, T)>,
    enough: usize,
    writer: &mut Writer,
    write: impl Fn(StreamId, T, &mut Writer),
) -> Option<StreamId> {
    for (id, item) in items {
        write(id, item, writer);
        if writer.out.len() >= enough {
            return id.next();
        }
    }
    None
}

fn raw(id: StreamId) -> [u8; 16] {
    (u128::from(id.ms) << 64 | u128::from(id.seq)).to_be_bytes()
}

fn write_past(stream: &Stream, writer: &mut Writer) {
    writer.length(stream.len());
    let past = stream.past();
    for id in [past.last, past.first, past.deleted] {
        writer.length(id.ms);
        writer.length(id.seq);
    }
    writer.length(past.added);
    writer.length(stream.groups().len() as u64);
}

/// A page is a node: so it is known how many there are before the first one is written.
fn write_page(base: StreamId, page: &Page, writer: &mut Writer) {
    let first = page.first(base).map_or(base, |entry| entry.id);
    let mut pack = Listpack::default();
    let number = |number: usize| Element::Integer(number as i64);
    pack.push(number(page.len()));
    pack.push(number(0));
    pack.push(number(page.fields().len()));
    page.fields().for_each(|field| pack.push(field));
    pack.push(number(0));
    for entry in page.entries(base) {
        let is_alike = entry.is_alike();
        pack.push(Element::Integer(if is_alike { SAME_FIELDS } else { 0 }));
        pack.push(Element::Integer(entry.id.ms.wrapping_sub(first.ms) as i64));
        pack.push(Element::Integer(entry.id.seq.wrapping_sub(first.seq) as i64));
        if is_alike {
            entry.pairs().for_each(|(_, value)| pack.push(value));
            pack.push(number(3 + entry.fields));
        } else {
            pack.push(number(entry.fields));
            for (field, value) in entry.pairs() {
                pack.push(field);
                pack.push(value);
            }
            pack.push(number(4 + 2 * entry.fields));
        }
    }
    writer.plain(&raw(first));
    writer.plain(&pack.into_bytes());
}

fn id_of(bytes: &[u8], reader: &Reader<'_>) -> Read<StreamId> {
    let bytes: [u8; 16] = bytes.try_into().map_err(|_| reader.corrupt("an id of a stream has 16 bytes"))?;
    let both = u128::from_be_bytes(bytes);
    Ok(StreamId { ms: (both >> 64) as u64, seq: both as u64 })
}

fn read_id(reader: &mut Reader<'_>) -> Read<StreamId> {
    Ok(StreamId { ms: reader.length()?, seq: reader.length()? })
}

/// Reads a stream that is written in this way.
pub(super) fn read(kind: u8, reader: &mut Reader<'_>, limits: Limits) -> Read<Stream> {
    let mut stream = Stream::default();
    let mut last = None;
    for _ in 0..reader.count()? {
        let key = reader.string()?;
        let base = id_of(&key, reader)?;
        let bytes = reader.string()?;
        let elements = listpack(&bytes).map_err(|why| reader.corrupt(why))?;
        read_node(&mut stream, base, &elements, &mut last, limits)
            .ok_or(reader.corrupt("entries of a stream make no sense"))?;
    }
    let len = reader.length()?;
    if len != stream.len() {
        return Err(reader.corrupt("a stream has not as many entries as it says"));
    }
    let last_id = read_id(reader)?;
    if last.is_some_and(|last| last > last_id) {
        return Err(reader.corrupt("an entry of a stream is above its last id"));
    }
    let (mut deleted, mut added) = (StreamId::MIN, len);
    if kind != kind::STREAM {
        read_id(reader)?;
        deleted = read_id(reader)?;
        added = reader.length()?;
    }
    stream.set_history(last_id, Some(added), Some(deleted));
    for _ in 0..reader.count()? {
        read_group(kind, &mut stream, reader)?;
    }
    Ok(stream)
}

/// `None`: it is no node, or its entries are not above the last.
fn read_node(
    stream: &mut Stream,
    base: StreamId,
    elements: &[Element<'_>],
    last: &mut Option<StreamId>,
    limits: Limits,
) -> Option<()> {
    let mut rest = elements.iter();
    let number = |rest: &mut std::slice::Iter<'_, Element<'_>>| match rest.next()? {
        Element::Integer(number) => Some(*number),
        Element::Bytes(_) => None,
    };
    let whole = |rest: &mut std::slice::Iter<'_, Element<'_>>| usize::try_from(number(rest)?).ok();
    let (there, gone, fields) = (whole(&mut rest)?, whole(&mut rest)?, whole(&mut rest)?);
    let names = rest.as_slice().get(..fields)?;
    rest = rest.as_slice()[fields..].iter();
    if whole(&mut rest)? != 0 {
        return None;
    }
    let (mut living, mut dead) = (0, 0);
    while !rest.as_slice().is_empty() {
        let flags = number(&mut rest)?;
        let (ms, seq) = (number(&mut rest)?, number(&mut rest)?);
        let id = StreamId { ms: base.ms.wrapping_add(ms as u64), seq: base.seq.wrapping_add(seq as u64) };
        let (words, taken): (Vec<Vec<u8>>, usize) = if flags & SAME_FIELDS != 0 {
            let values = rest.as_slice().get(..fields)?;
            let pairs = names.iter().zip(values);
            (pairs.flat_map(|(name, value)| [name.to_vec(), value.to_vec()]).collect(), fields)
        } else {
            let count = usize::try_from(number(&mut rest)?).ok()?.checked_mul(2)?;
            (rest.as_slice().get(..count)?.iter().map(Element::to_vec).collect(), count)
        };
        rest = rest.as_slice()[taken..].iter();
        number(&mut rest)?;
        if flags & DELETED != 0 {
            dead += 1;
            continue;
        }
        if last.is_some_and(|last| id <= last) || id == StreamId::MIN || words.is_empty() {
            return None;
        }
        *last = Some(id);
        living += 1;
        stream.add(id, words.len() / 2, words.iter().map(Vec::as_slice), limits);
    }
    ((living, dead) == (there, gone)).then_some(())
}

fn read_group(kind: u8, stream: &mut Stream, reader: &mut Reader<'_>) -> Read<()> {
    let name = reader.string()?;
    let last_id = read_id(reader)?;
    let entries_read = match kind {
        // Redis 5 did not count them.
        kind::STREAM => stream.past().rank(last_id),
        _ => Some(reader.length()?).filter(|read| *read != UNKNOWN),
    };
    if !stream.add_group(&name, last_id, entries_read) {
        return Err(reader.corrupt("a group of a stream is there twice"));
    }
    let mut pending = std::collections::BTreeMap::new();
    for _ in 0..reader.count()? {
        let id = id_of(reader.take(16)?, reader)?;
        let (delivered, times) = (reader.wide()?, reader.length()?);
        if pending.insert(id, (delivered, times)).is_some() {
            return Err(reader.corrupt("a pending entry is there twice"));
        }
    }
    for _ in 0..reader.count()? {
        let consumer = reader.string()?;
        let seen = reader.wide()?;
        // What is not written is guessed as Redis guesses it. All ones are never.
        let active = if kind == kind::STREAM_3 { reader.wide()? } else { seen };
        let mut ids = Vec::new();
        for _ in 0..reader.count()? {
            ids.push(id_of(reader.take(16)?, reader)?);
        }
        let is_whole = stream.change_group(&name, |group| {
            let (id, is_new) = group.see(&consumer, seen);
            if active != u64::MAX {
                group.note_active(id, active);
            }
            is_new
                && ids.into_iter().all(|entry| match pending.remove(&entry) {
                    Some((delivered, times)) => {
                        group.give(entry, Pending { consumer: id, delivered, times });
                        true
                    }
                    None => false,
                })
        });
        if is_whole != Some(true) {
            return Err(reader.corrupt("a consumer is there twice, or has what is not pending"));
        }
    }
    if !pending.is_empty() {
        return Err(reader.corrupt("an entry is pending with nobody"));
    }
    Ok(())
}
