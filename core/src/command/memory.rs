//! MEMORY: where the bytes are, of one key and of the process.

use super::gathered::{all_done, unchecked};
use super::help::HELP;
use super::info::collect::{self, Collected};
use super::info::memory::MemoryFigures;
use super::parse::integer;
use super::row::{Command, Example, Flags, Keys, Run};
use crate::args::Args;
use crate::database::Database;
use crate::node::Local;
use crate::part::Part;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::shard::Cx;
use crate::value::record::Record;

const ROW: Command = Command { since: "4.0.0", ..Command::DEFAULT };

/// This family's rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "memory",
    arity: -2,
    summary: "A container for memory diagnostics commands.",
    complexity: "Depends on subcommand.",
    run: Run::Container,
    subcommands: &[
        Command {
            name: "usage",
            arity: -3,
            flags: Flags::READONLY,
            keys: Keys::Range { first: 2, last: 2, step: 1 },
            complexity: "O(1)",
            summary: "Estimates the memory usage of a key.",
            syntax: "key [SAMPLES count:integer]",
            examples: &[
                Example { call: "SET mykey Hello", reply: "OK" },
                Example { call: "MEMORY USAGE mykey", reply: "*" },
                Example { call: "MEMORY USAGE nosuch", reply: "" },
            ],
            run: Run::Hop(usage),
            ..ROW
        },
        Command {
            name: "stats",
            arity: 2,
            summary: "Returns details about memory usage.",
            examples: &[Example { call: "MEMORY STATS", reply: "*" }],
            run: Run::Gather {
                whole: None,
                check: unchecked,
                part: |asked, _| collect::part(asked),
                merge: stats,
            },
            ..ROW
        },
        Command {
            name: "doctor",
            arity: 2,
            summary: "Outputs a memory problems report.",
            examples: &[Example { call: "MEMORY DOCTOR", reply: "*" }],
            run: Run::Gather {
                whole: None,
                check: unchecked,
                part: |asked, _| collect::part(asked),
                merge: doctor,
            },
            ..ROW
        },
        Command {
            name: "purge",
            arity: 2,
            complexity: "Depends on how much memory is allocated, could be slow",
            summary: "Asks the allocator to release memory.",
            examples: &[Example { call: "MEMORY PURGE", reply: "OK" }],
            run: Run::Gather {
                whole: None,
                check: unchecked,
                part: |asked, _| {
                    (asked.node.instruments.purge)();
                    Part::Done
                },
                merge: all_done,
            },
            ..ROW
        },
        Command {
            name: "malloc-stats",
            arity: 2,
            summary: "Returns the allocator statistics.",
            examples: &[Example {
                call: "MEMORY MALLOC-STATS",
                reply: "Stats not supported for the current allocator",
            }],
            run: Run::Local(|_, _, reply| {
                reply.text("Stats not supported for the current allocator");
                Ok(())
            }),
            ..ROW
        },
        Command { since: "4.0.0", ..HELP },
    ],
    ..ROW
}];

/// The record, and its share of the table. Strings are not nested: the number of samples is read and does not matter.
fn usage(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut n = 3;
    while n < args.len() {
        if !args.is(n, "samples") || n + 1 == args.len() {
            return Err(Failure::SYNTAX);
        }
        if integer(args.at(n + 1))? < 0 {
            return Err(Failure::SYNTAX);
        }
        n += 2;
    }
    match cx.peek(cx.key(args, 0)).map(Record::owned_bytes) {
        Some(bytes) => reply.count(bytes + Database::SLOT_BYTES),
        None => reply.null(),
    }
    Ok(())
}

/// The keys of Redis's reply in Redis's order.
fn stats(local: &mut Local<'_>, _: Args<'_>, parts: Vec<Part>, reply: &mut Reply<'_>) -> Outcome {
    let Collected { sum, .. } = Collected::of(parts);
    let figures = MemoryFigures::of(local.node, &sum);
    let keys: u64 = sum.databases.values().map(|database| database.keys).sum();
    let net = figures.used.saturating_sub(figures.startup);
    reply.map(27 + sum.databases.len());
    let integers = |reply: &mut Reply<'_>, fields: &[(&str, u64)]| {
        for (name, value) in fields {
            reply.text(name);
            reply.integer(*value as i64);
        }
    };
    let double = |reply: &mut Reply<'_>, name: &str, value: f64| {
        reply.text(name);
        reply.double(value);
    };
    integers(
        reply,
        &[
            ("peak.allocated", figures.peak),
            ("total.allocated", figures.used),
            ("startup.allocated", figures.startup),
            ("replication.backlog", 0),
            ("clients.slaves", 0),
            ("clients.normal", figures.clients),
            ("cluster.links", 0),
            ("aof.buffer", 0),
            ("lua.caches", 0),
            ("functions.caches", 0),
        ],
    );
    for (number, database) in &sum.databases {
        reply.text(&format!("db.{number}"));
        reply.map(3);
        integers(
            reply,
            &[
                ("overhead.hashtable.main", database.table_bytes),
                // Deadlines lie in the records.
                ("overhead.hashtable.expires", 0),
                ("overhead.hashtable.slot-to-keys", 0),
            ],
        );
    }
    integers(
        reply,
        &[
            ("overhead.total", figures.overhead),
            ("keys.count", keys),
            ("keys.bytes-per-key", net.checked_div(keys).unwrap_or(0)),
            ("dataset.bytes", figures.dataset()),
        ],
    );
    double(reply, "dataset.percentage", figures.dataset_percent());
    double(reply, "peak.percentage", figures.peak_percent());
    integers(
        reply,
        &[
            ("allocator.allocated", figures.used),
            ("allocator.active", figures.resident),
            ("allocator.resident", figures.resident),
        ],
    );
    double(reply, "allocator-fragmentation.ratio", figures.fragmentation());
    reply.text("allocator-fragmentation.bytes");
    reply.integer(figures.fragmentation_bytes());
    double(reply, "allocator-rss.ratio", 1.0);
    integers(reply, &[("allocator-rss.bytes", 0)]);
    double(reply, "rss-overhead.ratio", 1.0);
    integers(reply, &[("rss-overhead.bytes", 0)]);
    double(reply, "fragmentation", figures.fragmentation());
    reply.text("fragmentation.bytes");
    reply.integer(figures.fragmentation_bytes());
    Ok(())
}

