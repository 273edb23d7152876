//! The command table: every command is declared once, in the file of its family, beside its function.
//!
//! This file knows the families and finds rows by name. It names no command.

pub mod row;
pub mod table;

mod client;
mod connection;
mod expire;
mod flush;
mod gathered;
mod generic;
mod help;
mod parse;
mod scan;
mod set;
mod string;
mod string_many;
mod string_number;

pub use row::{Command, Example, Flags, Group, Keys, Run, Touch};
pub use table::CommandId;

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
    connection::COMMANDS,
    client::COMMANDS,
];
