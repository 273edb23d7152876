//! Explores scenarios of the coordination model to their end and compares them with what is recorded.
//!
//!     explore --all             every scenario as it stands
//!     explore NAME ...          those whose name contains this
//!     explore --still ...       without turns for nothing, as tests do
//!     explore --random N M      M walks through each of N random worlds
//!
//! Built with `--cfg darter_mutants` it plants the fault that `DARTER_FAULT` names.

use std::process::ExitCode;
use std::time::Instant;

use darter_models::coordination::random;
use darter_models::coordination::scenarios::{self, Scenario};

fn explore(scenario: &Scenario, is_still: bool) -> bool {
    let started = Instant::now();
    let spins = scenario.spins && !is_still;
    let explored = scenario.explore(spins);
    let recorded = if spins { scenario.states } else { scenario.still_states };
    let seconds = started.elapsed().as_secs_f64();
    let (engines, steps) = explored.counts;
    let (name, states) = (scenario.name, explored.states);
    println!(
        "{name}: {states} states, {engines} engines, {steps} steps of theirs, {seconds:.1} s, {:?}",
        explored.met
    );
    let wrong = explored.judge(scenario, recorded);
    if let Some(wrong) = &wrong {
        println!("    WRONG {wrong}");
    }
    wrong.is_none()
}

fn walk(arguments: &[String]) -> bool {
    let number = |place: usize, otherwise| {
        arguments.get(place).and_then(|word| word.parse().ok()).unwrap_or(otherwise)
    };
    let (worlds, walks) = (number(1, 10_000), number(2, 40));
    let (mut steps, started) = (0, Instant::now());
    for seed in 0..worlds as u64 {
        match random::walk(seed, walks) {
            Ok(walked) => steps += walked.steps,
            Err(wrong) => {
                println!("{wrong}");
                return false;
            }
        }
    }
    println!(
        "{worlds} worlds, {walks} walks through each, {steps} steps, {:.1} s",
        started.elapsed().as_secs_f64()
    );
    true
}

fn main() -> ExitCode {
    #[cfg(darter_mutants)]
    darter_core::mutant::select(std::env::var("DARTER_FAULT").ok().as_deref());
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|word| word == "--random") {
        return if walk(&arguments) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    let wanted = |scenario: &Scenario| {
        has("--all") || arguments.iter().any(|word| scenario.name.contains(word.as_str()))
    };
    let mut is_right = true;
    for scenario in scenarios::all().into_iter().filter(wanted) {
        is_right &= explore(&scenario, has("--still"));
    }
    if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
