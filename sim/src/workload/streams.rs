//! Requests about streams and their groups, over keys that the caller chooses, and those that wait for entries.
//!
//! It knows the words of commands. It does not know what they answer.

use super::author::{Author, words};
use super::families::Saying;
use super::wide::{Keys, Request};
use crate::dice::Dice;

fn pick(dice: &mut Dice, choices: &[&'static str]) -> &'static str {
    dice.pick::<&'static str>(choices)
}

/// Few, so that they meet.
fn id(dice: &mut Dice) -> String {
    match dice.below(40) {
        0 => "x".into(),
        1 => "0".into(),
        n => format!("{}-{}", n / 4, dice.below(4)),
    }
}

fn bound(dice: &mut Dice) -> String {
    match dice.below(8) {
        0 | 1 => "-".into(),
        2 | 3 => "+".into(),
        4 => format!("({}", id(dice)),
        _ => id(dice),
    }
}

fn group(dice: &mut Dice) -> &'static str {
    pick(dice, &["g", "g", "h"])
}

fn consumer(dice: &mut Dice) -> &'static str {
    pick(dice, &["Alice", "Bob", "Carol"])
}

fn policy(dice: &mut Dice) -> &'static str {
    pick(dice, &["KEEPREF", "DELREF", "ACKED"])
}

fn number(dice: &mut Dice) -> String {
    if dice.chance(30) { "x".into() } else { (dice.below(9) as i64 - 1).to_string() }
}

/// Anything about streams.
pub fn any(dice: &mut Dice, keys: &mut Keys<'_>) -> Request {
    match dice.below(100) {
        0..=34 => entries(dice, keys),
        35..=49 => trimming(dice, keys),
        50..=64 => reading(dice, keys),
        65..=79 => groups(dice, keys),
        _ => pending(dice, keys),
    }
}

fn entries(dice: &mut Dice, keys: &mut Keys<'_>) -> Request {
    let (key, x, y) = (keys(dice), id(dice), id(dice));
    let (from, to, count) = (bound(dice), bound(dice), number(dice));
    let value = pick(dice, &["1", "70000", "text", ""]);
    match dice.below(26) {
        0..=4 => words(&["XADD", &key, "*", "f", value]),
        5..=8 => words(&["XADD", &key, "*", "f", value, "g", "2"]),
        9..=11 => words(&["XADD", &key, &x, "f", value]),
        12 => words(&["XADD", &key, pick(dice, &["5-*", "0-*", "9-*", "0-0", "x-*"]), "f", value]),
        13 => words(&["XADD", &key, "NOMKSTREAM", "*", "other", value]),
        14 => words(&["XADD", &key, "*", "f", value, "odd"]),
        15 => words(&["XLEN", &key]),
        16 | 17 => words(&["XRANGE", &key, &from, &to]),
        18 => words(&["XRANGE", &key, &from, &to, "COUNT", &count]),
        19 => words(&["XREVRANGE", &key, &to, &from]),
        20 => words(&["XREVRANGE", &key, &to, &from, "COUNT", &count]),
        21 | 22 => words(&["XDEL", &key, &x, &y]),
        23 => words(&["XDELEX", &key, policy(dice), "IDS", "2", &x, &y]),
        24 => words(&["XSETID", &key, pick(dice, &["9-0", "5-0", "20-0"])]),
        _ => match dice.below(3) {
            0 => words(&["XSETID", &key, "9-9", "ENTRIESADDED", &count, "MAXDELETEDID", &x]),
            1 => words(&["XDELEX", &key, "IDS", &count, &x]),
            _ => words(&["XINFO", "STREAM", &key]),
        },
    }
}

