//! CLIENT KILL: ending connections, by address or by what they are.

use super::list::ClientType;
use super::{ADMIN, ROW};
use crate::args::Args;
use crate::command::parse::integer;
use crate::command::row::{Command, Example, Run};
use crate::event::ConnId;
use crate::node::{Asked, Local};
use crate::part::Part;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::session::{ClientId, Session};
use crate::time::Instant;

pub(super) const KILL: Command = Command {
    name: "kill",
    arity: -3,
    flags: ADMIN,
    since: "2.4.0",
    complexity: "O(N) where N is the number of client connections",
    summary: "Terminates open connections.",
    syntax: "address | [ID client-id:integer] [TYPE client-type] [USER username] [ADDR address] [LADDR address] \
             [SKIPME yes/no] [MAXAGE seconds]",
    examples: &[
        Example { call: "CLIENT KILL 127.0.0.1:1", reply: "ERR No such client" },
        Example { call: "CLIENT KILL ID 999999", reply: "0" },
        Example { call: "CLIENT KILL TYPE pubsub", reply: "0" },
    ],
    run: Run::Gather { whole: None, check, part, merge },
    ..ROW
};

/// Which clients end. All that is given must hold.
#[derive(Debug, PartialEq)]
struct Filter<'a> {
    id: Option<ClientId>,
    kind: Option<ClientType>,
    user: Option<&'a [u8]>,
    address: Option<&'a [u8]>,
    local: Option<&'a [u8]>,
    age_seconds: Option<u64>,
    skip_caller: bool,
}

/// The form with an address alone, which older clients use.
fn is_old_form(args: Args<'_>) -> bool {
    args.len() == 3
}

