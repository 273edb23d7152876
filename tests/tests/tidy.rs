//! The rules of the house, held by a test: walls between the packages, the size of rooms, one place for each command.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use darter_tests::repository;

/// What each package may depend on, in production code.
const WALLS: [(&str, &[&str]); 7] = [
    ("core", &["ahash", "crc-fast", "itoa", "memchr", "rand_chacha", "smallvec", "xxhash-rust"]),
    ("io", &["darter-core", "glommio", "io-uring", "libc", "rtrb", "socket2", "tracing"]),
    ("sim", &["darter-core", "rand_chacha"]),
    ("models", &["darter-core", "stateright"]),
    ("fuzz", &["arbitrary", "darter-core", "darter-sim", "libfuzzer-sys"]),
    (
        "server",
        &[
            "clap",
            "darter-core",
            "darter-io",
            "getrandom",
            "libc",
            "libmimalloc-sys",
            "tracing",
            "tracing-subscriber",
        ],
    ),
    // clap, hdrhistogram, serde and ahash are those of darter-bench: its flags, latencies, JSON, and the map of its floor.
    ("tests", &["ahash", "clap", "hdrhistogram", "libc", "serde", "serde_json"]),
];

/// What the tests of each package may depend on besides.
const SCAFFOLDS: [(&str, &[&str]); 7] = [
    ("core", &["criterion", "hashbrown", "mimalloc", "proptest"]),
    ("io", &[]),
    ("sim", &[]),
    ("models", &["darter-sim", "loom"]),
    ("fuzz", &[]),
    ("server", &[]),
    ("tests", &["darter-sim", "redis"]),
];

/// A room may not grow beyond this many lines.
const LINES_MAX: usize = 800;

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Files of a package's sources with this ending.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("a folder can be read").path();
        if path.is_dir() && !path.ends_with("target") {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<PathBuf> {
    WALLS.iter().flat_map(|(package, _)| files(&repository().join(package), ".rs")).collect()
}

/// Names below a section of a manifest, such as `[dependencies]`.
fn dependencies(manifest: &str, section: &str) -> Vec<String> {
    manifest
        .lines()
        .skip_while(|line| *line != section)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split([' ', '=', '.']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(String::from)
        .collect()
}

#[test]
fn walls_stand() {
    for (section, allowed_of) in [("[dependencies]", WALLS), ("[dev-dependencies]", SCAFFOLDS)] {
        for (package, allowed) in allowed_of {
            for name in dependencies(&read(&repository().join(package).join("Cargo.toml")), section) {
                assert!(allowed.contains(&name.as_str()), "{package} may not depend on {name}: {section}");
            }
        }
    }
    for package in ["core", "sim"] {
        let rules = read(&repository().join(package).join("clippy.toml"));
        for forbidden in
            ["std::time::Instant", "std::time::SystemTime", "std::thread::spawn", "std::fs", "std::net"]
        {
            assert!(rules.contains(forbidden), "{package}/clippy.toml forbids {forbidden}");
        }
    }
}

#[test]
fn no_room_is_too_large() {
    for path in sources() {
        let lines = read(&path).lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines: look for the second noun", path.display());
    }
}

#[test]
fn every_file_says_what_it_is() {
    for path in sources() {
        let text = read(&path);
        let first = text.lines().find(|line| !line.starts_with("#!")).unwrap_or("");
        assert!(first.starts_with("//! "), "{} begins with what it is", path.display());
    }
}

/// Names of commands that are ordinary words, which other files may say in quotes with another meaning.
const ORDINARY: [&str; 13] = [
    "auth", "command", "config", "debug", "latency", "list", "memory", "monitor", "save", "set", "swapdb",
    "time", "type",
];

#[test]
fn a_command_is_named_in_one_file_only() {
    let core = repository().join("core/src");
    let families = files(&core.join("command"), ".rs");
    let mut homes: BTreeMap<String, PathBuf> = BTreeMap::new();
    for path in &families {
        for line in read(path).lines() {
            // Rows of the table stand at the first level of a family's list; subcommands stand deeper.
            if let Some(name) =
                line.strip_prefix("        name: \"").and_then(|rest| rest.strip_suffix("\","))
            {
                let other = homes.insert(name.to_string(), path.clone());
                assert_eq!(other, None, "{name} is declared twice");
            } else if let Some(name) =
                line.strip_prefix("    name: \"").and_then(|rest| rest.strip_suffix("\","))
            {
                homes.insert(name.to_string(), path.clone());
            }
        }
    }
    homes.remove("");
    assert!(homes.len() > 60, "rows are found: {}", homes.len());
    // What models say is what clients say.
    let others: Vec<PathBuf> = ["core", "io", "server"]
        .iter()
        .flat_map(|package| files(&repository().join(package).join("src"), ".rs"))
        .filter(|path| !path.starts_with(core.join("command")))
        // Another protocol, some of whose words are the same.
        .filter(|path| !path.starts_with(core.join("memcached")))
        // Nothing but tests.
        .filter(|path| !path.ends_with("tests.rs"))
        .collect();
    for path in &others {
        // Tests may call commands.
        let text = read(path);
        let production = text.split("#[cfg(test)]").next().unwrap_or("");
        for name in homes.keys().filter(|name| !ORDINARY.contains(&name.as_str())) {
            for quoted in [format!("\"{name}\""), format!("\"{}\"", name.to_uppercase())] {
                assert!(!production.contains(&quoted), "{} names the command {name}", path.display());
            }
        }
    }
    let table = read(&core.join("command/mod.rs"));
    for name in homes.keys() {
        assert!(!table.contains(&format!("\"{name}\"")), "the list of families names {name}");
    }
}

#[test]
fn the_server_has_no_planted_faults() {
    let source = read(&repository().join("core/src/mutant.rs"));
    let marker = source.split("MARKER: &str = \"").nth(1).and_then(|rest| rest.split('"').next());
    let marker = marker.expect("the planted faults carry a marker");
    assert!(marker.len() > 10, "{marker}");
    let server = fs::read(darter_tests::binary()).expect("the binary is there");
    let found = server.windows(marker.len()).any(|window| window == marker.as_bytes());
    assert!(!found, "the server was built with {marker}");
}

#[test]
fn nothing_is_left_undone() {
    for path in sources() {
        if path.ends_with("tidy.rs") {
            continue;
        }
        let text = read(&path);
        for mark in ["todo!(", "unimplemented!(", "#[ignore", "dbg!(", "FIXME", "XXX", "thread::sleep("] {
            assert!(!text.contains(mark), "{} has {mark}", path.display());
        }
    }
}

#[test]
fn the_reader_is_given_two_commands() {
    let readme = read(&repository().join("README.md"));
    for command in ["cargo run --release", "cargo test"] {
        assert!(
            readme.lines().any(|line| line.trim() == command),
            "README shows `{command}` on a line of its own"
        );
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut documents = files(&repository().join("docs"), ".md");
    documents.push(repository().join("README.md"));
    documents.push(repository().join("CHANGELOG.md"));
    for path in documents {
        let text = read(&path);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or("");
            if file.is_empty() || file.contains("://") || file.contains(' ') {
                continue;
            }
            let target = path.parent().expect("a file lies in a folder").join(file);
            assert!(target.exists(), "{} links to {link}", path.display());
        }
    }
}
