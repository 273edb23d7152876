//! The binary protocol, as old clients and those without SASL use it
//! (<https://github.com/memcached/memcached/wiki/BinaryProtocolRevamped>).
//!
//! A request is a header of 24 bytes, extras, a key and a value; so are the arguments of its row. It does not know how bytes come.

use super::counters::Counter;
use super::item::{self, Delta, Expiry, KEY_MAX, Mode, Store, Stored};
use super::lines::Limits;
use super::rows;
use super::text::push_value;
use crate::args::Args;
use crate::command::table::CommandId;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::shard::Cx;
use crate::value::record::{Record, Value};

/// Bytes of a header.
pub(super) const HEADER: usize = 24;
/// The first byte of a request.
pub(super) const REQUEST: u8 = 0x80;
const RESPONSE: u8 = 0x81;

const NOT_FOUND: u16 = 1;
const EXISTS: u16 = 2;
const TOO_LARGE: u16 = 3;
const INVALID: u16 = 4;
const NOT_STORED: u16 = 5;
const NOT_NUMERIC: u16 = 6;
const AUTH_ERROR: u16 = 0x20;
const UNKNOWN: u16 = 0x81;
const NO_MEMORY: u16 = 0x82;
const INTERNAL: u16 = 0x84;

/// What is asked, whether it is to be answered only if it matters aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    Get { keyed: bool },
    Touch,
    GetAndTouch { keyed: bool },
    Store(Mode),
    Delete,
    Delta { adds: bool },
    Flush,
    Noop,
    Version,
    Stat,
    Quit,
    SaslList,
    Sasl,
}

/// The header of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) magic: u8,
    opcode: u8,
    /// Bytes of the key.
    pub(super) key: u16,
    /// Bytes of the extras.
    pub(super) extras: u8,
    /// Bytes of extras, key and value.
    body: u32,
    /// Comes back.
    opaque: [u8; 4],
    /// The state that the item must be in; 0: any.
    cas: u64,
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn be64(bytes: &[u8], at: usize) -> u64 {
    u64::from(be32(bytes, at)) << 32 | u64::from(be32(bytes, at + 4))
}

impl Header {
    /// The header at the beginning, if all of it is here.
    pub(super) fn read(bytes: &[u8]) -> Option<Header> {
        if bytes.len() < HEADER {
            return None;
        }
        Some(Header {
            magic: bytes[0],
            opcode: bytes[1],
            key: be16(bytes, 2),
            extras: bytes[4],
            body: be32(bytes, 8),
            opaque: [bytes[12], bytes[13], bytes[14], bytes[15]],
            cas: be64(bytes, 16),
        })
    }

    /// Of a request that was understood.
    fn of(args: Args<'_>) -> Header {
        Header::read(args.at(0)).expect("a request that was understood begins with its header")
    }

    /// What it asks, and whether what is usual is not answered.
    fn ask(&self) -> Option<(Ask, bool)> {
        let loud = |ask| Some((ask, false));
        let quiet = |ask| Some((ask, true));
        match self.opcode {
            0x00 => loud(Ask::Get { keyed: false }),
            0x01 => loud(Ask::Store(Mode::Set)),
            0x02 => loud(Ask::Store(Mode::Add)),
            0x03 => loud(Ask::Store(Mode::Replace)),
            0x04 => loud(Ask::Delete),
            0x05 => loud(Ask::Delta { adds: true }),
            0x06 => loud(Ask::Delta { adds: false }),
            0x07 => loud(Ask::Quit),
            0x08 => loud(Ask::Flush),
            0x09 => quiet(Ask::Get { keyed: false }),
            0x0a => loud(Ask::Noop),
            0x0b => loud(Ask::Version),
            0x0c => loud(Ask::Get { keyed: true }),
            0x0d => quiet(Ask::Get { keyed: true }),
            0x0e => loud(Ask::Store(Mode::Append)),
            0x0f => loud(Ask::Store(Mode::Prepend)),
            0x10 => loud(Ask::Stat),
            0x11 => quiet(Ask::Store(Mode::Set)),
            0x12 => quiet(Ask::Store(Mode::Add)),
            0x13 => quiet(Ask::Store(Mode::Replace)),
            0x14 => quiet(Ask::Delete),
            0x15 => quiet(Ask::Delta { adds: true }),
            0x16 => quiet(Ask::Delta { adds: false }),
            0x17 => quiet(Ask::Quit),
            0x18 => quiet(Ask::Flush),
            0x19 => quiet(Ask::Store(Mode::Append)),
            0x1a => quiet(Ask::Store(Mode::Prepend)),
            0x1c => loud(Ask::Touch),
            0x1d => loud(Ask::GetAndTouch { keyed: false }),
            0x1e => quiet(Ask::GetAndTouch { keyed: false }),
            0x20 => loud(Ask::SaslList),
            0x21 | 0x22 => loud(Ask::Sasl),
            0x23 => loud(Ask::GetAndTouch { keyed: true }),
            0x24 => quiet(Ask::GetAndTouch { keyed: true }),
            _ => None,
        }
    }

