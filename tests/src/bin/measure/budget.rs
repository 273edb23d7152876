//! What is resident while values overwrite each other under `maxmemory`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use darter_tests::reply::encode;
use darter_tests::{Client, Random, Server};

use super::name;

/// `maxmemory` of every server, megabytes.
const LIMIT_MB: u64 = 100;
/// Keys that are written, any as likely as the others.
const KEYS: u64 = 200_000;
/// The shortest and the longest value, bytes; between them lengths are spread evenly on a logarithmic scale.
const VALUES: (f64, f64) = (10.0, 100_000.0);
/// Clients of a server, and what each has written before it reads.
const CLIENTS: usize = 4;
const BATCH: usize = 30;
/// Between two looks at what is resident.
const LOOK: Duration = Duration::from_millis(10);
/// How long it lasts if nothing is said.
const SECONDS: u64 = 60;

/// What was seen of a server.
#[derive(Default)]
struct Seen {
    looks: u64,
    /// Looks that found more than the limit and 3 %.
    above: u64,
    most: u64,
    last: u64,
}

/// What was written to it.
#[derive(Default)]
struct Written {
    bytes: u64,
    values: u64,
    refused: u64,
}

/// For redis-server and for Darter with two shards at once, each with clients of its own, as many seconds as the words say.
pub fn measure(seconds: &str) {
    let seconds = if seconds.is_empty() { SECONDS } else { seconds.parse().expect("budget=SECONDS") };
    println!(
        "\nresident memory under maxmemory {LIMIT_MB}mb, allkeys-lru, {seconds} s: {KEYS} keys, values of 10 B to 100 KB, \
         {CLIENTS} clients, {BATCH} requests deep"
    );
    println!(
        "{:24} {:>12} {:>12} {:>10} {:>12} {:>12} {:>12} {:>12}",
        "", "written, GB", "values", "refused", "most, MB", "at the end", "looks", "above +3 %"
    );
    let servers = [None, Some(2)].map(|shards| (shards, super::start(shards)));
    for (_, server) in &servers {
        let set = ["CONFIG", "SET", "maxmemory", &format!("{LIMIT_MB}mb"), "maxmemory-policy", "allkeys-lru"];
        assert_eq!(server.client().call(&set), "+OK");
    }
    let is_over = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        let writers: Vec<_> = servers
            .iter()
            .map(|(_, server)| {
                let clients = (0..CLIENTS).map(|_| server.client()).collect();
                let is_over = &is_over;
                scope.spawn(move || overwrite(clients, is_over))
            })
            .collect();
        let seen = look(&servers, Duration::from_secs(seconds));
        is_over.store(true, Ordering::Relaxed);
        let written = writers.into_iter().map(|writer| writer.join().expect("a writer ends"));
        seen.into_iter().zip(written).collect::<Vec<_>>()
    });
    for ((shards, _), (seen, written)) in servers.iter().zip(seen) {
        let megabytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        println!(
            "{:24} {:>12.1} {:>12} {:>10} {:>12.1} {:>12.1} {:>12} {:>12}",
            name(*shards),
            written.bytes as f64 / 1e9,
            written.values,
            written.refused,
            megabytes(seen.most),
            megabytes(seen.last),
            seen.looks,
            seen.above
        );
    }
}

/// Looks at all of them until the time is over.
fn look(servers: &[(Option<u16>, Server)], time: Duration) -> Vec<Seen> {
    let until = Instant::now() + time;
    let mut seen: Vec<Seen> = servers.iter().map(|_| Seen::default()).collect();
    while Instant::now() < until {
        for ((_, server), seen) in servers.iter().zip(&mut seen) {
            seen.last = server.resident_bytes();
            seen.most = seen.most.max(seen.last);
            seen.looks += 1;
            seen.above += u64::from(seen.last * 100 > (LIMIT_MB << 20) * 103);
        }
        thread::park_timeout(LOOK);
    }
    seen
}

/// Writes until it is told to end.
fn overwrite(mut clients: Vec<Client>, is_over: &AtomicBool) -> Written {
    let mut random = Random::new(7);
    let bytes: Vec<u8> = (0..2 * VALUES.1 as usize).map(|_| b'a' + random.below(26) as u8).collect();
    let (mut written, mut request) = (Written::default(), Vec::new());
    while !is_over.load(Ordering::Relaxed) {
        for client in &mut clients {
            request.clear();
            for _ in 0..BATCH {
                let part = random.below(1 << 20) as f64 / f64::from(1 << 20);
                let len = (VALUES.0 * (VALUES.1 / VALUES.0).powf(part)) as usize;
                let key = format!("key:{}", random.below(KEYS));
                let from = random.below(VALUES.1 as u64) as usize;
                encode(&mut request, &[&b"SET"[..], key.as_bytes(), &bytes[from..from + len]]);
            }
            client.send(&request);
            written.bytes += request.len() as u64;
        }
        for client in &mut clients {
            for _ in 0..BATCH {
                match client.line().as_deref() {
                    Some("+OK") => written.values += 1,
                    Some(error) if error.starts_with("-OOM") => written.refused += 1,
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    written
}
