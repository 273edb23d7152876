//! Files that make up the data and are no logs of ours, on their way in: a snapshot, commands as Redis writes them, or one behind the other.
//!
//! It knows where each begins and how much of it counts. It does not know what commands do.

use crate::aof::adopt::{Adoption, PREAMBLE, Place, READER, Step};
use crate::aof::manifest::{DataFile, Manifest};
use crate::aof::recover::{Stage, Wrong};
use crate::engine::Engine;
use crate::event::{DiskRequest, Effect, Effects, LogLevel};
use crate::files::Purpose;
use crate::time::Now;

impl Engine {
    pub(super) fn data_path(&self) -> String {
        let file = self.recovery.as_ref().and_then(|recovery| recovery.data.as_ref());
        file.map_or(String::new(), |(_, file)| self.node.data_path(&file.name, file.is_beside))
    }

    /// A file that is no log of ours is read: a snapshot, commands, or both.
    pub(super) fn begin_data(&mut self, place: Place, file: DataFile, out: &mut Effects) {
        let Some(recovery) = &mut self.recovery else { return };
        recovery.data = Some((place, file));
        recovery.stage = Stage::Beginning;
        let path = self.data_path();
        let request = DiskRequest::ReadAt { path, at: 0, len: PREAMBLE.len(), into: Vec::new() };
        self.files.begin(Purpose::Recover, request, out);
    }

    pub(super) fn data_is_missing(&mut self, now: Now, out: &mut Effects) -> Result<(), Wrong> {
        let path = self.data_path();
        let Some(recovery) = &mut self.recovery else { return Ok(()) };
        if recovery.is_new {
            // Who has switched the log on for the first time keeps what the last dump holds.
            recovery.manifest = Manifest::default();
            recovery.stage = Stage::Base;
            recovery.data = None;
            let path = self.node.dump_path();
            self.load_file(path, now, out);
            return Ok(());
        }
        // Redis names the file that it had before it had a directory, and moves it there afterwards.
        if let Some((Place::Base, file)) = &mut recovery.data
            && !file.is_beside
            && file.name == self.node.settings.append_filename
        {
            let file = DataFile { is_beside: true, ..file.clone() };
            if let Some((named, _)) = &mut recovery.manifest.base {
                *named = file.clone();
            }
            self.begin_data(Place::Base, file, out);
            return Ok(());
        }
        Err((path, "it is not there, though the manifest names it".into()))
    }

    /// The snapshot is there, or there is none: it ends there in its file.
    pub(crate) fn base_is_loaded(&mut self, end: u64, now: Now, out: &mut Effects) {
        let Some(recovery) = &self.recovery else { return };
        match &recovery.data {
            Some((place, _)) => {
                if *place == Place::Base {
                    self.node.status.base_bytes = end;
                }
                self.begin_commands(end, now, out);
            }
            None => {
                self.node.status.base_bytes = end;
                if let Err(wrong) = self.next_generation(now, out) {
                    self.log_is_wrong(wrong, out);
                }
            }
        }
    }

    /// There is no snapshot where one was looked for.
    pub(crate) fn base_is_missing(&mut self, now: Now, out: &mut Effects) {
        let Some(recovery) = &self.recovery else { return };
        match &recovery.data {
            Some(_) => self.log_is_wrong((self.data_path(), "it is not there any more".into()), out),
            None => self.base_is_loaded(0, now, out),
        }
    }

    /// The commands of a file are run, from this byte on.
    pub(super) fn begin_commands(&mut self, from: u64, now: Now, out: &mut Effects) {
        let path = self.data_path();
        let Some(recovery) = &mut self.recovery else { return };
        let Some((place, file)) = &recovery.data else { return };
        let adoption = Box::new(Adoption::new(*place, path, from, file.size));
        recovery.stage = Stage::Commands;
        recovery.is_reading = true;
        self.begin_adoption(now);
        self.read_commands(&adoption, out);
        if let Some(recovery) = &mut self.recovery {
            recovery.adoption = Some(adoption);
        }
    }

    pub(super) fn command_step(&mut self, now: Now, out: &mut Effects) -> Result<(), Wrong> {
        let adoption = self.recovery.as_mut().and_then(|recovery| recovery.adoption.take());
        let Some(mut adoption) = adoption else { return Ok(()) };
        let step = self.adopt_next(&mut adoption, now, out)?;
        if let Step::End { end, torn } = step {
            return self.end_commands(&adoption, end, torn, now, out);
        }
        if matches!(step, Step::Read) {
            self.read_commands(&adoption, out);
        }
        if let Some(recovery) = &mut self.recovery {
            recovery.is_reading |= matches!(step, Step::Read);
            recovery.adoption = Some(adoption);
        }
        Ok(())
    }

    /// Replies have come to commands of a file.
    pub(crate) fn command_is_answered(&mut self, out: &mut Effects) {
        // While one begins it looks itself.
        let adoption = self.recovery.as_mut().and_then(|recovery| recovery.adoption.take());
        let Some(mut adoption) = adoption else { return };
        adoption.waits = false;
        if let Err(wrong) = self.hear_adopted(&mut adoption) {
            return self.log_is_wrong(wrong, out);
        }
        if let Some(recovery) = &mut self.recovery {
            recovery.adoption = Some(adoption);
        }
    }

    /// A file of Redis's was read to its end: how much of it counts goes into the manifest.
    fn end_commands(
        &mut self,
        adoption: &Adoption,
        end: u64,
        torn: u64,
        now: Now,
        out: &mut Effects,
    ) -> Result<(), Wrong> {
        let path = self.data_path();
        self.sessions.reader = None;
        self.node.links.forget(READER);
        let accepts = self.node.settings.aof_load_truncated;
        let Some(recovery) = &mut self.recovery else { return Ok(()) };
        let Some((place, mut file)) = recovery.data.take() else { return Ok(()) };
        if let Some(size) = file.size.filter(|size| torn > 0 || end < *size) {
            return Err((path, format!("only {end} of its {size} bytes are whole")));
        }
        let is_last = match place {
            Place::Base => recovery.manifest.generations.is_empty(),
            Place::Generation(at) => at + 1 == recovery.manifest.generations.len(),
        };
        if torn > 0 && !is_last {
            let why = format!("from byte {end} on it has no whole command, and it is not the last file");
            return Err((path, why));
        }
        if torn > 0 && !accepts {
            let why =
                format!("from byte {end} on it has no whole command or transaction (`aof-load-truncated`)");
            return Err((path, why));
        }
        if torn > 0 {
            let text = format!(
                "{path}: from byte {end} on, its last {torn} bytes are no whole command or transaction and are left out."
            );
            out.push(Effect::Log { level: LogLevel::Warning, text });
        }
        adoption.note_size(end, torn, &mut file);
        recovery.to_sync.push(path);
        recovery.lines_read += adoption.commands;
        match place {
            Place::Base => {
                self.node.status.base_bytes = end;
                if let Some((named, _)) = &mut recovery.manifest.base {
                    *named = file;
                }
            }
            Place::Generation(at) => {
                recovery.manifest.generations[at].commands = Some(file);
                recovery.counted.push(Vec::new());
                recovery.at += 1;
            }
        }
        self.next_generation(now, out)
    }
}
