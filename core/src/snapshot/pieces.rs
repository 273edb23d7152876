//! A dump as it is read: pieces one after the other, in which entries stand whole.
//!
//! Each piece was read behind a gap, into which goes what the one before has left over; so nothing but what stands across the border of two is ever
//! copied, and shards may keep a piece until they have taken their keys out of it. What they have let go of is read into again.
//!
//! It knows bytes and where they stand in the file. It does not know what they say.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::rdb::file::sum_on;

/// Room before each piece for what is left over of the one before. What is longer than that is copied with the piece.
const GAP: usize = 64 << 10;
/// Pieces that shards have and that are looked after, to be used again.
const LENT_MAX: usize = 8;

/// Pieces that were read, and how far they were looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pieces {
    /// Looked at from `start` on.
    piece: Vec<u8>,
    start: usize,
    /// Where `start` is in the file.
    at: u64,
    /// Bytes of the piece that are in the sum, those included that stand before its beginning.
    summed: usize,
    sum: u64,
    /// Read, oldest first, each behind a gap.
    came: VecDeque<Vec<u8>>,
    /// Bytes of those, without gaps.
    came_bytes: usize,
    lent: Vec<Arc<Vec<u8>>>,
    spare: Vec<Vec<u8>>,
}

impl Pieces {
    /// What of the piece was not looked at.
    pub fn rest(&self) -> &[u8] {
        &self.piece[self.start..]
    }

    /// Bytes that were read and not looked at.
    pub fn left(&self) -> usize {
        self.rest().len() + self.came_bytes
    }

    /// Where the rest begins in the file.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Where the rest begins in the piece.
    pub fn start(&self) -> usize {
        self.start
    }

    /// So many bytes of the rest were looked at.
    pub fn consume(&mut self, len: usize) {
        self.start += len;
        self.at += len as u64;
    }

    /// The checksum of everything that was looked at.
    pub fn sum(&mut self) -> u64 {
        self.sum = sum_on(self.sum, &self.piece[self.summed..self.start]);
        self.summed = self.start;
        self.sum
    }

    /// Where to read so many bytes, behind what it holds.
    pub fn room(&mut self, len: usize) -> Vec<u8> {
        let is_free = |piece: &Arc<Vec<u8>>| Arc::strong_count(piece) == 1;
        if self.spare.is_empty()
            && let Some(free) = self.lent.iter().position(is_free)
        {
            self.spare.extend(Arc::into_inner(self.lent.swap_remove(free)));
        }
        let fits = |room: &Vec<u8>| (GAP + len..2 * (GAP + len)).contains(&room.capacity());
        let mut room = self.spare.pop().filter(fits).unwrap_or_else(|| Vec::with_capacity(GAP + len));
        room.resize(GAP, 0);
        room
    }

    /// That room, with what was read; how many bytes that is.
    pub fn add(&mut self, room: Vec<u8>) -> usize {
        let len = room.len().saturating_sub(GAP);
        if len > 0 {
            self.came_bytes += len;
            self.came.push_back(room);
        }
        len
    }

    /// True if more was read than this piece.
    pub fn has_next(&self) -> bool {
        !self.came.is_empty()
    }

    /// Goes on to the next piece, which begins with what is left of this one. If this one `is_wanted` it is given, and where its first byte is in
    /// the file, modulo 2^64.
    pub fn turn(&mut self, is_wanted: bool) -> Option<(Arc<Vec<u8>>, u64)> {
        self.sum();
        let piece_at = self.at.wrapping_sub(self.start as u64);
        let mut next = self.came.pop_front().unwrap_or_else(|| vec![0; GAP]);
        self.came_bytes -= next.len() - GAP;
        let rest = &self.piece[self.start..];
        let (piece, start) = match GAP.checked_sub(rest.len()) {
            Some(start) => {
                next[start..GAP].copy_from_slice(rest);
                (std::mem::replace(&mut self.piece, next), start)
            }
            None if is_wanted => {
                let longer = [rest, &next[GAP..]].concat();
                self.spare.push(next);
                (std::mem::replace(&mut self.piece, longer), 0)
            }
            None => {
                self.piece.drain(..self.start);
                self.piece.extend_from_slice(&next[GAP..]);
                (next, 0)
            }
        };
        (self.start, self.summed) = (start, start);
        if !is_wanted {
            self.spare.push(piece);
            return None;
        }
        let piece = Arc::new(piece);
        if self.lent.len() >= LENT_MAX {
            self.lent.remove(0);
        }
        self.lent.push(Arc::clone(&piece));
        Some((piece, piece_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn what_was_read_is_what_there_is_however_it_is_cut(
            reads in prop::collection::vec(1usize..100_000, 1..12),
            items in prop::collection::vec(prop_oneof![1usize..500, 1usize..200_000], 1..12),
            keeps in any::<u64>(),
        ) {
            let len: usize = reads.iter().sum();
            let file: Vec<u8> = (0..len).map(|n| (n * 31 + n / 251) as u8).collect();
            let (mut pieces, mut kept, mut read) = (Pieces::default(), Vec::new(), 0);
            let (mut reads, mut items) = (reads.into_iter(), items.into_iter().cycle().enumerate());
            // An item of at least so many bytes is looked for.
            let (mut n, mut item) = items.next().unwrap();
            loop {
                prop_assert_eq!(pieces.left() as u64 + pieces.at(), read as u64);
                prop_assert_eq!(pieces.rest(), &file[pieces.at() as usize..][..pieces.rest().len()]);
                if pieces.rest().len() >= item {
                    pieces.consume(item);
                    (n, item) = items.next().unwrap();
                } else if pieces.has_next() {
                    let (start, is_wanted) = (pieces.start(), keeps >> (n % 64) & 1 == 1);
                    let before = pieces.rest().to_vec();
                    if let Some((piece, at)) = pieces.turn(is_wanted) {
                        prop_assert_eq!(&piece[start..][..before.len()], &before);
                        prop_assert_eq!(at.wrapping_add(start as u64), pieces.at());
                        kept.push((piece.to_vec(), piece));
                    }
                    if n % 3 == 0 {
                        kept.clear();
                    }
                    prop_assert!(pieces.rest().starts_with(&before));
                } else {
                    let Some(count) = reads.next() else { break };
                    let mut room = pieces.room(100_000);
                    room.extend_from_slice(&file[read..read + count]);
                    prop_assert_eq!(pieces.add(room), count);
                    read += count;
                }
                prop_assert!(kept.iter().all(|(bytes, piece)| bytes == &**piece), "what a shard has stays");
            }
            prop_assert_eq!(pieces.sum(), sum_on(0, &file[..pieces.at() as usize]));
        }
    }

    #[test]
    fn what_nobody_has_any_more_is_read_into_again() {
        let mut pieces = Pieces::default();
        let mut rooms = std::collections::BTreeSet::new();
        for _ in 0..100 {
            let mut room = pieces.room(1_000);
            rooms.insert(room.as_ptr() as usize);
            room.extend_from_slice(&[7; 1_000]);
            pieces.add(room);
            drop(pieces.turn(true));
            pieces.consume(1_000);
        }
        assert!(rooms.len() <= 3, "{}", rooms.len());
    }
}
