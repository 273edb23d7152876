//! The log of a few cores whose disk obeys the test.

use std::collections::BTreeMap;

use crate::aof::pen::SyncPolicy;
use crate::config::Access;
use crate::event::{CoreId, DiskOutcome, DiskRequest, Effect};
use crate::testing::{Client, World};

fn with_log(cores: u16, policy: SyncPolicy) -> World {
    let mut world = World::with(cores, |settings| {
        (settings.appendonly, settings.appendfsync) = (true, policy);
        settings.enable_debug_command = Access::Yes;
    });
    // The first thing that happens finds the log switched on and not there.
    let client = world.connect(0);
    world.hang_up(client);
    world.settle_files();
    assert!(world.engines.iter().all(|engine| engine.node().pen.is_on()));
    world
}

#[test]
fn while_the_log_cannot_be_written_nothing_changes() {
    let mut world = with_log(2, SyncPolicy::EverySecond);
    let client = world.connect(0);
    assert_eq!(world.say(client, "SET a 1"), "OK");
    let before = world.logged();
    world.log_failure = Some("No space left on device".into());
    // Redis, too, acknowledges what has happened already.
    for key in ["a", "b", "c", "d", "e"] {
        world.say(client, &format!("SET {key} 2"));
    }
    let refused = "MISCONF Errors writing to the AOF file: No space left on device";
    assert_eq!(world.say(client, "SET a 3"), refused);
    assert_eq!(world.say(client, "GET a"), "2");
    // What waits for the file is told, and drives nothing out.
    let waiting: usize = world.engines.iter().map(|engine| engine.node().pen.pending_bytes()).sum();
    let memory = world.say(client, "INFO memory");
    assert!(waiting > 0 && memory.contains(&format!("mem_aof_buffer:{waiting}")), "{memory}");
    assert!(memory.contains(&format!("mem_not_counted_for_evict:{waiting}")), "{memory}");
    assert_eq!(world.say(client, "PING"), refused, "who asks how the server is hears of it");
    assert_eq!(world.say(client, "ECHO word"), "word");
    assert!(world.say(client, "INFO persistence").contains("aof_last_write_status:err"));
    assert_eq!(world.logged(), before);
    world.log_failure = None;
    world.pass(1_100);
    assert_eq!(world.say(client, "SET a 3"), "OK");
    assert_eq!(world.say(client, "PING"), "PONG");
    assert!(world.say(client, "INFO persistence").contains("aof_last_write_status:ok"));
    assert!(world.logged() > before);
}

/// Two cores, of which one cannot write its log, and a client of each.
fn with_one_log_that_fails(core: u16) -> (World, [Client; 2]) {
    let mut world = with_log(2, SyncPolicy::EverySecond);
    let clients = [0, 1].map(|core| world.connect(core));
    for key in 0..8 {
        assert_eq!(world.say(clients[0], &format!("SET k{key} 1")), "OK");
    }
    (world.log_failure, world.fails_on) = (Some("Input/output error".into()), Some(core));
    (world, clients)
}

const ALL: &str = "MSET k0 2 k1 2 k2 2 k3 2 k4 2 k5 2 k6 2 k7 2";

#[test]
fn what_a_core_cannot_write_down_it_does_not_tell_others() {
    for (fails, coordinator) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let (mut world, clients) = with_one_log_that_fails(fails);
        let [_, other] = clients;
        // The one is asked for its part, or it coordinates and could not say that all of it counts.
        assert_eq!(world.call(clients[coordinator], ALL), "", "nobody was told that it counts");
        let before = world.files.clone();
        assert_eq!(world.call(other, "GET k0"), "", "nobody goes on from it");
        let third = world.connect(coordinator as u16);
        let refused = "MISCONF Errors writing to the AOF file: Input/output error";
        for client in [third, world.connect(1 - coordinator as u16)] {
            assert_eq!(world.say(client, "MSET x0 1 x1 1 x2 1 x3 1"), refused, "all cores know");
            assert_eq!(
                world.say(client, "EXISTS x0 x1 x2 x3"),
                "0",
                "who wants something else does not wait"
            );
        }
        assert_eq!(world.files, before);
        world.log_failure = None;
        world.pass(1_100);
        assert_eq!(world.receive(clients[coordinator]).lines().next(), Some("+OK"));
        assert_eq!(world.say(third, "MGET k0 k1 k7"), "2\n2\n2", "all of it is there");
        assert_eq!(world.say(third, "MSET x0 1 x1 1 x2 1 x3 1"), "OK");
        world.rest();
        assert_eq!(world.unfinished(), [""; 0]);
    }
}

