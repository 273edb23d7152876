//! CLIENT: what a connection says of itself and of others.
//!
//! | file | knows |
//! |---|---|
//! | `mod.rs` | the container, and what concerns the calling client alone |
//! | `list.rs` | the line that describes a client: INFO, LIST |
//! | `kill.rs` | ending connections |
//! | `pause.rs` | holding all of them |
//! | `tracking.rs` | client-side caching, as far as it goes |

mod kill;
mod list;
mod pause;
mod tracking;

use super::connection::{BAD_NAME, is_plain};
use super::help::HELP;
use super::parse::integer;
use super::row::{Command, Example, Flags, Group, Run};
use crate::args::Args;
use crate::node::{Asked, Local};
use crate::part::Part;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::session::{ReplyMode, Session};

const OPEN: Flags = Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE);
const ADMIN: Flags = OPEN.or(Flags::ADMIN);
const ROW: Command = Command { group: Group::Connection, flags: OPEN, ..Command::DEFAULT };

/// This family's rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "client",
    arity: -2,
    flags: Flags::NONE,
    since: "2.4.0",
    summary: "A container for client connection commands.",
    complexity: "Depends on subcommand.",
    run: Run::Container,
    subcommands: &[
        Command {
            name: "id",
            arity: 2,
            since: "5.0.0",
            summary: "Returns the unique client ID of the connection.",
            examples: &[Example { call: "CLIENT ID", reply: "*" }],
            run: Run::Local(|local, _, reply| {
                reply.integer(local.session.id.0 as i64);
                Ok(())
            }),
            ..ROW
        },
        list::INFO,
        list::LIST,
        Command {
            name: "getname",
            arity: 2,
            since: "2.6.9",
            summary: "Returns the name of the connection.",
            examples: &[Example { call: "CLIENT GETNAME", reply: "" }],
            run: Run::Local(get_name),
            ..ROW
        },
        Command {
            name: "setname",
            arity: 3,
            since: "2.6.9",
            summary: "Sets the connection name.",
            syntax: "connection-name",
            examples: &[
                Example { call: "CLIENT SETNAME myname", reply: "OK" },
                Example {
                    call: "CLIENT SETNAME \"my name\"",
                    reply: "ERR Client names cannot contain spaces, newlines or special characters.",
                },
            ],
            run: Run::Local(set_name),
            ..ROW
        },
        Command {
            name: "setinfo",
            arity: 4,
            since: "7.2.0",
            summary: "Sets information specific to the client or connection.",
            syntax: "LIB-NAME libname | LIB-VER libver",
            examples: &[
                Example { call: "CLIENT SETINFO LIB-NAME mylib", reply: "OK" },
                Example { call: "CLIENT SETINFO LIB-VER 1.2.3", reply: "OK" },
            ],
            run: Run::Local(set_info),
            ..ROW
        },
        kill::KILL,
        pause::PAUSE,
        pause::UNPAUSE,
        Command {
            name: "reply",
            arity: 3,
            since: "3.2.0",
            summary: "Instructs the server whether to reply to commands.",
            syntax: "ON | OFF | SKIP",
            examples: &[Example { call: "CLIENT REPLY ON", reply: "OK" }],
            run: Run::Local(reply_mode),
            ..ROW
        },
        Command {
            name: "no-evict",
            arity: 3,
            flags: ADMIN,
            since: "7.0.0",
            summary: "Sets the client eviction mode of the connection.",
            syntax: "ON | OFF",
            examples: &[Example { call: "CLIENT NO-EVICT ON", reply: "OK" }],
            run: Run::Local(|local, args, reply| switch(args, &mut local.session.no_evict, reply)),
            ..ROW
        },
        Command {
            name: "no-touch",
            arity: 3,
            since: "7.2.0",
            summary: "Controls whether commands sent by the client affect the LRU/LFU of accessed keys.",
            syntax: "ON | OFF",
            examples: &[
                Example { call: "CLIENT NO-TOUCH ON", reply: "OK" },
                Example { call: "CLIENT NO-TOUCH OFF", reply: "OK" },
            ],
            run: Run::Local(|local, args, reply| switch(args, &mut local.session.no_touch, reply)),
            ..ROW
        },
        Command {
            name: "capa",
            arity: -3,
            since: "8.0.0",
            summary: "Tells the server what the client is capable of.",
            syntax: "capability [capability ...]",
            examples: &[Example { call: "CLIENT CAPA redirect", reply: "OK" }],
            // Nothing here asks for a capability yet; unknown ones are to be ignored.
            run: Run::Local(|_, _, reply| {
                reply.ok();
                Ok(())
            }),
            ..ROW
        },
        tracking::GETREDIR,
        tracking::CACHING,
        tracking::TRACKING,
        tracking::TRACKINGINFO,
        Command {
            name: "unblock",
            arity: -3,
            flags: ADMIN,
            since: "5.0.0",
            complexity: "O(log N) where N is the number of client connections",
            summary: "Unblocks a client blocked by a blocking command from a different connection.",
            syntax: "client-id:integer [TIMEOUT | ERROR]",
            examples: &[Example { call: "CLIENT UNBLOCK 999999", reply: "0" }],
            run: Run::Gather { whole: None, check: check_unblock, part: unblock, merge: unblocked },
            ..ROW
        },
        Command { group: Group::Connection, since: "5.0.0", ..HELP },
    ],
    ..ROW
}];

fn get_name(local: &mut Local<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    match local.session.name.is_empty() {
        true => reply.null(),
        false => reply.bulk(&local.session.name),
    }
    Ok(())
}

