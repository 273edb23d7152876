//! How keys and values lie in memory.

pub mod access;
pub mod block;
pub mod moving;
pub mod record;
