//! The keeper: core 0, which begins snapshots, puts their parts into the file, and says when one is over.
//!
//! It takes a snapshot so: create a file of another name; the cut, a transaction over all shards; parts into the file as they come; the end with
//! the checksum; sync, rename, sync of the directory. Whatever fails on the way, the last snapshot stays where it is. One snapshot at a time;
//! who asks meanwhile gets the next one.
//!
//! It knows parts and the file. It does not know what is in them.

use std::collections::{BTreeMap, VecDeque};

use crate::aof::manifest::Manifest;
use crate::aof::marks::Marks;
use crate::aof::reload::Reload;
use crate::engine::Engine;
use crate::event::{ConnId, CoreId, DiskOutcome, DiskRequest, Effect, Effects, LogLevel};
use crate::files::Purpose;
use crate::message::{Message, Token};
use crate::mutant::planted;
use crate::rdb::file::{sum_on, write_end, write_header};
use crate::rdb::writer::Writer;
use crate::snapshot::load::{BATCHES_MAX, Loader};
use crate::snapshot::saving::Part;
use crate::snapshot::status::{OfKeeper, Status};
use crate::snapshot::timetable::Timetable;
use crate::time::{Instant, Now};
use crate::txn::intent::Mode;
use crate::txn::work::Body;

/// Who keeps the file.
pub const KEEPER: CoreId = CoreId(0);

/// No client: what the keeper does, nobody waits for as for a reply.
pub const NOBODY: ConnId = ConnId { index: u32::MAX, generation: u32::MAX };

/// No client either: in its name moments are marked in the log.
pub const MARKER: ConnId = ConnId { index: u32::MAX, generation: u32::MAX - 1 };

/// Nor this: in its name all shards are held while the log is read back.
pub const RELOADER: ConnId = ConnId { index: u32::MAX, generation: u32::MAX - 3 };

/// After a snapshot has failed, the next one that is due by itself waits so long.
const RETRY_MILLIS: u64 = 5_000;

/// How far a snapshot is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    #[default]
    Idle,
    /// Of a log that is written anew: the manifest names the new files.
    Announcing,
    /// The file is being created.
    Creating,
    /// The cut waits for credits.
    Cutting,
    /// Parts come and are written.
    Writing,
    /// The end is being written.
    Ending,
    /// The file gets its name.
    Publishing,
    /// Of a log that is written anew: the manifest names it instead of older files.
    Switching,
    /// It has failed; the shards still have to hear of it.
    GivingUp,
    /// What was written is being removed.
    Removing,
}

/// What the keeper keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Keeper {
    pub(crate) stage: Stage,
    /// The snapshot is the beginning of the log of this generation.
    pub(crate) base: Option<u32>,
    /// The log is to be written anew.
    pub(crate) wants_base: bool,
    /// The files of the log.
    pub(crate) manifest: Manifest,
    /// What the manifest is being replaced by.
    pub(crate) next_manifest: Option<Manifest>,
    /// Bytes of the snapshot that is being written.
    pub(crate) base_bytes: u64,
    /// Bytes of all logs since they were last written anew, as far as cores have told.
    pub(crate) log_bytes: u64,
    /// Cores that cannot write their logs, and why.
    pub(crate) log_failures: BTreeMap<CoreId, String>,
    /// When the log was last begun to be written anew.
    pub(crate) rewrote: Instant,
    pub(crate) marks: Marks,
    /// The log is read back.
    pub(crate) reload: Reload,
    /// When a snapshot is due by itself, whatever has changed.
    pub(crate) timetable: Timetable,
    /// The number of the last snapshot that somebody was promised.
    wanted: u64,
    /// Parts that are to be written.
    parts: VecDeque<(CoreId, Part)>,
    /// What was written last ends within a value of this shard: its next part comes first.
    torn: Option<CoreId>,
    /// Whose parts are being written.
    writing: Vec<CoreId>,
    is_writing: bool,
    /// Shards whose last part has come.
    pub(crate) over: usize,
    pub(crate) sum: u64,
    pub(crate) began: Instant,
    /// The server is to stop after this; `Some(true)`: even if it fails.
    stops: Option<bool>,
    /// Changes since the last snapshot that is in the file, as far as cores have told.
    pub(crate) changes: u64,
    changes_at_cut: u64,
    tried: Instant,
    /// Nobody wants the snapshot any more that is under way.
    pub(crate) is_aborted: bool,
    /// Cores that do not know yet how things stand.
    untold: Vec<CoreId>,
    /// Cores that do not know yet that the snapshot is not wanted any more.
    unwarned: Vec<CoreId>,
}

