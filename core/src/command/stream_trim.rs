//! Streams: how they are kept short, by XTRIM and with XADD.

use super::parse::integer;
use super::row::{Command, Example, Flags, Run, Touch};
use super::stream::{ROW, change_stream, references, strict_id};
use crate::args::Args;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::shard::Cx;
use crate::value::container::Held;
use crate::value::stream::{Bound, References, Stream, StreamId, Trim};

/// This family's rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "xtrim",
    arity: -4,
    flags: Flags::WRITE,
    touch: Touch::Delete,
    summary: "Deletes messages from the beginning of a stream.",
    complexity: "O(N), with N being the number of evicted entries. Constant times are very small however, since entries are organized \
                 in macro nodes containing multiple entries that can be released with a single deallocation.",
    syntax: "key strategy:<MAXLEN | MINID> [operator:<= | ~>] threshold [LIMIT count:integer] [KEEPREF | DELREF | ACKED]",
    examples: &[
        Example { call: "XADD mystream 1-1 field1 A", reply: "1-1" },
        Example { call: "XADD mystream 1-2 field1 B", reply: "1-2" },
        Example { call: "XTRIM mystream MAXLEN 1", reply: "1" },
        Example { call: "XRANGE mystream - +", reply: "1-2\nfield1\nB" },
    ],
    run: Run::Hop(trim),
    ..ROW
}];

/// What may stand before the id of XADD, or behind the key of XTRIM.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    /// How the stream is trimmed.
    pub(super) trim: Option<Trim>,
    /// Nothing is added where no stream is.
    pub(super) only_if_there: bool,
    /// The place of what follows.
    pub(super) rest: usize,
}

/// If nobody says how many entries may go, it is those of so many full pages.
const PAGES_AT_ONCE: u64 = 100;
const LIMIT_DEFAULT: u64 = 10_000;
const LIMIT_MAX: u64 = 1_000_000;

impl Options {
    /// Of XADD.
    pub(super) fn of_add(args: Args<'_>, page_entries: u64) -> Result<Options, Failure> {
        // Most have none.
        if args.at(2) == b"*" {
            return Ok(Options { trim: None, only_if_there: false, rest: 2 });
        }
        Options::parse(args, page_entries, true)
    }

    fn parse(args: Args<'_>, page_entries: u64, is_add: bool) -> Result<Options, Failure> {
        let (mut bound, mut limit, mut given, mut only_if_there) = (None, None, None, false);
        let mut is_coarse = false;
        let mut n = 2;
        while n < args.len() {
            let has_more = n + 1 < args.len();
            if is_add && args.at(n) == b"*" {
                break;
            } else if has_more && (args.is(n, "maxlen") || args.is(n, "minid")) {
                if bound.is_some() {
                    return Err(Failure::new(
                        "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
                    ));
                }
                let by_len = args.is(n, "maxlen");
                let is_operator = n + 2 < args.len() && matches!(args.at(n + 1), b"~" | b"=");
                is_coarse = is_operator && args.at(n + 1) == b"~";
                n += 1 + usize::from(is_operator);
                bound = Some(match by_len {
                    true => {
                        let len = u64::try_from(integer(args.at(n))?);
                        let wrong = Failure::new("ERR The MAXLEN argument must be >= 0.");
                        Bound::Len(len.map_err(|_| wrong)?)
                    }
                    false => Bound::Id(strict_id(args.at(n), 0)?),
                });
            } else if has_more && args.is(n, "limit") {
                n += 1;
                let number = u64::try_from(integer(args.at(n))?);
                limit = Some(number.map_err(|_| Failure::new("ERR The LIMIT argument must be >= 0."))?);
            } else if is_add && args.is(n, "nomkstream") {
                only_if_there = true;
            } else if let Some(word) = references(args, n).filter(|_| given.is_none()) {
                given = Some(word);
            } else if is_add {
                break;
            } else {
                return Err(Failure::SYNTAX);
            }
            n += 1;
        }
        if limit.is_some_and(|limit| limit > 0) && bound.is_none() {
            return Err(Failure::new(
                "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
            ));
        }
        if bound.is_none() && !is_add {
            return Err(Failure::new("ERR syntax error, XTRIM must be called with a trimming strategy"));
        }
        if limit.is_some() && !is_coarse {
            return Err(Failure::new("ERR syntax error, LIMIT cannot be used without the special ~ option"));
        }
        let usual = match page_entries.saturating_mul(PAGES_AT_ONCE) {
            0 => LIMIT_DEFAULT,
            entries => entries.min(LIMIT_MAX),
        };
        let limit = limit.unwrap_or(if is_coarse { usual } else { 0 });
        let references: References = given.unwrap_or_default();
        let trim = bound.map(|bound| Trim { bound, is_coarse, limit, references });
        Ok(Options { trim, only_if_there, rest: n })
    }
}

