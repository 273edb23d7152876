//! A file that is being written from its beginning to its end, and may take the place of another.
//!
//! Left alone, the system keeps what is written in memory until there are gigabytes of it, and a sync at the end waits for all of them: the disk is idle
//! first and everybody else later. So it is told to begin while more is written. New pages of memory are what such a file costs most where a
//! machine has to ask for them, and the file whose place this one takes has as many: they are given back as they are needed.
//!
//! It knows bytes. It does not know what they say.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

/// So many bytes are handed to the disk at once.
const BEHIND: u64 = 4 << 20;
/// So many bytes of the former file are given back at once.
const AHEAD: u64 = 1 << 20;

/// A file that is being written.
pub struct Growing {
    file: File,
    written: u64,
    /// Up to here the disk has been told to begin.
    begun: u64,
    /// The file whose place it takes.
    former: Option<File>,
    /// Up to here that one's memory was given back.
    given: u64,
}

impl Growing {
    /// Makes an empty file, or empties the one that is there.
    pub fn create(path: &str, former: Option<&str>) -> io::Result<Growing> {
        // If there is none there is nothing to be had from it.
        let former = former.filter(|former| Path::new(former).is_file());
        let former = former.and_then(|former| File::open(former).ok());
        Ok(Growing { file: File::create(path)?, written: 0, begun: 0, former, given: 0 })
    }

    /// Adds bytes to its end.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.make_room(bytes.len() as u64);
        self.file.write_all(bytes)?;
        self.written += bytes.len() as u64;
        if self.written - self.begun >= BEHIND {
            self.begin_to_write();
        }
        Ok(())
    }

    /// Makes it durable. Its former is given back: it is gone for good when it is closed, and that may take long.
    pub fn finish(self) -> io::Result<Option<File>> {
        self.file.sync_all()?;
        Ok(self.former)
    }

    /// What is about to be written finds memory.
    fn make_room(&mut self, len: u64) {
        let Some(former) = &self.former else { return };
        while self.given < self.written + len {
            let (at, len) = (self.given as libc::off_t, AHEAD as libc::off_t);
            // SAFETY: takes no memory of ours. It is advice, and who does not take it loses nothing but time.
            unsafe { libc::posix_fadvise(former.as_raw_fd(), at, len, libc::POSIX_FADV_DONTNEED) };
            self.given += AHEAD;
        }
    }

    fn begin_to_write(&mut self) {
        let (at, len) = (self.begun as libc::off64_t, (self.written - self.begun) as libc::off64_t);
        let flags = libc::SYNC_FILE_RANGE_WRITE;
        // SAFETY: takes no memory of ours. What fails here, or is not known to the file's system, is told by the sync at the end.
        unsafe { libc::sync_file_range(self.file.as_raw_fd(), at, len, flags) };
        self.begun = self.written;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_there_and_the_former_file_is_as_it_was() {
        let directory = std::env::temp_dir().join(format!("darter-growing-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let path = |name: &str| directory.join(name).display().to_string();
        let former: Vec<u8> = (0..3 * AHEAD as usize + 5).map(|n| (n % 251) as u8).collect();
        std::fs::write(path("former"), &former).unwrap();

        let mut growing = Growing::create(&path("new"), Some(&path("former"))).unwrap();
        let piece: Vec<u8> = (0..700_001).map(|n| (n % 241) as u8).collect();
        let pieces = 3 * BEHIND as usize / piece.len();
        (0..pieces).for_each(|_| growing.append(&piece).unwrap());
        assert!(growing.begun > BEHIND && growing.given > former.len() as u64);
        assert!(growing.finish().unwrap().is_some());

        assert!(std::fs::read(path("new")).unwrap() == piece.repeat(pieces), "every piece is there");
        assert!(std::fs::read(path("former")).unwrap() == former, "only memory was given back");
        let alone = Growing::create(&path("alone"), Some(&path("none"))).unwrap();
        assert!(alone.finish().unwrap().is_none(), "there was nothing before it");
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
