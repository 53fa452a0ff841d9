//! The proof that the proof runs: with each deliberate breakage of the engine in turn, how many of the states after a power
//! cut are found wrong, and how many of the runs with a failing call. One test, alone in its program: a breakage is one of
//! the whole process.

use dirkv::sabotage::{Sabotage, commit};
use dirkv_sim::crashes::{Counts, Limits, Seen};
use dirkv_sim::cut::Bound;
use dirkv_sim::machine::EIO;
use dirkv_sim::run::Run;
use dirkv_sim::script::scripts;
use dirkv_sim::tour::jobs;
use dirkv_sim::twist::Twist;
use std::panic::{AssertUnwindSafe, catch_unwind};

const LIMITS: Limits = Limits {
    bound: Bound { whole: 8, samples: 4 },
    again: [Bound { whole: 6, samples: 3 }, Bound { whole: 2, samples: 1 }],
    every: [16, 60],
};
/// A kill and a failure at every so many-th call.
const EVERY: u64 = 19;
/// It ends once a script has so many wrong ones, or with so many states.
const ENOUGH: u64 = 3;
const MOST: u64 = 10_000;

/// Those that must be found wrong by cuts of the power. The others need threads that meet in a certain order.
const BY_CUTS: [&str; 20] = [
    "rule-5",
    "rule-6",
    "rule-7",
    "rule-9",
    "rule-10",
    "rule-13",
    "rule-16",
    "rule-17",
    "rule-18",
    "rule-19",
    "adopted-unwritten",
    "no-fdatasync",
    "publish-before-sync",
    "no-directory-sync",
    "crc-unchecked",
    "pending-shown",
    "merge-keeps-older",
    "tombstone-dropped",
    "value-file-removed",
    "stale-read",
];
/// Those that must be found by failing calls.
const BY_CALLS: [&str; 19] = [
    "lost-update",
    "lock-ignored",
    "rule-5",
    "rule-9",
    "rule-10",
    "rule-11",
    "rule-13",
    "rule-15",
    "rule-17",
    "rule-18",
    "rule-19",
    "adopted-unwritten",
    "no-fdatasync",
    "no-directory-sync",
    "pending-shown",
    "merge-keeps-older",
    "tombstone-dropped",
    "value-file-removed",
    "stale-read",
];

fn cuts() -> Counts {
    let (seen, mut counts) = (Seen::default(), Counts::default());
    for job in jobs(EVERY, LIMITS, LIMITS) {
        if counts.failed >= ENOUGH {
            break;
        }
        counts.add(&job.run(&seen, true, &|| seen.count() > MOST));
    }
    counts
}

/// Wrong runs, and all.
fn calls() -> (u64, u64) {
    let (mut wrong, mut runs) = (0, 0);
    for script in scripts() {
        // Often enough to meet each of them; which calls these are shifts with the code.
        for nth in (0..).step_by(5) {
            let run =
                catch_unwind(AssertUnwindSafe(|| Run::survives(&script, Twist::Fail { errno: EIO, nth, times: 1 })));
            runs += 1;
            wrong += u64::from(run.is_err());
            if run.is_ok_and(|happened| !happened) || wrong >= ENOUGH {
                break;
            }
        }
    }
    (wrong, runs)
}

#[test]
fn what_is_broken_is_found() {
    let (mut by_cuts, mut by_calls) = (Vec::new(), Vec::new());
    std::panic::set_hook(Box::new(|_| ()));
    eprintln!("| broken | wrong states after cuts | of | wrong runs with failing calls | of |\n|---|---|---|---|---|");
    let all = Sabotage::ALL.iter().map(|(sabotage, name, _)| (Some(*sabotage), *name));
    for (sabotage, name) in all.chain([(None, "nothing")]) {
        commit(sabotage);
        let (cuts, (wrong, runs)) = (cuts(), calls());
        eprintln!("| {name} | {} | {} | {wrong} | {runs} |", cuts.failed, cuts.distinct + cuts.runs);
        by_cuts.extend((cuts.failed > 0).then_some(name));
        by_calls.extend((wrong > 0).then_some(name));
    }
    let _ = std::panic::take_hook();
    assert!(!by_cuts.contains(&"nothing") && !by_calls.contains(&"nothing"), "the engine as it is was found wrong");
    for name in BY_CUTS {
        assert!(by_cuts.contains(&name), "{name} wasn't noticed by cuts");
    }
    for name in BY_CALLS {
        assert!(by_calls.contains(&name), "{name} wasn't noticed by failing calls");
    }
}
