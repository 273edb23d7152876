//! What happened, as one rolling hash, and the last lines of it for whoever looks for a fault.
//!
//! It knows nothing of what it hashes. No address, no clock of the machine and no order of a hash map may reach it.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};

/// Lines that are kept.
const RECENT_MAX: usize = 40;

/// A rolling hash of everything that happened.
#[derive(Debug)]
pub struct Trace {
    state: u64,
    events: u64,
    recent: Option<VecDeque<String>>,
    every_line: Vec<String>,
    keep_all: bool,
}

impl Trace {
    /// An empty one. `lines`: also keep the last lines as text; `all`: keep all of them.
    pub fn new(lines: bool, all: bool) -> Trace {
        Trace {
            state: 0x243f_6a88_85a3_08d3,
            events: 0,
            recent: lines.then(VecDeque::new),
            every_line: Vec::new(),
            keep_all: all,
        }
    }

    /// Adds what can be hashed, and its text if lines are kept.
    pub fn note(&mut self, at: u64, what: impl Hash, line: impl FnOnce() -> String) {
        self.events += 1;
        at.hash(self);
        what.hash(self);
        if let Some(recent) = &mut self.recent {
            let line = format!("{:>12.3} ms  {}", at as f64 / 1e6, line());
            if self.keep_all {
                self.every_line.push(line.clone());
            }
            recent.push_back(line);
            if recent.len() > RECENT_MAX {
                recent.pop_front();
            }
        }
    }

    /// True if lines are kept as text.
    pub fn describes(&self) -> bool {
        self.recent.is_some()
    }

    /// The hash of all so far.
    pub fn hash(&self) -> u64 {
        self.state
    }

    /// How many events there were.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The last lines, oldest first; all of them if that was asked for.
    pub fn lines(&self) -> Vec<String> {
        if self.keep_all {
            return self.every_line.clone();
        }
        self.recent.iter().flatten().cloned().collect()
    }
}

impl Hasher for Trace {
    fn finish(&self) -> u64 {
        self.state
    }

    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            let mixed = self.state.rotate_left(23) ^ u64::from_le_bytes(word) ^ (part.len() as u64) << 60;
            let wide = u128::from(mixed ^ 0x9e37_79b9_7f4a_7c15) * 0xf39c_c060_5ced_c835_u128;
            self.state = wide as u64 ^ (wide >> 64) as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_content_count() {
        let run = |words: &[&str]| {
            let mut trace = Trace::new(true, false);
            words.iter().for_each(|word| trace.note(1, word, || (*word).to_string()));
            trace.hash()
        };
        assert_eq!(run(&["a", "b"]), run(&["a", "b"]));
        assert_ne!(run(&["a", "b"]), run(&["b", "a"]));
        assert_ne!(run(&["ab", ""]), run(&["a", "b"]));
    }
}
