//! Streams: adding and removing entries, and what all files of the family have in common.

use super::row::{Command, Example, Flags, Group, Keys, Run, Touch};
use super::stream_trim::{Options, say_trimmed};
use crate::args::Args;
use crate::config::Settings;
use crate::database::Key;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::protocol::request::parse_integer;
use crate::shard::{Cx, Deadline};
use crate::value::container::Held;
use crate::value::record::Value;
use crate::value::stream::{Entry, Limits, References, Removal, Stream, StreamId, unsigned};

pub(super) const ROW: Command = Command {
    group: Group::Stream,
    keys: Keys::ONE,
    since: "5.0.0",
    flags: Flags::WRITE.or(Flags::FAST),
    ..Command::DEFAULT
};

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "xadd",
        arity: -5,
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        touch: Touch::Change,
        summary: "Appends a new message to a stream. Creates the key if it doesn't exist.",
        complexity: "O(1) when adding a new entry, O(N) when trimming where N being the number of entries evicted.",
        syntax: "key [NOMKSTREAM] [KEEPREF | DELREF | ACKED] [strategy:<MAXLEN | MINID> [operator:<= | ~>] threshold [LIMIT count:integer]] \
                 id:<* | id> field value [field value ...]",
        examples: &[
            Example { call: "XADD mystream 1-1 name Sara surname OConnor", reply: "1-1" },
            Example { call: "XADD mystream 1-* field1 value1", reply: "1-2" },
            Example { call: "XLEN mystream", reply: "2" },
            Example { call: "XADD other * field1 value1", reply: "*" },
        ],
        run: Run::Hop(add),
        ..ROW
    },
    Command {
        name: "xlen",
        arity: 2,
        flags: Flags::READONLY.or(Flags::FAST),
        touch: Touch::Measure,
        summary: "Returns the number of messages in a stream.",
        syntax: "key",
        examples: &[
            Example { call: "XADD mystream 1-1 item 1", reply: "1-1" },
            Example { call: "XLEN mystream", reply: "1" },
        ],
        run: Run::Hop(|cx, args, reply| {
            let len = cx.read_held::<Stream>(cx.key(args, 0))?.map_or(0, Stream::len);
            reply.count(len as usize);
            Ok(())
        }),
        ..ROW
    },
    Command {
        name: "xdel",
        arity: -3,
        touch: Touch::Delete,
        summary: "Returns the number of messages after removing them from a stream.",
        complexity: "O(1) for each single item to delete in the stream, regardless of the stream size.",
        syntax: "key id [id ...]",
        examples: &[
            Example { call: "XADD mystream 1-1 a 1", reply: "1-1" },
            Example { call: "XADD mystream 1-2 b 2", reply: "1-2" },
            Example { call: "XDEL mystream 1-1 1-3", reply: "1" },
            Example { call: "XRANGE mystream - +", reply: "1-2\nb\n2" },
        ],
        run: Run::Hop(delete),
        ..ROW
    },
    Command {
        name: "xdelex",
        arity: -5,
        touch: Touch::Delete,
        since: "8.2.0",
        summary: "Deletes one or multiple entries from the stream.",
        complexity: "O(1) for each single item to delete in the stream, regardless of the stream size.",
        syntax: "key [KEEPREF | DELREF | ACKED] IDS numids:integer id [id ...]",
        examples: &[
            Example { call: "XADD mystream 1-1 a 1", reply: "1-1" },
            Example { call: "XDELEX mystream KEEPREF IDS 2 1-1 1-2", reply: "1\n-1" },
        ],
        run: Run::Hop(delete_by),
        ..ROW
    },
    Command {
        name: "xsetid",
        arity: -3,
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        touch: Touch::Change,
        summary: "An internal command for replicating stream values.",
        syntax: "key last-id [ENTRIESADDED entries-added:integer] [MAXDELETEDID max-deleted-id]",
        examples: &[
            Example { call: "XADD mystream 1-1 a 1", reply: "1-1" },
            Example { call: "XSETID mystream 5-0", reply: "OK" },
            Example {
                call: "XADD mystream 4-0 a 1",
                reply: "ERR The ID specified in XADD is equal or smaller than the target stream top item",
            },
        ],
        run: Run::Hop(set_id),
        ..ROW
    },
];

