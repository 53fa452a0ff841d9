//! With `sync=os`: a write fails, no seal can be made at once, and others write over what it left.

use dirkv::Code;
use dirkv_sim::machine::{Action, Call, EIO, Machine, Plan};
use dirkv_sim::world::{Handle, boot, dump};
use std::sync::Arc;

use super::seals::code;
use super::stops::Stopped;

fn open(machine: &Arc<Machine>) -> Handle {
    Handle::open(machine, &[("sync", "os"), ("lock_timeout", "10s")]).expect("nobody is killed").expect("opens")
}

fn has(machine: &Arc<Machine>, key: &str) -> bool {
    dump(open(machine).store()).unwrap().contains_key(key)
}

/// One writer's frame for `refused` may lie in the cache: the write failed, and so did the syncs before the seal. Now it is
/// stopped before it tries again, and another may write.
fn with_a_failed_write(seed: u64) -> (Arc<Machine>, Stopped<Option<Code>>, Handle) {
    let machine = Machine::new(seed);
    let [a, b] = [(); 2].map(|()| open(&machine));
    a.store().upsert("", "before", b"1", 0).unwrap();
    b.store().upsert("", "too", b"1", 0).unwrap();
    // So that the failed syncs lose nothing of these.
    machine.write_back();
    machine.plan(Plan::next(Call::Write, "log-1", 1, Action::Fail(EIO)));
    machine.also_plan(Plan::next(Call::SyncData, "log-1", 2, Action::Fail(EIO)));
    let mut locks = 0;
    let tries_again = move |call, name: &str| {
        locks += i32::from(call == Call::Lock && name == "LOCK");
        locks == 2
    };
    let a = Stopped::at(&machine, tries_again, a, |store| code(store.upsert("", "refused", b"1", 0)));
    machine.no_plan();
    (machine, a, b)
}

#[test]
fn whoever_was_written_over_by_one_that_was_killed_is_answered() {
    let mut pending = 0;
    for step in 0..20 {
        let (machine, a, b) = with_a_failed_write(step);
        let mut wrote = false;
        let matches = Box::new(move |call, name: &str| {
            wrote |= call == Call::Write && name == "log-1";
            wrote && call == Call::Page
        });
        machine.plan(Plan { matches, skip: step, times: 1, action: Action::Kill });
        let was_killed = b.call(|store| store.upsert("", "instead", b"1", 0)).is_none();
        machine.no_plan();
        let is_committed = has(&machine, "instead");
        assert_eq!(a.goes_on(), Some(Code::Io), "killed at step {step}");
        let is_there = has(&machine, "instead");
        assert!(is_there || was_killed && !is_committed, "killed at step {step}");
        assert!(!has(&machine, "refused"), "killed at step {step}");
        pending += i32::from(is_there && !is_committed);
    }
    assert!(pending > 0, "nobody was killed after appended and before committed");
}

#[test]
fn what_was_written_over_is_refused_once_no_power_cut_brings_it_back() {
    let mut whole = 0;
    for seed in 0..40 {
        let (machine, a, b) = with_a_failed_write(seed);
        let brought_back = || (0..20).filter(|&cut| has(&boot(machine.clone_disk(cut), cut), "refused")).count();
        whole += brought_back();
        b.store().upsert("", "instead", b"1", 0).unwrap();
        assert_eq!(a.goes_on(), Some(Code::Io), "seed {seed}");
        assert_eq!(brought_back(), 0, "seed {seed}");
    }
    assert!(whole > 0, "the failed write never left a whole frame");
}

#[test]
fn what_nobody_wrote_over_is_refused_once_no_power_cut_brings_it_back() {
    for seed in 0..40 {
        let (machine, a, _b) = with_a_failed_write(seed);
        assert_eq!(a.goes_on(), Some(Code::Io), "seed {seed}");
        for cut in 0..20 {
            assert!(!has(&boot(machine.clone_disk(cut), cut), "refused"), "seed {seed}, cut {cut}");
        }
    }
}
