//! Commands that wait, naively: what they do at the moment when they are served. Where there is nothing they answer null, as inside EXEC.
//!
//! Each does what a command that does not wait does with the same words. It does not know who waits, nor for how long.

use super::lists::{self, end};
use super::{Line, Shard, Words};
use super::{sorted_sets, streams};
use crate::decoder::Reply;

pub(super) fn run(shard: &mut Shard, db: usize, name: &[u8], words: &Words) -> Result<Reply, Line> {
    let same = |words: &[&[u8]]| words.iter().map(|word| word.to_vec()).collect::<Vec<_>>();
    match name {
        b"blpop" | b"brpop" => {
            millis(&words[words.len() - 1])?;
            let pop: &[u8] = if name == b"blpop" { b"lpop" } else { b"rpop" };
            for key in &words[1..words.len() - 1] {
                // The first key that is there decides, also if it is no list.
                if shard.live(db, key).is_some() {
                    let popped = lists::run(shard, db, pop, &same(&[pop, key]))?;
                    return Ok(Reply::Array(vec![Reply::bulk(key), popped]));
                }
            }
            Ok(Reply::Null)
        }
        b"bzpopmin" | b"bzpopmax" => {
            millis(&words[words.len() - 1])?;
            let side: &[u8] = if name == b"bzpopmin" { b"min" } else { b"max" };
            for key in &words[1..words.len() - 1] {
                if shard.live(db, key).is_some() {
                    let pop = same(&[b"zmpop", b"1", key, side]);
                    let Reply::Array(mut taken) = sorted_sets::run(shard, db, b"zmpop", &pop)? else {
                        return Ok(Reply::Null);
                    };
                    let pair = match taken.pop() {
                        Some(Reply::Array(mut pairs)) => pairs.pop(),
                        _ => None,
                    };
                    if let Some(Reply::Array(pair)) = pair {
                        taken.extend(pair);
                    }
                    return Ok(Reply::Array(taken));
                }
            }
            Ok(Reply::Null)
        }
        b"bzmpop" => {
            let rest: Vec<&[u8]> = words[2..].iter().map(|word| &word[..]).collect();
            let zmpop = same(&[&[&b"zmpop"[..]], &rest[..]].concat());
            sorted_sets::run(&mut Shard::new(1), 0, b"zmpop", &zmpop)?;
            millis(&words[1])?;
            sorted_sets::run(shard, db, b"zmpop", &zmpop)
        }
        b"blmpop" => {
            // Its own words first, which it understands without looking at keys.
            let rest: Vec<&[u8]> = words[2..].iter().map(|word| &word[..]).collect();
            let lmpop = same(&[&[&b"lmpop"[..]], &rest[..]].concat());
            lists::run(&mut Shard::new(1), 0, b"lmpop", &lmpop)?;
            millis(&words[1])?;
            lists::run(shard, db, b"lmpop", &lmpop)
        }
        b"blmove" => {
            end(&words[3]).and_then(|_| end(&words[4]))?;
            millis(&words[5])?;
            lists::run(shard, db, b"lmove", &words[..5])
        }
        b"brpoplpush" => {
            millis(&words[3])?;
            lists::run(shard, db, b"rpoplpush", &words[..3])
        }
        _ => unreachable!("the caller knows the names"),
    }
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A list.
    List,
    /// A sorted set.
    SortedSet,
    /// News of a stream, which nobody takes away from who only reads.
    Stream,
}

/// What a request that waits waits for.
pub fn kind(words: &Words) -> Kind {
    if words.first().is_some_and(|name| name.to_ascii_lowercase().starts_with(b"xread")) {
        return Kind::Stream;
    }
    let is_of_sorted_sets = words.first().is_some_and(|name| name.to_ascii_lowercase().starts_with(b"bz"));
    if is_of_sorted_sets { Kind::SortedSet } else { Kind::List }
}

/// A command that may wait, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Places of the keys that it waits for.
    pub keys: Vec<usize>,
    /// Milliseconds; 0: for ever.
    pub millis: u64,
}

/// What a request waits for if there is nothing; `None`: it is none that waits, or it is refused.
pub fn of(words: &Words) -> Option<Wait> {
    let name = words[0].to_ascii_lowercase();
    if name == b"xread" || name == b"xreadgroup" {
        let reading = streams::reading(words).ok()?;
        let (ids, millis) = (&words[reading.first + reading.keys..], reading.block?);
        let keys = (reading.first..reading.first + reading.keys).collect();
        // There is always something to be said of what was delivered.
        let waits = reading.group.is_none() || ids.iter().all(|id| id == b">");
        return waits.then_some(Wait { keys, millis });
    }
    let (keys, timeout) = match &name[..] {
        b"blpop" | b"brpop" | b"bzpopmin" | b"bzpopmax" => ((1..words.len() - 1).collect(), words.len() - 1),
        b"blmpop" | b"bzmpop" => {
            let count: usize = std::str::from_utf8(words.get(2)?).ok()?.parse().ok()?;
            ((3..3 + count).collect(), 1)
        }
        b"blmove" | b"brpoplpush" => (vec![1], words.len() - 1),
        _ => return None,
    };
    // Whatever it says of its words, it says without looking at keys.
    let refused = run(&mut Shard::new(1), 0, &name, words).is_err();
    (!refused).then(|| Wait { keys, millis: millis(&words[timeout]).unwrap_or(0) })
}

