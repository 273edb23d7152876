//! What the memcached protocol does with one key: the same for its text, meta and binary forms.
//!
//! An item is a key of database 0 whose value is a string. It knows notes, stamps and when items end. It does not know how requests and
//! replies are written.

use super::counters::Counter;
use super::{number, watch};
use crate::command::edit;
use crate::database::Key;
use crate::feed::Topics;
use crate::mutant::planted;
use crate::protocol::reply::Failure;
use crate::shard::{Cx, Deadline};
use crate::time::UnixMillis;
use crate::value::note::Note;
use crate::value::record::{Record, Value, View};

/// The database that the protocol sees.
pub const DATABASE: u16 = 0;
/// The longest key, bytes.
pub const KEY_MAX: usize = 250;
/// Seconds up to which a time counts from now; a larger one is a moment in Unix time.
const RELATIVE_MAX: i64 = 60 * 60 * 24 * 30;
/// What memcached counts for an item besides key, value and flags, so that what fits there fits here and what does not does not.
const ITEM_BYTES: u64 = 48 + 8 + 1 + 2;
/// The largest item that can be a number: memcached keeps a larger one in pieces, which it does not count.
const NUMBER_MAX: u64 = 512 * 1024;

/// When an item ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Never.
    Never,
    /// It has.
    Past,
    /// At this moment.
    At(UnixMillis),
}

impl Expiry {
    /// What a number of seconds in a request means.
    pub fn new(seconds: i64, now: UnixMillis) -> Expiry {
        let millis = |seconds: i64| seconds.unsigned_abs().saturating_mul(1_000);
        match seconds {
            0 => Expiry::Never,
            ..0 => Expiry::Past,
            1..=RELATIVE_MAX => Expiry::At(UnixMillis(now.0.saturating_add(millis(seconds)))),
            _ if millis(seconds) <= now.0 => Expiry::Past,
            _ => Expiry::At(UnixMillis(millis(seconds))),
        }
    }
}

/// True if an item is too large to be kept.
pub fn is_too_large(key_len: usize, flags: u32, value_len: u64, max: u64) -> bool {
    let flags_len = if flags == 0 { 0 } else { 4 };
    ITEM_BYTES + key_len as u64 + flags_len + value_len > max
}

/// Which state of affairs a value is stored under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Any.
    Set,
    /// There is no such item.
    Add,
    /// There is one.
    Replace,
    /// There is one; the value goes behind its own.
    Append,
    /// There is one; the value goes before its own.
    Prepend,
    /// There is one, and it is in the state that is named.
    Cas,
}

/// A value to be stored.
pub struct Store<'a> {
    /// When it is.
    pub mode: Mode,
    /// The value.
    pub value: Value<'a>,
    /// Kept beside it.
    pub flags: u32,
    /// When it ends.
    pub expiry: Expiry,
    /// The state in which the item must be; 0: any.
    pub compare: u64,
    /// A state that was, and is not any more, will do: then the value is marked as out of date.
    pub may_be_stale: bool,
    /// The stamp that the new state is to have, chosen by the client.
    pub stamp: Option<u64>,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// Stored.
    Yes,
    /// The state of affairs is another.
    No,
    /// The item is in another state.
    Exists,
    /// There is none to compare with.
    NotFound,
}

/// What is known of an item that is there.
#[derive(Clone, Copy)]
struct There {
    note: Note,
    is_string: bool,
    deadline: Option<UnixMillis>,
}

fn there(cx: &mut Cx<'_>, key: Key<'_>) -> Option<There> {
    let record = cx.peek(key)?;
    Some(There { note: record.note(), is_string: record.string().is_some(), deadline: record.deadline() })
}

/// Reads an item: its record, if there is one.
#[inline]
pub fn read<'r>(cx: &'r mut Cx<'_>, key: Key<'_>) -> Result<Option<&'r Record>, Failure> {
    match cx.read_mut(key) {
        None => Ok(None),
        Some(record) if record.container().is_some() => Err(Failure::WRONG_TYPE),
        Some(record) => {
            record.set_fetched(true);
            Ok(Some(record))
        }
    }
}

