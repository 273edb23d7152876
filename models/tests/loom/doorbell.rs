//! No message waits for a core that sleeps, and a core is woken once.
//!
//! Senders push and ask whether to ring, the sleeper announces, looks and sleeps if it has found nothing. When all is over, a sleeper
//! to which something was pushed must have been rung, by one sender.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering as Std};

use darter_core::doorbell::{Doorbell, Flag};
use loom::sync::atomic::{AtomicBool, Ordering, fence};

use crate::ring::{Ring, faults};

/// A flag over loom's atomics: `FENCE` says how strong its fence is, `ONE_STEP` whether taking it down is one step.
struct Loomed<const FENCE: u8, const ONE_STEP: bool>(AtomicBool);

const SEQUENTIAL: u8 = 0;
const ACQUIRE_RELEASE: u8 = 1;
const NO_FENCE: u8 = 2;

impl<const FENCE: u8, const ONE_STEP: bool> Flag for Loomed<FENCE, ONE_STEP> {
    fn lowered() -> Self {
        Loomed(AtomicBool::new(false))
    }

    fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, raised: bool) {
        self.0.store(raised, Ordering::Relaxed);
    }

    fn take(&self) -> bool {
        if ONE_STEP {
            return self.0.swap(false, Ordering::Relaxed);
        }
        let raised = self.is_raised();
        self.set(false);
        raised
    }

    fn fence() {
        match FENCE {
            SEQUENTIAL => fence(Ordering::SeqCst),
            ACQUIRE_RELEASE => fence(Ordering::AcqRel),
            _ => {}
        }
    }
}

type Production = Loomed<SEQUENTIAL, true>;

/// In which order the two sides go.
#[derive(Clone, Copy, PartialEq)]
enum Steps {
    /// As it must be.
    Right,
    /// The sleeper looks before it announces.
    FlagAfterLook,
    /// The sender asks before it pushes.
    AskBeforePush,
}

/// How often a sleeper is left asleep or woken twice.
fn check<F: Flag + Send + Sync + 'static>(name: &str, senders: usize, steps: Steps) -> usize {
    faults(name, 4, move |seen| {
        let bell: Arc<Doorbell<F>> = Arc::default();
        let rings: Arc<Vec<Ring>> = Arc::new((0..senders).map(|_| Ring::new()).collect());
        let rung = Arc::new(AtomicUsize::new(0));
        let senders: Vec<_> = (0..senders)
            .map(|sender| {
                let (bell, rings, rung) = (bell.clone(), rings.clone(), rung.clone());
                loom::thread::spawn(move || {
                    let asked_first = steps == Steps::AskBeforePush && bell.must_ring();
                    rings[sender].push(0, 1);
                    let must_ring = asked_first || steps != Steps::AskBeforePush && bell.must_ring();
                    rung.fetch_add(usize::from(must_ring), Std::Relaxed);
                })
            })
            .collect();
        let look = || rings.iter().map(|ring| ring.drain().count()).sum::<usize>();
        let mut found = 0;
        if steps == Steps::FlagAfterLook {
            found = look();
        }
        bell.announce_sleep();
        if steps != Steps::FlagAfterLook {
            found = look();
        }
        let sleeps = found == 0;
        senders.into_iter().for_each(|sender| sender.join().expect("senders do not fail"));
        let rung = rung.load(Std::Relaxed);
        seen.sometimes_if(sleeps && rung > 0);
        seen.fault_if(sleeps && look() > 0 && rung == 0 || rung > 1);
    })
}

#[test]
fn no_wake_up_is_lost() {
    assert_eq!(check::<Production>("one sender", 1, Steps::Right), 0);
    assert_eq!(check::<Production>("two senders", 2, Steps::Right), 0);
}

#[test]
fn a_missing_or_weak_fence_is_found() {
    assert!(check::<Loomed<NO_FENCE, true>>("no fence", 1, Steps::Right) > 0);
    assert!(check::<Loomed<ACQUIRE_RELEASE, true>>("a weak fence", 1, Steps::Right) > 0);
}

#[test]
fn a_flag_after_the_look_is_found() {
    assert!(check::<Production>("flag after look", 1, Steps::FlagAfterLook) > 0);
}

#[test]
fn a_question_before_the_push_is_found() {
    assert!(check::<Production>("question before push", 1, Steps::AskBeforePush) > 0);
}

#[test]
fn a_bell_that_two_take_is_found() {
    assert!(check::<Loomed<SEQUENTIAL, false>>("taken in two steps", 2, Steps::Right) > 0);
}
