//! Faults that are planted on purpose: a simulator that does not find them finds nothing.
//!
//! They lie in the world around the engine. Faults inside the engine are the mutants of the models' package.

use darter_core::message::Message;
use darter_core::protocol::chunks::Chunks;

use crate::ring::Ring;

/// What is planted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Canary {
    /// Nothing.
    #[default]
    None,
    /// Delays depend on something outside the seed.
    Nondeterminism,
    /// An answer between two cores is lost.
    LostReply,
    /// An answer is that of an earlier request.
    StaleRead,
    /// A core's clock is late, so that its keys are.
    LateExpiry,
    /// Two answers change places.
    ReorderedReplies,
    /// A core says that it has pushed before it has.
    EarlySilence,
    /// A core takes out what has come before it reads how far tickets are stable.
    EarlyDrain,
}

impl Canary {
    /// All of them.
    pub const ALL: [Canary; 7] = [
        Canary::Nondeterminism,
        Canary::LostReply,
        Canary::StaleRead,
        Canary::LateExpiry,
        Canary::ReorderedReplies,
        Canary::EarlySilence,
        Canary::EarlyDrain,
    ];

    /// As it is named on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Canary::None => "none",
            Canary::Nondeterminism => "nondeterminism",
            Canary::LostReply => "lost-reply",
            Canary::StaleRead => "stale-read",
            Canary::LateExpiry => "late-expiry",
            Canary::ReorderedReplies => "reordered-replies",
            Canary::EarlySilence => "early-silence",
            Canary::EarlyDrain => "early-drain",
        }
    }

    /// The one of this name.
    pub fn of_name(name: &str) -> Option<Canary> {
        Canary::ALL.into_iter().chain([Canary::None]).find(|canary| canary.name() == name)
    }
}

/// Nanoseconds that nothing in the seed decides: they differ from process to process.
#[expect(clippy::disallowed_types, reason = "the canary's point is to break the rule")]
pub fn outside_nanos() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish() % 1_000
}

/// Answers seen so far on the rings that a canary tampers with.
#[derive(Debug, Default)]
pub struct Tampering {
    answers: u64,
    last_reply: Option<Chunks>,
}

/// Every so many answers are tampered with.
const EVERY: u64 = 20;

impl Tampering {
    /// After an answer was pushed: does to it what the canary does.
    pub fn pushed(&mut self, canary: Canary, ring: &mut Ring) {
        let Some(Message::Done { reply, .. }) = ring.last_mut() else { return };
        self.answers += 1;
        let this = reply.clone();
        let due = self.answers.is_multiple_of(EVERY);
        match canary {
            Canary::LostReply if due => {
                ring.pop_last();
            }
            Canary::StaleRead if due => {
                if let Some(last) = self.last_reply.take() {
                    *reply = last;
                }
            }
            Canary::ReorderedReplies => {
                if let Some((Message::Done { reply: one, .. }, Message::Done { reply: two, .. })) =
                    ring.last_two_mut()
                {
                    std::mem::swap(one, two);
                }
            }
            _ => {}
        }
        self.last_reply = Some(this);
    }
}
