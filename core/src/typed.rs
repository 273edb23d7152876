//! What a command sees of a value by its type: a string, or a container of a type that it names. Everything else is the wrong type.
//!
//! It knows types. It does not know what commands do with them, nor how keys are found.

use crate::database::Key;
use crate::protocol::reply::Failure;
use crate::shard::{Cx, Deadline};
use crate::value::container::Held;
use crate::value::record::{Record, Value, View};

impl Cx<'_> {
    /// The string under a key, as a read: a use of the key, and a hit or a miss.
    #[inline]
    pub fn read_string(&mut self, key: Key<'_>) -> Result<Option<View<'_>>, Failure> {
        self.read(key).map(string_of).transpose()
    }

    /// The same without counting as a use: what comes before a change looks this way.
    #[inline]
    pub fn peek_string(&mut self, key: Key<'_>) -> Result<Option<View<'_>>, Failure> {
        self.peek(key).map(string_of).transpose()
    }

    /// The container under a key, as a read: a use of the key, and a hit or a miss.
    pub fn read_held<T: Held>(&mut self, key: Key<'_>) -> Result<Option<&T>, Failure> {
        self.read(key).map(held_by).transpose()
    }

    /// The same without counting as a use.
    pub fn peek_held<T: Held>(&mut self, key: Key<'_>) -> Result<Option<&T>, Failure> {
        self.peek(key).map(held_by).transpose()
    }

    /// Lets `change` work on the container under a key, which is removed if nothing is left in it. `None` if there is no key, or if
    /// `change` says by `None` that it has changed nothing.
    pub fn change_held<T: Held, R>(
        &mut self,
        key: Key<'_>,
        change: impl FnOnce(&mut T) -> Option<R>,
    ) -> Result<Option<R>, Failure> {
        let mut is_wrong = false;
        let changed = self.change_if(key, |record| match record.container_mut().and_then(T::within_mut) {
            Some(held) => change(held),
            None => {
                is_wrong = true;
                None
            }
        });
        if is_wrong { Err(Failure::WRONG_TYPE) } else { Ok(changed) }
    }

    /// Lets `grow` add to the container under a key; there is an empty one where there is no key. `grow` leaves something in it.
    pub fn grow_held<T: Held, R>(
        &mut self,
        key: Key<'_>,
        grow: impl FnOnce(&mut T) -> R,
    ) -> Result<R, Failure> {
        let mut grow = Some(grow);
        let grown = self.change_held(key, |held| grow.take().map(|grow| grow(held)))?;
        let Some(grow) = grow else {
            return Ok(grown.expect("who grows tells what came of it"));
        };
        let mut held = T::default();
        let result = grow(&mut held);
        let container = held.contained();
        assert!(!container.is_empty(), "what a command makes is not empty");
        self.store(key, Value::Container(Box::new(container)), Deadline::Clear);
        Ok(result)
    }
}

#[inline]
fn string_of(record: &Record) -> Result<View<'_>, Failure> {
    record.string().ok_or(Failure::WRONG_TYPE)
}

fn held_by<T: Held>(record: &Record) -> Result<&T, Failure> {
    record.container().and_then(T::within).ok_or(Failure::WRONG_TYPE)
}
