//! A memtable's versions in the order of their keys, for listings and flushes.

use super::{Inner, Memtable, Place, Written, offset};
use crate::engine::source::{Source, State, Version};
use crate::engine::value::Stored;
use crate::error::Result;
use crate::format::position::Position;
use std::sync::Arc;

impl Memtable {
    /// A sorted source of the versions at or below `at`.
    pub fn source(&self, at: Position) -> MemSource<'_> {
        MemSource { table: self, at, order: self.order(), next: 0, key: Vec::new(), value: Vec::new(), found: None }
    }

    fn order(&self) -> Arc<Vec<u32>> {
        {
            let inner = self.inner.read();
            if inner.sorted.len() == inner.entries.len() {
                return inner.sorted.clone();
            }
        }
        let mut inner = self.inner.write();
        inner.sort();
        inner.sorted.clone()
    }
}

impl Inner {
    /// Brings new entries into the sorted order: few of them one by one, many by sorting everything.
    fn sort(&mut self) {
        let mut sorted = std::mem::take(&mut self.sorted);
        let order = Arc::make_mut(&mut sorted);
        let first = order.len();
        let mut fresh: Vec<u32> = (first..self.entries.len()).map(offset).collect();
        fresh.sort_unstable_by(|a, b| self.key(*a).cmp(self.key(*b)));
        if fresh.len() > 64 && fresh.len() * 8 > first {
            *order = merged(order, &fresh, |a, b| self.key(a) < self.key(b));
        } else {
            for entry in fresh {
                let at = order.partition_point(|&other| self.key(other) < self.key(entry));
                order.insert(at, entry);
            }
        }
        self.sorted = sorted;
    }
}

fn merged(a: &[u32], b: &[u32], less: impl Fn(u32, u32) -> bool) -> Vec<u32> {
    let (mut i, mut j, mut out) = (0, 0, Vec::with_capacity(a.len() + b.len()));
    while i < a.len() && j < b.len() {
        if less(a[i], b[j]) {
            out.push(a[i]);
            i += 1;
        } else {
            out.push(b[j]);
            j += 1;
        }
    }
    out.extend_from_slice(&a[i..]);
    out.extend_from_slice(&b[j..]);
    out
}

/// The versions at or below a position, in the order of their keys.
pub struct MemSource<'a> {
    table: &'a Memtable,
    at: Position,
    order: Arc<Vec<u32>>,
    next: usize,
    key: Vec<u8>,
    value: Vec<u8>,
    found: Option<Written>,
}

impl MemSource<'_> {
    /// Copies the first version at or after the place `next` of the order; the arena may move once the lock is released.
    fn load(&mut self) {
        let inner = self.table.inner.read();
        self.found = None;
        while let Some(&entry) = self.order.get(self.next) {
            if let Some(version) = inner.version_at(entry, self.at) {
                let written = inner.versions[version as usize];
                self.key.clear();
                self.key.extend_from_slice(inner.key(entry));
                self.value.clear();
                if let Place::Arena { at, len } = written.place {
                    self.value.extend_from_slice(&inner.arena[at as usize..(at + len) as usize]);
                }
                self.found = Some(written);
                return;
            }
            self.next += 1;
        }
    }
}

impl Source for MemSource<'_> {
    fn seek(&mut self, key: &[u8]) -> Result<()> {
        {
            let inner = self.table.inner.read();
            self.next = self.order.partition_point(|&entry| inner.key(entry) < key);
        }
        self.load();
        Ok(())
    }

    fn current(&self) -> Option<Version<'_>> {
        let written = self.found.as_ref()?;
        let live = |stored| State::Live { tag: written.tag, stored };
        let state = match written.place {
            Place::Tombstone => State::Tombstone,
            Place::Arena { .. } => live(Stored::Inline(&self.value)),
            Place::Log(extent) => live(self.table.segment.stored(extent)),
        };
        Some(Version { key: &self.key, revision: written.revision, state })
    }

    fn advance(&mut self) -> Result<()> {
        if self.found.is_some() {
            self.next += 1;
            self.load();
        }
        Ok(())
    }
}
