//! Whether a request may run: all that can be said against it before anything is done, in Redis's order and words.
//!
//! It knows rows, the client's rights and what the process is busy with. It does not know where a request runs.

use crate::args::Args;
use crate::command::row::{Command, Flags, Run};
use crate::command::table::{self, CommandId, Found};
use crate::config::Access;
use crate::event::Origin;
use crate::node::Node;
use crate::protocol::reply::Failure;
use crate::session::Session;

/// Everything that can be said against a request before it runs, in the order in which Redis says it.
pub(crate) fn admit(
    node: &Node,
    session: &Session,
    args: Args<'_>,
) -> Result<CommandId, (Option<CommandId>, Failure)> {
    let id = match table::find(args) {
        Found::Command(id) => id,
        Found::UnknownSubcommand(id) => return Err((Some(id), unknown_subcommand(id, args))),
        Found::Unknown => return Err((None, unknown_command(args))),
    };
    let row = id.row();
    if !row.takes(args.len()) {
        let failure = if is_loose(id) { unknown_subcommand(id, args) } else { wrong_arity(id) };
        return Err((Some(id), failure));
    }
    if row.flags.has(Flags::PROTECTED) {
        let allowed = match node.settings.enable_debug_command {
            Access::Yes => true,
            Access::Local => session.peer.origin != Origin::Remote,
            Access::No => false,
        };
        if !allowed {
            return Err((Some(id), NOT_ALLOWED));
        }
    }
    if !session.authenticated && !row.flags.has(Flags::NO_AUTH) {
        return Err((Some(id), Failure::new("NOAUTH Authentication required.")));
    }
    match node.is_gated {
        true => pass_gate(node, session, id).map(|()| id).map_err(|failure| (Some(id), failure)),
        false => Ok(id),
    }
}

/// While a dump is loaded, or while nothing can be persisted.
#[cold]
fn pass_gate(node: &Node, session: &Session, id: CommandId) -> Result<(), Failure> {
    let row = id.row();
    let is_denied = row.flags.has(Flags::WRITE) || row.flags.has(Flags::HEALTH) || ends_writes(session, row);
    if is_denied && node.refuses_writes() {
        return Err(Failure::new(
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify \
             the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails \
             (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.",
        ));
    }
    if let Some(failure) = node.log_refusal().filter(|_| is_denied) {
        return Err(failure);
    }
    if node.status.is_loading && !row.flags.has(Flags::LOADING) {
        return Err(Failure::new("LOADING Redis is loading the dataset in memory"));
    }
    Ok(())
}

const NOT_ALLOWED: Failure = Failure::new(
    "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local connection, \
     otherwise you need to set this option in the configuration file, and then restart the server.",
);

/// The number of words is wrong.
pub(crate) fn wrong_arity(id: CommandId) -> Failure {
    Failure::text(format!("ERR wrong number of arguments for '{}' command", id.full_name()))
}

/// Bytes of a client's words that an error repeats.
const REPEATED_MAX: usize = 128;

fn unknown_command(args: Args<'_>) -> Failure {
    let mut beginning = String::new();
    for argument in args.skip(1).iter() {
        if beginning.len() >= REPEATED_MAX {
            break;
        }
        let room = REPEATED_MAX - beginning.len();
        beginning.push_str(&format!("'{}' ", shown(argument, room)));
    }
    Failure::text(format!(
        "ERR unknown command '{}', with args beginning with: {beginning}",
        shown(args.at(0), REPEATED_MAX)
    ))
}

/// True for the subcommands of DEBUG, which for Redis are no commands of their own: it does not tell a wrong word from a wrong number.
fn is_loose(id: CommandId) -> bool {
    id.row().flags.has(Flags::PROTECTED) && id.placed().parent.is_some()
}

fn unknown_subcommand(id: CommandId, args: Args<'_>) -> Failure {
    let container = id.placed().parent.unwrap_or(id).row();
    let or_number =
        if container.flags.has(Flags::PROTECTED) { " or wrong number of arguments for" } else { "" };
    Failure::text(format!(
        "ERR unknown subcommand{or_number} '{}'. Try {} HELP.",
        shown(args.at(1), REPEATED_MAX),
        container.name.to_uppercase()
    ))
}

fn shown(word: &[u8], max: usize) -> String {
    String::from_utf8_lossy(&word[..word.len().min(max)]).into_owned()
}

/// True for the end of a transaction that changes keys.
pub(crate) fn ends_writes(session: &Session, row: &Command) -> bool {
    matches!(row.run, Run::Exec) && session.queued.as_ref().is_some_and(|queued| queued.writes)
}
