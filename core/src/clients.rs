//! Clients come, send, are answered and go: what the driver reports of a connection, and what it is told to do with it.
//!
//! It knows the order of things around a request: what is parsed, held, paused, closed. What a request is about, it leaves to `dispatch`.

use crate::aof::adopt::READER;
use crate::dispatch::Verdict;
use crate::engine::Engine;
use crate::event::{ConnId, Door, Effect, Effects, LogLevel, Origin, Peer};
use crate::feed::Topics;
use crate::hash::KeyHash;
use crate::limits;
use crate::mutant::planted;
use crate::protocol::reply::{Failure, Reply};
use crate::protocol::request::{Parsed, RequestError, RequestLimits};
use crate::session::{Closing, Hold, Session};
use crate::time::Now;

impl Engine {
    pub(crate) fn opened(
        &mut self,
        now: Now,
        conn: ConnId,
        peer: Peer,
        clients: usize,
        door: Door,
        out: &mut Effects,
    ) {
        let settings = &self.node.settings;
        let refusal = if clients as u64 > u64::from(settings.maxclients) {
            self.node.statistics.refused_connections += 1;
            Some(Failure::TOO_MANY_CLIENTS)
        } else if settings.protected_mode
            && !settings.bind_given
            && settings.requirepass.is_empty()
            && peer.origin == Origin::Remote
        {
            Some(Failure::new(PROTECTED))
        } else {
            None
        };
        let authenticated = settings.requirepass.is_empty();
        let id = self.node.next_client();
        let mut session = Session::new(conn, id, peer, now, authenticated);
        if door == Door::Memcached {
            session.memcached = Some(Box::default());
            self.node.shard.ledger.log.opened(&session);
        }
        self.node.statistics.connections += 1;
        if let Some(refusal) = refusal {
            session.tell(&refusal);
            session.close(Closing::AfterReplies);
        }
        if self.stopping.is_some() {
            session.close(Closing::Now);
        }
        self.sessions.add(session);
        self.settle(conn, now, out);
    }

    pub(crate) fn filled(&mut self, now: Now, conn: ConnId, bytes: usize) {
        if let Some(session) = self.sessions.get_mut(conn) {
            match &mut session.memcached {
                Some(parser) => parser.filled(bytes),
                None => session.parser.filled(bytes),
            }
            session.input_total += bytes as u64;
            session.last_active = now.mono;
            self.node.statistics.input_bytes += bytes as u64;
        }
    }