    /// Appends an answer, whose body follows.
    fn answer(&self, tail: &mut Vec<u8>, status: u16, extras: u8, key: u16, body: u32, cas: u64) {
        tail.extend_from_slice(&[RESPONSE, self.opcode]);
        tail.extend_from_slice(&key.to_be_bytes());
        tail.extend_from_slice(&[extras, 0]);
        tail.extend_from_slice(&status.to_be_bytes());
        tail.extend_from_slice(&body.to_be_bytes());
        tail.extend_from_slice(&self.opaque);
        tail.extend_from_slice(&cas.to_be_bytes());
    }

    fn error(&self, tail: &mut Vec<u8>, status: u16) {
        self.error_text(tail, status, text_of(status));
    }

    fn error_text(&self, tail: &mut Vec<u8>, status: u16, text: &str) {
        self.answer(tail, status, 0, 0, text.len() as u32, 0);
        tail.extend_from_slice(text.as_bytes());
    }
}

fn text_of(status: u16) -> &'static str {
    match status {
        NOT_FOUND => "Not found",
        EXISTS => "Data exists for key.",
        TOO_LARGE => "Too large.",
        INVALID => "Invalid arguments",
        NOT_STORED => "Not stored.",
        NOT_NUMERIC => "Non-numeric server-side value for incr or decr",
        AUTH_ERROR => "Auth failure.",
        UNKNOWN => "Unknown command",
        NO_MEMORY => "Out of memory",
        _ => "Internal error",
    }
}

/// What a request means.
pub(super) enum Frame {
    /// This row; a value of so many bytes follows, if one does.
    Run { command: CommandId, value: Option<u64> },
    /// This row; the value is not looked at.
    RunAndSkip { command: CommandId, len: u64 },
    /// Only this answer; so many bytes that follow are not looked at.
    Say { answer: Vec<u8>, skip: u64, closes: bool },
    /// The connection ends at once.
    Close,
}

/// What a request means whose key is here.
pub(super) fn understand(header: &Header, bytes: &[u8], limits: &Limits) -> Frame {
    if header.magic != REQUEST {
        return Frame::Close;
    }
    let (extras, key, body) = (u32::from(header.extras), u32::from(header.key), header.body);
    let refused = |status, skip: u32, closes| {
        let mut answer = Vec::new();
        header.error(&mut answer, status);
        Frame::Say { answer, skip: skip.into(), closes }
    };
    let Some(value) = body.checked_sub(extras + key) else { return refused(UNKNOWN, 0, true) };
    let Some((ask, quiet)) = header.ask() else { return refused(UNKNOWN, value, false) };
    if !limits.authenticated && !matches!(ask, Ask::SaslList | Ask::Sasl | Ask::Version) {
        return refused(AUTH_ERROR, 0, true);
    }
    if usize::from(header.key) > KEY_MAX {
        return refused(INVALID, 0, true);
    }
    let is_whole = match ask {
        Ask::Version | Ask::Noop | Ask::Quit | Ask::SaslList => body == 0,
        Ask::Flush => key == 0 && value == 0 && (extras == 0 || extras == 4),
        Ask::Store(Mode::Append | Mode::Prepend) => extras == 0 && key > 0,
        Ask::Store(_) => extras == 8 && key > 0,
        Ask::Get { .. } | Ask::Delete => extras == 0 && key > 0 && value == 0,
        Ask::Delta { .. } => extras == 20 && key > 0 && value == 0,
        Ask::Touch | Ask::GetAndTouch { .. } => extras == 4 && key > 0,
        Ask::Stat => extras == 0,
        Ask::Sasl => extras == 0 && key > 0,
    };
    if !is_whole {
        return refused(INVALID, 0, true);
    }
    let said = |text: &str, closes| {
        let mut answer = Vec::new();
        if !quiet {
            header.answer(&mut answer, 0, 0, 0, text.len() as u32, 0);
            answer.extend_from_slice(text.as_bytes());
        }
        Frame::Say { answer, skip: 0, closes }
    };
    let run = |command| Frame::Run { command, value: None };
    match ask {
        Ask::Version => said(super::COMPATIBLE_VERSION, false),
        Ask::Noop => said("", false),
        Ask::Quit => said("", true),
        Ask::SaslList if limits.authenticated => refused(UNKNOWN, 0, false),
        Ask::SaslList => said("PLAIN", false),
        Ask::Sasl if limits.authenticated => refused(UNKNOWN, value, false),
        Ask::Sasl if value > 1_024 => refused(INVALID, value, true),
        Ask::Sasl => Frame::Run { command: rows::AUTH, value: Some(value.into()) },
        Ask::Get { .. } | Ask::Touch | Ask::GetAndTouch { .. } => run(rows::BINARY_GET),
        Ask::Delete => run(rows::BINARY_DELETE),
        Ask::Delta { .. } => run(rows::BINARY_DELTA),
        Ask::Stat => run(rows::STATS),
        Ask::Flush => run(rows::FLUSH),
        Ask::Store(mode) => {
            let flags = if extras == 8 { be32(bytes, HEADER) } else { 0 };
            match item::is_too_large(header.key.into(), flags, value.into(), limits.item_max) {
                false => Frame::Run { command: rows::BINARY_STORE, value: Some(value.into()) },
                true if mode == Mode::Set => {
                    Frame::RunAndSkip { command: rows::BINARY_FORGET, len: value.into() }
                }
                true => refused(TOO_LARGE, value, false),
            }
        }
    }
}

