//! The barest server there can be: one thread, epoll, a hash map, GET, SET and PING in RESP, and nothing else. What it costs is what a
//! system call and a copy cost on this machine: no server of this kind gets much below it without other system calls.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use super::epoll::Epoll;
use super::outbox::Outbox;

/// Bytes read at once.
const ROOM: usize = 64 * 1_024;
/// The token of the socket that listens; clients have their place plus one.
const LISTENER: usize = 0;
/// Longer words are refused.
const WORD_MAX: usize = 512 * 1_024 * 1_024;

type Map = HashMap<Box<[u8]>, Box<[u8]>, ahash::RandomState>;

fn new_map() -> Map {
    Map::with_hasher(ahash::RandomState::with_seeds(1, 2, 3, 4))
}

struct Client {
    stream: TcpStream,
    /// The beginning of a request that has not come to its end.
    begun: Vec<u8>,
    out: Outbox,
}

/// The floor.
pub struct Floor {
    listener: TcpListener,
    epoll: Epoll,
    clients: Vec<Option<Client>>,
    map: Map,
    room: Vec<u8>,
}

impl Floor {
    /// Listens on a port of this machine, 0 for any.
    pub fn new(port: u16) -> Result<Floor> {
        let listener = TcpListener::bind(("127.0.0.1", port))?;
        listener.set_nonblocking(true)?;
        let epoll = Epoll::new()?;
        epoll.add(&listener, LISTENER)?;
        Ok(Floor { listener, epoll, clients: Vec::new(), map: new_map(), room: vec![0; ROOM] })
    }

    /// Where it listens.
    pub fn port(&self) -> Result<u16> {
        Ok(self.listener.local_addr()?.port())
    }

    /// Serves until `ends` says so, which is asked at least once a second.
    pub fn serve(&mut self, ends: impl Fn() -> bool) -> Result<()> {
        while !ends() {
            let count = self.epoll.wait(Duration::from_secs(1))?;
            for at in 0..count {
                let ready = self.epoll.ready(at);
                if ready.token == LISTENER {
                    self.accept()?;
                    continue;
                }
                let Some(client) = &mut self.clients[ready.token - 1] else { continue };
                let served = match ready.readable {
                    true => serve(client, &mut self.room, &mut self.map),
                    false => Ok(()),
                };
                let client_out =
                    served.and_then(|()| client.out.flush(&mut client.stream, &self.epoll, ready.token));
                if client_out.is_err() {
                    self.clients[ready.token - 1] = None;
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self) -> Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // The client has gone already, or there are no descriptors left: others may be served.
                Err(_) => return Ok(()),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let place = self.clients.iter().position(Option::is_none).unwrap_or_else(|| {
                self.clients.push(None);
                self.clients.len() - 1
            });
            self.epoll.add(&stream, place + 1)?;
            self.clients[place] = Some(Client { stream, begun: Vec::new(), out: Outbox::default() });
        }
    }
}

/// Reads once and answers all requests that are whole.
fn serve(client: &mut Client, room: &mut [u8], map: &mut Map) -> Result<()> {
    let len = match client.stream.read(room) {
        Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
        Ok(len) => len,
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Ok(()),
        Err(error) => return Err(error),
    };
    if client.begun.is_empty() {
        let taken = answer_all(&room[..len], map, &mut client.out.bytes)?;
        client.begun.extend_from_slice(&room[taken..len]);
    } else {
        client.begun.extend_from_slice(&room[..len]);
        let taken = answer_all(&client.begun, map, &mut client.out.bytes)?;
        client.begun.drain(..taken);
    }
    Ok(())
}

/// Answers all whole requests at the front; returns how long they are together.
fn answer_all(input: &[u8], map: &mut Map, out: &mut Vec<u8>) -> Result<usize> {
    let mut taken = 0;
    while let Some((words, len)) = parse(&input[taken..])? {
        answer(words, map, out)?;
        taken += len;
    }
    Ok(taken)
}

/// The first words of a request; those that are not there are empty.
type Words<'a> = (usize, [&'a [u8]; 3]);

/// One request and its length; none if it is not whole.
fn parse(input: &[u8]) -> Result<Option<(Words<'_>, usize)>> {
    let Some((count, mut at)) = header(input, 0, b'*')? else { return Ok(None) };
    let mut words = [&input[..0]; 3];
    for word in 0..count {
        let Some((len, from)) = header(input, at, b'$')? else { return Ok(None) };
        if input.len() < from + len + 2 {
            return Ok(None);
        }
        if let Some(place) = words.get_mut(word) {
            *place = &input[from..from + len];
        }
        at = from + len + 2;
    }
    Ok(Some(((count, words), at)))
}

