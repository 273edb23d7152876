//! Hashes: fields that are read and removed, or read or set with a deadline.

use super::hash::{ROW, packing, reply_value, wrong_number};
use super::hash_deadline::{NO_FIELDS, NOT_POSITIVE, OTHER_NUMBER, fields, moment};
use super::parse::TimeUnit;
use super::row::{Command, Example, Flags, Run, Touch};
use crate::args::Args;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::protocol::request::parse_integer;
use crate::shard::Cx;
use crate::time::UnixMillis;
use crate::value::hash::Hash;

const TIMED: Command = Command {
    since: "8.0.0",
    arity: -5,
    flags: Flags::WRITE.or(Flags::FAST),
    touch: Touch::Update,
    complexity: "O(N) where N is the number of specified fields",
    ..ROW
};

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "hgetdel",
        touch: Touch::Take,
        summary: "Returns the value of a field and deletes it from the hash.",
        syntax: "key FIELDS numfields:integer field [field ...]",
        examples: &[
            Example { call: "HSET myhash f1 v1 f2 v2", reply: "2" },
            Example { call: "HGETDEL myhash FIELDS 2 f1 nosuch", reply: "v1\n" },
            Example { call: "HGETALL myhash", reply: "f2\nv2" },
        ],
        run: Run::Hop(get_and_delete),
        ..TIMED
    },
    Command {
        name: "hgetex",
        summary: "Get the value of one or more fields of a given hash key, and optionally set their expiration.",
        syntax: "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST] \
                 FIELDS numfields:integer field [field ...]",
        examples: &[
            Example { call: "HSET myhash f1 v1", reply: "1" },
            Example { call: "HGETEX myhash EX 10 FIELDS 2 f1 nosuch", reply: "v1\n" },
            Example { call: "HTTL myhash FIELDS 1 f1", reply: "10" },
        ],
        run: Run::Hop(get_and_expire),
        ..TIMED
    },
    Command {
        name: "hsetex",
        arity: -6,
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        summary: "Set the value of one or more fields of a given hash key, and optionally set their expiration.",
        syntax: "key [FNX | FXX] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL] \
                 FIELDS numfields:integer field value [field value ...]",
        examples: &[
            Example { call: "HSETEX myhash EX 10 FIELDS 2 f1 v1 f2 v2", reply: "1" },
            Example { call: "HTTL myhash FIELDS 1 f2", reply: "10" },
            Example { call: "HSETEX myhash FNX FIELDS 1 f1 v3", reply: "0" },
        ],
        run: Run::Hop(set_and_expire),
        ..TIMED
    },
];

fn get_and_delete(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (now, key) = (cx.now, cx.key(args, 0));
    cx.peek_held::<Hash>(key)?;
    let fields = fields(args, 2, NOT_POSITIVE)?;
    reply.array(fields.len());
    let mut told = false;
    cx.change_held(key, |hash: &mut Hash| {
        told = true;
        let mut deleted = false;
        for name in fields.iter() {
            let field = hash.live(name, now);
            reply_value(field.map(|field| field.value), reply);
            if field.is_some() {
                hash.remove(name);
                deleted = true;
            }
        }
        deleted.then_some(())
    })?;
    if !told {
        fields.iter().for_each(|_| reply.null());
    }
    Ok(())
}

/// What becomes of the deadlines of fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Never,
    AsBefore,
    At(UnixMillis),
}

/// When HSETEX sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    None,
    NoneThere,
    AllThere,
}

/// What stands behind the key of HGETEX and HSETEX, in any order.
struct Options<'a> {
    condition: Condition,
    ends: Option<Ends>,
    fields: Args<'a>,
}

impl<'a> Options<'a> {
    /// Each field takes `each` words; `keeps` is the word for deadlines that are left alone or taken away.
    fn parse(
        args: Args<'a>,
        now: UnixMillis,
        name: &str,
        each: usize,
        keeps: (&str, Ends),
    ) -> Result<Options<'a>, Failure> {
        let (mut condition, mut ends, mut found) = (Condition::None, None, None);
        let mut n = 2;
        while n < args.len() {
            let word = [("fnx", Condition::NoneThere), ("fxx", Condition::AllThere)];
            let word = word.into_iter().find(|(word, _)| each == 2 && args.is(n, word));
            if let Some((_, named)) = word {
                if condition != Condition::None {
                    return Err(Failure::new("ERR Only one of FXX or FNX arguments can be specified"));
                }
                condition = named;
            } else if args.is(n, keeps.0) || TimeUnit::of_option(args, n).is_some() {
                if ends.is_some() {
                    let keeps = keeps.0.to_uppercase();
                    let line =
                        format!("ERR Only one of EX, PX, EXAT, PXAT or {keeps} arguments can be specified");
                    return Err(Failure::text(line));
                }
                ends = match TimeUnit::of_option(args, n) {
                    None => Some(keeps.1),
                    Some(unit) => {
                        n += 1;
                        let word = args.get(n).ok_or(Failure::new("ERR missing expire time"))?;
                        Some(Ends::At(moment(word, unit, now, name)?))
                    }
                };
            } else if args.is(n, "fields") && found.is_none() {
                let count = args.get(n + 1).and_then(parse_integer).filter(|count| *count > 0);
                let count = count.ok_or(Failure::new("ERR invalid number of fields"))?;
                let words = usize::try_from(count).ok().and_then(|count| count.checked_mul(each));
                let words = words.filter(|words| *words <= args.len() - n - 2);
                let words = words.ok_or_else(|| wrong_number(name))?;
                found = Some((n + 2, words));
                n += 1 + words;
            } else {
                return Err(match found {
                    Some(_) => OTHER_NUMBER,
                    None => {
                        let word = String::from_utf8_lossy(args.at(n)).into_owned();
                        Failure::text(format!("ERR unknown argument: {word}"))
                    }
                });
            }
            n += 1;
        }
        let (first, words) = found.ok_or(NO_FIELDS)?;
        Ok(Options { condition, ends, fields: args.skip(first).first(words) })
    }
}

