//! Hashes: when fields end. Exact to the millisecond.

use super::hash::ROW;
use super::parse::{TimeUnit, integer, invalid_expire};
use super::row::{Command, Example, Flags, Run, Touch};
use crate::args::Args;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::protocol::request::parse_integer;
use crate::shard::Cx;
use crate::time::UnixMillis;
use crate::value::hash::Hash;

const EXPIRE: Command = Command {
    arity: -6,
    since: "7.4.0",
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    touch: Touch::Update,
    complexity: "O(N) where N is the number of specified fields",
    ..ROW
};
const TTL: Command = Command {
    arity: -5,
    flags: Flags::READONLY.or(Flags::FAST),
    touch: Touch::Read,
    syntax: "key FIELDS numfields:integer field [field ...]",
    ..EXPIRE
};

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "hexpire",
        summary: "Set expiry for hash field using relative time to expire (seconds).",
        syntax: "key seconds [NX | XX | GT | LT] FIELDS numfields:integer field [field ...]",
        examples: &[
            Example { call: "HSET myhash f1 v1 f2 v2", reply: "2" },
            Example { call: "HEXPIRE myhash 10 FIELDS 3 f1 f2 nosuch", reply: "1\n1\n-2" },
            Example { call: "HTTL myhash FIELDS 1 f1", reply: "10" },
        ],
        run: Run::Hop(|cx, args, reply| expire(cx, args, TimeUnit::Seconds, "hexpire", reply)),
        ..EXPIRE
    },
    Command {
        name: "hpexpire",
        summary: "Set expiry for hash field using relative time to expire (milliseconds).",
        syntax: "key milliseconds [NX | XX | GT | LT] FIELDS numfields:integer field [field ...]",
        examples: &[
            Example { call: "HSET myhash f1 v1", reply: "1" },
            Example { call: "HPEXPIRE myhash 10000 NX FIELDS 1 f1", reply: "1" },
            Example { call: "HPEXPIRE myhash 10000 NX FIELDS 1 f1", reply: "0" },
        ],
        run: Run::Hop(|cx, args, reply| expire(cx, args, TimeUnit::Millis, "hpexpire", reply)),
        ..EXPIRE
    },
    Command {
        name: "hexpireat",
        summary: "Set expiry for hash field using an absolute Unix timestamp (seconds).",
        syntax: "key unix-time-seconds [NX | XX | GT | LT] FIELDS numfields:integer field [field ...]",
        examples: &[
            Example { call: "HSET myhash f1 v1", reply: "1" },
            Example { call: "HEXPIREAT myhash 33177117420 FIELDS 1 f1", reply: "1" },
            Example { call: "HEXPIRETIME myhash FIELDS 1 f1", reply: "33177117420" },
        ],
        run: Run::Hop(|cx, args, reply| expire(cx, args, TimeUnit::UnixSeconds, "hexpireat", reply)),
        ..EXPIRE
    },
    Command {
        name: "hpexpireat",
        summary: "Set expiry for hash field using an absolute Unix timestamp (milliseconds).",
        syntax: "key unix-time-milliseconds [NX | XX | GT | LT] FIELDS numfields:integer field [field ...]",
        examples: &[
            Example { call: "HSET myhash f1 v1", reply: "1" },
            Example { call: "HPEXPIREAT myhash 33177117420000 FIELDS 1 f1", reply: "1" },
            Example { call: "HPEXPIREAT myhash 0 FIELDS 1 f1", reply: "2" },
            Example { call: "EXISTS myhash", reply: "0" },
        ],
        run: Run::Hop(|cx, args, reply| expire(cx, args, TimeUnit::UnixMillis, "hpexpireat", reply)),
        ..EXPIRE
    },
    Command {
        name: "httl",
        summary: "Returns the TTL in seconds of a hash field.",
        examples: &[
            Example { call: "HSET myhash f1 v1 f2 v2", reply: "2" },
            Example { call: "HEXPIRE myhash 10 FIELDS 1 f1", reply: "1" },
            Example { call: "HTTL myhash FIELDS 3 f1 f2 nosuch", reply: "10\n-1\n-2" },
        ],
        run: Run::Hop(|cx, args, reply| tell(cx, args, |at, now| (at - now + 999) / 1_000, reply)),
        ..TTL
    },
    Command {
        name: "hpttl",
        summary: "Returns the TTL in milliseconds of a hash field.",
        examples: &[
            Example { call: "HSET myhash f1 v1", reply: "1" },
            Example { call: "HPTTL myhash FIELDS 1 f1", reply: "-1" },
        ],
        run: Run::Hop(|cx, args, reply| tell(cx, args, |at, now| at - now, reply)),
        ..TTL
    },
    Command {
        name: "hexpiretime",
        summary: "Returns the expiration time of a hash field as a Unix timestamp, in seconds.",
        examples: &[
            Example { call: "HSET myhash f1 v1", reply: "1" },
            Example { call: "HEXPIREAT myhash 33177117420 FIELDS 1 f1", reply: "1" },
            Example { call: "HEXPIRETIME myhash FIELDS 1 f1", reply: "33177117420" },
        ],
        run: Run::Hop(|cx, args, reply| tell(cx, args, |at, _| (at + 999) / 1_000, reply)),
        ..TTL
    },
    Command {
        name: "hpexpiretime",
        summary: "Returns the expiration time of a hash field as a Unix timestamp, in msec.",
        examples: &[
            Example { call: "HSET myhash f1 v1", reply: "1" },
            Example { call: "HPEXPIREAT myhash 33177117420123 FIELDS 1 f1", reply: "1" },
            Example { call: "HPEXPIRETIME myhash FIELDS 1 f1", reply: "33177117420123" },
        ],
        run: Run::Hop(|cx, args, reply| tell(cx, args, |at, _| at, reply)),
        ..TTL
    },
    Command {
        name: "hpersist",
        flags: Flags::WRITE.or(Flags::FAST),
        touch: Touch::Update,
        summary: "Removes the expiration time for each specified field.",
        examples: &[
            Example { call: "HSET myhash f1 v1", reply: "1" },
            Example { call: "HEXPIRE myhash 10 FIELDS 1 f1", reply: "1" },
            Example { call: "HPERSIST myhash FIELDS 2 f1 nosuch", reply: "1\n-2" },
            Example { call: "HTTL myhash FIELDS 1 f1", reply: "-1" },
        ],
        run: Run::Hop(persist),
        ..TTL
    },
];

