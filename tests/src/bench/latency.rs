//! How long requests took: an HdrHistogram of nanoseconds, shown in microseconds.

use hdrhistogram::Histogram;
use serde::Serialize;

/// Latencies of one run. Three significant digits are kept.
#[derive(Clone, Debug)]
pub struct Latency {
    histogram: Histogram<u64>,
}

/// What takes longer is counted as this long.
const LONGEST_NS: u64 = 3_600_000_000_000;

/// The figures that are shown, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Percentiles {
    pub min: f64,
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub p9999: f64,
    pub max: f64,
}

/// A point of the curve: so many of all requests, 0 to 1, took at most so long.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Of all requests.
    pub share: f64,
    /// The latency.
    pub microseconds: f64,
}

impl Default for Latency {
    fn default() -> Latency {
        Latency::new()
    }
}

impl Latency {
    /// Without a request.
    pub fn new() -> Latency {
        let histogram = Histogram::new_with_bounds(1, LONGEST_NS, 3).expect("the bounds are valid");
        Latency { histogram }
    }

    /// So many requests took so many nanoseconds.
    pub fn record(&mut self, nanoseconds: u64, count: u64) {
        if count > 0 {
            self.histogram.saturating_record_n(nanoseconds.max(1), count);
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.histogram.reset();
    }

    /// Adds those of another.
    pub fn add(&mut self, other: &Latency) {
        self.histogram.add(&other.histogram).expect("the bounds are the same");
    }

    /// How many requests there were.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The figures that are shown. Zeros if there were none.
    pub fn percentiles(&self) -> Percentiles {
        if self.histogram.is_empty() {
            return Percentiles::default();
        }
        let at = |share: f64| self.histogram.value_at_quantile(share) as f64 / 1e3;
        Percentiles {
            min: self.histogram.min() as f64 / 1e3,
            mean: self.histogram.mean() / 1e3,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            p9999: at(0.9999),
            max: self.histogram.max() as f64 / 1e3,
        }
    }

    /// The curve of all percentiles, finer towards the slowest.
    pub fn curve(&self) -> Vec<Point> {
        let steps = self.histogram.iter_quantiles(4);
        steps
            .map(|step| Point {
                share: step.quantile_iterated_to(),
                microseconds: step.value_iterated_to() as f64 / 1e3,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_requests() {
        let mut latency = Latency::new();
        for n in 1..=5_000u64 {
            latency.record(n * 1_000, 1);
        }
        let mut more = Latency::new();
        for n in 5_001..=10_000u64 {
            more.record(n * 1_000, 2);
        }
        latency.add(&more);
        assert_eq!(latency.count(), 15_000);
        let found = latency.percentiles();
        let near = |figure: f64, expected: f64| assert!((figure / expected - 1.0).abs() < 0.002, "{found:?}");
        near(found.min, 1.0);
        near(found.p50, 6_250.0);
        near(found.p90, 9_250.0);
        near(found.p99, 9_925.0);
        near(found.max, 10_000.0);
        let curve = latency.curve();
        assert!(curve.windows(2).all(|pair| pair[0].share <= pair[1].share));
        assert!(curve.windows(2).all(|pair| pair[0].microseconds <= pair[1].microseconds));
        assert_eq!(curve.last().map(|point| point.share), Some(1.0));
        latency.clear();
        assert_eq!(latency.percentiles(), Percentiles::default());
    }

    #[test]
    fn the_longest_and_the_shortest_are_kept_within_bounds() {
        let mut latency = Latency::new();
        latency.record(0, 1);
        latency.record(u64::MAX, 1);
        assert_eq!(latency.count(), 2);
        assert!(latency.percentiles().max >= LONGEST_NS as f64 / 1e3);
    }
}
