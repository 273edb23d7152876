//! Strings that are numbers: counters.

use super::parse::{float, integer};
use super::row::{Command, Example, Flags, Group, Keys, Run, Touch};
use crate::args::Args;
use crate::protocol::number::plain_text;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::protocol::request::parse_integer;
use crate::shard::{Cx, Deadline};
use crate::value::record::{Value, View};

const ROW: Command = Command {
    group: Group::String,
    keys: Keys::ONE,
    touch: Touch::Update,
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    ..Command::DEFAULT
};

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "incr",
        arity: 2,
        summary: "Increments the integer value of a key by one. Uses 0 as initial value if the key doesn't exist.",
        syntax: "key",
        examples: &[
            Example { call: "SET mykey 10", reply: "OK" },
            Example { call: "INCR mykey", reply: "11" },
        ],
        run: Run::Hop(|cx, args, reply| add(cx, args, 1, reply)),
        ..ROW
    },
    Command {
        name: "decr",
        arity: 2,
        summary: "Decrements the integer value of a key by one. Uses 0 as initial value if the key doesn't exist.",
        syntax: "key",
        examples: &[
            Example { call: "SET mykey 10", reply: "OK" },
            Example { call: "DECR mykey", reply: "9" },
        ],
        run: Run::Hop(|cx, args, reply| add(cx, args, -1, reply)),
        ..ROW
    },
    Command {
        name: "incrby",
        arity: 3,
        summary: "Increments the integer value of a key by a number. Uses 0 as initial value if the key doesn't exist.",
        syntax: "key increment:integer",
        examples: &[
            Example { call: "SET mykey 10", reply: "OK" },
            Example { call: "INCRBY mykey 5", reply: "15" },
        ],
        run: Run::Hop(|cx, args, reply| add(cx, args, integer(args.at(2))?, reply)),
        ..ROW
    },
    Command {
        name: "decrby",
        arity: 3,
        summary: "Decrements a number from the integer value of a key. Uses 0 as initial value if the key doesn't exist.",
        syntax: "key decrement:integer",
        examples: &[
            Example { call: "SET mykey 10", reply: "OK" },
            Example { call: "DECRBY mykey 3", reply: "7" },
        ],
        run: Run::Hop(|cx, args, reply| {
            let by =
                integer(args.at(2))?.checked_neg().ok_or(Failure::new("ERR decrement would overflow"))?;
            add(cx, args, by, reply)
        }),
        ..ROW
    },
    Command {
        name: "incrbyfloat",
        arity: 3,
        since: "2.6.0",
        summary: "Increments the floating point value of a key by a number. Uses 0 as initial value if the key doesn't exist.",
        syntax: "key increment:double",
        examples: &[
            Example { call: "SET mykey 10.50", reply: "OK" },
            Example { call: "INCRBYFLOAT mykey 0.1", reply: "10.6" },
            Example { call: "INCRBYFLOAT mykey -5", reply: "5.6" },
            Example { call: "SET mykey 5.0e3", reply: "OK" },
            Example { call: "INCRBYFLOAT mykey 2.0e2", reply: "5200" },
        ],
        run: Run::Hop(incrbyfloat),
        ..ROW
    },
];

fn add(cx: &mut Cx<'_>, args: Args<'_>, by: i64, reply: &mut Reply<'_>) -> Outcome {
    let key = cx.key(args, 0);
    let value = match cx.peek_string(key)? {
        None => {
            cx.store(key, Value::Integer(by), Deadline::Clear);
            reply.integer(by);
            return Ok(());
        }
        Some(View::Integer(value)) => value,
        Some(other) => other.with(parse_integer).ok_or(Failure::NOT_INTEGER)?,
    };
    let next = value.checked_add(by).ok_or(Failure::new("ERR increment or decrement would overflow"))?;
    cx.change(key, |record| record.set_value(Value::Integer(next)));
    reply.integer(next);
    Ok(())
}

/// Redis adds as `long double`; doubles here, written with 17 digits cut to what reads the same.
fn incrbyfloat(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = cx.key(args, 0);
    let value = match cx.peek_string(key)? {
        None => 0.0,
        Some(view) => view.with(float)?,
    };
    let next = value + float(args.at(2))?;
    if !next.is_finite() {
        return Err(Failure::new("ERR increment would produce NaN or Infinity"));
    }
    let text = plain_text(next);
    cx.store(key, Value::of(text.as_bytes()), Deadline::Keep);
    reply.text(&text);
    Ok(())
}
