//! The append-only log beside redis-server's: throughput and CPU under each way to sync.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use darter_tests::Server;
use darter_tests::bench::latency::Latency;

use super::overwrite::{Control, Data, PHASES, Requests, run};
use super::process::cpu;
use super::snapshot::Directory;
use super::{ROUNDS, SERVERS, name};

const CONNECTIONS: usize = 50;
const DATA: Data = Data { keys: 100_000, value_len: 64 };
/// How long a round is measured.
const ROUND: Duration = Duration::from_secs(2);
const WARM_UP: Duration = Duration::from_millis(300);

/// Closed loop of SETs; the rounds of the servers are interleaved.
pub fn measure() {
    println!(
        "\nappend-only log: SET of {} bytes, {} keys, {CONNECTIONS} connections, medians of {ROUNDS}, in brackets beside redis-server",
        DATA.value_len, DATA.keys
    );
    println!("{:34} {:>14} {:>22} {:>22}", "", name(SERVERS[0]), name(SERVERS[1]), name(SERVERS[2]));
    let requests = Requests::new(DATA);
    for fsync in ["no log", "no", "everysec", "always"] {
        let directories = SERVERS.map(|_| Directory::new());
        let servers = [0, 1, 2].map(|at: usize| {
            let directory = directories[at].0.to_str().expect("a path is text");
            let mut flags = vec!["--dir", directory, "--appendonly", "yes", "--appendfsync", fsync];
            flags.extend(["--auto-aof-rewrite-percentage", "0"]);
            if fsync == "no log" {
                flags.clear();
            }
            match SERVERS[at] {
                Some(shards) => Server::start_with(shards, &flags),
                None => Server::redis_with(&directories[at].0, &flags),
            }
        });
        servers.iter().for_each(|server| requests.fill(server.port()));
        let mut found: [Vec<[f64; 3]>; 3] = Default::default();
        for _ in 0..ROUNDS {
            for (server, found) in servers.iter().zip(&mut found) {
                found.push(round(server, &requests));
            }
        }
        for (at, (what, decimals)) in [("requests/s", 0), ("CPU us", 2), ("p99 us", 0)].iter().enumerate() {
            let [redis, one, two] = found.each_ref().map(|rounds| {
                let mut figures: Vec<f64> = rounds.iter().map(|round| round[at]).collect();
                figures.sort_by(f64::total_cmp);
                figures[ROUNDS / 2]
            });
            let beside = |own: f64| format!("{own:.decimals$} ({:.2} x)", own / redis);
            let title = format!("{fsync}, {what}");
            println!("{title:34} {redis:>14.decimals$} {:>22} {:>22}", beside(one), beside(two));
        }
    }
}

/// Requests a second, microseconds of CPU for each, and the 99th percentile of their latency in microseconds.
fn round(server: &Server, requests: &Requests) -> [f64; 3] {
    let control = Control::default();
    let (mut used, mut elapsed) = (Duration::ZERO, Duration::ZERO);
    let latencies: [Latency; PHASES] = std::thread::scope(|scope| {
        let (port, told) = (server.port(), &control);
        let load = scope.spawn(move || run(port, requests, CONNECTIONS, told));
        std::thread::park_timeout(WARM_UP);
        let (before, began) = (cpu(server.pid()), Instant::now());
        control.phase.store(1, Ordering::Relaxed);
        std::thread::park_timeout(ROUND);
        control.phase.store(2, Ordering::Relaxed);
        (used, elapsed) = (cpu(server.pid()) - before, began.elapsed());
        control.is_over.store(true, Ordering::Relaxed);
        load.join().expect("the load goes on")
    });
    let count = latencies[1].count().max(1) as f64;
    [count / elapsed.as_secs_f64(), used.as_secs_f64() * 1e6 / count, latencies[1].percentiles().p99]
}
