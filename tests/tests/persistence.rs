//! Snapshots of the real process: what was saved is there again, here and on redis-server, and what redis-server has saved is there here.

use std::path::Path;
use std::process::Command;

use darter_tests::line::{info, run, run_all};
use darter_tests::reply::Reply;
use darter_tests::values::{Connection, call, connect, fill_all, seen};
use darter_tests::{Random, Server, binary, directory, free_port};

/// The lines in which a stream and its groups can be seen.
const STREAM: [&str; 4] = ["XRANGE s - +", "XINFO GROUPS s", "XPENDING s g", "XLEN s"];

#[test]
fn a_dump_goes_to_redis_and_back() {
    let directory = directory("dump-travels");
    let mut random = Random::new(21);
    let keys: Vec<String> = (0..120).map(|n| format!("key:{n}")).collect();
    let redis = Server::redis_in(&directory);
    let mut client = connect(redis.port());
    fill_all(&mut client, &keys, &mut random);
    let lines = [
        "XADD s 1-1 f v g w",
        "XADD s 2-1 f v",
        "XGROUP CREATE s g 0",
        "XREADGROUP GROUP g alice COUNT 1 STREAMS s >",
        "PEXPIREAT key:0 99999999999999",
        // They lie together, wherever each of them would lie alone.
        "MSET {a}1 1 {a}2 2 {a}3 3 {a}4 4",
        "MSET {b}1 1 {b}2 2 {b}3 3 {b}4 4",
        "SELECT 3",
        "SET three 3",
        "SELECT 0",
        "SAVE",
    ];
    run_all(&mut client, &lines);
    let all = |client: &mut Connection| -> Vec<Vec<String>> {
        let mut all: Vec<Vec<String>> = keys.iter().map(|key| seen(client, key)).collect();
        let lines = STREAM.iter().chain(&[
            "DBSIZE",
            "MGET {a}1 {a}2 {a}3 {a}4",
            "MGET {b}1 {b}2 {b}3 {b}4",
            "PEXPIRETIME key:0",
            "SELECT 3",
            "GET three",
            "SELECT 0",
        ]);
        all.push(lines.map(|line| format!("{:?}", run(client, line))).collect());
        all
    };
    let expected = all(&mut client);
    drop(redis);
    for shards in [1, 2] {
        let darter = Server::start_in(&directory, shards);
        let mut client = connect(darter.port());
        assert_eq!(all(&mut client), expected, "what redis-server has written, on {shards} shards");
        assert_eq!(info(&mut client, "rdb_last_load_keys_loaded"), "130");
        assert_eq!(run(&mut client, "SAVE").text(), Some("OK"));
        drop(darter);
        let check = Command::new("redis-check-rdb").arg(directory.join("dump.rdb")).output();
        assert!(check.expect("redis-check-rdb is installed").status.success());
        let redis = Server::redis_in(&directory);
        assert_eq!(all(&mut connect(redis.port())), expected, "what {shards} shards have written");
    }
    std::fs::remove_dir_all(directory).expect("it is ours");
}

/// Starts with the default of `save`, as a user does.
fn plain(directory: &Path, port: u16) -> Command {
    let mut command = Command::new(binary());
    command.args(["--port", &port.to_string(), "--shards", "2", "--dir"]).arg(directory);
    command
}

#[test]
fn a_clean_stop_saves_and_the_next_start_loads() {
    let directory = directory("clean-stop");
    for (signal, n) in [(true, 0), (false, 1)] {
        let port = free_port();
        let mut server = Server::spawn(plain(&directory, port), port);
        assert!(server.wait_for("Ready to accept connections"));
        let mut client = connect(port);
        assert_eq!(
            run(&mut client, "GET count"),
            match n {
                0 => Reply::Nil,
                n => Reply::Bulk(n.to_string().into_bytes()),
            }
        );
        assert_eq!(run(&mut client, "INCR count"), Reply::Integer(n + 1));
        match signal {
            true => server.signal(libc::SIGTERM),
            false => assert_eq!(client_end(&mut client, "SHUTDOWN"), None),
        }
        assert!(server.wait().success());
    }
    let port = free_port();
    let mut server = Server::spawn(plain(&directory, port), port);
    assert!(server.wait_for("Ready to accept connections"));
    let mut client = connect(port);
    assert_eq!(run(&mut client, "INCR count"), Reply::Integer(3));
    assert_eq!(client_end(&mut client, "SHUTDOWN NOSAVE"), None);
    assert!(server.wait().success());
    let server = Server::start_in(&directory, 1);
    assert_eq!(run(&mut connect(server.port()), "GET count"), Reply::Bulk(b"2".to_vec()));
    drop(server);
    std::fs::remove_dir_all(directory).expect("it is ours");
}

