//! The worlds in which the model is explored, each for a danger of its own.

use std::sync::Arc;

use darter_core::aof::pen::SyncPolicy;
use darter_core::hash::KeyHasher;

use super::world::{Client, HELD, LOST, OVER, PARTIAL, Persistence, REWRITTEN, SAVED, SAVED_LATE};
use crate::state::HASH_SEEDS;

/// A scenario.
#[derive(Clone)]
pub struct Scenario {
    /// What it is about.
    pub name: &'static str,
    /// The model.
    pub model: Persistence,
    /// How many different states it has.
    pub states: usize,
}

/// A key that lies on a shard, with a name that begins so.
fn key(name: &str, shard: u16, cores: u16) -> String {
    let hasher = KeyHasher::new(HASH_SEEDS);
    let mut keys = (0..).map(|n| format!("{name}{n}"));
    keys.find(|key| hasher.hash(key.as_bytes()).shard(cores) == shard).unwrap_or_default()
}

/// A world whose pair lies on these two shards, `z` beside its first. In requests `x`, `y` and `z` stand for the keys.
fn model(
    cores: u16,
    policy: Option<SyncPolicy>,
    (x, y): (u16, u16),
    clients: &[(u16, &[&str])],
    sometimes: &[&'static str],
) -> Persistence {
    let names = [("x", key("x", x, cores)), ("y", key("y", y, cores)), ("z", key("z", x, cores))];
    let says = |text: &&str| {
        let word = |word: &str| {
            let name = names.iter().find(|(name, _)| *name == word);
            name.map_or(word.to_string(), |(_, key)| key.clone())
        };
        text.split(' ').map(word).collect::<Vec<_>>().join(" ")
    };
    let clients: Vec<Client> = clients
        .iter()
        .map(|(core, texts)| Client { core: *core, says: texts.iter().map(says).collect() })
        .collect();
    // Beside a rewrite a mark would make a world too large.
    let is_marked = !clients.iter().any(|client| client.says[0] == "BGREWRITEAOF");
    Persistence {
        cores,
        policy,
        clients,
        is_marked,
        fails: None,
        sometimes: sometimes.to_vec(),
        recoveries: Arc::default(),
    }
}

/// The same, with a core whose log cannot be written for a while, and no mark before there is room again.
fn failing(core: u16, model: Persistence) -> Persistence {
    Persistence { fails: Some(core), is_marked: false, ..model }
}

/// All scenarios.
pub fn all() -> Vec<Scenario> {
    let (always, second) = (Some(SyncPolicy::Always), Some(SyncPolicy::EverySecond));
    vec![
        Scenario {
            name: "always: MSETxy; SETz",
            model: model(2, always, (0, 1), &[(0, &["MSET x 1 y 1", "SET z 1"])], &[PARTIAL, OVER]),
            states: 196,
        },
        Scenario {
            name: "everysec: MSETxy; SETz; WAITAOF",
            model: model(
                2,
                second,
                (0, 1),
                &[(1, &["MSET x 1 y 1", "SET z 1", "WAITAOF 1 0 0"])],
                &[LOST, PARTIAL, OVER],
            ),
            states: 6_964,
        },
        Scenario {
            name: "everysec, 3: MSETxy of a core that has neither; SETz, beside a mark",
            model: model(3, second, (1, 2), &[(0, &["MSET x 1 y 1", "SET z 1"])], &[LOST, PARTIAL, OVER]),
            states: 84_786,
        },
        Scenario {
            name: "everysec: the log is written anew | MSETxy",
            model: model(
                2,
                second,
                (0, 1),
                &[(0, &["BGREWRITEAOF"]), (1, &["MSET x 1 y 1"])],
                &[LOST, PARTIAL, REWRITTEN, OVER],
            ),
            states: 7_802,
        },
        Scenario {
            name: "always: the log is written anew | MSETxy",
            model: model(
                2,
                always,
                (0, 1),
                &[(0, &["BGREWRITEAOF"]), (1, &["MSET x 1 y 1"])],
                &[PARTIAL, REWRITTEN, OVER],
            ),
            states: 7_802,
        },
        Scenario {
            name: "everysec: MSETxy; SETz, while another core's log has no room",
            model: failing(
                1,
                model(2, second, (0, 1), &[(0, &["MSET x 1 y 1", "SET z 1"])], &[LOST, PARTIAL, HELD, OVER]),
            ),
            states: 6_070,
        },
        Scenario {
            name: "everysec: MSETxy | COPYxz, while the first one's log has no room",
            model: failing(
                1,
                model(
                    2,
                    second,
                    (0, 1),
                    &[(1, &["MSET x 1 y 1"]), (0, &["COPY x z"])],
                    &[LOST, PARTIAL, HELD, OVER],
                ),
            ),
            states: 31_885,
        },
        Scenario {
            name: "cut: MSETxy; BGSAVE | MSETxy; SETz",
            model: model(
                2,
                None,
                (0, 1),
                &[(0, &["MSET x 1 y 1", "BGSAVE"]), (1, &["MSET x 2 y 2", "SET z 1"])],
                &[SAVED, SAVED_LATE, OVER],
            ),
            states: 20_851,
        },
        Scenario {
            name: "cut: MSETxy; BGSAVE; FLUSHALL",
            model: model(2, None, (0, 1), &[(0, &["MSET x 1 y 1", "BGSAVE", "FLUSHALL"])], &[SAVED, OVER]),
            states: 4_265,
        },
    ]
}
