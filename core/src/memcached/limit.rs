//! `cache_memlimit`: how much memory there may be, for all protocols, as CONFIG SET maxmemory says it.
//!
//! It knows the request's unit. What follows from less memory, the policy of eviction and the budget of each core decide.

use super::number;
use super::text::is_quiet;
use crate::args::Args;
use crate::node::{Asked, Local};
use crate::part::Part;
use crate::protocol::reply::{Outcome, Reply};

/// The fewest megabytes that the request takes.
pub(super) const MEGABYTES_MIN: u32 = 8;
/// The most, since more can only have been meant as bytes.
pub(super) const MEGABYTES_MAX: u32 = 1_000_000_000;

/// One core takes over the limit.
pub(super) fn part(asked: &mut Asked<'_>, args: Args<'_>) -> Part {
    let node = &mut *asked.node;
    let megabytes = number::unsigned_32(args.at(1)).unwrap_or(MEGABYTES_MIN);
    let value = format!("{megabytes}mb");
    node.changes.apply(&mut node.settings, &[(&b"maxmemory"[..], value.as_bytes())], asked.stamp);
    node.settings_changed();
    Part::Done
}

/// All have.
pub(super) fn done(_: &mut Local<'_>, args: Args<'_>, _: Vec<Part>, reply: &mut Reply<'_>) -> Outcome {
    if !is_quiet(args) {
        reply.raw(b"OK\r\n");
    }
    Ok(())
}
