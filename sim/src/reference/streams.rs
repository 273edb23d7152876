//! Streams, naively: entries in lists of a few, as many as one of the engine's pages holds in a world.
//!
//! What groups do stands in [`groups`]. Lines of errors name keys, so they are owned here.

mod groups;
mod info;

use std::collections::BTreeMap;

use super::{Shard, Value, Words, is};
use crate::decoder::Reply;

pub use groups::Group;

/// Milliseconds and number.
pub type Id = (u64, u64);
/// An id, and fields and values by turns.
pub type Entry = (Id, Vec<Vec<u8>>);

/// Entries of a page in a world.
pub const PAGE_ENTRIES: usize = 3;

const LOWEST: Id = (0, 0);
const HIGHEST: Id = (u64::MAX, u64::MAX);

/// A stream; it may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// Entries, a few each, none empty.
    pub pages: Vec<Vec<Entry>>,
    /// The highest id that ever was.
    pub last: Id,
    /// Entries that ever were.
    pub added: u64,
    /// The highest id that was deleted.
    pub deleted: Id,
    /// By name.
    pub groups: BTreeMap<Vec<u8>, Group>,
}

type Told = Result<Reply, String>;

const INVALID: &str = "ERR Invalid stream ID specified as stream command argument";
const TOO_SMALL: &str = "ERR The ID specified in XADD is equal or smaller than the target stream top item";

pub(super) fn run(shard: &mut Shard, db: usize, name: &[u8], words: &Words) -> Reply {
    let told = match name {
        b"xadd" => add(shard, db, words),
        b"xlen" => Ok(number(get(shard, db, &words[1]).map(|found| found.map_or(0, |s| s.len())))),
        b"xrange" => range(shard, db, words, false),
        b"xrevrange" => range(shard, db, words, true),
        b"xdel" => delete(shard, db, words),
        b"xdelex" => delete_by(shard, db, words),
        b"xtrim" => trim(shard, db, words),
        b"xsetid" => set_id(shard, db, words),
        b"xread" => read(shard, db, words),
        _ => groups::run(shard, db, name, words),
    };
    told.unwrap_or_else(Reply::Error)
}

/// A count, or why there is none.
fn number(count: Result<usize, String>) -> Reply {
    count.map_or_else(Reply::Error, |count| Reply::Integer(count as i64))
}

fn integer(word: &[u8]) -> Result<i64, String> {
    super::integer(word).map_err(str::to_string)
}

