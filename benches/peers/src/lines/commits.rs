//! Single changes: upserts of many threads and processes, values of other sizes, creates, deletes.

use super::{Bound, EVERYONE, Line, Of, SHARING, count};
use crate::bench::{Form, VALUE};
use crate::choice::Choice;
use crate::engines::{Kind, Sync};
use crate::names::Shape;
use crate::stages::{Beside, Metric, Plan, Who};
use crate::work::What;

pub fn lines(form: &Form) -> Vec<Line> {
    let mut lines = upserts(form);
    lines.extend(shapes(form));
    lines.extend(others(form));
    lines
}

fn upserts(form: &Form) -> Vec<Line> {
    let put = Plan::new(What::Put, form.hot, VALUE);
    let title = format!("durable upsert of 200 B, {} keys", count(form.hot));
    let mut lines = vec![
        Line::workers(form, "upsert.threads-1", format!("{title}, 1 thread"), &EVERYONE, put.clone())
            .times(0.95, Of::Kind(Kind::Raw))
            .times(1.0, Of::BestPeer),
    ];
    for threads in [2, 4, 8, 16, 64] {
        let plan = put.clone().by(Who::Threads(threads));
        let line = Line::workers(
            form,
            format!("upsert.threads-{threads}"),
            format!("{title}, {threads} threads"),
            &EVERYONE,
            plan,
        );
        lines.push(if threads == 8 { line.times(4.0, Of::BestPeer) } else { line });
    }
    for processes in [2, 4, 8, 16] {
        let plan = put.clone().by(Who::Processes(processes));
        let id = format!("upsert.processes-{processes}");
        let line = Line::workers(form, id, format!("{title}, {processes} processes"), &SHARING, plan);
        lines.push(match processes {
            4 => line.times(1.8, Of::Kind(Kind::Sqlite)),
            8 => line.times(3.0, Of::Kind(Kind::Sqlite)),
            _ => line,
        });
    }
    let os = Plan { sync: Sync::Os, ..put };
    lines.push(
        Line::workers(
            form,
            "upsert.os",
            "upsert of 200 B that survives its process, not the power, 1 thread",
            &EVERYONE,
            os,
        )
        .times(1.0, Of::BestPeer),
    );
    lines
}

/// Values of other sizes, keys that share a long prefix, a few keys most of the time.
fn shapes(form: &Form) -> Vec<Line> {
    let sizes = [(16, "16 B"), (4 << 10, "4 KiB"), (1 << 20, "1 MiB")];
    let mut lines = Vec::new();
    for (value, name) in sizes {
        let keys = form.hot.min((128 << 20) / value as u64);
        let kinds: Vec<Kind> = EVERYONE.to_vec();
        let (put, get) = (Plan::new(What::Put, keys, value), Plan::new(What::Get, keys, value).reused());
        let id = name.replace(' ', "");
        lines.push(
            Line::workers(form, format!("size.upsert-{id}"), format!("durable upsert of {name}"), &kinds, put)
                .times(1.0, Of::BestPeer),
        );
        lines.push(
            Line::workers(form, format!("size.get-{id}"), format!("get of {name}, hot"), &kinds, get)
                .times(1.0, Of::BestPeer),
        );
    }
    let shape = Shape::LongPrefix;
    let (put, get) = (Plan::new(What::Put, form.hot, VALUE), Plan::new(What::Get, form.hot, VALUE).reused());
    let put_long = Plan { shape, ..put.clone() };
    let get_long = Plan { shape, ..get.clone() };
    let zipf = Plan { choice: Choice::Zipf, ..put };
    let get_zipf = Plan { choice: Choice::Zipf, keys: form.large, ..get };
    lines.extend([
        Line::workers(form, "prefix.upsert", "durable upsert of 200 B, keys that share 160 bytes", &EVERYONE, put_long)
            .times(1.0, Of::BestPeer),
        Line::workers(form, "prefix.get", "get of 200 B, keys that share 160 bytes", &EVERYONE, get_long)
            .times(1.0, Of::BestPeer),
        Line::workers(form, "zipf.upsert", "durable upsert of 200 B, keys by Zipf's law", &EVERYONE, zipf)
            .times(1.0, Of::BestPeer),
        Line::workers(
            form,
            "zipf.get",
            format!("get of 200 B among {} keys, by Zipf's law", count(form.large)),
            &EVERYONE,
            get_zipf,
        )
        .times(1.0, Of::BestPeer),
    ]);
    lines
}

fn others(form: &Form) -> Vec<Line> {
    let plan = |what| Plan::new(what, form.hot, VALUE);
    let compaction =
        Plan { latencies: true, beside: Beside::Compaction, keys: 2 * form.hot, ..Plan::new(What::Put, 0, 1024) };
    vec![
        Line::workers(
            form,
            "create.threads-1",
            "durable create of fresh keys, 200 B, 1 thread",
            &EVERYONE,
            plan(What::Create),
        )
        .times(1.0, Of::BestPeer),
        Line::workers(form, "delete.threads-1", "durable delete of keys, 1 thread", &EVERYONE, plan(What::Delete))
            .times(1.0, Of::BestPeer),
        Line::workers(
            form,
            "upsert.while-compacting",
            "durable upsert of 1 KiB while compaction runs",
            &EVERYONE,
            compaction,
        )
        .reach(Metric::Tail, Bound::Below(10.0)),
    ]
}
