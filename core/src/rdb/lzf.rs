//! LZF, the compression of strings in dumps (<http://oldhome.schmorp.de/marc/liblzf.html>).
//!
//! ```text
//! 000LLLLL  + L+1 bytes as they are
//! LLLooooo oooooooo             L+2 bytes again, from o+1 bytes before      (L = 1..6)
//! 111ooooo LLLLLLLL oooooooo    L+9 bytes again, from o+1 bytes before
//! ```
//!
//! Here rather than from a library: a snapshot compresses millions of short strings, so the table of what was seen is kept from one to the
//! next, and what a damaged dump claims to unfold to is not believed.

const LITERAL_MAX: usize = 32;
const DISTANCE_MAX: usize = 1 << 13;
const REPEAT_MIN: usize = 3;
const REPEAT_MAX: usize = 264;
const TABLE_BITS: u32 = 13;
/// Bytes that one byte of compressed text unfolds to at the most.
const GROWTH_MAX: usize = REPEAT_MAX.div_ceil(3);

/// Compresses; what it allocates is used again.
#[derive(Clone, Debug, Default)]
pub struct Lzf {
    /// By hash of three bytes: where they were last seen, counted over all texts, so that nothing is cleared between two.
    seen: Vec<u32>,
    /// Bytes of all texts before this one.
    before: u32,
    out: Vec<u8>,
}

/// Where nothing has repeated itself for so many bytes (as a power of two), every second place is looked at only, after twice as many every
/// third, and so on.
const PATIENCE_BITS: u32 = 5;

#[inline]
fn slot(bytes: &[u8; REPEAT_MIN]) -> usize {
    let three = u32::from(bytes[0]) | u32::from(bytes[1]) << 8 | u32::from(bytes[2]) << 16;
    (three.wrapping_mul(0x9e37_79b1) >> (32 - TABLE_BITS)) as usize
}

impl Lzf {
    /// The text in fewer than `max` bytes, if it fits in so many.
    pub fn compress(&mut self, text: &[u8], max: usize) -> Option<&[u8]> {
        let len = u32::try_from(text.len()).ok().filter(|len| *len <= u32::MAX / 2)?;
        if self.seen.is_empty() {
            self.seen.resize(1 << TABLE_BITS, 0);
        }
        // Places are counted from one: zero is nowhere.
        if self.before.checked_add(len).is_none_or(|end| end == u32::MAX) {
            self.seen.fill(0);
            self.before = 0;
        }
        let base = self.before + 1;
        self.before += len;
        self.out.clear();
        let (mut at, mut literal_from) = (0, 0);
        while let Some(three) = text.get(at..).and_then(<[u8]>::first_chunk) {
            let place = std::mem::replace(&mut self.seen[slot(three)], base + at as u32);
            let earlier = place.checked_sub(base).map(|earlier| earlier as usize);
            let repeats = earlier.filter(|earlier| at - earlier <= DISTANCE_MAX).map(|earlier| {
                let most = REPEAT_MAX.min(text.len() - at);
                let same = |n: &usize| text[earlier + n] == text[at + n];
                (at - earlier, (0..most).take_while(same).count())
            });
            let Some((distance, len)) = repeats.filter(|(_, len)| *len >= REPEAT_MIN) else {
                at += 1 + ((at - literal_from) >> PATIENCE_BITS);
                continue;
            };
            self.literals(&text[literal_from..at]);
            self.repeat(distance - 1, len - 2);
            if self.out.len() >= max {
                return None;
            }
            at += len;
            literal_from = at;
        }
        self.literals(&text[literal_from..]);
        (self.out.len() < max).then_some(&self.out)
    }

    fn literals(&mut self, bytes: &[u8]) {
        for run in bytes.chunks(LITERAL_MAX) {
            self.out.push(run.len() as u8 - 1);
            self.out.extend_from_slice(run);
        }
    }

    fn repeat(&mut self, distance: usize, len: usize) {
        let high = (distance >> 8) as u8;
        if len < 7 {
            self.out.push((len as u8) << 5 | high);
        } else {
            self.out.extend_from_slice(&[7 << 5 | high, (len - 7) as u8]);
        }
        self.out.push(distance as u8);
    }
}

/// The text, if these bytes unfold to exactly so many.
pub fn decompress(mut bytes: &[u8], len: usize) -> Option<Vec<u8>> {
    if len > bytes.len().saturating_mul(GROWTH_MAX) {
        return None;
    }
    let mut text = Vec::with_capacity(len);
    while let Some((&control, rest)) = bytes.split_first() {
        let control = usize::from(control);
        if control < LITERAL_MAX {
            let (literals, rest) = rest.split_at_checked(control + 1)?;
            text.extend_from_slice(literals);
            bytes = rest;
        } else {
            let (longer, rest) = if control >> 5 == 7 { rest.split_first()? } else { (&0, rest) };
            let (low, rest) = rest.split_first()?;
            let distance = ((control & 0x1f) << 8 | usize::from(*low)) + 1;
            let from = text.len().checked_sub(distance)?;
            let count = (control >> 5) + usize::from(*longer) + 2;
            // What is repeated may reach into itself.
            (from..from + count).for_each(|n| text.push(text[n]));
            bytes = rest;
        }
        if text.len() > len {
            return None;
        }
    }
    (text.len() == len).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round(lzf: &mut Lzf, text: &[u8]) -> Option<usize> {
        let packed = lzf.compress(text, text.len().max(1) * 2 + 10)?.to_vec();
        assert_eq!(decompress(&packed, text.len()).as_deref(), Some(text));
        assert_eq!(decompress(&packed, text.len() + 1), None);
        Some(packed.len())
    }

    #[test]
    fn what_repeats_becomes_short() {
        let mut lzf = Lzf::default();
        assert!(round(&mut lzf, &[b'a'; 10_000]).unwrap() < 200);
        assert!(round(&mut lzf, &b"one two three ".repeat(50)).unwrap() < 60);
        assert_eq!(lzf.compress(b"all of it is new", 16), None);
        assert_eq!(lzf.compress(b"", 1), Some(&[][..]));
    }

    #[test]
    fn known_text_unfolds() {
        // Written by another implementation: 200 times `a`.
        assert_eq!(decompress(&[1, 97, 97, 224, 187, 0, 1, 97, 97], 200).unwrap(), vec![97; 200]);
    }

    #[test]
    fn a_claim_is_not_believed() {
        assert_eq!(decompress(&[0, 97], usize::MAX), None);
        assert_eq!(decompress(&[32], 3), None);
        assert_eq!(decompress(&[0, 97, 32, 5], 4), None);
    }

    proptest! {
        #[test]
        fn everything_comes_back(
            texts in prop::collection::vec(prop::collection::vec(prop_oneof![Just(1u8), Just(2), any::<u8>()], 0..3_000), 1..5),
        ) {
            let mut lzf = Lzf::default();
            for text in texts {
                round(&mut lzf, &text);
            }
        }

        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), len in 0..2_000usize) {
            if let Some(text) = decompress(&bytes, len) {
                prop_assert_eq!(text.len(), len);
            }
        }
    }
}
