//! Keys of any type: whether they are there, and moving them about.

use super::carry::{COPY, CopyOptions, RENAME, RENAMENX};
use super::parse::integer;
use super::row::{Command, Example, Flags, Group, Keys, Merge, Run, Touch};
use crate::args::Args;
use crate::config::Settings;
use crate::part::Part;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::shard::{Cx, Deadline};
use crate::txn::intent::Mode;

const ROW: Command = Command { group: Group::Generic, keys: Keys::ONE, ..Command::DEFAULT };
const FAST_READ: Flags = Flags::READONLY.or(Flags::FAST);

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "del",
        arity: -2,
        flags: Flags::WRITE,
        keys: Keys::ALL,
        touch: Touch::Delete,
        summary: "Deletes one or more keys.",
        complexity: "O(N) where N is the number of keys that will be removed",
        syntax: "key [key ...]",
        examples: &[
            Example { call: "SET {a}1 Hello", reply: "OK" },
            Example { call: "DEL {a}1 {a}2", reply: "1" },
        ],
        run: Run::Spread { check: |_| Ok(()), apply: del, merge: Merge::Sum },
        ..ROW
    },
    Command {
        name: "unlink",
        arity: -2,
        flags: Flags::WRITE.or(Flags::FAST),
        keys: Keys::ALL,
        touch: Touch::Delete,
        since: "4.0.0",
        summary: "Deletes one or more keys; what they hold may be freed later.",
        complexity: "O(1) for each key removed",
        syntax: "key [key ...]",
        examples: &[
            Example { call: "SET {a}1 Hello", reply: "OK" },
            Example { call: "UNLINK {a}1 {a}2", reply: "1" },
        ],
        run: Run::Spread { check: |_| Ok(()), apply: del, merge: Merge::Sum },
        ..ROW
    },
    Command {
        name: "exists",
        arity: -2,
        flags: FAST_READ,
        keys: Keys::ALL,
        summary: "Determines whether one or more keys exist.",
        complexity: "O(N) where N is the number of keys to check",
        syntax: "key [key ...]",
        examples: &[
            Example { call: "SET {a}1 Hello", reply: "OK" },
            Example { call: "EXISTS {a}1 {a}2 {a}1", reply: "2" },
        ],
        run: Run::Spread { check: |_| Ok(()), apply: exists, merge: Merge::Sum },
        ..ROW
    },
    Command {
        name: "touch",
        arity: -2,
        flags: FAST_READ,
        keys: Keys::ALL,
        since: "3.2.1",
        summary: "Returns the number of existing keys out of those specified after updating the time they were last accessed.",
        complexity: "O(N) where N is the number of keys that will be touched",
        syntax: "key [key ...]",
        examples: &[
            Example { call: "SET {a}1 Hello", reply: "OK" },
            Example { call: "TOUCH {a}1 {a}2", reply: "1" },
        ],
        run: Run::Spread { check: |_| Ok(()), apply: touch, merge: Merge::Sum },
        ..ROW
    },
    Command {
        name: "type",
        arity: 2,
        flags: FAST_READ,
        summary: "Determines the type of value stored at a key.",
        syntax: "key",
        examples: &[
            Example { call: "SET mykey Hello", reply: "OK" },
            Example { call: "TYPE mykey", reply: "string" },
            Example { call: "TYPE nosuch", reply: "none" },
        ],
        run: Run::Hop(type_of),
        ..ROW
    },
    Command {
        name: "rename",
        arity: 3,
        flags: Flags::WRITE,
        keys: Keys::TWO,
        touch: Touch::Delete,
        summary: "Renames a key and overwrites the destination.",
        syntax: "key newkey:key",
        examples: &[
            Example { call: "SET {a}1 Hello", reply: "OK" },
            Example { call: "RENAME {a}1 {a}2", reply: "OK" },
            Example { call: "GET {a}2", reply: "Hello" },
        ],
        run: Run::Plan(&RENAME),
        ..ROW
    },
    Command {
        name: "renamenx",
        arity: 3,
        flags: Flags::WRITE.or(Flags::FAST),
        keys: Keys::TWO,
        touch: Touch::Delete,
        summary: "Renames a key only when the target key name doesn't exist.",
        syntax: "key newkey:key",
        examples: &[
            Example { call: "MSET {a}1 Hello {a}2 World", reply: "OK" },
            Example { call: "RENAMENX {a}1 {a}2", reply: "0" },
        ],
        run: Run::Plan(&RENAMENX),
        ..ROW
    },
    Command {
        name: "copy",
        arity: -3,
        flags: Flags::WRITE.or(Flags::DENYOOM),
        keys: Keys::TWO,
        touch: Touch::Read,
        since: "6.2.0",
        summary: "Copies the value of a key to a new key.",
        complexity: "O(N) where N is the length of the value",
        syntax: "source:key destination:key [DB destination-db:integer] [REPLACE]",
        examples: &[
            Example { call: "SET {a}1 Hello", reply: "OK" },
            Example { call: "COPY {a}1 {a}2", reply: "1" },
            Example { call: "GET {a}2", reply: "Hello" },
        ],
        other_database: |args| CopyOptions::parse(args).ok()?.database,
        run: Run::Plan(&COPY),
        ..ROW
    },
    Command {
        name: "move",
        arity: 3,
        flags: Flags::WRITE.or(Flags::FAST),
        touch: Touch::Update,
        summary: "Moves a key to another database.",
        syntax: "key db:integer",
        examples: &[
            Example { call: "SET mykey Hello", reply: "OK" },
            Example { call: "MOVE mykey 1", reply: "1" },
            Example { call: "EXISTS mykey", reply: "0" },
        ],
        other_database: |args| u16::try_from(integer(args.at(2)).ok()?).ok(),
        run: Run::Hop(move_key),
        ..ROW
    },
    Command {
        name: "randomkey",
        arity: 1,
        flags: Flags::READONLY,
        keys: Keys::None,
        summary: "Returns a random key name from the database.",
        examples: &[
            Example { call: "RANDOMKEY", reply: "" },
            Example { call: "SET mykey Hello", reply: "OK" },
            Example { call: "RANDOMKEY", reply: "mykey" },
        ],
        run: Run::Gather {
            whole: Some(Mode::Shared),
            check: |_, _| Ok(()),
            part: any_key,
            merge: choose_key,
        },
        ..ROW
    },
];

