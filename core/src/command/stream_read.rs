//! Streams: what is new in one or several of them, for anybody, or for a group whose consumers share it.
//!
//! Over several shards each looks at its own streams, all under locks; a group's streams are read only if all are there.

use super::row::{Block, Command, Example, Flags, Keys, Next, Plan, Reader, Run, Sight, Touch};
use super::stream::{ROW, change_stream, reply_delivered, reply_entry, reply_id};
use super::stream_words::{From, OPTIONS, Reading, STREAMS};
use crate::args::{Args, OwnedArgs};
use crate::database::Key;
use crate::protocol::chunks::Chunks;
use crate::protocol::reply::{Failure, Reply, Resp};
use crate::shard::Cx;
use crate::time::UnixMillis;
use crate::txn::work::{Finding, Order};
use crate::value::container::Held;
use crate::value::record::Record;
use crate::value::stream::{Entry, Idle, Stream, StreamId};

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
        run: Run::Block(&XREAD),
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
        syntax: "GROUP group consumer [COUNT count:integer] [BLOCK milliseconds] [CLAIM min-idle-time] [NOACK] STREAMS key [key ...] id [id ...]",
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
        run: Run::Block(&XREADGROUP),
        ..ROW
    },
];

/// Any shard serves who waits from the streams that it has.
const fn reading(plan: Plan, waits: fn(Args<'_>) -> bool, reader: Reader) -> Block {
    Block {
        plan,
        timeout,
        waits_for: |_| true,
        is_served_alone: true,
        is_ready: |_| false,
        empty: |reply| reply.null_array(),
        waits,
        reader: Some(reader),
    }
}

const XREAD: Block = reading(
    Plan {
        check: |args, _| Reading::parse(args, false).map(drop),
        reads: |_| true,
        act: |cx, args, _| match Reading::parse(args, false) {
            Ok(reading) => each_key(cx, args, |cx, place, key| {
                let id = reading.id(args, place);
                Ok(cx.read_held::<Stream>(key)?.and_then(|stream| what_is_new(stream, id, reading.count)))
            }),
            Err(failure) => Finding::Failed(failure),
        },
        next: |args, _, findings, reply| next_told(args, findings, reply),
    },
    |args| Reading::parse(args, false).is_ok_and(|reading| reading.block.is_some()),
    Reader {
        sees: |record, args, place, _| {
            let id = Reading::parse(args, false).map(|reading| reading.id(args, place as u32));
            let stream = stream_of(record);
            Sight::of(stream.is_some_and(|stream| id.is_ok_and(|id| wanted(stream, id).is_some())))
        },
        settle: Some(settle),
    },
);

const XREADGROUP: Block = reading(
    Plan {
        check: |args, _| Reading::parse(args, true).map(drop),
        reads: |_| false,
        act: |cx, args, order| match Reading::parse(args, true) {
            Ok(reading) if order.step == 0 => look_for_groups(cx, args, &reading),
            Ok(reading) => each_key(cx, args, |cx, place, key| {
                read_for_group(cx, key, &reading, reading.id(args, place))
            }),
            Err(failure) => Finding::Failed(failure),
        },
        next: |args, step, findings, reply| match step {
            0 => next_read(findings),
            _ => next_told(args, findings, reply),
        },
    },
    |args| {
        Reading::parse(args, true).is_ok_and(|reading| reading.block.is_some() && reading.is_of_news(args))
    },
    Reader {
        // That the stream or the group is gone is an answer as well.
        sees: |record, args, _, now| {
            let Ok(Reading { group: Some((name, _)), claim, .. }) = Reading::parse(args, true) else {
                return Sight::Something;
            };
            let stream = stream_of(record);
            let Some((stream, group)) = stream.and_then(|stream| Some((stream, stream.group(name)?))) else {
                return Sight::Something;
            };
            if wanted(stream, From::Behind(group.last_id)).is_some() {
                return Sight::Something;
            }
            match claim.map(|min_idle| stream.when_idle(group, min_idle, now.0)) {
                Some(Idle::Now) => Sight::Something,
                Some(Idle::At(at)) => Sight::NothingBefore(UnixMillis(at)),
                Some(Idle::Never) | None => Sight::Nothing,
            }
        },
        settle: None,
    },
);

fn timeout(args: Args<'_>) -> Result<u64, Failure> {
    let is_group = args.is(0, "xreadgroup");
    Reading::parse(args, is_group).map(|reading| reading.block.unwrap_or(0))
}

fn stream_of(record: Option<&Record>) -> Option<&Stream> {
    record?.container().and_then(Stream::within)
}

/// The same request with ids in the place of `$` and `+`, as the streams are now.
fn settle(args: Args<'_>, findings: &[Finding]) -> OwnedArgs {
    let streams = Reading::parse(args, false).map_or(0, |reading| reading.streams);
    let last_id = |place: usize| {
        let keys = findings.iter().filter_map(|finding| match finding {
            Finding::Keys(keys) => Some(keys),
            _ => None,
        });
        keys.flatten().find_map(|(key, finding)| match finding {
            Finding::Bytes(id) if *key as usize == place => Some(&id[..]),
            _ => None,
        })
    };
    let mut settled = OwnedArgs::default();
    for (n, word) in args.iter().enumerate() {
        let is_open = n + streams >= args.len() && matches!(word, b"$" | b"+");
        settled.push(if is_open { last_id(n - streams).unwrap_or(b"0-0") } else { word });
    }
    settled
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

/// What is new; where there is nothing, the last id for who waits for what comes behind it.
fn what_is_new(stream: &Stream, from: From, count: usize) -> Option<Finding> {
    let Some(begins) = wanted(stream, from) else {
        let is_open = matches!(from, From::End | From::Last);
        return is_open.then(|| Finding::Bytes(stream.last_id().with_text(<[u8]>::to_vec)));
    };
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
    let now = cx.clock.0;
    if cx.is_written_down() {
        say_read(cx, key, reading, from);
    }
    let read = change_stream(cx, key, |stream| {
        let Some((id, is_new)) = stream.change_group(group, |group| group.see(consumer, now)) else {
            return Ok((None, false));
        };
        let From::Behind(behind) = from else {
            let claimed = match reading.claim {
                Some(min_idle) => stream.claim_idle(group, id, min_idle, now, reading.count),
                None => Vec::new(),
            };
            let left = reading.count - claimed.len();
            let last = stream.group(group).map_or(StreamId::MAX, |group| group.last_id);
            let begins = wanted(stream, From::Behind(last)).filter(|_| left > 0);
            if claimed.is_empty() && begins.is_none() {
                return Ok((None, is_new));
            }
            let count = begins.map_or(0, |begins| stream.count(begins, StreamId::MAX, left));
            let begins = begins.unwrap_or(StreamId::MAX);
            let mut told = Told::default();
            told.write(|reply| {
                reply.array(claimed.len() + count);
                for (id, before) in &claimed {
                    if let Some(entry) = stream.get(*id) {
                        reply_delivered(entry, now.saturating_sub(before.delivered), before.times, reply);
                    }
                }
                stream.range(begins, StreamId::MAX).take(count).for_each(|entry| match reading.claim {
                    Some(_) => reply_delivered(entry, 0, 0, reply),
                    None => reply_entry(entry, reply),
                });
            });
            let ids: Vec<StreamId> =
                stream.range(begins, StreamId::MAX).take(count).map(|entry| entry.id).collect();
            stream.deliver(group, &ids, (!reading.no_ack).then_some((id, now)));
            stream.change_group(group, |group| group.note_active(id, now));
            return Ok((Some(told.finding()), true));
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

/// The same for this stream alone.
fn say_read(cx: &mut Cx<'_>, key: Key<'_>, reading: &Reading<'_>, from: From) {
    let Some((group, consumer)) = reading.group else { return };
    let count = reading.count.min(i64::MAX as usize).to_string();
    let id = match from {
        From::Behind(id) => id.with_text(<[u8]>::to_vec),
        _ => b">".to_vec(),
    };
    let mut words: Vec<&[u8]> = vec![b"xreadgroup", b"group", group, consumer];
    if count != "0" {
        words.extend([&b"count"[..], count.as_bytes()]);
    }
    let claim = reading.claim.map(|millis| millis.to_string());
    if let Some(claim) = &claim {
        words.extend([&b"claim"[..], claim.as_bytes()]);
    }
    if reading.no_ack {
        words.push(b"noack");
    }
    words.extend([&b"streams"[..], key.bytes, &id]);
    cx.say(key, &words);
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

#[cfg(test)]
mod tests {
    use crate::testing::{Client, World};

    /// The same on one core and on three: who waits for streams on shards of its own, of others, of several.
    fn on_each(test: impl Fn(&mut World, &[Client])) {
        for cores in [1, 3] {
            let mut world = World::new(cores);
            let clients: Vec<Client> = (0..6).map(|n| world.connect(n % cores)).collect();
            test(&mut world, &clients);
            for client in clients {
                if world.is_open(client) {
                    world.hang_up(client);
                }
            }
            assert_eq!(world.unfinished(), [""; 0], "{cores} cores");
        }
    }

    fn entry(key: &str, id: &str, value: &str) -> String {
        let (keys, ids, values) = (key.len(), id.len(), value.len());
        format!(
            "*1\r\n*2\r\n${keys}\r\n{key}\r\n*1\r\n*2\r\n${ids}\r\n{id}\r\n*2\r\n$1\r\nf\r\n${values}\r\n{value}\r\n"
        )
    }

    #[test]
    fn one_entry_serves_all_who_read() {
        on_each(|world, clients| {
            let other = clients[5];
            for key in ["a", "b", "c", "d"] {
                assert_eq!(world.call(other, &format!("XADD {key} 1-0 f x")), "$3\r\n1-0\r\n");
                // Who waits for later ones stands in nobody's way.
                let none = "nosuch";
                assert_eq!(world.call(clients[0], &format!("XREAD BLOCK 0 STREAMS {key} {none} 9-0 $")), "");
                for client in &clients[1..3] {
                    let read = format!("XREAD BLOCK 0 STREAMS {none} {key} $ $");
                    assert_eq!(world.call(*client, &read), "");
                }
                let both = world.say(clients[3], &format!("XREAD BLOCK 0 STREAMS {key} {key} 0-0 +"));
                assert_eq!(both, format!("{key}\n1-0\nf\nx\n{key}\n1-0\nf\nx"));
                assert_eq!(world.call(other, &format!("XADD {key} 2-0 f y")), "$3\r\n2-0\r\n");
                for client in &clients[1..3] {
                    assert_eq!(world.receive(*client), entry(key, "2-0", "y"));
                }
                assert_eq!(world.receive(clients[0]), "");
                assert_eq!(world.call(other, &format!("SET {key} text")), "+OK\r\n");
                assert_eq!(world.call(other, &format!("DEL {key}")), ":1\r\n");
                assert_eq!(world.call(other, &format!("XADD {key} 10-0 f z")), "$4\r\n10-0\r\n");
                assert_eq!(world.receive(clients[0]), entry(key, "10-0", "z"));
            }
        });
    }

    #[test]
    fn consumers_of_a_group_are_served_in_order() {
        on_each(|world, clients| {
            let other = clients[5];
            for key in ["a", "b", "c", "d"] {
                assert_eq!(world.call(other, &format!("XGROUP CREATE {key} g $ MKSTREAM")), "+OK\r\n");
                for (n, client) in clients[..3].iter().enumerate() {
                    let read = format!("XREADGROUP GROUP g c{n} COUNT 1 BLOCK 0 STREAMS {key} >");
                    assert_eq!(world.call(*client, &read), "");
                }
                for line in ["MULTI", &format!("XADD {key} 1-0 f x"), &format!("XADD {key} 2-0 f y"), "EXEC"]
                {
                    world.call(other, line);
                }
                assert_eq!(world.receive(clients[0]), entry(key, "1-0", "x"));
                assert_eq!(world.receive(clients[1]), entry(key, "2-0", "y"));
                assert_eq!(world.receive(clients[2]), "");
                assert_eq!(world.say(other, &format!("XPENDING {key} g - + 9")).lines().count(), 8);
                assert_eq!(world.call(other, &format!("XADD {key} 3-0 f z")), "$3\r\n3-0\r\n");
                assert_eq!(world.receive(clients[2]), entry(key, "3-0", "z"));
            }
        });
    }

    #[test]
    fn who_waits_in_a_group_is_told_that_it_is_gone() {
        on_each(|world, clients| {
            let [waiter, other, ..] = *clients else { panic!("there are clients") };
            for key in ["a", "b", "c", "d"] {
                let gone = format!(
                    "-NOGROUP No such key '{key}' or consumer group 'g' in XREADGROUP with GROUP option\r\n"
                );
                let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
                for (cause, told) in [
                    (format!("XGROUP DESTROY {key} g"), &gone[..]),
                    (format!("DEL {key}"), &gone),
                    (format!("SET {key} text"), wrong),
                    ("FLUSHALL".into(), &gone),
                    (format!("RENAME {key} other"), &gone),
                    (format!("PEXPIRE {key} 0"), &gone),
                ] {
                    world.call(other, "FLUSHALL");
                    world.call(other, &format!("XGROUP CREATE {key} g $ MKSTREAM"));
                    let read = format!("XREADGROUP GROUP g c BLOCK 0 STREAMS {key} >");
                    assert_eq!(world.call(waiter, &read), "", "{cause}");
                    world.call(other, &cause);
                    assert_eq!(world.receive(waiter), told, "{cause}");
                }
            }
        });
    }

    #[test]
    fn waits_end_in_time_and_not_at_all_where_there_are_none() {
        on_each(|world, clients| {
            let [waiter, other, ..] = *clients else { panic!("there are clients") };
            world.call(other, "XGROUP CREATE a g $ MKSTREAM");
            for (call, reply) in [
                ("XREAD BLOCK x STREAMS a $", "-ERR timeout is not an integer or out of range\r\n"),
                ("XREAD BLOCK -1 STREAMS a $", "-ERR timeout is negative\r\n"),
                ("XREAD BLOCK 0 STREAMS a b $", unbalanced()),
                ("XREADGROUP GROUP g c BLOCK 0 STREAMS a 0", "*1\r\n*2\r\n$1\r\na\r\n*0\r\n"),
                ("XREAD STREAMS a b c 0 0 0", "*-1\r\n"),
                ("XREAD BLOCK 20 STREAMS a b c $ $ $", ""),
            ] {
                assert_eq!(world.call(waiter, call), reply, "{call}");
            }
            world.pass(19);
            assert_eq!(world.receive(waiter), "");
            world.pass(2);
            assert_eq!(world.receive(waiter), "*-1\r\n");
            for line in
                ["MULTI", "XREAD BLOCK 0 STREAMS a b c $ $ $", "XREADGROUP GROUP g c BLOCK 0 STREAMS a >"]
            {
                world.call(waiter, line);
            }
            assert_eq!(world.call(waiter, "EXEC"), "*2\r\n*-1\r\n*-1\r\n");
        });
    }

    #[test]
    fn what_others_have_left_lying_comes_first() {
        on_each(|world, clients| {
            let client = clients[0];
            for id in ["1-0", "2-0", "3-0"] {
                world.call(client, &format!("XADD s {id} f v"));
            }
            world.call(client, "XGROUP CREATE s g 0");
            for (call, pass, reply) in [
                ("XREADGROUP GROUP g a COUNT 1 STREAMS s >", 10, "s\n1-0\nf\nv"),
                ("XREADGROUP GROUP g a COUNT 1 STREAMS s >", 90, "s\n2-0\nf\nv"),
                ("XREADGROUP GROUP g b CLAIM 101 STREAMS s 0", 0, "s\n"),
                ("XREADGROUP GROUP g b COUNT 1 CLAIM 90 STREAMS s >", 0, "s\n1-0\nf\nv\n100\n1"),
                (
                    "XREADGROUP GROUP g b NOACK CLAIM 90 STREAMS s >",
                    50,
                    "s\n2-0\nf\nv\n90\n1\n3-0\nf\nv\n0\n0",
                ),
                ("XPENDING s g - + 9", 0, "1-0\nb\n50\n2\n2-0\nb\n50\n2"),
                ("XREADGROUP GROUP g c CLAIM 51 STREAMS s >", 0, ""),
                ("XCLAIM s g a 0 2-0 IDLE 70 JUSTID", 0, "2-0"),
                ("XDEL s 1-0", 0, "1"),
                ("XREADGROUP CLAIM 50 GROUP g c STREAMS s >", 0, "s\n2-0\nf\nv\n70\n2"),
                ("XREADGROUP GROUP g c CLAIM 50 STREAMS s >", 0, ""),
                ("XREADGROUP GROUP g c CLAIM 0 STREAMS s >", 0, "s\n2-0\nf\nv\n0\n3"),
                ("XREADGROUP GROUP g c CLAIM 9223372036854775807 STREAMS s >", 0, ""),
                ("XREADGROUP GROUP g c CLAIM x STREAMS s >", 0, "ERR min-idle-time is not an integer"),
                ("XREADGROUP CLAIM GROUP g c STREAMS s >", 0, "ERR min-idle-time is not an integer"),
                ("XREADGROUP GROUP g c CLAIM STREAMS s >", 0, "ERR min-idle-time is not an integer"),
                ("XREADGROUP GROUP g c CLAIM -0 STREAMS s >", 0, "ERR min-idle-time is not an integer"),
                (
                    "XREADGROUP GROUP g c CLAIM -1 STREAMS s >",
                    0,
                    "ERR min-idle-time must be a positive integer",
                ),
                ("XREADGROUP GROUP g CLAIM 50 c STREAMS s >", 0, "ERR syntax error"),
                (
                    "XREAD CLAIM 50 STREAMS s 0",
                    0,
                    "ERR The CLAIM option is only supported by XREADGROUP. You called XREAD instead.",
                ),
            ] {
                assert_eq!(world.say(client, call), reply, "{call}");
                world.pass(pass);
            }
        });
    }

    #[test]
    fn the_last_entry_that_there_can_be_is_new_once() {
        on_each(|world, clients| {
            let client = clients[0];
            let last = "18446744073709551615-18446744073709551615";
            world.call(client, &format!("XADD s {last} f v"));
            world.call(client, "XGROUP CREATE s g 0");
            world.call(client, "XREADGROUP GROUP g a STREAMS s >");
            for times in 1..3 {
                let told = format!("s\n{last}\nf\nv\n0\n{times}");
                assert_eq!(world.say(client, "XREADGROUP GROUP g b CLAIM 0 STREAMS s >"), told);
            }
        });
    }

    #[test]
    fn who_waits_gets_what_has_been_left_lying_meanwhile() {
        on_each(|world, clients| {
            let [one, two, other, ..] = *clients else { panic!("there are clients") };
            for key in ["a", "b", "c", "d"] {
                world.call(other, &format!("XGROUP CREATE {key} g $ MKSTREAM"));
                for (client, name) in [(one, "one"), (two, "two")] {
                    let read = format!(
                        "XREADGROUP GROUP g {name} BLOCK 0 CLAIM 100 STREAMS nosuch{{{key}}} {key} > >"
                    );
                    world.call(other, &format!("XGROUP CREATE nosuch{{{key}}} g $ MKSTREAM"));
                    assert_eq!(world.call(client, &read), "");
                }
                world.call(other, &format!("XADD {key} 1-0 f v"));
                let told = |idle: &str, times: u8| {
                    format!(
                        "*1\r\n*2\r\n$1\r\n{key}\r\n*1\r\n*4\r\n$3\r\n1-0\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n:{idle}\r\n:{times}\r\n"
                    )
                };
                assert_eq!(world.receive(one), told("0", 0));
                world.pass(99);
                assert_eq!(world.receive(two), "");
                // It is looked at anew when the entry is delivered once more.
                world.call(other, &format!("XREADGROUP GROUP g one STREAMS {key} 0"));
                world.pass(99);
                assert_eq!(world.receive(two), "");
                world.pass(1);
                assert_eq!(world.receive(two), told("100", 2));
                // Nobody waits, and nobody is woken for it.
                world.pass(10_000);
                let read = format!("XREADGROUP GROUP g one BLOCK 50 CLAIM 60000 STREAMS {key} >");
                assert_eq!(world.call(one, &read), "");
                world.pass(51);
                assert_eq!(world.receive(one), "*-1\r\n");
            }
        });
    }

    fn unbalanced() -> &'static str {
        "-ERR Unbalanced 'xread' list of streams: for each stream key an ID, '+', or '$' must be specified.\r\n"
    }

    #[test]
    fn streams_of_several_shards_are_read_as_one() {
        let mut world = World::new(3);
        let client = world.connect(0);
        for key in ["a", "b", "c"] {
            world.call(client, &format!("XADD {key} 1-0 f {key}"));
            world.call(client, &format!("XGROUP CREATE {key} g 0"));
        }
        let all = "a\n1-0\nf\na\nb\n1-0\nf\nb\nc\n1-0\nf\nc";
        assert_eq!(world.say(client, "XREAD STREAMS a b c 0 0 0"), all);
        assert_eq!(world.say(client, "XREAD STREAMS a b c 0 1-0 +"), "a\n1-0\nf\na\nc\n1-0\nf\nc");
        assert_eq!(
            world.say(client, "XREADGROUP GROUP g x STREAMS a nosuch c > > >"),
            "NOGROUP No such key 'nosuch' or consumer group 'g' in XREADGROUP with GROUP option"
        );
        assert_eq!(world.say(client, "XREADGROUP GROUP g x STREAMS a b c > > >"), all);
        assert_eq!(world.call(client, "XREADGROUP GROUP g x STREAMS a b c > > >"), "*-1\r\n");
        world.call(client, "XDEL b 1-0");
        world.call(client, "HELLO 3");
        assert_eq!(
            world.call(client, "XREADGROUP GROUP g x STREAMS a b 0 0"),
            "%2\r\n$1\r\na\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nf\r\n$1\r\na\r\n$1\r\nb\r\n*1\r\n*2\r\n$3\r\n1-0\r\n_\r\n"
        );
    }
}
