//! Who writes what clients say: keys, values, and requests about strings, numbers, deadlines, whole databases and transactions.
//!
//! It knows the words of commands. It does not know what they answer.

use std::collections::VecDeque;

use darter_core::args::OwnedArgs;
use darter_core::command::table::{self, Found};

use super::families::{Family, Saying};
use super::items;
use super::wide::{self, Request};
use crate::abroad;
use crate::dice::Dice;
use crate::plan::Deed;
use crate::swarm::Swarm;
use crate::wild;

/// Draws one deed after the other.
pub struct Author<'a> {
    pub(super) swarm: &'a Swarm,
    /// Its chance.
    pub dice: Dice,
    /// What each client still has to say of what it has begun.
    begun: Vec<VecDeque<Request>>,
    /// Who says all of what it has begun before others say anything.
    hurried: Option<usize>,
    families: Vec<&'static Family>,
    /// Keys end while the world lasts. Not where databases change places: whether a key whose time has come counts as a change then depends on
    /// whether somebody has removed it, in Redis too.
    pub(super) keys_end: bool,
}

/// Words of a request, from anything that is text.
pub(super) fn words(list: &[&str]) -> Vec<Vec<u8>> {
    list.iter().map(|word| word.as_bytes().to_vec()).collect()
}

impl<'a> Author<'a> {
    /// For a world like this.
    pub fn new(swarm: &'a Swarm, dice: Dice) -> Author<'a> {
        let keys_end = !swarm.families.has("databases change places");
        // Where a clock goes back far, by one step or by several, fields live again that nobody has removed, and nobody can tell which.
        let fields_end = keys_end && !swarm.faults.clock_jump && !swarm.faults.clock_step;
        let is_drawn = |family: &&Family| {
            family.weight > 0
                && (keys_end || family.name != "deadlines")
                && (fields_end || family.name != "fields that end")
        };
        Author {
            swarm,
            dice,
            begun: vec![VecDeque::new(); swarm.clients],
            hurried: None,
            families: swarm.families.iter().filter(is_drawn).collect(),
            keys_end,
        }
    }

    /// Nanoseconds until the next deed.
    pub fn pause(&mut self) -> u64 {
        let gap = self.dice.below(2 * self.swarm.gap);
        if self.hurried.is_some() { gap / 50 } else { gap }
    }

    /// The next deed.
    pub fn deed(&mut self) -> Deed {
        let client = match self.hurried {
            Some(client) => client,
            None => self.dice.below(self.swarm.clients as u64) as usize,
        };
        if self.swarm.is_wild(client) {
            return Deed::Say { client, words: wild::request(&mut self.dice) };
        }
        if let Some(words) = self.begun[client].pop_front() {
            if self.begun[client].is_empty() {
                self.hurried = None;
            }
            return Deed::Say { client, words };
        }
        match self.draw(client) {
            Saying::One(words) => Deed::Say { client, words },
            Saying::Deed(deed) => deed,
            Saying::Several(requests) => {
                let mut requests = VecDeque::from(requests);
                let first = requests.pop_front().expect("what belongs together has a beginning");
                let hurries = self.dice.chance(500) && !requests.is_empty();
                self.begun[client] = requests;
                self.hurried = hurries.then_some(client);
                Deed::Say { client, words: first }
            }
        }
    }

    /// Something of one of the world's families.
    fn draw(&mut self, client: usize) -> Saying {
        if self.swarm.is_of_items(client) {
            return items::any(self);
        }
        let total = self.families.iter().map(|family| family.weight).sum();
        let mut draw = self.dice.below(total);
        let mut chosen = self.families[0];
        for family in &self.families {
            if draw < family.weight {
                chosen = family;
                break;
            }
            draw -= family.weight;
        }
        match (chosen.draw)(self, client) {
            Saying::One(words) => Saying::One(self.fitting(words)),
            Saying::Several(requests) => {
                Saying::Several(requests.into_iter().map(|words| self.fitting(words)).collect())
            }
            Saying::Deed(deed) => Saying::Deed(deed),
        }
    }

    /// One request of one of the world's families.
    fn one(&mut self, client: usize) -> Request {
        loop {
            let family = *self.dice.pick(&self.families);
            if family.name != "transactions"
                && let Saying::One(words) = (family.draw)(self, client)
            {
                break words;
            }
        }
    }

    /// What the engine does not know yet becomes a question that it knows; what it runs on one shard only gets keys of one.
    fn fitting(&mut self, mut words: Request) -> Request {
        let args = OwnedArgs::new(&words);
        let Found::Command(id) = table::find(args.view()) else {
            return self::words(&["EXISTS", &self.key()]);
        };
        if !wild::is_for_any_keys(&words) {
            for place in id.row().keys.places(args.view()) {
                words[place].splice(..1, b"k{0}".iter().copied());
            }
        }
        words
    }

    /// A transaction: perhaps WATCH and a look at what is watched, MULTI, up to six commands, EXEC or DISCARD.
    pub fn transaction(&mut self, client: usize) -> Vec<Request> {
        let mut requests = Vec::new();
        if self.dice.chance(500) {
            let (a, b) = (self.key(), self.key());
            if self.keys_end && self.dice.chance(150) {
                // Its time may come before EXEC does.
                let span = self.dice.between(1, 30).to_string();
                requests.push(words(&["SET", &a, "soon", "PX", &span]));
            }
            requests.push(if self.dice.chance(500) {
                words(&["WATCH", &a, &b])
            } else {
                words(&["WATCH", &a])
            });
            if self.dice.chance(500) {
                requests.push(words(&["GET", &a]));
            }
            if self.dice.chance(100) {
                requests.push(words(&["WATCH", &self.key()]));
            }
            if self.dice.chance(50) {
                requests.push(words(&["UNWATCH"]));
            }
        }
        requests.push(words(&["MULTI"]));
        for _ in 0..self.dice.below(7) {
            let request = match self.dice.below(60) {
                0..=2 => words(&["SELECT", self.word(&["0", "1", "99"])]),
                3 => words(&["PING"]),
                4 => words(&[self.word(&["GET", "NOSUCH", "MULTI", "UNWATCH"])]),
                5 => words(&["WATCH", &self.key()]),
                6 | 7 => self.all_keys(),
                8 => self.flush(),
                _ => self.one(client),
            };
            requests.push(request);
        }
        requests.push(words(&[if self.dice.chance(60) { "DISCARD" } else { "EXEC" }]));
        if self.dice.chance(30) {
            requests.push(words(&["EXEC"]));
        }
        requests
    }

    /// A request about several keys wherever they lie.
    pub fn across(&mut self) -> Request {
        match self.dice.below(30) {
            0..=2 => {
                let (a, b, c, value) = (self.key(), self.key(), self.key(), self.value());
                let options: &[&str] = match self.dice.below(5) {
                    0 => &[],
                    1 => &["NX"],
                    2 => &["XX", "KEEPTTL"],
                    3 if self.keys_end => &["PX", "40"],
                    _ => &["EX", "0"],
                };
                let pairs = ["MSETEX", "3", &a, &value, &b, "1", &c, &value];
                words(&[&pairs[..], options].concat())
            }
            3..=6 => {
                // All of them: transactions of every shard.
                let verb = self.word(&["MGET", "MSET", "DEL", "EXISTS", "TOUCH", "UNLINK"]);
                let keys: Vec<String> = (0..8).map(|_| self.any_key()).collect();
                let mut list = vec![verb];
                for key in &keys {
                    list.push(key);
                    if verb == "MSET" {
                        list.push("all");
                    }
                }
                words(&list)
            }
            _ => self.with_keys(wide::across),
        }
    }

    /// Keys go to a server outside.
    pub fn migrate(&mut self) -> Request {
        let (host, a, b) = (self.word(&abroad::ALL), self.any_key(), self.any_key());
        // Who takes may take its time; who is silent is not waited for long.
        let patience = if host == abroad::SILENT { "20" } else { "1000000000" };
        let copy = if self.dice.chance(200) { &["COPY"][..] } else { &[] };
        let one = [&["MIGRATE", host, "7", &a, "0", patience], copy].concat();
        let several = [&["MIGRATE", host, "7", "", "0", patience], copy, &["KEYS", &a, &b]].concat();
        words(if self.dice.chance(500) { &one } else { &several })
    }

    /// A request by one of the wide generators, over this world's keys.
    pub fn with_keys(&mut self, draw: fn(&mut Dice, &mut wide::Keys<'_>) -> Request) -> Request {
        let (swarm, mut dice) = (self.swarm, self.dice.clone());
        let request = draw(&mut dice, &mut |dice| key_of(swarm, dice));
        self.dice = dice;
        request
    }

    /// Everything of a database.
    pub fn all_keys(&mut self) -> Request {
        match self.dice.below(5) {
            0 | 1 => words(&["KEYS", self.word(&["*", "k*", "*1*", "nosuch"])]),
            2 => words(&["RANDOMKEY"]),
            _ => words(&["DBSIZE"]),
        }
    }

    /// Two databases change places.
    pub fn swap(&mut self) -> Request {
        words(&["SWAPDB", "0", self.word(&["1", "1", "1", "0", "99", "x"])])
    }

    /// Nothing is left of a database, or of all.
    pub fn flush(&mut self) -> Request {
        match self.dice.below(5) {
            0 => words(&["FLUSHALL"]),
            1 => words(&["FLUSHDB", "ASYNC"]),
            2 => words(&["FLUSHDB", "bogus"]),
            _ => words(&["FLUSHDB"]),
        }
    }

    pub(super) fn word(&mut self, choices: &[&'static str]) -> &'static str {
        self.dice.pick::<&'static str>(choices)
    }

    pub(super) fn key(&mut self) -> String {
        key_of(self.swarm, &mut self.dice)
    }

    /// A key that lies on one shard with all others of its tag.
    fn tagged(&mut self) -> String {
        format!("k{{{}}}{}", self.dice.below(3), self.dice.below(self.swarm.keys.min(6)))
    }

    pub(super) fn any_key(&mut self) -> String {
        if self.dice.chance(250) { self.tagged() } else { self.key() }
    }

    pub(super) fn value(&mut self) -> String {
        match self.dice.below(10) {
            0..=2 => format!("{}", self.dice.below(2_000) as i64 - 1_000),
            3 => String::new(),
            4 => "y".repeat(self.dice.between(30, 300) as usize),
            5 if self.dice.chance(200) => "z".repeat(self.dice.between(1_900, 5_000) as usize),
            _ => format!("v{}", self.dice.below(1_000_000)),
        }
    }

    /// Milliseconds, most of them soon.
    fn span(&mut self) -> String {
        let span = match self.dice.below(8) {
            0 => self.dice.between(1, 3),
            1..=4 => self.dice.between(1, 200),
            5 => self.dice.between(1_000, 5_000),
            6 => 100_000_000,
            _ => return (*self.dice.pick(&["0", "-5", "abc", "9223372036854775807"])).to_string(),
        };
        span.to_string()
    }

    /// A point in time near the beginning of the world, Unix milliseconds.
    fn moment(&mut self) -> String {
        (crate::world::EPOCH_MILLIS + self.dice.below(20_000)).to_string()
    }

    /// A request about one string.
    pub fn string(&mut self) -> Vec<Vec<u8>> {
        let (key, value) = (self.any_key(), self.value());
        let (key, value) = (&key[..], &value[..]);
        match self.dice.below(24) {
            0..=6 => words(&["GET", key]),
            7..=9 => words(&["SET", key, value]),
            10 => words(&["SET", key, value, self.word(&["NX", "XX", "GET", "KEEPTTL", "bogus"])]),
            11 => words(&["SET", key, value, "IFEQ", &self.value()]),
            12 => words(&["SETNX", key, value]),
            13 => words(&["GETSET", key, value]),
            14 => words(&["GETDEL", key]),
            15 => words(&["APPEND", key, value]),
            16 => words(&["STRLEN", key]),
            17 => {
                let mut place = || (self.dice.below(14) as i64 - 6).to_string();
                words(&["GETRANGE", key, &place(), &place()])
            }
            18 => words(&["SETRANGE", key, &(self.dice.below(22) as i64 - 1).to_string(), value]),
            19 => words(&["DEL", key]),
            20 => words(&["EXISTS", key]),
            21 => words(&["TYPE", key]),
            22 => words(&["MOVE", key, &self.dice.below(2).to_string()]),
            _ => words(&["UNLINK", key]),
        }
    }

    /// A request about one number.
    pub fn number(&mut self) -> Vec<Vec<u8>> {
        let key = self.key();
        match self.dice.below(6) {
            0 | 1 => words(&["INCR", &key]),
            2 => words(&["DECR", &key]),
            3 => words(&["INCRBY", &key, &self.value()]),
            4 => words(&["DECRBY", &key, self.word(&["7", "-9223372036854775808", "1", "x"])]),
            // Of their own, so that sums stay short: doubles add others differently than decimals do.
            _ => words(&["INCRBYFLOAT", self.word(&["f0", "f1"]), self.word(&["0.5", "-1.25", "3"])]),
        }
    }

    /// A request about a key's time.
    pub fn deadline(&mut self) -> Vec<Vec<u8>> {
        let (key, value, span) = (self.any_key(), self.value(), self.span());
        match self.dice.below(16) {
            0 | 1 => words(&["SET", &key, &value, "PX", &span]),
            2 => words(&["SET", &key, &value, "PXAT", &self.moment(), "NX"]),
            3 => words(&["SET", &key, &value, "EX", "1", "GET"]),
            4 => words(&["PSETEX", &key, &span, &value]),
            5 | 6 => words(&["PEXPIRE", &key, &span]),
            7 => words(&["PEXPIRE", &key, &span, self.word(&["NX", "XX", "GT", "LT"])]),
            8 => words(&["EXPIRE", &key, self.word(&["1", "2", "100", "-1"])]),
            9 => words(&["PEXPIREAT", &key, &self.moment()]),
            10 => words(&["GETEX", &key, "PX", &span]),
            11 => words(&["GETEX", &key, "PERSIST"]),
            12 => words(&["PERSIST", &key]),
            13 => words(&["TTL", &key]),
            14 => words(&["PTTL", &key]),
            _ => words(&["PEXPIRETIME", &key]),
        }
    }

    /// A request about several keys of one shard.
    pub fn several(&mut self) -> Vec<Vec<u8>> {
        let tag = self.dice.below(3);
        let keys = self.swarm.keys.min(6);
        let mut key = || format!("k{{{tag}}}{}", self.dice.below(keys));
        let (a, b, c) = (key(), key(), key());
        let value = self.value();
        match self.dice.below(10) {
            0 | 1 => words(&["MGET", &a, &b, &c]),
            2 | 3 => words(&["MSET", &a, &value, &b, "1"]),
            4 => words(&["MSETNX", &a, &value, &b, "2"]),
            5 => words(&["DEL", &a, &b, &a]),
            6 => words(&["EXISTS", &a, &b, &b]),
            7 => words(&["RENAME", &a, &b]),
            8 => words(&["RENAMENX", &a, &b]),
            _ => match self.dice.below(3) {
                0 => words(&["COPY", &a, &b]),
                1 => words(&["COPY", &a, &b, "REPLACE"]),
                _ => words(&["COPY", &a, &b, "DB", "1"]),
            },
        }
    }

    /// A request about the connection.
    pub fn connection(&mut self) -> Vec<Vec<u8>> {
        match self.dice.below(12) {
            0..=2 => words(&["PING"]),
            3 => words(&["PING", &self.value()]),
            4 | 5 => words(&["ECHO", &self.value()]),
            6..=8 => words(&["SELECT", self.word(&["0", "0", "1", "99", "x"])]),
            9 => words(&["HELLO", "3"]),
            10 => words(&["HELLO", "2"]),
            _ => words(&["QUIT"]),
        }
    }

    /// A request about snapshots.
    pub fn snapshot(&mut self) -> Vec<Vec<u8>> {
        match self.dice.below(6) {
            0 => words(&["WAITAOF", "1", "0", self.word(&["1", "50", "3000"])]),
            _ => words(&[self.word(&["BGSAVE", "BGSAVE", "BGSAVE", "SAVE", "LASTSAVE"])]),
        }
    }

    /// A request about a large value.
    pub fn big(&mut self) -> Vec<Vec<u8>> {
        let key = format!("big{}", self.dice.below(2));
        let len = *self.dice.pick(&[16_383, 16_384, 20_000, 70_000]);
        match self.dice.below(6) {
            0 | 1 => words(&["SET", &key, &"x".repeat(len)]),
            2 => words(&["APPEND", &key, "tail"]),
            3 => words(&["SETRANGE", &key, "5", "patch"]),
            _ => words(&["GET", &key]),
        }
    }

    /// Two hundred keys of one tag: a few of these and a table splits.
    pub fn many(&mut self) -> Vec<Vec<u8>> {
        let (tag, from) = (self.dice.below(2), self.dice.below(5_000));
        let keys: Vec<String> = (from..from + 200).map(|n| format!("m{{{tag}}}{n}")).collect();
        let delete = self.dice.chance(200);
        let mut list = vec![if delete { "DEL" } else { "MSET" }];
        for key in &keys {
            list.push(key);
            if !delete {
                list.push("1");
            }
        }
        words(&list)
    }

    /// What is no request, or none that the engine knows.
    pub fn nonsense(&mut self, client: usize) -> Deed {
        let bytes: &[u8] = match self.dice.below(12) {
            0 => b"*1\r\n$-7\r\n",
            1 => b"*x\r\n",
            2 => b"*1\r\n!4\r\nPING\r\n",
            3..=5 => b"\r\n",
            6 | 7 => b"*0\r\n",
            8 | 9 => return Deed::Say { client, words: words(&["NOSUCH", "a", "b"]) },
            10 => return Deed::Say { client, words: words(&["GET"]) },
            _ => return Deed::Say { client, words: words(&["get", "a", "b"]) },
        };
        Deed::Send { client, bytes: bytes.to_vec() }
    }
}

fn key_of(swarm: &Swarm, dice: &mut Dice) -> String {
    let keys = if swarm.hot && dice.chance(700) { swarm.keys.min(2) } else { swarm.keys };
    format!("k{}", dice.below(keys))
}
