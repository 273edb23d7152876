//! Hashes: any fields, and a walk over all of them. What walks over values have in common.

use std::collections::BTreeSet;

use super::hash::ROW;
use super::list::reply_element;
use super::parse::integer;
use super::row::{Command, Example, Flags, Run};
use crate::args::Args;
use crate::glob;
use crate::protocol::chunks::Chunks;
use crate::protocol::reply::{Failure, Outcome, Reply, Resp};
use crate::shard::Cx;
use crate::value::field::Field;
use crate::value::hash::Hash;

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "hrandfield",
        arity: -2,
        since: "6.2.0",
        flags: Flags::READONLY,
        summary: "Returns one or more random fields from a hash.",
        complexity: "O(N) where N is the number of fields returned",
        syntax: "key [count:integer [WITHVALUES]]",
        examples: &[
            Example { call: "HSET coin heads obverse", reply: "1" },
            Example { call: "HRANDFIELD coin", reply: "heads" },
            Example { call: "HRANDFIELD coin -2 WITHVALUES", reply: "heads\nobverse\nheads\nobverse" },
        ],
        run: Run::Hop(any),
        ..ROW
    },
    Command {
        name: "hscan",
        arity: -3,
        since: "2.8.0",
        flags: Flags::READONLY,
        summary: "Iterates over fields and values of a hash.",
        complexity: "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.",
        syntax: "key cursor:integer [MATCH pattern] [COUNT count:integer] [NOVALUES]",
        examples: &[
            Example { call: "HSET myhash field1 Hello field2 World", reply: "2" },
            Example { call: "HSCAN myhash 0 MATCH *1", reply: "0\nfield1\nHello" },
        ],
        run: Run::Hop(scan),
        ..ROW
    },
];

/// How many members a client wants, and whether they may be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Draw {
    /// So many, each once.
    Different(usize),
    /// So many, one after the other.
    Any(usize),
}

impl Draw {
    /// Negative: any.
    pub(super) fn parse(word: &[u8]) -> Result<Draw, Failure> {
        let count = integer(word)?;
        if count == i64::MIN {
            return Err(Failure::new(
                "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
            ));
        }
        let many = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        // Nobody can take so many; Redis tries.
        if count < -DRAWN_MAX {
            return Err(Failure::new("ERR value is out of range"));
        }
        Ok(if count < 0 { Draw::Any(many) } else { Draw::Different(many) })
    }
}

/// Of what may repeat a client can have so many at once.
const DRAWN_MAX: i64 = 1 << 30;

/// From this share of all on, it is cheaper to walk over all than to draw until they are different.
const DRAWN_SHARE: usize = 3;

/// True if `count` different ones of `all` are better drawn than chosen in a walk.
pub(super) fn is_drawn(count: usize, all: usize) -> bool {
    count.saturating_mul(DRAWN_SHARE) < all
}

fn any(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let now = cx.now;
    let key = cx.key(args, 0);
    let Some(word) = args.get(2) else {
        let mut random = cx.shard.random.draws();
        match cx.read_held::<Hash>(key)?.and_then(|hash| hash.random(now, &mut random)) {
            Some((field, _)) => reply_element(field.name, reply),
            None => reply.null(),
        }
        return Ok(());
    };
    let draw = Draw::parse(word)?;
    let with_values = args.len() == 4 && args.is(3, "withvalues");
    if args.len() > 3 && !with_values {
        return Err(Failure::SYNTAX);
    }
    if let Draw::Any(count) | Draw::Different(count) = draw
        && with_values
        && count > i64::MAX as usize / 2
    {
        return Err(Failure::new("ERR value is out of range"));
    }
    let mut random = cx.shard.random.draws();
    let Some(hash) = cx.read_held::<Hash>(key)? else {
        reply.array(0);
        return Ok(());
    };
    let each = |field: Field<'_>, reply: &mut Reply<'_>| {
        if with_values && reply.resp() == Resp::V3 {
            reply.array(2);
        }
        reply_element(field.name, reply);
        if with_values {
            reply_element(field.value, reply);
        }
    };
    let words = if with_values && reply.resp() == Resp::V2 { 2 } else { 1 };
    let living = hash.living(now);
    match draw {
        Draw::Any(count) => {
            reply.array(count.saturating_mul(words));
            for _ in 0..count {
                if let Some((field, _)) = hash.random(now, &mut random) {
                    each(field, reply);
                }
            }
        }
        Draw::Different(count) if is_drawn(count, living) => {
            reply.array(count * words);
            let mut drawn = BTreeSet::new();
            while drawn.len() < count
                && let Some((field, place)) = hash.random(now, &mut random)
            {
                if drawn.insert(place) {
                    each(field, reply);
                }
            }
        }
        Draw::Different(count) => {
            let mut wanted = count.min(living);
            reply.array(wanted * words);
            let mut left = living as u64;
            for field in hash.iter().filter(|field| field.lives(now)) {
                if random.below(left) < wanted as u64 {
                    wanted -= 1;
                    each(field, reply);
                }
                left -= 1;
            }
        }
    }
    Ok(())
}

