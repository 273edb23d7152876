//! What a core counts of itself, and the sum over cores that INFO shows.

use std::collections::BTreeMap;

use crate::command::CommandId;
use crate::command::table::COUNT;
use crate::latency::DurationHistogram;
use crate::shard::ShardCounters;
use crate::time::Instant;

/// Counters of one command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CommandCounters {
    /// How often it ran.
    pub calls: u64,
    /// How long in all, nanoseconds.
    pub nanos: u64,
    /// Refused before it ran.
    pub rejected: u64,
    /// Ended with an error.
    pub failed: u64,
}

/// Different error codes that are counted each for itself.
const ERROR_CODES_MAX: usize = 128;

/// What keeps operations of several shards in order, as INFO shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct OrderFigures {
    /// Transactions over several shards that were begun.
    pub transactions: u64,
    /// Operations on one shard that had to wait for a transaction.
    pub queued_directs: u64,
    /// Transactions that are not over.
    pub in_flight: u64,
    /// Credits that they hold.
    pub credits_out: u64,
    /// Clients that wait for credits.
    pub parked: u64,
    /// What waits on shards and what they hold.
    pub queue: u64,
    /// Keys, and whole shards, that somebody has an intent on.
    pub locks: u64,
    /// Clients that wait for something to be had.
    pub blocked_clients: u64,
    /// Keys that they wait for.
    pub waited_keys: u64,
    /// Clients that watch keys.
    pub watching_clients: u64,
    /// Keys that are watched.
    pub watched_keys: u64,
}

/// Everything a core counts while it runs.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// Clients that ever came.
    pub connections: u64,
    /// Clients refused over `maxclients`.
    pub refused_connections: u64,
    /// Commands made by this core's clients.
    pub commands: u64,
    /// Bytes received.
    pub input_bytes: u64,
    /// Bytes sent.
    pub output_bytes: u64,
    /// Clients closed over `client-query-buffer-limit`.
    pub query_limit_disconnections: u64,
    /// Clients closed over `client-output-buffer-limit`.
    pub output_limit_disconnections: u64,
    /// Error replies.
    pub errors: u64,
    /// The same by code.
    pub error_codes: BTreeMap<String, u64>,
    /// Requests sent to other cores.
    pub remote_requests: u64,
    /// Transactions over several shards that its clients have begun.
    pub transactions: u64,
    /// Operations on one shard that had to wait for a transaction.
    pub queued_directs: u64,
    /// The most bytes in use so far.
    pub peak_bytes: u64,
    per_command: Box<[CommandCounters]>,
    histograms: Box<[Option<Box<DurationHistogram>>]>,
    rates: Rates,
}

impl Default for Statistics {
    fn default() -> Self {
        Statistics {
            connections: 0,
            refused_connections: 0,
            commands: 0,
            input_bytes: 0,
            output_bytes: 0,
            query_limit_disconnections: 0,
            output_limit_disconnections: 0,
            errors: 0,
            error_codes: BTreeMap::new(),
            remote_requests: 0,
            transactions: 0,
            queued_directs: 0,
            peak_bytes: 0,
            per_command: vec![CommandCounters::default(); COUNT].into_boxed_slice(),
            histograms: vec![None; COUNT].into_boxed_slice(),
            rates: Rates::default(),
        }
    }
}

impl Statistics {
    /// A command has run.
    #[inline]
    pub fn ran(&mut self, id: CommandId, nanos: u64, failed: bool, tracking: bool) {
        let counters = &mut self.per_command[id.index()];
        counters.calls += 1;
        counters.nanos += nanos;
        counters.failed += u64::from(failed);
        if tracking {
            self.histograms[id.index()].get_or_insert_default().note(nanos);
        }
    }

    /// A share of a command has run, which is counted where it began.
    pub fn ran_share(&mut self, id: CommandId, nanos: u64) {
        self.per_command[id.index()].nanos += nanos;
    }

