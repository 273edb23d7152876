//! Keys whose time comes when the clock moves on, or does not: what clients may hear of them.
//!
//! It looks at what clients have heard, and when. It does not know engines.

use darter_core::node::Applied;
use darter_core::time::UnixMillis;
use darter_core::txn::work::TxId;

use super::program::Kind;
use super::replay::split;
use super::world::{State, World};

/// Steps of a transaction judged by different instants on a shard; EXEC took effect though the time of a watched key had come; a key was
/// found when its time had come, or again, or was not found before.
pub const EXPIRED: &str = "a key ends in its time and for good";

/// Of each transaction that is under way, by its core, the instant that each shard has judged its steps by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Instants(Vec<(u16, TxId, usize, UnixMillis)>);

impl State {
    /// Something ran on a shard: all steps of a transaction judge by one instant there.
    pub(super) fn note_instant(&mut self, shard: usize, applied: Applied, judged: UnixMillis) {
        match applied {
            Applied::Part { from, tx, .. } => {
                let is_same =
                    |one: &&(u16, TxId, usize, UnixMillis)| (one.0, one.1, one.2) == (from.0, tx, shard);
                match self.instants.0.iter().find(is_same) {
                    Some((.., before)) if *before != judged => self.fail(EXPIRED),
                    Some(_) => {}
                    None => self.instants.0.push((from.0, tx, shard, judged)),
                }
            }
            Applied::Ended { tx, .. } => {
                self.instants.0.retain(|(core, other, ..)| (usize::from(*core), *other) != (shard, tx));
            }
            _ => {}
        }
    }

    /// An EXEC that was said after the time of what it watches had come has written nothing.
    pub(super) fn judge_expiry(&mut self, world: &World) {
        for (op, exec) in world.ops.iter().enumerate().filter(|(_, op)| op.is_watched) {
            let watched = world.of[exec.client][exec.place - 1];
            let is_due = self.history.late >> op & 1 == 1 && self.history.seen_late >> watched & 1 == 0;
            let heard = world.recall.text(self.sides[exec.client].heard);
            if is_due && !heard.ends_with(b"*-1\r\n") {
                self.fail(EXPIRED);
            }
        }
        for (client, side) in self.sides.iter().enumerate() {
            let heard = world.recall.text(side.heard);
            let (mut rest, mut ends) = (&heard[..], None);
            for &op in &world.of[client] {
                let said = &world.ops[op];
                let Some((reply, behind)) = split(rest, said.replies) else { break };
                rest = behind;
                let looked = said.touched();
                match (said.kind, &mut ends) {
                    (Kind::Until { key, comes }, _) => ends = Some((op, key, comes, false)),
                    (_, Some((until, key, comes, was_absent)))
                        if looked.writes == 0
                            && looked.reads >> *key & 1 == 1
                            && matches!(reply.first(), Some(b'$' | b'*')) =>
                    {
                        let is_absent = reply.windows(5).any(|part| part == b"$-1\r\n");
                        let is_due = *comes
                            && world.ticks == 1
                            && self.history.late >> op & 1 == 1
                            && self.history.seen_late >> *until & 1 == 0;
                        let is_early = !*comes || self.history.seen_late >> op & 1 == 0;
                        if is_absent && is_early || !is_absent && (is_due || *was_absent) {
                            return self.fail(EXPIRED);
                        }
                        *was_absent |= is_absent;
                    }
                    _ => {}
                }
            }
        }
    }
}
