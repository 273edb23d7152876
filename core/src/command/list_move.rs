//! Lists: taking elements of one of several lists, and moving an element from list to list.

use super::list::{fill, pop_many, pop_one, push_one, side};
use super::parse::ranged;
use super::row::{Command, Example, Flags, Group, Keys, Run, Touch};
use crate::args::Args;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::shard::Cx;
use crate::value::list::List;
use crate::value::pack::Side;

const ROW: Command = Command { group: Group::List, ..Command::DEFAULT };
const MOVE: Command =
    Command { flags: Flags::WRITE.or(Flags::DENYOOM), keys: Keys::TWO, touch: Touch::Move, ..ROW };

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "lmove",
        arity: 5,
        since: "6.2.0",
        summary: "Returns an element after popping it from one list and pushing it to another. Deletes the list if the last element \
                  was moved.",
        syntax: "source:key destination:key wherefrom:<LEFT | RIGHT> whereto:<LEFT | RIGHT>",
        examples: &[
            Example { call: "RPUSH {l}1 one two three", reply: "3" },
            Example { call: "LMOVE {l}1 {l}2 RIGHT LEFT", reply: "three" },
            Example { call: "LMOVE {l}1 {l}2 LEFT RIGHT", reply: "one" },
            Example { call: "LRANGE {l}2 0 -1", reply: "three\none" },
        ],
        run: Run::Hop(|cx, args, reply| {
            let (from, to) = (side(args.at(3))?, side(args.at(4))?);
            move_one(cx, args, from, to, reply)
        }),
        ..MOVE
    },
    Command {
        name: "rpoplpush",
        arity: 3,
        since: "1.2.0",
        summary: "Returns the last element of a list after removing and pushing it to another list. Deletes the list if the last \
                  element was popped.",
        syntax: "source:key destination:key",
        examples: &[
            Example { call: "RPUSH {l}1 one two three", reply: "3" },
            Example { call: "RPOPLPUSH {l}1 {l}2", reply: "three" },
            Example { call: "LRANGE {l}2 0 -1", reply: "three" },
        ],
        run: Run::Hop(|cx, args, reply| move_one(cx, args, Side::Right, Side::Left, reply)),
        ..MOVE
    },
    Command {
        name: "lmpop",
        arity: -4,
        flags: Flags::WRITE.or(Flags::MOVABLE_KEYS),
        keys: Keys::Counted { count: 1, step: 1 },
        touch: Touch::Take,
        since: "7.0.0",
        summary: "Returns multiple elements from a list after removing them. Deletes the list if the last element was popped.",
        complexity: "O(N+M) where N is the number of provided keys and M is the number of elements returned.",
        syntax: "numkeys:integer key [key ...] where:<LEFT | RIGHT> [COUNT count:integer]",
        examples: &[
            Example { call: "LMPOP 2 {l}1 {l}2 LEFT", reply: "" },
            Example { call: "RPUSH {l}2 one two three", reply: "3" },
            Example { call: "LMPOP 2 {l}1 {l}2 RIGHT COUNT 2", reply: "{l}2\nthree\ntwo" },
        ],
        run: Run::Hop(pop_of_several),
        ..ROW
    },
];

fn move_one(cx: &mut Cx<'_>, args: Args<'_>, from: Side, to: Side, reply: &mut Reply<'_>) -> Outcome {
    let (source, target, fill) = (cx.key(args, 0), cx.key(args, 1), fill(cx));
    let is_there = cx.peek_held::<List>(source)?.is_some();
    if is_there {
        // Both types are looked at before anything is changed.
        cx.peek_held::<List>(target)?;
    }
    let moved = if source.bytes == target.bytes {
        // The key, and its deadline, stay though the list may be empty for a moment.
        cx.change_held(source, |list: &mut List| {
            let element = list.end(from)?.to_vec();
            list.drop_end(from, fill);
            list.push(to, &element, fill);
            Some(element)
        })?
    } else {
        let popped = pop_one(cx, source, from)?;
        if let Some(element) = &popped {
            push_one(cx, target, to, element)?;
        }
        popped
    };
    match moved {
        Some(element) => reply.bulk(&element),
        None => reply.null(),
    }
    Ok(())
}

/// What stands behind the keys of LMPOP: from which end, and how many.
pub(super) struct Taking {
    pub(super) side: Side,
    pub(super) count: usize,
}

