//! The pool: the best candidates of the last samples, so that few samples make a good choice, as in Redis.
//!
//! It knows scores and hashes. Whether a candidate is still there, and still as good, its user finds out.

use crate::hash::KeyHash;

/// Candidates that are kept; as many as in Redis.
pub const POOL_LEN: usize = 16;

/// A key that may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Candidate {
    /// The higher, the sooner it goes.
    pub score: u64,
    /// Its database.
    pub database: u16,
    /// Its hash.
    pub hash: KeyHash,
}

/// The candidates, the best one last.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    candidates: Vec<Candidate>,
}

impl Pool {
    /// Adds one, if it is among the best; a key that is here already gets its new score.
    #[inline]
    pub fn offer(&mut self, candidate: Candidate) {
        if self.candidates.len() == POOL_LEN && self.candidates[0].score >= candidate.score {
            return;
        }
        let same = |other: &Candidate| (other.hash, other.database) == (candidate.hash, candidate.database);
        match self.candidates.iter().position(same) {
            Some(at) => drop(self.candidates.remove(at)),
            None if self.candidates.len() == POOL_LEN => drop(self.candidates.remove(0)),
            None => {}
        }
        let at = self.candidates.partition_point(|other| other.score < candidate.score);
        self.candidates.insert(at, candidate);
    }

    /// True for a score that would get in.
    #[inline]
    pub fn would_take(&self, score: u64) -> bool {
        self.candidates.len() < POOL_LEN || self.candidates[0].score < score
    }

    /// Takes the best one.
    pub fn take(&mut self) -> Option<Candidate> {
        self.candidates.pop()
    }

    /// All of them, the best one first.
    pub fn best_first(&self) -> impl Iterator<Item = &Candidate> {
        self.candidates.iter().rev()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.candidates.len()
    }

    /// True without candidates.
    pub fn is_empty(&self) -> bool {
        self.candidates.is_empty()
    }

    /// Forgets all: their scores mean nothing under another policy.
    pub fn clear(&mut self) {
        self.candidates.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_best_of_each_key_are_kept_and_leave_in_order(offers in prop::collection::vec((0..50u64, 0..40u64), 0..80)) {
            let mut pool = Pool::default();
            let mut last = std::collections::BTreeMap::new();
            for (score, hash) in &offers {
                let takes = pool.would_take(*score);
                pool.offer(Candidate { score: *score, database: 0, hash: KeyHash(*hash) });
                if takes {
                    last.insert(*hash, *score);
                }
                prop_assert!(pool.len() <= POOL_LEN);
            }
            let mut before = u64::MAX;
            while let Some(candidate) = pool.take() {
                prop_assert!(candidate.score <= before);
                prop_assert_eq!(last.remove(&candidate.hash.0), Some(candidate.score), "once, with its last score");
                before = candidate.score;
            }
            prop_assert!(pool.is_empty());
        }
    }
}