/// Tells who watches that an item was asked for, or is about to be changed.
#[inline]
pub fn note_fetch(cx: &mut Cx<'_>, key: Key<'_>) {
    if cx.shard.ledger.log.topics.meets(Topics::FETCHERS) {
        let len = cx.peek(key).map(|record| record.string().map_or(0, |view| view.len() as u64));
        watch::fetched(cx, key.bytes, len);
    }
}

/// The stamp of an item that is there, made now if nobody has asked before; else 0.
pub fn stamp(cx: &mut Cx<'_>, key: Key<'_>) -> u64 {
    let now = cx.now;
    match there(cx, key) {
        Some(There { note: Note { stamp: Some(stamp), .. }, .. }) if stamp != 0 => stamp,
        Some(There { note, is_string: true, .. }) => {
            let stamp = cx.shard.ledger.stamps.next(now);
            set_note(cx, key, Note { stamp: Some(stamp), ..note });
            stamp
        }
        _ => 0,
    }
}

/// Changes what is kept with an item. For everybody but this protocol the key is as it was.
pub fn set_note(cx: &mut Cx<'_>, key: Key<'_>, note: Note) {
    cx.db().change(key, |record| record.set_note(note));
}

/// How the state of an item compares with one that a client names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compared {
    /// It names none.
    Any,
    Same,
    /// It names one that was.
    Earlier,
    Other,
}

fn compare(cx: &Cx<'_>, there: There, with: u64) -> Compared {
    if planted("a stamp names any state of its item") && with != 0 {
        return Compared::Same;
    }
    match there.note.stamp.filter(|stamp| *stamp != 0) {
        _ if with == 0 => Compared::Any,
        Some(stamp) if stamp == with => Compared::Same,
        Some(stamp) if with < stamp => Compared::Earlier,
        None if cx.shard.ledger.stamps.is_earlier(with) => Compared::Earlier,
        _ => Compared::Other,
    }
}

/// True if an item is in the state that a client names; 0 names any.
pub fn is_in_state(cx: &mut Cx<'_>, key: Key<'_>, state: u64) -> bool {
    there(cx, key).is_some_and(|there| matches!(compare(cx, there, state), Compared::Any | Compared::Same))
}

/// Stores a value, if the state of affairs is that of its mode.
pub fn store(cx: &mut Cx<'_>, key: Key<'_>, store: Store<'_>) -> Result<Stored, Failure> {
    let attempt = watch::attempt(cx, &store);
    let stored = store_unseen(cx, key, store)?;
    if let Some(attempt) = attempt {
        watch::stored(cx, key.bytes, attempt, Some(stored));
    }
    Ok(stored)
}

fn store_unseen(cx: &mut Cx<'_>, key: Key<'_>, store: Store<'_>) -> Result<Stored, Failure> {
    cx.shard.ledger.count(Counter::Sets);
    cx.shard.ledger.detail(key.bytes, [2]);
    note_fetch(cx, key);
    let mut note = Note { flags: store.flags, stamp: store.stamp, ..Note::default() };
    if store.mode == Mode::Set && store.compare == 0 {
        put(cx, key, store.value, store.expiry, note);
        return Ok(Stored::Yes);
    }
    let Some(there) = there(cx, key) else {
        return Ok(match store.mode {
            Mode::Set | Mode::Add => {
                put(cx, key, store.value, store.expiry, note);
                Stored::Yes
            }
            Mode::Cas => {
                cx.shard.ledger.count(Counter::CasMisses);
                Stored::NotFound
            }
            Mode::Replace | Mode::Append | Mode::Prepend => Stored::No,
        });
    };
    let compared = compare(cx, there, store.compare);
    match store.mode {
        Mode::Add => {
            // It counts as a use.
            cx.read(key);
            return Ok(Stored::No);
        }
        Mode::Cas if compared == Compared::Same => {
            cx.shard.ledger.count(Counter::CasHits);
        }
        Mode::Cas if compared == Compared::Earlier && store.may_be_stale => {
            cx.shard.ledger.count(Counter::CasHits);
            (note.stale, note.promised) = (true, there.note.promised);
            let expiry = there.deadline.map_or(Expiry::Never, Expiry::At);
            put(cx, key, store.value, expiry, note);
            return Ok(Stored::Yes);
        }
        Mode::Cas => {
            cx.shard.ledger.count(Counter::CasBadval);
            return Ok(Stored::Exists);
        }
        Mode::Append | Mode::Prepend if !matches!(compared, Compared::Any | Compared::Same) => {
            return Ok(Stored::Exists);
        }
        Mode::Append | Mode::Prepend => return extend(cx, key, &store, there),
        Mode::Set | Mode::Replace => {}
    }
    put(cx, key, store.value, store.expiry, note);
    Ok(Stored::Yes)
}

