//! Whoever waits, for a lease or for `LOCK`, sleeps: it looks again some times a second at most.

mod support;

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use support::{Child, Part, Watchdog, has, open, skipped};

const LONG: i64 = 60_000_000_000;
/// So long somebody else holds what is waited for.
const HELD: Duration = Duration::from_millis(500);

#[test]
fn child() {
    support::play(&[("waiter", waiter)]);
}

fn waiter(part: &Part) {
    let store = open(&part.path);
    part.report("opened");
    part.order();
    match part.setting("for") {
        "lease" => drop(store.acquire_lock("lease", LONG, -1).unwrap()),
        "nobody" => {
            for n in 0..20_u8 {
                store.upsert("", n.to_string(), b"value", 0).unwrap();
            }
        }
        _ => drop(store.upsert("", "key", b"value", 0).unwrap()),
    }
    part.report("done");
}

/// A process that is about to wait, and all of its futexes and locks since it began.
fn start(path: &Path, what: &str) -> Child {
    let log = path.with_file_name("calls");
    let strace = ["strace", "-f", "-qq", "-o", log.to_str().unwrap(), "-e", "trace=futex,flock"];
    let mut child = Child::spawn(what, Child::command_under(&strace, "waiter", path, &[("for", what.to_owned())]));
    child.expect("opened");
    child
}

/// Lets it wait until `free` gives it what it waits for; how many calls it made, and how many of them were sleeps
/// on a word of the shared page: a wait within the process says so (`_PRIVATE`).
fn wait(mut child: Child, path: &Path, free: impl FnOnce()) -> (usize, usize) {
    child.order("go");
    std::thread::sleep(HELD);
    free();
    child.expect("done");
    child.finish();
    let calls = std::fs::read_to_string(path.with_file_name("calls")).unwrap();
    (calls.lines().count(), calls.lines().filter(|call| call.contains("FUTEX_WAIT,")).count())
}

#[test]
fn who_waits_for_a_lease_sleeps() {
    const TEST: &str = "who_waits_for_a_lease_sleeps";
    if !has("strace") {
        return skipped(TEST, "needs strace");
    }
    let _watchdog = Watchdog::new(TEST);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = open(&path);
    // So that the word by which waiters are woken isn't one of the first numbers any more.
    for _ in 0..3 {
        store.release_lock("lease", store.acquire_lock("lease", LONG, 0).unwrap()).unwrap();
    }
    let fence = store.acquire_lock("lease", LONG, 0).unwrap();
    let (calls, sleeps) = wait(start(&path, "lease"), &path, || store.release_lock("lease", fence).unwrap());
    assert!(calls < 100 && sleeps > 3, "{calls} calls, {sleeps} of them sleeps");
}

/// The kernel frees the lock of who dies and wakes nobody, so a waiter looks every few milliseconds.
#[test]
fn who_waits_for_the_lock_of_the_store_sleeps() {
    const TEST: &str = "who_waits_for_the_lock_of_the_store_sleeps";
    if !has("strace") {
        return skipped(TEST, "needs strace");
    }
    let _watchdog = Watchdog::new(TEST);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    drop(open(&path));
    let child = start(&path, "LOCK");
    let lock = File::open(path.join("LOCK")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let (calls, sleeps) = wait(child, &path, || flock(&lock, FlockOperation::Unlock).unwrap());
    assert!(calls < 1_000 && sleeps > 0, "{calls} calls, {sleeps} of them sleeps");
}

#[test]
fn who_commits_alone_waits_for_nobody() {
    const TEST: &str = "who_commits_alone_waits_for_nobody";
    if !has("strace") {
        return skipped(TEST, "needs strace");
    }
    let _watchdog = Watchdog::new(TEST);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let (calls, sleeps) = wait(start(&path, "nobody"), &path, || ());
    // Each of its commits takes LOCK and gives it back, which shows that its calls are seen.
    assert!(calls >= 40 && sleeps == 0, "{calls} calls, {sleeps} of them sleeps");
}
