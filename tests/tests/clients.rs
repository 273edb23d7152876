//! A real client library, a configuration file, a unix socket: what users have around the server.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;

use darter_tests::{Server, binary, directory, free_port};
use redis::{Commands, Connection, ExistenceCheck, SetExpiry, SetOptions, Value};

fn connect(server: &Server, protocol: &str) -> Connection {
    let address = format!("redis://127.0.0.1:{}/?protocol={protocol}", server.port());
    redis::Client::open(address).expect("an address").get_connection().expect("the server listens")
}

#[test]
fn a_client_library_works_in_both_protocols() {
    let server = Server::start(2);
    for protocol in ["resp2", "resp3"] {
        let mut redis = connect(&server, protocol);
        let () = redis.flushall().expect("FLUSHALL");
        let () = redis.set("text", "value").expect("SET");
        assert_eq!(redis.get::<_, String>("text").expect("GET"), "value");
        assert_eq!(redis.get::<_, Option<String>>("nosuch").expect("GET"), None);
        assert_eq!(redis.incr::<_, _, i64>("n", 5).expect("INCRBY"), 5);
        assert_eq!(redis.incr::<_, _, f64>("f", 0.5).expect("INCRBYFLOAT"), 0.5);
        let options =
            SetOptions::default().conditional_set(ExistenceCheck::NX).with_expiration(SetExpiry::EX(100));
        let () = redis.set_options("once", "1", options).expect("SET NX EX");
        let again: Value = redis.set_options("once", "2", options).expect("SET NX EX");
        assert_eq!(again, Value::Nil);
        assert!((98..=100).contains(&redis.ttl::<_, i64>("once").expect("TTL")));
        for n in 0..500 {
            let () = redis.set(format!("scan:{n}"), n).expect("SET");
        }
        let mut seen: Vec<String> = redis.scan_match::<_, String>("scan:*").expect("SCAN").collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 500);
        let wrong = redis.incr::<_, _, i64>("text", 1).expect_err("no number");
        assert!(wrong.to_string().contains("not an integer"), "{wrong}");
        let mut pipeline = redis::pipe();
        (0..1_000).for_each(|n| {
            pipeline.cmd("SET").arg(format!("p:{n}")).arg(n).ignore();
            pipeline.cmd("GET").arg(format!("p:{n}"));
        });
        let values: Vec<i64> = pipeline.query(&mut redis).expect("a pipeline");
        assert_eq!(values, (0..1_000).collect::<Vec<i64>>());
    }
}

#[test]
fn info_is_what_exporters_read() {
    let server = Server::start(2);
    let mut redis = connect(&server, "resp2");
    let () = redis.set("a", 1).expect("SET");
    let text: String = redis::cmd("INFO").arg("everything").query(&mut redis).expect("INFO");
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("INFO has {name}:\n{text}")).trim().to_string()
    };
    for name in [
        "redis_version",
        "redis_mode",
        "process_id",
        "run_id",
        "tcp_port",
        "uptime_in_seconds",
        "connected_clients",
        "blocked_clients",
        "maxclients",
        "used_memory",
        "used_memory_human",
        "used_memory_rss",
        "used_memory_peak",
        "used_memory_dataset",
        "total_system_memory",
        "maxmemory",
        "maxmemory_policy",
        "mem_fragmentation_ratio",
        "mem_allocator",
        "loading",
        "rdb_changes_since_last_save",
        "rdb_bgsave_in_progress",
        "rdb_last_save_time",
        "aof_enabled",
        "total_connections_received",
        "total_commands_processed",
        "instantaneous_ops_per_sec",
        "total_net_input_bytes",
        "total_net_output_bytes",
        "rejected_connections",
        "expired_keys",
        "evicted_keys",
        "keyspace_hits",
        "keyspace_misses",
        "pubsub_channels",
        "role",
        "connected_slaves",
        "master_repl_offset",
        "used_cpu_sys",
        "used_cpu_user",
        "cluster_enabled",
        "cmdstat_set",
        "db0",
    ] {
        field(name);
    }
    assert_eq!(field("db0"), "keys=1,expires=0,avg_ttl=0");
    assert_eq!(field("role"), "master");
}

#[test]
fn a_configuration_file_is_read_changed_and_rewritten() {
    let folder = directory("rewrite");
    let path = folder.join("redis.conf");
    let port = free_port();
    let text = format!("# my server\nport {port}\nmaxclients 500 \n\n# the end\nactivedefrag yes\n");
    std::fs::write(&path, text).expect("a file");
    let mut command = Command::new(binary());
    command.arg(&path).args(["--shards", "2"]);
    let mut server = Server::spawn(command, port).owning(folder);
    assert!(server.wait_for("Ready to accept connections"));
    let warnings = server.log().iter().filter(|line| line.contains("activedefrag")).count();
    assert_eq!(warnings, 1, "what has no effect is named in one line");
    let mut client = server.client();
    assert_eq!(client.run("CONFIG GET maxclients"), "[\"maxclients\" \"500\"]");
    assert_eq!(client.run("CONFIG SET maxclients 600 slowlog-max-len 7"), "+OK");
    assert_eq!(server.client().run("CONFIG GET maxclients"), "[\"maxclients\" \"600\"]");
    assert_eq!(client.run("CONFIG REWRITE"), "+OK");
    let text = std::fs::read_to_string(&path).expect("a file");
    assert!(text.starts_with("# my server\n") && text.contains("\nmaxclients 600\n"), "{text}");
    assert!(text.contains("\nslowlog-max-len 7\n") && text.contains("# the end\n"), "{text}");
}

