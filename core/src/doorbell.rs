//! The doorbell of a core: who must wake whom.
//!
//! A sender pushes first and asks afterwards; a sleeper announces first and looks afterwards. A fence stands between the two
//! steps of each, so at least one of them sees the other, and no message waits for a core that sleeps. This file does
//! not know what is pushed nor how a bell sounds. It is generic over its atomics so that a checker of memory
//! orders can put its own in their place.

use std::sync::atomic::{AtomicBool, Ordering, fence};

/// What the doorbell needs of an atomic flag.
pub trait Flag {
    /// A flag that is down.
    fn lowered() -> Self;
    /// Reads it, relaxed.
    fn is_raised(&self) -> bool;
    /// Sets it, relaxed.
    fn set(&self, raised: bool);
    /// Takes it down and says whether it was up, relaxed.
    fn take(&self) -> bool;
    /// A sequentially consistent fence.
    fn fence();
}

impl Flag for AtomicBool {
    fn lowered() -> Self {
        AtomicBool::new(false)
    }

    #[inline]
    fn is_raised(&self) -> bool {
        self.load(Ordering::Relaxed)
    }

    #[inline]
    fn set(&self, raised: bool) {
        self.store(raised, Ordering::Relaxed);
    }

    #[inline]
    fn take(&self) -> bool {
        self.swap(false, Ordering::Relaxed)
    }

    #[inline]
    fn fence() {
        fence(Ordering::SeqCst);
    }
}

/// Says whether a core sleeps, and whether it wants to be woken for what may wait. One core waits behind it, all others may ring.
#[derive(Debug)]
pub struct Doorbell<F: Flag = AtomicBool> {
    asleep: F,
    /// Also what may wait wakes it.
    lightly: F,
}

impl<F: Flag> Default for Doorbell<F> {
    fn default() -> Self {
        Doorbell { asleep: F::lowered(), lightly: F::lowered() }
    }
}

impl<F: Flag> Doorbell<F> {
    /// Asked by a sender after it has pushed: true if this sender, and no other, has to wake the core now.
    #[inline]
    pub fn must_ring(&self) -> bool {
        F::fence();
        self.asleep.is_raised() && self.asleep.take()
    }

    /// The same after pushing only what may wait until the core is awake anyway: it is woken for it only if it said so.
    #[inline]
    pub fn must_ring_lightly(&self) -> bool {
        F::fence();
        self.lightly.is_raised() && self.asleep.is_raised() && self.asleep.take()
    }

    /// Said before [`Doorbell::announce_sleep`]: whether what may wait is to wake the core.
    #[inline]
    pub fn sleep_lightly(&self, lightly: bool) {
        self.lightly.set(lightly);
    }

    /// The core is about to sleep. It must look at everything that senders push once more after this call, and sleep only if
    /// it finds nothing.
    #[inline]
    pub fn announce_sleep(&self) {
        self.asleep.set(true);
        F::fence();
    }

    /// The core is awake and needs no ringing.
    #[inline]
    pub fn awake(&self) {
        self.asleep.set(false);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::sync::{Arc, mpsc};
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_a_core_that_announced_its_sleep_is_rung_and_only_once() {
        let bell: Doorbell = Doorbell::default();
        assert!(!bell.must_ring());
        bell.announce_sleep();
        assert!(bell.must_ring());
        assert!(!bell.must_ring());
        bell.announce_sleep();
        bell.awake();
        assert!(!bell.must_ring());
    }

    #[test]
    fn what_may_wait_wakes_only_who_sleeps_lightly() {
        let bell: Doorbell = Doorbell::default();
        bell.sleep_lightly(false);
        bell.announce_sleep();
        assert!(!bell.must_ring_lightly());
        assert!(bell.must_ring());
        bell.sleep_lightly(true);
        bell.announce_sleep();
        assert!(bell.must_ring_lightly());
        assert!(!bell.must_ring_lightly() && !bell.must_ring());
    }

    #[allow(clippy::disallowed_methods, reason = "the race itself is tested, which takes two threads")]
    /// Two senders count up, the sleeper adds up what it sees. A lost wake-up leaves it asleep until the test's patience ends.
    #[test]
    fn no_wake_up_is_lost() {
        const PUSHES: u64 = 100_000;
        let bell: Arc<Doorbell> = Arc::default();
        let pushed: Arc<[AtomicU64; 2]> = Arc::default();
        let (ring, heard) = mpsc::channel::<()>();
        let patience = Duration::from_secs(20);
        bell.announce_sleep();
        let senders: Vec<_> = (0..2)
            .map(|which| {
                let (bell, pushed, ring) = (bell.clone(), pushed.clone(), ring.clone());
                thread::spawn(move || {
                    for count in 1..=PUSHES {
                        pushed[which].store(count, Ordering::Release);
                        if bell.must_ring() {
                            ring.send(()).unwrap();
                        }
                    }
                })
            })
            .collect();
        assert!(heard.recv_timeout(patience).is_ok(), "the first push rang nobody");
        let all_seen = || pushed.iter().map(|p| p.load(Ordering::Acquire)).sum::<u64>();
        let mut seen = 0;
        while seen < 2 * PUSHES {
            bell.announce_sleep();
            let now = all_seen();
            if now == seen {
                assert!(heard.recv_timeout(patience).is_ok(), "slept through a push at {now}");
            }
            bell.awake();
            seen = all_seen().max(now);
        }
        senders.into_iter().for_each(|s| s.join().unwrap());
    }
}
