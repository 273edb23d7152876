//! The keeper replaces logs by a snapshot and new logs.
//!
//! The cut of the snapshot is where each shard turns to a new file, so the snapshot and what the new files hold are together what there is. The
//! manifest names the new files before anything is written to them, and the snapshot instead of the old files when it is durable; at every
//! moment the files that it names are everything.
//!
//! It knows files by name. It does not know what is in them.

use crate::aof::manifest::{DataFile, Generation, LogFile, Manifest};
use crate::aof::pen::SyncPolicy;
use crate::aof::survey::NO_MARK;
use crate::engine::Engine;
use crate::event::{DiskOutcome, DiskRequest, Effect, Effects, LogLevel};
use crate::files::Purpose;
use crate::mutant::planted;
use crate::node::Node;
use crate::snapshot::keeper::{KEEPER, Stage};
use crate::time::Now;

impl Node {
    /// Where the files of the log are.
    pub(crate) fn log_directory(&self) -> String {
        let settings = &self.settings;
        format!("{}/{}", settings.dir.trim_end_matches('/'), settings.append_dirname)
    }

    /// The path of a file that the manifest names.
    pub(crate) fn data_path(&self, name: &str, is_beside: bool) -> String {
        match is_beside {
            true => format!("{}/{name}", self.settings.dir.trim_end_matches('/')),
            false => format!("{}/{name}", self.log_directory()),
        }
    }

    /// The path of the dump.
    pub(crate) fn dump_path(&self) -> String {
        self.data_path(&self.settings.dbfilename, true)
    }

    /// The path of the manifest.
    pub(crate) fn manifest_path(&self) -> String {
        format!("{}/{}.manifest", self.log_directory(), self.settings.append_filename)
    }

    fn log_name(&self, generation: u32, core: u16) -> String {
        format!("{}.{generation}.{core}.log", self.settings.append_filename)
    }

    /// The name of the snapshot that a generation of logs follows.
    pub(crate) fn base_name(&self, generation: u32) -> String {
        format!("{}.{generation}.base.rdb", self.settings.append_filename)
    }

    /// From now on changes are written down in the files of a generation, or not at all.
    pub(crate) fn turn_page(&mut self, generation: Option<u32>) {
        let path = generation
            .map(|generation| format!("{}/{}", self.log_directory(), self.log_name(generation, self.core.0)));
        self.write_down_asides();
        self.shard.changes.want(path.is_some());
        if self.pen.run == 0 {
            self.pen.run = generation.unwrap_or(0);
        }
        self.pen.turn_page(path, generation.unwrap_or(0));
        self.note_policy();
        self.gate();
    }

    /// The log that was read goes on in the files of a generation, unless it was switched off meanwhile.
    pub(crate) fn turn_page_if_on(&mut self, generation: u32) {
        self.turn_page(Some(generation).filter(|_| self.settings.appendonly));
    }

    /// From here on everything is synced before anybody hears of it, or not any more.
    pub(crate) fn note_policy(&mut self) {
        let is_always = self.settings.appendfsync == SyncPolicy::Always;
        if self.pen.is_on() && self.pen.is_always != is_always {
            self.pen.is_always = is_always;
            self.pen.write().mark(NO_MARK, is_always);
        }
    }

    /// The logs of a generation that is about to be written.
    pub(crate) fn new_generation(&self, number: u32) -> Generation {
        let log = |core| LogFile {
            name: self.log_name(number, core),
            core,
            size: None,
            run: if self.pen.run == 0 { number } else { self.pen.run },
            boot: self.process.boot.clone(),
        };
        Generation { number, logs: (0..self.cores).map(log).collect(), commands: None }
    }
}

impl Engine {
    /// Paths of a snapshot and of the file that becomes it.
    pub(crate) fn base_paths(&self, generation: u32) -> (String, String) {
        let directory = self.node.log_directory();
        let temporary = format!("{directory}/temp-rewriteaof-{}.rdb", self.node.process.pid);
        (format!("{directory}/{}", self.node.base_name(generation)), temporary)
    }

    /// The log is to be written anew as soon as it can be.
    pub(crate) fn want_base(&mut self) {
        self.keeper.wants_base = true;
        if !self.node.status.is_rewriting {
            let mut status = self.node.status.clone();
            status.is_rewrite_scheduled = true;
            self.node.status = status;
        }
    }

    /// `appendonly` was switched, or the log has grown.
    pub(crate) fn judge_log(&mut self, now: Now) {
        if self.node.core != KEEPER || self.node.status.is_loading || self.stopping.is_some() {
            return;
        }
        let (settings, keeper) = (&self.node.settings, &self.keeper);
        if !settings.appendonly || keeper.wants_base || keeper.base.is_some() {
            return;
        }
        let has_rested = !self.node.status.rewrite_failed
            || now.mono.millis_since(self.keeper.rewrote) >= REWRITE_PAUSE_MILLIS;
        let base = self.node.status.base_bytes;
        let size = base + self.keeper.log_bytes;
        let grown = settings.auto_aof_rewrite_percentage;
        let is_large = grown > 0
            && size > settings.auto_aof_rewrite_min_size
            && self.keeper.log_bytes.saturating_mul(100) / base.max(1) >= grown;
        if has_rested && (!self.node.pen.is_on() || is_large) {
            self.want_base();
        }
    }

