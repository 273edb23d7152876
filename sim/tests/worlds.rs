//! A fixed set of worlds: all must hold, and together they must have met every situation that matters; what is too rare for so few, in a stored plan.
#![allow(clippy::disallowed_methods, reason = "a test reads the stored plans")]

use darter_sim::canary::Canary;
use darter_sim::plan::Plan;
use darter_sim::run::{self, Detail};
use darter_sim::sometimes::Sometimes;

const SEEDS: std::ops::Range<u64> = 0..240;
/// Too rare for so few: a client that is gone while it is served, a sync that fails before something is acknowledged, a disk whose lie is noticed.
const RARE: [u64; 3] = [1_387, 419, 345];
const OPERATIONS: usize = 500;

#[test]
fn a_fixed_set_of_worlds_holds_and_meets_every_situation() {
    let mut sometimes = Sometimes::default();
    for seed in SEEDS.chain(RARE) {
        let outcome = run::seed(seed, OPERATIONS, Canary::None, Detail::Hash);
        if let Some(failure) = outcome.failure {
            panic!("cargo run -p darter-sim -- --seed {seed} --operations {OPERATIONS}\n{failure}");
        }
        sometimes.add(&outcome.sometimes);
    }
    let stories =
        std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/stories")).expect("there are stories");
    for story in stories {
        let text =
            std::fs::read_to_string(story.expect("the folder can be read").path()).expect("it is text");
        let plan = Plan::from_text(&text).expect("it is a plan");
        sometimes.add(&run::plan(&plan, Canary::None, Detail::Hash).sometimes);
    }
    assert!(sometimes.missing().is_empty(), "never met: {:?}\n{}", sometimes.missing(), sometimes.report());
}

#[test]
fn a_seed_gives_the_same_hash_again() {
    let hash = |seed| run::seed(seed, OPERATIONS, Canary::None, Detail::Hash).hash;
    for seed in SEEDS.take(20) {
        assert_eq!(hash(seed), hash(seed), "seed {seed}");
    }
    let hashes: std::collections::BTreeSet<u64> = SEEDS.take(20).map(hash).collect();
    assert_eq!(hashes.len(), 20, "different seeds give different hashes");
}

#[test]
fn every_planted_fault_is_found() {
    let faults = Canary::ALL.into_iter().filter(|canary| *canary != Canary::Nondeterminism);
    for canary in faults {
        let found = SEEDS
            .take(40)
            .filter(|&seed| run::seed(seed, OPERATIONS, canary, Detail::Hash).failure.is_some());
        let found = found.count();
        println!("{}: {found} of 40 worlds", canary.name());
        assert!(found >= 5, "{} is hardly ever found: {found}", canary.name());
    }
}

#[test]
fn a_failing_plan_is_made_smaller() {
    let failing = (0..)
        .map(|seed| darter_sim::workload::plan(seed, 120))
        .find(|plan| run::plan(plan, Canary::LostReply, Detail::Hash).failure.is_some());
    let failing = failing.expect("a lost reply is found");
    let small = run::minimise(&failing, Canary::LostReply);
    assert!(run::plan(&small, Canary::LostReply, Detail::Hash).failure.is_some());
    assert!(small.steps.len() < failing.steps.len() / 2, "{} of {}", small.steps.len(), failing.steps.len());
}
