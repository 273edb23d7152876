//! In which order a core touches what all cores share: when it flushes, and when it learns what is stable.
//!
//! It knows orders only. It does not know tickets nor rings; drivers that let others act between two steps go by it.

use crate::mutant::planted;

/// A step of a flush that has tickets to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flush {
    /// Says the lowest ticket that it may push: [`super::stability::Tickets::announce`].
    Announce,
    /// Draws the tickets.
    Draw,
    /// Pushes everything that waits for it, one by one.
    Push,
    /// Takes its word back: [`super::stability::Tickets::pushed`].
    Withdraw,
}

impl Flush {
    /// All steps in their order.
    pub fn order() -> [Flush; 4] {
        use Flush::{Announce, Draw, Push, Withdraw};
        if planted("a ticket is announced after it was drawn") {
            return [Draw, Announce, Push, Withdraw];
        }
        if planted("a core is silent before it has pushed") {
            return [Announce, Draw, Withdraw, Push];
        }
        [Announce, Draw, Push, Withdraw]
    }
}

/// A step of learning what is stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Learn {
    /// Reads the counter, then what every core says.
    Observe,
    /// Drains all rings and handles what was in them.
    Drain,
    /// Goes by what was observed: [`crate::event::Event::Stable`].
    Apply,
}

impl Learn {
    /// All steps in their order.
    pub fn order() -> [Learn; 3] {
        use Learn::{Apply, Drain, Observe};
        if planted("a limit is raised before the rings are drained") {
            return [Observe, Apply, Drain];
        }
        if planted("the rings are drained before the limit is observed") {
            return [Drain, Observe, Apply];
        }
        [Observe, Drain, Apply]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stands_while_there_is_something_to_push_and_a_limit_waits_for_the_drain() {
        let place = |step| Flush::order().iter().position(|other| *other == step);
        assert!(place(Flush::Announce) < place(Flush::Draw) && place(Flush::Draw) < place(Flush::Push));
        assert!(place(Flush::Push) < place(Flush::Withdraw));
        assert_eq!(Learn::order(), [Learn::Observe, Learn::Drain, Learn::Apply]);
    }
}
