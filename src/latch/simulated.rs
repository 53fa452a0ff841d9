//! In tests: threads that a scheduler simulates, one of which goes on at a time; and threads that spin, under ThreadSanitizer.

use super::MutexGuard;
use std::cell::{Cell, RefCell};
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

/// Has a thread that nobody simulates try again and again, in a build that is watched by ThreadSanitizer: it doesn't see what std's
/// locks do to wait, since std isn't built with it, and sees what they do to try.
struct Spins {
    /// It knows no clock: the time that it has slept at least.
    slept: Cell<Duration>,
}

impl Scheduler for Spins {
    fn step(&self) {}
    fn blocked(&self, _: Option<u64>) {
        std::thread::sleep(super::NAP);
        self.slept.set(self.slept.get() + super::NAP);
    }
    fn now(&self) -> u64 {
        u64::try_from(self.slept.get().as_nanos()).unwrap_or(u64::MAX)
    }
}

fn spins() -> Option<Rc<dyn Scheduler>> {
    cfg!(feature = "watched").then(|| Rc::new(Spins { slept: Cell::default() }) as Rc<dyn Scheduler>)
}

/// How often a condition was notified.
#[derive(Debug, Default)]
pub(super) struct Notified(AtomicU64);

impl Notified {
    pub(super) fn once_more(&self) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// Tries until it succeeds; `None` if nobody simulates this thread.
pub(super) fn lock<T>(attempt: impl Fn() -> Option<T>) -> Option<T> {
    until(&*scheduler()?, None, attempt)
}

/// Where a thread would wait: tries until it succeeds; `None` unless threads spin.
pub(super) fn lock_at_once<T>(attempt: impl Fn() -> Option<T>) -> Option<T> {
    until(&*spins()?, None, attempt)
}

/// Tries until it succeeds or the deadline has come.
fn until<T>(scheduler: &dyn Scheduler, deadline: Option<u64>, attempt: impl Fn() -> Option<T>) -> Option<T> {
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

/// Waits to be notified as long as `waits` is true, at most for `time`; gives the guard back if nobody simulates this thread.
pub(super) fn wait<'a, T>(
    notified: &Notified,
    mut guard: MutexGuard<'a, T>,
    time: Option<Duration>,
    waits: &mut impl FnMut(&mut T) -> bool,
) -> Result<MutexGuard<'a, T>, MutexGuard<'a, T>> {
    let Some(scheduler) = scheduler().or_else(spins) else { return Err(guard) };
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let deadline = time.map(|time| scheduler.now().saturating_add(nanos(time)));
    let mut in_time = true;
    while waits(&mut guard) && in_time {
        let (seen, mutex) = (notified.0.load(SeqCst), guard.mutex);
        drop(guard);
        in_time = until(&*scheduler, deadline, || (notified.0.load(SeqCst) != seen).then_some(())).is_some();
        // In the first moment in which the mutex is free.
        guard = loop {
            match mutex.try_lock() {
                Some(guard) => break guard,
                None => scheduler.blocked(None),
            }
        };
    }
    Ok(guard)
}
