//! A dump as a file: its frame, and its entries one after the other.
//!
//! ```text
//! "REDIS" | version, 4 digits | entry ... | END | CRC-64 of all before, 8 bytes little endian
//! entry:  KEY frame ... kind key value · SELECT database · RESIZE keys keys · AUX name value
//! ```
//!
//! It writes entries, and finds where each ends in bytes that have come so far, without looking into values. It does not know how values are
//! made of their bytes.

use std::borrow::Cow;

use crc_fast::{CrcAlgorithm, Digest};

use super::reader::Reader;
use super::value::{begin, write};
use super::writer::Writer;
use super::{Corrupt, VERSION, kind};
use crate::time::UnixMillis;
use crate::value::record::Record;

/// Marks between entries.
mod mark {
    pub(super) const SLOT: u8 = 0xf4;
    pub(super) const FUNCTION: u8 = 0xf5;
    pub(super) const MODULE: u8 = 0xf7;
    pub(super) const IDLE: u8 = 0xf8;
    pub(super) const FREQUENCY: u8 = 0xf9;
    pub(super) const AUX: u8 = 0xfa;
    pub(super) const RESIZE: u8 = 0xfb;
    pub(super) const DEADLINE_MILLIS: u8 = 0xfc;
    pub(super) const DEADLINE_SECONDS: u8 = 0xfd;
    pub(super) const SELECT: u8 = 0xfe;
    pub(super) const END: u8 = 0xff;
}

/// A value of a module, which says what it is made of.
const MODULE_VALUE: u8 = 7;
/// Later versions of the file are refused. Redis 8 writes 12, Valkey 9 writes 80, whose entries differ in nothing that is read here.
const FILE_VERSION_MAX: u32 = 80;
/// From this version on a checksum follows the end.
const VERSION_WITH_SUM: u32 = 5;
const HEADER_LEN: usize = 9;
/// Bytes of the checksum.
pub const SUM_LEN: usize = 8;

/// The checksum of everything before, and of these bytes.
pub fn sum_on(sum: u64, bytes: &[u8]) -> u64 {
    let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc64Redis, sum);
    digest.update(bytes);
    digest.finalize()
}

/// The beginning of a file, and what programs like to know of it.
pub fn write_header(facts: &[(&str, &str)], writer: &mut Writer) {
    writer.out.extend_from_slice(format!("REDIS{VERSION:04}").as_bytes());
    for (name, value) in facts {
        writer.byte(mark::AUX);
        writer.string(name.as_bytes());
        writer.string(value.as_bytes());
    }
}

/// What follows belongs to this database.
pub fn write_select(database: u16, writer: &mut Writer) {
    writer.byte(mark::SELECT);
    writer.length(u64::from(database));
}

/// So many keys follow in this database, and so many of them have a deadline: who reads it need not grow a table by and by.
pub fn write_resize([keys, with_deadline]: [u64; 2], writer: &mut Writer) {
    writer.byte(mark::RESIZE);
    writer.length(keys);
    writer.length(with_deadline);
}

/// The name of a fact that says what memcached's clients keep with the key that follows. Who does not know it passes it over, as Redis does.
pub const FLAGS: &[u8] = b"memcached-flags";

/// What memcached's clients keep with the key that follows.
pub fn write_flags(flags: u32, writer: &mut Writer) {
    writer.byte(mark::AUX);
    writer.string(FLAGS);
    writer.string(flags.to_string().as_bytes());
}

/// A key with its deadline and value.
pub fn write_entry(record: &Record, writer: &mut Writer) {
    write_deadline(record, writer);
    write(record, Some(record.key()), writer);
}

/// A key with its deadline and how its value is written, which follows.
pub fn begin_entry(record: &Record, writer: &mut Writer) {
    write_deadline(record, writer);
    begin(record, Some(record.key()), writer);
}

fn write_deadline(record: &Record, writer: &mut Writer) {
    if let Some(deadline) = record.deadline() {
        writer.byte(mark::DEADLINE_MILLIS);
        writer.wide(deadline.0);
    }
}

/// The end, before the checksum.
pub fn write_end(writer: &mut Writer) {
    writer.byte(mark::END);
}

/// A key as it stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its name.
    pub key: Cow<'a, [u8]>,
    /// When it ends.
    pub deadline: Option<UnixMillis>,
    /// How its value is written.
    pub kind: u8,
    /// As it is written.
    pub value: &'a [u8],
}

