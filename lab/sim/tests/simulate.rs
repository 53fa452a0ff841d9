//! Many processes with many threads on one simulated machine, by seed. `DIRKV_SIM` asks for one plan, as a failure names it;
//! `DIRKV_SEEDS` for `from..to` of them.

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
    let asked = std::env::var("DIRKV_SEEDS").ok();
    let (from, to) = asked.as_deref().and_then(|text| text.split_once("..")).unwrap_or(("0", "2000"));
    let (mut steps, mut calls, mut cuts) = (0, 0, 0);
    for seed in from.parse().unwrap()..to.parse().unwrap() {
        let figures = judge(seed).unwrap_or_else(|why| panic!("{why}"));
        (steps, calls, cuts) = (steps + figures.steps, calls + figures.calls, cuts + u64::from(figures.cut));
    }
    println!("seeds {from}..{to}: {steps} steps, {calls} calls, {cuts} power cuts");
}

#[test]
fn a_run_can_be_had_again() {
    for seed in 0..40 {
        let plan = Plan::of(seed);
        assert_eq!(run(&plan), run(&plan), "seed {seed}");
    }
}
