//! One element of a packed value: how it is written into a block, and read again from either side.
//!
//! The form is that of the elements of a listpack (<https://github.com/antirez/listpack>), so that a snapshot in Redis's format can take
//! blocks as they are: a head that says kind and length, the bytes, and a tail with the length of both, read backwards.
//!
//! ```text
//! 0xxxxxxx                 0..=127                  110xxxxx +1   13 bits, signed
//! 10xxxxxx + bytes         up to 63 bytes           1110xxxx +1 + bytes   up to 4,095 bytes
//! 11110000 +4 + bytes      longer                   11110001..=11110100   16, 24, 32, 64 bits, signed
//! ```
//!
//! It knows one element. It does not know blocks.

use crate::protocol::request::parse_integer;

/// The longest text of an integer of 64 bits.
const INTEGER_TEXT_MAX: usize = 20;
const HEAD_MAX: usize = 9;
const TAIL_MAX: usize = 5;

/// An element as it lies in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element<'a> {
    /// A whole number whose text is canonical.
    Integer(i64),
    /// Any other bytes.
    Bytes(&'a [u8]),
}

impl<'a> Element<'a> {
    /// The element that these bytes are.
    #[inline]
    pub fn of(bytes: &'a [u8]) -> Element<'a> {
        match bytes.first() {
            Some(b'0'..=b'9' | b'-') if bytes.len() <= INTEGER_TEXT_MAX => {
                parse_integer(bytes).map_or(Element::Bytes(bytes), Element::Integer)
            }
            _ => Element::Bytes(bytes),
        }
    }

    /// Calls `use_it` with the element's bytes.
    #[inline]
    pub fn with<R>(&self, use_it: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Element::Integer(number) => use_it(itoa::Buffer::new().format(*number).as_bytes()),
            Element::Bytes(bytes) => use_it(bytes),
        }
    }

    /// The bytes, copied.
    pub fn to_vec(&self) -> Vec<u8> {
        self.with(<[u8]>::to_vec)
    }
}

/// An element as it is written.
pub(super) struct Encoded<'a> {
    head: [u8; HEAD_MAX],
    head_len: usize,
    body: &'a [u8],
    tail: [u8; TAIL_MAX],
    tail_len: usize,
}

impl<'a> Encoded<'a> {
    #[inline]
    pub(super) fn of(bytes: &'a [u8]) -> Encoded<'a> {
        let (head, head_len, body) = match Element::of(bytes) {
            Element::Integer(number) => {
                let (head, len) = integer_head(number);
                (head, len, &bytes[..0])
            }
            Element::Bytes(bytes) => {
                let (head, len) = bytes_head(bytes.len());
                (head, len, bytes)
            }
        };
        let (tail, tail_len) = tail_of(head_len + body.len());
        Encoded { head, head_len, body, tail, tail_len }
    }

    /// Bytes that it takes.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.bare_len() + self.tail_len
    }

    /// Bytes that it takes without its tail.
    #[inline]
    pub(super) fn bare_len(&self) -> usize {
        self.head_len + self.body.len()
    }

    /// Writes it into exactly that many bytes.
    #[inline]
    pub(super) fn write(&self, to: &mut [u8]) {
        assert_eq!(to.len(), self.len(), "an element is written into room of its size");
        let (bare, tail) = to.split_at_mut(self.bare_len());
        self.write_bare(bare);
        tail.copy_from_slice(&self.tail[..self.tail_len]);
    }

    /// Writes it without its tail into exactly as many bytes as that takes.
    #[inline]
    pub(super) fn write_bare(&self, to: &mut [u8]) {
        let (head, body) = to.split_at_mut(self.head_len);
        head.copy_from_slice(&self.head[..self.head_len]);
        body.copy_from_slice(self.body);
    }
}

/// Writes the tail of something whose head and bytes take `len` into exactly as many bytes as that takes ([`tail_len`]).
#[inline]
pub(super) fn write_tail(len: usize, to: &mut [u8]) {
    let (tail, tail_len) = tail_of(len);
    to.copy_from_slice(&tail[..tail_len]);
}

/// Writes an element behind others.
pub(crate) fn push(out: &mut Vec<u8>, bytes: &[u8]) {
    let (at, encoded) = (out.len(), Encoded::of(bytes));
    out.resize(at + encoded.len(), 0);
    encoded.write(&mut out[at..]);
}

pub(super) fn integer_head(number: i64) -> ([u8; HEAD_MAX], usize) {
    let mut head = [0; HEAD_MAX];
    let bytes = number.to_le_bytes();
    let mut wide = |mark: u8, width: usize| {
        head[0] = mark;
        head[1..=width].copy_from_slice(&bytes[..width]);
        width + 1
    };
    let len = match number {
        0..=127 => {
            head[0] = number as u8;
            1
        }
        -4_096..=4_095 => {
            let bits = (number as u16) & 0x1fff;
            head[0] = 0xc0 | (bits >> 8) as u8;
            head[1] = bits as u8;
            2
        }
        -0x8000..=0x7fff => wide(0xf1, 2),
        -0x80_0000..=0x7f_ffff => wide(0xf2, 3),
        -0x8000_0000..=0x7fff_ffff => wide(0xf3, 4),
        _ => wide(0xf4, 8),
    };
    (head, len)
}

fn bytes_head(len: usize) -> ([u8; HEAD_MAX], usize) {
    let mut head = [0; HEAD_MAX];
    let head_len = match len {
        0..=63 => {
            head[0] = 0x80 | len as u8;
            1
        }
        64..=4_095 => {
            head[0] = 0xe0 | (len >> 8) as u8;
            head[1] = len as u8;
            2
        }
        _ => {
            let len = u32::try_from(len).expect("a request, and so an element, is below four gigabytes");
            head[0] = 0xf0;
            head[1..5].copy_from_slice(&len.to_le_bytes());
            5
        }
    };
    (head, head_len)
}

