//! The other front door: memcached's protocols, onto the same keys, through the same commands.
//!
//! A request becomes the arguments of a row of the command table, and so it is routed, ordered, admitted, run and counted like every
//! other. Rows of this protocol cannot be named by Redis's clients. An item is a key of database 0 with a string.

mod base64;
mod binary;
pub mod counters;
pub(crate) mod crawl;
mod door;
mod flush;
mod item;
mod limit;
mod lines;
mod meta;
mod number;
pub(crate) mod parser;
mod rows;
pub(crate) mod stamp;
mod stats;
#[cfg(test)]
mod tests;
mod text;
pub(crate) mod watch;

pub(crate) use rows::COMMANDS;
pub use stats::Share;
pub(crate) use text::join_items;

/// The release of memcached whose replies these are: what clients that look at a version are told.
pub const COMPATIBLE_VERSION: &str = "1.6.18";
