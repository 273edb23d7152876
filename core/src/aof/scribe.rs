//! Turns what a command has changed into lines of the log.
//!
//! A command on one key that has changed just that key is written as it was said, with the instant by which it judged: run again at that instant,
//! it does the same. What a command has said in other words is written so. Of every other key it is written what it is now. So each line is
//! about one key and depends on nothing but that key's lines before it, and a command that nobody has thought of is written in a way that is
//! always right, if not always short.

use crate::aof::changes::{Aside, Changes};
use crate::aof::line::TxName;
use crate::args::Args;
use crate::command::row::Flags;
use crate::database::Key;
use crate::hop::Hop;
use crate::mutant::planted;
use crate::node::Node;
use crate::protocol::reply::Failure;
use crate::rdb::file::write_entry;
use crate::rdb::writer::Writer;
use crate::shard::KeyRef;
use crate::time::UnixMillis;

/// The words of a command, if they tell what it did.
fn is_told_by_its_words(changes: &Changes, hop: &Hop<'_>, args: Args<'_>, keys: &[KeyRef]) -> bool {
    let [key] = keys else { return false };
    let key = (hop.database, args.at(key.place as usize));
    changes.said.is_empty()
        && !changes.is_beyond_words
        && changes.has_keys()
        && !hop.command.row().flags.has(Flags::UNNAMED)
        && (0..changes.len()).all(|n| changes.key(n) == key)
}

impl Node {
    /// Why a log cannot be written, this core's or another's: what is to change on several shards must be written down on each.
    pub fn log_failure(&self) -> Option<&str> {
        self.pen.failure().or(self.status.log_failure.as_deref())
    }

    /// Why nothing may change, while a log cannot be written.
    pub(crate) fn log_refusal(&self) -> Option<Failure> {
        let why = self.log_failure()?;
        Some(Failure::text(format!("MISCONF Errors writing to the AOF file: {why}")))
    }

    /// Writes down what a command has done; `is_whole`: all of it, and without an error.
    #[inline]
    pub(crate) fn write_down(&mut self, hop: &Hop<'_>, args: Args<'_>, keys: &[KeyRef], is_whole: bool) {
        if !self.shard.changes.is_empty() {
            let instant = self.shard.judge(UnixMillis(hop.circumstances.unix_micros / 1_000));
            let changes = std::mem::take(&mut self.shard.changes);
            self.write_asides(&changes);
            if is_whole && is_told_by_its_words(&changes, hop, args, keys) {
                let tx = self.pen.tx;
                self.pen.write().command(tx, hop.database, instant, args.len(), args.iter());
            } else {
                self.write_changes(&changes, instant);
            }
            self.take_back(changes);
        }
    }

    /// Writes down what has happened without a command, or what a command of all shards has done.
    #[inline]
    pub(crate) fn write_down_asides(&mut self) {
        if !self.shard.changes.is_empty() {
            let changes = std::mem::take(&mut self.shard.changes);
            let instant = self.shard.judged();
            self.write_asides(&changes);
            self.write_changes(&changes, instant);
            self.take_back(changes);
        }
    }

    fn take_back(&mut self, mut changes: Changes) {
        changes.clear();
        changes.asides.clear();
        self.shard.changes = changes;
    }

    fn write_asides(&mut self, changes: &Changes) {
        let tx = self.pen.tx;
        for aside in &changes.asides {
            match aside {
                Aside::Gone(database, key) => self.pen.write().gone(None, *database, key),
                Aside::Flushed(database) => self.pen.write().flush(tx, *database),
                Aside::Swapped(one, other) => self.pen.write().swap(tx, *one, *other),
            }
        }
    }

    fn write_changes(&mut self, changes: &Changes, instant: UnixMillis) {
        let tx = self.pen.tx;
        for said in &changes.said {
            let words = said.words();
            self.pen.write().command(tx, said.database(), instant, words.len(), words);
        }
        for n in 0..changes.len() {
            let (database, key) = changes.key(n);
            if !changes.is_again(n) && !changes.is_said(database, key) {
                self.write_state(tx, database, key, instant);
            }
        }
    }

    fn write_state(&mut self, tx: Option<TxName>, database: u16, key: &[u8], instant: UnixMillis) {
        let place = Key { bytes: key, hash: self.shard.hasher().hash(key) };
        match self.shard.databases[usize::from(database)].get(place) {
            Some(record) if !record.is_due(instant) => {
                let mut writer = Writer::new(false);
                write_entry(record, &mut writer);
                let flags = record.note().flags;
                self.pen.write().entry(tx, database, instant, flags, &writer.out);
            }
            _ if planted("a key that is gone is not written down") => {}
            _ => self.pen.write().gone(tx, database, key),
        }
    }
}
