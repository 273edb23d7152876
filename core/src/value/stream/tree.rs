//! A map ordered by ids, as a tree of sorted blocks: entries lie in the leaves, and what is added at the end fills them.
//!
//! It accounts for its own blocks; what its values own is their owner's business. It does not know what ids name.

use super::super::block::block_size;
use super::id::StreamId;

/// Entries of a leaf at the most.
const LEAF_MAX: usize = if cfg!(test) { 8 } else { 64 };
/// Children of an inner node at the most.
const INNER_MAX: usize = if cfg!(test) { 4 } else { 32 };

/// An ordered map.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tree<V> {
    root: Node<V>,
    len: usize,
    /// Of all nodes.
    bytes: usize,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Node<V> {
    Leaf(Vec<(StreamId, V)>),
    Inner(Vec<Child<V>>),
}

/// A node with a bound: nothing in it is below, but for the first of its parent, which has what is below all bounds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Child<V> {
    low: StreamId,
    node: Node<V>,
}

impl<V> Default for Tree<V> {
    fn default() -> Tree<V> {
        Tree { root: Node::Leaf(Vec::new()), len: 0, bytes: 0 }
    }
}

impl<V: Clone> Clone for Node<V> {
    /// In blocks of the same sizes, so that a clone owns as many bytes.
    fn clone(&self) -> Node<V> {
        match self {
            Node::Leaf(entries) => Node::Leaf(same_size(entries)),
            Node::Inner(children) => Node::Inner(same_size(children)),
        }
    }
}

fn same_size<T: Clone>(from: &Vec<T>) -> Vec<T> {
    let mut copy = Vec::with_capacity(from.capacity());
    copy.extend_from_slice(from);
    copy
}

fn vec_bytes<T>(vec: &Vec<T>) -> usize {
    block_size(vec.capacity() * size_of::<T>())
}

/// Makes room for one more, `max` at the most, and accounts for it.
fn make_room<T>(vec: &mut Vec<T>, max: usize, bytes: &mut usize) {
    if vec.len() == vec.capacity() {
        *bytes -= vec_bytes(vec);
        vec.reserve_exact((vec.len() * 2).clamp(1, max.max(vec.len() + 1)) - vec.len());
        *bytes += vec_bytes(vec);
    }
}

/// Gives a block back most of which is free.
fn give_back<T>(vec: &mut Vec<T>, bytes: &mut usize) {
    if vec.is_empty() || vec.capacity() >= 8 && vec.len() <= vec.capacity() / 4 {
        *bytes -= vec_bytes(vec);
        vec.shrink_to(vec.len() * 2);
        *bytes += vec_bytes(vec);
    }
}

/// Cuts the end off, into a block of its own that may take `max`.
fn cut<T>(vec: &mut Vec<T>, at: usize, max: usize, bytes: &mut usize) -> Vec<T> {
    let mut right = Vec::with_capacity(max);
    right.extend(vec.drain(at..));
    *bytes += vec_bytes(&right);
    right
}

impl<V> Node<V> {
    fn len(&self) -> usize {
        match self {
            Node::Leaf(entries) => entries.len(),
            Node::Inner(children) => children.len(),
        }
    }

    fn child_of(children: &[Child<V>], id: StreamId) -> usize {
        children.partition_point(|child| child.low <= id).saturating_sub(1)
    }

    /// Adds what is not there; the right half of a node that had to be split.
    fn insert(&mut self, id: StreamId, value: V, bytes: &mut usize) -> Option<Child<V>> {
        match self {
            Node::Leaf(entries) => {
                let at = entries.partition_point(|(other, _)| *other < id);
                if entries.len() < LEAF_MAX {
                    make_room(entries, LEAF_MAX, bytes);
                    entries.insert(at, (id, value));
                    return None;
                }
                let mut right;
                if at == entries.len() {
                    right = Vec::new();
                    make_room(&mut right, LEAF_MAX, bytes);
                    right.push((id, value));
                } else {
                    right = cut(entries, LEAF_MAX / 2, LEAF_MAX, bytes);
                    match at <= LEAF_MAX / 2 {
                        true => entries.insert(at, (id, value)),
                        false => right.insert(at - LEAF_MAX / 2, (id, value)),
                    }
                }
                Some(Child { low: right[0].0, node: Node::Leaf(right) })
            }
            Node::Inner(children) => {
                let at = Node::child_of(children, id);
                let split = children[at].node.insert(id, value, bytes)?;
                if children.len() < INNER_MAX {
                    make_room(children, INNER_MAX, bytes);
                    children.insert(at + 1, split);
                    return None;
                }
                let mut right;
                if at + 1 == children.len() {
                    right = Vec::new();
                    make_room(&mut right, INNER_MAX, bytes);
                    right.push(split);
                } else {
                    right = cut(children, INNER_MAX / 2, INNER_MAX, bytes);
                    match at < INNER_MAX / 2 {
                        true => children.insert(at + 1, split),
                        false => right.insert(at + 1 - INNER_MAX / 2, split),
                    }
                }
                Some(Child { low: right[0].low, node: Node::Inner(right) })
            }
        }
    }

