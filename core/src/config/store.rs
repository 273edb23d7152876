//! Setting and reading parameters by name: the start of the process, CONFIG SET and CONFIG GET.
//!
//! It knows Redis's rules for many parameters at once. It does not know what the parameters are.

use super::parameter::{self, Arguments, Change};
use super::{Parameter, Settings};
use crate::glob;
use std::borrow::Cow;
use std::fmt;

/// Why a parameter was not set at the start. Printed, it is what Redis says of the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetError {
    /// There is no such parameter.
    Unknown,
    /// It takes one word.
    WrongNumber,
    /// The value is wrong: why.
    Value(String),
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetError::Unknown => f.write_str("Bad directive or wrong number of arguments"),
            SetError::WrongNumber => f.write_str("wrong number of arguments"),
            SetError::Value(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for SetError {}

/// Why CONFIG SET did nothing. Printed, it is the error reply without its leading `-`, and it never has a line break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// There is no parameter of this name.
    Unknown(String),
    /// A parameter cannot be set, or not to this.
    Failed {
        /// Its name as the client wrote it.
        name: String,
        /// Why.
        reason: String,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Unknown(name) => {
                write!(f, "ERR Unknown option or number of arguments for CONFIG SET - '{name}'")
            }
            ConfigError::Failed { name, reason } => {
                write!(f, "ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")
            }
        }
    }
}

impl std::error::Error for ConfigError {}

impl Settings {
    /// Sets one parameter at the start, when everything may be set. A parameter that takes many words
    /// takes them as one text, too.
    pub fn set(&mut self, name: &str, args: &[&str]) -> Result<(), SetError> {
        let parameter = parameter::find(name).ok_or(SetError::Unknown)?;
        let result = match (parameter.arguments, args) {
            (Arguments::One, [_]) | (Arguments::Many, [] | [_, _, ..]) => parameter.set(self, args),
            (Arguments::One, _) => return Err(SetError::WrongNumber),
            (Arguments::Many, [text]) => parameter.set(self, &words(text)),
        };
        result.map_err(SetError::Value)
    }

    /// One parameter's value, printed; `None` if there is no such parameter.
    pub fn get(&self, name: &str) -> Option<String> {
        parameter::find(name).map(|parameter| parameter.get(self))
    }

    /// CONFIG SET: all of the pairs or none. Returns the names of the parameters whose value has changed, each once.
    ///
    /// `enable-protected-configs local` is not enough for a protected parameter: who asks is not known here.
    pub fn config_set(&mut self, pairs: &[(&[u8], &[u8])]) -> Result<Vec<&'static str>, ConfigError> {
        let mut found: Vec<&Parameter> = Vec::with_capacity(pairs.len());
        // First the names, in order: an unknown one is told before a wrong value.
        for (index, (name, _)) in pairs.iter().enumerate() {
            let parameter = std::str::from_utf8(name).ok().and_then(parameter::find);
            let Some(parameter) = parameter else { return Err(ConfigError::Unknown(shown(name))) };
            let failed = |reason: &str| ConfigError::Failed { name: shown(name), reason: reason.into() };
            match parameter.change {
                Change::Mutable => {}
                Change::Immutable => return Err(failed("can't set immutable config")),
                Change::Protected if self.get("enable-protected-configs").as_deref() == Some("yes") => {}
                Change::Protected => return Err(failed("can't set protected config")),
            }
            // As in Redis, a name and its alias are not duplicates: the last one holds.
            if pairs[..index].iter().any(|(earlier, _)| earlier.eq_ignore_ascii_case(name)) {
                return Err(failed("duplicate parameter"));
            }
            found.push(parameter);
        }
        let mut new = self.clone();
        for (parameter, (name, text)) in found.iter().zip(pairs) {
            let text = std::str::from_utf8(text).map_err(|_| "argument must be valid UTF-8".to_string());
            let result = text.and_then(|text| match parameter.arguments {
                Arguments::One => parameter.set(&mut new, &[text]),
                Arguments::Many => parameter.set(&mut new, &words(text)),
            });
            result.map_err(|reason| ConfigError::Failed { name: shown(name), reason })?;
        }
        let mut changed = Vec::new();
        for parameter in found {
            if parameter.get(self) != parameter.get(&new) && !changed.contains(&parameter.name) {
                changed.push(parameter.name);
            }
        }
        *self = new;
        Ok(changed)
    }

    /// CONFIG GET: names and values that any of the patterns matches, each name once. An older name is
    /// an entry of its own.
    ///
    /// As in Redis, what has none of `*?[` is a name and comes back as the client wrote it, and only so
    /// are hidden parameters found.
    pub fn config_get(&self, patterns: &[&[u8]]) -> Vec<(Cow<'static, str>, String)> {
        let mut found: Vec<(Cow<'static, str>, String)> = Vec::new();
        let mut add = |name: Cow<'static, str>, parameter: &Parameter| {
            if !found.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name)) {
                found.push((name, parameter.get(self)));
            }
        };
        for pattern in patterns {
            if !pattern.iter().any(|byte| b"*?[".contains(byte)) {
                if let Ok(name) = std::str::from_utf8(pattern)
                    && let Some(parameter) = parameter::find(name)
                {
                    add(Cow::Owned(name.into()), parameter);
                }
                continue;
            }
            for parameter in parameter::all().filter(|parameter| !parameter.hidden) {
                for name in std::iter::once(parameter.name).chain(parameter.alias) {
                    if glob::matches(pattern, name.as_bytes(), true) {
                        add(Cow::Borrowed(name), parameter);
                    }
                }
            }
        }
        found
    }
}

