//! CONFIG: reading and changing the settings of all cores, and forgetting what was counted.

use super::gathered::{all_done, unchecked};
use super::help::HELP;
use super::row::{Command, Example, Flags, Run};
use crate::args::Args;
use crate::event::Effect;
use crate::node::{Asked, Deferred, Local};
use crate::part::Part;
use crate::protocol::reply::{Failure, Outcome, Reply};

const ROW: Command = Command {
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    since: "2.0.0",
    ..Command::DEFAULT
};

/// This family's rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "config",
    arity: -2,
    flags: Flags::NONE,
    summary: "A container for server configuration commands.",
    complexity: "Depends on subcommand.",
    run: Run::Container,
    subcommands: &[
        Command {
            name: "get",
            arity: -3,
            complexity: "O(N) where N is the number of configuration parameters provided",
            summary: "Returns the effective values of configuration parameters.",
            syntax: "pattern [pattern ...]",
            examples: &[
                Example { call: "CONFIG GET hz databases", reply: "hz\n10\ndatabases\n16" },
                Example { call: "CONFIG GET nosuch*", reply: "" },
            ],
            run: Run::Local(get),
            ..ROW
        },
        Command {
            name: "set",
            arity: -4,
            complexity: "O(N) where N is the number of configuration parameters provided",
            summary: "Sets configuration parameters in-flight.",
            syntax: "parameter value [parameter value ...]",
            examples: &[
                Example { call: "CONFIG SET slowlog-max-len 256 timeout 0", reply: "OK" },
                Example { call: "CONFIG GET slowlog-max-len", reply: "slowlog-max-len\n256" },
                Example {
                    call: "CONFIG SET nosuch 1",
                    reply: "ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'",
                },
            ],
            run: Run::Gather { whole: None, check: check_set, part: set, merge: all_done },
            ..ROW
        },
        Command {
            name: "resetstat",
            arity: 2,
            summary: "Resets the server's statistics.",
            examples: &[Example { call: "CONFIG RESETSTAT", reply: "OK" }],
            run: Run::Gather { whole: None, check: unchecked, part: reset, merge: all_done },
            ..ROW
        },
        Command {
            name: "rewrite",
            arity: 2,
            since: "2.8.0",
            summary: "Persists the effective configuration to file.",
            examples: &[Example {
                call: "CONFIG REWRITE",
                reply: "ERR The server is running without a config file",
            }],
            run: Run::Local(rewrite),
            ..ROW
        },
        Command { since: "5.0.0", ..HELP },
    ],
    ..ROW
}];

fn get(local: &mut Local<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let patterns: Vec<&[u8]> = args.skip(2).iter().collect();
    let found = local.node.settings.config_get(&patterns);
    reply.map(found.len());
    for (name, value) in &found {
        reply.text(name);
        reply.text(value);
    }
    Ok(())
}

fn pairs<'a>(args: Args<'a>) -> Vec<(&'a [u8], &'a [u8])> {
    (2..args.len() - 1).step_by(2).map(|n| (args.at(n), args.at(n + 1))).collect()
}

fn check_set(local: &mut Local<'_>, args: Args<'_>) -> Outcome {
    if !args.len().is_multiple_of(2) {
        return Err(Failure::SYNTAX);
    }
    let mut tried = local.node.settings.clone();
    tried.config_set(&pairs(args)).map(drop).map_err(|why| Failure::text(why.to_string()))
}

fn set(asked: &mut Asked<'_>, args: Args<'_>) -> Part {
    let node = &mut *asked.node;
    let changed = node.changes.apply(&mut node.settings, &pairs(args), asked.stamp);
    node.settings_changed();
    let settings = &node.settings;
    if changed.contains(&"loglevel") {
        asked.out.push(Effect::LogThreshold(settings.loglevel));
    }
    if changed.contains(&"slowlog-max-len") {
        node.slowlog.truncate(settings.slowlog_max_len);
    }
    if changed.contains(&"requirepass") && settings.requirepass.is_empty() {
        // Whoever has not authenticated until now need not any more. The other way round, who is in stays in.
        asked.sessions.iter_mut().for_each(|session| session.authenticated = true);
    }
    Part::Done
}

fn reset(asked: &mut Asked<'_>, _: Args<'_>) -> Part {
    asked.node.statistics.reset();
    let counters = &mut asked.node.shard.counters;
    (counters.hits, counters.misses, counters.expired, counters.evicted) = (0, 0, 0, 0);
    Part::Done
}

