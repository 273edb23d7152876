//! Commands that wait, where their client is: trying, being woken, served, timed out or gone.
//!
//! The shard keeps who is in line ([`crate::line`]); the client's core decides once how the wait ends. Nothing here ever waits
//! while something is held: a woken core answers at once. See `docs/TRANSACTIONS.md`.

use smallvec::SmallVec;

use crate::args::{Args, Packed};
use crate::command::row::{Block, Run};
use crate::command::table::CommandId;
use crate::dispatch::{Verdict, request};
use crate::engine::Engine;
use crate::event::{ConnId, CoreId, Effect, Effects};
use crate::hash::KeyHash;
use crate::message::{Message, Token};
use crate::mutant::planted;
use crate::node::{Applied, Unserved};
use crate::protocol::chunks::Chunks;
use crate::protocol::reply::{Failure, Reply, Resp};
use crate::session::{Closing, Session};
use crate::time::{Instant, Now};
use crate::transact::{Draft, Phase};
use crate::txn::calls::Shape;
use crate::txn::queue::EntryId;
use crate::txn::waiters::WaitId;
use crate::txn::work::Finding;

/// A client that waits, as its core knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Blocked {
    /// The reply that it waits for.
    pub token: Token,
    /// Until when; `None`: for ever.
    pub until: Option<Instant>,
    /// The shards where it is in line, or will be.
    pub shards: Vec<CoreId>,
    /// In line; else it is being tried whether there is something already.
    pub in_line: bool,
    /// A shard serves it now: how it ends is decided.
    pub served: bool,
    /// It is tried again by a transaction when it is woken.
    tries: bool,
    /// For another try, and to know how it ends without one.
    command: CommandId,
    database: u16,
    resp: Resp,
    args: Packed,
}

impl Blocked {
    /// True while nothing is decided about how the wait ends.
    pub fn may_end(&self) -> bool {
        self.in_line && !self.served
    }

    /// True while CLIENT UNBLOCK may end it.
    pub fn may_be_unblocked(&self) -> bool {
        self.may_end() || planted("who is being served may be unblocked")
    }
}

/// What became of a command that may wait, while its session is lent to the one that begins it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lent {
    /// It waits behind a transaction.
    Queued,
    /// It is in line.
    InLine,
    /// It is answered.
    Answered(Chunks),
}

/// The reply to a client that CLIENT UNBLOCK ends with an error.
const UNBLOCKED: Failure = Failure::new("UNBLOCKED client unblocked via CLIENT UNBLOCK");

impl Engine {
    /// Begins a command that may wait; its keys are in `self.keys` and `self.owners`.
    pub(crate) fn begin_block(
        &mut self,
        session: &mut Session,
        id: CommandId,
        block: &'static Block,
        args: Args<'_>,
        now: Now,
        out: &mut Effects,
    ) -> Result<Verdict, Failure> {
        (block.plan.check)(args, &self.node.settings)?;
        let millis = (block.timeout)(args)?;
        let until = (millis > 0).then(|| now.mono.after_millis(millis));
        self.locate(id.row(), args);
        let mut owners: SmallVec<[CoreId; 4]> = self.owners.iter().map(|owner| CoreId(*owner)).collect();
        owners.sort_unstable();
        owners.dedup();
        let mut shards: Vec<CoreId> = (0..self.owners.len())
            .filter(|n| (block.waits_for)(*n))
            .map(|n| CoreId(self.owners[n]))
            .collect();
        shards.sort_unstable();
        shards.dedup();
        let blocked = Blocked {
            token: Token { conn: session.conn, sequence: session.next_sequence() },
            until,
            shards,
            in_line: false,
            served: false,
            tries: owners.len() > 1 && !block.is_served_alone,
            command: id,
            database: session.database,
            resp: session.resp,
            args: Packed::new(args),
        };
        let me = self.node.core;
        match owners[..] {
            [owner] if owner == me => {
                self.show(session, id.row(), args, now, out);
                session.await_reply();
                let request = request(session, id, args, now, KeyHash(0));
                let token = blocked.token;
                session.blocked = Some(Box::new(blocked));
                self.lent = Some((token, Lent::Queued));
                self.direct(me, token, request, now, out);
                // What becomes of a session that is lent is told by hand.
                match self.lent.take() {
                    Some((_, Lent::Answered(reply))) => {
                        session.arrived(token.sequence, reply);
                        session.blocked = None;
                    }
                    Some((_, Lent::InLine)) => {
                        if let Some(blocked) = &mut session.blocked {
                            blocked.in_line = true;
                        }
                    }
                    _ => {}
                }
            }
            [owner] => {
                if !self.node.links.take_or_wait(session.conn, &[owner]) {
                    return Ok(Verdict::Held(crate::session::Hold::Credits));
                }
                self.show(session, id.row(), args, now, out);
                session.await_reply();
                let request = request(session, id, args, now, KeyHash(0));
                let token = blocked.token;
                session.blocked = Some(Box::new(blocked));
                out.push(Effect::Send { to: owner, message: Message::Direct { token, request } });
            }
            _ => {
                let verdict = self.try_by_transaction(session, &blocked, None, now, out);
                if let Verdict::Held(_) = verdict {
                    return Ok(verdict);
                }
                self.show(session, id.row(), args, now, out);
                session.blocked = Some(Box::new(blocked));
            }
        }
        if let Some(blocked) = &session.blocked {
            session.waits_for_all = true;
            if let Some(until) = blocked.until {
                self.patience.insert((until, session.conn));
            }
        }
        Ok(Verdict::Done)
    }