/// No later deadline of a field is taken, milliseconds since 1970: Redis's bound.
const DEADLINE_MAX: i64 = (1 << 46) - 1;

/// Where FIELDS must stand.
pub(super) const NO_FIELDS: Failure =
    Failure::new("ERR Mandatory argument FIELDS is missing or not at the right position");
/// The number behind FIELDS is not that of the words behind it.
pub(super) const OTHER_NUMBER: Failure =
    Failure::new("ERR The `numfields` parameter must match the number of arguments");

/// The fields that follow `FIELDS numfields`, which stands at argument `n`, up to the end.
pub(super) fn fields<'a>(args: Args<'a>, n: usize, wrong: &'static str) -> Result<Args<'a>, Failure> {
    if !args.is(n, "fields") {
        return Err(NO_FIELDS);
    }
    let count = args.get(n + 1).and_then(parse_integer).filter(|count| *count > 0);
    let count = count.ok_or(Failure::new(wrong))?;
    let fields = args.skip(n + 2);
    if usize::try_from(count) != Ok(fields.len()) {
        return Err(OTHER_NUMBER);
    }
    Ok(fields)
}

/// The moment that a client gives for fields; it may have passed.
pub(super) fn moment(
    word: &[u8],
    unit: TimeUnit,
    now: UnixMillis,
    name: &str,
) -> Result<UnixMillis, Failure> {
    let number = integer(word)?;
    if number < 0 {
        return Err(Failure::new("ERR invalid expire time, must be >= 0"));
    }
    let moment = unit.moment(number, now).filter(|moment| (0..=DEADLINE_MAX).contains(moment));
    moment.map(|moment| UnixMillis(moment as u64)).ok_or_else(|| invalid_expire(name))
}

