//! Sorted sets that commands make of others, which may lie on other shards.
//!
//! Where all keys lie on one shard it does all at once; else the sources' shards say what they have, and the target's stores what comes of it.

use super::row::{Command, Example, Flags, Group, Keys, Next, Plan, Run, Touch};
use super::zset::limits;
use super::zset_span::{Form, Query};
use crate::args::Args;
use crate::database::Key;
use crate::protocol::reply::{Failure, Reply};
use crate::shard::{Cx, Deadline};
use crate::txn::work::{Finding, Order};
use crate::value::container::{Container, Held};
use crate::value::detached::Detached;
use crate::value::record::Value;
use crate::value::zset::SortedSet;

/// This family's rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "zrangestore",
    arity: -5,
    group: Group::SortedSet,
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: Keys::TWO,
    touch: Touch::Overwrite,
    since: "6.2.0",
    summary: "Stores a range of members from sorted set in a key.",
    complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements stored into the \
                 destination key.",
    syntax: "dst:key src:key min max [BYSCORE | BYLEX] [REV] [LIMIT offset:integer count:integer]",
    examples: &[
        Example { call: "ZADD {z}1 1 one 2 two 3 three", reply: "3" },
        Example { call: "ZRANGESTORE {z}2 {z}1 2 -1", reply: "1" },
        Example { call: "ZRANGE {z}2 0 -1", reply: "three" },
    ],
    run: Run::Plan(&RANGESTORE),
    ..Command::DEFAULT
}];

/// The place of the key that is written.
pub(super) const TARGET: u32 = 1;

const RANGESTORE: Plan = Plan {
    check: |args, _| query(args).map(drop),
    reads: |n| n == 1,
    act: |cx, args, order| {
        act_from(cx, args, order, &|set, args| {
            let query = query(args)?;
            let (from, to) = query.ranks(set);
            let pairs: Vec<(Vec<u8>, f64)> =
                set.range(from, to).map(|(member, score)| (member.to_vec(), score)).collect();
            Ok(pairs)
        })
    },
    next: |_, _, findings, reply| next_store(findings, reply, TARGET),
};

fn query(args: Args<'_>) -> Result<Query<'_>, Failure> {
    Query::parse(args, Form { at: 3, fixed: None, stores: true })
}

/// What is made of a source: pairs in order.
pub(super) type Make<'a> = dyn Fn(&SortedSet, Args<'_>) -> Result<Vec<(Vec<u8>, f64)>, Failure> + 'a;

/// A shard's part of a command that stores what it makes of one source, the second key, under the first.
pub(super) fn act_from(cx: &mut Cx<'_>, args: Args<'_>, order: Order, make: &Make<'_>) -> Finding {
    if order.key.is_some() {
        return act_store(cx, args.at(TARGET as usize), order.given);
    }
    let source = (0..cx.keys.len()).find(|n| cx.keys[*n].place != TARGET);
    let Some(source) = source else { return Finding::Nothing };
    let key = cx.key(args, source);
    let limits = limits(cx);
    let made = match cx.read_held::<SortedSet>(key) {
        Ok(None) => Ok(Vec::new()),
        Ok(Some(set)) => make(set, args),
        Err(failure) => Err(failure),
    };
    match made {
        Ok(pairs) => made_of(cx, args, SortedSet::of_ordered(&pairs, limits)),
        Err(failure) => Finding::Failed(failure),
    }
}

/// What comes of the sources: stored at once if the target lies here too, else on its way there.
pub(super) fn made_of(cx: &mut Cx<'_>, args: Args<'_>, set: SortedSet) -> Finding {
    match (0..cx.keys.len()).find(|n| cx.keys[*n].place == TARGET) {
        Some(target) => Finding::Count(put(cx, cx.key(args, target), set)),
        None => carried(set),
    }
}

/// A set on its way to another shard.
pub(super) fn carried(set: SortedSet) -> Finding {
    Finding::Value(Box::new((Detached::Container(Box::new(set.contained())), None)))
}

/// The order to store a set that was on its way.
pub(super) fn act_store(cx: &mut Cx<'_>, target: &[u8], given: Finding) -> Finding {
    let Finding::Value(value) = given else { return Finding::Nothing };
    let (Detached::Container(container), _) = *value else { return Finding::Nothing };
    let Container::SortedSet(set) = *container else { return Finding::Nothing };
    let key = cx.key_of(target);
    Finding::Count(put(cx, key, set))
}

/// Stores a set over whatever lies there; how many members it has. Of an empty one nothing is left.
fn put(cx: &mut Cx<'_>, key: Key<'_>, mut set: SortedSet) -> u64 {
    let count = set.len() as u64;
    if set.is_empty() {
        cx.remove(key);
    } else {
        set.fit(limits(cx));
        cx.store(key, Value::Container(Box::new(set.contained())), Deadline::Clear);
    }
    count
}

/// What follows: the reply if it is stored, the order to store it else.
pub(super) fn next_store(findings: Vec<Finding>, reply: &mut Reply<'_>, target: u32) -> Next {
    for finding in findings {
        match finding {
            Finding::Count(count) => {
                reply.count(count as usize);
                return Next::Done;
            }
            Finding::Failed(failure) => return Next::Failed(failure),
            value @ Finding::Value(_) => {
                return Next::Step(vec![Order { step: 0, key: Some(target), given: value }]);
            }
            _ => {}
        }
    }
    unreachable!("the shard of the source has said what it has")
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    #[test]
    fn ranges_are_stored_on_any_shard() {
        for cores in [1, 3] {
            let mut world = World::new(cores);
            let client = world.connect(0);
            world.call(client, "ZADD z 1 a 2 b 3 c 4 d");
            for target in ["t1", "t2", "t3", "t4", "z"] {
                world.call(client, &format!("RPUSH {target} x"));
                for (call, reply) in [
                    (format!("ZRANGESTORE {target} z 1 2"), "2"),
                    (format!("ZRANGE {target} 0 -1 WITHSCORES"), "b 2 c 3"),
                    (format!("ZRANGESTORE {target} z 3 (1 BYSCORE REV LIMIT 0 1"), "1"),
                    (format!("ZRANGE {target} 0 -1"), "c"),
                    (format!("ZRANGESTORE {target} nosuch 0 -1"), "0"),
                    (format!("EXISTS {target}"), "0"),
                    (format!("ZRANGESTORE {target} z 0 1 WITHSCORES"), "ERR syntax error"),
                ] {
                    assert_eq!(world.say(client, &call).replace('\n', " "), reply, "{call} of {cores}");
                }
            }
        }
    }
}
