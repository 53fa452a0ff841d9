//! A consistent cut of the store: everything up to one position, for one key or a whole listing.

use super::Core;
use super::index::View;
use super::memtable::hash;
use super::merge::{Merge, Mode};
use super::rows::Likely;
use super::source::{Source, Version};
use super::value::Item;
use crate::error::Result;
use crate::format::position::Position;
use crate::sabotage::{self, Sabotage};
use arc_swap::Guard;
use std::cell::Cell;
use std::ops::ControlFlow;
use std::sync::Arc;

/// The store as of one position. It keeps its files open, so hold it no longer than needed.
pub struct Snapshot {
    view: Guard<Arc<View>>,
    at: Position,
    seen: Cell<Position>,
}

impl Core {
    /// What `found` makes of the key's newest version as of now; if it is absent or deleted, or `found` makes nothing of it, what
    /// `absent` makes of the same cut.
    #[inline]
    pub fn get<R>(
        &self,
        key: &[u8],
        found: impl FnOnce(Item<'_>) -> Result<Option<R>>,
        absent: impl FnOnce(&Snapshot) -> Result<R>,
    ) -> Result<R> {
        let hash = hash(key);
        let likely = self.files.rows.likely(hash);
        let snapshot = self.snapshot()?;
        snapshot.find(key, hash, likely, found)?.map_or_else(|| absent(&snapshot), Ok)
    }

    /// The cut at `committed`: no lock and no system call unless the index is behind.
    pub fn snapshot(&self) -> Result<Snapshot> {
        loop {
            let view = self.index.view();
            // A table never reaches past a `committed` that is loaded after the view.
            let at = match sabotage::is(Sabotage::PendingShown) {
                true => self.page.appended(),
                false => self.page.committed().position(),
            };
            if sabotage::is(Sabotage::StaleRead) {
                let known = view.live().applied();
                return Ok(Snapshot::new(view, known.min(at)));
            }
            if view.covers(at) && view.manifest.generation >= self.page.generation() {
                return Ok(Snapshot::new(view, at));
            }
            drop(view);
            self.index.follow(self, at)?;
        }
    }
}

impl Snapshot {
    /// The cut of `view` at `at`, which the view covers.
    pub fn new(view: Guard<Arc<View>>, at: Position) -> Snapshot {
        Snapshot { view, at, seen: Cell::new(0) }
    }

    /// The position of the cut.
    pub fn revision(&self) -> Position {
        self.at
    }

    /// The greatest revision of anything that was looked at, what is deleted included (rule 5).
    pub fn seen(&self) -> Position {
        self.seen.get()
    }

    fn note(&self, revision: Position) {
        self.seen.set(self.seen.get().max(revision));
    }

