//! What a client may hear: mostly one reply, sometimes one of several.

use super::{Value, dumps};
use crate::decoder::Reply;

/// What who asks for MIGRATE hears of a server that says nothing.
pub const NOT_ANSWERED: &str = "IOERR error or timeout reading to target instance";
const NOT_WRITTEN: &str = "IOERR error or timeout writing to target instance";
/// What they hear of it, in some words or others, if they have little time.
pub const TIMED_OUT: &str = "IOERR error or timeout";
/// What they hear of one that does not take their call.
pub const NOT_CONNECTED: &str = "IOERR error or timeout connecting to the client";

/// What a reply must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Exactly this.
    Exactly(Reply),
    /// An array of these in any order.
    Unordered(Vec<Reply>),
    /// A map of these in any order, or an array of keys and values by turns.
    Pairs(Vec<(Reply, Reply)>),
    /// A number in this range, both ends included.
    Between(i64, i64),
    /// One of these.
    OneOf(Vec<Reply>),
    /// An array of answers, one for each element.
    Each(Vec<Answer>),
    /// This value as DUMP writes it; of a hash, fields that end by this instant may be in it or not.
    Dumped(Value, u64),
    /// This, but where it has a big number, which is a state, it must have a stamp that names that state.
    Stamped(Reply),
}

impl Answer {
    /// Whether a reply is such a one.
    pub fn fits(&self, reply: &Reply) -> bool {
        match (self, reply) {
            // A core that stood still may find the time over before it learns that all was written,
            (Answer::Exactly(Reply::Error(expected)), Reply::Error(found)) if expected == NOT_ANSWERED => {
                found == NOT_ANSWERED || found == NOT_WRITTEN
            }
            // and a short time before it learns that it is connected.
            (Answer::Exactly(Reply::Error(expected)), Reply::Error(found)) if expected == TIMED_OUT => {
                [NOT_ANSWERED, NOT_WRITTEN, NOT_CONNECTED].contains(&found.as_str())
            }
            (Answer::Exactly(expected), _) => is_alike(expected, reply),
            (Answer::Pairs(expected), Reply::Array(elements) | Reply::Map(elements)) => {
                let mut expected: Vec<Vec<Reply>> =
                    expected.iter().map(|(key, value)| vec![key.clone(), value.clone()]).collect();
                let mut found: Vec<Vec<Reply>> = elements.chunks(2).map(<[Reply]>::to_vec).collect();
                expected.sort();
                found.sort();
                expected == found
            }
            (Answer::Unordered(expected), Reply::Array(elements) | Reply::Set(elements)) => {
                let sorted = |list: &[Reply]| {
                    let mut list = list.to_vec();
                    list.sort();
                    list
                };
                sorted(elements) == sorted(expected)
            }
            (Answer::Between(low, high), Reply::Integer(number)) => (low..=high).contains(&number),
            (Answer::Dumped(value, clock), Reply::Bulk(payload)) => dumps::is_dump_of(payload, value, *clock),
            (Answer::Stamped(expected), _) => is_alike_but_for_stamps(expected, reply),
            (Answer::OneOf(choices), _) => choices.iter().any(|choice| is_alike(choice, reply)),
            (Answer::Each(answers), Reply::Array(elements)) => {
                answers.len() == elements.len()
                    && answers.iter().zip(elements).all(|(answer, element)| answer.fits(element))
            }
            _ => false,
        }
    }
}

fn is_alike_but_for_stamps(expected: &Reply, reply: &Reply) -> bool {
    match (expected, reply) {
        (Reply::BigNumber(_), Reply::BigNumber(_)) => true,
        (Reply::Array(expected), Reply::Array(found)) | (Reply::Push(expected), Reply::Push(found)) => {
            let mut both = expected.iter().zip(found);
            expected.len() == found.len() && both.all(|(one, other)| is_alike_but_for_stamps(one, other))
        }
        _ => expected == reply,
    }
}

/// Whether a reply says what is expected in either version of the protocol: a double may be a bulk; a map, pairs one behind the other or in
/// arrays of two; a set, pairs one behind the other, in any order.
fn is_alike(expected: &Reply, reply: &Reply) -> bool {
    let all = |expected: &[Reply], found: &[Reply]| {
        expected.len() == found.len() && expected.iter().zip(found).all(|(one, other)| is_alike(one, other))
    };
    match (expected, reply) {
        (Reply::Double(text), Reply::Bulk(bytes)) => text.as_bytes() == bytes,
        (Reply::Array(expected), Reply::Array(found)) => all(expected, found),
        (Reply::Map(expected), Reply::Array(found)) => {
            let pairs = expected.chunks(2).zip(found);
            let is_nested = |(pair, found): (&[Reply], &Reply)| match found {
                Reply::Array(found) => all(pair, found),
                _ => false,
            };
            all(expected, found) || expected.len() == 2 * found.len() && { pairs }.all(is_nested)
        }
        (Reply::Set(expected), Reply::Array(found)) => {
            let sorted = |list: &[Reply]| {
                let mut pairs: Vec<Vec<Reply>> = list.chunks(2).map(<[Reply]>::to_vec).collect();
                pairs.sort();
                pairs
            };
            sorted(expected) == sorted(found)
        }
        _ => expected == reply,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_and_pairs_fit_in_either_version() {
        let bulk = |text: &str| Reply::bulk(text.as_bytes());
        let double = |text: &str| Reply::Double(text.into());
        let pairs = Answer::Exactly(Reply::Map(vec![bulk("a"), double("1"), bulk("b"), double("2")]));
        let flat = |last: &str| Reply::Array(vec![bulk("a"), bulk("1"), bulk("b"), bulk(last)]);
        let nested = |last: &str| {
            Reply::Array(vec![
                Reply::Array(vec![bulk("a"), double("1")]),
                Reply::Array(vec![bulk("b"), double(last)]),
            ])
        };
        assert!(pairs.fits(&flat("2")) && pairs.fits(&nested("2")));
        assert!(
            !pairs.fits(&flat("3")) && !pairs.fits(&nested("3")) && !pairs.fits(&Reply::Array(Vec::new()))
        );
        let any = Answer::Exactly(Reply::Set(vec![bulk("a"), bulk("1"), bulk("b"), bulk("2")]));
        assert!(any.fits(&Reply::Array(vec![bulk("b"), bulk("2"), bulk("a"), bulk("1")])));
        assert!(!any.fits(&Reply::Array(vec![bulk("b"), bulk("1"), bulk("a"), bulk("2")])));
    }

    #[test]
    fn an_answer_fits_what_it_says() {
        let numbers = |list: &[i64]| list.iter().map(|n| Reply::Integer(*n)).collect::<Vec<_>>();
        let array = |list: &[i64]| Reply::Array(numbers(list));
        assert!(Answer::Unordered(numbers(&[1, 2])).fits(&array(&[2, 1])));
        assert!(!Answer::Unordered(numbers(&[1, 2])).fits(&array(&[1, 1])));
        assert!(Answer::Between(1, 2).fits(&Reply::Integer(2)));
        assert!(!Answer::Between(1, 2).fits(&Reply::Integer(3)));
        assert!(Answer::OneOf(numbers(&[1, 2])).fits(&Reply::Integer(1)));
        assert!(!Answer::OneOf(numbers(&[1, 2])).fits(&Reply::Null));
        let each = Answer::Each(vec![Answer::Between(0, 1), Answer::Exactly(Reply::Integer(7))]);
        assert!(each.fits(&array(&[1, 7])));
        assert!(!each.fits(&array(&[1])) && !each.fits(&array(&[1, 8])) && !each.fits(&Reply::Null));
    }
}
