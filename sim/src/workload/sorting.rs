//! Requests that sort, over keys that the caller chooses: with and without a look at others, which are named after elements.

use super::wide::{Keys, Request, named, words};
use crate::dice::Dice;

/// Lists and sets of numbers, keys that elements name, and SORT.
pub fn sorting(dice: &mut Dice, keys: &mut Keys<'_>) -> Request {
    let (a, b) = (keys(dice), keys(dice));
    let (n, m) = (dice.below(9).to_string(), dice.below(9).to_string());
    let verb = named(dice, &["SORT", "SORT", "SORT", "SORT_RO"]);
    let order = named(dice, &["ASC", "DESC", "desc"]);
    // The keys of the world are k and a number.
    let by = named(dice, &["k*", "k*", "h*->f"]);
    let get = named(dice, &["#", "k*", "h*->f", "none", "k*x"]);
    let mut limit = || (dice.below(8) as i64 - 2).to_string();
    let (i, j) = (limit(), limit());
    match dice.below(24) {
        0..=2 => words(&["RPUSH", &a, &n, &m]),
        3 | 4 => words(&["SADD", &a, &n, &m]),
        5 => words(&["ZADD", &a, &n, &m, &m, &n]),
        6 => words(&["SET", &format!("k{n}"), &m]),
        7 => words(&["HSET", &format!("h{n}"), "f", &m]),
        8 => words(&["HDEL", &format!("h{n}"), "f"]),
        9 => words(&[verb, &a]),
        10 => words(&[verb, &a, order, "ALPHA"]),
        11 => words(&[verb, &a, "LIMIT", &i, &j]),
        12 => words(&[verb, &a, "BY", "nosort", order, "GET", get]),
        13 | 14 => words(&[verb, &a, "BY", by, order]),
        15 => words(&[verb, &a, "BY", by, "ALPHA", order, "GET", "#", "GET", get]),
        16 | 17 => words(&[verb, &a, "BY", by, "LIMIT", &i, &j, "GET", get, "GET", "k*"]),
        18 => words(&[verb, &a, "GET", get]),
        19 => words(&["SORT", &a, order, "STORE", &b]),
        20 => words(&["SORT", &a, "BY", "nosort", "STORE", &b]),
        21 | 22 => words(&["SORT", &a, "BY", by, order, "GET", get, "STORE", &b]),
        _ => words(&["SORT_RO", &a, "STORE", &b]),
    }
}
