//! Rounds of all engines of a group, in an order that is drawn anew for each: a machine whose speed drifts, drifts for all.

use std::collections::BTreeMap;

use crate::Result;
use crate::engines::Kind;
use crate::stages::{Metric, Stage};
use crate::statistics::Rounds;

/// The samples of a line: of each engine and metric one for each round in which it had a part.
pub type Samples = BTreeMap<(Metric, Kind), Rounds>;

/// Who goes when: in each round everyone once.
pub fn order(dice: &mut fastrand::Rng, count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    dice.shuffle(&mut order);
    order
}

/// Measures the engines of each group against each other, each group for so many rounds. One group is closed before the next is
/// made ready. The rounds are numbered through: their numbers decide what is chosen, and who is in two groups would find warm
/// in the second what it was asked in the first.
pub fn measure<'a>(
    groups: &[Vec<Kind>],
    rounds: usize,
    dice: &mut fastrand::Rng,
    ready: impl Fn(Kind) -> Result<Box<dyn Stage + 'a>>,
) -> Result<Samples> {
    let (mut samples, mut numbers) = (Samples::new(), 0..);
    let make = |kind: &Kind| Ok((*kind, ready(*kind).map_err(|error| format!("{kind}: {error}"))?));
    for group in groups {
        let mut stages = group.iter().map(make).collect::<Result<Vec<_>>>()?;
        for round in numbers.by_ref().take(rounds) {
            for index in order(dice, stages.len()) {
                let (kind, stage) = &mut stages[index];
                let figures = stage.round(round).map_err(|error| format!("{kind}, round {round}: {error}"))?;
                for (metric, figure) in figures {
                    samples.entry((metric, *kind)).or_default().insert(round, figure);
                }
            }
        }
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::fs;

    use super::*;
    use crate::bench::{Bench, Form};
    use crate::lines;
    use crate::statistics::Figure;

    /// What fake engines did: the rounds that were played, and how many engines are open.
    #[derive(Default)]
    struct Log {
        played: RefCell<Vec<(u64, Kind)>>,
        open: Cell<usize>,
        most: Cell<usize>,
    }

    struct Noted<'a> {
        kind: Kind,
        log: &'a Log,
    }

    impl Log {
        fn open(&self, kind: Kind) -> Result<Box<dyn Stage + '_>> {
            self.open.set(self.open.get() + 1);
            self.most.set(self.most.get().max(self.open.get()));
            Ok(Box::new(Noted { kind, log: self }))
        }

        /// The rounds one by one, each as its number and who took part.
        fn rounds(&self, each: usize) -> Vec<(u64, Vec<Kind>)> {
            let played = self.played.borrow();
            let round = |round: &[(u64, Kind)]| {
                assert!(round.iter().all(|(number, _)| *number == round[0].0), "{round:?}");
                (round[0].0, round.iter().map(|(_, kind)| *kind).collect())
            };
            played.chunks(each).map(round).collect()
        }
    }

    impl Drop for Noted<'_> {
        fn drop(&mut self) {
            self.log.open.set(self.log.open.get() - 1);
        }
    }

    impl Stage for Noted<'_> {
        fn round(&mut self, round: u64) -> Result<Vec<(Metric, f64)>> {
            self.log.played.borrow_mut().push((round, self.kind));
            // From round to round all become faster, so that only figures of the same round have the ratio of the speeds.
            Ok(vec![(Metric::Rate, speed(self.kind) * (round + 1) as f64)])
        }
    }

    fn speed(kind: Kind) -> f64 {
        match kind {
            Kind::Dirkv => 60.0,
            Kind::Lmdb => 20.0,
            _ => 15.0,
        }
    }

    fn played(groups: &[Vec<Kind>], rounds: usize) -> (Samples, Log) {
        let log = Log::default();
        let samples = measure(groups, rounds, &mut fastrand::Rng::with_seed(5), |kind| log.open(kind)).unwrap();
        assert_eq!(log.open.get(), 0);
        (samples, log)
    }

    #[test]
    fn each_round_has_everyone_once_in_changing_order() {
        let (samples, log) = played(&[vec![Kind::Dirkv, Kind::Lmdb, Kind::Raw]], 20);
        let rounds = log.rounds(3);
        assert!(rounds.iter().map(|(number, _)| *number).eq(0..20));
        for (_, kinds) in &rounds {
            assert!([Kind::Dirkv, Kind::Lmdb, Kind::Raw].iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
        }
        assert!(rounds.iter().any(|(_, kinds)| kinds[0] != rounds[0].1[0]), "the order never changes");
        let lmdb = samples[&(Metric::Rate, Kind::Lmdb)].values().copied();
        assert!(lmdb.take(3).eq([20.0, 40.0, 60.0]));
    }

    #[test]
    fn groups_follow_each_other_and_share_no_round() {
        let peers = [Kind::Lmdb, Kind::Redb, Kind::Fjall];
        let (samples, log) = played(&peers.map(|peer| vec![Kind::Dirkv, peer]), 7);
        assert_eq!(log.most.get(), 2, "engines were open at once");
        let rounds = log.rounds(2);
        assert!(rounds.iter().map(|(number, _)| *number).eq(0..21));
        assert!(rounds.iter().any(|(_, kinds)| kinds[0] == Kind::Dirkv), "dirkv is always last");
        assert!(rounds.iter().any(|(_, kinds)| kinds[0] != Kind::Dirkv), "dirkv is always first");
        let of = |kind| &samples[&(Metric::Rate, kind)];
        assert!(of(Kind::Dirkv).keys().copied().eq(0..21));
        for (first, peer) in (0..).step_by(7).zip(peers) {
            assert!(of(peer).keys().copied().eq(first..first + 7), "{peer}: {:?}", of(peer));
            let (figure, wanted) = (Figure::ratio(of(Kind::Dirkv), of(peer)).unwrap(), 60.0 / speed(peer));
            assert_eq!((figure.low, figure.median, figure.high), (wanted, wanted, wanted), "{peer}");
        }
    }

    #[test]
    fn in_pairs_there_are_two_stores_at_most() {
        let folder = tempfile::tempdir().unwrap();
        let bench = Bench::new(Form::tiny(), 5, folder.path()).unwrap();
        let line = lines::all(&bench.form).into_iter().find(|line| line.id == "growth.upsert.4000").unwrap();
        let stores = || {
            let entries = fs::read_dir(bench.folder()).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        let seen = RefCell::new(Vec::new());
        let ready = |kind| {
            let stage = line.script.stage(&bench, kind);
            seen.borrow_mut().push(stores());
            stage
        };
        measure(&line.groups(&Kind::ALL), 1, &mut fastrand::Rng::with_seed(5), ready).unwrap();
        // dirkv's is kept; each of the others goes before the next one is filled.
        let wanted = [
            ["dirkv-1", ""],
            ["LMDB-2", "dirkv-1"],
            ["LMDB-2", "dirkv-1"],
            ["SQLite-3", "dirkv-1"],
            ["SQLite-3", "dirkv-1"],
            ["dirkv-1", "redb-4"],
            ["dirkv-1", "redb-4"],
            ["dirkv-1", "fjall-5"],
        ];
        assert_eq!(
            seen.into_inner(),
            wanted.map(|names| names.into_iter().filter(|n| !n.is_empty()).collect::<Vec<_>>())
        );
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
