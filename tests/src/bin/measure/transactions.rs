//! MULTI and EXEC over keys of any shard, MSET and MGET of many.

use darter_tests::Random;
use darter_tests::Server;
use darter_tests::reply::encode;

use super::load::Turn;
use super::table::{Workload, head, row};

const KEYS: u64 = 100_000;
const VALUE: &str = "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv";
/// Turns that are made before the clock runs, then taken again and again.
const TURNS: usize = 200;

fn key(random: &mut Random) -> String {
    format!("key:{}", random.below(KEYS))
}

/// Transactions of four SETs from one connection.
pub fn measure_exec(servers: &[Server; 3]) {
    head(
        "MULTI, 4 SETs of 64 bytes on random keys of 100,000, EXEC; one connection, an operation is a transaction",
    );
    for (title, depth, operations) in [("100 deep", 100, 100_000), ("one at a time", 1, 20_000)] {
        let turns = |round| {
            let mut random = Random::new(round);
            let turn = |random: &mut Random| {
                let (mut request, mut reply) = (Vec::new(), Vec::new());
                for _ in 0..depth {
                    encode(&mut request, &["MULTI"]);
                    (0..4).for_each(|_| encode(&mut request, &["SET", &key(random), VALUE]));
                    encode(&mut request, &["EXEC"]);
                    reply.extend_from_slice(b"+OK\r\n");
                    reply.extend_from_slice(&b"+QUEUED\r\n".repeat(4));
                    reply.extend_from_slice(b"*4\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n");
                }
                Turn { writes: vec![(0, request)], reads: vec![(0, reply)], operations: depth }
            };
            (0..TURNS).map(|_| turn(&mut random)).collect()
        };
        row(servers, &Workload { title, connections: 1, operations, turns: &turns });
    }
}

/// MSET and MGET of ten random keys.
pub fn measure_many(servers: &[Server; 3]) {
    const CONNECTIONS: usize = 50;
    head("MSET and MGET of 10 random keys of 100,000, values of 64 bytes; unpipelined, 50 connections");
    fill(servers);
    let found = format!("${}\r\n{VALUE}\r\n", VALUE.len()).repeat(10);
    for (title, with_values, reply) in
        [("MSET", true, "+OK\r\n".into()), ("MGET", false, format!("*10\r\n{found}"))]
    {
        let turns = |round| {
            let mut random = Random::new(round);
            let request = |random: &mut Random| {
                let mut words = vec![title.to_string()];
                for _ in 0..10 {
                    words.push(key(random));
                    words.extend(with_values.then(|| VALUE.to_string()));
                }
                let mut request = Vec::new();
                encode(&mut request, &words);
                request
            };
            let turn = |random: &mut Random| Turn {
                writes: (0..CONNECTIONS).map(|connection| (connection, request(random))).collect(),
                reads: (0..CONNECTIONS).map(|connection| (connection, reply.clone().into_bytes())).collect(),
                operations: CONNECTIONS as u64,
            };
            (0..TURNS).map(|_| turn(&mut random)).collect()
        };
        row(servers, &Workload { title, connections: CONNECTIONS, operations: 40_000, turns: &turns });
    }
}

/// Every key has a value, so that all replies have one length.
fn fill(servers: &[Server; 3]) {
    for server in servers {
        let mut client = server.client();
        for batch in 0..KEYS / 1_000 {
            let mut request = Vec::new();
            for n in 0..1_000 {
                encode(&mut request, &["SET", &format!("key:{}", batch * 1_000 + n), VALUE]);
            }
            client.send(&request);
            (0..1_000).for_each(|_| assert_eq!(client.reply(), "+OK"));
        }
    }
}