/// Below this a report would say more about the process than about the data, as in Redis.
const SMALL: u64 = 5 << 20;

fn doctor(local: &mut Local<'_>, _: Args<'_>, parts: Vec<Part>, reply: &mut Reply<'_>) -> Outcome {
    let Collected { sum, .. } = Collected::of(parts);
    let figures = MemoryFigures::of(local.node, &sum);
    let mut found = Vec::new();
    if figures.peak as f64 > 1.5 * figures.used as f64 {
        found.push("Peak memory: in the past much more memory was in use than now. What is resident may stay high until the allocator gives it back: try MEMORY PURGE.");
    }
    if figures.fragmentation() > 1.4 && figures.fragmentation_bytes() > 10 << 20 {
        found.push("Fragmentation: the process holds far more memory than is in use.");
    }
    if sum.client_bytes / sum.clients.max(1) > 200 << 10 {
        found.push("Client buffers: clients hold more than 200 kB each on average. Some may read slowly: see omem and tot-mem in CLIENT LIST.");
    }
    let text = if figures.used < SMALL {
        "This instance is empty or uses very little memory: there is nothing to examine yet.\n".to_string()
    } else if found.is_empty() {
        "No memory problem was found in this instance.\n".to_string()
    } else {
        let lines: String = found.iter().map(|line| format!(" * {line}\n")).collect();
        format!("These memory problems were found in this instance:\n\n{lines}")
    };
    reply.verbatim("txt", &text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    #[test]
    fn a_key_costs_its_record_and_a_slot() {
        let mut world = World::new(2);
        let client = world.connect(0);
        world.call(client, "SET a x");
        world.call(client, &format!("SET b {}", "y".repeat(10_000)));
        let cost =
            |world: &mut World, call: &str| world.say(client, call).parse::<usize>().expect("a number");
        let (small, large) =
            (cost(&mut world, "MEMORY USAGE a"), cost(&mut world, "MEMORY USAGE b SAMPLES 5"));
        assert!((16..64).contains(&small), "{small}");
        assert!((10_000..14_000).contains(&large), "{large}");
        for (call, reply) in [
            ("MEMORY USAGE nosuch", "$-1\r\n"),
            ("MEMORY USAGE a SAMPLES", "-ERR syntax error\r\n"),
            ("MEMORY USAGE a SAMPLES x", "-ERR value is not an integer or out of range\r\n"),
            ("MEMORY USAGE a SAMPLES -1", "-ERR syntax error\r\n"),
            ("MEMORY USAGE a foo 1", "-ERR syntax error\r\n"),
        ] {
            assert_eq!(world.call(client, call), reply, "{call}");
        }
    }

    #[test]
    fn stats_have_the_keys_of_redis() {
        let mut world = World::new(3);
        let client = world.connect(1);
        world.call(client, "HELLO 3");
        for n in 0..10 {
            world.call(client, &format!("SET key:{n} x"));
        }
        let reply = world.call(client, "MEMORY STATS");
        assert!(reply.starts_with("%28\r\n$14\r\npeak.allocated\r\n:"), "{reply}");
        let text = world.say(client, "MEMORY STATS");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2 * 27 + 1 + 6, "as many as the map says");
        let count = lines.iter().position(|line| *line == "keys.count").expect("it is there");
        assert_eq!(lines[count + 1], "10");
        assert!(lines.contains(&"db.0") && lines.contains(&"fragmentation.bytes"));
    }

    #[test]
    fn purging_and_asking_the_doctor() {
        let mut world = World::new(2);
        let client = world.connect(0);
        assert_eq!(world.say(client, "MEMORY PURGE"), "OK");
        assert!(world.say(client, "MEMORY DOCTOR").contains("very little memory"));
        world.call(client, &format!("SET a {}", "x".repeat(6 << 20)));
        assert!(world.say(client, "MEMORY DOCTOR").contains("No memory problem"));
        world.pass(200);
        world.call(client, "DEL a");
        assert!(world.say(client, "MEMORY DOCTOR").contains("very little memory"));
    }
}