/// When a new deadline takes the place of the old one. A field without a deadline counts as one that lives for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Always,
    NoneYet,
    OneAlready,
    Later,
    Earlier,
}

impl Condition {
    fn at(args: Args<'_>, n: usize) -> Condition {
        match () {
            () if args.is(n, "nx") => Condition::NoneYet,
            () if args.is(n, "xx") => Condition::OneAlready,
            () if args.is(n, "gt") => Condition::Later,
            () if args.is(n, "lt") => Condition::Earlier,
            () => Condition::Always,
        }
    }

    fn holds(self, current: Option<UnixMillis>, next: UnixMillis) -> bool {
        match self {
            Condition::Always => true,
            Condition::NoneYet => current.is_none(),
            Condition::OneAlready => current.is_some(),
            Condition::Later => current.is_some_and(|at| next > at),
            Condition::Earlier => current.is_none_or(|at| next < at),
        }
    }
}

/// What became of a field, as the replies of these commands say it.
const NO_SUCH_FIELD: i64 = -2;
const NO_DEADLINE: i64 = -1;
const NOT_DONE: i64 = 0;
const DONE: i64 = 1;
const DELETED: i64 = 2;

fn reply_all(codes: &[i64], reply: &mut Reply<'_>) {
    reply.array(codes.len());
    codes.iter().for_each(|code| reply.integer(*code));
}

fn expire(cx: &mut Cx<'_>, args: Args<'_>, unit: TimeUnit, name: &str, reply: &mut Reply<'_>) -> Outcome {
    let (now, key) = (cx.now, cx.key(args, 0));
    cx.peek_held::<Hash>(key)?;
    let at = moment(args.at(2), unit, cx.clock, name)?;
    let condition = Condition::at(args, 3);
    let place = if condition == Condition::Always { 3 } else { 4 };
    let fields = fields(args, place, "ERR Parameter `numFields` should be greater than 0")?;
    let mut codes = vec![NO_SUCH_FIELD; fields.len()];
    cx.change_held(key, |hash: &mut Hash| {
        for (name, code) in fields.iter().zip(&mut codes) {
            let Some(current) = hash.live(name, now).map(|field| field.deadline) else { continue };
            *code = if !condition.holds(current, at) {
                NOT_DONE
            } else if at <= now {
                hash.remove(name);
                DELETED
            } else {
                hash.set_deadline(name, Some(at));
                DONE
            };
        }
        codes.iter().any(|code| *code > NOT_DONE).then_some(())
    })?;
    reply_all(&codes, reply);
    Ok(())
}

/// The number of fields of what takes no time is called otherwise.
pub(super) const NOT_POSITIVE: &str = "ERR Number of fields must be a positive integer";

fn tell(cx: &mut Cx<'_>, args: Args<'_>, shown: fn(i64, i64) -> i64, reply: &mut Reply<'_>) -> Outcome {
    let now = cx.now;
    let hash = cx.read_held::<Hash>(cx.key(args, 0))?;
    let fields = fields(args, 2, NOT_POSITIVE)?;
    reply.array(fields.len());
    for name in fields.iter() {
        let field = hash.and_then(|hash| hash.live(name, now));
        reply.integer(match field.map(|field| field.deadline) {
            None => NO_SUCH_FIELD,
            Some(None) => NO_DEADLINE,
            Some(Some(at)) => shown(at.0 as i64, now.0 as i64),
        });
    }
    Ok(())
}

