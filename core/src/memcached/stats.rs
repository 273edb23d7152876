//! `stats` and its sub-commands: the sums of what all cores count, under memcached's names, in memcached's order.
//!
//! What memcached has and Darter has not (slabs, lists by age, a crawler) is there with the value zero, so that tools find what they look
//! for.

use std::collections::BTreeMap;

use super::binary;
use super::counters::{COUNT, Counter, Detail};
use super::item::DATABASE;
use super::number;
use crate::args::Args;
use crate::event::Origin;
use crate::node::{Asked, Local};
use crate::part::Part;
use crate::protocol::reply::{Outcome, Reply};

/// What one core contributes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Share {
    counts: Vec<u64>,
    items: u64,
    bytes: u64,
    /// Bytes of all that the shard holds.
    used: u64,
    expired: u64,
    evicted: u64,
    clients: u64,
    connections: u64,
    refused: u64,
    input: u64,
    output: u64,
    /// Of those who watch: how many, lines they have got, lines written for them and lines left out.
    watching: [u64; 4],
    /// Lines left out because who watches is slow.
    skipped: u64,
    crawls: bool,
    is_detailed: bool,
    details: BTreeMap<Vec<u8>, Detail>,
    /// Of each client: its id, where it is from, where it came to, what it does, seconds of silence.
    conns: Vec<(u64, String, String, &'static str, u64)>,
}

/// Which statistics are asked for: the words behind `stats`.
fn asked_for(args: Args<'_>) -> Vec<&[u8]> {
    match binary::is_binary(args) {
        true => args.at(2).split(|byte| *byte == b' ').filter(|word| !word.is_empty()).collect(),
        false => args.skip(1).iter().collect(),
    }
}

/// Where a client is from, as `stats conns` writes it.
fn place(address: &str, origin: Origin) -> String {
    match origin {
        Origin::Unix => format!("unix:{}", address.strip_suffix(":0").unwrap_or(address)),
        _ if address.starts_with('[') => format!("tcp6:{address}"),
        _ => format!("tcp:{address}"),
    }
}

/// One core's part.
pub(super) fn part(asked: &mut Asked<'_>, args: Args<'_>) -> Part {
    let words = asked_for(args);
    let shard = &mut asked.node.shard;
    match words[..] {
        [b"reset", ..] => shard.ledger.reset(),
        [b"detail", b"on", ..] => shard.ledger.set_detailed(true),
        [b"detail", b"off", ..] => shard.ledger.set_detailed(false),
        _ => {}
    }
    let database = &shard.databases()[usize::from(DATABASE)];
    let log = &shard.ledger.log;
    let mut share = Share {
        counts: shard.ledger.counts().to_vec(),
        items: database.len() as u64,
        bytes: (database.used_bytes() - database.table_bytes()) as u64,
        used: shard.used_bytes() as u64,
        expired: shard.counters.expired,
        evicted: shard.counters.evicted,
        clients: asked.sessions.len() as u64,
        connections: asked.node.statistics.connections,
        refused: asked.node.statistics.refused_connections,
        input: asked.node.statistics.input_bytes,
        output: asked.node.statistics.output_bytes,
        watching: [log.watchers as u64, log.sent, log.written, log.dropped + asked.node.feed.dropped()],
        skipped: log.skipped,
        crawls: shard.ledger.crawls,
        is_detailed: shard.ledger.is_detailed(),
        ..Share::default()
    };
    match words[..] {
        [b"detail", b"dump", ..] => share.details = shard.ledger.details().clone(),
        [b"conns", ..] => {
            for session in asked.sessions.iter() {
                let peer = &session.peer;
                let silence = asked.now.mono.seconds_begun_since(session.last_active);
                let (from, to) = (place(&peer.address, peer.origin), place(&peer.local, peer.origin));
                let state = match session.unconsumed + session.taken_input() {
                    _ if session.id == asked.client => "conn_parse_cmd",
                    0 => "conn_read",
                    _ => "conn_nread",
                };
                share.conns.push((session.id.0, from, to, state, silence));
            }
        }
        _ => {}
    }
    Part::Memcached(Box::new(share))
}

/// All shares as one.
fn sum(parts: Vec<Part>) -> Share {
    let mut all = Share { counts: vec![0; COUNT], ..Share::default() };
    for part in parts {
        let Part::Memcached(share) = part else { continue };
        all.counts.iter_mut().zip(&share.counts).for_each(|(sum, count)| *sum += count);
        all.items += share.items;
        all.bytes += share.bytes;
        all.used += share.used;
        all.expired += share.expired;
        all.evicted += share.evicted;
        all.clients += share.clients;
        all.connections += share.connections;
        all.refused += share.refused;
        all.input += share.input;
        all.output += share.output;
        all.watching.iter_mut().zip(share.watching).for_each(|(sum, count)| *sum += count);
        all.skipped += share.skipped;
        all.crawls |= share.crawls;
        all.is_detailed |= share.is_detailed;
        for (prefix, detail) in share.details {
            let sum = all.details.entry(prefix).or_default();
            sum.iter_mut().zip(detail).for_each(|(sum, count)| *sum += count);
        }
        all.conns.extend(share.conns);
    }
    all
}

