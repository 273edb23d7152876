//! Strings under several keys at once.

use super::parse::{self, TimeUnit, integer};
use super::row::{Command, Example, Flags, Group, Keys, Merge, Next, Plan, Run, Touch};
use super::string::reply_view;
use crate::args::Args;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::shard::{Cx, Deadline};
use crate::time::UnixMillis;
use crate::txn::work::{Finding, Order};
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
        run: Run::Spread { check: |_| Ok(()), apply: mget, merge: Merge::Elements },
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
        run: Run::Spread { check: |args| check_pairs(args, "mset"), apply: mset, merge: Merge::Same },
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
        run: Run::Plan(&MSETNX),
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
        run: Run::Plan(&MSETEX),
        ..ROW
    },
];

fn mget(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.elements(cx.keys.len());
    for n in 0..cx.keys.len() {
        // A value of another type is as good as none.
        match cx.read_string(cx.key(args, n)) {
            Ok(Some(view)) => reply_view(view, reply),
            Ok(None) | Err(_) => reply.null(),
        }
        reply.element();
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
        let value = Value::of_argument(args, cx.keys[n].place as usize + 1);
        cx.store(cx.key(args, n), value, deadline);
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

/// Stores all pairs, or none if any of the keys is there.
const MSETNX: Plan = Plan {
    check: |args, _| check_pairs(args, "msetnx"),
    reads: |_| false,
    act: |cx, args, order| match order.step {
        0 => Finding::Count(living(cx, args) as u64),
        _ => {
            store_all(cx, args, Deadline::Clear);
            Finding::Nothing
        }
    },
    next: |_, step, findings, reply| store_if(step, Condition::Absent, 0, findings, reply),
};

/// Stores all pairs under a condition that all keys fulfil, with one deadline.
const MSETEX: Plan = Plan {
    check: |args, _| pairs_of_msetex(args).map(drop),
    reads: |_| false,
    act: |cx, args, order| {
        let options = match Options::parse(args, cx.clock) {
            Ok(options) => options,
            Err(failure) => return Finding::Failed(failure),
        };
        match order.step {
            0 => Finding::Count(living(cx, args) as u64),
            _ => {
                store_all(cx, args, options.deadline);
                Finding::Nothing
            }
        }
    },
    next: |args, step, findings, reply| {
        // Only the condition is wanted: each shard has judged the deadline by its own instant.
        let condition =
            Options::parse(args, UnixMillis(0)).map_or(Condition::None, |options| options.condition);
        let keys = pairs_of_msetex(args).unwrap_or(0);
        store_if(step, condition, keys, findings, reply)
    },
};

/// What must hold of all keys before any is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    None,
    Absent,
    Present,
}

/// After the first step, whether to store.
fn store_if(
    step: u8,
    condition: Condition,
    keys: usize,
    findings: Vec<Finding>,
    reply: &mut Reply<'_>,
) -> Next {
    if step > 0 {
        reply.integer(1);
        return Next::Done;
    }
    let mut living = 0;
    for finding in findings {
        match finding {
            Finding::Failed(failure) => return Next::Failed(failure),
            Finding::Count(count) => living += count as usize,
            _ => {}
        }
    }
    let holds = match condition {
        Condition::None => true,
        Condition::Absent => living == 0,
        Condition::Present => living == keys,
    };
    if holds {
        return Next::Step(vec![Order { step: 1, key: None, given: Finding::Nothing }]);
    }
    reply.integer(0);
    Next::Done
}

/// How many pairs the count announces, if they are there.
fn pairs_of_msetex(args: Args<'_>) -> Result<usize, Failure> {
    let count = integer(args.at(1)).ok().filter(|&n| n > 0 && n <= i64::from(i32::MAX));
    let count = count.ok_or(Failure::new("ERR invalid numkeys value"))? as usize;
    if args.len() < 2 + 2 * count {
        return Err(Failure::new("ERR wrong number of key-value pairs"));
    }
    Ok(count)
}

/// The words behind the pairs.
struct Options {
    condition: Condition,
    deadline: Deadline,
}

impl Options {
    fn parse(args: Args<'_>, now: UnixMillis) -> Result<Options, Failure> {
        let mut condition = Condition::None;
        let mut deadline = None;
        let mut n = 2 + 2 * pairs_of_msetex(args)?;
        while n < args.len() {
            if args.is(n, "nx") && condition == Condition::None {
                condition = Condition::Absent;
            } else if args.is(n, "xx") && condition == Condition::None {
                condition = Condition::Present;
            } else if args.is(n, "keepttl") && deadline.is_none() {
                deadline = Some(Deadline::Keep);
            } else if let (None, Some(unit), Some(word)) =
                (deadline, TimeUnit::of_option(args, n), args.get(n + 1))
            {
                deadline = Some(Deadline::At(parse::deadline(word, unit, now, "msetex")?));
                n += 1;
            } else {
                return Err(Failure::SYNTAX);
            }
            n += 1;
        }
        Ok(Options { condition, deadline: deadline.unwrap_or(Deadline::Clear) })
    }
}