fn trimming(dice: &mut Dice, keys: &mut Keys<'_>) -> Request {
    let (key, x, count, limit) = (keys(dice), id(dice), number(dice), number(dice));
    let operator = pick(dice, &["~", "="]);
    match dice.below(12) {
        0 | 1 => words(&["XTRIM", &key, "MAXLEN", &count]),
        2 => words(&["XTRIM", &key, "MAXLEN", operator, &count]),
        3 => words(&["XTRIM", &key, "MAXLEN", operator, &count, "LIMIT", &limit]),
        4 => words(&["XTRIM", &key, "MINID", operator, &x]),
        5 => words(&["XTRIM", &key, "MINID", "~", &x, "LIMIT", &limit]),
        6 => words(&["XTRIM", &key, "MAXLEN", operator, &count, policy(dice)]),
        7 => words(&["XTRIM", &key, "MINID", &x, policy(dice)]),
        8 => words(&["XADD", &key, "MAXLEN", operator, &count, "*", "f", "1"]),
        9 => words(&["XADD", &key, "MINID", operator, &x, "*", "f", "1"]),
        10 => words(&[
            "XADD",
            &key,
            "NOMKSTREAM",
            policy(dice),
            "MAXLEN",
            "~",
            "3",
            "LIMIT",
            &limit,
            "*",
            "f",
            "1",
        ]),
        _ => words(&["XTRIM", &key, "MAXLEN", "3", "MINID", &x]),
    }
}

fn reading(dice: &mut Dice, keys: &mut Keys<'_>) -> Request {
    let (a, b, c) = (keys(dice), keys(dice), keys(dice));
    let (x, y, count) = (id(dice), id(dice), number(dice));
    let (group, consumer) = (group(dice), consumer(dice));
    let end = pick(dice, &["$", "+", "0", ">"]);
    let what = pick(dice, &[">", ">", ">", "0", "$"]);
    let idle = pick(dice, &["0", "1", "5", "20", "x"]);
    match dice.below(24) {
        0 | 1 => words(&["XREAD", "STREAMS", &a, &x]),
        2 | 3 => words(&["XREAD", "STREAMS", &a, &b, &x, &y]),
        4 | 5 => words(&["XREAD", "COUNT", &count, "STREAMS", &a, &b, &c, "0", &x, end]),
        6 => words(&["XREAD", "COUNT", "2", "STREAMS", &a, &b, "0"]),
        7..=10 => words(&["XREADGROUP", "GROUP", group, consumer, "COUNT", &count, "STREAMS", &a, what]),
        11 | 12 => words(&["XREADGROUP", "GROUP", group, consumer, "STREAMS", &a, &b, what, ">"]),
        13 | 14 => {
            words(&["XREADGROUP", "GROUP", group, consumer, "COUNT", "1", "STREAMS", &a, &b, ">", ">"])
        }
        15 => words(&["XREADGROUP", "GROUP", group, consumer, "NOACK", "STREAMS", &a, ">"]),
        16 | 17 => words(&["XREADGROUP", "GROUP", group, consumer, "STREAMS", &a, &x]),
        18 => words(&["XREADGROUP", "NOACK", "COUNT", "1", "STREAMS", &a, ">", "x"]),
        19 | 20 => words(&["XREADGROUP", "GROUP", group, consumer, "CLAIM", idle, "STREAMS", &a, what]),
        21 => words(&["XREADGROUP", "CLAIM", idle, "GROUP", group, consumer, "STREAMS", &a, &b, ">", ">"]),
        22 => {
            let options = ["NOACK", "COUNT", &count, "CLAIM", idle];
            let mut said = vec!["XREADGROUP", "GROUP", group, consumer];
            said.extend(options);
            said.extend(["STREAMS", &a, ">"]);
            words(&said)
        }
        _ => words(&["XREAD", "GROUP", group, consumer, "STREAMS", &a, &x]),
    }
}

