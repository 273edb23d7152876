//! The walk of a snapshot through one database: every record that was there at the cut is written once, as it was then.
//!
//! The walk goes through the database in the order of scans, a bucket at a time, and clients go on meanwhile. A key's place in that order never
//! changes, whatever splits, merges or is displaced around it, so one comparison tells whether the walk has passed it. Whoever is about to
//! change or remove a record that the walk has not reached has it written first, as it is (*saved*), and marks it; whoever makes a new one ahead
//! of the walk marks that too. The walk passes marked records by and takes the mark away, so that when it is over there is none left.
//!
//! Dash's authors and Dragonfly keep a version in each bucket instead, and must know every bucket that a change will touch before they
//! touch it. Here there is no such set: the mark is the record's, one bit that its block has to spare.
//!
//! A large value is written in slices. The walk goes on behind its bucket when its end is written; if it is about to change before that, the rest
//! is written at once. What is written of other records meanwhile comes behind it.
//!
//! It knows records and places. It does not know files, shards or who changes what.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::mutant::planted;
use crate::rdb::file::{begin_entry, write_flags, write_resize, write_select};
use crate::rdb::slices::Slices;
use crate::rdb::writer::Writer;
use crate::table::Cursor;
use crate::value::record::Record;

/// A record that is written in slices.
#[derive(Clone, Debug, Hash)]
struct Large {
    key: Arc<[u8]>,
    /// Of its value; `None`: nothing is written yet.
    slices: Option<Slices>,
}

/// A database on its way into a snapshot.
#[derive(Clone, Debug)]
pub struct Walk {
    /// The database's number at the cut.
    number: u16,
    /// Keys that there were at the cut, and how many of them had a deadline.
    keys: [u64; 2],
    /// A record of so many bytes is written in slices.
    large_min: usize,
    /// Where the walk goes on.
    at: Cursor,
    /// It has come by all buckets.
    is_through: bool,
    /// What is written is not wanted any more; only marks are taken away.
    is_given_up: bool,
    writer: Writer,
    /// Large records of the last bucket that are to be written; the first may be half written.
    larges: VecDeque<Large>,
    /// What was written since that was begun: comes behind it.
    meanwhile: Vec<u8>,
    /// What was taken last ends within a value.
    is_torn: bool,
    /// Records written, and how many of them because they were about to change.
    written: u64,
    saved: u64,
}

impl Walk {
    /// At the cut.
    pub fn new(number: u16, keys: [u64; 2], compresses: bool, large_min: usize) -> Walk {
        Walk {
            number,
            keys,
            large_min,
            at: Cursor::START,
            is_through: false,
            is_given_up: false,
            writer: Writer::new(compresses),
            larges: VecDeque::new(),
            meanwhile: Vec::new(),
            is_torn: false,
            written: 0,
            saved: 0,
        }
    }

    /// Everything that decides how it goes on and what it has written.
    pub fn digest(&self, hasher: &mut impl std::hash::Hasher) {
        use std::hash::Hash;
        (self.number, self.keys, self.at, self.is_through, self.is_given_up, &self.writer.out).hash(hasher);
        (&self.larges, &self.meanwhile, self.is_torn).hash(hasher);
    }

    /// True if everything was written.
    pub fn is_over(&self) -> bool {
        self.is_through && self.larges.is_empty()
    }

    /// Where it goes on.
    pub fn at(&self) -> Cursor {
        self.at
    }

    /// Bytes that were written and not taken.
    pub fn pending_bytes(&self) -> usize {
        self.writer.out.len()
    }

    /// Bytes that come behind a value that is being written.
    pub fn meanwhile_bytes(&self) -> usize {
        self.meanwhile.len()
    }

    /// True if a large value is written in part.
    pub fn is_within(&self) -> bool {
        self.larges.front().is_some_and(|large| large.slices.is_some())
    }

    /// True if what was taken last ends within a value, so that nothing else may follow it.
    pub fn is_torn(&self) -> bool {
        self.is_torn
    }

    /// Records that were written so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Those of them that were about to be changed.
    pub fn saved(&self) -> u64 {
        self.saved
    }

    /// Nothing more is written.
    pub fn give_up(&mut self) {
        self.is_given_up = true;
        self.writer.out = Vec::new();
        self.meanwhile = Vec::new();
        self.larges.clear();
        self.is_torn = false;
    }

