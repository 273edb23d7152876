//! The files of a model, what a kill or a loss of power leaves of them, and what is read back from that by the code that serves.
//!
//! Operations on files happen whole: what happens within one is the simulator's. It knows paths and bytes.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use darter_core::aof::pen::LogFlush;
use darter_core::aof::reader::{Next, Reader};
use darter_core::config::Settings;
use darter_core::event::{CoreId, DiskOutcome, DiskRequest, Durability, Effect, Effects, Event};
use darter_core::host::{Instruments, Process};
use darter_core::{Engine, EngineConfig};

use super::world::BEFORE;
use crate::state::HASH_SEEDS;

/// A file's bytes, and how many of them are durable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct File {
    bytes: Vec<u8>,
    synced: usize,
}

/// Files by their paths.
pub type Files = BTreeMap<String, File>;

/// What lies under each key.
pub type Content = BTreeMap<String, String>;

/// Steps until everything must be read back.
const STEPS_MAX: usize = 10_000;

/// The machine's first start.
pub const FIRST: &str = "first";

/// Adds a turn's group.
pub fn add(files: &mut Files, path: &str, bytes: &[u8], durability: Durability) {
    let file = files.entry(path.to_string()).or_default();
    file.bytes.extend_from_slice(bytes);
    if durability != Durability::Written {
        file.synced = file.bytes.len();
    }
}

/// Carries an operation out.
pub fn carry_out(files: &mut Files, request: DiskRequest) -> DiskOutcome {
    let whole = |bytes: Vec<u8>| File { synced: bytes.len(), bytes };
    match request {
        DiskRequest::Create { path, .. } => drop(files.insert(path, File::default())),
        DiskRequest::Append { path, parts } => {
            let file = files.entry(path).or_default();
            parts.iter().for_each(|part| file.bytes.extend_from_slice(part));
        }
        DiskRequest::Publish { from, to } => {
            let file = files.remove(&from).unwrap_or_default();
            files.insert(to, whole(file.bytes));
        }
        DiskRequest::Replace { path, bytes } => drop(files.insert(path, whole(bytes))),
        DiskRequest::Remove { path } => drop(files.remove(&path)),
        DiskRequest::Sync { path } => {
            let file = files.entry(path).or_default();
            file.synced = file.bytes.len();
        }
        DiskRequest::Read { path } => {
            return files
                .get(&path)
                .map_or(DiskOutcome::Missing, |file| DiskOutcome::Content(file.bytes.clone()));
        }
        DiskRequest::ReadAt { path, at, len, mut into } => {
            let Some(file) = files.get(&path) else { return DiskOutcome::Missing };
            let rest = file.bytes.get(at as usize..).unwrap_or_default();
            into.extend_from_slice(&rest[..rest.len().min(len)]);
            return DiskOutcome::Content(into);
        }
    }
    DiskOutcome::Done
}

/// Where a log may end when power is lost: behind each group that is not durable, and within it.
fn ends(path: &str, file: &File) -> Vec<usize> {
    let mut ends = vec![file.synced];
    let mut reader = Reader::new(path.to_string(), u64::MAX);
    reader.add(&file.bytes);
    reader.add(&[]);
    while let Next::Group(_, end) = reader.take_next() {
        if end as usize > file.synced {
            ends.extend([end as usize - 1, end as usize]);
        }
    }
    ends
}

/// Every set of files that a loss of power may leave.
pub fn after_power_loss(files: &Files) -> Vec<Files> {
    let mut all = vec![Files::new()];
    for (path, file) in files {
        let ends = if path.ends_with(".log") { ends(path, file) } else { vec![file.synced] };
        all = ends
            .into_iter()
            .flat_map(|end| {
                let left = File { bytes: file.bytes[..end].to_vec(), synced: end };
                all.iter().map(move |files| {
                    let mut files = files.clone();
                    files.insert(path.clone(), left.clone());
                    files
                })
            })
            .collect();
    }
    all
}

/// A core at its start; `loads`: there may be something to be read back.
pub fn engine(core: u16, cores: u16, settings: &Settings, boot: &str, loads: bool) -> Engine {
    Engine::new(EngineConfig {
        core: CoreId(core),
        cores,
        credits: 4,
        hash_seeds: HASH_SEEDS,
        random_seed: [core as u8; 32],
        settings: settings.clone(),
        process: Arc::new(Process { boot: boot.into(), ..Process::default() }),
        instruments: Instruments::still(),
        load: loads.then_some(0),
        persists: false,
    })
}

