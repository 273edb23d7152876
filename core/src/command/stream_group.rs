//! Streams: groups and their consumers, made and removed by name.

use super::help::HELP;
use super::parse::integer;
use super::row::{Command, Example, Flags, Keys, Run, Touch};
use super::stream::{ROW as STREAM, change_stream, store_stream, strict_id};
use crate::args::Args;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::shard::Cx;
use crate::value::container::Held;
use crate::value::stream::{Stream, StreamId};

const ROW: Command = Command {
    flags: Flags::WRITE,
    touch: Touch::Insert,
    keys: Keys::Range { first: 2, last: 2, step: 1 },
    ..STREAM
};

/// This family's rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "xgroup",
    arity: -2,
    flags: Flags::NONE,
    keys: Keys::None,
    summary: "A container for consumer groups commands.",
    complexity: "Depends on subcommand.",
    run: Run::Container,
    subcommands: &[
        Command {
            name: "create",
            arity: -5,
            flags: Flags::WRITE.or(Flags::DENYOOM),
            summary: "Creates a consumer group.",
            syntax: "key group id:<id | $> [MKSTREAM] [ENTRIESREAD entries-read:integer]",
            examples: &[
                Example { call: "XGROUP CREATE mystream mygroup $ MKSTREAM", reply: "OK" },
                Example {
                    call: "XGROUP CREATE mystream mygroup $",
                    reply: "BUSYGROUP Consumer Group name already exists",
                },
            ],
            run: Run::Hop(create),
            ..ROW
        },
        Command {
            name: "createconsumer",
            arity: 5,
            flags: Flags::WRITE.or(Flags::DENYOOM),
            since: "6.2.0",
            summary: "Creates a consumer in a consumer group.",
            syntax: "key group consumer",
            examples: &[
                Example { call: "XGROUP CREATE mystream mygroup $ MKSTREAM", reply: "OK" },
                Example { call: "XGROUP CREATECONSUMER mystream mygroup Alice", reply: "1" },
            ],
            run: Run::Hop(create_consumer),
            ..ROW
        },
        Command {
            name: "delconsumer",
            arity: 5,
            touch: Touch::Delete,
            summary: "Deletes a consumer from a consumer group.",
            syntax: "key group consumer",
            examples: &[
                Example { call: "XGROUP CREATE mystream mygroup $ MKSTREAM", reply: "OK" },
                Example { call: "XGROUP DELCONSUMER mystream mygroup Alice", reply: "0" },
            ],
            run: Run::Hop(delete_consumer),
            ..ROW
        },
        Command {
            name: "destroy",
            arity: 4,
            touch: Touch::Delete,
            summary: "Destroys a consumer group.",
            complexity: "O(N) where N is the number of entries in the group's pending entries list (PEL).",
            syntax: "key group",
            examples: &[
                Example { call: "XGROUP CREATE mystream mygroup $ MKSTREAM", reply: "OK" },
                Example { call: "XGROUP DESTROY mystream mygroup", reply: "1" },
            ],
            run: Run::Hop(destroy),
            ..ROW
        },
        Command {
            name: "setid",
            arity: -5,
            touch: Touch::Change,
            summary: "Sets the last-delivered ID of a consumer group.",
            syntax: "key group id:<id | $> [ENTRIESREAD entries-read:integer]",
            examples: &[
                Example { call: "XGROUP CREATE mystream mygroup $ MKSTREAM", reply: "OK" },
                Example { call: "XGROUP SETID mystream mygroup 0", reply: "OK" },
            ],
            run: Run::Hop(set_id),
            ..ROW
        },
        Command { group: STREAM.group, since: "5.0.0", ..HELP },
    ],
    ..ROW
}];

const NO_STREAM: Failure = Failure::new(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an \
     empty stream automatically.",
);

/// `NOGROUP No such consumer group 'g' for key name 'k'`
pub(super) fn no_group_of_key(key: &[u8], group: &[u8]) -> Failure {
    let (key, group) = (String::from_utf8_lossy(key), String::from_utf8_lossy(group));
    Failure::text(format!("NOGROUP No such consumer group '{group}' for key name '{key}'"))
}

/// What stands behind the id of CREATE and SETID.
#[derive(Clone, Copy, Debug, Default)]
struct Options {
    makes_stream: bool,
    entries_read: Option<u64>,
}

