//! Direct operations under back-pressure: requests to other cores hold credits, who finds none waits, replies keep their order, and a
//! client may vanish at any time.
//!
//! Acyclic but for waiting in line, so that what must happen in the end can be said of states without a successor.

use darter_core::event::{CoreId, Event};
use stateright::{Model, Property};

use crate::state::{State, World};

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A client connects in the place of one that is gone.
    Open(usize),
    /// A client's next piece arrives.
    Arrive(usize),
    /// The end of what a client sends arrives.
    End(usize),
    /// A client's rest is presented again.
    Again(usize),
    /// A client reads everything that is there.
    Read(usize),
    /// A client reads one byte.
    ReadByte(usize),
    /// A client vanishes.
    Vanish(usize),
    /// The engine is told that a client is gone.
    Gone(usize),
    /// A core handles the next message of another.
    Receive {
        /// The sender.
        from: u16,
        /// The receiver.
        to: u16,
    },
    /// A core for which nothing is under way learns what is stable.
    Settle(u16),
}

/// The model.
#[derive(Clone, Debug)]
pub struct Pressure {
    /// Cores, credits, clients.
    pub world: World,
    /// Situations that must be met.
    pub sometimes: Vec<&'static str>,
}

/// A ring held as much as it can.
pub const RING_FULL: &str = "a ring is full";
/// A client found no credit.
pub const PARKED: &str = "a client waits for a credit";
/// A client that waited goes on.
pub const RESUMED: &str = "a client that waited goes on";
/// A reply is ready behind one that is not.
pub const BEHIND: &str = "a reply waits behind a remote one";
/// An answer is on its way to nobody.
pub const TO_NOBODY: &str = "an answer is on its way to a client that is gone";
/// Everybody has heard everything.
pub const ALL_HEARD: &str = "everybody has heard everything";

