//! What MONITOR shows: lines from every core to every core that has a monitor.
//!
//! Lines to another core leave in batches, one at a time unanswered, so a slow core gets larger batches instead of a longer
//! queue; what is above the bound is left out and counted.

use crate::args::Args;
use crate::event::{CoreId, Origin};
use crate::message::MonitorLine;
use crate::quoting;
use crate::session::Session;

/// Bytes that wait for one core at the most.
const QUEUE_BYTES_MAX: usize = 4 << 20;

/// Lines on their way to other cores, and who wants them.
#[derive(Clone, Debug, Hash)]
pub struct Feed {
    core: CoreId,
    /// Monitors among this core's clients.
    monitors: usize,
    /// What each other core was told: that we want its lines.
    told: Vec<bool>,
    /// How many of them were.
    told_on: usize,
    /// Who wants ours.
    watchers: Vec<bool>,
    /// How many of them do.
    watching: usize,
    queues: Vec<Vec<MonitorLine>>,
    queued_bytes: Vec<usize>,
    /// A batch or a word is on its way and not answered.
    busy: Vec<bool>,
    dropped: u64,
}

/// What is to be said to another core.
#[derive(Debug, PartialEq, Eq)]
pub enum FeedWord {
    /// Begin or end to send lines.
    Watch(bool),
    /// Lines.
    Lines(Vec<MonitorLine>),
}

impl Feed {
    /// Nobody watches.
    pub fn new(core: CoreId, cores: u16) -> Feed {
        let cores = usize::from(cores);
        Feed {
            core,
            monitors: 0,
            told: vec![false; cores],
            told_on: 0,
            watchers: vec![false; cores],
            watching: 0,
            queues: vec![Vec::new(); cores],
            queued_bytes: vec![0; cores],
            busy: vec![false; cores],
            dropped: 0,
        }
    }

    /// One monitor more among this core's clients.
    pub fn add_monitor(&mut self) {
        self.monitors += 1;
    }

    /// One less.
    pub fn remove_monitor(&mut self) {
        assert!(self.monitors > 0, "a monitor ends once");
        self.monitors -= 1;
    }

    /// Monitors among this core's clients.
    pub fn monitors(&self) -> usize {
        self.monitors
    }

    /// True if anybody wants to see what runs here.
    #[inline]
    pub fn is_watched(&self) -> bool {
        self.monitors > 0 || self.watching > 0
    }

    /// Another core's wish.
    pub fn watched_by(&mut self, core: CoreId, on: bool) {
        let before = std::mem::replace(&mut self.watchers[core.index()], on);
        self.watching = self.watching + usize::from(on) - usize::from(before);
        if !on {
            self.queues[core.index()].clear();
            self.queued_bytes[core.index()] = 0;
        }
    }

    /// Queues a line for the other cores that want it.
    pub fn push(&mut self, line: &MonitorLine) {
        for core in 0..self.watchers.len() {
            if !self.watchers[core] || core == self.core.index() {
                continue;
            }
            if self.queued_bytes[core] + line.0.len() > QUEUE_BYTES_MAX {
                self.dropped += 1;
                continue;
            }
            self.queued_bytes[core] += line.0.len();
            self.queues[core].push(line.clone());
        }
    }

    /// Lines left out so far because a core did not keep up.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// What there is to say to a core, if the last word was answered. The caller holds a credit for it.
    pub fn next_word(&mut self, core: CoreId) -> Option<FeedWord> {
        if !self.has_news_for(core) {
            return None;
        }
        let at = core.index();
        let wanted = self.monitors > 0;
        let word = if self.told[at] != wanted {
            self.told[at] = wanted;
            self.told_on = self.told_on + usize::from(wanted) - usize::from(!wanted);
            FeedWord::Watch(wanted)
        } else {
            self.queued_bytes[at] = 0;
            FeedWord::Lines(std::mem::take(&mut self.queues[at]))
        };
        self.busy[at] = true;
        Some(word)
    }

    /// True if there may be something to say.
    #[inline]
    pub fn has_news(&self) -> bool {
        (self.is_watched() || self.told_on > 0) && self.has_any_news()
    }

    fn has_any_news(&self) -> bool {
        (0..self.told.len() as u16).any(|core| self.has_news_for(CoreId(core)))
    }

    /// True if there is something to say to this core.
    pub fn has_news_for(&self, core: CoreId) -> bool {
        let at = core.index();
        let wanted = self.monitors > 0;
        core != self.core && !self.busy[at] && (self.told[at] != wanted || !self.queues[at].is_empty())
    }

    /// A core has answered.
    pub fn answered(&mut self, core: CoreId) {
        self.busy[core.index()] = false;
    }
}

/// A request as MONITOR shows it: time, database, address, words.
pub fn monitor_line(session: &Session, args: Args<'_>, unix_micros: u64, database: u16) -> MonitorLine {
    let address = &session.peer.address;
    let from = match session.peer.origin {
        Origin::Unix => format!("unix:{}", address.strip_suffix(":0").unwrap_or(address)),
        Origin::Loopback | Origin::Remote => address.clone(),
    };
    let (seconds, micros) = (unix_micros / 1_000_000, unix_micros % 1_000_000);
    let mut line = format!("+{seconds}.{micros:06} [{database} {from}]");
    for argument in args.iter() {
        line.push(' ');
        line.push_str(&quoting::quoted(argument));
    }
    line.push_str("\r\n");
    MonitorLine(line.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word_at_a_time_and_lines_in_batches() {
        let mut feed = Feed::new(CoreId(0), 2);
        let other = CoreId(1);
        feed.add_monitor();
        assert!(feed.has_news() && feed.is_watched());
        assert_eq!(feed.next_word(other), Some(FeedWord::Watch(true)));
        feed.watched_by(other, true);
        feed.push(&MonitorLine(b"a".to_vec()));
        assert_eq!(feed.next_word(other), None, "the first word is not answered yet");
        feed.push(&MonitorLine(b"b".to_vec()));
        feed.answered(other);
        let lines = vec![MonitorLine(b"a".to_vec()), MonitorLine(b"b".to_vec())];
        assert_eq!(feed.next_word(other), Some(FeedWord::Lines(lines)));
        feed.answered(other);
        feed.remove_monitor();
        assert_eq!(feed.next_word(other), Some(FeedWord::Watch(false)));
    }

    #[test]
    fn what_is_above_the_bound_is_left_out_and_counted() {
        let mut feed = Feed::new(CoreId(0), 2);
        feed.watched_by(CoreId(1), true);
        let line = MonitorLine(vec![b'x'; QUEUE_BYTES_MAX / 2]);
        (0..3).for_each(|_| feed.push(&line));
        assert_eq!(feed.dropped(), 1);
    }
}