#[test]
fn who_switches_the_log_off_does_not_wait_for_it() {
    let (mut world, [one, other]) = with_one_log_that_fails(1);
    assert_eq!(world.call(one, ALL), "");
    assert_eq!(world.say(other, "CONFIG SET appendonly no"), "OK");
    world.pass(1_100);
    assert_eq!(world.receive(one), "+OK\r\n");
    assert_eq!(world.say(other, "MGET k0 k1 k7"), "2\n2\n2");
    world.settle_files();
    assert_eq!(world.say(other, "MSET x0 1 x1 1 x2 1 x3 1"), "OK", "nothing has to be written down");
}

#[test]
fn who_waits_while_others_wait_is_answered_by_the_next_mark() {
    for policy in [SyncPolicy::EverySecond, SyncPolicy::No] {
        let mut world = with_log(2, policy);
        let [one, other] = [0, 1].map(|core| world.connect(core));
        for round in 0..3 {
            world.say(one, &format!("MSET a {round} b 2 c 3 d 4"));
            assert_eq!(world.call(one, "WAITAOF 1 0 0"), "");
            // Its mark is made, and the files are not synced yet.
            world.say(other, "SET e 5");
            assert_eq!(world.call(other, "WAITAOF 1 0 0"), "");
            // One mark may be under way that nobody has waited for.
            for _ in 0..2 {
                world.settle_files();
                world.pass(1_100);
            }
            world.settle_files();
            for client in [one, other] {
                assert_eq!(world.receive(client), "*2\r\n:1\r\n:0\r\n", "{policy:?} {round}");
            }
        }
        assert_eq!(world.unfinished(), [""; 0]);
    }
}

#[test]
fn who_waits_for_the_log_waits_for_all_shards() {
    let mut world = with_log(3, SyncPolicy::EverySecond);
    let client = world.connect(1);
    world.say(client, "MSET a 1 b 2 c 3 d 4");
    assert_eq!(world.call(client, "WAITAOF 1 0 500"), "");
    world.pass(100);
    let syncs: Vec<_> = world.disk_requests();
    assert_eq!(syncs.len(), 3, "every core syncs its own");
    for (n, (core, operation, request)) in syncs.into_iter().enumerate() {
        assert!(matches!(request, DiskRequest::Sync { .. }));
        assert_eq!(world.receive(client), "", "{n} are durable");
        world.end_disk(core, operation, DiskOutcome::Done);
    }
    assert_eq!(world.receive(client), "*2\r\n:1\r\n:0\r\n");
    assert_eq!(world.call(client, "WAITAOF 1 0 30"), "");
    world.pass(31);
    assert_eq!(world.receive(client), "*2\r\n:0\r\n:0\r\n", "its time is up");
    world.settle_files();
    assert_eq!(world.unfinished(), [""; 0]);
}

