//! The seam: everything that enters the engine and everything that leaves it.
//!
//! A driver (the I/O layer, the simulator, a model) hands the engine one [`Event`] after another and carries out the
//! [`Effect`]s. This page does not know which driver it is, and no rule of the store lives in a driver.

use crate::errand::{LinkId, LinkNews};
use crate::message::Message;
use crate::mutant::planted;
use crate::txn::queue::Ticket;

/// One processor core, which owns one shard: `0..cores`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CoreId(pub u16);

impl CoreId {
    /// As an index into a list with one place per core.
    #[inline]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// One connection of one core. The driver chooses it; an index may be used again after [`Event::Closed`], with a
/// higher generation, so that an answer that comes late never reaches somebody else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId {
    /// Small and dense: the engine keeps its sessions in a list.
    pub index: u32,
    /// Told apart from earlier users of the same index.
    pub generation: u32,
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// TCP from the machine itself.
    Loopback,
    /// TCP from elsewhere: `protected-mode` may refuse it.
    Remote,
    /// A unix socket.
    Unix,
}

/// Which protocol a connection speaks: it came in where that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Door {
    /// Redis's.
    #[default]
    Redis,
    /// One of memcached's; its first byte says which.
    Memcached,
}

/// Who a connection is, as CLIENT LIST shows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    /// `address:port` of the other side, `[address]:port` for IPv6; `path:0` for a unix socket.
    pub address: String,
    /// The same of our side.
    pub local: String,
    /// What kind of way it came.
    pub origin: Origin,
    /// The descriptor's number, for CLIENT LIST only.
    pub descriptor: i32,
}

/// What a driver tells the engine.
#[derive(Debug)]
pub enum Event<'a> {
    /// A client has connected. `clients` counts all connections of the process, this one included: the engine
    /// refuses it with Redis's words if that is over `maxclients`.
    Opened {
        /// Its name from now on.
        conn: ConnId,
        /// Who it is.
        peer: Peer,
        /// All connections of all cores, this one included.
        clients: usize,
        /// What it speaks.
        door: Door,
    },
    /// Bytes of a client, beginning with those that the engine did not consume last time. [`crate::Engine::handle`] returns how
    /// many it consumed now. They are parsed in place. Given again, with nothing new, after [`Effect::ResumeRead`].
    Bytes {
        /// Whose.
        conn: ConnId,
        /// Everything not yet consumed.
        bytes: &'a [u8],
    },
    /// This many bytes of a client were written to the beginning of [`crate::Engine::room`].
    Filled {
        /// Whose.
        conn: ConnId,
        /// How many.
        bytes: usize,
    },
    /// The peer will send no more, but may still read: answered by [`Effect::Close`] when what it has asked for has been answered. All
    /// bytes that it has sent were presented before.
    Ended {
        /// Whose.
        conn: ConnId,
    },
    /// The connection is gone and nothing of it is in flight: its buffers may be freed, its index used again.
    Closed {
        /// Whose.
        conn: ConnId,
    },
    /// A message of another core; per pair of cores in the order of sending.
    Message {
        /// The sender.
        from: CoreId,
        /// What it says.
        message: Message,
    },
    /// The driver has drawn [`crate::Engine::undrawn`] tickets, from `first` on, and now pushes what this engine has sent, each
    /// message after [`Message::stamp`]. See [`crate::txn::stability`].
    Tickets {
        /// The lowest of them.
        first: Ticket,
    },
    /// No ticket below this can still arrive: read from what all cores have said before this turn's messages were taken out of their
    /// rings, and given after all of them were handled.
    Stable {
        /// See [`crate::txn::stability::Tickets::limit`].
        below: Ticket,
    },
    /// This many bytes of [`crate::Engine::output`] have left.
    Sent {
        /// Whose.
        conn: ConnId,
        /// How many; may be fewer than were given.
        bytes: usize,
    },
    /// The moment of [`crate::Engine::deadline`] has come.
    Wake,
    /// Leave for about `steps` steps of background work, given while [`crate::Engine::has_background`] says so.
    Slice {
        /// A step visits about one bucket or frees about one entry.
        steps: u32,
    },
    /// An operation on files has ended.
    Disk {
        /// Which.
        operation: OperationId,
        /// How.
        outcome: DiskOutcome,
    },
    /// The process was asked to stop, by a signal: answered by [`Effect::Shutdown`], at once or when everything is saved. Given to the core that
    /// has heard of it.
    Asked,
    /// What [`crate::Engine::log_flush`] gave is in the file, as durable as it said, or cannot be.
    LogWritten {
        /// How many of its bytes are.
        bytes: usize,
        /// Why not all, or why they are not durable; the operating system's words.
        failure: Option<String>,
    },
    /// Something has happened on a connection that [`Effect::Dial`] has asked for; not after [`Effect::HangUp`].
    Heard {
        /// Which.
        link: LinkId,
        /// What.
        news: LinkNews,
    },
    /// The core begins: given once, before everything else, where there is something to be loaded.
    Start,
    /// The process is to stop: finish what has begun, flush, close, then [`Effect::Exit`]. Given to every core.
    Stop,
}

