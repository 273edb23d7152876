//! The command line as a user meets it: help, version, and one clear sentence where something is wrong.

use std::net::TcpListener;
use std::process::{Command, Output};

fn darter(flags: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_darter")).args(flags).output().expect("the binary runs")
}

/// The start is refused with exit code 1 and one line that contains this.
fn check_refused(flags: &[&str], part: &str) {
    let output = darter(flags);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{flags:?}: {words}");
    assert_eq!(words.trim_end().lines().count(), 1, "{flags:?}: {words}");
    assert!(words.starts_with("darter: ") && words.contains(part), "{flags:?}: {words}");
}

#[test]
fn help_and_version_are_printed() {
    let help = darter(&["--help"]);
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    assert!(help.status.success());
    for part in ["--port", "--shards", "--maxmemory", "redis.conf", "Examples:"] {
        assert!(text.contains(part), "help says {part}");
    }
    let version = darter(&["--version"]);
    assert!(version.status.success());
    assert!(String::from_utf8_lossy(&version.stdout).starts_with("darter 0."));
}

#[test]
fn what_is_wrong_is_one_sentence() {
    check_refused(&["--port", "abc"], "--port");
    check_refused(&["--port", "70000"], "--port");
    check_refused(&["--colour", "red"], "--colour");
    check_refused(&["--shards", "-1"], "--shards");
    check_refused(&["--maxmemory", "much"], "--maxmemory");
    check_refused(&["--loglevel", "loud"], "--loglevel");
    check_refused(&["/nonexistent/redis.conf"], "/nonexistent/redis.conf");
    check_refused(&["--port", "0", "--dir", "/nonexistent"], "/nonexistent");
    check_refused(&["--port", "7", "--bind", "999.1.1.1"], "999.1.1.1");
    check_refused(&["--port", "0", "--unixsocket", "/nonexistent/socket"], "/nonexistent/socket");
}

#[test]
fn a_taken_port_is_said() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("bound").port().to_string();
    check_refused(&["--port", &port, "--shards", "1"], &port);
}

#[test]
fn a_wrong_line_of_a_file_is_named() {
    let path = std::env::temp_dir().join(format!("darter-line-{}.conf", std::process::id()));
    std::fs::write(&path, "# mine\ntimeout soon\n").expect("a temporary file");
    let flags = [path.to_str().expect("text")];
    check_refused(&flags, "line 2, 'timeout soon'");
    std::fs::remove_file(&path).expect("it is there");
}
