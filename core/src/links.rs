//! Credits between cores, and the clients that wait for some.
//!
//! Every message that wants an answer holds a credit of its receiver until the answer has come. Before each core there is one line:
//! who finds too few credits stands in the lines of all cores that it needs, and takes them together when it is its turn in each. Who
//! comes later does not overtake it, and whom no line concerns does not wait. It knows numbers and connections. It does not know what
//! messages say.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{Hash, Hasher};

use smallvec::SmallVec;

use crate::event::{ConnId, CoreId};
use crate::mutant::planted;

/// A client in line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Waiter {
    conn: ConnId,
    /// The cores of which it needs a credit.
    needs: SmallVec<[CoreId; 2]>,
    /// It was told to try again and has not done so.
    is_told: bool,
}

/// The credits that one core has at the others.
#[derive(Clone, Debug)]
pub struct Links {
    core: CoreId,
    credits_max: usize,
    credits: Vec<usize>,
    /// By core: the numbers of those who wait for it, who has waited longest first.
    lines: Vec<VecDeque<u64>>,
    /// Of each line those who were not told to try again.
    untold: Vec<VecDeque<u64>>,
    /// By number, which grow.
    waiters: BTreeMap<u64, Waiter>,
    numbers: BTreeMap<ConnId, u64>,
    next_number: u64,
    /// Since [`Links::resume`] it may have become somebody's turn.
    has_news: bool,
}

impl Links {
    /// All credits there; `credits` for each other core.
    pub fn new(core: CoreId, cores: u16, credits: usize) -> Links {
        assert!(credits > 0, "without a credit nobody could ever ask");
        Links {
            core,
            credits_max: credits,
            credits: vec![credits; usize::from(cores)],
            lines: vec![VecDeque::new(); usize::from(cores)],
            untold: vec![VecDeque::new(); usize::from(cores)],
            waiters: BTreeMap::new(),
            numbers: BTreeMap::new(),
            next_number: 0,
            has_news: false,
        }
    }

    /// Takes a credit for a word of the core's own to `to`, whoever waits; false if there is none. There is never more than one such word
    /// for each client's, so that who waits is not kept waiting by them.
    #[inline]
    #[must_use]
    pub fn take(&mut self, to: CoreId) -> bool {
        assert_ne!(to, self.core, "a core does not send to itself");
        let credits = &mut self.credits[to.index()];
        let any = *credits > 0;
        *credits -= usize::from(any);
        any
    }

    /// The same for words that may be said again and again: only if there is one left for everybody in line.
    #[must_use]
    pub fn take_spare(&mut self, to: CoreId) -> bool {
        self.lines[to.index()].len() < self.credits[to.index()] && self.take(to)
    }

    /// Takes a credit of each of these for a client, or none: then it stands in line, and [`Links::resume`] names it.
    #[inline]
    #[must_use]
    pub fn take_or_wait(&mut self, conn: ConnId, cores: &[CoreId]) -> bool {
        if self.waiters.is_empty() && cores.iter().all(|core| self.credits[core.index()] > 0) {
            self.take_each(cores);
            return true;
        }
        self.take_in_turn(conn, cores)
    }

    /// The same of every other core.
    #[must_use]
    pub fn take_all_or_wait(&mut self, conn: ConnId) -> bool {
        let mut others: SmallVec<[CoreId; 8]> = self.others().collect();
        if planted("asking everybody takes no credits") {
            others.clear();
        }
        self.take_or_wait(conn, &others)
    }

    /// Takes a credit of each of these for a word of the core's own, or none.
    #[must_use]
    pub fn take_all(&mut self, cores: &[CoreId]) -> bool {
        let all = cores.iter().all(|core| self.credits[core.index()] > 0);
        if all {
            self.take_each(cores);
        }
        all
    }

    fn take_each(&mut self, cores: &[CoreId]) {
        for core in cores {
            assert_ne!(*core, self.core, "a core does not send to itself");
            self.credits[core.index()] -= 1;
        }
    }

