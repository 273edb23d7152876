//! Snapshots without fork: all keys of all shards as of one moment, in one file, while clients go on.
//!
//! The moment is a transaction over all shards, the *cut*. From then on each shard walks through its databases in steps ([`walk`]).

pub mod walk;
