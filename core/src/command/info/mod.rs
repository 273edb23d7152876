//! INFO: the sum of what all cores count, in the sections and under the names of Redis 7, so that every tool that reads them finds
//! what it looks for. What Redis does not have stands at the end, under the heading Darter.
//!
//! | file | knows |
//! |---|---|
//! | `mod.rs` | which sections there are and which are asked for |
//! | `collect.rs` | one core's share |
//! | `process.rs` | Server, Persistence, Replication, CPU, Darter |
//! | `memory.rs` | Memory, and the figures that MEMORY STATS shows too |
//! | `traffic.rs` | Clients, Stats, Keyspace, Transactions |
//! | `calls.rs` | Commandstats, Errorstats, Latencystats |

mod calls;
pub(super) mod collect;
pub(super) mod memory;
mod process;
mod traffic;

use std::fmt::Display;

use super::gathered::unchecked;
use super::row::{Command, Example, Flags, Run};
use crate::args::Args;
use crate::node::{Local, Node};
use crate::part::Part;
use crate::protocol::reply::{Outcome, Reply};
use crate::statistics::CoreStatistics;
use collect::Collected;

/// This family's rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "info",
    arity: -1,
    flags: Flags::LOADING.or(Flags::STALE),
    summary: "Returns information and statistics about the server.",
    syntax: "[section [section ...]]",
    examples: &[Example { call: "INFO server", reply: "*" }, Example { call: "INFO cluster", reply: "*" }],
    run: Run::Gather { whole: None, check: unchecked, part: |asked, _| collect::part(asked), merge },
    ..Command::DEFAULT
}];

/// When a section is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// When nothing else is said.
    Default,
    /// With `all` and `everything`.
    All,
}

/// Writes the lines of a section.
type Write = fn(&mut Section<'_>);

/// The sections in the order in which they are shown.
const SECTIONS: &[(&str, Shown, Write)] = &[
    ("Server", Shown::Default, process::server),
    ("Clients", Shown::Default, traffic::clients),
    ("Memory", Shown::Default, memory::section),
    ("Persistence", Shown::Default, process::persistence),
    ("Stats", Shown::Default, traffic::stats),
    ("Replication", Shown::Default, process::replication),
    ("CPU", Shown::Default, process::cpu),
    ("Modules", Shown::Default, |_| {}),
    ("Commandstats", Shown::All, calls::commands),
    ("Errorstats", Shown::Default, calls::errors),
    ("Latencystats", Shown::All, calls::latencies),
    ("Cluster", Shown::Default, process::cluster),
    ("Keyspace", Shown::Default, traffic::keyspace),
    ("Transactions", Shown::Default, traffic::transactions),
    ("Darter", Shown::Default, process::darter),
];

/// A section being written, and what it may tell.
struct Section<'a> {
    text: &'a mut String,
    /// The core that writes.
    node: &'a Node,
    /// Of all cores.
    sum: &'a CoreStatistics,
    /// Of each core.
    cores: &'a [CoreStatistics],
}

impl Section<'_> {
    /// One line.
    fn field(&mut self, name: impl Display, value: impl Display) {
        self.text.push_str(&format!("{name}:{value}\r\n"));
    }

    /// Lines that are the same in every server of this kind, as there is nothing behind them yet.
    fn fixed(&mut self, fields: &[(&str, &str)]) {
        for (name, value) in fields {
            self.field(name, value);
        }
    }
}

fn is_wanted(args: Args<'_>, name: &str, shown: Shown) -> bool {
    let words = args.skip(1);
    let says = |wanted: &str| words.iter().any(|word| word.eq_ignore_ascii_case(wanted.as_bytes()));
    says(name)
        || says("all")
        || says("everything")
        || shown == Shown::Default && (words.is_empty() || says("default"))
}

