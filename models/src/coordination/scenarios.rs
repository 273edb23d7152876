//! The worlds that are explored. Small ones, each for a danger of its own.

use super::Coordination;
use super::met::Situation::{
    self, BeforeUndrawn, BehindHeld, BothOrders, Chain, Full, GoneAmid, Late, Overtook, OwnUndrawn,
    OwnWaiting, Parked, Resumed,
};
use super::program::{Ask, Program, Say, V, W, X, Y, Z, exec, exec_reads, read, rename, watch, write};
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
    /// The clock moves on at any time.
    pub ticks: bool,
    /// By client.
    pub programs: Vec<Program>,
    /// Situations that must be met.
    pub meets: Vec<Situation>,
    /// What must have been heard by somebody.
    pub hears: Vec<&'static str>,
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
            ticks: false,
            programs,
            meets: Vec::new(),
            hears: Vec::new(),
            still_states: 0,
            states: 0,
        }
    }

    fn spins(mut self) -> Scenario {
        self.spins = true;
        self
    }

    fn ticks(mut self) -> Scenario {
        self.ticks = true;
        self
    }

    fn credits(mut self, credits: usize) -> Scenario {
        self.credits = credits;
        self
    }

    fn meets(mut self, meets: &[Situation]) -> Scenario {
        self.meets = meets.to_vec();
        self
    }

    fn hears(mut self, hears: &[&'static str]) -> Scenario {
        self.hears = hears.to_vec();
        self
    }

    fn states(mut self, still: usize, all: usize) -> Scenario {
        (self.still_states, self.states) = (still, all);
        self
    }

    /// Its model, with turns for nothing or without.
    pub fn model(&self, spins: bool) -> Coordination {
        let mut world = World::new(self.cores, self.credits, self.programs.clone());
        (world.spins, world.ticks) = (spins, self.ticks);
        Coordination { world }
    }
}

fn on(core: u16, says: &[Say]) -> Program {
    Program::on(core, says.to_vec())
}

/// One step and Directs: clients that pipeline, and clients that wait.
fn one_step() -> Vec<Scenario> {
    let (xy, yx, zw) = ([X, Y], [Y, X], [Z, W]);
    let two = |name, programs: Vec<Program>| Scenario::new(name, 2, programs);
    let three = |name, programs: Vec<Program>| Scenario::new(name, 3, programs);
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
            "2: MGETxy | @0 SETx GETx | MSETxy",
            vec![on(0, &[read(&xy)]), on(0, &[write(&[X]), read(&[X])]), on(1, &[write(&xy)])],
        )
        .spins(),
    ]
}

/// Several steps.
fn two_step() -> Vec<Scenario> {
    let xy = [X, Y];
    let two = |name, programs: Vec<Program>| Scenario::new(name, 2, programs);
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
    ]
}

/// All scenarios.
pub fn all() -> Vec<Scenario> {
    let mut all = one_step();
    all.extend(two_step());
    all
}
