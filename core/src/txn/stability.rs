//! Tickets, and below which ticket nothing more can arrive.
//!
//! Cores draw tickets from one counter and push what carries them to each other, each when it gets round to it. A shard runs
//! a ticket only when it is *stable*: no core may still push a lower one. Each core says the lowest that it may still push
//! before it draws, and takes that back after it has pushed; a shard reads the counter first, then what every core says,
//! then drains its rings, and only then goes by the lowest of what it has read.
//!
//! Why it holds: let `t` lie below what was read of the counter. Its draw came before in the counter's order, and all writes of the
//! counter are read-modify-writes that release, so the shard sees what the drawing core said before: `t` or lower, or what that core
//! has written since, which it did after the push. In the first case the limit is not above `t`; in the second the drain finds it.
//! Without the reading of the counter a core whose word was read before it drew is overtaken by one whose word is read
//! after it has pushed.
//!
//! This file does not know what is pushed nor what a ring is. It is generic over its atomics, so that a checker of memory orders, a
//! model and the simulator run the same lines.

use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::event::CoreId;
use crate::mutant::planted;

/// Said by a core that pushes nothing; above every ticket.
pub const NONE: u64 = u64::MAX;

/// The ticket that is drawn first.
const FIRST: u64 = 1;

/// What tickets need of an atomic number.
pub trait Counter {
    /// A counter that stands at `value`.
    fn new(value: u64) -> Self;
    /// Reads it: acquire.
    fn load(&self) -> u64;
    /// Writes it: release.
    fn store(&self, value: u64);
    /// Adds and returns what it was before: acquire and release.
    fn add(&self, n: u64) -> u64;
}

impl Counter for AtomicU64 {
    fn new(value: u64) -> Self {
        AtomicU64::new(value)
    }

    #[inline]
    fn load(&self) -> u64 {
        self.load(Ordering::Acquire)
    }

    #[inline]
    fn store(&self, value: u64) {
        self.store(value, Ordering::Release);
    }

    #[inline]
    fn add(&self, n: u64) -> u64 {
        self.fetch_add(n, Ordering::AcqRel)
    }
}

/// A counter for worlds in which one thread at a time does everything: it can be cloned, compared and hashed.
#[derive(Debug)]
pub struct SingleThreaded(AtomicU64);

impl SingleThreaded {
    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Clone for SingleThreaded {
    fn clone(&self) -> Self {
        SingleThreaded(AtomicU64::new(self.get()))
    }
}

impl PartialEq for SingleThreaded {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for SingleThreaded {}

impl Hash for SingleThreaded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.get().hash(state);
    }
}

impl Counter for SingleThreaded {
    fn new(value: u64) -> Self {
        SingleThreaded(AtomicU64::new(value))
    }

    fn load(&self) -> u64 {
        self.get()
    }

    fn store(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    fn add(&self, n: u64) -> u64 {
        self.0.fetch_add(n, Ordering::Relaxed)
    }
}

/// Keeps what one core writes off the cache lines of others; two lines, since processors fetch them in pairs.
#[repr(align(128))]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Padded<C>(C);

/// Shared by all cores: the next ticket, and per core the lowest ticket that it may still push.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tickets<C: Counter = AtomicU64> {
    next: Padded<C>,
    low: Box<[Padded<C>]>,
}

impl<C: Counter> Tickets<C> {
    /// For so many cores. The first ticket is 1.
    pub fn new(cores: u16) -> Self {
        assert!(cores > 0, "somebody has to draw");
        Tickets { next: Padded(C::new(FIRST)), low: (0..cores).map(|_| Padded(C::new(NONE))).collect() }
    }

    /// How many cores share them.
    pub fn cores(&self) -> u16 {
        self.low.len() as u16
    }

    /// Says that `core` may push tickets from now on: the first access of a flush that has any.
    #[inline]
    pub fn announce(&self, core: CoreId) {
        self.announcement().say(self, core);
    }

    /// The first half of [`Tickets::announce`]: what there is to say.
    #[inline]
    pub fn announcement(&self) -> Announcement {
        Announcement { low: self.next.0.load() }
    }

    /// Draws `n` tickets, one behind the other, and returns the first.
    #[inline]
    pub fn draw(&self, core: CoreId, n: u64) -> u64 {
        assert!(
            self.low(core).load() != NONE || planted("a ticket is announced after it was drawn"),
            "a core announces before it draws"
        );
        self.next.0.add(n)
    }

    /// Says that everything that carries a ticket of this flush has been pushed.
    #[inline]
    pub fn pushed(&self, core: CoreId) {
        self.low(core).store(NONE);
    }

    /// Begins to find a limit, by reading the counter.
    #[inline]
    pub fn observe(&self) -> Observation {
        Observation { below: if planted("the next ticket is read last") { NONE } else { self.next.0.load() } }
    }

    /// The whole of it: all tickets below are in the rings or have been drained. The caller drains all its rings and only then goes by it.
    #[inline]
    pub fn limit(&self) -> u64 {
        let looked = (0..self.cores()).fold(self.observe(), |seen, core| seen.look(self, CoreId(core)));
        looked.below()
    }

    fn low(&self, core: CoreId) -> &C {
        &self.low[core.index()].0
    }
}

/// What a core is about to say of the tickets that it will draw. Apart, so that a model can let others act in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Announcement {
    low: u64,
}

