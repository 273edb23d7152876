//! When keys end: setting, reading and taking away deadlines. Exact to the millisecond, as far as 64 bits reach.

use super::parse::{TimeUnit, integer, invalid_expire};
use super::row::{Command, Example, Flags, Group, Keys, Run, Touch};
use crate::args::Args;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::shard::Cx;
use crate::time::UnixMillis;
use crate::value::record::Record;

const ROW: Command = Command {
    group: Group::Generic,
    keys: Keys::ONE,
    touch: Touch::Update,
    flags: Flags::WRITE.or(Flags::FAST),
    ..Command::DEFAULT
};
const READ: Command = Command { flags: Flags::READONLY.or(Flags::FAST), touch: Touch::Read, ..ROW };

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "expire",
        arity: -3,
        summary: "Sets the expiration time of a key in seconds.",
        syntax: "key seconds [NX | XX | GT | LT]",
        examples: &[
            Example { call: "SET mykey Hello", reply: "OK" },
            Example { call: "EXPIRE mykey 10", reply: "1" },
            Example { call: "TTL mykey", reply: "10" },
            Example { call: "EXPIRE mykey 10 NX", reply: "0" },
        ],
        run: Run::Hop(|cx, args, reply| expire(cx, args, TimeUnit::Seconds, "expire", reply)),
        ..ROW
    },
    Command {
        name: "pexpire",
        arity: -3,
        since: "2.6.0",
        summary: "Sets the expiration time of a key in milliseconds.",
        syntax: "key milliseconds [NX | XX | GT | LT]",
        examples: &[
            Example { call: "SET mykey Hello", reply: "OK" },
            Example { call: "PEXPIRE mykey 10000", reply: "1" },
            Example { call: "TTL mykey", reply: "10" },
        ],
        run: Run::Hop(|cx, args, reply| expire(cx, args, TimeUnit::Millis, "pexpire", reply)),
        ..ROW
    },
    Command {
        name: "expireat",
        arity: -3,
        since: "1.2.0",
        summary: "Sets the expiration time of a key to a Unix timestamp.",
        syntax: "key unix-time-seconds [NX | XX | GT | LT]",
        examples: &[
            Example { call: "SET mykey Hello", reply: "OK" },
            Example { call: "EXPIREAT mykey 33177117420", reply: "1" },
            Example { call: "EXPIRETIME mykey", reply: "33177117420" },
        ],
        run: Run::Hop(|cx, args, reply| expire(cx, args, TimeUnit::UnixSeconds, "expireat", reply)),
        ..ROW
    },
    Command {
        name: "pexpireat",
        arity: -3,
        since: "2.6.0",
        summary: "Sets the expiration time of a key to a Unix milliseconds timestamp.",
        syntax: "key unix-time-milliseconds [NX | XX | GT | LT]",
        examples: &[
            Example { call: "SET mykey Hello", reply: "OK" },
            Example { call: "PEXPIREAT mykey 33177117420000", reply: "1" },
            Example { call: "PEXPIRETIME mykey", reply: "33177117420000" },
        ],
        run: Run::Hop(|cx, args, reply| expire(cx, args, TimeUnit::UnixMillis, "pexpireat", reply)),
        ..ROW
    },
    Command {
        name: "persist",
        arity: 2,
        since: "2.2.0",
        summary: "Removes the expiration time of a key.",
        syntax: "key",
        examples: &[
            Example { call: "SET mykey Hello EX 10", reply: "OK" },
            Example { call: "PERSIST mykey", reply: "1" },
            Example { call: "TTL mykey", reply: "-1" },
        ],
        run: Run::Hop(persist),
        ..ROW
    },
    Command {
        name: "ttl",
        arity: 2,
        summary: "Returns the expiration time in seconds of a key.",
        syntax: "key",
        examples: &[
            Example { call: "SET mykey Hello EX 10", reply: "OK" },
            Example { call: "TTL mykey", reply: "10" },
            Example { call: "TTL nosuch", reply: "-2" },
        ],
        run: Run::Hop(|cx, args, reply| left(cx, args, |millis| (millis + 500) / 1_000, reply)),
        ..READ
    },
    Command {
        name: "pttl",
        arity: 2,
        since: "2.6.0",
        summary: "Returns the expiration time in milliseconds of a key.",
        syntax: "key",
        examples: &[
            Example { call: "SET mykey Hello", reply: "OK" },
            Example { call: "PTTL mykey", reply: "-1" },
            Example { call: "EXPIRE mykey 1", reply: "1" },
            Example { call: "PTTL mykey", reply: "*" },
        ],
        run: Run::Hop(|cx, args, reply| left(cx, args, |millis| millis, reply)),
        ..READ
    },
    Command {
        name: "expiretime",
        arity: 2,
        since: "7.0.0",
        summary: "Returns the expiration time of a key as a Unix timestamp.",
        syntax: "key",
        examples: &[
            Example { call: "SET mykey Hello EXAT 33177117420", reply: "OK" },
            Example { call: "EXPIRETIME mykey", reply: "33177117420" },
        ],
        run: Run::Hop(|cx, args, reply| moment(cx, args, |millis| (millis + 500) / 1_000, reply)),
        ..READ
    },
    Command {
        name: "pexpiretime",
        arity: 2,
        since: "7.0.0",
        summary: "Returns the expiration time of a key as a Unix milliseconds timestamp.",
        syntax: "key",
        examples: &[
            Example { call: "SET mykey Hello PXAT 33177117420123", reply: "OK" },
            Example { call: "PEXPIRETIME mykey", reply: "33177117420123" },
        ],
        run: Run::Hop(|cx, args, reply| moment(cx, args, |millis| millis, reply)),
        ..READ
    },
];

