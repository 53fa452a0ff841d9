//! What a process knows of the store: the tables and, for each segment that is in no table, its memtable. Readers load
//! the view without a lock; whoever finds it behind follows the log.

use super::Core;
use super::log::Segment;
use super::memtable::Memtable;
use super::page::Page;
use super::rows::RowCache;
use super::table::Table;
use crate::error::{Error, Result};
use crate::files::storage::Access;
use crate::format::frame::Frame;
use crate::format::manifest::Manifest;
use crate::format::position::{Position, offset_of, segment_of};
use crate::latch::{Mutex, MutexGuard};
use crate::sabotage::{self, Sabotage};
use arc_swap::{ArcSwap, Guard};
use std::sync::Arc;

/// One state of the files, immutable but for the live memtable's growth.
#[derive(Debug)]
pub struct View {
    /// What it was made from.
    pub manifest: Manifest,
    /// Oldest first.
    pub tables: Vec<Arc<Table>>,
    /// The generation since which the tables are these.
    pub epoch: u64,
    /// What was read from them lately.
    pub rows: Arc<RowCache>,
    /// One for each segment of the manifest, oldest first; the last one is live.
    pub memtables: Vec<Arc<Memtable>>,
}

impl View {
    /// Whether everything up to `position` is in it.
    pub fn covers(&self, position: Position) -> bool {
        self.memtables
            .last()
            .is_some_and(|live| segment_of(position) < live.segment().number() || live.covers(position))
    }

    /// The live segment's memtable; a manifest always names one.
    pub fn live(&self) -> &Arc<Memtable> {
        &self.memtables[self.memtables.len() - 1]
    }

    /// How many sealed segments wait to become a table.
    pub fn tail(&self) -> usize {
        self.memtables.len() - 1
    }
}

/// The view, and who brings it up to date.
#[derive(Debug)]
pub struct Index {
    view: ArcSwap<View>,
    follower: Mutex<()>,
}

/// The follower's lock, held: frames may be applied.
pub struct Applying<'a> {
    _follower: MutexGuard<'a, ()>,
    /// The view, whose last memtable is that of the live segment.
    pub view: Arc<View>,
}

impl Applying<'_> {
    /// Applies a frame of this process's own that begins at `offset` of the live segment.
    pub fn apply(&self, frame: &Frame<'_>, offset: u64) -> Result<Position> {
        let live = self.view.live();
        live.apply(frame, offset).map_err(|what| Error::corrupt(live.segment().name(), offset, what))
    }
}

impl Index {
    /// An index in which nothing is followed but what the opener read already, its index of the `live` segment.
    pub fn new(
        files: &super::Files,
        page: &Page,
        mut manifest: Manifest,
        live: Option<Arc<Memtable>>,
    ) -> Result<Index> {
        let known = Vec::from_iter(live);
        loop {
            let generation = manifest.generation;
            let empty = View {
                manifest: manifest.clone(),
                tables: Vec::new(),
                epoch: generation,
                rows: files.rows.clone(),
                memtables: known.clone(),
            };
            match build(files, manifest, &empty) {
                Ok(view) => return Ok(Index { view: ArcSwap::from_pointee(view), follower: Mutex::new(()) }),
                // A file that is gone was replaced, if there is a newer manifest.
                Err(_) if page.generation() > generation => manifest = files.current_manifest(page)?,
                Err(e) => return Err(e),
            }
        }
    }

    /// The view as it is.
    pub fn view(&self) -> Guard<Arc<View>> {
        self.view.load()
    }

    /// A view in which `segment` is sealed or at least known.
    pub fn refreshed(&self, core: &Core, segment: u64) -> Result<Arc<View>> {
        let view = self.view.load_full();
        if view.manifest.live() >= segment && view.manifest.generation >= core.page.generation() {
            return Ok(view);
        }
        let _follower = self.follower.lock();
        self.refresh(core)?;
        Ok(self.view.load_full())
    }

    /// Brings the index up to `to`, a position at or below `appended`; returns the CRC of the frame that ends where the
    /// live memtable stands.
    pub fn follow(&self, core: &Core, to: Position) -> Result<u32> {
        Ok(self.follow_and_hold(core, to)?.view.live().crc())
    }

    /// The same, keeping the right to apply.
    pub fn follow_and_hold(&self, core: &Core, to: Position) -> Result<Applying<'_>> {
        let follower = self.follower.lock();
        let view = self.caught_up(core, to)?;
        Ok(Applying { _follower: follower, view })
    }

    /// With the follower's lock: the view, brought up to `to`.
    fn caught_up(&self, core: &Core, to: Position) -> Result<Arc<View>> {
        let mut view = self.view.load_full();
        if view.manifest.live() < segment_of(to) || view.manifest.generation < core.page.generation() {
            self.refresh(core)?;
            view = self.view.load_full();
        }
        let live = view.live();
        if segment_of(to) == live.segment().number() && live.applied() < to {
            let end = live.follow(offset_of(to))?;
            if end != offset_of(to) {
                return Err(Error::corrupt(live.segment().name(), end, "a frame that was appended doesn't verify"));
            }
        }
        Ok(view)
    }

    /// Loads the newest manifest and makes a view of it, keeping what is open already.
    fn refresh(&self, core: &Core) -> Result<()> {
        loop {
            let generation = core.page.generation();
            let old = self.view.load_full();
            let manifest = core.files.current_manifest(&core.page)?;
            match build(&core.files, manifest, &old) {
                Ok(view) => {
                    self.view.store(Arc::new(view));
                    return Ok(());
                }
                // A file that is gone was replaced, if the generation has changed since.
                Err(_) if core.page.generation() != generation => continue,
                Err(e) => return Err(e),
            }
        }
    }
}

/// The view of a manifest. Sealed segments are applied to their sealed end, which drops what lies beyond (rule 17).
fn build(files: &super::Files, manifest: Manifest, old: &View) -> Result<View> {
    let mut tables = Vec::with_capacity(manifest.tables.len());
    for entry in &manifest.tables {
        let open = old.tables.iter().find(|t| t.entry().number == entry.number).cloned();
        tables.push(match open {
            Some(table) => table,
            None => {
                let value_files = manifest.value_files_of(entry.number);
                Arc::new(Table::open(&files.dir, *entry, value_files, &old.tables, files.store, files.cache.clone())?)
            }
        });
    }
    let mut memtables = Vec::with_capacity(manifest.segments.len());
    for entry in &manifest.segments {
        let open = old.memtables.iter().find(|m| m.segment().number() == entry.number).cloned();
        let table = match open {
            Some(table) => table,
            None => {
                let segment = Segment::open(&*files.dir, entry.number, &files.store, Access::Read)?;
                Arc::new(Memtable::new(Arc::new(segment), files.spare.clone()))
            }
        };
        if entry.sealed != 0 {
            let end = table.segment().at(entry.sealed);
            if !sabotage::is(Sabotage::VoidKept) {
                table.truncate(end, 0);
            }
            if table.applied() < end {
                let reached = table.follow(entry.sealed)?;
                if reached != entry.sealed {
                    return Err(Error::corrupt(
                        table.segment().name(),
                        reached,
                        "a frame of a sealed segment doesn't verify",
                    ));
                }
            }
        }
        memtables.push(table);
    }
    let same = tables.iter().map(|t| t.entry().number).eq(old.tables.iter().map(|t| t.entry().number));
    let epoch = if same { old.epoch } else { manifest.generation };
    Ok(View { manifest, tables, epoch, rows: files.rows.clone(), memtables })
}