fn set_name(local: &mut Local<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    if !is_plain(args.at(2)) {
        return Err(BAD_NAME);
    }
    local.session.name = args.at(2).to_vec();
    reply.ok();
    Ok(())
}

fn set_info(local: &mut Local<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (option, value) = (String::from_utf8_lossy(args.at(2)), args.at(3));
    let field = if args.is(2, "lib-name") {
        &mut local.session.library_name
    } else if args.is(2, "lib-ver") {
        &mut local.session.library_version
    } else {
        return Err(Failure::text(format!("ERR Unrecognized option '{option}'")));
    };
    if !is_plain(value) {
        return Err(Failure::text(format!(
            "ERR {option} cannot contain spaces, newlines or special characters."
        )));
    }
    *field = value.to_vec();
    reply.ok();
    Ok(())
}

fn reply_mode(local: &mut Local<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let session = &mut *local.session;
    if args.is(2, "on") {
        session.reply_mode = ReplyMode::On;
        reply.ok();
    } else if args.is(2, "off") {
        session.reply_mode = ReplyMode::Off;
    } else if !args.is(2, "skip") {
        return Err(Failure::SYNTAX);
    } else if session.reply_mode != ReplyMode::Off {
        session.reply_mode = ReplyMode::SkipNext;
    }
    Ok(())
}

/// Argument 2, `ON` or `OFF`.
fn on_off(args: Args<'_>) -> Result<bool, Failure> {
    match (args.is(2, "on"), args.is(2, "off")) {
        (true, _) => Ok(true),
        (_, true) => Ok(false),
        _ => Err(Failure::SYNTAX),
    }
}

fn switch(args: Args<'_>, which: &mut bool, reply: &mut Reply<'_>) -> Outcome {
    *which = on_off(args)?;
    reply.ok();
    Ok(())
}

fn check_unblock(_: &mut Local<'_>, args: Args<'_>) -> Outcome {
    match args.len() {
        3 => {}
        4 if args.is(3, "timeout") || args.is(3, "error") => {}
        4 => return Err(Failure::new("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
        _ => return Err(Failure::SYNTAX),
    }
    integer(args.at(2)).map(drop)
}

/// The core of the client that waits ends its wait.
fn unblock(asked: &mut Asked<'_>, args: Args<'_>) -> Part {
    let id = integer(args.at(2)).unwrap_or(0);
    let waits = |session: &&Session| {
        session.id.0 as i64 == id
            && session.blocked.as_ref().is_some_and(|blocked| blocked.may_be_unblocked())
    };
    let found = asked.sessions.iter().find(waits).map(|session| session.conn);
    if let Some(conn) = found {
        asked.unblock(conn, args.is(3, "error"));
    }
    Part::Count(u64::from(found.is_some()))
}

fn unblocked(_: &mut Local<'_>, _: Args<'_>, parts: Vec<Part>, reply: &mut Reply<'_>) -> Outcome {
    reply.integer(Part::total(&parts));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    fn check(calls: &[(&str, &str)]) {
        let mut world = World::new(1);
        let client = world.connect(0);
        for (call, reply) in calls {
            assert_eq!(world.call(client, call), *reply, "{call}");
        }
    }

    #[test]
    fn a_client_has_a_name_and_a_library() {
        check(&[
            ("CLIENT ID", ":1\r\n"),
            ("CLIENT GETNAME", "$-1\r\n"),
            (
                "CLIENT SETNAME \"a b\"",
                "-ERR Client names cannot contain spaces, newlines or special characters.\r\n",
            ),
            ("CLIENT SETNAME worker:1", "+OK\r\n"),
            ("CLIENT GETNAME", "$8\r\nworker:1\r\n"),
            (
                "CLIENT SETINFO lib-name 'a b'",
                "-ERR lib-name cannot contain spaces, newlines or special characters.\r\n",
            ),
            ("CLIENT SETINFO foo bar", "-ERR Unrecognized option 'foo'\r\n"),
            ("CLIENT SETNAME ''", "+OK\r\n"),
            ("CLIENT GETNAME", "$-1\r\n"),
            ("CLIENT FOO", "-ERR unknown subcommand 'FOO'. Try CLIENT HELP.\r\n"),
            ("CLIENT", "-ERR wrong number of arguments for 'client' command\r\n"),
            ("CLIENT ID x", "-ERR wrong number of arguments for 'client|id' command\r\n"),
            ("CLIENT NO-EVICT maybe", "-ERR syntax error\r\n"),
            ("CLIENT UNBLOCK 5 foo", "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR\r\n"),
            ("CLIENT UNBLOCK x", "-ERR value is not an integer or out of range\r\n"),
        ]);
    }

    #[test]
    fn silence_lasts_as_long_as_it_was_asked_for() {
        check(&[
            ("CLIENT REPLY SKIP", ""),
            ("PING", ""),
            ("PING", "+PONG\r\n"),
            ("CLIENT REPLY SKIP", ""),
            ("CLIENT REPLY SKIP", ""),
            ("PING", ""),
            ("PING", "+PONG\r\n"),
            ("CLIENT REPLY OFF", ""),
            ("CLIENT REPLY SKIP", ""),
            ("DBSIZE", ""),
            ("NOSUCH", ""),
            ("CLIENT REPLY ON", "+OK\r\n"),
            ("DBSIZE", ":0\r\n"),
            ("CLIENT REPLY sometimes", "-ERR syntax error\r\n"),
        ]);
    }
}
