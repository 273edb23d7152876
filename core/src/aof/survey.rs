//! What a log holds, before any of it is read back: how far it is whole, which transactions it knows to count, what it was marked with.
//!
//! A transaction over several shards counts if its coordinator has written so: that happened after every part was written, and before anybody heard
//! of it. While the machine runs on, what was written stays, synced or not, though the process is killed. If the machine itself went down, a log
//! may have lost its end, each another; then all are read up to the last mark that all of them have, unless everything was synced before
//! anybody heard of it.
//!
//! Logs also tell of each other, so that it is noticed if a disk has lost what it had said was safe: a part of a transaction that counts is not there;
//! a part does not count, though something follows it that had to wait for the end of the transaction; a mark is not there, though another log has changes
//! behind it, which had to wait until all had it (unless the process was killed: then one core may not have been able to write it). Then, too, the last mark that all have is what is gone back to.
//!
//! It knows lines. It does not know files.

use std::collections::{BTreeMap, BTreeSet};

use crate::aof::line::{Line, TxName, line};
use crate::event::CoreId;
use crate::mutant::planted;

/// Marks count from 1: this one only says what holds from there on in this log.
pub const NO_MARK: u64 = 0;

/// What is known of one log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Bytes up to the end of the last whole group.
    pub whole: u64,
    /// Marks, each with where its group ends.
    marks: Vec<(u64, u64)>,
    /// The last of them that all logs have: something follows it here that had to wait for that.
    shared: u64,
    /// From the last mark on everything was synced before anybody heard of it.
    pub is_always: bool,
    /// It was written to its end.
    is_closed: bool,
    /// Transactions with parts behind the last mark.
    recent: Vec<TxName>,
}

impl Survey {
    /// A group that ends there; what its lines say of transactions goes to `verdicts`.
    pub fn take(
        &mut self,
        lines: &[u8],
        end: u64,
        core: CoreId,
        verdicts: &mut Verdicts,
    ) -> Result<(), String> {
        let mut rest = lines;
        while !rest.is_empty() {
            let (line, tx, len) = line(rest).ok_or("it has a line that is not understood")?;
            match line {
                Line::Commit { tx, generation, cores } => {
                    verdicts.committed.insert(tx, (generation, cores.into_owned()));
                }
                Line::Mark { number, is_always } => {
                    if number != NO_MARK {
                        self.marks.push((number, end));
                        verdicts.ended.extend(self.recent.drain(..));
                    }
                    self.is_always = is_always;
                }
                Line::End => {
                    self.is_closed = true;
                    self.shared = self.last_mark();
                    verdicts.ended.extend(self.recent.drain(..));
                }
                Line::Instant(_) => {}
                _ => self.shared = self.last_mark(),
            }
            if let Some(tx) = tx {
                verdicts.parts.insert((tx, core));
                if self.recent.last() != Some(&tx) {
                    self.recent.push(tx);
                }
            }
            rest = &rest[len..];
        }
        self.whole = end;
        Ok(())
    }

    fn last_mark(&self) -> u64 {
        self.marks.last().map_or(0, |(number, _)| *number)
    }

    /// Where the group of a mark ends; 0: it is not there.
    fn end_of(&self, mark: u64) -> u64 {
        self.marks.iter().rfind(|(number, _)| *number == mark).map_or(0, |(_, end)| *end)
    }
}

/// What is known of transactions, from all logs of one process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdicts {
    committed: BTreeMap<TxName, (u32, Vec<CoreId>)>,
    parts: BTreeSet<(TxName, CoreId)>,
    /// They had ended when something was written that is there.
    ended: BTreeSet<TxName>,
}

impl Verdicts {
    /// True if what was written for a transaction counts.
    pub fn counts(&self, tx: TxName) -> bool {
        self.committed.contains_key(&tx)
    }

    /// Transactions that are not there whole, though they ended: a disk has lost what it said was safe. Parts in logs before the `oldest` generation
    /// that is left are in the snapshot that stands for these.
    pub fn maimed(&self, oldest: u32) -> usize {
        let is_maimed = |(tx, (generation, cores)): &(&TxName, &(u32, Vec<CoreId>))| {
            *generation >= oldest && cores.iter().any(|core| !self.parts.contains(&(**tx, *core)))
        };
        let uncommitted = self.ended.iter().filter(|tx| !self.counts(**tx)).count();
        self.committed.iter().filter(is_maimed).count() + uncommitted
    }
}

/// True if all logs of a generation were written to their ends: they count whole, and what follows may.
pub fn are_closed(surveys: &[Survey]) -> bool {
    planted("the next logs count though one before them has lost its end")
        || surveys.iter().all(|survey| survey.is_closed)
}

/// True if a log of a generation lacks a mark that another proves it had.
pub fn lacks_mark(surveys: &[Survey]) -> bool {
    let shared = surveys.iter().map(|survey| survey.shared).max().unwrap_or(0);
    surveys.iter().any(|survey| survey.last_mark() < shared)
}