/// Writes lines in the client's form.
struct Lines<'a, 'b> {
    args: Args<'a>,
    tail: &'b mut Vec<u8>,
}

impl Lines<'_, '_> {
    fn push(&mut self, name: &str, value: impl std::fmt::Display) {
        let value = value.to_string();
        match binary::is_binary(self.args) {
            true => binary::push_stat(self.args, name, &value, self.tail),
            false => self.tail.extend_from_slice(format!("STAT {name} {value}\r\n").as_bytes()),
        }
    }

    fn zeros(&mut self, names: &[&str]) {
        names.iter().for_each(|name| self.push(name, 0));
    }

    fn end(self) {
        match binary::is_binary(self.args) {
            true => binary::push_stat(self.args, "", "", self.tail),
            false => self.tail.extend_from_slice(b"END\r\n"),
        }
    }

    /// Only this line, where the form has lines.
    fn only(self, line: &str) -> Outcome {
        match binary::is_binary(self.args) {
            true => binary::say_no_stats(self.args, self.tail),
            false => self.tail.extend_from_slice(format!("{line}\r\n").as_bytes()),
        }
        Ok(())
    }

    /// The same for what was done.
    fn done(self, line: &str) -> Outcome {
        match binary::is_binary(self.args) {
            true => binary::push_stat(self.args, "", "", self.tail),
            false => self.tail.extend_from_slice(format!("{line}\r\n").as_bytes()),
        }
        Ok(())
    }
}

/// The answer of all.
pub(super) fn merge(
    local: &mut Local<'_>,
    args: Args<'_>,
    parts: Vec<Part>,
    reply: &mut Reply<'_>,
) -> Outcome {
    let mut all = sum(parts);
    // Who asks comes last, as the client that came last does in memcached.
    all.conns.sort_by_key(|(id, ..)| (*id == local.session.id.0, *id));
    let mut lines = Lines { args, tail: reply.tail() };
    match asked_for(args)[..] {
        [] => general(local, &all, &mut lines),
        [b"reset", ..] => return lines.done("RESET"),
        [b"settings", ..] => settings(local, &all, &mut lines),
        [b"items", ..] => items(&all, &mut lines),
        [b"slabs", ..] => slabs(&all, &mut lines),
        [b"sizes", ..] => lines.push("sizes_status", "disabled"),
        [b"sizes_enable", ..] => {
            lines.push("sizes_status", "error");
            lines.push("sizes_error", "not available");
        }
        [b"sizes_disable", ..] => lines.push("sizes_status", "disabled"),
        [b"conns", ..] => {
            for (id, from, to, state, silence) in &all.conns {
                lines.push(&format!("{id}:addr"), from);
                lines.push(&format!("{id}:listen_addr"), to);
                lines.push(&format!("{id}:state"), state);
                lines.push(&format!("{id}:secs_since_last_cmd"), silence);
            }
        }
        [b"detail", b"on" | b"off", ..] => return lines.done("OK"),
        [b"detail", b"dump", ..] => return details(&all, lines),
        [b"detail", ..] => return lines.only("CLIENT_ERROR usage: stats detail on|off|dump"),
        [b"cachedump", class, limit, ..] => match (number::unsigned_32(class), number::unsigned_32(limit)) {
            (Some(0..64), Some(_)) => {}
            (Some(_), Some(_)) => return lines.only("CLIENT_ERROR Illegal slab id"),
            _ => return lines.only("CLIENT_ERROR bad command line format"),
        },
        [b"cachedump", ..] => return lines.only("CLIENT_ERROR bad command line"),
        _ => return lines.only("ERROR"),
    }
    lines.end();
    Ok(())
}

/// What memcached counts of prefixes, one line each.
fn details(all: &Share, lines: Lines<'_, '_>) -> Outcome {
    let mut text = Vec::new();
    for (prefix, [gets, hits, sets, deletions]) in &all.details {
        text.extend_from_slice(b"PREFIX ");
        text.extend_from_slice(prefix);
        text.extend_from_slice(format!(" get {gets} hit {hits} set {sets} del {deletions}\r\n").as_bytes());
    }
    text.extend_from_slice(b"END\r\n");
    match binary::is_binary(lines.args) {
        true => {
            binary::push_stat(lines.args, "detailed", &String::from_utf8_lossy(&text), lines.tail);
            lines.end();
        }
        false => lines.tail.extend_from_slice(&text),
    }
    Ok(())
}

