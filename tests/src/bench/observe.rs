//! What the kernel knows of a process: its CPU time, its memory, which process listens where. It only reads.

use std::fs;
use std::io::{Error, Result};
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::address::Address;

/// CPU time that a process has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CpuTime {
    /// Of all its threads, those that have ended included, to the nanosecond: the process's CPU clock.
    pub total: Duration,
    /// In user mode, in ticks of the kernel's statistics, which are coarse: good for the share only.
    pub user_ticks: u64,
    /// The same in the kernel.
    pub system_ticks: u64,
}

/// CPU time of an operation, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct CpuPerOperation {
    /// User and system.
    pub total_us: f64,
    /// The part in user mode: the share is from the kernel's ticks, so it wants a run of a second or more.
    pub user_us: f64,
    /// The part in the kernel.
    pub system_us: f64,
    /// How many CPUs were busy with it on average.
    pub cpus: f64,
}

impl CpuTime {
    /// Of a process of this machine.
    pub fn of(pid: u32) -> Result<CpuTime> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let (user_ticks, system_ticks) = ticks(&text).ok_or_else(|| strange("stat"))?;
        Ok(CpuTime { total: cpu_clock(pid)?, user_ticks, system_ticks })
    }

    /// What was used since then, divided by what was done in that time.
    pub fn per_operation(&self, before: &CpuTime, operations: u64, elapsed: Duration) -> CpuPerOperation {
        let used = self.total.saturating_sub(before.total).as_secs_f64();
        let (user, system) = (self.user_ticks - before.user_ticks, self.system_ticks - before.system_ticks);
        let total_us = used * 1e6 / operations.max(1) as f64;
        let share = if user + system == 0 { 0.5 } else { user as f64 / (user + system) as f64 };
        CpuPerOperation {
            total_us,
            user_us: total_us * share,
            system_us: total_us * (1.0 - share),
            cpus: used / elapsed.as_secs_f64().max(1e-9),
        }
    }
}

/// Reads the CPU clock of a process: see clock_getcpuclockid(3).
fn cpu_clock(pid: u32) -> Result<Duration> {
    let (mut clock, mut time) = (0, libc::timespec { tv_sec: 0, tv_nsec: 0 });
    // SAFETY: `clock` and `time` are valid during the calls, which do not keep them.
    unsafe {
        let error = libc::clock_getcpuclockid(pid as i32, &mut clock);
        if error != 0 {
            return Err(Error::from_raw_os_error(error));
        }
        if libc::clock_gettime(clock, &mut time) != 0 {
            return Err(Error::last_os_error());
        }
    }
    Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

/// utime and stime of /proc/PID/stat. The name in it may have spaces and brackets.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// Bytes of a process's memory that are resident.
pub fn resident_bytes(pid: u32) -> Result<u64> {
    // The sum over all mappings is exact; VmRSS is gathered from counters of threads.
    let exact = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"));
    let exact = exact.ok().and_then(|text| kilobytes(&text, "Rss:"));
    match exact {
        Some(bytes) => Ok(bytes),
        None => {
            let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
            kilobytes(&text, "VmRSS:").ok_or_else(|| strange("status"))
        }
    }
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1_024)
}

fn strange(file: &str) -> Error {
    Error::other(format!("/proc/PID/{file} is not as expected"))
}

/// The process that listens at an address of this machine; none if it is elsewhere, or another user's.
pub fn listener(address: &Address) -> Option<u32> {
    let read = |file: &str| fs::read_to_string(format!("/proc/net/{file}")).unwrap_or_default();
    let inodes: Vec<u64> = match address {
        Address::Tcp(tcp) if !tcp.ip().is_loopback() && !local(tcp.ip()) => return None,
        Address::Tcp(tcp) => {
            ["tcp", "tcp6"].iter().flat_map(|file| tcp_inodes(&read(file), tcp.port())).collect()
        }
        Address::Unix(path) => unix_inodes(&read("unix"), path),
    };
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.into_iter().find(|pid| holds(*pid, &inodes))
}

/// Whether an address is one of this machine's: then it can be bound.
fn local(address: std::net::IpAddr) -> bool {
    std::net::UdpSocket::bind((address, 0)).is_ok()
}

/// Inodes of sockets that listen on a port, from /proc/net/tcp or tcp6.
fn tcp_inodes(table: &str, port: u16) -> Vec<u64> {
    let ending = format!(":{port:04X}");
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let listening = rows.filter(|row| row.len() > 9 && row[1].ends_with(&ending) && row[3] == "0A");
    listening.filter_map(|row| row[9].parse().ok()).collect()
}

