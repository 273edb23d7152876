//! The settings in force at the start: defaults, then the file, then the environment, then the flags.
//!
//! It knows where settings come from and in which order they win. What a name and a value mean is known by the
//! configuration room of the core.

use std::fs;
use std::io::{self, Read};

use darter_core::config::{self, Settings};

use crate::flags;

/// Files within files: more than this is a circle.
const INCLUDE_DEPTH_MAX: usize = 16;

/// What was asked for.
#[derive(Debug)]
pub struct Resolved {
    /// Everything put together.
    pub settings: Settings,
    /// Names of settings that were changed and have no effect here.
    pub without_effect: Vec<String>,
}

/// Puts all sources together. `file` is a path or `-`; `memory`: bytes of the machine or its control group, 0 if that is not known.
pub fn resolve(
    file: Option<&str>,
    environment: &[flags::Directive],
    flags: &[flags::Directive],
    memory: u64,
) -> Result<Resolved, String> {
    let mut directives = Vec::new();
    let (cache, flags): (Vec<_>, Vec<_>) = flags.iter().partition(|given| given.name == CACHE);
    if let Some(cache) = cache.last() {
        directives.extend(cache_of(cache));
    }
    if let Some(path) = file {
        read_file(path, 0, &mut directives)?;
    }
    for given in environment {
        let variable = format!("DARTER_{}", given.name.to_uppercase().replace('-', "_"));
        directives.push(directive(given, variable));
    }
    for given in flags {
        directives.push(directive(given, format!("--{}", given.name)));
    }
    let mut settings = Settings { machine_memory: memory, ..Settings::default() };
    let without_effect =
        settings.apply_file(&directives).map_err(|error| format!("{}: {}", error.text, error.reason))?;
    Ok(Resolved { settings, without_effect })
}

/// The flag that makes a cache of the server.
const CACHE: &str = "cache";

/// What it stands for. Whatever else is said wins.
fn cache_of(given: &flags::Directive) -> [config::Directive; 2] {
    let values = |values: &[String]| values.to_vec();
    let size = if given.values.is_empty() { vec!["80%".to_string()] } else { values(&given.values) };
    let one = |name: &str, values| flags::Directive { name: name.into(), values };
    let (size, policy) = (one("maxmemory", size), one("maxmemory-policy", vec!["allkeys-sieve".to_string()]));
    [size, policy].map(|line| directive(&line, "--cache".to_string()))
}

/// A line that did not come from a file; `place` is what an error calls it.
fn directive(given: &flags::Directive, place: String) -> config::Directive {
    config::Directive { line: 0, name: given.name.clone(), args: given.values.clone(), text: place }
}

/// Adds the lines of a file and of the files that it includes.
fn read_file(path: &str, depth: usize, directives: &mut Vec<config::Directive>) -> Result<(), String> {
    if depth > INCLUDE_DEPTH_MAX {
        return Err(format!("'{path}' is included in a circle"));
    }
    let text = read(path)?;
    let lines = config::parse(&text)
        .map_err(|error| format!("{path}, line {}, '{}': {}", error.line, error.text, error.reason))?;
    for line in lines {
        match (line.name.as_str(), line.args.as_slice()) {
            ("include", [included]) => read_file(included, depth + 1, directives)?,
            _ => {
                let text = format!("{path}, line {}, '{}'", line.line, line.text);
                directives.push(config::Directive { text, ..line });
            }
        }
    }
    Ok(())
}

fn read(path: &str) -> Result<Vec<u8>, String> {
    let outcome = if path == "-" {
        let mut text = Vec::new();
        io::stdin().read_to_end(&mut text).map(|_| text)
    } else {
        fs::read(path)
    };
    outcome.map_err(|error| format!("cannot read the configuration file '{path}': {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directive(name: &str, value: &str) -> flags::Directive {
        flags::Directive { name: name.into(), values: vec![value.into()] }
    }

    /// A file that is there while the check runs.
    fn with_file<R>(name: &str, text: &str, check: impl FnOnce(&str) -> R) -> R {
        let path = std::env::temp_dir().join(format!("darter-{name}-{}.conf", std::process::id()));
        fs::write(&path, text).unwrap();
        let result = check(path.to_str().unwrap());
        fs::remove_file(&path).unwrap();
        result
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let environment = [directive("port", "2"), directive("timeout", "2")];
        let resolved =
            with_file("order", "# comment\n\nport 1\ntimeout 1\nhz 1\nactivedefrag yes\n", |path| {
                resolve(Some(path), &environment, &[directive("port", "3")], 0)
            });
        let Resolved { settings, without_effect } = resolved.unwrap();
        assert_eq!((settings.port, settings.timeout, settings.hz), (3, 2, 1));
        assert_eq!(settings.databases, Settings::default().databases);
        assert_eq!(without_effect, ["activedefrag"]);
    }

    #[test]
    fn a_cache_has_a_size_and_a_policy_unless_they_are_given() {
        let resolved = |flags: &[flags::Directive]| {
            resolve(None, &[], flags, 1_000_000).map(|resolved| resolved.settings)
        };
        let bare = flags::Directive { name: "cache".into(), values: Vec::new() };
        let found = |flags: &[flags::Directive]| {
            let settings = resolved(flags).unwrap();
            (settings.maxmemory, settings.maxmemory_policy.name())
        };
        assert_eq!(found(std::slice::from_ref(&bare)), (800_000, "allkeys-sieve"));
        assert_eq!(found(&[directive("cache", "5mb")]), (5 << 20, "allkeys-sieve"));
        assert_eq!(found(&[directive("maxmemory-policy", "allkeys-lru"), bare]), (800_000, "allkeys-lru"));
        assert_eq!(found(&[directive("maxmemory", "25%")]), (250_000, "noeviction"));
        let error = resolve(None, &[], &[directive("maxmemory", "25%")], 0).unwrap_err();
        assert!(error.contains("not known"), "{error}");
    }

    #[test]
    fn files_include_files_but_not_themselves() {
        let port = with_file("inner", "port 77\n", |inner| {
            with_file("outer", &format!("hz 5\ninclude {inner}\n"), |path| resolve(Some(path), &[], &[], 0))
        });
        assert_eq!(port.unwrap().settings.port, 77);
        let path = std::env::temp_dir().join(format!("darter-circle-{}.conf", std::process::id()));
        let text = format!("include {}\n", path.display());
        let error = with_file("circle", &text, |path| resolve(Some(path), &[], &[], 0)).unwrap_err();
        assert!(error.ends_with("is included in a circle"), "{error}");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let wrong = |name: &str, value: &str| resolve(None, &[], &[directive(name, value)], 0).unwrap_err();
        assert_eq!(wrong("port", "abc"), "--port: argument couldn't be parsed into an integer");
        assert_eq!(wrong("colour", "red"), "--colour: Bad directive or wrong number of arguments");
        let error = resolve(None, &[directive("tcp-backlog", "x")], &[], 0).unwrap_err();
        assert!(error.starts_with("DARTER_TCP_BACKLOG: "), "{error}");
        let error = resolve(Some("/nonexistent"), &[], &[], 0).unwrap_err();
        assert!(error.contains("'/nonexistent': No such file"), "{error}");
        let error =
            with_file("wrong", "hz 1\nport x\n", |path| resolve(Some(path), &[], &[], 0)).unwrap_err();
        assert!(error.contains(", line 2, 'port x': argument"), "{error}");
    }
}
