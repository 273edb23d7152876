//! What happens in a world, decided beforehand: who says what, and what goes wrong when. A plan can be stored as text, read back,
//! replayed and made smaller.
//!
//! The seed in it still decides the configuration and how long everything takes; the steps do not depend on it.

use std::fmt::Write as _;

use darter_core::quoting::{quoted, split_args};

/// A byte at least so many times is written as a repetition.
const REPEATED_MIN: usize = 32;

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Deed {
    /// A client wants to say a request.
    Say {
        /// Who.
        client: usize,
        /// Its words, the name first.
        words: Vec<Vec<u8>>,
    },
    /// A client wants to send bytes that are no request.
    Send {
        /// Who.
        client: usize,
        /// What.
        bytes: Vec<u8>,
    },
    /// A client wants to scan its database from the beginning to the end.
    Scan {
        /// Who.
        client: usize,
        /// COUNT.
        count: u64,
    },
    /// A client is gone at once.
    Vanish {
        /// Who.
        client: usize,
    },
    /// A client sends no more, but reads on.
    HalfClose {
        /// Who.
        client: usize,
    },
    /// A client reads nothing.
    Stall {
        /// Who.
        client: usize,
        /// For how long, nanoseconds.
        nanos: u64,
    },
    /// A core stands still.
    Freeze {
        /// Which.
        core: u16,
        /// For how long, nanoseconds.
        nanos: u64,
    },
    /// The wall clock is set.
    Clock {
        /// By how much.
        millis: i64,
    },
}

/// A deed and its moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Step {
    /// Nanoseconds since the start of the world; what a client says may have to wait longer for its turn.
    pub at: u64,
    /// What happens.
    pub deed: Deed,
}

/// Everything that happens in a world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    /// Decides what the steps do not.
    pub seed: u64,
    /// What happens, in order of time.
    pub steps: Vec<Step>,
}

impl Plan {
    /// As text, with a story to stand at its head.
    pub fn to_text(&self, story: &str) -> String {
        let mut text = String::new();
        for line in story.lines() {
            let _ = writeln!(text, "# {line}");
        }
        let _ = writeln!(text, "seed {}", self.seed);
        for step in &self.steps {
            let _ = write!(text, "{} ", step.at);
            let _ = match &step.deed {
                Deed::Say { client, words } => {
                    let words: Vec<String> = words.iter().map(|word| word_text(word)).collect();
                    writeln!(text, "say {client} {}", words.join(" "))
                }
                Deed::Send { client, bytes } => writeln!(text, "send {client} {}", word_text(bytes)),
                Deed::Scan { client, count } => writeln!(text, "scan {client} {count}"),
                Deed::Vanish { client } => writeln!(text, "vanish {client}"),
                Deed::HalfClose { client } => writeln!(text, "half-close {client}"),
                Deed::Stall { client, nanos } => writeln!(text, "stall {client} {nanos}"),
                Deed::Freeze { core, nanos } => writeln!(text, "freeze {core} {nanos}"),
                Deed::Clock { millis } => writeln!(text, "clock {millis}"),
            };
        }
        text
    }

    /// Reads back what [`Plan::to_text`] has written; the error names the line.
    pub fn from_text(text: &str) -> Result<Plan, String> {
        let mut plan = Plan { seed: 0, steps: Vec::new() };
        for (n, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let read = || -> Option<Option<Step>> {
                let words = split_args(line.as_bytes())?;
                let text: Vec<&str> =
                    words.iter().map(|word| std::str::from_utf8(word).unwrap_or_default()).collect();
                if text[0] == "seed" {
                    return Some(None);
                }
                Some(Some(Step { at: text[0].parse().ok()?, deed: deed(&text, &words)? }))
            };
            match read() {
                Some(Some(step)) => plan.steps.push(step),
                Some(None) => {
                    let seed = line.split_whitespace().nth(1).and_then(|word| word.parse().ok());
                    plan.seed = seed.ok_or_else(|| format!("line {}: no seed", n + 1))?;
                }
                None => return Err(format!("line {}: {line}", n + 1)),
            }
        }
        Ok(plan)
    }
}

fn deed(text: &[&str], words: &[Vec<u8>]) -> Option<Deed> {
    let who = || text.get(2)?.parse().ok();
    let number = || text.get(3)?.parse().ok();
    Some(match *text.get(1)? {
        "say" => {
            Deed::Say { client: who()?, words: words.get(3..)?.iter().map(|word| expanded(word)).collect() }
        }
        "send" => Deed::Send { client: who()?, bytes: expanded(words.get(3)?) },
        "scan" => Deed::Scan { client: who()?, count: number()? },
        "vanish" => Deed::Vanish { client: who()? },
        "half-close" => Deed::HalfClose { client: who()? },
        "stall" => Deed::Stall { client: who()?, nanos: number()? },
        "freeze" => Deed::Freeze { core: who()? as u16, nanos: number()? },
        "clock" => Deed::Clock { millis: text.get(2)?.parse().ok()? },
        _ => return None,
    })
}

/// A word in quotes; a long repetition of one letter as `<letter>*<times>`.
fn word_text(word: &[u8]) -> String {
    let repeated = word.len() >= REPEATED_MIN
        && word[0].is_ascii_alphabetic()
        && word.iter().all(|&byte| byte == word[0]);
    if repeated { format!("{}*{}", word[0] as char, word.len()) } else { quoted(word) }
}

fn expanded(word: &[u8]) -> Vec<u8> {
    let repetition = || {
        let (letter, times) = word.split_first()?;
        let times = times.strip_prefix(b"*")?;
        let times: usize = std::str::from_utf8(times).ok()?.parse().ok()?;
        (letter.is_ascii_alphabetic() && times >= REPEATED_MIN).then(|| vec![*letter; times])
    };
    repetition().unwrap_or_else(|| word.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let words = |list: &[&[u8]]| list.iter().map(|word| word.to_vec()).collect();
        let deeds = [
            Deed::Say { client: 3, words: words(&[b"SET", b"k y\0\xff", b"", &[b'x'; 20_000]]) },
            Deed::Send { client: 0, bytes: b"*1\r\n$-7\r\n".to_vec() },
            Deed::Scan { client: 1, count: 7 },
            Deed::Vanish { client: 1 },
            Deed::HalfClose { client: 2 },
            Deed::Stall { client: 2, nanos: 5 },
            Deed::Freeze { core: 4, nanos: 9 },
            Deed::Clock { millis: -300 },
        ];
        let steps = deeds.into_iter().enumerate().map(|(n, deed)| Step { at: n as u64 * 10, deed }).collect();
        let plan = Plan { seed: 42, steps };
        let text = plan.to_text("It begins so.\nAnd ends so.");
        assert!(text.starts_with("# It begins so.\n# And ends so.\nseed 42\n"));
        assert_eq!(Plan::from_text(&text), Ok(plan));
        assert_eq!(Plan::from_text("seed 1\n5 dance 1"), Err("line 2: 5 dance 1".into()));
    }
}
