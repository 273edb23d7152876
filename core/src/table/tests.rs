//! The table against a model, in a geometry so small that everything happens within a few steps.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::*;
use crate::time::UnixMillis;
use proptest::prelude::*;

/// An entry with a key, a value and maybe a deadline, which counts those of its kind that are alive.
struct Item(Box<(Vec<u8>, u32, Option<u64>, Alive)>);

/// One living item of a counter.
struct Alive(Rc<Cell<isize>>);

impl Alive {
    fn new(counter: &Rc<Cell<isize>>) -> Alive {
        counter.set(counter.get() + 1);
        Alive(counter.clone())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Item {
    fn new(key: u16, value: u32, deadline: Option<u64>, alive: &Rc<Cell<isize>>) -> Item {
        Item(Box::new((key_bytes(key), value, deadline, Alive::new(alive))))
    }

    fn key_number(&self) -> u16 {
        u16::from_be_bytes([self.0.0[0], self.0.0[1]])
    }

    fn deadline(&self) -> Option<UnixMillis> {
        self.0.2.map(UnixMillis)
    }
}

impl Entry for Item {
    fn key(&self) -> &[u8] {
        &self.0.0
    }
}

fn key_bytes(key: u16) -> Vec<u8> {
    key.to_be_bytes().to_vec()
}

/// A hasher that keeps only some bits of the hash, so that keys agree in all others.
#[derive(Clone)]
struct Masked(KeyHasher, u64);

impl KeyHashing for Masked {
    fn hash(&self, key: &[u8]) -> KeyHash {
        KeyHash(self.0.hash(key).0 & self.1)
    }
}

fn masked(mask: u64) -> Masked {
    Masked(KeyHasher::new([1, 2, 3, 4]), mask)
}

const ALL_BITS: u64 = u64::MAX;
const NO_BITS: u64 = 0;
const NO_POSITION: u64 = 0xffff_ffff;
const NO_FINGERPRINT: u64 = !0xff_0000;
const NO_BUCKET: u64 = !0xff00_0000;
const HASHES: [u64; 6] = [ALL_BITS, ALL_BITS, NO_BITS, NO_POSITION, NO_FINGERPRINT, NO_BUCKET];

/// The moment around which the tests' deadlines lie: some time in 2025.
const TODAY: u64 = 1_750_000_000_000;

#[derive(Clone, Debug)]
enum Step {
    /// Insert, or replace what is there.
    Set(u16, Option<u64>),
    /// Change the deadline of what is there, without a new value.
    Touch(u16, Option<u64>),
    Remove(u16),
    /// Insert a run of keys, or remove it.
    SetRun(u16, u8),
    RemoveRun(u16, u8),
    Random(u64),
    Scan,
    Sweep(u64, usize),
    TakeSegment,
    Clear,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..300u16;
    let deadline = prop::option::of(0..10_000u64);
    let step = prop_oneof![
        20 => (key.clone(), deadline.clone()).prop_map(|(key, deadline)| Step::Set(key, deadline)),
        4 => (key.clone(), deadline).prop_map(|(key, deadline)| Step::Touch(key, deadline)),
        14 => key.clone().prop_map(Step::Remove),
        4 => (key.clone(), any::<u8>()).prop_map(|(key, count)| Step::SetRun(key, count)),
        4 => (key, any::<u8>()).prop_map(|(key, count)| Step::RemoveRun(key, count)),
        2 => any::<u64>().prop_map(Step::Random),
        6 => Just(Step::Scan),
        6 => (0..11_000u64, 0..40usize).prop_map(|(now, steps)| Step::Sweep(now, steps)),
        1 => Just(Step::TakeSegment),
        1 => prop::bool::weighted(0.2).prop_map(|all| if all { Step::Clear } else { Step::TakeSegment }),
    ];
    prop::collection::vec(step, 1..120)
}

/// A table, what should be in it, and a scan that goes on beside everything else.
struct World<const HOME: usize, const STASH: usize, const SLOTS: usize> {
    table: Dashtable<Item, HOME, STASH, SLOTS, Masked>,
    model: BTreeMap<u16, (u32, Option<u64>)>,
    alive: Rc<Cell<isize>>,
    values: u32,
    cursor: Cursor,
    /// The keys that were there all the time since the scan began, and those that it has emitted.
    constant: BTreeSet<u16>,
    emitted: BTreeSet<u16>,
}

impl<const HOME: usize, const STASH: usize, const SLOTS: usize> World<HOME, STASH, SLOTS> {
    fn new(mask: u64) -> Self {
        World {
            table: Dashtable::new(masked(mask)),
            model: BTreeMap::new(),
            alive: Rc::new(Cell::new(0)),
            values: 0,
            cursor: Cursor::START,
            constant: BTreeSet::new(),
            emitted: BTreeSet::new(),
        }
    }

    fn set(&mut self, key: u16, deadline: Option<u64>) {
        self.values += 1;
        let item = Item::new(key, self.values, deadline, &self.alive);
        let hash = self.table.hash(item.key());
        let version = self.table.version(hash);
        let is_new = self.table.is_empty();
        match self.table.get_mut(&key_bytes(key), hash) {
            Some(known) => *known = item,
            None => self.table.insert(item, hash),
        }
        assert!(is_new || self.table.version(hash) != version, "a change that the version does not show");
        if let Some(deadline) = deadline {
            self.table.note_deadline(hash, UnixMillis(deadline));
        }
        self.model.insert(key, (self.values, deadline));
    }

    fn touch(&mut self, key: u16, deadline: Option<u64>) {
        let hash = self.table.hash(&key_bytes(key));
        let found = self.table.get_mut(&key_bytes(key), hash);
        assert_eq!(found.is_some(), self.model.contains_key(&key));
        let Some(item) = found else { return };
        item.0.2 = deadline;
        if let Some(deadline) = deadline {
            self.table.note_deadline(hash, UnixMillis(deadline));
        }
        self.model.entry(key).and_modify(|known| known.1 = deadline);
    }

    fn remove(&mut self, key: u16) {
        let hash = self.table.hash(&key_bytes(key));
        let removed = self.table.remove(&key_bytes(key), hash).map(|item| (item.0.1, item.0.2));
        assert_eq!(removed, self.model.remove(&key));
        self.constant.remove(&key);
    }

    fn sweep(&mut self, now: u64, steps: usize) {
        let due = |deadline: Option<u64>| deadline.is_some_and(|deadline| deadline <= now);
        if let Some(soonest) = self.model.values().filter_map(|&(_, deadline)| deadline).min() {
            assert!(self.table.soonest_deadline().is_some_and(|bound| bound.0 <= soonest));
        }
        let mut expired = Vec::new();
        let used = self
            .table
            .sweep(UnixMillis(now), steps, &Item::deadline, &|_| false, &mut |item| expired.push(item));
        assert!(used <= steps);
        for item in expired {
            let known = self.model.remove(&item.key_number());
            assert_eq!(known, Some((item.0.1, item.0.2)));
            assert!(due(item.0.2), "swept too early");
            self.constant.remove(&item.key_number());
        }
        if used < steps {
            let left = self.model.iter().find(|(_, known)| due(known.1));
            assert_eq!(left, None, "due and still there");
        }
    }

    /// One step of the scan; at its end, nothing that was there all the time is missing.
    fn scan(&mut self) {
        if self.cursor == Cursor::START {
            self.constant = self.model.keys().copied().collect();
            self.emitted.clear();
        }
        let emitted = &mut self.emitted;
        self.cursor = self.table.scan(self.cursor, &mut |item| {
            emitted.insert(item.key_number());
        });
        assert!(self.cursor.0 < 1 << 42);
        if self.cursor == Cursor::START {
            let missing: Vec<_> = self.constant.difference(&self.emitted).collect();
            assert!(missing.is_empty(), "never emitted: {missing:?}");
        }
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Set(key, deadline) => self.set(key, deadline.map(|deadline| TODAY + deadline)),
            Step::Touch(key, deadline) => self.touch(key, deadline.map(|deadline| TODAY + deadline)),
            Step::Remove(key) => self.remove(key),
            Step::SetRun(key, count) => (key..key + u16::from(count)).for_each(|key| self.set(key, None)),
            Step::RemoveRun(key, count) => (key..key + u16::from(count)).for_each(|key| self.remove(key)),
            Step::Random(mut seed) => {
                let found = self.table.random(&mut || {
                    seed =
                        seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    seed
                });
                assert_eq!(found.is_some(), !self.model.is_empty());
                assert!(found.is_none_or(|item| self.model.contains_key(&item.key_number())));
            }
            Step::Scan => self.scan(),
            Step::Sweep(now, steps) => self.sweep(TODAY + now, steps),
            Step::TakeSegment => {
                let taken = self.table.take_segment();
                assert_eq!(taken.is_some(), !self.model.is_empty());
                for item in taken.into_iter().flatten() {
                    assert_eq!(self.model.remove(&item.key_number()), Some((item.0.1, item.0.2)));
                    self.constant.remove(&item.key_number());
                }
            }
            Step::Clear => {
                self.table.clear();
                self.model.clear();
                self.constant.clear();
                assert_eq!(self.table.allocated_bytes(), 0);
            }
        }
        self.check();
    }

    fn check(&self) {
        self.table.check();
        self.table.check_deadlines(&Item::deadline);
        assert_eq!(self.table.len(), self.model.len());
        assert_eq!(self.alive.get(), self.model.len() as isize, "leaked or dropped twice");
        let listed = self.table.iter().map(|item| (item.key_number(), (item.0.1, item.0.2)));
        assert_eq!(listed.collect::<BTreeMap<_, _>>(), self.model);
    }

    /// Everything that is there is found, and nothing else.
    fn check_lookups(&self) {
        for key in 0..600 {
            let found = self.table.get(&key_bytes(key), self.table.hash(&key_bytes(key)));
            assert_eq!(found.map(|item| (item.0.1, item.0.2)), self.model.get(&key).copied(), "{key}");
        }
    }

    fn run(steps: Vec<Step>, mask: u64) {
        let mut world = World::<HOME, STASH, SLOTS>::new(mask);
        steps.into_iter().for_each(|step| world.apply(step));
        world.check_lookups();
        // The scan comes to its end, and then all that is left goes away.
        while world.cursor != Cursor::START {
            world.scan();
        }
        for key in 0..600 {
            world.remove(key);
        }
        world.check();
        assert!(
            world.table.directory.len() <= 1,
            "an empty table with {} slots",
            world.table.directory.len()
        );
        let alive = world.alive.clone();
        drop(world);
        assert_eq!(alive.get(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_smallest_table_agrees_with_the_model(steps in steps(), mask in prop::sample::select(&HASHES[..])) {
        World::<2, 1, 2>::run(steps, mask);
    }

    #[test]
    fn a_tiny_table_agrees_with_the_model(steps in steps(), mask in prop::sample::select(&HASHES[..])) {
        World::<4, 2, 3>::run(steps, mask);
    }

    #[test]
    fn a_table_of_few_wide_buckets_agrees_with_the_model(steps in steps()) {
        World::<2, 0, 14>::run(steps, ALL_BITS);
    }

    #[test]
    fn production_geometry_agrees_with_the_model(steps in steps(), mask in prop::sample::select(&HASHES[..])) {
        World::<64, 4, 14>::run(steps, mask);
    }
}

/// A generator for the tests below: good enough to pick from, the same on each run.
fn generator(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        // splitmix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

/// An entry that is nothing but a key.
struct Plain(Box<[u8; 8]>);

impl Entry for Plain {
    fn key(&self) -> &[u8] {
        &self.0[..]
    }
}

fn fill<const HOME: usize, const STASH: usize, const SLOTS: usize, H: KeyHashing>(
    table: &mut Dashtable<Plain, HOME, STASH, SLOTS, H>,
    keys: std::ops::Range<u64>,
) {
    for key in keys {
        let entry = Plain(Box::new(key.to_be_bytes()));
        let hash = table.hash(entry.key());
        table.insert(entry, hash);
    }
}

fn empty<const HOME: usize, const STASH: usize, const SLOTS: usize, H: KeyHashing>(
    table: &mut Dashtable<Plain, HOME, STASH, SLOTS, H>,
    keys: std::ops::Range<u64>,
) {
    for key in keys {
        let hash = table.hash(&key.to_be_bytes());
        assert!(table.remove(&key.to_be_bytes(), hash).is_some());
    }
}

#[test]
fn an_empty_table_costs_nothing() {
    let table: Dashtable<Plain> = Dashtable::new(KeyHasher::new([1, 2, 3, 4]));
    assert_eq!(table.allocated_bytes(), 0);
    assert_eq!(table.soonest_deadline(), None);
    assert_eq!(table.scan(Cursor::START, &mut |_| unreachable!()), Cursor::START);
    assert!(table.random(&mut || 0).is_none() && table.get(b"x", table.hash(b"x")).is_none());
    table.prefetch(table.hash(b"x"));
    table.check();
}

#[test]
fn the_buckets_of_production_are_two_cache_lines() {
    type Production = segment::Segment<Plain, 64, 4, 14>;
    assert_eq!(Production::CAPACITY, 952);
    assert!(size_of::<Production>() <= 68 * 128 + 64 * 8 + 192, "{}", size_of::<Production>());
}

#[test]
fn growth_and_removal_of_all_bring_the_table_back() {
    let mut table: Dashtable<Plain> = Dashtable::new(KeyHasher::new([5, 6, 7, 8]));
    fill(&mut table, 0..200_000);
    table.check();
    let full = table.allocated_bytes();
    assert!((200_000 * 10..200_000 * 18).contains(&full), "{full}");
    empty(&mut table, 0..150_000);
    table.check();
    let quarter = table.allocated_bytes();
    assert!(quarter < full / 3 * 2, "{quarter} of {full}");
    empty(&mut table, 150_000..199_999);
    table.check();
    assert!(table.allocated_bytes() < 12_000, "{}", table.allocated_bytes());
    empty(&mut table, 199_999..200_000);
    assert_eq!((table.len(), table.directory.len(), table.segments.len()), (0, 1, 1));
}

#[test]
fn one_entry_left_of_many_is_picked_at_once() {
    let mut table: Dashtable<Plain> = Dashtable::new(KeyHasher::new([5, 6, 7, 8]));
    fill(&mut table, 0..50_000);
    empty(&mut table, 1..50_000);
    let mut random = generator(1);
    for _ in 0..50 {
        let mut calls = 0;
        let found = table.random(&mut || {
            calls += 1;
            random()
        });
        assert!(found.is_some_and(|entry| entry.key() == 0u64.to_be_bytes()));
        assert!(calls <= 200, "{calls}");
    }
}

/// Picks many times and compares the counts with what equal chances give.
fn check_uniform<const HOME: usize, const STASH: usize, const SLOTS: usize>(
    table: &Dashtable<Plain, HOME, STASH, SLOTS>,
) {
    const EACH: usize = 100;
    let entries = table.len();
    let mut counts = BTreeMap::new();
    let mut random = generator(42);
    for _ in 0..EACH * entries {
        let entry = table.random(&mut random).expect("the table is not empty");
        *counts.entry(entry.key().to_vec()).or_insert(0usize) += 1;
    }
    assert_eq!(counts.len(), entries);
    let square = |count: usize| (count as f64 - EACH as f64).powi(2) / EACH as f64;
    let chi: f64 = counts.into_values().map(square).sum();
    // The sum has mean n - 1 and variance 2(n - 1): five standard deviations.
    let (mean, deviation) = ((entries - 1) as f64, (2.0 * (entries - 1) as f64).sqrt());
    assert!((chi - mean).abs() < 5.0 * deviation, "{chi} for {mean}");
}

#[test]
fn random_picks_each_entry_equally_often() {
    let hasher = || KeyHasher::new([9, 8, 7, 6]);
    let mut tiny: Dashtable<Plain, 8, 2, 6> = Dashtable::new(hasher());
    fill(&mut tiny, 0..1_000);
    check_uniform(&tiny);
    let mut sparse: Dashtable<Plain> = Dashtable::new(hasher());
    fill(&mut sparse, 0..9);
    check_uniform(&sparse);
    let mut usual: Dashtable<Plain> = Dashtable::new(hasher());
    fill(&mut usual, 0..3_000);
    empty(&mut usual, 0..1_000);
    check_uniform(&usual);
}

#[test]
fn keys_that_agree_in_their_hash_are_kept_and_found() {
    for mask in HASHES {
        let mut table: Dashtable<Plain, 64, 4, 14, Masked> = Dashtable::new(masked(mask));
        fill(&mut table, 0..3_000);
        table.check();
        assert!(table.directory.len() <= 256, "{mask:x}: {} slots", table.directory.len());
        empty(&mut table, 0..3_000);
        table.check();
        assert_eq!((table.segments.len(), table.spill_bytes), (1, 0), "{mask:x}");
    }
}

#[test]
fn a_scan_ends_however_the_cursor_was_made() {
    let mut table: Dashtable<Plain> = Dashtable::new(KeyHasher::new([1, 1, 1, 1]));
    fill(&mut table, 0..5_000);
    for cursor in [64 << 32, u64::MAX, 1 << 63, (63 << 32) + 0xffff_ffff] {
        assert_eq!(table.scan(Cursor(cursor), &mut |_| {}), Cursor::START, "{cursor:x}");
    }
}

#[test]
fn deadlines_long_ago_and_far_ahead_leave_in_their_turn() {
    let mut table: Dashtable<Plain> = Dashtable::new(KeyHasher::new([1, 1, 1, 1]));
    fill(&mut table, 0..4_000);
    let deadline_of = |entry: &Plain| {
        let key = u64::from_be_bytes(*entry.0);
        Some(UnixMillis(if key.is_multiple_of(2) { key } else { u64::MAX - key }))
    };
    for key in 0..4_000u64 {
        let entry = Plain(Box::new(key.to_be_bytes()));
        let deadline = deadline_of(&entry).expect("all have one");
        table.note_deadline(table.hash(entry.key()), deadline);
    }
    table.check_deadlines(&deadline_of);
    assert_eq!(table.soonest_deadline(), Some(UnixMillis(0)));
    // All bounds are saturated and stay due, and still nothing starves.
    for (now, left) in [(1_999, 3_000), (1_000_000, 2_000)] {
        for _ in 0..20 {
            table.sweep(UnixMillis(now), 50, &deadline_of, &|_| false, &mut |_| {});
        }
        assert_eq!(table.len(), left);
    }
    assert!(table.soonest_deadline() > Some(UnixMillis(2_600_000_000_000)));
    table.check();
}

#[test]
fn a_sweep_visits_only_buckets_that_seem_due() {
    let mut table: Dashtable<Plain> = Dashtable::new(KeyHasher::new([3, 1, 4, 1]));
    fill(&mut table, 0..20_000);
    let deadline_of = |entry: &Plain| {
        (entry.0[7] == 7 && entry.0[6] < 4).then_some(UnixMillis(TODAY + u64::from(entry.0[6])))
    };
    for key in 0..20_000u64 {
        if let Some(deadline) = deadline_of(&Plain(Box::new(key.to_be_bytes()))) {
            table.note_deadline(table.hash(&key.to_be_bytes()), deadline);
        }
    }
    assert_eq!(
        table.sweep(UnixMillis(TODAY - 1_000), 100, &deadline_of, &|_| false, &mut |_| unreachable!()),
        0
    );
    let mut expired = 0;
    let used = table.sweep(UnixMillis(TODAY + 1_000), 100, &deadline_of, &|_| false, &mut |_| expired += 1);
    assert_eq!(expired, 4);
    assert!(used <= 4, "{used}");
    assert_eq!(table.soonest_deadline(), None);
}

/// Removals merge segments, and merges give a segment another number: maybe one that the sweep has passed.
#[test]
fn a_sweep_leaves_nothing_behind_in_segments_that_it_has_merged() {
    for seed in 0..20 {
        let mut table: Dashtable<Plain, 2, 1, 3> = Dashtable::new(KeyHasher::new([seed, 1, 4, 1]));
        fill(&mut table, 0..2_000);
        let deadline_of = |entry: &Plain| (entry.0[7] != 0).then_some(UnixMillis(TODAY));
        for key in 0..2_000u64 {
            table.note_deadline(table.hash(&key.to_be_bytes()), UnixMillis(TODAY));
        }
        let used = table.sweep(UnixMillis(TODAY), 100_000, &deadline_of, &|_| false, &mut |_| {});
        assert!(used < 100_000);
        assert_eq!(table.len(), 8, "eight keys end in a zero byte");
        table.check();
    }
}
