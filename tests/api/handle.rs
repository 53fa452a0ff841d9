//! The handle itself: parameters, closing, reading only, logging, maintenance.

use super::*;
use dirkv::backend::Level;
use dirkv::format::shared;
use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::sync::Mutex;

#[test]
fn the_name_and_the_clock() {
    assert_eq!(Backend::NAME, "dir");
    let b = Store::new();
    assert_eq!(b.now(), 1_000);
    b.set_clock(7);
    assert_eq!(b.now(), 7);
}

#[test]
fn open_needs_a_path_and_makes_the_directory() {
    fails(Backend::open(&Params::new()), Code::BadParameter, "path");
    fails(Backend::open_path(""), Code::BadParameter, "path");
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("a/b");
    let b = Backend::open_path(&deep).unwrap();
    b.upsert("", "k", b"v", 0).unwrap();
    assert_eq!(deep.metadata().unwrap().permissions().mode() & 0o7777, 0o700);
    for entry in deep.read_dir().unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o7777, 0o600);
    }
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    assert!(Backend::open_path(&file).is_err());
    let mut params = Params::new();
    params.set("data_dir", deep.to_str().unwrap()).unwrap();
    assert_eq!(Backend::open(&params).unwrap().get("", "k").unwrap(), b"v");
}

#[test]
fn modes_are_as_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut params = Params::new();
    params.set_path(dir.path().join("s")).unwrap();
    params.set("dir_mode", "0770").unwrap();
    params.set("file_mode", "0660").unwrap();
    let b = Backend::open(&params).unwrap();
    b.upsert("", "k", b"v", 0).unwrap();
    let path = dir.path().join("s");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o770);
    for entry in path.read_dir().unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o7777, 0o660);
    }
}

#[test]
fn what_is_closed_says_so() {
    let b = Store::new();
    b.upsert("a", "k", b"v", 0).unwrap();
    b.close();
    b.close();
    fails(b.get("a", "k"), Code::Closed, "is closed");
    fails(b.upsert("a", "k", b"v", 0), Code::Closed, "is closed");
    fails(b.keys("a", None, 0), Code::Closed, "is closed");
    fails(b.items("a", None, 0, false), Code::Closed, "is closed");
    fails(b.acquire_lock("t", 1, 0), Code::Closed, "is closed");
    fails(b.locks(), Code::Closed, "is closed");
    fails(b.sync(), Code::Closed, "is closed");
    fails(b.compact(), Code::Closed, "is closed");
    fails(b.check(), Code::Closed, "is closed");
    fails(b.stats_json(), Code::Closed, "is closed");
    fails(b.usable(), Code::Closed, "is closed");
    assert_eq!(b.second().get("a", "k").unwrap(), b"v");
}

#[test]
fn a_read_only_handle_reads() {
    let store = Store::new();
    store.upsert("a", "k", b"v", 0).unwrap();
    let fence = store.acquire_lock("t", 100, 0).unwrap();
    let mut params = params(&store.dir, &store.clock);
    params.set("read_only", "true").unwrap();
    let b = Backend::open(&params).unwrap();
    assert_eq!(b.get("a", "k").unwrap(), b"v");
    assert_eq!(b.keys("", None, 0).unwrap().len(), 1);
    assert_eq!(b.locks().unwrap().len(), 1);
    assert_eq!(b.check().unwrap(), [""; 0]);
    for result in [
        b.create("a", "n", b"v", 0),
        b.upsert("a", "k", b"v", 0),
        b.upsert_items("a", &[]),
        b.compare_and_swap("a", "k", b"v", b"v", 0),
        b.put_if_revision("a", "k", b"v", 0, 0),
        b.touch("a", "k", 0),
        b.acquire_lock("u", 1, 0),
    ] {
        fails(result, Code::ReadOnly, "read_only=true");
    }
    for result in [
        b.delete("a", "k"),
        b.delete_if_revision("a", "k", 1),
        b.delete_bucket("", "a"),
        b.release_lock("t", fence),
        b.renew_lock("t", fence, 1),
        b.compact(),
    ] {
        fails(result, Code::ReadOnly, "read_only=true");
    }
    store.upsert("a", "k", b"w", 0).unwrap();
    assert_eq!(b.get("a", "k").unwrap(), b"w", "it sees what others write");
    drop(store.backend);
    assert_eq!(b.get("a", "k").unwrap(), b"w");
}

