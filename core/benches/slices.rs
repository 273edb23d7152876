//! How long a core stands still for a value of a million elements that is written to a snapshot: at once, as is the rest of one that changes before
//! its end is written, and for the longest of its slices otherwise.
//!
//! `cargo bench -p darter-core --bench slices`. It takes the best of some rounds: what else the machine does is not to be counted.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::time::{Duration, Instant};

use darter_core::rdb::slices::Slices;
use darter_core::rdb::writer::Writer;
use darter_core::value::container::Container;
use darter_core::value::hash::{Hash, Packing};
use darter_core::value::list::{Fill, List};
use darter_core::value::pack::Side;
use darter_core::value::record::{Access, Record, Value};
use darter_core::value::set::{Set, SetLimits};
use darter_core::value::stream::{Limits as PageLimits, Pending, Stream, StreamId};
use darter_core::value::zset::{Limits, SortedSet};

/// As in the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ELEMENTS: u64 = 1_000_000;
const ROUNDS: usize = 9;
/// Bytes of a slice, as in the server.
const SLICE: usize = 1 << 10;
const PACKING: Packing = Packing { entries: 128, bytes: 64, seeds: [1, 2, 3, 4] };
const PAGES: PageLimits = PageLimits { bytes: 4_096, entries: 100 };

/// A stream all of which is pending, with a thousand consumers, or one without groups.
fn stream(with_group: bool) -> Container {
    let mut stream = Stream::default();
    for n in 1..=ELEMENTS {
        let (id, value) = (StreamId { ms: n, seq: 0 }, format!("value:{n}"));
        stream.add(id, 1, [&b"field"[..], value.as_bytes()].into_iter(), PAGES);
    }
    if with_group {
        stream.add_group(b"readers", StreamId { ms: ELEMENTS, seq: 0 }, Some(ELEMENTS));
        stream.change_group(b"readers", |group| {
            for n in 1..=ELEMENTS {
                let (consumer, _) = group.see(format!("consumer:{}", n % 1_000).as_bytes(), n);
                group.give(StreamId { ms: n, seq: 0 }, Pending { consumer, delivered: n, times: 1 });
            }
        });
    }
    Container::Stream(stream)
}

fn values() -> [(&'static str, Container); 6] {
    let name = |n: u64| format!("element:{n}").into_bytes();
    let mut list = List::default();
    (0..ELEMENTS).for_each(|n| list.push(Side::Right, &name(n), Fill(-2)));
    let mut set = Set::default();
    (0..ELEMENTS).for_each(|n| _ = set.add(&name(n), &SetLimits { ints: 512, packing: PACKING }));
    let mut hash = Hash::default();
    (0..ELEMENTS).for_each(|n| _ = hash.set(&name(n), format!("value:{n}").as_bytes(), None, &PACKING));
    let mut sorted = SortedSet::default();
    (0..ELEMENTS)
        .for_each(|n| _ = sorted.insert(&name(n), n as f64 / 8.0, Limits { entries: 128, value: 64 }));
    [
        ("list", Container::List(list)),
        ("set", Container::Set(set)),
        ("hash", Container::Hash(hash)),
        ("sorted set", Container::SortedSet(sorted)),
        ("stream", stream(false)),
        ("stream, all pending", stream(true)),
    ]
}

/// The time of the longest step, each as long as `slice` bytes.
fn longest(record: &Record, slice: usize) -> Duration {
    let mut writer = Writer::new(true);
    // Room is there, as nearly always.
    writer.out.reserve(128 << 20);
    let (mut slices, mut longest, mut is_over) = (Slices::default(), Duration::ZERO, false);
    while !is_over {
        let (enough, begun) = (writer.out.len().saturating_add(slice), Instant::now());
        is_over = slices.go_on(record, enough, &mut writer);
        longest = longest.max(begun.elapsed());
    }
    longest
}

fn main() {
    for (name, container) in values() {
        let record = Record::new(b"key", Value::Container(Box::new(container)), None, Access(0));
        let best = |slice| (0..ROUNDS).map(|_| longest(&record, slice)).min().unwrap_or_default();
        println!("{name:20} at once {:10.1?}   longest slice {:8.1?}", best(usize::MAX), best(SLICE));
    }
}
