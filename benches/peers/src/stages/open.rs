//! A new process opens a store that others have filled: time to its first value, and its private memory.

use super::{Metric, Plan, Sample, Stage};
use crate::Result;
use crate::bench::{Bench, VALUE};
use crate::engines::Kind;
use crate::opening::{self, Opener};
use crate::processes::{Part, Task};
use crate::work::What;

/// Gets before it looks at its memory.
const GETS: u64 = 10_000;

pub struct Open {
    task: Task,
    opener: Opener,
}

impl Open {
    pub fn new(bench: &Bench, kind: Kind, keys: u64) -> Result<Open> {
        let plan = Plan { frugal: true, ..Plan::new(What::Get, keys, VALUE).reused() };
        let opener = Opener { keys, value: VALUE, gets: GETS.min(keys), seed: bench.seed };
        let path = bench.library(kind, &plan)?;
        Ok(Open { task: Task { kind, path, setup: plan.setup(), part: Part::Opener(opener.clone()) }, opener })
    }
}

impl Stage for Open {
    fn round(&mut self, round: u64) -> Result<Vec<Sample>> {
        let opener = Opener { seed: self.opener.seed ^ round, ..self.opener.clone() };
        let opened = opening::run(&Task { part: Part::Opener(opener), ..self.task.clone() })?;
        let private = opened.private as f64 / f64::from(1 << 20);
        Ok(vec![(Metric::Millis, opened.first as f64 / 1e6), (Metric::PrivateMiB, private)])
    }
}
