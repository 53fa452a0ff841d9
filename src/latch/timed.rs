//! A mutex with a time limit, which std's has not.

use super::{Condvar, Mutex, MutexGuard};
use std::ops::{Deref, DerefMut};
use std::time::Duration;

/// A mutex for which a thread waits only so long.
#[derive(Debug, Default)]
pub struct TimedMutex<T> {
    taken: Mutex<bool>,
    freed: Condvar,
    /// Locked only by who has it taken.
    value: Mutex<T>,
}

/// Such a mutex, locked.
#[derive(Debug)]
pub struct TimedGuard<'a, T> {
    value: MutexGuard<'a, T>,
    /// Dropped after the value's guard.
    _taken: Taken<'a>,
}

#[derive(Debug)]
struct Taken<'a> {
    taken: &'a Mutex<bool>,
    freed: &'a Condvar,
}

impl<T> TimedMutex<T> {
    /// Locks, unless that takes too long.
    pub fn lock_for(&self, time: Duration) -> Option<TimedGuard<'_, T>> {
        let mut taken = self.freed.wait_while(self.taken.lock(), Some(time), |taken| *taken);
        if std::mem::replace(&mut *taken, true) {
            return None;
        }
        drop(taken);
        let value = self.value.lock_at_once();
        Some(TimedGuard { value, _taken: Taken { taken: &self.taken, freed: &self.freed } })
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        *self.taken.lock_at_once() = false;
        self.freed.notify_one();
    }
}

impl<T> Deref for TimedGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for TimedGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}
