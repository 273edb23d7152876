//! Requests about strings as bits and as HyperLogLogs, over keys that the caller chooses.

use super::wide::{Keys, Request, named, words};
use crate::dice::Dice;

/// Few, so that they meet; seldom far away.
fn place(dice: &mut Dice) -> String {
    match dice.below(20) {
        0 => (*dice.pick(&["-1", "x", "4294967296", "20000"])).to_string(),
        _ => dice.below(60).to_string(),
    }
}

fn end(dice: &mut Dice) -> String {
    (dice.below(30) as i64 - 14).to_string()
}

fn width(dice: &mut Dice) -> String {
    match dice.below(30) {
        0 => (*dice.pick(&["u64", "i65", "u0", "x"])).to_string(),
        1 => "i64".into(),
        _ => format!("{}{}", named(dice, &["i", "u"]), dice.between(1, 20)),
    }
}

fn number(dice: &mut Dice) -> String {
    (dice.below(600) as i64 - 300).to_string()
}

/// One or several strings, of any shards.
pub fn bits(dice: &mut Dice, keys: &mut Keys<'_>) -> Request {
    let (a, b, c) = (keys(dice), keys(dice), keys(dice));
    let (x, y) = (place(dice), place(dice));
    let (i, j) = (end(dice), end(dice));
    let bit = named(dice, &["0", "1", "1", "0", "1", "0", "1", "2"]);
    let unit = named(dice, &["BYTE", "BIT", "bit", "x"]);
    let overflow = named(dice, &["WRAP", "SAT", "FAIL", "sat", "x"]);
    let operation = named(dice, &["AND", "OR", "XOR", "DIFF", "DIFF1", "ANDOR", "ONE", "xor"]);
    let (w, v, n, m) = (width(dice), width(dice), number(dice), number(dice));
    match dice.below(26) {
        0..=4 => words(&["SETBIT", &a, &x, bit]),
        5 | 6 => words(&["GETBIT", &a, &x]),
        7 => words(&["BITCOUNT", &a]),
        8 => words(&["BITCOUNT", &a, &i, &j]),
        9 => words(&["BITCOUNT", &a, &i, &j, unit]),
        10 => words(&["BITPOS", &a, bit]),
        11 => words(&["BITPOS", &a, bit, &i]),
        12 => words(&["BITPOS", &a, bit, &i, &j]),
        13 => words(&["BITPOS", &a, bit, &i, &j, unit]),
        14..=16 => words(&["BITOP", operation, &a, &b, &c]),
        17 => words(&["BITOP", operation, &a, &b, &c, &a]),
        18 => words(&["BITOP", "NOT", &a, &b]),
        19 | 20 => words(&["BITFIELD", &a, "SET", &w, &x, &n, "GET", &v, &y]),
        21 | 22 => {
            let first = ["BITFIELD", &a, "OVERFLOW", overflow, "INCRBY", &w, &x, &n];
            words(&[&first[..], &["SET", &v, "#2", &m]].concat())
        }
        23 => words(&["BITFIELD", &a, "INCRBY", &w, &x, &n]),
        24 => words(&["BITFIELD_RO", &a, "GET", &w, &x, "GET", &v, &y]),
        _ => words(&["GET", &a]),
    }
}

/// HyperLogLogs, some of them damaged.
pub fn sketches(dice: &mut Dice, keys: &mut Keys<'_>) -> Request {
    let (a, b, c) = (keys(dice), keys(dice), keys(dice));
    let element = |dice: &mut Dice| format!("e{}", dice.below(300));
    let (x, y, z) = (element(dice), element(dice), element(dice));
    match dice.below(20) {
        0..=5 => words(&["PFADD", &a, &x, &y, &z]),
        6 => words(&["PFADD", &a]),
        7 => {
            let many: Vec<String> = (0..60).map(|n| format!("{x}{n}")).collect();
            let mut list = vec!["PFADD", &a];
            list.extend(many.iter().map(String::as_str));
            words(&list)
        }
        8..=10 => words(&["PFCOUNT", &a]),
        11 | 12 => words(&["PFCOUNT", &a, &b, &c]),
        13..=15 => words(&["PFMERGE", &a, &b, &c]),
        16 => words(&["PFMERGE", &a]),
        17 => words(&["SETRANGE", &a, &dice.between(0, 30).to_string(), &x]),
        18 => words(&["DEL", &a]),
        _ => words(&["GET", &a]),
    }
}
