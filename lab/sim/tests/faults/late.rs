//! Who goes on late, when others have sealed, appended or taken a lock meanwhile.

use dirkv::Code;
use dirkv_sim::machine::{Action, Call, EIO, Machine, Plan};
use dirkv_sim::world::Handle;
use std::sync::Arc;

use super::seals::{code, holds};
use super::stops::Stopped;

fn open(machine: &Arc<Machine>) -> Handle {
    Handle::open(machine, &[("lock_timeout", "10s")]).expect("nobody is killed").expect("opens")
}

/// Where who has appended, and let go of LOCK, takes it once more to put something right.
fn takes_lock_again() -> impl FnMut(Call, &str) -> bool {
    let mut locks = 0;
    move |call, name| {
        locks += u64::from(call == Call::Lock && name == "LOCK");
        locks == 2
    }
}

/// Its descriptor met an error; what is in doubt was sealed off or written again by another, and nothing of the next segment is.
#[test]
fn who_met_an_error_leaves_the_next_segment_alone() {
    for seed in 0..10 {
        let machine = Machine::new(seed);
        let [a, b, c] = [(); 3].map(|()| open(&machine));
        a.store().upsert("", "before", b"1", 0).unwrap();
        machine.plan(Plan::next(Call::SyncData, "log-1", 1, Action::Fail(EIO)));
        let a = Stopped::at(&machine, takes_lock_again(), a, |store| code(store.upsert("", "in doubt", b"1", 0)));
        c.store().compact().unwrap();
        // Now the segment after the live one is there, too.
        c.store().upsert("", "next", b"1", 0).unwrap();
        let mut logs = machine.names().into_iter().filter(|name| name.starts_with("log-"));
        let live = logs.nth_back(1).expect("two segments");
        let syncs = move |call, name: &str| call == Call::SyncData && name == live;
        let b = Stopped::at(&machine, syncs, b, |store| code(store.upsert("", "well", b"1", 0)));
        let told = a.goes_on();
        assert!(matches!(told, None | Some(Code::Io)), "seed {seed}: {told:?}");
        assert_eq!(b.goes_on(), None, "seed {seed}");
        drop(c);
        let doubt = if told.is_some() { &[][..] } else { &["in doubt"] };
        holds(&machine, &[&["before"], doubt, &["next", "well"]].concat());
    }
}

/// Neither its write nor the seal succeeded; another made up for that, and was killed behind it.
#[test]
fn who_could_not_write_waits_for_nothing_of_the_next_segment() {
    let machine = Machine::new(5);
    let [a, b] = [(); 2].map(|()| open(&machine));
    a.store().upsert("", "before", b"1", 0).unwrap();
    machine.plan(Plan::next(Call::Write, "log-1", 1, Action::Fail(EIO)));
    machine.also_plan(Plan::next(Call::Rename, "", 1, Action::Fail(EIO)));
    let a = Stopped::at(&machine, takes_lock_again(), a, |store| code(store.upsert("", "unwritten", b"1", 0)));
    machine.plan(Plan::next(Call::SyncData, "log-2", 1, Action::Kill));
    assert!(b.call(|store| store.upsert("", "pending", b"1", 0)).is_none());
    assert_eq!(a.goes_on(), Some(Code::Io));
}

/// Its one look showed a free lock; whoever was quicker makes it `TIMEOUT`, as for all who come too late.
#[test]
fn who_loses_a_lock_as_its_time_ends_is_told_that_time_is_over() {
    const LEASE: i64 = 60_000_000_000;
    let machine = Machine::new(6);
    let [a, b] = [(); 2].map(|()| open(&machine));
    let takes_lock = |call, name: &str| call == Call::Lock && name == "LOCK";
    let a = Stopped::at(&machine, takes_lock, a, |store| code(store.acquire_lock("token", LEASE, 0)));
    b.store().acquire_lock("token", LEASE, 0).unwrap();
    assert_eq!(a.goes_on(), Some(Code::Timeout));
}
