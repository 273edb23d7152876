//! HELP of every container, made from the rows of its subcommands.

use super::row::{Command, Flags, Run};
use super::syntax;
use super::table::{self, CommandId};
use crate::args::Args;
use crate::node::Local;
use crate::protocol::reply::{Failure, Outcome, Reply};

/// The row that a container has among its subcommands; group and release are its own.
pub const HELP: Command = Command {
    name: "help",
    arity: 2,
    flags: Flags::LOADING.or(Flags::STALE),
    summary: "Prints this help.",
    run: Run::Local(help),
    ..Command::DEFAULT
};

fn help(_: &mut Local<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let container = table::find_name(args.at(0)).ok_or(Failure::SYNTAX)?;
    let lines = lines(container);
    reply.array(lines.len());
    for line in &lines {
        reply.simple(line);
    }
    Ok(())
}

/// A line that names the container, then two for each subcommand: how it is written, and what it does. HELP itself is the last.
fn lines(container: CommandId) -> Vec<String> {
    let name = container.row().name.to_uppercase();
    let mut lines = vec![format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")];
    let (helps, others): (Vec<_>, Vec<_>) = container.children().partition(|id| id.row().name == HELP.name);
    for row in others.into_iter().chain(helps).map(CommandId::row) {
        let usage = format!("{} {}", row.name.to_uppercase(), syntax::shown(row.syntax));
        lines.push(usage.trim_end().to_string());
        lines.push(format!("    {}", row.summary));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_container_has_help_and_says_all_of_its_subcommands() {
        for id in table::top_level().filter(|id| !id.row().subcommands.is_empty()) {
            let lines = lines(id);
            assert_eq!(lines.len(), 1 + 2 * id.row().subcommands.len());
            assert_eq!(lines[lines.len() - 2], "HELP", "{}", id.full_name());
        }
    }
}
