//! Strings under several keys at once.

use super::parse::{self, TimeUnit, integer};
use super::row::{Command, Example, Flags, Group, Keys, Run, Touch};
use super::string::reply_view;
use crate::args::Args;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::shard::{Cx, Deadline};
use crate::value::record::Value;

const PAIRS: Keys = Keys::Range { first: 1, last: -1, step: 2 };
const WRITE: Flags = Flags::WRITE.or(Flags::DENYOOM);
const ROW: Command =
    Command { group: Group::String, touch: Touch::Overwrite, flags: WRITE, ..Command::DEFAULT };

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "mget",
        arity: -2,
        flags: Flags::READONLY.or(Flags::FAST),
        keys: Keys::ALL,
        touch: Touch::Read,
        summary: "Atomically returns the string values of one or more keys.",
        complexity: "O(N) where N is the number of keys to retrieve",
        syntax: "key [key ...]",
        examples: &[
            Example { call: "SET {a}1 Hello", reply: "OK" },
            Example { call: "MGET {a}1 {a}nosuch", reply: "Hello\n" },
        ],
        run: Run::Hop(mget),
        ..ROW
    },
    Command {
        name: "mset",
        arity: -3,
        keys: PAIRS,
        since: "1.0.1",
        summary: "Atomically creates or modifies the string values of one or more keys.",
        complexity: "O(N) where N is the number of keys to set",
        syntax: "key value [key value ...]",
        examples: &[
            Example { call: "MSET {a}1 Hello {a}2 World", reply: "OK" },
            Example { call: "GET {a}2", reply: "World" },
        ],
        run: Run::Hop(mset),
        ..ROW
    },
    Command {
        name: "msetnx",
        arity: -3,
        keys: PAIRS,
        since: "1.0.1",
        summary: "Atomically modifies the string values of one or more keys only when all keys don't exist.",
        complexity: "O(N) where N is the number of keys to set",
        syntax: "key value [key value ...]",
        examples: &[
            Example { call: "MSETNX {a}1 Hello {a}2 there", reply: "1" },
            Example { call: "MSETNX {a}2 new {a}3 world", reply: "0" },
        ],
        run: Run::Hop(msetnx),
        ..ROW
    },
    Command {
        name: "msetex",
        arity: -4,
        keys: Keys::Counted { count: 1, step: 2 },
        since: "8.4.0",
        flags: WRITE.or(Flags::MOVABLE_KEYS),
        summary: "Atomically sets multiple string keys with a shared expiration in a single operation.",
        complexity: "O(N) where N is the number of keys to set",
        syntax: "numkeys:integer key value [key value ...] [NX | XX] \
                 [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
        examples: &[
            Example { call: "MSETEX 2 {a}1 Hello {a}2 World EX 10", reply: "1" },
            Example { call: "TTL {a}2", reply: "10" },
        ],
        run: Run::Hop(msetex),
        ..ROW
    },
];

fn mget(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.array(cx.keys.len());
    for n in 0..cx.keys.len() {
        // A value of another type is as good as none.
        match cx.read_string(cx.key(args, n)) {
            Ok(Some(view)) => reply_view(view, reply),
            Ok(None) | Err(_) => reply.null(),
        }
    }
    Ok(())
}

fn check_pairs(args: Args<'_>, name: &str) -> Outcome {
    if args.len().is_multiple_of(2) {
        return Err(Failure::text(format!("ERR wrong number of arguments for '{name}' command")));
    }
    Ok(())
}

fn store_all(cx: &mut Cx<'_>, args: Args<'_>, deadline: Deadline) {
    for n in 0..cx.keys.len() {
        let value = args.at(cx.keys[n].place as usize + 1);
        cx.store(cx.key(args, n), Value::of(value), deadline);
    }
}

fn living(cx: &mut Cx<'_>, args: Args<'_>) -> usize {
    (0..cx.keys.len()).filter(|&n| cx.peek(cx.key(args, n)).is_some()).count()
}

fn mset(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    check_pairs(args, "mset")?;
    store_all(cx, args, Deadline::Clear);
    reply.ok();
    Ok(())
}

fn msetnx(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    check_pairs(args, "msetnx")?;
    let absent = living(cx, args) == 0;
    if absent {
        store_all(cx, args, Deadline::Clear);
    }
    reply.integer(i64::from(absent));
    Ok(())
}

fn msetex(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let count = integer(args.at(1)).ok().filter(|&n| n > 0 && n <= i64::from(i32::MAX));
    let count = count.ok_or(Failure::new("ERR invalid numkeys value"))? as usize;
    if cx.keys.len() != count {
        return Err(Failure::new("ERR wrong number of key-value pairs"));
    }
    let (mut only_absent, mut only_present) = (false, false);
    let mut deadline = None;
    let mut n = 2 + 2 * count;
    while n < args.len() {
        let unconditional = !only_absent && !only_present;
        if args.is(n, "nx") && unconditional {
            only_absent = true;
        } else if args.is(n, "xx") && unconditional {
            only_present = true;
        } else if args.is(n, "keepttl") && deadline.is_none() {
            deadline = Some(Deadline::Keep);
        } else if let (None, Some(unit), Some(word)) =
            (deadline, TimeUnit::of_option(args, n), args.get(n + 1))
        {
            deadline = Some(Deadline::At(parse::deadline(word, unit, cx.now, "msetex")?));
            n += 1;
        } else {
            return Err(Failure::SYNTAX);
        }
        n += 1;
    }
    let holds = match (only_absent, only_present) {
        (true, _) => living(cx, args) == 0,
        (_, true) => living(cx, args) == count,
        _ => true,
    };
    if holds {
        store_all(cx, args, deadline.unwrap_or(Deadline::Clear));
    }
    reply.integer(i64::from(holds));
    Ok(())
}