    /// What `f` makes of the newest version of the key; `None` if it is absent or deleted.
    pub fn get<R>(&self, key: &[u8], f: impl FnOnce(Item<'_>) -> Result<Option<R>>) -> Result<Option<R>> {
        let hash = hash(key);
        self.find(key, hash, self.view.rows.likely(hash), f)
    }

    #[inline]
    fn find<R>(
        &self,
        key: &[u8],
        hash: u64,
        likely: Likely,
        f: impl FnOnce(Item<'_>) -> Result<Option<R>>,
    ) -> Result<Option<R>> {
        let mut hidden = 0;
        for table in self.view.memtables.iter().rev().filter(|table| table.may_tell(hash)) {
            let table = table.read();
            hidden = hidden.max(table.hidden(key, self.at));
            if let Some(version) = table.find(key, hash, self.at) {
                return self.answer(version, hidden, f);
            }
        }
        if let Some(row) = self.view.rows.get(likely, self.view.epoch, key, hash)
            && let Some(version) = row.version(key)
        {
            return self.answer(version, hidden, f);
        }
        self.get_in_tables(key, hash, hidden, f)
    }

    fn get_in_tables<R>(
        &self,
        key: &[u8],
        hash: u64,
        mut hidden: Position,
        f: impl FnOnce(Item<'_>) -> Result<Option<R>>,
    ) -> Result<Option<R>> {
        let (mut f, mut over) = (Some(f), 0);
        for table in self.view.tables.iter().rev() {
            over = over.max(table.range_revision(key)?.unwrap_or(0));
            hidden = hidden.max(over);
            let found = table.get(key, |version| {
                if version.revision >= over {
                    self.view.rows.offer(self.view.epoch, &version, hash);
                }
                match f.take() {
                    Some(f) => self.answer(version, hidden, f),
                    None => Ok(None),
                }
            })?;
            if let Some(answer) = found {
                return answer;
            }
        }
        self.note(hidden);
        Ok(None)
    }

    /// What the newest version says, unless a range tombstone of a greater revision hides it.
    #[inline]
    fn answer<R>(
        &self,
        version: Version<'_>,
        hidden: Position,
        f: impl FnOnce(Item<'_>) -> Result<Option<R>>,
    ) -> Result<Option<R>> {
        self.note(version.revision.max(hidden));
        match version.item() {
            Some(item) if item.revision >= hidden => f(item),
            _ => Ok(None),
        }
    }

    /// The items with keys in `start..end`, sorted; without `end`, to the last key.
    pub fn scan(&self, start: &[u8], end: Option<&[u8]>) -> Result<Cursor<'_>> {
        self.scan_bucket(b"", start, end)
    }

    /// The same, where all of `start..end` lies under a prefix that ends in the separator: what surely holds nothing there is
    /// not asked.
    pub fn scan_bucket(&self, prefix: &[u8], start: &[u8], end: Option<&[u8]>) -> Result<Cursor<'_>> {
        let (mut sources, mut ranges) = (Vec::<Box<dyn Source + '_>>::new(), Vec::new());
        for table in &self.view.memtables {
            let (source, set) = table.bucket(prefix, self.at);
            ranges.extend(set);
            if let Some(source) = source {
                sources.push(Box::new(source));
            }
        }
        for table in &self.view.tables {
            ranges.push(table.ranges()?);
            if prefix.is_empty() || table.may_hold_bucket(prefix)? {
                sources.push(Box::new(table.cursor(true)));
            }
        }
        let mut merge = Merge::of(sources, ranges, self.at, end, Mode::Scan);
        merge.seek(start)?;
        Ok(Cursor { merge, snapshot: self, fresh: true })
    }

    /// Whether any version may lie under the prefix, which ends in the separator; false is certain.
    pub fn may_hold_bucket(&self, prefix: &[u8]) -> Result<bool> {
        if self.view.memtables.iter().any(|t| t.may_hold_bucket(prefix)) {
            return Ok(true);
        }
        for table in &self.view.tables {
            if table.may_hold_bucket(prefix)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// A listing in progress.
pub struct Cursor<'a> {
    merge: Merge<'a>,
    snapshot: &'a Snapshot,
    /// The merge stands at an item that `next` hasn't given yet.
    fresh: bool,
}

impl Cursor<'_> {
    /// The next item, in the order of keys.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Item<'_>>> {
        if !std::mem::take(&mut self.fresh) {
            self.merge.advance()?;
        }
        self.snapshot.note(self.merge.seen());
        Ok(self.merge.current().and_then(Version::item))
    }

    /// Calls `f` with the items from the next one on, until it breaks; `next` then goes on after the item with which it did so.
    pub fn visit<B>(&mut self, f: impl FnMut(Item<'_>) -> Result<ControlFlow<B>>) -> Result<ControlFlow<B>> {
        if !std::mem::take(&mut self.fresh) {
            self.merge.advance()?;
        }
        let outcome = self.merge.visit(f);
        self.snapshot.note(self.merge.seen());
        outcome
    }

    /// Moves to the first key at or after `key`, which `next` then gives.
    pub fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.fresh = true;
        self.merge.seek(key)?;
        self.snapshot.note(self.merge.seen());
        Ok(())
    }
}