fn rewrite(local: &mut Local<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    if local.node.process.config_file.is_empty() {
        return Err(Failure::new("ERR The server is running without a config file"));
    }
    local.deferred = Some(Deferred::Rewrite);
    reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::event::{DiskOutcome, DiskRequest, Effect, LogLevel, Origin};
    use crate::host::Process;
    use crate::testing::World;

    #[test]
    fn a_change_reaches_every_core() {
        let mut world = World::new(3);
        let clients: Vec<_> = [0, 1, 2].map(|core| world.connect(core)).into();
        assert_eq!(world.say(clients[1], "CONFIG SET timeout 7 loglevel debug hz 33"), "OK");
        for &client in &clients {
            assert_eq!(
                world.say(client, "CONFIG GET timeout log?evel hz"),
                "timeout\n7\nloglevel\ndebug\nhz\n33"
            );
        }
        let thresholds =
            world.kept.iter().filter(|(_, e)| *e == Effect::LogThreshold(LogLevel::Debug)).count();
        assert_eq!(thresholds, 3);
        world.call(clients[2], "HELLO 3");
        assert_eq!(world.call(clients[2], "CONFIG GET hz"), "%1\r\n$2\r\nhz\r\n$2\r\n33\r\n");
        assert_eq!(world.unfinished(), [""; 0]);
    }

    #[test]
    fn all_or_nothing_with_the_errors_of_redis() {
        let mut world = World::new(2);
        let client = world.connect(0);
        for (call, error) in [
            ("CONFIG SET a", "ERR wrong number of arguments for 'config|set' command"),
            ("CONFIG SET timeout 5 hz", "ERR syntax error"),
            (
                "CONFIG SET timeout 5 hz x",
                "ERR CONFIG SET failed (possibly related to argument 'hz') - argument couldn't be parsed into an integer",
            ),
            (
                "CONFIG SET databases 5",
                "ERR CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config",
            ),
            ("CONFIG GET", "ERR wrong number of arguments for 'config|get' command"),
        ] {
            assert_eq!(world.say(client, call), error, "{call}");
        }
        assert_eq!(world.say(client, "CONFIG GET timeout"), "timeout\n0");
    }

    #[test]
    fn a_new_password_is_asked_of_new_clients_only() {
        let mut world = World::new(2);
        let (old, other) = (world.connect(0), world.connect(1));
        assert_eq!(world.say(old, "CONFIG SET requirepass secret"), "OK");
        assert_eq!(world.say(other, "PING"), "PONG");
        let new = world.connect_from(1, Origin::Remote);
        assert_eq!(world.say(new, "PING"), "NOAUTH Authentication required.");
        assert_eq!(world.say(old, "CONFIG SET requirepass ''"), "OK");
        assert_eq!(world.say(new, "PING"), "PONG");
    }

    #[test]
    fn statistics_begin_anew() {
        let mut world = World::new(2);
        let client = world.connect(0);
        for n in 0..8 {
            world.call(client, &format!("GET key:{n}"));
        }
        let misses = |world: &World| -> u64 {
            world.engines.iter().map(|engine| engine.node().shard.counters.misses).sum()
        };
        assert_eq!(misses(&world), 8);
        assert_eq!(world.say(client, "CONFIG RESETSTAT"), "OK");
        assert_eq!(misses(&world), 0);
        assert!(world.engines.iter().all(|engine| engine.node().statistics.connections == 0));
    }

    #[test]
    fn the_file_is_read_then_replaced_and_then_the_client_hears() {
        let mut world = World::new(2);
        let client = world.connect(1);
        assert_eq!(world.say(client, "CONFIG SET timeout 7"), "OK");
        assert_eq!(world.call(client, "CONFIG REWRITE"), "");
        let (core, operation, request) = world.disk_requests().remove(0);
        assert_eq!(request, DiskRequest::Read { path: "/etc/darter.conf".into() });
        world.end_disk(core, operation, DiskOutcome::Content(b"# mine\nhz 10\n".to_vec()));
        let (core, operation, request) = world.disk_requests().remove(0);
        let DiskRequest::Replace { path, bytes } = request else { panic!("the file is replaced") };
        assert_eq!(path, "/etc/darter.conf");
        let text = String::from_utf8(bytes).expect("text");
        assert!(text.starts_with("# mine\n") && text.contains("timeout 7"), "{text}");
        assert_eq!(world.receive(client), "");
        world.end_disk(core, operation, DiskOutcome::Done);
        assert_eq!(world.receive(client), "+OK\r\n");

        assert_eq!(world.call(client, "CONFIG REWRITE"), "");
        let (core, operation, _) = world.disk_requests().remove(0);
        world.end_disk(core, operation, DiskOutcome::Failed("Permission denied".into()));
        assert_eq!(world.receive(client), "-ERR Rewriting config file: Permission denied\r\n");
        assert_eq!(world.unfinished(), [""; 0]);
    }

    #[test]
    fn without_a_file_there_is_nothing_to_rewrite() {
        let mut world = World::new(1);
        world.engines[0].node.process = Arc::new(Process::default());
        let client = world.connect(0);
        assert_eq!(world.say(client, "CONFIG REWRITE"), "ERR The server is running without a config file");
    }
}
