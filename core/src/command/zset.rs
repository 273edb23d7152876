//! Sorted sets: giving members scores, and asking for single members.

use super::parse::score;
use super::row::{Command, Example, Flags, Group, Keys, Run, Touch};
use crate::args::Args;
use crate::protocol::reply::{Failure, Outcome, Reply, Resp};
use crate::shard::Cx;
use crate::value::element::Element;
use crate::value::zset::{Limits, SortedSet};

const ROW: Command = Command { group: Group::SortedSet, keys: Keys::ONE, ..Command::DEFAULT };
const LOGARITHMIC: &str = "O(log(N)) where N is the number of elements in the sorted set.";

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "zadd",
        arity: -4,
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        touch: Touch::Change,
        since: "1.2.0",
        summary: "Adds one or more members to a sorted set, or updates their scores. Creates the key if it doesn't exist.",
        complexity: "O(log(N)) for each item added, where N is the number of elements in the sorted set.",
        syntax: "key [NX | XX] [GT | LT] [CH] [INCR] score:double member [score:double member ...]",
        examples: &[
            Example { call: "ZADD myzset 1 one 2 two", reply: "2" },
            Example { call: "ZADD myzset XX CH 3 one 4 four", reply: "1" },
            Example { call: "ZADD myzset INCR 0.5 one", reply: "3.5" },
            Example { call: "ZRANGE myzset 0 -1 WITHSCORES", reply: "two\n2\none\n3.5" },
        ],
        run: Run::Hop(add),
        ..ROW
    },
    Command {
        name: "zincrby",
        arity: 4,
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        touch: Touch::Update,
        since: "1.2.0",
        summary: "Increments the score of a member in a sorted set.",
        complexity: LOGARITHMIC,
        syntax: "key increment:double member",
        examples: &[
            Example { call: "ZADD myzset 1 one", reply: "1" },
            Example { call: "ZINCRBY myzset 2 one", reply: "3" },
            Example { call: "ZINCRBY myzset 0.1 two", reply: "0.1" },
        ],
        run: Run::Hop(increase),
        ..ROW
    },
    Command {
        name: "zrem",
        arity: -3,
        flags: Flags::WRITE.or(Flags::FAST),
        touch: Touch::Delete,
        since: "1.2.0",
        summary: "Removes one or more members from a sorted set. Deletes the sorted set if all members were removed.",
        complexity: "O(M*log(N)) with N being the number of elements in the sorted set and M the number of elements to be removed.",
        syntax: "key member [member ...]",
        examples: &[
            Example { call: "ZADD myzset 1 one 2 two", reply: "2" },
            Example { call: "ZREM myzset one three", reply: "1" },
        ],
        run: Run::Hop(remove),
        ..ROW
    },
    Command {
        name: "zcard",
        arity: 2,
        flags: Flags::READONLY.or(Flags::FAST),
        touch: Touch::Measure,
        since: "1.2.0",
        summary: "Returns the number of members in a sorted set.",
        syntax: "key",
        examples: &[
            Example { call: "ZADD myzset 1 one 2 two", reply: "2" },
            Example { call: "ZCARD myzset", reply: "2" },
            Example { call: "ZCARD nosuch", reply: "0" },
        ],
        run: Run::Hop(len),
        ..ROW
    },
    Command {
        name: "zscore",
        arity: 3,
        flags: Flags::READONLY.or(Flags::FAST),
        since: "1.2.0",
        summary: "Returns the score of a member in a sorted set.",
        syntax: "key member",
        examples: &[
            Example { call: "ZADD myzset 1.5 one", reply: "1" },
            Example { call: "ZSCORE myzset one", reply: "1.5" },
            Example { call: "ZSCORE myzset two", reply: "" },
        ],
        run: Run::Hop(score_of),
        ..ROW
    },
    Command {
        name: "zmscore",
        arity: -3,
        flags: Flags::READONLY.or(Flags::FAST),
        since: "6.2.0",
        summary: "Returns the score of one or more members in a sorted set.",
        complexity: "O(N) where N is the number of members being requested.",
        syntax: "key member [member ...]",
        examples: &[
            Example { call: "ZADD myzset 1 one 2 two", reply: "2" },
            Example { call: "ZMSCORE myzset one three two", reply: "1\n\n2" },
        ],
        run: Run::Hop(scores_of),
        ..ROW
    },
    Command {
        name: "zrank",
        arity: -3,
        flags: Flags::READONLY.or(Flags::FAST),
        since: "2.0.0",
        summary: "Returns the index of a member in a sorted set ordered by ascending scores.",
        complexity: "O(log(N))",
        syntax: "key member [WITHSCORE]",
        examples: &[
            Example { call: "ZADD myzset 1 one 2 two", reply: "2" },
            Example { call: "ZRANK myzset two", reply: "1" },
            Example { call: "ZRANK myzset two WITHSCORE", reply: "1\n2" },
        ],
        run: Run::Hop(|cx, args, reply| rank(cx, args, false, reply)),
        ..ROW
    },
    Command {
        name: "zrevrank",
        arity: -3,
        flags: Flags::READONLY.or(Flags::FAST),
        since: "2.0.0",
        summary: "Returns the index of a member in a sorted set ordered by descending scores.",
        complexity: "O(log(N))",
        syntax: "key member [WITHSCORE]",
        examples: &[
            Example { call: "ZADD myzset 1 one 2 two", reply: "2" },
            Example { call: "ZREVRANK myzset two", reply: "0" },
        ],
        run: Run::Hop(|cx, args, reply| rank(cx, args, true, reply)),
        ..ROW
    },
];