/// How failures are told: with a status.
pub(super) fn tell(args: Args<'_>, failure: &Failure, reply: &mut Reply<'_>) {
    let header = Header::of(args);
    match *failure == Failure::OUT_OF_MEMORY {
        true => header.error(reply.tail(), NO_MEMORY),
        false => header.error_text(reply.tail(), INTERNAL, &failure.0),
    }
}

/// True if arguments are those of a request in this form.
pub(super) fn is_binary(args: Args<'_>) -> bool {
    args.get(0).is_some_and(|header| header.len() == HEADER && header[0] == REQUEST)
}

/// After how many seconds a request wants everything to be forgotten, if it has this form.
pub(super) fn flush_seconds(args: Args<'_>) -> Option<u32> {
    is_binary(args).then(|| if args.at(1).len() == 4 { be32(args.at(1), 0) } else { 0 })
}

/// It is done and there is nothing else to be said.
pub(super) fn say_done(args: Args<'_>, reply: &mut Reply<'_>) {
    let header = Header::of(args);
    if header.ask().is_some_and(|(_, quiet)| !quiet) {
        header.answer(reply.tail(), 0, 0, 0, 0, 0);
    }
}

/// The client may not do that, or its password is wrong; else it may from now on.
pub(super) fn say_authenticated(args: Args<'_>, is_right: bool, reply: &mut Reply<'_>) {
    let header = Header::of(args);
    match is_right {
        true => {
            header.answer(reply.tail(), 0, 0, 0, 13, 0);
            reply.raw(b"Authenticated");
        }
        false => header.error(reply.tail(), AUTH_ERROR),
    }
}

/// One line of statistics; an empty name ends them.
pub(super) fn push_stat(args: Args<'_>, name: &str, value: &str, tail: &mut Vec<u8>) {
    Header::of(args).answer(tail, 0, 0, name.len() as u16, (name.len() + value.len()) as u32, 0);
    tail.extend_from_slice(name.as_bytes());
    tail.extend_from_slice(value.as_bytes());
}

/// There are no such statistics.
pub(super) fn say_no_stats(args: Args<'_>, tail: &mut Vec<u8>) {
    Header::of(args).error(tail, NOT_FOUND);
}

/// Get, touch, and get and touch.
pub(super) fn get(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (header, key) = (Header::of(args), cx.key(args, 0));
    let (ask, quiet) = header.ask().unwrap_or((Ask::Noop, true));
    let expiry = match ask {
        Ask::Touch | Ask::GetAndTouch { .. } => Some(Expiry::new(be32(args.at(1), 0).into(), cx.now)),
        _ => None,
    };
    let keyed = matches!(ask, Ask::Get { keyed: true } | Ask::GetAndTouch { keyed: true });
    let valued = ask != Ask::Touch;
    item::note_fetch(cx, key);
    let stamp = item::stamp(cx, key);
    let found = match item::read(cx, key)? {
        Some(record) => {
            let Some(view) = record.string() else { return Err(Failure::WRONG_TYPE) };
            let key_len = if keyed { header.key } else { 0 };
            let value_len = if valued { view.len() as u32 } else { 0 };
            let tail = reply.tail();
            header.answer(tail, 0, 4, key_len, 4 + u32::from(key_len) + value_len, stamp);
            tail.extend_from_slice(&record.note().flags.to_be_bytes());
            if keyed {
                tail.extend_from_slice(key.bytes);
            }
            if valued {
                push_value(reply, view);
            }
            true
        }
        None => false,
    };
    let ledger = &mut cx.shard.ledger;
    ledger.detail(key.bytes, [0].into_iter().chain(found.then_some(1)));
    match expiry {
        Some(expiry) => {
            ledger.count(Counter::Touches);
            ledger.count(if found { Counter::TouchHits } else { Counter::TouchMisses });
            if found {
                item::touch(cx, key, expiry);
            }
        }
        None => {
            ledger.count(Counter::Gets);
            ledger.count(if found { Counter::GetHits } else { Counter::GetMisses });
        }
    }
    match (found, quiet, keyed) {
        (true, ..) | (false, true, _) => {}
        (false, false, true) => {
            header.answer(reply.tail(), NOT_FOUND, 0, header.key, header.key.into(), 0);
            reply.raw(key.bytes);
        }
        (false, false, false) => header.error(reply.tail(), NOT_FOUND),
    }
    Ok(())
}

