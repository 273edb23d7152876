//! Sets: any members, taken or not, and a walk over all of them.

use std::collections::BTreeSet;

use super::hash_walk::{Draw, Walk, is_drawn};
use super::list::reply_element;
use super::parse::ranged;
use super::row::{Command, Example, Flags, Run, Touch};
use super::sets::ROW;
use crate::args::Args;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::random::Draws;
use crate::shard::Cx;
use crate::value::element::Element;
use crate::value::set::Set;

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "spop",
        arity: -2,
        flags: Flags::WRITE.or(Flags::FAST),
        touch: Touch::Take,
        summary: "Returns one or more random members from a set after removing them. Deletes the set if the last member was popped.",
        complexity: "Without the count argument O(1), otherwise O(N) where N is the value of the passed count.",
        syntax: "key [count:integer]",
        examples: &[
            Example { call: "SADD myset one", reply: "1" },
            Example { call: "SPOP myset", reply: "one" },
            Example { call: "SPOP myset", reply: "" },
        ],
        run: Run::Hop(pop),
        ..ROW
    },
    Command {
        name: "srandmember",
        arity: -2,
        flags: Flags::READONLY,
        summary: "Get one or multiple random members from a set.",
        complexity: "Without the count argument O(1), otherwise O(N) where N is the absolute value of the passed count.",
        syntax: "key [count:integer]",
        examples: &[
            Example { call: "SADD myset one", reply: "1" },
            Example { call: "SRANDMEMBER myset", reply: "one" },
            Example { call: "SRANDMEMBER myset -2", reply: "one\none" },
        ],
        run: Run::Hop(any),
        ..ROW
    },
    Command {
        name: "sscan",
        arity: -3,
        since: "2.8.0",
        flags: Flags::READONLY,
        summary: "Iterates over members of a set.",
        complexity: "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.",
        syntax: "key cursor:integer [MATCH pattern] [COUNT count:integer]",
        examples: &[
            Example { call: "SADD myset 1 2 3", reply: "3" },
            Example { call: "SSCAN myset 0", reply: "0\n1\n2\n3" },
        ],
        run: Run::Hop(scan),
        ..ROW
    },
];

/// Calls `each` with so many different members, all sets of them being as likely.
fn choose<'a>(set: &'a Set, count: usize, random: &mut Draws, mut each: impl FnMut(Element<'a>)) {
    if is_drawn(count, set.len()) {
        let mut drawn = BTreeSet::new();
        while drawn.len() < count
            && let Some((member, place)) = set.random(random)
        {
            if drawn.insert(place) {
                each(member);
            }
        }
        return;
    }
    let (mut wanted, mut left) = (count.min(set.len()) as u64, set.len() as u64);
    for member in set.iter() {
        if random.below(left) < wanted {
            wanted -= 1;
            each(member);
        }
        left -= 1;
    }
}

/// What says that members are not there any more.
const GONE: &[u8] = b"srem";

fn pop(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    if args.len() > 3 {
        return Err(Failure::SYNTAX);
    }
    let (key, mut random) = (cx.key(args, 0), cx.shard.random.draws());
    let Some(word) = args.get(2) else {
        let popped = cx.change_held(key, |set: &mut Set| {
            let (member, _) = set.random(&mut random)?;
            reply_element(member, reply);
            let member = member.to_vec();
            set.remove(&member).then_some(member)
        })?;
        match popped {
            Some(member) => cx.say(key, &[GONE, key.bytes, &member]),
            None => reply.null(),
        }
        return Ok(());
    };
    let count = ranged(word, 0, "ERR value is out of range, must be positive")?;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let popped = match count {
        0 => cx.peek_held::<Set>(key)?.and(None),
        _ if cx.peek_held::<Set>(key)?.is_some_and(|set| set.len() <= count) => {
            // Nothing is chosen and nothing is changed within: all of it goes.
            if let Some(set) = cx.peek_held::<Set>(key)? {
                reply.set(set.len());
                set.iter().for_each(|member| reply_element(member, reply));
            }
            cx.remove(key);
            Some(())
        }
        _ => cx
            .change_held(key, |set: &mut Set| {
                reply.set(count);
                let mut chosen = Vec::with_capacity(count);
                choose(set, count, &mut random, |member| {
                    reply_element(member, reply);
                    chosen.push(member.to_vec());
                });
                chosen.iter().for_each(|member| {
                    set.remove(member);
                });
                Some(chosen)
            })?
            .map(|chosen| {
                // Whoever reads this back would draw others.
                let words: Vec<&[u8]> =
                    [GONE, key.bytes].into_iter().chain(chosen.iter().map(Vec::as_slice)).collect();
                cx.say(key, &words);
            }),
    };
    if popped.is_none() {
        reply.set(0);
    }
    Ok(())
}

