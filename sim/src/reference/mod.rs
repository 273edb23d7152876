//! The same commands once more, as naively as possible: what a shard must answer, and what must lie in it afterwards.
//!
//! It knows Redis's words and meanings. It shares no line with the engine, and it knows no messages or faults: it is
//! told in which order commands ran and by which instant.
//!
//! | file | holds |
//! |---|---|
//! | here | [`Shard`], one shard or everything as one: what lies under keys, whether it lives, since when, how often it has changed |
//! | `strings`, `bits`, `hll`, `lists`, `hashes`, `sets`, [`sorted_sets`], `places`, [`streams`], `sort`, `keys`, `deadlines`, [`dumps`] | families of commands |
//! | `items` | what memcached's clients ask for |
//! | [`waiting`] | commands that wait: what they do once there is something, and what there must be for that |
//! | [`store`] | the whole store: what needs all keys, WATCH, EXEC |
//! | [`session`] | one connection to it: MULTI |
//! | [`answer`] | what a reply must be, where several are right |
//! | `arity`, `glob` | how many words a command takes; patterns |

pub mod answer;
mod arity;
mod bits;
mod deadlines;
pub mod dumps;
mod glob;
mod hashes;
mod hll;
mod items;
mod keys;
mod lists;
mod places;
pub mod session;
mod sets;
pub mod sort;
pub mod sorted_sets;
pub mod store;
pub mod streams;
mod strings;
pub mod waiting;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::decoder::Reply;
use answer::Answer;

/// A value of one of the types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A string.
    Bytes(Vec<u8>),
    /// A list, never empty.
    List(VecDeque<Vec<u8>>),
    /// A sorted set, never empty.
    SortedSet(sorted_sets::SortedSet),
    /// A stream, which may be empty.
    Stream(streams::Stream),
    /// A hash, never empty; fields whose time has come may be in it.
    Hash(hashes::Fields),
    /// A set, never empty.
    Set(BTreeSet<Vec<u8>>),
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Value {
        Value::Bytes(bytes)
    }
}

/// What lies under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub value: Value,
    /// Unix milliseconds.
    pub deadline: Option<u64>,
    /// Since when the key is there without a gap, counted in commands.
    pub born: u64,
    /// What a memcached client keeps with it.
    pub flags: u32,
    /// Names what it is since its last change, and nothing that it or another key ever was.
    pub state: u64,
}

impl Entry {
    /// True if its time has come, or that of all that is in it.
    pub fn is_due(&self, clock: u64) -> bool {
        let is_over = match &self.value {
            Value::Hash(fields) => fields.values().all(|(_, ends)| ends.is_some_and(|at| at <= clock)),
            _ => false,
        };
        is_over || self.deadline.is_some_and(|deadline| deadline <= clock)
    }
}

/// The words of a request.
pub type Words = [Vec<u8>];

/// Where keys lie, if their shards judge by instants of their own.
#[derive(Clone)]
struct Homes {
    of: Arc<store::Home>,
    /// By which instant each judges, Unix milliseconds.
    clocks: Vec<u64>,
}

impl std::fmt::Debug for Homes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.clocks)
    }
}

/// One shard as it should be, or the whole store as one.
#[derive(Clone, Debug, Default)]
pub struct Shard {
    /// The latest instant that expiry was judged by, Unix milliseconds.
    pub clock: u64,
    /// Keys and values of each database; those included whose time has come and that may or may not be gone.
    pub databases: Vec<BTreeMap<Vec<u8>, Entry>>,
    /// Commands so far, on all shards: the world counts.
    pub moment: u64,
    /// A key was found whose time had come.
    pub found_due: u64,
    /// How often each key of each database was changed.
    versions: BTreeMap<(usize, Vec<u8>), u64>,
    /// States that there have been.
    states: u64,
    /// Of the whole store.
    homes: Option<Homes>,
}

/// A wall clock that was set back by more than this many milliseconds is believed.
const BELIEVED_BACK: u64 = 2_000;

/// Where a clock that a shard judges by stands once its core has read its wall clock. Unix milliseconds.
pub fn believed(clock: u64, now: u64) -> u64 {
    if now.saturating_add(BELIEVED_BACK) < clock { now } else { clock }
}

