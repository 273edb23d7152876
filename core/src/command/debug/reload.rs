//! DEBUG RELOAD: every value is written as a dump has it, forgotten, and read again. Every core does that with its own.

use super::ROW;
use crate::args::Args;
use crate::command::dump::forms;
use crate::command::gathered::all_done;
use crate::command::row::{Command, Example, Run};
use crate::database::{Database, Key};
use crate::hash::KeyHasher;
use crate::node::{Asked, Local};
use crate::part::Part;
use crate::protocol::reply::{Failure, Outcome};
use crate::rdb::dump::{dump, restore};
use crate::rdb::value::Forms;
use crate::txn::intent::Mode;

pub(super) const RELOAD: Command = Command {
    name: "reload",
    arity: -2,
    complexity: "O(N) where N is the size of all values",
    summary: "Writes all values as a dump has them, and reads them again.",
    syntax: "[MERGE] [NOFLUSH] [NOSAVE]",
    examples: &[
        Example { call: "SET mykey Hello", reply: "OK" },
        Example { call: "DEBUG RELOAD", reply: "OK" },
        Example { call: "GET mykey", reply: "Hello" },
    ],
    run: Run::Gather { whole: Some(Mode::Exclusive), check, part, merge: all_done },
    ..ROW
};

/// What is left out or kept besides makes no difference: nothing is written to a file that could differ from memory.
fn check(_: &mut Local<'_>, args: Args<'_>) -> Outcome {
    let is_known = |n: &usize| ["merge", "noflush", "nosave"].iter().any(|word| args.is(*n, word));
    match (2..args.len()).all(|n| is_known(&n)) {
        true => Ok(()),
        false => Err(Failure::new("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.")),
    }
}

fn part(asked: &mut Asked<'_>, _: Args<'_>) -> Part {
    let node = &mut *asked.node;
    let hasher = node.shard.hasher().clone();
    let forms = forms(&node.settings, &hasher);
    let mut databases = node.shard.databases.iter_mut();
    let compresses = node.settings.rdb_compression;
    match databases.all(|database| reload(database, &hasher, &forms, compresses)) {
        true => Part::Done,
        false => Part::Failed(Failure::new("ERR Error trying to load the RDB dump, check server logs.")),
    }
}

/// False if a value does not come back.
fn reload(database: &mut Database, hasher: &KeyHasher, forms: &Forms, compresses: bool) -> bool {
    let keys: Vec<Vec<u8>> = database.iter().map(|record| record.key().to_vec()).collect();
    keys.iter().all(|key| {
        let key = Key { bytes: key, hash: hasher.hash(key) };
        database.change(key, |record| {
            let value = restore(&dump(record, compresses), forms).ok()?;
            drop(record.take_container());
            value.store(|value| record.set_value(value));
            Some(())
        }) == Some(Some(()))
    })
}

#[cfg(test)]
mod tests {
    use crate::config::Access;
    use crate::testing::World;

    #[test]
    fn all_is_as_it_was() {
        let mut world = World::with(2, |settings| settings.enable_debug_command = Access::Yes);
        let client = world.connect(0);
        for line in [
            "MSET a 1 b text c 007",
            "EXPIRE a 100",
            "RPUSH l 1 2 x",
            "SADD s 1 2",
            "SADD t x y",
            "ZADD z 1 a 2.5 b",
            "XADD x 5-1 f v g w",
            "XADD x 5-2 f v g w",
            "XADD x 6-1 other v",
            "XGROUP CREATE x readers 0",
            "XREADGROUP GROUP readers alice COUNT 2 STREAMS x >",
            "XDEL x 5-1",
            "HSET h f v g w",
            "HPEXPIREAT h 99999999999999 FIELDS 1 g",
        ] {
            world.send(client, format!("{line}\r\n").as_bytes());
            world.receive(client);
        }
        let looks = "MGET a b c\r\nTTL a\r\nLRANGE l 0 -1\r\nSMEMBERS s\r\nSMEMBERS t\r\nZRANGE z 0 -1 WITHSCORES\r\nHGETALL h\r\nXRANGE x - +\r\nXINFO GROUPS x\r\nXPENDING x readers - + 10\r\nXINFO STREAM x\r\nHPEXPIRETIME h FIELDS 1 g\r\n\
                     OBJECT ENCODING s\r\nMEMORY USAGE h\r\n";
        world.send(client, looks.as_bytes());
        let before = world.receive(client);
        world.send(client, b"DEBUG RELOAD\r\n");
        assert_eq!(world.receive(client), "+OK\r\n");
        world.send(client, looks.as_bytes());
        assert_eq!(world.receive(client), before);
        world.send(client, b"DEBUG RELOAD NOSUCH\r\n");
        assert!(world.receive(client).starts_with("-ERR DEBUG RELOAD only supports"));
    }
}