/// Says words; the error, if the connection does not end.
fn client_end(client: &mut Connection, line: &str) -> Option<String> {
    use std::io::{Read, Write};
    client.get_mut().write_all(format!("{line}\r\n").as_bytes()).expect("the server reads");
    let mut rest = String::new();
    // It ends without a reply.
    let _ = client.read_to_string(&mut rest);
    Some(rest).filter(|rest| !rest.is_empty())
}

#[test]
fn a_file_that_is_wrong_is_refused_with_the_place() {
    let directory = directory("wrong-file");
    let server = Server::start_in(&directory, 2);
    let mut client = connect(server.port());
    for n in 0..100 {
        run(&mut client, &format!("SET key:{n} value:{n}"));
    }
    assert_eq!(run(&mut client, "SAVE").text(), Some("OK"));
    drop(server);
    let path = directory.join("dump.rdb");
    let whole = std::fs::read(&path).expect("it was saved");
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 0x20;
    for (bytes, words) in [
        (&whole[..whole.len() - 200], "the file ends too early"),
        (&whole[..whole.len() - 3], "the checksum at its end is missing"),
        (&changed[..], "at byte"),
        (b"no dump at all", "it does not begin as a dump does"),
    ] {
        std::fs::write(&path, bytes).expect("it is ours");
        let port = free_port();
        let mut command = plain(&directory, port);
        command.args(["--save", ""]);
        let mut server = Server::spawn(command, port);
        assert!(!server.wait().success(), "{words}");
        let said = server.stderr();
        assert!(said.contains("dump.rdb cannot be loaded: at byte") && said.contains(words), "{said}");
        assert_eq!(std::fs::read(&path).expect("it stays"), bytes, "the file is left alone");
    }
    std::fs::remove_dir_all(directory).expect("it is ours");
}

#[test]
fn a_cron_expression_is_taken_at_the_start_and_later_or_refused() {
    let directory = directory("cron");
    let flags = ["--dir", directory.to_str().expect("text"), "--snapshot-cron", "0 0 29 feb *"];
    let server = Server::start_with(2, &flags);
    let mut client = connect(server.port());
    let pair =
        |value: &str| Reply::Array(["snapshot-cron", value].map(|word| Reply::Bulk(word.into())).into());
    assert_eq!(run(&mut client, "CONFIG GET snapshot-cron"), pair("0 0 29 feb *"));
    let refused = call(&mut client, &[b"CONFIG", b"SET", b"snapshot-cron", b"* 24 * * *"]);
    assert!(refused.error().is_some_and(|why| why.contains("'24' is no hour")), "{refused:?}");
    assert_eq!(call(&mut client, &[b"CONFIG", b"SET", b"snapshot-cron", b"* * * * *"]).text(), Some("OK"));
    assert_eq!(run(&mut client, "CONFIG GET snapshot-cron"), pair("* * * * *"));
    drop(server);
    let port = free_port();
    let mut command = plain(&directory, port);
    command.args(["--snapshot-cron", "* * *"]);
    let mut server = Server::spawn(command, port);
    assert!(!server.wait().success());
    let said = server.stderr();
    assert!(said.contains("five fields"), "{said}");
    std::fs::remove_dir_all(directory).expect("it is ours");
}

