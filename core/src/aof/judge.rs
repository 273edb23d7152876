//! The keeper looks at the logs of a process at the start and decides how much of each counts, before anything of them is read back.
//!
//! It knows what the manifest says of files, and what their surveys say of each other. It does not know what lines do.

use crate::aof::group::HEADER;
use crate::aof::manifest::{Generation, LogFile};
use crate::aof::reader::{Next, Reader};
use crate::aof::recover::{Recovery, Stage, Wrong};
use crate::aof::survey::{Survey, Verdicts, are_closed, ends, lacks_mark};
use crate::engine::Engine;
use crate::event::{CoreId, Effect, Effects, LogLevel};
use crate::mutant::planted;
use crate::time::Now;

impl Engine {
    /// The logs of the process that has written the next generation are looked at.
    pub(super) fn begin_survey(&mut self, out: &mut Effects) {
        let directory = self.node.log_directory();
        let Some(recovery) = &mut self.recovery else { return };
        let Some(generation) = recovery.generation() else { return };
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
    }

    pub(super) fn survey_step(&mut self, now: Now, out: &mut Effects) -> Result<(), Wrong> {
        let (boot, truncates) = (&self.node.process.boot, self.node.settings.aof_load_truncated);
        let Some(recovery) = &mut self.recovery else { return Ok(()) };
        let truncates = truncates && !recovery.is_again;
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
                    if !truncates {
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
        let (reload, current) = (&self.keeper.reload, self.node.pen.generation);
        let directory = self.node.log_directory();
        let Some(recovery) = &mut self.recovery else { return Ok(()) };
        let Recovery {
            manifest,
            surveys,
            surveyed,
            verdicts,
            to_sync,
            counted,
            at,
            is_again,
            is_current_there,
            ..
        } = &mut **recovery;
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
            let is_same_start = runs_on || *is_again || planted("nobody asks whether the machine went down");
            // A process that was killed has left whatever it wrote, though one core could write no more and another has gone on.
            let is_all_there = is_same_start && !*is_again && maimed == 0;
            // After a loss of power, all cores had turned to their next files before anything in those counts.
            let is_whole = (is_all_there || are_closed(surveys)) && !is_over;
            let mut counts: Vec<u64> = match is_over {
                _ if is_whole => surveys.iter().map(|survey| survey.whole).collect(),
                false => ends(surveys, maimed > 0, is_same_start),
                true => vec![0; logs.len()],
            };
            if !is_over && !is_whole && (is_same_start || surveys.iter().all(|survey| survey.is_always)) {
                (is_sure, lacks) = (true, lacks_mark(surveys));
            }
            is_over |= !is_whole;
            if *is_again && generation.number == current {
                // What is not there though it was written is no less lost because nobody has noticed.
                let lacks = |(log, survey): &(&LogFile, &Survey)| {
                    let written = reload.log_bytes(log.core);
                    survey.whole != written && (survey.whole > 0 || written > HEADER.len() as u64)
                };
                if let Some((log, survey)) = logs.iter().zip(surveys).find(lacks) {
                    let (whole, written) = (survey.whole, reload.log_bytes(log.core));
                    let why = format!("{whole} bytes of it are whole, and {written} were written");
                    return Err((format!("{directory}/{}", log.name), why));
                }
                *is_current_there = true;
            }
            for ((log, survey), end) in logs.iter_mut().zip(surveys).zip(&mut counts) {
                match log.size {
                    Some(size) if size > survey.whole => {
                        let why = format!("only {} of its {size} bytes are whole", survey.whole);
                        return Err((format!("{directory}/{}", log.name), why));
                    }
                    Some(size) => *end = size,
                    None if *end < survey.whole && *is_again => {
                        let why = format!("only {end} of its {} bytes count", survey.whole);
                        return Err((format!("{directory}/{}", log.name), why));
                    }
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
}
