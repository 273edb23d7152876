//! The command table: every command is declared once, in the file of its family, beside its function.
//!
//! This file knows the families and finds rows by name. It names no command.

pub mod reference;
pub mod row;
pub mod syntax;
pub mod table;

mod command_info;
mod connection;
mod expire;
mod flush;
mod generic;
mod lcs;
mod parse;
mod scan;
mod server;
mod set;
mod string;
mod string_many;
mod string_number;

pub use row::{Command, Example, Flags, Group, Keys, Run, Touch};
pub use table::CommandId;

use crate::protocol::reply::Reply;

/// The rows of all families. Adding a command edits its family's file, nothing here.
const FAMILIES: &[&[Command]] = &[
    string::COMMANDS,
    string_number::COMMANDS,
    string_many::COMMANDS,
    set::COMMANDS,
    generic::COMMANDS,
    expire::COMMANDS,
    scan::COMMANDS,
    flush::COMMANDS,
    lcs::COMMANDS,
    connection::COMMANDS,
    server::COMMANDS,
    command_info::COMMANDS,
];

/// A HELP reply: a heading, then each form with its meaning indented below it.
fn help_lines(container: &str, forms: &[(&str, &str)], reply: &mut Reply<'_>) {
    reply.array(2 * forms.len() + 3);
    reply.simple(&format!("{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    for (form, meaning) in forms {
        reply.simple(form);
        reply.simple(&format!("    {meaning}"));
    }
    reply.simple("HELP");
    reply.simple("    Print this help.");
}
