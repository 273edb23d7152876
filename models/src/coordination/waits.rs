//! Clients that wait for elements of lists: who may not overtake whom, and how a wait ends.
//!
//! It looks at real engines, and at what clients have heard. It does not know how a waiter is woken.

use std::sync::Arc;

use darter_core::event::CoreId;
use darter_core::message::{Message, Token};
use darter_core::node::Applied;
use darter_core::txn::waiters::WaitId;

use super::history::bits;
use super::met::Situation;
use super::program::{Kind, OPS, Patience};
use super::recall::{Known, Outcome, conn_of};
use super::replay::{Whole, contents, split};
use super::world::{REPLIES, STUCK, State, World};

/// A client was served twice, or heard that its time was up without a reason, or did not hear what CLIENT UNBLOCK has claimed.
pub const ENDS: &str = "a wait ends once: served, timed out, unblocked or gone";
/// At rest a client waits for a list that has elements, or beyond its time, or stands in no line.
pub const WAITS: &str = "at rest nobody waits for what is there, nor beyond its time";
/// A client that came later got an element of a key for which another stood in line already.
pub const FIRST: &str = "who waited first for a key is served first";

/// Of each request that waits: those that stood in line for one of its keys when it was said, and the keys that it was served from, of
/// which it may have been any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lines {
    ahead: [u16; OPS],
    from: [u8; OPS],
}

impl State {
    /// A request is said: if it waits, then behind those who are in line.
    pub(super) fn stand_in_line(&mut self, world: &World, op: usize) {
        let own = world.ops[op].awaits();
        for other in (0..world.ops.len()).filter(|other| world.ops[*other].awaits() & own != 0) {
            let shared = world.ops[other].awaits() & own;
            let shards = (0..world.cores).filter(|shard| world.shards_of(shared) >> shard & 1 == 1);
            if shards.clone().all(|shard| self.is_in_line(world, usize::from(shard), other)) {
                self.lines.ahead[op] |= 1 << other;
            }
        }
    }

    /// A request that was in line is served, from one key of a shard.
    pub(super) fn is_served(&mut self, world: &World, core: usize, op: usize, outcome: &Outcome) {
        let (own, here) = (&world.ops[op], world.ops[op].awaits() & world.keys_of(core));
        let token = self.token_of(world, op);
        let told = outcome.sends.iter().find_map(|(_, message)| match &*world.recall.message(*message) {
            Message::Served { token: of, reply } if Some(*of) == token => Some(reply.to_vec()),
            _ => None,
        });
        let heard = || {
            let mut heard = outcome.heard.iter().rev();
            heard.find(|(client, _)| usize::from(*client) == own.client).map(|(_, bytes)| bytes.clone())
        };
        let reply = told.or_else(heard).unwrap_or_default();
        let named = |key: &u8| {
            let name = format!("\r\n{}\r\n", world.recall.keys().name(*key)).into_bytes();
            here >> key & 1 == 1 && reply.windows(name.len()).any(|part| part == name)
        };
        let from = world.recall.keys().all().find(named).map_or(here, |key| 1 << key);
        self.lines.from[op] = from;
        // Of a move both keys count.
        let only = if own.bytes_on.is_empty() { u8::MAX } else { from };
        let ran = self.history.run_on(&world.ops, op, core as u16, only);
        ran.unwrap_or_else(|wrong| self.fail(wrong));
        self.check_line(world, op, from);
    }

    /// A request that waits was served from one of these keys: was it its turn?
    pub(super) fn check_line(&mut self, world: &World, op: usize, from: u8) {
        if self.lines.from[op] == 0 {
            self.lines.from[op] = from;
        }
        // Whichever key it was, the other stood in its line.
        let is_overtaken = bits(self.lines.ahead[op])
            .any(|other| world.ops[other].awaits() & from == from && !self.is_decided(world, other));
        if is_overtaken {
            self.fail(FIRST);
        }
        if self.sides[world.ops[op].client].gone {
            world.recall.met.meet(Situation::GoneServed);
        }
    }

    /// True if it is known how a wait ends, at least where its client is.
    fn is_decided(&self, world: &World, op: usize) -> bool {
        let client = world.ops[op].client;
        if self.sides[client].gone || self.history.replied >> op & 1 == 1 || self.history.ran_on(op) != 0 {
            return true;
        }
        let engine = world.recall.known(self.cores[world.core_of(client as u8)].engine);
        let session = engine.engine.sessions().iter().find(|session| session.conn == conn_of(client as u8));
        session.and_then(|session| session.blocked.as_ref()).is_none_or(|blocked| blocked.served)
    }

