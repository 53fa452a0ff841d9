//! Who opens a store: a reader that is alone with what a killed writer left may write nothing, and shows nothing that the power could
//! take back; and a file that can't be opened now is not taken for one that isn't there.

use dirkv::Code;
use dirkv::files::storage::Directory;
use dirkv_sim::machine::{Action, Call, EIO, Machine, Plan};
use dirkv_sim::process::{Process, SimDirectory};
use dirkv_sim::world::{Handle, boot};
use std::sync::Arc;

const EINVAL: i32 = 22;
const EROFS: i32 = 30;

/// A writer was killed between its write and its sync.
fn with_a_killed_writer() -> Arc<Machine> {
    let machine = Machine::new(9);
    let writer = Handle::open(&machine, &[]).expect("nobody is killed").expect("opens");
    writer.store().upsert("", "before", b"1", 0).unwrap();
    machine.plan(Plan::next(Call::SyncData, "log-1", 1, Action::Kill));
    assert!(writer.call(|store| store.upsert("", "left", b"2", 0)).is_none());
    machine.no_plan();
    machine
}

fn reader(machine: &Arc<Machine>) -> dirkv::Result<Handle> {
    Handle::open(machine, &[("read_only", "true")]).expect("nobody is killed")
}

#[test]
fn what_a_reader_that_is_alone_shows_survives_the_power() {
    let machine = with_a_killed_writer();
    let reader = reader(&machine).unwrap();
    assert_eq!(reader.store().get("", "left").unwrap(), b"2");
    for cut in 0..40 {
        let machine = boot(machine.clone_disk(cut), cut);
        let handle = Handle::open(&machine, &[]).expect("nobody is killed").expect("opens");
        assert_eq!(handle.store().get("", "left").unwrap(), b"2", "cut {cut}");
    }
}

#[test]
fn a_reader_that_cannot_look_for_a_writer_says_so() {
    let machine = with_a_killed_writer();
    let reader = reader(&machine).unwrap();
    machine.plan(Plan::next(Call::Open, "SHARED", 1, Action::Fail(EIO)));
    assert_eq!(reader.store().get("", "left").unwrap_err().code, Code::Io);
    assert_eq!(reader.store().get("", "left").unwrap(), b"2");
}

#[test]
fn a_reader_that_cannot_sync_shows_nothing_unless_nothing_can_be_written_there() {
    for (errno, code) in [(EIO, Some(Code::Io)), (EINVAL, None), (EROFS, None)] {
        let machine = with_a_killed_writer();
        machine.plan(Plan::next(Call::SyncData, "log-1", 1, Action::Fail(errno)));
        assert_eq!(reader(&machine).err().map(|e| e.code), code, "errno {errno}");
    }
}

#[test]
fn a_file_that_cannot_be_opened_now_is_not_taken_for_one_that_is_gone() {
    for beside in [false, true] {
        for read_only in ["true", "false"] {
            // Who joins others doesn't look whether the next segment has frames.
            let names = ["LOCK", "SHARED", "MANIFEST", "log-1", "log-2"];
            for name in &names[..names.len() - usize::from(beside)] {
                let machine = with_a_killed_writer();
                let open = |settings: &[(&str, &str)]| Handle::open(&machine, settings).expect("nobody is killed");
                let _other = beside.then(|| open(&[]).unwrap());
                let before = machine.names();
                machine.plan(Plan::next(Call::Open, name, 1, Action::Fail(EIO)));
                let failed = open(&[("read_only", read_only)]).err().map(|e| e.code);
                assert_eq!(failed, Some(Code::Io), "{name}, read_only={read_only}, beside another: {beside}");
                machine.no_plan();
                assert_eq!(machine.names(), before);
                assert_eq!(open(&[]).unwrap().store().get("", "left").unwrap(), b"2");
            }
        }
    }
}

/// Frames and tables vouch for each other in most stores; here only one of the two is there.
#[test]
fn a_store_whose_manifest_is_gone_is_damaged_and_not_made_anew() {
    for compacted in [false, true] {
        let machine = Machine::new(9);
        let handle = Handle::open(&machine, &[]).expect("nobody is killed").expect("opens");
        handle.store().upsert("", "k", b"1", 0).unwrap();
        if compacted {
            handle.store().compact().unwrap();
        }
        drop(handle);
        let directory = SimDirectory(Process::start(&machine));
        directory.remove("MANIFEST").unwrap();
        let before = machine.names();
        let open = |settings: &[(&str, &str)]| Handle::open(&machine, settings).expect("nobody is killed");
        for read_only in ["true", "false"] {
            assert_eq!(open(&[("read_only", read_only)]).err().map(|e| e.code), Some(Code::Corrupt), "{before:?}");
            assert_eq!(machine.names(), before);
        }
        machine.plan(Plan::next(Call::Read, "log-1", 1, Action::Fail(EIO)));
        let failed = open(&[]).err().map(|e| e.code);
        assert_eq!(failed, Some(if compacted { Code::Corrupt } else { Code::Io }));
        machine.no_plan();
        assert_eq!(machine.names(), before);
    }
}

/// The segment that was made ahead has no frames, and may be left, too.
#[test]
fn where_only_lock_and_shared_are_left_a_store_is_made_anew() {
    for left in [&["LOCK", "SHARED"][..], &["LOCK", "SHARED", "log-3"]] {
        let machine = Machine::new(9);
        let handle = Handle::open(&machine, &[]).expect("nobody is killed").expect("opens");
        handle.store().upsert("", "old", b"1", 0).unwrap();
        handle.store().compact().unwrap();
        handle.store().upsert("", "newer", b"1", 0).unwrap();
        drop(handle);
        let directory = SimDirectory(Process::start(&machine));
        let names = machine.names();
        assert!(left.iter().all(|name| names.iter().any(|there| there == name)), "{names:?}");
        names.iter().filter(|name| !left.contains(&name.as_str())).for_each(|name| directory.remove(name).unwrap());
        let handle = Handle::open(&machine, &[]).expect("nobody is killed").expect("opens");
        handle.store().upsert("", "k", b"1", 0).unwrap();
        assert_eq!(handle.store().check().unwrap(), [""; 0]);
        assert_eq!(machine.names(), ["LOCK", "MANIFEST", "SHARED", "log-1", "log-2"]);
    }
}
