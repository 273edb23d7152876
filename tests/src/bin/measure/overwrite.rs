//! A closed loop that overwrites keys, each connection with one request at a time, and that is told in which phase it is.
//!
//! It knows a port and sizes. It does not know what the server does meanwhile.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use darter_tests::Random;
use darter_tests::bench::epoll::Epoll;
use darter_tests::bench::latency::Latency;

/// What is written: so many keys with values of so many bytes.
#[derive(Clone, Copy, Debug)]
pub struct Data {
    /// Keys, named by their numbers.
    pub keys: u64,
    /// Bytes of a value.
    pub value_len: usize,
}

/// Different values that are written again and again.
const VALUES: u64 = 1_000;
/// Requests that are written at once while a server is filled.
const BATCH: u64 = 1_000;

/// Requests that are made before the clock runs: all have the same length.
pub struct Requests {
    data: Data,
    values: Vec<Vec<u8>>,
}

impl Requests {
    /// Random letters for this data.
    pub fn new(data: Data) -> Requests {
        let mut random = Random::new(42);
        let mut value = |_| (0..data.value_len).map(|_| b'a' + random.below(26) as u8).collect();
        Requests { data, values: (0..VALUES).map(&mut value).collect() }
    }

    /// A SET of this key, behind what is there.
    fn add(&self, key: u64, value: u64, request: &mut Vec<u8>) {
        let len = self.data.value_len;
        write!(request, "*3\r\n$3\r\nSET\r\n$16\r\nkey:{key:012}\r\n${len}\r\n").expect("memory has room");
        request.extend_from_slice(&self.values[value as usize]);
        request.extend_from_slice(b"\r\n");
    }

    /// Writes every key once.
    pub fn fill(&self, port: u16) {
        let mut stream = connect(port);
        let mut random = Random::new(43);
        let (mut request, mut replies) = (Vec::new(), vec![0; OK.len() * BATCH as usize]);
        for first in (0..self.data.keys).step_by(BATCH as usize) {
            request.clear();
            let keys = first..self.data.keys.min(first + BATCH);
            let replies = &mut replies[..OK.len() * (keys.end - keys.start) as usize];
            keys.for_each(|key| self.add(key, random.below(VALUES), &mut request));
            stream.write_all(&request).expect("the server reads");
            stream.read_exact(replies).expect("the server answers");
            assert!(replies.chunks(OK.len()).all(|reply| reply == OK), "a SET is refused");
        }
    }
}

const OK: &[u8] = b"+OK\r\n";

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
    stream.set_nodelay(true).expect("a TCP socket");
    stream
}

/// What the loop is told.
#[derive(Debug, Default)]
pub struct Control {
    /// Which of the histograms counts.
    pub phase: AtomicUsize,
    /// It ends.
    pub is_over: AtomicBool,
}

/// Phases that are told apart.
pub const PHASES: usize = 3;

struct Connection {
    stream: TcpStream,
    sent: Instant,
    phase: usize,
}

/// Overwrites random keys until it is told to end; latencies by the phase in which requests were sent. Replies are read as they come.
pub fn run(port: u16, requests: &Requests, connections: usize, control: &Control) -> [Latency; PHASES] {
    let mut random = Random::new(44);
    let mut found: [Latency; PHASES] = std::array::from_fn(|_| Latency::new());
    let mut epoll = Epoll::new().expect("the system has epoll");
    let (mut request, mut reply) = (Vec::new(), [0; 64]);
    let mut send = |connection: &mut Connection| {
        request.clear();
        requests.add(random.below(requests.data.keys), random.below(VALUES), &mut request);
        connection.phase = control.phase.load(Ordering::Relaxed);
        connection.sent = Instant::now();
        let mut left = &request[..];
        // Of a request that does not fit the rest follows: a server that reads makes room.
        while !left.is_empty() {
            match connection.stream.write(left) {
                Ok(len) => left = &left[len..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => panic!("the server does not read: {error}"),
            }
        }
    };
    let mut open: Vec<Connection> = (0..connections)
        .map(|token| {
            let stream = connect(port);
            stream.set_nonblocking(true).expect("a TCP socket");
            epoll.add(&stream, token).expect("a socket can be watched");
            Connection { stream, sent: Instant::now(), phase: 0 }
        })
        .collect();
    open.iter_mut().for_each(&mut send);
    while !control.is_over.load(Ordering::Relaxed) {
        let ready = epoll.wait(Duration::from_millis(100)).expect("epoll waits");
        for at in 0..ready {
            let connection = &mut open[epoll.ready(at).token];
            match connection.stream.read(&mut reply) {
                Ok(len) => assert_eq!(&reply[..len], OK, "a SET is refused, or the server has closed"),
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => panic!("no reply: {error}"),
            }
            found[connection.phase].record(connection.sent.elapsed().as_nanos() as u64, 1);
            send(connection);
        }
    }
    found
}
