//! Streams: entries between two ids.

use super::parse::integer;
use super::row::{Command, Example, Flags, Run};
use super::stream::{ROW, range_ends, reply_entry};
use crate::args::Args;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::shard::Cx;
use crate::value::stream::Stream;

const RANGE: Command = Command {
    arity: -4,
    flags: Flags::READONLY,
    complexity: "O(N) with N being the number of elements being returned. If N is constant (e.g. always asking for the first 10 \
                 elements with COUNT), you can consider it O(1).",
    ..ROW
};

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "xrange",
        summary: "Returns the messages from a stream within a range of IDs.",
        syntax: "key start end [COUNT count:integer]",
        examples: &[
            Example { call: "XADD writers 1-1 name Virginia", reply: "1-1" },
            Example { call: "XADD writers 2-1 name Jane", reply: "2-1" },
            Example { call: "XRANGE writers - + COUNT 1", reply: "1-1\nname\nVirginia" },
            Example { call: "XRANGE writers (1-1 +", reply: "2-1\nname\nJane" },
        ],
        run: Run::Hop(|cx, args, reply| range(cx, args, false, reply)),
        ..RANGE
    },
    Command {
        name: "xrevrange",
        summary: "Returns the messages from a stream within a range of IDs in reverse order.",
        syntax: "key end start [COUNT count:integer]",
        examples: &[
            Example { call: "XADD writers 1-1 name Virginia", reply: "1-1" },
            Example { call: "XADD writers 2-1 name Jane", reply: "2-1" },
            Example { call: "XREVRANGE writers + - COUNT 1", reply: "2-1\nname\nJane" },
        ],
        run: Run::Hop(|cx, args, reply| range(cx, args, true, reply)),
        ..RANGE
    },
];

fn range(cx: &mut Cx<'_>, args: Args<'_>, is_back: bool, reply: &mut Reply<'_>) -> Outcome {
    let (first, second) = (args.at(2), args.at(3));
    let (from, to) = if is_back { range_ends(second, first)? } else { range_ends(first, second)? };
    let mut count = None;
    let mut n = 4;
    while n < args.len() {
        if !args.is(n, "count") || n + 1 >= args.len() {
            return Err(Failure::SYNTAX);
        }
        count = Some(integer(args.at(n + 1))?.max(0) as usize);
        n += 2;
    }
    let Some(stream) = cx.read_held::<Stream>(cx.key(args, 0))? else {
        reply.array(0);
        return Ok(());
    };
    if count == Some(0) {
        reply.null_array();
        return Ok(());
    }
    let count = stream.count(from, to, count.unwrap_or(usize::MAX));
    reply.array(count);
    match is_back {
        false => stream.range(from, to).take(count).for_each(|entry| reply_entry(entry, reply)),
        true => stream.range_back(from, to).take(count).for_each(|entry| reply_entry(entry, reply)),
    }
    Ok(())
}
