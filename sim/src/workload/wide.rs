//! Requests that touch several shards, lists, and transactions: drawn from a seed, over keys that the caller chooses.
//!
//! It knows the words of commands and which of them make a transaction together.

use crate::dice::Dice;

/// Names the next key.
pub type Keys<'a> = dyn FnMut(&mut Dice) -> String + 'a;

/// Words of a request.
pub type Request = Vec<Vec<u8>>;

pub(super) fn words<W: AsRef<[u8]>>(list: &[W]) -> Request {
    list.iter().map(|word| word.as_ref().to_vec()).collect()
}

fn value(dice: &mut Dice) -> String {
    // Few, so that elements repeat and numbers meet commands for numbers.
    if dice.chance(400) { dice.below(4).to_string() } else { format!("v{}", dice.below(6)) }
}

fn index(dice: &mut Dice) -> String {
    if dice.chance(30) { "x".into() } else { (dice.below(13) as i64 - 6).to_string() }
}

fn side(dice: &mut Dice) -> &'static str {
    dice.pick::<&'static str>(&["LEFT", "RIGHT", "left", "Right"])
}

pub(super) fn named<'a>(dice: &mut Dice, names: &[&'a str]) -> &'a str {
    dice.pick::<&'a str>(names)
}

/// Several keys, wherever they lie.
pub fn across(dice: &mut Dice, keys: &mut Keys<'_>) -> Request {
    let (a, b, c) = (keys(dice), keys(dice), keys(dice));
    let (x, y) = (value(dice), value(dice));
    match dice.below(20) {
        0..=2 => words(&["MGET", &a, &b, &c]),
        3..=5 => words(&["MSET", &a, &x, &b, &y]),
        6 => words(&["MSETNX", &a, &x, &b, &y]),
        7 => words(&["DEL", &a, &b, &a]),
        8 => words(&["UNLINK", &a, &b]),
        9 => words(&["EXISTS", &a, &b, &b]),
        10 => words(&["TOUCH", &a, &c]),
        11 | 12 => words(&["RENAME", &a, &b]),
        13 => words(&["RENAMENX", &a, &b]),
        14 => words(&["COPY", &a, &b]),
        15 => words(&["COPY", &a, &b, "REPLACE"]),
        16 => words(&["COPY", &a, &b, "DB", "1"]),
        17 => words(&["COPY", &a, &b, "REPLACE", "DB", "1"]),
        18 => words(&["MOVE", &a, "1"]),
        _ => words(&["TYPE", &a]),
    }
}

/// All keys.
pub fn whole(dice: &mut Dice) -> Request {
    match dice.below(12) {
        0..=3 => words(&["DBSIZE"]),
        4..=6 => words(&["KEYS", named(dice, &["*", "k*", "*1*", "k[0-2]", "?2", "nosuch"])]),
        7 => words(&["SWAPDB", "0", "1"]),
        8 => words(&["SWAPDB", "0", named(dice, &["0", "99", "x"])]),
        9 => words(&["FLUSHDB"]),
        10 => words(&["FLUSHDB", "ASYNC"]),
        _ => words(&["FLUSHALL"]),
    }
}

/// Lists.
pub fn lists(dice: &mut Dice, keys: &mut Keys<'_>) -> Request {
    let (a, b) = (keys(dice), keys(dice));
    let (x, y) = (value(dice), value(dice));
    let (i, j) = (index(dice), index(dice));
    match dice.below(32) {
        0..=3 => words(&[named(dice, &["LPUSH", "RPUSH"]), &a, &x, &y]),
        4 | 5 => words(&[named(dice, &["LPUSHX", "RPUSHX"]), &a, &x]),
        6 | 7 => words(&[named(dice, &["LPOP", "RPOP"]), &a]),
        8 | 9 => words(&[named(dice, &["LPOP", "RPOP"]), &a, &i]),
        10 => words(&["LLEN", &a]),
        11..=13 => words(&["LRANGE", &a, &i, &j]),
        14 | 15 => words(&["LINDEX", &a, &i]),
        16 => words(&["LSET", &a, &i, &x]),
        17 => words(&["LINSERT", &a, named(dice, &["BEFORE", "AFTER", "after"]), &x, &y]),
        18 => words(&["LREM", &a, &i, &x]),
        19 => words(&["LTRIM", &a, &i, &j]),
        20 => words(&["LPOS", &a, &x]),
        21 => words(&["LPOS", &a, &x, "RANK", &i]),
        22 => words(&["LPOS", &a, &x, "COUNT", &i, "MAXLEN", &j]),
        23 => words(&["LPOS", &a, &x, "RANK", "-1", "COUNT", "0"]),
        24..=26 => words(&["LMOVE", &a, &b, side(dice), side(dice)]),
        27 => words(&["RPOPLPUSH", &a, &b]),
        28 | 29 => words(&["LMPOP", "2", &a, &b, side(dice)]),
        30 => words(&["LMPOP", "2", &a, &b, side(dice), "COUNT", &i]),
        _ => words(&["LMPOP", &i, &a, &b, side(dice)]),
    }
}

