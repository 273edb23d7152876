//! The meta protocol: commands of two letters whose flags say what is to be done and what is to be answered
//! (<https://github.com/memcached/memcached/blob/1.6.18/doc/protocol.txt>, "Meta Commands").
//!
//! It knows flags. It does not know how lines are found among the bytes.

use super::base64;
use super::counters::Counter;
use super::item::{self, Delta, Expiry, Mode, Store, Stored};
use super::number;
use super::text::{push_number, push_value};
use crate::args::Args;
use crate::database::Key;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::shard::{Cx, Deadline};
use crate::time::UnixMillis;
use crate::value::access::{AccessRule, idle_seconds};
use crate::value::note::Note;
use crate::value::record::{Record, Value};

/// Words that a line may have.
pub(super) const WORDS_MAX: usize = 19;
/// The longest opaque token, its letter included.
const OPAQUE_MAX: usize = 32;
/// A key is no Base64.
pub(super) const NOT_ENCODED: &str = "CLIENT_ERROR error decoding key";
const BAD_TOKEN: &str = "CLIENT_ERROR bad token in command line format";

/// The flags of a request, as far as they say what is to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct MetaFlags {
    /// `b`: the key is written in Base64.
    pub(super) encoded: bool,
    /// `v`: the value is wanted.
    value: bool,
    /// `u`: this is no use.
    unused: bool,
    /// `q`: what went as usual is not answered.
    quiet: bool,
    /// `I`: mark as out of date, or allow that it is.
    stale: bool,
    /// `N`: make the item if it is not there; seconds.
    vivify: Option<i32>,
    /// `T`: its end; seconds.
    ttl: Option<i32>,
    /// `R`: somebody is to renew it if it ends within so many seconds.
    recache: Option<i32>,
    /// `C`: the state that it must be in.
    compare: Option<u64>,
    /// `E`: the stamp of its new state.
    stamp: Option<u64>,
    /// `F`.
    pub(super) client_flags: u32,
    /// `M`.
    pub(super) mode: Option<u8>,
    /// `J`: the number that it begins with.
    initial: u64,
    /// `D`: how much is added.
    delta: Option<u64>,
    /// `O` is too long.
    pub(super) opaque_too_long: bool,
}

