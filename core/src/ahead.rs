//! Requests of one client that are understood before the first of them runs, so that the memory that they will look at is on its way.
//!
//! A store much larger than the caches waits longer for memory than it computes. Of a pipeline the keys are known early: while one request
//! runs, the buckets and records of the next come closer. It knows requests and hashes. It does not know commands: that a first argument
//! is a key is a guess, and a wrong guess costs a little time and nothing else.

use crate::args::{Args, Span};
use crate::database::Database;
use crate::hash::{KeyHash, KeyHasher};
use crate::mutant::planted;
use crate::protocol::request::{RequestLimits, parse_whole};

/// Requests that are understood ahead: about as many as a core has loads under way.
pub(crate) const AHEAD_MAX: usize = 16;

/// A request that is understood and did not run yet.
#[derive(Clone, Copy, Debug)]
struct Understood {
    /// Where it ends among the bytes.
    end: usize,
    /// Where its arguments end among the spans.
    spans_end: usize,
    /// Of its first argument.
    hash: Option<KeyHash>,
}

/// Requests that are understood, in the order in which they were sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ahead {
    spans: Vec<Span>,
    requests: Vec<Understood>,
    /// The next to run.
    next: usize,
}

/// The request that is to run now.
pub(crate) struct Next<'a> {
    pub(crate) args: Args<'a>,
    /// Where it ends among the bytes.
    pub(crate) end: usize,
    /// Of its first argument.
    pub(crate) hash: Option<KeyHash>,
}

impl Ahead {
    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.spans.clear();
        self.requests.clear();
        self.next = 0;
    }

    /// Understands what begins at `start`, as far as it is ordinary and whole. Its database is this; only keys that are its own's are looked for.
    pub(crate) fn look(
        &mut self,
        bytes: &[u8],
        start: usize,
        limits: &RequestLimits,
        hasher: &KeyHasher,
        is_own: impl Fn(KeyHash) -> bool,
        database: Option<&Database>,
    ) {
        self.clear();
        let mut at = start;
        while self.requests.len() < AHEAD_MAX
            && let Some(end) = parse_whole(bytes, at, limits, &mut self.spans)
        {
            self.requests.push(Understood { end, spans_end: self.spans.len(), hash: None });
            at = end;
        }
        let (Some(database), true) = (database, self.requests.len() > 1) else { return };
        let mut first = 0;
        for request in &mut self.requests {
            if request.spans_end > first + 1 {
                let hash = hasher.hash(Args::new(bytes, &self.spans).at(first + 1));
                if is_own(hash) {
                    database.prefetch(hash);
                }
                request.hash = Some(hash);
            }
            first = request.spans_end;
        }
        // The buckets are here or nearly so, and name the records.
        let hashes = self.requests.iter().filter_map(|request| request.hash);
        hashes.filter(|hash| is_own(*hash)).for_each(|hash| database.prefetch_record(hash));
    }

    /// True if all have run.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.next == self.requests.len()
    }

    /// The next of what was understood in these bytes.
    #[inline]
    pub(crate) fn next<'a>(&'a mut self, bytes: &'a [u8]) -> Option<Next<'a>> {
        let request = *self.requests.get(self.next)?;
        let first = self.next.checked_sub(1).map_or(0, |before| self.requests[before].spans_end);
        self.next += 1;
        let args = Args::new(bytes, &self.spans[first..request.spans_end]);
        let is_mistaken = planted("a key is looked for where that of the first request ahead lies");
        let hash = if is_mistaken { self.requests[0].hash } else { request.hash };
        Some(Next { args, end: request.end, hash })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_come_out_as_they_were_sent_until_one_is_not_whole() {
        let hasher = KeyHasher::new([1, 2, 3, 4]);
        let database = Database::new(hasher.clone());
        let limits = RequestLimits { bulk_max: 1_000, authenticated: true };
        let text = b"xx*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*2\r\n$3\r\nGE";
        let mut ahead = Ahead::default();
        ahead.look(text, 2, &limits, &hasher, |_| true, Some(&database));
        let words = |next: Next<'_>| -> Vec<String> {
            next.args.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect()
        };
        let first = ahead.next(text).unwrap();
        assert_eq!((first.end, first.hash), (16, None));
        assert_eq!(words(first), ["PING"]);
        let second = ahead.next(text).unwrap();
        assert_eq!((second.end, second.hash), (36, Some(hasher.hash(b"k"))));
        assert_eq!(words(second), ["GET", "k"]);
        assert!(ahead.next(text).is_none());
        ahead.look(text, 36, &limits, &hasher, |_| true, Some(&database));
        assert!(ahead.next(text).is_none(), "the rest is for the careful parser");
    }
}
