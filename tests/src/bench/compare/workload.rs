//! What is measured beside each other, by name. It knows operations and sizes, no servers.

use std::sync::Arc;
use std::time::Duration;

use crate::bench::address::Address;
use crate::bench::check::Rules;
use crate::bench::command::{Command, Mix, Wording};
use crate::bench::cpus::Cpus;
use crate::bench::draw::Distribution;
use crate::bench::plan::{Extent, Load, Plan};
use crate::bench::protocol::Protocol;
use crate::bench::template::KeyNames;
use crate::bench::value::{Sizes, Values};

/// What a workload is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// CPU of an operation.
    Operations,
    /// Bytes of values for a second of CPU.
    Bytes,
    /// Latency at half of the first server's throughput.
    Open,
    /// Many connections that say nothing.
    Idle,
}

/// A workload.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// What it is called.
    pub name: &'static str,
    /// What is told by it.
    pub kind: Kind,
    /// The operation.
    pub operation: &'static str,
    /// Connections.
    pub connections: usize,
    /// Requests written at once.
    pub pipeline: usize,
    /// Bytes of a value and number of keys where they are not those of the command line.
    pub sizes: Option<(usize, u64)>,
}

const fn of(name: &'static str, operation: &'static str, connections: usize, pipeline: usize) -> Workload {
    Workload { name, kind: Kind::Operations, operation, connections, pipeline, sizes: None }
}

const fn large(
    name: &'static str,
    operation: &'static str,
    connections: usize,
    sizes: (usize, u64),
) -> Workload {
    Workload { name, kind: Kind::Bytes, operation, connections, pipeline: 1, sizes: Some(sizes) }
}

/// All of them.
pub const WORKLOADS: [Workload; 17] = [
    of("get", "get", 50, 1),
    of("set", "set", 50, 1),
    of("get-p30", "get", 50, 30),
    of("set-p30", "set", 50, 30),
    of("get-c1-p100", "get", 1, 100),
    of("incr-p30", "incr", 50, 30),
    of("mget10", "mget10", 50, 1),
    of("mset10", "mset10", 50, 1),
    of("mget24", "mget24", 50, 1),
    large("get-4k", "get", 50, (4_096, 10_000)),
    large("set-4k", "set", 50, (4_096, 10_000)),
    large("get-64k", "get", 16, (65_536, 1_000)),
    large("set-64k", "set", 16, (65_536, 1_000)),
    large("get-1m", "get", 8, (1_048_576, 100)),
    large("set-1m", "set", 8, (1_048_576, 100)),
    Workload { kind: Kind::Open, ..of("open", "get", 50, 1) },
    Workload { kind: Kind::Idle, ..of("idle", "get", 50, 1) },
];

/// What all workloads have in common.
#[derive(Clone, Debug)]
pub struct Common {
    /// Keys, where a workload has no number of its own.
    pub keys: u64,
    /// Bytes of a value, likewise.
    pub value: usize,
    /// How long a round is.
    pub time: Duration,
    /// What goes before it.
    pub warm_up: Duration,
    /// Threads of the generator.
    pub threads: usize,
    /// Where it runs.
    pub cpus: Cpus,
}

/// The plans of a workload for one server.
#[derive(Clone, Debug)]
pub struct Plans {
    /// Writes all keys.
    pub fill: Plan,
    /// Is measured.
    pub measure: Plan,
}

impl Workload {
    /// Those of these names, separated by commas; all if there are none.
    pub fn named(list: Option<&str>) -> Result<Vec<Workload>, String> {
        let Some(list) = list else { return Ok(WORKLOADS.to_vec()) };
        let find = |name: &str| {
            let found = WORKLOADS.iter().find(|workload| workload.name == name).copied();
            found.ok_or_else(|| {
                let names: Vec<&str> = WORKLOADS.iter().map(|workload| workload.name).collect();
                format!("{name:?} is none of {}", names.join(", "))
            })
        };
        list.split(',').filter(|name| !name.is_empty()).map(find).collect()
    }

    /// Bytes of its values.
    pub fn value(&self, common: &Common) -> usize {
        self.sizes.map_or(common.value, |(value, _)| value)
    }

