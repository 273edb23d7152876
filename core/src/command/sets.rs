//! Sets: members that a call names, and all of them.

use super::list::reply_element;
use super::row::{Command, Example, Flags, Group, Keys, Next, Plan, Run, Touch};
use crate::args::Args;
use crate::config::Settings;
use crate::hash::KeyHasher;
use crate::protocol::reply::{Outcome, Reply};
use crate::shard::Cx;
use crate::txn::work::{Finding, Order};
use crate::value::hash::Packing;
use crate::value::set::{Set, SetLimits};

pub(super) const ROW: Command = Command {
    group: Group::Set,
    keys: Keys::ONE,
    flags: Flags::READONLY.or(Flags::FAST),
    ..Command::DEFAULT
};

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "sadd",
        arity: -3,
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        touch: Touch::Insert,
        summary: "Adds one or more members to a set. Creates the key if it doesn't exist.",
        complexity: "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.",
        syntax: "key member [member ...]",
        examples: &[
            Example { call: "SADD myset 1 2", reply: "2" },
            Example { call: "SADD myset 2 3", reply: "1" },
            Example { call: "SMEMBERS myset", reply: "1\n2\n3" },
        ],
        run: Run::Hop(add),
        ..ROW
    },
    Command {
        name: "srem",
        arity: -3,
        flags: Flags::WRITE.or(Flags::FAST),
        touch: Touch::Delete,
        summary: "Removes one or more members from a set. Deletes the set if the last member was removed.",
        complexity: "O(N) where N is the number of members to be removed.",
        syntax: "key member [member ...]",
        examples: &[
            Example { call: "SADD myset one two three", reply: "3" },
            Example { call: "SREM myset one four", reply: "1" },
        ],
        run: Run::Hop(remove),
        ..ROW
    },
    Command {
        name: "smembers",
        arity: 2,
        flags: Flags::READONLY,
        summary: "Returns all members of a set.",
        complexity: "O(N) where N is the set cardinality.",
        syntax: "key",
        examples: &[
            Example { call: "SADD myset 2 1", reply: "2" },
            Example { call: "SMEMBERS myset", reply: "1\n2" },
        ],
        run: Run::Hop(|cx, args, reply| {
            let set = cx.read_held::<Set>(cx.key(args, 0))?;
            reply.set(set.map_or(0, Set::len));
            set.into_iter().flat_map(Set::iter).for_each(|member| reply_element(member, reply));
            Ok(())
        }),
        ..ROW
    },
    Command {
        name: "sismember",
        arity: 3,
        summary: "Determines whether a member belongs to a set.",
        syntax: "key member",
        examples: &[
            Example { call: "SADD myset one", reply: "1" },
            Example { call: "SISMEMBER myset one", reply: "1" },
            Example { call: "SISMEMBER myset two", reply: "0" },
        ],
        run: Run::Hop(|cx, args, reply| {
            let set = cx.read_held::<Set>(cx.key(args, 0))?;
            reply.integer(i64::from(set.is_some_and(|set| set.has(args.at(2)))));
            Ok(())
        }),
        ..ROW
    },
    Command {
        name: "smismember",
        arity: -3,
        since: "6.2.0",
        summary: "Determines whether multiple members belong to a set.",
        complexity: "O(N) where N is the number of elements being checked for membership",
        syntax: "key member [member ...]",
        examples: &[
            Example { call: "SADD myset one", reply: "1" },
            Example { call: "SMISMEMBER myset one two", reply: "1\n0" },
        ],
        run: Run::Hop(|cx, args, reply| {
            let set = cx.read_held::<Set>(cx.key(args, 0))?;
            reply.array(args.len() - 2);
            for member in args.skip(2).iter() {
                reply.integer(i64::from(set.is_some_and(|set| set.has(member))));
            }
            Ok(())
        }),
        ..ROW
    },
    Command {
        name: "scard",
        arity: 2,
        touch: Touch::Measure,
        summary: "Returns the number of members in a set.",
        syntax: "key",
        examples: &[
            Example { call: "SADD myset Hello World", reply: "2" },
            Example { call: "SCARD myset", reply: "2" },
        ],
        run: Run::Hop(|cx, args, reply| {
            let len = cx.read_held::<Set>(cx.key(args, 0))?.map_or(0, Set::len);
            reply.count(len);
            Ok(())
        }),
        ..ROW
    },
    Command {
        name: "smove",
        arity: 4,
        flags: Flags::WRITE.or(Flags::FAST),
        keys: Keys::TWO,
        touch: Touch::Move,
        summary: "Moves a member from one set to another.",
        syntax: "source:key destination:key member",
        examples: &[
            Example { call: "SADD {s}1 one two", reply: "2" },
            Example { call: "SMOVE {s}1 {s}2 two", reply: "1" },
            Example { call: "SMEMBERS {s}2", reply: "two" },
            Example { call: "SMOVE {s}1 {s}2 three", reply: "0" },
        ],
        run: Run::Plan(&SMOVE),
        ..ROW
    },
];

