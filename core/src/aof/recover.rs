//! The keeper reads at the start what was written down: the manifest, the snapshot that it names, and the logs that follow it, one generation
//! after the other.
//!
//! Each generation is surveyed first, since what counts of one log may depend on another. Then its lines go to the shards that own their keys
//! now. A line about whole databases stands in all logs at one moment: they are read up to there, and then it is applied everywhere. When
//! everything is there, what counts is made durable, written into the manifest with how much of each file counts, and a new generation begins;
//! a file that was read is never written to again.
//!
//! It knows the order of files and lines. It does not know what lines do.

use crate::aof::adopt::{Adoption, PREAMBLE, Place};
use crate::aof::inflow::READ_BYTES;
use crate::aof::line::{Line, Lines, line};
use crate::aof::manifest::{DataFile, Generation, Manifest};
use crate::aof::reader::{Next, Reader};
use crate::aof::replay::key_of;
use crate::aof::survey::{Survey, Verdicts, are_closed, ends, lacks_mark};
use crate::engine::Engine;
use crate::event::{CoreId, DiskOutcome, DiskRequest, Effect, Effects, LogLevel};
use crate::files::Purpose;
use crate::message::Message;
use crate::mutant::planted;
use crate::snapshot::load::LoadReport;
use crate::snapshot::status::OfKeeper;
use crate::time::{Instant, Now, UnixMillis};

/// Lines are sent to a shard from this size on, bytes.
const BATCH_BYTES: usize = 64 << 10;
/// Batches that one shard may have unanswered.
const BATCHES_MAX: usize = 4;
/// Groups that a step of background work looks at.
const STEP_GROUPS: usize = 1;
/// From so many generations on the log is written anew after the start.
const GENERATIONS_MAX: usize = 4;

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    /// The manifest is read.
    Manifest,
    /// A file of Redis's may begin with a snapshot.
    Beginning,
    /// The snapshot is loaded.
    Base,
    /// Commands that follow it are run.
    Commands,
    /// The logs of a generation are looked at.
    Survey,
    /// They are read back.
    Replay,
    /// What counts is made durable.
    Syncing,
    /// The manifest is replaced.
    Naming,
    /// The shards begin to write.
    Turning,
}

/// The log on its way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    pub(super) stage: Stage,
    pub(super) manifest: Manifest,
    /// Which generation is read.
    pub(super) at: usize,
    readers: Vec<Reader>,
    /// Whose turn it is to be read.
    current: usize,
    pub(super) is_reading: bool,
    surveys: Vec<Survey>,
    /// Of what is surveyed: which generation, and which of its logs.
    surveyed: Vec<(usize, usize)>,
    /// By generation: how many bytes of each log count.
    pub(super) counted: Vec<Vec<u64>>,
    verdicts: Verdicts,
    /// Lines that were taken out and are not dealt yet, and where they go on.
    lines: Vec<(Vec<u8>, usize)>,
    instants: Vec<UnixMillis>,
    /// Of each log: it has come to a line about whole databases.
    stopped: Vec<Option<Lines>>,
    is_over: Vec<bool>,
    batches: Vec<Lines>,
    in_flight: Vec<usize>,
    /// Files to be made durable.
    pub(super) to_sync: Vec<String>,
    began: Instant,
    pub(super) lines_read: u64,
    /// There is no log yet.
    pub(super) is_new: bool,
    /// The file that is read, if it is no log of ours.
    pub(super) data: Option<(Place, DataFile)>,
    /// Its commands on their way.
    pub(super) adoption: Option<Box<Adoption>>,
}

