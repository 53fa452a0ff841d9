//! The power is cut at every step of every course, and every state that the disk may be in is looked at.
//!
//! `DIRKV_CRASH_SECONDS=600` goes on for so long, with larger bounds and courses that nobody thought of, and
//! `DIRKV_CRASH_STATES=10000000` until it has seen so many distinct states. `DIRKV_CRASH=two/kill-12/33.5` looks at one state again.

use dirkv_sim::crashes::{Counts, Crashes, Limits, Seen, place};
use dirkv_sim::cut::Bound;
use dirkv_sim::tour::{self, random_jobs, work};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const fn bound(whole: u64, samples: u64) -> Bound {
    Bound { whole, samples }
}

const PLAIN: Limits = Limits { bound: bound(512, 160), again: [bound(16, 6), bound(8, 3)], every: [40, 60] };
const TWISTED: Limits = Limits { bound: bound(16, 6), again: [bound(8, 3), bound(4, 2)], every: [200, 60] };
/// In the short run, a kill and a failure at every so many-th call.
const EVERY: u64 = 17;

fn say(totals: &BTreeMap<String, Counts>) -> Counts {
    let mut all = Counts::default();
    for (name, counts) in totals {
        eprintln!("{name:<26} {counts}");
        all.add(counts);
    }
    eprintln!("{:<26} {all}", "all");
    all
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|e| panic!("{name}={text}: {e}")))
}

/// Larger bounds round after round, and courses of random operations beside the others.
fn for_long(seconds: Option<u64>, states: Option<u64>) {
    const RANDOM: u64 = 10_000;
    const BETWEEN: usize = 50;
    let (began, seen) = (Instant::now(), Seen::default());
    let over = || {
        seconds.is_some_and(|n| began.elapsed() > Duration::from_secs(n)) || states.is_some_and(|n| seen.count() >= n)
    };
    let mut all = BTreeMap::<String, Counts>::new();
    for round in 0.. {
        let larger = |bound: Bound| Bound { whole: bound.whole << (2 * round), samples: bound.samples << round };
        let more = |limits: Limits| Limits { bound: larger(limits.bound), ..limits };
        let (mut jobs, mut random) = (Vec::new(), random_jobs(round * RANDOM..(round + 1) * RANDOM, more(TWISTED)));
        for job in tour::jobs(1, more(PLAIN), more(TWISTED)) {
            jobs.push(job);
            jobs.extend(random.by_ref().take(BETWEEN));
        }
        for (name, counts) in work(&jobs, &seen, &over) {
            all.entry(name).or_default().add(&counts);
        }
        if over() {
            break;
        }
    }
    say(&all);
    eprintln!("{} distinct states in {} s", seen.count(), began.elapsed().as_secs());
}

#[test]
fn no_state_of_the_disk_takes_back_what_anybody_was_told() {
    if let Ok(text) = std::env::var("DIRKV_CRASH") {
        let (script, twist, only) = place(&text).unwrap_or_else(|| panic!("{text} is no crash"));
        let states = only.len() as u64;
        let (counts, _) = Crashes::new(PLAIN, &Seen::default()).only(only).of(&script, twist);
        assert_eq!(counts.distinct, states, "there is no such state");
        return;
    }
    let (seconds, states) = (number("DIRKV_CRASH_SECONDS"), number("DIRKV_CRASH_STATES"));
    if seconds.is_some() || states.is_some() {
        return for_long(seconds, states);
    }
    let (began, seen) = (Instant::now(), Seen::default());
    let all = say(&work(&tour::jobs(EVERY, PLAIN, TWISTED), &seen, &|| false));
    eprintln!("{} distinct states in {:.1} s", seen.count(), began.elapsed().as_secs_f32());
    assert!(seen.count() >= 100_000, "only {} distinct states", seen.count());
    assert!(all.again.iter().all(|count| *count > 1_000), "too few recoveries were cut: {:?}", all.again);
}
