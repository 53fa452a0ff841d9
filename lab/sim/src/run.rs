//! A script, run on a machine of its own: each answer is judged as it comes, and each moment at which a power cut may leave
//! something new is recorded with what callers had been told.

use crate::alone::Alone;
use crate::crowd::{Crowd, answer};
use crate::machine::{Machine, Moment};
use crate::scheduler::{Sim, Work};
use crate::script::{Act, Script};
use crate::twist::Twist;
use crate::world::{Handle, Op, World, boot};
use dirkv::Code;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// An open, or an operation, that takes more calls than this hangs.
const PATIENCE: u64 = 200_000;
/// How often an open may fail while calls fail.
const TRIES: usize = 12;
/// More steps than threads take that do one operation each.
const LIMIT: u64 = 400_000;

pub struct Run {
    pub machine: Arc<Machine>,
    pub world: World,
    /// What was told, by the moments' tags.
    pub told: Vec<World>,
    pub moments: Vec<Moment>,
    /// Whether the twist happened.
    pub happened: bool,
    /// How many plans it has.
    twists: usize,
    handles: [Option<Rc<Handle>>; 2],
    /// In which order threads take turns.
    turns: u64,
    may_fail: bool,
    records: bool,
}

impl Run {
    /// Runs it to its end. Moments before the twist are not recorded, since the run without it has the same.
    pub fn of(script: &Script, twist: Twist, records: bool) -> Run {
        let name = format!("{}/{twist}", script.name);
        let mut world = if script.os { World::of_os(name) } else { World::new(name) };
        let may_fail = script.fails() || twist.fails();
        world.lossy = script.os && may_fail;
        let machine = Machine::new(script.seed);
        let plans = twist.plans();
        let twists = plans.len();
        plans.into_iter().for_each(|plan| machine.also_plan(plan));
        if records {
            machine.record(twist != Twist::None);
        }
        let (told, handles) = (vec![world.clone()], [None, None]);
        let (turns, moments) = (script.seed, Vec::new());
        let mut run = Run { machine, world, told, moments, happened: false, twists, handles, turns, may_fail, records };
        script.acts.iter().for_each(|act| run.act(act));
        run.end_of_machine();
        run
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Do(who, op) => self.operate(*who, op),
            Act::Together(crowd) => self.together(crowd),
            Act::Close(who) => drop(self.handles[*who].take()),
            Act::Kill(who) => {
                if let Some(handle) = self.handles[*who].take() {
                    handle.process.kill();
                }
            }
            Act::KillAt(..) | Act::KillAfter(..) | Act::Fail(..) => {
                act.plan().into_iter().for_each(|plan| self.machine.also_plan(plan));
            }
            Act::WriteBack => self.machine.write_back(),
            Act::Cut => self.cut(),
        }
    }

    fn handle(&mut self, who: usize) -> Rc<Handle> {
        let open = || Rc::new(open(&self.machine, &self.world, self.may_fail));
        self.handles[who].get_or_insert_with(open).clone()
    }

    fn operate(&mut self, who: usize, op: &Op) {
        let handle = self.handle(who);
        self.told.push(self.world.during(op));
        self.machine.tag(self.told.len() - 1);
        self.machine.lock().patience = PATIENCE;
        if !self.world.run(&handle, op) {
            self.handles[who] = None;
        }
        self.answered();
    }

    /// Threads begin at once, one for each operation. Each looks anew, once it is told something, at what that leaves.
    fn together(&mut self, ops: &[(usize, Op)]) {
        let handles: Vec<Rc<Handle>> = ops.iter().map(|(who, _)| self.handle(*who)).collect();
        let crowd = Crowd::begin(&self.world, ops.iter().map(|(_, op)| op.clone()).collect(), self.told.len());
        self.machine.tag(self.told.len());
        self.machine.lock().patience = PATIENCE;
        let crowd = Rc::new(RefCell::new(crowd));
        let thread = |(n, (handle, (_, op))): (usize, (&Rc<Handle>, &(usize, Op)))| {
            let (handle, op, crowd, machine) = (handle.clone(), op.clone(), crowd.clone(), self.machine.clone());
            let process = handle.process.clone();
            let work: Work = Box::new(move || {
                let answer = answer(&handle, &op);
                machine.note(crowd.borrow_mut().learns(n, answer));
            });
            (process, work)
        };
        let work = handles.iter().zip(ops).enumerate().map(thread).collect();
        let outcome = Sim::new(self.turns ^ self.told.len() as u64, 1, LIMIT).run(work);
        outcome.unwrap_or_else(|why| panic!("{}: {why}", self.world.name));
        self.told.append(&mut crowd.borrow_mut().worlds);
        self.world.clone_from(&self.told[self.told.len() - 1]);
        for handle in self.handles.iter_mut() {
            handle.take_if(|handle| handle.process.is_dead());
        }
        self.answered();
    }

    /// Somebody was told something: a cut after this must not take it back.
    fn answered(&mut self) {
        self.told.push(self.world.clone());
        self.machine.note(self.told.len() - 1);
    }

    fn end_of_machine(&mut self) {
        let inner = self.machine.lock();
        self.happened = inner.plans.iter().take(self.twists).all(|plan| plan.times == 0);
        drop(inner);
        self.moments.extend(self.machine.recorded());
    }

    fn cut(&mut self) {
        self.end_of_machine();
        let disk = self.machine.cut();
        self.handles = [None, None];
        self.world.cut();
        let plans = std::mem::take(&mut self.machine.lock().plans);
        self.machine = boot(disk, self.told.len() as u64);
        // What hasn't gone wrong yet does so in a later life.
        self.machine.lock().plans = plans;
        if self.records {
            self.machine.record(!self.happened);
        }
        self.told.push(self.world.clone());
        self.machine.tag(self.told.len() - 1);
        if !self.happened || self.may_fail {
            return self.operate(0, &Op::Read);
        }
        let handle = self.handle(0);
        self.world.settle(&handle);
        self.answered();
    }

    /// Runs it, and looks at the store afterwards. Whether the twist happened.
    pub fn survives(script: &Script, twist: Twist) -> bool {
        let _alone = Alone::begin();
        let run = Run::of(script, twist, false);
        let happened = run.happened;
        run.afterwards();
        happened
    }

    /// With nothing in its way, opened by somebody new, the store holds what it should, and works; and once more after a cut.
    fn afterwards(mut self) {
        self.machine.no_plan();
        self.handles = [None, None];
        if self.world.lossy {
            // A disk that fails is to such a store what a power cut is.
            self.world.cut();
        }
        let handle = open(&self.machine, &self.world, false);
        self.world.settle(&handle);
        let mut rng = fastrand::Rng::with_seed(7);
        for number in 0..8 {
            self.machine.lock().patience = PATIENCE;
            assert!(self.world.run(&handle, &Op::random(&mut rng, number)));
        }
        self.world.settle(&handle);
        let disk = self.machine.cut();
        drop(handle);
        self.world.cut();
        self.world.settle(&open(&boot(disk, 3), &self.world, false));
    }
}

