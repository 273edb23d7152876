//! The files of a world: in memory, and with all that a disk may do to what it is given.
//!
//! What a process sees and what a loss of power leaves are two things here. A file has bytes that are durable, bytes that are not yet, and bytes that
//! will never be, as a sync of them has failed: the system has forgotten them, and the next sync does not bring them back. A directory's names
//! are durable when it was synced. An operation may stop after any of its steps, as when it fails there or as when everything ends there.
//!
//! It knows paths and bytes. What was published is kept for the checkers.

use std::collections::BTreeMap;
use std::ops::Range;

use darter_core::aof::line::{Line, line};
use darter_core::aof::reader::{Next, Reader};
use darter_core::event::{DiskOutcome, DiskRequest, Durability};

use crate::dice::Dice;

/// Bytes that reach the disk together or not at all.
const BLOCKS: [usize; 2] = [512, 4096];

/// What a sync is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Syncs {
    /// What it says.
    #[default]
    Honest,
    /// It fails, and what it was to write is forgotten.
    Fails,
    /// It says that it has synced, and has not.
    Lies,
}

/// What happens to an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    /// After so many of its steps it fails; `None`: it does not.
    pub stops: Option<usize>,
    /// In the system's words.
    pub why: &'static str,
    /// Of its syncs.
    pub syncs: Syncs,
}

impl Fate {
    /// Nothing goes wrong.
    pub const WELL: Fate = Fate { stops: None, why: "", syncs: Syncs::Honest };

    /// It does so many steps and fails.
    pub fn stops(steps: usize, why: &'static str) -> Fate {
        Fate { stops: Some(steps), why, ..Fate::WELL }
    }
}

/// The most steps that an operation has.
pub const STEPS_MAX: usize = 4;

/// A file.
#[derive(Clone, Debug, Default)]
struct File {
    bytes: Vec<u8>,
    /// How many of them were looked at by a sync that did not lie.
    synced: usize,
    /// Of those, what was forgotten.
    lost: Vec<Range<usize>>,
}

impl File {
    fn sync(&mut self, syncs: Syncs) -> Result<(), &'static str> {
        let fresh = self.synced..self.bytes.len();
        match syncs {
            Syncs::Lies => return Ok(()),
            Syncs::Fails if !fresh.is_empty() => self.lost.push(fresh),
            Syncs::Fails | Syncs::Honest => {}
        }
        self.synced = self.bytes.len();
        if syncs == Syncs::Fails { Err("Input/output error") } else { Ok(()) }
    }

    /// What a loss of power leaves of it.
    fn left(&self, dice: &mut Dice) -> File {
        let block = *dice.pick(&BLOCKS);
        let kept = dice.between(self.synced as u64, self.bytes.len() as u64) as usize;
        let mut bytes = self.bytes[..kept].to_vec();
        // The file's length was written, and of its blocks all, none or some.
        let per_mille = *dice.pick(&[0, 0, 1_000, 400]);
        let unsynced = self.synced..kept;
        for range in self.lost.iter().cloned().map(|lost| (lost, 700)).chain([(unsynced, per_mille)]) {
            let (range, per_mille) = range;
            let mut at = range.start;
            while at < range.end {
                let end = ((at / block + 1) * block).min(range.end);
                if dice.chance(per_mille) {
                    bytes[at..end].fill(0);
                }
                at = end;
            }
        }
        File { synced: bytes.len(), lost: Vec::new(), bytes }
    }
}

/// A change of names that its directory has not made durable.
#[derive(Clone, Debug)]
enum Renaming {
    Link(String, usize),
    Move(String, String),
    Remove(String),
}

impl Renaming {
    fn directory(&self) -> &str {
        match self {
            Renaming::Link(path, _) | Renaming::Move(path, _) | Renaming::Remove(path) => directory(path),
        }
    }

    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Renaming::Link(path, file) => drop(names.insert(path.clone(), *file)),
            Renaming::Remove(path) => drop(names.remove(path)),
            Renaming::Move(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
        }
    }
}

fn directory(path: &str) -> &str {
    path.rsplit_once('/').map_or(".", |(directory, _)| directory)
}

/// Files by their paths.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    /// After a loss of power.
    durable: BTreeMap<String, usize>,
    /// Not durable yet, in order.
    renamings: Vec<Renaming>,
}

/// What an operation came to.
pub struct Done {
    /// The answer.
    pub outcome: DiskOutcome,
    /// A file that got its name: this.
    pub published: Option<(String, Vec<u8>)>,
}

