//! Compare-and-swap.

use super::{Bound, EVERYONE, Line, Of, SHARING, STORES};
use crate::bench::{Form, VALUE};
use crate::engines::Kind;
use crate::stages::{Metric, Plan, Who};
use crate::work::What;

pub fn lines(form: &Form) -> Vec<Line> {
    let own = Plan::new(What::SwapOwn, form.hot, VALUE);
    let shared = Plan::new(What::SwapShared, form.hot, VALUE);
    let fair = Bound::AtLeast(0.25);
    let line = |id: &str, title: &str, kinds: &[Kind], plan| {
        Line::workers(form, id, format!("durable compare-and-swap of 200 B, {title}"), kinds, plan)
    };
    let (threads, processes) = (Who::Threads(4), Who::Processes(4));
    vec![
        line("swap.threads-1", "1 thread", &EVERYONE, own.clone()).times(0.95, Of::Kind(Kind::Raw)),
        line("swap.threads-4-own", "4 threads, each on its own key", &STORES, own.clone().by(threads))
            .times(1.8, Of::BestPeer),
        line("swap.processes-4-own", "4 processes, each on its own key", &SHARING, own.by(processes))
            .times(1.8, Of::BestPeer),
        line(
            "swap.threads-4-one",
            "4 threads on one key (read, swap, again on failure)",
            &STORES,
            shared.clone().by(threads),
        )
        .times(1.0, Of::BestPeer)
        .reach(Metric::Fairness, fair),
        line("swap.processes-4-one", "4 processes on one key", &SHARING, shared.by(processes))
            .times(1.0, Of::BestPeer)
            .reach(Metric::Fairness, fair),
    ]
}