impl Stream {
    fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.pages.iter().flatten()
    }

    fn len(&self) -> usize {
        self.entries().count()
    }

    fn get(&self, id: Id) -> Option<&Entry> {
        self.entries().find(|(other, _)| *other == id)
    }

    fn first(&self) -> Id {
        self.entries().next().map_or(LOWEST, |(id, _)| *id)
    }

    fn drop_entry(&mut self, id: Id) {
        self.pages.iter_mut().for_each(|page| page.retain(|(other, _)| *other != id));
        self.pages.retain(|page| !page.is_empty());
    }

    fn push(&mut self, entry: Entry) {
        self.last = entry.0;
        self.added += 1;
        match self.pages.last_mut() {
            Some(page) if page.len() < PAGE_ENTRIES => page.push(entry),
            _ => self.pages.push(vec![entry]),
        }
    }

    fn is_referenced(&self, id: Id) -> bool {
        self.groups.values().any(|group| group.last < id || group.pending.contains_key(&id))
    }

    /// -1: it is not there; 1: deleted; 2: some group still knows it.
    fn delete(&mut self, id: Id, policy: &str) -> i64 {
        if self.get(id).is_none() {
            return -1;
        }
        if policy == "acked" && self.is_referenced(id) {
            return 2;
        }
        self.forget(id, policy);
        self.drop_entry(id);
        self.deleted = self.deleted.max(id);
        1
    }

    fn forget(&mut self, id: Id, policy: &str) {
        if policy == "delref" {
            self.groups.values_mut().for_each(|group| drop(group.pending.remove(&id)));
        }
    }

    fn trim(&mut self, trim: &Trim) -> usize {
        let before = self.len();
        let is_above = |stream: &Stream, id: Id| match trim.bound {
            Bound::Len(len) => stream.len() <= len,
            Bound::Id(bound) => id >= bound,
        };
        if trim.policy == "acked" && !self.groups.is_empty() {
            let all: Vec<Id> = self.entries().map(|(id, _)| *id).collect();
            let candidates = match trim.bound {
                Bound::Len(len) => before.saturating_sub(len),
                Bound::Id(bound) => all.iter().filter(|id| **id < bound).count(),
            };
            let gone = all[..candidates].iter().filter(|id| !self.is_referenced(**id));
            let limit = if trim.limit == 0 { usize::MAX } else { trim.limit };
            let gone: Vec<Id> = gone.take(limit).copied().collect();
            gone.into_iter().for_each(|id| self.drop_entry(id));
            return before - self.len();
        }
        if !trim.coarse {
            while !self.pages.is_empty() {
                let id = self.first();
                if is_above(self, id) {
                    break;
                }
                self.forget(id, &trim.policy);
                self.drop_entry(id);
            }
            return before - self.len();
        }
        while let Some(page) = self.pages.first().cloned() {
            let goes = match trim.bound {
                Bound::Len(len) => self.len() > len && self.len() - page.len() >= len,
                Bound::Id(bound) => page.iter().all(|(id, _)| *id < bound),
            };
            let is_too_much = trim.limit > 0 && before - self.len() + page.len() > trim.limit;
            if !goes || is_too_much {
                break;
            }
            page.iter().for_each(|(id, _)| self.forget(*id, &trim.policy));
            self.pages.remove(0);
        }
        before - self.len()
    }
}

fn get(shard: &mut Shard, db: usize, key: &[u8]) -> Result<Option<Stream>, String> {
    match shard.live(db, key).map(|entry| &entry.value) {
        None => Ok(None),
        Some(Value::Stream(stream)) => Ok(Some(stream.clone())),
        Some(_) => Err(super::WRONG_TYPE.into()),
    }
}

/// Puts a stream back; whoever watches sees it only if it has changed in earnest.
fn put(shard: &mut Shard, db: usize, key: &[u8], stream: Stream, is_changed: bool) {
    if is_changed {
        let deadline = shard.live(db, key).and_then(|entry| entry.deadline);
        shard.store(db, key, Value::Stream(stream), deadline);
    } else if let Some(entry) = shard.live(db, key) {
        entry.value = Value::Stream(stream);
    }
}

fn unsigned(word: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(word).ok()?;
    text.parse().ok()
}

/// An id as it stands there, or without its number.
fn id(word: &[u8], seq: u64) -> Result<Id, String> {
    let text = std::str::from_utf8(word).map_err(|_| INVALID)?;
    let parsed = match text.split_once('-') {
        Some((ms, seq)) => unsigned(ms.as_bytes()).zip(unsigned(seq.as_bytes())),
        None => unsigned(word).map(|ms| (ms, seq)),
    };
    parsed.ok_or_else(|| INVALID.to_string())
}

fn after(id: Id) -> Option<Id> {
    if id == HIGHEST { None } else { Some(if id.1 == u64::MAX { (id.0 + 1, 0) } else { (id.0, id.1 + 1) }) }
}

fn before(id: Id) -> Option<Id> {
    if id == LOWEST { None } else { Some(if id.1 == 0 { (id.0 - 1, u64::MAX) } else { (id.0, id.1 - 1) }) }
}

fn from(word: &[u8]) -> Result<Id, String> {
    match word {
        b"-" => Ok(LOWEST),
        b"+" => Ok(HIGHEST),
        [b'(', rest @ ..] => after(id(rest, 0)?).ok_or("ERR invalid start ID for the interval".into()),
        word => id(word, 0),
    }
}

