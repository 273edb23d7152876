//! Values as bytes, for another server or another day: DUMP, RESTORE.

use super::hash::packing_of;
use super::parse::integer;
use super::row::{Command, Example, Flags, Group, Keys, Run, Touch};
use super::sets::limits_of;
use super::{stream, zset};
use crate::args::Args;
use crate::config::Settings;
use crate::hash::KeyHasher;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::rdb::dump::{Refused, dump, restore};
use crate::rdb::value::Forms;
use crate::shard::{Cx, Deadline};
use crate::time::UnixMillis;
use crate::value::access::AccessRule;
use crate::value::list::Fill;
use crate::value::record::Access;

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "dump",
        arity: 2,
        flags: Flags::READONLY,
        group: Group::Generic,
        keys: Keys::ONE,
        since: "2.6.0",
        summary: "Returns a serialized representation of the value stored at a key.",
        complexity: "O(1) to access the key and additional O(N*M) to serialize it, where N is the number of elements of the value and M their average size",
        syntax: "key",
        examples: &[Example { call: "DUMP nosuch", reply: "" }],
        run: Run::Hop(give),
        ..Command::DEFAULT
    },
    Command {
        name: "restore",
        arity: -4,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        group: Group::Generic,
        keys: Keys::ONE,
        touch: Touch::Update,
        since: "2.6.0",
        summary: "Creates a key from the serialized representation of a value.",
        complexity: "O(1) to create the new key and additional O(N*M) to reconstruct the value, where N is the number of elements of the value and M their average size",
        syntax: "key ttl:integer serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds:integer] [FREQ frequency:integer]",
        examples: &[],
        run: Run::Hop(take),
        ..Command::DEFAULT
    },
];

/// How values lie in memory.
pub(crate) fn forms(settings: &Settings, hasher: &KeyHasher) -> Forms {
    Forms {
        fill: Fill(settings.list_max_listpack_size),
        packing: packing_of(settings, hasher),
        sets: limits_of(settings, hasher),
        sorted: zset::limits_of(settings),
        pages: stream::limits_of(settings),
    }
}

const BUSY: Failure = Failure::new("BUSYKEY Target key name already exists.");

fn give(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let compresses = cx.settings.rdb_compression;
    match cx.peek(cx.key(args, 0)) {
        Some(record) => reply.bulk(&dump(record, compresses)),
        None => reply.null(),
    }
    Ok(())
}

/// What RESTORE is told behind the value.
#[derive(Default)]
struct Options {
    replaces: bool,
    is_absolute: bool,
    idle_seconds: Option<i64>,
    frequency: Option<i64>,
}

impl Options {
    fn parse(args: Args<'_>) -> Result<Options, Failure> {
        let mut options = Options::default();
        let mut n = 4;
        while n < args.len() {
            let has_value = n + 1 < args.len();
            if args.is(n, "replace") {
                options.replaces = true;
            } else if args.is(n, "absttl") {
                options.is_absolute = true;
            } else if args.is(n, "idletime") && has_value && options.frequency.is_none() {
                n += 1;
                let idle = integer(args.at(n))?;
                if idle < 0 {
                    return Err(Failure::new("ERR Invalid IDLETIME value, must be >= 0"));
                }
                options.idle_seconds = Some(idle);
            } else if args.is(n, "freq") && has_value && options.idle_seconds.is_none() {
                n += 1;
                let frequency = integer(args.at(n))?;
                if !(0..=255).contains(&frequency) {
                    return Err(Failure::new("ERR Invalid FREQ value, must be >= 0 and <= 255"));
                }
                options.frequency = Some(frequency);
            } else {
                return Err(Failure::SYNTAX);
            }
            n += 1;
        }
        Ok(options)
    }

    /// The access bits that the value had where it comes from, as far as the eviction policy here has a use for them.
    fn access(&self, rule: AccessRule) -> Option<Access> {
        match rule {
            AccessRule::Recency { seconds } => {
                let last = seconds.saturating_sub(self.idle_seconds?.unsigned_abs());
                Some(Access(last as u32 & Access::MASK))
            }
            AccessRule::Frequency { .. } => {
                let fresh = rule.fresh().0 & !0xff;
                Some(Access(fresh | self.frequency? as u32))
            }
            AccessRule::Untouched | AccessRule::Sieved => None,
        }
    }
}

