//! The checkers, each a file. None of them changes the world.
//!
//! | file | holds |
//! |---|---|
//! | [`order`] | every reply is what the reference answers in the order in which the shards applied; each request runs once, in its connection's order on each shard, and between its saying and its reply |
//! | [`expiry`] | no shard judges by another instant than the rules say, so no key is seen late or goes early |
//! | [`replay`] | what [`serial`] puts in order, run on the reference of one piece: every reply is what was heard |
//! | [`serial`] | one order explains everything, across shards and in real time; each connection keeps its own order on each key |
//! | [`scan`] | a full scan returns every key that was there throughout |
//! | [`accounting`] | counted bytes and keys equal a recount; tables are well formed |
//! | [`rest`] | when all is said nothing remains, and memory is back where it was |
//!
//! That replies are well formed, one to each request and in order, is held where they arrive: [`crate::dialogue`]. That rings keep
//! their bounds: [`crate::ring`]. That everything drains in time: [`crate::world`].

pub mod accounting;
pub mod expiry;
pub mod order;
pub mod replay;
pub mod rest;
pub mod scan;
pub mod serial;
