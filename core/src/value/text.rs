//! What is given to be stored under a key, and what a stored string looks like.

use std::sync::Arc;

use super::container::Container;
use crate::args::Args;
use crate::protocol::request::parse_integer;

/// A value to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A whole number.
    Integer(i64),
    /// Bytes, copied.
    Bytes(&'a [u8]),
    /// Bytes that were changed in place, copied.
    Raw(&'a [u8]),
    /// A buffer that is taken over.
    Large(Arc<Vec<u8>>),
    /// What is no string; taken over.
    Container(Box<Container>),
}

impl<'a> Value<'a> {
    /// The `n`-th argument of a request; one that lies in a buffer of its own is shared.
    #[inline]
    pub fn of_argument(args: Args<'a>, n: usize) -> Value<'a> {
        match args.large(n) {
            Some(large) => Value::Large(Arc::clone(large)),
            None => Value::of(args.at(n)),
        }
    }

    /// A number where the bytes are one in canonical form, so that it takes eight bytes and counters need no parsing.
    #[inline]
    pub fn of(bytes: &'a [u8]) -> Value<'a> {
        match bytes.first() {
            Some(b'0'..=b'9' | b'-') if bytes.len() <= 20 => match parse_integer(bytes) {
                Some(value) => Value::Integer(value),
                None => Value::Bytes(bytes),
            },
            _ => Value::Bytes(bytes),
        }
    }
}

/// A string value as it lies there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View<'a> {
    /// A whole number.
    Integer(i64),
    /// Bytes within the record.
    Bytes(&'a [u8]),
    /// A buffer of its own.
    Large(&'a Arc<Vec<u8>>),
}

impl View<'_> {
    /// Bytes of its text.
    pub fn len(&self) -> usize {
        match self {
            View::Integer(value) => itoa::Buffer::new().format(*value).len(),
            View::Bytes(bytes) => bytes.len(),
            View::Large(bytes) => bytes.len(),
        }
    }

    /// True for the empty string.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Calls `use_it` with the text's bytes.
    #[inline]
    pub fn with<R>(&self, use_it: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            View::Integer(value) => use_it(itoa::Buffer::new().format(*value).as_bytes()),
            View::Bytes(bytes) => use_it(bytes),
            View::Large(bytes) => use_it(bytes),
        }
    }

    /// The text, copied.
    pub fn to_vec(&self) -> Vec<u8> {
        self.with(<[u8]>::to_vec)
    }
}
