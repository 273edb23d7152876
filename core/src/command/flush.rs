//! Emptying databases. The keys are gone at once; their memory is freed in steps, whether ASYNC or SYNC was said.

use super::row::{Command, Example, Flags, Group, Run, Touch};
use crate::args::Args;
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
];

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
    for database in 0..asked.node.shard.databases.len() {
        asked.node.shard.flush(database);
    }
    Part::Done
}

fn done(_: &mut Local<'_>, _: Args<'_>, _: Vec<Part>, reply: &mut Reply<'_>) -> Outcome {
    reply.ok();
    Ok(())
}
