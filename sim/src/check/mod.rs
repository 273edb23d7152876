//! The checkers, each a file. None of them changes the world.
//!
//! | file | holds |
//! |---|---|
//! | [`witness`] | who has said what and what became of it: each request is taken in order and runs where its keys lie, once; feeds the others |
//! | [`taking`] | a connection's next request, and what it means |
//! | [`running`] | what runs or goes on a shard, and who is told of it |
//! | [`blocking`] | the same for commands that wait: each wait ends once and in time, each line is kept |
//! | [`waits`] | who waits for which keys, in which order |
//! | [`under_way`] | where a request has run when it is answered |
//! | [`session`] | what a connection does alone: SELECT, MULTI and what it queues, WATCH |
//! | [`footprint`] | which keys of which shards a request touches |
//! | [`replay`] | what [`serial`] puts in order, run on the reference of one piece: every reply is what was heard |
//! | [`serial`] | one order explains everything, across shards and in real time; each connection keeps its own order on each key |
//! | [`expiry`] | no shard judges by another instant than the rules say, so no key is seen late or goes early |
//! | [`scan`] | a full scan returns every key that was there throughout |
//! | [`content`] | at rest the shards hold what the reference holds |
//! | [`snapshots`] | a file holds what the store held at its cut |
//! | [`accounting`] | counted bytes and keys equal a recount; tables are well formed |
//! | [`rest`] | when all is said nothing remains, and memory is back where it was |
//!
//! That replies are well formed, one to each request and in order, is held where they arrive: [`crate::dialogue`]. That rings keep
//! their bounds: [`crate::ring`]. That everything drains in time: [`crate::world`].

pub mod accounting;
mod blocking;
pub mod content;
pub mod expiry;
pub mod footprint;
pub mod replay;
pub mod rest;
mod running;
pub mod scan;
pub mod serial;
pub mod session;
pub mod snapshots;
pub mod stamps;
mod taking;
pub mod under_way;
pub mod waits;
pub mod witness;
