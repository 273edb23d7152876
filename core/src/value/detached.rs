//! A value without its key: data that may travel to another key, database or core.

use std::sync::Arc;

use super::container::Container;
use super::record::Value;

/// A value that belongs to no record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Detached {
    /// A whole number.
    Integer(i64),
    /// A short string.
    Bytes(Box<[u8]>),
    /// A short string that was changed in place.
    Raw(Box<[u8]>),
    /// A long string, shared.
    Large(Arc<Vec<u8>>),
    /// Anything that is no string.
    Container(Box<Container>),
}

impl Detached {
    /// Calls `use_it` with the value as it is stored; only short strings are copied by that.
    pub fn store<R>(self, use_it: impl FnOnce(Value<'_>) -> R) -> R {
        match self {
            Detached::Integer(number) => use_it(Value::Integer(number)),
            Detached::Bytes(bytes) => use_it(Value::Bytes(&bytes)),
            Detached::Raw(bytes) => use_it(Value::Raw(&bytes)),
            Detached::Large(buffer) => use_it(Value::Large(buffer)),
            Detached::Container(container) => use_it(Value::Container(container)),
        }
    }

    /// TYPE's word.
    pub fn type_name(&self) -> &'static str {
        match self {
            Detached::Container(container) => container.type_name(),
            _ => "string",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::list::{Fill, List};
    use crate::value::pack::Side;
    use crate::value::record::{Access, Record};

    #[test]
    fn a_value_is_the_same_under_another_key() {
        let mut list = List::default();
        list.push(Side::Left, b"x", Fill(-2));
        let long = vec![b'x'; 5_000];
        for value in [
            Value::of(b"12"),
            Value::of(b"text"),
            Value::Raw(b"raw"),
            Value::Bytes(&long),
            Value::Container(Box::new(Container::List(list))),
        ] {
            let record = Record::new(b"key", value, None, Access(0));
            let copy = record.copy();
            let (name, encoding) = (record.type_name(), record.encoding());
            let detached = record.detach();
            assert_eq!((detached.type_name(), &detached), (name, &copy));
            let again = detached.store(|value| Record::new(b"another key", value, None, Access(0)));
            assert_eq!((again.encoding(), again.copy()), (encoding, copy));
        }
    }
}