/// What the engine asks of its driver. Effects of one event keep their order; a driver may carry out those of a whole turn
/// at its end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// There are bytes to write: see [`crate::Engine::output`]. Said once until the driver has asked for them.
    TakeOutput {
        /// Whose.
        conn: ConnId,
    },
    /// Read no more from this client until [`Effect::ResumeRead`]: it is ahead of its replies.
    PauseRead {
        /// Whose.
        conn: ConnId,
    },
    /// Read again, and first present the unconsumed bytes again in a later [`Event::Bytes`], even if none have been added.
    ResumeRead {
        /// Whose.
        conn: ConnId,
    },
    /// Close this connection now. Its output is sent or given up. Answered by [`Event::Closed`] when nothing of it is in flight.
    Close {
        /// Whose.
        conn: ConnId,
    },
    /// Push this to another core. There is room: whoever sends holds a credit.
    Send {
        /// The receiver, never the sender itself.
        to: CoreId,
        /// What it says.
        message: Message,
    },
    /// Begin an operation on files, answered by [`Event::Disk`].
    Disk {
        /// Names the operation in its answer.
        operation: OperationId,
        /// What to do.
        request: DiskRequest,
    },
    /// Connect to another server, say this, and tell what comes back by [`Event::Heard`], in order, until [`Effect::HangUp`]: a connection is made at
    /// most once, or [`LinkNews::Ended`]. A driver may give up connecting or writing when nothing has happened for so long.
    Dial {
        /// Names the connection.
        link: LinkId,
        /// A name or an address.
        host: String,
        /// Its port.
        port: u16,
        /// What is said.
        bytes: Vec<u8>,
        /// Milliseconds.
        timeout_millis: u64,
    },
    /// End a connection that was dialed; it may have ended already.
    HangUp {
        /// Which.
        link: LinkId,
    },
    /// Somebody asked for the process to stop: give [`Event::Stop`] to every core.
    Shutdown,
    /// The process cannot go on: it ends with this as its last word.
    Fail {
        /// One sentence.
        text: String,
    },
    /// The log cannot be written, and nobody may hear of what is not in it: the process ends at once, with this as its last word, and nothing
    /// else of the turn leaves. Comes of [`Event::LogWritten`] only.
    Abort {
        /// One sentence.
        text: String,
    },
    /// A line for the log.
    Log {
        /// How much it matters.
        level: LogLevel,
        /// One line, without its end.
        text: String,
    },
    /// The log's threshold has changed.
    LogThreshold(LogLevel),
    /// After [`Event::Stop`]: this core has nothing left to do but to answer other cores. The process exits when all cores say so.
    Exit,
}

/// Redis's four log levels, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// Much.
    Verbose,
    /// What matters in production.
    Notice,
    /// Only what is wrong.
    Warning,
}

/// Names an operation on files until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(pub u64);