/// How sets lie in memory.
#[inline]
pub(super) fn limits(cx: &Cx<'_>) -> SetLimits {
    limits_of(cx.settings, cx.shard.hasher())
}

/// The same outside of a command on a key.
#[inline]
pub(super) fn limits_of(settings: &Settings, hasher: &KeyHasher) -> SetLimits {
    let many = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    SetLimits {
        ints: many(settings.set_max_intset_entries),
        packing: Packing {
            entries: many(settings.set_max_listpack_entries),
            bytes: many(settings.set_max_listpack_value),
            seeds: hasher.seeds_within(),
        },
    }
}

/// Where all members are there already, nothing is changed, and nobody who watches the key is told.
fn add(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let limits = limits(cx);
    let members = args.skip(2);
    let add = |set: &mut Set| {
        // Redis counts those as well that are there.
        set.expect(members.len(), &limits);
        members.iter().filter(|member| set.add(member, &limits)).count()
    };
    let mut added = None;
    cx.change_held(cx.key(args, 0), |set: &mut Set| {
        let count = add(set);
        added = Some(count);
        (count > 0).then_some(())
    })?;
    let added = match added {
        Some(added) => added,
        None => cx.grow_held(cx.key(args, 0), add)?,
    };
    reply.count(added);
    Ok(())
}

fn remove(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let removed = cx.change_held(cx.key(args, 0), |set: &mut Set| {
        let removed = args.skip(2).iter().filter(|member| set.remove(member)).count();
        (removed > 0).then_some(removed)
    })?;
    reply.count(removed.unwrap_or(0));
    Ok(())
}

/// Places of the keys of a move among the arguments, and of the member.
const SOURCE: u32 = 1;
const TARGET: u32 = 2;
const MEMBER: usize = 3;

/// First both look, then the one gives and the other takes.
const SMOVE: Plan = Plan {
    check: |_, _| Ok(()),
    reads: |_| false,
    act: act_move,
    next: |args, _, findings, reply| next_move(args, findings, reply),
};

fn act_move(cx: &mut Cx<'_>, args: Args<'_>, order: Order) -> Finding {
    let member = args.at(MEMBER);
    let done = match order.key {
        Some(SOURCE) => {
            let key = cx.key_of(args.at(SOURCE as usize));
            cx.say(key, &[b"srem", key.bytes, member]);
            cx.change_held(key, |set: &mut Set| set.remove(member).then_some(())).map(drop)
        }
        Some(_) => {
            let (limits, key) = (limits(cx), cx.key_of(args.at(TARGET as usize)));
            // Who watches the target sees a change only if there is one.
            let has = cx.peek_held::<Set>(key).map(|set| set.is_some_and(|set| set.has(member)));
            cx.say(key, &[b"sadd", key.bytes, member]);
            has.and_then(|has| match has {
                true => Ok(()),
                false => cx.grow_held(key, |set: &mut Set| set.add(member, &limits)).map(drop),
            })
        }
        None => {
            let looked = (0..cx.keys.len()).map(|n| {
                let (place, key) = (cx.keys[n].place, cx.key(args, n));
                let finding = match cx.peek_held::<Set>(key) {
                    Err(failure) => Finding::Failed(failure),
                    Ok(None) => Finding::Nothing,
                    Ok(Some(set)) => Finding::Flag(set.has(member)),
                };
                (place, finding)
            });
            return Finding::Keys(looked.collect());
        }
    };
    match done {
        Ok(()) => Finding::Flag(true),
        Err(failure) => Finding::Failed(failure),
    }
}