impl Keeper {
    /// The next part to be written: the first that has come, unless it would come into the midst of a value.
    fn next_part(&mut self) -> Option<(CoreId, Part)> {
        let fits = |(core, _): &(CoreId, Part)| self.torn.is_none_or(|torn| torn == *core);
        let any = planted("a part comes into the midst of another shard's value");
        let next = self.parts.iter().position(|part| fits(part) || any)?;
        self.parts.remove(next)
    }

    /// True if a snapshot is under way, or there is something to say.
    pub fn is_busy(&self) -> bool {
        self.stage != Stage::Idle || !self.untold.is_empty()
    }

    /// The number of the next snapshot to begin, which is wanted from now on.
    pub(crate) fn want(&mut self, begun: u64) -> u64 {
        self.wanted = begun + 1;
        self.wanted
    }

    /// The server is to stop after the next snapshot.
    pub(crate) fn want_stop(&mut self, begun: u64, force: bool) -> u64 {
        self.stops = Some(force);
        self.want(begun)
    }
}

impl Engine {
    /// Paths of the dump and of the file that becomes it.
    fn dump_paths(&self) -> (String, String) {
        if let Some(generation) = self.keeper.base {
            return self.base_paths(generation);
        }
        let settings = &self.node.settings;
        let directory = settings.dir.trim_end_matches('/');
        let temporary = format!("{directory}/temp-{}.rdb", self.node.process.pid);
        (format!("{directory}/{}", settings.dbfilename), temporary)
    }

    fn others(&self) -> impl Iterator<Item = CoreId> + use<> {
        let me = self.node.core;
        (0..self.node.cores).map(CoreId).filter(move |core| *core != me)
    }

    /// Every core is to know how things stand.
    pub(crate) fn tell_all(&mut self, status: Status, now: Now, out: &mut Effects) {
        self.keeper.untold = self.others().collect();
        self.learned(status, now, out);
    }

    /// What snapshots have to say, to whom and about what: the keeper, and every core for its own shard.
    #[inline]
    pub(crate) fn speak_of_snapshots(&mut self, now: Now, out: &mut Effects) {
        let node = &self.node;
        if node.shard.saving.is_some() || node.asks.has_words() {
            self.speak_to_keeper(now, out);
        }
        if self.recovery.is_some() {
            self.turn_others(now, out);
        }
        // Its end is told, and lets what has waited for it begin.
        if self.keeper.reload.is_wanted() {
            self.reload_log(now, out);
        }
        if self.keeper.is_busy() || self.keeper.wants_base || self.keeper.wanted > self.node.status.begun {
            self.keep(now, out);
        }
    }

    /// The core begins: the keeper reads what there is.
    pub(crate) fn start(&mut self, now: Now, out: &mut Effects) {
        if self.node.core == KEEPER && self.node.status.is_loading {
            match self.node.settings.appendonly {
                true => self.recover(now, out),
                false => self.load_file(self.dump_paths().0, now, out),
            }
        }
    }

    /// Begins to read a dump.
    pub(crate) fn load_file(&mut self, path: String, now: Now, out: &mut Effects) {
        let batches_max = self.keeper.reload.batches_max(BATCHES_MAX);
        self.loader = Some(Box::new(Loader::new(path, self.node.cores, batches_max)));
        self.read_dump(now, out);
    }

