//! What a run is: who does what, what goes wrong, and in which order threads take turns, all drawn from one seed. A smaller plan is the
//! same one without some of its parts; its name says which, so that it can be had again.

use crate::machine::{EIO, ENOSPC};
use crate::story::{Id, Op};
use fastrand::Rng;
use std::fmt;
use std::str::FromStr;

/// What goes wrong, and when.
#[derive(Clone, Debug)]
pub struct Fault {
    pub when: When,
    pub what: What,
}

/// A moment: so many calls after the n-th call of a kind, as the machine names it.
#[derive(Clone, Copy, Debug)]
pub struct When {
    pub call: &'static str,
    pub nth: u64,
    pub then: u64,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// Whoever makes the call is killed.
    Kill,
    /// The process of whoever makes the call is stopped for so many nanoseconds.
    Stop(u64),
    /// The next call of this kind fails with an errno.
    Fail(&'static str, i32),
    /// The kernel writes back what is dirty, well or not.
    WriteBack(bool),
    /// The power is cut.
    Cut,
}

/// One process.
#[derive(Clone, Debug)]
pub struct Program {
    /// When it starts, in simulated nanoseconds after the machine.
    pub starts: u64,
    pub threads: Vec<Vec<Op>>,
}

/// A run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub name: Name,
    /// The store need not survive the power.
    pub os: bool,
    /// A thread's turn lasts so many steps on average.
    pub odds: u32,
    pub programs: Vec<Program>,
    pub faults: Vec<Fault>,
    /// Ends with a power cut, whatever was done until then; else the store is opened before it, too.
    pub ends_in_cut: bool,
}

/// The seed, the seed of the turns, and the parts that are left out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Name {
    pub seed: u64,
    pub turns: u64,
    without: Vec<Part>,
}

/// A part of a plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    Program(usize),
    Op(usize, usize, usize),
    Fault(usize),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.seed, self.turns)?;
        self.without.iter().try_for_each(|part| match part {
            Part::Program(p) => write!(f, "/p{p}"),
            Part::Op(p, t, n) => write!(f, "/o{p}.{t}.{n}"),
            Part::Fault(n) => write!(f, "/f{n}"),
        })
    }
}

impl FromStr for Name {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Name, Self::Err> {
        let mut parts = text.split('/');
        let seed = parts.next().unwrap_or_default().parse()?;
        let turns = parts.next().map_or(Ok(seed), str::parse)?;
        let mut without = Vec::new();
        for part in parts {
            let (kind, numbers) = part.split_at(part.len().min(1));
            let n = numbers.split('.').map(str::parse).collect::<Result<Vec<usize>, _>>()?;
            without.push(match (kind, &n[..]) {
                ("p", [p]) => Part::Program(*p),
                ("o", [p, t, n]) => Part::Op(*p, *t, *n),
                ("f", [n]) => Part::Fault(*n),
                _ => kind.parse::<u64>().map(|_| Part::Fault(0))?,
            });
        }
        Ok(Name { seed, turns, without })
    }
}

/// Calls that may fail, each as the machine names it, and what with.
const FAILING: [(&str, i32); 9] = [
    ("SyncData log", EIO),
    ("SyncData log", EIO),
    ("SyncData log", ENOSPC),
    ("Write log", EIO),
    ("Write log", ENOSPC),
    ("SyncDir", EIO),
    ("Rename", EIO),
    ("SyncData MANIFEST", EIO),
    ("Allocate log", ENOSPC),
];

