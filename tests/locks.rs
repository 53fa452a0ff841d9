//! Leases between processes: one holder at a time, fences that grow, and nobody who waits for ever for nothing.

mod support;

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use dirkv::{Backend, Code, Error};
use support::{Child, HANGS, Part, Watchdog, assert_clean, open};

#[test]
fn child() {
    support::play(&[("critical", critical), ("holder", holder), ("waiter", waiter)]);
}

const LONG: i64 = 60_000_000_000;
const ROUNDS: u64 = 25;

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().unwrap())
}

#[track_caller]
fn fails<T: std::fmt::Debug>(result: Result<T, Error>, code: Code) -> Error {
    let e = result.expect_err("must fail");
    assert_eq!(e.code, code, "{e}");
    e
}

/// Enters a section in which nobody else may be, as a file that only one can make shows.
fn critical(part: &Part) {
    let store = open(&part.path);
    let inside = part.path.with_file_name("inside");
    part.report("ready");
    part.order();
    for _ in 0..ROUNDS {
        let fence = store.acquire_lock("section", LONG, -1).unwrap();
        let file = std::fs::File::create_new(&inside).expect("another is inside");
        let last = number(&store.get("section", "fence").unwrap());
        assert!(fence > last, "fence {fence} after {last}");
        store.upsert("section", "fence", &fence.to_le_bytes(), 0).unwrap();
        // Not by compare-and-swap: the lock alone protects it.
        let count = number(&store.get("section", "count").unwrap());
        store.upsert("section", "count", &(count + 1).to_le_bytes(), 0).unwrap();
        drop(file);
        std::fs::remove_file(&inside).unwrap();
        store.release_lock("section", fence).unwrap();
    }
}

#[test]
fn eight_processes_exclude_each_other() {
    let _watchdog = Watchdog::new("eight_processes_exclude_each_other");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = open(&path);
    for key in ["fence", "count"] {
        store.upsert("section", key, &0u64.to_le_bytes(), 0).unwrap();
    }
    let mut children: Vec<_> = (0..8).map(|_| Child::start("critical", &path, &[])).collect();
    children.iter_mut().for_each(|child| child.expect("ready"));
    children.iter_mut().for_each(|child| child.order("go"));
    children.into_iter().for_each(|child| drop(child.finish()));
    assert_eq!(number(&store.get("section", "count").unwrap()), 8 * ROUNDS);
    assert!(store.locks().unwrap().is_empty());
    assert_clean(&store);
}

/// Holds a lease until it is told otherwise.
fn holder(part: &Part) {
    let store = open(&part.path);
    let fence = store.acquire_lock("lease", part.number("ttl").cast_signed(), -1).unwrap();
    part.report(fence);
    while let Some(order) = part.order() {
        let answer = match order.as_str() {
            "release" => store.release_lock("lease", fence),
            "renew" => store.renew_lock("lease", fence, LONG),
            other => panic!("{other}"),
        };
        part.report(answer.map_or_else(|e| e.code.name(), |()| "OK"));
    }
}

fn waiter(part: &Part) {
    let store = open(&part.path);
    part.report("ready");
    part.order();
    part.report("waiting");
    // Far beyond the time after which a test is said to hang: who waits for its limit fails it.
    let limit = i64::try_from(HANGS.as_nanos()).unwrap() * 10;
    match store.acquire_lock("lease", LONG, limit) {
        Ok(fence) => part.report(fence),
        Err(e) => part.report(e),
    }
}

fn start_holder(path: &Path, ttl: i64) -> (Child, u64) {
    let mut child = Child::start("holder", path, &[("ttl", ttl.to_string())]);
    let fence = child.line().parse().unwrap();
    (child, fence)
}

fn start_waiter(path: &Path) -> Child {
    let mut child = Child::start("waiter", path, &[]);
    child.expect("ready");
    child.order("go");
    child.expect("waiting");
    child
}

#[track_caller]
fn fence(child: &mut Child) -> u64 {
    let line = child.line();
    line.parse().unwrap_or_else(|_| panic!("no fence: {line}"))
}

