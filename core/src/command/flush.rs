//! Emptying databases. The keys are gone at once; their memory is freed in steps, whether ASYNC or SYNC was said.

use super::parse::integer;
use super::row::{Command, Example, Flags, Group, Run, Touch};
use crate::args::Args;
use crate::config::Settings;
use crate::node::{Asked, Local};
use crate::part::Part;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::txn::intent::Mode;

const ROW: Command = Command {
    group: Group::Server,
    arity: -1,
    flags: Flags::WRITE,
    touch: Touch::Delete,
    syntax: "[ASYNC | SYNC]",
    ..Command::DEFAULT
};

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "flushdb",
        summary: "Removes all keys from the current database.",
        complexity: "O(1), the memory is freed in steps",
        examples: &[
            Example { call: "SET mykey Hello", reply: "OK" },
            Example { call: "FLUSHDB", reply: "OK" },
            Example { call: "DBSIZE", reply: "0" },
        ],
        run: Run::Gather { whole: Some(Mode::Exclusive), check, part: flush_one, merge: done },
        ..ROW
    },
    Command {
        name: "flushall",
        summary: "Removes all keys from all databases.",
        complexity: "O(1), the memory is freed in steps",
        examples: &[
            Example { call: "SET mykey Hello", reply: "OK" },
            Example { call: "FLUSHALL", reply: "OK" },
            Example { call: "DBSIZE", reply: "0" },
        ],
        run: Run::Gather { whole: Some(Mode::Exclusive), check, part: flush_all, merge: done },
        ..ROW
    },
    Command {
        name: "swapdb",
        arity: 3,
        flags: Flags::WRITE.or(Flags::FAST),
        touch: Touch::Update,
        since: "4.0.0",
        summary: "Swaps two databases.",
        complexity: "O(1) on each shard, and O(N) for the N keys that are watched or waited for",
        syntax: "index1:integer index2:integer",
        examples: &[
            Example { call: "SET mykey Hello", reply: "OK" },
            Example { call: "SWAPDB 0 1", reply: "OK" },
            Example { call: "DBSIZE", reply: "0" },
            Example { call: "SELECT 1", reply: "OK" },
            Example { call: "GET mykey", reply: "Hello" },
            Example { call: "FLUSHALL", reply: "OK" },
        ],
        run: Run::Gather { whole: Some(Mode::Exclusive), check: check_swap, part: swap, merge: done },
        ..ROW
    },
];

/// The two databases that SWAPDB names.
fn pair(args: Args<'_>, settings: &Settings) -> Result<(usize, usize), Failure> {
    let number = |place, wrong| {
        let number = integer(args.at(place)).map_err(|_| Failure::new(wrong))?;
        let known = usize::try_from(number).ok().filter(|number| *number < usize::from(settings.databases));
        known.ok_or(Failure::new("ERR DB index is out of range"))
    };
    let first = number(1, "ERR invalid first DB index");
    // Redis reads both numbers before it looks whether they exist.
    integer(args.at(2)).map_err(|_| match first {
        Err(Failure(ref text)) if text.contains("first") => Failure::new("ERR invalid first DB index"),
        _ => Failure::new("ERR invalid second DB index"),
    })?;
    Ok((first?, number(2, "ERR invalid second DB index")?))
}

fn check_swap(local: &mut Local<'_>, args: Args<'_>) -> Outcome {
    pair(args, &local.node.settings).map(drop)
}

fn swap(asked: &mut Asked<'_>, args: Args<'_>) -> Part {
    match pair(args, &asked.node.settings) {
        Ok((one, other)) => {
            asked.node.shard.judge(asked.now.unix());
            asked.node.shard.swap(one, other);
            Part::Done
        }
        Err(failure) => Part::Failed(failure),
    }
}

fn check(_: &mut Local<'_>, args: Args<'_>) -> Outcome {
    match args.len() {
        1 => Ok(()),
        2 if args.is(1, "async") || args.is(1, "sync") => Ok(()),
        _ => Err(Failure::SYNTAX),
    }
}

fn flush_one(asked: &mut Asked<'_>, _: Args<'_>) -> Part {
    asked.node.shard.flush(asked.database);
    Part::Done
}

fn flush_all(asked: &mut Asked<'_>, _: Args<'_>) -> Part {
    asked.node.shard.flush_all();
    Part::Done
}

fn done(_: &mut Local<'_>, _: Args<'_>, _: Vec<Part>, reply: &mut Reply<'_>) -> Outcome {
    reply.ok();
    Ok(())
}