    /// A command was refused before it ran.
    pub fn rejected(&mut self, id: CommandId) {
        self.per_command[id.index()].rejected += 1;
    }

    /// An error was replied.
    pub fn error(&mut self, code: &str) {
        self.errors += 1;
        if let Some(count) = self.error_codes.get_mut(code) {
            *count += 1;
        } else if self.error_codes.len() < ERROR_CODES_MAX {
            self.error_codes.insert(code.to_string(), 1);
        }
    }

    /// Takes a sample for the rates, at most ten times a second; true if it did.
    #[inline]
    pub fn sample(&mut self, now: Instant) -> bool {
        let due = now.0 >= self.rates.next.0;
        if due {
            let totals = [self.commands, self.input_bytes, self.output_bytes];
            self.rates.add(now, totals);
        }
        due
    }

    /// CONFIG RESETSTAT.
    pub fn reset(&mut self) {
        *self = Statistics { peak_bytes: self.peak_bytes, ..Statistics::default() };
    }

    /// What it counts itself; the rest of the core's share is left at nothing.
    pub fn snapshot(&self, now: Instant) -> CoreStatistics {
        CoreStatistics {
            connections: self.connections,
            refused_connections: self.refused_connections,
            commands: self.commands,
            input_bytes: self.input_bytes,
            output_bytes: self.output_bytes,
            query_limit_disconnections: self.query_limit_disconnections,
            output_limit_disconnections: self.output_limit_disconnections,
            errors: self.errors,
            error_codes: self.error_codes.clone(),
            remote_requests: self.remote_requests,
            peak_bytes: self.peak_bytes,
            rates: self.rates.per_second(now, [self.commands, self.input_bytes, self.output_bytes]),
            per_command: self
                .per_command
                .iter()
                .enumerate()
                .filter(|(_, counters)| **counters != CommandCounters::default())
                .map(|(id, counters)| (CommandId(id as u16), counters.clone()))
                .collect(),
            histograms: self
                .histograms
                .iter()
                .enumerate()
                .filter_map(|(id, histogram)| Some((CommandId(id as u16), histogram.as_deref()?.clone())))
                .collect(),
            ..CoreStatistics::default()
        }
    }
}

/// What INFO shows of a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DatabaseCounts {
    /// Keys.
    pub keys: u64,
    /// Keys with a deadline.
    pub timed: u64,
    /// Bytes of the table alone.
    pub table_bytes: u64,
}

/// One core's share of INFO, or the sum of several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CoreStatistics {
    /// See [`Statistics`].
    pub connections: u64,
    /// See [`Statistics`].
    pub refused_connections: u64,
    /// See [`Statistics`].
    pub commands: u64,
    /// See [`Statistics`].
    pub input_bytes: u64,
    /// See [`Statistics`].
    pub output_bytes: u64,
    /// See [`Statistics`].
    pub query_limit_disconnections: u64,
    /// See [`Statistics`].
    pub output_limit_disconnections: u64,
    /// See [`Statistics`].
    pub errors: u64,
    /// See [`Statistics`].
    pub error_codes: BTreeMap<String, u64>,
    /// See [`Statistics`].
    pub remote_requests: u64,
    /// See [`Statistics`].
    pub peak_bytes: u64,
    /// Commands, bytes in and bytes out a second.
    pub rates: [u64; 3],
    /// Clients now.
    pub clients: u64,
    /// The longest unconsumed input and the longest unsent output of any client, bytes.
    pub longest_input: u64,
    /// See above.
    pub longest_output: u64,
    /// Monitors among the clients.
    pub monitors: u64,
    /// Clients whose next request waits, for whatever.
    pub held_clients: u64,
    /// Those of them that wait for CLIENT UNPAUSE.
    pub paused_clients: u64,
    /// Changes since the last snapshot that is in the file.
    pub unsaved_changes: u64,
    /// Keys at the cut of the snapshot that is under way.
    pub keys_at_cut: u64,
    /// Those of them that are written.
    pub saved_keys: u64,
    /// Bytes of the log's files since it was last written anew.
    pub log_bytes: u64,
    /// Bytes that are to be written to them.
    pub log_pending_bytes: u64,
    /// They cannot be.
    pub log_fails: bool,
    /// Bytes of a snapshot on their way to its file.
    pub saving_bytes: u64,
    /// Bytes of keys, values and tables.
    pub data_bytes: u64,
    /// Bytes of the tables alone.
    pub table_bytes: u64,
    /// Bytes of clients' buffers.
    pub client_bytes: u64,
    /// Counters of the shard.
    pub shard: ShardCounters,
    /// How long more was in use than may be, now and in all, milliseconds; the longest of any core.
    pub exceeded_millis: (u64, u64),
    /// The databases that have keys.
    pub databases: BTreeMap<u16, DatabaseCounts>,
    /// Credits that other cores owe: unanswered requests.
    pub outstanding: u64,
    /// What transactions have begun and hold.
    pub order: OrderFigures,
    /// Lines of MONITOR that were left out because a core did not keep up.
    pub lines_dropped: u64,
    /// Keys of flushed databases that wait to be freed.
    pub trash_keys: u64,
    /// Counters of commands that were called.
    pub per_command: BTreeMap<CommandId, CommandCounters>,
    /// Durations of commands that were called.
    pub histograms: BTreeMap<CommandId, DurationHistogram>,
}

