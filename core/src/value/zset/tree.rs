//! A B+ tree with counts: handles of members in order, so that a member's rank, the member of a rank and the border of a range are found in
//! O(log n).
//!
//! Leaves hold eight bytes for each member; inner nodes hold of each child how many members it has and which is its first. It knows the
//! order, by score and then by bytes. It does not own members.

use std::cmp::Ordering;

use smallvec::SmallVec;

use super::member::Handle;
use crate::value::block::block_size;

/// Members of a leaf.
const LEAF_MAX: usize = 64;
/// Children of an inner node.
const FAN_MAX: usize = 32;
/// Neighbours that have no more together become one, which then still has room.
const LEAF_JOINED_MAX: usize = LEAF_MAX * 3 / 4;
const FAN_JOINED_MAX: usize = FAN_MAX * 3 / 4;
/// A tree made at once has leaves with room for a few more.
const LEAF_BUILT: usize = LEAF_MAX * 3 / 4;
const FAN_BUILT: usize = FAN_MAX * 3 / 4;

const LEAF_BYTES: usize = block_size(LEAF_MAX * size_of::<Handle>());
const INNER_BYTES: usize = block_size((FAN_MAX + 1) * size_of::<Child>());

enum Node {
    Leaf(Vec<Handle>),
    Inner(Vec<Child>),
}

struct Child {
    node: Node,
    count: usize,
    /// Of the first member: most comparisons end here.
    score: f64,
    first: Handle,
}

/// Handles in order.
pub(super) struct Tree {
    root: Node,
    len: usize,
    leaves: usize,
    inners: usize,
}

/// The order of members.
#[inline]
pub(super) fn compare(one: (f64, &[u8]), other: (f64, &[u8])) -> Ordering {
    match one.0.partial_cmp(&other.0) {
        Some(Ordering::Equal) | None => one.1.cmp(other.1),
        Some(unlike) => unlike,
    }
}

/// True if the member stands before a place in the order.
#[inline]
fn is_before(score: f64, handle: Handle, place: (f64, &[u8])) -> bool {
    score < place.0 || score == place.0 && handle.bytes() < place.1
}

fn new_leaf() -> Vec<Handle> {
    Vec::with_capacity(LEAF_MAX)
}

fn new_inner() -> Vec<Child> {
    Vec::with_capacity(FAN_MAX + 1)
}

impl Node {
    fn count(&self) -> usize {
        match self {
            Node::Leaf(handles) => handles.len(),
            Node::Inner(children) => children.iter().map(|child| child.count).sum(),
        }
    }

    fn first(&self) -> Handle {
        match self {
            Node::Leaf(handles) => handles[0],
            Node::Inner(children) => children[0].first,
        }
    }
}

impl Child {
    fn new(node: Node) -> Child {
        let (count, first) = (node.count(), node.first());
        Child { node, count, score: first.score(), first }
    }

    fn refresh(&mut self) {
        self.first = self.node.first();
        self.score = self.first.score();
    }
}

impl Default for Tree {
    fn default() -> Tree {
        Tree { root: Node::Leaf(new_leaf()), len: 0, leaves: 1, inners: 0 }
    }
}

impl Tree {
    /// Of members that come in order.
    pub(super) fn build(members: impl Iterator<Item = Handle>) -> Tree {
        let mut tree = Tree::default();
        let mut level: Vec<Child> = Vec::new();
        let mut leaf = new_leaf();
        for handle in members {
            tree.len += 1;
            if leaf.len() == LEAF_BUILT {
                level.push(Child::new(Node::Leaf(std::mem::replace(&mut leaf, new_leaf()))));
            }
            leaf.push(handle);
        }
        if level.is_empty() {
            tree.root = Node::Leaf(leaf);
            return tree;
        }
        level.push(Child::new(Node::Leaf(leaf)));
        tree.leaves = level.len();
        while level.len() > FAN_MAX {
            let mut above = Vec::new();
            let mut rest = level.into_iter().peekable();
            while rest.peek().is_some() {
                let mut inner = new_inner();
                inner.extend(rest.by_ref().take(FAN_BUILT));
                above.push(Child::new(Node::Inner(inner)));
            }
            tree.inners += above.len();
            level = above;
        }
        let mut inner = new_inner();
        inner.extend(level);
        tree.inners += 1;
        tree.root = Node::Inner(inner);
        tree
    }