/// The words of a value that was given as one text: Redis splits at every single space, and nothing has no words.
fn words(text: &str) -> Vec<&str> {
    if text.is_empty() { Vec::new() } else { text.split(' ').collect() }
}

/// A client's word as an error shows it: up to a NUL, on one line.
fn shown(name: &[u8]) -> String {
    let name = &name[..memchr::memchr(0, name).unwrap_or(name.len())];
    String::from_utf8_lossy(name).replace(['\r', '\n'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(settings: &mut Settings, words: &[&str]) -> Result<Vec<&'static str>, ConfigError> {
        let pairs: Vec<_> =
            words.chunks_exact(2).map(|pair| (pair[0].as_bytes(), pair[1].as_bytes())).collect();
        settings.config_set(&pairs)
    }

    /// The error of CONFIG SET; the settings stay as they are.
    fn check(words: &[&str], error: &str) {
        let mut settings = Settings::default();
        assert_eq!(set(&mut settings, words).unwrap_err().to_string(), error, "{words:?}");
        assert_eq!(settings, Settings::default(), "{words:?}: all or nothing");
    }

    fn check_failed(words: &[&str], name: &str, reason: &str) {
        check(words, &format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}"));
    }

    #[test]
    fn errors_are_those_of_redis_7_0_15() {
        let unknown = "ERR Unknown option or number of arguments for CONFIG SET - 'foo'";
        check(&["foo", "bar"], unknown);
        check(&["foo", "bar", "timeout", "x"], unknown);
        check(&["timeout", "x", "foo", "bar"], unknown);
        check(&["timeout", "1", "foo", "bar"], unknown);
        check(&["foo", "1", "foo", "2"], unknown);
        check(&["fo\r\no\0bar", "1"], "ERR Unknown option or number of arguments for CONFIG SET - 'fo  o'");
        let (immutable, protected) = ("can't set immutable config", "can't set protected config");
        for name in ["databases", "daemonize", "logfile", "unixsocket", "tcp-backlog", "slaveof", "PidFile"] {
            check_failed(&[name, "1"], name, immutable);
        }
        check_failed(&["databases", "1", "timeout", "x"], "databases", immutable);
        check_failed(&["timeout", "x", "databases", "1"], "databases", immutable);
        check_failed(&["databases", "1", "databases", "2"], "databases", immutable);
        check_failed(&["dir", "/tmp", "timeout", "x"], "dir", protected);
        check_failed(&["dbfilename", "x"], "dbfilename", protected);
        let duplicate = "duplicate parameter";
        check_failed(&["timeout", "1", "timeout", "2"], "timeout", duplicate);
        check_failed(&["timeout", "1", "TIMEOUT", "2"], "TIMEOUT", duplicate);
        check_failed(&["timeout", "1", "timeout", "2", "foo", "3"], "timeout", duplicate);
        let integer = "argument couldn't be parsed into an integer";
        check_failed(&["timeout", "x", "hz", "y"], "timeout", integer);
        check_failed(&["timeout", "77", "hz", "y"], "hz", integer);
        check_failed(&["timeout", ""], "timeout", integer);
        check_failed(&["timeout", "-1"], "timeout", "argument must be between 0 and 2147483647 inclusive");
        check_failed(
            &["tracking-table-max-keys", "18446744073709551615"],
            "tracking-table-max-keys",
            integer,
        );
        check_failed(
            &["slowlog-max-len", "-1"],
            "slowlog-max-len",
            "argument must be between 0 and 9223372036854775807 inclusive",
        );
        check_failed(
            &["slowlog-log-slower-than", "-2"],
            "slowlog-log-slower-than",
            "argument must be between -1 and 9223372036854775807 inclusive",
        );
        check_failed(
            &["maxclients", "0"],
            "maxclients",
            "argument must be between 1 and 4294967295 inclusive",
        );
        check_failed(&["maxmemory", "1.5mb"], "maxmemory", "argument must be a memory value");
        check_failed(&["Maxmemory", "50x"], "Maxmemory", "argument must be a memory value");
        check_failed(
            &["proto-max-bulk-len", "1"],
            "proto-max-bulk-len",
            "argument must be between 1048576 and 9223372036854775807 inclusive",
        );
        check_failed(&["activerehashing", "true"], "activerehashing", "argument must be 'yes' or 'no'");
        check_failed(
            &["loglevel", "debug notice"],
            "loglevel",
            "argument(s) must be one of the following: debug, verbose, notice, warning",
        );
        check_failed(
            &["maxmemory-policy", "lru"],
            "maxmemory-policy",
            "argument(s) must be one of the following: volatile-lru, volatile-lfu, volatile-random, volatile-ttl, \
             allkeys-lru, allkeys-lfu, allkeys-random, noeviction, allkeys-sieve",
        );
        check_failed(
            &["appendfsync", ""],
            "appendfsync",
            "argument(s) must be one of the following: everysec, always, no",
        );
        check_failed(&["slave-priority", "x"], "slave-priority", integer);
        check_failed(
            &["client-output-buffer-limit", "normal 0 0"],
            "client-output-buffer-limit",
            "Wrong number of arguments in buffer limit configuration.",
        );
        check_failed(&["save", "x"], "save", "Invalid save parameters");
    }

    #[test]
    fn what_redis_may_change_and_we_may_not_yet() {
        for name in ["port", "bind"] {
            check_failed(&[name, "1"], name, "can't set immutable config");
        }
        let mut settings = Settings::default();
        let error = settings.config_set(&[(b"requirepass", b"\xff")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "ERR CONFIG SET failed (possibly related to argument 'requirepass') - argument must be valid UTF-8"
        );
    }

    #[test]
    fn all_pairs_are_set_and_changes_are_named() {
        let mut settings = Settings::default();
        let changed = set(&mut settings, &["TimeOut", "5", "hz", "10", "hash-max-ziplist-entries", "7"]);
        assert_eq!(changed, Ok(vec!["timeout", "hash-max-listpack-entries"]));
        assert_eq!(settings.timeout, 5);
        assert_eq!(settings.get("hash-max-listpack-entries").as_deref(), Some("7"));
        let changed = set(&mut settings, &["slave-priority", "1", "replica-priority", "2"]);
        assert_eq!(changed, Ok(vec!["replica-priority"]), "a name and its alias are no duplicates");
        assert_eq!(settings.get("slave-priority").as_deref(), Some("2"));
        assert_eq!(set(&mut settings, &["save", ""]), Ok(vec!["save"]));
        assert_eq!(settings.get("save").as_deref(), Some(""));
        assert_eq!(set(&mut settings, &["maxmemory-policy", "ALLKEYS-lru"]), Ok(vec!["maxmemory-policy"]));
        assert_eq!(settings.get("maxmemory-policy").as_deref(), Some("allkeys-lru"));
    }

    #[test]
    fn protected_parameters_open_by_their_switch() {
        let mut settings = Settings::default();
        settings.set("enable-protected-configs", &["local"]).unwrap();
        assert!(set(&mut settings, &["dbfilename", "x"]).is_err());
        settings.set("enable-protected-configs", &["yes"]).unwrap();
        assert_eq!(set(&mut settings, &["dbfilename", "x"]), Ok(vec!["dbfilename"]));
    }

    #[test]
    fn the_start_sets_everything() {
        let mut settings = Settings::default();
        assert_eq!(settings.set("PORT", &["7000"]), Ok(()));
        assert_eq!(settings.set("save", &["10", "1", "20", "2"]), Ok(()));
        assert_eq!(settings.get("save").as_deref(), Some("10 1 20 2"));
        assert_eq!(settings.set("timeout", &[]), Err(SetError::WrongNumber));
        assert_eq!(settings.set("timeout", &["1", "2"]), Err(SetError::WrongNumber));
        assert_eq!(settings.set("foo", &["1"]), Err(SetError::Unknown));
        assert_eq!(settings.set("", &[]), Err(SetError::Unknown));
    }

    #[test]
    fn get_finds_as_redis_does() {
        let mut settings = Settings::default();
        settings.set("dir", &["/srv"]).unwrap();
        let get = |patterns: &[&str]| -> Vec<String> {
            let patterns: Vec<&[u8]> = patterns.iter().map(|pattern| pattern.as_bytes()).collect();
            let found = settings.config_get(&patterns);
            found.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
        };
        assert_eq!(get(&["TIMEOUT"]), ["TIMEOUT=0"]);
        assert_eq!(get(&["timeout", "time*", "timeout", "tim?out"]), ["timeout=0"]);
        assert_eq!(get(&["slave-pri*"]), ["slave-priority=100"]);
        assert_eq!(get(&["*-PRIORITY"]), ["replica-priority=100", "slave-priority=100"]);
        let both = get(&["replica-priority", "slave-priority", "SLAVE-priority"]);
        assert_eq!(both, ["replica-priority=100", "slave-priority=100"]);
        assert_eq!(get(&["h[a-z]"]), ["hz=10"]);
        assert_eq!(get(&["h[^a-y"]), ["hz=10"]);
        assert_eq!(get(&["H\\z", "", "nothing"]), [""; 0]);
        assert_eq!(get(&["rdb-key*"]), [""; 0]);
        assert_eq!(get(&["rdb-key-save-delay"]), ["rdb-key-save-delay=0"]);
        assert_eq!(get(&["di?"]), ["dir=/srv"]);
        assert_eq!(
            get(&["*"]).len(),
            192 + 8,
            "Redis's, two later ones, shards, pipeline-order, snapshot-cron, memcached-*"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(pairs: Vec<(Vec<u8>, Vec<u8>)>, which: usize, value: Vec<u8>, pattern: Vec<u8>) {
            let mut settings = Settings::default();
            let pairs: Vec<(&[u8], &[u8])> = pairs.iter().map(|(name, text)| (&name[..], &text[..])).collect();
            if let Err(error) = settings.config_set(&pairs) {
                prop_assert!(!error.to_string().contains(['\r', '\n']));
            }
            let names: Vec<&str> = parameter::all().map(|parameter| parameter.name).collect();
            let name = names[which % names.len()];
            let before = settings.clone();
            if settings.config_set(&[(name.as_bytes(), &value)]).is_err() {
                prop_assert_eq!(&settings, &before);
            }
            settings.config_get(&[&pattern]);
        }

        #[test]
        fn what_is_shown_can_be_set(which: usize, text in "[0-9a-z]{0,4}( [0-9]{1,3}){0,3}|yes|no|[0-9]{1,9}(mb|k|%)?|[AKElmn]{1,4}") {
            let names: Vec<&str> = parameter::all().map(|parameter| parameter.name).collect();
            let name = names[which % names.len()];
            let mut settings = Settings::default();
            if settings.set(name, &[&text]).is_ok() {
                let shown = settings.get(name).unwrap();
                let mut again = settings.clone();
                if !(name == "replicaof" && shown.is_empty()) {
                    again.set(name, &[&shown]).unwrap();
                }
                prop_assert_eq!(again, settings);
            }
        }
    }
}
