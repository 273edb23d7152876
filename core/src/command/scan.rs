//! Walking over all keys: SCAN a piece at a time, KEYS at once, DBSIZE by number.
//!
//! A cursor is the table's own, with the shard above it: shard after shard, each from the beginning to the end.

use super::parse::integer;
use super::row::{Command, Example, Flags, Group, Run};
use crate::args::Args;
use crate::glob;
use crate::node::{Asked, Local};
use crate::part::Part;
use crate::protocol::chunks::Chunks;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::shard::Cx;
use crate::table::Cursor;
use crate::txn::intent::Mode;
use crate::value::record::Record;

const ROW: Command = Command { group: Group::Generic, flags: Flags::READONLY, ..Command::DEFAULT };

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "scan",
        arity: -2,
        since: "2.8.0",
        summary: "Iterates over the key names in the database.",
        complexity: "O(1) for every call, O(N) for a complete iteration",
        syntax: "cursor:integer [MATCH pattern] [COUNT count:integer] [TYPE type]",
        examples: &[Example { call: "SCAN 0 MATCH nosuch*", reply: "*" }],
        run: Run::Visit { shard, apply: scan },
        ..ROW
    },
    Command {
        name: "keys",
        arity: 2,
        summary: "Returns all key names that match a pattern.",
        complexity: "O(N) with N being the number of keys in the database",
        syntax: "pattern",
        examples: &[
            Example { call: "MSET {a}1 Hello {a}2 World", reply: "OK" },
            Example { call: "KEYS *1", reply: "{a}1" },
        ],
        run: Run::Gather {
            whole: Some(Mode::Shared),
            check: |_, _| Ok(()),
            part: keys_part,
            merge: keys_merge,
        },
        ..ROW
    },
    Command {
        name: "dbsize",
        arity: 1,
        group: Group::Server,
        flags: Flags::READONLY.or(Flags::FAST),
        summary: "Returns the number of keys in the database.",
        examples: &[Example { call: "SET mykey Hello", reply: "OK" }, Example { call: "DBSIZE", reply: "1" }],
        run: Run::Gather {
            whole: Some(Mode::Shared),
            check: |_, _| Ok(()),
            part: size_part,
            merge: size_merge,
        },
        ..ROW
    },
];

/// Bits of a cursor that belong to the table; the shard stands above them. Together they stay below 2^53, which is as far as a
/// client whose numbers are doubles can count.
const TABLE_BITS: u32 = 42;
const _: () = assert!(TABLE_BITS + 10 < 53);

fn cursor(args: Args<'_>) -> Result<u64, Failure> {
    std::str::from_utf8(args.at(1))
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(Failure::new("ERR invalid cursor"))
}

fn shard(args: Args<'_>, shards: u16) -> Result<u16, Failure> {
    let shard = cursor(args)? >> TABLE_BITS;
    // A cursor that nobody gave leads to the end.
    Ok(u16::try_from(shard).unwrap_or(u16::MAX).min(shards - 1))
}

/// What SCAN was asked for.
struct Filter<'a> {
    pattern: Option<&'a [u8]>,
    type_name: Option<&'a [u8]>,
    count: usize,
}

impl<'a> Filter<'a> {
    fn parse(args: Args<'a>) -> Result<Filter<'a>, Failure> {
        let mut filter = Filter { pattern: None, type_name: None, count: 10 };
        let mut n = 2;
        while n < args.len() {
            let Some(operand) = args.get(n + 1) else { return Err(Failure::SYNTAX) };
            if args.is(n, "match") {
                filter.pattern = Some(operand).filter(|pattern| *pattern != b"*");
            } else if args.is(n, "count") {
                let count = integer(operand)?;
                filter.count = usize::try_from(count).ok().filter(|&c| c > 0).ok_or(Failure::SYNTAX)?;
            } else if args.is(n, "type") {
                filter.type_name = Some(operand);
            } else {
                return Err(Failure::SYNTAX);
            }
            n += 2;
        }
        Ok(filter)
    }

    fn takes(&self, record: &Record) -> bool {
        self.type_name.is_none_or(|name| record.type_name().as_bytes().eq_ignore_ascii_case(name))
            && self.pattern.is_none_or(|pattern| glob::matches(pattern, record.key(), false))
    }
}

/// Buckets that one call may visit without finding a key, for each key asked for: a call stays short in a table full of holes.
const EMPTY_BUCKETS_PER_KEY: usize = 10;

fn scan(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let given = cursor(args)?;
    let filter = Filter::parse(args)?;
    let (mut found, mut keys) = (0usize, Chunks::default());
    let mut seen = 0;
    let now = cx.now;
    let database = &cx.shard.databases()[cx.database];
    let mut cursor = Cursor(given & ((1 << TABLE_BITS) - 1));
    let mut buckets = filter.count.saturating_mul(EMPTY_BUCKETS_PER_KEY);
    let ended = loop {
        let mut writer = Reply::new(&mut keys, reply.resp());
        cursor = database.scan(cursor, &mut |record| {
            seen += 1;
            if !record.is_due(now) && filter.takes(record) {
                found += 1;
                writer.bulk(record.key());
            }
        });
        buckets = buckets.saturating_sub(1);
        if cursor == Cursor::START {
            break true;
        }
        if seen >= filter.count || buckets == 0 {
            break false;
        }
    };
    let next = match ended {
        false => (given >> TABLE_BITS) << TABLE_BITS | cursor.0,
        true => cx.next_shard().map_or(0, |shard| u64::from(shard) << TABLE_BITS),
    };
    reply.array(2);
    reply.text(&next.to_string());
    reply.array(found);
    reply.append(keys);
    Ok(())
}

fn keys_part(asked: &mut Asked<'_>, args: Args<'_>) -> Part {
    let (now, pattern) = (asked.node.shard.judge(asked.now.unix()), args.at(1));
    let takes = |key: &[u8]| pattern == b"*" || glob::matches(pattern, key, false);
    let mut chunks = Chunks::default();
    let mut writer = Reply::new(&mut chunks, asked.resp);
    let mut count = 0;
    for record in asked.node.shard.databases[asked.database].iter() {
        if !record.is_due(now) && takes(record.key()) {
            writer.bulk(record.key());
            count += 1;
        }
    }
    Part::Elements { count, encoded: chunks.to_vec() }
}

fn keys_merge(_: &mut Local<'_>, _: Args<'_>, parts: Vec<Part>, reply: &mut Reply<'_>) -> Outcome {
    let total =
        parts.iter().map(|part| if let Part::Elements { count, .. } = part { *count } else { 0 }).sum();
    reply.array(total);
    for part in &parts {
        if let Part::Elements { encoded, .. } = part {
            reply.raw(encoded);
        }
    }
    Ok(())
}

fn size_part(asked: &mut Asked<'_>, _: Args<'_>) -> Part {
    Part::Count(asked.node.shard.databases[asked.database].len() as u64)
}

fn size_merge(_: &mut Local<'_>, _: Args<'_>, parts: Vec<Part>, reply: &mut Reply<'_>) -> Outcome {
    reply.integer(Part::total(&parts));
    Ok(())
}
