//! A script, run on a machine of its own: each answer is judged as it comes, and each moment at which a power cut may leave
//! something new is recorded with what callers had been told.

use crate::alone::Alone;
use crate::machine::{Machine, Moment};
use crate::script::{Act, Script};
use crate::twist::Twist;
use crate::world::{Handle, Op, World, boot};
use dirkv::Code;
use std::sync::Arc;

/// An open, or an operation, that takes more calls than this hangs.
const PATIENCE: u64 = 200_000;
/// How often an open may fail while calls fail.
const TRIES: usize = 12;

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
    handles: [Option<Handle>; 2],
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
        let mut run =
            Run { machine, world, told, moments: Vec::new(), happened: false, twists, handles, may_fail, records };
        script.acts.iter().for_each(|act| run.act(act));
        run.end_of_machine();
        run
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Do(who, op) => self.operate(*who, op),
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

    fn operate(&mut self, who: usize, op: &Op) {
        if self.handles[who].is_none() {
            self.handles[who] = Some(open(&self.machine, &self.world, self.may_fail));
        }
        let Some(handle) = &self.handles[who] else { return };
        self.told.push(self.world.during(op));
        self.machine.tag(self.told.len() - 1);
        self.machine.lock().patience = PATIENCE;
        if !self.world.run(handle, op) {
            self.handles[who] = None;
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
        let handle = open(&self.machine, &self.world, self.may_fail);
        self.world.settle(&handle);
        self.handles[0] = Some(handle);
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
