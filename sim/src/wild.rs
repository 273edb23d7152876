//! Requests that are derived from the command table alone: whatever is added there is said here, without a line of its own.
//!
//! The examples of the rows give the words. What they answer is not known here; it only has to be one well-formed reply.

use darter_core::args::OwnedArgs;
use darter_core::command::row::{Flags, Keys, Run};
use darter_core::command::table::{self, CommandId, Found};
use darter_core::quoting::split_args;

use crate::dice::Dice;

/// Commands that reach beyond the wild clients' database, end the connection, answer more or less than once, or wait.
const TAME: [&str; 29] = [
    "auth",
    "hello",
    "quit",
    "reset",
    "select",
    "swapdb",
    "move",
    "copy",
    "flushall",
    "monitor",
    "shutdown",
    "debug",
    "multi",
    "exec",
    "discard",
    "watch",
    "unwatch",
    "subscribe",
    "unsubscribe",
    "psubscribe",
    "punsubscribe",
    "ssubscribe",
    "sunsubscribe",
    "wait",
    "waitaof",
    "sync",
    "psync",
    "replicaof",
    "failover",
];

/// Subcommands that may be said.
const HARMLESS: [&str; 10] = [
    "client|getname",
    "client|id",
    "client|info",
    "client|list",
    "config|get",
    "command|count",
    "command|info",
    "slowlog|get",
    "slowlog|len",
    "latency|history",
];

/// True if wild clients may say it.
pub fn is_wild(id: CommandId) -> bool {
    let row = id.row();
    let name = id.full_name();
    if let Some(parent) = id.placed().parent {
        let with_keys = !matches!(row.keys, Keys::None) && !parent.row().name.starts_with("debug");
        return HARMLESS.contains(&&name[..]) || with_keys;
    }
    let blocks = name.starts_with('b') && !name.starts_with("bit") && !name.starts_with("bf.");
    !matches!(row.run, Run::Container)
        && !TAME.contains(&&name[..])
        && !blocks
        && !row.flags.has(Flags::ADMIN)
        && !row.flags.has(Flags::PROTECTED)
}

/// False for a request whose keys may lie on several shards though its command runs on one.
pub fn is_for_any_keys(words: &[Vec<u8>]) -> bool {
    let args = OwnedArgs::new(words);
    let Found::Command(id) = table::find(args.view()) else { return true };
    !matches!(id.row().run, Run::Hop(_)) || id.row().keys.places(args.view()).count() <= 1
}

/// A request of any command: one of its examples, or its name with words that may make no sense.
pub fn request(dice: &mut Dice) -> Vec<Vec<u8>> {
    loop {
        let words = draw(dice);
        if is_for_any_keys(&words) {
            return words;
        }
    }
}

fn draw(dice: &mut Dice) -> Vec<Vec<u8>> {
    let ids: Vec<CommandId> = table::all().filter(|id| is_wild(*id)).collect();
    let id = *dice.pick(&ids);
    let row = id.row();
    let full = id.full_name();
    let examples: Vec<Vec<Vec<u8>>> = row
        .examples
        .iter()
        .filter_map(|example| split_args(example.call.as_bytes()))
        .filter(|words| words.first().is_some_and(|word| is_allowed(word, words.get(1))))
        .collect();
    if !examples.is_empty() && dice.chance(800) {
        return dice.pick(&examples).clone();
    }
    let mut words: Vec<Vec<u8>> = full.split('|').map(|word| word.as_bytes().to_vec()).collect();
    let sense: [&[u8]; 8] = [b"mykey", b"{a}1", b"{a}2", b"1", b"-1", b"", b"abc", b"9223372036854775807"];
    for _ in 0..dice.below(5) {
        words.push(dice.pick(&sense).to_vec());
    }
    words
}

/// Examples also call other commands, to prepare what they show.
fn is_allowed(word: &[u8], second: Option<&Vec<u8>>) -> bool {
    let Some(id) = table::find_name(word) else { return false };
    match second.and_then(|word| table::find_child(id, word)) {
        Some(child) => is_wild(child),
        None => is_wild(id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Concern;

    #[test]
    fn only_what_is_allowed_is_said() {
        let mut dice = Dice::new(1, Concern::Workload);
        let said: Vec<Vec<Vec<u8>>> = (0..2_000).map(|_| request(&mut dice)).collect();
        let names: Vec<String> =
            said.iter().map(|words| String::from_utf8_lossy(&words[0]).to_lowercase()).collect();
        for tame in TAME {
            assert!(!names.iter().any(|name| name == tame), "{tame}");
        }
        for wild in ["get", "incrbyfloat", "scan", "echo"] {
            assert!(names.iter().any(|name| name == wild), "{wild}");
        }
    }
}