fn next_move(args: Args<'_>, findings: Vec<Finding>, reply: &mut Reply<'_>) -> Next {
    let (mut source, mut target, mut moved) = (Finding::Nothing, Finding::Nothing, false);
    for finding in findings {
        match finding {
            Finding::Keys(keys) => {
                for (place, finding) in keys {
                    *(if place == SOURCE { &mut source } else { &mut target }) = finding;
                }
            }
            Finding::Failed(failure) => return Next::Failed(failure),
            _ => moved = true,
        }
    }
    if moved {
        reply.integer(1);
        return Next::Done;
    }
    let is_same = args.at(SOURCE as usize) == args.at(TARGET as usize);
    match (source, target) {
        (Finding::Failed(failure), _) => return Next::Failed(failure),
        // Nobody asks what the target is.
        (Finding::Nothing, _) => reply.integer(0),
        (_, Finding::Failed(failure)) => return Next::Failed(failure),
        (Finding::Flag(true), _) if !is_same => {
            let order = |key| Order { step: 0, key: Some(key), given: Finding::Nothing };
            return Next::Step(vec![order(SOURCE), order(TARGET)]);
        }
        (has, _) => reply.integer(i64::from(has == Finding::Flag(true))),
    }
    Next::Done
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    #[test]
    fn members_are_added_looked_for_and_removed() {
        let mut world = World::new(3);
        let client = world.connect(0);
        for (call, reply) in [
            ("SADD s 3 1 2 3", ":3\r\n"),
            ("SADD s 1", ":0\r\n"),
            ("OBJECT ENCODING s", "$6\r\nintset\r\n"),
            ("SMEMBERS s", "*3\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n"),
            ("SADD s x", ":1\r\n"),
            ("OBJECT ENCODING s", "$8\r\nlistpack\r\n"),
            ("SCARD s", ":4\r\n"),
            ("SISMEMBER s 3", ":1\r\n"),
            ("SISMEMBER s 03", ":0\r\n"),
            ("SMISMEMBER s x y 1", "*3\r\n:1\r\n:0\r\n:1\r\n"),
            ("SMISMEMBER nosuch x y", "*2\r\n:0\r\n:0\r\n"),
            ("SREM s 1 x nosuch", ":2\r\n"),
            ("SREM s 2 3", ":2\r\n"),
            ("EXISTS s", ":0\r\n"),
            ("SREM s 2 3", ":0\r\n"),
            ("SMEMBERS s", "*0\r\n"),
            ("SCARD s", ":0\r\n"),
        ] {
            assert_eq!(world.call(client, call), reply, "{call}");
        }
        world.call(client, "SADD s a");
        for (call, reply) in
            [("WATCH s", "+OK\r\n"), ("SADD s a a", ":0\r\n"), ("MULTI", "+OK\r\n"), ("EXEC", "*0\r\n")]
        {
            assert_eq!(world.call(client, call), reply, "who adds nothing changes nothing: {call}");
        }
        world.call(client, "HELLO 3");
        assert_eq!(world.call(client, "SMEMBERS s"), "~1\r\n$1\r\na\r\n");
    }

    #[test]
    fn a_member_moves_from_set_to_set() {
        for cores in [1, 3] {
            let mut world = World::new(cores);
            let client = world.connect(0);
            for (call, reply) in [
                ("SADD a x y 1", "3"),
                ("SMOVE a b x", "1"),
                ("SMOVE a b x", "0"),
                ("SMOVE a a y", "1"),
                ("SMOVE a a x", "0"),
                ("SMOVE nosuch b x", "0"),
                ("SMOVE a c 1", "1"),
                ("OBJECT ENCODING c", "intset"),
                ("SADD c y", "1"),
                ("SMOVE a c y", "1"),
                ("EXISTS a", "0"),
                ("SCARD c", "2"),
                ("SET t x", "OK"),
                ("SMOVE nosuch t x", "0"),
                ("SMOVE b t x", "WRONGTYPE Operation against a key holding the wrong kind of value"),
                ("SMOVE t b x", "WRONGTYPE Operation against a key holding the wrong kind of value"),
            ] {
                assert_eq!(world.say(client, call), reply, "{call}");
            }
        }
    }

    #[test]
    fn a_large_set_goes_where_its_key_goes_and_is_freed_in_steps() {
        let mut world = World::new(2);
        let client = world.connect(0);
        for n in 0..200 {
            let members: String = (0..100).map(|m| format!(" member:{n}:{m}")).collect();
            world.call(client, &format!("SADD a{members}"));
        }
        for (call, reply) in [
            ("OBJECT ENCODING a", "hashtable"),
            ("PEXPIRE a 100000", "1"),
            ("COPY a b", "1"),
            ("RENAME a c", "OK"),
            ("SREM b member:0:0", "1"),
            ("SCARD c", "20000"),
            ("TTL c", "100"),
            ("MOVE c 3", "1"),
            ("SELECT 3", "OK"),
            ("SISMEMBER c member:199:99", "1"),
            ("SCARD c", "20000"),
        ] {
            assert_eq!(world.say(client, call), reply, "{call}");
        }
        let usage: usize = world.say(client, "MEMORY USAGE c").parse().expect("a number");
        assert!((20_000 * 14..20_000 * 24).contains(&usage), "{usage}");
        let check = |world: &World| {
            for engine in &world.engines {
                engine.node().shard.databases().iter().for_each(|db| assert_eq!(db.recount(), Ok(())));
                assert_eq!(engine.node().shard.trash().recount(), Ok(()));
            }
        };
        check(&world);
        world.call(client, "DEL c");
        check(&world);
        assert!(world.engines.iter().any(|engine| engine.has_background()));
        world.engines.iter_mut().for_each(|engine| while engine.node.shard.free_some(100) == 0 {});
        check(&world);
    }
}
