//! A field of a hash: how its name, value and deadline are written into an entry, and read again.
//!
//! ```text
//! entry:  head | name | deadline 8, if the head says so | value
//! head:   0..=127    so long a name, and a text       224..=231  a name that is a whole number in 1 to 8 bytes, and a text
//!         128..=223  a name of 0 to 95 bytes, and a   232..=239  the same and a whole number, in as many bytes as it needs
//!                    whole number                     240..=255  any other: the name's length follows
//! marked: no head, the mark is the length of the name | name, a whole number | value, a whole number
//! ```
//!
//! It knows one field. It does not know hashes, nor what time it is.

use super::bucket::{Entry, Form, MARK_MAX, Shape};
use super::element::Element;
use crate::time::UnixMillis;

/// A field as it lies there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name.
    pub name: Element<'a>,
    /// What it holds.
    pub value: Element<'a>,
    /// When it ends.
    pub deadline: Option<UnixMillis>,
}

impl Field<'_> {
    /// True unless its time has come.
    #[inline]
    pub fn lives(&self, now: UnixMillis) -> bool {
        self.deadline.is_none_or(|at| at > now)
    }
}

/// The form of fields' entries.
#[derive(Clone)]
pub(super) struct Fields;

/// Heads in one byte begin here: text and whole number, number and text, both numbers.
const COUNTER: u8 = 128;
const NUMBER: u8 = 224;
const NUMBERS: u8 = 232;
/// A head that is followed by the name's length, in one byte, and what else it says.
const LONG: u8 = 240;
const HAS_DEADLINE: u8 = 1;
const WHOLE_VALUE: u8 = 2;
const WHOLE_NAME: u8 = 4;
/// The length is in four bytes.
const LONGER: u8 = 8;
const DEADLINE_LEN: usize = 8;

/// What an entry begins with.
#[derive(Clone, Copy)]
struct Head {
    name_at: usize,
    name_len: usize,
    /// The name is a whole number.
    whole_name: bool,
    whole_value: bool,
    has_deadline: bool,
}

impl Head {
    #[inline]
    fn read(entry: Entry<'_>) -> Head {
        let bytes = entry.bytes;
        let short = |name_len: u8, whole_name, whole_value| Head {
            name_at: usize::from(entry.mark == 0),
            name_len: usize::from(name_len),
            whole_name,
            whole_value,
            has_deadline: false,
        };
        if entry.mark > 0 {
            return short(entry.mark, true, true);
        }
        match bytes[0] {
            len @ 0..COUNTER => short(len, false, false),
            head @ COUNTER..NUMBER => short(head - COUNTER, false, true),
            head @ NUMBER..NUMBERS => short(head - NUMBER + 1, true, false),
            head @ NUMBERS..LONG => short(head - NUMBERS + 1, true, true),
            head => {
                let (name_at, name_len) = match head & LONGER {
                    0 => (2, usize::from(bytes[1])),
                    _ => (5, u32::from_le_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]) as usize),
                };
                let says = |what| head & what != 0;
                let (whole_name, whole_value) = (says(WHOLE_NAME), says(WHOLE_VALUE));
                Head { name_at, name_len, whole_name, whole_value, has_deadline: says(HAS_DEADLINE) }
            }
        }
    }

    /// The shortest for a field.
    #[inline]
    fn of(field: Field<'_>) -> Head {
        let (whole_name, name_len) = match field.name {
            // A name has a byte even if it is zero: a mark counts from one.
            Element::Integer(number) => (true, width(number).max(1)),
            Element::Bytes(name) => (false, name.len()),
        };
        let whole_value = matches!(field.value, Element::Integer(_));
        let has_deadline = field.deadline.is_some();
        let name_at = match (whole_name, whole_value, has_deadline) {
            (true, true, false) if name_len <= usize::from(MARK_MAX) => 0,
            (true, _, false) => 1,
            (false, true, false) if name_len < usize::from(NUMBER - COUNTER) => 1,
            (false, false, false) if name_len < usize::from(COUNTER) => 1,
            _ if name_len <= usize::from(u8::MAX) => 2,
            _ => 5,
        };
        Head { name_at, name_len, whole_name, whole_value, has_deadline }
    }

    #[inline]
    fn write(self, to: &mut [u8]) {
        let len = self.name_len as u8;
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        let says = LONG
            | flag(self.has_deadline, HAS_DEADLINE)
            | flag(self.whole_value, WHOLE_VALUE)
            | flag(self.whole_name, WHOLE_NAME);
        match self.name_at {
            0 => {}
            1 => {
                to[0] = match (self.whole_name, self.whole_value) {
                    (false, false) => len,
                    (false, true) => COUNTER + len,
                    (true, false) => NUMBER + len - 1,
                    (true, true) => NUMBERS + len - 1,
                }
            }
            2 => to[..2].copy_from_slice(&[says, len]),
            _ => {
                to[0] = says | LONGER;
                to[1..5].copy_from_slice(&(self.name_len as u32).to_le_bytes());
            }
        }
    }

    /// Where the name ends.
    #[inline]
    fn name_end(self) -> usize {
        self.name_at + self.name_len
    }

    #[inline]
    fn name(self, entry: Entry<'_>) -> Element<'_> {
        element(self.whole_name, &entry.bytes[self.name_at..self.name_end()])
    }

    #[inline]
    fn deadline(self, entry: Entry<'_>) -> Option<UnixMillis> {
        let bytes = entry.bytes[self.name_end()..].first_chunk().filter(|_| self.has_deadline)?;
        Some(UnixMillis(u64::from_le_bytes(*bytes)))
    }

    #[inline]
    fn value_at(self) -> usize {
        self.name_end() + if self.has_deadline { DEADLINE_LEN } else { 0 }
    }
}

