//! What threads of one process wait on: parking_lot's mutexes and conditions. In a build with the feature `lab`, which
//! only tests make, a thread that a [`Scheduler`] simulates asks that one instead of blocking, so that a run with many threads is
//! one sequence of steps that can be had again.

#[cfg(not(feature = "lab"))]
pub use parking_lot::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

#[cfg(feature = "lab")]
pub use lab::*;

#[cfg(feature = "lab")]
mod lab {
    pub use parking_lot::{MutexGuard, RwLockReadGuard, RwLockWriteGuard};
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
    use std::time::Duration;

    /// Decides which of the simulated threads of this thread goes on.
    pub trait Scheduler {
        /// Before a step: others may take theirs first.
        fn step(&self);
        /// The caller can't go on before another has taken a step, or `now` has reached `until`; returns then, or earlier.
        fn blocked(&self, until: Option<u64>);
        /// Nanoseconds of a clock that never steps.
        fn now(&self) -> u64;
    }

    thread_local! {
        static SCHEDULER: RefCell<Option<Rc<dyn Scheduler>>> = const { RefCell::new(None) };
    }

    /// From now on the scheduler decides for everything that runs on this thread; `None` ends that.
    pub fn install(scheduler: Option<Rc<dyn Scheduler>>) {
        SCHEDULER.set(scheduler);
    }

    /// Who decides here.
    pub fn scheduler() -> Option<Rc<dyn Scheduler>> {
        SCHEDULER.with_borrow(Clone::clone)
    }

    /// Tries until it succeeds or `time` has passed.
    fn until<T>(scheduler: &dyn Scheduler, time: Option<Duration>, attempt: impl Fn() -> Option<T>) -> Option<T> {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let deadline = time.map(|time| scheduler.now().saturating_add(nanos(time)));
        scheduler.step();
        loop {
            if let Some(value) = attempt() {
                return Some(value);
            }
            if deadline.is_some_and(|deadline| scheduler.now() >= deadline) {
                return None;
            }
            scheduler.blocked(deadline);
        }
    }

    /// A mutex.
    #[derive(Debug, Default)]
    pub struct Mutex<T>(parking_lot::Mutex<T>);

    impl<T> Mutex<T> {
        /// Unlocked.
        pub const fn new(value: T) -> Mutex<T> {
            Mutex(parking_lot::Mutex::new(value))
        }
        /// Locks.
        pub fn lock(&self) -> MutexGuard<'_, T> {
            let simulated = scheduler().and_then(|s| until(&*s, None, || self.0.try_lock()));
            simulated.unwrap_or_else(|| self.0.lock())
        }
        /// Locks, unless that takes too long.
        pub fn try_lock_for(&self, time: Duration) -> Option<MutexGuard<'_, T>> {
            match scheduler() {
                Some(s) => until(&*s, Some(time), || self.0.try_lock()),
                None => self.0.try_lock_for(time),
            }
        }
    }

    /// A lock for many readers or one writer.
    #[derive(Debug, Default)]
    pub struct RwLock<T>(parking_lot::RwLock<T>);

    impl<T> RwLock<T> {
        /// Locks for reading.
        pub fn read(&self) -> RwLockReadGuard<'_, T> {
            let simulated = scheduler().and_then(|s| until(&*s, None, || self.0.try_read()));
            simulated.unwrap_or_else(|| self.0.read())
        }
        /// Locks for writing.
        pub fn write(&self) -> RwLockWriteGuard<'_, T> {
            let simulated = scheduler().and_then(|s| until(&*s, None, || self.0.try_write()));
            simulated.unwrap_or_else(|| self.0.write())
        }
    }

    /// A condition.
    #[derive(Debug, Default)]
    pub struct Condvar {
        real: parking_lot::Condvar,
        notified: AtomicU64,
    }

    /// How a wait ended.
    #[derive(Clone, Copy, Debug)]
    pub struct WaitTimeoutResult(bool);

    impl WaitTimeoutResult {
        /// By its time limit.
        pub fn timed_out(self) -> bool {
            self.0
        }
    }

    impl Condvar {
        /// Nobody waits.
        pub const fn new() -> Condvar {
            Condvar { real: parking_lot::Condvar::new(), notified: AtomicU64::new(0) }
        }
        /// Wakes one who waits (or more: they look again).
        pub fn notify_one(&self) {
            self.notified.fetch_add(1, SeqCst);
            self.real.notify_one();
        }
        /// Waits to be notified.
        pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
            match scheduler() {
                Some(s) => drop(self.simulated(&*s, guard, None)),
                None => self.real.wait(guard),
            }
        }
        /// Waits to be notified, at most so long.
        pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, time: Duration) -> WaitTimeoutResult {
            match scheduler() {
                Some(s) => WaitTimeoutResult(self.simulated(&*s, guard, Some(time)).is_none()),
                None => WaitTimeoutResult(self.real.wait_for(guard, time).timed_out()),
            }
        }
        /// Ends in a moment in which the mutex is free, so that its guard can be had again without a step of others.
        fn simulated<T>(
            &self,
            scheduler: &dyn Scheduler,
            guard: &mut MutexGuard<'_, T>,
            time: Option<Duration>,
        ) -> Option<()> {
            let (seen, mutex) = (self.notified.load(SeqCst), MutexGuard::mutex(guard));
            MutexGuard::unlocked(guard, || {
                let notified = until(scheduler, time, || (self.notified.load(SeqCst) != seen).then_some(()));
                while mutex.is_locked() {
                    scheduler.blocked(None);
                }
                notified
            })
        }
    }
}
