//! The files of a world: in memory, slow, and now and then refused.
//!
//! It knows paths and bytes. What was published is kept for the checkers.

use std::collections::BTreeMap;

use darter_core::event::{DiskOutcome, DiskRequest};

/// Files by their paths.
#[derive(Debug, Default)]
pub struct Disk {
    files: BTreeMap<String, Vec<u8>>,
}

/// What an operation came to.
pub struct Done {
    /// The answer.
    pub outcome: DiskOutcome,
    /// A file that got its name.
    pub published: Option<Vec<u8>>,
}

impl Disk {
    /// Carries an operation out; `refused`: the disk does not want to.
    pub fn carry_out(&mut self, request: DiskRequest, refused: bool) -> Done {
        let mut published = None;
        let outcome = match request {
            _ if refused => Err("Input/output error"),
            DiskRequest::Create { path } => {
                self.files.insert(path, Vec::new());
                Ok(DiskOutcome::Done)
            }
            DiskRequest::Append { path, parts } => match self.files.get_mut(&path) {
                Some(file) => {
                    parts.iter().for_each(|part| file.extend_from_slice(part));
                    Ok(DiskOutcome::Done)
                }
                None => Err("Bad file descriptor"),
            },
            DiskRequest::Publish { from, to } => match self.files.remove(&from) {
                Some(file) => {
                    published = Some(file.clone());
                    self.files.insert(to, file);
                    Ok(DiskOutcome::Done)
                }
                None => Err("No such file or directory"),
            },
            DiskRequest::Remove { path } => {
                self.files.remove(&path).map(|_| DiskOutcome::Done).ok_or("No such file or directory")
            }
            DiskRequest::ReadAt { path, at, len } => match self.files.get(&path) {
                Some(file) => {
                    let rest = file.get(at as usize..).unwrap_or_default();
                    Ok(DiskOutcome::Content(rest[..rest.len().min(len)].to_vec()))
                }
                None => Err("No such file or directory"),
            },
            // There is no configuration file in this world.
            DiskRequest::Read { .. } | DiskRequest::Replace { .. } => Err("No such file or directory"),
        };
        let outcome = outcome.unwrap_or_else(|why| DiskOutcome::Failed(why.into()));
        Done { outcome, published }
    }

    /// Names of files.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }
}