impl Form for Fields {
    #[inline]
    fn has_key(entry: Entry<'_>, key: &[u8]) -> bool {
        match Head::read(entry).name(entry) {
            Element::Bytes(name) => name == key,
            number => Element::of(key) == number,
        }
    }

    #[inline]
    fn with_key<R>(entry: Entry<'_>, use_it: impl FnOnce(&[u8]) -> R) -> R {
        Head::read(entry).name(entry).with(use_it)
    }
}

#[inline]
pub(super) fn read(entry: Entry<'_>) -> Field<'_> {
    let head = Head::read(entry);
    let value = element(head.whole_value, &entry.bytes[head.value_at()..]);
    Field { name: head.name(entry), value, deadline: head.deadline(entry) }
}

/// What bytes are. A whole number is in up to eight; of none it is zero.
#[inline]
fn element(is_whole: bool, bytes: &[u8]) -> Element<'_> {
    if !is_whole {
        return Element::Bytes(bytes);
    }
    let mut word = [0; 8];
    word[8 - bytes.len()..].copy_from_slice(bytes);
    let unused = 64 - 8 * bytes.len() as u32;
    Element::Integer(i64::from_le_bytes(word).checked_shr(unused).unwrap_or(0))
}

#[inline]
pub(super) fn deadline_of(entry: Entry<'_>) -> Option<UnixMillis> {
    Head::read(entry).deadline(entry)
}

/// How many bytes a whole number needs: none for zero.
#[inline]
fn width(number: i64) -> usize {
    if number == 0 {
        return 0;
    }
    let magnitude = if number < 0 { !number } else { number };
    (65 - magnitude.leading_zeros() as usize).div_ceil(8)
}

/// A field to be written.
pub(super) struct Draft<'a> {
    field: Field<'a>,
    head: Head,
    /// Of the whole entry.
    pub(super) shape: Shape,
}

impl<'a> Draft<'a> {
    #[inline]
    pub(super) fn of(field: Field<'a>) -> Draft<'a> {
        let head = Head::of(field);
        let value_len = match field.value {
            Element::Integer(number) => width(number),
            Element::Bytes(bytes) => bytes.len(),
        };
        let len = head.value_at() + value_len;
        let shape = match head.name_at {
            0 => Shape::marked(head.name_len as u8, len),
            _ => Shape::plain(len),
        };
        Draft { field, head, shape }
    }

    #[inline]
    pub(super) fn write(&self, to: &mut [u8]) {
        let Draft { field: Field { name, value, deadline }, head, .. } = self;
        head.write(to);
        put(*name, &mut to[head.name_at..head.name_end()]);
        if let Some(UnixMillis(millis)) = deadline {
            to[head.name_end()..head.value_at()].copy_from_slice(&millis.to_le_bytes());
        }
        put(*value, &mut to[head.value_at()..]);
    }
}

/// Writes a name or a value into the bytes that it takes.
#[inline]
fn put(element: Element<'_>, to: &mut [u8]) {
    match element {
        Element::Integer(number) => to.copy_from_slice(&number.to_le_bytes()[..to.len()]),
        Element::Bytes(bytes) => to.copy_from_slice(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::members::Members;

    /// How many bytes a field takes, and what is read from them.
    fn written(field: Field<'_>) -> (usize, Field<'_>) {
        let mut members = Members::<Fields>::default();
        let draft = Draft::of(field);
        field.name.with(|name| members.add(name, draft.shape, |to| draft.write(to)));
        let entry = members.iter().next().expect("one was added");
        assert_eq!(read(entry), field);
        (entry.bytes.len(), field)
    }

    #[test]
    fn names_take_as_few_bytes_as_they_need() {
        for (value, lens) in [
            (Element::Bytes(b"v"), [(0, 1), (127, 1), (128, 2), (255, 2), (256, 5), (100_000, 5)]),
            (Element::Integer(5), [(0, 1), (95, 1), (96, 2), (255, 2), (256, 5), (100_000, 5)]),
        ] {
            for (len, head) in lens {
                let name = vec![b'n'; len];
                let field = Field { name: Element::Bytes(&name), value, deadline: None };
                assert_eq!(written(field).0, head + len + 1, "{len}");
            }
        }
    }

    #[test]
    fn whole_numbers_take_as_few_bytes_as_they_need() {
        for (number, bytes) in
            [(0, 0), (1, 1), (-1, 1), (127, 1), (128, 2), (-128, 1), (-129, 2), (i64::MAX, 8), (i64::MIN, 8)]
        {
            assert_eq!(width(number), bytes, "{number}");
            for (name, deadline, len) in [
                (Element::Bytes(b"f"), None, 2),
                (Element::Integer(7), None, 1),
                (Element::Integer(0), None, 1),
                (Element::Integer(70_000), None, 3),
                (Element::Integer(7), Some(UnixMillis(3)), 11),
                (Element::Integer(i64::MIN), None, 9),
            ] {
                let field = Field { name, value: Element::Integer(number), deadline };
                assert_eq!(written(field), (len + bytes, field));
            }
        }
    }
}
