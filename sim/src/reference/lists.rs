//! Lists, naively.

use std::collections::VecDeque;

use super::{Line, SYNTAX, Shard, Value, Words, integer, is};
use crate::decoder::Reply;

type List = VecDeque<Vec<u8>>;

const NOT_POSITIVE: Line = "ERR value is out of range, must be positive";

pub(super) fn run(shard: &mut Shard, db: usize, name: &[u8], words: &Words) -> Result<Reply, Line> {
    let key = &words[1][..];
    match name {
        b"lpush" => push(shard, db, words, true, false),
        b"rpush" => push(shard, db, words, false, false),
        b"lpushx" => push(shard, db, words, true, true),
        b"rpushx" => push(shard, db, words, false, true),
        b"lpop" => pop(shard, db, words, true),
        b"rpop" => pop(shard, db, words, false),
        b"llen" => Ok(number(list(shard, db, key)?.map_or(0, |list| list.len()))),
        b"lrange" => range(shard, db, words),
        b"lindex" => index(shard, db, words),
        b"lset" => set(shard, db, words),
        b"linsert" => insert(shard, db, words),
        b"lrem" => remove(shard, db, words),
        b"ltrim" => trim(shard, db, words),
        b"lpos" => position(shard, db, words),
        b"lmove" => {
            let (from, to) = (end(&words[3])?, end(&words[4])?);
            move_one(shard, db, key, &words[2], from, to)
        }
        b"rpoplpush" => move_one(shard, db, key, &words[2], false, true),
        b"lmpop" => pop_of_many(shard, db, words),
        _ => unreachable!("the caller knows the names"),
    }
}

/// What lies there now.
fn list(shard: &mut Shard, db: usize, key: &[u8]) -> Result<Option<List>, Line> {
    match shard.live(db, key).map(|entry| &entry.value) {
        None => Ok(None),
        Some(Value::List(list)) => Ok(Some(list.clone())),
        Some(_) => Err(super::WRONG_TYPE),
    }
}

/// Puts a changed list back where one lay; an empty one is no key.
fn put_back(shard: &mut Shard, db: usize, key: &[u8], list: List) {
    if list.is_empty() {
        shard.remove(db, key);
    } else {
        let deadline = shard.live(db, key).and_then(|entry| entry.deadline);
        shard.store(db, key, Value::List(list), deadline);
    }
}

fn number(n: usize) -> Reply {
    Reply::Integer(n as i64)
}

fn bulks(elements: impl IntoIterator<Item = Vec<u8>>) -> Reply {
    Reply::Array(elements.into_iter().map(Reply::Bulk).collect())
}

/// True for the left end.
pub(super) fn end(word: &[u8]) -> Result<bool, Line> {
    match (is(word, "left"), is(word, "right")) {
        (true, _) => Ok(true),
        (_, true) => Ok(false),
        _ => Err(SYNTAX),
    }
}

fn push_at(list: &mut List, left: bool, element: Vec<u8>) {
    if left { list.push_front(element) } else { list.push_back(element) }
}

fn pop_at(list: &mut List, left: bool) -> Option<Vec<u8>> {
    if left { list.pop_front() } else { list.pop_back() }
}

/// The places between two indices, both included, that there are.
fn between(start: i64, stop: i64, len: usize) -> std::ops::Range<usize> {
    let len = len as i128;
    let place = |n: i64| if n < 0 { i128::from(n) + len } else { i128::from(n) };
    let (from, to) = (place(start).max(0), (place(stop) + 1).min(len));
    if from < to { from as usize..to as usize } else { 0..0 }
}

fn push(shard: &mut Shard, db: usize, words: &Words, left: bool, only_if_there: bool) -> Result<Reply, Line> {
    let before = list(shard, db, &words[1])?;
    if before.is_none() && only_if_there {
        return Ok(Reply::Integer(0));
    }
    let mut list = before.unwrap_or_default();
    words[2..].iter().for_each(|element| push_at(&mut list, left, element.clone()));
    let len = list.len();
    put_back(shard, db, &words[1], list);
    Ok(number(len))
}

