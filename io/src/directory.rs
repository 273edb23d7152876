//! Directories of files that are to be there after a loss of power.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// The directory of a file.
pub fn of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes the directory of a file if it is not there; not those above it.
pub fn made(path: &Path) -> io::Result<&Path> {
    let directory = of(path);
    if !directory.is_dir() {
        fs::create_dir(directory)?;
        sync(of(directory))?;
    }
    Ok(directory)
}

/// Makes durable which files are in a directory.
pub fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
