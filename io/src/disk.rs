//! Operations on files, carried out beside the turn on glommio's blocking thread.
//!
//! It knows paths and bytes, not what files are for.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::directory;
use darter_core::event::{DiskOutcome, DiskRequest, OperationId};

/// Files that are being written, by their paths.
type Open = Arc<Mutex<HashMap<String, Arc<File>>>>;

/// Operations that have begun and those that have ended.
#[derive(Default)]
pub struct Disk {
    open: Open,
    running: Rc<Cell<usize>>,
    ended: Rc<RefCell<Vec<(OperationId, DiskOutcome)>>>,
}

impl Disk {
    /// Begins an operation. `wake` is called on this thread when it has ended, unless that is at once: what lies in memory is read here, for to hand
    /// it to another thread costs more.
    pub fn begin(&self, operation: OperationId, request: DiskRequest, wake: impl FnOnce() + 'static) {
        let request = match request {
            DiskRequest::ReadAt { path, at, len, mut into } => {
                let read = read_at_once(&self.open, &path, at, len, &mut into);
                if read == len {
                    self.ended.borrow_mut().push((operation, DiskOutcome::Content(into)));
                    return;
                }
                DiskRequest::ReadAt { path, at: at + read as u64, len: len - read, into }
            }
            other => other,
        };
        self.running.set(self.running.get() + 1);
        let (running, ended) = (self.running.clone(), self.ended.clone());
        let open = Arc::clone(&self.open);
        let work = async move {
            let outcome =
                glommio::executor().spawn_blocking(move || carry_out(&open, operation, request)).await;
            ended.borrow_mut().push((operation, outcome));
            running.set(running.get() - 1);
            wake();
        };
        glommio::spawn_local(work).detach();
    }

    /// True while operations run: the core must then leave time to glommio.
    pub fn is_busy(&self) -> bool {
        self.running.get() > 0
    }

    /// True if operations have ended that nobody has taken.
    pub fn has_ended(&self) -> bool {
        !self.ended.borrow().is_empty()
    }

    /// Takes the operations that have ended.
    pub fn take_ended(&self) -> Vec<(OperationId, DiskOutcome)> {
        self.ended.take()
    }
}

fn carry_out(open: &Open, operation: OperationId, request: DiskRequest) -> DiskOutcome {
    let done = |()| DiskOutcome::Done;
    let is_read = matches!(request, DiskRequest::Read { .. } | DiskRequest::ReadAt { .. });
    let outcome = match request {
        DiskRequest::Create { path, with_directory } => create(open, path, with_directory).map(done),
        DiskRequest::Append { path, parts } => append(open, &path, &parts).map(done),
        DiskRequest::Publish { from, to } => publish(open, &from, &to).map(done),
        DiskRequest::Remove { path } => {
            lock(open).remove(&path);
            fs::remove_file(path).map(done)
        }
        DiskRequest::ReadAt { path, at, len, into } => {
            read_at(open, path, at, len, into).map(DiskOutcome::Content)
        }
        DiskRequest::Sync { path } => File::open(path).and_then(|file| file.sync_data()).map(done),
        DiskRequest::Read { path } => fs::read(path).map(DiskOutcome::Content),
        DiskRequest::Replace { path, bytes } => {
            replace(Path::new(&path), &bytes, operation).map(|()| DiskOutcome::Done)
        }
    };
    outcome.unwrap_or_else(|error| match error.kind() {
        io::ErrorKind::NotFound if is_read => DiskOutcome::Missing,
        _ => DiskOutcome::Failed(error.to_string()),
    })
}

fn lock(open: &Open) -> MutexGuard<'_, HashMap<String, Arc<File>>> {
    // Nothing can panic while it is locked.
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

fn create(open: &Open, path: String, with_directory: bool) -> io::Result<()> {
    if with_directory {
        directory::made(Path::new(&path))?;
    }
    let file = File::create(&path)?;
    lock(open).insert(path, Arc::new(file));
    Ok(())
}

/// The file, if it was created before.
fn opened(open: &Open, path: &str) -> io::Result<Arc<File>> {
    lock(open).get(path).cloned().ok_or_else(|| io::Error::other("the file is not open"))
}

fn append(open: &Open, path: &str, parts: &[Vec<u8>]) -> io::Result<()> {
    let mut file = &*opened(open, path)?;
    parts.iter().try_for_each(|part| file.write_all(part))
}

fn publish(open: &Open, from: &str, to: &str) -> io::Result<()> {
    let file = opened(open, from)?;
    file.sync_all()?;
    lock(open).remove(from);
    fs::rename(from, to)?;
    directory::sync(directory::of(Path::new(to)))
}