fn pop(shard: &mut Shard, db: usize, words: &Words, left: bool) -> Result<Reply, Line> {
    let count = match words.get(2) {
        None => None,
        Some(word) => {
            let count = integer(word).map_err(|_| NOT_POSITIVE)?;
            Some(usize::try_from(count).map_err(|_| NOT_POSITIVE)?)
        }
    };
    let Some(mut list) = list(shard, db, &words[1])? else { return Ok(Reply::Null) };
    let Some(count) = count else {
        let element = pop_at(&mut list, left).expect("an empty list is no key");
        put_back(shard, db, &words[1], list);
        return Ok(Reply::Bulk(element));
    };
    let popped = pop_some(&mut list, left, count);
    if count > 0 {
        put_back(shard, db, &words[1], list);
    }
    Ok(bulks(popped))
}

fn pop_some(list: &mut List, left: bool, count: usize) -> Vec<Vec<u8>> {
    let count = count.min(list.len());
    (0..count).filter_map(|_| pop_at(list, left)).collect()
}

fn range(shard: &mut Shard, db: usize, words: &Words) -> Result<Reply, Line> {
    let (start, stop) = (integer(&words[2])?, integer(&words[3])?);
    let list = list(shard, db, &words[1])?.unwrap_or_default();
    Ok(bulks(list.range(between(start, stop, list.len())).cloned()))
}

/// The place that an index names, if there is one.
fn place(index: i64, len: usize) -> Option<usize> {
    let place = if index < 0 { i128::from(index) + len as i128 } else { i128::from(index) };
    usize::try_from(place).ok().filter(|place| *place < len)
}

fn index(shard: &mut Shard, db: usize, words: &Words) -> Result<Reply, Line> {
    let Some(list) = list(shard, db, &words[1])? else { return Ok(Reply::Null) };
    let place = place(integer(&words[2])?, list.len());
    Ok(place.map_or(Reply::Null, |place| Reply::bulk(&list[place])))
}

fn set(shard: &mut Shard, db: usize, words: &Words) -> Result<Reply, Line> {
    let mut list = list(shard, db, &words[1])?.ok_or("ERR no such key")?;
    let place = place(integer(&words[2])?, list.len()).ok_or("ERR index out of range")?;
    list[place] = words[3].clone();
    put_back(shard, db, &words[1], list);
    Ok(Reply::ok())
}

fn insert(shard: &mut Shard, db: usize, words: &Words) -> Result<Reply, Line> {
    let after = match (is(&words[2], "before"), is(&words[2], "after")) {
        (false, false) => return Err(SYNTAX),
        (_, after) => after,
    };
    let Some(mut list) = list(shard, db, &words[1])? else { return Ok(Reply::Integer(0)) };
    let Some(pivot) = list.iter().position(|element| *element == words[3]) else {
        return Ok(Reply::Integer(-1));
    };
    list.insert(pivot + usize::from(after), words[4].clone());
    let len = list.len();
    put_back(shard, db, &words[1], list);
    Ok(number(len))
}

fn remove(shard: &mut Shard, db: usize, words: &Words) -> Result<Reply, Line> {
    let count = integer(&words[2])?;
    let Some(mut list) = list(shard, db, &words[1])? else { return Ok(Reply::Integer(0)) };
    let mut places: Vec<usize> = (0..list.len()).filter(|place| list[*place] == words[3]).collect();
    if count < 0 {
        places.reverse();
    }
    if count != 0 {
        places.truncate(usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX));
    }
    places.sort_unstable_by(|a, b| b.cmp(a));
    places.iter().for_each(|place| {
        list.remove(*place);
    });
    if !places.is_empty() {
        put_back(shard, db, &words[1], list);
    }
    Ok(number(places.len()))
}

fn trim(shard: &mut Shard, db: usize, words: &Words) -> Result<Reply, Line> {
    let (start, stop) = (integer(&words[2])?, integer(&words[3])?);
    if let Some(list) = list(shard, db, &words[1])? {
        let kept = list.range(between(start, stop, list.len())).cloned().collect();
        put_back(shard, db, &words[1], kept);
    }
    Ok(Reply::ok())
}

