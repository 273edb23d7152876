//! Who must stand before whom: edges of the data, of a connection's order, and of real time.
//!
//! Real time is not all pairs: each completion makes a barrier, barriers follow each other, and what is invoked later stands
//! behind the latest barrier. The number of edges is linear in the length of the history.

use std::collections::HashMap;

use super::anomaly::Id;
use super::history::{History, Key, Operation, Outcome, Value};
use super::versions::Versions;

/// Why one stands before the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The other's append came right behind the one's.
    Ww,
    /// The other saw the one's append.
    Wr,
    /// The one did not see the other's append.
    Rw,
    /// One connection asked for the one first, and they conflict.
    Process,
    /// The one was answered before the other was sent.
    RealTime,
}

impl Kind {
    /// As the literature writes it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Ww => "ww",
            Kind::Wr => "wr",
            Kind::Rw => "rw",
            Kind::Process => "process",
            Kind::RealTime => "real time",
        }
    }
}

/// An edge to a node, with what proves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The node that comes later.
    pub to: usize,
    /// Its kind.
    pub kind: Kind,
    /// The key on which they meet; without meaning for real time.
    pub key: Key,
    /// The value on which they meet; without meaning for real time and process.
    pub value: Value,
}

/// Nodes are the transactions by their numbers, and behind them the barriers.
pub struct Graph {
    transactions: usize,
    edges: Vec<Vec<Edge>>,
}

impl Graph {
    /// All edges that a history proves.
    pub fn of(history: &History, versions: &Versions) -> Graph {
        let transactions = history.transactions.len();
        let mut graph = Graph { transactions, edges: vec![Vec::new(); transactions] };
        graph.add_writes(versions);
        graph.add_reads(history, versions);
        graph.add_connections(history, versions);
        graph.add_real_time(history, versions);
        graph
    }

    /// Transactions and barriers.
    pub fn nodes(&self) -> usize {
        self.edges.len()
    }

    /// Whether a node is no transaction.
    pub fn is_barrier(&self, node: usize) -> bool {
        node >= self.transactions
    }

    /// What leaves a node.
    pub fn edges(&self, node: usize) -> &[Edge] {
        &self.edges[node]
    }

    fn add(&mut self, from: Id, edge: Edge) {
        if from != edge.to {
            self.edges[from].push(edge);
        }
    }

    fn add_writes(&mut self, versions: &Versions) {
        for (key, values) in versions.orders() {
            for pair in values.windows(2) {
                let writers = (versions.writer(key, pair[0]), versions.writer(key, pair[1]));
                if let (Some(from), Some(to)) = writers {
                    self.add(from, Edge { to, kind: Kind::Ww, key, value: pair[0] });
                }
            }
        }
    }

    /// From the writer of the last value seen, and to the writer of the first not seen.
    fn add_reads(&mut self, history: &History, versions: &Versions) {
        for (reader, transaction) in history.transactions.iter().enumerate() {
            if transaction.outcome != Outcome::Ok {
                continue;
            }
            for (at, operation) in transaction.operations.iter().enumerate() {
                let Operation::Read(key, Some(seen)) = operation else { continue };
                // Behind the first step on a key, a transaction's reads say nothing new: they agree, or are internal anomalies.
                let first = transaction.operations[..at].iter().all(|earlier| earlier.key() != *key);
                let order = versions.order(*key);
                if !first || order.get(..seen.len()) != Some(seen.as_slice()) {
                    continue;
                }
                if let Some(&value) = seen.last()
                    && let Some(writer) = versions.writer(*key, value)
                {
                    self.add(writer, Edge { to: reader, kind: Kind::Wr, key: *key, value });
                }
                if let Some(&value) = order.get(seen.len())
                    && let Some(writer) = versions.writer(*key, value)
                {
                    self.add(reader, Edge { to: writer, kind: Kind::Rw, key: *key, value });
                }
            }
        }
    }

    /// Per connection and key: each that writes stands behind all before it, each that reads behind the last that wrote.
    fn add_connections(&mut self, history: &History, versions: &Versions) {
        #[derive(Default)]
        struct Past {
            writer: Option<Id>,
            readers: Vec<Id>,
        }
        let mut pasts: HashMap<(u32, Key), Past> = HashMap::new();
        for (id, transaction) in history.transactions.iter().enumerate() {
            if !versions.happened(id) {
                continue;
            }
            let mut keys: Vec<Key> = transaction.operations.iter().map(Operation::key).collect();
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                let past = pasts.entry((transaction.connection, key)).or_default();
                let edge = Edge { to: id, kind: Kind::Process, key, value: 0 };
                past.writer.into_iter().for_each(|from| self.add(from, edge));
                if transaction.appends().any(|(appended, _)| appended == key) {
                    past.readers.drain(..).for_each(|from| self.add(from, edge));
                    past.writer = Some(id);
                } else {
                    past.readers.push(id);
                }
            }
        }
    }

    fn add_real_time(&mut self, history: &History, versions: &Versions) {
        // What begins at the instant of an end is not behind it: beginnings are sorted first.
        let mut instants: Vec<(u64, bool, Id)> = Vec::new();
        for (id, transaction) in history.transactions.iter().enumerate() {
            if versions.happened(id) {
                instants.push((transaction.invoked, false, id));
                if transaction.outcome == Outcome::Ok {
                    instants.push((transaction.completed, true, id));
                }
            }
        }
        instants.sort_unstable();
        let edge = |to| Edge { to, kind: Kind::RealTime, key: Key(0), value: 0 };
        let mut barrier = None;
        for (_, ended, id) in instants {
            if ended {
                let next = self.edges.len();
                self.edges.push(Vec::new());
                if let Some(barrier) = barrier {
                    self.add(barrier, edge(next));
                }
                self.add(id, edge(next));
                barrier = Some(next);
            } else if let Some(barrier) = barrier {
                self.add(barrier, edge(id));
            }
        }
    }
}
