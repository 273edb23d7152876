//! Loading a dump: the keeper reads the file, finds where each key ends, and hands keys to the shards that own them, which decode the values.
//!
//! Reading goes ahead of finding, and finding ahead of the shards, each by a bounded amount. Until the end was seen and the checksum agrees
//! nothing counts as loaded: a file that is wrong anywhere stops the server, and says where and why.

use std::collections::BTreeMap;

use crate::command::forms;
use crate::database::Key;
use crate::engine::Engine;
use crate::event::{CoreId, DiskOutcome, DiskRequest, Effect, Effects, LogLevel};
use crate::files::Purpose;
use crate::rdb::file::{self, Item, Stop};
use crate::rdb::kind;
use crate::rdb::reader::Reader;
use crate::rdb::value::read;
use crate::shard::Shard;
use crate::snapshot::batch::{Batch, Keys, Loaded};
use crate::snapshot::pieces::Pieces;
use crate::snapshot::status::OfKeeper;
use crate::time::{Instant, Now};
use crate::value::access::AccessRule;
use crate::value::note::Note;
use crate::value::record::{Record, Value};

/// Bytes that are read at once, for each core: what was read is still near the CPU when it is looked at.
const READ_BYTES: usize = 128 << 10;
/// Bytes that are read at once however few or many cores there are.
const READ_MIN: usize = 256 << 10;
/// See above.
const READ_MAX: usize = 4 << 20;
/// While so many times that was read and not looked at, reading pauses.
const AHEAD: usize = 2;
/// Batches that one shard may have unanswered.
pub(crate) const BATCHES_MAX: usize = 4;
/// Keys of a batch whose buckets are on their way to the cache.
const HASHES_AHEAD: usize = 16;
/// Bytes that a step of background work looks at.
const STEP_BYTES: usize = 4 << 10;

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LoadReport {
    /// Keys that are there now.
    pub keys: u64,
    /// Keys whose time had come.
    pub expired: u64,
    /// Of a shard that has set aside what it had: bytes in its log.
    pub log_bytes: u64,
    /// What is wrong, and at which byte of the file.
    pub failure: Option<(u64, String)>,
}

/// A dump on its way in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Loader {
    path: String,
    /// Where the next read begins.
    read_to: u64,
    is_reading: bool,
    /// There is no more to be read.
    is_read: bool,
    /// Bytes that are read at once.
    read_bytes: usize,
    pieces: Pieces,
    /// So many bytes must be there before it is worth looking again.
    needs: usize,
    version: Option<u32>,
    /// Where entries belong that come next.
    database: u16,
    /// What memcached's clients keep with the entry that comes next.
    flags: u32,
    /// The end was seen.
    is_over: bool,
    /// By core: its keys in the piece that is being looked at.
    keys: Vec<Keys>,
    /// By core: those of the last piece, if they have not left yet.
    ready: Vec<Option<Batch>>,
    /// Batches that one shard may have unanswered.
    batches_max: usize,
    /// By core.
    in_flight: Vec<usize>,
    skipped: u64,
    /// By database: keys that the file has said there are.
    expected: BTreeMap<u16, u64>,
    began: Instant,
}

impl Loader {
    /// Before anything was read.
    pub fn new(path: String, cores: u16, batches_max: usize) -> Loader {
        let cores = usize::from(cores);
        Loader {
            path,
            read_to: 0,
            is_reading: false,
            is_read: false,
            read_bytes: (cores * READ_BYTES).clamp(READ_MIN, READ_MAX),
            pieces: Pieces::default(),
            needs: 1,
            version: None,
            database: 0,
            flags: 0,
            is_over: false,
            keys: vec![Keys::default(); cores],
            ready: vec![None; cores],
            batches_max,
            in_flight: vec![0; cores],
            skipped: 0,
            expected: BTreeMap::new(),
            began: Instant(0),
        }
    }

