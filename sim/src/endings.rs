//! How a world may end: by a kill or a loss of power, between two turns, in the middle of a write or of an operation on files.
//!
//! At random moments it asks what would be there if everything ended now and began again on other cores, and compares: after a kill what there
//! was; after a loss of power the same if everything is synced first, else one of the moments that the logs are marked with, none older than the
//! last that was durable. A disk that has lied may cost more, but then the server refuses or goes back to a moment. It knows engines and disks.

use std::collections::BTreeSet;

use darter_core::Engine;
use darter_core::aof::pen::{LogFlush, SyncPolicy};
use darter_core::config::Settings;
use darter_core::event::{DiskOutcome, DiskRequest, Durability, Effect, Event};
use darter_core::time::UnixMillis;

use crate::disk::{Disk, Fate, STEPS_MAX, Syncs};
use crate::machine::FIRST_START;
use crate::reboot::{self, Content};
use crate::world::World;

/// Lines of the log that are shown where it is not enough.
const LINES_SHOWN: usize = 120;

/// What is to happen at a core's next write to its log.
pub(crate) struct Armed {
    pub(crate) core: usize,
    /// As it was before the turn.
    before: Engine,
    /// Not only asked: the log is not written, and under `always` the server ends.
    is_real: bool,
}

/// Why the disk does not do what it is told.
const FULL: &str = "No space left on device";
const BROKEN: &str = "Input/output error";

/// What a server says that has noticed what a disk has done to its data.
const REFUSALS: [&str; 9] = [
    "is damaged",
    "are whole",
    "it is not whole",
    "it names no file",
    "is not understood",
    "it is not there",
    "cut short",
    "it is no text",
    "cannot be loaded",
];