impl<'a> Filter<'a> {
    fn parse(args: Args<'a>) -> Result<Filter<'a>, Failure> {
        let mut filter = Filter {
            id: None,
            kind: None,
            user: None,
            address: None,
            local: None,
            age_seconds: None,
            skip_caller: true,
        };
        if is_old_form(args) {
            return Ok(Filter { address: Some(args.at(2)), skip_caller: false, ..filter });
        }
        let mut n = 2;
        while n < args.len() {
            let value = args.get(n + 1).ok_or(Failure::SYNTAX)?;
            if args.is(n, "id") {
                filter.id = Some(positive(value, "ERR client-id should be greater than 0").map(ClientId)?);
            } else if args.is(n, "type") {
                filter.kind = Some(ClientType::parse(value)?);
            } else if args.is(n, "user") {
                filter.user = Some(value);
                if value != b"default" {
                    let name = String::from_utf8_lossy(value);
                    return Err(Failure::text(format!("ERR No such user '{name}'")));
                }
            } else if args.is(n, "addr") {
                filter.address = Some(value);
            } else if args.is(n, "laddr") {
                filter.local = Some(value);
            } else if args.is(n, "maxage") {
                filter.age_seconds = Some(positive(value, "ERR maxage should be greater than 0")?);
            } else if args.is(n, "skipme") && args.is(n + 1, "yes") {
                filter.skip_caller = true;
            } else if args.is(n, "skipme") && args.is(n + 1, "no") {
                filter.skip_caller = false;
            } else {
                return Err(Failure::SYNTAX);
            }
            n += 2;
        }
        Ok(filter)
    }

    fn has(&self, session: &Session, caller: ClientId, now: Instant) -> bool {
        let age = now.seconds_begun_since(session.created);
        // Every client is the user `default`, once it may do anything at all.
        let is_user = self.user.is_none() || session.authenticated;
        is_user
            && self.id.is_none_or(|id| id == session.id)
            && self.kind.is_none_or(|kind| kind == ClientType::of(session))
            && self.address.is_none_or(|address| address == session.peer.address.as_bytes())
            && self.local.is_none_or(|local| local == session.peer.local.as_bytes())
            && self.age_seconds.is_none_or(|seconds| age >= seconds)
            && !(self.skip_caller && session.id == caller)
            && !session.close_said
    }
}

fn positive(word: &[u8], otherwise: &'static str) -> Result<u64, Failure> {
    integer(word).ok().filter(|&number| number > 0).map(|n| n as u64).ok_or(Failure::new(otherwise))
}

fn check(_: &mut Local<'_>, args: Args<'_>) -> Outcome {
    Filter::parse(args).map(drop)
}

fn part(asked: &mut Asked<'_>, args: Args<'_>) -> Part {
    let filter = match Filter::parse(args) {
        Ok(filter) => filter,
        Err(failure) => return Part::Failed(failure),
    };
    let (caller, now) = (asked.client, asked.now.mono);
    let found: Vec<(ConnId, bool)> = asked
        .sessions
        .iter()
        .filter(|session| filter.has(session, caller, now))
        .map(|session| (session.conn, session.id == caller))
        .collect();
    for &(conn, is_caller) in &found {
        asked.end(conn, is_caller);
    }
    Part::Count(found.len() as u64)
}

fn merge(_: &mut Local<'_>, args: Args<'_>, parts: Vec<Part>, reply: &mut Reply<'_>) -> Outcome {
    match (Part::total(&parts), is_old_form(args)) {
        (0, true) => return Err(Failure::new("ERR No such client")),
        (_, true) => reply.ok(),
        (killed, false) => reply.integer(killed),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    #[test]
    fn clients_of_any_core_are_ended() {
        let mut world = World::new(3);
        let clients: Vec<_> = [0, 1, 2, 1].map(|core| world.connect(core)).into();
        let id = world.say(clients[2], "CLIENT ID");
        assert_eq!(world.say(clients[0], &format!("CLIENT KILL ID {id}")), "1");
        assert!(!world.is_open(clients[2]));
        assert_eq!(world.say(clients[0], "CLIENT KILL 127.0.0.1:50002"), "OK");
        assert!(!world.is_open(clients[1]));
        assert_eq!(world.say(clients[0], "CLIENT KILL 127.0.0.1:50002"), "ERR No such client");
        assert_eq!(world.say(clients[0], "CLIENT KILL MAXAGE 10"), "0");
        world.pass(10_000);
        assert_eq!(world.say(clients[0], "CLIENT KILL MAXAGE 10 USER default LADDR 127.0.0.1:6379"), "1");
        assert!(!world.is_open(clients[3]));
        assert!(world.is_open(clients[0]), "the caller is left out unless it says otherwise");
        assert_eq!(world.say(clients[0], "CLIENT KILL TYPE normal SKIPME no"), "1", "told before it ends");
        assert!(!world.is_open(clients[0]));
        assert_eq!(world.unfinished(), [""; 0]);
    }

    #[test]
    fn the_old_form_may_end_its_caller() {
        let mut world = World::new(2);
        let client = world.connect(1);
        assert_eq!(world.say(client, "CLIENT KILL 127.0.0.1:50001"), "OK");
        assert!(!world.is_open(client));
    }

    #[test]
    fn errors_are_those_of_redis() {
        let mut world = World::new(1);
        let client = world.connect(0);
        for (call, error) in [
            ("CLIENT KILL foo", "ERR No such client"),
            ("CLIENT KILL ID x", "ERR client-id should be greater than 0"),
            ("CLIENT KILL ID 0", "ERR client-id should be greater than 0"),
            ("CLIENT KILL TYPE foo", "ERR Unknown client type 'foo'"),
            ("CLIENT KILL SKIPME maybe", "ERR syntax error"),
            ("CLIENT KILL USER nosuch", "ERR No such user 'nosuch'"),
            ("CLIENT KILL ADDR a:1 LADDR", "ERR syntax error"),
            ("CLIENT KILL foo bar", "ERR syntax error"),
        ] {
            assert_eq!(world.say(client, call), error, "{call}");
        }
    }
}
