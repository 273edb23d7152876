//! The append-only log of the real process: who is killed has lost nothing that it has acknowledged, on as many shards as it starts again with.

use std::path::Path;
use std::process::Command;

use darter_tests::line::{info, run, run_all};
use darter_tests::reply::Reply;
use darter_tests::values::{Connection, connect, fill_all, seen, try_call};
use darter_tests::{Random, Server, binary, directory, free_port};

fn start(directory: &Path, shards: u16, policy: &str) -> Server {
    let directory = directory.to_str().expect("text");
    Server::start_with(shards, &["--dir", directory, "--appendonly", "yes", "--appendfsync", policy])
}

/// Waits until a rewrite that was asked for is over.
fn rewritten(client: &mut Connection, times: &str) {
    for _ in 0..10_000 {
        if info(client, "aof_rewrites") == times {
            return;
        }
    }
    panic!("the log is not written anew");
}

/// Other lines that change things, each for itself or several keys at once.
const LINES: [&str; 22] = [
    "SET text value PX 100000000",
    "MSET a 1 b 2 c 3 d 4 e 5 f 6",
    "DEL c d",
    "RPUSH l 1 2 3",
    "LMOVE l m LEFT RIGHT",
    "LMPOP 2 nosuch l RIGHT COUNT 1",
    "SADD s x y z w v",
    "SPOP s 2",
    "SMOVE s t x",
    "ZADD z 1 one 2 two 3 three",
    "BZPOPMIN z 1",
    "ZUNIONSTORE u 1 z",
    "HSET h f 1 g 2",
    "HPEXPIRE h 100000000 FIELDS 1 f",
    "XADD x 1-1 f v",
    "XADD x MAXLEN ~ 100 2-1 f w",
    "XGROUP CREATE x g 0",
    "XREADGROUP GROUP g alice COUNT 1 STREAMS x >",
    "RENAME a renamed",
    "COPY b copied",
    "INCRBYFLOAT number 0.1",
    "EXPIRE e 100000",
];

fn keys() -> Vec<String> {
    (0..60).map(|n| format!("key:{n}")).collect()
}

/// Something of every type, written in all ways.
fn fill(client: &mut Connection) {
    fill_all(client, &keys(), &mut Random::new(31));
    run_all(client, &LINES);
    let databases =
        ["SELECT 2", "SET moved 1", "SELECT 0", "SWAPDB 2 3", "MULTI", "SET a 9", "INCR b", "EXEC"];
    run_all(client, &databases);
}

/// All of it, as it is seen.
fn all(client: &mut Connection) -> Vec<Vec<String>> {
    let names =
        ["text", "a", "b", "c", "d", "e", "f", "l", "m", "s", "t", "z", "u", "h", "renamed", "copied"];
    let keys = keys();
    let names = keys.iter().map(String::as_str).chain(names);
    let mut all: Vec<Vec<String>> = names.map(|key| seen(client, key)).collect();
    let lines = [
        "DBSIZE",
        "XRANGE x - +",
        "XPENDING x g",
        "PEXPIRETIME text",
        "EXPIRETIME e",
        "HPEXPIRETIME h FIELDS 1 f",
        "GET number",
        "SELECT 3",
        "GET moved",
        "SELECT 0",
    ];
    all.push(lines.iter().map(|line| format!("{:?}", run(client, line))).collect());
    all
}

#[test]
fn who_is_killed_has_everything_again_on_any_number_of_shards() {
    for (policy, shards) in [("always", [2, 1, 3]), ("everysec", [1, 2, 2]), ("no", [3, 2, 1])] {
        let directory = directory(&format!("log-{policy}"));
        let mut server = start(&directory, shards[0], policy);
        let mut client = connect(server.port());
        fill(&mut client);
        for (round, next) in shards[1..].iter().enumerate() {
            let expected = all(&mut client);
            server.kill();
            server = start(&directory, *next, policy);
            client = connect(server.port());
            assert_eq!(all(&mut client), expected, "{policy}, {next} shards");
            if round == 0 {
                let text = "Background append only file rewriting started";
                assert_eq!(run(&mut client, "BGREWRITEAOF").text(), Some(text));
                assert_eq!(run(&mut client, "SET after 1").text(), Some("OK"));
                rewritten(&mut client, "1");
            }
            run(&mut client, "INCR after");
        }
        assert_eq!(info(&mut client, "aof_enabled"), "1");
        assert_eq!(info(&mut client, "aof_last_write_status"), "ok");
        server.kill();
        std::fs::remove_dir_all(directory).expect("the directory goes");
    }
}