    /// Looks by a transaction over all its shards whether there is something, and gets in line if not.
    fn try_by_transaction(
        &mut self,
        session: &mut Session,
        blocked: &Blocked,
        again: Option<Token>,
        now: Now,
        out: &mut Effects,
    ) -> Verdict {
        let mut spans = Vec::new();
        let args = blocked.args.unpack(&mut spans);
        let circumstances = self.circumstances(session, now);
        let (mut draft, mut phase) = (Draft::default(), Phase::default());
        draft.calls.push(blocked.command, blocked.database, Shape::Whole, args.iter());
        draft.waits = true;
        draft.token = again;
        self.locate(blocked.command.row(), args);
        self.draft_several(
            &mut draft,
            &mut phase,
            0,
            blocked.command,
            &circumstances,
            blocked.database,
            args,
        );
        phase.close(&mut draft, &circumstances);
        self.begin(session, draft, circumstances, now, out)
    }

    /// What a client of this core waits with, from now on.
    pub(crate) fn waits_with(&mut self, token: Token, args: &Packed) {
        if let Some(blocked) = self.blocked(token) {
            blocked.args = args.clone();
        }
    }

    /// A shard that was to serve a client of this core has found nothing any more: it waits on. Lines of other shards that it was taken out of since
    /// it was as good as served, it joins again.
    pub(crate) fn unserved(&mut self, token: Token, now: Now, out: &mut Effects) {
        let Some(blocked) = self.blocked(token) else {
            self.node.note_applied(Applied::GaveUp { token, why: Unserved::Gone });
            return self.leave_lines_of(token);
        };
        if blocked.shards.len() > 1 {
            return self.try_again(token, now, out);
        }
        blocked.served = false;
        let is_late = blocked.until.is_some_and(|until| until <= now.mono);
        self.node.note_applied(Applied::Unclaimed { token });
        if is_late {
            self.time_out(token, Unserved::TimedOut, now, out);
        }
        self.give_up_if_ended(token.conn);
        self.settle(token.conn, now, out);
    }

    /// A client is in line on a shard, or on all of its shards.
    pub(crate) fn got_in_line(&mut self, token: Token, now: Now, out: &mut Effects) {
        if let Some((lent, outcome)) = &mut self.lent
            && *lent == token
        {
            *outcome = Lent::InLine;
            return;
        }
        if !self.is_blocked_on(token) {
            self.node.note_applied(Applied::GaveUp { token, why: Unserved::Gone });
            if !planted("who is gone while it is tried stays in line") {
                self.leave_lines_of(token);
            }
            return;
        }
        let Some(session) = self.sessions.get_mut(token.conn) else { return };
        let Some(blocked) = &mut session.blocked else { return };
        blocked.in_line = true;
        let is_due = blocked.until.is_some_and(|until| until <= now.mono);
        if is_due && !planted("whose time is up while it is tried waits on") {
            self.time_out(token, Unserved::TimedOut, now, out);
        }
        self.give_up_if_ended(token.conn);
        self.settle(token.conn, now, out);
    }

    pub(crate) fn is_blocked_on(&mut self, token: Token) -> bool {
        let session = self.sessions.get_mut(token.conn);
        session.and_then(|session| session.blocked.as_ref()).is_some_and(|blocked| blocked.token == token)
    }

