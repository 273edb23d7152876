//! A value on its way to another key; a large one is shared, not copied.

use std::sync::Arc;

use super::record::{Value, View};

/// A value without its key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Moving {
    /// A whole number.
    Integer(i64),
    /// A short string.
    Bytes(Vec<u8>),
    /// A long string.
    Large(Arc<Vec<u8>>),
}

impl Moving {
    /// To be stored.
    pub fn as_value(&self) -> Value<'_> {
        match self {
            Moving::Integer(number) => Value::Integer(*number),
            Moving::Bytes(bytes) => Value::Bytes(bytes),
            Moving::Large(buffer) => Value::Large(Arc::clone(buffer)),
        }
    }

    /// From where it lies.
    pub fn of(view: View<'_>) -> Moving {
        match view {
            View::Integer(number) => Moving::Integer(number),
            View::Bytes(bytes) => Moving::Bytes(bytes.to_vec()),
            View::Large(buffer) => Moving::Large(Arc::clone(buffer)),
        }
    }
}
