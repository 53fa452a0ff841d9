//! Disk: keys are overwritten three times in random order, the engine comes to rest, and its blocks are counted.

use super::{Metric, Plan, Sample, Stage};
use crate::Result;
use crate::bench::{Bench, VALUE};
use crate::disk;
use crate::engines::{self, Kind, Session};
use crate::names::{Names, Shape};
use crate::values::Values;
use crate::work::{Batch, What};

const TIMES: u64 = 3;
const BATCH: usize = 1_000;

pub struct Space<'a> {
    bench: &'a Bench,
    kind: Kind,
    keys: u64,
}

impl<'a> Space<'a> {
    pub fn new(bench: &'a Bench, kind: Kind, keys: u64) -> Space<'a> {
        Space { bench, kind, keys }
    }

    fn write(&self, session: &mut dyn Session, values: &Values, version: u64) -> Result<()> {
        let mut numbers: Vec<u64> = (0..self.keys).collect();
        if version > 0 {
            fastrand::Rng::with_seed(self.bench.seed ^ version).shuffle(&mut numbers);
        }
        for part in numbers.chunks(BATCH) {
            session.batch(&Batch::new(Shape::Plain, values, part.to_vec(), version).items())?;
        }
        Ok(())
    }
}

impl Stage for Space<'_> {
    fn round(&mut self, _: u64) -> Result<Vec<Sample>> {
        let (path, values) = (self.bench.fresh(self.kind), Values::new(VALUE));
        let engine = engines::open(self.kind, &path, &Plan::new(What::Put, self.keys, VALUE).setup())?;
        let mut session = engine.session()?;
        for version in 0..=TIMES {
            self.write(session.as_mut(), &values, version)?;
        }
        engine.settle()?;
        disk::quiet(&path)?;
        let blocks = disk::allocated(&path)?;
        let mut value = Vec::new();
        let step = (self.keys / 1_000).max(1) as usize;
        for number in (0..self.keys).step_by(step) {
            session.get(Names::of(Shape::Plain, [number]).get(0), &mut value)?;
            if values.version(&value, number)? != TIMES {
                return Err(format!("key {number} has an old version").into());
            }
        }
        drop(session);
        drop(engine);
        self.bench.discard(&path);
        let key = Names::of(Shape::Plain, [0]).get(0).flat.len() as u64;
        let live = self.keys * (key + VALUE as u64);
        Ok(vec![(Metric::Disk, blocks as f64 / live as f64)])
    }
}
