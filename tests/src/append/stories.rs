//! Small histories, one for each anomaly, and serial executions without end: what must be found is, what is sound passes.

use super::anomaly::{Anomaly, Beside, Class};
use super::history::{History, Key, Operation, Outcome, Transaction, Value};
use super::{check, report};
use crate::Random;

/// Keys of the stories.
const X: Key = Key(0);
const Y: Key = Key(1);

fn append(key: Key, value: Value) -> Operation {
    Operation::Append(key, value)
}

fn read(key: Key, seen: &[Value]) -> Operation {
    Operation::Read(key, Some(seen.to_vec()))
}

/// A transaction between two instants, each on a connection of its own unless told.
fn between(invoked: u64, completed: u64, operations: &[Operation]) -> Transaction {
    let (operations, outcome) = (operations.to_vec(), Outcome::Ok);
    Transaction { connection: u32::MAX, carrier: "story", invoked, completed, outcome, operations }
}

/// One that overlaps all others.
fn ok(operations: &[Operation]) -> Transaction {
    between(0, 1_000, operations)
}

fn history(mut transactions: Vec<Transaction>) -> History {
    for (number, transaction) in transactions.iter_mut().enumerate() {
        if transaction.connection == u32::MAX {
            transaction.connection = 1_000 + number as u32;
        }
    }
    History { transactions, last: None }
}

/// Names of all finds, sorted.
fn names(history: &History) -> Vec<String> {
    let mut names: Vec<String> = check(history).iter().map(Anomaly::name).collect();
    names.sort();
    names
}

fn expect(transactions: Vec<Transaction>, expected: &[&str]) {
    let history = history(transactions);
    assert_eq!(names(&history), expected, "{}", report(&history, &check(&history)));
}

#[test]
fn nothing_and_a_serial_history_are_clean() {
    expect(vec![], &[]);
    expect(
        vec![
            between(0, 10, &[append(X, 1), append(Y, 2)]),
            between(20, 30, &[read(X, &[1]), read(Y, &[2]), append(X, 3), read(X, &[1, 3])]),
            between(40, 50, &[read(Y, &[2]), read(X, &[1, 3])]),
        ],
        &[],
    );
}

#[test]
fn overlapping_transactions_may_take_any_one_order() {
    expect(vec![between(0, 30, &[append(X, 1)]), between(10, 20, &[read(X, &[])])], &[]);
    expect(vec![between(0, 30, &[append(X, 1)]), between(10, 20, &[read(X, &[1])])], &[]);
    // What begins at the very instant of an end may have been at the same time.
    expect(
        vec![between(0, 10, &[append(X, 1)]), between(10, 20, &[read(X, &[])]), ok(&[read(X, &[1])])],
        &[],
    );
}

#[test]
fn writes_that_interleave_are_g0() {
    expect(
        vec![
            ok(&[append(X, 1), append(Y, 1)]),
            ok(&[append(X, 2), append(Y, 2)]),
            ok(&[read(X, &[1, 2])]),
            ok(&[read(Y, &[2, 1])]),
        ],
        &["G0"],
    );
}

#[test]
fn information_in_a_circle_is_g1c() {
    expect(vec![ok(&[append(X, 1), read(Y, &[2])]), ok(&[append(Y, 2), read(X, &[1])])], &["G1c"]);
}

#[test]
fn read_skew_is_g_single() {
    expect(
        vec![ok(&[append(X, 1), append(Y, 1)]), ok(&[read(X, &[]), read(Y, &[1])]), ok(&[read(X, &[1])])],
        &["G-single"],
    );
}

#[test]
fn write_skew_is_g2() {
    expect(
        vec![
            ok(&[read(X, &[]), append(Y, 1)]),
            ok(&[read(Y, &[]), append(X, 2)]),
            ok(&[read(X, &[2]), read(Y, &[1])]),
        ],
        &["G2"],
    );
}

#[test]
fn a_long_fork_is_g2() {
    expect(
        vec![
            ok(&[append(X, 1)]),
            ok(&[append(Y, 2)]),
            ok(&[read(X, &[1]), read(Y, &[])]),
            ok(&[read(X, &[]), read(Y, &[2])]),
        ],
        &["G2"],
    );
}

#[test]
fn writes_against_real_time_are_g0_realtime() {
    expect(
        vec![
            between(20, 30, &[append(X, 2)]),
            between(0, 10, &[append(X, 1)]),
            between(40, 50, &[read(X, &[2, 1])]),
        ],
        &["G0-realtime"],
    );
}

#[test]
fn news_from_the_future_is_g1c_realtime() {
    // Who saw Y's append had been answered before the first link of the chain was sent.
    expect(vec![between(0, 10, &[read(X, &[1])]), between(20, 30, &[append(X, 1)])], &["G1c-realtime"]);
}

#[test]
fn a_stale_read_is_g_single_realtime() {
    expect(
        vec![
            between(0, 10, &[append(X, 1)]),
            between(20, 30, &[read(X, &[])]),
            between(40, 50, &[read(X, &[1])]),
        ],
        &["G-single-realtime"],
    );
}