fn take(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let options = Options::parse(args)?;
    let key = cx.key(args, 0);
    if !options.replaces && cx.peek(key).is_some() {
        return Err(BUSY);
    }
    let ttl = integer(args.at(2))?;
    let ttl = u64::try_from(ttl).map_err(|_| Failure::new("ERR Invalid TTL value, must be >= 0"))?;
    let forms = forms(cx.settings, cx.shard.hasher());
    let value = restore(args.at(3), &forms).map_err(|refused| match refused {
        Refused::VersionOrChecksum => Failure::new("ERR DUMP payload version or checksum are wrong"),
        Refused::Corrupt(_) => Failure::new("ERR Bad data format"),
    })?;
    let at = if options.is_absolute { ttl } else { cx.clock.0.saturating_add(ttl) };
    let deadline = if ttl == 0 { Deadline::Clear } else { Deadline::At(UnixMillis(at)) };
    if ttl > 0 && cx.is_past(UnixMillis(at)) {
        cx.remove(key);
        reply.ok();
        return Ok(());
    }
    cx.put(cx.database, key, value, deadline);
    if let Some(access) = options.access(cx.access) {
        // The value was changed already; this only says when it was used.
        cx.change_if(key, |record| {
            record.set_access(access);
            None::<()>
        });
    }
    reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{Client, World};

    /// What DUMP gives is said to RESTORE as bytes.
    fn carry(world: &mut World, client: Client, from: &str, to: &str) -> String {
        world.send(client, format!("*2\r\n$4\r\nDUMP\r\n${}\r\n{from}\r\n", from.len()).as_bytes());
        let payload = world.receive_bytes(client);
        let start = payload.iter().position(|byte| *byte == b'\n').expect("a bulk string") + 1;
        let payload = &payload[start..payload.len() - 2];
        let mut request = format!("*4\r\n$7\r\nRESTORE\r\n${}\r\n{to}\r\n$1\r\n0\r\n", to.len()).into_bytes();
        request.extend_from_slice(format!("${}\r\n", payload.len()).as_bytes());
        request.extend_from_slice(payload);
        request.extend_from_slice(b"\r\n");
        world.send(client, &request);
        world.receive(client)
    }

    #[test]
    fn a_value_of_each_type_is_carried() {
        let mut world = World::new(2);
        let client = world.connect(0);
        for (fill, look) in [
            ("SET a text", "GET a"),
            ("SET a 12345", "GET a"),
            ("RPUSH a x 2 y", "LRANGE a 0 -1"),
            ("SADD a 1 2 3", "SMEMBERS a"),
            ("SADD a x", "SMEMBERS a"),
            ("HSET a f v", "HGETALL a"),
            ("XADD a 1-1 f v", "XRANGE a - +"),
            ("ZADD a 1.5 x -inf y", "ZRANGE a 0 -1 WITHSCORES"),
        ] {
            world.send(client, b"FLUSHALL\r\n");
            world.receive(client);
            world.send(client, format!("{fill}\r\n{look}\r\n").as_bytes());
            let there = world.receive(client);
            assert_eq!(carry(&mut world, client, "a", "b"), "+OK\r\n", "{fill}");
            assert_eq!(carry(&mut world, client, "a", "b"), "-BUSYKEY Target key name already exists.\r\n");
            world.send(client, format!("{}\r\n", look.replace(" a", " b")).as_bytes());
            let carried = world.receive(client);
            assert!(there.ends_with(&carried), "{fill}: {there} {carried}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_redis_s_words() {
        let mut world = World::new(1);
        let client = world.connect(0);
        for (line, reply) in [
            ("DUMP nosuch", "$-1"),
            ("RESTORE k 0 junk", "-ERR DUMP payload version or checksum are wrong"),
            ("RESTORE k -1 junk", "-ERR Invalid TTL value, must be >= 0"),
            ("RESTORE k x junk", "-ERR value is not an integer or out of range"),
            ("RESTORE k 0 junk FREQ 256", "-ERR Invalid FREQ value, must be >= 0 and <= 255"),
            ("RESTORE k 0 junk IDLETIME -1", "-ERR Invalid IDLETIME value, must be >= 0"),
            ("RESTORE k 0 junk IDLETIME 1 FREQ 1", "-ERR syntax error"),
            ("RESTORE k 0 junk NOSUCH", "-ERR syntax error"),
            ("RESTORE k 0", "-ERR wrong number of arguments for 'restore' command"),
        ] {
            world.send(client, format!("{line}\r\n").as_bytes());
            assert_eq!(world.receive(client), format!("{reply}\r\n"), "{line}");
        }
    }
}
