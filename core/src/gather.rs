//! Messages of other cores, and answers that all cores give together.

use crate::args::{Args, Packed};
use crate::clients::release;
use crate::command::row::Run;
use crate::command::table::CommandId;
use crate::dispatch::{Verdict, request};
use crate::engine::Engine;
use crate::event::{CoreId, Effect, Effects};
use crate::hash::KeyHash;
use crate::message::{Message, Request, Stamp, Token};
use crate::mutant::planted;
use crate::node::{Applied, Asked, Local};
use crate::part::Part;
use crate::protocol::chunks::Chunks;
use crate::protocol::reply::{Outcome, Reply, Resp};
use crate::session::{ClientId, Hold, Session};
use crate::time::Now;
use crate::txn::waiters::WaitId;

/// An answer that is not complete yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Gather {
    command: CommandId,
    args: Packed,
    /// The protocol of the reply: the client may have changed it since.
    resp: Resp,
    /// In the order of cores.
    parts: Vec<Option<Part>>,
}

/// A question to one core: what it needs of a request besides its arguments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking {
    pub(crate) command: CommandId,
    pub(crate) database: u16,
    pub(crate) client: ClientId,
    pub(crate) resp: Resp,
    /// Of the [`Stamp`].
    pub(crate) clock: u64,
}

/// Refuses a request before anybody is asked.
pub(crate) type Check = fn(&mut Local<'_>, Args<'_>) -> Outcome;

impl Engine {
    /// Asks every core for its part.
    pub(crate) fn begin_gather(
        &mut self,
        mut session: Box<Session>,
        id: CommandId,
        args: Args<'_>,
        check: Check,
        now: Now,
        out: &mut Effects,
    ) -> (Box<Session>, Verdict) {
        if let Err(failure) = self.check_gather(&mut session, check, args, now, out) {
            self.node.ran(id, args, 0, true);
            self.node.statistics.error(failure.code());
            let resp = session.resp;
            Reply::new(session.reply_end(), resp).error(&failure);
            return (session, Verdict::Done);
        }
        if !self.node.links.take_all_or_wait(session.conn) {
            return (session, Verdict::Held(Hold::Credits));
        }
        self.show(&session, id.row(), args, now, out);
        let token = Token { conn: session.conn, sequence: session.await_reply() };
        self.node.clock += 1;
        let mut request = request(&session, id, args, now, KeyHash(0));
        request.clock = self.node.clock;
        for core in (0..self.node.cores).map(CoreId).filter(|core| *core != self.node.core) {
            out.push(Effect::Send { to: core, message: Message::Ask { token, request: request.clone() } });
        }
        let mut gather = Gather {
            command: id,
            args: request.args.clone(),
            resp: request.resp,
            parts: vec![None; usize::from(self.node.cores)],
        };
        let conn = session.conn;
        // What it has sent is being looked at: if it says no more, it is not over yet.
        let again = std::mem::replace(&mut session.again, true);
        self.sessions.put_back(session);
        let own = self.give_part_of(self.node.core, &request, now, out);
        self.node.note_applied(Applied::Here { conn, refused: false });
        gather.parts[self.node.core.index()] = Some(own);
        self.gathers.insert(token, gather);
        self.end_gather_if_whole(token, now, out);
        let mut session = self.sessions.take(conn).expect("a client ends only by Closed");
        session.again = again;
        (session, Verdict::Done)
    }

    /// Refuses what makes no sense before anybody is asked.
    pub(crate) fn check_gather(
        &mut self,
        session: &mut Session,
        check: Check,
        args: Args<'_>,
        now: Now,
        out: &mut Effects,
    ) -> Outcome {
        check(&mut Local { node: &mut self.node, session, now, out, deferred: None }, args)
    }