fn position(shard: &mut Shard, db: usize, words: &Words) -> Result<Reply, Line> {
    let (mut rank, mut count, mut longest) = (1, None, 0);
    let mut rest = words[3..].iter();
    while let Some(word) = rest.next() {
        let operand = rest.next().ok_or(SYNTAX)?;
        let not_negative = |line: Line| {
            let number = integer(operand).map_err(|_| line)?;
            usize::try_from(number).map_err(|_| line)
        };
        if is(word, "rank") {
            rank = integer(operand)?;
            if rank == i64::MIN {
                return Err(
                    "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
                );
            }
            if rank == 0 {
                return Err(
                    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... \
                            or use negative to start from the end of the list",
                );
            }
        } else if is(word, "count") {
            count = Some(not_negative("ERR COUNT can't be negative")?);
        } else if is(word, "maxlen") {
            longest = not_negative("ERR MAXLEN can't be negative")?;
        } else {
            return Err(SYNTAX);
        }
    }
    let list = list(shard, db, &words[1])?.unwrap_or_default();
    let mut places: Vec<usize> = (0..list.len()).collect();
    if rank < 0 {
        places.reverse();
    }
    if longest > 0 {
        places.truncate(longest);
    }
    let skipped = usize::try_from(rank.unsigned_abs() - 1).unwrap_or(usize::MAX);
    let mut matches = places.into_iter().filter(|place| list[*place] == words[2]).skip(skipped);
    Ok(match count {
        None => matches.next().map_or(Reply::Null, number),
        Some(0) => Reply::Array(matches.map(number).collect()),
        Some(count) => Reply::Array(matches.take(count).map(number).collect()),
    })
}

fn move_one(
    shard: &mut Shard,
    db: usize,
    from: &[u8],
    to: &[u8],
    from_left: bool,
    to_left: bool,
) -> Result<Reply, Line> {
    let Some(mut source) = list(shard, db, from)? else { return Ok(Reply::Null) };
    let target = list(shard, db, to)?;
    let element = pop_at(&mut source, from_left).expect("an empty list is no key");
    if from == to {
        push_at(&mut source, to_left, element.clone());
        put_back(shard, db, from, source);
    } else {
        let mut target = target.unwrap_or_default();
        push_at(&mut target, to_left, element.clone());
        put_back(shard, db, from, source);
        put_back(shard, db, to, target);
    }
    Ok(Reply::Bulk(element))
}

fn pop_of_many(shard: &mut Shard, db: usize, words: &Words) -> Result<Reply, Line> {
    const NO_KEYS: Line = "ERR numkeys should be greater than 0";
    const NO_COUNT: Line = "ERR count should be greater than 0";
    let above_zero = |word: &[u8], line: Line| {
        let number = integer(word).map_err(|_| line)?;
        usize::try_from(number).ok().filter(|number| *number > 0).ok_or(line)
    };
    let keys = above_zero(&words[1], NO_KEYS)?;
    let rest = keys.checked_add(2).and_then(|at| words.get(at..)).filter(|rest| !rest.is_empty());
    let (side, options) = rest.and_then(|rest| rest.split_first()).ok_or(SYNTAX)?;
    let left = end(side)?;
    let count = match options {
        [] => 1,
        [option, count, rest @ ..] if is(option, "count") => {
            let count = above_zero(count, NO_COUNT)?;
            if !rest.is_empty() {
                return Err(SYNTAX);
            }
            count
        }
        _ => return Err(SYNTAX),
    };
    for key in &words[2..2 + keys] {
        if let Some(mut list) = list(shard, db, key)? {
            let popped = pop_some(&mut list, left, count);
            put_back(shard, db, key, list);
            return Ok(Reply::Array(vec![Reply::bulk(key), bulks(popped)]));
        }
    }
    Ok(Reply::Null)
}
