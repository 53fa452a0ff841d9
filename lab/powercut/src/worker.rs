//! Who works on the mounted filesystem: a process of its own with a thread for each bucket. It changes its bucket, contends
//! for keys and locks with all others, looks at what the others have, and writes down what it heard.

use std::error::Error;
use std::path::{Path, PathBuf};

use dirkv::backend::{NewItem, Params};
use dirkv::{Backend, Code};
use fastrand::Rng;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::journal::{Change, Content, Event, Journal, Value, print};
use crate::meddler;

/// What went wrong in a process of the lab.
pub type Failure = Box<dyn Error + Send + Sync>;

/// A lease outlasts every test.
const LEASE: i64 = 3_600_000_000_000;
/// The bucket of the keys for which all contend.
pub const SHARED: &str = "shared";

/// What a process is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Orders {
    /// The store's directory.
    pub store: PathBuf,
    /// Its mode: `full` or `os`.
    pub sync: String,
    /// The buckets to work on, a thread each.
    pub ids: Vec<u64>,
    /// Those of everybody who ever works on this store.
    pub everybody: Vec<u64>,
    /// How many steps each takes.
    pub steps: u64,
    /// Where random choices begin.
    pub seed: u64,
    /// Whether another program syncs the filesystem at bad instants.
    pub meddled: bool,
    /// The disk's clock.
    pub clock: PathBuf,
    /// Where the journals are kept.
    pub journals: PathBuf,
}

/// The journal of a worker.
pub fn journal(folder: &Path, id: u64) -> PathBuf {
    folder.join(format!("journal-{id}"))
}

/// How all processes of the lab open a store: with small segments, so that rolls, seals and merges come often.
pub fn params(store: &Path, sync: &str) -> dirkv::Result<Params> {
    let mut params = Params::new();
    params.set_path(store)?;
    params.set("sync", sync)?;
    params.set("segment_size", "64KiB")?;
    params.set("max_lock_ttl", "1h")?;
    Ok(params)
}

/// Does it; the process then ends without closing anything, as a killed one does.
pub fn work(orders: &Orders) -> Result<(), Failure> {
    let params = params(&orders.store, &orders.sync)?;
    let store = if orders.meddled { meddler::open(&orders.store, &params)? } else { Backend::open(&params)? };
    std::thread::scope(|scope| {
        let threads = orders.ids.iter().map(|id| {
            let store = &store;
            scope.spawn(move || {
                let mut worker = Worker::new(store, *id, orders)?;
                (0..orders.steps).try_for_each(|_| worker.step())
            })
        });
        let threads: Vec<_> = threads.collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a thread panicked")?)
    })?;
    std::mem::forget(store);
    Ok(())
}

/// One thread's work.
pub struct Worker<'a> {
    store: &'a Backend,
    orders: &'a Orders,
    id: u64,
    clock: Clock,
    journal: Journal,
    rng: Rng,
    steps: u64,
    /// What its bucket holds.
    pub content: Content,
    /// The lock that it holds.
    lease: Option<(String, u64)>,
}

