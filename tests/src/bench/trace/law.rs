//! How a trace is drawn: keys by Zipf's law whose ranks drift, and scans of keys that come once.

use std::fmt::Write as _;

use clap::Args;

use crate::bench::draw::{Dice, Distribution, Keys};

/// A law.
#[derive(Args, Clone, Debug)]
pub struct Law {
    /// Keys that are drawn by Zipf's law
    #[arg(long, default_value_t = 1_000_000)]
    pub keys: u32,
    /// Its exponent
    #[arg(long, default_value_t = 0.9)]
    pub theta: f64,
    /// Requests after each of which one wanted key becomes another; 0: never
    #[arg(long, default_value_t = 0)]
    pub drift: u64,
    /// Percent of requests that belong to scans of keys that nobody asks for again
    #[arg(long, default_value_t = 10)]
    pub scan: u32,
    /// Keys of one scan
    #[arg(long, default_value_t = 20_000)]
    pub scan_len: u32,
    /// Requests
    #[arg(long, short = 'n', default_value_t = 10_000_000)]
    pub requests: usize,
    /// What decides it all
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl Law {
    /// Draws a trace.
    pub fn draw(&self) -> Vec<u32> {
        let mut dice = Dice::new(self.seed);
        let mut zipf = Keys::new(Distribution::Zipf { theta: self.theta }, u64::from(self.keys), 0, 1);
        let mut names: Vec<u32> = (0..self.keys).collect();
        let (mut trace, mut next, mut left, mut scanned) =
            (Vec::with_capacity(self.requests), self.keys, 0u32, 0u64);
        for n in 0..self.requests as u64 {
            if self.drift > 0 && n % self.drift == 0 {
                let (wanted, any) = (zipf.draw(&mut dice), dice.below(u64::from(self.keys)));
                names.swap(wanted as usize, any as usize);
            }
            // Not as soon as it may be, but often enough for scans that are short.
            let is_begun = |dice: &mut Dice| dice.below(u64::from(self.scan_len.clamp(1, 1_000))) == 0;
            if left == 0 && scanned * 100 < n * u64::from(self.scan) && is_begun(&mut dice) {
                left = self.scan_len;
            }
            if left > 0 {
                (left, scanned) = (left - 1, scanned + 1);
                trace.push(next);
                next = next.wrapping_add(1);
            } else {
                trace.push(names[zipf.draw(&mut dice) as usize]);
            }
        }
        trace
    }
}

/// A trace as text: a number a line.
pub fn print(trace: &[u32]) -> String {
    let mut text = String::with_capacity(trace.len() * 8);
    for key in trace {
        writeln!(text, "{key}").expect("a string takes everything");
    }
    text
}

/// Reads what [`print`] has written; the error names the line.
pub fn read(text: &str) -> Result<Vec<u32>, String> {
    let number =
        |(n, line): (usize, &str)| line.trim().parse().map_err(|error| format!("line {}: {error}", n + 1));
    text.lines().enumerate().map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_law_is_kept_and_a_file_gives_it_back() {
        let law =
            Law { keys: 1_000, theta: 1.0, drift: 100, scan: 20, scan_len: 50, requests: 100_000, seed: 3 };
        let trace = law.draw();
        let scanned = trace.iter().filter(|key| **key >= 1_000).count();
        assert!((17_000..=20_100).contains(&scanned), "{scanned}");
        assert_eq!(read(&print(&trace)), Ok(trace));
        assert!(read("1\nx").is_err_and(|error| error.starts_with("line 2")));
    }
}
