//! Every planted fault is found, and by whom the table says. In an ordinary build: there are no planted faults.
//!
//! `--bless` looks widely: every scenario, many random worlds, many seeds; of each kind it records the finder that needs least. An ordinary run
//! only lets those look again. What finds a fault must find nothing without one.

#[cfg(not(darter_mutants))]
#[test]
fn an_ordinary_build_has_no_planted_faults() {
    const { assert!(!darter_core::mutant::COMPILED) };
    assert!(!darter_core::mutant::planted("a parked client is not resumed"));
}

#[cfg(darter_mutants)]
mod planted {
    use std::collections::BTreeMap;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Instant;

    use darter_core::mutant::{ALL, MARKER, select};
    use darter_models::coordination::random;
    use darter_models::coordination::scenarios as coordination;
    use darter_models::persistence::scenarios as persistence;
    use darter_models::scenarios as pressure;
    use darter_models::walk;
    use darter_sim::canary::Canary;
    use darter_sim::run::{self, Detail};
    use stateright::{Checker, Expectation, HasDiscoveries, Model};

    /// Seeds of the simulator that look for a fault, and the operations of each. A line of the table names the least of these budgets that
    /// has room to spare, so that a workload that has learned a command need not be recorded anew.
    const BUDGETS: [u64; 4] = [30, 100, 300, 1000];
    const SEEDS: u64 = BUDGETS[BUDGETS.len() - 1];
    /// A budget is so many times the seeds among which so many find the fault: another workload finds it too in all but one of 729.
    const SPARE: u64 = 8;
    const FINDS: usize = 3;
    const OPERATIONS: usize = 500;
    /// Random worlds that look for a fault, and walks through each.
    const WORLDS: u64 = 60;
    const WALKS: usize = 4;
    /// States that a scenario may visit before it finds a fault; and, if one has found it so or in fewer, any other.
    const STATES_MAX: usize = 600_000;
    const STATES_QUICK: usize = 60_000;
    const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/mutants.table");
    const HEAD: &str = "# Who finds which planted fault, of each kind the one that needs least. Written by `models/mutants --bless`, compared by\n\
         # `models/mutants`.\n";

    /// Why the simulator does not find some faults.
    const BEYOND: &[(&str, &[&str])] = &[
        (
            "its driver has an order of its own, with a canary for each wrong one",
            &[
                "a limit is raised before the rings are drained",
                "the rings are drained before the limit is observed",
                "a ticket is announced after it was drawn",
                "a core is silent before it has pushed",
                "a direct is sent before the flush",
            ],
        ),
        (
            "two cores flush between two reads of a third, and their rings are drained apart",
            &["the next ticket is read last", "the limit of tickets falls"],
        ),
        (
            "a log must fail in just the turn of a transaction, and everything must end before it can be written",
            &[
                "a transaction ends before its line is in the log",
                "a part is answered before it is in the log",
            ],
        ),
        ("nobody's turn is late enough to be seen", &["a newcomer overtakes who waits for a credit"]),
    ];

    /// Faults of what the models of requests do not have, several requests in one turn, large arguments, streams, files and memcached's clients: the simulator has to
    /// find them, and of those of files a model too, if it has what they are about.
    const SIMULATED: &[&str] = &[
        "a command joins others that an earlier message holds",
        "a key is looked for where that of the first request ahead lies",
        "a byte that was received in place is not counted",
        "a record is changed before it is saved",
        "what is made ahead of the walk is written",
        "the cut is made shard by shard",
        "a flushed database is forgotten by the walk",
        "a large value is changed before its end is written",
        "what is written meanwhile comes into the midst of a value",
        "a part comes into the midst of another shard's value",
        "a transaction ends without its line in the log",
        "a transaction ends before its line is in the log",
        "a part is answered before it is in the log",
        "a key that is gone is not written down",
        "what a command says in other words is forgotten",
        "that a key was evicted is not written down",
        "a key that leaves is removed before it is taken",
        "keys that leave are not held",
        "the manifest names a snapshot that is not published",
        "a mark is written before all shards are held",
        "each log goes back to its own last mark",
        "nobody asks whether the machine went down",
        "the next logs count though one before them has lost its end",
        "a group that was written in part is written anew",
        "a stamp names any state of its item",
        "a stamp outlives a change of its item",
        "who waits for time to pass is not looked at again",
    ];

    /// What a line says of a simulator that does not find this fault.
    fn beyond(name: &str) -> String {
        match BEYOND.iter().find(|(_, names)| names.contains(&name)).map(|(reason, _)| *reason) {
            Some(reason) => format!("sim: not within {SEEDS} seeds: {reason}"),
            None => format!("sim: not within {SEEDS} seeds"),
        }
    }

