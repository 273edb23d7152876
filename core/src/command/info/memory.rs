//! Memory, of all cores together: where the bytes are. MEMORY STATS shows the same figures.

use super::Section;
use crate::node::{FIXED_BYTES, Node};
use crate::statistics::CoreStatistics;

/// Bytes of the whole process.
#[derive(Clone, Copy, Debug)]
pub struct MemoryFigures {
    /// Tables, keys, values, clients, and what a core takes anyway.
    pub used: u64,
    /// The most of it that was ever seen.
    pub peak: u64,
    /// As the operating system counts.
    pub resident: u64,
    /// What was taken before there was a key.
    pub startup: u64,
    /// Clients' buffers.
    pub clients: u64,
    /// All but keys and values.
    pub overhead: u64,
}

impl MemoryFigures {
    pub fn of(node: &Node, sum: &CoreStatistics) -> MemoryFigures {
        let startup = FIXED_BYTES as u64 * u64::from(node.cores);
        let used = startup + sum.data_bytes + sum.client_bytes;
        MemoryFigures {
            used,
            peak: sum.peak_bytes.max(used),
            resident: (node.instruments.usage)().resident,
            startup,
            clients: sum.client_bytes,
            overhead: startup + sum.table_bytes + sum.client_bytes,
        }
    }

    /// Keys and values.
    pub fn dataset(&self) -> u64 {
        self.used.saturating_sub(self.overhead)
    }

    /// The share of keys and values in what was not there at the start, percent.
    pub fn dataset_percent(&self) -> f64 {
        100.0 * ratio(self.dataset(), self.used.saturating_sub(self.startup))
    }

    /// Percent.
    pub fn peak_percent(&self) -> f64 {
        100.0 * ratio(self.used, self.peak)
    }

    /// Resident bytes for each byte in use.
    pub fn fragmentation(&self) -> f64 {
        ratio(self.resident, self.used)
    }

    /// Resident bytes that are not in use; negative where pages in use were never touched.
    pub fn fragmentation_bytes(&self) -> i64 {
        self.resident as i64 - self.used as i64
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Bytes in the form that people read: `1.50M`.
fn human(bytes: u64) -> String {
    let Some(unit) = (1..=5).rev().find(|unit| bytes >> (10 * unit) > 0) else { return format!("{bytes}B") };
    let letter = ["K", "M", "G", "T", "P"][unit - 1];
    format!("{:.2}{letter}", bytes as f64 / (1u64 << (10 * unit)) as f64)
}

/// Bytes as a number, and as people read them.
fn both(section: &mut Section<'_>, name: &str, bytes: u64) {
    section.field(name, bytes);
    section.field(format_args!("{name}_human"), human(bytes));
}

pub(super) fn section(section: &mut Section<'_>) {
    let figures = MemoryFigures::of(section.node, section.sum);
    let node = section.node;
    both(section, "used_memory", figures.used);
    both(section, "used_memory_rss", figures.resident);
    both(section, "used_memory_peak", figures.peak);
    section.field("used_memory_peak_perc", format_args!("{:.2}%", figures.peak_percent()));
    section.field("used_memory_overhead", figures.overhead);
    section.field("used_memory_startup", figures.startup);
    section.field("used_memory_dataset", figures.dataset());
    section.field("used_memory_dataset_perc", format_args!("{:.2}%", figures.dataset_percent()));
    // The allocator's own books are not open: what is in use, and what is resident.
    section.field("allocator_allocated", figures.used);
    section.field("allocator_active", figures.resident);
    section.field("allocator_resident", figures.resident);
    both(section, "total_system_memory", node.process.memory);
    section.fixed(&[
        ("used_memory_lua", "0"),
        ("used_memory_vm_eval", "0"),
        ("used_memory_lua_human", "0B"),
        ("used_memory_scripts_eval", "0"),
        ("number_of_cached_scripts", "0"),
        ("number_of_functions", "0"),
        ("number_of_libraries", "0"),
        ("used_memory_vm_functions", "0"),
        ("used_memory_vm_total", "0"),
        ("used_memory_vm_total_human", "0B"),
        ("used_memory_functions", "0"),
        ("used_memory_scripts", "0"),
        ("used_memory_scripts_human", "0B"),
    ]);
    both(section, "maxmemory", node.settings.maxmemory);
    section.field("maxmemory_policy", node.settings.maxmemory_policy.name());
    section.field("allocator_frag_ratio", format_args!("{:.2}", figures.fragmentation()));
    section.field("allocator_frag_bytes", figures.fragmentation_bytes());
    section.fixed(&[
        ("allocator_rss_ratio", "1.00"),
        ("allocator_rss_bytes", "0"),
        ("rss_overhead_ratio", "1.00"),
        ("rss_overhead_bytes", "0"),
    ]);
    section.field("mem_fragmentation_ratio", format_args!("{:.2}", figures.fragmentation()));
    section.field("mem_fragmentation_bytes", figures.fragmentation_bytes());
    // What is on its way to files: who counted it would have keys go because keys went, since that is written down.
    let (log, saving) = (section.sum.log_pending_bytes, section.sum.saving_bytes);
    section.field("mem_not_counted_for_evict", log + saving);
    section.fixed(&[
        ("mem_replication_backlog", "0"),
        ("mem_total_replication_buffers", "0"),
        ("mem_clients_slaves", "0"),
    ]);
    section.field("mem_clients_normal", figures.clients);
    section.field("mem_cluster_links", 0);
    section.field("mem_aof_buffer", log);
    section.fixed(&[("mem_allocator", "slabs, mimalloc"), ("active_defrag_running", "0")]);
    section.field("lazyfree_pending_objects", section.sum.trash_keys);
    section.field("lazyfreed_objects", 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_as_redis_writes_them() {
        for (bytes, text) in [
            (0, "0B"),
            (1_023, "1023B"),
            (1_024, "1.00K"),
            (1_163_408, "1.11M"),
            (25_276_502_016, "23.54G"),
            (3 << 40, "3.00T"),
            (u64::MAX, "16384.00P"),
        ] {
            assert_eq!(human(bytes), text);
        }
    }
}