#[test]
fn the_log_is_read_back_by_a_server_that_goes_on_writing_it() {
    for (policy, shards) in [("always", [2, 3]), ("everysec", [1, 2]), ("no", [3, 1])] {
        let directory = directory(&format!("log-again-{policy}"));
        let start = |shards: u16| {
            let directory = directory.to_str().expect("text");
            let log = ["--dir", directory, "--appendonly", "yes", "--appendfsync", policy];
            Server::start_with(shards, &[&log[..], &["--enable-debug-command", "yes"]].concat())
        };
        let mut server = start(shards[0]);
        let mut client = connect(server.port());
        fill(&mut client);
        let expected = all(&mut client);
        assert_eq!(run(&mut client, "DEBUG LOADAOF").text(), Some("OK"));
        assert_eq!(all(&mut client), expected, "{policy}");
        // Behind a rewrite, and while others change things all the while: none of it is lost.
        run(&mut client, "BGREWRITEAOF");
        let port = server.port();
        let counted = std::thread::scope(|scope| {
            let busy = scope.spawn(move || {
                let mut client = connect(port);
                let mut pairs = 0;
                while run(&mut client, "GET stop") == Reply::Nil {
                    pairs += 1;
                    let pair = format!("MSET left {pairs} right {pairs}");
                    assert_eq!(run(&mut client, &pair).text(), Some("OK"));
                }
                pairs
            });
            for _ in 0..20 {
                assert_eq!(run(&mut client, "DEBUG LOADAOF").text(), Some("OK"));
                let Reply::Array(pair) = run(&mut client, "MGET left right") else { panic!("a pair") };
                assert_eq!(pair[0], pair[1], "{policy}");
            }
            run(&mut client, "SET stop 1");
            busy.join().expect("it counts")
        });
        let counted = Reply::Bulk(counted.to_string().into_bytes());
        assert_eq!(run(&mut client, "MGET left right"), Reply::Array(vec![counted.clone(), counted]));
        run_all(&mut client, &["DEL left right stop", "RPUSH l again", "SET a 10", "SPOP s"]);
        let expected = all(&mut client);
        server.kill();
        server = start(shards[1]);
        client = connect(server.port());
        assert_eq!(all(&mut client), expected, "{policy}, {} shards", shards[1]);
        server.kill();
        std::fs::remove_dir_all(directory).expect("the directory goes");
    }
}