    /// Somebody who may find a fault.
    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
    enum Finder {
        Pressure(&'static str),
        Walk(&'static str),
        Persistence(&'static str),
        Coordination {
            name: &'static str,
            spins: bool,
        },
        Random(u64),
        /// The simulator with so many seeds.
        Simulator(u64),
    }

    /// What a finder has found, and how many states it has visited.
    struct Found {
        what: Option<String>,
        states: usize,
    }

    impl Finder {
        /// Everything that a table may name besides seeds: scenarios, the smallest first.
        fn scenarios() -> Vec<Finder> {
            let own = pressure::all().into_iter().map(|s| (s.states, Finder::Pressure(s.name)));
            let all = coordination::all();
            let still =
                all.iter().map(|s| (s.still_states, Finder::Coordination { name: s.name, spins: false }));
            let spinning = all.iter().filter(|s| s.spins);
            let spinning = spinning.map(|s| (s.states, Finder::Coordination { name: s.name, spins: true }));
            let walks = walk::all().into_iter().map(|s| (s.states, Finder::Walk(s.name)));
            let files = persistence::all().into_iter().map(|s| (s.states, Finder::Persistence(s.name)));
            let mut scenarios: Vec<(usize, Finder)> =
                own.chain(still).chain(spinning).chain(walks).chain(files).collect();
            scenarios.sort();
            scenarios.into_iter().map(|(_, finder)| finder).collect()
        }

        /// Its name in the table.
        fn text(&self) -> String {
            match self {
                Finder::Pressure(name) => format!("pressure: {name}"),
                Finder::Walk(name) => format!("walk: {name}"),
                Finder::Persistence(name) => format!("persistence: {name}"),
                Finder::Coordination { name, spins: false } => format!("coordination: {name}"),
                Finder::Coordination { name, spins: true } => {
                    format!("coordination, turns for nothing: {name}")
                }
                Finder::Random(seed) => format!("random: world {seed}"),
                Finder::Simulator(seeds) => format!("sim: within {seeds} seeds"),
            }
        }

        /// The finder of a line, of those that there are.
        fn of_line(line: &str, scenarios: &[Finder]) -> Option<Finder> {
            let number =
                |before: &str, after: &str| line.strip_prefix(before)?.strip_suffix(after)?.parse().ok();
            let named = |finder: &&Finder| {
                line.strip_prefix(&finder.text())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(": "))
            };
            let longest = scenarios.iter().filter(named).max_by_key(|finder| finder.text().len());
            longest
                .cloned()
                .or_else(|| Some(Finder::Random(number("random: world ", "")?)))
                .or_else(|| Some(Finder::Simulator(number("sim: within ", " seeds")?)))
        }

        /// Looks, at so many states at the most; what it finds, as a line of the table.
        fn look(&self, states_max: usize) -> Found {
            let with =
                |property: Option<&str>| property.map(|property| format!("{}: {property}", self.text()));
            let plain = |is_found: bool| Found { what: is_found.then(|| self.text()), states: 0 };
            match self {
                Finder::Pressure(name) => {
                    let scenario = pressure::all().into_iter().find(|scenario| scenario.name == *name);
                    let (property, states) = broken(scenario.expect("it is there").model, states_max);
                    Found { what: with(property), states }
                }
                Finder::Walk(name) => {
                    let scenario = walk::all().into_iter().find(|scenario| scenario.name == *name);
                    let (property, states) = broken(scenario.expect("it is there").model, states_max);
                    Found { what: with(property), states }
                }
                Finder::Persistence(name) => {
                    let scenario = persistence::all().into_iter().find(|scenario| scenario.name == *name);
                    let (property, states) = broken(scenario.expect("it is there").model, states_max);
                    Found { what: with(property), states }
                }
                Finder::Coordination { name, spins } => {
                    let scenario = coordination::all().into_iter().find(|scenario| scenario.name == *name);
                    let (property, states) = broken(scenario.expect("it is there").model(*spins), states_max);
                    Found { what: with(property), states }
                }
                Finder::Random(seed) => plain(random::walk(*seed, WALKS).is_err()),
                Finder::Simulator(seeds) => plain((0..*seeds).any(simulation_fails)),
            }
        }
    }

    /// Does the simulator find something with this seed?
    fn simulation_fails(seed: u64) -> bool {
        run::seed(seed, OPERATIONS, Canary::None, Detail::Hash).failure.is_some()
    }

    /// The first property that does not hold, and the states that were visited before.
    fn broken<M>(model: M, states_max: usize) -> (Option<&'static str>, usize)
    where
        M: Model + Send + Sync + 'static,
        M::State: std::fmt::Debug + std::hash::Hash + Send + Sync + Clone + PartialEq + 'static,
        M::Action: Clone + PartialEq + std::fmt::Debug + Send + Sync,
    {
        let explore = AssertUnwindSafe(|| {
            // One thread finds the same each time.
            let checker = model
                .checker()
                .threads(1)
                .target_state_count(states_max)
                .finish_when(HasDiscoveries::AnyFailures)
                .spawn_bfs()
                .join();
            let properties = checker.model().properties().into_iter();
            let mut always = properties.filter(|property| property.expectation == Expectation::Always);
            let broken = always.find(|property| checker.discovery(property.name).is_some());
            (broken.map(|property| property.name), checker.state_count())
        });
        // A fault may also break an assertion where a property looks at an engine.
        catch_unwind(explore).unwrap_or((Some("bounds and assertions hold"), 0))
    }

    /// Does this for every one of them, on two threads; what it gives, in their order.
    fn each<T: Sync, R: Send>(of: &[T], look: impl Fn(&T) -> R + Sync) -> Vec<R> {
        let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while let Some((place, one)) = {
                        let place = next.fetch_add(1, Ordering::Relaxed);
                        of.get(place).map(|one| (place, one))
                    } {
                        let gives = look(one);
                        found.lock().unwrap().push((place, gives));
                    }
                });
            }
        });
        let mut found = found.into_inner().unwrap();
        found.sort_by_key(|(place, _)| *place);
        found.into_iter().map(|(_, gives)| gives).collect()
    }

    /// The first of so many seeds that find the fault that is planted now, on two threads, in order: so many of them, or fewer if there are no more.
    fn first_seeds(of: u64, enough: usize, finds: impl Fn(u64) -> bool + Sync) -> Vec<u64> {
        let seeds: Vec<u64> = (0..of).collect();
        let found: Mutex<Vec<u64>> = Mutex::default();
        each(&seeds, |seed| {
            let are_enough = found.lock().unwrap().iter().filter(|found| *found < seed).count() >= enough;
            if !are_enough && finds(*seed) {
                found.lock().unwrap().push(*seed);
            }
        });
        let mut found = found.into_inner().unwrap();
        found.sort_unstable();
        found.truncate(enough);
        found
    }

    /// What is wrong with the simulator's seeds, each of which has to find nothing while nothing is planted: what it would find then tells nothing of a fault.
    fn guilty() -> Option<String> {
        let guilty = first_seeds(SEEDS, FINDS, simulation_fails);
        (!guilty.is_empty()).then(|| format!("these seeds fail though nothing is planted: {guilty:?}"))
    }

    /// What the table says of the simulator and the fault that is planted now.
    fn budget(name: &str) -> String {
        let found = first_seeds(SEEDS, FINDS, simulation_fails);
        let Some(last) = found.last() else { return beyond(name) };
        let enough = if found.len() < FINDS { SEEDS } else { (last + 1) * SPARE };
        let budget = BUDGETS.into_iter().find(|budget| enough <= *budget).unwrap_or(SEEDS);
        Finder::Simulator(budget).text()
    }

    /// Who finds the fault that is planted now with the least effort, of each kind: lines of the table.
    fn search(name: &str, scenarios: &[Finder]) -> Vec<String> {
        let of_kind = |is: &dyn Fn(&Finder) -> bool| -> Vec<Finder> {
            scenarios.iter().filter(|finder| is(finder)).cloned().collect()
        };
        let pressure = of_kind(&|finder| matches!(finder, Finder::Pressure(_)));
        let coordination = of_kind(&|finder| matches!(finder, Finder::Coordination { .. }));
        let walks = of_kind(&|finder| matches!(finder, Finder::Walk(_)));
        let files = of_kind(&|finder| matches!(finder, Finder::Persistence(_)));
        let least_of = |kind: &[Finder], states_max: usize| {
            let least = AtomicUsize::new(states_max);
            let found = each(kind, |finder| {
                let found = finder.look(least.load(Ordering::Relaxed));
                let line = found.what?;
                least.fetch_min(found.states.max(1), Ordering::Relaxed);
                Some((found.states, line))
            });
            found.into_iter().flatten().min().map(|(_, line)| line)
        };
        let nothing = Vec::new();
        let is_of_files = SIMULATED.contains(&name);
        let (pressure, coordination) =
            if is_of_files { (&nothing, &nothing) } else { (&pressure, &coordination) };
        let (walks, files) = if is_of_files { (&walks, &files) } else { (&nothing, &nothing) };
        let quick = [pressure, coordination, walks, files].map(|kind| least_of(kind, STATES_QUICK));
        let mut lines: Vec<String> = quick.into_iter().flatten().collect();
        if lines.is_empty() {
            lines.extend(least_of(coordination, STATES_MAX));
        }
        let random = first_seeds(WORLDS, 1, |seed| random::walk(seed, WALKS).is_err());
        let beyond_worlds = format!("random: not within {WORLDS} worlds");
        lines.push(random.first().map_or(beyond_worlds, |seed| Finder::Random(*seed).text()));
        lines.push(budget(name));
        lines
    }

    /// The lines of each fault.
    fn parse(table: &str) -> Vec<(&str, Vec<&str>)> {
        let mut faults: Vec<(&str, Vec<&str>)> = Vec::new();
        for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            match (line.strip_prefix("    "), faults.last_mut()) {
                (Some(finder), Some((_, lines))) => lines.push(finder),
                _ => faults.push((line, Vec::new())),
            }
        }
        faults
    }

    fn bless() {
        let only = std::env::var("DARTER_FAULTS").unwrap_or_default();
        let is_asked = |name: &str| only.split('|').any(|word| name.contains(word));
        let recorded = std::fs::read_to_string(TABLE).unwrap_or_default();
        let recorded = parse(&recorded);
        assert_eq!(guilty(), None);
        let (scenarios, mut table) = (Finder::scenarios(), String::from(HEAD));
        for name in ALL {
            let known = recorded.iter().find(|(other, _)| other == name).map(|(_, lines)| lines);
            let lines = match known {
                Some(lines) if !is_asked(name) => lines.iter().map(|line| (*line).to_string()).collect(),
                None if !is_asked(name) => Vec::new(),
                Some(lines) if std::env::var_os("DARTER_SEEDS").is_some() => {
                    select(Some(name));
                    let others = lines.iter().filter(|line| !line.starts_with("sim: "));
                    let lines: Vec<String> =
                        others.map(|line| (*line).to_string()).chain([budget(name)]).collect();
                    println!("{name}: {:?}", lines.last());
                    lines
                }
                _ => {
                    select(Some(name));
                    let started = Instant::now();
                    let lines = search(name, &scenarios);
                    println!("{:.1} s: {name}: {lines:#?}", started.elapsed().as_secs_f64());
                    lines
                }
            };
            table += &format!("\n{name}\n");
            lines.iter().for_each(|line| table += &format!("    {line}\n"));
        }
        select(None);
        std::fs::write(TABLE, &table).expect("the table can be written");
    }

    #[test]
    fn every_planted_fault_is_found_by_whom_the_table_says() {
        assert!(darter_core::mutant::COMPILED && !MARKER.is_empty());
        // Planted faults break the engine's own assertions by the thousand; only this test's are worth a line.
        std::panic::set_hook(Box::new(|info| {
            if info.location().is_some_and(|location| location.file().ends_with("mutants.rs")) {
                eprintln!("{info}");
            }
        }));
        if std::env::var_os("DARTER_BLESS").is_some() {
            bless();
        }
        let table = std::fs::read_to_string(TABLE).expect("there is a table");
        let faults = parse(&table);
        let names: Vec<&str> = faults.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ALL, "the table has every fault: see models/mutants --bless");
        let (scenarios, mut wrong) = (Finder::scenarios(), Vec::new());
        let mut finders: BTreeMap<Finder, usize> = BTreeMap::new();
        for (name, lines) in faults {
            select(Some(name));
            let started = Instant::now();
            let of: Vec<(&str, Option<Finder>)> =
                lines.iter().map(|line| (*line, Finder::of_line(line, &scenarios))).collect();
            let found = each(&of, |(line, finder)| match finder {
                Some(finder) => finder.look(STATES_MAX),
                None => {
                    Found { what: line.contains(": not within ").then(|| (*line).to_string()), states: 0 }
                }
            });
            for ((line, finder), found) in of.iter().zip(&found) {
                if found.what.as_deref() != Some(*line) {
                    wrong.push(format!("{name}: {line}: has found {:?}", found.what));
                }
                if let Some(finder) = finder {
                    let states = finders.entry(finder.clone()).or_default();
                    *states = found.states.max(*states);
                }
            }
            let has_model = of
                .iter()
                .any(|(_, finder)| !matches!(finder, None | Some(Finder::Random(_) | Finder::Simulator(_))));
            let is_simulated = matches!(of.last(), Some((_, Some(Finder::Simulator(_)))));
            if !has_model && !(SIMULATED.contains(&name) && is_simulated) {
                wrong.push(format!("{name}: no scenario of a model finds it"));
            }
            let states: usize = found.iter().map(|found| found.states).sum();
            eprintln!("{:.1} s, {states} states: {name}", started.elapsed().as_secs_f64());
        }
        select(None);
        finders.retain(|finder, _| !matches!(finder, Finder::Simulator(_)));
        let finders: Vec<(Finder, usize)> = finders.into_iter().collect();
        let founds = each(&finders, |(finder, states)| finder.look((*states).max(1)).what);
        wrong.extend(founds.into_iter().flatten().map(|line| format!("without a fault: {line}")));
        wrong.extend(guilty());
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
