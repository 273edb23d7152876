//! Loading a dump: the keeper reads the file, finds where each key ends, and hands keys to the shards that own them, which decode the values.
//!
//! Reading goes ahead of finding, and finding ahead of the shards, each by a bounded amount. Until the end was seen and the checksum agrees
//! nothing counts as loaded: a file that is wrong anywhere stops the server, and says where and why.

use std::collections::VecDeque;

use crate::command::forms;
use crate::database::Key;
use crate::engine::Engine;
use crate::event::{CoreId, DiskOutcome, DiskRequest, Effect, Effects, LogLevel};
use crate::files::Purpose;
use crate::hash::KeyHash;
use crate::rdb::file::{self, Item, Stop, sum_on};
use crate::rdb::kind;
use crate::rdb::reader::Reader;
use crate::rdb::value::read;
use crate::snapshot::batch::{BATCH_BYTES, Batch};
use crate::snapshot::status::OfKeeper;
use crate::time::{Instant, Now};
use crate::value::access::AccessRule;
use crate::value::note::Note;
use crate::value::record::{Record, Value};

/// Bytes that are read at once: few enough that their buffer is one that the allocator has at hand, for memory that is new costs more than reading.
const READ_BYTES: usize = 256 << 10;
/// Bytes that were read and not looked at, above which reading pauses.
const AHEAD_MAX: usize = 1 << 20;
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
    /// Read and not looked at, from `start` on.
    buffer: Vec<u8>,
    start: usize,
    /// So many bytes must be there before it is worth looking again.
    needs: usize,
    /// Where `start` is in the file.
    at: u64,
    version: Option<u32>,
    /// Where entries belong that come next.
    database: u16,
    /// What memcached's clients keep with the entry that comes next.
    flags: u32,
    sum: u64,
    /// Bytes of the buffer that are in the sum.
    summed: usize,
    /// The end was seen.
    is_over: bool,
    batches: Vec<Batch>,
    /// Batches that one shard may have unanswered.
    batches_max: usize,
    /// By core.
    in_flight: Vec<usize>,
    skipped: u64,
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
            buffer: Vec::new(),
            start: 0,
            needs: 1,
            at: 0,
            version: None,
            database: 0,
            flags: 0,
            sum: 0,
            summed: 0,
            is_over: false,
            batches: vec![Batch::default(); cores],
            batches_max,
            in_flight: vec![0; cores],
            skipped: 0,
            began: Instant(0),
        }
    }

    fn left(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// True if a step of background work would bring it on.
    pub(crate) fn wants_step(&self) -> bool {
        let is_stuck = self
            .batches
            .iter()
            .zip(&self.in_flight)
            .any(|(batch, in_flight)| batch.len_bytes() >= BATCH_BYTES && *in_flight >= self.batches_max);
        !self.is_over && !is_stuck && (self.left() >= self.needs || self.is_read)
    }

    /// True if its last batches wait for credits.
    pub(crate) fn wants_credits(&self) -> bool {
        let waits = |(batch, in_flight): (&Batch, &usize)| !batch.is_empty() && *in_flight < self.batches_max;
        self.is_over && self.batches.iter().zip(&self.in_flight).any(waits)
    }

    fn consume(&mut self, len: usize) {
        self.start += len;
        self.at += len as u64;
    }

    /// Adds what was looked at since the last time to the sum.
    fn sum_up(&mut self) {
        self.sum = sum_on(self.sum, &self.buffer[self.summed..self.start]);
        self.summed = self.start;
    }

    /// Adds what was read; what was looked at makes room for it.
    fn add(&mut self, bytes: &[u8]) {
        if self.start >= self.buffer.len() / 2 {
            self.sum_up();
            self.buffer.drain(..self.start);
            (self.start, self.summed) = (0, 0);
        }
        if self.buffer.is_empty() {
            self.buffer.reserve(2 * AHEAD_MAX);
        }
        self.buffer.extend_from_slice(bytes);
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
        let is_needed = loader.left() < AHEAD_MAX.max(loader.needs);
        if !loader.is_reading && !loader.is_read && !loader.is_over && is_needed {
            loader.is_reading = true;
            let (path, at) = (loader.path.clone(), loader.read_to);
            self.files.begin(Purpose::Load, DiskRequest::ReadAt { path, at, len: READ_BYTES }, out);
        }
    }

    /// A piece of the dump was read.
    pub(crate) fn dump_was_read(&mut self, outcome: DiskOutcome, now: Now, out: &mut Effects) {
        let Some(loader) = &mut self.loader else { return };
        loader.is_reading = false;
        match outcome {
            DiskOutcome::Content(bytes) => {
                loader.is_read = bytes.is_empty();
                loader.read_to += bytes.len() as u64;
                loader.add(&bytes);
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
            match self.load_one(out) {
                Ok(taken) => left = left.saturating_sub(taken),
                Err(wrong) => return self.dump_is_wrong(wrong, out),
            }
        }
        self.end_load_if_over(now, out);
        self.read_dump(now, out);
    }

    /// Takes one thing out of what was read; how many bytes.
    fn load_one(&mut self, out: &mut Effects) -> Result<usize, Wrong> {
        let Some(loader) = &mut self.loader else { return Ok(0) };
        let bytes = &loader.buffer[loader.start..];
        let at = loader.at;
        let found = match loader.version {
            None => file::header(bytes).map(|(version, len)| {
                loader.version = Some(version);
                (Item::Ignored, len)
            }),
            Some(_) => file::item(bytes),
        };
        let (item, len) = match found {
            Ok(found) => found,
            Err(Stop::Incomplete) if loader.is_read => {
                let end = at + bytes.len() as u64;
                return Err((end, "the file ends too early: it was not written to its end".into()));
            }
            Err(Stop::Incomplete) => {
                // A long value is not looked at again for every piece of it that comes.
                loader.needs = 2 * loader.left().max(1);
                return Ok(0);
            }
            Err(Stop::Corrupt(wrong)) => return Err((at + wrong.at as u64, wrong.why.into())),
        };
        loader.needs = 1;
        let mut ready = None;
        match item {
            Item::Entry(entry) => {
                let (_, owner) = self.node.shard.hasher().place(&entry.key, None, self.node.cores);
                let core = CoreId(owner);
                // The value is the last of the entry.
                let offset = at + (len - entry.value.len()) as u64;
                let batch = &mut loader.batches[core.index()];
                let flags = std::mem::take(&mut loader.flags);
                batch.push(loader.database, &entry, flags, offset);
                ready = (batch.len_bytes() >= BATCH_BYTES).then_some(core);
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
                    if loader.is_read {
                        return Err((at, "the checksum at its end is missing".into()));
                    }
                    loader.needs = len + sum_len;
                    return Ok(0);
                };
                let written = sum.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
                loader.consume(len);
                loader.sum_up();
                loader.is_over = true;
                // Redis writes zero where checksums are switched off.
                if self.node.settings.rdb_checksum && written != 0 && written != loader.sum {
                    return Err((at + len as u64, "the checksum is another: the file was changed".into()));
                }
                return Ok(len);
            }
            Item::Aux(name, value) if *name == *file::FLAGS => {
                let flags = std::str::from_utf8(&value).ok().and_then(|digits| digits.parse().ok());
                loader.flags = flags.unwrap_or_default();
            }
            Item::Aux(..) | Item::Resize(_) | Item::Ignored => {}
        }
        loader.consume(len);
        if let Some(core) = ready {
            self.send_batch(core, out)?;
        }
        Ok(len)
    }

    fn send_batch(&mut self, core: CoreId, out: &mut Effects) -> Result<(), Wrong> {
        let Some(loader) = &mut self.loader else { return Ok(()) };
        let place = core.index();
        if loader.batches[place].is_empty() {
            return Ok(());
        }
        if core == self.node.core {
            let batch = std::mem::take(&mut loader.batches[place]);
            let report = self.load_batch(&batch);
            return self.reported(report);
        }
        if loader.in_flight[place] >= loader.batches_max || !self.may_tell(core) {
            return Ok(());
        }
        let Some(loader) = &mut self.loader else { return Ok(()) };
        loader.in_flight[place] += 1;
        let batch = std::mem::take(&mut loader.batches[place]);
        self.tell(core, OfKeeper::Load(batch), out);
        Ok(())
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
        for core in (0..self.node.cores).map(CoreId) {
            if let Err(wrong) = self.send_batch(core, out) {
                return self.dump_is_wrong(wrong, out);
            }
        }
        let is_quiet = |loader: &mut Box<Loader>| {
            loader.in_flight.iter().all(|count| *count == 0) && loader.batches.iter().all(Batch::is_empty)
        };
        let Some(loader) = self.loader.take_if(is_quiet) else { return };
        if self.recovery.is_some() {
            let end = loader.at + file::sum_len(loader.version.unwrap_or_default()) as u64;
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
        let mut ahead = batch.iter();
        let mut hashes: VecDeque<KeyHash> = VecDeque::with_capacity(HASHES_AHEAD);
        for loaded in batch.iter() {
            // Buckets are on their way to the cache while keys before them are decoded.
            while let Some(next) = (hashes.len() < HASHES_AHEAD).then(|| ahead.next()).flatten() {
                let hash = hasher.hash(next.key);
                if let Some(database) = shard.databases.get(usize::from(next.database)) {
                    database.prefetch(hash);
                }
                hashes.push_back(hash);
            }
            let hash = hashes.pop_front().expect("it was looked at before");
            if drops_due && loaded.deadline.is_some_and(|at| at <= now) {
                report.expired += 1;
                continue;
            }
            let mut reader = Reader::new(loaded.value);
            let key = Key { bytes: loaded.key, hash };
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

const _: () = assert!(AHEAD_MAX > READ_BYTES);

#[cfg(test)]
mod tests {
    use crate::event::CoreId;
    use crate::testing::World;

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
