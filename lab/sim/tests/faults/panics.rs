//! A request that panics: nobody waits for ever, and nothing half done shows.

use super::seals::{code, hold, in_time};
use dirkv::Code;
use dirkv::engine::{Config, Decision, Engine, Request, Snapshot, Surroundings};
use dirkv::format::frame::Body;
use dirkv_sim::machine::Machine;
use dirkv_sim::process::{Process, SimClock, SimDirectory};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

struct Put(&'static [u8]);

impl Request for Put {
    fn decide(&mut self, _: &Snapshot) -> dirkv::Result<Decision> {
        let mut body = Body::new();
        body.put(self.0, 0, b"value");
        Ok(Decision::Append(body))
    }
}

struct Panics;

impl Request for Panics {
    fn decide(&mut self, _: &Snapshot) -> dirkv::Result<Decision> {
        panic!("on purpose")
    }
}

/// The engine of a process, without the backend around it.
pub fn engine(machine: &Arc<Machine>) -> Engine {
    let around = Surroundings {
        dir: Arc::new(SimDirectory(Process::start(machine))),
        clock: Arc::new(SimClock),
        retain: Arc::new(|_, _| true),
        log: Arc::new(|_, _| ()),
    };
    let config = Config {
        sync: None,
        read_only: false,
        segment_size: 64 << 10,
        lock_timeout: Duration::from_secs(5),
        memory_limit: 1 << 20,
        background: false,
    };
    Engine::open(config, around).unwrap()
}

#[test]
fn a_request_that_panics_leaves_nobody_waiting_and_nothing_in_the_index() {
    let machine = Machine::new(5);
    let engine = Arc::new(engine(&machine));
    let lock = hold(&machine);
    let run = |request: Box<dyn Request>| {
        let engine = engine.clone();
        let thread = std::thread::spawn(move || engine.commit(request).map(|c| c.revision));
        sleep(Duration::from_millis(30));
        thread
    };
    let threads = [run(Box::new(Put(b"a"))), run(Box::new(Panics)), run(Box::new(Put(b"c")))];
    lock.unlock().unwrap();
    let [a, panics, c] = in_time(|| threads.map(|thread| thread.join()));
    assert!(a.is_err(), "the leader's thread is the one that panics");
    assert_eq!(code(panics.unwrap()), Some(Code::Uncertain));
    assert_eq!(code(c.unwrap()), Some(Code::Uncertain));
    let engine = in_time(move || {
        engine.commit(Box::new(Put(b"d"))).unwrap();
        engine
    });
    let view = engine.snapshot().unwrap();
    let there = |key: &[u8]| view.get(key, |_| Ok(Some(()))).unwrap().is_some();
    assert_eq!([b"a", b"c", b"d"].map(|key| there(key)), [false, false, true]);
    assert_eq!(engine.check().unwrap(), [""; 0]);
}