    /// What is done to a server of this protocol. The error says that the protocol does not have it.
    pub fn plans(&self, protocol: Protocol, address: Address, common: &Common) -> Result<Plans, String> {
        let value = self.value(common);
        let keys = self.sizes.map_or(common.keys, |(_, keys)| keys);
        let shape = Shape { protocol, keys, key_len: 16, value, expiry: None };
        let (names, wording) = (shape.names()?, |names| shape.wording(names));
        let wording = wording(&names);
        let operation = wording.command(&wording.named(self.operation)?, 1)?;
        let fill = match (self.operation, protocol) {
            ("incr", Protocol::Memcached) => wording.command("set counter:__key__ 0 0 1\\r\\n0", 1)?,
            ("incr", _) => operation.clone(),
            _ => wording.fill()?,
        };
        let mut plan = shape.plan(address, operation, common)?;
        plan.connections = self.connections;
        plan.pipeline = self.pipeline;
        // A single connection has a single thread.
        plan.threads = common.threads.min(self.connections);
        Ok(Plans { fill: plan.filling(fill)?, measure: plan })
    }
}

/// Keys and values of a plan.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The language.
    pub protocol: Protocol,
    /// How many keys.
    pub keys: u64,
    /// Bytes of a key.
    pub key_len: usize,
    /// Bytes of a value.
    pub value: usize,
    /// Seconds that keys live.
    pub expiry: Option<u64>,
}

impl Shape {
    /// How keys are called.
    pub fn names(&self) -> Result<KeyNames, String> {
        KeyNames::new("key:", self.key_len, self.keys)
    }

    /// What commands have in common.
    pub fn wording<'a>(&self, names: &'a KeyNames) -> Wording<'a> {
        Wording { protocol: self.protocol, names, sizes: Sizes::of(self.value), expiry: self.expiry }
    }

    /// A plan with one command.
    pub fn plan(&self, address: Address, command: Command, common: &Common) -> Result<Plan, String> {
        let rules = Rules {
            protocol: self.protocol,
            names: self.names()?,
            values: Values::new(self.value),
            value_min: self.value,
            compare_values: true,
            // All keys were written and none ends: one that is missing was lost.
            misses_are_wrong: true,
        };
        Ok(Plan {
            address,
            rules: Arc::new(rules),
            mix: Mix::new(vec![command])?,
            keys: self.keys,
            distribution: Distribution::Uniform,
            connections: common.threads,
            pipeline: 1,
            threads: common.threads,
            load: Load::Closed,
            extent: Extent::Time(common.time),
            warm_up: common.warm_up,
            seed: 1,
            cpus: Some(common.cpus.clone()),
            spin: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn common() -> Common {
        Common {
            keys: 1_000,
            value: 64,
            time: Duration::from_secs(1),
            warm_up: Duration::ZERO,
            threads: 2,
            cpus: Cpus::new(vec![0]),
        }
    }

    #[test]
    fn every_workload_has_plans_that_can_be_done() {
        for workload in WORKLOADS {
            for protocol in [Protocol::Resp, Protocol::Memcached, Protocol::Meta] {
                let plans = workload.plans(protocol, Address::local(1), &common());
                let lacks = matches!(
                    (protocol, workload.operation),
                    (Protocol::Memcached, "mset10") | (Protocol::Meta, "mset10" | "mget10" | "mget24")
                );
                assert_eq!(plans.is_err(), lacks, "{} {protocol:?}: {:?}", workload.name, plans.err());
                if let Ok(plans) = plans {
                    plans.fill.check().expect(workload.name);
                    plans.measure.check().expect(workload.name);
                    assert_eq!(plans.fill.extent, Extent::Requests(plans.measure.keys));
                }
            }
        }
    }

    #[test]
    fn workloads_have_names() {
        assert_eq!(Workload::named(None).expect("all").len(), WORKLOADS.len());
        let two = Workload::named(Some("get,set-1m")).expect("two");
        assert_eq!(two.iter().map(|workload| workload.name).collect::<Vec<_>>(), ["get", "set-1m"]);
        assert!(Workload::named(Some("got")).is_err());
        assert_eq!(Workload::named(Some("")).expect("none").len(), 0);
    }
}
