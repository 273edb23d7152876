//! Streams: what is new in one or several of them, for anybody, or for a group whose consumers share it.
//!
//! Over several shards each looks at its own streams, all under locks; a group's streams are read only if all are there.

use super::parse::integer;
use super::row::{Command, Example, Flags, Keys, Next, Plan, Run, Touch};
use super::stream::{ROW, change_stream, reply_entry, reply_id, strict_id};
use crate::args::Args;
use crate::database::Key;
use crate::protocol::chunks::Chunks;
use crate::protocol::reply::{Failure, Reply, Resp};
use crate::shard::Cx;
use crate::txn::work::{Finding, Order};
use crate::value::stream::{Entry, Stream, StreamId};

/// Options and how many words each has with what belongs to it.
const OPTIONS: &[(&str, u16)] = &[("block", 2), ("count", 2), ("group", 3), ("noack", 1)];
const STREAMS: &str = "streams";

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "xread",
        arity: -4,
        flags: Flags::READONLY.or(Flags::BLOCKING).or(Flags::MOVABLE_KEYS),
        keys: Keys::Halves { options: OPTIONS, word: STREAMS },
        summary: "Returns messages from multiple streams with IDs greater than the ones requested. Blocks until a message is available \
                  otherwise.",
        complexity: "O(N) with N being the number of messages returned.",
        syntax: "[COUNT count:integer] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]",
        examples: &[
            Example { call: "XADD {s}1 1-1 a 1", reply: "1-1" },
            Example { call: "XADD {s}2 2-1 b 2", reply: "2-1" },
            Example {
                call: "XREAD COUNT 2 STREAMS {s}1 {s}2 0 0",
                reply: "{s}1\n1-1\na\n1\n{s}2\n2-1\nb\n2",
            },
            Example { call: "XREAD STREAMS {s}1 $", reply: "" },
        ],
        run: Run::Plan(&XREAD),
        ..ROW
    },
    Command {
        name: "xreadgroup",
        arity: -7,
        flags: Flags::WRITE.or(Flags::BLOCKING).or(Flags::MOVABLE_KEYS),
        keys: Keys::Halves { options: OPTIONS, word: STREAMS },
        touch: Touch::Read,
        summary: "Returns new or historical messages from a stream for a consumer in a group. Blocks until a message is available \
                  otherwise.",
        complexity: "For each stream mentioned: O(M) with M being the number of elements returned. If M is constant (e.g. always asking \
                     for the first 10 elements with COUNT), you can consider it O(1). On the other side when XREADGROUP blocks, XADD will \
                     pay the O(N) time in order to serve the N clients blocked on the stream getting new data.",
        syntax: "GROUP group consumer [COUNT count:integer] [BLOCK milliseconds] [NOACK] STREAMS key [key ...] id [id ...]",
        examples: &[
            Example { call: "XADD mystream 1-1 a 1", reply: "1-1" },
            Example { call: "XGROUP CREATE mystream mygroup 0", reply: "OK" },
            Example {
                call: "XREADGROUP GROUP mygroup Alice STREAMS mystream >",
                reply: "mystream\n1-1\na\n1",
            },
            Example { call: "XREADGROUP GROUP mygroup Alice STREAMS mystream >", reply: "" },
            Example { call: "XREADGROUP GROUP mygroup Bob STREAMS mystream 0", reply: "mystream\n" },
        ],
        run: Run::Plan(&XREADGROUP),
        ..ROW
    },
];

const XREAD: Plan = Plan {
    check: |args, _| Reading::parse(args, false).map(drop),
    reads: |_| true,
    act: |cx, args, _| match Reading::parse(args, false) {
        Ok(reading) => each_key(cx, args, |cx, place, key| {
            let id = reading.id(args, place);
            Ok(cx.read_held::<Stream>(key)?.and_then(|stream| what_is_new(stream, id, reading.count)))
        }),
        Err(failure) => Finding::Failed(failure),
    },
    next: |args, _, findings, reply| or_null(next_told(args, findings, reply), reply),
};

