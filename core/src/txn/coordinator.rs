//! The transactions that one core coordinates: who takes part, what is still to be heard and to be done, and how the reply is put
//! together.
//!
//! It keeps count. It does not know how messages travel, what commands do, nor whether the client is still there.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};

use smallvec::SmallVec;

use super::calls::Calls;
use super::pieces::Pieces;
use super::queue::{EntryId, Ticket, UNDRAWN};
use super::work::{Body, Circumstances, Finding, Order, Ran, TxId};
use crate::command::row::Merge;
use crate::errand::Errand;
use crate::event::CoreId;
use crate::message::Token;
use crate::part::Part;
use crate::protocol::chunks::Chunks;
use crate::slowlog::SlowCall;

/// A shard that takes part.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Participant {
    /// Which.
    pub core: CoreId,
    /// Its name for what it holds; known from its first answer on.
    pub entry: Option<EntryId>,
    /// Replies it has given and that are not in the reply yet.
    pub pieces: Pieces,
    /// Parts of answers that every core gives.
    pub parts: VecDeque<Part>,
    /// What it has found in the step of a plan.
    findings: Vec<Finding>,
    /// It owes an answer.
    awaited: bool,
    /// The generation of its log in which it has written something down for this; 0: it has not.
    pub logged: u32,
}

/// Where a piece of the reply comes from, in the order of the reply.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Take {
    /// The next piece of this participant.
    One(u16),
    /// Pieces of several, merged.
    Merged(Merge, SmallVec<[u16; 8]>),
    /// It is here already.
    Written(Chunks),
    /// All participants' parts, merged by the n-th call.
    Gathered(usize),
    /// The n-th call runs in the client's session.
    Local(usize),
}

/// What the participants do between two gatherings of all answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// They look whether what the client watches is untouched.
    Check(Vec<(u16, Body)>),
    /// They run their share.
    Bodies(Vec<(u16, Body)>),
    /// They act in the steps of the plan of the n-th call; its reply is the m-th take.
    Plan {
        /// Which call.
        call: usize,
        /// Which take.
        take: usize,
        /// The owners of its keys, by the keys' places among the arguments.
        owners: Vec<(u32, u16)>,
    },
}

/// A transaction that has begun.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Transaction {
    /// Whose reply it is.
    pub token: Token,
    /// For whom.
    pub circumstances: Circumstances,
    /// In the order of cores.
    pub participants: SmallVec<[Participant; 2]>,
    /// Answers that are missing in this stage.
    missing: u16,
    /// What happens now.
    pub stage: Option<Stage>,
    /// The step of a plan that runs now.
    pub step: u8,
    /// What the next step of the plan is to do; none: its first.
    pub orders: Vec<Order>,
    /// In the step that runs, to whom each order went.
    pub ordered: Vec<u16>,
    /// What is still to come.
    pub stages: VecDeque<Stage>,
    /// How the reply is put together.
    pub takes: SmallVec<[Take; 2]>,
    /// The reply is an array of what is taken (EXEC).
    pub is_array: bool,
    /// The commands themselves, where takes and plans refer to them.
    pub calls: Calls,
    /// What was watched has changed: the reply is nil.
    pub touched: bool,
    /// The client waits if there is nothing to be had.
    pub waits: bool,
    /// There was nothing: the client is in line on all shards.
    pub in_vain: bool,
    /// Slow calls of all shards.
    pub slow: Vec<SlowCall>,
    /// It may ask another server.
    pub is_abroad: bool,
    /// What it asks now.
    pub errand: Option<Box<Errand>>,
}

impl Transaction {
    /// With these participants; each owes an answer to being asked to take part.
    pub fn new(
        token: Token,
        circumstances: Circumstances,
        cores: impl Iterator<Item = CoreId>,
    ) -> Transaction {
        let participants: SmallVec<[Participant; 2]> = cores
            .map(|core| Participant {
                core,
                entry: None,
                pieces: Pieces::default(),
                parts: VecDeque::new(),
                findings: Vec::new(),
                awaited: true,
                logged: 0,
            })
            .collect();
        Transaction {
            token,
            circumstances,
            missing: participants.len() as u16,
            participants,
            stage: None,
            step: 0,
            orders: Vec::new(),
            ordered: Vec::new(),
            stages: VecDeque::new(),
            takes: SmallVec::new(),
            is_array: false,
            calls: Calls::default(),
            touched: false,
            waits: false,
            in_vain: false,
            slow: Vec::new(),
            is_abroad: false,
            errand: None,
        }
    }

    /// A participant is told to do something more and owes an answer.
    pub fn expect(&mut self, participant: u16) {
        let participant = &mut self.participants[usize::from(participant)];
        assert!(!participant.awaited, "a participant is told one thing at a time");
        participant.awaited = true;
        self.missing += 1;
    }

    /// True if this core owes an answer.
    pub fn awaits(&self, core: CoreId) -> bool {
        self.participants.iter().any(|participant| participant.core == core && participant.awaited)
    }

    /// True if nobody owes an answer.
    pub fn is_quiet(&self) -> bool {
        self.missing == 0
    }

