//! Sorted sets: members drawn by chance, and walking over all members a piece at a time.

use std::collections::BTreeSet;

use super::parse::integer;
use super::row::{Command, Example, Flags, Group, Keys, Run};
use super::zset::{reply_member, reply_members};
use crate::args::Args;
use crate::glob;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::shard::Cx;
use crate::table::Cursor;
use crate::value::element::Element;
use crate::value::zset::SortedSet;

const ROW: Command =
    Command { group: Group::SortedSet, keys: Keys::ONE, flags: Flags::READONLY, ..Command::DEFAULT };

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "zrandmember",
        arity: -2,
        since: "6.2.0",
        summary: "Returns one or more random members from a sorted set.",
        complexity: "O(N) where N is the number of members returned",
        syntax: "key [count:integer [WITHSCORES]]",
        examples: &[
            Example { call: "ZADD myzset 1 one", reply: "1" },
            Example { call: "ZRANDMEMBER myzset", reply: "one" },
            Example { call: "ZRANDMEMBER myzset -2 WITHSCORES", reply: "one\n1\none\n1" },
        ],
        run: Run::Hop(random),
        ..ROW
    },
    Command {
        name: "zscan",
        arity: -3,
        since: "2.8.0",
        summary: "Iterates over members and scores of a sorted set.",
        complexity: "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to \
                     0. N is the number of elements inside the collection.",
        syntax: "key cursor:integer [MATCH pattern] [COUNT count:integer]",
        examples: &[
            Example { call: "ZADD myzset 1 one 2 two", reply: "2" },
            Example { call: "ZSCAN myzset 0 MATCH o*", reply: "0\none\n1" },
        ],
        run: Run::Hop(scan),
        ..ROW
    },
];

const OUT_OF_RANGE: Failure = Failure::new("ERR value is out of range");
/// So many members may be drawn more than once: a reply lies in memory whole.
const DRAWN_MAX: u64 = 1 << 24;