pub(super) const INVALID_ID: Failure =
    Failure::new("ERR Invalid stream ID specified as stream command argument");
const TOO_SMALL: Failure =
    Failure::new("ERR The ID specified in XADD is equal or smaller than the target stream top item");

/// An id that stands for itself; `seq` is its number if it has none.
pub(super) fn strict_id(word: &[u8], seq: u64) -> Result<StreamId, Failure> {
    StreamId::parse(word, seq).filter(|_| word != b"+").ok_or(INVALID_ID)
}

/// An end of a range: `-`, `+`, an id, or an id that is not in it itself.
pub(super) fn range_ends(from: &[u8], to: &[u8]) -> Result<(StreamId, StreamId), Failure> {
    Ok((range_from(from)?, range_to(to)?))
}

pub(super) fn range_from(word: &[u8]) -> Result<StreamId, Failure> {
    match word {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        [b'(', id @ ..] => {
            strict_id(id, 0)?.next().ok_or(Failure::new("ERR invalid start ID for the interval"))
        }
        id => strict_id(id, 0),
    }
}

fn range_to(word: &[u8]) -> Result<StreamId, Failure> {
    match word {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        [b'(', id @ ..] => {
            strict_id(id, u64::MAX)?.previous().ok_or(Failure::new("ERR invalid end ID for the interval"))
        }
        id => strict_id(id, u64::MAX),
    }
}

/// How much a page of a stream may hold.
pub(super) fn limits(cx: &Cx<'_>) -> Limits {
    limits_of(cx.settings)
}

/// The same outside of a command on a key.
pub(super) fn limits_of(settings: &Settings) -> Limits {
    Limits { bytes: settings.stream_node_max_bytes, entries: settings.stream_node_max_entries }
}

/// Lets `change` work on the stream under a key; it says as well whether it has changed anything. `None` if there is no key.
pub(super) fn change_stream<R>(
    cx: &mut Cx<'_>,
    key: Key<'_>,
    change: impl FnOnce(&mut Stream) -> Result<(R, bool), Failure>,
) -> Result<Option<R>, Failure> {
    let mut outcome = None;
    cx.change_held(key, |stream: &mut Stream| {
        let result = change(stream);
        let is_changed = matches!(&result, Ok((_, true)));
        outcome = Some(result.map(|(result, _)| result));
        is_changed.then_some(())
    })?;
    outcome.transpose()
}

/// Puts a new stream under a key where nothing is.
pub(super) fn store_stream(cx: &mut Cx<'_>, key: Key<'_>, stream: Stream) {
    cx.store(key, Value::Container(Box::new(stream.contained())), Deadline::Clear);
}

/// Writes an id.
pub(super) fn reply_id(id: StreamId, reply: &mut Reply<'_>) {
    id.with_text(|text| reply.bulk(text));
}

/// Writes an entry: its id, and its fields and values by turns.
pub(super) fn reply_entry(entry: Entry<'_>, reply: &mut Reply<'_>) {
    reply.array(2);
    reply_content(entry, reply);
}

/// Writes an entry, for how many milliseconds it has been pending, and how often it was delivered.
pub(super) fn reply_delivered(entry: Entry<'_>, idle: u64, times: u64, reply: &mut Reply<'_>) {
    reply.array(4);
    reply_content(entry, reply);
    reply.integer(idle as i64);
    reply.integer(times as i64);
}

fn reply_content(entry: Entry<'_>, reply: &mut Reply<'_>) {
    reply_id(entry.id, reply);
    reply.array(2 * entry.fields);
    for (field, value) in entry.pairs() {
        field.with(|bytes| reply.bulk(bytes));
        value.with(|bytes| reply.bulk(bytes));
    }
}

/// Which id XADD asks for.
#[derive(Clone, Copy, Debug)]
enum Asked {
    /// `*`
    Any,
    /// `ms-*`
    Within(u64),
    /// This.
    Exactly(StreamId),
}

impl Asked {
    fn parse(word: &[u8]) -> Result<Asked, Failure> {
        match word {
            b"*" => Ok(Asked::Any),
            [ms @ .., b'-', b'*'] => unsigned(ms).map(Asked::Within).ok_or(INVALID_ID),
            word => strict_id(word, 0).map(Asked::Exactly),
        }
    }

