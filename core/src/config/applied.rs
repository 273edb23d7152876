//! The parameters that have effect: one row for each field of [`super::Settings`].
//!
//! It does not know what the effect is.

use super::cron::Cron;
use super::parameter::{Form, Parameter};
use super::special::{append_directory, append_file, dump_file, print_save, save};
use super::value::{self, ACCESS, LOG_LEVELS, SYNC_POLICIES};
use super::{print_bind, set_bind};
use crate::eviction::policy::Policy;

const I32_MAX: i64 = i32::MAX as i64;
const SIZE_MAX: u64 = i64::MAX as u64;

/// `port` and `bind` may change at run time in Redis; here they are immutable as long as nothing can open
/// sockets anew.
pub(super) static PARAMETERS: &[Parameter] = &[
    // Where to listen.
    Parameter::applied(
        "port",
        |s, v| value::integer(v[0], 0, 65_535).map(|port| s.port = port),
        |s| s.port.to_string(),
    )
    .immutable(),
    Parameter::applied("bind", set_bind, print_bind).many().immutable(),
    Parameter::applied(
        "protected-mode",
        |s, v| value::yes_no(v[0]).map(|on| s.protected_mode = on),
        |s| value::print_yes_no(s.protected_mode),
    ),
    Parameter::applied(
        "tcp-backlog",
        |s, v| value::integer(v[0], 0, I32_MAX).map(|len| s.tcp_backlog = len),
        |s| s.tcp_backlog.to_string(),
    )
    .immutable(),
    Parameter::applied(
        "unixsocket",
        |s, v| {
            s.unixsocket = Some(v[0]).filter(|path| !path.is_empty()).map(Into::into);
            Ok(())
        },
        |s| s.unixsocket.clone().unwrap_or_default(),
    )
    .form(Form::Quoted)
    .immutable(),
    Parameter::applied(
        "unixsocketperm",
        |s, v| value::octal(v[0]).map(|mode| s.unixsocketperm = mode),
        |s| value::print_octal(s.unixsocketperm),
    )
    .immutable(),
    Parameter::applied(
        "memcached-port",
        |s, v| value::integer(v[0], 0, 65_535).map(|port| s.memcached_port = port),
        |s| s.memcached_port.to_string(),
    )
    .immutable(),
    Parameter::applied(
        "memcached-unixsocket",
        |s, v| {
            s.memcached_unixsocket = Some(v[0]).filter(|path| !path.is_empty()).map(Into::into);
            Ok(())
        },
        |s| s.memcached_unixsocket.clone().unwrap_or_default(),
    )
    .form(Form::Quoted)
    .immutable(),
    Parameter::applied(
        "memcached-max-item-size",
        |s, v| value::memory(v[0], 1 << 10, 1 << 30).map(|bytes| s.memcached_max_item_size = bytes),
        |s| s.memcached_max_item_size.to_string(),
    )
    .form(Form::Memory),
    // Clients.
    Parameter::applied(
        "timeout",
        |s, v| value::integer(v[0], 0, I32_MAX).map(|seconds| s.timeout = seconds),
        |s| s.timeout.to_string(),
    ),
    Parameter::applied(
        "tcp-keepalive",
        |s, v| value::integer(v[0], 0, I32_MAX).map(|seconds| s.tcp_keepalive = seconds),
        |s| s.tcp_keepalive.to_string(),
    ),
    Parameter::applied(
        "maxclients",
        |s, v| value::integer(v[0], 1, u32::MAX as i64).map(|clients| s.maxclients = clients),
        |s| s.maxclients.to_string(),
    ),
    Parameter::applied(
        "requirepass",
        |s, v| {
            s.requirepass = v[0].into();
            Ok(())
        },
        |s| s.requirepass.clone(),
    )
    .form(Form::Quoted),
    Parameter::applied(
        "proto-max-bulk-len",
        |s, v| value::memory(v[0], 1 << 20, SIZE_MAX).map(|bytes| s.proto_max_bulk_len = bytes),
        |s| s.proto_max_bulk_len.to_string(),
    )
    .form(Form::Memory),
    Parameter::applied(
        "rdbcompression",
        |s, v| value::yes_no(v[0]).map(|on| s.rdb_compression = on),
        |s| value::print_yes_no(s.rdb_compression),
    ),
    Parameter::applied(
        "rdbchecksum",
        |s, v| value::yes_no(v[0]).map(|on| s.rdb_checksum = on),
        |s| value::print_yes_no(s.rdb_checksum),
    )
    .immutable(),
    Parameter::applied(
        "dbfilename",
        |s, v| dump_file(v).map(|name| s.dbfilename = name),
        |s| s.dbfilename.clone(),
    )
    .form(Form::Quoted)
    .protected(),
    Parameter::applied("save", |s, v| save(v).map(|points| s.save = points), |s| print_save(&s.save))
        .many()
        .form(Form::Pairs),
    Parameter::applied(
        "snapshot-cron",
        |s, v| Cron::parse(v).map(|cron| s.snapshot_cron = cron),
        |s| s.snapshot_cron.text().to_string(),
    )
    .many()
    .form(Form::Quoted),
    Parameter::applied(
        "stop-writes-on-bgsave-error",
        |s, v| value::yes_no(v[0]).map(|on| s.stop_writes_on_bgsave_error = on),
        |s| value::print_yes_no(s.stop_writes_on_bgsave_error),
    ),
    Parameter::applied(
        "appendonly",
        |s, v| value::yes_no(v[0]).map(|on| s.appendonly = on),
        |s| value::print_yes_no(s.appendonly),
    ),
    Parameter::applied(
        "appendfsync",
        |s, v| value::choice(v[0], SYNC_POLICIES).map(|policy| s.appendfsync = policy),
        |s| value::print_choice(s.appendfsync, SYNC_POLICIES),
    ),
    Parameter::applied(
        "appendfilename",
        |s, v| append_file(v).map(|name| s.append_filename = name),
        |s| s.append_filename.clone(),
    )
    .form(Form::Quoted)
    .immutable(),
    Parameter::applied(
        "appenddirname",
        |s, v| append_directory(v).map(|name| s.append_dirname = name),
        |s| s.append_dirname.clone(),
    )
    .form(Form::Quoted)
    .immutable(),
    Parameter::applied(
        "aof-load-truncated",
        |s, v| value::yes_no(v[0]).map(|on| s.aof_load_truncated = on),
        |s| value::print_yes_no(s.aof_load_truncated),
    ),
    Parameter::applied(
        "auto-aof-rewrite-percentage",
        |s, v| value::integer(v[0], 0, I32_MAX).map(|percent| s.auto_aof_rewrite_percentage = percent),
        |s| s.auto_aof_rewrite_percentage.to_string(),
    ),
    Parameter::applied(
        "auto-aof-rewrite-min-size",
        |s, v| value::memory(v[0], 0, SIZE_MAX).map(|bytes| s.auto_aof_rewrite_min_size = bytes),
        |s| s.auto_aof_rewrite_min_size.to_string(),
    )
    .form(Form::Memory),
    Parameter::applied(
        "client-query-buffer-limit",
        |s, v| value::memory(v[0], 1 << 20, SIZE_MAX).map(|bytes| s.client_query_buffer_limit = bytes),
        |s| s.client_query_buffer_limit.to_string(),
    )
    .form(Form::Memory),
    Parameter::applied(
        "client-output-buffer-limit",
        |s, v| value::output_limits(v, &mut s.client_output_buffer_limit),
        |s| value::print_output_limits(&s.client_output_buffer_limit),
    )
    .many()
    .form(Form::Classes),
    // The process.
    Parameter::applied(
        "daemonize",
        |s, v| value::yes_no(v[0]).map(|on| s.daemonize = on),
        |s| value::print_yes_no(s.daemonize),
    )
    .immutable(),
    Parameter::applied(
        "pidfile",
        |s, v| {
            s.pidfile = v[0].into();
            Ok(())
        },
        |s| s.pidfile.clone(),
    )
    .form(Form::Quoted)
    .immutable(),
    Parameter::applied(
        "loglevel",
        |s, v| value::choice(v[0], LOG_LEVELS).map(|level| s.loglevel = level),
        |s| value::print_choice(s.loglevel, LOG_LEVELS),
    ),
    Parameter::applied(
        "logfile",
        |s, v| {
            s.logfile = v[0].into();
            Ok(())
        },
        |s| s.logfile.clone(),
    )
    .form(Form::Quoted)
    .immutable(),
    Parameter::applied(
        "dir",
        |s, v| {
            s.dir = v[0].into();
            Ok(())
        },
        |s| s.dir.clone(),
    )
    .form(Form::Quoted)
    .protected(),
    Parameter::applied(
        "databases",
        |s, v| value::integer(v[0], 1, 65_535).map(|count| s.databases = count),
        |s| s.databases.to_string(),
    )
    .immutable(),
    Parameter::applied(
        "maxmemory",
        |s, v| value::memory_or_share(v[0], s.machine_memory).map(|bytes| s.maxmemory = bytes),
        |s| s.maxmemory.to_string(),
    )
    .form(Form::Memory),
    Parameter::applied(
        "maxmemory-policy",
        |s, v| value::choice(v[0], Policy::NAMES).map(|policy| s.maxmemory_policy = policy),
        |s| s.maxmemory_policy.name().to_string(),
    ),
    Parameter::applied(
        "maxmemory-samples",
        |s, v| value::integer(v[0], 1, I32_MAX).map(|samples| s.maxmemory_samples = samples),
        |s| s.maxmemory_samples.to_string(),
    ),
    Parameter::applied(
        "lfu-log-factor",
        |s, v| value::integer(v[0], 0, I32_MAX).map(|factor| s.lfu_log_factor = factor),
        |s| s.lfu_log_factor.to_string(),
    ),
    Parameter::applied(
        "lfu-decay-time",
        |s, v| value::integer(v[0], 0, I32_MAX).map(|minutes| s.lfu_decay_time = minutes),
        |s| s.lfu_decay_time.to_string(),
    ),
    Parameter::applied(
        "hz",
        // As in Redis, what is too low or too high is allowed and moved to the bound.
        |s, v| value::integer::<u32>(v[0], 0, I32_MAX).map(|hz| s.hz = hz.clamp(1, 500)),
        |s| s.hz.to_string(),
    ),
    Parameter::applied(
        "enable-debug-command",
        |s, v| value::choice(v[0], ACCESS).map(|access| s.enable_debug_command = access),
        |s| value::print_choice(s.enable_debug_command, ACCESS),
    )
    .immutable(),
    Parameter::applied(
        "pipeline-order",
        |s, v| value::choice(v[0], value::PIPELINE_ORDERS).map(|strict| s.pipeline_order_strict = strict),
        |s| value::print_choice(s.pipeline_order_strict, value::PIPELINE_ORDERS),
    ),
    Parameter::applied(
        "shards",
        |s, v| value::shards(v[0]).map(|shards| s.shards = shards),
        |s| if s.shards == 0 { "auto".into() } else { s.shards.to_string() },
    )
    .immutable(),
    // How values lie in memory.
    Parameter::applied(
        "list-max-listpack-size",
        |s, v| value::integer(v[0], i64::from(i32::MIN), I32_MAX).map(|fill| s.list_max_listpack_size = fill),
        |s| s.list_max_listpack_size.to_string(),
    )
    .alias("list-max-ziplist-size"),
    Parameter::applied(
        "zset-max-listpack-entries",
        |s, v| value::integer(v[0], 0, i64::MAX).map(|entries| s.zset_max_listpack_entries = entries),
        |s| s.zset_max_listpack_entries.to_string(),
    )
    .alias("zset-max-ziplist-entries"),
    Parameter::applied(
        "zset-max-listpack-value",
        |s, v| value::memory(v[0], 0, SIZE_MAX).map(|bytes| s.zset_max_listpack_value = bytes),
        |s| s.zset_max_listpack_value.to_string(),
    )
    .form(Form::Memory)
    .alias("zset-max-ziplist-value"),
    Parameter::applied(
        "hash-max-listpack-entries",
        |s, v| value::integer(v[0], 0, i64::MAX).map(|entries| s.hash_max_listpack_entries = entries),
        |s| s.hash_max_listpack_entries.to_string(),
    )
    .alias("hash-max-ziplist-entries"),
    Parameter::applied(
        "hash-max-listpack-value",
        |s, v| value::memory(v[0], 0, SIZE_MAX).map(|bytes| s.hash_max_listpack_value = bytes),
        |s| s.hash_max_listpack_value.to_string(),
    )
    .form(Form::Memory)
    .alias("hash-max-ziplist-value"),
    Parameter::applied(
        "set-max-intset-entries",
        |s, v| value::integer(v[0], 0, i64::MAX).map(|entries| s.set_max_intset_entries = entries),
        |s| s.set_max_intset_entries.to_string(),
    ),
    Parameter::applied(
        "set-max-listpack-entries",
        |s, v| value::integer(v[0], 0, i64::MAX).map(|entries| s.set_max_listpack_entries = entries),
        |s| s.set_max_listpack_entries.to_string(),
    ),
    Parameter::applied(
        "set-max-listpack-value",
        |s, v| value::memory(v[0], 0, SIZE_MAX).map(|bytes| s.set_max_listpack_value = bytes),
        |s| s.set_max_listpack_value.to_string(),
    )
    .form(Form::Memory),
    Parameter::applied(
        "hll-sparse-max-bytes",
        |s, v| value::memory(v[0], 0, SIZE_MAX).map(|bytes| s.hll_sparse_max_bytes = bytes),
        |s| s.hll_sparse_max_bytes.to_string(),
    )
    .form(Form::Memory),
    Parameter::applied(
        "stream-node-max-bytes",
        |s, v| value::memory(v[0], 0, SIZE_MAX).map(|bytes| s.stream_node_max_bytes = bytes),
        |s| s.stream_node_max_bytes.to_string(),
    )
    .form(Form::Memory),
    Parameter::applied(
        "stream-node-max-entries",
        |s, v| value::integer(v[0], 0, i64::MAX).map(|entries| s.stream_node_max_entries = entries),
        |s| s.stream_node_max_entries.to_string(),
    ),
    // What is watched.
    Parameter::applied(
        "slowlog-log-slower-than",
        |s, v| value::integer(v[0], -1, i64::MAX).map(|micros| s.slowlog_log_slower_than = micros),
        |s| s.slowlog_log_slower_than.to_string(),
    ),
    Parameter::applied(
        "slowlog-max-len",
        |s, v| value::integer(v[0], 0, i64::MAX).map(|len| s.slowlog_max_len = len),
        |s| s.slowlog_max_len.to_string(),
    ),
    Parameter::applied(
        "latency-monitor-threshold",
        |s, v| value::integer(v[0], 0, i64::MAX).map(|millis| s.latency_monitor_threshold = millis),
        |s| s.latency_monitor_threshold.to_string(),
    ),
    Parameter::applied(
        "latency-tracking",
        |s, v| value::yes_no(v[0]).map(|on| s.latency_tracking = on),
        |s| value::print_yes_no(s.latency_tracking),
    ),
    Parameter::applied(
        "latency-tracking-info-percentiles",
        |s, v| value::percentiles(v).map(|list| s.latency_tracking_info_percentiles = list),
        |s| {
            let list = s.latency_tracking_info_percentiles.iter();
            list.map(|number| value::print_percentile(*number)).collect::<Vec<_>>().join(" ")
        },
    )
    .many(),
];

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;

    #[test]
    fn every_field_can_be_set_and_is_printed() {
        let table = [
            ("port", "7000"),
            ("bind", "10.0.0.1 -::1"),
            ("protected-mode", "no"),
            ("tcp-backlog", "17"),
            ("unixsocket", "/run/darter sock"),
            ("unixsocketperm", "700"),
            ("memcached-port", "11211"),
            ("memcached-unixsocket", "/run/memcached.sock"),
            ("memcached-max-item-size", "2097152"),
            ("timeout", "3"),
            ("tcp-keepalive", "0"),
            ("maxclients", "4294967295"),
            ("appendonly", "yes"),
            ("appendfsync", "always"),
            ("appendfilename", "my log"),
            ("appenddirname", "logs"),
            ("aof-load-truncated", "no"),
            ("auto-aof-rewrite-percentage", "50"),
            ("auto-aof-rewrite-min-size", "1048576"),
            ("requirepass", "a \"b\""),
            ("proto-max-bulk-len", "1048577"),
            ("rdbcompression", "no"),
            ("rdbchecksum", "no"),
            ("dbfilename", "other.rdb"),
            ("save", "10 1 20 2"),
            ("snapshot-cron", "*/5 1-3 * jan mon"),
            ("stop-writes-on-bgsave-error", "no"),
            ("client-query-buffer-limit", "1048578"),
            ("client-output-buffer-limit", "normal 1 2 3 slave 4 5 6 pubsub 7 8 9"),
            ("daemonize", "yes"),
            ("pidfile", "/run/darter.pid"),
            ("loglevel", "debug"),
            ("logfile", "darter.log"),
            ("dir", "/srv"),
            ("databases", "65535"),
            ("maxmemory", "18446744073709551615"),
            ("maxmemory-policy", "volatile-ttl"),
            ("maxmemory-samples", "10"),
            ("lfu-log-factor", "1"),
            ("lfu-decay-time", "0"),
            ("hz", "100"),
            ("enable-debug-command", "local"),
            ("shards", "8"),
            ("pipeline-order", "strict"),
            ("list-max-listpack-size", "-2147483648"),
            ("zset-max-listpack-entries", "9223372036854775807"),
            ("zset-max-listpack-value", "1024"),
            ("hash-max-listpack-entries", "9223372036854775807"),
            ("hash-max-listpack-value", "1"),
            ("set-max-intset-entries", "0"),
            ("set-max-listpack-entries", "4"),
            ("set-max-listpack-value", "1048576"),
            ("hll-sparse-max-bytes", "12000"),
            ("stream-node-max-bytes", "0"),
            ("stream-node-max-entries", "7"),
            ("slowlog-log-slower-than", "-1"),
            ("slowlog-max-len", "9223372036854775807"),
            ("latency-monitor-threshold", "100"),
            ("latency-tracking", "no"),
            ("latency-tracking-info-percentiles", "50 99.99"),
        ];
        assert_eq!(table.len(), PARAMETERS.len(), "each row has its line here");
        for (name, text) in table {
            let mut settings = Settings::default();
            assert_ne!(settings.get(name).as_deref(), Some(text), "{name}");
            settings.set(name, &[text]).unwrap_or_else(|why| panic!("{name}: {why}"));
            assert_eq!(settings.get(name).as_deref(), Some(text), "{name}");
            assert_ne!(settings, Settings::default(), "{name}");
            assert!(settings.accepted.is_empty(), "{name} has its own field");
        }
    }

    #[test]
    fn odd_values_are_moved_as_in_redis() {
        let mut settings = Settings::default();
        for (text, hz) in [("0", 1), ("500", 500), ("501", 500), ("2147483647", 500)] {
            settings.set("hz", &[text]).unwrap();
            assert_eq!(settings.hz, hz);
        }
        settings.set("unixsocket", &["x"]).unwrap();
        settings.set("unixsocket", &[""]).unwrap();
        assert_eq!(settings.unixsocket, None);
        settings.set("bind", &[""]).unwrap();
        assert!(settings.bind.is_empty() && settings.bind_given);
        let many = vec!["127.0.0.1"; 17];
        assert_eq!(
            settings.set("bind", &many).unwrap_err().to_string(),
            "Too many bind addresses specified."
        );
    }
}