#[test]
fn write_skew_through_real_time_is_g2_realtime() {
    // a did not see b; b had been answered before c was sent; c did not see a.
    expect(
        vec![
            between(0, 100, &[read(X, &[]), append(Y, 2)]),
            between(10, 20, &[append(X, 1)]),
            between(30, 40, &[read(Y, &[])]),
            between(200, 210, &[read(X, &[1]), read(Y, &[2])]),
        ],
        &["G2-realtime"],
    );
    // Sent before b was answered, c may stand before both.
    expect(
        vec![
            between(0, 100, &[read(X, &[]), append(Y, 2)]),
            between(10, 20, &[append(X, 1)]),
            between(15, 40, &[read(Y, &[])]),
            between(200, 210, &[read(X, &[1]), read(Y, &[2])]),
        ],
        &[],
    );
}

#[test]
fn a_pipeline_that_is_reversed_on_a_key_is_named_after_the_process() {
    let on_one = |operations: &[Operation]| Transaction { connection: 7, ..ok(operations) };
    expect(vec![on_one(&[append(X, 1)]), on_one(&[append(X, 2)]), ok(&[read(X, &[2, 1])])], &["G0-process"]);
    expect(
        vec![on_one(&[append(X, 1)]), on_one(&[read(X, &[])]), ok(&[read(X, &[1])])],
        &["G-single-process"],
    );
    expect(vec![on_one(&[read(X, &[1])]), on_one(&[append(X, 1)])], &["G1c-process"]);
    // Other keys of one pipeline may change places: that is not promised.
    expect(
        vec![
            on_one(&[append(X, 1)]),
            on_one(&[append(Y, 2)]),
            ok(&[read(Y, &[2]), read(X, &[])]),
            ok(&[read(X, &[1]), read(Y, &[2])]),
        ],
        &[],
    );
}

#[test]
fn reads_of_a_pipeline_never_go_back() {
    let on_one = |operations: &[Operation]| Transaction { connection: 7, ..ok(operations) };
    expect(
        vec![ok(&[append(X, 1)]), on_one(&[read(X, &[1])]), on_one(&[read(X, &[])])],
        &["reads went back"],
    );
}

#[test]
fn what_a_failed_transaction_wrote_is_not_seen_nor_built_upon() {
    let failed = |operations: &[Operation]| Transaction { outcome: Outcome::Failed, ..ok(operations) };
    expect(vec![failed(&[append(X, 1)]), ok(&[read(X, &[1])])], &["G1a"]);
    expect(
        vec![failed(&[append(X, 1)]), ok(&[append(X, 2)]), ok(&[read(X, &[1, 2])])],
        &["G1a", "dirty update"],
    );
    expect(vec![failed(&[append(X, 1)]), ok(&[append(X, 2)]), ok(&[read(X, &[2])])], &[]);
}

#[test]
fn a_state_within_a_transaction_is_g1b() {
    let history =
        history(vec![ok(&[append(X, 1), append(X, 2)]), ok(&[read(X, &[1])]), ok(&[read(X, &[1, 2])])]);
    // The reader stands behind the append that it saw and before the one that it did not: both are one transaction's.
    assert_eq!(names(&history), ["G-single", "G1b"]);
}

#[test]
fn a_transaction_agrees_with_itself() {
    expect(vec![ok(&[append(X, 1), read(X, &[])])], &["internal"]);
    expect(vec![ok(&[append(X, 1), read(X, &[1])])], &[]);
    let torn = history(vec![ok(&[read(X, &[]), read(X, &[2])]), ok(&[append(X, 2)])]);
    assert_eq!(names(&torn), ["internal"]);
    expect(vec![ok(&[append(X, 2)]), ok(&[append(X, 1), append(X, 3), read(X, &[2, 1, 3])])], &[]);
}

#[test]
fn reads_that_part_twins_and_strangers_are_told() {
    expect(
        vec![ok(&[append(X, 1)]), ok(&[append(X, 2)]), ok(&[read(X, &[1])]), ok(&[read(X, &[2, 1])])],
        &["incompatible order"],
    );
    expect(vec![ok(&[append(X, 1)]), ok(&[read(X, &[1, 1])])], &["duplicate"]);
    expect(vec![ok(&[read(X, &[5])])], &["phantom value"]);
}

#[test]
fn what_was_acknowledged_is_there_at_the_end() {
    let mut lost = history(vec![ok(&[append(X, 1)]), ok(&[append(X, 2)])]);
    assert_eq!(names(&lost), [""; 0], "nobody looked");
    lost.last = Some([(X, vec![2])].into());
    assert_eq!(names(&lost), ["lost append"]);
    lost.last = Some([(X, vec![2, 1])].into());
    assert_eq!(names(&lost), [""; 0]);
}

