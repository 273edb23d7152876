//! Servers to compare: what they are called, how they are started and ended. It ends only what it has started.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::bench::address::Address;
use crate::bench::cpus::Cpus;
use crate::bench::interrupt;
use crate::bench::protocol::Protocol;

/// A server that can be started. `{port}`, `{shards}` and `{cpus}` in its command line are filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Spec {
    /// What it is called in tables.
    pub name: String,
    /// Its language.
    pub protocol: Protocol,
    /// The command line; words with spaces stand in quotes.
    pub command: String,
    /// How many shards, or threads, it has, if that can be said.
    pub shards: Option<usize>,
}

const REDIS: &str =
    "--port {port} --bind 127.0.0.1 --save '' --appendonly no --maxclients 20000 --loglevel warning";

impl Spec {
    /// A preset by its name, or `NAME:PROTOCOL=COMMAND LINE`. `own` is this program, `darter` the server's path.
    pub fn read(text: &str, own: &Path, darter: &Path) -> Result<Spec, String> {
        let (head, command) = text.split_once('=').map_or((text, None), |(head, line)| (head, Some(line)));
        let (name, protocol) = head.split_once(':').map_or((head, None), |(name, rest)| (name, Some(rest)));
        let protocol = match protocol {
            Some("resp") => Some(Protocol::Resp),
            Some("memcached") => Some(Protocol::Memcached),
            Some("meta") => Some(Protocol::Meta),
            Some(other) => return Err(format!("{other:?} is no protocol: resp, memcached, meta")),
            None => None,
        };
        let command = match (name, command) {
            ("", _) => return Err(format!("{text:?} has no name")),
            (_, Some(command)) => command.to_string(),
            ("redis", None) => format!("redis-server {REDIS}"),
            ("valkey", None) => format!("valkey-server {REDIS}"),
            ("memcached", None) => {
                // It refuses to be root without being told so.
                // SAFETY: the call has no arguments and cannot fail.
                let user = if unsafe { libc::geteuid() } == 0 { " -u root" } else { "" };
                format!("memcached -l 127.0.0.1 -p {{port}} -U 0 -t {{shards}} -m 4096 -I 8m -c 20000{user}")
            }
            ("floor", None) => format!("'{}' floor --port {{port}}", own.display()),
            ("darter", None) => format!(
                "'{}' {port} --bind 127.0.0.1 --shards {{shards}} --maxclients 20000 --loglevel warning \
                 --save ''",
                darter.display(),
                port = match protocol {
                    None | Some(Protocol::Resp) => "--port {port}",
                    Some(Protocol::Memcached | Protocol::Meta) => "--port 0 --memcached-port {port}",
                },
            ),
            _ => {
                return Err(format!(
                    "{name:?} is none of redis, valkey, memcached, floor and darter: say {name}='COMMAND LINE'"
                ));
            }
        };
        if !command.contains("{port}") {
            return Err(format!("the command line of {name} has no {{port}}"));
        }
        let usual = if name == "memcached" { Protocol::Memcached } else { Protocol::Resp };
        Ok(Spec { name: name.into(), protocol: protocol.unwrap_or(usual), command, shards: None })
    }

    /// The same server with each of these numbers of shards; one without a place for it stays as it is.
    pub fn with_shards(self, counts: &[usize]) -> Vec<Spec> {
        if !self.command.contains("{shards}") {
            return vec![self];
        }
        let named = |count: usize| {
            if counts.is_empty() { self.name.clone() } else { format!("{}-{count}", self.name) }
        };
        let counts = if counts.is_empty() { &[1] } else { counts };
        counts
            .iter()
            .map(|count| Spec { name: named(*count), shards: Some(*count), ..self.clone() })
            .collect()
    }

    /// The words of the command line.
    fn words(&self, port: u16, cpus: &Cpus) -> Result<Vec<String>, String> {
        let line = self
            .command
            .replace("{port}", &port.to_string())
            .replace("{shards}", &self.shards.unwrap_or(1).to_string())
            .replace("{cpus}", &cpus.to_string());
        let words = split(&line)?;
        if words.is_empty() { Err(format!("{} has no command line", self.name)) } else { Ok(words) }
    }
}

/// Splits at spaces that are not within quotes.
fn split(line: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), letter) if open == letter => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, ' ' | '\t') => words.extend(word.take()),
            (_, letter) => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        return Err(format!("a quote has no end: {line}"));
    }
    words.extend(word);
    Ok(words)
}

/// A server that runs. It ends when it is dropped, and its directory with it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    directory: PathBuf,
    /// Where it listens.
    pub address: Address,
}

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