    /// True if a step of background work would bring it on.
    pub(crate) fn wants_step(&self) -> bool {
        if self.has_ready() {
            let mut ready = self.ready.iter().zip(&self.in_flight);
            return ready.any(|(batch, in_flight)| batch.is_some() && *in_flight < self.batches_max);
        }
        !self.is_over && (self.pieces.left() >= self.needs || self.is_read)
    }

    /// True if its last batches wait for credits.
    pub(crate) fn wants_credits(&self) -> bool {
        let mut ready = self.ready.iter().zip(&self.in_flight);
        self.is_over && ready.any(|(batch, in_flight)| batch.is_some() && *in_flight < self.batches_max)
    }

    /// True if batches are to leave before more is looked at.
    fn has_ready(&self) -> bool {
        self.ready.iter().any(Option::is_some)
    }

    /// Goes on to the next piece; keys that were found in this one are ready to leave.
    fn turn(&mut self) {
        let is_wanted = self.keys.iter().any(|keys| !keys.is_empty());
        let Some((piece, piece_at)) = self.pieces.turn(is_wanted) else { return };
        for (ready, keys) in self.ready.iter_mut().zip(&mut self.keys) {
            if !keys.is_empty() {
                *ready = Some(std::mem::take(keys).of_piece(piece.clone(), piece_at));
            }
        }
    }

    /// The file says that so many more keys follow in the database that is selected. Each shard is told of its part.
    fn expect(&mut self, more: u64) {
        let expected = self.expected.entry(self.database).or_default();
        *expected = expected.saturating_add(more);
        let part = usize::try_from(*expected / self.keys.len() as u64).unwrap_or(usize::MAX);
        self.keys.iter_mut().for_each(|keys| keys.expect(self.database, part));
    }
}

/// Why a dump is not taken, and at which byte.
type Wrong = (u64, String);

impl Engine {
    /// Reads on, if there is room.
    pub(crate) fn read_dump(&mut self, now: Now, out: &mut Effects) {
        let Some(loader) = &mut self.loader else { return };
        if loader.read_to == 0 && !loader.is_reading {
            loader.began = now.mono;
            self.node.status.loading_began = now.unix_seconds();
        }
        let is_needed = loader.pieces.left() < (AHEAD * loader.read_bytes).max(loader.needs);
        if !loader.is_reading && !loader.is_read && !loader.is_over && is_needed {
            loader.is_reading = true;
            let (path, at, len) = (loader.path.clone(), loader.read_to, loader.read_bytes);
            let into = loader.pieces.room(len);
            self.files.begin(Purpose::Load, DiskRequest::ReadAt { path, at, len, into }, out);
        }
    }

    /// A piece of the dump was read.
    pub(crate) fn dump_was_read(&mut self, outcome: DiskOutcome, now: Now, out: &mut Effects) {
        let Some(loader) = &mut self.loader else { return };
        loader.is_reading = false;
        match outcome {
            DiskOutcome::Content(bytes) => {
                let len = loader.pieces.add(bytes);
                loader.is_read = len == 0;
                loader.read_to += len as u64;
                self.node.status.loaded_bytes = loader.read_to;
            }
            DiskOutcome::Missing if self.recovery.is_some() && loader.read_to == 0 => {
                self.loader = None;
                return self.base_is_missing(now, out);
            }
            DiskOutcome::Missing => {
                return self.dump_is_wrong((0, "No such file or directory".into()), out);
            }
            DiskOutcome::Done => {}
            DiskOutcome::Failed(why) => {
                let at = loader.read_to;
                return self.dump_is_wrong((at, why), out);
            }
        }
        self.read_dump(now, out);
    }

    fn dump_is_wrong(&mut self, (at, why): Wrong, out: &mut Effects) {
        let Some(loader) = self.loader.take() else { return };
        let text = format!("The dump {} cannot be loaded: at byte {at}: {why}", loader.path);
        self.reading_fails(text, out);
    }

