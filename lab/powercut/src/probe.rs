//! Who opens the stores after a cut: tells what is there, then goes on working, closes, and looks again.

use std::fs;
use std::path::PathBuf;

use dirkv::Backend;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::history::Dump;
use crate::journal::{Content, Value};
use crate::worker::{Failure, Orders, Worker, bucket, params};

/// Whose bucket is worked on after a cut.
pub const AFTER: u64 = 900;

/// What was found in one store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// What it held.
    pub dump: Dump,
    /// When that was told, by the disk's clock.
    pub told: u64,
}

/// Where the report goes.
pub fn report(orders: &Orders) -> PathBuf {
    orders.journals.join("report")
}

/// Recovers the store, reports, and works on.
pub fn probe(orders: &Orders) -> Result<(), Failure> {
    let store = Backend::open(&params(&orders.store, &orders.sync)?)?;
    sound(&store)?;
    let dump = dump(&store)?;
    let told = Clock::open(&orders.clock)?.now();
    fs::write(report(orders), serde_json::to_vec(&Report { dump: dump.clone(), told })?)?;
    let mut worker = Worker::new(&store, AFTER, orders)?;
    worker.content = dump.bucket(&bucket(AFTER));
    for n in 0..orders.steps {
        worker.change()?;
        if n == orders.steps / 2 {
            store.compact()?;
        }
    }
    let content = std::mem::take(&mut worker.content);
    goes_on(&store, &dump, &content)?;
    drop(worker);
    drop(store);
    let again = Backend::open(&params(&orders.store, &orders.sync)?)?;
    goes_on(&again, &dump, &content)
}

/// Every byte on disk is well.
pub(crate) fn sound(store: &Backend) -> Result<(), Failure> {
    let findings = store.check()?;
    if findings.is_empty() { Ok(()) } else { Err(format!("check says: {findings:?}").into()) }
}

fn dump(store: &Backend) -> Result<Dump, Failure> {
    let items = store.items("", None, 0, true)?.into_iter().map(|item| {
        let value = Value::of(&item.value).ok_or_else(|| format!("wrong bytes in {}", item.name))?;
        Ok((item.name, (value, item.revision)))
    });
    let items = items.collect::<Result<_, Failure>>()?;
    let leases = store.locks()?.into_iter().map(|lease| (lease.token, lease.fence)).collect();
    Ok(Dump { items, leases })
}

/// What was there still is, and so is what was made since.
fn goes_on(store: &Backend, before: &Dump, made: &Content) -> Result<(), Failure> {
    sound(store)?;
    let mut now = dump(store)?;
    if now.part(&bucket(AFTER)).bucket(&bucket(AFTER)) != *made {
        return Err("what was written after the cut isn't there".into());
    }
    let mut before = before.clone();
    before.part(&bucket(AFTER));
    if now == before { Ok(()) } else { Err("work after the cut changed what it did not touch".into()) }
}
