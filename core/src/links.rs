//! Credits between cores, and the clients that wait for one.
//!
//! Every message that wants an answer holds a credit of its receiver until the answer has come. Who finds none waits, first come
//! first served; nobody else does. It knows numbers and connections. It does not know what messages say.

use std::collections::VecDeque;

use crate::event::{ConnId, CoreId};
use crate::mutant::planted;

/// The credits that one core has at the others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Links {
    core: CoreId,
    credits_max: usize,
    credits: Vec<usize>,
    parked: Vec<VecDeque<ConnId>>,
}

impl Links {
    /// All credits there; `credits` for each other core.
    pub fn new(core: CoreId, cores: u16, credits: usize) -> Links {
        assert!(credits > 0, "without a credit nobody could ever ask");
        Links {
            core,
            credits_max: credits,
            credits: vec![credits; usize::from(cores)],
            parked: vec![VecDeque::new(); usize::from(cores)],
        }
    }

    /// Takes a credit for a message to `to`; false if there is none.
    #[inline]
    #[must_use]
    pub fn take(&mut self, to: CoreId) -> bool {
        assert_ne!(to, self.core, "a core does not send to itself");
        let credits = &mut self.credits[to.index()];
        let any = *credits > 0;
        *credits -= usize::from(any);
        any || planted("a credit is taken where there is none")
    }

    /// Takes a credit of every other core, or none and says who has none.
    pub fn take_all(&mut self) -> Result<(), CoreId> {
        match self.others().find(|core| self.credits[core.index()] == 0) {
            Some(empty) => Err(empty),
            None => {
                let mut others: Vec<CoreId> = self.others().collect();
                if planted("asking everybody takes no credits") {
                    others.clear();
                }
                others.into_iter().for_each(|core| self.credits[core.index()] -= 1);
                Ok(())
            }
        }
    }

    /// Takes a credit of each of these, or none and says who has none.
    pub fn take_each(&mut self, cores: &[CoreId]) -> Result<(), CoreId> {
        match cores.iter().find(|core| self.credits[core.index()] == 0) {
            Some(empty) => Err(*empty),
            None => {
                cores.iter().for_each(|core| self.credits[core.index()] -= 1);
                Ok(())
            }
        }
    }

    /// An answer of `from` has come.
    #[inline]
    pub fn give_back(&mut self, from: CoreId) {
        let credits = &mut self.credits[from.index()];
        *credits += 1;
        assert!(*credits <= self.credits_max, "a core answers each message once");
    }

    /// Lets a client wait for a credit of `to`.
    pub fn park(&mut self, to: CoreId, conn: ConnId) {
        self.parked[to.index()].push_back(conn);
    }

    /// A client that waits no more because it is gone.
    pub fn forget(&mut self, conn: ConnId) {
        if planted("close forgets the parked entry") {
            return;
        }
        self.parked.iter_mut().for_each(|queue| queue.retain(|parked| *parked != conn));
    }

    /// True if a client waits for a credit that is there.
    #[inline]
    pub fn may_resume(&self) -> bool {
        self.parked.iter().zip(&self.credits).any(|(queue, &credits)| !queue.is_empty() && credits > 0)
    }

    /// The clients that may try again: of each core as many as there are credits, first come first.
    pub fn resume(&mut self) -> Vec<ConnId> {
        let mut resumed = Vec::new();
        for (queue, &credits) in self.parked.iter_mut().zip(&self.credits) {
            let ready = credits.min(queue.len());
            resumed.extend(queue.drain(..ready));
        }
        resumed
    }

    /// Messages that are not answered yet.
    pub fn outstanding(&self) -> usize {
        self.others().map(|core| self.credits_max - self.credits[core.index()]).sum()
    }

    /// Clients that wait.
    pub fn parked(&self) -> usize {
        self.parked.iter().map(VecDeque::len).sum()
    }

    fn others(&self) -> impl Iterator<Item = CoreId> + use<> {
        let me = self.core;
        (0..self.credits.len() as u16).map(CoreId).filter(move |core| *core != me)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conn(index: u32) -> ConnId {
        ConnId { index, generation: 0 }
    }

    #[test]
    fn who_finds_no_credit_waits_in_line() {
        let mut links = Links::new(CoreId(0), 3, 2);
        let (one, two) = (CoreId(1), CoreId(2));
        assert!(links.take(one) && links.take(one) && !links.take(one));
        links.park(one, conn(7));
        links.park(one, conn(8));
        links.park(one, conn(9));
        assert!(!links.may_resume());
        assert_eq!(links.take_all(), Err(one));
        links.give_back(one);
        links.give_back(one);
        links.forget(conn(8));
        assert_eq!(links.resume(), [conn(7), conn(9)]);
        assert_eq!(links.take_all(), Ok(()));
        assert_eq!(links.outstanding(), 2);
        links.give_back(two);
        links.give_back(one);
        assert_eq!((links.outstanding(), links.parked()), (0, 0));
    }

    #[test]
    #[should_panic(expected = "answers each message once")]
    fn an_answer_too_many_is_noticed() {
        Links::new(CoreId(0), 2, 1).give_back(CoreId(1));
    }
}
