//! A small sorted set: member after member, each with its score, in order, in one pack.
//!
//! ```text
//! pair: member | score | tail      score: a whole number, or a mark and its eight bytes
//! ```
//!
//! Member and score are written as elements are, with one tail for both, which makes a pair one element of its pack. It knows pairs. It does
//! not know how many a pack may have.

use std::cmp::Ordering;

use smallvec::SmallVec;

use super::tree::compare;
use crate::value::element::{Element, Encoded, bare_len, first_bare, integer_head, tail_len, write_tail};
use crate::value::pack::Pack;

/// Whole numbers up to here are doubles.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
/// No element begins with it.
const MARK: u8 = 0xf5;

/// Pairs of a member and its score.
#[derive(Clone, Default)]
pub(super) struct Packed {
    pack: Pack,
}

/// A score as it lies in a pair.
enum Score {
    Whole(i64),
    Other(f64),
}

impl Score {
    fn of(score: f64) -> Score {
        let is_whole =
            score.fract() == 0.0 && score.abs() <= WHOLE_MAX && !(score == 0.0 && score.is_sign_negative());
        if is_whole { Score::Whole(score as i64) } else { Score::Other(score) }
    }

    /// Calls `use_it` with its bytes.
    fn with<R>(&self, use_it: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Score::Whole(number) => {
                let (head, len) = integer_head(*number);
                use_it(&head[..len])
            }
            Score::Other(score) => {
                let mut bytes = [MARK; 9];
                bytes[1..].copy_from_slice(&score.to_le_bytes());
                use_it(&bytes)
            }
        }
    }
}

/// The score at the beginning of `bytes`, and how many of them it takes.
#[inline]
fn first_score(bytes: &[u8]) -> (f64, usize) {
    if bytes[0] == MARK {
        let bits = bytes[1..].first_chunk().expect("a score has a mark and eight bytes");
        return (f64::from_le_bytes(*bits), 9);
    }
    match first_bare(bytes) {
        (Element::Integer(number), len) => (number as f64, len),
        (Element::Bytes(_), _) => unreachable!("a score without a mark is a whole number"),
    }
}

/// How many bytes the score at the beginning of `bytes` takes.
#[inline]
fn score_len(bytes: &[u8]) -> usize {
    if bytes[0] == MARK { 9 } else { bare_len(bytes) }
}

/// A pair, and where it lies.
pub(super) struct Pair<'a> {
    pub(super) member: Element<'a>,
    pub(super) score: f64,
    at: usize,
    next: usize,
}

