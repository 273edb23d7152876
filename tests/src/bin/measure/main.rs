//! Measures Darter beside redis-server in one run: memory, server CPU per operation, throughput.
//!
//! ```text
//! cargo build --release && cargo run --release -p darter-tests --bin measure -- transactions blocking
//! ```
//! Without a section all are measured; `types=SADD` and `elements=hash` measure only rows that have the word; `snapshot=5000000x400` has so many keys
//! with values of so many bytes, `budget=3600` takes an hour instead of a minute. Rounds are interleaved and medians are printed, with the ratio to
//! redis-server in the same run.

mod blocking;
mod budget;
mod delay;
mod elements;
mod large;
mod load;
mod log;
mod memory;
mod operations;
mod overwrite;
mod process;
mod snapshot;
mod table;
mod transactions;
mod types;

use std::process::{Command, ExitCode, Stdio};

use darter_tests::{Server, binary};

/// How often each workload runs on each server.
const ROUNDS: usize = 5;
/// redis-server, and Darter on one and on two shards.
const SERVERS: [Option<u16>; 3] = [None, Some(1), Some(2)];
/// What can be asked for.
const SECTIONS: [&str; 11] = [
    "memory",
    "elements",
    "operations",
    "types",
    "transactions",
    "multikey",
    "blocking",
    "snapshot",
    "large",
    "log",
    "budget",
];

fn main() -> ExitCode {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let asked: Vec<(&str, &str)> =
        asked.iter().map(|word| word.split_once('=').unwrap_or((word.as_str(), ""))).collect();
    if let Some((unknown, _)) = asked.iter().find(|(section, _)| !SECTIONS.contains(section)) {
        eprintln!("{unknown} is none of the sections {}", SECTIONS.join(", "));
        return ExitCode::from(2);
    }
    if Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("redis-server is not installed (Debian's package redis-server)");
        return ExitCode::FAILURE;
    }
    println!("darter: {}", binary().display());
    let all = SECTIONS.map(|section| (section, ""));
    for (section, rows) in if asked.is_empty() { all.to_vec() } else { asked } {
        match section {
            "memory" => memory::measure(),
            "budget" => budget::measure(rows),
            "elements" => elements::measure(rows),
            "operations" => operations::measure(&SERVERS.map(start)),
            "types" => types::measure(&[None, Some(1)].map(start), rows),
            "transactions" => transactions::measure_exec(&SERVERS.map(start)),
            "multikey" => transactions::measure_many(&SERVERS.map(start)),
            "snapshot" => snapshot::measure(rows),
            "large" => large::measure(),
            "log" => log::measure(),
            _ => blocking::measure(&SERVERS.map(start)),
        }
    }
    ExitCode::SUCCESS
}

/// `shards` of Darter, or redis-server if there are none.
fn start(shards: Option<u16>) -> Server {
    shards.map_or_else(Server::redis, Server::start)
}

fn name(shards: Option<u16>) -> String {
    shards.map_or("redis-server".into(), |shards| format!("darter --shards {shards}"))
}
