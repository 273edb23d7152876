//! A record: key, value, deadline and access bits of one key, together in one block of memory.
//!
//! The table holds eight bytes for it. A key with a deadline has it in the same block, so no second block and no second
//! cache line is needed for small keys and values. The layout, all little endian and unaligned:
//!
//! ```text
//! tag 1 | access 3 | [4 unused | held, aligned] | key length 1 or 5 | deadline 0 or 8 | key | note, mostly none | value
//! value:  embedded string: length 1 or 5, bytes · integer: 8 · large string, container: nothing more
//! held:   only of a large string, `Arc<Vec<u8>>` 8, and of a container, `Option<Container>` 24
//! ```
//! A container lies in the record itself, so that a small one is two blocks: the record and its elements.
//!
//! It knows how values lie in memory. It does not know what commands do with them.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::Arc;

use super::block::block_size;
use super::container::Container;
use super::detached::Detached;
use super::note::{self, Note};
pub use super::text::{Value, View};
use crate::table::Entry;
use crate::time::UnixMillis;

/// A string longer than this lies in a buffer of its own, which replies can share and APPEND can grow.
pub const EMBEDDED_MAX: usize = 2_048;
/// The longest string that OBJECT ENCODING calls `embstr`, as in Redis.
const EMBSTR_MAX: usize = 44;

const KIND: u8 = 0x03;
const EMBEDDED: u8 = 0;
const INTEGER: u8 = 1;
const LARGE: u8 = 2;
const CONTAINER: u8 = 3;
const HAS_DEADLINE: u8 = 0x04;
/// Was changed in place (APPEND, SETRANGE): OBJECT ENCODING says `raw` whatever the length, as in Redis.
const RAW: u8 = 0x08;
/// Something in the container has a deadline of its own.
const TIMED_WITHIN: u8 = 0x10;
/// The walk of a snapshot is to pass it by: see [`crate::snapshot::walk`].
const PASSED_BY: u8 = 0x20;
/// Something of the memcached protocol is kept with it: see [`Note`].
pub(super) const NOTED: u8 = 0x40;
/// It was read by the memcached protocol since it was stored.
pub(super) const FETCHED: u8 = 0x80;

const ACCESS_AT: usize = 1;
const HEAD: usize = 4;
const HELD_AT: usize = 8;
const LARGE_HEAD: usize = HELD_AT + size_of::<Arc<Vec<u8>>>();
const CONTAINER_HEAD: usize = HELD_AT + size_of::<Option<Container>>();
const DEADLINE_LEN: usize = 8;
const WORD: usize = 8;

/// 24 bits that say when (seconds) or how often a key was used; their meaning belongs to the eviction policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Access(pub u32);

impl Access {
    /// The bits that are kept.
    pub const MASK: u32 = 0x00ff_ffff;
}

/// One key with everything that belongs to it. Owns its block.
pub struct Record(NonNull<u8>);

// SAFETY: a record owns its block and container alone; what it may share, an `Arc<Vec<u8>>`, may be sent.
unsafe impl Send for Record {}
// SAFETY: through a shared reference a record is only read, and so are its container and the `Arc<Vec<u8>>` that it may share.
unsafe impl Sync for Record {}
/// What a record points to may go where the record goes.
const _: fn() = || {
    fn travels<T: Send + Sync>() {}
    travels::<(Arc<Vec<u8>>, Container)>();
};
/// Each byte of it is in the record of every small container.
const _: () = assert!(size_of::<Option<Container>>() == 24 && align_of::<Option<Container>>() <= WORD);

/// The parts of a record to be built.
struct Parts<'a> {
    key: &'a [u8],
    value: Value<'a>,
    deadline: Option<UnixMillis>,
    access: Access,
    note: Note,
}

