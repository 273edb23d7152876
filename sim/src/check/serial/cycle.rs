//! The shortest cycle, in words.
//!
//! What cannot lie on a cycle is taken away first; from each of the rest a search goes the shortest way round, where moments cost
//! nothing. It knows edges and why they are there.

use std::collections::{BTreeMap, VecDeque};

use super::graph::Graph;
use super::{Access, Op, Why};

/// So many requests are tried as a beginning; in a larger tangle the shortest cycle found may not be the shortest there is.
const BEGINNINGS_MAX: usize = 200;

/// Requests each of which stands before the next, the last before the first.
#[derive(Debug)]
pub struct Cycle {
    steps: Vec<(Op, Why)>,
    moments: BTreeMap<Op, (u64, Option<u64>)>,
}

impl Cycle {
    /// The requests.
    pub fn ops(&self) -> impl Iterator<Item = Op> {
        self.steps.iter().map(|(op, _)| *op)
    }

    /// For people; `name` says what a request was.
    pub fn in_words(&self, name: impl Fn(Op) -> String) -> String {
        let mut text = String::from("no order explains what was seen:");
        for (n, (op, why)) in self.steps.iter().enumerate() {
            let (next, _) = &self.steps[(n + 1) % self.steps.len()];
            let line = format!("\n  {} before {}: {}", name(*op), name(*next), self.why(*op, *next, why));
            text += &line;
        }
        text
    }

    fn why(&self, op: Op, next: Op, why: &Why) -> String {
        match why {
            Why::RealTime => {
                let ended = self.moments[&op].1.map_or_else(String::new, |moment| format!(" ({moment})"));
                format!("it was answered before{ended} the other was taken ({})", self.moments[&next].0)
            }
            Why::BuiltUpon => "the other builds on it".into(),
            Why::Ran { shard, database, key, first, then } => {
                let did = |access: &Access| if *access == Access::Reads { "reads" } else { "writes" };
                let key = key.as_ref().map(|key| String::from_utf8_lossy(key).into_owned());
                let what = key.unwrap_or_else(|| "all keys or one of them".into());
                let (first, then) = (did(first), did(then));
                format!("shard {shard}, database {database}: it {first} {what}, then the other {then} {what}")
            }
        }
    }
}

/// The nodes that may lie on a cycle, and where their edges lead.
struct Core<'a> {
    edges: BTreeMap<u64, Vec<(u64, &'a Why)>>,
}

impl<'a> Core<'a> {
    fn of(graph: &'a Graph) -> Core<'a> {
        let mut edges: BTreeMap<u64, Vec<(u64, &Why)>> = BTreeMap::new();
        let mut into: BTreeMap<u64, usize> = BTreeMap::new();
        for (&from, node) in graph.nodes() {
            edges.insert(from, node.out.iter().map(|(to, why)| (*to, why)).collect());
            node.out.iter().for_each(|(to, _)| *into.entry(*to).or_default() += 1);
        }
        // Who waits for nobody lies on no cycle.
        let mut free: Vec<u64> = edges.keys().filter(|node| !into.contains_key(node)).copied().collect();
        while let Some(node) = free.pop() {
            for (to, _) in edges.remove(&node).unwrap_or_default() {
                let left = into.get_mut(&to).expect("an edge leads there");
                *left -= 1;
                if *left == 0 {
                    free.push(to);
                }
            }
        }
        // Nor does he for whom nobody waits.
        let mut from: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        edges
            .iter()
            .for_each(|(node, out)| out.iter().for_each(|(to, _)| from.entry(*to).or_default().push(*node)));
        let mut left: BTreeMap<u64, usize> = edges.iter().map(|(node, out)| (*node, out.len())).collect();
        let mut free: Vec<u64> = left.iter().filter(|(_, out)| **out == 0).map(|(node, _)| *node).collect();
        while let Some(node) = free.pop() {
            edges.remove(&node);
            for earlier in from.remove(&node).unwrap_or_default() {
                let out = left.get_mut(&earlier).expect("it has this edge");
                *out -= 1;
                if *out == 0 {
                    free.push(earlier);
                }
            }
        }
        Core { edges }
    }

    /// The shortest way from a node back to it, as nodes and why the next comes after each.
    fn round(&self, graph: &Graph, start: u64, longest: usize) -> Option<Vec<(u64, &'a Why)>> {
        let is_request = |node: u64| graph.nodes()[&node].begun.is_some();
        let mut came: BTreeMap<u64, (u64, &Why)> = BTreeMap::new();
        let mut queue = VecDeque::from([(start, 0)]);
        while let Some((node, cost)) = queue.pop_front() {
            for (to, why) in self.edges.get(&node).into_iter().flatten() {
                if *to == start {
                    let (mut way, mut here) = (vec![(node, *why)], node);
                    while here != start {
                        let (earlier, why) = came[&here];
                        way.push((earlier, why));
                        here = earlier;
                    }
                    way.reverse();
                    return Some(way);
                }
                let cost = cost + usize::from(is_request(*to));
                if cost < longest && self.edges.contains_key(to) && !came.contains_key(to) {
                    came.insert(*to, (node, *why));
                    if is_request(*to) { queue.push_back((*to, cost)) } else { queue.push_front((*to, cost)) }
                }
            }
        }
        None
    }
}

/// The shortest cycle, if there is one.
pub(super) fn shortest(graph: &Graph) -> Option<Cycle> {
    let core = Core::of(graph);
    let is_request = |node: &u64| graph.nodes()[node].begun.is_some();
    let requests_of = |way: &[(u64, &Why)]| way.iter().filter(|(node, _)| is_request(node)).count();
    let mut best: Option<Vec<(u64, &Why)>> = None;
    for start in core.edges.keys().filter(|node| is_request(node)).take(BEGINNINGS_MAX) {
        let longest = best.as_ref().map_or(usize::MAX, |way| requests_of(way));
        if let Some(way) = core.round(graph, *start, longest)
            && best.as_ref().is_none_or(|best| requests_of(&way) < requests_of(best))
        {
            best = Some(way);
        }
    }
    let way = best?;
    let steps: Vec<(Op, Why)> = way
        .iter()
        .filter(|(node, _)| is_request(node))
        .map(|(node, why)| (Op(*node), (*why).clone()))
        .collect();
    let moments = steps.iter().map(|(op, _)| {
        let node = &graph.nodes()[&op.0];
        (*op, (node.begun.expect("a request was taken"), node.ended))
    });
    Some(Cycle { moments: moments.collect(), steps })
}
