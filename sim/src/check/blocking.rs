//! Commands that wait, as the witness sees them: each try is a request of its own in the order of all, one that finds nothing as well; what
//! serves is one more. In between nothing of the command is under way.
//!
//! So the order says that there was nothing when a try found nothing, and what there was when somebody was served. That a wait ends once, and
//! not before its time, that nobody is served before who stands ahead, and that nobody leaves a line while it waits, is judged here.

use darter_core::Engine;
use darter_core::command::Group;
use darter_core::database::Key;
use darter_core::message::Token;
use darter_core::node::Unserved;
use darter_core::time::UnixMillis;
use darter_core::txn::work::TxId;
use darter_core::value::container::Container;

use super::footprint::Footprint;
use super::replay::Deed;
use super::serial::{Op, Said};
use super::under_way::{Taking, UnderWay};
use super::waits::{State, WaitId, Waiting};
use super::witness::{Turn, Witness, number_of};
use crate::decoder::Reply;
use crate::dialogue::{Expect, spoken};
use crate::reference::waiting::{self, Kind};

/// The error of a wait that CLIENT UNBLOCK has ended so.
const UNBLOCKED: &str = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
const NANOS: u64 = 1_000_000;

impl Witness {
    /// A request is taken that may have to wait, under this name.
    pub(super) fn may_wait(&mut self, turn: &Turn<'_>, id: WaitId, taking: Taking) {
        let Some(op) = taking.op.filter(|_| self.waits.get(id).is_none()) else { return };
        let here = &self.dialogues[taking.dialogue];
        let words = here.requests[taking.request].words.clone();
        let Some(wait) = waiting::of(&words) else { return };
        let Some(under_way) = self.under_way.get(&op).filter(|under_way| !under_way.is_exec) else { return };
        let waiting = Waiting {
            taking,
            database: here.session.database,
            keys: wait.keys.iter().map(|place| words[*place].clone()).collect(),
            shards: under_way.footprint.shards(),
            deadline: (wait.millis > 0).then(|| turn.moment + wait.millis * NANOS),
            state: State::Tried,
            op: Some(op),
            in_vain: false,
            has_waited: false,
            tries: 0,
            lines: Default::default(),
            words,
        };
        self.waits.begins(id, waiting);
    }

    /// A transaction begins; it may be one more try.
    pub(super) fn began(&mut self, turn: &mut Turn<'_>, tx: TxId, token: Token) -> Result<(), String> {
        let id = (turn.core(), token);
        self.transactions.insert((turn.core(), tx), token);
        let Some(waiting) = self.waits.get(id) else { return Ok(()) };
        if waiting.state != State::Claimed {
            return Err(format!("{} is tried again while it is {:?}", spoken(&waiting.words), waiting.state));
        }
        let words = waiting.words.clone();
        self.tries(turn, id, words);
        Ok(())
    }

    /// Something of a wait begins: a try, or its being served.
    fn tries(&mut self, turn: &Turn<'_>, id: WaitId, words: Vec<Vec<u8>>) -> Taking {
        let waiting = self.waits.get_mut(id).expect("who is tried waits");
        waiting.tries += 1;
        (waiting.state, waiting.in_vain) = (State::Tried, false);
        let (request, database) = (waiting.taking.request, waiting.database);
        let mut taking = Taking { at: turn.unix_millis, ..waiting.taking };
        let said = Said { connection: taking.dialogue as u64, number: number_of(request, waiting.tries) };
        let deed = Deed::Command(words);
        let footprint = Footprint::of(&deed, database, self.databases, &[], &self.placement);
        let is_of_one_step = footprint.shards().len() == 1;
        let op = self.replay.taken(said, database, deed, turn.moment);
        taking.op = Some(op);
        self.under_way.insert(op, UnderWay::new(taking, footprint, is_of_one_step));
        self.dialogues[taking.dialogue].requests[request].expect = Expect::Replayed(op);
        self.has_now(id, Some(taking));
        taking
    }

    /// What is under way of a wait.
    fn has_now(&mut self, id: WaitId, taking: Option<Taking>) {
        let Some(waiting) = self.waits.get_mut(id) else { return };
        let taking = taking.unwrap_or(Taking { op: None, ..waiting.taking });
        (waiting.taking, waiting.op) = (taking, taking.op);
        if let Some(awaited) = self.awaited.get_mut(&id) {
            *awaited = taking;
        }
        let about = &mut self.dialogues[taking.dialogue].taking;
        if about.is_some_and(|about| about.request == taking.request) {
            *about = Some(taking);
        }
    }

