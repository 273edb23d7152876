//! MULTI, EXEC and WATCH, with clients on many connections, keys on all shards, and clients that vanish.
//!
//! `DARTER_TESTS_SERVER=redis-server` asks Redis the same.

use std::sync::atomic::{AtomicBool, Ordering};

use darter_tests::reply::pipeline;
use darter_tests::rest::on_shards;
use darter_tests::{Client, Random, Server};

/// So many connections that some lie on every core.
const CONNECTIONS: usize = 8;

fn clients(server: &Server) -> Vec<Client> {
    (0..CONNECTIONS).map(|_| server.client()).collect()
}

#[test]
fn exec_answers_for_every_command_wherever_its_keys_lie() {
    on_shards(|server| {
        for (n, client) in clients(server).iter_mut().enumerate() {
            assert_eq!(client.run("MULTI"), "+OK");
            for key in 0..6 {
                assert_eq!(client.run(&format!("SET {n}:{key} {key}")), "+QUEUED");
            }
            assert_eq!(client.run(&format!("INCR {n}:3")), "+QUEUED");
            assert_eq!(client.run(&format!("MGET {n}:0 {n}:3 {n}:nosuch {n}:5")), "+QUEUED");
            assert_eq!(client.run("PING"), "+QUEUED");
            let expected = "[+OK +OK +OK +OK +OK +OK :4 [\"0\" \"4\" nil \"5\"] +PONG]";
            assert_eq!(client.run("EXEC"), expected);
        }
        // Every connection sees what every other has done.
        for client in &mut clients(server) {
            for n in 0..CONNECTIONS {
                assert_eq!(client.run(&format!("GET {n}:3")), "\"4\"");
            }
        }
    });
}

#[test]
fn what_is_refused_while_queueing_refuses_all() {
    on_shards(|server| {
        let mut client = server.client();
        client.expect(&[
            ("EXEC", "-ERR EXEC without MULTI"),
            ("DISCARD", "-ERR DISCARD without MULTI"),
            ("MULTI", "+OK"),
            ("EXEC", "[]"),
            ("MULTI", "+OK"),
            ("MULTI", "-ERR MULTI calls can not be nested"),
            ("WATCH a", "-ERR WATCH inside MULTI is not allowed"),
            ("SET a 1", "+QUEUED"),
            ("EXEC", "[+OK]"),
            ("MULTI", "+OK"),
            ("SET a 2", "+QUEUED"),
            ("GET", "-ERR wrong number of arguments for 'get' command"),
            ("SET b 2", "+QUEUED"),
            ("EXEC", "-EXECABORT Transaction discarded because of previous errors."),
            ("MGET a b", "[\"1\" nil]"),
            ("MULTI", "+OK"),
            ("SET a 3", "+QUEUED"),
            ("DISCARD", "+OK"),
            ("GET a", "\"1\""),
            ("EXEC", "-ERR EXEC without MULTI"),
        ]);
    });
}

#[test]
fn a_command_that_fails_leaves_the_others_of_its_transaction_alone() {
    on_shards(|server| {
        let mut client = server.client();
        client.expect(&[
            ("SET text word", "+OK"),
            ("MULTI", "+OK"),
            ("SET a 1", "+QUEUED"),
            ("INCR text", "+QUEUED"),
            ("SET b 2", "+QUEUED"),
            ("EXEC", "[+OK -ERR value is not an integer or out of range +OK]"),
            ("MGET a b text", "[\"1\" \"2\" \"word\"]"),
        ]);
    });
}

/// What somebody else does between WATCH and EXEC, and whether it must refuse the EXEC.
const CHANGES: [(&str, bool); 18] = [
    ("SET watched 2", true),
    // Also the value that was there.
    ("SET watched 1", true),
    ("APPEND watched x", true),
    ("DEL watched", true),
    ("EXPIRE watched 100", true),
    ("PERSIST timed", false),
    ("RENAME watched elsewhere", true),
    ("RENAME other watched", true),
    ("MSET far 1 watched 2 near 3", true),
    ("COPY other watched REPLACE", true),
    ("FLUSHALL", true),
    ("GET watched", false),
    ("MGET far watched near", false),
    ("EXISTS watched", false),
    ("TTL watched", false),
    ("SET other 3", false),
    ("INCR watched", true),
    ("STRLEN watched", false),
];

