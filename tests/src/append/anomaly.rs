//! Names for what a history must not show, and words that explain each find.

use super::graph::{Edge, Kind};
use super::history::{History, Key, Value};

/// Index of a transaction in its history.
pub type Id = usize;

/// Classes of cycles, after Adya; each may need real time or a connection's order to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Write cycle: only ww.
    G0,
    /// Circular information flow: ww and wr.
    G1c,
    /// Exactly one rw: a read skew or a stale read.
    GSingle,
    /// Several rw: write skew and its relatives.
    G2,
}

/// Which order beside that of the data a cycle needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Beside {
    /// None: the history is not even serializable.
    Nothing,
    /// That of the conflicting requests of one connection.
    Process,
    /// That of what had ended before something else began.
    RealTime,
}

/// A closed walk: each edge leads from its transaction to that of the next, the last one to the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycle {
    /// Transactions and why each precedes the following.
    pub steps: Vec<(Id, Edge)>,
}

impl Cycle {
    /// Its class by its edges.
    pub fn class(&self) -> Class {
        let count = |kind| self.steps.iter().filter(|(_, edge)| edge.kind == kind).count();
        match count(Kind::Rw) {
            0 if count(Kind::Wr) == 0 => Class::G0,
            0 => Class::G1c,
            1 => Class::GSingle,
            _ => Class::G2,
        }
    }

    /// The weakest further order that closes it.
    pub fn beside(&self) -> Beside {
        let has = |kind| self.steps.iter().any(|(_, edge)| edge.kind == kind);
        match () {
            () if has(Kind::RealTime) => Beside::RealTime,
            () if has(Kind::Process) => Beside::Process,
            () => Beside::Nothing,
        }
    }

    /// Such as `G-single-realtime`.
    pub fn name(&self) -> String {
        let class = match self.class() {
            Class::G0 => "G0",
            Class::G1c => "G1c",
            Class::GSingle => "G-single",
            Class::G2 => "G2",
        };
        let beside = match self.beside() {
            Beside::Nothing => "",
            Beside::Process => "-process",
            Beside::RealTime => "-realtime",
        };
        format!("{class}{beside}")
    }
}

/// What a strictly serializable store never shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anomaly {
    /// A value stands twice in one read.
    Duplicate {
        /// Where.
        key: Key,
        /// Which.
        value: Value,
        /// Who read it; `None` for the last look at all keys.
        reader: Option<Id>,
    },
    /// A value that nobody appended to this key.
    Phantom {
        /// Where.
        key: Key,
        /// Which.
        value: Value,
    },
    /// Two reads of which neither continues the other.
    IncompatibleOrder {
        /// Where.
        key: Key,
        /// What one saw.
        one: Vec<Value>,
        /// What the longest saw.
        other: Vec<Value>,
    },
    /// Acknowledged, and missing at the end.
    LostAppend {
        /// Where.
        key: Key,
        /// Which.
        value: Value,
        /// By whom.
        writer: Id,
    },
    /// Of an unanswered transaction some appends are there and others are not.
    Half {
        /// Whose.
        writer: Id,
        /// Is there.
        present: (Key, Value),
        /// Is not.
        absent: (Key, Value),
    },
    /// G1a: what a failed transaction appended is seen.
    AbortedRead {
        /// Where.
        key: Key,
        /// Which.
        value: Value,
        /// Who failed.
        writer: Id,
    },
    /// An acknowledged append was built upon one of a failed transaction.
    DirtyUpdate {
        /// Where.
        key: Key,
        /// The failed transaction and its value.
        failed: (Id, Value),
        /// The acknowledged transaction and its value.
        upon: (Id, Value),
    },
    /// G1b: a read ends between two appends of another transaction to the key.
    IntermediateRead {
        /// Where.
        key: Key,
        /// The last value seen.
        value: Value,
        /// Who had more to append.
        writer: Id,
        /// Who read.
        reader: Id,
    },
    /// A transaction contradicts itself.
    Internal {
        /// Which.
        reader: Id,
        /// Where.
        key: Key,
        /// What it knew by its own earlier steps that the read must end with, or be.
        expected: Vec<Value>,
        /// What it read.
        seen: Vec<Value>,
    },
    /// A connection read a key, and with a later request an earlier state of it.
    ReadsWentBack {
        /// Where.
        key: Key,
        /// The request before, and how many values it saw.
        before: (Id, usize),
        /// The request after, and how many values it saw.
        after: (Id, usize),
    },
    /// No order explains these transactions.
    Cycle(Cycle),
}

