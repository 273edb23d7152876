//! Numbers in requests and in values, as memcached reads them: like C's `strtoul` and its relatives, in decimal.
//!
//! Space may stand before a number, and a sign; behind it a word must end. It does not know what a number means.

/// The number's sign and size, and how many bytes it and what stands before it take. `None`: there is no number, or it has more than 64 bits.
fn read(text: &[u8]) -> Option<(bool, u64, usize)> {
    let mut at = text.iter().take_while(|byte| is_space(**byte)).count();
    let is_negative = text.get(at) == Some(&b'-');
    at += usize::from(matches!(text.get(at), Some(b'-' | b'+')));
    let first = at;
    let mut size: u64 = 0;
    while let Some(digit) = text.get(at).filter(|byte| byte.is_ascii_digit()) {
        size = size.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
        at += 1;
    }
    (at > first).then_some((is_negative, size, at))
}

fn is_space(byte: u8) -> bool {
    byte == b' ' || (b'\t'..=b'\r').contains(&byte)
}

/// A word that is a number below 2^64.
#[inline]
pub fn unsigned(word: &[u8]) -> Option<u64> {
    // Nearly all are a few digits.
    if word.len() <= 18 && !word.is_empty() && word.iter().all(u8::is_ascii_digit) {
        return Some(word.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')));
    }
    let (is_negative, size, end) = read(word)?;
    (end == word.len() && !(is_negative && size > 0)).then_some(size)
}

/// The same in 32 bits: of a larger number its lowest, as in memcached.
#[inline]
pub fn unsigned_32(word: &[u8]) -> Option<u32> {
    unsigned(word).map(|number| number as u32)
}

/// A word that is a number with or without a sign, the lowest 32 bits of it, as in memcached.
#[inline]
pub fn signed_32(word: &[u8]) -> Option<i32> {
    if let Some(number) = unsigned(word) {
        return i64::try_from(number).ok().map(|number| number as i32);
    }
    let (is_negative, size, end) = read(word)?;
    let size = i64::try_from(size).ok()?;
    (end == word.len()).then_some(if is_negative { -size } else { size } as i32)
}

/// The number that a value is, or begins with: spaces may follow, which a number that became shorter leaves.
pub fn of_value(value: &[u8]) -> Option<u64> {
    let (is_negative, size, end) = read(value)?;
    let ends = value.get(end).is_none_or(|byte| is_space(*byte));
    (ends && !(is_negative && size > 0)).then_some(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_numbers_as_c_reads_them() {
        for (word, expected) in [
            ("0", Some(0)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("+5", Some(5)),
            ("-0", Some(0)),
            ("-1", None),
            ("", None),
            ("x", None),
            ("5x", None),
            ("007", Some(7)),
        ] {
            assert_eq!(unsigned(word.as_bytes()), expected, "{word}");
        }
        for (word, expected) in [
            ("-1", Some(-1)),
            ("2147483648", Some(i32::MIN)),
            ("4294967297", Some(1)),
            ("9223372036854775808", None),
            ("1.5", None),
            ("-", None),
        ] {
            assert_eq!(signed_32(word.as_bytes()), expected, "{word}");
        }
        assert_eq!(unsigned_32(b"4294967296"), Some(0));
    }

    #[test]
    fn a_value_may_have_spaces_behind_its_number() {
        for (value, expected) in
            [("9 ", Some(9)), ("10", Some(10)), ("1a", None), ("", None), (" 3", Some(3)), ("-4", None)]
        {
            assert_eq!(of_value(value.as_bytes()), expected, "{value}");
        }
    }
}
