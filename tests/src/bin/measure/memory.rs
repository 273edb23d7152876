//! Resident bytes per key.

use darter_tests::Random;
use darter_tests::reply::encode;

use super::{SERVERS, name, start};

const KEYS: u64 = 1_000_000;

/// For random values, with and without a deadline.
pub fn measure() {
    println!("\nresident bytes per key, {KEYS} keys of 16 bytes, random values of 32 bytes");
    println!("{:24} {:>10} {:>10}", "", "no TTL", "TTL");
    for shards in SERVERS {
        let figures = [false, true].map(|timed| {
            let server = start(shards);
            let mut client = server.client();
            let before = server.resident_bytes();
            let mut random = Random::new(42);
            for batch in 0..KEYS / 1_000 {
                let mut request = Vec::new();
                for n in 0..1_000 {
                    let key = format!("key:{:012}", batch * 1_000 + n);
                    let value: Vec<u8> = (0..32).map(|_| b'a' + random.below(26) as u8).collect();
                    let mut words: Vec<&[u8]> = vec![b"SET", key.as_bytes(), &value];
                    if timed {
                        words.extend([&b"EX"[..], b"100000"]);
                    }
                    encode(&mut request, &words);
                }
                client.send(&request);
                (0..1_000).for_each(|_| assert_eq!(client.reply(), "+OK"));
            }
            (server.resident_bytes() - before) as f64 / KEYS as f64
        });
        println!("{:24} {:>10.1} {:>10.1}", name(shards), figures[0], figures[1]);
    }
}
