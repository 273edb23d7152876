//! A core's own side of snapshots: what it asks the keeper for, who waits for that, and the parts of its own shard.

use std::collections::VecDeque;

use crate::aof::marks::Waiter;
use crate::database::Database;
use crate::engine::Engine;
use crate::event::{CoreId, Effect, Effects};
use crate::limits;
use crate::message::{Message, Token};
use crate::protocol::chunks::Chunks;
use crate::protocol::reply::{Failure, Reply, Resp};
use crate::session::{ClientId, Closing};
use crate::snapshot::keeper::KEEPER;
use crate::snapshot::load::LoadReport;
use crate::snapshot::saving::Saving;
use crate::snapshot::status::{OfKeeper, Status, ToKeeper};
use crate::time::{Instant, Now};
use crate::txn::intent::{Intents, Mode};

/// How often changes are told, and looked at by the keeper.
const LOOK_MILLIS: u64 = 1_000;

/// What clients of a core wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Asks {
    /// Not said yet, and who waits for it.
    unsaid: VecDeque<(ToKeeper, Option<Token>)>,
    /// Said, not numbered yet.
    unnumbered: VecDeque<Unnumbered>,
    /// Who waits for its changes to be durable in the log.
    pub(crate) marks: Vec<Waiter>,
    /// Snapshots that somebody waits for the end of.
    numbered: Vec<(Token, u64)>,
    /// Who waits for the log to be read back.
    pub(crate) reloads: Vec<(Token, u64)>,
    told_changes: u64,
    /// Why this core's log cannot be written, as far as the keeper was told.
    told_failure: Option<String>,
    next_look: Instant,
}

/// What was asked for that is numbered, and who waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Unnumbered {
    Snapshot(Option<Token>),
    Mark(Token),
    Reload(Token),
}

impl Unnumbered {
    fn token(self) -> Option<Token> {
        match self {
            Unnumbered::Snapshot(token) => token,
            Unnumbered::Mark(token) | Unnumbered::Reload(token) => Some(token),
        }
    }
}

impl Asks {
    /// True if nobody waits.
    pub fn is_empty(&self) -> bool {
        self.unsaid.is_empty()
            && self.unnumbered.is_empty()
            && self.numbered.is_empty()
            && self.reloads.is_empty()
            && self.marks.is_empty()
    }

    /// True if there is something to say.
    #[inline]
    pub(crate) fn has_words(&self) -> bool {
        !self.unsaid.is_empty()
    }

    /// The keeper is told if this core's log cannot be written, or can be again.
    pub(crate) fn tell_of_log(&mut self, failure: Option<&str>) {
        if self.told_failure.as_deref() != failure {
            self.told_failure = failure.map(str::to_string);
            self.ask(ToKeeper::LogFails(self.told_failure.clone()), None);
        }
    }

    /// Something for the keeper; `token`: of whom the reply waits until it is done.
    pub(crate) fn ask(&mut self, word: ToKeeper, token: Option<Token>) {
        self.unsaid.push_back((word, token));
    }
}

impl Engine {
    /// Says to the keeper what there is to say, and sends parts of this shard.
    pub(crate) fn speak_to_keeper(&mut self, now: Now, out: &mut Effects) {
        while !self.node.asks.unsaid.is_empty() {
            if self.node.core != KEEPER && !self.node.links.take(KEEPER) {
                break;
            }
            let Some((word, token)) = self.node.asks.unsaid.pop_front() else { break };
            match (&word, token) {
                (ToKeeper::Save | ToKeeper::Stop { .. }, _) => {
                    self.node.asks.unnumbered.push_back(Unnumbered::Snapshot(token));
                }
                (ToKeeper::Sync, Some(token)) => {
                    self.node.asks.unnumbered.push_back(Unnumbered::Mark(token));
                }
                (ToKeeper::Reload, token) => {
                    let waits = token.map_or(Unnumbered::Snapshot(None), Unnumbered::Reload);
                    self.node.asks.unnumbered.push_back(waits);
                }
                _ => {}
            }
            if self.node.core == KEEPER {
                if let Some(number) = self.hear_as_keeper(KEEPER, word, now, out) {
                    self.numbered(number);
                }
            } else {
                out.push(Effect::Send { to: KEEPER, message: Message::ToKeeper(Box::new(word)) });
            }
        }
        if self.node.shard.saving.is_some() {
            self.send_parts(now, out);
        }
    }

