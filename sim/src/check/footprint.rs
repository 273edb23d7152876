//! Where a request leads: which shards hold its keys, and whether it reads them or may write them.
//!
//! It knows which words of a request are keys. It shares no line with the engine's table, so that a key that the engine does not
//! lock is noticed. What a request may do counts as done: who writes perhaps holds what others may not have meanwhile.

use std::collections::BTreeMap;

use darter_core::hash::{KeyHasher, placement_part};

use super::replay::Deed;
use super::serial::Access;
use crate::decoder::Reply;
use crate::reference::answer::Answer;
use crate::reference::sort;
use crate::reference::store::Store;
use crate::reference::streams;

/// The words of a request.
type Words = Vec<Vec<u8>>;

/// How keys lie on shards.
#[derive(Clone, Debug)]
pub struct Placement {
    /// The engines' own.
    pub hasher: KeyHasher,
    /// How many.
    pub shards: u16,
}

impl Placement {
    /// The shard of a key.
    pub fn home(&self, key: &[u8]) -> u16 {
        self.hasher.hash(placement_part(key)).shard(self.shards)
    }
}

/// What is touched of one database on one shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touch {
    /// Keys that are read.
    pub reads: Words,
    /// Keys that may be written.
    pub writes: Words,
    /// All keys, and how.
    pub all: Option<Access>,
}

/// All that a request touches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// By shard and database.
    pub touches: BTreeMap<(u16, usize), Touch>,
}

/// Which words of a request are keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Roles {
    reads: Vec<usize>,
    writes: Vec<usize>,
    /// Keys that may be written in another database.
    elsewhere: Option<(usize, Vec<usize>)>,
    /// All keys of these databases; `None`: of every one.
    all: Option<(Access, Option<Vec<usize>>)>,
}

impl Footprint {
    /// Of what a connection asks for with this database selected. `watched`: what EXEC looks at.
    pub fn of(
        deed: &Deed,
        database: usize,
        databases: usize,
        watched: &[(usize, Words)],
        placement: &Placement,
    ) -> Footprint {
        let mut footprint = Footprint::default();
        match deed {
            Deed::Command(words) | Deed::Look(words) => footprint.add(words, database, databases, placement),
            Deed::Item(words) => footprint.items(words, placement),
            Deed::Watch(keys) => footprint.reads(database, keys, placement),
            Deed::Exec { commands, .. } => {
                let mut selected = database;
                for words in commands {
                    selected = selects(words, databases).unwrap_or(selected);
                    footprint.add(words, selected, databases, placement);
                }
                watched.iter().for_each(|(database, keys)| footprint.reads(*database, keys, placement));
            }
            Deed::Expired(_) | Deed::Evicted(_) | Deed::Cut(_) => {}
        }
        footprint
    }

    /// The shards, each once.
    pub fn shards(&self) -> Vec<u16> {
        let mut shards: Vec<u16> = self.touches.keys().map(|(shard, _)| *shard).collect();
        shards.dedup();
        shards
    }

    /// What is touched on a shard, by database.
    pub fn on(&self, shard: u16) -> impl Iterator<Item = (usize, &Touch)> {
        self.touches.range((shard, 0)..=(shard, usize::MAX)).map(|((_, database), touch)| (*database, touch))
    }

    /// The keys on a shard, each with its database.
    pub fn keys(&self, shard: u16) -> impl Iterator<Item = (usize, &Vec<u8>)> {
        self.on(shard).flat_map(|(database, touch)| {
            touch.reads.iter().chain(&touch.writes).map(move |key| (database, key))
        })
    }

    /// True if a key is among it.
    pub fn touches(&self, shard: u16, database: usize, key: &[u8]) -> bool {
        self.touches.get(&(shard, database)).is_some_and(|touch| {
            touch.all.is_some() || touch.reads.iter().chain(&touch.writes).any(|other| other == key)
        })
    }

    /// Of what a memcached client asks for.
    fn items(&mut self, words: &[Vec<u8>], placement: &Placement) {
        match &words[0][..] {
            b"get" | b"gets" => self.reads(0, &words[1..], placement),
            b"flush_all" => {
                (0..placement.shards).for_each(|shard| self.at(shard, 0).all = Some(Access::Writes));
            }
            name => {
                let key = if name.starts_with(b"gat") { &words[2] } else { &words[1] };
                self.at(placement.home(key), 0).writes.push(key.clone());
            }
        }
    }

    fn at(&mut self, shard: u16, database: usize) -> &mut Touch {
        self.touches.entry((shard, database)).or_default()
    }

    fn reads(&mut self, database: usize, keys: &[Vec<u8>], placement: &Placement) {
        for key in keys {
            self.at(placement.home(key), database).reads.push(key.clone());
        }
    }

