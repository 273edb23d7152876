//! Values that travel between Darter and redis-server by DUMP and RESTORE, in every form that either writes.

use darter_tests::line::run;
use darter_tests::reply::Reply;
use darter_tests::values::{Connection, call, connect, fill, seen};
use darter_tests::{Random, Server};

fn dump(client: &mut Connection, key: &str) -> Vec<u8> {
    match call(client, &[b"DUMP", key.as_bytes()]) {
        Reply::Bulk(payload) => payload,
        other => panic!("{key}: {other:?}"),
    }
}

#[test]
fn values_travel_both_ways() {
    let servers = [Server::start(2), Server::redis()];
    let mut clients = servers.each_ref().map(|server| connect(server.port()));
    let mut random = Random::new(11);
    for n in 0..150 {
        let key = format!("key:{n}");
        fill(&mut clients, &key, &mut random);
        let expected = seen(&mut clients[1], &key);
        assert_eq!(seen(&mut clients[0], &key), expected, "{key}");
        for (from, to) in [(0, 1), (1, 0), (0, 0)] {
            let payload = dump(&mut clients[from], &key);
            let restored = call(&mut clients[to], &[b"RESTORE", b"copy", b"0", &payload, b"REPLACE"]);
            assert_eq!(restored.text(), Some("OK"), "{key} from {from} to {to}: {restored:?}");
            assert_eq!(seen(&mut clients[to], "copy"), expected, "{key} from {from} to {to}");
        }
    }
}

#[test]
fn streams_travel_with_their_groups() {
    let servers = [Server::start(2), Server::redis()];
    let mut clients = servers.each_ref().map(|server| connect(server.port()));
    let mut random = Random::new(12);
    for n in 0..40 {
        let key = format!("stream:{n}");
        let mut calls = Vec::new();
        let entries = if random.one_in(4) { 500 } else { 1 + random.below(12) };
        for entry in 0..entries {
            let mut call = format!("XADD {key} {}-{}", 100 + entry / 3, 1 + entry % 3);
            let fields = if random.one_in(5) { 1 + random.below(4) } else { 2 };
            (0..fields).for_each(|field| call += &format!(" field:{field} {}", random.below(100_000)));
            calls.push(call);
        }
        calls.push(format!("XGROUP CREATE {key} one 0 MKSTREAM"));
        // Redis 7.0 makes no consumer of who has got nothing.
        calls.push(format!("XGROUP CREATECONSUMER {key} one alice"));
        calls.push(format!("XGROUP CREATECONSUMER {key} one bob"));
        calls.push(format!("XREADGROUP GROUP one alice COUNT {} STREAMS {key} >", 1 + random.below(20)));
        calls.push(format!("XREADGROUP GROUP one bob COUNT 3 STREAMS {key} >"));
        calls.push(format!("XGROUP CREATE {key} two $"));
        calls.push(format!("XACK {key} one 100-1 100-3"));
        calls.push(format!("XDEL {key} 100-2 101-1"));
        for call_of in &calls {
            let replies = clients.each_mut().map(|client| run(client, call_of));
            assert_eq!(replies[0], replies[1], "{call_of}");
        }
        let looks = [
            "XRANGE @ - +",
            "XLEN @",
            "XINFO GROUPS @",
            "XPENDING @ one",
            "XPENDING @ two",
            "XADD @ 1-1 too late",
        ];
        let look = |client: &mut Connection, key: &str| -> Vec<Reply> {
            looks.iter().map(|look| run(client, &look.replace('@', key))).collect()
        };
        let expected = look(&mut clients[1], &key);
        for (from, to) in [(0, 1), (1, 0), (0, 0)] {
            let payload = dump(&mut clients[from], &key);
            let restored = call(&mut clients[to], &[b"RESTORE", b"copy", b"0", &payload, b"REPLACE"]);
            assert_eq!(restored.text(), Some("OK"), "{key} from {from} to {to}: {restored:?}");
            assert_eq!(look(&mut clients[to], "copy"), expected, "{key} from {from} to {to}");
        }
    }
}

#[test]
fn options_mean_what_they_mean_to_redis() {
    let servers = [Server::start(2), Server::redis()];
    let mut clients = servers.each_ref().map(|server| connect(server.port()));
    for client in &mut clients {
        call(client, &[b"SET", b"a", b"text"]);
        let payload = dump(client, "a");
        let mut restore = |words: &[&[u8]]| {
            let words = [&[&b"RESTORE"[..], b"b"], words].concat();
            let reply = call(client, &words);
            reply.error().or(reply.text()).unwrap_or_default().to_string()
        };
        assert_eq!(restore(&[b"0", &payload]), "OK");
        assert_eq!(restore(&[b"0", &payload]), "BUSYKEY Target key name already exists.");
        assert_eq!(restore(&[b"100000", &payload, b"REPLACE"]), "OK");
        assert_eq!(restore(&[b"1", &payload, b"REPLACE", b"ABSTTL"]), "OK");
        assert_eq!(restore(&[b"0", &payload, b"IDLETIME", b"1000"]), "OK");
        assert_eq!(call(client, &[b"OBJECT", b"IDLETIME", b"b"]), Reply::Integer(1000));
        let mut changed = payload.clone();
        changed[1] ^= 1;
        let wrong = call(client, &[b"RESTORE", b"c", b"0", &changed]);
        assert_eq!(wrong.error(), Some("ERR DUMP payload version or checksum are wrong"));
    }
}
