//! The parameters of Redis 7.0 that have no effect yet: clients, test suites and files may set and read them
//! all the same.
//!
//! One row each, with the value that Redis has when nothing is configured. A row that comes to have effect
//! moves to `applied.rs`.

use super::parameter::{Check, Form, Parameter};
use super::special::{
    host_name, keyspace_events, memory_or_percent, oom_scores, replica_of, shutdown_options, title_template,
};

const I32_MIN: i64 = i32::MIN as i64;
const I32_MAX: i64 = i32::MAX as i64;
const U32_MAX: i64 = u32::MAX as i64;
const PORT_MAX: i64 = u16::MAX as i64;
const SIZE_MAX: u64 = i64::MAX as u64;

const fn switch(name: &'static str, default: &'static str) -> Parameter {
    Parameter::accepted(name, default, Form::Plain, Check::YesNo)
}

const fn number(name: &'static str, default: &'static str, min: i64, max: i64) -> Parameter {
    Parameter::accepted(name, default, Form::Plain, Check::Number(min, max))
}

const fn memory(name: &'static str, default: &'static str, min: u64, max: u64) -> Parameter {
    Parameter::accepted(name, default, Form::Memory, Check::Memory(min, max))
}

const fn choice(name: &'static str, default: &'static str, names: &'static [&'static str]) -> Parameter {
    Parameter::accepted(name, default, Form::Plain, Check::Choice(names))
}

const fn text(name: &'static str, default: &'static str) -> Parameter {
    Parameter::accepted(name, default, Form::Quoted, Check::Text)
}

const fn special(
    name: &'static str,
    default: &'static str,
    check: fn(&[&str]) -> Result<String, String>,
) -> Parameter {
    Parameter::accepted(name, default, Form::Quoted, Check::Special(check))
}