    /// Looks at so many steps' worth of what was read.
    pub(crate) fn load_some(&mut self, steps: usize, now: Now, out: &mut Effects) {
        let mut left = steps * STEP_BYTES;
        while left > 0 && self.loader.as_ref().is_some_and(|loader| loader.wants_step()) {
            match self.load_piece(left, out).and_then(|looked| self.send_ready(out).map(|()| looked)) {
                Ok(looked) => left = left.saturating_sub(looked.max(STEP_BYTES)),
                Err(wrong) => return self.dump_is_wrong(wrong, out),
            }
        }
        self.end_load_if_over(now, out);
        self.read_dump(now, out);
    }

    /// Looks at so many bytes, or up to where the piece ends; how many.
    fn load_piece(&mut self, bytes: usize, out: &mut Effects) -> Result<usize, Wrong> {
        let Some(loader) = self.loader.as_mut().filter(|loader| !loader.has_ready()) else { return Ok(0) };
        while loader.pieces.rest().len() < loader.needs && loader.pieces.has_next() {
            loader.turn();
            if loader.has_ready() {
                return Ok(0);
            }
        }
        let mut looked = 0;
        while looked < bytes {
            match self.load_one(out)? {
                0 => break,
                len => looked += len,
            }
        }
        Ok(looked)
    }

    /// Takes one thing out of the piece; how many bytes, none if it is not whole.
    fn load_one(&mut self, out: &mut Effects) -> Result<usize, Wrong> {
        let Some(loader) = self.loader.as_mut().filter(|loader| !loader.is_over) else { return Ok(0) };
        let bytes = loader.pieces.rest();
        let (at, is_last) = (loader.pieces.at(), loader.is_read && !loader.pieces.has_next());
        let found = match loader.version {
            None => file::header(bytes).map(|(version, len)| {
                loader.version = Some(version);
                (Item::Ignored, len)
            }),
            Some(_) => file::item(bytes),
        };
        let (item, len) = match found {
            Ok(found) => found,
            Err(Stop::Incomplete) if is_last => {
                let end = at + bytes.len() as u64;
                return Err((end, "the file ends too early: it was not written to its end".into()));
            }
            Err(Stop::Incomplete) => {
                // A long value is not looked at again for every piece of it that comes.
                loader.needs = 2 * bytes.len().max(1);
                return Ok(0);
            }
            Err(Stop::Corrupt(wrong)) => return Err((at + wrong.at as u64, wrong.why.into())),
        };
        loader.needs = 1;
        match item {
            Item::Entry(entry) => {
                let (hash, owner) = self.node.shard.hasher().place(&entry.key, None, self.node.cores);
                let flags = std::mem::take(&mut loader.flags);
                let end = loader.pieces.start() + len;
                loader.keys[usize::from(owner)].push(loader.database, &entry, hash, flags, end);
            }
            Item::Select(number) => {
                let databases = self.node.settings.databases;
                loader.database =
                    u16::try_from(number).ok().filter(|number| *number < databases).ok_or_else(|| {
                        (
                            at,
                            format!(
                                "it has a database {number}, and there are only {databases} (`databases`)"
                            ),
                        )
                    })?;
            }
            Item::Function | Item::Module => {
                loader.skipped += 1;
                let what = if item == Item::Module { "data of a module" } else { "a library of functions" };
                let text = format!("Loading a dump: {what} at byte {at} is not kept.");
                out.push(Effect::Log { level: LogLevel::Warning, text });
            }
            Item::End => {
                let sum_len = file::sum_len(loader.version.unwrap_or_default());
                let Some(sum) = bytes[len..].get(..sum_len) else {
                    if is_last {
                        return Err((at, "the checksum at its end is missing".into()));
                    }
                    loader.needs = len + sum_len;
                    return Ok(0);
                };
                let written = sum.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
                loader.pieces.consume(len);
                let summed = loader.pieces.sum();
                loader.is_over = true;
                loader.turn();
                // Redis writes zero where checksums are switched off.
                if self.node.settings.rdb_checksum && written != 0 && written != summed {
                    return Err((at + len as u64, "the checksum is another: the file was changed".into()));
                }
                return Ok(len);
            }
            Item::Aux(name, value) if *name == *file::FLAGS => {
                let flags = std::str::from_utf8(&value).ok().and_then(|digits| digits.parse().ok());
                loader.flags = flags.unwrap_or_default();
            }
            Item::Resize(keys) => loader.expect(keys),
            Item::Aux(..) | Item::Ignored => {}
        }
        loader.pieces.consume(len);
        Ok(len)
    }