fn trim(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let options = Options::parse(args, cx.settings.stream_node_max_entries, false)?;
    let trimmed = change_stream(cx, cx.key(args, 0), |stream| {
        let trimmed = options.trim.map_or(0, |trim| stream.trim(trim));
        Ok((trimmed, trimmed > 0))
    })?;
    say_trimmed(cx, args, &options, None);
    reply.count(trimmed.unwrap_or(0) as usize);
    Ok(())
}

/// How far a coarse trim goes depends on how entries lie in memory: says what came of it. `added`: the entry that was added before, and the place
/// of its fields.
pub(super) fn say_trimmed(
    cx: &mut Cx<'_>,
    args: Args<'_>,
    options: &Options,
    added: Option<(StreamId, usize)>,
) {
    let Some(trim) = options.trim.filter(|trim| trim.is_coarse && cx.is_written_down()) else { return };
    let key = cx.key(args, 0);
    let stream = cx.peek(key).and_then(|record| Stream::within(record.container()?));
    let first = stream.and_then(Stream::first).map(|first| first.id.with_text(<[u8]>::to_vec));
    let references: &[u8] = match trim.references {
        References::Keep => b"keepref",
        References::Drop => b"delref",
        // What is left has holes.
        References::Acked => return cx.say_state(),
    };
    if let Some((id, fields)) = added {
        let id = id.with_text(<[u8]>::to_vec);
        let words: Vec<&[u8]> =
            [&b"xadd"[..], key.bytes, &id].into_iter().chain(args.skip(fields).iter()).collect();
        cx.say(key, &words);
    }
    match &first {
        Some(first) => cx.say(key, &[b"xtrim", key.bytes, b"minid", b"=", first, references]),
        None => cx.say(key, &[b"xtrim", key.bytes, b"maxlen", b"=", b"0", references]),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    #[test]
    fn streams_are_kept_short() {
        let mut world = World::new(1);
        let client = world.connect(0);
        world.call(client, "CONFIG SET stream-node-max-entries 3");
        for n in 1..=10 {
            world.call(client, &format!("XADD s {n} f v"));
        }
        for (call, reply) in [
            ("XTRIM s MAXLEN ~ 8", "0"),
            ("XTRIM s MAXLEN ~ 6 LIMIT 2", "0"),
            ("XTRIM s MAXLEN ~ 6", "3"),
            ("XTRIM s MINID ~ 6", "0"),
            ("XTRIM s MINID 6", "2"),
            ("XTRIM s MINID = 6-1", "1"),
            ("XTRIM s MAXLEN = 2", "2"),
            ("XADD s MAXLEN 1 11 f v", "11-0"),
            ("XADD s MINID 12 12 f v", "12-0"),
            ("XADD s MAXLEN 0 13 f v", "13-0"),
            ("XLEN s", "0"),
            ("XTRIM s MAXLEN", "ERR wrong number of arguments for 'xtrim' command"),
            ("XTRIM s LEN 5", "ERR syntax error"),
            ("XTRIM s MAXLEN -1", "ERR The MAXLEN argument must be >= 0."),
            ("XTRIM s MAXLEN x", "ERR value is not an integer or out of range"),
            ("XTRIM s MAXLEN ~ 1 LIMIT -1", "ERR The LIMIT argument must be >= 0."),
            (
                "XTRIM s MAXLEN 1 LIMIT 1",
                "ERR syntax error, LIMIT cannot be used without the special ~ option",
            ),
            (
                "XADD s LIMIT 1 * f v",
                "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
            ),
            ("XTRIM s LIMIT 0 KEEPREF", "ERR syntax error, XTRIM must be called with a trimming strategy"),
            (
                "XTRIM s MAXLEN 1 MINID 1",
                "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
            ),
            ("XTRIM s MAXLEN 1 KEEPREF ACKED", "ERR syntax error"),
            ("XTRIM nosuch MAXLEN 1", "0"),
        ] {
            assert_eq!(world.say(client, call), reply, "{call}");
        }
    }
}
