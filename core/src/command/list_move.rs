//! Lists: taking elements of one of several lists, and moving an element from list to list.

use super::first;
use super::list::{fill, pop_name, pop_one, push_name, push_one, side};
use super::parse::ranged;
use super::row::{Command, Example, Flags, Group, Keys, Next, Plan, Run, Touch};
use crate::args::Args;
use crate::protocol::reply::{Failure, Reply};
use crate::shard::Cx;
use crate::txn::work::{Finding, Order};
use crate::value::list::List;
use crate::value::pack::Side;

const ROW: Command = Command { group: Group::List, ..Command::DEFAULT };
const MOVE: Command =
    Command { flags: Flags::WRITE.or(Flags::DENYOOM), keys: Keys::TWO, touch: Touch::Move, ..ROW };

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "lmove",
        arity: 5,
        since: "6.2.0",
        summary: "Returns an element after popping it from one list and pushing it to another. Deletes the list if the last element \
                  was moved.",
        syntax: "source:key destination:key wherefrom:<LEFT | RIGHT> whereto:<LEFT | RIGHT>",
        examples: &[
            Example { call: "RPUSH {l}1 one two three", reply: "3" },
            Example { call: "LMOVE {l}1 {l}2 RIGHT LEFT", reply: "three" },
            Example { call: "LMOVE {l}1 {l}2 LEFT RIGHT", reply: "one" },
            Example { call: "LRANGE {l}2 0 -1", reply: "three\none" },
        ],
        run: Run::Plan(&LMOVE),
        ..MOVE
    },
    Command {
        name: "rpoplpush",
        arity: 3,
        since: "1.2.0",
        summary: "Returns the last element of a list after removing and pushing it to another list. Deletes the list if the last \
                  element was popped.",
        syntax: "source:key destination:key",
        examples: &[
            Example { call: "RPUSH {l}1 one two three", reply: "3" },
            Example { call: "RPOPLPUSH {l}1 {l}2", reply: "three" },
            Example { call: "LRANGE {l}2 0 -1", reply: "three" },
        ],
        run: Run::Plan(&RPOPLPUSH),
        ..MOVE
    },
    Command {
        name: "lmpop",
        arity: -4,
        flags: Flags::WRITE.or(Flags::MOVABLE_KEYS),
        keys: Keys::Counted { count: 1, step: 1 },
        touch: Touch::Take,
        since: "7.0.0",
        summary: "Returns multiple elements from a list after removing them. Deletes the list if the last element was popped.",
        complexity: "O(N+M) where N is the number of provided keys and M is the number of elements returned.",
        syntax: "numkeys:integer key [key ...] where:<LEFT | RIGHT> [COUNT count:integer]",
        examples: &[
            Example { call: "LMPOP 2 {l}1 {l}2 LEFT", reply: "" },
            Example { call: "RPUSH {l}2 one two three", reply: "3" },
            Example { call: "LMPOP 2 {l}1 {l}2 RIGHT COUNT 2", reply: "{l}2\nthree\ntwo" },
        ],
        run: Run::Plan(&LMPOP),
        ..ROW
    },
];

const LMOVE: Plan = Plan {
    check: |args, _| sides(args).map(drop),
    reads: |_| false,
    act: |cx, args, order| match sides(args) {
        Ok((from, to)) => act_move(cx, args, order, from, to),
        Err(failure) => Finding::Failed(failure),
    },
    next: |args, _, findings, reply| or_null(next_move(args, findings, reply), reply),
};

const RPOPLPUSH: Plan = Plan {
    check: |_, _| Ok(()),
    reads: |_| false,
    act: |cx, args, order| act_move(cx, args, order, Side::Right, Side::Left),
    next: |args, _, findings, reply| or_null(next_move(args, findings, reply), reply),
};

const LMPOP: Plan = Plan {
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

fn or_null(next: Next, reply: &mut Reply<'_>) -> Next {
    match next {
        Next::Wait => {
            reply.null();
            Next::Done
        }
        next => next,
    }
}

/// The two ends that LMOVE and BLMOVE name.
pub(super) fn sides(args: Args<'_>) -> Result<(Side, Side), Failure> {
    Ok((side(args.at(3))?, side(args.at(4))?))
}

/// An end as it is named.
fn word(side: Side) -> &'static [u8] {
    if side == Side::Left { b"left" } else { b"right" }
}

/// Places of the keys of a move among the arguments.
const SOURCE: u32 = 1;
const TARGET: u32 = 2;

