//! What many commands that every core answers have in common.

use crate::args::Args;
use crate::node::Local;
use crate::part::Part;
use crate::protocol::reply::{Outcome, Reply};

/// Nothing can be wrong with the arguments but their number.
pub fn unchecked(_: &mut Local<'_>, _: Args<'_>) -> Outcome {
    Ok(())
}

/// `OK`, or the first failure of any core.
pub fn all_done(_: &mut Local<'_>, _: Args<'_>, parts: Vec<Part>, reply: &mut Reply<'_>) -> Outcome {
    match Part::failure(&parts) {
        Some(failure) => Err(failure.clone()),
        None => {
            reply.ok();
            Ok(())
        }
    }
}
