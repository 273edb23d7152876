//! How keys and values lie in memory.

pub mod access;
pub mod block;
pub mod container;
pub mod detached;
pub mod element;
pub mod list;
pub mod pack;
pub mod record;
pub mod zset;
