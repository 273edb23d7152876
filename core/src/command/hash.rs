//! Hashes: one field, or the fields that a call names.

use super::list::reply_element;
use super::parse::{float, integer};
use super::row::{Command, Example, Flags, Group, Keys, Run, Touch};
use crate::args::Args;
use crate::protocol::number::plain_text;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::protocol::request::parse_integer;
use crate::shard::Cx;
use crate::value::element::Element;
use crate::value::hash::{Hash, Packing};

pub(super) const ROW: Command = Command {
    group: Group::Hash,
    keys: Keys::ONE,
    since: "2.0.0",
    flags: Flags::READONLY.or(Flags::FAST),
    ..Command::DEFAULT
};
const WRITE: Command =
    Command { flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST), touch: Touch::Change, ..ROW };

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "hset",
        arity: -4,
        summary: "Creates or modifies the value of a field in a hash.",
        complexity: "O(1) for each field/value pair added, so O(N) to add N field/value pairs when the command is called with multiple field/value pairs.",
        syntax: "key field value [field value ...]",
        examples: &[
            Example { call: "HSET myhash field1 Hello", reply: "1" },
            Example { call: "HSET myhash field1 Hi field2 World", reply: "1" },
            Example { call: "HGET myhash field1", reply: "Hi" },
        ],
        run: Run::Hop(|cx, args, reply| {
            let added = set_all(cx, args, "hset")?;
            reply.count(added);
            Ok(())
        }),
        ..WRITE
    },
    Command {
        name: "hmset",
        arity: -4,
        summary: "Sets the values of multiple fields.",
        complexity: "O(N) where N is the number of fields being set.",
        syntax: "key field value [field value ...]",
        examples: &[
            Example { call: "HMSET myhash field1 Hello field2 World", reply: "OK" },
            Example { call: "HGET myhash field2", reply: "World" },
        ],
        run: Run::Hop(|cx, args, reply| {
            set_all(cx, args, "hmset")?;
            reply.ok();
            Ok(())
        }),
        ..WRITE
    },
    Command {
        name: "hsetnx",
        arity: 4,
        summary: "Sets the value of a field in a hash only when the field doesn't exist.",
        syntax: "key field value",
        examples: &[
            Example { call: "HSETNX myhash field Hello", reply: "1" },
            Example { call: "HSETNX myhash field World", reply: "0" },
            Example { call: "HGET myhash field", reply: "Hello" },
        ],
        run: Run::Hop(set_if_absent),
        ..WRITE
    },
    Command {
        name: "hget",
        arity: 3,
        summary: "Returns the value of a field in a hash.",
        syntax: "key field",
        examples: &[
            Example { call: "HSET myhash field1 foo", reply: "1" },
            Example { call: "HGET myhash field1", reply: "foo" },
            Example { call: "HGET myhash field2", reply: "" },
        ],
        run: Run::Hop(get),
        ..ROW
    },
    Command {
        name: "hmget",
        arity: -3,
        summary: "Returns the values of all fields in a hash.",
        complexity: "O(N) where N is the number of fields being requested.",
        syntax: "key field [field ...]",
        examples: &[
            Example { call: "HSET myhash field1 Hello field2 World", reply: "2" },
            Example { call: "HMGET myhash field1 field2 nofield", reply: "Hello\nWorld\n" },
        ],
        run: Run::Hop(get_many),
        ..ROW
    },
    Command {
        name: "hdel",
        arity: -3,
        flags: Flags::WRITE.or(Flags::FAST),
        touch: Touch::Delete,
        summary: "Deletes one or more fields and their values from a hash. Deletes the hash if no fields remain.",
        complexity: "O(N) where N is the number of fields to be removed.",
        syntax: "key field [field ...]",
        examples: &[
            Example { call: "HSET myhash field1 foo", reply: "1" },
            Example { call: "HDEL myhash field1 field2", reply: "1" },
            Example { call: "EXISTS myhash", reply: "0" },
        ],
        run: Run::Hop(delete),
        ..ROW
    },
    Command {
        name: "hexists",
        arity: 3,
        summary: "Determines whether a field exists in a hash.",
        syntax: "key field",
        examples: &[
            Example { call: "HSET myhash field1 foo", reply: "1" },
            Example { call: "HEXISTS myhash field1", reply: "1" },
            Example { call: "HEXISTS myhash field2", reply: "0" },
        ],
        run: Run::Hop(|cx, args, reply| {
            let now = cx.now;
            let hash = cx.read_held::<Hash>(cx.key(args, 0))?;
            let found = hash.is_some_and(|hash| hash.live(args.at(2), now).is_some());
            reply.integer(i64::from(found));
            Ok(())
        }),
        ..ROW
    },
    Command {
        name: "hstrlen",
        arity: 3,
        since: "3.2.0",
        summary: "Returns the length of the value of a field.",
        syntax: "key field",
        examples: &[
            Example { call: "HSET myhash f1 HelloWorld f2 99", reply: "2" },
            Example { call: "HSTRLEN myhash f1", reply: "10" },
            Example { call: "HSTRLEN myhash f2", reply: "2" },
        ],
        run: Run::Hop(|cx, args, reply| {
            let now = cx.now;
            let hash = cx.read_held::<Hash>(cx.key(args, 0))?;
            let field = hash.and_then(|hash| hash.live(args.at(2), now));
            reply.count(field.map_or(0, |field| field.value.with(<[u8]>::len)));
            Ok(())
        }),
        ..ROW
    },
    Command {
        name: "hlen",
        arity: 2,
        touch: Touch::Measure,
        summary: "Returns the number of fields in a hash.",
        syntax: "key",
        examples: &[
            Example { call: "HSET myhash field1 Hello field2 World", reply: "2" },
            Example { call: "HLEN myhash", reply: "2" },
        ],
        run: Run::Hop(|cx, args, reply| {
            let now = cx.now;
            let len = cx.read_held::<Hash>(cx.key(args, 0))?.map_or(0, |hash| hash.living(now));
            reply.count(len);
            Ok(())
        }),
        ..ROW
    },
    Command {
        name: "hincrby",
        arity: 4,
        touch: Touch::Update,
        summary: "Increments the integer value of a field in a hash by a number. Uses 0 as initial value if the field doesn't exist.",
        syntax: "key field increment:integer",
        examples: &[
            Example { call: "HSET myhash field 5", reply: "1" },
            Example { call: "HINCRBY myhash field 1", reply: "6" },
            Example { call: "HINCRBY myhash field -10", reply: "-4" },
        ],
        run: Run::Hop(add),
        ..WRITE
    },
    Command {
        name: "hincrbyfloat",
        arity: 4,
        since: "2.6.0",
        touch: Touch::Update,
        summary: "Increments the floating point value of a field by a number. Uses 0 as initial value if the field doesn't exist.",
        syntax: "key field increment:double",
        examples: &[
            Example { call: "HSET mykey field 10.50", reply: "1" },
            Example { call: "HINCRBYFLOAT mykey field 0.1", reply: "10.6" },
            Example { call: "HINCRBYFLOAT mykey field -5", reply: "5.6" },
        ],
        run: Run::Hop(add_float),
        ..WRITE
    },
];