impl CoreStatistics {
    /// Adds another core's share.
    pub fn add(&mut self, other: &CoreStatistics) {
        for (mine, theirs) in [
            (&mut self.connections, other.connections),
            (&mut self.refused_connections, other.refused_connections),
            (&mut self.commands, other.commands),
            (&mut self.input_bytes, other.input_bytes),
            (&mut self.output_bytes, other.output_bytes),
            (&mut self.query_limit_disconnections, other.query_limit_disconnections),
            (&mut self.output_limit_disconnections, other.output_limit_disconnections),
            (&mut self.errors, other.errors),
            (&mut self.remote_requests, other.remote_requests),
            (&mut self.peak_bytes, other.peak_bytes),
            (&mut self.clients, other.clients),
            (&mut self.monitors, other.monitors),
            (&mut self.held_clients, other.held_clients),
            (&mut self.paused_clients, other.paused_clients),
            (&mut self.data_bytes, other.data_bytes),
            (&mut self.table_bytes, other.table_bytes),
            (&mut self.client_bytes, other.client_bytes),
            (&mut self.outstanding, other.outstanding),
            (&mut self.order.transactions, other.order.transactions),
            (&mut self.order.queued_directs, other.order.queued_directs),
            (&mut self.order.in_flight, other.order.in_flight),
            (&mut self.order.credits_out, other.order.credits_out),
            (&mut self.order.parked, other.order.parked),
            (&mut self.order.queue, other.order.queue),
            (&mut self.order.locks, other.order.locks),
            (&mut self.order.blocked_clients, other.order.blocked_clients),
            (&mut self.order.waited_keys, other.order.waited_keys),
            (&mut self.order.watching_clients, other.order.watching_clients),
            (&mut self.order.watched_keys, other.order.watched_keys),
            (&mut self.lines_dropped, other.lines_dropped),
            (&mut self.trash_keys, other.trash_keys),
            (&mut self.shard.hits, other.shard.hits),
            (&mut self.shard.misses, other.shard.misses),
            (&mut self.shard.expired, other.shard.expired),
            (&mut self.shard.evicted, other.shard.evicted),
            (&mut self.shard.dirty, other.shard.dirty),
            (&mut self.unsaved_changes, other.unsaved_changes),
            (&mut self.keys_at_cut, other.keys_at_cut),
            (&mut self.saved_keys, other.saved_keys),
            (&mut self.log_bytes, other.log_bytes),
            (&mut self.log_pending_bytes, other.log_pending_bytes),
            (&mut self.saving_bytes, other.saving_bytes),
        ] {
            *mine += theirs;
        }
        self.log_fails |= other.log_fails;
        self.longest_input = self.longest_input.max(other.longest_input);
        self.longest_output = self.longest_output.max(other.longest_output);
        self.exceeded_millis.0 = self.exceeded_millis.0.max(other.exceeded_millis.0);
        self.exceeded_millis.1 = self.exceeded_millis.1.max(other.exceeded_millis.1);
        for (mine, theirs) in self.rates.iter_mut().zip(other.rates) {
            *mine += theirs;
        }
        for (code, count) in &other.error_codes {
            *self.error_codes.entry(code.clone()).or_default() += count;
        }
        for (database, theirs) in &other.databases {
            let mine = self.databases.entry(*database).or_default();
            mine.keys += theirs.keys;
            mine.timed += theirs.timed;
            mine.table_bytes += theirs.table_bytes;
        }
        for (id, counters) in &other.per_command {
            let mine = self.per_command.entry(*id).or_default();
            mine.calls += counters.calls;
            mine.nanos += counters.nanos;
            mine.rejected += counters.rejected;
            mine.failed += counters.failed;
        }
        for (id, histogram) in &other.histograms {
            self.histograms.entry(*id).or_default().add(histogram);
        }
    }
}

