//! Who has said what, and what became of it: the witness reads what the engines note of their doings, line by line, and knows for each line
//! whose request it was.
//!
//! Each request is taken once, in the order in which its connection said it, runs where its keys lie and nowhere twice, and is answered
//! after that. What requests mean to their connection alone is judged here ([`Session`]); what they do to the store goes to [`Replay`], which
//! finds the order and compares every reply. It does not know what commands answer.

use std::collections::BTreeMap;

use darter_core::Engine;
use darter_core::database::Key;
use darter_core::event::ConnId;
use darter_core::message::Token;
use darter_core::node::{Applied, Noted};
use darter_core::txn::work::TxId;
use darter_core::value::record::Record;

use super::expiry::{Clocks, Named};
use super::footprint::{Footprint, Placement, is_abroad, is_of_one_step};
use super::replay::{Deed, Part, Replay, TRIES_BITS};
use super::scan::{Scan, living};
use super::serial::{Access, Op, Said};
use super::session::Meaning;
use super::snapshots::Snapshots;
use super::under_way::{Taking, UnderWay};
use super::waits::Waits;
use crate::decoder::Reply;
use crate::dialogue::{Dialogue, Expect, Kind, fingerprint, spoken};
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
    clocks: Clocks,
    pub(super) placement: Placement,
    pub(super) databases: usize,
    pub(super) connections: BTreeMap<(u16, ConnId), usize>,
    /// Replies that are awaited.
    pub(super) awaited: BTreeMap<(u16, Token), Taking>,
    pub(super) transactions: BTreeMap<(u16, TxId), Token>,
    pub(super) under_way: BTreeMap<Op, UnderWay>,
    pub(super) nobodys: u64,
    /// What runs next is refused, as memory is short.
    lacks_room: bool,
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
    fn refusal(&self) -> Option<Reply> {
        let why = self.engine.node().pen.failure()?;
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

    /// A shard has removed keys because memory was short: nobody's doing, but at this place in the order.
    fn evicted(&mut self, turn: &mut Turn<'_>, keys: Vec<Named>, judged: u64) -> Result<(), String> {
        let core = turn.core();
        turn.sometimes.met("a key was evicted");
        if !self.under_way.is_empty() {
            turn.sometimes.met("a key was evicted while somebody's request was under way");
        }
        let said = self.nobodys();
        let op = self.replay.taken(said, 0, Deed::Evicted(keys.clone()), turn.moment);
        for (database, key) in &keys {
            let part = Part { op, shard: core, database: *database, unix_millis: judged };
            self.replay.ran(part, &[], std::slice::from_ref(key))?;
            self.waits.changed(core, *database, key, "another");
            self.clocks.forget(usize::from(core), &(*database, key.clone()));
            for scan in self.scans.values_mut() {
                scan.changed(turn.engine, &self.placement, *database, Some(key));
            }
        }
        self.replay.gone(op)
    }

    /// What these requests and the passing of time have done to keys, for those that ask the shards themselves.
    fn follows(&mut self, turn: &mut Turn<'_>, ran: BTreeMap<Op, Footprint>) -> Result<(), String> {
        // Before anything else: a key that was touched may be gone because its time had come.
        let gone = self.expire(turn, &ran)?;
        let placement = &self.placement;
        let mut changed = |database: usize, key: Option<&[u8]>| {
            self.scans.values_mut().for_each(|scan| scan.changed(turn.engine, placement, database, key));
        };
        gone.iter().for_each(|(database, key)| changed(*database, Some(key)));
        for footprint in ran.values() {
            for (database, touch) in footprint.on(turn.core()) {
                self.clocks.touched(turn.engine, database, touch);
                touch.writes.iter().for_each(|key| changed(database, Some(key)));
                if touch.all == Some(Access::Writes) {
                    changed(database, None);
                }
            }
        }
        Ok(())
    }

    /// The engine was given bytes of a connection, has consumed so many, of all so far `held` belong to a request that did not run, and its
    /// lines were read.
    ///
    /// # Errors
    /// When what was taken and what was consumed are not the same.
    pub fn consumed(
        &mut self,
        turn: &mut Turn<'_>,
        dialogue: usize,
        consumed: usize,
        held: usize,
    ) -> Result<(), String> {
        let here = &mut self.dialogues[dialogue];
        here.consumed += consumed as u64;
        let settled = here.consumed - held as u64;
        let next = here.next();
        if let Some(last) = here.taken.checked_sub(1)
            && here.requests[last].end > settled
            && here.requests[last].kind.is_run()
        {
            return Err(format!("{} is taken before its end", spoken(&here.requests[last].words)));
        }
        if here.ended_by.is_some() || here.shut || here.gave_up.is_some() {
            return Ok(());
        }
        let Some(request) = here.requests.get_mut(next) else { return Ok(()) };
        if request.kind == Kind::Malformed && settled > request.start {
            // What is no request may be found out before its end.
            request.expect = Expect::AnyError;
            request.resp3 = here.session.resp3;
            here.taken = next + 1;
            here.ended_by = Some(next);
            turn.sometimes.met("a client said nonsense");
        } else if request.kind.is_run() && settled >= request.end {
            return Err(format!("{} is consumed, but nobody has taken it", spoken(&request.words)));
        }
        Ok(())
    }

    /// The next request of a connection, which is about to be taken.
    pub(super) fn starts(&mut self, turn: &mut Turn<'_>, conn: ConnId) -> Result<Taking, String> {
        let Some(dialogue) = self.connections.get(&(turn.core(), conn)).copied() else {
            return Err(format!("core {} takes a request of {conn:?}, who is unknown", turn.core()));
        };
        let here = &mut self.dialogues[dialogue];
        if let Some(taking) = here.taking {
            return Ok(taking);
        }
        let number = here.next();
        let said = here.requests.get(number).filter(|request| request.kind.is_run());
        let Some(words) = said.map(|request| request.words.clone()) else {
            return Err(format!(
                "core {} takes a request that client {} has not said",
                turn.core(),
                here.client
            ));
        };
        if here.ended_by.is_some() {
            return Err(format!("{} is taken behind the end of its connection", spoken(&words)));
        }
        if !here.remote.is_empty() {
            turn.sometimes.met("a reply waited for a remote one");
        }
        let mut taking = Taking {
            dialogue,
            request: number,
            at: turn.unix_millis,
            op: None,
            is_scan: false,
            is_over: false,
        };
        here.taken = number + 1;
        let meaning = match here.wild {
            true => Meaning::Alone(Expect::Any),
            false if here.is_of_items => Meaning::Store(here.deed(words.clone())),
            false => here
                .session
                .next(&words, self.databases, turn.refusal())
                .map_err(|text| format!("{}: {text}", spoken(&words)))?,
        };
        let here = &mut self.dialogues[dialogue];
        let expect = match meaning {
            Meaning::Alone(expect) => {
                if matches!(&expect, Expect::Exactly(Reply::Error(line)) if line == super::session::ABORTED) {
                    turn.sometimes.met("an EXEC was refused after an error");
                }
                if matches!(&expect, Expect::Exactly(Reply::Error(line)) if line.starts_with("MISCONF")) {
                    turn.sometimes.met("who asked how the server is heard that it cannot write");
                }
                expect
            }
            Meaning::Ends(expect) => {
                here.ended_by = Some(number);
                turn.sometimes.met("a client quit");
                expect
            }
            Meaning::Scan => {
                taking.is_scan = true;
                Expect::Unknown
            }
            Meaning::Unblocks { id, with_error } => Expect::Unblocks { id, with_error },
            Meaning::Store(deed) => {
                let op = self.begins(turn, taking, deed);
                taking.op = Some(op);
                Expect::Replayed(op)
            }
        };
        let here = &mut self.dialogues[dialogue];
        here.requests[number].expect = expect;
        here.requests[number].resp3 = here.session.resp3;
        if here.session.resp3 {
            turn.sometimes.met("RESP3 was spoken");
        }
        if here.session.database == 1 {
            turn.sometimes.met("a second database was used");
        }
        here.taking = Some(taking);
        self.runs += 1;
        Ok(taking)
    }

    /// A request to the store is taken.
    fn begins(&mut self, turn: &mut Turn<'_>, mut taking: Taking, deed: Deed) -> Op {
        let Taking { dialogue, request, .. } = taking;
        let session = &self.dialogues[dialogue].session;
        let watched = if matches!(deed, Deed::Exec { .. }) { session.watched() } else { Vec::new() };
        let database = session.database;
        let footprint = Footprint::of(&deed, database, self.databases, &watched, &self.placement);
        let is_one_step = match &deed {
            Deed::Command(words) if is_abroad(words) => false,
            Deed::Command(words) => is_of_one_step(words) || footprint.shards().len() == 1,
            Deed::Watch(_) | Deed::Item(_) => true,
            Deed::Exec { .. } | Deed::Look(_) | Deed::Expired(_) | Deed::Evicted(_) | Deed::Cut(_) => false,
        };
        let said = Said { connection: dialogue as u64, number: number_of(request, 0) };
        let op = self.replay.taken(said, database, deed.clone(), turn.moment);
        taking.op = Some(op);
        let is_exec = matches!(deed, Deed::Exec { .. });
        let is_several = footprint.shards().len() > 1;
        let beside = |name: &[u8]| {
            let is = |other: &UnderWay| {
                let Taking { dialogue, request, .. } = other.taking;
                let words = &self.dialogues[dialogue].requests[request].words;
                !other.done && other.footprint.shards().len() > 1 && words[0].eq_ignore_ascii_case(name)
            };
            self.under_way.values().any(is)
        };
        match &deed {
            Deed::Command(words) if words[0].eq_ignore_ascii_case(b"dbsize") && beside(b"mset") => {
                turn.sometimes.met("DBSIZE beside an MSET");
            }
            Deed::Exec { .. } if is_several && beside(b"exec") => {
                turn.sometimes.met("two EXEC over several shards at once");
            }
            _ => {}
        }
        let session = &mut self.dialogues[dialogue].session;
        match deed {
            Deed::Watch(keys) => session.watches(op, keys),
            Deed::Exec { commands, .. } => session.executes(op, &commands, self.databases),
            Deed::Command(_)
            | Deed::Item(_)
            | Deed::Look(_)
            | Deed::Expired(_)
            | Deed::Evicted(_)
            | Deed::Cut(_) => {}
        }
        let under_way = UnderWay { is_exec, ..UnderWay::new(taking, footprint, is_one_step) };
        self.under_way.insert(op, under_way);
        op
    }

    /// The next request of a connection has run on its own shard.
    fn here(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        refused: bool,
        judged: u64,
    ) -> Result<Taking, String> {
        let taking = self.starts(turn, conn)?;
        if let Some(about) = &mut self.dialogues[taking.dialogue].taking {
            about.is_over = true;
        }
        self.stands(turn.core(), taking, None);
        self.ran(turn, taking, judged, false)?;
        if let Some(op) = taking.op {
            self.dialogues[taking.dialogue].session.executed(op, refused);
        }
        Ok(taking)
    }

    /// The next request of a connection was taken.
    fn taken(&mut self, turn: &mut Turn<'_>, conn: ConnId, sequence: Option<u64>) -> Result<(), String> {
        let taking = self.starts(turn, conn)?;
        let here = &mut self.dialogues[taking.dialogue];
        here.taking = None;
        match sequence {
            // What has run already waits for earlier replies only, or for what all cores say.
            Some(sequence) if !taking.is_over => {
                let id = (turn.core(), Token { conn, sequence });
                here.remote.insert(taking.request);
                self.awaited.insert(id, taking);
                self.may_wait(turn, id, taking);
            }
            _ if !taking.is_over && self.is_refused_at_once(turn, taking) => {}
            _ => self.done(taking)?,
        }
        Ok(())
    }

    /// While the log cannot be written a change is refused before it is looked at, though the replies before it may have yet to come.
    fn is_refused_at_once(&mut self, turn: &mut Turn<'_>, taking: Taking) -> bool {
        let Some(op) = taking.op.filter(|_| turn.engine.node().pen.failure().is_some()) else { return false };
        if self.under_way.get(&op).is_none_or(|under_way| !under_way.ran.is_empty()) {
            return false;
        }
        turn.sometimes.met("a change was refused as it could not be written down");
        self.dialogues[taking.dialogue].requests[taking.request].expect = Expect::AnyError;
        self.gone(op).is_ok()
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

    /// Something of a request has run.
    pub(super) fn ran(
        &mut self,
        turn: &mut Turn<'_>,
        taking: Taking,
        judged: u64,
        is_step: bool,
    ) -> Result<(), String> {
        let (core, shard) = (turn.core(), usize::from(turn.core()));
        if taking.is_scan {
            let here = &mut self.dialogues[taking.dialogue];
            let keys = living(turn.engine, here.session.database);
            here.requests[taking.request].expect =
                Expect::ScanOf(keys.map(|(key, _)| fingerprint(key)).collect());
        }
        let Some(op) = taking.op else {
            if is_step {
                self.clocks.steps(shard, judged);
                return Ok(());
            }
            return self.clocks.ran(shard, judged, taking.at, turn.unix_millis, false);
        };
        let said = &self.dialogues[taking.dialogue].requests[taking.request].words;
        let cause = cause(&said[0]);
        let under_way = self.under_way.get_mut(&op).ok_or("something runs that is answered or gone")?;
        if under_way.instants.insert(core, judged).is_some_and(|before| before != judged) {
            return Err(format!("core {core} judges by {judged} in a later step of a transaction"));
        }
        let (mut looks, mut all) = (false, false);
        for (database, touch) in under_way.footprint.on(core) {
            looks |= !touch.reads.is_empty() || !touch.writes.is_empty();
            all |= touch.all.is_some();
            let part = Part { op, shard: core, database, unix_millis: judged };
            if let Some(access) = touch.all {
                self.replay.ran_on_all(part, access)?;
                self.waits.all_changed(core, database, cause);
            }
            for key in &touch.writes {
                let is_text = |record: &Record| record.string().is_some();
                if self.waits.changed(core, database, key, cause)
                    && is_so(turn.engine, database, key, is_text)
                {
                    turn.sometimes.met("a key that somebody waited for became a string");
                }
            }
            self.replay.ran(part, &touch.reads, &touch.writes)?;
        }
        under_way.ran.push(core);
        if judged > taking.at {
            turn.sometimes.met("a shard judged by a later instant than the request's");
        }
        let ran = match () {
            _ if under_way.ran.iter().filter(|other| **other == core).count() > 1 => Ok(()),
            _ => {
                self.clocks.ran(shard, judged, taking.at, turn.unix_millis, looks && !all && !self.lacks_room)
            }
        };
        let words = &self.dialogues[taking.dialogue].requests[taking.request].words;
        ran.map_err(|text| format!("{}: {text}", spoken(words)))
    }

    /// Nothing of a request will run any more.
    fn done(&mut self, taking: Taking) -> Result<(), String> {
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

    /// Keys that the event has removed because their time had come: each belongs to who is under way with it, or is nobody's doing.
    fn expire(&mut self, turn: &Turn<'_>, ran: &BTreeMap<Op, Footprint>) -> Result<Vec<Named>, String> {
        let core = turn.core();
        let touched = ran.values().flat_map(|footprint| footprint.keys(core));
        let gone = self.clocks.gone(turn.engine, touched);
        let mut left = Vec::new();
        for (database, key) in &gone {
            let mut under_way = self.under_way.iter();
            let owner = under_way.find(|(_, under_way)| {
                !under_way.done
                    && under_way.ran.contains(&core)
                    && under_way.footprint.touches(core, *database, key)
            });
            match owner {
                Some((op, _)) => self.replay.expired(*op, *database, key.clone()),
                None => left.push((*database, key.clone())),
            }
        }
        if !left.is_empty() {
            let said = self.nobodys();
            let op = self.replay.taken(said, 0, Deed::Expired(left.clone()), turn.moment);
            let unix_millis = turn.engine.node().shard.judged().0;
            for (database, key) in &left {
                let part = Part { op, shard: core, database: *database, unix_millis };
                self.replay.ran(part, &[], std::slice::from_ref(key))?;
            }
            self.replay.gone(op)?;
        }
        Ok(gone)
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

/// The names of commands that may serve who waits.
const CAUSES: [&str; 11] = [
    "exec",
    "rename",
    "renamenx",
    "copy",
    "move",
    "swapdb",
    "lmove",
    "rpoplpush",
    "blmove",
    "brpoplpush",
    "rpush",
];

/// A command's name, if it is one that is told apart.
fn cause(name: &[u8]) -> &'static str {
    CAUSES.into_iter().find(|cause| name.eq_ignore_ascii_case(cause.as_bytes())).unwrap_or("another")
}

/// Whether a record lies under a key that is like this.
fn is_so(engine: &Engine, database: usize, key: &[u8], like: impl Fn(&Record) -> bool) -> bool {
    let shard = &engine.node().shard;
    let key = Key { bytes: key, hash: shard.hasher().hash(key) };
    shard.databases()[database].get(key).is_some_and(like)
}
