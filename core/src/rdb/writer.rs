//! Lengths, strings and numbers, written. It does not know what they mean.

use super::lzf::Lzf;
use crate::value::element::Element;

/// Shorter strings are not compressed.
const COMPRESSED_MIN: usize = 21;
/// What compression has to save.
const SAVED_MIN: usize = 4;

/// Marks of a string that is no bytes.
const INT8: u8 = 0xc0;
const INT16: u8 = 0xc1;
const INT32: u8 = 0xc2;
pub(super) const COMPRESSED: u8 = 0xc3;

/// Bytes as they are written.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    /// What was written.
    pub out: Vec<u8>,
    lzf: Option<Lzf>,
}

impl Writer {
    /// Compresses strings where that makes them shorter, or does not.
    pub fn new(compresses: bool) -> Writer {
        Writer { out: Vec::new(), lzf: compresses.then(Lzf::default) }
    }

    /// One byte.
    pub fn byte(&mut self, byte: u8) {
        self.out.push(byte);
    }

    /// A length.
    pub fn length(&mut self, length: u64) {
        match length {
            0..=0x3f => self.out.push(length as u8),
            0x40..=0x3fff => self.out.extend_from_slice(&(0x4000 | length as u16).to_be_bytes()),
            0x4000..=0xffff_ffff => {
                self.out.push(0x80);
                self.out.extend_from_slice(&(length as u32).to_be_bytes());
            }
            _ => {
                self.out.push(0x81);
                self.out.extend_from_slice(&length.to_be_bytes());
            }
        }
    }

    /// A string.
    pub fn string(&mut self, bytes: &[u8]) {
        match Element::of(bytes) {
            Element::Integer(number) if i32::try_from(number).is_ok() => self.small(number as i32),
            _ => self.bytes(bytes),
        }
    }

    /// An element, as a string.
    pub fn element(&mut self, element: Element<'_>) {
        match element {
            Element::Integer(number) if i32::try_from(number).is_ok() => self.small(number as i32),
            _ => element.with(|bytes| self.bytes(bytes)),
        }
    }

    /// A string whose bytes are no number, whatever they are.
    pub fn plain(&mut self, bytes: &[u8]) {
        self.bytes(bytes);
    }

    fn small(&mut self, number: i32) {
        let bytes = number.to_le_bytes();
        let (mark, width) = match number {
            -0x80..=0x7f => (INT8, 1),
            -0x8000..=0x7fff => (INT16, 2),
            _ => (INT32, 4),
        };
        self.out.push(mark);
        self.out.extend_from_slice(&bytes[..width]);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if bytes.len() >= COMPRESSED_MIN
            && let Some(mut lzf) = self.lzf.take()
        {
            let packed = lzf.compress(bytes, bytes.len() - SAVED_MIN);
            if let Some(packed) = packed {
                self.out.push(COMPRESSED);
                self.length(packed.len() as u64);
                self.length(bytes.len() as u64);
                self.out.extend_from_slice(packed);
            }
            let is_written = packed.is_some();
            self.lzf = Some(lzf);
            if is_written {
                return;
            }
        }
        self.length(bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    /// A number of eight bytes, such as a moment in milliseconds.
    pub fn wide(&mut self, number: u64) {
        self.out.extend_from_slice(&number.to_le_bytes());
    }

    /// A score.
    pub fn double(&mut self, number: f64) {
        self.out.extend_from_slice(&number.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_numbers_are_as_short_as_they_can_be() {
        let mut writer = Writer::new(false);
        [0, 63, 64, 16_383, 16_384, 1 << 32].into_iter().for_each(|length| writer.length(length));
        let lengths = [0, 63, 0x40, 64, 0x7f, 0xff, 0x80, 0, 0, 0x40, 0, 0x81, 0, 0, 0, 1, 0, 0, 0, 0];
        assert_eq!(writer.out, lengths);
        writer.out.clear();
        for text in ["-1", "200", "-70000", "007", "2147483648"] {
            writer.string(text.as_bytes());
        }
        let strings = b"\xc0\xff\xc1\xc8\x00\xc2\x90\xee\xfe\xff\x03007\x0a2147483648";
        assert_eq!(writer.out, strings);
    }

    #[test]
    fn what_repeats_is_compressed_if_that_is_asked_for() {
        let text = b"abc".repeat(20);
        let [mut plain, mut packed] = [false, true].map(Writer::new);
        plain.string(&text);
        packed.string(&text);
        assert_eq!((plain.out.len(), packed.out[0]), (61, COMPRESSED));
        assert!(packed.out.len() < 15);
        packed.out.clear();
        packed.string(b"nothing here repeats itself");
        assert_eq!(packed.out[0], 27);
    }
}
