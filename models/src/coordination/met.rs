//! Situations that must have been met, or an exploration says little.

use std::sync::atomic::{AtomicU32, Ordering};

use darter_core::Engine;
use darter_core::txn::queue::Shown;

/// A situation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Situation {
    /// A ticket arrived behind a higher one and went before it.
    Late,
    /// A ticket arrived and went before a transaction of this core that had none.
    BeforeUndrawn,
    /// A Direct waited behind its own connection's transaction that had no ticket.
    OwnUndrawn,
    /// A Direct waited behind its own connection's transaction that was not granted.
    OwnWaiting,
    /// A Direct waited behind somebody's transaction that was granted.
    BehindHeld,
    /// A Direct ran ahead of a transaction that waited and conflicts with it.
    Overtook,
    /// A transaction waited for one that waited for another, or for one that was granted.
    Chain,
    /// Two transactions took effect in one order, and elsewhere in the other.
    BothOrders,
    /// A client waited for credits.
    Parked,
    /// A client that had waited for credits went on.
    Resumed,
    /// Everything was over.
    Over,
    /// Somebody was gone while its transaction was under way.
    GoneAmid,
    /// A ring was as full as the other side's credits allow, and more.
    Full,
    /// A core was told that there is something for a client of its that waits.
    Woken,
    /// One event woke or served two.
    TwoWoken,
    /// A core was told that there is something for a client whose wait was over.
    ClaimLost,
    /// A client that waited was woken to try again.
    TriedAgain,
    /// A client was gone when it was served.
    GoneServed,
    /// A client's time was up.
    TimedOut,
    /// Somebody ended a client's wait.
    Unblocked,
    /// Everything was over, and somebody waited for what nobody had.
    StillWaiting,
}

impl Situation {
    /// All of them.
    pub const ALL: [Situation; 21] = [
        Situation::Late,
        Situation::BeforeUndrawn,
        Situation::OwnUndrawn,
        Situation::OwnWaiting,
        Situation::BehindHeld,
        Situation::Overtook,
        Situation::Chain,
        Situation::BothOrders,
        Situation::Parked,
        Situation::Resumed,
        Situation::Over,
        Situation::GoneAmid,
        Situation::Full,
        Situation::Woken,
        Situation::TwoWoken,
        Situation::ClaimLost,
        Situation::TriedAgain,
        Situation::GoneServed,
        Situation::TimedOut,
        Situation::Unblocked,
        Situation::StillWaiting,
    ];
}

/// Which were met.
#[derive(Debug, Default)]
pub struct Met(AtomicU32);

impl Met {
    /// It was met.
    pub fn meet(&self, situation: Situation) {
        let bit = 1 << situation as u32;
        if self.0.load(Ordering::Relaxed) & bit == 0 {
            self.0.fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// True if it was met.
    pub fn has(&self, situation: Situation) -> bool {
        self.0.load(Ordering::Relaxed) >> situation as u32 & 1 == 1
    }

    /// All that were met.
    pub fn all(&self) -> Vec<Situation> {
        Situation::ALL.into_iter().filter(|situation| self.has(*situation)).collect()
    }

    /// What has come into a queue by one event.
    pub fn compare(&self, before: &Engine, after: &Engine) {
        let (before, after) = (before.node().queue.shown(), after.node().queue.shown());
        if after.len() <= before.len() {
            return;
        }
        let count = |entries: &[Shown<'_>], of: &Shown<'_>| {
            entries
                .iter()
                .filter(|e| (e.ticket, e.client, e.is_direct) == (of.ticket, of.client, of.is_direct))
                .count()
        };
        for entry in after.iter().filter(|entry| count(&after, entry) > count(&before, entry)) {
            if !entry.is_direct {
                let Some(ticket) = entry.ticket else { continue };
                let mut others = before.iter().filter(|other| !other.is_direct);
                if others.clone().any(|other| other.ticket.is_some_and(|other| other > ticket)) {
                    self.meet(Situation::Late);
                }
                if others.any(|other| other.ticket.is_none()) {
                    self.meet(Situation::BeforeUndrawn);
                }
                continue;
            }
            let head = after.iter().find(|other| !other.is_direct && other.ticket == entry.ticket);
            self.meet(match head {
                Some(head) if head.is_held => Situation::BehindHeld,
                Some(head) if head.ticket.is_none() => Situation::OwnUndrawn,
                _ => Situation::OwnWaiting,
            });
        }
    }
}