fn random(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = cx.key(args, 0);
    let Some(word) = args.get(2) else {
        let len = cx.read_held::<SortedSet>(key)?.map_or(0, SortedSet::len);
        let rank = cx.shard.random.below(len as u64) as usize;
        match cx.peek_held::<SortedSet>(key)?.and_then(|set| set.range(rank, rank + 1).next()) {
            Some((member, _)) => reply_member(member, reply),
            None => reply.null(),
        }
        return Ok(());
    };
    let count = integer(word)?;
    if count == i64::MIN {
        return Err(OUT_OF_RANGE);
    }
    let with_scores = args.is(3, "withscores");
    if args.len() > 4 || args.len() == 4 && !with_scores {
        return Err(Failure::SYNTAX);
    }
    if with_scores && count.unsigned_abs() > i64::MAX as u64 / 2
        || count < 0 && count.unsigned_abs() > DRAWN_MAX
    {
        return Err(OUT_OF_RANGE);
    }
    let len = cx.read_held::<SortedSet>(key)?.map_or(0, SortedSet::len);
    let ranks = draw(len, count, &mut |bound| cx.shard.random.below(bound as u64) as usize);
    let Some(set) = cx.peek_held::<SortedSet>(key)? else {
        reply.array(0);
        return Ok(());
    };
    match ranks {
        None => reply_members(set.iter(), with_scores, reply),
        Some(ranks) => {
            let members: Vec<(Element<'_>, f64)> =
                ranks.iter().filter_map(|rank| set.range(*rank, rank + 1).next()).collect();
            reply_members(members.into_iter(), with_scores, reply);
        }
    }
    Ok(())
}

/// Ranks drawn by chance: with a negative count each of all every time, else each once at the most; `None`: all.
fn draw(len: usize, count: i64, below: &mut dyn FnMut(usize) -> usize) -> Option<Vec<usize>> {
    if len == 0 {
        return Some(Vec::new());
    }
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count < 0 {
        return Some((0..wanted).map(|_| below(len)).collect());
    }
    if wanted >= len {
        return None;
    }
    if wanted > len / 3 {
        let mut ranks: Vec<usize> = (0..len).collect();
        for n in 0..wanted {
            let other = n + below(len - n);
            ranks.swap(n, other);
        }
        ranks.truncate(wanted);
        return Some(ranks);
    }
    let (mut seen, mut ranks) = (BTreeSet::new(), Vec::new());
    while ranks.len() < wanted {
        let rank = below(len);
        if seen.insert(rank) {
            ranks.push(rank);
        }
    }
    Some(ranks)
}

/// Buckets that one call may visit without finding a member, for each member asked for.
const EMPTY_BUCKETS_MAX: usize = 10;

fn scan(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let cursor = std::str::from_utf8(args.at(2)).ok().and_then(|text| text.parse::<u64>().ok());
    let mut cursor = Cursor(cursor.ok_or(Failure::new("ERR invalid cursor"))?);
    let (mut pattern, mut count) = (None, 10);
    let mut n = 3;
    while n < args.len() {
        let Some(operand) = args.get(n + 1) else { return Err(Failure::SYNTAX) };
        if args.is(n, "match") {
            pattern = Some(operand).filter(|pattern| *pattern != b"*");
        } else if args.is(n, "count") {
            count = usize::try_from(integer(operand)?).ok().filter(|&c| c > 0).ok_or(Failure::SYNTAX)?;
        } else {
            return Err(Failure::SYNTAX);
        }
        n += 2;
    }
    let mut found: Vec<(Vec<u8>, f64)> = Vec::new();
    match cx.read_held::<SortedSet>(cx.key(args, 0))? {
        None => cursor = Cursor::START,
        Some(set) => {
            let (mut seen, mut buckets) = (0, 0);
            while seen < count && buckets < count.saturating_mul(EMPTY_BUCKETS_MAX) {
                buckets += 1;
                cursor = set.scan(cursor, &mut |member, score| {
                    seen += 1;
                    if pattern.is_none_or(|pattern| glob::matches(pattern, member, false)) {
                        found.push((member.to_vec(), score));
                    }
                });
                if cursor == Cursor::START {
                    break;
                }
            }
        }
    }
    reply.array(2);
    reply.text(&cursor.0.to_string());
    reply.array(2 * found.len());
    for (member, score) in found {
        reply.bulk(&member);
        reply.text(&crate::protocol::number::double_text(score));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;

    #[test]
    fn draws_have_the_size_that_was_asked_for() {
        let mut state = 7u64;
        let mut below = |bound: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % bound
        };
        for (len, count) in [(10, 1), (10, 3), (10, 4), (10, 9), (1_000, 5), (1_000, 999)] {
            let ranks = draw(len, count, &mut below).expect("not all");
            let distinct: BTreeSet<usize> = ranks.iter().copied().collect();
            assert_eq!((ranks.len(), distinct.len()), (count as usize, count as usize));
            assert!(ranks.iter().all(|rank| *rank < len));
        }
        assert_eq!(draw(10, 10, &mut below), None);
        assert_eq!(draw(10, 0, &mut below), Some(Vec::new()));
        assert_eq!(draw(0, 5, &mut below), Some(Vec::new()));
        let many = draw(3, -100, &mut below).expect("not all");
        assert!(many.len() == 100 && (0..3).all(|rank| many.contains(&rank)));
    }

    #[test]
    fn scans_meet_every_member() {
        let mut world = World::new(1);
        let client = world.connect(0);
        for n in 0..1_000 {
            world.call(client, &format!("ZADD z {n} member:{n}"));
        }
        let (mut cursor, mut seen) = (String::from("0"), BTreeSet::new());
        loop {
            let reply = world.say(client, &format!("ZSCAN z {cursor} COUNT 20 MATCH *7*"));
            let mut lines = reply.lines();
            cursor = lines.next().expect("a cursor").to_string();
            let pairs: Vec<&str> = lines.collect();
            assert!(pairs.len() < 100);
            for pair in pairs.chunks(2) {
                assert_eq!(pair[0].strip_prefix("member:"), Some(pair[1]));
                seen.insert(pair[1].to_string());
            }
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(seen.len(), 271);
        for (call, reply) in [
            ("ZSCAN nosuch 7", "0\n"),
            ("ZSCAN z x", "ERR invalid cursor"),
            ("ZSCAN z 0 COUNT 0", "ERR syntax error"),
            ("ZSCAN z 0 COUNT", "ERR syntax error"),
            ("ZRANDMEMBER nosuch", ""),
            ("ZRANDMEMBER nosuch 3", ""),
            ("ZRANDMEMBER z 0", ""),
            ("ZRANDMEMBER z x", "ERR value is not an integer or out of range"),
            ("ZRANDMEMBER z -9223372036854775808", "ERR value is out of range"),
            ("ZRANDMEMBER z 9223372036854775807 WITHSCORES", "ERR value is out of range"),
            ("ZRANDMEMBER z 1 SCORES", "ERR syntax error"),
        ] {
            assert_eq!(world.say(client, call).trim_end(), reply.trim_end(), "{call}");
        }
        assert_eq!(world.say(client, "ZRANDMEMBER z 2000").lines().count(), 1_000);
        assert_eq!(world.say(client, "ZRANDMEMBER z -2000 WITHSCORES").lines().count(), 4_000);
        assert!(world.say(client, "ZRANDMEMBER z").starts_with("member:"));
    }
}
