//! Every scenario explored to its end: nothing is wrong, everything that should be met was met, and the number of states is the
//! recorded one. It changes when the protocol changes; then look whether it should have.

use darter_models::scenarios;
use stateright::{Checker, Model};

#[test]
fn every_scenario_holds_in_every_interleaving() {
    let mut counted = Vec::new();
    for scenario in scenarios::all() {
        let checker = scenario.model.clone().checker().threads(2).spawn_bfs().join();
        checker.assert_properties();
        assert!(checker.is_done(), "{} was not explored to its end", scenario.name);
        counted.push((scenario.name, scenario.states, checker.unique_state_count()));
    }
    let differ: Vec<_> = counted.iter().filter(|(_, recorded, found)| recorded != found).collect();
    assert!(differ.is_empty(), "scenario, recorded, found: {differ:#?}");
}