    /// A tree of the same shape of other handles.
    pub(super) fn map(&self, of: &dyn Fn(Handle) -> Handle) -> Tree {
        fn copy(node: &Node, of: &dyn Fn(Handle) -> Handle) -> Node {
            match node {
                Node::Leaf(handles) => {
                    let mut leaf = new_leaf();
                    leaf.extend(handles.iter().map(|handle| of(*handle)));
                    Node::Leaf(leaf)
                }
                Node::Inner(children) => {
                    let mut inner = new_inner();
                    inner.extend(children.iter().map(|child| Child::new(copy(&child.node, of))));
                    Node::Inner(inner)
                }
            }
        }
        Tree { root: copy(&self.root, of), len: self.len, leaves: self.leaves, inners: self.inners }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many nodes.
    pub(super) fn nodes(&self) -> usize {
        self.leaves + self.inners
    }

    /// Bytes of the nodes' blocks.
    #[inline]
    pub(super) fn owned_bytes(&self) -> usize {
        self.leaves * LEAF_BYTES + self.inners * INNER_BYTES
    }

    /// Adds a member that is not there.
    pub(super) fn insert(&mut self, handle: Handle) {
        let place = (handle.score(), handle.bytes());
        let ends = (true, true);
        let (mut leaves, mut inners) = (0, 0);
        let right = insert(&mut self.root, handle, place, ends, &mut leaves, &mut inners);
        self.len += 1;
        if let Some(right) = right {
            let left = std::mem::replace(&mut self.root, Node::Leaf(Vec::new()));
            let mut root = new_inner();
            root.extend([Child::new(left), Child::new(right)]);
            self.root = Node::Inner(root);
            inners += 1;
        }
        self.leaves += leaves;
        self.inners += inners;
    }

    /// Removes a member; false if it is not there.
    pub(super) fn remove(&mut self, score: f64, bytes: &[u8]) -> bool {
        let (mut leaves, mut inners) = (0, 0);
        if !remove(&mut self.root, (score, bytes), &mut leaves, &mut inners) {
            return false;
        }
        self.len -= 1;
        while let Node::Inner(children) = &mut self.root
            && children.len() <= 1
        {
            inners += 1;
            match children.pop() {
                Some(child) => self.root = child.node,
                None => {
                    self.root = Node::Leaf(new_leaf());
                    self.leaves += 1;
                }
            }
        }
        self.leaves -= leaves;
        self.inners -= inners;
        true
    }

    /// How many members, from the first on, `is_before` says yes to: it says no to all that follow.
    #[inline]
    pub(super) fn partition(&self, is_before: impl Fn(f64, Handle) -> bool) -> usize {
        let (mut node, mut before) = (&self.root, 0);
        loop {
            match node {
                Node::Leaf(handles) => {
                    return before + handles.partition_point(|handle| is_before(handle.score(), *handle));
                }
                Node::Inner(children) => {
                    let at = children.partition_point(|child| is_before(child.score, child.first));
                    let Some(last) = at.checked_sub(1) else { return before };
                    before += children[..last].iter().map(|child| child.count).sum::<usize>();
                    node = &children[last].node;
                }
            }
        }
    }

    /// How many members stand before this one.
    pub(super) fn rank(&self, score: f64, bytes: &[u8]) -> usize {
        self.partition(|other, handle| is_before(other, handle, (score, bytes)))
    }

    /// The members from rank `from` on, first to last; or those before it, last to first.
    pub(super) fn walk(&self, from: usize, is_back: bool) -> Walk<'_> {
        let mut walk = Walk { path: SmallVec::new(), leaf: &[], at: 0, is_back };
        let (mut node, mut at) = (&self.root, from);
        loop {
            match node {
                Node::Leaf(handles) => {
                    (walk.leaf, walk.at) = (handles, at);
                    return walk;
                }
                Node::Inner(children) => {
                    let last = children.len() - 1;
                    let mut n = 0;
                    while n < last && at >= children[n].count {
                        at -= children[n].count;
                        n += 1;
                    }
                    walk.path.push((children, n));
                    node = &children[n].node;
                }
            }
        }
    }

