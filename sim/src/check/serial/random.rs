//! Random worlds that have an order, and the same ones spoilt.

use std::collections::BTreeMap;

use super::{Access, Op, Said, Serial};
use crate::dice::{Concern, Dice};

const SHARDS: u64 = 3;

/// A request of a random world: what it touches, and when what happens to it.
struct Request {
    connection: u64,
    /// Shard, key, whether it is written.
    touches: Vec<(u16, String, bool)>,
    /// Shards of which it reads (or clears) all keys.
    all: Option<bool>,
    begin: u64,
    /// When each shard runs its part.
    runs: BTreeMap<u16, u64>,
    end: u64,
}

/// What happens, in order of time; those of one moment in the order of this list.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Begin,
    Run(u16),
    End,
}

/// Requests in an order that explains them: each runs on its shards around its place in it.
fn world(dice: &mut Dice, requests: u64, keys: u64) -> Vec<Request> {
    let mut clocks = [0; SHARDS as usize];
    (0..requests)
        .map(|place| {
            let at = 1_000 + place * 10;
            let all = dice.chance(20).then(|| dice.chance(300));
            let mut touches: Vec<(u16, String, bool)> = Vec::new();
            if all.is_none() {
                for _ in 0..dice.between(1, 3) {
                    let key = dice.below(keys);
                    touches.push(((key % SHARDS) as u16, format!("k{key}"), dice.chance(400)));
                }
            }
            let shards = |shard: &u16| all.is_some() || touches.iter().any(|touch| touch.0 == *shard);
            let runs: BTreeMap<u16, u64> = (0..SHARDS as u16)
                .filter(shards)
                .map(|shard| {
                    let clock = &mut clocks[usize::from(shard)];
                    *clock = (*clock + 1).max(at + dice.below(60));
                    (shard, *clock)
                })
                .collect();
            let last = runs.values().max().copied().unwrap_or(at);
            Request {
                connection: place,
                touches,
                all,
                begin: at - dice.below(80),
                runs,
                end: last + 1 + dice.below(200),
            }
        })
        .collect()
}

/// What the checker says of a world, and the order it gives: in places.
fn judge(requests: &[Request]) -> (Serial, Vec<u64>) {
    let mut happenings: Vec<(u64, What, usize)> = Vec::new();
    for (n, request) in requests.iter().enumerate() {
        happenings.push((request.begin, What::Begin, n));
        happenings.extend(request.runs.iter().map(|(shard, at)| (*at, What::Run(*shard), n)));
        happenings.push((request.end, What::End, n));
    }
    happenings.sort();
    let mut serial = Serial::default();
    let (mut ops, mut names) = (BTreeMap::new(), BTreeMap::<Op, u64>::new());
    let mut order = Vec::new();
    for (at, what, n) in happenings {
        let request = &requests[n];
        match what {
            What::Begin => {
                let op = serial.begin(Said { connection: request.connection, number: 0 }, at);
                ops.insert(n, op);
                names.insert(op, n as u64);
            }
            What::Run(shard) => {
                if let Some(writes) = request.all {
                    let access = if writes { Access::Writes } else { Access::Reads };
                    serial.applied_to_all(ops[&n], shard, 0, access).expect("nothing is promised");
                }
                let keys = |written: bool| -> Vec<&str> {
                    let here = request.touches.iter().filter(|touch| touch.0 == shard && touch.2 == written);
                    here.map(|touch| &touch.1[..]).collect()
                };
                serial.applied(ops[&n], shard, 0, &keys(false), &keys(true)).expect("nothing is promised");
            }
            What::End => serial.end(ops[&n], at),
        }
        order.extend(std::iter::from_fn(|| serial.next_in_order()).map(|op| names[&op]));
    }
    serial.finish();
    order.extend(std::iter::from_fn(|| serial.next_in_order()).map(|op| names[&op]));
    (serial, order)
}

/// What each request reads when all run in this order: by whom each key was written last.
fn reads(requests: &[Request], order: impl Iterator<Item = u64>) -> BTreeMap<u64, Vec<Option<u64>>> {
    let mut written: BTreeMap<&str, u64> = BTreeMap::new();
    let mut seen = BTreeMap::new();
    for n in order {
        let request = &requests[n as usize];
        let mut found: Vec<Option<u64>> =
            request.touches.iter().map(|touch| written.get(&touch.1[..]).copied()).collect();
        match request.all {
            Some(true) => written.clear(),
            Some(false) => found.extend(written.values().map(|writer| Some(*writer))),
            None => {
                let written_here = request.touches.iter().filter(|touch| touch.2);
                written_here.for_each(|touch| {
                    written.insert(&touch.1, n);
                });
            }
        }
        seen.insert(n, found);
    }
    seen
}

#[test]
fn a_world_that_has_an_order_passes_and_the_order_explains_it() {
    let mut differently = 0;
    for seed in 0..300 {
        let mut dice = Dice::new(seed, Concern::Workload);
        let requests = world(&mut dice, 60, 8);
        let (serial, order) = judge(&requests);
        assert!(serial.cycle().is_none(), "seed {seed}");
        assert_eq!(order.len(), requests.len());
        assert_eq!(reads(&requests, order.iter().copied()), reads(&requests, 0..60), "seed {seed}");
        for (n, earlier) in order.iter().enumerate() {
            let earlier = &requests[*earlier as usize];
            let late = order[..n].iter().any(|before| requests[*before as usize].begin > earlier.end);
            assert!(!late, "seed {seed}: real time counts");
        }
        differently += u64::from(!order.is_sorted());
    }
    assert!(differently > 50, "the order found is rarely that of the making: {differently}");
}

#[test]
fn two_that_conflict_and_run_in_opposite_orders_fail() {
    for seed in 0..300 {
        let mut dice = Dice::new(seed, Concern::Workload);
        let mut requests = world(&mut dice, 60, 8);
        let (first, second) = (dice.below(50) as usize, 50 + dice.below(10) as usize);
        // Both write two keys of their own, on two shards of their own.
        let [one, other] = [1_500, 1_501];
        for (n, at) in [(first, one), (second, other)] {
            let request = &mut requests[n];
            for shard in [10, 11] {
                request.touches.push((shard, "own".into(), true));
                request.runs.insert(shard, at);
            }
            request.begin = request.begin.min(one);
            request.end = request.end.max(other + 1);
        }
        assert!(judge(&requests).0.cycle().is_none(), "seed {seed}");
        requests[first].runs.insert(11, other);
        requests[second].runs.insert(11, one);
        let (serial, order) = judge(&requests);
        let cycle = serial.cycle().unwrap_or_else(|| panic!("seed {seed}"));
        assert_eq!(cycle.ops().collect::<Vec<_>>().len(), 2, "seed {seed}");
        assert!(order.len() < requests.len());
    }
}

#[test]
fn a_hundred_thousand_requests_are_cheap_and_forgotten() {
    let requests = world(&mut Dice::new(1, Concern::Workload), 100_000, 40);
    let (serial, order) = judge(&requests);
    assert_eq!(order.len(), requests.len());
    assert_eq!(serial.waiting(), 0);
    assert!(serial.graph.nodes().len() <= 1, "only the last moment may be left");
    assert!(serial.accesses.remembered() <= 40);
    assert!(serial.said.is_empty() && serial.open.is_empty());
}
