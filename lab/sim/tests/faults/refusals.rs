//! What the system refuses once or twice is an error of the system, and no damage.

use dirkv::Code;
use dirkv_sim::machine::{Action, Call, EIO, Machine, Plan};
use dirkv_sim::world::{Handle, dump};

use super::seals::{code, in_time};

/// With `sync=os`, a newcomer writes the log's end again before it vouches for it; here reading or writing it fails.
#[test]
fn with_sync_os_an_end_that_cannot_be_written_again_now_is_not_lost() {
    let (mut refused, os) = (0, &[("sync", "os"), ("lock_timeout", "10s")]);
    for (first, second) in (0..12).flat_map(|second| (0..=second).map(move |first| (first, second))) {
        let machine = Machine::new(second);
        let a = Handle::open(&machine, os).expect("nobody is killed").expect("opens");
        a.store().upsert("", "before", b"1", 0).unwrap();
        let b = Handle::open(&machine, os).expect("nobody is killed").expect("opens");
        let mut calls = 0;
        let matches = Box::new(move |call, name: &str| {
            let counts = matches!(call, Call::Read | Call::Write) && name == "log-1";
            calls += u64::from(counts);
            counts && (calls == first + 1 || calls == second + 1)
        });
        machine.plan(Plan { matches, skip: 0, times: 2, action: Action::Fail(EIO) });
        let answer = b.store().upsert("", "new", b"1", 0).map_err(|e| (e.code, e.os_errno, e.message));
        machine.no_plan();
        if let Err((code, errno, message)) = answer {
            assert_eq!((code, errno), (Code::Io, EIO), "calls {first} and {second}: {message}");
            refused += 1;
        }
        b.store().upsert("", "new", b"2", 0).unwrap();
        assert_eq!(dump(a.store()).unwrap().len(), 2);
        assert_eq!(a.store().check().unwrap(), [""; 0]);
    }
    assert!(refused > 0, "nothing was refused");
}

#[test]
fn with_sync_os_nothing_is_sealed_off_because_it_cannot_be_written_again_now() {
    let (machine, os) = (Machine::new(3), &[("sync", "os"), ("lock_timeout", "10s")]);
    let [a, b] = [(); 2].map(|()| Handle::open(&machine, os).expect("nobody is killed").expect("opens"));
    a.store().upsert("", "before", b"1", 0).unwrap();
    machine.plan(Plan::next(Call::Write, "log-1", 1, Action::Fail(EIO)));
    assert_eq!(code(b.store().upsert("", "new", b"1", 0)), Some(Code::Io));
    b.store().upsert("", "new", b"2", 0).unwrap();
    assert!(!machine.names().contains(&"log-3".to_owned()), "{:?}", machine.names());
}

#[test]
fn with_sync_os_who_rolls_writes_nothing_again_that_it_vouches_for() {
    let (machine, os) = (Machine::new(3), &[("sync", "os"), ("lock_timeout", "10s")]);
    let handle = Handle::open(&machine, os).expect("nobody is killed").expect("opens");
    handle.store().upsert("", "before", b"1", 0).unwrap();
    machine.plan(Plan::next(Call::Write, "log-1", 1, Action::Fail(EIO)));
    handle.store().upsert("", "large", &[2; 65_400], 0).unwrap();
    assert!(!machine.plan_is_over() && machine.names().contains(&"log-3".to_owned()));
}

/// While no table can be made commits go on for a while; then they are refused, and well again with the system.
#[test]
fn a_flush_that_always_fails_stops_writers_only_in_the_end() {
    let machine = Machine::new(1);
    let handle = Handle::open(&machine, &[("background", "off")]).expect("nobody is killed").expect("opens");
    machine.plan(Plan::next(Call::Open, "table-", u64::MAX, Action::Fail(EIO)));
    let logs = || machine.names().iter().filter(|name| name.starts_with("log-")).count();
    let (mut number, mut refused) = (0, None);
    while refused.is_none() {
        assert!(logs() < 20, "the log grows without end");
        refused = handle.store().upsert("", format!("{number:04}"), &[b'v'; 4_000], 0).err();
        number += 1;
    }
    let refused = refused.unwrap();
    assert_eq!((refused.code, refused.os_errno), (Code::Io, EIO), "{refused}");
    assert!(refused.message.contains("table-"), "{refused}");
    // Nine sealed segments, the live one, and the next, which is made ahead.
    assert_eq!(logs(), 11);
    assert_eq!(dump(handle.store()).unwrap().len(), number - 1);
    machine.no_plan();
    handle.store().upsert("", "well again", b"1", 0).unwrap();
    assert_eq!(dump(handle.store()).unwrap().len(), number);
    assert!(logs() <= 2, "{:?}", machine.names());
}

/// The next segment, made already, is looked at before anything is appended; and a seal makes a manifest.
#[test]
fn what_cannot_be_done_now_is_told_by_its_number_and_done_later() {
    for (call, name) in [
        (Call::Open, "log-2"),
        (Call::Read, "log-2"),
        (Call::Allocate, "log-2"),
        (Call::Remove, "MANIFEST"),
        (Call::Open, "MANIFEST.tmp"),
        (Call::Rename, "MANIFEST"),
    ] {
        let machine = Machine::new(2);
        let open = || Handle::open(&machine, &[]).expect("nobody is killed").expect("opens");
        drop(open());
        let handle = open();
        machine.plan(Plan::next(call, name, 1, Action::Fail(EIO)));
        let change = || handle.store().upsert("", "k", b"1", 0).and_then(|_| handle.store().compact());
        let refused = change().unwrap_err();
        assert_eq!((refused.code, refused.os_errno), (Code::Io, EIO), "{call:?} {name}: {refused}");
        assert!(machine.plan_is_over());
        change().unwrap();
        assert_eq!(handle.store().check().unwrap(), [""; 0]);
    }
}

#[test]
fn a_file_that_cannot_be_made_is_an_error() {
    let machine = Machine::new(2);
    let handle = Handle::open(&machine, &[]).expect("nobody is killed").expect("opens");
    // The first says that it isn't there, the second would make it.
    let mut opens = 0_u64;
    let matches = Box::new(move |call, name: &str| {
        let counts = call == Call::Open && name == "COMPACT";
        opens += u64::from(counts);
        counts && opens.is_multiple_of(2)
    });
    machine.plan(Plan { matches, skip: 0, times: u64::MAX, action: Action::Fail(EIO) });
    assert_eq!(in_time(move || code(handle.store().compact())), Some(Code::Io));
}
