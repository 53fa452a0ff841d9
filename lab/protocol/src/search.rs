//! Breadth first over all states of a model, so that the first counterexample is a shortest one. States are remembered by
//! a 64-bit fingerprint (at 10^8 states the chance that one was missed is below 10^-3).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::time::{Duration, Instant};

/// What must hold; `Err` says which property is broken.
pub type Verdict = Result<(), &'static str>;

/// Who takes a step that no process takes.
pub const MACHINE: u8 = 99;

/// A step that can be taken.
pub struct Next<S> {
    /// A process, or the [`MACHINE`].
    pub who: u8,
    /// What it does.
    pub what: &'static str,
    /// Where that leads, or the property that it breaks.
    pub then: Result<S, &'static str>,
}

/// What becomes of a process that is to take its next atomic step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// It waits for another.
    Blocked,
    /// It did this.
    Ran(&'static str),
}

/// `Err`: a property is broken.
pub type Outcome = Result<Step, &'static str>;

/// The next step of each process that can go on; `last` is one that breaks a property.
pub fn each_process<S: Copy>(
    s: &S,
    procs: usize,
    step: impl Fn(&mut S, usize) -> Outcome,
    last: &'static str,
    out: &mut Vec<Next<S>>,
) {
    for p in 0..procs {
        let mut next = *s;
        match step(&mut next, p) {
            Ok(Step::Blocked) => {}
            Ok(Step::Ran(what)) => out.push(Next { who: p as u8, what, then: Ok(next) }),
            Err(why) => out.push(Next { who: p as u8, what: last, then: Err(why) }),
        }
    }
}

/// A bounded world.
pub trait Model {
    /// All that the future depends on.
    type State: Clone + Hash;
    /// Where it begins.
    fn start(&self) -> Self::State;
    /// Every step that can follow.
    fn successors(&self, s: &Self::State, out: &mut Vec<Next<Self::State>>);
    /// What must hold in every state.
    fn check(&self, s: &Self::State) -> Verdict;
    /// What must hold in every state but takes long to find out: checked in some states only.
    fn live(&self, _: &Self::State) -> Verdict {
        Ok(())
    }
    /// One line for a trace.
    fn show(&self, s: &Self::State) -> String;
}

/// How far to search.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// About how much memory the states may take.
    pub bytes: usize,
    /// How long.
    pub time: Duration,
    /// One state in so many is checked for what takes long.
    pub live_every: u64,
}

/// What a search found.
#[derive(Debug)]
pub struct Report {
    /// Different states.
    pub states: usize,
    /// Steps from the start to the last of them.
    pub depth: usize,
    /// All states within the world's bounds were seen.
    pub complete: bool,
    /// The property broken, and the steps that lead there.
    pub broken: Option<(&'static str, Vec<String>)>,
    /// How long it took.
    pub took: Duration,
}

#[derive(Default)]
struct Fingerprint {
    sum: u64,
    word: u64,
    len: u32,
}

fn fold(a: u64, b: u64) -> u64 {
    let m = a as u128 * b as u128;
    m as u64 ^ (m >> 64) as u64
}

impl Hasher for Fingerprint {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&b| self.write_u8(b));
    }
    fn write_u8(&mut self, b: u8) {
        self.word = self.word << 8 | u64::from(b);
        self.len += 1;
        if self.len.is_multiple_of(8) {
            let mixed = fold(self.sum ^ self.word ^ 0x9e37_79b9_7f4a_7c15, 0xa076_1d64_78bd_642f ^ u64::from(self.len));
            self.sum = mixed.rotate_left(23) ^ self.word;
            self.word = 0;
        }
    }
    /// Lengths come so; an enum's variant comes as an isize.
    fn write_usize(&mut self, n: usize) {
        self.write_u8(n as u8);
    }
    fn write_isize(&mut self, variant: isize) {
        self.write_u8(variant as u8);
    }
    fn finish(&self) -> u64 {
        fold(self.sum ^ 0xe703_7ed1_a0b4_28db, self.word ^ 0x8ebc_6af0_9c88_c6e3)
    }
}

fn fingerprint(s: &impl Hash) -> u64 {
    let mut h = Fingerprint::default();
    s.hash(&mut h);
    h.finish()
}

/// The fingerprint is the hash.
#[derive(Default)]
struct Same(u64);

impl Hasher for Same {
    fn write(&mut self, _: &[u8]) {
        unreachable!("only fingerprints are hashed");
    }
    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

/// Each state's fingerprint and that of the state before it; 0 before the first.
type Seen = HashMap<u64, u64, BuildHasherDefault<Same>>;

/// What one state takes in [`Seen`], half of whose table is empty in the mean.
const SEEN_BYTES: usize = 36;

/// Explores a world as far as the limits allow.
pub fn explore<M: Model>(model: &M, limits: &Limits) -> Report {
    let began = Instant::now();
    let start = model.start();
    let mut seen = Seen::default();
    seen.insert(fingerprint(&start), 0);
    let (mut level, mut depth, mut next) = (vec![start], 0, Vec::new());
    let report = |seen: &Seen, depth, complete, broken| Report {
        states: seen.len(),
        depth,
        complete,
        broken,
        took: began.elapsed(),
    };
    while !level.is_empty() {
        let mut deeper = Vec::new();
        for (i, s) in level.iter().enumerate() {
            let here = fingerprint(s);
            let live = if here.is_multiple_of(limits.live_every) { model.live(s) } else { Ok(()) };
            if let Err(why) = model.check(s).and(live) {
                return report(&seen, depth, false, Some((why, trace(model, &seen, here, None))));
            }
            next.clear();
            model.successors(s, &mut next);
            for step in next.drain(..) {
                match step.then {
                    Ok(t) => {
                        if let Entry::Vacant(e) = seen.entry(fingerprint(&t)) {
                            e.insert(here);
                            deeper.push(t);
                        }
                    }
                    Err(why) => {
                        let last = format!("{}: {}", name(step.who), step.what);
                        return report(&seen, depth, false, Some((why, trace(model, &seen, here, Some(last)))));
                    }
                }
            }
            let bytes = seen.len() * SEEN_BYTES + (level.len() + deeper.len()) * size_of::<M::State>();
            if i.is_multiple_of(1024) && (bytes > limits.bytes || began.elapsed() > limits.time) {
                return report(&seen, depth, false, None);
            }
        }
        (level, depth) = (deeper, depth + 1);
    }
    report(&seen, depth, true, None)
}

fn name(who: u8) -> String {
    if who == MACHINE { "machine".into() } else { format!("P{who}") }
}

/// Goes back by parents, then forward again with the names of the steps.
fn trace<M: Model>(model: &M, seen: &Seen, last: u64, end: Option<String>) -> Vec<String> {
    let mut path = vec![last];
    while let Some(&parent) = seen.get(&path[path.len() - 1]).filter(|&&p| p != 0) {
        path.push(parent);
    }
    let (mut s, mut lines, mut next) = (model.start(), vec![], vec![]);
    for want in path.iter().rev().skip(1) {
        next.clear();
        model.successors(&s, &mut next);
        let found = next.drain(..).find_map(|n| match n.then {
            Ok(t) if fingerprint(&t) == *want => Some((n.who, n.what, t)),
            _ => None,
        });
        let (who, what, t) = found.expect("a step that was taken can be taken again");
        lines.push(format!("{}: {what}\n        {}", name(who), model.show(&t)));
        s = t;
    }
    lines.extend(end);
    lines
}
