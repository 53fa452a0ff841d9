//! Bulk load: a new store is filled by durable batches, and closed.

use std::time::Instant;

use super::{Metric, Sample, Stage};
use crate::Result;
use crate::bench::{Bench, VALUE};
use crate::engines::{self, Cache, Kind, Role, Setup, Sync};
use crate::names::{Names, Shape};
use crate::values::Values;
use crate::work::Batch;

const BATCH: u64 = 1_000;
const SETUP: Setup = Setup { sync: Sync::Full, role: Role::Alone, cache: Cache::Usual, value: VALUE };

pub struct Load<'a> {
    bench: &'a Bench,
    kind: Kind,
    keys: u64,
    sorted: bool,
}

impl<'a> Load<'a> {
    pub fn new(bench: &'a Bench, kind: Kind, keys: u64, sorted: bool) -> Load<'a> {
        Load { bench, kind, keys, sorted }
    }

    /// Numbers in the order in which they are loaded.
    fn numbers(&self, round: u64) -> Vec<u64> {
        let mut numbers: Vec<u64> = (0..self.keys).collect();
        if !self.sorted {
            fastrand::Rng::with_seed(self.bench.seed ^ round).shuffle(&mut numbers);
        }
        numbers
    }
}

impl Stage for Load<'_> {
    fn round(&mut self, round: u64) -> Result<Vec<Sample>> {
        let (path, values, numbers) = (self.bench.fresh(self.kind), Values::new(VALUE), self.numbers(round));
        let engine = engines::open(self.kind, &path, &SETUP)?;
        let mut session = engine.session()?;
        // All are made before: no engine has time between them for what it does in the background.
        let make = |part: &[u64]| Batch::new(Shape::Plain, &values, part.to_vec(), 0);
        let batches: Vec<Batch> = numbers.chunks(BATCH as usize).map(make).collect();
        let items: Vec<_> = batches.iter().map(Batch::items).collect();
        let begin = Instant::now();
        items.iter().try_for_each(|items| session.batch(items))?;
        drop(session);
        drop(engine);
        let took = begin.elapsed().as_secs_f64();
        if self.kind.is_store() {
            self.check(&path, &values, &numbers)?;
        }
        self.bench.discard(&path);
        Ok(vec![(Metric::Rate, self.keys as f64 / took)])
    }
}

impl Load<'_> {
    /// A thousandth of the keys, and the first and last of the load, are as they were written.
    fn check(&self, path: &std::path::Path, values: &Values, numbers: &[u64]) -> Result<()> {
        let engine = engines::open(self.kind, path, &SETUP)?;
        let mut session = engine.session()?;
        let step = (numbers.len() / 1_000).max(1);
        let mut value = Vec::new();
        for number in numbers.iter().step_by(step).chain(numbers.last()) {
            if !session.get(Names::of(Shape::Plain, [*number]).get(0), &mut value)? {
                return Err(format!("key {number} was loaded and is not there").into());
            }
            values.version(&value, *number)?;
        }
        Ok(())
    }
}
