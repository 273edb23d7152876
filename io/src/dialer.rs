//! Connections to other servers, each on a thread of its own: there are few of them, and looking up a name waits.
//!
//! It carries bytes. It does not know what they say, nor how long to wait for what comes back: who has asked hangs up.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use darter_core::errand::{LinkId, LinkNews};

use crate::parking::{eventfd, write_one};

/// Bytes that are read at once.
const READ_BYTES: usize = 16 << 10;

/// What the threads and their core share.
struct Shared {
    /// Written when there is news.
    bell: OwnedFd,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    news: Vec<(LinkId, LinkNews)>,
    /// Connections that are wanted; `None`: not made yet.
    wanted: HashMap<LinkId, Option<TcpStream>>,
}

/// The connections of one core.
#[derive(Clone)]
pub struct Dialer {
    shared: Arc<Shared>,
}

impl Dialer {
    /// Without connections.
    pub fn new() -> io::Result<Dialer> {
        Ok(Dialer { shared: Arc::new(Shared { bell: eventfd()?, known: Mutex::default() }) })
    }

    /// The eventfd that is written when there is news.
    pub fn descriptor(&self) -> RawFd {
        self.shared.bell.as_raw_fd()
    }

    /// Connects, says this, and tells what comes back.
    pub fn dial(&self, link: LinkId, host: String, port: u16, bytes: Vec<u8>, timeout: Duration) {
        self.shared.known().wanted.insert(link, None);
        let shared = Arc::clone(&self.shared);
        let talk = move || {
            // What has failed is told by how far it came.
            let _ = talk(&shared, link, &host, port, &bytes, timeout);
            shared.tell(link, LinkNews::Ended);
        };
        let thread = std::thread::Builder::new().name(format!("link-{}", link.0)).spawn(talk);
        if thread.is_err() {
            self.shared.tell(link, LinkNews::Ended);
        }
    }

    /// Ends a connection: nothing more is told of it.
    pub fn hang_up(&self, link: LinkId) {
        let mut known = self.shared.known();
        known.news.retain(|(other, _)| *other != link);
        if let Some(Some(stream)) = known.wanted.remove(&link) {
            // It may have ended by itself.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Takes the news.
    pub fn take_news(&self) -> Vec<(LinkId, LinkNews)> {
        std::mem::take(&mut self.shared.known().news)
    }
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing can panic while it is locked.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells news of a connection that is still wanted.
    fn tell(&self, link: LinkId, news: LinkNews) {
        let mut known = self.known();
        if known.wanted.contains_key(&link) {
            known.news.push((link, news));
            write_one(self.bell.as_raw_fd());
        }
    }

    /// Keeps a way to end a connection; false if it is not wanted any more.
    fn keep(&self, link: LinkId, stream: TcpStream) -> bool {
        match self.known().wanted.get_mut(&link) {
            Some(place) => {
                *place = Some(stream);
                true
            }
            None => false,
        }
    }
}

fn talk(
    shared: &Shared,
    link: LinkId,
    host: &str,
    port: u16,
    bytes: &[u8],
    timeout: Duration,
) -> io::Result<()> {
    let mut stream = connect(host, port, timeout).inspect_err(|error| {
        if error.kind() == io::ErrorKind::ConnectionRefused {
            shared.tell(link, LinkNews::Refused);
        }
    })?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(timeout))?;
    if !shared.keep(link, stream.try_clone()?) {
        return Ok(());
    }
    shared.tell(link, LinkNews::Connected);
    stream.write_all(bytes)?;
    shared.tell(link, LinkNews::Written);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            len => shared.tell(link, LinkNews::Bytes(buffer[..len].to_vec())),
        }
    }
}

/// Connects to the first address of a host that answers.
fn connect(host: &str, port: u16, timeout: Duration) -> io::Result<TcpStream> {
    let mut failure = io::Error::from(io::ErrorKind::NotFound);
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// The next news; what comes in pieces is put together until it is so long.
    fn news(dialer: &Dialer, len: usize) -> Vec<LinkNews> {
        let mut all = Vec::new();
        while all.len() < len {
            let mut count = [0u8; 8];
            // SAFETY: the eight bytes live until the call returns.
            let read = unsafe { libc::read(dialer.descriptor(), count.as_mut_ptr().cast(), 8) };
            assert_eq!(read, 8);
            all.extend(dialer.take_news().into_iter().map(|(_, news)| news));
        }
        all
    }

    #[test]
    fn what_is_said_arrives_and_what_comes_back_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let dialer = Dialer::new().unwrap();
        dialer.dial(LinkId(1), "127.0.0.1".into(), port, b"ask".to_vec(), PATIENCE);
        let (mut other, _) = listener.accept().unwrap();
        let mut said = [0; 3];
        other.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"ask");
        assert_eq!(news(&dialer, 2), [LinkNews::Connected, LinkNews::Written]);
        other.write_all(b"answer").unwrap();
        assert_eq!(news(&dialer, 1), [LinkNews::Bytes(b"answer".to_vec())]);
        drop(other);
        assert_eq!(news(&dialer, 1), [LinkNews::Ended]);
    }

    #[test]
    fn who_hangs_up_hears_no_more_and_who_is_not_there_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let dialer = Dialer::new().unwrap();
        dialer.dial(LinkId(1), "127.0.0.1".into(), port, Vec::new(), PATIENCE);
        let (mut other, _) = listener.accept().unwrap();
        assert_eq!(news(&dialer, 2), [LinkNews::Connected, LinkNews::Written]);
        dialer.hang_up(LinkId(1));
        assert_eq!(other.read(&mut [0; 1]).unwrap(), 0, "the other side sees the end");
        drop(listener);
        dialer.dial(LinkId(2), "127.0.0.1".into(), port, Vec::new(), PATIENCE);
        assert_eq!(news(&dialer, 2), [LinkNews::Refused, LinkNews::Ended]);
    }
}
