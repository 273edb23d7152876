//! Chance that a seed decides: one stream per concern, so that a change in one does not shift the others.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// What a stream of chance is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concern {
    /// How the world is made.
    Configuration = 1,
    /// What clients say.
    Workload = 2,
    /// Who goes next, how long everything takes, where bytes are cut.
    Schedule = 3,
    /// What goes wrong.
    Faults = 4,
    /// The engines' own seeds.
    Engines = 5,
    /// Which families of commands are said.
    Families = 6,
}

/// One stream of chance.
#[derive(Clone, Debug)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// The stream of a seed for a concern.
    pub fn new(seed: u64, concern: Concern) -> Dice {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(concern as u64);
        Dice(rng)
    }

    /// 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `bound`, 0 if that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True in so many of a thousand cases.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_and_concerns_differ() {
        let draw = |seed, concern| Dice::new(seed, concern).bits();
        assert_eq!(draw(7, Concern::Faults), draw(7, Concern::Faults));
        assert_ne!(draw(7, Concern::Faults), draw(7, Concern::Workload));
        assert_ne!(draw(7, Concern::Faults), draw(8, Concern::Faults));
        let mut dice = Dice::new(1, Concern::Schedule);
        assert!((0..1_000).all(|_| (3..=5).contains(&dice.between(3, 5))));
    }
}
