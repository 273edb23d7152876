//! What a run is to do: everything that a generator needs, and nothing that it finds out.

use std::sync::Arc;
use std::time::Duration;

use super::address::Address;
use super::check::Rules;
use super::command::{Command, Mix};
use super::cpus::Cpus;
use super::draw::Distribution;
use super::pace::Arrivals;

/// When the next request is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Load {
    /// When all those before it on its connection have been answered.
    Closed,
    /// When it is due, so many a second on all connections together.
    Open {
        /// Requests a second.
        rate: f64,
        /// How far they are apart.
        arrivals: Arrivals,
    },
}

/// When a run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// After this time.
    Time(Duration),
    /// After so many requests.
    Requests(u64),
}

/// A run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The server.
    pub address: Address,
    /// How replies are judged.
    pub rules: Arc<Rules>,
    /// What is asked.
    pub mix: Mix,
    /// How many keys there are.
    pub keys: u64,
    /// How they are drawn.
    pub distribution: Distribution,
    /// Connections of all threads together.
    pub connections: usize,
    /// In a closed loop, how many requests are written at once; in an open one, how many may be in flight on a connection.
    pub pipeline: usize,
    /// Generators.
    pub threads: usize,
    /// When requests are sent.
    pub load: Load,
    /// When it is over, the warm-up not counted.
    pub extent: Extent,
    /// What is done before anything is measured.
    pub warm_up: Duration,
    /// Of all that is drawn.
    pub seed: u64,
    /// Where the generators run.
    pub cpus: Option<Cpus>,
    /// Whether they ask for what is ready without ever sleeping.
    pub spin: bool,
}

/// Connections that fill a server.
const FILLING: usize = 8;
/// Bytes that one of them sends at once.
const FILLING_BYTES: usize = 64 * 1_024;

impl Plan {
    /// The same with every key written once, and nothing else done.
    pub fn filling(&self, command: Command) -> Result<Plan, String> {
        let pipeline = FILLING_BYTES / (command.template.value_max() + self.rules.names.len() + 50);
        Ok(Plan {
            mix: Mix::new(vec![Command { weight: 1, ..command }])?,
            distribution: Distribution::Sequential,
            connections: FILLING,
            pipeline: pipeline.max(1),
            threads: 1,
            load: Load::Closed,
            extent: Extent::Requests(self.keys),
            warm_up: Duration::ZERO,
            spin: false,
            ..self.clone()
        })
    }

    /// What cannot be done, said before it is tried.
    pub fn check(&self) -> Result<(), String> {
        let complain = |wrong: bool, text: &str| if wrong { Err(text.to_string()) } else { Ok(()) };
        complain(self.keys == 0, "there must be a key")?;
        complain(self.threads == 0 || self.threads > self.connections, "every thread needs a connection")?;
        complain(self.pipeline == 0 || self.pipeline > 1_000_000, "a pipeline is 1 to 1,000,000 deep")?;
        complain(self.mix.value_max() > self.rules.values.len_max(), "values are larger than was said")?;
        if let Load::Open { rate, .. } = self.load {
            complain(!(rate > 0.0 && rate < 1e9), "a rate is above 0 and below a billion a second")?;
        }
        Ok(())
    }
}