#[test]
fn a_log_begins_with_a_snapshot_and_is_written_anew() {
    let mut world = World::new(2);
    let client = world.connect(0);
    world.say(client, "MSET a 1 b 2 c 3");
    assert_eq!(world.say(client, "CONFIG SET appendonly yes"), "OK");
    world.pass(10);
    assert_eq!(world.say(client, "CONFIG GET appendonly"), "appendonly\nyes");
    world.settle_files();
    let manifest = "./appendonlydir/appendonly.aof.manifest";
    let text = |files: &BTreeMap<String, Vec<u8>>| {
        let text = String::from_utf8(files[manifest].clone()).unwrap();
        text.split_once('\n').unwrap().1.to_string()
    };
    assert!(
        text(&world.files).starts_with("file appendonly.aof.1.base.rdb seq 1 type b\n"),
        "{}",
        text(&world.files)
    );
    assert_eq!(text(&world.files).lines().count(), 3);
    assert_eq!(world.say(client, "BGREWRITEAOF"), "Background append only file rewriting started");
    assert_eq!(
        world.say(client, "BGREWRITEAOF"),
        "ERR Background append only file rewriting already in progress"
    );
    world.pass(10);
    world.settle_files();
    assert!(
        text(&world.files).starts_with("file appendonly.aof.2.base.rdb seq 2 type b\n"),
        "{}",
        text(&world.files)
    );
    assert!(!world.files.contains_key("./appendonlydir/appendonly.aof.1.base.rdb"), "the old one is gone");
    assert_eq!(world.say(client, "CONFIG SET appendonly no"), "OK");
    let before = world.logged();
    world.say(client, "MSET a 1 b 2 c 3");
    assert_eq!(world.logged(), before, "nothing is written down any more");
    world.settle_files();
    assert_eq!(world.unfinished(), [""; 0]);
}

/// Something of every type, on all shards, written by all kinds of commands.
fn fill(world: &mut World, client: Client) {
    for line in [
        "MSET a 1 b text c 007 d 4",
        "SET due soon PX 5",
        "PEXPIREAT a 1800000000000",
        "RPUSH l 1 2 x",
        "LPOP l",
        "SADD s 1 2 x y z",
        "SPOP s 2",
        "ZADD z 1 a 2.5 b",
        "XADD x 5-1 f v g w",
        "XADD x 5-2 f v g w",
        "XGROUP CREATE x readers 0",
        "XREADGROUP GROUP readers alice COUNT 1 STREAMS x >",
        "XDEL x 5-2",
        "HSET h f v g w",
        "HPEXPIREAT h 1800000000000 FIELDS 1 g",
        "RENAME c e",
        "SELECT 1",
        "FLUSHDB",
        "SET other 1",
        "SELECT 0",
        "SWAPDB 0 2",
        "SWAPDB 0 2",
    ] {
        world.call(client, line);
    }
}

const LOOKS: &str = "MGET a b c d e due\r\nPEXPIRETIME a\r\nLRANGE l 0 -1\r\nSCARD s\r\nZRANGE z 0 -1 WITHSCORES\r\nHGETALL h\r\n\
                     XRANGE x - +\r\nXPENDING x readers\r\nHPEXPIRETIME h FIELDS 1 g\r\nDBSIZE\r\nSELECT 1\r\nGET other\r\nSELECT 0\r\n";

fn look(world: &mut World, client: Client) -> String {
    world.send(client, LOOKS.as_bytes());
    world.receive(client)
}

fn reload(world: &mut World, client: Client) -> String {
    let reply = world.call(client, "DEBUG LOADAOF");
    world.settle_files();
    reply + &world.receive(client)
}

#[test]
fn the_log_is_read_back_while_it_is_written() {
    for cores in [1, 2, 3] {
        let mut world = with_log(cores, SyncPolicy::EverySecond);
        let client = world.connect(cores - 1);
        fill(&mut world, client);
        world.pass(10);
        let before = look(&mut world, client);
        let files = world.files.clone();
        assert_eq!(reload(&mut world, client), "+OK\r\n");
        assert_eq!(world.files, files, "files are read only");
        assert_eq!(look(&mut world, client), before);
        // What is lost in memory only is there again: it comes from the log.
        for engine in &mut world.engines {
            let shard = &mut engine.node_mut().shard;
            shard.changes.want(false);
            shard.flush_all();
            shard.changes.want(true);
        }
        assert_eq!(world.say(client, "DBSIZE"), "0");
        assert_eq!(reload(&mut world, client), "+OK\r\n");
        assert_eq!(look(&mut world, client), before);
        // The log goes on: what changes now is read back the next time, behind a rewrite, too.
        for line in ["SET after 1", "RPUSH l y", "MSET b 2 d 5", "DEL e"] {
            world.call(client, line);
        }
        let before = look(&mut world, client);
        assert_eq!(reload(&mut world, client), "+OK\r\n");
        assert_eq!(look(&mut world, client), before);
        world.say(client, "BGREWRITEAOF");
        let early = reload(&mut world, client);
        for _ in 0..3 {
            world.pass(10);
            world.settle_files();
        }
        assert_eq!(early + &world.receive(client), "+OK\r\n", "it waits for the rewrite");
        assert_eq!(look(&mut world, client), before);
        assert_eq!(world.say(client, "GET after"), "1");
        world.pass(2_000);
        world.settle_files();
        assert_eq!(world.unfinished(), [""; 0]);
    }
}