/// The number of a line such as `$12`, and where the next begins.
fn header(input: &[u8], mut at: usize, kind: u8) -> Result<Option<(usize, usize)>> {
    match input.get(at) {
        None => return Ok(None),
        Some(first) if *first != kind => return Err(ErrorKind::InvalidData.into()),
        Some(_) => {}
    }
    let mut number = 0;
    loop {
        at += 1;
        match input.get(at) {
            None => return Ok(None),
            Some(digit @ b'0'..=b'9') if number <= WORD_MAX => {
                number = number * 10 + usize::from(*digit - b'0');
            }
            Some(b'\r') if number <= WORD_MAX => return Ok(Some((number, at + 2))),
            Some(_) => return Err(ErrorKind::InvalidData.into()),
        }
    }
}

fn answer((count, words): Words, map: &mut Map, out: &mut Vec<u8>) -> Result<()> {
    let [name, key, value] = words;
    match count {
        2 if name.eq_ignore_ascii_case(b"get") => match map.get(key) {
            Some(value) => {
                write!(out, "${}\r\n", value.len())?;
                out.extend_from_slice(value);
                out.extend_from_slice(b"\r\n");
            }
            None => out.extend_from_slice(b"$-1\r\n"),
        },
        3 if name.eq_ignore_ascii_case(b"set") => {
            match map.get_mut(key) {
                Some(before) if before.len() == value.len() => before.copy_from_slice(value),
                Some(before) => *before = value.into(),
                None => _ = map.insert(key.into(), value.into()),
            }
            out.extend_from_slice(b"+OK\r\n");
        }
        1 if name.eq_ignore_ascii_case(b"ping") => out.extend_from_slice(b"+PONG\r\n"),
        _ => out.extend_from_slice(b"-ERR the floor knows GET key, SET key value and PING\r\n"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &[u8] = b"*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\na\r\nb\r\n\
        *3\r\n$3\r\nset\r\n$1\r\nk\r\n$0\r\n\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*5\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n$2\r\nEX\r\n$1\r\n1\r\n";
    const REPLIES: &[u8] =
        b"+PONG\r\n$-1\r\n+OK\r\n+OK\r\n$0\r\n\r\n-ERR the floor knows GET key, SET key value and PING\r\n";

    #[test]
    fn requests_are_answered_wherever_they_are_cut() {
        for cut in 0..=SCRIPT.len() {
            let (mut map, mut out) = (new_map(), Vec::new());
            let taken = answer_all(&SCRIPT[..cut], &mut map, &mut out).expect("RESP");
            assert!(taken <= cut);
            let rest = answer_all(&SCRIPT[taken..], &mut map, &mut out).expect("RESP");
            assert_eq!(taken + rest, SCRIPT.len());
            assert_eq!(out, REPLIES, "{cut}: {}", out.escape_ascii());
        }
    }

    #[test]
    fn what_is_no_request_is_an_error() {
        for wrong in [&b"GET k\r\n"[..], b"*1\r\n:1\r\n", b"*x\r\n", b"*1\r\n$99999999999\r\n"] {
            assert!(answer_all(wrong, &mut new_map(), &mut Vec::new()).is_err(), "{}", wrong.escape_ascii());
        }
    }

    #[test]
    fn it_serves_over_a_socket() {
        let mut floor = Floor::new(0).expect("a free port");
        let port = floor.port().expect("bound");
        let ended = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let ends = ended.clone();
        let serves =
            std::thread::spawn(move || floor.serve(|| ends.load(std::sync::atomic::Ordering::Relaxed)));
        let mut client = crate::Client::connect(port);
        client.send(SCRIPT);
        let replies: Vec<String> = (0..6).map(|_| client.reply()).collect();
        assert_eq!(replies[..5], ["+PONG", "nil", "+OK", "+OK", "\"\""]);
        assert!(replies[5].starts_with("-ERR"));
        let large = "x".repeat(1_000_000);
        assert_eq!(client.call(&["SET", "large", &large]), "+OK");
        assert_eq!(client.call(&["GET", "large"]), format!("\"{large}\""));
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
        // The next request wakes it, and it ends.
        client.try_send(b"*1\r\n$4\r\nPING\r\n");
        serves.join().expect("no panic").expect("no error");
    }
}
