//! A small sorted set: member after member, each with its score, in order, in one pack.
//!
//! A score that is a whole number lies there as one; any other as a mark and its eight bytes. It knows pairs in a pack. It does not know
//! how many a pack may have.

use std::cmp::Ordering;

use super::tree::compare;
use crate::value::element::Element;
use crate::value::pack::{Pack, Side};

/// Whole numbers up to here are doubles.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
/// No text of a number begins with it.
const MARK: u8 = b'x';

/// Pairs of a member and its score.
#[derive(Clone, Default)]
pub(super) struct Packed {
    pack: Pack,
}

/// Calls `use_it` with a score as it lies in a pack.
fn with_score<R>(score: f64, use_it: impl FnOnce(&[u8]) -> R) -> R {
    let is_whole =
        score.fract() == 0.0 && score.abs() <= WHOLE_MAX && !(score == 0.0 && score.is_sign_negative());
    if is_whole {
        return use_it(itoa::Buffer::new().format(score as i64).as_bytes());
    }
    let mut bytes = [MARK; 9];
    bytes[1..].copy_from_slice(&score.to_bits().to_le_bytes());
    use_it(&bytes)
}

#[inline]
fn score_of(element: Element<'_>) -> f64 {
    match element {
        Element::Integer(number) => number as f64,
        Element::Bytes(bytes) => {
            let bits = bytes.get(1..9).and_then(|bits| bits.try_into().ok());
            f64::from_bits(u64::from_le_bytes(bits.expect("a score has a mark and eight bytes")))
        }
    }
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
        self.pack.len() / 2
    }

    /// Bytes of the pairs.
    pub(super) fn used(&self) -> usize {
        self.pack.used()
    }

    #[inline]
    pub(super) fn owned_bytes(&self) -> usize {
        self.pack.owned_bytes()
    }

    #[inline]
    fn pair(&self, at: usize) -> Option<Pair<'_>> {
        let (member, score, next) = self.pack.pair_at(at)?;
        Some(Pair { member, score: score_of(score), at, next })
    }

    /// The pair of a member, and how many stand before it.
    pub(super) fn find(&self, member: &[u8]) -> Option<(usize, Pair<'_>)> {
        let (rank, at) = self.pack.find_pair(member)?;
        self.pair(at).map(|pair| (rank, pair))
    }

    /// Adds a member that is not there.
    pub(super) fn insert(&mut self, member: &[u8], score: f64) {
        let mut at = 0;
        // Most come at the end.
        let last = self.pack.before(self.pack.used()).and_then(|middle| self.pack.before(middle));
        let is_last =
            last.and_then(|last| self.pair(last)).is_some_and(|pair| is_before(&pair, score, member));
        if is_last {
            at = self.pack.used();
        } else {
            while let Some(pair) = self.pair(at).filter(|pair| is_before(pair, score, member)) {
                at = pair.next;
            }
        }
        if at == self.pack.used() {
            self.pack.push(Side::Right, member);
            return with_score(score, |text| self.pack.push(Side::Right, text));
        }
        with_score(score, |text| self.pack.insert(at, text));
        self.pack.insert(at, member);
    }

    /// Removes a member and gives its score.
    pub(super) fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let (at, next, score) = self.find(member).map(|(_, pair)| (pair.at, pair.next, pair.score))?;
        self.pack.remove(at, next, 2);
        Some(score)
    }

    /// Removes the members of these ranks.
    pub(super) fn remove_range(&mut self, from: usize, to: usize) {
        let (start, end) = (self.pack.offset(2 * from), self.pack.offset(2 * to));
        self.pack.remove(start, end, 2 * (to - from));
    }

    /// How many pairs, from the first on, `is_before` says yes to: it says no to all that follow.
    pub(super) fn partition(&self, is_before: impl Fn(f64, Element<'_>) -> bool) -> usize {
        let (mut at, mut count) = (0, 0);
        while let Some(pair) = self.pair(at).filter(|pair| is_before(pair.score, pair.member)) {
            (at, count) = (pair.next, count + 1);
        }
        count
    }

    /// Where the walk from a rank begins.
    pub(super) fn offset(&self, rank: usize) -> usize {
        self.pack.offset(2 * rank)
    }

    /// The pair at an offset, and where the next begins.
    #[inline]
    pub(super) fn next(&self, at: usize) -> Option<((Element<'_>, f64), usize)> {
        self.pair(at).map(|pair| ((pair.member, pair.score), pair.next))
    }

    /// The pair that ends at an offset, and where it begins.
    #[inline]
    pub(super) fn back(&self, end: usize) -> Option<((Element<'_>, f64), usize)> {
        let at = self.pack.before(self.pack.before(end)?)?;
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
        assert_eq!(packed.used(), 10 * (9 + 2 + 2));
    }
}
