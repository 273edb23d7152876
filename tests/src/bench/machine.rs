//! On what a figure was measured. It only reads.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::cpus::Cpus;

/// What a report says of the machine.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// How many CPUs this process may use.
    pub cpus: usize,
    /// The kernel's release.
    pub kernel: String,
    /// Seconds of unix time.
    pub measured_at: u64,
}

impl Machine {
    /// This one, now.
    pub fn this() -> Machine {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        Machine {
            processor: field(&cpuinfo, "model name").unwrap_or("unknown").into(),
            cpus: Cpus::allowed().map_or(0, |cpus| cpus.list().len()),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().into(),
            measured_at: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
        }
    }
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_named() {
        assert_eq!(
            field("processor\t: 0\nmodel name\t: A: B\nmodel name\t: C\n", "model name"),
            Some("A: B")
        );
        assert_eq!(field("", "model name"), None);
        let machine = Machine::this();
        assert!(machine.cpus > 0 && !machine.kernel.is_empty());
    }
}
