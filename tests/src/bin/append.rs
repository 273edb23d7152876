//! The black-box checker at length: clients append and read, and whatever they saw must have an explanation in one order.
//!
//! ```text
//! cargo run --release -p darter-tests --bin append -- --seconds 60 --clients 20 --shards 2
//! cargo run --release -p darter-tests --bin append -- --server 127.0.0.1:6379
//! ```
//! `--torn` plants a fault, `--no-lists` and `--no-transactions` leave out what a server does not have. The exit code is 1 if
//! anything is found.

use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use darter_tests::Server;
use darter_tests::append::run::{Settings, run};
use darter_tests::append::workload::Mix;
use darter_tests::append::{Outcome, check, report};

const USAGE: &str = "append [--seconds N] [--clients N] [--seed N] [--server ADDRESS | --shards N | --redis] \
                     [--torn] [--no-lists] [--no-transactions]";

fn main() -> ExitCode {
    match read_flags(std::env::args().skip(1)) {
        Ok((target, settings)) => measure(target, settings),
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// What is checked.
enum Target {
    Running(SocketAddr),
    Darter(u16),
    Redis,
}

fn read_flags(mut flags: impl Iterator<Item = String>) -> Result<(Target, Settings), String> {
    let mut target = Target::Darter(2);
    let mut settings = Settings {
        server: ([127, 0, 0, 1], 0).into(),
        clients: 20,
        transactions: u64::MAX,
        time: Duration::from_secs(10),
        mix: Mix::ALL,
        seed: std::process::id().into(),
    };
    while let Some(flag) = flags.next() {
        let mut word = || flags.next().ok_or(format!("{flag} wants a value"));
        let number = |word: String| word.parse::<u64>().map_err(|_| format!("{word:?} is no number"));
        match flag.as_str() {
            "--seconds" => settings.time = Duration::from_secs(number(word()?)?),
            "--clients" => settings.clients = number(word()?)?.max(1),
            "--seed" => settings.seed = number(word()?)?,
            "--shards" => target = Target::Darter(number(word()?)? as u16),
            "--redis" => target = Target::Redis,
            "--server" => {
                let mut found = word()?.to_socket_addrs().map_err(|error| error.to_string())?;
                target = Target::Running(found.next().ok_or("no such address")?);
            }
            "--torn" => settings.mix.torn = true,
            "--no-lists" => settings.mix.lists = false,
            "--no-transactions" => settings.mix.transactions = false,
            _ => return Err(format!("what is {flag}?")),
        }
    }
    Ok((target, settings))
}

fn measure(target: Target, mut settings: Settings) -> ExitCode {
    let server = match target {
        Target::Running(_) => None,
        Target::Darter(shards) => Some(Server::start(shards)),
        Target::Redis => Some(Server::redis()),
    };
    settings.server = match (&server, target) {
        (_, Target::Running(address)) => address,
        (Some(server), _) => ([127, 0, 0, 1], server.port()).into(),
        (None, _) => unreachable!("a server was started or is running"),
    };
    let began = Instant::now();
    let history = match run(settings) {
        Ok(history) => history,
        Err(error) => {
            eprintln!("the run has failed: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ran = began.elapsed();
    let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for transaction in &history.transactions {
        let outcome = match transaction.outcome {
            Outcome::Ok => "ok",
            Outcome::Failed => "failed",
            Outcome::Unknown => "unknown",
        };
        *counts.entry((transaction.carrier, outcome)).or_default() += 1;
    }
    let total = history.transactions.len();
    println!(
        "{total} transactions in {:.1} s, {:.0} a second, {} clients, {} keys",
        ran.as_secs_f64(),
        total as f64 / ran.as_secs_f64(),
        settings.clients,
        history.last.as_ref().map_or(0, |last| last.len())
    );
    for ((carrier, outcome), count) in counts {
        println!("{carrier:16} {outcome:8} {count:>9}");
    }
    let began = Instant::now();
    let found = check(&history);
    println!("{} anomalies, found in {:.1} s", found.len(), began.elapsed().as_secs_f64());
    print!("{}", report(&history, &found));
    if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
