//! Rounds of all engines, in an order that is drawn anew for each: a machine whose speed drifts, drifts for all.

use std::collections::BTreeMap;

use crate::Result;
use crate::engines::Kind;
use crate::stages::{Metric, Stage};

/// The samples of a line: of each engine and metric one for each round.
pub type Samples = BTreeMap<(Metric, Kind), Vec<f64>>;

/// Who goes when: in each round everyone once.
pub fn order(dice: &mut fastrand::Rng, count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    dice.shuffle(&mut order);
    order
}

/// Measures the stages against each other.
pub fn interleave(
    stages: &mut [(Kind, Box<dyn Stage + '_>)],
    rounds: usize,
    dice: &mut fastrand::Rng,
) -> Result<Samples> {
    let mut samples = Samples::new();
    for round in 0..rounds {
        for index in order(dice, stages.len()) {
            let (kind, stage) = &mut stages[index];
            let figures = stage.round(round as u64).map_err(|error| format!("{kind}, round {round}: {error}"))?;
            for (metric, figure) in figures {
                samples.entry((metric, *kind)).or_default().push(figure);
            }
        }
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    struct Noted<'a> {
        name: f64,
        log: &'a RefCell<Vec<(u64, f64)>>,
    }

    impl Stage for Noted<'_> {
        fn round(&mut self, round: u64) -> Result<Vec<(Metric, f64)>> {
            self.log.borrow_mut().push((round, self.name));
            Ok(vec![(Metric::Rate, self.name * (round + 1) as f64)])
        }
    }

    #[test]
    fn each_round_has_everyone_once_in_changing_order() {
        let log = RefCell::default();
        let stage = |kind, name| (kind, Box::new(Noted { name, log: &log }) as Box<dyn Stage>);
        let mut stages = vec![stage(Kind::Dirkv, 1.0), stage(Kind::Lmdb, 2.0), stage(Kind::Raw, 3.0)];
        let samples = interleave(&mut stages, 20, &mut fastrand::Rng::with_seed(5)).unwrap();
        drop(stages);
        let log = log.into_inner();
        let rounds: Vec<Vec<(u64, f64)>> = log.chunks(3).map(<[_]>::to_vec).collect();
        assert_eq!(rounds.len(), 20);
        for (number, round) in rounds.iter().enumerate() {
            assert!(round.iter().all(|(of, _)| *of == number as u64), "{round:?}");
            assert!([1.0, 2.0, 3.0].iter().all(|name| round.iter().any(|(_, n)| n == name)), "{round:?}");
        }
        assert!(rounds.iter().any(|round| round[0].1 != rounds[0][0].1), "the order never changes");
        assert_eq!(samples[&(Metric::Rate, Kind::Lmdb)][..3], [2.0, 4.0, 6.0]);
    }

    #[test]
    fn the_seed_decides_the_order() {
        let draw = |seed| {
            let mut dice = fastrand::Rng::with_seed(seed);
            (0..10).map(|_| order(&mut dice, 6)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