/// How hashes lie in memory.
#[inline]
pub(super) fn packing(cx: &Cx<'_>) -> Packing {
    Packing {
        entries: usize::try_from(cx.settings.hash_max_listpack_entries).unwrap_or(usize::MAX),
        bytes: usize::try_from(cx.settings.hash_max_listpack_value).unwrap_or(usize::MAX),
        seeds: cx.shard.hasher().seeds_within(),
    }
}

/// `ERR wrong number of arguments for 'hset' command`
pub(super) fn wrong_number(name: &str) -> Failure {
    Failure::text(format!("ERR wrong number of arguments for '{name}' command"))
}

/// Sets all pairs, without deadlines; how many fields were not there.
fn set_all(cx: &mut Cx<'_>, args: Args<'_>, name: &str) -> Result<usize, Failure> {
    if !args.len().is_multiple_of(2) {
        return Err(wrong_number(name));
    }
    let (packing, now) = (packing(cx), cx.now);
    cx.grow_held(cx.key(args, 0), |hash: &mut Hash| {
        let mut added = 0;
        for n in (2..args.len()).step_by(2) {
            added += usize::from(put(hash, args.at(n), args.at(n + 1), now, &packing));
        }
        added
    })
}

/// Sets a field without a deadline; true if it did not live.
#[inline]
fn put(hash: &mut Hash, name: &[u8], value: &[u8], now: crate::time::UnixMillis, packing: &Packing) -> bool {
    let was_due = hash.soonest().is_some_and(|at| at <= now) && hash.live(name, now).is_none();
    hash.set(name, value, None, packing) || was_due
}

fn set_if_absent(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (packing, now, key) = (packing(cx), cx.now, cx.key(args, 0));
    let (name, value) = (args.at(2), args.at(3));
    let is_there = cx.peek_held::<Hash>(key)?.is_some_and(|hash| hash.live(name, now).is_some());
    if !is_there {
        cx.grow_held(key, |hash: &mut Hash| hash.set(name, value, None, &packing))?;
    }
    reply.integer(i64::from(!is_there));
    Ok(())
}

/// Writes a field's value, or that there is none.
pub(super) fn reply_value(value: Option<Element<'_>>, reply: &mut Reply<'_>) {
    match value {
        Some(value) => reply_element(value, reply),
        None => reply.null(),
    }
}

