//! Sets, naively.

use std::collections::BTreeSet;

use super::answer::Answer;
use super::{Line, SYNTAX, Shard, Value, Words, integer, is};
use crate::decoder::Reply;

type Set = BTreeSet<Vec<u8>>;

pub(super) fn run(shard: &mut Shard, db: usize, name: &[u8], words: &Words) -> Result<Answer, Line> {
    let key = &words[1][..];
    let all = |set: &Set| Answer::Unordered(set.iter().map(|member| Reply::bulk(member)).collect());
    let reply = match name {
        b"smembers" => return Ok(all(&set(shard, db, key)?.unwrap_or_default())),
        b"sscan" => {
            let set = set(shard, db, key)?.unwrap_or_default();
            return Ok(Answer::Each(vec![Answer::Exactly(Reply::bulk(b"0")), all(&set)]));
        }
        b"srandmember" => return any(&set(shard, db, key)?.unwrap_or_default(), words),
        b"spop" => {
            // The workload takes all or nothing: which one goes, only the engine knows.
            let popped = set(shard, db, key)?.unwrap_or_default();
            if !popped.is_empty() {
                shard.remove(db, key);
            }
            return Ok(all(&popped));
        }
        b"sinter" | b"sunion" | b"sdiff" => return Ok(all(&combined(shard, db, name, &words[1..])?)),
        b"sinterstore" | b"sunionstore" | b"sdiffstore" => {
            let found = combined(shard, db, name, &words[2..])?;
            let count = found.len();
            if count == 0 {
                shard.remove(db, key);
            } else {
                shard.store(db, key, Value::Set(found), None);
            }
            number(count)
        }
        b"sintercard" => count_common(shard, db, words)?,
        b"sadd" => {
            let mut set = set(shard, db, key)?.unwrap_or_default();
            let added = words[2..].iter().filter(|member| set.insert((*member).clone())).count();
            if added > 0 {
                put_back(shard, db, key, set);
            }
            number(added)
        }
        b"srem" => {
            let mut set = set(shard, db, key)?.unwrap_or_default();
            let removed = words[2..].iter().filter(|member| set.remove(*member)).count();
            if removed > 0 {
                put_back(shard, db, key, set);
            }
            number(removed)
        }
        b"scard" => number(set(shard, db, key)?.map_or(0, |set| set.len())),
        b"sismember" => number(usize::from(set(shard, db, key)?.is_some_and(|set| set.contains(&words[2])))),
        b"smismember" => {
            let set = set(shard, db, key)?.unwrap_or_default();
            Reply::Array(words[2..].iter().map(|member| number(usize::from(set.contains(member)))).collect())
        }
        b"smove" => move_one(shard, db, words)?,
        _ => unreachable!("the caller knows the names"),
    };
    Ok(Answer::Exactly(reply))
}

fn set(shard: &mut Shard, db: usize, key: &[u8]) -> Result<Option<Set>, Line> {
    match shard.live(db, key).map(|entry| &entry.value) {
        None => Ok(None),
        Some(Value::Set(set)) => Ok(Some(set.clone())),
        Some(_) => Err(super::WRONG_TYPE),
    }
}

fn put_back(shard: &mut Shard, db: usize, key: &[u8], set: Set) {
    if set.is_empty() {
        shard.remove(db, key);
    } else {
        let deadline = shard.live(db, key).and_then(|entry| entry.deadline);
        shard.store(db, key, Value::Set(set), deadline);
    }
}

fn number(n: usize) -> Reply {
    Reply::Integer(n as i64)
}

fn any(set: &Set, words: &Words) -> Result<Answer, Line> {
    let members = set.iter().map(|member| Reply::bulk(member)).collect();
    Ok(match words.get(2) {
        None if set.is_empty() => Answer::Exactly(Reply::Null),
        None => Answer::OneOf(members),
        Some(count) if integer(count)? >= 1_000 => Answer::Unordered(members),
        Some(_) => return Err(SYNTAX),
    })
}

/// Of the names only their beginnings matter.
fn combined(shard: &mut Shard, db: usize, name: &[u8], keys: &Words) -> Result<Set, Line> {
    let sets: Result<Vec<Set>, Line> =
        keys.iter().map(|key| Ok(set(shard, db, key)?.unwrap_or_default())).collect();
    let mut sets = sets?.into_iter();
    let first = sets.next().unwrap_or_default();
    Ok(sets.fold(first, |found, set| match name[1] {
        b'i' => &found & &set,
        b'u' => &found | &set,
        _ => &found - &set,
    }))
}

fn count_common(shard: &mut Shard, db: usize, words: &Words) -> Result<Reply, Line> {
    let above_zero = |word: &[u8], least: i64, line: Line| {
        let number = integer(word).map_err(|_| line)?;
        if number < least { Err(line) } else { Ok(number as usize) }
    };
    let keys = above_zero(&words[1], 1, "ERR numkeys should be greater than 0")?;
    if keys > words.len() - 2 {
        return Err("ERR Number of keys can't be greater than number of args");
    }
    let limit = match &words[2 + keys..] {
        [] => 0,
        [word, limit] if is(word, "limit") => above_zero(limit, 0, "ERR LIMIT can't be negative")?,
        _ => return Err(SYNTAX),
    };
    let found = combined(shard, db, b"sinter", &words[2..2 + keys])?.len();
    Ok(number(if limit == 0 { found } else { found.min(limit) }))
}

fn move_one(shard: &mut Shard, db: usize, words: &Words) -> Result<Reply, Line> {
    let (from, to, member) = (&words[1], &words[2], &words[3]);
    let Some(mut source) = set(shard, db, from)? else { return Ok(number(0)) };
    let target = set(shard, db, to)?;
    if from == to || !source.contains(member) {
        return Ok(number(usize::from(source.contains(member))));
    }
    source.remove(member);
    put_back(shard, db, from, source);
    let mut target = target.unwrap_or_default();
    if target.insert(member.clone()) {
        put_back(shard, db, to, target);
    }
    Ok(number(1))
}
