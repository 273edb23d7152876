//! Which key comes next: uniform, by Zipf's law or in sequence. It knows numbers of keys, not their names.

use std::fmt;
use std::str::FromStr;

/// Random 64-bit numbers, the same for the same seed: SplitMix64 (Steele, Lea, Flood 2014). Not for secrets.
#[derive(Clone, Debug)]
pub struct Dice(u64);

/// The step of SplitMix64's sequence.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

impl Dice {
    /// Starts at a seed.
    pub fn new(seed: u64) -> Dice {
        Dice(mix(seed))
    }

    /// The next 64 bits.
    #[expect(clippy::should_implement_trait, reason = "it has no end")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        mix(self.0)
    }

    /// A number below a bound that is not zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// A number between 0 and 1, neither of them included.
    pub fn unit(&mut self) -> f64 {
        ((self.next() >> 12) as f64 + 0.5) / (1u64 << 52) as f64
    }
}

/// Scatters the bits of a number; no two numbers give the same.
pub fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// How often which key is taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Distribution {
    /// Each as often as any other.
    Uniform,
    /// The key of rank r as often as 1 / r^theta.
    Zipf {
        /// The exponent: 0.99 is YCSB's.
        theta: f64,
    },
    /// One after the other, and from the first again.
    Sequential,
}

impl FromStr for Distribution {
    type Err = String;

    fn from_str(text: &str) -> Result<Distribution, String> {
        match text.split_once(':').map_or((text, None), |(name, theta)| (name, Some(theta))) {
            ("uniform", None) => Ok(Distribution::Uniform),
            ("sequential", None) => Ok(Distribution::Sequential),
            ("zipf", theta) => match theta.unwrap_or("0.99").parse() {
                Ok(theta) if theta > 0.0 && theta <= 10.0 => Ok(Distribution::Zipf { theta }),
                _ => Err("theta is a number above 0, up to 10".into()),
            },
            _ => Err("uniform, zipf, zipf:THETA or sequential".into()),
        }
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, text: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Distribution::Uniform => text.write_str("uniform"),
            Distribution::Zipf { theta } => write!(text, "zipf:{theta}"),
            Distribution::Sequential => text.write_str("sequential"),
        }
    }
}

/// Draws keys of `0..count`.
#[derive(Clone, Debug)]
pub struct Keys {
    count: u64,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Uniform,
    Zipf(Zipf),
    Sequential { next: u64, step: u64 },
}

impl Keys {
    /// For the lane `lane` of `lanes`: in sequence, each of them takes every `lanes`th key.
    pub fn new(distribution: Distribution, count: u64, lane: u64, lanes: u64) -> Keys {
        assert!(count > 0 && lane < lanes, "there are keys, and lane {lane} is one of {lanes}");
        let kind = match distribution {
            Distribution::Uniform => Kind::Uniform,
            Distribution::Zipf { theta } => Kind::Zipf(Zipf::new(count, theta)),
            Distribution::Sequential => Kind::Sequential { next: lane % count, step: lanes },
        };
        Keys { count, kind }
    }

    /// The next key.
    pub fn draw(&mut self, dice: &mut Dice) -> u64 {
        match &mut self.kind {
            Kind::Uniform => dice.below(self.count),
            Kind::Zipf(zipf) => zipf.draw(dice),
            Kind::Sequential { next, step } => {
                let key = *next;
                *next = (*next + *step) % self.count;
                key
            }
        }
    }
}

/// Zipf's law without a table: rejection-inversion (Hormann, Derflinger 1996). Ranks are spread over the key space, or else the most
/// wanted keys would be neighbours.
#[derive(Clone, Debug)]
struct Zipf {
    count: u64,
    theta: f64,
    /// The integral of the density where it begins and ends.
    low: f64,
    high: f64,
    /// What lies this near to its rank is taken without a second look.
    sure: f64,
    /// Coprime to `count`, so that no two ranks get the same key.
    spread: u64,
}

impl Zipf {
    fn new(count: u64, theta: f64) -> Zipf {
        let mut spread = ((count as f64 * 0.618_033_988) as u64).max(1);
        while common_divisor(spread, count) != 1 {
            spread += 1;
        }
        let mut zipf = Zipf { count, theta, low: 0.0, high: 0.0, sure: 0.0, spread };
        zipf.low = zipf.integral(1.5) - 1.0;
        zipf.high = zipf.integral(count as f64 + 0.5);
        zipf.sure = 2.0 - zipf.inverse(zipf.integral(2.5) - 2f64.powf(-theta));
        zipf
    }

