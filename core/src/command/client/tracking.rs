//! Client-side caching. Nothing is tracked yet: these rows tell clients so in the words that they understand.

use super::{ROW, on_off};
use crate::args::Args;
use crate::command::row::{Command, Example, Run};
use crate::node::Local;
use crate::protocol::reply::{Failure, Outcome, Reply};

pub(super) const GETREDIR: Command = Command {
    name: "getredir",
    arity: 2,
    since: "6.0.0",
    summary: "Returns the client ID to which the connection's tracking notifications are redirected.",
    examples: &[Example { call: "CLIENT GETREDIR", reply: "-1" }],
    run: Run::Local(|_, _, reply| {
        reply.integer(-1);
        Ok(())
    }),
    ..ROW
};

pub(super) const CACHING: Command = Command {
    name: "caching",
    arity: 3,
    since: "6.0.0",
    summary: "Instructs the server whether to track the keys in the next request.",
    syntax: "YES | NO",
    examples: &[Example { call: "CLIENT CACHING YES", reply: "*" }],
    run: Run::Local(|_, _, _| {
        Err(Failure::new(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
        ))
    }),
    ..ROW
};

pub(super) const TRACKING: Command = Command {
    name: "tracking",
    arity: -3,
    since: "6.0.0",
    summary: "Controls server-assisted client-side caching for the connection.",
    syntax: "ON | OFF",
    examples: &[
        Example { call: "CLIENT TRACKING OFF", reply: "OK" },
        Example { call: "CLIENT TRACKING ON", reply: "ERR CLIENT TRACKING is not supported yet" },
    ],
    run: Run::Local(tracking),
    ..ROW
};

pub(super) const TRACKINGINFO: Command = Command {
    name: "trackinginfo",
    arity: 2,
    since: "6.2.0",
    summary: "Returns information about server-assisted client-side caching for the connection.",
    examples: &[Example { call: "CLIENT TRACKINGINFO", reply: "*" }],
    run: Run::Local(tracking_info),
    ..ROW
};

fn tracking(_: &mut Local<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    if on_off(args)? {
        return Err(Failure::new("ERR CLIENT TRACKING is not supported yet"));
    }
    reply.ok();
    Ok(())
}

fn tracking_info(_: &mut Local<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.map(3);
    reply.text("flags");
    reply.set(1);
    reply.text("off");
    reply.text("redirect");
    reply.integer(-1);
    reply.text("prefixes");
    reply.array(0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    #[test]
    fn tracking_is_off_and_stays_off() {
        let mut world = World::new(1);
        let client = world.connect(0);
        for (call, reply) in [
            ("CLIENT TRACKING ON", "-ERR CLIENT TRACKING is not supported yet\r\n"),
            ("CLIENT TRACKING perhaps", "-ERR syntax error\r\n"),
            ("CLIENT TRACKING OFF", "+OK\r\n"),
            ("CLIENT GETREDIR", ":-1\r\n"),
            (
                "CLIENT TRACKINGINFO",
                "*6\r\n$5\r\nflags\r\n*1\r\n$3\r\noff\r\n$8\r\nredirect\r\n:-1\r\n$8\r\nprefixes\r\n*0\r\n",
            ),
        ] {
            assert_eq!(world.call(client, call), reply, "{call}");
        }
        world.call(client, "HELLO 3");
        assert_eq!(
            world.call(client, "CLIENT TRACKINGINFO"),
            "%3\r\n$5\r\nflags\r\n~1\r\n$3\r\noff\r\n$8\r\nredirect\r\n:-1\r\n$8\r\nprefixes\r\n*0\r\n"
        );
    }
}
