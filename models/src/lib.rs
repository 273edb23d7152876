//! Every interleaving of small instances of the engine's protocols.
//!
//! A model's state is made of real engines; a step clones the one that acts and lets it handle one event. There is no transition logic
//! here: messages are forwarded and never looked into. What a model proves, it proves about the code that serves.
//!
//! | file | holds |
//! |---|---|
//! | [`state`] | engines, the queues between them, clients: what a step changes |
//! | [`script`] | what clients say and must hear |
//! | [`pressure`] | the model of direct operations under back-pressure, and its properties |
//! | [`scenarios`] | the worlds it is explored in |

pub mod coordination;
pub mod persistence;
pub mod pressure;
pub mod scenarios;
pub mod script;
pub mod state;
pub mod walk;
