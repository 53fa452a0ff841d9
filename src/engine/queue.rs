//! The queue of one process's commits: exactly one thread leads while anyone waits.

use super::Core;
use super::commit::{Committed, Request};
use crate::error::{Code, Error, Result};
use crate::latch::{Condvar, Mutex, MutexGuard};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// One commit in progress.
pub struct Pending {
    request: Mutex<Box<dyn Request>>,
    state: Mutex<State>,
    changed: Condvar,
}

enum State {
    /// In the queue; nobody works for it yet.
    Queued,
    /// In the queue, and to lead.
    Leading,
    /// A leader works for it.
    Taken,
    /// What decided it turned out void: to be decided again.
    Again,
    Answered(Result<Committed>),
}

impl Pending {
    /// Its request; only the leader asks.
    pub fn request(&self) -> MutexGuard<'_, Box<dyn Request>> {
        self.request.lock()
    }
    /// Answers it.
    pub fn answer(&self, answer: Result<Committed>) {
        self.set(State::Answered(answer));
    }
    /// Has it decided again.
    pub fn again(&self) {
        self.set(State::Again);
    }
    /// Answers it if nobody has and nobody will: the thread that worked for it panicked.
    pub fn abandon(&self) {
        let mut state = self.state.lock();
        if matches!(*state, State::Taken) {
            let what = "the change may or may not have happened: the thread that wrote it for others panicked";
            *state = State::Answered(Err(Error::new(Code::Uncertain, what)));
            self.changed.notify_one();
        }
    }
    fn set(&self, state: State) {
        *self.state.lock() = state;
        self.changed.notify_one();
    }
}

/// Those that a leader works for; mostly it is alone.
pub type Batch = SmallVec<[Arc<Pending>; 1]>;

/// Who waits for a leader.
#[derive(Default)]
pub struct Queue {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    waiting: VecDeque<Arc<Pending>>,
    /// A thread leads, or has been told to.
    led: bool,
}

impl Queue {
    /// Joins the queue; true if the caller is to lead.
    fn join(&self, pending: &Arc<Pending>) -> bool {
        let mut inner = self.inner.lock();
        *pending.state.lock() = State::Queued;
        inner.waiting.push_back(pending.clone());
        !std::mem::replace(&mut inner.led, true)
    }

    /// Leaves the queue; false if it wasn't in it.
    pub fn remove(&self, pending: &Arc<Pending>) -> bool {
        let mut inner = self.inner.lock();
        let before = inner.waiting.len();
        inner.waiting.retain(|p| !Arc::ptr_eq(p, pending));
        inner.waiting.len() < before
    }

    /// The same, of who gives up. Who was told to lead in that moment hands the lead on.
    fn leave(&self, pending: &Arc<Pending>) -> bool {
        let was_in = self.remove(pending);
        if was_in && matches!(*pending.state.lock(), State::Leading) {
            self.pass_lead();
        }
        was_in
    }

    /// The leader takes everyone. Who finds itself gone from the queue is told in the same moment that it was taken: it would
    /// look again and again, else.
    pub fn take_all(&self) -> Batch {
        let mut inner = self.inner.lock();
        let batch: Batch = inner.waiting.drain(..).collect();
        batch.iter().for_each(|p| *p.state.lock() = State::Taken);
        batch
    }

    /// The leader is done: the first who waits leads next.
    pub fn pass_lead(&self) {
        let mut inner = self.inner.lock();
        match inner.waiting.front() {
            Some(next) => next.set(State::Leading),
            None => inner.led = false,
        }
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("waiting", &self.inner.lock().waiting.len()).finish()
    }
}

impl Core {
    /// Decides the request under `LOCK` and appends its frame; returns once the answer survives a power cut.
    pub fn commit(&self, request: Box<dyn Request>) -> Result<Committed> {
        let pending = Arc::new(Pending {
            request: Mutex::new(request),
            state: Mutex::new(State::Queued),
            changed: Condvar::default(),
        });
        let deadline = self.clock.boottime() + self.lock_timeout;
        let mut lead = self.queue.join(&pending);
        loop {
            if std::mem::take(&mut lead) {
                self.lead(&pending, deadline);
            }
            let mut state = pending.state.lock();
            match &*state {
                State::Answered(answer) => return answer.clone(),
                State::Again => {
                    drop(state);
                    lead = self.queue.join(&pending);
                }
                State::Leading => lead = true,
                State::Taken => {
                    drop(pending.changed.wait_while(state, None, |state| matches!(state, State::Taken)));
                }
                State::Queued => {
                    let left = Duration::from_nanos(deadline.saturating_sub(self.clock.boottime()));
                    state = pending.changed.wait_while(state, Some(left), |state| matches!(state, State::Queued));
                    if matches!(*state, State::Queued) {
                        drop(state);
                        if self.queue.leave(&pending) {
                            return Err(Error::new(
                                Code::Timeout,
                                "LOCK could not be had within lock_timeout; nothing was written",
                            ));
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Decision, Snapshot};

    struct Never;

    impl Request for Never {
        fn decide(&mut self, _: &Snapshot) -> Result<Decision> {
            Err(Error::new(Code::Internal, "nobody leads"))
        }
    }

    fn pending() -> Arc<Pending> {
        let (request, state) = (Mutex::new(Box::new(Never) as Box<dyn Request>), Mutex::new(State::Queued));
        Arc::new(Pending { request, state, changed: Condvar::default() })
    }

    /// Who gives up must know whether somebody works for it already: then something may be written.
    #[test]
    fn who_leaves_the_queue_is_told_whether_it_was_in_it() {
        let (queue, first, second) = (Queue::default(), pending(), pending());
        assert!(queue.join(&first) && !queue.join(&second));
        assert!(queue.leave(&second) && !queue.leave(&second));
        assert_eq!(queue.take_all().len(), 1);
        assert!(!queue.leave(&first));
    }

    #[test]
    fn who_gives_up_as_it_is_told_to_lead_hands_the_lead_on() {
        let (queue, [first, second, third]) = (Queue::default(), [(); 3].map(|()| pending()));
        assert!(queue.join(&first) && !queue.join(&second) && !queue.join(&third));
        assert!(queue.remove(&first));
        queue.pass_lead();
        assert!(queue.leave(&second));
        assert!(matches!(*third.state.lock(), State::Leading));
        assert!(queue.leave(&third) && queue.join(&first), "nobody leads");
    }
}
