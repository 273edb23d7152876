//! Hashes: all fields at once.

use super::hash::ROW;
use super::list::reply_element;
use super::row::{Command, Example, Flags, Run};
use crate::args::Args;
use crate::protocol::reply::{Outcome, Reply};
use crate::shard::Cx;
use crate::value::field::Field;
use crate::value::hash::Hash;

const ALL: Command = Command {
    arity: 2,
    flags: Flags::READONLY,
    complexity: "O(N) where N is the size of the hash.",
    syntax: "key",
    ..ROW
};

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "hgetall",
        summary: "Returns all fields and values in a hash.",
        examples: &[
            Example { call: "HSET myhash field1 Hello field2 World", reply: "2" },
            Example { call: "HGETALL myhash", reply: "field1\nHello\nfield2\nWorld" },
        ],
        run: Run::Hop(|cx, args, reply| {
            all(
                cx,
                args,
                reply,
                |reply, len| reply.map(len),
                |field, reply| {
                    reply_element(field.name, reply);
                    reply_element(field.value, reply);
                },
            )
        }),
        ..ALL
    },
    Command {
        name: "hkeys",
        summary: "Returns all fields in a hash.",
        examples: &[
            Example { call: "HSET myhash field1 Hello field2 World", reply: "2" },
            Example { call: "HKEYS myhash", reply: "field1\nfield2" },
        ],
        run: Run::Hop(|cx, args, reply| {
            all(
                cx,
                args,
                reply,
                |reply, len| reply.array(len),
                |field, reply| reply_element(field.name, reply),
            )
        }),
        ..ALL
    },
    Command {
        name: "hvals",
        summary: "Returns all values in a hash.",
        examples: &[
            Example { call: "HSET myhash field1 Hello field2 World", reply: "2" },
            Example { call: "HVALS myhash", reply: "Hello\nWorld" },
        ],
        run: Run::Hop(|cx, args, reply| {
            all(
                cx,
                args,
                reply,
                |reply, len| reply.array(len),
                |field, reply| reply_element(field.value, reply),
            )
        }),
        ..ALL
    },
];

fn all(
    cx: &mut Cx<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
    head: fn(&mut Reply<'_>, usize),
    each: fn(Field<'_>, &mut Reply<'_>),
) -> Outcome {
    let now = cx.now;
    let Some(hash) = cx.read_held::<Hash>(cx.key(args, 0))? else {
        head(reply, 0);
        return Ok(());
    };
    head(reply, hash.living(now));
    hash.iter().filter(|field| field.lives(now)).for_each(|field| each(field, reply));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    #[test]
    fn all_fields_are_a_map_where_there_are_maps() {
        let mut world = World::new(2);
        let client = world.connect(0);
        world.call(client, "HSET h a 1 b x");
        for (call, reply) in [
            ("HGETALL h", "*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\nx\r\n"),
            ("HKEYS h", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"),
            ("HVALS h", "*2\r\n$1\r\n1\r\n$1\r\nx\r\n"),
            ("HVALS nosuch", "*0\r\n"),
        ] {
            assert_eq!(world.call(client, call), reply, "{call}");
        }
        world.call(client, "HELLO 3");
        assert_eq!(world.call(client, "HGETALL h"), "%2\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\nx\r\n");
        assert_eq!(world.call(client, "HGETALL nosuch"), "%0\r\n");
    }
}
