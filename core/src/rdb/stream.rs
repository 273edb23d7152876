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
use crate::value::stream::{Entry, Group, Limits, Pending, Stream, StreamId};

/// Entries of a node that is written.
const NODE_ENTRIES: usize = 100;
/// Bytes of fields and values from which a node is full.
const NODE_BYTES: usize = 4_096;
const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;
/// As a length: it is not known.
const UNKNOWN: u64 = u64::MAX;

/// Writes a stream behind its kind.
pub(super) fn write(stream: &Stream, writer: &mut Writer) {
    let entries: Vec<Entry<'_>> = stream.range(StreamId::MIN, StreamId::MAX).collect();
    let mut nodes: Vec<&[Entry<'_>]> = Vec::new();
    let mut rest = &entries[..];
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |entry: &&Entry<'_>| {
            let fits = bytes < NODE_BYTES;
            bytes += entry.size();
            fits
        };
        let count = rest.iter().take(NODE_ENTRIES).take_while(fits).count();
        let (node, behind) = rest.split_at(count.max(1));
        nodes.push(node);
        rest = behind;
    }
    writer.length(nodes.len() as u64);
    for node in nodes {
        writer.plain(&raw(node[0].id));
        writer.plain(&packed(node));
    }
    writer.length(stream.len());
    let past = stream.past();
    for id in [past.last, past.first, past.deleted] {
        writer.length(id.ms);
        writer.length(id.seq);
    }
    writer.length(past.added);
    writer.length(stream.groups().len() as u64);
    stream.groups().for_each(|group| write_group(group, writer));
}

fn raw(id: StreamId) -> [u8; 16] {
    (u128::from(id.ms) << 64 | u128::from(id.seq)).to_be_bytes()
}

fn packed(entries: &[Entry<'_>]) -> Vec<u8> {
    let (mut pack, first) = (Listpack::default(), entries[0]);
    let number = |number: usize| Element::Integer(number as i64);
    pack.push(number(entries.len()));
    pack.push(number(0));
    pack.push(number(first.fields));
    first.pairs().for_each(|(field, _)| pack.push(field));
    pack.push(number(0));
    for entry in entries {
        let is_same = entry.fields == first.fields
            && entry.pairs().zip(first.pairs()).all(|((one, _), (other, _))| one == other);
        pack.push(Element::Integer(if is_same { SAME_FIELDS } else { 0 }));
        pack.push(Element::Integer(entry.id.ms.wrapping_sub(first.id.ms) as i64));
        pack.push(Element::Integer(entry.id.seq.wrapping_sub(first.id.seq) as i64));
        if is_same {
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
    pack.into_bytes()
}

fn write_group(group: &Group, writer: &mut Writer) {
    writer.string(group.name());
    writer.length(group.last_id.ms);
    writer.length(group.last_id.seq);
    writer.length(group.entries_read.unwrap_or(UNKNOWN));
    writer.length(group.pending().len() as u64);
    for (id, pending) in group.pending().from(StreamId::MIN) {
        writer.out.extend_from_slice(&raw(id));
        writer.wide(pending.delivered);
        writer.length(pending.times);
    }
    writer.length(group.consumers().len() as u64);
    for (_, consumer) in group.consumers() {
        writer.string(consumer.name());
        writer.wide(consumer.seen);
        writer.length(consumer.pending().len() as u64);
        for (id, ()) in consumer.pending().from(StreamId::MIN) {
            writer.out.extend_from_slice(&raw(id));
        }
    }
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
