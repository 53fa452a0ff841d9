//! A switch of the manifest that fails in the middle or comes too late, and who comes after it.

use dirkv::Code;
use dirkv::files::storage::{Access, Directory, Lock};
use dirkv_sim::cut::Bound;
use dirkv_sim::machine::{Action, Call, EIO, Machine, Plan};
use dirkv_sim::process::{Process, SimDirectory};
use dirkv_sim::world::{Handle, boot, dump};
use std::sync::Arc;

use super::seals::{FILL, code, fill, in_time};
use super::stops::Stopped;

fn open(machine: &Arc<Machine>) -> Handle {
    Handle::open(machine, &[("lock_timeout", "10s")]).expect("nobody is killed").expect("opens")
}

/// A store with one table, and nothing in the log.
fn with_a_table() -> Arc<Machine> {
    let machine = Machine::new(9);
    let handle = open(&machine);
    handle.store().upsert("", "k", b"1", 0).unwrap();
    handle.store().compact().unwrap();
    machine
}

fn tables(machine: &Machine) -> Vec<String> {
    machine.names().into_iter().filter(|name| name.starts_with("table-")).collect()
}

/// Opened anew, the store is whole and holds so many keys.
fn holds(machine: &Arc<Machine>, keys: usize) {
    let handle = open(machine);
    assert_eq!(dump(handle.store()).unwrap().len(), keys);
    assert_eq!(handle.store().check().unwrap(), [""; 0]);
}

/// At the first sync of the directory: a merge of what is in tables has made its own.
fn syncs_directory(call: Call, _: &str) -> bool {
    call == Call::SyncDir
}

/// Where a merge of what is in tables chooses a number: it has taken LOCK before, to seal what is in the log.
fn chooses_number() -> impl FnMut(Call, &str) -> bool {
    let mut locks = 0;
    move |call, name| {
        locks += i32::from(call == Call::Lock && name == "LOCK");
        locks == 2 || call == Call::Open && name.starts_with("table-")
    }
}

#[test]
fn who_compacts_after_a_switch_that_was_renamed_and_not_synced_finishes_it() {
    let machine = Machine::new(9);
    let handle = Handle::open(&machine, &[]).expect("nobody is killed").expect("opens");
    handle.store().upsert("", "k", b"1", 0).unwrap();
    // Another process has the advice to leave compaction to it, and is stopped: nobody cleans up.
    let advice = SimDirectory(Process::start(&machine)).open("COMPACT", Access::CreateNew).unwrap();
    assert!(advice.try_lock(Lock::Exclusive).unwrap());
    let mut renames = 0;
    let matches = Box::new(move |call, _: &str| {
        renames += i32::from(call == Call::Rename);
        // The first rename is that of the seal, the second that of the flush.
        call == Call::SyncDir && renames == 2
    });
    machine.plan(Plan { matches, skip: 0, times: 1, action: Action::Fail(EIO) });
    assert!(handle.store().compact().is_err());
    assert!(machine.plan_is_over());
    let handle = in_time(move || {
        handle.store().compact().unwrap();
        handle
    });
    assert_eq!(handle.store().check().unwrap(), [""; 0]);
    drop(handle);
    let again = boot(machine.cut(), 9);
    let handle = Handle::open(&again, &[]).expect("nobody is killed").expect("opens");
    assert_eq!(dump(handle.store()).unwrap().len(), 1);
}

#[test]
fn whoever_comes_after_a_sealer_that_was_killed_at_any_step_goes_on() {
    let mut step = 0;
    loop {
        let machine = Machine::new(step);
        let [a, b] = [(); 2].map(|()| Handle::open(&machine, &[]).expect("nobody is killed").expect("opens"));
        for handle in [&a, &b] {
            handle.store().upsert("", "before", b"1", 0).unwrap();
        }
        let mut renamed = false;
        let matches = Box::new(move |call, _: &str| {
            renamed |= call == Call::Rename;
            renamed
        });
        machine.plan(Plan { matches, skip: step, times: 1, action: Action::Kill });
        let is_over = a.call(|store| store.compact()).is_some();
        machine.no_plan();
        b.store().upsert("", "after", b"1", 0).unwrap_or_else(|e| panic!("killed at step {step}: {e}"));
        let names = |handle: &Handle| dump(handle.store()).unwrap().into_keys().collect::<Vec<_>>();
        assert_eq!(names(&b), ["after", "before"], "killed at step {step}");
        let again = Handle::open(&boot(machine.clone_disk(step), step), &[]).expect("nobody is killed").expect("opens");
        assert_eq!(names(&again), ["after", "before"], "killed at step {step}");
        assert_eq!(b.store().check().unwrap(), [""; 0], "killed at step {step}");
        if is_over {
            break;
        }
        step += 1;
    }
    assert!(step > 40, "only {step} steps");
}

