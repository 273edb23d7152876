//! A seeded world of cores and clients over the real engine, with faults and checkers.
//!
//! One thread, one heap of events, one virtual clock. A seed decides everything: how many cores and clients there are and which kinds
//! of faults happen ([`swarm`]), who says what and what goes wrong when ([`workload`], a [`plan`]), and how long everything takes. Then the
//! faults stop, everything must drain within a bound, and the world is taken apart: at the end nothing may be left.
//!
//! # The fault model
//! What can happen, and so must be survived:
//! - **A core** stands still for a while, or is slow; background work (`Slice`) is withheld from it.
//! - **A message** between two cores takes as long as it likes, and longer between one pair than between another. It is never lost, never
//!   doubled, and never overtakes one of the same pair. A ring holds twice the credits and not one message more.
//! - **Input** arrives cut at any byte, many requests at once or one in many pieces.
//! - **Output** leaves in parts, none at all included; a client reads nothing for a while; what is in flight must not move in memory.
//! - **A client** vanishes at any point, with requests half sent, answers on their way or output in flight; ends its sending half and
//!   reads on; says nonsense; comes back on the same index with a new generation.
//! - **The wall clock** is set, forward or back, by little or by much. The monotonic clock is right.
//! - **A client that waits** (BLPOP and the like) vanishes, ends its half, is ended by CLIENT UNBLOCK, or is served late because its core stands still.
//! - **The disk** refuses an operation before or after any of its steps, writes a part, is full for a while, cannot sync and forgets what it was to write,
//!   says that it has synced and has not. With the power it loses what is not synced, by blocks of 512 bytes or 4 KiB, and names whose directory is not.
//! - **The end** of everything, by a kill or a loss of power, comes at any moment, in the middle of a write or of an operation on files.
//!
//! What is outside the model: memory that runs out, cores that die alone, networks that alter bytes.
//!
//! # The end
//! When the plan is said, faults stop and everything must drain: timeouts pass by the virtual clock, and nothing remains but those who wait for ever, what
//! stands behind them in their pipelines, and their places in line. That is checked as a state of rest. Then one after the other is given
//! what it waits for, told to go on by CLIENT UNBLOCK, or vanishes, until all is said; so a plan may wait for ever as often as it likes. Last the
//! world is taken apart with nobody waiting, or with everybody: by the end of all clients, or of the server.
//!
//! # What is checked
//! See [`check`]. The reference is code of its own ([`reference`]), the decoder of replies too ([`decoder`]). What a set of worlds must
//! have met to be worth something stands in [`sometimes`]; faults planted to see whether they are found, in [`canary`].

pub mod abroad;
pub mod canary;
pub mod check;
pub mod client;
mod clients;
pub mod decoder;
pub mod dialogue;
pub mod dice;
pub mod disk;
mod endings;
pub mod machine;
mod moments;
pub mod plan;
pub mod reboot;
pub mod reference;
pub mod ring;
pub mod run;
pub mod scale;
mod seen;
pub mod sometimes;
pub mod swarm;
#[cfg(test)]
mod testing;
pub mod text;
pub mod trace;
mod turn;
pub mod wild;
pub mod workload;
pub mod world;
