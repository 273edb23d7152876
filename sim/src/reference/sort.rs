//! SORT, naively: over the whole store, so that other keys are simply looked at.

use std::cmp::Ordering;

use super::answer::Answer;
use super::{Line, SYNTAX, Shard, Value, Words, integer, is};
use crate::decoder::Reply;

/// What follows the key.
#[derive(Default)]
struct Options<'a> {
    descending: bool,
    alpha: bool,
    limit: Option<(i64, i64)>,
    by: Option<&'a [u8]>,
    gets: Vec<&'a [u8]>,
    store: Option<&'a [u8]>,
}

fn options(words: &Words) -> Result<Options<'_>, Line> {
    let mut options = Options::default();
    let mut rest = words[2..].iter();
    while let Some(word) = rest.next() {
        match &word.to_ascii_lowercase()[..] {
            b"asc" => options.descending = false,
            b"desc" => options.descending = true,
            b"alpha" => options.alpha = true,
            b"limit" if rest.len() > 1 => {
                let mut next = || integer(rest.next().expect("two follow"));
                options.limit = Some((next()?, next()?));
            }
            b"by" if rest.len() > 0 => options.by = rest.next().map(|word| &word[..]),
            b"get" if rest.len() > 0 => options.gets.extend(rest.next().map(|word| &word[..])),
            b"store" if rest.len() > 0 && is(&words[0], "sort") => {
                options.store = rest.next().map(|word| &word[..]);
            }
            _ => return Err(SYNTAX),
        }
    }
    Ok(options)
}

/// Where the options name keys that are found in the data, and the place of the key under which the result is stored.
pub fn reach(words: &Words) -> (bool, Option<usize>) {
    let Ok(options) = options(words) else { return (false, None) };
    let has_star = |pattern: &&[u8]| pattern.contains(&b'*');
    let looks = options.by.iter().any(has_star) || options.gets.iter().any(has_star);
    let place = options.store.and_then(|key| words.iter().rposition(|word| std::ptr::eq(&word[..], key)));
    (looks, place)
}

/// What a pattern means for an element.
fn looked_up(shard: &mut Shard, db: usize, pattern: &[u8], element: &[u8]) -> Option<Vec<u8>> {
    if pattern == b"#" {
        return Some(element.to_vec());
    }
    let text = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect::<String>();
    let bytes = |text: &str| text.chars().map(|c| c as u8).collect::<Vec<u8>>();
    let pattern = text(pattern);
    let (before, behind) = pattern.split_once('*')?;
    let (behind, field) = match behind.split_once("->") {
        Some((behind, field)) if !field.is_empty() => (behind, Some(field)),
        _ => (behind, None),
    };
    let key = [bytes(before), element.to_vec(), bytes(behind)].concat();
    let clock = shard.clock_of(&key);
    match (&shard.live(db, &key)?.value, field) {
        (Value::Bytes(text), None) => Some(text.clone()),
        (Value::Hash(fields), Some(field)) => {
            let (value, ends) = fields.get(&bytes(field))?;
            ends.is_none_or(|at| at > clock).then(|| value.clone())
        }
        _ => None,
    }
}

pub(super) fn run(shard: &mut Shard, db: usize, words: &Words) -> Result<Answer, Line> {
    let options = options(words)?;
    let (mut elements, is_set) = match shard.live(db, &words[1]).map(|entry| &entry.value) {
        None => (Vec::new(), false),
        Some(Value::List(list)) => (list.iter().cloned().collect::<Vec<_>>(), false),
        Some(Value::Set(set)) => (set.iter().cloned().collect(), true),
        Some(Value::SortedSet(set)) => {
            let mut members: Vec<_> = set.iter().collect();
            members.sort_by(|a, b| a.1.0.total_cmp(&b.1.0).then(a.0.cmp(b.0)));
            let is_turned = options.descending && options.by.is_some_and(|by| !by.contains(&b'*'));
            if is_turned {
                members.reverse();
            }
            (members.into_iter().map(|(member, _)| member.clone()).collect(), false)
        }
        Some(_) => return Err(super::WRONG_TYPE),
    };
    let by = options.by.filter(|pattern| pattern.contains(&b'*'));
    let is_constant = options.by.is_some() && by.is_none();
    let is_forced = is_constant && is_set && options.store.is_some();
    if !is_constant || is_forced {
        let mut weighed = Vec::new();
        for element in elements {
            let weight = match by {
                Some(pattern) => looked_up(shard, db, pattern, &element),
                None => Some(element.clone()),
            };
            weighed.push((weight, element));
        }
        if options.alpha || is_forced {
            weighed.sort_by(|a, b| turned(a.0.cmp(&b.0), options.descending));
        } else {
            let mut numbers = Vec::new();
            for (weight, element) in weighed {
                // As C reads it: up to a byte of zero, and behind spaces.
                let weight = weight.unwrap_or_default();
                let bytes = weight.split(|byte| *byte == 0).next().unwrap_or_default();
                let text = std::str::from_utf8(bytes).unwrap_or("x");
                let digits = text.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
                let number = if text.is_empty() { Ok(0.0) } else { digits.parse::<f64>() };
                // A number that is too large for a double is none, nor is one too small; infinity says so itself, and so does zero.
                let is_word = digits.contains(['n', 'N']);
                let is_zero = !digits
                    .split(['e', 'E'])
                    .next()
                    .unwrap_or_default()
                    .contains(|c| ('1'..='9').contains(&c));
                let is_in_range =
                    |number: &f64| if *number == 0.0 { is_zero } else { is_word || number.is_finite() };
                let number = number.ok().filter(is_in_range);
                let number = number.ok_or("ERR One or more scores can't be converted into double")?;
                numbers.push((number, element));
            }
            numbers.sort_by(|a, b| turned(a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)), options.descending));
            weighed = numbers.into_iter().map(|(_, element)| (None, element)).collect();
        }
        elements = weighed.into_iter().map(|(_, element)| element).collect();
    }
    if let Some((skipped, count)) = options.limit {
        let count = if count < 0 { elements.len() } else { count as usize };
        elements = elements.into_iter().skip(skipped.max(0) as usize).take(count).collect();
    }
    let mut told = Vec::new();
    for element in elements {
        if options.gets.is_empty() {
            told.push(Some(element.clone()));
        }
        for pattern in &options.gets {
            told.push(looked_up(shard, db, pattern, &element));
        }
    }
    if let Some(key) = options.store {
        let count = told.len();
        if count == 0 {
            shard.remove(db, key);
        } else {
            let list = told.into_iter().map(Option::unwrap_or_default).collect();
            shard.store(db, key, Value::List(list), None);
        }
        return Ok(Answer::Exactly(Reply::Integer(count as i64)));
    }
    let replies = told.into_iter().map(|told| told.map_or(Reply::Null, Reply::Bulk)).collect();
    Ok(match is_set && is_constant {
        true => Answer::Unordered(replies),
        false => Answer::Exactly(Reply::Array(replies)),
    })
}

fn turned(order: Ordering, is_descending: bool) -> Ordering {
    if is_descending { order.reverse() } else { order }
}
