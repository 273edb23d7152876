//! What goes when memory is short, and how much memory there is.
//!
//! | file | knows |
//! |---|---|
//! | [`policy`] | the policies, and which of two keys goes first |
//! | [`pool`] | the best candidates of the last samples |
//! | [`sieve`] | the hand that goes around the table, for the policy that Redis does not have |
//! | [`victims`] | which key of a shard goes next, and its going |
//! | [`budget`] | which part of `maxmemory` each core may use |
//! | [`crowd`] | looking for what is due where a table is about to grow |
//! | [`room`] | making room before a command that grows, and in the background |

pub mod budget;
mod crowd;
pub mod policy;
pub mod pool;
pub mod room;
pub mod sieve;
pub mod victims;