/// How often the process is killed under load: a few times, or as often as `KILL_ROUNDS` says.
fn rounds() -> u16 {
    std::env::var("KILL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(6)
}

#[test]
fn what_is_acknowledged_under_load_is_there_whenever_it_ends() {
    let directory = directory("log-load");
    const CLIENTS: usize = 4;
    let mut random = Random::new(7);
    let mut counts = [0u64; CLIENTS];
    for round in 0..rounds() {
        let policy = if round % 2 == 0 { "always" } else { "everysec" };
        let server = start(&directory, 1 + round % 3, policy);
        let mut client = connect(server.port());
        for (n, count) in counts.iter().enumerate() {
            // A pair on two shards, written at once, is never torn; what was acknowledged is there.
            let pair = run(&mut client, &format!("MGET left:{n} right:{n}"));
            let Reply::Array(pair) = pair else { panic!("a pair") };
            assert_eq!(pair[0], pair[1], "round {round}");
            let found = match &pair[0] {
                Reply::Bulk(text) => String::from_utf8_lossy(text).parse().expect("a number"),
                _ => 0u64,
            };
            assert!(found >= *count, "round {round}: client {n} has heard of {count}, there is {found}");
        }
        let (port, after) = (server.port(), 20 + random.below(160));
        let rewrite_every = 5 + random.below(60);
        // Before one of them is done, which ends the server, all must be there.
        let clients: Vec<Connection> = counts.iter().map(|_| connect(port)).collect();
        std::thread::scope(|scope| {
            let mut busy = Vec::new();
            for ((n, count), mut client) in counts.iter_mut().enumerate().zip(clients) {
                busy.push(scope.spawn(move || {
                    for done in 1.. {
                        let next = *count + 1;
                        let words = format!("MSET left:{n} {next} right:{n} {next}");
                        let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
                        if try_call(&mut client, &words).is_none() {
                            return;
                        }
                        *count = next;
                        if n == 0 && done == after {
                            return;
                        }
                        if n == 1 && done % rewrite_every == 0 {
                            try_call(&mut client, &[b"BGREWRITEAOF"]);
                        }
                    }
                }));
            }
            // The others are in the middle of something.
            let first = busy.remove(0);
            first.join().expect("a client ends");
            server.signal(libc::SIGKILL);
        });
        server.kill();
    }
    std::fs::remove_dir_all(directory).expect("the directory goes");
}

/// A server whose files may have so many blocks of 512 bytes at first: what a full disk is to it.
fn start_limited(directory: &Path, policy: &str, blocks: u32) -> Server {
    let port = free_port();
    let mut command = Command::new("sh");
    // Of the signal that comes with the limit a server on a full disk knows nothing.
    command.args(["-c", &format!("trap '' XFSZ; ulimit -S -f {blocks}; exec \"$0\" \"$@\"")]).arg(binary());
    command.args(["--port", &port.to_string(), "--shards", "2", "--save", "", "--appendonly", "yes"]);
    command.args(["--appendfsync", policy, "--auto-aof-rewrite-percentage", "0", "--dir"]).arg(directory);
    let mut server = Server::spawn(command, port);
    assert!(server.wait_for("Ready to accept connections"));
    server
}

/// Keys that were acknowledged, until something else is heard, or nothing.
fn fill_up(client: &mut Connection, random: &mut Random) -> (Vec<String>, Option<Reply>) {
    let mut acknowledged = Vec::new();
    for n in 0..100_000 {
        let key = format!("key:{n}");
        let value: Vec<u8> = (0..1_000).map(|_| random.below(256) as u8).collect();
        match try_call(client, &[b"SET", key.as_bytes(), &value]) {
            Some(Reply::Simple(_)) => acknowledged.push(key),
            other => return (acknowledged, other),
        }
    }
    panic!("the disk is never full");
}

fn are_there(client: &mut Connection, keys: &[String]) {
    for key in keys {
        assert_eq!(run(client, &format!("STRLEN {key}")), Reply::Integer(1_000), "{key} was acknowledged");
    }
}

#[test]
fn on_a_full_disk_nothing_is_lost_and_service_goes_on_when_there_is_room() {
    let directory = directory("log-full");
    let mut random = Random::new(5);
    let server = start_limited(&directory, "everysec", 200);
    let mut client = connect(server.port());
    let (acknowledged, refusal) = fill_up(&mut client, &mut random);
    assert!(acknowledged.len() > 100, "{}", acknowledged.len());
    let refused = |reply: Option<Reply>| {
        let is_refusal =
            reply.as_ref().and_then(Reply::error).is_some_and(|text| text.contains("MISCONF Errors writing"));
        assert!(is_refusal, "{reply:?}");
    };
    refused(refusal);
    are_there(&mut client, &acknowledged);
    assert_eq!(info(&mut client, "aof_last_write_status"), "err");
    // There is no room for a snapshot either, which fails and leaves nothing behind.
    run(&mut client, "BGSAVE");
    while info(&mut client, "rdb_bgsave_in_progress") == "1" {}
    assert_eq!(info(&mut client, "rdb_last_bgsave_status"), "err");
    let names = |what: &str| {
        let files = std::fs::read_dir(&directory).expect("a directory");
        files
            .filter(|file| file.as_ref().expect("a file").file_name().to_string_lossy().contains(what))
            .count()
    };
    assert_eq!((names("temp-"), names(".rdb")), (0, 0));
    let limit =
        Command::new("prlimit").args(["--pid", &server.pid().to_string(), "--fsize=unlimited:"]).status();
    assert!(limit.expect("there is prlimit").success());
    // Each shard tries again within a second.
    for n in 0..20 {
        let mut tries = 0;
        while run(&mut client, &format!("SET again:{n} 1")).error().is_some() {
            tries += 1;
            assert!(tries < 1_000_000, "it does not go on");
        }
    }
    assert_eq!(run(&mut client, "WAITAOF 1 0 0"), Reply::Array(vec![Reply::Integer(1), Reply::Integer(0)]));
    run(&mut client, "BGSAVE");
    while info(&mut client, "rdb_bgsave_in_progress") == "1" {}
    assert_eq!(info(&mut client, "rdb_last_bgsave_status"), "ok");
    server.kill();
    let server = start(&directory, 3, "everysec");
    let mut client = connect(server.port());
    are_there(&mut client, &acknowledged);
    assert_eq!(run(&mut client, "GET again:19").text(), Some("1"));
    server.kill();
    std::fs::remove_dir_all(directory).expect("the directory goes");
}

#[test]
fn who_is_killed_on_a_full_disk_has_every_transaction_whole() {
    // So many that they lie on both shards, whose logs are not full at one time.
    const KEYS: usize = 24;
    const CLIENTS: usize = 4;
    let directory = directory("log-full-killed");
    let server = start_limited(&directory, "everysec", 200);
    let port = server.port();
    let mut client = connect(port);
    let clients: Vec<Connection> = (0..CLIENTS).map(|_| connect(port)).collect();
    let acknowledged: Vec<u64> = std::thread::scope(|scope| {
        let busy = clients.into_iter().enumerate().map(|(n, mut client)| {
            scope.spawn(move || {
                for count in 1.. {
                    let pairs: String = (0..KEYS).map(|key| format!(" {n}:{key} {count}")).collect();
                    let words = format!("MSET{pairs}");
                    let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
                    match try_call(&mut client, &words) {
                        Some(Reply::Simple(_)) => {}
                        // Whose transaction was under way waits until there is room, here for ever.
                        None => return count - 1,
                        Some(Reply::Error(text)) if text.starts_with("MISCONF Errors writing") => {
                            return count - 1;
                        }
                        Some(other) => panic!("{other:?}"),
                    }
                }
                0
            })
        });
        let busy: Vec<_> = busy.collect();
        // Sooner or later all cores know that one of them cannot write.
        while run(&mut client, "SET one 1").error().is_none() {}
        let mut others: Vec<Connection> = (0..CLIENTS).map(|_| connect(port)).collect();
        for other in &mut others {
            while run(other, "SET other 1").error().is_none() {}
            let text = run(other, "PING");
            assert!(text.error().is_some_and(|text| text.starts_with("MISCONF")), "{text:?}");
        }
        server.signal(libc::SIGKILL);
        busy.into_iter().map(|busy| busy.join().expect("a client ends")).collect()
    });
    server.kill();
    assert!(acknowledged.iter().all(|count| *count > 0), "{acknowledged:?}");
    let server = start(&directory, 3, "everysec");
    let mut client = connect(server.port());
    for (n, acknowledged) in acknowledged.iter().enumerate() {
        let keys: String = (0..KEYS).map(|key| format!(" {n}:{key}")).collect();
        let Reply::Array(values) = run(&mut client, &format!("MGET{keys}")) else { panic!("values") };
        assert!(values.iter().all(|value| *value == values[0]), "{values:?}");
        let count: u64 = values[0].text().and_then(|text| text.parse().ok()).unwrap_or(0);
        assert!(count >= *acknowledged, "{acknowledged} were acknowledged, there are {count}");
    }
    server.kill();
    std::fs::remove_dir_all(directory).expect("the directory goes");
}

#[test]
fn who_syncs_first_ends_on_a_full_disk_and_has_everything_again() {
    let directory = directory("log-full-always");
    let mut random = Random::new(6);
    let mut server = start_limited(&directory, "always", 200);
    let (acknowledged, last) = fill_up(&mut connect(server.port()), &mut random);
    assert_eq!(last, None, "it says nothing that it cannot keep");
    assert!(!server.wait().success());
    assert!(server.wait_for("Exiting: "), "{:?}", server.log());
    let server = start(&directory, 2, "always");
    let mut client = connect(server.port());
    are_there(&mut client, &acknowledged);
    assert_eq!(
        run(&mut client, "DBSIZE"),
        Reply::Integer(acknowledged.len() as i64),
        "nothing else is there"
    );
    server.kill();
    std::fs::remove_dir_all(directory).expect("the directory goes");
}

#[test]
fn a_log_is_switched_on_and_off_and_waited_for() {
    let directory = directory("log-switch");
    let path = directory.to_str().expect("text").to_string();
    let server = Server::start_with(2, &["--dir", &path]);
    let mut client = connect(server.port());
    run(&mut client, "MSET a 1 b 2 c 3");
    assert_eq!(run(&mut client, "CONFIG SET appendonly yes").text(), Some("OK"));
    rewritten(&mut client, "1");
    run(&mut client, "SET d 4");
    assert_eq!(run(&mut client, "WAITAOF 1 0 0"), Reply::Array(vec![Reply::Integer(1), Reply::Integer(0)]));
    server.kill();
    let server = start(&directory, 1, "everysec");
    let mut client = connect(server.port());
    assert_eq!(run(&mut client, "DBSIZE"), Reply::Integer(4));
    assert_eq!(run(&mut client, "CONFIG SET appendonly no").text(), Some("OK"));
    assert!(run(&mut client, "WAITAOF 1 0 0").error().is_some());
    server.kill();
    std::fs::remove_dir_all(directory).expect("the directory goes");
}

#[test]
fn a_dump_is_the_beginning_of_a_first_log() {
    let directory = directory("log-dump");
    let path = directory.to_str().expect("text").to_string();
    let server = Server::start_with(2, &["--dir", &path]);
    let mut client = connect(server.port());
    run(&mut client, "MSET a 1 b 2 c 3");
    run(&mut client, "SAVE");
    server.kill();
    let server = start(&directory, 2, "everysec");
    let mut client = connect(server.port());
    assert_eq!(run(&mut client, "DBSIZE"), Reply::Integer(3), "nothing is lost by switching the log on");
    rewritten(&mut client, "1");
    run(&mut client, "SET d 4");
    server.kill();
    let server = start(&directory, 2, "everysec");
    assert_eq!(run(&mut connect(server.port()), "DBSIZE"), Reply::Integer(4));
    drop(server);
    std::fs::remove_dir_all(directory).expect("the directory goes");
}

#[test]
fn a_log_that_is_damaged_is_refused_and_one_that_is_torn_is_not() {
    let directory = directory("log-torn");
    let server = start(&directory, 1, "always");
    let mut client = connect(server.port());
    for n in 0..10 {
        run(&mut client, &format!("SET key:{n} {n}"));
    }
    server.kill();
    let log = directory.join("appendonlydir/appendonly.aof.1.0.log");
    let whole = std::fs::read(&log).expect("a log");
    // What is torn at the end was never acknowledged; here it was, and the last key goes.
    std::fs::write(&log, &whole[..whole.len() - 3]).expect("written");
    assert!(Server::refusal(&directory, &["--aof-load-truncated", "no"]).contains("no whole group"));
    let server = start(&directory, 1, "always");
    assert_eq!(run(&mut connect(server.port()), "DBSIZE"), Reply::Integer(9));
    server.kill();
    // A changed byte in the middle is not passed over.
    let mut changed = whole;
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    std::fs::write(&log, changed).expect("written");
    let said = Server::refusal(&directory, &[]);
    assert!(said.contains("cannot be loaded") && said.contains("appendonly.aof.1.0.log"), "{said}");
    std::fs::write(directory.join("appendonlydir/appendonly.aof.manifest"), "nonsense").expect("written");
    assert!(Server::refusal(&directory, &[]).contains("line 1 is not understood"));
    std::fs::remove_dir_all(directory).expect("the directory goes");
}