    /// Takes what was written. It stands for itself, but for a value that it ends within: the rest of that is what is taken next.
    pub fn take_written(&mut self) -> Vec<u8> {
        self.is_torn = self.is_within();
        // What comes next is about as long: a buffer that grows to that is copied several times.
        let len = if self.is_over() { 0 } else { self.writer.out.len() };
        std::mem::replace(&mut self.writer.out, Vec::with_capacity(len + len / 16))
    }

    /// True if the walk has yet to come to this place.
    #[inline]
    pub fn is_ahead(&self, place: Cursor) -> bool {
        !self.is_through && place >= self.at
    }

    /// A record that the walk has not reached is about to be changed or removed.
    pub fn save(&mut self, record: &mut Record) {
        if !record.is_passed_by() && !planted("a record is changed before it is saved") {
            self.write(record);
            self.saved += 1;
            record.pass_by(true);
        }
    }

    /// A bucket's record, in the order of scans.
    pub fn visit(&mut self, record: &mut Record, place: Cursor) {
        if place < self.at {
            return;
        }
        if record.is_passed_by() {
            record.pass_by(false);
        } else if record.owned_bytes() < self.large_min {
            self.write(record);
        } else if !self.is_given_up {
            self.larges.push_back(Large { key: record.key().into(), slices: None });
        }
    }

    /// A bucket was visited.
    pub fn go_on(&mut self, next: Cursor) {
        self.at = next;
        self.is_through = next == Cursor::START;
    }

    /// The key of the large record to be written next.
    pub fn next_large(&self) -> Option<Arc<[u8]>> {
        self.larges.front().map(|large| large.key.clone())
    }

    /// True if this is a large record that the walk has come by and that is not wholly written.
    #[inline]
    pub fn is_large(&self, key: &[u8]) -> bool {
        self.larges.iter().any(|large| *large.key == *key)
    }

    /// Goes on with the large record to be written next, until there are `enough` bytes.
    pub fn write_slice(&mut self, record: &Record, enough: usize) {
        let Some(large) = self.larges.front_mut() else { return };
        let mut slices = match large.slices.take() {
            Some(slices) => slices,
            None => {
                self.begin(record);
                Slices::default()
            }
        };
        match slices.go_on(record, enough, &mut self.writer) {
            true => self.end_large(),
            false => self.larges[0].slices = Some(slices),
        }
    }

    /// The first of the large records is written.
    fn end_large(&mut self) {
        self.larges.pop_front();
        self.writer.out.append(&mut self.meanwhile);
    }

    /// A record that the walk has come by is about to be changed or removed: what is missing of it is written.
    pub fn finish(&mut self, record: &Record) {
        let Some(n) = self.larges.iter().position(|large| *large.key == *record.key()) else { return };
        if planted("a large value is changed before its end is written") {
            return;
        }
        self.saved += 1;
        if n == 0 && self.is_within() {
            return self.write_slice(record, usize::MAX);
        }
        self.larges.remove(n);
        self.write(record);
    }

    /// A record as a whole; behind the large value that is being written, if one is.
    fn write(&mut self, record: &Record) {
        if self.is_given_up {
            return;
        }
        let is_within =
            self.is_within() && !planted("what is written meanwhile comes into the midst of a value");
        if is_within {
            std::mem::swap(&mut self.writer.out, &mut self.meanwhile);
        }
        self.begin(record);
        Slices::default().go_on(record, usize::MAX, &mut self.writer);
        if is_within {
            std::mem::swap(&mut self.writer.out, &mut self.meanwhile);
        }
    }

