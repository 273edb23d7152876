//! A stream against a naive one, with pages that are small at some times and large at others.

use std::collections::BTreeMap;

use super::*;
use proptest::prelude::*;

type Words2 = Vec<Vec<u8>>;

#[derive(Clone, Debug)]
enum Step {
    Add { ms: u64, seq: u64, words: Words2, limits: Limits },
    Remove { nth: usize, references: References },
    Trim(Trim),
    Deliver { group: usize, consumer: u8, count: usize },
    Acknowledge { group: usize, nth: usize },
    Forget { group: usize, consumer: u8 },
    Group { group: usize },
}

const GROUPS: [&[u8]; 3] = [b"one", b"two", b"a third"];

fn word() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (-200i64..70_000).prop_map(|n| n.to_string().into_bytes()),
        "[a-c]{0,3}".prop_map(String::into_bytes),
        (0usize..3_000).prop_map(|len| vec![b'v'; len]),
    ]
}

fn words() -> impl Strategy<Value = Words2> {
    let same = proptest::collection::vec(word(), 2).prop_map(|values| {
        vec![b"temperature".to_vec(), values[0].clone(), b"12".to_vec(), values[1].clone()]
    });
    let other = proptest::collection::vec((word(), word()), 1..4)
        .prop_map(|pairs| pairs.into_iter().flat_map(|(field, value)| [field, value]).collect());
    prop_oneof![3 => same, 1 => other]
}

fn references() -> impl Strategy<Value = References> {
    prop_oneof![Just(References::Keep), Just(References::Drop), Just(References::Acked)]
}

fn step() -> impl Strategy<Value = Step> {
    let limits = (prop_oneof![Just(0), Just(200), Just(4_096)], prop_oneof![Just(0), Just(3), Just(100)]);
    let limits = limits.prop_map(|(bytes, entries)| Limits { bytes, entries });
    let bound = prop_oneof![
        (0u64..60).prop_map(Bound::Len),
        (0u64..200_000).prop_map(|ms| Bound::Id(StreamId { ms, seq: 1 })),
    ];
    let trim = (bound, any::<bool>(), 0u64..20, references());
    prop_oneof![
        12 => (prop_oneof![Just(0u64), 1u64..300, 60_000u64..70_000], 0u64..3, words(), limits)
            .prop_map(|(ms, seq, words, limits)| Step::Add { ms, seq, words, limits }),
        3 => (any::<usize>(), references()).prop_map(|(nth, references)| Step::Remove { nth, references }),
        1 => trim.prop_map(|(bound, is_coarse, limit, references)| {
            let limit = if is_coarse { limit } else { 0 };
            Step::Trim(Trim { bound, is_coarse, limit, references })
        }),
        3 => (0usize..3, 0u8..4, 0usize..30)
            .prop_map(|(group, consumer, count)| Step::Deliver { group, consumer, count }),
        2 => (0usize..3, any::<usize>()).prop_map(|(group, nth)| Step::Acknowledge { group, nth }),
        1 => (0usize..3, 0u8..4).prop_map(|(group, consumer)| Step::Forget { group, consumer }),
        1 => (0usize..3).prop_map(|group| Step::Group { group }),
    ]
}

/// What a stream should be.
#[derive(Default)]
struct Naive {
    entries: BTreeMap<StreamId, Words2>,
    /// Of each group how far it has read, and what is pending with whom.
    groups: BTreeMap<Vec<u8>, (StreamId, BTreeMap<StreamId, u8>)>,
}

impl Naive {
    fn is_referenced(&self, id: StreamId) -> bool {
        self.groups.values().any(|(last, pending)| *last < id || pending.contains_key(&id))
    }

    fn remove(&mut self, id: StreamId, references: References) {
        self.entries.remove(&id);
        if references == References::Drop {
            for (_, pending) in self.groups.values_mut() {
                pending.remove(&id);
            }
        }
    }
}

fn entries_of<'a>(entries: impl Iterator<Item = Entry<'a>>) -> Vec<(StreamId, Words2)> {
    let words = |entry: Entry<'_>| {
        entry.pairs().flat_map(|(field, value)| [field.to_vec(), value.to_vec()]).collect()
    };
    entries.map(|entry| (entry.id, words(entry))).collect()
}

