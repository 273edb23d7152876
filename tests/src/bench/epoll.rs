//! Waiting for many sockets, with timeouts finer than a millisecond. It knows descriptors and tokens only.

use std::io::{Error, Result};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// How many sockets one turn tells of.
const EVENTS: usize = 512;

/// One epoll instance.
pub struct Epoll {
    epoll: OwnedFd,
    events: Vec<libc::epoll_event>,
}

/// A socket that something has happened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// What it was added with.
    pub token: usize,
    /// There are bytes, or the end of them.
    pub readable: bool,
    /// There is room.
    pub writable: bool,
}

impl Epoll {
    /// A new instance.
    pub fn new() -> Result<Epoll> {
        // SAFETY: the call takes flags only.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if epoll < 0 {
            return Err(Error::last_os_error());
        }
        // SAFETY: the descriptor was made just now and belongs to nobody else.
        let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
        Ok(Epoll { epoll, events: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS] })
    }

    /// Watches a socket for bytes to read.
    pub fn add(&self, socket: &impl AsRawFd, token: usize) -> Result<()> {
        self.control(libc::EPOLL_CTL_ADD, socket, token, false)
    }

    /// Watches it for room as well, or no longer.
    pub fn watch_room(&self, socket: &impl AsRawFd, token: usize, room: bool) -> Result<()> {
        self.control(libc::EPOLL_CTL_MOD, socket, token, room)
    }

    /// Watches it no longer.
    pub fn remove(&self, socket: &impl AsRawFd) {
        // It was added, so this cannot fail but for a socket that is closed already, which is not watched either.
        let _ = self.control(libc::EPOLL_CTL_DEL, socket, 0, false);
    }

    fn control(&self, operation: i32, socket: &impl AsRawFd, token: usize, room: bool) -> Result<()> {
        let events = libc::EPOLLIN | if room { libc::EPOLLOUT } else { 0 };
        let mut event = libc::epoll_event { events: events as u32, u64: token as u64 };
        // SAFETY: `event` is valid during the call, which does not keep it.
        let done =
            unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), operation, socket.as_raw_fd(), &mut event) };
        if done < 0 { Err(Error::last_os_error()) } else { Ok(()) }
    }

    /// Waits until a socket is ready or the time is over; returns how many are. A signal ends it with none.
    pub fn wait(&mut self, timeout: Duration) -> Result<usize> {
        let timeout = libc::timespec {
            tv_sec: timeout.as_secs() as libc::time_t,
            tv_nsec: libc::c_long::from(timeout.subsec_nanos()),
        };
        // SAFETY: `events` has room for `EVENTS` events and `timeout` is valid during the call; there is no signal mask.
        let count = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.epoll.as_raw_fd(),
                self.events.as_mut_ptr(),
                EVENTS as i32,
                &timeout,
                std::ptr::null::<libc::sigset_t>(),
                0usize,
            )
        };
        match usize::try_from(count) {
            Ok(count) => Ok(count),
            Err(_) => match Error::last_os_error() {
                error if error.raw_os_error() == Some(libc::EINTR) => Ok(0),
                error => Err(error),
            },
        }
    }

    /// One of those that the last wait has found.
    pub fn ready(&self, at: usize) -> Ready {
        let event = self.events[at];
        let room = libc::EPOLLOUT as u32;
        let bytes = !room;
        Ready {
            token: event.u64 as usize,
            readable: event.events & bytes != 0,
            writable: event.events & room != 0,
        }
    }
}

/// Lets this thread's timeouts end when they are due: the kernel adds 50 microseconds otherwise.
pub fn sharpen_timers() {
    // SAFETY: the call takes numbers only. Where it fails, timeouts are late, which is measured like anything else.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1, 0, 0, 0) };
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::time::Instant;

    use super::*;

    #[test]
    fn bytes_and_room_are_told() {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        let mut epoll = Epoll::new().expect("epoll");
        epoll.add(&ours, 7).expect("added");
        assert_eq!(epoll.wait(Duration::ZERO).expect("waits"), 0);
        epoll.watch_room(&ours, 7, true).expect("changed");
        assert_eq!(epoll.wait(Duration::from_secs(10)).expect("waits"), 1);
        assert_eq!(epoll.ready(0), Ready { token: 7, readable: false, writable: true });
        epoll.watch_room(&ours, 7, false).expect("changed");
        theirs.write_all(b"x").expect("room");
        assert_eq!(epoll.wait(Duration::from_secs(10)).expect("waits"), 1);
        assert_eq!(epoll.ready(0), Ready { token: 7, readable: true, writable: false });
    }

    #[test]
    fn a_timeout_is_at_least_as_long() {
        let mut epoll = Epoll::new().expect("epoll");
        sharpen_timers();
        let began = Instant::now();
        assert_eq!(epoll.wait(Duration::from_micros(1_500)).expect("waits"), 0);
        assert!(began.elapsed() >= Duration::from_micros(1_500));
    }
}
