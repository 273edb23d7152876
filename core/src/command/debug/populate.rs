//! DEBUG POPULATE: many keys at once. Every core makes those that are its own.

use super::ROW;
use crate::args::Args;
use crate::command::gathered::all_done;
use crate::command::parse::integer;
use crate::command::row::{Command, Example, Run};
use crate::database::Key;
use crate::hash::placement_part;
use crate::node::{Asked, Local};
use crate::part::Part;
use crate::protocol::reply::{Failure, Outcome};
use crate::shard::{Cx, Deadline};
use crate::txn::intent::Mode;
use crate::txn::watch::Watcher;
use crate::value::record::Value;

pub(super) const POPULATE: Command = Command {
    name: "populate",
    arity: -3,
    complexity: "O(N) where N is the count",
    summary: "Makes so many keys named prefix:number, those left alone that are there already.",
    syntax: "count:integer [prefix [size:integer]]",
    examples: &[
        Example { call: "DEBUG POPULATE 100", reply: "OK" },
        Example { call: "GET key:99", reply: "value:99" },
        Example { call: "DBSIZE", reply: "100" },
    ],
    run: Run::Gather { whole: Some(Mode::Exclusive), check, part, merge: all_done },
    ..ROW
};

struct Plan<'a> {
    count: u64,
    prefix: &'a [u8],
    size: Option<usize>,
}

impl<'a> Plan<'a> {
    fn parse(args: Args<'a>) -> Result<Plan<'a>, Failure> {
        if args.len() > 5 {
            let word = String::from_utf8_lossy(args.at(1));
            return Err(Failure::text(format!(
                "ERR unknown subcommand or wrong number of arguments for '{word}'. Try DEBUG HELP."
            )));
        }
        let size = args.get(4).map(positive).transpose()?;
        Ok(Plan {
            count: positive(args.at(2))?,
            prefix: args.get(3).unwrap_or(b"key"),
            size: size.filter(|&size| size > 0).map(|size| size as usize),
        })
    }
}

/// The longest value that may be asked for.
const SIZE_MAX: u64 = 512 << 20;

fn positive(word: &[u8]) -> Result<u64, Failure> {
    let wrong = Failure::new("ERR value is out of range, must be positive");
    integer(word).ok().and_then(|number| u64::try_from(number).ok()).ok_or(wrong)
}

fn check(_: &mut Local<'_>, args: Args<'_>) -> Outcome {
    let plan = Plan::parse(args)?;
    if plan.size.is_some_and(|size| size as u64 > SIZE_MAX) {
        return Err(Failure::new("ERR value is out of range"));
    }
    Ok(())
}

fn part(asked: &mut Asked<'_>, args: Args<'_>) -> Part {
    let plan = match Plan::parse(args) {
        Ok(plan) => plan,
        Err(failure) => return Part::Failed(failure),
    };
    let node = &mut *asked.node;
    let access = node.access_rule(false, asked.now.unix_micros);
    let now = node.shard.judge(asked.now.unix());
    let (cores, core) = (node.cores, node.core.0);
    let hasher = node.shard.hasher().clone();
    let mut cx = Cx {
        shard: &mut node.shard,
        database: asked.database,
        now,
        clock: now,
        settings: &node.settings,
        keys: &[],
        access,
        next_shard: None,
        watcher: Watcher { client: asked.client, round: 0 },
        removes_due: true,
    };
    let mut name = Vec::new();
    for number in 0..plan.count {
        name.clear();
        name.extend_from_slice(plan.prefix);
        name.extend_from_slice(format!(":{number}").as_bytes());
        if hasher.hash(placement_part(&name)).shard(cores) != core {
            continue;
        }
        let key = Key { bytes: &name, hash: hasher.hash(&name) };
        if cx.peek(key).is_some() {
            continue;
        }
        let mut value = format!("value:{number}").into_bytes();
        if let Some(size) = plan.size {
            value.resize(size, 0);
        }
        cx.store(key, Value::Bytes(&value), Deadline::Clear);
    }
    Part::Done
}

#[cfg(test)]
mod tests {
    use crate::config::Access;
    use crate::testing::World;

    #[test]
    fn every_key_is_made_once_where_it_belongs() {
        let mut world = World::with(3, |settings| settings.enable_debug_command = Access::Yes);
        let client = world.connect(2);
        world.call(client, "SET key:7 mine");
        assert_eq!(world.say(client, "DEBUG POPULATE 100"), "OK");
        assert_eq!(world.say(client, "DBSIZE"), "100");
        for n in 0..100 {
            let expected = if n == 7 { "mine".to_string() } else { format!("value:{n}") };
            assert_eq!(world.say(client, &format!("GET key:{n}")), expected);
        }
        assert_eq!(world.say(client, "DEBUG POPULATE 5 {tag} 10"), "OK");
        assert_eq!(world.call(client, "GET {tag}:4"), "$10\r\nvalue:4\0\0\0\r\n");
        assert_eq!(world.say(client, "DEBUG POPULATE 1 short 3"), "OK");
        assert_eq!(world.say(client, "GET short:0"), "val");
        assert!(world.engines.iter().all(|engine| engine.node().shard.keys() > 0));
    }

    #[test]
    fn errors_are_those_of_redis() {
        let mut world = World::with(1, |settings| settings.enable_debug_command = Access::Yes);
        let client = world.connect(0);
        let range = "ERR value is out of range, must be positive";
        for (call, error) in [
            ("DEBUG POPULATE x", range),
            ("DEBUG POPULATE -1", range),
            ("DEBUG POPULATE 2 foo -1", range),
            ("DEBUG POPULATE 2 foo 1000000000000", "ERR value is out of range"),
            (
                "DEBUG populate 1 foo 5 6",
                "ERR unknown subcommand or wrong number of arguments for 'populate'. Try DEBUG HELP.",
            ),
        ] {
            assert_eq!(world.say(client, call), error, "{call}");
        }
        assert_eq!(world.say(client, "DBSIZE"), "0");
    }
}