    /// How a waiter, or who may become one, stands on this shard when it is served.
    pub(super) fn stands(&mut self, core: u16, taking: Taking, id: Option<WaitId>) {
        let Some(op) = taking.op else { return };
        let here = &self.dialogues[taking.dialogue];
        let words = &here.requests[taking.request].words;
        let Some(wait) = waiting::of(words) else { return };
        let keys: Vec<Vec<u8>> = wait.keys.iter().map(|place| words[*place].clone()).collect();
        let waiting = id.and_then(|id| self.waits.get(id));
        let database = waiting.map_or(here.session.database, |waiting| waiting.database);
        let has_waited = waiting.is_some_and(|waiting| waiting.has_waited);
        self.replay.stands(
            op,
            has_waited,
            self.waits.standing(core, database, &keys, waiting::kind(words), id),
        );
    }

    /// A shard has found nothing for somebody, who is in line now.
    pub(super) fn in_line(&mut self, turn: &mut Turn<'_>, id: WaitId, judged: u64) -> Result<(), String> {
        let core = turn.core();
        if self.waits.get(id).is_none() && id.0 == core {
            let taking = self.starts(turn, id.1.conn)?;
            self.may_wait(turn, id, taking);
        }
        let Some(waiting) = self.waits.get(id).cloned() else {
            return Err(format!("{id:?} is in line on core {core}, but has not asked for anything"));
        };
        let said = spoken(&waiting.words);
        if waiting.state != State::Tried {
            return Err(format!("{said} gets in line on core {core} while it is {:?}", waiting.state));
        }
        let home = |key: &Vec<u8>| self.placement.home(key);
        let keys: Vec<Vec<u8>> = waiting.keys.iter().filter(|key| home(key) == core).cloned().collect();
        if keys.is_empty() {
            return Err(format!("{said} is in line on core {core}, where none of its keys lie"));
        }
        match waiting.op {
            Some(op) if waiting.shards.len() == 1 => {
                self.stands(core, waiting.taking, Some(id));
                self.ran(turn, waiting.taking, judged, false)?;
                self.replay.found_nothing(op);
                self.gone(op)?;
                self.has_now(id, None);
            }
            Some(op) => self.replay.found_nothing(op),
            None => return Err(format!("{said} is in line on core {core}, and nobody has looked")),
        }
        self.waits.gets_in_line(core, id, keys);
        let waiting = self.waits.get_mut(id).expect("it waits");
        if waiting.lines.len() > 1 {
            turn.sometimes.met("one waited for keys of several shards");
        }
        if waiting.tries > 0 {
            turn.sometimes.met("who was woken found nothing");
        }
        if waiting.shards.len() == 1 {
            waiting.state = State::InLine;
        }
        Ok(())
    }

    /// A transaction of somebody who may wait is over; true if it has found nothing.
    pub(super) fn tried(&mut self, id: WaitId) -> Result<bool, String> {
        let Some(waiting) = self.waits.get_mut(id) else { return Ok(false) };
        if !waiting.in_vain {
            waiting.state = State::Over;
            return Ok(false);
        }
        if waiting.state == State::Tried {
            waiting.state = State::InLine;
        }
        let op = waiting.op;
        self.has_now(id, None);
        op.map_or(Ok(()), |op| self.gone(op))?;
        Ok(true)
    }

    /// A client's core has decided that it is served.
    pub(super) fn claimed(&mut self, turn: &Turn<'_>, token: Token) -> Result<(), String> {
        match self.waits.get_mut((turn.core(), token)) {
            Some(waiting) if waiting.state == State::InLine => {
                waiting.state = State::Claimed;
                Ok(())
            }
            other => Err(format!("core {} serves {token:?}, who is {other:?}", turn.core())),
        }
    }

    /// A shard that was to serve somebody has found nothing any more.
    pub(super) fn unclaimed(&mut self, turn: &mut Turn<'_>, token: Token) -> Result<(), String> {
        match self.waits.get_mut((turn.core(), token)) {
            Some(waiting) if waiting.state == State::Claimed => {
                waiting.state = State::InLine;
                turn.sometimes.met("what somebody was woken for was gone");
                Ok(())
            }
            other => Err(format!("core {} lets {token:?} wait on, who is {other:?}", turn.core())),
        }
    }