impl Announcement {
    /// Says it.
    #[inline]
    pub fn say<C: Counter>(self, tickets: &Tickets<C>, core: CoreId) {
        tickets.low(core).store(self.low);
    }
}

/// A limit in the making. Its steps are apart so that a model can let others act between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Observation {
    below: u64,
}

impl Observation {
    /// Takes what `core` says into account. To be called for every core, in any order.
    #[inline]
    pub fn look<C: Counter>(self, tickets: &Tickets<C>, core: CoreId) -> Observation {
        let below = self.below.min(tickets.low(core).load());
        let is_last = core.0 + 1 == tickets.cores();
        if is_last && planted("the next ticket is read last") {
            return Observation { below: below.min(tickets.next.0.load()) };
        }
        Observation { below }
    }

    /// All tickets below are stable, once every core has been looked at and the rings have been drained after that.
    #[inline]
    pub fn below(self) -> u64 {
        self.below
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{self, Receiver, Sender};
    use std::thread;

    use super::*;

    const ONE: CoreId = CoreId(0);
    const TWO: CoreId = CoreId(1);

    #[test]
    fn a_limit_lies_below_what_may_still_be_pushed() {
        let tickets: Tickets<SingleThreaded> = Tickets::new(2);
        assert_eq!(tickets.limit(), FIRST);
        tickets.announce(ONE);
        assert_eq!(tickets.draw(ONE, 3), 1);
        tickets.announce(TWO);
        assert_eq!(tickets.draw(TWO, 1), 4);
        assert_eq!(tickets.limit(), 1);
        tickets.pushed(ONE);
        assert_eq!(tickets.limit(), 4);
        tickets.pushed(TWO);
        assert_eq!(tickets.limit(), 5);
    }

    #[test]
    fn the_counter_is_read_first() {
        let tickets: Tickets<SingleThreaded> = Tickets::new(3);
        let seen = tickets.observe().look(&tickets, ONE);
        tickets.announce(ONE);
        tickets.draw(ONE, 1);
        tickets.announce(TWO);
        tickets.draw(TWO, 1);
        tickets.pushed(TWO);
        assert_eq!(seen.look(&tickets, TWO).look(&tickets, CoreId(2)).below(), FIRST);
    }

    #[test]
    #[should_panic(expected = "announces before it draws")]
    fn who_has_not_announced_does_not_draw() {
        Tickets::<SingleThreaded>::new(1).draw(ONE, 1);
    }

    #[test]
    fn each_core_writes_a_line_of_its_own() {
        let tickets: Tickets = Tickets::new(2);
        let far = |a: &AtomicU64, b: &AtomicU64| {
            (a as *const AtomicU64).addr().abs_diff((b as *const AtomicU64).addr())
        };
        assert!(far(tickets.low(ONE), tickets.low(TWO)) >= 128);
        assert!(far(&tickets.next.0, tickets.low(ONE)) >= 128);
    }

    #[allow(clippy::disallowed_methods, reason = "the race itself is tested, which takes threads")]
    fn flush_often(tickets: Arc<Tickets>, core: CoreId, rings: Vec<Sender<u64>>) {
        for round in 0..20_000 {
            tickets.announce(core);
            let count = 1 + round % 3;
            let first = tickets.draw(core, count);
            (first..first + count)
                .for_each(|ticket| rings.iter().for_each(|ring| ring.send(ticket).unwrap()));
            tickets.pushed(core);
        }
    }

    #[allow(clippy::disallowed_methods, reason = "the race itself is tested, which takes threads")]
    /// Three cores push to two shards, each of which sees every ticket once and none below a limit that it has applied.
    #[test]
    fn nothing_lower_arrives() {
        let tickets: Arc<Tickets> = Arc::new(Tickets::new(3));
        type Rings = (Vec<Sender<u64>>, Vec<Receiver<u64>>);
        let (mut to, mut shards) = (vec![Vec::new(); 3], Vec::new());
        for _ in 0..2 {
            let (senders, receivers): Rings = (0..3).map(|_| mpsc::channel()).unzip();
            to.iter_mut().zip(senders).for_each(|(rings, sender)| rings.push(sender));
            shards.push(receivers);
        }
        let cores = to.into_iter().zip(0..);
        let cores: Vec<_> = cores
            .map(|(rings, core)| {
                let tickets = tickets.clone();
                thread::spawn(move || flush_often(tickets, CoreId(core), rings))
            })
            .collect();
        let shards: Vec<_> = shards
            .into_iter()
            .map(|rings| {
                let tickets = tickets.clone();
                thread::spawn(move || {
                    let (mut limit, mut arrived) = (0, 0);
                    while limit < FIRST + 3 * 39_999 {
                        let next = tickets.limit();
                        for ticket in rings.iter().flat_map(|ring| ring.try_iter()) {
                            assert!(ticket >= limit, "{ticket} arrived below {limit}");
                            arrived += 1;
                        }
                        assert!(next >= limit, "the limit never falls: {limit}, {next}");
                        limit = next;
                    }
                    arrived
                })
            })
            .collect();
        cores.into_iter().for_each(|core| core.join().unwrap());
        for shard in shards {
            assert_eq!(shard.join().unwrap(), 3 * 39_999);
        }
    }
}
