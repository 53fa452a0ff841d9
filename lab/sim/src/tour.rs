//! Which runs are cut: every script as it is, with a kill at each call, with each failing for want of space or otherwise; on
//! two threads.

use crate::crashes::{Counts, Crashes, Limits, Seen};
use crate::machine::{EIO, ENOSPC};
use crate::script::{named, random, scripts};
use crate::twist::Twist;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What is put into a script, one run each.
#[derive(Clone, Copy, Debug)]
pub enum Twists {
    None,
    Kills(Calls),
    /// Of those that may fail with this errno.
    Fails(i32, Calls),
}

/// Every so many-th call from the first one on.
#[derive(Clone, Copy, Debug)]
pub struct Calls {
    first: u64,
    every: u64,
}

impl Calls {
    fn nth(self, n: u64) -> u64 {
        self.first + n * self.every
    }
}

impl Twists {
    fn nth(self, n: u64) -> Option<Twist> {
        match self {
            Twists::None => (n == 0).then_some(Twist::None),
            Twists::Kills(calls) => Some(Twist::Kill(calls.nth(n))),
            Twists::Fails(errno, calls) => Some(Twist::Fail { errno, nth: calls.nth(n), times: 1 }),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Twists::None => "",
            Twists::Kills(_) => ", kills",
            Twists::Fails(ENOSPC, _) => ", no space",
            Twists::Fails(..) => ", failures",
        }
    }
}

/// A script with its twists.
pub struct Job {
    script: String,
    twists: Twists,
    limits: Limits,
}

/// Every script as it is, then with a failure of each kind, then with a kill at every so many-th call; from another call on in each.
pub fn jobs(every: u64, plain: Limits, twisted: Limits) -> Vec<Job> {
    let mut jobs = Vec::new();
    let kinds: [fn(Calls) -> Twists; 4] =
        [|_| Twists::None, |calls| Twists::Fails(EIO, calls), |calls| Twists::Fails(ENOSPC, calls), Twists::Kills];
    for kind in kinds {
        for (first, script) in (0..every).cycle().zip(scripts()) {
            let twists = kind(Calls { first, every });
            let limits = if matches!(twists, Twists::None) { plain } else { twisted };
            jobs.push(Job { script: script.name, twists, limits });
        }
    }
    jobs
}

/// Courses of random operations, by their seeds.
pub fn random_jobs(seeds: Range<u64>, limits: Limits) -> impl Iterator<Item = Job> {
    seeds.map(move |seed| Job { script: random(seed).name, twists: Twists::None, limits })
}

impl Job {
    fn title(&self) -> String {
        match self.script.contains("random-") {
            true => "random courses".to_owned(),
            // Whatever its seed.
            false => {
                self.script.trim_end_matches(|c: char| c == '-' || c.is_ascii_digit()).to_owned() + self.twists.name()
            }
        }
    }

    /// One twist after the other, until one doesn't happen or it is over. Whatever is wrong panics, or is only counted.
    pub fn run(&self, seen: &Seen, tolerant: bool, over: &dyn Fn() -> bool) -> Counts {
        let script = named(&self.script).expect("a script of that name");
        let mut counts = Counts::default();
        for n in 0.. {
            let Some(twist) = self.twists.nth(n).filter(|_| !over()) else { break };
            let crashes = Crashes::new(self.limits, seen);
            let (more, happened) = if tolerant { crashes.tolerant() } else { crashes }.of(&script, twist);
            counts.add(&more);
            if !happened {
                break;
            }
        }
        counts
    }
}

/// All jobs, on as many threads as the machine has, at most two. The counts by script.
pub fn work(jobs: &[Job], seen: &Seen, over: &(dyn Fn() -> bool + Sync)) -> BTreeMap<String, Counts> {
    let (next, totals) = (AtomicUsize::new(0), Mutex::new(BTreeMap::<String, Counts>::new()));
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(2);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Relaxed)).filter(|_| !over()) {
                    let counts = job.run(seen, false, over);
                    totals.lock().entry(job.title()).or_default().add(&counts);
                }
            });
        }
    });
    totals.into_inner()
}