    fn add(&mut self, words: &[Vec<u8>], database: usize, databases: usize, placement: &Placement) {
        if is_refused(words, database, databases) {
            return;
        }
        let roles = roles(words, database, databases);
        let keys = |places: &[usize]| -> Words {
            places.iter().filter_map(|place| words.get(*place)).cloned().collect()
        };
        self.reads(database, &keys(&roles.reads), placement);
        let mut writes = vec![(database, roles.writes)];
        writes.extend(roles.elsewhere);
        for (database, places) in writes.into_iter().filter(|(database, _)| *database < databases) {
            for key in keys(&places) {
                self.at(placement.home(&key), database).writes.push(key);
            }
        }
        if let Some((access, of)) = roles.all {
            for database in of.unwrap_or_else(|| (0..databases).collect()) {
                for shard in 0..placement.shards {
                    let all = &mut self.at(shard, database).all;
                    *all = Some(if *all == Some(Access::Writes) { Access::Writes } else { access });
                }
            }
        }
    }
}

/// The database that a command inside EXEC selects, if it does.
pub fn selects(words: &[Vec<u8>], databases: usize) -> Option<usize> {
    let is_select = words.len() == 2 && words[0].eq_ignore_ascii_case(b"select");
    number(words.get(1)?).filter(|&number| is_select && number < databases)
}

/// True for a command that asks a server outside between its steps, wherever its keys lie.
pub fn is_abroad(words: &[Vec<u8>]) -> bool {
    words[0].eq_ignore_ascii_case(b"migrate")
}

/// True for commands that run in one step on every shard that they touch.
pub fn is_of_one_step(words: &[Vec<u8>]) -> bool {
    let of_several: [&[u8]; 43] = [
        b"xread",
        b"xreadgroup",
        b"zunion",
        b"zinter",
        b"zdiff",
        b"zintercard",
        b"zunionstore",
        b"zinterstore",
        b"zdiffstore",
        b"zrangestore",
        b"zmpop",
        b"bzpopmin",
        b"bzpopmax",
        b"bzmpop",
        b"geosearchstore",
        b"georadius",
        b"georadiusbymember",
        b"rename",
        b"renamenx",
        b"copy",
        b"msetnx",
        b"msetex",
        b"lmove",
        b"rpoplpush",
        b"lmpop",
        b"blpop",
        b"brpop",
        b"blmpop",
        b"blmove",
        b"brpoplpush",
        b"smove",
        b"sinter",
        b"sunion",
        b"sdiff",
        b"sinterstore",
        b"sunionstore",
        b"sdiffstore",
        b"sintercard",
        b"bitop",
        b"pfcount",
        b"pfmerge",
        b"sort",
        b"sort_ro",
    ];
    !is_abroad(words) && !of_several.contains(&&words[0].to_ascii_lowercase()[..])
}

fn number(word: &[u8]) -> Option<usize> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// Places of `count` keys from `first` on, `step` apart, if there are so many.
fn counted(words: &[Vec<u8>], count: Option<usize>, first: usize, step: usize) -> Vec<usize> {
    let count = count.filter(|count| count.checked_mul(step).is_some_and(|len| first + len <= words.len()));
    (0..count.unwrap_or(0)).map(|n| first + n * step).collect()
}

/// True for what is refused before anybody looks at a key, whatever lies there: commands of several steps look at their options first.
fn is_refused(words: &[Vec<u8>], database: usize, databases: usize) -> bool {
    if words[0].eq_ignore_ascii_case(b"xreadgroup") {
        return words.len() < 7 || streams::reading(words).is_err();
    }
    let looks_first: [&[u8]; 29] = [
        b"xread",
        b"lmpop",
        b"lmove",
        b"copy",
        b"msetex",
        b"blpop",
        b"brpop",
        b"blmpop",
        b"blmove",
        b"brpoplpush",
        b"zunion",
        b"zinter",
        b"zdiff",
        b"zintercard",
        b"zunionstore",
        b"zinterstore",
        b"zdiffstore",
        b"zrangestore",
        b"zmpop",
        b"bzpopmin",
        b"bzpopmax",
        b"bzmpop",
        b"geosearchstore",
        b"georadius",
        b"georadiusbymember",
        b"sintercard",
        b"bitop",
        b"sort",
        b"sort_ro",
    ];
    looks_first.contains(&&words[0].to_ascii_lowercase()[..])
        && matches!(
            Store::of_one_shard(databases).run(database, words),
            Some(Answer::Exactly(Reply::Error(_)))
        )
}

/// SYNC, ASYNC or nothing: else nothing is done.
fn is_flush(words: &[Vec<u8>]) -> bool {
    let is_mode = |word: &Vec<u8>| word.eq_ignore_ascii_case(b"sync") || word.eq_ignore_ascii_case(b"async");
    words.len() == 1 || words.len() == 2 && is_mode(&words[1])
}

