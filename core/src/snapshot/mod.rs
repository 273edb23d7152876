//! Snapshots without fork: all keys of all shards as of one moment, in one file, while clients go on.
//!
//! The moment is a transaction over all shards, the *cut*. From then on each shard walks through its databases in steps ([`walk`], at a `pace` that leaves room for clients) and sends what
//! it writes in parts ([`saving`]) to the *keeper*, core 0, which puts them into the file as they come ([`keeper`]). Every core knows from the
//! keeper how things stand ([`status`]) and tells its clients ([`asks`]). At the start the keeper reads the file, finds out where each key ends,
//! and hands keys to the shards that own them ([`load`]).
//!
//! See `docs/PERSISTENCE.md`.

pub mod asks;
pub mod batch;
pub mod keeper;
pub mod load;
pub mod moment;
mod pace;
mod pieces;
mod progress;
pub mod saving;
pub mod status;
pub mod timetable;
pub mod walk;
