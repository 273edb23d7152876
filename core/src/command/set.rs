//! SET with all its options, its older relatives, and the conditions that compare with the value that is there.

use super::parse::{self, TimeUnit};
use super::row::{Command, Example, Flags, Group, Keys, Run, Touch};
use super::string::reply_view;
use crate::args::Args;
use crate::database::Key;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::shard::{Cx, Deadline};
use crate::time::UnixMillis;
use crate::value::record::{Value, View};

const WRITE: Flags = Flags::WRITE.or(Flags::DENYOOM);
const ROW: Command = Command {
    group: Group::String,
    keys: Keys::ONE,
    touch: Touch::Overwrite,
    flags: WRITE,
    ..Command::DEFAULT
};

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "set",
        arity: -3,
        touch: Touch::Replace,
        summary: "Sets the string value of a key, ignoring its type. The key is created if it doesn't exist.",
        syntax: "key value [NX | XX | IFEQ ifeq-value | IFNE ifne-value | IFDEQ ifdeq-digest | IFDNE ifdne-digest] [GET] \
                 [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
        examples: &[
            Example { call: "SET mykey Hello", reply: "OK" },
            Example { call: "GET mykey", reply: "Hello" },
            Example { call: "SET mykey World NX", reply: "" },
            Example { call: "SET mykey World XX GET EX 60", reply: "Hello" },
            Example { call: "SET mykey Moon IFEQ World KEEPTTL", reply: "OK" },
            Example { call: "TTL mykey", reply: "60" },
        ],
        run: Run::Hop(set),
        ..ROW
    },
    Command {
        name: "setnx",
        arity: 3,
        flags: WRITE.or(Flags::FAST),
        summary: "Set the string value of a key only when the key doesn't exist.",
        syntax: "key value",
        examples: &[
            Example { call: "SETNX mykey Hello", reply: "1" },
            Example { call: "SETNX mykey World", reply: "0" },
        ],
        run: Run::Hop(setnx),
        ..ROW
    },
    Command {
        name: "setex",
        arity: 4,
        since: "2.0.0",
        summary: "Sets the string value and expiration time of a key. Creates the key if it doesn't exist.",
        syntax: "key seconds value",
        examples: &[
            Example { call: "SETEX mykey 10 Hello", reply: "OK" },
            Example { call: "TTL mykey", reply: "10" },
        ],
        run: Run::Hop(|cx, args, reply| set_with_time(cx, args, TimeUnit::Seconds, "setex", reply)),
        ..ROW
    },
    Command {
        name: "psetex",
        arity: 4,
        since: "2.6.0",
        summary: "Sets both string value and expiration time in milliseconds of a key. The key is created if it doesn't exist.",
        syntax: "key milliseconds value",
        examples: &[
            Example { call: "PSETEX mykey 10000 Hello", reply: "OK" },
            Example { call: "TTL mykey", reply: "10" },
        ],
        run: Run::Hop(|cx, args, reply| set_with_time(cx, args, TimeUnit::Millis, "psetex", reply)),
        ..ROW
    },
    Command {
        name: "digest",
        arity: 2,
        flags: Flags::READONLY.or(Flags::FAST),
        touch: Touch::Read,
        since: "8.4.0",
        summary: "Returns the XXH3 hash of a string value, which SET and DELEX can compare with.",
        complexity: "O(N) where N is the length of the string",
        syntax: "key",
        examples: &[
            Example { call: "SET mykey Hello", reply: "OK" },
            Example { call: "DIGEST mykey", reply: "38e23bf5a2a77616" },
        ],
        run: Run::Hop(digest),
        ..ROW
    },
    Command {
        name: "delex",
        arity: -2,
        group: Group::Generic,
        flags: Flags::WRITE.or(Flags::FAST),
        touch: Touch::Delete,
        since: "8.4.0",
        summary: "Deletes a key if its value compares as asked.",
        syntax: "key [IFEQ ifeq-value | IFNE ifne-value | IFDEQ ifdeq-digest | IFDNE ifdne-digest]",
        examples: &[
            Example { call: "SET mykey Hello", reply: "OK" },
            Example { call: "DELEX mykey IFEQ World", reply: "0" },
            Example { call: "DELEX mykey IFEQ Hello", reply: "1" },
        ],
        run: Run::Hop(delex),
        ..ROW
    },
    Command {
        name: "delifeq",
        arity: 3,
        flags: Flags::WRITE.or(Flags::FAST),
        touch: Touch::Delete,
        since: "9.0.0",
        summary: "Deletes a key if its value is equal to the given one.",
        syntax: "key value",
        examples: &[
            Example { call: "SET mykey Hello", reply: "OK" },
            Example { call: "DELIFEQ mykey World", reply: "0" },
            Example { call: "DELIFEQ mykey Hello", reply: "1" },
        ],
        run: Run::Hop(delifeq),
        ..ROW
    },
];

/// When a value is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition<'a> {
    Always,
    Absent,
    Present,
    Compare(Compare<'a>),
}

