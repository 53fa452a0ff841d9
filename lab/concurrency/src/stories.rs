//! What happens under a schedule: the stories that the tests run as they are, and that must fail when the engine is broken on
//! purpose.

use crate::diary::{Seen, Written, judge, look, write};
use crate::seams::{directory, open};
use crate::turns::{Thread, spawn, turns};
use dirkv::engine::{Config, Decision, Engine, Request, Snapshot, Surroundings};
use dirkv::files::names::LOCK;
use dirkv::files::storage::{Access, Directory, Lock};
use dirkv::format::frame::Body;
use dirkv::{Backend, Code, Result};
use dirkv_sim::machine::{Action, Call, EIO, Machine, Plan};
use dirkv_sim::process::SimClock;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

const MILLISECOND: u64 = 1_000_000;
/// Longer than any story.
const LEASE: i64 = 60_000_000_000;

fn machine() -> Arc<Machine> {
    Machine::new(turns().seed())
}

fn handles(machine: &Arc<Machine>, count: usize, settings: &[(&str, &str)]) -> Vec<Arc<Backend>> {
    (0..count).map(|_| open(machine, settings).expect("a store")).collect()
}

/// One of these, at random.
fn one_of<T: Copy>(all: &[T]) -> T {
    all[turns().random(all.len())]
}

/// Threads that write, look, or do something else.
#[derive(Default)]
struct Crowd {
    writing: Vec<Thread<Written>>,
    looking: Vec<Thread<Seen>>,
}

impl Crowd {
    /// Starts `writers` that write `count` times each with so much padding, and `readers`, on each of the handles.
    fn start(handles: &[Arc<Backend>], writers: usize, readers: usize, count: u64, padding: usize) -> Crowd {
        let mut crowd = Crowd::default();
        for (i, store) in handles.iter().enumerate() {
            for j in 0..writers {
                let store = store.clone();
                crowd.writing.push(spawn(move || write(&store, &format!("{i}{j}"), count, padding)));
            }
            for _ in 0..readers {
                let store = store.clone();
                crowd.looking.push(spawn(move || look(&store, 4)));
            }
        }
        crowd
    }

    /// Waits for all; what they were told.
    fn end(self) -> (Vec<Written>, Vec<Seen>) {
        let written = self.writing.into_iter().map(|thread| thread.join().expect("a writer")).collect();
        (written, self.looking.into_iter().map(|thread| thread.join().expect("a reader")).collect())
    }
}

/// One process, or two, whose syncs and writes fail at some point.
pub fn failures() {
    let machine = machine();
    let handles = handles(&machine, 1 + turns().random(2), &[]);
    for _ in 0..1 + turns().random(2) {
        let call = one_of(&[Call::SyncData, Call::SyncData, Call::Write]);
        let matches = Box::new(move |c, name: &str| c == call && name.starts_with("log-"));
        machine.also_plan(Plan { matches, skip: turns().random(6) as u64, times: 1, action: Action::Fail(EIO) });
    }
    // Long values have sectors of their own, which no later frame writes again.
    let (written, seen) = Crowd::start(&handles, 3, 1, 2, one_of(&[0, 1_000])).end();
    machine.no_plan();
    judge(&machine, &written, &seen);
}

/// Nothing fails: then every change is promised and shows in every handle, and nobody is woken by the end of a time limit.
pub fn commits() {
    let machine = machine();
    let handles = handles(&machine, 1 + turns().random(2), &[]);
    let jumps = turns().jumps();
    let (written, seen) = Crowd::start(&handles, 3, 0, 2, 0).end();
    assert_eq!(turns().jumps(), jumps, "a wake-up was lost: everybody waited for a time limit");
    assert!(written.iter().all(Written::all_promised), "{written:?}");
    for store in &handles {
        let now = look(store, 1);
        assert!(written.iter().all(|w| w.shows_in(&now)), "one handle sees {now:?} of {written:?}");
    }
    judge(&machine, &written, &seen);
}

/// Values so large that segments roll, while readers follow in both processes and a thread compacts.
pub fn rolls() {
    let machine = machine();
    let handles = handles(&machine, 2, &[]);
    let compacting = handles[0].clone();
    let compactor = spawn(move || (0..2).for_each(|_| compacting.compact().expect("a compaction")));
    let (written, seen) = Crowd::start(&handles, 2, 2, 3, 9_000).end();
    compactor.join().expect("the compactor");
    assert!(written.iter().all(Written::all_promised), "{written:?}");
    judge(&machine, &written, &seen);
}

/// Another process keeps `LOCK` for about as long as writers wait for it.
pub fn timeouts() {
    let machine = machine();
    let handles = handles(&machine, 1, &[("lock_timeout", "10ms")]);
    let other = directory(&machine).open(LOCK, Access::Write).expect("LOCK");
    let holder = spawn(move || {
        if other.try_lock(Lock::Exclusive).expect("a lock") {
            turns().sleep(one_of(&[1, 9, 10, 11, 30]) * MILLISECOND);
            other.unlock().expect("an unlock");
        }
    });
    let (written, seen) = Crowd::start(&handles, 4, 0, 2, 0).end();
    holder.join().expect("the holder");
    assert!(write(&handles[0], "after", 1, 0).all_promised(), "nobody leads any more");
    judge(&machine, &written, &seen);
}

/// A handle is closed while others commit, look, and wait for a lease.
pub fn close() {
    let machine = machine();
    let handles = handles(&machine, 1, &[]);
    let holder = open(&machine, &[]).expect("a store");
    holder.acquire_lock("token", LEASE, 0).expect("the lease");
    let waiters: Vec<_> = (0..2)
        .map(|_| {
            let store = handles[0].clone();
            spawn(move || store.acquire_lock("token", LEASE, -1).expect_err("it is held").code)
        })
        .collect();
    let crowd = Crowd::start(&handles, 2, 1, 2, 0);
    let closed = handles[0].clone();
    let closer = spawn(move || closed.close());
    for waiter in waiters {
        assert_eq!(waiter.join(), Some(Code::Closed));
    }
    closer.join().expect("the closer");
    let (written, seen) = crowd.end();
    judge(&machine, &written, &seen);
}

