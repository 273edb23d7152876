//! Listening sockets: bound before the cores start, accepted from by the first core.
//!
//! It knows addresses and socket options. It does not know which core a client goes to.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use darter_core::config::Settings;
use darter_core::event::{Door, Origin, Peer};
use darter_core::time::Instant;
use socket2::{Domain, SockAddr, SockRef, Socket, TcpKeepalive, Type};

use crate::network::{Completion, Network, Token};

/// How long no client is accepted after the process has run out of descriptors.
const RETRY_MILLIS: u64 = 100;

/// An address that could not be listened on.
#[derive(Debug)]
pub struct BindError {
    address: String,
    source: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BindError { address, source } = self;
        match source.kind() {
            io::ErrorKind::AddrInUse => {
                write!(f, "cannot listen on {address}: the address is already in use")
            }
            _ => write!(f, "cannot listen on {address}: {source}"),
        }
    }
}

impl std::error::Error for BindError {}

/// A listening socket and what is spoken there.
#[derive(Debug)]
pub struct Listener {
    /// The socket.
    pub socket: OwnedFd,
    /// The protocol.
    pub door: Door,
}

/// Binds everything the settings name. An address with a leading `-` may be unavailable; one that is taken is an error.
pub fn bind_all(settings: &Settings) -> Result<Vec<Listener>, BindError> {
    let mut listeners = Vec::new();
    let backlog = i32::try_from(settings.tcp_backlog).unwrap_or(i32::MAX);
    let doors = [
        (Door::Redis, settings.port, &settings.unixsocket),
        (Door::Memcached, settings.memcached_port, &settings.memcached_unixsocket),
    ];
    for (door, port, path) in doors {
        for name in settings.bind.iter().filter(|_| port != 0) {
            let (optional, name) = name.strip_prefix('-').map_or((false, name.as_str()), |name| (true, name));
            let outcome = resolve(name).and_then(|ip| bind_tcp(SocketAddr::new(ip, port), backlog));
            match outcome {
                Ok(socket) => listeners.push(Listener { socket, door }),
                Err(error) if optional && is_unavailable(&error) => {}
                Err(source) => return Err(BindError { address: format!("{name}:{port}"), source }),
            }
        }
        if let Some(path) = path {
            let outcome = bind_unix(path, settings.unixsocketperm, backlog);
            let socket = outcome.map_err(|source| BindError { address: path.clone(), source })?;
            listeners.push(Listener { socket, door });
        }
    }
    Ok(listeners)
}

fn resolve(name: &str) -> io::Result<IpAddr> {
    match name {
        "*" => Ok(Ipv4Addr::UNSPECIFIED.into()),
        "::*" => Ok(Ipv6Addr::UNSPECIFIED.into()),
        _ => match name.parse() {
            Ok(ip) => Ok(ip),
            Err(_) => {
                let mut found = std::net::ToSocketAddrs::to_socket_addrs(&(name, 0))?;
                let first = found.next();
                first.map(|address| address.ip()).ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
            }
        },
    }
}

