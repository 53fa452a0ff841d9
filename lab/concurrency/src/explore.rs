//! Runs a story under many schedules: half of them at random, half by priorities that change a few times (PCT, which finds what
//! needs few unlucky moments sooner). A failure leaves its schedule in a file; `DIRKV_SCHEDULE` names one to run again.

use crate::turns;
use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// A run that takes more steps goes round in circles.
const MOST_STEPS: usize = 300_000;
/// How often PCT changes priorities in one run.
const CHANGES: [usize; 2] = [3, 12];
/// How many schedules of one kind come before those of the other.
const ROUND: usize = 100;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|e| panic!("{name}={text}: {e}")))
}

/// How many schedules are tried.
fn schedules() -> usize {
    number("DIRKV_SCHEDULES").map_or(2_000, |n| usize::try_from(n).expect("a number of schedules"))
}

fn seed() -> u64 {
    number("DIRKV_TEST_SEED").unwrap_or_else(|| fastrand::u64(..1 << 32))
}

fn config(failures: FailurePersistence) -> Config {
    let mut config = Config::new();
    config.stack_size = 1 << 20;
    config.max_steps = MaxSteps::FailAfter(MOST_STEPS);
    config.failure_persistence = failures;
    config.silence_warnings = true;
    config
}

fn run(scheduler: impl Scheduler + 'static, failures: FailurePersistence, story: Arc<dyn Fn() + Send + Sync>) -> usize {
    Runner::new(scheduler, config(failures)).run(move || {
        turns::begin();
        story();
        turns::end();
    })
}

/// Where the schedules of failures are kept.
fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/schedules");
    std::fs::create_dir_all(&folder).unwrap_or_else(|e| panic!("can't make {}: {e}", folder.display()));
    folder
}

/// Fails if the story fails under any of the schedules.
pub fn explore(name: &str, story: impl Fn() + Send + Sync + 'static) {
    let story: Arc<dyn Fn() + Send + Sync> = Arc::new(story);
    let failures = || FailurePersistence::File(Some(folder()));
    if let Ok(file) = std::env::var("DIRKV_SCHEDULE") {
        let replay = ReplayScheduler::new_from_file(&file).unwrap_or_else(|e| panic!("can't read {file}: {e}"));
        run(replay, FailurePersistence::None, story);
        return;
    }
    let (seed, count) = (seed(), schedules());
    eprintln!(
        "{name}: DIRKV_TEST_SEED={seed} DIRKV_SCHEDULES={count}; DIRKV_SCHEDULE=<file> repeats the schedule of a failure"
    );
    let mut ran = run(RandomScheduler::new_from_seed(seed, count / 2), failures(), story.clone());
    for changes in CHANGES {
        ran += run(PctScheduler::new_from_seed(seed, changes, count.div_ceil(4)), failures(), story.clone());
    }
    println!("{name}: {ran} schedules");
}

/// After how many schedules the story fails; `None` if it never does.
pub fn fails_after(seed: u64, most: usize, story: impl Fn() + Send + Sync + 'static) -> Option<usize> {
    let begun = Arc::new(AtomicUsize::new(0));
    let count = begun.clone();
    let story: Arc<dyn Fn() + Send + Sync> = Arc::new(move || {
        count.fetch_add(1, SeqCst);
        story();
    });
    // A thread of its own, since a failed run leaves one behind that counts as panicking.
    let failed = std::thread::spawn(move || {
        for round in 0..(most / (2 * ROUND)) as u64 {
            let seed = seed + round;
            run(RandomScheduler::new_from_seed(seed, ROUND), FailurePersistence::None, story.clone());
            run(PctScheduler::new_from_seed(seed, CHANGES[1], ROUND), FailurePersistence::None, story.clone());
        }
    })
    .join()
    .is_err();
    failed.then(|| begun.load(SeqCst))
}