impl Recovery {
    fn new(cores: u16, began: Instant) -> Recovery {
        let cores = usize::from(cores);
        Recovery {
            stage: Stage::Manifest,
            manifest: Manifest::default(),
            at: 0,
            readers: Vec::new(),
            current: 0,
            is_reading: false,
            surveys: Vec::new(),
            surveyed: Vec::new(),
            counted: Vec::new(),
            verdicts: Verdicts::default(),
            lines: Vec::new(),
            instants: Vec::new(),
            stopped: Vec::new(),
            is_over: Vec::new(),
            batches: vec![Lines::default(); cores],
            in_flight: vec![0; cores],
            to_sync: Vec::new(),
            began,
            lines_read: 0,
            is_new: false,
            data: None,
            adoption: None,
        }
    }

    /// True if the file that is read was being written when the process ended, or nothing of it counts.
    fn is_open(&self) -> bool {
        let (generation, log) = match self.stage {
            Stage::Survey => self.surveyed.get(self.current).copied().unwrap_or((self.at, self.current)),
            _ => (self.at, self.current),
        };
        let log = self.manifest.generations.get(generation).and_then(|generation| generation.logs.get(log));
        log.is_some_and(|log| log.size.is_none_or(|size| size == 0))
    }

    fn generation(&self) -> Option<&Generation> {
        self.manifest.generations.get(self.at)
    }

    /// True if a step of background work would bring it on.
    pub(crate) fn wants_step(&self) -> bool {
        match self.stage {
            Stage::Survey | Stage::Replay => !self.is_reading && !self.is_stuck(),
            Stage::Commands => !self.is_reading && self.adoption.as_ref().is_some_and(|it| !it.waits),
            _ => false,
        }
    }

    fn is_stuck(&self) -> bool {
        let is_full = |(batch, in_flight): (&Lines, &usize)| {
            batch.bytes.len() >= BATCH_BYTES && *in_flight >= BATCHES_MAX
        };
        let is_behind = self.batches.iter().zip(&self.in_flight).any(is_full);
        is_behind || self.is_at_a_stop() && self.in_flight.iter().any(|count| *count > 0)
    }

    /// Every log has come to its end or to a line about whole databases.
    fn is_at_a_stop(&self) -> bool {
        self.stage == Stage::Replay
            && self.stopped.iter().zip(&self.is_over).all(|(stopped, is_over)| stopped.is_some() || *is_over)
    }
}

/// Why what is there is not taken: which file, and what is wrong with it.
pub(crate) type Wrong = (String, String);

impl Engine {
    /// Begins to read what was written down.
    pub(crate) fn recover(&mut self, now: Now, out: &mut Effects) {
        self.recovery = Some(Box::new(Recovery::new(self.node.cores, now.mono)));
        self.node.status.loading_began = now.unix_seconds();
        let path = self.node.manifest_path();
        self.files.begin(Purpose::Recover, DiskRequest::Read { path }, out);
    }

    pub(super) fn log_is_wrong(&mut self, (file, why): Wrong, out: &mut Effects) {
        self.recovery = None;
        let text = format!("The append only file {file} cannot be loaded: {why}");
        out.push(Effect::Fail { text });
    }

    /// A piece of a file was read, or an operation on one has ended.
    pub(crate) fn recovered_file(&mut self, outcome: DiskOutcome, now: Now, out: &mut Effects) {
        if let Err(wrong) = self.take_outcome(outcome, now, out) {
            self.log_is_wrong(wrong, out);
        }
    }

