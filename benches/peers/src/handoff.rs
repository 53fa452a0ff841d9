//! Two processes hand a lock to each other: how long that takes, and what the waiting one costs meanwhile.

use std::thread;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::engines;
use crate::processes::{Process, Task, answer, next};
use crate::turn::now;

/// What one of them does in a round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Holder {
    /// How often it takes the lock.
    pub times: u32,
    /// How long it keeps it, so that the other surely waits.
    pub hold: Duration,
}

/// One possession of the lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Held {
    /// When the call that waited for it returned.
    pub from: u64,
    /// When the call that gave it back began.
    pub until: u64,
    /// How long that waited.
    pub waited: u64,
    /// What of it the process ran.
    pub busy: u64,
}

/// One round of both.
pub fn round(both: &mut [Process; 2]) -> Result<[Vec<Held>; 2]> {
    for process in both.iter_mut() {
        process.tell(&())?;
    }
    let [one, two] = both;
    Ok([one.hear()?, two.hear()?])
}

/// Nanoseconds from each end of a possession to the begin of the other's next one, if the other was waiting then.
pub fn handoffs(one: &[Held], two: &[Held]) -> Result<Vec<u64>> {
    let tag = |held: &[Held], who: u8| held.iter().map(|h| (*h, who)).collect::<Vec<_>>();
    let mut all = [tag(one, 1), tag(two, 2)].concat();
    all.sort_by_key(|(held, _)| held.from);
    let mut gaps = Vec::new();
    for pair in all.windows(2) {
        let ((before, who), (after, other)) = (pair[0], pair[1]);
        if after.from < before.until {
            return Err("both held the lock at once".into());
        }
        if who != other && after.from - after.waited < before.until {
            gaps.push(after.from - before.until);
        }
    }
    Ok(gaps)
}

/// The child's part.
pub fn play(task: &Task, holder: &Holder) -> Result<()> {
    let engine = engines::open(task.kind, &task.path, &task.setup)?;
    while next::<()>()?.is_some() {
        answer(possess(engine.as_ref(), holder))?;
    }
    Ok(())
}

fn possess(engine: &dyn engines::Engine, holder: &Holder) -> Result<Vec<Held>> {
    let leases = engine.leases().ok_or("this engine has no locks")?;
    let mut all = Vec::new();
    for _ in 0..holder.times {
        let (begin, busy) = (now(), busy());
        let fence = leases.acquire(c"handoff")?;
        let from = now();
        let busy = self::busy() - busy;
        thread::sleep(holder.hold);
        let until = now();
        leases.release(c"handoff", fence)?;
        all.push(Held { from, until, waited: from - begin, busy });
        // The other one shall have it now.
        thread::sleep(holder.hold / 4);
    }
    Ok(all)
}

/// Nanoseconds that this process has run.
pub fn busy() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(from: u64, until: u64, waited: u64) -> Held {
        Held { from, until, waited, busy: 0 }
    }

    #[test]
    fn gaps_between_different_holders_count() {
        let one = [held(10, 20, 1), held(45, 50, 30)];
        let two = [held(23, 40, 10), held(90, 95, 1)];
        // The last came when nobody held it.
        assert_eq!(handoffs(&one, &two).unwrap(), [3, 5]);
    }

    #[test]
    fn two_holders_at_once_are_noticed() {
        assert!(handoffs(&[held(10, 20, 1)], &[held(19, 30, 1)]).is_err());
    }
}
