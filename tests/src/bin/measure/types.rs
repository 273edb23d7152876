//! Commands of all types: server CPU per operation, on small values and on large ones.

use darter_tests::reply::encode;
use darter_tests::{Client, Random, Server};

use super::ROUNDS;

const CONNECTIONS: usize = 50;
/// Requests that a connection writes at once.
const DEPTH: usize = 30;
/// Elements that are read or written in a round, about.
const ELEMENTS: u64 = 400_000;

/// What is there before the clock runs. `#` is a number that counts up to the first figure, `%` one that counts up to the second for each of them.
const FILL: [(&str, u64, u64); 15] = [
    ("HSET hash:# field:% value:%", 1_000, 10),
    ("HSET hash100:# field:% value:%", 100, 100),
    ("HSET large field:% value:%", 1, 100_000),
    ("SADD set:# member:%", 1_000, 20),
    ("SADD ints:# %", 1_000, 20),
    ("SADD lset member:%", 1, 100_000),
    ("ZADD zset:# % member:%", 1_000, 20),
    ("ZADD fset:# %.25 member:%", 1_000, 20),
    ("ZADD lzset % member:%", 1, 100_000),
    ("RPUSH list:# element:%", 1_000, 20),
    ("RPUSH llist element:%", 1, 100_000),
    ("RPUSH numbers:# 3%", 1_000, 10),
    ("XADD stream:# *  field value", 100, 50),
    ("PFADD dense e%", 1, 30_000),
    ("SADD pop member:%", 1, 2_000_000),
];

/// A command with random numbers: `#` below the first figure, `%` below the second; and how many elements it touches.
const COMMANDS: [(&str, u64, u64, u64); 44] = [
    ("HSET hash:# field:% value:%", 1_000, 10, 1),
    ("HSET large field:% value:%", 1, 100_000, 1),
    ("HGET hash:# field:%", 1_000, 10, 1),
    ("HGET large field:%", 1, 100_000, 1),
    ("HINCRBY count:# field:% 1", 1_000, 10, 1),
    ("HMGET hash:# field:1 field:5 field:%", 1_000, 10, 3),
    ("HGETALL hash:#", 1_000, 1, 10),
    ("HGETALL hash100:#", 100, 1, 50),
    ("SADD set:# member:%", 1_000, 40, 1),
    ("SADD lset member:%", 1, 200_000, 1),
    ("SADD ints:# %", 1_000, 40, 1),
    ("SISMEMBER set:# member:%", 1_000, 40, 1),
    ("SISMEMBER lset member:%", 1, 200_000, 1),
    ("SISMEMBER ints:# %", 1_000, 40, 1),
    ("SMEMBERS set:#", 1_000, 1, 20),
    ("SPOP pop", 1, 1, 1),
    ("ZADD zset:# % member:%", 1_000, 40, 1),
    ("ZADD lzset % member:%", 1, 200_000, 1),
    ("ZINCRBY zset:# 1 member:%", 1_000, 20, 1),
    ("ZINCRBY lzset 1 member:%", 1, 100_000, 1),
    ("ZSCORE zset:# member:%", 1_000, 20, 1),
    ("ZSCORE lzset member:%", 1, 100_000, 1),
    ("ZRANK zset:# member:%", 1_000, 20, 1),
    ("ZRANK lzset member:%", 1, 100_000, 1),
    ("ZRANGE zset:# 0 9", 1_000, 1, 10),
    ("ZRANGE zset:# 0 9 WITHSCORES", 1_000, 1, 10),
    ("ZRANGE fset:# 0 9 WITHSCORES", 1_000, 1, 10),
    ("ZRANGE lzset 0 9", 1, 1, 10),
    ("ZRANGE lzset 5000 5009 WITHSCORES", 1, 1, 10),
    ("ZRANGEBYSCORE lzset % +inf LIMIT 0 10", 1, 90_000, 10),
    ("ZRANGEBYSCORE zset:# 5 +inf LIMIT 0 10", 1_000, 1, 10),
    ("LPUSH list:# element:%", 1_000, 1_000, 1),
    ("RPOP list:#", 1_000, 1, 1),
    ("LINDEX list:# 5", 1_000, 1, 1),
    ("LINDEX llist %", 1, 100_000, 1),
    ("LRANGE list:# 0 9", 1_000, 1, 10),
    ("LRANGE llist 0 99", 1, 1, 50),
    ("XADD stream:# * field value", 100, 1, 1),
    ("XRANGE stream:# - + COUNT 10", 100, 1, 10),
    ("XREAD COUNT 10 STREAMS stream:# 0", 100, 1, 10),
    ("SETBIT bits % 1", 1, 1_000_000, 1),
    ("GETBIT bits %", 1, 1_000_000, 1),
    ("PFADD dense e%", 1, 1_000_000, 1),
    ("SORT numbers:#", 1_000, 1, 10),
];