    /// A rewrite begins: the new files are named.
    pub(crate) fn begin_base(&mut self, now: Now, out: &mut Effects) {
        let generation = self.keeper.manifest.last_number().max(self.node.pen.generation) + 1;
        self.keeper.wants_base = false;
        self.keeper.base = Some(generation);
        (self.keeper.over, self.keeper.sum) = (0, 0);
        (self.keeper.began, self.keeper.rewrote) = (now.mono, now.mono);
        let mut status = self.node.status.clone();
        (status.is_rewriting, status.is_rewrite_scheduled) = (true, false);
        status.rewriting_began = now.unix_seconds();
        let text = "Background append only file rewriting started".to_string();
        out.push(Effect::Log { level: LogLevel::Notice, text });
        self.tell_all(status, now, out);
        if self.node.pen.is_on() {
            let mut manifest = self.keeper.manifest.clone();
            manifest.generations.push(self.node.new_generation(generation));
            self.keeper.stage = Stage::Announcing;
            self.write_manifest(manifest, out);
        } else {
            // Until the snapshot is there the files would be no whole: nothing names them.
            self.create_base(out);
        }
    }

    pub(crate) fn create_base(&mut self, out: &mut Effects) {
        let Some(generation) = self.keeper.base else { return };
        self.keeper.stage = Stage::Creating;
        let (_, path) = self.base_paths(generation);
        let create = DiskRequest::Create { path, with_directory: true, former: None };
        self.files.begin(Purpose::Snapshot, create, out);
    }

    fn write_manifest(&mut self, manifest: Manifest, out: &mut Effects) {
        let request =
            DiskRequest::Replace { path: self.node.manifest_path(), bytes: manifest.text().into_bytes() };
        self.keeper.next_manifest = Some(manifest);
        self.files.begin(Purpose::Snapshot, request, out);
    }

    /// The manifest is in its place.
    pub(crate) fn manifest_is_written(&mut self, out: &mut Effects) {
        let Some(next) = self.keeper.next_manifest.take() else { return };
        let old = std::mem::replace(&mut self.keeper.manifest, next);
        let kept: Vec<(&str, bool)> = self.keeper.manifest.files().collect();
        let gone: Vec<String> = old
            .files()
            .chain(old.history.iter().map(|name| (&name[..], false)))
            .filter(|file| !kept.contains(file))
            .map(|(name, is_beside)| self.node.data_path(name, is_beside))
            .collect();
        for path in gone {
            self.files.begin(Purpose::Tidying, DiskRequest::Remove { path }, out);
        }
    }

    /// The snapshot has its name: from now on it stands for all older files.
    pub(crate) fn switch_manifest(&mut self, out: &mut Effects) {
        let Some(generation) = self.keeper.base else { return };
        self.keeper.stage = Stage::Switching;
        let manifest = Manifest {
            base: Some((DataFile::whole(self.node.base_name(generation)), generation)),
            generations: vec![self.node.new_generation(generation)],
            history: Vec::new(),
        };
        self.write_manifest(manifest, out);
    }

    /// The end of a rewrite.
    pub(crate) fn rewrite_is_over(&mut self, is_saved: bool, now: Now, out: &mut Effects) {
        self.keeper.next_manifest = None;
        let mut status = self.node.status.clone();
        status.is_rewriting = false;
        status.is_rewrite_scheduled = self.keeper.wants_base;
        status.rewrite_failed = !is_saved && !std::mem::take(&mut self.keeper.is_aborted);
        status.last_rewrite_seconds = Some(now.mono.millis_since(self.keeper.began) / 1_000);
        let text = if is_saved {
            status.rewrites += 1;
            status.base_bytes = self.keeper.base_bytes;
            status.base = self.keeper.manifest.base.as_ref().map_or(0, |(_, number)| *number);
            self.keeper.log_bytes = 0;
            "Background AOF rewrite finished successfully"
        } else {
            "Background AOF rewrite terminated with error"
        };
        out.push(Effect::Log { level: LogLevel::Notice, text: text.to_string() });
        self.tell_all(status, now, out);
    }

    /// A file that nobody needs any more is gone, or is not; it is tried again at the next start.
    pub(crate) fn tidied(&mut self, outcome: DiskOutcome, out: &mut Effects) {
        if let DiskOutcome::Failed(why) = outcome {
            let text = format!("A file of an older log could not be removed: {why}");
            out.push(Effect::Log { level: LogLevel::Warning, text });
        }
    }

    /// True if the manifest names a snapshot before that is there: a planted fault.
    pub(crate) fn names_too_early() -> bool {
        planted("the manifest names a snapshot that is not published")
    }
}

/// After a rewrite has failed, the next one that is due by itself waits so long.
const REWRITE_PAUSE_MILLIS: u64 = 60_000;
