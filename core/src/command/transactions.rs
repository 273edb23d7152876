//! MULTI, EXEC and what belongs to them. How a transaction runs is the engine's business: see `docs/TRANSACTIONS.md`.

use super::row::{Command, Example, Flags, Group, Keys, Run};
use crate::args::Args;
use crate::node::Local;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::session::Queued;
use crate::shard::Cx;

const FLAGS: Flags = Flags(Flags::NOSCRIPT.0 | Flags::LOADING.0 | Flags::STALE.0 | Flags::FAST.0);
const ROW: Command = Command { group: Group::Transactions, flags: FLAGS, since: "1.2.0", ..Command::DEFAULT };

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "multi",
        summary: "Starts a transaction.",
        examples: &[
            Example { call: "MULTI", reply: "OK" },
            Example { call: "SET {a}1 Hello", reply: "QUEUED" },
            Example { call: "SET {a}2 World", reply: "QUEUED" },
            Example { call: "EXEC", reply: "OK\nOK" },
        ],
        flags: Flags(FLAGS.0 | Flags::AT_ONCE.0),
        run: Run::Local(multi),
        ..ROW
    },
    Command {
        name: "exec",
        flags: Flags(Flags::NOSCRIPT.0 | Flags::LOADING.0 | Flags::STALE.0 | Flags::SKIP_SLOWLOG.0),
        summary: "Executes all commands in a transaction.",
        complexity: "Depends on commands in the transaction",
        examples: &[
            Example { call: "MULTI", reply: "OK" },
            Example { call: "INCR mykey", reply: "QUEUED" },
            Example { call: "EXEC", reply: "1" },
        ],
        run: Run::Exec,
        ..ROW
    },
    Command {
        name: "discard",
        since: "2.0.0",
        summary: "Discards a transaction.",
        complexity: "O(N), when N is the number of queued commands",
        examples: &[
            Example { call: "MULTI", reply: "OK" },
            Example { call: "SET mykey Hello", reply: "QUEUED" },
            Example { call: "DISCARD", reply: "OK" },
            Example { call: "GET mykey", reply: "" },
        ],
        flags: Flags(FLAGS.0 | Flags::AT_ONCE.0),
        run: Run::Local(discard),
        ..ROW
    },
    Command {
        name: "watch",
        arity: -2,
        keys: Keys::ALL,
        since: "2.2.0",
        summary: "Monitors changes to keys to determine the execution of a transaction.",
        complexity: "O(1) for every key.",
        syntax: "key [key ...]",
        examples: &[
            Example { call: "WATCH mykey", reply: "OK" },
            Example { call: "MULTI", reply: "OK" },
            Example { call: "SET mykey Hello", reply: "QUEUED" },
            Example { call: "EXEC", reply: "OK" },
        ],
        run: Run::Watch(watch),
        ..ROW
    },
    Command {
        name: "unwatch",
        since: "2.2.0",
        summary: "Forgets about watched keys of a transaction.",
        examples: &[Example { call: "WATCH mykey", reply: "OK" }, Example { call: "UNWATCH", reply: "OK" }],
        run: Run::Local(unwatch),
        ..ROW
    },
];

fn multi(local: &mut Local<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    if local.session.queued.is_some() {
        return Err(Failure::new("ERR MULTI calls can not be nested"));
    }
    local.session.queued = Some(Box::new(Queued::default()));
    reply.ok();
    Ok(())
}

fn discard(local: &mut Local<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    if local.session.queued.take().is_none() {
        return Err(Failure::new("ERR DISCARD without MULTI"));
    }
    local.node.unwatch(local.session);
    reply.ok();
    Ok(())
}

fn unwatch(local: &mut Local<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    local.node.unwatch(local.session);
    reply.ok();
    Ok(())
}

