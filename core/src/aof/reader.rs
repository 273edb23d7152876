//! A log on its way in: groups, one after the other, of what has been read so far.
//!
//! It knows where groups end. It does not know what is in them, and asks for bytes instead of reading them.

use crate::aof::group::{Found, HEADER, find};
use crate::aof::inflow::Inflow;

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// A group's lines, and where in the file it ends.
    Group(Vec<u8>, u64),
    /// More must be read.
    Read,
    /// There is no more; so many bytes at the end are no whole group.
    End(u64),
    /// The file is damaged at this byte: what follows is whole.
    Damaged(u64),
}

/// A log that is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reader {
    /// What was read of it.
    pub file: Inflow,
    /// Groups that end behind this do not count.
    limit: u64,
    has_header: bool,
}

impl Reader {
    /// Before anything was read.
    pub fn new(path: String, limit: u64) -> Reader {
        Reader { file: Inflow::new(path, 0), limit, has_header: false }
    }

    /// A piece was read; an empty one is the end.
    pub fn add(&mut self, bytes: &[u8]) {
        self.file.add(bytes);
    }

    /// Takes the next group.
    pub fn take_next(&mut self) -> Next {
        if self.limit == 0 {
            return Next::End(0);
        }
        if self.file.lacks() {
            return Next::Read;
        }
        let rest = self.file.rest();
        if !self.has_header {
            if rest.is_empty() && self.file.is_read() {
                return Next::End(0);
            }
            let known = rest.len().min(HEADER.len());
            if rest[..known] != HEADER[..known] {
                return Next::Damaged(0);
            }
            if known < HEADER.len() {
                self.file.need(HEADER.len());
                return if self.file.is_read() { Next::End(known as u64) } else { Next::Read };
            }
            self.has_header = true;
            self.file.pass(HEADER.len());
            return self.take_next();
        }
        if rest.is_empty() || self.file.at() >= self.limit {
            return Next::End(0);
        }
        match find(rest) {
            Found::Group(lines) => {
                let len = rest.len() - find_rest(rest, lines);
                let lines = lines.to_vec();
                self.file.pass(len);
                Next::Group(lines, self.file.at())
            }
            Found::Needs(len) if !self.file.is_read() => {
                self.file.need(len);
                Next::Read
            }
            // What a whole group follows was not the end of what was written.
            Found::Broken(len)
                if rest.get(len..).is_some_and(|after| matches!(find(after), Found::Group(_))) =>
            {
                Next::Damaged(self.file.at())
            }
            Found::Broken(_) if !self.file.is_read() => {
                // The rest tells whether anything whole follows.
                let needs = rest.len() + 1;
                self.file.need(needs);
                Next::Read
            }
            Found::Needs(_) | Found::Broken(_) => Next::End(rest.len() as u64),
        }
    }
}

/// Bytes behind a group's lines.
fn find_rest(rest: &[u8], lines: &[u8]) -> usize {
    let end = lines.as_ptr() as usize + lines.len() - rest.as_ptr() as usize;
    rest.len() - end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aof::group::{FRAME_LEN, frame};
    use proptest::prelude::*;

    fn file(groups: &[Vec<u8>]) -> Vec<u8> {
        let mut file = HEADER.to_vec();
        for lines in groups {
            let mut group = vec![0; FRAME_LEN];
            group.extend_from_slice(lines);
            frame(&mut group);
            file.extend_from_slice(&group);
        }
        file
    }

    fn read(file: &[u8], piece: usize, limit: u64) -> (Vec<Vec<u8>>, Next) {
        let (mut reader, mut groups) = (Reader::new("log".into(), limit), Vec::new());
        loop {
            match reader.take_next() {
                Next::Group(lines, end) => {
                    assert_eq!(end, reader.file.at());
                    groups.push(lines);
                }
                Next::Read => {
                    let at = reader.file.read_to as usize;
                    reader.add(&file[at..file.len().min(at + piece)]);
                }
                end => return (groups, end),
            }
        }
    }

    proptest! {
        #[test]
        fn groups_are_found_in_any_pieces(
            groups in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
            piece in 1usize..50, cut in any::<usize>(), bit in any::<usize>(),
        ) {
            let whole = file(&groups);
            prop_assert_eq!(read(&whole, piece, u64::MAX), (groups.clone(), Next::End(0)));
            let cut = cut % (whole.len() + 1);
            let (found, end) = read(&whole[..cut], piece, u64::MAX);
            prop_assert!(groups.starts_with(&found) && matches!(end, Next::End(_)));
            if let Some(last) = groups.last() {
                // A group that is changed is the end, or damage, as something whole follows it or not.
                let first = HEADER.len() + FRAME_LEN;
                let mut changed = whole.clone();
                changed[first + bit % groups[0].len()] ^= 1;
                let (found, end) = read(&changed, piece, u64::MAX);
                prop_assert!(found.is_empty());
                prop_assert_eq!(matches!(end, Next::Damaged(_)), groups.len() > 1);
                let limit = whole.len() - last.len() - FRAME_LEN;
                let (found, _) = read(&whole, piece, limit as u64);
                prop_assert_eq!(found.len(), groups.len() - 1);
            }
        }
    }
}
