//! DEBUG LOADAOF: the keeper reads the log back while it is being written, and all shards go on with what was read.
//!
//! One transaction holds all shards from the first step to the last, so nobody sees the middle of it. When all hold still everything that was
//! written down is in the files; if it is, each shard sets aside what it has, and the logs are read as at the start, but that nothing may be
//! left out. Files are only read: what changes afterwards is written behind what was there. If anything is wrong, what was set aside comes back.
//!
//! What the keeper has to say travels as steps of the transaction, which takes no credits: those who wait for the shards may have them all.
//! It knows the order of steps. How logs are read, [`crate::aof::recover`] knows.

use crate::engine::Engine;
use crate::event::{CoreId, Effect, Effects, LogLevel};
use crate::message::{Message, Token};
use crate::protocol::chunks::Chunks;
use crate::protocol::reply::{Failure, Reply, Resp};
use crate::snapshot::keeper::{self, RELOADER};
use crate::snapshot::load::LoadReport;
use crate::snapshot::status::OfKeeper;
use crate::time::Now;
use crate::txn::intent::Mode;
use crate::txn::work::{Body, TxId};

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Stage {
    #[default]
    Idle,
    /// The shards are being locked.
    Locking,
    /// They set aside what they have.
    Emptying,
    /// The logs are read.
    Reading,
    /// The shards hear which of the two stays.
    Settling,
}

/// What the keeper keeps of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reload {
    stage: Stage,
    /// The number of the last that somebody was promised.
    wanted: u64,
    /// Of the last that was begun.
    begun: u64,
    /// The transaction that holds all shards.
    tx: Option<TxId>,
    failure: Option<String>,
    /// By core: bytes in its log.
    log_bytes: Vec<u64>,
}

impl Reload {
    /// True if it is under way.
    #[inline]
    pub(crate) fn is_active(&self) -> bool {
        self.stage != Stage::Idle
    }

    /// True if it is under way or wanted.
    #[inline]
    pub(crate) fn is_wanted(&self) -> bool {
        self.is_active() || self.wanted > self.begun
    }

    /// The number of the next to begin, which is wanted from now on.
    pub(crate) fn want(&mut self) -> u64 {
        self.wanted = self.begun + 1;
        self.wanted
    }

    /// Bytes in a core's log.
    pub(crate) fn log_bytes(&self, core: u16) -> u64 {
        self.log_bytes.get(usize::from(core)).copied().unwrap_or_default()
    }

    /// Batches that one shard may have unanswered, of those that it may have at the start.
    pub(crate) fn batches_max(&self, at_start: usize) -> usize {
        if self.is_active() { 1 } else { at_start }
    }
}

impl Engine {
    /// Takes what it costs to tell a shard something that is answered by a report; false if that cannot be told now.
    #[must_use]
    pub(crate) fn may_tell(&mut self, core: CoreId) -> bool {
        match self.keeper.reload.tx {
            None => self.node.links.take(core),
            Some(tx) => self.transactions.get_mut(tx).is_some_and(|transaction| !transaction.awaits(core)),
        }
    }

    /// Tells it; see [`Engine::may_tell`].
    pub(crate) fn tell(&mut self, core: CoreId, word: OfKeeper, out: &mut Effects) {
        let word = Box::new(word);
        let Some(tx) = self.keeper.reload.tx else {
            return out.push(Effect::Send { to: core, message: Message::OfKeeper(word) });
        };
        let Some(transaction) = self.transactions.get_mut(tx) else { return };
        let Some(place) = transaction.place_of(core) else { return };
        let Some(entry) = transaction.participants[usize::from(place)].entry else { return };
        transaction.expect(place);
        out.push(Effect::Send { to: core, message: Message::Step { tx, entry, body: Body::Keeper(word) } });
    }

    /// Goes on with it.
    pub(crate) fn reload_log(&mut self, now: Now, out: &mut Effects) {
        loop {
            let before = self.keeper.reload.stage;
            match before {
                Stage::Idle if self.keeper.reload.is_wanted() => self.begin_reload(now, out),
                // What this core has changed in the same turn is written at its end.
                Stage::Locking if self.holds_still() && !self.node.pen.owes() => self.empty_all(out),
                Stage::Emptying if self.holds_still() => match self.keeper.reload.failure {
                    None => {
                        self.keeper.reload.stage = Stage::Reading;
                        self.recover(now, out);
                    }
                    Some(_) => self.settle_all(out),
                },
                Stage::Reading if self.recovery.is_none() && self.loader.is_none() && self.holds_still() => {
                    self.settle_all(out);
                }
                Stage::Settling if self.holds_still() => self.end_reload(now, out),
                _ => {}
            }
            if self.keeper.reload.stage == before {
                return;
            }
        }
    }

    /// True if the transaction holds all shards, and none of them owes an answer.
    fn holds_still(&mut self) -> bool {
        let tx = self.keeper.reload.tx;
        tx.and_then(|tx| self.transactions.get_mut(tx)).is_some_and(|transaction| transaction.is_quiet())
    }