fn to(word: &[u8]) -> Result<Id, String> {
    match word {
        b"-" => Ok(LOWEST),
        b"+" => Ok(HIGHEST),
        [b'(', rest @ ..] => before(id(rest, u64::MAX)?).ok_or("ERR invalid end ID for the interval".into()),
        word => id(word, u64::MAX),
    }
}

fn id_reply(id: Id) -> Reply {
    Reply::bulk(format!("{}-{}", id.0, id.1).as_bytes())
}

fn entry_reply((id, words): &Entry) -> Reply {
    Reply::Array(vec![id_reply(*id), Reply::Array(words.iter().map(|word| Reply::bulk(word)).collect())])
}

enum Bound {
    Len(usize),
    Id(Id),
}

struct Trim {
    bound: Bound,
    coarse: bool,
    limit: usize,
    policy: String,
}

fn policy(word: &[u8]) -> Option<String> {
    let word = String::from_utf8_lossy(word).to_lowercase();
    ["keepref", "delref", "acked"].contains(&&word[..]).then_some(word)
}

/// Options up to what is none; whether a stream is made is said apart.
fn options(words: &Words, is_add: bool) -> Result<(Option<Trim>, bool, usize), String> {
    let (mut bound, mut coarse, mut limit, mut given, mut makes) = (None, false, None, None, true);
    let mut n = 2;
    while n < words.len() {
        let word = &words[n];
        let more = words.len() - n - 1;
        if is_add && word == b"*" {
            break;
        } else if more > 0 && (is(word, "maxlen") || is(word, "minid")) {
            if bound.is_some() {
                return Err(
                    "ERR syntax error, MAXLEN and MINID options at the same time are not compatible".into()
                );
            }
            coarse = false;
            let mut at = n + 1;
            if more > 1 && (words[at] == b"~" || words[at] == b"=") {
                coarse = words[at] == b"~";
                at += 1;
            }
            bound = Some(if is(word, "maxlen") {
                let len = integer(&words[at])?;
                Bound::Len(usize::try_from(len).map_err(|_| "ERR The MAXLEN argument must be >= 0.")?)
            } else {
                Bound::Id(id(&words[at], 0)?)
            });
            n = at;
        } else if more > 0 && is(word, "limit") {
            n += 1;
            let count = integer(&words[n])?;
            limit = Some(usize::try_from(count).map_err(|_| "ERR The LIMIT argument must be >= 0.")?);
        } else if is_add && is(word, "nomkstream") {
            makes = false;
        } else if given.is_none() && policy(word).is_some() {
            given = policy(word);
        } else if is_add {
            break;
        } else {
            return Err(super::SYNTAX.into());
        }
        n += 1;
    }
    if bound.is_none() && limit.is_some_and(|limit| limit > 0) {
        return Err("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy".into());
    }
    if bound.is_none() && !is_add {
        return Err("ERR syntax error, XTRIM must be called with a trimming strategy".into());
    }
    if limit.is_some() && !coarse {
        return Err("ERR syntax error, LIMIT cannot be used without the special ~ option".into());
    }
    let limit = limit.unwrap_or(if coarse { 100 * PAGE_ENTRIES } else { 0 });
    let policy = given.unwrap_or_default();
    Ok((bound.map(|bound| Trim { bound, coarse, limit, policy }), makes, n))
}

