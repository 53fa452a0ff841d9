//! Workers that do one thing for a span of time: threads with one handle, or processes with one each.

use std::path::PathBuf;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::rest::Turn;
use super::{Beside, Metric, Plan, Sample, Stage, Who};
use crate::Result;
use crate::bench::Bench;
use crate::engines::{self, Engine, Kind, Role, Session, Setup};
use crate::names::Names;
use crate::processes::{Part, Task, Team};
use crate::turn::{self, Outcome, Pace};
use crate::values::Values;
use crate::work::{Spec, What, Work};

/// Makes an engine ready for a plan.
pub fn stage<'a>(bench: &'a Bench, kind: Kind, plan: &Plan) -> Result<Box<dyn Stage + 'a>> {
    let setup = plan.setup();
    let path = if in_library(kind, plan) {
        bench.library(kind, plan)?
    } else {
        let path = bench.fresh(kind);
        bench.fill(kind, plan, &path)?;
        path
    };
    let pace = Pace { span: bench.form.span, latencies: plan.latencies };
    let specs = (0..plan.who.count()).map(|who| spec(bench, plan, who)).collect::<Vec<_>>();
    let common = Common { bench, kind, plan: plan.clone(), path, setup, sum: 0 };
    if let Who::Threads(_) = plan.who {
        let engine = engines::open(kind, &common.path, &common.setup)?;
        if !kind.is_store() && plan.what.reads_only() {
            // What it holds lies in memory; its changes need nothing to be there.
            bench.fill_open(engine.as_ref(), plan)?;
        }
        let works = specs.iter().map(Spec::build).collect();
        return Ok(Box::new(Threads { common, engine, works, pace }));
    }
    let task = |setup: &Setup, part| Task { kind, path: common.path.clone(), setup: setup.clone(), part };
    let worker = |spec| task(&common.setup, Part::Worker(spec, pace));
    let mut tasks: Vec<Task> = specs.into_iter().map(worker).collect();
    if plan.beside == Beside::Writer {
        let writer = Spec { what: What::Put, ..spec(bench, plan, 0) };
        let setup = Setup { role: Role::OnlyWriter, ..common.setup.clone() };
        tasks.push(task(&setup, Part::Worker(writer, Pace { latencies: false, ..pace })));
    }
    Ok(Box::new(Processes { team: Team::start(tasks)?, common }))
}

/// Whether the store is one that other lines use; of the raw limit there is nothing to use.
fn in_library(kind: Kind, plan: &Plan) -> bool {
    plan.reuse && kind.is_store()
}

fn spec(bench: &Bench, plan: &Plan, who: u64) -> Spec {
    Spec {
        what: plan.what,
        keys: plan.keys,
        value: plan.value,
        shape: plan.shape,
        choice: plan.choice,
        who,
        workers: plan.who.count(),
        seed: bench.seed,
    }
}

struct Common<'a> {
    bench: &'a Bench,
    kind: Kind,
    plan: Plan,
    path: PathBuf,
    setup: Setup,
    /// What the swaps of the shared key have come to so far.
    sum: u64,
}

impl Common<'_> {
    /// The figures of what the workers did; `outcomes` is without the one beside them.
    fn samples(&self, outcomes: &[Outcome]) -> Result<Vec<Sample>> {
        if outcomes.iter().all(|outcome| outcome.done == 0) {
            return Err("nothing was done while the clock ran".into());
        }
        let mut samples = vec![(Metric::Rate, turn::rate(outcomes))];
        if self.plan.latencies {
            let all = turn::together(outcomes)?;
            let median = all.value_at_quantile(0.5).max(1);
            samples.push((Metric::Tail, all.value_at_quantile(0.999) as f64 / median as f64));
        }
        if self.plan.what == What::SwapShared {
            let done = outcomes.iter().map(|outcome| outcome.done);
            let (least, most) = (done.clone().min().unwrap_or(0), done.max().unwrap_or(0));
            samples.push((Metric::Fairness, least as f64 / most.max(1) as f64));
        }
        if self.plan.frugal {
            let private = outcomes.iter().map(|outcome| outcome.private).max().unwrap_or(0);
            samples.push((Metric::PrivateMiB, private as f64 / f64::from(1 << 20)));
        }
        Ok(samples)
    }

    /// No swap of the shared key was lost, and none was told twice: its version has grown by just what was done.
    fn check_shared(&mut self, session: &mut dyn Session, outcomes: &[Outcome]) -> Result<()> {
        if self.plan.what != What::SwapShared || !self.kind.is_store() {
            return Ok(());
        }
        let (names, mut value) = (Names::of(self.plan.shape, [0]), Vec::new());
        session.get(names.get(0), &mut value)?;
        let version = Values::new(self.plan.value).version(&value, 0)?;
        let done: u64 = outcomes.iter().map(|outcome| outcome.done + outcome.warmed).sum();
        if version != self.sum + done {
            return Err(format!("{done} swaps raised the version from {} to {version}", self.sum).into());
        }
        self.sum = version;
        Ok(())
    }
}

