//! The keeper reads at the start what was written down: the manifest, the snapshot that it names, and the logs that follow it, one generation
//! after the other.
//!
//! Each generation is surveyed first, since what counts of one log may depend on another. Then its lines go to the shards that own their keys
//! now. A line about whole databases stands in all logs at one moment: they are read up to there, and then it is applied everywhere. When
//! everything is there, what counts is made durable, written into the manifest with how much of each file counts, and a new generation begins;
//! a file that was read is never written to again.
//!
//! It knows the order of files, and when everything is there. It does not know how much of a log counts, nor where lines go.

use crate::aof::adopt::{Adoption, PREAMBLE, Place};
use crate::aof::inflow::READ_BYTES;
use crate::aof::line::Lines;
use crate::aof::manifest::{DataFile, Generation, Manifest};
use crate::aof::reader::Reader;
use crate::aof::survey::{Survey, Verdicts};
use crate::engine::Engine;
use crate::event::{CoreId, DiskOutcome, DiskRequest, Effect, Effects, LogLevel};
use crate::files::Purpose;
use crate::message::Message;
use crate::snapshot::load::LoadReport;
use crate::snapshot::status::OfKeeper;
use crate::time::{Instant, Now, UnixMillis};

/// Groups that a step of background work looks at.
const STEP_GROUPS: usize = 1;
/// From so many generations on the log is written anew after the start.
const GENERATIONS_MAX: usize = 4;
/// Batches that one shard may have unanswered.
const BATCHES_MAX: usize = 4;

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
    pub(super) readers: Vec<Reader>,
    /// Whose turn it is to be read.
    pub(super) current: usize,
    pub(super) is_reading: bool,
    pub(super) surveys: Vec<Survey>,
    /// Of what is surveyed: which generation, and which of its logs.
    pub(super) surveyed: Vec<(usize, usize)>,
    /// By generation: how many bytes of each log count.
    pub(super) counted: Vec<Vec<u64>>,
    pub(super) verdicts: Verdicts,
    /// Lines that were taken out and are not dealt yet, and where they go on.
    pub(super) lines: Vec<(Vec<u8>, usize)>,
    pub(super) instants: Vec<UnixMillis>,
    /// Of each log: it has come to a line about whole databases.
    pub(super) stopped: Vec<Option<Lines>>,
    pub(super) is_over: Vec<bool>,
    pub(super) batches: Vec<Lines>,
    pub(super) in_flight: Vec<usize>,
    /// Batches that one shard may have unanswered.
    pub(super) batches_max: usize,
    /// Cores that are not told yet to write.
    unturned: Vec<CoreId>,
    /// Files to be made durable.
    pub(super) to_sync: Vec<String>,
    began: Instant,
    pub(super) lines_read: u64,
    /// There is no log yet.
    pub(super) is_new: bool,
    /// It is read while it is written: nothing of it may be left out, and nothing is to be done with it.
    pub(super) is_again: bool,
    /// The files that are written now are among those that were read.
    pub(super) is_current_there: bool,
    /// The file that is read, if it is no log of ours.
    pub(super) data: Option<(Place, DataFile)>,
    /// Its commands on their way.
    pub(super) adoption: Option<Box<Adoption>>,
}

