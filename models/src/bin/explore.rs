//! Explores scenarios of the coordination model to their end and tells how large they are.

use std::time::Instant;

use darter_models::coordination::scenarios::{self, Scenario};
use stateright::{Checker, HasDiscoveries, Model};

fn explore(scenario: &Scenario, spins: bool) {
    let started = Instant::now();
    let model = scenario.model(spins);
    let checker = model.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_dfs().join();
    let world = &checker.model().world;
    println!(
        "{}: {} states, depth {}, {:?} engines and steps, {:.1} s, met {:?}",
        scenario.name,
        checker.unique_state_count(),
        checker.max_depth(),
        world.recall.counts(),
        started.elapsed().as_secs_f64(),
        world.recall.met.all(),
    );
    for (property, path) in checker.discoveries() {
        println!("    broken: {property}");
        for step in path.into_actions() {
            println!("        {step:?}");
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let still = arguments.iter().any(|word| word == "--still");
    let wanted = |scenario: &&Scenario| {
        arguments.iter().any(|word| word == "--all" || scenario.name.contains(word.as_str()))
    };
    for scenario in scenarios::all().iter().filter(wanted) {
        explore(scenario, scenario.spins && !still);
    }
}