impl Shard {
    /// Without keys.
    pub fn new(databases: usize) -> Shard {
        Shard { databases: vec![BTreeMap::new(); databases], ..Shard::default() }
    }

    /// Runs a command of hashes or sets, or one that sorts them, whose answers may be several; `None` if it is no such command.
    pub fn run_unordered(&mut self, database: usize, words: &Words) -> Option<Answer> {
        let name = words[0].to_ascii_lowercase();
        let answer = match &name[..] {
            b"hset" | b"hmset" | b"hsetnx" | b"hget" | b"hmget" | b"hgetall" | b"hkeys" | b"hvals"
            | b"hlen" | b"hexists" | b"hstrlen" | b"hdel" | b"hincrby" | b"hscan" | b"hrandfield"
            | b"hexpire" | b"hpexpire" | b"httl" | b"hpttl" | b"hpersist" | b"hgetdel" | b"hsetex" => {
                hashes::run(self, database, &name, words)
            }
            b"sadd" | b"srem" | b"smembers" | b"sismember" | b"smismember" | b"scard" | b"spop"
            | b"srandmember" | b"sscan" | b"smove" | b"sinter" | b"sunion" | b"sdiff" | b"sinterstore"
            | b"sunionstore" | b"sdiffstore" | b"sintercard" => sets::run(self, database, &name, words),
            b"dump" | b"restore" => dumps::run(self, database, &name, words),
            b"sort" | b"sort_ro" => sort::run(self, database, words),
            _ => return None,
        };
        Some(answer.unwrap_or_else(|line| Answer::Exactly(Reply::Error(line.into()))))
    }

    /// Runs a command; `None` if the reference does not know it.
    pub fn run(&mut self, database: usize, words: &Words) -> Option<Reply> {
        let name = words[0].to_ascii_lowercase();
        let answer = match &name[..] {
            b"get" | b"set" | b"setnx" | b"setex" | b"psetex" | b"getset" | b"getdel" | b"getex"
            | b"append" | b"strlen" | b"getrange" | b"substr" | b"setrange" | b"incr" | b"decr"
            | b"incrby" | b"decrby" | b"incrbyfloat" | b"mget" | b"mset" | b"msetnx" | b"msetex" => {
                strings::run(self, database, &name, words)
            }
            b"expire" | b"pexpire" | b"expireat" | b"pexpireat" | b"persist" | b"ttl" | b"pttl"
            | b"expiretime" | b"pexpiretime" => deadlines::run(self, database, &name, words),
            b"del" | b"unlink" | b"exists" | b"touch" | b"type" | b"rename" | b"renamenx" | b"copy"
            | b"move" | b"migrate" => keys::run(self, database, &name, words),
            b"lpush" | b"rpush" | b"lpushx" | b"rpushx" | b"lpop" | b"rpop" | b"llen" | b"lrange"
            | b"lindex" | b"lset" | b"linsert" | b"lrem" | b"ltrim" | b"lpos" | b"lmove" | b"rpoplpush"
            | b"lmpop" => lists::run(self, database, &name, words),
            b"zadd" | b"zincrby" | b"zrem" | b"zcard" | b"zscore" | b"zmscore" | b"zrank" | b"zrevrank"
            | b"zrange" | b"zrangebyscore" | b"zrevrangebyscore" | b"zrevrange" | b"zrangebylex"
            | b"zrevrangebylex" | b"zrangestore" | b"zcount" | b"zlexcount" | b"zremrangebyrank"
            | b"zremrangebyscore" | b"zremrangebylex" | b"zpopmin" | b"zpopmax" | b"zmpop" | b"zunion"
            | b"zinter" | b"zdiff" | b"zintercard" | b"zunionstore" | b"zinterstore" | b"zdiffstore"
            | b"zscan" => sorted_sets::run(self, database, &name, words),
            b"geoadd" | b"geodist" | b"geosearch" | b"geosearchstore" | b"georadius"
            | b"georadiusbymember" => places::run(self, database, &name, words),
            b"blpop" | b"brpop" | b"blmpop" | b"blmove" | b"brpoplpush" | b"bzpopmin" | b"bzpopmax"
            | b"bzmpop" => waiting::run(self, database, &name, words),
            b"setbit" | b"getbit" | b"bitcount" | b"bitpos" | b"bitop" | b"bitfield" | b"bitfield_ro" => {
                bits::run(self, database, &name, words)
            }
            b"pfadd" | b"pfcount" | b"pfmerge" => hll::run(self, database, &name, words),
            b"xadd" | b"xlen" | b"xrange" | b"xrevrange" | b"xdel" | b"xdelex" | b"xtrim" | b"xsetid"
            | b"xread" | b"xreadgroup" | b"xgroup" | b"xack" | b"xackdel" | b"xpending" | b"xclaim"
            | b"xautoclaim" | b"xinfo" => return Some(streams::run(self, database, &name, words)),
            _ => return None,
        };
        Some(answer.unwrap_or_else(|line| Reply::Error(line.into())))
    }