    fn is_in_line(&self, world: &World, shard: usize, op: usize) -> bool {
        let Some(token) = self.token_of(world, op) else { return false };
        let core = CoreId(world.core_of(world.ops[op].client as u8) as u16);
        let engine = world.recall.known(self.cores[shard].engine);
        engine.engine.node().shard.waiters().is_in_line(WaitId { core, token })
    }

    /// The reply that a request awaits.
    fn token_of(&self, world: &World, op: usize) -> Option<Token> {
        let op = &world.ops[op];
        let awaited = self.sides[op.client].awaited;
        let sequence = u64::from((awaited & ((1 << op.place) - 1)).count_ones());
        (awaited >> op.place & 1 == 1).then_some(Token { conn: conn_of(op.client as u8), sequence })
    }

    /// Situations that an event has brought.
    pub(super) fn note_waits(&self, world: &World, outcome: &Outcome) {
        if world.is_filled {
            return;
        }
        let met = &world.recall.met;
        let mut woken = outcome.applied.iter().filter(|one| matches!(one, Applied::Served { .. })).count();
        for (_, message) in &outcome.sends {
            match *world.recall.message(*message) {
                Message::Wake { .. } => {
                    woken += 1;
                    met.meet(Situation::Woken);
                }
                Message::Pass { tries: true, .. } => met.meet(Situation::TriedAgain),
                Message::Pass { .. } => met.meet(Situation::ClaimLost),
                _ => {}
            }
        }
        if woken > 1 {
            met.meet(Situation::TwoWoken);
        }
    }

    /// Nothing can happen but that the clock moves on or somebody vanishes: everybody is done, or waits for good reason.
    pub(super) fn judge_waits(&mut self, world: &World, known: &[Arc<Known>]) {
        let mut in_line = vec![0; known.len()];
        for (client, side) in self.sides.iter().enumerate().filter(|(_, side)| !side.gone) {
            let left = world.of[client].iter().find(|op| self.history.replied >> **op & 1 == 0);
            let Some(&op) = left else { continue };
            let Kind::Await { keys, .. } = world.ops[op].kind else { return self.fail(STUCK) };
            let core = world.core_of(client as u8);
            let session = known[core].engine.sessions().iter().find(|s| s.conn == conn_of(client as u8));
            let blocked = session.and_then(|session| session.blocked.as_ref());
            if side.is_held || !blocked.is_some_and(|blocked| blocked.may_end()) {
                return self.fail(STUCK);
            }
            let until = blocked.and_then(|blocked| blocked.until);
            let is_due = self.cores[core].woken && until.is_some_and(|until| until <= self.now().mono);
            let shards: Vec<usize> =
                (0..known.len()).filter(|shard| world.shards_of(keys) >> shard & 1 == 1).collect();
            let is_somewhere_missing = shards.iter().any(|shard| !self.is_in_line(world, *shard, op));
            let has_something = shards.iter().any(|shard| {
                let names = world.names_of(keys);
                contents(&known[*shard].engine).iter().any(|(key, _)| names.contains(key))
            });
            if is_due || is_somewhere_missing || has_something {
                return self.fail(WAITS);
            }
            shards.iter().for_each(|shard| in_line[*shard] += 1);
        }
        let is_anybody_waiting = in_line.iter().any(|in_line| *in_line > 0);
        let is_clean = |(known, in_line): (&Arc<Known>, &usize)| {
            let (engine, node) = (&known.engine, known.engine.node());
            let rest = (node.queue.len(), node.queue.locks(), node.links.outstanding(), node.links.parked());
            rest == (0, 0, 0, 0)
                && engine.transactions().is_empty()
                && node.shard.waiters().len() == *in_line
                && (is_anybody_waiting || known.unfinished.is_none())
        };
        if !known.iter().zip(&in_line).all(is_clean) {
            return self.fail(STUCK);
        }
        if is_anybody_waiting {
            world.recall.met.meet(Situation::StillWaiting);
        } else {
            world.recall.met.meet(Situation::Over);
        }
        world.note_ending(self.sides.iter().map(|side| side.heard).collect());
        self.judge_elements(world, known);
    }

