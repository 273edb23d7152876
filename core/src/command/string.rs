//! Strings: reading and changing one value.

use std::sync::Arc;

use super::parse::{self, TimeUnit, integer, range};
use super::row::{Command, Example, Flags, Group, Keys, Run, Touch};
use crate::args::Args;
use crate::database::Key;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::shard::{Cx, Deadline};
use crate::value::record::{EMBEDDED_MAX, Record, Value, View};

const ROW: Command = Command { group: Group::String, keys: Keys::ONE, ..Command::DEFAULT };

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "get",
        arity: 2,
        flags: Flags::READONLY.or(Flags::FAST),
        summary: "Returns the string value of a key.",
        syntax: "key",
        examples: &[
            Example { call: "GET nosuch", reply: "" },
            Example { call: "SET mykey Hello", reply: "OK" },
            Example { call: "GET mykey", reply: "Hello" },
        ],
        run: Run::Hop(get),
        ..ROW
    },
    Command {
        name: "getset",
        arity: 3,
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        touch: Touch::Overwrite,
        summary: "Returns the previous string value of a key after setting it to a new value.",
        syntax: "key value",
        examples: &[
            Example { call: "SET mykey Hello", reply: "OK" },
            Example { call: "GETSET mykey World", reply: "Hello" },
            Example { call: "GET mykey", reply: "World" },
        ],
        run: Run::Hop(getset),
        ..ROW
    },
    Command {
        name: "getdel",
        arity: 2,
        flags: Flags::WRITE.or(Flags::FAST),
        touch: Touch::Delete,
        since: "6.2.0",
        summary: "Returns the string value of a key after deleting the key.",
        syntax: "key",
        examples: &[
            Example { call: "SET mykey Hello", reply: "OK" },
            Example { call: "GETDEL mykey", reply: "Hello" },
            Example { call: "GET mykey", reply: "" },
        ],
        run: Run::Hop(getdel),
        ..ROW
    },
    Command {
        name: "getex",
        arity: -2,
        flags: Flags::WRITE.or(Flags::FAST),
        touch: Touch::Update,
        since: "6.2.0",
        summary: "Returns the string value of a key after setting its expiration time.",
        syntax: "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]",
        examples: &[
            Example { call: "SET mykey Hello", reply: "OK" },
            Example { call: "GETEX mykey EX 60", reply: "Hello" },
            Example { call: "TTL mykey", reply: "60" },
        ],
        run: Run::Hop(getex),
        ..ROW
    },
    Command {
        name: "append",
        arity: 3,
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        touch: Touch::Update,
        since: "2.0.0",
        summary: "Appends a string to the value of a key. Creates the key if it doesn't exist.",
        complexity: "O(1) amortized",
        syntax: "key value",
        examples: &[
            Example { call: "APPEND mykey Hello", reply: "5" },
            Example { call: "APPEND mykey \" World\"", reply: "11" },
            Example { call: "GET mykey", reply: "Hello World" },
        ],
        run: Run::Hop(append),
        ..ROW
    },
    Command {
        name: "strlen",
        arity: 2,
        flags: Flags::READONLY.or(Flags::FAST),
        since: "2.2.0",
        summary: "Returns the length of a string value.",
        syntax: "key",
        examples: &[
            Example { call: "SET mykey \"Hello world\"", reply: "OK" },
            Example { call: "STRLEN mykey", reply: "11" },
            Example { call: "STRLEN nosuch", reply: "0" },
        ],
        run: Run::Hop(strlen),
        ..ROW
    },
    Command {
        name: "getrange",
        arity: 4,
        flags: Flags::READONLY,
        since: "2.4.0",
        summary: "Returns a substring of the string stored at a key.",
        complexity: "O(N) where N is the length of the returned string",
        syntax: "key start:integer end:integer",
        examples: &[
            Example { call: "SET mykey \"This is a string\"", reply: "OK" },
            Example { call: "GETRANGE mykey 0 3", reply: "This" },
            Example { call: "GETRANGE mykey -3 -1", reply: "ing" },
        ],
        run: Run::Hop(getrange),
        ..ROW
    },
    Command {
        name: "substr",
        arity: 4,
        flags: Flags::READONLY,
        summary: "Returns a substring from a string value. The old name of GETRANGE.",
        complexity: "O(N) where N is the length of the returned string",
        syntax: "key start:integer end:integer",
        examples: &[
            Example { call: "SET mykey \"This is a string\"", reply: "OK" },
            Example { call: "SUBSTR mykey 0 3", reply: "This" },
        ],
        run: Run::Hop(getrange),
        ..ROW
    },
    Command {
        name: "setrange",
        arity: 4,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        touch: Touch::Update,
        since: "2.2.0",
        summary: "Overwrites a part of a string value with another by an offset. Creates the key if it doesn't exist.",
        complexity: "O(M) where M is the length of the value argument",
        syntax: "key offset:integer value",
        examples: &[
            Example { call: "SET key1 \"Hello World\"", reply: "OK" },
            Example { call: "SETRANGE key1 6 Redis", reply: "11" },
            Example { call: "GET key1", reply: "Hello Redis" },
        ],
        run: Run::Hop(setrange),
        ..ROW
    },
];

/// Writes a value as a bulk, without copying a large one.
#[inline]
pub(super) fn reply_view(view: View<'_>, reply: &mut Reply<'_>) {
    match view {
        View::Integer(number) => reply.bulk_integer(number),
        View::Bytes(bytes) => reply.bulk(bytes),
        View::Large(buffer) => reply.bulk_shared(buffer),
    }
}

#[inline]
fn get(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    match cx.read_string(cx.key(args, 0))? {
        Some(view) => reply_view(view, reply),
        None => reply.null(),
    }
    Ok(())
}