const XREADGROUP: Plan = Plan {
    check: |args, _| Reading::parse(args, true).map(drop),
    reads: |_| false,
    act: |cx, args, order| match Reading::parse(args, true) {
        Ok(reading) if order.step == 0 => look_for_groups(cx, args, &reading),
        Ok(reading) => {
            each_key(cx, args, |cx, place, key| read_for_group(cx, key, &reading, reading.id(args, place)))
        }
        Err(failure) => Finding::Failed(failure),
    },
    next: |args, step, findings, reply| match step {
        0 => next_read(findings),
        _ => or_null(next_told(args, findings, reply), reply),
    },
};

fn or_null(next: Next, reply: &mut Reply<'_>) -> Next {
    match next {
        Next::Wait => {
            reply.null_array();
            Next::Done
        }
        next => next,
    }
}

/// The words of XREAD and XREADGROUP.
#[derive(Clone, Copy, Debug)]
struct Reading<'a> {
    /// Entries of each stream at the most.
    count: usize,
    /// Milliseconds to wait, 0: for ever; `None`: it does not wait.
    block: Option<u64>,
    /// Group and consumer.
    group: Option<(&'a [u8], &'a [u8])>,
    /// What is read counts as acknowledged.
    no_ack: bool,
    /// How many streams are named; as many ids stand behind them.
    streams: usize,
}

/// From where a stream is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    /// `$`: only what is not there yet.
    End,
    /// `+`: the last entry.
    Last,
    /// `>`: what the group has not got.
    News,
    /// What is behind this.
    Behind(StreamId),
}

impl From {
    fn parse(word: &[u8], is_group: bool) -> Result<From, Failure> {
        match (word, is_group) {
            (b"$", false) => Ok(From::End),
            (b"+", false) => Ok(From::Last),
            (b">", true) => Ok(From::News),
            (b"$", true) => Err(Failure::new(
                "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by \
                 specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.",
            )),
            (b"+", true) => Err(Failure::new(
                "ERR The + ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by \
                 specifying a proper ID, or use the > ID to get new messages. The + ID would just return an empty result set.",
            )),
            (b">", false) => Err(Failure::new(
                "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
            )),
            _ => strict_id(word, 0).map(From::Behind),
        }
    }
}

