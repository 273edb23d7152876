//! A shard reads lines back: each is applied at its own instant, to one key.
//!
//! It knows what lines mean. It does not know where they come from, nor which of them count.

use std::mem::take;

use crate::aof::line::{Line, Words, line};
use crate::args::{Args, Span};
use crate::command::forms;
use crate::command::table::{self, Found};
use crate::database::Key;
use crate::engine::Engine;
use crate::hop::{Hop, run_hop};
use crate::protocol::chunks::Chunks;
use crate::protocol::reply::Resp;
use crate::rdb::file::{Item, item};
use crate::rdb::reader::Reader;
use crate::rdb::value::read;
use crate::session::ClientId;
use crate::shard::Deadline;
use crate::snapshot::load::LoadReport;
use crate::time::UnixMillis;
use crate::txn::work::Circumstances;
use crate::value::access::AccessRule;
use crate::value::note::Note;

/// The key that a line is about; `None`: it is about whole databases, or is no command that is known.
pub(crate) fn key_of<'a>(line: &Line<'a>) -> Option<std::borrow::Cow<'a, [u8]>> {
    match *line {
        Line::Command { words, .. } => {
            let (bytes, spans) = spread(words);
            let args = Args::new(bytes, &spans);
            let Found::Command(id) = table::find(args) else { return None };
            let place = id.row().takes(args.len()).then(|| id.row().keys.places(args).next())??;
            words.iter().nth(place).map(Into::into)
        }
        Line::Gone { key, .. } => Some(key.into()),
        Line::Entry { bytes, .. } => match item(bytes) {
            Ok((Item::Entry(entry), _)) => Some(entry.key),
            _ => None,
        },
        _ => None,
    }
}

/// Words as arguments.
fn spread(words: Words<'_>) -> (&[u8], Vec<Span>) {
    let bytes = words.bytes();
    let start = bytes.as_ptr() as usize;
    let span = |word: &[u8]| Span { start: (word.as_ptr() as usize - start) as u32, len: word.len() as u32 };
    (bytes, words.iter().map(span).collect())
}

impl Engine {
    /// Applies lines to this shard.
    pub(crate) fn replay_lines(&mut self, bytes: &[u8]) -> LoadReport {
        let onlookers = self.node.shard.look_away();
        let report = self.replay_all(bytes);
        self.node.shard.look_back(onlookers);
        report
    }

    fn replay_all(&mut self, mut bytes: &[u8]) -> LoadReport {
        let mut report = LoadReport::default();
        let mut instant = UnixMillis(0);
        let mut reply = Chunks::default();
        while !bytes.is_empty() {
            let Some((next, _, len)) = line(bytes) else {
                report.failure = Some((0, "it has a line that is not understood".into()));
                break;
            };
            bytes = &bytes[len..];
            if let Line::Instant(at) = next {
                instant = at;
                continue;
            }
            self.node.shard.pin(Some(instant));
            if let Err(why) = self.replay_line(&next, instant, &mut reply) {
                report.failure = Some((0, why));
                break;
            }
            report.keys += 1;
        }
        self.node.shard.pin(None);
        report
    }

    fn replay_line(
        &mut self,
        line: &Line<'_>,
        instant: UnixMillis,
        reply: &mut Chunks,
    ) -> Result<(), String> {
        let known = |database: u16| match database < self.node.settings.databases {
            true => Ok(usize::from(database)),
            false => {
                let databases = self.node.settings.databases;
                Err(format!("it has a database {database}, and there are only {databases} (`databases`)"))
            }
        };
        match *line {
            Line::Command { database, words } => {
                known(database)?;
                self.replay_command(database, words, instant, reply)
            }
            Line::Entry { database, flags, bytes } => {
                let database = known(database)?;
                self.replay_entry(database, flags, bytes, instant)
            }
            Line::Gone { database, key } => {
                let database = known(database)?;
                let shard = &mut self.node.shard;
                let key = Key { bytes: key, hash: shard.hasher().hash(key) };
                if let Some(record) = shard.databases[database].remove(key) {
                    shard.trash.add_record(record);
                }
                Ok(())
            }
            Line::Flush(Some(database)) => {
                let database = known(database)?;
                self.node.shard.flush(database);
                Ok(())
            }
            Line::Flush(None) => {
                self.node.shard.flush_all();
                Ok(())
            }
            Line::Swap(one, other) => {
                let (one, other) = (known(one)?, known(other)?);
                self.node.shard.swap(one, other);
                Ok(())
            }
            Line::Instant(_) | Line::Commit { .. } | Line::Mark { .. } | Line::End => Ok(()),
        }
    }

    fn replay_command(
        &mut self,
        database: u16,
        words: Words<'_>,
        instant: UnixMillis,
        reply: &mut Chunks,
    ) -> Result<(), String> {
        let (bytes, spans) = spread(words);
        let args = Args::new(bytes, &spans);
        let name = || String::from_utf8_lossy(args.at(0)).into_owned();
        let command = match table::find(args) {
            Found::Command(id) if id.row().takes(args.len()) && id.row().runs_on_a_shard() => id,
            _ => return Err(format!("it has a command that is not known: {}", name())),
        };
        let circumstances = Circumstances {
            client: ClientId(0),
            resp: Resp::V2,
            no_touch: false,
            unix_micros: instant.0.saturating_mul(1_000),
            clock: 0,
            round: 0,
        };
        let hop = Hop { command, database, circumstances: &circumstances, is_admitted: true, is_share: true };
        let mut keys = take(&mut self.keys);
        self.node.find_keys(&hop, args, false, &mut keys);
        reply.truncate(0);
        run_hop(&mut self.node, &keys, &hop, args, reply, None);
        self.keys = keys;
        let said = reply.to_vec();
        match said.first() {
            Some(b'-') => {
                Err(format!("{} fails: {}", name(), String::from_utf8_lossy(&said[1..]).trim_end()))
            }
            _ => Ok(()),
        }
    }

    fn replay_entry(
        &mut self,
        database: usize,
        flags: u32,
        bytes: &[u8],
        instant: UnixMillis,
    ) -> Result<(), String> {
        let Ok((Item::Entry(entry), _)) = item(bytes) else {
            return Err("it has a key that is not understood".into());
        };
        let shard = &mut self.node.shard;
        let hasher = shard.hasher().clone();
        let forms = forms(&self.node.settings, &hasher);
        let value =
            read(entry.kind, &mut Reader::new(entry.value), &forms).map_err(|wrong| wrong.why.to_string())?;
        let key = Key { bytes: &entry.key, hash: hasher.hash(&entry.key) };
        let access = AccessRule::Recency { seconds: instant.0 / 1_000 };
        let deadline = entry.deadline.map_or(Deadline::Clear, Deadline::At);
        shard.reaches(database);
        let mut old = None;
        value.store(|value| {
            let note = Note { flags, ..Note::default() };
            old = shard.databases[database].store(key, value, deadline, Some(note), access);
        });
        if let Some(old) = old {
            shard.trash.add_container(old);
        }
        Ok(())
    }
}
