//! What clients did and saw: transactions of appends and reads, with the instants between which they must have taken place.
//!
//! A history knows neither how it came about nor whether it is sound.

use std::collections::BTreeMap;
use std::fmt;

/// Nanoseconds of one monotonic clock, shared by all clients.
pub type Instant = u64;

/// Unique among all appends of a history.
pub type Value = u64;

/// A key that is only ever appended to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub u32);

impl Key {
    /// Even keys hold lists, odd ones strings.
    pub fn is_list(self) -> bool {
        self.0.is_multiple_of(2)
    }
}

impl fmt::Display for Key {
    /// Its name in the store.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let kind = if self.is_list() { "list" } else { "text" };
        write!(f, "{kind}:{}", self.0)
    }
}

/// One step of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The value was put behind whatever the key held.
    Append(Key, Value),
    /// The key's values in their order; `None` where nobody has heard the answer.
    Read(Key, Option<Vec<Value>>),
}

impl Operation {
    /// What it touches.
    pub fn key(&self) -> Key {
        match *self {
            Operation::Append(key, _) | Operation::Read(key, _) => key,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Operation::Append(key, value) => write!(f, "append {key} {value}"),
            Operation::Read(key, None) => write!(f, "read {key} ?"),
            // Long reads differ at their ends.
            Operation::Read(key, Some(seen)) if seen.len() > 6 => {
                write!(f, "read {key} [{} values .. {:?}]", seen.len(), &seen[seen.len() - 4..])
            }
            Operation::Read(key, Some(seen)) => write!(f, "read {key} {seen:?}"),
        }
    }
}

/// What the client knows of the end of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it happened.
    Ok,
    /// Nothing of it happened.
    Failed,
    /// All of it or nothing happened, now or later: the client was gone before the answer.
    Unknown,
}

/// What ought to be atomic.
#[derive(Clone, Debug)]
pub struct Transaction {
    /// The connection. A connection's transactions stand in the history in the order of their requests.
    pub connection: u32,
    /// How it was sent, for the reader of a report.
    pub carrier: &'static str,
    /// Before its first byte was written.
    pub invoked: Instant,
    /// After its last reply was read. Says nothing unless the outcome is [`Outcome::Ok`].
    pub completed: Instant,
    /// How it ended.
    pub outcome: Outcome,
    /// Its steps.
    pub operations: Vec<Operation>,
}

impl Transaction {
    /// Its appends.
    pub fn appends(&self) -> impl DoubleEndedIterator<Item = (Key, Value)> {
        self.operations.iter().filter_map(|operation| match *operation {
            Operation::Append(key, value) => Some((key, value)),
            Operation::Read(..) => None,
        })
    }
}

impl fmt::Display for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let steps: Vec<String> = self.operations.iter().map(Operation::to_string).collect();
        let end = match self.outcome {
            Outcome::Ok => "",
            Outcome::Failed => ", failed",
            Outcome::Unknown => ", outcome unknown",
        };
        write!(f, "({}, connection {}{end}) {}", self.carrier, self.connection, steps.join("; "))
    }
}

/// All that was recorded in one run.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Transactions in any order, except that those of one connection stand in the order of their requests.
    pub transactions: Vec<Transaction>,
    /// What every key held when all clients had gone; `None` if nobody looked.
    pub last: Option<BTreeMap<Key, Vec<Value>>>,
}
