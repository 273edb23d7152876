//! Sorted sets: taking the members with the lowest or highest scores, of one set or of the first of several that is there, and waiting for them.
//! How commands wait is the engine's business: see `docs/TRANSACTIONS.md`.

use super::first;
use super::parse::{ranged, seconds_to_wait};
use super::row::{Block, Command, Example, Flags, Group, Keys, Next, Plan, Run, Touch};
use super::zset::reply_members;
use crate::args::Args;
use crate::database::Key;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::shard::Cx;
use crate::txn::work::{Finding, Order};
use crate::value::container::Container;
use crate::value::record::Record;
use crate::value::zset::SortedSet;

const POP: Command = Command {
    group: Group::SortedSet,
    arity: -2,
    flags: Flags::WRITE.or(Flags::FAST),
    keys: Keys::ONE,
    touch: Touch::Take,
    since: "5.0.0",
    complexity: "O(log(N)*M) with N being the number of elements in the sorted set, and M being the number of elements popped.",
    syntax: "key [count:integer]",
    ..Command::DEFAULT
};
const WAIT_FLAGS: Flags = Flags(Flags::WRITE.0 | Flags::NOSCRIPT.0 | Flags::BLOCKING.0 | Flags::FAST.0);
const WAIT: Command = Command {
    arity: -3,
    flags: WAIT_FLAGS,
    keys: Keys::Range { first: 1, last: -2, step: 1 },
    complexity: "O(log(N)) with N being the number of elements in the sorted set.",
    syntax: "key [key ...] timeout:double",
    ..POP
};

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "zpopmin",
        summary: "Returns the lowest-scoring members from a sorted set after removing them. Deletes the sorted set if the last member was \
                  popped.",
        examples: &[
            Example { call: "ZADD myzset 1 one 2 two 3 three", reply: "3" },
            Example { call: "ZPOPMIN myzset", reply: "one\n1" },
        ],
        run: Run::Hop(|cx, args, reply| pop(cx, args, End::Min, reply)),
        ..POP
    },
    Command {
        name: "zpopmax",
        summary: "Returns the highest-scoring members from a sorted set after removing them. Deletes the sorted set if the last member was \
                  popped.",
        examples: &[
            Example { call: "ZADD myzset 1 one 2 two 3 three", reply: "3" },
            Example { call: "ZPOPMAX myzset 2", reply: "three\n3\ntwo\n2" },
        ],
        run: Run::Hop(|cx, args, reply| pop(cx, args, End::Max, reply)),
        ..POP
    },
    Command {
        name: "zmpop",
        arity: -4,
        flags: Flags::WRITE.or(Flags::MOVABLE_KEYS),
        keys: Keys::Counted { count: 1, step: 1 },
        since: "7.0.0",
        summary: "Returns the highest- or lowest-scoring members from one or more sorted sets after removing them. Deletes the sorted set \
                  if the last member was popped.",
        complexity: "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements in the sorted set, and M \
                     being the number of elements popped.",
        syntax: "numkeys:integer key [key ...] where:<MIN | MAX> [COUNT count:integer]",
        examples: &[
            Example { call: "ZMPOP 1 nosuch MIN", reply: "" },
            Example { call: "ZADD {z}2 1 one 2 two 3 three", reply: "3" },
            Example { call: "ZMPOP 2 {z}1 {z}2 MAX COUNT 2", reply: "{z}2\nthree\n3\ntwo\n2" },
        ],
        run: Run::Plan(&MPOP),
        ..POP
    },
    Command {
        name: "bzpopmin",
        summary: "Removes and returns the member with the lowest score from one or more sorted sets. Blocks until a member is available \
                  otherwise. Deletes the sorted set if the last element was popped.",
        examples: &[
            Example { call: "ZADD {z}2 1 one 2 two", reply: "2" },
            Example { call: "BZPOPMIN {z}1 {z}2 1", reply: "{z}2\none\n1" },
        ],
        run: Run::Block(&BPOPMIN),
        ..WAIT
    },
    Command {
        name: "bzpopmax",
        summary: "Removes and returns the member with the highest score from one or more sorted sets. Blocks until a member is available \
                  otherwise. Deletes the sorted set if the last element was popped.",
        examples: &[
            Example { call: "ZADD {z}2 1 one 2 two", reply: "2" },
            Example { call: "BZPOPMAX {z}1 {z}2 1", reply: "{z}2\ntwo\n2" },
        ],
        run: Run::Block(&BPOPMAX),
        ..WAIT
    },
    Command {
        name: "bzmpop",
        arity: -5,
        flags: Flags(Flags::WRITE.0 | Flags::BLOCKING.0 | Flags::MOVABLE_KEYS.0),
        keys: Keys::Counted { count: 2, step: 1 },
        since: "7.0.0",
        summary: "Removes and returns a member by score from one or more sorted sets. Blocks until a member is available otherwise. \
                  Deletes the sorted set if the last element was popped.",
        complexity: "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements in the sorted set, and M \
                     being the number of elements popped.",
        syntax: "timeout:double numkeys:integer key [key ...] where:<MIN | MAX> [COUNT count:integer]",
        examples: &[
            Example { call: "ZADD {z}2 1 one 2 two", reply: "2" },
            Example { call: "BZMPOP 1 2 {z}1 {z}2 MIN COUNT 2", reply: "{z}2\none\n1\ntwo\n2" },
        ],
        run: Run::Block(&BMPOP),
        ..WAIT
    },
];

