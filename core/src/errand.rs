//! Errands: a transaction of this core asks another server, and goes on when that has answered or its time is up.
//!
//! What is said to a server leaves at once; it answers each request with one line. The driver carries bytes ([`Effect::Dial`]); here they are
//! read. It knows lines, and by their first byte whether they are errors. It does not know what was asked.

use std::collections::BTreeMap;

use crate::args::Args;
use crate::clients::release;
use crate::command::row::Plan;
use crate::command::table::CommandId;
use crate::dispatch::Verdict;
use crate::engine::Engine;
use crate::event::{CoreId, Effect, Effects};
use crate::limits;
use crate::mutant::planted;
use crate::protocol::chunks::Chunks;
use crate::protocol::reply::Failure;
use crate::session::{Hold, Session};
use crate::time::{Instant, Now};
use crate::transact::Draft;
use crate::txn::calls::Shape;
use crate::txn::coordinator::{Stage, Take};
use crate::txn::intent::{Fingerprint, Mode};
use crate::txn::work::{Finding, TxId};

/// A line of an answer may not be longer, bytes.
const LINE_MAX: usize = 64 << 10;

/// Names a connection that this core has made, until it has hung up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// What a driver tells of a connection that it was asked to make.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LinkNews {
    /// It is made.
    Connected,
    /// Everything that was to be said has left.
    Written,
    /// The other side has said something.
    Bytes(Vec<u8>),
    /// The other side does not want it.
    Refused,
    /// It could not be made, or is over.
    Ended,
}

/// What is to be said, and to whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Errand {
    /// A name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// So long nothing may happen, milliseconds.
    pub timeout_millis: u64,
    /// What is said.
    pub bytes: Vec<u8>,
    /// How many answers come first that are about none of the keys: without them nothing counts.
    pub heads: usize,
    /// The keys that an answer each is about, by their places among the arguments.
    pub keys: Vec<u32>,
}

/// Until when, and what was heard so far.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct UnderWay {
    tx: TxId,
    timeout_millis: u64,
    until: Instant,
    /// What fails if nothing more happens.
    doing: &'static str,
    heads: usize,
    keys: Vec<u32>,
    /// A line that is not whole.
    line: Vec<u8>,
    answers: usize,
    head_failed: bool,
    failure: Option<Failure>,
    acknowledged: Vec<u32>,
}

impl UnderWay {
    /// One answer.
    fn hear(&mut self, line: &[u8]) {
        let n = self.answers;
        self.answers += 1;
        if let Some(error) = line.strip_prefix(b"-") {
            self.head_failed |= n < self.heads;
            let error = String::from_utf8_lossy(error);
            self.failure.get_or_insert_with(|| {
                Failure::text(format!("ERR Target instance replied with error: {error}"))
            });
        } else if n >= self.heads && !self.head_failed {
            self.acknowledged.extend(self.keys.get(n - self.heads));
        }
    }

    fn is_over(&self) -> bool {
        self.answers >= self.heads + self.keys.len()
    }

    /// Takes what was said; false if it makes no sense.
    fn take(&mut self, bytes: &[u8]) -> bool {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if self.line.len() > LINE_MAX {
                return false;
            }
            if self.line.ends_with(b"\n") && !self.is_over() {
                let line = std::mem::take(&mut self.line);
                self.hear(line.trim_ascii_end());
            }
        }
        true
    }
}

/// All errands of a core.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Errands {
    made: u64,
    /// Transactions that are begun and may ask.
    pub(crate) begun: usize,
    under_way: BTreeMap<LinkId, UnderWay>,
}

impl Errands {
    /// True if no other may begin.
    pub(crate) fn is_full(&self) -> bool {
        self.begun >= limits::ERRANDS_MAX
    }

    /// When the first has waited too long.
    pub(crate) fn deadline(&self) -> Instant {
        self.under_way.values().map(|errand| errand.until).min().unwrap_or(Instant::NEVER)
    }
}