fn merge(local: &mut Local<'_>, args: Args<'_>, parts: Vec<Part>, reply: &mut Reply<'_>) -> Outcome {
    let Collected { sum, cores } = Collected::of(parts);
    let mut text = String::with_capacity(8 << 10);
    for (name, shown, write) in SECTIONS {
        if is_wanted(args, name, *shown) {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            text.push_str(&format!("# {name}\r\n"));
            write(&mut Section { text: &mut text, node: local.node, sum: &sum, cores: &cores });
        }
    }
    reply.verbatim("txt", &text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::testing::World;

    fn fields(text: &str) -> BTreeMap<String, String> {
        text.lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect()
    }

    fn headings(text: &str) -> Vec<&str> {
        text.lines().filter_map(|line| line.strip_prefix("# ")).collect()
    }

    #[test]
    fn sections_are_chosen_as_in_redis() {
        let mut world = World::new(2);
        let client = world.connect(0);
        let default = "Server Clients Memory Persistence Stats Replication CPU Modules Errorstats Cluster Keyspace Transactions Darter";
        for (call, expected) in [
            ("INFO", default),
            ("INFO default", default),
            ("INFO nosuch", ""),
            ("INFO SERVER keyspace Server nosuch", "Server Keyspace"),
            ("INFO commandstats", "Commandstats"),
        ] {
            let text = world.say(client, call);
            assert_eq!(headings(&text).join(" "), expected, "{call}");
        }
        for call in ["INFO all", "INFO everything", "INFO default all"] {
            assert_eq!(headings(&world.say(client, call)).len(), 15, "{call}");
        }
        world.call(client, "HELLO 3");
        assert_eq!(world.call(client, "INFO cluster"), "=34\r\ntxt:# Cluster\r\ncluster_enabled:0\r\n\r\n");
    }

    #[test]
    fn figures_are_those_of_all_cores() {
        let mut world = World::new(3);
        let clients: Vec<_> = [0, 1, 2, 2].map(|core| world.connect(core)).into();
        for n in 0..30 {
            world.call(clients[n % 4], &format!("SET key:{n} value EX 100"));
            world.call(clients[n % 4], &format!("GET nosuch:{n}"));
        }
        world.call(clients[0], "SELECT 3");
        world.call(clients[0], "SET key x");
        world.call(clients[1], "NOSUCH");
        world.call(clients[1], "GET");
        world.pass(2_000);
        let text = world.say(clients[1], "INFO everything");
        let found = fields(&text);
        for (name, value) in [
            ("redis_version", crate::COMPATIBLE_VERSION),
            ("darter_version", crate::VERSION),
            ("redis_mode", "standalone"),
            ("run_id", "0123456789abcdef0123456789abcdef01234567"),
            ("uptime_in_seconds", "2"),
            ("shards", "3"),
            ("connected_clients", "4"),
            ("blocked_clients", "0"),
            ("maxmemory_policy", "noeviction"),
            ("total_system_memory_human", "1.00G"),
            ("rdb_last_bgsave_status", "ok"),
            ("total_connections_received", "4"),
            ("keyspace_misses", "30"),
            ("keyspace_hits", "0"),
            ("rdb_changes_since_last_save", "31"),
            ("total_error_replies", "2"),
            ("role", "master"),
            ("cmdstat_set", "calls=31,usec=0,usec_per_call=0.00,rejected_calls=0,failed_calls=0"),
            ("cmdstat_get", "calls=30,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0"),
            ("errorstat_ERR", "count=2"),
            ("latency_percentiles_usec_set", "p50=0.001,p99=0.001,p99.9=0.001"),
            ("cluster_enabled", "0"),
            ("db0", "keys=30,expires=30,avg_ttl=0"),
            ("db3", "keys=1,expires=0,avg_ttl=0"),
        ] {
            assert_eq!(found.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert!(text.lines().all(|line| line.is_empty() || line.starts_with('#') || line.contains(':')));
        let used: u64 = found["used_memory"].parse().expect("a number");
        let peak: u64 = found["used_memory_peak"].parse().expect("a number");
        assert!(used > 3 * crate::node::FIXED_BYTES as u64 && peak >= used);
        let shards: u64 = (0..3)
            .map(|n| found[&format!("shard{n}")].clone())
            .map(|shard| {
                shard
                    .split([',', '='])
                    .nth(1)
                    .and_then(|keys| keys.parse::<u64>().ok())
                    .expect("keys come first")
            })
            .sum();
        assert_eq!(shards, 31);
    }
}
