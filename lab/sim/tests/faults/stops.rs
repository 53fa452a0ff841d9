//! A process that makes one call of the library in a thread of its own, and is stopped on the way.

use super::seals::in_time;
use dirkv::Backend;
use dirkv_sim::machine::{Action, Call, Machine, Plan};
use dirkv_sim::process::Process;
use dirkv_sim::world::Handle;
use std::sync::Arc;
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

pub struct Stopped<R> {
    process: Arc<Process>,
    thread: JoinHandle<R>,
}

impl<R: Send + 'static> Stopped<R> {
    /// Begins `work`; on return it is stopped before the first call that matches.
    pub fn at(
        machine: &Machine,
        matches: impl FnMut(Call, &str) -> bool + Send + 'static,
        handle: Handle,
        work: impl FnOnce(&Backend) -> R + Send + 'static,
    ) -> Stopped<R> {
        // Only SIGCONT ends it.
        machine.also_plan(Plan { matches: Box::new(matches), skip: 0, times: 1, action: Action::Stop(u64::MAX) });
        let process = handle.process.clone();
        let thread = spawn(move || work(handle.store()));
        while process.stopped() == 0 {
            assert!(!thread.is_finished(), "it ended without being stopped");
            sleep(Duration::from_millis(1));
        }
        assert!(machine.plan_is_over(), "something else should have happened before");
        Stopped { process, thread }
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.process.resume();
    }

    /// The same; then what it answers.
    pub fn goes_on(self) -> R {
        self.resume();
        in_time(move || self.thread.join().unwrap())
    }
}
