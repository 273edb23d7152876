//! Every scenario of snapshots and logs explored to its end: nothing is wrong, everything that should be met was met, and the number of states is
//! the recorded one.

use darter_models::{persistence, walk};
use stateright::{Checker, Expectation, Model};

/// What is wrong with a scenario, if anything is.
fn explore<M>(name: &'static str, states: usize, model: M) -> Option<String>
where
    M: Model + Send + Sync + 'static,
    M::State: std::fmt::Debug + std::hash::Hash + Send + Sync + Clone + PartialEq + 'static,
    M::Action: Clone + PartialEq + std::fmt::Debug + Send + Sync,
{
    let checker = model.checker().threads(2).spawn_bfs().join();
    let found = checker.unique_state_count();
    println!("{name}: {found} states");
    let mut wrong = Vec::new();
    for property in checker.model().properties() {
        let discovery = checker.discovery(property.name);
        match (property.expectation, discovery) {
            (Expectation::Always, Some(path)) => {
                wrong.push(format!("{} does not hold after {:?}", property.name, path.into_actions()));
            }
            (Expectation::Sometimes, None) => wrong.push(format!("never met: {}", property.name)),
            _ => {}
        }
    }
    if states != found || !checker.is_done() {
        wrong.push(format!("{states} states are recorded, {found} found"));
    }
    (!wrong.is_empty()).then(|| format!("{name}: {}", wrong.join("; ")))
}

#[test]
fn a_walk_writes_the_cut_in_every_interleaving() {
    let wrong: Vec<String> =
        walk::all().into_iter().filter_map(|s| explore(s.name, s.states, s.model)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_left_is_one_moment_wherever_everything_ends() {
    let all = persistence::scenarios::all();
    let wrong: Vec<String> = all.into_iter().filter_map(|s| explore(s.name, s.states, s.model)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