/// When a new deadline takes the place of the old one. A key without a deadline counts as one that lives for ever.
#[derive(Clone, Copy, Debug, Default)]
struct Conditions {
    none_yet: bool,
    one_already: bool,
    later: bool,
    earlier: bool,
}

impl Conditions {
    fn parse(args: Args<'_>) -> Result<Conditions, Failure> {
        let mut conditions = Conditions::default();
        for n in 3..args.len() {
            let flag = match () {
                () if args.is(n, "nx") => &mut conditions.none_yet,
                () if args.is(n, "xx") => &mut conditions.one_already,
                () if args.is(n, "gt") => &mut conditions.later,
                () if args.is(n, "lt") => &mut conditions.earlier,
                () => {
                    let word = String::from_utf8_lossy(args.at(n));
                    return Err(Failure::text(format!("ERR Unsupported option {word}")));
                }
            };
            *flag = true;
        }
        let Conditions { none_yet, one_already, later, earlier } = conditions;
        if none_yet && (one_already || later || earlier) {
            return Err(Failure::new("ERR NX and XX, GT or LT options at the same time are not compatible"));
        }
        if later && earlier {
            return Err(Failure::new("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(conditions)
    }

    fn hold(self, current: Option<UnixMillis>, moment: i64) -> bool {
        let ends = current.map(|at| at.0 as i64);
        !(self.none_yet && ends.is_some()
            || self.one_already && ends.is_none()
            || self.later && ends.is_none_or(|ends| moment <= ends)
            || self.earlier && ends.is_some_and(|ends| moment >= ends))
    }
}

fn expire(cx: &mut Cx<'_>, args: Args<'_>, unit: TimeUnit, name: &str, reply: &mut Reply<'_>) -> Outcome {
    let key = cx.key(args, 0);
    let conditions = Conditions::parse(args)?;
    let moment = unit.moment(integer(args.at(2))?, cx.clock).ok_or_else(|| invalid_expire(name))?;
    let Some(current) = cx.peek(key).map(Record::deadline) else {
        reply.integer(0);
        return Ok(());
    };
    if !conditions.hold(current, moment) {
        reply.integer(0);
        return Ok(());
    }
    match u64::try_from(moment).map(UnixMillis) {
        Ok(at) if !cx.is_past(at) => {
            cx.change(key, |record| record.set_deadline(Some(at)));
        }
        _ => {
            cx.remove(key);
        }
    }
    reply.integer(1);
    Ok(())
}

fn persist(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = cx.key(args, 0);
    let timed = cx.peek(key).is_some_and(|record| record.deadline().is_some());
    if timed {
        cx.change(key, |record| record.set_deadline(None));
    }
    reply.integer(i64::from(timed));
    Ok(())
}

/// -2: no key; -1: no deadline.
fn answer(found: Option<Option<i64>>, reply: &mut Reply<'_>) {
    reply.integer(match found {
        None => -2,
        Some(None) => -1,
        Some(Some(number)) => number,
    });
}

fn left(cx: &mut Cx<'_>, args: Args<'_>, unit: fn(i64) -> i64, reply: &mut Reply<'_>) -> Outcome {
    let now = cx.now;
    let found =
        cx.peek(cx.key(args, 0)).map(|record| record.deadline().map(|at| unit((at.0 - now.0) as i64)));
    answer(found, reply);
    Ok(())
}

fn moment(cx: &mut Cx<'_>, args: Args<'_>, unit: fn(i64) -> i64, reply: &mut Reply<'_>) -> Outcome {
    let found = cx.peek(cx.key(args, 0)).map(|record| record.deadline().map(|at| unit(at.0 as i64)));
    answer(found, reply);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::OwnedArgs;

    #[test]
    fn conditions_compare_with_the_deadline_that_is_there() {
        let check = |words: &[&str], current: Option<u64>, moment: i64, holds: bool| {
            let args = OwnedArgs::new(&[&["expire", "k", "1"], words].concat());
            let conditions = Conditions::parse(args.view()).expect("compatible");
            assert_eq!(
                conditions.hold(current.map(UnixMillis), moment),
                holds,
                "{words:?} {current:?} {moment}"
            );
        };
        check(&[], Some(5), 5, true);
        check(&["nx"], None, 5, true);
        check(&["nx"], Some(9), 5, false);
        check(&["xx"], None, 5, false);
        check(&["gt"], None, 5, false);
        check(&["gt"], Some(4), 5, true);
        check(&["gt"], Some(5), 5, false);
        check(&["lt"], None, 5, true);
        check(&["lt"], Some(5), 5, false);
        check(&["xx", "lt"], None, 5, false);
    }
}