/// A lease goes from hand to hand, over two processes: one holder at a time, growing fences, and each release wakes a waiter.
pub fn leases() {
    let machine = machine();
    let handles = handles(&machine, 2, &[]);
    let holder = Arc::new(std::sync::Mutex::new((0, 0)));
    let jumps = turns().jumps();
    let threads: Vec<_> = (0..4)
        .map(|i| {
            let (store, holder) = (handles[i % 2].clone(), holder.clone());
            spawn(move || {
                let fence = store.acquire_lock("token", LEASE, -1).expect("the lease");
                let (inside, last) = *holder.lock().expect("no panic");
                assert!(inside == 0 && last < fence, "{inside} beside me; fence {fence} after {last}");
                *holder.lock().expect("no panic") = (1, fence);
                turns().sleep(0);
                holder.lock().expect("no panic").0 = 0;
                store.release_lock("token", fence).expect("a release");
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("a holder"));
    assert_eq!(turns().jumps(), jumps, "a wake-up was lost: everybody waited for a time limit");
}

/// Creates and conditional puts of the same keys: one creator each, and sums that add up.
pub fn conditions() {
    let machine = machine();
    let handles = handles(&machine, 1 + turns().random(2), &[]);
    handles[0].create("", "sum", b"0", 0).expect("the first");
    let threads: Vec<_> = (0..4)
        .map(|i| {
            let store = handles[i % handles.len()].clone();
            spawn(move || add_and_create(&store))
        })
        .collect();
    let created: usize = threads.into_iter().map(|thread| thread.join().expect("a thread")).sum();
    assert_eq!(created, 2, "each of two keys is created once");
    let disk = machine.clone_disk(turns().seed());
    let left = open(&dirkv_sim::world::boot(disk, 1), &[]).expect("what is left");
    assert_eq!(left.get("", "sum").expect("a sum"), b"4");
    assert_eq!(left.keys("", None, 0).expect("names").len(), 3);
}

/// Adds 1 to the sum, and creates both keys; how many of them it was the first to create.
fn add_and_create(store: &Backend) -> usize {
    loop {
        let old = store.get("", "sum").expect("a sum");
        let sum: u32 = String::from_utf8_lossy(&old).parse().expect("a number");
        match store.compare_and_swap("", "sum", (sum + 1).to_string().as_bytes(), &old, 0) {
            Ok(_) => break,
            Err(e) => assert_eq!(e.code, Code::CompareFailed, "{e}"),
        }
    }
    let created = ["a", "b"].map(|key| match store.create("", key, b"", 0) {
        Ok(_) => true,
        Err(e) => {
            assert_eq!(e.code, Code::AlreadyExists, "{e}");
            assert!(store.exists("", key).expect("a look"), "told of {key}, which isn't there");
            false
        }
    });
    created.into_iter().filter(|created| *created).count()
}

struct Put(&'static [u8]);

impl Request for Put {
    fn decide(&mut self, _: &Snapshot) -> Result<Decision> {
        let mut body = Body::new();
        body.put(self.0, 0, b"value");
        Ok(Decision::Append(body))
    }
}

/// What unwinds the thread whose request panics.
struct OnPurpose;

struct Panics;

impl Request for Panics {
    fn decide(&mut self, _: &Snapshot) -> Result<Decision> {
        resume_unwind(Box::new(OnPurpose))
    }
}

/// A request panics, in whichever thread leads: nobody waits for ever, and who was told that it happened finds it there.
pub fn panics() {
    let machine = machine();
    let engine = Arc::new(engine(directory(&machine)));
    let commit = |request: fn() -> Box<dyn Request>| {
        let engine = engine.clone();
        spawn(move || catch_unwind(AssertUnwindSafe(|| engine.commit(request()))))
    };
    let putting = [commit(|| Box::new(Put(b"a"))), commit(|| Box::new(Put(b"b"))), commit(|| Box::new(Put(b"c")))];
    let panicking = commit(|| Box::new(Panics));
    let told = putting.map(|thread| thread.join().expect("an answer"));
    if let Ok(answer) = panicking.join().expect("an answer") {
        assert_eq!(answer.expect_err("it panicked").code, Code::Uncertain);
    }
    engine.commit(Box::new(Put(b"d"))).expect("a commit after all that");
    let view = engine.snapshot().expect("a snapshot");
    for (key, told) in [b"a", b"b", b"c"].iter().zip(told) {
        let there = view.get(*key, |_| Ok(Some(()))).expect("a look").is_some();
        match told {
            Ok(Ok(_)) => assert!(there, "{key:?} was promised"),
            Ok(Err(e)) => assert_eq!(e.code, Code::Uncertain, "{e}"),
            // Its thread led, and met the panic.
            Err(payload) => assert!(payload.is::<OnPurpose>()),
        }
    }
    assert_eq!(engine.check().expect("a check"), [""; 0]);
}

fn engine(dir: Arc<dyn Directory>) -> Engine {
    let config = Config {
        sync: None,
        read_only: false,
        segment_size: 64 << 10,
        lock_timeout: Duration::from_secs(1),
        memory_limit: 1 << 20,
        background: false,
    };
    let around =
        Surroundings { dir, clock: Arc::new(SimClock), retain: Arc::new(|_, _| true), log: Arc::new(|_, _| ()) };
    Engine::open(config, around).expect("an engine")
}
