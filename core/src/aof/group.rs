//! Groups: what one core writes in one turn, whole or not at all.
//!
//! ```text
//! file   "DARTERLOG" 1 | group ...
//! group  length, 8 bytes | CRC-32C of length and lines, 4 bytes | lines           numbers are little endian
//! ```
//!
//! A group that is cut short or changed is where the log ends, if nothing whole follows it; else the file is damaged. It knows bytes and sums, not
//! lines.

use crc_fast::{CrcAlgorithm, Digest};

/// The beginning of each log.
pub const HEADER: &[u8] = b"DARTERLOG\x01";
/// Bytes before the lines of a group.
pub const FRAME_LEN: usize = 12;

fn sum(len: &[u8], lines: &[u8]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(len);
    digest.update(lines);
    digest.finalize() as u32
}

/// Makes a group of lines that stand behind room for its frame.
pub fn frame(bytes: &mut [u8]) {
    let (head, lines) = bytes.split_at_mut(FRAME_LEN);
    let len = (lines.len() as u64).to_le_bytes();
    head[..8].copy_from_slice(&len);
    head[8..].copy_from_slice(&sum(&len, lines).to_le_bytes());
}

/// What stands at the beginning of bytes of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A group's lines; the group takes these and its frame.
    Group(&'a [u8]),
    /// At least so many bytes are needed to tell.
    Needs(usize),
    /// No group; it would end at this distance.
    Broken(usize),
}

/// Looks at bytes of a log, its header not among them.
pub fn find(bytes: &[u8]) -> Found<'_> {
    let Some((len, rest)) = bytes.split_first_chunk::<8>() else { return Found::Needs(FRAME_LEN) };
    let Some((expected, lines)) = rest.split_first_chunk::<4>() else { return Found::Needs(FRAME_LEN) };
    let Some(whole) = usize::try_from(u64::from_le_bytes(*len)).ok().and_then(|n| n.checked_add(FRAME_LEN))
    else {
        return Found::Broken(usize::MAX);
    };
    if whole == FRAME_LEN {
        return Found::Broken(usize::MAX);
    }
    let Some(lines) = lines.get(..whole - FRAME_LEN) else { return Found::Needs(whole) };
    match sum(len, lines) == u32::from_le_bytes(*expected) {
        true => Found::Group(lines),
        false => Found::Broken(whole),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn group(lines: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; FRAME_LEN];
        bytes.extend_from_slice(lines);
        frame(&mut bytes);
        bytes
    }

    proptest! {
        #[test]
        fn a_group_is_whole_or_none(lines in prop::collection::vec(any::<u8>(), 1..200), bit in any::<usize>(), cut in any::<usize>()) {
            let mut bytes = group(&lines);
            prop_assert_eq!(find(&bytes), Found::Group(&lines[..]));
            prop_assert!(matches!(find(&bytes[..cut % bytes.len()]), Found::Needs(_)));
            let bit = bit % (8 * bytes.len());
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!matches!(find(&bytes), Found::Group(_)));
        }
    }

    #[test]
    fn zeros_are_no_group() {
        assert_eq!(find(&[0; 64]), Found::Broken(usize::MAX));
    }
}