    /// Goes on with a snapshot, and says what there is to say.
    pub(crate) fn keep(&mut self, now: Now, out: &mut Effects) {
        let is_wanted = self.keeper.wanted > self.node.status.begun;
        if self.keeper.stage == Stage::Idle && self.stopping.is_none() && !self.keeper.reload.is_active() {
            match is_wanted {
                true => self.begin_snapshot(now, out),
                false if self.keeper.wants_base => self.begin_base(now, out),
                false => {}
            }
        }
        if self.keeper.stage == Stage::Cutting {
            self.cut(now, out);
        }
        let mut unwarned = std::mem::take(&mut self.keeper.unwarned);
        unwarned.retain(|core| {
            let is_told = self.node.links.take(*core);
            if is_told {
                let message = Message::OfKeeper(Box::new(OfKeeper::GiveUp));
                out.push(Effect::Send { to: *core, message });
            }
            !is_told
        });
        self.keeper.unwarned = unwarned;
        let mut untold = std::mem::take(&mut self.keeper.untold);
        untold.retain(|core| {
            let is_told = self.node.links.take(*core);
            if is_told {
                let status = Box::new(OfKeeper::Status(self.node.status.clone()));
                out.push(Effect::Send { to: *core, message: Message::OfKeeper(status) });
            }
            !is_told
        });
        self.keeper.untold = untold;
    }

    fn begin_snapshot(&mut self, now: Now, out: &mut Effects) {
        let mut status = self.node.status.clone();
        status.begun += 1;
        status.is_saving = true;
        status.is_stopping = self.keeper.stops.is_some();
        status.saving_began = now.unix_seconds();
        self.keeper.stage = Stage::Creating;
        (self.keeper.began, self.keeper.tried) = (now.mono, now.mono);
        (self.keeper.over, self.keeper.sum) = (0, 0);
        let text = "Background saving started".to_string();
        out.push(Effect::Log { level: LogLevel::Notice, text });
        let (former, path) = self.dump_paths();
        let create = DiskRequest::Create { path, with_directory: false, former: Some(former) };
        self.files.begin(Purpose::Snapshot, create, out);
        self.tell_all(status, now, out);
    }

    /// All shards at one moment: what has happened before belongs to the snapshot, what comes later does not.
    fn cut(&mut self, now: Now, out: &mut Effects) {
        let others: Vec<CoreId> = self.others().collect();
        if !self.node.links.take_all(&others) {
            return;
        }
        self.keeper.stage = Stage::Writing;
        self.keeper.changes_at_cut = self.keeper.changes;
        let mut writer = Writer::new(false);
        let seconds = now.unix_seconds().to_string();
        let base = if self.keeper.base.is_some() { "1" } else { "0" };
        let facts =
            [("darter-ver", crate::VERSION), ("redis-bits", "64"), ("ctime", &seconds), ("aof-base", base)];
        write_header(&facts, &mut writer);
        let header = Part { bytes: writer.out, is_torn: false, is_last: false };
        self.keeper.parts.push_back((NO_CORE, header));
        self.keeper.torn = None;
        let page = self.keeper.base;
        let is_final = self.keeper.stops.is_some() && page.is_none();
        let mode = (!planted("the cut is made shard by shard")).then_some(Mode::Shared);
        let cut = Body::Cut { is_final, page };
        // What counts in the old files is written there before any of them ends: see the marks.
        let is_in_two = page.is_some() && !planted("a mark is written before all shards are held");
        let steps = if is_in_two { vec![Body::Lock, cut] } else { vec![cut] };
        // Those of logs are told apart.
        let sequence = page.map_or(self.node.status.begun, |generation| u64::from(generation) << 32);
        let token = Token { conn: NOBODY, sequence };
        self.launch_on_all(token, mode, &steps, now, out);
        self.write_parts(out);
    }

    /// A shard's part of the snapshot has come.
    pub(crate) fn part(&mut self, from: CoreId, part: Part, out: &mut Effects) {
        self.keeper.over += usize::from(part.is_last);
        if self.keeper.stage == Stage::GivingUp {
            self.part_is_stored(from, out);
            return self.give_up_if_over(out);
        }
        self.keeper.parts.push_back((from, part));
        self.write_parts(out);
    }

