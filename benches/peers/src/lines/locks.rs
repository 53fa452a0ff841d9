//! Locks between processes, which no peer has.

use std::time::Duration;

use super::{Bound, Line};
use crate::bench::Form;
use crate::engines::Kind;
use crate::stages::{Metric, Script};

pub fn lines(form: &Form) -> Vec<Line> {
    let script = Script::Lock { hold: Duration::from_millis(12) };
    vec![
        Line::new(
            form,
            "lock.handoff",
            "lock hand-off between two processes; one waits 12 ms for the other",
            &[Kind::Dirkv, Kind::Raw],
            script,
        )
        .reach(Metric::Micros, Bound::Below(200.0))
        // What falling asleep and waking, and the durable commit that follows, take of those 12 ms.
        .reach(Metric::Busy, Bound::Below(2.0)),
    ]
}