    /// Decides that a client of this core is served, unless something else was decided before.
    pub(crate) fn claim(&mut self, token: Token) -> bool {
        let Some(session) = self.sessions.get_mut(token.conn) else { return false };
        match &mut session.blocked {
            Some(blocked) if blocked.token == token && blocked.in_line && !blocked.served => {
                blocked.served = !planted("who is being served may still time out");
                self.node.note_applied(Applied::Claimed { token });
                true
            }
            _ => false,
        }
    }

    /// Another shard has something for a client of this core.
    pub(crate) fn woken(&mut self, from: CoreId, token: Token, entry: EntryId, now: Now, out: &mut Effects) {
        let claimed = self.claim(token) || planted("whose wait is over is served all the same");
        let tries = claimed && self.blocked(token).is_some_and(|blocked| blocked.tries);
        let message = match (claimed, tries) {
            (true, false) => Message::Serve { token, entry },
            _ => Message::Pass { token, entry, tries },
        };
        out.push(Effect::Send { to: from, message });
        if tries {
            self.try_again(token, now, out);
        }
    }

    pub(crate) fn blocked(&mut self, token: Token) -> Option<&mut Blocked> {
        self.sessions.get_mut(token.conn)?.blocked.as_deref_mut().filter(|blocked| blocked.token == token)
    }

    /// A transaction looks again for what a client waits for; when there are credits for it.
    pub(crate) fn try_again(&mut self, token: Token, now: Now, out: &mut Effects) {
        let Some(mut session) = self.sessions.take(token.conn) else {
            // The session is lent to its own command, which cannot be since it waits.
            return;
        };
        if let Some(blocked) = session.blocked.take() {
            let mut blocked = blocked;
            (blocked.in_line, blocked.served) = (false, false);
            if let Verdict::Held(_) = self.try_by_transaction(&mut session, &blocked, Some(token), now, out) {
                // It was put in the line for credits like a request that waits; it is tried from here instead.
                self.node.links.forget(token.conn);
                if !planted("who tries again without a credit is forgotten") {
                    self.tries_later.push_back(token);
                }
            }
            session.blocked = Some(blocked);
        }
        self.sessions.put_back(session);
    }

    /// Tries for which there were no credits.
    pub(crate) fn try_those_left(&mut self, now: Now, out: &mut Effects) {
        for _ in 0..self.tries_later.len() {
            let Some(token) = self.tries_later.pop_front() else { return };
            if self.is_blocked_on(token) {
                self.try_again(token, now, out);
            } else {
                self.node.note_applied(Applied::GaveUp { token, why: Unserved::Gone });
                self.leave_lines_of(token);
            }
        }
    }

    /// A wait ends with this reply; `by`: the shard that has taken it out of its line already.
    pub(crate) fn end_wait(
        &mut self,
        token: Token,
        reply: Chunks,
        by: Option<CoreId>,
        now: Now,
        out: &mut Effects,
    ) {
        if let Some((lent, outcome)) = &mut self.lent
            && *lent == token
        {
            *outcome = Lent::Answered(reply);
            return;
        }
        let Some(session) = self.sessions.get_mut(token.conn) else { return };
        if session.blocked.as_ref().is_some_and(|blocked| blocked.token == token)
            && let Some(blocked) = session.blocked.take()
        {
            self.forget_wait(token, &blocked, by);
        }
        self.arrived(token, reply, now, out);
    }

    /// Takes a client out of all lines but that of `by`.
    fn forget_wait(&mut self, token: Token, blocked: &Blocked, by: Option<CoreId>) {
        if let Some(until) = blocked.until {
            self.patience.remove(&(until, token.conn));
        }
        if by.is_some() && planted("who is served stays in line elsewhere") {
            return;
        }
        let lines: Vec<CoreId> = blocked.shards.iter().copied().filter(|core| Some(*core) != by).collect();
        self.leave_lines(token, &lines);
    }

    fn leave_lines(&mut self, token: Token, shards: &[CoreId]) {
        for &core in shards {
            if core == self.node.core {
                self.node.leave_line(WaitId { core, token });
            } else {
                self.node.leaving.push_back((core, token));
            }
        }
    }

    /// The same for a client that is gone, whose lines nobody remembers.
    pub(crate) fn leave_lines_of(&mut self, token: Token) {
        let all: Vec<CoreId> = (0..self.node.cores).map(CoreId).collect();
        self.leave_lines(token, &all);
    }