fn groups(dice: &mut Dice, keys: &mut Keys<'_>) -> Request {
    let (key, x, count) = (keys(dice), id(dice), number(dice));
    let (group, consumer) = (group(dice), consumer(dice));
    let at = pick(dice, &["0", "0", "$", "5-0", "x"]);
    match dice.below(24) {
        0..=6 => words(&["XGROUP", "CREATE", &key, group, at, "MKSTREAM"]),
        7 => words(&["XGROUP", "CREATE", &key, group, at]),
        8 => words(&["XGROUP", "CREATE", &key, group, "0", "ENTRIESREAD", &count, "MKSTREAM"]),
        9 => words(&["XGROUP", "SETID", &key, group, at]),
        10 => words(&["XGROUP", "SETID", &key, group, &x, "ENTRIESREAD", &count]),
        11 => words(&["XGROUP", "DESTROY", &key, group]),
        12 | 13 => words(&["XGROUP", "CREATECONSUMER", &key, group, consumer]),
        14 => words(&["XGROUP", "DELCONSUMER", &key, group, consumer]),
        15 => words(&["XGROUP", "CREATE", &key, group, at, "NONSENSE"]),
        16 | 17 => words(&["XINFO", "GROUPS", &key]),
        18 | 19 => words(&["XINFO", "CONSUMERS", &key, group]),
        20 | 21 => words(&["XINFO", "STREAM", &key, "FULL"]),
        22 => words(&["XINFO", "STREAM", &key, "FULL", "COUNT", &count]),
        _ => words(&["XINFO", "STREAM", &key, "HALF"]),
    }
}

fn pending(dice: &mut Dice, keys: &mut Keys<'_>) -> Request {
    let (key, x, y, count) = (keys(dice), id(dice), id(dice), number(dice));
    let (group, consumer) = (group(dice), consumer(dice));
    let (from, to, idle) = (bound(dice), bound(dice), pick(dice, &["0", "0", "1", "20", "x"]));
    match dice.below(24) {
        0 | 1 => words(&["XACK", &key, group, &x, &y]),
        2 => words(&["XACKDEL", &key, group, "IDS", "2", &x, &y]),
        3 => words(&["XACKDEL", &key, group, policy(dice), "IDS", "1", &x]),
        4 | 5 => words(&["XPENDING", &key, group]),
        6 | 7 => words(&["XPENDING", &key, group, &from, &to, &count]),
        8 => words(&["XPENDING", &key, group, &from, &to, "5", consumer]),
        9 => words(&["XPENDING", &key, group, "IDLE", idle, &from, &to, "5", consumer]),
        10 | 11 => words(&["XCLAIM", &key, group, consumer, idle, &x, &y]),
        12 => words(&["XCLAIM", &key, group, consumer, "0", &x, "FORCE", "JUSTID"]),
        13 => words(&["XCLAIM", &key, group, consumer, "0", &x, &y, "FORCE", "IDLE", &count]),
        14 => words(&["XCLAIM", &key, group, consumer, "0", &x, "RETRYCOUNT", &count, "LASTID", &y]),
        15 => words(&["XCLAIM", &key, group, consumer, "0", &x, "TIME", &count, "NONSENSE"]),
        16..=19 => words(&["XAUTOCLAIM", &key, group, consumer, idle, &from]),
        20 => words(&["XAUTOCLAIM", &key, group, consumer, "0", "-", "COUNT", &count]),
        21 => words(&["XAUTOCLAIM", &key, group, consumer, "0", &from, "COUNT", "2", "JUSTID"]),
        22 => words(&["XINFO", "CONSUMERS", &key, group]),
        _ => words(&["XPENDING", &key, group, &from, &to]),
    }
}

