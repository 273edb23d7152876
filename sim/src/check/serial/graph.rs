//! Requests that have no place in the order yet, and what they wait for.
//!
//! Everything that stands before a request is known when no part of it will run any more, so it gets its place as soon as all
//! those have theirs, and is forgotten. It knows nothing of keys.
//!
//! Real time would make edges from everybody who was answered to everybody who is taken; instead both hang on a line of moments:
//! those answered lead to the moment, the moment leads to those taken after it and to the next moment.

use std::collections::{BTreeMap, BTreeSet};

use super::{Op, Why};

/// A request, or a moment between answers and takings.
#[derive(Debug)]
pub(super) struct Node {
    /// When a request was taken; `None`: a moment.
    pub begun: Option<u64>,
    /// When its reply was seen.
    pub ended: Option<u64>,
    /// Who waits for it, and why.
    pub out: Vec<(u64, Why)>,
    /// Edges from nodes that have no place yet.
    waits: usize,
    /// No more edges will lead here.
    closed: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: BTreeMap<u64, Node>,
    ready: BTreeSet<u64>,
    next: u64,
    requests: usize,
    /// The moment that the answers of now lead to.
    moment: Option<u64>,
    /// The moment behind which requests are taken.
    before: Option<u64>,
}

impl Graph {
    fn add(&mut self, begun: Option<u64>) -> u64 {
        let number = self.next;
        self.next += 1;
        self.nodes.insert(number, Node { begun, ended: None, out: Vec::new(), waits: 0, closed: false });
        number
    }

    /// A request is taken.
    pub fn begin(&mut self, moment: u64) -> Op {
        if let Some(answered) = self.moment.take() {
            if let Some(before) = self.before.replace(answered) {
                self.lead(before, answered, Why::RealTime);
            }
            self.shut(answered);
        }
        let op = self.add(Some(moment));
        self.requests += 1;
        if let Some(before) = self.before {
            self.lead(before, op, Why::RealTime);
        }
        Op(op)
    }

    /// A reply was seen.
    pub fn end(&mut self, op: Op, moment: u64) {
        let Some(node) = self.nodes.get_mut(&op.0) else { return };
        node.ended = Some(moment);
        let answered = match self.moment {
            Some(answered) => answered,
            None => self.add(None),
        };
        self.moment = Some(answered);
        self.lead(op.0, answered, Why::RealTime);
    }

    /// One stands before the other.
    pub fn edge(&mut self, from: Op, to: Op, why: Why) {
        self.lead(from.0, to.0, why);
    }

    fn lead(&mut self, from: u64, to: u64, why: Why) {
        if from == to {
            return;
        }
        // Who has a place stands before everybody who has none.
        let Some(node) = self.nodes.get_mut(&from) else { return };
        node.out.push((to, why));
        let waiting = self.nodes.get_mut(&to).expect("who runs or is taken has no place yet");
        assert!(!waiting.closed, "nothing of a closed request runs");
        waiting.waits += 1;
    }

    /// No more edges will lead to a request.
    pub fn close(&mut self, op: Op) {
        self.shut(op.0);
    }

    fn shut(&mut self, number: u64) {
        let node = self.nodes.get_mut(&number).expect("what is closed for the first time has no place yet");
        node.closed = true;
        if node.waits == 0 {
            self.ready.insert(number);
        }
    }

    /// Gives a request its place.
    pub fn next_in_order(&mut self) -> Option<Op> {
        while let Some(number) = self.ready.pop_first() {
            let node = self.nodes.remove(&number).expect("what is ready has no place yet");
            for (to, _) in &node.out {
                let waiting = self.nodes.get_mut(to).expect("who waits has no place yet");
                waiting.waits -= 1;
                if waiting.waits == 0 && waiting.closed {
                    self.ready.insert(*to);
                }
            }
            if node.begun.is_some() {
                self.requests -= 1;
                return Some(Op(number));
            }
        }
        None
    }

    /// True for a request without a place.
    pub fn waits(&self, op: Op) -> bool {
        self.nodes.contains_key(&op.0)
    }

    /// Requests without a place.
    pub fn waiting(&self) -> usize {
        self.requests
    }

    /// Everything without a place.
    pub fn nodes(&self) -> &BTreeMap<u64, Node> {
        &self.nodes
    }
}