/// Calls around which things go wrong more often than elsewhere.
const MOMENTS: [&str; 6] = ["Write log", "Write log", "SyncData log", "SyncData log", "Rename", "SyncDir"];

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Plan {
        Plan::named(&Name { seed, turns: seed, without: Vec::new() })
    }

    /// The plan of a name.
    pub fn named(name: &Name) -> Plan {
        let mut plan = Plan::whole(name);
        // From the last to the first, so that the numbers of the others stay what they are.
        let left_out = |part: Part| name.without.contains(&part);
        for (p, program) in plan.programs.iter_mut().enumerate() {
            for (t, thread) in program.threads.iter_mut().enumerate() {
                let mut n = 0..;
                thread.retain(|_| !left_out(Part::Program(p)) && !left_out(Part::Op(p, t, n.next().unwrap_or(0))));
            }
        }
        let mut n = 0..;
        plan.faults.retain(|_| !left_out(Part::Fault(n.next().unwrap_or(0))));
        plan
    }

    fn whole(name: &Name) -> Plan {
        let mut rng = Rng::with_seed(name.seed);
        let shape = if rng.bool() { WIDE } else { TIGHT };
        let (programs, odds) = (shape.programs(&mut rng), [1, 2, 4, 16, 64][rng.usize(..5)]);
        let moment = When { call: MOMENTS[rng.usize(..MOMENTS.len())], nth: rng.u64(..shape.moments), then: 0 };
        let mut faults: Vec<Fault> = (0..rng.usize(..6)).map(|_| Fault::random(&mut rng, moment, &shape)).collect();
        let os = rng.u8(..5) == 0;
        // What a disk loses that was never synced is lost: with sync=os that breaks no promise.
        faults.retain(|fault| !os || !matches!(fault.what, What::Fail("SyncData log", ..) | What::WriteBack(false)));
        Plan { name: name.clone(), os, odds, programs, faults, ends_in_cut: rng.bool() }
    }

    /// The same without one part more.
    pub fn smaller(&self) -> Vec<Name> {
        let mut parts = Vec::new();
        let whole = Plan::whole(&self.name);
        for (p, program) in whole.programs.iter().enumerate() {
            parts.push(Part::Program(p));
            for (t, thread) in program.threads.iter().enumerate() {
                parts.extend((0..thread.len()).map(|n| Part::Op(p, t, n)));
            }
        }
        parts.extend((0..whole.faults.len()).map(Part::Fault));
        let gone = |part: &Part| match part {
            Part::Op(p, ..) => self.name.without.iter().any(|w| w == part || *w == Part::Program(*p)),
            _ => self.name.without.contains(part),
        };
        let without = |part| [&self.name.without[..], &[part]].concat();
        parts
            .into_iter()
            .filter(|part| !gone(part))
            .map(|part| Name { without: without(part), ..self.name.clone() })
            .collect()
    }
}

/// How large a plan is.
struct Shape {
    programs: usize,
    /// Of one program, and of all.
    threads: usize,
    all_threads: usize,
    ops: usize,
    op: fn(&mut Rng, Id) -> Op,
    /// Within so many nanoseconds everybody has started.
    starts: u64,
    /// Which of the calls of a kind the moment is that faults gather around,
    moments: u64,
    /// how far from it they are at most, and how many calls a run has.
    near: u64,
    far: u64,
    calls: u64,
}

/// Much at once.
const WIDE: Shape = Shape {
    programs: 4,
    threads: 3,
    all_threads: 6,
    ops: 7,
    op: Op::random,
    starts: 3_000_000,
    moments: 20,
    near: 30,
    far: 400,
    calls: 3_000,
};

/// A handful of short frames of one length, so that many of the ways are gone that a few processes have to get into each other's.
const TIGHT: Shape = Shape {
    programs: 3,
    threads: 2,
    all_threads: 4,
    ops: 3,
    op: Op::small,
    starts: 600_000,
    moments: 8,
    near: 16,
    far: 120,
    calls: 700,
};

impl Shape {
    fn programs(&self, rng: &mut Rng) -> Vec<Program> {
        let (mut id, mut threads) = (0, 0);
        let mut programs = Vec::new();
        for number in 0..rng.usize(1..=self.programs) {
            let starts = if number == 0 || rng.bool() { 0 } else { rng.u64(..self.starts) };
            let mut program = Program { starts, threads: Vec::new() };
            for _ in 0..rng.usize(1..=self.threads) {
                let ops = if threads < self.all_threads { rng.usize(1..=self.ops) } else { 0 };
                threads += 1;
                let thread = (0..ops).map(|_| {
                    id += 1;
                    (self.op)(rng, id)
                });
                program.threads.push(thread.collect());
            }
            programs.push(program);
        }
        programs
    }
}

impl Fault {
    /// Anywhere, or around the moment.
    fn random(rng: &mut Rng, moment: When, shape: &Shape) -> Fault {
        let when = match rng.u8(..4) {
            0 => When { call: "", nth: rng.u64(..shape.calls), then: 0 },
            1 => When { then: rng.u64(..shape.far), ..moment },
            // The closest calls most often.
            _ => When { then: rng.u64(..shape.near) >> rng.u8(..4), ..moment },
        };
        let what = match rng.u8(..12) {
            0..=2 => What::Kill,
            3..=4 => What::Stop(rng.u64(1_000..60_000_000)),
            5..=6 => {
                let (call, errno) = FAILING[rng.usize(..FAILING.len())];
                What::Fail(call, errno)
            }
            7 => What::WriteBack(true),
            8..=9 => What::WriteBack(false),
            _ => What::Cut,
        };
        Fault { when, what }
    }
}
