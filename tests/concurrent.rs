//! Many processes and threads at once: sums are exact, a create succeeds once, and nobody sees a part of a batch or of a
//! moment.

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use dirkv::backend::NewItem;
use dirkv::{Backend, Code};
use support::{Child, Part, assert_clean, open, open_with};

const PROCESSES: usize = 8;
const THREADS: usize = 4;

#[test]
fn child() {
    support::play(&[
        ("increments", increments),
        ("creates", creates),
        ("batches", batches),
        ("onlooker", onlooker),
        ("moves", moves),
        ("lister", lister),
    ]);
}

/// Runs `f` in so many threads, each with its number. Each is joined, which is what ThreadSanitizer knows the end of a thread by.
fn in_threads(count: usize, f: impl Fn(usize) + Sync) {
    thread::scope(|scope| {
        let f = &f;
        let threads: Vec<_> = (0..count).map(|n| scope.spawn(move || f(n))).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// Starts a part so often, and lets all begin at once when all are ready.
#[track_caller]
fn start_together(part: &str, count: usize, path: &Path) -> Vec<Child> {
    let mut children: Vec<_> = (0..count).map(|n| Child::start(part, path, &[("number", n.to_string())])).collect();
    children.iter_mut().for_each(|child| child.expect("ready"));
    children.iter_mut().for_each(|child| child.order("go"));
    children
}

/// The same, and returns what each said.
#[track_caller]
fn all_at_once(part: &str, count: usize, path: &Path) -> Vec<Vec<String>> {
    start_together(part, count, path).into_iter().map(Child::finish).collect()
}

/// Starts four of `writers` beside two of `lookers`, and lets nobody end before each looker has seen what it waits for.
#[track_caller]
fn watched(writers: &str, lookers: &str, path: &Path) {
    let mut lookers: Vec<_> = (0..2).map(|_| Child::start(lookers, path, &[])).collect();
    lookers.iter_mut().for_each(|child| child.expect("ready"));
    let mut writers = start_together(writers, 4, path);
    lookers.iter_mut().for_each(|child| child.expect("seen"));
    for child in writers.iter_mut().chain(&mut lookers) {
        child.order("enough");
    }
    writers.into_iter().chain(lookers).for_each(|child| drop(child.finish()));
}

/// Calls `f` with 0, 1, ... at least so often, and until the parent has seen enough.
fn until_enough(part: &Part, least: u64, f: impl FnMut(u64)) {
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        let listener = scope.spawn(|| {
            part.order();
            enough.store(true, Ordering::SeqCst);
        });
        (0..).take_while(|n| *n < least || !enough.load(Ordering::SeqCst)).for_each(f);
        listener.join().unwrap();
    });
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().unwrap())
}

const INCREMENTS: u64 = 60;

fn increments(part: &Part) {
    let store = open(&part.path);
    part.report("ready");
    part.order();
    in_threads(THREADS, |_| {
        for _ in 0..INCREMENTS {
            loop {
                let old = store.get("sums", "counter").unwrap();
                let new = (number(&old) + 1).to_le_bytes();
                match store.compare_and_swap("sums", "counter", &new, &old, 0) {
                    Ok(_) => break,
                    Err(e) => assert_eq!(e.code, Code::CompareFailed, "{e}"),
                }
            }
            loop {
                let item = store.get_item("sums", "by revision").unwrap();
                let new = (number(&item.value) + 1).to_le_bytes();
                match store.put_if_revision("sums", "by revision", &new, item.revision, 0) {
                    Ok(revision) => {
                        assert!(revision > item.revision);
                        break;
                    }
                    Err(e) => assert_eq!(e.code, Code::CompareFailed, "{e}"),
                }
            }
        }
    });
}

fn increments_add_up(settings: &[(&str, &str)]) {
    let dir = tempfile::tempdir().unwrap();
    let store = open_with(dir.path(), settings);
    for counter in ["counter", "by revision"] {
        store.upsert("sums", counter, &0u64.to_le_bytes(), 0).unwrap();
    }
    all_at_once("increments", PROCESSES, dir.path());
    let total = INCREMENTS * (PROCESSES * THREADS) as u64;
    for counter in ["counter", "by revision"] {
        assert_eq!(number(&store.get("sums", counter).unwrap()), total, "{counter}");
    }
    store.compact().unwrap();
    assert_clean(&store);
    assert_eq!(number(&store.get("sums", "counter").unwrap()), total);
}

#[test]
fn increments_add_up_durably() {
    increments_add_up(&[]);
}

#[test]
fn increments_add_up_with_sync_os() {
    increments_add_up(&[("sync", "os")]);
}

const CREATES: u32 = 150;

fn creates(part: &Part) {
    let store = open(&part.path);
    part.report("ready");
    part.order();
    in_threads(THREADS, |_| {
        for n in 0..CREATES {
            match store.create("once", n.to_string(), b"x", 0) {
                Ok(revision) => {
                    assert_eq!(store.get_item("once", n.to_string()).unwrap().revision, revision);
                    part.report(n);
                }
                Err(e) => {
                    assert_eq!(e.code, Code::AlreadyExists, "{e}");
                    // Who is told of a value sees it.
                    assert!(store.exists("once", n.to_string()).unwrap());
                }
            }
        }
    });
}

