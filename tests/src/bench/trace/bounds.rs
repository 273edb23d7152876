//! What caches of so many keys have of a trace: the one that forgets what was not used for longest (LRU), and the one that knows what is to
//! come (Belady 1966), which nothing exceeds.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Hits of exact LRU among the requests from `from` on.
pub fn lru(trace: &[u32], keys: usize, from: usize) -> usize {
    let (mut used_at, mut order, mut hits) = (HashMap::new(), BTreeMap::new(), 0);
    for (at, key) in trace.iter().enumerate() {
        if let Some(before) = used_at.insert(*key, at) {
            order.remove(&before);
            hits += usize::from(at >= from);
        }
        order.insert(at, *key);
        if used_at.len() > keys
            && let Some((_, oldest)) = order.pop_first()
        {
            used_at.remove(&oldest);
        }
    }
    hits
}

/// Hits of the best of all caches among the requests from `from` on.
pub fn optimal(trace: &[u32], keys: usize, from: usize) -> usize {
    let mut next = vec![usize::MAX; trace.len()];
    let mut later = HashMap::new();
    for (at, key) in trace.iter().enumerate().rev() {
        if let Some(use_at) = later.insert(*key, at) {
            next[at] = use_at;
        }
    }
    let (mut held, mut order, mut hits) = (HashMap::new(), BTreeSet::new(), 0);
    for (at, key) in trace.iter().enumerate() {
        if let Some(before) = held.insert(*key, next[at]) {
            order.remove(&(before, *key));
            hits += usize::from(at >= from);
        }
        order.insert((next[at], *key));
        if held.len() > keys
            && let Some((_, last)) = order.pop_last()
        {
            held.remove(&last);
        }
    }
    hits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_knows_the_future_has_more() {
        // The example of every book: a loop that is one longer than the cache.
        let trace: Vec<u32> = (0..40).map(|n| n % 4).collect();
        assert_eq!(lru(&trace, 3, 0), 0);
        assert!(optimal(&trace, 3, 0) >= 24);
        assert_eq!((lru(&trace, 4, 0), optimal(&trace, 4, 0)), (36, 36));
        assert_eq!(lru(&trace, 4, 30), 10);
    }
}