/// The same request about only some of its keys.
pub fn only(words: &Words, wanted: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
    let Some(wait) = of(words) else { return words.to_vec() };
    let name = words[0].to_ascii_lowercase();
    if matches!(&name[..], b"blmove" | b"brpoplpush") {
        return words.to_vec();
    }
    let is_kept = |place: &usize| {
        // An id of a stream goes with its key.
        let is_id = kind(words) == Kind::Stream && *place > wait.keys[wait.keys.len() - 1];
        let place = if is_id { *place - wait.keys.len() } else { *place };
        !wait.keys.contains(&place) || wanted(&words[place])
    };
    let kept: Vec<usize> = (0..words.len()).filter(is_kept).collect();
    let count = kept.iter().filter(|place| wait.keys.contains(place)).count();
    let mut fewer: Vec<Vec<u8>> = kept.into_iter().map(|place| words[place].clone()).collect();
    if name.ends_with(b"mpop") {
        fewer[2] = count.to_string().into_bytes();
    }
    fewer
}

/// The key that an element came from, as its reply says.
pub fn served_from<'a>(words: &'a Words, reply: &'a Reply) -> Option<&'a [u8]> {
    match reply {
        Reply::Array(pair) => match pair.first() {
            Some(Reply::Bulk(key)) => Some(key),
            _ => None,
        },
        Reply::Bulk(_) => Some(&words[1]),
        _ => None,
    }
}

/// Seconds as decimals; every part of a millisecond counts as a whole one.
fn millis(word: &[u8]) -> Result<u64, Line> {
    const NOT_FLOAT: Line = "ERR timeout is not a float or out of range";
    let text = std::str::from_utf8(word).map_err(|_| NOT_FLOAT)?;
    let is_plain =
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || b"-.".contains(&byte));
    let seconds: f64 = if is_plain { text.parse().map_err(|_| NOT_FLOAT)? } else { return Err(NOT_FLOAT) };
    let millis = (seconds * 1_000.0).ceil();
    if millis < 0.0 { Err("ERR timeout is negative") } else { Ok(millis as u64) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check_replies, words};

    #[test]
    fn who_is_served_gets_what_others_would() {
        let mut shard = Shard::new(1);
        let lines = [
            ("BLPOP a b 0", "Null"),
            ("RPUSH b 1 2 3 4 5", "Integer(5)"),
            ("BLPOP a b 0", "Array([Bulk([98]), Bulk([49])])"),
            ("BRPOP a b 0.1", "Array([Bulk([98]), Bulk([53])])"),
            ("BLMPOP 0 2 a b LEFT COUNT 2", "Array([Bulk([98]), Array([Bulk([50]), Bulk([51])])])"),
            ("BLMOVE b c LEFT RIGHT 0", "Bulk([52])"),
            ("BRPOPLPUSH c b 0", "Bulk([52])"),
            ("BRPOPLPUSH c b 0", "Null"),
            ("ZADD z 1 x 2 y 3 z", "Integer(3)"),
            ("BZPOPMIN a z 0", "Array([Bulk([122]), Bulk([120]), Double(\"1\")])"),
            ("BZMPOP 0 2 a z MAX", "Array([Bulk([122]), Array([Array([Bulk([122]), Double(\"3\")])])])"),
            ("BLPOP a -1", "Error(\"ERR timeout is negative\")"),
            ("BLPOP a x", "Error(\"ERR timeout is not a float or out of range\")"),
            ("BLMOVE b c UP RIGHT x", "Error(\"ERR syntax error\")"),
            ("BLMPOP x 0 b LEFT", "Error(\"ERR numkeys should be greater than 0\")"),
        ];
        check_replies(&mut shard, &lines);
    }

    #[test]
    fn what_is_waited_for_stands_in_the_words() {
        let keys = |line: &str| of(&words(line)).map(|wait| (wait.keys, wait.millis));
        assert_eq!(keys("BLPOP a b 0.0301"), Some((vec![1, 2], 31)));
        assert_eq!(keys("BLMPOP 0 2 a b LEFT COUNT 2"), Some((vec![3, 4], 0)));
        assert_eq!(keys("BLMOVE a b LEFT LEFT 1"), Some((vec![1], 1_000)));
        assert_eq!(keys("BLPOP a x"), None);
        assert_eq!(keys("LPOP a"), None);
        assert_eq!(only(&words("BLMPOP 0 2 a b LEFT"), |key| key == b"b"), words("BLMPOP 0 1 b LEFT"));
        assert_eq!(keys("XREAD BLOCK 5 STREAMS a b $ 0"), Some((vec![4, 5], 5)));
        assert_eq!(keys("XREAD STREAMS a b $ 0"), None);
        assert_eq!(keys("XREADGROUP GROUP g c BLOCK 5 STREAMS a b > 0"), None);
        let read = words("XREAD BLOCK 5 STREAMS a b $ 0");
        assert_eq!(only(&read, |key| key == b"b"), words("XREAD BLOCK 5 STREAMS b 0"));
        assert_eq!(only(&words("BLPOP a b 1"), |key| key == b"a"), words("BLPOP a 1"));
        assert_eq!(only(&words("BLMOVE a b LEFT LEFT 1"), |_| false), words("BLMOVE a b LEFT LEFT 1"));
    }
}