#[test]
fn a_watched_key_that_somebody_changes_refuses_exec_and_reads_do_not() {
    on_shards(|server| {
        let mut others = clients(server);
        for (n, (change, refused)) in CHANGES.iter().enumerate() {
            let mut client = server.client();
            let other = &mut others[n % CONNECTIONS];
            other.expect(&[("FLUSHALL", "+OK"), ("MSET watched 1 other 1", "+OK")]);
            other.expect(&[("SET timed 1 EX 100", "+OK")]);
            assert_eq!(client.run("WATCH nosuch watched"), "+OK");
            let reply = other.run(change);
            assert!(!reply.starts_with('-'), "{change}: {reply}");
            client.expect(&[("MULTI", "+OK"), ("SET far 1", "+QUEUED"), ("SET near 2", "+QUEUED")]);
            let reply = client.run("EXEC");
            assert_eq!(reply, if *refused { "nil" } else { "[+OK +OK]" }, "after {change}");
            let refused_too = *refused && !change.contains("far");
            assert_eq!(client.run("EXISTS far").as_str() == ":0", refused_too, "after {change}");
            // Watching has ended with EXEC, whatever came of it.
            other.expect(&[("SET watched 7", "+OK")]);
            client.expect(&[("MULTI", "+OK"), ("GET watched", "+QUEUED"), ("EXEC", "[\"7\"]")]);
        }
    });
}

/// Watches a key that expires within 40 milliseconds, and is there when it is watched.
fn watch_timed(client: &mut Client, key: &str) {
    loop {
        assert_eq!(client.run(&format!("SET {key} v PX 40")), "+OK");
        assert_eq!(client.run(&format!("WATCH {key}")), "+OK");
        if client.run(&format!("EXISTS {key}")) == ":1" {
            return;
        }
        assert_eq!(client.run("UNWATCH"), "+OK");
    }
}

#[test]
fn expiry_of_a_watched_key_refuses_exec() {
    on_shards(|server| {
        for n in 0..CONNECTIONS {
            let (mut client, mut other) = (server.client(), server.client());
            watch_timed(&mut client, &format!("{n}:timed"));
            while other.run(&format!("EXISTS {n}:timed")) != ":0" {}
            assert_eq!(client.run("MULTI"), "+OK");
            assert_eq!(client.run(&format!("SET {n}:a 1")), "+QUEUED");
            assert_eq!(client.run("EXEC"), "nil");
            // The same if nobody looks: the deadline alone decides.
            watch_timed(&mut client, &format!("{n}:timed"));
            assert_eq!(other.run(&format!("SET {n}:clock v PX 60")), "+OK");
            while other.run(&format!("EXISTS {n}:clock")) != ":0" {}
            assert_eq!(client.run("MULTI"), "+OK");
            assert_eq!(client.run(&format!("SET {n}:a 1")), "+QUEUED");
            assert_eq!(client.run("EXEC"), "nil");
            assert_eq!(client.run(&format!("GET {n}:a")), "nil");
        }
    });
}

#[test]
fn watching_ends_with_unwatch_discard_and_reset_and_counts_what_oneself_does() {
    on_shards(|server| {
        let (mut client, mut other) = (server.client(), server.client());
        for end in [&["UNWATCH"][..], &["MULTI", "DISCARD"], &["RESET"]] {
            assert_eq!(client.run("WATCH a b c"), "+OK");
            assert_eq!(other.run("MSET a 1 b 1 c 1"), "+OK");
            end.iter().for_each(|line| assert!(client.run(line).starts_with('+'), "{line}"));
            client.expect(&[("MULTI", "+OK"), ("GET a", "+QUEUED"), ("EXEC", "[\"1\"]")]);
        }
        client.expect(&[("WATCH a", "+OK"), ("SET a 2", "+OK"), ("MULTI", "+OK")]);
        client.expect(&[("GET a", "+QUEUED"), ("EXEC", "nil"), ("GET a", "\"2\"")]);
        // A key that is not there, and is not there at the end.
        client.expect(&[("WATCH nosuch", "+OK")]);
        other.expect(&[("FLUSHALL", "+OK")]);
        client.expect(&[("MULTI", "+OK"), ("PING", "+QUEUED"), ("EXEC", "[+PONG]")]);
        client.expect(&[("WATCH nosuch", "+OK")]);
        other.expect(&[("SET nosuch 1", "+OK")]);
        client.expect(&[("MULTI", "+OK"), ("PING", "+QUEUED"), ("EXEC", "nil")]);
        // Who watches and goes away leaves nothing behind.
        for client in &mut clients(server) {
            assert_eq!(client.run("WATCH a b c d e f"), "+OK");
        }
    });
}

