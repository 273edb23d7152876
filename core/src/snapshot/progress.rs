//! How far a shard has come with the snapshot that is under way, in keys.
//!
//! It knows what was there at the cut and what the walks have yet to write. It does not know files, or how far other shards are.

use crate::database::Database;
use crate::shard::Shard;

impl Shard {
    /// A snapshot begins: what there is now belongs to it.
    pub(crate) fn note_keys_at_cut(&mut self) {
        self.keys_at_cut = self.databases.iter().map(|database| database.len() as u64).sum();
    }

    /// Keys of this shard that were there at the cut of the snapshot that is under way; 0 if there is none.
    pub fn keys_at_cut(&self) -> u64 {
        self.keys_at_cut
    }

    /// Those of them that are written, or not wanted any more.
    pub fn saved_keys(&self) -> u64 {
        let left: u64 = self.databases.iter().chain(self.set_aside()).map(Database::unwritten).sum();
        self.keys_at_cut.saturating_sub(left)
    }
}

#[cfg(test)]
mod tests {
    use crate::event::DiskOutcome;
    use crate::testing::{Client, World};

    /// Keys written and keys at the cut, as INFO tells.
    fn progress(world: &mut World, client: Client) -> (u64, u64) {
        let text = world.say(client, "INFO persistence");
        let field = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value.expect("it is there").parse().expect("a number")
        };
        (field("current_save_keys_processed"), field("current_save_keys_total"))
    }

    #[test]
    fn what_is_written_grows_to_what_was_there_at_the_cut() {
        let mut world = World::new(2);
        let (client, other) = (world.connect(0), world.connect(1));
        for n in 0..2_000 {
            assert_eq!(world.call(client, &format!("SET key:{n} {n}")), "+OK\r\n");
        }
        assert_eq!(world.say(client, "SELECT 3"), "OK");
        assert_eq!(world.say(client, "SET one more"), "OK");
        for round in 0..2 {
            assert_eq!(progress(&mut world, other), (0, 0), "nothing is saved");
            assert_eq!(world.say(client, "BGSAVE"), "Background saving started");
            let (mut before, mut between) = (0, 0);
            while world.engines[0].node.status.is_saving {
                for (core, operation, _) in world.disk_requests() {
                    world.end_disk(core, operation, DiskOutcome::Done);
                }
                world.work(1);
                let (written, total) = progress(&mut world, other);
                match total {
                    0 => assert_eq!(written, 0, "before the cut and when all is over"),
                    _ => {
                        assert!(total == 2_001 && (before..=total).contains(&written), "{written} of {total}")
                    }
                }
                between += u64::from(0 < written && written < total);
                before = written;
                if round == 1 && between == 1 {
                    // Neither what goes nor what comes after the cut changes what there is to be written.
                    assert_eq!(world.say(client, "FLUSHALL ASYNC"), "OK");
                    assert_eq!(world.say(client, "SET new x"), "OK");
                }
            }
            assert!(between > 5, "{between}");
        }
        assert_eq!(progress(&mut world, client), (0, 0), "nothing is saved");
    }
}
