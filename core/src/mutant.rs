//! Faults that are planted on purpose, to prove that the models and the simulator would find them.
//!
//! They exist only in a build with `--cfg darter_mutants`, in a target folder of its own; there one is chosen at run time. In every other
//! build [`planted`] is `false` and the faults are compiled away.

/// True in a build that has the faults.
pub const COMPILED: bool = cfg!(darter_mutants);

/// Is this fault planted?
#[cfg(not(darter_mutants))]
#[inline(always)]
pub const fn planted(_: &str) -> bool {
    false
}

#[cfg(darter_mutants)]
pub use compiled::{ALL, MARKER, planted, select};

#[cfg(darter_mutants)]
mod compiled {
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Stands in every binary that has the faults.
    pub static MARKER: &str = "darter was built with planted faults";

    /// Every fault.
    pub const ALL: &[&str] = &[
        "an answer does not give the credit back",
        "a credit is taken where there is none",
        "asking everybody takes no credits",
        "a parked client is not resumed",
        "a resumed client stays held",
        "a resumed client is not fed again",
        "close forgets the parked entry",
        "replies leave in the order of their arrival",
        "a late answer reaches a connection that came later",
        "an answer of all lacks the last part",
        "an answer of all outlives its client",
        "a client that quits loses replies under way",
        "a half-closed client loses replies under way",
        "a partly sent output is sent from its beginning",
        "a shard judges by an earlier instant",
        "the sweep removes what is due soon",
        "a due key is found",
        "a newcomer overtakes who waits for a credit",
        "who needs credits of several cores waits in one line",
        "a ticket is granted before it is stable",
        "the next ticket is read last",
        "a limit is raised before the rings are drained",
        "the rings are drained before the limit is observed",
        "a ticket is announced after it was drawn",
        "a core is silent before it has pushed",
        "an own entry is queued only at the flush",
        "a direct is sent before the flush",
        "locks are released at execution",
        "a transaction of steps is released after its first",
        "a transaction ends before all have answered",
        "a transaction gives its credits back before its release",
        "a release is forgotten after a failed check",
        "a key that leaves is removed before it is taken",
        "keys that leave are not held",
        "a transaction barges past who waits",
        "a ticket goes before the directs of a lower one",
        "who waits for one that leaves is not looked at again",
        "who follows one of its own is not looked at when that is held",
        "a direct waits at the tail",
        "a direct waits for the directs of others",
        "a direct waits for transactions of others",
        "a direct overtakes what is held",
        "a direct overtakes its own transaction",
        "a direct overtakes its own undrawn ticket",
        "directs of one client overtake each other",
        "reads of one client overtake each other",
        "what is watched is not looked at",
        "what is watched is looked at before the grant",
        "expiry does not count for those who watch",
        "close forgets what the client watches",
        "a waiting WATCH does not delay its EXEC",
        "a round ends before its WATCH has run",
        "the steps of a transaction judge by different instants",
        "the limit of tickets falls",
        "nobody asks what is stable",
        "a transaction overtakes a read of its own client",
        "a newcomer takes what somebody waits for",
        "who tries by a transaction passes those in line",
        "who comes last stands first in line",
        "a waiter is served without asking its core",
        "a key is not held while its waiter is asked",
        "who is served takes from any of its keys",
        "who is served pushes to a key that is held",
        "whose wait is over is served all the same",
        "who is being served may still time out",
        "who is being served may be unblocked",
        "who is being tried times out meanwhile",
        "whose time is up while it is tried waits on",
        "who is served stays in line elsewhere",
        "who tries again loses its place in line",
        "who tries again without a credit is forgotten",
        "who cannot be woken for want of a credit is forgotten",
        "who cannot leave for want of a credit stays in line",
        "the next in line is not looked at when one leaves",
        "locks are let go before everybody is in line",
        "nobody looks for waiters after a transaction",
        "close forgets that the client waits",
        "who is gone while it is tried stays in line",
        "who is gone while it is served stays in line elsewhere",
        "a command joins others that an earlier message holds",
        "of replies that travel together each client gets the first",
        "a key is looked for where that of the first request ahead lies",
        "a byte that was received in place is not counted",
        "a record is changed before it is saved",
        "a large value is changed before its end is written",
        "what is written meanwhile comes into the midst of a value",
        "a part comes into the midst of another shard's value",
        "what is made ahead of the walk is written",
        "the cut is made shard by shard",
        "a flushed database is forgotten by the walk",
        "a transaction ends without its line in the log",
        "a transaction ends before its line is in the log",
        "a part is answered before it is in the log",
        "a key that is gone is not written down",
        "what a command says in other words is forgotten",
        "that a key was evicted is not written down",
        "the manifest names a snapshot that is not published",
        "a mark is written before all shards are held",
        "each log goes back to its own last mark",
        "nobody asks whether the machine went down",
        "the next logs count though one before them has lost its end",
        "a group that was written in part is written anew",
        "a stamp names any state of its item",
        "a stamp outlives a change of its item",
        "who waits for time to pass is not looked at again",
    ];

    static SELECTED: AtomicUsize = AtomicUsize::new(0);

    /// Plants this fault from now on, `None`: none.
    pub fn select(name: Option<&str>) {
        let place = name.map_or(0, |name| {
            1 + ALL.iter().position(|known| *known == name).expect("a fault of this name exists")
        });
        SELECTED.store(place, Ordering::Relaxed);
    }

    /// Is this fault planted?
    pub fn planted(name: &str) -> bool {
        let place = SELECTED.load(Ordering::Relaxed);
        debug_assert!(ALL.contains(&name), "{name} is not in the list");
        place > 0 && ALL[place - 1] == name
    }
}
