//! `DIRKV_TORTURE_SECONDS`: so long may a test go on whose cases could take all day.

use std::time::{Duration, Instant};

/// The time that was asked for, if it was.
pub fn torture() -> Option<Duration> {
    let text = std::env::var("DIRKV_TORTURE_SECONDS").ok()?;
    Some(Duration::from_secs(text.parse().unwrap_or_else(|e| panic!("DIRKV_TORTURE_SECONDS={text}: {e}"))))
}

/// Tries every case in the time that was asked for, in an order that is drawn anew, so that what one run doesn't come to another
/// does; says how far it came. Without such a time it tries all as they come. Whether it tried all.
pub fn each_in_time<T>(test: &str, mut cases: Vec<T>, mut try_it: impl FnMut(T)) -> bool {
    let until = torture().map(|time| Instant::now() + time);
    if until.is_some() {
        fastrand::Rng::with_seed(super::seed()).shuffle(&mut cases);
    }
    let (all, mut tried) = (cases.len(), 0);
    for case in cases {
        if until.is_some_and(|until| Instant::now() > until) {
            break;
        }
        try_it(case);
        tried += 1;
    }
    println!("{test}: {tried} of {all} cases");
    tried == all
}
