//! Crash enumeration: the power is cut at each moment of a run, and each state of the disk that the machine's disk may be in then,
//! up to a bound, is booted, opened and compared with what callers had been told. Some of those boots are cut themselves, at
//! each of their moments, and so are some of theirs.

use crate::alone::Alone;
use crate::cut::{Bound, Disk, Moment};
use crate::machine::{Lies, Machine};
use crate::run::{Run, open};
use crate::script::Script;
use crate::twist::Twist;
use crate::world::{Op, World};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// A recovery that is cut, and the recovery from that, cut again.
const LEVELS: usize = 2;

/// How much is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of each moment of a run.
    pub bound: Bound,
    /// Of each moment of a boot after a cut, and of a boot after that.
    pub again: [Bound; LEVELS],
    /// Every so many-th state's boot is cut itself.
    pub every: [u64; LEVELS],
}

/// What was looked at.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counts {
    /// Runs, and moments of them.
    pub runs: u64,
    pub steps: u64,
    /// States of moments all of whose states were looked at, and samples of others.
    pub whole: u64,
    pub sampled: u64,
    /// Those that no state before was equal to, byte for byte and in what callers had been told.
    pub distinct: u64,
    /// Of these, states in which a boot was cut, and those in which the boot after that was.
    pub again: [u64; LEVELS],
    /// Wrong ones, when those are only counted.
    pub failed: u64,
}

impl Counts {
    pub fn add(&mut self, other: &Counts) {
        self.runs += other.runs;
        self.steps += other.steps;
        self.whole += other.whole;
        self.sampled += other.sampled;
        self.distinct += other.distinct;
        self.again.iter_mut().zip(other.again).for_each(|(mine, other)| *mine += other);
        self.failed += other.failed;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { runs, steps, whole, sampled, distinct, again: [double, triple], .. } = self;
        write!(f, "{runs:>6} runs {steps:>8} steps {whole:>9} states of wholes {sampled:>9} samples ")?;
        write!(f, "{distinct:>9} distinct, {double:>8} cut twice, {triple:>7} three times")
    }
}

/// What was seen so far, by hash, for several threads: states, and moments with their bounds.
#[derive(Default)]
pub struct Seen {
    states: [Mutex<HashSet<u64>>; 16],
    moments: Mutex<HashSet<u64>>,
}

impl Seen {
    fn is_new(&self, hash: u64) -> bool {
        self.states[(hash >> 60) as usize].lock().insert(hash)
    }

    fn is_new_moment(&self, moment: &Moment, bound: Bound, told: u64) -> bool {
        let mut hasher = DefaultHasher::new();
        (moment.hash(), bound, told).hash(&mut hasher);
        self.moments.lock().insert(hasher.finish())
    }

    /// How many distinct states.
    pub fn count(&self) -> u64 {
        self.states.iter().map(|part| part.lock().len() as u64).sum()
    }
}

/// One state: of which step of the run, and which of its states; then of the boot from that, and so on.
pub type Place = Vec<(usize, u64)>;

/// As in `two/kill-12/33.5/2.1`.
pub fn place(text: &str) -> Option<(Script, Twist, Place)> {
    let mut parts = text.split('/');
    let (script, twist) = (crate::script::named(parts.next()?)?, parts.next()?.parse().ok()?);
    let pair = |part: &str| part.split_once('.').and_then(|(step, n)| Some((step.parse().ok()?, n.parse().ok()?)));
    Some((script, twist, parts.map(pair).collect::<Option<_>>()?))
}

/// The crashes of one run.
pub struct Crashes<'a> {
    limits: Limits,
    seen: &'a Seen,
    /// Only this one, whether seen or not.
    only: Option<Place>,
    /// Wrong states are counted, and it goes on.
    tolerant: bool,
    counts: Counts,
    /// Where it is: of which run, and which state.
    run: String,
    at: Place,
    /// It has told where it was.
    said: bool,
}

impl<'a> Crashes<'a> {
    pub fn new(limits: Limits, seen: &'a Seen) -> Crashes<'a> {
        let (run, at) = (String::new(), Vec::new());
        Crashes { limits, seen, only: None, tolerant: false, counts: Counts::default(), run, at, said: false }
    }

    /// Only this state.
    pub fn only(self, place: Place) -> Crashes<'a> {
        Crashes { only: Some(place), ..self }
    }

