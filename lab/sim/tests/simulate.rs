//! Many processes with many threads on one simulated machine, by seed. `DIRKV_SIM` asks for one plan, as a failure names it;
//! `DIRKV_SEEDS` for `from..to` of them; `DIRKV_TORTURE_SECONDS` for new ones all that time.

use std::ops::Range;
use std::time::{Duration, Instant};

use dirkv_sim::plan::Plan;
use dirkv_sim::simulate::{judge, run};

#[test]
fn whatever_threads_of_many_processes_are_told_can_be() {
    if let Ok(name) = std::env::var("DIRKV_SIM") {
        let plan = Plan::named(&name.parse().expect("a plan's name"));
        println!("{plan:#?}");
        run(&plan).unwrap_or_else(|why| panic!("{name}: {why}"));
        return;
    }
    let (mut steps, mut calls, mut cuts) = (0, 0, 0);
    let seeds = seeds();
    for seed in seeds.clone() {
        let figures = judge(seed).unwrap_or_else(|why| panic!("{why}"));
        (steps, calls, cuts) = (steps + figures.steps, calls + figures.calls, cuts + u64::from(figures.cut));
    }
    println!("seeds {seeds:?}: {steps} steps, {calls} calls, {cuts} power cuts");
}

fn seeds() -> Range<u64> {
    let asked = std::env::var("DIRKV_SEEDS").ok();
    let (from, to) = asked.as_deref().and_then(|text| text.split_once("..")).unwrap_or(("0", "6000"));
    from.parse().unwrap()..to.parse().unwrap()
}

#[test]
fn a_run_can_be_had_again() {
    for seed in 0..40 {
        let plan = Plan::of(seed);
        assert_eq!(run(&plan), run(&plan), "seed {seed}");
    }
}

#[test]
#[ignore = "takes as long as DIRKV_TORTURE_SECONDS says"]
fn new_seeds_as_long_as_asked() {
    let seconds = std::env::var("DIRKV_TORTURE_SECONDS").expect("how many seconds");
    let (time, began) = (Duration::from_secs(seconds.parse().unwrap()), Instant::now());
    let first = fastrand::u64(..1 << 40);
    let work = |part: u64| {
        let (mut seeds, mut steps, mut calls, mut unknown, mut faults, mut cuts) = (0, 0, 0, 0, 0, 0);
        while began.elapsed() < time {
            let figures = judge(first + 2 * seeds + part).unwrap_or_else(|why| panic!("{why}"));
            (seeds, steps, calls) = (seeds + 1, steps + figures.steps, calls + figures.calls);
            unknown += figures.unknown;
            (faults, cuts) = (faults + figures.faults, cuts + u64::from(figures.cut));
        }
        println!(
            "{seeds} seeds from {first}: {steps} steps, {calls} calls, {unknown} without an answer, {faults} faults, {cuts} power cuts"
        );
    };
    std::thread::scope(|threads| {
        threads.spawn(|| work(0));
        threads.spawn(|| work(1));
    });
}
