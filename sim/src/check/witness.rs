//! Who has said what, and what became of it: the witness reads what the engines note of their doings, line by line, and knows for each line
//! whose request it was.
//!
//! Each request is taken once, in the order in which its connection said it, runs where its keys lie and nowhere twice, and is answered
//! after that. What requests mean to their connection alone is judged when they are taken (`taking`); what they do to the store goes to [`Replay`]
//! (`running`), which finds the order and compares every reply. It does not know what commands answer.

use std::collections::BTreeMap;

use darter_core::Engine;
use darter_core::event::ConnId;
use darter_core::message::Token;
use darter_core::node::{Applied, Noted};
use darter_core::txn::work::TxId;

use super::expiry::{Clocks, Named};
use super::footprint::{Footprint, Placement};
use super::replay::{Replay, TRIES_BITS};
use super::scan::Scan;
use super::serial::Op;
use super::snapshots::Snapshots;
use super::under_way::{Taking, UnderWay};
use super::waits::Waits;
use crate::decoder::Reply;
use crate::dialogue::{Dialogue, Expect, Kind, spoken};
use crate::reference::store::Store;
use crate::sometimes::Sometimes;

/// Requests between two looks for a cycle.
const LOOK_EVERY: u64 = 500;
/// The connection of what nobody has asked for.
pub(super) const NOBODY: u64 = u64::MAX;
/// Stands for the connection of the keeper of snapshots.
pub(super) const KEEPER: u64 = u64::MAX - 1;

/// All connections, and what is under way.
#[derive(Debug)]
pub struct Witness {
    /// Every connection there ever was.
    pub dialogues: Vec<Dialogue>,
    /// The order, and what follows from it.
    pub replay: Replay,
    /// Scans under way, by connection.
    pub scans: BTreeMap<usize, Scan>,
    /// What files hold.
    pub snapshots: Snapshots,
    /// Who waits for what.
    pub(super) waits: Waits,
    /// By client and whether with an error: waits that CLIENT UNBLOCK has ended and nobody was told of yet.
    pub(super) unblocked: BTreeMap<(u64, bool), i64>,
    pub(super) clocks: Clocks,
    pub(super) placement: Placement,
    pub(super) databases: usize,
    pub(super) connections: BTreeMap<(u16, ConnId), usize>,
    /// Replies that are awaited.
    pub(super) awaited: BTreeMap<(u16, Token), Taking>,
    pub(super) transactions: BTreeMap<(u16, TxId), Token>,
    pub(super) under_way: BTreeMap<Op, UnderWay>,
    pub(super) nobodys: u64,
    /// What runs next is refused, as memory is short.
    pub(super) lacks_room: bool,
    compared: u64,
    /// Requests that were taken.
    pub runs: u64,
}

/// One event's circumstances.
pub struct Turn<'a> {
    /// The core after the event.
    pub engine: &'a Engine,
    /// The core's wall clock, Unix milliseconds.
    pub unix_millis: u64,
    /// Nanoseconds since the world's beginning.
    pub moment: u64,
    /// Situations.
    pub sometimes: &'a mut Sometimes,
    /// Keys that went in the event because memory was short, in order.
    pub evicted: Vec<Named>,
}

/// The number that the order knows a try of a request by.
pub(super) fn number_of(request: usize, tries: u64) -> u64 {
    assert!(tries >> TRIES_BITS == 0, "who waits is not tried so often");
    (request as u64) << TRIES_BITS | tries
}

impl Turn<'_> {
    pub(super) fn core(&self) -> u16 {
        self.engine.node().core.0
    }

    /// What the core says to changes while its log cannot be written.
    pub(super) fn refusal(&self) -> Option<Reply> {
        let why = self.engine.node().log_failure()?;
        Some(Reply::Error(format!("MISCONF Errors writing to the AOF file: {why}")))
    }
}

impl Witness {
    /// Before anything has happened. The last database belongs to clients that are not followed.
    pub fn new(databases: u16, placement: Placement) -> Witness {
        let home = placement.clone();
        let shards = usize::from(placement.shards);
        let home = Box::new(move |key: &[u8]| usize::from(home.home(key)));
        Witness {
            dialogues: Vec::new(),
            replay: Replay::new(Store::new(usize::from(databases), shards, home)),
            scans: BTreeMap::new(),
            snapshots: Snapshots::default(),
            waits: Waits::default(),
            unblocked: BTreeMap::new(),
            clocks: Clocks::new(placement.shards),
            placement,
            databases: usize::from(databases),
            connections: BTreeMap::new(),
            awaited: BTreeMap::new(),
            transactions: BTreeMap::new(),
            under_way: BTreeMap::new(),
            nobodys: 0,
            lacks_room: false,
            compared: 0,
            runs: 0,
        }
    }

    /// How keys lie on shards.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// A connection begins; as the checkers call it.
    pub fn opens(&mut self, conn: ConnId, dialogue: Dialogue) -> usize {
        self.connections.insert((dialogue.core, conn), self.dialogues.len());
        self.dialogues.push(dialogue);
        self.dialogues.len() - 1
    }