#[test]
fn read_only_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut params = Params::new();
    params.set("read_only", "true").unwrap();
    params.set_path(dir.path().join("absent")).unwrap();
    fails(Backend::open(&params), Code::NotFound, "absent");
    params.set_path(dir.path()).unwrap();
    fails(Backend::open(&params), Code::NotFound, "there is no store in");
    assert_eq!(dir.path().read_dir().unwrap().count(), 0);
}

/// Only who may write can vouch for what others wrote.
#[test]
fn a_read_only_handle_syncs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut params = Params::new();
    params.set_path(dir.path()).unwrap();
    params.set("sync", "os").unwrap();
    let b = Backend::open(&params).unwrap();
    params.set("read_only", "true").unwrap();
    let reader = Backend::open(&params).unwrap();
    b.upsert("a", "k", b"v", 0).unwrap();
    fails(reader.sync(), Code::ReadOnly, "read_only=true");
    b.sync().unwrap();
    reader.sync().unwrap();
}

#[test]
fn the_sync_mode_stays_that_of_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let mut params = Params::new();
    params.set_path(dir.path()).unwrap();
    params.set("sync", "os").unwrap();
    let b = Backend::open(&params).unwrap();
    b.upsert("a", "k", b"v", 0).unwrap();
    b.sync().unwrap();
    Backend::open_path(dir.path()).unwrap().upsert("a", "k", b"w", 0).unwrap();
    params.set("sync", "full").unwrap();
    fails(Backend::open(&params), Code::Unsupported, "parameter sync is full");
    assert_eq!(b.get("a", "k").unwrap(), b"w");
}

#[test]
fn other_handles_see_every_change_at_once() {
    let store = Store::new();
    let other = store.second();
    for n in 0..100_u32 {
        let (writer, reader) = if n % 2 == 0 { (&store.backend, &other) } else { (&other, &store.backend) };
        let revision = writer.upsert("a", "k", &n.to_le_bytes(), 0).unwrap();
        let seen = reader.get_item("a", "k").unwrap();
        assert_eq!((seen.revision, seen.value), (revision, n.to_le_bytes().to_vec()));
    }
}

#[test]
fn maintenance_changes_nothing_that_is_seen() {
    let store = Store::new();
    for n in 0..500_u32 {
        store.upsert("a", (n % 50).to_string(), &n.to_le_bytes(), if n % 7 == 0 { 10 } else { 0 }).unwrap();
    }
    store.delete("a", "49").unwrap();
    store.set_clock(2_000);
    let before = store.items("", None, 0, true).unwrap();
    store.compact().unwrap();
    assert_eq!(store.items("", None, 0, true).unwrap(), before);
    assert_eq!(store.check().unwrap(), [""; 0]);
    let json = store.stats_json().unwrap();
    assert!(json.starts_with("{\"revision\":") && json.ends_with('}'), "{json}");
    store.close();
    assert_eq!(store.second().items("", None, 0, true).unwrap(), before);
}

