//! LATENCY: spikes of named events and durations of commands, of all cores together.

mod doctor;
mod sparkline;

use super::gathered::unchecked;
use super::help::HELP;
use super::info::collect::{self, Collected};
use super::row::{Command, Example, Flags, Run};
use super::table::{self, CommandId};
use crate::args::Args;
use crate::latency::LatencyEvent;
use crate::node::{Asked, Local};
use crate::part::Part;
use crate::protocol::reply::{Failure, Outcome, Reply};

const ROW: Command = Command {
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    since: "2.8.13",
    ..Command::DEFAULT
};

/// This family's rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "latency",
    arity: -2,
    flags: Flags::NONE,
    summary: "A container for latency diagnostics commands.",
    complexity: "Depends on subcommand.",
    run: Run::Container,
    subcommands: &[
        Command {
            name: "histogram",
            arity: -2,
            since: "7.0.0",
            complexity: "O(N) where N is the number of commands with latency information",
            summary: "Returns the cumulative distribution of latencies of a subset or all commands.",
            syntax: "[command [command ...]]",
            examples: &[
                Example { call: "LATENCY HISTOGRAM", reply: "*" },
                Example { call: "LATENCY HISTOGRAM nosuch", reply: "" },
            ],
            run: Run::Gather {
                whole: None,
                check: unchecked,
                part: |asked, _| collect::part(asked),
                merge: histogram,
            },
            ..ROW
        },
        Command {
            name: "latest",
            arity: 2,
            summary: "Returns the latest latency samples for all events.",
            examples: &[Example { call: "LATENCY LATEST", reply: "*" }],
            run: Run::Gather { whole: None, check: unchecked, part: all_events, merge: latest },
            ..ROW
        },
        Command {
            name: "history",
            arity: 3,
            summary: "Returns timestamp-latency samples for an event.",
            syntax: "event",
            examples: &[Example { call: "LATENCY HISTORY nosuch", reply: "" }],
            run: Run::Gather { whole: None, check: unchecked, part: all_events, merge: history },
            ..ROW
        },
        Command {
            name: "reset",
            arity: -2,
            summary: "Resets the latency data for one or more events.",
            syntax: "[event [event ...]]",
            examples: &[Example { call: "LATENCY RESET nosuch", reply: "0" }],
            run: Run::Gather { whole: None, check: unchecked, part: reset_part, merge: reset_merge },
            ..ROW
        },
        Command {
            name: "graph",
            arity: 3,
            summary: "Returns a latency graph for an event.",
            syntax: "event",
            examples: &[Example {
                call: "LATENCY GRAPH nosuch",
                reply: "ERR No samples available for event 'nosuch'",
            }],
            run: Run::Gather { whole: None, check: unchecked, part: all_events, merge: graph },
            ..ROW
        },
        Command {
            name: "doctor",
            arity: 2,
            summary: "Returns a human-readable latency analysis report.",
            examples: &[Example { call: "LATENCY DOCTOR", reply: "*" }],
            run: Run::Gather { whole: None, check: unchecked, part: all_events, merge: doctor::report },
            ..ROW
        },
        Command { since: "2.8.13", ..HELP },
    ],
    ..ROW
}];

fn all_events(asked: &mut Asked<'_>, _: Args<'_>) -> Part {
    Part::Latency(asked.node.latency.events().cloned().collect())
}

/// One event for each name, as if there were one core.
fn joined(parts: Vec<Part>) -> Vec<LatencyEvent> {
    let mut events = Vec::new();
    for part in parts {
        if let Part::Latency(some) = part {
            events.extend(some);
        }
    }
    LatencyEvent::join(events)
}

/// The event that argument 2 names.
fn named(args: Args<'_>, parts: Vec<Part>) -> Option<LatencyEvent> {
    joined(parts).into_iter().find(|event| event.name.as_bytes() == args.at(2))
}

fn latest(_: &mut Local<'_>, _: Args<'_>, parts: Vec<Part>, reply: &mut Reply<'_>) -> Outcome {
    let events = joined(parts);
    reply.array(events.len());
    for event in &events {
        let (second, millis) = event.samples.back().copied().unwrap_or_default();
        reply.array(4);
        reply.text(&event.name);
        reply.integer(second as i64);
        reply.integer(millis as i64);
        reply.integer(event.max_millis as i64);
    }
    Ok(())
}

fn history(_: &mut Local<'_>, args: Args<'_>, parts: Vec<Part>, reply: &mut Reply<'_>) -> Outcome {
    let samples = named(args, parts).map(|event| event.samples).unwrap_or_default();
    reply.array(samples.len());
    for (second, millis) in samples {
        reply.array(2);
        reply.integer(second as i64);
        reply.integer(millis as i64);
    }
    Ok(())
}

/// Tells which events are gone, so that one that several cores had counts once.
fn reset_part(asked: &mut Asked<'_>, args: Args<'_>) -> Part {
    let monitor = &mut asked.node.latency;
    let is_named = |event: &&LatencyEvent| {
        args.len() == 2 || args.skip(2).iter().any(|name| name == event.name.as_bytes())
    };
    let gone: Vec<LatencyEvent> = monitor.events().filter(is_named).cloned().collect();
    for event in &gone {
        monitor.forget(&event.name);
    }
    Part::Latency(gone)
}

fn reset_merge(_: &mut Local<'_>, _: Args<'_>, parts: Vec<Part>, reply: &mut Reply<'_>) -> Outcome {
    reply.count(joined(parts).len());
    Ok(())
}

