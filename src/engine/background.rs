//! The background thread of a handle that writes: compacts when woken. Started when first needed, ended by close; it calls
//! none of the caller's functions.

use super::Core;
use crate::files::quiet_thread;
use crate::latch::{Condvar, Mutex};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// No segment was sealed for so long: it is time for what was left.
const CALM: Duration = Duration::from_millis(100);

/// The thread, once started.
#[derive(Debug, Default)]
pub struct Background {
    thread: Option<JoinHandle<()>>,
    bell: Arc<Bell>,
    stopped: bool,
}

#[derive(Debug, Default)]
struct Bell {
    state: Mutex<Ring>,
    rung: Condvar,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Ring {
    #[default]
    Silent,
    Work,
    Stop,
}

impl Bell {
    fn ring(&self, what: Ring) {
        let mut state = self.state.lock();
        if *state != Ring::Stop {
            *state = what;
        }
        self.rung.notify_one();
    }

    /// Waits for a ring; `Silent` if none came for so long.
    fn wait(&self, time: Option<Duration>) -> Ring {
        let mut state = self.rung.wait_while(self.state.lock(), time, |state| *state == Ring::Silent);
        if *state == Ring::Work { std::mem::take(&mut *state) } else { *state }
    }

    fn stopping(&self) -> bool {
        *self.state.lock() == Ring::Stop
    }
}

impl Background {
    /// There is something to compact.
    pub fn wake(&mut self, core: &Arc<Core>) {
        if self.stopped {
            return;
        }
        if self.thread.is_none() {
            self.start(core, false);
        }
        self.bell.ring(Ring::Work);
    }

    /// Who had the store open before left segments, which become a table once this handle has been open for a while.
    pub fn take_over(&mut self, core: &Arc<Core>) {
        self.start(core, true);
    }

    fn start(&mut self, core: &Arc<Core>, work_is_left: bool) {
        let (core, bell) = (core.clone(), self.bell.clone());
        let work = move || run(&bell, work_is_left, |calm| compact(&core, &bell, calm));
        // Without a thread writers merge by themselves, later.
        self.thread = quiet_thread::spawn("dirkv-compact", work).ok();
    }

    /// Ends the thread; a merge in progress is given up.
    pub fn stop(&mut self) {
        self.stopped = true;
        self.bell.ring(Ring::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was its end, too.
            let _ = thread.join();
        }
    }
}

/// True if merges are left for calmer times.
fn compact(core: &Core, bell: &Bell, calm: bool) -> bool {
    core.compact_in_background(calm, &|| bell.stopping()).unwrap_or_else(|e| {
        (core.log)(true, &format!("compaction failed: {e}"));
        false
    })
}

/// Until it is told to stop: calls `compact` with whether it is calm, when it is rung for, and after a while without a ring as long
/// as something is left, which `compact` returns.
fn run(bell: &Bell, mut work_is_left: bool, mut compact: impl FnMut(bool) -> bool) {
    loop {
        let rung = bell.wait(work_is_left.then_some(CALM));
        if rung == Ring::Stop {
            return;
        }
        work_is_left = compact(rung == Ring::Silent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_rung_for_once_and_the_end_for_ever() {
        let (bell, soon) = (Bell::default(), Some(Duration::from_millis(1)));
        assert_eq!(bell.wait(soon), Ring::Silent);
        bell.ring(Ring::Work);
        assert_eq!((bell.wait(None), bell.wait(soon)), (Ring::Work, Ring::Silent));
        assert!(!bell.stopping());
        bell.ring(Ring::Stop);
        bell.ring(Ring::Work);
        assert_eq!((bell.wait(None), bell.wait(None)), (Ring::Stop, Ring::Stop));
        assert!(bell.stopping());
    }

    #[test]
    fn what_is_left_is_merged_once_nobody_rings() {
        let (bell, mut calls) = (Bell::default(), Vec::new());
        bell.ring(Ring::Work);
        run(&bell, false, |calm| {
            calls.push(calm);
            if calls.len() == 2 {
                bell.ring(Ring::Stop);
            }
            true
        });
        assert_eq!(calls, [false, true]);
    }

    #[test]
    fn what_another_left_is_done_unasked() {
        let (bell, mut calls) = (Bell::default(), Vec::new());
        run(&bell, true, |calm| {
            calls.push(calm);
            bell.ring(Ring::Stop);
            false
        });
        assert_eq!(calls, [true]);
    }
}