    /// The instant by which a key is judged.
    pub fn clock_of(&self, key: &[u8]) -> u64 {
        self.homes.as_ref().map_or(self.clock, |homes| homes.clocks[(homes.of)(key)])
    }

    /// The entry of a key that lives.
    pub fn live(&mut self, database: usize, key: &[u8]) -> Option<&mut Entry> {
        let clock = self.clock_of(key);
        let entry = self.databases[database].get_mut(key)?;
        if entry.is_due(clock) {
            self.found_due += 1;
            return None;
        }
        Some(entry)
    }

    /// Whether a key lives. Nobody has looked.
    pub fn lives(&self, database: usize, key: &[u8]) -> bool {
        let entry = self.databases[database].get(key);
        entry.is_some_and(|entry| !entry.is_due(self.clock_of(key)))
    }

    /// The string of a key that lives.
    fn text(&mut self, database: usize, key: &[u8]) -> Result<Option<Vec<u8>>, Line> {
        match self.live(database, key).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::Bytes(bytes)) => Ok(Some(bytes.clone())),
            Some(_) => Err(WRONG_TYPE),
        }
    }

    /// Runs a memcached client's request, the stamps in it replaced by the states that they name; where the reply has a stamp it says which
    /// state it must name.
    pub fn run_item(&mut self, words: &Words) -> Reply {
        items::run(self, words)
    }

    /// Stores a value; the key keeps its age if it lives.
    pub fn store(&mut self, database: usize, key: &[u8], value: impl Into<Value>, deadline: Option<u64>) {
        self.put(database, key, value, deadline, 0);
    }

    /// Changes a value: when it ends and what is kept with it stay.
    fn keep(&mut self, database: usize, key: &[u8], value: impl Into<Value>) {
        let kept = self.live(database, key).map(|entry| (entry.deadline, entry.flags));
        let (deadline, flags) = kept.unwrap_or_default();
        self.put(database, key, value, deadline, flags);
    }

    /// Stores a value, and what a memcached client keeps with it.
    fn put(
        &mut self,
        database: usize,
        key: &[u8],
        value: impl Into<Value>,
        deadline: Option<u64>,
        flags: u32,
    ) {
        let born = match self.live(database, key) {
            Some(entry) => entry.born,
            None => self.moment,
        };
        let entry = Entry { value: value.into(), deadline, born, flags, state: 0 };
        self.databases[database].insert(key.to_vec(), entry);
        self.changed(database, key);
    }

    /// Removes a key; what lay there if it lived.
    pub fn remove(&mut self, database: usize, key: &[u8]) -> Option<Entry> {
        let living = self.live(database, key).is_some();
        if living {
            self.changed(database, key);
        }
        // A key whose time has come is removed by whoever touches it, but that is nobody's business.
        if living { self.databases[database].remove(key) } else { None }
    }

    /// Somebody has removed a key because its time had come, if it had; that is no command.
    pub fn expire(&mut self, database: usize, key: &[u8]) {
        if !self.lives(database, key) {
            self.databases[database].remove(key);
        }
    }

    /// It is in another state, and whoever watches the key sees that.
    pub fn changed(&mut self, database: usize, key: &[u8]) {
        self.seen_changed(database, key);
        self.states += 1;
        if let Some(entry) = self.databases[database].get_mut(key) {
            entry.state = self.states;
        }
    }

    /// Whoever watches the key sees a change, but whoever knows its state knows it still.
    pub fn seen_changed(&mut self, database: usize, key: &[u8]) {
        *self.versions.entry((database, key.to_vec())).or_default() += 1;
    }

    /// How often a key was changed by commands. That its time has come is no command.
    pub fn version(&self, database: usize, key: &[u8]) -> u64 {
        self.versions.get(&(database, key.to_vec())).copied().unwrap_or(0)
    }

    /// All keys that live.
    pub fn living(&self, database: usize) -> impl Iterator<Item = (&Vec<u8>, &Entry)> {
        let lives = |key: &Vec<u8>, entry: &Entry| !entry.is_due(self.clock_of(key));
        self.databases[database].iter().filter(move |(key, entry)| lives(key, entry))
    }
}