fn get_and_expire(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (now, key) = (cx.now, cx.key(args, 0));
    cx.peek_held::<Hash>(key)?;
    let Options { ends, fields, .. } = Options::parse(args, now, "hgetex", 1, ("persist", Ends::Never))?;
    reply.array(fields.len());
    let mut told = false;
    cx.change_held(key, |hash: &mut Hash| {
        told = true;
        let mut changed = false;
        for name in fields.iter() {
            let field = hash.live(name, now);
            reply_value(field.map(|field| field.value), reply);
            let Some(deadline) = field.map(|field| field.deadline) else { continue };
            match ends {
                Some(Ends::At(at)) if at <= now => {
                    hash.remove(name);
                }
                Some(Ends::At(at)) => hash.set_deadline(name, Some(at)),
                Some(Ends::Never) if deadline.is_some() => hash.set_deadline(name, None),
                _ => continue,
            }
            changed = true;
        }
        changed.then_some(())
    })?;
    if !told {
        fields.iter().for_each(|_| reply.null());
    }
    Ok(())
}

fn set_and_expire(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (now, key, packing) = (cx.now, cx.key(args, 0), packing(cx));
    let hash = cx.peek_held::<Hash>(key)?;
    let options = Options::parse(args, now, "hsetex", 2, ("keepttl", Ends::AsBefore))?;
    let Options { condition, ends, fields } = options;
    let names = || (0..fields.len()).step_by(2).map(|n| fields.at(n));
    let lives = |name: &[u8]| hash.is_some_and(|hash| hash.live(name, now).is_some());
    let holds = match condition {
        Condition::None => true,
        Condition::NoneThere => !names().any(lives),
        Condition::AllThere => names().all(lives),
    };
    if !holds {
        reply.integer(0);
        return Ok(());
    }
    if let Some(Ends::At(at)) = ends
        && at <= now
    {
        // They are set and gone at once.
        cx.change_held(key, |hash: &mut Hash| {
            let mut changed = false;
            for name in names() {
                changed |= hash.remove(name);
            }
            changed.then_some(())
        })?;
        reply.integer(1);
        return Ok(());
    }
    cx.grow_held(key, |hash: &mut Hash| {
        for n in (0..fields.len()).step_by(2) {
            let (name, value) = (fields.at(n), fields.at(n + 1));
            let deadline = match ends {
                Some(Ends::At(at)) => Some(at),
                Some(Ends::AsBefore) => hash.live(name, now).and_then(|field| field.deadline),
                Some(Ends::Never) | None => None,
            };
            hash.set(name, value, deadline, &packing);
        }
    })?;
    reply.integer(1);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    #[test]
    fn fields_are_read_and_removed_or_given_deadlines() {
        let mut world = World::new(2);
        let client = world.connect(0);
        for (call, reply) in [
            ("HSET h a 1 b 2 c 3", "3"),
            ("HGETDEL h FIELDS 3 a nosuch b", "1\n\n2"),
            ("HLEN h", "1"),
            ("HGETDEL nosuch FIELDS 2 a b", "\n"),
            ("HGETDEL h FIELDS 2 c", "ERR The `numfields` parameter must match the number of arguments"),
            ("HGETDEL h FIELD 1 c", "ERR Mandatory argument FIELDS is missing or not at the right position"),
            ("HGETEX h PX 500 FIELDS 2 c nosuch", "3\n"),
            ("HPTTL h FIELDS 1 c", "500"),
            ("HGETEX h FIELDS 1 c", "3"),
            ("HPTTL h FIELDS 1 c", "500"),
            ("HGETEX h FIELDS 1 c PERSIST", "3"),
            ("HPTTL h FIELDS 1 c", "-1"),
            (
                "HGETEX h EX 1 PX 1 FIELDS 1 c",
                "ERR Only one of EX, PX, EXAT, PXAT or PERSIST arguments can be specified",
            ),
            ("HGETEX h EX 0 FIELDS 1 c", "3"),
            ("EXISTS h", "0"),
            ("HGETEX nosuch EX 0 FIELDS 1 c", ""),
            ("HSETEX h EX 10 FIELDS 2 a 1 b 2", "1"),
            ("HTTL h FIELDS 2 a b", "10\n10"),
            ("HSETEX h KEEPTTL FIELDS 1 a 5", "1"),
            ("HTTL h FIELDS 1 a", "10"),
            ("HSETEX h FIELDS 1 a 5", "1"),
            ("HTTL h FIELDS 1 a", "-1"),
            ("HSETEX h FNX FIELDS 2 b 5 z 1", "0"),
            ("HSETEX h FXX FIELDS 2 b 5 z 1", "0"),
            ("HSETEX h FXX FIELDS 2 b 5 a 1", "1"),
            ("HSETEX new FXX FIELDS 1 a 1", "0"),
            ("HMGET h a b z", "1\n5\n"),
            ("HSETEX h FXX FNX FIELDS 1 a 1", "ERR Only one of FXX or FNX arguments can be specified"),
            (
                "HSETEX h EX 1 KEEPTTL FIELDS 1 a 1",
                "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified",
            ),
            ("HSETEX h FIELDS 2 a 1 b", "ERR wrong number of arguments for 'hsetex' command"),
            ("HSETEX h PXAT 1 FIELDS 2 a 1 b 2", "1"),
            ("EXISTS h", "0"),
        ] {
            assert_eq!(world.say(client, call), reply, "{call}");
        }
    }
}