fn add(shard: &mut Shard, db: usize, words: &Words) -> Told {
    let now = shard.clock_of(&words[1]);
    let (trim, makes, at) = options(words, true)?;
    let asked = words.get(at).ok_or(super::SYNTAX)?;
    let rest = &words[at + 1..];
    let within = asked.strip_suffix(b"-*").map(|ms| unsigned(ms).ok_or(INVALID)).transpose()?;
    let exact = match within {
        None if asked != b"*" => Some(id(asked, 0)?),
        _ => None,
    };
    if rest.is_empty() || rest.len() % 2 == 1 {
        return Err("ERR wrong number of arguments for 'xadd' command".into());
    }
    if exact == Some(LOWEST) {
        return Err("ERR The ID specified in XADD must be greater than 0-0".into());
    }
    let found = get(shard, db, &words[1])?;
    if found.is_none() && !makes {
        return Ok(Reply::Null);
    }
    let mut stream = found.unwrap_or_default();
    if stream.last == HIGHEST {
        return Err("ERR The stream has exhausted the last possible ID, unable to add more items".into());
    }
    let next = after(stream.last).ok_or(TOO_SMALL)?;
    let id = match (exact, within) {
        (Some(id), _) => id,
        (None, Some(ms)) if ms == stream.last.0 && stream.last.1 == u64::MAX => return Err(TOO_SMALL.into()),
        (None, Some(ms)) if ms == stream.last.0 => next,
        (None, Some(ms)) => (ms, 0),
        (None, None) if now > stream.last.0 => (now, 0),
        (None, None) => next,
    };
    if id <= stream.last {
        return Err(TOO_SMALL.into());
    }
    stream.push((id, rest.to_vec()));
    if let Some(trim) = trim {
        stream.trim(&trim);
    }
    put(shard, db, &words[1], stream, true);
    Ok(id_reply(id))
}

fn range(shard: &mut Shard, db: usize, words: &Words, is_back: bool) -> Told {
    let (low, high) = if is_back { (&words[3], &words[2]) } else { (&words[2], &words[3]) };
    let (low, high) = (from(low)?, to(high)?);
    let mut count = None;
    for pair in words[4..].chunks(2) {
        match pair {
            [word, number] if is(word, "count") => count = Some(integer(number)?.max(0) as usize),
            _ => return Err(super::SYNTAX.into()),
        }
    }
    let Some(stream) = get(shard, db, &words[1])? else { return Ok(Reply::Array(Vec::new())) };
    if count == Some(0) {
        return Ok(Reply::Null);
    }
    let mut found: Vec<&Entry> =
        stream.entries().filter(|(id, _)| (low..=high).contains(id) && low <= high).collect();
    if is_back {
        found.reverse();
    }
    found.truncate(count.unwrap_or(usize::MAX));
    Ok(Reply::Array(found.into_iter().map(entry_reply).collect()))
}

fn ids(words: &Words) -> Result<Vec<Id>, String> {
    words.iter().map(|word| id(word, 0)).collect()
}

fn delete(shard: &mut Shard, db: usize, words: &Words) -> Told {
    let Some(mut stream) = get(shard, db, &words[1])? else { return Ok(Reply::Integer(0)) };
    let deleted = ids(&words[2..])?.into_iter().filter(|id| stream.delete(*id, "") == 1).count();
    put(shard, db, &words[1], stream, deleted > 0);
    Ok(Reply::Integer(deleted as i64))
}

/// What becomes of references, and which ids.
fn policy_and_ids(words: &Words) -> Result<(String, Vec<Id>), String> {
    let (mut given, mut found) = (None, None);
    let mut n = 0;
    while n < words.len() {
        if given.is_none() && policy(&words[n]).is_some() {
            given = policy(&words[n]);
            n += 1;
        } else if found.is_none() && is(&words[n], "ids") && n + 1 < words.len() {
            let count = integer(&words[n + 1]).ok().and_then(|count| usize::try_from(count).ok());
            let count =
                count.filter(|count| *count > 0).ok_or("ERR Number of IDs must be a positive integer")?;
            let rest = &words[n + 2..];
            if rest.len() < count {
                return Err("ERR The `numids` parameter must match the number of arguments".into());
            }
            found = Some(ids(&rest[..count])?);
            n += 2 + count;
        } else {
            return Err(super::SYNTAX.into());
        }
    }
    Ok((given.unwrap_or_default(), found.ok_or(super::SYNTAX)?))
}

