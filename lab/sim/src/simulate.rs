//! One run: processes with their threads do as the plan says, on one machine, until they are done or the power is cut. Then the store is
//! opened again, there and after a power cut, and what everybody was told is judged as one history.

use crate::causes::Causes;
use crate::linear::{self, Event};
use crate::machine::{self, Action, Machine, Plan as Trouble};
use crate::plan::{Fault, Plan, What, When};
use crate::process::{Process, SimClock, SimDirectory};
use crate::scheduler::{Sim, Work};
use crate::story::{Call, Memory, Op, Told};
use crate::world::params;
use dirkv::latch::Scheduler;
use dirkv::{Backend, Result as DirkvResult};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

/// More steps than any run takes that ends.
const LIMIT: u64 = 400_000;

/// What a run was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub steps: u64,
    pub calls: usize,
    /// Of which so many were never told what became of them.
    pub unknown: usize,
    /// Faults that happened.
    pub faults: usize,
    pub cut: bool,
    /// Tells one course of events from another.
    pub digest: u64,
}

type History = Rc<RefCell<Vec<Event>>>;

/// Everything that the threads of a run share.
#[derive(Clone)]
struct Stage {
    machine: Arc<Machine>,
    sim: Rc<Sim>,
    history: History,
    os: bool,
}

impl Stage {
    fn open(&self, process: &Arc<Process>) -> DirkvResult<Backend> {
        let settings: &[(&str, &str)] = if self.os { &[("sync", "os")] } else { &[] };
        Backend::open_in(&params(settings), Arc::new(SimDirectory(process.clone())), Arc::new(SimClock))
    }

    /// What explains that process's errors from now on.
    fn causes<R>(&self, process: &Process, before: usize, look: impl FnOnce(Causes<'_>) -> R) -> R {
        look(Causes { incidents: &self.machine.lock().incidents, before, process: process.number() })
    }

    fn incidents(&self) -> usize {
        self.machine.lock().incidents.len()
    }

    /// One call, from its begin to its end. What it is told must have a cause.
    fn call(&self, who: (usize, usize), process: &Process, call: Call, store: &Backend) -> Told {
        let before = self.incidents();
        let event = Event { who, begin: self.sim.steps(), end: None, call: call.clone(), told: Told::Unknown };
        let at = self.history.borrow().len();
        self.history.borrow_mut().push(event);
        let told = call.make(store);
        let event = &mut self.history.borrow_mut()[at];
        // Whoever begins in the same step begins before this.
        (event.end, event.told) = (Some(self.sim.steps()), told.clone());
        let explained = self.causes(process, before, |causes| causes.explain(&event.call.op, &told));
        assert!(explained, "nothing explains what this call was told: {event:?}");
        told
    }
}

/// What the threads of one process share.
#[derive(Default)]
struct Shared {
    store: RefCell<Option<Rc<Backend>>>,
    failed: Cell<bool>,
}

impl Shared {
    /// The store, once the first thread has opened it.
    fn store(&self) -> Option<Rc<Backend>> {
        let scheduler = dirkv::latch::scheduler()?;
        loop {
            if let Some(store) = self.store.borrow().clone() {
                return Some(store);
            }
            if self.failed.get() {
                return None;
            }
            scheduler.blocked(None);
        }
    }