    pub(crate) fn bytes(&mut self, now: Now, conn: ConnId, bytes: &[u8], out: &mut Effects) -> usize {
        let Some(mut session) = self.sessions.take(conn) else { return bytes.len() };
        if session.closing != Closing::No {
            self.node.links.forget(conn);
            self.sessions.put_back(session);
            return bytes.len();
        }
        session.again = false;
        let fresh = bytes.len().saturating_sub(session.unconsumed) as u64;
        session.input_total += fresh;
        self.node.statistics.input_bytes += fresh;
        if fresh > 0 {
            session.last_active = now.mono;
        }
        if session.memcached.is_some() {
            return self.memcached_bytes(session, now, bytes, out);
        }
        // The parser is taken out because arguments are read from it while the session changes.
        let mut parser = std::mem::take(&mut session.parser);
        let mut consumed = 0;
        let mut commands = 0;
        let mut ahead = std::mem::take(&mut self.ahead);
        ahead.clear();
        while session.hold.is_none() && session.closing == Closing::No {
            let limits = RequestLimits {
                bulk_max: self.node.settings.proto_max_bulk_len,
                authenticated: session.authenticated,
            };
            if ahead.is_over() && !parser.is_within_request() {
                let database = self.node.shard.databases.get(usize::from(session.database));
                let (cores, me) = (self.node.cores, self.node.core.0);
                let is_own = |hash: KeyHash| hash.shard(cores) == me;
                ahead.look(bytes, consumed, &limits, self.node.shard.hasher(), is_own, database);
            }
            let start = consumed;
            let (args, end, hash) = if let Some(next) = ahead.next(bytes) {
                (next.args, next.end, next.hash)
            } else {
                match parser.parse(&bytes[consumed..], &limits) {
                    Parsed::Incomplete => break,
                    Parsed::Error(error) => {
                        self.misunderstood(&mut session, error, out);
                        parser.reset();
                        break;
                    }
                    Parsed::Taken { len } => {
                        consumed += len;
                        break;
                    }
                    Parsed::Request { len } => {
                        // A request that the parser owns is kept there if it must wait.
                        consumed += if parser.owns() { len } else { 0 };
                        (parser.args(&bytes[start..]), start + len, None)
                    }
                }
            };
            if commands == limits::COMMANDS_PER_EVENT {
                if !parser.owns() {
                    parser.reset();
                }
                session.again = true;
                out.push(Effect::ResumeRead { conn });
                break;
            }
            session.unconsumed = bytes.len() - consumed;
            self.known_hash = hash;
            let verdict;
            (session, verdict) = self.dispatch(session, args, now, out);
            self.known_hash = None;
            if verdict == Verdict::Done || !parser.owns() {
                parser.reset();
            }
            if verdict != Verdict::Held(Hold::Credits) {
                self.node.links.forget(conn);
            }
            match verdict {
                Verdict::Done => {
                    consumed = end;
                    commands += 1;
                }
                Verdict::Held(hold) => session.hold = Some(hold),
            }
        }
        session.parser = parser;
        self.ahead = ahead;
        if session.closing != Closing::No {
            consumed = bytes.len();
        }
        session.unconsumed = bytes.len() - consumed;
        self.judge_input(&mut session, out);
        let waits = session.blocked.is_some();
        self.sessions.put_back(session);
        if waits {
            self.give_up_if_ended(conn);
        }
        self.settle(conn, now, out);
        consumed
    }

    /// A client is told what is wrong with its bytes, and closed.
    fn misunderstood(&mut self, session: &mut Session, error: RequestError, out: &mut Effects) {
        let failure = Failure::text(format!("ERR Protocol error: {}", error.text()));
        self.node.statistics.error(failure.code());
        let resp = session.resp;
        Reply::new(session.reply_end(), resp).error(&failure);
        out.push(Effect::Log {
            level: LogLevel::Verbose,
            text: format!("Protocol error ({}) from client {}", error.text(), session.peer.address),
        });
        session.close(Closing::AfterReplies);
    }

    /// Bounds what a client may send ahead.
    pub(crate) fn judge_input(&mut self, session: &mut Session, out: &mut Effects) {
        let limit = self.node.settings.client_query_buffer_limit;
        let taken = match &session.memcached {
            Some(parser) => parser.taken_bytes(),
            None => session.parser.taken_bytes(),
        };
        if (session.unconsumed + taken) as u64 > limit {
            self.node.statistics.query_limit_disconnections += 1;
            out.push(Effect::Log {
                level: LogLevel::Warning,
                text: format!("Closing client {} that reached max query buffer length", session.peer.address),
            });
            session.close(Closing::Now);
        } else if session.hold.is_some()
            && session.unconsumed > limits::HELD_INPUT_MAX
            && !session.read_paused
        {
            session.read_paused = true;
            out.push(Effect::PauseRead { conn: session.conn });
        }
    }

    pub(crate) fn sent(&mut self, now: Now, conn: ConnId, bytes: usize, out: &mut Effects) {
        self.node.statistics.output_bytes += bytes as u64;
        if let Some(session) = self.sessions.get_mut(conn) {
            session.outbox.sent(bytes, &mut self.spare);
            self.settle(conn, now, out);
        }
    }

    pub(crate) fn ended(&mut self, now: Now, conn: ConnId, out: &mut Effects) {
        if let Some(session) = self.sessions.get_mut(conn) {
            session.ended = true;
            self.give_up_if_ended(conn);
            self.settle(conn, now, out);
        }
    }