impl Recovery {
    fn new(cores: u16, began: Instant, batches_max: usize, is_again: bool) -> Recovery {
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
            batches_max,
            unturned: Vec::new(),
            to_sync: Vec::new(),
            began,
            lines_read: 0,
            is_new: false,
            is_again,
            is_current_there: false,
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

    fn say_how_long(&self, now: Now, out: &mut Effects) {
        let seconds = now.mono.millis_since(self.began) as f64 / 1_000.0;
        for text in [
            format!("Done loading the append only file: {} lines behind its snapshot", self.lines_read),
            format!("DB loaded from append only file: {seconds:.3} seconds"),
        ] {
            out.push(Effect::Log { level: LogLevel::Notice, text });
        }
    }

    pub(super) fn generation(&self) -> Option<&Generation> {
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
}

/// Why what is there is not taken: which file, and what is wrong with it.
pub(crate) type Wrong = (String, String);

impl Engine {
    /// Begins to read what was written down.
    pub(crate) fn recover(&mut self, now: Now, out: &mut Effects) {
        let reload = &self.keeper.reload;
        let (batches_max, is_again) = (reload.batches_max(BATCHES_MAX), reload.is_active());
        let recovery = Recovery::new(self.node.cores, now.mono, batches_max, is_again);
        self.recovery = Some(Box::new(recovery));
        (self.node.status.loaded_bytes, self.node.status.keys_loaded, self.node.status.keys_expired) =
            (0, 0, 0);
        self.node.status.loading_began = now.unix_seconds();
        let path = self.node.manifest_path();
        self.files.begin(Purpose::Recover, DiskRequest::Read { path }, out);
    }

    pub(super) fn log_is_wrong(&mut self, (file, why): Wrong, out: &mut Effects) {
        self.recovery = None;
        let text = format!("The append only file {file} cannot be loaded: {why}");
        self.reading_fails(text, out);
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
            (Stage::Manifest, DiskOutcome::Missing) if recovery.is_again => {
                return Err((manifest_path, "it is not there any more".into()));
            }
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

    /// Begins to look at the logs of the next generation, or ends.
    pub(super) fn next_generation(&mut self, now: Now, out: &mut Effects) -> Result<(), Wrong> {
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
        self.begin_survey(out);
        Ok(())
    }

    pub(super) fn read_log(&mut self, out: &mut Effects) {
        let Some(recovery) = &mut self.recovery else { return };
        let Some(reader) = recovery.readers.get(recovery.current) else { return };
        let (path, at) = (reader.file.path.clone(), reader.file.read_to);
        recovery.is_reading = true;
        self.files.begin(
            Purpose::Recover,
            DiskRequest::ReadAt { path, at, len: READ_BYTES, into: Vec::new() },
            out,
        );
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

    /// A shard has answered what it was sent.
    pub(crate) fn recovered_there(&mut self, from: CoreId, report: LoadReport, now: Now, out: &mut Effects) {
        let Some(recovery) = &mut self.recovery else { return };
        recovery.in_flight[from.index()] -= 1;
        if let Err(wrong) = self.lines_are_read(report) {
            return self.log_is_wrong(wrong, out);
        }
        self.turn_others(now, out);
    }

    fn end_recovery(&mut self, now: Now, out: &mut Effects) {
        let Some(recovery) = &mut self.recovery else { return };
        if recovery.is_again {
            // The files go on as they are.
            recovery.say_how_long(now, out);
            if !recovery.is_current_there {
                let why = "it does not name the files that are written now".to_string();
                return self.log_is_wrong((self.node.manifest_path(), why), out);
            }
            self.recovery = None;
            return;
        }
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
        recovery.unturned = (1..self.node.cores).map(CoreId).collect();
        self.node.turn_page_if_on(number);
        self.turn_others(now, out);
    }

    /// Tells those who do not know yet, as far as there are credits: who asks how the cores are may have taken some.
    pub(crate) fn turn_others(&mut self, now: Now, out: &mut Effects) {
        let Some(recovery) = &mut self.recovery else { return };
        if recovery.stage != Stage::Turning {
            return;
        }
        let number = recovery.manifest.last_number();
        let links = &mut self.node.links;
        recovery.unturned.retain(|core| {
            let is_told = links.take(*core);
            if is_told {
                recovery.in_flight[core.index()] += 1;
                let message = Message::OfKeeper(Box::new(OfKeeper::Turn(number)));
                out.push(Effect::Send { to: *core, message });
            }
            !is_told
        });
        if recovery.unturned.is_empty() && recovery.in_flight.iter().all(|count| *count == 0) {
            self.recovery_is_over(now, out);
        }
    }

    fn recovery_is_over(&mut self, now: Now, out: &mut Effects) {
        let Some(recovery) = self.recovery.take() else { return };
        let mut status = self.node.status.clone();
        status.is_loading = false;
        recovery.say_how_long(now, out);
        let text = "Ready to accept connections".into();
        out.push(Effect::Log { level: LogLevel::Notice, text });
        self.tell_all(status, now, out);
        if recovery.manifest.generations.len() > GENERATIONS_MAX || recovery.manifest.has_commands() {
            self.want_base();
        }
    }
}
