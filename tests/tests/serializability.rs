//! The list-append checker on a real process: what clients see over sockets has an explanation in one order.
//!
//! `DARTER_TESTS_SERVER=redis-server` asks Redis the same. The binary `append` of this package runs it for as long as one likes.

use std::time::Duration;

use darter_tests::Server;
use darter_tests::append::run::{Settings, run};
use darter_tests::append::workload::Mix;
use darter_tests::append::{Anomaly, History, Outcome, check, report};
use darter_tests::rest::assert_at_rest;

fn record(server: &Server, mix: Mix, transactions: u64) -> History {
    let settings = Settings {
        server: ([127, 0, 0, 1], server.port()).into(),
        clients: 12,
        transactions,
        time: Duration::from_secs(10),
        mix,
        seed: 1,
    };
    run(settings).expect("the server answers")
}

/// How many transactions of a carrier ended in this way.
fn count(history: &History, carrier: &str, outcome: Outcome) -> usize {
    let wanted = |one: &&darter_tests::append::Transaction| one.carrier == carrier && one.outcome == outcome;
    history.transactions.iter().filter(wanted).count()
}

fn clean(shards: u16) {
    let server = Server::start(shards);
    let history = record(&server, Mix::ALL, 60_000);
    let found = check(&history);
    assert!(found.is_empty(), "{shards} shards:\n{}", report(&history, &found));
    // The run was not vacuous.
    for carrier in ["one command", "EXEC", "MGET", "WATCH and EXEC"] {
        for outcome in [Outcome::Ok, Outcome::Failed, Outcome::Unknown] {
            // Few of those that watch are cut off.
            let rare = carrier == "WATCH and EXEC" && outcome == Outcome::Unknown;
            let seen = count(&history, carrier, outcome);
            assert!(rare || seen > 0, "{shards} shards: no {carrier} ended {outcome:?}");
        }
    }
    assert_at_rest(&server);
}

#[test]
fn what_clients_see_of_two_shards_is_strictly_serializable() {
    clean(2);
}

#[test]
fn what_clients_see_of_four_shards_is_strictly_serializable() {
    clean(4);
}

#[test]
fn transactions_that_are_sent_step_by_step_are_found_out() {
    let server = Server::start(2);
    let history = record(&server, Mix { torn: true, ..Mix::ALL }, 10_000);
    let found = check(&history);
    let cycle = found.iter().find(|anomaly| matches!(anomaly, Anomaly::Cycle(_)));
    let cycle = cycle.expect("torn transactions make a cycle").explain(&history);
    // The planted fault is part of it: without torn ones there is no cycle.
    assert!(cycle.contains("(torn, connection"), "{cycle}");
    let names: Vec<String> = found.iter().map(Anomaly::name).collect();
    for name in ["internal", "G1b"] {
        assert!(names.iter().any(|found| found == name), "{name} is among {}", report(&history, &found));
    }
    assert_at_rest(&server);
}

#[test]
fn single_commands_are_linearizable_on_their_keys() {
    let server = Server::start(2);
    let mix = Mix { transactions: false, ..Mix::ALL };
    let history = record(&server, mix, 30_000);
    let found = check(&history);
    assert!(found.is_empty(), "{}", report(&history, &found));
    assert!(count(&history, "one command", Outcome::Unknown) > 0);
    assert_at_rest(&server);
}
