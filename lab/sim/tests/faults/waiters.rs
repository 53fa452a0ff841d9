//! Whoever waits while another seals, rolls, fails or holds `LOCK`: what it is told, and that nobody gives up before its time.

use dirkv::Code;
use dirkv_sim::machine::{Action, Call, EIO, Machine, Plan};
use dirkv_sim::world::{Handle, boot, dump};
use std::sync::Arc;
use std::thread::{scope, sleep};
use std::time::Duration;

use super::seals::{code, hold, holds, in_time, wait_for};
use super::stops::Stopped;

/// Long enough for a thread to queue.
const MOMENT: Duration = Duration::from_millis(40);
const FOR_EVER: u64 = u64::MAX;
const LEASE: i64 = 60_000_000_000;
/// A frame of it needs a segment of its own.
static LARGE: [u8; 65_400] = [2; 65_400];

fn open(machine: &Arc<Machine>, settings: &[(&str, &str)]) -> Handle {
    Handle::open(machine, settings).expect("nobody is killed").expect("opens")
}

/// Has all the time that it needs.
fn patient(machine: &Arc<Machine>) -> Handle {
    open(machine, &[("lock_timeout", "10s")])
}

fn os(machine: &Arc<Machine>) -> Handle {
    open(machine, &[("sync", "os"), ("lock_timeout", "10s")])
}

