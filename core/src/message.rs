//! What cores say to each other: data that can be printed, compared, hashed and replayed, never a closure.
//!
//! Every message but an answer holds one credit of its sender at its receiver, from sending until its answer has come; so the
//! ring between two cores never overflows ([`crate::limits`]).

use crate::args::Packed;
use crate::command::CommandId;
use crate::directs::{Directs, Dones};
use crate::event::{ConnId, CoreId};
use crate::eviction::budget::{Allowance, Report};
use crate::feed::Topics;
use crate::hash::KeyHash;
use crate::part::Part;
use crate::protocol::chunks::Chunks;
use crate::protocol::reply::Resp;
use crate::session::ClientId;
use crate::slowlog::SlowCall;
use crate::snapshot::load::LoadReport;
use crate::snapshot::status::{OfKeeper, ToKeeper};
use crate::txn::intent::Intents;
use crate::txn::queue::{EntryId, Ticket, UNDRAWN};
use crate::txn::watch::Watcher;
use crate::txn::work::{Body, Bundle, Circumstances, Ran, TxId};

/// Which reply of which client a message belongs to; meaningful to the core that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    /// The connection on the core that asked.
    pub conn: ConnId,
    /// The place among its replies.
    pub sequence: u64,
}

/// When a question to all cores was asked, in Lamport's sense: the same on every core, and later than that of every question whose
/// answer was known by then (Lamport 1978, "Time, clocks, and the ordering of events in a distributed system").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// The asking core's count of questions, its own and those it has seen.
    pub clock: u64,
    /// The asking core.
    pub core: CoreId,
}

/// A command on its way to another core.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// Which row of the table.
    pub command: CommandId,
    /// The client's selected database.
    pub database: u16,
    /// The protocol of its reply.
    pub resp: Resp,
    /// True if the client asked not to count as a use of keys (CLIENT NO-TOUCH).
    pub no_touch: bool,
    /// Who asks, for those that must know.
    pub client: ClientId,
    /// The coordinator's wall clock, microseconds: every shard judges expiry by the same instant.
    pub unix_micros: u64,
    /// Of a question to all cores, the clock of its [`Stamp`]; else 0.
    pub clock: u64,
    /// Hash of the first key, made where the request was routed.
    pub first_hash: KeyHash,
    /// All arguments, the name first.
    pub args: Packed,
}

impl Request {
    /// For whom it runs.
    pub fn circumstances(&self) -> Circumstances {
        Circumstances {
            client: self.client,
            resp: self.resp,
            no_touch: self.no_touch,
            unix_micros: self.unix_micros,
            clock: self.clock,
            round: 0,
        }
    }
}