fn graph(local: &mut Local<'_>, args: Args<'_>, parts: Vec<Part>, reply: &mut Reply<'_>) -> Outcome {
    let Some(event) = named(args, parts) else {
        let name = String::from_utf8_lossy(args.at(2));
        return Err(Failure::text(format!("ERR No samples available for event '{name}'")));
    };
    reply.verbatim("txt", &sparkline::graph(&event, local.now.unix_seconds()));
    Ok(())
}

/// The commands that the arguments name, a container with all of its subcommands; or all.
fn asked_for(args: Args<'_>) -> Vec<CommandId> {
    if args.len() == 2 {
        return table::all().collect();
    }
    let named = args.skip(2).iter().filter_map(table::find_full_name);
    let mut ids: Vec<CommandId> = named.flat_map(|id| std::iter::once(id).chain(id.children())).collect();
    let mut seen = std::collections::BTreeSet::new();
    ids.retain(|id| seen.insert(*id));
    ids
}

fn histogram(_: &mut Local<'_>, args: Args<'_>, parts: Vec<Part>, reply: &mut Reply<'_>) -> Outcome {
    let Collected { sum, .. } = Collected::of(parts);
    let found: Vec<_> = asked_for(args)
        .into_iter()
        .filter_map(|id| Some((id, sum.histograms.get(&id).filter(|histogram| histogram.total() > 0)?)))
        .collect();
    reply.map(found.len());
    for (id, histogram) in found {
        let rows = histogram.cumulative_micros();
        reply.text(&id.full_name());
        reply.map(2);
        reply.text("calls");
        reply.integer(histogram.total() as i64);
        reply.text("histogram_usec");
        reply.map(rows.len());
        for (micros, count) in rows {
            reply.integer(micros as i64);
            reply.integer(count as i64);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    /// Three cores; those with a number have seen a spike of so many milliseconds, a second apart.
    fn world(spikes: [u64; 3]) -> World {
        let mut world = World::with(3, |settings| settings.latency_monitor_threshold = 10);
        for (core, millis) in spikes.into_iter().enumerate() {
            let second = 1_700_000_000 + core as u64;
            world.engines[core].node.latency.note("command", second, millis, 10);
        }
        world
    }

    #[test]
    fn events_of_all_cores_are_one() {
        let mut world = world([20, 300, 30]);
        let client = world.connect(1);
        assert_eq!(
            world.call(client, "LATENCY LATEST"),
            "*1\r\n*4\r\n$7\r\ncommand\r\n:1700000002\r\n:30\r\n:300\r\n"
        );
        assert_eq!(
            world.say(client, "LATENCY HISTORY command"),
            "1700000000\n20\n1700000001\n300\n1700000002\n30"
        );
        assert_eq!(world.call(client, "LATENCY HISTORY nosuch"), "*0\r\n");
        assert_eq!(world.say(client, "LATENCY RESET nosuch"), "0");
        assert_eq!(world.say(client, "LATENCY RESET nosuch command"), "1");
        assert_eq!(world.call(client, "LATENCY LATEST"), "*0\r\n");
        assert_eq!(world.say(client, "LATENCY RESET"), "0");
    }

    #[test]
    fn the_graph_shows_spikes_and_their_age() {
        let mut world = world([20, 300, 100]);
        let client = world.connect(0);
        world.pass(5_000);
        let graph = world.say(client, "LATENCY GRAPH command");
        let lines: Vec<&str> = graph.lines().collect();
        assert_eq!(lines[0], "command - high 300 ms, low 20 ms (all time high 300 ms)");
        assert_eq!(lines[1], "-".repeat(80));
        assert_eq!(lines[2..6], [" # ", " | ", " |_", "_||"]);
        assert_eq!(lines[6..], ["   ", "543", "sss"]);
        assert_eq!(world.say(client, "LATENCY GRAPH nosuch"), "ERR No samples available for event 'nosuch'");
    }

    #[test]
    fn durations_of_commands_are_counted_everywhere() {
        let mut world = World::new(3);
        let client = world.connect(0);
        world.call(client, "HELLO 3");
        for n in 0..9 {
            world.call(client, &format!("SET key:{n} x"));
        }
        world.call(client, "CONFIG GET hz");
        assert_eq!(
            world.call(client, "LATENCY HISTOGRAM set nosuch get"),
            "%1\r\n$3\r\nset\r\n%2\r\n$5\r\ncalls\r\n:9\r\n$14\r\nhistogram_usec\r\n%1\r\n:1\r\n:9\r\n"
        );
        assert!(world.call(client, "LATENCY HISTOGRAM config").starts_with("%1\r\n$10\r\nconfig|get\r\n"));
        assert!(world.call(client, "LATENCY HISTOGRAM config config|get").starts_with("%1\r\n"));
        assert!(world.call(client, "LATENCY HISTOGRAM").starts_with("%4\r\n"));
    }

    #[test]
    fn the_doctor_says_what_was_seen() {
        let mut off = World::new(1);
        let client = off.connect(0);
        assert!(off.say(client, "LATENCY DOCTOR").contains("latency-monitor-threshold"));
        let mut quiet = world([0, 0, 0]);
        let client = quiet.connect(0);
        assert!(quiet.say(client, "LATENCY DOCTOR").contains("No latency spike"));
        let mut busy = world([20, 300, 100]);
        let client = busy.connect(0);
        let report = busy.say(client, "LATENCY DOCTOR");
        assert!(
            report.contains("1. command: 3 latency spikes (average 140ms, mean deviation 106ms, period 1.00 sec). Worst all time event 300ms."),
            "{report}"
        );
    }
}
