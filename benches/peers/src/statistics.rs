//! A figure is the median of its rounds; its spread is from the first to the third quartile.

use std::collections::BTreeMap;

/// What one engine reached, by the number of the round.
pub type Rounds = BTreeMap<u64, f64>;

/// A figure with its spread.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Figure {
    /// The middle.
    pub median: f64,
    /// A quarter of the rounds lie below.
    pub low: f64,
    /// A quarter of the rounds lie above.
    pub high: f64,
}

impl Figure {
    /// Of some samples, at least one.
    pub fn of(samples: &[f64]) -> Figure {
        Figure { median: median(samples), low: quantile(samples, 0.25), high: quantile(samples, 0.75) }
    }

    /// The ratio of two sides that were measured in turns: round by round, so that what disturbed both counts little. A round
    /// in which one had no part, or both are nothing, has no ratio.
    pub fn ratio(over: &Rounds, under: &Rounds) -> Option<Figure> {
        let shared = over.iter().filter_map(|(round, over)| under.get(round).map(|under| over / under));
        let ratios: Vec<f64> = shared.filter(|ratio| !ratio.is_nan()).collect();
        (!ratios.is_empty()).then(|| Figure::of(&ratios))
    }
}

/// The middle of the samples.
pub fn median(samples: &[f64]) -> f64 {
    quantile(samples, 0.5)
}

/// The value below which that part of the samples lies, between two samples in proportion.
pub fn quantile(samples: &[f64], part: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = part * (sorted.len() - 1) as f64;
    let (below, rest) = (place.floor() as usize, place.fract());
    let above = (below + 1).min(sorted.len() - 1);
    let (low, high) = (sorted[below], sorted[above]);
    // Between two that are infinite there is nothing to reckon.
    if rest == 0.0 || low == high { low } else { low + (high - low) * rest }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(over: &[f64], under: &[f64]) -> Option<Figure> {
        let rounds = |samples: &[f64]| (0..).zip(samples.iter().copied()).collect();
        Figure::ratio(&rounds(over), &rounds(under))
    }

    #[test]
    fn medians_of_odd_and_even_counts() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[7.0]), 7.0);
    }

    #[test]
    fn quartiles_lie_in_proportion() {
        let figure = Figure::of(&[5.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!((figure.low, figure.median, figure.high), (2.0, 3.0, 4.0));
        assert_eq!(quantile(&[0.0, 10.0], 0.25), 2.5);
        let endless = Figure::of(&[1.0, 2.0, 3.0, f64::INFINITY, f64::INFINITY]);
        assert_eq!((endless.median, endless.high), (3.0, f64::INFINITY));
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        // Both sides were three times slower in the second round.
        let figure = ratio(&[30.0, 10.0, 30.0], &[10.0, 5.0, 15.0]).unwrap();
        assert_eq!((figure.median, figure.low, figure.high), (2.0, 2.0, 2.5));
    }

    #[test]
    fn of_nothing_over_nothing_there_is_no_ratio() {
        let figure = ratio(&[0.0, 10.0, 30.0], &[0.0, 5.0, 10.0]).unwrap();
        assert_eq!((figure.low, figure.median, figure.high), (2.25, 2.5, 2.75));
        assert_eq!(ratio(&[0.0], &[0.0]), None);
    }

    #[test]
    fn only_shared_rounds_have_a_ratio() {
        let (over, under) =
            (Rounds::from([(0, 90.0), (1, 8.0), (2, 6.0)]), Rounds::from([(1, 2.0), (2, 3.0), (3, 1.0)]));
        let figure = Figure::ratio(&over, &under).unwrap();
        assert_eq!((figure.median, figure.low, figure.high), (3.0, 2.5, 3.5));
        assert_eq!(Figure::ratio(&over, &Rounds::from([(3, 1.0)])), None);
    }
}
