//! A client that sees bytes: RESP by hand, so that a test can say exactly what is sent and what came back.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::reply::encode;

/// How long a reply may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection.
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects to a port of this machine.
    pub fn connect(port: u16) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket has a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket has a timeout");
        stream.set_nodelay(true).expect("a TCP socket");
        Client { stream: BufReader::new(stream) }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("the server reads");
    }

    /// Sends bytes; false if the server has closed.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.get_mut().write_all(bytes).is_ok()
    }

    /// Sends one request as an array of bulks.
    pub fn send_words<W: AsRef<[u8]>>(&mut self, words: &[W]) {
        let mut request = Vec::new();
        encode(&mut request, words);
        self.send(&request);
    }

    /// Sends words and reads the reply; see [`Client::reply`].
    pub fn call<W: AsRef<[u8]>>(&mut self, words: &[W]) -> String {
        self.send_words(words);
        self.reply()
    }

    /// Words split at spaces.
    pub fn run(&mut self, line: &str) -> String {
        self.call(&line.split(' ').collect::<Vec<_>>())
    }

    /// Requests, each answered by what stands beside it.
    pub fn expect(&mut self, script: &[(&str, &str)]) {
        for (line, reply) in script {
            assert_eq!(self.run(line), *reply, "{line}");
        }
    }

    /// Reads one reply and shows it in one line: `+OK`, `-ERR ...`, `:1`, `"bytes"`, `nil`, `[a b]`, `{k v}`.
    /// `end` where the server has closed the connection.
    pub fn reply(&mut self) -> String {
        let Some(line) = self.line() else { return "end".into() };
        let (kind, rest) = line.split_at(1);
        let count = || rest.parse::<i64>().expect("a length");
        match kind {
            "+" | "-" | ":" | "," | "#" | "(" => line,
            "_" => "nil".into(),
            "$" | "*" if rest == "-1" => "nil".into(),
            "$" => format!("{:?}", String::from_utf8_lossy(&self.bytes(count() as usize))),
            "=" => String::from_utf8_lossy(&self.bytes(count() as usize)).into_owned(),
            "*" => format!("[{}]", self.replies(count())),
            "~" => format!("~[{}]", self.replies(count())),
            ">" => format!(">[{}]", self.replies(count())),
            "%" => format!("{{{}}}", self.replies(2 * count())),
            _ => panic!("not a reply: {line:?}"),
        }
    }

    fn replies(&mut self, count: i64) -> String {
        (0..count).map(|_| self.reply()).collect::<Vec<_>>().join(" ")
    }

    /// One line without its end; `None` at the end of the stream or when the connection was reset.
    pub fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        match self.stream.read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) => {
                let text = line.strip_suffix(b"\r\n").expect("a line ends with CR LF");
                Some(String::from_utf8_lossy(text).into_owned())
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("no reply: {error}"),
        }
    }

    /// So many bytes, and the line end behind them.
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len + 2];
        self.stream.read_exact(&mut bytes).expect("a whole bulk");
        assert_eq!(bytes.split_off(len), b"\r\n");
        bytes
    }

    /// Everything until the server closes.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.stream.read_to_end(&mut bytes) {
            Ok(_) => bytes,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => bytes,
            Err(error) => panic!("the server does not close: {error}"),
        }
    }

    /// The socket itself.
    pub fn socket(&mut self) -> &mut TcpStream {
        self.stream.get_mut()
    }
}