    /// Another core's word, or this core's own; the number of the snapshot that was asked for.
    pub(crate) fn hear_as_keeper(
        &mut self,
        from: CoreId,
        word: ToKeeper,
        now: Now,
        out: &mut Effects,
    ) -> Option<u64> {
        let begun = self.node.status.begun;
        match word {
            ToKeeper::Save => Some(self.keeper.want(begun)),
            ToKeeper::Stop { force } => Some(self.keeper.want_stop(begun, force)),
            ToKeeper::Abort => {
                self.abort_stop(now, out);
                None
            }
            ToKeeper::Changes(changes) => {
                self.keeper.changes += changes;
                None
            }
            ToKeeper::Rewrite => {
                self.want_base();
                None
            }
            ToKeeper::Logged(bytes) => {
                self.heard_of_log(bytes, now);
                None
            }
            ToKeeper::Marked(bytes) => {
                self.heard_of_mark(bytes, now);
                None
            }
            ToKeeper::LogFails(failure) => {
                self.heard_of_log_failure(from, failure, now, out);
                None
            }
            ToKeeper::Sync => Some(self.want_mark(now)),
            ToKeeper::Reload => Some(self.keeper.reload.want()),
            ToKeeper::Synced { number, is_durable } => {
                self.heard_of_sync(from, number, is_durable, now, out);
                None
            }
            ToKeeper::Part(part) => {
                self.part(from, part, out);
                None
            }
        }
    }

    /// A message for the keeper has come.
    pub(crate) fn heard_as_keeper(&mut self, from: CoreId, word: ToKeeper, now: Now, out: &mut Effects) {
        let is_part = matches!(word, ToKeeper::Part(_));
        let message = match self.hear_as_keeper(from, word, now, out) {
            Some(number) => Message::Numbered { number },
            // A part is answered when it is in the file.
            None if is_part => return,
            None => Message::Received,
        };
        out.push(Effect::Send { to: from, message });
    }

    /// A word of the keeper has come.
    pub(crate) fn heard_of_keeper(&mut self, word: OfKeeper, now: Now, out: &mut Effects) {
        let message = match self.obey(word, now, out) {
            Some(report) => Message::Loaded { report },
            None => Message::Received,
        };
        out.push(Effect::Send { to: KEEPER, message });
    }

    /// Does what the keeper says; what became of it, if that is to be told.
    pub(crate) fn obey(&mut self, word: OfKeeper, now: Now, out: &mut Effects) -> Option<LoadReport> {
        match word {
            OfKeeper::Status(status) => self.learned(status, now, out),
            OfKeeper::GiveUp => self.node.shard.give_up_saving(),
            OfKeeper::Load(batch) => return Some(self.load_batch(&batch)),
            OfKeeper::Replay(lines) => return Some(self.replay_lines(&lines)),
            OfKeeper::Turn(generation) => {
                self.node.turn_page_if_on(generation);
                return Some(LoadReport::default());
            }
            OfKeeper::SetAside => return Some(self.set_aside()),
            OfKeeper::Settle { is_read } => return Some(self.settle_aside(is_read)),
        }
        None
    }

    /// What was asked for longest has got its number.
    pub(crate) fn numbered(&mut self, number: u64) {
        match self.node.asks.unnumbered.pop_front() {
            Some(Unnumbered::Snapshot(Some(token))) => self.node.asks.numbered.push((token, number)),
            Some(Unnumbered::Mark(token)) => self.mark_is_numbered(token, number),
            Some(Unnumbered::Reload(token)) => self.node.asks.reloads.push((token, number)),
            Some(Unnumbered::Snapshot(None)) | None => {}
        }
    }

    /// How things stand.
    pub(crate) fn learned(&mut self, status: Status, now: Now, out: &mut Effects) {
        if status.saves > self.node.saves_seen {
            self.node.saves_seen = status.saves;
            self.node.shard.dirty_at_save = self.node.shard.dirty_at_cut;
        }
        let before = std::mem::replace(&mut self.node.status, status);
        let was_loading = before.is_loading;
        let is_over =
            before.ended < self.node.status.ended || before.is_rewriting && !self.node.status.is_rewriting;
        // The next cut may have come before the word that the last snapshot is over.
        if is_over && self.node.shard.saving.is_none() {
            self.node.shard.keys_at_cut = 0;
        }
        self.node.pen.settle(self.node.status.base);
        self.node.gate();
        if !self.node.status.is_stopping
            && self.node.shard.saving.as_ref().is_some_and(|saving| saving.is_final)
        {
            // The server does not stop after all.
            if let Some(saving) = &mut self.node.shard.saving {
                saving.is_final = false;
            }
            self.end_saving_if_over(now, out);
        }
        if was_loading && !self.node.status.is_loading {
            self.node.shard.databases.iter_mut().for_each(Database::expect_no_more);
            self.node.shard.judge_nothing(false);
            self.node.shard.dirty_at_save = self.node.shard.counters.dirty;
            self.node.asks.told_changes = self.node.shard.counters.dirty;
        }
        self.end_mark_waits(now, out);
        self.end_reload_waits(now, out);
        let (ended, ended_well) = (self.node.status.ended, self.node.status.ended_well);
        let numbered = std::mem::take(&mut self.node.asks.numbered);
        let (over, waiting) = numbered.into_iter().partition(|(_, number)| *number <= ended);
        self.node.asks.numbered = waiting;
        let over: Vec<(Token, u64)> = over;
        for (token, _) in over {
            let mut reply = self.files.take_reply(token);
            if !ended_well {
                let failure = if reply.is_empty() { NOT_STOPPED } else { FAILED };
                reply = Chunks::default();
                Reply::new(&mut reply, Resp::V2).error(&failure);
            }
            self.arrived(token, reply, now, out);
        }
    }

