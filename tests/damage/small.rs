//! A store so small that every byte of it can be damaged in every way: two tables with all that a table may hold, a sealed
//! segment, a live one, the spare one, and its whole past.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dirkv::backend::{NewItem, Params};
use dirkv::engine::{Config, Engine, Surroundings};
use dirkv::format::manifest::{Manifest, SyncMode};
use dirkv::format::position::Position;
use dirkv::format::shared::{APPENDED, COMMITTED, SYNCED};
use dirkv::{Backend, Result};

use crate::memory::{Memory, Still};

/// Smaller than the parameters allow, so that a store of a few frames has all kinds of files.
const SEGMENT: u64 = 1024;
const SECOND: i64 = 1_000_000_000;

/// Value, expiry and revision by path; a lease stands for its fence.
pub type Content = BTreeMap<String, (Vec<u8>, i64, u64)>;

/// How the store ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tail {
    /// With frames each of which knows that the one before is durable.
    Acknowledged,
    /// With frames that no sync has covered: a store with `sync=os`.
    Unsynced,
    /// With one frame that has a segment of its own.
    Large,
}

/// The store and what is known of it.
pub struct Small {
    pub memory: Memory,
    /// What it held after each change, by the end of its frame.
    pub states: BTreeMap<Position, Content>,
    /// Every version that a file ever had.
    pub past: BTreeMap<String, Vec<Vec<u8>>>,
    pub manifest: Manifest,
}

/// Opens a store in memory.
pub fn open(memory: &Memory, read_only: bool) -> Result<Backend> {
    let mut params = Params::new();
    for (name, value) in [("background", "off"), ("read_only", if read_only { "true" } else { "false" })] {
        params.set(name, value).unwrap();
    }
    Backend::open_in(&params, Arc::new(memory.clone()), Arc::new(Still::default()))
}

/// All that a store holds.
pub fn content(store: &Backend) -> Result<Content> {
    let items = store.items("", None, 0, true)?.into_iter();
    let mut content: Content = items.map(|item| (item.name, (item.value, item.expires, item.revision))).collect();
    for lease in store.locks()? {
        content.insert(format!(".locks/{}", lease.token), (Vec::new(), lease.expires, lease.fence));
    }
    Ok(content)
}

/// A store that holds nothing yet.
pub fn created(sync: SyncMode, seed: u64) -> Memory {
    let memory = Memory::seeded(seed << 32);
    let config = Config {
        sync: Some(sync),
        read_only: false,
        segment_size: SEGMENT,
        lock_timeout: Duration::from_secs(1),
        memory_limit: 1 << 20,
        background: false,
    };
    let around = Surroundings {
        dir: Arc::new(memory.clone()),
        clock: Arc::new(Still::default()),
        retain: Arc::new(|_, _| true),
        log: Arc::new(|_, _| ()),
    };
    drop(Engine::open(config, around).unwrap());
    memory
}

impl Small {
    pub fn new(tail: Tail) -> Small {
        Small::seeded(tail, 1)
    }

    /// Another one, made alike from other random numbers.
    pub fn seeded(tail: Tail, seed: u64) -> Small {
        let memory = created(if tail == Tail::Unsynced { SyncMode::Os } else { SyncMode::Full }, seed);
        let manifest = Manifest::decode(&memory.files()["MANIFEST"]).unwrap();
        let mut small = Small { memory, states: BTreeMap::new(), past: BTreeMap::new(), manifest };
        let store = open(&small.memory, false).unwrap();
        small.fill_tables(&store);
        small.fill_log(&store, tail);
        drop(store);
        small.note_files();
        small.manifest = Manifest::decode(&small.memory.files()["MANIFEST"]).unwrap();
        let (tables, segments) = (small.manifest.tables.len(), small.manifest.segments.len());
        assert!(tables == 2 && segments >= 2, "{:?}", small.manifest);
        small
    }

    /// What it holds.
    pub fn now(&self) -> &Content {
        self.states.last_key_value().unwrap().1
    }

    /// The file of the live segment.
    pub fn live(&self) -> String {
        format!("log-{}", self.manifest.live())
    }

    /// What `SHARED` calls durable.
    pub fn durable(&self) -> Position {
        self.word(if self.manifest.sync == SyncMode::Os { SYNCED } else { COMMITTED })
    }

    fn word(&self, word: usize) -> u64 {
        u64::from_ne_bytes(*self.memory.files()["SHARED"][word * 8..].first_chunk().unwrap())
    }

    /// Makes a change and remembers what came of it.
    fn change<R>(&mut self, store: &Backend, change: impl FnOnce(&Backend) -> Result<R>) -> R {
        let result = change(store).unwrap();
        self.states.insert(self.word(APPENDED), content(store).unwrap());
        self.note_files();
        result
    }

    fn note_files(&mut self) {
        for (name, bytes) in self.memory.files() {
            let versions = self.past.entry(name).or_default();
            if versions.last() != Some(&bytes) {
                versions.push(bytes);
            }
        }
    }

    fn put(&mut self, store: &Backend, bucket: &str, key: &str, value: &[u8]) {
        self.change(store, |store| store.upsert(bucket, key, value, 0));
    }

    fn put_batch(&mut self, store: &Backend, bucket: &str, count: usize, value: &[u8]) {
        let keys: Vec<String> = (0..count).map(|n| format!("key {n}")).collect();
        let items: Vec<_> = keys.iter().map(|k| NewItem { key: k.as_bytes(), value, ttl: 9000 * SECOND }).collect();
        self.change(store, |store| store.upsert_items(bucket, &items));
    }

    /// The first table holds values inline and outside, the second one tombstones and a range tombstone too.
    fn fill_tables(&mut self, store: &Backend) {
        self.put(store, "gone", "y", b"in a table that is merged");
        self.change(store, Backend::compact);
        self.put_batch(store, "table/of items", 20, b"first");
        self.put(store, "table", "large", &[7; 4200]);
        self.put(store, "gone", "x", b"deleted with its bucket");
        self.change(store, Backend::compact);
        self.change(store, |store| store.delete("table/of items", "key 3"));
        self.change(store, |store| store.delete_bucket("", "gone"));
        self.put(store, "table", "large", &[8; 4200]);
        for n in 0..40u8 {
            let files = self.memory.files();
            if Manifest::decode(&files["MANIFEST"]).unwrap().tables.len() == 2 {
                return;
            }
            self.put(store, "table", &format!("fill {n}"), &[n; 600]);
        }
        panic!("no writer made a second table");
    }

    /// A sealed segment, and a live one with every kind of operation.
    fn fill_log(&mut self, store: &Backend, tail: Tail) {
        let sealed = |memory: &Memory| Manifest::decode(&memory.files()["MANIFEST"]).unwrap().segments.len() > 1;
        let mut n = 0;
        while !sealed(&self.memory) {
            self.put(store, "sealed", &format!("{n}"), &[n; 150]);
            n += 1;
        }
        self.put(store, "gone again", "x", b"y");
        self.change(store, |store| store.delete_bucket("", "gone again"));
        self.change(store, Backend::sync);
        self.put_batch(store, "tail", 3, b"of a batch");
        self.change(store, |store| store.delete("tail", "key 1"));
        self.change(store, |store| store.acquire_lock("token", 30 * SECOND, 0));
        if tail == Tail::Large {
            self.put(store, "tail", "large", &[9; 1100]);
        } else {
            self.put(store, "tail", "last but one", b"");
            self.put(store, "tail", "last", b"one");
        }
    }
}
