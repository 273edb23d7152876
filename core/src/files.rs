//! Operations on files and what they are for. And replies that leave at a later moment.

use std::collections::BTreeMap;

use crate::config::{Settings, rewrite};
use crate::engine::Engine;
use crate::event::{DiskOutcome, DiskRequest, Effect, Effects, LogLevel, OperationId};
use crate::message::Token;
use crate::node::{Deferred, Node};
use crate::protocol::chunks::Chunks;
use crate::protocol::reply::{Failure, Reply, Resp};
use crate::snapshot::status::ToKeeper;
use crate::time::Now;

/// What is under way.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Files {
    made: u64,
    purposes: BTreeMap<OperationId, Purpose>,
    /// Replies of those that wait.
    replies: BTreeMap<Token, Chunks>,
}

/// What an operation on files is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    /// CONFIG REWRITE of a client.
    Rewrite(Token),
    /// The file of a snapshot.
    Snapshot,
    /// The dump that is loaded.
    Load,
    /// The log that is read back, and its manifest.
    Recover,
    /// This core's log, to be durable up to a mark.
    Mark(u64),
    /// A file that nobody needs any more.
    Tidying,
}

impl Files {
    /// True if nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.purposes.is_empty()
    }

    /// True if a dump or a log is being read.
    pub(crate) fn is_reading(&self) -> bool {
        self.purposes.values().any(|purpose| matches!(purpose, Purpose::Load | Purpose::Recover))
    }

    pub(crate) fn keep_reply(&mut self, token: Token, reply: Chunks) {
        self.replies.insert(token, reply);
    }

    pub(crate) fn take_reply(&mut self, token: Token) -> Chunks {
        self.replies.remove(&token).unwrap_or_default()
    }

    pub(crate) fn begin(&mut self, purpose: Purpose, request: DiskRequest, out: &mut Effects) {
        self.made += 1;
        let operation = OperationId(self.made);
        self.purposes.insert(operation, purpose);
        out.push(Effect::Disk { operation, request });
    }

    /// CONFIG REWRITE begins by reading the file as it is now.
    pub(crate) fn begin_rewrite(&mut self, token: Token, reply: Chunks, node: &Node, out: &mut Effects) {
        self.keep_reply(token, reply);
        let request = DiskRequest::Read { path: node.process.config_file.clone() };
        self.begin(Purpose::Rewrite(token), request, out);
    }
}

impl Engine {
    /// An operation on files has ended.
    pub(crate) fn disk(&mut self, now: Now, operation: OperationId, outcome: DiskOutcome, out: &mut Effects) {
        match self.files.purposes.remove(&operation) {
            Some(Purpose::Rewrite(token)) => self.rewritten(token, outcome, now, out),
            Some(Purpose::Snapshot) => self.snapshot_file(outcome, now, out),
            Some(Purpose::Load) => self.dump_was_read(outcome, now, out),
            Some(Purpose::Recover) => self.recovered_file(outcome, now, out),
            Some(Purpose::Mark(number)) => self.mark_is_synced(number, outcome, now, out),
            Some(Purpose::Tidying) => self.tidied(outcome, out),
            None => {}
        }
    }

    fn rewritten(&mut self, token: Token, outcome: DiskOutcome, now: Now, out: &mut Effects) {
        let path = self.node.process.config_file.clone();
        match outcome {
            DiskOutcome::Content(old) => {
                let bytes = rewrite(&old, &self.node.settings, &Settings::default());
                self.files.begin(Purpose::Rewrite(token), DiskRequest::Replace { path, bytes }, out);
            }
            DiskOutcome::Done => {
                let text = "CONFIG REWRITE executed with success.".to_string();
                out.push(Effect::Log { level: LogLevel::Notice, text });
                let reply = self.files.take_reply(token);
                self.arrived(token, reply, now, out);
            }
            DiskOutcome::Missing | DiskOutcome::Failed(_) => {
                let why = match outcome {
                    DiskOutcome::Failed(why) => why,
                    _ => "No such file or directory".into(),
                };
                out.push(Effect::Log {
                    level: LogLevel::Warning,
                    text: format!("CONFIG REWRITE failed: {why}"),
                });
                self.files.take_reply(token);
                let mut reply = Chunks::default();
                Reply::new(&mut reply, Resp::V2)
                    .error(&Failure::text(format!("ERR Rewriting config file: {why}")));
                self.arrived(token, reply, now, out);
            }
        }
    }

    /// The moment of a reply has come.
    pub(crate) fn wake_sleeper(&mut self, token: Token, now: Now, out: &mut Effects) {
        let reply = self.files.take_reply(token);
        self.arrived(token, reply, now, out);
    }

    /// Lets a reply that is awaited anyway wait for something else.
    pub(crate) fn defer(&mut self, token: Token, deferred: Deferred, reply: Chunks, out: &mut Effects) {
        match deferred {
            Deferred::Until(at) => {
                self.sleepers.push((at, token));
                self.files.keep_reply(token, reply);
            }
            Deferred::Saved => {
                self.files.keep_reply(token, reply);
                self.node.asks.ask(ToKeeper::Save, Some(token));
            }
            Deferred::Stopped { force } => self.node.asks.ask(ToKeeper::Stop { force }, Some(token)),
            Deferred::Marked { until } => self.await_mark(token, until),
            Deferred::Reloaded => self.node.asks.ask(ToKeeper::Reload, Some(token)),
            Deferred::Rewrite => self.files.begin_rewrite(token, reply, &self.node, out),
        }
    }
}
