//! Places on the earth, naively: a score by halving the map again and again, a search by looking at every member.

use super::sorted_sets::{self, SortedSet, put};
use super::{Line, SYNTAX, Shard, Words, integer, is};
use crate::decoder::Reply;

const LATITUDE_MAX: f64 = 85.05112878;
const EARTH_RADIUS: f64 = 6372797.560856;

pub(super) fn run(shard: &mut Shard, db: usize, name: &[u8], words: &Words) -> Result<Reply, Line> {
    match name {
        b"geoadd" => {
            let is_option = |word: &&Vec<u8>| is(word, "nx") || is(word, "xx") || is(word, "ch");
            let options = words[2..].iter().take_while(is_option).count();
            let mut zadd = vec![b"zadd".to_vec(), words[1].clone()];
            zadd.extend_from_slice(&words[2..2 + options]);
            let triples = &words[2 + options..];
            if triples.is_empty() || !triples.len().is_multiple_of(3) {
                return Err(SYNTAX);
            }
            for triple in triples.chunks(3) {
                let score = score(degrees(&triple[0])?, degrees(&triple[1])?);
                zadd.extend([score.to_string().into_bytes(), triple[2].clone()]);
            }
            sorted_sets::run(shard, db, b"zadd", &zadd)
        }
        b"geodist" => {
            let unit = words.get(4).map_or(Ok(1.0), |word| unit(word))?;
            let set = sorted_sets::set(shard, db, &words[1])?.unwrap_or_default();
            let place = |member: &Vec<u8>| set.get(member).map(|score| place(score.0));
            let both = place(&words[2]).zip(place(&words[3]));
            Ok(both.map_or(Reply::Null, |(one, other)| four_digits(distance(one, other) / unit)))
        }
        b"geosearch" => search(shard, db, &words[1], None, &words[2..]),
        b"geosearchstore" => search(shard, db, &words[2], Some(&words[1]), &words[3..]),
        // As a search with its words in another order.
        b"georadius" => {
            let from = [&b"fromlonlat"[..], &words[2], &words[3], b"byradius", &words[4], &words[5]];
            radius(shard, db, words, &from, &words[6..])
        }
        b"georadiusbymember" => {
            let from = [&b"frommember"[..], &words[2], b"byradius", &words[3], &words[4]];
            radius(shard, db, words, &from, &words[5..])
        }
        _ => unreachable!("the caller knows the names"),
    }
}

fn radius(shard: &mut Shard, db: usize, words: &Words, from: &[&[u8]], rest: &Words) -> Result<Reply, Line> {
    let mut search_words: Vec<Vec<u8>> = from.iter().map(|word| word.to_vec()).collect();
    let (mut target, mut left) = (None, rest);
    while let Some((word, more)) = left.split_first() {
        left = more;
        if is(word, "store") || is(word, "storedist") {
            target = Some(more.first().ok_or(SYNTAX)?);
            left = &more[1..];
        }
        if !is(word, "store") {
            search_words.push(word.clone());
        }
    }
    search(shard, db, &words[1], target.map(|key| &key[..]), &search_words)
}

fn degrees(word: &[u8]) -> Result<f64, Line> {
    std::str::from_utf8(word).ok().and_then(|text| text.parse().ok()).ok_or("ERR value is not a valid float")
}

fn unit(word: &[u8]) -> Result<f64, Line> {
    match &word.to_ascii_lowercase()[..] {
        b"m" => Ok(1.0),
        b"km" => Ok(1_000.0),
        _ => Err("ERR unsupported unit provided. please use M, KM, FT, MI"),
    }
}

/// Longitude and latitude by turns: in which half it lies, in which half of that, and so on.
fn score(longitude: f64, latitude: f64) -> u64 {
    let mut bits = 0;
    let (mut east, mut north) = ((-180.0, 180.0), (-LATITUDE_MAX, LATITUDE_MAX));
    for _ in 0..26 {
        for (value, range) in [(longitude, &mut east), (latitude, &mut north)] {
            let middle = (range.0 + range.1) / 2.0;
            let is_upper = value >= middle;
            *range = if is_upper { (middle, range.1) } else { (range.0, middle) };
            bits = bits << 1 | u64::from(is_upper);
        }
    }
    bits
}

/// The middle of what a score leaves open.
fn place(score: f64) -> (f64, f64) {
    let bits = score as u64;
    let offset =
        |first: usize| (0..26).rev().fold(0u64, |sum, n| sum << 1 | bits >> (2 * n + first) & 1) as f64;
    let cells = f64::from(1u32 << 26);
    let middle = |offset: f64, max: f64| {
        let edge = |offset: f64| -max + offset / cells * (max - -max);
        (edge(offset) + edge(offset + 1.0)) / 2.0
    };
    (middle(offset(1), 180.0), middle(offset(0), LATITUDE_MAX))
}

