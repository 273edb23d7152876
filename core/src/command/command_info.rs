//! What the table says of itself: COMMAND and its subcommands. redis-cli's hints come from here.

use super::help::HELP;
use super::row::{Command, Example, Flags, Keys, Run, Touch};
use super::syntax::{self, Argument, Kind};
use super::table::{self, CommandId};
use crate::args::Args;
use crate::glob;
use crate::node::Local;
use crate::protocol::reply::{Failure, Outcome, Reply};

const ANYTIME: Flags = Flags::LOADING.or(Flags::STALE);
const ROW: Command = Command { flags: ANYTIME, since: "2.8.13", ..Command::DEFAULT };

/// This family's rows.
pub const COMMANDS: &[Command] = &[Command {
    name: "command",
    arity: -1,
    summary: "Returns detailed information about all commands.",
    complexity: "O(N) where N is the total number of commands",
    run: Run::Local(|_, _, reply| {
        info_of_all(reply);
        Ok(())
    }),
    subcommands: &[
        Command {
            name: "count",
            arity: 2,
            summary: "Returns a count of commands.",
            examples: &[Example { call: "COMMAND COUNT", reply: "*" }],
            run: Run::Local(|_, _, reply| {
                reply.count(table::top_level().count());
                Ok(())
            }),
            ..ROW
        },
        Command {
            name: "docs",
            arity: -2,
            since: "7.0.0",
            summary: "Returns documentary information about one, multiple or all commands.",
            complexity: "O(N) where N is the number of commands to look up",
            syntax: "[command-name [command-name ...]]",
            run: Run::Local(docs),
            ..ROW
        },
        Command {
            name: "getkeys",
            arity: -3,
            summary: "Extracts the key names from an arbitrary command.",
            complexity: "O(N) where N is the number of arguments to the command",
            syntax: "command [arg [arg ...]]",
            examples: &[Example { call: "COMMAND GETKEYS MSET a b c d", reply: "a\nc" }],
            run: Run::Local(|_, args, reply| get_keys(args, false, reply)),
            ..ROW
        },
        Command {
            name: "getkeysandflags",
            arity: -3,
            since: "7.0.0",
            summary: "Extracts the key names and access flags for an arbitrary command.",
            complexity: "O(N) where N is the number of arguments to the command",
            syntax: "command [arg [arg ...]]",
            examples: &[Example { call: "COMMAND GETKEYSANDFLAGS GET a", reply: "a\nRO\naccess" }],
            run: Run::Local(|_, args, reply| get_keys(args, true, reply)),
            ..ROW
        },
        Command { since: "5.0.0", ..HELP },
        Command {
            name: "info",
            arity: -2,
            summary: "Returns information about one, multiple or all commands.",
            complexity: "O(N) where N is the number of commands to look up",
            syntax: "[command-name [command-name ...]]",
            examples: &[Example { call: "COMMAND INFO nosuch", reply: "" }],
            run: Run::Local(info),
            ..ROW
        },
        Command {
            name: "list",
            arity: -2,
            since: "7.0.0",
            summary: "Returns a list of command names.",
            complexity: "O(N) where N is the total number of commands",
            syntax: "[FILTERBY MODULE module-name | FILTERBY ACLCAT category | FILTERBY PATTERN pattern]",
            examples: &[Example { call: "COMMAND LIST FILTERBY PATTERN echo", reply: "echo" }],
            run: Run::Local(list),
            ..ROW
        },
    ],
    ..ROW
}];

fn info_of_all(reply: &mut Reply<'_>) {
    reply.array(table::top_level().count());
    for id in table::top_level() {
        info_of(id, reply);
    }
}

fn info(_: &mut Local<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    if args.len() == 2 {
        info_of_all(reply);
        return Ok(());
    }
    reply.array(args.len() - 2);
    for name in args.skip(2).iter() {
        match table::find_full_name(name) {
            Some(id) => info_of(id, reply),
            None => reply.null_array(),
        }
    }
    Ok(())
}

/// The flags that readers see; `protected` has no name in COMMAND INFO.
fn info_of(id: CommandId, reply: &mut Reply<'_>) {
    let row = id.row();
    let (first, last, step) = row.keys.legacy();
    reply.array(10);
    reply.text(&id.full_name());
    reply.integer(row.arity.into());
    simple_set(&row.flags.names().collect::<Vec<_>>(), reply);
    reply.integer(first);
    reply.integer(last);
    reply.integer(step);
    simple_set(&row.categories(), reply);
    reply.array(0);
    key_specifications(row, reply);
    reply.array(row.subcommands.len());
    for child in id.children() {
        info_of(child, reply);
    }
}

fn simple_set(words: &[&str], reply: &mut Reply<'_>) {
    reply.set(words.len());
    words.iter().for_each(|word| reply.simple(word));
}

