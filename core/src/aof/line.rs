//! One line of a log: a change of one key, or of whole databases, or what is to be known of transactions.
//!
//! ```text
//! line     kind [transaction] ...           kind: 1 byte, its highest bit says that a transaction follows
//! instant  milliseconds                     what follows happened then
//! command  database words word ...          a command on one key, as it was said or as it came out
//! entry    database flags bytes             a key with deadline and value, as it stands in a dump
//! gone     database key
//! flush    database + 1, or 0 for all
//! swap     database database
//! commit   transaction generation cores core ...  what these cores have written of it counts, in logs up to this generation
//! mark     number always                    this is in all logs, at one moment
//! end                                       nothing follows: the log of the next generation goes on from this moment, on all cores
//! ```
//!
//! Numbers are in groups of seven bits, the lowest first; bytes and words have their length before them.
//!
//! It knows how lines are written and read. It does not know what they do.

use std::borrow::Cow;

use crate::event::CoreId;
use crate::time::UnixMillis;
use crate::txn::work::TxId;

/// Names a transaction in all logs that one process writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxName {
    /// Who coordinates it.
    pub core: CoreId,
    /// Its name there.
    pub id: TxId,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// What follows happened at this instant, and expiry was judged by it.
    Instant(UnixMillis),
    /// A command that changes one key.
    Command {
        /// In which database.
        database: u16,
        /// Its name and its arguments.
        words: Words<'a>,
    },
    /// A key as it is from now on.
    Entry {
        /// In which database.
        database: u16,
        /// What memcached's clients keep with it.
        flags: u32,
        /// Deadline, key and value as in a dump.
        bytes: &'a [u8],
    },
    /// A key that is not there any more.
    Gone {
        /// In which database.
        database: u16,
        /// Its name.
        key: &'a [u8],
    },
    /// A database is empty, or all are.
    Flush(Option<u16>),
    /// Two databases have changed their numbers.
    Swap(u16, u16),
    /// A transaction counts: these cores have written of it.
    Commit {
        /// Which.
        tx: TxName,
        /// The latest generation of logs in which a part of it is.
        generation: u32,
        /// Who.
        cores: Cow<'a, [CoreId]>,
    },
    /// One moment in all logs.
    Mark {
        /// Counts from 1 in each generation of logs.
        number: u64,
        /// From here on everything is synced before anybody hears of it.
        is_always: bool,
    },
    /// Nothing follows in this file. What follows stands in that of the next generation, from the same moment on in all logs.
    End,
}

/// The words of a command, as they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl<'a> Words<'a> {
    /// How many.
    pub fn len(&self) -> usize {
        self.count
    }

    /// True without words.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// As they are written, their lengths among them.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = Scan { bytes: self.bytes, at: 0 };
        (0..self.count).map_while(move |_| rest.word())
    }
}

const INSTANT: u8 = 1;
const COMMAND: u8 = 2;
const ENTRY: u8 = 3;
const GONE: u8 = 4;
const FLUSH: u8 = 5;
const SWAP: u8 = 6;
const COMMIT: u8 = 7;
const MARK: u8 = 8;
const END: u8 = 9;
const OF_TRANSACTION: u8 = 0x80;

/// Writes lines, one behind the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lines {
    /// What is written.
    pub bytes: Vec<u8>,
    instant: Option<UnixMillis>,
    parts: u64,
}

impl Lines {
    /// Lines of transactions so far.
    pub fn parts(&self) -> u64 {
        self.parts
    }

