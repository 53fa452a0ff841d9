//! Thousands of opens and closes leave nothing behind: no descriptor, no thread, no map, no memory. In processes of their own, where
//! nobody else opens or allocates anything. `DIRKV_OPENS` says how often (2001, if it doesn't).

#![allow(unsafe_code, reason = "the C ABI, and an allocator that counts")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::{CStr, CString};
use std::fs::File;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

use dirkv::backend::NewItem;
use dirkv::ffi::{backend, batch, error, lists, locks, maintenance, params, reads, writes};
use dirkv::{Backend, Code};
use support::{Child, Part, assert_clean, open, open_with};

/// Bytes that are allocated and not freed.
static LIVE: AtomicI64 = AtomicI64::new(0);

struct Counting;

fn signed(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

// SAFETY: the system's allocator does all the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(signed(layout.size()), SeqCst);
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        LIVE.fetch_sub(signed(layout.size()), SeqCst);
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn child() {
    support::play(&[("rust", rust), ("beside", beside), ("c", c), ("planted", planted)]);
}

/// What a process holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Holds {
    descriptors: usize,
    threads: usize,
    maps_of_the_store: usize,
    allocated: i64,
    resident: u64,
}

/// Memory may grow by so much whatever the number of opens: a byte for each would be more. The test harness allocates, too.
const ALLOCATED_SLACK: i64 = 2_000;
/// The pages that the system's allocator keeps for later are not the library's.
const RESIDENT_SLACK: u64 = 8 << 20;

impl Holds {
    fn now(path: &Path) -> Holds {
        let count = |directory: &str| std::fs::read_dir(directory).unwrap().count();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        let resident: u64 = pages.split(' ').nth(1).unwrap().parse().unwrap();
        let (descriptors, threads) = (count("/proc/self/fd"), count("/proc/self/task"));
        let maps_of_the_store = maps.lines().filter(|line| line.contains(path.to_str().unwrap())).count();
        drop((maps, pages));
        Holds { descriptors, threads, maps_of_the_store, allocated: LIVE.load(SeqCst), resident: resident * 4096 }
    }

    #[track_caller]
    fn assert_no_more_than(&self, before: &Holds) {
        let countable = |holds: &Holds| (holds.descriptors, holds.threads, holds.maps_of_the_store);
        assert_eq!(countable(self), countable(before), "descriptors, threads, maps of the store");
        assert!(self.allocated <= before.allocated + ALLOCATED_SLACK, "memory: {before:?} became {self:?}");
        assert!(self.resident <= before.resident + RESIDENT_SLACK, "resident memory: {before:?} became {self:?}");
    }
}

/// Opens that fail: for want of a store, of the right mode, and of `LOCK`, which another has.
fn failed_open(path: &Path, n: u64) {
    let fails = |settings: &[(&str, &str)], path: &Path, code: Code| {
        let opened = Backend::open(&support::params(path, settings));
        assert_eq!(opened.expect_err("it can't be opened").code, code);
    };
    match n % 3 {
        0 => fails(&[("read_only", "true")], &path.join("absent"), Code::NotFound),
        1 => fails(&[("sync", "full")], path, Code::Unsupported),
        _ => {
            let lock = File::open(path.join("LOCK")).unwrap();
            lock.lock().unwrap();
            fails(&[("lock_timeout", "1ms")], path, Code::Timeout);
        }
    }
}