fn put(cx: &mut Cx<'_>, key: Key<'_>, value: Value<'_>, expiry: Expiry, note: Note) {
    cx.shard.ledger.count(Counter::Items);
    let deadline = match expiry {
        Expiry::Never => Deadline::Clear,
        Expiry::At(at) => Deadline::At(at),
        Expiry::Past => {
            cx.remove(key);
            return;
        }
    };
    cx.store_noted(cx.database, key, value, deadline, Some(note));
}

/// Adds to the value that is there; its flags and its end stay.
fn extend(cx: &mut Cx<'_>, key: Key<'_>, store: &Store<'_>, there: There) -> Result<Stored, Failure> {
    if !there.is_string {
        return Err(Failure::WRONG_TYPE);
    }
    let max = cx.settings.memcached_max_item_size;
    let mut more: &[u8] = match &store.value {
        Value::Bytes(bytes) | Value::Raw(bytes) => bytes,
        Value::Large(bytes) => bytes,
        Value::Integer(_) | Value::Container(_) => &[],
    };
    let mut digits = itoa::Buffer::new();
    if let Value::Integer(number) = store.value {
        more = digits.format(number).as_bytes();
    }
    let is_before = store.mode == Mode::Prepend;
    let stored = cx.change_if(key, |record| {
        let len = record.string().map_or(0, |view| view.len()) + more.len();
        if is_too_large(key.bytes.len(), there.note.flags, len as u64, max) {
            return None;
        }
        edit(record, |bytes| match is_before {
            true => drop(bytes.splice(0..0, more.iter().copied())),
            false => bytes.extend_from_slice(more),
        });
        // Another value is not out of date, and nobody has promised to renew it.
        let Note { flags, stamp, .. } = record.note();
        record.set_note(Note { flags, stamp, ..Note::default() });
        record.set_fetched(false);
        Some(())
    });
    if let (Some(()), Some(stamp)) = (stored, store.stamp) {
        set_note(cx, key, Note { stamp: Some(stamp), flags: there.note.flags, ..Note::default() });
    }
    Ok(if stored.is_some() { Stored::Yes } else { Stored::No })
}

/// What an addition or a subtraction gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delta {
    /// The number that the value is now.
    Done(u64),
    /// The value is no number.
    NotNumeric,
    /// There is no such item.
    Absent,
    /// It is in another state than the one that was named.
    Exists,
}