/// Set, add, replace, append and prepend.
pub(super) fn store(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (header, key) = (Header::of(args), cx.key(args, 0));
    let Some((Ask::Store(asked), quiet)) = header.ask() else { return Ok(()) };
    let mut mode = asked;
    let (mut flags, mut expiry) = (0, Expiry::Never);
    if let Some(extras) = args.get(1).filter(|extras| extras.len() == 8) {
        flags = be32(extras, 0);
        expiry = Expiry::new(be32(extras, 4).into(), cx.now);
        if header.cas != 0 {
            mode = Mode::Cas;
        }
    }
    let store = Store {
        mode,
        value: Value::of_argument(args, 3),
        flags,
        expiry,
        compare: header.cas,
        may_be_stale: false,
        stamp: None,
    };
    let stored = item::store(cx, key, store)?;
    if stored == Stored::Yes && quiet {
        return Ok(());
    }
    let stamp = if stored == Stored::Yes { item::stamp(cx, key) } else { 0 };
    let tail = reply.tail();
    match (stored, mode) {
        (Stored::Yes, _) => header.answer(tail, 0, 0, 0, 0, stamp),
        (Stored::Exists, _) | (Stored::No, Mode::Add) => header.error(tail, EXISTS),
        (Stored::NotFound, _) | (Stored::No, Mode::Replace) => header.error(tail, NOT_FOUND),
        (Stored::No, _) => header.error(tail, NOT_STORED),
    }
    Ok(())
}

/// The value of an item was too large.
pub(super) fn forget(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    cx.shard.ledger.count(Counter::TooLarge);
    cx.remove(cx.key(args, 0));
    Header::of(args).error(reply.tail(), TOO_LARGE);
    Ok(())
}

/// Delete.
pub(super) fn delete(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let header = Header::of(args);
    match item::delete(cx, cx.key(args, 0), header.cas) {
        Stored::Yes => say_done(args, reply),
        Stored::Exists => header.error(reply.tail(), EXISTS),
        Stored::No | Stored::NotFound => header.error(reply.tail(), NOT_FOUND),
    }
    Ok(())
}

/// The time that means that there must be such an item.
const MUST_BE: u32 = u32::MAX;

/// Increment and decrement: by how much, what a new item begins with, when it ends.
pub(super) fn delta(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (header, key, extras) = (Header::of(args), cx.key(args, 0), args.at(1));
    let Some((Ask::Delta { adds }, quiet)) = header.ask() else { return Ok(()) };
    let (by, initial, seconds) = (be64(extras, 0), be64(extras, 8), be32(extras, 16));
    let mut done = item::delta(cx, key, adds, by, header.cas)?;
    if done == Delta::Absent && seconds != MUST_BE {
        let mut digits = itoa::Buffer::new();
        let store = Store {
            mode: Mode::Add,
            value: Value::of(digits.format(initial).as_bytes()),
            flags: 0,
            expiry: Expiry::new(seconds.into(), cx.now),
            compare: 0,
            may_be_stale: false,
            stamp: None,
        };
        item::store(cx, key, store)?;
        done = Delta::Done(initial);
    }
    match done {
        Delta::Done(_) if quiet => {}
        Delta::Done(number) => {
            let stamp =
                if cx.peek(key).and_then(Record::string).is_some() { item::stamp(cx, key) } else { 0 };
            let tail = reply.tail();
            header.answer(tail, 0, 0, 0, 8, stamp);
            tail.extend_from_slice(&number.to_be_bytes());
        }
        Delta::NotNumeric => header.error(reply.tail(), NOT_NUMERIC),
        Delta::Absent => header.error(reply.tail(), NOT_FOUND),
        Delta::Exists => header.error(reply.tail(), EXISTS),
    }
    Ok(())
}