    /// A shard has served somebody.
    pub(super) fn served(&mut self, turn: &mut Turn<'_>, id: WaitId, judged: u64) -> Result<Taking, String> {
        let core = turn.core();
        let waiting = self.waits.get(id).filter(|waiting| waiting.state == State::Claimed);
        let Some(waiting) = waiting else {
            return Err(format!("core {core} serves {id:?}, who is {:?}", self.waits.get(id)));
        };
        let words = waiting::only(&waiting.words, |key| self.placement.home(key) == core);
        let taking = self.tries(turn, id, words);
        self.stands(core, taking, Some(id));
        self.ran(turn, taking, judged, false)?;
        self.awaited.remove(&id);
        self.dialogues[taking.dialogue].remote.remove(&taking.request);
        self.waits.get_mut(id).expect("it waits").state = State::Over;
        if !self.waits.leaves(core, id, true) {
            return Err(format!("core {core} serves {id:?}, who is not in line there"));
        }
        Ok(taking)
    }

    /// A client's core has decided that it waits no more and is not served.
    pub(super) fn gave_up(&mut self, turn: &mut Turn<'_>, token: Token, why: Unserved) -> Result<(), String> {
        let id = (turn.core(), token);
        let Some(waiting) = self.waits.get_mut(id) else {
            return Err(format!("core {} ends the wait of {token:?}, who does not wait", id.0));
        };
        let said = spoken(&waiting.words);
        let is_in_line = waiting.state == State::InLine || waiting.state == State::Tried && waiting.in_vain;
        if waiting.state == State::Over || !is_in_line && why != Unserved::Gone {
            return Err(format!("{said} ends by {why:?} while it is {:?}", waiting.state));
        }
        let (taking, op, deadline) =
            (waiting.taking, waiting.op.filter(|_| !waiting.in_vain), waiting.deadline);
        waiting.state = State::Over;
        self.awaited.remove(&id);
        let here = &mut self.dialogues[taking.dialogue];
        here.remote.remove(&taking.request);
        let is_followed = here.next() < here.requests.len();
        let expect = &mut here.requests[taking.request].expect;
        match why {
            Unserved::TimedOut if deadline.is_none_or(|deadline| turn.moment < deadline) => {
                return Err(format!("{said} is over at {}, before its time, {deadline:?}", turn.moment));
            }
            Unserved::TimedOut => {
                *expect = Expect::Exactly(Reply::Null);
                turn.sometimes.met("somebody waited until its time was up");
            }
            Unserved::Unblocked { with_error: false } => {
                *expect = Expect::Exactly(Reply::Null);
                turn.sometimes.met("CLIENT UNBLOCK ended a wait as if its time were up");
            }
            Unserved::Unblocked { with_error: true } => {
                *expect = Expect::Exactly(Reply::error(UNBLOCKED));
                turn.sometimes.met("CLIENT UNBLOCK ended a wait with an error");
            }
            Unserved::Gone => {
                *expect = Expect::Unknown;
                here.gave_up = Some(taking.request);
                turn.sometimes.met("a client was gone while it waited");
            }
        }
        if let Unserved::Unblocked { with_error } = why {
            *self.unblocked.entry((here.id, with_error)).or_default() += 1;
        }
        if is_followed && why != Unserved::Gone {
            turn.sometimes.met("requests stood behind one that waited");
        }
        op.map_or(Ok(()), |op: Op| self.gone(op))
    }

    /// Somebody is in line on this shard no more, and was not served there.
    pub(super) fn left(&mut self, turn: &Turn<'_>, id: WaitId) -> Result<(), String> {
        // Another shard may serve it. A transaction that has found something ends after that.
        let may_leave = |waiting: &&Waiting| {
            let is_decided = matches!(waiting.state, State::Over | State::Claimed);
            is_decided || waiting.state == State::Tried && !waiting.in_vain
        };
        if self.waits.get(id).filter(may_leave).is_none() {
            return Err(format!("core {} takes {:?} out of its line", turn.core(), self.waits.get(id)));
        }
        match self.waits.leaves(turn.core(), id, self.is_served(id)) {
            true => Ok(()),
            false => Err(format!("{id:?} leaves a line on core {} where it does not stand", turn.core())),
        }
    }

    fn is_served(&self, id: WaitId) -> bool {
        self.waits.get(id).is_some_and(|waiting| waiting.op.is_some() && !waiting.in_vain)
    }

    /// A client hears what CLIENT UNBLOCK has done to the client of this name.
    pub(super) fn hears_unblocked(&mut self, id: u64, with_error: bool, count: i64) -> Result<(), String> {
        let ended = self.unblocked.entry((id, with_error)).or_default();
        *ended -= count;
        match *ended < 0 {
            true => Err(format!("CLIENT UNBLOCK {id} says that it has ended a wait, but has not")),
            false => Ok(()),
        }
    }

