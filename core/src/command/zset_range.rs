//! Sorted sets: reading, counting and removing what lies in a range of ranks, scores or bytes.

use super::row::{Command, Example, Flags, Group, Keys, Run, Touch};
use super::zset::reply_members;
use super::zset_span::{By, Form, Query, Span};
use crate::args::Args;
use crate::protocol::reply::{Outcome, Reply};
use crate::shard::Cx;
use crate::value::zset::SortedSet;

const ROW: Command = Command {
    group: Group::SortedSet,
    keys: Keys::ONE,
    flags: Flags::READONLY,
    arity: -4,
    complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements returned.",
    ..Command::DEFAULT
};
const COUNT: Command = Command {
    arity: 4,
    flags: Flags::READONLY.or(Flags::FAST),
    complexity: "O(log(N)) with N being the number of elements in the sorted set.",
    ..ROW
};
const REMOVE: Command = Command {
    arity: 4,
    flags: Flags::WRITE,
    touch: Touch::Delete,
    complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the \
                 operation.",
    ..ROW
};

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "zrange",
        since: "1.2.0",
        summary: "Returns members in a sorted set within a range of indexes.",
        syntax: "key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset:integer count:integer] [WITHSCORES]",
        examples: &[
            Example { call: "ZADD myzset 1 one 2 two 3 three", reply: "3" },
            Example { call: "ZRANGE myzset 0 1", reply: "one\ntwo" },
            Example { call: "ZRANGE myzset (1 inf BYSCORE LIMIT 1 1 WITHSCORES", reply: "three\n3" },
            Example { call: "ZRANGE myzset 0 0 REV", reply: "three" },
        ],
        run: Run::Hop(|cx, args, reply| range(cx, args, None, reply)),
        ..ROW
    },
    Command {
        name: "zrevrange",
        since: "1.2.0",
        summary: "Returns members in a sorted set within a range of indexes in reverse order.",
        syntax: "key start:integer stop:integer [WITHSCORES]",
        examples: &[
            Example { call: "ZADD myzset 1 one 2 two 3 three", reply: "3" },
            Example { call: "ZREVRANGE myzset 0 1", reply: "three\ntwo" },
        ],
        run: Run::Hop(|cx, args, reply| range(cx, args, Some((By::Rank, true)), reply)),
        ..ROW
    },
    Command {
        name: "zrangebyscore",
        since: "1.0.5",
        summary: "Returns members in a sorted set within a range of scores.",
        syntax: "key min:double max:double [WITHSCORES] [LIMIT offset:integer count:integer]",
        examples: &[
            Example { call: "ZADD myzset 1 one 2 two 3 three", reply: "3" },
            Example { call: "ZRANGEBYSCORE myzset (1 2", reply: "two" },
            Example { call: "ZRANGEBYSCORE myzset -inf +inf LIMIT 1 1", reply: "two" },
        ],
        run: Run::Hop(|cx, args, reply| range(cx, args, Some((By::Score, false)), reply)),
        ..ROW
    },
    Command {
        name: "zrevrangebyscore",
        since: "2.2.0",
        summary: "Returns members in a sorted set within a range of scores in reverse order.",
        syntax: "key max:double min:double [WITHSCORES] [LIMIT offset:integer count:integer]",
        examples: &[
            Example { call: "ZADD myzset 1 one 2 two 3 three", reply: "3" },
            Example { call: "ZREVRANGEBYSCORE myzset 2 (1", reply: "two" },
        ],
        run: Run::Hop(|cx, args, reply| range(cx, args, Some((By::Score, true)), reply)),
        ..ROW
    },
    Command {
        name: "zrangebylex",
        since: "2.8.9",
        summary: "Returns members in a sorted set within a lexicographical range.",
        syntax: "key min max [LIMIT offset:integer count:integer]",
        examples: &[
            Example { call: "ZADD myzset 0 a 0 b 0 c 0 d", reply: "4" },
            Example { call: "ZRANGEBYLEX myzset [b (d", reply: "b\nc" },
            Example { call: "ZRANGEBYLEX myzset - + LIMIT 0 1", reply: "a" },
        ],
        run: Run::Hop(|cx, args, reply| range(cx, args, Some((By::Lex, false)), reply)),
        ..ROW
    },
    Command {
        name: "zrevrangebylex",
        since: "2.8.9",
        summary: "Returns members in a sorted set within a lexicographical range in reverse order.",
        syntax: "key max min [LIMIT offset:integer count:integer]",
        examples: &[
            Example { call: "ZADD myzset 0 a 0 b 0 c 0 d", reply: "4" },
            Example { call: "ZREVRANGEBYLEX myzset (d [b", reply: "c\nb" },
        ],
        run: Run::Hop(|cx, args, reply| range(cx, args, Some((By::Lex, true)), reply)),
        ..ROW
    },
    Command {
        name: "zcount",
        since: "2.0.0",
        summary: "Returns the count of members in a sorted set that have scores within a range.",
        syntax: "key min:double max:double",
        examples: &[
            Example { call: "ZADD myzset 1 one 2 two 3 three", reply: "3" },
            Example { call: "ZCOUNT myzset (1 +inf", reply: "2" },
        ],
        run: Run::Hop(|cx, args, reply| count(cx, args, By::Score, reply)),
        ..COUNT
    },
    Command {
        name: "zlexcount",
        since: "2.8.9",
        summary: "Returns the number of members in a sorted set within a lexicographical range.",
        syntax: "key min max",
        examples: &[
            Example { call: "ZADD myzset 0 a 0 b 0 c", reply: "3" },
            Example { call: "ZLEXCOUNT myzset [b +", reply: "2" },
        ],
        run: Run::Hop(|cx, args, reply| count(cx, args, By::Lex, reply)),
        ..COUNT
    },
    Command {
        name: "zremrangebyrank",
        since: "2.0.0",
        summary: "Removes members in a sorted set within a range of indexes. Deletes the sorted set if all members were removed.",
        syntax: "key start:integer stop:integer",
        examples: &[
            Example { call: "ZADD myzset 1 one 2 two 3 three", reply: "3" },
            Example { call: "ZREMRANGEBYRANK myzset 0 1", reply: "2" },
        ],
        run: Run::Hop(|cx, args, reply| remove(cx, args, By::Rank, reply)),
        ..REMOVE
    },
    Command {
        name: "zremrangebyscore",
        since: "1.2.0",
        summary: "Removes members in a sorted set within a range of scores. Deletes the sorted set if all members were removed.",
        syntax: "key min:double max:double",
        examples: &[
            Example { call: "ZADD myzset 1 one 2 two 3 three", reply: "3" },
            Example { call: "ZREMRANGEBYSCORE myzset -inf (2", reply: "1" },
        ],
        run: Run::Hop(|cx, args, reply| remove(cx, args, By::Score, reply)),
        ..REMOVE
    },
    Command {
        name: "zremrangebylex",
        since: "2.8.9",
        summary: "Removes members in a sorted set within a lexicographical range. Deletes the sorted set if all members were removed.",
        syntax: "key min max",
        examples: &[
            Example { call: "ZADD myzset 0 a 0 b 0 c", reply: "3" },
            Example { call: "ZREMRANGEBYLEX myzset [a (c", reply: "2" },
        ],
        run: Run::Hop(|cx, args, reply| remove(cx, args, By::Lex, reply)),
        ..REMOVE
    },
];