    /// A part of this shard is in the file, or not wanted any more.
    pub(crate) fn stored(&mut self) {
        self.node.shard.part_is_stored();
    }

    fn end_saving_if_over(&mut self, now: Now, out: &mut Effects) {
        let is_over = |saving: &mut Box<Saving>| saving.is_stored && !saving.is_final;
        let Some(saving) = self.node.shard.saving.take_if(is_over) else { return };
        if let Some(entry) = saving.holds {
            self.release_entry(entry);
            self.pump(now, out);
        }
    }

    /// From now on nothing changes in this shard, but by those who hold it already.
    fn hold_against_changes(&mut self) {
        let mut intents = Intents::default();
        intents.whole = Some(Mode::Shared);
        let entry = self.node.queue.hold(ClientId(0), intents);
        if let Some(saving) = &mut self.node.shard.saving {
            saving.holds = Some(entry);
        }
    }

    /// The cut of a snapshot reaches this shard. If it is the last one, what waits behind the cut must not run: it would be lost.
    pub(crate) fn cut_here(&mut self, is_final: bool, page: Option<u32>) {
        self.node.shard.note_keys_at_cut();
        let parts_max = limits::snapshot_parts(self.node.cores);
        self.node.shard.begin_saving(&self.node.settings, parts_max, is_final, page.is_some());
        // A log that was switched off meanwhile stays so.
        if page.is_some() && self.node.settings.appendonly {
            self.node.turn_page(page);
        }
        if is_final {
            self.hold_against_changes();
        }
    }

    fn send_parts(&mut self, now: Now, out: &mut Effects) {
        self.node.shard.collect_parts();
        while self.node.shard.has_part() {
            if self.node.core != KEEPER && !self.node.links.take(KEEPER) {
                break;
            }
            let Some(part) = self.node.shard.take_part().map(ToKeeper::Part) else { break };
            if self.node.core == KEEPER {
                self.hear_as_keeper(KEEPER, part, now, out);
            } else {
                out.push(Effect::Send { to: KEEPER, message: Message::ToKeeper(Box::new(part)) });
            }
        }
        match self.node.shard.holds_against_changes() {
            Some(true) => self.hold_against_changes(),
            Some(false) => {
                let entry = self.node.shard.saving.as_mut().and_then(|saving| saving.holds.take());
                if let Some(entry) = entry {
                    self.release_entry(entry);
                    self.pump(now, out);
                }
            }
            None => {}
        }
        self.end_saving_if_over(now, out);
    }

    /// The process is to stop, as a signal says: at once, or after a snapshot.
    pub(crate) fn asked_to_stop(&mut self, out: &mut Effects) {
        let node = &self.node;
        match node.settings.save.is_empty() || !node.persists || node.status.is_loading {
            true => out.push(Effect::Shutdown),
            false => self.node.asks.ask(ToKeeper::Stop { force: false }, None),
        }
    }

    /// The process stops: who waits for a snapshot is told nothing any more.
    pub(crate) fn end_asks(&mut self, now: Now, out: &mut Effects) {
        let asks = std::mem::take(&mut self.node.asks);
        let unsaid = asks.unsaid.into_iter().filter_map(|(_, token)| token);
        let tokens = unsaid.chain(asks.unnumbered.into_iter().filter_map(Unnumbered::token));
        let tokens = tokens.chain(asks.marks.iter().map(Waiter::token));
        for token in tokens.chain(asks.numbered.into_iter().chain(asks.reloads).map(|(token, _)| token)) {
            self.end_all(&[token.conn], Closing::Now, now, out);
        }
    }

    /// When changes are to be looked at, so that a snapshot is taken when it is due.
    pub(crate) fn next_look(&self) -> Instant {
        let node = &self.node;
        if !node.persists || node.settings.save.is_empty() || node.status.is_loading {
            return Instant::NEVER;
        }
        let is_news = node.shard.counters.dirty != node.asks.told_changes || self.keeper.changes > 0;
        if is_news { node.asks.next_look } else { Instant::NEVER }
    }

    /// Tells the keeper of changes; the keeper judges them.
    pub(crate) fn look_at_changes(&mut self, now: Now, out: &mut Effects) {
        if self.next_look() > now.mono {
            return;
        }
        let dirty = self.node.shard.counters.dirty;
        let asks = &mut self.node.asks;
        asks.next_look = now.mono.after_millis(LOOK_MILLIS);
        let changes = dirty - asks.told_changes;
        asks.told_changes = dirty;
        if self.node.core == KEEPER {
            self.keeper.changes += changes;
            self.judge_save_points(now, out);
        } else if changes > 0 {
            asks.ask(ToKeeper::Changes(changes), None);
        }
    }
}

const NOT_STOPPED: Failure = Failure::new("ERR Errors trying to SHUTDOWN. Check logs.");
const FAILED: Failure = Failure::new("ERR the snapshot could not be saved, the log says why");
