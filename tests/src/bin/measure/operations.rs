//! Single commands: server CPU per operation.

use std::time::Duration;

use darter_tests::reply::encode;
use darter_tests::{Client, Random, Server};

use super::ROUNDS;

/// Connections of each round.
const CONNECTIONS: usize = 50;

/// Microseconds of server CPU per operation.
pub fn measure(servers: &[Server; 3]) {
    let workloads: [(&str, &str, usize, u64); 5] = [
        (
            "SET, unpipelined",
            "SET key:{} vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv",
            1,
            100_000,
        ),
        ("GET, unpipelined", "GET key:{}", 1, 100_000),
        (
            "SET, 30 deep",
            "SET key:{} vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv",
            30,
            900_000,
        ),
        ("GET, 30 deep", "GET key:{}", 30, 900_000),
        ("INCR, 30 deep", "INCR n:{}", 30, 900_000),
    ];
    println!(
        "\nserver CPU, microseconds per operation, {CONNECTIONS} connections, 100,000 keys, medians of {ROUNDS}"
    );
    println!("{:20} {:>14} {:>22} {:>22}", "", "redis-server", "darter --shards 1", "darter --shards 2");
    for (title, template, depth, operations) in workloads {
        let mut figures: [Vec<f64>; 3] = Default::default();
        for round in 0..ROUNDS {
            for (server, figures) in servers.iter().zip(&mut figures) {
                figures.push(run(server, template, depth, operations, round as u64));
            }
        }
        let medians = figures.map(|mut round| {
            round.sort_by(f64::total_cmp);
            round[ROUNDS / 2]
        });
        let beside = |figure: f64| format!("{figure:.2} ({:.2} x)", figure / medians[0]);
        println!("{title:20} {:>14.2} {:>22} {:>22}", medians[0], beside(medians[1]), beside(medians[2]));
    }
}

/// One round: every connection sends `depth` requests, then all replies are read.
fn run(server: &Server, template: &str, depth: usize, operations: u64, seed: u64) -> f64 {
    let mut clients: Vec<Client> = (0..CONNECTIONS).map(|_| server.client()).collect();
    let mut random = Random::new(seed + 1);
    let (before, mut done) = (server.cpu_time(), 0);
    while done < operations {
        for client in &mut clients {
            let mut request = Vec::new();
            for _ in 0..depth {
                let line = template.replace("{}", &(random.below(100_000)).to_string());
                encode(&mut request, &line.split(' ').map(str::as_bytes).collect::<Vec<_>>());
            }
            client.send(&request);
        }
        for client in &mut clients {
            (0..depth).for_each(|_| assert!(!client.reply().starts_with('-')));
        }
        done += (CONNECTIONS * depth) as u64;
    }
    let used: Duration = server.cpu_time() - before;
    used.as_secs_f64() * 1e6 / done as f64
}
