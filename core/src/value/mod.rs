//! How keys and values lie in memory.

pub mod access;
pub mod block;
mod bucket;
pub mod container;
pub mod detached;
pub mod element;
pub mod field;
pub mod hash;
pub mod hyperloglog;
pub mod intset;
pub mod list;
mod members;
pub mod note;
pub mod pack;
pub mod record;
pub mod set;
pub mod stream;
pub mod text;
mod thin;
pub mod zset;
