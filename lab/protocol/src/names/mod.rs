//! `LOCK` and `SHARED` as names that lead to files: opening, who is alone, who dies, and what happens when somebody removes
//! or replaces them while processes run.
//!
//! What `open_core` and `StoreLock::take` do. A file is a number; a flock and a map belong to the file, not to the name. The log is
//! a count of frames; what matters here is that two never append at once, each believing to be the only one, and that what
//! was acknowledged through one page is seen by whoever opens the store later. What can't be
//! noticed is a name that goes while somebody holds `LOCK`: the rule `quiet` is an assumption.

mod steps;
mod worlds;

use crate::room::room;
use crate::rules::rules;
use crate::search::Step::{Blocked, Ran};
use crate::search::{MACHINE, Model, Next, Outcome, Verdict, each_process};
use worlds::{Budget, Op, World};

room! {
    name: "names",
    about: "LOCK and SHARED: opening, dying, and both replaced while processes run",
    model: |world, rules| Names { world, rules },
}

rules! {
    lock_checked: "who takes LOCK looks whether its name still leads to that file (still_ours, take_lock)" => "lock",
    shared_checked: "and whether SHARED's does (still_ours)" => "shared",
    opener_checks: "so does an opener that got LOCK (open::take_lock)" => "lock",
    alone: "the page is believed only while another has it open (LOCK_EX on SHARED)" => "die",
    open_locked: "who opens is alone with LOCK until its flock on SHARED is shared (open_core)" => "first",
    quiet: "assumed: nobody removes LOCK or SHARED while somebody holds LOCK (docs/durability.md: touch nothing)" => "lock",
}

const PROCS: usize = 3;

/// Where a process stands; each is one atomic step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
enum Pc {
    #[default]
    Begin,
    // open_core
    OpenLock,
    OpenCheck,
    OpenShared,
    Recover,
    Share,
    // StoreLock::take and Group
    Check,
    Write,
    Append,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
struct Proc {
    pc: Pc,
    op: u8,
    /// The files that it has open; 0 is none.
    lock: u8,
    shared: u8,
    is_open: bool,
    /// What it found the log to be.
    end: u8,
}

const FILES: usize = 6;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
struct State {
    /// Which files the names lead to, and how many there were of each.
    lock_name: u8,
    shared_name: u8,
    files: u8,
    /// Who holds the flock of each LOCK (process + 1); who holds LOCK_EX of each SHARED. LOCK_SH: those who have it open.
    lock_held: [u8; FILES],
    shared_held: [u8; FILES],
    /// The end of the log as each page says it; 0: not made.
    page: [u8; FILES],
    /// The frames: who wrote each, and whether it was acknowledged.
    log: [u8; 8],
    told: u8,
    procs: [Proc; PROCS],
    left: Budget,
}

/// A world with its rules.
struct Names {
    world: World,
    rules: Rules,
}

impl Names {
    fn procs(&self) -> usize {
        self.world.programs.len()
    }
    fn op(&self, s: &State, p: usize) -> Option<Op> {
        self.world.programs[p].get(usize::from(s.procs[p].op)).copied()
    }

    fn finish(&self, s: &mut State, p: usize) {
        s.procs[p].op += 1;
        s.procs[p].pc = Pc::Begin;
    }

    /// All its descriptors are closed.
    fn leave(&self, s: &mut State, p: usize) {
        let me = p as u8 + 1;
        s.lock_held.iter_mut().chain(&mut s.shared_held).filter(|held| **held == me).for_each(|held| *held = 0);
        s.procs[p] = Proc { op: s.procs[p].op, ..Proc::default() };
    }

    /// Frames that were told are there, and pages as they once were.
    fn power_cut(&self, s: &State, out: &mut Vec<Next<State>>) {
        for back in 0..3 {
            let mut next = *s;
            next.left.cuts -= 1;
            for p in 0..self.procs() {
                next.procs[p].op += u8::from(s.procs[p].pc != Pc::Begin);
                self.leave(&mut next, p);
            }
            next.page.iter_mut().for_each(|end| *end = end.saturating_sub(back));
            out.push(Next { who: MACHINE, what: "POWER CUT", then: Ok(next) });
        }
    }

    fn machine(&self, s: &State, out: &mut Vec<Next<State>>) {
        for p in 0..self.procs() {
            if s.left.kills > 0 && (s.procs[p].pc != Pc::Begin || s.procs[p].is_open) {
                let mut next = *s;
                next.left.kills -= 1;
                next.procs[p].op += u8::from(s.procs[p].pc != Pc::Begin);
                self.leave(&mut next, p);
                out.push(Next { who: p as u8, what: "is KILLED", then: Ok(next) });
            }
        }
        if s.left.cuts > 0 {
            self.power_cut(s, out);
        }
        if s.lock_held.iter().any(|&held| held != 0) && self.rules.quiet {
            return;
        }
        if s.left.locks > 0 && s.lock_name != 0 {
            let mut next = *s;
            (next.left.locks, next.lock_name) = (s.left.locks - 1, 0);
            out.push(Next { who: MACHINE, what: "LOCK is removed", then: Ok(next) });
        }
        if s.left.shares > 0 && s.shared_name != 0 {
            let mut next = *s;
            (next.left.shares, next.shared_name) = (s.left.shares - 1, 0);
            out.push(Next { who: MACHINE, what: "SHARED is removed", then: Ok(next) });
        }
    }
}

impl Model for Names {
    type State = State;
    fn start(&self) -> State {
        State { left: self.world.budget, ..State::default() }
    }
    fn successors(&self, s: &State, out: &mut Vec<Next<State>>) {
        each_process(s, self.procs(), |s, p| self.step(s, p), "goes on", out);
        self.machine(s, out);
    }
    fn check(&self, s: &State) -> Verdict {
        let appending = (0..self.procs()).filter(|&p| matches!(s.procs[p].pc, Pc::Write | Pc::Append | Pc::Recover));
        if appending.count() > 1 { Err("two truths: two believe to be the only one who appends") } else { Ok(()) }
    }
    fn show(&self, s: &State) -> String {
        let frames = s.log.iter().filter(|&&who| who != 0).count();
        let State { lock_name, shared_name, lock_held, shared_held, page, told, .. } = s;
        format!(
            "LOCK is file {lock_name}, SHARED file {shared_name}; held {lock_held:?} {shared_held:?}; pages {page:?}; {frames} frames, told {told:#b}"
        )
    }
}
