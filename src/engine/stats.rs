//! Counters of a handle, and the sizes of its store.

use super::Core;
use crate::error::Result;
use crate::format::position::offset_of;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counted since the handle was opened.
#[derive(Debug, Default)]
pub struct Counters {
    /// Frames appended.
    pub commits: AtomicU64,
    /// Successful fdatasyncs of the log.
    pub syncs: AtomicU64,
    /// Segments sealed.
    pub seals: AtomicU64,
    /// Tables made.
    pub compactions: AtomicU64,
    /// Bytes of tables written.
    pub compacted_bytes: AtomicU64,
}

/// A picture of the store and of this handle's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// The position that readers see.
    pub revision: u64,
    /// Tables of the store.
    pub tables: u64,
    /// Bytes of the tables' files, and of those that stay for the large values in them.
    pub table_bytes: u64,
    /// Versions in the tables, tombstones included.
    pub table_entries: u64,
    /// Segments that are in no table, the live one included.
    pub segments: u64,
    /// Bytes of frames in them.
    pub log_bytes: u64,
    /// Bytes of memory that this handle's memtables take.
    pub memtable_bytes: u64,
    /// Bytes of memory that this handle's caches of tables hold.
    pub cache_bytes: u64,
    /// Block cache hits of this handle.
    pub cache_hits: u64,
    /// Block cache misses of this handle.
    pub cache_misses: u64,
    /// Frames appended by this handle.
    pub commits: u64,
    /// Successful fdatasyncs of the log by this handle.
    pub syncs: u64,
    /// Segments sealed by this handle.
    pub seals: u64,
    /// Tables made by this handle.
    pub compactions: u64,
    /// Bytes of tables written by this handle.
    pub compacted_bytes: u64,
}

impl Core {
    pub(super) fn stats(&self) -> Result<Stats> {
        let snapshot = self.snapshot()?;
        let view = self.index.view();
        let (cache_hits, cache_misses) = self.files.cache.hits_and_misses();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Ok(Stats {
            revision: snapshot.revision(),
            tables: view.tables.len() as u64,
            table_bytes: view.tables.iter().map(|t| t.size()).sum(),
            table_entries: view.tables.iter().map(|t| t.len()).sum(),
            segments: view.memtables.len() as u64,
            log_bytes: view.memtables.iter().map(|m| offset_of(m.applied())).sum(),
            memtable_bytes: view.memtables.iter().map(|m| m.memory() as u64).sum(),
            cache_bytes: self.files.cache.weight() + self.files.rows.weight(),
            cache_hits,
            cache_misses,
            commits: count(&self.counters.commits),
            syncs: count(&self.counters.syncs),
            seals: count(&self.counters.seals),
            compactions: count(&self.counters.compactions),
            compacted_bytes: count(&self.counters.compacted_bytes),
        })
    }
}
