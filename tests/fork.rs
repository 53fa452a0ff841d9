//! A child of `fork` must not use its parent's handle: it is told so, whatever it does harms nobody, and it keeps nothing
//! of the parent's locked.

mod support;

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use dirkv::backend::NewItem;
use dirkv::{Backend, Code, Error};
use rustix::process::{Pid, Signal, kill_process};
use support::{Child, Part, Watchdog, assert_clean, dump, has, open, skipped};

/// Seconds after which a child is believed to hang: less than what its parent's watchdog waits.
const CHILD_HANGS: u32 = 100;

#[test]
fn child() {
    support::play(&[
        ("forker", forker),
        ("crowd", crowd),
        ("crowds", crowds),
        ("leaver", leaver),
        ("holder", holder),
        ("executor", executor),
    ]);
}

/// Forks; the child does this and ends without running anything else of this program. A panic is its end too, since it has
/// none of the threads that the parent's stack below may wait for.
fn fork(child: impl FnOnce() -> i32) -> Pid {
    // SAFETY: the allocator of the C library can be used in a child; everything else it does is what is tested here.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: has the kernel end a child that hangs.
        unsafe { libc::alarm(CHILD_HANGS) };
        let code = std::panic::catch_unwind(AssertUnwindSafe(child)).unwrap_or(101);
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(code) };
    }
    Pid::from_raw(pid).expect("fork failed")
}

#[track_caller]
fn assert_ends_well(pid: Pid) {
    let (_, status) = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).unwrap().unwrap();
    assert_eq!(status.exit_status(), Some(0), "the child says so: {status:?}");
}

/// 0 if every call says `FORKED`, else the number of the one that doesn't.
fn every_call_refuses(store: &Backend) -> i32 {
    fn refused<T>(result: Result<T, Error>) -> bool {
        result.is_err_and(|e| e.code == Code::Forked)
    }
    let item = NewItem { key: b"k", value: b"v", ttl: 0 };
    let calls = [
        refused(store.get("a", "b")),
        refused(store.exists("a", "b")),
        refused(store.get_item("a", "b")),
        refused(store.keys("a", None, 0)),
        refused(store.items("a", None, 0, true)),
        refused(store.upsert("a", "b", b"child", 0)),
        refused(store.create("a", "new", b"child", 0)),
        refused(store.upsert_items("a", &[item])),
        refused(store.compare_and_swap("a", "b", b"child", b"parent", 0)),
        refused(store.delete("a", "b")),
        refused(store.delete_bucket("", "a")),
        refused(store.acquire_lock("token", 1_000_000, 0)),
        refused(store.locks()),
        refused(store.sync()),
        refused(store.compact()),
        refused(store.check()),
        refused(store.stats_json()),
    ];
    calls.iter().position(|refused| !refused).map_or(0, |at| i32::try_from(at).unwrap() + 1)
}

fn forker(part: &Part) {
    let store = open(&part.path);
    store.upsert("a", "b", b"parent", 0).unwrap();
    store.upsert("large", "a roll", &[1; 70_000], 0).unwrap();
    assert_ends_well(fork(|| every_call_refuses(&store)));
    // It closes the handle, drops it, and opens its own.
    let twice = open(&part.path);
    let mut taken = Some(store);
    assert_ends_well(fork(|| {
        let inherited = taken.take().unwrap();
        inherited.close();
        drop(inherited);
        let own = open(&part.path);
        own.upsert("a", "child", b"its own", 0).unwrap();
        own.compact().unwrap();
        drop(own);
        every_call_refuses(&twice)
    }));
    let store = taken.unwrap();
    assert_eq!(store.get("a", "child").unwrap(), b"its own");
    for n in 0..50u8 {
        store.upsert("a", n.to_string(), &[n; 3000], 0).unwrap();
        assert_eq!(twice.get("a", n.to_string()).unwrap(), [n; 3000]);
    }
    store.compact().unwrap();
    assert_clean(&store);
    // A child that ends as programs do, with the handle open.
    let pid = fork(|| std::process::exit(0));
    assert_ends_well(pid);
    assert_eq!(store.get("a", "b").unwrap(), b"parent");
    store.upsert("a", "b", b"still", 0).unwrap();
    part.report("all well");
}

#[test]
fn the_child_is_refused_and_the_parent_unharmed() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Child::start("forker", dir.path(), &[]).finish(), ["all well"]);
    let store = open(dir.path());
    assert_eq!(store.get("a", "b").unwrap(), b"still");
    assert_eq!(dump(&store).len(), 53);
    assert_clean(&store);
}

/// Forks while its threads are in the middle of everything.
fn crowd(part: &Part) {
    let store = open(&part.path);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let (store, stop) = (&store, &stop);
            scope.spawn(move || {
                let mut n = 0u64;
                while !stop.load(Ordering::SeqCst) {
                    store.upsert("crowd", format!("{thread} {}", n % 40), &n.to_le_bytes().repeat(200), 0).unwrap();
                    n += 1;
                }
            });
        }
        for round in 0..60 {
            assert_ends_well(fork(|| match store.upsert("a", "b", b"child", 0) {
                Err(e) if e.code == Code::Forked => {
                    match open(&part.path).upsert("children", round.to_string(), b"x", 0) {
                        Ok(_) => 0,
                        Err(_) => 2,
                    }
                }
                _ => 1,
            }));
        }
        stop.store(true, Ordering::SeqCst);
    });
    assert_eq!(store.items("children", None, 0, false).unwrap().len(), 60);
    assert_clean(&store);
    part.report("all well");
}

