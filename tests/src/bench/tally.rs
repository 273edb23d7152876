//! What was counted of replies: right, missing, errors, wrong. It does not know how it was found out.

use serde::Serialize;

/// How many errors and wrong replies are kept as text.
const SAMPLES: usize = 3;

/// Counts of one run, or of a part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Requests sent.
    pub requests: u64,
    /// Replies that have come to their end.
    pub replies: u64,
    /// Values found.
    pub hits: u64,
    /// Keys that had no value.
    pub misses: u64,
    /// Replies that are errors.
    pub errors: u64,
    /// Replies that no server may give: another value, another type, more replies than requests.
    pub wrong: u64,
    /// Requests that were never answered.
    pub unanswered: u64,
    /// Requests of an open loop that were due and could not be sent before the end.
    pub unsent: u64,
    /// Connections that the server has closed.
    pub closed: u64,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// The first errors.
    pub error_samples: Vec<String>,
    /// The first wrong replies.
    pub wrong_samples: Vec<String>,
}

impl Tally {
    /// An error was answered.
    pub fn error(&mut self, text: &[u8]) {
        self.errors += 1;
        keep(&mut self.error_samples, || text.escape_ascii().to_string());
    }

    /// Something wrong was answered.
    pub fn wrong(&mut self, text: impl FnOnce() -> String) {
        self.wrong += 1;
        keep(&mut self.wrong_samples, text);
    }

    /// Adds another's counts.
    pub fn add(&mut self, other: &Tally) {
        let pairs = [
            (&mut self.requests, other.requests),
            (&mut self.replies, other.replies),
            (&mut self.hits, other.hits),
            (&mut self.misses, other.misses),
            (&mut self.errors, other.errors),
            (&mut self.wrong, other.wrong),
            (&mut self.unanswered, other.unanswered),
            (&mut self.unsent, other.unsent),
            (&mut self.closed, other.closed),
            (&mut self.bytes_sent, other.bytes_sent),
            (&mut self.bytes_received, other.bytes_received),
        ];
        pairs.into_iter().for_each(|(sum, more)| *sum += more);
        other.error_samples.iter().for_each(|text| keep(&mut self.error_samples, || text.clone()));
        other.wrong_samples.iter().for_each(|text| keep(&mut self.wrong_samples, || text.clone()));
    }

    /// What is not as it must be, in words; none if all is well.
    pub fn complaint(&self, allow_errors: bool) -> Option<String> {
        let mut complaints = Vec::new();
        let mut complain = |count: u64, what: &str, samples: &[String]| {
            if count > 0 {
                let samples =
                    if samples.is_empty() { String::new() } else { format!(": {}", samples.join("; ")) };
                complaints.push(format!("{count} {what}{samples}"));
            }
        };
        complain(self.wrong, "wrong replies", &self.wrong_samples);
        if !allow_errors {
            complain(self.errors, "errors", &self.error_samples);
        }
        complain(self.unanswered, "requests without a reply", &[]);
        complain(self.closed, "connections closed by the server", &[]);
        (!complaints.is_empty()).then(|| complaints.join("\n"))
    }
}

fn keep(samples: &mut Vec<String>, text: impl FnOnce() -> String) {
    if samples.len() < SAMPLES {
        let mut text = text();
        if text.len() > 200 {
            text = text.chars().take(200).chain("...".chars()).collect();
        }
        if !samples.contains(&text) {
            samples.push(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tallies_add_up_and_complain() {
        let mut tally = Tally { requests: 2, replies: 2, ..Tally::default() };
        assert_eq!(tally.complaint(false), None);
        let mut other = Tally { requests: 3, ..Tally::default() };
        (0..5).for_each(|_| other.error(b"ERR no"));
        tally.add(&other);
        assert_eq!((tally.requests, tally.errors), (5, 5));
        assert_eq!(tally.complaint(false).as_deref(), Some("5 errors: ERR no"));
        assert_eq!(tally.complaint(true), None);
        for n in 0..5 {
            tally.wrong(|| format!("{n}"));
        }
        tally.unanswered = 1;
        assert_eq!(
            tally.complaint(true).as_deref(),
            Some("5 wrong replies: 0; 1; 2\n1 requests without a reply")
        );
    }
}
