//! A black-box checker of strict serializability over appends and reads.
//!
//! After Kingsbury and Alvaro, "Elle: Inferring Isolation Anomalies from Experimental Observations", VLDB 2020. Clients append unique
//! values to keys and read whole keys. A read shows the past of its key, so the order of versions is known without a guess, and
//! with it who depends on whom. A history is strictly serializable if these dependencies together with real time have no cycle.
//!
//! It does not know how the store works; [`workload`] and [`carrier`] know how to speak to it, the rest knows histories only.

pub mod anomaly;
pub mod carrier;
mod cycles;
mod graph;
pub mod history;
pub mod run;
#[cfg(test)]
mod stories;
mod versions;
pub mod workload;

use std::collections::BTreeMap;

pub use anomaly::Anomaly;
pub use history::{History, Key, Operation, Outcome, Transaction};

use graph::Graph;
use versions::Versions;

/// Everything that contradicts strict serializability; empty for a history that has an explanation.
pub fn check(history: &History) -> Vec<Anomaly> {
    let mut anomalies = Vec::new();
    let versions = Versions::infer(history, &mut anomalies);
    let graph = Graph::of(history, &versions);
    anomalies.extend(cycles::find(&graph).into_iter().map(Anomaly::Cycle));
    anomalies
}

/// Finds in words: how many of each name, and the first of each explained.
pub fn report(history: &History, anomalies: &[Anomaly]) -> String {
    let mut by_name: BTreeMap<String, Vec<&Anomaly>> = BTreeMap::new();
    for anomaly in anomalies {
        by_name.entry(anomaly.name()).or_default().push(anomaly);
    }
    let mut text = String::new();
    for (name, found) in &by_name {
        let shortest = found.iter().min_by_key(|anomaly| match anomaly {
            Anomaly::Cycle(cycle) => cycle.steps.len(),
            _ => 0,
        });
        let example = shortest.map_or(String::new(), |anomaly| anomaly.explain(history));
        text.push_str(&format!("{} x {name}\n{example}\n", found.len()));
    }
    text
}
