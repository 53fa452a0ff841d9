//! What can't be vouched for is sealed off: who gets which error, who sees what, and how others go on.

use dirkv::backend::NewItem;
use dirkv::files::storage::{Access, Directory, File, Lock};
use dirkv::{Backend, Code};
use dirkv_sim::machine::{Action, Call, EIO, ENOSPC, Machine, Plan};
use dirkv_sim::process::{Process, SimDirectory};
use dirkv_sim::world::{Handle, boot, dump};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::{scope, sleep};
use std::time::Duration;

const FOR_EVER: u64 = u64::MAX;
const LEASE: i64 = 60_000_000_000;

fn open(machine: &Arc<Machine>) -> Handle {
    Handle::open(machine, &[("lock_timeout", "10s")]).expect("nobody is killed").expect("opens")
}

/// Gives up soon.
fn hasty(machine: &Arc<Machine>) -> Handle {
    Handle::open(machine, &[]).expect("nobody is killed").expect("opens")
}

pub fn code<T>(result: dirkv::Result<T>) -> Option<Code> {
    result.err().map(|e| e.code)
}

/// Another process that holds LOCK, so that threads queue.
pub fn hold(machine: &Arc<Machine>) -> Arc<dyn File> {
    let lock = SimDirectory(Process::start(machine)).open("LOCK", Access::Write).unwrap();
    assert!(lock.try_lock(Lock::Exclusive).unwrap());
    lock
}

/// So many values fill a segment together, while none is so large that it would stay in the log.
pub const FILL: usize = 16;

pub fn fill(store: &Backend, bucket: &str) -> dirkv::Result<u64> {
    let keys: Vec<String> = (0..FILL).map(|n| format!("{n:02}")).collect();
    let items: Vec<_> = keys.iter().map(|key| NewItem { key: key.as_bytes(), value: &[2; 4_000], ttl: 0 }).collect();
    store.upsert_items(bucket, &items)
}

/// Opened anew, with and without a power cut, the store holds these keys.
pub fn holds(machine: &Arc<Machine>, keys: &[&str]) {
    let shows = |machine: &Arc<Machine>| {
        let handle = open(machine);
        assert_eq!(dump(handle.store()).unwrap().into_keys().collect::<Vec<_>>(), keys);
        assert_eq!(handle.store().check().unwrap(), [""; 0]);
    };
    // First, since a recovery in the same page cache would mend what isn't durable.
    (0..20).for_each(|seed| shows(&boot(machine.clone_disk(seed), seed)));
    shows(machine);
}

/// Until so many calls are held up.
pub fn wait_for(machine: &Machine, held: u64) {
    for _ in 0..5_000 {
        if machine.held() == held {
            return;
        }
        sleep(Duration::from_millis(1));
    }
    machine.release();
    panic!("{held} calls should wait");
}

#[test]
fn void_frames_are_refused_and_nobody_sees_them() {
    for seed in 0..20 {
        let machine = Machine::new(seed);
        let (a, b) = (open(&machine), open(&machine));
        a.store().upsert("", "before", b"1", 0).unwrap();
        b.store().upsert("", "from b", b"1", 0).unwrap();
        machine.plan(Plan::next(Call::SyncData, "log-1", 1, Action::Fail(EIO)));
        let e = a.store().upsert("", "void", b"1", 0).unwrap_err();
        assert_eq!((e.code, e.os_errno), (Code::Io, EIO));
        assert!(e.message.contains("did not happen"), "{e}");
        for handle in [&a, &b] {
            assert_eq!(code(handle.store().get("", "void")), Some(Code::NotFound));
        }
        b.store().create("", "after", b"1", 0).unwrap();
        assert!(machine.names().contains(&"log-3".to_owned()), "it goes on in log-2, with the next one made");
        assert_eq!(code(a.store().create("", "after", b"2", 0)), Some(Code::AlreadyExists));
        drop((a, b));
        holds(&machine, &["after", "before", "from b"]);
    }
}

#[test]
fn a_refusal_that_a_void_frame_decided_is_decided_again() {
    let machine = Machine::new(1);
    let (a, b) = (open(&machine), open(&machine));
    for handle in [&a, &b] {
        handle.store().upsert("", "before", b"1", 0).unwrap();
    }
    machine.plan(Plan::next(Call::SyncData, "log-1", 2, Action::HoldAndFail(EIO)));
    scope(|threads| {
        let first = threads.spawn(|| a.store().upsert("", "k", b"a", 0));
        wait_for(&machine, 1);
        let second = threads.spawn(|| b.store().create("", "k", b"b", 0));
        // It looked at the frame, and syncs itself once it has lost patience with the first.
        wait_for(&machine, 2);
        assert_eq!(code(b.store().get("", "k")), Some(Code::NotFound), "not committed");
        machine.release();
        assert_eq!(code(first.join().unwrap()), Some(Code::Io));
        second.join().unwrap().unwrap();
    });
    for handle in [&a, &b] {
        assert_eq!(handle.store().get("", "k").unwrap(), b"b");
    }
    drop((a, b));
    holds(&machine, &["before", "k"]);
}