#[test]
fn money_is_neither_made_nor_lost_by_watched_transfers() {
    const ACCOUNTS: u64 = 6;
    const TRANSFERS: usize = 60;
    on_shards(|server| {
        let mut client = server.client();
        (0..ACCOUNTS).for_each(|n| assert_eq!(client.run(&format!("SET account:{n} 100")), "+OK"));
        let all = (0..ACCOUNTS).map(|n| format!(" account:{n}")).collect::<String>();
        let port = server.port();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let transfers: Vec<_> = (0..4)
                .map(|seed| {
                    scope.spawn(move || {
                        let (mut client, mut random) = (Client::connect(port), Random::new(seed));
                        let mut succeeded = 0;
                        while succeeded < TRANSFERS {
                            let from = random.below(ACCOUNTS);
                            let to = (from + 1 + random.below(ACCOUNTS - 1)) % ACCOUNTS;
                            let mut balance = |n: u64| {
                                let reply = client.run(&format!("GET account:{n}"));
                                reply.trim_matches('"').parse::<i64>().expect("a balance")
                            };
                            // Balances are read before they are watched as well: only the watched ones count.
                            balance(from);
                            assert_eq!(client.run(&format!("WATCH account:{from} account:{to}")), "+OK");
                            let mut balance = |n: u64| {
                                let reply = client.run(&format!("GET account:{n}"));
                                reply.trim_matches('"').parse::<i64>().expect("a balance")
                            };
                            let (source, target) = (balance(from) - 1, balance(to) + 1);
                            client.send(&pipeline(&[
                                "MULTI".into(),
                                format!("SET account:{from} {source}"),
                                format!("SET account:{to} {target}"),
                                "EXEC".into(),
                            ]));
                            let replies: Vec<String> = (0..4).map(|_| client.reply()).collect();
                            match replies[3].as_str() {
                                "[+OK +OK]" => succeeded += 1,
                                "nil" => {}
                                other => panic!("{other}"),
                            }
                        }
                    })
                })
                .collect();
            let (done, all) = (&done, &all);
            let readers: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(move || {
                        let mut client = Client::connect(port);
                        while !done.load(Ordering::Relaxed) {
                            let reply = client.run(&format!("MGET{all}"));
                            let sum: i64 = reply
                                .split(|letter: char| !letter.is_ascii_digit() && letter != '-')
                                .filter_map(|number| number.parse::<i64>().ok())
                                .sum();
                            assert_eq!(sum, 100 * ACCOUNTS as i64, "{reply}");
                        }
                    })
                })
                .collect();
            let ends: Vec<_> = transfers.into_iter().map(|transfer| transfer.join()).collect();
            done.store(true, Ordering::Relaxed);
            readers.into_iter().for_each(|reader| reader.join().expect("sums are right"));
            assert!(ends.iter().all(|end| end.is_ok()), "transfers succeed");
        });
    });
}

#[test]
fn pipelines_of_two_hundred_transactions_keep_their_replies_in_order() {
    on_shards(|server| {
        let mut clients = clients(server);
        for round in 0..3 {
            for (c, client) in clients.iter_mut().enumerate() {
                let mut lines = Vec::new();
                for n in 0..200 {
                    lines.push("MULTI".into());
                    lines.push(format!("INCR {c}:counter"));
                    lines.push(format!("SET {c}:{} {n}", n % 17));
                    lines.push("INCR common".into());
                    lines.push(format!("GET {c}:{}", (n + 16) % 17));
                    lines.push("EXEC".into());
                }
                client.send(&pipeline(&lines));
            }
            for (c, client) in clients.iter_mut().enumerate() {
                let mut common = 0;
                for n in 0..200 {
                    assert_eq!(client.reply(), "+OK");
                    (0..4).for_each(|_| assert_eq!(client.reply(), "+QUEUED"));
                    let reply = client.reply();
                    let words: Vec<&str> = reply[1..reply.len() - 1].split(' ').collect();
                    assert_eq!(
                        words[..2],
                        [&format!(":{}", round * 200 + n + 1), "+OK"],
                        "client {c}: {reply}"
                    );
                    let now: u64 = words[2].trim_start_matches(':').parse().expect("a count");
                    assert!(now > common, "the common counter grows in every pipeline: {common}, {reply}");
                    common = now;
                    if n > 0 {
                        assert_eq!(words[3], format!("\"{}\"", n - 1), "client {c}");
                    }
                }
            }
        }
        let total = format!("\"{}\"", 3 * 200 * CONNECTIONS);
        assert_eq!(server.client().run("GET common"), total);
    });
}

