//! What memcached's clients ask for, naively: items are the strings of the first database.
//!
//! It knows the text and the meta protocol's words ([`crate::text`]), as far as the workload has them. What a stamp is it does not know: where a reply
//! has one, it says which state of which key the stamp must name, and where a request names one it is told the state. A state is a number that
//! every change of a key makes anew.

use super::{Line, Shard, Words};
use crate::decoder::Reply;

/// The database that the protocol sees.
const DB: usize = 0;

/// When an item ends: `None` it has; else at this moment, or never.
type End = Option<Option<u64>>;

/// Runs a request.
pub(super) fn run(shard: &mut Shard, words: &Words) -> Reply {
    answer(shard, words).unwrap_or_else(|line| Reply::Error(format!("SERVER_ERROR {line}")))
}

fn answer(shard: &mut Shard, words: &Words) -> Result<Reply, Line> {
    let last = words.last().expect("a request has words").clone();
    let clock = |shard: &Shard| shard.clock_of(&words[1]);
    match &words[0][..] {
        b"get" => get(shard, &words[1..], false),
        b"gets" => get(shard, &words[1..], true),
        b"gat" | b"gats" => {
            let found = get(shard, &words[2..], words[0] == b"gats")?;
            for key in &words[2..] {
                touch(shard, key, end(signed(&words[1]), shard.clock_of(key)));
            }
            Ok(found)
        }
        b"set" | b"add" | b"replace" | b"append" | b"prepend" | b"cas" => {
            let store = Store {
                mode: match &words[0][..] {
                    b"set" => Mode::Set,
                    b"add" => Mode::Add,
                    b"replace" => Mode::Replace,
                    b"append" => Mode::Append,
                    b"prepend" => Mode::Prepend,
                    _ => Mode::Cas,
                },
                flags: unsigned(&words[2]) as u32,
                end: end(signed(&words[3]), clock(shard)),
                state: (words[0] == b"cas").then(|| unsigned(&words[4])),
                value: last,
            };
            let done = put(shard, &words[1], store)?;
            Ok(simple(["STORED", "NOT_STORED", "EXISTS", "NOT_FOUND"][done as usize]))
        }
        b"incr" | b"decr" => {
            let key = &words[1];
            Ok(match add(shard, key, words[0] == b"incr", unsigned(&words[2]), None)? {
                Sum::Is(number) => simple(&number.to_string()),
                Sum::NoNumber => Reply::error(NOT_NUMERIC),
                Sum::Absent | Sum::Exists => simple("NOT_FOUND"),
            })
        }
        b"touch" => {
            let end = end(signed(&words[2]), clock(shard));
            Ok(simple(if touch(shard, &words[1], end) { "TOUCHED" } else { "NOT_FOUND" }))
        }
        b"delete" => Ok(simple(match shard.remove(DB, &words[1]) {
            Some(_) => "DELETED",
            None => "NOT_FOUND",
        })),
        b"flush_all" => {
            let living: Vec<Vec<u8>> = shard.living(DB).map(|(key, _)| key.clone()).collect();
            living.iter().for_each(|key| shard.changed(DB, key));
            shard.databases[DB].clear();
            Ok(Reply::ok())
        }
        b"mg" => meta_get(shard, words),
        b"ms" => meta_store(shard, &words[..words.len() - 1], last),
        b"md" => {
            let state = shard.live(DB, &words[1]).map(|entry| entry.state);
            let code = match (state, flag(words, b'C').map(unsigned)) {
                (None, _) => "NF",
                (Some(state), Some(named)) if state != named => "EX",
                _ => {
                    shard.remove(DB, &words[1]);
                    "HD"
                }
            };
            Ok(Reply::Push([vec![simple(code)], repeated(words)].concat()))
        }
        b"ma" => meta_add(shard, words),
        _ => unreachable!("the workload says nothing else"),
    }
}

const NOT_NUMERIC: Line = "CLIENT_ERROR cannot increment or decrement non-numeric value";

