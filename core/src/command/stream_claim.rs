//! Streams: pending entries change hands, by name or as they come.

use super::row::{Command, Example, Run, Touch};
use super::stream::{ROW, change_stream, range_from, reply_entry, reply_id, strict_id};
use super::stream_read::no_key_or_group;
use crate::args::Args;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::protocol::request::parse_integer;
use crate::shard::Cx;
use crate::value::stream::{ConsumerId, Group, Pending, Stream, StreamId};

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "xclaim",
        arity: -6,
        touch: Touch::Update,
        summary: "Changes, or acquires, ownership of a message in a consumer group, as if the message was delivered a consumer group member.",
        complexity: "O(log N) with N being the number of messages in the PEL of the consumer group.",
        syntax: "key group consumer min-idle-time id [id ...] [IDLE ms:integer] [TIME unix-time-milliseconds] \
                 [RETRYCOUNT count:integer] [FORCE] [JUSTID] [LASTID lastid]",
        examples: &[
            Example { call: "XADD mystream 1-1 a 1", reply: "1-1" },
            Example { call: "XGROUP CREATE mystream mygroup 0", reply: "OK" },
            Example {
                call: "XREADGROUP GROUP mygroup Alice STREAMS mystream >",
                reply: "mystream\n1-1\na\n1",
            },
            Example { call: "XCLAIM mystream mygroup Bob 0 1-1", reply: "1-1\na\n1" },
        ],
        run: Run::Hop(claim),
        ..ROW
    },
    Command {
        name: "xautoclaim",
        arity: -6,
        touch: Touch::Take,
        since: "6.2.0",
        summary: "Changes, or acquires, ownership of messages in a consumer group, as if the messages were delivered to as consumer group member.",
        complexity: "O(1) if COUNT is small.",
        syntax: "key group consumer min-idle-time start [COUNT count:integer] [JUSTID]",
        examples: &[
            Example { call: "XADD mystream 1-1 a 1", reply: "1-1" },
            Example { call: "XGROUP CREATE mystream mygroup 0", reply: "OK" },
            Example {
                call: "XREADGROUP GROUP mygroup Alice STREAMS mystream >",
                reply: "mystream\n1-1\na\n1",
            },
            Example { call: "XAUTOCLAIM mystream mygroup Bob 0 0 JUSTID", reply: "0-0\n1-1\n" },
        ],
        run: Run::Hop(claim_some),
        ..ROW
    },
];

/// What stands behind the ids of XCLAIM.
#[derive(Clone, Copy, Debug)]
struct Options {
    /// When it counts as delivered.
    delivered: u64,
    times: Option<u64>,
    force: bool,
    only_ids: bool,
    last_id: StreamId,
}

impl Options {
    fn parse(args: Args<'_>, from: usize, now: u64) -> Result<Options, Failure> {
        let mut options =
            Options { delivered: now, times: None, force: false, only_ids: false, last_id: StreamId::MIN };
        let mut n = from;
        while n < args.len() {
            let operand = args.get(n + 1);
            let number = |wrong| operand.and_then(parse_integer).ok_or(Failure::new(wrong));
            n += 2;
            if args.is(n - 2, "force") {
                options.force = true;
                n -= 1;
            } else if args.is(n - 2, "justid") {
                options.only_ids = true;
                n -= 1;
            } else if args.is(n - 2, "idle") && operand.is_some() {
                let idle = number("ERR Invalid IDLE option argument for XCLAIM")?;
                options.delivered = past(now, (now as i64).wrapping_sub(idle));
            } else if args.is(n - 2, "time") && operand.is_some() {
                options.delivered = past(now, number("ERR Invalid TIME option argument for XCLAIM")?);
            } else if args.is(n - 2, "retrycount") && operand.is_some() {
                let times = number("ERR Invalid RETRYCOUNT option argument for XCLAIM")?;
                options.times = u64::try_from(times).ok();
            } else if let Some(operand) = operand.filter(|_| args.is(n - 2, "lastid")) {
                options.last_id = strict_id(operand, 0)?;
            } else {
                let word = String::from_utf8_lossy(args.at(n - 2)).into_owned();
                return Err(Failure::text(format!("ERR Unrecognized XCLAIM option '{word}'")));
            }
        }
        Ok(options)
    }
}

/// A moment that is not in the future.
fn past(now: u64, moment: i64) -> u64 {
    u64::try_from(moment).ok().filter(|moment| *moment <= now).unwrap_or(now)
}