    /// Writes what has come, all at once; behind the last the end.
    fn write_parts(&mut self, out: &mut Effects) {
        let keeper = &mut self.keeper;
        if keeper.is_writing || keeper.stage != Stage::Writing {
            return;
        }
        if keeper.sum == 0 {
            keeper.base_bytes = 0;
        }
        let mut parts = Vec::with_capacity(keeper.parts.len() + 1);
        while let Some((core, Part { bytes, is_torn, .. })) = keeper.next_part() {
            keeper.torn = is_torn.then_some(core);
            keeper.sum = sum_on(keeper.sum, &bytes);
            keeper.base_bytes += bytes.len() as u64;
            keeper.writing.push(core);
            parts.push(bytes);
        }
        if keeper.over == usize::from(self.node.cores) {
            let mut end = Writer::new(false);
            write_end(&mut end);
            keeper.sum = sum_on(keeper.sum, &end.out);
            let sum = if self.node.settings.rdb_checksum { keeper.sum } else { 0 };
            end.wide(sum);
            parts.push(end.out);
            keeper.stage = Stage::Ending;
        }
        if parts.is_empty() {
            return;
        }
        keeper.is_writing = true;
        let (_, path) = self.dump_paths();
        self.files.begin(Purpose::Snapshot, DiskRequest::Append { path, parts }, out);
    }

    fn part_is_stored(&mut self, from: CoreId, out: &mut Effects) {
        if from == NO_CORE {
        } else if from == self.node.core {
            self.stored();
        } else {
            out.push(Effect::Send { to: from, message: Message::Stored });
        }
    }

    /// An operation on the snapshot's file has ended.
    pub(crate) fn snapshot_file(&mut self, outcome: DiskOutcome, now: Now, out: &mut Effects) {
        self.keeper.is_writing = false;
        for core in std::mem::take(&mut self.keeper.writing) {
            self.part_is_stored(core, out);
        }
        let (path, temporary) = self.dump_paths();
        if let DiskOutcome::Failed(why) = outcome {
            return match self.keeper.stage {
                Stage::Removing => self.snapshot_is_over(false, now, out),
                Stage::GivingUp => self.give_up_if_over(out),
                stage => {
                    let text = format!("Error saving the DB to {temporary}: {why}");
                    out.push(Effect::Log { level: LogLevel::Warning, text });
                    self.give_up(stage, now, out);
                }
            };
        }
        match self.keeper.stage {
            Stage::Announcing => {
                self.manifest_is_written(out);
                self.create_base(out);
            }
            Stage::Switching => {
                self.manifest_is_written(out);
                self.snapshot_is_over(true, now, out);
            }
            Stage::Creating => self.keeper.stage = Stage::Cutting,
            Stage::Writing => self.write_parts(out),
            Stage::Ending if self.keeper.base.is_some() && Engine::names_too_early() => {
                self.switch_manifest(out);
            }
            Stage::Ending => {
                self.keeper.stage = Stage::Publishing;
                let publish = DiskRequest::Publish { from: temporary, to: path };
                self.files.begin(Purpose::Snapshot, publish, out);
            }
            Stage::Publishing if self.keeper.base.is_some() => self.switch_manifest(out),
            Stage::Publishing => {
                let text = "DB saved on disk".to_string();
                out.push(Effect::Log { level: LogLevel::Notice, text });
                self.snapshot_is_over(true, now, out);
            }
            Stage::Removing => self.snapshot_is_over(false, now, out),
            Stage::GivingUp => self.give_up_if_over(out),
            Stage::Idle | Stage::Cutting => {}
        }
    }

    /// Nothing more is written. If the cut was made, shards are on their way.
    fn give_up(&mut self, stage: Stage, now: Now, out: &mut Effects) {
        if matches!(stage, Stage::Creating | Stage::Announcing | Stage::Switching) {
            return self.snapshot_is_over(false, now, out);
        }
        self.keeper.stage = Stage::GivingUp;
        for (core, _) in std::mem::take(&mut self.keeper.parts) {
            self.part_is_stored(core, out);
        }
        self.node.shard.give_up_saving();
        self.keeper.unwarned = self.others().collect();
        self.give_up_if_over(out);
    }

