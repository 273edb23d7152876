//! Values of every type and size, made at random on several servers at once, and all that can be seen of them.

use std::io::{BufReader, Write};
use std::net::TcpStream;

use crate::Random;
use crate::reply::{Reply, encode};

/// A connection whose words may be any bytes.
pub type Connection = BufReader<TcpStream>;

/// Connects to a port of this machine.
pub fn connect(port: u16) -> Connection {
    BufReader::new(TcpStream::connect(("127.0.0.1", port)).expect("the server listens"))
}

/// Says words and reads the reply.
pub fn call(client: &mut Connection, words: &[&[u8]]) -> Reply {
    let mut request = Vec::new();
    encode(&mut request, words);
    client.get_mut().write_all(&request).expect("the server reads");
    Reply::read(client).expect("a reply")
}

/// The same with a server that may be gone at any moment; `None`: it is.
pub fn try_call(client: &mut Connection, words: &[&[u8]]) -> Option<Reply> {
    let mut request = Vec::new();
    encode(&mut request, words);
    client.get_mut().write_all(&request).ok()?;
    Reply::read(client).ok()
}

/// All that can be seen of a value, in an order that does not depend on how it lies in memory.
pub fn seen(client: &mut Connection, key: &str) -> Vec<String> {
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
pub fn text(random: &mut Random) -> Vec<u8> {
    match random.below(6) {
        0 => random.below(200).to_string().into_bytes(),
        1 => format!("-{}", random.next() >> random.below(64)).into_bytes(),
        2 => b"ab".repeat(random.below(60) as usize),
        3 => (0..random.below(30)).map(|_| random.next() as u8).collect(),
        4 => b"text ".repeat(random.below(2_000) as usize),
        _ => format!("member:{}", random.below(1_000)).into_bytes(),
    }
}

/// Makes a value under a key on these servers, the same on each; small ones and large ones.
pub fn fill(clients: &mut [Connection], key: &str, random: &mut Random) {
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
    let made: Vec<Reply> = clients.iter_mut().map(|client| call(client, &words)).collect();
    assert!(made.iter().all(|reply| *reply == made[0] && reply.error().is_none()), "{key}: {made:?}");
}

/// Makes a value under each of these keys on one server.
pub fn fill_all(client: &mut Connection, keys: &[String], random: &mut Random) {
    keys.iter().for_each(|key| fill(std::slice::from_mut(client), key, random));
}