    fn remove(&mut self, id: StreamId, bytes: &mut usize) -> Option<V> {
        match self {
            Node::Leaf(entries) => {
                let at = entries.binary_search_by(|(other, _)| other.cmp(&id)).ok()?;
                let (_, value) = entries.remove(at);
                give_back(entries, bytes);
                Some(value)
            }
            Node::Inner(children) => {
                let at = Node::child_of(children, id);
                let value = children[at].node.remove(id, bytes)?;
                Node::tidy(children, at, bytes);
                Some(value)
            }
        }
    }

    /// A child has become smaller: it is dropped if it is empty, and put together with a neighbour if both are small.
    fn tidy(children: &mut Vec<Child<V>>, at: usize, bytes: &mut usize) {
        if children[at].node.len() == 0 {
            children.remove(at);
            return give_back(children, bytes);
        }
        let max = match &children[at].node {
            Node::Leaf(_) => LEAF_MAX,
            Node::Inner(_) => INNER_MAX,
        };
        let len = |n: usize| children.get(n).map_or(usize::MAX, |child| child.node.len());
        if len(at) > max / 4 {
            return;
        }
        let fits = |n: &usize| len(*n).saturating_add(len(*n + 1)) <= max / 2;
        let Some(left) = [at.wrapping_sub(1), at].into_iter().filter(|n| *n < children.len()).find(fits)
        else {
            return;
        };
        let right = children.remove(left + 1);
        match (&mut children[left].node, right.node) {
            (Node::Leaf(entries), Node::Leaf(right)) => join(entries, right, max, bytes),
            (Node::Inner(children), Node::Inner(right)) => join(children, right, max, bytes),
            _ => unreachable!("all leaves are equally deep"),
        }
        give_back(children, bytes);
    }

    /// The entries of one leaf that are not below an id; empty if there are none at all.
    fn slice_from(&self, id: StreamId) -> &[(StreamId, V)] {
        match self {
            Node::Leaf(entries) => &entries[entries.partition_point(|(other, _)| *other < id)..],
            Node::Inner(children) => {
                let from = Node::child_of(children, id);
                let slices = children[from..].iter().map(|child| child.node.slice_from(id));
                slices.into_iter().find(|slice| !slice.is_empty()).unwrap_or(&[])
            }
        }
    }

    /// The entries of one leaf that are not above an id; empty if there are none at all.
    fn slice_until(&self, id: StreamId) -> &[(StreamId, V)] {
        match self {
            Node::Leaf(entries) => &entries[..entries.partition_point(|(other, _)| *other <= id)],
            Node::Inner(children) => {
                let until = Node::child_of(children, id);
                let slices = children[..=until].iter().rev().map(|child| child.node.slice_until(id));
                slices.into_iter().find(|slice| !slice.is_empty()).unwrap_or(&[])
            }
        }
    }

    fn get_mut(&mut self, id: StreamId) -> Option<&mut V> {
        match self {
            Node::Leaf(entries) => {
                let at = entries.binary_search_by(|(other, _)| other.cmp(&id)).ok()?;
                Some(&mut entries[at].1)
            }
            Node::Inner(children) => {
                let at = Node::child_of(children, id);
                children[at].node.get_mut(id)
            }
        }
    }

    fn last_mut(&mut self) -> Option<&mut (StreamId, V)> {
        match self {
            Node::Leaf(entries) => entries.last_mut(),
            Node::Inner(children) => children.last_mut()?.node.last_mut(),
        }
    }

