//! MIGRATE: keys go to another server, and are gone here when that has them.
//!
//! Three steps: the owners of the keys write them as dumps; the other server is asked to take them; the owners remove what it has acknowledged. The keys
//! stay locked from the first to the last.

use super::parse::integer;
use super::row::{Command, Flags, Group, Keys, Next, Plan, Run, Touch};
use crate::args::Args;
use crate::errand::Errand;
use crate::mutant::planted;
use crate::protocol::reply::{Failure, Reply};
use crate::rdb::dump::dump;
use crate::shard::Cx;
use crate::txn::work::{Finding, Order};

/// Where things stand among the arguments.
const KEY: usize = 3;
const OPTIONS: usize = 6;
/// Who says no time, or less, means this.
const TIMEOUT_MILLIS: u64 = 1_000;
/// What leaves in one go may not be larger, bytes.
const BYTES_MAX: usize = 1 << 30;

/// This family's rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "migrate",
    arity: -6,
    flags: Flags::WRITE.or(Flags::MOVABLE_KEYS),
    group: Group::Generic,
    keys: Keys::OneOrBehind {
        one: KEY as u16,
        from: OPTIONS as u16,
        word: "keys",
        others: &[("auth", 1), ("auth2", 2)],
    },
    touch: Touch::Update,
    since: "2.6.0",
    summary: "Moves keys to another server, where they are before they are gone here.",
    complexity: "O(N) to write and to remove the keys, and as much on the other server",
    syntax: "host port key|\"\" destination-db:integer timeout:integer [COPY] [REPLACE] [AUTH password|AUTH2 username password] [KEYS key ...]",
    examples: &[],
    run: Run::Abroad(&MIGRATE),
    ..Command::DEFAULT
}];

const MIGRATE: Plan = Plan { check: |args, _| Options::parse(args).map(drop), reads: |_| false, act, next };

/// What it is told.
struct Options<'a> {
    copies: bool,
    replaces: bool,
    /// Of AUTH, or user and password of AUTH2.
    password: Option<(Option<&'a [u8]>, &'a [u8])>,
    timeout_millis: u64,
}

