//! The files of a world: in memory, slow, now and then refused, and not all of them safe.
//!
//! It knows paths and bytes, and how many of these a loss of power leaves. What was published is kept for the checkers.

use std::collections::BTreeMap;

use darter_core::aof::line::{Line, line};
use darter_core::aof::reader::{Next, Reader};
use darter_core::event::{DiskOutcome, DiskRequest, Durability};

use crate::dice::Dice;

/// A file.
#[derive(Clone, Debug, Default)]
struct File {
    bytes: Vec<u8>,
    /// How many of them are durable.
    synced: usize,
}

/// Files by their paths.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    files: BTreeMap<String, File>,
}

/// What an operation came to.
pub struct Done {
    /// The answer.
    pub outcome: DiskOutcome,
    /// A file that got its name: this.
    pub published: Option<(String, Vec<u8>)>,
}

impl Disk {
    /// Adds bytes to the end of a log.
    pub fn add(&mut self, path: &str, bytes: &[u8], durability: Durability) {
        let file = self.files.entry(path.to_string()).or_default();
        file.bytes.extend_from_slice(bytes);
        if durability != Durability::Written {
            file.synced = file.bytes.len();
        }
    }

    /// What is left after a loss of power: of each file what is durable, and by chance some of the rest, or something else in its place.
    pub fn after_power_loss(&self, dice: &mut Dice) -> Disk {
        let mut left = self.clone();
        for file in left.files.values_mut() {
            let kept = dice.between(file.synced as u64, file.bytes.len() as u64) as usize;
            if kept < file.bytes.len() && dice.chance(300) {
                // The file's length was written, and some of its blocks were not.
                file.bytes[kept..].fill(0);
            } else {
                file.bytes.truncate(kept);
            }
        }
        left
    }

    /// Carries an operation out; `refused`: the disk does not want to.
    pub fn carry_out(&mut self, request: DiskRequest, refused: bool) -> Done {
        let mut published = None;
        let outcome = match request {
            _ if refused => Err("Input/output error"),
            DiskRequest::Create { path, .. } => {
                self.files.insert(path, File::default());
                Ok(DiskOutcome::Done)
            }
            DiskRequest::Append { path, parts } => match self.files.get_mut(&path) {
                Some(file) => {
                    parts.iter().for_each(|part| file.bytes.extend_from_slice(part));
                    Ok(DiskOutcome::Done)
                }
                None => Err("Bad file descriptor"),
            },
            DiskRequest::Publish { from, to } => match self.files.remove(&from) {
                Some(mut file) => {
                    published = Some((to.clone(), file.bytes.clone()));
                    file.synced = file.bytes.len();
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
                    let rest = file.bytes.get(at as usize..).unwrap_or_default();
                    Ok(DiskOutcome::Content(rest[..rest.len().min(len)].to_vec()))
                }
                None => Ok(DiskOutcome::Missing),
            },
            DiskRequest::Sync { path } => match self.files.get_mut(&path) {
                Some(file) => {
                    file.synced = file.bytes.len();
                    Ok(DiskOutcome::Done)
                }
                None => Err("No such file or directory"),
            },
            DiskRequest::Read { path } => match self.files.get(&path) {
                Some(file) => Ok(DiskOutcome::Content(file.bytes.clone())),
                None => Ok(DiskOutcome::Missing),
            },
            DiskRequest::Replace { path, bytes } => {
                let synced = bytes.len();
                self.files.insert(path, File { bytes, synced });
                Ok(DiskOutcome::Done)
            }
        };
        let outcome = outcome.unwrap_or_else(|why| DiskOutcome::Failed(why.into()));
        Done { outcome, published }
    }

    /// Which files make up the data.
    pub fn manifest(&self) -> String {
        let manifest = self.files.iter().find(|(path, _)| path.ends_with(".manifest"));
        manifest.map(|(_, file)| String::from_utf8_lossy(&file.bytes).into_owned()).unwrap_or_default()
    }

    /// What logs say: each line, with its file and its transaction.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (path, file) in self.files.iter().filter(|(path, _)| path.ends_with(".log")) {
            let mut reader = Reader::new(path.clone(), u64::MAX);
            reader.add(&file.bytes);
            reader.add(&[]);
            let mut instant = 0;
            while let Next::Group(group, _) = reader.take_next() {
                let mut rest = &group[..];
                while let Some((said, tx, len)) = line(rest) {
                    let text = match said {
                        Line::Command { database, words } => {
                            let words: Vec<_> = words.iter().map(String::from_utf8_lossy).collect();
                            format!("{database}: {}", words.join(" "))
                        }
                        Line::Entry { database, bytes, .. } => {
                            format!("{database}: entry {}", bytes.escape_ascii())
                        }
                        Line::Gone { database, key } => format!("{database}: gone {}", key.escape_ascii()),
                        ref other => format!("{other:?}"),
                    };
                    if let Line::Instant(at) = said {
                        instant = at.0;
                    }
                    let text: String = text.chars().take(200).collect();
                    let whose = tx.map(|tx| format!("{}:{}:{} ", tx.core.0, tx.id.index, tx.id.generation));
                    lines.push(format!("{path} {instant} {}{text}", whose.unwrap_or_default()));
                    rest = &rest[len..];
                }
            }
        }
        lines
    }

    /// Names of files.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }
}