    fn integral(&self, x: f64) -> f64 {
        match 1.0 - self.theta {
            near if near.abs() < 1e-9 => x.ln(),
            exponent => (x.powf(exponent) - 1.0) / exponent,
        }
    }

    fn inverse(&self, y: f64) -> f64 {
        match 1.0 - self.theta {
            near if near.abs() < 1e-9 => y.exp(),
            exponent => (1.0 + y * exponent).max(0.0).powf(1.0 / exponent),
        }
    }

    /// From 1, the most frequent.
    fn rank(&self, dice: &mut Dice) -> u64 {
        loop {
            let y = self.low + dice.unit() * (self.high - self.low);
            let x = self.inverse(y);
            let rank = (x + 0.5).clamp(1.0, self.count as f64) as u64;
            let k = rank as f64;
            if k - x <= self.sure || y >= self.integral(k + 0.5) - k.powf(-self.theta) {
                return rank;
            }
        }
    }

    fn draw(&self, dice: &mut Dice) -> u64 {
        let rank = self.rank(dice) - 1;
        (u128::from(rank) * u128::from(self.spread) % u128::from(self.count)) as u64
    }
}

fn common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(text: &str, keys: u64, draws: u64) -> Vec<u64> {
        let mut drawn = Keys::new(text.parse().expect("a distribution"), keys, 0, 1);
        let mut counts = vec![0; keys as usize];
        let mut dice = Dice::new(7);
        (0..draws).for_each(|_| counts[drawn.draw(&mut dice) as usize] += 1);
        counts
    }

    #[test]
    fn uniform_keys_are_all_drawn_alike() {
        let counts = counts("uniform", 100, 1_000_000);
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
    }

    #[test]
    fn zipf_follows_its_law_for_any_theta() {
        for theta in [0.5, 0.99, 1.0, 1.3] {
            let keys = 1_000;
            let draws = 1_000_000;
            let mut counts = counts(&format!("zipf:{theta}"), keys, draws);
            assert_eq!(counts.iter().sum::<u64>(), draws);
            counts.sort_unstable_by(|a, b| b.cmp(a));
            let total: f64 = (1..=keys).map(|rank| (rank as f64).powf(-theta)).sum();
            for rank in [1, 2, 3, 10, 100] {
                let expected = draws as f64 * (rank as f64).powf(-theta) / total;
                let off = (counts[rank - 1] as f64 - expected).abs() / expected;
                assert!(off < 0.12, "theta {theta}, rank {rank}: {} beside {expected}", counts[rank - 1]);
            }
        }
    }

    #[test]
    fn no_two_ranks_share_a_key() {
        for count in [1, 2, 10, 997, 1_000, 65_536] {
            let zipf = Zipf::new(count, 0.99);
            let mut keys: Vec<u64> = (0..count).map(|rank| rank * zipf.spread % count).collect();
            keys.sort_unstable();
            assert_eq!(keys, (0..count).collect::<Vec<_>>());
        }
        assert_eq!(Keys::new(Distribution::Zipf { theta: 0.99 }, 1, 0, 1).draw(&mut Dice::new(1)), 0);
    }

    #[test]
    fn lanes_share_a_sequence() {
        let mut dice = Dice::new(1);
        let mut seen: Vec<u64> = (0..3)
            .flat_map(|lane| {
                let mut keys = Keys::new(Distribution::Sequential, 10, lane, 3);
                (0..(10u64 - lane).div_ceil(3)).map(|_| keys.draw(&mut dice)).collect::<Vec<_>>()
            })
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..10).collect::<Vec<_>>());
        let mut again = Keys::new(Distribution::Sequential, 2, 0, 1);
        assert_eq!([0; 3].map(|_| again.draw(&mut dice)), [0, 1, 0]);
    }

    #[test]
    fn names_are_read_and_shown() {
        for text in ["uniform", "zipf:0.7", "sequential"] {
            assert_eq!(text.parse::<Distribution>().expect("known").to_string(), text);
        }
        assert_eq!("zipf".parse(), Ok(Distribution::Zipf { theta: 0.99 }));
        for wrong in ["", "zipf:", "zipf:-1", "zipf:0", "normal", "uniform:1"] {
            assert!(wrong.parse::<Distribution>().is_err(), "{wrong}");
        }
    }
}
