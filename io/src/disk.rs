//! Operations on files, carried out beside the turn on glommio's blocking thread.
//!
//! It knows paths and bytes, not what files are for.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::directory;
use crate::growing::Growing;
use darter_core::event::{DiskOutcome, DiskRequest, OperationId};

/// Files that are open, by their paths.
#[derive(Default)]
struct Files {
    /// Being read.
    read: HashMap<String, Arc<File>>,
    /// Being written.
    written: HashMap<String, Growing>,
}

/// What a core and its blocking thread share.
#[derive(Default)]
struct Shared {
    files: Mutex<Files>,
    ended: Mutex<Vec<(OperationId, DiskOutcome)>>,
    has_ended: AtomicBool,
}

/// Operations that have begun and those that have ended.
#[derive(Default)]
pub struct Disk {
    shared: Arc<Shared>,
    running: Rc<Cell<usize>>,
    /// Operations have begun of which glommio does not know yet.
    has_begun: Cell<bool>,
}

impl Disk {
    /// Begins an operation. `wake` is called on this thread when it has ended, unless that is at once: what lies in memory is read here, for to hand
    /// it to another thread costs more.
    pub fn begin(&self, operation: OperationId, request: DiskRequest, wake: impl FnOnce() + 'static) {
        let request = match request {
            DiskRequest::ReadAt { path, at, len, mut into } => {
                let read = read_at_once(&self.shared.files, &path, at, len, &mut into);
                if read == len {
                    self.shared.end(operation, DiskOutcome::Content(into));
                    return;
                }
                DiskRequest::ReadAt { path, at: at + read as u64, len: len - read, into }
            }
            other => other,
        };
        self.running.set(self.running.get() + 1);
        self.has_begun.set(true);
        let running = self.running.clone();
        let shared = Arc::clone(&self.shared);
        let work = async move {
            let carry_out = move || {
                let mut left = None;
                let outcome = carry_out(&shared.files, operation, request, &mut left);
                // Told from here: a core that has other work looks before glommio has the thread.
                shared.end(operation, outcome);
                left
            };
            let left = glommio::executor().spawn_blocking(carry_out).await;
            wake();
            // The last handle of a file that has lost its name: to free what it had takes long, and nobody waits for it.
            if left.is_some() {
                glommio::executor().spawn_blocking(move || drop(left)).await;
            }
            running.set(running.get() - 1);
        };
        glommio::spawn_local(work).detach();
    }

    /// True once after operations have begun: they do not run before glommio has had the thread.
    pub fn take_begun(&self) -> bool {
        self.has_begun.take()
    }

    /// True while operations run: the core must then leave time to glommio.
    pub fn is_busy(&self) -> bool {
        self.running.get() > 0
    }

    /// True if operations have ended that nobody has taken.
    pub fn has_ended(&self) -> bool {
        self.shared.has_ended.load(Ordering::Acquire)
    }

    /// Takes the operations that have ended.
    pub fn take_ended(&self) -> Vec<(OperationId, DiskOutcome)> {
        if !self.has_ended() {
            return Vec::new();
        }
        // Before it is taken: what comes later is looked for again.
        self.shared.has_ended.store(false, Ordering::Release);
        std::mem::take(&mut lock(&self.shared.ended))
    }
}

impl Shared {
    fn end(&self, operation: OperationId, outcome: DiskOutcome) {
        lock(&self.ended).push((operation, outcome));
        self.has_ended.store(true, Ordering::Release);
    }
}

/// What takes long to close, and has nothing to do with what came of the operation, is `left`.
fn carry_out(
    open: &Mutex<Files>,
    operation: OperationId,
    request: DiskRequest,
    left: &mut Option<File>,
) -> DiskOutcome {
    let done = |()| DiskOutcome::Done;
    let is_read = matches!(request, DiskRequest::Read { .. } | DiskRequest::ReadAt { .. });
    let outcome = match request {
        DiskRequest::Create { path, with_directory, former } => {
            create(open, path, with_directory, former.as_deref()).map(done)
        }
        DiskRequest::Append { path, parts } => append(open, path, parts).map(done),
        DiskRequest::Publish { from, to } => publish(open, &from, &to).map(|former| *left = former).map(done),
        DiskRequest::Remove { path } => {
            // What is closed here has a name yet, so that takes no time.
            let Files { read, written } = &mut *lock(open);
            drop((read.remove(&path), written.remove(&path)));
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

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing can panic while it is locked.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn create(open: &Mutex<Files>, path: String, with_directory: bool, former: Option<&str>) -> io::Result<()> {
    if with_directory {
        directory::made(Path::new(&path))?;
    }
    let file = Growing::create(&path, former)?;
    lock(open).written.insert(path, file);
    Ok(())
}

/// The file, if it was created before; nobody else has it meanwhile.
fn take_created(open: &Mutex<Files>, path: &str) -> io::Result<Growing> {
    lock(open).written.remove(path).ok_or_else(|| io::Error::other("the file is not open"))
}

fn append(open: &Mutex<Files>, path: String, parts: Vec<Vec<u8>>) -> io::Result<()> {
    let mut file = take_created(open, &path)?;
    let written = parts.iter().try_for_each(|part| file.append(part));
    lock(open).written.insert(path, file);
    written
}

/// The file that had the name, if it is still open.
fn publish(open: &Mutex<Files>, from: &str, to: &str) -> io::Result<Option<File>> {
    let former = take_created(open, from)?.finish()?;
    fs::rename(from, to)?;
    directory::sync(directory::of(Path::new(to)))?;
    Ok(former)
}

/// The file stays open until it was read to its end; who reads on there, or from the beginning, opens it again.
fn read_at(open: &Mutex<Files>, path: String, at: u64, len: usize, mut into: Vec<u8>) -> io::Result<Vec<u8>> {
    let is_open = lock(open).read.get(&path).cloned().filter(|_| at > 0);
    let file = match is_open {
        Some(file) => file,
        None => {
            let file = Arc::new(File::open(&path)?);
            lock(open).read.insert(path.clone(), Arc::clone(&file));
            file
        }
    };
    let filled = read_on(&file, at, len, &mut into, Waits::Long)?;
    if filled == 0 {
        lock(open).read.remove(&path);
    }
    Ok(into)
}

/// What of a file lies in memory, of one that is being read and not at its end; what is missing is to be read in the usual way, behind that.
fn read_at_once(open: &Mutex<Files>, path: &str, at: u64, len: usize, into: &mut Vec<u8>) -> usize {
    let Some(file) = lock(open).read.get(path).cloned().filter(|_| at > 0) else { return 0 };
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