    #[cold]
    fn take_in_turn(&mut self, conn: ConnId, cores: &[CoreId]) -> bool {
        if planted("a credit is taken where there is none") {
            return true;
        }
        let known = self.numbers.get(&conn).copied();
        let number = known.unwrap_or(self.next_number);
        if cores.iter().all(|core| self.is_turn(*core, number)) {
            self.take_each(cores);
            self.forget(conn);
            return true;
        }
        if known.is_some() {
            self.leave_lines(number);
        } else {
            self.next_number += 1;
        }
        let mut needs: SmallVec<[CoreId; 2]> = cores.into();
        if planted("who needs credits of several cores waits in one line") {
            needs.retain(|core| self.credits[core.index()] == 0);
            needs.truncate(1);
        }
        for core in &needs {
            enter(&mut self.lines[core.index()], number);
            enter(&mut self.untold[core.index()], number);
        }
        self.waiters.insert(number, Waiter { conn, needs, is_told: false });
        self.numbers.insert(conn, number);
        false
    }

    /// True if this core has a credit for everybody in line up to this number.
    fn is_turn(&self, core: CoreId, number: u64) -> bool {
        let ahead = match planted("a newcomer overtakes who waits for a credit") {
            true => 0,
            false => self.lines[core.index()].partition_point(|other| *other < number),
        };
        ahead < self.credits[core.index()]
    }

    fn leave_lines(&mut self, number: u64) {
        let Some(waiter) = self.waiters.remove(&number) else { return };
        for core in waiter.needs {
            leave(&mut self.lines[core.index()], number);
            if !waiter.is_told {
                leave(&mut self.untold[core.index()], number);
            }
        }
    }

    /// An answer of `from` has come.
    #[inline]
    pub fn give_back(&mut self, from: CoreId) {
        self.give_back_several(from, 1);
    }

    /// So many answers of `from` have come at once.
    #[inline]
    pub fn give_back_several(&mut self, from: CoreId, answers: usize) {
        let credits = &mut self.credits[from.index()];
        *credits += answers;
        assert!(*credits <= self.credits_max, "a core answers each message once");
        self.has_news = true;
    }

    /// A client that does not wait for credits any more.
    #[inline]
    pub fn forget(&mut self, conn: ConnId) {
        if self.waiters.is_empty() {
            return;
        }
        if let Some(number) = self.numbers.remove(&conn) {
            self.leave_lines(number);
            self.has_news = true;
        }
    }

    /// True if it may have become somebody's turn.
    #[inline]
    pub fn may_resume(&self) -> bool {
        self.has_news && !self.waiters.is_empty()
    }

    /// The clients whose turn it is and who have not been told yet, who has waited longest first. They stay in line until they have
    /// tried again.
    pub fn resume(&mut self) -> Vec<ConnId> {
        self.has_news = false;
        let mut ready: SmallVec<[u64; 8]> = SmallVec::new();
        for (core, line) in self.untold.iter().enumerate() {
            let core = CoreId(core as u16);
            // Who stands behind somebody for whom there is no credit has none either.
            for number in line.iter().take_while(|number| self.is_turn(core, **number)) {
                if self.waiters[number].needs.iter().all(|core| self.is_turn(*core, *number)) {
                    ready.push(*number);
                }
            }
        }
        ready.sort_unstable();
        ready.dedup();
        let mut conns = Vec::with_capacity(ready.len());
        for number in ready {
            let Some(waiter) = self.waiters.get_mut(&number) else { continue };
            waiter.is_told = true;
            conns.push(waiter.conn);
            waiter.needs.iter().for_each(|core| leave(&mut self.untold[core.index()], number));
        }
        conns
    }

    /// Messages that are not answered yet.
    pub fn outstanding(&self) -> usize {
        self.others().map(|core| self.credits_max - self.credits[core.index()]).sum()
    }

    /// Clients that wait.
    pub fn parked(&self) -> usize {
        self.waiters.len()
    }

