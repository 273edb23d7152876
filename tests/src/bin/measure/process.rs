//! What the kernel says of a server and of the child that it may have: memory and CPU time.

use std::fs::read_to_string;
use std::time::Duration;

/// Bytes that are resident, of a process and its children: what parent and child share counts once.
pub fn memory(pid: u32) -> u64 {
    match children(pid) {
        alone if alone.is_empty() => resident(pid),
        children => children.into_iter().chain([pid]).filter_map(proportional).sum(),
    }
}

/// True if it has a child: the kernel then goes through all pages to tell their memory, which it should not be asked often.
pub fn has_child(pid: u32) -> bool {
    !children(pid).is_empty()
}

fn resident(pid: u32) -> u64 {
    let text = read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the kernel says so");
    line.split_whitespace().next().and_then(|kb| kb.parse::<u64>().ok()).expect("kilobytes") * 1_024
}

/// Its share of what is resident, bytes. A child may end while this looks.
fn proportional(pid: u32) -> Option<u64> {
    let text = read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kb| kb * 1_024)
}

fn children(pid: u32) -> Vec<u32> {
    let text = read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// CPU time of a process, of its threads that have ended, and of its children that have; to a hundredth of a second.
pub fn cpu(pid: u32) -> Duration {
    let text = read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    // The name may hold anything, and ends with the last bracket.
    let fields = text.rsplit_once(')').map(|(_, fields)| fields).expect("the kernel writes so");
    let ticks = fields.split_whitespace().skip(11).take(4).filter_map(|field| field.parse::<u64>().ok());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}