    pub(crate) fn closed(&mut self, conn: ConnId) {
        if let Some(mut session) = self.sessions.take(conn) {
            self.node.client_bytes -= session.counted_bytes();
            if !planted("close forgets the parked entry") {
                self.node.links.forget(conn);
            }
            self.end_listening(&session);
            if !planted("close forgets what the client watches") {
                self.node.unwatch(&mut session);
            }
            if !planted("close forgets that the client waits") {
                self.abandon_wait(&mut session);
            }
            self.sessions.end(session);
        }
    }

    /// After anything has happened to a client: tells the driver what follows.
    pub(crate) fn settle(&mut self, conn: ConnId, now: Now, out: &mut Effects) {
        if conn == READER {
            return self.command_is_answered(out);
        }
        let Some(session) = self.sessions.get_mut(conn) else { return };
        let (now_bytes, before) = session.recount();
        self.node.client_bytes = self.node.client_bytes + now_bytes - before;
        if session.close_said {
            return;
        }
        let class = self.node.settings.client_output_buffer_limit[0];
        let monitor_is_behind =
            session.listens.meets(Topics::REQUESTS) && session.output_len() > limits::OUTPUT_HIGH;
        if session.is_over(class, now.mono) || monitor_is_behind {
            self.node.statistics.output_limit_disconnections += 1;
            out.push(Effect::Log {
                level: LogLevel::Warning,
                text: format!(
                    "Client {} scheduled to be closed ASAP for overcoming of output buffer limits",
                    session.peer.address
                ),
            });
            session.close(Closing::Now);
        }
        if session.ended && session.hold.is_none() && !session.again {
            session.close(Closing::AfterReplies);
        }
        let loses = match session.ended {
            true => planted("a half-closed client loses replies under way"),
            false => planted("a client that quits loses replies under way"),
        };
        let is_awaiting = session.in_flight() > 0 && !loses;
        match session.closing {
            Closing::No => {}
            Closing::AfterReplies if is_awaiting || !session.outbox.is_empty() => {}
            Closing::AfterReplies | Closing::Now => {
                session.close_said = true;
                out.push(Effect::Close { conn });
                return;
            }
        }
        let over = match session.hold {
            Some(Hold::Output) => session.output_len() <= limits::OUTPUT_LOW,
            Some(Hold::Order) => session.in_flight() == 0,
            Some(Hold::Crawl) => {
                let room = session.crawl.is_none() || session.output_len() <= limits::CRAWL_OUTPUT_MAX;
                session.in_flight() == 0 && room
            }
            Some(Hold::InFlight) => session.in_flight() <= limits::IN_FLIGHT_MAX / 2,
            _ => false,
        };
        if over {
            release(session, out);
        }
        self.announce(conn, now, out);
    }

    pub(crate) fn end_all(&mut self, conns: &[ConnId], how: Closing, now: Now, out: &mut Effects) {
        for &conn in conns {
            if let Some(session) = self.sessions.get_mut(conn) {
                session.close(how);
                self.settle(conn, now, out);
            }
        }
    }
}

/// Lets a client's held request be looked at again.
pub(crate) fn release(session: &mut Session, out: &mut Effects) {
    if planted("a resumed client stays held") {
        return;
    }
    session.hold = None;
    session.read_paused = false;
    session.again = true;
    if planted("a resumed client is not fed again") || session.conn == READER {
        return;
    }
    out.push(Effect::ResumeRead { conn: session.conn });
}

const PROTECTED: &str = "DENIED Darter is running in protected mode because protected mode is enabled and no password is set for \
the default user. In this mode connections are only accepted from the loopback interface. If you want to connect from external \
computers, do one of these: 1) send 'CONFIG SET protected-mode no' from the loopback interface, and CONFIG REWRITE to make it \
permanent, but make sure that the server cannot be reached from the internet; 2) set protected-mode to 'no' in the configuration \
file and restart; 3) start the server with '--protected-mode no'; 4) set a password with requirepass, or an address with bind.";