#[test]
fn a_create_succeeds_exactly_once() {
    let dir = tempfile::tempdir().unwrap();
    let said = all_at_once("creates", PROCESSES, dir.path());
    let mut made: Vec<u32> = said.iter().flatten().map(|line| line.parse().unwrap()).collect();
    made.sort_unstable();
    assert_eq!(made, (0..CREATES).collect::<Vec<_>>());
    assert_clean(&open(dir.path()));
}

/// Writes the same number under many keys, as one batch each time.
fn batches(part: &Part) {
    let store = open(&part.path);
    let mine = part.number("number") << 32;
    part.report("ready");
    part.order();
    until_enough(part, 120, |n| {
        let value = (mine | n).to_le_bytes().repeat(8);
        let keys: Vec<String> = (0..50).map(|i| format!("{i:02}")).collect();
        let items: Vec<_> = keys.iter().map(|k| NewItem { key: k.as_bytes(), value: &value, ttl: 0 }).collect();
        store.upsert_items("batch", &items).unwrap();
        if n % 20 == 19 {
            store.delete_bucket("", "batch").unwrap_or_else(|e| assert_eq!(e.code, Code::NotFound, "{e}"));
        }
    });
}

fn onlooker(part: &Part) {
    let store = open_with(&part.path, &[("read_only", "true")]);
    part.report("ready");
    let mut newest = 0;
    until_enough(part, 1, |_| {
        let items = store.items("batch", None, 0, false).unwrap();
        assert!(items.is_empty() || items.len() == 50, "{} items of a batch", items.len());
        assert!(items.iter().all(|i| i.value == items[0].value && i.revision == items[0].revision));
        if let Some(first) = items.first() {
            assert!(first.revision >= newest, "time went backwards");
            if newest == 0 {
                part.report("seen");
            }
            newest = first.revision;
        }
    });
}

#[test]
fn batches_are_never_seen_in_part() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    watched("batches", "onlooker", dir.path());
    assert_clean(&open(dir.path()));
}

const ACCOUNTS: u64 = 40;

/// Moves units between accounts in several buckets, two accounts a batch: the sum of every moment is the same.
fn moves(part: &Part) {
    let store = open(&part.path);
    let me = part.number("number");
    let mut rng = fastrand::Rng::with_seed(me);
    part.report("ready");
    part.order();
    // Each writer has accounts of its own, so that a batch needs no condition.
    let bucket = format!("accounts/{me}/of/it");
    let mut held = vec![100u64; usize::try_from(ACCOUNTS).unwrap()];
    until_enough(part, 300, |_| {
        let (from, to) = (rng.usize(..held.len()), rng.usize(..held.len()));
        if from == to || held[from] == 0 {
            return;
        }
        (held[from], held[to]) = (held[from] - 1, held[to] + 1);
        let (a, b) = (from.to_string(), to.to_string());
        let (x, y) = (held[from].to_le_bytes(), held[to].to_le_bytes());
        let items =
            [NewItem { key: a.as_bytes(), value: &x, ttl: 0 }, NewItem { key: b.as_bytes(), value: &y, ttl: 0 }];
        store.upsert_items(&bucket, &items).unwrap();
    });
}

fn lister(part: &Part) {
    let store = open(&part.path);
    part.report("ready");
    let mut moments = BTreeSet::new();
    until_enough(part, 1, |_| {
        let items = store.items("accounts", None, 0, true).unwrap();
        let sum: u64 = items.iter().map(|i| number(&i.value)).sum();
        assert_eq!((items.len() as u64, sum), (4 * ACCOUNTS, 4 * ACCOUNTS * 100), "not one moment");
        if moments.insert(items.iter().map(|i| i.revision).max()) && moments.len() == 2 {
            part.report("seen");
        }
    });
}

#[test]
fn a_recursive_listing_is_one_cut_while_four_write() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for writer in 0..4 {
        let keys: Vec<String> = (0..ACCOUNTS).map(|n| n.to_string()).collect();
        let value = 100u64.to_le_bytes();
        let items: Vec<_> = keys.iter().map(|k| NewItem { key: k.as_bytes(), value: &value, ttl: 0 }).collect();
        store.upsert_items(format!("accounts/{writer}/of/it"), &items).unwrap();
    }
    watched("moves", "lister", dir.path());
}

#[test]
fn one_process_with_two_handles() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (open(dir.path()), open(dir.path()));
    let sum = |store: &Backend| store.get("sums", "counter").map(|value| number(&value)).unwrap();
    one.create("sums", "counter", &0u64.to_le_bytes(), 0).unwrap();
    in_threads(4, |n| {
        let store = if n % 2 == 0 { &one } else { &two };
        for _ in 0..100 {
            loop {
                let old = store.get("sums", "counter").unwrap();
                let new = (number(&old) + 1).to_le_bytes();
                if store.compare_and_swap("sums", "counter", &new, &old, 0).is_ok() {
                    break;
                }
            }
        }
    });
    assert_eq!((sum(&one), sum(&two)), (400, 400));
    one.compact().unwrap();
    drop(one);
    two.upsert("sums", "counter", &401u64.to_le_bytes(), 0).unwrap();
    assert_eq!(sum(&two), 401);
    drop(two);
    assert_eq!(sum(&open(dir.path())), 401);
}