impl<'a> Options<'a> {
    fn parse(args: Args<'a>) -> Result<Options<'a>, Failure> {
        let mut options =
            Options { copies: false, replaces: false, password: None, timeout_millis: TIMEOUT_MILLIS };
        let mut n = OPTIONS;
        while n < args.len() {
            let left = args.len() - 1 - n;
            if args.is(n, "copy") {
                options.copies = true;
            } else if args.is(n, "replace") {
                options.replaces = true;
            } else if args.is(n, "auth") && left >= 1 {
                options.password = Some((None, args.at(n + 1)));
                n += 1;
            } else if args.is(n, "auth2") && left >= 2 {
                options.password = Some((Some(args.at(n + 1)), args.at(n + 2)));
                n += 2;
            } else if args.is(n, "keys") {
                if !args.at(KEY).is_empty() {
                    return Err(Failure::new(
                        "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string",
                    ));
                }
                break;
            } else {
                return Err(Failure::SYNTAX);
            }
            n += 1;
        }
        let timeout = integer(args.at(5))?;
        integer(args.at(4))?;
        if let Some(millis) = u64::try_from(timeout).ok().filter(|millis| *millis > 0) {
            options.timeout_millis = millis;
        }
        Ok(options)
    }
}

fn act(cx: &mut Cx<'_>, args: Args<'_>, order: Order) -> Finding {
    if let Some(place) = order.key {
        cx.remove(cx.key_of(args.at(place as usize)));
        return order.given;
    }
    let (now, compresses) = (cx.now, cx.settings.rdb_compression);
    let mut found = Vec::new();
    for n in 0..cx.keys.len() {
        let (place, key) = (cx.keys[n].place, cx.key(args, n));
        if let Some(record) = cx.peek(key) {
            let millis = record.deadline().map_or(0, |at| at.0.saturating_sub(now.0).max(1));
            let value = vec![Finding::Bytes(dump(record, compresses)), Finding::Count(millis)];
            found.push((place, Finding::List(value)));
            if planted("a key that leaves is removed before it is taken") {
                cx.remove(key);
            }
        }
    }
    Finding::Keys(found)
}

fn next(args: Args<'_>, step: u8, findings: Vec<Finding>, reply: &mut Reply<'_>) -> Next {
    let options = match Options::parse(args) {
        Ok(options) => options,
        Err(failure) => return Next::Failed(failure),
    };
    match step {
        0 => ask(args, &options, findings, reply),
        1 => remove(&options, findings, reply),
        _ => {
            let failure = findings.into_iter().find_map(|finding| match finding {
                Finding::Failed(failure) => Some(failure),
                _ => None,
            });
            end(failure, reply)
        }
    }
}

fn end(failure: Option<Failure>, reply: &mut Reply<'_>) -> Next {
    match failure {
        Some(failure) => Next::Failed(failure),
        None => {
            reply.ok();
            Next::Done
        }
    }
}

/// The owners have written what there is: the other server is to take it.
fn ask(args: Args<'_>, options: &Options<'_>, findings: Vec<Finding>, reply: &mut Reply<'_>) -> Next {
    let mut values: Vec<(u32, Vec<u8>, u64)> = Vec::new();
    for (place, finding) in findings.into_iter().flat_map(|finding| match finding {
        Finding::Keys(keys) => keys,
        _ => Vec::new(),
    }) {
        if let Finding::List(value) = finding
            && let Ok([Finding::Bytes(payload), Finding::Count(millis)]) = <[Finding; 2]>::try_from(value)
        {
            values.push((place, payload, millis));
        }
    }
    values.sort_by_key(|(place, ..)| *place);
    if values.is_empty() {
        reply.simple("NOKEY");
        return Next::Done;
    }
    if values.iter().map(|(_, payload, _)| payload.len()).sum::<usize>() > BYTES_MAX {
        return Next::Failed(Failure::new("ERR the keys take more than 1 GB: move them in parts"));
    }
    let (mut bytes, mut heads) = (Vec::new(), 1);
    if let Some((user, password)) = options.password {
        let user = user.iter().copied();
        say(&mut bytes, &[&b"AUTH"[..]].into_iter().chain(user).chain([password]).collect::<Vec<_>>());
        heads += 1;
    }
    say(&mut bytes, &[b"SELECT", args.at(4)]);
    for (place, payload, millis) in &values {
        let millis = millis.to_string();
        let mut words = vec![&b"RESTORE"[..], args.at(*place as usize), millis.as_bytes(), payload];
        if options.replaces {
            words.push(b"REPLACE");
        }
        say(&mut bytes, &words);
    }
    // As C's `atoi` reads it, which Redis asks.
    let port = integer(args.at(2)).ok().and_then(|port| u16::try_from(port).ok()).unwrap_or(0);
    Next::Ask(Box::new(Errand {
        host: String::from_utf8_lossy(args.at(1)).into_owned(),
        port,
        timeout_millis: options.timeout_millis,
        bytes,
        heads,
        keys: values.into_iter().map(|(place, ..)| place).collect(),
    }))
}

/// A request of these words.
fn say(bytes: &mut Vec<u8>, words: &[&[u8]]) {
    bytes.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
}

/// The other server has answered: what it has is removed here, and the failure, if there is one, told afterwards.
fn remove(options: &Options<'_>, findings: Vec<Finding>, reply: &mut Reply<'_>) -> Next {
    let (mut there, mut failure) = (Vec::new(), None);
    for finding in findings {
        match finding {
            Finding::Keys(keys) => there.extend(keys.into_iter().map(|(place, _)| place)),
            Finding::Failed(why) => failure = Some(why),
            _ => {}
        }
    }
    if options.copies || there.is_empty() {
        return end(failure, reply);
    }
    let given = failure.map_or(Finding::Flag(true), Finding::Failed);
    let order = |place| Order { step: 0, key: Some(place), given: given.clone() };
    Next::Step(there.into_iter().map(order).collect())
}

#[cfg(test)]
mod tests {
    use crate::errand::LinkNews;
    use crate::event::Effect;
    use crate::testing::{Client, World};