/// Adds to the number that a value is, or subtracts: sums wrap at 2^64, differences end at 0. A shorter number is followed by spaces, as in
/// memcached, which writes it over the longer one.
pub fn delta(cx: &mut Cx<'_>, key: Key<'_>, adds: bool, by: u64, state: u64) -> Result<Delta, Failure> {
    note_fetch(cx, key);
    let Some(there) = there(cx, key) else {
        cx.shard.ledger.count(if adds { Counter::IncrMisses } else { Counter::DecrMisses });
        return Ok(Delta::Absent);
    };
    if !there.is_string {
        return Err(Failure::WRONG_TYPE);
    }
    if !matches!(compare(cx, there, state), Compared::Any | Compared::Same) {
        return Ok(Delta::Exists);
    }
    let (key_len, flags) = (key.bytes.len(), there.note.flags);
    let done = cx.change_if(key, |record| {
        let (number, len) = match record.string()? {
            View::Integer(number) => (u64::try_from(number).ok()?, itoa::Buffer::new().format(number).len()),
            View::Bytes(bytes) => (number::of_value(bytes)?, bytes.len()),
            View::Large(bytes) if is_too_large(key_len, flags, bytes.len() as u64, NUMBER_MAX) => {
                return None;
            }
            View::Large(bytes) => (number::of_value(bytes)?, bytes.len()),
        };
        let number = if adds { number.wrapping_add(by) } else { number.saturating_sub(by) };
        let mut digits = itoa::Buffer::new();
        let text = digits.format(number).as_bytes();
        if text.len() >= len {
            record.set_value(Value::of(text));
        } else {
            let mut padded = vec![b' '; len];
            padded[..text.len()].copy_from_slice(text);
            record.set_value(Value::Bytes(&padded));
        }
        Some(number)
    });
    Ok(match done {
        Some(number) => {
            cx.shard.ledger.count(if adds { Counter::IncrHits } else { Counter::DecrHits });
            Delta::Done(number)
        }
        None => Delta::NotNumeric,
    })
}

/// Gives an item, whatever its type, another end; it stays in the same state. True if it was there.
pub fn touch(cx: &mut Cx<'_>, key: Key<'_>, expiry: Expiry) -> bool {
    let deadline = match expiry {
        Expiry::Never => None,
        Expiry::At(at) => Some(at),
        Expiry::Past => return cx.remove(key),
    };
    if cx.peek(key).is_none() {
        return false;
    }
    cx.db().change(key, |record| record.set_deadline(deadline));
    cx.changed(cx.database, key);
    true
}

/// Removes an item, whatever its type, if it is in the state that is named.
pub fn delete(cx: &mut Cx<'_>, key: Key<'_>, state: u64) -> Stored {
    cx.shard.ledger.detail(key.bytes, [3]);
    note_fetch(cx, key);
    let Some(there) = there(cx, key) else {
        cx.shard.ledger.count(Counter::DeleteMisses);
        return Stored::NotFound;
    };
    if !matches!(compare(cx, there, state), Compared::Any | Compared::Same) {
        return Stored::Exists;
    }
    cx.shard.ledger.count(Counter::DeleteHits);
    cx.remove(key);
    Stored::Yes
}

/// Marks an item as out of date instead of removing it: the next who asks is told to renew it.
pub fn mark_stale(cx: &mut Cx<'_>, key: Key<'_>, expiry: Option<Expiry>, stamp: Option<u64>) {
    let Some(there) = there(cx, key) else { return };
    let room = there.note.stamp.map(|_| 0);
    let note = Note { stale: true, promised: false, stamp: stamp.or(room), ..there.note };
    set_note(cx, key, note);
    cx.changed(cx.database, key);
    if let Some(expiry) = expiry {
        touch(cx, key, expiry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_up_to_thirty_days_count_from_now() {
        let now = UnixMillis(1_700_000_000_123);
        for (seconds, expected) in [
            (0, Expiry::Never),
            (-1, Expiry::Past),
            (1, Expiry::At(UnixMillis(1_700_000_001_123))),
            (2_592_000, Expiry::At(UnixMillis(1_702_592_000_123))),
            (2_592_001, Expiry::Past),
            (1_700_000_000, Expiry::Past),
            (1_700_000_001, Expiry::At(UnixMillis(1_700_000_001_000))),
        ] {
            assert_eq!(Expiry::new(seconds, now), expected, "{seconds}");
        }
    }
}
