//! Atomic batches of keys that are there, and the filling of a store before a line begins.

use std::ops::Range;

use super::writes::{Written, verify};
use super::{Spec, Step, Work};
use crate::Result;
use crate::choice::Chooser;
use crate::engines::Session;
use crate::names::{Name, Names, Shape};
use crate::values::Values;

/// Names and values, made while no clock runs.
pub struct Batch {
    numbers: Vec<u64>,
    names: Names,
    values: Vec<Vec<u8>>,
}

impl Batch {
    /// The values of one version of these numbers.
    pub fn new(shape: Shape, values: &Values, numbers: Vec<u64>, version: u64) -> Batch {
        let value = |number: &u64| {
            let mut value = Vec::new();
            values.fill(&mut value, *number, version);
            value
        };
        let names = Names::of(shape, numbers.iter().copied());
        Batch { values: numbers.iter().map(value).collect(), names, numbers }
    }

    /// As an engine takes them.
    pub fn items(&self) -> Vec<(Name<'_>, &[u8])> {
        self.names.iter().zip(self.values.iter().map(Vec::as_slice)).collect()
    }
}

/// Puts the numbers into the store, in order, by batches of some megabytes; their version is 0.
pub fn fill(session: &mut dyn Session, shape: Shape, values: &Values, numbers: Range<u64>) -> Result<()> {
    let size = (8_000_000 / values.len() as u64).clamp(8, 10_000);
    let mut begin = numbers.start;
    while begin < numbers.end {
        let end = numbers.end.min(begin + size);
        session.fill(&Batch::new(shape, values, (begin..end).collect(), 0).items())?;
        begin = end;
    }
    Ok(())
}

/// Batches at a steady size.
pub struct Batches {
    spec: Spec,
    values: Values,
    chooser: Chooser,
    size: usize,
    /// With its version.
    ready: Vec<(Batch, u64)>,
    /// How many were put: the ready ones in turn, again and again.
    used: usize,
    version: u64,
}

impl Batches {
    /// How many are made ahead for a round.
    const AHEAD: usize = 64;

    pub fn new(spec: Spec, size: usize) -> Batches {
        Batches {
            values: Values::new(spec.value),
            chooser: Chooser::new(spec.choice, spec.keys),
            spec,
            size,
            ready: Vec::new(),
            used: 0,
            version: 0,
        }
    }

    /// Each key once, so that every engine writes as many.
    fn make(&mut self, dice: &mut fastrand::Rng) -> (Batch, u64) {
        let mut numbers: Vec<u64> = (0..self.size).map(|_| self.spec.own(self.chooser.next(dice))).collect();
        numbers.sort_unstable();
        numbers.dedup();
        dice.shuffle(&mut numbers);
        self.version += 1;
        (Batch::new(self.spec.shape, &self.values, numbers, self.version), self.version)
    }
}

impl Work for Batches {
    fn prepare(&mut self, _: &mut dyn Session, round: u64) -> Result<()> {
        let mut dice = self.spec.dice(round);
        self.ready = (0..Self::AHEAD).map(|_| self.make(&mut dice)).collect();
        self.used = 0;
        Ok(())
    }

    fn step(&mut self, session: &mut dyn Session) -> Result<Step> {
        let (batch, _) = &self.ready[self.used % Self::AHEAD];
        session.batch(&batch.items())?;
        self.used += 1;
        Ok(Step::Done)
    }

    fn verify(&mut self, session: &mut dyn Session) -> Result<()> {
        let last = (self.used.saturating_sub(Self::AHEAD)..self.used).map(|step| &self.ready[step % Self::AHEAD]);
        let written: Vec<Written> =
            last.flat_map(|(batch, version)| batch.numbers.iter().map(|number| (*number, *version))).collect();
        verify(session, &self.spec, &self.values, &written)
    }
}
