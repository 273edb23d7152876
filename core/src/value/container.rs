//! Values that hold elements: what is true of all their types.
//!
//! A record points to one of these. Adding a type adds a variant here, and the compiler asks for the rest.

use super::block::block_size;
use super::list::List;
use super::zset::SortedSet;

/// A value that is no string.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Container {
    /// See [`List`].
    List(List),
    /// See [`SortedSet`].
    SortedSet(SortedSet),
}

/// From this many blocks on a container is freed in the background, a few at a time.
const HEAVY_BLOCKS: usize = 64;

impl Container {
    /// TYPE's word.
    pub fn type_name(&self) -> &'static str {
        match self {
            Container::List(_) => "list",
            Container::SortedSet(_) => "zset",
        }
    }

    /// OBJECT ENCODING's word.
    pub fn encoding(&self) -> &'static str {
        match self {
            Container::List(list) => list.encoding(),
            Container::SortedSet(set) => set.encoding(),
        }
    }

    /// Bytes of memory of everything that it owns, the block included in which it lies itself.
    pub fn owned_bytes(&self) -> usize {
        let inner = match self {
            Container::List(list) => list.owned_bytes(),
            Container::SortedSet(set) => set.owned_bytes(),
        };
        block_size(size_of::<Container>()) + inner
    }

    /// True without elements: such a container has no key.
    pub fn is_empty(&self) -> bool {
        match self {
            Container::List(list) => list.is_empty(),
            Container::SortedSet(set) => set.is_empty(),
        }
    }

    /// True if freeing it at once would keep a core for too long.
    pub fn is_heavy(&self) -> bool {
        match self {
            Container::List(list) => list.packs() > HEAVY_BLOCKS,
            Container::SortedSet(set) => set.blocks() > HEAVY_BLOCKS,
        }
    }

    /// Frees about `steps` of its blocks; how many steps that took, and at least one if it is not empty.
    pub fn free_some(&mut self, steps: usize) -> usize {
        match self {
            Container::List(list) => list.free_some(steps),
            Container::SortedSet(set) => set.free_some(steps),
        }
    }
}

/// A type of container, so that one way leads to the elements of all of them.
pub trait Held: Default {
    /// The value, if the container is of this type.
    fn within(container: &Container) -> Option<&Self>;
    /// The same, to change it.
    fn within_mut(container: &mut Container) -> Option<&mut Self>;
    /// As a container.
    fn contained(self) -> Container;
}

impl Held for List {
    fn within(container: &Container) -> Option<&List> {
        match container {
            Container::List(list) => Some(list),
            _ => None,
        }
    }

    fn within_mut(container: &mut Container) -> Option<&mut List> {
        match container {
            Container::List(list) => Some(list),
            _ => None,
        }
    }

    fn contained(self) -> Container {
        Container::List(self)
    }
}

impl Held for SortedSet {
    fn within(container: &Container) -> Option<&SortedSet> {
        match container {
            Container::SortedSet(set) => Some(set),
            _ => None,
        }
    }

    fn within_mut(container: &mut Container) -> Option<&mut SortedSet> {
        match container {
            Container::SortedSet(set) => Some(set),
            _ => None,
        }
    }

    fn contained(self) -> Container {
        Container::SortedSet(self)
    }
}
