//! A lock between two processes: how long from the end of one possession to the begin of the next, and what waiting costs.

use std::path::PathBuf;
use std::time::Duration;

use super::{Metric, Sample, Stage};
use crate::Result;
use crate::bench::Bench;
use crate::engines::{self, Cache, Kind, Role, Setup, Sync};
use crate::handoff::{self, Holder};
use crate::processes::{Part, Process, Task};
use crate::statistics::median;

pub struct Lock<'a> {
    bench: &'a Bench,
    path: PathBuf,
    both: [Process; 2],
}

impl<'a> Lock<'a> {
    pub fn new(bench: &'a Bench, kind: Kind, hold: Duration) -> Result<Lock<'a>> {
        let path = bench.fresh(kind);
        let setup = Setup { sync: Sync::Full, role: Role::AmongWriters, cache: Cache::Usual, value: 0 };
        let times = bench.form.handoffs;
        // Made before either of the two begins.
        drop(engines::open(kind, &path, &setup)?);
        let task = Task { kind, path: path.clone(), setup, part: Part::Holder(Holder { times, hold }) };
        Ok(Lock { bench, path, both: [Process::start(&task)?, Process::start(&task)?] })
    }
}

impl Stage for Lock<'_> {
    fn round(&mut self, _: u64) -> Result<Vec<Sample>> {
        let [one, two] = handoff::round(&mut self.both)?;
        let gaps: Vec<f64> = handoff::handoffs(&one, &two)?.into_iter().map(|nanos| nanos as f64 / 1e3).collect();
        if gaps.is_empty() {
            return Err("the lock never went from one to the other".into());
        }
        let all = || one.iter().chain(&two);
        let waited: u64 = all().map(|held| held.waited).sum();
        let busy: u64 = all().map(|held| held.busy).sum();
        Ok(vec![(Metric::Micros, median(&gaps)), (Metric::Busy, 100.0 * busy as f64 / waited.max(1) as f64)])
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        self.bench.discard(&self.path);
    }
}
