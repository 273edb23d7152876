//! What one core contributes to INFO, MEMORY STATS and LATENCY HISTOGRAM.

use crate::database::Database;
use crate::node::Asked;
use crate::part::Part;
use crate::session::Hold;
use crate::statistics::{CoreStatistics, DatabaseCounts, OrderFigures};

/// The shares of all cores, and their sum.
pub struct Collected {
    pub sum: CoreStatistics,
    /// In the order of cores.
    pub cores: Vec<CoreStatistics>,
}

impl Collected {
    pub fn of(parts: Vec<Part>) -> Collected {
        let mut collected = Collected { sum: CoreStatistics::default(), cores: Vec::new() };
        for part in parts {
            if let Part::Statistics(share) = part {
                collected.sum.add(&share);
                collected.cores.push(*share);
            }
        }
        collected
    }
}

/// One core's share.
pub fn part(asked: &mut Asked<'_>) -> Part {
    asked.node.note_peak();
    let node = &*asked.node;
    let mut share = CoreStatistics {
        clients: asked.sessions.len() as u64,
        monitors: node.feed.monitors() as u64,
        data_bytes: node.shard.used_bytes() as u64,
        shard: node.shard.counters,
        unsaved_changes: node.shard.unsaved_changes(),
        keys_at_cut: node.shard.keys_at_cut(),
        saved_keys: node.shard.saved_keys(),
        log_bytes: node.pen.size,
        log_pending_bytes: node.pen.pending_bytes() as u64,
        saving_bytes: node.shard.saving_bytes() as u64,
        log_fails: node.pen.failure().is_some(),
        exceeded_millis: node.shortness.exceeded_millis(asked.now.mono),
        outstanding: node.links.outstanding() as u64,
        lines_dropped: node.feed.dropped(),
        order: OrderFigures {
            transactions: node.statistics.transactions,
            queued_directs: node.statistics.queued_directs,
            in_flight: asked.transactions.len() as u64,
            credits_out: asked.transactions.credits_out(node.core) as u64,
            parked: node.links.parked() as u64,
            queue: node.queue.len() as u64,
            locks: node.queue.locks() as u64,
            waited_keys: node.shard.waiters.keys() as u64,
            watched_keys: node.shard.watches.keys() as u64,
            ..OrderFigures::default()
        },
        trash_keys: node.shard.trash.objects() as u64,
        ..node.statistics.snapshot(asked.now.mono)
    };
    for session in asked.sessions.iter() {
        share.longest_input = share.longest_input.max(session.unconsumed as u64);
        share.longest_output = share.longest_output.max(session.output_len() as u64);
        let waits = session.blocked.as_ref().is_some_and(|blocked| blocked.in_line);
        share.order.blocked_clients += u64::from(waits);
        share.order.watching_clients += u64::from(!session.watched.is_empty());
        share.held_clients += u64::from(session.hold.is_some());
        share.paused_clients += u64::from(session.hold == Some(Hold::Pause));
        share.client_bytes += (session.held_bytes() + session.unconsumed) as u64;
    }
    for (number, database) in node.shard.databases().iter().enumerate() {
        share.table_bytes += database.table_bytes() as u64;
        if !database.is_empty() {
            share.databases.insert(number as u16, counts(database));
        }
    }
    Part::Statistics(Box::new(share))
}

fn counts(database: &Database) -> DatabaseCounts {
    DatabaseCounts {
        keys: database.len() as u64,
        timed: database.with_deadline() as u64,
        table_bytes: database.table_bytes() as u64,
    }
}