impl Running {
    /// Starts it on these CPUs and waits until it answers.
    pub fn start(spec: &Spec, cpus: &Cpus) -> Result<Running, String> {
        let mut error = String::new();
        for _ in 0..3 {
            match Running::try_start(spec, cpus) {
                Ok(running) => return Ok(running),
                // Somebody else may have taken the port in between.
                Err(reason) => error = reason,
            }
            if interrupt::asked() {
                break;
            }
        }
        Err(error)
    }

    fn try_start(spec: &Spec, cpus: &Cpus) -> Result<Running, String> {
        let port = crate::free_port();
        let words = spec.words(port, cpus)?;
        let said = |error: std::io::Error| format!("{}: {}: {error}", spec.name, words[0]);
        let name = format!("darter-bench-{}-{port}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).map_err(said)?;
        let started = spawn(&words, &directory, cpus);
        let child = match started {
            Ok(child) => child,
            Err(error) => {
                let _ = std::fs::remove_dir_all(&directory);
                return Err(said(error));
            }
        };
        let mut running = Running { child, directory, address: Address::local(port) };
        let until = Instant::now() + PATIENCE;
        loop {
            if running.address.greet(spec.protocol.greeting()).is_ok() {
                return Ok(running);
            }
            let ended = running.child.try_wait().map_err(said)?;
            if ended.is_some() || Instant::now() > until || interrupt::asked() {
                let log = std::fs::read_to_string(running.directory.join("log")).unwrap_or_default();
                let last: Vec<&str> = log.lines().rev().take(3).collect();
                return Err(format!(
                    "{} does not answer: {} {}",
                    spec.name,
                    words.join(" "),
                    last.join(" / ")
                ));
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

/// Starts a process on these CPUs that ends when this one does, whatever the reason.
fn spawn(words: &[String], directory: &Path, cpus: &Cpus) -> std::io::Result<Child> {
    let log = File::create(directory.join("log"))?;
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).current_dir(directory);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    // Ctrl-C on the terminal is for us; we end it then.
    command.process_group(0);
    let cpus = cpus.clone();
    let stay = move || {
        // SAFETY: the call takes numbers only.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) };
        cpus.stay()
    };
    // SAFETY: between fork and exec only two system calls are made; nothing is allocated or locked.
    unsafe { command.pre_exec(stay) };
    command.spawn()
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Spec, String> {
        Spec::read(text, Path::new("/own"), Path::new("/a b/darter"))
    }

    #[test]
    fn presets_and_command_lines_are_read() {
        let words = |text: &str| read(text).expect(text).words(7, &Cpus::new(vec![0, 2])).expect("words");
        assert_eq!(words("floor"), ["/own", "floor", "--port", "7"]);
        assert_eq!(words("darter")[..3], ["/a b/darter", "--port", "7"]);
        assert!(words("redis").contains(&String::new()), "no save points is an empty word");
        assert_eq!(words("x=srv -p {port} --on \"{cpus}\""), ["srv", "-p", "7", "--on", "0,2"]);
        let pogo = read("pogo:meta=pogo -p {port}").expect("a server");
        assert_eq!((pogo.name.as_str(), pogo.protocol), ("pogo", Protocol::Meta));
        assert_eq!(read("memcached").expect("a preset").protocol, Protocol::Memcached);
        for wrong in ["", "unknown", "x=no port", "x:xml=a {port}", "=a {port}"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(read("x='a {port}").expect("a line").words(1, &Cpus::default()).is_err());
    }

    #[test]
    fn shards_make_servers_of_their_own() {
        let names = |text: &str, counts: &[usize]| {
            let specs = read(text).expect(text).with_shards(counts);
            specs.into_iter().map(|spec| (spec.name, spec.shards)).collect::<Vec<_>>()
        };
        assert_eq!(names("darter", &[]), [("darter".into(), Some(1))]);
        assert_eq!(names("darter", &[1, 2]), [("darter-1".into(), Some(1)), ("darter-2".into(), Some(2))]);
        assert_eq!(names("redis", &[1, 2]), [("redis".into(), None)]);
    }

    #[test]
    fn what_does_not_start_is_said_and_leaves_nothing() {
        let spec = |command: &str| Spec {
            name: "x".into(),
            protocol: Protocol::Resp,
            command: command.into(),
            shards: None,
        };
        let cpus = Cpus::allowed().expect("it runs somewhere");
        let error =
            Running::start(&spec("sh -c 'echo no such thing; exit 1' {port}"), &cpus).expect_err("it ends");
        assert!(error.contains("no such thing"), "{error}");
        assert!(Running::start(&spec("/no/such/program {port}"), &cpus).is_err());
        let own = format!("darter-bench-{}-", std::process::id());
        let left = std::fs::read_dir(std::env::temp_dir()).expect("a folder").flatten();
        assert_eq!(left.filter(|entry| entry.file_name().to_string_lossy().starts_with(&own)).count(), 0);
    }
}
