//! Curves over the size of the store. (Opening has lines of its own, in `large`.)

use super::{Line, Of, STORES, count};
use crate::bench::{Form, VALUE};
use crate::stages::Plan;
use crate::work::What;

pub fn lines(form: &Form) -> Vec<Line> {
    let operations = [("get", What::Get), ("list-of-100", What::Page(100)), ("upsert", What::Put)];
    let points = operations.iter().flat_map(|operation| form.growth.iter().map(move |keys| (operation, *keys)));
    let line = |((name, what), keys): (&(&str, What), u64)| {
        let plan = Plan::new(*what, keys, VALUE).reused();
        let title = format!("growth: {name} at {} keys", count(keys));
        Line::workers(form, format!("growth.{name}.{keys}"), title, &STORES, plan).times(1.0, Of::BestPeer)
    };
    points.map(line).collect()
}
