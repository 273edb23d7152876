//! `darter-bench`: the instrument by which anybody may repeat what is said about the speed of Darter and of others. It speaks to a
//! server through a socket like any client and knows nothing of ours.
//!
//! `docs/BENCHMARKING.md` says how it is used and how it measures. From the bottom up: keys and values ([`draw`], [`value`]), commands
//! ([`template`], [`command`]), replies ([`frame`], [`check`], [`tally`]), the hot loop ([`pace`], [`connection`], [`generator`]), runs
//! and what they find ([`plan`], [`run`], [`latency`], [`observe`]), servers to compare ([`floor`], [`compare`]),
//! caches to compare ([`trace`]).

pub mod address;
pub mod check;
pub mod command;
pub mod compare;
pub mod connection;
pub mod cpus;
pub mod draw;
pub mod epoll;
pub mod flags;
pub mod floor;
pub mod frame;
pub mod generator;
pub mod interrupt;
pub mod latency;
pub mod machine;
pub mod observe;
pub mod outbox;
pub mod pace;
pub mod page;
pub mod perform;
pub mod plan;
pub mod protocol;
pub mod report;
pub mod run;
pub mod statistics;
pub mod svg;
pub mod tally;
pub mod template;
pub mod trace;
pub mod value;
