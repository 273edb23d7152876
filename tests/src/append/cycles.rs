//! Finds cycles: strongly connected components after Tarjan, and in each a cycle of few transactions.
//!
//! Searches go from the gravest class to the mildest, and from the data alone to real time, so that a find gets the name that it
//! deserves. A tangle of transactions is reported once.

use std::collections::{HashSet, VecDeque};

use super::anomaly::{Beside, Class, Cycle, Id};
use super::graph::{Edge, Graph, Kind};

/// From how many places of one component a short cycle is looked for.
const STARTS_MAX: usize = 200;
/// A node that is not in the component at hand.
const NOWHERE: u32 = u32::MAX;

/// One cycle for each tangle.
pub fn find(graph: &Graph) -> Vec<Cycle> {
    let mut found: Vec<Cycle> = Vec::new();
    let mut reported: HashSet<Id> = HashSet::new();
    // What has no cycle with all edges has none with fewer: most of a history is never looked at again.
    let everything: Vec<usize> = (0..graph.nodes()).collect();
    let tangled: Vec<usize> =
        components(graph, &everything, &vec![true; graph.nodes()], &|_| true).into_iter().flatten().collect();
    let mut inside = vec![false; graph.nodes()];
    tangled.iter().for_each(|node| inside[*node] = true);
    if tangled.is_empty() {
        return found;
    }
    let mut search = Search::new(graph);
    for beside in [Beside::Nothing, Beside::Process, Beside::RealTime] {
        for class in [Class::G0, Class::G1c, Class::GSingle, Class::G2] {
            let allowed = |kind: Kind| match kind {
                Kind::Ww => true,
                Kind::Wr => class >= Class::G1c,
                Kind::Rw => class >= Class::GSingle,
                Kind::Process => beside >= Beside::Process,
                Kind::RealTime => beside >= Beside::RealTime,
            };
            for component in components(graph, &tangled, &inside, &allowed) {
                if component.iter().any(|node| reported.contains(node)) {
                    continue;
                }
                search.enter(&component);
                let cycle = match class {
                    Class::GSingle => search.with_one_rw(&component, &allowed),
                    _ => search.shortest(&component, &allowed),
                };
                if let Some(cycle) = cycle {
                    reported.extend(cycle.steps.iter().map(|(id, _)| *id));
                    found.push(cycle);
                }
            }
        }
    }
    found
}

/// Strongly connected components of more than one node, among the roots and nodes that are inside.
fn components(
    graph: &Graph,
    roots: &[usize],
    inside: &[bool],
    allowed: &impl Fn(Kind) -> bool,
) -> Vec<Vec<usize>> {
    const UNSEEN: usize = usize::MAX;
    let nodes = graph.nodes();
    let (mut index, mut low, mut on_stack) = (vec![UNSEEN; nodes], vec![0; nodes], vec![false; nodes]);
    let (mut stack, mut found, mut count) = (Vec::new(), Vec::new(), 0);
    // Recursion by hand: histories are longer than a thread's stack. Each frame has a node and its next edge.
    let mut frames: Vec<(usize, usize)> = Vec::new();
    for &root in roots {
        if index[root] != UNSEEN {
            continue;
        }
        frames.push((root, 0));
        while let Some((node, at)) = frames.pop() {
            if at == 0 {
                (index[node], low[node]) = (count, count);
                count += 1;
                stack.push(node);
                on_stack[node] = true;
            } else {
                let child = graph.edges(node)[at - 1].to;
                if on_stack[child] {
                    low[node] = low[node].min(low[child]);
                }
            }
            let next = (at..graph.edges(node).len()).find(|at| {
                let edge = &graph.edges(node)[*at];
                if !allowed(edge.kind) || !inside[edge.to] {
                    return false;
                }
                if index[edge.to] != UNSEEN && on_stack[edge.to] {
                    low[node] = low[node].min(index[edge.to]);
                }
                index[edge.to] == UNSEEN
            });
            if let Some(at) = next {
                frames.push((node, at + 1));
                frames.push((graph.edges(node)[at].to, 0));
                continue;
            }
            if low[node] == index[node] {
                let from = stack.iter().rposition(|other| *other == node).expect("a node is on the stack");
                let component: Vec<usize> = stack.drain(from..).collect();
                component.iter().for_each(|node| on_stack[*node] = false);
                if component.len() > 1 {
                    found.push(component);
                }
            }
        }
    }
    found
}

