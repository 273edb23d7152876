//! Streams: what is in them, who reads them, and how far they are.

use super::help::HELP;
use super::parse::integer;
use super::row::{Command, Example, Flags, Keys, Run};
use super::stream::{ROW as STREAM, reply_entry, reply_id};
use super::stream_group::{no_group_of_key, wrong_subcommand};
use crate::args::Args;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::shard::Cx;
use crate::value::stream::{Entry, Group, Past, Stream, StreamId};

const ROW: Command =
    Command { flags: Flags::READONLY, keys: Keys::Range { first: 2, last: 2, step: 1 }, ..STREAM };

/// This family's rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "xinfo",
    arity: -2,
    flags: Flags::NONE,
    keys: Keys::None,
    summary: "A container for stream introspection commands.",
    complexity: "Depends on subcommand.",
    run: Run::Container,
    subcommands: &[
        Command {
            name: "consumers",
            arity: 4,
            summary: "Returns a list of the consumers in a consumer group.",
            syntax: "key group",
            examples: &[
                Example { call: "XGROUP CREATE mystream mygroup $ MKSTREAM", reply: "OK" },
                Example { call: "XINFO CONSUMERS mystream mygroup", reply: "" },
            ],
            run: Run::Hop(consumers),
            ..ROW
        },
        Command {
            name: "groups",
            arity: 3,
            summary: "Returns a list of the consumer groups of a stream.",
            syntax: "key",
            examples: &[
                Example { call: "XGROUP CREATE mystream mygroup $ MKSTREAM", reply: "OK" },
                Example {
                    call: "XINFO GROUPS mystream",
                    reply: "name\nmygroup\nconsumers\n0\npending\n0\nlast-delivered-id\n0-0\nentries-read\n\nlag\n0",
                },
            ],
            run: Run::Hop(groups),
            ..ROW
        },
        Command {
            name: "stream",
            arity: -3,
            summary: "Returns information about a stream.",
            syntax: "key [FULL [COUNT count:integer]]",
            examples: &[
                Example { call: "XADD mystream 1-1 a 1", reply: "1-1" },
                Example { call: "XINFO STREAM mystream", reply: "*" },
                Example { call: "XINFO STREAM nosuch", reply: "ERR no such key" },
            ],
            run: Run::Hop(stream),
            ..ROW
        },
        Command { group: STREAM.group, since: "5.0.0", ..HELP },
    ],
    ..ROW
}];

fn optional(count: Option<u64>, reply: &mut Reply<'_>) {
    match count {
        Some(count) => reply.integer(count as i64),
        None => reply.null(),
    }
}

fn field(name: &str, reply: &mut Reply<'_>) {
    reply.text(name);
}

fn number(name: &str, count: usize, reply: &mut Reply<'_>) {
    field(name, reply);
    reply.count(count);
}

fn id(name: &str, id: StreamId, reply: &mut Reply<'_>) {
    field(name, reply);
    reply_id(id, reply);
}

/// The stream that must be there.
fn found<'a>(cx: &'a mut Cx<'_>, args: Args<'_>) -> Result<&'a Stream, Failure> {
    cx.read_held::<Stream>(cx.key(args, 0))?.ok_or(Failure::NO_KEY)
}

fn groups(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let stream = found(cx, args)?;
    let past = stream.past();
    reply.array(stream.groups().len());
    for group in stream.groups() {
        reply.map(6);
        field("name", reply);
        reply.bulk(group.name());
        number("consumers", group.consumers().len(), reply);
        number("pending", group.pending().len(), reply);
        progress(group, past, reply);
    }
    Ok(())
}

/// How far a group has read: three fields.
fn progress(group: &Group, past: Past, reply: &mut Reply<'_>) {
    id("last-delivered-id", group.last_id, reply);
    field("entries-read", reply);
    optional(group.entries_read, reply);
    field("lag", reply);
    optional(past.lag(group), reply);
}