impl Taking {
    /// `numkeys` stands at argument `n`, the keys behind it.
    pub(super) fn parse(args: Args<'_>, n: usize) -> Result<Taking, Failure> {
        let keys = ranged(args.at(n), 1, "ERR numkeys should be greater than 0")? as usize;
        let at = keys.checked_add(n + 1).filter(|&at| at < args.len()).ok_or(Failure::SYNTAX)?;
        let side = side(args.at(at))?;
        let count = match args.len() - at {
            1 => 1,
            3 if args.is(at + 1, "count") => {
                ranged(args.at(at + 2), 1, "ERR count should be greater than 0")? as usize
            }
            // Redis reads the first count before it finds a second word too many.
            4.. if args.is(at + 1, "count") => {
                ranged(args.at(at + 2), 1, "ERR count should be greater than 0")?;
                return Err(Failure::SYNTAX);
            }
            _ => return Err(Failure::SYNTAX),
        };
        Ok(Taking { side, count })
    }
}

fn pop_of_several(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let taking = Taking::parse(args, 1)?;
    for n in 0..cx.keys.len() {
        let key = cx.key(args, n);
        if cx.peek_held::<List>(key)?.is_some() {
            reply.array(2);
            reply.bulk(key.bytes);
            pop_many(cx, key, taking.side, taking.count, reply)?;
            return Ok(());
        }
    }
    reply.null_array();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    #[test]
    fn elements_move_from_list_to_list() {
        let mut world = World::new(3);
        let client = world.connect(0);
        world.call(client, "RPUSH {l}a 1 2 3");
        for (call, reply) in [
            ("LMOVE {l}a {l}b LEFT LEFT", "$1\r\n1\r\n"),
            ("LMOVE {l}a {l}b right right", "$1\r\n3\r\n"),
            ("LMOVE {l}a {l}b UP LEFT", "-ERR syntax error\r\n"),
            ("PEXPIRE {l}a 100000", ":1\r\n"),
            ("RPOPLPUSH {l}a {l}a", "$1\r\n2\r\n"),
            ("TTL {l}a", ":100\r\n"),
            ("RPOPLPUSH {l}a {l}b", "$1\r\n2\r\n"),
            ("EXISTS {l}a", ":0\r\n"),
            ("RPOPLPUSH {l}a {l}b", "$-1\r\n"),
            ("LRANGE {l}b 0 -1", "*3\r\n$1\r\n2\r\n$1\r\n1\r\n$1\r\n3\r\n"),
            ("LMOVE {l}b {l}b LEFT RIGHT", "$1\r\n2\r\n"),
            ("LRANGE {l}b 0 -1", "*3\r\n$1\r\n1\r\n$1\r\n3\r\n$1\r\n2\r\n"),
            ("LMPOP 2 {l}a {l}b LEFT", "*2\r\n$4\r\n{l}b\r\n*1\r\n$1\r\n1\r\n"),
            ("LMPOP 2 {l}a {l}b RIGHT COUNT 9", "*2\r\n$4\r\n{l}b\r\n*2\r\n$1\r\n2\r\n$1\r\n3\r\n"),
            ("LMPOP 1 {l}b RIGHT", "*-1\r\n"),
            ("LMPOP 0 {l}b RIGHT", "-ERR numkeys should be greater than 0\r\n"),
            ("LMPOP x {l}b RIGHT", "-ERR numkeys should be greater than 0\r\n"),
            ("LMPOP 2 {l}b RIGHT", "-ERR syntax error\r\n"),
            ("LMPOP 9223372036854775807 {l}b RIGHT", "-ERR syntax error\r\n"),
            ("LMPOP 1 {l}b UP", "-ERR syntax error\r\n"),
            ("LMPOP 1 {l}b LEFT COUNT", "-ERR syntax error\r\n"),
            ("LMPOP 1 {l}b LEFT COUNT 0", "-ERR count should be greater than 0\r\n"),
            ("LMPOP 1 {l}b LEFT COUNT 0 COUNT 1", "-ERR count should be greater than 0\r\n"),
            ("LMPOP 1 {l}b LEFT COUNT 1 COUNT 1", "-ERR syntax error\r\n"),
        ] {
            assert_eq!(world.call(client, call), reply, "{call}");
        }
    }
}
