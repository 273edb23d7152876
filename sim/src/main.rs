//! Runs worlds from the command line: `darter-sim --help`.

use std::process::ExitCode;

use darter_sim::canary::Canary;
use darter_sim::plan::Plan;
use darter_sim::run::{self, Detail};
use darter_sim::scale;
use darter_sim::sometimes::Sometimes;
use darter_sim::swarm::Swarm;
use darter_sim::workload;
use darter_sim::world::Outcome;

const HELP: &str = "\
darter-sim: seeded worlds of cores, clients and faults over the real engine

  --seed N            one seed (1 if nothing else is said)
  --seeds A..B        seeds from A up to, not including, B
  --count N           so many seeds, from --seed on
  --operations N      operations of the workload of each seed (500)
  --plan FILE         replay a stored plan instead of a seed
  --write FILE        store the plan of the seed
  --minimise          make a failing plan smaller and print it
  --canary NAME       plant a fault: nondeterminism, lost-reply, stale-read, late-expiry, reordered-replies,
                      early-silence, early-drain
  --plant NAME        in a build with planted faults (docs/MUTANTS.md): one of them
  --scale A,B,..      what so many cores would give, by measured costs of the steps of a turn
  --coverage          print which situations were met
  --verbose           print every event

A line for each seed: seed, operations, cores, virtual seconds, events, hash. Exit code 1 if one failed.";

#[derive(Debug)]
struct Arguments {
    from: u64,
    to: u64,
    operations: usize,
    plan: Option<String>,
    write: Option<String>,
    minimise: bool,
    canary: Canary,
    coverage: bool,
    verbose: bool,
    scale: Vec<u16>,
}

impl Arguments {
    /// `None`: help was asked for.
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Arguments>, String> {
        let mut arguments = Arguments {
            from: 1,
            to: 0,
            operations: 500,
            plan: None,
            write: None,
            minimise: false,
            canary: Canary::None,
            coverage: false,
            verbose: false,
            scale: Vec::new(),
        };
        let mut count = 1;
        while let Some(word) = words.next() {
            let mut operand = || words.next().ok_or(format!("{word} needs something behind it"));
            let number = |text: String| text.parse::<u64>().map_err(|_| format!("{text} is no number"));
            match &word[..] {
                "--seed" => arguments.from = number(operand()?)?,
                "--count" => count = number(operand()?)?,
                "--seeds" => {
                    let range = operand()?;
                    let (from, to) = range.split_once("..").ok_or(format!("{range} is no range"))?;
                    (arguments.from, arguments.to) = (number(from.into())?, number(to.into())?);
                }
                "--operations" => arguments.operations = number(operand()?)? as usize,
                "--plan" => arguments.plan = Some(operand()?),
                "--write" => arguments.write = Some(operand()?),
                "--minimise" => arguments.minimise = true,
                "--canary" => {
                    let name = operand()?;
                    arguments.canary = Canary::of_name(&name).ok_or(format!("no canary is called {name}"))?;
                }
                #[cfg(darter_mutants)]
                "--plant" => {
                    let name = operand()?;
                    let known = darter_core::mutant::ALL.iter().find(|known| **known == name);
                    darter_core::mutant::select(Some(known.ok_or(format!("no fault is called {name}"))?));
                }
                "--scale" => {
                    let list = operand()?;
                    let cores = |text: &str| match text.parse() {
                        Ok(cores) if cores > 0 => Ok(cores),
                        _ => Err(format!("{text} is no number of cores")),
                    };
                    arguments.scale = list.split(',').map(cores).collect::<Result<_, _>>()?;
                }
                "--coverage" => arguments.coverage = true,
                "--verbose" => arguments.verbose = true,
                "--help" | "-h" => return Ok(None),
                _ => return Err(format!("{word} is not known; see --help")),
            }
        }
        arguments.to = arguments.to.max(arguments.from + count);
        Ok(Some(arguments))
    }
}

