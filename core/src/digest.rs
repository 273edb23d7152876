//! Two engines that will do the same from now on have the same digest: what a model checker tells states apart by.
//!
//! Clocks, counters for statistics, logs, settings and scratch buffers are left out; they decide nothing in a model.

use std::hash::{Hash, Hasher};

use crate::engine::Engine;

impl Engine {
    /// Feeds everything that decides how the engine goes on to a hasher, in an order that does not depend on how it came about.
    pub fn digest(&self, hasher: &mut impl Hasher) {
        let node = &self.node;
        (&node.links, &node.feed, node.pause, node.asleep_until).hash(hasher);
        (&self.gathers, &self.sleepers, self.stopping, &self.errands).hash(hasher);
        (&node.queue, &self.transactions, &self.own_answers).hash(hasher);
        (&node.unwatched, &node.late_rounds, &node.leaving).hash(hasher);
        (&node.shard.watches, &node.shard.waiters, &self.tries_later).hash(hasher);
        for (entry, instant) in node.instants.iter().enumerate().filter(|(_, instant)| instant.is_some()) {
            (entry, instant).hash(hasher);
        }
        for session in self.sessions.iter() {
            session.digest(hasher);
        }
        for database in node.shard.databases() {
            let mut records: Vec<_> = database
                .iter()
                .map(|record| (record.key(), record.copy(), record.deadline(), record.is_passed_by()))
                .collect();
            records.sort_by_key(|(key, ..)| *key);
            records.hash(hasher);
            if let Some(walk) = database.walk() {
                walk.digest(hasher);
            }
        }
        if let Some(saving) = &node.shard.saving {
            saving.digest(hasher);
        }
        (&node.pen, &node.asks, &node.status, &self.keeper, &self.files, &self.held).hash(hasher);
        (node.shard.trash.len(), node.shard.judged()).hash(hasher);
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, Hasher};

    use super::*;
    use crate::event::{ConnId, CoreId, Door, Effects, Event, Origin, Peer};
    use crate::host::{Instruments, Process};
    use crate::time::Now;

    fn after(requests: &[&str]) -> Engine {
        let mut engine = Engine::new(crate::EngineConfig {
            core: CoreId(0),
            cores: 1,
            credits: 1,
            hash_seeds: [1, 2, 3, 4],
            random_seed: [0; 32],
            settings: crate::config::Settings::default(),
            process: std::sync::Arc::new(Process::default()),
            instruments: Instruments::still(),
            load: None,
            persists: false,
        });
        let (conn, mut out) = (ConnId::default(), Effects::default());
        let peer = Peer { address: String::new(), local: String::new(), origin: Origin::Unix, descriptor: 0 };
        engine.handle(Now::default(), Event::Opened { conn, peer, clients: 1, door: Door::Redis }, &mut out);
        for request in requests {
            engine.handle(Now::default(), Event::Bytes { conn, bytes: request.as_bytes() }, &mut out);
        }
        engine
    }

    fn digest(engine: &Engine) -> u64 {
        let mut hasher = ahash::RandomState::with_seeds(1, 2, 3, 4).build_hasher();
        engine.digest(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn what_differs_has_another_digest_and_a_clone_has_the_same() {
        let one = after(&["SET a 1\r\n", "SET b 2\r\n"]);
        assert_eq!(digest(&one), digest(&one.clone()));
        assert_eq!(digest(&one), digest(&after(&["SET b 2\r\n", "SET a 1\r\n"])));
        assert_ne!(digest(&one), digest(&after(&["SET a 2\r\n", "SET b 2\r\n"])));
        assert_ne!(digest(&one), digest(&after(&["SET a 1\r\nSET b 2\r\nGET b\r\n"])));
    }
}