    fn shown(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).replace("\r\n", " ")
    }

    /// Two cores with keys, and a client that has asked to move some of them; what was said to which server.
    fn asked(line: &str) -> (World, Client, Option<String>) {
        let mut world = World::new(2);
        let client = world.connect(0);
        world.say(client, "MSET a 1 b 2 c 3 d 4 e 5");
        world.say(client, "PEXPIRE b 5000");
        let said = world.call(client, line);
        let dialed = world.dialed().map(|(host, bytes)| format!("{host} {}", shown(&bytes)));
        let dialed = dialed.or(Some(said).filter(|said| !said.is_empty()));
        (world, client, dialed)
    }

    #[test]
    fn keys_leave_when_the_other_server_has_them() {
        let (mut world, client, said) =
            asked("MIGRATE there 7 \"\" 3 500 REPLACE AUTH2 u p KEYS a nosuch b e");
        let said = said.unwrap();
        assert!(
            said.starts_with("there:7 *3 $4 AUTH $1 u $1 p *2 $6 SELECT $1 3 *5 $7 RESTORE $1 a $1 0 $"),
            "{said}"
        );
        assert!(said.contains("RESTORE $1 b $4 5000 $") && said.contains("RESTORE $1 e $1 0 $"), "{said}");
        let other = world.connect(1);
        // Nobody sees them in between, and who asks for others does not wait.
        assert_eq!(world.say(other, "MGET c d"), "3\n4");
        assert_eq!(world.call(other, "SET a new"), "");
        world.answer(LinkNews::Connected);
        world.answer(LinkNews::Written);
        world.answer(LinkNews::Bytes(b"+OK\r\n+OK\r\n+OK\r\n+O".to_vec()));
        assert_eq!(world.receive(client), "");
        world.answer(LinkNews::Bytes(b"K\r\n+OK\r\n".to_vec()));
        assert_eq!((world.receive(client), world.receive(other)), ("+OK\r\n".into(), "+OK\r\n".into()));
        assert_eq!(world.say(client, "MGET a b c d e"), "new\n\n3\n4\n");
        assert_eq!(world.unfinished(), [""; 0]);
    }

    #[test]
    fn what_was_not_acknowledged_stays() {
        let line = "MIGRATE there 7 \"\" 0 500 KEYS a b c";
        let io = |what: &str| format!("-IOERR error or timeout {what}\r\n");
        let busy = "-ERR Target instance replied with error: BUSYKEY Target key name already exists.\r\n";
        let reading = io("reading to target instance");
        let bytes = |text: &str| LinkNews::Bytes(text.as_bytes().to_vec());
        let told = [LinkNews::Connected, LinkNews::Written];
        for (news, reply, left) in [
            (vec![LinkNews::Ended], io("connecting to the client"), "1\n2\n3"),
            (vec![LinkNews::Refused], io("writing to target instance"), "1\n2\n3"),
            (vec![LinkNews::Connected, LinkNews::Ended], io("writing to target instance"), "1\n2\n3"),
            ([&told[..], &[LinkNews::Ended]].concat(), reading.clone(), "1\n2\n3"),
            ([&told[..], &[bytes("+OK\r\n+OK\r\n"), LinkNews::Ended]].concat(), reading.clone(), "\n2\n3"),
            ([&told[..], &[bytes("+OK\r\n+OK\r\n+O")]].concat(), reading.clone(), "\n2\n3"),
            (told.to_vec(), reading, "1\n2\n3"),
            (vec![], io("connecting to the client"), "1\n2\n3"),
            (
                vec![bytes("+OK\r\n+OK\r\n-BUSYKEY Target key name already exists.\r\n+OK\r\n")],
                busy.to_string(),
                "\n2\n",
            ),
            (
                vec![bytes("-ERR DB index is out of range\r\n+OK\r\n+OK\r\n+OK\r\n")],
                "-ERR Target instance replied with error: ERR DB index is out of range\r\n".into(),
                "1\n2\n3",
            ),
        ] {
            let (mut world, client, said) = asked(line);
            assert!(said.is_some_and(|said| said.starts_with("there:7 *2 $6 SELECT")));
            news.into_iter().for_each(|news| world.answer(news));
            // If nothing comes, its time passes.
            world.pass(501);
            assert_eq!(world.receive(client), reply);
            assert_eq!(world.say(client, "MGET a b c"), left, "{reply}");
            assert_eq!(world.unfinished(), [""; 0]);
            world.answer(LinkNews::Connected);
        }
    }