/// How many bytes of each log of a generation count that is not closed. `is_same_start`: the machine has run on since they were written.
pub fn ends(surveys: &[Survey], is_maimed: bool, is_same_start: bool) -> Vec<u64> {
    let is_sure = is_same_start || surveys.iter().all(|survey| survey.is_always) && !lacks_mark(surveys);
    if is_sure && !is_maimed {
        return surveys.iter().map(|survey| survey.whole).collect();
    }
    if planted("each log goes back to its own last mark") {
        return surveys.iter().map(|survey| survey.end_of(survey.last_mark())).collect();
    }
    let common = surveys.iter().map(Survey::last_mark).min().unwrap_or(0);
    surveys.iter().map(|survey| survey.end_of(common)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aof::line::Lines;
    use crate::txn::work::TxId;

    type Write<'a> = &'a dyn Fn(&mut Lines);

    fn tx(index: u32) -> TxName {
        TxName { core: CoreId(0), id: TxId { index, generation: 0 } }
    }

    /// Logs of so many cores; each step is a group of one line in one of them, ten bytes long as far as this is concerned.
    fn surveyed(cores: u16, steps: &[(u16, Write<'_>)]) -> (Vec<Survey>, Verdicts) {
        let mut surveys = vec![Survey::default(); usize::from(cores)];
        let mut verdicts = Verdicts::default();
        for (core, write) in steps {
            let mut lines = Lines::default();
            write(&mut lines);
            let survey = &mut surveys[usize::from(*core)];
            survey.take(&lines.bytes, survey.whole + 10, CoreId(*core), &mut verdicts).unwrap();
        }
        (surveys, verdicts)
    }

    #[test]
    fn who_was_killed_loses_nothing_and_who_lost_power_goes_back_to_a_mark() {
        let part = |lines: &mut Lines| lines.gone(Some(tx(1)), 0, b"k");
        let commit = |lines: &mut Lines| lines.commit(tx(1), 1, &[CoreId(0), CoreId(1)]);
        let mark = |lines: &mut Lines| lines.mark(1, false);
        let (surveys, verdicts) =
            surveyed(2, &[(0, &part), (0, &mark), (1, &part), (1, &mark), (0, &commit), (0, &part)]);
        assert!(verdicts.counts(tx(1)) && !verdicts.counts(tx(2)));
        assert_eq!(verdicts.maimed(1), 0);
        assert_eq!(ends(&surveys, verdicts.maimed(1) > 0, true), [40, 20]);
        assert_eq!(ends(&surveys, verdicts.maimed(1) > 0, false), [20, 20]);
        let (surveys, verdicts) = surveyed(2, &[(0, &mark), (0, &part)]);
        assert_eq!(ends(&surveys, verdicts.maimed(1) > 0, false), [0, 0], "the other log has no mark");
    }

    #[test]
    fn who_syncs_first_loses_nothing_to_power_either() {
        let always = |lines: &mut Lines| lines.mark(1, true);
        let gone = |lines: &mut Lines| lines.gone(None, 0, b"k");
        let (surveys, verdicts) = surveyed(2, &[(0, &always), (1, &always), (1, &gone)]);
        assert_eq!(ends(&surveys, verdicts.maimed(1) > 0, false), [10, 20]);
    }

    #[test]
    fn a_disk_that_has_lied_is_noticed() {
        let always = |lines: &mut Lines| lines.mark(1, true);
        let part = |lines: &mut Lines| lines.gone(Some(tx(1)), 0, b"k");
        let commit = |lines: &mut Lines| lines.commit(tx(1), 1, &[CoreId(0), CoreId(1)]);
        let (surveys, verdicts) = surveyed(2, &[(0, &always), (1, &always), (0, &part), (0, &commit)]);
        assert_eq!(verdicts.maimed(1), 1);
        assert_eq!(ends(&surveys, verdicts.maimed(1) > 0, false), [10, 10], "back to where all agree");
    }

    #[test]
    fn logs_tell_of_each_other_what_must_be_there() {
        let always = |lines: &mut Lines| lines.mark(1, true);
        let next = |lines: &mut Lines| lines.mark(2, true);
        let gone = |lines: &mut Lines| lines.gone(None, 0, b"k");
        let part = |lines: &mut Lines| lines.gone(Some(tx(1)), 0, b"k");
        let commit = |lines: &mut Lines| lines.commit(tx(1), 1, &[CoreId(0)]);
        // A change behind a mark had to wait until all had it.
        let (surveys, _) = surveyed(2, &[(0, &always), (1, &always), (1, &gone), (0, &next), (0, &gone)]);
        assert!(lacks_mark(&surveys));
        assert_eq!(ends(&surveys, false, false), [10, 10]);
        assert_eq!(
            ends(&surveys, false, true),
            [30, 20],
            "one core could not write its mark, and was killed"
        );
        let (surveys, _) = surveyed(2, &[(0, &always), (1, &always), (1, &gone), (0, &next)]);
        assert!(!lacks_mark(&surveys), "the other has not come to it");
        assert_eq!(ends(&surveys, false, false), [20, 20]);
        // A part behind which there is a mark had ended.
        let (_, verdicts) = surveyed(1, &[(0, &part), (0, &next)]);
        assert_eq!(verdicts.maimed(1), 1);
        for steps in [&[(0u16, &part as Write<'_>), (1, &commit), (0, &next)][..], &[(0, &next), (0, &part)]]
        {
            let (_, verdicts) = surveyed(2, steps);
            assert_eq!(verdicts.maimed(1), 0);
        }
    }

    #[test]
    fn logs_are_closed_all_of_them_or_none() {
        let end = |lines: &mut Lines| lines.end();
        let (surveys, _) = surveyed(2, &[(0, &end)]);
        assert!(!are_closed(&surveys));
        let (surveys, _) = surveyed(2, &[(0, &end), (1, &end)]);
        assert!(are_closed(&surveys));
    }
}
