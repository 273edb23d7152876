//! Every planted fault is found, and by whom the table says. In an ordinary build: there are no planted faults.

#[cfg(not(darter_mutants))]
#[test]
fn an_ordinary_build_has_no_planted_faults() {
    const { assert!(!darter_core::mutant::COMPILED) };
    assert!(!darter_core::mutant::planted("a parked client is not resumed"));
}

#[cfg(darter_mutants)]
mod planted {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Instant;

    use darter_core::mutant::{ALL, MARKER, select};
    use darter_models::coordination::random;
    use darter_models::coordination::scenarios::{self as coordination, Scenario};
    use darter_models::scenarios as pressure;
    use darter_sim::canary::Canary;
    use darter_sim::run::{self, Detail};
    use stateright::{Checker, Expectation, HasDiscoveries, Model};

    const SEEDS: u64 = 60;
    const OPERATIONS: usize = 500;
    /// Random worlds, and walks through each.
    const WORLDS: u64 = 40;
    const WALKS: usize = 4;
    /// Scenarios of the coordination model up to this size look for every fault; the larger ones, the smallest first, for those that are
    /// left.
    const STATES_QUICK: usize = 60_000;
    const STATES_MAX: usize = 600_000;
    const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/mutants.table");

    /// The first property that does not hold.
    fn broken<M>(model: M) -> Option<&'static str>
    where
        M: Model + Send + Sync + 'static,
        M::State: std::fmt::Debug + std::hash::Hash + Send + Sync + Clone + PartialEq + 'static,
        M::Action: Clone + PartialEq + std::fmt::Debug + Send + Sync,
    {
        let explore = AssertUnwindSafe(|| {
            // One thread finds the same each time.
            let checker =
                model.checker().threads(1).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
            let properties = checker.model().properties().into_iter();
            let mut always = properties.filter(|property| property.expectation == Expectation::Always);
            always.find(|property| checker.discovery(property.name).is_some()).map(|property| property.name)
        });
        // A fault may also break an assertion where a property looks at an engine.
        catch_unwind(explore).unwrap_or(Some("bounds and assertions hold"))
    }

    /// Does this for every one of them, on two threads; what it gives, in their order.
    fn each<T: Sync, R: Send>(of: &[T], look: impl Fn(&T) -> Option<R> + Sync) -> Vec<R> {
        let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while let Some((place, one)) = {
                        let place = next.fetch_add(1, Ordering::Relaxed);
                        of.get(place).map(|one| (place, one))
                    } {
                        let gives = look(one).map(|gives| (place, gives));
                        found.lock().unwrap().extend(gives);
                    }
                });
            }
        });
        let mut found = found.into_inner().unwrap();
        found.sort_by_key(|(place, _)| *place);
        found.into_iter().map(|(_, gives)| gives).collect()
    }

    /// How large a scenario is, and whether with turns for nothing: if that is not too large.
    fn size(scenario: &Scenario) -> (usize, bool) {
        match scenario.spins && scenario.states <= STATES_QUICK {
            true => (scenario.states, true),
            false => (scenario.still_states, false),
        }
    }

    /// Leaves the simulator out, and its lines of the table as they are.
    fn is_models_only() -> bool {
        std::env::var_os("DARTER_MODELS_ONLY").is_some()
    }

    /// The simulator's line of a fault in the recorded table.
    fn recorded_seed(table: &str, name: &str) -> Option<String> {
        let mut lines = table.lines().skip_while(|line| *line != name).skip(1);
        let own = lines.by_ref().take_while(|line| line.starts_with("    "));
        own.map(str::trim).find(|line| line.starts_with("sim:")).map(String::from)
    }

    /// Who finds the fault that is planted now.
    fn finders(is_planted: bool) -> Vec<String> {
        let worlds: Vec<_> =
            pressure::all().into_iter().filter(|scenario| scenario.states <= STATES_QUICK).collect();
        let mut finders = each(&worlds, |scenario| {
            let property = broken(scenario.model.clone())?;
            Some(format!("pressure: {}: {property}", scenario.name))
        });
        let coordination_finds = |scenario: &Scenario, spins| {
            let property = broken(scenario.model(spins))?;
            Some(format!("coordination: {}: {property}", scenario.name))
        };
        let all = coordination::all();
        let quick: Vec<&Scenario> = all.iter().filter(|scenario| size(scenario).0 <= STATES_QUICK).collect();
        finders.extend(each(&quick, |scenario| coordination_finds(scenario, size(scenario).1)));
        let seeds: Vec<u64> = (0..WORLDS).collect();
        let random =
            each(&seeds, |seed| random::walk(*seed, WALKS).err().map(|_| format!("random: world {seed}")));
        finders.extend(random.into_iter().take(1));
        if !is_models_only() {
            let seed = (0..SEEDS)
                .find(|&seed| run::seed(seed, OPERATIONS, Canary::None, Detail::Hash).failure.is_some());
            finders.extend(seed.map(|seed| format!("sim: seed {seed}")));
        }
        // Without a fault, other tests explore the large ones.
        if is_planted && finders.iter().all(|finder| finder.starts_with("sim:")) {
            let mut large: Vec<(usize, &Scenario, bool)> = all
                .iter()
                .flat_map(|scenario| {
                    let whole = scenario.spins.then_some((scenario.states, scenario, true));
                    [Some((scenario.still_states, scenario, false)), whole]
                })
                .flatten()
                .filter(|(states, ..)| (STATES_QUICK..STATES_MAX).contains(states))
                .collect();
            large.sort_by_key(|(states, ..)| *states);
            finders.extend(
                large.into_iter().find_map(|(_, scenario, spins)| coordination_finds(scenario, spins)),
            );
        }
        finders
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
        select(None);
        assert_eq!(finders(false), Vec::<String>::new(), "without a fault nothing is found");
        let recorded = std::fs::read_to_string(TABLE).expect("there is a table");
        let mut table = String::from(
            "# Who finds which planted fault. Written by `models/mutants --bless`, compared by `models/mutants`.\n",
        );
        let mut survivors = Vec::new();
        for name in ALL {
            select(Some(name));
            let started = Instant::now();
            let mut finders = finders(true);
            finders.extend(recorded_seed(&recorded, name).filter(|_| is_models_only()));
            eprintln!("{:.1} s, {} find: {name}", started.elapsed().as_secs_f64(), finders.len());
            table += &format!("\n{name}\n");
            finders.iter().for_each(|finder| table += &format!("    {finder}\n"));
            if finders.is_empty() {
                survivors.push(name);
            }
        }
        if std::env::var_os("DARTER_BLESS").is_some() {
            std::fs::write(TABLE, &table).expect("the table can be written");
        }
        println!("{table}");
        assert!(survivors.is_empty(), "nobody finds: {survivors:?}");
        let recorded = std::fs::read_to_string(TABLE).expect("there is a table");
        assert!(recorded == table, "the table is not current; see models/mutants --bless");
    }
}
