//! Whose turn it is. Time stands still but for what a step costs, and the jump to the next time limit when nobody can go on before
//! it; without one that is a deadlock.

use dirkv::latch::{self, Scheduler};
use fastrand::Rng;
use shuttle::rand::RngCore;
use shuttle::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Nanoseconds that a step takes.
const STEP: u64 = 1_000;

thread_local! {
    /// Of the run in progress. shuttle's threads are coroutines of one thread of the system.
    static TURNS: RefCell<Option<Rc<Turns>>> = const { RefCell::new(None) };
}

/// The scheduler of one run.
pub struct Turns {
    now: Cell<u64>,
    threads: Cell<usize>,
    /// Who tried in vain since the last step of anybody, and until when it waits.
    stuck: RefCell<BTreeMap<shuttle::current::TaskId, Option<u64>>>,
    /// How often each word of the shared page was woken.
    wakes: RefCell<BTreeMap<usize, u64>>,
    /// How many sleep on each.
    sleepers: RefCell<BTreeMap<usize, usize>>,
    jumps: Cell<u64>,
    /// How many sleep on purpose.
    asleep: Cell<usize>,
    rng: RefCell<Rng>,
    /// A look at it is where shuttle decides.
    fork: AtomicUsize,
}

/// Begins a run, whose first thread is the caller.
pub fn begin() {
    let turns = Rc::new(Turns {
        now: Cell::new(1_000_000_000),
        threads: Cell::new(1),
        stuck: RefCell::default(),
        wakes: RefCell::default(),
        sleepers: RefCell::default(),
        jumps: Cell::new(0),
        asleep: Cell::new(0),
        rng: RefCell::new(Rng::with_seed(shuttle::rand::thread_rng().next_u64())),
        fork: AtomicUsize::new(0),
    });
    latch::install(Some(turns.clone()));
    TURNS.set(Some(turns));
}

/// Ends it.
pub fn end() {
    latch::install(None);
    TURNS.set(None);
}

/// The run in progress.
pub fn turns() -> Rc<Turns> {
    TURNS.with_borrow(Clone::clone).expect("a run in progress")
}

impl Turns {
    /// A random number below a limit, from the seed of this run.
    pub fn random(&self, below: usize) -> usize {
        self.rng.borrow_mut().usize(..below)
    }

    /// A random number from the same seed.
    pub fn seed(&self) -> u64 {
        self.rng.borrow_mut().u64(..)
    }

    /// How often nobody could go on before a time limit was over, though nobody slept on purpose: a wake-up that was lost shows so.
    pub fn jumps(&self) -> u64 {
        self.jumps.get()
    }

    /// Sleeps until a word of the shared page is woken, at most for so long.
    pub fn sleep_on(&self, word: usize, nanos: u64) {
        let until = self.now.get().saturating_add(nanos);
        let wakes = || self.wakes.borrow().get(&word).copied();
        let before = wakes();
        *self.sleepers.borrow_mut().entry(word).or_default() += 1;
        while wakes() == before && self.now.get() < until {
            self.blocked(Some(until));
        }
        *self.sleepers.borrow_mut().entry(word).or_default() -= 1;
    }

    /// Wakes those who sleep on the word; whether there are any.
    pub fn wake(&self, word: usize) -> bool {
        *self.wakes.borrow_mut().entry(word).or_default() += 1;
        self.sleepers.borrow().get(&word).is_some_and(|sleepers| *sleepers > 0)
    }

    /// Lets the others go on for so long.
    pub fn sleep(&self, nanos: u64) {
        let until = self.now.get() + nanos;
        self.step();
        self.asleep.set(self.asleep.get() + 1);
        while self.now.get() < until {
            self.blocked(Some(until));
        }
        self.asleep.set(self.asleep.get() - 1);
    }

    /// Somebody does something: whoever tried in vain may succeed now.
    fn stir(&self) {
        self.stuck.borrow_mut().clear();
    }
}

impl Scheduler for Turns {
    fn step(&self) {
        // Whether a thread panics is known of the system's threads only, so nobody else may go on while one does.
        if std::thread::panicking() {
            return;
        }
        self.now.set(self.now.get() + STEP);
        self.stir();
        self.fork.load(SeqCst);
        self.stir();
    }

    fn blocked(&self, until: Option<u64>) {
        let first_limit = {
            let mut stuck = self.stuck.borrow_mut();
            stuck.insert(shuttle::current::me(), until);
            let all = stuck.len() == self.threads.get();
            all.then(|| stuck.values().flatten().min().copied())
        };
        match first_limit {
            None => shuttle::thread::yield_now(),
            Some(Some(limit)) => {
                self.now.set(self.now.get().max(limit));
                if self.asleep.get() == 0 {
                    self.jumps.set(self.jumps.get() + 1);
                }
                self.stir();
            }
            Some(None) => panic!("a deadlock: {} threads wait, none of them until some time", self.threads.get()),
        }
    }

    fn now(&self) -> u64 {
        self.now.get()
    }
}

/// A thread of the run.
pub struct Thread<T> {
    handle: shuttle::thread::JoinHandle<T>,
    ended: Arc<AtomicBool>,
}

/// Ends a thread's part in the run, however it ends.
struct Ends(Arc<AtomicBool>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
        if let Some(turns) = TURNS.with_borrow(Clone::clone) {
            turns.threads.set(turns.threads.get() - 1);
            turns.stir();
        }
    }
}

/// Starts a thread.
pub fn spawn<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Thread<T> {
    let ended = Arc::new(AtomicBool::new(false));
    let ends = Ends(ended.clone());
    let turns = turns();
    turns.threads.set(turns.threads.get() + 1);
    turns.stir();
    let handle = shuttle::thread::spawn(move || {
        let _ends = ends;
        f()
    });
    Thread { handle, ended }
}

impl<T> Thread<T> {
    /// Waits for its end; `None` if it panicked.
    pub fn join(self) -> Option<T> {
        while !self.ended.load(SeqCst) {
            turns().blocked(None);
        }
        self.handle.join().ok()
    }
}