/// A shard's part of a move. First both look: at the element, and at the type of the target. Then the one takes and the other pushes.
pub(super) fn act_move(cx: &mut Cx<'_>, args: Args<'_>, order: Order, from: Side, to: Side) -> Finding {
    let fill = fill(cx);
    match (order.key, order.given) {
        (Some(SOURCE), Finding::Flag(true)) => {
            // The key, and its deadline, stay though the list may be empty for a moment.
            let source = cx.key_of(args.at(SOURCE as usize));
            cx.say(source, &[b"lmove", source.bytes, source.bytes, word(from), word(to)]);
            let turned = cx.change_held(source, |list: &mut List| {
                let element = list.end(from)?.to_vec();
                list.drop_end(from, fill);
                list.push(to, &element, fill);
                Some(element)
            });
            found(turned)
        }
        (Some(SOURCE), _) => {
            let source = cx.key_of(args.at(SOURCE as usize));
            cx.say(source, &[pop_name(from), source.bytes]);
            found(pop_one(cx, source, from))
        }
        (Some(_), Finding::Bytes(element)) => {
            let target = cx.key_of(args.at(TARGET as usize));
            cx.say(target, &[push_name(to), target.bytes, &element]);
            match push_one(cx, target, to, &element) {
                Ok(()) => Finding::Nothing,
                Err(failure) => Finding::Failed(failure),
            }
        }
        (Some(_), _) => Finding::Nothing,
        (None, _) => {
            let looked = (0..cx.keys.len()).map(|n| {
                let (place, key) = (cx.keys[n].place, cx.key(args, n));
                let finding = match cx.peek_held::<List>(key) {
                    Err(failure) => Finding::Failed(failure),
                    Ok(Some(list)) if place == SOURCE => {
                        list.end(from).map_or(Finding::Nothing, |element| Finding::Bytes(element.to_vec()))
                    }
                    Ok(_) => Finding::Nothing,
                };
                (place, finding)
            });
            Finding::Keys(looked.collect())
        }
    }
}

fn found(element: Result<Option<Vec<u8>>, Failure>) -> Finding {
    match element {
        Ok(Some(element)) => Finding::Bytes(element),
        Ok(None) => Finding::Nothing,
        Err(failure) => Finding::Failed(failure),
    }
}

/// What follows: waiting if the source is empty, else the move, else its element is the reply.
pub(super) fn next_move(args: Args<'_>, findings: Vec<Finding>, reply: &mut Reply<'_>) -> Next {
    let (mut source, mut target) = (Finding::Nothing, Finding::Nothing);
    for finding in findings {
        match finding {
            Finding::Keys(keys) => {
                for (place, finding) in keys {
                    *(if place == SOURCE { &mut source } else { &mut target }) = finding;
                }
            }
            Finding::Bytes(element) => {
                reply.bulk(&element);
                return Next::Done;
            }
            Finding::Failed(failure) => return Next::Failed(failure),
            _ => {}
        }
    }
    let element = match source {
        Finding::Failed(failure) => return Next::Failed(failure),
        Finding::Bytes(element) => element,
        _ => return Next::Wait,
    };
    let order = |key, given| Order { step: 0, key: Some(key), given };
    if args.at(SOURCE as usize) == args.at(TARGET as usize) {
        return Next::Step(vec![order(SOURCE, Finding::Flag(true))]);
    }
    if let Finding::Failed(failure) = target {
        return Next::Failed(failure);
    }
    Next::Step(vec![order(SOURCE, Finding::Nothing), order(TARGET, Finding::Bytes(element))])
}

/// What stands behind the keys of LMPOP: from which end, and how many.
pub(super) struct Taking {
    pub(super) side: Side,
    pub(super) count: usize,
}

impl Taking {
    /// `numkeys` stands at argument `n`, the keys behind it.
    pub(super) fn parse(args: Args<'_>, n: usize) -> Result<Taking, Failure> {
        let keys = ranged(args.at(n), 1, "ERR numkeys should be greater than 0")? as usize;
        let at = keys.checked_add(n + 1).filter(|&at| at < args.len()).ok_or(Failure::SYNTAX)?;
        let side = side(args.at(at))?;
        let count = match args.len() - at {
            1 => 1,
            3 if args.is(at + 1, "count") => {
                ranged(args.at(at + 2), 1, "ERR count should be greater than 0")? as usize
            }
            // Redis reads the first count before it finds a second word too many.
            4.. if args.is(at + 1, "count") => {
                ranged(args.at(at + 2), 1, "ERR count should be greater than 0")?;
                return Err(Failure::SYNTAX);
            }
            _ => return Err(Failure::SYNTAX),
        };
        Ok(Taking { side, count })
    }
}