    /// Another core's message.
    pub(crate) fn message(&mut self, now: Now, from: CoreId, message: Message, out: &mut Effects) {
        let answers = message.answers();
        if answers > 0 && !planted("an answer does not give the credit back") {
            self.node.links.give_back_several(from, answers);
        }
        if matches!(message, Message::Ran { .. })
            && planted("a transaction gives its credits back before its release")
        {
            self.node.links.give_back(from);
        }
        match message {
            Message::Direct { token, request } => self.direct(from, token, request, now, out),
            Message::Directs { directs } => self.directs(from, directs, now, out),
            Message::Dones { dones } => self.dones(from, dones, now, out),
            Message::Batch { token, bundle } => self.batch(from, token, bundle, now, out),
            Message::Schedule { tx, client, ticket, intents, body } => {
                self.schedule(from, tx, client, ticket, intents, body);
            }
            Message::Step { tx, entry, body } => self.step(from, tx, entry, body, now, out),
            Message::Ran { tx, entry, ran } => self.heard(from, tx, entry, ran, now, out),
            Message::Release { entry } => self.release_entry(entry),
            Message::Unwatch { watcher } => self.end_round(from, watcher, out),
            Message::Received => {}
            Message::InLine { token } => self.got_in_line(token, now, out),
            Message::Wake { token, entry } => self.woken(from, token, entry, now, out),
            Message::Serve { token, entry } => self.serve(from, token, entry, now, out),
            Message::Pass { token, entry, tries } => self.pass(from, token, entry, tries),
            Message::Served { token, reply } => self.end_wait(token, reply, Some(from), now, out),
            Message::Unserved { token } => self.unserved(token, now, out),
            Message::Leave { token } => {
                self.node.leave_line(WaitId { core: from, token });
                out.push(Effect::Send { to: from, message: Message::Received });
            }
            Message::Done { token, reply, slow } => {
                if let (Some(call), Some(session)) = (slow, self.sessions.get_mut(token.conn)) {
                    self.node.keep_slow(*call, session);
                }
                self.end_wait(token, reply, Some(from), now, out);
            }
            Message::Ask { token, request } => {
                self.node.clock = self.node.clock.max(request.clock);
                let part = self.give_part_of(from, &request, now, out);
                out.push(Effect::Send { to: from, message: Message::Answer { token, part } });
            }
            Message::Answer { token, part } => {
                if let Some(gather) = self.gathers.get_mut(&token) {
                    gather.parts[from.index()] = Some(part);
                    self.end_gather_if_whole(token, now, out);
                    self.settle(token.conn, now, out);
                }
            }
            Message::Budget { report } => {
                let allowance = self.node.hear_report(from, report);
                out.push(Effect::Send { to: from, message: Message::Allowance { allowance } });
            }
            Message::Allowance { allowance } => self.node.allow(allowance),
            Message::Listen { topics } => {
                self.node.hear_wish(from, topics);
                out.push(Effect::Send { to: from, message: Message::Noted });
            }
            Message::Lines { lines } => {
                lines.iter().for_each(|line| self.show_here(line, now, out));
                out.push(Effect::Send { to: from, message: Message::Noted });
            }
            Message::Noted => self.node.feed.answered(from),
            Message::ToKeeper(word) => self.heard_as_keeper(from, *word, now, out),
            Message::Numbered { number } => self.numbered(number),
            Message::Stored => self.stored(),
            Message::OfKeeper(word) => self.heard_of_keeper(*word, now, out),
            Message::Loaded { report } => self.batch_is_loaded(from, report, now, out),
        }
    }