#[test]
fn who_cannot_save_says_so_and_changes_nothing_any_more() {
    let directory = directory("cannot-save");
    let server = Server::start_with(2, &["--dir", directory.to_str().expect("text"), "--save", "3600 1"]);
    let mut client = connect(server.port());
    assert_eq!(run(&mut client, "SET a 1").text(), Some("OK"));
    std::fs::remove_dir_all(&directory).expect("it is ours");
    let failed = run(&mut client, "SAVE");
    assert!(failed.error().is_some_and(|error| error.starts_with("ERR")), "{failed:?}");
    assert_eq!(info(&mut client, "rdb_last_bgsave_status"), "err");
    for line in ["SET a 2", "PING"] {
        let refused = run(&mut client, line);
        assert!(refused.error().is_some_and(|error| error.starts_with("MISCONF")), "{line}: {refused:?}");
    }
    assert_eq!(run(&mut client, "GET a"), Reply::Bulk(b"1".to_vec()));
    let stop = run(&mut client, "SHUTDOWN");
    assert_eq!(stop.error(), Some("ERR Errors trying to SHUTDOWN. Check logs."));
    std::fs::create_dir_all(&directory).expect("a directory");
    assert_eq!(run(&mut client, "SAVE").text(), Some("OK"));
    assert_eq!(run(&mut client, "SET a 2").text(), Some("OK"));
    assert_eq!(run(&mut client, "PING").text(), Some("PONG"));
    assert_eq!(info(&mut client, "rdb_last_bgsave_status"), "ok");
    drop(server);
    std::fs::remove_dir_all(directory).expect("it is ours");
}

#[test]
fn who_saves_says_how_far_it_is() {
    let directory = directory("how-far");
    let server = Server::start_in(&directory, 2);
    let mut client = connect(server.port());
    for n in 0..200 {
        let pairs: String = (0..100).map(|k| format!(" key:{n}:{k} {k}")).collect();
        assert_eq!(run(&mut client, &format!("MSET{pairs}")).text(), Some("OK"));
    }
    // A snapshot of twenty thousand keys may be over before anybody looks, but not each time.
    let is_seen = (0..1_000).any(|_| {
        assert_eq!(run(&mut client, "BGSAVE").text(), Some("Background saving started"));
        let mut is_seen = false;
        loop {
            let Reply::Bulk(text) = run(&mut client, "INFO persistence") else {
                panic!("INFO answers with text")
            };
            let text = String::from_utf8(text).expect("text");
            let number = |name: &str| {
                let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
                value.expect("it is there").parse::<u64>().expect("a number")
            };
            let (written, total) = (number("current_save_keys_processed"), number("current_save_keys_total"));
            assert!(written <= total && total <= 20_000, "{written} of {total}");
            is_seen |= total == 20_000;
            if number("rdb_bgsave_in_progress") == 0 {
                assert_eq!((written, total), (0, 0), "nothing is saved");
                break is_seen;
            }
        }
    });
    assert!(is_seen);
    drop(server);
    std::fs::remove_dir_all(directory).expect("it is ours");
}

#[test]
fn a_snapshot_is_one_moment_while_everything_changes() {
    // Two counters on different shards that are always changed together, and many keys around them, so that it takes a while.
    let directory = directory("one-moment");
    let server = Server::start_in(&directory, 2);
    let mut client = connect(server.port());
    for n in 0..20_000 {
        use std::io::Write;
        let line = format!("SET filler:{n} {}\r\n", "x".repeat(100));
        client.get_mut().write_all(line.as_bytes()).expect("the server reads");
    }
    for _ in 0..20_000 {
        assert_eq!(Reply::read(&mut client).expect("a reply").text(), Some("OK"));
    }
    let mut saver = connect(server.port());
    let mut n = 0;
    for round in 0..5 {
        assert_eq!(run(&mut saver, "BGSAVE").text(), Some("Background saving started"));
        while info(&mut saver, "rdb_bgsave_in_progress") == "1" {
            for _ in 0..50 {
                n += 1;
                let set = format!("MSET a {n} b {n} c {n} d {n} filler:{} {n}", n % 20_000);
                assert_eq!(run(&mut client, &set).text(), Some("OK"));
            }
        }
        assert_eq!(info(&mut saver, "rdb_last_bgsave_status"), "ok");
        let loaded = Server::start_in(&directory, 1);
        let Reply::Array(counters) = run(&mut connect(loaded.port()), "MGET a b c d") else {
            panic!("MGET answers with an array")
        };
        assert!(counters.iter().all(|counter| *counter == counters[0]), "round {round}: {counters:?}");
    }
    drop(server);
    std::fs::remove_dir_all(directory).expect("it is ours");
}

