//! A look for keys whose time has come where a table is about to grow: what nobody will ever see again makes nobody's table larger.
//!
//! A command that stores something says where it has become crowded, and before the next command that may grow, the keys there that are due
//! go, some at a time. So a shard that is too busy to sweep, and whose keys live shorter than that lasts, keeps its size. It knows where to look. When
//! keys are due, and how they lie, the table knows.

use crate::node::{Node, spared};

/// Home buckets that are looked at before a command: a whole segment before four of them.
const STEPS: usize = 16;

impl Node {
    /// Removes keys that are due where it is crowded, but those that a transaction may hold.
    #[cold]
    pub(super) fn thin_crowd(&mut self) {
        let Some((database, hash)) = self.shard.crowd.take() else { return };
        if !self.shard.active_expire || !self.may_change_by_itself() {
            return;
        }
        let hasher = self.shard.hasher().clone();
        let spared = spared(&self.queue, &hasher);
        let now = self.shard.judge(self.now.unix());
        if self.shard.expire_in((database, Some(hash)), now, STEPS, &spared) == STEPS {
            // There may be more of it, and home buckets that are passed over each time would be the ones that overflow.
            self.shard.crowd = Some((database, hash));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::database::{Database, Key};
    use crate::hash::KeyHasher;
    use crate::shard::Deadline;
    use crate::testing::World;
    use crate::time::UnixMillis;
    use crate::value::access::AccessRule;
    use crate::value::record::Value;

    /// The most bytes that the table takes and the most keys in it, while one key a millisecond comes, each for a second, and nobody ever sweeps.
    fn highest(looks: bool, keys: u32) -> (usize, usize) {
        let mut world = World::new(1);
        let client = world.connect(0);
        world.engines[0].node_mut().shard.active_expire = looks;
        let mut highest = (0, 0);
        for n in 0..keys {
            world.now.mono = world.now.mono.after_millis(1);
            world.now.unix_micros += 1_000;
            assert_eq!(world.call(client, &format!("SET short:{n} value PX 1000")), "+OK\r\n");
            let database = &world.engines[0].node().shard.databases()[0];
            highest = (highest.0.max(database.table_bytes()), highest.1.max(database.len()));
        }
        world.engines[0].node().shard.databases()[0].check();
        assert_eq!(world.engines[0].node().shard.databases()[0].recount(), Ok(()));
        highest
    }

    #[test]
    fn keys_that_live_shortly_do_not_make_a_table_grow() {
        let (bytes, keys) = highest(true, 60_000);
        // Those that live and those of a unit of deadlines that is not over, in segments of which each is up to nine tenths full.
        assert!(keys < 4_000, "{keys} keys");
        assert!(bytes < 8 * 952 * Database::SLOT_BYTES, "{bytes} bytes");
        // If nobody looks, all of them stay.
        let (left_alone, all) = highest(false, 60_000);
        assert!(all == 60_000 && left_alone > 8 * bytes, "{left_alone} bytes");
    }

    #[test]
    fn what_is_held_stays_and_the_rest_of_its_segment_goes() {
        let mut database = Database::new(KeyHasher::new([1, 2, 3, 4]));
        let at = |millis: u64| UnixMillis(1_700_000_000_000 + millis);
        let names: Vec<String> = (0..720).map(|n| format!("key:{n}")).collect();
        for name in &names {
            let key = Key { bytes: name.as_bytes(), hash: database.hash(name.as_bytes()) };
            let deadline = Deadline::At(at(100));
            drop(database.store(key, Value::Bytes(b"v"), deadline, None, AccessRule::Untouched));
        }
        let hash = database.hash(b"key:0");
        assert!(!database.is_crowded(hash, at(100)), "the unit of the deadlines is not over");
        let now = at(1_000);
        assert!(database.is_crowded(hash, now));
        let (mut gone, mut looks) = (0, 0);
        while database.is_crowded(hash, now) {
            let held = |key: &[u8]| key == b"key:7";
            let (used, expired) = database.expire_near(hash, now, 16, &held, &mut drop);
            assert!(used > 0 && looks < 4, "it comes to an end");
            (gone, looks) = (gone + expired, looks + 1);
        }
        assert!(gone > 0);
        let held = Key { bytes: b"key:7", hash: database.hash(b"key:7") };
        assert!(database.get(held).is_some());
        database.check();
        assert_eq!(database.recount(), Ok(()));
    }
}
