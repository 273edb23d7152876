//! Clients that wait for lists: served in order, timed out, unblocked, killed; keys on all shards.
//!
//! `DARTER_TESTS_SERVER=redis-server` asks Redis the same.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use darter_tests::reply::pipeline;
use darter_tests::rest::{info, on_shards, wait_for_info};
use darter_tests::{Client, Random, Server};

/// So many connections that some lie on every core.
const CONNECTIONS: usize = 8;

fn clients(server: &Server) -> Vec<Client> {
    (0..CONNECTIONS).map(|_| server.client()).collect()
}

/// Sends a blocking command and returns when the server counts one more client that waits.
fn block(control: &mut Client, client: &mut Client, line: &str) {
    let before = info(control, "blocked_clients").expect("INFO has blocked_clients");
    client.send_words(&line.split(' ').collect::<Vec<_>>());
    wait_for_info(control, "blocked_clients", before + 1);
}

#[test]
fn what_is_there_is_taken_at_once_from_the_first_key_that_has_something() {
    on_shards(|server| {
        for mut client in clients(server) {
            client.expect(&[
                ("RPUSH b 1 2 3", ":3"),
                ("RPUSH c 4", ":1"),
                ("BLPOP a b c 0", "[\"b\" \"1\"]"),
                ("BRPOP c b 0", "[\"c\" \"4\"]"),
                ("BRPOP c b 0", "[\"b\" \"3\"]"),
                ("BLMOVE b d LEFT RIGHT 0", "\"2\""),
                ("BLPOP b d 0.01", "[\"d\" \"2\"]"),
                ("BLPOP b d 0.01", "nil"),
                ("BRPOPLPUSH b d 0.01", "nil"),
                ("BLMOVE b d LEFT LEFT 0.01", "nil"),
                ("BLMPOP 0.01 2 b d LEFT", "nil"),
                ("RPUSH d 1 2 3", ":3"),
                ("BLMPOP 0 2 b d RIGHT COUNT 2", "[\"d\" [\"3\" \"2\"]]"),
                ("DEL d", ":1"),
                ("SET text x", "+OK"),
                ("BLPOP text 0", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
                ("BLPOP a -1", "-ERR timeout is negative"),
                ("BLPOP a x", "-ERR timeout is not a float or out of range"),
            ]);
        }
    });
}

#[test]
fn lists_and_strings_meet_in_commands_of_several_keys() {
    on_shards(|server| {
        for mut client in clients(server) {
            client.expect(&[
                ("MSET a 1 text word", "+OK"),
                ("RPUSH list x y", ":2"),
                ("MGET a list text", "[\"1\" nil \"word\"]"),
                ("MULTI", "+OK"),
                ("RPUSH text x", "+QUEUED"),
                ("RPUSH list z", "+QUEUED"),
                ("INCR list", "+QUEUED"),
                ("INCR a", "+QUEUED"),
                (
                    "EXEC",
                    "[-WRONGTYPE Operation against a key holding the wrong kind of value :3 \
                     -WRONGTYPE Operation against a key holding the wrong kind of value :2]",
                ),
                ("RENAME list other", "+OK"),
                ("LRANGE other 0 -1", "[\"x\" \"y\" \"z\"]"),
                ("MSET a 1 other 2", "+OK"),
                ("GET other", "\"2\""),
                ("DEL a text other", ":3"),
            ]);
        }
    });
}

#[test]
fn a_timeout_comes_neither_early_nor_much_too_late() {
    on_shards(|server| {
        let began = Instant::now();
        let mut waiting: Vec<(f64, Client)> = Vec::new();
        for (n, mut client) in clients(server).into_iter().enumerate() {
            let seconds = 0.2 + 0.05 * n as f64;
            client.send_words(&["BLPOP", &format!("{n}:a"), &format!("{n}:b"), &format!("{seconds:.2}")]);
            waiting.push((seconds, client));
        }
        for (seconds, client) in &mut waiting {
            assert_eq!(client.reply(), "nil");
            let waited = began.elapsed().as_secs_f64();
            assert!(waited >= *seconds, "{waited} of {seconds} s");
            assert!(waited < *seconds + 5.0, "{waited} instead of {seconds} s");
            // It is a client like any other again.
            assert_eq!(client.run("PING"), "+PONG");
        }
    });
}

#[test]
fn who_waited_first_is_served_first() {
    on_shards(|server| {
        let (mut control, mut waiting) = (server.client(), clients(server));
        for client in &mut waiting {
            block(&mut control, client, "BLPOP nosuch queue another 0");
        }
        let mut others = clients(server);
        for (n, client) in waiting.iter_mut().enumerate() {
            let push = format!("RPUSH queue {n}");
            assert_eq!(others[(n * 3) % CONNECTIONS].run(&push), ":1");
            assert_eq!(client.reply(), format!("[\"queue\" \"{n}\"]"));
        }
        control.expect(&[("EXISTS queue", ":0")]);
        // One push for all of them.
        for client in &mut waiting {
            block(&mut control, client, "BRPOP nosuch queue another 0");
        }
        assert_eq!(control.run("LPUSH queue 0 1 2 3 4 5 6 7 8"), ":9");
        for (n, client) in waiting.iter_mut().enumerate() {
            assert_eq!(client.reply(), format!("[\"queue\" \"{n}\"]"));
        }
        control.expect(&[("LRANGE queue 0 -1", "[\"8\"]")]);
    });
}

#[test]
fn a_client_waits_for_keys_of_all_shards_and_is_served_once() {
    on_shards(|server| {
        let mut control = server.client();
        for round in 0..24 {
            let mut client = server.client();
            let keys: String = (0..6).map(|n| format!(" key:{n}")).collect();
            block(&mut control, &mut client, &format!("BLPOP{keys} 0"));
            let mut others = clients(server);
            for n in 0..6 {
                others[(n + round) % CONNECTIONS].send_words(&["RPUSH", &format!("key:{n}"), "element"]);
            }
            for n in 0..6 {
                assert_eq!(others[(n + round) % CONNECTIONS].reply(), ":1");
            }
            assert!(client.reply().ends_with("\"element\"]"));
            let left: usize = (0..6)
                .map(|n| control.run(&format!("LLEN key:{n}")))
                .map(|reply| reply[1..].parse::<usize>().expect("a length"))
                .sum();
            assert_eq!(left, 5, "one of six elements was taken");
            // It waits nowhere any more.
            assert_eq!(control.run(&format!("DEL{keys}")), ":5");
            control.expect(&[("RPUSH key:0 a", ":1"), ("LLEN key:0", ":1"), ("DEL key:0", ":1")]);
            assert_eq!(client.run("PING"), "+PONG");
        }
    });
}

#[test]
fn a_client_that_is_killed_while_it_waits_takes_nothing() {
    on_shards(|server| {
        let mut control = server.client();
        for round in 0..CONNECTIONS {
            let (mut first, mut second) = (server.client(), server.client());
            let line = format!("BLPOP {round}:a {round}:b {round}:c 0");
            block(&mut control, &mut first, &line);
            block(&mut control, &mut second, &line);
            drop(first);
            wait_for_info(&mut control, "blocked_clients", 1);
            assert_eq!(server.client().run(&format!("RPUSH {round}:b element")), ":1");
            assert_eq!(second.reply(), format!("[\"{round}:b\" \"element\"]"));
            // By CLIENT KILL as well.
            let id = second.run("CLIENT ID")[1..].to_string();
            block(&mut control, &mut second, &line);
            assert_eq!(control.run(&format!("CLIENT KILL ID {id}")), ":1");
            assert_eq!(second.reply(), "end");
            wait_for_info(&mut control, "blocked_clients", 0);
            assert_eq!(control.run(&format!("RPUSH {round}:c element")), ":1");
            assert_eq!(control.run(&format!("LLEN {round}:c")), ":1");
        }
    });
}

#[test]
fn another_connection_may_unblock() {
    on_shards(|server| {
        let mut control = server.client();
        for mut client in clients(server) {
            let id = client.run("CLIENT ID")[1..].to_string();
            assert_eq!(control.run(&format!("CLIENT UNBLOCK {id}")), ":0", "it does not wait");
            for (how, reply) in [
                ("", "nil"),
                (" TIMEOUT", "nil"),
                (" ERROR", "-UNBLOCKED client unblocked via CLIENT UNBLOCK"),
            ] {
                block(&mut control, &mut client, "BLPOP a b c d 0");
                assert_eq!(server.client().run(&format!("CLIENT UNBLOCK {id}{how}")), ":1");
                assert_eq!(client.reply(), reply);
                assert_eq!(control.run(&format!("CLIENT UNBLOCK {id}{how}")), ":0");
            }
            control.expect(&[("RPUSH a 1", ":1"), ("LLEN a", ":1"), ("DEL a", ":1")]);
        }
        control.expect(&[("CLIENT UNBLOCK 999999", ":0")]);
    });
}

#[test]
fn what_follows_a_blocking_command_waits_with_it() {
    on_shards(|server| {
        let mut control = server.client();
        for mut client in clients(server) {
            control.expect(&[("DEL before after", ":0")]);
            let before = info(&mut control, "blocked_clients").expect("a count");
            let lines = ["SET before 1", "BLPOP queue 0", "SET after 1", "GET before"];
            client.send(&pipeline(&lines.map(String::from)));
            assert_eq!(client.reply(), "+OK", "earlier replies do not wait");
            wait_for_info(&mut control, "blocked_clients", before + 1);
            control.expect(&[("MGET before after", "[\"1\" nil]"), ("LPUSH queue x", ":1")]);
            assert_eq!(client.reply(), "[\"queue\" \"x\"]");
            assert_eq!([client.reply(), client.reply()], ["+OK", "\"1\""]);
            control.expect(&[("DEL before after", ":2")]);
        }
    });
}

#[test]
fn a_transaction_serves_when_it_is_done_and_never_waits() {
    on_shards(|server| {
        let mut control = server.client();
        for (mut client, mut other) in clients(server).into_iter().zip(clients(server)) {
            // Inside of MULTI nothing blocks.
            client.expect(&[("MULTI", "+OK"), ("BLPOP queue 0", "+QUEUED"), ("SET x 1", "+QUEUED")]);
            client.expect(&[("BLMOVE queue x LEFT LEFT 0", "+QUEUED"), ("EXEC", "[nil +OK nil]")]);
            // What is pushed and taken back within a transaction was never there.
            block(&mut control, &mut client, "BLPOP queue other 0");
            let lines = ["MULTI", "RPUSH queue a b", "DEL queue", "EXEC"].map(String::from);
            other.send(&pipeline(&lines));
            (0..3).for_each(|_| assert!(other.reply().starts_with('+')));
            assert_eq!(other.reply(), "[:2 :1]");
            assert_eq!(info(&mut control, "blocked_clients"), Some(1));
            // Served behind the whole transaction: what was pushed to the left later goes first.
            let lines = ["MULTI", "RPUSH queue a", "LPUSH queue b", "SET x 2", "EXEC"].map(String::from);
            other.send(&pipeline(&lines));
            (0..4).for_each(|_| assert!(other.reply().starts_with('+')));
            assert_eq!(other.reply(), "[:1 :2 +OK]");
            assert_eq!(client.reply(), "[\"queue\" \"b\"]");
            control.expect(&[("LRANGE queue 0 -1", "[\"a\"]"), ("DEL queue x", ":2")]);
        }
    });
}

#[test]
fn a_key_that_becomes_a_list_in_other_ways_serves_too() {
    on_shards(|server| {
        let mut control = server.client();
        for mut client in clients(server) {
            block(&mut control, &mut client, "BLPOP queue 0");
            control.expect(&[("SET queue text", "+OK"), ("DEL queue", ":1")]);
            control.expect(&[("RPUSH source x y", ":2"), ("RENAME source queue", "+OK")]);
            assert_eq!(client.reply(), "[\"queue\" \"x\"]");
            control.expect(&[("LMOVE queue other LEFT LEFT", "\"y\"")]);
            block(&mut control, &mut client, "BLPOP queue 0");
            control.expect(&[("LMOVE other queue LEFT LEFT", "\"y\"")]);
            assert_eq!(client.reply(), "[\"queue\" \"y\"]");
            control.expect(&[("DBSIZE", ":0")]);
        }
    });
}

#[test]
fn elements_move_to_lists_of_other_shards_through_clients_that_wait() {
    on_shards(|server| {
        let mut control = server.client();
        // A chain: each client moves what comes from one list to the next.
        let mut chain = clients(server);
        for (n, client) in chain.iter_mut().enumerate() {
            let line = format!("BLMOVE link:{n} link:{} RIGHT LEFT 0", n + 1);
            block(&mut control, client, &line);
        }
        assert_eq!(control.run("LPUSH link:0 element"), ":1");
        chain.iter_mut().for_each(|client| assert_eq!(client.reply(), "\"element\""));
        let end = format!("BRPOP link:{CONNECTIONS} 0");
        assert_eq!(control.run(&end), format!("[\"link:{CONNECTIONS}\" \"element\"]"));
        control.expect(&[("DBSIZE", ":0")]);
        // A destination of another type is told when there is something to move.
        control.expect(&[("SET wrong x", "+OK")]);
        block(&mut control, &mut chain[0], "BLMOVE link:0 wrong LEFT LEFT 0");
        control.expect(&[("LPUSH link:0 element", ":1")]);
        let reply = chain[0].reply();
        assert_eq!(reply, "-WRONGTYPE Operation against a key holding the wrong kind of value");
        control.expect(&[("LRANGE link:0 0 -1", "[\"element\"]")]);
    });
}

#[test]
fn every_element_reaches_exactly_one_while_timeouts_race_with_pushes() {
    const EACH: u64 = 500;
    const PRODUCERS: u64 = 3;
    const LISTS: u64 = 3;
    on_shards(|server| {
        let port = server.port();
        let taken = AtomicU64::new(0);
        let (taken, mut all) = (&taken, Vec::new());
        std::thread::scope(|scope| {
            for producer in 0..PRODUCERS {
                scope.spawn(move || {
                    let (mut client, mut random) = (Client::connect(port), Random::new(producer));
                    for n in 0..EACH {
                        let line = format!("LPUSH list:{} {}", random.below(LISTS), producer * EACH + n);
                        assert!(client.run(&line).starts_with(':'));
                        // Now and then all lists run dry.
                        if random.one_in(20) {
                            (0..random.below(200)).for_each(|_| assert_eq!(client.run("PING"), "+PONG"));
                        }
                    }
                });
            }
            let consumers: Vec<_> = (0..5u64)
                .map(|seed| {
                    scope.spawn(move || {
                        let (mut client, mut random) = (Client::connect(port), Random::new(50 + seed));
                        let mut got: Vec<(u64, u64)> = Vec::new();
                        let until = Instant::now() + Duration::from_secs(60);
                        while taken.load(Ordering::Relaxed) < PRODUCERS * EACH {
                            assert!(Instant::now() < until, "{taken:?} were taken");
                            let (first, seconds) = (random.below(LISTS), 1 + random.below(9));
                            let second = (first + 1) % LISTS;
                            let line = format!("BRPOP list:{first} list:{second} 0.00{seconds}");
                            let reply = client.run(&line);
                            if reply == "nil" {
                                continue;
                            }
                            let mut numbers = reply
                                .split(|letter: char| !letter.is_ascii_digit())
                                .filter_map(|number| number.parse::<u64>().ok());
                            let (list, value) = (numbers.next(), numbers.next());
                            got.push((list.expect("a list"), value.expect("an element")));
                            taken.fetch_add(1, Ordering::Relaxed);
                        }
                        got
                    })
                })
                .collect();
            for consumer in consumers {
                let got = consumer.join().expect("a consumer ends");
                // What one consumer takes from one list of one producer is in the producer's order.
                let mut last: BTreeMap<(u64, u64), u64> = BTreeMap::new();
                for (list, value) in &got {
                    let before = last.insert((*list, value / EACH), *value);
                    assert!(before < Some(*value), "{before:?} before {value} in list:{list}");
                }
                all.extend(got.into_iter().map(|(_, value)| value));
            }
        });
        all.sort_unstable();
        assert_eq!(all, (0..PRODUCERS * EACH).collect::<Vec<_>>());
        server.client().expect(&[("DBSIZE", ":0")]);
    });
}
