//! The order of versions of each key, inferred from its longest read, and what reads alone already betray.
//!
//! An append leaves its whole past to be seen, so a key's order needs no guess. This file knows nothing of cycles.

use std::collections::{HashMap, HashSet};

use super::anomaly::{Anomaly, Id};
use super::history::{History, Key, Operation, Outcome, Transaction, Value};

/// What a history says of every key.
pub struct Versions {
    order: HashMap<Key, Vec<Value>>,
    writers: HashMap<(Key, Value), Id>,
    happened: Vec<bool>,
}

impl Versions {
    /// Infers orders and reports what contradicts them.
    pub fn infer(history: &History, anomalies: &mut Vec<Anomaly>) -> Versions {
        let mut writers = HashMap::new();
        for (id, transaction) in history.transactions.iter().enumerate() {
            for append in transaction.appends() {
                let other = writers.insert(append, id);
                assert_eq!(other, None, "{} was appended to {} twice", append.1, append.0);
            }
        }
        let mut order: HashMap<Key, Vec<Value>> = HashMap::new();
        let last = history.last.iter().flatten().map(|(key, seen)| (*key, seen));
        for (key, seen) in reads(history).map(|(_, key, seen)| (key, seen)).chain(last) {
            let longest = order.entry(key).or_default();
            if seen.len() > longest.len() {
                longest.clone_from(seen);
            }
        }
        let mut happened: Vec<bool> =
            history.transactions.iter().map(|transaction| transaction.outcome == Outcome::Ok).collect();
        for (&key, longest) in &order {
            for &value in longest {
                match writers.get(&(key, value)) {
                    Some(&id) if history.transactions[id].outcome == Outcome::Unknown => happened[id] = true,
                    Some(_) => {}
                    None => anomalies.push(Anomaly::Phantom { key, value }),
                }
            }
        }
        let versions = Versions { order, writers, happened };
        versions.check_reads(history, anomalies);
        versions.check_failed(history, anomalies);
        versions.check_last(history, anomalies);
        versions.check_connections(history, anomalies);
        for (id, transaction) in history.transactions.iter().enumerate() {
            // The reads of a failed transaction were single commands.
            if transaction.outcome != Outcome::Failed {
                check_internal(id, transaction, anomalies);
            }
        }
        versions
    }

    /// Whether the transaction has a place in the order: answered, or seen to have happened.
    pub fn happened(&self, id: Id) -> bool {
        self.happened[id]
    }

    /// The values of a key in their order.
    pub fn order(&self, key: Key) -> &[Value] {
        self.order.get(&key).map_or(&[], Vec::as_slice)
    }

    /// Every key's values in their order.
    pub fn orders(&self) -> impl Iterator<Item = (Key, &[Value])> {
        self.order.iter().map(|(key, values)| (*key, values.as_slice()))
    }

    /// Who appended, if it has a place in the order.
    pub fn writer(&self, key: Key, value: Value) -> Option<Id> {
        self.writers.get(&(key, value)).copied().filter(|id| self.happened[*id])
    }

    /// Every read is a beginning of the longest, holds nothing twice, and ends where a transaction ended.
    fn check_reads(&self, history: &History, anomalies: &mut Vec<Anomaly>) {
        let last = history.last.iter().flatten().map(|(key, seen)| (None, *key, seen));
        let mut whole = HashSet::new();
        for (reader, key, seen) in reads(history).map(|(id, key, seen)| (Some(id), key, seen)).chain(last) {
            let longest = self.order(key);
            let sound = longest.get(..seen.len()) == Some(seen.as_slice());
            if !sound {
                let (one, other) = (seen.clone(), longest.to_vec());
                anomalies.push(Anomaly::IncompatibleOrder { key, one, other });
            }
            // What is the beginning of a longer one holds nothing twice if that does not.
            if !sound || seen.len() == longest.len() && whole.insert(key) {
                let mut before = HashSet::with_capacity(seen.len());
                if let Some(&value) = seen.iter().find(|value| !before.insert(**value)) {
                    anomalies.push(Anomaly::Duplicate { key, value, reader });
                }
            }
            let own =
                |value: &&Value| reader.is_some() && self.writers.get(&(key, **value)).copied() == reader;
            let foreign = seen.iter().rev().find(|value| !own(value));
            let (Some(reader), Some(&value)) = (reader, foreign) else { continue };
            let Some(&writer) = self.writers.get(&(key, value)) else { continue };
            let transaction = &history.transactions[writer];
            let final_one = transaction.appends().rev().find(|(other, _)| *other == key);
            if transaction.outcome != Outcome::Failed && final_one != Some((key, value)) {
                anomalies.push(Anomaly::IntermediateRead { key, value, writer, reader });
            }
        }
    }

