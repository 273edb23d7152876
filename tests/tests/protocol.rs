//! Bytes on the wire: what is understood, what is refused and how, what is bounded.

use darter_tests::{Client, Server};

/// Sends bytes and reads until the server closes.
fn until_closed(server: &Server, bytes: &[u8]) -> String {
    let mut client = server.client();
    client.send(bytes);
    String::from_utf8_lossy(&client.rest()).into_owned()
}

#[test]
fn what_is_no_protocol_is_told_and_closed() {
    let server = Server::start(2);
    for (bytes, reply) in [
        (&b"*x\r\n"[..], "-ERR Protocol error: invalid multibulk length\r\n"),
        (b"*3000000000\r\n", "-ERR Protocol error: invalid multibulk length\r\n"),
        (b"*1\r\n:1\r\n", "-ERR Protocol error: expected '$', got ':'\r\n"),
        (b"*1\r\n$-5\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
        (b"*1\r\n$536870913\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
        (b"SET \"k\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"),
        (b"PING\r\n*1\r\n$a\r\n", "+PONG\r\n-ERR Protocol error: invalid bulk length\r\n"),
    ] {
        assert_eq!(until_closed(&server, bytes), reply, "{}", String::from_utf8_lossy(bytes));
    }
    let long = [b"x".repeat(65 << 10), b"\r\n".to_vec()].concat();
    assert_eq!(until_closed(&server, &long[..65 << 10]), "-ERR Protocol error: too big inline request\r\n");
    assert_eq!(until_closed(&server, b"POST / HTTP/1.1\r\nHost: x\r\n\r\n"), "");
    assert_eq!(server.client().run("PING"), "+PONG");
}

#[test]
fn requests_may_be_cut_anywhere() {
    let server = Server::start(2);
    let request =
        b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nva\r\nl\r\n*2\r\n$3\r\nGET\r\n$3\r\nkey\r\nPING hello\r\n";
    for cut in 1..request.len() {
        let mut client = server.client();
        client.send(&request[..cut]);
        // A reply to somebody else says that the first part has been looked at.
        assert_eq!(server.client().run("PING"), "+PONG");
        client.send(&request[cut..]);
        assert_eq!(
            (client.reply(), client.reply(), client.reply()),
            ("+OK".into(), "\"va\\r\\nl\"".into(), "\"hello\"".into()),
            "cut at {cut}"
        );
    }
}

#[test]
fn a_request_of_many_arguments_and_one_of_many_bytes_are_whole() {
    let server = Server::start(2);
    let mut client = server.client();
    let mut words = vec!["DEL".to_string()];
    words.extend((0..200_000).map(|n| format!("{{t}}{n}")));
    assert_eq!(client.call(&words), ":0");
    let big = vec![b'b'; 30 << 20];
    assert_eq!(client.call(&[&b"SET"[..], b"big", &big]), "+OK");
    assert_eq!(client.run("STRLEN big"), format!(":{}", big.len()));
    client.send_words(&["GET", "big"]);
    assert_eq!(client.reply().len(), big.len() + 2);
}

#[test]
fn both_protocols_have_their_own_shapes() {
    let server = Server::start(2);
    let mut client = server.client();
    assert_eq!(client.run("GET nosuch"), "nil");
    assert!(client.run("HELLO 3").starts_with("{\"server\" \"redis\" \"version\""), "a map");
    client.send_words(&["GET", "nosuch"]);
    assert_eq!(client.line().as_deref(), Some("_"), "the null of RESP3");
    client.send_words(&["INFO", "server"]);
    assert!(client.reply().starts_with("txt:# Server"), "a verbatim string");
    assert!(client.run("HELLO 2").starts_with("[\"server\""), "an array");
    client.send_words(&["GET", "nosuch"]);
    assert_eq!(client.line().as_deref(), Some("$-1"), "the null of RESP2");
    assert_eq!(client.run("HELLO 4"), "-NOPROTO unsupported protocol version");
}

#[test]
fn strangers_may_say_little_until_they_have_said_the_password() {
    let server = Server::start_with(2, &["--requirepass", "secret"]);
    let mut client = server.client();
    assert_eq!(client.run("GET a"), "-NOAUTH Authentication required.");
    assert_eq!(client.run("AUTH wrong"), "-WRONGPASS invalid username-password pair or user is disabled.");
    assert_eq!(client.run("AUTH default secret"), "+OK");
    assert_eq!(client.run("GET a"), "nil");
    assert_eq!(
        until_closed(&server, b"*11\r\n$3\r\nDEL\r\n"),
        "-ERR Protocol error: unauthenticated multibulk length\r\n"
    );
    assert_eq!(
        until_closed(&server, b"*2\r\n$3\r\nGET\r\n$20000\r\n"),
        "-ERR Protocol error: unauthenticated bulk length\r\n"
    );
    let mut client = Client::connect(server.port());
    assert!(client.run("HELLO 3 AUTH default secret SETNAME me").starts_with('{'));
    assert_eq!(client.run("CLIENT GETNAME"), "\"me\"");
}

#[test]
fn limits_of_input_hold() {
    let server =
        Server::start_with(2, &["--client-query-buffer-limit", "1mb", "--proto-max-bulk-len", "2mb"]);
    let mut client = server.client();
    assert_eq!(
        until_closed(&server, b"*2\r\n$3\r\nGET\r\n$3000000\r\n"),
        "-ERR Protocol error: invalid bulk length\r\n"
    );
    // An argument that is allowed, in a request that never ends: the buffer has a bound.
    client.send(b"*1000\r\n");
    let part = [b"$100000\r\n".to_vec(), vec![b'x'; 100_000], b"\r\n".to_vec()].concat();
    let mut sent = 0;
    while sent < 100 && client.try_send(&part) {
        sent += 1;
    }
    assert!(sent < 100, "the server closes long before ten megabytes");
    assert_eq!(server.client().run("PING"), "+PONG");
}