impl<'a> Worker<'a> {
    /// A new one.
    pub fn new(store: &'a Backend, id: u64, orders: &'a Orders) -> Result<Worker<'a>, Failure> {
        Ok(Worker {
            store,
            orders,
            id,
            clock: Clock::open(&orders.clock)?,
            journal: Journal::open(&journal(&orders.journals, id))?,
            rng: Rng::with_seed(orders.seed ^ id << 32),
            steps: 0,
            content: Content::new(),
            lease: None,
        })
    }

    /// Does one thing.
    pub fn step(&mut self) -> Result<(), Failure> {
        self.steps += 1;
        match self.rng.u32(..100) {
            0..56 => self.change(),
            56..72 => self.contend(),
            72..85 => self.look(),
            85..93 => self.lock(),
            93..96 => Ok(self.store.compact()?),
            _ => self.sync(),
        }
    }

    /// Changes its own bucket.
    pub fn change(&mut self) -> Result<(), Failure> {
        let change = self.choose();
        let bucket = bucket(self.id);
        self.note(Event::Begin(change.clone()))?;
        let outcome = match &change {
            Change::Put(key, value) => self.store.upsert(&bucket, key, &value.bytes(), 0).map(Some),
            Change::Batch(items) => {
                let values: Vec<_> = items.iter().map(|(key, value)| (key, value.bytes())).collect();
                let items = values.iter().map(|(key, value)| NewItem { key: key.as_bytes(), value, ttl: 0 });
                self.store.upsert_items(format!("{bucket}/batch"), &items.collect::<Vec<_>>()).map(Some)
            }
            Change::Delete(key) => self.store.delete(&bucket, key).map(|()| None),
            Change::Clear => self.store.delete_bucket("", &bucket).map(|()| None),
        };
        let revision = match outcome {
            // What is absent is deleted already.
            Err(e) if e.code == Code::NotFound && matches!(change, Change::Delete(_) | Change::Clear) => None,
            outcome => outcome?,
        };
        self.note(Event::Done { revision })?;
        change.apply(&mut self.content);
        Ok(())
    }

    fn choose(&mut self) -> Change {
        let key = format!("k{:02}", self.rng.u32(..24));
        match self.rng.u32(..100) {
            // A frame larger than a segment, once in a while; a value that a table keeps apart; a small one.
            0..1 => Change::Put(key, self.value(100_000..110_000)),
            1..8 => Change::Put(key, self.value(4_000..20_000)),
            8..50 => Change::Put(key, self.value(Value::LEAST..400)),
            // Over several sectors.
            50..78 => {
                let items = (0..self.rng.u32(2..24)).map(|n| (format!("b{n:02}"), self.value(40..300)));
                Change::Batch(items.collect())
            }
            78..98 => Change::Delete(key),
            _ => Change::Clear,
        }
    }

    /// One that was never there.
    fn value(&mut self, len: std::ops::Range<usize>) -> Value {
        let tag = self.id << 40 | self.steps << 16 | self.rng.u64(..1 << 16);
        Value { tag, len: self.rng.usize(len) }
    }

    /// Changes what others change, too, under a condition.
    fn contend(&mut self) -> Result<(), Failure> {
        let key = format!("s{}", self.rng.u32(..3));
        let value = self.value(Value::LEAST..600);
        let known = match self.store.get_item(SHARED, &key) {
            Ok(item) => Some((item.revision, item.value)),
            Err(e) if e.code == Code::NotFound => None,
            Err(e) => return Err(e.into()),
        };
        let revision = known.as_ref().map_or(0, |(revision, _)| *revision);
        if revision > 0 {
            self.note(Event::Saw { revision })?;
        }
        self.note(Event::Offer { key: key.clone(), value })?;
        let (bytes, choice) = (value.bytes(), self.rng.u32(..4));
        let (known, outcome) = match (choice, &known) {
            (0, _) => (0, self.store.create(SHARED, &key, &bytes, 0)),
            (1, _) => (0, self.store.upsert(SHARED, &key, &bytes, 0)),
            (2, Some((_, there))) => (revision, self.store.compare_and_swap(SHARED, &key, &bytes, there, 0)),
            _ => (revision, self.store.put_if_revision(SHARED, &key, &bytes, revision, 0)),
        };
        match outcome {
            Ok(revision) => self.note(Event::Taken { revision }),
            Err(e) if matches!(e.code, Code::AlreadyExists | Code::CompareFailed) => {
                self.note(Event::Refused { known })
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Looks at somebody's bucket.
    fn look(&mut self) -> Result<(), Failure> {
        let whose = *self.rng.choice(&self.orders.everybody).expect("somebody works");
        let items = self.store.items(bucket(whose), None, 0, true)?;
        let content = items.into_iter().map(|item| {
            let value = Value::of(&item.value).ok_or_else(|| format!("read wrong bytes: w{whose}/{}", item.name))?;
            Ok((item.name, value))
        });
        let print = print(&content.collect::<Result<Content, Failure>>()?);
        self.note(Event::Listed { whose, print })
    }

    /// Takes a lock, or frees the one that it has.
    fn lock(&mut self) -> Result<(), Failure> {
        if let Some((token, fence)) = self.lease.take() {
            if self.rng.u32(..3) == 0 {
                self.store.renew_lock(&token, fence, LEASE)?;
                self.lease = Some((token, fence));
                return Ok(());
            }
            self.note(Event::Release { fence })?;
            self.store.release_lock(&token, fence)?;
            return self.note(Event::Released { fence });
        }
        let token = format!("l{}", self.rng.u32(..8));
        self.note(Event::Acquire { token: token.clone() })?;
        match self.store.acquire_lock(&token, LEASE, 0) {
            Ok(fence) => {
                self.lease = Some((token, fence));
                self.note(Event::Acquired { fence })
            }
            Err(e) if e.code == Code::Timeout => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    fn sync(&mut self) -> Result<(), Failure> {
        self.store.sync()?;
        self.note(Event::Synced)
    }

    /// For all who come after: what was begun is told before it begins, what was heard after.
    fn note(&mut self, event: Event) -> Result<(), Failure> {
        Ok(self.journal.note(self.clock.now(), event)?)
    }
}

/// The bucket of a worker.
pub fn bucket(id: u64) -> String {
    format!("w{id}")
}
