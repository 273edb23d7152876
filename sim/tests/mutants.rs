//! Faults of transactions that are planted in the engine are found by random worlds. Only in a build with `--cfg darter_mutants`, in a target
//! folder of its own; `models/mutants` keeps the table of all faults and all who find them.
#![cfg(darter_mutants)]

use darter_core::mutant::select;
use darter_sim::canary::Canary;
use darter_sim::run::{self, Detail};

/// So many worlds of so many operations are enough for each.
const SEEDS: u64 = 400;
const OPERATIONS: usize = 500;

const FAULTS: [&str; 19] = [
    "a ticket is granted before it is stable",
    "locks are released at execution",
    "a transaction of steps is released after its first",
    "a transaction ends before all have answered",
    "a release is forgotten after a failed check",
    "a transaction barges past who waits",
    "a direct waits at the tail",
    "a direct overtakes what is held",
    "a direct overtakes its own transaction",
    "a direct overtakes its own undrawn ticket",
    "directs of one client overtake each other",
    "reads of one client overtake each other",
    "what is watched is not looked at",
    "expiry does not count for those who watch",
    "a waiting WATCH does not delay its EXEC",
    "a round ends before its WATCH has run",
    "the steps of a transaction judge by different instants",
    "a shard judges by an earlier instant",
    "the sweep removes what is due soon",
];

#[test]
fn random_worlds_find_the_faults_of_transactions() {
    std::panic::set_hook(Box::new(|_| {}));
    let mut survivors = Vec::new();
    for fault in FAULTS {
        select(Some(fault));
        let found = (0..SEEDS).find_map(|seed| {
            let outcome = run::seed(seed, OPERATIONS, Canary::None, Detail::Hash);
            outcome.failure.map(|failure| (seed, failure))
        });
        match found {
            Some((seed, failure)) => {
                let line: String = failure.lines().next().unwrap_or_default().chars().take(120).collect();
                println!("{fault}: seed {seed}: {line}");
            }
            None => {
                println!("{fault}: not found in {SEEDS} worlds");
                survivors.push(fault);
            }
        }
    }
    assert_eq!(survivors, Vec::<&str>::new(), "nobody finds these");
}
