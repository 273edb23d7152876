//! Transactions over shards, every interleaving: real engines whose turns and flushes are cut at each access to what cores share.
//!
//! A core's turn reads the ticket counter, looks at the word of each other core, drains each ring and then learns what is stable; its flush
//! says its word, draws, pushes message by message, and takes its word back. Between any two of these all other cores may do
//! anything. Clients say the requests of their programs, at any moment or when all before was answered.
//!
//! | file | holds |
//! |---|---|
//! | [`program`] | what clients ask for, and which keys that touches |
//! | [`world`] | a state, and what a step changes: the driver's part |
//! | [`recall`] | what engines did: production code, run once for each engine and event |
//! | [`history`] | the edges of an order that explains everything |
//! | [`replay`] | that order, run on a store of one piece |
//! | [`waits`] | clients that wait for elements: their lines, and how a wait ends |
//! | [`expiry`] | keys whose time comes, or does not |
//! | [`met`] | situations that must be met |
//! | [`scenarios`] | the worlds that are explored |
//! | [`lines`] | those of clients that wait for elements |
//! | [`records`] | how large they are, and what is met in them |
//! | [`random`] | random worlds under random schedules |

pub mod expiry;
pub mod history;
pub mod lines;
pub mod met;
pub mod program;
pub mod random;
pub mod recall;
pub mod records;
pub mod replay;
pub mod scenarios;
pub mod waits;
pub mod world;

use stateright::{Model, Property};

use expiry::EXPIRED;
use history::{PARTS, PER_KEY, SERIAL};
use waits::{ENDS, FIRST, WAITS};
use world::{BOUNDS, REPLIES, STUCK, State, Step, TURNS, World};

/// The model.
pub struct Coordination {
    /// What does not change.
    pub world: World,
}

impl Model for Coordination {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![self.world.start()]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        state.steps(&self.world, steps);
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let next = last.after(&self.world, step);
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Coordination>> {
        vec![
            Property::always(BOUNDS, |_, state: &State| state.wrong != Some(BOUNDS)),
            Property::always(SERIAL, |_, state: &State| state.wrong != Some(SERIAL)),
            Property::always(PER_KEY, |_, state: &State| state.wrong != Some(PER_KEY)),
            Property::always(PARTS, |_, state: &State| state.wrong != Some(PARTS)),
            Property::always(STUCK, |_, state: &State| state.wrong != Some(STUCK)),
            Property::always(REPLIES, |_, state: &State| state.wrong != Some(REPLIES)),
            Property::always(TURNS, |_, state: &State| state.wrong != Some(TURNS)),
            Property::always(EXPIRED, |_, state: &State| state.wrong != Some(EXPIRED)),
            Property::always(ENDS, |_, state: &State| state.wrong != Some(ENDS)),
            Property::always(WAITS, |_, state: &State| state.wrong != Some(WAITS)),
            Property::always(FIRST, |_, state: &State| state.wrong != Some(FIRST)),
        ]
    }
}
