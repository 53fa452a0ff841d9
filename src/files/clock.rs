//! The system's clocks.

use super::storage::Clock;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

const NANOS: i64 = 1_000_000_000;

/// Time as the kernel tells it.
#[derive(Clone, Copy, Default, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall(&self) -> i64 {
        now(ClockId::Realtime)
    }

    fn boottime(&self) -> u64 {
        // Never negative: it counts from boot.
        u64::try_from(now(ClockId::Boottime)).unwrap_or(0)
    }

    fn yield_now(&self) {
        std::thread::yield_now();
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// When the kernel's clock last ticked, in nanoseconds since the epoch: what it stamps files with.
pub(super) fn last_tick() -> i64 {
    now(ClockId::RealtimeCoarse)
}

fn now(clock: ClockId) -> i64 {
    let now = clock_gettime(clock);
    nanoseconds(now.tv_sec, now.tv_nsec)
}

/// Seconds and nanoseconds in one number.
pub(super) fn nanoseconds(seconds: i64, nanoseconds: i64) -> i64 {
    seconds.saturating_mul(NANOS).saturating_add(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{SystemTime, UNIX_EPOCH};

    #[test]
    fn wall_is_the_system_time_and_boottime_runs() {
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let wall = u128::try_from(SystemClock.wall()).unwrap();
        let after = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        assert!(before <= wall && wall <= after);
        let start = SystemClock.boottime();
        std::thread::sleep(Duration::from_millis(5));
        assert!(SystemClock.boottime() - start >= 5_000_000);
        SystemClock.yield_now();
    }
}