impl Options {
    fn parse(args: Args<'_>, may_make: bool) -> Result<Options, Failure> {
        let mut options = Options::default();
        let mut n = 5;
        while n < args.len() {
            if may_make && args.is(n, "mkstream") {
                options.makes_stream = true;
                n += 1;
            } else if args.is(n, "entriesread") && n + 1 < args.len() {
                let read = integer(args.at(n + 1))?;
                if read < -1 {
                    return Err(Failure::new("ERR value for ENTRIESREAD must be positive or -1"));
                }
                options.entries_read = u64::try_from(read).ok();
                n += 2;
            } else {
                return Err(wrong_subcommand(args));
            }
        }
        Ok(options)
    }
}

/// What Redis says to words that a subcommand does not know.
pub(super) fn wrong_subcommand(args: Args<'_>) -> Failure {
    let (name, word) = (String::from_utf8_lossy(args.at(0)), String::from_utf8_lossy(args.at(1)));
    let (name, word): (String, String) = (name.to_uppercase(), word.chars().take(128).collect());
    Failure::text(format!(
        "ERR unknown subcommand or wrong number of arguments for '{word}'. Try {name} HELP."
    ))
}

/// The id from which a group reads on.
fn position(word: &[u8], stream: &Stream) -> Result<StreamId, Failure> {
    if word == b"$" { Ok(stream.last_id()) } else { strict_id(word, 0) }
}

/// The same for a group that is there, which may be set to the ends of all ids.
fn new_position(word: &[u8], stream: &Stream) -> Result<StreamId, Failure> {
    match word {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        word => position(word, stream),
    }
}

fn create(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    const BUSY: Failure = Failure::new("BUSYGROUP Consumer Group name already exists");
    let options = Options::parse(args, true)?;
    let key = cx.key(args, 0);
    let create = |stream: &mut Stream| {
        let id = position(args.at(4), stream)?;
        match stream.add_group(args.at(3), id, options.entries_read) {
            true => Ok(((), true)),
            false => Err(BUSY),
        }
    };
    if change_stream(cx, key, create)?.is_none() {
        if !options.makes_stream {
            return Err(NO_STREAM);
        }
        let mut stream = Stream::default();
        create(&mut stream)?;
        store_stream(cx, key, stream);
    }
    reply.ok();
    Ok(())
}

/// Lets `change` work on the stream, which must be there, and have the group.
fn change<R>(
    cx: &mut Cx<'_>,
    args: Args<'_>,
    change: impl FnOnce(&mut Stream, &[u8]) -> Result<(R, bool), Failure>,
) -> Result<R, Failure> {
    let (key, group) = (cx.key(args, 0), args.at(3));
    let changed = change_stream(cx, key, |stream| match stream.group(group) {
        None => Err(no_group_of_key(key.bytes, group)),
        Some(_) => change(stream, group),
    })?;
    changed.ok_or(NO_STREAM)
}

fn set_id(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let options = Options::parse(args, false)?;
    change(cx, args, |stream, group| {
        let id = new_position(args.at(4), stream)?;
        stream.change_group(group, |group| {
            group.last_id = id;
            group.entries_read = options.entries_read;
        });
        Ok(((), true))
    })?;
    reply.ok();
    Ok(())
}

fn destroy(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let destroyed = change_stream(cx, cx.key(args, 0), |stream| {
        let removed = stream.remove_group(args.at(3));
        let is_changed = removed.is_some();
        Ok((removed, is_changed))
    })?;
    let removed = destroyed.ok_or(NO_STREAM)?;
    reply.integer(i64::from(removed.is_some()));
    if let Some(removed) = removed {
        cx.discard(removed.contained());
    }
    Ok(())
}

fn create_consumer(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let now = cx.clock.0;
    let made = change(cx, args, |stream, group| {
        let is_there = stream.group(group).is_some_and(|group| group.find(args.at(4)).is_some());
        if !is_there {
            stream.change_group(group, |group| group.see(args.at(4), now));
        }
        Ok((!is_there, !is_there))
    })?;
    reply.integer(i64::from(made));
    Ok(())
}

fn delete_consumer(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let pending = change(cx, args, |stream, group| {
        let pending = stream.change_group(group, |group| group.remove(args.at(4))).flatten();
        Ok((pending.unwrap_or(0), pending.is_some()))
    })?;
    reply.count(pending);
    Ok(())
}