pub(super) static PARAMETERS: &[Parameter] = &[
    // The process, its clients and its commands.
    choice("acl-pubsub-default", "resetchannels", &["allchannels", "resetchannels"]),
    text("aclfile", "").immutable(),
    number("acllog-max-len", "128", 0, i64::MAX),
    switch("always-show-logo", "no").immutable(),
    text("bgsave_cpulist", "").immutable(),
    text("bind-source-addr", ""),
    text("bio_cpulist", "").immutable(),
    number("busy-reply-threshold", "5000", 0, i64::MAX).alias("lua-time-limit"),
    switch("crash-log-enabled", "yes"),
    switch("crash-memcheck-enabled", "yes"),
    switch("dynamic-hz", "yes"),
    choice("enable-module-command", "no", &["no", "yes", "local"]).immutable(),
    choice("enable-protected-configs", "no", &["no", "yes", "local"]).immutable(),
    text("ignore-warnings", ""),
    number("io-threads", "1", 1, 128).immutable(),
    switch("io-threads-do-reads", "no").immutable(),
    special("notify-keyspace-events", "", keyspace_events),
    special("proc-title-template", "{title} {listen-addr} {server-mode}", title_template),
    choice("propagation-error-behavior", "ignore", &["ignore", "panic", "panic-on-replicas"]),
    text("server_cpulist", "").immutable(),
    switch("set-proc-title", "yes").immutable(),
    special("shutdown-on-sigint", "default", shutdown_options).many().form(Form::Plain),
    special("shutdown-on-sigterm", "default", shutdown_options).many().form(Form::Plain),
    number("shutdown-timeout", "10", 0, I32_MAX),
    number("socket-mark-id", "0", 0, U32_MAX).immutable(),
    choice("supervised", "no", &["upstart", "systemd", "auto", "no"]).immutable(),
    switch("syslog-enabled", "no").immutable(),
    choice(
        "syslog-facility",
        "local0",
        &["user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"],
    )
    .immutable(),
    text("syslog-ident", "redis").immutable(),
    number("tracking-table-max-keys", "1000000", 0, i64::MAX),
    switch("use-exit-on-panic", "no").hidden(),
    // Memory and its release.
    number("active-defrag-cycle-max", "25", 1, 99),
    number("active-defrag-cycle-min", "1", 1, 99),
    memory("active-defrag-ignore-bytes", "104857600", 1, SIZE_MAX),
    number("active-defrag-max-scan-fields", "1000", 1, i64::MAX),
    number("active-defrag-threshold-lower", "10", 0, 1000),
    number("active-defrag-threshold-upper", "100", 0, 1000),
    number("active-expire-effort", "1", 1, 10),
    switch("activedefrag", "no"),
    switch("activerehashing", "yes"),
    switch("disable-thp", "yes").immutable(),
    switch("jemalloc-bg-thread", "yes"),
    switch("lazyfree-lazy-eviction", "no"),
    switch("lazyfree-lazy-expire", "no"),
    switch("lazyfree-lazy-server-del", "no"),
    switch("lazyfree-lazy-user-del", "no"),
    switch("lazyfree-lazy-user-flush", "no"),
    special("maxmemory-clients", "0", memory_or_percent).form(Form::Plain),
    number("maxmemory-eviction-tenacity", "10", 0, 100),
    choice("oom-score-adj", "no", &["no", "yes", "relative", "absolute"]),
    special("oom-score-adj-values", "0 200 800", oom_scores).many().form(Form::Plain),
    // Encodings of values.
    number("list-compress-depth", "0", 0, I32_MAX),
    // Files: snapshots and the append-only file.
    switch("aof-disable-auto-gc", "no"),
    switch("aof-rewrite-incremental-fsync", "yes"),
    switch("aof-timestamp-enabled", "no"),
    switch("aof-use-rdb-preamble", "yes"),
    text("aof_rewrite_cpulist", "").immutable(),
    number("key-load-delay", "0", I32_MIN, I32_MAX).hidden(),
    number("loading-process-events-interval-bytes", "2097152", 1024, I32_MAX).hidden(),
    switch("no-appendfsync-on-rewrite", "no"),
    switch("rdb-del-sync-files", "no"),
    number("rdb-key-save-delay", "0", I32_MIN, I32_MAX).hidden(),
    switch("rdb-save-incremental-fsync", "yes"),
    choice("sanitize-dump-payload", "no", &["no", "yes", "clients"]),
    // Replication.
    text("masterauth", ""),
    text("masteruser", ""),
    number("min-replicas-max-lag", "10", 0, I32_MAX).alias("min-slaves-max-lag"),
    number("min-replicas-to-write", "0", 0, I32_MAX).alias("min-slaves-to-write"),
    memory("repl-backlog-size", "1048576", 1, SIZE_MAX),
    number("repl-backlog-ttl", "3600", 0, i64::MAX),
    switch("repl-disable-tcp-nodelay", "no"),
    choice("repl-diskless-load", "disabled", &["disabled", "on-empty-db", "swapdb"]),
    switch("repl-diskless-sync", "yes"),
    number("repl-diskless-sync-delay", "5", 0, I32_MAX),
    number("repl-diskless-sync-max-replicas", "0", 0, I32_MAX),
    number("repl-ping-replica-period", "10", 1, I32_MAX).alias("repl-ping-slave-period"),
    number("repl-timeout", "60", 1, I32_MAX),
    text("replica-announce-ip", "").alias("slave-announce-ip"),
    number("replica-announce-port", "0", 0, PORT_MAX).alias("slave-announce-port"),
    switch("replica-announced", "yes"),
    switch("replica-ignore-disk-write-errors", "no"),
    switch("replica-ignore-maxmemory", "yes").alias("slave-ignore-maxmemory"),
    switch("replica-lazy-flush", "no").alias("slave-lazy-flush"),
    number("replica-priority", "100", 0, I32_MAX).alias("slave-priority"),
    switch("replica-read-only", "yes").alias("slave-read-only"),
    switch("replica-serve-stale-data", "yes").alias("slave-serve-stale-data"),
    special("replicaof", "", replica_of).many().form(Form::Master).alias("slaveof").immutable(),
    // Cluster.
    switch("cluster-allow-pubsubshard-when-down", "yes"),
    switch("cluster-allow-reads-when-down", "no"),
    switch("cluster-allow-replica-migration", "yes"),
    number("cluster-announce-bus-port", "0", 0, PORT_MAX),
    special("cluster-announce-hostname", "", host_name),
    text("cluster-announce-ip", ""),
    number("cluster-announce-port", "0", 0, PORT_MAX),
    number("cluster-announce-tls-port", "0", 0, PORT_MAX),
    text("cluster-config-file", "nodes.conf").immutable(),
    switch("cluster-enabled", "no").immutable(),
    memory("cluster-link-sendbuf-limit", "0", 0, u64::MAX),
    number("cluster-migration-barrier", "1", 0, I32_MAX),
    number("cluster-node-timeout", "15000", 0, i64::MAX),
    number("cluster-port", "0", 0, PORT_MAX).immutable(),
    choice("cluster-preferred-endpoint-type", "ip", &["ip", "hostname", "unknown-endpoint"]),
    switch("cluster-replica-no-failover", "no").alias("cluster-slave-no-failover"),
    number("cluster-replica-validity-factor", "10", 0, I32_MAX).alias("cluster-slave-validity-factor"),
    switch("cluster-require-full-coverage", "yes"),
    // TLS.
    choice("tls-auth-clients", "yes", &["no", "yes", "optional"]),
    text("tls-ca-cert-dir", ""),
    text("tls-ca-cert-file", ""),
    text("tls-cert-file", ""),
    text("tls-ciphers", ""),
    text("tls-ciphersuites", ""),
    text("tls-client-cert-file", ""),
    text("tls-client-key-file", ""),
    text("tls-client-key-file-pass", ""),
    switch("tls-cluster", "no"),
    text("tls-dh-params-file", ""),
    text("tls-key-file", ""),
    text("tls-key-file-pass", ""),
    number("tls-port", "0", 0, PORT_MAX),
    switch("tls-prefer-server-ciphers", "no"),
    text("tls-protocols", ""),
    switch("tls-replication", "no"),
    number("tls-session-cache-size", "20480", 0, I32_MAX),
    number("tls-session-cache-timeout", "300", 0, I32_MAX),
    switch("tls-session-caching", "yes"),
];
