//! OBJECT: how a key's value lies in memory and when it was used. Asking is no use of the key.

use super::help::HELP;
use super::row::{Command, Example, Flags, Group, Keys, Run};
use crate::args::Args;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::shard::Cx;
use crate::value::access::{AccessRule, idle_seconds};
use crate::value::record::Record;

const ROW: Command = Command {
    group: Group::Generic,
    flags: Flags::READONLY,
    arity: 3,
    keys: Keys::Range { first: 2, last: 2, step: 1 },
    since: "2.2.3",
    syntax: "key",
    ..Command::DEFAULT
};

/// This family's rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "object",
    arity: -2,
    flags: Flags::NONE,
    keys: Keys::None,
    syntax: "",
    summary: "A container for object introspection commands.",
    complexity: "Depends on subcommand.",
    run: Run::Container,
    subcommands: &[
        Command {
            name: "encoding",
            summary: "Returns the internal encoding of an object.",
            examples: &[
                Example { call: "SET mykey 42", reply: "OK" },
                Example { call: "OBJECT ENCODING mykey", reply: "int" },
                Example { call: "APPEND mykey x", reply: "3" },
                Example { call: "OBJECT ENCODING mykey", reply: "raw" },
                Example { call: "OBJECT ENCODING nosuch", reply: "" },
            ],
            run: Run::Hop(encoding),
            ..ROW
        },
        Command {
            name: "freq",
            since: "4.0.0",
            summary: "Returns the logarithmic access frequency counter of an object.",
            examples: &[Example { call: "OBJECT FREQ nosuch", reply: "" }],
            run: Run::Hop(frequency),
            ..ROW
        },
        Command {
            name: "idletime",
            summary: "Returns the time since the last access to an object.",
            examples: &[
                Example { call: "SET mykey 42", reply: "OK" },
                Example { call: "OBJECT IDLETIME mykey", reply: "0" },
            ],
            run: Run::Hop(idle_time),
            ..ROW
        },
        Command {
            name: "refcount",
            summary: "Returns the reference count of a value of a key.",
            examples: &[
                Example { call: "SET mykey Hello", reply: "OK" },
                Example { call: "OBJECT REFCOUNT mykey", reply: "1" },
            ],
            run: Run::Hop(references),
            ..ROW
        },
        Command { group: Group::Generic, since: "6.2.0", ..HELP },
    ],
    ..ROW
}];

const NOT_FREQUENCY: Failure = Failure::new(
    "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies \
     at runtime LRU and LFU data will take some time to adjust.",
);
const NOT_RECENCY: Failure = Failure::new(
    "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime \
     LRU and LFU data will take some time to adjust.",
);

fn goes_by_frequency(cx: &Cx<'_>) -> bool {
    cx.settings.maxmemory_policy.counts_uses()
}

/// How the counter decays; made anew, as a client that does not touch keys has no rule.
fn frequency_rule(cx: &Cx<'_>) -> AccessRule {
    let decay_minutes = cx.settings.lfu_decay_time;
    AccessRule::Frequency { minutes: cx.now.0 / 60_000, log_factor: 0, decay_minutes, draw: 0 }
}

fn encoding(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    match cx.peek(cx.key(args, 0)).map(Record::encoding) {
        Some(name) => reply.text(name),
        None => reply.null(),
    }
    Ok(())
}

fn frequency(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let Some(access) = cx.peek(cx.key(args, 0)).map(Record::access) else {
        reply.null();
        return Ok(());
    };
    if !goes_by_frequency(cx) {
        return Err(NOT_FREQUENCY);
    }
    reply.integer(i64::from(frequency_rule(cx).frequency(access)));
    Ok(())
}

fn idle_time(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let Some(access) = cx.peek(cx.key(args, 0)).map(Record::access) else {
        reply.null();
        return Ok(());
    };
    if goes_by_frequency(cx) {
        return Err(NOT_RECENCY);
    }
    reply.integer(idle_seconds(access, cx.now.0 / 1_000) as i64);
    Ok(())
}

/// Values are not shared between keys.
fn references(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    match cx.peek(cx.key(args, 0)) {
        Some(_) => reply.integer(1),
        None => reply.null(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    #[test]
    fn asking_is_no_use_of_the_key() {
        let mut world = World::new(3);
        let client = world.connect(0);
        world.call(client, "SET a 5");
        world.pass(7_000);
        assert_eq!(world.say(client, "OBJECT IDLETIME a"), "7");
        assert_eq!(world.say(client, "OBJECT IDLETIME a"), "7");
        assert_eq!(world.say(client, "OBJECT ENCODING a"), "int");
        assert_eq!(world.say(client, "GET a"), "5");
        assert_eq!(world.say(client, "OBJECT IDLETIME a"), "0");
        let misses: u64 = world.engines.iter().map(|engine| engine.node().shard.counters.misses).sum();
        assert_eq!((world.call(client, "OBJECT REFCOUNT nosuch").as_str(), misses), ("$-1\r\n", 0));
    }

    #[test]
    fn recency_and_frequency_exclude_each_other() {
        let mut world = World::new(2);
        let client = world.connect(0);
        world.call(client, "SET a 5");
        assert!(
            world.say(client, "OBJECT FREQ a").starts_with("ERR An LFU maxmemory policy is not selected")
        );
        assert_eq!(world.call(client, "OBJECT FREQ nosuch"), "$-1\r\n");
        assert_eq!(world.say(client, "CONFIG SET maxmemory-policy allkeys-lfu"), "OK");
        world.call(client, "SET b 5");
        assert_eq!(world.say(client, "OBJECT FREQ b"), "5");
        world.pass(180_000);
        assert_eq!(world.say(client, "OBJECT FREQ b"), "2", "one less a minute");
        world.call(client, "CLIENT NO-TOUCH ON");
        assert_eq!(world.say(client, "OBJECT FREQ b"), "2");
        assert!(
            world.say(client, "OBJECT IDLETIME b").starts_with("ERR An LFU maxmemory policy is selected")
        );
    }

    #[test]
    fn encodings_have_the_words_of_redis() {
        let mut world = World::new(1);
        let client = world.connect(0);
        for (value, encoding) in
            [("12", "int"), ("012", "embstr"), (&"x".repeat(44), "embstr"), (&"x".repeat(45), "raw")]
        {
            world.call(client, &format!("SET a {value}"));
            assert_eq!(world.say(client, "OBJECT ENCODING a"), encoding, "{value}");
        }
    }
}