fn any(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    if args.len() > 3 {
        return Err(Failure::SYNTAX);
    }
    let draw = args.get(2).map(Draw::parse).transpose()?;
    let (key, mut random) = (cx.key(args, 0), cx.shard.random.draws());
    let set = cx.read_held::<Set>(key)?;
    match (draw, set) {
        (None, set) => match set.and_then(|set| set.random(&mut random)) {
            Some((member, _)) => reply_element(member, reply),
            None => reply.null(),
        },
        (_, None) => reply.array(0),
        (Some(Draw::Any(count)), Some(set)) => {
            reply.array(count);
            for _ in 0..count {
                if let Some((member, _)) = set.random(&mut random) {
                    reply_element(member, reply);
                }
            }
        }
        (Some(Draw::Different(count)), Some(set)) => {
            reply.array(count.min(set.len()));
            choose(set, count, &mut random, |member| reply_element(member, reply));
        }
    }
    Ok(())
}

fn scan(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    Walk::cursor(args)?;
    let Some(set) = cx.read_held::<Set>(cx.key(args, 0))? else {
        Walk::nothing(reply);
        return Ok(());
    };
    let walk = Walk::parse(args, false)?;
    walk.run(reply, &mut |cursor, reply, met, written| {
        set.scan(cursor, &mut |member| {
            *met += 1;
            if member.with(|bytes| walk.takes(bytes)) {
                reply_element(member, reply);
                *written += 1;
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
    fn any_members_can_be_had_and_taken() {
        for (name, large) in [("m", 2_000), ("", 400), ("m", 50)] {
            let mut world = World::new(2);
            let client = world.connect(0);
            let members: String = (0..large).map(|n| format!(" {name}{n}")).collect();
            world.call(client, &format!("SADD s{members}"));
            for count in [0, 1, 7, large / 2, large - 1, large, large + 9] {
                let text = world.say(client, &format!("SRANDMEMBER s {count}"));
                let found: BTreeSet<&str> = text.lines().collect();
                assert_eq!((found.len(), text.lines().count()), (count.min(large), count.min(large)));
            }
            assert_eq!(world.say(client, "SRANDMEMBER s -70").lines().count(), 70);
            let mut popped = BTreeSet::new();
            for count in [1, 5, large / 2, large] {
                let text = world.say(client, &format!("SPOP s {count}"));
                for member in text.lines() {
                    assert!(popped.insert(member.to_string()), "{member} comes once");
                }
                if popped.len() < large {
                    popped.insert(world.say(client, "SPOP s"));
                    assert_eq!(world.say(client, "SCARD s"), (large - popped.len()).to_string());
                }
            }
            assert_eq!((popped.len(), world.say(client, "EXISTS s")), (large, "0".to_string()));
        }
    }

    #[test]
    fn odd_counts_and_missing_sets() {
        let mut world = World::new(2);
        let client = world.connect(0);
        world.call(client, "SADD s a");
        for (call, reply) in [
            ("SPOP nosuch", "$-1\r\n"),
            ("SPOP nosuch 1", "*0\r\n"),
            ("SPOP s 0", "*0\r\n"),
            ("SPOP s -1", "-ERR value is out of range, must be positive\r\n"),
            ("SPOP s 1 2", "-ERR syntax error\r\n"),
            ("SRANDMEMBER nosuch", "$-1\r\n"),
            ("SRANDMEMBER nosuch 1", "*0\r\n"),
            ("SRANDMEMBER s x", "-ERR value is not an integer or out of range\r\n"),
            ("SRANDMEMBER s 1 2", "-ERR syntax error\r\n"),
            ("SSCAN s 0 NOVALUES", "-ERR NOVALUES option can only be used in HSCAN\r\n"),
            ("SSCAN nosuch 0", "*2\r\n$1\r\n0\r\n*0\r\n"),
        ] {
            assert_eq!(world.call(client, call), reply, "{call}");
        }
        world.call(client, "HELLO 3");
        assert_eq!(world.call(client, "SPOP s 9"), "~1\r\n$1\r\na\r\n");
        assert_eq!(world.call(client, "SPOP s 9"), "~0\r\n");
    }

    #[test]
    fn a_walk_meets_what_stays_while_others_come_and_go() {
        let mut world = World::new(1);
        let client = world.connect(0);
        let members: String = (0..3_000).map(|n| format!(" stays{n}")).collect();
        world.call(client, &format!("SADD s{members}"));
        let (mut cursor, mut met, mut round) = ("0".to_string(), BTreeSet::new(), 0);
        loop {
            let text = world.say(client, &format!("SSCAN s {cursor}"));
            let mut lines = text.lines();
            cursor = lines.next().expect("a cursor").to_string();
            met.extend(lines.map(str::to_string));
            if cursor == "0" {
                break;
            }
            let others: String = (0..50).map(|n| format!(" other{round}:{n}")).collect();
            let (word, round_of) = if round < 60 { ("SADD", round) } else { ("SREM", round - 60) };
            let others = others.replace(&format!("other{round}:"), &format!("other{round_of}:"));
            world.call(client, &format!("{word} s{others}"));
            round += 1;
        }
        assert!((0..3_000).all(|n| met.contains(&format!("stays{n}"))));
        assert!(round > 100, "{round}");
    }
}
