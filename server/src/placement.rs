//! How many CPUs the process may use, and which.
//!
//! Both the affinity mask and the CPU quota of the control group count: a container with two CPUs on a large machine
//! runs two shards.

use std::fs;
use std::path::{Path, PathBuf};

use darter_io::Placing;

/// The CPUs of the affinity mask, lowest first; never empty.
pub fn allowed_cpus() -> Vec<usize> {
    // SAFETY: the set is plain data for which zeroes are a value; the call writes at most its size.
    let set = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) != 0 {
            return vec![0];
        }
        set
    };
    // SAFETY: the index is below the size of the set.
    let cpus = (0..libc::CPU_SETSIZE as usize).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) });
    let cpus: Vec<usize> = cpus.collect();
    if cpus.is_empty() { vec![0] } else { cpus }
}

/// How many CPUs the control group's quota amounts to, rounded up; `None` without a quota.
pub fn quota() -> Option<usize> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    quota_below(Path::new("/sys/fs/cgroup"), &groups)
}

/// How many shards to run, and where. Cores are pinned when they take all CPUs there are: two processes with
/// fewer shards would otherwise both sit on the first CPUs.
pub fn place(shards: u16, cpus: Vec<usize>, quota: Option<usize>) -> (u16, Placing) {
    let usable = quota.map_or(cpus.len(), |quota| quota.clamp(1, cpus.len()));
    let shards = if shards == 0 { usable.min(usize::from(u16::MAX)) as u16 } else { shards };
    let placing = match usize::from(shards) {
        all if all == cpus.len() => Placing::Pinned(cpus),
        some if some <= usable => Placing::Free,
        _ => Placing::Crowded,
    };
    (shards, placing)
}

/// The smallest quota of the group and those above it, in version 2 or 1 of control groups.
fn quota_below(root: &Path, groups: &str) -> Option<usize> {
    let mut smallest = None;
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let (base, read): (PathBuf, fn(&Path) -> Option<f64>) = match controllers {
            "" => (root.to_path_buf(), quota_v2),
            list if list.split(',').any(|name| name == "cpu") => (root.join(list), quota_v1),
            _ => continue,
        };
        let path = base.join(path.trim_start_matches('/'));
        // In a container the path may be the host's: then the group is the root of what is mounted.
        for directory in path.ancestors().take_while(|directory| directory.starts_with(&base)) {
            let cpus = read(directory).map(|cpus| (cpus.ceil() as usize).max(1));
            smallest = [smallest, cpus].into_iter().flatten().min();
        }
    }
    smallest
}

fn quota_v2(directory: &Path) -> Option<f64> {
    let text = fs::read_to_string(directory.join("cpu.max")).ok()?;
    let (quota, period) = text.trim().split_once(' ')?;
    Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
}

fn quota_v1(directory: &Path) -> Option<f64> {
    let read = |name| fs::read_to_string(directory.join(name)).ok()?.trim().parse::<f64>().ok();
    let quota = read("cpu.cfs_quota_us").filter(|quota| *quota > 0.0)?;
    Some(quota / read("cpu.cfs_period_us")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_follow_cpus_and_quota() {
        let check = |shards, cpus: usize, quota, expected: (u16, Placing)| {
            assert_eq!(place(shards, (0..cpus).collect(), quota), expected);
        };
        check(0, 2, None, (2, Placing::Pinned(vec![0, 1])));
        check(0, 8, Some(3), (3, Placing::Free));
        check(0, 2, Some(5), (2, Placing::Pinned(vec![0, 1])));
        check(1, 2, None, (1, Placing::Free));
        check(4, 2, None, (4, Placing::Crowded));
        check(3, 8, Some(2), (3, Placing::Crowded));
        assert!(!allowed_cpus().is_empty());
    }

    #[test]
    fn quotas_are_read_in_both_versions_and_rounded_up() {
        let root = std::env::temp_dir().join(format!("darter-cgroup-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("cpu.max", "max 100000\n");
        write("pod/cpu.max", "250000 100000\n");
        write("pod/inner/cpu.max", "max 100000\n");
        write("cpu,cpuacct/old/cpu.cfs_quota_us", "150000\n");
        write("cpu,cpuacct/old/cpu.cfs_period_us", "100000\n");
        write("cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
        let outcomes = ["0::/pod/inner", "4:cpu,cpuacct:/old", "0::/", "4:memory:/old"];
        let quotas = outcomes.map(|groups| quota_below(&root, groups));
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(quotas, [Some(3), Some(2), None, None]);
    }
}
