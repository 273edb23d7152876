//! Lists: changing them between their ends.

use super::list::fill;
use super::list_read::{place, places};
use super::parse::integer;
use super::row::{Command, Example, Flags, Group, Keys, Run, Touch};
use crate::args::Args;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::shard::Cx;
use crate::value::element::Element;
use crate::value::list::List;
use crate::value::pack::Side;

const ROW: Command =
    Command { group: Group::List, keys: Keys::ONE, arity: 4, flags: Flags::WRITE, ..Command::DEFAULT };

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "lset",
        flags: Flags::WRITE.or(Flags::DENYOOM),
        touch: Touch::Change,
        summary: "Sets the value of an element in a list by its index.",
        complexity: "O(N) where N is the length of the list. Setting either the first or the last element of the list is O(1).",
        syntax: "key index:integer element",
        examples: &[
            Example { call: "RPUSH mylist one two three", reply: "3" },
            Example { call: "LSET mylist 0 four", reply: "OK" },
            Example { call: "LSET mylist -2 five", reply: "OK" },
            Example { call: "LRANGE mylist 0 -1", reply: "four\nfive\nthree" },
        ],
        run: Run::Hop(set),
        ..ROW
    },
    Command {
        name: "linsert",
        arity: 5,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        touch: Touch::Insert,
        since: "2.2.0",
        summary: "Inserts an element before or after another element in a list.",
        complexity: "O(N) where N is the number of elements to traverse before seeing the value pivot. This means that inserting \
                     somewhere on the left end on the list (head) can be considered O(1) and inserting somewhere on the right end \
                     (tail) is O(N).",
        syntax: "key where:<BEFORE | AFTER> pivot element",
        examples: &[
            Example { call: "RPUSH mylist Hello World", reply: "2" },
            Example { call: "LINSERT mylist BEFORE World There", reply: "3" },
            Example { call: "LRANGE mylist 0 -1", reply: "Hello\nThere\nWorld" },
        ],
        run: Run::Hop(insert),
        ..ROW
    },
    Command {
        name: "lrem",
        touch: Touch::Delete,
        summary: "Removes elements from a list. Deletes the list if the last element was removed.",
        complexity: "O(N+M) where N is the length of the list and M is the number of elements removed.",
        syntax: "key count:integer element",
        examples: &[
            Example { call: "RPUSH mylist hello hello foo hello", reply: "4" },
            Example { call: "LREM mylist -2 hello", reply: "2" },
            Example { call: "LRANGE mylist 0 -1", reply: "hello\nfoo" },
        ],
        run: Run::Hop(remove),
        ..ROW
    },
    Command {
        name: "ltrim",
        touch: Touch::Delete,
        summary: "Removes elements from both ends a list. Deletes the list if all elements were trimmed.",
        complexity: "O(N) where N is the number of elements to be removed by the operation.",
        syntax: "key start:integer stop:integer",
        examples: &[
            Example { call: "RPUSH mylist one two three", reply: "3" },
            Example { call: "LTRIM mylist 1 -1", reply: "OK" },
            Example { call: "LRANGE mylist 0 -1", reply: "two\nthree" },
        ],
        run: Run::Hop(trim),
        ..ROW
    },
];

fn set(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, fill) = (cx.key(args, 0), fill(cx));
    let len = cx.peek_held::<List>(key)?.ok_or(Failure::NO_KEY)?.len();
    let index = place(integer(args.at(2))?, len).ok_or(Failure::INDEX_RANGE)?;
    cx.change_held(key, |list: &mut List| list.set(index, args.at(3), fill).then_some(()))?;
    reply.ok();
    Ok(())
}

fn insert(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let behind = match () {
        () if args.is(2, "after") => 1,
        () if args.is(2, "before") => 0,
        () => return Err(Failure::SYNTAX),
    };
    let (key, fill) = (cx.key(args, 0), fill(cx));
    let pivot = Element::of(args.at(3));
    let Some(found) = cx.peek_held::<List>(key)?.map(|list| list.iter().position(|element| element == pivot))
    else {
        reply.integer(0);
        return Ok(());
    };
    let Some(place) = found else {
        reply.integer(-1);
        return Ok(());
    };
    let len = cx.change_held(key, |list: &mut List| {
        list.insert(place + behind, args.at(4), fill);
        Some(list.len())
    })?;
    reply.count(len.unwrap_or(0));
    Ok(())
}