#[test]
fn a_unix_socket_serves_like_tcp() {
    let folder = directory("socket");
    let path = folder.join("darter.sock");
    let flags = ["--unixsocket", path.to_str().expect("text"), "--unixsocketperm", "700"];
    let server = Server::start_with(2, &flags).owning(folder);
    let mut stream = UnixStream::connect(&path).expect("the socket is there");
    stream.write_all(b"SET a 1\r\nGET a\r\nQUIT\r\n").expect("the server reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("replies, then the end");
    assert_eq!(text, "+OK\r\n$1\r\n1\r\n+OK\r\n");
    assert!(server.client().run("CLIENT LIST").contains("addr=127.0.0.1:"));
}

#[test]
fn what_is_over_maxmemory_is_refused_and_reads_go_on() {
    let server = Server::start_with(2, &["--maxmemory", "2mb"]);
    let mut client = server.client();
    let mut refused = 0;
    for n in 0..3_000 {
        let reply = client.call(&["SET".to_string(), format!("key:{n}"), "v".repeat(1_000)]);
        match reply.as_str() {
            "+OK" => {}
            "-OOM command not allowed when used memory > 'maxmemory'." => refused += 1,
            other => panic!("{other}"),
        }
    }
    assert!(refused > 500, "{refused} of 3,000 were refused");
    assert_eq!(client.run("GET key:0").len(), 1_002);
    assert_eq!(client.run("DEL key:0"), ":1");
    assert_eq!(client.run("CONFIG SET maxmemory 0"), "+OK");
    assert_eq!(client.run("SET key:0 v"), "+OK");
}

#[test]
fn what_is_resident_keeps_the_budget_while_keys_come_and_go() {
    const LIMIT_MB: u64 = 100;
    for policy in ["allkeys-sieve", "allkeys-lru"] {
        let server = Server::start_with(2, &["--maxmemory", "100mb", "--maxmemory-policy", policy]);
        let mut client = server.client();
        let mut highest = 0;
        for round in 0..400u64 {
            // Values from ten bytes to a hundred kilobytes: a megabyte of each size in a round, most keys new.
            for n in 0..60u64 {
                let len = [10, 100, 1_000, 10_000, 100_000][((round + n) % 5) as usize];
                let reply =
                    client.call(&["SET".to_string(), format!("key:{}", round * 40 + n), "v".repeat(len)]);
                assert_eq!(reply, "+OK", "{policy}");
            }
            if round % 20 == 0 {
                highest = highest.max(server.resident_bytes() >> 20);
            }
        }
        assert!(highest <= LIMIT_MB + LIMIT_MB * 3 / 100, "{policy}: {highest} MB");
        assert!(highest > LIMIT_MB / 2, "{policy}: {highest} MB are much less than there may be");
        let stats = client.run("INFO stats");
        assert!(stats.contains("evicted_keys:") && !stats.contains("evicted_keys:0"), "{policy}: {stats}");
    }
}

#[test]
fn an_idle_server_rests_and_is_small() {
    let server = Server::start(2);
    assert_eq!(server.client().run("PING"), "+PONG");
    let before = server.cpu_time();
    // A blocking read with a deadline: half a second in which nobody asks for anything.
    let mut idle = server.client();
    idle.socket().set_read_timeout(Some(std::time::Duration::from_millis(500))).expect("a socket");
    let mut byte = [0];
    assert!(idle.socket().read(&mut byte).is_err(), "nothing comes by itself");
    let used = server.cpu_time() - before;
    assert!(used <= std::time::Duration::from_millis(20), "{used:?} of CPU in half a second");
    let resident = server.resident_bytes();
    assert!(resident < 40 << 20, "{resident} bytes without optimisation, without keys");
}

#[test]
fn monitors_see_what_every_shard_is_asked() {
    let server = Server::start(3);
    let mut monitor = server.client();
    assert_eq!(monitor.run("MONITOR"), "+OK");
    let mut clients: Vec<_> = (0..6).map(|_| server.client()).collect();
    let mut expected = Vec::new();
    for (n, client) in clients.iter_mut().enumerate() {
        // Other cores have heard of the monitor when their first line comes; until then they are asked again.
        assert_eq!(client.run(&format!("SET seen:{n} v")), "+OK");
        expected.push(format!("\"SET\" \"seen:{n}\" \"v\""));
    }
    let mut asked = 0;
    while !expected.is_empty() {
        clients.iter_mut().enumerate().for_each(|(n, client)| {
            assert_eq!(client.run(&format!("SET seen:{n} v")), "+OK");
        });
        for _ in 0..3 {
            let line = monitor.reply();
            expected.retain(|part| !line.contains(part.as_str()));
        }
        asked += 1;
        assert!(asked < 10_000, "never seen: {expected:?}");
    }
}