    fn begin_reload(&mut self, now: Now, out: &mut Effects) {
        // What is under way ends first, also what was to be read when the last one failed.
        let is_idle = self.keeper.stage == keeper::Stage::Idle && !self.keeper.wants_base;
        if !is_idle || self.files.is_reading() || self.stopping.is_some() {
            return;
        }
        if !self.node.pen.is_on() || self.keeper.manifest.has_commands() {
            let reload = &mut self.keeper.reload;
            reload.begun += 1;
            let why = "there is no log yet that is all of Darter's own";
            reload.failure = Some(why.into());
            return self.tell_of_reload(now, out);
        }
        let others: Vec<CoreId> = (1..self.node.cores).map(CoreId).collect();
        if !self.node.links.take_all(&others) {
            return;
        }
        let reload = &mut self.keeper.reload;
        reload.begun += 1;
        (reload.stage, reload.failure) = (Stage::Locking, None);
        let sequence = reload.begun;
        let token = Token { conn: RELOADER, sequence };
        let tx = self.launch_on_all(token, Some(Mode::Exclusive), &[Body::Lock], now, out);
        self.keeper.reload.tx = Some(tx);
    }

    /// A shard has answered.
    pub(crate) fn shard_has_answered(
        &mut self,
        from: CoreId,
        report: Option<LoadReport>,
        now: Now,
        out: &mut Effects,
    ) {
        let Some(report) = report else { return };
        if self.keeper.reload.stage == Stage::Reading {
            self.batch_is_loaded(from, report, now, out);
        } else if let Some((_, why)) = report.failure {
            self.keeper.reload.failure.get_or_insert(why);
        } else if self.keeper.reload.stage == Stage::Emptying {
            self.keeper.reload.log_bytes[from.index()] = report.log_bytes;
        }
    }

    fn empty_all(&mut self, out: &mut Effects) {
        self.keeper.reload.stage = Stage::Emptying;
        let own = self.set_aside();
        self.keeper.reload.log_bytes = vec![own.log_bytes; usize::from(self.node.cores)];
        self.keeper.reload.failure = own.failure.map(|(_, why)| why);
        for core in (1..self.node.cores).map(CoreId) {
            self.tell(core, OfKeeper::SetAside, out);
        }
    }

    fn settle_all(&mut self, out: &mut Effects) {
        self.keeper.reload.stage = Stage::Settling;
        let is_read = self.keeper.reload.failure.is_none();
        self.settle_aside(is_read);
        for core in (1..self.node.cores).map(CoreId) {
            self.tell(core, OfKeeper::Settle { is_read }, out);
        }
    }

    fn end_reload(&mut self, now: Now, out: &mut Effects) {
        self.keeper.reload.stage = Stage::Idle;
        if let Some(tx) = self.keeper.reload.tx.take()
            && let Some(transaction) = self.transactions.take(tx)
        {
            self.finish(tx, transaction, now, out);
        }
        self.tell_of_reload(now, out);
        // Who has waited for this core's shard goes on.
        self.pump(now, out);
    }

    /// It is over: whoever waits for it hears of it.
    fn tell_of_reload(&mut self, now: Now, out: &mut Effects) {
        let mut status = self.node.status.clone();
        status.reloads = self.keeper.reload.begun;
        if let Some(why) = self.keeper.reload.failure.take() {
            status.failed_reload = status.reloads;
            let text =
                format!("The append only files could not be read back, and nothing has changed: {why}");
            out.push(Effect::Log { level: LogLevel::Warning, text });
        }
        self.tell_all(status, now, out);
    }

    /// What is read is wrong. At the start the process ends; else what there was comes back.
    pub(crate) fn reading_fails(&mut self, text: String, out: &mut Effects) {
        if self.keeper.reload.stage != Stage::Reading {
            return out.push(Effect::Fail { text });
        }
        (self.loader, self.recovery, self.sessions.reader) = (None, None, None);
        self.keeper.reload.failure = Some(text);
    }

    /// Answers those who have waited for it.
    pub(crate) fn end_reload_waits(&mut self, now: Now, out: &mut Effects) {
        let (ended, failed) = (self.node.status.reloads, self.node.status.failed_reload);
        let waiting = std::mem::take(&mut self.node.asks.reloads);
        let (over, left) = waiting.into_iter().partition(|(_, number)| *number <= ended);
        self.node.asks.reloads = left;
        let over: Vec<(Token, u64)> = over;
        for (token, number) in over {
            let mut reply = Chunks::default();
            let mut written = Reply::new(&mut reply, Resp::V2);
            match failed < number {
                true => written.ok(),
                false => written.error(&FAILED),
            }
            self.arrived(token, reply, now, out);
        }
    }
}

const FAILED: Failure = Failure::new("ERR Error trying to load the AOF files, check server logs.");
