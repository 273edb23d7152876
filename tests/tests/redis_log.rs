//! What redis-server has written into its append-only directory is there when Darter starts on it, whatever form it has and however it ended.

use std::path::{Path, PathBuf};
use std::process::Command;

use darter_tests::line::{info, run, run_all};
use darter_tests::reply::Reply;
use darter_tests::values::{Connection, call, connect, fill_all, seen};
use darter_tests::{Random, Server, directory};

/// Waits until everything that the manifest names is in Darter's own form.
fn turned(client: &mut Connection, directory: &Path) {
    let path = directory.join("appendonlydir/appendonly.aof.manifest");
    let is_ours = |line: &str| {
        let is_snapshot = line.contains(".base.rdb ") && line.ends_with(" type b");
        is_snapshot || line.contains(" type l ") || line.starts_with("# ")
    };
    let is_turned = || std::fs::read_to_string(&path).expect("a manifest").lines().all(is_ours);
    let mut polls = 0..100_000;
    assert!(polls.any(|_| is_turned() || info(client, "loading") == "1"), "the log is not written anew");
}

fn start(directory: &Path, shards: u16, flags: &[&str]) -> Server {
    let directory = directory.to_str().expect("text");
    Server::start_with(shards, &[&["--dir", directory, "--appendonly", "yes"], flags].concat())
}

/// Changes of every kind: on keys of each type, on several keys at once, on whole databases.
const LINES: [&str; 58] = [
    "SET text value PX 100000000",
    "SETEX soon 100000 value",
    "MSET a 1 b 2 c 3 d 4 e 5 f 6",
    "MSETNX one 1 two 2",
    "DEL c d",
    "APPEND text more",
    "SETRANGE text 3 xyz",
    "SETBIT bits 100 1",
    "BITOP NOT stib bits",
    "PFADD hll a b c",
    "PFADD other d e",
    "PFMERGE both hll other",
    "PFCOUNT both",
    "RPUSH l 1 2 3 4 5 6",
    "LMOVE l m LEFT RIGHT",
    "RPOPLPUSH l m",
    "LMPOP 2 nosuch l RIGHT COUNT 1",
    "BLPOP l 1",
    "SORT l BY nosort STORE sorted",
    "SADD s x y z w v",
    "SPOP s 2",
    "SADD s x",
    "SMOVE s t x",
    "SUNIONSTORE union s t",
    "ZADD z 1 one 2 two 3 three",
    "BZPOPMIN z 1",
    "ZUNIONSTORE u 1 z",
    "ZRANGESTORE range z 0 0",
    "GEOADD geo 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
    "GEOSEARCHSTORE near geo FROMMEMBER Palermo BYRADIUS 500 km",
    "HSET h f 1 g 2 n 3",
    "HINCRBYFLOAT h f 0.5",
    "HDEL h g",
    "XADD x 1-1 f v",
    "XADD x MAXLEN ~ 100 * f w",
    "XADD x NOMKSTREAM 9999999999999-1 f u",
    "XGROUP CREATE x g 0",
    "XGROUP CREATECONSUMER x g bob",
    "XREADGROUP GROUP g alice COUNT 2 STREAMS x >",
    "XACK x g 1-1",
    "XCLAIM x g bob 0 9999999999999-1",
    "XGROUP CREATE empty g $ MKSTREAM",
    "RENAME a renamed",
    "COPY b copied",
    "INCRBYFLOAT number 0.1",
    "EXPIRE e 100000",
    "GETEX f EX 100000",
    "SET gone value PX 1",
    "SET past value EXAT 1",
    "PERSIST soon",
    "SELECT 5",
    "SET flushed 1",
    "FLUSHDB",
    "SELECT 2",
    "SET moved 1",
    "MOVE moved 4",
    "SWAPDB 4 3",
    "SELECT 0",
];

const NAMES: [&str; 40] = [
    "text", "soon", "a", "b", "c", "d", "e", "f", "one", "two", "bits", "stib", "l", "m", "sorted", "s", "t",
    "union", "z", "u", "range", "geo", "near", "h", "x", "empty", "renamed", "copied", "number", "gone",
    "past", "later", "p", "q", "r", "left", "right", "nosuch", "tail", "after",
];

