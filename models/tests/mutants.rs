//! Every planted fault is found, and by whom the table says. In an ordinary build: there are no planted faults.

#[cfg(not(darter_mutants))]
#[test]
fn an_ordinary_build_has_no_planted_faults() {
    const { assert!(!darter_core::mutant::COMPILED) };
    assert!(!darter_core::mutant::planted("a parked client is not resumed"));
}

#[cfg(darter_mutants)]
mod planted {
    use darter_core::mutant::{ALL, MARKER, select};
    use darter_models::scenarios;
    use darter_sim::canary::Canary;
    use darter_sim::run::{self, Detail};
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use darter_models::pressure::Pressure;
    use stateright::{Checker, Expectation, HasDiscoveries, Model};

    const SEEDS: u64 = 60;
    const OPERATIONS: usize = 500;
    const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/mutants.table");

    /// The first property that does not hold.
    fn broken(model: &Pressure) -> Option<&'static str> {
        let checker = model.clone().checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        let properties = model.properties().into_iter();
        let mut always = properties.filter(|property| property.expectation == Expectation::Always);
        always.find(|property| checker.discovery(property.name).is_some()).map(|property| property.name)
    }

    /// Who finds the fault that is planted now: all scenarios that do, and the first seed of the simulator.
    fn finders() -> Vec<String> {
        let mut finders = Vec::new();
        for scenario in scenarios::all() {
            // A fault may also break an assertion where a property looks at an engine.
            let broken = catch_unwind(AssertUnwindSafe(|| broken(&scenario.model)))
                .unwrap_or(Some("bounds and assertions hold"));
            finders.extend(broken.map(|property| format!("model: {}: {property}", scenario.name)));
        }
        let seed = (0..SEEDS)
            .find(|&seed| run::seed(seed, OPERATIONS, Canary::None, Detail::Hash).failure.is_some());
        finders.extend(seed.map(|seed| format!("sim: seed {seed}")));
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
        assert_eq!(finders(), Vec::<String>::new(), "without a fault nothing is found");
        let mut table = String::from(
            "# Who finds which planted fault. Written by `models/mutants --bless`, compared by `models/mutants`.\n",
        );
        let mut survivors = Vec::new();
        for name in ALL {
            select(Some(name));
            let finders = finders();
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