fn delete_by(shard: &mut Shard, db: usize, words: &Words) -> Told {
    let found = get(shard, db, &words[1])?;
    let (policy, ids) = policy_and_ids(&words[2..])?;
    let Some(mut stream) = found else { return Ok(Reply::Array(vec![Reply::Integer(-1); ids.len()])) };
    let said: Vec<i64> = ids.into_iter().map(|id| stream.delete(id, &policy)).collect();
    put(shard, db, &words[1], stream, said.contains(&1));
    Ok(Reply::Array(said.into_iter().map(Reply::Integer).collect()))
}

fn trim(shard: &mut Shard, db: usize, words: &Words) -> Told {
    let (trim, ..) = options(words, false)?;
    let Some(mut stream) = get(shard, db, &words[1])? else { return Ok(Reply::Integer(0)) };
    let trimmed = trim.map_or(0, |trim| stream.trim(&trim));
    put(shard, db, &words[1], stream, trimmed > 0);
    Ok(Reply::Integer(trimmed as i64))
}

fn set_id(shard: &mut Shard, db: usize, words: &Words) -> Told {
    let last = id(&words[2], 0)?;
    let (mut added, mut deleted) = (None, None);
    for pair in words[3..].chunks(2) {
        match pair {
            [word, number] if is(word, "entriesadded") => {
                let number = u64::try_from(integer(number)?);
                added = Some(number.map_err(|_| "ERR entries_added must be positive")?);
            }
            [word, given] if is(word, "maxdeletedid") => {
                let given = id(given, 0)?;
                if last < given {
                    return Err(
                        "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id"
                            .into(),
                    );
                }
                deleted = if given == LOWEST { None } else { Some(given) };
            }
            _ => return Err(super::SYNTAX.into()),
        }
    }
    let mut stream = get(shard, db, &words[1])?.ok_or("ERR no such key")?;
    if let Some((top, _)) = stream.entries().next_back() {
        if last < *top {
            return Err("ERR The ID specified in XSETID is smaller than the target stream top item".into());
        }
        if added.is_some_and(|added| added < stream.len() as u64) {
            return Err(
                "ERR The entries_added specified in XSETID is smaller than the target stream length".into()
            );
        }
    }
    if last < stream.deleted {
        return Err("ERR The ID specified in XSETID is smaller than current max_deleted_entry_id".into());
    }
    stream.last = last;
    stream.added = added.unwrap_or(stream.added);
    stream.deleted = deleted.unwrap_or(stream.deleted);
    put(shard, db, &words[1], stream, true);
    Ok(Reply::ok())
}

/// The words of XREAD or XREADGROUP.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Entries of each stream at the most.
    pub count: usize,
    /// Milliseconds.
    pub block: Option<u64>,
    /// Group and consumer.
    pub group: Option<(Vec<u8>, Vec<u8>)>,
    /// Nothing is pending.
    pub no_ack: bool,
    /// For how long entries must have been pending to come first, milliseconds.
    pub claim: Option<u64>,
    /// The place of the first key.
    pub first: usize,
    /// How many there are.
    pub keys: usize,
}

