//! Bytes on their way into a socket that may have no room. It does not know what they say.

use std::io::{ErrorKind, Result, Write};
use std::os::fd::AsRawFd;

use super::epoll::Epoll;

/// What is to be written to one socket.
#[derive(Debug, Default)]
pub struct Outbox {
    /// All that has not been written, and what was written of it already.
    pub bytes: Vec<u8>,
    written: usize,
    /// Whether room is waited for.
    waits: bool,
}

impl Outbox {
    /// Writes what there is room for; the rest when there is more. The error is the connection's end.
    pub fn flush(&mut self, socket: &mut (impl Write + AsRawFd), epoll: &Epoll, token: usize) -> Result<()> {
        while self.written < self.bytes.len() {
            match socket.write(&self.bytes[self.written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(len) => self.written += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let waits = self.written < self.bytes.len();
        if !waits {
            self.bytes.clear();
            self.written = 0;
        }
        if waits != self.waits {
            epoll.watch_room(socket, token, waits)?;
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
        let (mut ours, mut theirs) = UnixStream::pair().expect("a pair");
        let mut outbox = Outbox::default();
        ours.set_nonblocking(true).expect("a socket");
        let mut epoll = Epoll::new().expect("epoll");
        epoll.add(&ours, 3).expect("added");
        let sent: Vec<u8> = (0..4_000_000u32).map(|n| (n / 7) as u8).collect();
        outbox.bytes.extend_from_slice(&sent);
        outbox.flush(&mut ours, &epoll, 3).expect("open");
        assert!(!outbox.bytes.is_empty(), "a socket has no room for all of it");
        let reads = std::thread::spawn(move || {
            let mut received = vec![0; 4_000_000];
            theirs.read_exact(&mut received).expect("open");
            (received, theirs)
        });
        while !outbox.bytes.is_empty() {
            assert_eq!(epoll.wait(Duration::from_secs(10)).expect("waits"), 1);
            assert!(epoll.ready(0).writable);
            outbox.flush(&mut ours, &epoll, 3).expect("open");
        }
        let (received, theirs) = reads.join().expect("no panic");
        assert!(received == sent);
        assert_eq!(epoll.wait(Duration::ZERO).expect("waits"), 0, "room is no longer of interest");
        drop(theirs);
        outbox.bytes.push(0);
        assert!(outbox.flush(&mut ours, &epoll, 3).is_err());
    }
}
