//! Compaction: sealed segments become a table, and tables a larger one. What is deleted, overwritten or
//! no longer wanted goes, and with it its files. Runs beside readers and writers; takes `LOCK` only to switch the manifest.

use super::index::View;
use super::keep::{Share, Wanted};
use super::merge::{Input, Merge, Mode};
use super::ranges::RangeSet;
use super::run::{Made, Run, RunFile, replaced};
use super::seal::FirstFrame;
use super::source::{Source, State, Version};
use super::table::{TableBuilder, TableName};
use super::value::name_of;
use super::{Core, manifest, recover};
use crate::error::{Error, Result};
use crate::files::storage::{Access, File};
use crate::files::{fork, names};
use crate::format::manifest::{Holder, Manifest, TableEntry, ValueFile};
use crate::format::position::{offset_of, segment_of};
use crate::format::segment::HEADER_LEN;
use crate::sabotage::{self, Sabotage};
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// So many sealed segments may wait for the background; beyond twice as many any writer flushes by itself.
const TAIL: usize = 1;
/// While segments keep coming, no tables are merged before there are so many.
const SOME: usize = 12;
/// As long as there are no more tables than this, segments become tables before any are merged, also while a merge goes on.
/// Beyond it the merges come first, and writers that are faster flush by themselves, which slows them down.
const MANY: usize = 24;
/// After so many versions a merge pauses.
const PIECE: u64 = 1024;
/// A table is merged with all newer ones once it is no larger than so many times their sum: then the tables together are
/// at most a quarter larger than the oldest.
const GROWTH: u64 = 4;

impl Core {
    /// Before a commit: a stopped compactor must not let the tail grow without end.
    pub fn keep_tail_short(&self) -> Result<()> {
        if self.index.view().tail() <= 2 * TAIL {
            return Ok(());
        }
        let _one = self.flushing.lock();
        let view = self.fresh_view()?;
        let tail = view.tail();
        if tail > 2 * TAIL
            && let Err(e) = self.replace(Run::flush(view), &|| Ok(false))
        {
            // Commits go on for a while, since nothing of them is wrong.
            (self.log)(true, &format!("a flush that is due failed: {e}"));
            return if tail > 8 * TAIL { Err(e) } else { Ok(()) };
        }
        Ok(())
    }

    /// Flushes, and merges as long as the sizes ask for it, unless another process does so already. While segments keep
    /// coming (not `calm`), merges wait until there are some tables: one merge of many is less work than many of a few. True
    /// if merges are left for calmer times.
    pub fn compact_in_background(&self, calm: bool, stopping: &dyn Fn() -> bool) -> Result<bool> {
        let Some(_advice) = Advice::take(self)? else { return Ok(false) };
        self.clean()?;
        loop {
            let flushed = self.flush(stopping)?;
            if flushed && self.flush_is_first() {
                continue;
            }
            let merged = flushed && {
                let _one = self.merging.lock();
                let view = self.fresh_view()?;
                let sizes: Vec<u64> = view.tables.iter().map(|table| table.size()).collect();
                match due(&sizes) {
                    Some(_) if !calm && sizes.len() < SOME => return Ok(true),
                    Some(first) => self.merge(Run::merge(view, first, Share::Half), stopping)?,
                    None if self.index.view().tail() == 0 => return Ok(false),
                    None => true,
                }
            };
            // Stopped, or another was faster.
            if !merged {
                return Ok(false);
            }
        }
    }

    /// Makes one table of everything that was committed before the call.
    pub fn compact_all(&self) -> Result<()> {
        let deadline = self.clock.boottime() + self.lock_timeout;
        let advice = Advice::take(self)?;
        {
            let mut held = self.take_lock(deadline)?;
            let voucher = self.prepare(&mut held)?;
            if offset_of(self.page.appended()) > HEADER_LEN {
                self.roll(&mut held, &voucher, FirstFrame::default())?;
            }
        }
        if advice.is_some() {
            self.clean()?;
        }
        while !self.flush(&|| false)? {}
        let _one = self.merging.lock();
        while !self.merge(Run::merge(self.fresh_view()?, 0, Share::Most), &|| false)? {}
        Ok(())
    }

    /// Makes a table of the sealed segments. False if it was stopped, or another was faster.
    fn flush(&self, stopping: &dyn Fn() -> bool) -> Result<bool> {
        let _one = self.flushing.lock();
        self.replace(Run::flush(self.fresh_view()?), &|| Ok(stopping()))
    }

    /// Merges the run's tables. False if it was stopped, or another was faster.
    fn merge(&self, run: Run, stopping: &dyn Fn() -> bool) -> Result<bool> {
        let pause = || {
            if self.flush_is_first() {
                self.flush(stopping)?;
            }
            Ok(stopping())
        };
        self.replace(run, &pause)
    }

