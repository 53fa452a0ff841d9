//! Time, for the processes of a machine.

use dirkv::files::clock::SystemClock;
use dirkv::files::storage::Clock;
use dirkv::latch;
use std::time::Duration;

/// The scheduler's time; where there is none the system's, but nobody sleeps long.
#[derive(Debug)]
pub struct SimClock;

impl Clock for SimClock {
    fn wall(&self) -> i64 {
        let simulated = latch::scheduler().map(|s| i64::try_from(s.now()).unwrap_or(i64::MAX));
        simulated.unwrap_or_else(|| SystemClock.wall())
    }
    fn boottime(&self) -> u64 {
        latch::scheduler().map_or_else(|| SystemClock.boottime(), |s| s.now())
    }
    fn yield_now(&self) {
        match latch::scheduler() {
            Some(scheduler) => scheduler.step(),
            None => std::thread::yield_now(),
        }
    }
    fn sleep(&self, time: Duration) {
        match latch::scheduler() {
            Some(scheduler) => {
                let until = scheduler.now() + u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 2);
                while scheduler.now() < until {
                    scheduler.blocked(Some(until));
                }
            }
            None => std::thread::sleep(time.min(Duration::from_millis(1))),
        }
    }
}
