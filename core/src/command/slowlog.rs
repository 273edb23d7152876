//! SLOWLOG: the latest calls of all cores' clients that took long.

use super::gathered::{all_done, unchecked};
use super::help::HELP;
use super::parse::integer;
use super::row::{Command, Example, Flags, Run};
use crate::args::Args;
use crate::node::{Asked, Local};
use crate::part::Part;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::slowlog::SlowEntry;

const ROW: Command =
    Command { flags: Flags::ADMIN.or(Flags::LOADING).or(Flags::STALE), since: "2.2.12", ..Command::DEFAULT };

/// This family's rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "slowlog",
    arity: -2,
    flags: Flags::NONE,
    summary: "A container for slow log commands.",
    complexity: "Depends on subcommand.",
    run: Run::Container,
    subcommands: &[
        Command {
            name: "get",
            arity: -2,
            complexity: "O(N) where N is the number of entries returned",
            summary: "Returns the slow log's entries.",
            syntax: "[count:integer]",
            examples: &[
                Example { call: "SLOWLOG GET 2", reply: "*" },
                Example { call: "SLOWLOG GET -2", reply: "ERR count should be greater than or equal to -1" },
            ],
            run: Run::Gather {
                whole: None,
                check: |_, args| wanted(args).map(drop),
                part: get_part,
                merge: get_merge,
            },
            ..ROW
        },
        Command {
            name: "len",
            arity: 2,
            summary: "Returns the number of entries in the slow log.",
            examples: &[Example { call: "SLOWLOG LEN", reply: "*" }],
            run: Run::Gather {
                whole: None,
                check: unchecked,
                part: |asked, _| Part::Count(asked.node.slowlog.len() as u64),
                merge: len_merge,
            },
            ..ROW
        },
        Command {
            name: "reset",
            arity: 2,
            complexity: "O(N) where N is the number of entries in the slowlog",
            summary: "Clears all entries from the slow log.",
            examples: &[Example { call: "SLOWLOG RESET", reply: "OK" }],
            run: Run::Gather {
                whole: None,
                check: unchecked,
                part: |asked, _| {
                    asked.node.slowlog.clear();
                    Part::Done
                },
                merge: all_done,
            },
            ..ROW
        },
        Command { since: "6.2.0", ..HELP },
    ],
    ..ROW
}];

/// How many entries are wanted.
fn wanted(args: Args<'_>) -> Result<usize, Failure> {
    let wrong = Failure::new("ERR count should be greater than or equal to -1");
    match args.len() {
        2 => Ok(10),
        3 => match integer(args.at(2)) {
            Ok(-1) => Ok(usize::MAX),
            Ok(count) => usize::try_from(count).map_err(|_| wrong),
            Err(_) => Err(wrong),
        },
        _ => Err(Failure::text(format!(
            "ERR unknown subcommand or wrong number of arguments for '{}'. Try SLOWLOG HELP.",
            String::from_utf8_lossy(args.at(1))
        ))),
    }
}

fn get_part(asked: &mut Asked<'_>, args: Args<'_>) -> Part {
    match wanted(args) {
        Ok(count) => Part::Slow(asked.node.slowlog.entries().take(count).cloned().collect()),
        Err(failure) => Part::Failed(failure),
    }
}

/// As many as one log would keep, the newest first.
fn get_merge(local: &mut Local<'_>, args: Args<'_>, parts: Vec<Part>, reply: &mut Reply<'_>) -> Outcome {
    let mut entries: Vec<SlowEntry> = Vec::new();
    for part in parts {
        if let Part::Slow(some) = part {
            entries.extend(some);
        }
    }
    entries.sort_unstable_by_key(|entry| std::cmp::Reverse((entry.unix_seconds, entry.id)));
    entries.truncate(wanted(args)?.min(max_len(local)));
    reply.array(entries.len());
    for entry in &entries {
        reply.array(6);
        reply.integer(entry.id as i64);
        reply.integer(entry.unix_seconds as i64);
        reply.integer(entry.call.micros as i64);
        reply.array(entry.call.args.len());
        entry.call.args.iter().for_each(|argument| reply.bulk(argument));
        reply.text(&entry.address);
        reply.bulk(&entry.name);
    }
    Ok(())
}

fn len_merge(local: &mut Local<'_>, _: Args<'_>, parts: Vec<Part>, reply: &mut Reply<'_>) -> Outcome {
    reply.count((Part::total(&parts) as usize).min(max_len(local)));
    Ok(())
}

/// Each core keeps that many; together they show no more.
fn max_len(local: &Local<'_>) -> usize {
    usize::try_from(local.node.settings.slowlog_max_len).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    /// A world in which every call is slow.
    fn world() -> World {
        World::with(3, |settings| {
            settings.slowlog_log_slower_than = 0;
            settings.slowlog_max_len = 5;
        })
    }

    #[test]
    fn calls_of_all_cores_stand_newest_first() {
        let mut world = world();
        let clients: Vec<_> = [0, 1, 2].map(|core| world.connect(core)).into();
        world.call(clients[0], "CLIENT SETNAME zero");
        for (client, key) in [(0, "a"), (1, "b"), (2, "c")] {
            world.pass(1_000);
            world.call(clients[client], &format!("GET {key}"));
        }
        world.pass(1_000);
        let lines = world.say(clients[1], "SLOWLOG GET 3");
        let keys: Vec<&str> = lines.lines().filter(|line| ["a", "b", "c"].contains(line)).collect();
        assert_eq!(keys, ["c", "b", "a"]);
        assert_eq!(world.say(clients[1], "SLOWLOG GET 0"), "");
        let reply = world.call(clients[2], "SLOWLOG GET 20");
        assert!(
            reply.contains("*2\r\n$3\r\nGET\r\n$1\r\na\r\n$15\r\n127.0.0.1:50001\r\n$4\r\nzero\r\n"),
            "{reply}"
        );
        assert!(reply.contains(":1700000001\r\n:0\r\n"), "{reply}");
    }

    #[test]
    fn together_they_keep_what_one_would() {
        let mut world = world();
        let clients: Vec<_> = [0, 1, 2].map(|core| world.connect(core)).into();
        for n in 0..30 {
            world.call(clients[n % 3], "PING");
        }
        assert_eq!(world.say(clients[0], "SLOWLOG LEN"), "5");
        assert!(world.call(clients[0], "SLOWLOG GET -1").starts_with("*5\r\n"));
        assert_eq!(world.say(clients[0], "CONFIG SET slowlog-max-len 1 slowlog-log-slower-than -1"), "OK");
        assert_eq!(world.say(clients[0], "SLOWLOG LEN"), "1");
        assert_eq!(world.say(clients[0], "SLOWLOG RESET"), "OK");
        assert_eq!(world.say(clients[0], "SLOWLOG LEN"), "0");
    }

    #[test]
    fn errors_are_those_of_redis() {
        let mut world = world();
        let client = world.connect(0);
        let count = "ERR count should be greater than or equal to -1";
        for (call, error) in [
            ("SLOWLOG GET x", count),
            ("SLOWLOG GET -2", count),
            (
                "SLOWLOG get 1 2",
                "ERR unknown subcommand or wrong number of arguments for 'get'. Try SLOWLOG HELP.",
            ),
            ("SLOWLOG foo", "ERR unknown subcommand 'foo'. Try SLOWLOG HELP."),
        ] {
            assert_eq!(world.say(client, call), error, "{call}");
        }
    }
}
