//! The line that describes a client: CLIENT INFO for one's own, CLIENT LIST for those of all cores.

use std::fmt::Write;

use super::{ADMIN, ROW};
use crate::args::Args;
use crate::command::parse::integer;
use crate::command::row::{Command, Example, Run};
use crate::event::Origin;
use crate::feed::Topics;
use crate::node::{Asked, Local};
use crate::part::Part;
use crate::protocol::reply::{Failure, Outcome, Reply, Resp};
use crate::session::{ClientId, Closing, Session};
use crate::time::Instant;

pub(super) const INFO: Command = Command {
    name: "info",
    arity: 2,
    since: "6.2.0",
    summary: "Returns information about the connection.",
    examples: &[Example { call: "CLIENT INFO", reply: "*" }],
    run: Run::Local(info),
    ..ROW
};

pub(super) const LIST: Command = Command {
    name: "list",
    arity: -2,
    flags: ADMIN,
    since: "2.4.0",
    complexity: "O(N) where N is the number of client connections",
    summary: "Lists open connections.",
    syntax: "[TYPE client-type] [ID client-id:integer [client-id:integer ...]]",
    examples: &[
        Example { call: "CLIENT LIST", reply: "*" },
        Example { call: "CLIENT LIST TYPE replica", reply: "" },
        Example { call: "CLIENT LIST ID x", reply: "ERR Invalid client ID" },
    ],
    run: Run::Gather { whole: None, check, part, merge },
    ..ROW
};

fn info(local: &mut Local<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.verbatim("txt", &line(local.session, local.now.mono));
    Ok(())
}

/// The kinds of clients that Redis tells apart. There are no replicas and no subscribers yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientType {
    Normal,
    Master,
    Replica,
    Pubsub,
}

impl ClientType {
    pub(super) fn parse(word: &[u8]) -> Result<ClientType, Failure> {
        let kinds = [
            ("normal", ClientType::Normal),
            ("master", ClientType::Master),
            ("replica", ClientType::Replica),
            ("slave", ClientType::Replica),
            ("pubsub", ClientType::Pubsub),
        ];
        let found = kinds.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, kind)| kind).ok_or_else(|| {
            Failure::text(format!("ERR Unknown client type '{}'", String::from_utf8_lossy(word)))
        })
    }

    /// As in Redis, a monitor is a normal client.
    pub(super) fn of(_: &Session) -> ClientType {
        ClientType::Normal
    }
}

/// Which clients are listed.
enum Wanted {
    All,
    Type(ClientType),
    Ids(Vec<ClientId>),
}

impl Wanted {
    fn parse(args: Args<'_>) -> Result<Wanted, Failure> {
        if args.len() == 2 {
            Ok(Wanted::All)
        } else if args.len() == 4 && args.is(2, "type") {
            Ok(Wanted::Type(ClientType::parse(args.at(3))?))
        } else if args.len() > 3 && args.is(2, "id") {
            let ids = args.skip(3).iter().map(|word| match integer(word) {
                Ok(id) if id > 0 => Ok(ClientId(id as u64)),
                _ => Err(Failure::new("ERR Invalid client ID")),
            });
            Ok(Wanted::Ids(ids.collect::<Result<_, _>>()?))
        } else {
            Err(Failure::SYNTAX)
        }
    }

    fn has(&self, session: &Session) -> bool {
        match self {
            Wanted::All => true,
            Wanted::Type(kind) => ClientType::of(session) == *kind,
            Wanted::Ids(ids) => ids.contains(&session.id),
        }
    }
}

fn check(_: &mut Local<'_>, args: Args<'_>) -> Outcome {
    Wanted::parse(args).map(drop)
}

fn part(asked: &mut Asked<'_>, args: Args<'_>) -> Part {
    let wanted = match Wanted::parse(args) {
        Ok(wanted) => wanted,
        Err(failure) => return Part::Failed(failure),
    };
    let now = asked.now.mono;
    let listed = asked.sessions.iter().filter(|session| !session.close_said && wanted.has(session));
    Part::Clients(listed.map(|session| (session.id, line(session, now))).collect())
}

/// As if there were one core: the oldest client first.
fn merge(_: &mut Local<'_>, _: Args<'_>, parts: Vec<Part>, reply: &mut Reply<'_>) -> Outcome {
    let mut clients: Vec<(ClientId, String)> = Vec::new();
    for part in parts {
        match part {
            Part::Clients(some) => clients.extend(some),
            Part::Failed(failure) => return Err(failure),
            _ => {}
        }
    }
    clients.sort_unstable_by_key(|(id, _)| *id);
    reply.verbatim("txt", &clients.into_iter().map(|(_, line)| line).collect::<String>());
    Ok(())
}

