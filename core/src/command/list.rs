//! Lists: adding and taking elements at their ends.

use super::parse::ranged;
use super::row::{Command, Example, Flags, Group, Keys, Run, Touch};
use crate::args::Args;
use crate::database::Key;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::shard::Cx;
use crate::value::element::Element;
use crate::value::list::{Fill, List};
use crate::value::pack::Side;

const ROW: Command = Command { group: Group::List, keys: Keys::ONE, ..Command::DEFAULT };
const PUSH: Command = Command {
    arity: -3,
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    touch: Touch::Insert,
    complexity: "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.",
    syntax: "key element [element ...]",
    ..ROW
};
const POP: Command = Command {
    arity: -2,
    flags: Flags::WRITE.or(Flags::FAST),
    touch: Touch::Take,
    complexity: "O(N) where N is the number of elements returned",
    syntax: "key [count:integer]",
    ..ROW
};

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "lpush",
        summary: "Prepends one or more elements to a list. Creates the key if it doesn't exist.",
        examples: &[
            Example { call: "LPUSH mylist world", reply: "1" },
            Example { call: "LPUSH mylist hello", reply: "2" },
            Example { call: "LRANGE mylist 0 -1", reply: "hello\nworld" },
        ],
        run: Run::Hop(|cx, args, reply| push(cx, args, Side::Left, reply)),
        ..PUSH
    },
    Command {
        name: "rpush",
        summary: "Appends one or more elements to a list. Creates the key if it doesn't exist.",
        examples: &[
            Example { call: "RPUSH mylist hello world", reply: "2" },
            Example { call: "LRANGE mylist 0 -1", reply: "hello\nworld" },
        ],
        run: Run::Hop(|cx, args, reply| push(cx, args, Side::Right, reply)),
        ..PUSH
    },
    Command {
        name: "lpushx",
        since: "2.2.0",
        summary: "Prepends one or more elements to a list only when the list exists.",
        examples: &[
            Example { call: "LPUSHX mylist hello", reply: "0" },
            Example { call: "LPUSH mylist world", reply: "1" },
            Example { call: "LPUSHX mylist hello", reply: "2" },
        ],
        run: Run::Hop(|cx, args, reply| push_if_there(cx, args, Side::Left, reply)),
        ..PUSH
    },
    Command {
        name: "rpushx",
        since: "2.2.0",
        summary: "Appends one or more elements to a list only when the list exists.",
        examples: &[
            Example { call: "RPUSHX mylist hello", reply: "0" },
            Example { call: "RPUSH mylist hello", reply: "1" },
            Example { call: "RPUSHX mylist world", reply: "2" },
        ],
        run: Run::Hop(|cx, args, reply| push_if_there(cx, args, Side::Right, reply)),
        ..PUSH
    },
    Command {
        name: "lpop",
        summary: "Returns the first elements in a list after removing it. Deletes the list if the last element was popped.",
        examples: &[
            Example { call: "RPUSH mylist one two three four", reply: "4" },
            Example { call: "LPOP mylist", reply: "one" },
            Example { call: "LPOP mylist 2", reply: "two\nthree" },
        ],
        run: Run::Hop(|cx, args, reply| pop(cx, args, Side::Left, reply)),
        ..POP
    },
    Command {
        name: "rpop",
        summary: "Returns and removes the last elements of a list. Deletes the list if the last element was popped.",
        examples: &[
            Example { call: "RPUSH mylist one two three four", reply: "4" },
            Example { call: "RPOP mylist", reply: "four" },
            Example { call: "RPOP mylist 2", reply: "three\ntwo" },
        ],
        run: Run::Hop(|cx, args, reply| pop(cx, args, Side::Right, reply)),
        ..POP
    },
    Command {
        name: "llen",
        arity: 2,
        flags: Flags::READONLY.or(Flags::FAST),
        touch: Touch::Measure,
        summary: "Returns the length of a list.",
        syntax: "key",
        examples: &[
            Example { call: "RPUSH mylist hello world", reply: "2" },
            Example { call: "LLEN mylist", reply: "2" },
            Example { call: "LLEN nosuch", reply: "0" },
        ],
        run: Run::Hop(len),
        ..ROW
    },
];

