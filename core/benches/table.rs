//! The dashtable beside hashbrown: the same hasher, the same boxed entries of 48 bytes.
//!
//! `cargo bench -p darter-core --bench table`; a filter such as `1000000/get` picks some.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput};
use darter_core::hash::{KeyHash, KeyHasher};
use darter_core::table::{Dashtable, Entry};
use hashbrown::HashTable;

type Key = [u8; 16];

/// What a small key with a small value takes. That all keys are equally long, the tables cannot know.
struct Record {
    key_len: u8,
    key: Key,
    _value: [u8; 31],
}

struct Boxed(Box<Record>);

impl Boxed {
    fn new(key: Key) -> Boxed {
        Boxed(Box::new(Record { key_len: black_box(16), key, _value: [7; 31] }))
    }
}

impl Entry for Boxed {
    fn key(&self) -> &[u8] {
        &self.0.key[..usize::from(self.0.key_len)]
    }
}

fn hasher() -> KeyHasher {
    KeyHasher::new([1, 2, 3, 4])
}

/// Keys that read like keys, in an order that has nothing to do with that of their insertion.
fn keys(from: u64, count: u64) -> Vec<Key> {
    let scattered = (0..count).map(|at| from + at * 2_654_435_761 % count);
    scattered.map(|number| format!("user:{number:011}").into_bytes().try_into().expect("16 bytes")).collect()
}

/// The operations under measurement, for both tables.
trait Table: Sized {
    fn new() -> Self;
    fn insert(&mut self, entry: Boxed);
    fn contains(&self, key: &[u8]) -> bool;
    fn remove(&mut self, key: &[u8]) -> Option<Boxed>;

    fn filled(entries: u64) -> Self {
        let mut table = Self::new();
        let mut order = keys(0, entries);
        order.sort_unstable();
        order.into_iter().for_each(|key| table.insert(Boxed::new(key)));
        table
    }
}

impl Table for Dashtable<Boxed> {
    fn new() -> Self {
        Dashtable::new(hasher())
    }

    fn insert(&mut self, entry: Boxed) {
        let hash = self.hash(entry.key());
        Dashtable::insert(self, entry, hash);
    }

    fn contains(&self, key: &[u8]) -> bool {
        self.get(key, self.hash(key)).is_some()
    }

    fn remove(&mut self, key: &[u8]) -> Option<Boxed> {
        Dashtable::remove(self, key, self.hash(key))
    }
}

/// hashbrown with the hasher beside it.
struct Swiss {
    table: HashTable<Boxed>,
    hasher: KeyHasher,
}

impl Table for Swiss {
    fn new() -> Self {
        Swiss { table: HashTable::new(), hasher: hasher() }
    }

    fn insert(&mut self, entry: Boxed) {
        let hash = self.hasher.hash(entry.key()).0;
        self.table.insert_unique(hash, entry, |entry| self.hasher.hash(entry.key()).0);
    }

    fn contains(&self, key: &[u8]) -> bool {
        self.table.find(self.hasher.hash(key).0, |entry| entry.key() == key).is_some()
    }

    fn remove(&mut self, key: &[u8]) -> Option<Boxed> {
        let found = self.table.find_entry(self.hasher.hash(key).0, |entry| entry.key() == key);
        found.ok().map(|found| found.remove().0)
    }
}

fn lookups<T: Table>(criterion: &mut Criterion, name: &str, entries: u64) {
    let mut group = criterion.benchmark_group(entries.to_string());
    let table = T::filled(entries);
    for (what, keys) in [("get hit", keys(0, entries)), ("get miss", keys(entries, entries))] {
        group.bench_function(format!("{what}/{name}"), |bench| {
            let mut order = keys.iter().cycle();
            bench.iter(|| order.next().map(|key| table.contains(black_box(key.as_slice()))))
        });
    }
    group.finish();
}

fn changes<T: Table>(criterion: &mut Criterion, name: &str, entries: u64) {
    let mut group = criterion.benchmark_group(entries.to_string());
    group.bench_function(format!("churn/{name}"), |bench| {
        // One key leaves and another one comes, so that the table keeps its size.
        let mut table = T::filled(entries);
        let (mut leaving, mut coming) = (keys(0, entries), keys(entries, entries));
        let mut at = 0;
        bench.iter(|| {
            let mut entry = table.remove(black_box(leaving[at].as_slice())).expect("it is there");
            entry.0.key = coming[at];
            table.insert(entry);
            at += 1;
            if at == leaving.len() {
                at = 0;
                std::mem::swap(&mut leaving, &mut coming);
            }
        })
    });
    group.sample_size(10).throughput(Throughput::Elements(entries));
    group.bench_function(format!("grow/{name}"), |bench| {
        let fresh = || keys(0, entries).into_iter().map(Boxed::new).collect::<Vec<_>>();
        let grow = |entries: Vec<Boxed>| {
            let mut table = T::new();
            entries.into_iter().for_each(|entry| table.insert(entry));
            table
        };
        bench.iter_batched(fresh, grow, BatchSize::PerIteration)
    });
    group.finish();
}

/// Sixteen lookups at a time, as from one client's pipeline, with and without a word ahead.
fn batches(criterion: &mut Criterion, entries: u64) {
    let mut group = criterion.benchmark_group(entries.to_string());
    let table = Dashtable::<Boxed>::filled(entries);
    let keys = keys(0, entries);
    for prefetch in [false, true] {
        group.throughput(Throughput::Elements(16));
        let name = if prefetch { "with prefetch" } else { "without prefetch" };
        group.bench_function(format!("get hit by 16/{name}"), |bench| {
            let mut order = keys.chunks_exact(16).cycle();
            bench.iter(|| {
                let batch = order.next().expect("there is always a next one");
                let mut hashes = [KeyHash(0); 16];
                for (hash, key) in hashes.iter_mut().zip(batch) {
                    *hash = table.hash(black_box(key.as_slice()));
                    if prefetch {
                        table.prefetch(*hash);
                    }
                }
                batch
                    .iter()
                    .zip(hashes)
                    .filter(|(key, hash)| table.get(black_box(key.as_slice()), *hash).is_some())
                    .count()
            })
        });
    }
    group.finish();
}

fn all(criterion: &mut Criterion) {
    for entries in [100_000, 1_000_000] {
        lookups::<Dashtable<Boxed>>(criterion, "dashtable", entries);
        lookups::<Swiss>(criterion, "hashbrown", entries);
        batches(criterion, entries);
        changes::<Dashtable<Boxed>>(criterion, "dashtable", entries);
        changes::<Swiss>(criterion, "hashbrown", entries);
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    all(&mut criterion);
    criterion.final_summary();
}
