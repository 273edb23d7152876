//! The deterministic core of Darter: what the store does.
//!
//! It parses, executes and coordinates. It does not know clocks, sockets, files, threads or entropy: a driver
//! hands it events and carries out its effects.

mod admit;
mod ahead;
pub mod aof;
pub mod args;
mod awaited;
mod block;
mod clients;
pub mod command;
pub mod config;
pub mod database;
mod digest;
pub mod directs;
mod dispatch;
pub mod doorbell;
pub mod engine;
pub mod errand;
pub mod event;
pub mod eviction;
mod exec;
pub mod expire;
pub mod feed;
mod files;
mod gather;
pub mod geohash;
pub mod glob;
pub mod hash;
mod hop;
pub mod host;
pub mod latency;
pub mod limits;
mod line;
pub mod links;
mod listen;
pub mod memcached;
pub mod message;
pub mod mutant;
pub mod node;
pub mod part;
pub mod protocol;
pub mod quoting;
pub mod random;
pub mod rdb;
mod rest;
mod serve;
pub mod session;
pub mod sessions;
pub mod shard;
pub mod slowlog;
pub mod snapshot;
mod spare;
pub mod statistics;
pub mod table;
#[cfg(test)]
mod testing;
pub mod time;
mod together;
mod transact;
pub mod trash;
pub mod txn;
mod typed;
mod upkeep;
pub mod value;

pub use engine::{Engine, EngineConfig};

/// The release of this project.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The release of Redis whose replies these are: what clients that look at a version are told.
pub const COMPATIBLE_VERSION: &str = "7.4.0";
