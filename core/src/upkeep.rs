//! What an engine does without being asked: by the clock, in slices beside its clients, and at the end.
//!
//! It knows when somebody is to be looked at. What is done then belongs to the rooms.

use crate::clients::release;
use crate::engine::Engine;
use crate::event::{ConnId, Effects};
use crate::limits;
use crate::memcached::watch::Ending;
use crate::message::Token;
use crate::protocol::reply::Failure;
use crate::session::{Closing, Hold};
use crate::time::{Instant, Now};

impl Engine {
    /// When to call with [`Event::Wake`].
    pub fn deadline(&self) -> Instant {
        let node = &self.node;
        let mut next = Instant::NEVER;
        next = next.min(node.pause.map_or(Instant::NEVER, |pause| pause.until));
        next = next.min(self.sleepers.iter().map(|(at, _)| *at).min().unwrap_or(Instant::NEVER));
        next = next.min(self.stopping.filter(|_| !self.exit_said).unwrap_or(Instant::NEVER));
        if node.asleep_until > node.now.mono {
            next = next.min(node.asleep_until);
        }
        if let Some((until, _)) = self.patience.first() {
            next = next.min(*until);
        }
        next = next.min(node.shard.waiters.next_look()).min(self.next_parting());
        if self.needs_cron() {
            next = next.min(self.next_cron);
        }
        next = next.min(self.errands.deadline()).min(self.next_walk());
        next = next.min(self.next_look()).min(self.next_log_deadline()).min(self.next_of_timetable());
        if self.stopping.is_none() {
            next = next.min(node.budget.deadline(node.used_bytes()));
        }
        if let Some(due) = self.flush_at() {
            next = next.min(node.now.mono.after_millis(due.0.saturating_sub(node.now.unix().0)));
        }
        let sweeps = node.may_sweep();
        if let (true, Some(due)) = (sweeps, node.shard.next_sweep()) {
            let wait = due.0.saturating_sub(node.now.unix().0);
            next = next.min(node.now.mono.after_millis(wait).max(self.next_sweep));
        }
        next
    }

    /// True while there is background work for [`Event::Slice`].
    pub fn has_background(&self) -> bool {
        self.expiry_is_behind
            || !self.node.shard.trash.is_empty()
            || self.node.is_behind()
            || self.walks_now()
            || self.loader.as_ref().is_some_and(|loader| loader.wants_step() || loader.wants_credits())
            || self.recovery.as_ref().is_some_and(|recovery| recovery.wants_step())
    }

    pub(crate) fn wake(&mut self, now: Now, out: &mut Effects) {
        if self.node.pause.is_some_and(|pause| pause.until <= now.mono) {
            self.node.pause = None;
        }
        self.time_out_due(now, out);
        self.let_wait_no_more(now, out);
        self.node.shard.waiters.look_at_due(now.mono);
        self.flush_if_due(now, out);
        self.release_held(now, out);
        let due: Vec<Token> =
            self.sleepers.iter().filter(|(at, _)| *at <= now.mono).map(|(_, t)| *t).collect();
        self.sleepers.retain(|(at, _)| *at > now.mono);
        for token in due {
            self.wake_sleeper(token, now, out);
        }
        if now.mono >= self.next_cron {
            self.cron(now, out);
        }
        self.time_out_errands(now, out);
        self.look_at_changes(now, out);
        self.look_at_timetable(now, out);
        self.end_mark_waits(now, out);
        self.judge_log(now);
        if self.stopping.is_some_and(|until| until <= now.mono) {
            let conns: Vec<ConnId> = self.sessions.iter().map(|session| session.conn).collect();
            self.end_all(&conns, Closing::Now, now, out);
        }
        if self.node.may_sweep() && self.next_sweep <= now.mono {
            self.next_sweep = now.mono.after_millis(limits::SWEEP_PAUSE_MILLIS);
            self.sweep(now, limits::SWEEP_STEPS);
        }
    }

    /// Clients whose pause or sleep is over.
    pub(crate) fn release_held(&mut self, now: Now, out: &mut Effects) {
        let (pause, asleep_until) = (self.node.pause, self.node.asleep_until);
        for session in self.sessions.iter_mut() {
            let over = match session.hold {
                Some(Hold::Pause) => pause.is_none_or(|pause| !pause.all),
                Some(Hold::Sleep(_)) => asleep_until <= now.mono,
                _ => false,
            };
            if over {
                release(session, out);
            }
        }
    }

    fn needs_cron(&self) -> bool {
        !self.sessions.is_empty()
            && (self.node.settings.timeout > 0 || self.node.settings.client_output_buffer_limit[0].soft > 0)
    }

    /// Idle clients, and those that stay above the soft limit.
    fn cron(&mut self, now: Now, out: &mut Effects) {
        self.next_cron = now.mono.after_millis(limits::CRON_MILLIS);
        if !self.needs_cron() {
            return;
        }
        let timeout = self.node.settings.timeout;
        let mut idle = Vec::new();
        let mut above = Vec::new();
        for session in self.sessions.iter_mut() {
            let quiet = now.mono.millis_since(session.last_active) >= timeout.saturating_mul(1_000);
            let is_idle = quiet && session.listens.is_empty() && session.in_flight() == 0;
            if timeout > 0 && is_idle && session.hold.is_none() {
                session.ending = Ending::Idle;
                idle.push(session.conn);
            } else if session.above_soft_since.is_some() {
                above.push(session.conn);
            }
        }
        self.end_all(&idle, Closing::Now, now, out);
        for conn in above {
            self.settle(conn, now, out);
        }
    }

    pub(crate) fn slice(&mut self, now: Now, steps: usize, out: &mut Effects) {
        self.load_some(steps, now, out);
        self.recover_some(steps, now, out);
        self.walk_on(steps, now.mono);
        let left = self.node.shard.free_some(steps);
        if self.expiry_is_behind && left > 0 {
            self.sweep(now, left);
        }
        self.node.let_some_go(left);
    }

    fn sweep(&mut self, now: Now, steps: usize) {
        let started = (self.node.instruments.stopwatch)();
        self.expiry_is_behind = self.node.shard.active_expire && self.node.expire_some(now.unix(), steps);
        let millis = (self.node.instruments.stopwatch)().saturating_sub(started) / 1_000_000;
        let threshold = self.node.settings.latency_monitor_threshold;
        self.node.latency.note("expire-cycle", now.unix_seconds(), millis, threshold);
    }

    pub(crate) fn stop(&mut self, now: Now, out: &mut Effects) {
        if self.stopping.is_some() {
            return;
        }
        self.stopping = Some(now.mono.after_millis(limits::STOP_MILLIS));
        let conns: Vec<ConnId> = self.sessions.iter().map(|session| session.conn).collect();
        for &conn in &conns {
            // Who has sent something that is not answered is told; everybody else sees the end of the stream.
            if let Some(session) = self.sessions.get_mut(conn)
                && session.unconsumed > 0
                && session.closing == Closing::No
            {
                session.tell(&Failure::new("ERR the server is shutting down"));
            }
        }
        self.node.pen.is_ending = true;
        self.end_waits();
        self.end_asks(now, out);
        self.stop_keeping(out);
        self.end_all(&conns, Closing::AfterReplies, now, out);
    }
}