/// What stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A fact about the file.
    Aux(Cow<'a, [u8]>, Cow<'a, [u8]>),
    /// What follows belongs to this database.
    Select(u64),
    /// So many keys follow in this database.
    Resize(u64),
    /// A key.
    Entry(Entry<'a>),
    /// A library of functions, which is not kept.
    Function,
    /// Something of a module, which is not kept: a key's value, or what stands beside keys.
    Module,
    /// Nothing that matters.
    Ignored,
    /// The end of the entries.
    End,
}

/// Why there is no item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It goes on in bytes that have not come yet.
    Incomplete,
    /// It is wrong.
    Corrupt(Corrupt),
}

type Scan<T> = Result<T, Stop>;

/// The version of a file that begins with these bytes, and how many of them say so.
pub fn header(bytes: &[u8]) -> Scan<(u32, usize)> {
    let corrupt = |why| Stop::Corrupt(Corrupt { at: 0, why });
    let Some(head) = bytes.first_chunk::<HEADER_LEN>() else {
        let known = bytes.len().min(5);
        return Err(match bytes[..known] == b"REDIS"[..known] {
            true => Stop::Incomplete,
            false => corrupt(NO_DUMP),
        });
    };
    let version = std::str::from_utf8(&head[5..]).ok().and_then(|digits| digits.parse().ok());
    match (head.starts_with(b"REDIS"), version) {
        (true, Some(version @ 1..=FILE_VERSION_MAX)) => Ok((version, HEADER_LEN)),
        (true, Some(_)) => Err(corrupt("it is of a version that is not known")),
        _ => Err(corrupt(NO_DUMP)),
    }
}

const NO_DUMP: &str = "it does not begin as a dump does";

/// Bytes of the checksum behind the end in a file of this version.
pub fn sum_len(version: u32) -> usize {
    if version >= VERSION_WITH_SUM { SUM_LEN } else { 0 }
}

/// The item at the beginning of these bytes, and how many it takes.
pub fn item(bytes: &[u8]) -> Scan<(Item<'_>, usize)> {
    let mut scanner = Scanner { bytes, at: 0 };
    let item = scanner.item()?;
    Ok((item, scanner.at))
}