fn touch_flags(touch: Touch) -> &'static [&'static str] {
    match touch {
        Touch::Read => &["RO", "access"],
        Touch::Update => &["RW", "access", "update"],
        Touch::Overwrite => &["OW", "update"],
        Touch::Replace | Touch::Fields => &["RW", "access", "update", "variable_flags"],
        Touch::Delete => &["RW", "delete"],
        Touch::Insert => &["RW", "insert"],
        Touch::Change => &["RW", "update"],
        Touch::Take | Touch::Move => &["RW", "access", "delete"],
        Touch::Measure => &["RO"],
    }
}

/// What becomes of the `n`-th key.
fn touch_of(row: &Command, n: usize) -> Touch {
    if row.touch == Touch::Move && n > 0 { Touch::Insert } else { row.touch }
}

/// What becomes of the `n`-th key in this call.
fn touch_in_call(row: &Command, n: usize, call: Args<'_>) -> Touch {
    let has =
        |from: usize, words: &[&str]| (from..call.len()).any(|n| words.iter().any(|word| call.is(n, word)));
    match (row.keys, touch_of(row, n)) {
        (Keys::WithOption { .. }, _) => {
            if n == 0 {
                Touch::Read
            } else {
                Touch::Overwrite
            }
        }
        (Keys::FirstAndCounted { .. }, _) if n > 0 => Touch::Read,
        (Keys::FirstAndNamed { .. }, _) if n == 0 => Touch::Read,
        (_, Touch::Replace) => {
            if has(3, &["get"]) {
                Touch::Update
            } else {
                Touch::Overwrite
            }
        }
        (_, Touch::Fields) => {
            if has(2, &["set", "incrby"]) {
                Touch::Update
            } else {
                Touch::Read
            }
        }
        (_, touch) => touch,
    }
}

fn key_specifications(row: &Command, reply: &mut Reply<'_>) {
    match (row.keys, row.touch) {
        (Keys::None, _) => reply.array(0),
        (Keys::WithOption { .. }, _) => {
            // Where the second one stands is not to be said in these words.
            reply.array(1);
            key_specification(Keys::ONE, Touch::Read, reply);
        }
        (_, Touch::Move) => {
            reply.array(2);
            for n in [1, 2] {
                let keys = Keys::Range { first: n, last: n as i16, step: 1 };
                key_specification(keys, touch_of(row, usize::from(n) - 1), reply);
            }
        }
        (Keys::FirstAndCounted { count }, touch) => {
            reply.array(2);
            key_specification(Keys::ONE, touch, reply);
            key_specification(Keys::Counted { count, step: 1 }, Touch::Read, reply);
        }
        (Keys::FirstAndNamed { from, words }, touch) => {
            reply.array(1 + words.len());
            key_specification(Keys::ONE, Touch::Read, reply);
            for word in words {
                named_key_specification(word, from, touch, (0, 0), reply);
            }
        }
        (Keys::OneOrBehind { one, word, .. }, touch) => {
            reply.array(2);
            key_specification(Keys::Range { first: one, last: one as i16, step: 1 }, touch, reply);
            named_key_specification(word, u16::MAX - 1, touch, (-1, 0), reply);
        }
        (Keys::Halves { word, .. }, touch) => {
            reply.array(1);
            named_key_specification(word, 1, touch, (-1, 2), reply);
        }
        (keys, touch) => {
            reply.array(1);
            key_specification(keys, touch, reply);
        }
    }
}

fn key_specification(keys: Keys, touch: Touch, reply: &mut Reply<'_>) {
    let (begin, kind, numbers): (u16, &str, [(&str, i64); 3]) = match keys {
        Keys::None
        | Keys::FirstAndCounted { .. }
        | Keys::FirstAndNamed { .. }
        | Keys::WithOption { .. }
        | Keys::OneOrBehind { .. }
        | Keys::Halves { .. } => {
            return;
        }
        Keys::Range { first, last, step } => {
            let last = if last < 0 { i64::from(last) } else { i64::from(last) - i64::from(first) };
            (first, "range", [("lastkey", last), ("keystep", step.into()), ("limit", 0)])
        }
        Keys::Counted { count, step } => {
            (count, "keynum", [("keynumidx", 0), ("firstkey", 1), ("keystep", step.into())])
        }
    };
    reply.map(3);
    reply.text("flags");
    simple_set(touch_flags(touch), reply);
    reply.text("begin_search");
    reply.map(2);
    reply.text("type");
    reply.text("index");
    reply.text("spec");
    reply.map(1);
    reply.text("index");
    reply.integer(begin.into());
    find_keys(kind, numbers, reply);
}

/// The keys behind a word: up to the `last`, of as many parts as `limit` says the first.
fn named_key_specification(
    word: &str,
    from: u16,
    touch: Touch,
    (last, limit): (i64, i64),
    reply: &mut Reply<'_>,
) {
    reply.map(3);
    reply.text("flags");
    simple_set(touch_flags(touch), reply);
    reply.text("begin_search");
    reply.map(2);
    reply.text("type");
    reply.text("keyword");
    reply.text("spec");
    reply.map(2);
    reply.text("keyword");
    reply.text(&word.to_uppercase());
    reply.text("startfrom");
    reply.integer(from.into());
    find_keys("range", [("lastkey", last), ("keystep", 1), ("limit", limit)], reply);
}

