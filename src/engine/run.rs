//! What one compaction makes one table of, and the manifest that names it then.

use super::index::View;
use super::keep::Share;
use crate::format::manifest::{Holder, Manifest, SegmentEntry, TableEntry, ValueFile};
use crate::format::position::{Position, position};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is to become one table: a *flush* takes the first sealed segments, a *merge* the tables from `first` on. A flush is
/// short and goes on beside a merge, so that no writer waits for one.
pub struct Run {
    /// Where its tables and segments are open.
    pub view: Arc<View>,
    /// The number of tables that are older.
    pub first: usize,
    /// How many sealed segments it takes.
    pub segments: usize,
    /// How much of a file has to be wanted for it to stay for its large values.
    pub share: Share,
}

/// What a run has become.
pub struct Made {
    /// `None` if nothing was left.
    pub table: Option<TableEntry>,
    /// The files that stay beside it.
    pub value_files: Vec<ValueFile>,
}

impl Run {
    pub fn flush(view: Arc<View>) -> Run {
        Run { first: view.tables.len(), segments: view.tail(), view, share: Share::Half }
    }
    pub fn merge(view: Arc<View>, first: usize, share: Share) -> Run {
        Run { view, first, segments: 0, share }
    }
    pub fn tables(&self) -> Vec<TableEntry> {
        self.view.tables[self.first..].iter().map(|t| t.entry()).collect()
    }
    pub fn segments(&self) -> &[SegmentEntry] {
        &self.view.manifest.segments[..self.segments]
    }
    /// Its files, and those that stayed for the large values in them; of each how many bytes may be named.
    pub fn files(&self) -> BTreeMap<Holder, u64> {
        let tables = self.view.tables[self.first..].iter();
        let values = tables.clone().flat_map(|table| table.value_files()).map(|file| (file.holder, file.size));
        let tables = tables.map(|table| (Holder::Table(table.entry().number), table.entry().size));
        let segments = self.segments().iter().map(|segment| (Holder::Log(segment.number), segment.sealed));
        tables.chain(segments).chain(values).collect()
    }
    /// Value files of tables that are in no run with it.
    pub fn other_value_files(&self) -> usize {
        self.view.tables[..self.first].iter().map(|table| table.value_files().count()).sum()
    }
    pub fn has_large_values(&self) -> bool {
        self.view.memtables[..self.segments].iter().any(|memtable| memtable.has_large_values())
            || self.view.tables[self.first..].iter().any(|table| table.has_large_values())
    }
    pub fn from(&self) -> Position {
        match self.first {
            0 => 0,
            n => self.view.tables[n - 1].entry().to,
        }
    }
    pub fn to(&self) -> Position {
        match self.segments().last() {
            Some(last) => position(last.number, last.sealed),
            None => self.view.tables.last().map_or(0, |t| t.entry().to),
        }
    }
    /// The frames below this one are all in the run: nothing older can show again.
    pub fn reaches_the_oldest(&self) -> bool {
        self.first == 0
    }
}

/// The manifest with the table in place of the run; `None` if the run isn't there as it was.
pub fn replaced(now: &Manifest, run: &Run, made: &Made) -> Option<Manifest> {
    let (tables, segments) = (run.tables(), run.segments());
    let mut new = now.clone();
    new.value_files.retain(|file| tables.iter().all(|table| table.number != file.owner));
    new.value_files.extend_from_slice(&made.value_files);
    new.value_files.sort_unstable();
    if segments.is_empty() {
        let end = run.first + tables.len();
        if now.tables.get(run.first..end)? != tables.as_slice() {
            return None;
        }
        new.tables.splice(run.first..end, made.table);
    } else {
        if now.segments.get(..segments.len())? != segments {
            return None;
        }
        // A merge meanwhile may have made fewer tables of those before.
        new.tables.extend(made.table);
        new.segments.drain(..segments.len());
    }
    Some(new)
}
