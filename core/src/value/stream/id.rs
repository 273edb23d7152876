//! The id of an entry: a moment in milliseconds and a number within it. Ids are ordered, and printed as `ms-seq`.

/// Names an entry of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Unix milliseconds, or whatever the client counts.
    pub ms: u64,
    /// Which one of that millisecond.
    pub seq: u64,
}

/// The longest text of an id.
const TEXT_MAX: usize = 41;

impl StreamId {
    /// Below every entry.
    pub const MIN: StreamId = StreamId { ms: 0, seq: 0 };
    /// Nothing comes behind it.
    pub const MAX: StreamId = StreamId { ms: u64::MAX, seq: u64::MAX };

    /// The id behind this one; `None` behind the last.
    pub fn next(self) -> Option<StreamId> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(StreamId { ms: self.ms, seq }),
            None => self.ms.checked_add(1).map(|ms| StreamId { ms, seq: 0 }),
        }
    }

    /// The id before this one; `None` before the first.
    pub fn previous(self) -> Option<StreamId> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(StreamId { ms: self.ms, seq }),
            None => self.ms.checked_sub(1).map(|ms| StreamId { ms, seq: u64::MAX }),
        }
    }

    /// Calls `use_it` with `ms-seq`.
    pub fn with_text<R>(self, use_it: impl FnOnce(&[u8]) -> R) -> R {
        let mut text = [0; TEXT_MAX];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            text[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(itoa::Buffer::new().format(self.ms).as_bytes());
        put(b"-");
        put(itoa::Buffer::new().format(self.seq).as_bytes());
        use_it(&text[..at])
    }

    /// `ms` or `ms-seq`, the former with `seq` as its number; `None` if it is no id.
    pub fn parse(word: &[u8], seq: u64) -> Option<StreamId> {
        let (ms, seq) = match memchr::memchr(b'-', word) {
            Some(bar) => (&word[..bar], unsigned(&word[bar + 1..])?),
            None => (word, seq),
        };
        Some(StreamId { ms: unsigned(ms)?, seq })
    }
}

impl std::fmt::Display for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// The longest half of an id that is read, zeros at its beginning included.
const HALF_MAX: usize = 127;

/// A whole number of 64 bits without a minus; as in Redis, zeros and a plus may stand before it.
pub fn unsigned(word: &[u8]) -> Option<u64> {
    let digits = word.strip_prefix(b"+").unwrap_or(word);
    if digits.is_empty() || digits.len() > HALF_MAX {
        return None;
    }
    digits.iter().try_fold(0u64, |number, &byte| {
        let digit = byte.is_ascii_digit().then_some(u64::from(byte.wrapping_sub(b'0')))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        for (word, id) in [
            ("0-0", Some((0, 0))),
            ("5", Some((5, 7))),
            ("5-6", Some((5, 6))),
            ("18446744073709551615-18446744073709551615", Some((u64::MAX, u64::MAX))),
            ("18446744073709551616-0", None),
            ("", None),
            ("-", None),
            ("1-", None),
            ("-1", None),
            ("1-2-3", None),
            ("+1", Some((1, 7))),
            ("007-1x", None),
            ("x", None),
        ] {
            let parsed = StreamId::parse(word.as_bytes(), 7);
            assert_eq!(parsed, id.map(|(ms, seq)| StreamId { ms, seq }), "{word}");
            if let Some(id) = parsed.filter(|_| word.contains('-')) {
                assert_eq!(id.to_string(), word);
                id.with_text(|text| assert_eq!(text, word.as_bytes()));
            }
        }
    }

    #[test]
    fn neighbours_are_neighbours() {
        let id = |ms, seq| StreamId { ms, seq };
        for (one, other) in [(id(1, 1), id(1, 2)), (id(1, u64::MAX), id(2, 0))] {
            assert_eq!((one.next(), other.previous()), (Some(other), Some(one)));
        }
        assert_eq!((StreamId::MIN.previous(), StreamId::MAX.next()), (None, None));
    }
}