fn syncs(name: &'static str) -> impl FnMut(Call, &str) -> bool + Send + 'static {
    move |call, of| call == Call::SyncData && of == name
}

/// While one waits for the sync of its frame another seals the frame off and compacts; then, as long as the manifest can't be
/// opened so many times, the first goes on.
fn told_of_a_void_frame(settings: &[(&str, &str)], unreadable: u64) -> dirkv::Error {
    let machine = Machine::new(7);
    let (a, b) = (patient(&machine), open(&machine, settings));
    for handle in [&a, &b] {
        handle.store().upsert("", "before", b"1", 0).unwrap();
    }
    let b = Stopped::at(&machine, syncs("log-1"), b, |store| store.upsert("", "void", b"1", 0));
    machine.plan(Plan::next(Call::SyncData, "log-1", 1, Action::Fail(EIO)));
    assert_eq!(code(a.store().upsert("", "void, too", b"1", 0)), Some(Code::Io));
    a.store().compact().unwrap();
    machine.plan(Plan::next(Call::Open, "MANIFEST", unreadable, Action::Fail(EIO)));
    let e = b.goes_on().unwrap_err();
    assert!(!machine.names().contains(&"log-1".to_owned()), "{:?}", machine.names());
    machine.no_plan();
    drop(a);
    holds(&machine, &["before"]);
    e
}

#[test]
fn a_frame_that_another_sealed_off_is_void_although_its_segment_is_gone() {
    for unreadable in [0, 3] {
        let e = told_of_a_void_frame(&[("lock_timeout", "10s")], unreadable);
        assert_eq!((e.code, e.os_errno), (Code::Io, EIO), "unreadable {unreadable} times: {e}");
    }
}

#[test]
fn a_manifest_that_stays_unreadable_leaves_a_frame_uncertain() {
    assert_eq!(in_time(|| told_of_a_void_frame(&[], FOR_EVER)).code, Code::Uncertain);
}

/// One call of the log fails, and then so many renames of the manifest.
fn with_failing_seals(settings: &[(&str, &str)], failing: Call, renames: u64) -> Code {
    let machine = Machine::new(8);
    let a = open(&machine, settings);
    a.store().upsert("", "before", b"1", 0).unwrap();
    machine.plan(Plan::next(failing, "log-1", 1, Action::Fail(EIO)));
    machine.also_plan(Plan::next(Call::Rename, "", renames, Action::Fail(EIO)));
    let answer = in_time(move || (code(a.store().upsert("", "refused", b"1", 0)), a));
    machine.no_plan();
    drop(answer.1);
    if answer.0 != Some(Code::Uncertain) {
        holds(&machine, &["before"]);
    }
    answer.0.expect("it is refused")
}

#[test]
fn a_seal_that_fails_is_tried_again_until_the_time_is_over() {
    for failing in [Call::Write, Call::SyncData] {
        assert_eq!(with_failing_seals(&[("lock_timeout", "10s")], failing, 2), Code::Io, "{failing:?}");
        assert_eq!(with_failing_seals(&[], failing, FOR_EVER), Code::Uncertain, "{failing:?}");
    }
}

#[test]
fn a_refusal_that_a_frame_decided_which_was_not_written_is_decided_again() {
    let machine = Machine::new(9);
    let a = patient(&machine);
    a.store().upsert("", "before", b"1", 0).unwrap();
    let lock = hold(&machine);
    scope(|threads| {
        let first = threads.spawn(|| a.store().upsert("", "k", b"1", 0));
        sleep(MOMENT);
        let second = threads.spawn(|| a.store().create("", "k", b"2", 0));
        sleep(MOMENT);
        machine.plan(Plan::next(Call::Write, "log-1", 1, Action::Fail(EIO)));
        lock.unlock().unwrap();
        assert_eq!(code(first.join().unwrap()), Some(Code::Io));
        second.join().unwrap().unwrap();
    });
    assert_eq!(a.store().get("", "k").unwrap(), b"2");
    drop(a);
    holds(&machine, &["before", "k"]);
}

#[test]
fn a_refusal_that_was_decided_before_a_failed_write_stays() {
    let machine = Machine::new(10);
    let (a, b) = (patient(&machine), patient(&machine));
    a.store().upsert("", "before", b"1", 0).unwrap();
    let b = Stopped::at(&machine, syncs("log-1"), b, |store| code(store.upsert("", "k", b"1", 0)));
    let lock = hold(&machine);
    scope(|threads| {
        let first = threads.spawn(|| a.store().create("", "k", b"2", 0));
        sleep(MOMENT);
        let second = threads.spawn(|| a.store().upsert("", "l", b"2", 0));
        sleep(MOMENT);
        machine.plan(Plan::next(Call::Write, "log-1", 1, Action::Fail(EIO)));
        lock.unlock().unwrap();
        // What another appended is synced before the seal.
        assert_eq!(code(first.join().unwrap()), Some(Code::AlreadyExists));
        assert_eq!(code(second.join().unwrap()), Some(Code::Io));
    });
    assert_eq!(b.goes_on(), None);
}

/// A frame, and one decided on it that needs the next segment, in one group.
fn with_a_roll(machine: &Arc<Machine>, fails: bool) -> [Option<Code>; 2] {
    let a = patient(machine);
    a.store().upsert("", "before", b"1", 0).unwrap();
    let lock = hold(machine);
    scope(|threads| {
        let first = threads.spawn(|| a.store().upsert("", "k", b"1", 0));
        sleep(MOMENT);
        let second = threads.spawn(|| a.store().compare_and_swap("", "k", &LARGE, b"1", 0));
        sleep(MOMENT);
        machine.plan(Plan::next(Call::SyncData, "log-1", u64::from(fails), Action::Fail(EIO)));
        lock.unlock().unwrap();
        [code(first.join().unwrap()), code(second.join().unwrap())]
    })
}

#[test]
fn a_roll_commits_what_was_appended_before_it() {
    let machine = Machine::new(11);
    assert_eq!(with_a_roll(&machine, false), [None, None]);
    holds(&machine, &["before", "k"]);
}

#[test]
fn what_was_decided_on_a_frame_that_a_roll_made_void_does_not_happen() {
    let machine = Machine::new(12);
    assert_eq!(with_a_roll(&machine, true), [Some(Code::Io); 2]);
    holds(&machine, &["before"]);
}

#[test]
fn a_refusal_by_what_is_committed_waits_for_no_sync() {
    let machine = Machine::new(19);
    let a = patient(&machine);
    a.store().upsert("", "before", b"1", 0).unwrap();
    let lock = hold(&machine);
    scope(|threads| {
        let first = threads.spawn(|| code(a.store().upsert("", "k", b"1", 0)));
        sleep(MOMENT);
        let second = threads.spawn(|| code(a.store().create("", "before", b"2", 0)));
        sleep(MOMENT);
        machine.plan(Plan::next(Call::SyncData, "log-1", 1, Action::HoldAndFail(EIO)));
        lock.unlock().unwrap();
        wait_for(&machine, 1);
        let is_answered = (0..2_000).any(|_| {
            sleep(Duration::from_millis(1));
            second.is_finished()
        });
        machine.release();
        assert!(is_answered, "it waits for the sync of another's change");
        assert_eq!([first, second].map(|thread| thread.join().unwrap()), [Some(Code::Io), Some(Code::AlreadyExists)]);
    });
}

#[test]
fn a_newcomer_that_cannot_write_the_end_again_seals_it_off_and_goes_on() {
    let machine = Machine::new(13);
    let (a, b) = (patient(&machine), patient(&machine));
    a.store().upsert("", "before", b"1", 0).unwrap();
    machine.plan(Plan::next(Call::SyncData, "log-1", 1, Action::Kill));
    assert!(a.call(|store| store.upsert("", "pending", b"1", 0)).is_none());
    machine.plan(Plan::next(Call::Write, "log-1", FOR_EVER, Action::Fail(EIO)));
    b.store().upsert("", "after", b"1", 0).unwrap();
    drop((a, b));
    machine.no_plan();
    let keys = dump(patient(&machine).store()).unwrap().into_keys().collect::<Vec<_>>();
    assert!(keys.contains(&"after".to_owned()), "{keys:?}");
}

/// Whoever waits and sees a seal that nobody finishes finishes it.
#[test]
fn a_waiter_finishes_the_seal_of_one_that_was_killed() {
    let machine = Machine::new(14);
    let (a, b) = (patient(&machine), patient(&machine));
    for handle in [&a, &b] {
        handle.store().upsert("", "before", b"1", 0).unwrap();
    }
    let b = Stopped::at(&machine, syncs("log-1"), b, |store| code(store.upsert("", "void", b"1", 0)));
    machine.plan(Plan::next(Call::SyncData, "log-1", 1, Action::Fail(EIO)));
    machine.also_plan(Plan::next(Call::Rename, "", 1, Action::Kill));
    assert!(a.call(|store| store.upsert("", "void, too", b"1", 0)).is_none());
    assert_eq!(b.goes_on(), Some(Code::Io));
}

/// The same, though its own descriptor vouches for all that it wrote: another could not write that again.
#[test]
fn a_waiter_that_could_sync_finishes_the_seal_of_one_that_was_killed() {
    let machine = Machine::new(21);
    let (b, newcomer) = (patient(&machine), patient(&machine));
    b.store().upsert("", "before", b"1", 0).unwrap();
    let b = Stopped::at(&machine, syncs("log-1"), b, |store| code(store.upsert("", "void", b"1", 0)));
    machine.plan(Plan::next(Call::Write, "log-1", 1, Action::Fail(EIO)));
    machine.also_plan(Plan::next(Call::Rename, "", 1, Action::Kill));
    assert!(newcomer.call(|store| store.upsert("", "never", b"1", 0)).is_none());
    assert_eq!(b.goes_on(), Some(Code::Io));
}

/// An error is reported once to a descriptor: to whichever of two threads, were they in there at once.
#[test]
fn threads_sync_through_one_descriptor_one_after_the_other() {
    let machine = Machine::new(22);
    let a = &patient(&machine);
    a.store().upsert("", "before", b"1", 0).unwrap();
    machine.plan(Plan::next(Call::SyncData, "log-1", 2, Action::HoldAndFail(EIO)));
    scope(|threads| {
        let first = threads.spawn(|| code(a.store().upsert("", "k", b"1", 0)));
        wait_for(&machine, 1);
        // It loses patience with the first, and would sync by itself.
        let second = threads.spawn(|| code(a.store().upsert("", "l", b"1", 0)));
        sleep(5 * MOMENT);
        let held = machine.held();
        machine.no_plan();
        machine.release();
        assert_eq!(held, 1);
        assert_eq!([first, second].map(|thread| thread.join().unwrap()), [Some(Code::Io); 2]);
    });
}

/// At the n-th look at the shared page after `LOCK` was given back.
fn after_unlock(nth: u64) -> impl FnMut(Call, &str) -> bool + Send + 'static {
    let (mut unlocked, mut looks) = (false, 0);
    move |call, name| {
        unlocked |= call == Call::Unlock && name == "LOCK";
        looks += u64::from(unlocked && call == Call::Page);
        looks > nth
    }
}