/// One client, in the fields and the order of Redis 7 (<https://redis.io/docs/latest/commands/client-list/>).
fn line(session: &Session, now: Instant) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let command = session.last_command.map_or("NULL".into(), |id| id.full_name());
    let output = session.output_len();
    let held = session.held_bytes();
    let mut line = String::with_capacity(400);
    // Writing to a string does not fail.
    let _ = writeln!(
        line,
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub=0 psub=0 ssub=0 multi={} qbuf={} qbuf-free=0 \
         argv-mem={} multi-mem={} rbs={} rbp={} obl={} oll=0 omem=0 tot-mem={} events={} cmd={} user=default redir=-1 resp={} \
         lib-name={} lib-ver={}",
        session.id.0,
        session.peer.address,
        session.peer.local,
        session.peer.descriptor,
        text(&session.name),
        now.seconds_begun_since(session.created),
        now.seconds_begun_since(session.last_active),
        flags(session),
        session.database,
        session.queued.as_ref().map_or(-1, |queued| queued.calls.len() as i64),
        session.unconsumed,
        session.parser.allocated_bytes(),
        session.queued.as_ref().map_or(0, |queued| queued.calls.held_bytes()),
        session.outbox.held_bytes(),
        session.outbox.held_bytes(),
        output,
        held + session.unconsumed,
        match (session.read_paused, output > 0) {
            (false, false) => "r",
            (false, true) => "rw",
            (true, true) => "w",
            (true, false) => "",
        },
        command,
        if session.resp == Resp::V3 { 3 } else { 2 },
        text(&session.library_name),
        text(&session.library_version),
    );
    line
}

fn flags(session: &Session) -> String {
    let letters: String = [
        ('O', session.listens.meets(Topics::REQUESTS)),
        ('x', session.queued.is_some()),
        ('b', session.blocked.is_some()),
        ('c', session.closing == Closing::AfterReplies),
        ('A', session.closing == Closing::Now),
        ('U', session.peer.origin == Origin::Unix),
        ('e', session.no_evict),
        ('T', session.no_touch),
    ]
    .into_iter()
    .filter_map(|(letter, is)| is.then_some(letter))
    .collect();
    if letters.is_empty() { "N".into() } else { letters }
}

#[cfg(test)]
mod tests {
    use crate::event::Origin;
    use crate::testing::World;

    #[test]
    fn a_line_has_the_fields_of_redis_in_its_order() {
        let mut world = World::new(1);
        let client = world.connect_from(0, Origin::Unix);
        for call in
            ["CLIENT SETNAME me", "CLIENT SETINFO LIB-NAME lib", "CLIENT SETINFO LIB-VER 1.2", "SELECT 3"]
        {
            assert_eq!(world.say(client, call), "OK");
        }
        world.pass(5_000);
        let line = world.say(client, "CLIENT INFO");
        let fields: Vec<(&str, &str)> =
            line.trim_end().split(' ').map(|field| field.split_once('=').expect("name=value")).collect();
        let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            names.join(" "),
            "id addr laddr fd name age idle flags db sub psub ssub multi qbuf qbuf-free argv-mem multi-mem rbs rbp obl oll omem \
             tot-mem events cmd user redir resp lib-name lib-ver"
        );
        for (name, value) in [
            ("id", "1"),
            ("addr", "127.0.0.1:50001"),
            ("name", "me"),
            ("age", "5"),
            ("idle", "0"),
            ("flags", "U"),
            ("db", "3"),
            ("cmd", "client|info"),
            ("resp", "2"),
            ("lib-name", "lib"),
            ("lib-ver", "1.2"),
        ] {
            assert!(fields.contains(&(name, value)), "{name}={value} in {line}");
        }
        assert!(line.ends_with('\n'));
    }

    #[test]
    fn clients_of_all_cores_are_listed_by_age() {
        let mut world = World::new(3);
        let clients: Vec<_> = [2, 0, 1, 2].map(|core| world.connect(core)).into();
        let ids: Vec<String> = clients.iter().map(|&client| world.say(client, "CLIENT ID")).collect();
        let listed = |list: &str| -> Vec<String> {
            list.lines().map(|line| line.split([' ', '=']).nth(1).unwrap_or_default().to_string()).collect()
        };
        let mut sorted = ids.clone();
        sorted.sort_unstable_by_key(|id| id.parse::<u64>().expect("an id is a number"));
        for &client in &clients {
            let list = world.say(client, "CLIENT LIST");
            assert_eq!(listed(&list), sorted);
            assert_eq!(listed(&world.say(client, "CLIENT LIST TYPE normal")), sorted);
            assert_eq!(world.call(client, "CLIENT LIST TYPE pubsub"), "$0\r\n\r\n");
            let some = world.say(client, &format!("CLIENT LIST ID {} 999 {}", ids[0], ids[2]));
            assert_eq!(listed(&some).len(), 2);
        }
        for (call, error) in [
            ("CLIENT LIST foo", "ERR syntax error"),
            ("CLIENT LIST ID", "ERR syntax error"),
            ("CLIENT LIST ID 0", "ERR Invalid client ID"),
            ("CLIENT LIST TYPE foo", "ERR Unknown client type 'foo'"),
            ("CLIENT LIST TYPE pubsub TYPE normal", "ERR syntax error"),
        ] {
            assert_eq!(world.say(clients[0], call), error, "{call}");
        }
    }
}
