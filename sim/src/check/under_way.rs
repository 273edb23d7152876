//! A request between its taking and its answer: where it leads, where it has run, and whether that is enough when it is answered.
//!
//! It knows what a reply tells about that. It does not know whether the reply is right.

use std::collections::BTreeMap;

use super::footprint::Footprint;
use super::serial::Op;
use crate::decoder::Reply;
use crate::dialogue::spoken;
use crate::sometimes::Sometimes;

/// A request that is taken or about to be.
#[derive(Clone, Copy, Debug)]
pub struct Taking {
    /// Of which connection.
    pub dialogue: usize,
    /// Which of its requests.
    pub request: usize,
    /// The core's wall clock when it was taken, Unix milliseconds.
    pub at: u64,
    /// Its name, if the store has to do with it.
    pub op: Option<Op>,
    /// It is a step of a scan.
    pub is_scan: bool,
    /// It has run whole before it was taken.
    pub is_over: bool,
}

/// A request that is under way.
#[derive(Clone, Debug)]
pub struct UnderWay {
    /// Who has asked for it, and when.
    pub taking: Taking,
    /// Where it leads.
    pub footprint: Footprint,
    /// It is an EXEC.
    pub is_exec: bool,
    /// It runs once on each of its shards.
    pub is_of_one_step: bool,
    /// The shards on which parts of it ran, each as often as they did.
    pub ran: Vec<u16>,
    /// By which instant each has judged.
    pub instants: BTreeMap<u16, u64>,
    /// Nothing of it will run any more.
    pub done: bool,
}

impl UnderWay {
    /// A request, not an EXEC, of which nothing has run.
    pub fn new(taking: Taking, footprint: Footprint, is_of_one_step: bool) -> UnderWay {
        let (ran, instants) = (Vec::new(), BTreeMap::new());
        UnderWay { taking, footprint, is_exec: false, is_of_one_step, ran, instants, done: false }
    }

    /// It is answered: it must have run where its keys lie, once unless it takes several steps. What is refused need not run.
    pub fn judge(&self, words: &[Vec<u8>], reply: &Reply, sometimes: &mut Sometimes) -> Result<(), String> {
        let shards = self.footprint.shards();
        let is_several = shards.len() > 1;
        let name = words[0].to_ascii_lowercase();
        match (&name[..], reply) {
            (b"renamenx", Reply::Integer(0)) if is_several => {
                sometimes.met("a plan of steps found its target occupied");
            }
            (b"rename", Reply::Error(_)) if is_several => {
                sometimes.met("a plan of steps found no source");
            }
            (b"copy", Reply::Integer(1)) if is_several => {
                sometimes.met("a value went to another shard");
            }
            (b"msetnx", Reply::Integer(0)) if is_several => {
                sometimes.met("an MSETNX over several shards found a key");
            }
            _ => {}
        }
        if self.footprint.touches.values().any(|touch| touch.all.is_some()) && is_several {
            sometimes.met("all cores gave a part");
        }
        if matches!(reply, Reply::Bulk(bytes) if bytes.len() >= 16 << 10) {
            sometimes.met("a value above 16 KiB was shared");
        }
        let times = |shard: &u16| self.ran.iter().filter(|other| *other == shard).count();
        let wrong = |shard: u16, what: &str| {
            Err(format!("{} is answered by {reply:?}, but has run {what} on shard {shard}", spoken(words)))
        };
        if let (true, Some(shard)) = (self.is_of_one_step, self.ran.iter().find(|shard| times(shard) > 1)) {
            return wrong(*shard, "more than once");
        }
        // Steps of a plan and what EXEC refuses leave shards alone.
        let missing = shards.iter().find(|shard| times(shard) == 0);
        match missing.filter(|_| self.is_of_one_step || self.ran.is_empty()) {
            Some(shard) if !is_refused(reply) => wrong(*shard, "never"),
            _ => Ok(()),
        }
    }
}

/// True for an error, and for what EXEC answers if all its commands give one.
fn is_refused(reply: &Reply) -> bool {
    match reply {
        Reply::Error(_) => true,
        Reply::Array(elements) => elements.iter().all(|element| matches!(element, Reply::Error(_))),
        _ => false,
    }
}