    /// A participant has answered; true if all have.
    pub fn heard(&mut self, core: CoreId, entry: EntryId, ran: Ran) -> bool {
        let participant = self.participants.iter_mut().find(|participant| participant.core == core);
        let participant = participant.expect("only participants answer");
        assert!(participant.awaited, "a participant answers once");
        participant.awaited = false;
        participant.entry = Some(entry);
        participant.pieces.append(ran.pieces);
        let more = ran.more.map(|more| *more).unwrap_or_default();
        participant.parts.extend(more.parts);
        participant.findings = more.findings;
        self.touched |= ran.touched;
        participant.logged = participant.logged.max(ran.logged);
        self.slow.extend(more.slow);
        self.missing -= 1;
        self.missing == 0
    }

    /// What the orders of the last step have found, in their order.
    pub fn take_findings(&mut self) -> Vec<Finding> {
        let mut found: SmallVec<[std::vec::IntoIter<Finding>; 2]> =
            self.participants.iter_mut().map(|p| std::mem::take(&mut p.findings).into_iter()).collect();
        self.ordered.iter().filter_map(|to| found[usize::from(*to)].next()).collect()
    }

    /// The place of a core among the participants.
    pub fn place_of(&self, core: CoreId) -> Option<u16> {
        self.participants.iter().position(|participant| participant.core == core).map(|place| place as u16)
    }
}

/// All transactions of a core that are not over.
#[derive(Clone, Debug, Default)]
pub struct Coordinator {
    places: Vec<(u32, Option<Box<Transaction>>)>,
    free: Vec<u32>,
    len: usize,
    /// Begun since tickets were drawn last.
    undrawn: u64,
}

impl Coordinator {
    /// Begins a transaction; its name, and its place among those that wait for tickets.
    pub fn begin(&mut self, transaction: Transaction) -> (TxId, Ticket) {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push((0, None));
            self.places.len() as u32 - 1
        });
        let place = &mut self.places[index as usize];
        place.1 = Some(Box::new(transaction));
        self.len += 1;
        self.undrawn += 1;
        (TxId { index, generation: place.0 }, UNDRAWN + self.undrawn - 1)
    }

    /// How many tickets are to be drawn.
    #[inline]
    pub fn undrawn(&self) -> u64 {
        self.undrawn
    }

    /// They have been drawn.
    pub fn drawn(&mut self) {
        self.undrawn = 0;
    }

    /// A transaction that is not over.
    pub fn get_mut(&mut self, id: TxId) -> Option<&mut Transaction> {
        let (generation, transaction) = self.places.get_mut(id.index as usize)?;
        transaction.as_deref_mut().filter(|_| *generation == id.generation)
    }

    /// Takes one out, to be ended or put back.
    pub fn take(&mut self, id: TxId) -> Option<Box<Transaction>> {
        let (generation, transaction) = self.places.get_mut(id.index as usize)?;
        if *generation == id.generation { transaction.take() } else { None }
    }

    /// Puts it back.
    pub fn put_back(&mut self, id: TxId, transaction: Box<Transaction>) {
        self.places[id.index as usize].1 = Some(transaction);
    }

    /// A transaction that was taken out is over.
    pub fn end(&mut self, id: TxId) {
        let place = &mut self.places[id.index as usize];
        assert!(place.1.is_none() && place.0 == id.generation, "a transaction ends once");
        place.0 = place.0.wrapping_add(1);
        self.free.push(id.index);
        self.len -= 1;
    }

    /// How many are not over.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Credits at other cores that they hold.
    pub fn credits_out(&self, me: CoreId) -> usize {
        let transactions = self.places.iter().filter_map(|(_, transaction)| transaction.as_ref());
        transactions.flat_map(|transaction| &transaction.participants).filter(|p| p.core != me).count()
    }

    /// True if all are over.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Hash for Coordinator {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (&self.places, &self.free, self.undrawn).hash(hasher);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::ConnId;
    use crate::protocol::reply::Resp;
    use crate::session::ClientId;

    #[test]
    fn all_answers_are_counted_and_names_are_never_used_twice() {
        let token = Token { conn: ConnId::default(), sequence: 0 };
        let circumstances = Circumstances {
            client: ClientId(1),
            resp: Resp::V2,
            no_touch: false,
            unix_micros: 0,
            clock: 0,
            round: 0,
        };
        let mut coordinator = Coordinator::default();
        let cores = [CoreId(0), CoreId(2)];
        let (id, ticket) = coordinator.begin(Transaction::new(token, circumstances, cores.into_iter()));
        assert_eq!((ticket, coordinator.undrawn(), coordinator.len()), (UNDRAWN, 1, 1));
        let mut queue = super::super::queue::Queue::<()>::default();
        let entry = queue.schedule(1, ClientId(1), Default::default(), ());
        let transaction = coordinator.get_mut(id).expect("it has begun");
        assert!(!transaction.heard(CoreId(2), entry, Ran::default()));
        assert!(transaction.heard(CoreId(0), entry, Ran::found(vec![Finding::Count(1)])));
        transaction.expect(0);
        transaction.ordered = vec![0];
        let ran = Ran::found(vec![Finding::Flag(true)]);
        assert!(transaction.heard(CoreId(0), entry, ran));
        assert_eq!(transaction.take_findings(), [Finding::Flag(true)]);
        assert!(coordinator.take(id).is_some());
        coordinator.end(id);
        assert!(coordinator.get_mut(id).is_none() && coordinator.is_empty());
        let (next, _) = coordinator.begin(Transaction::new(token, circumstances, cores.into_iter()));
        assert_ne!(next, id);
    }
}