fn min_idle(word: &[u8], wrong: &'static str) -> Result<u64, Failure> {
    parse_integer(word).map(|idle| idle.max(0) as u64).ok_or(Failure::new(wrong))
}

fn idle_enough(pending: &Pending, min_idle: u64, now: u64) -> bool {
    min_idle == 0 || now.saturating_sub(pending.delivered) >= min_idle
}

/// Writes what was claimed: entries, or only their ids.
fn reply_claimed(stream: &Stream, claimed: &[StreamId], only_ids: bool, reply: &mut Reply<'_>) {
    reply.array(claimed.len());
    for id in claimed {
        match stream.get(*id).filter(|_| !only_ids) {
            Some(entry) => reply_entry(entry, reply),
            None => reply_id(*id, reply),
        }
    }
}

/// An error unless there is such a group.
fn require_group(cx: &mut Cx<'_>, args: Args<'_>) -> Outcome {
    let (key, group) = (cx.key(args, 0), args.at(2));
    match cx.peek_held::<Stream>(key)?.is_some_and(|stream| stream.group(group).is_some()) {
        true => Ok(()),
        false => Err(Failure::text(no_key_or_group(key.bytes, group))),
    }
}

fn claim(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, now) = (cx.key(args, 0), cx.clock.0);
    require_group(cx, args)?;
    let idle = min_idle(args.at(4), "ERR Invalid min-idle-time argument for XCLAIM")?;
    let ids: Vec<StreamId> = args.skip(5).iter().map_while(|word| strict_id(word, 0).ok()).collect();
    let options = Options::parse(args, 5 + ids.len(), now)?;
    change_stream(cx, key, |stream| {
        let name = args.at(2);
        let exists: Vec<bool> = ids.iter().map(|id| stream.get(*id).is_some()).collect();
        let (claimed, is_changed) = stream
            .change_group(name, |group| {
                let is_ahead = options.last_id > group.last_id;
                group.last_id = group.last_id.max(options.last_id);
                let (consumer, is_new) = group.see(args.at(3), now);
                let (mut claimed, mut is_changed) = (Vec::new(), is_ahead || is_new);
                for (id, exists) in ids.iter().zip(exists) {
                    if !exists {
                        // It is nobody's any more.
                        is_changed |= group.acknowledge(*id);
                    } else if claim_one(group, *id, consumer, idle, &options, now) {
                        claimed.push(*id);
                    }
                }
                if !claimed.is_empty() {
                    group.note_active(consumer, now);
                    is_changed = true;
                }
                (claimed, is_changed)
            })
            .unwrap_or_default();
        reply_claimed(stream, &claimed, options.only_ids, reply);
        Ok(((), is_changed))
    })?;
    Ok(())
}

/// An entry that is there goes to a consumer, if it may; true if it does.
fn claim_one(
    group: &mut Group,
    id: StreamId,
    consumer: ConsumerId,
    min_idle: u64,
    options: &Options,
    now: u64,
) -> bool {
    let before = group.pending().get(id).copied();
    let times = match before {
        Some(pending) if !idle_enough(&pending, min_idle, now) => return false,
        Some(pending) => pending.times,
        None if options.force => 1,
        None => return false,
    };
    let more = u64::from(!options.only_ids);
    let times = options.times.unwrap_or(times.saturating_add(more));
    group.give(id, Pending { consumer, delivered: options.delivered, times });
    true
}

/// How many pending entries are looked at for each that may be claimed.
const LOOKS: usize = 10;
const COUNT_DEFAULT: usize = 100;
/// As many ids as Redis could keep in memory.
const COUNT_MAX: usize = i64::MAX as usize / 16;