/// Finds where things end.
struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    fn corrupt<T>(&self, why: &'static str) -> Scan<T> {
        Err(Stop::Corrupt(Corrupt { at: self.at, why }))
    }

    fn take(&mut self, count: u64) -> Scan<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let taken =
            usize::try_from(count).ok().and_then(|count| rest.get(..count)).ok_or(Stop::Incomplete)?;
        self.at += taken.len();
        Ok(taken)
    }

    fn byte(&mut self) -> Scan<u8> {
        Ok(self.take(1)?[0])
    }

    /// A length, or the mark of a string in another form.
    fn length_or_mark(&mut self) -> Scan<Result<u64, u8>> {
        let first = self.byte()?;
        let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        Ok(Ok(match (first >> 6, first) {
            (0, _) => u64::from(first),
            (1, _) => u64::from(first & 0x3f) << 8 | u64::from(self.byte()?),
            (3, _) => return Ok(Err(first)),
            (_, 0x80) => number(self.take(4)?),
            (_, 0x81) => number(self.take(8)?),
            _ => return self.corrupt("no length begins so"),
        }))
    }

    fn length(&mut self) -> Scan<u64> {
        match self.length_or_mark()? {
            Ok(length) => Ok(length),
            Err(_) => self.corrupt("a length is missing"),
        }
    }

    fn skip_string(&mut self) -> Scan<()> {
        let count = match self.length_or_mark()? {
            Ok(length) => length,
            Err(0xc0) => 1,
            Err(0xc1) => 2,
            Err(0xc2) => 4,
            Err(0xc3) => {
                let packed = self.length()?;
                self.length()?;
                packed
            }
            Err(_) => return self.corrupt("a string is written in an unknown way"),
        };
        self.take(count).map(drop)
    }

    fn string(&mut self) -> Scan<Cow<'a, [u8]>> {
        let start = self.at;
        self.skip_string()?;
        let written = &self.bytes[start..self.at];
        Reader::new(written)
            .string()
            .map_err(|wrong| Stop::Corrupt(Corrupt { at: start + wrong.at, why: wrong.why }))
    }

    fn times(&mut self, count: u64, one: impl Fn(&mut Self) -> Scan<()>) -> Scan<()> {
        (0..count).try_for_each(|_| one(self))
    }

    fn item(&mut self) -> Scan<Item<'a>> {
        let (mut deadline, start) = (None, self.at);
        loop {
            let kind = self.byte()?;
            let is_framed = self.at > start + 1;
            match kind {
                mark::DEADLINE_MILLIS => deadline = Some(UnixMillis(self.little(8)?)),
                mark::DEADLINE_SECONDS => {
                    deadline = Some(UnixMillis(self.little(4)?.saturating_mul(1_000)));
                }
                mark::IDLE => drop(self.length()?),
                mark::FREQUENCY => drop(self.byte()?),
                mark::AUX | mark::RESIZE | mark::SELECT | mark::END if is_framed => {
                    return self.corrupt("a key is missing");
                }
                mark::AUX => return Ok(Item::Aux(self.string()?, self.string()?)),
                mark::SELECT => return Ok(Item::Select(self.length()?)),
                mark::RESIZE => {
                    let keys = self.length()?;
                    self.length()?;
                    return Ok(Item::Resize(keys));
                }
                mark::SLOT => {
                    self.times(3, |scanner| scanner.length().map(drop))?;
                    return Ok(Item::Ignored);
                }
                mark::FUNCTION => {
                    self.skip_string()?;
                    return Ok(Item::Function);
                }
                mark::MODULE => {
                    // Whose it is, when it was written, and what.
                    self.times(3, |scanner| scanner.length().map(drop))?;
                    self.skip_module()?;
                    return Ok(Item::Module);
                }
                mark::END => return Ok(Item::End),
                MODULE_VALUE => {
                    self.skip_string()?;
                    self.length()?;
                    self.skip_module()?;
                    return Ok(Item::Module);
                }
                kind => {
                    let key = self.string()?;
                    let start = self.at;
                    self.skip_value(kind)?;
                    let value = &self.bytes[start..self.at];
                    return Ok(Item::Entry(Entry { key, deadline, kind, value }));
                }
            }
        }
    }

    fn little(&mut self, count: u64) -> Scan<u64> {
        Ok(self.take(count)?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// Values of a module say of each part what it is.
    fn skip_module(&mut self) -> Scan<()> {
        loop {
            match self.length()? {
                0 => return Ok(()),
                1 | 2 => drop(self.length()?),
                3 => drop(self.take(4)?),
                4 => drop(self.take(8)?),
                5 => self.skip_string()?,
                _ => return self.corrupt("a module's value has a part of unknown form"),
            }
        }
    }

    fn skip_value(&mut self, kind: u8) -> Scan<()> {
        let string = |scanner: &mut Self| scanner.skip_string();
        match kind {
            kind::STRING
            | kind::HASH_ZIPMAP
            | kind::LIST_ZIPLIST
            | kind::SET_INTSET
            | kind::ZSET_ZIPLIST
            | kind::HASH_ZIPLIST
            | kind::HASH_LISTPACK
            | kind::ZSET_LISTPACK
            | kind::SET_LISTPACK => self.skip_string(),
            kind::LIST | kind::SET | kind::LIST_QUICKLIST => {
                let count = self.length()?;
                self.times(count, string)
            }
            kind::HASH => {
                let count = self.length()?;
                self.times(count, |scanner| scanner.times(2, string))
            }
            kind::ZSET => {
                let count = self.length()?;
                self.times(count, |scanner| {
                    scanner.skip_string()?;
                    match scanner.byte()? {
                        253..=255 => Ok(()),
                        length => scanner.take(u64::from(length)).map(drop),
                    }
                })
            }
            kind::ZSET_2 => {
                let count = self.length()?;
                self.times(count, |scanner| {
                    scanner.skip_string()?;
                    scanner.take(8).map(drop)
                })
            }
            kind::LIST_QUICKLIST_2 => {
                let count = self.length()?;
                self.times(count, |scanner| {
                    scanner.length()?;
                    scanner.skip_string()
                })
            }
            kind::HASH_METADATA => {
                self.take(8)?;
                let count = self.length()?;
                self.times(count, |scanner| {
                    scanner.length()?;
                    scanner.times(2, string)
                })
            }
            kind::HASH_LISTPACK_EX => {
                self.take(8)?;
                self.skip_string()
            }
            kind::STREAM | kind::STREAM_2 | kind::STREAM_3 => self.skip_stream(kind),
            _ => self.corrupt("a value of unknown type"),
        }
    }

    fn skip_stream(&mut self, kind: u8) -> Scan<()> {
        let length = |scanner: &mut Self| scanner.length().map(drop);
        let pages = self.length()?;
        self.times(pages, |scanner| scanner.times(2, |scanner| scanner.skip_string()))?;
        // Entries and the last id; later also the first, the highest that was deleted, and how many were ever added.
        self.times(if kind == kind::STREAM { 3 } else { 8 }, length)?;
        let groups = self.length()?;
        self.times(groups, |scanner| {
            scanner.skip_string()?;
            scanner.times(if kind == kind::STREAM { 2 } else { 3 }, length)?;
            let pending = scanner.length()?;
            scanner.times(pending, |scanner| {
                scanner.take(16 + 8)?;
                length(scanner)
            })?;
            let consumers = scanner.length()?;
            scanner.times(consumers, |scanner| {
                scanner.skip_string()?;
                scanner.take(if kind == kind::STREAM_3 { 16 } else { 8 })?;
                let pending = scanner.length()?;
                scanner.times(pending, |scanner| scanner.take(16).map(drop))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_redis_and_goes_on_where_it_stopped() {
        let bytes = b"123456789";
        for n in 0..=bytes.len() {
            // The known value of Redis's own test.
            assert_eq!(sum_on(sum_on(0, &bytes[..n]), &bytes[n..]), 0xe9c6_d914_c4b8_d9ca);
        }
    }

    /// Items of every kind, and how they are told.
    fn whole() -> Vec<u8> {
        let mut writer = Writer::new(false);
        write_header(&[("ctime", "1700000000")], &mut writer);
        write_select(300, &mut writer);
        write_resize([70_000, 0], &mut writer);
        writer.byte(mark::DEADLINE_SECONDS);
        writer.out.extend_from_slice(&7u32.to_le_bytes());
        writer.byte(mark::IDLE);
        writer.length(9);
        writer.byte(kind::STRING);
        writer.string(b"key");
        writer.string(b"12");
        writer.byte(mark::FUNCTION);
        writer.string(b"#!lua name=lib");
        writer.byte(MODULE_VALUE);
        writer.string(b"of a module");
        writer.length(1 << 40);
        [2, 77, 5].into_iter().for_each(|part| writer.length(part));
        writer.string(b"text");
        writer.byte(4);
        writer.wide(1);
        writer.length(0);
        write_end(&mut writer);
        writer.out
    }

    #[test]
    fn items_are_told_apart_and_skipped() {
        let bytes = whole();
        let (version, mut at) = header(&bytes).expect("it is a dump");
        assert_eq!((version, sum_len(version)), (10, 8));
        let mut items = Vec::new();
        while at < bytes.len() {
            let (item, len) = item(&bytes[at..]).expect("it is whole");
            items.push(item);
            at += len;
        }
        let entry = Entry {
            key: Cow::Borrowed(b"key"),
            deadline: Some(UnixMillis(7_000)),
            kind: kind::STRING,
            value: &[0xc0, 12],
        };
        let ctime = Item::Aux(Cow::Borrowed(b"ctime"), Cow::Owned(b"1700000000".to_vec()));
        let (select, resize) = (Item::Select(300), Item::Resize(70_000));
        let expected = [ctime, select, resize, Item::Entry(entry), Item::Function, Item::Module, Item::End];
        assert_eq!(items, expected);
    }

    #[test]
    fn what_is_cut_anywhere_is_incomplete_and_never_believed() {
        let bytes = whole();
        for end in 0..bytes.len() {
            let mut at = match header(&bytes[..end]) {
                Ok((_, len)) => len,
                Err(stop) => {
                    assert_eq!(stop, Stop::Incomplete, "{end}");
                    continue;
                }
            };
            let stop = loop {
                match item(&bytes[at..end]) {
                    Ok((_, len)) => at += len,
                    Err(stop) => break stop,
                }
            };
            assert_eq!(stop, Stop::Incomplete, "{end}");
        }
        for wrong in [&b"RODIS0010"[..], b"REDIS0000", b"REDIS0999", b"REDIS-001", b"x"] {
            assert!(matches!(header(wrong), Err(Stop::Corrupt(_))), "{wrong:?}");
        }
        assert!(matches!(item(&[0xfc, 1, 2, 3, 4, 5, 6, 7, 8, 0xff]), Err(Stop::Corrupt(_))));
        assert!(matches!(item(&[99, 1, b'k']), Err(Stop::Corrupt(_))));
        assert_eq!(item(&[1, 1, b'k', 0x81, 255, 255, 255, 255, 255, 255, 255, 255]), Err(Stop::Incomplete));
    }
}
