//! redis.conf: from text to directives, from directives to settings.
//!
//! It is given the text. It opens no file: `include` is a directive like any other, which whoever reads
//! files replaces by
//! the directives of the file it names before they are applied.

use super::{SetError, Settings};
use crate::quoting::split_args;
use std::fmt;

/// One line that says something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// Counted from 1.
    pub line: u32,
    /// Its first word, in lower case.
    pub name: String,
    /// The other words, without their quotes.
    pub args: Vec<String>,
    /// The line as it stands, without the white space around it: for errors.
    pub text: String,
}

/// What is wrong with a line. Printed, it is what Redis prints below its heading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    /// Counted from 1.
    pub line: u32,
    /// The line as it stands, without the white space around it.
    pub text: String,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Reading the configuration file, at line {}\n>>> '{}'\n{}",
            self.line, self.text, self.reason
        )
    }
}

impl std::error::Error for FileError {}

/// What a line is, whether or not its words can be told apart.
pub(super) enum Line {
    /// Nothing, or a comment.
    Silent,
    /// Words, at least one; none if a quote is not closed.
    Words(Option<Vec<Vec<u8>>>),
}

/// Reads one line.
pub(super) fn read_line(line: &[u8]) -> Line {
    let line = trimmed(line);
    if line.is_empty() || line[0] == b'#' {
        return Line::Silent;
    }
    match split_args(line) {
        // Only vertical tabs, say.
        Some(words) if words.is_empty() => Line::Silent,
        words => Line::Words(words),
    }
}

/// Without the white space around it, of the kinds that Redis trims.
fn trimmed(line: &[u8]) -> &[u8] {
    let space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let Some(first) = line.iter().position(|byte| !space(byte)) else { return &[] };
    let last = line.iter().rposition(|byte| !space(byte)).unwrap_or(first);
    &line[first..=last]
}

/// Reads a whole file: the directives in order, or the first line that cannot be read.
pub fn parse(text: &[u8]) -> Result<Vec<Directive>, FileError> {
    let mut directives = Vec::new();
    let mut number = 0_u32;
    for line in text.split(|&byte| byte == b'\n') {
        number = number.saturating_add(1);
        let Line::Words(words) = read_line(line) else { continue };
        let text = String::from_utf8_lossy(trimmed(line)).into_owned();
        let failed = |reason: &str| FileError { line: number, text: text.clone(), reason: reason.into() };
        let words = words.ok_or_else(|| failed("Unbalanced quotes in configuration line"))?;
        let words: Result<Vec<String>, _> = words.into_iter().map(String::from_utf8).collect();
        let mut args = words.map_err(|_| failed("argument must be valid UTF-8"))?;
        let name = args.remove(0).to_ascii_lowercase();
        directives.push(Directive { line: number, name, args, text });
    }
    Ok(directives)
}

/// Directives of old that say nothing any more; each takes one word.
const SILENT: [&str; 3] = ["list-max-ziplist-entries", "list-max-ziplist-value", "lua-replicate-commands"];

/// Directives that are no parameters and that nothing here can obey. To pass over them would be to start
/// with less protection, or less data, than the file asks for.
const REFUSED: [(&str, &str); 5] = [
    ("include", "include is not supported here"),
    ("rename-command", "rename-command is not supported"),
    ("user", "ACL users are not supported"),
    ("loadmodule", "modules are not supported"),
    ("sentinel", "sentinel directive while not in sentinel mode"),
];

/// What has to be remembered from one directive to the next.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The first `save` replaces the default, those after it add to it.
    save_seen: bool,
}

impl Progress {
    /// Applies one directive.
    pub(super) fn apply(&mut self, settings: &mut Settings, name: &str, args: &[&str]) -> Result<(), String> {
        if let Some((_, reason)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
            let reason = if args.is_empty() { SetError::Unknown.to_string() } else { (*reason).into() };
            return Err(reason);
        }
        if SILENT.contains(&name) && args.len() == 1 {
            return Ok(());
        }
        let empty = args.is_empty() || args == [""];
        let earlier = if name == "save" && self.save_seen { settings.get(name) } else { None };
        self.save_seen |= name == "save";
        let result = match earlier {
            Some(earlier) if !earlier.is_empty() && !empty => {
                let words = earlier.split(' ').chain(args.iter().flat_map(|arg| arg.split(' ')));
                settings.set(name, &words.collect::<Vec<_>>())
            }
            _ => settings.set(name, args),
        };
        result.map_err(|error| error.to_string())
    }
}