/// One handle's life, other ones for other numbers.
fn life(path: &Path, n: u64) {
    if n % 10 == 9 {
        return failed_open(path, n / 10);
    }
    let read_only = n % 5 == 4;
    let store = if read_only { open_with(path, &[("read_only", "true")]) } else { open(path) };
    let key = (n % 20).to_string();
    if !read_only {
        store.upsert("values", &key, &n.to_le_bytes(), 0).unwrap();
        assert_eq!(store.create("values", &key, b"", 0).unwrap_err().code, Code::AlreadyExists);
        let items = ["a", "b"].map(|key| NewItem { key: key.as_bytes(), value: b"value", ttl: 0 });
        store.upsert_items("batch", &items).unwrap();
        // Every second lease is left to its end by a handle that closes.
        let fence = store.acquire_lock(n.to_string(), 1_000_000, 0).unwrap();
        if n.is_multiple_of(2) {
            store.release_lock(n.to_string(), fence).unwrap_or_else(|e| assert_eq!(e.code, Code::NotFound, "{e}"));
        }
    }
    assert!(!store.items("", None, 0, true).unwrap().is_empty());
    assert!(store.keys("", None, 0).unwrap().len() <= 3);
    assert_eq!(store.get("values", "absent").unwrap_err().code, Code::NotFound);
    if n.is_multiple_of(50) {
        // Enough for a roll, which starts the background thread.
        for value in 0..3 {
            store.upsert("large", (n % 4).to_string(), &[value; 60_000], 0).unwrap();
        }
    }
    if n % 100 == 50 {
        store.compact().unwrap();
        assert_clean(&store);
    }
    if n.is_multiple_of(3) {
        store.close();
    }
}

fn opens() -> u64 {
    std::env::var("DIRKV_OPENS").map_or(LEAST, |n| n.parse::<u64>().unwrap().max(LEAST))
}

/// Fewer would not show a leak of a byte for each.
const LEAST: u64 = 2_001;
/// So many come before memory is measured: caches fill, and tables of the process grow to their size.
const WARM_UP: u64 = 400;

/// Lives of handles, the only ones of the store, or beside one that stays.
fn lives(path: &Path) {
    let before = Holds::now(path);
    (0..WARM_UP).for_each(|n| life(path, n));
    let warm = Holds::now(path);
    assert_eq!((warm.descriptors, warm.threads), (before.descriptors, before.threads), "while it warmed up");
    (0..opens()).for_each(|n| life(path, n));
    Holds::now(path).assert_no_more_than(&warm);
}

fn rust(part: &Part) {
    lives(&part.path);
    part.report("nothing leaked");
}

fn beside(part: &Part) {
    let before = Holds::now(&part.path);
    let stays = open_with(&part.path, &[("background", "off")]);
    let path = &part.path;
    for n in 0..opens() {
        life(path, n);
    }
    // Once it has looked, it keeps no file that a merge has replaced.
    stays.compact().unwrap();
    let tables = std::fs::read_dir(path).unwrap().count();
    let after = Holds::now(path);
    assert!(after.descriptors <= before.descriptors + tables + 3, "{before:?} became {after:?}, {tables} files");
    assert_eq!((after.threads, after.maps_of_the_store), (before.threads, 1), "threads, maps of the store");
    drop(stays);
    let end = Holds::now(path);
    assert_eq!((end.descriptors, end.maps_of_the_store), (before.descriptors, 0), "descriptors, maps of the store");
    part.report("nothing leaked");
}

/// A call of the C ABI that fails, whose error is looked at and freed.
fn fails(code: Code, call: impl FnOnce(*mut *mut error::dirkv_error) -> i32) {
    let mut err = ptr::null_mut();
    assert_eq!(call(&raw mut err), code as i32);
    // SAFETY: the call filled it; it is given up once.
    unsafe {
        assert!(!CStr::from_ptr(error::dirkv_error_message(err)).is_empty());
        error::dirkv_error_free(err);
    }
}

