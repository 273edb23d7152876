//! The worlds in which the model is explored. Small ones, each for a danger of its own.

use darter_core::hash::KeyHasher;

use crate::pressure::{ALL_HEARD, BEHIND, PARKED, Pressure, RESUMED, RING_FULL, TO_NOBODY};
use crate::script::{Expect, Script};
use crate::state::{HASH_SEEDS, World};

/// A scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What it is about.
    pub name: &'static str,
    /// The model.
    pub model: Pressure,
    /// How many different states it has.
    pub states: usize,
}

/// A key that lies on a shard.
fn key_on(shard: u16, cores: u16, number: usize) -> String {
    let hasher = KeyHasher::new(HASH_SEEDS);
    let keys = (0..).map(|n| format!("k{n}"));
    keys.filter(|key| hasher.hash(key.as_bytes()).shard(cores) == shard).nth(number).unwrap_or_default()
}

fn counter(number: usize) -> Expect {
    Expect::Counter(number)
}

fn exactly(reply: &str) -> Expect {
    Expect::Exactly(reply.as_bytes().to_vec())
}

fn model(cores: u16, credits: usize, scripts: Vec<Script>, sometimes: &[&'static str]) -> Pressure {
    Pressure { world: World { cores, credits, scripts }, sometimes: sometimes.to_vec() }
}

/// All scenarios.
pub fn all() -> Vec<Scenario> {
    vec![
        Scenario { name: "two cores ask each other with one credit", model: mutual(), states: 513 },
        Scenario {
            name: "two clients wait for one credit, one of them vanishes",
            model: waiting(),
            states: 13793,
        },
        Scenario { name: "everybody is asked while credits are short", model: everybody(), states: 13573 },
        Scenario {
            name: "a client comes in the place of one that vanished",
            model: successor(),
            states: 186,
        },
        Scenario {
            name: "clients quit and end their half with replies under way",
            model: endings(),
            states: 657,
        },
        Scenario { name: "three cores, three clients, everything at once", model: crowd(), states: 44490 },
        Scenario { name: "output leaves byte by byte", model: bytewise(), states: 157 },
    ]
}

fn mutual() -> Pressure {
    let (here, there) = (key_on(0, 2, 0), key_on(1, 2, 0));
    let one = Script::on(0, 0)
        .says(&format!("INCR {there}\r\nINCR {here}\r\nIN"), vec![counter(1), counter(0)])
        .says(&format!("CR {there}\r\nPING\r\n"), vec![counter(1), exactly("+PONG\r\n")]);
    let two = Script::on(1, 0).says(
        &format!("INCR {here}\r\nINCR {there}\r\nINCR {here}\r\n"),
        vec![counter(0), counter(1), counter(0)],
    );
    model(2, 1, vec![one, two], &[RING_FULL, PARKED, RESUMED, BEHIND, ALL_HEARD])
}

fn waiting() -> Pressure {
    let there = key_on(1, 2, 0);
    let ask = |script: Script, times: usize| {
        (0..times).fold(script, |script, _| script.says(&format!("INCR {there}\r\n"), vec![counter(0)]))
    };
    let mut vanishing = ask(Script::on(0, 0), 2);
    vanishing.may_vanish = true;
    let scripts = vec![vanishing, ask(Script::on(0, 1), 2), ask(Script::on(0, 2), 1)];
    model(2, 1, scripts, &[PARKED, RESUMED, TO_NOBODY, ALL_HEARD])
}

fn everybody() -> Pressure {
    let (second, third) = (key_on(1, 3, 0), key_on(2, 3, 0));
    let one = Script::on(0, 0).says(
        &format!("SET {second} x\r\nCLIENT KILL ID 999\r\nINCR {third}\r\n"),
        vec![exactly("+OK\r\n"), exactly(":0\r\n"), counter(0)],
    );
    let mut two = Script::on(0, 1).says("CLIENT UNBLOCK 999\r\n", vec![exactly(":0\r\n")]);
    two.may_vanish = true;
    let three = Script::on(1, 0).says("CLIENT UNBLOCK 999\r\n", vec![exactly(":0\r\n")]);
    model(3, 1, vec![one, two, three], &[PARKED, RESUMED, TO_NOBODY, ALL_HEARD])
}

fn successor() -> Pressure {
    // An answer for the first client would be a number, where the second must hear that there is nothing.
    let (there, absent) = (key_on(1, 2, 0), key_on(1, 2, 1));
    let mut first = Script::on(0, 0)
        .says(&format!("INCR {there}\r\nINCR {there}\r\n"), vec![counter(0), counter(0)])
        .says("CLIENT KILL ID 999\r\n", vec![exactly(":0\r\n")]);
    first.may_vanish = true;
    let mut second = Script::on(0, 0)
        .says(&format!("GET {absent}\r\nINCR {there}\r\n"), vec![exactly("$-1\r\n"), counter(0)])
        .says("PING\r\n", vec![exactly("+PONG\r\n")]);
    second.after = Some(0);
    // One credit more than the first client holds, so that the second's request is under way with the late answers.
    model(2, 4, vec![first, second], &[TO_NOBODY, BEHIND])
}

fn endings() -> Pressure {
    let there = key_on(1, 2, 0);
    let mut quitting = Script::on(0, 0).says(
        &format!("INCR {there}\r\nINCR {there}\r\nQUIT\r\n"),
        vec![counter(0), counter(0), exactly("+OK\r\n")],
    );
    quitting.quits = true;
    let mut ending = Script::on(0, 1)
        .says(&format!("PING\r\nINCR {there}\r\n"), vec![exactly("+PONG\r\n"), counter(0)])
        .says(&format!("INCR {there}\r\n"), vec![counter(0)]);
    ending.half_closes = true;
    model(2, 1, vec![quitting, ending], &[PARKED, RESUMED, ALL_HEARD])
}

fn bytewise() -> Pressure {
    let (here, there) = (key_on(0, 2, 0), key_on(1, 2, 0));
    let mut one = Script::on(0, 0).says(
        &format!("SET {here} a\r\nINCR {there}\r\nGET {here}\r\n"),
        vec![exactly("+OK\r\n"), counter(0), exactly("$1\r\na\r\n")],
    );
    one.small_reads = 4;
    let mut two =
        Script::on(1, 0).says(&format!("INCR {there}\r\nPING\r\n"), vec![counter(0), exactly("+PONG\r\n")]);
    two.small_reads = 2;
    model(2, 1, vec![one, two], &[BEHIND, ALL_HEARD])
}

fn crowd() -> Pressure {
    let keys: Vec<String> = (0..3).map(|shard| key_on(shard, 3, 0)).collect();
    let incr = |shard: usize| format!("INCR {}\r\n", keys[shard]);
    let one = Script::on(0, 0)
        .says(&(incr(1) + &incr(0)), vec![counter(1), counter(0)])
        .says(&(incr(1) + &incr(2)), vec![counter(1), counter(2)]);
    let two =
        Script::on(0, 1).says(&(incr(1) + "CLIENT UNBLOCK 999\r\n"), vec![counter(1), exactly(":0\r\n")]);
    let mut three = Script::on(1, 0).says(&(incr(0) + &incr(2)), vec![counter(0), counter(2)]);
    three.may_vanish = true;
    model(3, 1, vec![one, two, three], &[PARKED, RESUMED, BEHIND, TO_NOBODY, ALL_HEARD])
}