    /// Takes the last leaf out.
    fn take_last(&mut self, bytes: &mut usize) -> Vec<(StreamId, V)> {
        match self {
            Node::Leaf(entries) => {
                *bytes -= vec_bytes(entries);
                std::mem::take(entries)
            }
            Node::Inner(children) => {
                let Some(last) = children.last_mut() else { return Vec::new() };
                let taken = last.node.take_last(bytes);
                let at = children.len() - 1;
                if children[at].node.len() == 0 {
                    children.pop();
                    give_back(children, bytes);
                }
                taken
            }
        }
    }
}

fn join<T>(left: &mut Vec<T>, right: Vec<T>, max: usize, bytes: &mut usize) {
    *bytes -= vec_bytes(left) + vec_bytes(&right);
    left.reserve_exact(right.len().max(max / 2 - left.len()));
    left.extend(right);
    *bytes += vec_bytes(left);
}

impl<V> Tree<V> {
    /// Entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True without entries.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of its nodes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds an entry whose id is not there.
    pub fn insert(&mut self, id: StreamId, value: V) {
        self.len += 1;
        let Some(right) = self.root.insert(id, value, &mut self.bytes) else { return };
        let mut children = Vec::new();
        make_room(&mut children, INNER_MAX, &mut self.bytes);
        let left = std::mem::replace(&mut self.root, Node::Leaf(Vec::new()));
        children.push(Child { low: StreamId::MIN, node: left });
        make_room(&mut children, INNER_MAX, &mut self.bytes);
        children.push(right);
        self.root = Node::Inner(children);
    }

    /// Takes an entry out.
    pub fn remove(&mut self, id: StreamId) -> Option<V> {
        let removed = self.root.remove(id, &mut self.bytes)?;
        self.len -= 1;
        self.lower();
        Some(removed)
    }

    /// Takes the last entries out, about a leaf of them.
    pub fn take_last(&mut self) -> Vec<(StreamId, V)> {
        let taken = self.root.take_last(&mut self.bytes);
        self.len -= taken.len();
        self.lower();
        taken
    }

    /// A root with one child or none is none.
    fn lower(&mut self) {
        while let Node::Inner(children) = &mut self.root
            && children.len() <= 1
        {
            self.bytes -= vec_bytes(children);
            self.root = children.pop().map_or(Node::Leaf(Vec::new()), |child| child.node);
        }
    }

    /// The value of an id.
    pub fn get(&self, id: StreamId) -> Option<&V> {
        self.at_or_after(id).filter(|(found, _)| *found == id).map(|(_, value)| value)
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, id: StreamId) -> Option<&mut V> {
        self.root.get_mut(id)
    }

    /// The first entry that is not below an id.
    pub fn at_or_after(&self, id: StreamId) -> Option<(StreamId, &V)> {
        self.root.slice_from(id).first().map(|(id, value)| (*id, value))
    }

    /// The last entry that is not above an id.
    pub fn at_or_before(&self, id: StreamId) -> Option<(StreamId, &V)> {
        self.root.slice_until(id).last().map(|(id, value)| (*id, value))
    }

    /// The first entry.
    pub fn first(&self) -> Option<(StreamId, &V)> {
        self.at_or_after(StreamId::MIN)
    }

    /// The last entry.
    pub fn last(&self) -> Option<(StreamId, &V)> {
        self.at_or_before(StreamId::MAX)
    }

    /// The last entry, to change it.
    pub fn last_mut(&mut self) -> Option<(StreamId, &mut V)> {
        self.root.last_mut().map(|(id, value)| (*id, value))
    }

    /// Entries from an id on, in order.
    pub fn from(&self, id: StreamId) -> Forward<'_, V> {
        Forward { tree: self, slice: self.root.slice_from(id) }
    }

    /// Entries from an id back, the highest first.
    pub fn back_from(&self, id: StreamId) -> Backward<'_, V> {
        Backward { tree: self, slice: self.root.slice_until(id) }
    }
}

/// See [`Tree::from`].
#[derive(Clone, Debug)]
pub struct Forward<'a, V> {
    tree: &'a Tree<V>,
    slice: &'a [(StreamId, V)],
}