/// From which end members are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Min,
    Max,
}

/// What is taken.
#[derive(Clone, Copy, Debug)]
struct Taking {
    end: End,
    count: usize,
}

const MPOP: Plan = Plan {
    check: |args, _| Taking::parse(args, 1).map(drop),
    reads: |_| false,
    act: |cx, args, order| act_take(cx, args, order, Taking::parse(args, 1)),
    next: |args, _, findings, reply| match next_take(args, findings, reply, true) {
        Next::Wait => {
            reply.null_array();
            Next::Done
        }
        next => next,
    },
};

/// Takes from the first set that is there.
const fn waiting(plan: Plan) -> Block {
    Block {
        plan,
        timeout: |args| seconds_to_wait(args.at(args.len() - 1)),
        waits_for: |_| true,
        is_served_alone: true,
        is_ready: is_sorted_set,
        empty: |reply| reply.null_array(),
        waits: |_| true,
        reader: None,
    }
}

const BPOPMIN: Block = waiting(Plan {
    check: |_, _| Ok(()),
    reads: |_| false,
    act: |cx, args, order| act_take(cx, args, order, Ok(Taking { end: End::Min, count: 1 })),
    next: |args, _, findings, reply| next_take(args, findings, reply, false),
});

const BPOPMAX: Block = waiting(Plan {
    check: |_, _| Ok(()),
    reads: |_| false,
    act: |cx, args, order| act_take(cx, args, order, Ok(Taking { end: End::Max, count: 1 })),
    next: |args, _, findings, reply| next_take(args, findings, reply, false),
});

const BMPOP: Block = Block {
    timeout: |args| seconds_to_wait(args.at(1)),
    ..waiting(Plan {
        check: |args, _| Taking::parse(args, 2).map(drop),
        reads: |_| false,
        act: |cx, args, order| act_take(cx, args, order, Taking::parse(args, 2)),
        next: |args, _, findings, reply| next_take(args, findings, reply, true),
    })
};

fn is_sorted_set(record: &Record) -> bool {
    matches!(record.container(), Some(Container::SortedSet(_)))
}

impl Taking {
    /// `numkeys` stands at argument `n`, the keys behind it.
    fn parse(args: Args<'_>, n: usize) -> Result<Taking, Failure> {
        let keys = ranged(args.at(n), 1, "ERR numkeys should be greater than 0")? as usize;
        let at = keys.checked_add(n + 1).filter(|&at| at < args.len()).ok_or(Failure::SYNTAX)?;
        let end = match () {
            () if args.is(at, "min") => End::Min,
            () if args.is(at, "max") => End::Max,
            () => return Err(Failure::SYNTAX),
        };
        let mut count = None;
        let mut n = at + 1;
        while n < args.len() {
            if count.is_some() || !args.is(n, "count") || n + 1 == args.len() {
                return Err(Failure::SYNTAX);
            }
            count = Some(ranged(args.at(n + 1), 1, "ERR count should be greater than 0")? as usize);
            n += 2;
        }
        Ok(Taking { end, count: count.unwrap_or(1) })
    }
}

