//! `darter-bench` as its users run it: against the real server, and against servers that lie.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use darter_tests::{Server, binary};
use serde_json::Value;

fn bench() -> Command {
    Command::new(env!("CARGO_BIN_EXE_darter-bench"))
}

/// A file of this test, which is there only after it was written.
fn file(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("bench-test-{}-{name}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

/// Runs against a port, with words split at spaces; returns what it has written as JSON.
fn run(port: u16, name: &str, line: &str) -> (Output, Value) {
    let json = file(name);
    let mut command = bench();
    command.args(["run", "--port", &port.to_string(), "--json"]).arg(&json);
    let output = command.args(line.split(' ')).output().expect("it starts");
    let text = std::fs::read_to_string(&json).unwrap_or_else(|_| panic!("no JSON: {output:?}"));
    let _ = std::fs::remove_file(&json);
    (output, serde_json::from_str(&text).expect("JSON"))
}

fn number(value: &Value, path: &str) -> f64 {
    value.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path} in {value}"))
}

#[test]
fn a_run_measures_the_real_server() {
    let server = Server::start(2);
    let html = file("page.html");
    let line = format!(
        "--fill --keys 2000 --value-size 1-5000 --distribution zipf --mix get:5,set:2,mget3:1,incr:1,ping:1 --threads 2 \
         --connections 8 --pipeline 5 --seconds 0.3 --warm-up 0.1 --idle-connections 20 --no-misses --html {}",
        html.display()
    );
    let (output, report) = run(server.port(), "run", &line);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("p99.99") && text.contains("server CPU us/operation"), "{text}");
    assert!(output.stderr.is_empty(), "no progress where there is no terminal");
    assert_eq!(number(&report, "/server_pid") as u32, server.pid(), "it was found by its port");
    let figures = &report["figures"];
    assert!(number(figures, "/operations") > 100.0 && number(figures, "/per_second") > 100.0);
    assert_eq!(number(figures, "/tally/requests"), number(figures, "/tally/replies"));
    for none in ["misses", "errors", "wrong", "unanswered", "closed"] {
        assert_eq!(number(figures, &format!("/tally/{none}")), 0.0, "{none}");
    }
    assert!(number(figures, "/tally/hits") > 0.0);
    for cpu in ["/server/total_us", "/generator/total_us"] {
        assert!((0.01..10_000.0).contains(&number(figures, cpu)), "{cpu}");
    }
    let steps = ["p50", "p90", "p99", "p999", "p9999", "max"];
    let latencies: Vec<f64> = steps.iter().map(|name| number(figures, &format!("/latency/{name}"))).collect();
    assert!(latencies[0] > 0.0 && latencies.is_sorted(), "{latencies:?}");
    assert!(number(&report, "/fill/bytes_per_key") > 500.0);
    assert_eq!(number(&report, "/idle/connections"), 20.0);
    let page = std::fs::read_to_string(&html).expect("a page");
    let _ = std::fs::remove_file(&html);
    assert!(page.contains("<svg") && !page.contains("http"));
}

#[test]
fn requests_are_counted_exactly() {
    let server = Server::start(1);
    let (output, report) =
        run(server.port(), "count", "--requests 1003 --threads 3 -c 7 -P 4 --mix set --expiry 100");
    assert!(output.status.success(), "{output:?}");
    for count in ["/operations", "/tally/requests", "/tally/replies"] {
        assert_eq!(number(&report["figures"], count), 1_003.0, "{count}");
    }
}

#[test]
fn an_open_loop_keeps_its_rate_over_a_unix_socket() {
    let path = file("socket");
    let server = Server::start_with(1, &["--unixsocket", path.to_str().expect("text")]);
    let line = format!(
        "--unix {} --fill --keys 100 --mix get --seconds 0.5 --warm-up 0.1 --sweep 500,1000",
        path.display()
    );
    let (output, report) = run(server.port(), "open", &line);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(number(&report, "/server_pid") as u32, server.pid());
    for (at, rate) in [500.0, 1_000.0].into_iter().enumerate() {
        let reached = number(&report["sweep"][at], "/per_second");
        assert!((rate * 0.4..rate * 1.4).contains(&reached), "{reached} of {rate}");
    }
}

/// A server of one connection that answers every read with these bytes, until there are no more; then it closes.
fn liar(answers: Vec<&'static [u8]>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        // The first connection asks whether anybody is there.
        for answers in [vec![&b"+PONG\r\n"[..]], answers] {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut room = [0; 65_536];
            for answer in answers {
                if !matches!(stream.read(&mut room), Ok(1..)) || stream.write_all(answer).is_err() {
                    break;
                }
            }
        }
    });
    port
}

