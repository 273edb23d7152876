//! What cores say to each other: data that can be printed, compared, hashed and replayed, never a closure.
//!
//! Every message but an answer holds one credit of its sender at its receiver, from sending until its answer has come; so the
//! ring between two cores never overflows ([`crate::limits`]).

use crate::args::Packed;
use crate::command::CommandId;
use crate::event::{ConnId, CoreId};
use crate::hash::KeyHash;
use crate::part::Part;
use crate::protocol::chunks::Chunks;
use crate::protocol::reply::Resp;
use crate::session::ClientId;
use crate::slowlog::SlowCall;

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
    /// Answers `Direct` with the encoded reply.
    Done {
        /// Of the `Direct`.
        token: Token,
        /// The reply, encoded in the client's protocol.
        reply: Chunks,
        /// The call, if it took longer than `slowlog-log-slower-than`; the client's core adds who it was and keeps it.
        slow: Option<Box<SlowCall>>,
    },
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
    /// Begin or end to send me what MONITOR shows. Answered by `Noted`.
    Watch {
        /// True to begin.
        on: bool,
    },
    /// Lines for my monitors, encoded. Answered by `Noted`.
    Lines {
        /// Whole lines.
        lines: Vec<MonitorLine>,
    },
    /// Answers what needs no other answer: gives the credit back.
    Noted,
}

/// One command as MONITOR shows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MonitorLine(pub Vec<u8>);

impl Message {
    /// True for answers, which hold no credit of their own but give one back.
    pub fn is_answer(&self) -> bool {
        matches!(self, Message::Done { .. } | Message::Answer { .. } | Message::Noted)
    }
}
