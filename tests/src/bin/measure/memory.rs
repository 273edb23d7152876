//! Resident bytes per key, at several fills of the table.

use darter_tests::reply::encode;
use darter_tests::{Client, Random};

use super::{SERVERS, name, start};

/// How many keys there are when memory is looked at: from one doubling of the table to the next but one.
const KEYS: [u64; 5] = [1_000_000, 1_400_000, 2_000_000, 2_800_000, 4_000_000];
const BATCH: u64 = 1_000;

/// What is stored.
struct Kind {
    title: &'static str,
    key_len: usize,
    value_len: usize,
    is_timed: bool,
}

const KINDS: [Kind; 3] = [
    Kind { title: "16 + 32", key_len: 16, value_len: 32, is_timed: false },
    Kind { title: "16 + 32, TTL", key_len: 16, value_len: 32, is_timed: true },
    Kind { title: "24 + 200", key_len: 24, value_len: 200, is_timed: false },
];

/// Of keys with random values. A server is filled step by step.
pub fn measure() {
    println!("\nresident bytes per key + value, the empty server subtracted, by millions of keys");
    print!("{:14} {:20}", "", "");
    KEYS.iter().for_each(|keys| print!("{:>8.1}", *keys as f64 / 1e6));
    println!("{:>9} {:>7}", "average", "worst");
    for kind in &KINDS {
        for shards in SERVERS {
            let server = start(shards);
            let mut client = server.client();
            let empty = server.resident_bytes();
            let mut random = Random::new(42);
            let mut there = 0;
            let figures = KEYS.map(|keys| {
                while there < keys {
                    write(&mut client, there, kind, &mut random);
                    there += BATCH;
                }
                (server.resident_bytes() - empty) as f64 / keys as f64
            });
            print!("{:14} {:20}", kind.title, name(shards));
            figures.iter().for_each(|figure| print!("{figure:>8.1}"));
            let average = figures.iter().sum::<f64>() / figures.len() as f64;
            println!(
                "{average:>9.1} {:>7.1}",
                figures.iter().fold(0.0, |most: f64, figure| most.max(*figure))
            );
        }
    }
}

/// Writes the next keys of a kind.
fn write(client: &mut Client, from: u64, kind: &Kind, random: &mut Random) {
    let mut request = Vec::new();
    for n in from..from + BATCH {
        let key = format!("key:{n:0width$}", width = kind.key_len - 4);
        let value: Vec<u8> = (0..kind.value_len).map(|_| b'a' + random.below(26) as u8).collect();
        let mut words: Vec<&[u8]> = vec![b"SET", key.as_bytes(), &value];
        if kind.is_timed {
            words.extend([&b"EX"[..], b"100000"]);
        }
        encode(&mut request, &words);
    }
    client.send(&request);
    (0..BATCH).for_each(|_| assert_eq!(client.reply(), "+OK"));
}
