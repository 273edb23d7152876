//! What may not be said before the log has it: that a transaction over several shards counts, and that a shard has done its part.
//!
//! A turn's group is written before anything of the turn leaves, so usually both are said in the turn in which they became true. A core whose log cannot be
//! written keeps them back, and with them the locks: nobody on another core goes on from what a kill would take away. Everything else that
//! a core says depends on its own log only, whose lines are there up to some moment.
//!
//! It knows names of transactions and messages. It does not know what they changed.

use crate::engine::Engine;
use crate::event::{CoreId, Effect, Effects};
use crate::message::Message;
use crate::mutant::planted;
use crate::time::Now;
use crate::txn::coordinator::Transaction;
use crate::txn::queue::EntryId;
use crate::txn::work::{Ran, TxId};

/// What a core keeps back until its log has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Held {
    /// Transactions of this core whose line is written down; their locks stay until it is in the file.
    ending: Vec<TxId>,
    /// Answers of parts that have changed something here, and for whom.
    answers: Vec<(CoreId, Message)>,
}

impl Held {
    fn is_empty(&self) -> bool {
        self.ending.is_empty() && self.answers.is_empty()
    }
}

impl Engine {
    /// True while something waits until the log has it.
    pub fn holds_back(&self) -> bool {
        !self.held.is_empty()
    }

    /// All participants have answered, and nothing more is to be done: it counts, and ends as soon as that is in the log.
    pub(crate) fn end_when_written(
        &mut self,
        tx: TxId,
        transaction: Box<Transaction>,
        now: Now,
        out: &mut Effects,
    ) {
        let counts = self.commit(tx, &transaction);
        if counts && self.node.pen.lacks() && !planted("a transaction ends before its line is in the log") {
            self.transactions.put_back(tx, transaction);
            self.held.ending.push(tx);
            return;
        }
        self.finish(tx, transaction, now, out);
    }

    /// This shard has done its part of a transaction: its coordinator hears of it as soon as that is in the log.
    pub(crate) fn answer_when_written(
        &mut self,
        from: CoreId,
        tx: TxId,
        entry: EntryId,
        ran: Ran,
        out: &mut Effects,
    ) {
        let waits = ran.logged > 0 && self.node.pen.lacks();
        let message = Message::Ran { tx, entry, ran };
        if waits && !planted("a part is answered before it is in the log") {
            self.held.answers.push((from, message));
        } else {
            out.push(Effect::Send { to: from, message });
        }
    }

    /// Everything that was written down is in the file: what waited for that is said.
    #[inline]
    pub(crate) fn say_what_is_written(&mut self, now: Now, out: &mut Effects) {
        if self.held.is_empty() || self.node.pen.lacks() {
            return;
        }
        let Held { ending, answers } = std::mem::take(&mut self.held);
        for (to, message) in answers {
            out.push(Effect::Send { to, message });
        }
        for tx in ending {
            if let Some(transaction) = self.transactions.take(tx) {
                self.finish(tx, transaction, now, out);
            }
        }
    }
}