    /// Nothing of a failed transaction is seen, nor built upon.
    fn check_failed(&self, history: &History, anomalies: &mut Vec<Anomaly>) {
        for (&key, longest) in &self.order {
            for (at, &value) in longest.iter().enumerate() {
                let Some(&writer) = self.writers.get(&(key, value)) else { continue };
                if history.transactions[writer].outcome != Outcome::Failed {
                    continue;
                }
                anomalies.push(Anomaly::AbortedRead { key, value, writer });
                let next = longest.get(at + 1).and_then(|next| Some((self.writer(key, *next)?, *next)));
                if let Some(upon) = next {
                    anomalies.push(Anomaly::DirtyUpdate { key, failed: (writer, value), upon });
                }
            }
        }
    }

    /// At the end everything acknowledged is there, and of what was not answered all or nothing.
    fn check_last(&self, history: &History, anomalies: &mut Vec<Anomaly>) {
        let Some(last) = &history.last else { return };
        let present: HashSet<(Key, Value)> =
            last.iter().flat_map(|(key, seen)| seen.iter().map(|value| (*key, *value))).collect();
        for (writer, transaction) in history.transactions.iter().enumerate() {
            let absent = transaction.appends().find(|append| !present.contains(append));
            let Some(absent) = absent else { continue };
            match transaction.outcome {
                Outcome::Ok => {
                    anomalies.push(Anomaly::LostAppend { key: absent.0, value: absent.1, writer });
                }
                Outcome::Unknown => {
                    if let Some(present) = transaction.appends().find(|append| present.contains(append)) {
                        anomalies.push(Anomaly::Half { writer, present, absent });
                    }
                }
                Outcome::Failed => {}
            }
        }
    }

    /// Per key, what a connection reads never becomes shorter, also where requests were pipelined.
    fn check_connections(&self, history: &History, anomalies: &mut Vec<Anomaly>) {
        let mut before: HashMap<(u32, Key), (Id, usize)> = HashMap::new();
        for (id, key, seen) in reads(history) {
            let after = (id, seen.len());
            let place = before.entry((history.transactions[id].connection, key)).or_insert(after);
            if place.1 > after.1 {
                anomalies.push(Anomaly::ReadsWentBack { key, before: *place, after });
            }
            *place = after;
        }
    }
}

/// Reads whose answer is known.
fn reads(history: &History) -> impl Iterator<Item = (Id, Key, &Vec<Value>)> {
    history.transactions.iter().enumerate().flat_map(|(id, transaction)| {
        transaction.operations.iter().filter_map(move |operation| match operation {
            Operation::Read(key, Some(seen)) => Some((id, *key, seen)),
            _ => None,
        })
    })
}

/// A transaction sees its own earlier steps, and nothing of others between two of its reads.
fn check_internal(reader: Id, transaction: &Transaction, anomalies: &mut Vec<Anomaly>) {
    // Per key whether the whole state is known, and what is known of its end.
    let mut known: HashMap<Key, (bool, Vec<Value>)> = HashMap::new();
    for operation in &transaction.operations {
        match operation {
            Operation::Append(key, value) => known.entry(*key).or_default().1.push(*value),
            Operation::Read(_, None) => {}
            Operation::Read(key, Some(seen)) => {
                let (whole, expected) = known.entry(*key).or_default();
                if !seen.ends_with(expected) || *whole && seen.len() != expected.len() {
                    let (key, expected, seen) = (*key, expected.clone(), seen.clone());
                    anomalies.push(Anomaly::Internal { reader, key, expected, seen });
                }
                (*whole, *expected) = (true, seen.clone());
            }
        }
    }
}
