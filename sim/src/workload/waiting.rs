//! Requests that wait for a list to hold something, those that meet them, and those that end their waiting: on a few keys of their own, so that they
//! meet often.
//!
//! It knows the words of commands. It does not know what they answer.

use super::author::{Author, words};
use super::families::Saying;
use super::wide::Request;
use crate::plan::Deed;

/// Keys that are waited for, on several shards and on one.
const WAITED: [&str; 6] = ["l0", "l1", "l2", "l{0}0", "l{0}1", "l{0}2"];
/// Keys where lists lie until somebody takes them elsewhere.
const KEPT: [&str; 3] = ["s0", "s1", "s{0}0"];

impl Author<'_> {
    /// Something about waiting.
    pub fn waiting(&mut self, client: usize) -> Saying {
        match self.dice.below(100) {
            0..=2 => Saying::Deed(Deed::Say { client, words: self.unblock() }),
            3..=6 => {
                // In another database.
                let database = self.dice.below(2).to_string();
                let wait = self.wait();
                Saying::Several(vec![words(&["SELECT", &database]), wait, words(&["SELECT", "0"])])
            }
            7 if self.keys_end => {
                // What comes may be gone before somebody who waits has it.
                let (kept, waited) = (self.kept(), self.waited());
                let span = self.dice.pick::<&'static str>(&["1", "2", "5"]);
                let carry = words(&["RENAME", kept, waited]);
                let push = words(&["RPUSH", kept, "soon"]);
                Saying::Several(vec![push, words(&["PEXPIRE", kept, span]), carry])
            }
            8 => {
                let (waited, element) = (self.waited(), format!("m{}", self.dice.below(100)));
                let select = |database: &str| words(&["SELECT", database]);
                let wait = words(&["BLPOP", waited, self.patience()]);
                let carry = vec![words(&["RPUSH", waited, &element]), words(&["MOVE", waited, "1"])];
                Saying::Several(if self.dice.chance(500) {
                    carry
                } else {
                    vec![select("1"), wait, select("0")]
                })
            }
            9..=49 => Saying::One(self.wait()),
            _ => Saying::One(self.meeting()),
        }
    }

    /// Something about waiting where many wait for the same: most for several lists, which come in pairs.
    pub fn crowd(&mut self, client: usize) -> Saying {
        // So that nobody is held for long.
        const SHORT: [&str; 6] = ["0.0007", "0.001", "0.002", "0.003", "0.005", "0.05"];
        const CROWD: [&str; 4] = ["l0", "l1", "l{0}0", "l{0}1"];
        let a = self.dice.pick::<&'static str>(&CROWD);
        let b = self.dice.pick::<&'static str>(&CROWD);
        let element = format!("c{}", self.dice.below(1_000_000));
        let (patience, side) = (self.dice.pick::<&'static str>(&SHORT), self.side());
        match self.dice.below(40) {
            0..=8 => Saying::One(words(&["BLPOP", a, b, patience])),
            9..=11 => Saying::One(words(&["BLPOP", a, patience])),
            12..=16 => Saying::One(words(&["BLMOVE", a, b, side, "RIGHT", patience])),
            17 => Saying::One(words(&["BLMPOP", patience, "2", a, b, side])),
            18..=23 => {
                let push = |key| words(&["RPUSH", key, &element]);
                Saying::Several(vec![words(&["MULTI"]), push(a), push(b), words(&["EXEC"])])
            }
            // Gone again before who is to be served has come for it.
            24..=27 => {
                let push = words(&["RPUSH", a, &element]);
                Saying::Several(vec![push.clone(), words(&["LPOP", a]), push])
            }
            28..=33 => Saying::One(words(&["RPUSH", a, &element])),
            34 => Saying::One(words(&["LMOVE", a, b, "LEFT", "RIGHT"])),
            35 | 36 => Saying::One(words(&["LPOP", a])),
            37 => Saying::One(words(&["DEL", a, b])),
            _ => Saying::Deed(Deed::Say { client, words: self.unblock() }),
        }
    }

    /// The n-th client, on whatever connection it has then.
    fn unblock(&mut self) -> Request {
        let whom = format!("@{}", self.dice.below(self.swarm.clients as u64));
        match self.dice.below(3) {
            0 => words(&["CLIENT", "UNBLOCK", &whom]),
            1 => words(&["CLIENT", "UNBLOCK", &whom, "TIMEOUT"]),
            _ => words(&["CLIENT", "UNBLOCK", &whom, "ERROR"]),
        }
    }

    fn waited(&mut self) -> &'static str {
        let hot = if self.swarm.hot { 2 } else { WAITED.len() as u64 };
        match self.dice.chance(300) {
            true => self.dice.pick::<&'static str>(&WAITED),
            false => WAITED[self.dice.below(hot) as usize],
        }
    }

    fn kept(&mut self) -> &'static str {
        self.dice.pick::<&'static str>(&KEPT)
    }

    fn side(&mut self) -> &'static str {
        self.dice.pick::<&'static str>(&["LEFT", "RIGHT", "left"])
    }

    /// How long to wait.
    fn patience(&mut self) -> &'static str {
        const CHOICES: [&str; 12] =
            ["0", "0", "0", "0.001", "0.005", "0.02", "0.02", "0.05", "0.1", "0.3", "0.0007", "1"];
        match self.dice.below(60) {
            0 => "-1",
            1 => "soon",
            _ => self.dice.pick::<&'static str>(&CHOICES),
        }
    }

    fn wait(&mut self) -> Request {
        let (a, b, c) = (self.waited(), self.waited(), self.waited());
        let (patience, from, to) = (self.patience(), self.side(), self.side());
        match self.dice.below(18) {
            0..=3 => words(&["BLPOP", a, patience]),
            4 => words(&["BRPOP", a, patience]),
            5..=6 => words(&["BLPOP", a, b, patience]),
            7 => words(&["BRPOP", a, b, c, patience]),
            8 => words(&["BLMPOP", patience, "2", a, b, from]),
            9 => words(&["BLMPOP", patience, "1", a, from, "COUNT", "2"]),
            10 => words(&["BLMPOP", patience, "3", a, b, c, from, "COUNT", "3"]),
            11 => words(&["BLMOVE", a, self.kept(), from, to, patience]),
            12..=15 => words(&["BLMOVE", a, b, from, to, patience]),
            16 => words(&["BRPOPLPUSH", a, b, patience]),
            _ => match self.dice.below(5) {
                0 => words(&["BLMOVE", a, b, from, "UP", patience]),
                1 => words(&["BLMPOP", patience, "0", a, from]),
                2 => words(&["BLMPOP", patience, "2", a, from]),
                3 => words(&["BLPOP", a]),
                _ => words(&["BLPOP", self.kept(), a, patience]),
            },
        }
    }

    fn meeting(&mut self) -> Request {
        let (a, b, kept) = (self.waited(), self.waited(), self.kept());
        let element = format!("e{}", self.dice.below(1_000_000));
        let swaps = self.swarm.families.has("databases change places");
        match self.dice.below(60) {
            0..=11 => words(&["RPUSH", a, &element]),
            12..=16 => words(&["LPUSH", a, &element, "2"]),
            17 => words(&["RPUSH", a, &element, "2", "3", "4", "5"]),
            18..=25 => words(&["RPUSH", kept, &element, "2"]),
            26..=28 => words(&["RENAME", kept, a]),
            29 => words(&["RENAMENX", kept, a]),
            30 | 31 => words(&["COPY", kept, a]),
            32 => words(&["COPY", kept, a, "REPLACE"]),
            33 => words(&["COPY", kept, a, "DB", "1"]),
            34..=36 => words(&["LMOVE", kept, a, "LEFT", "RIGHT"]),
            37 => words(&["RPOPLPUSH", kept, a]),
            38 | 39 => words(&["MOVE", a, "1"]),
            40 | 41 => words(&["RPUSHX", a, &element]),
            42 | 43 => words(&["LPOP", a]),
            44 => words(&["LMPOP", "2", a, b, "LEFT"]),
            45 | 46 => words(&["LRANGE", a, "0", "-1"]),
            47 => words(&["SET", a, "text"]),
            48..=51 => words(&["DEL", a]),
            52 => words(&["LLEN", a]),
            53 if self.keys_end => {
                words(&["PEXPIRE", kept, self.dice.pick::<&'static str>(&["1", "5", "30"])])
            }
            54 if self.keys_end => words(&["PEXPIRE", a, self.dice.pick::<&'static str>(&["1", "5", "30"])]),
            55 if swaps => words(&["SWAPDB", "0", "1"]),
            56 | 57 if swaps => words(&["COPY", kept, a, "DB", "1"]),
            _ => words(&["LMOVE", a, b, "LEFT", "RIGHT"]),
        }
    }
}
