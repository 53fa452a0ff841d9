//! What is compacted when: the rule of sizes, and what comes first while segments keep coming.

use super::*;
use crate::engine::{Config, Decision, Engine, Request, Snapshot, Surroundings};
use crate::files::clock::SystemClock;
use crate::files::prepare;
use crate::format::frame::Body;
use crate::latch::Mutex;
use std::sync::Weak;
use std::time::{Duration, Instant};
use tempfile::TempDir;

struct Append(Option<Body>);

impl Request for Append {
    fn decide(&mut self, _: &Snapshot) -> Result<Decision> {
        Ok(Decision::Append(self.0.take().expect("decided once")))
    }
}

/// A store of small segments that nobody compacts but the test, unless it has a thread for it.
struct Store {
    engine: Arc<Engine>,
    records: Arc<Mutex<Vec<String>>>,
    /// Whether the next version that is copied has the store seal a segment first.
    seals: Arc<Mutex<bool>>,
    dir: TempDir,
}

impl Store {
    fn new() -> Store {
        Store::open(false)
    }

    fn open(background: bool) -> Store {
        Store::in_dir(tempfile::tempdir().unwrap(), background)
    }

    fn in_dir(dir: TempDir, background: bool) -> Store {
        let (records, seals) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(false)));
        let (told, wanted) = (records.clone(), seals.clone());
        let engine = Arc::new_cyclic(|engine: &Weak<Engine>| {
            let engine = engine.clone();
            let around = Surroundings {
                dir: Arc::new(prepare::open_directory(dir.path(), 0o700, 0o600, false).unwrap()),
                clock: Arc::new(SystemClock),
                retain: Arc::new(move |_: &[u8], _| {
                    if std::mem::take(&mut *wanted.lock()) {
                        seal(&engine.upgrade().unwrap());
                    }
                    true
                }),
                log: Arc::new(move |_, text: &str| told.lock().push(text.to_owned())),
            };
            let config = Config {
                sync: None,
                read_only: false,
                segment_size: 64 << 10,
                lock_timeout: Duration::from_secs(30),
                memory_limit: 1 << 20,
                background,
            };
            Engine::open(config, around).unwrap()
        });
        Store { engine, records, seals, dir }
    }

    fn compact(&self, calm: bool) -> bool {
        self.engine.core.compact_in_background(calm, &|| false).unwrap()
    }

    fn tables(&self) -> u64 {
        self.engine.stats().unwrap().tables
    }

    /// How many files of tables there are.
    fn table_files(&self) -> usize {
        let names = std::fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_str().unwrap().starts_with("table-")).count()
    }
}

/// Puts until a segment is full; its keys are its own.
fn seal(engine: &Engine) {
    let before = engine.stats().unwrap();
    for batch in 0.. {
        let mut body = Body::new();
        for number in 0..50 {
            body.put(format!("{:03}-{batch:04}-{number:02}", before.seals).as_bytes(), 0, &[b'v'; 100]);
        }
        engine.commit(Box::new(Append(Some(body)))).unwrap();
        if engine.stats().unwrap().seals > before.seals {
            return;
        }
    }
}

#[test]
fn a_table_is_merged_once_the_newer_ones_are_worth_it() {
    assert_eq!(due(&[]), None);
    assert_eq!(due(&[1]), None, "one table is merged with nothing");
    assert_eq!(due(&[400, 100]), Some(0));
    assert_eq!(due(&[401, 100]), None);
    assert_eq!(due(&[500, 50, 51]), Some(1), "the oldest stays, as it is more than four times the others");
    assert_eq!(due(&[500, 70, 60]), Some(0), "all newer ones count together");
    assert_eq!(due(&[400, 1_000, 100]), Some(0), "a large one between is merged with the older one that asks for it");
    assert_eq!(due(&[9_000, 1_000, 100]), None);
}

#[test]
fn merges_wait_for_calm_or_for_some_tables() {
    let store = Store::new();
    for tables in 1..SOME as u64 {
        seal(&store.engine);
        assert_eq!(store.compact(false), tables > 1, "one table is merged with nothing");
        assert_eq!(store.tables(), tables);
    }
    assert!(!store.compact(true), "nothing is left");
    assert_eq!(store.tables(), 1);
    for _ in 1..SOME {
        seal(&store.engine);
        store.compact(false);
    }
    assert!(store.tables() < SOME as u64 / 2, "{}", store.tables());
    assert_eq!(store.engine.check().unwrap(), [""; 0]);
}

#[test]
fn what_is_sealed_during_a_merge_becomes_a_table_first() {
    let store = Store::new();
    for _ in 0..5 {
        seal(&store.engine);
        store.compact(false);
    }
    assert!(store.engine.stats().unwrap().table_entries > PIECE, "the merge pauses");
    store.records.lock().clear();
    *store.seals.lock() = true;
    assert!(!store.compact(true));
    let records = store.records.lock().clone();
    assert_eq!(records.len(), 2, "{records:?}");
    assert!(records[0].starts_with("compacted 0 tables and 1 segments"), "{records:?}");
    assert!(records[1].starts_with("compacted 5 tables and 0 segments"), "{records:?}");
    assert_eq!(store.tables(), 2, "the new one is less than a quarter of the other");
    assert_eq!(store.engine.check().unwrap(), [""; 0]);
}

#[test]
fn who_closes_gives_up_what_it_has_begun() {
    let store = Store::new();
    for _ in 0..3 {
        seal(&store.engine);
    }
    let looks = std::cell::Cell::new(0);
    let look = |stops| {
        looks.set(looks.get() + 1);
        assert!(looks.get() < 10, "it goes on");
        stops
    };
    assert!(!store.engine.core.compact_in_background(true, &|| look(true)).unwrap());
    assert_eq!((looks.take(), store.tables(), store.table_files()), (1, 0, 0));
    assert!(!store.engine.core.compact_in_background(true, &|| look(false)).unwrap());
    assert_eq!((store.tables(), store.table_files()), (1, 1));
    assert_eq!(looks.get(), store.engine.stats().unwrap().table_entries / PIECE, "it looks now and then");
}

#[test]
fn what_was_left_at_close_is_done_by_the_next_who_opens() {
    let Store { engine, dir, .. } = Store::new();
    seal(&engine);
    drop(engine);
    let store = Store::in_dir(dir, true);
    let begun = Instant::now();
    while store.tables() == 0 || store.engine.stats().unwrap().segments > 1 {
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody does it");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(store.engine.check().unwrap(), [""; 0]);
    let Store { engine, dir, .. } = store;
    drop(engine);
    let store = Store::in_dir(dir, true);
    assert_eq!(Arc::strong_count(&store.engine.core), 1, "a thread without work");
}

#[test]
fn the_thread_begins_with_the_first_work_and_ends_with_the_store() {
    let store = Store::open(true);
    // A thread has the core, too.
    let threads = || Arc::strong_count(&store.engine.core) - 1;
    let mut body = Body::new();
    body.put(b"key", 0, b"value");
    store.engine.commit(Box::new(Append(Some(body)))).unwrap();
    assert_eq!(threads(), 0);
    seal(&store.engine);
    assert_eq!(threads(), 1);
    let core = Arc::downgrade(&store.engine.core);
    drop(store);
    assert!(core.upgrade().is_none());
}
