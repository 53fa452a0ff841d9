//! A consistent cut of the store: everything up to one position, for one key or a whole listing.

use super::Core;
use super::index::View;
use super::memtable::hash;
use super::merge::{Input, Merge, Mode};
use super::source::{Source, Version};
use super::value::Item;
use crate::error::Result;
use crate::format::position::Position;
use crate::sabotage::{self, Sabotage};
use arc_swap::Guard;
use std::cell::Cell;
use std::sync::Arc;

/// The store as of one position. It keeps its files open, so hold it no longer than needed.
pub struct Snapshot {
    view: Guard<Arc<View>>,
    at: Position,
    seen: Cell<Position>,
}

impl Core {
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

    /// Calls `f` with the newest version of the key; `None` if it is absent or deleted.
    #[inline]
    pub fn get<R>(&self, key: &[u8], f: impl FnOnce(Item<'_>) -> Result<R>) -> Result<Option<R>> {
        let hash = hash(key);
        let mut hidden = 0;
        for table in self.view.memtables.iter().rev().filter(|table| table.may_tell(hash)) {
            let table = table.read();
            hidden = hidden.max(table.hidden(key, self.at));
            if let Some(version) = table.find(key, hash, self.at) {
                return self.answer(version, hidden, f);
            }
        }
        if let Some(row) = self.view.rows.get(self.view.epoch, key, hash)
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
        f: impl FnOnce(Item<'_>) -> Result<R>,
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
        f: impl FnOnce(Item<'_>) -> Result<R>,
    ) -> Result<Option<R>> {
        self.note(version.revision.max(hidden));
        match version.item() {
            Some(item) if item.revision >= hidden => f(item).map(Some),
            _ => Ok(None),
        }
    }

    /// The items with keys in `start..end`, sorted; without `end`, to the last key.
    pub fn scan(&self, start: &[u8], end: Option<&[u8]>) -> Result<Cursor<'_>> {
        let memtables =
            self.view.memtables.iter().map(|t| Input { source: Box::new(t.source(self.at)), ranges: t.ranges() });
        let mut inputs: Vec<Input<'_>> = memtables.collect();
        for table in &self.view.tables {
            inputs.push(Input { source: Box::new(table.cursor(true)), ranges: table.ranges()? });
        }
        let mut merge = Merge::new(inputs, self.at, end, Mode::Scan);
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

    /// Moves to the first key at or after `key`, which `next` then gives.
    pub fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.fresh = true;
        self.merge.seek(key)?;
        self.snapshot.note(self.merge.seen());
        Ok(())
    }
}
