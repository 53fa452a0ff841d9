//! What is left on disk.

use super::{Bound, Line, STORES, count};
use crate::bench::Form;
use crate::stages::{Metric, Script};

pub fn lines(form: &Form) -> Vec<Line> {
    let title =
        format!("disk after {} keys x 200 B were overwritten 3 times and the store came to rest", count(form.load));
    vec![
        Line::new(form, "disk.overwritten", title, &STORES, Script::Space { keys: form.load })
            .reach(Metric::Disk, Bound::Below(1.3))
            .rounds(1),
    ]
}