/// All that can be seen of what is there.
fn all(client: &mut Connection, keys: &[String]) -> Vec<Vec<String>> {
    let names: Vec<&str> = keys.iter().map(String::as_str).chain(NAMES).collect();
    let mut all: Vec<Vec<String>> = Vec::new();
    for name in names {
        let mut value = seen(client, name);
        value.push(format!("{name}: {:?}", run(client, &format!("PEXPIRETIME {name}"))));
        all.push(value);
    }
    let lines = [
        "DBSIZE",
        "XRANGE x - +",
        "XINFO GROUPS x",
        "XPENDING x g",
        "XLEN empty",
        "XINFO GROUPS empty",
        "PFCOUNT hll",
        "PFCOUNT other",
        "PFCOUNT both",
        "SELECT 3",
        "GET moved",
        "DBSIZE",
        "SELECT 5",
        "DBSIZE",
        "SELECT 0",
    ];
    all.push(lines.iter().map(|line| format!("{line}: {:?}", run(client, line))).collect());
    // Who was last handed an entry when, in milliseconds since: only that it is known.
    let Reply::Array(pending) = run(client, "XPENDING x g - + 10") else { panic!("a list") };
    for entry in pending {
        let Reply::Array(mut entry) = entry else { panic!("an entry") };
        let Reply::Integer(idle) = entry.remove(2) else { panic!("a duration") };
        assert!((0..600_000).contains(&idle), "idle for {idle} ms");
        all.push(vec![format!("{entry:?}")]);
    }
    all
}

/// Compares what is there with what was; the first difference, if there is one.
fn compare(client: &mut Connection, keys: &[String], expected: &[Vec<String>], when: &str) {
    let found = all(client, keys);
    let first = found.iter().zip(expected).find(|(found, expected)| found != expected);
    let short = |words: &Vec<String>| words.join(" ").chars().take(2_000).collect::<String>();
    if let Some((found, expected)) = first {
        panic!("{when}: there is\n{}\nand there was\n{}", short(found), short(expected));
    }
    assert_eq!(found.len(), expected.len(), "{when}");
}

/// A redis-server with a log that has seen everything.
fn written(directory: &Path, flags: &[&str], is_rewritten: bool) -> (Server, Vec<String>) {
    let redis = Server::redis_with(directory, &[&["--appendonly", "yes"], flags].concat());
    let mut client = connect(redis.port());
    let mut random = Random::new(17);
    let keys: Vec<String> = (0..80).map(|n| format!("key:{n}")).collect();
    fill_all(&mut client, &keys[..40], &mut random);
    run_all(&mut client, &LINES);
    call(
        &mut client,
        &[b"FUNCTION", b"LOAD", b"#!lua name=lib\nredis.register_function('f', function() return 1 end)"],
    );
    if is_rewritten {
        assert!(run(&mut client, "BGREWRITEAOF").error().is_none());
        let mut polls = 0..1_000_000;
        let is_over = |client: &mut Connection| {
            info(client, "aof_rewrite_in_progress") == "0" && info(client, "aof_rewrite_scheduled") == "0"
        };
        assert!(polls.any(|_| is_over(&mut client)), "Redis rewrites its log");
    }
    fill_all(&mut client, &keys[40..], &mut random);
    run_all(
        &mut client,
        &[
            "SET later value PXAT 99999999999999",
            "HSET h more 1",
            "XADD x 9999999999999-2 f t",
            "XREADGROUP GROUP g carol STREAMS x >",
            "DEL copied",
            "MULTI",
            "MSET left 1 right 1",
            "LPUSH p 1 2 3",
            "LMOVE p q LEFT LEFT",
            "INCR left",
            "INCR right",
            "EXEC",
        ],
    );
    (redis, keys)
}

/// What Redis itself reads back from a copy of what it has written.
fn read_back(directory: &Path, flags: &[&str], keys: &[String]) -> Vec<Vec<String>> {
    let copy = directory.with_extension("copy");
    let _ = std::fs::remove_dir_all(&copy);
    assert!(Command::new("cp").arg("-r").arg(directory).arg(&copy).status().expect("cp runs").success());
    let redis = Server::redis_with(&copy, &[&["--appendonly", "yes"], flags].concat());
    let there = all(&mut connect(redis.port()), keys);
    redis.kill();
    std::fs::remove_dir_all(copy).expect("it is ours");
    there
}