fn simple(text: &str) -> Reply {
    Reply::Simple(text.into())
}

fn unsigned(word: impl AsRef<[u8]>) -> u64 {
    std::str::from_utf8(word.as_ref())
        .ok()
        .and_then(|text| text.parse().ok())
        .expect("the workload says numbers")
}

fn signed(word: impl AsRef<[u8]>) -> i64 {
    std::str::from_utf8(word.as_ref())
        .ok()
        .and_then(|text| text.parse().ok())
        .expect("the workload says numbers")
}

/// What a number of seconds from now means.
fn end(seconds: i64, clock: u64) -> End {
    match seconds {
        0 => Some(None),
        ..0 => None,
        _ => Some(Some(clock + seconds as u64 * 1_000)),
    }
}

/// Items that are there, one behind the other.
fn get(shard: &mut Shard, keys: &Words, stamped: bool) -> Result<Reply, Line> {
    let mut items = Vec::new();
    for key in keys {
        let Some(text) = shard.text(DB, key)? else { continue };
        let entry = shard.live(DB, key).expect("it has been read");
        let mut item = vec![Reply::bulk(key), Reply::Integer(entry.flags.into()), Reply::Bulk(text)];
        if stamped {
            item.push(Reply::BigNumber(entry.state.to_string()));
        }
        items.push(Reply::Array(item));
    }
    Ok(Reply::Array(items))
}

/// Gives a key another end, whatever its type: its state stays. True if it was there.
fn touch(shard: &mut Shard, key: &[u8], end: End) -> bool {
    let Some(deadline) = end else { return shard.remove(DB, key).is_some() };
    let Some(entry) = shard.live(DB, key) else { return false };
    entry.deadline = deadline;
    shard.seen_changed(DB, key);
    true
}

#[derive(PartialEq)]
enum Mode {
    Set,
    Add,
    Replace,
    Append,
    Prepend,
    Cas,
}

struct Store {
    mode: Mode,
    flags: u32,
    end: End,
    /// The state that the item must be in.
    state: Option<u64>,
    value: Vec<u8>,
}

/// Stored, not stored, in another state, not there.
#[derive(Clone, Copy)]
enum Done {
    Stored,
    NotStored,
    Exists,
    NotFound,
}

fn put(shard: &mut Shard, key: &[u8], store: Store) -> Result<Done, Line> {
    let state = shard.live(DB, key).map(|entry| entry.state);
    let is_same = store.state.is_none_or(|named| state == Some(named));
    match (&store.mode, state) {
        (Mode::Add, Some(_)) | (Mode::Replace | Mode::Append | Mode::Prepend, None) => {
            return Ok(Done::NotStored);
        }
        (Mode::Cas, None) => return Ok(Done::NotFound),
        (Mode::Cas | Mode::Append | Mode::Prepend, Some(_)) if !is_same => return Ok(Done::Exists),
        _ => {}
    }
    if matches!(store.mode, Mode::Append | Mode::Prepend) {
        let text = shard.text(DB, key)?.unwrap_or_default();
        let (first, then) =
            if store.mode == Mode::Append { (text, store.value) } else { (store.value, text) };
        shard.keep(DB, key, [first, then].concat());
        return Ok(Done::Stored);
    }
    match store.end {
        Some(deadline) => shard.put(DB, key, store.value, deadline, store.flags),
        None => drop(shard.remove(DB, key)),
    }
    Ok(Done::Stored)
}

enum Sum {
    Is(u64),
    NoNumber,
    Absent,
    Exists,
}

/// Adds or subtracts; a number that becomes shorter is filled up with spaces.
fn add(shard: &mut Shard, key: &[u8], adds: bool, by: u64, named: Option<u64>) -> Result<Sum, Line> {
    let Some(text) = shard.text(DB, key)? else { return Ok(Sum::Absent) };
    let state = shard.live(DB, key).map(|entry| entry.state);
    if named.is_some() && named != state {
        return Ok(Sum::Exists);
    }
    let Some(before) = number(&text) else { return Ok(Sum::NoNumber) };
    let sum = if adds { before.wrapping_add(by) } else { before.saturating_sub(by) };
    let mut written = sum.to_string().into_bytes();
    written.resize(written.len().max(text.len()), b' ');
    shard.keep(DB, key, written);
    Ok(Sum::Is(sum))
}