/// A length in groups of seven bits, to be read from its last byte: all but the first have the high bit.
#[inline]
fn tail_of(len: usize) -> ([u8; TAIL_MAX], usize) {
    let mut tail = [0; TAIL_MAX];
    let tail_len = tail_len(len);
    let mut rest = len;
    for place in (0..tail_len).rev() {
        tail[place] = (rest & 0x7f) as u8 | if place > 0 { 0x80 } else { 0 };
        rest >>= 7;
    }
    (tail, tail_len)
}

/// Bytes that the tail takes of an element whose head and bytes take `len`. The bounds are those of a listpack, one below what the bits could
/// hold.
#[inline]
pub(crate) fn tail_len(len: usize) -> usize {
    match len {
        0..0x80 => 1,
        0x80..0x3fff => 2,
        0x3fff..0x1f_ffff => 3,
        0x1f_ffff..0x0fff_ffff => 4,
        _ => 5,
    }
}

/// The element at the beginning of `bytes`, and how many of them it takes.
#[inline]
pub(super) fn first(bytes: &[u8]) -> (Element<'_>, usize) {
    let (element, len) = first_bare(bytes);
    (element, len + tail_len(len))
}

/// The element at the beginning of `bytes`, and how many of them it takes without its tail.
#[inline]
pub(super) fn first_bare(bytes: &[u8]) -> (Element<'_>, usize) {
    match bytes[0] {
        head @ 0..=0x7f => (Element::Integer(i64::from(head)), 1),
        head @ 0x80..=0xbf => {
            let end = usize::from(head & 0x3f) + 1;
            (Element::Bytes(&bytes[1..end]), end)
        }
        _ => first_of_others(bytes),
    }
}

/// The same of what is longer than most.
fn first_of_others(bytes: &[u8]) -> (Element<'_>, usize) {
    let head = bytes[0];
    let wide = |width: usize| {
        let mut word = [0; 8];
        word[8 - width..].copy_from_slice(&bytes[1..=width]);
        (Element::Integer(i64::from_le_bytes(word) >> (64 - 8 * width)), width + 1)
    };
    let text =
        |head_len: usize, len: usize| (Element::Bytes(&bytes[head_len..head_len + len]), head_len + len);
    match head {
        0..=0xdf => {
            let bits = u16::from(head & 0x1f) << 8 | u16::from(bytes[1]);
            // The thirteenth bit is the sign.
            (Element::Integer(i64::from((bits << 3) as i16 >> 3)), 2)
        }
        0xe0..=0xef => text(2, usize::from(head & 0x0f) << 8 | usize::from(bytes[1])),
        0xf0 => text(5, u32::from_le_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]) as usize),
        0xf1 => wide(2),
        0xf2 => wide(3),
        0xf3 => wide(4),
        _ => wide(8),
    }
}

/// How many bytes the first element of `bytes` takes without its tail: what [`first_bare`] says, for who does not want the element.
#[inline]
pub(super) fn bare_len(bytes: &[u8]) -> usize {
    match bytes[0] {
        0..=0x7f => 1,
        head @ 0x80..=0xbf => usize::from(head & 0x3f) + 1,
        0xc0..=0xdf => 2,
        _ => first_of_others(bytes).1,
    }
}

/// How many bytes the last element of `bytes` takes.
#[inline]
pub(super) fn last_len(bytes: &[u8]) -> usize {
    let (mut len, mut shift) = (0usize, 0);
    for byte in bytes.iter().rev().take(TAIL_MAX) {
        len |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
        shift += 7;
    }
    len + tail_len(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(bytes: &[u8]) -> Vec<u8> {
        let encoded = Encoded::of(bytes);
        let mut block = vec![0; encoded.len()];
        encoded.write(&mut block);
        block
    }

    fn check(bytes: &[u8]) -> usize {
        let mut block = written(bytes);
        let len = block.len();
        let before = written(b"before");
        block.splice(0..0, before.iter().copied());
        block.extend_from_slice(&written(b"after"));
        let (element, taken) = first(&block[before.len()..]);
        assert_eq!((element.to_vec().as_slice(), taken), (bytes, len));
        assert_eq!(bare_len(&block[before.len()..]), len - tail_len(bare_len(&block[before.len()..])));
        assert_eq!(last_len(&block[..before.len() + len]), len);
        len
    }

    #[test]
    fn sizes_are_those_of_a_listpack() {
        for (text, len) in [
            ("", 2),
            ("0", 2),
            ("127", 2),
            ("128", 3),
            ("-1", 3),
            ("4095", 3),
            ("-4096", 3),
            ("4096", 4),
            ("-32768", 4),
            ("8388607", 5),
            ("-8388609", 6),
            ("2147483648", 10),
            ("-9223372036854775808", 10),
            ("007", 5),
            ("hello", 7),
        ] {
            assert_eq!(check(text.as_bytes()), len, "{text}");
        }
        for (bytes, len) in [
            (63, 65),
            (64, 67),
            (125, 128),
            (126, 130),
            (4_095, 4_099),
            (4_096, 4_103),
            (16_377, 16_384),
            (16_378, 16_386),
        ] {
            assert_eq!(check(&vec![b'x'; bytes]), len, "{bytes}");
        }
        check(&vec![b'x'; (2 << 20) + 7]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(number in any::<i64>(), shift in 0u32..64, bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            check((number >> shift).to_string().as_bytes());
            check(&bytes);
        }
    }
}
