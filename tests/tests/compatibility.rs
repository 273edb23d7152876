//! The table of what is there of the commands of Redis, Valkey and Dragonfly is current: it is made of three lists, the commands of the
//! binary (`--print-commands`), those of the others (`tests/compatibility/commands.tsv`), and how some of ours differ
//! (`tests/compatibility/differences.tsv`). What is there of memcached's protocols stands in `tests/compatibility/memcached.tsv`, and behind all
//! that what of Redis's own suite passes (`tests/conformance/expected`). `DARTER_BLESS=1` writes it anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::process::Command;

use darter_tests::{binary, repository};

/// Lines of a list, each in its columns.
fn rows(name: &str) -> Vec<Vec<String>> {
    let path = repository().join("tests/compatibility").join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split('\t').map(String::from).collect()).collect()
}

/// The commands that the binary knows.
fn ours() -> BTreeSet<String> {
    let printed = Command::new(binary()).arg("--print-commands").output().expect("the binary runs");
    let page = String::from_utf8(printed.stdout).expect("text");
    let found: BTreeSet<String> =
        page.lines().filter_map(|line| line.strip_prefix("### ")).map(String::from).collect();
    assert!(found.len() > 100, "the binary names its commands: {}", found.len());
    found
}

fn page(ours: &BTreeSet<String>) -> String {
    let differences: BTreeMap<String, String> =
        rows("differences.tsv").into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let mut groups: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    let mut known = BTreeSet::new();
    for row in rows("commands.tsv") {
        assert_eq!(row.len(), 4, "{row:?}: name, group, since, Dragonfly");
        assert!(known.insert(row[0].clone()), "{} stands there twice", row[0]);
        groups.entry(row[1].clone()).or_default().push(row);
    }
    let unknown: Vec<&String> = ours.difference(&known).collect();
    assert!(unknown.is_empty(), "tests/compatibility/commands.tsv does not name {unknown:?}");
    for name in differences.keys() {
        assert!(ours.contains(name), "{name} is not there, so that it cannot differ");
    }
    let mut page = String::from(
        "# Compatibility\n\nMade by `DARTER_BLESS=1 cargo test -p darter-tests --test compatibility` from the command table and the lists in \
         `tests/compatibility/`; do not edit. Every command of Redis 8 with its modules, of Valkey 9 and of Dragonfly: whether it is there, \
         and how it differs where it does. Which tests of Redis's own suite do not pass, and why, stands [at the end](#rediss-own-test-suite).\n\n",
    );
    let count = |rows: &[Vec<String>]| rows.iter().filter(|row| ours.contains(&row[0])).count();
    // Writing to a string does not fail.
    let _ = writeln!(page, "| group | there | of |\n|---|---|---|");
    for (group, rows) in &groups {
        let _ = writeln!(page, "| {group} | {} | {} |", count(rows), rows.len());
    }
    for (group, rows) in &groups {
        let _ = writeln!(page, "\n## {group}\n\n| command | here | since | Dragonfly |\n|---|---|---|---|");
        for row in rows {
            let here = match (ours.contains(&row[0]), differences.get(&row[0])) {
                (false, _) => "no".to_string(),
                (true, None) => "yes".to_string(),
                (true, Some(how)) => format!("differs: {how}"),
            };
            let dragonfly = if row[3] == "y" { "yes" } else { "no" };
            let _ = writeln!(page, "| {} | {here} | {} | {dragonfly} |", row[0], row[2]);
        }
    }
    let _ = writeln!(
        page,
        "\n## memcached\n\nWhat differs in more than a word is in [MEMCACHED.md](MEMCACHED.md).\n"
    );
    let _ = writeln!(page, "| command | protocol | here |\n|---|---|---|");
    for row in rows("memcached.tsv") {
        assert_eq!(row.len(), 3, "{row:?}: name, protocol, here");
        let _ = writeln!(page, "| {} | {} | {} |", row[0], row[1], row[2]);
    }
    page + &suite()
}

/// What of Redis's own suite passes, and why the rest does not.
fn suite() -> String {
    let path = repository().join("tests/conformance/expected");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut page = String::from(
        "\n## Redis's own test suite\n\nTests of redis 7.0.15's suite that pass against one server in its external mode, as \
         `tests/conformance/run` finds them, and those that do not, each with the reason.\n\n| unit | pass | do not |\n|---|---|---|\n",
    );
    let mut lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).peekable();
    while let Some(line) = lines.next() {
        let (unit, pass) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?}: a unit and a number"));
        let mut failing = Vec::new();
        while let Some(line) = lines.next_if(|line| line.starts_with(' ')) {
            let (name, reason) =
                line.trim().rsplit_once(" -- ").unwrap_or_else(|| panic!("{line:?}: a test and the reason"));
            failing.push(format!("{}: {reason}", name.replace('|', "\\|")));
        }
        // Writing to a string does not fail.
        let _ = writeln!(page, "| {unit} | {pass} | {} |", failing.join("<br>"));
    }
    page
}

#[test]
fn the_table_of_compatibility_is_current() {
    let path = repository().join("docs/COMPATIBILITY.md");
    let made = page(&ours());
    if std::env::var_os("DARTER_BLESS").is_some() {
        fs::write(&path, &made).expect("the page can be written");
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == made,
        "docs/COMPATIBILITY.md is old: DARTER_BLESS=1 cargo test -p darter-tests --test compatibility"
    );
}
