//! Keys whatever lies under them, naively.

use super::answer::{NOT_ANSWERED, NOT_CONNECTED, TIMED_OUT};
use super::{Line, NOT_INTEGER, SYNTAX, Shard, Value, Words, integer, is};
use crate::abroad;
use crate::decoder::Reply;

const SAME: Line = "ERR source and destination objects are the same";

pub(super) fn run(shard: &mut Shard, db: usize, name: &[u8], words: &Words) -> Result<Reply, Line> {
    let keys = &words[1..];
    match name {
        b"del" | b"unlink" => {
            let removed = keys.iter().filter(|key| shard.remove(db, key).is_some()).count();
            Ok(Reply::Integer(removed as i64))
        }
        b"exists" | b"touch" => {
            let found = keys.iter().filter(|key| shard.live(db, key).is_some()).count();
            Ok(Reply::Integer(found as i64))
        }
        b"type" => {
            let name = match shard.live(db, &keys[0]).map(|entry| &entry.value) {
                None => "none",
                Some(Value::Bytes(_)) => "string",
                Some(Value::List(_)) => "list",
                Some(Value::SortedSet(_)) => "zset",
                Some(Value::Stream(_)) => "stream",
                Some(Value::Hash(_)) => "hash",
                Some(Value::Set(_)) => "set",
            };
            Ok(Reply::Simple(name.into()))
        }
        b"rename" => rename(shard, db, words, false).map(|_| Reply::ok()),
        b"renamenx" => rename(shard, db, words, true).map(|moved| Reply::Integer(i64::from(moved))),
        b"copy" => copy(shard, db, words),
        b"move" => {
            let to = database(shard, &words[2])?;
            if to == db {
                return Err(SAME);
            }
            let moves = shard.live(db, &keys[0]).is_some() && shard.live(to, &keys[0]).is_none();
            if moves && let Some(entry) = shard.remove(db, &keys[0]) {
                shard.store(to, &keys[0], entry.value, entry.deadline);
            }
            Ok(Reply::Integer(i64::from(moves)))
        }
        b"migrate" => migrate(shard, db, words),
        _ => unreachable!("the caller knows the names"),
    }
}

/// Keys leave if the server of this name takes them; the workload says either one key or KEYS.
fn migrate(shard: &mut Shard, db: usize, words: &Words) -> Result<Reply, Line> {
    let copies = words[6..].iter().any(|word| is(word, "copy"));
    let behind = words.iter().position(|word| is(word, "keys")).filter(|_| words[3].is_empty());
    let keys = match behind {
        Some(place) => words[place + 1..].to_vec(),
        None => vec![words[3].clone()],
    };
    let there: Vec<&Vec<u8>> = keys.iter().filter(|key| shard.live(db, key).is_some()).collect();
    if there.is_empty() {
        return Ok(Reply::Simple("NOKEY".into()));
    }
    match std::str::from_utf8(&words[1]).unwrap_or_default() {
        abroad::CLOSED => Err(NOT_CONNECTED),
        abroad::FULL => {
            Ok(Reply::error(&format!("ERR Target instance replied with error: {}", abroad::NO_ROOM)))
        }
        abroad::SILENT => Err(TIMED_OUT),
        abroad::CUT => Err(NOT_ANSWERED),
        _ => {
            for key in there.into_iter().filter(|_| !copies) {
                shard.remove(db, key);
            }
            Ok(Reply::ok())
        }
    }
}

fn rename(shard: &mut Shard, db: usize, words: &Words, only_if_absent: bool) -> Result<bool, Line> {
    let (from, to) = (&words[1], &words[2]);
    if shard.live(db, from).is_none() {
        return Err("ERR no such key");
    }
    if only_if_absent && shard.live(db, to).is_some() {
        return Ok(false);
    }
    if from != to
        && let Some(entry) = shard.remove(db, from)
    {
        shard.remove(db, to);
        shard.store(db, to, entry.value, entry.deadline);
    }
    Ok(true)
}

fn copy(shard: &mut Shard, db: usize, words: &Words) -> Result<Reply, Line> {
    let (mut to, mut replace) = (db, false);
    let mut rest = words[3..].iter();
    while let Some(word) = rest.next() {
        if is(word, "replace") {
            replace = true;
        } else if is(word, "db") {
            to = database(shard, rest.next().ok_or(SYNTAX)?)?;
        } else {
            return Err(SYNTAX);
        }
    }
    if to == db && words[1] == words[2] {
        return Err(SAME);
    }
    let Some(source) = shard.live(db, &words[1]).cloned() else { return Ok(Reply::Integer(0)) };
    let free = replace || shard.live(to, &words[2]).is_none();
    if free {
        shard.store(to, &words[2], source.value, source.deadline);
    }
    Ok(Reply::Integer(i64::from(free)))
}

fn database(shard: &Shard, word: &[u8]) -> Result<usize, Line> {
    let number = integer(word).map_err(|_| NOT_INTEGER)?;
    let known = usize::try_from(number).ok().filter(|&number| number < shard.databases.len());
    known.ok_or("ERR DB index is out of range")
}