fn find_keys(kind: &str, numbers: [(&str, i64); 3], reply: &mut Reply<'_>) {
    reply.text("find_keys");
    reply.map(2);
    reply.text("type");
    reply.text(kind);
    reply.text("spec");
    reply.map(3);
    for (name, number) in numbers {
        reply.text(name);
        reply.integer(number);
    }
}

fn docs(_: &mut Local<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let ids: Vec<CommandId> = match args.len() {
        2 => table::top_level().collect(),
        _ => args.skip(2).iter().filter_map(table::find_full_name).collect(),
    };
    reply.map(ids.len());
    for id in ids {
        docs_of(id, reply);
    }
    Ok(())
}

fn docs_of(id: CommandId, reply: &mut Reply<'_>) {
    let row = id.row();
    let arguments = syntax::arguments(row.syntax).unwrap_or_default();
    reply.text(&id.full_name());
    reply.map(4 + usize::from(!arguments.is_empty()) + usize::from(!row.subcommands.is_empty()));
    for (name, value) in [
        ("summary", row.summary.trim_end_matches('.')),
        ("since", row.since),
        ("group", row.group.name()),
        ("complexity", row.complexity),
    ] {
        reply.text(name);
        reply.text(value);
    }
    if !arguments.is_empty() {
        reply.text("arguments");
        reply.array(arguments.len());
        let mut keys = 0;
        arguments.iter().for_each(|argument| argument_docs(argument, &mut keys, reply));
    }
    if !row.subcommands.is_empty() {
        reply.text("subcommands");
        reply.map(row.subcommands.len());
        id.children().for_each(|child| docs_of(child, reply));
    }
}

fn argument_docs(argument: &Argument, keys: &mut i64, reply: &mut Reply<'_>) {
    let flags: Vec<&str> = [(argument.optional, "optional"), (argument.multiple, "multiple")]
        .into_iter()
        .filter_map(|(is, word)| is.then_some(word))
        .collect();
    let is_key = argument.kind == Kind::Key;
    let has_parts = !argument.parts.is_empty();
    // Containers have no text of their own; leaves have.
    let fields = 2
        + usize::from(!has_parts)
        + usize::from(is_key)
        + usize::from(argument.token.is_some())
        + usize::from(!flags.is_empty())
        + usize::from(has_parts);
    reply.map(fields);
    reply.text("name");
    reply.text(&argument.name);
    reply.text("type");
    reply.text(argument.kind.name());
    if !has_parts {
        reply.text("display_text");
        reply.text(&argument.name);
    }
    if is_key {
        reply.text("key_spec_index");
        reply.integer(0);
        *keys += 1;
    }
    if let Some(token) = &argument.token {
        reply.text("token");
        reply.text(token);
    }
    if !flags.is_empty() {
        reply.text("flags");
        simple_set(&flags, reply);
    }
    if has_parts {
        reply.text("arguments");
        reply.array(argument.parts.len());
        argument.parts.iter().for_each(|part| argument_docs(part, keys, reply));
    }
}

fn get_keys(args: Args<'_>, with_flags: bool, reply: &mut Reply<'_>) -> Outcome {
    let call = args.skip(2);
    let id = match table::find(call) {
        table::Found::Command(id) => id,
        _ => return Err(Failure::new("ERR Invalid command specified")),
    };
    let row = id.row();
    if row.keys == Keys::None {
        return Err(Failure::new("ERR The command has no key arguments"));
    }
    if !row.takes(call.len()) {
        return Err(Failure::new("ERR Invalid number of arguments specified for command"));
    }
    let places: Vec<usize> = row.keys.places(call).collect();
    if places.is_empty() {
        return Err(Failure::new("ERR Invalid arguments specified for command"));
    }
    reply.array(places.len());
    for (n, place) in places.into_iter().enumerate() {
        if with_flags {
            reply.array(2);
        }
        reply.bulk(call.at(place));
        if with_flags {
            simple_set(touch_flags(touch_in_call(row, n, call)), reply);
        }
    }
    Ok(())
}

fn list(_: &mut Local<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let names: Vec<String> = match args.len() {
        2 => table::all().map(CommandId::full_name).collect(),
        5 if args.is(2, "filterby") => {
            let wanted = args.at(4);
            if args.is(3, "module") {
                Vec::new()
            } else if args.is(3, "aclcat") {
                let category = [b"@", wanted].concat();
                let has = |id: &CommandId| {
                    id.row().categories().iter().any(|name| name.as_bytes().eq_ignore_ascii_case(&category))
                };
                table::all().filter(has).map(CommandId::full_name).collect()
            } else if args.is(3, "pattern") {
                let all = table::all().map(CommandId::full_name);
                all.filter(|name| glob::matches(wanted, name.as_bytes(), true)).collect()
            } else {
                return Err(Failure::SYNTAX);
            }
        }
        _ => return Err(Failure::SYNTAX),
    };
    reply.array(names.len());
    names.iter().for_each(|name| reply.text(name));
    Ok(())
}
