//! The command table: every command is declared once, in the file of its family, beside its function.
//!
//! This file knows the families and finds rows by name. It names no command.

pub mod reference;
pub mod row;
pub mod syntax;
pub mod table;

mod append_log;
mod bit;
mod bit_field;
mod bit_op;
mod carry;
mod client;
mod command_info;
mod config;
mod connection;
mod debug;
mod dump;
mod expire;
mod first;
mod flush;
mod gathered;
mod generic;
mod geo;
mod geo_search;
mod hash;
mod hash_deadline;
mod hash_many;
mod hash_timed;
mod hash_walk;
mod help;
mod hll;
mod info;
mod latency;
mod lcs;
mod list;
mod list_block;
mod list_edit;
mod list_move;
mod list_read;
mod memory;
mod migrate;
mod module;
mod monitor;
mod object;
mod parse;
mod save;
mod scan;
mod server;
mod set;
mod sets;
mod sets_across;
mod sets_walk;
mod slowlog;
mod sort;
mod sort_order;
mod stream;
mod stream_claim;
mod stream_group;
mod stream_info;
mod stream_pending;
mod stream_range;
mod stream_read;
mod stream_trim;
mod stream_words;
mod string;
mod string_many;
mod string_number;
mod transactions;
mod zset;
mod zset_algebra;
mod zset_pop;
mod zset_range;
mod zset_sample;
mod zset_span;
mod zset_store;

pub(crate) use connection::same as constant_time_eq;
pub(crate) use dump::forms;
pub(crate) use string::edit;

pub(crate) use connection::is_select;
pub use row::{Command, Example, Flags, Group, Keys, Run, Touch};
pub use table::CommandId;

/// The rows of all families. Adding a command edits its family's file, nothing here.
const FAMILIES: &[&[Command]] = &[
    string::COMMANDS,
    string_number::COMMANDS,
    string_many::COMMANDS,
    set::COMMANDS,
    list::COMMANDS,
    list_read::COMMANDS,
    list_edit::COMMANDS,
    list_move::COMMANDS,
    list_block::COMMANDS,
    zset::COMMANDS,
    zset_range::COMMANDS,
    zset_store::COMMANDS,
    zset_algebra::COMMANDS,
    zset_pop::COMMANDS,
    zset_sample::COMMANDS,
    geo::COMMANDS,
    geo_search::COMMANDS,
    hash::COMMANDS,
    hash_many::COMMANDS,
    hash_walk::COMMANDS,
    hash_deadline::COMMANDS,
    hash_timed::COMMANDS,
    sets::COMMANDS,
    sets_walk::COMMANDS,
    sets_across::COMMANDS,
    generic::COMMANDS,
    migrate::COMMANDS,
    expire::COMMANDS,
    dump::COMMANDS,
    scan::COMMANDS,
    flush::COMMANDS,
    lcs::COMMANDS,
    transactions::COMMANDS,
    connection::COMMANDS,
    client::COMMANDS,
    config::COMMANDS,
    info::COMMANDS,
    memory::COMMANDS,
    object::COMMANDS,
    slowlog::COMMANDS,
    monitor::COMMANDS,
    module::COMMANDS,
    latency::COMMANDS,
    debug::COMMANDS,
    server::COMMANDS,
    save::COMMANDS,
    append_log::COMMANDS,
    command_info::COMMANDS,
    bit::COMMANDS,
    bit_op::COMMANDS,
    bit_field::COMMANDS,
    hll::COMMANDS,
    sort::COMMANDS,
    stream::COMMANDS,
    stream_trim::COMMANDS,
    stream_range::COMMANDS,
    stream_read::COMMANDS,
    stream_group::COMMANDS,
    stream_pending::COMMANDS,
    stream_claim::COMMANDS,
    stream_info::COMMANDS,
    crate::memcached::COMMANDS,
];