    /// An error may be met at an open, and is gone with its cause.
    fn open(&self, stage: &Stage, process: &Arc<Process>) {
        for _ in 0..6 {
            let before = stage.incidents();
            match stage.open(process) {
                Ok(store) => return *self.store.borrow_mut() = Some(Rc::new(store)),
                Err(e) => {
                    let explained = stage.causes(process, before, |causes| causes.explain_error(e.code));
                    assert!(explained, "nothing explains this open: {e}");
                }
            }
        }
        self.failed.set(true);
    }
}

/// The threads of the plan's processes.
fn threads(plan: &Plan, stage: &Stage) -> Vec<(Arc<Process>, Work)> {
    let mut work: Vec<(Arc<Process>, Work)> = Vec::new();
    for (p, program) in plan.programs.iter().enumerate() {
        let (process, shared) = (Process::start(&stage.machine), Rc::new(Shared::default()));
        let left = Rc::new(Cell::new(program.threads.len()));
        for (t, ops) in program.threads.iter().cloned().enumerate() {
            let (stage, process, shared, left) = (stage.clone(), process.clone(), shared.clone(), left.clone());
            let starts = stage.sim.now() + program.starts;
            let owner = process.clone();
            let run = move || {
                if t == 0 {
                    sleep_until(starts);
                    shared.open(&stage, &process);
                }
                if let Some(store) = shared.store() {
                    let mut memory = Memory::default();
                    for op in &ops {
                        let Some(call) = memory.call(op) else { continue };
                        let told = stage.call((p, t), &process, call.clone(), &store);
                        memory.learn(&call, &told);
                    }
                }
                left.set(left.get() - 1);
                if left.get() == 0 {
                    shared.store.take();
                }
            };
            work.push((owner, Box::new(run)));
        }
    }
    work
}

fn sleep_until(time: u64) {
    while let Some(scheduler) = dirkv::latch::scheduler().filter(|s| s.now() < time) {
        scheduler.blocked(Some(time));
    }
}

/// The plan's faults, for the machine.
fn trouble(fault: &Fault) -> Trouble {
    let (mut before, mut then, When { call, .. }) = (fault.when.nth, fault.when.then, fault.when);
    let failing = match fault.what {
        What::Fail(call, _) => call,
        _ => "",
    };
    let is_due = move |c: machine::Call, name: &str| {
        let this = format!("{c:?} {name}");
        if before > 0 {
            before -= u64::from(this.starts_with(call));
            return false;
        }
        let now = then == 0 && this.starts_with(failing);
        then = then.saturating_sub(1);
        now
    };
    let action = match fault.what {
        What::Kill => Action::Kill,
        What::Stop(time) => Action::Stop(time),
        What::Fail(_, errno) => Action::Fail(errno),
        What::WriteBack(well) => Action::WriteBack(well),
        What::Cut => Action::Cut,
    };
    Trouble { matches: Box::new(is_due), skip: 0, times: 1, action }
}

/// A process that opens the store, lists it, checks it and goes on working. `who` numbers it.
fn afterwards(stage: &Stage, who: usize, judged: bool) -> Result<(), String> {
    let process = Process::start(&stage.machine);
    let (inner, owner) = (stage.clone(), process.clone());
    let run = move || {
        let store = inner.open(&process).unwrap_or_else(|e| panic!("it doesn't open any more: {e}"));
        if judged {
            let told = inner.call((who, 0), &process, Call { op: Op::List, expected: (0, 0) }, &store);
            assert!(matches!(told, Told::Listed(_)), "it doesn't list any more: {told:?}");
        }
        let findings = store.check().unwrap_or_else(|e| panic!("can't check: {e}"));
        assert!(findings.is_empty(), "check says {findings:?}");
        store.upsert("x", "afterwards", b"works", 0).unwrap_or_else(|e| panic!("it doesn't work any more: {e}"));
        store.delete("x", "afterwards").unwrap_or_else(|e| panic!("it doesn't work any more: {e}"));
    };
    stage.sim.run(vec![(owner, Box::new(run))])
}

/// Runs the plan. The error says what went wrong.
pub fn run(plan: &Plan) -> Result<Figures, String> {
    let machine = Machine::new(plan.name.turns);
    let sim = Sim::new(plan.name.turns, plan.odds, LIMIT);
    let history = History::default();
    let stage = Stage { machine: machine.clone(), sim: sim.clone(), history: history.clone(), os: plan.os };
    plan.faults.iter().for_each(|fault| machine.also_plan(trouble(fault)));
    let outcome = sim.run(threads(plan, &stage)).and_then(|()| {
        let cut = machine.is_off();
        machine.no_plan();
        if !cut && !plan.ends_in_cut {
            afterwards(&stage, plan.programs.len(), true)?;
        }
        // With sync=os it may fall back to what it was.
        let judged = !plan.os;
        let booted = Machine::boot(machine.cut(), plan.name.turns, Default::default());
        afterwards(&Stage { machine: booted, ..stage.clone() }, plan.programs.len() + 1, judged)?;
        linear::check(&history.borrow())?;
        Ok(cut)
    });
    // So that nothing of a run that failed in the middle goes on.
    machine.cut();
    let history = history.borrow();
    let cut = outcome.map_err(|why| format!("{why}\n{}", told(&history)))?;
    let unknown = history.iter().filter(|event| event.told == Told::Unknown).count();
    let (steps, digest, faults) = (sim.steps(), sim.digest(), machine.lock().incidents.len());
    Ok(Figures { steps, calls: history.len(), unknown, faults, cut, digest })
}

fn told(history: &[Event]) -> String {
    let line = |e: &Event| {
        let end = e.end.map_or("never".to_owned(), |end| end.to_string());
        let (op, told) = (format!("{:?}", e.call.op), format!("{:?}", e.told));
        format!("  {:>6} to {:>6}  {}.{}  {op} {:?}: {told}", e.begin, end, e.who.0, e.who.1, e.call.expected)
    };
    history.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A smaller plan that fails, too, and why it does. Each part that isn't needed is left out, with a few other orders of turns.
pub fn shrink(plan: &Plan, why: String) -> (Plan, String) {
    let (mut best, mut why) = (plan.clone(), why);
    'smaller: loop {
        for name in best.smaller() {
            for turns in [name.turns, 1, 2, 3] {
                let mut other = name.clone();
                other.turns = turns;
                let candidate = Plan::named(&other);
                if let Err(reason) = run(&candidate) {
                    (best, why) = (candidate, reason);
                    continue 'smaller;
                }
            }
        }
        return (best, why);
    }
}

/// Runs the plan of a seed; a failure is shrunk, and says how it can be had again.
pub fn judge(seed: u64) -> Result<Figures, String> {
    let plan = Plan::of(seed);
    run(&plan).map_err(|why| {
        let first = why.lines().next().unwrap_or_default().to_owned();
        let (small, why) = shrink(&plan, why);
        format!(
            "seed {seed}: {first}\nthe smallest that fails: DIRKV_SIM={} cargo test -p dirkv-sim --test simulate\n{:#?}\n{why}",
            small.name, small.faults
        )
    })
}