fn claim_some(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, now) = (cx.key(args, 0), cx.clock.0);
    let min_idle = min_idle(args.at(4), "ERR Invalid min-idle-time argument for XAUTOCLAIM")?;
    let from = range_from(args.at(5))?;
    let (mut count, mut only_ids, mut n) = (COUNT_DEFAULT, false, 6);
    while n < args.len() {
        if args.is(n, "count") && n + 1 < args.len() {
            const WRONG: Failure = Failure::new("ERR COUNT must be > 0");
            let number = parse_integer(args.at(n + 1)).ok_or(WRONG)?;
            count = usize::try_from(number).ok().filter(|n| (1..=COUNT_MAX).contains(n)).ok_or(WRONG)?;
            n += 2;
        } else if args.is(n, "justid") {
            only_ids = true;
            n += 1;
        } else {
            return Err(Failure::SYNTAX);
        }
    }
    require_group(cx, args)?;
    change_stream(cx, key, |stream| {
        let name = args.at(2);
        let Some(group) = stream.group(name) else { return Ok(((), false)) };
        // What is looked at, and from where the next call goes on.
        let (mut taken, mut gone) = (Vec::new(), Vec::new());
        let mut looks = count.saturating_mul(LOOKS);
        let mut pending = group.pending().from(from);
        let next = loop {
            let Some((id, entry)) = pending.next() else { break StreamId::MIN };
            if looks == 0 || taken.len() + gone.len() == count {
                break id;
            }
            looks -= 1;
            if stream.get(id).is_none() {
                gone.push(id);
            } else if idle_enough(entry, min_idle, now) {
                taken.push((id, entry.times));
            }
        };
        let is_new = stream.change_group(name, |group| {
            let (consumer, is_new) = group.see(args.at(3), now);
            for id in &gone {
                group.acknowledge(*id);
            }
            for (id, times) in &taken {
                let times = times.saturating_add(u64::from(!only_ids));
                group.give(*id, Pending { consumer, delivered: now, times });
            }
            if !taken.is_empty() {
                group.note_active(consumer, now);
            }
            is_new
        });
        let claimed: Vec<StreamId> = taken.iter().map(|(id, _)| *id).collect();
        reply.array(3);
        reply_id(next, reply);
        reply_claimed(stream, &claimed, only_ids, reply);
        reply.array(gone.len());
        gone.iter().for_each(|id| reply_id(*id, reply));
        Ok(((), is_new == Some(true) || !taken.is_empty() || !gone.is_empty()))
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    #[test]
    fn pending_entries_change_hands() {
        let mut world = World::new(1);
        let client = world.connect(0);
        for (call, reply) in [
            ("XADD s 1-0 f a", "1-0"),
            ("XADD s 2-0 f b", "2-0"),
            ("XADD s 3-0 f c", "3-0"),
            ("XGROUP CREATE s g 0", "OK"),
            ("XREADGROUP GROUP g Alice STREAMS s >", "s\n1-0\nf\na\n2-0\nf\nb\n3-0\nf\nc"),
            ("XDEL s 2-0", "1"),
            ("XAUTOCLAIM s g Bob 0 - COUNT 1", "2-0\n1-0\nf\na\n"),
            ("XAUTOCLAIM s g Bob 100 - JUSTID", "0-0\n\n2-0"),
            ("XAUTOCLAIM s g Bob 0 (1-0 JUSTID", "0-0\n3-0\n"),
            ("XCLAIM s g Carol 100000 3-0", ""),
            ("XCLAIM s g Carol 0 3-0 9-0 RETRYCOUNT 5 JUSTID", "3-0"),
            ("XPENDING s g", "2\n1-0\n3-0\nBob\n1\nCarol\n1"),
            ("XPENDING s g - + 5 Carol", "3-0\nCarol\n0\n5"),
            ("XPENDING s g IDLE 1 - + 5", ""),
            ("XACK s g 1-0 3-0 4-0", "2"),
            ("XCLAIM s g Carol 0 1-0", ""),
            ("XCLAIM s g Carol 0 1-0 FORCE", "1-0\nf\na"),
            ("XCLAIM s g Carol 0 1-0 LASTID 9-0 NONSENSE", "ERR Unrecognized XCLAIM option 'NONSENSE'"),
            ("XCLAIM s g Carol x 1-0", "ERR Invalid min-idle-time argument for XCLAIM"),
            ("XCLAIM s g Carol 0 1-0 IDLE x", "ERR Invalid IDLE option argument for XCLAIM"),
            ("XCLAIM s h Carol 0 1-0", "NOGROUP No such key 's' or consumer group 'h'"),
            ("XAUTOCLAIM s g Carol 0 - COUNT 0", "ERR COUNT must be > 0"),
            ("XAUTOCLAIM s g Carol 0 - COUNT 8070450532247928833", "ERR COUNT must be > 0"),
            ("XGROUP DELCONSUMER s g Carol", "1"),
            ("XGROUP DELCONSUMER s g Carol", "0"),
            ("XPENDING s g", "0\n\n\n"),
        ] {
            assert_eq!(world.say(client, call), reply, "{call}");
        }
    }
}