    /// Forgets what is written; the room is kept.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.instant = None;
    }

    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    fn word(&mut self, word: &[u8]) {
        self.number(word.len() as u64);
        self.bytes.extend_from_slice(word);
    }

    fn begin(&mut self, kind: u8, tx: Option<TxName>, instant: Option<UnixMillis>) {
        if let Some(instant) = instant.filter(|instant| self.instant != Some(*instant)) {
            self.instant = Some(instant);
            self.bytes.push(INSTANT);
            self.number(instant.0);
        }
        self.parts += u64::from(tx.is_some());
        self.bytes.push(if tx.is_some() { kind | OF_TRANSACTION } else { kind });
        if let Some(tx) = tx {
            self.name(tx);
        }
    }

    fn name(&mut self, tx: TxName) {
        self.number(u64::from(tx.core.0));
        self.number(u64::from(tx.id.index));
        self.number(u64::from(tx.id.generation));
    }

    /// A command on one key, at an instant.
    pub fn command<'w>(
        &mut self,
        tx: Option<TxName>,
        database: u16,
        instant: UnixMillis,
        count: usize,
        words: impl Iterator<Item = &'w [u8]>,
    ) {
        self.begin(COMMAND, tx, Some(instant));
        self.number(u64::from(database));
        self.number(count as u64);
        words.for_each(|word| self.word(word));
    }

    /// A key as it is, written as in a dump.
    pub fn entry(
        &mut self,
        tx: Option<TxName>,
        database: u16,
        instant: UnixMillis,
        flags: u32,
        entry: &[u8],
    ) {
        self.begin(ENTRY, tx, Some(instant));
        self.number(u64::from(database));
        self.number(u64::from(flags));
        self.word(entry);
    }

    /// A line about one key, of no transaction.
    pub(crate) fn copy(&mut self, line: &Line<'_>, instant: UnixMillis) {
        match line {
            Line::Command { database, words } => {
                self.command(None, *database, instant, words.len(), words.iter());
            }
            Line::Entry { database, flags, bytes } => self.entry(None, *database, instant, *flags, bytes),
            Line::Gone { database, key } => self.gone(None, *database, key),
            _ => {}
        }
    }

    /// A key is gone.
    pub fn gone(&mut self, tx: Option<TxName>, database: u16, key: &[u8]) {
        self.begin(GONE, tx, None);
        self.number(u64::from(database));
        self.word(key);
    }

    /// A database is empty, or all are.
    pub fn flush(&mut self, tx: Option<TxName>, database: Option<u16>) {
        self.begin(FLUSH, tx, None);
        self.number(database.map_or(0, |database| u64::from(database) + 1));
    }

    /// Two databases have changed their numbers.
    pub fn swap(&mut self, tx: Option<TxName>, one: u16, other: u16) {
        self.begin(SWAP, tx, None);
        self.number(u64::from(one));
        self.number(u64::from(other));
    }

    /// A transaction counts.
    pub fn commit(&mut self, tx: TxName, generation: u32, cores: &[CoreId]) {
        self.begin(COMMIT, None, None);
        self.name(tx);
        self.number(u64::from(generation));
        self.number(cores.len() as u64);
        cores.iter().for_each(|core| self.number(u64::from(core.0)));
    }

    /// One moment in all logs.
    pub fn mark(&mut self, number: u64, is_always: bool) {
        self.begin(MARK, None, None);
        self.number(number);
        self.number(u64::from(is_always));
    }

    /// Nothing follows.
    pub fn end(&mut self) {
        self.begin(END, None, None);
    }
}

/// Reads lines.
#[derive(Clone, Copy, Debug)]
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn small<T: TryFrom<u64>>(&mut self) -> Option<T> {
        T::try_from(self.number()?).ok()
    }

    fn word(&mut self) -> Option<&'a [u8]> {
        let len: usize = self.small()?;
        let word = self.bytes.get(self.at..self.at.checked_add(len)?)?;
        self.at += len;
        Some(word)
    }

    fn name(&mut self) -> Option<TxName> {
        let core = CoreId(self.small()?);
        Some(TxName { core, id: TxId { index: self.small()?, generation: self.small()? } })
    }
}

