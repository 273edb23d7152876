//! Keys whose time comes when the clock moves on, or does not: what clients may hear of them.
//!
//! It looks at what clients have heard, and when. It does not know engines.

use super::program::Kind;
use super::replay::split;
use super::world::{State, World};

/// EXEC took effect though the time of a watched key had come; a key was found when its time had come, or again, or was not found before.
pub const EXPIRED: &str = "a key ends in its time and for good";

impl State {
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
