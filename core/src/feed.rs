//! What clients listen to: lines from every core to every core that has somebody who listens. MONITOR shows requests; memcached's watchers see
//! what happens to items and connections.
//!
//! Lines to another core leave in batches, one at a time unanswered, so a slow core gets larger batches instead of a longer
//! queue; what is above the bound is left out and counted.

use crate::args::Args;
use crate::event::{CoreId, Origin};
use crate::message::FeedLine;
use crate::quoting;
use crate::session::Session;

/// Bytes that wait for one core at the most.
const QUEUE_BYTES_MAX: usize = 4 << 20;

/// A set of what lines are about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topics(u8);

impl Topics {
    /// Nothing.
    pub const NONE: Topics = Topics(0);
    /// Every request, as MONITOR shows it.
    pub const REQUESTS: Topics = Topics(1);
    /// Items that memcached's clients ask for.
    pub const FETCHERS: Topics = Topics(1 << 1);
    /// Items that they store.
    pub const MUTATIONS: Topics = Topics(1 << 2);
    /// Items that go because memory is short.
    pub const EVICTIONS: Topics = Topics(1 << 3);
    /// Clients of memcached's that come and go.
    pub const CONNECTIONS: Topics = Topics(1 << 4);
    /// What never happens here: a listener without lines.
    pub const SILENCE: Topics = Topics(1 << 5);
    /// How many there are.
    const COUNT: usize = 6;

    /// Both.
    pub const fn or(self, other: Topics) -> Topics {
        Topics(self.0 | other.0)
    }

    /// True if a line about `other` is wanted.
    #[inline]
    pub const fn meets(self, other: Topics) -> bool {
        self.0 & other.0 != 0
    }

    /// True without any.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Lines on their way to other cores, and who wants them.
#[derive(Clone, Debug, Hash)]
pub struct Feed {
    core: CoreId,
    /// How many of this core's clients listen to each topic.
    listeners: [usize; Topics::COUNT],
    /// What they listen to.
    wanted: Topics,
    /// What each other core was told: which of its lines we want.
    told: Vec<Topics>,
    /// How many of them were told anything.
    told_on: usize,
    /// Which of ours each other core wants.
    wishes: Vec<Topics>,
    /// What anybody wants.
    topics: Topics,
    queues: Vec<Vec<FeedLine>>,
    queued_bytes: Vec<usize>,
    /// Lines left out before the next one, by core.
    left_out: Vec<u32>,
    /// A batch or a word is on its way and not answered.
    busy: Vec<bool>,
    dropped: u64,
}

/// What is to be said to another core.
#[derive(Debug, PartialEq, Eq)]
pub enum FeedWord {
    /// Send lines about these topics from now on, and no others.
    Listen(Topics),
    /// Lines.
    Lines(Vec<FeedLine>),
}

impl Feed {
    /// Nobody listens.
    pub fn new(core: CoreId, cores: u16) -> Feed {
        let cores = usize::from(cores);
        Feed {
            core,
            listeners: [0; Topics::COUNT],
            wanted: Topics::NONE,
            told: vec![Topics::NONE; cores],
            told_on: 0,
            wishes: vec![Topics::NONE; cores],
            topics: Topics::NONE,
            queues: vec![Vec::new(); cores],
            queued_bytes: vec![0; cores],
            left_out: vec![0; cores],
            busy: vec![false; cores],
            dropped: 0,
        }
    }

    /// One of this core's clients begins to listen.
    pub fn add(&mut self, topics: Topics) {
        self.count(topics, |listeners| *listeners += 1);
    }

    /// It ends.
    pub fn remove(&mut self, topics: Topics) {
        self.count(topics, |listeners| {
            assert!(*listeners > 0, "who listens ends once");
            *listeners -= 1;
        });
    }

    fn count(&mut self, topics: Topics, change: impl Fn(&mut usize)) {
        for (bit, listeners) in self.listeners.iter_mut().enumerate() {
            let topic = Topics(1 << bit);
            if topics.meets(topic) {
                change(listeners);
            }
            let others = Topics(self.wanted.0 & !topic.0);
            self.wanted = if *listeners > 0 { others.or(topic) } else { others };
        }
        self.sum_up();
    }

    fn sum_up(&mut self) {
        self.topics = self.wishes.iter().fold(self.wanted, |all, wish| all.or(*wish));
    }

    /// Monitors among this core's clients.
    pub fn monitors(&self) -> usize {
        self.listeners[0]
    }

    /// What this core's clients listen to.
    #[inline]
    pub fn wanted(&self) -> Topics {
        self.wanted
    }

    /// What anybody wants to hear of this core.
    #[inline]
    pub fn topics(&self) -> Topics {
        self.topics
    }

    /// True if anybody wants to see what runs here.
    #[inline]
    pub fn is_monitored(&self) -> bool {
        self.topics.meets(Topics::REQUESTS)
    }