/// Reads the words, and whether the ids make sense.
pub fn reading(words: &Words) -> Result<Reading, String> {
    let is_group = is(&words[0], "xreadgroup");
    let mut reading = Reading {
        count: usize::MAX,
        block: None,
        group: None,
        no_ack: false,
        claim: None,
        first: 0,
        keys: 0,
    };
    let mut n = 1;
    while reading.first == 0 {
        let rest = words.get(n..).unwrap_or_default();
        match rest {
            [word, millis, ..] if is(word, "block") => {
                let millis =
                    super::integer(millis).map_err(|_| "ERR timeout is not an integer or out of range")?;
                reading.block = Some(u64::try_from(millis).map_err(|_| "ERR timeout is negative")?);
                n += 2;
            }
            [word, count, ..] if is(word, "count") => {
                let count = integer(count)?;
                reading.count = if count > 0 { count as usize } else { usize::MAX };
                n += 2;
            }
            [word, behind @ ..] if is(word, "streams") && !behind.is_empty() => {
                if behind.len() % 2 == 1 {
                    return Err(match is_group {
                        true => "ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified.",
                        false => "ERR Unbalanced 'xread' list of streams: for each stream key an ID, '+', or '$' must be specified.",
                    }.into());
                }
                (reading.first, reading.keys) = (n + 1, behind.len() / 2);
            }
            [word, group, consumer, ..] if is(word, "group") => {
                if !is_group {
                    return Err(
                        "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead."
                            .into(),
                    );
                }
                reading.group = Some((group.clone(), consumer.clone()));
                n += 3;
            }
            [word, millis, ..] if is(word, "claim") => {
                if !is_group {
                    return Err(
                        "ERR The CLAIM option is only supported by XREADGROUP. You called XREAD instead."
                            .into(),
                    );
                }
                let millis = super::integer(millis).map_err(|_| "ERR min-idle-time is not an integer")?;
                let positive = u64::try_from(millis);
                reading.claim = Some(positive.map_err(|_| "ERR min-idle-time must be a positive integer")?);
                n += 2;
            }
            [word, ..] if is(word, "noack") => {
                if !is_group {
                    return Err(
                        "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead."
                            .into(),
                    );
                }
                reading.no_ack = true;
                n += 1;
            }
            _ => return Err(super::SYNTAX.into()),
        }
    }
    if is_group && reading.group.is_none() {
        return Err("ERR Missing GROUP option for XREADGROUP".into());
    }
    for word in &words[reading.first + reading.keys..] {
        match (&word[..], is_group) {
            (b"$" | b"+", false) | (b">", true) => {}
            (b"$" | b"+", true) => {
                let mark = word[0] as char;
                return Err(format!(
                    "ERR The {mark} ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by \
                     specifying a proper ID, or use the > ID to get new messages. The {mark} ID would just return an empty result set."
                ));
            }
            (b">", false) => {
                return Err("ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.".into());
            }
            _ => drop(id(word, 0)?),
        }
    }
    Ok(reading)
}

/// The last ids of the streams that a request reads from their end, as texts, by key.
pub fn ends(shard: &mut Shard, db: usize, words: &Words) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let Ok(reading) = reading(words) else { return BTreeMap::new() };
    let keys = reading.first..reading.first + reading.keys;
    let is_open = |n: &usize| matches!(&words[n + reading.keys][..], b"$" | b"+");
    let of = |n: usize| {
        let last = get(shard, db, &words[n]).ok().flatten().map_or(LOWEST, |stream| stream.last);
        (words[n].clone(), format!("{}-{}", last.0, last.1).into_bytes())
    };
    keys.filter(is_open).map(of).collect()
}

/// The same request with these ids in the place of ends.
pub fn from_ends(words: &Words, ends: &BTreeMap<Vec<u8>, Vec<u8>>) -> Vec<Vec<u8>> {
    let mut settled = words.to_vec();
    if let Ok(reading) = reading(words) {
        for n in reading.first..reading.first + reading.keys {
            let id = &mut settled[n + reading.keys];
            if let Some(end) = ends.get(&words[n]).filter(|_| matches!(&id[..], b"$" | b"+")) {
                *id = end.clone();
            }
        }
    }
    settled
}

fn read(shard: &mut Shard, db: usize, words: &Words) -> Told {
    let reading = reading(words)?;
    let mut found = Vec::new();
    for n in reading.first..reading.first + reading.keys {
        let Some(stream) = get(shard, db, &words[n])? else { continue };
        let word = &words[n + reading.keys];
        let entries: Vec<Reply> = match &word[..] {
            b"$" => Vec::new(),
            b"+" => stream.entries().next_back().map(entry_reply).into_iter().collect(),
            word => {
                let behind = id(word, 0)?;
                let new = stream.entries().filter(|(id, _)| *id > behind);
                new.take(reading.count).map(entry_reply).collect()
            }
        };
        if !entries.is_empty() {
            found.extend([Reply::bulk(&words[n]), Reply::Array(entries)]);
        }
    }
    Ok(if found.is_empty() { Reply::Null } else { Reply::Map(found) })
}
