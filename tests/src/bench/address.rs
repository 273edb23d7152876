//! Where a server is, and connections to it. It knows no protocol.

use std::fmt;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// How long a server may take for a first answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A TCP address or the path of a unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// A path.
    Unix(PathBuf),
}

impl Address {
    /// A port of this machine.
    pub fn local(port: u16) -> Address {
        Address::Tcp(([127, 0, 0, 1], port).into())
    }

    /// Finds a host's address.
    pub fn resolve(host: &str, port: u16) -> std::result::Result<Address, String> {
        let mut found = (host, port).to_socket_addrs().map_err(|error| format!("{host}: {error}"))?;
        found.next().map(Address::Tcp).ok_or_else(|| format!("{host} has no address"))
    }

    /// Connects and waits for it.
    pub fn connect(&self) -> Result<Stream> {
        Ok(match self {
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                Stream::Tcp(stream)
            }
            Address::Unix(path) => Stream::Unix(UnixStream::connect(path)?),
        })
    }

    /// Connects, sends one request and reads the line that answers it: then the server has accepted.
    pub fn greet(&self, request: &[u8]) -> Result<(Stream, String)> {
        let mut stream = self.connect()?;
        let patience = Some(PATIENCE);
        match &stream {
            Stream::Tcp(stream) => stream.set_read_timeout(patience)?,
            Stream::Unix(stream) => stream.set_read_timeout(patience)?,
        }
        stream.write_all(request)?;
        let mut line = Vec::new();
        let mut bytes = [0; 512];
        while !line.ends_with(b"\n") {
            match stream.read(&mut bytes)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                len => line.extend_from_slice(&bytes[..len]),
            }
        }
        Ok((stream, String::from_utf8_lossy(&line).trim().into()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, text: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(text, "{address}"),
            Address::Unix(path) => write!(text, "{}", path.display()),
        }
    }
}

/// A connection.
#[derive(Debug)]
pub enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
}

impl Stream {
    /// From now on reads and writes return instead of waiting.
    pub fn set_nonblocking(&self) -> Result<()> {
        match self {
            Stream::Tcp(stream) => stream.set_nonblocking(true),
            Stream::Unix(stream) => stream.set_nonblocking(true),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(bytes),
            Stream::Unix(stream) => stream.read(bytes),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Stream::Tcp(stream) => stream.as_raw_fd(),
            Stream::Unix(stream) => stream.as_raw_fd(),
        }
    }
}

/// Lets this process, and those it starts, have as many descriptors as the system allows; returns how many.
pub fn raise_descriptors() -> Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid during both calls, which do not keep it.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) != 0 {
            return Err(Error::last_os_error());
        }
        limit.rlim_cur = limit.rlim_max;
        if libc::setrlimit(libc::RLIMIT_NOFILE, &limit) != 0 {
            return Err(Error::last_os_error());
        }
    }
    Ok(limit.rlim_cur)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn addresses_are_found_and_shown() {
        assert_eq!(Address::resolve("127.0.0.1", 7), Ok(Address::local(7)));
        assert_eq!(Address::local(7).to_string(), "127.0.0.1:7");
        assert_eq!(Address::Unix("/tmp/x".into()).to_string(), "/tmp/x");
        assert!(Address::resolve("no such host", 7).is_err());
    }

    #[test]
    fn a_greeting_waits_for_the_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut bytes = [0; 4];
            stream.read_exact(&mut bytes).expect("a request");
            stream.write_all(b"+PO").expect("room");
            stream.write_all(b"NG\r\n").expect("room");
        });
        let (_, line) = Address::local(port).greet(b"ping").expect("an answer");
        assert_eq!(line, "+PONG");
        server.join().expect("no panic");
        assert!(Address::local(port).greet(b"ping").is_err(), "nobody listens any longer");
    }
}
