//! Facts and readings of the process and its machine, for statistics.
//!
//! Nothing read here reaches a decision of the store, but how much memory there is and how much is resident: `maxmemory`.

use std::ffi::CStr;
use std::fs;
use std::sync::OnceLock;
use std::time::Instant;

use darter_core::host::{Instruments, Process, Usage};

/// The readings that engines get. Calibrates the stopwatch, which takes a few milliseconds.
pub fn instruments() -> Instruments {
    stopwatch();
    Instruments { stopwatch, usage, purge: crate::allocator::purge }
}

/// Facts of this process. `config_file` is absolute or empty.
pub fn process(config_file: String) -> Process {
    let path = |path: std::io::Result<std::path::PathBuf>| path.unwrap_or_default().display().to_string();
    Process {
        pid: std::process::id(),
        run_id: entropy::<20>().iter().map(|byte| format!("{byte:02x}")).collect(),
        os: system(),
        executable: path(std::env::current_exe()),
        config_file,
        directory: path(std::env::current_dir()),
        memory: memory(),
        boot: boot(),
    }
}

/// Names this start of the machine.
fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_string()
}

/// Bytes of the system's entropy.
pub fn entropy<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system has entropy");
    bytes
}

/// As `uname -srm` says.
fn system() -> String {
    // SAFETY: the structure is plain text for which zeroes are a value; the call fills it with terminated strings.
    unsafe {
        let mut names: libc::utsname = std::mem::zeroed();
        libc::uname(&mut names);
        let text = |field: &[libc::c_char]| CStr::from_ptr(field.as_ptr()).to_string_lossy().into_owned();
        format!("{} {} {}", text(&names.sysname), text(&names.release), text(&names.machine))
    }
}

/// Bytes of memory of the machine, or of its control group if that allows less.
pub fn memory() -> u64 {
    let total = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemTotal:"))?.to_string();
        Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
    });
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = limit_files(&groups);
    let limits = limits.iter().filter_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok());
    total.into_iter().chain(limits).min().unwrap_or(0)
}

/// The files that limit the memory of the control groups that `/proc/self/cgroup` tells of, and of those around them, of either version.
fn limit_files(groups: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (root, file) = match controllers.is_empty() {
            true => ("/sys/fs/cgroup", "memory.max"),
            false if controllers.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            false => continue,
        };
        let mut path = path.trim_end_matches('/');
        loop {
            files.push(format!("{root}{path}/{file}"));
            match path.rfind('/') {
                Some(at) => path = &path[..at],
                None => break,
            }
        }
    }
    files
}

/// What the process and this thread use.
fn usage() -> Usage {
    let (cpu_user_micros, cpu_system_micros) = cpu(libc::RUSAGE_SELF);
    let (cpu_user_thread_micros, cpu_system_thread_micros) = cpu(libc::RUSAGE_THREAD);
    let pages = fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok()).unwrap_or(0);
    // SAFETY: takes no memory of ours.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64;
    Usage {
        resident: pages * page,
        cpu_system_micros,
        cpu_user_micros,
        cpu_system_thread_micros,
        cpu_user_thread_micros,
    }
}

/// User and system time, microseconds.
fn cpu(whose: libc::c_int) -> (u64, u64) {
    // SAFETY: the structure is plain numbers for which zeroes are a value; the call fills it.
    let used = unsafe {
        let mut used: libc::rusage = std::mem::zeroed();
        libc::getrusage(whose, &mut used);
        used
    };
    let micros = |time: libc::timeval| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
    (micros(used.ru_utime), micros(used.ru_stime))
}

/// A clock for durations: the processor's counter where that runs evenly, else the system's.
struct Ticks {
    start: Instant,
    /// Nanoseconds per 2^32 ticks, if the counter is used.
    scale: Option<u64>,
    first: u64,
}

fn stopwatch() -> u64 {
    static TICKS: OnceLock<Ticks> = OnceLock::new();
    let ticks = TICKS.get_or_init(Ticks::calibrate);
    match ticks.scale {
        Some(scale) => {
            let passed = counter().wrapping_sub(ticks.first);
            ((u128::from(passed) * u128::from(scale)) >> 32) as u64
        }
        None => ticks.start.elapsed().as_nanos() as u64,
    }
}

impl Ticks {
    fn calibrate() -> Ticks {
        let (start, first) = (Instant::now(), counter());
        if !counter_is_even() {
            return Ticks { start, scale: None, first };
        }
        while start.elapsed().as_micros() < 2_000 {
            std::hint::spin_loop();
        }
        let (nanos, passed) = (start.elapsed().as_nanos(), u128::from(counter().wrapping_sub(first)));
        let scale = (nanos << 32).checked_div(passed).and_then(|scale| u64::try_from(scale).ok());
        Ticks { start, scale, first }
    }
}

/// True if the counter runs at the same pace on all CPUs, whatever they do.
fn counter_is_even() -> bool {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    cfg!(target_arch = "x86_64") && text.contains("constant_tsc") && text.contains("nonstop_tsc")
}

#[cfg(target_arch = "x86_64")]
fn counter() -> u64 {
    // SAFETY: every processor of this architecture has the instruction.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
fn counter() -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stopwatch_agrees_with_the_clock() {
        let read = instruments().stopwatch;
        let (clock, before) = (Instant::now(), read());
        while clock.elapsed().as_millis() < 20 {
            std::hint::spin_loop();
        }
        let measured = read() - before;
        let elapsed = clock.elapsed().as_nanos() as u64;
        assert!(measured > elapsed * 9 / 10 && measured < elapsed * 11 / 10, "{measured} against {elapsed}");
    }

    #[test]
    fn limits_of_both_versions_are_looked_for_up_to_the_root() {
        let files = limit_files("0::/system.slice/darter.service\n");
        assert_eq!(files[0], "/sys/fs/cgroup/system.slice/darter.service/memory.max");
        assert_eq!(files[2], "/sys/fs/cgroup/memory.max");
        let files = limit_files("5:cpu,cpuacct:/a\n4:memory:/docker/x\n");
        assert_eq!(files[0], "/sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes");
        assert_eq!((files.len(), limit_files("0::/\n").len()), (3, 1));
    }

    #[test]
    fn readings_are_plausible() {
        let usage = usage();
        assert!(usage.resident > 100_000 && usage.cpu_user_micros + usage.cpu_system_micros > 0, "{usage:?}");
        let process = process(String::new());
        assert_eq!(process.run_id.len(), 40);
        assert!(process.memory > 1 << 20 && process.os.starts_with("Linux "), "{process:?}");
    }
}