    /// An event was handled, of which these are the lines.
    ///
    /// # Errors
    /// What should not be.
    pub fn reads(&mut self, turn: &mut Turn<'_>, lines: &[Noted]) -> Result<(), String> {
        if self.clocks.begins(usize::from(turn.core()), turn.unix_millis) {
            self.scans.values_mut().for_each(Scan::went_back);
        }
        let mut ran = BTreeMap::new();
        let mut evicted = std::mem::take(&mut turn.evicted);
        for Noted { applied, judged } in lines {
            if Snapshots::reads(self, turn, applied, judged.0)? {
                continue;
            }
            let taking = match applied {
                Applied::Here { conn, refused } => Some(self.here(turn, *conn, *refused, judged.0)?),
                Applied::Taken { conn, sequence } => {
                    self.taken(turn, *conn, *sequence)?;
                    None
                }
                Applied::Began { tx, token } => {
                    self.began(turn, *tx, *token)?;
                    None
                }
                Applied::Waits { from, token } => {
                    self.in_line(turn, (from.0, *token), judged.0)?;
                    None
                }
                Applied::Left { from, token } => {
                    self.left(turn, (from.0, *token))?;
                    None
                }
                Applied::Claimed { token } => {
                    self.claimed(turn, *token)?;
                    None
                }
                Applied::Unclaimed { token } => {
                    self.unclaimed(turn, *token)?;
                    None
                }
                Applied::GaveUp { token, why } => {
                    self.gave_up(turn, *token, *why)?;
                    None
                }
                Applied::Served { from, token } => Some(self.served(turn, (from.0, *token), judged.0)?),
                Applied::Direct { from, token } => Some(self.direct(turn, from.0, *token, judged.0)?),
                Applied::Part { from, tx, step } => Some(self.part(turn, from.0, *tx, *step, judged.0)?),
                Applied::Ended { tx, refused } => {
                    self.ended(turn, *tx, *refused)?;
                    None
                }
                Applied::Evicted { keys } => {
                    let keys: Vec<Named> = evicted.drain(..(*keys as usize).min(evicted.len())).collect();
                    self.evicted(turn, keys, judged.0)?;
                    None
                }
                Applied::NoRoom => {
                    self.lacks_room = true;
                    None
                }
                other => return Err(format!("nobody has told the witness of {other:?}")),
            };
            let Some(taking) = taking else { continue };
            if let (true, Some(op)) = (std::mem::take(&mut self.lacks_room), taking.op) {
                self.replay.lacked_room(op);
            }
            // What runs for a client that is gone is soon forgotten.
            if let Some(op) = taking.op
                && let Some(under_way) = self.under_way.get(&op)
            {
                ran.insert(op, under_way.footprint.clone());
            }
            if matches!(applied, Applied::Direct { .. } | Applied::Served { .. }) {
                self.done(taking)?;
            }
        }
        self.follows(turn, ran)?;
        self.clocks.rests(turn.engine, turn.unix_millis)?;
        self.replay.situations.drain(..).for_each(|situation| turn.sometimes.met(situation));
        Ok(())
    }

    /// A request, or all of a connection's that take effect as one, has run on the shard that owns its keys.
    fn direct(
        &mut self,
        turn: &mut Turn<'_>,
        from: u16,
        token: Token,
        judged: u64,
    ) -> Result<Taking, String> {
        if from == turn.core() && !self.awaited.contains_key(&(from, token)) {
            // A command that may wait, and is about to be taken.
            return self.here(turn, token.conn, false, judged);
        }
        let Some(taking) = self.awaited.remove(&(from, token)) else {
            return Err(format!(
                "core {} runs {token:?} of core {from}, which is not on its way",
                turn.core()
            ));
        };
        self.stands(turn.core(), taking, None);
        self.ran(turn, taking, judged, false)?;
        self.dialogues[taking.dialogue].remote.remove(&taking.request);
        self.tried((from, token))?;
        Ok(taking)
    }

    /// A shard has run a part of a transaction.
    fn part(
        &mut self,
        turn: &mut Turn<'_>,
        from: u16,
        tx: TxId,
        step: u8,
        judged: u64,
    ) -> Result<Taking, String> {
        let token = self.transactions.get(&(from, tx)).copied();
        let Some(taking) = token.and_then(|token| self.awaited.get(&(from, token))).copied() else {
            return Err(format!("core {} runs {tx:?} of core {from}, which is not on its way", turn.core()));
        };
        if let (Some(token), 0) = (token, step) {
            self.stands(turn.core(), taking, Some((from, token)));
        }
        // A later step of what is not followed judges as the first did, and moves no clock.
        if step == 0 || taking.op.is_some() {
            self.ran(turn, taking, judged, true)?;
        }
        Ok(taking)
    }

