//! Sorted sets, naively: members by their bytes, and sorted anew for each look.
//!
//! What the protocol's version decides is left open: a score is a double, which RESP2 writes as a bulk; pairs are a map, which RESP2 writes one behind
//! the other and RESP3 in arrays of two. See [`super::answer`].

use std::collections::BTreeMap;

use super::{Line, SYNTAX, Shard, Value, Words, integer, is};
use crate::decoder::Reply;

/// A score, which is never not a number.
#[derive(Clone, Copy, Debug)]
pub struct Score(pub f64);

impl PartialEq for Score {
    fn eq(&self, other: &Score) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Score {}

/// Members and their scores.
pub type SortedSet = BTreeMap<Vec<u8>, Score>;
type Pairs = Vec<(Vec<u8>, f64)>;

const NOT_FLOAT: Line = "ERR value is not a valid float";
const NOT_RANGE: Line = "ERR min or max is not a float";
const NOT_LEX: Line = "ERR min or max not valid string range item";

pub(super) fn run(shard: &mut Shard, db: usize, name: &[u8], words: &Words) -> Result<Reply, Line> {
    let key = &words[1][..];
    match name {
        b"zadd" => add(shard, db, words),
        b"zincrby" => {
            let by = number(&words[2]).ok_or(NOT_FLOAT)?;
            let mut set = set(shard, db, key)?.unwrap_or_default();
            let sum = set.get(&words[3]).map_or(0.0, |score| score.0) + by;
            if sum.is_nan() {
                return Err("ERR resulting score is not a number (NaN)");
            }
            set.insert(words[3].clone(), Score(sum));
            put_back(shard, db, key, set);
            Ok(double(sum))
        }
        b"zrem" => {
            let Some(mut set) = set(shard, db, key)? else { return Ok(Reply::Integer(0)) };
            let removed = words[2..].iter().filter(|member| set.remove(*member).is_some()).count();
            if removed > 0 {
                put_back(shard, db, key, set);
            }
            Ok(count(removed))
        }
        b"zcard" => Ok(count(set(shard, db, key)?.map_or(0, |set| set.len()))),
        b"zscore" => {
            let set = set(shard, db, key)?.unwrap_or_default();
            Ok(set.get(&words[2]).map_or(Reply::Null, |score| double(score.0)))
        }
        b"zmscore" => {
            let set = set(shard, db, key)?.unwrap_or_default();
            let scores =
                words[2..].iter().map(|member| set.get(member).map_or(Reply::Null, |score| double(score.0)));
            Ok(Reply::Array(scores.collect()))
        }
        b"zrank" | b"zrevrank" => rank(shard, db, name, words),
        b"zrange" | b"zrangebyscore" | b"zrevrangebyscore" | b"zrevrange" | b"zrangebylex"
        | b"zrevrangebylex" => {
            let (pairs, with_scores) = range(shard, db, name, key, &words[2..])?;
            Ok(listed(pairs, with_scores))
        }
        b"zrangestore" => {
            let (pairs, _) = range(shard, db, b"zrangestore", &words[2], &words[3..])?;
            Ok(put(shard, db, key, pairs))
        }
        b"zcount" | b"zlexcount" => {
            let is_within = within(name == b"zlexcount", &words[2], &words[3])?;
            let set = set(shard, db, key)?.unwrap_or_default();
            Ok(count(set.iter().filter(|(member, score)| is_within(member, score.0)).count()))
        }
        b"zremrangebyrank" | b"zremrangebyscore" | b"zremrangebylex" => remove_range(shard, db, name, words),
        b"zpopmin" | b"zpopmax" => pop(shard, db, name == b"zpopmax", words),
        b"zmpop" => pop_of_many(shard, db, words),
        b"zunion" | b"zinter" | b"zdiff" | b"zintercard" | b"zunionstore" | b"zinterstore"
        | b"zdiffstore" => combine(shard, db, name, words),
        b"zscan" => {
            let set = set(shard, db, key)?.unwrap_or_default();
            let pairs = sorted(&set)
                .into_iter()
                .flat_map(|(member, score)| [Reply::Bulk(member), Reply::Bulk(text(score).into_bytes())]);
            Ok(Reply::Array(vec![Reply::bulk(b"0"), Reply::Set(pairs.collect())]))
        }
        _ => unreachable!("the caller knows the names"),
    }
}

/// What lies there now.
pub(super) fn set(shard: &mut Shard, db: usize, key: &[u8]) -> Result<Option<SortedSet>, Line> {
    match shard.live(db, key).map(|entry| &entry.value) {
        None => Ok(None),
        Some(Value::SortedSet(set)) => Ok(Some(set.clone())),
        Some(_) => Err(super::WRONG_TYPE),
    }
}

/// What is put together: of a set without scores each member counts one.
fn source(shard: &mut Shard, db: usize, key: &[u8]) -> Result<SortedSet, Line> {
    if let Some(Value::Set(members)) = shard.live(db, key).map(|entry| &entry.value) {
        return Ok(members.iter().map(|member| (member.clone(), Score(1.0))).collect());
    }
    Ok(set(shard, db, key)?.unwrap_or_default())
}

/// Puts a changed set back where one lay; an empty one is no key.
fn put_back(shard: &mut Shard, db: usize, key: &[u8], set: SortedSet) {
    if set.is_empty() {
        shard.remove(db, key);
    } else {
        let deadline = shard.live(db, key).and_then(|entry| entry.deadline);
        shard.store(db, key, Value::SortedSet(set), deadline);
    }
}

/// Stores a result over whatever lay there.
pub(super) fn put(shard: &mut Shard, db: usize, key: &[u8], pairs: Pairs) -> Reply {
    let len = pairs.len();
    if pairs.is_empty() {
        shard.remove(db, key);
    } else {
        let set = pairs.into_iter().map(|(member, score)| (member, Score(score))).collect();
        shard.store(db, key, Value::SortedSet(set), None);
    }
    count(len)
}

/// By score, then by bytes.
fn sorted(set: &SortedSet) -> Pairs {
    let mut pairs: Pairs = set.iter().map(|(member, score)| (member.clone(), score.0)).collect();
    pairs.sort_by(|a, b| a.1.partial_cmp(&b.1).expect("scores are numbers").then_with(|| a.0.cmp(&b.0)));
    pairs
}

fn count(n: usize) -> Reply {
    Reply::Integer(n as i64)
}

/// As Redis writes it: plainly, or with an exponent where that is much shorter.
fn text(score: f64) -> String {
    if score.fract() == 0.0 && score.abs() < 4e18 || score.is_infinite() {
        return format!("{score}");
    }
    let with_exponent = format!("{score:e}");
    let (digits, exponent) = with_exponent.split_once('e').expect("it was asked for");
    let exponent: i32 = exponent.parse().expect("digits");
    let count = digits.bytes().filter(u8::is_ascii_digit).count() as i32;
    let behind = count - 1 - exponent;
    let is_plain = if behind > 0 { behind < 7 || exponent.abs() < 4 } else { exponent < count + 7 };
    match is_plain {
        true => format!("{score}"),
        false => format!("{digits}e{exponent:+}"),
    }
}

fn double(score: f64) -> Reply {
    Reply::Double(text(score))
}

fn listed(pairs: Pairs, with_scores: bool) -> Reply {
    match with_scores {
        false => Reply::Array(pairs.into_iter().map(|(member, _)| Reply::Bulk(member)).collect()),
        true => Reply::Map(
            pairs.into_iter().flat_map(|(member, score)| [Reply::Bulk(member), double(score)]).collect(),
        ),
    }
}

/// A score that is a number.
fn number(word: &[u8]) -> Option<f64> {
    let number: f64 = std::str::from_utf8(word).ok()?.parse().ok()?;
    (!number.is_nan()).then_some(number)
}

fn add(shard: &mut Shard, db: usize, words: &Words) -> Result<Reply, Line> {
    let options = words[2..]
        .iter()
        .take_while(|word| ["nx", "xx", "gt", "lt", "ch", "incr"].iter().any(|option| is(word, option)));
    let options: Vec<Vec<u8>> = options.map(|word| word.to_ascii_lowercase()).collect();
    let has = |option: &str| options.iter().any(|word| word == option.as_bytes());
    let pairs = &words[2 + options.len()..];
    if pairs.is_empty() || pairs.len() % 2 == 1 {
        return Err(SYNTAX);
    }
    if has("nx") && has("xx") {
        return Err("ERR XX and NX options at the same time are not compatible");
    }
    if [has("gt"), has("lt"), has("nx")].iter().filter(|has| **has).count() > 1 {
        return Err("ERR GT, LT, and/or NX options at the same time are not compatible");
    }
    if has("incr") && pairs.len() > 2 {
        return Err("ERR INCR option supports a single increment-element pair");
    }
    let scores: Option<Vec<f64>> = pairs.iter().step_by(2).map(|word| number(word)).collect();
    let scores = scores.ok_or(NOT_FLOAT)?;
    let mut set = set(shard, db, &words[1])?.unwrap_or_default();
    let (mut added, mut updated, mut last) = (0, 0, Reply::Null);
    for (score, member) in scores.into_iter().zip(pairs.iter().skip(1).step_by(2)) {
        match set.get(member).map(|score| score.0) {
            None if has("xx") => continue,
            None => {
                set.insert(member.clone(), Score(score));
                added += 1;
                last = double(score);
            }
            Some(_) if has("nx") => continue,
            Some(before) => {
                let score = if has("incr") { before + score } else { score };
                if score.is_nan() {
                    return Err("ERR resulting score is not a number (NaN)");
                }
                if has("gt") && score <= before || has("lt") && score >= before {
                    continue;
                }
                last = double(score);
                if score != before {
                    set.insert(member.clone(), Score(score));
                    updated += 1;
                }
            }
        }
    }
    if added + updated > 0 {
        put_back(shard, db, &words[1], set);
    }
    Ok(match (has("incr"), has("ch")) {
        (true, _) => last,
        (_, true) => count(added + updated),
        _ => count(added),
    })
}

fn rank(shard: &mut Shard, db: usize, name: &[u8], words: &Words) -> Result<Reply, Line> {
    let with_score = match &words[3..] {
        [] => false,
        [word] if is(word, "withscore") => true,
        _ => return Err(SYNTAX),
    };
    let mut pairs = sorted(&set(shard, db, &words[1])?.unwrap_or_default());
    if name == b"zrevrank" {
        pairs.reverse();
    }
    let Some(rank) = pairs.iter().position(|(member, _)| *member == words[2]) else { return Ok(Reply::Null) };
    Ok(match with_score {
        true => Reply::Array(vec![count(rank), double(pairs[rank].1)]),
        false => count(rank),
    })
}

type Within = Box<dyn Fn(&[u8], f64) -> bool>;

/// Whether a member lies between two ends, the lower first.
fn within(is_lex: bool, min: &[u8], max: &[u8]) -> Result<Within, Line> {
    if is_lex {
        type End = (i8, Vec<u8>, bool);
        let end = |word: &[u8]| -> Result<End, Line> {
            match word.split_first() {
                Some((b'-', [])) => Ok((-1, Vec::new(), false)),
                Some((b'+', [])) => Ok((1, Vec::new(), false)),
                Some((b'[', rest)) => Ok((0, rest.to_vec(), true)),
                Some((b'(', rest)) => Ok((0, rest.to_vec(), false)),
                _ => Err(NOT_LEX),
            }
        };
        let (min, max) = (end(min)?, end(max)?);
        return Ok(Box::new(move |member, _| {
            let is_above = match min.0 {
                0 => member > &min.1[..] || min.2 && member == &min.1[..],
                side => side < 0,
            };
            let is_below = match max.0 {
                0 => member < &max.1[..] || max.2 && member == &max.1[..],
                side => side > 0,
            };
            is_above && is_below
        }));
    }
    let end = |word: &[u8]| -> Result<(f64, bool), Line> {
        let is_open = word.first() == Some(&b'(');
        number(&word[usize::from(is_open)..]).map(|score| (score, is_open)).ok_or(NOT_RANGE)
    };
    let (min, max) = (end(min)?, end(max)?);
    Ok(Box::new(move |_, score| {
        (score > min.0 || !min.1 && score == min.0) && (score < max.0 || !max.1 && score == max.0)
    }))
}

/// The places between two indices, both included, that there are.
fn places(start: i64, stop: i64, len: usize) -> std::ops::Range<usize> {
    let len = len as i128;
    let place = |n: i64| if n < 0 { i128::from(n) + len } else { i128::from(n) };
    let (from, to) = (place(start).max(0), (place(stop) + 1).min(len));
    if from < to { from as usize..to as usize } else { 0..0 }
}

/// What a range command takes, and whether with scores. `words` begin with the two ends.
fn range(
    shard: &mut Shard,
    db: usize,
    name: &[u8],
    key: &[u8],
    words: &Words,
) -> Result<(Pairs, bool), Line> {
    let (mut by_score, mut by_lex, mut is_back) = match name {
        b"zrangebyscore" => (true, false, false),
        b"zrevrangebyscore" => (true, false, true),
        b"zrangebylex" => (false, true, false),
        b"zrevrangebylex" => (false, true, true),
        _ => (false, false, name == b"zrevrange"),
    };
    let is_free = name == b"zrange" || name == b"zrangestore";
    let (mut with_scores, mut limit) = (false, None);
    let mut rest = &words[2..];
    while let Some((option, more)) = rest.split_first() {
        rest = more;
        match &option.to_ascii_lowercase()[..] {
            b"withscores" if name != b"zrangestore" => with_scores = true,
            b"limit" if more.len() >= 2 => {
                limit = Some((integer(&more[0])?, integer(&more[1])?));
                rest = &more[2..];
            }
            b"rev" if is_free => is_back = true,
            b"byscore" if is_free => (by_score, by_lex) = (true, false),
            b"bylex" if is_free => (by_score, by_lex) = (false, true),
            _ => return Err(SYNTAX),
        }
    }
    if !by_score && !by_lex && limit.is_some_and(|(_, count)| count != -1) {
        return Err("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
    }
    if by_lex && with_scores {
        return Err("ERR syntax error, WITHSCORES not supported in combination with BYLEX");
    }
    let mut pairs;
    if by_score || by_lex {
        let (min, max) = if is_back { (1, 0) } else { (0, 1) };
        let is_within = within(by_lex, &words[min], &words[max])?;
        pairs = sorted(&set(shard, db, key)?.unwrap_or_default());
        pairs.retain(|(member, score)| is_within(member, *score));
        if is_back {
            pairs.reverse();
        }
        if let Some((offset, count)) = limit {
            let offset = usize::try_from(offset).unwrap_or(usize::MAX);
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            pairs = pairs.into_iter().skip(offset).take(count).collect();
        }
    } else {
        let (start, stop) = (integer(&words[0])?, integer(&words[1])?);
        pairs = sorted(&set(shard, db, key)?.unwrap_or_default());
        if is_back {
            pairs.reverse();
        }
        pairs = pairs[places(start, stop, pairs.len())].to_vec();
    }
    Ok((pairs, with_scores))
}

fn remove_range(shard: &mut Shard, db: usize, name: &[u8], words: &Words) -> Result<Reply, Line> {
    let gone: Pairs = if name == b"zremrangebyrank" {
        let (start, stop) = (integer(&words[2])?, integer(&words[3])?);
        let pairs = sorted(&set(shard, db, &words[1])?.unwrap_or_default());
        pairs[places(start, stop, pairs.len())].to_vec()
    } else {
        let is_within = within(name == b"zremrangebylex", &words[2], &words[3])?;
        let pairs = sorted(&set(shard, db, &words[1])?.unwrap_or_default());
        pairs.into_iter().filter(|(member, score)| is_within(member, *score)).collect()
    };
    take(shard, db, &words[1], &gone)?;
    Ok(count(gone.len()))
}

/// Removes these, if there are any.
fn take(shard: &mut Shard, db: usize, key: &[u8], gone: &Pairs) -> Result<(), Line> {
    let mut set = set(shard, db, key)?.unwrap_or_default();
    gone.iter().for_each(|(member, _)| {
        set.remove(member);
    });
    if !gone.is_empty() {
        put_back(shard, db, key, set);
    }
    Ok(())
}

/// Takes the first so many.
fn pop_some(
    shard: &mut Shard,
    db: usize,
    key: &[u8],
    is_back: bool,
    count: usize,
) -> Result<Option<Pairs>, Line> {
    let Some(set) = set(shard, db, key)? else { return Ok(None) };
    let mut pairs = sorted(&set);
    if is_back {
        pairs.reverse();
    }
    pairs.truncate(count);
    take(shard, db, key, &pairs)?;
    Ok(Some(pairs))
}

fn pop(shard: &mut Shard, db: usize, is_back: bool, words: &Words) -> Result<Reply, Line> {
    const NOT_POSITIVE: Line = "ERR value is out of range, must be positive";
    let wanted = match &words[2..] {
        [] => None,
        [word] => {
            let count = integer(word).map_err(|_| NOT_POSITIVE)?;
            Some(usize::try_from(count).map_err(|_| NOT_POSITIVE)?)
        }
        _ => return Err(SYNTAX),
    };
    let pairs = pop_some(shard, db, &words[1], is_back, wanted.unwrap_or(1))?.unwrap_or_default();
    if wanted.is_some() {
        return Ok(listed(pairs, true));
    }
    // One alone is no pair of its own in any version.
    Ok(Reply::Array(
        pairs.into_iter().flat_map(|(member, score)| [Reply::Bulk(member), double(score)]).collect(),
    ))
}

/// True for the highest.
fn end(word: &[u8]) -> Result<bool, Line> {
    match (is(word, "min"), is(word, "max")) {
        (true, _) => Ok(false),
        (_, true) => Ok(true),
        _ => Err(SYNTAX),
    }
}

fn pop_of_many(shard: &mut Shard, db: usize, words: &Words) -> Result<Reply, Line> {
    let keys =
        integer(&words[1]).ok().filter(|keys| *keys > 0).ok_or("ERR numkeys should be greater than 0")?;
    let keys = usize::try_from(keys).unwrap_or(usize::MAX);
    let place = words.get(keys.saturating_add(2)).ok_or(SYNTAX)?;
    let is_back = end(place)?;
    let wanted = match &words[keys + 3..] {
        [] => 1,
        [option, count, rest @ ..] if is(option, "count") => {
            let count = integer(count).ok().filter(|count| *count > 0);
            let count = count.ok_or("ERR count should be greater than 0")?;
            if !rest.is_empty() {
                return Err(SYNTAX);
            }
            count as usize
        }
        _ => return Err(SYNTAX),
    };
    for key in &words[2..2 + keys] {
        if let Some(pairs) = pop_some(shard, db, key, is_back, wanted)? {
            let pairs = pairs
                .into_iter()
                .map(|(member, score)| Reply::Array(vec![Reply::Bulk(member), double(score)]));
            return Ok(Reply::Array(vec![Reply::bulk(key), Reply::Array(pairs.collect())]));
        }
    }
    Ok(Reply::Null)
}

/// Unions, intersections, differences.
fn combine(shard: &mut Shard, db: usize, name: &[u8], words: &Words) -> Result<Reply, Line> {
    let stores = name.ends_with(b"store");
    let at = if stores { 2 } else { 1 };
    let keys = integer(&words[at])?;
    if keys < 1 {
        return Err(match name {
            b"zunion" => "ERR at least 1 input key is needed for 'zunion' command",
            b"zinter" => "ERR at least 1 input key is needed for 'zinter' command",
            b"zdiff" => "ERR at least 1 input key is needed for 'zdiff' command",
            b"zintercard" => "ERR at least 1 input key is needed for 'zintercard' command",
            b"zunionstore" => "ERR at least 1 input key is needed for 'zunionstore' command",
            b"zinterstore" => "ERR at least 1 input key is needed for 'zinterstore' command",
            _ => "ERR at least 1 input key is needed for 'zdiffstore' command",
        });
    }
    let keys = usize::try_from(keys).ok().filter(|keys| *keys < words.len() - at).ok_or(SYNTAX)?;
    let sources = &words[at + 1..at + 1 + keys];
    let is_weighed = !name.starts_with(b"zdiff") && name != b"zintercard";
    let (mut weights, mut aggregate, mut with_scores, mut limit) =
        (vec![1.0; keys], b"sum".to_vec(), false, usize::MAX);
    let mut rest = &words[at + 1 + keys..];
    while let Some((option, more)) = rest.split_first() {
        rest = more;
        match &option.to_ascii_lowercase()[..] {
            b"weights" if is_weighed && more.len() >= keys => {
                let given: Option<Vec<f64>> = more[..keys].iter().map(|word| number(word)).collect();
                weights = given.ok_or("ERR weight value is not a float")?;
                rest = &more[keys..];
            }
            b"aggregate" if is_weighed && !more.is_empty() => {
                aggregate = more[0].to_ascii_lowercase();
                if !matches!(&aggregate[..], b"sum" | b"min" | b"max") {
                    return Err(SYNTAX);
                }
                rest = &more[1..];
            }
            b"withscores" if !stores && name != b"zintercard" => with_scores = true,
            b"limit" if name == b"zintercard" && !more.is_empty() => {
                let given = integer(&more[0]).ok().and_then(|limit| usize::try_from(limit).ok());
                limit = given.ok_or("ERR LIMIT can't be negative")?;
                limit = if limit == 0 { usize::MAX } else { limit };
                rest = &more[1..];
            }
            _ => return Err(SYNTAX),
        }
    }
    let mut sets = Vec::new();
    for key in sources {
        sets.push(source(shard, db, key)?);
    }
    let no_nan = |score: f64| if score.is_nan() { 0.0 } else { score };
    let add = |one: f64, other: f64| match &aggregate[..] {
        b"sum" => no_nan(one + other),
        b"min" => one.min(other),
        _ => one.max(other),
    };
    let mut result = SortedSet::new();
    let all: std::collections::BTreeSet<&Vec<u8>> = sets.iter().flat_map(|set| set.keys()).collect();
    for member in all {
        let found: Vec<Option<f64>> = sets.iter().map(|set| set.get(member).map(|score| score.0)).collect();
        if name.starts_with(b"zdiff") {
            if let (Some(score), true) = (found[0], found[1..].iter().all(Option::is_none)) {
                result.insert(member.clone(), Score(score));
            }
            continue;
        }
        if name.starts_with(b"zinter") && found.iter().any(Option::is_none) {
            continue;
        }
        let weighed =
            found.iter().zip(&weights).filter_map(|(score, weight)| Some(no_nan((*score)? * weight)));
        let score = weighed.reduce(add).expect("somebody has it");
        result.insert(member.clone(), Score(score));
    }
    let pairs = sorted(&result);
    Ok(match () {
        () if stores => put(shard, db, &words[1], pairs),
        () if name == b"zintercard" => count(pairs.len().min(limit)),
        () => listed(pairs, with_scores),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check_replies;

    #[test]
    fn it_answers_as_redis_does() {
        let mut shard = Shard::new(1);
        let lines = [
            ("ZADD a 1 x 2 y", "Integer(2)"),
            ("ZADD a XX CH 3 x 4 z", "Integer(1)"),
            ("ZADD a INCR 0.5 x", "Double(\"3.5\")"),
            ("ZADD a NX INCR 0.5 x", "Null"),
            ("ZRANGE a 0 -1", "Array([Bulk([121]), Bulk([120])])"),
            ("ZRANGE a (2 inf BYSCORE WITHSCORES", "Map([Bulk([120]), Double(\"3.5\")])"),
            ("ZRANK a x WITHSCORE", "Array([Integer(1), Double(\"3.5\")])"),
            ("ZUNIONSTORE b 2 a a WEIGHTS 1 -inf", "Integer(2)"),
            ("ZSCORE b y", "Double(\"-inf\")"),
            ("ZINTER 2 a c", "Array([])"),
            ("ZDIFF 2 a c WITHSCORES", "Map([Bulk([121]), Double(\"2\"), Bulk([120]), Double(\"3.5\")])"),
            ("ZPOPMIN a", "Array([Bulk([121]), Double(\"2\")])"),
            ("ZMPOP 2 c a MAX", "Array([Bulk([97]), Array([Array([Bulk([120]), Double(\"3.5\")])])])"),
            ("ZMPOP 2 c a MAX", "Null"),
            ("ZADD l 0 a 0 b 0 c", "Integer(3)"),
            ("ZREVRANGEBYLEX l [b - LIMIT 1 5", "Array([Bulk([97])])"),
            ("ZREMRANGEBYLEX l (a +", "Integer(2)"),
            ("ZADD l nan a", "Error(\"ERR value is not a valid float\")"),
        ];
        check_replies(&mut shard, &lines);
    }
}