fn consumers(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (now, key) = (cx.now.0, cx.key(args, 0));
    let stream = found(cx, args)?;
    let group = stream.group(args.at(3)).ok_or_else(|| no_group_of_key(key.bytes, args.at(3)))?;
    reply.array(group.consumers().len());
    for (_, consumer) in group.consumers() {
        reply.map(4);
        field("name", reply);
        reply.bulk(consumer.name());
        number("pending", consumer.pending().len(), reply);
        number("idle", now.saturating_sub(consumer.seen) as usize, reply);
        field("inactive", reply);
        reply.integer(consumer.active.map_or(-1, |active| now.saturating_sub(active) as i64));
    }
    Ok(())
}

/// Entries and pending entries that FULL shows if nobody says how many.
const COUNT_DEFAULT: usize = 10;

fn stream(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let stream = found(cx, args)?;
    let full = match args.len() {
        3 => None,
        4 if args.is(3, "full") => Some(COUNT_DEFAULT),
        6 if args.is(3, "full") && args.is(4, "count") => {
            let count = integer(args.at(5))?;
            Some(match usize::try_from(count) {
                Ok(0) => usize::MAX,
                Ok(count) => count,
                Err(_) => COUNT_DEFAULT,
            })
        }
        _ => return Err(wrong_subcommand(args)),
    };
    let past = stream.past();
    reply.map(if full.is_some() { 9 } else { 10 });
    number("length", past.len as usize, reply);
    number("radix-tree-keys", stream.pages(), reply);
    number("radix-tree-nodes", stream.pages() + 1, reply);
    id("last-generated-id", past.last, reply);
    id("max-deleted-entry-id", past.deleted, reply);
    number("entries-added", past.added as usize, reply);
    id("recorded-first-entry-id", past.first, reply);
    let Some(count) = full else {
        number("groups", stream.groups().len(), reply);
        let edge = |name: &str, entry: Option<Entry<'_>>, reply: &mut Reply<'_>| {
            field(name, reply);
            match entry {
                Some(entry) => reply_entry(entry, reply),
                None => reply.null(),
            }
        };
        edge("first-entry", stream.first(), reply);
        edge("last-entry", stream.last(), reply);
        return Ok(());
    };
    field("entries", reply);
    let shown = stream.count(StreamId::MIN, StreamId::MAX, count);
    reply.array(shown);
    let entries = stream.range(StreamId::MIN, StreamId::MAX).take(shown);
    entries.for_each(|entry| reply_entry(entry, reply));
    field("groups", reply);
    reply.array(stream.groups().len());
    stream.groups().for_each(|group| whole_group(group, past, count, reply));
    Ok(())
}

fn whole_group(group: &Group, past: Past, count: usize, reply: &mut Reply<'_>) {
    reply.map(7);
    field("name", reply);
    reply.bulk(group.name());
    progress(group, past, reply);
    number("pel-count", group.pending().len(), reply);
    field("pending", reply);
    reply.array(group.pending().len().min(count));
    for (id, pending) in group.pending().from(StreamId::MIN).take(count) {
        reply.array(4);
        reply_id(id, reply);
        reply.bulk(group.consumer(pending.consumer).name());
        reply.integer(pending.delivered as i64);
        reply.integer(pending.times as i64);
    }
    field("consumers", reply);
    reply.array(group.consumers().len());
    for (_, consumer) in group.consumers() {
        reply.map(5);
        field("name", reply);
        reply.bulk(consumer.name());
        number("seen-time", consumer.seen as usize, reply);
        field("active-time", reply);
        reply.integer(consumer.active.map_or(-1, |active| active as i64));
        number("pel-count", consumer.pending().len(), reply);
        field("pending", reply);
        reply.array(consumer.pending().len().min(count));
        for (id, ()) in consumer.pending().from(StreamId::MIN).take(count) {
            let Some(pending) = group.pending().get(id) else { continue };
            reply.array(3);
            reply_id(id, reply);
            reply.integer(pending.delivered as i64);
            reply.integer(pending.times as i64);
        }
    }
}