impl Record {
    /// Builds a record. Strings over [`EMBEDDED_MAX`] get a buffer of their own.
    pub fn new(key: &[u8], value: Value<'_>, deadline: Option<UnixMillis>, access: Access) -> Record {
        let value = in_its_place(value);
        build(Parts { key, value, deadline, access, note: Note::default() })
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> &[u8] {
        let head = self.head();
        let (len, prefix) = self.length_at(head);
        self.slice(head + prefix + self.deadline_len(), len)
    }

    /// The value, if it is a string.
    #[inline]
    pub fn string(&self) -> Option<View<'_>> {
        let at = self.value_at();
        match self.tag() & KIND {
            INTEGER => Some(View::Integer(i64::from_le_bytes(self.word(at)))),
            EMBEDDED => {
                let (len, prefix) = self.length_at(at);
                Some(View::Bytes(self.slice(at + prefix, len)))
            }
            // SAFETY: the tag says that an `Arc` lies at this aligned place, owned by the record; `&self` keeps it there.
            LARGE => Some(View::Large(unsafe { &*self.large() })),
            _ => None,
        }
    }

    /// The value, if it is no string.
    #[inline]
    pub fn container(&self) -> Option<&Container> {
        if self.tag() & KIND != CONTAINER {
            return None;
        }
        // SAFETY: the tag says that an `Option<Container>` lies at this aligned place, owned by the record; `&self` keeps it there.
        unsafe { &*self.held() }.as_ref()
    }

    /// The same, to be changed in place.
    #[inline]
    pub fn container_mut(&mut self) -> Option<&mut Container> {
        if self.tag() & KIND != CONTAINER {
            return None;
        }
        // SAFETY: as in `container`; `&mut self` makes this the only reference.
        unsafe { &mut *self.held() }.as_mut()
    }

    /// Takes the container out. What stays has no value: it is to be dropped or to be given another.
    pub fn take_container(&mut self) -> Option<Box<Container>> {
        if self.tag() & KIND != CONTAINER {
            return None;
        }
        // SAFETY: as in `container_mut`.
        unsafe { &mut *self.held() }.take().map(Box::new)
    }

    /// The value alone.
    pub fn detach(mut self) -> Detached {
        match self.take_container() {
            Some(container) => Detached::Container(container),
            None => self.copy(),
        }
    }

    /// A copy of the value; a large string is shared.
    pub fn copy(&self) -> Detached {
        match (self.string(), self.container()) {
            (Some(View::Integer(number)), _) => Detached::Integer(number),
            (Some(View::Bytes(bytes)), _) if self.tag() & RAW != 0 => Detached::Raw(bytes.into()),
            (Some(View::Bytes(bytes)), _) => Detached::Bytes(bytes.into()),
            (Some(View::Large(buffer)), _) => Detached::Large(Arc::clone(buffer)),
            (None, Some(container)) => Detached::Container(Box::new(container.clone())),
            (None, None) => unreachable!("a record without a value is dropped at once"),
        }
    }