impl World<'_> {
    /// A core begins a turn, in whose write something may happen.
    pub(crate) fn arm(&mut self, core: usize) {
        if self.swarm.log.is_none() || self.armed.is_some() || self.calm {
            return;
        }
        let dies = self.swarm.faults.log && self.swarm.log == Some(SyncPolicy::Always);
        if self.schedule.chance(if dies { 15 } else { 6 }) {
            let is_real = dies && self.schedule.chance(250);
            let before = self.machines[core].engine.clone();
            self.armed = Some(Armed { core, before, is_real });
        }
    }

    /// What the turn has changed is in the log before anybody hears of it.
    pub(crate) fn write_log(&mut self, core: usize) {
        let mut armed = self.armed.take_if(|armed| armed.core == core);
        loop {
            self.moments.ends_group(core as u16, &self.machines[core].engine, &self.disk);
            let Some(LogFlush { path, bytes, durability }) = self.machines[core].engine.log_flush() else {
                return;
            };
            let (path, bytes) = (path.to_string(), bytes.to_vec());
            if let Some(armed) = &armed.as_ref().filter(|armed| !armed.is_real) {
                self.end_within_write(armed, &path, &bytes, durability);
            }
            let is_real = armed.as_ref().is_some_and(|armed| armed.is_real);
            let (kept, fate) = self.fate_of_write(bytes.len(), durability, is_real);
            let failure = self.disk.add(&path, &bytes, durability, kept, fate);
            self.note_write(kept, bytes.len(), failure.is_some(), fate);
            let failure = failure.map(str::to_string);
            let has_failed = failure.is_some();
            let had_failed = self.machines[core].engine.node().pen.failure().is_some();
            self.handle(core, Event::LogWritten { bytes: kept, failure });
            if had_failed && self.machines[core].engine.node().pen.failure().is_none() {
                self.sometimes.met("the log could be written again");
            }
            let last = |effect: &Effect| matches!(effect, Effect::Abort { .. });
            if self.machines[core].pending.iter().any(last) {
                return self.die(core, armed.take());
            }
            if has_failed {
                return;
            }
        }
    }

    /// How much of a write reaches the file, and what else becomes of it.
    fn fate_of_write(&mut self, len: usize, durability: Durability, is_real: bool) -> (usize, Fate) {
        let always = self.swarm.log == Some(SyncPolicy::Always);
        let mut fate = Fate::WELL;
        if self.swarm.faults.lies && self.schedule.chance(300) {
            fate.syncs = Syncs::Lies;
        }
        if !self.swarm.faults.log || self.calm || always != is_real {
            return (len, fate);
        }
        let part = if self.schedule.chance(300) { 0 } else { self.schedule.below(len as u64 + 1) as usize };
        if self.full_until > self.now {
            return (part.min(1), Fate::stops(0, FULL));
        }
        match self.schedule.below(if is_real { 3 } else { 60 }) {
            0 if durability != Durability::Written => (len, Fate { syncs: Syncs::Fails, ..Fate::WELL }),
            1 => {
                self.full_until = self.now + self.span(100_000, 1_500_000_000);
                self.sometimes.met("the disk was full");
                (part, Fate::stops(0, FULL))
            }
            2 => (part, Fate::stops(0, BROKEN)),
            _ if is_real => (0, Fate::stops(0, BROKEN)),
            _ => (len, fate),
        }
    }

    fn note_write(&mut self, kept: usize, len: usize, has_failed: bool, fate: Fate) {
        if !has_failed {
            return;
        }
        self.sometimes.met(match fate.syncs {
            Syncs::Fails => "a sync failed",
            _ if kept > 0 && kept < len => "a group was written in part",
            _ => "a group could not be written",
        });
    }

    /// The disk carries out an operation of a core, or not quite.
    pub(crate) fn touch_disk(&mut self, request: DiskRequest) -> crate::disk::Done {
        let is_sync = matches!(request, DiskRequest::Sync { .. });
        let is_full = self.full_until > self.now && !matches!(request, DiskRequest::Remove { .. });
        let mut fate = Fate::WELL;
        if self.swarm.faults.lies && self.schedule.chance(300) {
            fate.syncs = Syncs::Lies;
        }
        if self.calm {
        } else if is_sync && self.swarm.faults.log && self.schedule.chance(150) {
            fate.syncs = Syncs::Fails;
            self.sometimes.met("a sync failed");
        } else if !is_sync && is_full {
            fate = Fate::stops(0, FULL);
        } else if !is_sync && self.swarm.faults.disk && self.schedule.chance(150) {
            fate = Fate::stops(self.schedule.below(STEPS_MAX as u64) as usize, BROKEN);
        }
        if self.swarm.log.is_some() && self.failure.is_none() && self.schedule.chance(60) {
            let mut disk = self.disk.clone();
            let stops = self.schedule.below(STEPS_MAX as u64 + 1) as usize;
            disk.carry_out(request.clone(), Fate { stops: Some(stops), ..fate });
            self.sometimes.met("the world ended in the middle of an operation on files");
            self.ask(disk, None);
        }
        let done = self.disk.carry_out(request, fate);
        if fate.stops.is_some() && matches!(done.outcome, DiskOutcome::Failed(_)) {
            self.sometimes.met("the disk refused something");
        }
        done
    }

    /// If everything ended now, and began again on other cores, what would be there?
    pub(crate) fn ask_what_would_be_left(&mut self) {
        self.ask(self.disk.clone(), None);
    }

    /// If everything ended while a core writes its turn's group?
    fn end_within_write(&mut self, armed: &Armed, path: &str, bytes: &[u8], durability: Durability) {
        let kept = self.schedule.between(0, bytes.len() as u64) as usize;
        let mut disk = self.disk.clone();
        disk.add(path, bytes, durability, kept, Fate::stops(0, BROKEN));
        self.sometimes.met("the world ended in the middle of a write");
        self.ask(disk, Some((armed.core, &armed.before)));
    }

    /// The server has ended, as it could not keep its word.
    fn die(&mut self, core: usize, armed: Option<Armed>) {
        self.sometimes.met("the server ended as it could not write what it was about to acknowledge");
        let disk = self.disk.clone();
        if let Some(armed) = armed {
            self.ask(disk, Some((core, &armed.before)));
        }
        self.is_dead = true;
    }

    /// What would be left if everything ended now with this disk; of the core that is `within` its turn, what it was before or what it is.
    fn ask(&mut self, mut disk: Disk, within: Option<(usize, &Engine)>) {
        if self.failure.is_some() {
            return;
        }
        let writes = within.map(|(core, _)| core);
        let is_busy = |(core, machine): (usize, &crate::machine::Machine)| {
            machine.limit_read.is_some() || !machine.pending.is_empty() && Some(core) != writes
        };
        let is_off = |machine: &crate::machine::Machine| !machine.engine.settings().appendonly;
        if self.machines.iter().enumerate().any(is_busy) || self.machines.iter().any(is_off) {
            return;
        }
        let is_always = self.swarm.log == Some(SyncPolicy::Always);
        let is_behind = |(core, machine): (usize, &crate::machine::Machine)| {
            let pen = &machine.engine.node().pen;
            let is_writing = Some(core) == writes;
            pen.failure().is_some() && !(is_writing && is_always) || pen.pending_bytes() > 0 && !is_writing
        };
        let behind: Vec<usize> =
            self.machines.iter().enumerate().filter(|each| is_behind(*each)).map(|(core, _)| core).collect();
        let by_power = self.schedule.chance(500);
        let mut boot = FIRST_START;
        if by_power {
            self.moments.possible(&self.disk);
            let (left, is_undone) = disk.after_power_loss(&mut self.schedule);
            (disk, boot) = (left, "second");
            if is_undone {
                self.sometimes.met("a name was lost with the power");
            }
        }
        // Within a turn a mark may count that is being written: nobody has heard of it yet.
        let marked = if within.is_some() { 0 } else { self.machines[0].engine.node().status.marked };
        if !self.swarm.faults.lies && marked > 0 && self.moments.may_lose(marked) && by_power {
            return self.fail(format!("mark {marked} counts as durable, and is not"));
        }
        let now = self.clocks();
        let cores = self.schedule.between(1, 4) as u16;
        let seeds = [self.schedule.bits(), 2, 3, 4];
        // Nothing goes because memory is short: it would not be there.
        let settings = Settings { maxmemory: 0, ..self.swarm.settings() };
        let mut engines: Vec<_> =
            (0..cores).map(|core| reboot::engine(core, cores, &settings, seeds, 8, boot)).collect();
        let how = format!("after a restart on {cores} cores (power was lost: {by_power})");
        let has_lied = by_power && self.swarm.faults.lies;
        let said = match reboot::start(&mut engines, &mut disk, now) {
            Ok(said) => said,
            Err(text) if has_lied && REFUSALS.iter().any(|words| text.contains(words)) => {
                return self.sometimes.met("what a lying disk had left was refused");
            }
            Err(text) => return self.fail(format!("{how}: {text}")),
        };
        let latest = self.machines.iter().map(|machine| machine.engine.node().shard.judged());
        let judged = latest.max().unwrap_or_default().max(now.unix());
        let back = reboot::content(engines.iter(), judged, self.tells_hashes());
        let wrong = match by_power && (!is_always || !behind.is_empty()) {
            true => self.is_a_moment(&back, judged),
            false => self.is_as_now(&back, judged, within, &behind, by_power),
        };
        let goes_back = said.iter().any(|line| line.contains("Going back to the last mark"));
        let wrong = match wrong {
            Err(_) if has_lied && is_always && goes_back => self.is_a_moment(&back, judged),
            // What is cut off between two marks cannot be told from what was never written.
            Err(_) if has_lied && is_always => {
                return self.sometimes.met("a lying disk cost the end of a log");
            }
            wrong => wrong,
        };
        if said.iter().any(|line| line.contains("it is damaged; what follows is left out")) {
            self.sometimes.met("what was damaged behind the last mark was left out");
        }
        if marked > 0 {
            self.sometimes.met("somebody waited until the log was durable");
        }
        if goes_back {
            self.sometimes.met("it was noticed that a disk had lied");
        }
        if let Err(text) = wrong {
            let shown = self.shown(&text);
            self.fail(format!("{how}: {text}\n{}{shown}", said.join("\n")));
        }
    }

    /// Fields whose time has come are not written down, so after a jump of the clock hashes may differ.
    fn tells_hashes(&self) -> bool {
        !self.swarm.faults.clock_jump
    }

    /// It must be what there is, but under keys that somebody is about to change, and on cores whose log lacks something.
    fn is_as_now(
        &mut self,
        back: &Content,
        judged: UnixMillis,
        within: Option<(usize, &Engine)>,
        behind: &[usize],
        by_power: bool,
    ) -> Result<(), String> {
        let now: Vec<&Engine> = self.machines.iter().map(|machine| &machine.engine).collect();
        let mut variants = vec![now.clone()];
        if let Some((core, before)) = within {
            let mut then = now;
            then[core] = before;
            variants.push(then);
        }
        let contents: Vec<Content> = variants
            .iter()
            .map(|engines| reboot::content(engines.iter().copied(), judged, self.tells_hashes()))
            .collect();
        let all: Content = contents
            .iter()
            .chain([back])
            .flatten()
            .map(|(key, words)| (key.clone(), words.clone()))
            .collect();
        let mut spared: BTreeSet<_> =
            variants.iter().flat_map(|engines| reboot::claimed(engines.iter().copied(), &all)).collect();
        let lies_behind = |key: &[u8]| behind.contains(&usize::from(self.witness.placement().home(key)));
        spared.extend(all.keys().filter(|(_, key)| lies_behind(key)).cloned());
        let wrong =
            contents.iter().map(|there| reboot::difference(there, back, &spared)).min_by_key(Option::is_some);
        if let Some(text) = wrong.flatten() {
            return Err(text);
        }
        self.sometimes.met(if by_power {
            "everything was there after a loss of power"
        } else {
            "everything was there after a restart"
        });
        if !behind.is_empty() {
            self.sometimes.met("everything was there but on a core that could not write");
        } else if !spared.is_empty() {
            self.sometimes.met("the world ended in the middle of a transaction");
        }
        Ok(())
    }

    /// It must be what there was at one moment.
    fn is_a_moment(&mut self, back: &Content, judged: UnixMillis) -> Result<(), String> {
        let with_hashes = self.tells_hashes();
        let mut wrong = Err("there is no moment to go back to".to_string());
        let possible = self.moments.possible(&self.disk);
        for moment in possible.iter().rev().filter(|moment| moment.is_complete()) {
            let there = reboot::content(moment.engines.iter().flatten(), judged, with_hashes);
            // What the keeper's core has begun in the turn that ended the moment may have come to its end, or not.
            let all: Content =
                there.iter().chain(back).map(|(key, words)| (key.clone(), words.clone())).collect();
            let spared = reboot::claimed(moment.engines.iter().flatten(), &all);
            match reboot::difference(&there, back, &spared) {
                Some(text) if wrong.is_ok() => wrong = Err(text),
                Some(text) => {
                    let kind = moment.kind;
                    wrong = wrong.map_err(|before: String| format!("{before}\n{kind:?}: {text}"));
                }
                None => {
                    let is_beginning = moment.kind == crate::moments::Kind::Beginning;
                    if !is_beginning {
                        self.sometimes.met("a marked moment was there after a loss of power");
                    }
                    return Ok(());
                }
            }
        }
        wrong
    }

    /// What the logs say about the key of a difference, about everything, and about transactions.
    fn shown(&self, text: &str) -> String {
        let name =
            text.split("database ").nth(1).and_then(|rest| rest.split([' ', ':']).nth(1)).unwrap_or_default();
        let is_about = |line: &String| {
            line.contains(name) || ["Flush", "Swap", "Commit", "Mark"].iter().any(|word| line.contains(word))
        };
        let lines: Vec<String> = self.disk.lines().into_iter().filter(is_about).collect();
        let from = lines.len().saturating_sub(LINES_SHOWN);
        format!("\n{}{}", self.disk.manifest(), lines[from..].join("\n"))
    }
}
