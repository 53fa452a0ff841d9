//! A switch of the manifest that fails in the middle, and who comes after it.

use dirkv::files::storage::{Access, Directory, Lock};
use dirkv_sim::machine::{Action, Call, EIO, Machine, Plan};
use dirkv_sim::process::{Process, SimDirectory};
use dirkv_sim::world::{Handle, boot, dump};

use super::seals::in_time;

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
