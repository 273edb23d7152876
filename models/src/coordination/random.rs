//! Random worlds under random schedules: what hand-picked scenarios do not think of.
//!
//! A seed decides everything. Worlds are larger than what can be explored to its end: up to three cores, six clients, fourteen requests.

use super::program::{Ask, Key, Patience, Program, Say, exec, watch};
use super::world::{State, Step, World};

/// Requests of a world at the most.
const OPS_MAX: usize = 14;
/// A walk that is longer than this does not end.
const STEPS_MAX: usize = 20_000;

/// Numbers that a seed decides (SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) >> 33) as usize % n
    }

    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// What walks have seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    /// Walks through them.
    pub walks: usize,
    /// Steps of all walks.
    pub steps: usize,
}

/// Walks through the world of a seed; what is wrong in it, in words.
pub fn walk(seed: u64, walks: usize) -> Result<Walked, String> {
    let mut dice = Dice(seed);
    // Of four worlds one is of clients that wait for elements.
    let world = if seed % 4 == 3 { world_of_lists(&mut dice) } else { world(&mut dice) };
    let mut walked = Walked::default();
    for _ in 0..walks {
        let (end, path) = through(&mut dice, &world);
        walked.walks += 1;
        walked.steps += path.len();
        let wrong = end.wrong.or((path.len() == STEPS_MAX).then_some("a walk comes to its end"));
        if let Some(wrong) = wrong {
            let said: Vec<String> = world
                .programs
                .iter()
                .map(|program| format!("core {}: {:?}", program.core, program.says))
                .collect();
            let left: Vec<String> = end.unfinished(&world);
            return Err(format!("seed {seed}: {wrong}\n{}\n{path:?}\n{}", said.join("\n"), left.join("\n")));
        }
    }
    Ok(walked)
}

fn world(dice: &mut Dice) -> World {
    let cores = dice.one_of(&[2, 2, 3]);
    let keys: &[Key] = match (cores, dice.below(3)) {
        (2, 0) => &[0, 1],
        (2, 1) => &[0, 1, 2],
        (2, _) => &[0, 1, 2, 3],
        (_, 0) => &[0, 1],
        (_, 1) => &[0, 1, 4],
        _ => &[0, 1, 2, 3, 4, 5],
    };
    let (mut programs, mut left) = (Vec::new(), OPS_MAX);
    for _ in 0..dice.below(5) + 2 {
        let core = dice.below(usize::from(cores)) as u16;
        let (mut says, mut wanted) = (Vec::new(), dice.below(4) + 1);
        while wanted > 0 && left > 0 {
            (wanted, left) = (wanted - 1, left - 1);
            let is_watch = left > 0 && dice.below(12) == 0;
            if is_watch {
                left -= 1;
                says.push(watch(&some(dice, keys)));
                says.push(exec(&some(dice, keys)));
            } else {
                says.push(ask(dice, keys).into());
            }
            let last = says.len() - 1;
            let say: &mut Say = &mut says[last];
            say.waits = dice.below(10) < 3;
        }
        let mut program = Program::on(core, says);
        program.may_vanish = dice.below(12) == 0;
        programs.push(program);
    }
    let mut world = World::new(cores, dice.one_of(&[1, 1, 2, 8]), programs);
    world.spins = dice.below(2) == 0;
    world
}

/// Clients that push, pop and wait. Nobody pipelines: who waits says nothing more.
fn world_of_lists(dice: &mut Dice) -> World {
    let cores = dice.one_of(&[2, 2, 3]);
    let keys: &[Key] = match (cores, dice.below(2)) {
        (2, 0) => &[0, 1],
        (2, _) => &[0, 1, 2],
        (_, 0) => &[1, 4],
        _ => &[0, 1, 4],
    };
    let ticks = dice.below(3) / 2;
    let patience = |dice: &mut Dice| match ticks {
        1 => dice.one_of(&[Patience::Endless, Patience::Short]),
        _ => Patience::Endless,
    };
    let clients = dice.below(4) + 2;
    let (mut programs, mut left) = (Vec::new(), OPS_MAX);
    for _ in 0..clients {
        let (mut says, wanted) = (Vec::new(), (dice.below(4) + 1).min(left));
        left -= wanted;
        for _ in 0..wanted {
            let two = (dice.below(keys.len()), 1 + dice.below(keys.len() - 1));
            let (one, other) = (keys[two.0], keys[(two.0 + two.1) % keys.len()]);
            let ask = match dice.below(16) {
                0..=4 => Ask::Push(one),
                5 => Ask::Pop(one),
                6 | 7 => Ask::Exec(vec![Ask::Push(one), Ask::Push(other)]),
                8 => Ask::Await(vec![one], patience(dice)),
                9..=11 => Ask::Await(vec![one, other], patience(dice)),
                12..=14 => Ask::AwaitMove(one, other, patience(dice)),
                _ => Ask::Unblock(dice.below(clients) as u8, dice.below(2) == 0),
            };
            says.push(Say::from(ask).waits());
        }
        let mut program = Program::on(dice.below(usize::from(cores)) as u16, says);
        program.may_vanish = dice.below(8) == 0;
        programs.push(program);
    }
    let mut world = World::new(cores, dice.one_of(&[1, 1, 2, 8]), programs);
    (world.is_filled, world.ticks) = (false, ticks as u8);
    world
}