    /// A client that waits is gone.
    pub(crate) fn abandon_wait(&mut self, session: &mut Session) {
        let Some(blocked) = session.blocked.take() else { return };
        if let Some(until) = blocked.until {
            self.patience.remove(&(until, session.conn));
        }
        if blocked.may_end() {
            self.node.note_applied(Applied::GaveUp { token: blocked.token, why: Unserved::Gone });
        }
        // Whoever is only being tried gets in line later, if at all, and leaves then. Whom one shard serves stands in line at others.
        let is_served = blocked.served && !planted("who is gone while it is served stays in line elsewhere");
        if blocked.may_end() || is_served {
            self.leave_lines(blocked.token, &blocked.shards);
        }
    }

    /// As in Redis: who waits and will say no more is gone, once it has what it is owed. Who is only being tried may be served yet.
    pub(crate) fn give_up_if_ended(&mut self, conn: ConnId) {
        let waits = |session: &&mut Session| {
            session.ended && session.blocked.as_ref().is_some_and(|blocked| blocked.may_end())
        };
        if self.sessions.get_mut(conn).filter(waits).is_none() {
            return;
        }
        let Some(mut session) = self.sessions.take(conn) else { return };
        self.abandon_wait(&mut session);
        session.forget_last_awaited();
        session.close(Closing::AfterReplies);
        self.sessions.put_back(session);
    }

    /// A transaction that looked for something has found nothing, and its client is in line everywhere.
    pub(crate) fn tried_in_vain(&mut self, token: Token, now: Now, out: &mut Effects) {
        self.got_in_line(token, now, out);
    }

    /// Those whose time is up.
    pub(crate) fn time_out_due(&mut self, now: Now, out: &mut Effects) {
        while let Some(&(until, conn)) = self.patience.first()
            && until <= now.mono
        {
            self.patience.pop_first();
            let blocked = self.sessions.get_mut(conn).and_then(|session| session.blocked.as_deref());
            // Who is being tried is looked at when it gets in line.
            let may_end =
                |blocked: &&Blocked| blocked.may_end() || planted("who is being tried times out meanwhile");
            if let Some(token) = blocked.filter(may_end).map(|blocked| blocked.token) {
                self.time_out(token, Unserved::TimedOut, now, out);
            }
        }
    }

    fn time_out(&mut self, token: Token, why: Unserved, now: Now, out: &mut Effects) {
        let Some(blocked) = self.blocked(token) else { return };
        let reply = empty_reply(blocked.command, blocked.resp);
        self.node.note_applied(Applied::GaveUp { token, why });
        self.end_wait(token, reply, None, now, out);
    }

    /// CLIENT UNBLOCK.
    pub(crate) fn unblock(&mut self, conn: ConnId, with_error: bool, now: Now, out: &mut Effects) {
        let Some(session) = self.sessions.get_mut(conn) else { return };
        let Some(blocked) = &session.blocked else { return };
        if !blocked.may_be_unblocked() {
            return;
        }
        let (token, resp) = (blocked.token, blocked.resp);
        if !with_error {
            return self.time_out(token, Unserved::Unblocked { with_error }, now, out);
        }
        self.node.note_applied(Applied::GaveUp { token, why: Unserved::Unblocked { with_error } });
        let mut reply = Chunks::default();
        Reply::new(&mut reply, resp).error(&UNBLOCKED);
        self.node.statistics.error(UNBLOCKED.code());
        self.end_wait(token, reply, None, now, out);
    }

    /// The server stops: nobody waits any longer.
    pub(crate) fn end_waits(&mut self) {
        for session in self.sessions.iter_mut().filter(|session| session.blocked.is_some()) {
            session.close(Closing::Now);
        }
    }
}

/// What a command waits with, if what was found at its beginning decides that.
pub(crate) fn settled(command: CommandId, args: Args<'_>, findings: &[Finding]) -> Option<Packed> {
    let Run::Block(block) = command.row().run else { return None };
    let settle = block.reader?.settle?;
    Some(Packed::new(settle(args, findings).view()))
}

/// What a command that waits answers when there was nothing.
pub(crate) fn empty_reply(command: CommandId, resp: Resp) -> Chunks {
    let mut reply = Chunks::default();
    if let Run::Block(block) = command.row().run {
        (block.empty)(&mut Reply::new(&mut reply, resp));
    }
    reply
}