#[expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the binary, not the world, reads its arguments, plan files and a clock for its report"
)]
fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(text) => {
            eprintln!("{text}");
            return ExitCode::from(2);
        }
    };
    if !arguments.scale.is_empty() {
        scale::table(&arguments.scale).iter().for_each(|line| println!("{line}"));
        return ExitCode::SUCCESS;
    }
    // Panics of the engine are failures of their world, told below; until then they are quiet. Where they end the process they are told
    // at once.
    if !arguments.verbose {
        std::panic::set_hook(Box::new(|info| {
            if cfg!(panic = "abort") {
                let how = HOW.lock().map(|how| how.clone()).unwrap_or_default();
                println!("FAILED: {info}\nto reproduce: cargo run -p darter-sim -- {how}");
            }
        }));
    }
    if let Some(path) = &arguments.plan {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string());
        return match text.and_then(|text| Plan::from_text(&text)) {
            Ok(plan) => one(&arguments, &plan, &format!("--plan {path}"), &mut Sometimes::default()),
            Err(text) => {
                eprintln!("{path}: {text}");
                ExitCode::from(2)
            }
        };
    }
    let started = std::time::Instant::now();
    let (mut code, mut sometimes) = (ExitCode::SUCCESS, Sometimes::default());
    for seed in arguments.from..arguments.to {
        let plan = workload::plan(seed, arguments.operations);
        if let Some(path) = &arguments.write
            && let Err(error) = std::fs::write(path, plan.to_text(""))
        {
            eprintln!("{path}: {error}");
            return ExitCode::from(2);
        }
        let how = format!("--seed {seed} --operations {}", arguments.operations);
        let one = one(&arguments, &plan, &how, &mut sometimes);
        if one != ExitCode::SUCCESS {
            code = one;
        }
    }
    let seeds = arguments.to - arguments.from;
    let minutes = started.elapsed().as_secs_f64() / 60.0;
    if arguments.coverage {
        print!("{}", sometimes.report());
    }
    if seeds > 1 {
        let rate = seeds as f64 / minutes;
        let operations = rate * arguments.operations as f64 / 60.0;
        println!("{seeds} seeds, {rate:.0} seeds/minute, {operations:.0} operations/s");
    }
    code
}

/// How to see again what runs now.
static HOW: std::sync::Mutex<String> = std::sync::Mutex::new(String::new());

/// Runs one plan and prints its line, or why it failed.
fn one(arguments: &Arguments, plan: &Plan, how: &str, sometimes: &mut Sometimes) -> ExitCode {
    if let Ok(mut now) = HOW.lock() {
        *now = how.to_string();
    }
    let detail = if arguments.verbose { Detail::All } else { Detail::Hash };
    let outcome = run::plan(plan, arguments.canary, detail);
    outcome.lines.iter().filter(|_| arguments.verbose).for_each(|line| println!("{line}"));
    print_line(plan, &outcome);
    sometimes.add(&outcome.sometimes);
    let Some(failure) = outcome.failure else { return ExitCode::SUCCESS };
    let canary = match arguments.canary {
        Canary::None => String::new(),
        canary => format!(" --canary {}", canary.name()),
    };
    println!("FAILED: {failure}\nto reproduce: cargo run -p darter-sim -- {how}{canary}\nthe last events:");
    for line in run::plan(plan, arguments.canary, Detail::Recent).lines {
        println!("{line}");
    }
    if arguments.minimise {
        println!("{}", run::minimise(plan, arguments.canary).to_text(&failure));
    }
    ExitCode::FAILURE
}

fn print_line(plan: &Plan, outcome: &Outcome) {
    println!(
        "seed {} operations {} cores {} virtual {:.3} s events {} hash {:016x}",
        plan.seed,
        outcome.runs,
        Swarm::of_seed(plan.seed).cores,
        outcome.nanos as f64 / 1e9,
        outcome.events,
        outcome.hash
    );
}