    /// TYPE's word.
    pub fn type_name(&self) -> &'static str {
        self.container().map_or("string", Container::type_name)
    }

    /// OBJECT ENCODING's word.
    pub fn encoding(&self) -> &'static str {
        match (self.tag() & KIND, self.container()) {
            (_, Some(container)) => container.encoding(),
            (INTEGER, _) => "int",
            (EMBEDDED, _)
                if self.tag() & RAW == 0 && self.string().is_some_and(|text| text.len() <= EMBSTR_MAX) =>
            {
                "embstr"
            }
            _ => "raw",
        }
    }

    /// When the key ends.
    #[inline]
    pub fn deadline(&self) -> Option<UnixMillis> {
        if self.tag() & HAS_DEADLINE == 0 {
            return None;
        }
        Some(UnixMillis(u64::from_le_bytes(self.word(self.deadline_at()))))
    }

    /// True if its time has come, or that of all that is in it: there is no such key any more.
    #[inline]
    pub fn is_due(&self, now: UnixMillis) -> bool {
        if self.tag() & (HAS_DEADLINE | TIMED_WITHIN) == 0 {
            return false;
        }
        self.deadline().is_some_and(|at| at <= now)
            || self.is_timed_within() && self.container().is_some_and(|container| container.is_over(now))
    }

    /// True if something in it has a deadline of its own.
    #[inline]
    pub fn is_timed_within(&self) -> bool {
        self.tag() & TIMED_WITHIN != 0
    }

    /// Before this moment neither it nor anything in it ends; `None` if nothing does.
    #[inline]
    pub fn soonest(&self) -> Option<UnixMillis> {
        if self.tag() & (HAS_DEADLINE | TIMED_WITHIN) == 0 {
            return None;
        }
        let within = self.container().and_then(Container::soonest);
        self.deadline().into_iter().chain(within).min()
    }

    /// Notes whether something in the container has a deadline, after the container was changed.
    #[inline]
    pub fn note_within(&mut self) {
        let Some(container) = self.container() else { return };
        let timed = if container.soonest().is_some() { TIMED_WITHIN } else { 0 };
        let tag = self.tag() & !TIMED_WITHIN | timed;
        self.write(0, &[tag]);
    }

    /// True if the walk of a snapshot is to pass it by.
    #[inline]
    pub fn is_passed_by(&self) -> bool {
        self.tag() & PASSED_BY != 0
    }

    /// Says so, or takes it back.
    pub fn pass_by(&mut self, passes: bool) {
        let mark = if passes { PASSED_BY } else { 0 };
        let tag = self.tag() & !PASSED_BY | mark;
        self.write(0, &[tag]);
    }

    /// Sets or takes away the deadline; the block is rebuilt only if it had none or has one no more.
    pub fn set_deadline(&mut self, deadline: Option<UnixMillis>) {
        match (self.tag() & HAS_DEADLINE != 0, deadline) {
            (false, None) => {}
            (true, Some(UnixMillis(millis))) => self.write(self.deadline_at(), &millis.to_le_bytes()),
            _ => self.rebuild(None, deadline, self.note()),
        }
    }

    /// Replaces the value, in place where the block has the same size.
    pub fn set_value(&mut self, value: Value<'_>) {
        let at = self.value_at();
        match (&value, self.tag() & KIND) {
            (Value::Integer(number), INTEGER) => return self.write(at, &number.to_le_bytes()),
            (Value::Bytes(bytes) | Value::Raw(bytes), EMBEDDED) if bytes.len() <= EMBEDDED_MAX => {
                let len = at + length_len(bytes.len()) + bytes.len();
                let used = self.used();
                if len == used || block_size(len) == block_size(used) {
                    let raw = if matches!(value, Value::Raw(_)) { RAW } else { 0 };
                    self.write(0, &[self.tag() & !RAW | raw]);
                    self.write_string(at, bytes);
                    return;
                }
            }
            _ => {}
        }
        let deadline = self.deadline();
        self.rebuild(Some(value), deadline, self.note());
    }

    /// The large string's buffer, to be changed in place; copied before if a reply still shares it.
    pub fn large_mut(&mut self) -> Option<&mut Vec<u8>> {
        if self.tag() & KIND != LARGE {
            return None;
        }
        // SAFETY: as in `view`; `&mut self` makes this the only reference through the record.
        Some(Arc::make_mut(unsafe { &mut *self.large() }))
    }

    /// The bytes of a string that is no integer, to be changed where they lie, as many as they are. It is `raw` from then on.
    pub fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        let tag = self.tag();
        match tag & KIND {
            LARGE => self.large_mut().map(Vec::as_mut_slice),
            EMBEDDED => {
                self.write(0, &[tag | RAW]);
                let at = self.value_at();
                let (len, prefix) = self.length_at(at);
                // SAFETY: as in `slice`: the string lies within the block; `&mut self` makes this the only reference.
                Some(unsafe { std::slice::from_raw_parts_mut(self.0.as_ptr().add(at + prefix), len) })
            }
            _ => None,
        }
    }

    /// When or how often it was used.
    #[inline]
    pub fn access(&self) -> Access {
        let bytes = self.slice(ACCESS_AT, 3);
        Access(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]))
    }

    /// Notes a use.
    #[inline]
    pub fn set_access(&mut self, access: Access) {
        self.write(ACCESS_AT, &(access.0 & Access::MASK).to_le_bytes()[..3]);
    }

    /// Bytes of memory that belong to this record alone: its block, and a large value's buffer or a container.
    #[inline]
    pub fn owned_bytes(&self) -> usize {
        let block = block_size(self.used());
        match self.tag() & KIND {
            EMBEDDED | INTEGER => block,
            LARGE => {
                // SAFETY: as in `string`.
                let buffer = unsafe { &*self.large() };
                block + block_size(ARC_BYTES) + block_size(buffer.capacity())
            }
            _ => block + self.container().map_or(0, Container::owned_bytes),
        }
    }

    /// Builds the block anew, with another value if one is given.
    pub(super) fn rebuild(&mut self, value: Option<Value<'_>>, deadline: Option<UnixMillis>, note: Note) {
        let fetched = self.is_fetched();
        let container = if value.is_none() { self.take_container() } else { None };
        let value = match (value, container) {
            (Some(value), _) => in_its_place(value),
            (None, Some(container)) => Value::Container(container),
            (None, None) => self.value(),
        };
        let is_passed_by = self.is_passed_by();
        let next = build(Parts { key: self.key(), value, deadline, access: self.access(), note });
        *self = next;
        self.pass_by(is_passed_by);
        self.set_fetched(fetched);
    }

    /// The value as it would be stored again; a container is copied.
    fn value(&self) -> Value<'_> {
        match self.string() {
            Some(View::Integer(number)) => Value::Integer(number),
            Some(View::Bytes(bytes)) if self.tag() & RAW != 0 => Value::Raw(bytes),
            Some(View::Bytes(bytes)) => Value::Bytes(bytes),
            Some(View::Large(buffer)) => Value::Large(Arc::clone(buffer)),
            None => match self.container() {
                Some(container) => Value::Container(Box::new(container.clone())),
                None => unreachable!("a record without a value is dropped at once"),
            },
        }
    }

    #[inline]
    pub(super) fn tag(&self) -> u8 {
        self.slice(0, 1)[0]
    }

    /// Where the key's length stands.
    #[inline]
    fn head(&self) -> usize {
        match self.tag() & KIND {
            CONTAINER => CONTAINER_HEAD,
            LARGE => LARGE_HEAD,
            _ => HEAD,
        }
    }

    #[inline]
    fn deadline_len(&self) -> usize {
        if self.tag() & HAS_DEADLINE != 0 { DEADLINE_LEN } else { 0 }
    }

    fn deadline_at(&self) -> usize {
        let head = self.head();
        head + self.length_at(head).1
    }

    /// Where the note begins, if there is one; else the value.
    #[inline]
    pub(super) fn note_at(&self) -> usize {
        let head = self.head();
        let (len, prefix) = self.length_at(head);
        head + prefix + self.deadline_len() + len
    }

    pub(super) fn note_len(&self) -> usize {
        if self.tag() & NOTED == 0 { 0 } else { note::len_of(self.slice(self.note_at(), 1)[0]) }
    }

    /// Where the value begins.
    #[inline]
    fn value_at(&self) -> usize {
        let at = self.note_at();
        if self.tag() & NOTED == 0 { at } else { at + note::len_of(self.slice(at, 1)[0]) }
    }

    /// Bytes of the block that mean something.
    fn used(&self) -> usize {
        let at = self.value_at();
        match self.tag() & KIND {
            INTEGER => at + WORD,
            EMBEDDED => {
                let (len, prefix) = self.length_at(at);
                at + prefix + len
            }
            _ => at,
        }
    }

    /// A length below 255 takes one byte, others five.
    #[inline]
    fn length_at(&self, at: usize) -> (usize, usize) {
        let first = self.slice(at, 1)[0];
        if first < 255 {
            return (usize::from(first), 1);
        }
        let bytes = self.slice(at + 1, 4);
        (u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize, 5)
    }

    #[inline]
    fn word(&self, at: usize) -> [u8; WORD] {
        let mut word = [0; WORD];
        word.copy_from_slice(self.slice(at, WORD));
        word
    }

    #[inline]
    pub(super) fn slice(&self, at: usize, len: usize) -> &[u8] {
        // SAFETY: callers read where `build` has written: every offset is computed from lengths that stand in the block, and
        // whole blocks are initialised by `build`.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().add(at), len) }
    }

    #[inline]
    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) {
        // SAFETY: callers write within the block, whose size `block_size(used)` they have compared; `&mut self` excludes readers.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.0.as_ptr().add(at), bytes.len()) }
    }

    /// Writes length and bytes of an embedded string.
    fn write_string(&mut self, at: usize, bytes: &[u8]) {
        let prefix = length_prefix(bytes.len());
        self.write(at, &prefix.1[..prefix.0]);
        self.write(at + prefix.0, bytes);
    }

    fn large(&self) -> *mut Arc<Vec<u8>> {
        debug_assert_eq!(self.tag() & KIND, LARGE, "only large strings have a buffer of their own");
        // SAFETY: a large record has at least `LARGE_HEAD` bytes, so this stays within the block.
        unsafe { self.0.as_ptr().add(HELD_AT).cast() }
    }

    fn held(&self) -> *mut Option<Container> {
        debug_assert_eq!(self.tag() & KIND, CONTAINER, "only a container's record holds one");
        // SAFETY: a container's record has at least `CONTAINER_HEAD` bytes, so this stays within the block.
        unsafe { self.0.as_ptr().add(HELD_AT).cast() }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let layout = layout(self.used());
        match self.tag() & KIND {
            // SAFETY: the tag says that the record owns an `Arc` there; it is not used again.
            LARGE => unsafe { std::ptr::drop_in_place(self.large()) },
            // SAFETY: the same of an `Option<Container>`.
            CONTAINER => unsafe { std::ptr::drop_in_place(self.held()) },
            _ => {}
        }
        // SAFETY: the block was allocated by `build` with the layout of the same block size: changes in place keep it.
        unsafe { dealloc(self.0.as_ptr(), layout) }
    }
}

