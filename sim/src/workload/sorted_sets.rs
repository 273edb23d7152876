//! Requests about sorted sets and places on the earth, over keys that the caller chooses, and those that wait for members.
//!
//! It knows the words of commands. It does not know what they answer.

use super::author::{Author, words};
use super::families::Saying;
use super::wide::{Keys, Request};
use crate::dice::Dice;

fn pick(dice: &mut Dice, choices: &[&'static str]) -> &'static str {
    dice.pick::<&'static str>(choices)
}

fn member(dice: &mut Dice) -> &'static str {
    pick(dice, &["a", "b", "c", "dd", "1", "-7", "", "a longer member"])
}

fn score(dice: &mut Dice) -> &'static str {
    if dice.chance(20) {
        return pick(dice, &["nan", "x", ""]);
    }
    pick(dice, &["1", "2", "2", "3", "-1", "0.5", "1000000", "inf", "-inf"])
}

fn end(dice: &mut Dice) -> &'static str {
    pick(dice, &["-inf", "+inf", "1", "(1", "2", "(2", "3", "(0.5", "-1", "inf", "x"])
}

fn index(dice: &mut Dice) -> String {
    if dice.chance(30) { "x".into() } else { (dice.below(13) as i64 - 6).to_string() }
}

/// Anything about sorted sets.
pub fn any(dice: &mut Dice, keys: &mut Keys<'_>) -> Request {
    match dice.below(100) {
        0..=49 => single(dice, keys),
        50..=79 => several(dice, keys),
        80..=89 => lexical(dice),
        _ => places(dice),
    }
}

fn single(dice: &mut Dice, keys: &mut Keys<'_>) -> Request {
    let key = keys(dice);
    let (a, b) = (member(dice), member(dice));
    let (x, y) = (score(dice), score(dice));
    let (i, j) = (index(dice), index(dice));
    let (min, max) = (end(dice), end(dice));
    match dice.below(40) {
        0..=6 => words(&["ZADD", &key, x, a, y, b]),
        7 => words(&["ZADD", &key, pick(dice, &["NX", "XX", "GT", "LT"]), "CH", x, a, y, b]),
        8 => words(&["ZADD", &key, pick(dice, &["NX", "XX", "GT", "LT", "CH"]), "INCR", x, a]),
        9 => words(&["ZADD", &key, pick(dice, &["NX", "XX"]), pick(dice, &["NX", "XX", "LT"]), x, a]),
        10 | 11 => words(&["ZINCRBY", &key, x, a]),
        12 | 13 => words(&["ZREM", &key, a, b]),
        14 => words(&["ZCARD", &key]),
        15 | 16 => words(&["ZSCORE", &key, a]),
        17 => words(&["ZMSCORE", &key, a, b]),
        18 => words(&[pick(dice, &["ZRANK", "ZREVRANK"]), &key, a]),
        19 => words(&[pick(dice, &["ZRANK", "ZREVRANK"]), &key, a, "WITHSCORE"]),
        20..=22 => words(&["ZRANGE", &key, &i, &j]),
        23 => words(&["ZRANGE", &key, &i, &j, "REV", "WITHSCORES"]),
        24 => words(&["ZRANGE", &key, min, max, "BYSCORE", "LIMIT", &i, &j]),
        25 => words(&["ZREVRANGE", &key, &i, &j, "WITHSCORES"]),
        26 => words(&["ZRANGEBYSCORE", &key, min, max, "WITHSCORES"]),
        27 => words(&["ZREVRANGEBYSCORE", &key, min, max, "LIMIT", "1", "2"]),
        28 => words(&["ZCOUNT", &key, min, max]),
        29 => words(&["ZREMRANGEBYRANK", &key, &i, &j]),
        30 => words(&["ZREMRANGEBYSCORE", &key, min, max]),
        31..=33 => words(&[pick(dice, &["ZPOPMIN", "ZPOPMAX"]), &key]),
        34 => words(&[pick(dice, &["ZPOPMIN", "ZPOPMAX"]), &key, &i]),
        35 => words(&["ZRANDMEMBER", &key]),
        36 => words(&["ZRANDMEMBER", &key, "100"]),
        37 => words(&["ZSCAN", &key, "0", "COUNT", "1000"]),
        38 => words(&["TYPE", &key]),
        _ => words(&["ZRANGE", &key, "0", "-1", "WITHSCORES"]),
    }
}

fn several(dice: &mut Dice, keys: &mut Keys<'_>) -> Request {
    let (a, b, c) = (keys(dice), keys(dice), keys(dice));
    let (i, j) = (index(dice), index(dice));
    match dice.below(24) {
        0 | 1 => words(&["ZUNION", "2", &a, &b, "WITHSCORES"]),
        2 => words(&[
            "ZUNION",
            "2",
            &a,
            &b,
            "WEIGHTS",
            "2",
            "0.5",
            "AGGREGATE",
            pick(dice, &["MIN", "MAX", "SUM"]),
        ]),
        3 | 4 => words(&["ZINTER", "2", &a, &b, "WITHSCORES"]),
        5 => words(&["ZDIFF", "3", &a, &b, &c, "WITHSCORES"]),
        6 => words(&["ZINTERCARD", "3", &a, &b, &c, "LIMIT", pick(dice, &["0", "1", "-1"])]),
        7..=9 => words(&["ZUNIONSTORE", &c, "2", &a, &b]),
        10 => words(&["ZUNIONSTORE", &c, "2", &a, &b, "WEIGHTS", "2", "3", "AGGREGATE", "MAX"]),
        11 | 12 => words(&["ZINTERSTORE", &c, "2", &a, &b, "AGGREGATE", "MIN"]),
        13 => words(&["ZDIFFSTORE", &c, "2", &a, &b]),
        14 | 15 => words(&["ZRANGESTORE", &c, &a, &i, &j]),
        16 => words(&["ZRANGESTORE", &c, &a, end(dice), end(dice), "BYSCORE", "REV", "LIMIT", "0", "2"]),
        17..=19 => words(&["ZMPOP", "2", &a, &b, pick(dice, &["MIN", "MAX"])]),
        20 => words(&["ZMPOP", "3", &a, &b, &c, "MAX", "COUNT", &i]),
        21 => words(&["ZMPOP", &i, &a, &b, "MIN"]),
        22 => words(&["ZUNIONSTORE", &c, &i, &a, &b]),
        _ => words(&["ZUNION", "1", &a, "WEIGHTS", score(dice)]),
    }
}

