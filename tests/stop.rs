//! SIGSTOP at any instant: readers never wait; writers wait for a stopped holder of `LOCK` alone, at most their
//! `lock_timeout`, and then nothing of theirs was written. After SIGCONT all goes on.

mod support;

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use dirkv::{Backend, Code};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};
use support::{Child, Part, Watchdog, assert_clean, dump, has, open, open_with, seed, skipped};

#[test]
fn child() {
    support::play(&[("writer", writer), ("compactor", compactor), ("fixed", fixed)]);
}

fn writer(part: &Part) {
    let store = open(&part.path);
    let bucket = part.setting("bucket");
    for n in part.number("first").. {
        store.upsert(bucket, (n % 50).to_string(), &n.to_le_bytes().repeat(100), 0).unwrap();
        part.report(n);
    }
}

fn compactor(part: &Part) {
    let store = open(&part.path);
    loop {
        store.compact().unwrap();
        part.report("compacted");
    }
}

/// Whether somebody holds `LOCK` now.
fn lock_is_held(path: &Path) -> bool {
    let file = File::open(path.join("LOCK")).unwrap();
    flock(&file, FlockOperation::NonBlockingLockExclusive).is_err()
}

/// What a process sees and can do while another is stopped. True if it could write, false if the stopped one holds `LOCK`;
/// anything else would take for ever.
fn look_and_write(path: &Path, readers: &[&Backend], writer: &Backend, n: u64) -> bool {
    let before = readers[0].get("parent", "n").unwrap();
    for reader in readers {
        assert!(!dump(reader).is_empty());
        assert_eq!(reader.get("parent", "n").unwrap(), before);
    }
    loop {
        match writer.upsert("parent", "n", &n.to_le_bytes(), 0) {
            Ok(_) => {
                readers.iter().for_each(|reader| assert_eq!(reader.get("parent", "n").unwrap(), n.to_le_bytes()));
                return true;
            }
            Err(e) => {
                assert_eq!(e.code, Code::Timeout, "{e}");
                readers.iter().for_each(|reader| assert_eq!(reader.get("parent", "n").unwrap(), before, "{e}"));
                // Else it was somebody who runs, on a slow disk.
                if lock_is_held(path) {
                    return false;
                }
            }
        }
    }
}

#[test]
fn stopped_at_random() {
    let _watchdog = Watchdog::new("stopped_at_random");
    let mut rng = fastrand::Rng::with_seed(seed());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let store = open_with(path, &[("lock_timeout", "150ms"), ("background", "off")]);
    let reader = open_with(path, &[("read_only", "true")]);
    store.upsert("parent", "n", &0u64.to_le_bytes(), 0).unwrap();
    let settings = |bucket: &str| [("bucket", bucket.to_owned()), ("first", "0".to_owned())];
    let mut children: Vec<Child> =
        ["a", "b"].map(|bucket| Child::start("writer", path, &settings(bucket))).into_iter().collect();
    children.push(Child::start("compactor", path, &[]));
    children.iter_mut().for_each(|child| drop(child.line()));
    let mut waited = 0;
    for n in 0..60 {
        std::thread::sleep(Duration::from_micros(rng.u64(..8_000)));
        let victim = rng.usize(..children.len());
        children[victim].signal(Signal::STOP);
        // The others may hold LOCK for a moment, one after the other; only the stopped one holds it for long.
        if !look_and_write(path, &[&store, &reader], &store, n) {
            waited += 1;
        }
        children[victim].signal(Signal::CONT);
        children[victim].said();
        children[victim].line();
        let go_on = open(path);
        go_on.upsert("parent", "goes on", &n.to_le_bytes(), 0).unwrap();
    }
    println!("{waited} times the stopped one held LOCK");
    for child in children {
        child.kill();
    }
    assert_clean(&store);
}

const CHANGES: u64 = 30;

fn fixed(part: &Part) {
    part.report(std::process::id());
    let store = open_with(&part.path, &[("background", "off")]);
    for n in 0..CHANGES {
        store.upsert("fixed", n.to_string(), &n.to_le_bytes().repeat(700), 0).unwrap();
        if n == 20 {
            store.compact().unwrap();
        }
    }
    part.report("all done");
}

/// Stops a child at its n-th call; whether it got so far, and whether another could write then.
fn stopped_at(call: &str, n: u32) -> Option<bool> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let log = dir.path().join("strace");
    let store = open_with(&path, &[("lock_timeout", "100ms"), ("background", "off")]);
    let reader = open_with(&path, &[("read_only", "true")]);
    store.upsert("parent", "n", &0u64.to_le_bytes(), 0).unwrap();
    let (inject, trace) = (format!("inject={call}:signal=STOP:when={n}"), format!("trace={call}"));
    let strace = ["strace", "-f", "-qq", "-o", log.to_str().unwrap(), "-e", &trace, "-e", &inject];
    let mut child = Child::spawn("fixed", Child::command_under(&strace, "fixed", &path, &[]));
    let pid = Pid::from_raw(child.line().parse().unwrap()).unwrap();
    let wrote = loop {
        if std::fs::read_to_string(&log).is_ok_and(|text| text.contains("stopped by SIGSTOP")) {
            break Some(look_and_write(&path, &[&store, &reader], &store, 7));
        }
        if child.said().contains(&"all done".to_owned()) {
            break None;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    if wrote.is_some() {
        kill_process(pid, Signal::CONT).unwrap();
        assert_eq!(child.finish(), ["all done"], "{call} {n}");
    }
    let after = open(&path);
    for n in 0..CHANGES {
        assert_eq!(after.get("fixed", n.to_string()).unwrap(), n.to_le_bytes().repeat(700), "{call} {n}");
    }
    store.upsert("parent", "n", &8u64.to_le_bytes(), 0).unwrap();
    assert_eq!(reader.get("parent", "n").unwrap(), 8u64.to_le_bytes());
    assert_clean(&store);
    wrote
}

#[test]
fn stopped_at_the_nth_system_call() {
    let _watchdog = Watchdog::new("stopped_at_the_nth_system_call");
    if !has("strace") {
        return skipped("stopped_at_the_nth_system_call", "needs strace");
    }
    let calls: [(&str, &[u32]); 6] = [
        ("flock", &[1, 2, 3, 4, 5, 6, 12, 30, 50]),
        ("pwrite64", &[1, 2, 3, 9, 16, 20]),
        ("fdatasync", &[1, 2, 3, 9, 12, 20]),
        ("fsync", &[1, 2, 3, 4]),
        ("renameat", &[1, 2, 3]),
        ("unlinkat", &[1, 2, 3]),
    ];
    let (mut wrote, mut waited) = (0, 0);
    for (call, times) in calls {
        for n in times {
            match stopped_at(call, *n) {
                Some(true) => wrote += 1,
                Some(false) => waited += 1,
                None => (),
            }
        }
    }
    println!("stopped: {wrote} times others could write, {waited} times it held LOCK");
    assert!(wrote >= 5 && waited >= 5, "{wrote}, {waited}: are the names of the system calls right?");
}
