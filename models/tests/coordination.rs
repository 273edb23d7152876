//! Transactions over shards: scenarios explored to their end, and random worlds.
//!
//! What is too large for every day runs by `cargo run --release -p darter-models --bin explore -- --all`.

use darter_models::coordination::random::{self, Walked};
use darter_models::coordination::scenarios;

/// Scenarios with more states than this are explored by hand.
const STATES_MAX: usize = 500_000;
/// Random worlds, and walks through each.
const WORLDS: u64 = 600;
const WALKS: usize = 12;

#[test]
fn every_scenario_holds_in_every_interleaving() {
    let mut wrong = Vec::new();
    for scenario in scenarios::all().iter().filter(|scenario| scenario.still_states <= STATES_MAX) {
        wrong.extend(scenario.explore(false).judge(scenario, scenario.still_states));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn random_worlds_hold_under_random_schedules() {
    let mut all = Walked::default();
    for seed in 0..WORLDS {
        let walked = random::walk(seed, WALKS).unwrap_or_else(|wrong| panic!("{wrong}"));
        all = Walked { walks: all.walks + walked.walks, steps: all.steps + walked.steps };
    }
    assert_eq!(all.walks, WORLDS as usize * WALKS);
    println!("{all:?}");
}
