//! What one compaction makes one table of, and the manifest that names it then.

use super::index::View;
use super::keep::Share;
use super::table::Table;
use crate::error::Result;
use crate::format::manifest::{Holder, Manifest, SegmentEntry, TableEntry, ValueFile};
use crate::format::position::{Position, position};
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

/// A file of a run.
pub struct RunFile {
    /// Which file it is.
    pub holder: Holder,
    /// How many bytes of it may be named.
    pub size: u64,
    /// How many it has, with blocks that were allocated ahead.
    pub len: u64,
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
    /// Its files, and those that stayed for the large values in them, in the order of their holders.
    pub fn files(&self) -> Result<Vec<RunFile>> {
        let mut files = Vec::new();
        for (memtable, entry) in self.view.memtables.iter().zip(self.segments()) {
            let len = memtable.segment().len()?;
            files.push(RunFile { holder: Holder::Log(entry.number), size: entry.sealed, len });
        }
        for table in &self.view.tables[self.first..] {
            let TableEntry { number, size, .. } = table.entry();
            files.push(RunFile { holder: Holder::Table(number), size, len: size });
            files.extend(table.value_files().map(|(file, len)| RunFile { holder: file.holder, size: file.size, len }));
        }
        files.sort_unstable_by_key(|file| file.holder);
        Ok(files)
    }
    /// Value files of tables that are in no run with it.
    pub fn other_value_files(&self) -> usize {
        self.view.tables[..self.first].iter().map(|table| table.value_files().count()).sum()
    }
    /// Whether any file may stay for its large values, so that it is worth while to count what is wanted of each.
    pub fn may_keep(&self) -> Result<bool> {
        for memtable in &self.view.memtables[..self.segments] {
            if self.share.is_enough(memtable.large(), memtable.segment().len()?) {
                return Ok(true);
            }
        }
        let of_table = |table: &Arc<Table>| {
            table.value_files().next().is_some() || self.share.is_enough(table.large(), table.entry().size)
        };
        Ok(self.view.tables[self.first..].iter().any(of_table))
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