fn persist(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (now, key) = (cx.now, cx.key(args, 0));
    cx.peek_held::<Hash>(key)?;
    let fields = fields(args, 2, NOT_POSITIVE)?;
    let mut codes = vec![NO_SUCH_FIELD; fields.len()];
    cx.change_held(key, |hash: &mut Hash| {
        for (name, code) in fields.iter().zip(&mut codes) {
            let Some(field) = hash.live(name, now) else { continue };
            *code = NO_DEADLINE;
            if field.deadline.is_some() {
                hash.set_deadline(name, None);
                *code = DONE;
            }
        }
        codes.contains(&DONE).then_some(())
    })?;
    reply_all(&codes, reply);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    #[test]
    fn fields_end_when_they_are_told() {
        let mut world = World::new(2);
        let client = world.connect(0);
        for (call, reply) in [
            ("HSET h a 1 b 2 c 3", "3"),
            ("HPEXPIRE h 100 FIELDS 2 a nosuch", "1\n-2"),
            ("HPTTL h FIELDS 3 a b nosuch", "100\n-1\n-2"),
            ("HTTL h FIELDS 1 a", "1"),
            ("HEXPIRE h 10 GT FIELDS 2 a b", "1\n0"),
            ("HEXPIRE h 5 LT FIELDS 2 a b", "1\n1"),
            ("HEXPIRE h 7 NX FIELDS 3 a b c", "0\n0\n1"),
            ("HEXPIRE h 8 XX FIELDS 1 c", "1"),
            ("HTTL h FIELDS 3 a b c", "5\n5\n8"),
            ("HEXPIRETIME h FIELDS 1 c", "1700000008"),
            ("HPEXPIRETIME h FIELDS 1 c", "1700000008000"),
            ("HPERSIST h FIELDS 3 c c nosuch", "1\n-1\n-2"),
            ("HSET h a 5", "0"),
            ("HTTL h FIELDS 1 a", "-1"),
            ("HEXPIRE h 5 FIELDS 1 a", "1"),
            ("HINCRBY h a 5", "10"),
            ("HTTL h FIELDS 1 a", "5"),
            ("HEXPIRE h 0 FIELDS 1 b", "2"),
            ("HEXISTS h b", "0"),
            ("HEXPIRE nosuch 5 FIELDS 2 a b", "-2\n-2"),
            ("HTTL nosuch FIELDS 1 a", "-2"),
            ("HPERSIST nosuch FIELDS 1 a", "-2"),
            (
                "HEXPIRE h 5 FIELD 1 a",
                "ERR Mandatory argument FIELDS is missing or not at the right position",
            ),
            ("HEXPIRE h 5 FIELDS 0 a", "ERR Parameter `numFields` should be greater than 0"),
            ("HTTL h FIELDS 0 a", "ERR Number of fields must be a positive integer"),
            ("HEXPIRE h 5 FIELDS 2 a", "ERR The `numfields` parameter must match the number of arguments"),
            ("HEXPIRE h -5 FIELDS 1 a", "ERR invalid expire time, must be >= 0"),
            ("HEXPIRE h x FIELDS 1 a", "ERR value is not an integer or out of range"),
            ("HEXPIRE h 99999999999999 FIELDS 1 a", "ERR invalid expire time in 'hexpire' command"),
        ] {
            assert_eq!(world.say(client, call), reply, "{call}");
        }
    }

    #[test]
    fn a_field_whose_time_has_come_is_not_there_and_neither_is_a_hash_without_others() {
        for fields in [3, 1_000] {
            let mut world = World::new(2);
            let client = world.connect(0);
            let pairs: String = (0..fields).map(|n| format!(" f{n} {n}")).collect();
            world.call(client, &format!("HSET h{pairs}"));
            world.call(client, "HPEXPIRE h 100 FIELDS 1 f0");
            world.pass(99);
            assert_eq!(world.say(client, "HLEN h"), fields.to_string());
            world.pass(1);
            for (call, reply) in [
                ("HLEN h", (fields - 1).to_string()),
                ("HGET h f0", String::new()),
                ("HEXISTS h f0", "0".into()),
                ("HSTRLEN h f0", "0".into()),
                ("HTTL h FIELDS 1 f0", "-2".into()),
                ("HDEL h f0", "0".into()),
                ("HSETNX h f0 1", "1".into()),
                ("HPEXPIRE h 50 FIELDS 1 f0", "1".into()),
            ] {
                assert_eq!(world.say(client, call), reply, "{call}");
            }
            assert_eq!(world.say(client, "HGETALL h").lines().count(), 2 * fields);
            world.pass(50);
            assert_eq!(world.say(client, "HGETALL h").lines().count(), 2 * fields - 2);
            assert_eq!(world.say(client, "HSCAN h 0 COUNT 100000").lines().count(), 2 * fields - 1);
            assert_eq!(world.say(client, "HSET h f0 new"), "1");
            let names: String = (0..fields).map(|n| format!(" f{n}")).collect();
            world.call(client, &format!("HPEXPIRE h 100 FIELDS {fields}{names}"));
            world.pass(100);
            for (call, reply) in [("EXISTS h", "0"), ("TYPE h", "none"), ("HLEN h", "0"), ("KEYS *", "")] {
                assert_eq!(world.say(client, call).trim_end(), reply, "{call}");
            }
            assert_eq!(world.say(client, "LPUSH h a"), "1");
            for engine in &world.engines {
                engine.node().shard.databases().iter().for_each(|db| assert_eq!(db.recount(), Ok(())));
            }
        }
    }

    #[test]
    fn the_sweep_removes_fields_and_leaves_the_others() {
        let mut world = World::new(1);
        let client = world.connect(0);
        for n in 0..50 {
            world.call(client, &format!("HSET h{n} a 1 b 2"));
            world.call(client, &format!("HPEXPIRE h{n} {} FIELDS 1 a", 100 + n));
        }
        let pairs: String = (0..3_000).map(|n| format!(" f{n} {n}")).collect();
        world.call(client, &format!("HSET large{pairs}"));
        let names: String = (0..2_999).map(|n| format!(" f{n}")).collect();
        world.call(client, &format!("HPEXPIRE large 120 FIELDS 2999{names}"));
        let before = world.engines[0].node().shard.used_bytes();
        for _ in 0..50 {
            world.pass(100);
        }
        let shard = &world.engines[0].node().shard;
        assert!(shard.used_bytes() < before - 50_000, "{before} {}", shard.used_bytes());
        assert_eq!((shard.keys(), shard.databases()[0].has_deadlines()), (51, false));
        shard.databases()[0].check();
        assert_eq!(shard.databases()[0].recount(), Ok(()));
        assert_eq!(world.say(client, "HGETALL large"), "f2999\n2999");
    }

    #[test]
    fn deadlines_travel_with_the_hash() {
        let mut world = World::new(3);
        let client = world.connect(0);
        world.call(client, "HSET a x 1 y 2");
        world.call(client, "HPEXPIRE a 1000 FIELDS 1 x");
        for (call, reply) in [
            ("COPY a b", "1"),
            ("RENAME a c", "OK"),
            ("MOVE c 1", "1"),
            ("HPTTL b FIELDS 2 x y", "1000\n-1"),
            ("SELECT 1", "OK"),
            ("HPTTL c FIELDS 2 x y", "1000\n-1"),
            ("OBJECT ENCODING c", "listpackex"),
        ] {
            assert_eq!(world.say(client, call), reply, "{call}");
        }
        world.pass(1_000);
        assert_eq!(world.say(client, "HGETALL c"), "y\n2");
    }

    #[test]
    fn who_watches_sees_the_hash_end_and_no_field() {
        let mut world = World::new(1);
        let (client, other) = (world.connect(0), world.connect(0));
        for (ends, fails) in [("a", false), ("b", true)] {
            world.call(client, "DEL h");
            world.call(other, "HSET h a 1 b 2");
            world.call(other, "HPEXPIRE h 10 FIELDS 1 a");
            if ends == "b" {
                world.call(other, "HPEXPIRE h 10 FIELDS 1 b");
            }
            world.call(client, "WATCH h");
            world.pass(10);
            world.call(client, "MULTI");
            world.call(client, "PING");
            assert_eq!(world.call(client, "EXEC") == "*-1\r\n", fails, "{ends}");
        }
    }
}
