//! At rest the shards hold what the reference holds: the same keys, values and deadlines, each on its shard.

use std::collections::{BTreeMap, BTreeSet};

use darter_core::Engine;
use darter_core::value::container::Container;
use darter_core::value::field::Field;
use darter_core::value::record::Record;
use darter_core::value::stream::{Entry as StreamEntry, Group, Stream, StreamId};

use super::footprint::Placement;
use crate::reference::sorted_sets::Score;
use crate::reference::{Entry, Value, streams};

/// Compares the databases that are followed, as far as keys live. `was_loaded`: from a file, in which a stream is written as Redis 7.0 does, without
/// its pages and without when consumers were active.
pub fn check<'a>(
    engines: impl Iterator<Item = &'a Engine>,
    expected: &[BTreeMap<Vec<u8>, Entry>],
    databases: usize,
    placement: &Placement,
    was_loaded: bool,
) -> Result<(), String> {
    let mut found = vec![0; databases];
    let mut judged = Vec::new();
    let mut names = BTreeSet::new();
    for engine in engines {
        let (core, shard) = (engine.node().core.0, &engine.node().shard);
        judged.push(shard.judged().0);
        for (number, database) in shard.databases().iter().enumerate().take(databases) {
            for record in database.iter().filter(|r| !r.is_due(shard.judged())) {
                let key = record.key();
                let name = String::from_utf8_lossy(key);
                if placement.home(key) != core {
                    return Err(format!("{name} lies on core {core}, which is not its shard"));
                }
                let entry = expected[number].get(key);
                if !entry.is_some_and(|entry| is_same(record, entry, shard.judged().0, was_loaded)) {
                    return Err(format!(
                        "core {core}, database {number}: {name} is {record:?}, must be {entry:?}"
                    ));
                }
                names.insert((number, key.to_vec()));
                found[number] += 1;
            }
        }
    }
    for (number, found) in found.into_iter().enumerate() {
        let lives =
            |(key, entry): &(&Vec<u8>, &Entry)| !entry.is_due(judged[usize::from(placement.home(key))]);
        let living = expected[number].iter().filter(lives).count();
        if living != found {
            let is_missing = |(key, _): &(&Vec<u8>, &Entry)| !names.contains(&(number, key.to_vec()));
            let missing: Vec<String> = expected[number]
                .iter()
                .filter(lives)
                .filter(is_missing)
                .map(|(key, entry)| format!("{} {entry:?}", String::from_utf8_lossy(key)))
                .collect();
            return Err(format!("database {number} has {found} keys, must have {living}: {missing:?}"));
        }
    }
    Ok(())
}

fn is_same(record: &Record, entry: &Entry, judged: u64, was_loaded: bool) -> bool {
    let is_noted = was_loaded || record.string().is_none() || record.note().flags == entry.flags;
    let is_value = match (&entry.value, record.string(), record.container()) {
        (Value::Bytes(bytes), Some(string), _) => string.to_vec() == *bytes,
        (Value::List(elements), _, Some(Container::List(list))) => {
            list.len() == elements.len()
                && list.iter().zip(elements).all(|(element, expected)| element.to_vec() == *expected)
        }
        (Value::SortedSet(members), _, Some(Container::SortedSet(set))) => {
            let is_there = |(member, score): (&Vec<u8>, &Score)| {
                set.score(member).map(f64::to_bits) == Some(score.0.to_bits())
            };
            set.len() == members.len() && set.iter().count() == members.len() && members.iter().all(is_there)
        }
        (Value::Hash(fields), _, Some(Container::Hash(hash))) => {
            let row = |field: Field<'_>| {
                (field.name.to_vec(), (field.value.to_vec(), field.deadline.map(|at| at.0)))
            };
            let living = |ends: Option<u64>| ends.is_none_or(|at| at > judged);
            let found: BTreeMap<_, _> = hash.iter().map(row).filter(|(_, (_, ends))| living(*ends)).collect();
            let expected: BTreeMap<_, _> = fields
                .iter()
                .filter(|(_, (_, ends))| living(*ends))
                .map(|(name, field)| (name.clone(), field.clone()))
                .collect();
            found == expected
        }
        (Value::Set(members), _, Some(Container::Set(set))) => {
            set.len() == members.len() && members.iter().all(|member| set.has(member))
        }
        (Value::Stream(expected), _, Some(Container::Stream(stream))) => {
            is_same_stream(stream, expected, was_loaded)
        }
        _ => false,
    };
    is_value && is_noted && record.deadline().map(|at| at.0) == entry.deadline
}

fn is_same_stream(stream: &Stream, expected: &streams::Stream, was_loaded: bool) -> bool {
    let id = |id: StreamId| (id.ms, id.seq);
    let active = |at| if was_loaded { Default::default() } else { at };
    let words = |entry: StreamEntry<'_>| {
        entry.pairs().flat_map(|(field, value)| [field.to_vec(), value.to_vec()]).collect()
    };
    let entries: Vec<streams::Entry> =
        stream.range(StreamId::MIN, StreamId::MAX).map(|entry| (id(entry.id), words(entry))).collect();
    let group = |group: &Group| {
        let pending = group.pending().from(StreamId::MIN).map(|(at, pending)| {
            let name = group.consumer(pending.consumer).name().to_vec();
            (id(at), (name, pending.delivered, pending.times))
        });
        let consumers = group
            .consumers()
            .map(|(_, consumer)| (consumer.name().to_vec(), (consumer.seen, active(consumer.active))));
        let of_each: usize = group.consumers().map(|(_, consumer)| consumer.pending().len()).sum();
        assert_eq!(of_each, group.pending().len(), "what is pending is pending with somebody");
        let found = streams::Group {
            last: id(group.last_id),
            read: group.entries_read,
            pending: pending.collect(),
            consumers: consumers.collect(),
        };
        (group.name().to_vec(), found)
    };
    let found = (id(stream.last_id()), stream.added(), id(stream.max_deleted()));
    let mut groups = expected.groups.clone();
    groups.values_mut().flat_map(|group| group.consumers.values_mut()).for_each(|(_, at)| *at = active(*at));
    entries == expected.pages.concat()
        && found == (expected.last, expected.added, expected.deleted)
        && (was_loaded || stream.pages() == expected.pages.len())
        && stream.groups().map(group).collect::<BTreeMap<_, _>>() == groups
}
