//! Commands of several keys, which lie on all shards, from clients on many connections.
//!
//! `DARTER_TESTS_SERVER=redis-server` asks Redis the same.

use std::sync::atomic::{AtomicBool, Ordering};

use darter_tests::reply::pipeline;
use darter_tests::rest::on_shards;
use darter_tests::{Client, Random};

#[test]
fn commands_of_several_keys_work_over_all_shards() {
    on_shards(|server| {
        for mut client in (0..8).map(|_| server.client()) {
            client.expect(&[
                ("FLUSHALL", "+OK"),
                ("MSET a 1 b 2 c 3 d 4 e 5 a 6", "+OK"),
                ("MGET e d c b a nosuch a", "[\"5\" \"4\" \"3\" \"2\" \"6\" nil \"6\"]"),
                ("EXISTS a b nosuch c a", ":4"),
                ("TOUCH a b nosuch c", ":3"),
                ("MSETNX x 1 y 2 a 3 z 4", ":0"),
                ("MGET x y a z", "[nil nil \"6\" nil]"),
                ("MSETNX x 1 y 2 w 3 z 4", ":1"),
                ("DEL x y nosuch w z x", ":4"),
                ("UNLINK a b", ":2"),
                ("DBSIZE", ":3"),
                ("RENAME nosuch a", "-ERR no such key"),
                ("RENAME c elsewhere", "+OK"),
                ("MGET c elsewhere", "[nil \"3\"]"),
                ("RENAMENX elsewhere d", ":0"),
                ("RENAMENX elsewhere f", ":1"),
                ("COPY f d", ":0"),
                ("COPY f d REPLACE", ":1"),
                ("MGET d e f", "[\"3\" \"5\" \"3\"]"),
            ]);
        }
    });
}

#[test]
fn two_keys_that_are_set_together_are_never_seen_apart() {
    const ROUNDS: u64 = 1_500;
    const PAIRS: u64 = 8;
    on_shards(|server| {
        let port = server.port();
        let done = AtomicBool::new(false);
        let mut client = server.client();
        (0..PAIRS).for_each(|n| assert_eq!(client.run(&format!("MSET left:{n} 0 right:{n} 0")), "+OK"));
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..3)
                .map(|writer| {
                    scope.spawn(move || {
                        let mut client = Client::connect(port);
                        let mut random = Random::new(writer);
                        for round in 0..ROUNDS {
                            let (n, value) = (random.below(PAIRS), round * 3 + writer);
                            // Both orders of the keys, MSET and MULTI.
                            let (one, other) =
                                if random.one_in(2) { ("left", "right") } else { ("right", "left") };
                            if random.one_in(2) {
                                let line = format!("MSET {one}:{n} {value} {other}:{n} {value}");
                                assert_eq!(client.run(&line), "+OK");
                            } else {
                                client.send(&pipeline(&[
                                    "MULTI".into(),
                                    format!("SET {one}:{n} {value}"),
                                    format!("SET {other}:{n} {value}"),
                                    "EXEC".into(),
                                ]));
                                (0..3).for_each(|_| assert!(client.reply().starts_with('+')));
                                assert_eq!(client.reply(), "[+OK +OK]");
                            }
                        }
                    })
                })
                .collect();
            let done = &done;
            let readers: Vec<_> = (0..3)
                .map(|reader| {
                    scope.spawn(move || {
                        let (mut client, mut random) = (Client::connect(port), Random::new(100 + reader));
                        while !done.load(Ordering::Relaxed) {
                            let n = random.below(PAIRS);
                            let reply = client.run(&format!("MGET right:{n} left:{n}"));
                            let (right, left) =
                                reply[1..reply.len() - 1].split_once(' ').expect("two values");
                            assert_eq!(left, right, "pair {n}");
                        }
                    })
                })
                .collect();
            let ends: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
            done.store(true, Ordering::Relaxed);
            readers.into_iter().for_each(|reader| reader.join().expect("no mix was seen"));
            assert!(ends.iter().all(|end| end.is_ok()), "writers succeed");
        });
    });
}

#[test]
fn renames_against_each_other_keep_every_value() {
    const KEYS: u64 = 6;
    on_shards(|server| {
        let port = server.port();
        let mut client = server.client();
        (0..KEYS / 2).for_each(|n| assert_eq!(client.run(&format!("SET place:{n} value:{n}")), "+OK"));
        std::thread::scope(|scope| {
            for seed in 0..4 {
                scope.spawn(move || {
                    let (mut client, mut random) = (Client::connect(port), Random::new(seed));
                    for _ in 0..500 {
                        let (from, to) = (random.below(KEYS), random.below(KEYS));
                        match client.run(&format!("RENAMENX place:{from} place:{to}")).as_str() {
                            ":0" | ":1" | "-ERR no such key" => {}
                            other => panic!("{other}"),
                        }
                    }
                });
            }
        });
        let mut values: Vec<String> = (0..KEYS).map(|n| client.run(&format!("GET place:{n}"))).collect();
        values.retain(|value| value != "nil");
        values.sort();
        let expected: Vec<String> = (0..KEYS / 2).map(|n| format!("\"value:{n}\"")).collect();
        assert_eq!(values, expected);
    });
}