fn distance(one: (f64, f64), other: (f64, f64)) -> f64 {
    let radians = |degrees: f64| degrees * (std::f64::consts::PI / 180.0);
    let half_sine = |from: f64, to: f64| ((radians(to) - radians(from)) / 2.0).sin();
    let (v, u) = (half_sine(one.0, other.0), half_sine(one.1, other.1));
    if v == 0.0 {
        return EARTH_RADIUS * (radians(other.1) - radians(one.1)).abs();
    }
    let a = u * u + radians(one.1).cos() * radians(other.1).cos() * v * v;
    2.0 * EARTH_RADIUS * a.sqrt().asin()
}

fn four_digits(distance: f64) -> Reply {
    Reply::bulk(format!("{distance:.4}").as_bytes())
}

/// A search by radius, the nearest first.
fn search(
    shard: &mut Shard,
    db: usize,
    key: &[u8],
    target: Option<&[u8]>,
    words: &Words,
) -> Result<Reply, Line> {
    let (mut centre, mut member, mut reach) = (None, None, (0.0, 1.0));
    let (mut with_distance, mut stores_distance, mut most) = (false, false, usize::MAX);
    let mut rest = words;
    while let Some((option, more)) = rest.split_first() {
        let used = match &option.to_ascii_lowercase()[..] {
            b"fromlonlat" => {
                centre = Some((degrees(&more[0])?, degrees(&more[1])?));
                2
            }
            b"frommember" => {
                member = Some(more[0].clone());
                1
            }
            b"byradius" => {
                reach = (degrees(&more[0])?, unit(&more[1])?);
                2
            }
            b"count" => {
                most = usize::try_from(integer(&more[0])?).map_err(|_| SYNTAX)?;
                1
            }
            b"asc" => 0,
            b"withdist" => {
                with_distance = true;
                0
            }
            b"storedist" => {
                stores_distance = true;
                0
            }
            _ => return Err(SYNTAX),
        };
        rest = &more[used..];
    }
    let found = sorted_sets::set(shard, db, key)?;
    let is_there = found.is_some();
    let set: SortedSet = found.unwrap_or_default();
    let centre = match member.filter(|_| is_there) {
        Some(member) => {
            let score = set.get(&member).ok_or("ERR could not decode requested zset member")?;
            place(score.0)
        }
        None => centre.unwrap_or_default(),
    };
    let mut hits: Vec<(f64, &Vec<u8>, f64)> = set
        .iter()
        .map(|(member, score)| (distance(centre, place(score.0)), member, score.0))
        .filter(|(distance, ..)| *distance <= reach.0 * reach.1)
        .collect();
    hits.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.2.total_cmp(&b.2)).then(a.1.cmp(b.1)));
    hits.truncate(most);
    if let Some(target) = target {
        let score = |hit: &(f64, &Vec<u8>, f64)| if stores_distance { hit.0 / reach.1 } else { hit.2 };
        let pairs = hits.iter().map(|hit| (hit.1.clone(), score(hit))).collect();
        return Ok(put(shard, db, target, pairs));
    }
    let replies = hits.into_iter().map(|(distance, member, _)| match with_distance {
        true => Reply::Array(vec![Reply::bulk(member), four_digits(distance / reach.1)]),
        false => Reply::bulk(member),
    });
    Ok(Reply::Array(replies.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check_replies;

    #[test]
    fn it_answers_as_redis_does() {
        let mut shard = Shard::new(1);
        let lines = [
            ("GEOADD g 13.361389 38.115556 P 15.087269 37.502669 C", "Integer(2)"),
            ("ZSCORE g P", "Double(\"3479099956230698\")"),
            ("GEODIST g P C", "Bulk([49, 54, 54, 50, 55, 52, 46, 49, 53, 49, 54])"),
            ("GEORADIUS g 15 37 200 km ASC", "Array([Bulk([67]), Bulk([80])])"),
            ("GEORADIUSBYMEMBER g P 1 m ASC STORE t", "Integer(1)"),
            ("GEOSEARCHSTORE t g FROMLONLAT 15 37 BYRADIUS 100 km ASC STOREDIST", "Integer(1)"),
            ("ZSCORE t C", "Double(\"56.4412578701582\")"),
            ("GEORADIUSBYMEMBER g x 1 m ASC", "Error(\"ERR could not decode requested zset member\")"),
        ];
        check_replies(&mut shard, &lines);
    }
}