impl MetaFlags {
    /// Reads the words behind the key, or behind the length of a value.
    pub(super) fn parse(words: Args<'_>) -> Result<MetaFlags, &'static str> {
        let mut flags = MetaFlags::default();
        let mut seen = 0u128;
        let mut error = None;
        for word in words.iter() {
            let Some((&letter, rest)) = word.split_first() else { continue };
            if letter >= 127 || seen & 1 << letter != 0 {
                return Err("CLIENT_ERROR duplicate flag");
            }
            seen |= 1 << letter;
            let mut note = |wrong: bool, text| error = error.or(wrong.then_some(text));
            match letter {
                b'b' => flags.encoded = true,
                b'v' => flags.value = true,
                b'u' => flags.unused = true,
                b'q' => flags.quiet = true,
                b'I' => flags.stale = true,
                b'k' | b's' | b't' | b'c' | b'f' | b'h' | b'l' | b'P' | b'L' => {}
                b'O' => flags.opaque_too_long = word.len() > OPAQUE_MAX,
                b'N' | b'T' | b'R' => {
                    let seconds = number::signed_32(rest);
                    note(seconds.is_none(), BAD_TOKEN);
                    match letter {
                        b'N' => flags.vivify = seconds,
                        b'T' => flags.ttl = seconds,
                        _ => flags.recache = seconds,
                    }
                }
                b'F' => {
                    let number = number::unsigned_32(rest);
                    note(number.is_none(), "CLIENT_ERROR bad command line format");
                    flags.client_flags = number.unwrap_or(0);
                }
                b'C' | b'E' => {
                    let number = number::unsigned(rest);
                    note(number.is_none(), BAD_TOKEN);
                    match letter {
                        b'C' => flags.compare = number,
                        _ => flags.stamp = number.filter(|stamp| *stamp != 0),
                    }
                }
                b'M' => {
                    note(rest.len() != 1, "CLIENT_ERROR incorrect length for M token");
                    flags.mode = rest.first().copied();
                }
                b'J' => {
                    let number = number::unsigned(rest);
                    note(number.is_none(), "CLIENT_ERROR invalid numeric initial value");
                    flags.initial = number.unwrap_or(0);
                }
                b'D' => {
                    let number = number::unsigned(rest);
                    note(number.is_none(), "CLIENT_ERROR invalid numeric delta value");
                    flags.delta = number;
                }
                _ => return Err("CLIENT_ERROR invalid flag"),
            }
        }
        error.map_or(Ok(flags), Err)
    }
}

/// True if a word is a key in Base64.
pub(super) fn decodes(word: &[u8]) -> bool {
    base64::decode(word).is_some()
}

/// The key that a word is in Base64.
pub(super) fn decoded(word: &[u8]) -> Vec<u8> {
    base64::decode(word).unwrap_or_default()
}

/// How a value is to be stored; `None` if the mode is none.
pub(super) fn store_mode(flags: &MetaFlags) -> Option<Mode> {
    let mode = match flags.mode {
        None | Some(b'S' | b's') => Mode::Set,
        Some(b'E' | b'e') => Mode::Add,
        Some(b'A' | b'a') => Mode::Append,
        Some(b'P' | b'p') => Mode::Prepend,
        Some(b'R' | b'r') => Mode::Replace,
        Some(_) => return None,
    };
    let compares = flags.compare.is_some() && matches!(mode, Mode::Set | Mode::Replace);
    Some(if compares { Mode::Cas } else { mode })
}

/// The flags were understood before the request came here.
fn flags(words: Args<'_>) -> MetaFlags {
    MetaFlags::parse(words).unwrap_or_default()
}

/// What every answer may repeat: the opaque token and the key.
fn push_repeated(tail: &mut Vec<u8>, word: &[u8], key: &[u8], encoded: bool) {
    match word.first() {
        Some(b'O') => {
            tail.push(b' ');
            tail.extend_from_slice(word);
        }
        Some(b'k') => {
            tail.extend_from_slice(b" k");
            push_key(tail, key, encoded);
            if encoded {
                tail.extend_from_slice(b" b");
            }
        }
        _ => {}
    }
}

fn push_key(tail: &mut Vec<u8>, key: &[u8], encoded: bool) {
    match encoded {
        true => base64::encode(key, tail),
        false => tail.extend_from_slice(key),
    }
}

fn push_flag(tail: &mut Vec<u8>, flag: u8, number: u64) {
    tail.extend_from_slice(&[b' ', flag]);
    push_number(tail, number);
}

fn push_ttl(tail: &mut Vec<u8>, deadline: Option<UnixMillis>, now: UnixMillis) {
    match deadline {
        None => tail.extend_from_slice(b" t-1"),
        Some(at) => push_flag(tail, b't', at.0.saturating_sub(now.0).div_ceil(1_000)),
    }
}

fn deadline_of(expiry: Expiry) -> Option<UnixMillis> {
    match expiry {
        Expiry::Never => None,
        Expiry::At(at) => Some(at),
        Expiry::Past => Some(UnixMillis(0)),
    }
}

/// What is known of an item before it is answered.
struct Known {
    note: Note,
    len: u64,
    deadline: Option<UnixMillis>,
    is_fetched: bool,
    idle: u64,
}

fn know(cx: &mut Cx<'_>, key: Key<'_>) -> Result<Option<Known>, Failure> {
    let (access, now) = (cx.access, cx.now);
    let Some(record) = cx.peek(key) else { return Ok(None) };
    let Some(view) = record.string() else { return Err(Failure::WRONG_TYPE) };
    let idle = match access {
        AccessRule::Frequency { .. } => 0,
        _ => idle_seconds(record.access(), now.0 / 1_000),
    };
    Ok(Some(Known {
        note: record.note(),
        len: view.len() as u64,
        deadline: record.deadline(),
        is_fetched: record.is_fetched(),
        idle,
    }))
}

/// `mg <key> <flag>*`
pub(super) fn get(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let words = args.skip(2);
    let (flags, key, now) = (flags(words), cx.key(args, 0), cx.now);
    item::note_fetch(cx, key);
    let mut known = know(cx, key)?;
    let mut created = false;
    if let (None, Some(seconds)) = (&known, flags.vivify) {
        let deadline = match Expiry::new(seconds.into(), now) {
            Expiry::Never => Deadline::Clear,
            Expiry::At(at) => Deadline::At(at),
            Expiry::Past => Deadline::At(UnixMillis(now.0 + 1)),
        };
        cx.store_noted(cx.database, key, Value::Bytes(b""), deadline, Some(Note::default()));
        created = true;
        known = know(cx, key)?;
    }
    count_get(cx, key, known.is_some(), flags.ttl.is_some());
    let Some(known) = known else {
        if !flags.quiet {
            let tail = reply.tail();
            tail.extend_from_slice(b"EN");
            words.iter().for_each(|word| push_repeated(tail, word, key.bytes, flags.encoded));
            tail.extend_from_slice(b"\r\n");
        }
        return Ok(());
    };
    let wants_stamp = words.iter().any(|word| word == b"c");
    let stamp = if wants_stamp { item::stamp(cx, key) } else { 0 };
    let mut deadline = known.deadline;
    let mut won = created;
    let tail = reply.tail();
    if flags.value {
        tail.extend_from_slice(b"VA ");
        push_number(tail, known.len);
    } else {
        tail.extend_from_slice(b"HD");
    }
    for word in words.iter() {
        match word.first() {
            Some(b'T') => {
                deadline = deadline_of(Expiry::new(flags.ttl.unwrap_or(0).into(), now));
            }
            Some(b'R') => {
                let soon = deadline_of(Expiry::new(flags.recache.unwrap_or(0).into(), now));
                let ends_soon = deadline.is_some_and(|at| soon.is_some_and(|soon| at < soon));
                won |= !known.note.promised && !created && ends_soon;
            }
            Some(b's') => push_flag(tail, b's', known.len),
            Some(b't') => push_ttl(tail, deadline, now),
            Some(b'c') => push_flag(tail, b'c', stamp),
            Some(b'f') => push_flag(tail, b'f', known.note.flags.into()),
            Some(b'l') => push_flag(tail, b'l', known.idle),
            Some(b'h') => push_flag(tail, b'h', u64::from(known.is_fetched)),
            _ => push_repeated(tail, word, key.bytes, flags.encoded),
        }
    }
    if known.note.promised {
        tail.extend_from_slice(b" Z");
    }
    if known.note.stale {
        tail.extend_from_slice(b" X");
        won |= !known.note.promised;
    }
    if won {
        tail.extend_from_slice(b" W");
    }
    tail.extend_from_slice(b"\r\n");
    if flags.value {
        if let Some(view) = cx.peek(key).and_then(Record::string) {
            push_value(reply, view);
        }
        reply.raw(b"\r\n");
    }
    if !flags.unused {
        let access = cx.access;
        cx.db().change(key, |record| {
            record.set_access(access.used(record.access()));
            record.set_fetched(true);
        });
    }
    if won {
        let note = cx.peek(key).map_or(known.note, Record::note);
        item::set_note(cx, key, Note { promised: true, ..note });
    }
    if let Some(seconds) = flags.ttl {
        item::touch(cx, key, Expiry::new(seconds.into(), now));
    }
    Ok(())
}

fn count_get(cx: &mut Cx<'_>, key: Key<'_>, found: bool, touched: bool) {
    let counters = &mut cx.shard.counters;
    *(if found { &mut counters.hits } else { &mut counters.misses }) += 1;
    let ledger = &mut cx.shard.ledger;
    ledger.detail(key.bytes, [0].into_iter().chain(found.then_some(1)));
    if touched {
        ledger.count(Counter::Touches);
        ledger.count(if found { Counter::TouchHits } else { Counter::TouchMisses });
    } else {
        ledger.count(Counter::Gets);
        ledger.count(if found { Counter::GetHits } else { Counter::GetMisses });
    }
}

/// `ms <key> <bytes> <flag>*`, the value.
pub(super) fn store(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let words = args.first(args.len() - 1).skip(3);
    let (flags, key) = (flags(words), cx.key(args, 0));
    let mode = store_mode(&flags).unwrap_or(Mode::Set);
    let store = Store {
        mode,
        value: Value::of_argument(args, args.len() - 1),
        flags: flags.client_flags,
        expiry: Expiry::new(flags.ttl.unwrap_or(0).into(), cx.now),
        compare: flags.compare.unwrap_or(0),
        may_be_stale: flags.stale,
        stamp: flags.stamp,
    };
    let stored = item::store(cx, key, store)?;
    if stored == Stored::Yes && flags.quiet {
        return Ok(());
    }
    let wants_stamp = stored == Stored::Yes && words.iter().any(|word| word == b"c");
    let stamp = if wants_stamp { item::stamp(cx, key) } else { 0 };
    let tail = reply.tail();
    tail.extend_from_slice(match stored {
        Stored::Yes => b"HD",
        Stored::No => b"NS",
        Stored::Exists => b"EX",
        Stored::NotFound => b"NF",
    });
    for word in words.iter() {
        match word {
            b"c" => push_flag(tail, b'c', stamp),
            word => push_repeated(tail, word, key.bytes, flags.encoded),
        }
    }
    tail.extend_from_slice(b"\r\n");
    Ok(())
}

/// `md <key> <flag>*`
pub(super) fn delete(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let words = args.skip(2);
    let (flags, key) = (flags(words), cx.key(args, 0));
    let compare = flags.compare.unwrap_or(0);
    let deleted = match flags.stale {
        false => item::delete(cx, key, compare),
        true if cx.peek(key).is_none() => {
            cx.shard.ledger.count(Counter::DeleteMisses);
            Stored::NotFound
        }
        true if !item::is_in_state(cx, key, compare) => Stored::Exists,
        true => {
            let expiry = flags.ttl.map(|seconds| Expiry::new(seconds.into(), cx.now));
            item::mark_stale(cx, key, expiry, flags.stamp);
            Stored::Yes
        }
    };
    let word = match deleted {
        Stored::Yes if flags.quiet => return Ok(()),
        Stored::Yes => b"HD",
        Stored::Exists => b"EX",
        Stored::No | Stored::NotFound => b"NF",
    };
    let tail = reply.tail();
    tail.extend_from_slice(word);
    words.iter().for_each(|word| push_repeated(tail, word, key.bytes, flags.encoded));
    tail.extend_from_slice(b"\r\n");
    Ok(())
}

/// `ma <key> <flag>*`
pub(super) fn arithmetic(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let words = args.skip(2);
    let (flags, key, now) = (flags(words), cx.key(args, 0), cx.now);
    let adds = !matches!(flags.mode, Some(b'D' | b'd' | b'-'));
    let by = flags.delta.unwrap_or(1);
    let mut created = false;
    let mut done = item::delta(cx, key, adds, by, flags.compare.unwrap_or(0))?;
    if let (Delta::Absent, Some(seconds)) = (done, flags.vivify) {
        let mut digits = itoa::Buffer::new();
        let store = Store {
            mode: Mode::Add,
            value: Value::of(digits.format(flags.initial).as_bytes()),
            flags: 0,
            expiry: Expiry::new(seconds.into(), now),
            compare: 0,
            may_be_stale: false,
            stamp: None,
        };
        item::store(cx, key, store)?;
        created = true;
        done = Delta::Done(flags.initial);
    }
    let number = match done {
        Delta::Done(_) if flags.quiet && !created => {
            finish(cx, key, &flags);
            return Ok(());
        }
        Delta::Done(number) => number,
        Delta::NotNumeric => {
            reply.raw(b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n");
            return Ok(());
        }
        Delta::Absent | Delta::Exists => {
            let tail = reply.tail();
            tail.extend_from_slice(if done == Delta::Absent { b"NF" } else { b"EX" });
            words.iter().for_each(|word| push_repeated(tail, word, key.bytes, flags.encoded));
            tail.extend_from_slice(b"\r\n");
            return Ok(());
        }
    };
    let mut deadline = cx.peek(key).and_then(Record::deadline);
    // An item that this ends is answered as it was.
    let wants_stamp = words.iter().any(|word| word == b"c");
    if let Some(stamp) = flags.stamp {
        let note = cx.peek(key).map(Record::note).unwrap_or_default();
        item::set_note(cx, key, Note { stamp: Some(stamp), ..note });
    }
    let stamp = if wants_stamp { item::stamp(cx, key) } else { 0 };
    let mut digits = itoa::Buffer::new();
    let text = digits.format(number).as_bytes();
    let tail = reply.tail();
    if flags.value {
        tail.extend_from_slice(b"VA ");
        push_number(tail, text.len() as u64);
    } else {
        tail.extend_from_slice(b"HD");
    }
    for word in words.iter() {
        match word.first() {
            Some(b'c') => push_flag(tail, b'c', stamp),
            Some(b't') => push_ttl(tail, deadline, now),
            Some(b'T') => deadline = deadline_of(Expiry::new(flags.ttl.unwrap_or(0).into(), now)),
            _ => push_repeated(tail, word, key.bytes, flags.encoded),
        }
    }
    tail.extend_from_slice(b"\r\n");
    if flags.value {
        tail.extend_from_slice(text);
        tail.extend_from_slice(b"\r\n");
    }
    finish(cx, key, &MetaFlags { stamp: None, ..flags });
    Ok(())
}

/// What an addition does besides adding.
fn finish(cx: &mut Cx<'_>, key: Key<'_>, flags: &MetaFlags) {
    if let Some(stamp) = flags.stamp {
        let note = cx.peek(key).map(Record::note).unwrap_or_default();
        item::set_note(cx, key, Note { stamp: Some(stamp), ..note });
    }
    if let Some(seconds) = flags.ttl {
        item::touch(cx, key, Expiry::new(seconds.into(), cx.now));
    }
}

/// `me <key> [b]`
pub(super) fn debug(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, encoded, now) = (cx.key(args, 0), args.get(2) == Some(b"b"), cx.now);
    cx.shard.ledger.count(Counter::Metas);
    let Some(known) = know(cx, key)? else {
        reply.raw(b"EN\r\n");
        return Ok(());
    };
    let stamp = item::stamp(cx, key);
    let size = cx.peek(key).map_or(0, Record::owned_bytes);
    let ends = known.deadline.map_or(-1, |at| at.0.saturating_sub(now.0).div_ceil(1_000) as i64);
    let fetched = if known.is_fetched { "yes" } else { "no" };
    let tail = reply.tail();
    tail.extend_from_slice(b"ME ");
    push_key(tail, key.bytes, encoded);
    let rest = format!(" exp={ends} la={} cas={stamp} fetch={fetched} cls=1 size={size}\r\n", known.idle);
    tail.extend_from_slice(rest.as_bytes());
    Ok(())
}
