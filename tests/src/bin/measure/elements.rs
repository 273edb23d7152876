//! Resident bytes per element of each type, small and large.

use darter_tests::reply::encode;
use darter_tests::{Client, Random};

use super::start;

/// Elements of each figure, at least: of small values there are as many keys as that takes.
const ELEMENTS: u64 = 1_000_000;
/// Elements of a value.
const SIZES: [u64; 9] = [5, 10, 50, 100, 128, 500, 1_000, 10_000, 1_000_000];
/// Elements that come with one command, at most.
const TOGETHER: u64 = 20;
/// Commands that are sent at once.
const DEPTH: u64 = 50;
/// Commands before the first figure is taken.
const WARMING: u64 = 20_000;
/// Elements of a value that is there before.
const WARMED: u64 = 600;
const TYPES: [&str; 5] = ["list", "hash", "set", "zset", "stream"];

/// What elements look like.
#[derive(Clone, Copy)]
enum Kind {
    /// The numbers from zero on.
    Integers,
    /// Random letters and digits, so many.
    Text(usize),
}

const KINDS: [(&str, Kind); 4] = [
    ("integers", Kind::Integers),
    ("8 bytes", Kind::Text(8)),
    ("20 bytes", Kind::Text(20)),
    ("64 bytes", Kind::Text(64)),
];

impl Kind {
    /// Element `n` of a value; the same every time.
    fn element(self, n: u64, random: &mut Random) -> Vec<u8> {
        match self {
            Kind::Integers => n.to_string().into_bytes(),
            Kind::Text(len) => {
                // Twelve random letters and more tell all elements apart; of eight, few meet.
                (0..len).map(|_| b"abcdefghijklmnopqrstuvwxyz012345"[random.below(32) as usize]).collect()
            }
        }
    }
}

/// For each type, kind and size on redis-server and on one shard of Darter, of rows that have the word. A hash's values are like its fields.
pub fn measure(rows: &str) {
    println!("\nresident bytes per element, keys of 12 bytes, {ELEMENTS} elements or more for each figure");
    println!("{:8} {:10} {:>10} {:>14} {:>14} {:>8}", "", "", "elements", "redis-server", "darter", "ratio");
    for name in TYPES {
        for (title, kind) in KINDS.into_iter().filter(|(title, _)| format!("{name} {title}").contains(rows)) {
            for size in SIZES {
                let [redis, darter] = [None, Some(1)].map(|shards| resident(shards, name, kind, size));
                let ratio = darter / redis;
                println!("{name:8} {title:10} {size:>10} {redis:>14.1} {darter:>14.1} {ratio:>8.2}");
            }
        }
    }
}

/// Resident bytes per element.
fn resident(shards: Option<u16>, name: &str, kind: Kind, size: u64) -> f64 {
    let keys = ELEMENTS.div_ceil(size);
    let server = start(shards);
    let mut client = server.client();
    let mut random = Random::new(42);
    let (mut request, mut waiting) = (Vec::new(), 0);
    // What a server touches when it is first spoken to belongs to no element.
    for n in 0..WARMING {
        encode(&mut request, &[&b"ECHO"[..], &[b'x'; 2_000]]);
        waiting += 1;
        if n % DEPTH == 0 {
            exchange(&mut client, &mut request, &mut waiting);
        }
    }
    // Nor does code that runs for the first time: 300 KB are a tenth of a set of small numbers.
    for n in 0..size.min(WARMED) {
        add(&mut request, name, b"warm", kind, n..n + 1, &mut random);
        waiting += 1;
    }
    exchange(&mut client, &mut request, &mut waiting);
    let before = server.resident_bytes();
    for key in 0..keys {
        let key = format!("key:{key:08}");
        let mut from = 0;
        while from < size {
            let together = if name == "stream" { 1 } else { TOGETHER.min(size - from) };
            add(&mut request, name, key.as_bytes(), kind, from..from + together, &mut random);
            waiting += 1;
            from += together;
            if waiting == DEPTH {
                exchange(&mut client, &mut request, &mut waiting);
            }
        }
    }
    exchange(&mut client, &mut request, &mut waiting);
    (server.resident_bytes() - before) as f64 / (keys * size) as f64
}

/// One command that adds elements to a value.
fn add(
    request: &mut Vec<u8>,
    name: &str,
    key: &[u8],
    kind: Kind,
    elements: std::ops::Range<u64>,
    random: &mut Random,
) {
    let command = match name {
        "list" => "RPUSH",
        "hash" => "HSET",
        "set" => "SADD",
        "zset" => "ZADD",
        _ => "XADD",
    };
    let mut words: Vec<Vec<u8>> = vec![command.into(), key.into()];
    for n in elements {
        match name {
            "hash" => words.extend([kind.element(n, random), kind.element(n, random)]),
            "zset" => words.extend([(n * 7).to_string().into_bytes(), kind.element(n, random)]),
            "stream" => {
                let id = format!("{}-0", 1_700_000_000_000 + n * 3);
                words.extend([id.into_bytes(), b"field".to_vec(), kind.element(n, random)]);
            }
            _ => words.push(kind.element(n, random)),
        }
    }
    encode(request, &words);
}

fn exchange(client: &mut Client, request: &mut Vec<u8>, waiting: &mut u64) {
    client.send(request);
    for _ in 0..*waiting {
        let reply = client.reply();
        assert!(!reply.starts_with('-'), "{reply}");
    }
    request.clear();
    *waiting = 0;
}
