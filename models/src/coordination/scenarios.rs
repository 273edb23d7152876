//! The worlds that are explored. Small ones, each for a danger of its own.

use stateright::{Checker, HasDiscoveries, Model};

use super::Coordination;
use super::lines;
use super::met::Situation;
use super::program::{
    Ask, Key, Program, Q, Say, V, W, X, Y, Z, exec, exec_reads, read, rename, watch, write,
};
use super::records::RECORDS;
use super::world::World;

/// A scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What it is about: cores, then what each client says.
    pub name: &'static str,
    /// How many cores.
    pub cores: u16,
    /// Credits at each other core.
    pub credits: usize,
    /// Cores take turns also when there is nothing to be learned.
    pub spins: bool,
    /// How often the clock moves on, at any time; the second time it is set back.
    pub ticks: u8,
    /// By client.
    pub programs: Vec<Program>,
    /// Situations that must be met.
    pub meets: &'static [Situation],
    /// With what all that a client hears must have ended, each in some course of things.
    pub hears: Vec<(usize, &'static str)>,
    /// Different states, if no core turns for nothing.
    pub still_states: usize,
    /// Different states as it stands.
    pub states: usize,
}

impl Scenario {
    fn new(name: &'static str, cores: u16, programs: Vec<Program>) -> Scenario {
        Scenario {
            name,
            cores,
            credits: 8,
            spins: false,
            ticks: 0,
            programs,
            meets: &[],
            hears: Vec::new(),
            still_states: 0,
            states: 0,
        }
    }

    fn spins(mut self) -> Scenario {
        self.spins = true;
        self
    }

    pub(super) fn ticks(mut self, times: u8) -> Scenario {
        self.ticks = times;
        self
    }

    pub(super) fn credits(mut self, credits: usize) -> Scenario {
        self.credits = credits;
        self
    }

