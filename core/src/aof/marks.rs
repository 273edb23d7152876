//! Marks: once a second, if anything was written, the keeper marks one moment in all logs, and under `appendfsync everysec` each core then
//! makes its log durable. A mark is a transaction over all shards, so what is before it in one log never misses a part in another. It has two steps: it is
//! written when all shards are held. Then whoever had changed something before has ended, and that it counts is written before the mark, too.
//!
//! It knows when. It does not know what was written.

use crate::aof::pen::SyncPolicy;
use crate::engine::Engine;
use crate::event::{CoreId, DiskOutcome, DiskRequest, Effect, Effects, LogLevel};
use crate::files::Purpose;
use crate::message::Token;
use crate::mutant::planted;
use crate::protocol::chunks::Chunks;
use crate::protocol::reply::{Reply, Resp};
use crate::snapshot::keeper::MARKER;
use crate::snapshot::status::{Status, ToKeeper};
use crate::time::{Instant, Now};
use crate::txn::intent::Mode;
use crate::txn::work::Body;

/// From one mark to the next.
const MARK_MILLIS: u64 = 1_000;

/// Where it cannot be done yet it is tried again so much later.
const LATER_MILLIS: u64 = 20;

/// What the keeper keeps of marks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Marks {
    /// The last one that was begun.
    pub(crate) begun: u64,
    /// Of the cores, those whose log is not durable up to it yet.
    missing: Vec<CoreId>,
    /// When the next is due; `None`: when somebody has written something.
    due: Option<Instant>,
    last: Instant,
    /// Somebody waits for the next one.
    is_wanted: bool,
    /// Somebody waits for the last one.
    is_awaited: bool,
    /// Of the last one: it is durable everywhere, as far as cores have told.
    is_durable: bool,
}

/// Who waits for a mark to be durable everywhere (WAITAOF).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Waiter {
    token: Token,
    /// Which mark, when that is known.
    number: Option<u64>,
    until: Instant,
}

impl Waiter {
    pub(crate) fn token(&self) -> Token {
        self.token
    }
}

impl Engine {
    /// Tells the keeper that something was written, and marks what is due.
    #[inline]
    pub(crate) fn speak_of_log(&mut self, now: Now, out: &mut Effects) {
        if self.node.settings.appendonly {
            self.speak_of_what_is_written(now, out);
        }
    }

    fn speak_of_what_is_written(&mut self, now: Now, out: &mut Effects) {
        if !self.node.pen.is_on() {
            self.judge_log(now);
        }
        if self.node.pen.wants_base(now) && !self.node.status.is_rewriting {
            self.node.asks.ask(ToKeeper::Rewrite, None);
        }
        if self.node.pen.has_news() {
            let bytes = self.node.pen.tell();
            self.node.asks.ask(ToKeeper::Logged(bytes), None);
        }
        if self.keeper.marks.due.is_some_and(|due| due <= now.mono) {
            self.mark_all(now, out);
        }
    }

    /// When this core has to look at its log.
    #[inline]
    pub(crate) fn next_log_deadline(&self) -> Instant {
        if !self.node.settings.appendonly {
            return self.mark_patience();
        }
        if self.stopping.is_some() {
            return self.node.pen.deadline();
        }
        self.node
            .pen
            .deadline()
            .min(self.keeper.marks.due.unwrap_or(Instant::NEVER))
            .min(self.mark_patience())
    }

    /// What was to be written to the log is there, or not.
    pub(crate) fn log_written(&mut self, now: Now, bytes: usize, failure: Option<String>, out: &mut Effects) {
        let policy = self.node.settings.appendfsync;
        let had_failed = self.node.pen.failure().is_some();
        self.node.pen.written(bytes, failure.clone(), policy == SyncPolicy::Always, now);
        self.node.gate();
        match &failure {
            Some(why) if policy == SyncPolicy::Always => {
                let text = format!(
                    "Can't recover from AOF write error when the AOF fsync policy is 'always'. Exiting: {why}"
                );
                out.push(Effect::Abort { text });
            }
            Some(why) if !had_failed => {
                let text = format!("Error writing to the AOF file: {why}");
                out.push(Effect::Log { level: LogLevel::Warning, text });
            }
            None if had_failed && self.node.pen.failure().is_none() => {
                let text = "AOF write error looks solved. The server can write again.".to_string();
                out.push(Effect::Log { level: LogLevel::Warning, text });
            }
            _ => {}
        }
        self.say_what_is_written(now, out);
    }

    /// A core has written so many bytes since the last time.
    pub(crate) fn heard_of_log(&mut self, bytes: u64, now: Now) {
        self.keeper.log_bytes += bytes;
        let marks = &mut self.keeper.marks;
        let next = marks.last.after_millis(MARK_MILLIS).max(now.mono);
        marks.due = Some(marks.due.unwrap_or(next).min(next));
        self.judge_log(now);
    }

    /// A core's log cannot be written, or can be again: all are told, and refuse what would change anything.
    pub(crate) fn heard_of_log_failure(
        &mut self,
        from: CoreId,
        failure: Option<String>,
        now: Now,
        out: &mut Effects,
    ) {
        match failure {
            Some(why) => self.keeper.log_failures.insert(from, why),
            None => self.keeper.log_failures.remove(&from),
        };
        let log_failure = self.keeper.log_failures.values().next().cloned();
        if log_failure != self.node.status.log_failure {
            let status = Status { log_failure, ..self.node.status.clone() };
            self.tell_all(status, now, out);
        }
    }

    /// A core has marked its log, and had written so many bytes of which this core did not know.
    pub(crate) fn heard_of_mark(&mut self, bytes: u64, now: Now) {
        self.keeper.log_bytes += bytes;
        self.judge_log(now);
    }

