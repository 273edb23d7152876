//! The connection itself: greeting, password, database, farewell.

use super::parse::integer;
use super::row::{Command, Example, Flags, Group, Run};
use super::table::CommandId;
use crate::args::Args;
use crate::node::Local;
use crate::protocol::reply::{Failure, Outcome, Reply, Resp};
use crate::session::{Closing, ReplyMode, Session};

const ANYTIME: Flags = Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::FAST);
const ROW: Command = Command { group: Group::Connection, ..Command::DEFAULT };

/// True for the command that chooses a database.
pub fn is_select(id: CommandId) -> bool {
    id.row().name == "select"
}

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "ping",
        arity: -1,
        flags: Flags::FAST.or(Flags::HEALTH),
        summary: "Returns the server's liveliness response.",
        syntax: "[message]",
        examples: &[Example { call: "PING", reply: "PONG" }, Example { call: "PING hello", reply: "hello" }],
        run: Run::Local(ping),
        ..ROW
    },
    Command {
        name: "echo",
        arity: 2,
        flags: Flags::LOADING.or(Flags::STALE).or(Flags::FAST),
        summary: "Returns the given string.",
        syntax: "message",
        examples: &[Example { call: "ECHO \"Hello World!\"", reply: "Hello World!" }],
        run: Run::Local(|_, args, reply| {
            reply.bulk(args.at(1));
            Ok(())
        }),
        ..ROW
    },
    Command {
        name: "quit",
        arity: -1,
        flags: ANYTIME.or(Flags::NO_AUTH).or(Flags::AT_ONCE),
        summary: "Closes the connection.",
        run: Run::Local(|local, _, reply| {
            local.session.close(Closing::AfterReplies);
            reply.ok();
            Ok(())
        }),
        ..ROW
    },
    Command {
        name: "select",
        arity: 2,
        flags: Flags::LOADING.or(Flags::STALE).or(Flags::FAST),
        summary: "Changes the selected database.",
        syntax: "index:integer",
        examples: &[
            Example { call: "SELECT 1", reply: "OK" },
            Example { call: "SELECT 99", reply: "ERR DB index is out of range" },
            Example { call: "SELECT 0", reply: "OK" },
        ],
        other_database: |args| u16::try_from(super::parse::integer(args.at(1)).ok()?).ok(),
        run: Run::Local(select),
        ..ROW
    },
    Command {
        name: "auth",
        arity: -2,
        flags: ANYTIME.or(Flags::NO_AUTH).or(Flags::SKIP_MONITOR).or(Flags::SKIP_SLOWLOG),
        summary: "Authenticates the connection.",
        syntax: "[username] password",
        run: Run::Local(auth),
        ..ROW
    },
    Command {
        name: "hello",
        arity: -1,
        since: "6.0.0",
        flags: ANYTIME.or(Flags::NO_AUTH).or(Flags::SKIP_MONITOR).or(Flags::SKIP_SLOWLOG),
        summary: "Handshakes with the server: chooses the protocol, and may authenticate and name the client.",
        syntax: "[protover:integer [AUTH username password] [SETNAME clientname]]",
        examples: &[Example { call: "HELLO 4", reply: "NOPROTO unsupported protocol version" }],
        run: Run::Local(hello),
        ..ROW
    },
    Command {
        name: "reset",
        arity: 1,
        since: "6.2.0",
        flags: ANYTIME.or(Flags::NO_AUTH).or(Flags::AT_ONCE),
        summary: "Resets the connection.",
        examples: &[Example { call: "RESET", reply: "RESET" }],
        run: Run::Local(reset),
        ..ROW
    },
];

fn ping(_: &mut Local<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    match args.len() {
        1 => reply.simple("PONG"),
        2 => reply.bulk(args.at(1)),
        _ => return Err(Failure::new("ERR wrong number of arguments for 'ping' command")),
    }
    Ok(())
}

fn select(local: &mut Local<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let number =
        integer(args.at(1)).map_err(|_| Failure::new("ERR value is not an integer or out of range"))?;
    let database = u16::try_from(number)
        .ok()
        .filter(|&number| number < local.node.settings.databases)
        .ok_or(Failure::new("ERR DB index is out of range"))?;
    local.session.database = database;
    reply.ok();
    Ok(())
}

const WRONG_PASS: Failure = Failure::new("WRONGPASS invalid username-password pair or user is disabled.");