fn remove(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let count = integer(args.at(2))?;
    let side = if count < 0 { Side::Right } else { Side::Left };
    let max = match count {
        0 => usize::MAX,
        _ => usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX),
    };
    let fill = fill(cx);
    let removed = cx.change_held(cx.key(args, 0), |list: &mut List| {
        let removed = list.remove_equal(side, max, args.at(3), fill);
        (removed > 0).then_some(removed)
    })?;
    reply.count(removed.unwrap_or(0));
    Ok(())
}

fn trim(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (start, stop) = (integer(args.at(2))?, integer(args.at(3))?);
    let (key, fill) = (cx.key(args, 0), fill(cx));
    let kept = cx.peek_held::<List>(key)?.map(|list| places(start, stop, list.len()));
    match kept {
        None => {}
        // The whole list goes with its key, if it is large in the background.
        Some(None) => {
            cx.remove(key);
        }
        Some(Some((from, to))) => {
            cx.change_held(key, |list: &mut List| {
                list.trim(from, to, fill);
                Some(())
            })?;
        }
    }
    reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    #[test]
    fn lists_are_changed_between_their_ends() {
        let mut world = World::new(3);
        let client = world.connect(2);
        world.call(client, "RPUSH l a b a c a 5");
        for (call, reply) in [
            ("LSET l 1 B", "+OK\r\n"),
            ("LSET l 6 x", "-ERR index out of range\r\n"),
            ("LSET l -7 x", "-ERR index out of range\r\n"),
            ("LSET l x x", "-ERR value is not an integer or out of range\r\n"),
            ("LSET nosuch x x", "-ERR no such key\r\n"),
            ("LINSERT l BETWEEN a x", "-ERR syntax error\r\n"),
            ("LINSERT nosuch after a x", ":0\r\n"),
            ("LINSERT l after nosuch x", ":-1\r\n"),
            ("LINSERT l before 5 4", ":7\r\n"),
            ("LINSERT l AFTER 5 6", ":8\r\n"),
            ("LREM l -1 a", ":1\r\n"),
            ("LREM l 1 a", ":1\r\n"),
            ("LREM l 0 nosuch", ":0\r\n"),
            ("LREM nosuch 0 a", ":0\r\n"),
            ("LREM nosuch x a", "-ERR value is not an integer or out of range\r\n"),
            ("LREM l -9223372036854775808 nosuch", ":0\r\n"),
            ("LRANGE l 0 -1", "*6\r\n$1\r\nB\r\n$1\r\na\r\n$1\r\nc\r\n$1\r\n4\r\n$1\r\n5\r\n$1\r\n6\r\n"),
            ("LTRIM l 1 -2", "+OK\r\n"),
            ("LRANGE l 0 -1", "*4\r\n$1\r\na\r\n$1\r\nc\r\n$1\r\n4\r\n$1\r\n5\r\n"),
            ("LTRIM nosuch 0 1", "+OK\r\n"),
            ("LTRIM nosuch 0 x", "-ERR value is not an integer or out of range\r\n"),
            ("LTRIM l 3 1", "+OK\r\n"),
            ("EXISTS l", ":0\r\n"),
        ] {
            assert_eq!(world.call(client, call), reply, "{call}");
        }
    }

    #[test]
    fn what_changes_nothing_is_no_change() {
        let mut world = World::new(1);
        let client = world.connect(0);
        let dirty = |world: &World| world.engines[0].node().shard.counters().dirty;
        world.call(client, "RPUSH l a b c");
        let before = dirty(&world);
        for call in
            ["LREM l 0 x", "LSET l 9 x", "LINSERT l AFTER x y", "LPOP nosuch", "LPOP l 0", "LPUSHX n a"]
        {
            world.call(client, call);
            assert_eq!(dirty(&world), before, "{call}");
        }
        for (n, call) in ["LPOP l", "LREM l 0 b", "RPOP l 5", "LPUSH l a"].into_iter().enumerate() {
            world.call(client, call);
            assert_eq!(dirty(&world), before + 1 + n as u64, "{call}");
        }
    }
}