impl Anomaly {
    /// Its name in the literature, where it has one.
    pub fn name(&self) -> String {
        match self {
            Anomaly::Duplicate { .. } => "duplicate".into(),
            Anomaly::Phantom { .. } => "phantom value".into(),
            Anomaly::IncompatibleOrder { .. } => "incompatible order".into(),
            Anomaly::LostAppend { .. } => "lost append".into(),
            Anomaly::Half { .. } => "half a transaction".into(),
            Anomaly::AbortedRead { .. } => "G1a".into(),
            Anomaly::DirtyUpdate { .. } => "dirty update".into(),
            Anomaly::IntermediateRead { .. } => "G1b".into(),
            Anomaly::Internal { .. } => "internal".into(),
            Anomaly::ReadsWentBack { .. } => "reads went back".into(),
            Anomaly::Cycle(cycle) => cycle.name(),
        }
    }

    /// The find in words, with its transactions.
    pub fn explain(&self, history: &History) -> String {
        let whole = |id: Id| format!("T{id} {}", history.transactions[id]);
        let text = match self {
            Anomaly::Duplicate { key, value, reader } => {
                let by = reader.map_or("the last look at all keys".into(), whole);
                format!("{value} stands twice in {key}\n  {by}")
            }
            Anomaly::Phantom { key, value } => format!("nobody appended {value} to {key}"),
            Anomaly::IncompatibleOrder { key, one, other } => {
                let at = one.iter().zip(other).take_while(|(one, other)| one == other).count();
                let from = at.saturating_sub(2);
                format!(
                    "reads of {key} part after {at} values:\n  .. {:?}\n  .. {:?}",
                    &one[from..one.len().min(at + 4)],
                    &other[from..other.len().min(at + 4)]
                )
            }
            Anomaly::LostAppend { key, value, writer } => {
                format!("{value} was acknowledged and is not in {key} at the end\n  {}", whole(*writer))
            }
            Anomaly::Half { writer, present, absent } => format!(
                "{} is in {} and {} is not in {}\n  {}",
                present.1,
                present.0,
                absent.1,
                absent.0,
                whole(*writer)
            ),
            Anomaly::AbortedRead { key, value, writer } => {
                format!("{value} is seen in {key}\n  {}", whole(*writer))
            }
            Anomaly::DirtyUpdate { key, failed, upon } => format!(
                "in {key}, {} stands upon {}\n  {}\n  {}",
                upon.1,
                failed.1,
                whole(failed.0),
                whole(upon.0)
            ),
            Anomaly::IntermediateRead { key, value, writer, reader } => format!(
                "{key} was seen to end with {value}\n  writer {}\n  reader {}",
                whole(*writer),
                whole(*reader)
            ),
            Anomaly::Internal { reader, key, expected, seen } => {
                format!(
                    "{key} must be or end with {expected:?}, and was read as {seen:?}\n  {}",
                    whole(*reader)
                )
            }
            Anomaly::ReadsWentBack { key, before, after } => format!(
                "one connection saw {} values of {key}, then {}\n  before {}\n  after {}",
                before.1,
                after.1,
                whole(before.0),
                whole(after.0)
            ),
            Anomaly::Cycle(cycle) => return explain_cycle(cycle, history),
        };
        format!("{}: {text}", self.name())
    }
}

fn explain_cycle(cycle: &Cycle, history: &History) -> String {
    let mut text = format!("{}: no order of {} transactions explains them", cycle.name(), cycle.steps.len());
    for (id, _) in &cycle.steps {
        text.push_str(&format!("\n  T{id} {}", history.transactions[*id]));
    }
    for (at, (id, edge)) in cycle.steps.iter().enumerate() {
        let (next, _) = &cycle.steps[(at + 1) % cycle.steps.len()];
        let Edge { key, value, .. } = edge;
        let why = match edge.kind {
            Kind::Ww => format!("T{next} appended to {key} right behind T{id}'s {value}"),
            Kind::Wr => format!("T{next} saw T{id}'s {value} in {key}"),
            Kind::Rw => format!("T{id} did not see T{next}'s {value} in {key}"),
            Kind::Process => format!("the same connection asked for T{next} later, and both touch {key}"),
            Kind::RealTime => {
                let gap = history.transactions[*next].invoked - history.transactions[*id].completed;
                format!("T{id} had been answered {gap} ns before T{next} was sent")
            }
        };
        text.push_str(&format!("\n  T{id} < T{next} ({}): {why}", edge.kind.name()));
    }
    text
}
