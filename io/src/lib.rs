//! The driver of one core inside glommio: sockets, files, timers, and the mesh between cores.
//!
//! It sees events, effects and bytes. It does not know command names, keys or values.

mod append;
mod buffers;
mod clients;
mod clock;
mod commons;
mod connection;
mod crowd;
mod dialer;
mod directory;
mod disk;
mod driver;
mod growing;
mod listener;
mod mesh;
mod network;
mod parking;
mod process;
mod spin;

pub use listener::{BindError, Listener, bind_all};
pub use process::{Failure, Placing, Start, Stop, probe, run};