#[test]
fn forks_in_the_middle_of_everything() {
    let _watchdog = Watchdog::new("forks_in_the_middle_of_everything");
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Child::start("crowd", dir.path(), &[]).finish(), ["all well"]);
}

/// Eight threads write and read until there are enough rounds, and contend for everything that a process has once.
fn contend(store: &Backend, enough: impl Fn(u64) -> bool + Sync) {
    let rounds = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (rounds, enough) = (&rounds, &enough);
            scope.spawn(move || {
                let key = thread.to_string();
                while !enough(rounds.fetch_add(1, Ordering::SeqCst)) {
                    store.upsert("crowd", &key, &[thread; 800], 0).unwrap();
                    assert_eq!(store.get("crowd", &key).unwrap(), [thread; 800]);
                }
            });
        }
    });
}

/// Its threads wait for each other in every way while it forks; so do then those of the child, in a store of its own.
fn crowds(part: &Part) {
    let (store, over) = (open(&part.path), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| contend(&store, |_| over.load(Ordering::SeqCst)));
        let forks = || {
            for _ in 0..20 {
                assert_ends_well(fork(|| {
                    contend(&open(&part.path.join("of the child")), |rounds| rounds >= 50);
                    0
                }));
            }
        };
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(forks));
        over.store(true, Ordering::SeqCst);
        outcome.unwrap();
    });
    assert_clean(&store);
    assert_clean(&open(&part.path.join("of the child")));
    part.report("all well");
}

#[test]
fn a_crowd_forks_crowds() {
    let _watchdog = Watchdog::new("a_crowd_forks_crowds");
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Child::start("crowds", dir.path(), &[]).finish(), ["all well"]);
}

/// Writes without end, while a child of it does nothing but live.
fn leaver(part: &Part) {
    let store = open(&part.path);
    std::thread::scope(|scope| {
        for thread in 0..3u8 {
            let store = &store;
            scope.spawn(move || {
                for n in 0u64.. {
                    store.upsert("left", format!("{thread}"), &n.to_le_bytes().repeat(300), 0).unwrap();
                }
            });
        }
        std::thread::sleep(Duration::from_millis(5));
        let idle = fork(|| {
            std::thread::sleep(Duration::from_secs(60));
            0
        });
        part.report(idle.as_raw_nonzero());
    });
}

#[test]
fn a_child_keeps_nothing_locked_when_its_parent_is_killed() {
    let _watchdog = Watchdog::new("a_child_keeps_nothing_locked_when_its_parent_is_killed");
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for round in 0..15u64 {
        let mut parent = Child::start("leaver", dir.path(), &[]);
        let idle = Pid::from_raw(parent.line().parse().unwrap()).unwrap();
        std::thread::sleep(Duration::from_micros(fastrand::u64(..6_000)));
        parent.signal(Signal::KILL);
        // A TIMEOUT would say that somebody holds LOCK.
        for _ in 0..20 {
            store.upsert("other", "round", &round.to_le_bytes(), 0).unwrap();
        }
        drop(open(dir.path()));
        store.compact().unwrap();
        kill_process(idle, Signal::KILL).unwrap();
        let (_, status) = parent.end();
        assert!(!status.success());
    }
    assert_clean(&store);
}

/// The same by one thread, so that its n-th write is one under `LOCK`.
fn holder(part: &Part) {
    let store = open(&part.path);
    let idle = fork(|| {
        std::thread::sleep(Duration::from_secs(60));
        0
    });
    part.report(std::process::id());
    part.report(idle.as_raw_nonzero());
    for n in 0u64.. {
        store.upsert("held", "n", &n.to_le_bytes(), 0).unwrap();
    }
}

#[test]
fn a_child_keeps_nothing_locked_when_its_parent_is_killed_under_lock() {
    const TEST: &str = "a_child_keeps_nothing_locked_when_its_parent_is_killed_under_lock";
    let _watchdog = Watchdog::new(TEST);
    if !has("strace") {
        return skipped(TEST, "needs strace");
    }
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for n in [20, 21, 30] {
        let inject = format!("inject=pwrite64:signal=KILL:when={n}");
        let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=pwrite64", "-e", &inject];
        let mut parent = Child::spawn("holder", Child::command_under(&strace, "holder", dir.path(), &[]));
        let [pid, idle] = [parent.line(), parent.line()];
        // Killed, and until its child ends perhaps not yet buried.
        let lives = || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
        while lives() {
            std::thread::sleep(Duration::from_millis(1));
        }
        // A TIMEOUT would say that somebody holds LOCK.
        store.upsert("other", "n", b"goes on", 0).unwrap();
        kill_process(Pid::from_raw(idle.parse().unwrap()).unwrap(), Signal::KILL).unwrap();
        let (_, status) = parent.end();
        assert!(!status.success());
    }
    assert_clean(&store);
}

/// Starts another program, which must not inherit any descriptor of the store.
fn executor(part: &Part) {
    let store = open(&part.path);
    store.upsert("a", "b", b"c", 0).unwrap();
    let listed = std::process::Command::new("ls").args(["-l", "/proc/self/fd"]).output().unwrap();
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let path = part.path.to_str().unwrap();
    assert!(listed.status.success() && !text.contains(path), "{text}");
    part.report("all well");
}

#[test]
fn no_descriptor_survives_an_exec() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap();
    assert_eq!(Child::start("executor", &path, &[]).finish(), ["all well"]);
}