/// How full the packs of lists may be.
pub(super) fn fill(cx: &Cx<'_>) -> Fill {
    Fill(cx.settings.list_max_listpack_size)
}

/// LEFT or RIGHT.
pub(super) fn side(word: &[u8]) -> Result<Side, Failure> {
    match () {
        () if word.eq_ignore_ascii_case(b"left") => Ok(Side::Left),
        () if word.eq_ignore_ascii_case(b"right") => Ok(Side::Right),
        () => Err(Failure::SYNTAX),
    }
}

/// Writes an element as a bulk.
#[inline]
pub(super) fn reply_element(element: Element<'_>, reply: &mut Reply<'_>) {
    match element {
        Element::Integer(number) => reply.bulk_integer(number),
        Element::Bytes(bytes) => reply.bulk(bytes),
    }
}

/// Takes one element from an end; `None` if there is no key.
/// LPOP or RPOP.
pub(super) fn pop_name(side: Side) -> &'static [u8] {
    if side == Side::Left { b"lpop" } else { b"rpop" }
}

/// LPUSH or RPUSH.
pub(super) fn push_name(side: Side) -> &'static [u8] {
    if side == Side::Left { b"lpush" } else { b"rpush" }
}

pub(super) fn pop_one(cx: &mut Cx<'_>, key: Key<'_>, side: Side) -> Result<Option<Vec<u8>>, Failure> {
    let fill = fill(cx);
    cx.change_held(key, |list: &mut List| {
        let element = list.end(side)?.to_vec();
        list.drop_end(side, fill);
        Some(element)
    })
}

/// Adds one element at an end.
pub(super) fn push_one(cx: &mut Cx<'_>, key: Key<'_>, side: Side, element: &[u8]) -> Outcome {
    let fill = fill(cx);
    cx.grow_held(key, |list: &mut List| list.push(side, element, fill))
}

/// Takes up to `count` elements from an end and writes them as an array, the outermost first; false, and nothing written, if there is no
/// key.
pub(super) fn pop_many(
    cx: &mut Cx<'_>,
    key: Key<'_>,
    side: Side,
    count: usize,
    reply: &mut Reply<'_>,
) -> Result<bool, Failure> {
    let fill = fill(cx);
    let popped = cx.change_held(key, |list: &mut List| {
        let (len, count) = (list.len(), count.min(list.len()));
        reply.array(count);
        match side {
            Side::Left => list.range(0, count).for_each(|element| reply_element(element, reply)),
            Side::Right => {
                list.range_back(len - count, len).for_each(|element| reply_element(element, reply))
            }
        }
        list.remove(if side == Side::Left { 0 } else { len - count }, count, fill);
        Some(())
    })?;
    Ok(popped.is_some())
}

/// All elements of a command, the outermost last.
fn push_all(list: &mut List, args: Args<'_>, side: Side, fill: Fill) -> usize {
    let elements = args.skip(2);
    list.expect(elements.iter().map(<[u8]>::len).sum(), elements.len(), fill);
    elements.iter().for_each(|element| list.push(side, element, fill));
    list.len()
}

fn push(cx: &mut Cx<'_>, args: Args<'_>, side: Side, reply: &mut Reply<'_>) -> Outcome {
    let fill = fill(cx);
    let len = cx.grow_held(cx.key(args, 0), |list| push_all(list, args, side, fill))?;
    reply.count(len);
    Ok(())
}

fn push_if_there(cx: &mut Cx<'_>, args: Args<'_>, side: Side, reply: &mut Reply<'_>) -> Outcome {
    let fill = fill(cx);
    let len = cx.change_held(cx.key(args, 0), |list| Some(push_all(list, args, side, fill)))?;
    reply.count(len.unwrap_or(0));
    Ok(())
}