#[test]
fn while_the_log_is_read_back_nobody_sees_the_middle() {
    let mut world = with_log(3, SyncPolicy::EverySecond);
    let (client, other, waiter, watcher) =
        (world.connect(1), world.connect(2), world.connect(0), world.connect(0));
    fill(&mut world, client);
    // Who waits for what a line of the log pushes, and who watches what one changes, notice nothing.
    for line in ["RPUSH w 1", "LPOP w", "SET seen 1"] {
        world.call(client, line);
    }
    assert_eq!(world.call(waiter, "BLPOP w 0"), "");
    world.send(watcher, b"WATCH seen\r\nMULTI\r\nGET seen\r\n");
    world.receive(watcher);
    let before = look(&mut world, client);
    let keyspace = world.say(other, "INFO keyspace");
    let scanned = world.say(other, "SCAN 0 COUNT 1000");
    assert_eq!(world.call(client, "DEBUG LOADAOF"), "");
    for _ in 0..200 {
        let requests = world.disk_requests();
        if requests.is_empty() {
            world.work(1);
        }
        for (core, operation, request) in requests {
            assert_eq!(world.say(other, "INFO keyspace"), keyspace);
            assert_eq!(world.say(other, "SCAN 0 COUNT 1000"), scanned, "who looks around is shown what was");
            let outcome = world.touch_files(request);
            world.end_disk(core, operation, outcome);
        }
        if world.engines.iter().any(|engine| engine.node().shard.former.is_some()) {
            let asker = world.connect(1);
            assert_eq!(world.call(asker, "MGET a b d"), "", "who wants keys waits");
            assert_eq!(world.call(asker, "SET later 1"), "");
            world.hang_up(asker);
        }
    }
    world.settle_files();
    assert_eq!(world.receive(client), "+OK\r\n");
    assert_eq!(world.say(client, "GET later"), "1", "what came meanwhile follows");
    assert_eq!(world.say(client, "DEL later"), "1");
    assert_eq!(look(&mut world, client), before);
    assert_eq!(world.receive(waiter), "");
    assert_eq!(world.call(client, "RPUSH w 2"), ":1\r\n");
    assert_eq!(world.receive(waiter), "*2\r\n$1\r\nw\r\n$1\r\n2\r\n");
    world.send(watcher, b"EXEC\r\n");
    assert_eq!(world.receive(watcher), "*1\r\n$1\r\n1\r\n");
}

#[test]
fn what_cannot_be_read_back_stays_as_it_is() {
    const FAILED: &str = "-ERR Error trying to load the AOF files, check server logs.\r\n";
    let mut world = with_log(2, SyncPolicy::EverySecond);
    let client = world.connect(0);
    fill(&mut world, client);
    let before = look(&mut world, client);
    let files = world.files.clone();
    let logs: Vec<String> = files.keys().filter(|path| path.ends_with(".log")).cloned().collect();
    assert_eq!(logs.len(), 2);
    for (path, damage) in [
        (&logs[0], "torn"),
        (&logs[1], "changed"),
        (&logs[1], "gone"),
        (&logs[0], "empty"),
        (&"./appendonlydir/appendonly.aof.manifest".to_string(), "gone"),
        (&"./appendonlydir/appendonly.aof.manifest".to_string(), "torn"),
    ] {
        let file = world.files.get_mut(path).unwrap();
        let middle = file.len() / 2;
        match damage {
            "torn" => file.truncate(file.len() - 3),
            "changed" => file[middle] ^= 1,
            "empty" => file.clear(),
            _ => drop(world.files.remove(path)),
        }
        assert_eq!(reload(&mut world, client), FAILED, "{path} {damage}");
        assert!(world.kept.iter().any(|(_, effect)| matches!(effect, Effect::Log { text, .. } if text.contains("could not be read back"))));
        world.files = files.clone();
        assert_eq!(look(&mut world, client), before, "{path} {damage}");
    }
    // What was not written could not be read back.
    world.log_failure = Some("No space left on device".into());
    world.say(client, "SET a 2");
    assert_eq!(reload(&mut world, client), FAILED);
    assert_eq!(world.say(client, "GET a"), "2");
    world.log_failure = None;
    world.pass(1_100);
    world.settle_files();
    // It goes on as if nothing had been.
    assert_eq!(world.say(client, "SET a 4"), "OK");
    let before = look(&mut world, client);
    assert_eq!(reload(&mut world, client), "+OK\r\n");
    assert_eq!(look(&mut world, client), before);
    assert_eq!(world.say(client, "CONFIG SET appendonly no"), "OK");
    assert_eq!(
        world.say(client, "DEBUG LOADAOF"),
        "ERR There is no append only file to be loaded: appendonly is disabled"
    );
    assert_eq!(look(&mut world, client), before);
    // Switched on once more, it waits for the first log.
    assert_eq!(world.say(client, "CONFIG SET appendonly yes"), "OK");
    assert_eq!(reload(&mut world, client), "+OK\r\n");
    assert_eq!(look(&mut world, client), before);
}

