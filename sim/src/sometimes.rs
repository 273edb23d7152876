//! Situations that a set of worlds must have met, or its checks have proved nothing.

use std::collections::BTreeMap;

/// Every situation that is counted.
pub const ALL: [&str; 124] = [
    "a group could not be written",
    "a group was written in part",
    "the disk was full",
    "a sync failed",
    "the log could be written again",
    "a change was refused as it could not be written down",
    "who asked how the server is heard that it cannot write",
    "somebody waited until the log was durable",
    "the server ended as it could not write what it was about to acknowledge",
    "the world ended in the middle of a write",
    "the world ended in the middle of an operation on files",
    "a marked moment was there after a loss of power",
    "a name was lost with the power",
    "what was damaged behind the last mark was left out",
    "it was noticed that a disk had lied",
    "what a lying disk had left was refused",
    "a lying disk cost the end of a log",
    "the log was read back while it was written",
    "the log could not be read back while it was written",
    "everything was there after a restart",
    "everything was there after a loss of power",
    "everything was there but on a core that could not write",
    "the world ended in the middle of a transaction",
    "a stamp named what was there",
    "a stamp named what had been",
    "a snapshot was loaded",
    "a part of a snapshot ended within a value",
    "a snapshot failed",
    "a key was saved before it was changed",
    "a flushed database was walked through",
    "the disk refused something",
    "a reply waited for a remote one",
    "credits ran out and a client was parked",
    "a parked client went on",
    "a connection closed with replies in flight",
    "a message came for a connection that was gone",
    "an index was used again",
    "requests travelled together",
    "replies travelled together",
    "what was ready did not wait for late replies",
    "a large argument was received where it belongs",
    "a request was cut in the middle",
    "output left in parts",
    "output was held back by a client that does not read",
    "a client was closed over its output limit",
    "a client vanished",
    "a client ended its half",
    "a client quit",
    "a client said nonsense",
    "a core stood still",
    "the wall clock stepped back",
    "the wall clock jumped",
    "a shard judged by a later instant than the request's",
    "a key was found expired by a command",
    "a key was found expired by the sweep",
    "a key was evicted",
    "a key was evicted while somebody's request was under way",
    "a request found no room",
    "a table split",
    "a table merged",
    "flushed keys were freed in steps",
    "background work was withheld",
    "a ring was half full",
    "a ring was full",
    "a value above 16 KiB was shared",
    "a scan was completed",
    "a scan met a change",
    "all cores gave a part",
    "RESP3 was spoken",
    "a second database was used",
    "a wild command was answered",
    "the server stopped with clients connected",
    "a reading pause was asked for",
    "a direct waited for a transaction",
    "a ticket arrived behind a higher one",
    "a transaction was parked for credits",
    "a client died with a transaction under way",
    "a client was gone between MULTI and EXEC",
    "an EXEC ran over several shards",
    "two EXEC over several shards at once",
    "an EXEC was refused after an error",
    "a WATCH held",
    "a WATCH failed",
    "expiry failed a WATCH",
    "a plan of steps found its target occupied",
    "a plan of steps found no source",
    "a value went to another shard",
    "an MSETNX over several shards found a key",
    "DBSIZE beside an MSET",
    "a core stalled between its pushes",
    "a core was slow",
    "a limit was older than what the rings held",
    "a client vanished while its EXEC was on its way",
    "who may wait found something at once",
    "somebody who waited was served",
    "an EXEC served who waited",
    "a RENAME served who waited",
    "a COPY served who waited",
    "a server outside was asked",
    "a MOVE served who waited",
    "a SWAPDB served who waited",
    "an LMOVE served who waited",
    "one BLMOVE served the next",
    "a move that waited went to another shard",
    "two who waited for one key were served in order",
    "somebody who waited for entries was served",
    "who waited in a group was told that it is gone",
    "one waited for keys of several shards",
    "a newcomer stood behind who waited",
    "who was woken found nothing",
    "what somebody was woken for was gone",
    "a wake-up came too late",
    "a waiter was served after its client was gone",
    "a key that somebody waited for became a string",
    "somebody waited until its time was up",
    "CLIENT UNBLOCK ended a wait as if its time were up",
    "CLIENT UNBLOCK ended a wait with an error",
    "CLIENT UNBLOCK found nobody waiting",
    "a client was gone while it waited",
    "a client that ended its half was gone while it waited",
    "requests stood behind one that waited",
    "a command that may wait did not within EXEC",
    "somebody waited for ever",
    "the server stopped while somebody waited",
];

/// How often each situation was met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sometimes(BTreeMap<&'static str, u64>);

impl Sometimes {
    /// It happened.
    pub fn met(&mut self, situation: &'static str) {
        debug_assert!(ALL.contains(&situation), "{situation:?} is not in the list");
        *self.0.entry(situation).or_default() += 1;
    }

    /// Adds another world's counts.
    pub fn add(&mut self, other: &Sometimes) {
        for (situation, times) in &other.0 {
            *self.0.entry(situation).or_default() += times;
        }
    }

    /// What was never met.
    pub fn missing(&self) -> Vec<&'static str> {
        ALL.into_iter().filter(|situation| !self.0.contains_key(situation)).collect()
    }

    /// A table of counts.
    pub fn report(&self) -> String {
        let row = |situation: &&str| {
            format!("{:>10}  {situation}\n", self.0.get(situation).copied().unwrap_or_default())
        };
        ALL.iter().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_met_is_named() {
        let mut sometimes = Sometimes::default();
        ALL[1..].iter().for_each(|situation| sometimes.met(situation));
        assert_eq!(sometimes.missing(), [ALL[0]]);
        let mut other = Sometimes::default();
        other.met(ALL[0]);
        sometimes.add(&other);
        assert!(sometimes.missing().is_empty());
    }
}
