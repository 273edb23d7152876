//! How long threads could run and were not let: what the kernel says of each (`/proc/PID/task/TID/schedstat`).
//!
//! On a machine with more threads than CPUs a client waits mostly for those. Without it, what is left is what the server makes him wait.

use std::fs::{File, read_dir, read_to_string};
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// The threads of a server that answer, and who asks.
pub struct Delays {
    own: File,
    servers: Vec<File>,
}

/// How long each had been kept waiting.
#[derive(Clone)]
pub struct Kept {
    own: u64,
    servers: Vec<u64>,
}

impl Delays {
    /// Of a server and of the thread that calls.
    pub fn of(pid: u32) -> Delays {
        let open = |path: String| File::open(path).expect("the kernel counts delays");
        let tasks = read_dir(format!("/proc/{pid}/task")).expect("it runs").flatten();
        let answers = |task: &String| {
            let name = read_to_string(format!("/proc/{pid}/task/{task}/comm")).unwrap_or_default();
            name.starts_with("shard-") || *task == pid.to_string()
        };
        let tasks = tasks.map(|task| task.file_name().to_string_lossy().into_owned());
        let servers =
            tasks.filter(answers).map(|task| open(format!("/proc/{pid}/task/{task}/schedstat"))).collect();
        Delays { own: open("/proc/thread-self/schedstat".into()), servers }
    }

    /// Until now.
    pub fn kept(&self) -> Kept {
        Kept { own: delay(&self.own), servers: self.servers.iter().map(delay).collect() }
    }
}

impl Kept {
    /// How long who asks and who answers were kept waiting since then: of several threads that may have answered the one that waited longest.
    pub fn since(&self, before: &Kept) -> Duration {
        let servers = self.servers.iter().zip(&before.servers).map(|(now, before)| now - before);
        Duration::from_nanos(self.own - before.own + servers.max().unwrap_or(0))
    }
}

/// Nanoseconds in which a thread could have run.
fn delay(file: &File) -> u64 {
    let mut bytes = [0; 96];
    let len = file.read_at(&mut bytes, 0).expect("the thread lives");
    let text = std::str::from_utf8(&bytes[..len]).expect("numbers");
    text.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("three numbers")
}