fn is_unavailable(error: &io::Error) -> bool {
    let codes = [libc::EADDRNOTAVAIL, libc::EAFNOSUPPORT, libc::ENOPROTOOPT, libc::EPROTONOSUPPORT];
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

fn bind_tcp(address: SocketAddr, backlog: i32) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    bind_patiently(&socket, &address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// How long an address may be in use by a process that has just ended.
const LEFTOVER: Duration = Duration::from_secs(1);

/// A process that was killed leaves its rings to the kernel, which lets go of their sockets a moment after the process is gone.
fn bind_patiently(socket: &Socket, address: &SockAddr) -> io::Result<()> {
    let until = std::time::Instant::now() + LEFTOVER;
    loop {
        match socket.bind(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && std::time::Instant::now() < until => {
                std::thread::park_timeout(Duration::from_millis(10));
            }
            outcome => return outcome,
        }
    }
}

/// Replaces a socket file that an earlier process has left, as Redis does.
fn bind_unix(path: &str, mode: u32, backlog: i32) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let _ = fs::remove_file(path);
    socket.bind(&SockAddr::unix(path)?)?;
    if mode != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// Sets the options of an accepted socket and says who it is. Fails if the peer is already gone.
pub fn greet(socket: &OwnedFd, keepalive_seconds: u32) -> io::Result<Peer> {
    let options = SockRef::from(socket);
    let local = options.local_addr()?;
    let descriptor = socket.as_raw_fd();
    let Some(ours) = local.as_socket() else {
        let path = local.as_pathname().map_or_else(String::new, |path| path.display().to_string());
        let address = format!("{path}:0");
        return Ok(Peer { local: address.clone(), address, origin: Origin::Unix, descriptor });
    };
    let theirs = options.peer_addr()?.as_socket().ok_or(io::ErrorKind::NotConnected)?;
    options.set_tcp_nodelay(true)?;
    if keepalive_seconds > 0 {
        let probe = TcpKeepalive::new()
            .with_time(Duration::from_secs(keepalive_seconds.into()))
            .with_interval(Duration::from_secs((keepalive_seconds / 3).max(1).into()))
            .with_retries(3);
        options.set_tcp_keepalive(&probe)?;
    }
    let origin = if theirs.ip().is_loopback() { Origin::Loopback } else { Origin::Remote };
    Ok(Peer { address: theirs.to_string(), local: ours.to_string(), origin, descriptor })
}

/// Accepts from all listeners of the process.
pub struct Acceptor {
    listeners: Vec<Listener>,
    /// Those that wait until descriptors may be free again, and when that is.
    resting: Vec<u32>,
    retry_at: Instant,
    /// The log has said so since a client was last accepted.
    warned: bool,
}

impl Acceptor {
    /// Begins to accept.
    pub fn start(listeners: Vec<Listener>, network: &mut Network) -> Acceptor {
        for (index, listener) in listeners.iter().enumerate() {
            network.accept(listener.socket.as_raw_fd(), Token::Accept(index as u32));
        }
        Acceptor { listeners, resting: Vec::new(), retry_at: Instant::NEVER, warned: false }
    }

    /// An accept operation has completed, perhaps to complete again. Errors that last are retried after a while.
    pub fn completed(&mut self, index: u32, completion: Completion, network: &mut Network, now: Instant) {
        self.warned &= completion.result < 0;
        if completion.goes_on() {
            return;
        }
        match -completion.result {
            libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS => {
                if !std::mem::replace(&mut self.warned, true) {
                    let error = io::Error::from_raw_os_error(-completion.result);
                    tracing::warn!("Accepting client connection: {error}");
                }
                self.resting.push(index);
                self.retry_at = now.after_millis(RETRY_MILLIS);
            }
            _ => self.accept(index, network),
        }
    }

    /// When [`Acceptor::retry`] has something to do.
    pub fn deadline(&self) -> Instant {
        self.retry_at
    }

    /// Accepts again where descriptors had run out.
    pub fn retry(&mut self, network: &mut Network) {
        self.retry_at = Instant::NEVER;
        for index in std::mem::take(&mut self.resting) {
            self.accept(index, network);
        }
    }

    fn accept(&self, index: u32, network: &mut Network) {
        network.accept(self.listeners[index as usize].socket.as_raw_fd(), Token::Accept(index));
    }

    /// What is spoken at a listener.
    pub fn door(&self, index: u32) -> Door {
        self.listeners[index as usize].door
    }

    /// Accepts no more.
    pub fn stop(self, network: &mut Network) {
        for index in 0..self.listeners.len() as u32 {
            network.cancel(Token::Accept(index));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    fn tcp(port: u16, bind: &[&str]) -> Settings {
        Settings { port, bind: bind.iter().map(ToString::to_string).collect(), ..Settings::default() }
    }

    #[test]
    fn a_taken_port_is_one_clear_sentence() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = bind_all(&tcp(port, &["127.0.0.1"])).unwrap_err();
        let sentence = format!("cannot listen on 127.0.0.1:{port}: the address is already in use");
        assert_eq!(error.to_string(), sentence);
        assert!(bind_all(&tcp(port, &["-127.0.0.1"])).is_err(), "a taken port is an error even if optional");
    }

    #[test]
    fn an_optional_address_may_be_unavailable() {
        // 192.0.2.0/24 is reserved for documentation, so no machine has it.
        assert!(bind_all(&tcp(1, &["-192.0.2.1"])).unwrap().is_empty());
        assert!(bind_all(&tcp(1, &["192.0.2.1"])).is_err());
        assert!(bind_all(&tcp(0, &["192.0.2.1"])).unwrap().is_empty(), "port 0 means no TCP");
    }

    #[test]
    fn peers_are_named_as_the_seam_says() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = OwnedFd::from(listener.accept().unwrap().0);
        let peer = greet(&socket, 300).unwrap();
        assert_eq!(peer.address, client.local_addr().unwrap().to_string());
        assert_eq!(peer.local, listener.local_addr().unwrap().to_string());
        assert_eq!(peer.origin, Origin::Loopback);
        let options = SockRef::from(&socket);
        assert_eq!(options.tcp_keepalive_time().unwrap(), Duration::from_secs(300));
        assert_eq!(options.tcp_keepalive_interval().unwrap(), Duration::from_secs(100));
        assert!(options.tcp_nodelay().unwrap());
    }

    #[test]
    fn a_unix_client_is_named_by_the_path() {
        let path = std::env::temp_dir().join(format!("darter-listener-{}.sock", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        let _client = UnixStream::connect(&path).unwrap();
        let socket = OwnedFd::from(listener.accept().unwrap().0);
        let peer = greet(&socket, 300).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!((peer.address, peer.origin), (format!("{}:0", path.display()), Origin::Unix));
    }
}