/// On keys of their own, where all scores agree: else the order by bytes means nothing.
fn lexical(dice: &mut Dice) -> Request {
    let key = pick(dice, &["x0", "x1", "x{0}2"]);
    let ends = ["-", "+", "[a", "(a", "[b", "(c", "[dd", "b"];
    let (min, max) = (pick(dice, &ends), pick(dice, &ends));
    match dice.below(9) {
        0..=3 => words(&["ZADD", key, "0", member(dice), "0", member(dice)]),
        4 => words(&["ZRANGEBYLEX", key, min, max]),
        5 => words(&["ZREVRANGEBYLEX", key, max, min, "LIMIT", "1", "2"]),
        6 => words(&["ZLEXCOUNT", key, min, max]),
        7 => words(&["ZREMRANGEBYLEX", key, min, max]),
        _ => words(&["ZRANGESTORE", pick(dice, &["x0", "x1"]), key, min, max, "BYLEX"]),
    }
}

/// On keys of their own: scores that are no places mean nothing.
fn places(dice: &mut Dice) -> Request {
    let (from, to) = (pick(dice, &["g0", "g1", "g{0}2"]), pick(dice, &["g3", "g4", "g{0}5"]));
    let longitude = pick(dice, &["13.361389", "15.087269", "-0.127", "12.5", "2.35"]);
    let latitude = pick(dice, &["38.115556", "37.502669", "51.507", "41.9", "48.85"]);
    let reach = pick(dice, &["10", "200", "1500"]);
    let (a, b) = (member(dice), member(dice));
    match dice.below(12) {
        0..=3 => words(&["GEOADD", from, longitude, latitude, a]),
        4 => words(&["GEOADD", from, pick(dice, &["NX", "XX"]), "CH", longitude, latitude, a, "1", "1", b]),
        5 => words(&["GEODIST", from, a, b, pick(dice, &["m", "km", "yd"])]),
        6 => words(&[
            "GEOSEARCH",
            from,
            "FROMLONLAT",
            longitude,
            latitude,
            "BYRADIUS",
            reach,
            "km",
            "ASC",
            "WITHDIST",
        ]),
        7 => words(&["GEOSEARCHSTORE", to, from, "FROMMEMBER", a, "BYRADIUS", reach, "km", "ASC"]),
        8 => words(&[
            "GEOSEARCHSTORE",
            to,
            from,
            "FROMLONLAT",
            longitude,
            latitude,
            "BYRADIUS",
            reach,
            "km",
            "STOREDIST",
        ]),
        9 => words(&["GEORADIUS", from, longitude, latitude, reach, "km", "ASC"]),
        10 => words(&["GEORADIUSBYMEMBER", from, a, reach, "km", "ASC", "STORE", to]),
        _ => words(&["ZRANGE", to, "0", "-1"]),
    }
}

impl Author<'_> {
    /// Something about waiting for members, on the keys where lists are waited for as well, so that types meet.
    pub fn waiting_for_members(&mut self) -> Saying {
        let keys = ["l0", "l1", "l{0}0", "z0", "z1", "z{0}0"];
        let dice = &mut self.dice;
        let (a, b, c) = (pick(dice, &keys), pick(dice, &keys), pick(dice, &keys));
        let patience = pick(dice, &["0", "0", "0.005", "0.02", "0.05", "0.3", "-1", "soon"]);
        let (x, m) = (pick(dice, &["1", "2", "3"]), member(dice));
        let side = pick(dice, &["MIN", "MAX", "max"]);
        Saying::One(match dice.below(26) {
            0..=3 => words(&["BZPOPMIN", a, patience]),
            4 => words(&["BZPOPMAX", a, b, patience]),
            5 => words(&["BZPOPMIN", a, b, c, patience]),
            6 | 7 => words(&["BZMPOP", patience, "2", a, b, side]),
            8 => words(&["BZMPOP", patience, "1", a, side, "COUNT", "2"]),
            9 => words(&["BZMPOP", patience, "0", a, side]),
            10..=14 => words(&["ZADD", a, x, m]),
            15 => words(&["ZADD", a, x, m, "2", "b", "3", "c"]),
            16 => words(&["ZUNIONSTORE", a, "2", b, c]),
            17 => words(&["ZRANGESTORE", a, b, "0", "-1"]),
            18 => words(&["RENAME", b, a]),
            19 => words(&["ZPOPMIN", a]),
            20 => words(&["ZMPOP", "2", a, b, side]),
            21 => words(&["COPY", b, a, "REPLACE"]),
            22 => words(&["ZREM", a, m]),
            23 => words(&["SET", a, "text"]),
            _ => words(&["DEL", a]),
        })
    }
}