#[test]
fn a_lease_taken_behind_a_void_release_was_never_given_back() {
    let machine = Machine::new(4);
    let (a, b) = (open(&machine), open(&machine));
    let fence = a.store().acquire_lock("token", LEASE, 0).unwrap();
    b.store().upsert("", "k", b"1", 0).unwrap();
    machine.plan(Plan::next(Call::SyncData, "log-1", 2, Action::HoldAndFail(EIO)));
    scope(|threads| {
        let release = threads.spawn(|| a.store().release_lock("token", fence));
        wait_for(&machine, 1);
        // Without waiting: the release is appended. It syncs itself once it has lost patience with the first.
        let acquire = threads.spawn(|| b.store().acquire_lock("token", LEASE, 0));
        wait_for(&machine, 2);
        assert_eq!(b.store().locks().unwrap()[0].fence, fence, "nobody sees the release");
        machine.release();
        assert_eq!(code(release.join().unwrap()), Some(Code::Io));
        assert_eq!(code(acquire.join().unwrap()), Some(Code::Io));
    });
    assert_eq!(code(b.store().acquire_lock("token", LEASE, 0)), Some(Code::Timeout));
    a.store().release_lock("token", fence).unwrap();
    assert!(b.store().acquire_lock("token", LEASE, 0).unwrap() > fence);
}

#[test]
fn a_seal_that_cannot_be_made_durable_leaves_the_store_frozen_and_is_finished_by_the_next() {
    for failing in [Call::Rename, Call::SyncDir] {
        let machine = Machine::new(2);
        let (a, b) = (hasty(&machine), hasty(&machine));
        a.store().upsert("", "before", b"1", 0).unwrap();
        b.store().upsert("", "too", b"1", 0).unwrap();
        let mut syncs = 1;
        let matches = Box::new(move |call, name: &str| {
            let sync = call == Call::SyncData && name.starts_with("log-") && syncs > 0;
            syncs -= i32::from(sync);
            sync || call == failing
        });
        machine.plan(Plan { matches, skip: 0, times: FOR_EVER, action: Action::Fail(EIO) });
        assert_eq!(code(a.store().upsert("", "void", b"1", 0)), Some(Code::Uncertain));
        for handle in [&a, &b] {
            assert_eq!(dump(handle.store()).unwrap().len(), 2, "reads go on");
            assert_eq!(code(handle.store().upsert("", "refused", b"1", 0)), Some(Code::Io));
        }
        machine.no_plan();
        b.store().upsert("", "after", b"1", 0).unwrap();
        assert_eq!(dump(a.store()).unwrap().len(), 3);
        a.store().upsert("", "again", b"1", 0).unwrap();
        drop((a, b));
        holds(&machine, &["after", "again", "before", "too"]);
    }
}

#[test]
fn what_a_failed_write_left_in_the_cache_is_sealed_off() {
    for seed in 0..20 {
        let machine = Machine::new(seed);
        let (a, b) = (open(&machine), open(&machine));
        a.store().upsert("", "before", b"1", 0).unwrap();
        machine.plan(Plan::next(Call::Write, "log-1", 1, Action::Fail(ENOSPC)));
        let e = a.store().upsert("", "void", b"1", 0).unwrap_err();
        assert_eq!((e.code, e.os_errno), (Code::NoSpace, ENOSPC));
        assert_eq!(code(b.store().get("", "void")), Some(Code::NotFound));
        // Nobody writes over it.
        drop((a, b));
        holds(&machine, &["before"]);
    }
}

#[test]
fn what_was_decided_on_a_failed_write_does_not_happen() {
    let machine = Machine::new(3);
    let a = open(&machine);
    a.store().upsert("", "before", b"1", 0).unwrap();
    let lock = hold(&machine);
    scope(|threads| {
        let first = threads.spawn(|| a.store().upsert("", "k", b"1", 0));
        sleep(Duration::from_millis(40));
        // It needs the next segment: the frames before it are written first.
        let second = threads.spawn(|| a.store().compare_and_swap("", "k", &[2; 65_400], b"1", 0));
        sleep(Duration::from_millis(40));
        machine.plan(Plan::next(Call::Write, "log-1", 1, Action::Fail(EIO)));
        lock.unlock().unwrap();
        assert_eq!(code(first.join().unwrap()), Some(Code::Io));
        assert!(matches!(code(second.join().unwrap()), Some(Code::Io | Code::CompareFailed)));
    });
    assert!(machine.plan_is_over());
    a.store().upsert("", "after", b"1", 0).unwrap();
    drop(a);
    holds(&machine, &["after", "before"]);
}