fn get(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let now = cx.now;
    let hash = cx.read_held::<Hash>(cx.key(args, 0))?;
    reply_value(hash.and_then(|hash| hash.live(args.at(2), now)).map(|field| field.value), reply);
    Ok(())
}

fn get_many(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let now = cx.now;
    let hash = cx.read_held::<Hash>(cx.key(args, 0))?;
    reply.array(args.len() - 2);
    for name in args.skip(2).iter() {
        reply_value(hash.and_then(|hash| hash.live(name, now)).map(|field| field.value), reply);
    }
    Ok(())
}

fn delete(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let now = cx.now;
    let deleted = cx.change_held(cx.key(args, 0), |hash: &mut Hash| {
        let mut deleted = 0;
        for name in args.skip(2).iter() {
            // A field whose time has come goes as well, but it was not there.
            let lived = hash.live(name, now).is_some();
            deleted += usize::from(hash.remove(name) && lived);
        }
        (deleted > 0).then_some(deleted)
    })?;
    reply.count(deleted.unwrap_or(0));
    Ok(())
}

fn add(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let by = integer(args.at(3))?;
    let (packing, now, key, name) = (packing(cx), cx.now, cx.key(args, 0), args.at(2));
    let field = cx.peek_held::<Hash>(key)?.and_then(|hash| hash.live(name, now));
    let deadline = field.and_then(|field| field.deadline);
    let value = match field.map(|field| field.value) {
        None => 0,
        Some(Element::Integer(number)) => number,
        Some(Element::Bytes(bytes)) => {
            parse_integer(bytes).ok_or(Failure::new("ERR hash value is not an integer"))?
        }
    };
    let next = value.checked_add(by).ok_or(Failure::new("ERR increment or decrement would overflow"))?;
    cx.grow_held(key, |hash: &mut Hash| {
        hash.set(name, itoa::Buffer::new().format(next).as_bytes(), deadline, &packing)
    })?;
    reply.integer(next);
    Ok(())
}

