//! Running in the background, and the file that says under which process id.

use std::fs;
use std::io;

/// Where a daemon writes its process id if nobody says where.
const DEFAULT_PIDFILE: &str = "/var/run/darter.pid";

/// Leaves the terminal. The parent ends here; the child goes on. To be called while there is one thread.
pub fn detach() -> Result<(), String> {
    let failed = |what: &str| format!("cannot run in the background: {what}: {}", io::Error::last_os_error());
    // SAFETY: the process has one thread, so the child may go on as it likes; all other calls take plain values and
    // a constant path.
    unsafe {
        match libc::fork() {
            -1 => return Err(failed("fork")),
            0 => {}
            _ => libc::_exit(0),
        }
        if libc::setsid() < 0 {
            return Err(failed("setsid"));
        }
        let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
        if null < 0 {
            return Err(failed("/dev/null"));
        }
        for standard in 0..3 {
            libc::dup2(null, standard);
        }
        if null > 2 {
            libc::close(null);
        }
    }
    Ok(())
}

/// The file of the process id, removed at the end.
#[derive(Debug)]
pub struct Pidfile {
    path: Option<String>,
}

impl Pidfile {
    /// Writes it if `path` is given or a daemon runs.
    pub fn write(path: &str, daemon: bool) -> Pidfile {
        let path = match path {
            "" if daemon => DEFAULT_PIDFILE,
            path => path,
        };
        if path.is_empty() {
            return Pidfile { path: None };
        }
        match fs::write(path, format!("{}\n", std::process::id())) {
            Ok(()) => Pidfile { path: Some(path.to_string()) },
            Err(error) => {
                tracing::warn!("Failed to write PID file '{path}': {error}");
                Pidfile { path: None }
            }
        }
    }

    /// Removes it.
    pub fn remove(self) {
        if let Some(path) = self.path {
            tracing::info!("Removing the pid file.");
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pidfile_comes_and_goes() {
        let path = std::env::temp_dir().join(format!("darter-pidfile-{}", std::process::id()));
        let file = Pidfile::write(path.to_str().unwrap(), false);
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        file.remove();
        assert!(!path.exists());
        assert!(Pidfile::write("", false).path.is_none());
        assert!(Pidfile::write("/nonexistent/pid", false).path.is_none());
    }
}