/// Microseconds of server CPU per operation, of commands that have the word.
pub fn measure(servers: &[Server; 2], rows: &str) {
    println!(
        "\nserver CPU, microseconds per operation, {CONNECTIONS} connections, {DEPTH} deep, medians of {ROUNDS}, one shard"
    );
    println!("{:44} {:>14} {:>10} {:>8}", "", "redis-server", "darter", "ratio");
    for server in servers {
        let mut client = server.client();
        for (template, first, second) in FILL {
            let lines = (0..first * second).map(|n| line(template, n / second, n % second));
            let lines: Vec<String> = lines.collect();
            for lines in lines.chunks(500) {
                client.send(&encoded(lines.iter().cloned()));
                read(&mut client, lines.len());
            }
        }
    }
    for (template, first, second, elements) in COMMANDS.into_iter().filter(|row| row.0.contains(rows)) {
        let mut figures: [Vec<f64>; 2] = Default::default();
        for round in 0..ROUNDS {
            for (server, figures) in servers.iter().zip(&mut figures) {
                let mut random = Random::new(round as u64 + 1);
                let mut next = || line(template, random.below(first), random.below(second));
                figures.push(run(server, &mut next, ELEMENTS / elements.max(4)));
            }
        }
        let [redis, darter] = figures.map(|mut round| {
            round.sort_by(f64::total_cmp);
            round[ROUNDS / 2]
        });
        println!("{template:44} {redis:>14.2} {darter:>10.2} {:>8.2}", darter / redis);
    }
}

fn line(template: &str, first: u64, second: u64) -> String {
    template.replace('#', &first.to_string()).replace('%', &second.to_string())
}

fn encoded(lines: impl Iterator<Item = String>) -> Vec<u8> {
    let mut request = Vec::new();
    for line in lines {
        encode(&mut request, &line.split_whitespace().map(str::as_bytes).collect::<Vec<_>>());
    }
    request
}

fn read(client: &mut Client, replies: usize) {
    for _ in 0..replies {
        let reply = client.reply();
        assert!(!reply.starts_with('-'), "{reply}");
    }
}

/// One round: every connection sends its requests, which were made before, then all replies are read.
fn run(server: &Server, next: &mut dyn FnMut() -> String, operations: u64) -> f64 {
    let mut clients: Vec<Client> = (0..CONNECTIONS).map(|_| server.client()).collect();
    let turns = operations.div_ceil((CONNECTIONS * DEPTH) as u64);
    let mut batch = || encoded((0..DEPTH).map(|_| next()));
    let turns: Vec<Vec<Vec<u8>>> = (0..turns).map(|_| (0..CONNECTIONS).map(|_| batch()).collect()).collect();
    let before = server.cpu_time();
    for batches in &turns {
        clients.iter_mut().zip(batches).for_each(|(client, batch)| client.send(batch));
        clients.iter_mut().for_each(|client| read(client, DEPTH));
    }
    let done = turns.len() * CONNECTIONS * DEPTH;
    server.cpu_time().saturating_sub(before).as_secs_f64() * 1e6 / done as f64
}
