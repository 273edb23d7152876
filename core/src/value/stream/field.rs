//! How the parts of an entry are written: counts as varints, and fields and values as elements.
//!
//! ```text
//! 0xxxxxxx + bytes      text of up to 127 bytes     10010000..=11111111   0..=111
//! 10001000 +2 + bytes   text of up to 65,535        10000000..=10000111   an integer of 1 to 8 bytes, signed
//! 10001001 +4 + bytes   longer
//! ```
//!
//! An integer is never longer than its text, and no element longer than in a listpack, which can be read backwards. All numbers are little endian.

use super::super::element::Element;

const INTEGER: u8 = 0x80;
const MIDDLE: u8 = 0x88;
const LONG: u8 = 0x89;
const SMALL: u8 = 0x90;
const SMALL_MAX: i64 = (u8::MAX - SMALL) as i64;
const SHORT_MAX: usize = 0x7f;

/// Writes a count.
#[inline]
pub fn put_count(out: &mut Vec<u8>, mut count: u64) {
    while count >= 0x80 {
        out.push(count as u8 | 0x80);
        count >>= 7;
    }
    out.push(count as u8);
}

/// Reads a count at the beginning of some bytes, and takes it off.
#[inline]
pub fn take_count(bytes: &mut &[u8]) -> u64 {
    let (mut count, mut shift) = (0, 0);
    loop {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        count |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return count;
        }
        shift += 7;
    }
}

/// Writes an element.
#[inline]
pub fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    match Element::of(bytes) {
        Element::Integer(number @ 0..=SMALL_MAX) => out.push(SMALL + number as u8),
        Element::Integer(number) => {
            // The sign needs a bit of its own.
            let bits = 65 - (number ^ number >> 63).leading_zeros() as usize;
            let width = bits.div_ceil(8);
            out.push(INTEGER + (width - 1) as u8);
            out.extend_from_slice(&number.to_le_bytes()[..width]);
        }
        Element::Bytes(text) => {
            match text.len() {
                len @ ..=SHORT_MAX => out.push(len as u8),
                len @ ..=0xffff => {
                    out.push(MIDDLE);
                    out.extend_from_slice(&(len as u16).to_le_bytes());
                }
                len => {
                    out.push(LONG);
                    out.extend_from_slice(&(len as u32).to_le_bytes());
                }
            }
            out.extend_from_slice(text);
        }
    }
}

/// Reads an element at the beginning of some bytes, and takes it off.
#[inline]
pub fn take<'a>(bytes: &mut &'a [u8]) -> Element<'a> {
    let (head, rest) = bytes.split_first().expect("an element begins here");
    let (at, len) = match *head {
        SMALL.. => {
            *bytes = rest;
            return Element::Integer(i64::from(*head - SMALL));
        }
        INTEGER..MIDDLE => {
            let width = usize::from(*head - INTEGER) + 1;
            let mut number = [0; 8];
            number[..width].copy_from_slice(&rest[..width]);
            let unused = 64 - 8 * width as u32;
            *bytes = &rest[width..];
            return Element::Integer(i64::from_le_bytes(number) << unused >> unused);
        }
        MIDDLE => (2, usize::from(u16::from_le_bytes([rest[0], rest[1]]))),
        LONG..SMALL => (4, u32::from_le_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize),
        len => (0, usize::from(len)),
    };
    *bytes = &rest[at + len..];
    Element::Bytes(&rest[at..at + len])
}

/// True if an element has this text.
#[inline]
pub fn is(element: Element<'_>, text: &[u8]) -> bool {
    match element {
        Element::Bytes(bytes) => bytes == text,
        Element::Integer(_) => element.with(|bytes| bytes == text),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::element::Encoded;
    use super::*;
    use proptest::prelude::*;

    fn check(text: &[u8]) {
        let mut written = vec![7];
        put(&mut written, text);
        assert!(written.len() - 1 <= Encoded::of(text).len(), "{text:?} takes no more than in a listpack");
        written.push(7);
        let mut rest = &written[1..];
        let element = take(&mut rest);
        assert_eq!((element.to_vec(), rest), (text.to_vec(), &[7][..]));
        assert!(is(element, text) && !is(element, b"something else"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            number in any::<i64>(), shift in 0u32..64, count in any::<u64>(), text in proptest::collection::vec(any::<u8>(), 0..300)
        ) {
            check((number >> shift).to_string().as_bytes());
            check(&text);
            let mut written = Vec::new();
            put_count(&mut written, count >> shift);
            prop_assert_eq!(take_count(&mut &written[..]), count >> shift);
        }
    }

    #[test]
    fn the_ends_of_each_form() {
        for number in [0, 111, 112, 127, 128, -1, -128, -129, 32_767, 32_768, i64::MIN, i64::MAX] {
            check(number.to_string().as_bytes());
        }
        for len in [0, 1, 127, 128, 65_535, 65_536, 70_000] {
            check(&vec![b'x'; len]);
        }
    }
}
