//! The classic text protocol: what each command does with its words and what it answers
//! (<https://github.com/memcached/memcached/blob/1.6.18/doc/protocol.txt>).
//!
//! The words are the request's own, the command first; a value stands behind them. They were checked before ([`super::lines`]). It does not
//! know how they were found among the bytes.

use super::counters::Counter;
use super::item::{self, Delta, Expiry, Mode, Store, Stored};
use super::{number, watch};
use crate::args::Args;
use crate::database::Key;
use crate::protocol::chunks::Chunks;
use crate::protocol::number::push_integer;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::shard::Cx;
use crate::value::record::{Record, Value, View};

/// The word that says that no answer is wanted.
const QUIET: &[u8] = b"noreply";

/// True if the last of these words says so.
pub(super) fn is_quiet(words: Args<'_>) -> bool {
    words.len() > 1 && words.at(words.len() - 1) == QUIET
}

/// How failures are told: a line, whether an answer is wanted or not, as memcached does where it cannot know.
pub(super) fn tell(_: Args<'_>, failure: &Failure, reply: &mut Reply<'_>) {
    let text: &str = match *failure == Failure::OUT_OF_MEMORY {
        true => "out of memory storing object",
        false => &failure.0,
    };
    let tail = reply.tail();
    tail.extend_from_slice(b"SERVER_ERROR ");
    tail.extend(text.bytes().map(|byte| if byte == b'\r' || byte == b'\n' { b' ' } else { byte }));
    tail.extend_from_slice(b"\r\n");
}

/// A line, unless none is wanted.
fn say(reply: &mut Reply<'_>, quiet: bool, line: &str) {
    if !quiet {
        let tail = reply.tail();
        tail.extend_from_slice(line.as_bytes());
        tail.extend_from_slice(b"\r\n");
    }
}

/// Appends a number.
#[inline]
pub(super) fn push_number(tail: &mut Vec<u8>, number: u64) {
    match i64::try_from(number) {
        Ok(number) => push_integer(tail, number),
        Err(_) => tail.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
    }
}

/// The value of an item as bytes, shared if it is large.
#[inline]
pub(super) fn push_value(reply: &mut Reply<'_>, view: View<'_>) {
    match view {
        View::Large(value) => reply.raw_shared(value),
        view => view.with(|bytes| reply.tail().extend_from_slice(bytes)),
    }
}

/// `VALUE`, key, flags, length, perhaps the stamp; the value on lines of its own.
#[inline]
fn push_item(reply: &mut Reply<'_>, key: &[u8], record: &Record, stamp: Option<u64>) {
    let Some(view) = record.string() else { return };
    let tail = reply.tail();
    tail.reserve(64 + key.len());
    tail.extend_from_slice(b"VALUE ");
    tail.extend_from_slice(key);
    tail.push(b' ');
    push_number(tail, record.note().flags.into());
    tail.push(b' ');
    push_number(tail, view.len() as u64);
    if let Some(stamp) = stamp {
        tail.push(b' ');
        push_number(tail, stamp);
    }
    tail.extend_from_slice(b"\r\n");
    push_value(reply, view);
    reply.tail().extend_from_slice(b"\r\n");
}

/// The line behind all items.
pub(super) const END: &[u8] = b"END\r\n";
/// How a line begins that stands for all items.
pub(super) const TROUBLE: &[u8] = b"SERVER_ERROR ";

/// Makes one answer of what several shards found; if one of them has trouble, that is the answer.
pub(crate) fn join_items(items: impl Iterator<Item = Chunks>, reply: &mut Chunks) {
    let mut trouble = None;
    for item in items {
        match item.as_single().is_some_and(|bytes| bytes.starts_with(TROUBLE)) {
            true => trouble = Some(item),
            false if trouble.is_none() => reply.append(item),
            false => {}
        }
    }
    match trouble {
        Some(line) => *reply = line,
        None => reply.tail().extend_from_slice(END),
    }
}

/// What is done with each key before it is answered.
#[derive(Clone, Copy)]
pub(super) struct Get {
    /// Its stamp is wanted.
    pub(super) stamped: bool,
    /// The first word gives it another end.
    pub(super) touches: bool,
}