/// Two merge the same table, and the one that has made its own loses it to somebody who takes it for a stray.
fn a_number_is_free_again(loser_goes_first: bool) {
    let machine = with_a_table();
    let [first, second, writer, cleaner] = [(); 4].map(|()| open(&machine));
    let advice = SimDirectory(Process::start(&machine)).open("COMPACT", Access::Write).unwrap();
    assert!(advice.try_lock(Lock::Exclusive).unwrap());
    // One has made its own, the other knows the same manifest.
    let first = Stopped::at(&machine, syncs_directory, first, |store| store.compact());
    let second = Stopped::at(&machine, chooses_number(), second, |store| store.compact());
    let before = tables(&machine);
    for n in 0..6 {
        fill(writer.store(), &format!("much-{n}")).unwrap();
    }
    let after = tables(&machine);
    assert!(after.len() > before.len(), "a flush that is due gives a greater number");
    // So the first one's table is a stray; who removes it goes no further.
    advice.unlock().unwrap();
    let mut removes = false;
    let matches = Box::new(move |call, name: &str| {
        let removed = removes;
        removes |= call == Call::Remove && name.starts_with("table-");
        removed
    });
    machine.plan(Plan { matches, skip: 0, times: 1, action: Action::Kill });
    assert!(cleaner.call(|store| store.compact()).is_none());
    assert_eq!(tables(&machine).len(), after.len() - 1);
    let (one, other) = if loser_goes_first { (first, second) } else { (second, first) };
    one.goes_on().unwrap();
    other.goes_on().unwrap();
    holds(&boot(machine.clone_disk(9), 9), 1 + 6 * FILL);
    holds(&machine, 1 + 6 * FILL);
}

#[test]
fn a_number_that_is_free_again_is_given_to_no_other_table() {
    a_number_is_free_again(false);
}

#[test]
fn a_table_that_was_removed_as_a_stray_is_named_by_no_manifest() {
    a_number_is_free_again(true);
}

#[test]
fn the_table_of_a_failed_switch_stays_while_a_power_cut_may_bring_its_manifest_back() {
    let machine = with_a_table();
    let first = open(&machine);
    let mut renamed = false;
    let matches = Box::new(move |call, _: &str| {
        renamed |= call == Call::Rename;
        renamed && call == Call::SyncDir
    });
    machine.plan(Plan { matches, skip: 0, times: 1, action: Action::Fail(EIO) });
    let mut renamed = false;
    let removes_its_own = move |call, name: &str| {
        renamed |= call == Call::Rename;
        renamed && call == Call::Lock && name == "LOCK"
    };
    let first = Stopped::at(&machine, removes_its_own, first, |store| store.compact());
    // Who merges what that switch left makes it durable, switches once more, and is killed before that is durable.
    let mut renames = 0;
    let matches = Box::new(move |call, _: &str| {
        renames += i32::from(call == Call::Rename);
        call == Call::SyncDir && renames == 2
    });
    let second = open(&machine);
    machine.plan(Plan { matches, skip: 0, times: 1, action: Action::Kill });
    assert!(second.call(|store| store.compact()).is_none());
    machine.no_plan();
    assert_eq!(code(first.goes_on()), Some(Code::Io));
    machine.record(false);
    machine.note(0);
    let moment = machine.recorded().pop().expect("a moment");
    let states = moment.states();
    let (numbers, all) = states.numbers(Bound { whole: 1_000, samples: 0 });
    assert!(all);
    numbers.for_each(|number| holds(&boot(states.state(number), number), 1));
    holds(&machine, 1);
}