/// What a walk over a value was asked for.
pub(super) struct Walk<'a> {
    pub(super) cursor: u64,
    pattern: Option<&'a [u8]>,
    count: usize,
    pub(super) without_values: bool,
}

impl<'a> Walk<'a> {
    /// The cursor stands behind the key.
    pub(super) fn cursor(args: Args<'_>) -> Result<u64, Failure> {
        let cursor = std::str::from_utf8(args.at(2)).ok().and_then(|text| text.parse().ok());
        cursor.ok_or(Failure::new("ERR invalid cursor"))
    }

    /// The words behind the cursor.
    pub(super) fn parse(args: Args<'a>, has_values: bool) -> Result<Walk<'a>, Failure> {
        let mut walk = Walk { cursor: Walk::cursor(args)?, pattern: None, count: 10, without_values: false };
        let mut n = 3;
        while n < args.len() {
            if args.is(n, "novalues") {
                if !has_values {
                    return Err(Failure::new("ERR NOVALUES option can only be used in HSCAN"));
                }
                walk.without_values = true;
                n += 1;
                continue;
            }
            let Some(operand) = args.get(n + 1) else { return Err(Failure::SYNTAX) };
            if args.is(n, "match") {
                walk.pattern = Some(operand).filter(|pattern| *pattern != b"*");
            } else if args.is(n, "count") {
                let count = integer(operand)?;
                walk.count = usize::try_from(count).ok().filter(|&c| c > 0).ok_or(Failure::SYNTAX)?;
            } else {
                return Err(Failure::SYNTAX);
            }
            n += 2;
        }
        Ok(walk)
    }

    /// True if a member is to be shown.
    pub(super) fn takes(&self, member: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, member, false))
    }

    /// Walks on until enough was met: `step` visits what stands at a cursor, writes what is to be shown, counts what it has met and what it has
    /// written, and says where the walk stands then.
    pub(super) fn run(
        &self,
        reply: &mut Reply<'_>,
        step: &mut dyn FnMut(u64, &mut Reply<'_>, &mut usize, &mut usize) -> u64,
    ) {
        // As many buckets without anything as Redis looks at.
        const EMPTY_PER_MEMBER: usize = 10;
        let (mut met, mut written, mut chunks) = (0, 0, Chunks::default());
        let mut cursor = self.cursor;
        for _ in 0..self.count.saturating_mul(EMPTY_PER_MEMBER) {
            cursor = step(cursor, &mut Reply::new(&mut chunks, reply.resp()), &mut met, &mut written);
            if cursor == 0 || met >= self.count {
                break;
            }
        }
        reply.array(2);
        reply.text(&cursor.to_string());
        reply.array(written);
        reply.append(chunks);
    }

    /// The end, and nothing.
    pub(super) fn nothing(reply: &mut Reply<'_>) {
        reply.array(2);
        reply.text("0");
        reply.array(0);
    }
}