#[test]
fn a_release_wakes_a_waiter_in_another_process() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut last = 0;
    for round in 0..6 {
        let (mut holder, first) = start_holder(dir.path(), LONG);
        assert!(first > last);
        let mut waiter = start_waiter(dir.path());
        thread::sleep(Duration::from_millis(20));
        let held = store.locks().unwrap();
        assert_eq!((held.len(), held[0].fence, held[0].pid), (1, first, holder.id()));
        assert_eq!(waiter.said(), Vec::<String>::new(), "two at once");
        if round % 2 == 0 {
            holder.order("release");
            holder.expect("OK");
        } else {
            // By force, from a third process.
            store.release_lock("lease", 0).unwrap();
        }
        let second = fence(&mut waiter);
        assert!(second > first);
        holder.order("renew");
        holder.expect("LOCK_LOST");
        holder.order("release");
        holder.expect("COMPARE_FAILED");
        waiter.finish();
        holder.finish();
        // Whoever holds a lease and ends, holds it still.
        assert_eq!(store.locks().unwrap()[0].fence, second);
        fails(store.release_lock("lease", first), Code::CompareFailed);
        store.release_lock("lease", second).unwrap();
        fails(store.release_lock("lease", second), Code::NotFound);
        fails(store.release_lock("lease", 0), Code::NotFound);
        last = second;
    }
}

#[test]
fn expiry_frees_a_killed_holders_lease() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (holder, first) = start_holder(dir.path(), 1_000_000_000);
    let mut waiter = start_waiter(dir.path());
    holder.kill();
    let second = fence(&mut waiter);
    assert!(second > first);
    fails(store.renew_lock("lease", first, LONG), Code::LockLost);
    assert_eq!(store.locks().unwrap().len(), 1);
    waiter.finish();
}

#[test]
fn a_renewed_lease_lasts_and_a_limit_ends_a_wait() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (mut holder, first) = start_holder(dir.path(), 20_000_000_000);
    holder.order("renew");
    holder.expect("OK");
    let e = fails(store.acquire_lock("lease", LONG, 50_000_000), Code::Timeout);
    assert!(e.message.contains("lease") && e.message.contains(&holder.id().to_string()), "{e}");
    fails(store.acquire_lock("lease", LONG, 0), Code::Timeout);
    let held = &store.locks().unwrap()[0];
    assert_eq!(held.fence, first, "a renewal keeps the fence");
    assert!(held.expires > store.now() + 30_000_000_000, "it lasts from the renewal on");
    holder.order("release");
    holder.expect("OK");
    assert!(store.acquire_lock("lease", LONG, 0).unwrap() > first);
}

#[test]
fn fences_grow_through_merges_and_recoveries() {
    let dir = tempfile::tempdir().unwrap();
    let mut last = 0;
    for round in 0..12 {
        let store = open(dir.path());
        let fence = store.acquire_lock("grows", LONG, 0).unwrap();
        assert!(fence > last, "{fence} after {last}");
        last = fence;
        store.release_lock("grows", fence).unwrap();
        if round % 3 == 0 {
            store.compact().unwrap();
        }
        if round % 4 == 0 {
            store.upsert("other", "key", &[1; 70_000], 0).unwrap();
        }
    }
}

/// Threads that wait for a lease through one handle.
fn waiting(store: &Arc<Backend>, count: usize) -> Vec<thread::JoinHandle<Result<u64, Error>>> {
    (0..count)
        .map(|_| {
            let store = store.clone();
            thread::spawn(move || store.acquire_lock("closed", LONG, -1))
        })
        .collect()
}

#[test]
fn close_wakes_waiters() {
    let _watchdog = Watchdog::new("close_wakes_waiters");
    let dir = tempfile::tempdir().unwrap();
    let other = open(dir.path());
    let fence = other.acquire_lock("closed", LONG, 0).unwrap();
    for pause in [0, 1, 30] {
        let store = Arc::new(open(dir.path()));
        let threads = waiting(&store, 4);
        thread::sleep(Duration::from_millis(pause));
        store.close();
        for thread in threads {
            fails(thread.join().unwrap(), Code::Closed);
        }
        fails(store.get("a", "b"), Code::Closed);
    }
    assert_eq!(other.locks().unwrap()[0].fence, fence, "nobody else's lease is touched");
}

#[test]
fn many_tokens_at_once() {
    let _watchdog = Watchdog::new("many_tokens_at_once");
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    thread::scope(|scope| {
        for worker in 0..8 {
            let store = &store;
            scope.spawn(move || {
                for round in 0..20 {
                    let token = format!("token {}", (worker + round) % 4);
                    let fence = store.acquire_lock(&token, LONG, -1).unwrap();
                    assert!(store.locks().unwrap().iter().any(|l| l.token == token && l.fence == fence));
                    store.release_lock(&token, fence).unwrap();
                }
            });
        }
    });
    assert!(store.locks().unwrap().is_empty());
}