#[test]
fn a_directory_of_redis_is_taken_over_whatever_its_form() {
    for (n, (preamble, is_rewritten, shards, is_killed)) in
        [("yes", false, 2, false), ("no", true, 1, false), ("yes", true, 3, true), ("no", false, 2, true)]
            .into_iter()
            .enumerate()
    {
        let directory = directory(&format!("redis-log-{n}"));
        let stamps = if n % 2 == 0 { "yes" } else { "no" };
        let flags = ["--aof-use-rdb-preamble", preamble, "--aof-timestamp-enabled", stamps];
        let (mut redis, keys) = written(&directory, &flags, is_rewritten);
        match is_killed {
            true => redis.kill(),
            false => {
                redis.signal(libc::SIGTERM);
                assert!(redis.wait().success());
            }
        }
        let expected = read_back(&directory, &flags, &keys);
        let server = start(&directory, shards, &[]);
        let mut client = connect(server.port());
        compare(&mut client, &keys, &expected, &format!("form {n}"));
        assert_eq!(run(&mut client, "SET after 1").text(), Some("OK"));
        // Nothing that Darter has acknowledged is lost, whether it has turned to its own form or not.
        server.kill();
        let server = start(&directory, 1 + shards % 3, &[]);
        let mut client = connect(server.port());
        assert_eq!(run(&mut client, "GET after"), Reply::Bulk(b"1".to_vec()));
        run(&mut client, "DEL after");
        compare(&mut client, &keys, &expected, &format!("form {n}, again"));
        turned(&mut client, &directory);
        server.kill();
        let server = start(&directory, 2, &[]);
        compare(&mut connect(server.port()), &keys, &expected, &format!("form {n}, in its own form"));
        drop(server);
        std::fs::remove_dir_all(directory).expect("it is ours");
    }
}

#[test]
fn one_file_as_before_redis_7_is_taken_over() {
    for preamble in ["yes", "no"] {
        let directory = directory(&format!("redis-file-{preamble}"));
        let (redis, keys) = written(&directory, &["--aof-use-rdb-preamble", preamble], true);
        redis.kill();
        let expected = read_back(&directory, &[], &keys);
        // What Redis 7 keeps in two files stood in one before.
        let folder = directory.join("appendonlydir");
        let mut names: Vec<PathBuf> = std::fs::read_dir(&folder)
            .expect("a directory")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        names.sort();
        let files = names.iter().filter(|path| !path.ends_with("appendonly.aof.manifest"));
        let whole: Vec<u8> = files.flat_map(|path| std::fs::read(path).expect("a file")).collect();
        std::fs::remove_dir_all(&folder).expect("it goes");
        std::fs::write(directory.join("appendonly.aof"), whole).expect("written");
        for shards in [3, 1] {
            let server = start(&directory, shards, &[]);
            let mut client = connect(server.port());
            compare(&mut client, &keys, &expected, &format!("on {shards} shards, preamble {preamble}"));
            if shards == 1 {
                turned(&mut client, &directory);
                let is_gone =
                    |_| !directory.join("appendonly.aof").exists() || info(&mut client, "loading") == "1";
                assert!((0..100_000).any(is_gone), "its own log stands for it");
            }
            server.kill();
        }
        let server = start(&directory, 2, &[]);
        compare(&mut connect(server.port()), &keys, &expected, "in its own form");
        drop(server);
        std::fs::remove_dir_all(directory).expect("it is ours");
    }
}

