//! What shards are asked to do for transactions, and what they answer. Data: it can be printed, compared, hashed and replayed.

use smallvec::SmallVec;

use super::calls::Calls;
use super::intent::Fingerprint;
use super::pieces::Pieces;
use crate::args::Packed;
use crate::command::CommandId;
use crate::event::CoreId;
use crate::message::{Request, Token};
use crate::part::Part;
use crate::protocol::reply::{Failure, Resp};
use crate::session::ClientId;
use crate::slowlog::SlowCall;
use crate::snapshot::load::LoadReport;
use crate::snapshot::status::OfKeeper;
use crate::value::detached::Detached;

/// Names a transaction on the core that coordinates it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxId {
    /// Its place.
    pub index: u32,
    /// How often the place was used before.
    pub generation: u32,
}

/// For whom something runs, and when: what all commands of a body have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Circumstances {
    /// The client.
    pub client: ClientId,
    /// The protocol of its replies.
    pub resp: Resp,
    /// It asked not to count as a use of keys (CLIENT NO-TOUCH).
    pub no_touch: bool,
    /// The coordinator's wall clock, microseconds: every shard judges expiry by the same instant.
    pub unix_micros: u64,
    /// Of a question to all cores, the clock of its [`crate::message::Stamp`].
    pub clock: u64,
    /// The client's round of WATCH.
    pub round: u64,
}

/// Commands that take effect as one on a shard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bundle {
    /// For whom.
    pub circumstances: Circumstances,
    /// Only if nothing has changed of what the client watches here: these keys. A WATCH that still waits here is among it.
    pub watched: Vec<Fingerprint>,
    /// The reply is an array of the commands' replies (EXEC).
    pub is_array: bool,
    /// The commands.
    pub calls: Calls,
}

/// What one shard is told to do in a step of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Order {
    /// Which step, from 0.
    pub step: u8,
    /// To the owner of the key at this place among the arguments; `None`: to every shard that owns one.
    pub key: Option<u32>,
    /// What it needs for it.
    pub given: Finding,
}

/// What a shard has found in a step of a plan, or is given for one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Finding {
    /// Nothing.
    #[default]
    Nothing,
    /// Not done.
    Failed(Failure),
    /// Yes or no.
    Flag(bool),
    /// A number.
    Count(u64),
    /// Bytes, such as an element.
    Bytes(Vec<u8>),
    /// Several, such as elements.
    List(Vec<Finding>),
    /// Of some of the keys, by their places among the arguments.
    Keys(Vec<(u32, Finding)>),
    /// A value on its way to another key, with its deadline in Unix milliseconds.
    Value(Box<(Detached, Option<u64>)>),
}

/// One step of a plan on one shard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PlanStep {
    /// For whom.
    pub circumstances: Circumstances,
    /// Which row of the table.
    pub command: CommandId,
    /// In which database.
    pub database: u16,
    /// All arguments, the name first.
    pub args: Packed,
    /// What to do.
    pub orders: SmallVec<[Order; 1]>,
    /// It waits if there is nothing to be had: the reply that it owes. It does not see what others wait for who came before it.
    pub waits: Option<Token>,
}

/// What a shard does for a transaction when it is granted, or in a later step.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Body {
    /// Nothing but hold what is locked.
    Lock,
    /// Tells whether what the client watches here is untouched, and ends its round.
    Check(Circumstances),
    /// Gets in line for those of a request's keys that lie here.
    Wait(Box<(Token, Request)>),
    /// Runs commands.
    Calls(Box<Bundle>),
    /// Runs a step of a plan.
    Plan(Box<PlanStep>),
    /// What there is now belongs to a snapshot.
    Cut {
        /// The server stops after it: nothing may change from now on.
        is_final: bool,
        /// What comes after it is written down in the logs of this generation.
        page: Option<u32>,
    },
    /// Marks this moment in the log.
    Mark {
        /// Which mark.
        number: u64,
        /// Somebody waits until it is durable.
        is_wanted: bool,
    },
    /// A word of the keeper, while it reads the log back. Answered by a report.
    Keeper(Box<OfKeeper>),
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ran {
    /// Replies of commands.
    pub pieces: Pieces,
    /// What the client watches was changed: nothing was done.
    pub touched: bool,
    /// The generation of the log in which something of it was written down; 0: nothing was.
    pub logged: u32,
    /// Everything else, which most transactions do not have: answers that travel are small.
    pub more: Option<Box<More>>,
}

/// See [`Ran::more`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct More {
    /// This core's parts of answers that every core gives.
    pub parts: Vec<Part>,
    /// Of a plan's orders, one each.
    pub findings: Vec<Finding>,
    /// Calls that took longer than `slowlog-log-slower-than`.
    pub slow: Vec<SlowCall>,
    /// What became of a word of the keeper.
    pub report: Option<LoadReport>,
}

impl Ran {
    /// Of a word of the keeper.
    pub fn reported(report: Option<LoadReport>) -> Ran {
        Ran { more: Some(Box::new(More { report, ..More::default() })), ..Ran::default() }
    }

    /// Of a plan's orders.
    pub fn found(findings: Vec<Finding>) -> Ran {
        Ran { more: Some(Box::new(More { findings, ..More::default() })), ..Ran::default() }
    }

    /// What most do not have.
    pub fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }
}

/// What waits in a shard's queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Work {
    /// A command of a client of core `from`.
    Direct {
        /// Who asked.
        from: CoreId,
        /// Comes back.
        token: Token,
        /// What to run.
        request: Request,
    },
    /// Commands of a client of core `from` that take effect as one, and whose keys all lie here.
    Batch {
        /// Who asked.
        from: CoreId,
        /// Comes back.
        token: Token,
        /// What to run.
        bundle: Box<Bundle>,
    },
    /// This shard's part of a transaction that core `from` coordinates.
    Part {
        /// Who coordinates.
        from: CoreId,
        /// Comes back.
        tx: TxId,
        /// What to run at the grant.
        body: Body,
    },
}
