//! MIGRATE of the real process: to redis-server, from it, and from one Darter to another, with what may go wrong on the way.

use std::io::{Read, Write};
use std::net::TcpListener;

use darter_tests::line::{run, run_all};
use darter_tests::reply::Reply;
use darter_tests::values::{Connection, connect, fill_all, seen};
use darter_tests::{Random, Server, free_port};

/// What a value is, when it ends within a second or so, and what a stream holds.
fn all(client: &mut Connection, keys: &[String]) -> Vec<Vec<String>> {
    let mut all: Vec<Vec<String>> = keys.iter().map(|key| seen(client, key)).collect();
    let lines = ["XRANGE stream - +", "XPENDING stream g", "PFCOUNT hll", "DBSIZE"];
    all.push(lines.iter().map(|line| format!("{:?}", run(client, line))).collect());
    let Reply::Integer(at) = run(client, "PEXPIRETIME timed") else { panic!("a moment") };
    assert!((99_999_999_990_000..=100_000_000_010_000).contains(&at), "{at}");
    all
}

fn there(server: &Server) -> Connection {
    let mut client = connect(server.port());
    run(&mut client, "SELECT 3");
    client
}

#[test]
fn keys_of_every_type_go_to_redis_and_come_back_and_go_on() {
    let mut random = Random::new(5);
    let mut keys: Vec<String> = (0..60).map(|n| format!("key:{n}")).collect();
    let (one, redis, other) = (Server::start(2), Server::redis(), Server::start(3));
    let mut client = connect(one.port());
    fill_all(&mut client, &keys, &mut random);
    let lines = [
        "SET timed 1",
        "PEXPIREAT timed 100000000000000",
        "PFADD hll a b c",
        "XADD stream 1-1 f v",
        "XADD stream 2-1 f w",
        "XGROUP CREATE stream g 0",
        "XREADGROUP GROUP g alice COUNT 1 STREAMS stream >",
    ];
    run_all(&mut client, &lines);
    let expected = all(&mut client, &keys);
    keys.extend(["timed", "hll", "stream"].map(String::from));
    let (mut from, mut database) = (&one, 0);
    for to in [&redis, &other, &redis, &one] {
        let mut client = connect(from.port());
        run(&mut client, &format!("SELECT {database}"));
        let mut target = there(to);
        let line = |options: &str| format!("MIGRATE 127.0.0.1 {} \"\" 3 10000 {options}", to.port());
        // A copy first, which is then in the way, and replaced.
        assert_eq!(run(&mut client, &line("COPY KEYS timed nosuch hll")).text(), Some("OK"));
        assert_eq!(run(&mut client, "DBSIZE"), Reply::Integer(keys.len() as i64));
        assert_eq!(run(&mut target, "DBSIZE"), Reply::Integer(2));
        let refused = run(&mut client, &line("KEYS timed"));
        let busy = "ERR Target instance replied with error: BUSYKEY Target key name already exists.";
        assert_eq!(refused.error(), Some(busy));
        assert_eq!(run(&mut client, &line(&format!("REPLACE KEYS {}", keys.join(" ")))).text(), Some("OK"));
        assert_eq!(run(&mut client, "DBSIZE"), Reply::Integer(0));
        assert_eq!(all(&mut target, &keys[..60]), expected);
        let nothing = run(&mut client, &format!("MIGRATE 127.0.0.1 {} timed 3 10000", to.port()));
        assert_eq!(nothing.text(), Some("NOKEY"));
        (from, database) = (to, 3);
    }
}

#[test]
fn errors_are_those_of_redis() {
    let (darter, redis, target) = (Server::start(2), Server::redis(), Server::redis());
    let (mut ours, mut theirs) = (connect(darter.port()), connect(redis.port()));
    let mut other = connect(target.port());
    for line in
        ["CONFIG SET requirepass secret", "AUTH secret", "ACL SETUSER user on >word ~* +@all", "SET a there"]
    {
        assert_eq!(run(&mut other, line).text(), Some("OK"), "{line}");
    }
    let (port, closed) = (target.port(), free_port());
    for line in [
        "SET a 1".to_string(),
        format!("MIGRATE 127.0.0.1 {port} a 0 5000"),
        format!("MIGRATE 127.0.0.1 {port} a 0 5000 AUTH wrong"),
        format!("MIGRATE 127.0.0.1 {port} a 0 5000 AUTH2 user wrong"),
        format!("MIGRATE 127.0.0.1 {port} a 0 5000 AUTH secret"),
        format!("MIGRATE 127.0.0.1 {port} a 99 5000 AUTH secret"),
        format!("MIGRATE 127.0.0.1 {closed} a 0 5000"),
        "MIGRATE 127.0.0.1 0 a 0 5000".to_string(),
        format!("MIGRATE 127.0.0.1 {port} a 0 5000 REPLACE COPY AUTH2 user word"),
        format!("MIGRATE 127.0.0.1 {port} a 0 5000 AUTH"),
        format!("MIGRATE 127.0.0.1 {port} a 0 5000 AUTH2 user"),
        format!("MIGRATE 127.0.0.1 {port} a 0 5000 KEYS a"),
        format!("MIGRATE 127.0.0.1 {port} a 0 5000 SOMETHING"),
        format!("MIGRATE 127.0.0.1 {port} a x 5000"),
        format!("MIGRATE 127.0.0.1 {port} a 0 x"),
        format!("MIGRATE 127.0.0.1 {port} \"\" 0 5000 KEYS"),
        format!("MIGRATE 127.0.0.1 {port} nosuch 0 5000"),
        format!("MIGRATE 127.0.0.1 {port}"),
        "EXISTS a".to_string(),
        "COMMAND GETKEYS MIGRATE h 1 a 0 5 COPY".to_string(),
        "COMMAND GETKEYS MIGRATE h 1 \"\" 0 5 AUTH2 keys keys REPLACE KEYS b c".to_string(),
    ] {
        assert_eq!(run(&mut ours, &line), run(&mut theirs, &line), "{line}");
    }
}

