//! What every core knows of snapshots and of loading, and what cores and the keeper say to each other.
//!
//! The *keeper* is core 0: it owns the file. Others learn from it what is going on, a moment later.

use crate::snapshot::batch::Batch;
use crate::snapshot::saving::Part;

/// What every core knows. The keeper's is the truth.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Status {
    /// A dump is being loaded: clients are told to wait.
    pub is_loading: bool,
    /// Bytes of the dump that is loaded, and how many of them have been read.
    pub loading_bytes: u64,
    /// See above.
    pub loaded_bytes: u64,
    /// Unix seconds at which loading began.
    pub loading_began: u64,
    /// A snapshot is under way, or was asked for.
    pub is_saving: bool,
    /// Unix seconds at which it began.
    pub saving_began: u64,
    /// The server stops when it is over.
    pub is_stopping: bool,
    /// Snapshots that have begun so far, the failed ones included; each has its number, from 1.
    pub begun: u64,
    /// Those that are over.
    pub ended: u64,
    /// Those that are in the file.
    pub saves: u64,
    /// Unix seconds of the last that is in the file; 0: none.
    pub last_save: u64,
    /// The last one is in the file, or nobody wanted it any more.
    pub ended_well: bool,
    /// The last one failed.
    pub has_failed: bool,
    /// How many seconds the last one took.
    pub last_seconds: Option<u64>,
    /// The log is being written anew.
    pub is_rewriting: bool,
    /// It will be.
    pub is_rewrite_scheduled: bool,
    /// Unix seconds at which that began.
    pub rewriting_began: u64,
    /// How many seconds it took the last time.
    pub last_rewrite_seconds: Option<u64>,
    /// The last time it failed.
    pub rewrite_failed: bool,
    /// How often it was done.
    pub rewrites: u64,
    /// Bytes of the snapshot that the log follows.
    pub base_bytes: u64,
    /// The generation of logs that it stands before, since this process has written one; 0: it has not.
    pub base: u32,
    /// The last mark that somebody waited for and that is durable in all logs.
    pub marked: u64,
    /// Why a core cannot write its log, if there is one that cannot.
    pub log_failure: Option<String>,
    /// How often the log was read back, or was to be, since the start (DEBUG LOADAOF).
    pub reloads: u64,
    /// The number of the last time that this failed; 0: it never did.
    pub failed_reload: u64,
    /// Keys in the dump that was loaded at the start.
    pub keys_loaded: u64,
    /// Keys in it whose time had come.
    pub keys_expired: u64,
}

/// What a core says to the keeper.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ToKeeper {
    /// Take a snapshot. Answered by its number.
    Save,
    /// Take a snapshot and stop the server. Answered by its number.
    Stop {
        /// Stop even if it fails.
        force: bool,
    },
    /// Do not stop after all.
    Abort,
    /// Write the log anew.
    Rewrite,
    /// So many bytes were written down since the last time.
    Logged(u64),
    /// My log cannot be written, and why; or it can be again.
    LogFails(Option<String>),
    /// My log is marked; so many bytes were written down since the last time.
    Marked(u64),
    /// Read the log back. Answered by a number.
    Reload,
    /// Mark all logs and make them durable. Answered by the mark's number.
    Sync,
    /// My log is to be durable up to this mark.
    Synced {
        /// Which.
        number: u64,
        /// It is; or cannot be.
        is_durable: bool,
    },
    /// So many changes since the last time.
    Changes(u64),
    /// A part of the snapshot. Answered when it is in the file, or not wanted any more.
    Part(Part),
}

/// What the keeper says to a core.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OfKeeper {
    /// What there is to know.
    Status(Status),
    /// The snapshot is not wanted any more: send no parts of it but that it is over.
    GiveUp,
    /// Keys of a dump that belong to this shard. Answered by what became of them.
    Load(Batch),
    /// Lines of a log that are about keys of this shard, or about whole databases. Answered likewise.
    Replay(Vec<u8>),
    /// Write down what changes from now on, in the files of this generation. Answered likewise.
    Turn(u32),
    /// Set aside what you have, if it is in the log: that is read back. Answered likewise.
    SetAside,
    /// The log was read back, or could not be. Answered likewise.
    Settle {
        /// What was read stays; else what was set aside comes back.
        is_read: bool,
    },
}