/// Opens; if calls may fail or processes be killed, until it succeeds: an error must be clear, and gone with its cause.
pub fn open(machine: &Arc<Machine>, world: &World, may_fail: bool) -> Handle {
    for _ in 0..TRIES {
        machine.lock().patience = PATIENCE;
        match Handle::open(machine, world.settings()) {
            None => (),
            Some(Ok(handle)) => return handle,
            Some(Err(e)) => {
                let clear = [Code::Io, Code::NoSpace, Code::ReadOnly].contains(&e.code) && !e.message.is_empty();
                assert!(may_fail && clear, "{}: open got {:?}: {e}", world.name, e.code);
            }
        }
    }
    panic!("{}: the store doesn't open any more", world.name);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::groups::scripts;

    /// Frames and fdatasyncs of the first process.
    fn counters(run: &mut Run) -> [u64; 2] {
        let text = run.handle(0).store().stats_json().expect("counters");
        ["commits", "syncs"].map(|name| {
            let (_, rest) = text.split_once(&format!("\"{name}\":")).expect("a counter of that name");
            rest.split(',').next().expect("a number").parse().expect("a number")
        })
    }

    #[test]
    fn frames_of_threads_wait_for_one_sync() {
        let _alone = Alone::begin();
        let rolls = |script: &Script| script.name == "group-rolls";
        for script in scripts().into_iter().filter(|script| !script.os && !rolls(script)) {
            let group = script.acts.iter().find(|act| matches!(act, Act::Together(_))).expect("a group");
            for seed in 1..=8 {
                let before = Script { seed, acts: script.acts[..1].to_vec(), ..script.clone() };
                let mut run = Run::of(&before, Twist::None, false);
                let [commits, syncs] = counters(&mut run);
                run.act(group);
                let [commits_then, syncs_then] = counters(&mut run);
                assert!(commits_then - commits >= 2 && syncs_then - syncs == 1, "{} {seed}", script.name);
            }
        }
    }
}