fn range(cx: &mut Cx<'_>, args: Args<'_>, fixed: Option<(By, bool)>, reply: &mut Reply<'_>) -> Outcome {
    let query = Query::parse(args, Form { at: 2, fixed, stores: false })?;
    let Some(set) = cx.read_held::<SortedSet>(cx.key(args, 0))? else {
        reply.array(0);
        return Ok(());
    };
    let (from, to) = query.ranks(set);
    let members = if query.is_back { set.range_back(from, to) } else { set.range(from, to) };
    reply_members(members, query.with_scores, reply);
    Ok(())
}

fn count(cx: &mut Cx<'_>, args: Args<'_>, by: By, reply: &mut Reply<'_>) -> Outcome {
    let span = Span::parse(by, args.at(2), args.at(3))?;
    let set = cx.read_held::<SortedSet>(cx.key(args, 0))?;
    let (from, to) = set.map_or((0, 0), |set| span.ranks(set, false));
    reply.count(to - from);
    Ok(())
}

fn remove(cx: &mut Cx<'_>, args: Args<'_>, by: By, reply: &mut Reply<'_>) -> Outcome {
    let span = Span::parse(by, args.at(2), args.at(3))?;
    let removed = cx.change_held(cx.key(args, 0), |set: &mut SortedSet| {
        let (from, to) = span.ranks(set, false);
        Some(set.remove_range(from, to)).filter(|removed| *removed > 0)
    })?;
    reply.count(removed.unwrap_or(0));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    #[test]
    fn ranges_have_ends_of_every_kind() {
        // The same of a pack and of a tree.
        for entries in ["128", "0"] {
            let mut world = World::new(3);
            let client = world.connect(0);
            world.call(client, &format!("CONFIG SET zset-max-listpack-entries {entries}"));
            world.call(client, "ZADD z -inf a 1 b 2 c 3 d 4 e 5 f inf g");
            world.call(client, "ZADD l 0 alpha 0 bar 0 cool 0 down 0 elephant 0 foo 0 great 0 hill 0 omega");
            for (call, reply) in [
                ("ZRANGE z 1 2", "b c"),
                ("ZRANGE z -2 100", "f g"),
                ("ZRANGE z 3 2", ""),
                ("ZRANGE z 0 -8", ""),
                ("ZREVRANGE z 0 -8", ""),
                ("ZRANGE z 0 1 REV WITHSCORES", "g inf f 5"),
                ("ZREVRANGE z -2 -1", "b a"),
                ("ZRANGEBYSCORE z 2 4", "c d e"),
                ("ZRANGEBYSCORE z (2 (4", "d"),
                ("ZRANGEBYSCORE z -inf 1", "a b"),
                ("ZRANGEBYSCORE z (-inf 1", "b"),
                ("ZRANGEBYSCORE z 4 2", ""),
                ("ZRANGEBYSCORE z 0 10 LIMIT 1 2", "c d"),
                ("ZRANGEBYSCORE z 0 10 LIMIT 1 -1", "c d e f"),
                ("ZRANGEBYSCORE z 0 10 LIMIT -1 2", ""),
                ("ZRANGEBYSCORE z 0 10 LIMIT 9 2", ""),
                ("ZREVRANGEBYSCORE z 10 0 LIMIT 1 2 WITHSCORES", "e 4 d 3"),
                ("ZRANGE z 10 0 BYSCORE REV LIMIT 0 2", "f e"),
                ("ZRANGEBYLEX l - [cool", "alpha bar cool"),
                ("ZRANGEBYLEX l (bar (down", "cool"),
                ("ZRANGEBYLEX l + -", ""),
                ("ZREVRANGEBYLEX l + (great", "omega hill"),
                ("ZRANGE l [h - BYLEX REV LIMIT 1 2", "foo elephant"),
                ("ZCOUNT z 2 (5", "3"),
                ("ZCOUNT z 5 2", "0"),
                ("ZLEXCOUNT l [bar [foo", "5"),
                ("ZLEXCOUNT l + -", "0"),
                ("ZCOUNT nosuch 0 1", "0"),
                ("ZRANGE nosuch 0 1", ""),
                ("ZRANGE z x 1", "ERR value is not an integer or out of range"),
                ("ZRANGEBYSCORE z x 1", "ERR min or max is not a float"),
                ("ZRANGEBYSCORE z nan 1", "ERR min or max is not a float"),
                ("ZRANGEBYLEX l foo [bar", "ERR min or max not valid string range item"),
                ("ZRANGEBYLEX l -x [bar", "ERR min or max not valid string range item"),
                (
                    "ZRANGE z 0 1 LIMIT 0 1",
                    "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
                ),
                (
                    "ZRANGEBYLEX l - + WITHSCORES",
                    "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
                ),
                ("ZRANGEBYSCORE z 0 1 LIMIT 1", "ERR syntax error"),
                ("ZREVRANGE z 0 1 REV", "ERR syntax error"),
                ("ZREMRANGEBYSCORE z (1 2", "1"),
                ("ZREMRANGEBYLEX l [bar (foo", "4"),
                ("ZREMRANGEBYRANK z 0 0", "1"),
                ("ZREMRANGEBYRANK z 9 9", "0"),
                ("ZRANGE z 0 -1", "b d e f g"),
                ("ZRANGE l 0 -1", "alpha foo great hill omega"),
                ("ZREMRANGEBYRANK l 0 -1", "5"),
                ("EXISTS l", "0"),
            ] {
                assert_eq!(world.say(client, call).replace('\n', " "), reply, "{call}");
            }
        }
    }
}
