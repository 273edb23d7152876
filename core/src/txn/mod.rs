//! Work that touches more than one shard: in which order it takes effect.
//!
//! It orders work. It does not know what a key's value is.

pub mod stability;
