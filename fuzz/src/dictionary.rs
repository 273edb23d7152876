//! Words that a fuzzer would take long to guess: the names of all commands, their options, and the marks of the protocol.

use std::collections::BTreeSet;

use darter_core::command::table;

/// The dictionary in libFuzzer's form, derived from the command table.
pub fn text() -> String {
    let mut words: BTreeSet<String> = BTreeSet::new();
    for id in table::all() {
        let row = id.row();
        words.insert(row.name.to_uppercase());
        // Options stand in capitals in the syntax.
        let options = row.syntax.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        let is_option =
            |word: &&str| word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase() || c == '-');
        words.extend(options.filter(is_option).map(String::from));
    }
    let marks = [
        "*1\\x0d\\x0a",
        "*2\\x0d\\x0a",
        "*3\\x0d\\x0a",
        "$1\\x0d\\x0a",
        "$3\\x0d\\x0a",
        "$-1\\x0d\\x0a",
        "\\x0d\\x0a",
    ];
    let mut text =
        String::from("# Derived from the command table: DARTER_BLESS=1 cargo test -p darter-fuzz\n");
    for word in words.iter().map(String::as_str).chain(marks) {
        text += &format!("\"{word}\"\n");
    }
    text
}
