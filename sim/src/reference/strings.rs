//! Strings, naively.

use super::{Line, SYNTAX, Shard, Words, integer, is, positive_moment, unit};
use crate::decoder::Reply;

const OVERFLOW: Line = "ERR increment or decrement would overflow";

pub(super) fn run(shard: &mut Shard, db: usize, name: &[u8], words: &Words) -> Result<Reply, Line> {
    let key = &words[1][..];
    match name {
        b"get" => value(shard, db, key),
        b"getset" => {
            let before = value(shard, db, key)?;
            shard.store(db, key, words[2].clone(), None);
            Ok(before)
        }
        b"getdel" => {
            let before = value(shard, db, key)?;
            shard.remove(db, key);
            Ok(before)
        }
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
            let at = positive_moment(&words[2], (seconds, false), shard.clock_of(key), invalid)?;
            shard.store(db, key, words[3].clone(), Some(at));
            Ok(Reply::ok())
        }
        b"append" => {
            let mut value = shard.text(db, key)?.unwrap_or_default();
            value.extend_from_slice(&words[2]);
            let len = value.len();
            shard.keep(db, key, value);
            Ok(Reply::Integer(len as i64))
        }
        b"strlen" => Ok(Reply::Integer(shard.text(db, key)?.map_or(0, |text| text.len() as i64))),
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
        b"mget" => Ok(Reply::Array(
            words[1..].iter().map(|key| value(shard, db, key).unwrap_or(Reply::Null)).collect(),
        )),
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
        b"msetex" => set_many(shard, db, words),
        _ => unreachable!("the caller knows the names"),
    }
}

fn value(shard: &mut Shard, db: usize, key: &[u8]) -> Result<Reply, Line> {
    Ok(shard.text(db, key)?.map_or(Reply::Null, Reply::Bulk))
}

/// `MSETEX numkeys key value ... [NX|XX] [EX n|PX n|EXAT n|PXAT n|KEEPTTL]`, of Redis 8.4.
fn set_many(shard: &mut Shard, db: usize, words: &Words) -> Result<Reply, Line> {
    let count = integer(&words[1]).ok().and_then(|count| usize::try_from(count).ok());
    let count = count.filter(|count| *count > 0).ok_or("ERR invalid numkeys value")?;
    let end = count.checked_mul(2).and_then(|len| len.checked_add(2));
    let end = end.filter(|end| *end <= words.len()).ok_or("ERR wrong number of key-value pairs")?;
    let pairs: Vec<&[Vec<u8>]> = words[2..end].chunks(2).collect();
    let (mut wanted, mut keep, mut time) = (None, false, None);
    let mut rest = words[end..].iter();
    while let Some(word) = rest.next() {
        if (is(word, "nx") || is(word, "xx")) && wanted.is_none() {
            wanted = Some(is(word, "xx"));
        } else if is(word, "keepttl") && !keep && time.is_none() {
            keep = true;
        } else if let (Some(unit), false, None) = (unit(word), keep, time) {
            time = Some((unit, rest.next().ok_or(SYNTAX)?));
        } else {
            return Err(SYNTAX);
        }
    }
    let mut deadlines = Vec::new();
    for pair in &pairs {
        deadlines.push(match time {
            _ if keep => shard.live(db, &pair[0]).and_then(|entry| entry.deadline),
            None => None,
            Some((unit, word)) => {
                let clock = shard.clock_of(&pair[0]);
                Some(positive_moment(word, unit, clock, "ERR invalid expire time in 'msetex' command")?)
            }
        });
    }
    let holds =
        wanted.is_none_or(|wanted| pairs.iter().all(|pair| shard.live(db, &pair[0]).is_some() == wanted));
    if holds {
        let stored = pairs.iter().zip(deadlines);
        stored.for_each(|(pair, deadline)| match keep {
            true => shard.keep(db, &pair[0], pair[1].clone()),
            false => shard.store(db, &pair[0], pair[1].clone(), deadline),
        });
    }
    Ok(Reply::Integer(i64::from(holds)))
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
        Some((unit, word)) => Some(positive_moment(
            word,
            unit,
            shard.clock_of(&words[1]),
            "ERR invalid expire time in 'set' command",
        )?),
    };
    let key = &words[1][..];
    let lives = shard.live(db, key).is_some();
    // Only who looks at the value minds what it is.
    let before = if get || equal.is_some() { shard.text(db, key)? } else { None };
    let holds = match (equal, &before) {
        (None, _) => !(absent && lives || present && !lives),
        (Some((wanted, operand)), Some(value)) => (value == operand) == wanted,
        (Some((wanted, _)), None) => !wanted,
    };
    match (holds, keep) {
        (true, true) => shard.keep(db, key, words[2].clone()),
        (true, false) => shard.store(db, key, words[2].clone(), at),
        (false, _) => {}
    }
    Ok(match (get, before) {
        (true, before) => before.map_or(Reply::Null, Reply::Bulk),
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
            change = Some(Some(positive_moment(&words[3], unit, shard.clock_of(&words[1]), invalid)?));
        }
        _ => return Err(SYNTAX),
    }
    let clock = shard.clock_of(&words[1]);
    let Some(text) = shard.text(db, &words[1])? else { return Ok(Reply::Null) };
    let reply = Reply::Bulk(text);
    match change {
        None => {}
        Some(Some(at)) if at <= clock => {
            shard.remove(db, &words[1]);
        }
        Some(deadline) => {
            let entry = shard.live(db, &words[1]).expect("it has been read");
            let before = std::mem::replace(&mut entry.deadline, deadline);
            // PERSIST of a key without a deadline changes nothing.
            if (before, deadline) != (None, None) {
                shard.changed(db, &words[1]);
            }
        }
    }
    Ok(reply)
}

fn getrange(shard: &mut Shard, db: usize, words: &Words) -> Result<Reply, Line> {
    let (start, end) = (integer(&words[2])?, integer(&words[3])?);
    let value = shard.text(db, &words[1])?.unwrap_or_default();
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
    let mut value = shard.text(db, &words[1])?.unwrap_or_default();
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
    shard.keep(db, &words[1], value);
    Ok(Reply::Integer(len as i64))
}

fn add(shard: &mut Shard, db: usize, key: &[u8], by: i64) -> Result<Reply, Line> {
    let before = shard.text(db, key)?.map_or(Ok(0), |text| integer(&text))?;
    let next = before.checked_add(by).ok_or(OVERFLOW)?;
    shard.keep(db, key, next.to_string().into_bytes());
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
    let before = shard.text(db, key)?.map_or(Ok(0.0), |text| float(&text))?;
    let text = format!("{}", before + float(by)?);
    shard.keep(db, key, text.clone().into_bytes());
    Ok(Reply::bulk(text.as_bytes()))
}
