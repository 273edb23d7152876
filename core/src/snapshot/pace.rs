//! How much of a core a walk takes: all that is left over where nobody is served, a small share where somebody is.
//!
//! A core that serves clients is never quite idle for long, so what is left over cannot be told by looking whether there is work right now: steps
//! between two requests would make every request wait for one, and take the processor from whoever the core shares it with. It knows how
//! long a step took. It does not know what a step does.

use crate::engine::Engine;
use crate::time::Instant;

/// After a step in whose time clients were served, the walk rests so many times as long: it takes a twentieth of the core.
const REST: u64 = 19;
/// It never rests longer, nanoseconds, however long a step took.
const REST_MAX: u64 = 20_000_000;

/// A core full of clients comes to a step some turns after its time: what was late by up to this, nanoseconds, is made up for by the next rest.
const LATE_MAX: u64 = 2_000_000;

/// Clients that say nothing for so long, nanoseconds, have no share of the core: between two steps that follow each other nobody has had time to speak.
const SILENCE: u64 = 1_000_000;

/// When a walk goes on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    resumes: Instant,
    /// What the core had served at the last step.
    served: u64,
    /// When that was last seen to grow.
    spoken: Instant,
}

impl Pace {
    /// A step has ended that began now and took so many nanoseconds; the core has served so much since it began to count.
    fn stepped(&mut self, now: Instant, nanos: u64, served: u64) {
        if std::mem::replace(&mut self.served, served) != served {
            self.spoken = now;
        }
        let is_alone = now.0.saturating_sub(self.spoken.0) >= SILENCE;
        let rest = nanos.saturating_mul(REST).min(REST_MAX) + nanos;
        let due = self.resumes.0.max(now.0.saturating_sub(LATE_MAX));
        self.resumes = if is_alone { now } else { Instant(due.saturating_add(rest)) };
    }
}

impl Engine {
    /// True if the walk wants to go on and does not rest.
    pub(crate) fn walks_now(&self) -> bool {
        let saving = self.node.shard.saving.as_ref();
        self.node.shard.wants_walk() && saving.is_some_and(|saving| saving.pace.resumes <= self.node.now.mono)
    }

    /// When a walk that rests goes on.
    pub(crate) fn next_walk(&self) -> Instant {
        match &self.node.shard.saving {
            Some(saving) if self.node.shard.wants_walk() && !self.walks_now() => saving.pace.resumes,
            _ => Instant::NEVER,
        }
    }

    /// Goes on with a snapshot for about so many steps, if the walk does not rest.
    pub(crate) fn walk_on(&mut self, steps: usize, now: Instant) {
        if !self.walks_now() {
            return;
        }
        let stopwatch = self.node.instruments.stopwatch;
        let started = stopwatch();
        self.node.shard.walk_some(steps);
        let nanos = stopwatch().saturating_sub(started);
        let counters = self.node.shard.counters;
        // Of its own clients, and for those of other cores.
        let served = self.node.statistics.commands + counters.hits + counters.misses + counters.dirty;
        if let Some(saving) = &mut self.node.shard.saving {
            // Who stops the server, and who is held by SAVE, waits for it to be over.
            match saving.is_final || saving.holds.is_some() {
                true => saving.pace = Pace::default(),
                false => saving.pace.stepped(now, nanos, served),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::DiskOutcome;
    use crate::testing::World;

    /// Each look is a millisecond after the last.
    fn ticking() -> u64 {
        use std::cell::Cell;
        thread_local!(static NANOS: Cell<u64> = const { Cell::new(0) });
        NANOS.replace(NANOS.get() + 1_000_000)
    }

    #[test]
    fn a_walk_that_rests_has_no_work_until_it_goes_on() {
        let mut world = World::new(1);
        world.engines[0].node.instruments.stopwatch = ticking;
        let client = world.connect(0);
        (0..2_000).for_each(|n| assert_eq!(world.call(client, &format!("SET key:{n} {n}")), "+OK\r\n"));
        assert_eq!(world.call(client, "BGSAVE"), "+Background saving started\r\n");
        let mut rests = 0;
        while world.engines[0].node.status.is_saving {
            for (core, operation, _) in world.disk_requests() {
                world.end_disk(core, operation, DiskOutcome::Done);
            }
            assert_eq!(world.call(client, "PING"), "+PONG\r\n");
            world.work(1);
            if world.engines[0].next_walk() != Instant::NEVER {
                rests += 1;
                assert!(!world.engines[0].has_background(), "a core that rests may sleep");
                assert!(world.engines[0].deadline() <= world.engines[0].next_walk());
                world.pass(1 + REST);
                assert!(world.engines[0].has_background(), "it goes on");
            }
        }
        assert!(rests > 10, "{rests}");
    }

    #[test]
    fn who_is_alone_does_not_rest() {
        let mut pace = Pace { served: 5, ..Pace::default() };
        pace.stepped(Instant(SILENCE), 300, 5);
        assert_eq!(pace.resumes, Instant(SILENCE));
    }

    #[test]
    fn beside_clients_a_walk_takes_a_twentieth_of_the_time() {
        let mut pace = Pace { resumes: Instant(1_000), ..Pace::default() };
        pace.stepped(Instant(1_000), 300, 1);
        assert_eq!(pace.resumes, Instant(7_000));
        pace.stepped(Instant(7_000), 300, 1);
        assert_eq!(pace.resumes, Instant(13_000), "nobody has had time to speak");
        pace.stepped(Instant(1_000 + SILENCE), 300, 1);
        assert_eq!(pace.resumes, Instant(1_000 + SILENCE), "the clients have gone");
    }

    #[test]
    fn a_step_that_comes_late_shortens_the_rest_behind_it_but_not_for_ever() {
        let ms = 1_000_000;
        let mut pace = Pace { resumes: Instant(10 * ms), ..Pace::default() };
        pace.stepped(Instant(11 * ms), ms / 10, 1);
        assert_eq!(pace.resumes, Instant(10 * ms + 20 * (ms / 10)), "from when it should have come");
        pace.stepped(Instant(100 * ms), ms / 10, 2);
        assert_eq!(pace.resumes, Instant(100 * ms - LATE_MAX + 20 * (ms / 10)));
    }

    #[test]
    fn a_long_step_is_no_reason_for_a_long_rest() {
        let mut pace = Pace::default();
        pace.stepped(Instant(0), 1 << 40, 1);
        assert_eq!(pace.resumes, Instant((1 << 40) + REST_MAX));
    }
}