const NOT_A_NUMBER: Failure = Failure::new("ERR resulting score is not a number (NaN)");

/// How large a set may be that lies in one pack.
pub(super) fn limits(cx: &Cx<'_>) -> Limits {
    let whole = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Limits {
        entries: whole(cx.settings.zset_max_listpack_entries),
        value: whole(cx.settings.zset_max_listpack_value),
    }
}

/// Writes a member as a bulk.
#[inline]
pub(super) fn reply_member(member: Element<'_>, reply: &mut Reply<'_>) {
    match member {
        Element::Integer(number) => reply.bulk_integer(number),
        Element::Bytes(bytes) => reply.bulk(bytes),
    }
}

/// Writes members as an array; with their scores in pairs, which RESP2 writes one behind the other.
pub(super) fn reply_members<'a>(
    members: impl ExactSizeIterator<Item = (Element<'a>, f64)>,
    with_scores: bool,
    reply: &mut Reply<'_>,
) {
    let is_nested = with_scores && reply.resp() == Resp::V3;
    let width = if with_scores && !is_nested { 2 } else { 1 };
    reply.array(members.len() * width);
    for (member, score) in members {
        if is_nested {
            reply.array(2);
        }
        reply_member(member, reply);
        if with_scores {
            reply.double(score);
        }
    }
}

/// What ZADD is told before the pairs.
#[derive(Clone, Copy, Default)]
pub(super) struct Adding {
    pub(super) only_new: bool,
    pub(super) only_old: bool,
    pub(super) only_greater: bool,
    pub(super) only_less: bool,
    pub(super) counts_changed: bool,
    pub(super) is_increment: bool,
}

/// What became of one pair.
enum Added {
    /// Nothing: an option forbids it.
    No,
    /// The score is what it was.
    Same(f64),
    Updated(f64),
    New(f64),
}

impl Adding {
    /// The options, and where the pairs begin.
    fn parse(args: Args<'_>) -> Result<(Adding, usize), Failure> {
        let mut adding = Adding::default();
        let mut at = 2;
        while at < args.len() {
            let option = match () {
                () if args.is(at, "nx") => &mut adding.only_new,
                () if args.is(at, "xx") => &mut adding.only_old,
                () if args.is(at, "gt") => &mut adding.only_greater,
                () if args.is(at, "lt") => &mut adding.only_less,
                () if args.is(at, "ch") => &mut adding.counts_changed,
                () if args.is(at, "incr") => &mut adding.is_increment,
                () => break,
            };
            *option = true;
            at += 1;
        }
        let words = args.len() - at;
        if words == 0 || !words.is_multiple_of(2) {
            return Err(Failure::SYNTAX);
        }
        let Adding { only_new, only_old, only_greater, only_less, is_increment, .. } = adding;
        if only_new && only_old {
            return Err(Failure::new("ERR XX and NX options at the same time are not compatible"));
        }
        if only_new && (only_greater || only_less) || only_greater && only_less {
            return Err(Failure::new("ERR GT, LT, and/or NX options at the same time are not compatible"));
        }
        if is_increment && words > 2 {
            return Err(Failure::new("ERR INCR option supports a single increment-element pair"));
        }
        Ok((adding, at))
    }

