//! What a client may hear: mostly one reply, sometimes one of several.

use crate::decoder::Reply;

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
}

impl Answer {
    /// Whether a reply is such a one.
    pub fn fits(&self, reply: &Reply) -> bool {
        match (self, reply) {
            (Answer::Exactly(expected), _) => reply == expected,
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
            (Answer::OneOf(choices), _) => choices.contains(reply),
            (Answer::Each(answers), Reply::Array(elements)) => {
                answers.len() == elements.len()
                    && answers.iter().zip(elements).all(|(answer, element)| answer.fits(element))
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
