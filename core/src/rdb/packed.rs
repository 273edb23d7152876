//! Blocks in which small values lie in a dump: listpacks, ziplists, intsets, zipmaps. Each is read whole, into elements that point into it.
//!
//! Forms: <https://github.com/antirez/listpack>, and the heads of `ziplist.c`, `intset.c` and `zipmap.c` of Redis. It knows blocks, not what
//! their elements are to a value.

use crate::value::element::{self, Element, tail_len};

/// Elements of a block, or what is wrong with it.
pub type Elements<'a> = Result<Vec<Element<'a>>, &'static str>;

const TOO_SHORT: &str = "a packed block ends too early";
const WRONG_SIZE: &str = "a packed block is not as long as it says";
const UNKNOWN: &str = "an element of a packed block is written in an unknown way";
const WRONG_COUNT: &str = "a packed block has not as many elements as it says";
/// More elements than a head can count.
const UNCOUNTED: usize = u16::MAX as usize;
const END: u8 = 0xff;

/// Bytes that are taken from the front.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(TOO_SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, &'static str> {
        Ok(self.take(1)?[0])
    }

    /// A number of so many bytes, the least first.
    fn little(&mut self, width: usize) -> Result<i64, &'static str> {
        let mut word = [0; 8];
        word[8 - width..].copy_from_slice(self.take(width)?);
        Ok(i64::from_le_bytes(word) >> (64 - 8 * width))
    }

    fn unsigned(&mut self, width: usize) -> Result<usize, &'static str> {
        Ok(self.little(width)? as usize & ((1 << (8 * width)) - 1))
    }

    /// A length of so many bytes, the greatest first.
    fn big(&mut self, width: usize) -> Result<usize, &'static str> {
        Ok(self.take(width)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
    }
}

/// Elements of a listpack.
pub fn listpack(bytes: &[u8]) -> Elements<'_> {
    let mut rest = Rest(bytes);
    if rest.unsigned(4)? != bytes.len() {
        return Err(WRONG_SIZE);
    }
    let counted = rest.unsigned(2)?;
    let mut elements = Vec::new();
    loop {
        let before = rest.0.len();
        let head = rest.byte()?;
        let element = match head {
            END => break,
            0..=0x7f => Element::Integer(i64::from(head)),
            0x80..=0xbf => Element::Bytes(rest.take(usize::from(head & 0x3f))?),
            0xc0..=0xdf => {
                let bits = u16::from(head & 0x1f) << 8 | u16::from(rest.byte()?);
                Element::Integer(i64::from((bits << 3) as i16 >> 3))
            }
            0xe0..=0xef => {
                let length = usize::from(head & 0x0f) << 8 | usize::from(rest.byte()?);
                Element::Bytes(rest.take(length)?)
            }
            0xf0 => {
                let length = rest.unsigned(4)?;
                Element::Bytes(rest.take(length)?)
            }
            0xf1 => Element::Integer(rest.little(2)?),
            0xf2 => Element::Integer(rest.little(3)?),
            0xf3 => Element::Integer(rest.little(4)?),
            0xf4 => Element::Integer(rest.little(8)?),
            _ => return Err(UNKNOWN),
        };
        rest.take(tail_len(before - rest.0.len()))?;
        elements.push(element);
    }
    match rest.0.is_empty() {
        true if counted == UNCOUNTED || counted == elements.len() => Ok(elements),
        true => Err(WRONG_COUNT),
        false => Err(WRONG_SIZE),
    }
}

/// A listpack that is being written.
#[derive(Debug)]
pub struct Listpack {
    bytes: Vec<u8>,
    count: usize,
}

impl Default for Listpack {
    fn default() -> Listpack {
        Listpack { bytes: vec![0; 6], count: 0 }
    }
}

impl Listpack {
    /// Adds an element at the end.
    pub fn push(&mut self, element: Element<'_>) {
        element.with(|bytes| element::push(&mut self.bytes, bytes));
        self.count += 1;
    }

    /// Its bytes, as they stand in a dump.
    pub fn into_bytes(self) -> Vec<u8> {
        let Listpack { mut bytes, count } = self;
        bytes.push(END);
        let len = bytes.len() as u32;
        bytes[..4].copy_from_slice(&len.to_le_bytes());
        bytes[4..6].copy_from_slice(&(count.min(UNCOUNTED) as u16).to_le_bytes());
        bytes
    }
}

/// Elements of a ziplist.
pub fn ziplist(bytes: &[u8]) -> Elements<'_> {
    let mut rest = Rest(bytes);
    if rest.unsigned(4)? != bytes.len() {
        return Err(WRONG_SIZE);
    }
    rest.take(4)?;
    let counted = rest.unsigned(2)?;
    let mut elements = Vec::new();
    loop {
        match rest.byte()? {
            END => break,
            // The length of the element before.
            254 => drop(rest.take(4)?),
            _ => {}
        }
        let head = rest.byte()?;
        let element = match (head >> 6, head) {
            (0, _) => Element::Bytes(rest.take(usize::from(head))?),
            (1, _) => {
                let length = usize::from(head & 0x3f) << 8 | rest.big(1)?;
                Element::Bytes(rest.take(length)?)
            }
            (2, _) => {
                let length = rest.big(4)?;
                Element::Bytes(rest.take(length)?)
            }
            (_, 0xc0) => Element::Integer(rest.little(2)?),
            (_, 0xd0) => Element::Integer(rest.little(4)?),
            (_, 0xe0) => Element::Integer(rest.little(8)?),
            (_, 0xf0) => Element::Integer(rest.little(3)?),
            (_, 0xfe) => Element::Integer(rest.little(1)?),
            (_, 0xf1..=0xfd) => Element::Integer(i64::from(head & 0x0f) - 1),
            _ => return Err(UNKNOWN),
        };
        elements.push(element);
    }
    match rest.0.is_empty() {
        true if counted == UNCOUNTED || counted == elements.len() => Ok(elements),
        true => Err(WRONG_COUNT),
        false => Err(WRONG_SIZE),
    }
}

