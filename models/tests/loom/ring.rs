//! A ring between two cores, small enough to be explored, and how a world is explored.
//!
//! What lies in the ring is no concern of the checker: the index is, since it alone orders the two ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize as Uncounted, Ordering};

use loom::sync::atomic::AtomicUsize;

const SLOTS: usize = 4;

/// One producer, one consumer, and never more than a few messages in its life.
pub struct Ring {
    slots: [AtomicU64; SLOTS],
    tail: AtomicUsize,
    /// Of the consumer alone.
    head: Uncounted,
}

impl Ring {
    pub fn new() -> Ring {
        Ring {
            slots: [const { AtomicU64::new(0) }; SLOTS],
            tail: AtomicUsize::new(0),
            head: Uncounted::new(0),
        }
    }

    /// To be called by the producer, which says how many it has pushed before.
    pub fn push(&self, before: usize, message: u64) {
        self.slots[before].store(message, Ordering::Relaxed);
        self.tail.store(before + 1, Ordering::Release);
    }

    /// Everything that has arrived since the last call.
    pub fn drain(&self) -> impl Iterator<Item = u64> {
        let arrived = self.tail.load(Ordering::Acquire);
        let seen = self.head.swap(arrived, Ordering::Relaxed);
        (seen..arrived).map(|slot| self.slots[slot].load(Ordering::Relaxed))
    }
}

/// What all executions of a world have shown together. Not seen by the checker, and no cause of orders.
#[derive(Default)]
pub struct Seen {
    /// Executions.
    pub executions: Uncounted,
    /// Executions in which something was wrong.
    pub faults: Uncounted,
    /// Executions of which that was true which makes them worth while.
    pub sometimes: Uncounted,
}

impl Seen {
    pub fn fault_if(&self, wrong: bool) {
        self.faults.fetch_add(usize::from(wrong), Ordering::Relaxed);
    }

    pub fn sometimes_if(&self, holds: bool) {
        self.sometimes.fetch_add(usize::from(holds), Ordering::Relaxed);
    }
}

/// Runs a world in every order with at most so many preemptions, and says how often it was wrong.
pub fn faults(name: &str, preemptions: usize, world: impl Fn(&Arc<Seen>) + Send + Sync + 'static) -> usize {
    let seen: Arc<Seen> = Arc::default();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    let shared = seen.clone();
    builder.check(move || {
        shared.executions.fetch_add(1, Ordering::Relaxed);
        world(&shared);
    });
    let of = |count: &Uncounted| count.load(Ordering::Relaxed);
    let (executions, faults) = (of(&seen.executions), of(&seen.faults));
    println!("{name}: {executions} executions, {faults} wrong, {} worth while", of(&seen.sometimes));
    assert!(of(&seen.sometimes) > 0, "{name}: what had to be seen was not");
    faults
}