/// The file stays open until it was read to its end; who reads on there, or from the beginning, opens it again.
fn read_at(open: &Open, path: String, at: u64, len: usize, mut into: Vec<u8>) -> io::Result<Vec<u8>> {
    let is_open = lock(open).get(&path).cloned().filter(|_| at > 0);
    let file = match is_open {
        Some(file) => file,
        None => {
            let file = Arc::new(File::open(&path)?);
            lock(open).insert(path.clone(), Arc::clone(&file));
            file
        }
    };
    let filled = read_on(&file, at, len, &mut into, Waits::Long)?;
    if filled == 0 {
        lock(open).remove(&path);
    }
    Ok(into)
}

/// What of a file lies in memory, of one that is being read and not at its end; what is missing is to be read in the usual way, behind that.
fn read_at_once(open: &Open, path: &str, at: u64, len: usize, into: &mut Vec<u8>) -> usize {
    let Some(file) = lock(open).get(path).cloned().filter(|_| at > 0) else { return 0 };
    // What goes wrong here goes wrong there again.
    read_on(&file, at, len, into, Waits::Not).unwrap_or_default()
}

/// Whether a read waits for the disk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    Long,
    Not,
}

/// Adds bytes of a file until there are as many as asked for, or no more, or none without waiting; how many were added.
fn read_on(file: &File, at: u64, len: usize, into: &mut Vec<u8>, waits: Waits) -> io::Result<usize> {
    into.reserve(len);
    let mut filled = 0;
    while filled < len {
        let flags = if waits == Waits::Not { libc::RWF_NOWAIT } else { 0 };
        let room = &mut into.spare_capacity_mut()[..len - filled];
        let part = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
        let from = (at + filled as u64) as libc::off_t;
        // SAFETY: `part` is memory of `into` that lasts beyond the call and that nobody else has; the call writes within it.
        let read = unsafe { libc::preadv2(file.as_raw_fd(), &raw const part, 1, from, flags) };
        let Ok(read) = usize::try_from(read) else {
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::Interrupted => continue,
                _ if waits == Waits::Not => break,
                _ => return Err(error),
            }
        };
        if read == 0 {
            break;
        }
        // SAFETY: the call has written so many bytes behind those that were there.
        unsafe { into.set_len(into.len() + read) };
        filled += read;
    }
    Ok(filled)
}

/// After a crash the file has either its old content or all of the new. Its mode stays.
fn replace(path: &Path, bytes: &[u8], operation: OperationId) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let directory = directory::made(path)?;
    let temporary = directory.join(format!(".{name}.{}-{}.tmp", std::process::id(), operation.0));
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        if let Ok(old) = fs::metadata(path) {
            file.set_permissions(old.permissions())?;
        }
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        directory::sync(directory)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use glommio::LocalExecutorBuilder;
    use glommio::channels::local_channel;

    fn run(requests: Vec<DiskRequest>) -> Vec<DiskOutcome> {
        let executor = LocalExecutorBuilder::default().spawn(|| async move {
            let disk = Disk::default();
            let mut outcomes = Vec::new();
            for (number, request) in requests.into_iter().enumerate() {
                let (ring, rung) = local_channel::new_bounded(1);
                disk.begin(OperationId(number as u64), request, move || ring.try_send(()).unwrap());
                assert!(disk.is_busy());
                rung.recv().await.unwrap();
                assert!(!disk.is_busy() && disk.has_ended());
                let mut ended = disk.take_ended();
                assert_eq!((ended.len(), ended[0].0), (1, OperationId(number as u64)));
                outcomes.push(ended.remove(0).1);
            }
            outcomes
        });
        executor.unwrap().join().unwrap()
    }

    #[test]
    fn a_file_is_replaced_whole_and_read_back() {
        let directory = std::env::temp_dir().join(format!("darter-disk-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let path = directory.join("file").display().to_string();
        let replace = |bytes: &[u8]| DiskRequest::Replace { path: path.clone(), bytes: bytes.to_vec() };
        let read = DiskRequest::Read { path: path.clone() };
        let outcomes = run(vec![replace(b"a long first text"), replace(b"second"), read]);
        let left: Vec<_> =
            fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        fs::remove_dir_all(&directory).unwrap();
        let content = DiskOutcome::Content(b"second".to_vec());
        assert_eq!(outcomes, [DiskOutcome::Done, DiskOutcome::Done, content]);
        assert_eq!(left, ["file"], "no temporary file is left");
    }

    #[test]
    fn failures_are_answered_in_the_systems_words() {
        let missing = "/nonexistent/directory/darter".to_string();
        let read = DiskRequest::Read { path: missing.clone() };
        let replace = DiskRequest::Replace { path: missing, bytes: Vec::new() };
        let [DiskOutcome::Missing, DiskOutcome::Failed(words)] = &run(vec![read, replace])[..] else {
            panic!("one is not there, the other cannot be made")
        };
        assert!(words.contains("No such file") || words.contains("denied"), "{words}");
    }
}