fn some(dice: &mut Dice, keys: &[Key]) -> Vec<Key> {
    let mut some: Vec<Key> = (0..dice.one_of(&[1, 1, 1, 2, 2, 2, 3])).map(|_| dice.one_of(keys)).collect();
    some.sort_unstable();
    some.dedup();
    some
}

fn ask(dice: &mut Dice, keys: &[Key]) -> Ask {
    let two = |dice: &mut Dice| {
        let from = dice.below(keys.len());
        (keys[from], keys[(from + 1 + dice.below(keys.len() - 1)) % keys.len()])
    };
    match dice.below(20) {
        0..=4 => Ask::Read(some(dice, keys)),
        5..=11 => Ask::Write(some(dice, keys)),
        12 => Ask::Delete(some(dice, keys)),
        13 => Ask::WriteNew(some(dice, keys)),
        14 => {
            let (from, to) = two(dice);
            Ask::Rename(from, to)
        }
        15 => {
            let (from, to) = two(dice);
            Ask::RenameNew(from, to)
        }
        16 => {
            let (from, to) = two(dice);
            Ask::Copy(from, to)
        }
        17 | 18 => Ask::Exec(vec![Ask::Read(some(dice, keys)), Ask::Write(some(dice, keys))]),
        _ if dice.one_of(&[false, true]) => Ask::Flush,
        _ => Ask::Count,
    }
}

/// A walk to its end. Cores are fast or slow, and change.
fn through(dice: &mut Dice, world: &World) -> (State, Vec<Step>) {
    let (mut state, mut path, mut steps) = (world.start(), Vec::new(), Vec::new());
    let mut weights = [1usize; 3];
    while path.len() < STEPS_MAX {
        if path.is_empty() || dice.below(12) == 0 {
            weights = [(); 3].map(|()| dice.one_of(&[1, 3, 20]));
        }
        steps.clear();
        state.steps(world, &mut steps);
        // Who could vanish may as well stay.
        steps.retain(|step| !matches!(step, Step::Gone(_)) || dice.below(30) == 0);
        if steps.is_empty() {
            let may_vanish_only = state.wrong.is_none() && !state.is_quiet(world);
            if may_vanish_only {
                continue;
            }
            break;
        }
        let weight = |step: &Step| match step {
            Step::Wake(core) | Step::Turn(core) | Step::Flush(core) | Step::Push(core) | Step::Go(core) => {
                weights[usize::from(*core)]
            }
            Step::Say(client) | Step::Again(client) | Step::Gone(client) => {
                weights[usize::from(world.programs[usize::from(*client)].core)]
            }
            Step::Tick => 1,
        };
        let mut at = dice.below(steps.iter().map(weight).sum());
        let chosen = steps.iter().find(|step| {
            let is_here = at < weight(step);
            at = at.saturating_sub(weight(step));
            is_here
        });
        let Some(&step) = chosen else { break };
        let was = state.clone();
        state = state.after(world, step);
        if std::env::var("DBG").is_ok() {
            eprintln!("{step:?}");
            for (n, core) in state.cores.iter().enumerate() {
                let k = world.recall.known(core.engine);
                if was.cores[n].engine != core.engine {
                    eprintln!(
                        "   core {n}: waiters {:?} queue {:?}",
                        k.engine.node().shard.waiters().ids(),
                        k.engine.node().queue.shown().len()
                    );
                    for s in k.engine.sessions().iter() {
                        if let Some(b) = &s.blocked {
                            eprintln!(
                                "      conn {} in_line {} served {}",
                                s.conn.index, b.in_line, b.served
                            );
                        }
                    }
                };
                for (to, m) in &core.out {
                    if !was.cores[n].out.contains(&(*to, *m)) {
                        eprintln!("   {n}->{to} {:?}", world.recall.message(*m));
                    }
                }
            }
        }
        path.push(step);
    }
    (state, path)
}