#[test]
fn nothing_is_appended_behind_a_seal_that_has_begun() {
    let machine = Machine::new(4);
    let a = open(&machine);
    a.store().upsert("", "before", &[1; 4_000], 0).unwrap();
    let lock = hold(&machine);
    scope(|threads| {
        let first = threads.spawn(|| fill(a.store(), "much"));
        sleep(Duration::from_millis(40));
        let second = threads.spawn(|| a.store().upsert("", "small", b"1", 0));
        sleep(Duration::from_millis(40));
        // The manifest is renamed, its directory isn't synced.
        machine.plan(Plan::next(Call::SyncDir, "", 1, Action::Fail(EIO)));
        lock.unlock().unwrap();
        assert_eq!(code(first.join().unwrap()), Some(Code::Io));
        assert_eq!(code(second.join().unwrap()), Some(Code::Io));
    });
    a.store().upsert("", "after", b"1", 0).unwrap();
    drop(a);
    holds(&machine, &["after", "before"]);
}

/// Kills the process that writes to log-1 next, before it tells anybody.
fn kill_after_write() -> Plan {
    let mut wrote = false;
    let matches = Box::new(move |call, name: &str| {
        wrote |= call == Call::Write && name == "log-1";
        wrote && call == Call::Page
    });
    Plan { matches, skip: 0, times: 1, action: Action::Kill }
}

/// The next sync of log-1 fails, and who called it is killed before it does anything about it.
fn fail_sync_and_kill(machine: &Machine) {
    let mut failed = false;
    let matches = Box::new(move |call, name: &str| {
        let now = failed;
        failed |= call == Call::SyncData && name == "log-1";
        now
    });
    machine.plan(Plan { matches, skip: 0, times: 1, action: Action::Kill });
    machine.also_plan(Plan::next(Call::SyncData, "log-1", 1, Action::Fail(EIO)));
}

#[test]
fn a_frame_behind_another_than_the_one_it_was_written_behind_is_none() {
    let machine = Machine::new(6);
    let (a, b) = (open(&machine), open(&machine));
    a.store().upsert("", "before", b"1", 0).unwrap();
    let lock = hold(&machine);
    scope(|threads| {
        threads.spawn(|| a.call(|store| store.create("", "k", b"1", 0)));
        sleep(Duration::from_millis(40));
        threads.spawn(|| a.call(|store| store.compare_and_swap("", "k", b"2", b"1", 0)));
        sleep(Duration::from_millis(40));
        machine.plan(kill_after_write());
        lock.unlock().unwrap();
    });
    assert!(a.process.is_dead());
    // Of the same length as the first of the two; the second one lies behind it, whole.
    b.store().create("", "j", b"1", 0).unwrap();
    drop((a, b));
    holds(&machine, &["before", "j"]);
}

#[test]
fn who_comes_after_a_failed_write_back_vouches_only_for_what_it_wrote_again() {
    for seed in 0..40 {
        let machine = Machine::new(seed);
        // In one sector, or in several.
        let len = if seed % 2 == 0 { 100 } else { 2_000 };
        let [a, b, c] = [(); 3].map(|()| open(&machine));
        a.store().upsert("", "before", b"1", 0).unwrap();
        machine.plan(kill_after_write());
        assert!(a.call(|store| store.upsert("", "old", &vec![1; len], 0)).is_none());
        machine.write_back();
        // The same place, the same length; the write-back fails, and where the cache forgets it the old one shows.
        fail_sync_and_kill(&machine);
        assert!(b.call(|store| store.upsert("", "new", &vec![2; len], 0)).is_none());
        c.store().upsert("", "after", b"3", 0).unwrap();
        let keys: Vec<_> = dump(c.store()).unwrap().into_keys().collect();
        assert!(!keys.contains(&"old".to_owned()), "seed {seed}: {keys:?}");
        drop((a, b, c));
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        holds(&machine, &keys);
    }
}