#[test]
fn single_commands_between_transactions_of_a_pipeline_keep_their_place_on_each_key() {
    on_shards(|server| {
        for client in &mut clients(server) {
            let mut lines = Vec::new();
            for n in 0..100 {
                lines.push(format!("MSET x {n} y {n} z {n}"));
                lines.push("GET y".into());
                lines.push("MULTI".into());
                lines.push("INCR y".into());
                lines.push("INCR z".into());
                lines.push("EXEC".into());
                lines.push("INCR z".into());
                lines.push("MGET x y z".into());
            }
            client.send(&pipeline(&lines));
            for n in 0..100 {
                let replies: Vec<String> = (0..8).map(|_| client.reply()).collect();
                let expected = [
                    "+OK".to_string(),
                    format!("\"{n}\""),
                    "+OK".into(),
                    "+QUEUED".into(),
                    "+QUEUED".into(),
                    format!("[:{} :{}]", n + 1, n + 1),
                    format!(":{}", n + 2),
                    format!("[\"{n}\" \"{}\" \"{}\"]", n + 1, n + 2),
                ];
                assert_eq!(replies, expected);
            }
        }
    });
}

/// Becomes true at the end of a scope, however that ends.
struct Set<'a>(&'a AtomicBool);

impl Drop for Set<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_client_killed_at_any_byte_has_done_all_or_nothing() {
    // As long for every cut.
    let request = |value: usize| {
        let mut lines = vec!["MULTI".to_string()];
        lines.extend(["a", "b", "c", "d"].map(|key| format!("SET {key} {value:04}")));
        lines.push("EXEC".into());
        pipeline(&lines)
    };
    let len = request(0).len();
    on_shards(|server| {
        let port = server.port();
        let done = AtomicBool::new(false);
        let mut seen = server.client();
        assert_eq!(seen.run("MSET a none b none c none d none"), "+OK");
        let reply = std::thread::scope(|scope| {
            let done = &done;
            // The others end also where an assertion fails here.
            let end = Set(done);
            let others: Vec<_> = (0..3)
                .map(|c| {
                    scope.spawn(move || {
                        let mut client = Client::connect(port);
                        while !done.load(Ordering::Relaxed) {
                            let lines = ["MULTI".to_string(), "MGET a b".into(), "MGET c d".into()];
                            let more = [format!("INCR {c}:others"), "EXEC".into(), "MGET d c b a".into()];
                            client.send(&pipeline(&[&lines[..], &more].concat()));
                            let replies: Vec<String> = (0..6).map(|_| client.reply()).collect();
                            for reply in &replies[4..] {
                                let values: Vec<&str> = reply.split(['[', ']', ' ']).collect();
                                let values: Vec<_> =
                                    values.iter().filter(|word| word.starts_with('"')).collect();
                                assert_eq!(values.len(), 4, "{replies:?}");
                                assert!(values.iter().all(|value| value == &values[0]), "{replies:?}");
                            }
                        }
                    })
                })
                .collect();
            for cut in 0..=len {
                let mut client = Client::connect(port);
                // Nobody reads the replies: the socket is gone as soon as the bytes are written.
                client.send(&request(cut)[..cut]);
                drop(client);
                if cut % 16 == 0 {
                    // A whole one in between, so that there is something to be torn.
                    let mut client = Client::connect(port);
                    client.send(&request(5_000 + cut));
                    (0..5).for_each(|_| assert!(client.reply().starts_with('+')));
                    assert_eq!(client.reply(), "[+OK +OK +OK +OK]");
                }
            }
            let reply = seen.run("MGET a b c d");
            drop(end);
            others.into_iter().for_each(|other| other.join().expect("nothing half is seen"));
            reply
        });
        // The last of the whole ones, or the one whose last byte was sent.
        let whole = 5_000 + len / 16 * 16;
        let allowed = [whole, len].map(|value| format!("[{}]", vec![format!("\"{value:04}\""); 4].join(" ")));
        assert!(allowed.contains(&reply), "{reply} is one of {allowed:?}");
    });
}