#[test]
fn a_torn_end_is_left_out_and_damage_is_refused() {
    let directory = directory("redis-torn");
    let redis = Server::redis_with(&directory, &["--appendonly", "yes", "--appendfsync", "always"]);
    let mut client = connect(redis.port());
    run_all(&mut client, &["SET before 1", "MULTI", "SET p 1", "SET q 1", "SET r 1", "EXEC", "SET tail 1"]);
    redis.kill();
    let log = directory.join("appendonlydir/appendonly.aof.1.incr.aof");
    let whole = std::fs::read(&log).expect("a log");
    let text = String::from_utf8(whole.clone()).expect("here it is text");
    let manifest = directory.join("appendonlydir/appendonly.aof.manifest");
    let named = std::fs::read(&manifest).expect("a manifest");
    let base = directory.join("appendonlydir/appendonly.aof.1.base.rdb");
    let snapshot = std::fs::read(&base).expect("a base");
    // Who has started on it may have turned to its own form already.
    let restore = |bytes: &[u8]| {
        std::fs::write(&base, &snapshot).expect("written");
        std::fs::write(&log, bytes).expect("written");
        std::fs::write(&manifest, &named).expect("written");
    };
    let (group, tail) =
        (text.find("*1\r\n$5\r\nMULTI").expect("MULTI"), text.rfind("*3\r\n").expect("SET tail"));
    let exec = text.find("*1\r\n$4\r\nEXEC").expect("EXEC");
    for (cut, counts, keys) in [
        (whole.len() - 1, tail, 4),
        (tail + 1, tail, 4),
        (tail, tail, 4),
        (tail - 1, group, 1),
        (exec, group, 1),
        (group + 3, group, 1),
    ] {
        restore(&whole[..cut]);
        if cut != counts {
            let said = Server::refusal(&directory, &["--aof-load-truncated", "no"]);
            assert!(said.contains("appendonly.aof.1.incr.aof"), "{said}");
            assert!(said.contains(&format!("from byte {counts} on")), "{said}");
        }
        let mut server = start(&directory, 2, &[]);
        let mut client = connect(server.port());
        assert_eq!(run(&mut client, "DBSIZE"), Reply::Integer(keys), "cut at {cut}");
        assert_eq!(run(&mut client, "GET before"), Reply::Bulk(b"1".to_vec()));
        if cut != counts {
            assert!(server.wait_for(&format!("from byte {counts} on")), "the log says so");
        }
        drop(server);
    }
    // In the middle nothing is passed over.
    for (at, byte) in [(group, b'+'), (exec + 4, b'!'), (group + 5, b'9'), (tail + 4, b'%')] {
        let mut changed = whole.clone();
        changed[at] = byte;
        restore(&changed);
        let said = Server::refusal(&directory, &[]);
        assert!(said.contains("appendonly.aof.1.incr.aof") && said.contains("at byte"), "{said}");
        assert_eq!(std::fs::read(&log).expect("it stays"), changed, "the file is left alone");
        assert_eq!(std::fs::read(&manifest).expect("it stays"), named, "and so is the manifest");
    }
    // Nor is a file that others follow.
    std::fs::write(&log, &whole[..tail - 1]).expect("written");
    std::fs::write(directory.join("appendonlydir/appendonly.aof.2.incr.aof"), &whole).expect("written");
    let more = "file appendonly.aof.2.incr.aof seq 2 type i\n";
    std::fs::write(&manifest, [&named[..], more.as_bytes()].concat()).expect("written");
    let said = Server::refusal(&directory, &[]);
    assert!(said.contains("it is not the last file"), "{said}");
    std::fs::write(&log, &whole).expect("written");
    for (line, why) in [
        ("*1\r\n$6\r\nNOSUCH\r\n", "a command is not known: NOSUCH"),
        ("*1\r\n$8\r\nSHUTDOWN\r\n", "a command does not belong there: SHUTDOWN"),
        ("*3\r\n$5\r\nLPUSH\r\n$4\r\ntail\r\n$1\r\n1\r\n", "a command fails: WRONGTYPE"),
        ("*2\r\n$6\r\nSELECT\r\n$2\r\n99\r\n", "a command fails: ERR"),
        ("*3\r\n$5\r\nBLPOP\r\n$7\r\nnothing\r\n$1\r\n0\r\n", "a command waits for something"),
    ] {
        let file = directory.join("appendonlydir/appendonly.aof.2.incr.aof");
        std::fs::write(&file, [&whole[..], line.as_bytes()].concat()).expect("written");
        let said = Server::refusal(&directory, &[]);
        assert!(said.contains(why) && said.contains(&format!("at byte {}", whole.len())), "{said}");
    }
    std::fs::remove_dir_all(directory).expect("it is ours");
}