    /// Takes about `steps` nodes away and forgets their members; how many. Nothing may be asked of the tree after that but this.
    pub(super) fn free_some(&mut self, steps: usize) -> usize {
        let mut freed = 0;
        while freed < steps && self.nodes() > 0 {
            let (leaves, inners) = free_last(&mut self.root);
            self.leaves -= leaves;
            self.inners -= inners;
            freed += leaves + inners;
        }
        if self.nodes() == 0 {
            self.len = 0;
        }
        freed
    }

    /// Panics unless the tree is well formed.
    #[cfg(test)]
    pub(super) fn check(&self) {
        fn check(node: &Node, leaves: &mut usize, inners: &mut usize, depth: usize) -> usize {
            match node {
                Node::Leaf(handles) => {
                    *leaves += 1;
                    assert!(handles.capacity() == LEAF_MAX && (depth == 0 || !handles.is_empty()));
                    0
                }
                Node::Inner(children) => {
                    *inners += 1;
                    assert!(children.capacity() == FAN_MAX + 1 && !children.is_empty());
                    let depths = children.iter().map(|child| {
                        assert_eq!(child.count, child.node.count());
                        assert_eq!(child.first.bytes().as_ptr(), child.node.first().bytes().as_ptr());
                        assert_eq!(child.score, child.first.score());
                        check(&child.node, leaves, inners, depth + 1)
                    });
                    let depths: Vec<usize> = depths.collect();
                    assert!(depths.iter().all(|depth| *depth == depths[0]), "all leaves are equally deep");
                    depths[0] + 1
                }
            }
        }
        let (mut leaves, mut inners) = (0, 0);
        check(&self.root, &mut leaves, &mut inners, 0);
        assert_eq!((leaves, inners, self.root.count()), (self.leaves, self.inners, self.len));
        let members: Vec<Handle> = self.walk(0, false).collect();
        let is_in_order = |pair: &[Handle]| {
            compare((pair[0].score(), pair[0].bytes()), (pair[1].score(), pair[1].bytes())).is_lt()
        };
        assert!(members.windows(2).all(is_in_order));
    }
}

/// Adds a member below a node, which may become two: then the right one is given back. `ends` says whether the node is the tree's first
/// and its last: who grows at an end leaves full nodes behind.
fn insert(
    node: &mut Node,
    handle: Handle,
    place: (f64, &[u8]),
    ends: (bool, bool),
    leaves: &mut usize,
    inners: &mut usize,
) -> Option<Node> {
    match node {
        Node::Leaf(handles) => {
            let at = handles.partition_point(|other| is_before(other.score(), *other, place));
            if handles.len() < LEAF_MAX {
                handles.insert(at, handle);
                return None;
            }
            *leaves += 1;
            let half = match at {
                0 if ends.0 => 0,
                LEAF_MAX if ends.1 => LEAF_MAX,
                _ => LEAF_MAX / 2,
            };
            let mut right = new_leaf();
            right.extend(handles.drain(half..));
            if at < half || half == 0 {
                handles.insert(at, handle);
            } else {
                right.insert(at - half, handle);
            }
            Some(Node::Leaf(right))
        }
        Node::Inner(children) => {
            let at = children.partition_point(|child| is_before(child.score, child.first, place));
            let at = at.saturating_sub(1);
            let last = children.len() - 1;
            let child = &mut children[at];
            let ends = (ends.0 && at == 0, ends.1 && at == last);
            let right = insert(&mut child.node, handle, place, ends, leaves, inners);
            child.count += 1;
            if at == 0 || right.is_some() {
                child.refresh();
            }
            let right = Child::new(right?);
            child.count -= right.count;
            children.insert(at + 1, right);
            if children.len() <= FAN_MAX {
                return None;
            }
            *inners += 1;
            let half = match at + 1 {
                FAN_MAX if ends.1 => FAN_MAX,
                1 if ends.0 => 1,
                _ => FAN_MAX / 2,
            };
            let mut right = new_inner();
            right.extend(children.drain(half..));
            Some(Node::Inner(right))
        }
    }
}