    fn one(self, set: &mut SortedSet, member: &[u8], score: f64, limits: Limits) -> Result<Added, Failure> {
        // Without a look before: most of what is added has no conditions.
        if !(self.is_increment || self.only_new || self.only_old || self.only_greater || self.only_less) {
            return Ok(match set.insert(member, score, limits) {
                None => Added::New(score),
                Some(before) if before == score => Added::Same(score),
                Some(_) => Added::Updated(score),
            });
        }
        let Some(before) = set.score(member) else {
            if self.only_old {
                return Ok(Added::No);
            }
            set.insert(member, score, limits);
            return Ok(Added::New(score));
        };
        if self.only_new {
            return Ok(Added::No);
        }
        let score = if self.is_increment { before + score } else { score };
        if score.is_nan() {
            return Err(NOT_A_NUMBER);
        }
        if self.only_less && score >= before || self.only_greater && score <= before {
            return Ok(Added::No);
        }
        if score == before {
            return Ok(Added::Same(score));
        }
        set.insert(member, score, limits);
        Ok(Added::Updated(score))
    }
}

/// What came of all pairs.
#[derive(Default)]
pub(super) struct Sum {
    added: usize,
    updated: usize,
    /// Of the last pair that nothing forbade.
    score: Option<f64>,
}

/// Adds all pairs to what lies under the key.
pub(super) fn add_pairs(
    cx: &mut Cx<'_>,
    args: Args<'_>,
    adding: Adding,
    pairs: impl Iterator<Item = (f64, usize)> + Clone,
) -> Result<Sum, Failure> {
    let (key, limits) = (cx.key(args, 0), limits(cx));
    let mut sum = Sum::default();
    let mut add_to = |set: &mut SortedSet| -> Result<bool, Failure> {
        for (score, place) in pairs.clone() {
            match adding.one(set, args.at(place), score, limits)? {
                Added::No => {}
                Added::Same(score) => sum.score = Some(score),
                Added::Updated(score) => {
                    sum.updated += 1;
                    sum.score = Some(score);
                }
                Added::New(score) => {
                    sum.added += 1;
                    sum.score = Some(score);
                }
            }
        }
        Ok(sum.added + sum.updated > 0)
    };
    // Only an increment can fail, and it stands alone: nothing was done then.
    let (mut is_there, mut failure) = (false, None);
    cx.change_held(key, |set: &mut SortedSet| {
        is_there = true;
        add_to(set)
            .unwrap_or_else(|why| {
                failure = Some(why);
                false
            })
            .then_some(())
    })?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    if !is_there && !adding.only_old {
        cx.grow_held(key, |set: &mut SortedSet| add_to(set).map(drop))??;
    }
    Ok(sum)
}

fn add(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (adding, at) = Adding::parse(args)?;
    if args.len() == at + 2 {
        let pair = (score(args.at(at))?, at + 1);
        let sum = add_pairs(cx, args, adding, std::iter::once(pair))?;
        reply_added(adding, &sum, reply);
        return Ok(());
    }
    let scores: Result<Vec<f64>, Failure> =
        (at..args.len()).step_by(2).map(|place| score(args.at(place))).collect();
    let scores = scores?;
    let pairs = scores.iter().enumerate().map(|(n, score)| (*score, at + 2 * n + 1));
    let sum = add_pairs(cx, args, adding, pairs)?;
    reply_added(adding, &sum, reply);
    Ok(())
}

pub(super) fn reply_added(adding: Adding, sum: &Sum, reply: &mut Reply<'_>) {
    match (adding.is_increment, sum.score) {
        (true, Some(score)) => reply.double(score),
        (true, None) => reply.null(),
        _ if adding.counts_changed => reply.count(sum.added + sum.updated),
        _ => reply.count(sum.added),
    }
}

fn increase(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let adding = Adding { is_increment: true, ..Adding::default() };
    let pair = (score(args.at(2))?, 3);
    let sum = add_pairs(cx, args, adding, std::iter::once(pair))?;
    reply_added(adding, &sum, reply);
    Ok(())
}

fn remove(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let removed = cx.change_held(cx.key(args, 0), |set: &mut SortedSet| {
        let members = args.skip(2);
        let removed = members.iter().filter(|member| set.remove(member).is_some()).count();
        (removed > 0).then_some(removed)
    })?;
    reply.count(removed.unwrap_or(0));
    Ok(())
}

