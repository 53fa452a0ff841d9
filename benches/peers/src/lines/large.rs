//! A new process and a large store.

use super::{Bound, Line, STORES, count};
use crate::bench::Form;
use crate::stages::{Metric, Script};

/// Of this many keys and more the memory of a reader is bounded.
const LARGE: u64 = 10_000_000;

pub fn lines(form: &Form) -> Vec<Line> {
    let line = |keys: &u64| {
        let title = format!("open and first get at {} keys, small caches", count(*keys));
        let line = Line::new(form, format!("open.{keys}"), title, &STORES, Script::Open { keys: *keys })
            .reach(Metric::Millis, Bound::Below(5.0));
        if *keys >= LARGE { line.reach(Metric::PrivateMiB, Bound::Below(32.0)) } else { line }
    };
    form.growth.iter().map(line).collect()
}
