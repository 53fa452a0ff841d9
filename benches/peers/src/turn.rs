//! One worker's turn: for a span of time it does one step after the other, and nothing else.

use std::time::Duration;

use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::engines::Session;
use crate::work::{Step, Work};

/// What came of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Operations done; what was tried in vain doesn't count.
    pub done: u64,
    /// Operations done in the warm-up.
    pub warmed: u64,
    /// When it began and ended, in nanoseconds of the clock that all processes share.
    pub begin: u64,
    /// See `begin`.
    pub end: u64,
    /// Nanoseconds of an operation, and how many took that long; empty if nobody asked.
    pub latencies: Vec<(u64, u64)>,
    /// Bytes of private memory that opening and using the store took; only processes tell.
    pub private: u64,
}

/// Nanoseconds of a clock that is the same for all processes and never steps.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// How a round goes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Pace {
    /// How long the clock runs.
    pub span: Duration,
    /// Whether each operation is timed by itself.
    pub latencies: bool,
}

/// Does the same as the turn that will follow, for a fifth of its time, so that caches and branches are as warm for everyone.
/// Tells how many operations that were.
pub fn warm_up(work: &mut dyn Work, session: &mut dyn Session, pace: Pace) -> Result<u64> {
    let span = pace.span / 5;
    turn(work, session, Pace { span, latencies: false }).map(|outcome| outcome.done)
}

/// The turn itself.
pub fn turn(work: &mut dyn Work, session: &mut dyn Session, pace: Pace) -> Result<Outcome> {
    let span = u64::try_from(pace.span.as_nanos())?;
    let begin = now();
    let mut outcome = Outcome { begin, end: begin, ..Outcome::default() };
    if pace.latencies {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3)?;
        while outcome.end - begin < span {
            let before = outcome.end;
            let step = work.step(session)?;
            outcome.end = now();
            match step {
                Step::Empty => break,
                Step::Missed => {}
                Step::Done => {
                    outcome.done += 1;
                    histogram.saturating_record(outcome.end - before);
                }
            }
        }
        outcome.latencies = histogram.iter_recorded().map(|v| (v.value_iterated_to(), v.count_at_value())).collect();
        return Ok(outcome);
    }
    'turn: while outcome.end - begin < span {
        for _ in 0..work.burst() {
            match work.step(session)? {
                Step::Empty => break 'turn,
                Step::Missed => {}
                Step::Done => outcome.done += 1,
            }
        }
        outcome.end = now();
    }
    outcome.end = now();
    Ok(outcome)
}

/// The latencies of all workers together.
pub fn together(outcomes: &[Outcome]) -> Result<Histogram<u64>> {
    let mut all = Histogram::new_with_bounds(1, 60_000_000_000, 3)?;
    for (nanos, count) in outcomes.iter().flat_map(|outcome| &outcome.latencies) {
        all.record_n(*nanos, *count)?;
    }
    Ok(all)
}

/// Operations a second of all workers, from the start of the first to the end of the last.
pub fn rate(outcomes: &[Outcome]) -> f64 {
    let begin = outcomes.iter().map(|outcome| outcome.begin).min().unwrap_or(0);
    let end = outcomes.iter().map(|outcome| outcome.end).max().unwrap_or(0);
    let done: u64 = outcomes.iter().map(|outcome| outcome.done).sum();
    done as f64 / ((end - begin).max(1) as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_spans_all_workers() {
        let outcome = |done, begin, end| Outcome { done, begin, end, ..Outcome::default() };
        let both = [outcome(10, 1_000_000_000, 2_000_000_000), outcome(30, 2_000_000_000, 3_000_000_000)];
        assert!((rate(&both) - 20.0).abs() < 1e-9);
        assert!(rate(&[]) < 1e-9);
    }

    #[test]
    fn latencies_add_up() {
        let one = Outcome { latencies: vec![(100, 3)], ..Outcome::default() };
        let two = Outcome { latencies: vec![(900, 1)], ..Outcome::default() };
        let all = together(&[one, two]).unwrap();
        assert_eq!((all.len(), all.value_at_quantile(0.5), all.max()), (4, 100, 900));
    }
}
