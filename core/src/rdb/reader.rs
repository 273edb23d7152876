//! Lengths, strings and numbers, read from bytes that nobody vouches for.

use std::borrow::Cow;

use super::lzf::decompress;
use super::{Corrupt, writer};

/// Bytes that are read from the front.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// What stands where a length may.
enum Length {
    Of(u64),
    /// A string in another form.
    Marked(u8),
}

/// The reading of one thing.
pub type Read<T> = Result<T, Corrupt>;

impl<'a> Reader<'a> {
    /// At the first of these bytes.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0 }
    }

    /// A finding of what is wrong here.
    pub fn corrupt(&self, why: &'static str) -> Corrupt {
        Corrupt { at: self.at, why }
    }

    /// Bytes that were not read yet.
    pub fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// So many bytes.
    pub fn take(&mut self, count: usize) -> Read<&'a [u8]> {
        let bytes = self.bytes[self.at..].get(..count).ok_or(self.corrupt("it ends too early"))?;
        self.at += count;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("as many were taken"))
    }

    /// One byte.
    pub fn byte(&mut self) -> Read<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn length_or_mark(&mut self) -> Read<Length> {
        let first = self.byte()?;
        Ok(match (first >> 6, first) {
            (0, _) => Length::Of(u64::from(first)),
            (1, _) => Length::Of(u64::from(first & 0x3f) << 8 | u64::from(self.byte()?)),
            (3, _) => Length::Marked(first),
            (_, 0x80) => Length::Of(u64::from(u32::from_be_bytes(self.array()?))),
            (_, 0x81) => Length::Of(u64::from_be_bytes(self.array()?)),
            _ => return Err(self.corrupt("no length begins so")),
        })
    }

    /// A length.
    pub fn length(&mut self) -> Read<u64> {
        match self.length_or_mark()? {
            Length::Of(length) => Ok(length),
            Length::Marked(_) => Err(self.corrupt("a length is missing")),
        }
    }

    /// How many things follow of which each takes a byte or more: no more are believed than can follow.
    pub fn count(&mut self) -> Read<usize> {
        let count = self.length()?;
        usize::try_from(count)
            .ok()
            .filter(|count| *count <= self.left())
            .ok_or(self.corrupt("there are fewer elements than are counted"))
    }

    /// A string.
    pub fn string(&mut self) -> Read<Cow<'a, [u8]>> {
        let number = |number: i64| Cow::Owned(itoa::Buffer::new().format(number).as_bytes().to_vec());
        match self.length_or_mark()? {
            Length::Of(length) => {
                let length = usize::try_from(length).map_err(|_| self.corrupt("a string is too long"))?;
                Ok(Cow::Borrowed(self.take(length)?))
            }
            Length::Marked(0xc0) => Ok(number(i64::from(i8::from_le_bytes(self.array()?)))),
            Length::Marked(0xc1) => Ok(number(i64::from(i16::from_le_bytes(self.array()?)))),
            Length::Marked(0xc2) => Ok(number(i64::from(i32::from_le_bytes(self.array()?)))),
            Length::Marked(writer::COMPRESSED) => {
                let packed = self.count()?;
                let length = self.length()?;
                let length = usize::try_from(length).map_err(|_| self.corrupt("a string is too long"))?;
                let packed = self.take(packed)?;
                decompress(packed, length)
                    .map(Cow::Owned)
                    .ok_or(self.corrupt("a compressed string does not unfold"))
            }
            Length::Marked(_) => Err(self.corrupt("a string is written in an unknown way")),
        }
    }

    /// A number of eight bytes.
    pub fn wide(&mut self) -> Read<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A score of eight bytes.
    pub fn double(&mut self) -> Read<f64> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    /// A score as text.
    pub fn decimal(&mut self) -> Read<f64> {
        match self.byte()? {
            253 => Ok(f64::NAN),
            254 => Ok(f64::INFINITY),
            255 => Ok(f64::NEG_INFINITY),
            length => {
                let text = std::str::from_utf8(self.take(usize::from(length))?).ok();
                text.and_then(|text| text.parse().ok()).ok_or(self.corrupt("a score is no number"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::writer::Writer;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            lengths in prop::collection::vec(prop_oneof![0..100u64, 0..100_000u64, any::<u64>()], 0..10),
            texts in prop::collection::vec(prop_oneof!["[a-c]{0,100}", "-?[0-9]{1,20}"], 0..10),
            compresses in any::<bool>(),
        ) {
            let mut writer = Writer::new(compresses);
            lengths.iter().for_each(|length| writer.length(*length));
            texts.iter().for_each(|text| writer.string(text.as_bytes()));
            writer.wide(7);
            let mut reader = Reader::new(&writer.out);
            for length in lengths {
                prop_assert_eq!(reader.length(), Ok(length));
            }
            for text in texts {
                let read = reader.string().unwrap();
                prop_assert_eq!(read.as_ref(), text.as_bytes());
            }
            prop_assert_eq!((reader.wide(), reader.left()), (Ok(7), 0));
        }

        #[test]
        fn anything_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut reader = Reader::new(&bytes);
            while reader.string().is_ok() {}
            let mut reader = Reader::new(&bytes);
            while reader.decimal().is_ok() && reader.count().is_ok() {}
        }
    }

    #[test]
    fn a_count_is_not_believed() {
        assert!(Reader::new(&[0x81, 255, 255, 255, 255, 255, 255, 255, 255, 1]).count().is_err());
        assert_eq!(Reader::new(&[1, b'x']).count(), Ok(1));
        assert_eq!(Reader::new(&[0x82]).length().unwrap_err().why, "no length begins so");
        assert!(Reader::new(&[0xc4]).string().is_err());
    }
}
