//! Elements of a list, one after the other, whichever packs they lie in.
//!
//! It knows the way from pack to pack. It does not know how packs came to be.

use super::List;
use crate::value::element::Element;
use crate::value::pack::Side;

/// Elements of a list in either direction, borrowed.
#[derive(Clone)]
pub struct Elements<'a> {
    pub(super) list: &'a List,
    pub(super) pack: usize,
    /// Where the next element begins, or ends if the way leads to the head.
    pub(super) offset: usize,
    pub(super) left: usize,
    /// Where the way comes from.
    pub(super) side: Side,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        self.left = self.left.checked_sub(1)?;
        loop {
            let pack = self.list.pack(self.pack)?;
            if self.side == Side::Left {
                if let Some((element, next)) = pack.at(self.offset) {
                    self.offset = next;
                    return Some(element);
                }
                self.pack += 1;
                self.offset = 0;
            } else {
                if let Some(before) = pack.before(self.offset) {
                    self.offset = before;
                    return pack.at(before).map(|(element, _)| element);
                }
                self.pack = self.pack.checked_sub(1)?;
                self.offset = self.list.pack(self.pack)?.used();
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Elements<'_> {}
