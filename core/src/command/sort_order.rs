//! SORT: what its options say, how elements are ordered, and which keys a pattern means.
//!
//! It knows words and bytes. It looks at no key: whoever does tells it the weights.

use std::cmp::Ordering;

use super::parse::integer;
use crate::args::Args;
use crate::protocol::reply::Failure;
use crate::protocol::request::parse_integer;

/// What a call says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sorting<'a> {
    descending: bool,
    alpha: bool,
    /// How many are left out, and how many follow; fewer than none: all.
    limit: Option<(i64, i64)>,
    by: Option<&'a [u8]>,
    /// Patterns of what is told of each element, in their order; none: the element itself.
    pub(super) gets: Vec<&'a [u8]>,
    /// Where the key stands under which the result is stored.
    pub(super) store: Option<usize>,
}

/// The types whose elements are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// In an order of its own, as a list has.
    Ordered,
    /// Without one.
    Unordered,
}

impl<'a> Sorting<'a> {
    /// Reads the options behind the key.
    pub(super) fn parse(args: Args<'a>, may_store: bool) -> Result<Sorting<'a>, Failure> {
        let mut sorting =
            Sorting { descending: false, alpha: false, limit: None, by: None, gets: Vec::new(), store: None };
        let mut n = 2;
        while n < args.len() {
            let rest = args.len() - n - 1;
            if args.is(n, "asc") {
                sorting.descending = false;
            } else if args.is(n, "desc") {
                sorting.descending = true;
            } else if args.is(n, "alpha") {
                sorting.alpha = true;
            } else if args.is(n, "limit") && rest >= 2 {
                sorting.limit = Some((integer(args.at(n + 1))?, integer(args.at(n + 2))?));
                n += 2;
            } else if args.is(n, "store") && rest >= 1 && may_store {
                sorting.store = Some(n + 1);
                n += 1;
            } else if args.is(n, "by") && rest >= 1 {
                sorting.by = Some(args.at(n + 1));
                n += 1;
            } else if args.is(n, "get") && rest >= 1 {
                sorting.gets.push(args.at(n + 1));
                n += 1;
            } else {
                return Err(Failure::SYNTAX);
            }
            n += 1;
        }
        Ok(sorting)
    }

    /// The pattern of the weights, if there are any.
    pub(super) fn weights(&self) -> Option<&'a [u8]> {
        self.by.filter(|pattern| is_pattern(pattern))
    }

    /// The patterns of what is told for which other keys are looked at.
    pub(super) fn patterns(&self) -> impl Iterator<Item = &'a [u8]> {
        self.gets.iter().copied().filter(|pattern| is_pattern(pattern))
    }

    /// True if keys are looked at that are found in the data.
    pub(super) fn looks_elsewhere(&self) -> bool {
        self.weights().is_some() || self.patterns().next().is_some()
    }

    /// What has no order of its own is stored in one all the same, so that everybody who does the same has the same.
    fn is_forced(&self, kind: Kind) -> bool {
        kind == Kind::Unordered && self.store.is_some() && self.by.is_some() && self.weights().is_none()
    }

    /// False if elements stay in the order of the value: BY something that is no pattern.
    pub(super) fn sorts(&self, kind: Kind) -> bool {
        self.by.is_none() || self.weights().is_some() || self.is_forced(kind)
    }

    /// True if an order that the value has itself is turned, where a type is read that way.
    pub(super) fn is_descending(&self) -> bool {
        self.descending
    }

    /// Which of `len` elements are wanted: from the first of these up to the second, which is not.
    pub(super) fn range(&self, len: usize) -> (usize, usize) {
        let Some((skipped, count)) = self.limit else { return (0, len) };
        let start = usize::try_from(skipped).unwrap_or(0).min(len);
        let count = usize::try_from(count).unwrap_or(len);
        (start, start.saturating_add(count).min(len))
    }

    /// Puts those elements in order that are wanted, given the weights of all where there is a pattern for these.
    pub(super) fn sort(
        &self,
        elements: &mut Vec<&[u8]>,
        kind: Kind,
        weights: Option<&[Option<&[u8]>]>,
    ) -> Result<(), Failure> {
        let is_forced = self.is_forced(kind);
        let weight = |n: usize, element| match weights {
            Some(weights) => weights[n],
            None => Some(element),
        };
        if self.alpha || is_forced {
            let mut keyed: Vec<(Option<&[u8]>, &[u8])> =
                elements.iter().enumerate().map(|(n, element)| (weight(n, *element), *element)).collect();
            if kind == Kind::Unordered {
                // Equal weights leave an order that does not depend on chance.
                keyed.sort_unstable_by_key(|(_, element)| *element);
            }
            keyed.sort_by(|(one, _), (other, _)| turned(one.cmp(other), self.descending));
            let (from, to) = self.range(keyed.len());
            *elements = keyed[from..to].iter().map(|(_, element)| *element).collect();
            return Ok(());
        }
        let mut keyed: Vec<(f64, &[u8])> = Vec::with_capacity(elements.len());
        for (n, element) in elements.iter().enumerate() {
            // What has no weight weighs nothing.
            let number = weight(n, *element).map_or(Some(0.0), number);
            let number =
                number.ok_or(Failure::new("ERR One or more scores can't be converted into double"))?;
            keyed.push((number, element));
        }
        // Elements that are equal are the same: there is nothing to be kept in its order.
        let order = |(one, a): &(f64, &[u8]), (other, b): &(f64, &[u8])| {
            let order = one.partial_cmp(other).unwrap_or(Ordering::Equal);
            turned(order.then_with(|| a.cmp(b)), self.descending)
        };
        let (from, to) = self.range(keyed.len());
        if to < keyed.len() {
            keyed.select_nth_unstable_by(to, order);
            keyed.truncate(to);
        }
        keyed.sort_unstable_by(order);
        *elements = keyed[from..].iter().map(|(_, element)| *element).collect();
        Ok(())
    }
}

