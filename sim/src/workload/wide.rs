//! Requests that touch several shards, lists, and transactions: drawn from a seed, over keys that the caller chooses.
//!
//! It knows the words of commands and which of them make a transaction together.

use crate::dice::Dice;

/// Names the next key.
pub type Keys<'a> = dyn FnMut(&mut Dice) -> String + 'a;

/// Words of a request.
pub type Request = Vec<Vec<u8>>;

fn words<W: AsRef<[u8]>>(list: &[W]) -> Request {
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

fn named<'a>(dice: &mut Dice, names: &[&'a str]) -> &'a str {
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