fn len(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let len = cx.read_held::<SortedSet>(cx.key(args, 0))?.map_or(0, SortedSet::len);
    reply.count(len);
    Ok(())
}

fn reply_score(score: Option<f64>, reply: &mut Reply<'_>) {
    match score {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
}

fn score_of(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let set = cx.read_held::<SortedSet>(cx.key(args, 0))?;
    reply_score(set.and_then(|set| set.score(args.at(2))), reply);
    Ok(())
}

fn scores_of(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let set = cx.read_held::<SortedSet>(cx.key(args, 0))?;
    let members = args.skip(2);
    reply.array(members.len());
    for member in members.iter() {
        reply_score(set.and_then(|set| set.score(member)), reply);
    }
    Ok(())
}

fn rank(cx: &mut Cx<'_>, args: Args<'_>, is_back: bool, reply: &mut Reply<'_>) -> Outcome {
    let with_score = args.is(3, "withscore");
    if args.len() > 4 || args.len() == 4 && !with_score {
        return Err(Failure::SYNTAX);
    }
    let set = cx.read_held::<SortedSet>(cx.key(args, 0))?;
    let found = set.and_then(|set| {
        let (rank, score) = set.rank(args.at(2))?;
        Some((if is_back { set.len() - 1 - rank } else { rank }, score))
    });
    match found {
        Some((rank, score)) if with_score => {
            reply.array(2);
            reply.count(rank);
            reply.double(score);
        }
        Some((rank, _)) => reply.count(rank),
        None if with_score => reply.null_array(),
        None => reply.null(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    #[test]
    fn members_get_scores() {
        let mut world = World::new(3);
        let client = world.connect(0);
        for (call, reply) in [
            ("ZADD z 1 a 2 b", ":2\r\n"),
            ("ZADD z 1 a 3 b", ":0\r\n"),
            ("ZADD z CH 1 a 4 b 5 c", ":2\r\n"),
            ("ZADD z NX 9 a 9 d", ":1\r\n"),
            ("ZADD z XX CH 8 a 9 e", ":1\r\n"),
            ("ZADD z GT CH 7 a 9 b", ":1\r\n"),
            ("ZADD z LT CH 7 a 10 b", ":1\r\n"),
            ("ZADD z LT INCR 1 a", "$-1\r\n"),
            ("ZADD z INCR 0 a", "$1\r\n7\r\n"),
            ("ZADD nosuch XX 1 a", ":0\r\n"),
            ("ZADD nosuch XX INCR 1 a", "$-1\r\n"),
            ("EXISTS nosuch", ":0\r\n"),
            ("ZADD z NX XX 1 a", "-ERR XX and NX options at the same time are not compatible\r\n"),
            ("ZADD z GT LT 1 a", "-ERR GT, LT, and/or NX options at the same time are not compatible\r\n"),
            ("ZADD z INCR 1 a 2 b", "-ERR INCR option supports a single increment-element pair\r\n"),
            ("ZADD z 1 a 2", "-ERR syntax error\r\n"),
            ("ZADD z 1 a x b", "-ERR value is not a valid float\r\n"),
            ("ZADD z nan a", "-ERR value is not a valid float\r\n"),
            ("ZADD z 1e400 a", "-ERR value is not a valid float\r\n"),
            ("ZADD z inf i -INF m", ":2\r\n"),
            ("ZINCRBY z -inf i", "-ERR resulting score is not a number (NaN)\r\n"),
            ("ZSCORE z i", "$3\r\ninf\r\n"),
            ("ZINCRBY z 0.1 n", "$3\r\n0.1\r\n"),
            ("ZINCRBY z 0.2 n", "$19\r\n0.30000000000000004\r\n"),
            ("ZMSCORE z m x a", "*3\r\n$4\r\n-inf\r\n$-1\r\n$1\r\n7\r\n"),
            ("ZCARD z", ":7\r\n"),
            ("ZRANK z m", ":0\r\n"),
            ("ZREVRANK z m", ":6\r\n"),
            ("ZRANK z x", "$-1\r\n"),
            ("ZRANK z x WITHSCORE", "*-1\r\n"),
            ("ZREVRANK z i WITHSCORE", "*2\r\n:0\r\n$3\r\ninf\r\n"),
            ("ZRANK z a b", "-ERR syntax error\r\n"),
            ("ZREM z a x b i m n", ":5\r\n"),
            ("ZREM z c d", ":2\r\n"),
            ("EXISTS z", ":0\r\n"),
        ] {
            assert_eq!(world.call(client, call), reply, "{call}");
        }
        world.call(client, "HELLO 3");
        for (call, reply) in [
            ("ZADD z INCR 1.5 a", ",1.5\r\n"),
            ("ZSCORE z a", ",1.5\r\n"),
            ("ZADD z 2 a", ":0\r\n"),
            ("ZSCORE z a", ",2\r\n"),
            ("ZSCORE z b", "_\r\n"),
            ("ZRANGE z 0 -1 WITHSCORES", "*1\r\n*2\r\n$1\r\na\r\n,2\r\n"),
        ] {
            assert_eq!(world.call(client, call), reply, "{call}");
        }
    }

    #[test]
    fn a_sorted_set_goes_where_its_key_goes_and_is_freed_in_steps() {
        let mut world = World::new(2);
        let client = world.connect(0);
        for n in 0..3_000 {
            world.call(client, &format!("ZADD a {n} member:{n}"));
        }
        for (call, reply) in [
            ("OBJECT ENCODING a", "skiplist"),
            ("TYPE a", "zset"),
            ("COPY a b", "1"),
            ("RENAME a c", "OK"),
            ("ZADD b 1 last", "1"),
            ("ZCARD b", "3001"),
            ("ZRANK c member:2000", "2000"),
            ("MOVE c 3", "1"),
            ("SELECT 3", "OK"),
            ("ZRANGE c -1 -1", "member:2999"),
            ("SCAN 0 TYPE zset COUNT 100", "*"),
            ("ZREMRANGEBYRANK c 10 -1", "2990"),
            ("OBJECT ENCODING c", "skiplist"),
            ("ZRANGESTORE d c 0 -1", "10"),
            ("OBJECT ENCODING d", "listpack"),
            ("SWAPDB 3 4", "OK"),
            ("ZCARD c", "0"),
        ] {
            let found = world.say(client, call);
            assert!(reply == "*" || found == reply, "{call}: {found}");
        }
        for n in 0..20_000 {
            world.call(client, &format!("ZADD big {n} member:{n}"));
        }
        let before: usize = world.engines.iter().map(|engine| engine.node().shard.used_bytes()).sum();
        world.call(client, "DEL big");
        let after: usize = world.engines.iter().map(|engine| engine.node().shard.used_bytes()).sum();
        assert!(after + 1_000 > before, "nothing is free yet");
        for engine in &mut world.engines {
            assert_eq!(engine.node().shard.trash().recount(), Ok(()));
            engine.node.shard.free_some(100_000);
            engine.node().shard.databases().iter().for_each(|db| assert_eq!(db.recount(), Ok(())));
        }
        let free: usize = world.engines.iter().map(|engine| engine.node().shard.used_bytes()).sum();
        assert!(free + 800_000 < before, "{free} of {before}");
    }

    #[test]
    fn a_sorted_set_is_no_list() {
        let mut world = World::new(2);
        let client = world.connect(0);
        world.call(client, "RPUSH {k}l a");
        world.call(client, "ZADD {k}z 1 a");
        for call in [
            "ZADD {k}l 1 a",
            "ZADD {k}l XX 1 a",
            "ZINCRBY {k}l 1 a",
            "ZREM {k}l a",
            "ZCARD {k}l",
            "ZSCORE {k}l a",
            "ZMSCORE {k}l a",
            "ZRANK {k}l a",
            "ZRANGE {k}l 0 -1",
            "ZCOUNT {k}l 0 1",
            "ZLEXCOUNT {k}l - +",
            "ZREMRANGEBYRANK {k}l 0 1",
            "ZPOPMIN {k}l",
            "ZMPOP 1 {k}l MIN",
            "ZRANDMEMBER {k}l",
            "ZSCAN {k}l 0",
            "ZUNION 2 {k}z {k}l",
            "ZINTERSTORE {k}d 2 {k}z {k}l",
            "ZRANGESTORE {k}d {k}l 0 1",
            "GEOADD {k}l 1 1 a",
            "GEOPOS {k}l a",
            "GEORADIUS {k}l 1 1 1 km",
            "GEOSEARCHSTORE {k}d {k}l FROMLONLAT 1 1 BYRADIUS 1 km",
            "RPUSH {k}z a",
            "LPOP {k}z",
            "GET {k}z",
        ] {
            let reply = world.call(client, call);
            assert_eq!(
                reply, "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
                "{call}"
            );
        }
    }
}
