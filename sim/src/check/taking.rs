//! A request is taken: each in its turn, after all its bytes and before anything behind it, with what it means to its connection.
//!
//! It knows what a connection has said, and what of that was consumed. It does not know what becomes of a request on the shards.

use darter_core::event::ConnId;
use darter_core::message::Token;

use super::footprint::{Footprint, is_abroad, is_of_one_step};
use super::replay::Deed;
use super::serial::{Op, Said};
use super::session::{ABORTED, Meaning};
use super::under_way::{Taking, UnderWay};
use super::witness::{Turn, Witness, number_of};
use crate::decoder::Reply;
use crate::dialogue::{Expect, Kind, spoken};

impl Witness {
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
                if matches!(&expect, Expect::Exactly(Reply::Error(line)) if line == ABORTED) {
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
    pub(super) fn here(
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
    pub(super) fn taken(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        sequence: Option<u64>,
    ) -> Result<(), String> {
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
        let Some(op) = taking.op.filter(|_| turn.engine.node().log_failure().is_some()) else { return false };
        if self.under_way.get(&op).is_none_or(|under_way| !under_way.ran.is_empty()) {
            return false;
        }
        turn.sometimes.met("a change was refused as it could not be written down");
        self.dialogues[taking.dialogue].requests[taking.request].expect = Expect::AnyError;
        self.gone(op).is_ok()
    }
}