    /// Whether segments wait that are to become a table before anything is merged.
    fn flush_is_first(&self) -> bool {
        let view = self.index.view();
        view.tail() >= TAIL && view.tables.len() <= MANY
    }

    fn fresh_view(&self) -> Result<Arc<View>> {
        self.index.refreshed(self, segment_of(self.page.committed().position()))
    }

    /// Removes what a killed compactor left.
    fn clean(&self) -> Result<()> {
        let held = self.take_lock(self.clock.boottime() + self.lock_timeout)?;
        let now = self.published_manifest()?;
        recover::remove_strays(&*self.files.dir, &recover::list(&*self.files.dir)?, &now, false)?;
        drop(held);
        Ok(())
    }

    /// Under `LOCK`: the manifest as everybody knows it. One that was renamed by a switch that failed or died since is made durable
    /// and published first (rule 16): until then nobody goes by it, and what it doesn't name may not go.
    fn published_manifest(&self) -> Result<Manifest> {
        let now = self.files.current_manifest(&self.page)?;
        if now.generation != self.page.generation() {
            manifest::store(&*self.files.dir, &now)?;
            self.page.store_generation(now.generation);
        }
        Ok(now)
    }

    /// Merges a run into one table and switches the manifest. False if it was stopped, or another was faster. `pause` is called
    /// now and then, and stops it.
    fn replace(&self, run: Run, pause: &dyn Fn() -> Result<bool>) -> Result<bool> {
        if run.segments == 0 && run.view.tables.len() == run.first {
            return Ok(true);
        }
        let (number, file) = self.new_table()?;
        // Again and again on a full disk, each try would leave a table behind that takes what is left.
        self.build(run, number, file, pause).inspect_err(|_| self.remove_unnamed(number))
    }

    /// Nothing is removed that a manifest may name, as when it was renamed and its directory couldn't be synced: the one that
    /// a power cut would bring back may still name it, so the newest is made durable first.
    fn remove_unnamed(&self, number: u64) {
        let Ok(_held) = self.take_lock(self.clock.boottime() + self.lock_timeout) else { return };
        if self.published_manifest().is_ok_and(|now| !now.names(Holder::Table(number))) {
            self.remove(&names::table(number));
        }
    }

    fn build(&self, run: Run, number: u64, file: Arc<dyn File>, pause: &dyn Fn() -> Result<bool>) -> Result<bool> {
        let name = TableName { store: self.files.store, number, from: run.from(), to: run.to() };
        let mut builder = TableBuilder::new(file.clone(), name);
        if !self.fill(&run, &mut builder, pause)? {
            self.remove(&names::table(number));
            return Ok(false);
        }
        let files = run.files()?;
        let (named, gone): (Vec<_>, Vec<_>) = files.iter().partition(|file| builder.named().contains(&file.holder));
        let value_file = |file: &RunFile| ValueFile { owner: number, holder: file.holder, size: file.size };
        let mut made = Made { table: None, value_files: named.into_iter().map(value_file).collect() };
        if !builder.is_empty() {
            made.table = Some(TableEntry { number, from: name.from, to: name.to, size: builder.finish()? });
        }
        manifest::sync_directory(&*self.files.dir)?;
        let switched = self.switch(&run, number, &made, &*file)?;
        if switched && let Some(table) = made.table {
            self.counters.compactions.fetch_add(1, Ordering::Relaxed);
            self.counters.compacted_bytes.fetch_add(table.size, Ordering::Relaxed);
        } else {
            self.remove(&names::table(number));
        }
        if switched {
            let (tables, segments) = (run.tables().len(), run.segments().len());
            (self.log)(false, &format!("compacted {tables} tables and {segments} segments into table-{number}"));
            gone.iter().for_each(|file| self.remove(&name_of(file.holder)));
            self.fresh_view()?;
        }
        Ok(switched)
    }

    /// Nothing rests on these files any more; what can't be removed now is removed as a stray later.
    fn remove(&self, name: &str) {
        if let Err(e) = self.files.dir.remove(name)
            && e.kind() != io::ErrorKind::NotFound
        {
            (self.log)(true, &format!("can't remove {name}: {e}"));
        }
    }

    /// A table under a number that no other ever has: chosen under `LOCK`, since one that an older manifest calls the next may
    /// have been used meanwhile, and be free again.
    fn new_table(&self) -> Result<(u64, Arc<dyn File>)> {
        let _held = self.take_lock(self.clock.boottime() + self.lock_timeout)?;
        let mut number = self.files.current_manifest(&self.page)?.next_table;
        loop {
            match self.files.dir.open(&names::table(number), Access::CreateNew) {
                Ok(file) => return Ok((number, file)),
                // Another merges, too, or was killed.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(e) => return Err(Error::io(format_args!("create {}", names::table(number)), &e)),
            }
        }
    }