/// A handle's life through the C ABI, with all that is made and freed.
fn c_life(path: &CStr, n: u64) {
    let (none, key) = (ptr::null_mut(), CString::new((n % 20).to_string()).unwrap());
    // SAFETY: each object is made before it is used, and given up once.
    unsafe {
        let (mut store, made) = (ptr::null_mut(), params::dirkv_params_new());
        assert_eq!(params::dirkv_params_set(made, c"path".as_ptr(), path.as_ptr(), none), 0);
        fails(Code::BadParameter, |err| params::dirkv_params_set(made, c"no".as_ptr(), c"such".as_ptr(), err));
        assert_eq!(backend::dirkv_open(made, &raw mut store, none), 0);
        params::dirkv_params_free(made);
        let mut revision = 0;
        let value = n.to_le_bytes();
        let (bucket, data) = (c"values".as_ptr(), value.as_ptr().cast());
        assert_eq!(writes::dirkv_upsert_val(store, bucket, key.as_ptr(), data, 8, 0, &raw mut revision, none), 0);
        let item = batch::dirkv_item { key: c"item".as_ptr(), val: data, len: 8, ttl: 0 };
        let size = size_of::<batch::dirkv_item>();
        assert_eq!(batch::dirkv_upsert_items(store, bucket, &raw const item, 1, size, &raw mut revision, none), 0);
        let mut buf = reads::dirkv_buf { data: ptr::null_mut(), len: 0 };
        assert_eq!(reads::dirkv_get_val(store, bucket, key.as_ptr(), &raw mut buf, none), 0);
        reads::dirkv_buf_free(&raw mut buf);
        fails(Code::NotFound, |err| reads::dirkv_get_val(store, bucket, c"absent".as_ptr(), &raw mut buf, err));
        assert_eq!(maintenance::dirkv_stats(store, &raw mut buf, none), 0);
        reads::dirkv_buf_free(&raw mut buf);
        let mut list = ptr::null_mut();
        assert_eq!(lists::dirkv_get_items(store, bucket, ptr::null(), 0, 0, &raw mut list, none), 0);
        lists::dirkv_list_free(list);
        let (token, mut fence) = (c"token".as_ptr(), 0);
        assert_eq!(locks::dirkv_acquire_lock(store, token, 1_000_000_000, -1, &raw mut fence, none), 0);
        assert_eq!(locks::dirkv_get_locks(store, &raw mut list, none), 0);
        lists::dirkv_list_free(list);
        fails(Code::CompareFailed, |err| locks::dirkv_release_lock(store, token, fence + 1, err));
        assert_eq!(locks::dirkv_release_lock(store, token, fence, none), 0);
        assert_eq!(backend::dirkv_close(store, none), 0);
        fails(Code::Closed, |err| maintenance::dirkv_compact(store, err));
    }
}

fn c(part: &Part) {
    let path = CString::new(part.path.to_str().unwrap()).unwrap();
    (0..WARM_UP).for_each(|n| c_life(&path, n));
    let warm = Holds::now(&part.path);
    (0..opens()).for_each(|n| c_life(&path, n));
    Holds::now(&part.path).assert_no_more_than(&warm);
    part.report("nothing leaked");
}

/// What this file would say of a leak of each kind.
fn planted(part: &Part) {
    let noticed = |leak: &dyn Fn()| {
        let before = Holds::now(&part.path);
        (0..LEAST).for_each(|_| leak());
        let after = Holds::now(&part.path);
        let noticed = std::panic::catch_unwind(|| after.assert_no_more_than(&before)).is_err();
        part.report(if noticed { "noticed" } else { "unnoticed" });
    };
    noticed(&|| std::mem::forget(Box::new(1_u16)));
    let file = File::open("/dev/null").unwrap();
    let once = std::cell::Cell::new(false);
    noticed(&|| {
        if !once.replace(true) {
            std::mem::forget(file.try_clone().unwrap())
        }
    });
    once.set(false);
    noticed(&|| {
        if !once.replace(true) {
            drop(std::thread::spawn(std::thread::park))
        }
    });
}

#[test]
fn a_planted_leak_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Child::start("planted", dir.path(), &[]).finish(), ["noticed"; 3]);
}

#[track_caller]
fn leaks_nothing(part: &str) {
    // In memory, where there is such a place: each open syncs, and nothing here is about disks.
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let path = dir.path().canonicalize().unwrap();
    drop(open_with(&path, &[("sync", "os")]));
    assert_eq!(Child::start(part, &path, &[]).finish(), ["nothing leaked"]);
    assert_clean(&open(&path));
}

#[test]
fn the_only_handle_leaves_nothing() {
    leaks_nothing("rust");
}

#[test]
fn a_handle_beside_another_leaves_nothing() {
    leaks_nothing("beside");
}

#[test]
fn a_handle_of_the_c_interface_leaves_nothing() {
    leaks_nothing("c");
}
