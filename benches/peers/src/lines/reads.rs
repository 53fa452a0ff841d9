//! Gets.

use super::{Bound, EVERYONE, Line, Of, SHARING, count};
use crate::bench::{Form, VALUE};
use crate::engines::Kind;
use crate::stages::{Beside, Metric, Plan, Who};
use crate::work::What;

pub fn lines(form: &Form) -> Vec<Line> {
    let get = Plan::new(What::Get, form.hot, 1024).reused();
    let hot = format!("get, {} x 1 KiB, hot", count(form.hot));
    let large = Plan::new(What::Get, form.large, VALUE).reused();
    let among = format!("{} x 200 B", count(form.large));
    let frugal = Plan { frugal: true, ..large.clone() }.by(Who::Processes(1));
    let beside = Plan { beside: Beside::Writer, latencies: true, reuse: false, ..get.clone() }.by(Who::Processes(1));
    let lmdb = Of::Kind(Kind::Lmdb);
    vec![
        Line::workers(form, "get.threads-1", format!("{hot}, 1 thread"), &EVERYONE, get.clone()).times(2.0, lmdb),
        Line::workers(form, "get.threads-2", format!("{hot}, 2 threads"), &EVERYONE, get.clone().by(Who::Threads(2)))
            .times(1.5, lmdb),
        Line::workers(
            form,
            "get.processes-2",
            format!("{hot}, 2 processes"),
            &SHARING,
            get.clone().by(Who::Processes(2)),
        )
        .times(1.5, lmdb),
        Line::workers(
            form,
            "get.looked-at",
            format!("{hot}, the value only looked at, where the engine can do that without a copy"),
            &EVERYONE,
            Plan { what: What::View, ..get.clone() },
        ),
        Line::workers(form, "get.alone", format!("{hot}, 1 process, each get timed"), &SHARING, {
            Plan { beside: Beside::Nothing, ..beside.clone() }
        }),
        Line::workers(
            form,
            "get.beside-a-writer",
            "the same while another process commits durably at full rate",
            &SHARING,
            beside,
        )
        .times(0.8, Of::Line("get.alone"))
        .reach(Metric::Tail, Bound::Below(10.0)),
        Line::workers(
            form,
            "get.large",
            format!("get, {among}, random, warm page cache, small caches"),
            &EVERYONE,
            frugal,
        )
        .times(1.5, lmdb)
        .reach(Metric::PrivateMiB, Bound::Below(32.0)),
        Line::workers(form, "get.absent", format!("get of absent keys among {among}"), &EVERYONE, {
            Plan { what: What::GetAbsent, ..large }
        })
        .times(1.0, lmdb),
    ]
}
