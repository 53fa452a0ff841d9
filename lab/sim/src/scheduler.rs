//! Who goes on when: threads of simulated processes are coroutines of one thread of the system, and one seed draws after which
//! step which of them goes on. A step is a call of a seam, a look at the shared page, or a latch. Time passes with the steps, and
//! jumps when everybody waits. A killed process's threads stop where they are, as after SIGKILL: nothing of them runs any more.

use crate::process::Process;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use dirkv::latch::{self, Scheduler};
use fastrand::Rng;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

/// How a thread's last turn ended.
#[derive(Clone, Copy, Debug)]
enum Pause {
    Step,
    Blocked(Option<u64>),
}

type Thread = Coroutine<(), Pause, ()>;

const BEGIN: u64 = 1_000_000_000;

thread_local! {
    /// Of the coroutine that runs now.
    static YIELDER: Cell<*const Yielder<(), Pause>> = const { Cell::new(std::ptr::null()) };
}

fn suspend(pause: Pause) {
    let yielder = YIELDER.get();
    // SAFETY: only code of a coroutine gets here, and it set this to its own yielder when it began and whenever it was resumed.
    unsafe { (*yielder).suspend(pause) };
    YIELDER.set(yielder);
}

/// A thread as the scheduler knows it.
struct Waiting {
    process: Arc<Process>,
    pause: Pause,
    /// How many steps there had been when it last found that it can't go on.
    looked: u64,
    ended: bool,
}

impl Waiting {
    fn wakes(&self) -> Option<u64> {
        match self.pause {
            Pause::Step => Some(self.process.stopped()),
            Pause::Blocked(until) => until.map(|until| until.max(self.process.stopped())),
        }
    }

    fn can_go_on(&self, now: u64, steps: u64) -> bool {
        let ready = match self.pause {
            Pause::Step => true,
            Pause::Blocked(until) => self.looked < steps || until.is_some_and(|until| until <= now),
        };
        ready && self.process.stopped() <= now
    }
}

struct State {
    rng: Rng,
    now: u64,
    steps: u64,
    current: usize,
    threads: Vec<Waiting>,
    digest: u64,
}

/// The scheduler of one machine.
pub struct Sim {
    state: RefCell<State>,
    /// After one in so many steps another thread may go on.
    odds: u32,
    /// A run that takes more steps has no end.
    limit: u64,
}

/// What one thread does.
pub type Work = Box<dyn FnOnce()>;

impl Sim {
    /// All that is random comes from `seed`. Where somebody decides already it goes on with that one's time.
    pub fn new(seed: u64, odds: u32, limit: u64) -> Rc<Sim> {
        let (rng, now) = (Rng::with_seed(seed), latch::scheduler().map_or(BEGIN, |before| before.now()));
        let state = State { rng, now, steps: 0, current: 0, threads: Vec::new(), digest: 0 };
        Rc::new(Sim { state: RefCell::new(state), odds, limit })
    }

    /// How many steps there were.
    pub fn steps(&self) -> u64 {
        self.state.borrow().steps
    }

    /// A number that tells one course of events from another.
    pub fn digest(&self) -> u64 {
        self.state.borrow().digest
    }

    /// Runs the threads until each has ended or is dead. The error says what went wrong: a panic, or no end.
    pub fn run(self: &Rc<Sim>, work: Vec<(Arc<Process>, Work)>) -> Result<(), String> {
        let mut threads: Vec<Option<Thread>> = Vec::new();
        let mut state = self.state.borrow_mut();
        state.threads.clear();
        for (process, work) in work {
            state.threads.push(Waiting { process, pause: Pause::Step, looked: 0, ended: false });
            threads.push(Some(Coroutine::new(move |yielder, ()| {
                YIELDER.set(yielder);
                work();
            })));
        }
        drop(state);
        let before = latch::scheduler();
        latch::install(Some(self.clone()));
        let outcome = self.go(&mut threads);
        bury(threads.into_iter().flatten().collect());
        // Whoever decided before does so again, when it is as late as it is.
        if let Some(before) = &before {
            before.blocked(Some(self.now()));
        }
        latch::install(before);
        outcome
    }

    fn go(&self, threads: &mut [Option<Thread>]) -> Result<(), String> {
        while let Some(next) = self.next()? {
            let thread = threads[next].as_mut().ok_or("a thread that ended goes on")?;
            let turn = catch_unwind(AssertUnwindSafe(|| thread.resume(())));
            let state = &mut *self.state.borrow_mut();
            match turn {
                Ok(CoroutineResult::Yield(pause)) => {
                    state.threads[next].pause = pause;
                    state.threads[next].looked = state.steps;
                }
                Ok(CoroutineResult::Return(())) => {
                    state.threads[next].ended = true;
                    // Others may wait for what it left.
                    state.steps += 1;
                    threads[next] = None;
                }
                Err(payload) => {
                    threads[next] = None;
                    return Err(message(&*payload));
                }
            }
            if state.steps > self.limit {
                return Err(format!("no end after {} steps", state.steps));
            }
        }
        Ok(())
    }

    /// Who goes on; `None` when nobody is left.
    fn next(&self) -> Result<Option<usize>, String> {
        let State { rng, now, steps, threads, current, digest, .. } = &mut *self.state.borrow_mut();
        let alive = |thread: &Waiting| !thread.ended && !thread.process.is_dead();
        let able = |now: u64| -> Vec<usize> {
            let able = threads.iter().enumerate().filter(|(_, t)| alive(t) && t.can_go_on(now, *steps));
            able.map(|(number, _)| number).collect()
        };
        let mut candidates = able(*now);
        if candidates.is_empty() {
            if !threads.iter().any(alive) {
                return Ok(None);
            }
            let wakes = threads.iter().filter(|t| alive(t)).filter_map(Waiting::wakes).min();
            *now = (*now).max(wakes.ok_or("everybody waits for ever")?);
            candidates = able(*now);
        }
        let next = candidates[rng.usize(..candidates.len())];
        *current = next;
        *digest = (*digest ^ *steps ^ (next as u64) << 48).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        Ok(Some(next))
    }
}

impl Scheduler for Sim {
    fn step(&self) {
        if self.state.borrow_mut().step(self.odds, self.limit) {
            suspend(Pause::Step);
        }
    }

    fn blocked(&self, until: Option<u64>) {
        suspend(Pause::Blocked(until));
    }

    fn now(&self) -> u64 {
        self.state.borrow().now
    }
}

impl State {
    /// Whether another thread may go on after this one.
    fn step(&mut self, odds: u32, limit: u64) -> bool {
        self.steps += 1;
        self.now += self.rng.u64(100..2_000);
        self.rng.u32(..odds) == 0 || self.steps > limit
    }
}

/// Unwinds what the dead left on their stacks, so that its memory is free again. Nothing of that reaches the machine: it
/// answers no call of a dead process. Whoever waits there for a latch of another waits until that one is unwound.
fn bury(dead: Vec<Thread>) {
    let undertaker = Rc::new(Undertaker(RefCell::new(dead)));
    latch::install(Some(undertaker.clone()));
    while undertaker.next() {}
}

struct Undertaker(RefCell<Vec<Thread>>);

impl Undertaker {
    fn next(&self) -> bool {
        let next = self.0.borrow_mut().pop();
        next.is_some()
    }
}

impl Scheduler for Undertaker {
    fn step(&self) {}

    fn blocked(&self, _: Option<u64>) {
        assert!(self.next(), "two of the dead wait for each other");
    }

    fn now(&self) -> u64 {
        u64::MAX
    }
}

fn message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or(payload.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message").to_owned()
}
