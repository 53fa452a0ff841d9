//! What threads of one process wait on: std's locks, each of which is a word of its own on which the kernel lets wait. Other
//! locks share one table of all that wait in a process. A forked child would inherit it as the parent's threads left it, locked
//! or half changed, with waiters that the child doesn't have; its own threads, waiting at a store that it opened itself,
//! would hang or worse.
//!
//! Nothing is poisoned: what a panic leaves half done is put right by whoever did it (`Lead`, `Group`).
//!
//! In a build with the feature `lab`, which only tests make, a thread that a [`Scheduler`] simulates asks that one instead of
//! blocking, so that a run with many threads is one sequence of steps that can be had again.

#[cfg_attr(not(feature = "lab"), path = "unsimulated.rs")]
mod simulated;
mod timed;

#[cfg(feature = "lab")]
pub use simulated::{Scheduler, install, scheduler};
pub use std::sync::RwLockReadGuard;
pub use timed::{TimedGuard, TimedMutex};

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{self, LockResult, PoisonError, TryLockError, TryLockResult};
use std::time::Duration;

/// Between two looks whether the readers that waited have got in.
const NAP: Duration = Duration::from_micros(10);

fn locked<G>(result: LockResult<G>) -> G {
    result.unwrap_or_else(PoisonError::into_inner)
}

fn tried<G>(result: TryLockResult<G>) -> Option<G> {
    match result {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// A mutex.
#[derive(Debug, Default)]
pub struct Mutex<T>(sync::Mutex<T>);

/// A mutex, locked.
#[derive(Debug)]
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    guard: sync::MutexGuard<'a, T>,
}

impl<T> Mutex<T> {
    /// Unlocked.
    pub const fn new(value: T) -> Mutex<T> {
        Mutex(sync::Mutex::new(value))
    }
    /// Locks.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        simulated::lock(|| self.try_lock()).unwrap_or_else(|| self.lock_at_once())
    }
    /// Without a step of others.
    fn lock_at_once(&self) -> MutexGuard<'_, T> {
        simulated::lock_at_once(|| self.try_lock())
            .unwrap_or_else(|| MutexGuard { mutex: self, guard: locked(self.0.lock()) })
    }
    fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        tried(self.0.try_lock()).map(|guard| MutexGuard { mutex: self, guard })
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

/// A condition of what a mutex holds.
#[derive(Debug, Default)]
pub struct Condvar {
    condition: sync::Condvar,
    /// How many wait: a notification is a system call, in vain if nobody does.
    waiters: AtomicUsize,
    notified: simulated::Notified,
}

impl Condvar {
    /// Wakes one who waits. The caller has changed what it waits for, with the mutex locked.
    pub fn notify_one(&self) {
        self.notified.once_more();
        // Whoever looked before the change was counted by then, since it had the mutex before.
        if self.waiters.load(SeqCst) != 0 {
            self.condition.notify_one();
        }
    }

    /// Waits to be notified as long as `waits` is true, at most for `time`.
    pub fn wait_while<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        time: Option<Duration>,
        mut waits: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        let MutexGuard { mutex, guard } = match simulated::wait(&self.notified, guard, time, &mut waits) {
            Ok(guard) => return guard,
            Err(guard) => guard,
        };
        self.waiters.fetch_add(1, SeqCst);
        let guard = match time {
            None => locked(self.condition.wait_while(guard, waits)),
            Some(time) => locked(self.condition.wait_timeout_while(guard, time, waits)).0,
        };
        self.waiters.fetch_sub(1, SeqCst);
        MutexGuard { mutex, guard }
    }
}

/// A lock for many readers or one writer.
#[derive(Debug, Default)]
pub struct RwLock<T> {
    lock: sync::RwLock<T>,
    /// How many readers wait.
    waiting: AtomicUsize,
}

/// Such a lock, locked for writing.
#[derive(Debug)]
pub struct RwLockWriteGuard<'a, T> {
    lock: &'a RwLock<T>,
    /// Always there, but for a moment in `let_readers_in`.
    guard: Option<sync::RwLockWriteGuard<'a, T>>,
}

impl<T> RwLock<T> {
    /// Unlocked.
    pub const fn new(value: T) -> RwLock<T> {
        RwLock { lock: sync::RwLock::new(value), waiting: AtomicUsize::new(0) }
    }

    /// Locks for reading.
    #[inline]
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        let attempt = || tried(self.lock.try_read());
        simulated::lock(attempt).or_else(attempt).unwrap_or_else(|| self.wait_to_read())
    }

    #[cold]
    fn wait_to_read(&self) -> RwLockReadGuard<'_, T> {
        self.waiting.fetch_add(1, SeqCst);
        let guard = simulated::lock_at_once(|| tried(self.lock.try_read())).unwrap_or_else(|| locked(self.lock.read()));
        self.waiting.fetch_sub(1, SeqCst);
        guard
    }

    /// Locks for writing.
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        let guard = simulated::lock(|| tried(self.lock.try_write())).unwrap_or_else(|| self.write_at_once());
        RwLockWriteGuard { lock: self, guard: Some(guard) }
    }

    /// What nobody else can reach any more, without locking.
    pub fn get_mut(&mut self) -> &mut T {
        locked(self.lock.get_mut())
    }

    /// Without a step of others.
    fn write_at_once(&self) -> sync::RwLockWriteGuard<'_, T> {
        simulated::lock_at_once(|| tried(self.lock.try_write())).unwrap_or_else(|| locked(self.lock.write()))
    }
}

impl<T> RwLockWriteGuard<'_, T> {
    /// Has the readers that wait read, then goes on.
    pub fn let_readers_in(&mut self) {
        if self.lock.waiting.load(SeqCst) == 0 {
            return;
        }
        self.guard = None;
        while self.lock.waiting.load(SeqCst) != 0 {
            std::thread::sleep(NAP);
        }
        self.guard = Some(self.lock.write_at_once());
    }
}

const HELD: &str = "held as long as there is a guard";

impl<T> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.guard.as_ref().expect(HELD)
    }
}

impl<T> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.guard.as_mut().expect(HELD)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