/// Breadth-first search that counts transactions and walks through barriers for nothing.
struct Search<'a> {
    graph: &'a Graph,
    component: Vec<u32>,
    entered: u32,
    distance: Vec<u32>,
    came: Vec<Option<(usize, Edge)>>,
}

impl<'a> Search<'a> {
    fn new(graph: &'a Graph) -> Search<'a> {
        let nodes = graph.nodes();
        Search {
            graph,
            component: vec![NOWHERE; nodes],
            entered: 0,
            distance: vec![NOWHERE; nodes],
            came: vec![None; nodes],
        }
    }

    fn enter(&mut self, component: &[usize]) {
        self.entered += 1;
        component.iter().for_each(|node| self.component[*node] = self.entered);
    }

    /// A cycle with as few transactions as any from some of the component's.
    fn shortest(&mut self, component: &[usize], allowed: &impl Fn(Kind) -> bool) -> Option<Cycle> {
        let starts: Vec<usize> =
            component.iter().copied().filter(|node| !self.graph.is_barrier(*node)).collect();
        let mut best: Option<Cycle> = None;
        for start in starts.iter().step_by(starts.len().div_ceil(STARTS_MAX).max(1)) {
            let cycle = self.walk(component, *start, *start, allowed).map(|walk| self.close(walk));
            if let Some(cycle) = cycle
                && best.as_ref().is_none_or(|best| cycle.steps.len() < best.steps.len())
            {
                let done = cycle.steps.len() <= 2;
                best = Some(cycle);
                if done {
                    break;
                }
            }
        }
        best
    }

    /// A cycle with exactly one rw edge.
    fn with_one_rw(&mut self, component: &[usize], allowed: &impl Fn(Kind) -> bool) -> Option<Cycle> {
        let mut edges: Vec<(usize, Edge)> = Vec::new();
        for node in component {
            let leave = self.graph.edges(*node).iter().filter(|edge| edge.kind == Kind::Rw);
            edges.extend(leave.map(|edge| (*node, *edge)));
        }
        edges.retain(|(_, edge)| self.component[edge.to] == self.entered);
        let without = |kind: Kind| kind != Kind::Rw && allowed(kind);
        let mut best: Option<Cycle> = None;
        for (from, edge) in edges.iter().step_by(edges.len().div_ceil(STARTS_MAX).max(1)) {
            let Some(mut walk) = self.walk(component, edge.to, *from, &without) else { continue };
            walk.push((*from, *edge));
            let cycle = self.close(walk);
            if best.as_ref().is_none_or(|best| cycle.steps.len() < best.steps.len()) {
                best = Some(cycle);
            }
        }
        best
    }

    /// The nodes and edges from one to the other, which is not among them.
    fn walk(
        &mut self,
        component: &[usize],
        from: usize,
        to: usize,
        allowed: &impl Fn(Kind) -> bool,
    ) -> Option<Vec<(usize, Edge)>> {
        component.iter().for_each(|node| self.distance[*node] = NOWHERE);
        self.distance[from] = 0;
        let mut queue = VecDeque::from([(from, 0)]);
        while let Some((node, distance)) = queue.pop_front() {
            if self.distance[node] < distance {
                continue;
            }
            for edge in self.graph.edges(node) {
                if !allowed(edge.kind) || self.component[edge.to] != self.entered {
                    continue;
                }
                if edge.to == to {
                    let mut steps = vec![(node, *edge)];
                    let mut at = node;
                    while at != from {
                        let step = self.came[at].expect("each node but the first was come to");
                        steps.push(step);
                        at = step.0;
                    }
                    steps.reverse();
                    return Some(steps);
                }
                let barrier = self.graph.is_barrier(edge.to);
                let further = distance + u32::from(!barrier);
                if further < self.distance[edge.to] {
                    self.distance[edge.to] = further;
                    self.came[edge.to] = Some((node, *edge));
                    match barrier {
                        true => queue.push_front((edge.to, further)),
                        false => queue.push_back((edge.to, further)),
                    }
                }
            }
        }
        None
    }

    /// Leaves out the barriers: the edge into the first of a row of them leads to the transaction behind the row.
    fn close(&self, walk: Vec<(usize, Edge)>) -> Cycle {
        let mut steps: Vec<(Id, Edge)> = Vec::new();
        for (node, edge) in walk {
            match steps.last_mut() {
                Some((_, last)) if self.graph.is_barrier(node) => last.to = edge.to,
                _ => steps.push((node, edge)),
            }
        }
        Cycle { steps }
    }
}