#[test]
fn who_was_refused_by_a_failed_write_needs_no_lock_to_be_told() {
    let machine = Machine::new(20);
    let a = open(&machine, &[]);
    a.store().upsert("", "before", b"1", 0).unwrap();
    machine.plan(Plan::next(Call::Write, "log-1", 1, Action::Fail(EIO)));
    let a = Stopped::at(&machine, after_unlock(0), a, |store| code(store.upsert("", "k", b"1", 0)));
    let _lock = hold(&machine);
    assert_eq!(a.goes_on(), Some(Code::Io));
}

/// Another rolls while one is about to sync: its descriptor vouches for its own segment only.
#[test]
fn who_comes_to_sync_after_a_roll_commits_nothing_of_the_next_segment() {
    for nth in 0..8 {
        let machine = Machine::new(nth);
        let [a, b, c] = [(); 3].map(|()| patient(&machine));
        for handle in [&a, &b] {
            handle.store().upsert("", "before", b"1", 0).unwrap();
        }
        let b = Stopped::at(&machine, after_unlock(nth), b, |store| code(store.upsert("", "k", b"1", 0)));
        let a = Stopped::at(&machine, syncs("log-2"), a, |store| code(store.upsert("", "large", &LARGE, 0)));
        assert_eq!(b.goes_on(), None, "look {nth}");
        let seen = dump(c.store()).unwrap().len();
        for cut in 0..10 {
            let kept = dump(patient(&boot(machine.clone_disk(cut), cut)).store()).unwrap().len();
            assert!(kept >= seen, "look {nth}: {seen} were seen, {kept} are left");
        }
        assert_eq!(a.goes_on(), None, "look {nth}");
    }
}

