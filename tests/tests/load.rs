//! Many clients, long pipelines, clients that do not read, and the end of the server while they are at it.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use darter_tests::{Client, Server};

#[test]
fn five_thousand_connections_are_served() {
    raise_descriptors();
    let server = Server::start(2);
    let mut clients: Vec<Client> = (0..5_000).map(|_| server.client()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.send_words(&["SET", &format!("key:{n}"), &n.to_string()]);
    }
    for client in &mut clients {
        assert_eq!(client.reply(), "+OK");
    }
    for (n, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.run(&format!("GET key:{}", (n + 1) % 5_000)), format!("\"{}\"", (n + 1) % 5_000));
    }
    assert_eq!(clients[0].run("DBSIZE"), ":5000");
}

#[test]
fn clients_over_the_limit_are_told() {
    let server = Server::start_with(2, &["--maxclients", "3"]);
    let mut clients: Vec<Client> = (0..3).map(|_| server.client()).collect();
    for client in &mut clients {
        assert_eq!(client.run("PING"), "+PONG");
    }
    let mut refused = server.client();
    assert_eq!(refused.reply(), "-ERR max number of clients reached");
    assert_eq!(refused.reply(), "end");
    drop(clients.pop());
    // The place is free as soon as the server has seen the end of the connection.
    let until = Instant::now() + Duration::from_secs(30);
    while server.client().run("PING") != "+PONG" {
        assert!(Instant::now() < until, "a place becomes free");
    }
}

#[test]
fn a_pipeline_of_a_hundred_thousand_is_written_before_a_reply_is_read() {
    for shards in [1, 3] {
        let server = Server::start(shards);
        let mut client = server.client();
        let mut pipeline = Vec::new();
        for n in 0..50_000 {
            pipeline.extend_from_slice(
                format!("SET key:{n} {}\r\nGET key:{n}\r\n", "v".repeat(n % 300 + 1)).as_bytes(),
            );
        }
        client.send(&pipeline);
        for n in 0..50_000 {
            assert_eq!(client.reply(), "+OK");
            assert_eq!(client.reply().len(), n % 300 + 3, "reply {n} of {shards} shards");
        }
    }
}

#[test]
fn who_does_not_read_costs_little_and_delays_nobody() {
    let server = Server::start(2);
    let mut other = server.client();
    for n in 0..8 {
        assert_eq!(other.call(&["SET".to_string(), format!("big:{n}"), "x".repeat(12_000)]), "+OK");
    }
    let before = server.resident_bytes();
    // Each asks for far more than it may be owed, and reads nothing.
    let request: String = (0..8).map(|n| format!("GET big:{n}\r\n")).collect::<String>().repeat(4_000);
    let mut deaf: Vec<Client> = (0..2).map(|_| server.client()).collect();
    for client in &mut deaf {
        let socket = client.socket();
        socket.set_nonblocking(true).expect("a socket");
        let (mut sent, until) = (0, Instant::now() + Duration::from_secs(3));
        while sent < request.len() && Instant::now() < until {
            match socket.write(&request.as_bytes()[sent..]) {
                Ok(bytes) => sent += bytes,
                Err(_) => {
                    let asked = Instant::now();
                    assert_eq!(other.run("PING"), "+PONG");
                    assert!(asked.elapsed() < Duration::from_secs(2), "others are served meanwhile");
                }
            }
        }
    }
    for n in 0..1_000 {
        assert_eq!(other.run(&format!("SET after:{n} 1")), "+OK");
    }
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 400 << 20, "768 MB were asked for, {grown} bytes are kept");
    // Who begins to read gets every reply.
    let client = &mut deaf[0];
    client.socket().set_nonblocking(false).expect("a socket");
    for _ in 0..8_000 {
        assert_eq!(client.reply().len(), 12_002);
    }
}

#[test]
fn an_output_limit_closes_the_client() {
    let server = Server::start_with(2, &["--client-output-buffer-limit", "normal 1mb 0 0"]);
    let mut client = server.client();
    assert_eq!(client.call(&["SET".into(), "big".into(), "x".repeat(100_000)]), "+OK");
    client.send("GET big\r\n".repeat(1_000).as_bytes());
    let received = client.rest().len();
    assert!(received < 100_000_000, "the connection ends before all replies: {received}");
    assert_eq!(server.client().run("PING"), "+PONG");
}

