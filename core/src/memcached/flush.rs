//! Forgetting everything, now or later.
//!
//! Now, all shards forget as of one moment. Later, each does when its own clock says so; only the last such request counts.

use super::counters::Counter;
use super::item::{DATABASE, Expiry};
use super::rows;
use super::text::is_quiet;
use super::{binary, number};
use crate::args::{Args, OwnedArgs, Packed};
use crate::engine::Engine;
use crate::event::{ConnId, Effects};
use crate::hash::KeyHash;
use crate::message::{Request, Token};
use crate::node::{Asked, Local};
use crate::part::Part;
use crate::protocol::reply::{Outcome, Reply, Resp};
use crate::session::ClientId;
use crate::shard::Cx;
use crate::time::{Now, UnixMillis};
use crate::txn::intent::{Intents, Mode};
use crate::txn::work::Work;

/// When everything is to be forgotten: `None` now.
pub(super) fn delay(args: Args<'_>) -> Option<u32> {
    let seconds = match binary::flush_seconds(args) {
        Some(seconds) => seconds,
        None => {
            let expected = if is_quiet(args) { 2 } else { 1 };
            match args.len() == expected {
                true => 0,
                false => number::signed_32(args.at(1)).unwrap_or(0).try_into().unwrap_or(0),
            }
        }
    };
    (seconds > 0).then_some(seconds)
}

/// One core forgets now, and nothing later.
pub(super) fn part(asked: &mut Asked<'_>, _: Args<'_>) -> Part {
    let shard = &mut asked.node.shard;
    shard.flush(usize::from(DATABASE));
    shard.ledger.flush_at = None;
    Part::Done
}

/// One core will forget.
pub(super) fn later(asked: &mut Asked<'_>, args: Args<'_>) -> Part {
    let seconds = i64::from(delay(args).unwrap_or(0));
    let now = asked.node.now.unix();
    asked.node.shard.ledger.flush_at = match Expiry::new(seconds, now) {
        Expiry::At(at) => Some(at),
        Expiry::Never | Expiry::Past => Some(now),
    };
    Part::Done
}

/// All have heard.
pub(super) fn done(local: &mut Local<'_>, args: Args<'_>, _: Vec<Part>, reply: &mut Reply<'_>) -> Outcome {
    local.node.shard.ledger.count(Counter::Flushes);
    if binary::flush_seconds(args).is_some() {
        binary::say_done(args, reply);
    } else if !is_quiet(args) {
        reply.raw(b"OK\r\n");
    }
    Ok(())
}

/// One shard forgets; it was locked as a whole.
pub(super) fn due(cx: &mut Cx<'_>, _: Args<'_>, _: &mut Reply<'_>) -> Outcome {
    cx.shard.flush(usize::from(DATABASE));
    Ok(())
}

impl Engine {
    /// When [`Engine::flush_if_due`] has something to do.
    pub(crate) fn flush_at(&self) -> Option<UnixMillis> {
        self.node.shard.ledger.flush_at
    }

    /// Forgets everything if its time has come, behind those who hold keys.
    pub(crate) fn flush_if_due(&mut self, now: Now, out: &mut Effects) {
        if self.flush_at().is_none_or(|at| at > now.unix()) {
            return;
        }
        self.node.shard.ledger.flush_at = None;
        // Nobody waits for the answer.
        let token = Token { conn: ConnId { index: u32::MAX, generation: 0 }, sequence: 0 };
        let request = Request {
            command: rows::FLUSH_DUE,
            database: DATABASE,
            resp: Resp::V2,
            no_touch: true,
            client: ClientId(0),
            unix_micros: now.unix_micros,
            clock: 0,
            first_hash: KeyHash(0),
            args: Packed::new(OwnedArgs::new(&["flush_all"]).view()),
        };
        let intents = Intents::whole(Mode::Exclusive);
        let work = Work::Direct { from: self.node.core, token, request };
        self.enqueue(ClientId(0), &intents, work, now, out);
    }
}
