//! Values that travel between Darter and redis-server by DUMP and RESTORE, in every form that either writes.

use std::io::{BufReader, Write};
use std::net::TcpStream;

use darter_tests::reply::{Reply, encode};
use darter_tests::{Random, Server};

/// A connection whose words may be any bytes.
type Client = BufReader<TcpStream>;

fn connect(server: &Server) -> Client {
    BufReader::new(TcpStream::connect(("127.0.0.1", server.port())).expect("the server listens"))
}

fn call(client: &mut Client, words: &[&[u8]]) -> Reply {
    let mut request = Vec::new();
    encode(&mut request, words);
    client.get_mut().write_all(&request).expect("the server reads");
    Reply::read(client).expect("a reply")
}

fn dump(client: &mut Client, key: &str) -> Vec<u8> {
    match call(client, &[b"DUMP", key.as_bytes()]) {
        Reply::Bulk(payload) => payload,
        other => panic!("{key}: {other:?}"),
    }
}

/// All that can be seen of a value, in an order that does not depend on how it lies in memory.
fn seen(client: &mut Client, key: &str) -> Vec<String> {
    let kind = format!("{:?}", call(client, &[b"TYPE", key.as_bytes()]));
    let look: &[&[u8]] = match &kind {
        kind if kind.contains("string") => &[b"GET", key.as_bytes()],
        kind if kind.contains("list") => &[b"LRANGE", key.as_bytes(), b"0", b"-1"],
        kind if kind.contains("zset") => &[b"ZRANGE", key.as_bytes(), b"0", b"-1", b"WITHSCORES"],
        kind if kind.contains("hash") => &[b"HGETALL", key.as_bytes()],
        _ => &[b"SMEMBERS", key.as_bytes()],
    };
    let mut seen = match call(client, look) {
        Reply::Array(elements) if kind.contains("hash") => {
            let mut pairs: Vec<String> = elements.chunks(2).map(|pair| format!("{pair:?}")).collect();
            pairs.sort();
            pairs
        }
        Reply::Array(elements) => elements.iter().map(|element| format!("{element:?}")).collect(),
        other => vec![format!("{other:?}")],
    };
    if kind.contains("set") && !kind.contains("zset") {
        seen.sort();
    }
    seen.push(kind);
    seen
}

/// A text that is a number, short, long, repeats itself, or is any bytes.
fn text(random: &mut Random) -> Vec<u8> {
    match random.below(6) {
        0 => random.below(200).to_string().into_bytes(),
        1 => format!("-{}", random.next() >> random.below(64)).into_bytes(),
        2 => b"ab".repeat(random.below(60) as usize),
        3 => (0..random.below(30)).map(|_| random.next() as u8).collect(),
        4 => b"text ".repeat(random.below(2_000) as usize),
        _ => format!("member:{}", random.below(1_000)).into_bytes(),
    }
}

/// Makes a value under a key on both servers; small ones and large ones.
fn fill(clients: &mut [Client; 2], key: &str, random: &mut Random) {
    let count = if random.one_in(3) { 600 } else { 1 + random.below(20) };
    let command: &[u8] = [&b"SET"[..], b"RPUSH", b"SADD", b"ZADD", b"HSET"][random.below(5) as usize];
    let only_numbers = random.one_in(3);
    let element = |random: &mut Random| match only_numbers {
        true => (random.next() >> (40 + random.below(24))).to_string().into_bytes(),
        false => text(random),
    };
    let mut words = vec![command.to_vec(), key.as_bytes().to_vec()];
    match command {
        b"SET" => words.push(element(random)),
        b"ZADD" => (0..count).for_each(|_| {
            let score = (random.below(2_000) as f64 - 1_000.0) / 8.0;
            words.extend([score.to_string().into_bytes(), element(random)]);
        }),
        b"HSET" => (0..count).for_each(|_| words.extend([element(random), element(random)])),
        _ => (0..count).for_each(|_| words.push(element(random))),
    }
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    let made = clients.each_mut().map(|client| format!("{:?}", call(client, &words)));
    assert_eq!(made[0], made[1]);
}

#[test]
fn values_travel_both_ways() {
    let servers = [Server::start(2), Server::redis()];
    let mut clients = servers.each_ref().map(connect);
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
    let mut clients = servers.each_ref().map(connect);
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
            let words: Vec<&[u8]> = call_of.split(' ').map(str::as_bytes).collect();
            let replies = clients.each_mut().map(|client| call(client, &words));
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
        let look = |client: &mut Client, key: &str| -> Vec<Reply> {
            let call_of = |look: &&str| {
                let look = look.replace('@', key);
                let words: Vec<&[u8]> = look.split(' ').map(str::as_bytes).collect();
                call(client, &words)
            };
            looks.iter().map(call_of).collect()
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
    let mut clients = servers.each_ref().map(connect);
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