fn watch(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    for n in 0..cx.keys.len() {
        cx.watch(cx.key(args, n));
    }
    reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    /// The same on one core, where everything is direct, and on three, where nothing is.
    fn on_each(test: impl Fn(&mut World, u16)) {
        for cores in [1, 3] {
            let mut world = World::new(cores);
            test(&mut world, cores);
            assert_eq!(world.unfinished(), [""; 0], "{cores} cores");
        }
    }

    #[test]
    fn keys_of_all_shards_change_together() {
        on_each(|world, cores| {
            let one = world.connect(0);
            let two = world.connect(cores - 1);
            let pairs: Vec<String> = (0..20).map(|n| format!("key:{n} value:{n}")).collect();
            let keys: Vec<String> = (0..20).map(|n| format!("key:{n}")).collect();
            let values: Vec<String> = (0..20).map(|n| format!("value:{n}")).collect();
            assert_eq!(world.say(one, &format!("MSET {}", pairs.join(" "))), "OK");
            assert_eq!(
                world.say(two, &format!("MGET {} nosuch", keys.join(" "))),
                format!("{}\n", values.join("\n"))
            );
            assert_eq!(world.say(two, &format!("EXISTS {} key:1 nosuch", keys.join(" "))), "21");
            assert_eq!(world.say(one, "DBSIZE"), "20");
            assert_eq!(world.say(two, &format!("MSETNX other:1 x {}", pairs.join(" "))), "0");
            assert_eq!(world.say(two, "MSETNX other:1 x other:2 y other:3 z"), "1");
            assert_eq!(world.say(one, "MSETEX 3 other:1 1 other:2 2 other:3 3 XX EX 10"), "1");
            assert_eq!(world.say(one, "TTL other:2"), "10");
            assert_eq!(world.say(one, "MSETEX 3 other:1 1 other:2 2 other:4 3 XX EX 10"), "0");
            assert_eq!(
                world.say(one, "MSETEX 3 other:1 1 other:2 2 other:4 3 XX EX 0"),
                "ERR invalid expire time in 'msetex' command"
            );
            assert_eq!(world.say(one, &format!("DEL {} nosuch", keys.join(" "))), "20");
            assert_eq!(world.say(one, "MSET a 1 b"), "ERR wrong number of arguments for 'mset' command");
            assert_eq!(world.say(two, "FLUSHALL"), "OK");
            assert_eq!(world.say(one, "DBSIZE"), "0");
        });
    }

    #[test]
    fn a_transaction_that_may_grow_needs_room_at_exec() {
        on_each(|world, _| {
            let (client, other) = (world.connect(0), world.connect(0));
            world.say(client, "SET k v");
            for (queued, reply) in [
                ("GET k", "v"),
                (
                    "SET k w",
                    "EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.",
                ),
            ] {
                world.say(client, "MULTI");
                assert_eq!(world.say(client, queued), "QUEUED");
                world.say(other, "CONFIG SET maxmemory 1");
                assert_eq!(world.say(client, "EXEC"), reply);
                world.say(other, "CONFIG SET maxmemory 0");
            }
            assert_eq!(world.say(client, "GET k"), "v");
        });
    }

    #[test]
    fn a_key_whose_time_has_come_is_no_key_to_who_swaps_databases() {
        on_each(|world, _| {
            let (client, other) = (world.connect(0), world.connect(0));
            let stale = |world: &mut World, database: u16| {
                world.say(other, &format!("SELECT {database}"));
                world.say(other, "SET k v PX 5");
            };
            world.say(client, "SELECT 9");
            // There is none here, and one there whose time comes.
            stale(world, 10);
            world.say(client, "WATCH k");
            world.pass(10);
            world.say(other, "SWAPDB 9 10");
            world.say(client, "MULTI");
            world.say(client, "PING");
            assert_eq!(world.say(client, "EXEC"), "PONG");
            // Here is one that ends while it is watched.
            world.say(client, "FLUSHALL");
            stale(world, 9);
            world.say(client, "WATCH k");
            world.pass(10);
            world.say(other, "SWAPDB 9 10");
            world.say(client, "MULTI");
            world.say(client, "PING");
            assert_eq!(world.say(client, "EXEC"), "");
        });
    }

    #[test]
    fn values_go_to_other_shards_with_their_deadlines() {
        on_each(|world, _| {
            let client = world.connect(0);
            for n in 0..9 {
                let (from, to) = (format!("from:{n}"), format!("to:{n}"));
                assert_eq!(world.say(client, &format!("RENAME {from} {to}")), "ERR no such key");
                assert_eq!(world.say(client, &format!("COPY {from} {to}")), "0");
                world.say(client, &format!("SET {from} {n} EX 100"));
                assert_eq!(world.say(client, &format!("COPY {from} {to}")), "1");
                assert_eq!(world.say(client, &format!("COPY {from} {to}")), "0");
                assert_eq!(world.say(client, &format!("COPY {from} {to} DB 1 REPLACE")), "1");
                assert_eq!(
                    world.say(client, &format!("COPY {from} {to} DB 99")),
                    "ERR DB index is out of range"
                );
                assert_eq!(
                    world.say(client, &format!("COPY {from} {from}")),
                    "ERR source and destination objects are the same"
                );
                assert_eq!(world.say(client, &format!("RENAMENX {from} {to}")), "0");
                assert_eq!(world.say(client, &format!("DEL {to}")), "1");
                assert_eq!(world.say(client, &format!("RENAMENX {from} {to}")), "1");
                assert_eq!(world.say(client, &format!("TTL {to}")), "100");
                assert_eq!(world.say(client, &format!("RENAME {to} {from}")), "OK");
                assert_eq!(world.say(client, &format!("RENAME {from} {from}")), "OK");
                assert_eq!(world.say(client, &format!("RENAMENX {from} {from}")), "0");
                assert_eq!(world.say(client, &format!("MGET {from} {to}")), format!("{n}\n"));
            }
            assert_eq!(world.say(client, "DBSIZE"), "9");
            assert_eq!(world.say(client, "SELECT 1"), "OK");
            assert_eq!(world.say(client, "DBSIZE"), "9");
        });
    }

    #[test]
    fn exec_answers_in_the_order_of_the_queue() {
        on_each(|world, _| {
            let client = world.connect(0);
            let lines = [
                ("MULTI", "OK"),
                ("SET a 1", "QUEUED"),
                ("INCR b", "QUEUED"),
                ("MSET c 3 d 4 e 5", "QUEUED"),
                ("RENAME a f", "QUEUED"),
                ("PING", "QUEUED"),
                ("SELECT 1", "QUEUED"),
                ("SET a other", "QUEUED"),
                ("DBSIZE", "QUEUED"),
                ("SELECT 0", "QUEUED"),
                ("INCR c", "QUEUED"),
                ("APPEND", "ERR wrong number of arguments for 'append' command"),
                ("EXEC", "EXECABORT Transaction discarded because of previous errors."),
                ("MULTI", "OK"),
                ("SET a 1", "QUEUED"),
                ("INCR b", "QUEUED"),
                ("MSET c 3 d 4 e 5", "QUEUED"),
                ("RENAME a f", "QUEUED"),
                ("RENAME nosuch f", "QUEUED"),
                ("PING", "QUEUED"),
                ("SELECT 1", "QUEUED"),
                ("SET a other", "QUEUED"),
                ("DBSIZE", "QUEUED"),
                ("SELECT 0", "QUEUED"),
                ("INCR c", "QUEUED"),
                ("MGET a b c d e f", "QUEUED"),
                ("EXEC", "OK\n1\nOK\nOK\nERR no such key\nPONG\nOK\nOK\n1\nOK\n4\n\n1\n4\n4\n5\n1"),
                ("MGET a b c d e f", "\n1\n4\n4\n5\n1"),
                ("MULTI", "OK"),
                ("MULTI", "ERR MULTI calls can not be nested"),
                ("WATCH a", "ERR WATCH inside MULTI is not allowed"),
                ("SET a 2", "QUEUED"),
                ("DISCARD", "OK"),
                ("GET a", ""),
                ("EXEC", "ERR EXEC without MULTI"),
                ("DISCARD", "ERR DISCARD without MULTI"),
                ("MULTI", "OK"),
                ("EXEC", ""),
            ];
            for (line, reply) in lines {
                assert_eq!(world.say(client, line), reply, "{line}");
            }
        });
    }

    #[test]
    fn a_change_of_what_is_watched_stops_exec() {
        on_each(|world, cores| {
            let (one, two) = (world.connect(0), world.connect(cores - 1));
            let changes = [
                ("SET w:1 x", true),
                ("GET w:1", false),
                ("DEL w:2", true),
                ("DEL nosuch", false),
                ("EXPIRE w:3 100", true),
                ("TTL w:3", false),
                ("RENAME w:1 elsewhere", true),
                ("FLUSHALL", true),
                ("APPEND w:2 x", true),
                ("MSET w:3 1 other 2", true),
                ("MGET w:1 w:2 w:3", false),
            ];
            for (change, counts) in changes {
                world.say(one, "MSET w:1 1 w:2 2 w:3 3");
                assert_eq!(world.say(one, "WATCH w:1 w:2 w:3"), "OK");
                world.say(two, change);
                for line in ["MULTI", "SET out:1 1", "SET out:2 2"] {
                    world.say(one, line);
                }
                assert_eq!(
                    world.call(one, "EXEC"),
                    if counts { "*-1\r\n" } else { "*2\r\n+OK\r\n+OK\r\n" },
                    "{change}"
                );
            }
            world.say(one, "SET w:1 x PX 50");
            world.say(one, "WATCH w:1 w:2");
            world.pass(60);
            for line in ["MULTI", "SET out:1 1"] {
                world.say(one, line);
            }
            assert_eq!(world.call(one, "EXEC"), "*-1\r\n", "expiry counts");
            world.say(one, "WATCH w:1");
            world.say(one, "UNWATCH");
            world.say(two, "SET w:1 y");
            world.say(one, "MULTI");
            assert_eq!(world.call(one, "EXEC"), "*0\r\n");
            world.say(one, "WATCH w:1 w:2 w:3");
            world.hang_up(one);
        });
    }

    #[test]
    fn pipelines_keep_the_order_of_their_replies() {
        on_each(|world, cores| {
            let client = world.connect(cores - 1);
            let mut request = String::new();
            let mut expected = String::new();
            for n in 0..200 {
                request += "MULTI\r\nINCR a\r\nINCR b\r\nINCR c\r\nEXEC\r\nGET a\r\nMGET a b\r\n";
                let (n, len) = (n + 1, (n + 1).to_string().len());
                expected +=
                    &format!("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n:{n}\r\n:{n}\r\n:{n}\r\n");
                expected += &format!("${len}\r\n{n}\r\n*2\r\n${len}\r\n{n}\r\n${len}\r\n{n}\r\n");
            }
            world.send(client, request.as_bytes());
            assert_eq!(world.receive(client), expected);
        });
    }

    #[test]
    fn a_strict_pipeline_asks_one_shard_at_a_time() {
        let mut world = World::with(3, |settings| settings.pipeline_order_strict = true);
        let client = world.connect(0);
        let mut request = String::new();
        let mut expected = String::new();
        for n in 0..50 {
            request += &format!("SET k:{n} {n}\r\nPING\r\nMGET k:{n} nosuch\r\nGET k:{n}\r\n");
            let len = n.to_string().len();
            expected += &format!("+OK\r\n+PONG\r\n*2\r\n${len}\r\n{n}\r\n$-1\r\n${len}\r\n{n}\r\n");
        }
        world.send(client, request.as_bytes());
        assert_eq!(world.receive(client), expected);
        assert_eq!(world.unfinished(), [""; 0]);
    }
}
