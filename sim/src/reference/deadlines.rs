//! When keys end, naively.

use super::{Line, Shard, Words, integer, is, moment};
use crate::decoder::Reply;

pub(super) fn run(shard: &mut Shard, db: usize, name: &[u8], words: &Words) -> Result<Reply, Line> {
    let key = &words[1][..];
    let clock = shard.clock_of(key) as i64;
    match name {
        b"expire" => expire(shard, db, words, (true, false), "ERR invalid expire time in 'expire' command"),
        b"pexpire" => {
            expire(shard, db, words, (false, false), "ERR invalid expire time in 'pexpire' command")
        }
        b"expireat" => {
            expire(shard, db, words, (true, true), "ERR invalid expire time in 'expireat' command")
        }
        b"pexpireat" => {
            expire(shard, db, words, (false, true), "ERR invalid expire time in 'pexpireat' command")
        }
        b"persist" => {
            let had = shard.live(db, key).and_then(|entry| entry.deadline.take());
            if had.is_some() {
                shard.changed(db, key);
            }
            Ok(Reply::Integer(i64::from(had.is_some())))
        }
        b"ttl" => Ok(read(shard, db, key, |at| (at - clock + 500) / 1_000)),
        b"pttl" => Ok(read(shard, db, key, |at| at - clock)),
        b"expiretime" => Ok(read(shard, db, key, |at| (at + 500) / 1_000)),
        b"pexpiretime" => Ok(read(shard, db, key, |at| at)),
        _ => unreachable!("the caller knows the names"),
    }
}

fn read(shard: &mut Shard, db: usize, key: &[u8], shown: impl Fn(i64) -> i64) -> Reply {
    Reply::Integer(match shard.live(db, key) {
        None => -2,
        Some(entry) => entry.deadline.map_or(-1, |at| shown(at as i64)),
    })
}

fn expire(
    shard: &mut Shard,
    db: usize,
    words: &Words,
    unit: (bool, bool),
    invalid: Line,
) -> Result<Reply, Line> {
    let has = |name| words[3..].iter().any(|word| is(word, name));
    let (nx, xx, gt, lt) = (has("nx"), has("xx"), has("gt"), has("lt"));
    if nx && (xx || gt || lt) {
        return Err("ERR NX and XX, GT or LT options at the same time are not compatible");
    }
    if gt && lt {
        return Err("ERR GT and LT options at the same time are not compatible");
    }
    let clock = shard.clock_of(&words[1]);
    let at = moment(integer(&words[2])?, unit.0, unit.1, clock).ok_or(invalid)?;
    let Some(entry) = shard.live(db, &words[1]) else { return Ok(Reply::Integer(0)) };
    // No deadline counts as one that never comes.
    let current = entry.deadline.map_or(i64::MAX, |at| at as i64);
    let timed = entry.deadline.is_some();
    if nx && timed || xx && !timed || gt && at <= current || lt && at >= current {
        return Ok(Reply::Integer(0));
    }
    if at <= clock as i64 {
        shard.remove(db, &words[1]);
    } else {
        entry.deadline = Some(at as u64);
        shard.changed(db, &words[1]);
    }
    Ok(Reply::Integer(1))
}
