//! Strings, naively.

use super::{Line, SYNTAX, Shard, Words, integer, is, positive_moment, unit};
use crate::decoder::Reply;

const OVERFLOW: Line = "ERR increment or decrement would overflow";

pub(super) fn run(shard: &mut Shard, db: usize, name: &[u8], words: &Words) -> Result<Reply, Line> {
    let key = &words[1][..];
    match name {
        b"get" => Ok(value(shard, db, key)),
        b"getset" => {
            let before = value(shard, db, key);
            shard.store(db, key, words[2].clone(), None);
            Ok(before)
        }
        b"getdel" => Ok(shard.remove(db, key).map_or(Reply::Null, |entry| Reply::Bulk(entry.value))),
        b"getex" => getex(shard, db, words),
        b"set" => set(shard, db, words),
        b"setnx" => {
            let absent = shard.live(db, key).is_none();
            if absent {
                shard.store(db, key, words[2].clone(), None);
            }
            Ok(Reply::Integer(i64::from(absent)))
        }
        b"setex" | b"psetex" => {
            let (seconds, invalid) = match name == b"setex" {
                true => (true, "ERR invalid expire time in 'setex' command"),
                false => (false, "ERR invalid expire time in 'psetex' command"),
            };
            let at = positive_moment(&words[2], (seconds, false), shard.clock, invalid)?;
            shard.store(db, key, words[3].clone(), Some(at));
            Ok(Reply::ok())
        }
        b"append" => {
            let (mut value, deadline) = taken(shard, db, key);
            value.extend_from_slice(&words[2]);
            let len = value.len();
            shard.store(db, key, value, deadline);
            Ok(Reply::Integer(len as i64))
        }
        b"strlen" => Ok(Reply::Integer(shard.live(db, key).map_or(0, |entry| entry.value.len() as i64))),
        b"getrange" | b"substr" => getrange(shard, db, words),
        b"setrange" => setrange(shard, db, words),
        b"incr" => add(shard, db, key, 1),
        b"decr" => add(shard, db, key, -1),
        b"incrby" => add(shard, db, key, integer(&words[2])?),
        b"decrby" => {
            let by = integer(&words[2])?;
            add(shard, db, key, by.checked_neg().ok_or("ERR decrement would overflow")?)
        }
        b"incrbyfloat" => add_float(shard, db, key, &words[2]),
        b"mget" => Ok(Reply::Array(words[1..].iter().map(|key| value(shard, db, key)).collect())),
        b"mset" => {
            words[1..].chunks(2).for_each(|pair| shard.store(db, &pair[0], pair[1].clone(), None));
            Ok(Reply::ok())
        }
        b"msetnx" => {
            let absent = words[1..].chunks(2).all(|pair| shard.live(db, &pair[0]).is_none());
            if absent {
                words[1..].chunks(2).for_each(|pair| shard.store(db, &pair[0], pair[1].clone(), None));
            }
            Ok(Reply::Integer(i64::from(absent)))
        }
        _ => unreachable!("the caller knows the names"),
    }
}

fn value(shard: &mut Shard, db: usize, key: &[u8]) -> Reply {
    shard.live(db, key).map_or(Reply::Null, |entry| Reply::bulk(&entry.value))
}

/// Value and deadline to build upon.
fn taken(shard: &mut Shard, db: usize, key: &[u8]) -> (Vec<u8>, Option<u64>) {
    shard.live(db, key).map_or_else(Default::default, |entry| (entry.value.clone(), entry.deadline))
}

fn set(shard: &mut Shard, db: usize, words: &Words) -> Result<Reply, Line> {
    let (mut absent, mut present, mut get, mut keep) = (false, false, false, false);
    let mut equal: Option<(bool, &[u8])> = None;
    let mut time = None;
    let mut rest = words[3..].iter();
    while let Some(word) = rest.next() {
        let free = !absent && !present && equal.is_none();
        let timeless = time.is_none() && !keep;
        if is(word, "nx") && free {
            absent = true;
        } else if is(word, "xx") && free {
            present = true;
        } else if is(word, "get") {
            get = true;
        } else if is(word, "keepttl") && timeless {
            keep = true;
        } else if (is(word, "ifeq") || is(word, "ifne")) && free {
            equal = Some((is(word, "ifeq"), rest.next().ok_or(SYNTAX)?));
        } else if let (Some(unit), true) = (unit(word), timeless) {
            time = Some((unit, rest.next().ok_or(SYNTAX)?));
        } else {
            return Err(SYNTAX);
        }
    }
    let at = match time {
        None => None,
        Some((unit, word)) => {
            Some(positive_moment(word, unit, shard.clock, "ERR invalid expire time in 'set' command")?)
        }
    };
    let key = &words[1][..];
    let before = shard.live(db, key).cloned();
    let holds = match (equal, &before) {
        (None, before) => !(absent && before.is_some() || present && before.is_none()),
        (Some((wanted, operand)), Some(entry)) => (entry.value == operand) == wanted,
        (Some((wanted, _)), None) => !wanted,
    };
    let deadline = if keep { before.as_ref().and_then(|entry| entry.deadline) } else { at };
    if holds {
        shard.store(db, key, words[2].clone(), deadline);
    }
    Ok(match (get, before) {
        (true, before) => before.map_or(Reply::Null, |entry| Reply::Bulk(entry.value)),
        (false, _) if holds => Reply::ok(),
        (false, _) => Reply::Null,
    })
}

