//! The log of one core: bytes that are in its file before the turn that wrote them lets anything leave.
//!
//! Written and made durable by plain calls of the turn's own thread: nothing of the turn may leave before, so there is nothing else to do
//! meanwhile, and a call costs less than a way through a ring. It knows paths and bytes, not what is written.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use darter_core::event::Durability;

use crate::directory;

/// The log's file, while it is open.
#[derive(Default)]
pub struct AppendFile {
    open: Option<(String, File)>,
}

impl AppendFile {
    /// Adds bytes to the end of a file, which is made with its directory if it is not there, and makes them durable if that is asked for. How many
    /// were added, and why not all, if so.
    pub fn add(&mut self, path: &str, bytes: &[u8], durability: Durability) -> (usize, Option<io::Error>) {
        let mut written = 0;
        let outcome = self.try_add(path, bytes, durability, &mut written);
        if durability == Durability::Final && outcome.is_ok() {
            self.open = None;
        }
        (written, outcome.err())
    }

    fn try_add(
        &mut self,
        path: &str,
        bytes: &[u8],
        durability: Durability,
        written: &mut usize,
    ) -> io::Result<()> {
        let file = self.file(path)?;
        while *written < bytes.len() {
            match file.write(&bytes[*written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(more) => *written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        match durability {
            Durability::Written => Ok(()),
            Durability::Synced | Durability::Final => file.sync_data(),
        }
    }

    fn file(&mut self, path: &str) -> io::Result<&mut File> {
        if self.open.as_ref().is_none_or(|(open, _)| open != path) {
            self.open = Some((path.to_string(), make(Path::new(path))?));
        }
        match &mut self.open {
            Some((_, file)) => Ok(file),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// Opens a file to add to it. A new one is there after a loss of power, and so is its directory.
fn make(path: &Path) -> io::Result<File> {
    let directory = directory::made(path)?;
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    directory::sync(directory)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn bytes_are_added_in_order_and_a_closed_file_goes_on() {
        let above = std::env::temp_dir().join(format!("darter-append-{}", std::process::id()));
        fs::create_dir(&above).unwrap();
        let path = above.join("logs/one.log").display().to_string();
        let mut file = AppendFile::default();
        for (bytes, durability) in [
            (&b"one "[..], Durability::Written),
            (b"two ", Durability::Final),
            (b"three", Durability::Synced),
        ] {
            let (written, error) = file.add(&path, bytes, durability);
            assert!(error.is_none() && written == bytes.len());
        }
        let content = fs::read(&path).unwrap();
        let (written, error) = file.add("/nonexistent/directory/log", b"x", Durability::Written);
        fs::remove_dir_all(&above).unwrap();
        assert_eq!(content, b"one two three");
        assert!(written == 0 && error.is_some());
    }
}