fn check(stream: &Stream, naive: &Naive, at: usize) {
    let all: Vec<_> = naive.entries.iter().map(|(id, words)| (*id, words.clone())).collect();
    assert_eq!(stream.len(), all.len() as u64);
    assert_eq!(entries_of(stream.range(StreamId::MIN, StreamId::MAX)), all);
    assert_eq!(entries_of(stream.first().into_iter().chain(stream.last())).len(), 2 * all.len().min(1));
    let mut back = entries_of(stream.range_back(StreamId::MIN, StreamId::MAX));
    back.reverse();
    assert_eq!(back, all);
    if !all.is_empty() {
        let (from, to) = (at % all.len(), at / 7 % all.len());
        let (low, high) = (all[from].0, all[to].0);
        let part = if from <= to { &all[from..=to] } else { &[] };
        assert_eq!(entries_of(stream.range(low, high)), part);
        assert_eq!(stream.count(low, high, usize::MAX), part.len());
        assert_eq!(stream.count(low, high, 5), part.len().min(5));
        assert_eq!(stream.range_back(low, high).count(), part.len());
        assert_eq!(entries_of(stream.get(low).into_iter()), &all[from..=from]);
        assert_eq!(stream.last().map(|entry| entry.id), all.last().map(|(id, _)| *id));
    }
    for (name, (last, pending)) in &naive.groups {
        let group = stream.group(name).expect("a group is there");
        assert_eq!(group.last_id, *last);
        let of = |pending: &Pending| group.consumer(pending.consumer).name()[0];
        let found: BTreeMap<StreamId, u8> =
            group.pending().from(StreamId::MIN).map(|(id, pending)| (id, of(pending))).collect();
        assert_eq!(&found, pending);
        for (_, consumer) in group.consumers() {
            let own: Vec<StreamId> = consumer.pending().from(StreamId::MIN).map(|(id, _)| id).collect();
            let of = pending.iter().filter(|(_, name)| **name == consumer.name()[0]);
            assert_eq!(own, of.map(|(id, _)| *id).collect::<Vec<_>>());
        }
    }
}

/// Bytes counted anew.
fn recount(stream: &Stream) -> usize {
    let groups: usize = stream.groups().map(Group::recount).sum();
    let places = block_size(stream.0.groups.capacity() * size_of::<Box<Group>>());
    block_size(size_of::<Body>()) + places + groups + stream.0.log.recount()
}

proptest! {
    #[test]
    fn a_stream_is_a_sequence_with_readers(steps in proptest::collection::vec(step(), 0..160)) {
        let (mut stream, mut naive) = (Stream::default(), Naive::default());
        let (mut added, mut deleted) = (0, StreamId::MIN);
        for (at, step) in steps.into_iter().enumerate() {
            match step {
                Step::Add { ms, seq, words, limits } => {
                    let last = stream.last_id();
                    let id = match ms {
                        0 => StreamId { ms: last.ms, seq: last.seq + 1 + seq },
                        ms => StreamId { ms: last.ms + ms, seq },
                    };
                    stream.add(id, words.len() / 2, words.iter().map(|word| &word[..]), limits);
                    naive.entries.insert(id, words);
                    added += 1;
                }
                Step::Remove { nth, references } => {
                    let id = naive.entries.keys().nth(nth % (naive.entries.len() + 1)).copied();
                    let id = id.unwrap_or(StreamId { ms: 3, seq: 9_999 });
                    let expected = match naive.entries.contains_key(&id) {
                        false => Removal::Absent,
                        true if references == References::Acked && naive.is_referenced(id) => Removal::Referenced,
                        true => {
                            naive.remove(id, references);
                            deleted = deleted.max(id);
                            Removal::Done
                        }
                    };
                    prop_assert_eq!(stream.remove(id, references), expected);
                }
                Step::Trim(trim) => {
                    let kept = |n: usize, id: StreamId| match trim.bound {
                        Bound::Len(len) => n as u64 + len >= naive.entries.len() as u64,
                        Bound::Id(bound) => id >= bound,
                    };
                    let acked = trim.references == References::Acked;
                    let candidates = naive.entries.keys().enumerate().take_while(|(n, id)| !kept(*n, **id));
                    let gone: Vec<StreamId> = candidates
                        .map(|(_, id)| *id).filter(|id| !acked || !naive.is_referenced(*id)).collect();
                    let trimmed = stream.trim(trim) as usize;
                    prop_assert!(trimmed <= gone.len() && (trim.is_coarse || trimmed == gone.len()));
                    prop_assert!(trim.limit == 0 || trimmed <= trim.limit as usize);
                    gone.into_iter().take(trimmed).for_each(|id| naive.remove(id, trim.references));
                }
                Step::Group { group } => {
                    let name = GROUPS[group];
                    match naive.groups.remove(name) {
                        Some(_) => prop_assert!(stream.remove_group(name).is_some()),
                        None => {
                            let last = naive.entries.keys().nth(at % 5).copied().unwrap_or(StreamId::MIN);
                            prop_assert!(stream.add_group(name, last, None) && !stream.add_group(name, last, None));
                            naive.groups.insert(name.to_vec(), (last, BTreeMap::new()));
                        }
                    }
                }
                Step::Deliver { group, consumer, count } => {
                    let Some((last, pending)) = naive.groups.get_mut(GROUPS[group]) else { continue };
                    let new: Vec<StreamId> =
                        naive.entries.keys().filter(|id| **id > *last).take(count).copied().collect();
                    stream.change_group(GROUPS[group], |group| {
                        let (id, _) = group.see(&[consumer; 3], 5);
                        for entry in &new {
                            group.give(*entry, Pending { consumer: id, delivered: 5, times: 1 });
                            group.last_id = *entry;
                        }
                    });
                    for id in new {
                        pending.insert(id, consumer);
                        *last = id;
                    }
                }
                Step::Acknowledge { group, nth } => {
                    let Some((_, pending)) = naive.groups.get_mut(GROUPS[group]) else { continue };
                    let Some(id) = pending.keys().nth(nth % (pending.len() + 1)).copied() else { continue };
                    pending.remove(&id);
                    let both = stream.change_group(GROUPS[group], |group| {
                        (group.acknowledge(id), group.acknowledge(id))
                    });
                    prop_assert_eq!(both, Some((true, false)));
                }
                Step::Forget { group, consumer } => {
                    let Some((_, pending)) = naive.groups.get_mut(GROUPS[group]) else { continue };
                    let before = pending.len();
                    pending.retain(|_, of| *of != consumer);
                    let gone = stream.change_group(GROUPS[group], |group| group.remove(&[consumer; 3]));
                    prop_assert_eq!(gone.flatten().unwrap_or(0), before - pending.len());
                }
            }
            prop_assert_eq!(stream.owned_bytes(), recount(&stream));
            if at % 8 == 0 {
                check(&stream, &naive, at * 31);
            }
        }
        check(&stream, &naive, 12_345);
        prop_assert_eq!((stream.added(), stream.max_deleted()), (added, deleted));
        let mut copy = stream.clone();
        prop_assert_eq!(&copy, &stream);
        prop_assert_eq!(recount(&copy), stream.owned_bytes());
        let mut bytes = copy.owned_bytes();
        while !copy.is_blank() {
            copy.free_some(3);
            prop_assert_eq!(copy.owned_bytes(), recount(&copy));
            prop_assert!(copy.owned_bytes() < bytes || copy.is_blank());
            bytes = copy.owned_bytes();
        }
        prop_assert_eq!(copy.owned_bytes(), Stream::default().owned_bytes());
    }
}