#[test]
fn large_values_are_of_one_moment_though_they_are_written_in_slices() {
    // Values of some megabytes on both shards, all changed together, while they are in the midst of being written and at other times.
    const KEYS: [&str; 5] = ["list", "set", "hash", "zset", "text"];
    const COMMANDS: usize = 7;
    // What redis-server 7.0 says of a stream as we do: idle times aside.
    const OF_STREAM: [&str; 3] = ["XRANGE stream - +", "XINFO GROUPS stream", "XPENDING stream readers"];
    let directory = directory("large-values");
    let server = Server::start_in(&directory, 2);
    let mut client = connect(server.port());
    let text = "text ".repeat(400_000);
    assert_eq!(call(&mut client, &[b"SET", b"text", text.as_bytes()]).text(), Some("OK"));
    let commands = |n: usize| {
        format!(
            "RPUSH list element:{n}\r\nSADD set member:{n}\r\nHSET hash field:{n} value:{n}\r\nZADD zset {n} member:{n}\r\n\
             SETRANGE text {} {n:08}\r\nXADD stream {n}-1 field value:{n}\r\n\
             XREADGROUP GROUP readers consumer:{} COUNT 1 STREAMS stream >\r\n",
            n * 20,
            n % 1_000
        )
    };
    assert_eq!(run(&mut client, "XGROUP CREATE stream readers 0 MKSTREAM").text(), Some("OK"));
    let mut say = |lines: &str, replies: usize| {
        let mut writer = client.get_ref().try_clone().expect("a second hand");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::io::Write::write_all(&mut writer, lines.as_bytes()).expect("the server reads")
            });
            (0..replies).for_each(|_| assert_eq!(Reply::read(&mut client).expect("a reply").error(), None));
        });
    };
    say(&(0..60_000).map(commands).collect::<String>(), 60_000 * COMMANDS);
    let (mut saver, mut n) = (connect(server.port()), 60_000);
    for (round, shards) in [1, 2, 3].into_iter().enumerate() {
        let before = n;
        assert_eq!(run(&mut saver, "BGSAVE").text(), Some("Background saving started"));
        while info(&mut saver, "rdb_bgsave_in_progress") == "1" {
            say(&format!("MULTI\r\n{}EXEC\r\n", commands(n)), COMMANDS + 2);
            n += 1;
        }
        assert_eq!(info(&mut saver, "rdb_last_bgsave_status"), "ok");
        let darter = Server::start_in(&directory, shards);
        let redis = Server::redis_in(&directory);
        let [mut here, mut there] = [&darter, &redis].map(|server| connect(server.port()));
        let Reply::Integer(len) = run(&mut here, "LLEN list") else { panic!("LLEN answers with a number") };
        assert!((before..=n).contains(&(len as usize)), "round {round}: {len}");
        for line in ["SCARD set", "HLEN hash", "ZCARD zset", "XLEN stream"] {
            assert_eq!(run(&mut here, line), Reply::Integer(len), "round {round}: {line}");
        }
        for (line, expected) in [
            (format!("GETRANGE text {} {}", (len - 1) * 20, (len - 1) * 20 + 7), format!("{:08}", len - 1)),
            (format!("GETRANGE text {} {}", len * 20, len * 20 + 4), "text ".into()),
            ("LINDEX list -1".into(), format!("element:{}", len - 1)),
            ("ZREVRANGE zset 0 0".into(), format!("member:{}", len - 1)),
            (format!("HGET hash field:{}", len - 1), format!("value:{}", len - 1)),
        ] {
            let found = match run(&mut here, &line) {
                Reply::Array(mut one) => one.remove(0),
                other => other,
            };
            assert_eq!(found, Reply::Bulk(expected.into_bytes()), "round {round}: {line}");
        }
        for key in KEYS {
            assert!(
                seen(&mut here, key) == seen(&mut there, key),
                "round {round}: {key} is another on redis-server"
            );
        }
        for line in OF_STREAM {
            let [ours, theirs] = [&mut here, &mut there].map(|client| run(client, line));
            assert!(ours == theirs, "round {round}: {line} is another on redis-server");
        }
        let pending = |at: i64| format!("XPENDING stream readers {at}-1 {at}-1 1");
        for (line, found) in [(pending(len - 1), 1), (pending(len), 0)] {
            let Reply::Array(of) = run(&mut here, &line) else { panic!("{line} answers with a list") };
            assert_eq!(of.len(), found, "round {round}: {line}");
        }
    }
    assert!(n > 60_003, "something was changed meanwhile: {n}");
    drop(server);
    std::fs::remove_dir_all(directory).expect("it is ours");
}