impl Packed {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.pack.len()
    }

    /// Bytes of the pairs.
    pub(super) fn used(&self) -> usize {
        self.pack.used()
    }

    #[inline]
    pub(super) fn owned_bytes(&self) -> usize {
        self.pack.owned_bytes()
    }

    /// The pair that begins at an offset; `None` at the end.
    #[inline]
    fn pair(&self, at: usize) -> Option<Pair<'_>> {
        let rest = self.pack.rest(at);
        if rest.is_empty() {
            return None;
        }
        let (member, len) = first_bare(rest);
        let (score, more) = first_score(&rest[len..]);
        let bare = len + more;
        Some(Pair { member, score, at, next: at + bare + tail_len(bare) })
    }

    /// The pair of a member, and how many stand before it.
    pub(super) fn find(&self, member: &[u8]) -> Option<(usize, Pair<'_>)> {
        /// Most members are compared by as many bytes first, their last.
        const WORD: usize = 8;
        let encoded = Encoded::of(member);
        let len = encoded.bare_len();
        let mut written: SmallVec<[u8; 96]> = SmallVec::from_elem(0, len);
        encoded.write_bare(&mut written);
        let word = |bytes: &[u8]| bytes.last_chunk::<WORD>().map(|word| u64::from_le_bytes(*word));
        let last = word(&written);
        let pairs = self.pack.rest(0);
        let (mut at, mut rank) = (0, 0);
        while at < pairs.len() {
            let rest = &pairs[at..];
            if let Some(found) = rest.get(..len)
                && word(found) == last
                && *found == *written
            {
                return self.pair(at).map(|pair| (rank, pair));
            }
            let member = bare_len(rest);
            let bare = member + score_len(&rest[member..]);
            at += bare + tail_len(bare);
            rank += 1;
        }
        None
    }

    /// Adds a member that is not there.
    pub(super) fn insert(&mut self, member: &[u8], score: f64) {
        let mut at = 0;
        // Most come at the end.
        let last = self.pack.before(self.pack.used());
        let is_last =
            last.and_then(|last| self.pair(last)).is_some_and(|pair| is_before(&pair, score, member));
        if is_last {
            at = self.pack.used();
        } else {
            while let Some(pair) = self.pair(at).filter(|pair| is_before(pair, score, member)) {
                at = pair.next;
            }
        }
        let member = Encoded::of(member);
        Score::of(score).with(|score| {
            let bare = member.bare_len() + score.len();
            self.pack.insert_written(at, bare + tail_len(bare), |to| {
                let (first, rest) = to.split_at_mut(member.bare_len());
                let (second, tail) = rest.split_at_mut(score.len());
                member.write_bare(first);
                second.copy_from_slice(score);
                write_tail(bare, tail);
            });
        });
    }

    /// Removes a member and gives its score.
    pub(super) fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let (at, next, score) = self.find(member).map(|(_, pair)| (pair.at, pair.next, pair.score))?;
        self.pack.remove(at, next, 1);
        Some(score)
    }

    /// Removes the members of these ranks.
    pub(super) fn remove_range(&mut self, from: usize, to: usize) {
        let (start, end) = (self.offset(from), self.offset(to));
        self.pack.remove(start, end, to - from);
    }

    /// How many pairs, from the first on, `is_before` says yes to: it says no to all that follow.
    pub(super) fn partition(&self, is_before: impl Fn(f64, Element<'_>) -> bool) -> usize {
        let (mut at, mut count) = (0, 0);
        while let Some(pair) = self.pair(at).filter(|pair| is_before(pair.score, pair.member)) {
            (at, count) = (pair.next, count + 1);
        }
        count
    }

    /// Where the walk from a rank begins; the end for what is beyond it.
    pub(super) fn offset(&self, rank: usize) -> usize {
        let count = self.len();
        if rank >= count {
            return self.pack.used();
        }
        if rank <= count / 2 {
            return (0..rank).fold(0, |at, _| self.pair(at).map_or(at, |pair| pair.next));
        }
        (rank..count).fold(self.pack.used(), |at, _| self.pack.before(at).unwrap_or(0))
    }

    /// The pair at an offset, and where the next begins.
    #[inline]
    pub(super) fn next(&self, at: usize) -> Option<((Element<'_>, f64), usize)> {
        self.pair(at).map(|pair| ((pair.member, pair.score), pair.next))
    }

    /// The pair that ends at an offset, and where it begins.
    #[inline]
    pub(super) fn back(&self, end: usize) -> Option<((Element<'_>, f64), usize)> {
        let at = self.pack.before(end)?;
        self.pair(at).map(|pair| ((pair.member, pair.score), at))
    }
}

/// True if a pair stands before a place in the order.
fn is_before(pair: &Pair<'_>, score: f64, member: &[u8]) -> bool {
    if pair.score != score {
        return pair.score < score;
    }
    pair.member.with(|bytes| compare((pair.score, bytes), (score, member))) == Ordering::Less
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_score_comes_back() {
        let mut packed = Packed::default();
        let scores = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            0.1,
            1e300,
            -1e-300,
            f64::INFINITY,
            f64::NEG_INFINITY,
            WHOLE_MAX,
            1e16,
            12_345_678.5,
        ];
        for (n, score) in scores.into_iter().enumerate() {
            packed.insert(n.to_string().as_bytes(), score);
        }
        for (n, score) in scores.into_iter().enumerate() {
            let (_, pair) = packed.find(n.to_string().as_bytes()).expect("it is there");
            assert_eq!(pair.score.to_bits(), score.to_bits());
        }
        assert_eq!(packed.len(), scores.len());
    }

    #[test]
    fn whole_scores_take_few_bytes() {
        let mut packed = Packed::default();
        (0..10).for_each(|n| packed.insert(format!("member:{n:02}").as_bytes(), f64::from(n)));
        assert_eq!(packed.used(), 10 * (1 + 9 + 1 + 1));
    }

    #[test]
    fn pairs_of_all_lengths_are_walked_from_both_ends() {
        let mut packed = Packed::default();
        let lengths = [0, 1, 62, 63, 64, 123, 124, 125, 126, 127, 4_095, 4_096, 16_375, 16_390];
        let member = |len: usize| vec![b'm'; len];
        for (n, len) in lengths.into_iter().enumerate() {
            packed.insert(&member(len), if n % 2 == 0 { n as f64 } else { n as f64 + 0.5 });
        }
        let (mut at, mut forth) = (0, Vec::new());
        while let Some(((member, score), next)) = packed.next(at) {
            forth.push((member.to_vec().len(), score as usize));
            at = next;
        }
        let (mut end, mut back) = (at, Vec::new());
        while let Some(((member, score), at)) = packed.back(end) {
            back.push((member.to_vec().len(), score as usize));
            end = at;
        }
        back.reverse();
        assert_eq!(forth, back);
        assert_eq!(forth, lengths.into_iter().zip(0..).collect::<Vec<_>>());
        for (rank, len) in lengths.into_iter().enumerate() {
            assert_eq!(packed.find(&member(len)).map(|(rank, _)| rank), Some(rank));
            assert_eq!(
                packed.next(packed.offset(rank)).map(|((member, _), _)| member.to_vec().len()),
                Some(len)
            );
        }
        packed.remove_range(3, 9);
        assert_eq!((packed.len(), packed.find(&member(4_095)).map(|(rank, _)| rank)), (8, Some(4)));
    }
}