/// A message from one core to another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// Run a command whose keys all lie on your shard. Answered by `Done`.
    Direct {
        /// Comes back.
        token: Token,
        /// What to run.
        request: Request,
    },
    /// The same of several commands, one after the other, each for itself. Each holds a credit and is answered by `Done` or `Dones`.
    Directs {
        /// What to run.
        directs: Box<Directs>,
    },
    /// Answers several commands.
    Dones {
        /// With what.
        dones: Box<Dones>,
    },
    /// Run commands that take effect as one and whose keys all lie on your shard. Answered by `Done`.
    Batch {
        /// Comes back.
        token: Token,
        /// What to run.
        bundle: Box<Bundle>,
    },
    /// Answers `Direct` and `Batch` with the encoded reply.
    Done {
        /// Of the `Direct`.
        token: Token,
        /// The reply, encoded in the client's protocol.
        reply: Chunks,
        /// The call, if it took longer than `slowlog-log-slower-than`; the client's core adds who it was and keeps it.
        slow: Option<Box<SlowCall>>,
    },
    /// Take part in a transaction: queue it at its ticket; when its turn has come, lock, run the body and answer by `Ran`. Keep the locks
    /// until `Release`.
    Schedule {
        /// Comes back.
        tx: TxId,
        /// For whom: the order of one client's operations on a key is kept.
        client: ClientId,
        /// Its place in the order. Undrawn until the sender flushes: see [`Message::stamp`].
        ticket: Ticket,
        /// What to lock.
        intents: Intents,
        /// What to run.
        body: Body,
    },
    /// Run a further step of a transaction that you hold. Answered by `Ran`.
    Step {
        /// Comes back.
        tx: TxId,
        /// Your name for what you hold.
        entry: EntryId,
        /// What to run.
        body: Body,
    },
    /// Answers `Schedule` and `Step`.
    Ran {
        /// Of the transaction.
        tx: TxId,
        /// The sender's name for what it holds.
        entry: EntryId,
        /// What came of it.
        ran: Ran,
    },
    /// A transaction is over: let go of what you hold. Not answered: see [`crate::limits::ring_len`].
    Release {
        /// Your name for what you hold.
        entry: EntryId,
    },
    /// Answers `Direct` of a command that waits: it is in line.
    InLine {
        /// Of the `Direct`.
        token: Token,
    },
    /// There is something for the first in line, your client; the key is held until you answer by `Serve` or `Pass`, at once.
    Wake {
        /// Of the waiter.
        token: Token,
        /// The sender's name for what it holds.
        entry: EntryId,
    },
    /// Answers `Wake`: it is to be served. Followed by `Served` or `Unserved`.
    Serve {
        /// Of the waiter.
        token: Token,
        /// Your name for what you hold.
        entry: EntryId,
    },
    /// Answers `Wake`: it is not to be served.
    Pass {
        /// Of the waiter.
        token: Token,
        /// Your name for what you hold.
        entry: EntryId,
        /// It tries again by a transaction and keeps its place in line; else it waits no more.
        tries: bool,
    },
    /// Your client was served; it is in line here no more. Not answered: it follows the answer to a `Wake`, and so do not more of these than
    /// there are credits.
    Served {
        /// Of the waiter.
        token: Token,
        /// The reply, encoded in the client's protocol.
        reply: Chunks,
    },
    /// What your client was to be served with is not there any more: it waits on, and keeps its place in line here. Not answered, as `Served`.
    Unserved {
        /// Of the waiter.
        token: Token,
    },
    /// A waiter waits no more. Answered by `Received`.
    Leave {
        /// Of the waiter.
        token: Token,
    },
    /// A client's round of WATCH is over. Answered by `Received`.
    Unwatch {
        /// Which.
        watcher: Watcher,
    },
    /// Answers what needs no other answer.
    Received,
    /// Give your part of a command that every core answers. Answered by `Answer`.
    Ask {
        /// Comes back.
        token: Token,
        /// What is asked.
        request: Request,
    },
    /// Answers `Ask`.
    Answer {
        /// Of the `Ask`.
        token: Token,
        /// This core's part.
        part: Part,
    },
    /// How I stand to the budget of memory. Answered by `Allowance`.
    Budget {
        /// What I use and need.
        report: Report,
    },
    /// Answers `Budget`.
    Allowance {
        /// What you may use.
        allowance: Allowance,
    },
    /// Send me lines about these topics from now on, and no others. Answered by `Noted`.
    Listen {
        /// What my clients listen to.
        topics: Topics,
    },
    /// Lines for your clients that listen, encoded. Answered by `Noted`.
    Lines {
        /// Whole lines.
        lines: Vec<FeedLine>,
    },
    /// Answers `Listen` and `Lines`.
    Noted,
    /// A word for the keeper of snapshots. Answered by `Numbered`, a part of a snapshot by `Stored`, else by `Received`.
    ToKeeper(Box<ToKeeper>),
    /// Answers what asks for a snapshot.
    Numbered {
        /// Of the snapshot that was asked for.
        number: u64,
    },
    /// Answers a part of a snapshot: it is in the file, or not wanted any more.
    Stored,
    /// A word of the keeper. Answered by `Loaded`, if it has keys to be loaded, else by `Received`.
    OfKeeper(Box<OfKeeper>),
    /// Answers keys to be loaded.
    Loaded {
        /// What became of them.
        report: LoadReport,
    },
}

/// Something that clients listen to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FeedLine {
    /// What it is about.
    pub topic: Topics,
    /// The whole line.
    pub text: Vec<u8>,
    /// Lines that were left out before it.
    pub left_out: u32,
}

impl Message {
    /// How many messages it answers, whose credits it gives back. A transaction's credits come back when it is released.
    pub fn answers(&self) -> usize {
        if let Message::Dones { dones } = self {
            return dones.len();
        }
        let is_answer = matches!(
            self,
            Message::Done { .. }
                | Message::Answer { .. }
                | Message::Allowance { .. }
                | Message::Noted
                | Message::Received
                | Message::InLine { .. }
                | Message::Serve { .. }
                | Message::Pass { .. }
                | Message::Numbered { .. }
                | Message::Stored
                | Message::Loaded { .. }
        );
        usize::from(is_answer)
    }

    /// The sender has drawn tickets, from `first` on: called for every message of a flush before it is pushed.
    #[inline]
    pub fn stamp(&mut self, first: Ticket) {
        if let Message::Schedule { ticket, .. } = self
            && *ticket >= UNDRAWN
        {
            *ticket = first + (*ticket - UNDRAWN);
        }
    }
}
