//! The keeper reads logs back: what counts of them goes in batches to the shards that own its keys now, several of them on their way at once.
//!
//! It knows the order of lines, and whose their keys are. It does not know which logs there are, nor what lines do.

use crate::aof::line::{Line, Lines, line};
use crate::aof::reader::{Next, Reader};
use crate::aof::recover::{Recovery, Stage, Wrong};
use crate::aof::replay::key_of;
use crate::engine::Engine;
use crate::event::{CoreId, Effects};
use crate::snapshot::load::LoadReport;
use crate::snapshot::status::OfKeeper;
use crate::time::{Now, UnixMillis};

/// Lines are sent to a shard from this size on, bytes.
const BATCH_BYTES: usize = 64 << 10;

impl Recovery {
    pub(super) fn is_stuck(&self) -> bool {
        let is_full = |(batch, in_flight): (&Lines, &usize)| {
            batch.bytes.len() >= BATCH_BYTES && *in_flight >= self.batches_max
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

impl Engine {
    /// The logs of a generation are read back as far as they count.
    pub(super) fn begin_replay(&mut self, out: &mut Effects) {
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

    pub(super) fn replay_step(&mut self, now: Now, out: &mut Effects) -> Result<(), Wrong> {
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
                        if recovery.in_flight[usize::from(owner)] >= recovery.batches_max {
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
        if recovery.in_flight[place] >= recovery.batches_max || !self.may_tell(core) {
            return Ok(());
        }
        let Some(recovery) = &mut self.recovery else { return Ok(()) };
        recovery.in_flight[place] += 1;
        let batch = std::mem::take(&mut recovery.batches[place]);
        self.tell(core, OfKeeper::Replay(batch.bytes), out);
        Ok(())
    }

    pub(super) fn lines_are_read(&mut self, report: LoadReport) -> Result<(), Wrong> {
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
}