#[test]
fn who_recovers_after_a_failed_write_back_vouches_only_for_what_it_wrote_again() {
    for seed in 0..30 {
        let machine = Machine::new(seed);
        let a = open(&machine);
        a.store().upsert("", "before", b"1", 0).unwrap();
        fail_sync_and_kill(&machine);
        assert!(a.call(|store| store.upsert("", "k", &[1; 2_000], 0)).is_none());
        drop(a);
        let keys: Vec<_> = dump(open(&machine).store()).unwrap().into_keys().collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        holds(&machine, &keys);
    }
}

/// Runs what must not hang.
pub fn in_time<R: Send + 'static>(what: impl FnOnce() -> R + Send + 'static) -> R {
    let (sender, receiver) = channel();
    std::thread::spawn(move || sender.send(what()));
    receiver.recv_timeout(Duration::from_secs(20)).expect("it hangs")
}

#[test]
fn with_sync_os_whoever_looks_at_what_a_killed_writer_appended_is_answered() {
    let os = &[("sync", "os"), ("lock_timeout", "10s")];
    for step in 0..60 {
        let machine = Machine::new(step);
        let a = Handle::open(&machine, os).unwrap().unwrap();
        a.store().upsert("", "before", b"1", 0).unwrap();
        let b = Handle::open(&machine, os).unwrap().unwrap();
        let matches = Box::new(|call, _: &str| call == Call::Page);
        machine.plan(Plan { matches, skip: step, times: 1, action: Action::Kill });
        let written = a.call(|store| store.upsert("", "k", b"a", 0));
        machine.no_plan();
        let (answer, found) = in_time(move || {
            let answer = b.store().create("", "k", b"b", 0);
            (code(answer), b.store().get("", "k").unwrap())
        });
        assert!(matches!(answer, None | Some(Code::AlreadyExists)), "killed at step {step}");
        assert_eq!(found, if answer.is_none() { b"b" } else { b"a" });
        assert!(written.is_none() || answer.is_some(), "step {step}: an answered change is gone");
    }
}

#[test]
fn with_sync_os_a_newcomer_vouches_only_for_what_it_wrote_again() {
    for seed in 0..40 {
        let machine = Machine::new(seed);
        let a = Handle::open(&machine, &[("sync", "os"), ("lock_timeout", "10s")]).unwrap().unwrap();
        a.store().upsert("", "k", &[7; 100], 0).unwrap();
        let keep = open(&machine);
        machine.plan(Plan::next(Call::SyncData, "log-1", 1, Action::Fail(EIO)));
        assert_eq!(code(a.store().sync()), Some(Code::Io));
        a.process.kill();
        drop(a);
        let b = open(&machine);
        machine.plan(Plan::next(Call::Write, "log-1", 1, Action::Fail(EIO)));
        if b.store().upsert("", "l", b"1", 0).is_err() || b.store().sync().is_err() {
            // What was lost may be beyond reading; then nothing was promised.
            continue;
        }
        drop((b, keep));
        holds(&machine, &["k", "l"]);
    }
}

#[test]
fn what_a_merge_could_not_make_durable_costs_no_file() {
    for seed in 0..600 {
        let machine = Machine::new(seed);
        let a = open(&machine);
        a.store().upsert("", "k", &[1; 100], 0).unwrap();
        // Before the last sync of the directory, that of the switch, come those of the roll and of the table.
        let matches = Box::new(|call, _: &str| call == Call::SyncDir);
        machine.plan(Plan { matches, skip: seed % 5, times: 1, action: Action::Fail(EIO) });
        let failed = a.store().compact().is_err();
        // A second one cleans up, and may be stopped by the power anywhere.
        machine.plan(Plan::nth(seed / 15, Action::Cut));
        let _ = a.call(|store| store.compact());
        let disk = machine.cut();
        let again = open(&boot(disk, seed));
        assert_eq!(dump(again.store()).unwrap().len(), 1, "seed {seed}, the first failed: {failed}");
    }
}

#[test]
fn where_there_is_no_room_for_many_large_values_there_is_for_one() {
    for (times, goes_on) in [(1, true), (2, false)] {
        let machine = Machine::new(4);
        let a = open(&machine);
        a.store().upsert("", "first", &[1; 60_000], 0).unwrap();
        machine.plan(Plan::next(Call::Allocate, "log-2", times, Action::Fail(ENOSPC)));
        let put = a.store().upsert("", "second", &[2; 70_000], 0);
        assert_eq!(code(put), (!goes_on).then_some(Code::NoSpace), "{times} refusals");
        assert!(machine.plan_is_over());
        machine.no_plan();
        a.store().upsert("", "second", &[2; 70_000], 0).unwrap();
        drop(a);
        holds(&machine, &["first", "second"]);
    }
}
