//! Ordered, revisioned bytes: how the store is kept. Knows nothing of names, TTLs or locks.
//!
//! | file | job |
//! |---|---|
//! | `queue`, `lead`, `commit` | threads queue; a leader decides and appends for all |
//! | `sync`, `seal` | anyone syncs for everyone; what can't be vouched for is sealed off |
//! | `store_lock`, `page` | who may append; the two positions that only grow |
//! | `log`, `memtable`, `table` | a segment, its index, a sorted table |
//! | `index`, `snapshot`, `merge` | what a process knows; a consistent cut of it |
//! | `rows` | values that were read from tables again and again |
//! | `open`, `recover`, `manifest` | the first opener recovers |
//! | `compact`, `check` | log into tables, tables into larger ones; is every byte well |

mod background;
mod check;
mod commit;
mod compact;
mod index;
mod keep;
mod lead;
mod log;
mod manifest;
mod memtable;
pub mod merge;
mod open;
mod page;
#[cfg(test)]
mod page_tests;
mod queue;
pub mod ranges;
mod recover;
mod rows;
mod run;
mod seal;
mod snapshot;
pub mod source;
mod stats;
mod store_lock;
mod sync;
pub mod table;
pub mod value;

pub use commit::{Committed, Decision, Request};
pub use snapshot::{Cursor, Snapshot};
pub use stats::Stats;
pub use value::Item;

use crate::error::Result;
use crate::files::storage::{Clock, Directory, File};
use crate::format::manifest::{StoreId, SyncMode};
use crate::latch::Mutex;
use arc_swap::Guard;
use background::Background;
use index::Index;
use page::Page;
use queue::Queue;
use rows::RowCache;
use stats::Counters;
use std::sync::Arc;
use std::time::Duration;
use store_lock::StoreLock;
use table::BlockCache;

/// Whether compaction keeps a value: false for a key and tag that no reader can see any more (an expired one).
pub type Retain = Arc<dyn Fn(&[u8], u64) -> bool + Send + Sync>;
/// Where the engine's few records go: the text, and whether it is a warning.
pub type Log = Arc<dyn Fn(bool, &str) + Send + Sync>;

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Config {
    /// The mode asked for; another than the store's is refused. `None` takes the store's, `Full` for a new one.
    pub sync: Option<SyncMode>,
    /// Reads only: nothing in the directory is changed.
    pub read_only: bool,
    /// How large a new store's segments are.
    pub segment_size: u64,
    /// How long a commit waits for `LOCK`.
    pub lock_timeout: Duration,
    /// Bytes of the caches of tables.
    pub memory_limit: u64,
    /// Whether a background thread compacts.
    pub background: bool,
}

/// What the engine needs from above and below.
#[derive(Clone)]
pub struct Surroundings {
    /// The store's directory.
    pub dir: Arc<dyn Directory>,
    /// Time as the system tells it.
    pub clock: Arc<dyn Clock>,
    /// What compaction keeps.
    pub retain: Retain,
    /// Where records go.
    pub log: Log,
}

/// A store, opened.
pub struct Engine {
    core: Arc<Core>,
    /// Set for a read-only handle that recovered in its own memory.
    alone: Option<open::Alone>,
    background: Mutex<Background>,
    background_wanted: bool,
}

/// The files of a store.
#[derive(Debug)]
struct Files {
    dir: Arc<dyn Directory>,
    store: StoreId,
    cache: Arc<BlockCache>,
    rows: Arc<RowCache>,
    spare: Arc<memtable::Spare>,
}

/// What all threads of a handle share.
struct Core {
    files: Files,
    clock: Arc<dyn Clock>,
    retain: Retain,
    log: Log,
    mode: SyncMode,
    read_only: bool,
    segment_size: u64,
    /// Nanoseconds.
    lock_timeout: u64,
    page: Page,
    /// Keeps its flock: the page is believed only while somebody has it open.
    _shared: Option<Arc<dyn File>>,
    /// Of a private core: which `SHARED` there was.
    incarnation: Option<(u64, u64)>,
    lock: StoreLock,
    /// Sixteen bits, never 0, by which a claim to sync is told from others of the same microsecond.
    claimant: u64,
    index: Index,
    queue: Queue,
    counters: Counters,
    /// Flushes of this process, one at a time; merges likewise.
    flushing: Mutex<()>,
    merging: Mutex<()>,
}

impl Core {
    fn log_failed_sync(&self, name: &str, e: &std::io::Error) {
        (self.log)(true, &format!("syncing {name} failed: {e}"));
    }
}

impl Engine {
    /// A consistent cut of what is committed now.
    pub fn snapshot(&self) -> Result<Snapshot> {
        match &self.alone {
            None => self.core.snapshot(),
            Some(alone) => alone.core()?.snapshot(),
        }
    }

    /// What `found` makes of the key's newest version as of now; if it is absent or deleted, or `found` makes nothing of it, what
    /// `absent` makes of the same cut.
    #[inline]
    pub fn get<R>(
        &self,
        key: &[u8],
        found: impl FnOnce(Item<'_>) -> Result<Option<R>>,
        absent: impl FnOnce(&Snapshot) -> Result<R>,
    ) -> Result<R> {
        match &self.alone {
            None => self.core.get(key, found, absent),
            Some(alone) => alone.core()?.get(key, found, absent),
        }
    }

    /// The cut at the end of the log. A power cut or a failed sync may take it back, so nobody is told of it: it only shows
    /// whether a request is worth trying.
    pub fn foresight(&self) -> Result<Snapshot> {
        let appended = self.core.page.appended();
        let view = self.core.index.follow_and_hold(&self.core, appended)?.view;
        Ok(Snapshot::new(Guard::from_inner(view), appended))
    }

    /// The core as it is now.
    fn core(&self) -> Result<Arc<Core>> {
        match &self.alone {
            None => Ok(self.core.clone()),
            Some(alone) => alone.core(),
        }
    }

    /// Decides the request under `LOCK` and appends what it decided as one frame. Returns once the answer survives a power
    /// cut (with `sync=os`: a crash of the process).
    pub fn commit(&self, request: Box<dyn Request>) -> Result<Committed> {
        self.core.keep_tail_short()?;
        let answer = self.core.commit(request);
        if self.background_wanted && self.core.index.view().tail() > 0 {
            self.background.lock().wake(&self.core);
        }
        answer
    }

    /// In a store with `sync=os`: everything written before is durable on return.
    pub fn sync(&self) -> Result<()> {
        self.core.sync()
    }

    /// Merges until there is nothing left to merge.
    pub fn compact(&self) -> Result<()> {
        self.core.compact_all()
    }

    /// Verifies every byte on disk; each sentence of the answer says what is wrong and where.
    pub fn check(&self) -> Result<Vec<String>> {
        self.core()?.check()
    }

    /// Counters and sizes.
    pub fn stats(&self) -> Result<Stats> {
        self.core()?.stats()
    }

    /// A number that changes when a lease has changed.
    pub fn lease_epoch(&self) -> u32 {
        self.core.page.leases()
    }

    /// Sleeps until a lease changed after `epoch`, or the timeout.
    pub fn wait_leases(&self, epoch: u32, timeout: Duration) {
        self.core.page.wait_leases(epoch, timeout);
    }

    /// Wakes all who wait for leases, in every process.
    pub fn wake_leases(&self) {
        self.core.page.wake_for_leases();
    }

    /// Ends the background thread. Everything else ends with the last reference.
    pub fn close(&self) {
        self.background.lock().stop();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.close();
    }
}
