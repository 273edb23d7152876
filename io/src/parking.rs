//! How a core sleeps inside glommio while glommio has work of its own: by reading an eventfd.
//!
//! A core that is alone in its executor sleeps in its network ring instead, which costs one system call. This file
//! does not know what wakes it.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::rc::Rc;

use glommio::io::BufferedFile;

/// An eventfd that glommio can wait for.
pub struct Parking {
    file: BufferedFile,
    /// The same descriptor, for those who write to it from this thread.
    bell: Rc<Bell>,
}

/// Writes to the eventfd of a [`Parking`].
pub struct Bell {
    eventfd: RawFd,
}

impl Parking {
    /// Needs a glommio executor around it.
    pub fn new() -> io::Result<Parking> {
        let eventfd = eventfd()?.into_raw_fd();
        // SAFETY: the descriptor was just made and has no other owner; glommio closes it when `file` is dropped.
        let file = unsafe { BufferedFile::from_raw_fd(eventfd) };
        Ok(Parking { file, bell: Rc::new(Bell { eventfd }) })
    }

    /// The eventfd, for a ring to write to.
    pub fn descriptor(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// To wake this core from its own thread.
    pub fn bell(&self) -> Rc<Bell> {
        self.bell.clone()
    }

    /// Returns when the eventfd has been written, perhaps before the call.
    pub async fn sleep(&self) -> io::Result<()> {
        self.file.read_at(0, size_of::<u64>()).await.map(drop).map_err(io::Error::from)
    }
}

impl Bell {
    /// Wakes the core.
    pub fn ring(&self) {
        write_one(self.eventfd);
    }
}

/// A new eventfd whose count is zero.
pub fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: takes no memory of ours.
    let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Adds one to an eventfd. It cannot fail but by a descriptor that is gone, and then nobody is there to wake.
pub fn write_one(eventfd: RawFd) {
    let one = 1u64.to_ne_bytes();
    // SAFETY: the eight bytes live until the call returns.
    unsafe { libc::write(eventfd, one.as_ptr().cast(), one.len()) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use glommio::LocalExecutorBuilder;

    #[test]
    fn a_ring_before_or_during_the_sleep_ends_it() {
        let executor = LocalExecutorBuilder::default().spawn(|| async move {
            let parking = Parking::new().unwrap();
            parking.bell().ring();
            parking.sleep().await.unwrap();
            let bell = parking.bell();
            glommio::spawn_local(async move { bell.ring() }).detach();
            parking.sleep().await.unwrap();
        });
        executor.unwrap().join().unwrap();
    }
}