/// Samples of running totals, from which the rates of the last second or two follow.
#[derive(Clone, Debug, Default)]
struct Rates {
    samples: [(Instant, [u64; 3]); 16],
    at: usize,
    next: Instant,
}

const SAMPLE_MILLIS: u64 = 100;
const RATE_WINDOW_MILLIS: u64 = 1_600;

impl Rates {
    fn add(&mut self, now: Instant, totals: [u64; 3]) {
        self.samples[self.at] = (now, totals);
        self.at = (self.at + 1) % self.samples.len();
        self.next = now.after_millis(SAMPLE_MILLIS);
    }

    /// Over the time since the oldest sample that is not too old; zero if nothing happened lately.
    fn per_second(&self, now: Instant, totals: [u64; 3]) -> [u64; 3] {
        let oldest = self
            .samples
            .iter()
            .filter(|(at, _)| at.0 > 0 && now.millis_since(*at) <= RATE_WINDOW_MILLIS)
            .min_by_key(|(at, _)| at.0);
        let Some((at, before)) = oldest else { return [0; 3] };
        let millis = now.millis_since(*at).max(1);
        std::array::from_fn(|n| (totals[n] - before[n]).saturating_mul(1_000) / millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_cover_the_last_second_or_two() {
        let mut statistics = Statistics::default();
        for tenth in 1..=50u64 {
            statistics.sample(Instant(tenth * 100_000_000));
            statistics.commands += 10;
        }
        let at = |millis: u64| Instant(millis * 1_000_000);
        assert_eq!(statistics.snapshot(at(5_100)).rates[0], 100);
        assert_eq!(statistics.snapshot(at(60_000)).rates[0], 0);
    }

    #[test]
    fn sums_add_what_adds_and_keep_the_longest() {
        let mut sum = CoreStatistics { commands: 2, longest_input: 7, ..CoreStatistics::default() };
        let mut other = CoreStatistics { commands: 3, longest_input: 5, ..CoreStatistics::default() };
        other.databases.insert(0, DatabaseCounts { keys: 4, timed: 1, table_bytes: 100 });
        other.error_codes.insert("ERR".into(), 2);
        sum.add(&other);
        sum.add(&other);
        assert_eq!((sum.commands, sum.longest_input), (8, 7));
        assert_eq!(sum.databases[&0], DatabaseCounts { keys: 8, timed: 2, table_bytes: 200 });
        assert_eq!(sum.error_codes["ERR"], 4);
    }

    #[test]
    fn strange_error_codes_have_a_bound() {
        let mut statistics = Statistics::default();
        for code in 0..1_000 {
            statistics.error(&format!("E{code}"));
        }
        assert_eq!((statistics.errors, statistics.error_codes.len()), (1_000, ERROR_CODES_MAX));
    }
}