fn getex(shard: &mut Shard, db: usize, words: &Words) -> Result<Reply, Line> {
    let mut change = None;
    match words.len() {
        2 => {}
        3 if is(&words[2], "persist") => change = Some(None),
        4 => {
            let unit = unit(&words[2]).ok_or(SYNTAX)?;
            let invalid = "ERR invalid expire time in 'getex' command";
            change = Some(Some(positive_moment(&words[3], unit, shard.clock, invalid)?));
        }
        _ => return Err(SYNTAX),
    }
    let clock = shard.clock;
    let Some(entry) = shard.live(db, &words[1]) else { return Ok(Reply::Null) };
    let reply = Reply::bulk(&entry.value);
    match change {
        None => {}
        Some(Some(at)) if at <= clock => {
            shard.remove(db, &words[1]);
        }
        Some(deadline) => entry.deadline = deadline,
    }
    Ok(reply)
}

fn getrange(shard: &mut Shard, db: usize, words: &Words) -> Result<Reply, Line> {
    let (start, end) = (integer(&words[2])?, integer(&words[3])?);
    let value = shard.live(db, &words[1]).map_or_else(Vec::new, |entry| entry.value.clone());
    let len = value.len() as i128;
    let place = |n: i64| if n < 0 { (i128::from(n) + len).max(0) } else { i128::from(n) };
    let crossed = start < 0 && end < 0 && start > end;
    let (from, to) = (place(start), place(end).min(len - 1));
    if crossed || from > to || len == 0 {
        return Ok(Reply::bulk(b""));
    }
    Ok(Reply::bulk(&value[from as usize..=to as usize]))
}

fn setrange(shard: &mut Shard, db: usize, words: &Words) -> Result<Reply, Line> {
    let offset = integer(&words[2])?;
    if offset < 0 {
        return Err("ERR offset is out of range");
    }
    let (mut value, deadline) = taken(shard, db, &words[1]);
    if words[3].is_empty() {
        return Ok(Reply::Integer(value.len() as i64));
    }
    let end = offset as usize + words[3].len();
    if end > 512 << 20 {
        return Err("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    }
    if value.len() < end {
        value.resize(end, 0);
    }
    value[offset as usize..end].copy_from_slice(&words[3]);
    let len = value.len();
    shard.store(db, &words[1], value, deadline);
    Ok(Reply::Integer(len as i64))
}

fn add(shard: &mut Shard, db: usize, key: &[u8], by: i64) -> Result<Reply, Line> {
    let (before, deadline) = match shard.live(db, key) {
        None => (0, None),
        Some(entry) => (integer(&entry.value)?, entry.deadline),
    };
    let next = before.checked_add(by).ok_or(OVERFLOW)?;
    shard.store(db, key, next.to_string().into_bytes(), deadline);
    Ok(Reply::Integer(next))
}

/// For numbers that a double holds exactly and that print without an exponent, which is all that the workload asks for.
fn add_float(shard: &mut Shard, db: usize, key: &[u8], by: &[u8]) -> Result<Reply, Line> {
    const NOT_FLOAT: Line = "ERR value is not a valid float";
    let float = |word: &[u8]| -> Result<f64, Line> {
        let text = std::str::from_utf8(word).map_err(|_| NOT_FLOAT)?;
        let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'-');
        if plain { text.parse().map_err(|_| NOT_FLOAT) } else { Err(NOT_FLOAT) }
    };
    let (before, deadline) = match shard.live(db, key) {
        None => (0.0, None),
        Some(entry) => (float(&entry.value)?, entry.deadline),
    };
    let text = format!("{}", before + float(by)?);
    shard.store(db, key, text.clone().into_bytes(), deadline);
    Ok(Reply::bulk(text.as_bytes()))
}
