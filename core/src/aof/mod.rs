//! The append-only log: what changes keys is written down before anybody hears of it, and read again at the start.
//!
//! Each core writes a log of its own, one group of lines a turn, before any reply or message of that turn leaves ([`pen`]). A line is about one
//! key ([`line`]), so that logs of so many shards can be read back into any number. What a command has changed is gathered while it runs
//! ([`changes`]) and turned into lines when it has ([`scribe`]). What others may hear of a transaction only when the log has it waits in `held`. The keeper, core 0, knows which files there are ([`manifest`]), reads them at the
//! start ([`recover`]: how much of them counts, [`survey`], `judge`; to the shards, `deal`, [`replay`]; what Redis has written, [`commands`],
//! [`adopt`]), and replaces them by a snapshot and new ones now and then ([`rewrite`]). Once a second it marks a moment in all logs ([`marks`]). DEBUG LOADAOF
//! has it read them back while they are written ([`reload`], `former`).
//!
//! See `docs/PERSISTENCE.md`.

pub mod adopt;
pub mod changes;
pub mod commands;
mod data;
mod deal;
pub(crate) mod former;
pub mod group;
pub(crate) mod held;
pub mod inflow;
mod judge;
pub mod line;
pub mod manifest;
pub mod marks;
pub mod pen;
pub mod reader;
pub mod recover;
pub mod reload;
pub mod replay;
pub mod rewrite;
pub mod scribe;
pub mod survey;

#[cfg(test)]
mod tests;
