//! Logs, marks, snapshots and rewrites, and what is read back if everything ends at any moment.
//!
//! | file | holds |
//! |---|---|
//! | [`world`] | the model: cores, clients, operations on files |
//! | [`files`] | what a kill and a loss of power leave, and what is read back from it |
//! | [`scenarios`] | the worlds in which it is explored |

pub mod files;
pub mod scenarios;
pub mod world;
