//! Hostile bytes and operation sequences. Each file holds what must be true of one target, whatever the bytes; the targets in
//! `fuzz_targets/` only call it, and the tests call it with chance instead of a fuzzer.

pub mod commands;
pub mod config;
pub mod dictionary;
pub mod memcached;
pub mod resp;