#[test]
fn the_end_comes_under_load_with_whole_replies() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let mut server = Server::start(2);
        let port = server.port();
        let clients: Vec<_> = (0..8)
            .map(|c| {
                std::thread::spawn(move || {
                    let mut client = Client::connect(port);
                    let mut replies = 0u64;
                    loop {
                        let request: String = (0..50).map(|n| format!("SET key:{c}:{n} v\r\n")).collect();
                        if !client.try_send(request.as_bytes()) {
                            return replies;
                        }
                        for _ in 0..50 {
                            match client.reply().as_str() {
                                "+OK" => replies += 1,
                                "end" => return replies,
                                other if other.starts_with("-ERR the server is shutting down") => {}
                                other => panic!("half a reply: {other}"),
                            }
                        }
                    }
                })
            })
            .collect();
        let mut control = server.client();
        while control.run("DBSIZE") != ":400" {}
        server.signal(signal);
        assert!(server.wait().success(), "the exit code is 0");
        let replies: u64 = clients.into_iter().map(|client| client.join().expect("whole replies")).sum();
        assert!(replies >= 400);
    }
}

#[test]
fn shutdown_by_command_ends_the_process() {
    let mut server = Server::start(2);
    let mut client = server.client();
    client.send(b"SET a 1\r\nSHUTDOWN NOSAVE\r\n");
    assert_eq!(client.reply(), "+OK");
    assert_eq!(client.reply(), "end");
    assert!(server.wait().success());
}

#[test]
fn a_client_that_shuts_its_side_gets_its_replies() {
    let server = Server::start(2);
    let mut client = server.client();
    client.send(&b"SET a 1\r\nGET a\r\nGET b\r\n".repeat(1_000));
    client.socket().shutdown(std::net::Shutdown::Write).expect("a socket");
    let mut text = String::new();
    client.socket().read_to_string(&mut text).expect("all replies, then the end");
    assert_eq!(text, "+OK\r\n$1\r\n1\r\n$-1\r\n".repeat(1_000));
}

/// Five thousand clients need as many descriptors in this process too.
fn raise_descriptors() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a local of the right type; the calls change nothing but this process's limit.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
        limit.rlim_cur = limit.rlim_max;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
    }
}

/// Large arguments are received where their values will lie: whole, in whatever pieces they come, and a client that ends in the middle
/// leaves nothing.
#[test]
fn large_values_arrive_whole_in_any_pieces() {
    let server = Server::start(2);
    let value: Vec<u8> = (0..5_000_000u32).map(|n| b'a' + ((n ^ n >> 8) % 26) as u8).collect();
    let set = |key: &str| {
        let mut bytes =
            format!("*5\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${}\r\n", key.len(), value.len()).into_bytes();
        bytes.extend_from_slice(&value);
        bytes.extend_from_slice(b"\r\n$2\r\nEX\r\n$3\r\n100\r\n*1\r\n$4\r\nPING\r\n");
        bytes
    };
    let mut client = server.client();
    for (n, piece) in [usize::MAX, 1_000_003, 65_536, 40_001, 4_096].into_iter().enumerate() {
        let request = set(&format!("key:{n}"));
        request.chunks(piece.min(request.len())).for_each(|piece| client.send(piece));
        assert_eq!((client.reply(), client.reply()), ("+OK".into(), "+PONG".into()), "pieces of {piece}");
    }
    for n in 0..5 {
        let found = client.run(&format!("GET key:{n}"));
        assert!(found.as_bytes()[1..found.len() - 1] == value, "key:{n}");
        assert_eq!(client.run(&format!("APPEND key:{n} x")), ":5000001");
        assert_eq!(client.run(&format!("TTL key:{n}")), ":100");
    }
    // One ends by itself, one is ended.
    let (mut leaves, mut killed) = (server.client(), server.client());
    let half = set("half");
    leaves.send(&half[..2_500_000]);
    let id = killed.run("CLIENT ID").trim_start_matches(':').to_string();
    killed.send(&half[..2_500_000]);
    drop(leaves);
    assert_eq!(client.run(&format!("CLIENT KILL ID {id}")), ":1");
    assert_eq!(killed.reply(), "end");
    assert_eq!(client.run("EXISTS half"), ":0");
    assert_eq!(client.run("DBSIZE"), ":5");
}
