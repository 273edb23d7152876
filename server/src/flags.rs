//! The command line and the environment: what was asked for, in the words of redis.conf.
//!
//! Redis's habits hold: the first argument that is no flag names a configuration file, `-` is standard input, and every line
//! `name value...` of the file may be given as `--name value...`. This file does not know which names exist nor what
//! values mean, except for the text of `--help`.

use clap::{Arg, Command};

/// A line of redis.conf, wherever it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// Lower case, with `-`.
    pub name: String,
    /// May be empty.
    pub values: Vec<String>,
}

/// What the command line says.
#[derive(Debug, PartialEq, Eq)]
pub enum Invocation {
    /// Start a server.
    Serve {
        /// The configuration file's path, or `-`.
        file: Option<String>,
        /// In the order given.
        directives: Vec<Directive>,
    },
    /// Print this and leave.
    Print(String),
}

/// A row of `--help`: group, name, value, text.
type Row = (&'static str, &'static str, &'static str, &'static str);

const ROWS: [Row; 24] = [
    ("Network", "port", "PORT", "TCP port, 0 for none [default: 6379]"),
    ("Network", "bind", "ADDRESS...", "Addresses to listen on [default: 127.0.0.1 -::1]"),
    ("Network", "unixsocket", "PATH", "Listen on a unix socket too"),
    ("Network", "unixsocketperm", "MODE", "Its mode, octal"),
    ("Network", "memcached-port", "PORT", "TCP port of memcached's protocol, 0 for none [default: 0]"),
    ("Network", "memcached-unixsocket", "PATH", "Listen for it on a unix socket too"),
    ("Network", "tcp-backlog", "N", "Connections that wait to be accepted [default: 511]"),
    ("Network", "tcp-keepalive", "SECONDS", "Between probes of a silent client, 0 for none [default: 300]"),
    ("Network", "timeout", "SECONDS", "Close clients idle for so long, 0 for never [default: 0]"),
    ("Network", "maxclients", "N", "The most clients at a time [default: 10000]"),
    ("Access", "requirepass", "PASSWORD", "Clients must give this password"),
    (
        "Access",
        "protected-mode",
        "yes|no",
        "Without password and bind, serve this machine only [default: yes]",
    ),
    ("Data", "shards", "auto|N", "How many shards, each on a core of its own [default: auto]"),
    ("Data", "databases", "N", "How many databases SELECT knows [default: 16]"),
    (
        "Data",
        "maxmemory",
        "BYTES|N%",
        "The most memory of the process, such as 4gb or 80%; 0 for no limit [default: 0]",
    ),
    ("Data", "maxmemory-policy", "POLICY", "Which keys go when it is used up [default: noeviction]"),
    ("Data", "cache", "[BYTES|N%]", "A cache: short for --maxmemory 80% --maxmemory-policy allkeys-sieve"),
    ("Data", "dir", "PATH", "The working directory"),
    ("Process", "daemonize", "yes|no", "Run in the background [default: no]"),
    ("Process", "pidfile", "PATH", "Write the process id to this file"),
    ("Process", "loglevel", "LEVEL", "debug, verbose, notice or warning [default: notice]"),
    ("Process", "logfile", "PATH", "Log to this file instead of standard output"),
    ("Process", "hz", "N", "How often a second background work is looked at [default: 10]"),
    ("Process", "slowlog-log-slower-than", "MICROS", "From when on a command is slow [default: 10000]"),
];

const ABOUT: &str =
    "An in-memory data store for multi-core machines that speaks the protocols of Redis and memcached.";

const EXAMPLES: &str = "\
Every line `name value...` of redis.conf may be given as `--name value...`, and as DARTER_<NAME> in the environment.
Flags win over the environment, the environment wins over the file, the file wins over the defaults.

Examples:
  darter                                    serve this machine on port 6379 with all its cores
  darter --port 7000 --shards 2             another port, two shards
  darter --bind '*' --requirepass secret    serve the network
  darter redis.conf --maxmemory 4gb         a configuration file, one line of it changed
  darter --cache 10gb                       a cache of ten gigabytes
  DARTER_PORT=7000 darter                   the same by the environment";

