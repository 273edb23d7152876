//! Modules. There are none, and none can be loaded; clients that ask are told so.

use super::help::HELP;
use super::row::{Command, Example, Flags, Group, Run};
use crate::args::Args;
use crate::node::Local;
use crate::protocol::reply::{Failure, Outcome, Reply};

const ROW: Command = Command {
    group: Group::Server,
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::NO_MULTI),
    since: "4.0.0",
    ..Command::DEFAULT
};

/// This family's rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "module",
    arity: -2,
    summary: "A container for module commands.",
    subcommands: &[
        Command { group: Group::Server, since: "5.0.0", ..HELP },
        Command {
            name: "list",
            arity: 2,
            summary: "Returns all loaded modules: none.",
            examples: &[Example { call: "MODULE LIST", reply: "" }],
            run: Run::Local(|_, _, reply| {
                reply.array(0);
                Ok(())
            }),
            ..ROW
        },
        Command {
            name: "load",
            arity: -3,
            summary: "Would load a module.",
            syntax: "path [arg [arg ...]]",
            run: Run::Local(refuse),
            ..ROW
        },
        Command {
            name: "loadex",
            arity: -3,
            since: "7.0.0",
            summary: "Would load a module with configuration.",
            syntax: "path [CONFIG name value] [ARGS [arg ...]]",
            run: Run::Local(refuse),
            ..ROW
        },
        Command {
            name: "unload",
            arity: 3,
            summary: "Would unload a module.",
            syntax: "name",
            run: Run::Local(|_, _, _| {
                Err(Failure::new("ERR Error unloading module: no such module with that name"))
            }),
            ..ROW
        },
    ],
    ..ROW
}];

fn refuse(_: &mut Local<'_>, _: Args<'_>, _: &mut Reply<'_>) -> Outcome {
    Err(Failure::new("ERR Error loading the extension. Modules are not supported."))
}