    /// Every element that was pushed is where the order says, every reply is that of the order, and every wait has one end.
    fn judge_elements(&mut self, world: &World, known: &[Arc<Known>]) {
        let mut whole = Whole::new(&world.recall, &world.ops, false);
        for op in self.history.order().unwrap_or_default() {
            let (said, ran) = (&world.ops[op], self.history.ran_on(op));
            let bytes = match said.kind {
                Kind::Await { .. } if ran == 0 => continue,
                Kind::Await { .. } => {
                    said.bytes_on.iter().find(|(on, _)| *on == self.lines.from[op]).map(|(_, bytes)| bytes)
                }
                Kind::Unblock { .. } => continue,
                Kind::Plain | Kind::Until { .. } => None,
            };
            if self.history.taken >> op & 1 == 1 {
                whole.run(op, said, bytes.unwrap_or(&said.bytes));
            }
        }
        let mut lies: Vec<_> = known.iter().flat_map(|known| contents(&known.engine)).collect();
        let mut should_lie = whole.contents();
        lies.sort_unstable();
        should_lie.sort_unstable();
        if lies != should_lie {
            return self.fail(REPLIES);
        }
        let mut ends = vec![Ends::default(); self.sides.len()];
        for (client, side) in self.sides.iter().enumerate() {
            let heard = world.recall.text(side.heard);
            let mut rest = &heard[..];
            for &op in &world.of[client] {
                let said = &world.ops[op];
                let Some((reply, behind)) = split(rest, said.replies) else {
                    if let Kind::Unblock { client, .. } = said.kind {
                        // Who has asked is gone: nobody knows what it has come to.
                        ends[usize::from(client)].asked += usize::from(self.history.taken >> op & 1 == 1);
                    }
                    break;
                };
                rest = behind;
                let ran = self.history.ran_on(op) != 0;
                match said.kind {
                    Kind::Await { patience, .. } if !ran => match reply {
                        b"*-1\r\n" | b"$-1\r\n" => {
                            let is_late = self.history.late >> op & 1 == 1;
                            let may_be_due = patience == Patience::Short && !is_late && self.moment > 0;
                            ends[client].due += usize::from(may_be_due);
                            ends[client].empty += 1;
                        }
                        _ if reply.starts_with(b"-UNBLOCKED ") => ends[client].with_error += 1,
                        _ => return self.fail(ENDS),
                    },
                    Kind::Unblock { client, with_error } => {
                        let ended = usize::from(reply == b":1\r\n");
                        let ends = &mut ends[usize::from(client)];
                        ends.unblocked += ended;
                        ends.unblocked_with_error += ended * usize::from(with_error);
                    }
                    _ if reply != whole.answer(op) => return self.fail(REPLIES),
                    _ => {}
                }
            }
        }
        for (ends, side) in ends.iter().zip(&self.sides) {
            let unblocked = ends.unblocked - ends.unblocked_with_error;
            let with_error = ends.unblocked_with_error;
            let is_explained = (with_error..=with_error + ends.asked).contains(&ends.with_error)
                && (unblocked..=unblocked + ends.due + ends.asked).contains(&ends.empty);
            if !is_explained && !side.gone {
                return self.fail(ENDS);
            }
            if ends.empty > unblocked {
                world.recall.met.meet(Situation::TimedOut);
            }
            if ends.unblocked > 0 {
                world.recall.met.meet(Situation::Unblocked);
            }
        }
    }
}

/// How a client's waits have ended that were in vain.
#[derive(Clone, Copy, Debug, Default)]
struct Ends {
    /// As if its time had been up.
    empty: usize,
    /// Of these, those whose time may have been up.
    due: usize,
    /// With an error.
    with_error: usize,
    /// How often CLIENT UNBLOCK claims to have ended one.
    unblocked: usize,
    /// Of these, with an error.
    unblocked_with_error: usize,
    /// CLIENT UNBLOCK of which nobody knows what it has come to.
    asked: usize,
}

impl World {
    /// The shards of keys: bits by number.
    fn shards_of(&self, keys: u8) -> u8 {
        let own = self.recall.keys().all().filter(|key| keys >> key & 1 == 1);
        own.fold(0, |shards, key| shards | 1 << self.recall.keys().shard(key))
    }

    /// The keys of a shard: bits by number.
    pub(super) fn keys_of(&self, core: usize) -> u8 {
        let keys = self.recall.keys();
        keys.all().filter(|key| usize::from(keys.shard(*key)) == core).fold(0, |keys, key| keys | 1 << key)
    }

    /// The names of keys.
    fn names_of(&self, keys: u8) -> Vec<Vec<u8>> {
        let own = self.recall.keys().all().filter(|key| keys >> key & 1 == 1);
        own.map(|key| self.recall.keys().name(key).as_bytes().to_vec()).collect()
    }
}
