//! What cores say to each other: data that can be printed, compared, hashed and replayed, never a closure.

/// A message from one core to another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// Stands in until the first real one.
    Nothing,
}