fn remove(node: &mut Node, place: (f64, &[u8]), leaves: &mut usize, inners: &mut usize) -> bool {
    match node {
        Node::Leaf(handles) => {
            let at = handles.partition_point(|other| is_before(other.score(), *other, place));
            let is_there =
                handles.get(at).is_some_and(|other| compare((other.score(), other.bytes()), place).is_eq());
            if is_there {
                handles.remove(at);
            }
            is_there
        }
        Node::Inner(children) => {
            // The last child that does not begin behind the place.
            let at =
                children.partition_point(|child| compare((child.score, child.first.bytes()), place).is_le());
            let Some(at) = at.checked_sub(1) else { return false };
            let child = &mut children[at];
            if !remove(&mut child.node, place, leaves, inners) {
                return false;
            }
            child.count -= 1;
            if child.count == 0 {
                match children.remove(at).node {
                    Node::Leaf(_) => *leaves += 1,
                    Node::Inner(_) => *inners += 1,
                }
                return true;
            }
            child.refresh();
            if at + 1 < children.len() && fits(&children[at], &children[at + 1]) {
                join(children, at, leaves, inners);
            } else if at > 0 && fits(&children[at - 1], &children[at]) {
                join(children, at - 1, leaves, inners);
            }
            true
        }
    }
}

/// True if two neighbours may become one.
fn fits(left: &Child, right: &Child) -> bool {
    match (&left.node, &right.node) {
        (Node::Leaf(left), Node::Leaf(right)) => left.len() + right.len() <= LEAF_JOINED_MAX,
        (Node::Inner(left), Node::Inner(right)) => left.len() + right.len() <= FAN_JOINED_MAX,
        _ => false,
    }
}

fn join(children: &mut Vec<Child>, at: usize, leaves: &mut usize, inners: &mut usize) {
    let gone = children.remove(at + 1);
    let left = &mut children[at];
    left.count += gone.count;
    match (&mut left.node, gone.node) {
        (Node::Leaf(left), Node::Leaf(right)) => {
            left.extend(right);
            *leaves += 1;
        }
        (Node::Inner(left), Node::Inner(right)) => {
            left.extend(right);
            *inners += 1;
        }
        _ => unreachable!("neighbours are equally deep"),
    }
}

/// Takes the last leaf away and what has no children then; how many leaves and inner nodes.
fn free_last(root: &mut Node) -> (usize, usize) {
    let Node::Inner(children) = root else {
        *root = Node::Leaf(Vec::new());
        return (1, 0);
    };
    let Some(last) = children.last_mut() else {
        *root = Node::Leaf(Vec::new());
        return (0, 1);
    };
    match &mut last.node {
        Node::Leaf(_) => {
            children.pop();
            (1, 0)
        }
        Node::Inner(below) if below.is_empty() => {
            children.pop();
            (0, 1)
        }
        inner => free_last(inner),
    }
}