/// Few, so that they meet; one is longer than a small value may be.
fn member(dice: &mut Dice) -> String {
    match dice.below(20) {
        0 => "m".repeat(70),
        1..=9 => dice.below(9).to_string(),
        _ => format!("m{}", dice.below(7)),
    }
}

/// Hashes.
pub fn hashes(dice: &mut Dice, keys: &mut Keys<'_>) -> Request {
    let (a, f, g, h) = (keys(dice), member(dice), member(dice), member(dice));
    let (x, y) = (value(dice), member(dice));
    match dice.below(28) {
        0..=3 => words(&["HSET", &a, &f, &x, &g, &y]),
        4 => words(&["HSET", &a, &f, &x, &g]),
        5 => words(&["HMSET", &a, &f, &x]),
        6 => words(&["HSETNX", &a, &f, &x]),
        7 | 8 => words(&["HGET", &a, &f]),
        9 => words(&["HMGET", &a, &f, &g, &h]),
        10..=12 => words(&[named(dice, &["HGETALL", "HKEYS", "HVALS"]), &a]),
        13 | 14 => words(&["HLEN", &a]),
        15 => words(&[named(dice, &["HEXISTS", "HSTRLEN"]), &a, &f]),
        16..=18 => words(&["HDEL", &a, &f, &g, &h]),
        19 | 20 => words(&["HINCRBY", &a, &f, &index(dice)]),
        21 => words(&["HSCAN", &a, "0", "COUNT", "1000"]),
        22 => words(&["HSCAN", &a, "0", "COUNT", "1000", "NOVALUES"]),
        23 => words(&["HRANDFIELD", &a]),
        24 => words(&["HRANDFIELD", &a, "1000"]),
        25 => words(&["HGETDEL", &a, "FIELDS", "2", &f, &g]),
        26 => words(&["HEXPIRE", &a, "100000", "FIELDS", "1", &f]),
        _ => words(&["HPERSIST", &a, "FIELDS", "2", &f, &g]),
    }
}

/// Hashes whose fields end while the world lasts.
pub fn fields_that_end(dice: &mut Dice, keys: &mut Keys<'_>) -> Request {
    let (a, f, g, x) = (keys(dice), member(dice), member(dice), value(dice));
    let span = dice.between(0, 60).to_string();
    match dice.below(14) {
        0..=2 => words(&["HPEXPIRE", &a, &span, "FIELDS", "2", &f, &g]),
        3 | 4 => words(&["HPEXPIRE", &a, &span, named(dice, &["NX", "XX", "GT", "LT"]), "FIELDS", "1", &f]),
        5 | 6 => words(&["HSETEX", &a, "PX", &span, "FIELDS", "1", &f, &x]),
        7 => words(&["HSETEX", &a, named(dice, &["FNX", "FXX"]), "PX", &span, "FIELDS", "1", &f, &x]),
        8 | 9 => words(&[named(dice, &["HTTL", "HPTTL", "HPERSIST"]), &a, "FIELDS", "2", &f, &g]),
        10 => words(&["HLEN", &a]),
        11 => words(&["HGETALL", &a]),
        12 => words(&["EXISTS", &a]),
        _ => words(&["HSET", &a, &f, &x]),
    }
}

