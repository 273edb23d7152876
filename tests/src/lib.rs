//! A real process and real sockets: what black-box tests need to start Darter and to talk to it.
//!
//! Nothing of ours is imported, but for the simulator's reference, which is itself compared with redis-server. A test sees what a user
//! sees: a binary, a port, bytes.

pub mod append;
pub mod bench;
mod client;
pub mod line;
mod process;
mod random;
pub mod reply;
pub mod rest;
pub mod values;

pub use client::Client;
pub use process::{Server, binary, cpu_time, directory, free_port, repository};
pub use random::Random;