/// There is one user, `default`; without a password everybody is it, and any password will do.
fn authenticate(local: &mut Local<'_>, user: &[u8], password: &[u8]) -> Outcome {
    let required = local.node.settings.requirepass.as_bytes();
    if user != b"default" || !(required.is_empty() || same(required, password)) {
        return Err(WRONG_PASS);
    }
    local.session.authenticated = true;
    Ok(())
}

/// Compares in a time that does not tell where the difference is.
pub(crate) fn same(required: &[u8], given: &[u8]) -> bool {
    let differ = required.iter().enumerate().fold(required.len() ^ given.len(), |all, (n, byte)| {
        all | usize::from(byte ^ given.get(n).copied().unwrap_or(!byte))
    });
    differ == 0
}

fn auth(local: &mut Local<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    match args.len() {
        2 => {
            if local.node.settings.requirepass.is_empty() {
                return Err(Failure::new(
                    "ERR AUTH <password> called without any password configured for the default user. \
                     Are you sure your configuration is correct?",
                ));
            }
            authenticate(local, b"default", args.at(1))?;
        }
        3 => authenticate(local, args.at(1), args.at(2))?,
        _ => return Err(Failure::SYNTAX),
    }
    reply.ok();
    Ok(())
}

/// True for bytes that a client's name may have: printable and no space, so that CLIENT LIST stays readable.
pub(super) fn is_plain(name: &[u8]) -> bool {
    name.iter().all(|byte| (b'!'..=b'~').contains(byte))
}

fn hello(local: &mut Local<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut resp = local.session.resp;
    let mut name = None;
    let mut credentials = None;
    if let Some(version) = args.get(1) {
        resp = match integer(version) {
            Ok(2) => Resp::V2,
            Ok(3) => Resp::V3,
            Ok(_) => return Err(Failure::new("NOPROTO unsupported protocol version")),
            Err(_) => {
                return Err(Failure::new("ERR Protocol version is not an integer or out of range"));
            }
        };
    }
    let mut n = 2;
    while n < args.len() {
        if args.is(n, "auth") && n + 2 < args.len() {
            credentials = Some((args.at(n + 1), args.at(n + 2)));
            n += 3;
        } else if args.is(n, "setname") && n + 1 < args.len() {
            name = Some(args.at(n + 1));
            if !is_plain(args.at(n + 1)) {
                return Err(BAD_NAME);
            }
            n += 2;
        } else {
            let word = String::from_utf8_lossy(args.at(n));
            return Err(Failure::text(format!("ERR Syntax error in HELLO option '{word}'")));
        }
    }
    if let Some((user, password)) = credentials {
        authenticate(local, user, password)?;
    }
    if !local.session.authenticated {
        return Err(Failure::new(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> \
             <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
        ));
    }
    if let Some(name) = name {
        local.session.name = name.to_vec();
    }
    local.session.resp = resp;
    reply.switch(resp);
    greet(local.session, reply);
    Ok(())
}

pub(super) const BAD_NAME: Failure =
    Failure::new("ERR Client names cannot contain spaces, newlines or special characters.");

/// What clients expect of a server that speaks like Redis 7.
fn greet(session: &Session, reply: &mut Reply<'_>) {
    reply.map(7);
    reply.text("server");
    reply.text("redis");
    reply.text("version");
    reply.text(crate::COMPATIBLE_VERSION);
    reply.text("proto");
    reply.integer(if session.resp == Resp::V3 { 3 } else { 2 });
    reply.text("id");
    reply.integer(session.id.0 as i64);
    reply.text("mode");
    reply.text("standalone");
    reply.text("role");
    reply.text("master");
    reply.text("modules");
    reply.array(0);
}

fn reset(local: &mut Local<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let session = &mut *local.session;
    local.node.unlisten(std::mem::take(&mut session.listens));
    session.queued = None;
    local.node.unwatch(session);
    session.name.clear();
    session.resp = Resp::V2;
    session.database = 0;
    session.reply_mode = ReplyMode::On;
    session.no_evict = false;
    session.no_touch = false;
    session.authenticated = local.node.settings.requirepass.is_empty();
    reply.switch(Resp::V2);
    reply.simple("RESET");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_compared_whole() {
        assert!(same(b"secret", b"secret"));
        for wrong in ["", "secre", "secrets", "Secret", "xxxxxx"] {
            assert!(!same(b"secret", wrong.as_bytes()), "{wrong}");
        }
    }
}
