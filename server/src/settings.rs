//! The settings in force at the start: defaults, then the file, then the environment, then the flags.
//!
//! It knows where settings come from and in which order they win. What a line means is said by [`apply`].

use std::fs;
use std::io::{self, Read};

use darter_core::config::Settings;
use darter_core::event::LogLevel;

use crate::flags::Directive;

/// Puts all sources together. `file` is a path or `-`.
pub fn resolve(
    file: Option<&str>,
    environment: &[Directive],
    flags: &[Directive],
) -> Result<Settings, String> {
    let mut settings = Settings::default();
    if let Some(path) = file {
        let text = read(path)?;
        for (number, line) in text.lines().enumerate() {
            let Some(directive) = parse_line(line) else { continue };
            apply(&mut settings, &directive.name, &directive.values)
                .map_err(|error| format!("{path}, line {}: {error}", number + 1))?;
        }
    }
    for directive in environment {
        let variable = || format!("DARTER_{}", directive.name.to_uppercase().replace('-', "_"));
        apply(&mut settings, &directive.name, &directive.values)
            .map_err(|error| format!("{}: {error}", variable()))?;
    }
    for directive in flags {
        apply(&mut settings, &directive.name, &directive.values)
            .map_err(|error| format!("--{}: {error}", directive.name))?;
    }
    Ok(settings)
}

fn read(path: &str) -> Result<String, String> {
    let outcome = if path == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(path)
    };
    outcome.map_err(|error| format!("cannot read the configuration file '{path}': {error}"))
}

/// A line's name and values; `None` for a comment or an empty line.
fn parse_line(line: &str) -> Option<Directive> {
    let mut words = line.split_whitespace().map(|word| word.trim_matches('"').to_string());
    let name = words.next().filter(|name| !name.starts_with('#'))?.to_lowercase();
    Some(Directive { name, values: words.collect() })
}

/// Sets one parameter.
fn apply(settings: &mut Settings, name: &str, values: &[String]) -> Result<(), String> {
    let one = || match values {
        [value] => Ok(value.clone()),
        _ => Err("exactly one value is needed".to_string()),
    };
    let yes = || match one()?.as_str() {
        "yes" => Ok(true),
        "no" => Ok(false),
        other => Err(format!("'{other}' is neither yes nor no")),
    };
    fn number<T: std::str::FromStr>(value: String) -> Result<T, String> {
        value.parse().map_err(|_| format!("'{value}' is not a number in range"))
    }
    match name {
        "port" => settings.port = number(one()?)?,
        "bind" => {
            settings.bind = values.to_vec();
            settings.bind_given = true;
        }
        "unixsocket" => settings.unixsocket = Some(one()?).filter(|path| !path.is_empty()),
        "unixsocketperm" => {
            let mode = one()?;
            settings.unixsocketperm =
                u32::from_str_radix(&mode, 8).map_err(|_| format!("'{mode}' is not an octal mode"))?;
        }
        "tcp-backlog" => settings.tcp_backlog = number(one()?)?,
        "tcp-keepalive" => settings.tcp_keepalive = number(one()?)?,
        "timeout" => settings.timeout = number(one()?)?,
        "maxclients" => settings.maxclients = number(one()?)?,
        "requirepass" => settings.requirepass = one()?,
        "protected-mode" => settings.protected_mode = yes()?,
        "shards" if values == ["auto"] => settings.shards = 0,
        "shards" => settings.shards = number(one()?)?,
        "databases" => settings.databases = number(one()?)?,
        "maxmemory" => settings.maxmemory = number(one()?)?,
        "dir" => settings.dir = one()?,
        "daemonize" => settings.daemonize = yes()?,
        "pidfile" => settings.pidfile = one()?,
        "loglevel" => {
            settings.loglevel = match one()?.as_str() {
                "debug" => LogLevel::Debug,
                "verbose" => LogLevel::Verbose,
                "notice" => LogLevel::Notice,
                "warning" => LogLevel::Warning,
                other => return Err(format!("'{other}' is none of debug, verbose, notice, warning")),
            }
        }
        "logfile" => settings.logfile = one()?,
        "hz" => settings.hz = number(one()?)?,
        "slowlog-log-slower-than" => settings.slowlog_log_slower_than = number(one()?)?,
        _ => return Err("there is no such setting".to_string()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directive(name: &str, value: &str) -> Directive {
        Directive { name: name.into(), values: vec![value.into()] }
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let path = std::env::temp_dir().join(format!("darter-settings-{}.conf", std::process::id()));
        std::fs::write(&path, "# comment\n\nport 1\ntimeout 1\nhz 1\n").unwrap();
        let environment = [directive("port", "2"), directive("timeout", "2")];
        let settings = resolve(path.to_str(), &environment, &[directive("port", "3")]);
        std::fs::remove_file(&path).unwrap();
        let settings = settings.unwrap();
        assert_eq!((settings.port, settings.timeout, settings.hz), (3, 2, 1));
        assert_eq!(settings.databases, Settings::default().databases);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let wrong = |name: &str, value: &str| resolve(None, &[], &[directive(name, value)]).unwrap_err();
        assert_eq!(wrong("port", "abc"), "--port: 'abc' is not a number in range");
        assert_eq!(wrong("colour", "red"), "--colour: there is no such setting");
        let error = resolve(None, &[directive("tcp-backlog", "x")], &[]).unwrap_err();
        assert!(error.starts_with("DARTER_TCP_BACKLOG: "), "{error}");
        let error = resolve(Some("/nonexistent"), &[], &[]).unwrap_err();
        assert!(error.contains("'/nonexistent': No such file"), "{error}");
    }
}