    fn take_outcome(&mut self, outcome: DiskOutcome, now: Now, out: &mut Effects) -> Result<(), Wrong> {
        let manifest_path = self.node.manifest_path();
        let Some(recovery) = &mut self.recovery else { return Ok(()) };
        match (recovery.stage, outcome) {
            (Stage::Manifest, DiskOutcome::Missing) => {
                // Before Redis 7 there was one file, and no directory.
                let name = self.node.settings.append_filename.clone();
                let file = DataFile { name, size: None, is_beside: true };
                recovery.manifest.base = Some((file.clone(), 1));
                recovery.is_new = true;
                self.begin_data(Place::Base, file, out);
            }
            (Stage::Manifest, DiskOutcome::Content(bytes)) => {
                recovery.manifest = Manifest::parse(&bytes).map_err(|why| (manifest_path, why))?;
                match recovery.manifest.base.clone() {
                    Some((file, _)) => self.begin_data(Place::Base, file, out),
                    None => self.next_generation(now, out)?,
                }
            }
            (Stage::Beginning, DiskOutcome::Content(bytes)) => {
                recovery.is_new = false;
                match bytes == PREAMBLE {
                    true => {
                        recovery.stage = Stage::Base;
                        let path = self.data_path();
                        self.load_file(path, now, out);
                    }
                    false => self.begin_commands(0, now, out),
                }
            }
            (Stage::Beginning, DiskOutcome::Missing) => return self.data_is_missing(now, out),
            (Stage::Commands, DiskOutcome::Content(bytes)) => {
                recovery.is_reading = false;
                if let Some(adoption) = &mut recovery.adoption {
                    adoption.add(&bytes);
                }
                self.node.status.loaded_bytes += bytes.len() as u64;
            }
            (Stage::Commands, DiskOutcome::Missing) => {
                return Err((self.data_path(), "it is not there any more".into()));
            }
            (Stage::Survey | Stage::Replay, DiskOutcome::Content(bytes)) => {
                recovery.is_reading = false;
                let current = recovery.current;
                recovery.readers[current].add(&bytes);
                self.node.status.loaded_bytes += bytes.len() as u64;
            }
            // It was named before it was begun.
            (Stage::Survey | Stage::Replay, DiskOutcome::Missing) if recovery.is_open() => {
                recovery.is_reading = false;
                let current = recovery.current;
                recovery.readers[current].add(&[]);
            }
            (Stage::Survey | Stage::Replay, DiskOutcome::Missing) => {
                let path = recovery.readers[recovery.current].file.path.clone();
                return Err((path, "it is not there, though the manifest names it".into()));
            }
            (Stage::Syncing, DiskOutcome::Done) => self.sync_next(out),
            (Stage::Naming, DiskOutcome::Done) => self.turn_all(now, out),
            (stage, DiskOutcome::Failed(why)) => {
                let path = match stage {
                    Stage::Survey | Stage::Replay => recovery.readers[recovery.current].file.path.clone(),
                    Stage::Beginning | Stage::Base | Stage::Commands => self.data_path(),
                    _ => manifest_path,
                };
                return Err((path, why));
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn dump_path(&self) -> String {
        let settings = &self.node.settings;
        format!("{}/{}", settings.dir.trim_end_matches('/'), settings.dbfilename)
    }

    /// Begins to look at the logs of the next generation, or ends.
    pub(super) fn next_generation(&mut self, now: Now, out: &mut Effects) -> Result<(), Wrong> {
        let directory = self.node.log_directory();
        let Some(recovery) = &mut self.recovery else { return Ok(()) };
        let Some(generation) = recovery.generation() else {
            self.end_recovery(now, out);
            return Ok(());
        };
        if let Some(file) = generation.commands.clone() {
            let place = Place::Generation(recovery.at);
            self.begin_data(place, file, out);
            return Ok(());
        }
        if recovery.at < recovery.counted.len() {
            self.begin_replay(out);
            return Ok(());
        }
        // Names of transactions are those of one process: all that it has written is surveyed together.
        let run = |generation: &Generation| generation.logs.first().map(|log| log.run);
        let of_run = run(generation);
        let later = recovery.manifest.generations[recovery.at..].iter();
        let count =
            later.take_while(|generation| run(generation) == of_run && generation.commands.is_none()).count();
        let span = recovery.at..recovery.at + count;
        recovery.surveyed = span
            .flat_map(|at| (0..recovery.manifest.generations[at].logs.len()).map(move |log| (at, log)))
            .collect();
        let path = |&(at, log): &(usize, usize)| {
            format!("{directory}/{}", recovery.manifest.generations[at].logs[log].name)
        };
        recovery.readers = recovery.surveyed.iter().map(|place| Reader::new(path(place), u64::MAX)).collect();
        recovery.surveys = vec![Survey::default(); recovery.surveyed.len()];
        recovery.verdicts = Verdicts::default();
        recovery.current = 0;
        recovery.stage = Stage::Survey;
        self.read_log(out);
        Ok(())
    }

    fn read_log(&mut self, out: &mut Effects) {
        let Some(recovery) = &mut self.recovery else { return };
        let Some(reader) = recovery.readers.get(recovery.current) else { return };
        let (path, at) = (reader.file.path.clone(), reader.file.read_to);
        recovery.is_reading = true;
        self.files.begin(Purpose::Recover, DiskRequest::ReadAt { path, at, len: READ_BYTES }, out);
    }

    /// Goes on for about so many steps.
    pub(crate) fn recover_some(&mut self, steps: usize, now: Now, out: &mut Effects) {
        for _ in 0..steps.max(1) * STEP_GROUPS {
            let Some(recovery) = self.recovery.as_ref().filter(|recovery| recovery.wants_step()) else {
                return;
            };
            let step = match recovery.stage {
                Stage::Survey => self.survey_step(now, out),
                Stage::Commands => self.command_step(now, out),
                _ => self.replay_step(now, out),
            };
            if let Err(wrong) = step {
                return self.log_is_wrong(wrong, out);
            }
        }
    }

    fn survey_step(&mut self, now: Now, out: &mut Effects) -> Result<(), Wrong> {
        let (boot, truncates) = (&self.node.process.boot, self.node.settings.aof_load_truncated);
        let Some(recovery) = &mut self.recovery else { return Ok(()) };
        let current = recovery.current;
        let Some(reader) = recovery.readers.get_mut(current) else {
            self.judge(out)?;
            return self.next_generation(now, out);
        };
        let (generation, log) = recovery.surveyed[current];
        let file = &recovery.manifest.generations[generation].logs[log];
        let core = file.core;
        let path = reader.file.path.clone();
        match reader.take_next() {
            Next::Group(lines, end) => recovery.surveys[current]
                .take(&lines, end, CoreId(core), &mut recovery.verdicts)
                .map_err(|why| (path, why))?,
            Next::Read => self.read_log(out),
            // What was not synced may have reached the disk in any order.
            Next::Damaged(at)
                if file.size.is_none()
                    && (boot.is_empty() || file.boot != *boot)
                    && !recovery.surveys[current].is_always
                    && truncates =>
            {
                let text = format!("{path}: at byte {at} it is damaged; what follows is left out.");
                out.push(Effect::Log { level: LogLevel::Warning, text });
                recovery.current += 1;
                if recovery.current < recovery.readers.len() {
                    self.read_log(out);
                }
            }
            Next::Damaged(at) => {
                return Err((path, format!("at byte {at} it is damaged; what follows is whole")));
            }
            Next::End(left) => {
                let fixed = recovery.manifest.generations[generation].logs[log].size;
                if left > 0 && fixed.is_none() {
                    if !self.node.settings.aof_load_truncated {
                        let why = format!("its last {left} bytes are no whole group (`aof-load-truncated`)");
                        return Err((path, why));
                    }
                    let text = format!("{path}: the last {left} bytes are no whole group and are left out.");
                    out.push(Effect::Log { level: LogLevel::Warning, text });
                }
                recovery.current += 1;
                // The next is read from its beginning, or all are surveyed.
                if recovery.current < recovery.readers.len() {
                    self.read_log(out);
                }
            }
        }
        Ok(())
    }

    /// All logs of a process are surveyed: how much of each counts.
    fn judge(&mut self, out: &mut Effects) -> Result<(), Wrong> {
        let boot = self.node.process.boot.clone();
        let directory = self.node.log_directory();
        let Some(recovery) = &mut self.recovery else { return Ok(()) };
        let Recovery { manifest, surveys, surveyed, verdicts, to_sync, counted, at, .. } = &mut **recovery;
        let oldest = manifest.generations.get(*at).map_or(0, |generation| generation.number);
        let (maimed, mut notes) = (verdicts.maimed(oldest), Vec::new());
        let last = surveyed.last().map_or(*at, |(generation, _)| *generation);
        let (mut rest, mut is_over, mut is_news) = (&surveys[..], false, false);
        let (mut is_sure, mut lacks) = (false, false);
        for generation in &mut manifest.generations[*at..=last] {
            let logs = &mut generation.logs;
            let (surveys, behind) = rest.split_at(logs.len());
            rest = behind;
            let runs_on = logs.iter().all(|log| !boot.is_empty() && log.boot == boot);
            let is_same_start = runs_on || planted("nobody asks whether the machine went down");
            // All cores had turned to their next files before anything in those counts.
            let is_whole = are_closed(surveys) && !is_over;
            let mut counts: Vec<u64> = match is_over {
                _ if is_whole => surveys.iter().map(|survey| survey.whole).collect(),
                false => ends(surveys, maimed > 0, is_same_start),
                true => vec![0; logs.len()],
            };
            if !is_over && !is_whole && (is_same_start || surveys.iter().all(|survey| survey.is_always)) {
                (is_sure, lacks) = (true, lacks_mark(surveys));
            }
            is_over |= !is_whole;
            for ((log, survey), end) in logs.iter_mut().zip(surveys).zip(&mut counts) {
                match log.size {
                    Some(size) if size > survey.whole => {
                        let why = format!("only {} of its {size} bytes are whole", survey.whole);
                        return Err((format!("{directory}/{}", log.name), why));
                    }
                    Some(size) => *end = size,
                    None if *end < survey.whole => notes.push(format!(
                        "{}: {} bytes behind the last mark that all logs have are left out.",
                        log.name,
                        survey.whole - *end
                    )),
                    None => {}
                }
                is_news |= log.size.is_none();
                if log.size.is_none() && *end > 0 {
                    to_sync.push(format!("{directory}/{}", log.name));
                }
                log.size = Some(*end);
            }
            counted.push(counts);
        }
        if is_news && is_sure && (maimed > 0 || lacks) {
            notes.push(format!(
                "Not everything is there that was: {maimed} transactions are not whole, logs lack the last mark: {lacks}. \
                 Either the disk has lost what it had said was safe, or the server ended while it could not write. Going back to the last mark."
            ));
        }
        for text in notes {
            out.push(Effect::Log { level: LogLevel::Warning, text });
        }
        Ok(())
    }

    /// The logs of a generation are read back as far as they count.
    fn begin_replay(&mut self, out: &mut Effects) {
        let directory = self.node.log_directory();
        let Some(recovery) = &mut self.recovery else { return };
        let logs = &recovery.manifest.generations[recovery.at].logs;
        let count = logs.len();
        recovery.readers = logs
            .iter()
            .zip(&recovery.counted[recovery.at])
            .map(|(log, end)| Reader::new(format!("{directory}/{}", log.name), *end))
            .collect();
        recovery.lines = vec![(Vec::new(), 0); count];
        recovery.instants = vec![UnixMillis(0); count];
        recovery.stopped = vec![None; count];
        recovery.is_over = vec![false; count];
        (recovery.current, recovery.stage) = (0, Stage::Replay);
        self.read_log(out);
    }

    fn replay_step(&mut self, now: Now, out: &mut Effects) -> Result<(), Wrong> {
        let Some(recovery) = &mut self.recovery else { return Ok(()) };
        if recovery.is_at_a_stop() {
            return self.pass_stop(now, out);
        }
        let current = recovery.current;
        if recovery.is_over[current] || recovery.stopped[current].is_some() {
            recovery.current = (current + 1) % recovery.readers.len();
            return Ok(());
        }
        let (lines, at) = &recovery.lines[current];
        if *at < lines.len() {
            return self.deal(current, out);
        }
        match recovery.readers[current].take_next() {
            Next::Group(lines, _) => recovery.lines[current] = (lines, 0),
            Next::Read => self.read_log(out),
            Next::End(_) => recovery.is_over[current] = true,
            Next::Damaged(at) => {
                let path = recovery.readers[current].file.path.clone();
                return Err((path, format!("at byte {at} it is damaged")));
            }
        }
        Ok(())
    }

    /// Deals the lines of a group to the shards that own their keys, up to one about whole databases.
    fn deal(&mut self, current: usize, out: &mut Effects) -> Result<(), Wrong> {
        let cores = self.node.cores;
        let Some(recovery) = &mut self.recovery else { return Ok(()) };
        let (lines, mut at) = std::mem::take(&mut recovery.lines[current]);
        let wrong = |why: &str| (recovery.readers[current].file.path.clone(), why.to_string());
        let mut full = Vec::new();
        while at < lines.len() {
            let Some((next, tx, len)) = line(&lines[at..]) else {
                return Err(wrong("it has a line that is not understood"));
            };
            at += len;
            let counts = tx.is_none_or(|tx| recovery.verdicts.counts(tx));
            match next {
                Line::Instant(instant) => recovery.instants[current] = instant,
                Line::Commit { .. } | Line::Mark { .. } | Line::End => {}
                _ if !counts => {}
                Line::Flush(database) => {
                    let mut stop = Lines::default();
                    stop.flush(None, database);
                    recovery.stopped[current] = Some(stop);
                    break;
                }
                Line::Swap(one, other) => {
                    let mut stop = Lines::default();
                    stop.swap(None, one, other);
                    recovery.stopped[current] = Some(stop);
                    break;
                }
                next => {
                    let Some(key) = key_of(&next) else {
                        return Err(wrong(
                            "it has a command that is not known, or a key that is not understood",
                        ));
                    };
                    let (_, owner) = self.node.shard.hasher().place(&key, None, cores);
                    let batch = &mut recovery.batches[usize::from(owner)];
                    batch.copy(&next, recovery.instants[current]);
                    recovery.lines_read += 1;
                    if batch.bytes.len() >= BATCH_BYTES {
                        full.push(CoreId(owner));
                        if recovery.in_flight[usize::from(owner)] >= BATCHES_MAX {
                            break;
                        }
                    }
                }
            }
        }
        recovery.lines[current] = (lines, at);
        full.dedup();
        for core in full {
            self.send_lines(core, out)?;
        }
        Ok(())
    }

    /// Sends what is there for a shard, if it may.
    fn send_lines(&mut self, core: CoreId, out: &mut Effects) -> Result<(), Wrong> {
        let Some(recovery) = &mut self.recovery else { return Ok(()) };
        let place = core.index();
        if recovery.batches[place].bytes.is_empty() {
            return Ok(());
        }
        if core == self.node.core {
            let batch = std::mem::take(&mut recovery.batches[place]);
            let report = self.replay_lines(&batch.bytes);
            return self.lines_are_read(report);
        }
        if recovery.in_flight[place] >= BATCHES_MAX || !self.node.links.take(core) {
            return Ok(());
        }
        recovery.in_flight[place] += 1;
        let batch = std::mem::take(&mut recovery.batches[place]);
        let message = Message::OfKeeper(Box::new(OfKeeper::Replay(batch.bytes)));
        out.push(Effect::Send { to: core, message });
        Ok(())
    }

    fn lines_are_read(&mut self, report: LoadReport) -> Result<(), Wrong> {
        match report.failure {
            Some((_, why)) => Err((self.node.manifest_path(), why)),
            None => Ok(()),
        }
    }

    /// All logs have come to their ends, or to a line about whole databases, which all shards apply then.
    fn pass_stop(&mut self, now: Now, out: &mut Effects) -> Result<(), Wrong> {
        for core in (0..self.node.cores).map(CoreId) {
            self.send_lines(core, out)?;
        }
        let Some(recovery) = &mut self.recovery else { return Ok(()) };
        let is_quiet = recovery.batches.iter().all(|batch| batch.bytes.is_empty())
            && recovery.in_flight.iter().all(|count| *count == 0);
        if !is_quiet {
            return Ok(());
        }
        let stop = recovery.stopped.iter_mut().filter_map(Option::take).next_back();
        recovery.stopped.iter_mut().for_each(|stopped| *stopped = None);
        let Some(stop) = stop else {
            recovery.at += 1;
            return self.next_generation(now, out);
        };
        recovery.batches.iter_mut().for_each(|batch| *batch = stop.clone());
        for core in (0..self.node.cores).map(CoreId) {
            self.send_lines(core, out)?;
        }
        Ok(())
    }

    /// A shard has answered what it was sent.
    pub(crate) fn recovered_there(&mut self, from: CoreId, report: LoadReport, now: Now, out: &mut Effects) {
        let Some(recovery) = &mut self.recovery else { return };
        recovery.in_flight[from.index()] -= 1;
        if let Err(wrong) = self.lines_are_read(report) {
            return self.log_is_wrong(wrong, out);
        }
        let is_turned = self.recovery.as_ref().is_some_and(|recovery| {
            recovery.stage == Stage::Turning && recovery.in_flight.iter().all(|count| *count == 0)
        });
        if is_turned {
            self.recovery_is_over(now, out);
        }
    }

    fn end_recovery(&mut self, now: Now, out: &mut Effects) {
        let Some(recovery) = &mut self.recovery else { return };
        if recovery.is_new && self.node.status.keys_loaded > 0 {
            // Without the dump the log would be no whole: it begins with a snapshot.
            return self.recovery_is_over(now, out);
        }
        recovery.stage = Stage::Syncing;
        self.sync_next(out);
    }

    fn sync_next(&mut self, out: &mut Effects) {
        let Some(recovery) = &mut self.recovery else { return };
        if let Some(path) = recovery.to_sync.pop() {
            return self.files.begin(Purpose::Recover, DiskRequest::Sync { path }, out);
        }
        recovery.stage = Stage::Naming;
        let number = recovery.manifest.last_number() + 1;
        recovery.manifest.generations.push(self.node.new_generation(number));
        let bytes = recovery.manifest.text().into_bytes();
        let request = DiskRequest::Replace { path: self.node.manifest_path(), bytes };
        self.files.begin(Purpose::Recover, request, out);
    }

    /// The new files are named: all shards begin to write, before any client may.
    fn turn_all(&mut self, now: Now, out: &mut Effects) {
        let Some(recovery) = &mut self.recovery else { return };
        recovery.stage = Stage::Turning;
        let number = recovery.manifest.last_number();
        self.keeper.manifest = recovery.manifest.clone();
        for core in (1..self.node.cores).map(CoreId) {
            // While nothing is served there are credits.
            if self.node.links.take(core) {
                recovery.in_flight[core.index()] += 1;
                let message = Message::OfKeeper(Box::new(OfKeeper::Turn(number)));
                out.push(Effect::Send { to: core, message });
            }
        }
        self.node.turn_page(Some(number));
        if self.node.cores == 1 {
            self.recovery_is_over(now, out);
        }
    }

    fn recovery_is_over(&mut self, now: Now, out: &mut Effects) {
        let Some(recovery) = self.recovery.take() else { return };
        let mut status = self.node.status.clone();
        status.is_loading = false;
        let seconds = now.mono.millis_since(recovery.began) as f64 / 1_000.0;
        for text in [
            format!("Done loading the append only file: {} lines behind its snapshot", recovery.lines_read),
            format!("DB loaded from append only file: {seconds:.3} seconds"),
            "Ready to accept connections".into(),
        ] {
            out.push(Effect::Log { level: LogLevel::Notice, text });
        }
        self.tell_all(status, now, out);
        if recovery.manifest.generations.len() > GENERATIONS_MAX || recovery.manifest.has_commands() {
            self.want_base();
        }
    }
}
