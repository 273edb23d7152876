//! Replies of one client that leave together, as they do where one thread has them all.
//!
//! Of a pipeline's commands some run here and some on other shards. What is ready before the others' replies have come would leave in a
//! segment of its own, be received and looked at by itself, and cost both sides more than the commands do. So it waits for them, but
//! not for long: whatever keeps another shard busy, the client has what is there after [`PATIENCE_MILLIS`]. Who waits for something to
//! be had (BLPOP) has what was asked before at once. It knows clients by their connection, and moments. It does not know replies.

use std::collections::VecDeque;

use crate::engine::Engine;
use crate::event::{ConnId, Effect, Effects};
use crate::session::{Closing, Session};
use crate::time::{Instant, Now};

/// How long a reply waits for those of later commands at the most.
const PATIENCE_MILLIS: u64 = 2;
/// Output of this many bytes does not wait: it fills segments by itself.
const BYTES_MAX: usize = 16 << 10;

/// Whose output waits, in the order in which that ends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Together(VecDeque<(Instant, ConnId)>);

impl Session {
    /// True if output that nobody knows of may wait for more.
    fn may_wait_for_more(&self, now: Instant) -> bool {
        self.in_flight() > 0
            && self.blocked.is_none()
            && self.closing == Closing::No
            && !self.outbox.is_flying()
            && self.output_len() < BYTES_MAX
            && self.waits_together.is_none_or(|until| now < until)
    }
}

impl Engine {
    /// Tells the driver that a client has output, or waits for more of it.
    #[inline]
    pub(crate) fn announce(&mut self, conn: ConnId, now: Now, out: &mut Effects) {
        let Some(session) = self.sessions.get_mut(conn) else { return };
        if !session.outbox.has_news() {
            return;
        }
        if session.may_wait_for_more(now.mono) {
            if session.waits_together.is_none() {
                let until = now.mono.after_millis(PATIENCE_MILLIS);
                session.waits_together = Some(until);
                self.together.0.push_back((until, conn));
            }
            return;
        }
        session.outbox.announce();
        out.push(Effect::TakeOutput { conn });
        if session.waits_together.take().is_some() {
            self.forget_who_has_left();
        }
    }

    /// When output ends to wait for more.
    pub fn next_parting(&self) -> Instant {
        match self.together.0.front() {
            Some((until, _)) => *until,
            _ => Instant::NEVER,
        }
    }

    /// Output that has waited for long enough leaves as it is.
    pub(crate) fn let_wait_no_more(&mut self, now: Now, out: &mut Effects) {
        while self.next_parting() <= now.mono
            && let Some((_, conn)) = self.together.0.pop_front()
        {
            self.announce(conn, now, out);
        }
    }

    /// Nobody is to be woken for those at the front who do not wait any more.
    fn forget_who_has_left(&mut self) {
        while let Some((until, conn)) = self.together.0.front()
            && self.sessions.get_mut(*conn).is_none_or(|session| session.waits_together != Some(*until))
        {
            self.together.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{CoreId, Event};
    use crate::testing::World;

    const MINE: usize = 0;
    const OTHER: usize = 1;

    fn connected(world: &mut World) -> ConnId {
        world.connect(MINE as u16);
        world.engines[MINE]
            .sessions()
            .iter()
            .map(|session| session.conn)
            .max_by_key(|conn| conn.index)
            .expect("it is there")
    }

    /// A key of the first core's shard and one of the second's.
    fn keys(world: &World) -> [String; 2] {
        let hasher = world.engines[0].node().shard.hasher();
        let of =
            |core| (0..).map(|n| format!("k{n}")).find(|key| hasher.hash(key.as_bytes()).shard(2) == core);
        [0, 1].map(|core| of(core).expect("every shard has keys"))
    }

    /// What the first core does with these requests, as long as the second does nothing.
    fn said(world: &mut World, conn: ConnId, text: &str) -> Effects {
        let mut out = Effects::default();
        let bytes = text.as_bytes();
        let taken = world.engines[MINE].handle(world.now, Event::Bytes { conn, bytes }, &mut out);
        assert_eq!(taken, bytes.len());
        out
    }

    fn announced(out: &mut Effects) -> usize {
        out.drain().filter(|effect| matches!(effect, Effect::TakeOutput { .. })).count()
    }

    #[test]
    fn what_is_ready_waits_for_the_rest_but_not_for_long() {
        let mut world = World::new(2);
        let conn = connected(&mut world);
        let [own, other] = keys(&world);
        let mut out = said(&mut world, conn, &format!("GET {own}\r\nGET {other}\r\n"));
        assert_eq!(announced(&mut out), 0, "the second reply is not there");
        let until = world.now.mono.after_millis(PATIENCE_MILLIS);
        assert_eq!(world.engines[MINE].deadline(), until);
        world.now.mono = until;
        world.engines[MINE].handle(world.now, Event::Wake, &mut out);
        assert_eq!(announced(&mut out), 1, "the first reply has waited for long enough");
        assert!(world.engines[MINE].deadline() > until);
    }

    #[test]
    fn both_leave_when_the_other_has_come() {
        let mut world = World::new(2);
        let conn = connected(&mut world);
        let [own, other] = keys(&world);
        let mut out = said(&mut world, conn, &format!("GET {own}\r\nGET {other}\r\n"));
        let mut answers = Effects::default();
        for effect in out.drain() {
            let Effect::Send { message, .. } = effect else { continue };
            let event = Event::Message { from: CoreId(MINE as u16), message };
            world.engines[OTHER].handle(world.now, event, &mut answers);
        }
        for effect in answers.drain() {
            let Effect::Send { message, .. } = effect else { continue };
            let event = Event::Message { from: CoreId(OTHER as u16), message };
            world.engines[MINE].handle(world.now, event, &mut out);
        }
        assert_eq!(announced(&mut out), 1);
        let bytes: Vec<u8> = world.engines[MINE].output(conn).flatten().copied().collect();
        assert_eq!(bytes, b"$-1\r\n$-1\r\n");
        assert_eq!(world.engines[MINE].next_parting(), Instant::NEVER, "nobody is woken for who has left");
    }

    #[test]
    fn nothing_waits_for_who_waits_himself_or_for_much() {
        let mut world = World::new(2);
        let (conn, filled) = (connected(&mut world), connected(&mut world));
        let [own, other] = keys(&world);
        let mut out = said(&mut world, conn, &format!("GET {own}\r\nBLPOP {other} 0\r\n"));
        assert_eq!(announced(&mut out), 1, "there may never be more");
        let echo = format!("ECHO {}\r\n", "x".repeat(BYTES_MAX));
        let mut out = said(&mut world, filled, &format!("{echo}GET {other}\r\n"));
        assert_eq!(announced(&mut out), 1, "it is worth a segment");
    }
}
