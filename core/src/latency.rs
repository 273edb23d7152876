//! LATENCY: spikes of named events, and histograms of commands.

use std::collections::{BTreeMap, VecDeque};

/// Samples kept of each event, as in Redis.
const SAMPLES_MAX: usize = 160;

/// The spikes of one event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LatencyEvent {
    /// Its name: `command`, `fast-command`, `expire-cycle`.
    pub name: String,
    /// Seconds and milliseconds, oldest first; at most one a second, the longest.
    pub samples: VecDeque<(u64, u64)>,
    /// The longest ever, milliseconds.
    pub max_millis: u64,
}

/// The spikes that one core has seen.
#[derive(Clone, Debug, Default)]
pub struct LatencyMonitor {
    events: BTreeMap<&'static str, LatencyEvent>,
}

impl LatencyMonitor {
    /// Keeps a spike if it is over the threshold; a threshold of 0 keeps none.
    pub fn note(&mut self, name: &'static str, unix_seconds: u64, millis: u64, threshold: u64) {
        if threshold == 0 || millis < threshold {
            return;
        }
        let event = self.events.entry(name).or_insert_with(|| LatencyEvent {
            name: name.into(),
            samples: VecDeque::new(),
            max_millis: 0,
        });
        event.add(unix_seconds, millis);
    }

    /// All events.
    pub fn events(&self) -> impl Iterator<Item = &LatencyEvent> {
        self.events.values()
    }

    /// Forgets one event; true if there was one.
    pub fn forget(&mut self, name: &str) -> bool {
        self.events.remove(name).is_some()
    }

    /// Forgets all; how many there were.
    pub fn clear(&mut self) -> usize {
        std::mem::take(&mut self.events).len()
    }
}

impl LatencyEvent {
    fn add(&mut self, unix_seconds: u64, millis: u64) {
        self.max_millis = self.max_millis.max(millis);
        match self.samples.back_mut() {
            Some((second, longest)) if *second == unix_seconds => *longest = (*longest).max(millis),
            _ => self.samples.push_back((unix_seconds, millis)),
        }
        if self.samples.len() > SAMPLES_MAX {
            self.samples.pop_front();
        }
    }

    /// One event from the same event of several cores.
    pub fn join(events: Vec<LatencyEvent>) -> Vec<LatencyEvent> {
        let mut joined: BTreeMap<String, Vec<LatencyEvent>> = BTreeMap::new();
        for event in events {
            joined.entry(event.name.clone()).or_default().push(event);
        }
        joined
            .into_iter()
            .map(|(name, events)| {
                let max_millis = events.iter().map(|event| event.max_millis).max().unwrap_or(0);
                let mut samples: Vec<(u64, u64)> =
                    events.into_iter().flat_map(|event| event.samples).collect();
                samples.sort_unstable();
                let mut event = LatencyEvent { name, samples: VecDeque::new(), max_millis };
                samples.into_iter().for_each(|(second, millis)| event.add(second, millis));
                event
            })
            .collect()
    }
}

/// Counts of durations by powers of two of a nanosecond: enough for percentiles within a factor of two, and small.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DurationHistogram {
    counts: [u64; 40],
}

impl Default for DurationHistogram {
    fn default() -> Self {
        DurationHistogram { counts: [0; 40] }
    }
}

impl DurationHistogram {
    /// Counts a duration.
    #[inline]
    pub fn note(&mut self, nanos: u64) {
        let class = (64 - nanos.saturating_sub(1).leading_zeros()) as usize;
        self.counts[class.min(39)] += 1;
    }

    /// Adds another's counts.
    pub fn add(&mut self, other: &DurationHistogram) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
    }

    /// Durations counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Upper bounds in microseconds, powers of two from 1 on, each with the count at or below it: from the
    /// first that holds anything to the one that holds all.
    pub fn cumulative_micros(&self) -> Vec<(u64, u64)> {
        let total = self.total();
        let mut rows = Vec::new();
        let mut below = 0;
        for (class, count) in self.counts.iter().enumerate() {
            below += count;
            // 2^10 nanoseconds stand for one microsecond: 1,024 to 1,000.
            if class < 10 || below == 0 {
                continue;
            }
            rows.push((1 << (class - 10), below));
            if below == total {
                break;
            }
        }
        rows
    }

    /// The duration in microseconds at or below which `percent` of all lie.
    pub fn percentile_micros(&self, percent: f64) -> f64 {
        let wanted = (self.total() as f64 * percent / 100.0).ceil().max(1.0) as u64;
        let mut below = 0;
        for (class, count) in self.counts.iter().enumerate() {
            below += count;
            if below >= wanted {
                return (1u64 << class) as f64 / 1_000.0;
            }
        }
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sample_a_second_the_longest() {
        let mut monitor = LatencyMonitor::default();
        for (second, millis) in [(1, 5), (1, 9), (1, 7), (2, 3), (3, 20)] {
            monitor.note("command", second, millis, 5);
        }
        monitor.note("command", 4, 100, 0);
        let event = monitor.events().next().expect("one event");
        assert_eq!(event.samples, [(1, 9), (3, 20)]);
        assert_eq!(event.max_millis, 20);
    }

    #[test]
    fn events_of_cores_join() {
        let event = |samples: &[(u64, u64)]| LatencyEvent {
            name: "command".into(),
            samples: samples.iter().copied().collect(),
            max_millis: samples.iter().map(|s| s.1).max().unwrap_or(0),
        };
        let joined = LatencyEvent::join(vec![event(&[(1, 5), (3, 6)]), event(&[(2, 9), (3, 7)])]);
        assert_eq!(joined, [event(&[(1, 5), (2, 9), (3, 7)])]);
    }

    #[test]
    fn histograms_count_by_powers_of_two() {
        let mut histogram = DurationHistogram::default();
        for nanos in [100, 1_000, 1_500, 3_000, 100_000] {
            histogram.note(nanos);
        }
        assert_eq!(
            histogram.cumulative_micros(),
            [(1, 2), (2, 3), (4, 4), (8, 4), (16, 4), (32, 4), (64, 4), (128, 5)]
        );
        assert_eq!(histogram.percentile_micros(50.0), 2.048);
        assert_eq!(DurationHistogram::default().percentile_micros(50.0), 0.0);
    }
}