fn getset(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    get(cx, args, reply)?;
    cx.store(cx.key(args, 0), Value::of_argument(args, 2), Deadline::Clear);
    Ok(())
}

fn getdel(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    get(cx, args, reply)?;
    cx.remove(cx.key(args, 0));
    Ok(())
}

fn getex(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let deadline = match args.len() {
        2 => Deadline::Keep,
        3 if args.is(2, "persist") => Deadline::Clear,
        4 => {
            let unit = TimeUnit::of_option(args, 2).ok_or(Failure::SYNTAX)?;
            Deadline::At(parse::deadline(args.at(3), unit, cx.clock, "getex")?)
        }
        _ => return Err(Failure::SYNTAX),
    };
    let key = cx.key(args, 0);
    get(cx, args, reply)?;
    match deadline {
        Deadline::Keep => {}
        Deadline::At(at) if cx.is_past(at) => {
            cx.remove(key);
        }
        Deadline::At(at) => {
            cx.change(key, |record| record.set_deadline(Some(at)));
        }
        Deadline::Clear => {
            if cx.peek(key).is_some_and(|record| record.deadline().is_some()) {
                cx.change(key, |record| record.set_deadline(None));
            }
        }
    }
    Ok(())
}

/// Refuses what would be longer than `proto-max-bulk-len`.
fn check_len(cx: &Cx<'_>, len: usize) -> Outcome {
    if len as u64 > cx.settings.proto_max_bulk_len {
        return Err(Failure::new("ERR string exceeds maximum allowed size (proto-max-bulk-len)"));
    }
    Ok(())
}

fn append(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, more) = (cx.key(args, 0), args.at(2));
    let Some(len) = cx.peek_string(key)?.map(|view| view.len()) else {
        cx.store(key, Value::of(more), Deadline::Clear);
        reply.count(more.len());
        return Ok(());
    };
    check_len(cx, len + more.len())?;
    cx.change(key, |record| {
        edit(record, |bytes| bytes.extend_from_slice(more));
    });
    reply.count(len + more.len());
    Ok(())
}

/// Changes a string as a buffer: in place if it has one of its own, else through a copy.
pub(crate) fn edit<R>(record: &mut Record, change: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    match record.large_mut() {
        Some(buffer) => change(buffer),
        None => {
            let mut bytes = record.string().map(|view| view.to_vec()).unwrap_or_default();
            let result = change(&mut bytes);
            record.set_value(raw(&mut bytes));
            result
        }
    }
}

/// A string that was changed; a long one is taken over.
fn raw(bytes: &mut Vec<u8>) -> Value<'_> {
    match bytes.len() > EMBEDDED_MAX {
        true => Value::Large(Arc::new(std::mem::take(bytes))),
        false => Value::Raw(bytes),
    }
}

/// Lets `change` work on the bytes of a string, where they lie if there are `len` of them already; zeroes are added where there are fewer, and
/// all are zeroes where there is no key. `change` says besides its result whether it has changed anything; added bytes are a change too.
pub(super) fn overwrite<R>(
    cx: &mut Cx<'_>,
    key: Key<'_>,
    len: usize,
    change: impl FnOnce(&mut [u8]) -> (R, bool),
) -> Result<R, Failure> {
    // The key is looked for once: mostly it is there.
    let (mut change, mut result, mut is_wrong) = (Some(change), None, false);
    cx.change_if(key, |record| {
        is_wrong = record.string().is_none();
        let change = if is_wrong { None } else { change.take() }?;
        let (found, is_changed) = match record.bytes_mut() {
            Some(bytes) if bytes.len() >= len => change(bytes),
            _ => edit(record, |bytes| {
                let is_longer = bytes.len() < len;
                bytes.resize(bytes.len().max(len), 0);
                let (found, is_changed) = change(bytes);
                (found, is_longer || is_changed)
            }),
        };
        result = Some(found);
        is_changed.then_some(())
    });
    if is_wrong {
        return Err(Failure::WRONG_TYPE);
    }
    let Some(change) = change else { return Ok(result.expect("a string that is there was changed")) };
    let mut bytes = vec![0; len];
    let (result, _) = change(&mut bytes);
    cx.store(key, raw(&mut bytes), Deadline::Clear);
    Ok(result)
}

fn strlen(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let len = cx.read_string(cx.key(args, 0))?.map_or(0, |view| view.len());
    reply.count(len);
    Ok(())
}

fn getrange(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (start, end) = (integer(args.at(2))?, integer(args.at(3))?);
    let view = cx.read_string(cx.key(args, 0))?;
    // Redis's special case: both counted from the end and crossed is empty even where clamping would meet.
    if start < 0 && end < 0 && start > end {
        reply.bulk(b"");
        return Ok(());
    }
    match view {
        Some(view) => view.with(|bytes| match range(start, end, bytes.len()) {
            Some((from, to)) => reply.bulk(&bytes[from..to]),
            None => reply.bulk(b""),
        }),
        None => reply.bulk(b""),
    }
    Ok(())
}

fn setrange(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, patch) = (cx.key(args, 0), args.at(3));
    let offset = integer(args.at(2))?;
    let offset = usize::try_from(offset).map_err(|_| Failure::new("ERR offset is out of range"))?;
    let len = cx.peek_string(key)?.map(|view| view.len());
    if patch.is_empty() {
        reply.count(len.unwrap_or(0));
        return Ok(());
    }
    let end = offset
        .checked_add(patch.len())
        .ok_or(Failure::new("ERR string exceeds maximum allowed size (proto-max-bulk-len)"))?;
    check_len(cx, end)?;
    overwrite(cx, key, end, |bytes| {
        bytes[offset..end].copy_from_slice(patch);
        ((), true)
    })?;
    reply.count(len.unwrap_or(0).max(end));
    Ok(())
}
