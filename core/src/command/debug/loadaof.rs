//! DEBUG LOADAOF: everything is forgotten and read back from the append-only log.

use super::{FLAGS, ROW};
use crate::args::Args;
use crate::command::row::{Command, Flags, Run};
use crate::node::{Deferred, Local};
use crate::protocol::reply::{Failure, Outcome, Reply};

pub(super) const LOADAOF: Command = Command {
    name: "loadaof",
    arity: 2,
    flags: Flags(FLAGS.0 & !Flags::LOADING.0 | Flags::NO_MULTI.0),
    complexity: "O(N) where N is the size of the log",
    summary: "Forgets all keys and reads them back from the append-only log, which goes on as it is. Nobody sees the middle of it.",
    run: Run::Local(load),
    ..ROW
};

/// Redis forgets all keys, too, if there is no log, and reads nothing. Nobody could want that.
fn load(local: &mut Local<'_>, _: Args<'_>, _: &mut Reply<'_>) -> Outcome {
    if !local.node.settings.appendonly {
        return Err(Failure::new("ERR There is no append only file to be loaded: appendonly is disabled"));
    }
    local.deferred = Some(Deferred::Reloaded);
    Ok(())
}