    /// Copies what is wanted. False if it was stopped.
    fn fill(&self, run: &Run, builder: &mut TableBuilder, pause: &dyn Fn() -> Result<bool>) -> Result<bool> {
        let to = run.to();
        let mut inputs = Vec::new();
        for memtable in &run.view.memtables[..run.segments] {
            inputs.push(Input { source: Box::new(memtable.source(to)), ranges: memtable.ranges() });
        }
        for table in &run.view.tables[run.first..] {
            inputs.push(Input { source: Box::new(table.cursor(false)), ranges: table.ranges()? });
        }
        if !run.reaches_the_oldest() {
            let ranges = RangeSet::union(inputs.iter().map(|i| &*i.ranges));
            ranges.iter().for_each(|(start, end, revision)| builder.add_range(start, end, revision));
        }
        let mut merge = Merge::new(inputs, to, None, Mode::Compact);
        if run.may_keep()? {
            match self.kept(run, &mut merge, pause)? {
                Some(files) => builder.keep(files),
                None => return Ok(false),
            }
        }
        each(&mut merge, pause, |version| {
            if self.wants(version) {
                builder.add_version(version)
            } else if !run.reaches_the_oldest() && !sabotage::is(Sabotage::TombstoneDropped) {
                // An older table may hold what must not show again.
                builder.add(version.key, version.revision, None)
            } else {
                Ok(())
            }
        })
    }

    /// The files that stay for their large values; `None` if it was stopped.
    fn kept(
        &self,
        run: &Run,
        merge: &mut Merge<'_>,
        pause: &dyn Fn() -> Result<bool>,
    ) -> Result<Option<BTreeSet<Holder>>> {
        let mut wanted = Wanted::default();
        let ended = each(merge, pause, |version| {
            if self.wants(version) {
                wanted.note(version);
            }
            Ok(())
        })?;
        let lens = run.files()?.into_iter().map(|file| (file.holder, file.len)).collect();
        Ok(ended.then(|| wanted.kept(&lens, run.share, run.other_value_files())))
    }

    fn wants(&self, version: &Version<'_>) -> bool {
        matches!(version.state, State::Live { tag, .. } if (self.retain)(version.key, tag))
    }

    /// Under `LOCK`, only if the inputs are still there: the manifest names the new table instead of the run.
    fn switch(&self, run: &Run, number: u64, made: &Made, file: &dyn File) -> Result<bool> {
        let _held = self.take_lock(self.clock.boottime() + self.lock_timeout)?;
        let now = self.published_manifest()?;
        let linked =
            file.identity().map_err(|e| Error::io(format_args!("stat {}", names::table(number)), &e))?.links > 0;
        let Some(mut new) = replaced(&now, run, made).filter(|_| linked) else { return Ok(false) };
        new.next_table = now.next_table.max(number + 1);
        new.generation = now.generation + 1;
        manifest::store(&*self.files.dir, &new)?;
        self.page.store_generation(new.generation);
        Ok(true)
    }
}

/// Calls `f` with each version, from the first one on. False if it was stopped.
fn each(
    merge: &mut Merge<'_>,
    pause: &dyn Fn() -> Result<bool>,
    mut f: impl FnMut(&Version<'_>) -> Result<()>,
) -> Result<bool> {
    merge.seek(b"")?;
    let mut count = 0u64;
    while let Some(version) = merge.current() {
        f(&version)?;
        merge.advance()?;
        count += 1;
        if count.is_multiple_of(PIECE) && pause()? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The merge that the tables' sizes, oldest first, ask for: from the oldest on that isn't much larger than all that is newer.
fn due(sizes: &[u64]) -> Option<usize> {
    let (mut newer, mut first) = (0, None);
    for (i, &size) in sizes.iter().enumerate().rev() {
        if size <= GROWTH * newer {
            first = Some(i);
        }
        newer += size;
    }
    first
}

/// flock(COMPACT): advice to leave merging to its holder.
struct Advice(Arc<dyn File>);

impl Advice {
    fn take(core: &Core) -> Result<Option<Advice>> {
        let file =
            super::open::open_or_create(&*core.files.dir, names::COMPACT).map_err(|e| Error::io("open COMPACT", &e))?;
        fork::abandon_in_children(&file).map_err(|e| Error::io("register a fork handler", &e))?;
        let taken = file.try_lock(crate::files::storage::Lock::Exclusive).map_err(|e| Error::io("lock COMPACT", &e))?;
        Ok(taken.then_some(Advice(file)))
    }
}

impl Drop for Advice {
    fn drop(&mut self) {
        // It fails only for a descriptor that isn't one.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
#[path = "compact_tests.rs"]
mod tests;
