//! Work that touches more than one shard: in which order it takes effect.
//!
//! It orders work. It does not know what a key's value is.

pub mod calls;
pub mod coordinator;
pub mod intent;
mod locks;
pub mod pieces;
pub mod queue;
pub mod stability;
pub mod turn;
pub mod waiters;
pub mod watch;
pub mod work;