    /// The id that an entry gets.
    fn of(self, stream: &Stream, now: u64) -> Result<StreamId, Failure> {
        let last = stream.last_id();
        if last == StreamId::MAX {
            return Err(Failure::new(
                "ERR The stream has exhausted the last possible ID, unable to add more items",
            ));
        }
        let id = match self {
            Asked::Any => stream.next_id(now).ok_or(TOO_SMALL)?,
            Asked::Within(ms) if ms == last.ms => {
                StreamId { ms, seq: last.seq.checked_add(1).ok_or(TOO_SMALL)? }
            }
            Asked::Within(ms) => StreamId { ms, seq: 0 },
            Asked::Exactly(id) => id,
        };
        if id > last { Ok(id) } else { Err(TOO_SMALL) }
    }
}

fn add(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let options = Options::of_add(args, cx.settings.stream_node_max_entries)?;
    let words = args.skip(options.rest + 1);
    let asked = args.get(options.rest).map_or(Err(Failure::SYNTAX), Asked::parse)?;
    if words.is_empty() || words.len() % 2 == 1 {
        return Err(Failure::new("ERR wrong number of arguments for 'xadd' command"));
    }
    if matches!(asked, Asked::Exactly(StreamId::MIN)) {
        return Err(Failure::new("ERR The ID specified in XADD must be greater than 0-0"));
    }
    let (key, limits, now) = (cx.key(args, 0), limits(cx), cx.clock.0);
    let add = |stream: &mut Stream| {
        let id = asked.of(stream, now)?;
        stream.add(id, words.len() / 2, words.iter(), limits);
        if let Some(trim) = options.trim {
            stream.trim(trim);
        }
        Ok((id, true))
    };
    let added = change_stream(cx, key, add)?;
    let id = match added {
        Some(id) => id,
        None if options.only_if_there => {
            reply.null();
            return Ok(());
        }
        None => {
            let mut stream = Stream::default();
            let (id, _) = add(&mut stream)?;
            store_stream(cx, key, stream);
            id
        }
    };
    say_trimmed(cx, args, &options, Some((id, options.rest + 1)));
    reply_id(id, reply);
    Ok(())
}

fn delete(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = cx.key(args, 0);
    // A stream of another type is told before an id that is none.
    if cx.peek_held::<Stream>(key)?.is_none() {
        reply.integer(0);
        return Ok(());
    }
    let ids = args.skip(2).iter().map(|word| strict_id(word, 0)).collect::<Result<Vec<_>, _>>()?;
    let deleted = change_stream(cx, key, |stream| {
        let deleted = ids.iter().filter(|id| stream.remove(**id, References::Keep) == Removal::Done).count();
        Ok((deleted, deleted > 0))
    })?;
    reply.count(deleted.unwrap_or(0));
    Ok(())
}

/// A word that says what becomes of references to an entry.
pub(super) fn references(args: Args<'_>, n: usize) -> Option<References> {
    [("keepref", References::Keep), ("delref", References::Drop), ("acked", References::Acked)]
        .into_iter()
        .find(|(word, _)| args.is(n, word))
        .map(|(_, references)| references)
}

/// What stands behind the names of XDELEX and XACKDEL: what becomes of references, and ids.
pub(super) fn references_and_ids(
    args: Args<'_>,
    from: usize,
) -> Result<(References, Vec<StreamId>), Failure> {
    let (mut given, mut ids) = (None, None);
    let mut n = from;
    while n < args.len() {
        if let Some(word) = references(args, n).filter(|_| given.is_none()) {
            given = Some(word);
            n += 1;
        } else if args.is(n, "ids") && ids.is_none() && n + 1 < args.len() {
            let count = parse_integer(args.at(n + 1)).filter(|count| *count > 0);
            let count = count.ok_or(Failure::new("ERR Number of IDs must be a positive integer"))?;
            if count as usize > args.len() - n - 2 {
                return Err(Failure::new("ERR The `numids` parameter must match the number of arguments"));
            }
            let words = args.skip(n + 2).first(count as usize);
            ids = Some(words.iter().map(|word| strict_id(word, 0)).collect::<Result<Vec<_>, _>>()?);
            n += 2 + count as usize;
        } else {
            return Err(Failure::SYNTAX);
        }
    }
    Ok((given.unwrap_or_default(), ids.ok_or(Failure::SYNTAX)?))
}