/// The line at the beginning of these bytes, of which transaction it is, and how many bytes it takes; `None` if it is no line.
pub fn line(bytes: &[u8]) -> Option<(Line<'_>, Option<TxName>, usize)> {
    let mut scan = Scan { bytes, at: 0 };
    let kind = scan.byte()?;
    let tx = if kind & OF_TRANSACTION != 0 { Some(scan.name()?) } else { None };
    let line = match kind & !OF_TRANSACTION {
        INSTANT => Line::Instant(UnixMillis(scan.number()?)),
        COMMAND => {
            let database = scan.small()?;
            let count: usize = scan.small()?;
            let start = scan.at;
            for _ in 0..count {
                scan.word()?;
            }
            Line::Command { database, words: Words { count, bytes: &bytes[start..scan.at] } }
        }
        ENTRY => Line::Entry { database: scan.small()?, flags: scan.small()?, bytes: scan.word()? },
        GONE => Line::Gone { database: scan.small()?, key: scan.word()? },
        FLUSH => Line::Flush(match scan.number()? {
            0 => None,
            number => Some(u16::try_from(number - 1).ok()?),
        }),
        SWAP => Line::Swap(scan.small()?, scan.small()?),
        COMMIT => {
            let (tx, generation) = (scan.name()?, scan.small()?);
            let count: u16 = scan.small()?;
            let cores = (0..count).map(|_| scan.small().map(CoreId)).collect::<Option<Vec<_>>>()?;
            Line::Commit { tx, generation, cores: Cow::Owned(cores) }
        }
        MARK => Line::Mark { number: scan.number()?, is_always: scan.number()? != 0 },
        END => Line::End,
        _ => return None,
    };
    Some((line, tx, scan.at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(mut bytes: &[u8]) -> Vec<(String, Option<TxName>)> {
        let mut all = Vec::new();
        while !bytes.is_empty() {
            let (line, tx, len) = line(bytes).expect("what is written can be read");
            let text = match line {
                Line::Command { database, words } => {
                    let words: Vec<_> = words.iter().map(String::from_utf8_lossy).collect();
                    format!("{database}: {}", words.join(" "))
                }
                line => format!("{line:?}"),
            };
            all.push((text, tx));
            bytes = &bytes[len..];
        }
        all
    }

    #[test]
    fn what_is_written_is_read() {
        let tx = TxName { core: CoreId(3), id: TxId { index: 700, generation: 90_000 } };
        let mut lines = Lines::default();
        let at = UnixMillis(1_700_000_000_000);
        lines.command(None, 0, at, 3, [&b"set"[..], b"key", b""].into_iter());
        lines.command(Some(tx), 300, at, 2, [&b"del"[..], &[b'x'; 200]].into_iter());
        lines.entry(None, 1, UnixMillis(5), u32::MAX, b"bytes");
        lines.gone(Some(tx), 2, b"gone");
        lines.flush(None, None);
        lines.flush(None, Some(0));
        lines.swap(Some(tx), 1, 2);
        lines.commit(tx, 5, &[CoreId(0), CoreId(7)]);
        lines.mark(8, true);
        lines.end();
        let texts: Vec<String> = read(&lines.bytes)
            .into_iter()
            .map(|(text, tx)| if tx.is_some() { format!("[{text}]") } else { text })
            .collect();
        let long = "x".repeat(200);
        assert_eq!(
            texts,
            [
                "Instant(UnixMillis(1700000000000))".to_string(),
                "0: set key ".into(),
                format!("[300: del {long}]"),
                "Instant(UnixMillis(5))".into(),
                format!("Entry {{ database: 1, flags: {}, bytes: {:?} }}", u32::MAX, b"bytes"),
                format!("[Gone {{ database: 2, key: {:?} }}]", b"gone"),
                "Flush(None)".into(),
                "Flush(Some(0))".into(),
                "[Swap(1, 2)]".into(),
                format!("Commit {{ tx: {tx:?}, generation: 5, cores: [CoreId(0), CoreId(7)] }}"),
                "Mark { number: 8, is_always: true }".into(),
                "End".into(),
            ]
        );
        assert_eq!(lines.parts(), 3);
        lines.clear();
        lines.command(None, 0, UnixMillis(5), 1, [&b"x"[..]].into_iter());
        assert_eq!(
            read(&lines.bytes)[0].0,
            "Instant(UnixMillis(5))",
            "what is written anew stands for itself"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_line_or_none(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some((line, _, len)) = line(&bytes) {
                prop_assert!(len <= bytes.len());
                if let Line::Command { words, .. } = line {
                    prop_assert_eq!(words.iter().count(), words.len());
                }
            }
        }
    }
}
