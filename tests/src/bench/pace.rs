//! When the requests of an open loop are due, whatever the server does. It reads no clock: times are nanoseconds, given to it.

use super::draw::Dice;

/// How far requests are apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Arrivals {
    /// Always as far.
    Constant,
    /// At random, as if sent by many who do not know of each other.
    Poisson,
}

/// The plan of one generator.
#[derive(Clone, Debug)]
pub struct Pace {
    interval: f64,
    next: f64,
    arrivals: Arrivals,
}

impl Pace {
    /// `rate` requests a second from `start` on, for lane `lane` of `lanes`, which share them.
    pub fn new(rate: f64, arrivals: Arrivals, start: u64, lane: usize, lanes: usize) -> Pace {
        assert!(rate > 0.0 && lane < lanes, "a rate above 0, and lane {lane} is one of {lanes}");
        let interval = 1e9 / rate * lanes as f64;
        Pace { interval, next: start as f64 + interval * lane as f64 / lanes as f64, arrivals }
    }

    /// When the next request is due.
    pub fn next(&self) -> u64 {
        self.next as u64
    }

    /// Takes the next request if it is due; returns when it was to be sent, from which its latency counts.
    pub fn take(&mut self, now: u64, dice: &mut Dice) -> Option<u64> {
        let due = self.next();
        if due > now {
            return None;
        }
        self.next += match self.arrivals {
            Arrivals::Constant => self.interval,
            Arrivals::Poisson => -dice.unit().ln() * self.interval,
        };
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::latency::Latency;

    #[test]
    fn lanes_share_a_rate_evenly() {
        let mut dice = Dice::new(1);
        let mut due: Vec<u64> = (0..4)
            .flat_map(|lane| {
                let mut pace = Pace::new(1_000_000.0, Arrivals::Constant, 5_000, lane, 4);
                std::iter::from_fn(|| pace.take(1_004_999, &mut dice)).collect::<Vec<_>>()
            })
            .collect();
        due.sort_unstable();
        assert_eq!(due, (0..1_000).map(|n| 5_000 + n * 1_000).collect::<Vec<_>>());
    }

    #[test]
    fn random_arrivals_keep_the_rate() {
        let mut dice = Dice::new(1);
        let mut pace = Pace::new(1_000_000.0, Arrivals::Poisson, 0, 0, 1);
        let due: Vec<u64> = std::iter::from_fn(|| pace.take(1_000_000_000, &mut dice)).collect();
        assert!((990_000..1_010_000).contains(&due.len()), "{}", due.len());
        let short = due.windows(2).filter(|pair| pair[1] - pair[0] < 1_000).count() as f64 / due.len() as f64;
        assert!((short - (1.0 - (-1f64).exp())).abs() < 0.01, "{short} are closer than the mean");
    }

    #[test]
    fn a_stall_is_felt_by_all_that_were_due_in_it() {
        // 1,000 requests a second for 10 seconds; the server answers at once but for one second in which it does nothing.
        let mut pace = Pace::new(1_000.0, Arrivals::Constant, 0, 0, 1);
        let (mut latency, mut uncorrected) = (Latency::new(), Latency::new());
        let mut dice = Dice::new(1);
        let mut now = 0;
        while now < 10_000_000_000 {
            if let Some(due) = pace.take(now, &mut dice) {
                let sent = now;
                if due == 5_000_000_000 {
                    now += 1_000_000_000;
                }
                latency.record(now - due, 1);
                uncorrected.record(now - sent, 1);
            } else {
                now = pace.next();
            }
        }
        // A tenth of all requests waited, half a second on average: with the time of sending only one would have.
        let (felt, unfelt) = (latency.percentiles(), uncorrected.percentiles());
        assert!((850_000.0..950_000.0).contains(&felt.p99), "{felt:?}");
        assert!((45_000.0..55_000.0).contains(&felt.mean), "{felt:?}");
        assert!(unfelt.p99 < 1.0 && unfelt.max > 990_000.0, "{unfelt:?}");
    }
}