impl<'a> Reading<'a> {
    fn parse(args: Args<'a>, is_group: bool) -> Result<Reading<'a>, Failure> {
        let mut reading = Reading { count: usize::MAX, block: None, group: None, no_ack: false, streams: 0 };
        let mut n = 1;
        loop {
            let behind = args.len().saturating_sub(n + 1);
            if args.is(n, "block") && behind >= 1 {
                reading.block = Some(millis_to_wait(args.at(n + 1))?);
                n += 2;
            } else if args.is(n, "count") && behind >= 1 {
                // None or less means all.
                let count = integer(args.at(n + 1))?;
                reading.count = usize::try_from(count).ok().filter(|n| *n > 0).unwrap_or(usize::MAX);
                n += 2;
            } else if args.is(n, STREAMS) && behind >= 1 {
                if behind % 2 != 0 {
                    return Err(unbalanced(is_group));
                }
                reading.streams = behind / 2;
                break;
            } else if args.is(n, "group") && behind >= 2 {
                if !is_group {
                    return Err(Failure::new(
                        "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.",
                    ));
                }
                reading.group = Some((args.at(n + 1), args.at(n + 2)));
                n += 3;
            } else if args.is(n, "noack") {
                if !is_group {
                    return Err(Failure::new(
                        "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.",
                    ));
                }
                reading.no_ack = true;
                n += 1;
            } else {
                return Err(Failure::SYNTAX);
            }
        }
        if is_group && reading.group.is_none() {
            return Err(Failure::new("ERR Missing GROUP option for XREADGROUP"));
        }
        let ids = args.skip(args.len() - reading.streams);
        ids.iter().try_for_each(|word| From::parse(word, is_group).map(drop))?;
        Ok(reading)
    }

    /// From where the stream is read whose key stands at this place.
    fn id(&self, args: Args<'_>, place: u32) -> From {
        let word = args.at(place as usize + self.streams);
        From::parse(word, self.group.is_some()).unwrap_or(From::End)
    }
}

fn unbalanced(is_group: bool) -> Failure {
    match is_group {
        true => Failure::new(
            "ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified.",
        ),
        false => Failure::new(
            "ERR Unbalanced 'xread' list of streams: for each stream key an ID, '+', or '$' must be specified.",
        ),
    }
}

/// How long a client wants to wait, in whole milliseconds; 0: for ever.
fn millis_to_wait(word: &[u8]) -> Result<u64, Failure> {
    let millis = integer(word).map_err(|_| Failure::new("ERR timeout is not an integer or out of range"))?;
    u64::try_from(millis).map_err(|_| Failure::new("ERR timeout is negative"))
}

/// `NOGROUP No such key 'k' or consumer group 'g'`
pub(super) fn no_key_or_group(key: &[u8], group: &[u8]) -> String {
    let (key, group) = (String::from_utf8_lossy(key), String::from_utf8_lossy(group));
    format!("NOGROUP No such key '{key}' or consumer group '{group}'")
}

/// What a shard finds under each of its keys; of keys under which there is nothing to tell, nothing.
fn each_key(
    cx: &mut Cx<'_>,
    args: Args<'_>,
    mut find: impl FnMut(&mut Cx<'_>, u32, Key<'_>) -> Result<Option<Finding>, Failure>,
) -> Finding {
    let mut found = Vec::new();
    for n in 0..cx.keys.len() {
        let (place, key) = (cx.keys[n].place, cx.key(args, n));
        let finding = find(cx, place, key).unwrap_or_else(|failure| Some(Finding::Failed(failure)));
        found.extend(finding.map(|finding| (place, finding)));
    }
    Finding::Keys(found)
}

/// Entries on their way into a reply: as they are written in every version of the protocol, but for holes.
#[derive(Default)]
struct Told {
    pieces: Vec<Finding>,
    chunks: Chunks,
}

impl Told {
    fn write(&mut self, write: impl FnOnce(&mut Reply<'_>)) {
        write(&mut Reply::new(&mut self.chunks, Resp::V2));
    }

    /// An entry that is not there any more.
    fn hole(&mut self, id: StreamId) {
        self.write(|reply| {
            reply.array(2);
            reply_id(id, reply);
        });
        self.cut();
        self.pieces.push(Finding::Nothing);
    }

    fn cut(&mut self) {
        let written = std::mem::take(&mut self.chunks);
        self.pieces.push(Finding::Bytes(written.to_vec()));
    }

    fn finding(mut self) -> Finding {
        self.cut();
        Finding::List(self.pieces)
    }
}

fn told<'a>(count: usize, entries: impl Iterator<Item = Entry<'a>>) -> Finding {
    let mut told = Told::default();
    told.write(|reply| {
        reply.array(count);
        entries.take(count).for_each(|entry| reply_entry(entry, reply));
    });
    told.finding()
}

/// Where the entries begin that somebody wants; `None` if there are none.
fn wanted(stream: &Stream, from: From) -> Option<StreamId> {
    let begins = match from {
        From::End | From::News => None,
        From::Last => stream.last().map(|entry| entry.id),
        From::Behind(id) => id.next(),
    };
    begins.filter(|begins| stream.last().is_some_and(|last| last.id >= *begins))
}

fn what_is_new(stream: &Stream, from: From, count: usize) -> Option<Finding> {
    let begins = wanted(stream, from)?;
    let count = stream.count(begins, StreamId::MAX, count);
    Some(told(count, stream.range(begins, StreamId::MAX)))
}

/// Whether all streams have the group: else nothing is read.
fn look_for_groups(cx: &mut Cx<'_>, args: Args<'_>, reading: &Reading<'_>) -> Finding {
    let group = reading.group.map_or(&b""[..], |(group, _)| group);
    each_key(cx, args, |cx, _, key| {
        let stream = cx.peek_held::<Stream>(key)?;
        if stream.is_none_or(|stream| stream.group(group).is_none()) {
            let line = no_key_or_group(key.bytes, group) + " in XREADGROUP with GROUP option";
            return Err(Failure::text(line));
        }
        Ok(None)
    })
}

fn next_read(findings: Vec<Finding>) -> Next {
    match first_failure(&findings) {
        Some(failure) => Next::Failed(failure),
        None => Next::Step(vec![Order { step: 0, key: None, given: Finding::Nothing }]),
    }
}

/// Of the first key under which something is wrong.
fn first_failure(findings: &[Finding]) -> Option<Failure> {
    let mut first: Option<(u32, &Failure)> = None;
    for finding in findings {
        match finding {
            Finding::Failed(failure) => return Some(failure.clone()),
            Finding::Keys(keys) => {
                for (place, finding) in keys {
                    if let Finding::Failed(failure) = finding
                        && first.is_none_or(|(other, _)| *place < other)
                    {
                        first = Some((*place, failure));
                    }
                }
            }
            _ => {}
        }
    }
    first.map(|(_, failure)| failure.clone())
}

/// Reads a stream for a consumer: what the group has not got, or what the consumer has not acknowledged.
fn read_for_group(
    cx: &mut Cx<'_>,
    key: Key<'_>,
    reading: &Reading<'_>,
    from: From,
) -> Result<Option<Finding>, Failure> {
    let Some((group, consumer)) = reading.group else { return Ok(None) };
    let now = cx.now.0;
    let read = change_stream(cx, key, |stream| {
        let Some((id, is_new)) = stream.change_group(group, |group| group.see(consumer, now)) else {
            return Ok((None, false));
        };
        let From::Behind(behind) = from else {
            let last = stream.group(group).map_or(StreamId::MAX, |group| group.last_id);
            let Some(begins) = wanted(stream, From::Behind(last)) else { return Ok((None, is_new)) };
            let count = stream.count(begins, StreamId::MAX, reading.count);
            let finding = told(count, stream.range(begins, StreamId::MAX));
            let ids: Vec<StreamId> =
                stream.range(begins, StreamId::MAX).take(count).map(|entry| entry.id).collect();
            stream.deliver(group, &ids, (!reading.no_ack).then_some((id, now)));
            stream.change_group(group, |group| group.note_active(id, now));
            return Ok((Some(finding), true));
        };
        let pending: Vec<StreamId> = match (behind.next(), stream.group(group)) {
            (Some(from), Some(group)) => {
                let pending = group.consumer(id).pending().from(from).map(|(id, ())| id);
                pending.take(reading.count).collect()
            }
            _ => Vec::new(),
        };
        let mut told = Told::default();
        told.write(|reply| reply.array(pending.len()));
        let mut again = Vec::new();
        for entry in pending {
            match stream.get(entry) {
                Some(entry) => {
                    told.write(|reply| reply_entry(entry, reply));
                    again.push(entry.id);
                }
                None => told.hole(entry),
            }
        }
        let is_changed = is_new || !again.is_empty();
        stream.change_group(group, |group| again.iter().for_each(|id| group.redeliver(*id, now)));
        Ok((Some(told.finding()), is_changed))
    })?;
    Ok(read.flatten())
}

/// What all shards have found, in the order of the request; waiting if it is nothing.
fn next_told(args: Args<'_>, findings: Vec<Finding>, reply: &mut Reply<'_>) -> Next {
    if let Some(failure) = first_failure(&findings) {
        return Next::Failed(failure);
    }
    let mut streams: Vec<(u32, Vec<Finding>)> = Vec::new();
    for finding in findings {
        let Finding::Keys(keys) = finding else { continue };
        let told = keys.into_iter().filter_map(|(place, finding)| match finding {
            Finding::List(pieces) => Some((place, pieces)),
            _ => None,
        });
        streams.extend(told);
    }
    if streams.is_empty() {
        return Next::Wait;
    }
    streams.sort_by_key(|(place, _)| *place);
    let is_map = reply.resp() == Resp::V3;
    if is_map {
        reply.map(streams.len())
    } else {
        reply.array(streams.len())
    }
    for (place, pieces) in streams {
        if !is_map {
            reply.array(2);
        }
        reply.bulk(args.at(place as usize));
        for piece in pieces {
            match piece {
                Finding::Bytes(bytes) => reply.raw(&bytes),
                _ => reply.null_array(),
            }
        }
    }
    Next::Done
}