impl<'a, V> Iterator for Forward<'a, V> {
    type Item = (StreamId, &'a V);

    fn next(&mut self) -> Option<(StreamId, &'a V)> {
        let ((id, value), rest) = self.slice.split_first()?;
        self.slice = rest;
        if rest.is_empty()
            && let Some(next) = id.next()
        {
            self.slice = self.tree.root.slice_from(next);
        }
        Some((*id, value))
    }
}

/// See [`Tree::back_from`].
#[derive(Clone, Debug)]
pub struct Backward<'a, V> {
    tree: &'a Tree<V>,
    slice: &'a [(StreamId, V)],
}

impl<'a, V> Iterator for Backward<'a, V> {
    type Item = (StreamId, &'a V);

    fn next(&mut self) -> Option<(StreamId, &'a V)> {
        let ((id, value), rest) = self.slice.split_last()?;
        self.slice = rest;
        if rest.is_empty()
            && let Some(previous) = id.previous()
        {
            self.slice = self.tree.root.slice_until(previous);
        }
        Some((*id, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn counted<V>(node: &Node<V>) -> usize {
        match node {
            Node::Leaf(entries) => vec_bytes(entries),
            Node::Inner(children) => {
                vec_bytes(children) + children.iter().map(|child| counted(&child.node)).sum::<usize>()
            }
        }
    }

    fn id(ms: u64) -> StreamId {
        StreamId { ms, seq: ms % 3 }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Append,
        Insert(u64),
        Remove(u64),
        RemoveFirst(u8),
        TakeLast,
    }

    proptest! {
        #[test]
        fn a_tree_is_an_ordered_map(steps in proptest::collection::vec(prop_oneof![
            6 => Just(Step::Append),
            4 => (0u64..400).prop_map(Step::Insert),
            4 => (0u64..400).prop_map(Step::Remove),
            1 => (0u8..40).prop_map(Step::RemoveFirst),
            1 => Just(Step::TakeLast),
        ], 0..400)) {
            let (mut tree, mut model) = (Tree::default(), BTreeMap::new());
            for (n, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Append => {
                        let next = id(model.last_key_value().map_or(0, |(id, _): (&StreamId, _)| id.ms + 1));
                        tree.insert(next, n);
                        model.insert(next, n);
                    }
                    Step::Insert(at) => if tree.get(id(at)).is_none() {
                        tree.insert(id(at), n);
                        prop_assert_eq!(model.insert(id(at), n), None);
                    }
                    Step::Remove(at) => prop_assert_eq!(tree.remove(id(at)), model.remove(&id(at))),
                    Step::RemoveFirst(count) => for _ in 0..count {
                        let first = tree.first().map(|(id, _)| id);
                        prop_assert_eq!(first, model.first_key_value().map(|(id, _)| *id));
                        first.into_iter().for_each(|id| { tree.remove(id); model.remove(&id); });
                    }
                    Step::TakeLast => for (id, value) in tree.take_last().into_iter().rev() {
                        prop_assert_eq!(model.pop_last(), Some((id, value)));
                    }
                }
                prop_assert_eq!((tree.len(), tree.bytes()), (model.len(), counted(&tree.root)));
                prop_assert_eq!(counted(&tree.clone().root), tree.bytes());
                prop_assert!(tree.is_empty() == (tree.bytes() == 0));
            }
            let all: Vec<_> = model.iter().map(|(id, n)| (*id, *n)).collect();
            for from in [0, 7, 100, 399] {
                let below = all.partition_point(|(other, _)| *other < id(from));
                let forward: Vec<_> = tree.from(id(from)).map(|(id, n)| (id, *n)).collect();
                prop_assert_eq!(&forward[..], &all[below..]);
                let until = all.partition_point(|(other, _)| *other <= id(from));
                let mut backward: Vec<_> = tree.back_from(id(from)).map(|(id, n)| (id, *n)).collect();
                backward.reverse();
                prop_assert_eq!(&backward[..], &all[..until]);
                prop_assert_eq!(tree.get(id(from)), model.get(&id(from)));
                prop_assert_eq!(tree.get_mut(id(from)).copied(), model.get(&id(from)).copied());
            }
            prop_assert_eq!(tree.last_mut().map(|(id, n)| (id, *n)), all.last().copied());
        }
    }
}