#[test]
fn a_logger_is_called_inside_calls_only() {
    let (b, _dir) = plain();
    let seen: Arc<Mutex<Vec<std::thread::ThreadId>>> = Arc::default();
    let into = seen.clone();
    let logger = move |_: Level, text: &str| {
        assert!(!text.is_empty() && !text.contains('\n'));
        into.lock().unwrap().push(std::thread::current().id());
    };
    b.set_logger(Some(Arc::new(logger)), Level::Debug);
    for n in 0..100_u32 {
        b.upsert("a", n.to_string(), &[0; 1000], 0).unwrap();
    }
    b.compact().unwrap();
    b.set_logger(None, Level::Debug);
    let me = std::thread::current().id();
    assert!(!seen.lock().unwrap().is_empty(), "the record of the open waited for a call");
    assert!(seen.lock().unwrap().iter().all(|thread| *thread == me));
}

#[test]
fn counters_add_up_over_handles_and_threads() {
    let (b, dir) = plain();
    let other = Backend::open_path(dir.path()).unwrap();
    b.upsert("c", "n", b"0", 0).unwrap();
    let created = AtomicI64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (b, created) = (if thread % 2 == 0 { &b } else { &other }, &created);
            scope.spawn(move || {
                let mine = b.create("c", "once", b"", 0).is_ok();
                created.fetch_add(i64::from(mine), Ordering::SeqCst);
                let mut done = 0;
                while done < 25 {
                    let now = b.get("c", "n").unwrap();
                    let next = (String::from_utf8(now.clone()).unwrap().parse::<u32>().unwrap() + 1).to_string();
                    match b.compare_and_swap("c", "n", next.as_bytes(), &now, 0) {
                        Ok(_) => done += 1,
                        Err(e) => assert_eq!(e.code, Code::CompareFailed, "{e}"),
                    }
                }
            });
        }
    });
    assert_eq!(b.get("c", "n").unwrap(), b"200");
    assert_eq!(created.into_inner(), 1);
}

#[test]
fn a_forked_child_is_told_and_the_parent_is_unharmed() {
    let (b, dir) = plain();
    b.upsert("a", "k", b"v", 0).unwrap();
    let fence = b.acquire_lock("t", 30_000_000_000, 0).unwrap();
    // SAFETY: the child calls only functions of the handle, which it must be able to, and leaves without cleaning up.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let forked = |result: Result<()>| result.is_err_and(|e| e.code == Code::Forked);
        let mut all = forked(b.get("a", "k").map(drop)) && forked(b.upsert("a", "k", b"w", 0).map(drop));
        all &= forked(b.release_lock("t", fence)) && forked(b.sync()) && forked(b.usable());
        b.close();
        all &= forked(b.usable());
        drop(b);
        // SAFETY: ends the child.
        unsafe { libc::_exit(if all { 0 } else { 1 }) }
    }
    let mut status = -1;
    // SAFETY: waits for that child.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0);
    b.upsert("a", "k", b"w", 0).unwrap();
    assert_eq!(Backend::open_path(dir.path()).unwrap().get("a", "k").unwrap(), b"w");
    b.release_lock("t", fence).unwrap();
}

/// Who opens holds `LOCK` meanwhile, and wakes those who are counted as waiting for it: here one that was killed as it waited. But
/// who may only read can't tell anybody.
#[test]
fn who_opens_wakes_who_waits_for_the_lock_if_it_may_write() {
    let (b, dir) = plain();
    let shared = fs::OpenOptions::new().read(true).write(true).open(dir.path().join("SHARED")).unwrap();
    let unlocked = || {
        let mut word = [0; 8];
        shared.read_exact_at(&mut word, 8 * shared::UNLOCKED as u64).unwrap();
        u64::from_ne_bytes(word)
    };
    shared.write_all_at(&1u64.to_ne_bytes(), 8 * shared::LOCK_WAITERS as u64).unwrap();
    let before = unlocked();
    let mut params = Params::new();
    params.set_path(dir.path()).unwrap();
    params.set("read_only", "true").unwrap();
    let reader = Backend::open(&params).unwrap();
    assert_eq!(unlocked(), before);
    let writer = Backend::open_path(dir.path()).unwrap();
    assert_eq!(unlocked(), before + 1);
    drop((b, reader, writer));
}