/// Where counters stand among the general statistics.
const COUNTED: &[Counter] = &[
    Counter::DeleteMisses,
    Counter::DeleteHits,
    Counter::IncrMisses,
    Counter::IncrHits,
    Counter::DecrMisses,
    Counter::DecrHits,
    Counter::CasMisses,
    Counter::CasHits,
    Counter::CasBadval,
    Counter::TouchHits,
    Counter::TouchMisses,
    Counter::TooLarge,
];

fn general(local: &mut Local<'_>, all: &Share, lines: &mut Lines<'_, '_>) {
    let node = &*local.node;
    let usage = (node.instruments.usage)();
    let now = local.now.unix_seconds();
    let seconds = |micros: u64| format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    lines.push("pid", node.process.pid);
    lines.push("uptime", now.saturating_sub(node.started_unix.unwrap_or(now)));
    lines.push("time", now);
    lines.push("version", super::COMPATIBLE_VERSION);
    lines.push("darter_version", crate::VERSION);
    lines.push("pointer_size", usize::BITS);
    lines.push("rusage_user", seconds(usage.cpu_user_micros));
    lines.push("rusage_system", seconds(usage.cpu_system_micros));
    lines.push("max_connections", node.settings.maxclients);
    lines.push("curr_connections", all.clients);
    lines.push("total_connections", all.connections);
    lines.push("rejected_connections", all.refused);
    lines.push("connection_structures", all.clients);
    lines.zeros(&[
        "response_obj_oom",
        "response_obj_count",
        "response_obj_bytes",
        "read_buf_count",
        "read_buf_bytes",
        "read_buf_bytes_free",
        "read_buf_oom",
        "reserved_fds",
    ]);
    let count = |counter: Counter| all.counts[counter as usize];
    let mut counted = |counters: &[Counter]| {
        counters.iter().for_each(|counter| lines.push(counter.name(), count(*counter)));
    };
    counted(&[
        Counter::Gets,
        Counter::Sets,
        Counter::Flushes,
        Counter::Touches,
        Counter::Metas,
        Counter::GetHits,
        Counter::GetMisses,
    ]);
    lines.push("get_expired", all.expired);
    lines.zeros(&["get_flushed"]);
    COUNTED.iter().for_each(|counter| lines.push(counter.name(), count(*counter)));
    lines.zeros(&["store_no_memory", "auth_cmds", "auth_errors"]);
    lines.push("bytes_read", all.input);
    lines.push("bytes_written", all.output);
    lines.push("limit_maxbytes", node.settings.maxmemory);
    lines.push("accepting_conns", 1);
    lines.zeros(&["listen_disabled_num", "time_in_listen_disabled_us"]);
    lines.push("threads", node.cores);
    lines.zeros(&[
        "conn_yields",
        "hash_power_level",
        "hash_bytes",
        "hash_is_expanding",
        "slab_reassign_rescues",
        "slab_reassign_chunk_rescues",
        "slab_reassign_evictions_nomem",
        "slab_reassign_inline_reclaim",
        "slab_reassign_busy_items",
        "slab_reassign_busy_deletes",
        "slab_reassign_running",
        "slabs_moved",
        "lru_crawler_running",
        "lru_crawler_starts",
        "lru_maintainer_juggles",
        "malloc_fails",
    ]);
    let [watchers, sent, written, dropped] = all.watching;
    lines.push("log_worker_dropped", dropped);
    lines.push("log_worker_written", written);
    lines.push("log_watcher_skipped", all.skipped);
    lines.push("log_watcher_sent", sent);
    lines.push("log_watchers", watchers);
    lines.zeros(&["unexpected_napi_ids", "round_robin_fallback"]);
    lines.push("bytes", all.bytes);
    lines.push("curr_items", all.items);
    lines.push("total_items", count(Counter::Items));
    lines.zeros(&["slab_global_page_pool", "expired_unfetched", "evicted_unfetched", "evicted_active"]);
    lines.push("evictions", all.evicted);
    lines.push("reclaimed", all.expired);
    lines.zeros(&[
        "crawler_reclaimed",
        "crawler_items_checked",
        "lrutail_reflocked",
        "moves_to_cold",
        "moves_to_warm",
        "moves_within_lru",
        "direct_reclaims",
        "lru_bumps_dropped",
    ]);
}