    fn hears(mut self, hears: &[(usize, &'static str)]) -> Scenario {
        self.hears = hears.to_vec();
        self
    }

    /// Its model, with turns for nothing or without.
    pub fn model(&self, spins: bool) -> Coordination {
        let mut world = World::new(self.cores, self.credits, self.programs.clone());
        (world.spins, world.ticks) = (spins, self.ticks);
        Coordination { world }
    }

    /// Explores it to its end, or to the first thing that is wrong.
    pub fn explore(&self, spins: bool) -> Explored {
        let checker = self
            .model(spins)
            .checker()
            .threads(2)
            .finish_when(HasDiscoveries::AnyFailures)
            .spawn_dfs()
            .join();
        let world = &checker.model().world;
        let heard = world.endings();
        let unheard = self
            .hears
            .iter()
            .filter(|(client, ending)| !heard.iter().any(|all| all[*client].ends_with(ending.as_bytes())));
        let unmet = self.meets.iter().filter(|situation| !world.recall.met.has(**situation));
        Explored {
            states: checker.unique_state_count(),
            broken: checker.discoveries().into_keys().next(),
            missed: unmet
                .map(|situation| format!("{situation:?}"))
                .chain(unheard.map(|unheard| format!("{unheard:?}")))
                .collect(),
            counts: world.recall.counts(),
            met: world.recall.met.all(),
        }
    }
}

/// What an exploration has come to.
#[derive(Clone, Debug)]
pub struct Explored {
    /// How many different states there are.
    pub states: usize,
    /// A property that does not hold.
    pub broken: Option<&'static str>,
    /// What should have been met or heard.
    pub missed: Vec<String>,
    /// Different engines, and different steps of an engine.
    pub counts: (usize, usize),
    /// What was met.
    pub met: Vec<Situation>,
}

impl Explored {
    /// What is not as it should be.
    pub fn judge(&self, scenario: &Scenario, states: usize) -> Option<String> {
        let is_right = self.broken.is_none() && self.missed.is_empty() && self.states == states;
        (!is_right).then(|| format!("{}: {self:?} instead of {states} states", scenario.name))
    }
}

pub(super) fn two(name: &'static str, programs: Vec<Program>) -> Scenario {
    Scenario::new(name, 2, programs)
}

pub(super) fn three(name: &'static str, programs: Vec<Program>) -> Scenario {
    Scenario::new(name, 3, programs)
}

pub(super) fn on(core: u16, says: &[Say]) -> Program {
    Program::on(core, says.to_vec())
}

/// One step and Directs: clients that pipeline, and clients that wait.
fn one_step() -> Vec<Scenario> {
    let (xy, yx, zw) = ([X, Y], [Y, X], [Z, W]);
    vec![
        two(
            "2: SETx MSETxy GETx | MSETyx GETy",
            vec![on(0, &[write(&[X]), write(&xy), read(&[X])]), on(1, &[write(&yx), read(&[Y])])],
        )
        .spins(),
        two(
            "2: MSETxy GETx | MSETyx | GETx;GETy",
            vec![
                on(0, &[write(&xy), read(&[X])]),
                on(1, &[write(&yx)]),
                on(1, &[read(&[X]), read(&[Y]).waits()]),
            ],
        )
        .spins(),
        two(
            "2: MSETxy | MSETxy | MSETzw | GETy;GETx",
            vec![
                on(0, &[write(&xy)]),
                on(1, &[write(&xy)]),
                on(0, &[write(&zw)]),
                on(1, &[read(&[Y]), read(&[X]).waits()]),
            ],
        )
        .spins(),
        three("3: MSETxy | @2 SETy MSETxy", vec![on(0, &[write(&xy)]), on(2, &[write(&[Y]), write(&xy)])])
            .spins(),
        three(
            "3: a ring without own entries, @2 xy | @0 yv | @1 vx",
            vec![on(2, &[write(&xy)]), on(0, &[write(&[Y, V])]), on(1, &[write(&[V, X])])],
        ),
        two(
            "2: SETy MSETxy SETy | MSETxy SETx",
            vec![on(0, &[write(&[Y]), write(&xy), write(&[Y])]), on(1, &[write(&xy), write(&[X])])],
        )
        .spins(),
        two(
            "2: MSETxy SETx | MSETxw | MSETzy | GETx",
            vec![
                on(0, &[write(&xy), write(&[X])]),
                on(1, &[write(&[X, W])]),
                on(0, &[write(&[Z, Y])]),
                on(1, &[read(&[X])]),
            ],
        )
        .spins(),
        three(
            "3: MSETxy | MSETyx | @2 GETx;GETy",
            vec![on(0, &[write(&xy)]), on(1, &[write(&yx)]), on(2, &[read(&[X]), read(&[Y]).waits()])],
        ),
        two(
            "2: MSETxy SETy MSETxy | MSETxy",
            vec![on(0, &[write(&xy), write(&[Y]), write(&xy)]), on(1, &[write(&xy)])],
        )
        .spins(),
        two(
            "2: MSETxy GETx GETx | SETx | MSETxy SETx",
            vec![
                on(0, &[write(&xy), read(&[X]), read(&[X])]),
                on(0, &[write(&[X])]),
                on(1, &[write(&xy), write(&[X])]),
            ],
        )
        .spins(),
        three(
            "3: MSETxy | MSETxy | MSETxy GETy",
            vec![on(0, &[write(&xy)]), on(1, &[write(&xy)]), on(2, &[write(&xy), read(&[Y])])],
        ),
        three(
            "3: MSETxy | @2 MSETxy | @1 SETz, turns for nothing",
            vec![on(0, &[write(&xy)]), on(2, &[write(&xy)]), on(1, &[write(&[Z])])],
        )
        .spins(),
        three("3: MSETxy | @2 MSETxy, turns for nothing", vec![on(0, &[write(&xy)]), on(2, &[write(&xy)])])
            .spins(),
        three(
            "3: SETy MSETxy | @2 MSETxy SETy",
            vec![on(0, &[write(&[Y]), write(&xy)]), on(2, &[write(&xy), write(&[Y])])],
        ),
        two(
            "2: MSETxy SETx | SETx | SETx MSETxy",
            vec![on(0, &[write(&xy), write(&[X])]), on(0, &[write(&[X])]), on(1, &[write(&[X]), write(&xy)])],
        )
        .spins(),
        two(
            "2: MSETxzy EXEC{xz} GETx | MSETxy MSETzw",
            vec![on(0, &[write(&[X, Z, Y]), exec(&[X, Z]), read(&[X])]), on(1, &[write(&xy), write(&zw)])],
        )
        .spins(),
        two(
            "2: MGETxy SETx GETx | MSETxy | GETy;GETx",
            vec![
                on(0, &[read(&xy), write(&[X]), read(&[X])]),
                on(1, &[write(&xy)]),
                on(1, &[read(&[Y]), read(&[X]).waits()]),
            ],
        )
        .spins(),
        two(
            "2: MSETxy | MSETxzw | MSETzw GETz",
            vec![on(0, &[write(&xy)]), on(1, &[write(&[X, Z, W])]), on(0, &[write(&zw), read(&[Z])])],
        ),
        three(
            "3: @2 MSETxy MSETyx GETy | @0 MSETxy GETx",
            vec![on(2, &[write(&xy), write(&yx), read(&[Y])]), on(0, &[write(&xy), read(&[X])])],
        ),
        two(
            "2: MGETxy SETx | GETx SETx MSETxy",
            vec![on(0, &[read(&xy), write(&[X])]), on(1, &[read(&[X]), write(&[X]), write(&xy)])],
        )
        .spins(),
        three(
            "3: MSETxy | @2 MSETxy | @2 GETy;GETx",
            vec![on(0, &[write(&xy)]), on(2, &[write(&xy)]), on(2, &[read(&[Y]), read(&[X]).waits()])],
        ),
        two(
            "2: MGETxy GETx | SETx | @1 MSETxy",
            vec![on(0, &[read(&xy), read(&[X])]), on(1, &[write(&[X])]), on(1, &[write(&xy)])],
        )
        .spins(),
        two(
            "2: MGETxzy MGETxy | MSETzw | SETx",
            vec![on(0, &[read(&[X, Z, Y]), read(&xy)]), on(1, &[write(&zw)]), on(1, &[write(&[X])])],
        )
        .spins(),
        two(
            "2: MGETxy EXEC-read{xz} | SETz; SETy",
            vec![on(0, &[read(&xy), exec_reads(&[X, Z])]), on(1, &[write(&[Z]), write(&[Y]).waits()])],
        )
        .spins(),
        two(
            "2: MSETxy | @1 EXEC{xz} MSETzw: the EXEC waits for one, and the MSET for the EXEC",
            vec![on(0, &[write(&xy)]), on(1, &[exec(&[X, Z]), write(&zw)])],
        ),
        two(
            "2: MGETxy | @0 SETx GETx | MSETxy",
            vec![on(0, &[read(&xy)]), on(0, &[write(&[X]), read(&[X])]), on(1, &[write(&xy)])],
        )
        .spins(),
    ]
}

/// Several steps.
fn two_step() -> Vec<Scenario> {
    let xy = [X, Y];
    vec![
        two(
            "2: RENxy GETx | RENyx | GETx;GETy",
            vec![
                on(0, &[rename(X, Y), read(&[X])]),
                on(1, &[rename(Y, X)]),
                on(1, &[read(&[X]), read(&[Y]).waits()]),
            ],
        )
        .spins(),
        two(
            "2: MSETxy MGETxy | RENxy SETy",
            vec![on(0, &[write(&xy), read(&xy)]), on(1, &[rename(X, Y), write(&[Y])])],
        )
        .spins(),
        two(
            "2: RENxy EXEC{xz} | MSETzw GETw | GETy;GETx",
            vec![
                on(0, &[rename(X, Y), exec(&[X, Z])]),
                on(1, &[write(&[Z, W]), read(&[W])]),
                on(1, &[read(&[Y]), read(&[X]).waits()]),
            ],
        )
        .spins(),
        two(
            "2: RENxy | RENxw | GETw;GETy: one finds no source",
            vec![on(0, &[rename(X, Y)]), on(1, &[rename(X, W)]), on(0, &[read(&[W]), read(&[Y]).waits()])],
        )
        .hears(&[(0, "+OK\r\n"), (0, "no such key\r\n"), (1, "+OK\r\n"), (1, "no such key\r\n")]),
        two(
            "2: RENNXxy GETy | DELy SETx | GETx;GETy: the target is occupied, or not",
            vec![
                on(0, &[Ask::RenameNew(X, Y).into(), read(&[Y])]),
                on(1, &[Ask::Delete(vec![Y]).into(), write(&[X])]),
                on(1, &[read(&[X]), read(&[Y]).waits()]),
            ],
        )
        .hears(&[(0, ":0\r\n$2\r\n1:\r\n"), (0, ":1\r\n$2\r\n0:\r\n")]),
        two(
            "2: MSETNXxy SETx | DELxy | MGETxy: keys are occupied, or free",
            vec![
                on(0, &[Ask::WriteNew(vec![X, Y]).into(), write(&[X])]),
                on(1, &[Ask::Delete(vec![X, Y]).into()]),
                on(1, &[read(&xy)]),
            ],
        )
        .hears(&[(0, ":0\r\n+OK\r\n"), (0, ":1\r\n+OK\r\n"), (2, "*2\r\n$-1\r\n$-1\r\n")]),
        two(
            "2: COPYxy GETx | MSETxy | RENyx",
            vec![on(0, &[Ask::Copy(X, Y).into(), read(&[X])]), on(1, &[write(&xy)]), on(1, &[rename(Y, X)])],
        ),
        three(
            "3: RENxy | @2 RENyx | @1 MSETxy",
            vec![on(0, &[rename(X, Y)]), on(2, &[rename(Y, X)]), on(1, &[write(&xy)])],
        ),
    ]
}

/// WATCH, on several shards and on one.
fn watched() -> Vec<Scenario> {
    const NIL: &str = "*-1\r\n";
    const DONE: &str = "*2\r\n+OK\r\n+OK\r\n";
    let xy = [X, Y];
    vec![
        two(
            "2: WATCHxy;EXEC{xy} | SETy | GETx;GETy",
            vec![
                on(0, &[watch(&xy), exec(&xy).waits()]),
                on(1, &[write(&[Y])]),
                on(1, &[read(&[X]), read(&[Y]).waits()]),
            ],
        )
        .hears(&[(0, NIL), (0, DONE)]),
        two(
            "2: WATCHy EXEC{xw} GETx | SETy | SETx",
            vec![
                on(0, &[watch(&[Y]), exec(&[X, W]), read(&[X])]),
                on(1, &[write(&[Y])]),
                on(0, &[write(&[X])]),
            ],
        ),
        two(
            "2: WATCHxy EXEC{x} | WATCHxy EXEC{y}: one of them at the most",
            vec![
                on(0, &[watch(&xy), Ask::Exec(vec![Ask::Write(vec![X])]).into()]),
                on(1, &[watch(&xy), Ask::Exec(vec![Ask::Write(vec![Y])]).into()]),
            ],
        )
        .hears(&[(0, NIL), (1, NIL), (0, "*1\r\n+OK\r\n"), (1, "*1\r\n+OK\r\n")]),
        two(
            "2: WATCHy EXEC{yw} | SETy MSETxy",
            vec![on(0, &[watch(&[Y]), exec(&[Y, W])]), on(1, &[write(&[Y]), write(&xy)])],
        )
        .hears(&[(0, NIL), (0, DONE)]),
        two(
            "2: WATCHy EXEC{wq} | SETy MSETxy: what is watched is not what is written",
            vec![on(0, &[watch(&[Y]), exec(&[W, Q])]), on(1, &[write(&[Y]), write(&xy)])],
        )
        .hears(&[(0, NIL), (0, DONE)]),
        two(
            "2: WATCHxy UNWATCH GETy | MSETxy: the round ends before it has begun",
            vec![on(0, &[watch(&xy), Ask::Unwatch.into(), read(&[Y])]), on(1, &[write(&xy)])],
        ),
        two(
            "2: WATCHx EXEC{xz} | MSETxy | RENxy",
            vec![on(0, &[watch(&[X]), exec(&[X, Z])]), on(1, &[write(&xy)]), on(1, &[rename(X, Y)])],
        )
        .hears(&[(0, NIL), (0, DONE)]),
        three(
            "3: WATCHy;EXEC{xv} | @1 SETy | @2 MSETxv",
            vec![
                on(0, &[watch(&[Y]), exec(&[X, V]).waits()]),
                on(1, &[write(&[Y])]),
                on(2, &[write(&[X, V])]),
            ],
        )
        .hears(&[(0, NIL), (0, DONE)]),
        two(
            "2: SETy with an end; WATCHxy;EXEC{xw} | GETy, the clock moves on",
            vec![
                on(0, &[Ask::WriteUntil(Y).into(), watch(&xy).waits(), exec(&[X, W]).waits()]),
                on(1, &[read(&[Y])]),
            ],
        )
        .ticks(1)
        .hears(&[(0, NIL), (0, DONE)]),
        two(
            "2: SETy with an end; WATCHy;EXEC{yw} | MSETxy, the clock moves on",
            vec![
                on(0, &[Ask::WriteUntil(Y).into(), watch(&[Y]).waits(), exec(&[Y, W]).waits()]),
                on(1, &[read(&[X, W])]),
            ],
        )
        .ticks(1)
        .hears(&[(0, NIL), (0, DONE)]),
    ]
}

/// Keys that end.
fn ending() -> Vec<Scenario> {
    let ends = || -> Say { Ask::WriteUntil(Y).into() };
    let look = |keys: &[Key]| read(keys).waits();
    vec![
        two(
            "2: SETy with an end;GETy;GETy, the clock moves on",
            vec![on(0, &[ends(), look(&[Y]), look(&[Y])])],
        )
        .ticks(1),
        two(
            "2: SETy with an end after all;GETy;GETy, the clock moves on",
            vec![on(0, &[Ask::WriteLonger(Y).into(), look(&[Y]), look(&[Y])])],
        )
        .ticks(1),
        two(
            "2: SETy with an end;MGETxy;GETy;GETy, the clock moves on and is set back",
            vec![on(0, &[ends(), look(&[X, Y]), look(&[Y]), look(&[Y])])],
        )
        .ticks(2),
        two(
            "2: SETy with an end;RENyx;GETx | GETy, the clock moves on",
            vec![on(0, &[ends(), rename(Y, X).waits(), look(&[X])]), on(1, &[read(&[Y])])],
        )
        .ticks(1),
    ]
}

/// Locks of whole shards.
fn whole() -> Vec<Scenario> {
    let xy = [X, Y];
    vec![
        two(
            "2: MSETxy GETx | FLUSHALL | GETy;GETx",
            vec![
                on(0, &[write(&xy), read(&[X])]),
                on(1, &[Ask::Flush.into()]),
                on(1, &[read(&[Y]), read(&[X]).waits()]),
            ],
        ),
        two(
            "2: FLUSHALL MSETxy SETz | DBSIZE DBSIZE",
            vec![
                on(0, &[Ask::Flush.into(), write(&xy), write(&[Z])]),
                on(1, &[Ask::Count.into(), Ask::Count.into()]),
            ],
        )
        .hears(&[(1, ":5\r\n:5\r\n"), (1, ":0\r\n:2\r\n"), (1, ":2\r\n:3\r\n")]),
        two(
            "2: EXEC{FLUSHALL SETx} | MSETxy | GETy;GETx",
            vec![
                on(0, &[Ask::Exec(vec![Ask::Flush, Ask::Write(vec![X])]).into()]),
                on(1, &[write(&xy)]),
                on(1, &[read(&[Y]), read(&[X]).waits()]),
            ],
        ),
        three(
            "3: FLUSHALL | @2 MSETxy | @1 DBSIZE",
            vec![on(0, &[Ask::Flush.into()]), on(2, &[write(&xy)]), on(1, &[Ask::Count.into()])],
        ),
    ]
}

/// Clients that vanish.
fn vanishing() -> Vec<Scenario> {
    let xy = [X, Y];
    vec![
        two(
            "2: MSETxy SETy, may vanish | MSETxy | GETx;GETy",
            vec![
                on(0, &[write(&xy), write(&[Y])]).may_vanish(),
                on(1, &[write(&xy)]),
                on(1, &[read(&[X]), read(&[Y]).waits()]),
            ],
        ),
        two(
            "2: WATCHxy EXEC{xw}, may vanish | SETy MSETxy",
            vec![on(0, &[watch(&xy), exec(&[X, W])]).may_vanish(), on(1, &[write(&[Y]), write(&xy)])],
        ),
        two(
            "2: RENxy, may vanish | RENyx, may vanish | GETx;GETy",
            vec![
                on(0, &[rename(X, Y)]).may_vanish(),
                on(1, &[rename(Y, X)]).may_vanish(),
                on(1, &[read(&[X]), read(&[Y]).waits()]),
            ],
        ),
        two(
            "2: WATCHy MSETxy EXEC{yw} with one credit, may vanish | SETx MSETxy",
            vec![
                on(0, &[watch(&[Y]), write(&xy), exec(&[Y, W])]).may_vanish(),
                on(1, &[write(&[X]), write(&xy)]),
            ],
        )
        .credits(1),
    ]
}

/// Few credits.
fn pressed() -> Vec<Scenario> {
    let xy = [X, Y];
    vec![
        two(
            "2: one credit, MSETxy SETy | GETy | @1 MSETxy GETx",
            vec![on(0, &[write(&xy), write(&[Y])]), on(0, &[read(&[Y])]), on(1, &[write(&xy), read(&[X])])],
        )
        .credits(1),
        three(
            "3: one credit, MSETyv between | GETy | GETv | GETy",
            vec![
                on(0, &[write(&[Y, V])]),
                on(0, &[read(&[Y]), read(&[Y])]),
                on(0, &[read(&[V]), read(&[V])]),
            ],
        )
        .credits(1),
        two(
            "2: one credit, MSETxy MSETxw MSETzy | @1 MSETxq GETz: releases in a row",
            vec![
                on(0, &[write(&xy), write(&[X, W]), write(&[Z, Y])]),
                on(1, &[write(&[X, Q])]),
                on(1, &[read(&[Z])]),
            ],
        )
        .credits(1),
        three(
            "3: one credit, RENyv | FLUSHALL | @1 MSETxv",
            vec![on(0, &[rename(Y, V)]), on(0, &[Ask::Flush.into()]), on(1, &[write(&[X, V])])],
        )
        .credits(1),
    ]
}

/// All scenarios.
pub fn all() -> Vec<Scenario> {
    let mut all: Vec<Scenario> =
        [one_step(), two_step(), watched(), ending(), whole(), vanishing(), pressed(), lines::waiting()]
            .into_iter()
            .flatten()
            .collect();
    for scenario in &mut all {
        if let Some(record) = RECORDS.iter().find(|record| record.name == scenario.name) {
            (scenario.still_states, scenario.states) = (record.still, record.whole);
            scenario.meets = record.meets;
        }
    }
    all
}