fn roles(words: &[Vec<u8>], database: usize, databases: usize) -> Roles {
    let name = words[0].to_ascii_lowercase();
    let mut roles = Roles::default();
    let all = |access, of| Some((access, of));
    match &name[..] {
        b"get" | b"strlen" | b"getrange" | b"substr" | b"ttl" | b"pttl" | b"expiretime" | b"pexpiretime"
        | b"type" | b"llen" | b"lrange" | b"lindex" | b"lpos" | b"hget" | b"hmget" | b"hgetall"
        | b"hkeys" | b"hvals" | b"hlen" | b"hexists" | b"hstrlen" | b"hscan" | b"hrandfield" | b"httl"
        | b"hpttl" | b"smembers" | b"sismember" | b"smismember" | b"scard" | b"srandmember" | b"sscan"
        | b"zcard" | b"zscore" | b"zmscore" | b"zrank" | b"zrevrank" | b"zrange" | b"zrangebyscore"
        | b"zrevrangebyscore" | b"zrevrange" | b"zrangebylex" | b"zrevrangebylex" | b"zcount"
        | b"zlexcount" | b"zscan" | b"zrandmember" | b"geodist" | b"geosearch" | b"dump" => {
            roles.reads = vec![1];
        }
        b"zunion" | b"zinter" | b"zdiff" | b"zintercard" => {
            roles.reads = counted(words, words.get(1).and_then(|word| number(word)), 2, 1);
        }
        b"zunionstore" | b"zinterstore" | b"zdiffstore" => {
            roles.writes = vec![1];
            roles.reads = counted(words, words.get(2).and_then(|word| number(word)), 3, 1);
        }
        b"zrangestore" | b"geosearchstore" => {
            roles.writes = vec![1];
            roles.reads = vec![2];
        }
        b"georadius" | b"georadiusbymember" => {
            roles.reads = vec![1];
            let is_store = |word: &Vec<u8>| {
                word.eq_ignore_ascii_case(b"store") || word.eq_ignore_ascii_case(b"storedist")
            };
            let last = words.iter().rposition(is_store).filter(|place| *place >= 5);
            roles.writes =
                last.map(|place| place + 1).filter(|place| *place < words.len()).into_iter().collect();
        }
        b"getbit" | b"bitcount" | b"bitpos" | b"bitfield_ro" => roles.reads = vec![1],
        b"sort" | b"sort_ro" => {
            let (looks_elsewhere, target) = sort::reach(words);
            roles.reads = vec![1];
            roles.writes = target.into_iter().collect();
            if looks_elsewhere {
                let access = if target.is_some() { Access::Writes } else { Access::Reads };
                roles.all = all(access, Some(vec![database]));
            }
        }
        // Its estimate is kept in the string.
        b"pfcount" => roles.writes = (1..words.len()).collect(),
        b"pfmerge" => {
            roles.writes = vec![1];
            roles.reads = (2..words.len()).collect();
        }
        b"bitop" => {
            roles.writes = vec![2];
            roles.reads = (3..words.len()).collect();
        }
        b"sinter" | b"sunion" | b"sdiff" => roles.reads = (1..words.len()).collect(),
        b"sintercard" => roles.reads = counted(words, words.get(1).and_then(|word| number(word)), 2, 1),
        b"sinterstore" | b"sunionstore" | b"sdiffstore" => {
            roles.writes = vec![1];
            roles.reads = (2..words.len()).collect();
        }
        b"mget" | b"exists" | b"touch" => roles.reads = (1..words.len()).collect(),
        b"del" | b"unlink" => roles.writes = (1..words.len()).collect(),
        b"mset" | b"msetnx" => roles.writes = (1..words.len()).step_by(2).collect(),
        b"msetex" => roles.writes = counted(words, words.get(1).and_then(|word| number(word)), 2, 2),
        b"lmpop" | b"zmpop" => {
            roles.writes = counted(words, words.get(1).and_then(|word| number(word)), 2, 1)
        }
        b"blmpop" | b"bzmpop" => {
            roles.writes = counted(words, words.get(2).and_then(|word| number(word)), 3, 1)
        }
        b"blpop" | b"brpop" | b"bzpopmin" | b"bzpopmax" => roles.writes = (1..words.len() - 1).collect(),
        b"rename" | b"renamenx" | b"lmove" | b"rpoplpush" | b"smove" | b"blmove" | b"brpoplpush" => {
            roles.writes = vec![1, 2];
        }
        b"migrate" => {
            let behind = words.iter().position(|word| word.eq_ignore_ascii_case(b"keys"));
            roles.writes = match behind.filter(|_| words[3].is_empty()) {
                Some(place) => (place + 1..words.len()).collect(),
                None => vec![3],
            };
        }
        b"copy" => {
            roles.reads = vec![1];
            let is_db = |pair: &&[Vec<u8>]| pair[0].eq_ignore_ascii_case(b"db");
            let other = words.get(3..).and_then(|rest| rest.windows(2).rfind(is_db));
            let to = other.map_or(Some(database), |pair| number(&pair[1]));
            roles.elsewhere = to.map(|to| (to, vec![2]));
        }
        b"move" => {
            roles.writes = vec![1];
            roles.elsewhere = words.get(2).and_then(|word| number(word)).map(|to| (to, vec![1]));
        }
        b"dbsize" | b"keys" | b"randomkey" => roles.all = all(Access::Reads, Some(vec![database])),
        b"flushdb" if is_flush(words) => roles.all = all(Access::Writes, Some(vec![database])),
        b"flushall" if is_flush(words) => roles.all = all(Access::Writes, None),
        b"swapdb" => {
            let both: Vec<usize> = words[1..].iter().filter_map(|word| number(word)).collect();
            if both.len() == 2 && both.iter().all(|database| *database < databases) {
                roles.all = all(Access::Writes, Some(both));
            }
        }
        b"flushdb" | b"flushall" => {}
        b"ping" | b"echo" | b"select" | b"unwatch" | b"multi" | b"exec" | b"discard" | b"watch" => {}
        b"xlen" | b"xrange" | b"xrevrange" | b"xpending" => roles.reads = vec![1],
        b"xinfo" => roles.reads = vec![2],
        b"xgroup" => roles.writes = vec![2],
        b"xread" | b"xreadgroup" => {
            let keys = streams::reading(words).map(|reading| reading.first..reading.first + reading.keys);
            let keys = keys.map_or(Vec::new(), |keys| keys.collect());
            if name == b"xread" { roles.reads = keys } else { roles.writes = keys }
        }
        // All others write their first key.
        _ => roles.writes = vec![1],
    }
    roles
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::words;

    #[test]
    fn keys_are_where_the_commands_say() {
        let text = |line: &str| {
            let roles = roles(&words(line), 0, 2);
            format!("{:?} {:?} {:?}", roles.reads, roles.writes, roles.elsewhere)
        };
        for (line, expected) in [
            ("GET k", "[1] [] None"),
            ("MSET a 1 b 2", "[] [1, 3] None"),
            ("MSETEX 2 a 1 b 2 NX", "[] [2, 4] None"),
            ("LMPOP 2 a b LEFT", "[] [2, 3] None"),
            ("LMPOP 7 a b LEFT", "[] [] None"),
            ("BLPOP a b 0", "[] [1, 2] None"),
            ("BLMPOP 0 2 a b LEFT", "[] [3, 4] None"),
            ("BLMOVE a b LEFT LEFT 0", "[] [1, 2] None"),
            ("BZMPOP 0 2 a b MIN", "[] [3, 4] None"),
            ("ZUNIONSTORE a 2 b c", "[3, 4] [1] None"),
            ("ZINTER 2 a b WITHSCORES", "[2, 3] [] None"),
            ("GEORADIUS a 1 1 1 km STORE b STOREDIST c", "[1] [9] None"),
            ("COPY a b", "[1] [] Some((0, [2]))"),
            ("COPY a b REPLACE DB 1", "[1] [] Some((1, [2]))"),
            ("MOVE a 1", "[] [1] Some((1, [1]))"),
            ("APPEND a 1", "[] [1] None"),
            ("PING", "[] [] None"),
        ] {
            assert_eq!(text(line), expected, "{line}");
        }
    }

    #[test]
    fn exec_touches_what_its_commands_do_where_they_are_selected() {
        let placement = Placement { hasher: KeyHasher::new([1, 2, 3, 4]), shards: 1 };
        let commands = ["SET a 1", "SELECT 1", "GET b", "SELECT 9", "FLUSHDB"].map(words).to_vec();
        let deed = Deed::Exec { commands, watches: Vec::new() };
        let footprint = Footprint::of(&deed, 0, 2, &[(0, words("w"))], &placement);
        assert_eq!(footprint.shards(), [0]);
        let zero = Touch { reads: words("w"), writes: words("a"), all: None };
        let one = Touch { reads: words("b"), writes: Vec::new(), all: Some(Access::Writes) };
        assert_eq!(footprint.on(0).collect::<Vec<_>>(), [(0, &zero), (1, &one)]);
        assert!(footprint.touches(0, 0, b"w") && !footprint.touches(0, 0, b"x"));
        assert!(footprint.touches(0, 1, b"x"));
    }
}
