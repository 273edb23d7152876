//! Hashes, naively: fields with values and deadlines, in the order of their names.

use std::collections::BTreeMap;

use super::answer::Answer;
use super::{Line, NOT_INTEGER, SYNTAX, Shard, Value, Words, integer, is, moment, unit};
use crate::decoder::Reply;

/// A value, and when the field ends.
pub type Fields = BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>;

const NO_FIELDS: Line = "ERR Mandatory argument FIELDS is missing or not at the right position";

pub(super) fn run(shard: &mut Shard, db: usize, name: &[u8], words: &Words) -> Result<Answer, Line> {
    let key = &words[1][..];
    if let b"hgetall" | b"hkeys" | b"hvals" | b"hscan" | b"hrandfield" = name {
        return many(&living(shard, db, key)?.unwrap_or_default(), name, words);
    }
    let reply = match name {
        b"hset" | b"hmset" => set(shard, db, words).map(|added| match name {
            b"hset" => number(added),
            _ => Reply::ok(),
        }),
        b"hsetnx" => {
            let mut fields = living(shard, db, key)?.unwrap_or_default();
            let is_there = fields.contains_key(&words[2]);
            if !is_there {
                fields.insert(words[2].clone(), (words[3].clone(), None));
                put_back(shard, db, key, fields);
            }
            Ok(number(usize::from(!is_there)))
        }
        b"hget" => Ok(value(&living(shard, db, key)?.unwrap_or_default(), &words[2])),
        b"hmget" => {
            let fields = living(shard, db, key)?.unwrap_or_default();
            Ok(Reply::Array(words[2..].iter().map(|name| value(&fields, name)).collect()))
        }
        b"hlen" => Ok(number(living(shard, db, key)?.map_or(0, |fields| fields.len()))),
        b"hexists" => {
            let has = living(shard, db, key)?.is_some_and(|fields| fields.contains_key(&words[2]));
            Ok(number(usize::from(has)))
        }
        b"hstrlen" => {
            let fields = living(shard, db, key)?.unwrap_or_default();
            Ok(number(fields.get(&words[2]).map_or(0, |(value, _)| value.len())))
        }
        b"hdel" => {
            let Some(mut fields) = living(shard, db, key)? else { return Ok(Answer::Exactly(number(0))) };
            let deleted = words[2..].iter().filter(|name| fields.remove(*name).is_some()).count();
            if deleted > 0 {
                put_back(shard, db, key, fields);
            }
            Ok(number(deleted))
        }
        b"hincrby" => add(shard, db, words),
        b"hexpire" | b"hpexpire" => expire(shard, db, words, name == b"hexpire"),
        b"httl" | b"hpttl" | b"hpersist" => tell(shard, db, name, words),
        b"hgetdel" => get_and_delete(shard, db, words),
        b"hsetex" => set_and_expire(shard, db, words),
        _ => unreachable!("the caller knows the names"),
    };
    reply.map(Answer::Exactly)
}

/// The fields that live.
fn living(shard: &mut Shard, db: usize, key: &[u8]) -> Result<Option<Fields>, Line> {
    let clock = shard.clock_of(key);
    match shard.live(db, key).map(|entry| &entry.value) {
        None => Ok(None),
        Some(Value::Hash(fields)) => {
            let lives =
                |(_, (_, ends)): &(&Vec<u8>, &(Vec<u8>, Option<u64>))| ends.is_none_or(|at| at > clock);
            Ok(Some(fields.iter().filter(lives).map(|(name, field)| (name.clone(), field.clone())).collect()))
        }
        Some(_) => Err(super::WRONG_TYPE),
    }
}

/// Puts changed fields back; without any there is no key.
fn put_back(shard: &mut Shard, db: usize, key: &[u8], fields: Fields) {
    if fields.is_empty() {
        shard.remove(db, key);
    } else {
        let deadline = shard.live(db, key).and_then(|entry| entry.deadline);
        shard.store(db, key, Value::Hash(fields), deadline);
    }
}

fn number(n: usize) -> Reply {
    Reply::Integer(n as i64)
}

fn value(fields: &Fields, name: &[u8]) -> Reply {
    fields.get(name).map_or(Reply::Null, |(value, _)| Reply::bulk(value))
}

/// As many as nobody has.
const ALL: i64 = 1_000;

fn many(fields: &Fields, name: &[u8], words: &Words) -> Result<Answer, Line> {
    let names = || fields.keys().map(|name| Reply::bulk(name));
    let pairs = || fields.iter().map(|(name, (value, _))| (Reply::bulk(name), Reply::bulk(value)));
    Ok(match name {
        b"hgetall" => Answer::Pairs(pairs().collect()),
        b"hkeys" => Answer::Unordered(names().collect()),
        b"hvals" => Answer::Unordered(pairs().map(|(_, value)| value).collect()),
        b"hscan" => {
            let all = match words.iter().any(|word| is(word, "novalues")) {
                true => Answer::Unordered(names().collect()),
                false => Answer::Pairs(pairs().collect()),
            };
            Answer::Each(vec![Answer::Exactly(Reply::bulk(b"0")), all])
        }
        _ => match words.get(2) {
            None if fields.is_empty() => Answer::Exactly(Reply::Null),
            None => Answer::OneOf(names().collect()),
            Some(count) if integer(count)? == ALL => Answer::Unordered(names().collect()),
            Some(_) => return Err(SYNTAX),
        },
    })
}

