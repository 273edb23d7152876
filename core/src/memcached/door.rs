//! A memcached client's bytes on their way into the engine: the loop that finds requests, and who may make them.
//!
//! It is the counterpart of `Engine::bytes` for Redis's clients: what a request names runs, waits and is answered in the same way. It does
//! not know what requests mean.

use super::binary;
use super::parser::{Form, Limits, Parsed};
use super::rows;
use super::text;
use super::watch::Ending;
use crate::args::Args;
use crate::command::constant_time_eq;
use crate::dispatch::Verdict;
use crate::engine::Engine;
use crate::event::{Effect, Effects};
use crate::limits;
use crate::node::Local;
use crate::protocol::reply::{Failure, Outcome, Reply, Resp};
use crate::session::{Closing, Hold, Session};
use crate::time::Now;

impl Engine {
    /// Runs what a memcached client has sent; how many bytes were consumed.
    pub(crate) fn memcached_bytes(
        &mut self,
        mut session: Box<Session>,
        now: Now,
        bytes: &[u8],
        out: &mut Effects,
    ) -> usize {
        let conn = session.conn;
        // The parser is taken out because arguments are read from it while the session changes.
        let Some(mut parser) = session.memcached.take() else {
            self.sessions.put_back(session);
            return bytes.len();
        };
        let (mut consumed, mut commands) = (0, 0);
        while session.hold.is_none() && session.closing == Closing::No && session.listens.is_empty() {
            if session.output_len() > limits::OUTPUT_HIGH {
                session.hold = Some(Hold::Output);
                break;
            }
            if session.crawl.is_some() {
                let verdict;
                (session, verdict) = self.crawl_on(session, now, out);
                match verdict {
                    Verdict::Held(hold) => session.hold = Some(hold),
                    // It was answered at once: the next piece is asked for when others have had their turn.
                    Verdict::Done if session.hold.is_none() => session.again = true,
                    Verdict::Done => {}
                }
                if verdict != Verdict::Held(Hold::Credits) {
                    self.node.links.forget(conn);
                }
                break;
            }
            let limits = Limits {
                item_max: self.node.settings.memcached_max_item_size,
                authenticated: session.authenticated,
            };
            let parsed = parser.parse(&bytes[consumed..], &limits);
            if commands == limits::COMMANDS_PER_EVENT
                && let Parsed::Request { len, .. } = parsed
            {
                // A request that the parser owns is kept there.
                consumed += if parser.owns() { len } else { 0 };
                parser.reset(false);
                session.again = true;
                out.push(Effect::ResumeRead { conn });
                break;
            }
            match parsed {
                Parsed::Incomplete => break,
                Parsed::Taken { len } => consumed += len,
                Parsed::Said { answer, len, closes } => {
                    session.reply_end().tail().extend_from_slice(&answer);
                    consumed += len;
                    parser.reset(true);
                    if closes {
                        session.ending = Ending::Said;
                        session.close(Closing::AfterReplies);
                    }
                }
                Parsed::Close => session.close(Closing::AfterReplies),
                Parsed::Request { command, len } => {
                    let owns = parser.owns();
                    let start = consumed;
                    // A request that the parser owns is kept there if it must wait.
                    consumed += if owns { len } else { 0 };
                    session.unconsumed = bytes.len() - consumed;
                    let args = parser.args(&bytes[start..]);
                    let command = rows::in_time(command, args);
                    self.known_hash = None;
                    let verdict;
                    (session, verdict) = self.dispatch_row(session, command, args, now, out);
                    parser.reset(verdict == Verdict::Done);
                    if verdict != Verdict::Held(Hold::Credits) {
                        self.node.links.forget(conn);
                    }
                    match verdict {
                        Verdict::Done => {
                            consumed += if owns { 0 } else { len };
                            commands += 1;
                        }
                        Verdict::Held(hold) => session.hold = Some(hold),
                    }
                }
            }
        }
        session.memcached = Some(parser);
        if session.closing != Closing::No || !session.listens.is_empty() {
            // Who listens says nothing more.
            consumed = bytes.len();
        }
        session.unconsumed = bytes.len() - consumed;
        self.judge_input(&mut session, out);
        self.sessions.put_back(session);
        self.settle(conn, now, out);
        consumed
    }
}

impl Session {
    /// Says why nothing more is done for this client, in its protocol.
    pub(crate) fn tell(&mut self, failure: &Failure) {
        let resp = self.resp;
        match self.memcached.as_ref().map(|parser| parser.form()) {
            None => Reply::new(self.reply_end(), resp).error(failure),
            // Without a request there is nothing to answer in this form.
            Some(Some(Form::Binary)) => {}
            Some(_) => {
                let mut reply = Reply::new(self.reply_end(), Resp::V2);
                match *failure == Failure::TOO_MANY_CLIENTS {
                    true => reply.raw(b"ERROR Too many open connections\r\n"),
                    false => text::tell(Args::new(&[], &[]), failure, &mut reply),
                }
            }
        }
    }
}

/// User and password, in the text form as the value of whatever is stored first, in the binary form as SASL's PLAIN has them (RFC 4616).
pub(super) fn authenticate(local: &mut Local<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let secret = args.at(args.len() - 1);
    let is_binary = binary::is_binary(args);
    let parts: Vec<&[u8]> = match is_binary {
        true => secret.split(|byte| *byte == 0).skip(1).collect(),
        false => secret.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).collect(),
    };
    let required = local.node.settings.requirepass.as_bytes();
    let is_right = match parts[..] {
        [user, password] => {
            let is_plain = !is_binary || args.at(2) == b"PLAIN";
            is_plain && user == b"default" && (required.is_empty() || constant_time_eq(required, password))
        }
        _ => false,
    };
    local.session.authenticated |= is_right;
    match (is_binary, is_right, parts.len()) {
        (true, ..) => binary::say_authenticated(args, is_right, reply),
        (false, true, _) => reply.raw(b"STORED\r\n"),
        (false, false, ..2) => reply.raw(b"CLIENT_ERROR bad authentication token format\r\n"),
        (false, false, _) => reply.raw(b"CLIENT_ERROR authentication failure\r\n"),
    }
    Ok(())
}
