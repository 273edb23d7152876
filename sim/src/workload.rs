//! What clients say and what goes wrong, drawn from a seed.
//!
//! It knows the words of commands. It does not know what they answer: that is the reference's business.

pub mod wide;

use std::collections::VecDeque;

use crate::dice::{Concern, Dice};
use crate::plan::{Deed, Plan, Step};
use crate::swarm::Swarm;
use crate::wild;

/// Draws a plan of so many operations.
pub fn plan(seed: u64, operations: usize) -> Plan {
    let swarm = Swarm::of_seed(seed);
    let mut author = Author {
        swarm: &swarm,
        dice: Dice::new(seed, Concern::Workload),
        begun: vec![VecDeque::new(); swarm.clients],
    };
    let mut faults = Dice::new(seed, Concern::Faults);
    let (mut steps, mut at) = (Vec::with_capacity(operations), 0);
    for _ in 0..operations {
        at += author.dice.below(2 * swarm.gap);
        let deed = author.deed();
        steps.push(Step { at, deed });
        if faults.chance(40)
            && let Some(deed) = fault(&swarm, &mut faults)
        {
            steps.push(Step { at, deed });
        }
    }
    Plan { seed, steps }
}

/// Something that goes wrong, if the swarm allows it.
fn fault(swarm: &Swarm, dice: &mut Dice) -> Option<Deed> {
    let on = swarm.faults;
    let client = dice.below(swarm.clients as u64) as usize;
    let nanos = *dice.pick(&[20_000, 1_000_000, 30_000_000, 400_000_000]);
    match dice.below(6) {
        0 if on.freeze => Some(Deed::Freeze { core: dice.below(swarm.cores.into()) as u16, nanos }),
        1 if on.vanish => Some(Deed::Vanish { client }),
        2 if on.stall => Some(Deed::Stall { client, nanos }),
        3 if on.half_close => Some(Deed::HalfClose { client }),
        4 if on.clock_step => Some(Deed::Clock { millis: dice.between(0, 3_000) as i64 - 1_500 }),
        5 if on.clock_jump => Some(Deed::Clock { millis: dice.between(0, 40_000) as i64 - 20_000 }),
        _ => None,
    }
}

struct Author<'a> {
    swarm: &'a Swarm,
    dice: Dice,
    /// What each client still has to say of a transaction that it has begun.
    begun: Vec<VecDeque<wide::Request>>,
}

/// Words of a request, from anything that is text.
fn words(list: &[&str]) -> Vec<Vec<u8>> {
    list.iter().map(|word| word.as_bytes().to_vec()).collect()
}

impl Author<'_> {
    fn deed(&mut self) -> Deed {
        let client = self.dice.below(self.swarm.clients as u64) as usize;
        if self.swarm.is_wild(client) {
            return Deed::Say { client, words: wild::request(&mut self.dice) };
        }
        if let Some(words) = self.begun[client].pop_front() {
            return Deed::Say { client, words };
        }
        let on = self.swarm.families;
        if (on.across || on.lists || on.transactions) && self.dice.chance(600) {
            return self.wide(client);
        }
        let words = match self.dice.below(40) {
            0..=4 if on.numbers => self.number(),
            5..=12 if on.deadlines => self.deadline(),
            13..=16 if on.several => self.several(),
            17 | 18 if on.keyspace => match self.dice.below(5) {
                0 => return Deed::Scan { client, count: self.dice.between(1, 12) },
                1 => words(&["KEYS", self.word(&["*", "k*", "*1*", "nosuch"])]),
                2 => words(&["RANDOMKEY"]),
                _ => words(&["DBSIZE"]),
            },
            19 if on.flush => match self.dice.below(5) {
                0 => words(&["FLUSHALL"]),
                1 => words(&["FLUSHDB", "ASYNC"]),
                _ => words(&["FLUSHDB"]),
            },
            20 | 21 if on.connection => self.connection(),
            22 if on.big => self.big(),
            23 if on.many => self.many(),
            24 if on.nonsense => return self.nonsense(client),
            _ => self.string(),
        };
        Deed::Say { client, words }
    }

    /// Keys wherever they lie, lists, transactions.
    fn wide(&mut self, client: usize) -> Deed {
        let on = self.swarm.families;
        let (count, dice) = (self.swarm.keys, &mut self.dice);
        let mut keys = |dice: &mut Dice| format!("k{}", dice.below(count));
        let words = match dice.below(4) {
            0 if on.transactions => {
                let mut requests = VecDeque::from(wide::transaction(dice, &mut keys));
                let first = requests.pop_front().expect("a transaction has a beginning");
                self.begun[client] = requests;
                first
            }
            1 | 2 if on.lists => wide::lists(dice, &mut keys),
            _ if on.across => wide::across(dice, &mut keys),
            _ => wide::single(dice, &mut keys),
        };
        Deed::Say { client, words }
    }

    fn word(&mut self, choices: &[&'static str]) -> &'static str {
        self.dice.pick::<&'static str>(choices)
    }

    fn key(&mut self) -> String {
        format!("k{}", self.dice.below(self.swarm.keys))
    }

    /// A key that lies on one shard with all others of its tag.
    fn tagged(&mut self) -> String {
        format!("k{{{}}}{}", self.dice.below(3), self.dice.below(self.swarm.keys.min(6)))
    }

    fn any_key(&mut self) -> String {
        if self.dice.chance(250) { self.tagged() } else { self.key() }
    }

    fn value(&mut self) -> String {
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

    fn string(&mut self) -> Vec<Vec<u8>> {
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

    fn number(&mut self) -> Vec<Vec<u8>> {
        let key = self.key();
        match self.dice.below(6) {
            0 | 1 => words(&["INCR", &key]),
            2 => words(&["DECR", &key]),
            3 => words(&["INCRBY", &key, &self.value()]),
            4 => words(&["DECRBY", &key, self.word(&["7", "-9223372036854775808", "1", "x"])]),
            _ => words(&["INCRBYFLOAT", &key, self.word(&["0.5", "-1.25", "3"])]),
        }
    }

    fn deadline(&mut self) -> Vec<Vec<u8>> {
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

    fn several(&mut self) -> Vec<Vec<u8>> {
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

    fn connection(&mut self) -> Vec<Vec<u8>> {
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

    fn big(&mut self) -> Vec<Vec<u8>> {
        let key = format!("big{}", self.dice.below(2));
        let len = *self.dice.pick(&[16_383, 16_384, 20_000, 70_000]);
        match self.dice.below(6) {
            0 | 1 => words(&["SET", &key, &"x".repeat(len)]),
            2 => words(&["APPEND", &key, "tail"]),
            3 => words(&["SETRANGE", &key, "5", "patch"]),
            _ => words(&["GET", &key]),
        }
    }

    /// Sixty keys of one tag: a dozen of these and a table splits.
    fn many(&mut self) -> Vec<Vec<u8>> {
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

    fn nonsense(&mut self, client: usize) -> Deed {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_the_plan() {
        assert_eq!(plan(5, 200), plan(5, 200));
        assert_ne!(plan(5, 200).steps, plan(6, 200).steps);
        let stored = plan(5, 200).to_text("");
        assert_eq!(Plan::from_text(&stored), Ok(plan(5, 200)));
    }
}
