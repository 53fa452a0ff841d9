//! `LOCK`: who may append. The process's own mutex first, then flock. A killed holder leaves it free; a stopped one makes
//! others wait, at most their lock timeout.

use super::page::Page;
use super::sync::Voucher;
use crate::error::{Code, Error, Result};
use crate::files::names;
use crate::files::storage::{Clock, Directory, File, Identity, Lock};
use crate::latch::{TimedGuard, TimedMutex};
use crate::sabotage::{self, Sabotage};
use std::sync::Arc;
use std::time::Duration;

/// flock has no queue: a holder that is killed bumps no futex word, so waiters look again this often.
const LOOK_AGAIN: Duration = Duration::from_millis(3);

/// For so long (nanoseconds) the directory is believed that no name changed: it tells by the system's time, which can be set
/// back.
const BELIEVED: u64 = 100_000_000;

/// The file, its identity, and what only its holder may touch.
#[derive(Debug)]
pub struct StoreLock {
    file: Arc<dyn File>,
    identity: Identity,
    shared: Identity,
    writer: TimedMutex<Writer>,
}

/// What a process keeps from one hold of `LOCK` to the next.
#[derive(Debug, Default)]
pub struct Writer {
    /// The descriptor that vouches for the live segment.
    pub voucher: Option<Arc<Voucher>>,
    /// The last change of the directory when the names were looked up, and when that was, on the boot-time clock.
    looked_up: Option<(i64, u64)>,
}

/// The lock, held. Dropping it unlocks by LOCK_UN and wakes those who wait.
pub struct Held<'a> {
    lock: &'a StoreLock,
    page: &'a Page,
    /// The writer's state.
    pub writer: TimedGuard<'a, Writer>,
}

impl StoreLock {
    /// `file` is `LOCK` as opened, `shared` what `SHARED` is.
    pub fn new(file: Arc<dyn File>, shared: Identity) -> Result<StoreLock> {
        let identity = file.identity().map_err(|e| Error::io("stat LOCK", &e))?;
        Ok(StoreLock { file, identity, shared, writer: TimedMutex::default() })
    }

    /// Takes the lock, waiting until `deadline` (on the boot-time clock, nanoseconds).
    pub fn take<'a>(
        &'a self,
        dir: &dyn Directory,
        page: &'a Page,
        clock: &dyn Clock,
        deadline: u64,
    ) -> Result<Held<'a>> {
        let left = Duration::from_nanos(deadline.saturating_sub(clock.boottime()));
        let writer = self.writer.lock_for(left).ok_or_else(timeout)?;
        if !try_exclusive(&*self.file)? {
            self.wait(page, clock, deadline)?;
        }
        if let Err(e) = page.make_writable() {
            // It fails only for a descriptor that isn't one. Nothing is stored in a page that can't be written.
            let _ = self.file.unlock();
            return Err(e);
        }
        let mut held = Held { lock: self, page, writer };
        self.still_ours(dir, clock.boottime(), &mut held.writer)?;
        Ok(held)
    }

    /// Until flock is ours.
    fn wait(&self, page: &Page, clock: &dyn Clock, deadline: u64) -> Result<()> {
        page.make_writable()?;
        let _waiter = page.lock_waiter();
        loop {
            let seen = page.unlocked();
            if try_exclusive(&*self.file)? {
                return Ok(());
            }
            let left = deadline.saturating_sub(clock.boottime());
            if left == 0 {
                return Err(timeout());
            }
            page.wait_unlocked(seen, LOOK_AGAIN.min(Duration::from_nanos(left)));
        }
    }

    /// `LOCK` or `SHARED` replaced or unlinked under us would be a second truth.
    fn still_ours(&self, dir: &dyn Directory, now: u64, writer: &mut Writer) -> Result<()> {
        // Before the lookups, so that what changes meanwhile is another change.
        let changed = dir.changed();
        if let (Some(changed), Some((known, at))) = (changed, writer.looked_up)
            && changed == known
            && now - at < BELIEVED
        {
            return Ok(());
        }
        writer.looked_up = None;
        for (name, ours) in [(names::LOCK, &self.identity), (names::SHARED, &self.shared)] {
            match dir.identity(name) {
                Ok(now) if (now.device, now.inode) == (ours.device, ours.inode) => (),
                Ok(_) => return Err(Error::new(Code::Io, format!("{name} was replaced while the store was open"))),
                Err(e) => {
                    return Err(Error::io(format_args!("find {name}, which was there when the store was opened"), &e));
                }
            }
        }
        writer.looked_up = changed.map(|changed| (changed, now));
        Ok(())
    }
}

impl Held<'_> {
    /// Broken on purpose (rule 12).
    pub fn free_early(&self) {
        let _ = self.lock.file.unlock();
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // An unlock can only fail for a descriptor that isn't one; closing it at the latest frees the lock.
        let _ = self.lock.file.unlock();
        self.page.announce_unlock();
    }
}

/// flock(LOCK_EX) without waiting.
pub fn try_exclusive(file: &dyn File) -> Result<bool> {
    let taken = file.try_lock(Lock::Exclusive).map_err(|e| Error::io("lock LOCK", &e))?;
    Ok(taken || sabotage::is(Sabotage::LockIgnored))
}

fn timeout() -> Error {
    Error::new(Code::Timeout, "another process or thread held LOCK for longer than lock_timeout")
}
