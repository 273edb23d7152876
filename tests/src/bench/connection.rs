//! One connection of a generator: what is to be written, what was asked and not yet answered. It does not choose what is asked.

use std::collections::VecDeque;
use std::io::{ErrorKind, Result, Write};

use super::address::Stream;
use super::check::Reader;
use super::epoll::Epoll;

/// A request that waits for its reply.
#[derive(Clone, Copy, Debug)]
pub struct Pending {
    /// Which command of the mix it is.
    pub command: u16,
    /// In an open loop, when it was due.
    pub due: u64,
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    /// The socket, which never waits.
    pub stream: Stream,
    /// Requests that are to be written.
    pub out: Vec<u8>,
    /// Asked, in order.
    pub pending: VecDeque<Pending>,
    /// The keys of those pending whose values will be checked.
    pub keys: VecDeque<u64>,
    /// The reply that is being read.
    pub reader: Reader,
    /// When the last requests were written.
    pub sent: u64,
    /// Whether the server, or we after a broken stream, have closed it.
    pub closed: bool,
    /// How much of `out` is written.
    written: usize,
    /// Whether room is waited for.
    waits: bool,
}

impl Connection {
    /// Over a socket.
    pub fn new(stream: Stream) -> Connection {
        Connection {
            stream,
            out: Vec::new(),
            pending: VecDeque::new(),
            keys: VecDeque::new(),
            reader: Reader::default(),
            sent: 0,
            closed: false,
            written: 0,
            waits: false,
        }
    }

    /// Writes what there is room for; the rest when there is more. The error is the connection's end.
    pub fn flush(&mut self, epoll: &Epoll, token: usize) -> Result<()> {
        while self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(len) => self.written += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let waits = self.written < self.out.len();
        if !waits {
            self.out.clear();
            self.written = 0;
        }
        if waits != self.waits {
            epoll.watch_room(&self.stream, token, waits)?;
            self.waits = waits;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_has_no_room_is_written_later() {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        let mut connection = Connection::new(Stream::Unix(ours));
        connection.stream.set_nonblocking().expect("a socket");
        let mut epoll = Epoll::new().expect("epoll");
        epoll.add(&connection.stream, 3).expect("added");
        let sent: Vec<u8> = (0..4_000_000u32).map(|n| (n / 7) as u8).collect();
        connection.out.extend_from_slice(&sent);
        connection.flush(&epoll, 3).expect("open");
        assert!(!connection.out.is_empty(), "a socket has no room for all of it");
        let reads = std::thread::spawn(move || {
            let mut received = vec![0; 4_000_000];
            theirs.read_exact(&mut received).expect("open");
            (received, theirs)
        });
        while !connection.out.is_empty() {
            assert_eq!(epoll.wait(Duration::from_secs(10)).expect("waits"), 1);
            assert!(epoll.ready(0).writable);
            connection.flush(&epoll, 3).expect("open");
        }
        let (received, theirs) = reads.join().expect("no panic");
        assert!(received == sent);
        assert_eq!(epoll.wait(Duration::ZERO).expect("waits"), 0, "room is no longer of interest");
        drop(theirs);
        connection.out.push(0);
        assert!(connection.flush(&epoll, 3).is_err());
    }
}