/// The same for a path, from /proc/net/unix.
fn unix_inodes(table: &str, path: &Path) -> Vec<u64> {
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    // The flag of a socket that accepts.
    let listening = rows.filter(|row| row.len() > 7 && Path::new(row[7]) == path && row[3] == "00010000");
    listening.filter_map(|row| row[6].parse().ok()).collect()
}

fn holds(pid: u32, inodes: &[u64]) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    descriptors.flatten().filter_map(|entry| fs::read_link(entry.path()).ok()).any(|target| {
        let inode = target.to_str().and_then(|name| name.strip_prefix("socket:[")?.strip_suffix(']'));
        inode.and_then(|digits| digits.parse().ok()).is_some_and(|inode| inodes.contains(&inode))
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;
    use std::time::Instant;

    use super::*;

    #[test]
    fn fields_of_proc_are_found() {
        let stat = "42 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 123 45 0 0 20 0 3";
        assert_eq!(ticks(stat), Some((123, 45)));
        assert_eq!(ticks("42 (a) S 1"), None);
        assert_eq!(kilobytes("VmPeak: 9 kB\nVmRSS:\t  12 kB\n", "VmRSS:"), Some(12_288));
        assert_eq!(kilobytes("", "VmRSS:"), None);
        let tcp = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                   0: 0100007F:18EB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 777 1 0 100\n   \
                   1: 0100007F:18EB 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 778 1 0 100\n   \
                   2: 0100007F:18EC 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 779 1 0 100\n";
        assert_eq!(tcp_inodes(tcp, 6379), [777]);
        let unix = "Num       RefCount Protocol Flags    Type St Inode Path\n\
                    0000000000000000: 00000002 00000000 00010000 0001 01 555 /tmp/a.sock\n\
                    0000000000000000: 00000003 00000000 00000000 0001 03 556 /tmp/a.sock\n";
        assert_eq!(unix_inodes(unix, Path::new("/tmp/a.sock")), [555]);
    }

    #[test]
    fn listeners_are_found() {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = Address::Tcp(tcp.local_addr().expect("bound"));
        assert_eq!(listener(&address), Some(std::process::id()));
        let path = std::env::temp_dir().join(format!("observe-{}.sock", std::process::id()));
        let unix = UnixListener::bind(&path).expect("a free path");
        assert_eq!(listener(&Address::Unix(path.clone())), Some(std::process::id()));
        fs::remove_file(&path).expect("it is there");
        drop((tcp, unix));
        assert_eq!(listener(&address), None);
        let elsewhere = Address::Tcp(([192, 0, 2, 1], 80).into());
        assert_eq!(listener(&elsewhere), None);
    }

    #[test]
    fn work_is_seen_to_the_nanosecond() {
        let pid = std::process::id();
        let (before, began) = (CpuTime::of(pid).expect("it runs"), Instant::now());
        // Threads that have ended count.
        let sum = std::thread::spawn(|| (0..3_000_000u64).fold(0, |sum, n| std::hint::black_box(sum ^ n)));
        sum.join().expect("no panic");
        let after = CpuTime::of(pid).expect("it runs");
        let used = after.per_operation(&before, 1_000, began.elapsed());
        assert!(used.total_us > 0.1, "{used:?}");
        assert!((used.user_us + used.system_us - used.total_us).abs() < 1e-6);
        assert!(CpuTime::of(u32::MAX >> 2).is_err(), "nobody has this number");
    }

    #[test]
    fn figures_are_per_operation() {
        let before = CpuTime { total: Duration::from_secs(1), user_ticks: 10, system_ticks: 10 };
        let after = CpuTime { total: Duration::from_secs(2), user_ticks: 40, system_ticks: 20 };
        let used = after.per_operation(&before, 100_000, Duration::from_secs(2));
        assert_eq!(used, CpuPerOperation { total_us: 10.0, user_us: 7.5, system_us: 2.5, cpus: 0.5 });
    }

    #[test]
    fn memory_that_is_touched_is_resident() {
        let pid = std::process::id();
        let before = resident_bytes(pid).expect("it runs");
        let touched = std::hint::black_box(vec![1u8; 64 * 1_024 * 1_024]);
        let after = resident_bytes(pid).expect("it runs");
        assert!(after > before + 48 * 1_024 * 1_024, "{before} {after} {}", touched.len());
    }
}
