//! Below a limit that was applied nothing arrives, whatever memory does.
//!
//! Two cores flush, each to the rings of two others; the third takes a turn meanwhile. When all is over it looks for what it
//! has not drained: a ticket below its limit is a fault.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering as Std};

use darter_core::event::CoreId;
use darter_core::txn::stability::{Counter, NONE, Observation, SingleThreaded, Tickets};
use loom::sync::atomic::{AtomicU64, Ordering};

use crate::ring::{Ring, faults};

/// A counter over loom's atomics with the orders that production has.
struct Ordered(AtomicU64);

impl Counter for Ordered {
    fn new(value: u64) -> Self {
        Ordered(AtomicU64::new(value))
    }

    fn load(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    fn store(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }

    fn add(&self, n: u64) -> u64 {
        self.0.fetch_add(n, Ordering::AcqRel)
    }
}

/// One with a weaker order in one place.
macro_rules! weaker {
    ($name:ident, $load:ident, $store:ident, $add:ident) => {
        struct $name(AtomicU64);

        impl Counter for $name {
            fn new(value: u64) -> Self {
                $name(AtomicU64::new(value))
            }

            fn load(&self) -> u64 {
                self.0.load(Ordering::$load)
            }

            fn store(&self, value: u64) {
                self.0.store(value, Ordering::$store);
            }

            fn add(&self, n: u64) -> u64 {
                self.0.fetch_add(n, Ordering::$add)
            }
        }
    };
}

weaker!(LoadsRelaxed, Relaxed, Release, AcqRel);
weaker!(StoresRelaxed, Acquire, Relaxed, AcqRel);
weaker!(DrawsRelaxed, Acquire, Release, Relaxed);

/// In which order a core flushes.
#[derive(Clone, Copy, PartialEq)]
enum Flush {
    /// As it must be.
    Announced,
    /// Takes its word back before the last push.
    WordBackEarly,
}

/// In which order a shard's turn goes.
#[derive(Clone, Copy, PartialEq)]
enum Turn {
    /// As it must be.
    CounterFirst,
    /// Looks at what cores say before it reads the counter.
    CounterLast,
    /// Never reads the counter: its limit ends where its queue does.
    WithoutCounter,
    /// Drains before it looks.
    DrainFirst,
}

/// A world of cores of which the last takes a turn and all others flush.
struct World<C: Counter> {
    tickets: Tickets<C>,
    /// To the core that takes a turn, and to somebody else, by sender.
    rings: Vec<[Ring; 2]>,
    /// A core stands between its two pushes.
    amid: AtomicBool,
}

impl<C: Counter> World<C> {
    fn flush(&self, core: usize, flush: Flush, flushes: usize) {
        for before in 0..flushes {
            let id = CoreId(core as u16);
            self.tickets.announce(id);
            let ticket = self.tickets.draw(id, 1);
            // Half of the cores reach the core that takes a turn last.
            let [first, last] = if core == 0 { [1, 0] } else { [0, 1] };
            self.rings[core][first].push(before, ticket);
            self.amid.store(true, Std::Relaxed);
            if flush == Flush::WordBackEarly {
                self.tickets.pushed(id);
            }
            self.rings[core][last].push(before, ticket);
            self.amid.store(false, Std::Relaxed);
            if flush == Flush::Announced {
                self.tickets.pushed(id);
            }
        }
    }

    fn drain(&self) -> Vec<u64> {
        self.rings.iter().flat_map(|rings| rings[0].drain()).collect()
    }

    fn look(&self, seen: Observation) -> u64 {
        (0..self.tickets.cores()).fold(seen, |seen, core| seen.look(&self.tickets, CoreId(core))).below()
    }

    /// Returns the limit.
    fn turn(&self, turn: Turn) -> u64 {
        let everything = Tickets::<SingleThreaded>::new(1);
        everything.announce(CoreId(0));
        everything.draw(CoreId(0), NONE - 1);
        match turn {
            Turn::CounterFirst => {
                let below = self.tickets.limit();
                self.drain();
                below
            }
            Turn::CounterLast => {
                let below = self.look(everything.observe()).min(self.tickets.observe().below());
                self.drain();
                below
            }
            Turn::WithoutCounter => {
                let below = self.look(everything.observe());
                below.min(self.drain().into_iter().max().map_or(0, |ticket| ticket + 1))
            }
            Turn::DrainFirst => {
                self.drain();
                self.tickets.limit()
            }
        }
    }
}

/// How often something lower arrives.
fn check<C: Counter + Send + Sync + 'static>(
    name: &str,
    cores: u16,
    flush: Flush,
    turn: Turn,
    preemptions: usize,
) -> usize {
    faults(name, preemptions, move |seen| {
        let flushing = usize::from(cores) - 1;
        let world = Arc::new(World {
            tickets: Tickets::<C>::new(cores),
            rings: (0..flushing).map(|_| [Ring::new(), Ring::new()]).collect(),
            amid: AtomicBool::new(false),
        });
        let flushes = if flushing == 1 { 2 } else { 1 };
        let cores: Vec<_> = (0..flushing)
            .map(|core| {
                let world = world.clone();
                loom::thread::spawn(move || world.flush(core, flush, flushes))
            })
            .collect();
        let limit = world.turn(turn);
        seen.sometimes_if(world.amid.load(Std::Relaxed));
        cores.into_iter().for_each(|core| core.join().expect("cores do not fail"));
        let late = world.drain();
        seen.fault_if(late.iter().any(|ticket| *ticket < limit));
    })
}

/// Enough to find every fault here.
const PREEMPTIONS: usize = 3;

#[test]
fn nothing_lower_arrives_between_two_cores() {
    let name = "two cores, two flushes";
    assert_eq!(check::<Ordered>(name, 2, Flush::Announced, Turn::CounterFirst, 4), 0);
}

#[test]
fn nothing_lower_arrives_among_three_cores() {
    let name = "three cores";
    assert_eq!(check::<Ordered>(name, 3, Flush::Announced, Turn::CounterFirst, PREEMPTIONS + 1), 0);
}

#[test]
fn a_word_that_is_taken_back_before_the_push_is_found() {
    let name = "the word taken back early";
    assert!(check::<Ordered>(name, 2, Flush::WordBackEarly, Turn::CounterFirst, PREEMPTIONS) > 0);
}

#[test]
fn a_turn_without_the_counter_is_found_among_three_cores_only() {
    let turn = Turn::WithoutCounter;
    assert_eq!(check::<Ordered>("two cores, no counter", 2, Flush::Announced, turn, PREEMPTIONS), 0);
    assert!(check::<Ordered>("three cores, no counter", 3, Flush::Announced, turn, PREEMPTIONS) > 0);
}

#[test]
fn a_counter_that_is_read_last_is_found() {
    assert!(check::<Ordered>("counter last", 2, Flush::Announced, Turn::CounterLast, PREEMPTIONS) > 0);
}

#[test]
fn a_turn_that_drains_first_is_found() {
    assert!(check::<Ordered>("drain first", 2, Flush::Announced, Turn::DrainFirst, PREEMPTIONS) > 0);
}

#[test]
fn relaxed_orders_are_found() {
    let (flush, turn) = (Flush::Announced, Turn::CounterFirst);
    assert!(check::<LoadsRelaxed>("relaxed loads", 2, flush, turn, PREEMPTIONS) > 0);
    assert!(check::<StoresRelaxed>("relaxed stores", 2, flush, turn, PREEMPTIONS) > 0);
    assert!(check::<DrawsRelaxed>("relaxed draws", 2, flush, turn, PREEMPTIONS) > 0);
}