    /// What is wrong is only counted.
    pub fn tolerant(self) -> Crashes<'a> {
        Crashes { tolerant: true, ..self }
    }

    /// Cuts the run at each of its moments. The counts, and whether the twist happened.
    pub fn of(mut self, script: &Script, twist: Twist) -> (Counts, bool) {
        let _alone = Alone::begin();
        self.run = format!("{}/{twist}", script.name);
        self.counts.runs = 1;
        let Some(run) = self.guarded(|_| Run::of(script, twist, true)) else { return (self.counts, true) };
        let Run { moments, told, happened, .. } = run;
        self.counts.steps = moments.len() as u64;
        let bound = self.limits.bound;
        self.moments(&moments, &told, bound);
        (self.counts, happened)
    }

    fn moments(&mut self, moments: &[Moment], told: &[World], bound: Bound) {
        let level = self.at.len();
        let told: Vec<(World, u64)> = told.iter().map(after_a_cut).collect();
        let only = self.only.as_ref().map(|place| place[level]);
        for (step, moment) in moments.iter().enumerate() {
            if only.is_some_and(|only| only.0 != step) {
                continue;
            }
            let (world, told) = &told[moment.tag];
            if only.is_none() && !self.seen.is_new_moment(moment, bound, *told) {
                continue;
            }
            let states = moment.states();
            let (numbers, are_all) = match only {
                Some((_, number)) => (number..number + 1, true),
                None => states.numbers(bound),
            };
            *(if are_all { &mut self.counts.whole } else { &mut self.counts.sampled }) += numbers.end - numbers.start;
            for number in numbers {
                let disk = states.state(number);
                if only.is_none() && !self.seen.is_new(disk.hash() ^ told.rotate_left(1)) {
                    continue;
                }
                self.at.push((step, number));
                self.distinct(level);
                self.guarded(|this| this.boot(disk, world, number));
                self.at.pop();
            }
        }
    }

    fn distinct(&mut self, level: usize) {
        self.counts.distinct += 1;
        if level > 0 {
            self.counts.again[level - 1] += 1;
        }
    }

    /// Boots from the disk and looks at the store.
    fn boot(&mut self, disk: Disk, world: &World, number: u64) {
        let _alone = Alone::begin();
        let level = self.at.len();
        // Another in each boot: a salt never comes twice.
        let seed = self.at.iter().fold(2u64, |seed, at| (seed.rotate_left(9) ^ at.0 as u64).rotate_left(32) ^ at.1);
        let machine = Machine::boot(disk, seed, Lies::default());
        let deeper = match &self.only {
            Some(place) => place.len() > level,
            None => {
                level <= LEVELS
                    && number % self.limits.every[level - 1]
                        == self.at[level - 1].0 as u64 % self.limits.every[level - 1]
            }
        };
        if deeper {
            machine.record(false);
        }
        let handle = open(&machine, world, false);
        let mut now = world.of(world.judge(&handle));
        let mut told = Vec::new();
        if deeper {
            // Until it was read, nobody knew which of the worlds there is.
            told.extend([world.clone(), now.clone()]);
            machine.note(1);
        }
        for op in some_ops(number) {
            if deeper {
                told.push(now.during(&op));
                machine.tag(told.len() - 1);
            }
            assert!(now.run(&handle, &op), "nobody is killed");
            if deeper {
                told.push(now.clone());
                machine.note(told.len() - 1);
            }
        }
        drop(handle);
        if deeper {
            let bound = self.limits.again[level - 1];
            self.moments(&machine.recorded(), &told, bound);
        }
    }

    /// Says where it was when something is wrong, or only counts that.
    fn guarded<R>(&mut self, f: impl FnOnce(&mut Self) -> R) -> Option<R> {
        let depth = self.at.len();
        match catch_unwind(AssertUnwindSafe(|| f(self))) {
            Ok(value) => Some(value),
            Err(_) if self.tolerant => {
                self.at.truncate(depth);
                self.counts.failed += 1;
                None
            }
            Err(panic) => {
                if !std::mem::replace(&mut self.said, true) {
                    let at: String = self.at.iter().map(|(step, number)| format!("/{step}.{number}")).collect();
                    eprintln!(
                        "wrong; to see it again: DIRKV_CRASH={}{at} cargo test -p dirkv-sim --test crashes",
                        self.run
                    );
                }
                resume_unwind(panic)
            }
        }
    }
}

fn after_a_cut(world: &World) -> (World, u64) {
    let mut world = world.clone();
    world.cut();
    let hash = world.hash();
    (world, hash)
}

/// What is done after a boot, to see that the store works.
fn some_ops(number: u64) -> Vec<Op> {
    let (a, k) = (|| "a".to_owned(), || "k".to_owned());
    let put = |len: usize| Op::Upsert(a(), k(), vec![3; len]);
    let op = match number % 8 {
        0 => Op::Compact,
        1 => put(65_000),
        2 => Op::Delete(a(), "l".to_owned()),
        3 => Op::Create(a(), "m".to_owned(), vec![4; 700]),
        4 => Op::DeleteBucket(a(), "b".to_owned()),
        5 => Op::Sync,
        _ => put(40),
    };
    vec![op, put(30), Op::Read]
}