impl Clone for Record {
    /// The same in a block of its own; a large value's buffer is shared until one of them changes it.
    fn clone(&self) -> Record {
        let (key, deadline, access) = (self.key(), self.deadline(), self.access());
        let mut clone = build(Parts { key, value: self.value(), deadline, access, note: self.note() });
        clone.pass_by(self.is_passed_by());
        clone.set_fetched(self.is_fetched());
        clone
    }
}

impl Entry for Record {
    #[inline]
    fn key(&self) -> &[u8] {
        Record::key(self)
    }

    #[inline]
    fn prefetch(&self) {
        // A short key and its value lie within two lines.
        (0..2).for_each(|line| self.prefetch_line(line));
    }

    #[inline]
    fn prefetch_head(&self) {
        self.prefetch_line(0);
    }
}

impl Record {
    #[inline]
    fn prefetch_line(&self, line: usize) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let address = self.0.as_ptr().wrapping_add(64 * line).cast::<i8>();
            // SAFETY: a prefetch is a hint: it neither reads nor writes as far as the program can tell, and it cannot fault wherever it
            // points.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(address) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = line;
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record")
            .field("key", &String::from_utf8_lossy(self.key()))
            .field("value", &self.value())
            .field("deadline", &self.deadline())
            .finish()
    }
}

