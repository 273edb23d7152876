//! The same seed in two processes: what differs from process to process must not reach a world.

use std::process::Command;

fn hash(seed: u64, canary: &str) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_darter-sim"))
        .args(["--seed", &seed.to_string(), "--operations", "400", "--canary", canary])
        .output()
        .expect("the simulator starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let hash = text.lines().next().and_then(|line| line.split(" hash ").nth(1)).unwrap_or_default();
    (output.status.success(), hash.to_string())
}

#[test]
fn two_processes_give_the_same_hash() {
    for seed in [1, 2, 3, 17, 40, 99] {
        let one = hash(seed, "none");
        assert!(one.0 && one.1.len() == 16, "seed {seed}: {one:?}");
        assert_eq!(one, hash(seed, "none"), "seed {seed}");
    }
}

#[test]
fn the_canary_that_depends_on_its_process_is_noticed() {
    assert!((1..6).any(|seed| hash(seed, "nondeterminism").1 != hash(seed, "nondeterminism").1));
}

#[test]
fn a_failure_ends_with_its_exit_code_and_says_how_to_see_it_again() {
    let output = Command::new(env!("CARGO_BIN_EXE_darter-sim"))
        .args(["--seeds", "1..9", "--canary", "late-expiry"])
        .output()
        .expect("the simulator starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("to reproduce: cargo run -p darter-sim -- --seed "), "{text}");
}
