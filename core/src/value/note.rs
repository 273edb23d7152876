//! What the memcached protocol keeps with an item beside its value: flags, a stamp, and who is to renew it.
//!
//! A note lies in a record behind the key, in as few bytes as what it says: one, one to four of flags, and eight of a stamp that somebody
//! has asked for. A key without any of it has no note. It does not know keys, values, or which clients ask.
//!
//! ```text
//! head 1: bytes of flags 0..=4 | 0x08 room for a stamp | 0x10 stale | 0x20 its renewal is promised · flags · stamp 8
//! ```

use super::record::{FETCHED, NOTED, Record, Value};
use crate::mutant::planted;

const FLAGS_LEN: u8 = 0x07;
const HAS_STAMP: u8 = 0x08;
const STALE: u8 = 0x10;
const PROMISED: u8 = 0x20;
const STAMP_LEN: usize = 8;
/// The longest note.
const NOTE_MAX: usize = 1 + 4 + STAMP_LEN;

/// What is kept with an item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Note {
    /// What the client said it means; the server never looks at it.
    pub flags: u32,
    /// Names this state of the item, and no other state of this key, ever: `gets` gives it, `cas` compares it. `Some(0)` is room for one.
    /// A stamp is made when it is first asked for, and is gone with the next change.
    pub stamp: Option<u64>,
    /// Marked as out of date, and still served.
    pub stale: bool,
    /// A client has been told that it is the one to renew the item.
    pub promised: bool,
}

impl Note {
    /// True if there is nothing to keep.
    #[inline]
    pub fn is_empty(&self) -> bool {
        *self == Note::default()
    }

    /// How many bytes it takes in a record.
    #[inline]
    pub fn len(&self) -> usize {
        if self.is_empty() { 0 } else { len_of(self.head()) }
    }

    fn head(&self) -> u8 {
        let flags_len = 4 - self.flags.leading_zeros() as u8 / 8;
        flags_len
            | if self.stamp.is_some() { HAS_STAMP } else { 0 }
            | if self.stale { STALE } else { 0 }
            | if self.promised { PROMISED } else { 0 }
    }

    /// Its bytes, and how many of them count.
    pub(super) fn encode(&self) -> ([u8; NOTE_MAX], usize) {
        let mut bytes = [0; NOTE_MAX];
        if self.is_empty() {
            return (bytes, 0);
        }
        let head = self.head();
        let flags_len = usize::from(head & FLAGS_LEN);
        bytes[0] = head;
        bytes[1..=flags_len].copy_from_slice(&self.flags.to_le_bytes()[..flags_len]);
        if let Some(stamp) = self.stamp {
            bytes[1 + flags_len..][..STAMP_LEN].copy_from_slice(&stamp.to_le_bytes());
        }
        (bytes, len_of(head))
    }

    fn decode(bytes: &[u8]) -> Note {
        let head = bytes[0];
        let flags_len = usize::from(head & FLAGS_LEN);
        let mut flags = [0; 4];
        flags[..flags_len].copy_from_slice(&bytes[1..=flags_len]);
        let stamp = (head & HAS_STAMP != 0).then(|| {
            let mut stamp = [0; STAMP_LEN];
            stamp.copy_from_slice(&bytes[1 + flags_len..][..STAMP_LEN]);
            u64::from_le_bytes(stamp)
        });
        Note {
            flags: u32::from_le_bytes(flags),
            stamp,
            stale: head & STALE != 0,
            promised: head & PROMISED != 0,
        }
    }
}

/// Bytes of a note with this head.
#[inline]
pub(super) fn len_of(head: u8) -> usize {
    1 + usize::from(head & FLAGS_LEN) + if head & HAS_STAMP != 0 { STAMP_LEN } else { 0 }
}

impl Record {
    /// What is kept with it.
    #[inline]
    pub fn note(&self) -> Note {
        if self.tag() & NOTED == 0 {
            return Note::default();
        }
        let at = self.note_at();
        Note::decode(self.slice(at, len_of(self.slice(at, 1)[0])))
    }

    /// Replaces what is kept with it; the block is rebuilt only if that takes more or fewer bytes.
    pub fn set_note(&mut self, note: Note) {
        if note.len() == self.note_len() {
            return self.write_note(note);
        }
        let deadline = self.deadline();
        self.rebuild(None, deadline, note);
    }

    /// Writes a note of the same length as the one that is there.
    pub(super) fn write_note(&mut self, note: Note) {
        let (bytes, len) = note.encode();
        assert_eq!(len, self.note_len(), "a note is written over one of its length");
        let at = self.note_at();
        self.write(at, &bytes[..len]);
    }

