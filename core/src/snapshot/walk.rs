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
//! It knows records and places. It does not know files, shards or who changes what.

use crate::mutant::planted;
use crate::rdb::file::{write_entry, write_flags, write_select};
use crate::rdb::writer::Writer;
use crate::table::Cursor;
use crate::value::record::Record;

/// A database on its way into a snapshot.
#[derive(Clone, Debug)]
pub struct Walk {
    /// The database's number at the cut.
    number: u16,
    /// Where the walk goes on.
    at: Cursor,
    is_over: bool,
    /// What is written is not wanted any more; only marks are taken away.
    is_given_up: bool,
    writer: Writer,
    /// Records written, and how many of them because they were about to change.
    written: u64,
    saved: u64,
}

impl Walk {
    /// At the cut.
    pub fn new(number: u16, compresses: bool) -> Walk {
        let writer = Writer::new(compresses);
        Walk { number, at: Cursor::START, is_over: false, is_given_up: false, writer, written: 0, saved: 0 }
    }

    /// Everything that decides how it goes on and what it has written.
    pub(crate) fn digest(&self, hasher: &mut impl std::hash::Hasher) {
        use std::hash::Hash;
        (self.number, self.at, self.is_over, self.is_given_up, &self.writer.out).hash(hasher);
    }

    /// True if everything was written.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Where it goes on.
    pub fn at(&self) -> Cursor {
        self.at
    }

    /// Bytes that were written and not taken.
    pub fn pending_bytes(&self) -> usize {
        self.writer.out.len()
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
    }

    /// Takes what was written; it stands for itself.
    pub fn take_written(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.writer.out)
    }

    /// True if the walk has yet to come to this place.
    #[inline]
    pub fn is_ahead(&self, place: Cursor) -> bool {
        !self.is_over && place >= self.at
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
        } else {
            self.write(record);
        }
    }

    /// A bucket was visited.
    pub fn go_on(&mut self, next: Cursor) {
        self.at = next;
        self.is_over = next == Cursor::START;
    }

    fn write(&mut self, record: &Record) {
        if self.is_given_up {
            return;
        }
        if self.writer.out.is_empty() {
            write_select(self.number, &mut self.writer);
        }
        let flags = record.note().flags;
        if flags != 0 {
            write_flags(flags, &mut self.writer);
        }
        write_entry(record, &mut self.writer);
        self.written += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::database::{Database, Key};
    use crate::hash::KeyHasher;
    use crate::rdb::file::{Item, item};
    use crate::shard::Deadline;
    use crate::time::UnixMillis;
    use crate::value::access::AccessRule;
    use crate::value::record::Value;
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

    #[derive(Clone, Debug)]
    enum Act {
        Store(u16, u8, Option<u64>),
        /// Many at once, so that segments split.
        StoreAll(u16),
        /// The same, so that they merge.
        RemoveAll(u16),
        Change(u16),
        Remove(u16),
        Expire(u64),
        Walk(usize),
    }

    fn act(keys: u16) -> impl Strategy<Value = Act> {
        prop_oneof![
            (0..keys, any::<u8>(), prop::option::of(0..1_000u64)).prop_map(|(k, v, at)| Act::Store(k, v, at)),
            (0..keys).prop_map(Act::StoreAll),
            (0..keys).prop_map(Act::RemoveAll),
            (0..keys).prop_map(Act::Change),
            (0..keys).prop_map(Act::Remove),
            (0..1_000u64).prop_map(Act::Expire),
            (0..40usize).prop_map(Act::Walk),
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
                database.change(key, |record| record.set_value(Value::Integer(7)));
            }
            Act::Remove(key) => {
                let bytes = name(key);
                database.remove(Key { bytes: &bytes, hash: hasher.hash(&bytes) });
            }
            Act::Expire(now) => {
                database.expire_some(UnixMillis(now), 64, &|_| false, &mut drop);
            }
            Act::Walk(steps) => {
                database.walk_some(steps, 1 << 20);
                written.extend(database.take_walked().unwrap_or_default());
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
                database.begin_walk(3, false);
                let mut latest = 0;
                for act in &during {
                    if let Act::Expire(now) = act {
                        latest = latest.max(*now);
                    }
                    apply(&mut database, &hasher, act, &mut written);
                }
                while database.walk().is_some() {
                    apply(&mut database, &hasher, &Act::Walk(100), &mut written);
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
        database.begin_walk(0, true);
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
}
