//! XINFO, naively.

use super::super::{Shard, Words, is};
use super::{Stream, Told, entry_reply, get, id_reply, integer};
use crate::decoder::Reply;

fn text(word: &[u8]) -> String {
    String::from_utf8_lossy(word).into_owned()
}

fn name(word: &str) -> Reply {
    Reply::bulk(word.as_bytes())
}

fn count(number: usize) -> Reply {
    Reply::Integer(number as i64)
}

fn optional(number: Option<u64>) -> Reply {
    number.map_or(Reply::Null, |number| Reply::Integer(number as i64))
}

pub(super) fn run(shard: &mut Shard, db: usize, words: &Words) -> Told {
    let sub = words[1].to_ascii_lowercase();
    let fits = match &sub[..] {
        b"stream" => words.len() >= 3,
        b"groups" => words.len() == 3,
        b"consumers" => words.len() == 4,
        _ => return Err(format!("ERR unknown subcommand '{}'. Try XINFO HELP.", text(&words[1]))),
    };
    if !fits {
        return Err(format!("ERR wrong number of arguments for 'xinfo|{}' command", text(&sub)));
    }
    let now = shard.clock_of(&words[2]);
    let stream = get(shard, db, &words[2])?.ok_or("ERR no such key")?;
    let shown = if sub == b"stream" { full(words)? } else { None };
    match &sub[..] {
        b"stream" => Ok(whole(&stream, shown)),
        b"groups" => {
            let row = |(group, of): (&Vec<u8>, &super::Group)| {
                let mut row = vec![name("name"), Reply::bulk(group)];
                row.extend([name("consumers"), count(of.consumers.len())]);
                row.extend([name("pending"), count(of.pending.len())]);
                row.extend(progress(&stream, of));
                Reply::Map(row)
            };
            Ok(Reply::Array(stream.groups.iter().map(row).collect()))
        }
        _ => {
            let group = stream.groups.get(&words[3]).ok_or_else(|| {
                let (group, key) = (text(&words[3]), text(&words[2]));
                format!("NOGROUP No such consumer group '{group}' for key name '{key}'")
            })?;
            let row = |(consumer, (seen, active)): (&Vec<u8>, &(u64, Option<u64>))| {
                let since = |at: u64| Reply::Integer(now.saturating_sub(at) as i64);
                Reply::Map(vec![
                    name("name"),
                    Reply::bulk(consumer),
                    name("pending"),
                    count(group.of(consumer).count()),
                    name("idle"),
                    since(*seen),
                    name("inactive"),
                    active.map_or(Reply::Integer(-1), since),
                ])
            };
            Ok(Reply::Array(group.consumers.iter().map(row).collect()))
        }
    }
}

fn full(words: &Words) -> Result<Option<usize>, String> {
    match &words[3..] {
        [] => Ok(None),
        [word] if is(word, "full") => Ok(Some(10)),
        [word, option, number] if is(word, "full") && is(option, "count") => {
            Ok(Some(match integer(number)? {
                0 => usize::MAX,
                number => usize::try_from(number).unwrap_or(10),
            }))
        }
        _ => {
            let word = text(&words[1]);
            Err(format!("ERR unknown subcommand or wrong number of arguments for '{word}'. Try XINFO HELP."))
        }
    }
}

fn progress(stream: &Stream, group: &super::Group) -> Vec<Reply> {
    vec![
        name("last-delivered-id"),
        id_reply(group.last),
        name("entries-read"),
        optional(group.read),
        name("lag"),
        optional(stream.lag(group)),
    ]
}

fn whole(stream: &Stream, shown: Option<usize>) -> Reply {
    let mut rows = vec![
        name("length"),
        count(stream.len()),
        name("radix-tree-keys"),
        count(stream.pages.len()),
        name("radix-tree-nodes"),
        count(stream.pages.len() + 1),
        name("last-generated-id"),
        id_reply(stream.last),
        name("max-deleted-entry-id"),
        id_reply(stream.deleted),
        name("entries-added"),
        Reply::Integer(stream.added as i64),
        name("recorded-first-entry-id"),
        id_reply(stream.first()),
    ];
    let Some(shown) = shown else {
        let edge = |entry: Option<&super::Entry>| entry.map_or(Reply::Null, entry_reply);
        rows.extend([name("groups"), count(stream.groups.len())]);
        rows.extend([name("first-entry"), edge(stream.entries().next())]);
        rows.extend([name("last-entry"), edge(stream.entries().next_back())]);
        return Reply::Map(rows);
    };
    rows.extend([name("entries"), Reply::Array(stream.entries().take(shown).map(entry_reply).collect())]);
    let groups = stream.groups.iter().map(|(group, of)| whole_group(stream, group, of, shown));
    rows.extend([name("groups"), Reply::Array(groups.collect())]);
    Reply::Map(rows)
}

fn whole_group(stream: &Stream, group: &[u8], of: &super::Group, shown: usize) -> Reply {
    let times = |at: u64, times: u64| [Reply::Integer(at as i64), Reply::Integer(times as i64)];
    let mut rows = vec![name("name"), Reply::bulk(group)];
    rows.extend(progress(stream, of));
    let pending = of.pending.iter().take(shown).map(|(id, (consumer, at, often))| {
        Reply::Array([vec![id_reply(*id), Reply::bulk(consumer)], times(*at, *often).to_vec()].concat())
    });
    rows.extend([
        name("pel-count"),
        count(of.pending.len()),
        name("pending"),
        Reply::Array(pending.collect()),
    ]);
    let consumers = of.consumers.iter().map(|(consumer, (seen, active))| {
        let pending = of.of(consumer).take(shown).map(|(id, (_, at, often))| {
            Reply::Array([vec![id_reply(*id)], times(*at, *often).to_vec()].concat())
        });
        Reply::Map(vec![
            name("name"),
            Reply::bulk(consumer),
            name("seen-time"),
            Reply::Integer(*seen as i64),
            name("active-time"),
            Reply::Integer(active.map_or(-1, |at| at as i64)),
            name("pel-count"),
            count(of.of(consumer).count()),
            name("pending"),
            Reply::Array(pending.collect()),
        ])
    });
    rows.extend([name("consumers"), Reply::Array(consumers.collect())]);
    Reply::Map(rows)
}
