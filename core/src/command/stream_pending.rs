//! Streams: what a group's consumers have not acknowledged, and acknowledging it.

use super::parse::integer;
use super::row::{Command, Example, Flags, Run, Touch};
use super::stream::{ROW, change_stream, range_ends, references_and_ids, reply_id, strict_id, told};
use super::stream_read::no_key_or_group;
use crate::args::Args;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::shard::Cx;
use crate::value::stream::{Group, Pending, References, Removal, Stream, StreamId};

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "xack",
        arity: -4,
        touch: Touch::Change,
        summary: "Returns the number of messages that were successfully acknowledged by the consumer group member of a stream.",
        complexity: "O(1) for each message ID processed.",
        syntax: "key group id [id ...]",
        examples: &[
            Example { call: "XADD mystream 1-1 a 1", reply: "1-1" },
            Example { call: "XGROUP CREATE mystream mygroup 0", reply: "OK" },
            Example {
                call: "XREADGROUP GROUP mygroup Alice STREAMS mystream >",
                reply: "mystream\n1-1\na\n1",
            },
            Example { call: "XACK mystream mygroup 1-1 1-2", reply: "1" },
        ],
        run: Run::Hop(acknowledge),
        ..ROW
    },
    Command {
        name: "xackdel",
        arity: -6,
        touch: Touch::Change,
        since: "8.2.0",
        summary: "Acknowledges and deletes one or multiple messages for a stream consumer group.",
        complexity: "O(1) for each message ID processed.",
        syntax: "key group [KEEPREF | DELREF | ACKED] IDS numids:integer id [id ...]",
        examples: &[
            Example { call: "XADD mystream 1-1 a 1", reply: "1-1" },
            Example { call: "XGROUP CREATE mystream mygroup 0", reply: "OK" },
            Example {
                call: "XREADGROUP GROUP mygroup Alice STREAMS mystream >",
                reply: "mystream\n1-1\na\n1",
            },
            Example { call: "XACKDEL mystream mygroup KEEPREF IDS 2 1-1 1-2", reply: "1\n-1" },
            Example { call: "XLEN mystream", reply: "0" },
        ],
        run: Run::Hop(acknowledge_and_delete),
        ..ROW
    },
    Command {
        name: "xpending",
        arity: -3,
        flags: Flags::READONLY,
        summary: "Returns the information and entries from a stream consumer group's pending entries list.",
        complexity: "O(N) with N being the number of elements returned, so asking for a small fixed number of entries per call is O(1). \
                     O(M), where M is the total number of entries scanned when used with the IDLE filter. When the command returns just \
                     the summary and the list of consumers is small, it runs in O(1) time; otherwise, an additional O(N) time for \
                     iterating every consumer.",
        syntax: "key group [[IDLE min-idle-time:integer] start end count:integer [consumer]]",
        examples: &[
            Example { call: "XADD mystream 1-1 a 1", reply: "1-1" },
            Example { call: "XGROUP CREATE mystream mygroup 0", reply: "OK" },
            Example {
                call: "XREADGROUP GROUP mygroup Alice STREAMS mystream >",
                reply: "mystream\n1-1\na\n1",
            },
            Example { call: "XPENDING mystream mygroup", reply: "1\n1-1\n1-1\nAlice\n1" },
            Example { call: "XPENDING mystream mygroup - + 10", reply: "*" },
        ],
        run: Run::Hop(pending),
        ..ROW
    },
];

fn acknowledge(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, group) = (cx.key(args, 0), args.at(2));
    let is_there = cx.peek_held::<Stream>(key)?.is_some_and(|stream| stream.group(group).is_some());
    if !is_there {
        reply.integer(0);
        return Ok(());
    }
    let ids = args.skip(3).iter().map(|word| strict_id(word, 0)).collect::<Result<Vec<_>, _>>()?;
    let acknowledged = change_stream(cx, key, |stream| {
        let acknowledge = |group: &mut Group| ids.iter().filter(|id| group.acknowledge(**id)).count();
        let acknowledged = stream.change_group(group, acknowledge).unwrap_or(0);
        Ok((acknowledged, acknowledged > 0))
    })?;
    reply.count(acknowledged.unwrap_or(0));
    Ok(())
}