/// A comparison with the value that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compare<'a> {
    Equal(&'a [u8]),
    NotEqual(&'a [u8]),
    DigestEqual(&'a [u8]),
    DigestNotEqual(&'a [u8]),
}

impl<'a> Compare<'a> {
    /// The comparison that stands at argument `n`, with its operand behind it.
    fn at(args: Args<'a>, n: usize) -> Option<Compare<'a>> {
        let operand = args.get(n + 1)?;
        let word = |name| args.is(n, name);
        match () {
            () if word("ifeq") => Some(Compare::Equal(operand)),
            () if word("ifne") => Some(Compare::NotEqual(operand)),
            () if word("ifdeq") => Some(Compare::DigestEqual(operand)),
            () if word("ifdne") => Some(Compare::DigestNotEqual(operand)),
            () => None,
        }
    }

    /// A digest has sixteen hexadecimal digits.
    fn check(self) -> Outcome {
        match self {
            Compare::DigestEqual(digest) | Compare::DigestNotEqual(digest) if digest.len() != 16 => {
                Err(Failure::new("ERR must be exactly 16 hexadecimal characters"))
            }
            _ => Ok(()),
        }
    }

    /// A key that is not there equals nothing.
    fn holds(self, view: Option<View<'_>>) -> bool {
        let Some(view) = view else {
            return matches!(self, Compare::NotEqual(_) | Compare::DigestNotEqual(_));
        };
        match self {
            Compare::Equal(bytes) => view.with(|value| value == bytes),
            Compare::NotEqual(bytes) => view.with(|value| value != bytes),
            Compare::DigestEqual(digest) => digest_text(view).as_bytes().eq_ignore_ascii_case(digest),
            Compare::DigestNotEqual(digest) => !digest_text(view).as_bytes().eq_ignore_ascii_case(digest),
        }
    }
}

fn digest_text(view: View<'_>) -> String {
    format!("{:016x}", view.with(xxhash_rust::xxh3::xxh3_64))
}

/// What SET was asked to do.
struct Options<'a> {
    condition: Condition<'a>,
    get: bool,
    deadline: Deadline,
}

impl<'a> Options<'a> {
    fn parse(args: Args<'a>, now: UnixMillis) -> Result<Options<'a>, Failure> {
        let mut condition = Condition::Always;
        let mut get = false;
        let mut time = None;
        let mut keep = false;
        let mut n = 3;
        while n < args.len() {
            let unconditional = condition == Condition::Always;
            let timeless = time.is_none() && !keep;
            if args.is(n, "nx") && unconditional {
                condition = Condition::Absent;
            } else if args.is(n, "xx") && unconditional {
                condition = Condition::Present;
            } else if args.is(n, "get") {
                get = true;
            } else if args.is(n, "keepttl") && timeless {
                keep = true;
            } else if let (true, Some(unit), Some(word)) =
                (timeless, TimeUnit::of_option(args, n), args.get(n + 1))
            {
                time = Some((word, unit));
                n += 1;
            } else if let (true, Some(compare)) = (unconditional, Compare::at(args, n)) {
                condition = Condition::Compare(compare);
                n += 1;
            } else {
                return Err(Failure::SYNTAX);
            }
            n += 1;
        }
        if let Condition::Compare(compare) = condition {
            compare.check()?;
        }
        let deadline = match time {
            Some((word, unit)) => Deadline::At(parse::deadline(word, unit, now, "set")?),
            None if keep => Deadline::Keep,
            None => Deadline::Clear,
        };
        Ok(Options { condition, get, deadline })
    }
}

#[inline]
fn set(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = cx.key(args, 0);
    if args.len() == 3 {
        cx.store(key, Value::of_argument(args, 2), Deadline::Clear);
        reply.ok();
        return Ok(());
    }
    let options = Options::parse(args, cx.clock)?;
    if options.get {
        let view = cx.read_string(key)?;
        match view {
            Some(view) => reply_view(view, reply),
            None => reply.null(),
        }
    }
    let holds = match options.condition {
        Condition::Always => true,
        Condition::Absent => cx.peek(key).is_none(),
        Condition::Present => cx.peek(key).is_some(),
        Condition::Compare(compare) => compare.holds(cx.peek_string(key)?),
    };
    match (options.get, holds) {
        (true, _) => {}
        (false, true) => reply.ok(),
        (false, false) => reply.null(),
    }
    if holds {
        cx.store(key, Value::of_argument(args, 2), options.deadline);
    }
    Ok(())
}

fn setnx(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = cx.key(args, 0);
    let absent = cx.peek(key).is_none();
    if absent {
        cx.store(key, Value::of_argument(args, 2), Deadline::Clear);
    }
    reply.integer(i64::from(absent));
    Ok(())
}

fn set_with_time(
    cx: &mut Cx<'_>,
    args: Args<'_>,
    unit: TimeUnit,
    name: &str,
    reply: &mut Reply<'_>,
) -> Outcome {
    let deadline = parse::deadline(args.at(2), unit, cx.clock, name)?;
    cx.store(cx.key(args, 0), Value::of_argument(args, 3), Deadline::At(deadline));
    reply.ok();
    Ok(())
}

fn digest(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    match cx.read_string(cx.key(args, 0))? {
        Some(view) => reply.text(&digest_text(view)),
        None => reply.null(),
    }
    Ok(())
}

fn delex(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let compare = match args.len() {
        2 => None,
        4 => Some(Compare::at(args, 2).ok_or(Failure::SYNTAX)?),
        _ => return Err(Failure::SYNTAX),
    };
    if let Some(compare) = compare {
        compare.check()?;
    }
    delete_if(cx, cx.key(args, 0), compare, reply)
}

fn delifeq(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    delete_if(cx, cx.key(args, 0), Some(Compare::Equal(args.at(2))), reply)
}

/// Without a comparison a key of any type goes; with one it must be a string.
fn delete_if(cx: &mut Cx<'_>, key: Key<'_>, compare: Option<Compare<'_>>, reply: &mut Reply<'_>) -> Outcome {
    let holds = match compare {
        Some(compare) => cx.peek_string(key)?.is_some_and(|view| compare.holds(Some(view))),
        None => true,
    };
    let removed = holds && cx.remove(key);
    reply.integer(i64::from(removed));
    Ok(())
}