#[test]
fn it_needs_no_credits_of_those_who_wait() {
    let mut world = with_log(2, SyncPolicy::EverySecond);
    let client = world.connect(0);
    fill(&mut world, client);
    let before = look(&mut world, client);
    assert_eq!(world.call(client, "DEBUG LOADAOF"), "");
    // Until no credit is left, in both directions.
    let credits = crate::limits::credits(2);
    let askers: Vec<Client> = (0..2 * (credits + 8) as u16).map(|n| world.connect(n % 2)).collect();
    for asker in &askers {
        assert_eq!(world.call(*asker, "DBSIZE"), "");
    }
    world.settle_files();
    assert_eq!(world.receive(client), "+OK\r\n");
    for asker in askers {
        assert!(world.receive(asker).starts_with(':'));
    }
    assert_eq!(look(&mut world, client), before);
}

#[test]
fn who_has_no_credit_is_told_later_to_begin_its_log() {
    let mut world = World::starting(3, |settings| settings.appendonly = true);
    let is_manifest = |request: &DiskRequest| matches!(request, DiskRequest::Replace { .. });
    // Until the new files are about to be named, whereupon all are told.
    let (core, operation, request) = loop {
        let mut requests = world.disk_requests();
        match requests.pop() {
            Some((core, operation, request)) if is_manifest(&request) => break (core, operation, request),
            Some((core, operation, request)) => {
                let outcome = world.touch_files(request);
                world.end_disk(core, operation, outcome);
            }
            None => world.work(1),
        }
    };
    // Who asks all cores how they are may do so while a log is read.
    let links = &mut world.engines[0].node_mut().links;
    let taken = (0..).take_while(|_| links.take(CoreId(1))).count();
    let outcome = world.touch_files(request);
    world.end_disk(core, operation, outcome);
    let client = world.connect(0);
    assert!(world.call(client, "SET a 1").starts_with("-LOADING"), "not all of them write");
    world.engines[0].node_mut().links.give_back_several(CoreId(1), taken);
    world.pass(1);
    world.hang_up(client);
    let client = world.connect(2);
    assert!(world.engines.iter().all(|engine| engine.node().pen.is_on()));
    assert_eq!(world.say(client, "MSET a 1 b 2 c 3 d 4"), "OK");
    world.settle_files();
    assert_eq!(world.unfinished(), [""; 0]);
}

#[test]
fn who_switches_the_log_off_while_it_is_read_writes_none() {
    let mut world = World::starting(2, |settings| settings.appendonly = true);
    let client = world.connect(1);
    assert_eq!(world.say(client, "CONFIG SET appendonly no"), "OK");
    world.settle_files();
    assert_eq!(world.say(client, "MSET a 1 b 2 c 3 d 4"), "OK");
    assert!(world.engines.iter().all(|engine| !engine.node().pen.is_on()));
}
