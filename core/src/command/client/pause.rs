//! CLIENT PAUSE and UNPAUSE: holding the requests of all clients of all cores.

use super::{ADMIN, ROW};
use crate::args::Args;
use crate::command::gathered::{all_done, unchecked};
use crate::command::parse::integer;
use crate::command::row::{Command, Example, Run};
use crate::event::ConnId;
use crate::node::{Asked, Local, Pause};
use crate::part::Part;
use crate::protocol::reply::{Failure, Outcome};
use crate::session::Hold;

pub(super) const PAUSE: Command = Command {
    name: "pause",
    arity: -3,
    flags: ADMIN,
    since: "3.0.0",
    summary: "Suspends commands processing.",
    syntax: "timeout:integer [WRITE | ALL]",
    examples: &[
        Example { call: "CLIENT PAUSE 10 WRITE", reply: "OK" },
        Example { call: "CLIENT UNPAUSE", reply: "OK" },
    ],
    run: Run::Gather { whole: None, check, part: pause, merge: all_done },
    ..ROW
};

pub(super) const UNPAUSE: Command = Command {
    name: "unpause",
    arity: 2,
    flags: ADMIN,
    since: "6.2.0",
    complexity: "O(N) where N is the number of paused clients",
    summary: "Resumes processing commands from paused clients.",
    examples: &[Example { call: "CLIENT UNPAUSE", reply: "OK" }],
    run: Run::Gather { whole: None, check: unchecked, part: unpause, merge: all_done },
    ..ROW
};

/// Milliseconds, and whether everything is held.
fn parse(args: Args<'_>) -> Result<(u64, bool), Failure> {
    let all = match args.len() {
        3 => true,
        4 if args.is(3, "all") => true,
        4 if args.is(3, "write") => false,
        4 => return Err(Failure::new("ERR CLIENT PAUSE mode must be WRITE or ALL")),
        _ => return Err(Failure::SYNTAX),
    };
    let millis =
        integer(args.at(2)).map_err(|_| Failure::new("ERR timeout is not an integer or out of range"))?;
    let millis = u64::try_from(millis).map_err(|_| Failure::new("ERR timeout is negative"))?;
    Ok((millis, all))
}

fn check(_: &mut Local<'_>, args: Args<'_>) -> Outcome {
    parse(args).map(drop)
}

/// Of two pauses the longer and the stricter holds, as in Redis.
fn pause(asked: &mut Asked<'_>, args: Args<'_>) -> Part {
    let (millis, all) = match parse(args) {
        Ok(parsed) => parsed,
        Err(failure) => return Part::Failed(failure),
    };
    let until = asked.now.mono.after_millis(millis);
    let earlier = asked.node.pause.filter(|earlier| earlier.until > asked.now.mono);
    asked.node.pause = Some(match earlier {
        Some(earlier) => Pause { until: earlier.until.max(until), all: earlier.all || all },
        None => Pause { until, all },
    });
    Part::Done
}

fn unpause(asked: &mut Asked<'_>, _: Args<'_>) -> Part {
    asked.node.pause = None;
    let held = |session: &&crate::session::Session| session.hold == Some(Hold::Pause);
    let conns: Vec<ConnId> = asked.sessions.iter().filter(held).map(|session| session.conn).collect();
    conns.into_iter().for_each(|conn| asked.release(conn));
    Part::Done
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    #[test]
    fn writes_wait_and_reads_do_not() {
        let mut world = World::new(3);
        let clients: Vec<_> = [0, 1, 2].map(|core| world.connect(core)).into();
        assert_eq!(world.say(clients[0], "CLIENT PAUSE 1000 WRITE"), "OK");
        assert_eq!(world.call(clients[1], "SET a 1"), "");
        assert_eq!(world.call(clients[2], "GET a"), "$-1\r\n");
        world.pass(900);
        assert_eq!(world.receive(clients[1]), "");
        world.pass(200);
        assert_eq!(world.receive(clients[1]), "+OK\r\n");
        assert_eq!(world.unfinished(), [""; 0]);
    }

    #[test]
    fn unpause_lets_everybody_go_on() {
        let mut world = World::new(3);
        let clients: Vec<_> = [0, 1, 2].map(|core| world.connect(core)).into();
        assert_eq!(world.say(clients[0], "CLIENT PAUSE 100000"), "OK");
        assert_eq!(world.call(clients[1], "GET a"), "");
        assert_eq!(world.call(clients[2], "SET b 1"), "");
        assert_eq!(world.say(clients[0], "CLIENT UNPAUSE"), "OK");
        assert_eq!(world.receive(clients[1]), "$-1\r\n");
        assert_eq!(world.receive(clients[2]), "+OK\r\n");
    }

    #[test]
    fn the_longer_and_stricter_pause_holds() {
        let mut world = World::new(1);
        let (boss, client) = (world.connect(0), world.connect(0));
        assert_eq!(world.say(boss, "CLIENT PAUSE 1000 ALL"), "OK");
        assert_eq!(world.say(boss, "CLIENT PAUSE 10 WRITE"), "OK");
        assert_eq!(world.call(client, "GET a"), "");
        world.pass(990);
        assert_eq!(world.receive(client), "");
        world.pass(20);
        assert_eq!(world.receive(client), "$-1\r\n");
    }

    #[test]
    fn errors_are_those_of_redis() {
        let mut world = World::new(1);
        let client = world.connect(0);
        for (call, error) in [
            ("CLIENT PAUSE x", "ERR timeout is not an integer or out of range"),
            ("CLIENT PAUSE -1", "ERR timeout is negative"),
            ("CLIENT PAUSE 0 foo", "ERR CLIENT PAUSE mode must be WRITE or ALL"),
        ] {
            assert_eq!(world.say(client, call), error, "{call}");
        }
    }
}