/// How durable what was written is to be, when the driver says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Durability {
    /// The system has it: it survives the process.
    Written,
    /// It survives a loss of power.
    Synced,
    /// The same, and nothing more will follow in this file.
    Final,
}

/// What the engine wants from files.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DiskRequest {
    /// Give the whole content of a small file.
    Read {
        /// Its path.
        path: String,
    },
    /// Make `bytes` the whole content of a file: a temporary name, sync, rename, sync of the directory.
    Replace {
        /// Its path.
        path: String,
        /// Its new content.
        bytes: Vec<u8>,
    },
    /// Make an empty file, or empty the one that is there.
    Create {
        /// Its path.
        path: String,
        /// And its directory, if that is not there.
        with_directory: bool,
        /// The file whose place it will take, if it does: what the system has of that one in memory is not needed any more.
        former: Option<String>,
    },
    /// Add bytes to the end of a file that was created.
    Append {
        /// Its path.
        path: String,
        /// One after the other.
        parts: Vec<Vec<u8>>,
    },
    /// Make a file that was created durable and give it a name, whatever has that name: sync, rename, sync of the directory.
    Publish {
        /// Its path.
        from: String,
        /// Its new one, in the same directory.
        to: String,
    },
    /// Remove a file that was created.
    Remove {
        /// Its path.
        path: String,
    },
    /// Make everything durable that was written to a file by [`crate::Engine::log_flush`], or by somebody before this process.
    Sync {
        /// Its path.
        path: String,
    },
    /// Give a piece of a file. Less is given only at its end.
    ReadAt {
        /// Its path.
        path: String,
        /// From which byte on.
        at: u64,
        /// How many bytes.
        len: usize,
        /// They are added to this: memory that was used before costs less than new.
        into: Vec<u8>,
    },
}

/// How an operation on files ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DiskOutcome {
    /// The content that was read, behind what it was to be added to.
    Content(Vec<u8>),
    /// Done and durable.
    Done,
    /// There is no such file.
    Missing,
    /// Not done; the operating system's words.
    Failed(String),
}

/// The effects of one or more events, oldest first. Belongs to the driver, which drains and reuses it.
#[derive(Debug, Default)]
pub struct Effects {
    list: Vec<Effect>,
    /// By core: where the last message to it stands, counted from one.
    last_sends: Vec<u32>,
}

impl Effects {
    /// Adds an effect at the end.
    #[inline]
    pub fn push(&mut self, effect: Effect) {
        if let Effect::Send { to, .. } = &effect {
            if self.last_sends.len() <= to.index() {
                self.last_sends.resize(to.index() + 1, 0);
            }
            let is_joined = matches!(
                &effect,
                Effect::Send { message: Message::Direct { .. } | Message::Directs { .. }, .. }
            );
            if self.last_sends[to.index()] == 0
                || is_joined
                || !planted("a command joins others that an earlier message holds")
            {
                self.last_sends[to.index()] = self.list.len() as u32 + 1;
            }
        }
        self.list.push(effect);
    }

    /// The last message to this core, if there is one: what may leave with it may be added to it.
    #[inline]
    pub(crate) fn last_send(&mut self, core: CoreId) -> Option<&mut Message> {
        let place = self.last_sends.get(core.index()).copied().unwrap_or(0).checked_sub(1)?;
        match &mut self.list[place as usize] {
            Effect::Send { message, .. } => Some(message),
            _ => None,
        }
    }

    /// Takes all effects out, oldest first; the room is kept.
    pub fn drain(&mut self) -> std::vec::Drain<'_, Effect> {
        self.last_sends.clear();
        self.list.drain(..)
    }

    /// Why the process is to end at once, if it is: to be asked after [`Event::LogWritten`], before anything is carried out.
    pub fn last_word(&self) -> Option<&str> {
        self.list.iter().rev().find_map(|effect| match effect {
            Effect::Abort { text } => Some(&text[..]),
            _ => None,
        })
    }

    /// True if there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}
