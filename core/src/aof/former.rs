//! A shard while the log is read back that it goes on writing: what it held is set aside, what is read grows beside it, and one of the two stays.
//!
//! Until that is decided nobody sees what grows: whoever wants a key waits, who only looks around is shown what was. It knows one shard. It
//! does not know where what is read comes from.

use crate::database::Database;
use crate::engine::Engine;
use crate::node::Node;
use crate::shard::{Shard, ShardCounters};
use crate::snapshot::load::LoadReport;
use crate::snapshot::status::ToKeeper;
use crate::txn::waiters::Waiters;
use crate::txn::watch::Watches;

/// What would take lines that are read back for changes.
pub(crate) struct Onlookers {
    watches: Watches,
    waiters: Waiters,
    counters: ShardCounters,
}

impl Shard {
    /// Bytes of what is set aside.
    #[inline]
    pub(crate) fn former_bytes(&self) -> usize {
        self.former.iter().flatten().map(Database::used_bytes).sum()
    }

    /// Who would take what is read back for changes looks away, if there is something set aside, until [`Shard::look_back`].
    pub(crate) fn look_away(&mut self) -> Option<Onlookers> {
        self.former.as_ref()?;
        Some(Onlookers {
            watches: std::mem::take(&mut self.watches),
            waiters: std::mem::take(&mut self.waiters),
            counters: self.counters,
        })
    }

    /// See [`Shard::look_away`].
    pub(crate) fn look_back(&mut self, onlookers: Option<Onlookers>) {
        if let Some(Onlookers { watches, waiters, counters }) = onlookers {
            (self.watches, self.waiters, self.counters) = (watches, waiters, counters);
        }
    }
}

impl Node {
    /// The log is to be read back: for drivers that check what that does.
    pub fn reload(&mut self) {
        self.asks.ask(ToKeeper::Reload, None);
    }

    /// True while a dump or a log is read.
    #[inline]
    pub(crate) fn is_loading(&self) -> bool {
        self.status.is_loading || self.shard.former.is_some()
    }
}

impl Engine {
    /// Sets aside what this shard holds, if all of that is in the log.
    pub(crate) fn set_aside(&mut self) -> LoadReport {
        let core = self.node.core.0;
        let wrong = |why: String| LoadReport { failure: Some((0, why)), ..LoadReport::default() };
        if let Some(why) = self.node.pen.failure() {
            return wrong(format!("the log of core {core} cannot be written: {why}"));
        }
        if !self.node.pen.has_written_all() {
            return wrong(format!("the log of core {core} is off, or behind"));
        }
        let shard = &mut self.node.shard;
        if shard.saving.is_some() || shard.former.is_some() {
            return wrong(format!("core {core} has not ended what it did before"));
        }
        let fresh = shard.databases.iter().map(|_| Database::new(shard.hasher.clone())).collect();
        shard.former = Some(std::mem::replace(&mut shard.databases, fresh));
        // What is in the log already is not written down again.
        shard.changes.want(false);
        LoadReport { log_bytes: self.node.pen.size, ..LoadReport::default() }
    }

    /// What was read stays, or what was set aside comes back.
    pub(crate) fn settle_aside(&mut self, is_read: bool) -> LoadReport {
        let writes = self.node.pen.is_on();
        let shard = &mut self.node.shard;
        if let Some(former) = shard.former.take() {
            let gone = match is_read {
                true => former,
                false => std::mem::replace(&mut shard.databases, former),
            };
            gone.into_iter().for_each(|database| shard.trash.add_database(database));
            shard.crowd = None;
            shard.victims.forget();
            shard.changes.want(writes);
            (0..shard.databases.len()).for_each(|database| shard.waiters.all_changed(database as u16));
        }
        LoadReport::default()
    }
}