fn set(shard: &mut Shard, db: usize, words: &Words) -> Result<usize, Line> {
    // Such a call may be queued: only who runs it counts.
    if !words.len().is_multiple_of(2) {
        return Err(match words[0].eq_ignore_ascii_case(b"hset") {
            true => "ERR wrong number of arguments for 'hset' command",
            false => "ERR wrong number of arguments for 'hmset' command",
        });
    }
    let mut fields = living(shard, db, &words[1])?.unwrap_or_default();
    let before = fields.len();
    for pair in words[2..].chunks(2) {
        fields.insert(pair[0].clone(), (pair[1].clone(), None));
    }
    let added = fields.len() - before;
    put_back(shard, db, &words[1], fields);
    Ok(added)
}

fn add(shard: &mut Shard, db: usize, words: &Words) -> Result<Reply, Line> {
    let by = integer(&words[3])?;
    let mut fields = living(shard, db, &words[1])?.unwrap_or_default();
    let (before, ends) = match fields.get(&words[2]) {
        None => (0, None),
        Some((value, ends)) => (integer(value).map_err(|_| "ERR hash value is not an integer")?, *ends),
    };
    let next = before.checked_add(by).ok_or("ERR increment or decrement would overflow")?;
    fields.insert(words[2].clone(), (next.to_string().into_bytes(), ends));
    put_back(shard, db, &words[1], fields);
    Ok(Reply::Integer(next))
}

/// The names behind FIELDS and their number.
fn named(words: &Words, at: usize) -> Result<&[Vec<u8>], Line> {
    if !words.get(at).is_some_and(|word| is(word, "fields")) {
        return Err(NO_FIELDS);
    }
    let count = words.get(at + 1).map_or(Err(NOT_INTEGER), |word| integer(word))?;
    let names = &words[at + 2..];
    if usize::try_from(count) != Ok(names.len()) {
        return Err("ERR The `numfields` parameter must match the number of arguments");
    }
    Ok(names)
}

fn expire(shard: &mut Shard, db: usize, words: &Words, seconds: bool) -> Result<Reply, Line> {
    let key = &words[1][..];
    let clock = shard.clock_of(key);
    let fields = living(shard, db, key)?;
    let at = moment(integer(&words[2])?, seconds, false, clock).ok_or(NOT_INTEGER)? as u64;
    let condition = ["nx", "xx", "gt", "lt"].into_iter().find(|name| is(&words[3], name));
    let names = named(words, if condition.is_some() { 4 } else { 3 })?;
    let mut fields = fields.unwrap_or_default();
    let mut changed = false;
    let mut codes = Vec::new();
    for name in names {
        let Some((_, ends)) = fields.get_mut(name) else {
            codes.push(Reply::Integer(-2));
            continue;
        };
        let holds = match condition {
            None => true,
            Some("nx") => ends.is_none(),
            Some("xx") => ends.is_some(),
            Some("gt") => ends.is_some_and(|ends| at > ends),
            Some(_) => ends.is_none_or(|ends| at < ends),
        };
        if !holds {
            codes.push(Reply::Integer(0));
            continue;
        }
        changed = true;
        if at <= clock {
            fields.remove(name);
            codes.push(Reply::Integer(2));
        } else {
            *ends = Some(at);
            codes.push(Reply::Integer(1));
        }
    }
    if changed {
        put_back(shard, db, key, fields);
    }
    Ok(Reply::Array(codes))
}

fn tell(shard: &mut Shard, db: usize, name: &[u8], words: &Words) -> Result<Reply, Line> {
    let key = &words[1][..];
    let clock = shard.clock_of(key);
    let mut fields = living(shard, db, key)?.unwrap_or_default();
    let (mut codes, mut changed) = (Vec::new(), false);
    for field in named(words, 2)? {
        codes.push(Reply::Integer(match fields.get_mut(field) {
            None => -2,
            Some((_, None)) => -1,
            Some((_, ends)) if name == b"hpersist" => {
                *ends = None;
                changed = true;
                1
            }
            Some((_, Some(at))) if name == b"httl" => (*at - clock).div_ceil(1_000) as i64,
            Some((_, Some(at))) => (*at - clock) as i64,
        }));
    }
    if changed {
        put_back(shard, db, key, fields);
    }
    Ok(Reply::Array(codes))
}

fn get_and_delete(shard: &mut Shard, db: usize, words: &Words) -> Result<Reply, Line> {
    let mut fields = living(shard, db, &words[1])?.unwrap_or_default();
    let before = fields.len();
    let values = named(words, 2)?
        .iter()
        .map(|name| fields.remove(name).map_or(Reply::Null, |(value, _)| Reply::Bulk(value)));
    let values = Reply::Array(values.collect());
    if fields.len() < before {
        put_back(shard, db, &words[1], fields);
    }
    Ok(values)
}

/// As the workload says it: `HSETEX key [FNX | FXX] PX milliseconds FIELDS 1 field value`.
fn set_and_expire(shard: &mut Shard, db: usize, words: &Words) -> Result<Reply, Line> {
    let key = &words[1][..];
    let clock = shard.clock_of(key);
    let mut fields = living(shard, db, key)?.unwrap_or_default();
    let condition = ["fnx", "fxx"].into_iter().find(|name| is(&words[2], name));
    let rest = &words[if condition.is_some() { 3 } else { 2 }..];
    let (seconds, absolute) = unit(&rest[0]).ok_or(SYNTAX)?;
    let at = moment(integer(&rest[1])?, seconds, absolute, clock).ok_or(NOT_INTEGER)? as u64;
    let (name, value) = (&rest[4], &rest[5]);
    let holds = match condition {
        None => true,
        Some("fnx") => !fields.contains_key(name),
        Some(_) => fields.contains_key(name),
    };
    if !holds {
        return Ok(number(0));
    }
    if at > clock {
        fields.insert(name.clone(), (value.clone(), Some(at)));
        put_back(shard, db, key, fields);
    } else if fields.remove(name).is_some() {
        put_back(shard, db, key, fields);
    }
    Ok(number(1))
}