/// Lets cores read what there is, until clients may come.
///
/// # Errors
/// When they refuse to.
pub fn start(engines: &mut [Engine], files: &mut Files) -> Result<(), String> {
    let mut rings = VecDeque::new();
    let mut effects = Effects::default();
    for core in 0..engines.len() {
        rings.push_back((core, Event::Start));
    }
    for _ in 0..STEPS_MAX {
        let busy = (0..engines.len()).find(|core| engines[*core].has_background());
        let (core, event) = match (rings.pop_front(), busy) {
            (Some(next), _) => next,
            (None, Some(core)) => (core, Event::Slice { steps: 64 }),
            (None, None) if engines.iter().any(|engine| engine.node().status.is_loading) => break,
            (None, None) => return Ok(()),
        };
        engines[core].handle(BEFORE, event, &mut effects);
        while let Some(LogFlush { path, bytes, durability }) = engines[core].log_flush() {
            add(files, path, bytes, durability);
            let bytes = bytes.len();
            engines[core].handle(BEFORE, Event::LogWritten { bytes, failure: None }, &mut effects);
        }
        for effect in effects.drain() {
            match effect {
                Effect::Send { to, message } => {
                    rings.push_back((to.index(), Event::Message { from: CoreId(core as u16), message }));
                }
                Effect::Disk { operation, request } => {
                    let outcome = carry_out(files, request);
                    rings.push_back((core, Event::Disk { operation, outcome }));
                }
                Effect::Fail { text } | Effect::Abort { text } => return Err(text),
                _ => {}
            }
        }
    }
    Err("cores that start stand still".into())
}

/// What lies on these cores.
pub fn content<'a>(engines: impl Iterator<Item = &'a Engine>) -> Content {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let databases = engines.flat_map(|engine| engine.node().shard.databases());
    let records = databases.flat_map(|database| database.iter());
    records
        .map(|record| {
            (text(record.key()), record.string().map(|value| text(&value.to_vec())).unwrap_or_default())
        })
        .collect()
}

type Known<K, V> = Mutex<HashMap<K, V>>;

/// What all endings of a state come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Everything that may be left can be read back.
    pub is_readable: bool,
    /// And is one moment.
    pub is_one_moment: bool,
    /// And holds what was promised.
    pub is_kept: bool,
    /// Some of it lacks what was acknowledged.
    pub is_lossy: bool,
}

/// What is read back from files, and what is thought of it, is asked for again and again.
#[derive(Default)]
pub struct Recoveries {
    read: Known<(Files, bool, bool), Result<Content, String>>,
    verdicts: Known<(Files, Content, Content), Verdict>,
}

/// What is known by this name, or is found out now.
fn known<K: std::hash::Hash + Eq, V: Clone>(all: &Known<K, V>, key: K, find: impl FnOnce(&K) -> V) -> V {
    if let Some(known) = all.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return known.clone();
    }
    let found = find(&key);
    all.lock().unwrap_or_else(PoisonError::into_inner).insert(key, found.clone());
    found
}

impl Recoveries {
    /// What a core reads back. `runs_on`: the machine did not go down; `logs`: the log, not the dump.
    pub fn of(&self, files: &Files, runs_on: bool, logs: bool) -> Result<Content, String> {
        known(&self.read, (files.clone(), runs_on, logs), |(files, ..)| {
            let settings = super::world::settings(if logs { Some(Default::default()) } else { None });
            let mut engines = vec![engine(0, 1, &settings, if runs_on { FIRST } else { "second" }, true)];
            start(&mut engines, &mut files.clone()).map(|()| content(engines.iter()))
        })
    }

    /// What is to be thought of these files with what was acknowledged, and of that what was promised whatever happens.
    pub fn judge(
        &self,
        files: &Files,
        acknowledged: Content,
        promised: Content,
        find: impl FnOnce() -> Verdict,
    ) -> Verdict {
        known(&self.verdicts, (files.clone(), acknowledged, promised), |_| find())
    }
}
