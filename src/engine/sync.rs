//! Anyone syncs, for everyone: one `fdatasync` of any waiter answers the commits of all processes that were appended
//! before it.

use super::Core;
use super::log::Segment;
use crate::error::{Code, Error, Result};
use crate::format::manifest::SyncMode;
use crate::format::position::{Position, segment_of};
use crate::latch::{Mutex, MutexGuard};
use crate::sabotage::{self, Sabotage};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Between two tries of what failed.
const PAUSE: Duration = Duration::from_millis(20);

/// A descriptor that may vouch for a segment: opened while holding `LOCK` (rule 6), since fdatasync reports a failed
/// write-back once to each descriptor that was open when it failed.
#[derive(Debug)]
pub struct Voucher {
    /// The segment, opened for writing.
    pub segment: Segment,
    /// How many bytes the segment's file had when it was opened.
    pub capacity: u64,
    /// Threads sync through the descriptor one at a time (rule 8).
    one: Mutex<()>,
    /// An error was reported: it vouches for nothing until, under `LOCK`, nothing is in doubt (rule 9).
    failed: AtomicBool,
    /// The last error's number, for the callers of void frames.
    errno: std::sync::atomic::AtomicI32,
}

/// What became of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It is committed.
    Committed,
    /// It lies beyond its segment's sealed end: it did not happen.
    Void,
}

impl Voucher {
    /// A descriptor opened under `LOCK`.
    pub fn new(segment: Segment) -> Result<Voucher> {
        let capacity = segment.len()?;
        Ok(Voucher { segment, capacity, one: Mutex::new(()), failed: AtomicBool::new(false), errno: 0.into() })
    }

    /// Whether an error was reported and nothing has cleared it yet.
    pub fn failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }
    /// Under `LOCK`, when `committed` equals `appended` or the segment is sealed (rule 9).
    pub fn clear(&self) {
        self.failed.store(false, Ordering::Release);
    }
    /// The number of the last error, or 0.
    pub fn errno(&self) -> i32 {
        self.errno.load(Ordering::Relaxed)
    }

    /// Rule 8.
    fn one_at_a_time(&self) -> Option<MutexGuard<'_, ()>> {
        (!sabotage::is(Sabotage::SyncsTogether)).then(|| self.one.lock())
    }

    fn sync_data(&self) -> std::io::Result<()> {
        if sabotage::is(Sabotage::NoFdatasync) { Ok(()) } else { self.segment.file().sync_data() }
    }

    /// One fdatasync of what is appended. What was committed before, for the publication that has to follow; `None` if the
    /// descriptor may not vouch, or the log goes on in another segment: then look again.
    pub fn sync_appended(&self, core: &Core) -> Result<Option<Position>> {
        let _one = self.one_at_a_time();
        // Rule 3: what is appended is read before the fdatasync.
        let mut target = core.page.appended();
        if self.failed() || segment_of(target) != self.segment.number() {
            return Ok(None);
        }
        let started = core.clock.boottime();
        if sabotage::is(Sabotage::PublishBeforeSync) && core.mode == SyncMode::Full {
            core.page.raise_committed(target);
        }
        match self.sync_data() {
            Ok(()) => {
                if sabotage::is(Sabotage::AppendedReadLate) {
                    target = core.page.appended();
                }
                core.page.record_sync_time(core.clock.boottime().saturating_sub(started));
                core.counters.syncs.fetch_add(1, Ordering::Relaxed);
                let before = core.page.committed().position();
                match core.mode {
                    SyncMode::Full => core.page.raise_committed(target),
                    SyncMode::Os => core.page.raise_synced(target),
                }
                Ok(Some(before))
            }
            Err(e) => {
                self.errno.store(e.raw_os_error().unwrap_or(0), Ordering::Relaxed);
                self.failed.store(!sabotage::is(Sabotage::FailedSyncRetried), Ordering::Release);
                core.log_failed_sync(self.segment.name(), &e);
                core.page.make_writable()?;
                Ok(None)
            }
        }
    }
}

