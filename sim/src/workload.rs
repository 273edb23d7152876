//! What clients say and what goes wrong, drawn from a seed.
//!
//! It knows the words of commands. It does not know what they answer: that is the reference's business.
//!
//! | file | holds |
//! |---|---|
//! | here | plans: who says something when, and what goes wrong |
//! | [`families`] | the families of requests, one row each: how often a world has it, how often it is drawn, by whom |
//! | [`author`] | keys, values and requests about strings, numbers, deadlines and whole databases |
//! | [`sorting`] | requests that sort |
//! | [`wide`] | requests about several shards and lists |
//! | [`streams`] | requests about streams and their groups |
//! | [`sorted_sets`] | requests about sorted sets and places, those that wait included |
//! | [`bits`] | requests about strings as bits and as HyperLogLogs |
//! | [`dumps`] | values that go out and come in as bytes |
//! | [`items`] | what memcached's clients ask for |
//! | [`waiting`] | requests that wait, those that meet them, and those that end their waiting |

pub mod author;
pub mod bits;
pub mod dumps;
pub mod families;
pub mod items;
pub mod sorted_sets;
pub mod sorting;
pub mod streams;
pub mod waiting;
pub mod wide;

use crate::dice::{Concern, Dice};
use crate::plan::{Deed, Plan, Step};
use crate::swarm::Swarm;
use author::Author;

/// Draws a plan of so many operations.
pub fn plan(seed: u64, operations: usize) -> Plan {
    let swarm = Swarm::of_seed(seed);
    let mut author = Author::new(&swarm, Dice::new(seed, Concern::Workload));
    let mut faults = Dice::new(seed, Concern::Faults);
    let (mut steps, mut at) = (Vec::with_capacity(operations), 0);
    // Who may wait, for longest first.
    let mut waiting: Vec<usize> = Vec::new();
    for _ in 0..operations {
        at += author.pause();
        let deed = author.deed();
        let ending = ends_a_transaction(&deed).filter(|_| swarm.faults.vanish);
        let meets = swarm.faults.vanish && meets_who_waits(&deed);
        let waits = waits(&deed);
        steps.push(Step { at, deed });
        if let Some(client) = ending
            && faults.chance(100)
        {
            at += 1;
            steps.push(Step { at, deed: Deed::Vanish { client } });
        }
        if swarm.is_a_crowd() {
            if let Some(client) = waits.filter(|client| !waiting.contains(client)) {
                waiting.push(client);
            }
            if meets && !waiting.is_empty() && faults.chance(250) {
                // Who is served is gone before all have heard of it.
                at += faults.between(0, 6 * swarm.hop);
                steps.push(Step { at, deed: Deed::Vanish { client: waiting.remove(0) } });
            }
        } else if meets && faults.chance(100) {
            steps.push(Step {
                at,
                deed: Deed::Vanish { client: faults.below(swarm.clients as u64) as usize },
            });
        }
        if faults.chance(40)
            && let Some(deed) = fault(&swarm, &mut faults)
        {
            steps.push(Step { at, deed });
        }
    }
    Plan { seed, steps }
}

/// The client of an EXEC.
fn ends_a_transaction(deed: &Deed) -> Option<usize> {
    match deed {
        Deed::Say { client, words } if words[0] == b"EXEC" => Some(*client),
        _ => None,
    }
}

/// The client of a request that may wait.
fn waits(deed: &Deed) -> Option<usize> {
    match deed {
        Deed::Say { client, words } if words[0].starts_with(b"BL") || words[0].starts_with(b"BR") => {
            Some(*client)
        }
        _ => None,
    }
}

/// True for a push to a key that somebody may wait for: whoever is to be served may be gone.
fn meets_who_waits(deed: &Deed) -> bool {
    match deed {
        Deed::Say { words, .. } => words[0].ends_with(b"PUSH") && words[1].starts_with(b"l"),
        _ => false,
    }
}

/// Something that goes wrong, if the swarm allows it.
fn fault(swarm: &Swarm, dice: &mut Dice) -> Option<Deed> {
    let on = swarm.faults;
    let client = dice.below(swarm.clients as u64) as usize;
    let nanos = *dice.pick(&[20_000, 1_000_000, 30_000_000, 400_000_000]);
    match dice.below(6) {
        0 if on.freeze => Some(Deed::Freeze { core: dice.below(swarm.cores.into()) as u16, nanos }),
        1 if on.vanish => Some(Deed::Vanish { client }),
        2 if on.stall => Some(Deed::Stall { client, nanos }),
        3 if on.half_close => Some(Deed::HalfClose { client }),
        4 if on.clock_step => Some(Deed::Clock { millis: dice.between(0, 3_000) as i64 - 1_500 }),
        5 if on.clock_jump => Some(Deed::Clock { millis: dice.between(0, 40_000) as i64 - 20_000 }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_the_plan() {
        assert_eq!(plan(5, 200), plan(5, 200));
        assert_ne!(plan(5, 200).steps, plan(6, 200).steps);
        let stored = plan(5, 200).to_text("");
        assert_eq!(Plan::from_text(&stored), Ok(plan(5, 200)));
    }
}
