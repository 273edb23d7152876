//! Values that hold elements: what is true of all their types.
//!
//! A record points to one of these. Adding a type adds a variant here, and the compiler asks for the rest.

use super::hash::Hash;
use super::list::List;
use super::set::Set;
use super::stream::Stream;
use super::zset::SortedSet;
use crate::time::UnixMillis;

/// A value that is no string.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Container {
    /// See [`List`].
    List(List),
    /// See [`SortedSet`].
    SortedSet(SortedSet),
    /// See [`Hash`].
    Hash(Hash),
    /// See [`Set`].
    Set(Set),
    /// See [`Stream`].
    Stream(Stream),
}

/// From this many blocks on a container is freed in the background, a few at a time.
const HEAVY_BLOCKS: usize = 64;

impl Container {
    /// TYPE's word.
    pub fn type_name(&self) -> &'static str {
        match self {
            Container::List(_) => "list",
            Container::SortedSet(_) => "zset",
            Container::Hash(_) => "hash",
            Container::Set(_) => "set",
            Container::Stream(_) => "stream",
        }
    }

    /// OBJECT ENCODING's word.
    pub fn encoding(&self) -> &'static str {
        match self {
            Container::List(list) => list.encoding(),
            Container::SortedSet(set) => set.encoding(),
            Container::Hash(hash) => hash.encoding(),
            Container::Set(set) => set.encoding(),
            Container::Stream(stream) => stream.encoding(),
        }
    }

    /// Bytes of memory that it owns besides itself.
    pub fn owned_bytes(&self) -> usize {
        match self {
            Container::List(list) => list.owned_bytes(),
            Container::SortedSet(set) => set.owned_bytes(),
            Container::Hash(hash) => hash.owned_bytes(),
            Container::Set(set) => set.owned_bytes(),
            Container::Stream(stream) => stream.owned_bytes(),
        }
    }

    /// True without elements: such a container has no key, unless it is a stream.
    pub fn is_empty(&self) -> bool {
        match self {
            Container::List(list) => list.is_empty(),
            Container::SortedSet(set) => set.is_empty(),
            Container::Hash(hash) => hash.is_empty(),
            Container::Set(set) => set.is_empty(),
            Container::Stream(stream) => stream.is_blank(),
        }
    }

    /// True if the time has come of all that is in it: as good as no key.
    #[inline]
    pub fn is_over(&self, now: UnixMillis) -> bool {
        match self {
            Container::Hash(hash) => hash.is_over(now),
            // What is left of a stream is a stream.
            Container::Stream(_) => false,
            _ => self.is_empty(),
        }
    }

    /// Before this moment nothing in it ends; `None` if nothing does.
    #[inline]
    pub fn soonest(&self) -> Option<UnixMillis> {
        match self {
            Container::Hash(hash) => hash.soonest(),
            _ => None,
        }
    }

    /// True if freeing it at once would keep a core for too long.
    pub fn is_heavy(&self) -> bool {
        let blocks = match self {
            Container::List(list) => list.packs(),
            Container::Hash(hash) => hash.blocks(),
            Container::Set(set) => set.blocks(),
            Container::SortedSet(set) => set.blocks(),
            Container::Stream(stream) => stream.blocks(),
        };
        blocks > HEAVY_BLOCKS
    }

    /// Frees about `steps` of its blocks; how many steps that took, and at least one if it is not empty.
    pub fn free_some(&mut self, steps: usize) -> usize {
        match self {
            Container::List(list) => list.free_some(steps),
            Container::SortedSet(set) => set.free_some(steps),
            Container::Hash(hash) => hash.free_some(steps),
            Container::Set(set) => set.free_some(steps),
            Container::Stream(stream) => stream.free_some(steps),
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

/// The variants are named as the types that they hold.
macro_rules! held {
    ($($of:ident)*) => {$(
        impl Held for $of {
            #[inline]
            fn within(container: &Container) -> Option<&$of> {
                if let Container::$of(held) = container { Some(held) } else { None }
            }

            #[inline]
            fn within_mut(container: &mut Container) -> Option<&mut $of> {
                if let Container::$of(held) = container { Some(held) } else { None }
            }

            fn contained(self) -> Container {
                Container::$of(self)
            }
        }
    )*};
}

held!(List Hash Set SortedSet Stream);
