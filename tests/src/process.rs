//! One `darter` process, started for one test and ended with it.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Once;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::client::Client;

/// How long a server may take to be ready, and to stop. Generous: the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// The root of the repository.
pub fn repository() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("the package lies in the repository").to_path_buf()
}

/// The binary under test, built by the same `cargo test`; built now if only this package was asked for. `BINARY_UNDER_TEST` names another one, so that
/// two versions can be measured.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("BINARY_UNDER_TEST") {
        return path.into();
    }
    static BUILD: Once = Once::new();
    let test = std::env::current_exe().expect("a test has a path");
    // Tests lie in target/<profile>/deps, binaries in target/<profile>.
    let folder = test.parent().expect("an executable lies in a folder");
    let profile = if folder.ends_with("deps") { folder.parent().expect("target/<profile>") } else { folder };
    let path = profile.join("darter");
    BUILD.call_once(|| {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", "darter", "--bin", "darter"]);
        build.arg("--target-dir").arg(profile.parent().expect("target"));
        if profile.ends_with("release") {
            build.arg("--release");
        }
        let built = build.current_dir(repository()).status().expect("cargo runs");
        assert!(built.success(), "the server is built");
    });
    path
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// An empty directory of a test's own, which goes by this name.
pub fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("darter-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("a directory");
    path
}

/// Names the server under test where it is not Darter: `DARTER_TESTS_SERVER=redis-server cargo test -p darter-tests --test transactions`
/// asks whether a test is right about Redis. Shards and flags of Darter have no meaning there.
const OTHER: &str = "DARTER_TESTS_SERVER";

/// A running server. It is killed when dropped.
pub struct Server {
    child: Child,
    port: u16,
    ours: bool,
    lines: Receiver<String>,
    log: Vec<String>,
    directory: Option<PathBuf>,
}

impl Server {
    /// Starts on a free port with as many shards and waits until it is ready.
    pub fn start(shards: u16) -> Server {
        Server::start_with(shards, &[])
    }

    /// The same with more flags.
    pub fn start_with(shards: u16, flags: &[&str]) -> Server {
        if let Ok(program) = std::env::var(OTHER) {
            return Server::ready(|port| other(&program, port));
        }
        Server::ready(|port| {
            let mut command = Command::new(binary());
            command.args(["--port", &port.to_string(), "--shards", &shards.to_string()]);
            // What is not asked for is not left behind.
            command.args(["--save", ""]).args(flags);
            command
        })
    }

    /// Starts where a dump may lie, saves only when told to, and waits until it is loaded.
    pub fn start_in(directory: &Path, shards: u16) -> Server {
        let directory = directory.to_str().expect("a path is text");
        Server::start_with(shards, &["--dir", directory])
    }

    /// The same of redis-server.
    pub fn redis_in(directory: &Path) -> Server {
        Server::redis_with(directory, &[])
    }

    /// The same with more flags.
    pub fn redis_with(directory: &Path, flags: &[&str]) -> Server {
        Server::ready(|port| {
            let mut command = other("redis-server", port);
            command.arg("--dir").arg(directory).args(flags);
            command
        })
    }

    /// A redis-server that keeps nothing, to compare with.
    pub fn redis() -> Server {
        Server::ready(|port| other("redis-server", port))
    }

    /// Starts on one port after the other until one is ready.
    fn ready(command: impl Fn(u16) -> Command) -> Server {
        for _ in 0..5 {
            let port = free_port();
            let command = command(port);
            let ours = command.get_program() == binary();
            let mut server = Server::spawn(command, port);
            server.ours = ours;
            match server.wait_for("Ready to accept connections") {
                true => return server,
                // Somebody else took the port in between: try another.
                false => drop(server),
            }
        }
        panic!("no server was ready");
    }

    /// Whether it is Darter: INFO has sections of its own.
    pub fn is_darter(&self) -> bool {
        self.ours
    }

    /// Starts on a directory with a log, in which something is so wrong that it does not come up: what it says.
    pub fn refusal(directory: &Path, flags: &[&str]) -> String {
        let port = free_port();
        let mut command = Command::new(binary());
        command.args(["--port", &port.to_string(), "--shards", "2", "--appendonly", "yes", "--dir"]);
        command.arg(directory).args(flags);
        let mut server = Server::spawn(command, port);
        assert!(!server.wait().success());
        server.stderr()
    }

    /// Starts any command line; does not wait.
    pub fn spawn(mut command: Command, port: u16) -> Server {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let stdout = child.stdout.take().expect("piped");
        Server { child, port, ours: true, lines: follow(stdout), log: Vec::new(), directory: None }
    }

    /// Removes this directory when the server ends.
    pub fn owning(mut self, directory: PathBuf) -> Server {
        self.directory = Some(directory);
        self
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A new connection.
    pub fn client(&self) -> Client {
        Client::connect(self.port)
    }

    /// Reads the log until a line contains this text; false if the process ends before.
    pub fn wait_for(&mut self, text: &str) -> bool {
        if self.log.iter().any(|line| line.contains(text)) {
            return true;
        }
        let until = Instant::now() + PATIENCE;
        while let Ok(line) = self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            self.log.push(line);
            if self.log.last().is_some_and(|line| line.contains(text)) {
                return true;
            }
        }
        false
    }

    /// Lines of the log so far.
    pub fn log(&mut self) -> &[String] {
        self.log.extend(self.lines.try_iter());
        &self.log
    }

    /// Sends a signal to this very process.
    pub fn signal(&self, signal: i32) {
        // SAFETY: `kill` takes numbers only; the pid is our own child's, which is not reaped before `wait`.
        let sent = unsafe { libc::kill(self.child.id() as i32, signal) };
        assert_eq!(sent, 0, "a child can be signalled");
    }

    /// Ends it as nobody would wish, and waits until it is gone.
    pub fn kill(mut self) {
        self.signal(libc::SIGKILL);
        self.wait();
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            assert!(Instant::now() < until, "the server ends in time");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// What it has written to standard error, after its end.
    pub fn stderr(&mut self) -> String {
        let mut text = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut text).expect("standard error is text");
        }
        text
    }

    /// Bytes of resident memory.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("the kernel says VmRSS");
        line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).expect("kilobytes") * 1_024
    }

    /// CPU time so far.
    pub fn cpu_time(&self) -> Duration {
        cpu_time(self.pid())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(directory) = &self.directory {
            let _ = std::fs::remove_dir_all(directory);
        }
    }
}

/// CPU time that the threads of a process have used so far, to the nanosecond; what threads have used that have ended is not in it.
pub fn cpu_time(pid: u32) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    // A thread may end while this looks.
    let used = threads.flatten().filter_map(|thread| {
        let used = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        used.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(used.sum())
}

/// The command line of another server.
fn other(program: &str, port: u16) -> Command {
    let mut command = Command::new(program);
    command.args(["--port", &port.to_string(), "--save", "", "--bind", "127.0.0.1"]);
    command
}

/// Lines of a stream, read by a thread of their own so that a full pipe never stops the server.
fn follow(stdout: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}
