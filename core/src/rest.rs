//! An engine at rest: nothing is owed, held, queued or under way.
//!
//! For drivers that check what they drive. It counts what the rooms have; it does not know why.

use crate::engine::Engine;
use crate::session::Session;

impl Engine {
    /// At rest nothing remains: what does, in words.
    pub fn unfinished(&self) -> Option<String> {
        self.remaining(false)
    }

    /// The same where clients wait for ever: they, what stands behind them and their places in line remain, and nothing else.
    pub fn unfinished_beside_waits(&self) -> Option<String> {
        self.remaining(true)
    }

    fn remaining(&self, may_wait: bool) -> Option<String> {
        let waits = |session: &&Session| may_wait && session.blocked.as_ref().is_some_and(|b| b.may_end());
        let waiting = self.sessions.iter().filter(waits).count();
        let held_behind = self.sessions.iter().filter(waits).filter(|session| session.hold.is_some()).count();
        let links = &self.node.links;
        let rest = (links.outstanding(), links.parked(), self.gathers.len(), self.sleepers.len());
        let awaited = self.sessions.iter().map(Session::in_flight).sum::<usize>() - waiting;
        let held = self.sessions.iter().filter(|session| session.hold.is_some()).count() - held_behind;
        let queue = &self.node.queue;
        let rounds = self.node.unwatched.len() + self.node.late_rounds.len();
        let transactions = (queue.len(), queue.locks(), self.transactions.len(), rounds);
        let in_line = if may_wait { 0 } else { self.node.shard.waiters.len() };
        let waits = (in_line, self.node.leaving.len(), self.tries_later.len());
        let saves = self.keeper.is_busy()
            || self.keeper.reload.is_wanted()
            || self.node.shard.saving.is_some()
            || !self.node.asks.is_empty();
        if saves {
            return Some("a snapshot is under way".into());
        }
        (rest != (0, 0, 0, 0) || awaited > 0 || held > 0 || transactions != (0, 0, 0, 0) || waits != (0, 0, 0)).then(|| {
            format!(
                "outstanding, parked, gathers, sleepers {rest:?}; awaited replies {awaited}; held clients {held}; \
                 queued, locks, transactions, rounds to end {transactions:?}; in line, to leave, to be tried {waits:?}"
            )
        })
    }
}
