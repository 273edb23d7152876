//! Snapshots: SAVE, BGSAVE, LASTSAVE.

use super::row::{Command, Example, Flags, Group, Run};
use crate::args::Args;
use crate::node::{Deferred, Local};
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::snapshot::status::ToKeeper;

const ROW: Command = Command { group: Group::Server, ..Command::DEFAULT };

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "save",
        arity: 1,
        flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::NO_MULTI),
        since: "1.0.0",
        summary: "Saves the database to disk and replies when that is done. Others go on meanwhile.",
        complexity: "O(N) where N is the total number of keys in all databases",
        run: Run::Local(save),
        ..ROW
    },
    Command {
        name: "bgsave",
        arity: -1,
        flags: Flags::ADMIN.or(Flags::NOSCRIPT),
        since: "1.0.0",
        summary: "Saves the database to disk in the background.",
        complexity: "O(1)",
        syntax: "[SCHEDULE]",
        run: Run::Local(save_in_background),
        ..ROW
    },
    Command {
        name: "lastsave",
        arity: 1,
        flags: Flags::LOADING.or(Flags::STALE).or(Flags::FAST),
        since: "1.0.0",
        summary: "Returns the Unix time of the last successful save to disk.",
        complexity: "O(1)",
        examples: &[Example { call: "LASTSAVE", reply: "*" }],
        run: Run::Local(last_save),
        ..ROW
    },
];

const BUSY: Failure = Failure::new("ERR Background save already in progress");

fn save(local: &mut Local<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    if local.node.status.is_saving {
        return Err(BUSY);
    }
    local.node.status.is_saving = true;
    local.deferred = Some(Deferred::Saved);
    reply.ok();
    Ok(())
}

fn save_in_background(local: &mut Local<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    if args.len() > 2 || args.len() == 2 && !args.is(1, "schedule") {
        return Err(Failure::SYNTAX);
    }
    if local.node.status.is_saving {
        return Err(BUSY);
    }
    // Until the keeper says otherwise: a second one at once is told so.
    local.node.status.is_saving = true;
    local.node.asks.ask(ToKeeper::Save, None);
    reply.simple("Background saving started");
    Ok(())
}

fn last_save(local: &mut Local<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.integer(local.node.last_save() as i64);
    Ok(())
}
