//! The deterministic core of Darter: what the store does.
//!
//! It parses, executes and coordinates. It does not know clocks, sockets, files, threads or entropy: a driver
//! hands it events and carries out its effects.

pub mod config;
pub mod doorbell;
pub mod engine;
pub mod event;
pub mod hash;
pub mod host;
pub mod limits;
pub mod message;
pub mod table;
pub mod time;

pub use engine::{Engine, EngineConfig};