#[test]
fn a_stream_whose_last_group_is_gone_owns_nothing_for_groups() {
    let mut stream = Stream::default();
    assert!(stream.add_group(b"one", StreamId::MIN, None));
    let removed = stream.remove_group(b"one").expect("it was there");
    assert_eq!(removed.owned_bytes(), recount(&removed));
    assert_eq!(stream.owned_bytes(), Stream::default().owned_bytes());
}

#[test]
fn a_group_with_much_pending_is_freed_in_steps() {
    let mut stream = Stream::default();
    stream.add_group(b"g", StreamId::MIN, None);
    stream.change_group(b"g", |group| {
        let (consumer, _) = group.see(b"c", 1);
        for ms in 1..=20_000 {
            group.give(StreamId { ms, seq: 0 }, Pending { consumer, delivered: 1, times: 1 });
        }
    });
    let mut removed = stream.remove_group(b"g").expect("it was there");
    assert_eq!(stream.owned_bytes(), Stream::default().owned_bytes());
    let (blocks, mut calls) = (removed.blocks(), 0);
    while !removed.is_blank() {
        assert!(removed.free_some(10) <= 10);
        assert_eq!(removed.owned_bytes(), recount(&removed));
        calls += 1;
    }
    assert!(blocks > 500 && calls > 100, "{blocks} blocks in {calls} calls");
    assert_eq!(removed.owned_bytes(), Stream::default().owned_bytes());
}

#[test]
fn ids_far_apart_lie_in_pages_of_their_own() {
    let mut stream = Stream::default();
    let limits = Limits { bytes: 4_096, entries: 100 };
    let ids = [1, 2, u64::MAX / 2, u64::MAX].map(|ms| StreamId { ms, seq: u64::MAX });
    for id in ids {
        stream.add(id, 1, [&b"f"[..], b"v"].into_iter(), limits);
    }
    assert_eq!(stream.range(StreamId::MIN, StreamId::MAX).map(|entry| entry.id).collect::<Vec<_>>(), ids);
    assert_eq!((stream.pages(), stream.next_id(5)), (3, None));
}

#[test]
fn a_large_stream_takes_little_more_than_its_text() {
    let mut stream = Stream::default();
    let limits = Limits { bytes: 4_096, entries: 100 };
    let mut text = 0;
    for n in 0..100_000u64 {
        let value = format!("value-number-{n:012}");
        text += value.len();
        let words = [&b"field"[..], value.as_bytes()];
        stream.add(StreamId { ms: 1_700_000_000_000 + 3 * n, seq: 0 }, 1, words.into_iter(), limits);
    }
    let each = (stream.owned_bytes() - text) as f64 / 100_000.0;
    assert!(each < 7.0, "{each} bytes an entry beyond its text");
}
