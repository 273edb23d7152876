//! How long one client waits while a snapshot comes upon one large value.

use darter_tests::reply::encode;
use darter_tests::{Client, Random};

use super::name;
use super::snapshot::{Directory, probe, start};

/// Elements of each value.
const ELEMENTS: usize = 1_000_000;
/// Elements that are added by one request.
const AT_ONCE: usize = 1_000;
/// Bytes of the string.
const STRING_LEN: usize = 100_000_000;
/// How often each is saved.
const ROUNDS: usize = 3;

/// What adds an element of this number to the value.
type Element = fn(usize) -> Vec<String>;

/// Longest waits, medians.
pub fn measure() {
    let values: [(&str, &str, Element); 6] = [
        ("no large value", "", |_| Vec::new()),
        ("list", "RPUSH", |n| vec![format!("element:{n}")]),
        ("set", "SADD", |n| vec![format!("member:{n}")]),
        ("hash", "HSET", |n| vec![format!("field:{n}"), format!("value:{n}")]),
        ("sorted set", "ZADD", |n| vec![n.to_string(), format!("member:{n}")]),
        ("string of 100 MB", "SET", |_| Vec::new()),
    ];
    println!(
        "\nlongest wait of one client during BGSAVE, ms, one value of {ELEMENTS} elements, medians of {ROUNDS}"
    );
    println!("{:20} {:>14} {:>22}", "", name(None), name(Some(1)));
    for (title, command, element) in values {
        let [redis, darter] = [None, Some(1)].map(|shards| {
            let directory = Directory::new();
            let server = start(shards, &directory.0);
            let mut client = server.client();
            fill(&mut client, command, element);
            let mut longest: Vec<f64> =
                (0..ROUNDS).map(|_| probe(&server, &mut client)[0].latency.max / 1_000.0).collect();
            longest.sort_by(f64::total_cmp);
            longest[ROUNDS / 2]
        });
        println!("{title:20} {redis:>14.1} {darter:>22.1}");
    }
}

fn fill(client: &mut Client, command: &str, element: Element) {
    match command {
        "" => {}
        "SET" => {
            let mut random = Random::new(1);
            let value: Vec<u8> = (0..STRING_LEN).map(|_| random.below(256) as u8).collect();
            assert_eq!(client.call(&[b"SET", &b"large"[..], &value]), "+OK");
        }
        _ => {
            for first in (0..ELEMENTS).step_by(AT_ONCE) {
                let mut words = vec![command.to_string(), "large".into()];
                (first..first + AT_ONCE).for_each(|n| words.extend(element(n)));
                let mut request = Vec::new();
                encode(&mut request, &words);
                client.send(&request);
                assert!(client.reply().starts_with(':'), "{command} is refused");
            }
        }
    }
}