    /// At the end of the world: who has ended a wait has been told so, unless nobody was there to hear it.
    ///
    /// # Errors
    /// When somebody was told otherwise.
    pub fn unblocks_were_told(&self) -> Result<(), String> {
        for (&(id, with_error), &left) in self.unblocked.iter().filter(|(_, left)| **left > 0) {
            let unheard = self.dialogues.iter().flat_map(|here| &here.requests[here.answered..]);
            let about = Expect::Unblocks { id, with_error };
            if (unheard.filter(|request| request.expect == about).count() as i64) < left {
                return Err(format!("CLIENT UNBLOCK {id} has ended a wait, but says that it has not"));
            }
        }
        Ok(())
    }

    /// What a connection waits for.
    pub fn waiting(&self, dialogue: usize) -> Option<&Waiting> {
        self.waits.latest_of(dialogue).filter(|waiting| waiting.state == State::InLine)
    }

    /// True if a connection waits for ever, and nothing else of it is under way.
    pub fn waits_for_ever(&self, dialogue: usize) -> bool {
        let here = &self.dialogues[dialogue];
        self.waits.latest_of(dialogue).is_some_and(|waiting| {
            let is_next = here.first_unanswered() == Some(waiting.taking.request);
            waiting.state == State::InLine && waiting.deadline.is_none() && is_next
        })
    }

    /// A turn of a core that began at this moment has ended: whose time had come then waits no more.
    ///
    /// # Errors
    /// When somebody still does.
    pub fn nobody_is_late(&self, engine: &Engine, moment: u64) -> Result<(), String> {
        let core = engine.node().core.0;
        let waits = |session: &&darter_core::session::Session| {
            session.blocked.as_ref().is_some_and(|blocked| blocked.may_end())
        };
        for session in engine.sessions().iter().filter(waits) {
            let dialogue = self.connections.get(&(core, session.conn));
            let waiting = dialogue.and_then(|dialogue| self.waits.latest_of(*dialogue));
            if let Some(waiting) = waiting.filter(|waiting| waiting.deadline.is_some_and(|at| at <= moment)) {
                return Err(format!("{} waits at {moment}, later than it may", spoken(&waiting.words)));
            }
        }
        Ok(())
    }

    /// Nothing is under way: those in line wait for ever, for what is not there, and the shards know of nobody else. A key that was due at an
    /// instant by which its shard has judged may have been gone when they came, and live again since the clock was set back: nobody is told of that.
    ///
    /// # Errors
    /// When it is otherwise.
    pub fn nobody_waits_in_vain<'a>(
        &self,
        engines: impl Iterator<Item = &'a Engine>,
        now: UnixMillis,
    ) -> Result<(), String> {
        self.waits.at_rest(|key| self.placement.home(key))?;
        for engine in engines {
            let (core, shard) = (engine.node().core.0, &engine.node().shard);
            let latest = now.max(UnixMillis(self.clocks.latest(usize::from(core))));
            let (known, seen) = (shard.waiters().len(), self.waits.in_line(core));
            if known != seen {
                return Err(format!("core {core} has {known} in line, but {seen} wait"));
            }
            for (_, database, key, kind) in self.waits.waited_for().filter(|(on, ..)| *on == core) {
                let record =
                    shard.databases()[*database].get(Key { bytes: key, hash: shard.hasher().hash(key) });
                if record.is_some_and(|record| record.is_due(latest)) {
                    continue;
                }
                let waited = (*database as u16, key.clone(), Group::Stream as u8);
                if *kind == Kind::Stream && engine.node().could_serve(&waited, now) {
                    let name = String::from_utf8_lossy(key);
                    return Err(format!(
                        "somebody waits for news of {name} of database {database}, which has some"
                    ));
                }
                let is_there = match record.and_then(|record| record.container()) {
                    Some(Container::List(_)) => *kind == Kind::List,
                    Some(Container::SortedSet(_)) => *kind == Kind::SortedSet,
                    Some(Container::Hash(_) | Container::Set(_) | Container::Stream(_)) | None => false,
                };
                if is_there {
                    let name = String::from_utf8_lossy(key);
                    return Err(format!(
                        "somebody waits for {name} of database {database}, where a {kind:?} lies"
                    ));
                }
            }
        }
        Ok(())
    }
}
