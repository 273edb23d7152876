//! Clients, Stats and Keyspace: who is there, what has passed, what lies here.

use super::Section;

pub(super) fn clients(section: &mut Section<'_>) {
    let sum = section.sum;
    section.field("connected_clients", sum.clients);
    section.field("cluster_connections", 0);
    section.field("maxclients", section.node.settings.maxclients);
    section.field("client_recent_max_input_buffer", sum.longest_input);
    section.field("client_recent_max_output_buffer", sum.longest_output);
    section.field("blocked_clients", sum.order.blocked_clients + sum.paused_clients);
    section.fixed(&[("tracking_clients", "0"), ("pubsub_clients", "0")]);
    section.field("watching_clients", sum.order.watching_clients);
    section.fixed(&[("clients_in_timeout_table", "0")]);
    section.field("total_watched_keys", sum.order.watched_keys);
    section.field("total_blocking_keys", sum.order.waited_keys);
    section.fixed(&[("total_blocking_keys_on_nokey", "0")]);
}

pub(super) fn transactions(section: &mut Section<'_>) {
    let order = section.sum.order;
    section.field("tx_started", order.transactions);
    section.field("tx_in_flight", order.in_flight);
    section.field("tx_queue", order.queue);
    section.field("tx_locks", order.locks);
    section.field("tx_credits_out", order.credits_out);
    section.field("tx_parked", order.parked);
    section.field("tx_queued_directs", order.queued_directs);
}

pub(super) fn stats(section: &mut Section<'_>) {
    let sum = section.sum;
    let [commands, input, output] = sum.rates;
    let kilo = |bytes: u64| format!("{:.2}", bytes as f64 / 1_024.0);
    section.field("total_connections_received", sum.connections);
    section.field("total_commands_processed", sum.commands);
    section.field("instantaneous_ops_per_sec", commands);
    section.field("total_net_input_bytes", sum.input_bytes);
    section.field("total_net_output_bytes", sum.output_bytes);
    section.fixed(&[("total_net_repl_input_bytes", "0"), ("total_net_repl_output_bytes", "0")]);
    section.field("instantaneous_input_kbps", kilo(input));
    section.field("instantaneous_output_kbps", kilo(output));
    section.fixed(&[("instantaneous_input_repl_kbps", "0.00"), ("instantaneous_output_repl_kbps", "0.00")]);
    section.field("rejected_connections", sum.refused_connections);
    section.fixed(&[("sync_full", "0"), ("sync_partial_ok", "0"), ("sync_partial_err", "0")]);
    section.field("expired_keys", sum.shard.expired);
    section.fixed(&[
        ("expired_stale_perc", "0.00"),
        ("expired_time_cap_reached_count", "0"),
        ("expire_cycle_cpu_milliseconds", "0"),
    ]);
    section.field("evicted_keys", sum.shard.evicted);
    section.field("evicted_clients", 0);
    section.field("total_eviction_exceeded_time", sum.exceeded_millis.1);
    section.field("current_eviction_exceeded_time", sum.exceeded_millis.0);
    section.field("keyspace_hits", sum.shard.hits);
    section.field("keyspace_misses", sum.shard.misses);
    section.fixed(&[
        ("pubsub_channels", "0"),
        ("pubsub_patterns", "0"),
        ("pubsubshard_channels", "0"),
        ("latest_fork_usec", "0"),
        ("total_forks", "0"),
        ("migrate_cached_sockets", "0"),
        ("slave_expires_tracked_keys", "0"),
        ("active_defrag_hits", "0"),
        ("active_defrag_misses", "0"),
        ("active_defrag_key_hits", "0"),
        ("active_defrag_key_misses", "0"),
        ("total_active_defrag_time", "0"),
        ("current_active_defrag_time", "0"),
        ("tracking_total_keys", "0"),
        ("tracking_total_items", "0"),
        ("tracking_total_prefixes", "0"),
        ("unexpected_error_replies", "0"),
    ]);
    section.field("total_error_replies", sum.errors);
    section.fixed(&[
        ("dump_payload_sanitizations", "0"),
        ("total_reads_processed", "0"),
        ("total_writes_processed", "0"),
        ("io_threaded_reads_processed", "0"),
        ("io_threaded_writes_processed", "0"),
        ("reply_buffer_shrinks", "0"),
        ("reply_buffer_expands", "0"),
    ]);
    section.field("client_query_buffer_limit_disconnections", sum.query_limit_disconnections);
    section.field("client_output_buffer_limit_disconnections", sum.output_limit_disconnections);
}

pub(super) fn keyspace(section: &mut Section<'_>) {
    for (number, database) in &section.sum.databases {
        let (keys, timed) = (database.keys, database.timed);
        section.field(format_args!("db{number}"), format_args!("keys={keys},expires={timed},avg_ttl=0"));
    }
}