/// What an `Arc<Vec<u8>>` allocates besides the bytes: two counts, pointer, capacity, length.
const ARC_BYTES: usize = 40;

fn layout(used: usize) -> Layout {
    // Lengths are 32 bits each, so the sum cannot overflow.
    Layout::from_size_align(block_size(used), WORD).expect("a record's size is far below the address space")
}

fn length_len(len: usize) -> usize {
    if len < 255 { 1 } else { 5 }
}

/// How many bytes the prefix takes, and they.
fn length_prefix(len: usize) -> (usize, [u8; 5]) {
    let mut bytes = [255; 5];
    if len < 255 {
        bytes[0] = len as u8;
    } else {
        bytes[1..].copy_from_slice(&(len as u32).to_le_bytes());
    }
    (length_len(len), bytes)
}

/// Strings that are too long to be embedded get a buffer of their own.
fn in_its_place(value: Value<'_>) -> Value<'_> {
    match value {
        Value::Bytes(bytes) | Value::Raw(bytes) if bytes.len() > EMBEDDED_MAX => {
            Value::Large(Arc::new(bytes.to_vec()))
        }
        other => other,
    }
}

fn build(parts: Parts<'_>) -> Record {
    let key = parts.key;
    assert!(u32::try_from(key.len()).is_ok(), "a request, and so a key, is below four gigabytes");
    let (kind, head, tail) = match &parts.value {
        Value::Integer(_) => (INTEGER, HEAD, WORD),
        Value::Bytes(bytes) => (EMBEDDED, HEAD, length_len(bytes.len()) + bytes.len()),
        Value::Raw(bytes) => (EMBEDDED | RAW, HEAD, length_len(bytes.len()) + bytes.len()),
        Value::Large(_) => (LARGE, LARGE_HEAD, 0),
        Value::Container(_) => (CONTAINER, CONTAINER_HEAD, 0),
    };
    let deadline_len = if parts.deadline.is_some() { DEADLINE_LEN } else { 0 };
    let (note, note_len) = parts.note.encode();
    let used = head + length_len(key.len()) + deadline_len + key.len() + note_len + tail;
    let layout = layout(used);
    // SAFETY: the layout's size is not zero: a record has at least a head.
    let block = unsafe { alloc(layout) };
    let Some(block) = NonNull::new(block) else { handle_alloc_error(layout) };
    // SAFETY: the block is this large. Zeroing what is not written below makes every byte of it initialised.
    unsafe { std::ptr::write_bytes(block.as_ptr().add(used), 0, layout.size() - used) };
    // SAFETY: the block is at least as large as its head; whatever its size, it is zeroed here before its parts are written.
    unsafe { std::ptr::write_bytes(block.as_ptr(), 0, head) };
    let mut record = Record(block);
    let tag =
        kind | if parts.deadline.is_some() { HAS_DEADLINE } else { 0 } | if note_len > 0 { NOTED } else { 0 };
    record.write(0, &[tag]);
    record.write(ACCESS_AT, &(parts.access.0 & Access::MASK).to_le_bytes()[..3]);
    let mut at = head;
    let prefix = length_prefix(key.len());
    record.write(at, &prefix.1[..prefix.0]);
    at += prefix.0;
    if let Some(UnixMillis(millis)) = parts.deadline {
        record.write(at, &millis.to_le_bytes());
        at += DEADLINE_LEN;
    }
    record.write(at, key);
    at += key.len();
    record.write(at, &note[..note_len]);
    at += note_len;
    match parts.value {
        Value::Integer(number) => record.write(at, &number.to_le_bytes()),
        Value::Bytes(bytes) | Value::Raw(bytes) => record.write_string(at, bytes),
        // SAFETY: the place is aligned, within the head, and holds nothing that would have to be dropped.
        Value::Large(buffer) => unsafe { std::ptr::write(record.large(), buffer) },
        // SAFETY: the same.
        Value::Container(container) => unsafe { std::ptr::write(record.held(), Some(*container)) },
    }
    record.note_within();
    record
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::element::Element;
    use crate::value::list::{Fill, List};
    use crate::value::pack::Side;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Value(Vec<u8>),
        Raw(Vec<u8>),
        Deadline(Option<u64>),
        Access(u32),
        Grow(u8),
        Turn(u8),
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..80),
            (0usize..5_000).prop_map(|len| vec![b'v'; len]),
            any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        ]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            bytes().prop_map(Step::Value),
            bytes().prop_map(Step::Raw),
            proptest::option::of(any::<u64>()).prop_map(Step::Deadline),
            any::<u32>().prop_map(Step::Access),
            any::<u8>().prop_map(Step::Grow),
            any::<u8>().prop_map(Step::Turn),
        ]
    }

    proptest! {
        #[test]
        fn a_record_remembers_what_it_was_given(
            key in prop_oneof![proptest::collection::vec(any::<u8>(), 0..40), Just(vec![b'k'; 700])],
            first in bytes(),
            steps in proptest::collection::vec(step(), 0..30),
        ) {
            let (mut value, mut deadline, mut access) = (first.clone(), None, 0u32);
            let mut record = Record::new(&key, Value::of(&first), None, Access(0));
            for step in steps {
                match step {
                    Step::Value(next) => { record.set_value(Value::of(&next)); value = next; }
                    Step::Raw(next) => { record.set_value(Value::Raw(&next)); value = next; }
                    Step::Deadline(next) => { record.set_deadline(next.map(UnixMillis)); deadline = next; }
                    Step::Access(next) => { record.set_access(Access(next)); access = next & Access::MASK; }
                    Step::Turn(byte) => if let Some(bytes) = record.bytes_mut() {
                        bytes.iter_mut().for_each(|b| *b ^= byte);
                        value.iter_mut().for_each(|b| *b ^= byte);
                    }
                    Step::Grow(byte) => if let Some(buffer) = record.large_mut() { buffer.push(byte); value.push(byte); }
                }
                prop_assert_eq!(record.key(), &key[..]);
                prop_assert_eq!(record.string().map(|view| view.to_vec()), Some(value.clone()));
                prop_assert_eq!(record.string().map(|view| view.len()), Some(value.len()));
                prop_assert_eq!(record.deadline(), deadline.map(UnixMillis));
                prop_assert_eq!(record.access(), Access(access));
                prop_assert!(record.owned_bytes() >= key.len() + HEAD);
            }
        }
    }

    #[test]
    fn a_shared_buffer_is_copied_before_it_changes() {
        let mut record = Record::new(b"k", Value::Bytes(&vec![b'x'; 3_000]), None, Access(0));
        let Some(View::Large(shared)) = record.string() else {
            panic!("3,000 bytes lie in a buffer of their own")
        };
        let shared = Arc::clone(shared);
        record.large_mut().expect("large").push(b'y');
        assert_eq!((shared.len(), record.string().map(|view| view.len())), (3_000, Some(3_001)));
    }

    #[test]
    fn encodings_have_the_names_of_redis() {
        for (value, name) in [
            (Value::of(b"12"), "int"),
            (Value::of(b"012"), "embstr"),
            (Value::Bytes(&[b'x'; 44]), "embstr"),
            (Value::Bytes(&[b'x'; 45]), "raw"),
            (Value::Raw(b"x"), "raw"),
            (Value::Bytes(&[b'x'; 5_000]), "raw"),
        ] {
            assert_eq!(Record::new(b"k", value, None, Access(0)).encoding(), name);
        }
    }

    #[test]
    fn a_deadline_costs_eight_bytes() {
        let value = [b'v'; 32];
        let plain = Record::new(&[b'k'; 16], Value::Bytes(&value), None, Access(0));
        let timed = Record::new(&[b'k'; 16], Value::Bytes(&value), Some(UnixMillis(1)), Access(0));
        assert_eq!((plain.used(), timed.used()), (54, 62));
        assert_eq!((plain.owned_bytes(), timed.owned_bytes()), (56, 64));
        assert_eq!(size_of::<Option<Record>>(), 8);
    }

    fn list_of(count: usize) -> Value<'static> {
        let mut list = List::default();
        (0..count).for_each(|n| list.push(Side::Right, format!("e{n}").as_bytes(), Fill(-2)));
        Value::Container(Box::new(Container::List(list)))
    }

    #[test]
    fn a_container_stays_what_it_is_while_the_record_is_built_anew() {
        let mut record = Record::new(b"key", list_of(100), None, Access(7));
        // Of its first element, which lies in a block of its own.
        let address = |record: &Record| match record.container() {
            Some(Container::List(list)) => match list.end(Side::Left) {
                Some(Element::Bytes(bytes)) => Some(bytes.as_ptr()),
                _ => None,
            },
            _ => None,
        };
        let (before, copy) = (address(&record), record.copy());
        for deadline in [Some(UnixMillis(5)), Some(UnixMillis(6)), None] {
            record.set_deadline(deadline);
            assert_eq!((address(&record), record.deadline()), (before, deadline), "moved, not copied");
        }
        assert_eq!((record.type_name(), record.encoding(), record.string()), ("list", "listpack", None));
        let clone = record.clone();
        assert_eq!((clone.copy(), clone.owned_bytes()), (copy, record.owned_bytes()));
        assert!(address(&clone) != before);
        record.set_value(Value::Integer(1));
        assert_eq!((record.key(), record.string()), (&b"key"[..], Some(View::Integer(1))));
        record.set_value(list_of(3));
        assert_eq!((record.type_name(), record.key(), record.access()), ("list", &b"key"[..], Access(7)));
        let taken = record.take_container().expect("it was there");
        assert!(record.container().is_none() && !taken.is_empty());
        record.set_value(Value::Bytes(b"x"));
        assert_eq!(record.encoding(), "embstr");
    }
}