struct Threads<'a> {
    common: Common<'a>,
    engine: Box<dyn Engine>,
    works: Vec<Box<dyn Work + Send>>,
    pace: Pace,
}

impl Stage for Threads<'_> {
    fn round(&mut self, round: u64) -> Result<Vec<Sample>> {
        let (engine, pace) = (self.engine.as_ref(), self.pace);
        let start = Barrier::new(self.works.len());
        let turn = Turn::begin();
        let compacting = AtomicBool::new(self.common.plan.beside == Beside::Compaction);
        let results: Vec<Result<Outcome>> = thread::scope(|scope| {
            let compactor = scope.spawn(|| {
                while compacting.load(Ordering::Relaxed) {
                    if !engine.compact()? {
                        break;
                    }
                }
                Result::Ok(())
            });
            let one = |work| scope.spawn(|| one_thread(engine, work, round, pace, &start));
            let threads: Vec<_> = self.works.iter_mut().map(one).collect();
            let results = threads.into_iter().map(|t| t.join().unwrap_or_else(|_| Err("a panic".into()))).collect();
            compacting.store(false, Ordering::Relaxed);
            let compacted = compactor.join().unwrap_or_else(|_| Err("a panic".into()));
            compacted.map(|()| results).unwrap_or_else(|error| vec![Err(error)])
        });
        let outcomes = results.into_iter().collect::<Result<Vec<_>>>()?;
        let at_rest = if self.common.plan.what.reads_only() { Vec::new() } else { turn.rest(engine)? };
        let mut session = engine.session()?;
        // The raw limit's changes can't be read back.
        if self.common.kind.is_store() || self.common.plan.what.reads_only() {
            self.works.iter_mut().try_for_each(|work| work.verify(session.as_mut()))?;
        }
        self.common.check_shared(session.as_mut(), &outcomes)?;
        let mut samples = self.common.samples(&outcomes)?;
        samples.extend(at_rest);
        Ok(samples)
    }
}

/// A thread of the round; it comes to the barrier whatever happened before.
fn one_thread(
    engine: &dyn Engine,
    work: &mut Box<dyn Work + Send>,
    round: u64,
    pace: Pace,
    start: &Barrier,
) -> Result<Outcome> {
    let mut ready = engine.session().and_then(|mut session| {
        work.prepare(session.as_mut(), round)?;
        let warmed = turn::warm_up(work.as_mut(), session.as_mut(), pace)?;
        Ok((session, warmed))
    });
    start.wait();
    let (session, warmed) = ready.as_mut().map_err(|error| error.to_string())?;
    turn::turn(work.as_mut(), session.as_mut(), pace).map(|outcome| Outcome { warmed: *warmed, ..outcome })
}

struct Processes<'a> {
    common: Common<'a>,
    team: Team,
}

impl Stage for Processes<'_> {
    fn round(&mut self, round: u64) -> Result<Vec<Sample>> {
        let outcomes = self.team.round(round)?;
        let workers = &outcomes[..self.common.plan.who.count() as usize];
        if let Some(beside) = outcomes.get(workers.len())
            && beside.done == 0
        {
            return Err("the writer beside did nothing".into());
        }
        if self.common.plan.what == What::SwapShared {
            let engine = engines::open(self.common.kind, &self.common.path, &self.common.setup)?;
            self.common.check_shared(engine.session()?.as_mut(), workers)?;
        }
        self.common.samples(workers)
    }
}

impl Drop for Common<'_> {
    fn drop(&mut self) {
        if !in_library(self.kind, &self.plan) {
            self.bench.discard(&self.path);
        }
    }
}