    /// A transaction is over.
    fn ended(&mut self, turn: &mut Turn<'_>, tx: TxId, refused: bool) -> Result<(), String> {
        let key = self.transactions.remove(&(turn.core(), tx)).map(|token| (turn.core(), token));
        if let Some(id) = key
            && self.tried(id)?
        {
            return Ok(());
        }
        let Some(taking) = key.and_then(|key| self.awaited.remove(&key)) else {
            return Err(format!("core {} ends {tx:?}, which has not begun", turn.core()));
        };
        let here = &mut self.dialogues[taking.dialogue];
        here.remote.remove(&taking.request);
        if let Some(op) = taking.op {
            here.session.executed(op, refused);
        }
        let under_way = taking.op.and_then(|op| self.under_way.get(&op));
        if let Some(under_way) = under_way.filter(|under_way| under_way.is_exec)
            && under_way.footprint.shards().len() > 1
            && !refused
        {
            turn.sometimes.met("an EXEC ran over several shards");
        }
        self.done(taking)
    }

    /// Nothing of a request will run any more.
    pub(super) fn done(&mut self, taking: Taking) -> Result<(), String> {
        let Some(op) = taking.op else { return Ok(()) };
        if let Some(under_way) = self.under_way.get_mut(&op) {
            under_way.done = true;
        }
        let here = &self.dialogues[taking.dialogue];
        let is_silent = here.requests[taking.request].kind == Kind::Silent;
        if here.over || is_silent { self.gone(op) } else { Ok(()) }
    }

    pub(super) fn gone(&mut self, op: Op) -> Result<(), String> {
        self.under_way.remove(&op);
        self.replay.gone(op)
    }

    /// The client has received bytes; the requests that they answer, with their replies, each of which is right as far as is known.
    ///
    /// # Errors
    /// When it is wrong.
    pub fn hears(
        &mut self,
        dialogue: usize,
        bytes: &[u8],
        moment: u64,
        sometimes: &mut Sometimes,
    ) -> Result<Vec<(usize, Reply)>, String> {
        let answered = self.dialogues[dialogue].received(bytes)?;
        for (number, reply) in &answered {
            self.dialogues[dialogue].remote.remove(number);
            let expect = &self.dialogues[dialogue].requests[*number].expect;
            if let (Expect::Unblocks { id, with_error }, Reply::Integer(count)) = (expect, reply) {
                if *count == 0 {
                    sometimes.met("CLIENT UNBLOCK found nobody waiting");
                }
                self.hears_unblocked(*id, *with_error, *count)?;
            }
            let Expect::Replayed(op) = self.dialogues[dialogue].requests[*number].expect else { continue };
            self.replay.heard(op, reply.clone(), moment)?;
            if let Some(under_way) = self.under_way.remove(&op) {
                let words = &self.dialogues[dialogue].requests[*number].words;
                under_way.judge(words, reply, sometimes)?;
            }
            self.compared += 1;
            if self.compared.is_multiple_of(LOOK_EVERY) {
                self.replay.has_an_order()?;
            }
        }
        self.replay.situations.drain(..).for_each(|situation| sometimes.met(situation));
        Ok(answered)
    }

    /// A client will hear nothing more.
    pub fn over(&mut self, dialogue: usize) -> Result<(), String> {
        self.dialogues[dialogue].over = true;
        self.scans.remove(&dialogue);
        let done = self
            .under_way
            .iter()
            .filter(|(_, under_way)| under_way.taking.dialogue == dialogue && under_way.done);
        let done: Vec<Op> = done.map(|(op, _)| *op).collect();
        done.into_iter().try_for_each(|op| self.gone(op))
    }

    /// The connection is gone from the engine.
    pub fn closed(&mut self, dialogue: usize, sometimes: &mut Sometimes) {
        let here = &self.dialogues[dialogue];
        if !here.remote.is_empty() {
            sometimes.met("a connection closed with replies in flight");
        }
        if here.session.is_in_multi() {
            sometimes.met("a client was gone between MULTI and EXEC");
        }
        let is_transaction = |under_way: &UnderWay| {
            under_way.taking.dialogue == dialogue && !under_way.done && under_way.footprint.shards().len() > 1
        };
        if self.under_way.values().any(is_transaction) {
            sometimes.met("a client died with a transaction under way");
        }
    }

    /// Whether the next request of a connection needs more than one shard, as far as its words tell.
    pub fn next_is_of_several(&self, dialogue: usize) -> bool {
        let here = &self.dialogues[dialogue];
        let Some(request) = here.requests.get(here.next()) else { return false };
        if here.wild || !request.kind.is_run() {
            return false;
        }
        let deed = here.deed(request.words.clone());
        let footprint = Footprint::of(&deed, here.session.database, self.databases, &[], &self.placement);
        footprint.shards().len() > 1
    }

    /// What is under way, for a report.
    pub fn under_way(&self) -> Vec<String> {
        let text = |taking: &Taking| spoken(&self.dialogues[taking.dialogue].requests[taking.request].words);
        self.awaited.values().map(text).collect()
    }
}