    #[test]
    fn copies_stay_and_what_makes_no_sense_is_refused() {
        let (mut world, client, _) = asked("MIGRATE there 7 a 0 500 COPY");
        world.answer(LinkNews::Bytes(b"+OK\r\n+OK\r\n".to_vec()));
        assert_eq!(world.receive(client), "+OK\r\n");
        assert_eq!(world.say(client, "GET a"), "1");
        for (line, reply) in [
            ("MIGRATE there 7 nosuch 0 500", "+NOKEY\r\n"),
            ("MIGRATE there 7 \"\" 0 500 KEYS", "+NOKEY\r\n"),
            ("MIGRATE there 7 \"\" 0 500 KEYS no such", "+NOKEY\r\n"),
            ("MIGRATE there 7 a 0", "-ERR wrong number of arguments for 'migrate' command\r\n"),
            ("MIGRATE there 7 a x 500", "-ERR value is not an integer or out of range\r\n"),
            ("MIGRATE there 7 a 0 x", "-ERR value is not an integer or out of range\r\n"),
            ("MIGRATE there 7 a 0 500 NONE", "-ERR syntax error\r\n"),
            ("MIGRATE there 7 a 0 500 AUTH", "-ERR syntax error\r\n"),
            ("MIGRATE there 7 a 0 500 AUTH2 u", "-ERR syntax error\r\n"),
            (
                "MIGRATE there 7 a 0 500 KEYS b",
                "-ERR When using MIGRATE KEYS option, the key argument must be set to the empty string\r\n",
            ),
        ] {
            assert_eq!(world.call(client, line), reply, "{line}");
            assert!(world.dialed().is_none());
        }
        world.say(client, "MULTI");
        let refused = world.say(client, "MIGRATE there 7 a 0 500");
        assert_eq!(refused, "ERR Command not allowed inside a transaction");
        world.say(client, "DISCARD");
        assert_eq!(world.unfinished(), [""; 0]);
    }

    #[test]
    fn only_so_many_are_under_way_and_a_client_that_leaves_changes_nothing() {
        let mut world = World::new(2);
        let clients: Vec<Client> = (0..6).map(|_| world.connect(0)).collect();
        for (n, client) in clients.iter().enumerate() {
            world.say(*client, &format!("SET key:{n} {n}"));
            assert_eq!(world.call(*client, &format!("MIGRATE there 7 key:{n} 0 500")), "");
        }
        let dialed = |world: &World| {
            world.kept.iter().filter(|(_, effect)| matches!(effect, Effect::Dial { .. })).count()
        };
        assert_eq!(dialed(&world), 4);
        world.hang_up(clients[0]);
        for _ in 0..6 {
            world.answer(LinkNews::Bytes(b"+OK\r\n+OK\r\n".to_vec()));
        }
        let heard: Vec<String> = clients[1..].iter().map(|client| world.receive(*client)).collect();
        assert_eq!(heard, ["+OK\r\n"; 5]);
        let last = world.connect(1);
        assert_eq!(world.say(last, "DBSIZE"), "0", "the one that has left, too");
        assert_eq!(world.unfinished(), [""; 0]);
    }
}
