//! Measures Darter beside redis-server in one run: resident bytes per key, and server CPU per operation.
//!
//! ```text
//! cargo build --release && cargo run --release -p darter-tests --bin measure
//! ```
//! Rounds are interleaved and medians are printed, with the ratio to redis-server in the same run.

use std::process::{Command, Stdio};
use std::time::Duration;

use darter_tests::{Client, Server, binary, free_port};

/// Connections of the CPU rounds.
const CONNECTIONS: usize = 50;
const ROUNDS: usize = 5;

fn main() {
    if Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("redis-server is not installed (Debian's package redis-server)");
        std::process::exit(1);
    }
    println!("darter: {}", binary().display());
    memory();
    cpu();
}

/// `shards` of Darter, or redis-server if there are none.
fn start(shards: Option<u16>) -> Server {
    if let Some(shards) = shards {
        return Server::start(shards);
    }
    let port = free_port();
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--save", "", "--bind", "127.0.0.1"]);
    let mut server = Server::spawn(command, port);
    assert!(server.wait_for("Ready to accept connections"), "redis-server starts");
    server
}

fn name(shards: Option<u16>) -> String {
    shards.map_or("redis-server".into(), |shards| format!("darter --shards {shards}"))
}

/// Resident bytes per key for random values, with and without a deadline.
fn memory() {
    const KEYS: u64 = 1_000_000;
    println!("\nresident bytes per key, {KEYS} keys of 16 bytes, random values of 32 bytes");
    println!("{:24} {:>10} {:>10}", "", "no TTL", "TTL");
    for shards in [None, Some(1), Some(2)] {
        let figures = [false, true].map(|timed| {
            let server = start(shards);
            let mut client = server.client();
            let before = server.resident_bytes();
            let mut random = Random(42);
            for batch in 0..KEYS / 1_000 {
                let mut request = Vec::new();
                for n in 0..1_000 {
                    let key = format!("key:{:012}", batch * 1_000 + n);
                    let value: Vec<u8> = (0..32).map(|_| b'a' + (random.next() % 26) as u8).collect();
                    let mut words: Vec<&[u8]> = vec![b"SET", key.as_bytes(), &value];
                    if timed {
                        words.extend([&b"EX"[..], b"100000"]);
                    }
                    append(&mut request, &words);
                }
                client.send(&request);
                (0..1_000).for_each(|_| assert_eq!(client.reply(), "+OK"));
            }
            (server.resident_bytes() - before) as f64 / KEYS as f64
        });
        println!("{:24} {:>10.1} {:>10.1}", name(shards), figures[0], figures[1]);
    }
}

/// Microseconds of server CPU per operation.
fn cpu() {
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
    let servers = [None, Some(1), Some(2)].map(start);
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
    let mut random = Random(seed + 1);
    let (before, mut done) = (server.cpu_time(), 0);
    while done < operations {
        for client in &mut clients {
            let mut request = Vec::new();
            for _ in 0..depth {
                let line = template.replace("{}", &(random.next() % 100_000).to_string());
                append(&mut request, &line.split(' ').map(str::as_bytes).collect::<Vec<_>>());
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

fn append(request: &mut Vec<u8>, words: &[&[u8]]) {
    request.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        request.extend_from_slice(word);
        request.extend_from_slice(b"\r\n");
    }
}

/// The same numbers in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}