#[test]
fn with_sync_os_a_sync_goes_on_after_a_roll() {
    for nth in 0..8 {
        let machine = Machine::new(nth);
        let [a, b] = [(); 2].map(|()| os(&machine));
        for handle in [&a, &b] {
            handle.store().upsert("", "before", b"1", 0).unwrap();
        }
        let b = Stopped::at(&machine, after_unlock(nth), b, |store| code(store.sync()));
        a.store().upsert("", "large", &LARGE, 0).unwrap();
        assert_eq!(b.goes_on(), None, "look {nth}");
        a.store().sync().unwrap();
        drop(a);
        holds(&machine, &["before", "large"]);
    }
}

#[test]
fn with_sync_os_a_sync_waits_for_who_holds_the_lock() {
    let machine = Machine::new(15);
    let a = os(&machine);
    a.store().upsert("", "k", b"1", 0).unwrap();
    let lock = hold(&machine);
    scope(|threads| {
        let sync = threads.spawn(|| a.store().sync());
        sleep(MOMENT);
        lock.unlock().unwrap();
        sync.join().unwrap().unwrap();
    });
    drop(a);
    holds(&machine, &["k"]);
}

/// What readers have seen is written again after a failed sync, unless the cache has lost it.
#[test]
fn with_sync_os_a_sync_after_a_failed_one_keeps_what_it_promises() {
    let mut kept = 0;
    for seed in 0..40 {
        let machine = Machine::new(seed);
        let a = os(&machine);
        a.store().upsert("", "k", &[7; 2_000], 0).unwrap();
        machine.plan(Plan::next(Call::SyncData, "log-1", 1, Action::Fail(EIO)));
        assert_eq!(code(a.store().sync()), Some(Code::Io));
        if a.store().sync().is_ok() {
            kept += 1;
            drop(a);
            holds(&machine, &["k"]);
        }
    }
    assert!(kept > 0, "it was lost each time");
}

#[test]
fn who_is_second_to_take_a_lease_is_told_of_the_first() {
    let machine = Machine::new(16);
    let (a, b) = (patient(&machine), patient(&machine));
    let lock = hold(&machine);
    let answers = scope(|threads| {
        let both = [&a, &b].map(|handle| threads.spawn(|| handle.store().acquire_lock("token", LEASE, 0)));
        sleep(MOMENT);
        lock.unlock().unwrap();
        both.map(|thread| code(thread.join().unwrap()))
    });
    assert!(answers.contains(&None) && answers.contains(&Some(Code::Timeout)), "{answers:?}");
}

#[test]
fn who_waits_for_a_lease_is_told_of_a_disk_that_fails() {
    let machine = Machine::new(17);
    let a = patient(&machine);
    a.store().upsert("", "before", b"1", 0).unwrap();
    machine.plan(Plan::next(Call::Write, "log-1", 1, Action::Fail(EIO)));
    assert_eq!(code(a.store().acquire_lock("token", LEASE, -1)), Some(Code::Io));
    a.store().acquire_lock("token", LEASE, 0).unwrap();
}

#[test]
fn who_queues_behind_a_leader_that_is_stuck_gives_up_in_time() {
    let machine = Machine::new(18);
    let a = open(&machine, &[]);
    a.store().upsert("", "before", b"1", 0).unwrap();
    machine.plan(Plan::next(Call::Write, "log-1", 1, Action::HoldAndFail(EIO)));
    let a = Arc::new(a);
    let leader = std::thread::spawn({
        let a = a.clone();
        move || code(a.store().upsert("", "stuck", b"1", 0))
    });
    wait_for(&machine, 1);
    let queued = in_time({
        let a = a.clone();
        move || code(a.store().upsert("", "queued", b"1", 0))
    });
    assert_eq!(queued, Some(Code::Timeout));
    machine.release();
    assert_eq!(leader.join().unwrap(), Some(Code::Io));
    a.store().upsert("", "after", b"1", 0).unwrap();
    drop(a);
    holds(&machine, &["after", "before"]);
}