    /// What stands before a value.
    fn begin(&mut self, record: &Record) {
        if self.writer.out.is_empty() {
            write_select(self.number, &mut self.writer);
            if self.written == 0 {
                write_resize(self.keys, &mut self.writer);
            }
        }
        let flags = record.note().flags;
        if flags != 0 {
            write_flags(flags, &mut self.writer);
        }
        begin_entry(record, &mut self.writer);
        self.written += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::database::{Database, Key};
    use crate::hash::KeyHasher;
    use crate::rdb::file::{Item, item, write_entry};
    use crate::shard::Deadline;
    use crate::time::UnixMillis;
    use crate::value::access::AccessRule;
    use crate::value::container::Container;
    use crate::value::hash::{Hash, Packing};
    use crate::value::list::{Fill, List};
    use crate::value::pack::Side;
    use crate::value::record::Value;
    use crate::value::set::{Set, SetLimits};
    use crate::value::stream::{Group, Limits as PageLimits, References, Stream, StreamId};
    use crate::value::zset::{Limits, SortedSet};
    use proptest::prelude::*;

    type Content = BTreeMap<Vec<u8>, (Option<u64>, Vec<u8>)>;

    /// What was written, each key once.
    fn content(mut bytes: &[u8]) -> Content {
        let mut content = Content::new();
        while !bytes.is_empty() {
            let (item, len) = item(bytes).expect("what is written is whole");
            if let Item::Entry(entry) = item {
                let value = (entry.deadline.map(|at| at.0), entry.value.to_vec());
                assert!(content.insert(entry.key.to_vec(), value).is_none(), "a key was written twice");
            }
            bytes = &bytes[len..];
        }
        content
    }

    /// What is there, each key as a walk writes it.
    fn now(database: &Database) -> Content {
        let mut writer = Writer::new(false);
        database.iter().for_each(|record| write_entry(record, &mut writer));
        content(&writer.out)
    }

    const MANY: u16 = 400;
    /// From so many bytes on a record is written in slices.
    const LARGE_MIN: usize = 300;
    const PACKING: Packing = Packing { entries: 8, bytes: 64, seeds: [1, 2, 3, 4] };
    const SETS: SetLimits = SetLimits { ints: 8, packing: PACKING };
    const PAGES: PageLimits = PageLimits { bytes: 120, entries: 8 };
    const STREAM: u8 = 4;

    /// Adds an entry, which both groups read; the second has many consumers.
    fn add_to(stream: &mut Stream, text: &[u8]) {
        let id = stream.next_id(0).expect("there are more ids");
        stream.add(id, 1, [b"field", text].into_iter(), PAGES);
        for (name, who) in [(b"one", id.seq % 2), (b"two", id.seq / 4)] {
            stream.add_group(name, StreamId::MIN, Some(0));
            let see = |group: &mut Group| group.see(&who.to_be_bytes(), id.seq).0;
            let consumer = stream.change_group(name, see);
            stream.deliver(name, &[id], consumer.map(|consumer| (consumer, id.seq)));
        }
    }

    /// Changes all parts of a stream.
    fn change_stream(stream: &mut Stream) {
        add_to(stream, b"one more");
        stream
            .first()
            .map(|entry| entry.id)
            .into_iter()
            .for_each(|id| _ = stream.remove(id, References::Drop));
        drop(stream.remove_group(b"one"));
        stream.change_group(b"two", |group| group.see(b"a new one", 7));
    }

    fn collection(elements: Vec<Vec<u8>>, kind: u8) -> Container {
        match kind {
            0 => {
                let mut list = List::default();
                elements.iter().for_each(|element| list.push(Side::Right, element, Fill(8)));
                Container::List(list)
            }
            1 => {
                let mut set = Set::default();
                elements.iter().for_each(|element| _ = set.add(element, &SETS));
                Container::Set(set)
            }
            2 => {
                let mut hash = Hash::default();
                let deadline = |n: usize| (n % 5 == 1).then_some(UnixMillis(1 << 40));
                for (n, element) in elements.iter().enumerate() {
                    hash.set(element, b"value", deadline(n), &PACKING);
                }
                Container::Hash(hash)
            }
            STREAM => {
                let mut stream = Stream::default();
                elements.iter().for_each(|element| add_to(&mut stream, element));
                Container::Stream(stream)
            }
            _ => {
                let pairs: Vec<_> =
                    elements.iter().enumerate().map(|(n, element)| (element, n as f64)).collect();
                Container::SortedSet(SortedSet::of_ordered(&pairs, Limits { entries: 8, value: 64 }))
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Act {
        Store(u16, u8, Option<u64>),
        /// Many at once, so that segments split.
        StoreAll(u16),
        /// The same, so that they merge.
        RemoveAll(u16),
        Change(u16),
        /// A list, hash, set, sorted set or stream of so many elements, which takes more than one slice.
        Collect(u16, u8, u8),
        Remove(u16),
        Expire(u64),
        Walk(usize, usize),
    }

    fn act(keys: u16) -> impl Strategy<Value = Act> {
        prop_oneof![
            (0..keys, any::<u8>(), prop::option::of(0..1_000u64)).prop_map(|(k, v, at)| Act::Store(k, v, at)),
            (0..keys).prop_map(Act::StoreAll),
            (0..keys).prop_map(Act::RemoveAll),
            (0..keys).prop_map(Act::Change),
            (0..keys).prop_map(Act::Remove),
            (0..1_000u64).prop_map(Act::Expire),
            (0..60.min(keys), any::<u8>(), 0..5u8).prop_map(|(k, n, kind)| Act::Collect(k, n, kind)),
            (0..40usize, 1..2_000usize).prop_map(|(steps, bytes)| Act::Walk(steps, bytes)),
        ]
    }

    fn apply(database: &mut Database, hasher: &KeyHasher, act: &Act, written: &mut Vec<u8>) {
        let name = |n: u16| format!("key:{n}").into_bytes();
        let access = AccessRule::Untouched;
        match *act {
            Act::Store(key, value, at) => {
                let bytes = name(key);
                let key = Key { bytes: &bytes, hash: hasher.hash(&bytes) };
                let deadline = at.map_or(Deadline::Clear, |at| Deadline::At(UnixMillis(at)));
                let value = vec![b'a' + value % 26; 1 + usize::from(value)];
                drop(database.store(key, Value::Bytes(&value), deadline, None, access));
            }
            Act::StoreAll(from) => (from..from + MANY)
                .for_each(|key| apply(database, hasher, &Act::Store(key, 3, None), written)),
            Act::RemoveAll(from) => {
                (from..from + MANY).for_each(|key| apply(database, hasher, &Act::Remove(key), written));
            }
            Act::Change(key) => {
                let bytes = name(key);
                let key = Key { bytes: &bytes, hash: hasher.hash(&bytes) };
                database.change(key, |record| match record.container_mut() {
                    Some(Container::List(list)) => list.push(Side::Left, b"one more", Fill(8)),
                    Some(Container::Set(set)) => _ = set.add(b"one more", &SETS),
                    Some(Container::Stream(stream)) => change_stream(stream),
                    _ => record.set_value(Value::Integer(7)),
                });
            }
            Act::Collect(key, count, kind) => {
                let bytes = name(key);
                let key = Key { bytes: &bytes, hash: hasher.hash(&bytes) };
                let elements = (0..=u32::from(count)).map(|n| format!("element {n}").into_bytes());
                let container = collection(elements.collect(), kind);
                drop(database.store(
                    key,
                    Value::Container(Box::new(container)),
                    Deadline::Clear,
                    None,
                    access,
                ));
            }
            Act::Remove(key) => {
                let bytes = name(key);
                database.remove(Key { bytes: &bytes, hash: hasher.hash(&bytes) });
            }
            Act::Expire(now) => {
                database.expire_some(UnixMillis(now), 64, &|_| false, &mut drop);
            }
            Act::Walk(steps, bytes) => {
                database.walk_some(steps, bytes);
                // What is left lies there until the next time.
                if steps % 3 > 0 {
                    written.extend(database.take_walked().unwrap_or_default());
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        /// Whatever happens meanwhile, what is written is what was there, but for what has ended.
        #[test]
        fn a_walk_writes_what_was_there_at_the_cut(
            before in prop::collection::vec(act(6_000), 0..120),
            during in prop::collection::vec(act(6_000), 0..250),
        ) {
            let hasher = KeyHasher::new([5, 6, 7, 8]);
            let mut database = Database::new(hasher.clone());
            let mut written = Vec::new();
            for act in &before {
                apply(&mut database, &hasher, act, &mut written);
            }
            // A second walk finds no marks of the first.
            for _ in 0..2 {
                let cut = now(&database);
                written.clear();
                database.begin_walk(3, false, LARGE_MIN);
                let mut latest = 0;
                for act in &during {
                    if let Act::Expire(now) = act {
                        latest = latest.max(*now);
                    }
                    apply(&mut database, &hasher, act, &mut written);
                }
                while database.walk().is_some() {
                    apply(&mut database, &hasher, &Act::Walk(100, 1 << 20), &mut written);
                }
                let written = content(&written);
                // Keys that have ended may be missing: whoever loads them drops them.
                let lives = |(_, (at, _)): &(&Vec<u8>, &(Option<u64>, Vec<u8>))| at.is_none_or(|at| at > latest);
                prop_assert!(cut.iter().filter(lives).eq(written.iter().filter(lives)));
                prop_assert!(written.iter().all(|(key, value)| cut.get(key) == Some(value)));
                prop_assert!(database.iter().all(|record| !record.is_passed_by()));
                database.check();
                prop_assert_eq!(database.recount(), Ok(()));
            }
        }
    }

    #[test]
    fn who_gives_up_writes_nothing_more_and_leaves_no_marks() {
        let hasher = KeyHasher::new([5, 6, 7, 8]);
        let mut database = Database::new(hasher.clone());
        let mut written = Vec::new();
        (0..2_000).for_each(|n| apply(&mut database, &hasher, &Act::Store(n, 1, None), &mut written));
        database.begin_walk(0, true, LARGE_MIN);
        database.walk_some(10, 1 << 20);
        (0..2_000).for_each(|n| apply(&mut database, &hasher, &Act::Change(n), &mut written));
        database.give_up_walk();
        (0..2_000).for_each(|n| apply(&mut database, &hasher, &Act::Remove(n / 2), &mut written));
        while database.walk().is_some() {
            database.walk_some(10, 1 << 20);
            assert_eq!(database.take_walked(), None);
        }
        assert!(database.iter().all(|record| !record.is_passed_by()));
    }

    #[test]
    fn a_large_value_whose_time_comes_while_it_is_written_stays_until_it_is() {
        let hasher = KeyHasher::new([5, 6, 7, 8]);
        let mut database = Database::new(hasher.clone());
        let bytes = vec![b'x'; 1_500];
        let key = Key { bytes: b"large", hash: hasher.hash(b"large") };
        let deadline = Deadline::At(UnixMillis(5));
        drop(database.store(key, Value::Bytes(&bytes), deadline, None, AccessRule::Untouched));
        let cut = now(&database);
        let expire = |database: &mut Database| {
            database.expire_some(UnixMillis(1 << 40), 1 << 20, &|_| false, &mut drop).1
        };
        database.begin_walk(0, false, LARGE_MIN);
        let mut written = Vec::new();
        // The first step finds it.
        while !database.walk().is_some_and(|walk| walk.is_large(b"large")) {
            database.walk_some(1, 10);
        }
        let mut slices = 0;
        while database.walk().is_some() {
            if database.walk().is_some_and(|walk| walk.is_large(b"large")) {
                assert_eq!(expire(&mut database), 0);
                slices += 1;
            }
            database.walk_some(1, 10);
            written.extend(database.take_walked().unwrap_or_default());
        }
        assert_eq!((content(&written), slices > 0), (cut, true));
        assert_eq!((expire(&mut database), database.len()), (1, 0));
    }

    #[test]
    fn a_large_value_is_written_in_slices_and_whole_when_it_is_about_to_change() {
        let hasher = KeyHasher::new([5, 6, 7, 8]);
        for (changes_at, kind) in (0..20).flat_map(|at| [(at, 0), (at, STREAM)]) {
            let mut database = Database::new(hasher.clone());
            let mut written = Vec::new();
            apply(&mut database, &hasher, &Act::Collect(1, 200, kind), &mut written);
            (2..40).for_each(|n| apply(&mut database, &hasher, &Act::Store(n, 1, None), &mut written));
            let cut = now(&database);
            database.begin_walk(0, false, LARGE_MIN);
            let mut torn = 0;
            for step in 0.. {
                if step == changes_at {
                    // Whoever changes others meanwhile does not come into the midst of it.
                    (0..40).for_each(|n| apply(&mut database, &hasher, &Act::Change(n), &mut written));
                }
                let before = database.walk().map_or(0, Walk::pending_bytes);
                database.walk_some(64, 200);
                if let Some(walk) = database.walk() {
                    let slice = walk.pending_bytes() - before;
                    assert!(slice < 400, "{slice} bytes at once");
                }
                written.extend(database.take_walked().unwrap_or_default());
                let Some(walk) = database.walk() else { break };
                torn += usize::from(walk.is_torn());
            }
            assert!(torn > 0 || changes_at < 5, "{kind} {changes_at}");
            assert_eq!(content(&written), cut, "{kind} {changes_at}");
        }
    }
}