#[test]
fn a_table_that_stays_for_its_values_is_not_removed_by_who_could_not_switch_to_it() {
    let machine = Machine::new(9);
    let handle = open(&machine);
    for key in ["k", "l", "m"] {
        handle.store().upsert("", key, &[7; 20_000], 0).unwrap();
    }
    handle.store().compact().unwrap();
    // Of the segment one value is left, which a merge copies into its table.
    for key in ["k", "l"] {
        handle.store().upsert("", key, b"small", 0).unwrap();
    }
    // The renames of the seal, of the flush, and of the merge.
    let mut renames = 0;
    let matches = Box::new(move |call, _: &str| {
        renames += i32::from(call == Call::Rename);
        renames == 3 && call == Call::SyncDir
    });
    machine.plan(Plan { matches, skip: 0, times: 1, action: Action::Fail(EIO) });
    let mut renames = 0;
    let removes_its_own = move |call, name: &str| {
        renames += i32::from(call == Call::Rename);
        renames == 3 && call == Call::Lock && name == "LOCK"
    };
    let first = Stopped::at(&machine, removes_its_own, handle, |store| store.compact());
    let second = open(&machine);
    let its_own = tables(&machine).pop().expect("just made");
    second.store().compact().unwrap();
    assert!(tables(&machine).len() > 1, "another one names its value");
    assert_eq!(code(first.goes_on()), Some(Code::Io));
    assert!(tables(&machine).contains(&its_own));
    drop(second);
    holds(&boot(machine.clone_disk(9), 9), 3);
    holds(&machine, 3);
}

#[test]
fn where_everything_was_deleted_no_table_is_left() {
    let machine = with_a_table();
    let handle = open(&machine);
    assert_eq!(tables(&machine).len(), 1);
    handle.store().delete("", "k").unwrap();
    handle.store().compact().unwrap();
    assert_eq!(tables(&machine), [""; 0]);
    drop(handle);
    holds(&machine, 0);
}

#[test]
fn a_check_between_a_seals_rename_and_its_publication_finds_nothing() {
    let machine = Machine::new(9);
    let [a, b] = [(); 2].map(|()| open(&machine));
    a.store().upsert("", "k", b"1", 0).unwrap();
    let mut renamed = false;
    let publishes = move |call, _: &str| {
        renamed |= call == Call::Rename;
        renamed && call == Call::SyncDir
    };
    let a = Stopped::at(&machine, publishes, a, |store| store.compact());
    assert_eq!(b.store().check().unwrap(), [""; 0]);
    a.goes_on().unwrap();
}

#[test]
fn a_table_that_is_gone_under_an_open_handle_is_damage() {
    let machine = with_a_table();
    let [a, b] = [(); 2].map(|()| open(&machine));
    a.store().upsert("", "l", b"1", 0).unwrap();
    a.store().compact().unwrap();
    let directory = SimDirectory(Process::start(&machine));
    tables(&machine).iter().for_each(|name| directory.remove(name).unwrap());
    assert_eq!(in_time(move || code(b.store().get("", "k"))), Some(Code::Corrupt));
}

#[test]
fn two_that_make_the_same_file_at_once_have_one() {
    let machine = Machine::new(9);
    let [a, b] = [(); 2].map(|()| open(&machine));
    a.store().upsert("", "k", b"1", 0).unwrap();
    let mut opens = 0;
    let makes = move |call, name: &str| {
        opens += i32::from(call == Call::Open && name == "COMPACT");
        opens == 2
    };
    let a = Stopped::at(&machine, makes, a, |store| store.compact());
    b.store().compact().unwrap();
    a.goes_on().unwrap();
    drop(b);
    holds(&machine, 1);
}

/// Flushes as a writer does, who doesn't ask for the advice to compact, up to the first call that matches.
fn flushing(machine: &Arc<Machine>, matches: fn(Call, &str) -> bool) -> Stopped<()> {
    Stopped::at(machine, matches, open(machine), |store| {
        for n in 0..6 {
            fill(store, &format!("much-{n}")).unwrap();
        }
    })
}

#[test]
fn a_stray_that_another_removes_is_gone() {
    let machine = Machine::new(9);
    let removes = |call, name: &str| call == Call::Remove && name == "log-1";
    let writer = flushing(&machine, removes);
    // It holds LOCK meanwhile, which the writer needs for all that follows.
    let cleaner = Stopped::at(&machine, removes, open(&machine), |store| store.compact());
    writer.resume();
    while machine.names().contains(&"log-1".to_owned()) {
        std::thread::yield_now();
    }
    cleaner.goes_on().unwrap();
    writer.goes_on();
    holds(&machine, 6 * FILL);
}

#[test]
fn a_table_in_the_making_is_no_stray() {
    let machine = Machine::new(9);
    let writer = flushing(&machine, |call, name| call == Call::SyncData && name.starts_with("table-"));
    let made = tables(&machine);
    let makes_another = |call, name: &str| call == Call::Open && name.starts_with("table-");
    let cleaner = Stopped::at(&machine, makes_another, open(&machine), |store| store.compact());
    assert_eq!((made.len(), tables(&machine)), (1, made));
    cleaner.goes_on().unwrap();
    writer.goes_on();
    holds(&machine, 6 * FILL);
}