fn scan(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let now = cx.now;
    Walk::cursor(args)?;
    let Some(hash) = cx.read_held::<Hash>(cx.key(args, 0))? else {
        Walk::nothing(reply);
        return Ok(());
    };
    let walk = Walk::parse(args, true)?;
    walk.run(reply, &mut |cursor, reply, met, written| {
        hash.scan(cursor, &mut |field| {
            *met += 1;
            if field.lives(now) && field.name.with(|name| walk.takes(name)) {
                reply_element(field.name, reply);
                *written += 1;
                if !walk.without_values {
                    reply_element(field.value, reply);
                    *written += 1;
                }
            }
        })
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::testing::World;

    #[test]
    fn a_walk_meets_every_field_of_small_and_large_hashes() {
        let mut world = World::new(2);
        let client = world.connect(0);
        for fields in [10, 5_000] {
            let call: String = (0..fields).map(|n| format!(" f{n} v{n}")).collect();
            world.call(client, "DEL h");
            world.call(client, &format!("HSET h{call}"));
            let (mut cursor, mut met, mut calls) = ("0".to_string(), BTreeSet::new(), 0);
            loop {
                let text = world.say(client, &format!("HSCAN h {cursor} COUNT 100"));
                let mut lines = text.lines();
                cursor = lines.next().expect("a cursor").to_string();
                let lines: Vec<&str> = lines.collect();
                for pair in lines.chunks(2) {
                    assert_eq!(pair[0][1..], pair[1][1..]);
                    met.insert(pair[0].to_string());
                }
                calls += 1;
                if cursor == "0" {
                    break;
                }
            }
            assert_eq!(met.len(), fields);
            assert!(calls <= 1 + fields / 90, "{calls} calls");
            let names = world.say(client, "HSCAN h 0 COUNT 100000 NOVALUES MATCH f1*");
            assert!(names.lines().skip(1).all(|line| line.starts_with("f1")) && names.lines().count() > 1);
        }
        for (call, reply) in [
            ("HSCAN h x", "ERR invalid cursor"),
            ("HSCAN nosuch 0 FOO", "0\n"),
            ("HSCAN h 0 COUNT 0", "ERR syntax error"),
            ("HSCAN h 0 COUNT x", "ERR value is not an integer or out of range"),
            ("HSCAN h 0 COUNT", "ERR syntax error"),
            ("HSCAN h 0 FOO 1", "ERR syntax error"),
        ] {
            assert_eq!(world.say(client, call).trim_end(), reply.trim_end(), "{call}");
        }
    }

    #[test]
    fn any_fields_can_be_had() {
        let mut world = World::new(2);
        let client = world.connect(0);
        for fields in [20, 2_000] {
            let call: String = (0..fields).map(|n| format!(" f{n} v{n}")).collect();
            world.call(client, &format!("HSET h{call}"));
            for count in [0, 5, 19, fields / 2, fields - 1, fields, fields + 5] {
                let text = world.say(client, &format!("HRANDFIELD h {count}"));
                let found: BTreeSet<&str> = text.lines().collect();
                assert_eq!((found.len(), text.lines().count()), (count.min(fields), count.min(fields)));
            }
            assert_eq!(world.say(client, "HRANDFIELD h -50").lines().count(), 50);
            let pairs = world.say(client, "HRANDFIELD h 10 WITHVALUES");
            let lines: Vec<&str> = pairs.lines().collect();
            assert!(lines.len() == 20 && lines.chunks(2).all(|pair| pair[0][1..] == pair[1][1..]));
        }
        for (call, reply) in [
            ("HRANDFIELD nosuch", "$-1\r\n"),
            ("HRANDFIELD nosuch 3", "*0\r\n"),
            ("HRANDFIELD h x", "-ERR value is not an integer or out of range\r\n"),
            ("HRANDFIELD h 1 FOO", "-ERR syntax error\r\n"),
            (
                "HRANDFIELD h -9223372036854775808",
                "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807\r\n",
            ),
            ("HRANDFIELD h -9223372036854775807 WITHVALUES", "-ERR value is out of range\r\n"),
        ] {
            assert_eq!(world.call(client, call), reply, "{call}");
        }
        world.call(client, "DEL h");
        world.call(client, "HSET h f v");
        world.call(client, "HELLO 3");
        assert_eq!(world.call(client, "HRANDFIELD h 1 WITHVALUES"), "*1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n");
    }
}