    fn others(&self) -> impl Iterator<Item = CoreId> + use<> {
        let me = self.core;
        (0..self.credits.len() as u16).map(CoreId).filter(move |core| *core != me)
    }
}

/// A number's place in a line, which is in order.
fn enter(line: &mut VecDeque<u64>, number: u64) {
    let place = line.partition_point(|other| *other < number);
    line.insert(place, number);
}

fn leave(line: &mut VecDeque<u64>, number: u64) {
    if let Ok(place) = line.binary_search(&number) {
        line.remove(place);
    }
}

impl Hash for Links {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        // Numbers are compared only. News that concern nobody decide nothing, and others do not outlive an event.
        (&self.credits, self.waiters.len()).hash(hasher);
        self.waiters.values().for_each(|waiter| waiter.hash(hasher));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conn(index: u32) -> ConnId {
        ConnId { index, generation: 0 }
    }

    const ONE: CoreId = CoreId(1);
    const TWO: CoreId = CoreId(2);

    #[test]
    fn who_finds_no_credit_waits_in_line() {
        let mut links = Links::new(CoreId(0), 3, 2);
        assert!(links.take_or_wait(conn(1), &[ONE]) && links.take_or_wait(conn(2), &[ONE]));
        for client in 7..=9 {
            assert!(!links.take_or_wait(conn(client), &[ONE]));
        }
        assert!(links.resume().is_empty() && !links.may_resume());
        assert!(links.take_or_wait(conn(3), &[TWO]), "no line concerns it");
        links.give_back(TWO);
        links.give_back(ONE);
        links.give_back(ONE);
        links.forget(conn(8));
        assert!(links.may_resume());
        assert_eq!(links.resume(), [conn(7), conn(9)]);
        assert!(links.resume().is_empty(), "they have been told");
        assert!(!links.take_or_wait(conn(4), &[ONE]), "both credits are theirs");
        assert!(links.take_or_wait(conn(9), &[ONE]) && links.take_or_wait(conn(7), &[ONE]));
        links.give_back(ONE);
        assert_eq!(links.resume(), [conn(4)]);
        assert!(links.take(ONE), "a word of the core's own goes first");
        assert!(!links.take_or_wait(conn(4), &[ONE]), "and it keeps its place");
        links.give_back(ONE);
        assert_eq!(links.resume(), [conn(4)]);
        assert!(links.take_or_wait(conn(4), &[ONE]));
        links.give_back(ONE);
        links.give_back(ONE);
        assert_eq!((links.outstanding(), links.parked()), (0, 0));
    }

    #[test]
    fn who_needs_several_is_not_overtaken_at_any() {
        let mut links = Links::new(CoreId(0), 3, 1);
        assert!(links.take_or_wait(conn(1), &[ONE]));
        assert!(!links.take_or_wait(conn(2), &[ONE, TWO]));
        assert!(!links.take_or_wait(conn(3), &[TWO]), "the credit that is there is the other's");
        assert!(!links.take_or_wait(conn(4), &[ONE]));
        links.give_back(ONE);
        assert_eq!(links.resume(), [conn(2)]);
        assert!(links.take_or_wait(conn(2), &[ONE, TWO]));
        links.give_back(TWO);
        assert_eq!(links.resume(), [conn(3)]);
        links.forget(conn(3));
        assert!(!links.take_all_or_wait(conn(5)));
        links.give_back(ONE);
        assert_eq!(links.resume(), [conn(4)]);
        assert!(links.take_or_wait(conn(4), &[ONE]));
        links.give_back(ONE);
        assert_eq!(links.resume(), [conn(5)]);
        assert!(links.take_all_or_wait(conn(5)));
        assert_eq!((links.outstanding(), links.parked()), (2, 0));
    }

    #[test]
    #[should_panic(expected = "answers each message once")]
    fn an_answer_too_many_is_noticed() {
        Links::new(CoreId(0), 2, 1).give_back(CoreId(1));
    }
}
