//! Figures of several rounds in one: the median and how far they lie apart. It does not know what they measure.

use serde::Serialize;

/// Several figures of the same thing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Half of the figures are not above it.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// The median of how far each is from the median.
    pub deviation: f64,
}

impl Spread {
    /// Of figures; none if there are none.
    pub fn of(figures: &[f64]) -> Option<Spread> {
        let centre = median(figures)?;
        let far: Vec<f64> = figures.iter().map(|figure| (figure - centre).abs()).collect();
        Some(Spread {
            median: centre,
            min: figures.iter().copied().fold(f64::INFINITY, f64::min),
            max: figures.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            deviation: median(&far)?,
        })
    }

    /// Of the ratios of figures to others of the same round.
    pub fn of_ratios(figures: &[f64], others: &[f64]) -> Option<Spread> {
        let pairs = figures.iter().zip(others).filter(|(_, other)| **other != 0.0);
        Spread::of(&pairs.map(|(figure, other)| figure / other).collect::<Vec<_>>())
    }
}

fn median(figures: &[f64]) -> Option<f64> {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.get(sorted.len() / 2)?;
    let lower = sorted[(sorted.len() - 1) / 2];
    Some((lower + upper) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_do_not_follow_the_one_that_is_off() {
        let spread = Spread::of(&[3.0, 100.0, 1.0, 2.0, 4.0]).expect("figures");
        assert_eq!(spread, Spread { median: 3.0, min: 1.0, max: 100.0, deviation: 1.0 });
        assert_eq!(Spread::of(&[1.0, 2.0]).map(|spread| spread.median), Some(1.5));
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        // The machine was slow in the second round, for both.
        let ratios = Spread::of_ratios(&[1.0, 5.0, 1.0], &[2.0, 10.0, 2.0]).expect("figures");
        assert_eq!(ratios, Spread { median: 0.5, min: 0.5, max: 0.5, deviation: 0.0 });
        assert_eq!(Spread::of_ratios(&[1.0], &[0.0]), None);
    }
}