/// Reads the command line, without the program's name.
pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Invocation, String> {
    let mut file = None;
    let mut directives: Vec<Directive> = Vec::new();
    for (position, argument) in arguments.into_iter().enumerate() {
        match argument.as_str() {
            "-h" | "--help" => return Ok(Invocation::Print(help())),
            "-v" | "-V" | "--version" => return Ok(Invocation::Print(version())),
            "--print-commands" => return Ok(Invocation::Print(darter_core::command::reference::markdown())),
            _ => {}
        }
        if let Some(flag) = argument.strip_prefix("--").filter(|flag| !flag.is_empty()) {
            let (name, value) =
                flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
            let values = value.into_iter().map(String::from).collect();
            directives.push(Directive { name: name.to_lowercase(), values });
        } else if let Some(directive) = directives.last_mut() {
            directive.values.push(argument);
        } else if position == 0 {
            file = Some(argument);
        } else {
            return Err(format!("'{argument}' is neither a flag nor the value of one: try 'darter --help'"));
        }
    }
    Ok(Invocation::Serve { file, directives })
}

/// What the environment says, sorted by name. `DARTER_PORT=tcp://...` and the like, which Kubernetes sets for a service
/// called darter, is not meant for us.
pub fn from_environment(variables: impl Iterator<Item = (String, String)>) -> Vec<Directive> {
    let mut directives: Vec<Directive> = variables
        .filter_map(|(name, value)| {
            let name = name.strip_prefix("DARTER_")?.to_lowercase().replace('_', "-");
            let foreign = value.starts_with("tcp://")
                || name.starts_with("service-")
                || name
                    .strip_prefix("port-")
                    .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            let values = value.split_whitespace().map(String::from).collect();
            (!foreign).then_some(Directive { name, values })
        })
        .collect();
    directives.sort_by(|a, b| a.name.cmp(&b.name));
    directives
}

fn command() -> Command {
    let mut command = Command::new("darter")
        .about(ABOUT)
        .after_help(EXAMPLES)
        .override_usage("darter [FILE|-] [--NAME VALUE...]...")
        .disable_version_flag(true)
        .arg(
            Arg::new("FILE")
                .help("A configuration file in the format of redis.conf; `-` reads standard input"),
        );
    for (group, name, value, text) in ROWS {
        command = command.arg(Arg::new(name).long(name).value_name(value).help(text).help_heading(group));
    }
    command.arg(Arg::new("version").long("version").short('v').num_args(0).help("Print version"))
}

fn help() -> String {
    command().render_help().to_string()
}

fn version() -> String {
    let (os, machine) = (std::env::consts::OS, std::env::consts::ARCH);
    format!("darter {} ({os} {machine}, io_uring, mimalloc)\n", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arguments: &str, file: Option<&str>, expected: &[(&str, &[&str])]) {
        let parsed = parse(arguments.split_whitespace().map(String::from)).unwrap();
        let directives = expected.iter().map(|(name, values)| Directive {
            name: name.to_string(),
            values: values.iter().map(ToString::to_string).collect(),
        });
        let expected = Invocation::Serve { file: file.map(String::from), directives: directives.collect() };
        assert_eq!(parsed, expected, "{arguments}");
    }

    #[test]
    fn the_command_line_follows_redis() {
        check("", None, &[]);
        check("--port 7000", None, &[("port", &["7000"])]);
        check("--port=7000", None, &[("port", &["7000"])]);
        check(
            "redis.conf --bind 127.0.0.1 -::1 --PORT 1",
            Some("redis.conf"),
            &[("bind", &["127.0.0.1", "-::1"]), ("port", &["1"])],
        );
        check(
            "- --save 900 1 --appendonly no",
            Some("-"),
            &[("save", &["900", "1"]), ("appendonly", &["no"])],
        );
        check("--slowlog-log-slower-than -1", None, &[("slowlog-log-slower-than", &["-1"])]);
        assert!(parse(["a".into(), "b".into()]).unwrap_err().contains("'b' is neither"));
    }

    #[test]
    fn help_teaches_and_version_names() {
        let Ok(Invocation::Print(text)) = parse(["--port".into(), "--help".into()]) else { panic!() };
        for part in ["--shards", "Network:", "Examples:", "DARTER_<NAME>"] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        let Ok(Invocation::Print(text)) = parse(["-v".into()]) else { panic!() };
        assert!(text.starts_with("darter 0."), "{text}");
    }

    #[test]
    fn the_environment_is_read_without_what_others_put_there() {
        let variables = [
            ("DARTER_TCP_KEEPALIVE", "60"),
            ("DARTER_BIND", "127.0.0.1 -::1"),
            ("DARTER_PORT", "tcp://10.0.0.1:6379"),
            ("DARTER_PORT_6379_TCP", "tcp"),
            ("DARTER_SERVICE_HOST", "10.0.0.1"),
            ("HOME", "/root"),
        ];
        let read =
            from_environment(variables.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        let names: Vec<&str> = read.iter().map(|directive| directive.name.as_str()).collect();
        assert_eq!(names, ["bind", "tcp-keepalive"]);
        assert_eq!(read[0].values, ["127.0.0.1", "-::1"]);
    }
}