    /// When all shards have sent their last part, what was written is removed.
    fn give_up_if_over(&mut self, out: &mut Effects) {
        if self.keeper.stage == Stage::GivingUp
            && self.keeper.over == usize::from(self.node.cores)
            && !self.keeper.is_writing
        {
            self.keeper.stage = Stage::Removing;
            let (_, path) = self.dump_paths();
            self.files.begin(Purpose::Snapshot, DiskRequest::Remove { path }, out);
        }
    }

    fn snapshot_is_over(&mut self, is_saved: bool, now: Now, out: &mut Effects) {
        let keeper = &mut self.keeper;
        keeper.stage = Stage::Idle;
        keeper.unwarned.clear();
        if keeper.base.take().is_some() {
            return self.rewrite_is_over(is_saved, now, out);
        }
        let mut status = self.node.status.clone();
        status.ended = status.begun;
        status.ended_well = is_saved;
        status.has_failed = !is_saved && !std::mem::take(&mut keeper.is_aborted);
        status.last_seconds = Some(now.mono.millis_since(keeper.began) / 1_000);
        status.is_saving = keeper.wanted > status.begun;
        status.is_stopping = false;
        if is_saved {
            status.saves += 1;
            status.last_save = now.unix_seconds();
            keeper.changes -= keeper.changes_at_cut;
        }
        let text = match is_saved {
            true => "Background saving terminated with success",
            false => "Background saving error",
        };
        out.push(Effect::Log { level: LogLevel::Notice, text: text.to_string() });
        if let Some(force) = keeper.stops.take() {
            if is_saved || force {
                // Nothing that changes runs any more: the shards stay held.
                status.is_stopping = true;
                out.push(Effect::Shutdown);
            } else {
                let text = "Error trying to save the DB, can't exit.".to_string();
                out.push(Effect::Log { level: LogLevel::Warning, text });
            }
        }
        self.tell_all(status, now, out);
    }

    /// The server is not to stop after all.
    pub(crate) fn abort_stop(&mut self, now: Now, out: &mut Effects) {
        if self.keeper.stops.take().is_none() {
            return;
        }
        let text = "Shutdown manually aborted.".to_string();
        out.push(Effect::Log { level: LogLevel::Warning, text });
        self.keeper.wanted = self.keeper.wanted.min(self.node.status.begun);
        match self.keeper.stage {
            Stage::Idle | Stage::GivingUp | Stage::Removing => {}
            _ if self.keeper.base.is_some() => {}
            stage => {
                self.keeper.is_aborted = true;
                self.give_up(stage, now, out);
            }
        }
    }

    /// The process ends while a snapshot is under way: what was written is removed first.
    pub(crate) fn stop_keeping(&mut self, out: &mut Effects) {
        let has_file = !matches!(
            self.keeper.stage,
            Stage::Idle | Stage::Removing | Stage::Announcing | Stage::Switching
        );
        if has_file {
            self.keeper.stage = Stage::Removing;
            let (_, path) = self.dump_paths();
            self.files.begin(Purpose::Snapshot, DiskRequest::Remove { path }, out);
        }
    }

    /// Asks for a snapshot if one is due by `save`.
    pub(crate) fn judge_save_points(&mut self, now: Now, out: &mut Effects) {
        let (status, keeper) = (&self.node.status, &self.keeper);
        if status.is_saving || status.has_failed && now.mono.millis_since(keeper.tried) < RETRY_MILLIS {
            return;
        }
        let last = status.last_save.max(self.node.started_unix.unwrap_or_default());
        let passed = now.unix_seconds().saturating_sub(last);
        let is_due =
            |(seconds, changes): &&(u64, u64)| keeper.changes >= (*changes).max(1) && passed > *seconds;
        if let Some((seconds, changes)) = self.node.settings.save.iter().find(is_due) {
            let text = format!("{changes} changes in {seconds} seconds. Saving...");
            out.push(Effect::Log { level: LogLevel::Notice, text });
            let begun = status.begun;
            self.keeper.want(begun);
        }
    }
}

/// Stands for nobody's part: the header.
const NO_CORE: CoreId = CoreId(u16::MAX);