    /// Somebody waits until what is written now is durable; the number of the mark that says so.
    pub(crate) fn want_mark(&mut self, now: Now) -> u64 {
        let marks = &mut self.keeper.marks;
        marks.due = Some(now.mono);
        marks.is_wanted = true;
        marks.begun + 1
    }

    fn mark_all(&mut self, now: Now, out: &mut Effects) {
        let others: Vec<CoreId> = (1..self.node.cores).map(CoreId).collect();
        // The last mark is not durable yet, the log begins with a snapshot that is under way, or there are no credits.
        let is_early = !self.keeper.marks.missing.is_empty()
            || self.node.settings.appendonly && !self.node.pen.is_on()
            || self.stopping.is_some();
        if is_early || !self.node.links.take_all(&others) {
            self.keeper.marks.due = Some(now.mono.after_millis(LATER_MILLIS));
            return;
        }
        let marks = &mut self.keeper.marks;
        (marks.due, marks.last) = (None, now.mono);
        marks.begun += 1;
        marks.missing = (0..self.node.cores).map(CoreId).collect();
        marks.is_durable = true;
        marks.is_awaited = std::mem::take(&mut marks.is_wanted);
        let (number, is_wanted) = (marks.begun, marks.is_awaited);
        let mark = Body::Mark { number, is_wanted };
        let steps = match planted("a mark is written before all shards are held") {
            true => vec![mark],
            false => vec![Body::Lock, mark],
        };
        let token = Token { conn: MARKER, sequence: number };
        self.launch_on_all(token, Some(Mode::Shared), &steps, now, out);
    }

    /// A mark reaches this shard.
    pub(crate) fn mark_here(&mut self, number: u64, is_wanted: bool, out: &mut Effects) {
        let policy = self.node.settings.appendfsync;
        let pen = &mut self.node.pen;
        if let Some(path) = pen.path().map(str::to_string) {
            let bytes = pen.mark(number, policy == SyncPolicy::Always);
            self.node.asks.ask(ToKeeper::Marked(bytes), None);
            if policy == SyncPolicy::EverySecond || policy == SyncPolicy::No && is_wanted {
                return self.files.begin(Purpose::Mark(number), DiskRequest::Sync { path }, out);
            }
        }
        self.node.asks.ask(ToKeeper::Synced { number, is_durable: true }, None);
    }

    /// This core's log is durable up to a mark, or cannot be.
    pub(crate) fn mark_is_synced(&mut self, number: u64, outcome: DiskOutcome, now: Now, out: &mut Effects) {
        let is_durable = if let DiskOutcome::Failed(why) = outcome {
            let text = format!("Fail to fsync the AOF file: {why}");
            out.push(Effect::Log { level: LogLevel::Warning, text: text.clone() });
            self.node.pen.note_failure(text, now);
            self.node.gate();
            self.node.asks.ask(ToKeeper::Rewrite, None);
            false
        } else {
            self.node.pen.note_synced()
        };
        self.node.asks.ask(ToKeeper::Synced { number, is_durable }, None);
    }

    /// A core's log is durable up to a mark, or cannot be.
    pub(crate) fn heard_of_sync(
        &mut self,
        from: CoreId,
        number: u64,
        is_durable: bool,
        now: Now,
        out: &mut Effects,
    ) {
        let marks = &mut self.keeper.marks;
        if number == marks.begun {
            marks.missing.retain(|core| *core != from);
            marks.is_durable &= is_durable;
            if marks.missing.is_empty() && marks.is_awaited && !marks.is_durable {
                marks.is_wanted = true;
                marks.due = Some(now.mono.after_millis(MARK_MILLIS));
            } else if marks.missing.is_empty() && std::mem::take(&mut marks.is_awaited) {
                let mut status = self.node.status.clone();
                status.marked = number;
                self.tell_all(status, now, out);
            }
        }
    }

    /// A client waits until what it has changed is durable.
    pub(crate) fn await_mark(&mut self, token: Token, until: Instant) {
        self.node.asks.marks.push(Waiter { token, number: None, until });
        self.node.asks.ask(ToKeeper::Sync, Some(token));
    }

    /// It knows now which mark it waits for.
    pub(crate) fn mark_is_numbered(&mut self, token: Token, number: u64) {
        self.node.asks.marks.iter_mut().filter(|waiter| waiter.token == token).for_each(|waiter| {
            waiter.number = Some(number);
        });
    }

    /// Answers those whose mark is durable, and those whose patience is over.
    pub(crate) fn end_mark_waits(&mut self, now: Now, out: &mut Effects) {
        if self.node.asks.marks.is_empty() {
            return;
        }
        let marked = self.node.status.marked;
        let is_synced = |waiter: &Waiter| waiter.number.is_some_and(|number| number <= marked);
        let waiters = std::mem::take(&mut self.node.asks.marks);
        let (over, left) =
            waiters.into_iter().partition(|waiter| is_synced(waiter) || waiter.until <= now.mono);
        self.node.asks.marks = left;
        let over: Vec<Waiter> = over;
        for waiter in over {
            let mut reply = Chunks::default();
            let mut written = Reply::new(&mut reply, Resp::V2);
            written.array(2);
            written.integer(i64::from(is_synced(&waiter)));
            written.integer(0);
            self.arrived(waiter.token, reply, now, out);
        }
    }

    /// When the first of those who wait has no more patience.
    pub(crate) fn mark_patience(&self) -> Instant {
        self.node.asks.marks.iter().map(|waiter| waiter.until).min().unwrap_or(Instant::NEVER)
    }
}