impl Core {
    /// Waits until `goal` is committed, syncing if nobody else does. `voucher` is the descriptor of the goal's segment.
    /// `Err` only when a seal does not succeed within the lock timeout.
    pub fn wait_committed(&self, goal: Position, voucher: &Voucher) -> Result<Fate> {
        let mut stuck_since = None;
        // Others commit, too: a moment's patience lets the sync cover their frames.
        let mut company = false;
        loop {
            let seen = self.page.published();
            let committed = self.page.committed();
            if committed.position() >= goal {
                match self.fate(goal) {
                    // A manifest that can't be read now says nothing of the frame.
                    Err(_)
                        if self.clock.boottime()
                            < *stuck_since.get_or_insert_with(|| self.clock.boottime()) + self.lock_timeout =>
                    {
                        self.clock.sleep(PAUSE);
                        continue;
                    }
                    answer => return answer,
                }
            }
            // Rule 15: a waiter that sees a freeze takes LOCK to finish the seal.
            if committed.frozen() && !sabotage::is(Sabotage::FreezeIgnored) || voucher.failed() {
                let since = *stuck_since.get_or_insert_with(|| self.clock.boottime());
                self.resolve(voucher, since + self.lock_timeout)?;
                continue;
            }
            match self.claim_sync() {
                Ok(mine) => {
                    if company || self.page.appended() > goal {
                        self.clock.yield_now();
                    }
                    let synced = voucher.sync_appended(self)?;
                    // Before the wake-up: whoever still waits finds that it may sync.
                    self.page.release_sync(mine);
                    self.page.publish(synced.unwrap_or(committed.position()));
                }
                Err(patience) => {
                    company = true;
                    self.page.wait_published(seen, patience);
                }
            }
        }
    }

    /// Claims the hint that somebody syncs; else how long its holder may still take before it is passed over.
    fn claim_sync(&self) -> std::result::Result<u64, Duration> {
        let now = self.clock.boottime() / 1_000;
        let mine = now << 16 | self.claimant;
        let held = self.page.syncing();
        let limit = (self.page.sync_time() * 4).max(Duration::from_millis(1));
        let age = Duration::from_micros(now.saturating_sub(held >> 16));
        if held != 0 && age < limit {
            return Err(limit - age);
        }
        if self.page.claim_sync(held, mine) { Ok(mine) } else { Err(limit) }
    }

    /// Whether a frame that ends at or below `committed` happened.
    fn fate(&self, goal: Position) -> Result<Fate> {
        if segment_of(self.page.committed().position()) == segment_of(goal) {
            return Ok(Fate::Committed);
        }
        let view = self.index.refreshed(self, segment_of(goal) + 1)?;
        Ok(if view.manifest.is_void(goal) { Fate::Void } else { Fate::Committed })
    }

    /// After an error, or when a seal is under way: takes `LOCK`, which finishes a seal, then seals unless nothing is in
    /// doubt (rule 9). Tries again until `deadline`.
    fn resolve(&self, voucher: &Voucher, deadline: u64) -> Result<()> {
        loop {
            let outcome = self.take_lock(deadline).and_then(|mut held| self.settle(&mut held, voucher));
            match outcome {
                Err(e) if self.clock.boottime() >= deadline => return Err(e),
                // A seal that can't be made durable: everyone who takes LOCK tries again.
                Err(_) => {
                    let seen = self.page.published();
                    self.page.wait_published(seen, PAUSE);
                }
                Ok(()) => return Ok(()),
            }
        }
    }

    /// Under `LOCK`: clears a descriptor that met an error, or seals the segment (rule 9).
    pub fn settle(&self, held: &mut super::store_lock::Held<'_>, voucher: &Voucher) -> Result<()> {
        let appended = self.page.appended();
        if !voucher.failed() {
            return Ok(());
        }
        if segment_of(appended) != voucher.segment.number() || self.durable() >= appended {
            voucher.clear();
            return Ok(());
        }
        self.doubt_ends(held, voucher)
    }

    /// The position that a successful fdatasync has covered.
    pub fn durable(&self) -> Position {
        match self.mode {
            SyncMode::Full => self.page.committed().position(),
            SyncMode::Os => self.page.synced(),
        }
    }

    /// Everything written before is durable on return.
    pub fn sync(&self) -> Result<()> {
        if self.mode == SyncMode::Full {
            return Ok(());
        }
        let goal = self.page.appended();
        let deadline = self.clock.boottime() + self.lock_timeout;
        while self.page.synced() < goal {
            let voucher = {
                let mut held = self.take_lock(deadline)?;
                self.prepare(&mut held)?
            };
            if voucher.sync_appended(self)?.is_none() && voucher.failed() {
                let mut e = Error::new(
                    Code::Io,
                    format!("can't sync {}: the system reported an error", voucher.segment.name()),
                );
                e.os_errno = voucher.errno();
                return Err(e);
            }
        }
        Ok(())
    }
}