/// A shard's part of taking from the first of several lists that is there.
pub(super) fn act_take(
    cx: &mut Cx<'_>,
    args: Args<'_>,
    order: Order,
    taking: Result<Taking, Failure>,
) -> Finding {
    let taking = match taking {
        Ok(taking) => taking,
        Err(failure) => return Finding::Failed(failure),
    };
    let Some(place) = order.key else { return first::look::<List>(cx, args) };
    let key = cx.key_of(args.at(place as usize));
    let mut elements = vec![Finding::Count(u64::from(place))];
    let count = taking.count.min(i64::MAX as usize).to_string();
    cx.say(key, &[pop_name(taking.side), key.bytes, count.as_bytes()]);
    for _ in 0..taking.count {
        match pop_one(cx, key, taking.side) {
            Ok(Some(element)) => elements.push(Finding::Bytes(element)),
            Ok(None) => break,
            Err(failure) => return Finding::Failed(failure),
        }
    }
    Finding::List(elements)
}

/// What follows; what was taken is told as an array (`is_many`) or alone.
pub(super) fn next_take(
    args: Args<'_>,
    findings: Vec<Finding>,
    reply: &mut Reply<'_>,
    is_many: bool,
) -> Next {
    first::next(findings, |place, elements| {
        reply.array(2);
        reply.bulk(args.at(place));
        if is_many {
            reply.array(elements.len());
        }
        for element in elements {
            if let Finding::Bytes(element) = element {
                reply.bulk(element);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    #[test]
    fn elements_move_from_list_to_list() {
        let mut world = World::new(3);
        let client = world.connect(0);
        world.call(client, "RPUSH {l}a 1 2 3");
        for (call, reply) in [
            ("LMOVE {l}a {l}b LEFT LEFT", "$1\r\n1\r\n"),
            ("LMOVE {l}a {l}b right right", "$1\r\n3\r\n"),
            ("LMOVE {l}a {l}b UP LEFT", "-ERR syntax error\r\n"),
            ("PEXPIRE {l}a 100000", ":1\r\n"),
            ("RPOPLPUSH {l}a {l}a", "$1\r\n2\r\n"),
            ("TTL {l}a", ":100\r\n"),
            ("RPOPLPUSH {l}a {l}b", "$1\r\n2\r\n"),
            ("EXISTS {l}a", ":0\r\n"),
            ("RPOPLPUSH {l}a {l}b", "$-1\r\n"),
            ("LRANGE {l}b 0 -1", "*3\r\n$1\r\n2\r\n$1\r\n1\r\n$1\r\n3\r\n"),
            ("LMOVE {l}b {l}b LEFT RIGHT", "$1\r\n2\r\n"),
            ("LRANGE {l}b 0 -1", "*3\r\n$1\r\n1\r\n$1\r\n3\r\n$1\r\n2\r\n"),
            ("LMPOP 2 {l}a {l}b LEFT", "*2\r\n$4\r\n{l}b\r\n*1\r\n$1\r\n1\r\n"),
            ("LMPOP 2 {l}a {l}b RIGHT COUNT 9", "*2\r\n$4\r\n{l}b\r\n*2\r\n$1\r\n2\r\n$1\r\n3\r\n"),
            ("LMPOP 1 {l}b RIGHT", "*-1\r\n"),
            ("LMPOP 0 {l}b RIGHT", "-ERR numkeys should be greater than 0\r\n"),
            ("LMPOP x {l}b RIGHT", "-ERR numkeys should be greater than 0\r\n"),
            ("LMPOP 2 {l}b RIGHT", "-ERR syntax error\r\n"),
            ("LMPOP 9223372036854775807 {l}b RIGHT", "-ERR syntax error\r\n"),
            ("LMPOP 1 {l}b UP", "-ERR syntax error\r\n"),
            ("LMPOP 1 {l}b LEFT COUNT", "-ERR syntax error\r\n"),
            ("LMPOP 1 {l}b LEFT COUNT 0", "-ERR count should be greater than 0\r\n"),
            ("LMPOP 1 {l}b LEFT COUNT 0 COUNT 1", "-ERR count should be greater than 0\r\n"),
            ("LMPOP 1 {l}b LEFT COUNT 1 COUNT 1", "-ERR syntax error\r\n"),
        ] {
            assert_eq!(world.call(client, call), reply, "{call}");
        }
    }
}