#[test]
fn what_was_not_answered_happened_whole_or_not_at_all() {
    let unknown = Transaction { outcome: Outcome::Unknown, ..ok(&[append(X, 1), append(Y, 2)]) };
    let mut history = history(vec![unknown, ok(&[append(X, 3)])]);
    for (x, y, expected) in [
        (vec![3], vec![], &[][..]),
        (vec![1, 3], vec![2], &[]),
        (vec![3, 1], vec![2], &[]),
        (vec![1, 3], vec![], &["half a transaction"]),
    ] {
        history.last = Some([(X, x), (Y, y)].into());
        assert_eq!(names(&history), expected);
    }
    // It may happen late, so it has no end in real time.
    let mut late = Transaction { outcome: Outcome::Unknown, ..between(0, 10, &[append(X, 1)]) };
    late.connection = 3;
    expect(vec![late, between(20, 30, &[read(X, &[])]), between(40, 50, &[read(X, &[1])])], &[]);
}

#[test]
fn a_cycle_is_explained_in_words() {
    let history = history(vec![
        between(0, 10, &[append(X, 1)]),
        between(20, 30, &[read(X, &[])]),
        between(40, 50, &[read(X, &[1])]),
    ]);
    let found = check(&history);
    let Anomaly::Cycle(cycle) = &found[0] else { panic!("{found:?}") };
    assert_eq!((cycle.class(), cycle.beside(), cycle.steps.len()), (Class::GSingle, Beside::RealTime, 2));
    let text = found[0].explain(&history);
    assert!(text.contains("T1 < T0 (rw): T1 did not see T0's 1 in list:0"), "{text}");
    assert!(text.contains("T0 < T1 (real time): T0 had been answered 10 ns before T1 was sent"), "{text}");
}

/// How the executor treats a transaction's steps.
#[derive(Clone, Copy, PartialEq)]
enum Steps {
    Together,
    Apart,
}

/// Executes random transactions one after the other, at instants between their beginnings and ends, and records them.
fn execute(seed: u64, steps: Steps) -> History {
    let mut random = Random::new(seed);
    let mut transactions = Vec::new();
    // Each step of each transaction with the instant at which it takes place.
    let mut schedule: Vec<(u64, usize, usize)> = Vec::new();
    let mut value = 0;
    for connection in 0..6 {
        let mut at = 0;
        for _ in 0..30 {
            // A batch: everything is sent at once and answered in order.
            let invoked = at + random.below(20);
            at = invoked;
            for _ in 0..if random.one_in(4) { 3 } else { 1 } {
                let id = transactions.len();
                let outcome = match random.below(20) {
                    0 => Outcome::Failed,
                    1 => Outcome::Unknown,
                    _ => Outcome::Ok,
                };
                let mut operations = Vec::new();
                for step in 0..1 + random.below(4) as usize {
                    let key = Key(random.below(3) as u32);
                    value += 1;
                    operations.push(match random.below(2) {
                        0 => append(key, value),
                        _ => Operation::Read(key, None),
                    });
                    if steps == Steps::Apart || step == 0 {
                        at += 1 + random.below(20);
                    }
                    // An unknown one may never happen; one that does happens as all others.
                    if outcome == Outcome::Ok || outcome == Outcome::Unknown && value % 2 == 0 {
                        schedule.push((at, id, step));
                    }
                }
                if outcome == Outcome::Unknown {
                    // All of it or nothing.
                    let happens = random.one_in(2);
                    schedule.retain(|(_, other, _)| *other != id);
                    let count = if happens { operations.len() } else { 0 };
                    schedule.extend((0..count).map(|step| (at, id, step)));
                }
                at += random.below(5);
                let carrier = "story";
                transactions.push(Transaction {
                    connection,
                    carrier,
                    invoked,
                    completed: at,
                    outcome,
                    operations,
                });
                at += 1;
            }
        }
    }
    schedule.sort_unstable();
    let mut state: std::collections::BTreeMap<Key, Vec<Value>> = Default::default();
    for (_, id, step) in schedule {
        let known = transactions[id].outcome == Outcome::Ok;
        match &mut transactions[id].operations[step] {
            Operation::Append(key, value) => state.entry(*key).or_default().push(*value),
            Operation::Read(key, seen) if known => *seen = Some(state.entry(*key).or_default().clone()),
            Operation::Read(..) => {}
        }
    }
    History { transactions, last: Some(state) }
}

#[test]
fn serial_executions_are_clean_however_they_overlap() {
    for seed in 0..300 {
        let history = execute(seed, Steps::Together);
        let found = check(&history);
        assert!(found.is_empty(), "seed {seed}: {}", report(&history, &found));
    }
}

#[test]
fn executions_with_steps_apart_are_found() {
    let mut cycles = 0;
    for seed in 0..300 {
        let found = check(&execute(seed, Steps::Apart));
        assert!(!found.is_empty(), "seed {seed}");
        cycles += usize::from(found.iter().any(|anomaly| matches!(anomaly, Anomaly::Cycle(_))));
    }
    assert!(cycles > 250, "{cycles} of 300 have a cycle");
}