/// An error's line.
pub type Line = &'static str;

const WRONG_TYPE: Line = "WRONGTYPE Operation against a key holding the wrong kind of value";
const NOT_INTEGER: Line = "ERR value is not an integer or out of range";
const SYNTAX: Line = "ERR syntax error";

/// A number as Redis reads it: no plus sign, no leading zeros, no spaces.
fn integer(word: &[u8]) -> Result<i64, Line> {
    let text = std::str::from_utf8(word).map_err(|_| NOT_INTEGER)?;
    let number: i64 = text.parse().map_err(|_| NOT_INTEGER)?;
    if number.to_string() == text { Ok(number) } else { Err(NOT_INTEGER) }
}

fn is(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes())
}

/// Whether a unit of time is in seconds, and whether it is a point in time.
fn unit(word: &[u8]) -> Option<(bool, bool)> {
    match &word.to_ascii_lowercase()[..] {
        b"ex" => Some((true, false)),
        b"px" => Some((false, false)),
        b"exat" => Some((true, true)),
        b"pxat" => Some((false, true)),
        _ => None,
    }
}

/// The deadline that a number means; `None` if it does not fit.
fn moment(number: i64, seconds: bool, absolute: bool, clock: u64) -> Option<i64> {
    let millis = if seconds { number.checked_mul(1_000)? } else { number };
    if absolute { Some(millis) } else { millis.checked_add(clock as i64) }
}

fn positive_moment(word: &[u8], unit: (bool, bool), clock: u64, invalid: Line) -> Result<u64, Line> {
    let number = integer(word)?;
    if number <= 0 {
        return Err(invalid);
    }
    moment(number, unit.0, unit.1, clock).and_then(|at| u64::try_from(at).ok()).ok_or(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check_replies;

    /// Runs lines on one shard at given instants and compares.
    fn check(lines: &[(u64, &str, &str)]) {
        let mut shard = Shard::new(2);
        for (at, line, expected) in lines {
            shard.clock = shard.clock.max(*at);
            shard.moment += 1;
            check_replies(&mut shard, &[(line, expected)]);
        }
    }

    #[test]
    fn it_answers_as_redis_does() {
        check(&[
            (1, "SET k 10", "Simple(\"OK\")"),
            (1, "INCRBY k 5", "Integer(15)"),
            (1, "APPEND k 0", "Integer(3)"),
            (1, "SET k v XX GET PX 100", "Bulk([49, 53, 48])"),
            (1, "PTTL k", "Integer(100)"),
            (101, "GET k", "Null"),
            (101, "TTL k", "Integer(-2)"),
            (101, "SETRANGE k 2 a", "Integer(3)"),
            (101, "GETRANGE k 0 -1", "Bulk([0, 0, 97])"),
            (101, "INCR k", "Error(\"ERR value is not an integer or out of range\")"),
            (101, "EXPIRE k -1", "Integer(1)"),
            (101, "EXISTS k", "Integer(0)"),
        ]);
    }

    #[test]
    fn a_clock_that_steps_back_a_little_is_not_believed() {
        for (at, judged) in [(10_001, 10_001), (9_000, 10_000), (8_000, 10_000), (7_999, 7_999)] {
            assert_eq!(believed(10_000, at).max(at), judged);
        }
    }
}