    /// Another core's wish.
    pub fn wished_by(&mut self, core: CoreId, topics: Topics) {
        self.wishes[core.index()] = topics;
        self.sum_up();
        if topics.is_empty() {
            self.queues[core.index()].clear();
            (self.queued_bytes[core.index()], self.left_out[core.index()]) = (0, 0);
        }
    }

    /// Queues a line for the other cores that want it.
    pub fn push(&mut self, line: &FeedLine) {
        for core in 0..self.wishes.len() {
            if !self.wishes[core].meets(line.topic) || core == self.core.index() {
                continue;
            }
            if self.queued_bytes[core] + line.text.len() > QUEUE_BYTES_MAX {
                self.dropped += 1;
                self.left_out[core] = self.left_out[core].saturating_add(1);
                continue;
            }
            self.queued_bytes[core] += line.text.len();
            let left_out = std::mem::take(&mut self.left_out[core]).saturating_add(line.left_out);
            self.queues[core].push(FeedLine { left_out, ..line.clone() });
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
        let wanted = self.wanted;
        let word = if self.told[at] != wanted {
            let before = std::mem::replace(&mut self.told[at], wanted);
            self.told_on = self.told_on + usize::from(!wanted.is_empty()) - usize::from(!before.is_empty());
            FeedWord::Listen(wanted)
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
        (!self.topics.is_empty() || self.told_on > 0) && self.has_any_news()
    }

    fn has_any_news(&self) -> bool {
        (0..self.told.len() as u16).any(|core| self.has_news_for(CoreId(core)))
    }

    /// True if there is something to say to this core.
    pub fn has_news_for(&self, core: CoreId) -> bool {
        let at = core.index();
        core != self.core && !self.busy[at] && (self.told[at] != self.wanted || !self.queues[at].is_empty())
    }

    /// A core has answered.
    pub fn answered(&mut self, core: CoreId) {
        self.busy[core.index()] = false;
    }
}

/// A request as MONITOR shows it: time, database, address, words.
pub fn monitor_line(session: &Session, args: Args<'_>, unix_micros: u64, database: u16) -> FeedLine {
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
    FeedLine { topic: Topics::REQUESTS, text: line.into_bytes(), left_out: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(topic: Topics, text: &[u8]) -> FeedLine {
        FeedLine { topic, text: text.to_vec(), left_out: 0 }
    }

    #[test]
    fn one_word_at_a_time_and_lines_in_batches() {
        let mut feed = Feed::new(CoreId(0), 2);
        let other = CoreId(1);
        feed.add(Topics::REQUESTS);
        assert!(feed.has_news() && feed.is_monitored());
        assert_eq!(feed.next_word(other), Some(FeedWord::Listen(Topics::REQUESTS)));
        feed.wished_by(other, Topics::REQUESTS);
        let (a, b) = (line(Topics::REQUESTS, b"a"), line(Topics::REQUESTS, b"b"));
        feed.push(&a);
        feed.push(&line(Topics::EVICTIONS, b"nobody asked"));
        assert_eq!(feed.next_word(other), None, "the first word is not answered yet");
        feed.push(&b);
        feed.answered(other);
        assert_eq!(feed.next_word(other), Some(FeedWord::Lines(vec![a, b])));
        feed.answered(other);
        feed.remove(Topics::REQUESTS);
        assert_eq!(feed.next_word(other), Some(FeedWord::Listen(Topics::NONE)));
    }

    #[test]
    fn each_listener_has_topics_and_all_of_them_are_wanted() {
        let mut feed = Feed::new(CoreId(0), 2);
        feed.add(Topics::FETCHERS.or(Topics::EVICTIONS));
        feed.add(Topics::FETCHERS);
        feed.remove(Topics::FETCHERS.or(Topics::EVICTIONS));
        assert_eq!(feed.wanted(), Topics::FETCHERS);
        feed.wished_by(CoreId(1), Topics::CONNECTIONS);
        assert_eq!(feed.topics(), Topics::FETCHERS.or(Topics::CONNECTIONS));
        assert!(!feed.is_monitored());
    }

    #[test]
    fn what_is_above_the_bound_is_left_out_and_counted() {
        let mut feed = Feed::new(CoreId(0), 2);
        feed.wished_by(CoreId(1), Topics::FETCHERS);
        let long = line(Topics::FETCHERS, &[b'x'; QUEUE_BYTES_MAX / 2]);
        (0..5).for_each(|_| feed.push(&long));
        assert_eq!(feed.dropped(), 3);
        feed.next_word(CoreId(1));
        feed.push(&long);
        feed.answered(CoreId(1));
        let Some(FeedWord::Lines(lines)) = feed.next_word(CoreId(1)) else { panic!("there is a line") };
        assert_eq!(lines[0].left_out, 3, "who listens hears how many");
    }
}