/// What XDELEX and XACKDEL say of an entry.
pub(super) fn told(removal: Removal) -> i64 {
    match removal {
        Removal::Absent => -1,
        Removal::Done => 1,
        Removal::Referenced => 2,
    }
}

fn delete_by(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = cx.key(args, 0);
    cx.peek_held::<Stream>(key)?;
    let (references, ids) = references_and_ids(args, 2)?;
    let removals = change_stream(cx, key, |stream| {
        let removals: Vec<Removal> = ids.iter().map(|id| stream.remove(*id, references)).collect();
        let is_changed = removals.contains(&Removal::Done);
        Ok((removals, is_changed))
    })?;
    let removals = removals.unwrap_or_else(|| vec![Removal::Absent; ids.len()]);
    reply.array(removals.len());
    removals.into_iter().for_each(|removal| reply.integer(told(removal)));
    Ok(())
}

fn set_id(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let id = strict_id(args.at(2), 0)?;
    let (mut added, mut deleted) = (None, None);
    let mut n = 3;
    while n < args.len() {
        let operand = args.get(n + 1).ok_or(Failure::SYNTAX)?;
        if args.is(n, "entriesadded") {
            let number = super::parse::integer(operand)?;
            let number = u64::try_from(number);
            added = Some(number.map_err(|_| Failure::new("ERR entries_added must be positive"))?);
        } else if args.is(n, "maxdeletedid") {
            let given = strict_id(operand, 0)?;
            if id < given {
                return Err(Failure::new(
                    "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                ));
            }
            deleted = Some(given).filter(|id| *id != StreamId::MIN);
        } else {
            return Err(Failure::SYNTAX);
        }
        n += 2;
    }
    change_stream(cx, cx.key(args, 0), |stream| {
        if let Some(last) = stream.last() {
            if id < last.id {
                return Err(Failure::new(
                    "ERR The ID specified in XSETID is smaller than the target stream top item",
                ));
            }
            if added.is_some_and(|added| added < stream.len()) {
                return Err(Failure::new(
                    "ERR The entries_added specified in XSETID is smaller than the target stream length",
                ));
            }
        }
        if id < stream.max_deleted() {
            return Err(Failure::new(
                "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
            ));
        }
        stream.set_history(id, added, deleted);
        Ok(((), true))
    })?
    .ok_or(Failure::NO_KEY)?;
    reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    #[test]
    fn entries_are_added_and_removed() {
        let mut world = World::new(2);
        let client = world.connect(0);
        let small = "ERR The ID specified in XADD is equal or smaller than the target stream top item";
        let invalid = "ERR Invalid stream ID specified as stream command argument";
        for (call, reply) in [
            ("XADD s NOMKSTREAM 1-1 f v", ""),
            ("XADD s 0-0 f v", "ERR The ID specified in XADD must be greater than 0-0"),
            ("EXISTS s", "0"),
            ("XADD s 1-1 f v", "1-1"),
            ("XADD s 1-1 f v", small),
            ("XADD s 0-* f v", small),
            ("XADD s 1-* f 12 g x", "1-2"),
            ("XADD s 5 f v", "5-0"),
            ("XADD s 5-x f v", invalid),
            ("XADD s + f v", invalid),
            ("XADD s 6-1 f", "ERR wrong number of arguments for 'xadd' command"),
            ("XADD s 6-1 f v g", "ERR wrong number of arguments for 'xadd' command"),
            ("XADD s 7-18446744073709551615 f v", "7-18446744073709551615"),
            ("XADD s 7-* f v", small),
            ("XADD s 8-18446744073709551616 f v", invalid),
            ("XLEN s", "4"),
            ("XDEL s 1-1 9-9 1-1", "1"),
            ("XDEL s x", invalid),
            ("XDELEX s IDS 3 1-1 1-2 9-9", "-1\n1\n-1"),
            ("XDELEX s IDS 2 1-1", "ERR The `numids` parameter must match the number of arguments"),
            ("XDELEX s IDS 0 1-1", "ERR Number of IDs must be a positive integer"),
            ("XDELEX nosuch ACKED IDS 1 1-1", "-1"),
            ("XSETID s 5-0", "ERR The ID specified in XSETID is smaller than the target stream top item"),
            (
                "XSETID s 9-0 ENTRIESADDED 1",
                "ERR The entries_added specified in XSETID is smaller than the target stream length",
            ),
            ("XSETID s 9-0 ENTRIESADDED 9 MAXDELETEDID 2-0", "OK"),
            (
                "XSETID s 9-0 MAXDELETEDID 9-1",
                "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
            ),
            ("XSETID nosuch 9-0", "ERR no such key"),
            (
                "XADD s 18446744073709551615-18446744073709551615 f v",
                "18446744073709551615-18446744073709551615",
            ),
            ("XADD s * f v", "ERR The stream has exhausted the last possible ID, unable to add more items"),
            ("TYPE s", "stream"),
            ("OBJECT ENCODING s", "stream"),
            ("SET t text", "OK"),
            ("XADD t 1-1 f v", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ] {
            assert_eq!(world.say(client, call), reply, "{call}");
        }
    }

    #[test]
    fn what_all_have_acknowledged_may_go() {
        let mut world = World::new(1);
        let client = world.connect(0);
        for (call, reply) in [
            ("XADD s 1-0 f v", "1-0"),
            ("XADD s 2-0 f v", "2-0"),
            ("XADD s 3-0 f v", "3-0"),
            ("XGROUP CREATE s g 0", "OK"),
            ("XGROUP CREATE s h 1-0", "OK"),
            ("XREADGROUP GROUP g c COUNT 2 STREAMS s >", "s\n1-0\nf\nv\n2-0\nf\nv"),
            ("XACKDEL s g ACKED IDS 2 1-0 2-0", "1\n2"),
            ("XDELEX s ACKED IDS 2 1-0 2-0", "-1\n2"),
            ("XREADGROUP GROUP h c STREAMS s >", "s\n2-0\nf\nv\n3-0\nf\nv"),
            ("XTRIM s MAXLEN 0 ACKED", "0"),
            ("XACK s h 2-0", "1"),
            ("XTRIM s MAXLEN 0 ACKED", "1"),
            ("XDELEX s DELREF IDS 1 3-0", "1"),
            ("XPENDING s h", "0\n\n\n"),
            ("EXISTS s", "1"),
        ] {
            assert_eq!(world.say(client, call), reply, "{call}");
        }
    }

    #[test]
    fn a_stream_goes_where_its_key_goes() {
        let mut world = World::new(3);
        let client = world.connect(0);
        for n in 1..2_000 {
            world.call(client, &format!("XADD a {n} field value:{n}"));
        }
        world.call(client, "XGROUP CREATE a g 0");
        world.call(client, "XREADGROUP GROUP g c COUNT 500 STREAMS a >");
        for (call, reply) in [
            ("COPY a b", "1"),
            ("RENAME a c", "OK"),
            ("MOVE c 3", "1"),
            ("XADD b 5000 field last", "5000-0"),
            ("SELECT 3", "OK"),
            ("XLEN c", "1999"),
            ("XPENDING c g", "500\n1-0\n500-0\nc\n500"),
            ("XTRIM c MAXLEN 10", "1989"),
            ("XRANGE c - + COUNT 1", "1990-0\nfield\nvalue:1990"),
            ("XGROUP DESTROY c g", "1"),
            ("SELECT 0", "OK"),
            ("XREVRANGE b + - COUNT 1", "5000-0\nfield\nlast"),
            ("UNLINK b", "1"),
        ] {
            assert_eq!(world.say(client, call), reply, "{call}");
        }
        for engine in &mut world.engines {
            assert_eq!(engine.node().shard.trash().recount(), Ok(()));
            engine.node.shard.free_some(10_000);
            assert!(engine.node().shard.trash().is_empty());
            engine.node().shard.databases().iter().for_each(|db| assert_eq!(db.recount(), Ok(())));
        }
    }
}