/// Numbers of an intset, in order.
pub fn intset(bytes: &[u8]) -> Elements<'_> {
    let mut rest = Rest(bytes);
    let (width, count) = (rest.unsigned(4)?, rest.unsigned(4)?);
    if ![2, 4, 8].contains(&width) {
        return Err(UNKNOWN);
    }
    if count.checked_mul(width) != Some(rest.0.len()) {
        return Err(WRONG_SIZE);
    }
    let mut numbers = Vec::with_capacity(count);
    for _ in 0..count {
        let number = rest.little(width)?;
        if numbers.last().is_some_and(|last| *last >= number) {
            return Err("numbers of a set are not in order");
        }
        numbers.push(number);
    }
    Ok(numbers.into_iter().map(Element::Integer).collect())
}

/// Fields and values of a zipmap, one after the other.
pub fn zipmap(bytes: &[u8]) -> Elements<'_> {
    let mut rest = Rest(bytes);
    // Counts up to 253 only.
    rest.byte()?;
    let mut elements = Vec::new();
    loop {
        let length = |rest: &mut Rest<'_>, first: u8| match first {
            254 => rest.unsigned(4),
            _ => Ok(usize::from(first)),
        };
        let first = rest.byte()?;
        if first == END {
            break;
        }
        let name = length(&mut rest, first)?;
        elements.push(Element::Bytes(rest.take(name)?));
        let first = rest.byte()?;
        if first == END {
            return Err(UNKNOWN);
        }
        let value = length(&mut rest, first)?;
        let unused = rest.byte()?;
        elements.push(Element::Bytes(rest.take(value)?));
        rest.take(usize::from(unused))?;
    }
    rest.0.is_empty().then_some(elements).ok_or(WRONG_SIZE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(elements: Elements<'_>) -> Vec<String> {
        let text = |element: &Element<'_>| String::from_utf8(element.to_vec()).unwrap();
        elements.unwrap().iter().map(text).collect()
    }

    #[test]
    fn blocks_that_redis_wrote_are_read() {
        // DUMP of `RPUSH l a 1 -1 4000 100000 hello`, redis-server 7.0.15 and 6.2.
        let listpack_of =
            b"\x1e\0\0\0\x06\0\x81a\x02\x01\x01\xdf\xff\x02\xcf\xa0\x02\xf2\xa0\x86\x01\x04\x85hello\x06\xff";
        assert_eq!(texts(listpack(listpack_of)), ["a", "1", "-1", "4000", "100000", "hello"]);
        let ziplist_of =
            b"\x26\0\0\0\x1e\0\0\0\x06\0\0\x01a\x03\xf2\x02\xfe\xff\x03\xc0\xa0\x0f\x04\xf0\xa0\x86\x01\x05\x05hello\xff";
        let ziplist_of = [&(ziplist_of.len() as u32).to_le_bytes(), &ziplist_of[4..]].concat();
        assert_eq!(texts(ziplist(&ziplist_of)), ["a", "1", "-1", "4000", "100000", "hello"]);
        assert_eq!(texts(intset(b"\x02\0\0\0\x03\0\0\0\xff\xff\x05\0\xe8\x03")), ["-1", "5", "1000"]);
        assert_eq!(texts(zipmap(b"\x01\x03foo\x03\x01bar!\xff")), ["foo", "bar"]);
    }

    #[test]
    fn a_listpack_is_written_as_it_is_read() {
        let mut written = Listpack::default();
        let elements = [Element::Integer(-5), Element::Bytes(b"text"), Element::Integer(1 << 40)];
        elements.iter().for_each(|element| written.push(*element));
        assert_eq!(listpack(&written.into_bytes()), Ok(elements.to_vec()));
    }

    #[test]
    fn lies_are_found() {
        assert_eq!(listpack(b"\x08\0\0\0\x01\0\x01\x01\xff"), Err(WRONG_SIZE));
        assert_eq!(listpack(b"\x09\0\0\0\x02\0\x01\x01\xff"), Err(WRONG_COUNT));
        assert_eq!(listpack(b"\x09\0\0\0\x01\0\x85\x01\xff"), Err(TOO_SHORT));
        assert!(intset(b"\x02\0\0\0\x02\0\0\0\x05\0\x05\0").is_err());
        assert_eq!(intset(b"\x08\0\0\0\xff\xff\xff\xff"), Err(WRONG_SIZE));
        assert!(zipmap(b"\x01\x03foo\xff").is_err());
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..60), read in 0..4) {
            let len = (bytes.len() as u32).to_le_bytes();
            if bytes.len() > 4 {
                bytes[..4].copy_from_slice(&len);
            }
            let read = [listpack, ziplist, intset, zipmap][read as usize];
            if let Ok(elements) = read(&bytes) {
                prop_assert!(elements.len() <= bytes.len());
            }
        }
    }
}
