//! Streams: the words of commands that read them, and from where they read.
//!
//! It knows words. It does not know streams.

use super::parse::integer;
use super::stream::strict_id;
use crate::args::Args;
use crate::protocol::reply::Failure;
use crate::value::stream::StreamId;

/// Options and how many words each has with what belongs to it.
pub(super) const OPTIONS: &[(&str, u16)] =
    &[("block", 2), ("claim", 2), ("count", 2), ("group", 3), ("noack", 1)];
pub(super) const STREAMS: &str = "streams";

/// The words of XREAD and XREADGROUP.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading<'a> {
    /// Entries of each stream at the most.
    pub(super) count: usize,
    /// Milliseconds to wait, 0: for ever; `None`: it does not wait.
    pub(super) block: Option<u64>,
    /// Group and consumer.
    pub(super) group: Option<(&'a [u8], &'a [u8])>,
    /// Entries that have been pending for so many milliseconds come first, whose ever they are.
    pub(super) claim: Option<u64>,
    /// What is new counts as acknowledged.
    pub(super) no_ack: bool,
    /// How many streams are named; as many ids stand behind them.
    pub(super) streams: usize,
}

/// From where a stream is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
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
    pub(super) fn parse(args: Args<'a>, is_group: bool) -> Result<Reading<'a>, Failure> {
        let mut reading =
            Reading { count: usize::MAX, block: None, group: None, claim: None, no_ack: false, streams: 0 };
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
                if !behind.is_multiple_of(2) {
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
            } else if args.is(n, "claim") && behind >= 1 {
                if !is_group {
                    return Err(Failure::new(
                        "ERR The CLAIM option is only supported by XREADGROUP. You called XREAD instead.",
                    ));
                }
                reading.claim = Some(min_idle(args.at(n + 1))?);
                n += 2;
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

    /// True if nothing is asked for but what the group has not got.
    pub(super) fn is_of_news(&self, args: Args<'_>) -> bool {
        args.skip(args.len() - self.streams).iter().all(|word| word == b">")
    }

    /// From where the stream is read whose key stands at this place.
    pub(super) fn id(&self, args: Args<'_>, place: u32) -> From {
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

/// For how long an entry must have been pending, in whole milliseconds.
fn min_idle(word: &[u8]) -> Result<u64, Failure> {
    let millis = integer(word).map_err(|_| Failure::new("ERR min-idle-time is not an integer"))?;
    u64::try_from(millis).map_err(|_| Failure::new("ERR min-idle-time must be a positive integer"))
}