impl Author<'_> {
    /// Something about waiting for entries, on the keys where lists are waited for as well, so that types meet.
    pub fn waiting_for_entries(&mut self) -> Saying {
        let keys = ["l0", "l{0}0", "e0", "e1", "e2", "e{0}0", "e{0}1"];
        let dice = &mut self.dice;
        let (a, b, c) = (pick(dice, &keys), pick(dice, &keys), pick(dice, &keys));
        let patience = pick(dice, &["0", "0", "0", "5", "20", "50", "300", "-1", "soon"]);
        let (x, y, z) = (pick(dice, &["$", "$", "0", "+"]), pick(dice, &["$", "$", "5-0"]), id(dice));
        let (who, value) = (consumer(dice), format!("v{}", dice.below(1_000)));
        let (group, keys_end) = (pick(dice, &["g", "g", "g", "h"]), self.keys_end);
        let dice = &mut self.dice;
        let idle = pick(dice, &["0", "1", "5", "20", "100"]);
        if dice.below(20) == 0 {
            // Whoever waits last has only time to wait for.
            let other = consumer(dice);
            return Saying::Several(vec![
                words(&["XGROUP", "CREATE", a, group, "0", "MKSTREAM"]),
                words(&["XADD", a, "*", "f", &value]),
                words(&["XREADGROUP", "GROUP", group, who, "STREAMS", a, ">"]),
                words(&[
                    "XREADGROUP",
                    "GROUP",
                    group,
                    other,
                    "BLOCK",
                    patience,
                    "CLAIM",
                    idle,
                    "STREAMS",
                    a,
                    ">",
                ]),
            ]);
        }
        Saying::One(match dice.below(56) {
            0..=3 => words(&["XREAD", "BLOCK", patience, "STREAMS", a, x]),
            4..=6 => words(&["XREAD", "BLOCK", patience, "STREAMS", a, b, x, y]),
            7 => words(&["XREAD", "COUNT", "2", "BLOCK", patience, "STREAMS", a, b, c, x, y, "$"]),
            8 => words(&["XREAD", "BLOCK", patience, "STREAMS", a, &z]),
            9..=14 => words(&[
                "XREADGROUP",
                "GROUP",
                group,
                who,
                "BLOCK",
                patience,
                "COUNT",
                "1",
                "STREAMS",
                a,
                ">",
            ]),
            15 | 16 => {
                words(&["XREADGROUP", "GROUP", group, who, "BLOCK", patience, "STREAMS", a, b, ">", ">"])
            }
            17 => words(&[
                "XREADGROUP",
                "GROUP",
                group,
                who,
                "NOACK",
                "BLOCK",
                patience,
                "STREAMS",
                a,
                b,
                ">",
                "0",
            ]),
            18..=30 => words(&["XADD", a, "*", "f", &value]),
            31 | 32 => words(&["XADD", a, "MAXLEN", "~", "3", "*", "f", &value]),
            33 => words(&["XADD", a, &z, "f", &value]),
            34..=38 => words(&["XGROUP", "CREATE", a, group, pick(dice, &["$", "0"]), "MKSTREAM"]),
            39 => words(&["XGROUP", "DESTROY", a, group]),
            40 => words(&["XGROUP", "SETID", a, group, "0"]),
            41 => words(&["XACK", a, group, &z]),
            42 => words(&["RENAME", b, a]),
            43 => words(&["COPY", b, a, "REPLACE"]),
            44 => words(&["SET", a, "text"]),
            45 if keys_end => words(&["PEXPIRE", a, pick(dice, &["1", "5", "30"])]),
            46 => words(&["XREADGROUP", "GROUP", group, who, "STREAMS", a, ">"]),
            47 => words(&["XTRIM", a, "MAXLEN", "0"]),
            48..=50 => {
                let mut said = vec!["XREADGROUP", "GROUP", group, who, "BLOCK", patience, "CLAIM", idle];
                said.extend(["COUNT", "1", "STREAMS", a, ">"]);
                words(&said)
            }
            51 => {
                let mut said = vec!["XREADGROUP", "GROUP", group, who, "CLAIM", idle, "BLOCK", patience];
                said.extend(["STREAMS", a, b, ">", ">"]);
                words(&said)
            }
            _ => words(&["DEL", a]),
        })
    }
}
