//! Every scenario of snapshots and logs explored to its end: nothing is wrong, everything that should be met was met, and the number of states is
//! the recorded one.

use darter_models::{persistence, walk};
use stateright::{Checker, Model};

type Counted = (&'static str, usize, usize);

fn explore<M>(name: &'static str, states: usize, model: M) -> Counted
where
    M: Model + Send + Sync + 'static,
    M::State: std::fmt::Debug + std::hash::Hash + Send + Sync + Clone + PartialEq + 'static,
    M::Action: Clone + PartialEq + std::fmt::Debug + Send + Sync,
{
    let checker = model.checker().threads(2).spawn_bfs().join();
    let found = checker.unique_state_count();
    println!("{name}: {found} states");
    checker.assert_properties();
    assert!(checker.is_done(), "{name} was not explored to its end");
    (name, states, found)
}

fn compare(counted: Vec<Counted>) {
    let differ: Vec<_> = counted.iter().filter(|(_, recorded, found)| recorded != found).collect();
    assert!(differ.is_empty(), "scenario, recorded, found: {differ:#?}");
}

#[test]
fn a_walk_writes_the_cut_in_every_interleaving() {
    compare(walk::all().into_iter().map(|s| explore(s.name, s.states, s.model)).collect());
}

#[test]
fn what_is_left_is_one_moment_wherever_everything_ends() {
    compare(persistence::scenarios::all().into_iter().map(|s| explore(s.name, s.states, s.model)).collect());
}
