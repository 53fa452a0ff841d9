//! One thread on its own: time passes only where it looks or waits, so that a run is the same each time, and nothing waits for
//! real. Where it would wait for somebody else for ever, it hangs, and says so.

use dirkv::latch::{Scheduler, install};
use std::cell::Cell;
use std::rc::Rc;

/// What a look at the clock takes, in nanoseconds.
const LOOK: u64 = 100;
const BEGIN: u64 = 1_000_000_000;

/// Whoever waits for others so often in a row waits for ever. (Once, a thread of a killed process does before it unwinds.)
const MOST_WAITS: u32 = 100;

struct Lonely {
    now: Cell<u64>,
    waits: Cell<u32>,
}

impl Scheduler for Lonely {
    fn step(&self) {
        self.waits.set(0);
    }

    fn blocked(&self, until: Option<u64>) {
        match until {
            Some(until) if until < u64::MAX => self.now.set(self.now.get().max(until)),
            _ => {
                self.waits.set(self.waits.get() + 1);
                let hangs = self.waits.get() > MOST_WAITS && !std::thread::panicking();
                assert!(!hangs, "it hangs: the only thread waits for another");
            }
        }
    }

    fn now(&self) -> u64 {
        self.now.set(self.now.get() + LOOK);
        self.now.get()
    }
}

/// Until it is dropped, this thread is on its own.
pub struct Alone(());

impl Alone {
    /// From the beginning of time.
    pub fn begin() -> Alone {
        install(Some(Rc::new(Lonely { now: Cell::new(BEGIN), waits: Cell::new(0) })));
        Alone(())
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        install(None);
    }
}