#[test]
fn a_server_that_is_silent_or_cuts_off_costs_nothing_but_the_time() {
    let server = Server::start(2);
    let mut client = connect(server.port());
    let mut beside = connect(server.port());
    run(&mut client, "MSET a 1 b 2 c 3");
    let io = |what: &str| format!("IOERR error or timeout {what} to target instance");
    for (answer, left) in [(&b""[..], 3), (b"+OK\r\n", 3), (b"+OK\r\n+OK\r\n+O", 2)] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let port = listener.local_addr().expect("bound").port();
        let line = format!("MIGRATE 127.0.0.1 {port} \"\" 0 60000 KEYS a b c\r\n");
        client.get_mut().write_all(line.as_bytes()).expect("the server reads");
        let (mut other, _) = listener.accept().expect("it connects");
        let mut said = Vec::new();
        while !said.windows(9).any(|bytes| bytes.starts_with(b"$1\r\nc\r\n")) {
            let mut piece = [0; 1_024];
            let len = other.read(&mut piece).expect("it says what it wants");
            said.extend_from_slice(&piece[..len]);
        }
        // It holds its keys meanwhile; nobody else waits, on any shard.
        for n in 0..20 {
            assert_eq!(run(&mut beside, &format!("SET beside:{n} 1")).text(), Some("OK"));
            assert_eq!(run(&mut beside, &format!("MSET one:{n} 1 two:{n} 2 three:{n} 3")).text(), Some("OK"));
        }
        other.write_all(answer).expect("it reads");
        drop(other);
        let reply = Reply::read(&mut client).expect("a reply");
        assert_eq!(reply.error(), Some(&io("reading")[..]));
        assert_eq!(run(&mut client, "EXISTS a b c"), Reply::Integer(left));
        run(&mut client, "MSET a 1 b 2 c 3");
    }
    // Silence.
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let port = listener.local_addr().expect("bound").port();
    let reply = run(&mut client, &format!("MIGRATE 127.0.0.1 {port} a 0 50"));
    assert_eq!(reply.error(), Some(&io("reading")[..]));
    assert_eq!(run(&mut client, "GET a"), Reply::Bulk(b"1".to_vec()));
}

#[test]
fn nothing_is_lost_or_doubled_while_others_write() {
    const KEYS: usize = 40;
    let (one, other) = (Server::start(2), Server::start(2));
    let mut client = connect(one.port());
    let port = one.port();
    let counts: Vec<i64> = std::thread::scope(|scope| {
        let writer = scope.spawn(move || {
            let mut client = connect(port);
            let mut counts = vec![0; KEYS];
            for n in 0..4_000 {
                assert!(run(&mut client, &format!("INCR key:{}", n % KEYS)).error().is_none());
                counts[n % KEYS] += 1;
            }
            counts
        });
        let mut round = 0;
        while !writer.is_finished() {
            let keys: Vec<String> = (0..3).map(|n| format!("key:{}", (round * 7 + n * 11) % KEYS)).collect();
            // What is there already is added to below: a name of its own for each time.
            let line = format!(
                "MIGRATE 127.0.0.1 {} \"\" {} 10000 KEYS {}",
                other.port(),
                round % 16,
                keys.join(" ")
            );
            let reply = run(&mut client, &line);
            let is_known = matches!(reply.text(), Some("OK" | "NOKEY"))
                || reply.error().is_some_and(|error| error.contains("BUSYKEY"));
            assert!(is_known, "{reply:?}");
            round += 1;
        }
        writer.join().expect("a writer ends")
    });
    // Each time that a counter went away it began anew here, so all parts together are what was counted.
    let mut target = connect(other.port());
    let mut found = vec![0; KEYS];
    let mut add = |client: &mut Connection| {
        for (n, sum) in found.iter_mut().enumerate() {
            if let Reply::Bulk(text) = run(client, &format!("GET key:{n}")) {
                *sum += String::from_utf8_lossy(&text).parse::<i64>().expect("a number");
            }
        }
    };
    add(&mut client);
    for database in 0..16 {
        run(&mut target, &format!("SELECT {database}"));
        add(&mut target);
    }
    assert_eq!(found, counts);
}