    /// Batches leave, as far as their shards have room; this core's own is loaded, after those of others have left.
    fn send_ready(&mut self, out: &mut Effects) -> Result<(), Wrong> {
        let (me, Some(loader)) = (self.node.core, &mut self.loader) else { return Ok(()) };
        if !loader.has_ready() {
            return Ok(());
        }
        let max = loader.batches_max;
        for core in (0..self.node.cores).map(CoreId).filter(|core| *core != me) {
            let waits = |loader: &Loader| {
                loader.ready[core.index()].is_some() && loader.in_flight[core.index()] < max
            };
            if !self.loader.as_deref().is_some_and(waits) || !self.may_tell(core) {
                continue;
            }
            let Some(loader) = &mut self.loader else { return Ok(()) };
            loader.in_flight[core.index()] += 1;
            if let Some(batch) = loader.ready[core.index()].take() {
                self.tell(core, OfKeeper::Load(batch), out);
            }
        }
        let Some(loader) = &mut self.loader else { return Ok(()) };
        let Some(batch) = loader.ready[me.index()].take() else { return Ok(()) };
        let report = self.load_batch(&batch);
        self.reported(report)
    }

    fn reported(&mut self, report: LoadReport) -> Result<(), Wrong> {
        self.node.status.keys_loaded += report.keys;
        self.node.status.keys_expired += report.expired;
        match report.failure {
            Some(wrong) => Err(wrong),
            None => Ok(()),
        }
    }

    /// A shard has answered a batch.
    pub(crate) fn batch_is_loaded(&mut self, from: CoreId, report: LoadReport, now: Now, out: &mut Effects) {
        let Some(loader) = &mut self.loader else { return self.recovered_there(from, report, now, out) };
        loader.in_flight[from.index()] -= 1;
        if let Err(wrong) = self.reported(report) {
            return self.dump_is_wrong(wrong, out);
        }
        self.end_load_if_over(now, out);
    }

    /// When the file is at its end, the last batches leave; when all are answered, clients may come.
    fn end_load_if_over(&mut self, now: Now, out: &mut Effects) {
        if !self.loader.as_ref().is_some_and(|loader| loader.is_over) {
            return;
        }
        if let Err(wrong) = self.send_ready(out) {
            return self.dump_is_wrong(wrong, out);
        }
        let is_quiet = |loader: &mut Box<Loader>| {
            loader.in_flight.iter().all(|count| *count == 0) && !loader.has_ready()
        };
        let Some(loader) = self.loader.take_if(is_quiet) else { return };
        if self.recovery.is_some() {
            let end = loader.pieces.at() + file::sum_len(loader.version.unwrap_or_default()) as u64;
            return self.base_is_loaded(end, now, out);
        }
        let mut status = self.node.status.clone();
        status.is_loading = false;
        let seconds = now.mono.millis_since(loader.began) as f64 / 1_000.0;
        let (keys, expired) = (status.keys_loaded, status.keys_expired);
        for text in [
            format!("Done loading RDB, keys loaded: {keys}, keys expired: {expired}."),
            format!("DB loaded from disk: {seconds:.3} seconds"),
            "Ready to accept connections".into(),
        ] {
            out.push(Effect::Log { level: LogLevel::Notice, text });
        }
        self.tell_all(status, now, out);
    }