/// As C's `strtoull` reads it, which stops at what is no digit, if that is a space.
fn number(text: &[u8]) -> Option<u64> {
    let text = String::from_utf8(text.to_vec()).ok()?;
    let is_space = |c: char| c == ' ' || ('\t'..='\r').contains(&c);
    let first = text.trim_start_matches(is_space).split(is_space).next()?;
    let (is_negative, digits) = match first.as_bytes().first()? {
        b'-' => (true, &first[1..]),
        b'+' => (false, &first[1..]),
        _ => (false, first),
    };
    let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = if is_plain { digits.parse().ok()? } else { return None };
    (!is_negative || number == 0).then_some(number)
}

/// What follows a flag's letter, if the flag is there.
fn flag(words: &Words, letter: u8) -> Option<&[u8]> {
    words.iter().skip(2).find_map(|word| word.strip_prefix(&[letter]))
}

/// The flags that every reply repeats.
fn repeated(words: &Words) -> Vec<Reply> {
    let repeated = |word: &Vec<u8>| match word[0] {
        b'O' => Some(simple(&String::from_utf8_lossy(word))),
        b'k' => Some(simple(&format!("k{}", String::from_utf8_lossy(&words[1])))),
        _ => None,
    };
    words.iter().skip(2).filter_map(repeated).collect()
}

/// What is shown of when an item ends.
fn time_left(deadline: Option<u64>, clock: u64) -> Reply {
    match deadline {
        None => simple("t-1"),
        Some(at) => simple(&format!("t{}", at.saturating_sub(clock).div_ceil(1_000))),
    }
}

fn meta_get(shard: &mut Shard, words: &Words) -> Result<Reply, Line> {
    let key = &words[1];
    let clock = shard.clock_of(key);
    let Some(text) = shard.text(DB, key)? else {
        return Ok(Reply::Push([vec![simple("EN")], repeated(words)].concat()));
    };
    let entry = shard.live(DB, key).expect("it has been read").clone();
    let wants_value = flag(words, b'v').is_some();
    let mut parts = vec![simple(if wants_value { "VA" } else { "HD" })];
    let mut deadline = entry.deadline;
    for word in words.iter().skip(2) {
        parts.push(match word[0] {
            b'T' => {
                deadline = end(signed(&word[1..]), clock).unwrap_or(Some(0));
                continue;
            }
            b's' => simple(&format!("s{}", text.len())),
            b't' => time_left(deadline, clock),
            b'c' => Reply::BigNumber(entry.state.to_string()),
            b'f' => simple(&format!("f{}", entry.flags)),
            _ => {
                parts.extend(repeated(&[&words[..2], std::slice::from_ref(word)].concat()));
                continue;
            }
        });
    }
    parts.extend(wants_value.then_some(Reply::Bulk(text)));
    if let Some(seconds) = flag(words, b'T') {
        touch(shard, key, end(signed(seconds), clock));
    }
    Ok(Reply::Push(parts))
}

fn meta_store(shard: &mut Shard, words: &Words, value: Vec<u8>) -> Result<Reply, Line> {
    let key = &words[1];
    let state = flag(words, b'C').map(unsigned);
    let store = Store {
        mode: match (flag(words, b'M').unwrap_or(b"S"), state) {
            (b"S" | b"R", Some(_)) => Mode::Cas,
            (b"E", _) => Mode::Add,
            (b"A", _) => Mode::Append,
            (b"P", _) => Mode::Prepend,
            (b"R", _) => Mode::Replace,
            _ => Mode::Set,
        },
        flags: flag(words, b'F').map_or(0, unsigned) as u32,
        end: end(flag(words, b'T').map_or(0, signed), shard.clock_of(key)),
        state,
        value,
    };
    let done = put(shard, key, store)?;
    let mut parts = vec![simple(["HD", "NS", "EX", "NF"][done as usize])];
    for word in words.iter().skip(2) {
        match (word[0], done, shard.live(DB, key)) {
            (b'c', Done::Stored, Some(entry)) => parts.push(Reply::BigNumber(entry.state.to_string())),
            // Nothing was stored that could have a stamp.
            (b'c', ..) => parts.push(Reply::BigNumber("0".into())),
            _ => parts.extend(repeated(&[&words[..2], std::slice::from_ref(word)].concat())),
        }
    }
    Ok(Reply::Push(parts))
}