fn pop(cx: &mut Cx<'_>, args: Args<'_>, side: Side, reply: &mut Reply<'_>) -> Outcome {
    let key = cx.key(args, 0);
    if args.len() > 3 {
        let name = String::from_utf8_lossy(args.at(0)).to_lowercase();
        return Err(Failure::text(format!("ERR wrong number of arguments for '{name}' command")));
    }
    let Some(word) = args.get(2) else {
        let fill = fill(cx);
        let popped = cx.change_held(key, |list: &mut List| {
            reply_element(list.end(side)?, reply);
            list.drop_end(side, fill);
            Some(())
        })?;
        if popped.is_none() {
            reply.null();
        }
        return Ok(());
    };
    let count = ranged(word, 0, "ERR value is out of range, must be positive")?;
    match count {
        0 if cx.peek_held::<List>(key)?.is_some() => reply.array(0),
        0 => reply.null_array(),
        _ => {
            if !pop_many(cx, key, side, count as usize, reply)? {
                reply.null_array();
            }
        }
    }
    Ok(())
}

fn len(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let len = cx.read_held::<List>(cx.key(args, 0))?.map_or(0, List::len);
    reply.count(len);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    #[test]
    fn ends_are_pushed_to_and_popped_from() {
        let mut world = World::new(3);
        let client = world.connect(0);
        for (call, reply) in [
            ("LPUSHX l a", ":0\r\n"),
            ("RPUSH l b c 10 007", ":4\r\n"),
            ("LPUSH l a z", ":6\r\n"),
            ("LPUSHX l y", ":7\r\n"),
            ("RPUSHX l d", ":8\r\n"),
            ("LLEN l", ":8\r\n"),
            ("TYPE l", "+list\r\n"),
            ("LPOP l", "$1\r\ny\r\n"),
            ("RPOP l 0", "*0\r\n"),
            ("RPOP l 3", "*3\r\n$1\r\nd\r\n$3\r\n007\r\n$2\r\n10\r\n"),
            ("LPOP l 2", "*2\r\n$1\r\nz\r\n$1\r\na\r\n"),
            ("LPOP l 100", "*2\r\n$1\r\nb\r\n$1\r\nc\r\n"),
            ("EXISTS l", ":0\r\n"),
            ("LPOP l", "$-1\r\n"),
            ("LPOP l 0", "*-1\r\n"),
            ("RPOP l 1", "*-1\r\n"),
            ("LLEN l", ":0\r\n"),
            ("LPOP l x", "-ERR value is out of range, must be positive\r\n"),
            ("LPOP l -1", "-ERR value is out of range, must be positive\r\n"),
            ("lPop l 1 2", "-ERR wrong number of arguments for 'lpop' command\r\n"),
        ] {
            assert_eq!(world.call(client, call), reply, "{call}");
        }
        world.call(client, "HELLO 3");
        for (call, reply) in [("LPOP l", "_\r\n"), ("LPOP l 1", "_\r\n")] {
            assert_eq!(world.call(client, call), reply, "{call}");
        }
    }

    #[test]
    fn a_list_is_no_string_and_a_string_no_list() {
        let mut world = World::new(3);
        let client = world.connect(0);
        world.call(client, "SET {k}s text");
        world.call(client, "RPUSH {k}l a");
        for call in [
            "LPUSH {k}s a",
            "RPUSH {k}s a",
            "LPUSHX {k}s a",
            "LPOP {k}s",
            "RPOP {k}s 1",
            "LPOP {k}s 0",
            "LLEN {k}s",
            "LRANGE {k}s 0 -1",
            "LINDEX {k}s x",
            "LSET {k}s x a",
            "LINSERT {k}s BEFORE a b",
            "LREM {k}s 0 a",
            "LTRIM {k}s 0 1",
            "LPOS {k}s a",
            "LMOVE {k}s {k}l LEFT LEFT",
            "LMOVE {k}l {k}s LEFT LEFT",
            "RPOPLPUSH {k}s {k}l",
            "LMPOP 2 {k}nosuch {k}s LEFT",
            "GET {k}l",
            "GETSET {k}l x",
            "GETDEL {k}l",
            "GETEX {k}l EX 10",
            "GETRANGE {k}l 0 1",
            "SETRANGE {k}l 1 x",
            "SETRANGE {k}l 0 ''",
            "APPEND {k}l x",
            "STRLEN {k}l",
            "INCR {k}l",
            "INCRBYFLOAT {k}l 1",
            "SET {k}l x GET",
            "SET {k}l x IFEQ a",
            "DELIFEQ {k}l a",
            "DIGEST {k}l",
        ] {
            let reply = world.call(client, call);
            assert_eq!(
                reply, "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
                "{call}"
            );
        }
        for (call, reply) in [
            ("LRANGE {k}l 0 -1", "a"),
            ("GET {k}s", "text"),
            ("MGET {k}s {k}l {k}s", "text\n\ntext"),
            ("LCS {k}s {k}l", "ERR The specified keys must contain string values"),
            ("SETNX {k}l x", "0"),
            ("MSETNX {k}new x {k}l x", "0"),
            ("SET {k}l x NX", ""),
            ("SET {k}l x XX", "OK"),
            ("TYPE {k}l", "string"),
            ("LMOVE {k}nosuch {k}s LEFT LEFT", ""),
        ] {
            assert_eq!(world.say(client, call), reply, "{call}");
        }
    }

    #[test]
    fn a_list_goes_where_its_key_goes() {
        let mut world = World::new(2);
        let client = world.connect(0);
        for n in 0..3_000 {
            world.call(client, &format!("RPUSH {{k}}a element:{n}"));
        }
        for (call, reply) in [
            ("OBJECT ENCODING {k}a", "quicklist"),
            ("PEXPIRE {k}a 100000", "1"),
            ("COPY {k}a {k}b", "1"),
            ("RENAME {k}a {k}c", "OK"),
            ("RPUSH {k}b last", "3001"),
            ("LLEN {k}c", "3000"),
            ("TTL {k}c", "100"),
            ("MOVE {k}c 3", "1"),
            ("SELECT 3", "OK"),
            ("LINDEX {k}c -1", "element:2999"),
            ("TTL {k}c", "100"),
            ("OBJECT REFCOUNT {k}c", "1"),
            ("OBJECT IDLETIME {k}c", "0"),
            ("SCAN 0 TYPE list COUNT 100", "*"),
            ("LTRIM {k}c 0 9", "OK"),
            ("OBJECT ENCODING {k}c", "listpack"),
            ("RENAMENX {k}c {k}b", "1"),
            ("LLEN {k}b", "10"),
        ] {
            let found = world.say(client, call);
            assert!(reply == "*" || found == reply, "{call}: {found}");
        }
        let usage: usize = world.say(client, "MEMORY USAGE {k}b SAMPLES 0").parse().expect("a number");
        assert!((150..500).contains(&usage), "{usage}");
        for engine in &world.engines {
            engine.node().shard.databases().iter().for_each(|db| assert_eq!(db.recount(), Ok(())));
        }
    }

    #[test]
    fn heavy_lists_are_freed_in_the_background() {
        let removals = ["DEL l", "UNLINK l", "SET l x", "RENAME x{l} l", "PEXPIRE l 0", "GETDEL x{l}"];
        for removal in removals {
            let mut world = World::new(1);
            let client = world.connect(0);
            world.call(client, "SET x{l} y");
            let element = "e".repeat(8_000);
            for _ in 0..100 {
                world.call(client, &format!("RPUSH l {element}"));
            }
            let before = world.engines[0].node().shard.used_bytes();
            world.call(client, removal);
            let node = world.engines[0].node();
            let heavy = removal != "GETDEL x{l}";
            assert_eq!(world.engines[0].has_background(), heavy, "{removal}");
            assert!(node.shard.used_bytes() + 1_000 > before, "{removal}: nothing is free yet");
            assert_eq!(node.shard.trash().recount(), Ok(()));
            world.engines[0].node.shard.free_some(1_000);
            let node = world.engines[0].node();
            assert_eq!(node.shard.used_bytes() < before - 800_000, heavy, "{removal}");
            node.shard.databases().iter().for_each(|db| assert_eq!(db.recount(), Ok(())));
        }
    }
}