/// Sets, of any shards.
pub fn sets(dice: &mut Dice, keys: &mut Keys<'_>) -> Request {
    let (a, b, c) = (keys(dice), keys(dice), keys(dice));
    let (x, y, z) = (member(dice), member(dice), member(dice));
    match dice.below(28) {
        0..=5 => words(&["SADD", &a, &x, &y, &z]),
        6 | 7 => words(&["SREM", &a, &x, &y]),
        8 => words(&["SMEMBERS", &a]),
        9 => words(&["SISMEMBER", &a, &x]),
        10 => words(&["SMISMEMBER", &a, &x, &y]),
        11 => words(&["SCARD", &a]),
        12 => words(&["SPOP", &a, "1000"]),
        13 => words(&["SRANDMEMBER", &a]),
        14 => words(&["SRANDMEMBER", &a, "1000"]),
        15 => words(&["SSCAN", &a, "0", "COUNT", "1000"]),
        16..=18 => words(&["SMOVE", &a, &b, &x]),
        19..=21 => words(&[named(dice, &["SINTER", "SUNION", "SDIFF"]), &a, &b, &c]),
        22 => words(&[named(dice, &["SINTER", "SUNION", "SDIFF"]), &a, &b]),
        23..=25 => words(&[named(dice, &["SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE"]), &a, &b, &c]),
        26 => words(&["SINTERCARD", "2", &a, &b]),
        _ => words(&["SINTERCARD", "3", &a, &b, &c, "LIMIT", &index(dice)]),
    }
}

/// One string, so that types meet.
pub fn single(dice: &mut Dice, keys: &mut Keys<'_>) -> Request {
    let (a, x) = (keys(dice), value(dice));
    match dice.below(20) {
        0..=3 => words(&["GET", &a]),
        4..=6 => words(&["SET", &a, &x]),
        7 => words(&["SET", &a, &x, named(dice, &["NX", "XX", "GET", "KEEPTTL"])]),
        8 => words(&["SETNX", &a, &x]),
        9 => words(&["GETSET", &a, &x]),
        10 => words(&["GETDEL", &a]),
        11 => words(&["APPEND", &a, &x]),
        12 => words(&["STRLEN", &a]),
        13 => words(&["INCR", &a]),
        14 => words(&["DECRBY", &a, &x]),
        15 => words(&["SETRANGE", &a, "2", &x]),
        16 => words(&["GETRANGE", &a, "0", "-2"]),
        17 => words(&["EXPIRE", &a, "100000000", named(dice, &["NX", "XX"])]),
        18 => words(&["PERSIST", &a]),
        _ => words(&["GETEX", &a, "PERSIST"]),
    }
}

/// Anything of the above.
pub fn any(dice: &mut Dice, keys: &mut Keys<'_>) -> Request {
    match dice.below(20) {
        0..=6 => across(dice, keys),
        7..=12 => lists(dice, keys),
        13 => whole(dice),
        _ => single(dice, keys),
    }
}

/// Requests of one connection that make a transaction: perhaps WATCH and a look at what is watched, MULTI, commands, EXEC or DISCARD.
pub fn transaction(dice: &mut Dice, keys: &mut Keys<'_>) -> Vec<Request> {
    let mut requests = Vec::new();
    if dice.chance(500) {
        let (a, b) = (keys(dice), keys(dice));
        requests.push(words(&["WATCH", &a, &b]));
        if dice.chance(500) {
            requests.push(words(&["GET", &a]));
        }
        if dice.chance(50) {
            requests.push(words(&["UNWATCH"]));
        }
    }
    requests.push(words(&["MULTI"]));
    for _ in 0..dice.below(5) {
        requests.push(match dice.below(40) {
            0 => words(&["SELECT", named(dice, &["0", "1", "99"])]),
            1 => words(&["PING"]),
            2 => words(&["GET"]),
            3 => words(&["MULTI"]),
            4 => words(&["WATCH", "k1"]),
            5 => words(&["UNWATCH"]),
            _ => any(dice, keys),
        });
    }
    requests.push(words(&[if dice.chance(60) { "DISCARD" } else { "EXEC" }]));
    if dice.chance(30) {
        requests.push(words(&["EXEC"]));
    }
    requests
}
