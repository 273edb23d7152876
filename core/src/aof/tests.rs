//! The log of a few cores whose disk obeys the test.

use std::collections::BTreeMap;

use crate::aof::pen::SyncPolicy;
use crate::event::{DiskOutcome, DiskRequest};
use crate::testing::World;

/// Lets operations on files end well, and time pass, until there is nothing to do.
fn settle(world: &mut World, files: &mut BTreeMap<String, Vec<u8>>) {
    for _ in 0..100 {
        let requests = world.disk_requests();
        if requests.is_empty() {
            world.work(4);
        }
        for (core, operation, request) in requests {
            let outcome = match request {
                DiskRequest::Replace { path, bytes } => {
                    files.insert(path, bytes);
                    DiskOutcome::Done
                }
                DiskRequest::Publish { from: _, to } => {
                    files.insert(to, Vec::new());
                    DiskOutcome::Done
                }
                DiskRequest::Remove { path } => {
                    files.remove(&path);
                    DiskOutcome::Done
                }
                _ => DiskOutcome::Done,
            };
            world.end_disk(core, operation, outcome);
        }
    }
}

fn with_log(cores: u16, policy: SyncPolicy) -> World {
    let mut world = World::with(cores, |settings| {
        (settings.appendonly, settings.appendfsync) = (true, policy);
    });
    // The first thing that happens finds the log switched on and not there.
    let client = world.connect(0);
    world.hang_up(client);
    settle(&mut world, &mut BTreeMap::new());
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
    settle(&mut world, &mut BTreeMap::new());
    assert_eq!(world.unfinished(), [""; 0]);
}

#[test]
fn a_log_begins_with_a_snapshot_and_is_written_anew() {
    let mut files = BTreeMap::new();
    let mut world = World::new(2);
    let client = world.connect(0);
    world.say(client, "MSET a 1 b 2 c 3");
    assert_eq!(world.say(client, "CONFIG SET appendonly yes"), "OK");
    world.pass(10);
    assert_eq!(world.say(client, "CONFIG GET appendonly"), "appendonly\nyes");
    settle(&mut world, &mut files);
    let manifest = "./appendonlydir/appendonly.aof.manifest";
    let text = |files: &BTreeMap<String, Vec<u8>>| {
        let text = String::from_utf8(files[manifest].clone()).unwrap();
        text.split_once('\n').unwrap().1.to_string()
    };
    assert!(text(&files).starts_with("file appendonly.aof.1.base.rdb seq 1 type b\n"), "{}", text(&files));
    assert_eq!(text(&files).lines().count(), 3);
    assert_eq!(world.say(client, "BGREWRITEAOF"), "Background append only file rewriting started");
    assert_eq!(
        world.say(client, "BGREWRITEAOF"),
        "ERR Background append only file rewriting already in progress"
    );
    world.pass(10);
    settle(&mut world, &mut files);
    assert!(text(&files).starts_with("file appendonly.aof.2.base.rdb seq 2 type b\n"), "{}", text(&files));
    assert!(!files.contains_key("./appendonlydir/appendonly.aof.1.base.rdb"), "the old one is gone");
    assert_eq!(world.say(client, "CONFIG SET appendonly no"), "OK");
    let before = world.logged();
    world.say(client, "MSET a 1 b 2 c 3");
    assert_eq!(world.logged(), before, "nothing is written down any more");
    settle(&mut world, &mut files);
    assert_eq!(world.unfinished(), [""; 0]);
}