    /// Decodes keys of a dump into this shard.
    pub(crate) fn load_batch(&mut self, batch: &Batch) -> LoadReport {
        let mut report = LoadReport::default();
        let shard = &mut self.node.shard;
        let now = shard.judge(self.node.now.unix());
        let hasher = shard.hasher().clone();
        let forms = forms(&self.node.settings, &hasher);
        // What follows in a log may have given a key another deadline in time.
        let drops_due = !self.node.settings.appendonly && shard.former.is_none();
        for &(database, keys) in batch.expected() {
            shard.reaches(usize::from(database));
            shard.databases[usize::from(database)].expect(keys);
        }
        let prefetch = |shard: &Shard, next: Option<Loaded<'_>>| {
            if let Some(next) = next {
                shard.databases[usize::from(next.database)].prefetch_to_insert(next.hash);
            }
        };
        // Buckets are on their way to the cache while keys before them are decoded.
        let mut ahead = batch.iter();
        (0..HASHES_AHEAD).for_each(|_| prefetch(shard, ahead.next()));
        for loaded in batch.iter() {
            prefetch(shard, ahead.next());
            if drops_due && loaded.deadline.is_some_and(|at| at <= now) {
                report.expired += 1;
                continue;
            }
            let mut reader = Reader::new(loaded.value);
            let key = Key { bytes: loaded.key, hash: loaded.hash };
            shard.reaches(usize::from(loaded.database));
            let database = &mut shard.databases[usize::from(loaded.database)];
            if database.get(key).is_some() {
                report.failure = Some((loaded.offset, "a key is there twice".into()));
                break;
            }
            let deadline = loaded.deadline;
            let access = AccessRule::Recency { seconds: self.node.now.unix_seconds() };
            let mut put = |value: Value<'_>| {
                let mut record = Record::new(key.bytes, value, deadline, access.fresh());
                if loaded.flags != 0 {
                    record.set_note(Note { flags: loaded.flags, ..Note::default() });
                }
                database.insert(key.hash, record);
            };
            // A string goes straight from the file's bytes into its record.
            let done = match loaded.kind {
                kind::STRING => reader.string().map(|text| put(Value::of(&text))),
                _ => read(loaded.kind, &mut reader, &forms).map(|value| value.store(put)),
            };
            if let Err(wrong) = done {
                report.failure = Some((loaded.offset + wrong.at as u64, wrong.why.into()));
                break;
            }
            report.keys += 1;
        }
        report
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::Settings;
    use crate::database::Key;
    use crate::engine::EngineConfig;
    use crate::event::Event;
    use crate::host::{Instruments, Process};
    use crate::rdb::file::{sum_on, write_end, write_entry, write_header, write_resize, write_select};
    use crate::rdb::writer::Writer;
    use crate::testing::World;
    use crate::value::record::Access;

    /// Numbers, texts that are compressed, and now and then a value that takes several pieces.
    fn pairs(count: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let key = |n: usize| match n % 3 {
            0 => n.to_string(),
            1 => format!("key:{n}"),
            _ => format!("{}:{n}", "long".repeat(20)),
        };
        let value = |n: usize| match n {
            7 => vec![b'v'; 40],
            11 => (0..900_000usize).map(|at| (at * at / 7) as u8).collect(),
            _ => format!("value {n}").into_bytes(),
        };
        (0..count).map(|n| (key(n).into_bytes(), value(n))).collect()
    }

    fn dump(pairs: &[(Vec<u8>, Vec<u8>)], says: u64) -> Vec<u8> {
        let mut writer = Writer::new(true);
        write_header(&[], &mut writer);
        write_select(2, &mut writer);
        write_resize([says, 0], &mut writer);
        for (key, value) in pairs {
            write_entry(&Record::new(key, Value::of(value), None, Access(0)), &mut writer);
        }
        write_end(&mut writer);
        let sum = sum_on(0, &writer.out);
        writer.wide(sum);
        writer.out
    }

    fn load(file: &[u8], piece: usize) -> Result<Engine, String> {
        let mut engine = Engine::new(EngineConfig {
            core: CoreId(0),
            cores: 1,
            credits: 1,
            hash_seeds: [1, 2, 3, 4],
            random_seed: [0; 32],
            settings: Settings::default(),
            process: Arc::new(Process::default()),
            instruments: Instruments::still(),
            load: Some(file.len() as u64),
            persists: false,
        });
        let now = Now { mono: Instant(1), unix_micros: 1_700_000_000_000_000 };
        let mut effects = Effects::default();
        engine.handle(now, Event::Start, &mut effects);
        while engine.node.status.is_loading {
            let asked: Vec<Effect> = effects.drain().collect();
            for effect in asked {
                match effect {
                    Effect::Disk { operation, request: DiskRequest::ReadAt { at, len, mut into, .. } } => {
                        let rest = &file[at as usize..];
                        into.extend_from_slice(&rest[..rest.len().min(len).min(piece)]);
                        let outcome = DiskOutcome::Content(into);
                        engine.handle(now, Event::Disk { operation, outcome }, &mut effects);
                    }
                    Effect::Fail { text } => return Err(text),
                    _ => {}
                }
            }
            engine.handle(now, Event::Slice { steps: 3 }, &mut effects);
        }
        Ok(engine)
    }

    #[test]
    fn what_was_written_is_there_however_it_is_read_and_whatever_the_file_says_of_it() {
        let pairs = pairs(6_000);
        let honest = dump(&pairs, pairs.len() as u64);
        let bytes = load(&honest, usize::MAX).expect("it is a dump").node.shard.databases[2].table_bytes();
        for (says, piece) in [(6_000, 100_003), (0, 5_001), (u64::MAX >> 1, usize::MAX), (70, 300_000)] {
            let engine = load(&dump(&pairs, says), piece).expect("it is a dump");
            let database = &engine.node.shard.databases[2];
            assert_eq!(database.len(), pairs.len());
            for (key, value) in &pairs {
                let hash = database.hash(key);
                let record = database.get(Key { bytes: key, hash });
                let text = record.and_then(Record::string).map(|text| text.with(<[u8]>::to_vec));
                assert_eq!(text.as_ref(), Some(value));
            }
            assert!(database.table_bytes() <= 2 * bytes, "{says} keys were said: {bytes}");
        }
    }

    #[test]
    fn a_file_that_was_changed_or_cut_is_refused() {
        let mut file = dump(&pairs(300), 300);
        for end in (0..file.len()).step_by(file.len() / 20) {
            assert!(load(&file[..end], 50_000).is_err(), "{end}");
        }
        let last = file.len() - 20;
        file[last] ^= 1;
        assert!(load(&file, 50_000).is_err());
    }

    #[test]
    fn the_last_keys_arrive_though_there_were_no_credits_for_them() {
        let mut world = World::new(2);
        let client = world.connect(0);
        (0..50).for_each(|n| assert_eq!(world.call(client, &format!("SET key:{n} {n}")), "+OK\r\n"));
        assert_eq!(world.call(client, "SAVE"), "");
        for _ in 0..3 {
            world.settle_files();
            world.pass(10);
        }
        assert_eq!(world.receive(client), "+OK\r\n");
        let files = world.files;
        let mut world = World::starting(2, |_| {});
        world.files = files;
        let links = &mut world.engines[0].node_mut().links;
        let taken = (0..).take_while(|_| links.take(CoreId(1))).count();
        for _ in 0..100 {
            for (core, operation, request) in world.disk_requests() {
                let outcome = world.touch_files(request);
                world.end_disk(core, operation, outcome);
            }
            world.work(1);
        }
        assert!(world.engines[0].node().status.is_loading);
        world.engines[0].node_mut().links.give_back_several(CoreId(1), taken);
        world.settle_files();
        let client = world.connect(1);
        assert_eq!(world.say(client, "DBSIZE"), "50");
    }
}