fn acknowledge_and_delete(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, group) = (cx.key(args, 0), args.at(2));
    cx.peek_held::<Stream>(key)?;
    let (references, ids) = references_and_ids(args, 3)?;
    let said = change_stream(cx, key, |stream| {
        let said: Vec<i64> = ids.iter().map(|id| finish(stream, group, *id, references)).collect();
        let is_changed = said.iter().any(|said| *said > 0);
        Ok((said, is_changed))
    })?;
    let said = said.unwrap_or_else(|| vec![told(Removal::Absent); ids.len()]);
    reply.array(said.len());
    said.into_iter().for_each(|said| reply.integer(said));
    Ok(())
}

/// An entry is acknowledged, and removed if it may be; what is said of it.
fn finish(stream: &mut Stream, group: &[u8], id: StreamId, references: References) -> i64 {
    if stream.change_group(group, |group| group.acknowledge(id)) != Some(true) {
        return told(Removal::Absent);
    }
    match stream.remove(id, references) {
        Removal::Referenced => told(Removal::Referenced),
        // It was pending, even if somebody else has removed it.
        _ => told(Removal::Done),
    }
}

/// What XPENDING shows one by one.
struct Shown<'a> {
    idle: u64,
    from: StreamId,
    to: StreamId,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Shown<'a> {
    fn parse(args: Args<'a>) -> Result<Shown<'a>, Failure> {
        if !(6..=9).contains(&args.len()) {
            return Err(Failure::SYNTAX);
        }
        let (mut idle, mut n) = (0, 3);
        if args.is(3, "idle") {
            idle = integer(args.at(4))?.max(0) as u64;
            n = 5;
            if args.len() < 8 {
                return Err(Failure::SYNTAX);
            }
        }
        let count = integer(args.at(n + 2))?.max(0) as usize;
        let (from, to) = range_ends(args.at(n), args.at(n + 1))?;
        Ok(Shown { idle, from, to, count, consumer: args.get(n + 3) })
    }
}

fn pending(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let shown = if args.len() == 3 { None } else { Some(Shown::parse(args)?) };
    let (key, now) = (cx.key(args, 0), cx.now.0);
    let group = cx.read_held::<Stream>(key)?.and_then(|stream| stream.group(args.at(2)));
    let group = group.ok_or_else(|| Failure::text(no_key_or_group(key.bytes, args.at(2))))?;
    match shown {
        None => summary(group, reply),
        Some(shown) => list(group, &shown, now, reply),
    }
    Ok(())
}

fn summary(group: &Group, reply: &mut Reply<'_>) {
    let pending = group.pending();
    reply.array(4);
    reply.count(pending.len());
    let (Some((first, _)), Some((last, _))) = (pending.first(), pending.last()) else {
        reply.null();
        reply.null();
        reply.null_array();
        return;
    };
    reply_id(first, reply);
    reply_id(last, reply);
    let with_some = || group.consumers().filter(|(_, consumer)| !consumer.pending().is_empty());
    reply.array(with_some().count());
    for (_, consumer) in with_some() {
        reply.array(2);
        reply.bulk(consumer.name());
        reply.bulk_integer(consumer.pending().len() as i64);
    }
}

fn list(group: &Group, shown: &Shown<'_>, now: u64, reply: &mut Reply<'_>) {
    let consumer = match shown.consumer.map(|name| group.find(name)) {
        Some(None) => return reply.array(0),
        Some(found) => found,
        None => None,
    };
    let idle = |pending: &Pending| now.saturating_sub(pending.delivered);
    let is_shown = |(_, pending): &(StreamId, Pending)| idle(pending) >= shown.idle;
    let up_to = |id: &StreamId| *id <= shown.to;
    let found: Vec<(StreamId, Pending)> = match consumer {
        Some(consumer) => {
            let ids = group.consumer(consumer).pending().from(shown.from).map(|(id, ())| id);
            let all = ids.take_while(up_to).filter_map(|id| Some((id, *group.pending().get(id)?)));
            all.filter(is_shown).take(shown.count).collect()
        }
        None => {
            let all = group.pending().from(shown.from).map(|(id, pending)| (id, *pending));
            all.take_while(|(id, _)| up_to(id)).filter(is_shown).take(shown.count).collect()
        }
    };
    reply.array(found.len());
    for (id, pending) in found {
        reply.array(4);
        reply_id(id, reply);
        reply.bulk(group.consumer(pending.consumer).name());
        reply.integer(idle(&pending) as i64);
        reply.integer(pending.times as i64);
    }
}