impl Disk {
    fn file(&self, path: &str) -> Option<&File> {
        self.names.get(path).map(|file| &self.files[*file])
    }

    fn file_mut(&mut self, path: &str) -> Result<&mut File, &'static str> {
        match self.names.get(path) {
            Some(file) => Ok(&mut self.files[*file]),
            None => Err("No such file or directory"),
        }
    }

    fn rename(&mut self, renaming: Renaming) {
        renaming.apply(&mut self.names);
        self.renamings.push(renaming);
    }

    fn make(&mut self, path: &str, bytes: Vec<u8>) {
        self.files.push(File { bytes, ..File::default() });
        self.rename(Renaming::Link(path.to_string(), self.files.len() - 1));
    }

    fn sync_directory(&mut self, of: &str) {
        let directory = directory(of);
        let durable = &mut self.durable;
        self.renamings.retain(|renaming| {
            let is_here = renaming.directory() == directory;
            if is_here {
                renaming.apply(durable);
            }
            !is_here
        });
    }

    /// Adds bytes to the end of a log, of which `kept` reach it; why not all, or why they are not durable, if so.
    pub fn add(
        &mut self,
        path: &str,
        bytes: &[u8],
        durability: Durability,
        kept: usize,
        fate: Fate,
    ) -> Option<&'static str> {
        if !self.names.contains_key(path) {
            self.make(path, Vec::new());
            self.sync_directory(path);
        }
        let file = self.file_mut(path).ok()?;
        file.bytes.extend_from_slice(&bytes[..kept]);
        if kept < bytes.len() || fate.stops.is_some() {
            return Some(fate.why);
        }
        (durability != Durability::Written).then(|| file.sync(fate.syncs).err()).flatten()
    }

    /// What is left after a loss of power: of names and of each file's bytes what is durable, and by chance some of the rest, or something else
    /// in its place. Whether a name was lost.
    pub fn after_power_loss(&self, dice: &mut Dice) -> (Disk, bool) {
        let mut names = self.durable.clone();
        let kept = dice.between(0, self.renamings.len() as u64) as usize;
        self.renamings[..kept].iter().for_each(|renaming| renaming.apply(&mut names));
        let is_undone = kept < self.renamings.len();
        let mut left = Disk::default();
        for (path, file) in names {
            left.files.push(self.files[file].left(dice));
            left.names.insert(path, left.files.len() - 1);
        }
        left.durable = left.names.clone();
        (left, is_undone)
    }

    /// Carries an operation out.
    pub fn carry_out(&mut self, request: DiskRequest, fate: Fate) -> Done {
        let mut published = None;
        let outcome = self.try_to(request, fate, &mut published);
        Done { outcome: outcome.unwrap_or_else(|why| DiskOutcome::Failed(why.into())), published }
    }

    fn try_to(
        &mut self,
        request: DiskRequest,
        fate: Fate,
        published: &mut Option<(String, Vec<u8>)>,
    ) -> Result<DiskOutcome, &'static str> {
        let steps = std::cell::Cell::new(0);
        let step = || {
            steps.set(steps.get() + 1);
            if fate.stops.is_some_and(|stops| steps.get() > stops) { Err(fate.why) } else { Ok(()) }
        };
        match request {
            DiskRequest::Create { path, .. } => {
                step()?;
                self.make(&path, Vec::new());
            }
            DiskRequest::Append { path, parts } => {
                step()?;
                let file = self.file_mut(&path)?;
                let (last, whole) =
                    parts.split_last().map_or((&[][..], &[][..]), |(last, rest)| (&last[..], rest));
                whole.iter().for_each(|part| file.bytes.extend_from_slice(part));
                if step().is_err() {
                    file.bytes.extend_from_slice(&last[..last.len() / 2]);
                    return Err(fate.why);
                }
                file.bytes.extend_from_slice(last);
            }
            DiskRequest::Publish { from, to } => {
                step()?;
                self.file_mut(&from)?.sync(fate.syncs)?;
                step()?;
                self.rename(Renaming::Move(from, to.clone()));
                step()?;
                self.sync_directory(&to);
                *published = self.file(&to).map(|file| (to.clone(), file.bytes.clone()));
            }
            DiskRequest::Replace { path, bytes } => {
                step()?;
                let temporary = format!("{path}.tmp");
                self.make(&temporary, bytes);
                let written =
                    step().and_then(|()| self.file_mut(&temporary)?.sync(fate.syncs)).and_then(|()| step());
                if let Err(why) = written {
                    // Where everything ends here it stays, and nobody looks for it.
                    self.rename(Renaming::Remove(temporary));
                    return Err(why);
                }
                self.rename(Renaming::Move(temporary, path.clone()));
                step()?;
                self.sync_directory(&path);
            }
            DiskRequest::Remove { path } => {
                step()?;
                self.file_mut(&path)?;
                self.rename(Renaming::Remove(path));
            }
            DiskRequest::Sync { path } => {
                step()?;
                self.file_mut(&path)?.sync(fate.syncs)?;
            }
            DiskRequest::ReadAt { path, at, len, mut into } => {
                let Some(file) = self.file(&path) else { return Ok(DiskOutcome::Missing) };
                let rest = file.bytes.get(at as usize..).unwrap_or_default();
                into.extend_from_slice(&rest[..rest.len().min(len)]);
                return Ok(DiskOutcome::Content(into));
            }
            DiskRequest::Read { path } => {
                step()?;
                let Some(file) = self.file(&path) else { return Ok(DiskOutcome::Missing) };
                return Ok(DiskOutcome::Content(file.bytes.clone()));
            }
        }
        Ok(DiskOutcome::Done)
    }

    /// How long a file is; 0: it is not there.
    pub fn len_of(&self, path: &str) -> usize {
        self.file(path).map_or(0, |file| file.bytes.len())
    }

    /// True if a loss of power leaves a file's bytes up to here.
    pub fn is_durable(&self, path: &str, end: usize) -> bool {
        let file = self.durable.get(path).map(|file| &self.files[*file]);
        file.is_some_and(|file| file.synced >= end && file.lost.iter().all(|lost| lost.start >= end))
    }

    /// True if a loss of power leaves all logs whole of generations before that of this log.
    pub fn logs_before(&self, path: Option<&str>) -> bool {
        let generation =
            |path: &str| path.split('.').rev().nth(2).and_then(|number| number.parse::<u32>().ok());
        let of = path.and_then(generation);
        let logs = self.names.iter().filter(|(path, _)| path.ends_with(".log"));
        let mut before = logs.filter(|(path, _)| generation(path) < of);
        before.all(|(path, file)| self.is_durable(path, self.files[*file].bytes.len()))
    }

    /// Which files make up the data.
    pub fn manifest(&self) -> String {
        self.manifest_of(&self.names)
    }

    /// Which files make up the data after a loss of power that loses what it may.
    pub fn durable_manifest(&self) -> String {
        self.manifest_of(&self.durable)
    }

    fn manifest_of(&self, names: &BTreeMap<String, usize>) -> String {
        let manifest = names.iter().find(|(path, _)| path.ends_with(".manifest"));
        manifest
            .map(|(_, file)| String::from_utf8_lossy(&self.files[*file].bytes).into_owned())
            .unwrap_or_default()
    }

    /// What logs say: each line, with its file and its transaction.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (path, file) in self.names.iter().filter(|(path, _)| path.ends_with(".log")) {
            let file = &self.files[*file];
            let mut reader = Reader::new(path.clone(), u64::MAX);
            reader.add(&file.bytes);
            reader.add(&[]);
            let mut instant = 0;
            while let Next::Group(group, _) = reader.take_next() {
                let mut rest = &group[..];
                while let Some((said, tx, len)) = line(rest) {
                    let text = match said {
                        Line::Command { database, words } => {
                            let words: Vec<_> = words.iter().map(String::from_utf8_lossy).collect();
                            format!("{database}: {}", words.join(" "))
                        }
                        Line::Entry { database, bytes, .. } => {
                            format!("{database}: entry {}", bytes.escape_ascii())
                        }
                        Line::Gone { database, key } => format!("{database}: gone {}", key.escape_ascii()),
                        ref other => format!("{other:?}"),
                    };
                    if let Line::Instant(at) = said {
                        instant = at.0;
                    }
                    let text: String = text.chars().take(200).collect();
                    let whose = tx.map(|tx| format!("{}:{}:{} ", tx.core.0, tx.id.index, tx.id.generation));
                    lines.push(format!("{path} {instant} {}{text}", whose.unwrap_or_default()));
                    rest = &rest[len..];
                }
            }
        }
        lines
    }

    /// Names of files.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }
}