fn add_float(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let by = float(args.at(3))?;
    if !by.is_finite() {
        return Err(Failure::new("ERR value is NaN or Infinity"));
    }
    let (packing, now, key, name) = (packing(cx), cx.now, cx.key(args, 0), args.at(2));
    let field = cx.peek_held::<Hash>(key)?.and_then(|hash| hash.live(name, now));
    let deadline = field.and_then(|field| field.deadline);
    let value = match field.map(|field| field.value) {
        None => 0.0,
        Some(value) => value.with(float).map_err(|_| Failure::new("ERR hash value is not a float"))?,
    };
    let next = value + by;
    if !next.is_finite() {
        return Err(Failure::new("ERR increment would produce NaN or Infinity"));
    }
    let text = plain_text(next);
    cx.grow_held(key, |hash: &mut Hash| hash.set(name, text.as_bytes(), deadline, &packing))?;
    reply.text(&text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    #[test]
    fn fields_are_set_read_and_removed() {
        let mut world = World::new(3);
        let client = world.connect(0);
        for (call, reply) in [
            ("HSET h a 1 b 2", ":2\r\n"),
            ("HSET h a 3 c 007", ":1\r\n"),
            ("hSet h a", "-ERR wrong number of arguments for 'hset' command\r\n"),
            ("HSET h a 1 b", "-ERR wrong number of arguments for 'hset' command\r\n"),
            ("HMSET h a 1 b", "-ERR wrong number of arguments for 'hmset' command\r\n"),
            ("HMSET h d x", "+OK\r\n"),
            ("HGET h a", "$1\r\n3\r\n"),
            ("HGET h nosuch", "$-1\r\n"),
            ("HGET nosuch a", "$-1\r\n"),
            ("HMGET h a x c", "*3\r\n$1\r\n3\r\n$-1\r\n$3\r\n007\r\n"),
            ("HMGET nosuch a b", "*2\r\n$-1\r\n$-1\r\n"),
            ("HSETNX h a 9", ":0\r\n"),
            ("HSETNX h e 9", ":1\r\n"),
            ("HLEN h", ":5\r\n"),
            ("HSTRLEN h c", ":3\r\n"),
            ("HSTRLEN h nosuch", ":0\r\n"),
            ("HEXISTS h e", ":1\r\n"),
            ("HEXISTS h f", ":0\r\n"),
            ("TYPE h", "+hash\r\n"),
            ("HDEL h a b nosuch a", ":2\r\n"),
            ("HDEL h c d e", ":3\r\n"),
            ("EXISTS h", ":0\r\n"),
            ("HDEL h c", ":0\r\n"),
            ("HLEN h", ":0\r\n"),
        ] {
            assert_eq!(world.call(client, call), reply, "{call}");
        }
    }

    #[test]
    fn fields_are_counters() {
        let mut world = World::new(3);
        let client = world.connect(0);
        for (call, reply) in [
            ("HINCRBY h a 5", "5"),
            ("HINCRBY h a -7", "-2"),
            ("HINCRBY h a x", "ERR value is not an integer or out of range"),
            ("HSET h b text c 9223372036854775807 d 1.5 e ' 1'", "4"),
            ("HINCRBY h b 1", "ERR hash value is not an integer"),
            ("HINCRBY h e 1", "ERR hash value is not an integer"),
            ("HINCRBY h c 1", "ERR increment or decrement would overflow"),
            ("HINCRBYFLOAT h b 1", "ERR hash value is not a float"),
            ("HINCRBYFLOAT h d 1.25", "2.75"),
            ("HINCRBYFLOAT h d x", "ERR value is not a valid float"),
            ("HINCRBYFLOAT h d inf", "ERR value is NaN or Infinity"),
            ("HINCRBYFLOAT h a 2", "0"),
            ("HINCRBYFLOAT h d 1e308", "*"),
            ("HINCRBYFLOAT h d 1.7e308", "ERR increment would produce NaN or Infinity"),
            ("HINCRBYFLOAT new f 0.5", "0.5"),
            ("HGET h a", "0"),
        ] {
            let found = world.say(client, call);
            assert!(reply == "*" || found == reply, "{call}: {found}");
        }
    }

    #[test]
    fn a_hash_is_no_other_type() {
        let mut world = World::new(3);
        let client = world.connect(0);
        world.call(client, "SET {k}s text");
        world.call(client, "HSET {k}h a 1");
        world.call(client, "SADD {k}e a");
        for call in [
            "HSET {k}s a 1",
            "HMSET {k}s a 1",
            "HSETNX {k}s a 1",
            "HGET {k}s a",
            "HMGET {k}s a",
            "HDEL {k}s a",
            "HEXISTS {k}s a",
            "HSTRLEN {k}s a",
            "HLEN {k}s",
            "HINCRBY {k}s a 1",
            "HINCRBYFLOAT {k}s a 1",
            "HGETALL {k}s",
            "HKEYS {k}s",
            "HVALS {k}s",
            "HRANDFIELD {k}s",
            "HRANDFIELD {k}s 3",
            "HSCAN {k}s 0",
            "HEXPIRE {k}s 1 FIELDS 1 a",
            "HTTL {k}s FIELDS 1 a",
            "HPERSIST {k}s FIELDS 1 a",
            "HGETDEL {k}s FIELDS 1 a",
            "HGETEX {k}s FIELDS 1 a",
            "HSETEX {k}s FIELDS 1 a 1",
            "SADD {k}h a",
            "SREM {k}h a",
            "SISMEMBER {k}h a",
            "SMISMEMBER {k}h a",
            "SCARD {k}h",
            "SMEMBERS {k}h",
            "SPOP {k}h",
            "SPOP {k}h 2",
            "SRANDMEMBER {k}h",
            "SRANDMEMBER {k}h -2",
            "SSCAN {k}h 0",
            "SMOVE {k}h {k}e a",
            "SMOVE {k}e {k}h a",
            "SINTER {k}e {k}h",
            "SUNION {k}nosuch {k}h",
            "SDIFF {k}nosuch {k}h",
            "SINTERSTORE {k}x {k}nosuch {k}h",
            "SINTERCARD 2 {k}e {k}h",
            "GET {k}h",
            "LPUSH {k}h a",
            "INCR {k}e",
        ] {
            let reply = world.call(client, call);
            assert_eq!(
                reply, "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
                "{call}"
            );
        }
    }

    #[test]
    fn encodings_follow_the_thresholds() {
        let mut world = World::with(2, |settings| settings.hash_max_listpack_entries = 3);
        let client = world.connect(0);
        for (call, reply) in [
            ("HSET h a 1 b 2 c 3", "3"),
            ("OBJECT ENCODING h", "listpack"),
            ("HSET h a 9", "0"),
            ("OBJECT ENCODING h", "listpack"),
            ("HSET h d 4", "1"),
            ("OBJECT ENCODING h", "hashtable"),
            ("HDEL h a b c", "3"),
            ("OBJECT ENCODING h", "hashtable"),
            ("HGET h d", "4"),
            ("HSET other a 1", "1"),
            ("HEXPIRE other 100 FIELDS 1 a", "1"),
            ("OBJECT ENCODING other", "listpackex"),
        ] {
            assert_eq!(world.say(client, call), reply, "{call}");
        }
        world.call(client, &format!("HSET long a {}", "x".repeat(65)));
        assert_eq!(world.say(client, "OBJECT ENCODING long"), "hashtable");
        assert_eq!(world.say(client, "HGET long a"), "x".repeat(65));
    }
}