/// `get <key>*`, `gat <exptime> <key>*`, and with stamps.
pub(super) fn get(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>, get: Get) -> Outcome {
    let expiry = match get.touches {
        true => Some(Expiry::new(i64::from(number::signed_32(args.at(1)).unwrap_or(0)), cx.now)),
        false => None,
    };
    for n in 0..cx.keys.len() {
        let outcome = get_one(cx, cx.key(args, n), reply, get.stamped, expiry);
        match outcome {
            Ok(()) => {}
            // What was answered of the others is for whoever puts this together to drop.
            Err(failure) if reply.is_of_elements() => tell(args, &failure, reply),
            Err(failure) => return Err(failure),
        }
        reply.element();
    }
    if !reply.is_of_elements() {
        reply.raw(END);
    }
    Ok(())
}

#[inline]
fn get_one(
    cx: &mut Cx<'_>,
    key: Key<'_>,
    reply: &mut Reply<'_>,
    stamped: bool,
    expiry: Option<Expiry>,
) -> Outcome {
    item::note_fetch(cx, key);
    let stamp = stamped.then(|| item::stamp(cx, key));
    let found = match item::read(cx, key)? {
        Some(record) => {
            push_item(reply, key.bytes, record, stamp);
            true
        }
        None => false,
    };
    let ledger = &mut cx.shard.ledger;
    ledger.detail(key.bytes, [0].into_iter().chain(found.then_some(1)));
    match expiry {
        None => {
            ledger.count(Counter::Gets);
            ledger.count(if found { Counter::GetHits } else { Counter::GetMisses });
        }
        Some(expiry) => {
            ledger.count(Counter::Touches);
            ledger.count(if found { Counter::TouchHits } else { Counter::TouchMisses });
            if found {
                item::touch(cx, key, expiry);
            }
        }
    }
    Ok(())
}

/// `set <key> <flags> <exptime> <bytes> [noreply]` and its kin; `cas` has the stamp behind the bytes.
pub(super) fn store(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>, mode: Mode) -> Outcome {
    let words = args.first(args.len() - 1);
    let expiry = i64::from(number::signed_32(args.at(3)).unwrap_or(0));
    let store = Store {
        mode,
        value: Value::of_argument(args, args.len() - 1),
        flags: number::unsigned_32(args.at(2)).unwrap_or(0),
        expiry: Expiry::new(expiry, cx.now),
        compare: if mode == Mode::Cas { number::unsigned(args.at(5)).unwrap_or(0) } else { 0 },
        may_be_stale: false,
        stamp: None,
    };
    let line = match item::store(cx, cx.key(args, 0), store)? {
        Stored::Yes => "STORED",
        Stored::No => "NOT_STORED",
        Stored::Exists => "EXISTS",
        Stored::NotFound => "NOT_FOUND",
    };
    say(reply, is_quiet(words), line);
    Ok(())
}

/// The value of an item was too large: what it was to replace must not be taken for it.
pub(super) fn forget(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    cx.shard.ledger.count(Counter::TooLarge);
    watch::refused(cx, cx.key(args, 0).bytes);
    cx.remove(cx.key(args, 0));
    say(reply, is_quiet(args), "SERVER_ERROR object too large for cache");
    Ok(())
}

/// `incr <key> <value> [noreply]`, `decr`.
pub(super) fn delta(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>, adds: bool) -> Outcome {
    let by = number::unsigned(args.at(2)).unwrap_or(0);
    let quiet = is_quiet(args);
    match item::delta(cx, cx.key(args, 0), adds, by, 0)? {
        Delta::Done(number) if !quiet => {
            push_number(reply.tail(), number);
            reply.raw(b"\r\n");
        }
        Delta::Done(_) | Delta::Exists => {}
        Delta::NotNumeric => {
            say(reply, quiet, "CLIENT_ERROR cannot increment or decrement non-numeric value");
        }
        Delta::Absent => say(reply, quiet, "NOT_FOUND"),
    }
    Ok(())
}

/// `touch <key> <exptime> [noreply]`.
pub(super) fn touch(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let expiry = Expiry::new(i64::from(number::signed_32(args.at(2)).unwrap_or(0)), cx.now);
    item::note_fetch(cx, cx.key(args, 0));
    let touched = item::touch(cx, cx.key(args, 0), expiry);
    let ledger = &mut cx.shard.ledger;
    ledger.count(Counter::Touches);
    ledger.count(if touched { Counter::TouchHits } else { Counter::TouchMisses });
    say(reply, is_quiet(args), if touched { "TOUCHED" } else { "NOT_FOUND" });
    Ok(())
}

/// `delete <key> [0] [noreply]`.
pub(super) fn delete(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let deleted = item::delete(cx, cx.key(args, 0), 0);
    say(reply, is_quiet(args), if deleted == Stored::Yes { "DELETED" } else { "NOT_FOUND" });
    Ok(())
}
