//! DEBUG OBJECT, STRINGMATCH-LEN and PROTOCOL: looking at a key, a pattern, each kind of reply.

use super::ROW;
use crate::args::Args;
use crate::command::parse::integer;
use crate::command::row::{Command, Example, Keys, Run};
use crate::glob;
use crate::node::Local;
use crate::protocol::reply::{Failure, Outcome, Reply, Resp};
use crate::shard::Cx;
use crate::value::access::idle_seconds;
use crate::value::container::Container;
use crate::value::element::Element;
use crate::value::field::Field;
use crate::value::record::{Record, View};

pub(super) const OBJECT: Command = Command {
    name: "object",
    arity: 3,
    keys: Keys::Range { first: 2, last: 2, step: 1 },
    summary: "Shows how a key's value lies in memory.",
    syntax: "key",
    examples: &[
        Example { call: "SET mykey Hello", reply: "OK" },
        Example { call: "DEBUG OBJECT mykey", reply: "*" },
        Example { call: "DEBUG OBJECT nosuch", reply: "ERR no such key" },
    ],
    run: Run::Hop(object),
    ..ROW
};

pub(super) const STRINGMATCH_LEN: Command = Command {
    name: "stringmatch-len",
    arity: 4,
    summary: "Tells whether a pattern matches a string of so many letters a.",
    syntax: "len:integer pattern",
    examples: &[
        Example { call: "DEBUG STRINGMATCH-LEN 5 a*a", reply: "1" },
        Example { call: "DEBUG STRINGMATCH-LEN 5 a*b", reply: "0" },
    ],
    run: Run::Local(string_match),
    ..ROW
};

pub(super) const PROTOCOL: Command = Command {
    name: "protocol",
    arity: 3,
    summary: "Replies with a test value of a type of the protocol.",
    syntax: "type",
    examples: &[
        Example { call: "DEBUG PROTOCOL string", reply: "Hello World" },
        Example { call: "DEBUG PROTOCOL array", reply: "0\n1\n2" },
    ],
    run: Run::Local(protocol),
    ..ROW
};

fn object(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = cx.key(args, 0);
    let seconds = cx.now.0 / 1_000;
    let record = cx.peek(key).ok_or(Failure::NO_KEY)?;
    // The address would differ from run to run and help an attacker: the key's hash stands for it.
    let line = format!(
        "Value at:0x{:012x} refcount:1 encoding:{} serializedlength:{} lru:{} lru_seconds_idle:{}{}",
        key.hash.0 & 0xffff_ffff_ffff,
        record.encoding(),
        serialized_len(record),
        record.access().0,
        idle_seconds(record.access(), seconds),
        record.container().map(inside).unwrap_or_default(),
    );
    reply.simple(&line);
    Ok(())
}

/// Bytes of the value in Redis's file format, without compression.
fn serialized_len(record: &Record) -> usize {
    match (record.string(), record.container()) {
        (Some(View::Integer(number)), _) if i8::try_from(number).is_ok() => 2,
        (Some(View::Integer(number)), _) if i16::try_from(number).is_ok() => 3,
        (Some(View::Integer(number)), _) if i32::try_from(number).is_ok() => 5,
        (Some(text), _) => prefixed(text.len()),
        // One kind of a list, whatever its encoding: a count, then for each listpack a word and its bytes.
        (None, Some(Container::List(list))) => {
            prefixed(list.packs()) - list.packs()
                + list.listpack_sizes().map(|len| 1 + prefixed(len)).sum::<usize>()
        }
        // A small one is a listpack in a string, of a large one each member is a string with a double behind it.
        (None, Some(Container::SortedSet(set))) => match set.packed_bytes() {
            Some(bytes) => prefixed(bytes + LISTPACK_FRAME),
            None => {
                prefixed(set.len()) - set.len()
                    + set.iter().map(|(member, _)| prefixed(member.with(<[u8]>::len)) + 8).sum::<usize>()
            }
        },
        (None, Some(Container::Hash(hash))) => {
            let field = |field: Field<'_>| {
                prefixed(field.name.with(<[u8]>::len)) + field.value.with(|value| prefixed(value.len()))
            };
            prefixed(hash.len()) - hash.len() + hash.iter().map(field).sum::<usize>()
        }
        (None, Some(Container::Set(set))) => match set.ints() {
            Some(ints) => prefixed(INTSET_HEAD + ints.len() * ints.width()),
            None => {
                let member = |member: Element<'_>| member.with(|bytes| prefixed(bytes.len()));
                prefixed(set.len()) - set.len() + set.iter().map(member).sum::<usize>()
            }
        },
        (None, Some(Container::Stream(stream))) => stream.text_bytes(),
        (None, None) => 0,
    }
}

/// Bytes of a listpack that are no elements.
const LISTPACK_FRAME: usize = 7;
/// Bytes of an intset in a file that are no numbers.
const INTSET_HEAD: usize = 8;

/// So many bytes with their length before them.
fn prefixed(len: usize) -> usize {
    match len {
        0..0x40 => 1 + len,
        0x40..0x4000 => 2 + len,
        _ => 5 + len,
    }
}

/// What Redis adds for a quicklist.
fn inside(container: &Container) -> String {
    let Container::List(list) = container else { return String::new() };
    if list.encoding() != "quicklist" {
        return String::new();
    }
    let (nodes, bytes) = (list.packs(), list.listpack_sizes().sum::<usize>());
    let average = list.len() as f64 / nodes.max(1) as f64;
    format!(" ql_nodes:{nodes} ql_avg_node:{average:.2} ql_compressed:0 ql_uncompressed_size:{bytes}")
}