impl Model for Pressure {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let world = &self.world;
        let mut state = State::new(world.cores, world.credits, world.scripts.len());
        for client in (0..world.scripts.len()).filter(|&client| world.scripts[client].after.is_none()) {
            state.open(client, world);
        }
        vec![state]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        if state.wrong.is_some() {
            return;
        }
        for (client, (script, side)) in self.world.scripts.iter().zip(&state.sides).enumerate() {
            if !side.open {
                let is_free = script.after.is_some_and(|before| state.sides[before].gone);
                steps.extend(is_free.then_some(Step::Open(client)));
                continue;
            }
            if side.gone {
                continue;
            }
            if side.closing {
                steps.push(Step::Gone(client));
                continue;
            }
            if side.arrived < script.pieces.len() {
                steps.push(Step::Arrive(client));
            } else if script.half_closes && !side.ended {
                steps.push(Step::End(client));
            }
            steps.extend(side.again.then_some(Step::Again(client)));
            if side.has_output {
                steps.push(Step::Read(client));
                steps.extend((side.small_reads < script.small_reads).then_some(Step::ReadByte(client)));
            }
            steps.extend(script.may_vanish.then_some(Step::Vanish(client)));
        }
        for (from, row) in state.rings.iter().enumerate() {
            for (to, _) in row.iter().enumerate().filter(|(_, ring)| !ring.is_empty()) {
                steps.push(Step::Receive { from: from as u16, to: to as u16 });
            }
        }
        for (core, engine) in state.engines.iter().enumerate() {
            let is_drained = state.rings.iter().all(|row| row[core].is_empty());
            steps.extend((engine.has_unstable() && is_drained).then_some(Step::Settle(core as u16)));
        }
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let (mut state, world) = (last.clone(), &self.world);
        match step {
            Step::Open(client) => state.open(client, world),
            Step::Arrive(client) => {
                let side = &mut state.sides[client];
                let piece = &world.scripts[client].pieces[side.arrived];
                side.arrived += 1;
                if side.paused {
                    side.rest.extend_from_slice(piece);
                } else {
                    state.feed(client, piece, world);
                }
            }
            Step::End(client) => {
                state.sides[client].ended = true;
                let (core, conn) = world.conn(client);
                state.handle(core, Event::Ended { conn }, world);
            }
            Step::Again(client) => state.feed(client, &[], world),
            Step::Read(client) => state.read(client, false, world),
            Step::ReadByte(client) => state.read(client, true, world),
            Step::Vanish(client) => {
                state.sides[client].vanished = true;
                state.sides[client].closing = true;
            }
            Step::Gone(client) => {
                let side = &mut state.sides[client];
                (side.gone, side.rest, side.has_output, side.again) = (true, Vec::new(), false, false);
                let (core, conn) = world.conn(client);
                state.handle(core, Event::Closed { conn }, world);
            }
            Step::Receive { from, to } => {
                let message = state.rings[usize::from(from)][usize::from(to)].pop_front()?;
                state.handle(CoreId(to), Event::Message { from: CoreId(from), message }, world);
            }
            Step::Settle(core) => {
                let below = state.tickets.limit();
                state.handle(CoreId(core), Event::Stable { below }, world);
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Pressure>> {
        let mut properties = vec![
            Property::always("bounds and assertions hold", |_, state: &State| state.wrong.is_none()),
            Property::always("each request has its reply, in order", replies_are_right),
            Property::always("counters are counted once", counters_are_linear),
            Property::always("nobody is stuck", nobody_is_stuck),
        ];
        let sometimes: [Property<Pressure>; 6] = [
            Property::sometimes(RING_FULL, |model, state: &State| {
                state.rings.iter().flatten().any(|ring| ring.len() >= 2 * model.world.credits)
            }),
            Property::sometimes(PARKED, |_, state: &State| {
                state.engines.iter().any(|engine| engine.node().links.parked() > 0)
            }),
            Property::sometimes(RESUMED, |_, state: &State| {
                state.sides.iter().any(|side| side.again && !side.rest.is_empty())
            }),
            Property::sometimes(BEHIND, |_, state: &State| {
                let sessions = state.engines.iter().flat_map(|engine| engine.sessions().iter());
                sessions.into_iter().any(|session| session.output_len() > session.outbox.len())
            }),
            Property::sometimes(TO_NOBODY, |_, state: &State| {
                let gone = state.sides.iter().any(|side| side.gone);
                gone && state.engines.iter().any(|engine| engine.node().links.outstanding() > 0)
            }),
            Property::sometimes(ALL_HEARD, |model, state: &State| {
                model.world.scripts.iter().zip(&state.sides).all(|(script, side)| {
                    script.hear(&side.heard).is_ok_and(|heard| heard.replies == script.replies.len())
                })
            }),
        ];
        properties.extend(sometimes.into_iter().filter(|property| self.sometimes.contains(&property.name)));
        properties
    }
}

fn replies_are_right(model: &Pressure, state: &State) -> bool {
    model.world.scripts.iter().zip(&state.sides).all(|(script, side)| {
        let Ok(heard) = script.hear(&side.heard) else { return false };
        // Whom the engine closes has heard everything first.
        side.vanished || !side.closing || heard.replies == script.replies.len()
    })
}

fn counters_are_linear(model: &Pressure, state: &State) -> bool {
    let mut all: Vec<(usize, u64)> = Vec::new();
    for (script, side) in model.world.scripts.iter().zip(&state.sides) {
        let heard = script.hear(&side.heard).unwrap_or_default().counters;
        let grows = |counter| {
            let own: Vec<u64> =
                heard.iter().filter(|(c, _)| *c == counter).map(|(_, value)| *value).collect();
            own.windows(2).all(|pair| pair[0] < pair[1])
        };
        if !heard.iter().all(|(counter, _)| grows(*counter)) {
            return false;
        }
        all.extend(heard);
    }
    let heard = all.len();
    all.sort_unstable();
    all.dedup();
    all.len() == heard
}

/// If nothing can happen, everybody who has not vanished has heard everything, and nothing is left of it anywhere.
fn nobody_is_stuck(model: &Pressure, state: &State) -> bool {
    let mut steps = Vec::new();
    model.actions(state, &mut steps);
    if !steps.is_empty() || state.wrong.is_some() {
        // A client that could still vanish can wait: it is the others' progress that must not depend on it.
        return steps.iter().any(|step| !matches!(step, Step::Vanish(_)))
            || state.wrong.is_some()
            || is_finished(model, state);
    }
    is_finished(model, state)
}

fn is_finished(model: &Pressure, state: &State) -> bool {
    let heard = model.world.scripts.iter().zip(&state.sides).all(|(script, side)| {
        let replies = script.hear(&side.heard).map(|heard| heard.replies);
        let ends = script.quits || script.half_closes;
        side.vanished
            || !side.open
            || replies == Ok(script.replies.len()) && side.rest.is_empty() && side.gone == ends
    });
    heard && state.is_at_rest()
}
