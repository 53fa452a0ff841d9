//! Atomic batches, and bulk load.

use super::{Line, Of, count};
use crate::bench::{Form, VALUE};
use crate::engines::Kind;
use crate::stages::{Plan, Script};
use crate::work::What;

pub fn lines(form: &Form) -> Vec<Line> {
    let size = 1_000.min(form.hot as usize / 3);
    let batch = Plan::new(What::Batch(size), form.hot * 10, VALUE);
    let title = format!("durable batch of {} x 200 B among {} keys", count(size as u64), count(form.hot * 10));
    let load = |sorted, how: &str, id| {
        let title = format!("bulk load of {} x 200 B by durable batches of 1,000, {how}", count(form.load));
        Line::new(form, id, title, &Kind::ALL, Script::Load { keys: form.load, sorted })
            .times(1.0, Of::BestPeer)
            .rounds(form.few)
    };
    vec![
        Line::workers(form, "batch.threads-1", title, &Kind::ALL, batch)
            .times(0.75, Of::Kind(Kind::Raw))
            .times(1.3, Of::Kind(Kind::Lmdb)),
        load(true, "in order", "load.in-order"),
        load(false, "in random order", "load.random"),
    ]
}
