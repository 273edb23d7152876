//! Server, Persistence, Replication, CPU, Cluster; and Darter, for what Redis does not have.

use super::Section;
use crate::statistics::CoreStatistics;
use crate::value::record::Access;
use crate::{COMPATIBLE_VERSION, VERSION};

pub(super) fn server(section: &mut Section<'_>) {
    let node = section.node;
    let process = &node.process;
    let uptime = node.uptime_seconds();
    section.field("redis_version", COMPATIBLE_VERSION);
    section.field("darter_version", VERSION);
    section.fixed(&[("redis_git_sha1", "00000000"), ("redis_git_dirty", "0"), ("redis_build_id", "0")]);
    section.field("redis_mode", "standalone");
    section.field("os", &process.os);
    section.field("arch_bits", usize::BITS);
    section.fixed(&[
        ("monotonic_clock", "POSIX clock_gettime"),
        ("multiplexing_api", "io_uring"),
        ("atomicvar_api", "rust-core"),
    ]);
    section.field("process_id", process.pid);
    section.field("process_supervised", "no");
    section.field("run_id", &process.run_id);
    section.field("tcp_port", node.settings.port);
    section.field("server_time_usec", node.now.unix_micros);
    section.field("uptime_in_seconds", uptime);
    section.field("uptime_in_days", uptime / 86_400);
    section.field("hz", node.settings.hz);
    section.field("configured_hz", node.settings.hz);
    section.field("lru_clock", node.now.unix_seconds() & u64::from(Access::MASK));
    section.field("executable", &process.executable);
    section.field("config_file", &process.config_file);
    section.field("io_threads_active", 0);
    section.field("shards", node.cores);
}

/// Snapshots and loading. What Redis counts of its child process is zero: there is none.
pub(super) fn persistence(section: &mut Section<'_>) {
    let status = section.node.status.clone();
    let now = section.node.now.unix_seconds();
    section.field("loading", u8::from(section.node.is_loading()));
    section.fixed(&[
        ("async_loading", "0"),
        ("current_cow_peak", "0"),
        ("current_cow_size", "0"),
        ("current_cow_size_age", "0"),
        ("current_fork_perc", "0.00"),
    ]);
    let of_save =
        if status.is_saving || status.is_rewriting { section.sum } else { &CoreStatistics::default() };
    section.field("current_save_keys_processed", of_save.saved_keys);
    section.field("current_save_keys_total", of_save.keys_at_cut);
    let seconds = |seconds: Option<u64>| seconds.map_or(-1, |seconds| seconds as i64);
    let current = status.is_saving.then(|| now.saturating_sub(status.saving_began));
    section.field("rdb_changes_since_last_save", section.sum.unsaved_changes);
    section.field("rdb_bgsave_in_progress", u8::from(status.is_saving));
    section.field("rdb_last_save_time", section.node.last_save());
    section.field("rdb_last_bgsave_status", if status.has_failed { "err" } else { "ok" });
    section.field("rdb_last_bgsave_time_sec", seconds(status.last_seconds));
    section.field("rdb_current_bgsave_time_sec", seconds(current));
    section.field("rdb_saves", status.saves);
    section.field("rdb_last_cow_size", 0);
    section.field("rdb_last_load_keys_expired", status.keys_expired);
    section.field("rdb_last_load_keys_loaded", status.keys_loaded);
    let rewriting = status.is_rewriting.then(|| now.saturating_sub(status.rewriting_began));
    let is_on = section.node.settings.appendonly;
    section.field("aof_enabled", u8::from(is_on));
    section.field("aof_rewrite_in_progress", u8::from(status.is_rewriting));
    section.field("aof_rewrite_scheduled", u8::from(status.is_rewrite_scheduled));
    section.field("aof_last_rewrite_time_sec", seconds(status.last_rewrite_seconds));
    section.field("aof_current_rewrite_time_sec", seconds(rewriting));
    section.field("aof_last_bgrewrite_status", if status.rewrite_failed { "err" } else { "ok" });
    section.field("aof_rewrites", status.rewrites);
    section.field("aof_rewrites_consecutive_failures", u8::from(status.rewrite_failed));
    section.field("aof_last_write_status", if section.sum.log_fails { "err" } else { "ok" });
    section.fixed(&[
        ("aof_last_cow_size", "0"),
        ("module_fork_in_progress", "0"),
        ("module_fork_last_cow_size", "0"),
    ]);
    if is_on {
        section.field("aof_current_size", status.base_bytes + section.sum.log_bytes);
        section.field("aof_base_size", status.base_bytes);
        section.field("aof_pending_rewrite", 0);
        section.field("aof_buffer_length", section.sum.log_pending_bytes);
        section.field("aof_pending_bio_fsync", 0);
        section.field("aof_delayed_fsync", 0);
    }
    if section.node.is_loading() {
        let percent = 100.0 * status.loaded_bytes as f64 / status.loading_bytes.max(1) as f64;
        let passed = now.saturating_sub(status.loading_began).max(1);
        let rate = (status.loaded_bytes / passed).max(1);
        section.field("loading_start_time", status.loading_began);
        section.field("loading_total_bytes", status.loading_bytes);
        section.field("loading_rdb_used_mem", 0);
        section.field("loading_loaded_bytes", status.loaded_bytes);
        section.field("loading_loaded_perc", format!("{percent:.2}"));
        section.field("loading_eta_seconds", status.loading_bytes.saturating_sub(status.loaded_bytes) / rate);
    }
}

pub(super) fn replication(section: &mut Section<'_>) {
    section.fixed(&[("role", "master"), ("connected_slaves", "0"), ("master_failover_state", "no-failover")]);
    section.field("master_replid", &section.node.process.run_id);
    section.field("master_replid2", "0".repeat(40));
    section.fixed(&[("master_repl_offset", "0"), ("second_repl_offset", "-1"), ("repl_backlog_active", "0")]);
    section.field("repl_backlog_size", section.node.settings.get("repl-backlog-size").unwrap_or_default());
    section.fixed(&[("repl_backlog_first_byte_offset", "0"), ("repl_backlog_histlen", "0")]);
}

pub(super) fn cpu(section: &mut Section<'_>) {
    let usage = (section.node.instruments.usage)();
    let seconds = |micros: u64| format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    section.field("used_cpu_sys", seconds(usage.cpu_system_micros));
    section.field("used_cpu_user", seconds(usage.cpu_user_micros));
    section.field("used_cpu_sys_children", seconds(0));
    section.field("used_cpu_user_children", seconds(0));
    section.field("used_cpu_sys_main_thread", seconds(usage.cpu_system_thread_micros));
    section.field("used_cpu_user_main_thread", seconds(usage.cpu_user_thread_micros));
}

pub(super) fn cluster(section: &mut Section<'_>) {
    section.field("cluster_enabled", 0);
}

pub(super) fn darter(section: &mut Section<'_>) {
    let sum = section.sum;
    section.field("remote_requests", sum.remote_requests);
    section.field("outstanding_requests", sum.outstanding);
    section.field("held_clients", sum.held_clients);
    section.field("monitors", sum.monitors);
    section.field("monitor_lines_dropped", sum.lines_dropped);
    section.field("table_bytes", sum.table_bytes);
    for (core, share) in section.cores.iter().enumerate() {
        let keys: u64 = share.databases.values().map(|database| database.keys).sum();
        section.field(
            format_args!("shard{core}"),
            format_args!(
                "keys={keys},bytes={},clients={},commands={}",
                share.data_bytes, share.clients, share.commands
            ),
        );
    }
}
