//! A large sorted set: a table that owns the members and finds them by their bytes, and a tree that has them in order.
//!
//! Every handle in the tree is of a member in the table: a member enters the table before the tree and leaves the tree before the table.
//! The table grows by small segments, so that no single insertion moves more than a few hundred members.

use super::member::{Handle, Member};
use super::tree::{Tree, Walk};
use crate::hash::{KeyHash, KeyHasher};
use crate::table::{Cursor, Dashtable};

/// Small segments: of a set of a few hundred members hardly anything is empty.
type Table = Dashtable<Member, 16, 1, 14>;

/// Where members lie says nothing to who does not see the table, and a copy on another core lies as its original does.
const SEEDS: [u64; 4] = [0x6d65_6d62, 0x7a73_6574, 0x7363_6f72, 0x6f72_6465];

/// Members by their bytes and in order.
pub(super) struct Large {
    table: Table,
    tree: Tree,
    /// What the members' blocks take.
    member_bytes: usize,
}

impl Large {
    /// Of pairs that come in order.
    pub(super) fn build(pairs: impl Iterator<Item = Member>) -> Large {
        let mut large =
            Large { table: Table::new(KeyHasher::new(SEEDS)), tree: Tree::default(), member_bytes: 0 };
        let mut handles = Vec::new();
        for member in pairs {
            handles.push(member.handle());
            large.member_bytes += member.owned_bytes();
            let hash = large.table.hash(member.bytes());
            large.table.insert(member, hash);
        }
        large.tree = Tree::build(handles.into_iter());
        large
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    #[inline]
    pub(super) fn owned_bytes(&self) -> usize {
        self.table.allocated_bytes() + self.tree.owned_bytes() + self.member_bytes
    }

    pub(super) fn nodes(&self) -> usize {
        self.tree.nodes()
    }

    #[inline]
    fn hash(&self, member: &[u8]) -> KeyHash {
        self.table.hash(member)
    }

    pub(super) fn score(&self, member: &[u8]) -> Option<f64> {
        self.table.get(member, self.hash(member)).map(Member::score)
    }

    /// Sets a member's score; the one that it had.
    pub(super) fn insert(&mut self, bytes: &[u8], score: f64) -> Option<f64> {
        let hash = self.hash(bytes);
        if let Some(member) = self.table.get_mut(bytes, hash) {
            let before = member.score();
            if before != score {
                self.tree.remove(before, bytes);
                member.set_score(score);
                self.tree.insert(member.handle());
            }
            return Some(before);
        }
        let member = Member::new(score, bytes);
        let handle = member.handle();
        self.member_bytes += member.owned_bytes();
        self.table.insert(member, hash);
        self.tree.insert(handle);
        None
    }

    pub(super) fn remove(&mut self, bytes: &[u8]) -> Option<f64> {
        let hash = self.hash(bytes);
        let score = self.table.get(bytes, hash)?.score();
        let is_there = self.tree.remove(score, bytes);
        debug_assert!(is_there, "what is in the table is in the tree");
        let member = self.table.remove(bytes, hash)?;
        self.member_bytes -= member.owned_bytes();
        Some(score)
    }

    /// Removes the members of these ranks.
    pub(super) fn remove_range(&mut self, from: usize, to: usize) {
        let gone: Vec<Handle> = self.tree.walk(from, false).take(to - from).collect();
        for handle in gone {
            // The tree forgets the member while its bytes are still there.
            self.tree.remove(handle.score(), handle.bytes());
            let hash = self.table.hash(handle.bytes());
            if let Some(member) = self.table.remove(handle.bytes(), hash) {
                self.member_bytes -= member.owned_bytes();
            }
        }
    }

    pub(super) fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        let score = self.score(member)?;
        Some((self.tree.rank(score, member), score))
    }

    #[inline]
    pub(super) fn partition(&self, is_before: impl Fn(f64, &[u8]) -> bool) -> usize {
        self.tree.partition(|score, handle| is_before(score, handle.bytes()))
    }

    pub(super) fn walk(&self, from: usize, is_back: bool) -> Walk<'_> {
        self.tree.walk(from, is_back)
    }

    pub(super) fn scan(&self, cursor: Cursor, emit: &mut dyn FnMut(&[u8], f64)) -> Cursor {
        self.table.scan(cursor, &mut |member| emit(member.bytes(), member.score()))
    }

    /// Frees about `steps` nodes, or members by the dozen. After that it is only freed.
    pub(super) fn free_some(&mut self, steps: usize) -> usize {
        /// Members that are freed as fast as a node.
        const MEMBERS_PER_STEP: usize = 16;
        let mut freed = self.tree.free_some(steps);
        while freed < steps {
            let Some(members) = self.table.take_segment() else { break };
            self.member_bytes -= members.iter().map(Member::owned_bytes).sum::<usize>();
            freed += 1 + members.len() / MEMBERS_PER_STEP;
        }
        freed
    }

    /// Panics unless table and tree agree.
    #[cfg(test)]
    pub(super) fn check(&self) {
        self.tree.check();
        assert_eq!(self.table.len(), self.tree.len());
        let found = self.tree.walk(0, false).all(|handle| {
            let member = self.table.get(handle.bytes(), self.hash(handle.bytes()));
            member.is_some_and(|member| member.bytes().as_ptr() == handle.bytes().as_ptr())
        });
        assert!(found, "what is in the tree is in the table");
        let bytes: usize = self.table.iter().map(Member::owned_bytes).sum();
        assert_eq!(bytes, self.member_bytes);
    }
}

impl Clone for Large {
    fn clone(&self) -> Large {
        let table = self.table.clone();
        let tree = self.tree.map(&|handle| {
            let copy = table.get(handle.bytes(), table.hash(handle.bytes()));
            copy.expect("what is in the tree is in the table").handle()
        });
        Large { table, tree, member_bytes: self.member_bytes }
    }
}