#[test]
fn a_server_that_lies_is_noticed() {
    let check = |name: &str, line: &str, answers: Vec<&'static [u8]>, counted: &str| {
        let (output, report) = run(liar(answers), name, &format!("-c 1 --requests 2 {line}"));
        assert_eq!(output.status.code(), Some(1), "{name}: {output:?}");
        assert!(number(&report["figures"], &format!("/tally/{counted}")) >= 1.0, "{name}: {report}");
        assert!(report["complaint"].is_string() && !output.stderr.is_empty());
    };
    check(
        "value",
        "--mix get",
        vec![b"$-1\r\n", b"$64\r\n0123456789012345678901234567890123456789012345678901234567890123\r\n"],
        "wrong",
    );
    check("type", "--mix get", vec![b"$-1\r\n", b":1\r\n"], "wrong");
    check("stored", "--mix set", vec![b"+OK\r\n", b"+QUEUED\r\n"], "wrong");
    check("surplus", "--mix set", vec![b"+OK\r\n+OK\r\n"], "wrong");
    check("garbage", "--mix set", vec![b"HTTP/1.1 400 Bad Request\r\n"], "wrong");
    check("lost", "--mix get --no-misses", vec![b"$-1\r\n", b"$-1\r\n"], "wrong");
    check("error", "--mix set", vec![b"+OK\r\n", b"-OOM no\r\n"], "errors");
    check("closed", "--mix set", vec![b"+OK\r\n"], "unanswered");
    let (output, _) =
        run(liar(vec![b"+OK\r\n", b"-OOM no\r\n"]), "allowed", "-c 1 --requests 2 --mix set --allow-errors");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn servers_are_compared() {
    let json = file("compare.json");
    let mut command = bench();
    command.args([
        "compare",
        "--server",
        "floor",
        "--server",
        "darter",
        "--workloads",
        "get,incr-p30,set-4k,open,idle",
    ]);
    command.args([
        "--rounds",
        "2",
        "--seconds",
        "0.1",
        "--warm-up",
        "0.05",
        "--keys",
        "1000",
        "--memory",
        "2000",
    ]);
    command.args(["--idle-connections", "50", "--shards-of", "darter", "1,2", "--darter"]).arg(binary());
    let output = command.arg("--json").arg(&json).output().expect("it starts");
    assert!(output.status.success(), "{output:?}");
    let report: Value =
        serde_json::from_str(&std::fs::read_to_string(&json).expect("written")).expect("JSON");
    let _ = std::fs::remove_file(&json);
    let names: Vec<&str> =
        report["servers"].as_array().expect("servers").iter().filter_map(|s| s["name"].as_str()).collect();
    assert_eq!(names, ["floor", "darter-1", "darter-2"]);
    for (at, name) in ["get", "incr-p30", "set-4k", "open", "idle"].into_iter().enumerate() {
        let row = &report["rows"][at];
        assert_eq!(row["name"], name);
        for (server, cell) in row["cells"].as_array().expect("cells").iter().enumerate() {
            let refused = name == "incr-p30" && server == 0;
            assert_eq!(cell["refused"].is_string(), refused, "{name} {server}: {cell}");
            assert_eq!(
                cell["rounds"].as_array().map(Vec::len),
                Some(if refused { 0 } else { 2 }),
                "{name} {server}"
            );
        }
    }
    assert!(number(&report, "/memory/0/cells/1/bytes_per_key") > 0.0);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("server CPU, microseconds per operation") && text.contains("darter-2"), "{text}");
}

/// Processes that this one has started.
fn children(pid: u32) -> Vec<u32> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Asks again and again until it is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < patience, "{what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

#[test]
fn an_interrupted_comparison_leaves_nothing() {
    let mut command = bench();
    command.args([
        "compare",
        "--server",
        "floor",
        "--server",
        "darter",
        "--workloads",
        "get",
        "--seconds",
        "60",
        "--darter",
    ]);
    let mut bench = command.arg(binary()).stdout(std::process::Stdio::null()).spawn().expect("it starts");
    let pid = bench.id();
    until("both servers run", || children(pid).len() == 2);
    let servers = children(pid);
    // SAFETY: `kill` takes numbers only; the pid is our own child's, which is not reaped before `wait`.
    assert_eq!(unsafe { libc::kill(pid as i32, libc::SIGINT) }, 0);
    assert_eq!(bench.wait().expect("a child").code(), Some(130));
    for server in servers {
        assert!(!std::path::Path::new(&format!("/proc/{server}")).exists(), "{server} has ended");
    }
    let own = format!("darter-bench-{pid}-");
    let left = std::fs::read_dir(std::env::temp_dir()).expect("a folder").flatten();
    assert_eq!(left.filter(|entry| entry.file_name().to_string_lossy().starts_with(&own)).count(), 0);
}