/// Members in order, in either direction.
#[derive(Clone)]
pub(super) struct Walk<'a> {
    /// Inner nodes above the leaf, and which of their children the way leads through.
    path: SmallVec<[(&'a [Child], usize); 6]>,
    leaf: &'a [Handle],
    /// Which member comes next; on the way back, behind which.
    at: usize,
    is_back: bool,
}

impl<'a> Walk<'a> {
    /// Goes to the next leaf, or the one before; false if there is none.
    fn turn_page(&mut self) -> bool {
        let mut up = self.path.len();
        let mut node = loop {
            let Some(above) = up.checked_sub(1) else { return false };
            let (children, at) = &mut self.path[above];
            let next =
                if self.is_back { at.checked_sub(1) } else { Some(*at + 1).filter(|n| *n < children.len()) };
            match next {
                Some(next) => {
                    *at = next;
                    self.path.truncate(up);
                    let (children, at) = self.path[above];
                    break &children[at].node;
                }
                None => up = above,
            }
        };
        loop {
            match node {
                Node::Leaf(handles) => {
                    self.leaf = handles;
                    self.at = if self.is_back { handles.len() } else { 0 };
                    return true;
                }
                Node::Inner(children) => {
                    let at = if self.is_back { children.len() - 1 } else { 0 };
                    self.path.push((children, at));
                    node = &children[at].node;
                }
            }
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = Handle;

    #[inline]
    fn next(&mut self) -> Option<Handle> {
        loop {
            if self.is_back {
                if let Some(at) = self.at.checked_sub(1) {
                    self.at = at;
                    return self.leaf.get(at).copied();
                }
            } else if let Some(handle) = self.leaf.get(self.at) {
                self.at += 1;
                return Some(*handle);
            }
            if !self.turn_page() {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::member::Member;
    use super::*;

    fn members(count: usize) -> Vec<Member> {
        (0..count).map(|n| Member::new((n / 3) as f64, format!("m{n:06}").as_bytes())).collect()
    }

    /// Every one of `0..count` once, in an order that looks random.
    fn scattered(count: usize) -> impl Iterator<Item = usize> {
        (0..count).map(move |n| n * 7_919 % count)
    }

    #[test]
    fn ranks_and_members_lead_to_each_other_while_it_grows_and_shrinks() {
        const COUNT: usize = 5_000;
        let members = members(COUNT);
        let orders: [Vec<usize>; 3] =
            [(0..COUNT).collect(), (0..COUNT).rev().collect(), scattered(COUNT).collect()];
        for order in orders {
            let mut tree = Tree::default();
            for n in order.iter().copied() {
                tree.insert(members[n].handle());
            }
            tree.check();
            for n in [0, 1, 63, 64, 2_500, COUNT - 1] {
                assert_eq!(tree.rank(members[n].score(), members[n].bytes()), n);
                let ahead = tree.walk(n, false).map(|handle| handle.bytes().as_ptr()).take(200);
                assert!(ahead.eq(members[n..].iter().map(|member| member.bytes().as_ptr()).take(200)));
                let back = tree.walk(n, true).map(|handle| handle.bytes().as_ptr());
                assert!(back.eq(members[..n].iter().rev().map(|member| member.bytes().as_ptr())));
            }
            assert!(!tree.remove(-1.0, b"none") && !tree.remove(7.0, b"none") && !tree.remove(1e9, b"none"));
            for (step, n) in order.into_iter().enumerate() {
                assert!(tree.remove(members[n].score(), members[n].bytes()));
                if step % 500 == 0 {
                    tree.check();
                }
            }
            assert_eq!((tree.len(), tree.nodes()), (0, 1));
        }
    }

    #[test]
    fn who_grows_at_an_end_leaves_full_nodes_behind() {
        let members = members(10_000);
        for is_back in [false, true] {
            let mut tree = Tree::default();
            let mut order: Vec<&Member> = members.iter().collect();
            if is_back {
                order.reverse();
            }
            order.iter().for_each(|member| tree.insert(member.handle()));
            tree.check();
            assert!(tree.owned_bytes() < 10_000 * 11, "{} bytes", tree.owned_bytes());
        }
    }

    #[test]
    fn it_is_built_at_once_and_freed_in_steps() {
        for count in [0, 1, 48, 49, 64, 1_000, 50_000] {
            let members = members(count);
            let mut tree = Tree::build(members.iter().map(Member::handle));
            tree.check();
            let copy = tree.map(&|handle| handle);
            copy.check();
            assert_eq!((copy.len(), copy.owned_bytes()), (count, tree.owned_bytes()));
            let mut calls = 0;
            while tree.free_some(10) > 0 {
                calls += 1;
            }
            assert_eq!((tree.nodes(), tree.owned_bytes()), (0, 0));
            assert!(calls * 10 >= count / 48, "{calls}");
        }
    }
}
