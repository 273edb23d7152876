//! Runs worlds and tells what became of them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::canary::Canary;
use crate::plan::{Plan, Step};
use crate::swarm::Swarm;
use crate::trace::Trace;
use crate::workload;
use crate::world::{Outcome, World};

/// How much to keep of what happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// The hash.
    #[default]
    Hash,
    /// And the last lines.
    Recent,
    /// And all lines.
    All,
}

/// Runs a plan in the world of its seed.
pub fn plan(plan: &Plan, canary: Canary, detail: Detail) -> Outcome {
    in_world(plan, Swarm::of_seed(plan.seed), canary, detail)
}

/// Runs a plan in this world. A panic of the engine, an assertion that does not hold, is a failure like others.
pub fn in_world(plan: &Plan, swarm: Swarm, canary: Canary, detail: Detail) -> Outcome {
    let trace = Trace::new(detail != Detail::Hash, detail == Detail::All);
    let mut world = World::new(plan, swarm, canary, trace);
    let panic = catch_unwind(AssertUnwindSafe(|| world.run())).err().map(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
    });
    world.into_outcome(panic)
}

/// Draws the plan of a seed and runs it.
pub fn seed(seed: u64, operations: usize, canary: Canary, detail: Detail) -> Outcome {
    plan(&workload::plan(seed, operations), canary, detail)
}

/// Makes a failing plan smaller: drops steps as long as it still fails in the same way, in ever smaller pieces.
pub fn minimise(failing: &Plan, canary: Canary) -> Plan {
    let failure = |steps: &[Step]| {
        let candidate = Plan { seed: failing.seed, steps: steps.to_vec() };
        plan(&candidate, canary, Detail::Hash).failure.map(|text| kind(&text))
    };
    let mut steps = failing.steps.clone();
    let wanted = failure(&steps);
    let mut piece = (steps.len() / 2).max(1);
    while wanted.is_some() {
        let (mut from, before) = (0, steps.len());
        while from < steps.len() {
            let mut fewer = steps.clone();
            fewer.drain(from..(from + piece).min(steps.len()));
            if failure(&fewer) == wanted { steps = fewer } else { from += piece }
        }
        if piece == 1 && steps.len() == before {
            break;
        }
        piece = (piece / 2).max(1);
    }
    Plan { seed: failing.seed, steps }
}

/// What two failures of the same fault have in common: the words that name no client, key or number.
fn kind(failure: &str) -> String {
    let line = failure.lines().next().unwrap_or_default();
    let plain = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase());
    line.split([' ', ',', ':']).filter(plain).take(12).collect::<Vec<_>>().join(" ")
}