impl Settings {
    /// Applies directives in order. Give those of the file, its includes and the command line in one
    /// call: several `save` lines add to
    /// each other, as in Redis; several `client-output-buffer-limit` lines each set their classes; of
    /// any other parameter the last line holds.
    ///
    /// Returns the names of the parameters that now differ from Redis's default and have no effect here,
    /// for one warning. After
    /// an error the settings are as before.
    pub fn apply_file(&mut self, directives: &[Directive]) -> Result<Vec<String>, FileError> {
        let mut new = self.clone();
        let mut progress = Progress::default();
        for Directive { line, name, args, text } in directives {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            progress.apply(&mut new, name, &args).map_err(|reason| FileError {
                line: *line,
                text: text.clone(),
                reason,
            })?;
        }
        *self = new;
        Ok(self.accepted.keys().map(|name| (*name).into()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::parameter;
    use super::*;
    use proptest::prelude::*;

    const STOCK: &str = include_str!("../../tests/fixtures/stock-7.0.conf");

    fn read(text: &str) -> Result<Settings, FileError> {
        let mut settings = Settings::default();
        settings.apply_file(&parse(text.as_bytes())?)?;
        Ok(settings)
    }

    fn check(text: &str, name: &str, value: &str) {
        assert_eq!(read(text).unwrap().get(name).as_deref(), Some(value), "{text:?}");
    }

    /// The error of a line that stands third.
    fn check_error(line: &str, reason: &str) {
        let error = read(&format!("port 1\n# a comment\n  {line}\t\r\nhz 10\n")).unwrap_err();
        let expected = format!("Reading the configuration file, at line 3\n>>> '{line}'\n{reason}");
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn errors_are_those_of_redis_7_0_15() {
        let (bad, count) = ("Bad directive or wrong number of arguments", "wrong number of arguments");
        let quotes = "Unbalanced quotes in configuration line";
        check_error("foo bar", bad);
        check_error("foo", bad);
        check_error("\"\"", bad);
        check_error("\"\" 5", bad);
        check_error("foo \"bar", quotes);
        check_error("foo 'a'b", quotes);
        check_error("requirepass \"a\"b", quotes);
        check_error("requirepass \"", quotes);
        check_error("timeout", count);
        check_error("timeout 1 2", count);
        check_error("requirepass a # comment", count);
        check_error("loglevel a b", count);
        check_error("notify-keyspace-events A K", count);
        check_error("notify-keyspace-events", count);
        check_error("oom-score-adj-values", count);
        check_error("replicaof", count);
        check_error("list-max-ziplist-entries 5 6", bad);
        check_error("lua-replicate-commands", bad);
        check_error("rename-command", bad);
        check_error("user", bad);
        check_error("include", bad);
        check_error("loadmodule", bad);
        check_error("sentinel x", "sentinel directive while not in sentinel mode");
        check_error("save 3600", "Invalid save parameters");
        check_error("save \"\" 5", "Invalid save parameters");
        check_error("bind 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17", "Too many bind addresses specified.");
        check_error("unixsocketperm 8", "argument couldn't be parsed as an octal number");
        check_error("port 70000", "argument must be between 0 and 65535 inclusive");
        check_error("tcp-backlog @", "argument couldn't be parsed into an integer");
        check_error("daemonize @", "argument must be 'yes' or 'no'");
        check_error("io-threads 0", "argument must be between 1 and 128 inclusive");
        check_error("active-defrag-cycle-min 0", "argument must be between 1 and 99 inclusive");
        check_error("maxmemory 50x", "argument must be a memory value");
        check_error(
            "shutdown-on-sigint",
            "argument(s) must be one of the following: default, save, nosave, now, force",
        );
        check_error("supervised x", "argument(s) must be one of the following: upstart, systemd, auto, no");
        check_error(
            "client-output-buffer-limit normal 1 2",
            "Wrong number of arguments in buffer limit configuration.",
        );
    }

    #[test]
    fn what_would_weaken_the_store_is_refused() {
        check_error("rename-command FLUSHALL \"\"", "rename-command is not supported");
        check_error("user alice on >secret", "ACL users are not supported");
        check_error("loadmodule /x.so", "modules are not supported");
        check_error("include /x.conf", "include is not supported here");
        assert_eq!(
            parse(b"include \"a b.conf\"").unwrap(),
            [Directive {
                line: 1,
                name: "include".into(),
                args: vec!["a b.conf".into()],
                text: "include \"a b.conf\"".into()
            }]
        );
        assert_eq!(parse(b"\nrequirepass \"\\xff\"").unwrap_err().line, 2);
    }

    #[test]
    fn lines_are_read_as_redis_reads_them() {
        check("  # c\n\n   \n\t# x\ntimeout 3\n", "timeout", "3");
        check("TIMEOUT \"5\"", "timeout", "5");
        check("timeout '5'\r\n", "timeout", "5");
        check("timeout 5\ntimeout 6", "timeout", "6");
        check("slave-priority 5", "replica-priority", "5");
        check("requirepass \"a\\x41\\n\"", "requirepass", "aA\n");
        check("requirepass 'a\\'b\\n'", "requirepass", "a'b\\n");
        check("requirepass a\\x41", "requirepass", "a\\x41");
        check("list-max-ziplist-entries 5\nhz 0", "hz", "1");
        check("# nothing", "save", "3600 1 300 100 60 10000");
        check("save", "save", "");
        check("save \"\"", "save", "");
        check("save \"3600 1\"", "save", "3600 1");
        check("save 10 1\nsave 20 2", "save", "10 1 20 2");
        check("save 10 1\nsave \"20 2\"", "save", "10 1 20 2");
        check("save 10 1\nsave \"\"", "save", "");
        check("save \"\"\nsave 20 2", "save", "20 2");
        check("save 10 1 20 2", "save", "10 1 20 2");
        let limits = "client-output-buffer-limit";
        check(
            "client-output-buffer-limit normal 1 2 3\nclient-output-buffer-limit replica 1mb 2 3",
            limits,
            "normal 1 2 3 slave 1048576 2 3 pubsub 33554432 8388608 60",
        );
        check(
            "client-output-buffer-limit \"normal 1 2 3\"",
            limits,
            "normal 1 2 3 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
        );
        check("client-output-buffer-limit", limits, &Settings::default().get(limits).unwrap());
        check("bind 127.0.0.1\nbind 127.0.0.2 -::1", "bind", "127.0.0.2 -::1");
        check("bind \"127.0.0.1 -::1\"", "bind", "127.0.0.1 -::1");
        check("bind", "bind", "");
        check("latency-tracking-info-percentiles \"\"", "latency-tracking-info-percentiles", "");
        check("latency-tracking-info-percentiles 50 99", "latency-tracking-info-percentiles", "50 99");
        check("unixsocketperm 0700", "unixsocketperm", "700");
        check("shutdown-on-sigint nosave force", "shutdown-on-sigint", "nosave force");
    }

    #[test]
    fn the_stock_file_is_the_default() {
        let directives = parse(STOCK.as_bytes()).unwrap();
        let mut settings = Settings::default();
        assert_eq!(settings.apply_file(&directives), Ok(vec![]), "nothing differs, nothing is warned of");
        assert!(settings.bind_given);
        settings.bind_given = false;
        assert_eq!(settings, Settings::default());
        // The file names each directive of Redis, and we know no others but our own, later ones and the hidden ones.
        for parameter in parameter::all() {
            for name in std::iter::once(parameter.name).chain(parameter.alias) {
                let stands = directives.iter().any(|directive| directive.name == name);
                let later = [
                    "shards",
                    "pipeline-order",
                    "snapshot-cron",
                    "set-max-listpack-entries",
                    "set-max-listpack-value",
                ];
                let is_later = later.contains(&name) || name.starts_with("memcached-");
                assert_eq!(stands, !parameter.hidden && !is_later, "{name}");
            }
        }
    }

    #[test]
    fn what_has_no_effect_is_named() {
        let text = "activedefrag yes\nport 1\nsave 1 1\nmaxmemory-clients 1gb\ncluster-enabled no";
        let names = Settings::default().apply_file(&parse(text.as_bytes()).unwrap()).unwrap();
        assert_eq!(names, ["activedefrag", "maxmemory-clients"]);
    }

    #[test]
    fn an_error_leaves_the_settings() {
        let mut settings = Settings::default();
        settings.apply_file(&parse(b"port 1\nhz x").unwrap()).unwrap_err();
        assert_eq!(settings, Settings::default());
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(text: Vec<u8>, lines in r#"((save|bind|port|dir|client-output-buffer-limit|user|x)[ 0-9a-c"'\\#]{0,9}\n){0,5}"#) {
            for text in [&text[..], lines.as_bytes()] {
                if let Ok(directives) = parse(text) {
                    let _ = Settings::default().apply_file(&directives);
                }
            }
        }
    }
}
