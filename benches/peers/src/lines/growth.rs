//! Curves over the size of the store. (Opening has lines of its own, in `large`.)

use super::{EVERYONE, Line, Of, STORES, count};
use crate::bench::{Form, VALUE};
use crate::stages::Plan;
use crate::work::What;

/// Of more keys the maps of the raw limit would take more memory than any engine's cache.
const IN_MEMORY: u64 = 1_000_000;

pub fn lines(form: &Form) -> Vec<Line> {
    let operations = [("get", What::Get), ("list-of-100", What::Page(100)), ("upsert", What::Put)];
    let points = operations.iter().flat_map(|operation| form.growth.iter().map(move |keys| (operation, *keys)));
    let line = |((name, what), keys): (&(&str, What), u64)| {
        let plan = Plan::new(*what, keys, VALUE).reused();
        let title = format!("growth: {name} at {} keys", count(keys));
        let kinds: &[_] = if what.reads_only() && keys <= IN_MEMORY { &EVERYONE } else { &STORES };
        Line::workers(form, format!("growth.{name}.{keys}"), title, kinds, plan).times(1.0, Of::BestPeer)
    };
    points.map(line).collect()
}