fn turned(order: Ordering, is_descending: bool) -> Ordering {
    if is_descending { order.reverse() } else { order }
}

/// A number as C's `strtod` reads it, which is more than other commands take: spaces before it, and nothing is 0. Hexadecimal ones are not
/// read.
fn number(text: &[u8]) -> Option<f64> {
    if let Some(whole) = parse_integer(text) {
        return Some(whole as f64);
    }
    let text = &text[..memchr::memchr(0, text).unwrap_or(text.len())];
    if text.is_empty() {
        return Some(0.0);
    }
    let is_space = |byte: &&u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let spaces = text.iter().take_while(is_space).count();
    let digits = std::str::from_utf8(&text[spaces..]).ok()?;
    let value: f64 = digits.parse().ok().filter(|value: &f64| !value.is_nan())?;
    let is_word = digits.bytes().any(|byte| byte.eq_ignore_ascii_case(&b'n'));
    let mantissa = digits.split(['e', 'E']).next().unwrap_or_default();
    let is_nothing = !mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    let is_out_of_range = value.is_infinite() && !is_word || value == 0.0 && !is_nothing;
    (!is_out_of_range).then_some(value)
}

/// True if the element is put into it somewhere.
pub(super) fn is_pattern(pattern: &[u8]) -> bool {
    memchr::memchr(b'*', pattern).is_some()
}

/// Which key a pattern means for an element, and which field if it means one of a hash: `prefix*suffix->field`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pattern<'a> {
    prefix: &'a [u8],
    suffix: &'a [u8],
    /// Empty if the key is meant.
    pub(super) field: &'a [u8],
}

impl<'a> Pattern<'a> {
    /// `None` if there is no place for the element.
    pub(super) fn parse(pattern: &'a [u8]) -> Option<Pattern<'a>> {
        let star = memchr::memchr(b'*', pattern)?;
        let (prefix, behind) = (&pattern[..star], &pattern[star + 1..]);
        let arrow = memchr::memmem::find(behind, b"->").filter(|at| at + 2 < behind.len());
        let (suffix, field) = arrow.map_or((behind, &b""[..]), |at| (&behind[..at], &behind[at + 2..]));
        Some(Pattern { prefix, suffix, field })
    }

    /// Writes the key of an element.
    pub(super) fn key(&self, element: &[u8], key: &mut Vec<u8>) {
        key.clear();
        key.extend_from_slice(self.prefix);
        key.extend_from_slice(element);
        key.extend_from_slice(self.suffix);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_names_a_key_or_a_field() {
        let check = |text: &str, key: &str, field: &str| {
            let pattern = Pattern::parse(text.as_bytes()).expect("it is a pattern");
            let mut found = b"before".to_vec();
            pattern.key(b"7", &mut found);
            assert_eq!((&found[..], pattern.field), (key.as_bytes(), field.as_bytes()), "{text}");
        };
        check("w*", "w7", "");
        check("w*x*", "w7x*", "");
        check("w*->f", "w7", "f");
        check("w*_a->f->g", "w7_a", "f->g");
        check("w*->", "w7->", "");
        check("->*", "->7", "");
        assert_eq!(Pattern::parse(b"constant"), None);
    }

    #[test]
    fn numbers_are_read_as_c_does() {
        for (text, value) in [
            ("", Some(0.0)),
            (" 1.5", Some(1.5)),
            ("1.5 ", None),
            (" ", None),
            ("+2.", Some(2.0)),
            (".5e1", Some(5.0)),
            ("-inf", Some(f64::NEG_INFINITY)),
            ("nan", None),
            ("1e999", None),
            ("1e-999", None),
            ("0e-999", Some(0.0)),
            ("1\0x", Some(1.0)),
            ("abc", None),
        ] {
            assert_eq!(number(text.as_bytes()), value, "{text:?}");
        }
    }
}