fn settings(local: &mut Local<'_>, all: &Share, lines: &mut Lines<'_, '_>) {
    let settings = &local.node.settings;
    let yes_no = |on: bool| if on { "yes" } else { "no" };
    lines.push("maxbytes", settings.maxmemory);
    lines.push("maxconns", settings.maxclients);
    lines.push("tcpport", settings.memcached_port);
    lines.push("udpport", 0);
    lines.push("inter", settings.bind.first().map_or("NULL", |name| name));
    lines.push("verbosity", 0);
    lines.push("oldest", 0);
    lines.push("evictions", "off");
    lines.push("domain_socket", settings.memcached_unixsocket.as_deref().unwrap_or("NULL"));
    lines.push("umask", "0");
    lines.push("shutdown_command", "no");
    lines.push("growth_factor", "1.25");
    lines.push("chunk_size", 48);
    lines.push("num_threads", local.node.cores);
    lines.push("num_threads_per_udp", 0);
    lines.push("stat_key_prefix", ":");
    lines.push("detail_enabled", yes_no(all.is_detailed));
    lines.push("reqs_per_event", crate::limits::COMMANDS_PER_EVENT);
    lines.push("cas_enabled", "yes");
    lines.push("tcp_backlog", settings.tcp_backlog);
    lines.push("binding_protocol", "auto-negotiate");
    lines.push("auth_enabled_sasl", "no");
    lines.push("auth_enabled_ascii", yes_no(!settings.requirepass.is_empty()));
    lines.push("item_size_max", settings.memcached_max_item_size);
    lines.push("maxconns_fast", "yes");
    lines.push("hashpower_init", 0);
    lines.push("slab_reassign", "no");
    lines.push("slab_automove", 0);
    lines.push("slab_automove_ratio", "0.80");
    lines.push("slab_automove_window", 30);
    lines.push("slab_chunk_max", settings.memcached_max_item_size / 2);
    lines.push("lru_crawler", yes_no(all.crawls));
    lines.push("lru_crawler_sleep", 100);
    lines.push("lru_crawler_tocrawl", 0);
    lines.push("tail_repair_time", 0);
    lines.push("flush_enabled", "yes");
    lines.push("dump_enabled", "yes");
    lines.push("hash_algorithm", "darter");
    lines.push("lru_maintainer_thread", "no");
    lines.push("lru_segmented", "no");
    lines.push("hot_lru_pct", 0);
    lines.push("warm_lru_pct", 0);
    lines.push("hot_max_factor", "0.00");
    lines.push("warm_max_factor", "0.00");
    lines.push("temp_lru", "no");
    lines.push("temporary_ttl", 0);
    lines.push("idle_timeout", settings.timeout);
    lines.push("watcher_logbuf_size", crate::limits::WATCHER_OUTPUT_MAX >> 10);
    lines.push("worker_logbuf_size", 0);
    lines.push("read_buf_mem_limit", 0);
    lines.push("track_sizes", "no");
    lines.push("inline_ascii_response", "no");
    lines.push("num_napi_ids", "(null)");
    lines.push("memory_file", "(null)");
}

/// All items are of one class.
fn items(all: &Share, lines: &mut Lines<'_, '_>) {
    if all.items == 0 {
        return;
    }
    lines.push("items:1:number", all.items);
    lines.push("items:1:evicted", all.evicted);
    for name in [
        "number_hot",
        "number_warm",
        "number_cold",
        "age_hot",
        "age_warm",
        "age",
        "mem_requested",
        "evicted_nonzero",
        "evicted_time",
        "outofmemory",
        "tailrepairs",
        "reclaimed",
        "expired_unfetched",
        "evicted_unfetched",
        "evicted_active",
        "crawler_reclaimed",
        "crawler_items_checked",
        "lrutail_reflocked",
        "moves_to_cold",
        "moves_to_warm",
        "moves_within_lru",
        "direct_reclaims",
        "hits_to_hot",
        "hits_to_warm",
        "hits_to_cold",
        "hits_to_temp",
    ] {
        lines.push(&format!("items:1:{name}"), if name == "mem_requested" { all.bytes } else { 0 });
    }
}

fn slabs(all: &Share, lines: &mut Lines<'_, '_>) {
    let count = |counter: Counter| all.counts[counter as usize];
    if all.items > 0 {
        for (name, value) in [
            ("chunk_size", all.bytes / all.items.max(1)),
            ("chunks_per_page", all.items),
            ("total_pages", 1),
            ("total_chunks", all.items),
            ("used_chunks", all.items),
            ("free_chunks", 0),
            ("free_chunks_end", 0),
            ("get_hits", count(Counter::GetHits)),
            ("cmd_set", count(Counter::Sets)),
            ("delete_hits", count(Counter::DeleteHits)),
            ("incr_hits", count(Counter::IncrHits)),
            ("decr_hits", count(Counter::DecrHits)),
            ("cas_hits", count(Counter::CasHits)),
            ("cas_badval", count(Counter::CasBadval)),
            ("touch_hits", count(Counter::TouchHits)),
        ] {
            lines.push(&format!("1:{name}"), value);
        }
    }
    lines.push("active_slabs", u64::from(all.items > 0));
    lines.push("total_malloced", all.used);
}
