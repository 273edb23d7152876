//! One connection of a generator: what is to be written, what was asked and not yet answered. It does not choose what is asked.

use std::collections::VecDeque;
use std::io::Result;

use super::address::Stream;
use super::check::Reader;
use super::epoll::Epoll;
use super::outbox::Outbox;

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
    pub out: Outbox,
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
}

impl Connection {
    /// Over a socket.
    pub fn new(stream: Stream) -> Connection {
        Connection {
            stream,
            out: Outbox::default(),
            pending: VecDeque::new(),
            keys: VecDeque::new(),
            reader: Reader::default(),
            sent: 0,
            closed: false,
        }
    }

    /// Writes what there is room for. The error is the connection's end.
    pub fn flush(&mut self, epoll: &Epoll, token: usize) -> Result<()> {
        self.out.flush(&mut self.stream, epoll, token)
    }
}
