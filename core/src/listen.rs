//! Clients that listen: how lines reach those of this core, and leave for those of others.
//!
//! Who is slow loses lines and is told how many, but for monitors, which lose their connection. It does not know what lines say.

use crate::engine::Engine;
use crate::event::{ConnId, CoreId, Effect, Effects};
use crate::feed::{FeedWord, Topics};
use crate::limits;
use crate::message::{FeedLine, Message};
use crate::session::{Closing, Session};
use crate::time::Now;

impl Engine {
    /// Shows a line to those of this core's clients that listen to it.
    pub(crate) fn show_here(&mut self, line: &FeedLine, now: Now, out: &mut Effects) {
        if !self.node.feed.wanted().meets(line.topic) {
            return;
        }
        let (mut shown, mut skipped): (Vec<ConnId>, u64) = (Vec::new(), 0);
        for session in self.sessions.iter_mut().filter(|session| session.listens.meets(line.topic)) {
            if session.closing != Closing::No {
                continue;
            }
            match hear(session, line) {
                true => shown.push(session.conn),
                false => skipped += 1,
            }
        }
        self.node.shard.ledger.log.sent += shown.len() as u64;
        self.node.shard.ledger.log.skipped += skipped;
        for conn in shown {
            self.settle(conn, now, out);
        }
    }

    /// Shows what this core's shard has logged to whom it concerns.
    #[cold]
    pub(crate) fn show_log(&mut self, now: Now, out: &mut Effects) {
        for line in self.node.shard.ledger.log.take(now.unix_micros) {
            self.node.feed.push(&line);
            self.show_here(&line, now, out);
        }
    }

    /// Says to other cores what the feed has for them.
    pub(crate) fn speak_feed(&mut self, out: &mut Effects) {
        for core in (0..self.node.cores).map(CoreId).filter(|core| *core != self.node.core) {
            if !self.node.feed.has_news_for(core) || !self.node.links.take(core) {
                continue;
            }
            let message = match self.node.feed.next_word(core) {
                Some(FeedWord::Listen(topics)) => Message::Listen { topics },
                Some(FeedWord::Lines(lines)) => Message::Lines { lines },
                None => unreachable!("there was news for this core"),
            };
            out.push(Effect::Send { to: core, message });
        }
    }

    /// A client is gone: it listens no more, and whoever listens to that hears of it.
    pub(crate) fn end_listening(&mut self, session: &Session) {
        if !session.listens.is_empty() {
            self.node.unlisten(session.listens);
        }
        if session.memcached.is_some() {
            let is_stopping = self.stopping.is_some();
            self.node.shard.ledger.log.closed(session, is_stopping);
        }
    }
}

/// Gives a line to a client; false if it is too far behind.
fn hear(session: &mut Session, line: &FeedLine) -> bool {
    let is_watcher = !line.topic.meets(Topics::REQUESTS);
    if is_watcher {
        session.left_out += u64::from(line.left_out);
        if session.output_len() + line.text.len() > limits::WATCHER_OUTPUT_MAX {
            session.left_out += 1;
            return false;
        }
        let left_out = std::mem::take(&mut session.left_out);
        if left_out > 0 {
            let tail = session.reply_end().tail();
            tail.extend_from_slice(format!("skipped={left_out}\n").as_bytes());
        }
    }
    session.reply_end().tail().extend_from_slice(&line.text);
    true
}