/// A longer text would keep the core for too long.
const TEXT_MAX: i64 = 1 << 20;

fn string_match(_: &mut Local<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let len = integer(args.at(2))?;
    if !(0..=TEXT_MAX).contains(&len) {
        return Err(Failure::new("ERR value is out of range"));
    }
    reply.integer(i64::from(glob::matches(args.at(3), &vec![b'a'; len as usize], false)));
    Ok(())
}

/// Three digits of pi and no more.
#[allow(clippy::approx_constant)]
const TEST_DOUBLE: f64 = 3.141;

/// The values are Redis's, which the tests of clients expect.
fn protocol(_: &mut Local<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let kind = args.at(2).to_ascii_lowercase();
    match kind.as_slice() {
        b"string" => reply.text("Hello World"),
        b"integer" => reply.integer(12_345),
        b"double" => reply.double(TEST_DOUBLE),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|number| reply.integer(number));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|number| reply.integer(number));
        }
        b"map" => {
            reply.map(3);
            for number in 0..3 {
                reply.integer(number);
                reply.boolean(number == 1);
            }
        }
        b"attrib" => {
            if reply.resp() == Resp::V3 {
                reply.raw(b"|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n");
            }
            reply.text("Some real reply following the attribute");
        }
        b"push" => {
            if reply.resp() == Resp::V2 {
                return Err(Failure::new("ERR RESP2 is not supported by this command"));
            }
            reply.push(2);
            reply.text("server-cpu-usage");
            reply.integer(42);
            reply.text("Some real reply following the push reply");
        }
        b"verbatim" => reply.verbatim("txt", "This is a verbatim\nstring"),
        b"bignum" => reply.big_number("1234567999999999999999999999999999999"),
        b"true" => reply.boolean(true),
        b"false" => reply.boolean(false),
        _ => {
            return Err(Failure::new(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::config::Access;
    use crate::testing::World;

    fn check(calls: &[(&str, &str)]) {
        let mut world = World::with(3, |settings| settings.enable_debug_command = Access::Yes);
        let client = world.connect(0);
        for (call, reply) in calls {
            assert_eq!(world.call(client, call), *reply, "{call}");
        }
    }

    #[test]
    fn an_object_shows_what_tests_read() {
        let mut world = World::with(3, |settings| settings.enable_debug_command = Access::Yes);
        let client = world.connect(0);
        for (value, parts) in [
            ("xyz", "encoding:embstr serializedlength:4 "),
            ("5", "encoding:int serializedlength:2 "),
            ("70000", "encoding:int serializedlength:5 "),
            (&"x".repeat(100), "encoding:raw serializedlength:102 "),
        ] {
            world.call(client, &format!("SET a {value}"));
            world.pass(3_000);
            let line = world.say(client, "DEBUG OBJECT a");
            assert!(line.starts_with("Value at:0x") && line.contains(parts), "{line}");
            assert!(line.ends_with(" lru_seconds_idle:3"), "{line}");
        }
        assert_eq!(world.say(client, "DEBUG OBJECT nosuch"), "ERR no such key");
    }

    #[test]
    fn patterns_are_tried() {
        check(&[
            ("DEBUG STRINGMATCH-LEN 50000 a*a", ":1\r\n"),
            ("DEBUG STRINGMATCH-LEN 50000 a*b", ":0\r\n"),
            ("DEBUG STRINGMATCH-LEN -1 a", "-ERR value is out of range\r\n"),
            ("DEBUG STRINGMATCH-LEN x a", "-ERR value is not an integer or out of range\r\n"),
        ]);
    }

    #[test]
    fn every_kind_of_reply_can_be_had() {
        check(&[
            ("DEBUG PROTOCOL map", "*6\r\n:0\r\n:0\r\n:1\r\n:1\r\n:2\r\n:0\r\n"),
            ("DEBUG PROTOCOL push", "-ERR RESP2 is not supported by this command\r\n"),
            ("DEBUG PROTOCOL attrib", "$39\r\nSome real reply following the attribute\r\n"),
            (
                "DEBUG PROTOCOL foo",
                "-ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false\r\n",
            ),
        ]);
        let mut world = World::with(1, |settings| settings.enable_debug_command = Access::Yes);
        let client = world.connect(0);
        world.call(client, "HELLO 3");
        for (kind, reply) in [
            ("integer", ":12345\r\n"),
            ("double", ",3.141\r\n"),
            ("null", "_\r\n"),
            ("set", "~3\r\n:0\r\n:1\r\n:2\r\n"),
            ("map", "%3\r\n:0\r\n#f\r\n:1\r\n#t\r\n:2\r\n#f\r\n"),
            ("bignum", "(1234567999999999999999999999999999999\r\n"),
            ("verbatim", "=29\r\ntxt:This is a verbatim\nstring\r\n"),
            ("true", "#t\r\n"),
            ("false", "#f\r\n"),
            (
                "push",
                ">2\r\n$16\r\nserver-cpu-usage\r\n:42\r\n$40\r\nSome real reply following the push reply\r\n",
            ),
            (
                "attrib",
                "|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n$39\r\nSome real reply following the attribute\r\n",
            ),
        ] {
            assert_eq!(world.call(client, &format!("DEBUG PROTOCOL {kind}")), reply, "{kind}");
        }
    }
}