fn meta_add(shard: &mut Shard, words: &Words) -> Result<Reply, Line> {
    let key = &words[1];
    let clock = shard.clock_of(key);
    let adds = flag(words, b'M') != Some(b"D");
    let by = flag(words, b'D').map_or(1, unsigned);
    let number = match add(shard, key, adds, by, flag(words, b'C').map(unsigned))? {
        Sum::Is(number) => number,
        Sum::NoNumber => return Ok(Reply::error(NOT_NUMERIC)),
        Sum::Exists => return Ok(Reply::Push([vec![simple("EX")], repeated(words)].concat())),
        Sum::Absent => {
            let Some(seconds) = flag(words, b'N') else {
                return Ok(Reply::Push([vec![simple("NF")], repeated(words)].concat()));
            };
            let first = flag(words, b'J').map_or(0, unsigned);
            let deadline = end(signed(seconds), clock).expect("the workload makes nothing that is over");
            shard.put(DB, key, first.to_string().into_bytes(), deadline, 0);
            first
        }
    };
    let entry = shard.live(DB, key).expect("it was changed or made").clone();
    let (mut deadline, wants_value) = (entry.deadline, flag(words, b'v').is_some());
    let mut parts = vec![simple(if wants_value { "VA" } else { "HD" })];
    for word in words.iter().skip(2) {
        match word[0] {
            b'c' => parts.push(Reply::BigNumber(entry.state.to_string())),
            b't' => parts.push(time_left(deadline, clock)),
            b'T' => deadline = end(signed(&word[1..]), clock).unwrap_or(Some(0)),
            _ => parts.extend(repeated(&[&words[..2], std::slice::from_ref(word)].concat())),
        }
    }
    parts.extend(wants_value.then(|| Reply::Bulk(number.to_string().into_bytes())));
    if let Some(seconds) = flag(words, b'T') {
        touch(shard, key, end(signed(seconds), clock));
    }
    Ok(Reply::Push(parts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::words;

    #[test]
    fn a_value_is_a_number_as_c_reads_it() {
        for (text, expected) in [
            ("9 ", Some(9)),
            ("007", Some(7)),
            (" +3", Some(3)),
            ("-0", Some(0)),
            ("-1", None),
            ("1a", None),
            ("", None),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
        ] {
            assert_eq!(number(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn every_change_makes_another_state_and_a_touch_does_not() {
        let mut shard = Shard::new(1);
        let mut run = |line: &str| {
            let words = words(line);
            let state = |shard: &mut Shard| shard.live(0, b"k").map(|entry| entry.state);
            let before = state(&mut shard);
            match words[0].is_ascii() && words[0][0].is_ascii_uppercase() {
                true => drop(shard.run(0, &words)),
                false => drop(super::run(&mut shard, &words)),
            }
            before != state(&mut shard)
        };
        for (line, changes) in [
            ("set k 5 0 10", true),
            ("incr k 1", true),
            ("touch k 100", false),
            ("gets k", false),
            ("mg k T0 c", false),
            ("append k 0 0 0", true),
            ("GET k", false),
            ("SET k 10", true),
            ("EXPIRE k 100", true),
            ("cas k 0 0 999 v", false),
            ("delete k", true),
        ] {
            assert_eq!(run(line), changes, "{line}");
        }
    }
}
