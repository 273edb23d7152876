//! DEBUG SLEEP: no core begins a request until the time is over.

use super::ROW;
use crate::args::Args;
use crate::command::gathered::unchecked;
use crate::command::row::{Command, Example, Run};
use crate::node::{Asked, Deferred, Local};
use crate::part::Part;
use crate::protocol::reply::{Outcome, Reply};
use crate::time::{Instant, Now};

pub(super) const SLEEP: Command = Command {
    name: "sleep",
    arity: 3,
    summary: "Stops the server for so many seconds.",
    syntax: "seconds:double",
    examples: &[Example { call: "DEBUG SLEEP 0.01", reply: "OK" }],
    run: Run::Gather { whole: None, check: unchecked, part, merge },
    ..ROW
};

/// As in Redis, what is no number means 0.
fn end(args: Args<'_>, now: Now) -> Instant {
    let seconds: f64 = std::str::from_utf8(args.at(2)).ok().and_then(|text| text.parse().ok()).unwrap_or(0.0);
    // Negative numbers and NaN become 0, what is too large becomes the end of time.
    Instant(now.mono.0.saturating_add((seconds * 1e9) as u64))
}

fn part(asked: &mut Asked<'_>, args: Args<'_>) -> Part {
    asked.node.asleep_until = asked.node.asleep_until.max(end(args, asked.now));
    Part::Done
}

/// The reply leaves when this core wakes, which is not later than any other.
fn merge(local: &mut Local<'_>, _: Args<'_>, _: Vec<Part>, reply: &mut Reply<'_>) -> Outcome {
    if local.node.asleep_until > local.now.mono {
        local.deferred = Some(Deferred::Until(local.node.asleep_until));
    }
    reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::config::Access;
    use crate::testing::World;

    #[test]
    fn everybody_waits_and_the_log_knows() {
        let mut world = World::with(3, |settings| {
            settings.enable_debug_command = Access::Yes;
            settings.latency_monitor_threshold = 100;
        });
        let clients: Vec<_> = [0, 1, 2].map(|core| world.connect(core)).into();
        assert_eq!(world.call(clients[0], "DEBUG SLEEP 0.2"), "");
        assert_eq!(world.call(clients[1], "PING"), "");
        assert_eq!(world.call(clients[2], "SET a 1"), "");
        world.pass(190);
        assert_eq!(world.receive(clients[1]), "");
        world.pass(20);
        assert_eq!(world.receive(clients[0]), "+OK\r\n");
        assert_eq!(world.receive(clients[1]), "+PONG\r\n");
        assert_eq!(world.receive(clients[2]), "+OK\r\n");
        assert!(world.say(clients[1], "SLOWLOG GET").contains("200000\nDEBUG\nSLEEP\n0.2\n"));
        assert!(world.say(clients[1], "LATENCY LATEST").starts_with("command\n"));
        for call in ["DEBUG SLEEP x", "DEBUG SLEEP -1", "DEBUG SLEEP 0"] {
            assert_eq!(world.say(clients[0], call), "OK", "{call}");
        }
        assert_eq!(world.unfinished(), [""; 0]);
    }
}