    /// Replaces the value and what is kept with it: nobody has read the new one. Where a stamp was asked for there stays room for one: who
    /// compares will ask again.
    #[inline]
    pub fn replace(&mut self, value: Value<'_>, note: Note) {
        if note.is_empty() && self.tag() & (NOTED | FETCHED) == 0 {
            return self.set_value(value);
        }
        let note = match self.tag() & NOTED {
            0 => note,
            _ => Note { stamp: note.stamp.or(self.note().stamp.map(|_| 0)), ..note },
        };
        if note.len() == self.note_len() {
            self.write_note(note);
            self.set_value(value);
        } else {
            let deadline = self.deadline();
            self.rebuild(Some(value), deadline, note);
        }
        self.set_fetched(false);
    }

    /// True if the memcached protocol has read it since it was stored.
    #[inline]
    pub fn is_fetched(&self) -> bool {
        self.tag() & FETCHED != 0
    }

    /// Notes whether it did.
    #[inline]
    pub fn set_fetched(&mut self, fetched: bool) {
        if self.is_fetched() != fetched {
            self.write(0, &[self.tag() ^ FETCHED]);
        }
    }

    /// It has changed: what named its last state names none.
    #[inline]
    pub fn forget_stamp(&mut self) {
        if self.tag() & NOTED == 0 || planted("a stamp outlives a change of its item") {
            return;
        }
        let note = self.note();
        if note.stamp.is_some_and(|stamp| stamp != 0) {
            self.write_note(Note { stamp: Some(0), ..note });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::UnixMillis;
    use crate::value::record::Access;
    use proptest::prelude::*;

    fn notes() -> impl Strategy<Value = Note> {
        let flags = prop_oneof![Just(0), 0u32..300, any::<u32>()];
        (flags, any::<Option<u64>>(), any::<bool>(), any::<bool>())
            .prop_map(|(flags, stamp, stale, promised)| Note { flags, stamp, stale, promised })
    }

    #[test]
    fn a_note_takes_no_more_than_it_says() {
        let flags = |flags| Note { flags, ..Note::default() };
        for (note, len) in
            [(flags(0), 0), (flags(1), 2), (flags(256), 3), (flags(1 << 16), 4), (flags(u32::MAX), 5)]
        {
            assert_eq!(note.len(), len, "{note:?}");
        }
        assert_eq!(Note { stamp: Some(7), ..Note::default() }.len(), 9);
        assert_eq!(Note { stale: true, ..Note::default() }.len(), 1);
    }

    #[test]
    fn a_change_makes_the_stamp_meaningless_and_keeps_its_room() {
        let mut record = Record::new(b"k", Value::Bytes(b"v"), None, Access(0));
        record.set_note(Note { flags: 9, stamp: Some(5), ..Note::default() });
        let size = record.owned_bytes();
        record.forget_stamp();
        assert_eq!(record.note(), Note { flags: 9, stamp: Some(0), ..Note::default() });
        assert_eq!(record.owned_bytes(), size);
    }

    proptest! {
        #[test]
        fn notes_values_and_deadlines_do_not_touch_each_other(
            steps in proptest::collection::vec(
                (notes(), proptest::collection::vec(any::<u8>(), 0..60), proptest::option::of(1u64..9), 0u8..4), 1..30),
            key in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut record = Record::new(&key, Value::Bytes(b""), None, Access(3));
            let (mut note, mut value, mut deadline) = (Note::default(), Vec::new(), None);
            for (next_note, next_value, next_deadline, which) in steps {
                match which {
                    0 => { record.set_note(next_note); note = next_note; }
                    1 => { record.set_value(Value::of(&next_value)); value = next_value; }
                    2 => { deadline = next_deadline.map(UnixMillis); record.set_deadline(deadline); }
                    _ => {
                        record.replace(Value::of(&next_value), next_note);
                        let stamp = next_note.stamp.or(note.stamp.map(|_| 0));
                        (value, note) = (next_value, Note { stamp, ..next_note });
                    }
                }
                for record in [&record, &record.clone()] {
                    prop_assert_eq!(record.key(), &key[..]);
                    prop_assert_eq!(record.note(), note);
                    prop_assert_eq!(record.deadline(), deadline);
                    prop_assert_eq!(record.string().map(|view| view.to_vec()), Some(value.clone()));
                    prop_assert_eq!(record.access(), Access(3));
                }
            }
        }
    }
}