impl Engine {
    /// A command that asks another server between its steps: a transaction wherever its keys lie. There are only so many at one time.
    pub(crate) fn begin_abroad(
        &mut self,
        session: &mut Session,
        id: CommandId,
        plan: &Plan,
        args: Args<'_>,
        now: Now,
        out: &mut Effects,
    ) -> Verdict {
        if self.errands.is_full() {
            return Verdict::Held(Hold::Errand);
        }
        if let Err(failure) = (plan.check)(args, &self.node.settings) {
            self.refuse(session, Some(id), args, &failure, out);
            return Verdict::Done;
        }
        self.locate(id.row(), args);
        let circumstances = self.circumstances(session, now);
        let mut draft = Draft { is_abroad: true, ..Draft::default() };
        draft.calls.push(id, session.database, Shape::Whole, args.iter());
        let mut owners = Vec::new();
        for (key, owner) in self.keys.iter().zip(&self.owners) {
            let participant = draft.participant(CoreId(*owner));
            if !planted("keys that leave are not held") {
                draft.lock(participant, Fingerprint::new(session.database, key.hash), Mode::Exclusive);
            }
            owners.push((key.place, participant));
        }
        if owners.is_empty() {
            // Without keys there is nothing to look for, and its own core finds that.
            owners.push((0, draft.participant(self.node.core)));
        }
        draft.stages.push_back(Stage::Plan { call: 0, take: 0, owners });
        draft.takes.push(Take::Written(Chunks::default()));
        let verdict = self.begin(session, draft, circumstances, now, out);
        if verdict == Verdict::Done {
            self.node.statistics.ran(id, 0, false, false);
        }
        verdict
    }

    /// A transaction asks.
    pub(crate) fn ask_abroad(&mut self, tx: TxId, errand: Errand, now: Now, out: &mut Effects) {
        self.errands.made += 1;
        let link = LinkId(self.errands.made);
        let Errand { host, port, timeout_millis, bytes, heads, keys } = errand;
        let under_way = UnderWay {
            tx,
            timeout_millis,
            until: now.mono.after_millis(timeout_millis),
            doing: "connecting to the client",
            heads,
            keys,
            line: Vec::new(),
            answers: 0,
            head_failed: false,
            failure: None,
            acknowledged: Vec::new(),
        };
        self.errands.under_way.insert(link, under_way);
        out.push(Effect::Dial { link, host, port, bytes, timeout_millis });
    }

    /// Something has happened on a connection.
    pub(crate) fn heard_abroad(&mut self, link: LinkId, news: LinkNews, now: Now, out: &mut Effects) {
        let Some(errand) = self.errands.under_way.get_mut(&link) else { return };
        errand.until = now.mono.after_millis(errand.timeout_millis);
        let goes_on = match news {
            LinkNews::Connected => {
                errand.doing = "writing to target instance";
                true
            }
            LinkNews::Written => {
                errand.doing = "reading to target instance";
                true
            }
            LinkNews::Bytes(bytes) => {
                errand.doing = "reading to target instance";
                errand.take(&bytes)
            }
            // Redis notices when it writes.
            LinkNews::Refused => {
                errand.doing = "writing to target instance";
                false
            }
            LinkNews::Ended => false,
        };
        if !goes_on || errand.is_over() {
            self.end_errand(link, now, out);
        }
    }

    /// Those that have waited too long end.
    pub(crate) fn time_out_errands(&mut self, now: Now, out: &mut Effects) {
        let due = |(link, errand): (&LinkId, &UnderWay)| (errand.until <= now.mono).then_some(*link);
        let late: Vec<LinkId> = self.errands.under_way.iter().filter_map(due).collect();
        for link in late {
            self.end_errand(link, now, out);
        }
    }

    /// What was acknowledged counts, whatever came of the rest.
    fn end_errand(&mut self, link: LinkId, now: Now, out: &mut Effects) {
        let Some(errand) = self.errands.under_way.remove(&link) else { return };
        out.push(Effect::HangUp { link });
        let is_over = errand.is_over();
        let failure = errand.failure.or_else(|| {
            (!is_over).then(|| Failure::text(format!("IOERR error or timeout {}", errand.doing)))
        });
        let there = errand.acknowledged.into_iter().map(|place| (place, Finding::Flag(true))).collect();
        let findings = [Finding::Keys(there)].into_iter().chain(failure.map(Finding::Failed));
        self.asked_abroad(errand.tx, findings.collect(), now, out);
    }

    /// A transaction that may ask is over: another may begin.
    pub(crate) fn errand_is_over(&mut self, out: &mut Effects) {
        self.errands.begun -= 1;
        for session in self.sessions.iter_mut().filter(|session| session.hold == Some(Hold::Errand)) {
            release(session, out);
        }
    }
}