/// Takes members and gives them to `emit`, the outermost first; `None` if there is no key.
fn take<R>(
    cx: &mut Cx<'_>,
    key: Key<'_>,
    taking: Taking,
    emit: impl FnOnce(crate::value::zset::Members<'_>) -> R,
) -> Result<Option<R>, Failure> {
    cx.change_held(key, |set: &mut SortedSet| {
        let (len, count) = (set.len(), taking.count.min(set.len()));
        let (from, to) = if taking.end == End::Min { (0, count) } else { (len - count, len) };
        let result = emit(match taking.end {
            End::Min => set.range(from, to),
            End::Max => set.range_back(from, to),
        });
        set.remove_range(from, to);
        Some(result)
    })
}

fn pop(cx: &mut Cx<'_>, args: Args<'_>, end: End, reply: &mut Reply<'_>) -> Outcome {
    let key = cx.key(args, 0);
    let count = match args.len() {
        2 => None,
        3 => Some(ranged(args.at(2), 0, "ERR value is out of range, must be positive")? as usize),
        _ => return Err(Failure::SYNTAX),
    };
    if count == Some(0) {
        cx.peek_held::<SortedSet>(key)?;
        reply.array(0);
        return Ok(());
    }
    // One that was asked for without a number is no pair of its own in RESP3 either.
    let is_flat = count.is_none();
    let taken = take(cx, key, Taking { end, count: count.unwrap_or(1) }, |mut members| match is_flat {
        true => {
            reply.array(2);
            if let Some((member, score)) = members.next() {
                super::zset::reply_member(member, reply);
                reply.double(score);
            }
        }
        false => reply_members(members, true, reply),
    })?;
    if taken.is_none() {
        reply.array(0);
    }
    Ok(())
}

/// A shard's part of taking from the first of several sets that is there.
fn act_take(cx: &mut Cx<'_>, args: Args<'_>, order: Order, taking: Result<Taking, Failure>) -> Finding {
    let taking = match taking {
        Ok(taking) => taking,
        Err(failure) => return Finding::Failed(failure),
    };
    let Some(place) = order.key else { return first::look::<SortedSet>(cx, args) };
    let key = cx.key_of(args.at(place as usize));
    let name: &[u8] = if taking.end == End::Min { b"zpopmin" } else { b"zpopmax" };
    cx.say(key, &[name, key.bytes, taking.count.min(i64::MAX as usize).to_string().as_bytes()]);
    first::given(take(cx, key, taking, |members| {
        let mut found = vec![Finding::Count(u64::from(place))];
        for (member, score) in members {
            found.extend([Finding::Bytes(member.to_vec()), Finding::Count(score.to_bits())]);
        }
        found
    }))
}

/// What follows; what was taken is told as pairs in an array (`is_many`), or as one pair behind the key.
fn next_take(args: Args<'_>, findings: Vec<Finding>, reply: &mut Reply<'_>, is_many: bool) -> Next {
    first::next(findings, |place, pairs| {
        reply.array(if is_many { 2 } else { 3 });
        reply.bulk(args.at(place));
        if is_many {
            reply.array(pairs.len() / 2);
        }
        for pair in pairs.chunks(2) {
            let [Finding::Bytes(member), Finding::Count(bits)] = pair else { continue };
            if is_many {
                reply.array(2);
            }
            reply.bulk(member);
            reply.double(f64::from_bits(*bits));
        }
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::{Client, World};

    #[test]
    fn members_are_taken_from_either_end() {
        for entries in ["128", "0"] {
            let mut world = World::new(3);
            let client = world.connect(0);
            world.call(client, &format!("CONFIG SET zset-max-listpack-entries {entries}"));
            world.call(client, "ZADD z 1 a 2 b 3 c 4 d 5 e 6.5 f 7 g");
            for (call, reply) in [
                ("ZPOPMIN z", "*2\r\n$1\r\na\r\n$1\r\n1\r\n"),
                ("ZPOPMAX z 2", "*4\r\n$1\r\ng\r\n$1\r\n7\r\n$1\r\nf\r\n$3\r\n6.5\r\n"),
                ("ZPOPMIN z 0", "*0\r\n"),
                ("ZPOPMIN z -1", "-ERR value is out of range, must be positive\r\n"),
                ("ZPOPMIN z 1 2", "-ERR syntax error\r\n"),
                ("ZMPOP 2 nosuch z MIN", "*2\r\n$1\r\nz\r\n*1\r\n*2\r\n$1\r\nb\r\n$1\r\n2\r\n"),
                ("ZPOPMIN z", "*2\r\n$1\r\nc\r\n$1\r\n3\r\n"),
                (
                    "ZMPOP 1 z MAX COUNT 9",
                    "*2\r\n$1\r\nz\r\n*2\r\n*2\r\n$1\r\ne\r\n$1\r\n5\r\n*2\r\n$1\r\nd\r\n$1\r\n4\r\n",
                ),
                ("ZPOPMIN z", "*0\r\n"),
                ("ZPOPMIN z 3", "*0\r\n"),
                ("ZMPOP 1 z MIN", "*-1\r\n"),
                ("ZMPOP 0 z MIN", "-ERR numkeys should be greater than 0\r\n"),
                ("ZMPOP 1 z MID", "-ERR syntax error\r\n"),
                ("ZMPOP 1 z MIN COUNT 0", "-ERR count should be greater than 0\r\n"),
                ("ZMPOP 1 z MIN COUNT 1 COUNT 2", "-ERR syntax error\r\n"),
            ] {
                assert_eq!(world.call(client, call), reply, "{call}");
            }
            world.call(client, "HELLO 3");
            world.call(client, "ZADD z 1 a 2 b 3 c");
            for (call, reply) in [
                ("ZPOPMIN z", "*2\r\n$1\r\na\r\n,1\r\n"),
                ("ZPOPMIN z 1", "*1\r\n*2\r\n$1\r\nb\r\n,2\r\n"),
                ("BZPOPMIN z 0", "*3\r\n$1\r\nz\r\n$1\r\nc\r\n,3\r\n"),
                ("EXISTS z", ":0\r\n"),
            ] {
                assert_eq!(world.call(client, call), reply, "{call}");
            }
        }
    }

    #[test]
    fn who_waits_for_members_is_served_in_turn() {
        for cores in [1, 3] {
            let mut world = World::new(cores);
            let clients: Vec<Client> = (0..5).map(|n| world.connect(n % cores)).collect();
            for key in ["a", "b", "c"] {
                assert_eq!(world.call(clients[0], &format!("BZPOPMIN {key} other 0")), "");
                assert_eq!(world.call(clients[1], &format!("BZPOPMAX {key} {key}2 0")), "");
                assert_eq!(world.call(clients[2], &format!("BZMPOP 0 2 x {key} MIN COUNT 5")), "");
                assert_eq!(world.call(clients[3], &format!("RPUSH {key} x")), ":1\r\n");
                assert_eq!(world.call(clients[3], &format!("DEL {key}")), ":1\r\n");
                assert_eq!(world.call(clients[3], &format!("ZADD {key} 1 m 2 n 3 o 4 p")), ":4\r\n");
                assert_eq!(world.receive(clients[0]), format!("*3\r\n$1\r\n{key}\r\n$1\r\nm\r\n$1\r\n1\r\n"));
                assert_eq!(world.receive(clients[1]), format!("*3\r\n$1\r\n{key}\r\n$1\r\np\r\n$1\r\n4\r\n"));
                let pairs = "*2\r\n*2\r\n$1\r\nn\r\n$1\r\n2\r\n*2\r\n$1\r\no\r\n$1\r\n3\r\n";
                assert_eq!(world.receive(clients[2]), format!("*2\r\n$1\r\n{key}\r\n{pairs}"));
                assert_eq!(world.call(clients[3], &format!("EXISTS {key}")), ":0\r\n");
            }
            assert_eq!(world.call(clients[4], "BZPOPMIN a 0.01"), "");
            world.pass(20);
            assert_eq!(world.receive(clients[4]), "*-1\r\n");
            assert_eq!(world.call(clients[4], "BZPOPMIN a 0"), "");
            // What comes by another command wakes as well.
            world.call(clients[3], "ZADD from 1 x");
            assert_eq!(world.call(clients[3], "ZUNIONSTORE a 1 from"), ":1\r\n");
            assert_eq!(world.receive(clients[4]), "*3\r\n$1\r\na\r\n$1\r\nx\r\n$1\r\n1\r\n");
            clients.into_iter().for_each(|client| world.hang_up(client));
            assert_eq!(world.unfinished(), [""; 0], "{cores} cores");
        }
    }
}