    /// This core's part of an answer that every core gives.
    pub(crate) fn give_part(
        &mut self,
        from: CoreId,
        asking: &Asking,
        args: Args<'_>,
        now: Now,
        out: &mut Effects,
    ) -> Part {
        let Run::Gather { part, .. } = asking.command.row().run else {
            unreachable!("only commands that ask every core are asked");
        };
        let mut asked = Asked {
            node: &mut self.node,
            sessions: &mut self.sessions,
            transactions: &self.transactions,
            now,
            out,
            client: asking.client,
            stamp: Stamp { clock: asking.clock, core: from },
            database: usize::from(asking.database),
            resp: asking.resp,
            ended: Vec::new(),
            released: Vec::new(),
            unblocked: Vec::new(),
        };
        let part = part(&mut asked, args);
        asked.node.write_down_asides();
        let (ended, released, unblocked) = (asked.ended, asked.released, asked.unblocked);
        for (conn, with_error) in unblocked {
            self.unblock(conn, with_error, now, out);
        }
        for conn in released {
            if let Some(session) = self.sessions.get_mut(conn) {
                release(session, out);
            }
        }
        for (conn, how) in ended {
            self.end_all(&[conn], how, now, out);
        }
        part
    }

    fn give_part_of(&mut self, from: CoreId, request: &Request, now: Now, out: &mut Effects) -> Part {
        let asking = Asking {
            command: request.command,
            database: request.database,
            client: request.client,
            resp: request.resp,
            clock: request.clock,
        };
        let mut spans = Vec::new();
        let args = request.args.unpack(&mut spans);
        self.give_part(from, &asking, args, now, out)
    }

    fn end_gather_if_whole(&mut self, token: Token, now: Now, out: &mut Effects) {
        if self.gathers.get(&token).is_none_or(|gather| !is_whole(&gather.parts)) {
            return;
        }
        let outlives =
            planted("an answer of all outlives its client") && self.sessions.get_mut(token.conn).is_none();
        if outlives {
            return;
        }
        let Some(gather) = self.gathers.remove(&token) else { return };
        // Who asked may be gone: then nobody hears the answer.
        let Some(mut session) = self.sessions.take(token.conn) else { return };
        let Run::Gather { merge, .. } = gather.command.row().run else {
            unreachable!("only commands that ask every core are gathered");
        };
        let parts: Vec<Part> = gather.parts.into_iter().flatten().collect();
        let mut spans = std::mem::take(&mut self.spans);
        let args = gather.args.unpack(&mut spans);
        let mut reply = Chunks::default();
        let deferred = self.write_local(
            &mut session,
            gather.command,
            args,
            now,
            out,
            &mut reply,
            gather.resp,
            |local, reply| merge(local, args, parts, reply),
        );
        self.spans = spans;
        self.sessions.put_back(session);
        match deferred {
            Some(deferred) => self.defer(token, deferred, reply, out),
            None => self.arrived(token, reply, now, out),
        }
    }

    /// Gives a client a reply that it awaits.
    pub(crate) fn arrived(&mut self, token: Token, reply: Chunks, now: Now, out: &mut Effects) {
        if let Some(session) = self.sessions.get_mut(token.conn)
            && session.awaits(token.sequence)
        {
            session.arrived(token.sequence, reply);
            self.settle(token.conn, now, out);
        }
    }
}

/// True when every core has given its part.
fn is_whole(parts: &[Option<Part>]) -> bool {
    let missing = parts.iter().filter(|part| part.is_none()).count();
    missing <= usize::from(planted("an answer of all lacks the last part"))
}

#[cfg(test)]
mod tests {
    use crate::limits;
    use crate::testing::World;

    #[test]
    fn who_says_no_more_is_answered_to_the_end() {
        for cores in [1, 2] {
            let mut world = World::new(cores);
            let client = world.connect(0);
            let bytes =
                "PING\r\n".repeat(limits::COMMANDS_PER_EVENT) + "DBSIZE\r\nCLIENT UNBLOCK 99\r\nPING\r\n";
            world.send_last(client, bytes.as_bytes());
            let heard = world.receive(client);
            assert!(heard.ends_with("+PONG\r\n:0\r\n:0\r\n+PONG\r\n"), "{cores} cores: {heard:.200}");
            assert!(!world.is_open(client));
        }
    }
}