fn del(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let removed = (0..cx.keys.len()).filter(|&n| cx.remove(cx.key(args, n))).count();
    reply.count(removed);
    Ok(())
}

fn exists(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let found = (0..cx.keys.len()).filter(|&n| cx.look(cx.key(args, n)).is_some()).count();
    reply.count(found);
    Ok(())
}

fn touch(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let found = (0..cx.keys.len()).filter(|&n| cx.read(cx.key(args, n)).is_some()).count();
    reply.count(found);
    Ok(())
}

fn type_of(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let name = cx.peek(cx.key(args, 0)).map_or("none", |record| record.type_name());
    reply.simple(name);
    Ok(())
}

/// The number of a database that exists.
pub fn database(settings: &Settings, word: &[u8], not_a_number: Failure) -> Result<usize, Failure> {
    let number = integer(word).map_err(|_| not_a_number)?;
    usize::try_from(number)
        .ok()
        .filter(|&number| number < usize::from(settings.databases))
        .ok_or(Failure::new("ERR DB index is out of range"))
}

pub const SAME_OBJECT: Failure = Failure::new("ERR source and destination objects are the same");

fn move_key(cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = cx.key(args, 0);
    let to = database(cx.settings, args.at(2), Failure::new("ERR value is not an integer or out of range"))?;
    if to == cx.database {
        return Err(SAME_OBJECT);
    }
    let moves = cx.peek(key).is_some() && cx.peek_in(to, key).is_none();
    if moves && let Some(record) = cx.take(key) {
        let deadline = record.deadline().map_or(Deadline::Clear, Deadline::At);
        cx.put(to, key, record.detach(), deadline);
    }
    reply.integer(i64::from(moves));
    Ok(())
}

/// One key of this shard that lives, and how many there are to choose from.
fn any_key(asked: &mut crate::node::Asked<'_>, _: Args<'_>) -> Part {
    /// Looks at a shard full of expired keys give up after this many.
    const TRIES: usize = 100;
    let shard = &mut asked.node.shard;
    let now = shard.judge(asked.now.unix());
    let database = &shard.databases[asked.database];
    let random = &mut shard.random;
    for _ in 0..TRIES {
        let Some(record) = database.random(&mut || random.draw()) else { break };
        if !record.is_due(now) {
            return Part::Key { key: Some(record.key().to_vec()), of: database.len() as u64 };
        }
    }
    Part::Key { key: None, of: 0 }
}

/// One of the cores' keys, each core as likely as it has keys.
fn choose_key(
    local: &mut crate::node::Local<'_>,
    _: Args<'_>,
    parts: Vec<Part>,
    reply: &mut Reply<'_>,
) -> Outcome {
    let weight = |part: &Part| if let Part::Key { of, .. } = part { *of } else { 0 };
    let mut draw = local.node.random.below(parts.iter().map(weight).sum());
    for part in &parts {
        if draw < weight(part) {
            if let Part::Key { key: Some(key), .. } = part {
                reply.bulk(key);
                return Ok(());
            }
        } else {
            draw -= weight(part);
        }
    }
    reply.null();
    Ok(())
}
